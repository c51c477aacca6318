//! Sums of products in registers, for the vectors that a machine may have: what dense products and convolutions are made of. Where the
//! factors lie is the callers' business, and so are blocks for caches.

use super::lanes::Lanes;
#[cfg(target_arch = "x86_64")]
use super::spikes::prefetch;
#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Rows of a block that are each read at a place of their own: for so many there are registers.
pub(super) const TAPS: usize = 8;

/// Where sums go: rows `stride` floats apart, of each the first `width` columns, in place of what is there or added to it.
#[derive(Clone, Copy)]
pub(super) struct To {
    pub c: *mut f32,
    pub stride: isize,
    pub width: usize,
    pub accumulate: bool,
}

/// Sums of products of some rows with two vectors of columns. Written with the instructions themselves, as in `vector`.
pub(super) trait Registers {
    /// Columns of two vectors: those of a block.
    const COLUMNS: usize;
    /// Rows of a block at most.
    const ROWS: usize;
    /// A vector.
    type Lanes: Lanes;

    /// Row `r` of the result is the sum over `l < depth` of `*left(l, r)` times the columns at `right(l)`, for `rows` rows.
    ///
    /// # Safety
    /// What `left` and `right` name can be read, columns up to the next multiple of half a block behind `width`; `to` has `rows` rows,
    /// of which there are 1 to [`Registers::ROWS`]; the machine has the vectors.
    unsafe fn block(
        rows: usize,
        left: impl Fn(usize, usize) -> *const f32,
        right: impl Fn(usize) -> *const f32,
        depth: usize,
        to: To,
    );
}

/// Floats of the widest block.
#[cfg(target_arch = "x86_64")]
const WIDEST: usize = 32;

macro_rules! registers {
    ($name:ident, $vector:ty, $lanes:literal, [$($rows:literal)*], $most:literal,
     $load:path, $store:path, $splat:path, $fma:path, $add:path, $zero:path) => {
        #[cfg(target_arch = "x86_64")]
        pub(super) struct $name;

        #[cfg(target_arch = "x86_64")]
        impl $name {
            #[inline(always)]
            unsafe fn sums<const R: usize, const V: usize>(
                left: impl Fn(usize, usize) -> *const f32,
                right: impl Fn(usize) -> *const f32,
                depth: usize,
                to: To,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    let row = |r: usize| to.c.wrapping_offset(r as isize * to.stride);
                    // The result is asked for while sums are made.
                    for r in 0..R {
                        prefetch::<_MM_HINT_ET0>(row(r), V * $lanes);
                    }
                    let mut sums = [[$zero(); V]; R];
                    for l in 0..depth {
                        let b = right(l);
                        let b: [$vector; V] = std::array::from_fn(|v| $load(b.add($lanes * v)));
                        for r in 0..R {
                            let factor = $splat(*left(l, r));
                            for v in 0..V {
                                sums[r][v] = $fma(factor, b[v], sums[r][v]);
                            }
                        }
                    }
                    for (r, sums) in sums.iter().enumerate() {
                        let mut part = [0.0f32; WIDEST];
                        let is_whole = to.width == V * $lanes;
                        let c = if is_whole { row(r) } else { part.as_mut_ptr() };
                        if to.accumulate && !is_whole {
                            std::ptr::copy_nonoverlapping(row(r), c, to.width);
                        }
                        for (v, sum) in sums.iter().enumerate() {
                            let c = c.add($lanes * v);
                            $store(c, if to.accumulate { $add($load(c), *sum) } else { *sum });
                        }
                        if !is_whole {
                            std::ptr::copy_nonoverlapping(part.as_ptr(), row(r), to.width);
                        }
                    }
                }
            }
        }

        #[cfg(target_arch = "x86_64")]
        impl Registers for $name {
            const COLUMNS: usize = 2 * $lanes;
            const ROWS: usize = $most;
            type Lanes = $vector;

            #[inline(always)]
            unsafe fn block(
                rows: usize,
                left: impl Fn(usize, usize) -> *const f32,
                right: impl Fn(usize) -> *const f32,
                depth: usize,
                to: To,
            ) {
                // SAFETY: the caller's promise.
                unsafe {
                    match (rows, to.width <= $lanes) {
                        $(($rows, false) => Self::sums::<$rows, 2>(left, right, depth, to),
                        ($rows, true) => Self::sums::<$rows, 1>(left, right, depth, to),)*
                        _ => unreachable!("blocks have no more rows"),
                    }
                }
            }
        }
    };
}

registers!(
    Avx512,
    __m512,
    16,
    [1 2 3 4 5 6 7 8 9 10 11 12 13 14],
    14,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps,
    _mm512_setzero_ps
);
registers!(
    Avx2,
    __m256,
    8,
    [1 2 3 4 5 6],
    6,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps,
    _mm256_setzero_ps
);

/// `avx512` and `avx2`: a function of its width in the vectors of a machine that has them.
macro_rules! at_every_width {
    ($run:ident, ($($arg:ident: $ty:ty),*)) => {
        at_every_width!(avx512, "avx512f", Avx512, $run, ($($arg: $ty),*));
        at_every_width!(avx2, "avx2,fma", Avx2, $run, ($($arg: $ty),*));
    };
    ($name:ident, $features:literal, $registers:ident, $run:ident, ($($arg:ident: $ty:ty),*)) => {
        #[doc = concat!("[`", stringify!($run), "`] in vectors of ", $features, ".\n\n# Safety\nAs there, and the machine has them.")]
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        pub(super) unsafe fn $name($($arg: $ty),*) {
            // SAFETY: the caller's promise.
            unsafe { $run::<super::registers::$registers>($($arg),*) }
        }
    };
}
pub(super) use at_every_width;

/// Some rows at a time, as equal as can be: the first of each and how many.
pub(super) fn groups(rows: usize, most: usize) -> impl Iterator<Item = (usize, usize)> {
    let of_group = rows.div_ceil(rows.div_ceil(most).max(1)).max(1);
    (0..rows).step_by(of_group).map(move |first| (first, of_group.min(rows - first)))
}
