//! The only exp, ln, tanh …: same bits in interpreter, generated code and runtime. No vectors, no libm, no fma.
//!
//! [`exp`], [`ln`], [`tanh`], [`sigmoid`], [`exprel`] are written in single f32 operations (`+ - * /`, comparison and select,
//! bit casts, i32 `+ - << >>` that wrap) so that a code generator can put the same operations, in the same order, into four
//! lanes and get the same bits. All have no branches: what looks like `if` is a select. The comment of each function *is* the
//! sequence; its constants are public. Nothing is contracted to fma and nothing is reassociated.
//!
//! [`sin`], [`cos`], [`arctan`], [`erf`], [`pow`] (in `math/scalar.rs`) are called, one element at a time.
//!
//! Generated code runs with denormals flushed to zero ([`crate::pool::FlushDenormals`]); whoever compares with it does the same.

mod scalar;

pub use scalar::{arctan, cos, erf, erf_f64, pow, sin};

/// 1.5 · 2²³: `(x + MAGIC) - MAGIC` rounds |x| < 2²² to the nearest whole number, ties to even; the low bits of
/// `bits(x + MAGIC)` are that number.
pub const MAGIC: f32 = 12_582_912.0;
/// `bits(MAGIC)`; its low 9 bits are 0.
pub const MAGIC_BITS: i32 = 0x4B40_0000;
/// log2(e).
pub const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// Upper part of ln 2: 355/512, so that `n * LN2_HI` is exact.
pub const LN2_HI: f32 = 355.0 / 512.0;
/// ln 2 - [`LN2_HI`].
pub const LN2_LO: f32 = -2.121_944_4e-4;

/// Below, `exp` is 0 (e^-86.98 = 1.7e-38, just above the smallest normal number).
pub const EXP_LO: f32 = -86.98;
/// Above, `exp` is infinite.
pub const EXP_HI: f32 = 88.722_83;
/// (e^r - 1 - r) / r² for |r| <= ln(2)/2, highest power first (Moshier, Cephes `expf`).
pub const EXP_POLY: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5];

/// e^x. Relative error at most 1.2e-7. 0 below [`EXP_LO`], infinite above [`EXP_HI`], NaN of NaN.
///
/// ```text
/// t = x * LOG2_E + MAGIC                    (multiplication, then addition)
/// n = t - MAGIC
/// r = x - n * LN2_HI;   r = r - n * LN2_LO
/// p = EXP_POLY[0];      p = p * r + EXP_POLY[i] for i = 1 … 5
/// p = p * (r * r) + r;  p = p + 1
/// s = float((bits(t) + 126) << 23)          2^(n-1)
/// y = (p + p) * s
/// y = x < EXP_LO ? 0 : y;   y = x > EXP_HI ? inf : y
/// ```
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    let t = x * LOG2_E + MAGIC;
    let n = t - MAGIC;
    let r = x - n * LN2_HI;
    let r = r - n * LN2_LO;
    let p = exp_poly(r) * (r * r) + r;
    let p = p + 1.0;
    let s = f32::from_bits((t.to_bits().wrapping_add(126)) << 23);
    let y = (p + p) * s;
    let y = if x < EXP_LO { 0.0 } else { y };
    if x > EXP_HI { f32::INFINITY } else { y }
}

/// Horner's scheme over [`EXP_POLY`]: `p = p * r + c`.
#[inline(always)]
fn exp_poly(r: f32) -> f32 {
    let mut p = EXP_POLY[0];
    let mut i = 1;
    while i < EXP_POLY.len() {
        p = p * r + EXP_POLY[i];
        i += 1;
    }
    p
}

/// `bits(sqrt(1/2))`: mantissas are taken from [sqrt(1/2), sqrt(2)).
pub const LN_SPLIT_BITS: i32 = 0x3F35_04F3;
/// Smallest normal number; what is smaller counts as 0 in [`ln`].
pub const LN_MIN: f32 = f32::MIN_POSITIVE;
/// (ln(1 + z) - z + z²/2) / z³, highest power first (Moshier, Cephes `logf`).
pub const LN_POLY: [f32; 9] = [
    7.037_683_6e-2,
    -1.151_461e-1,
    1.167_699_9e-1,
    -1.242_014_1e-1,
    1.424_932_3e-1,
    -1.666_805_7e-1,
    2.000_071_5e-1,
    -2.499_999_4e-1,
    3.333_333e-1,
];

/// Natural logarithm. Error at most 1.2e-7 relative to max(|ln x|, 0.7) … -inf of 0 and of denormals, NaN of negative
/// numbers and NaN, inf of inf.
///
/// ```text
/// e = (bits(x) - LN_SPLIT_BITS) >> 23       arithmetic shift
/// z = float(bits(x) - (e << 23)) - 1
/// f = float(e + MAGIC_BITS) - MAGIC         e as a number
/// q = z * z
/// p = LN_POLY[0];  p = p * z + LN_POLY[i] for i = 1 … 8
/// y = (p * z) * q
/// y = y + f * LN2_LO;   y = y - 0.5 * q
/// y = z + y;            y = y + f * LN2_HI
/// y = x < LN_MIN ? -inf : y;   y = x <= -LN_MIN ? NaN : y;   y = x <= f32::MAX ? y : x
/// ```
#[inline(always)]
pub fn ln(x: f32) -> f32 {
    let bits = x.to_bits() as i32;
    let e = bits.wrapping_sub(LN_SPLIT_BITS) >> 23;
    let z = f32::from_bits(bits.wrapping_sub(e << 23) as u32) - 1.0;
    let f = f32::from_bits(e.wrapping_add(MAGIC_BITS) as u32) - MAGIC;
    let q = z * z;
    let mut p = LN_POLY[0];
    let mut i = 1;
    while i < LN_POLY.len() {
        p = p * z + LN_POLY[i];
        i += 1;
    }
    let y = (p * z) * q;
    let y = y + f * LN2_LO;
    let y = y - 0.5 * q;
    let y = z + y;
    let y = y + f * LN2_HI;
    let y = if x < LN_MIN { f32::NEG_INFINITY } else { y };
    let y = if x <= -LN_MIN { f32::NAN } else { y };
    if x <= f32::MAX { y } else { x }
}

/// Beyond, `tanh` is what it is here.
pub const TANH_CLAMP: f32 = 7.905_311;
/// Where x² is below, `tanh` is x.
pub const TANH_TINY: f32 = 1.6e-7;
/// Numerator over x², highest power first (rational approximation used by Eigen).
pub const TANH_P: [f32; 7] = [
    -2.760_768_5e-16,
    2.000_188e-13,
    -8.604_672e-11,
    5.122_297e-8,
    1.485_722_4e-5,
    6.372_619_3e-4,
    4.893_524_6e-3,
];
/// Denominator over x², highest power first.
pub const TANH_Q: [f32; 4] = [1.198_258_4e-6, 1.185_347_1e-4, 2.268_434_6e-3, 4.893_525e-3];

/// Hyperbolic tangent. Absolute error at most 4.5e-7, never beyond ±1, odd; NaN of NaN.
///
/// ```text
/// c = x > TANH_CLAMP ? TANH_CLAMP : x;   c = c < -TANH_CLAMP ? -TANH_CLAMP : c
/// z = c * c
/// p = TANH_P[0];  p = p * z + TANH_P[i] for i = 1 … 6;   p = p * c
/// q = TANH_Q[0];  q = q * z + TANH_Q[i] for i = 1 … 3
/// y = p / q
/// y = y > 1 ? 1 : y;   y = y < -1 ? -1 : y
/// y = z < TANH_TINY ? x : y
/// ```
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let c = if x > TANH_CLAMP { TANH_CLAMP } else { x };
    let c = if c < -TANH_CLAMP { -TANH_CLAMP } else { c };
    let z = c * c;
    let mut p = TANH_P[0];
    let mut i = 1;
    while i < TANH_P.len() {
        p = p * z + TANH_P[i];
        i += 1;
    }
    let p = p * c;
    let mut q = TANH_Q[0];
    let mut i = 1;
    while i < TANH_Q.len() {
        q = q * z + TANH_Q[i];
        i += 1;
    }
    let y = p / q;
    let y = if y > 1.0 { 1.0 } else { y };
    let y = if y < -1.0 { -1.0 } else { y };
    if z < TANH_TINY { x } else { y }
}

/// 1 / (1 + e^-x). Relative error at most 3e-7 down to x = [`EXP_LO`], 0 below; NaN of NaN.
///
/// ```text
/// e = exp(-|x|)
/// n = x < 0 ? e : 1
/// y = n / (1 + e)
/// ```
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let n = if x < 0.0 { e } else { 1.0 };
    n / (1.0 + e)
}

/// Where x² is below, `exprel` is 1 + x · poly(x).
pub const EXPREL_SMALL: f32 = 0.12;

/// (e^x - 1) / x, 1 at 0. Relative error at most 5e-7; 0 at -inf, infinite above [`EXP_HI`], NaN of NaN.
///
/// ```text
/// p = EXP_POLY[0];  p = p * x + EXP_POLY[i] for i = 1 … 5;   p = p * x + 1
/// y = (exp(x) - 1) / x
/// y = x * x < EXPREL_SMALL ? p : y
/// y = x > EXP_HI ? inf : y
/// ```
#[inline(always)]
pub fn exprel(x: f32) -> f32 {
    let p = exp_poly(x) * x + 1.0;
    let y = (exp(x) - 1.0) / x;
    let y = if x * x < EXPREL_SMALL { p } else { y };
    if x > EXP_HI { f32::INFINITY } else { y }
}

/// Nearest whole number, ties to even: IEEE roundToIntegralTiesToEven, one instruction on every target (`roundps`, `frintn`).
#[inline(always)]
pub fn round_even(x: f32) -> f32 {
    x.round_ties_even()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Largest error of `f` against `truth` over [lo, hi], each divided by `scale(truth)`.
    pub fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, lo: f32, hi: f32, scale: fn(f64) -> f64) -> f64 {
        let steps = 400_000;
        let mut worst = 0.0f64;
        for i in 0..=steps {
            let x =
                (f64::from(lo) + (f64::from(hi) - f64::from(lo)) * f64::from(i) / f64::from(steps)) as f32;
            let expected = truth(f64::from(x));
            let error = (f64::from(f(x)) - expected).abs() / scale(expected);
            assert!(error.is_finite(), "x = {x}: {} against {expected}", f(x));
            worst = worst.max(error);
        }
        worst
    }

    /// As [`worst`], over magnitudes 10^lo … 10^hi of both signs.
    pub fn worst_by_magnitude(f: fn(f32) -> f32, truth: fn(f64) -> f64, lo: i32, hi: i32) -> f64 {
        let mut worst = 0.0f64;
        for i in lo * 2000..=hi * 2000 {
            let x = 10f64.powf(f64::from(i) / 2000.0) as f32;
            for x in [x, -x] {
                let expected = truth(f64::from(x));
                worst = worst.max((f64::from(f(x)) - expected).abs() / expected.abs().max(1e-30));
            }
        }
        worst
    }

    fn relative(y: f64) -> f64 {
        y.abs()
    }

    pub fn absolute(_: f64) -> f64 {
        1.0
    }

    #[test]
    fn exp_is_accurate_and_saturates() {
        let error = worst(exp, f64::exp, -86.9, 88.72, relative);
        assert!(error < 1.2e-7, "{error:e}");
        assert!(worst(exp, f64::exp, -1.0, 1.0, relative) < 1e-7);
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(-0.0), 1.0);
        assert_eq!([exp(-87.0), exp(-1e30), exp(f32::NEG_INFINITY)], [0.0; 3]);
        assert_eq!([exp(88.73), exp(1e30), exp(f32::INFINITY)], [f32::INFINITY; 3]);
        for bits in [0x7fc0_0000, 0xffc0_0000, 0x7fff_ffff, 0x7f80_0001, 0xff81_2345u32] {
            assert!(exp(f32::from_bits(bits)).is_nan());
        }
    }

    #[test]
    fn ln_is_accurate_and_knows_its_edges() {
        let error = worst(ln, f64::ln, 1e-6, 10.0, |y| y.abs().max(0.7));
        assert!(error < 1.2e-7, "{error:e}");
        assert!(worst(ln, f64::ln, 0.8, 1.2, absolute) < 2e-8);
        assert!(worst(ln, f64::ln, 1.2e-38, 3e38, relative) < 1e-7);
        let mut x = f32::MIN_POSITIVE;
        while x < 1e38 {
            assert!(
                (f64::from(ln(x)) - f64::from(x).ln()).abs() < 6e-8 * f64::from(x).ln().abs().max(1.0),
                "{x}"
            );
            x *= 1.37;
        }
        assert_eq!(ln(1.0), 0.0);
        assert_eq!([ln(0.0), ln(-0.0), ln(1e-40)], [f32::NEG_INFINITY; 3]);
        assert_eq!(ln(f32::INFINITY), f32::INFINITY);
        assert!(ln(-1.0).is_nan() && ln(f32::NEG_INFINITY).is_nan() && ln(f32::NAN).is_nan());
        assert!(ln(f32::from_bits(0xffc0_0001)).is_nan());
    }

    #[test]
    fn tanh_is_accurate_bounded_and_odd() {
        let error = worst(tanh, f64::tanh, -10.0, 10.0, absolute);
        assert!(error < 4.5e-7, "{error:e}");
        assert!(worst_by_magnitude(tanh, f64::tanh, -30, 1) < 5e-7);
        assert_eq!(
            [tanh(8.0), tanh(20.0), tanh(f32::INFINITY), tanh(f32::NEG_INFINITY)],
            [1.0, 1.0, 1.0, -1.0]
        );
        assert_eq!(tanh(0.0), 0.0);
        assert!(tanh(f32::NAN).is_nan());
        for i in 0..2000 {
            let x = i as f32 * 0.007;
            assert_eq!(tanh(-x), -tanh(x));
        }
    }

    #[test]
    fn sigmoid_is_accurate_on_both_sides() {
        let truth = |x: f64| 1.0 / (1.0 + (-x).exp());
        let error = worst(sigmoid, truth, -86.0, 86.0, relative);
        assert!(error < 3e-7, "{error:e}");
        assert_eq!(sigmoid(0.0), 0.5);
        assert_eq!([sigmoid(-200.0), sigmoid(200.0)], [0.0, 1.0]);
        assert_eq!([sigmoid(f32::NEG_INFINITY), sigmoid(f32::INFINITY)], [0.0, 1.0]);
        assert!(sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn exprel_is_accurate_around_zero() {
        let truth = |x: f64| if x == 0.0 { 1.0 } else { x.exp_m1() / x };
        assert!(worst(exprel, truth, -1.0, 1.0, relative) < 5e-7);
        assert!(worst(exprel, truth, -80.0, 80.0, relative) < 5e-7);
        assert!(worst_by_magnitude(exprel, truth, -30, 1) < 5e-7);
        assert_eq!(exprel(0.0), 1.0);
        assert_eq!([exprel(f32::NEG_INFINITY), exprel(f32::INFINITY)], [0.0, f32::INFINITY]);
        assert!(exprel(f32::NAN).is_nan());
    }

    #[test]
    fn rounding_goes_to_even() {
        let got = [0.5, 1.5, 2.5, -0.5, -1.5, 0.49, 1e9, -2.51].map(round_even);
        assert_eq!(got, [0.0, 2.0, 2.0, 0.0, -2.0, 0.0, 1e9, -3.0]);
    }
}
