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
    ($vector:ty, $lanes:literal, $load:path, $store:path, $add:path, $zero:expr) => {
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
        }
    };
}

#[cfg(target_arch = "x86_64")]
vector!(__m512, 16, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_add_ps, _mm512_setzero_ps());
#[cfg(target_arch = "x86_64")]
vector!(__m256, 8, _mm256_loadu_ps, _mm256_storeu_ps, _mm256_add_ps, _mm256_setzero_ps());
vector!(f32, 1, std::ptr::read, std::ptr::write, std::ops::Add::add, 0.0f32);
