//! Operations of the table as instructions, the same ones as in `math`. No memory, no loops; quotients and roots that may be off by a bit are
//! in `close`.

use super::{Encoder, Place, Source};
use crate::step::ops::Pw;
use iced_x86::{Code, Instruction, Register};

/// Predicates of comparisons: those of `math`.
pub(super) const EQ: i32 = 0x00;
pub(super) const NE: i32 = 0x04;
pub(super) const LT: i32 = 0x11;
pub(super) const LE: i32 = 0x12;
pub(super) const GE: i32 = 0x1d;
pub(super) const GT: i32 = 0x1e;

/// Each for AVX-512 and for AVX2.
pub(super) const ADD: [Code; 2] =
    [Code::EVEX_Vaddps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vaddps_ymm_ymm_ymmm256];
pub(super) const SUB: [Code; 2] =
    [Code::EVEX_Vsubps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vsubps_ymm_ymm_ymmm256];
pub(super) const MUL: [Code; 2] =
    [Code::EVEX_Vmulps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vmulps_ymm_ymm_ymmm256];
pub(super) const DIV: [Code; 2] =
    [Code::EVEX_Vdivps_zmm_k1z_zmm_zmmm512b32_er, Code::VEX_Vdivps_ymm_ymm_ymmm256];
pub(super) const MIN: [Code; 2] =
    [Code::EVEX_Vminps_zmm_k1z_zmm_zmmm512b32_sae, Code::VEX_Vminps_ymm_ymm_ymmm256];
pub(super) const MAX: [Code; 2] =
    [Code::EVEX_Vmaxps_zmm_k1z_zmm_zmmm512b32_sae, Code::VEX_Vmaxps_ymm_ymm_ymmm256];
pub(super) const AND: [Code; 2] =
    [Code::EVEX_Vpandd_zmm_k1z_zmm_zmmm512b32, Code::VEX_Vandps_ymm_ymm_ymmm256];
pub(super) const OR: [Code; 2] = [Code::EVEX_Vpord_zmm_k1z_zmm_zmmm512b32, Code::VEX_Vorps_ymm_ymm_ymmm256];
pub(super) const XOR: [Code; 2] =
    [Code::EVEX_Vpxord_zmm_k1z_zmm_zmmm512b32, Code::VEX_Vxorps_ymm_ymm_ymmm256];

impl Encoder<'_> {
    /// An operation of the table, as `math` has it.
    pub(super) fn op(&mut self, op: Pw, args: &[Place], to: Register) -> Option<()> {
        // A constant is an operand in memory, but only the second one can be.
        let swapped = [args.get(1).copied().unwrap_or(args[0]), args[0]];
        let commutes = matches!(op, Pw::Add | Pw::Mul) && matches!(args[0], Place::Const(c) if !c.is_nan());
        let args = if commutes { &swapped } else { args };
        let a = self.in_register(args[0], self.temporary(0));
        let zero = self.number(0.0);
        let second = args.get(1).map(|b| self.source(*b));
        let b = second.unwrap_or(zero);
        match op {
            Pw::Add => self.three(ADD, to, a, b),
            Pw::Sub => self.three(SUB, to, a, b),
            Pw::Mul => self.three(MUL, to, a, b),
            Pw::Div if self.is_close() => self.close_quotient(args[0], b, to),
            Pw::Div => self.three(DIV, to, a, b),
            // The second where neither is smaller, as the instructions have it.
            Pw::Min => self.three(MIN, to, a, b),
            Pw::Max => self.three(MAX, to, a, b),
            Pw::Relu => self.three(MAX, to, a, zero),
            Pw::Neg => {
                let sign = Source::Memory(self.constant(1 << 31));
                self.three(XOR, to, a, sign);
            }
            Pw::Abs => {
                let others = Source::Memory(self.constant(u32::MAX >> 1));
                self.three(AND, to, a, others);
            }
            Pw::Sqrt if self.is_close() && matches!(args[0], Place::Register(_)) => self.close_root(a, to),
            Pw::Sqrt => {
                let code = [Code::EVEX_Vsqrtps_zmm_k1z_zmmm512b32_er, Code::VEX_Vsqrtps_ymm_ymmm256];
                self.push(Instruction::with2(code[usize::from(!self.wide())], to, a));
            }
            Pw::Floor | Pw::Round => {
                let code =
                    [Code::EVEX_Vrndscaleps_zmm_k1z_zmmm512b32_imm8_sae, Code::VEX_Vroundps_ymm_ymmm256_imm8];
                let how = if op == Pw::Floor { 9 } else { 8 };
                self.push(Instruction::with3(code[usize::from(!self.wide())], to, a, how));
            }
            Pw::Lt => self.truth(LT, a, b, to),
            Pw::Le => self.truth(LE, a, b, to),
            Pw::Eq => self.truth(EQ, a, b, to),
            Pw::Ne => self.truth(NE, a, b, to),
            Pw::Not => self.truth(EQ, a, zero, to),
            Pw::Select => self.select(a, args[1], args[2], to),
            Pw::Sign => self.sign(a, to),
            Pw::And | Pw::Or => self.both(op == Pw::And, a, b, to),
            Pw::Exp | Pw::Ln | Pw::Tanh | Pw::Sigmoid | Pw::Exprel => return None,
            Pw::Sin | Pw::Cos | Pw::Arctan | Pw::Erf | Pw::Pow => return None,
        }
        Some(())
    }

    fn select(&mut self, condition: Register, yes: Place, no: Place, to: Register) {
        let zero = self.number(0.0);
        let mask = self.temporary(1);
        self.compare(NE, condition, zero, mask);
        // The condition is done with: its register may be the temporary.
        let no = self.in_register(no, self.temporary(0));
        match (self.wide(), self.source(yes)) {
            (true, Source::Register(yes)) => {
                let blend = Instruction::with3(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, to, no, yes);
                self.push_masked(blend, Register::K2, false);
            }
            (true, Source::Memory(yes)) => {
                let blend = Instruction::with3(Code::EVEX_Vblendmps_zmm_k1z_zmm_zmmm512b32, to, no, yes);
                self.push_masked(blend, Register::K2, false);
            }
            (false, Source::Register(yes)) => {
                self.push(Instruction::with4(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, to, no, yes, mask));
            }
            (false, Source::Memory(yes)) => {
                self.push(Instruction::with4(Code::VEX_Vblendvps_ymm_ymm_ymmm256_ymm, to, no, yes, mask));
            }
        }
    }

    fn sign(&mut self, x: Register, to: Register) {
        let (up, zero) = (self.temporary(1), self.number(0.0));
        self.truth(GT, x, zero, up);
        if self.wide() {
            self.compare(LT, x, zero, to);
            let mut one = self.constant(1f32.to_bits());
            one.is_broadcast = false;
            let down = self.temporary(0);
            let ones = Instruction::with2(Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, down, one);
            self.push_masked(ones, Register::K2, true);
            return self.three(SUB, to, up, Source::Register(down));
        }
        let down = self.temporary(0);
        self.compare(LT, x, zero, down);
        let one = self.number(1.0);
        self.three(AND, down, down, one);
        self.three(SUB, to, up, Source::Register(down));
    }

    /// Whether both, or one, of two numbers are not zero.
    fn both(&mut self, and: bool, a: Register, b: Source, to: Register) {
        let zero = self.number(0.0);
        let (first, second) = (self.temporary(1), self.temporary(0));
        self.truth(NE, a, zero, first);
        let b = match b {
            Source::Register(b) => b,
            Source::Memory(b) => {
                let mut b = b;
                b.is_broadcast = false;
                let code = [Code::EVEX_Vbroadcastss_zmm_k1z_xmmm32, Code::VEX_Vmovups_ymm_ymmm256];
                self.push(Instruction::with2(code[usize::from(!self.wide())], second, b));
                second
            }
        };
        if self.wide() {
            self.compare(NE, b, zero, to);
            self.ones(second);
        } else {
            self.compare(NE, b, zero, second);
        }
        // Of numbers 1 and 0, or with AVX2 a number and a mask: bits of 1 where the result is true.
        if and {
            self.three(AND, to, first, Source::Register(second));
            return;
        }
        self.three(OR, second, first, Source::Register(second));
        let one = self.number(1.0);
        self.three(AND, to, second, one);
    }
}
