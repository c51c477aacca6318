//! Products of matrices of which the left one is spikes as `bits`: rows of the right one are added where a bit is set. No spikes
//! with values: those are `events`.
//!
//! In strict mode the bits are numbers again before they are multiplied, so that sums have one order and zeros count.
//! Differences of the fast products to the dense one: sums skip what a zero multiplies, also if that is infinite or NaN.

use super::bits::{DEPTH, Lists, Rows, SLACK, transpose, words};
use super::matmul::{self, Product};
use super::panels;
use super::tiles::TILE;
use super::vector::{TileRow, Vector};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Hints mean nothing on other machines.
#[cfg(not(target_arch = "x86_64"))]
const _MM_HINT_ET0: i32 = 0;
#[cfg(not(target_arch = "x86_64"))]
const _MM_HINT_T1: i32 = 0;

/// Share of spikes above which the dense product is faster (measured with AVX2), and that if a tile fits the first-level cache.
const MAX_SHARE: [f64; 2] = [0.4, 0.5];
/// Rows of a tile that fits the first-level cache.
const SHALLOW: usize = 256;
/// Fewest rows of B of a tile: 32 KiB, as the first-level cache.
const PIECE: usize = 256;
/// Rows of B up to which two tiles are read at once.
const NEAR: usize = 512;
/// Spikes of a row that pay for a tile of its own: the smaller a tile, the nearer it is.
const MANY: usize = 64;
/// Rows of B are copied to a tile if each is used this often; else they are read where they are.
const REUSED: usize = 4;
/// `(m, k, n, a, transposed, b, b_rs, b_cs, tiles, c, c_rs, c_gap)`: C[m, n] = A[m, k] · B[k, n]; `a` is m rows of k bits, or k rows of m;
/// `tiles` is B once more as [`super::tiles::snn_tile_columns`] made it, or null; for the gap see [`super::panels`].
pub type SpikesFn = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    *const u64,
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
/// A, B and C cover what sizes and strides say; C is written by nobody else and overlaps neither A nor B.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_spikes_fast(
    m: u64,
    k: u64,
    n: u64,
    a: *const u64,
    transposed: u64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    tiles: *const f32,
    c: *mut f32,
    c_rs: i64,
    c_gap: u64,
) {
    let product = Product::new((m, k, n), (b, 0, 0), (b, b_rs, b_cs), (c, c_rs));
    // SAFETY: the caller's promise.
    unsafe { of_bits(&Product { c_gap: c_gap as usize, ..product }, a, transposed != 0, tiles, false) }
}

/// The product with the order of sums of [`matmul::snn_matmul_strict`].
///
/// # Safety
/// As [`snn_matmul_spikes_fast`].
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_spikes_strict(
    m: u64,
    k: u64,
    n: u64,
    a: *const u64,
    transposed: u64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    tiles: *const f32,
    c: *mut f32,
    c_rs: i64,
    c_gap: u64,
) {
    let product = Product::new((m, k, n), (b, 0, 0), (b, b_rs, b_cs), (c, c_rs));
    // SAFETY: the caller's promise.
    unsafe { of_bits(&Product { c_gap: c_gap as usize, ..product }, a, transposed != 0, tiles, true) }
}

/// What lasts from call to call, so that a time loop allocates nothing after its first step.
#[derive(Default)]
pub(super) struct Scratch {
    /// Places of the spikes of a piece of k, row after row.
    entries: Vec<u16>,
    /// For each row the end of its entries.
    ends: Vec<u32>,
    /// Length of the pieces of k in which this product is done.
    piece: usize,
    tile: Vec<TileRow>,
    /// Columns as rows.
    turned: Vec<u64>,
    /// Spikes as numbers.
    dense: Vec<f32>,
}

/// What was made before a product.
#[derive(Clone, Copy)]
pub(super) struct Ready {
    /// Of the left factor.
    pub lists: Option<Lists>,
    /// The right factor in tiles, or null.
    pub tiles: *const f32,
    /// The right factor of the product that comes next, of the same form, or null.
    pub after: *const f32,
}

/// Length of the pieces of k for `m` rows with `count` entries: whole words, equal, so long that rows have
/// about [`MANY`] of each.
pub(super) fn piece(m: usize, k: usize, count: usize) -> usize {
    let longest = (MANY * m * k / count.max(1)).next_power_of_two().clamp(PIECE, DEPTH);
    k.div_ceil(k.div_ceil(longest).max(1)).next_multiple_of(64)
}

thread_local! {
    pub(super) static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The product of bits: of `product` everything but A counts.
///
/// # Safety
/// As [`snn_matmul_spikes_fast`].
unsafe fn of_bits(product: &Product, a: *const u64, transposed: bool, tiles: *const f32, strict: bool) {
    let (m, k) = (product.m, product.k);
    SCRATCH.with_borrow_mut(|scratch| {
        let mut turned = std::mem::take(&mut scratch.turned);
        let mut rows = Rows { bits: a, m, k };
        if transposed {
            turned.resize(m * words(k), 0);
            // SAFETY: k rows of m bits.
            transpose(k, m, unsafe { std::slice::from_raw_parts(a, k * words(m)) }, &mut turned);
            rows.bits = turned.as_ptr();
        }
        // SAFETY: the caller's promise.
        unsafe {
            if strict {
                scratch.multiply_strict(rows, product)
            } else {
                scratch.multiply(rows, Ready { lists: None, tiles, after: std::ptr::null() }, product, false)
            }
        }
        scratch.turned = turned;
    });
}

impl Scratch {
    /// C = (accumulate ? C : 0) + rows · B; of `p` everything but A counts.
    ///
    /// # Safety
    /// As [`snn_matmul_spikes_fast`]; what is ready was made of these rows and this B.
    pub unsafe fn multiply(&mut self, rows: Rows, ready: Ready, p: &Product, accumulate: bool) {
        let p = &Product { accumulate, ..*p };
        // SAFETY: the caller's promise.
        unsafe {
            self.piece = DEPTH;
            if ready.lists.is_none() {
                let count = rows.count();
                let share = MAX_SHARE[usize::from(rows.k <= SHALLOW)];
                if count as f64 > share * (rows.m * rows.k) as f64 {
                    self.unpack(rows);
                    return panels::each(&self.of_numbers(p), |p| matmul::dense(p));
                }
                self.piece = piece(rows.m, rows.k, count);
                self.entries.clear();
                self.entries.reserve(count + SLACK);
            }
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f") {
                    return match (rows.k <= 64 && !ready.tiles.is_null(), p.n) {
                        (true, 32) => whole_rows_avx512::<1>(rows, ready.tiles, p),
                        (true, 64) => whole_rows_avx512::<2>(rows, ready.tiles, p),
                        (true, 96) => whole_rows_avx512::<3>(rows, ready.tiles, p),
                        (true, 128) => whole_rows_avx512::<4>(rows, ready.tiles, p),
                        _ => self.tiles_avx512(rows, ready, p),
                    };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
                    return self.tiles_avx2(rows, ready, p);
                }
            }
            self.tiles::<f32, 1>(rows, ready, p);
        }
    }

    /// As [`Scratch::multiply`] into C that counts as 0, in the strict order.
    ///
    /// # Safety
    /// As [`snn_matmul_spikes_fast`].
    pub unsafe fn multiply_strict(&mut self, rows: Rows, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe {
            self.unpack(rows);
            panels::each(&self.of_numbers(p), |p| matmul::ordered(p));
        }
    }

    /// The product with A from [`Scratch::unpack`].
    fn of_numbers(&self, p: &Product) -> Product {
        Product { a: self.dense.as_ptr(), a_rs: p.k as isize, a_cs: 1, ..*p }
    }

    /// Makes numbers of bits.
    unsafe fn unpack(&mut self, rows: Rows) {
        self.dense.clear();
        self.dense.resize(rows.m * rows.k, 0.0);
        for (i, numbers) in self.dense.chunks_mut(rows.k.max(1)).enumerate() {
            // SAFETY: a row of the spikes.
            for (w, mut word) in unsafe { rows.words(i) } {
                while word != 0 {
                    numbers[64 * w + word.trailing_zeros() as usize] = 1.0;
                    word &= word - 1;
                }
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,bmi1,popcnt")]
    unsafe fn tiles_avx512(&mut self, rows: Rows, ready: Ready, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe {
            if self.piece > NEAR {
                self.tiles::<__m512, 1>(rows, ready, p)
            } else {
                self.tiles::<__m512, 2>(rows, ready, p)
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    unsafe fn tiles_avx2(&mut self, rows: Rows, ready: Ready, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m256, 1>(rows, ready, p) }
    }

    #[inline(always)]
    unsafe fn tiles<V: Vector, const T: usize>(&mut self, rows: Rows, ready: Ready, p: &Product) {
        let (columns, piece) = (T * TILE, self.piece);
        self.tile.resize(T * piece, TileRow::ZERO);
        // SAFETY: these rows and columns of A, B and C exist.
        unsafe {
            let lists = ready.lists.unwrap_or_else(|| self.list(rows));
            // All of k before the next columns: these columns of C stay near meanwhile.
            for j0 in (0..p.n).step_by(columns) {
                let width = columns.min(p.n - j0);
                let mut start = 0;
                for (at, k0) in (0..p.k.max(1)).step_by(piece).enumerate() {
                    let depth = piece.min(p.k - k0);
                    let ends = std::slice::from_raw_parts(lists.ends.add(at * rows.m), rows.m);
                    let end = ends.last().map_or(start, |end| *end as usize);
                    let reused = end - start >= REUSED * depth || p.b_cs != 1;
                    let tile = if !ready.tiles.is_null() {
                        Tile {
                            first: ready.tiles.add((j0 / TILE * p.k + k0) * TILE),
                            gap: p.k * TILE,
                            stride: TILE as isize,
                        }
                    } else if reused || width < columns {
                        self.copy(p, (k0, j0), depth, width);
                        Tile { first: self.tile.as_ptr().cast(), gap: piece * TILE, stride: TILE as isize }
                    } else {
                        Tile {
                            first: p.b.offset(k0 as isize * p.b_rs + j0 as isize),
                            gap: TILE,
                            stride: p.b_rs,
                        }
                    };
                    let coming = coming(p, ready, reused, (k0, j0), (depth, piece, columns), rows.m);
                    let entries = (lists.entries, start, ends);
                    rows_of_tile::<V, T>(p, entries, tile, (j0, width), coming, p.accumulate || k0 > 0);
                    start = end;
                }
            }
        }
    }

    /// Lists the spikes of all pieces.
    unsafe fn list(&mut self, rows: Rows) -> Lists {
        let pieces = rows.k.max(1).div_ceil(self.piece);
        self.ends.resize(pieces * rows.m, 0);
        let mut at = 0;
        for (idx, ends) in self.ends.chunks_mut(rows.m.max(1)).enumerate() {
            // SAFETY: room was made for all spikes.
            at = unsafe { rows.list(idx * self.piece, self.piece, self.entries.as_mut_ptr(), at, ends) };
        }
        Lists { entries: self.entries.as_ptr(), ends: self.ends.as_ptr() }
    }

    /// Copies tiles of B to adjacent rows. Columns beyond `width` keep what they had: their sums are not stored.
    #[inline(always)]
    unsafe fn copy(&mut self, p: &Product, (k0, j0): (usize, usize), depth: usize, width: usize) {
        for l in 0..depth {
            for (tile, from) in (0..width).step_by(TILE).enumerate() {
                let TileRow(row) = &mut self.tile[tile * self.piece + l];
                // SAFETY: elements of row `k0 + l` of B from column `j0 + from` on, before `j0 + width`.
                unsafe {
                    let b = p.b.offset((k0 + l) as isize * p.b_rs + (j0 + from) as isize * p.b_cs);
                    if p.b_cs == 1 && width - from >= TILE {
                        *row = *b.cast::<[f32; TILE]>();
                    } else {
                        for (j, value) in row.iter_mut().take(width - from).enumerate() {
                            *value = *b.offset(j as isize * p.b_cs);
                        }
                    }
                }
            }
        }
    }
}

/// Products with one word of spikes a row and few tiles: all columns of a row of C at once, straight from the word.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,bmi1")]
unsafe fn whole_rows_avx512<const TILES: usize>(rows: Rows, tiles: *const f32, p: &Product) {
    for i in 0..rows.m {
        // SAFETY: row `i` of the spikes and of C; a spike's place is a row of each tile.
        unsafe {
            let c = p.c.offset(i as isize * p.c_rs);
            let mut sums = [[_mm512_setzero_ps(); TILE / 16]; TILES];
            for (_, mut word) in rows.words(i) {
                while word != 0 {
                    let row = tiles.add(word.trailing_zeros() as usize * TILE);
                    word &= word - 1;
                    for (j, sums) in sums.iter_mut().enumerate() {
                        for (v, sum) in sums.iter_mut().enumerate() {
                            *sum = _mm512_add_ps(*sum, _mm512_loadu_ps(row.add(j * p.k * TILE + 16 * v)));
                        }
                    }
                }
            }
            for (at, sum) in sums.iter().flatten().enumerate() {
                let to = c.add(16 * at / TILE * p.c_gap + 16 * at % TILE);
                let before = if p.accumulate { _mm512_loadu_ps(to) } else { _mm512_setzero_ps() };
                _mm512_storeu_ps(to, _mm512_add_ps(before, *sum));
            }
        }
    }
}

/// Some tiles: where the first begins, floats from tile to tile and from row to row.
#[derive(Clone, Copy)]
struct Tile {
    first: *const f32,
    gap: usize,
    stride: isize,
}

/// The rows of B of which the next tile is made. A tile's part of a row is two cache lines, and from row to row they lie so far apart that
/// the processor does not see what is coming.
#[derive(Clone, Copy)]
struct Coming {
    next: *const f32,
    stride: isize,
    rows: usize,
    /// Rows to ask for with each row of C.
    each: usize,
}

/// What comes after a piece of some columns: the next piece, the first one of the next columns, or what is ready; nothing if it is near.
#[inline(always)]
fn coming(
    p: &Product,
    ready: Ready,
    reused: bool,
    (k0, j0): (usize, usize),
    (depth, piece, columns): (usize, usize, usize),
    rows: usize,
) -> Coming {
    let each = depth.div_ceil(rows);
    let (k1, j1) = if k0 + piece < p.k { (k0 + piece, j0) } else { (0, j0 + columns) };
    if !ready.tiles.is_null() {
        // Of a piece that is all of k, tiles lie one after the other.
        let next = ready.tiles.wrapping_add((j1 / TILE * p.k + k1) * TILE);
        let next = match () {
            _ if p.k * p.n < FAR && ready.after.is_null() => std::ptr::null(),
            _ if j1 < p.n => next,
            _ => ready.after,
        };
        return Coming { next, stride: columns as isize, rows: depth, each };
    }
    let next = match () {
        _ if !reused || p.b_cs != 1 || p.k * p.b_rs.unsigned_abs() < FAR => std::ptr::null(),
        _ if j1 < p.n => p.b.wrapping_offset(k1 as isize * p.b_rs + j1 as isize),
        _ => ready.after,
    };
    Coming { next, stride: p.b_rs, rows: depth, each }
}

/// Floats of a matrix that is not in the second-level cache any more when its turn comes.
const FAR: usize = 1 << 17;

/// Rows of C that are asked for before they are written.
const AHEAD: isize = 6;

/// Asks for some columns of a row.
#[inline(always)]
pub(super) fn prefetch<const HINT: i32>(row: *const f32, columns: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in 0..columns.div_ceil(16) {
        // SAFETY: an address that does not exist is not asked for.
        unsafe { _mm_prefetch::<HINT>(row.wrapping_add(16 * line).cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, columns);
}

/// All rows of C in the columns of tiles of B. Entries begin at `start`.
#[inline(always)]
unsafe fn rows_of_tile<V: Vector, const T: usize>(
    p: &Product,
    (entries, mut start, ends): (*const u16, usize, &[u32]),
    tile: Tile,
    (j0, width): (usize, usize),
    coming: Coming,
    accumulate: bool,
) {
    let to_columns = j0 / TILE * p.c_gap;
    let is_far = p.m * p.c_rs.unsigned_abs() >= FAR;
    let mut asked = if coming.next.is_null() { coming.rows } else { 0 };
    for (i, end) in ends.iter().enumerate() {
        if is_far {
            let c = p.c.wrapping_offset((i as isize + AHEAD) * p.c_rs).wrapping_add(to_columns);
            prefetch::<_MM_HINT_ET0>(c, width);
        }
        for _ in 0..coming.each {
            if asked < coming.rows {
                let next = coming.next.wrapping_offset(asked as isize * coming.stride);
                prefetch::<_MM_HINT_T1>(next, T * TILE);
                asked += 1;
            }
        }
        // SAFETY: row `i` of C, columns `j0 .. j0 + width`; entries are rows of the tiles.
        unsafe {
            let entries = std::slice::from_raw_parts(entries.add(start), *end as usize - start);
            start = *end as usize;
            if accumulate && entries.is_empty() {
                continue;
            }
            let c = p.c.offset(i as isize * p.c_rs).add(to_columns);
            if width == T * TILE {
                V::sums::<T>((c, p.c_gap), accumulate, entries, tile.first, tile.gap, tile.stride);
            } else {
                part_of_row::<V>((c, p.c_gap), accumulate, entries, tile, width);
            }
        }
    }
}

/// Fewer columns of a row of C than there are in the tiles.
#[inline(always)]
unsafe fn part_of_row<V: Vector>(
    (c, c_gap): (*mut f32, usize),
    accumulate: bool,
    entries: &[u16],
    tile: Tile,
    width: usize,
) {
    for from in (0..width).step_by(TILE) {
        let width = TILE.min(width - from);
        let first = tile.first.wrapping_add(from / TILE * tile.gap);
        let mut part = [0.0f32; TILE];
        // SAFETY: the caller's promise: `width` columns are there.
        unsafe {
            let c = c.add(from / TILE * c_gap);
            if accumulate {
                std::ptr::copy_nonoverlapping(c, part.as_mut_ptr(), width);
            }
            if width <= TILE / 2 {
                V::sum_half(part.as_mut_ptr(), accumulate, entries, first, tile.stride);
            } else {
                V::sum(part.as_mut_ptr(), accumulate, entries, first, tile.stride);
            }
            std::ptr::copy_nonoverlapping(part.as_ptr(), c, width);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
