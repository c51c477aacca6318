//! Rows of random numbers for generated code; the numbers are those of [`crate::rng`].

use crate::rng;

/// Fills `n` floats at `dst` with uniform numbers of `(key, stream, step, sample)`.
///
/// # Safety
/// `dst` must be valid for writes of `n` floats.
pub unsafe extern "C" fn snn_uniform_row(
    dst: *mut f32,
    n: u64,
    key: u64,
    stream: u64,
    step: u64,
    sample: u64,
) {
    // SAFETY: the caller's promise.
    let row = unsafe { std::slice::from_raw_parts_mut(dst, n as usize) };
    rng::uniform_row(row, key, stream, step, sample);
}

/// As [`snn_uniform_row`], standard normal.
///
/// # Safety
/// `dst` must be valid for writes of `n` floats.
pub unsafe extern "C" fn snn_gaussian_row(
    dst: *mut f32,
    n: u64,
    key: u64,
    stream: u64,
    step: u64,
    sample: u64,
) {
    // SAFETY: the caller's promise.
    let row = unsafe { std::slice::from_raw_parts_mut(dst, n as usize) };
    rng::gaussian_row(row, key, stream, step, sample);
}
