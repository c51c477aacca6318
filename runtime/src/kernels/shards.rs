//! Products over the shards of a batch, part by part: their sums, which are weight gradients, and those of each shard with the same right
//! factor. No products of one shard: those are `matmul`, `tiles` and `spikes`.

use super::bits::Rows;
use super::matmul::{self, Product};
use super::panels::{self, PANEL};
use super::spikes::{Ready, SCRATCH};
use super::tiles::{self, TILE, tiled_floats};
use std::cell::RefCell;

/// Parts of a product over all shards. Part of the result in no mode: each number of C is made by one part.
pub const PARTS: usize = 8;

/// Products with fewer terms are memory traffic: C is read and written for each shard.
const SHORT: usize = 64;

thread_local! {
    /// A and B of all shards.
    static GATHERED: RefCell<(Vec<f32>, Vec<f32>)> = RefCell::default();
}

/// `(m, k, n, a, is_spikes, a_rs, a_cs, b, b_rs, b_gap, c, part, shards, stride)`: C[m, n] is the sum of A[m, k] · B[k, n] over shards, of
/// which A and B lie `stride` floats apart. Of C only what belongs to `part` is written. With `is_spikes`, A is
/// what `snn_turn_spikes` made of k rows of m bits; for the gap see [`super::panels`].
pub type ShardsFn = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    *const f32,
    u64,
    i64,
    i64,
    *const f32,
    i64,
    u64,
    *mut f32,
    u64,
    u64,
    u64,
);

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
    b_gap: u64,
    c: *mut f32,
    part: u64,
    shards: u64,
    stride: u64,
) {
    let all = Shards::new((m, k, n), (a, is_spikes, a_rs, a_cs), (b, b_rs, b_gap), c, part);
    if all.rows.is_empty() || all.columns.is_empty() {
        return;
    }
    if !all.is_spikes && a_rs == 1 && (k as usize) < SHORT && b_gap == PANEL as u64 {
        // SAFETY: the caller's promise.
        return unsafe { all.as_one(shards, stride) };
    }
    for shard in 0..shards {
        // SAFETY: the caller's promise.
        unsafe {
            match all.of(shard * stride) {
                (Some(bits), product) => SCRATCH.with_borrow_mut(|s| {
                    let after = match shard + 1 < shards {
                        true => product.b.wrapping_add(stride as usize),
                        false => std::ptr::null(),
                    };
                    // Panels are tiles already.
                    let tiles = if product.b_gap == PANEL { std::ptr::null() } else { product.b };
                    let ready = Ready { lists: bits.lists(), tiles, after };
                    s.multiply(bits, ready, &product, shard > 0)
                }),
                (None, product) => {
                    let product = Product { accumulate: shard > 0, ..product };
                    panels::each(&product, |p| matmul::fast(p));
                }
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
    b_gap: u64,
    c: *mut f32,
    part: u64,
    shards: u64,
    stride: u64,
) {
    let all = Shards::new((m, k, n), (a, is_spikes, a_rs, a_cs), (b, b_rs, b_gap), c, part);
    let mut sums = vec![0.0f32; all.rows.len() * all.columns.len()];
    for shard in 0..shards {
        // SAFETY: the caller's promise; `sums` has room for this part.
        unsafe {
            let (bits, product) = all.of(shard * stride);
            let local = Product { c: sums.as_mut_ptr(), c_rs: all.columns.len() as isize, ..product };
            match bits {
                Some(bits) => SCRATCH.with_borrow_mut(|s| s.multiply_strict(bits, &local)),
                None => panels::each(&local, |p| matmul::ordered(p)),
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

/// `(m, k, n, a, a_rs, b, b_rs, b_cs, tiles, c, c_rs, c_gap, part, shards, stride)`: C[m, n] of each shard is A[m, k] of that shard times B[k, n]; A and C
/// lie `stride` floats apart. Of each C only the columns that belong to `part` are written. `tiles` is B once more.
pub type EachFn = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    *const f32,
    i64,
    *const f32,
    i64,
    i64,
    *const f32,
    *mut f32,
    i64,
    u64,
    u64,
    u64,
    u64,
);

macro_rules! each {
    ($(#[$doc:meta])* $name:ident, $product:expr) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name(
            m: u64,
            k: u64,
            n: u64,
            a: *const f32,
            a_rs: i64,
            b: *const f32,
            b_rs: i64,
            b_cs: i64,
            tiles: *const f32,
            c: *mut f32,
            c_rs: i64,
            c_gap: u64,
            part: u64,
            shards: u64,
            stride: u64,
        ) {
            let whole = Product::new((m, k, n), (a, a_rs, 1), (b, b_rs, b_cs), (c, c_rs));
            let whole = Product { c_gap: c_gap as usize, ..whole };
            let columns = slice(whole.n, PARTS, part as usize);
            // A part may be empty, and then begins behind the end.
            let tiles = tiles.wrapping_add(columns.start * whole.k);
            for shard in 0..if columns.is_empty() { 0 } else { shards as usize } {
                let (at, first) = (shard * stride as usize, columns.start as isize);
                let p = Product {
                    n: columns.len(),
                    a: a.wrapping_add(at),
                    b: b.wrapping_offset(first * whole.b_cs),
                    c: c.wrapping_add(at + columns.start / TILE * whole.c_gap),
                    ..whole
                };
                // SAFETY: the caller's promise; a part begins with a tile.
                unsafe { $product(&p, tiles) }
            }
        }
    };
}

each! {
    /// The products in the order that is fastest on this machine.
    ///
    /// # Safety
    /// A, B, tiles and C cover what sizes and strides say; `part` of C is written by nobody else, and C overlaps nothing else.
    snn_matmul_each_fast, tiles::product
}

each! {
    /// The products with the order of sums of [`matmul::snn_matmul_strict`].
    ///
    /// # Safety
    /// As [`snn_matmul_each_fast`].
    snn_matmul_each_strict, |p: &Product, _| panels::each(p, |p| matmul::ordered(p))
}

/// What part `part` of `parts` has of `len` columns or rows: whole tiles.
fn slice(len: usize, parts: usize, part: usize) -> std::ops::Range<usize> {
    let step = len.div_ceil(parts).next_multiple_of(TILE);
    (part * step).min(len)..((part + 1) * step).min(len)
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
        (b, b_rs, b_gap): (*const f32, i64, u64),
        c: *mut f32,
        part: u64,
    ) -> Shards {
        let whole = Product::new((m, k, n), (a, a_rs, a_cs), (b, b_rs, 1), (c, n as i64));
        let whole = Product { b_gap: b_gap as usize, ..whole };
        let is_spikes = is_spikes != 0;
        // Spikes are listed once for each part, so that parts are columns; dense products like squares.
        let (across, part) = (if is_spikes { PARTS } else { 2 }, part as usize);
        Shards {
            rows: slice(whole.m, PARTS / across, part / across),
            columns: slice(whole.n, across, part % across),
            is_spikes,
            whole,
        }
    }

    /// The part as one product of all shards, of which A has adjacent rows.
    unsafe fn as_one(&self, shards: u64, stride: u64) {
        GATHERED.with_borrow_mut(|(a, b)| {
            let (k, m, n) = (self.whole.k * shards as usize, self.rows.len(), self.columns.len());
            a.resize(k * m, 0.0);
            b.resize(tiled_floats(k, n), 0.0);
            for (l, a) in a.chunks_mut(m).enumerate() {
                // SAFETY: rows and columns are those of A and B.
                unsafe {
                    let (_, p) = self.of((l / self.whole.k) as u64 * stride);
                    let row = (l % self.whole.k) as isize;
                    a.copy_from_slice(std::slice::from_raw_parts(p.a.offset(row * p.a_cs), m));
                    let from = std::slice::from_raw_parts(p.b.offset(row * p.b_rs), n);
                    for (j, from) in from.chunks(TILE).enumerate() {
                        b[(j * k + l) * TILE..][..from.len()].copy_from_slice(from);
                    }
                }
            }
            // SAFETY: the part of C is this one's.
            unsafe {
                let (_, p) = self.of(0);
                let p = Product { a: a.as_ptr(), a_cs: m as isize, k, b: std::ptr::null(), ..p };
                tiles::product(&p, b.as_ptr());
            }
        });
    }

    /// The part of a shard whose A and B lie `offset` floats after the first.
    unsafe fn of(&self, offset: u64) -> (Option<Rows>, Product) {
        let w = &self.whole;
        let (i, j) = (self.rows.start as isize, self.columns.start as isize);
        // SAFETY: rows and columns are those of A, B and C, or there are none.
        let (a, b, c) = unsafe {
            (
                w.a.add(offset as usize),
                w.b.add(offset as usize + self.columns.start / TILE * w.b_gap),
                w.c.wrapping_offset(i * w.c_rs + j),
            )
        };
        let bits = self.is_spikes.then_some(Rows { bits: a.cast(), m: w.m, k: w.k });
        let a = if self.is_spikes { a } else { a.wrapping_offset(i * w.a_rs) };
        (bits, Product { m: self.rows.len(), n: self.columns.len(), a, b, c, ..*w })
    }
}

#[cfg(test)]
mod tests;
