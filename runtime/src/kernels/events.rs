//! Products of matrices of which the left one is mostly zeros, as spikes are: only what is not zero is multiplied. When to use it is
//! decided here, from the numbers alone, so that the choice and the bits do not depend on threads.
//!
//! Differences to the dense product: sums skip what a zero multiplies, also if that is infinite or NaN.

use super::bits::differing_bits;
use super::matmul::Product;
use super::spikes::piece;
use super::tiles::TILE;
use super::vector::{Entry, TileRow, Vector};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Share of numbers that are not zero above which the dense product is faster (measured with AVX-512; with AVX2 a little less).
const MAX_SHARE: f64 = 0.35;
/// One row (or column) in so many tells whether a look at all of them is worth it.
const SAMPLED: usize = 8;
/// Products smaller than this are not worth a look.
const MIN_WORK: usize = 1 << 18;

/// What lasts from call to call, so that a time loop allocates nothing after its first step.
#[derive(Default)]
struct Scratch {
    /// Numbers of A that are not zero, row after row, k ascending.
    entries: Vec<Entry>,
    /// For each row the first entry that is not done.
    starts: Vec<u32>,
    /// For each row the end of its entries.
    ends: Vec<u32>,
    /// For each row the end of its entries in this piece of k.
    stops: Vec<u32>,
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
    let fits = u32::try_from(p.m.saturating_mul(p.k)).is_ok();
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
        let limit = (MAX_SHARE * (p.m * p.k) as f64) as usize;
        self.entries.clear();
        self.starts.clear();
        self.ends.clear();
        // SAFETY: rows (or columns) of A are adjacent numbers.
        unsafe {
            if !looks_sparse(p) {
                return false;
            }
            if p.a_cs == 1 { self.list_rows(p, limit) } else { self.list_columns(p, limit) }
        }
    }

    /// A with adjacent rows.
    unsafe fn list_rows(&mut self, p: &Product, limit: usize) -> bool {
        for i in 0..p.m {
            // SAFETY: row `i` of A.
            let row = unsafe { std::slice::from_raw_parts(p.a.offset(i as isize * p.a_rs), p.k) };
            self.starts.push(self.entries.len() as u32);
            let entries = &mut self.entries;
            each_nonzero(row, |k, value| entries.push(Entry { k: k as u32, value }));
            if entries.len() > limit {
                return false;
            }
            self.ends.push(entries.len() as u32);
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
        self.entries.resize(total as usize, Entry { k: 0, value: 0.0 });
        for l in 0..p.k {
            each_nonzero(column(l), |i, value| {
                let at = &mut self.ends[i];
                self.entries[*at as usize] = Entry { k: l as u32, value };
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
        unsafe { self.tiles::<f32>(p, tiles) };
        true
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f")]
    unsafe fn tiles_avx512(&mut self, p: &Product, tiles: *const f32) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m512>(p, tiles) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn tiles_avx2(&mut self, p: &Product, tiles: *const f32) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m256>(p, tiles) }
    }

    #[inline(always)]
    unsafe fn tiles<V: Vector>(&mut self, p: &Product, tiles: *const f32) {
        let piece = piece(p.m, p.k, self.entries.len());
        self.tile.resize(piece, TileRow::ZERO);
        let mut k0 = 0;
        while k0 < p.k.max(1) {
            let depth = piece.min(p.k - k0);
            self.ends_of_piece(k0 + depth);
            for j0 in (0..p.n).step_by(TILE) {
                let width = TILE.min(p.n - j0);
                // SAFETY: these rows and columns of B and C exist; entries of the piece are rows of the tile.
                unsafe {
                    // Entries count from the start of k.
                    let tile = if tiles.is_null() {
                        self.pack(p, (k0, j0), depth, width);
                        self.tile.as_ptr().wrapping_sub(k0).cast()
                    } else {
                        tiles.add(j0 / TILE * p.k * TILE)
                    };
                    for i in 0..p.m {
                        self.row::<V>(p, tile, (i, j0), width, p.accumulate || k0 > 0);
                    }
                }
            }
            std::mem::swap(&mut self.starts, &mut self.stops);
            k0 += piece;
        }
    }

    /// For each row the end of its entries before `k`.
    fn ends_of_piece(&mut self, k: usize) {
        self.stops.clear();
        for (start, end) in self.starts.iter().zip(&self.ends) {
            let rest = &self.entries[*start as usize..*end as usize];
            self.stops.push(start + rest.partition_point(|entry| (entry.k as usize) < k) as u32);
        }
    }

    /// Copies a tile of B to adjacent rows, of adjacent rows or adjacent columns.
    #[inline(always)]
    unsafe fn pack(&mut self, p: &Product, (k0, j0): (usize, usize), depth: usize, width: usize) {
        let tile = &mut self.tile[..depth];
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

    /// One row of C in the columns of the tile.
    #[inline(always)]
    unsafe fn row<V: Vector>(
        &self,
        p: &Product,
        tile: *const f32,
        (i, j0): (usize, usize),
        width: usize,
        accumulate: bool,
    ) {
        let entries = &self.entries[self.starts[i] as usize..self.stops[i] as usize];
        if entries.is_empty() && accumulate {
            return;
        }
        // SAFETY: row `i` of C, columns `j0 .. j0 + width`.
        unsafe {
            let c = p.c.offset(i as isize * p.c_rs + j0 as isize);
            if width == TILE {
                return V::weighted_sum(c, accumulate, entries, tile);
            }
            let mut part = [0.0f32; TILE];
            if accumulate {
                std::ptr::copy_nonoverlapping(c, part.as_mut_ptr(), width);
            }
            V::weighted_sum(part.as_mut_ptr(), accumulate, entries, tile);
            std::ptr::copy_nonoverlapping(part.as_ptr(), c, width);
        }
    }
}

/// Whether a part of A is sparse enough.
///
/// # Safety
/// As [`product`].
unsafe fn looks_sparse(p: &Product) -> bool {
    let (lines, length, stride) = if p.a_cs == 1 { (p.m, p.k, p.a_rs) } else { (p.k, p.m, p.a_cs) };
    let (mut count, mut looked) = (0, 0);
    for line in (0..lines).step_by(SAMPLED) {
        // SAFETY: a row or column of A, whichever is adjacent.
        let line = unsafe { std::slice::from_raw_parts(p.a.offset(line as isize * stride), length) };
        count += line.iter().map(|value| u32::from(*value != 0.0)).sum::<u32>() as usize;
        looked += length;
    }
    count as f64 <= MAX_SHARE * looked as f64
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
        let is = |x: usize| x as isize;
        let p = Product {
            m,
            k,
            n,
            a: a.as_ptr(),
            a_rs: is(a_rs),
            a_cs: is(a_cs),
            b: b.as_ptr(),
            b_rs: is(b_rs),
            b_cs: is(b_cs),
            c: c.as_mut_ptr(),
            c_rs: is(n),
            c_cs: 1,
            accumulate,
        };
        // SAFETY: the slices have the lengths that sizes and strides say.
        let done = unsafe { product(&p, std::ptr::null()) };
        done.then(|| c.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max))
    }

    #[test]
    fn sparse_products_are_those_of_the_reference() {
        for size in [(64, 300, 64), (33, 1500, 100), (200, 130, 65), (9, 2100, 40)] {
            for transposed in [(false, false), (true, false), (false, true), (true, true)] {
                for accumulate in [false, true] {
                    for share in [0.0, 0.02, 0.15] {
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
        assert_eq!(check((64, 300, 64), 0.5, (false, false), false), None);
        assert_eq!(check((64, 300, 64), 0.5, (true, false), false), None);
        assert_eq!(check((8, 8, 64), 0.0, (false, false), false), None);
        assert_eq!(check((64, 300, 10), 0.0, (false, false), false), None);
    }
}
