//! Sums of rows in registers, for every width of vectors that a machine may have. No choice of the width.

use super::tiles::TILE;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Adds rows of a tile in registers. Written with the instructions themselves: left to itself the compiler makes pairs of it.
pub(super) trait Vector {
    /// `c = (accumulate ? c : 0) + rows`, the first, third … row and the others on their own; all have [`TILE`] numbers.
    ///
    /// # Safety
    /// `c` and all rows that `entries` name exist, and the machine has the vectors; behind `entries` are as many more as [`super::bits::SLACK`] says.
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

macro_rules! weighted_sum {
    ($vector:ty, $lanes:literal, $load:path, $store:path, $add:path, $zero:expr, $splat:path, $fma:path) => {
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
                let mut others: [[$vector; MANY]; 3] = [[$zero; MANY]; 3];
                let (fours, rest) = entries.as_chunks::<4>();
                let add = |sums: &mut [$vector; MANY], entry: &Entry| {
                    let (row, value) = (tile.wrapping_add(entry.k as usize * TILE), $splat(entry.value));
                    for v in 0..MANY {
                        sums[v] = $fma(value, $load(row.add($lanes * v)), sums[v]);
                    }
                };
                for [first, second, third, fourth] in fours {
                    add(&mut acc, first);
                    add(&mut others[0], second);
                    add(&mut others[1], third);
                    add(&mut others[2], fourth);
                }
                for entry in rest {
                    add(&mut acc, entry);
                }
                for v in 0..MANY {
                    let pair = $add(others[0][v], others[1][v]);
                    $store(c.add($lanes * v), $add($add(acc[v], others[2][v]), pair));
                }
            }
        }
    };
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

            weighted_sum!($vector, $lanes, $load, $store, $add, $zero, $splat, $fma);
        }
    };
}

#[cfg(target_arch = "x86_64")]
impl Vector for __m512 {
    #[inline(always)]
    unsafe fn sum(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize) {
        // SAFETY: the caller's promise.
        unsafe {
            if stride == TILE as isize {
                sum_avx512::<{ TILE / 16 }>(c, accumulate, entries, tile, TILE as isize);
            } else {
                sum_avx512::<{ TILE / 16 }>(c, accumulate, entries, tile, stride);
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_half(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize) {
        // SAFETY: the caller's promise.
        unsafe { sum_avx512::<{ TILE / 32 }>(c, accumulate, entries, tile, stride) }
    }

    weighted_sum!(
        __m512,
        16,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_add_ps,
        _mm512_setzero_ps(),
        _mm512_set1_ps,
        _mm512_fmadd_ps
    );
}

/// `c = (accumulate ? c : 0) + rows` with `MANY` vectors, as `sums!` adds them. Four places are read at once, and the rows of the last
/// ones are added under a mask: a branch on how many there are is guessed wrong too often.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn sum_avx512<const MANY: usize>(
    c: *mut f32,
    accumulate: bool,
    entries: &[u16],
    tile: *const f32,
    stride: isize,
) {
    // SAFETY: the caller's promise; what is masked out is not read.
    unsafe {
        // Four sums: an addition waits four cycles for the one before, and two can begin in each.
        let mut sums = [[_mm512_setzero_ps(); MANY]; 4];
        if accumulate {
            for (v, sum) in sums[0].iter_mut().enumerate() {
                *sum = _mm512_loadu_ps(c.add(16 * v));
            }
        }
        let (fours, rest) = entries.as_chunks::<4>();
        let row =
            |places: u64, at: usize| tile.wrapping_offset((places >> (16 * at) & 0xffff) as isize * stride);
        for four in fours {
            let places = four.as_ptr().cast::<u64>().read_unaligned();
            for (at, sums) in sums.iter_mut().enumerate() {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = _mm512_add_ps(*sum, _mm512_loadu_ps(row(places, at).wrapping_add(16 * v)));
                }
            }
        }
        // The list goes on behind its end: other rows, or the slack.
        let places = rest.as_ptr().cast::<u64>().read_unaligned();
        for (at, sums) in sums.iter_mut().enumerate().take(3) {
            let mask = if rest.len() > at { u16::MAX } else { 0 };
            for (v, sum) in sums.iter_mut().enumerate() {
                let numbers = _mm512_maskz_loadu_ps(mask, row(places, at).wrapping_add(16 * v));
                *sum = _mm512_mask_add_ps(*sum, mask, *sum, numbers);
            }
        }
        let [first, second, third, fourth] = sums;
        for v in 0..MANY {
            let even = _mm512_add_ps(first[v], third[v]);
            let odd = _mm512_add_ps(second[v], fourth[v]);
            _mm512_storeu_ps(c.add(16 * v), _mm512_add_ps(even, odd));
        }
    }
}

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
