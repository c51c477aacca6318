//! Functions of many numbers at once, for every width of vectors that a machine may have: the same bits as [`crate::math`] gives one
//! by one, since they are the same operations in the same order. No functions that have branches: those are called one by one.

use crate::math;

/// `(n, x, y)`: `y[i] = f(x[i])`
pub type FunctionFn = unsafe extern "C" fn(u64, *const f32, *mut f32);

macro_rules! functions {
    ($($name:ident => $function:path, $doc:literal;)*) => {$(
        #[doc = $doc]
        ///
        /// # Safety
        /// `x` and `y` have `n` numbers; `y` is written by nobody else and overlaps `x` nowhere.
        pub unsafe extern "C" fn $name(n: u64, x: *const f32, y: *mut f32) {
            #[inline(always)]
            fn each(x: &[f32], y: &mut [f32]) {
                y.iter_mut().zip(x).for_each(|(y, x)| *y = $function(*x));
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
            fn avx512(x: &[f32], y: &mut [f32]) {
                each(x, y);
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2(x: &[f32], y: &mut [f32]) {
                each(x, y);
            }
            // SAFETY: the caller's promise; the machine has what the function was compiled for.
            unsafe {
                let x = std::slice::from_raw_parts(x, n as usize);
                let y = std::slice::from_raw_parts_mut(y, n as usize);
                #[cfg(target_arch = "x86_64")]
                {
                    if is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl") {
                        return avx512(x, y);
                    }
                    if is_x86_feature_detected!("avx2") {
                        return avx2(x, y);
                    }
                }
                each(x, y);
            }
        }
    )*
    #[cfg(test)]
    const ALL: &[(FunctionFn, fn(f32) -> f32)] = &[$(($name, $function)),*];
    };
}

functions! {
    snn_exp_each => math::exp, "[`math::exp`] of each number.";
    snn_ln_each => math::ln, "[`math::ln`] of each number.";
    snn_tanh_each => math::tanh, "[`math::tanh`] of each number.";
    snn_sigmoid_each => math::sigmoid, "[`math::sigmoid`] of each number.";
    snn_exprel_each => math::exprel, "[`math::exprel`] of each number.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_numbers_at_once_have_the_bits_of_one_by_one() {
        let ends = [0.0, -0.0, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, 1e-30, -1e-30, 88.8, -87.0, 1e-4];
        for n in [0, 1, 7, 8, 31, 256, 259] {
            let x: Vec<f32> =
                (0..n).map(|i| ends.get(i).copied().unwrap_or((i as f32 - 130.0) * 0.173)).collect();
            for (many, one) in ALL {
                let mut y = vec![0.5; n + 1];
                // SAFETY: both have n numbers.
                unsafe { many(n as u64, x.as_ptr(), y.as_mut_ptr()) };
                assert_eq!(y[n], 0.5, "nothing is written behind the last");
                for (x, y) in x.iter().zip(&y) {
                    let expected = one(*x);
                    assert!(expected.to_bits() == y.to_bits() || expected.is_nan() && y.is_nan(), "{x}");
                }
            }
        }
    }
}
