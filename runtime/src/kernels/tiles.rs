//! Right factors in tiles: making them, and dense products that read them as they are. Products that skip zeros are in `events` and
//! `spikes`.
//!
//! A tile is [`TILE`] columns of a matrix, row after row without gaps, the last tile filled up with 0. Weights are put in tiles once
//! for all shards and steps; a library that copies its right factor at each call would do so hundreds of times.

use super::events;
use super::matmul::{self, Product};
use super::panels::{self, PANEL};
#[cfg(target_arch = "x86_64")]
use super::registers::{Avx2, Avx512, Registers, To, groups};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{_MM_TRANSPOSE4_PS, _mm_loadu_ps, _mm_storeu_ps};

/// Columns of a tile.
pub(super) const TILE: usize = 32;
/// Rows of a tile that the first-level cache holds.
pub(super) const DEPTH: usize = 512;

/// Floats of a matrix in tiles.
pub fn tiled_floats(rows: usize, columns: usize) -> usize {
    rows * columns.next_multiple_of(TILE)
}

/// `(rows, columns, swapped, src, dst, part, parts)`: of `parts` equal parts of the rows one is done.
pub type TileFn = unsafe extern "C" fn(u64, u64, u64, *const f32, *mut f32, u64, u64);

/// Puts a matrix in tiles; with `swapped` it is the matrix with its axes exchanged that lies at `src`.
///
/// # Safety
/// `src` has `rows * columns` numbers, `dst` has `tiled_floats`; its part is written by nobody else.
pub unsafe extern "C" fn snn_tile_columns(
    rows: u64,
    columns: u64,
    swapped: u64,
    src: *const f32,
    dst: *mut f32,
    part: u64,
    parts: u64,
) {
    let of_part = matmul::rows_of_part(rows, part, parts);
    let (rows, columns) = (rows as usize, columns as usize);
    let (row, column) = if swapped != 0 { (1, rows) } else { (columns, 1) };
    for (j, first) in (0..columns).step_by(TILE).enumerate() {
        let width = TILE.min(columns - first);
        // SAFETY: rows `of_part` of the matrix in columns `first .. first + width`, and their places in tile `j`.
        unsafe {
            let src = src.add(first * column);
            let dst = dst.add(j * rows * TILE);
            if swapped != 0 {
                swap(of_part.clone(), width, (src, rows), (dst, TILE));
            }
            for i in of_part.clone() {
                let (from, to) = (src.wrapping_add(i * row), dst.add(i * TILE));
                match (swapped, width) {
                    (0, TILE) => *to.cast::<[f32; TILE]>() = *from.cast::<[f32; TILE]>(),
                    (0, _) => std::ptr::copy_nonoverlapping(from, to, width),
                    _ => {}
                }
                std::slice::from_raw_parts_mut(to.add(width), TILE - width).fill(0.0);
            }
        }
    }
}

/// Rows `rows` of a matrix with `width` columns, of which element `(i, c)` is at `src + c * stride + i` and goes to `dst + i * to + c`.
///
/// # Safety
/// The elements are there, and so are their places.
#[inline(always)]
pub(super) unsafe fn swap(
    rows: std::ops::Range<usize>,
    width: usize,
    (src, stride): (*const f32, usize),
    (dst, to): (*mut f32, usize),
) {
    let squares = rows.len() / 4 * 4;
    for (k, i) in rows.enumerate() {
        let whole = if k < squares { width / 4 * 4 } else { 0 };
        // SAFETY: the caller's promise.
        unsafe {
            if k % 4 == 0 && k < squares {
                for c in (0..whole).step_by(4) {
                    swap_square((src.add(c * stride + i), stride), (dst.add(i * to + c), to));
                }
            }
            for c in whole..width {
                *dst.add(i * to + c) = *src.add(c * stride + i);
            }
        }
    }
}

/// Four columns of four numbers, `stride` apart, as four rows `to` apart.
#[inline(always)]
unsafe fn swap_square((src, stride): (*const f32, usize), (dst, to): (*mut f32, usize)) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instructions; the caller's promise.
    unsafe {
        let mut square: [_; 4] = std::array::from_fn(|c| _mm_loadu_ps(src.add(c * stride)));
        let [a, b, c, d] = &mut square;
        _MM_TRANSPOSE4_PS(a, b, c, d);
        for (i, row) in square.into_iter().enumerate() {
            _mm_storeu_ps(dst.add(i * to), row);
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    for (i, c) in (0..16).map(|at| (at / 4, at % 4)) {
        // SAFETY: the caller's promise.
        unsafe { *dst.add(i * to + c) = *src.add(c * stride + i) };
    }
}

/// `(m, k, n, a, a_rs, a_cs, a_gap, b, b_rs, b_cs, tiles, c, c_rs, c_gap)`: C[m, n] = A[m, k] · B[k, n]; `tiles` is B once more; for gaps see
/// [`super::panels`].
pub type TiledFn = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    *const f32,
    i64,
    i64,
    u64,
    *const f32,
    i64,
    i64,
    *const f32,
    *mut f32,
    i64,
    u64,
);

/// The product in the order that is fastest on this machine.
///
/// # Safety
/// A, B, tiles and C cover what sizes and strides say; C is written by nobody else and overlaps none of them.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_tiled_fast(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    a_rs: i64,
    a_cs: i64,
    a_gap: u64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    tiles: *const f32,
    c: *mut f32,
    c_rs: i64,
    c_gap: u64,
) {
    let p = Product::new((m, k, n), (a, a_rs, a_cs), (b, b_rs, b_cs), (c, c_rs));
    let p = Product { a_gap: a_gap as usize, c_gap: c_gap as usize, ..p };
    // SAFETY: the caller's promise.
    unsafe { product(&p, tiles) }
}

/// As [`snn_matmul_tiled_fast`]; B itself may be null.
///
/// # Safety
/// As [`snn_matmul_tiled_fast`].
pub(super) unsafe fn product(p: &Product, tiles: *const f32) {
    // SAFETY: the caller's promise.
    unsafe {
        if !events::product(p, tiles) {
            dense(p, tiles);
        }
    }
}

/// The product with the order of sums of [`matmul::snn_matmul_strict`].
///
/// # Safety
/// As [`snn_matmul_tiled_fast`].
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_tiled_strict(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    a_rs: i64,
    a_cs: i64,
    a_gap: u64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    _tiles: *const f32,
    c: *mut f32,
    c_rs: i64,
    c_gap: u64,
) {
    let p = Product::new((m, k, n), (a, a_rs, a_cs), (b, b_rs, b_cs), (c, c_rs));
    let p = Product { a_gap: a_gap as usize, c_gap: c_gap as usize, ..p };
    // SAFETY: the caller's promise.
    panels::each(&p, |p| unsafe { matmul::ordered(p) });
}

/// The product without a look at zeros.
///
/// # Safety
/// As [`snn_matmul_tiled_fast`].
unsafe fn dense(p: &Product, tiles: *const f32) {
    #[cfg(target_arch = "x86_64")]
    if p.a_cs == 1 || p.a_rs == 1 {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature is there; the rest is the caller's promise.
            return unsafe { dense_avx512(p, tiles) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the features are there; the rest is the caller's promise.
            return unsafe { dense_avx2(p, tiles) };
        }
    }
    // SAFETY: the caller's promise; a tile is a matrix itself.
    unsafe {
        if !p.b.is_null() {
            return panels::each(p, |p| matmul::dense(p));
        }
        for j in (0..p.n).step_by(TILE) {
            let (b, c, n) = (tiles.add(j * p.k), p.c.add(j), TILE.min(p.n - j));
            matmul::dense(&Product { b, b_rs: TILE as isize, b_cs: 1, c, n, ..*p });
        }
    }
}

/// The product in blocks of registers: a part of a tile that the first-level cache holds with all rows of A, part after part.
///
/// # Safety
/// As [`snn_matmul_tiled_fast`], and the machine has the vectors; columns or rows of A are adjacent.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn dense_in<R: Registers>(p: &Product, tiles: *const f32) {
    let mut k0 = 0;
    loop {
        let depth = DEPTH.min(p.k - k0);
        for j in (0..p.n).step_by(R::COLUMNS) {
            let tile = tiles.wrapping_add((j / TILE * p.k + k0) * TILE + j % TILE);
            let right = |l: usize| tile.wrapping_add(l * TILE);
            for (i, rows) in groups(p.m, R::ROWS) {
                let to_panel =
                    if p.a_gap == PANEL { k0 as isize * p.a_cs } else { (k0 / PANEL * p.a_gap) as isize };
                let a = p.a.wrapping_offset(i as isize * p.a_rs + to_panel);
                let c =
                    p.c.wrapping_offset(i as isize * p.c_rs).wrapping_add(j / PANEL * p.c_gap + j % PANEL);
                let to = To { c, stride: p.c_rs, width: R::COLUMNS.min(p.n - j), accumulate: k0 > 0 };
                // SAFETY: these rows and columns exist, and so does their place in the tiles.
                unsafe {
                    if p.a_gap != PANEL {
                        let left = |l: usize, r: usize| {
                            a.wrapping_add(l / PANEL * p.a_gap + l % PANEL).wrapping_add(r * PANEL)
                        };
                        R::block(rows, left, right, depth, to);
                    } else if p.a_cs == 1 {
                        let left =
                            |l: usize, r: usize| a.wrapping_offset(r as isize * p.a_rs).wrapping_add(l);
                        R::block(rows, left, right, depth, to);
                    } else {
                        let left =
                            |l: usize, r: usize| a.wrapping_offset(l as isize * p.a_cs).wrapping_add(r);
                        R::block(rows, left, right, depth, to);
                    }
                }
            }
        }
        k0 += depth;
        if k0 >= p.k {
            break;
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn dense_avx512(p: &Product, tiles: *const f32) {
    // SAFETY: the caller's promise.
    unsafe { dense_in::<Avx512>(p, tiles) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
unsafe fn dense_avx2(p: &Product, tiles: *const f32) {
    // SAFETY: the caller's promise.
    unsafe { dense_in::<Avx2>(p, tiles) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;
    use crate::kernels::spikes::tests::random;

    fn tiled(b: &[f32], k: usize, n: usize, swapped: bool) -> Vec<f32> {
        let mut tiles = vec![f32::NAN; tiled_floats(k, n)];
        // SAFETY: the slices have the lengths that sizes say.
        (0..3).for_each(|part| unsafe {
            snn_tile_columns(k as u64, n as u64, u64::from(swapped), b.as_ptr(), tiles.as_mut_ptr(), part, 3)
        });
        tiles
    }

    #[test]
    fn tiles_hold_the_matrix_and_zeros() {
        for (k, n) in [(1, 1), (7, 32), (33, 40), (100, 65)] {
            let b = random(k * n, 2);
            let swapped: Vec<f32> = (0..k * n).map(|at| b[at % k * n + at / k]).collect();
            let tiles = tiled(&b, k, n, false);
            assert_eq!(tiles, tiled(&swapped, k, n, true));
            for (at, value) in tiles.iter().enumerate() {
                let (i, j) = (at / TILE % k, at / (k * TILE) * TILE + at % TILE);
                assert_eq!(*value, if j < n { b[i * n + j] } else { 0.0 });
            }
        }
    }

    #[test]
    fn products_are_those_of_the_reference_at_every_width() {
        let mut kernels: Vec<unsafe fn(&Product, *const f32)> = vec![dense];
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            kernels.push(dense_avx2);
        }
        let sizes = [(1, 1, 1), (14, 3, 32), (15, 300, 33), (16, 70, 10), (29, 513, 100), (3, 0, 5)];
        for ((m, k, n), strides) in
            sizes.iter().flat_map(|s| [(*s, (s.1, 1)), (*s, (1, s.0)), (*s, (2 * s.1, 2))])
        {
            let (a, b) = (random(2 * m * k, 1), random(k * n, 2));
            let tiles = tiled(&b, k, n, false);
            let mut expected = vec![0.0; m * n];
            reference::matmul((m, k, n), (&a, strides.0, strides.1), (&b, n, 1), (&mut expected, n), false);
            let of_a = (a.as_ptr(), strides.0 as i64, strides.1 as i64);
            let all = kernels.iter().take(if strides.1 == 2 { 1 } else { kernels.len() });
            for (kernel, b) in all.flat_map(|kernel| [(kernel, b.as_ptr()), (kernel, std::ptr::null())]) {
                let mut c = vec![f32::NAN; m * n];
                let size = (m as u64, k as u64, n as u64);
                let p = Product::new(size, of_a, (b, n as i64, 1), (c.as_mut_ptr(), n as i64));
                // SAFETY: the slices have the lengths that sizes and strides say.
                unsafe { kernel(&p, tiles.as_ptr()) };
                let off = c.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                assert!(off < 1e-3 && c.iter().all(|x| x.is_finite()), "{m}x{k}x{n}: {off}");
            }
        }
    }
}
