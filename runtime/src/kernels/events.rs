//! Products of matrices of which the left one is mostly zeros, as spikes are: only what is not zero is multiplied. When to use it is
//! decided here, from the numbers alone, so that the choice and the bits do not depend on threads.
//!
//! Differences to the dense product: sums skip what a zero multiplies, also if that is infinite or NaN.

use super::bits::{SLACK, differing_bits};
use super::matmul::Product;
use super::panels::PANEL;
use super::spikes::piece;
use super::tiles::TILE;
use super::vector::{TileRow, Vector, Weighted};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Share of numbers that are not zero above which the dense product is faster (measured), with AVX-512 and without.
const MAX_SHARE: [f64; 2] = [0.55, 0.35];
/// One row (or column) in so many tells whether a look at all of them is worth it.
const SAMPLED: usize = 8;
/// Products smaller than this are not worth a look.
const MIN_WORK: usize = 1 << 18;

/// What lasts from call to call, so that a time loop allocates nothing after its first step.
#[derive(Default)]
struct Scratch {
    /// Numbers of A that are not zero, row after row, k ascending.
    values: Vec<f32>,
    /// Their k.
    places: Vec<u16>,
    /// For each row the end of its entries.
    ends: Vec<u32>,
    /// For each piece of k and each row the first entry; behind the last piece the ends.
    starts: Vec<u32>,
    /// Rows of B of this piece in some columns.
    tile: Vec<TileRow>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Computes the product if A is sparse enough and gives whether it did. `tiles` is B once more, or null.
///
/// # Safety
/// A, B and C cover what sizes and strides say; C is written by nobody else and overlaps neither A nor B.
pub(super) unsafe fn product(p: &Product, tiles: *const f32) -> bool {
    let is_large = p.m.saturating_mul(p.k).saturating_mul(p.n) >= MIN_WORK;
    let is_adjacent = p.a_cs == 1 || p.a_rs == 1;
    let fits = u32::try_from(p.m.saturating_mul(p.k)).is_ok() && p.k <= 1 << 16;
    if !(is_large && is_adjacent && fits && p.n >= TILE && p.m >= 8 && p.c_cs == 1) {
        return false;
    }
    SCRATCH.with_borrow_mut(|scratch| {
        // SAFETY: the caller's promise.
        unsafe { scratch.list(p) && scratch.multiply(p, tiles) }
    })
}

impl Scratch {
    /// Lists what is not zero; false if that is too much.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn list(&mut self, p: &Product) -> bool {
        let limit = (max_share() * (p.m * p.k) as f64) as usize;
        self.starts.clear();
        self.ends.clear();
        // SAFETY: rows (or columns) of A are adjacent numbers.
        unsafe {
            if !looks_sparse(p) {
                return false;
            }
            let is_sparse = if p.a_cs == 1 { self.list_rows(p, limit) } else { self.list_columns(p, limit) };
            // Four are read where one is meant.
            self.values.extend([0.0; 4]);
            self.places.extend([0; 4]);
            is_sparse
        }
    }

    /// A with adjacent rows.
    unsafe fn list_rows(&mut self, p: &Product, limit: usize) -> bool {
        self.values.clear();
        self.places.clear();
        self.values.reserve(limit + p.k + SLACK);
        self.places.reserve(limit + p.k + SLACK);
        for i in 0..p.m {
            let at = self.values.len();
            self.starts.push(at as u32);
            // SAFETY: row `i` of A; up to `limit` entries are there, room is for `p.k` more.
            unsafe {
                let (values, places) = (self.values.as_mut_ptr(), self.places.as_mut_ptr());
                let columns = if p.a_gap == PANEL { p.k.max(1) } else { PANEL };
                let mut end = at;
                for l in (0..p.k).step_by(columns) {
                    let row = p.a.offset(i as isize * p.a_rs).add(l / PANEL * p.a_gap);
                    let row = std::slice::from_raw_parts(row, columns.min(p.k - l));
                    end += list_row(row, l, values.add(end), places.add(end));
                }
                self.values.set_len(end);
                self.places.set_len(end);
            }
            if self.values.len() > limit {
                return false;
            }
            self.ends.push(self.values.len() as u32);
        }
        true
    }

    /// A with adjacent columns: counted first, then put in place.
    unsafe fn list_columns(&mut self, p: &Product, limit: usize) -> bool {
        let column = |l: usize| {
            // SAFETY: column `l` of A.
            unsafe { std::slice::from_raw_parts(p.a.offset(l as isize * p.a_cs), p.m) }
        };
        self.ends.resize(p.m, 0);
        for l in 0..p.k {
            for (count, value) in self.ends.iter_mut().zip(column(l)) {
                *count += u32::from(*value != 0.0);
            }
        }
        let mut total = 0;
        for end in &mut self.ends {
            self.starts.push(total);
            total += *end;
            *end = self.starts[self.starts.len() - 1];
        }
        if total as usize > limit {
            return false;
        }
        self.values.resize(total as usize, 0.0);
        self.places.resize(total as usize, 0);
        for l in 0..p.k {
            each_nonzero(column(l), |i, value| {
                let at = &mut self.ends[i];
                self.values[*at as usize] = value;
                self.places[*at as usize] = l as u16;
                *at += 1;
            });
        }
        true
    }

    /// Sums over the listed entries.
    ///
    /// # Safety
    /// As [`product`].
    unsafe fn multiply(&mut self, p: &Product, tiles: *const f32) -> bool {
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the feature is there; the rest is the caller's promise.
                unsafe { self.tiles_avx512(p, tiles) };
                return true;
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                // SAFETY: the features are there; the rest is the caller's promise.
                unsafe { self.tiles_avx2(p, tiles) };
                return true;
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<f32, 1>(p, tiles) };
        true
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    unsafe fn tiles_avx512(&mut self, p: &Product, tiles: *const f32) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m512, 2>(p, tiles) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tiles_avx2(&mut self, p: &Product, tiles: *const f32) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m256, 1>(p, tiles) }
    }

    #[inline(always)]
    unsafe fn tiles<V: Vector, const T: usize>(&mut self, p: &Product, tiles: *const f32) {
        let columns = T * TILE;
        let piece = piece(p.m, p.k, self.values.len());
        self.tile.resize(T * piece, TileRow::ZERO);
        self.cut(p, piece);
        // All of k before the next columns: these columns of C stay near meanwhile.
        for j0 in (0..p.n).step_by(columns) {
            let width = columns.min(p.n - j0);
            for (at, k0) in (0..p.k.max(1)).step_by(piece).enumerate() {
                let depth = piece.min(p.k - k0);
                // SAFETY: these rows and columns of B and C exist; entries of the piece are rows of the tiles.
                unsafe {
                    // Entries count from the start of k.
                    let (tile, gap) = if tiles.is_null() {
                        for (tile, from) in (0..width).step_by(TILE).enumerate() {
                            self.pack(p, (k0, j0 + from), tile * piece, depth, TILE.min(width - from));
                        }
                        (self.tile.as_ptr().wrapping_sub(k0).cast(), piece * TILE)
                    } else {
                        (tiles.add(j0 / TILE * p.k * TILE), p.k * TILE)
                    };
                    let (starts, ends) = self.starts[at * p.m..][..2 * p.m].split_at(p.m);
                    for i in 0..p.m {
                        let some = starts[i] as usize..ends[i] as usize;
                        self.row::<V, T>(p, (tile, gap), some, (i, j0), width, p.accumulate || k0 > 0);
                    }
                }
            }
        }
    }

    /// Cuts the entries of all rows at multiples of `piece`.
    fn cut(&mut self, p: &Product, piece: usize) {
        let pieces = p.k.max(1).div_ceil(piece);
        let mut from = 0;
        for at in 1..pieces {
            for i in 0..p.m {
                let (start, end) = (self.starts[from + i], self.ends[i]);
                let rest = &self.places[start as usize..end as usize];
                let many = rest.partition_point(|place| (*place as usize) < at * piece);
                self.starts.push(start + many as u32);
            }
            from += p.m;
        }
        self.starts.extend_from_slice(&self.ends);
    }

    /// Copies a tile of B to the adjacent rows from `at` on, of adjacent rows or adjacent columns.
    #[inline(always)]
    unsafe fn pack(&mut self, p: &Product, (k0, j0): (usize, usize), at: usize, depth: usize, width: usize) {
        let tile = &mut self.tile[at..][..depth];
        // SAFETY: elements `k0 .. k0 + depth`, `j0 .. j0 + width` of B.
        unsafe {
            let b = p.b.offset(k0 as isize * p.b_rs + j0 as isize * p.b_cs);
            if p.b_cs == 1 {
                for (l, TileRow(row)) in tile.iter_mut().enumerate() {
                    let b = std::slice::from_raw_parts(b.offset(l as isize * p.b_rs), width);
                    row[..width].copy_from_slice(b);
                }
                return;
            }
            // A cache line of each column at a time.
            for (some, rows) in tile.chunks_mut(16).enumerate() {
                for j in 0..width {
                    let b = b.offset(j as isize * p.b_cs + 16 * some as isize * p.b_rs);
                    for (l, TileRow(row)) in rows.iter_mut().enumerate() {
                        row[j] = *b.offset(l as isize * p.b_rs);
                    }
                }
            }
        }
    }

    /// One row of C in the columns of the tiles, which lie `gap` floats apart.
    #[inline(always)]
    unsafe fn row<V: Vector, const T: usize>(
        &self,
        p: &Product,
        (tile, gap): (*const f32, usize),
        some: std::ops::Range<usize>,
        (i, j0): (usize, usize),
        width: usize,
        accumulate: bool,
    ) {
        if some.is_empty() && accumulate {
            return;
        }
        let entries = Weighted { places: &self.places[some.clone()], values: &self.values[some] };
        // SAFETY: row `i` of C, columns `j0 .. j0 + width`; entries go on behind their end.
        unsafe {
            let c = p.c.offset(i as isize * p.c_rs).add(j0 / TILE * p.c_gap);
            if width == T * TILE {
                return V::weighted_sums::<T>((c, p.c_gap), accumulate, entries, (tile, gap));
            }
            for from in (0..width).step_by(TILE) {
                let (c, tile, width) = (
                    c.add(from / TILE * p.c_gap),
                    tile.wrapping_add(from / TILE * gap),
                    TILE.min(width - from),
                );
                let mut part = [0.0f32; TILE];
                if accumulate {
                    std::ptr::copy_nonoverlapping(c, part.as_mut_ptr(), width);
                }
                V::weighted_sum(part.as_mut_ptr(), accumulate, entries, tile);
                std::ptr::copy_nonoverlapping(part.as_ptr(), c, width);
            }
        }
    }
}

/// Of the machine.
fn max_share() -> f64 {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        return MAX_SHARE[0];
    }
    MAX_SHARE[1]
}

/// Writes what is not zero in a part of a row that begins at column `first`, and where it is; gives how many there are.
///
/// # Safety
/// There is room for the row and [`SLACK`] more.
unsafe fn list_row(row: &[f32], first: usize, values: *mut f32, places: *mut u16) -> usize {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the feature is there; the rest is the caller's promise.
        return unsafe { list_row_avx512(row, first, values, places) };
    }
    let mut at = 0;
    each_nonzero(row, |k, value| {
        // SAFETY: the caller's promise.
        unsafe {
            *values.add(at) = value;
            *places.add(at) = (first + k) as u16;
        }
        at += 1;
    });
    at
}

/// As [`list_row`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,popcnt")]
unsafe fn list_row_avx512(row: &[f32], first: usize, values: *mut f32, places: *mut u16) -> usize {
    let mut at = 0;
    let lanes: [i32; 16] = std::array::from_fn(|lane| lane as i32);
    // SAFETY: of the row no more is read than there is; the rest is the caller's promise.
    unsafe {
        let lanes = _mm512_loadu_epi32(lanes.as_ptr());
        for k in (0..row.len()).step_by(16) {
            let there = if row.len() - k < 16 { (1u16 << (row.len() - k)) - 1 } else { u16::MAX };
            let some = _mm512_maskz_loadu_ps(there, row.as_ptr().add(k));
            let set = _mm512_cmp_ps_mask::<_CMP_NEQ_UQ>(some, _mm512_setzero_ps());
            let ks = _mm512_add_epi32(lanes, _mm512_set1_epi32((first + k) as i32));
            _mm512_storeu_ps(values.add(at), _mm512_maskz_compress_ps(set, some));
            let ks = _mm512_cvtepi32_epi16(_mm512_maskz_compress_epi32(set, ks));
            _mm256_storeu_si256(places.add(at).cast(), ks);
            at += set.count_ones() as usize;
        }
    }
    at
}

/// Whether a part of A is sparse enough.
///
/// # Safety
/// As [`product`].
unsafe fn looks_sparse(p: &Product) -> bool {
    let (lines, length, stride) = match p.a_cs {
        // The rows of all panels lie one after the other.
        1 if p.a_gap != PANEL => (p.m * (p.k / PANEL), PANEL, PANEL as isize),
        1 => (p.m, p.k, p.a_rs),
        _ => (p.k, p.m, p.a_cs),
    };
    let (mut count, mut looked) = (0, 0);
    for line in (0..lines).step_by(SAMPLED) {
        // SAFETY: a row or column of A, whichever is adjacent.
        let line = unsafe { std::slice::from_raw_parts(p.a.offset(line as isize * stride), length) };
        count += line.iter().map(|value| u32::from(*value != 0.0)).sum::<u32>() as usize;
        looked += length;
    }
    count as f64 <= max_share() * looked as f64
}

/// Calls `f` with place and value of every number that is not zero, ascending.
#[inline(always)]
fn each_nonzero(values: &[f32], mut f: impl FnMut(usize, f32)) {
    let (chunks, rest) = values.as_chunks::<16>();
    for (at, chunk) in chunks.iter().enumerate() {
        let mut bits = differing_bits(chunk, 0.0);
        while bits != 0 {
            let j = bits.trailing_zeros() as usize;
            f(16 * at + j, chunk[j]);
            bits &= bits - 1;
        }
    }
    for (j, value) in rest.iter().enumerate() {
        if *value != 0.0 {
            f(16 * chunks.len() + j, *value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;
    use crate::rng;

    fn random(len: usize, stream: u64) -> Vec<f32> {
        let mut values = vec![0.0; len];
        rng::gaussian_row(&mut values, 1, stream, 0, 0);
        values
    }

    /// Numbers of which a share is not zero.
    fn sparse(len: usize, share: f32) -> Vec<f32> {
        let mut draws = vec![0.0; len];
        rng::uniform_row(&mut draws, 2, 9, 0, 0);
        let values = random(len, 1);
        draws.iter().zip(values).map(|(u, v)| if *u < share { v } else { 0.0 }).collect()
    }

    /// Whether the product was computed, and the largest difference to the reference.
    fn check(
        (m, k, n): (usize, usize, usize),
        share: f32,
        transposed: (bool, bool),
        accumulate: bool,
    ) -> Option<f32> {
        let strides = |rows: usize, columns: usize, t: bool| if t { (1, rows) } else { (columns, 1) };
        let (a_rs, a_cs) = strides(m, k, transposed.0);
        let (b_rs, b_cs) = strides(k, n, transposed.1);
        let (a, b, mut c) = (sparse(m * k, share), random(k * n, 3), random(m * n, 4));
        let mut expected = c.clone();
        reference::matmul((m, k, n), (&a, a_rs, a_cs), (&b, b_rs, b_cs), (&mut expected, n), accumulate);
        let p = Product::new(
            (m as u64, k as u64, n as u64),
            (a.as_ptr(), a_rs as i64, a_cs as i64),
            (b.as_ptr(), b_rs as i64, b_cs as i64),
            (c.as_mut_ptr(), n as i64),
        );
        let p = Product { accumulate, ..p };
        // SAFETY: the slices have the lengths that sizes and strides say.
        let done = unsafe { product(&p, std::ptr::null()) };
        done.then(|| c.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
    }

    #[test]
    fn sparse_products_are_those_of_the_reference() {
        for size in [(64, 300, 64), (33, 1500, 100), (200, 130, 65), (9, 2100, 40)] {
            for transposed in [(false, false), (true, false), (false, true), (true, true)] {
                for accumulate in [false, true] {
                    for share in [0.0, 0.02, 0.15, 0.3] {
                        let off = check(size, share, transposed, accumulate);
                        assert!(
                            off.is_some_and(|off| off < 1e-4),
                            "{size:?} {transposed:?} {share}: {off:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn dense_and_small_products_are_left_alone() {
        assert_eq!(check((64, 300, 64), 0.6, (false, false), false), None);
        assert_eq!(check((64, 300, 64), 0.6, (true, false), false), None);
        assert_eq!(check((8, 8, 64), 0.0, (false, false), false), None);
        assert_eq!(check((64, 300, 10), 0.0, (false, false), false), None);
    }
}
