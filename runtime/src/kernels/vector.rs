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

    /// [`Vector::sum`] of `TILES` tiles that lie `gap` floats apart, and their results `c_gap`: fewer places are read for each number.
    ///
    /// # Safety
    /// As [`Vector::sum`].
    #[inline(always)]
    unsafe fn sums<const TILES: usize>(
        (c, c_gap): (*mut f32, usize),
        accumulate: bool,
        entries: &[u16],
        tile: *const f32,
        gap: usize,
        stride: isize,
    ) {
        for t in 0..TILES {
            // SAFETY: the caller's promise.
            unsafe { Self::sum(c.add(t * c_gap), accumulate, entries, tile.wrapping_add(t * gap), stride) }
        }
    }

    /// [`Vector::sum`] of rows times values, of a tile without gaps between rows.
    ///
    /// # Safety
    /// As [`Vector::sum`]; behind places and values are three more.
    unsafe fn weighted_sum(c: *mut f32, accumulate: bool, entries: Weighted, tile: *const f32);

    /// [`Vector::weighted_sum`] of `TILES` tiles that lie `gap` floats apart, and their results `c_gap`.
    ///
    /// # Safety
    /// As [`Vector::weighted_sum`].
    #[inline(always)]
    unsafe fn weighted_sums<const TILES: usize>(
        (c, c_gap): (*mut f32, usize),
        accumulate: bool,
        entries: Weighted,
        (tile, gap): (*const f32, usize),
    ) {
        for t in 0..TILES {
            // SAFETY: the caller's promise.
            unsafe { Self::weighted_sum(c.add(t * c_gap), accumulate, entries, tile.wrapping_add(t * gap)) }
        }
    }
}

/// A row of a tile in memory of our own. Vectors that lie across cache lines are read at half the speed.
#[derive(Clone, Copy)]
#[repr(align(64))]
pub(super) struct TileRow(pub [f32; TILE]);

impl TileRow {
    pub const ZERO: TileRow = TileRow([0.0; TILE]);
}

/// Rows of a tile and what they are multiplied with.
#[derive(Clone, Copy)]
pub(super) struct Weighted<'a> {
    pub places: &'a [u16],
    pub values: &'a [f32],
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
        unsafe fn weighted_sum(c: *mut f32, accumulate: bool, entries: Weighted, tile: *const f32) {
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
                let (fours, rest) = entries.places.as_chunks::<4>();
                let (values, last) = entries.values.as_chunks::<4>();
                let add = |sums: &mut [$vector; MANY], place: u16, value: f32| {
                    let (row, value) = (tile.wrapping_add(place as usize * TILE), $splat(value));
                    for v in 0..MANY {
                        sums[v] = $fma(value, $load(row.add($lanes * v)), sums[v]);
                    }
                };
                for (places, values) in fours.iter().zip(values) {
                    add(&mut acc, places[0], values[0]);
                    add(&mut others[0], places[1], values[1]);
                    add(&mut others[1], places[2], values[2]);
                    add(&mut others[2], places[3], values[3]);
                }
                for (place, value) in rest.iter().zip(last) {
                    add(&mut acc, *place, *value);
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
        unsafe { sum_avx512::<{ TILE / 16 }, 1, 4>((c, 0), accumulate, entries, (tile, 0, stride)) }
    }

    #[inline(always)]
    unsafe fn sum_half(c: *mut f32, accumulate: bool, entries: &[u16], tile: *const f32, stride: isize) {
        // SAFETY: the caller's promise.
        unsafe { sum_avx512::<{ TILE / 32 }, 1, 4>((c, 0), accumulate, entries, (tile, 0, stride)) }
    }

    #[inline(always)]
    unsafe fn sums<const TILES: usize>(
        c: (*mut f32, usize),
        accumulate: bool,
        entries: &[u16],
        tile: *const f32,
        gap: usize,
        stride: isize,
    ) {
        // SAFETY: the caller's promise.
        unsafe {
            if stride == TILE as isize {
                sum_avx512::<{ TILE / 16 }, TILES, 4>(c, accumulate, entries, (tile, gap, TILE as isize));
            } else {
                sum_avx512::<{ TILE / 16 }, TILES, 4>(c, accumulate, entries, (tile, gap, stride));
            }
        }
    }

    #[inline(always)]
    unsafe fn weighted_sum(c: *mut f32, accumulate: bool, entries: Weighted, tile: *const f32) {
        // SAFETY: the caller's promise.
        unsafe { weighted_avx512::<1>((c, 0), accumulate, entries, (tile, 0)) }
    }

    #[inline(always)]
    unsafe fn weighted_sums<const TILES: usize>(
        c: (*mut f32, usize),
        accumulate: bool,
        entries: Weighted,
        tiles: (*const f32, usize),
    ) {
        // SAFETY: the caller's promise.
        unsafe { weighted_avx512::<TILES>(c, accumulate, entries, tiles) }
    }
}

/// [`Vector::weighted_sums`], as [`sum_avx512`] adds them.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators keep the sums in memory")]
unsafe fn weighted_avx512<const TILES: usize>(
    (c, c_gap): (*mut f32, usize),
    accumulate: bool,
    entries: Weighted,
    (tile, gap): (*const f32, usize),
) {
    const MANY: usize = TILE / 16;
    // SAFETY: the caller's promise; what is masked out is not read.
    unsafe {
        // Even and odd entries: with two tiles that is as many sums as an addition takes cycles.
        let mut sums = [[[_mm512_setzero_ps(); MANY]; TILES]; 2];
        if accumulate {
            for t in 0..TILES {
                for v in 0..MANY {
                    sums[0][t][v] = _mm512_loadu_ps(c.add(t * c_gap + 16 * v));
                }
            }
        }
        let row = |places: u64, at: usize| tile.wrapping_add((places >> (16 * at) & 0xffff) as usize * TILE);
        let (fours, rest) = entries.places.as_chunks::<4>();
        let mut values = entries.values.as_ptr();
        for places in fours {
            let places = places.as_ptr().cast::<u64>().read_unaligned();
            for at in 0..4 {
                let (row, value) = (row(places, at), _mm512_set1_ps(*values.add(at)));
                for t in 0..TILES {
                    for v in 0..MANY {
                        let numbers = _mm512_loadu_ps(row.wrapping_add(t * gap + 16 * v));
                        sums[at % 2][t][v] = _mm512_fmadd_ps(value, numbers, sums[at % 2][t][v]);
                    }
                }
            }
            values = values.add(4);
        }
        // The lists go on behind their end.
        let places = rest.as_ptr().cast::<u64>().read_unaligned();
        for at in 0..3 {
            let mask = if rest.len() > at { u16::MAX } else { 0 };
            let (row, value) = (row(places, at), _mm512_set1_ps(*values.add(at)));
            for t in 0..TILES {
                for v in 0..MANY {
                    let numbers = _mm512_maskz_loadu_ps(mask, row.wrapping_add(t * gap + 16 * v));
                    let sum = &mut sums[at % 2][t][v];
                    *sum = _mm512_mask3_fmadd_ps(value, numbers, *sum, mask);
                }
            }
        }
        for t in 0..TILES {
            for v in 0..MANY {
                _mm512_storeu_ps(c.add(t * c_gap + 16 * v), _mm512_add_ps(sums[0][t][v], sums[1][t][v]));
            }
        }
    }
}

/// `c = (accumulate ? c : 0) + rows` with `MANY` vectors of each of `TILES` tiles, in `SUMS` sums: an addition waits four cycles for
/// the one before, and two can begin in each. Four places are read at once, and the rows of the last ones are added under a mask: a
/// branch on how many there are is guessed wrong too often.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
#[allow(clippy::needless_range_loop, reason = "iterators keep the sums in memory")]
unsafe fn sum_avx512<const MANY: usize, const TILES: usize, const SUMS: usize>(
    (c, c_gap): (*mut f32, usize),
    accumulate: bool,
    entries: &[u16],
    (tile, gap, stride): (*const f32, usize, isize),
) {
    // SAFETY: the caller's promise; what is masked out is not read.
    unsafe {
        let mut sums = [[[_mm512_setzero_ps(); MANY]; TILES]; SUMS];
        if accumulate {
            for t in 0..TILES {
                for v in 0..MANY {
                    sums[0][t][v] = _mm512_loadu_ps(c.add(t * c_gap + 16 * v));
                }
            }
        }
        let (fours, rest) = entries.as_chunks::<4>();
        let row =
            |places: u64, at: usize| tile.wrapping_offset((places >> (16 * at) & 0xffff) as isize * stride);
        for four in fours {
            let places = four.as_ptr().cast::<u64>().read_unaligned();
            for at in 0..4 {
                let row = row(places, at);
                for t in 0..TILES {
                    for v in 0..MANY {
                        let numbers = _mm512_loadu_ps(row.wrapping_add(t * gap + 16 * v));
                        sums[at % SUMS][t][v] = _mm512_add_ps(sums[at % SUMS][t][v], numbers);
                    }
                }
            }
        }
        // The list goes on behind its end: other rows, or the slack.
        let places = rest.as_ptr().cast::<u64>().read_unaligned();
        for at in 0..3 {
            let mask = if rest.len() > at { u16::MAX } else { 0 };
            let row = row(places, at);
            for t in 0..TILES {
                for v in 0..MANY {
                    let numbers = _mm512_maskz_loadu_ps(mask, row.wrapping_add(t * gap + 16 * v));
                    let sum = &mut sums[at % SUMS][t][v];
                    *sum = _mm512_mask_add_ps(*sum, mask, *sum, numbers);
                }
            }
        }
        for t in 0..TILES {
            for v in 0..MANY {
                let mut sum = sums[0][t][v];
                for more in 1..SUMS {
                    sum = _mm512_add_ps(sum, sums[more][t][v]);
                }
                _mm512_storeu_ps(c.add(t * c_gap + 16 * v), sum);
            }
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
