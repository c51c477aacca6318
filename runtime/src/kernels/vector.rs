//! Sums of rows in registers, for every width of vectors that a machine may have. No choice of the width.

use super::spikes::TILE;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Adds rows of a tile in registers. Written with the instructions themselves: left to itself the compiler makes pairs of it.
pub(super) trait Vector {
    /// `c = (accumulate ? c : 0) + rows`, the first, third … row and the others on their own; all have [`TILE`] numbers.
    ///
    /// # Safety
    /// `c` and all rows that `entries` name exist, and the machine has the vectors.
    unsafe fn sum(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize);

    /// The same of the first half of the columns.
    ///
    /// # Safety
    /// As [`Vector::sum`].
    unsafe fn sum_half(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize);

    /// [`Vector::sum`] of rows times values, of a tile without gaps between rows.
    ///
    /// # Safety
    /// As [`Vector::sum`].
    unsafe fn weighted_sum(c: *mut f32, accumulate: bool, entries: &[Entry], tile: *const f32);
}

/// A row of a tile in memory of our own. Vectors that lie across cache lines are read at half the speed.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct TileRow(pub [f32; TILE]);

impl TileRow {
    pub const ZERO: TileRow = TileRow([0.0; TILE]);
}

/// A row of a tile and what it is multiplied with.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub k: u32,
    pub value: f32,
}

macro_rules! sums {
    ($vector:ty, $lanes:literal, $load:path, $store:path, $add:path, $zero:expr, $columns:expr,
     ($c:ident, $accumulate:ident, $entries:ident, $tile:ident, $stride:ident)) => {{
        const MANY: usize = $columns / $lanes;
        // SAFETY: the caller's promise.
        unsafe {
            let mut acc: [$vector; MANY] = [$zero; MANY];
            if $accumulate {
                for v in 0..MANY {
                    acc[v] = $load($c.add($lanes * v));
                }
            }
            // Additions wait for the one before: two sums at a time.
            let mut odd: [$vector; MANY] = [$zero; MANY];
            let (pairs, last) = $entries.as_chunks::<2>();
            for pair in pairs {
                let rows = pair.map(|l| $tile.offset(l as isize * $stride));
                for v in 0..MANY {
                    acc[v] = $add(acc[v], $load(rows[0].add($lanes * v)));
                    odd[v] = $add(odd[v], $load(rows[1].add($lanes * v)));
                }
            }
            if let [l] = last {
                let row = $tile.offset(*l as isize * $stride);
                for v in 0..MANY {
                    acc[v] = $add(acc[v], $load(row.add($lanes * v)));
                }
            }
            for v in 0..MANY {
                $store($c.add($lanes * v), $add(acc[v], odd[v]));
            }
        }
    }};
}

macro_rules! vector {
    ($vector:ty, $lanes:literal, $load:path, $store:path, $add:path, $zero:expr, $splat:path, $fma:path) => {
        impl Vector for $vector {
            #[inline(always)]
            unsafe fn sum(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize) {
                sums!(
                    $vector,
                    $lanes,
                    $load,
                    $store,
                    $add,
                    $zero,
                    TILE,
                    (c, accumulate, entries, tile, stride)
                )
            }

            #[inline(always)]
            unsafe fn sum_half(
                c: *mut f32,
                accumulate: bool,
                entries: &[u16],
                tile: *const f32,
                stride: isize,
            ) {
                sums!(
                    $vector,
                    $lanes,
                    $load,
                    $store,
                    $add,
                    $zero,
                    TILE / 2,
                    (c, accumulate, entries, tile, stride)
                )
            }

            #[inline(always)]
            unsafe fn weighted_sum(c: *mut f32, accumulate: bool, entries: &[Entry], tile: *const f32) {
                const MANY: usize = TILE / $lanes;
                // SAFETY: the caller's promise.
                unsafe {
                    let mut acc: [$vector; MANY] = [$zero; MANY];
                    if accumulate {
                        for v in 0..MANY {
                            acc[v] = $load(c.add($lanes * v));
                        }
                    }
                    let mut odd: [$vector; MANY] = [$zero; MANY];
                    let (pairs, last) = entries.as_chunks::<2>();
                    for pair in pairs {
                        let rows = pair.map(|entry| tile.wrapping_add(entry.k as usize * TILE));
                        let values = pair.map(|entry| $splat(entry.value));
                        for v in 0..MANY {
                            acc[v] = $fma(values[0], $load(rows[0].add($lanes * v)), acc[v]);
                            odd[v] = $fma(values[1], $load(rows[1].add($lanes * v)), odd[v]);
                        }
                    }
                    if let [entry] = last {
                        let (row, value) = (tile.wrapping_add(entry.k as usize * TILE), $splat(entry.value));
                        for v in 0..MANY {
                            acc[v] = $fma(value, $load(row.add($lanes * v)), acc[v]);
                        }
                    }
                    for v in 0..MANY {
                        $store(c.add($lanes * v), $add(acc[v], odd[v]));
                    }
                }
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(
    __m512,
    16,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_add_ps,
    _mm512_setzero_ps(),
    _mm512_set1_ps,
    _mm512_fmadd_ps
);
#[cfg(target_arch = "x86_64")]
vector!(
    __m256,
    8,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_add_ps,
    _mm256_setzero_ps(),
    _mm256_set1_ps,
    _mm256_fmadd_ps
);
vector!(
    f32,
    1,
    std::ptr::read,
    std::ptr::write,
    std::ops::Add::add,
    0.0f32,
    std::convert::identity,
    times_plus
);

/// Without a fused operation, which not every machine has.
#[inline(always)]
fn times_plus(a: f32, b: f32, c: f32) -> f32 {
    a * b + c
}
