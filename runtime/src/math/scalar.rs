//! Functions that generated code calls one element at a time: sin, cos, arctan, erf, pow. Computed in f64 with `+ - * /` only.
//!
//! No libm, so every machine gives the same bits; rounding f64 to f32 makes results correct but for rare halves.

/// First 33 bits of π/2, so that a multiple below 2²⁰ is exact.
const PI_2_A: f64 = 1.570_796_326_734_125_6;
/// π/2 - [`PI_2_A`].
const PI_2_B: f64 = 6.077_100_506_506_192e-11;

/// The first 224 bits of 2/π after the point.
const TWO_OVER_PI: [u32; 7] =
    [0xA2F9_836E, 0x4E44_1529, 0xFC27_57D1, 0xF534_DDC0, 0xDB62_9599, 0x3C43_9041, 0xFE51_63AB];

/// x - n·π/2 in [-π/4, π/4] and n mod 4.
fn reduce(x: f32) -> (f64, i64) {
    if x.abs() >= 1_048_576.0 {
        return reduce_large(x);
    }
    let x = f64::from(x);
    let n = (x * std::f64::consts::FRAC_2_PI).round_ties_even();
    ((x - n * PI_2_A) - n * PI_2_B, n as i64 & 3)
}

/// [`reduce`] for |x| >= 2²⁰ (Payne and Hanek 1983): |x| = m · 2^s with m < 2²⁴, and x · 2/π mod 4 needs only 96 bits of
/// 2/π, from bit s - 2 on.
fn reduce_large(x: f32) -> (f64, i64) {
    if !x.is_finite() {
        return (f64::NAN, 0);
    }
    let bits = x.to_bits();
    let m = u128::from(bits & 0x007F_FFFF | 0x0080_0000);
    let first = (bits >> 23 & 0xFF) as i32 - 150 - 2;
    let mut window = 0u128;
    for bit in first..first + 96 {
        let set = bit >= 0 && TWO_OVER_PI[bit as usize / 32] >> (31 - bit % 32) & 1 == 1;
        window = window << 1 | u128::from(set);
    }
    let product = (m * window) & ((1 << 96) - 1);
    let n = (product + (1 << 93)) >> 94;
    let rest = product as i128 - ((n as i128) << 94);
    let r = rest as f64 / (1u128 << 94) as f64 * std::f64::consts::FRAC_PI_2;
    if x > 0.0 { (r, n as i64 & 3) } else { (-r, -(n as i64) & 3) }
}

/// Taylor's series to the 13th power; |r| <= π/4.
fn sin_reduced(r: f64) -> f64 {
    let z = r * r;
    let p = 1.0 / 6_227_020_800.0;
    let p = p * z - 1.0 / 39_916_800.0;
    let p = p * z + 1.0 / 362_880.0;
    let p = p * z - 1.0 / 5040.0;
    let p = p * z + 1.0 / 120.0;
    let p = p * z - 1.0 / 6.0;
    r + r * z * p
}

/// Taylor's series to the 14th power; |r| <= π/4.
fn cos_reduced(r: f64) -> f64 {
    let z = r * r;
    let p = -1.0 / 87_178_291_200.0;
    let p = p * z + 1.0 / 479_001_600.0;
    let p = p * z - 1.0 / 3_628_800.0;
    let p = p * z + 1.0 / 40_320.0;
    let p = p * z - 1.0 / 720.0;
    let p = p * z + 1.0 / 24.0;
    let p = p * z - 0.5;
    1.0 + z * p
}

/// Sine. Correctly rounded but for rare halves, for every x; NaN of inf and NaN.
pub fn sin(x: f32) -> f32 {
    let (r, quadrant) = reduce(x);
    let y = if quadrant & 1 == 0 { sin_reduced(r) } else { cos_reduced(r) };
    (if quadrant & 2 == 0 { y } else { -y }) as f32
}

/// Cosine. Like [`sin`].
pub fn cos(x: f32) -> f32 {
    let (r, quadrant) = reduce(x);
    let y = if quadrant & 1 == 0 { cos_reduced(r) } else { sin_reduced(r) };
    (if (quadrant + 1) & 2 == 0 { y } else { -y }) as f32
}

/// Inverse tangent, in (-π/2, π/2), correctly rounded but for rare halves; NaN of NaN.
///
/// |x| > 1 goes to 1/x, then |z| > tan(π/8) to (z - 1)/(z + 1); there the series of z up to the 27th power.
pub fn arctan(x: f32) -> f32 {
    let z = f64::from(x).abs();
    let (z, offset, sign) =
        if z > 1.0 { (1.0 / z, std::f64::consts::FRAC_PI_2, -1.0) } else { (z, 0.0, 1.0) };
    let (z, inner) = if z > 0.414_213_562_373_095 {
        ((z - 1.0) / (z + 1.0), std::f64::consts::FRAC_PI_4)
    } else {
        (z, 0.0)
    };
    let q = z * z;
    let mut p = 0.0;
    let mut power = 27.0;
    let mut term = -1.0;
    while power > 0.0 {
        p = p * q + term / power;
        term = -term;
        power -= 2.0;
    }
    let y = (offset + sign * (inner + p * z)) as f32;
    if x < 0.0 { -y } else { y }
}

/// Error function, 2/sqrt(π) times the integral of e^(-t²) from 0 to x; correctly rounded but for rare halves; NaN of NaN.
pub fn erf(x: f32) -> f32 {
    erf_f64(f64::from(x)) as f32
}

/// [`erf`] in f64, which std does not have. Relative error at most 1e-15.
///
/// |x| < 2.5: 2/sqrt(π) e^(-x²) Σ 2ⁿ x^(2n+1) / (1·3·…·(2n+1)), whose terms are all positive. Above: 1 - erfc by its continued
/// fraction e^(-x²)/sqrt(π) / (x + (1/2)/(x + 1/(x + (3/2)/(x + …)))) (Abramowitz and Stegun 1964, 7.1.6 and 7.1.14). ±1 from 6 on.
pub fn erf_f64(x: f64) -> f64 {
    let z = x.abs();
    if z < 2.5 {
        let q = 2.0 * z * z;
        // From the last term inwards: 1 + q/3 (1 + q/5 (1 + …)).
        let (mut sum, mut odd) = (1.0, 91.0);
        while odd >= 3.0 {
            sum = 1.0 + sum * q / odd;
            odd -= 2.0;
        }
        return std::f64::consts::FRAC_2_SQRT_PI * exp_f64(-z * z) * x * sum;
    }
    let y = match z {
        z if z.is_nan() => return x,
        z if z >= 6.0 => 1.0,
        z => {
            let (mut below, mut k) = (z, 60.0);
            while k > 0.0 {
                below = z + k / 2.0 / below;
                k -= 1.0;
            }
            1.0 - std::f64::consts::FRAC_2_SQRT_PI / 2.0 * exp_f64(-z * z) / below
        }
    };
    if x < 0.0 { -y } else { y }
}

/// x^y. Whole exponents up to 2²⁴: repeated squaring in f64, so x² is correctly rounded and so is every result that f64
/// holds exactly. Others: e^(y ln x) in f64, NaN for negative x. x^0 is 1, 0 to a negative power is inf.
pub fn pow(x: f32, y: f32) -> f32 {
    if y == 0.0 || x == 1.0 {
        return 1.0;
    }
    if x.is_nan() || y.is_nan() {
        return f32::NAN;
    }
    if y == y.round_ties_even() && (-16_777_216.0..=16_777_216.0).contains(&y) {
        return pow_whole(f64::from(x), y as i64) as f32;
    }
    if x < 0.0 {
        // Beyond 2²⁴ every f32 is an even number; infinite exponents behave alike.
        return if y == y.round_ties_even() { pow(-x, y) } else { f32::NAN };
    }
    if x == 0.0 {
        return if y > 0.0 { 0.0 } else { f32::INFINITY };
    }
    if x.is_infinite() {
        return if y > 0.0 { f32::INFINITY } else { 0.0 };
    }
    exp_f64(f64::from(y) * ln_f64(f64::from(x))) as f32
}

/// x^n by repeated squaring. A negative power is the inverse of the positive one.
fn pow_whole(x: f64, n: i64) -> f64 {
    let (mut base, mut left, mut result) = (x, n.unsigned_abs(), 1.0);
    while left > 0 {
        if left & 1 == 1 {
            result *= base;
        }
        base *= base;
        left >>= 1;
    }
    if n < 0 { 1.0 / result } else { result }
}

/// ln of a positive finite number that is normal in f64: 2 artanh((m - 1)/(m + 1)) + e ln 2, m in [sqrt(1/2), sqrt(2)).
fn ln_f64(x: f64) -> f64 {
    const SPLIT: i64 = 0x3FE6_A09E_667F_3BCD;
    let bits = x.to_bits() as i64;
    let e = (bits - SPLIT) >> 52;
    let m = f64::from_bits((bits - (e << 52)) as u64);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let mut p = 0.0;
    let mut power = 23.0;
    while power > 0.0 {
        p = p * z + 1.0 / power;
        power -= 2.0;
    }
    2.0 * s * p + e as f64 * std::f64::consts::LN_2
}

/// e^x: n = round(x / ln 2), Taylor's series to the 13th power, scaling by bits. 0 and inf outside of ±700.
fn exp_f64(x: f64) -> f64 {
    if x < -700.0 {
        return 0.0;
    }
    if x > 700.0 {
        return f64::INFINITY;
    }
    let n = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = (x - n * 0.693_147_180_369_123_8) - n * 1.908_214_929_270_587_7e-10;
    let mut p = 1.0;
    let mut k = 13.0;
    while k > 0.0 {
        p = 1.0 + p * r / k;
        k -= 1.0;
    }
    p * f64::from_bits(((n as i64 + 1023) << 52) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::math::tests::{absolute, worst, worst_by_magnitude};

    #[test]
    fn sine_and_cosine_are_accurate() {
        for (lo, hi) in [(-4.0, 4.0), (-1e3, 1e3), (-1e6, 1e6)] {
            assert!(worst(sin, f64::sin, lo, hi, absolute) < 6e-8);
            assert!(worst(cos, f64::cos, lo, hi, absolute) < 6e-8);
        }
        assert!(worst_by_magnitude(sin, f64::sin, -20, 0) < 7e-8);
        assert!(sin(f32::INFINITY).is_nan() && cos(f32::NAN).is_nan());
        assert!(worst_by_magnitude(sin, f64::sin, 5, 38) < 1e-6);
        assert!(worst_by_magnitude(cos, f64::cos, -10, 38) < 1e-6);
        assert_eq!([sin(0.0), cos(0.0)], [0.0, 1.0]);
    }

    #[test]
    fn arctan_is_accurate() {
        assert!(worst(arctan, f64::atan, -10.0, 10.0, absolute) < 7e-8);
        assert!(worst_by_magnitude(arctan, f64::atan, -20, 20) < 7e-8);
        assert_eq!(arctan(f32::INFINITY), std::f32::consts::FRAC_PI_2);
        assert_eq!(arctan(f32::NEG_INFINITY), -std::f32::consts::FRAC_PI_2);
        assert!(arctan(f32::NAN).is_nan());
    }

    /// Values of the C library's `erf`.
    const ERF: [(f64, f64); 9] = [
        (1e-8, 1.128_379_167_095_512_6e-8),
        (0.25, 0.276_326_390_168_236_9),
        (0.5, 0.520_499_877_813_046_5),
        (1.0, 0.842_700_792_949_714_9),
        (1.5, 0.966_105_146_475_310_8),
        (2.4, 0.999_311_486_103_355),
        (2.5, 0.999_593_047_982_555),
        (3.0, 0.999_977_909_503_001_4),
        (4.0, 0.999_999_984_582_742_1),
    ];

    #[test]
    fn erf_is_accurate_odd_and_saturates() {
        for (x, y) in ERF {
            assert!((erf_f64(x) - y).abs() <= 1e-15 * y, "{x}: {} against {y}", erf_f64(x));
            assert_eq!(erf_f64(-x), -erf_f64(x));
            assert_eq!(erf(x as f32), erf_f64(f64::from(x as f32)) as f32);
        }
        assert_eq!([erf(0.0), erf(6.0), erf(-40.0), erf(f32::INFINITY)], [0.0, 1.0, -1.0, 1.0]);
        assert!(erf(f32::NAN).is_nan());
        // Its derivative is 2 / sqrt(pi) e^(-x^2), on both sides of where the formula changes.
        for k in -80..80 {
            let x = f64::from(k) * 0.05 + 0.013;
            let slope = (erf_f64(x + 1e-5) - erf_f64(x - 1e-5)) / 2e-5;
            assert!((slope - std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp()).abs() < 1e-9, "{x}");
        }
    }

    #[test]
    fn pow_is_exact_for_whole_exponents() {
        for i in -300..300 {
            let x = i as f32 * 0.37;
            assert_eq!(pow(x, 1.0), x);
            assert_eq!(pow(x, 2.0), x * x);
            assert_eq!(pow(x, 3.0), (f64::from(x) * f64::from(x) * f64::from(x)) as f32);
        }
        assert_eq!([pow(2.0, 10.0), pow(2.0, -10.0), pow(-2.0, 3.0)], [1024.0, 1.0 / 1024.0, -8.0]);
        assert_eq!([pow(10.0, 38.0), pow(10.0, 39.0)], [1e38, f32::INFINITY]);
    }

    #[test]
    fn pow_is_accurate_for_others_and_knows_its_edges() {
        let mut worst = 0.0f64;
        for i in 1..1000 {
            for y in [-3.7f32, -0.5, 0.25, 0.5, 1.0 / 3.0, 2.2, 7.9] {
                let x = i as f32 * 0.013;
                let truth = f64::from(x).powf(f64::from(y));
                worst = worst.max((f64::from(pow(x, y)) - truth).abs() / truth);
            }
        }
        assert!(worst < 6.1e-8, "{worst:e}");
        assert_eq!([pow(0.0, 0.0), pow(f32::NAN, 0.0), pow(1.0, f32::NAN)], [1.0; 3]);
        assert_eq!([pow(0.0, 0.5), pow(0.0, -0.5), pow(0.0, -2.0)], [0.0, f32::INFINITY, f32::INFINITY]);
        assert_eq!([pow(f32::INFINITY, 0.5), pow(f32::INFINITY, -0.5)], [f32::INFINITY, 0.0]);
        assert_eq!(
            [pow(0.5, f32::INFINITY), pow(2.0, f32::INFINITY), pow(1e30, 1e30)],
            [0.0, f32::INFINITY, f32::INFINITY]
        );
        assert!(pow(-2.0, 0.5).is_nan() && pow(f32::NAN, 2.0).is_nan() && pow(2.0, f32::NAN).is_nan());
    }
}
