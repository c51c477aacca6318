//! Spikes as bits, and products of matrices of which the left one is spikes: rows of the right one are added where a bit is set.
//! No spikes with values: those are `events`.
//!
//! A row of `k` spikes is `words(k)` words of 64 bits, the first spike in the lowest bit; bits beyond `k` mean nothing.
//! In strict mode the bits are numbers again before they are multiplied, so that sums have one order and zeros count.
//! Differences of the fast products to the dense one: sums skip what a zero multiplies, also if that is infinite or NaN.

use super::matmul::{self, Product};
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::cell::RefCell;

/// Share of spikes above which the dense product is faster (measured with AVX2).
const MAX_SHARE: f64 = 0.3;
/// Columns of C that stay in registers.
const TILE: usize = 32;
/// Rows of B of one tile: 128 KiB, which the second-level cache holds.
const DEPTH: usize = 1024;
/// Rows of B are copied to a tile if each is used this often; else they are read where they are.
const REUSED: usize = 4;
/// Parts of a product over all shards. Part of the result in no mode: each number of C is made by one part.
pub const PARTS: usize = 8;

/// 64-bit words of a row of `n` spikes.
pub fn words(n: usize) -> usize {
    n.div_ceil(64)
}

/// Sets the bits of what is not zero in the memory of `2 * words(values.len())` floats; gives whether all else is 1.
pub fn pack(values: &[f32], bits: &mut [f32]) -> bool {
    let mut strange = 0;
    for (chunk, word) in values.chunks(64).zip(bits.as_chunks_mut::<2>().0) {
        let mut set = 0u64;
        for (at, sixteen) in chunk.chunks(16).enumerate() {
            let mut all = [0.0; 16];
            let sixteen = match sixteen.first_chunk() {
                Some(whole) => whole,
                None => {
                    all[..sixteen.len()].copy_from_slice(sixteen);
                    &all
                }
            };
            let bits = differing_bits(sixteen, 0.0);
            strange |= !bits ^ differing_bits(sixteen, 1.0);
            set |= u64::from(bits) << (16 * at);
        }
        *word = [f32::from_bits(set as u32), f32::from_bits((set >> 32) as u32)];
    }
    strange & 0xffff == 0
}

/// Bit `j` says whether number `j` differs from `from`; every x86-64 has the instructions.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
pub(super) fn differing_bits(chunk: &[f32; 16], from: f32) -> u32 {
    let mut bits = 0;
    for (at, quarter) in chunk.as_chunks::<4>().0.iter().enumerate() {
        // SAFETY: four numbers are read.
        let some =
            unsafe { _mm_movemask_ps(_mm_cmpneq_ps(_mm_loadu_ps(quarter.as_ptr()), _mm_set1_ps(from))) };
        bits |= (some as u32) << (4 * at);
    }
    bits
}

/// Bit `j` says whether number `j` differs from `from`.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
pub(super) fn differing_bits(chunk: &[f32; 16], from: f32) -> u32 {
    chunk.iter().enumerate().fold(0, |bits, (j, value)| bits | u32::from(*value != from) << j)
}

/// `(m, k, n, a, transposed, b, b_rs, b_cs, c, c_rs)`: C[m, n] = A[m, k] · B[k, n]; `a` is m rows of k bits, or k rows of m.
pub type SpikesFn = unsafe extern "C" fn(u64, u64, u64, *const u64, u64, *const f32, i64, i64, *mut f32, i64);

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
    c: *mut f32,
    c_rs: i64,
) {
    // SAFETY: the caller's promise.
    unsafe { of_bits((m, k, n), a, transposed != 0, (b, b_rs, b_cs), (c, c_rs), false) }
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
    c: *mut f32,
    c_rs: i64,
) {
    // SAFETY: the caller's promise.
    unsafe { of_bits((m, k, n), a, transposed != 0, (b, b_rs, b_cs), (c, c_rs), true) }
}

/// `(rows, k, bits, out)`: the k rows of `rows` bits of which `bits` are the columns.
pub type TransposeFn = unsafe extern "C" fn(u64, u64, *const u64, *mut u64);

/// Exchanges rows and columns.
///
/// # Safety
/// `bits` has `rows * words(k)` words, `out` has `k * words(rows)` and is written by nobody else.
pub unsafe extern "C" fn snn_transpose_spikes(rows: u64, k: u64, bits: *const u64, out: *mut u64) {
    let (rows, k) = (rows as usize, k as usize);
    // SAFETY: the caller's promise.
    unsafe {
        let bits = std::slice::from_raw_parts(bits, rows * words(k));
        transpose(rows, k, bits, std::slice::from_raw_parts_mut(out, k * words(rows)));
    }
}

/// `(m, k, n, a, is_spikes, a_rs, a_cs, b, b_rs, c, part, shards, stride)`: C[m, n] is the sum of A[m, k] · B[k, n] over shards, of
/// which A and B lie `stride` floats apart. Of C only what belongs to `part` is written. With `is_spikes`, A is m rows of
/// k bits.
pub type ShardsFn =
    unsafe extern "C" fn(u64, u64, u64, *const f32, u64, i64, i64, *const f32, i64, *mut f32, u64, u64, u64);

/// The sum of products in the order that is fastest on this machine.
///
/// # Safety
/// A, B and C cover what sizes and strides say; `part` of C is written by nobody else, and C overlaps neither A nor B.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_shards_fast(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    is_spikes: u64,
    a_rs: i64,
    a_cs: i64,
    b: *const f32,
    b_rs: i64,
    c: *mut f32,
    part: u64,
    shards: u64,
    stride: u64,
) {
    let all = Shards::new((m, k, n), (a, is_spikes, a_rs, a_cs), (b, b_rs), c, part);
    if all.rows.is_empty() || all.columns.is_empty() {
        return;
    }
    for shard in 0..shards {
        // SAFETY: the caller's promise.
        unsafe {
            match all.of(shard * stride) {
                (Some(bits), product) => SCRATCH.with_borrow_mut(|s| s.multiply(bits, &product, shard > 0)),
                (None, product) => matmul::fast(&Product { accumulate: shard > 0, ..product }),
            }
        }
    }
}

/// The sum of products: that of each shard as [`matmul::snn_matmul_strict`], and these added from 0 on.
///
/// # Safety
/// As [`snn_matmul_shards_fast`].
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_shards_strict(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    is_spikes: u64,
    a_rs: i64,
    a_cs: i64,
    b: *const f32,
    b_rs: i64,
    c: *mut f32,
    part: u64,
    shards: u64,
    stride: u64,
) {
    let all = Shards::new((m, k, n), (a, is_spikes, a_rs, a_cs), (b, b_rs), c, part);
    let mut sums = vec![0.0f32; all.rows.len() * all.columns.len()];
    for shard in 0..shards {
        // SAFETY: the caller's promise; `sums` has room for this part.
        unsafe {
            let (bits, product) = all.of(shard * stride);
            let local = Product { c: sums.as_mut_ptr(), c_rs: all.columns.len() as isize, ..product };
            match bits {
                Some(bits) => SCRATCH.with_borrow_mut(|s| s.multiply_strict(bits, &local)),
                None => matmul::ordered(&local),
            }
            for (i, row) in sums.chunks(all.columns.len().max(1)).enumerate() {
                let c = product.c.offset(i as isize * product.c_rs);
                for (j, sum) in row.iter().enumerate() {
                    let before = if shard == 0 { 0.0 } else { *c.add(j) };
                    *c.add(j) = before + sum;
                }
            }
        }
    }
}

/// One part of a sum of products over shards.
struct Shards {
    /// Of shard 0 and all of C.
    whole: Product,
    is_spikes: bool,
    rows: std::ops::Range<usize>,
    columns: std::ops::Range<usize>,
}

impl Shards {
    fn new(
        (m, k, n): (u64, u64, u64),
        (a, is_spikes, a_rs, a_cs): (*const f32, u64, i64, i64),
        (b, b_rs): (*const f32, i64),
        c: *mut f32,
        part: u64,
    ) -> Shards {
        let whole = Product {
            m: m as usize,
            k: k as usize,
            n: n as usize,
            a,
            a_rs: a_rs as isize,
            a_cs: a_cs as isize,
            b,
            b_rs: b_rs as isize,
            b_cs: 1,
            c,
            c_rs: n as isize,
            c_cs: 1,
            accumulate: false,
        };
        let is_spikes = is_spikes != 0;
        // Spikes are listed once for each part, so that parts are columns; dense products like squares.
        let (across, part) = (if is_spikes { PARTS } else { 2 }, part as usize);
        let slice = |len: usize, parts: usize, part: usize| {
            let step = len.div_ceil(parts).next_multiple_of(TILE);
            (part * step).min(len)..((part + 1) * step).min(len)
        };
        Shards {
            rows: slice(whole.m, PARTS / across, part / across),
            columns: slice(whole.n, across, part % across),
            is_spikes,
            whole,
        }
    }

    /// The part of a shard whose A and B lie `offset` floats after the first.
    unsafe fn of(&self, offset: u64) -> (Option<Rows>, Product) {
        let w = &self.whole;
        let (i, j) = (self.rows.start as isize, self.columns.start as isize);
        // SAFETY: rows and columns are those of A, B and C, or there are none.
        let (a, b, c) = unsafe {
            (
                w.a.add(offset as usize),
                w.b.add(offset as usize).wrapping_offset(j),
                w.c.wrapping_offset(i * w.c_rs + j),
            )
        };
        let bits = self.is_spikes.then_some(Rows { bits: a.cast(), m: w.m, k: w.k });
        let a = if self.is_spikes { a } else { a.wrapping_offset(i * w.a_rs) };
        (bits, Product { m: self.rows.len(), n: self.columns.len(), a, b, c, ..*w })
    }
}

/// `m` rows of `k` spikes.
#[derive(Clone, Copy)]
struct Rows {
    bits: *const u64,
    m: usize,
    k: usize,
}

impl Rows {
    /// The words of a row; bits beyond `k` are 0.
    #[inline(always)]
    unsafe fn words(&self, i: usize) -> impl Iterator<Item = (usize, u64)> {
        let all = words(self.k);
        // SAFETY: row `i`.
        let row = unsafe { std::slice::from_raw_parts(self.bits.add(i * all), all) };
        let rest = self.k % 64;
        let last = if rest == 0 { u64::MAX } else { (1 << rest) - 1 };
        row.iter().enumerate().map(move |(w, word)| (w, if w + 1 == all { word & last } else { *word }))
    }
}

/// What lasts from call to call, so that a time loop allocates nothing after its first step.
#[derive(Default)]
struct Scratch {
    /// Places of the spikes of a piece of k, row after row.
    entries: Vec<u16>,
    /// For each row the end of its entries.
    ends: Vec<u32>,
    tile: Vec<f32>,
    /// Columns as rows.
    turned: Vec<u64>,
    /// Spikes as numbers.
    dense: Vec<f32>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// The product of bits.
///
/// # Safety
/// As [`snn_matmul_spikes_fast`].
unsafe fn of_bits(
    (m, k, n): (u64, u64, u64),
    a: *const u64,
    transposed: bool,
    (b, b_rs, b_cs): (*const f32, i64, i64),
    (c, c_rs): (*mut f32, i64),
    strict: bool,
) {
    let (m, k, n) = (m as usize, k as usize, n as usize);
    let product = Product {
        m,
        k,
        n,
        a: b,
        a_rs: 0,
        a_cs: 0,
        b,
        b_rs: b_rs as isize,
        b_cs: b_cs as isize,
        c,
        c_rs: c_rs as isize,
        c_cs: 1,
        accumulate: false,
    };
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
                scratch.multiply_strict(rows, &product)
            } else {
                scratch.multiply(rows, &product, false)
            }
        }
        scratch.turned = turned;
    });
}

/// `out[j][i] = bits[i][j]`: `rows` rows of `k` bits become `k` rows.
fn transpose(rows: usize, k: usize, bits: &[u64], out: &mut [u64]) {
    let (from, to) = (words(k), words(rows));
    let mut block = [0u64; 64];
    for i0 in 0..to {
        for j0 in 0..from {
            for (i, word) in block.iter_mut().enumerate() {
                *word = if 64 * i0 + i < rows { bits[(64 * i0 + i) * from + j0] } else { 0 };
            }
            transpose_block(&mut block);
            for (j, word) in block.iter().enumerate().take(k - 64 * j0) {
                out[(64 * j0 + j) * to + i0] = *word;
            }
        }
    }
}

/// 64 rows of 64 bits, by exchanging quarters of ever smaller squares.
fn transpose_block(block: &mut [u64; 64]) {
    let (mut width, mut mask) = (32, u64::MAX >> 32);
    while width != 0 {
        let mut i = 0;
        while i < 64 {
            let swap = ((block[i] >> width) ^ block[i + width]) & mask;
            block[i] ^= swap << width;
            block[i + width] ^= swap;
            i = (i + width + 1) & !width;
        }
        width /= 2;
        mask ^= mask << width;
    }
}

impl Scratch {
    /// C = (accumulate ? C : 0) + rows · B; of `p` everything but A counts.
    ///
    /// # Safety
    /// As [`snn_matmul_spikes_fast`].
    unsafe fn multiply(&mut self, rows: Rows, p: &Product, accumulate: bool) {
        let p = &Product { accumulate, ..*p };
        // SAFETY: the caller's promise.
        unsafe {
            let count: u64 =
                (0..rows.m).map(|i| rows.words(i).map(|(_, w)| u64::from(w.count_ones())).sum::<u64>()).sum();
            if count as f64 > MAX_SHARE * (rows.m * rows.k) as f64 {
                self.unpack(rows);
                return matmul::dense(&self.of_numbers(p));
            }
            self.tile.resize(DEPTH * TILE, 0.0);
            #[cfg(target_arch = "x86_64")]
            {
                if is_x86_feature_detected!("avx512f") {
                    return self.tiles_avx512(rows, p);
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
                    return self.tiles_avx2(rows, p);
                }
            }
            self.tiles::<f32>(rows, p);
        }
    }

    /// As [`Scratch::multiply`] into C that counts as 0, in the strict order.
    ///
    /// # Safety
    /// As [`snn_matmul_spikes_fast`].
    unsafe fn multiply_strict(&mut self, rows: Rows, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe {
            self.unpack(rows);
            matmul::ordered(&self.of_numbers(p));
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
    unsafe fn tiles_avx512(&mut self, rows: Rows, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m512>(rows, p) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,popcnt")]
    unsafe fn tiles_avx2(&mut self, rows: Rows, p: &Product) {
        // SAFETY: the caller's promise.
        unsafe { self.tiles::<__m256>(rows, p) }
    }

    #[inline(always)]
    unsafe fn tiles<V: Vector>(&mut self, rows: Rows, p: &Product) {
        let mut k0 = 0;
        loop {
            let depth = DEPTH.min(p.k - k0);
            // SAFETY: these rows and columns of A, B and C exist.
            unsafe {
                self.list(rows, k0);
                let reused = self.entries.len() >= REUSED * depth || p.b_cs != 1;
                for j0 in (0..p.n).step_by(TILE) {
                    let width = TILE.min(p.n - j0);
                    let tile = if reused || width < TILE {
                        self.copy(p, (k0, j0), depth, width);
                        (self.tile.as_ptr(), TILE as isize)
                    } else {
                        (p.b.offset(k0 as isize * p.b_rs + j0 as isize), p.b_rs)
                    };
                    self.rows_of_tile::<V>(p, tile, j0, width, p.accumulate || k0 > 0);
                }
            }
            k0 += DEPTH;
            if k0 >= p.k {
                break;
            }
        }
    }

    /// Lists the spikes from `k0` on.
    #[inline(always)]
    unsafe fn list(&mut self, rows: Rows, k0: usize) {
        let piece = k0 / 64..(k0 + DEPTH) / 64;
        self.entries.clear();
        self.ends.clear();
        for i in 0..rows.m {
            // SAFETY: a row of the spikes.
            for (w, mut word) in unsafe { rows.words(i) }.skip(piece.start).take(piece.len()) {
                let base = (64 * w - k0) as u16;
                let many = word.count_ones() as usize;
                self.entries.reserve(many);
                let end = self.entries.len();
                // SAFETY: room for `many` more, of which all are written.
                unsafe {
                    let mut to = self.entries.as_mut_ptr().add(end);
                    while word != 0 {
                        to.write(base + word.trailing_zeros() as u16);
                        to = to.add(1);
                        word &= word - 1;
                    }
                    self.entries.set_len(end + many);
                }
            }
            self.ends.push(self.entries.len() as u32);
        }
    }

    /// Copies a tile of B to adjacent rows. Columns beyond `width` keep what they had: their sums are not stored.
    #[inline(always)]
    unsafe fn copy(&mut self, p: &Product, (k0, j0): (usize, usize), depth: usize, width: usize) {
        for (l, row) in self.tile.as_chunks_mut::<TILE>().0[..depth].iter_mut().enumerate() {
            // SAFETY: element (k0 + l, j0) of B and the `width - 1` after it.
            unsafe {
                let b = p.b.offset((k0 + l) as isize * p.b_rs + j0 as isize * p.b_cs);
                if p.b_cs == 1 && width == TILE {
                    *row = *b.cast::<[f32; TILE]>();
                } else {
                    for (j, value) in row[..width].iter_mut().enumerate() {
                        *value = *b.offset(j as isize * p.b_cs);
                    }
                }
            }
        }
    }

    /// All rows of C in the columns of a tile of B, of which `tile` gives the start and floats from row to row.
    #[inline(always)]
    unsafe fn rows_of_tile<V: Vector>(
        &self,
        p: &Product,
        (tile, stride): (*const f32, isize),
        j0: usize,
        width: usize,
        accumulate: bool,
    ) {
        let mut start = 0;
        let mut part = [0.0f32; TILE];
        for (i, end) in self.ends.iter().enumerate() {
            let entries = &self.entries[start..*end as usize];
            start = *end as usize;
            // SAFETY: row `i` of C, columns `j0 .. j0 + width`; entries are rows of the tile.
            unsafe {
                let c = p.c.offset(i as isize * p.c_rs + j0 as isize);
                if width == TILE {
                    V::sum(c, accumulate, entries, tile, stride);
                    continue;
                }
                if accumulate {
                    std::ptr::copy_nonoverlapping(c, part.as_mut_ptr(), width);
                }
                V::sum(part.as_mut_ptr(), accumulate, entries, tile, stride);
                std::ptr::copy_nonoverlapping(part.as_ptr(), c, width);
            }
        }
    }
}

/// Adds rows of a tile in registers. Written with the instructions themselves: left to itself the compiler makes pairs of it.
trait Vector {
    /// `c = (accumulate ? c : 0) + rows`; all of them have [`TILE`] numbers.
    ///
    /// # Safety
    /// `c` and all rows that `entries` name exist, and the machine has the vectors.
    unsafe fn sum(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize);
}

macro_rules! vector {
    ($vector:ty, $lanes:literal, $load:path, $store:path, $add:path, $zero:expr) => {
        impl Vector for $vector {
            #[inline(always)]
            unsafe fn sum(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize) {
                const MANY: usize = TILE / $lanes;
                // SAFETY: the caller's promise.
                unsafe {
                    let mut acc: [$vector; MANY] = [$zero; MANY];
                    if accumulate {
                        for v in 0..MANY {
                            acc[v] = $load(c.add($lanes * v));
                        }
                    }
                    for l in entries {
                        let row = tile.offset(*l as isize * stride);
                        for v in 0..MANY {
                            acc[v] = $add(acc[v], $load(row.add($lanes * v)));
                        }
                    }
                    for v in 0..MANY {
                        $store(c.add($lanes * v), acc[v]);
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(__m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_setzero_ps());
#[cfg(target_arch = "x86_64")]
vector!(__m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_setzero_ps());
vector!(f32, 1, std::ptr::read, std::ptr::write, std::ops::Add::add, 0.0f32);

#[cfg(test)]
mod tests;
