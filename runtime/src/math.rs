//! The only exp, ln, tanh …: same bits in interpreter, generated code and runtime. No vectors, no libm, no fma.
//!
//! [`exp`], [`ln`], [`tanh`], [`sigmoid`], [`exprel`] are written in single f32 operations (`+ - * /`, comparison and select,
//! bit casts, i32 `+ - << >>` that wrap) so that a code generator can put the same operations, in the same order, into four
//! lanes and get the same bits. All have no branches: what looks like `if` is a select. The comment of each function *is* the
//! sequence; its constants are public. Nothing is contracted to fma and nothing is reassociated.
//!
//! [`sin`], [`cos`], [`arctan`], [`pow`] compute in f64 with `+ - * /` only and are called, one element at a time.
//!
//! Generated code runs with denormals flushed to zero ([`crate::pool::FlushDenormals`]); whoever compares with it does the same.

/// 1.5 · 2²³: `(x + MAGIC) - MAGIC` rounds |x| < 2²² to the nearest whole number, ties to even; the low bits of
/// `bits(x + MAGIC)` are that number.
pub const MAGIC: f32 = 12_582_912.0;
/// `bits(MAGIC)`; its low 9 bits are 0.
pub const MAGIC_BITS: i32 = 0x4B40_0000;
/// log2(e).
pub const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// Upper part of ln 2: 355/512, so that `n * LN2_HI` is exact.
pub const LN2_HI: f32 = 0.693_359_375;
/// ln 2 - [`LN2_HI`].
pub const LN2_LO: f32 = -2.121_944_4e-4;

/// Below, `exp` is 0 (e^-86.98 = 1.7e-38, just above the smallest normal number).
pub const EXP_LO: f32 = -86.98;
/// Above, `exp` is infinite.
pub const EXP_HI: f32 = 88.722_83;
/// (e^r - 1 - r) / r² for |r| <= ln(2)/2, highest power first (Moshier, Cephes `expf`).
pub const EXP_POLY: [f32; 6] =
    [1.987_569_1e-4, 1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 5.000_000_1e-1];

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
    2.000_187_9e-13,
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
/// a = x < 0 ? x : 0 - x                     -|x|
/// e = exp(a)
/// n = x < 0 ? e : 1
/// y = n / (1 + e)
/// ```
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let a = if x < 0.0 { x } else { 0.0 - x };
    let e = exp(a);
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

    /// Largest error of `f` against `truth` over [lo, hi], each divided by `scale(truth)`.
    fn worst(f: fn(f32) -> f32, truth: fn(f64) -> f64, lo: f32, hi: f32, scale: fn(f64) -> f64) -> f64 {
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
    fn worst_by_magnitude(f: fn(f32) -> f32, truth: fn(f64) -> f64, lo: i32, hi: i32) -> f64 {
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

    fn absolute(_: f64) -> f64 {
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
