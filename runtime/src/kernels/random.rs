//! Rows of random numbers for generated code: [`crate::rng`] in many lanes, same bits. No distributions of its own.

use crate::rng::{self, KIND_GAUSSIAN, KIND_UNIFORM, MULTIPLIERS, WEYL};

/// `(dst, n, key, stream, step, sample)`.
pub type RowFn = unsafe extern "C" fn(*mut f32, u64, u64, u64, u64, u64);

/// [`rng::uniform_row`] for generated code.
///
/// # Safety
/// `dst` is valid for `n` floats that nobody else uses.
pub unsafe extern "C" fn snn_uniform_row(
    dst: *mut f32,
    n: u64,
    key: u64,
    stream: u64,
    step: u64,
    sample: u64,
) {
    // SAFETY: the caller's promise.
    let dst = unsafe { row(dst, n) };
    uniform_row(dst, key, stream, step, sample);
}

/// [`rng::gaussian_row`] for generated code.
///
/// # Safety
/// `dst` is valid for `n` floats that nobody else uses.
pub unsafe extern "C" fn snn_gaussian_row(
    dst: *mut f32,
    n: u64,
    key: u64,
    stream: u64,
    step: u64,
    sample: u64,
) {
    // SAFETY: the caller's promise.
    let dst = unsafe { row(dst, n) };
    gaussian_row(dst, key, stream, step, sample);
}

/// # Safety
/// `dst` is valid for `n` floats that nobody else uses.
unsafe fn row<'a>(dst: *mut f32, n: u64) -> &'a mut [f32] {
    if n == 0 {
        return &mut [];
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(dst, n as usize) }
}

/// [`rng::uniform_row`], same bits, faster.
pub fn uniform_row(dst: &mut [f32], key: u64, stream: u64, step: u64, sample: u64) {
    let counter = [0, sample as u32, step as u32, KIND_UNIFORM];
    fill_widest(dst, counter, rng::philox_key(key, stream), false);
}

/// [`rng::gaussian_row`], same bits, faster.
pub fn gaussian_row(dst: &mut [f32], key: u64, stream: u64, step: u64, sample: u64) {
    let counter = [0, sample as u32, step as u32, KIND_GAUSSIAN];
    fill_widest(dst, counter, rng::philox_key(key, stream), true);
}

fn fill_widest(dst: &mut [f32], counter: [u32; 4], key: [u32; 2], gaussian: bool) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature is there.
            return unsafe { fill_avx512(dst, counter, key, gaussian) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there.
            return unsafe { fill_avx2(dst, counter, key, gaussian) };
        }
    }
    fill(dst, counter, key, gaussian);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn fill_avx512(dst: &mut [f32], counter: [u32; 4], key: [u32; 2], gaussian: bool) {
    fill(dst, counter, key, gaussian);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn fill_avx2(dst: &mut [f32], counter: [u32; 4], key: [u32; 2], gaussian: bool) {
    fill(dst, counter, key, gaussian);
}

/// Blocks of four words that are computed side by side.
const LANES: usize = 16;

/// Fills `dst`; `counter[0]` counts blocks.
#[inline(always)]
fn fill(dst: &mut [f32], mut counter: [u32; 4], key: [u32; 2], gaussian: bool) {
    let mut values = [0.0f32; 4 * LANES];
    for chunk in dst.chunks_mut(4 * LANES) {
        let words = philox_lanes(counter, key);
        for lane in 0..LANES {
            let [a, b, c, d] = [words[0][lane], words[1][lane], words[2][lane], words[3][lane]];
            let row = if gaussian {
                let [a, b] = rng::gaussian_pair(a, b);
                let [c, d] = rng::gaussian_pair(c, d);
                [a, b, c, d]
            } else {
                [a, b, c, d].map(rng::unit)
            };
            values[4 * lane..4 * lane + 4].copy_from_slice(&row);
        }
        chunk.copy_from_slice(&values[..chunk.len()]);
        counter[0] = counter[0].wrapping_add(LANES as u32);
    }
}

/// [`rng::philox`] of the counters `counter`, `counter + 1` … (in word 0).
#[inline(always)]
fn philox_lanes(counter: [u32; 4], key: [u32; 2]) -> [[u32; LANES]; 4] {
    let mut c0 = [0; LANES];
    for (lane, c0) in c0.iter_mut().enumerate() {
        *c0 = counter[0].wrapping_add(lane as u32);
    }
    let (mut c1, mut c2, mut c3) = ([counter[1]; LANES], [counter[2]; LANES], [counter[3]; LANES]);
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        for lane in 0..LANES {
            let a = u64::from(MULTIPLIERS[0]) * u64::from(c0[lane]);
            let b = u64::from(MULTIPLIERS[1]) * u64::from(c2[lane]);
            c0[lane] = (b >> 32) as u32 ^ c1[lane] ^ k0;
            c1[lane] = b as u32;
            c2[lane] = (a >> 32) as u32 ^ c3[lane] ^ k1;
            c3[lane] = a as u32;
        }
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;

    type Fill = fn(&mut [f32], u64, u64, u64, u64);

    #[test]
    fn rows_have_the_bits_of_the_reference() {
        let pairs: [(Fill, Fill); 2] =
            [(uniform_row, reference::uniform_row), (gaussian_row, reference::gaussian_row)];
        for (fast, slow) in pairs {
            for n in [0, 1, 3, 4, 17, 63, 64, 65, 1000] {
                let (mut got, mut expected) = (vec![-1.0; n], vec![-2.0; n]);
                fast(&mut got, 3, 1 << 40, 5, 6);
                slow(&mut expected, 3, 1 << 40, 5, 6);
                assert!(got.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()), "{n}");
            }
        }
    }

    #[test]
    fn generated_code_gets_the_same_rows() {
        let (mut got, mut expected) = ([0.0; 9], [0.0; 9]);
        // SAFETY: nine floats.
        unsafe { snn_uniform_row(got.as_mut_ptr(), 9, 1, 2, 3, 4) };
        uniform_row(&mut expected, 1, 2, 3, 4);
        assert_eq!(got, expected);
        // SAFETY: nine floats, then none.
        unsafe {
            snn_gaussian_row(got.as_mut_ptr(), 9, 1, 2, 3, 4);
            snn_gaussian_row(std::ptr::null_mut(), 0, 1, 2, 3, 4);
        }
        gaussian_row(&mut expected, 1, 2, 3, 4);
        assert_eq!(got, expected);
    }
}
