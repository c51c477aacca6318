//! The two kinds of numbers, and the table of pointwise operations evaluated on them. No arrays, no graphs.
//!
//! f32 functions are those of [`snn_runtime::math`], which generated code uses too; f64 functions are those of std, and `erf_f64`.
//!
//! What the table leaves open, as one machine instruction or compare-and-select does it:
//! comparisons with NaN are 0, except `Ne`, which is 1; `Min` is `a < b ? a : b` and `Max` is `b < a ? a : b`, so that of
//! equal numbers (also of `0` and `-0`) and of NaN and a number the second is taken; `Relu` and `Sign` of NaN are 0; NaN is
//! not 0 to `And`, `Or`, `Not` and `Select`.

use crate::step::ops::{Fold, Pw};
use snn_runtime::math;
use std::ops::{Add, Div, Mul, Neg, Sub};

/// f32 or f64.
pub trait Number:
    Copy
    + PartialOrd
    + std::fmt::Debug
    + Neg<Output = Self>
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
{
    /// Nearest value of a constant.
    fn from_f64(value: f64) -> Self;
    /// Exact for both.
    fn to_f64(self) -> f64;
    /// An operation of one operand that is not made of arithmetic and comparisons: `exp`, `floor`, `abs` ….
    fn function(self, op: Pw) -> Self;
    /// `self ^ exponent`
    fn pow(self, exponent: Self) -> Self;
}

impl Number for f32 {
    fn from_f64(value: f64) -> f32 {
        value as f32
    }
    fn to_f64(self) -> f64 {
        f64::from(self)
    }
    fn function(self, op: Pw) -> f32 {
        match op {
            Pw::Abs => self.abs(),
            Pw::Exp => math::exp(self),
            Pw::Ln => math::ln(self),
            Pw::Sqrt => self.sqrt(),
            Pw::Tanh => math::tanh(self),
            Pw::Sigmoid => math::sigmoid(self),
            Pw::Exprel => math::exprel(self),
            Pw::Sin => math::sin(self),
            Pw::Cos => math::cos(self),
            Pw::Arctan => math::arctan(self),
            Pw::Erf => math::erf(self),
            Pw::Floor => self.floor(),
            Pw::Round => self.round_ties_even(),
            other => unreachable!("{} is arithmetic", other.info().name),
        }
    }
    fn pow(self, exponent: f32) -> f32 {
        math::pow(self, exponent)
    }
}

impl Number for f64 {
    fn from_f64(value: f64) -> f64 {
        value
    }
    fn to_f64(self) -> f64 {
        self
    }
    fn function(self, op: Pw) -> f64 {
        match op {
            Pw::Abs => self.abs(),
            Pw::Exp => self.exp(),
            Pw::Ln => self.ln(),
            Pw::Sqrt => self.sqrt(),
            Pw::Tanh => self.tanh(),
            Pw::Sigmoid => 1.0 / (1.0 + (-self).exp()),
            Pw::Exprel if self == 0.0 => 1.0,
            Pw::Exprel => self.exp_m1() / self,
            Pw::Sin => self.sin(),
            Pw::Cos => self.cos(),
            Pw::Arctan => self.atan(),
            Pw::Erf => math::erf_f64(self),
            Pw::Floor => self.floor(),
            Pw::Round => self.round_ties_even(),
            other => unreachable!("{} is arithmetic", other.info().name),
        }
    }
    fn pow(self, exponent: f64) -> f64 {
        self.powf(exponent)
    }
}

/// An operation of the table; `a` holds at least as many operands as it has.
pub fn pw<N: Number>(op: Pw, a: &[N]) -> N {
    let zero = N::from_f64(0.0);
    let truth = |condition: bool| N::from_f64(if condition { 1.0 } else { 0.0 });
    match op {
        Pw::Neg => -a[0],
        Pw::Abs
        | Pw::Exp
        | Pw::Ln
        | Pw::Sqrt
        | Pw::Tanh
        | Pw::Sigmoid
        | Pw::Exprel
        | Pw::Sin
        | Pw::Cos
        | Pw::Arctan
        | Pw::Erf
        | Pw::Floor
        | Pw::Round => a[0].function(op),
        Pw::Sign => truth(a[0] > zero) - truth(a[0] < zero),
        Pw::Relu => choose(a[0] > zero, a[0], zero),
        Pw::Add => a[0] + a[1],
        Pw::Sub => a[0] - a[1],
        Pw::Mul => a[0] * a[1],
        Pw::Div => a[0] / a[1],
        Pw::Pow => a[0].pow(a[1]),
        Pw::Min => choose(a[0] < a[1], a[0], a[1]),
        Pw::Max => choose(a[1] < a[0], a[0], a[1]),
        Pw::Lt => truth(a[0] < a[1]),
        Pw::Le => truth(a[0] <= a[1]),
        Pw::Eq => truth(a[0] == a[1]),
        Pw::Ne => truth(a[0] != a[1]),
        Pw::And => truth(a[0] != zero && a[1] != zero),
        Pw::Or => truth(a[0] != zero || a[1] != zero),
        Pw::Not => truth(a[0] == zero),
        Pw::Select => choose(a[0] != zero, a[1], a[2]),
    }
}

fn choose<N>(condition: bool, yes: N, no: N) -> N {
    if condition { yes } else { no }
}

/// Two values of a fold, the one that came first first.
pub fn fold_pair<N: Number>(fold: Fold, a: N, b: N) -> N {
    let zero = N::from_f64(0.0);
    match fold {
        Fold::Sum => a + b,
        Fold::Max => pw(Pw::Max, &[a, b]),
        Fold::Min => pw(Pw::Min, &[a, b]),
        Fold::MinNonzero if a == zero => b,
        Fold::MinNonzero if b == zero => a,
        Fold::MinNonzero => pw(Pw::Min, &[a, b]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::ops::OPS;

    /// Bits, so that signs of zero and NaN count.
    #[track_caller]
    fn check(op: Pw, args: &[f32], expected: f32) {
        let wide: Vec<f64> = args.iter().map(|a| f64::from(*a)).collect();
        let (got, got_wide) = (pw(op, args), pw(op, &wide) as f32);
        let same = |a: f32, b: f32| a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
        assert!(same(got, expected), "f32 {}{args:?} is {got}, not {expected}", op.info().name);
        assert!(same(got_wide, expected), "f64 {}{args:?} is {got_wide}, not {expected}", op.info().name);
    }

    const NAN: f32 = f32::NAN;

    #[test]
    fn of_nan_and_a_number_the_second_is_taken() {
        check(Pw::Min, &[NAN, 2.0], 2.0);
        check(Pw::Min, &[2.0, NAN], NAN);
        check(Pw::Max, &[NAN, 2.0], 2.0);
        check(Pw::Max, &[2.0, NAN], NAN);
    }

    #[test]
    fn of_equal_numbers_the_second_is_taken() {
        check(Pw::Min, &[0.0, -0.0], -0.0);
        check(Pw::Min, &[-0.0, 0.0], 0.0);
        check(Pw::Max, &[0.0, -0.0], -0.0);
        check(Pw::Max, &[-0.0, 0.0], 0.0);
    }

    #[test]
    fn comparisons_and_conditions() {
        check(Pw::Lt, &[1.0, 1.0], 0.0);
        check(Pw::Le, &[1.0, 1.0], 1.0);
        check(Pw::Le, &[NAN, 1.0], 0.0);
        check(Pw::Eq, &[0.0, -0.0], 1.0);
        check(Pw::Eq, &[NAN, NAN], 0.0);
        check(Pw::Ne, &[NAN, NAN], 1.0);
        check(Pw::And, &[2.0, -3.0], 1.0);
        check(Pw::And, &[2.0, -0.0], 0.0);
        check(Pw::Or, &[0.0, NAN], 1.0);
        check(Pw::Not, &[0.5], 0.0);
        check(Pw::Not, &[-0.0], 1.0);
        check(Pw::Select, &[NAN, 1.0, 2.0], 1.0);
        check(Pw::Select, &[-0.0, 1.0, 2.0], 2.0);
    }

    #[test]
    fn rounding_and_signs() {
        check(Pw::Round, &[0.5], 0.0);
        check(Pw::Round, &[1.5], 2.0);
        check(Pw::Round, &[-2.5], -2.0);
        check(Pw::Floor, &[-0.5], -1.0);
        check(Pw::Sign, &[-0.0], 0.0);
        check(Pw::Sign, &[-3.0], -1.0);
        check(Pw::Sign, &[NAN], 0.0);
        check(Pw::Relu, &[-0.0], 0.0);
        check(Pw::Relu, &[NAN], 0.0);
        check(Pw::Neg, &[0.0], -0.0);
        check(Pw::Exprel, &[0.0], 1.0);
    }

    #[test]
    fn the_smallest_that_is_not_zero() {
        let of =
            |values: &[f64]| values.iter().copied().reduce(|a, b| fold_pair(Fold::MinNonzero, a, b)).unwrap();
        assert_eq!(of(&[0.0, 3.0, 0.0, 2.0, 5.0]), 2.0);
        assert_eq!(of(&[0.0, 0.0]), 0.0);
    }

    #[test]
    fn f32_is_as_close_to_f64_as_the_table_says() {
        for row in OPS {
            let (lo, hi) = row.domain;
            let at = |k: usize, n: usize| (lo + (hi - lo) * k as f64 / n as f64) as f32;
            for k in 0..4096 {
                let args = [at(k, 4095), at(k * 7 % 101, 100), at(k * 13 % 103, 102)];
                let wide = args.map(f64::from);
                let error = (f64::from(pw(row.op, &args)) - pw(row.op, &wide)).abs();
                assert!(error <= row.tolerance, "{}{:?}: off by {error:e}", row.name, &args[..row.arity]);
            }
        }
    }
}
