//! Pointwise operations on four lanes: the same operations in the same order as `snn_runtime::math`, so the same bits.

use super::function::Frame;
use super::nest::Lanes;
use crate::step::ops::{Fold, Pw};
use cranelift_codegen::ir::condcodes::FloatCC;
use cranelift_codegen::ir::{InstBuilder, Value, types};
use snn_runtime::math as m;

impl Frame<'_> {
    fn mask(&mut self, cc: FloatCC, a: Value, b: Value) -> Value {
        self.b.ins().fcmp(cc, a, b)
    }

    /// `mask ? a : b`
    fn choose(&mut self, mask: Value, a: Value, b: Value) -> Value {
        let mask = self.b.ins().bitcast(types::F32X4, lanes(), mask);
        self.b.ins().bitselect(mask, a, b)
    }

    /// 1 where the mask is set, else 0.
    fn truth(&mut self, mask: Value) -> Value {
        let one = self.number(1.0);
        let mask = self.b.ins().bitcast(types::F32X4, lanes(), mask);
        self.b.ins().band(mask, one)
    }

    fn compare(&mut self, cc: FloatCC, a: Value, b: Value) -> Value {
        let mask = self.mask(cc, a, b);
        self.truth(mask)
    }

    fn not_zero(&mut self, a: Value) -> Value {
        let zero = self.number(0.0);
        self.mask(FloatCC::NotEqual, a, zero)
    }

    /// Numbers as what they are made of.
    pub fn bits(&mut self, a: Value) -> Value {
        self.b.ins().bitcast(types::I32X4, lanes(), a)
    }

    /// Back from [`Frame::bits`].
    pub fn float(&mut self, a: Value) -> Value {
        self.b.ins().bitcast(types::F32X4, lanes(), a)
    }

    fn add_number(&mut self, a: Value, k: f32) -> Value {
        let k = self.number(k);
        self.b.ins().fadd(a, k)
    }

    fn times_number(&mut self, a: Value, k: f32) -> Value {
        let k = self.number(k);
        self.b.ins().fmul(a, k)
    }

    /// `p = c[0]; p = p * x + c[i]`
    fn horner(&mut self, x: Value, coefficients: &[f32]) -> Value {
        let mut p = self.number(coefficients[0]);
        for c in &coefficients[1..] {
            p = self.b.ins().fmul(p, x);
            p = self.add_number(p, *c);
        }
        p
    }

    /// Spikes: `x > 0` or `x >= 0`.
    pub fn spike(&mut self, strict: bool, x: Value) -> Value {
        let zero = self.number(0.0);
        self.compare(if strict { FloatCC::GreaterThan } else { FloatCC::GreaterThanOrEqual }, x, zero)
    }

    /// Two values of a fold, the one that came first first.
    pub fn fold_pair(&mut self, fold: Fold, a: Value, b: Value) -> Value {
        match fold {
            Fold::Sum => self.b.ins().fadd(a, b),
            Fold::Max => self.op(Pw::Max, &[a, b]),
            Fold::Min => self.op(Pw::Min, &[a, b]),
            Fold::MinNonzero => {
                let smaller = self.op(Pw::Min, &[a, b]);
                let b_set = self.not_zero(b);
                let of_b = self.choose(b_set, smaller, a);
                let a_set = self.not_zero(a);
                self.choose(a_set, of_b, b)
            }
        }
    }

    /// An operation of the table.
    pub fn op(&mut self, op: Pw, a: &[Value]) -> Value {
        match op {
            Pw::Neg => self.b.ins().fneg(a[0]),
            Pw::Abs => self.b.ins().fabs(a[0]),
            Pw::Sqrt => self.b.ins().sqrt(a[0]),
            Pw::Floor => self.b.ins().floor(a[0]),
            Pw::Round => self.b.ins().nearest(a[0]),
            Pw::Add => self.b.ins().fadd(a[0], a[1]),
            Pw::Sub => self.b.ins().fsub(a[0], a[1]),
            Pw::Mul => self.b.ins().fmul(a[0], a[1]),
            Pw::Div => self.b.ins().fdiv(a[0], a[1]),
            Pw::Lt => self.compare(FloatCC::LessThan, a[0], a[1]),
            Pw::Le => self.compare(FloatCC::LessThanOrEqual, a[0], a[1]),
            Pw::Eq => self.compare(FloatCC::Equal, a[0], a[1]),
            Pw::Ne => self.compare(FloatCC::NotEqual, a[0], a[1]),
            Pw::Min => {
                let mask = self.mask(FloatCC::LessThan, a[0], a[1]);
                self.choose(mask, a[0], a[1])
            }
            Pw::Max => {
                let mask = self.mask(FloatCC::LessThan, a[1], a[0]);
                self.choose(mask, a[0], a[1])
            }
            Pw::Select => {
                let mask = self.not_zero(a[0]);
                self.choose(mask, a[1], a[2])
            }
            Pw::Not => {
                let zero = self.number(0.0);
                self.compare(FloatCC::Equal, a[0], zero)
            }
            Pw::And | Pw::Or => {
                let (x, y) = (self.not_zero(a[0]), self.not_zero(a[1]));
                let both = if op == Pw::And { self.b.ins().band(x, y) } else { self.b.ins().bor(x, y) };
                self.truth(both)
            }
            Pw::Relu => {
                let zero = self.number(0.0);
                let mask = self.mask(FloatCC::GreaterThan, a[0], zero);
                self.choose(mask, a[0], zero)
            }
            Pw::Sign => self.sign(a[0]),
            Pw::Exp => self.exp(a[0]),
            Pw::Ln => self.ln(a[0]),
            Pw::Tanh => self.tanh(a[0]),
            Pw::Sigmoid => self.sigmoid(a[0]),
            Pw::Exprel => self.exprel(a[0]),
            Pw::Sin => self.each_lane("snn_sin", a),
            Pw::Cos => self.each_lane("snn_cos", a),
            Pw::Arctan => self.each_lane("snn_arctan", a),
            Pw::Erf => self.each_lane("snn_erf", a),
            Pw::Pow => self.each_lane("snn_pow", a),
        }
    }

    fn sign(&mut self, x: Value) -> Value {
        let zero = self.number(0.0);
        let up = self.compare(FloatCC::GreaterThan, x, zero);
        let down = self.compare(FloatCC::LessThan, x, zero);
        self.b.ins().fsub(up, down)
    }

    /// See [`m::exp`].
    fn exp(&mut self, x: Value) -> Value {
        let t = self.times_number(x, m::LOG2_E);
        let t = self.add_number(t, m::MAGIC);
        let magic = self.number(m::MAGIC);
        let n = self.b.ins().fsub(t, magic);
        let high = self.times_number(n, m::LN2_HI);
        let r = self.b.ins().fsub(x, high);
        let low = self.times_number(n, m::LN2_LO);
        let r = self.b.ins().fsub(r, low);
        let p = self.horner(r, &m::EXP_POLY);
        let square = self.b.ins().fmul(r, r);
        let p = self.b.ins().fmul(p, square);
        let p = self.b.ins().fadd(p, r);
        let p = self.add_number(p, 1.0);
        let bits = self.bits(t);
        let offset = self.integers(126);
        let s = self.b.ins().iadd(bits, offset);
        let s = self.b.ins().ishl_imm_u(s, 23);
        let s = self.float(s);
        let p = self.b.ins().fadd(p, p);
        let y = self.b.ins().fmul(p, s);
        let low = self.number(m::EXP_LO);
        let (mask, zero) = (self.mask(FloatCC::LessThan, x, low), self.number(0.0));
        let y = self.choose(mask, zero, y);
        self.infinite_above(x, y)
    }

    /// Infinite where `exp` is.
    fn infinite_above(&mut self, x: Value, y: Value) -> Value {
        let high = self.number(m::EXP_HI);
        let (mask, infinity) = (self.mask(FloatCC::GreaterThan, x, high), self.number(f32::INFINITY));
        self.choose(mask, infinity, y)
    }

    /// See [`m::ln`].
    fn ln(&mut self, x: Value) -> Value {
        let bits = self.bits(x);
        let split = self.integers(m::LN_SPLIT_BITS);
        let e = self.b.ins().isub(bits, split);
        let e = self.b.ins().sshr_imm_u(e, 23);
        let shifted = self.b.ins().ishl_imm_u(e, 23);
        let z = self.b.ins().isub(bits, shifted);
        let z = self.float(z);
        let one = self.number(1.0);
        let z = self.b.ins().fsub(z, one);
        let magic_bits = self.integers(m::MAGIC_BITS);
        let f = self.b.ins().iadd(e, magic_bits);
        let f = self.float(f);
        let magic = self.number(m::MAGIC);
        let f = self.b.ins().fsub(f, magic);
        let q = self.b.ins().fmul(z, z);
        let p = self.horner(z, &m::LN_POLY);
        let y = self.b.ins().fmul(p, z);
        let y = self.b.ins().fmul(y, q);
        let low = self.times_number(f, m::LN2_LO);
        let y = self.b.ins().fadd(y, low);
        let half = self.times_number(q, 0.5);
        let y = self.b.ins().fsub(y, half);
        let y = self.b.ins().fadd(z, y);
        let high = self.times_number(f, m::LN2_HI);
        let y = self.b.ins().fadd(y, high);
        self.ln_ends(x, y)
    }

    fn ln_ends(&mut self, x: Value, y: Value) -> Value {
        let least = self.number(m::LN_MIN);
        let (mask, minus_infinity) = (self.mask(FloatCC::LessThan, x, least), self.number(f32::NEG_INFINITY));
        let y = self.choose(mask, minus_infinity, y);
        let negative = self.number(-m::LN_MIN);
        let (mask, nan) = (self.mask(FloatCC::LessThanOrEqual, x, negative), self.number(f32::NAN));
        let y = self.choose(mask, nan, y);
        let largest = self.number(f32::MAX);
        let mask = self.mask(FloatCC::LessThanOrEqual, x, largest);
        self.choose(mask, y, x)
    }

    /// The smaller of a value and a number, the number where it is above.
    fn at_most(&mut self, x: Value, k: f32) -> Value {
        let k = self.number(k);
        let mask = self.mask(FloatCC::GreaterThan, x, k);
        self.choose(mask, k, x)
    }

    fn at_least(&mut self, x: Value, k: f32) -> Value {
        let k = self.number(k);
        let mask = self.mask(FloatCC::LessThan, x, k);
        self.choose(mask, k, x)
    }

    /// See [`m::tanh`].
    fn tanh(&mut self, x: Value) -> Value {
        let c = self.at_most(x, m::TANH_CLAMP);
        let c = self.at_least(c, -m::TANH_CLAMP);
        let z = self.b.ins().fmul(c, c);
        let p = self.horner(z, &m::TANH_P);
        let p = self.b.ins().fmul(p, c);
        let q = self.horner(z, &m::TANH_Q);
        let y = self.b.ins().fdiv(p, q);
        let y = self.at_most(y, 1.0);
        let y = self.at_least(y, -1.0);
        let tiny = self.number(m::TANH_TINY);
        let mask = self.mask(FloatCC::LessThan, z, tiny);
        self.choose(mask, x, y)
    }

    /// See [`m::sigmoid`].
    fn sigmoid(&mut self, x: Value) -> Value {
        let (zero, one) = (self.number(0.0), self.number(1.0));
        let negative = self.mask(FloatCC::LessThan, x, zero);
        let size = self.b.ins().fabs(x);
        let minus = self.b.ins().fneg(size);
        let e = self.exp(minus);
        let n = self.choose(negative, e, one);
        let below = self.b.ins().fadd(one, e);
        self.b.ins().fdiv(n, below)
    }

    /// See [`m::exprel`].
    fn exprel(&mut self, x: Value) -> Value {
        let p = self.horner(x, &m::EXP_POLY);
        let p = self.b.ins().fmul(p, x);
        let p = self.add_number(p, 1.0);
        let e = self.exp(x);
        let one = self.number(1.0);
        let top = self.b.ins().fsub(e, one);
        let y = self.b.ins().fdiv(top, x);
        let square = self.b.ins().fmul(x, x);
        let small = self.number(m::EXPREL_SMALL);
        let mask = self.mask(FloatCC::LessThan, square, small);
        let y = self.choose(mask, p, y);
        self.infinite_above(x, y)
    }

    /// A function of the runtime, lane by lane.
    fn each_lane(&mut self, name: &'static str, args: &[Value]) -> Value {
        let params = vec![types::F32; args.len()];
        let mut result = self.number(0.0);
        let lanes = if self.lanes == Lanes::Four { 4 } else { 1 };
        for lane in 0..lanes {
            let of_lane: Vec<Value> = args.iter().map(|a| self.b.ins().extractlane(*a, lane)).collect();
            let y = self.call(name, &params, Some(types::F32), &of_lane).expect("has a result");
            result = self.b.ins().insertlane(result, y, lane);
        }
        result
    }
}

/// Lanes keep their order when bits are taken as another type.
fn lanes() -> cranelift_codegen::ir::MemFlagsData {
    let mut flags = cranelift_codegen::ir::MemFlagsData::new();
    flags.set_endianness(cranelift_codegen::ir::Endianness::Little);
    flags
}
