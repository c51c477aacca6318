//! What arithmetic of whole vectors is made of, for the vectors that a machine may have. Sums of products in blocks are in `registers`.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// Some numbers side by side. Written with the instructions themselves, as in `vector`.
///
/// # Safety
/// Of all functions: the machine has the vectors, and pointers name as many numbers as are read or written.
pub(super) unsafe trait Lanes: Copy {
    /// How many numbers.
    const LANES: usize;
    /// Some of them.
    type Mask: Copy;

    /// Those from `first` to `end`, as far as there are.
    unsafe fn mask(first: usize, end: usize) -> Self::Mask;
    /// The same number everywhere.
    unsafe fn splat(x: f32) -> Self;
    /// A whole vector.
    unsafe fn load(from: *const f32) -> Self;
    /// The numbers of a mask, those of `self` in place of the others, which need not exist.
    unsafe fn load_over(self, from: *const f32, mask: Self::Mask) -> Self;
    /// A whole vector.
    unsafe fn store(self, to: *mut f32);
    /// The numbers of a mask; nothing in place of the others.
    unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask);
    /// `self + b`.
    unsafe fn add(self, b: Self) -> Self;
    /// `self - b`.
    unsafe fn sub(self, b: Self) -> Self;
    /// `factor * self + b`, rounded once.
    unsafe fn times_add(self, factor: f32, b: Self) -> Self;
}

macro_rules! lanes {
    ($vector:ty, $lanes:literal, $mask:ty, $range:path, $splat:path, $load:path, $load_over:path, $store:path, $store_masked:path,
     $add:path, $sub:path, $fma:path) => {
        // SAFETY: the instructions do what the trait says.
        #[cfg(target_arch = "x86_64")]
        unsafe impl Lanes for $vector {
            const LANES: usize = $lanes;
            type Mask = $mask;

            #[inline(always)]
            unsafe fn mask(first: usize, end: usize) -> Self::Mask {
                // SAFETY: the caller's promise, as in all that follow.
                #[allow(unused_unsafe)]
                unsafe {
                    $range(first, end)
                }
            }

            #[inline(always)]
            unsafe fn splat(x: f32) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $splat(x) }
            }

            #[inline(always)]
            unsafe fn load(from: *const f32) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $load(from) }
            }

            #[inline(always)]
            unsafe fn load_over(self, from: *const f32, mask: Self::Mask) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $load_over(self, mask, from) }
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut f32) {
                // SAFETY: the caller's promise.
                unsafe { $store(to, self) }
            }

            #[inline(always)]
            unsafe fn store_masked(self, to: *mut f32, mask: Self::Mask) {
                // SAFETY: the caller's promise.
                unsafe { $store_masked(to, mask, self) }
            }

            #[inline(always)]
            unsafe fn add(self, b: Self) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $add(self, b) }
            }

            #[inline(always)]
            unsafe fn sub(self, b: Self) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $sub(self, b) }
            }

            #[inline(always)]
            unsafe fn times_add(self, factor: f32, b: Self) -> Self {
                // SAFETY: the caller's promise.
                unsafe { $fma($splat(factor), self, b) }
            }
        }
    };
}

lanes!(
    __m512,
    16,
    __mmask16,
    of_sixteen,
    _mm512_set1_ps,
    _mm512_loadu_ps,
    _mm512_mask_loadu_ps,
    _mm512_storeu_ps,
    _mm512_mask_storeu_ps,
    _mm512_add_ps,
    _mm512_sub_ps,
    _mm512_fmadd_ps
);
lanes!(
    __m256,
    8,
    __m256i,
    of_eight,
    _mm256_set1_ps,
    _mm256_loadu_ps,
    load_over_eight,
    _mm256_storeu_ps,
    _mm256_maskstore_ps,
    _mm256_add_ps,
    _mm256_sub_ps,
    _mm256_fmadd_ps
);

#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn load_over_eight(over: __m256, mask: __m256i, from: *const f32) -> __m256 {
    // SAFETY: the caller's promise.
    unsafe { _mm256_blendv_ps(over, _mm256_maskload_ps(from, mask), _mm256_castsi256_ps(mask)) }
}

/// A bit for each number.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn of_sixteen(first: usize, end: usize) -> __mmask16 {
    let below = |n: usize| (1u32 << n.min(16)) - 1;
    (below(end) & !below(first)) as __mmask16
}

/// A sign bit for each number.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn of_eight(first: usize, end: usize) -> __m256i {
    const BELOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
    // SAFETY: eight of sixteen; the caller's promise.
    unsafe {
        let below = |n: usize| BELOW.as_ptr().add(8 - n.min(8)).cast();
        _mm256_andnot_si256(_mm256_loadu_si256(below(first)), _mm256_loadu_si256(below(end)))
    }
}
