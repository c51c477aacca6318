//! Quotients and square roots from approximate reciprocals and one step of Newton's iteration: an error below 0.6 units in the last place
//! where neither the reciprocal nor the remainder leaves the range of normal numbers, in a third of the time. AVX-512 only: what
//! AVX2 has is too far off for one step. Exact ones are in the parent.

use super::{Encoder, Place, Source};
use iced_x86::{Code, Instruction, Register};

/// Predicates of comparisons: one of the two is no number; neither is the first smaller.
const UNORDERED: i32 = 0x03;
const NOT_BELOW: i32 = 0x15;

const MUL: Code = Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er;
const FMADD213: Code = Code::EVEX_Vfmadd213ps_zmm_k1z_zmm_zmmm512b32_er;
const FNMADD231: Code = Code::EVEX_Vfnmadd231ps_zmm_k1z_zmm_zmmm512b32_er;
const BLEND: Code = Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32;

impl Encoder<'_> {
    /// `to = a / b`; `a` may lie in the first temporary.
    pub(super) fn close_quotient(&mut self, a: Place, b: Source, to: Register) {
        let [rest, reciprocal, first] = [0, 1, 2].map(|number| self.temporary(number));
        self.two(Code::EVEX_Vrcp14ps_zmm_k1z_zmmm512b32, reciprocal, b);
        let first = match a {
            Place::Const(1.0) => reciprocal,
            _ => first,
        };
        let a = self.in_register(a, rest);
        if first != reciprocal {
            self.push(Instruction::with3(MUL, first, a, reciprocal));
        }
        if a != rest {
            self.two(Code::EVEX_Vmovaps_zmm_k1z_zmmm512, rest, Source::Register(a));
        }
        self.push(match b {
            Source::Register(b) => Instruction::with3(FNMADD231, rest, first, b),
            Source::Memory(b) => Instruction::with3(FNMADD231, rest, first, b),
        });
        self.push(Instruction::with3(FMADD213, rest, reciprocal, first));
        // Of zeros and infinities the remainder is no number, and the first approximation is right.
        self.compare(UNORDERED, rest, Source::Register(rest), to);
        let blend = Instruction::with3(BLEND, to, rest, first);
        self.push_masked(blend, Register::K2, false);
    }

    /// `to` is the square root of `x`, which lies in none of the temporaries.
    pub(super) fn close_root(&mut self, x: Register, to: Register) {
        let [rest, reciprocal, first] = [0, 1, 2].map(|number| self.temporary(number));
        let from = Source::Register(x);
        self.two(Code::EVEX_Vrsqrt14ps_zmm_k1z_zmmm512b32, reciprocal, from);
        self.push(Instruction::with3(MUL, first, x, reciprocal));
        let (half, zero) = (self.constant(0.5f32.to_bits()), self.constant(0));
        self.push(Instruction::with3(MUL, reciprocal, reciprocal, half));
        self.two(Code::EVEX_Vmovaps_zmm_k1z_zmmm512, rest, from);
        self.push(Instruction::with3(FNMADD231, rest, first, first));
        self.push(Instruction::with3(FMADD213, rest, reciprocal, first));
        // Zero and infinity are their own roots.
        self.compare(UNORDERED, rest, Source::Register(rest), to);
        let compare = Code::EVEX_Vcmpps_kr_k1_zmm_zmmm512b32_imm8_sae;
        let not_below = Instruction::with4(compare, Register::K2, x, zero, NOT_BELOW);
        self.push_masked(not_below, Register::K2, false);
        let blend = Instruction::with3(BLEND, to, rest, x);
        self.push_masked(blend, Register::K2, false);
    }

    fn two(&mut self, code: Code, to: Register, from: Source) {
        self.push(match from {
            Source::Register(from) => Instruction::with2(code, to, from),
            Source::Memory(from) => Instruction::with2(code, to, from),
        });
    }
}
