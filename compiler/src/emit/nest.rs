//! Nests: rows, then columns in fours, then what is left of a row on one lane.

use super::function::{Frame, memory};
use crate::loops::{Access, Instr};
use cranelift_codegen::ir::{InstBuilder, Value, types};
use snn_runtime::abi::Ctx;
use std::mem::offset_of;

/// How many columns at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lanes {
    Four,
    One,
}

impl Frame<'_> {
    /// All elements of a nest.
    pub fn nest(&mut self, rows: usize, width: usize, body: &[Instr]) {
        let starts: Vec<Option<Value>> = body
            .iter()
            .map(|instr| match instr {
                Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => Some(self.address(a)),
                _ => None,
            })
            .collect();
        let unroll = unroll(body);
        self.repeat(rows as i64, 1, false, |f, row| {
            let pointers: Vec<Option<Value>> = body
                .iter()
                .zip(&starts)
                .map(|(instr, start)| match instr {
                    Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => {
                        start.map(|s| if rows > 1 { f.plus_times(s, row, 4 * a.row as i64) } else { s })
                    }
                    _ => None,
                })
                .collect();
            f.columns(width, unroll, |f, column, lanes| f.element(body, &pointers, column, lanes));
        });
    }

    /// Goes over columns, `4 * unroll` at once, then four, then one; `column` is in bytes.
    pub fn columns(&mut self, width: usize, unroll: usize, body: impl Fn(&mut Self, Value, Lanes)) {
        let fours = if self.vector { width / 4 * 4 } else { 0 };
        let many = fours / (4 * unroll) * (4 * unroll);
        self.repeat(4 * many as i64, 16 * unroll as i64, false, |f, column| {
            for k in 0..unroll {
                let column = f.plus(column, 16 * k as i64);
                body(f, column, Lanes::Four);
            }
        });
        self.repeat_from(4 * many, 4 * fours, 16, |f, column| body(f, column, Lanes::Four));
        self.repeat_from(4 * fours, 4 * width, 4, |f, column| body(f, column, Lanes::One));
    }

    /// Reads an element (or four), or one number for all columns.
    pub fn read(&mut self, a: &Access, pointer: Value, column: Value, lanes: Lanes) -> Value {
        if a.col == 0 {
            let x = self.b.ins().load(types::F32, memory(), pointer, 0);
            return self.b.ins().splat(types::F32X4, x);
        }
        let address = self.b.ins().iadd(pointer, column);
        match lanes {
            Lanes::Four => self.b.ins().load(types::F32X4, memory(), address, 0),
            Lanes::One => {
                let x = self.b.ins().load(types::F32, memory(), address, 0);
                self.b.ins().scalar_to_vector(types::F32X4, x)
            }
        }
    }

    /// Writes an element (or four).
    pub fn write(&mut self, a: &Access, pointer: Value, column: Value, lanes: Lanes, x: Value) {
        let address = if a.col == 0 { pointer } else { self.b.ins().iadd(pointer, column) };
        if lanes == Lanes::Four && a.col == 1 {
            self.b.ins().store(memory(), x, address, 0);
        } else {
            let x = self.b.ins().extractlane(x, 0);
            self.b.ins().store(memory(), x, address, 0);
        }
    }

    /// One column, or four.
    fn element(&mut self, body: &[Instr], pointers: &[Option<Value>], column: Value, lanes: Lanes) {
        self.lanes = lanes;
        let mut regs: Vec<Option<Value>> = Vec::with_capacity(body.len());
        for (instr, pointer) in body.iter().zip(pointers) {
            let reg = |r: &usize| regs[*r].expect("verified: made before");
            let value = match instr {
                Instr::Const(c) => Some(self.number(*c)),
                Instr::Scalar(s) => {
                    let offset = offset_of!(Ctx, scalars) + 4 * *s as usize;
                    let ctx = self.ctx;
                    let x = self.b.ins().load(types::F32, memory(), ctx, offset as i32);
                    Some(self.b.ins().splat(types::F32X4, x))
                }
                Instr::StepIndex => {
                    let step = self.step.expect("verified: within a time loop");
                    let x = self.b.ins().fcvt_from_sint(types::F32, step);
                    Some(self.b.ins().splat(types::F32X4, x))
                }
                Instr::Load(a) => Some(self.read(a, pointer.expect("an access"), column, lanes)),
                Instr::Op(op, args) => {
                    let args: Vec<Value> = args.iter().map(reg).collect();
                    Some(self.op(*op, &args))
                }
                Instr::Spike { strict, x } => {
                    let x = reg(x);
                    Some(self.spike(*strict, x))
                }
                Instr::Store(a, x) => {
                    let x = reg(x);
                    self.write(a, pointer.expect("an access"), column, lanes, x);
                    None
                }
                Instr::Add(a, x) => {
                    let (x, pointer) = (reg(x), pointer.expect("an access"));
                    let before = self.read(a, pointer, column, lanes);
                    let sum = self.b.ins().fadd(before, x);
                    self.write(a, pointer, column, lanes, sum);
                    None
                }
            };
            regs.push(value);
        }
    }
}

/// How many groups of four lanes a turn of the loop makes. Short bodies gain a quarter (64-128-10, 25 steps: 1.3 to 0.9 ms for a
/// training step); long ones only become more code.
fn unroll(body: &[Instr]) -> usize {
    let cost = |i: &Instr| match i {
        Instr::Op(op, _) => op.info().cost,
        Instr::Const(_) => 0,
        _ => 1,
    };
    match body.iter().map(cost).sum::<u32>() {
        0..=24 => 4,
        25..=48 => 2,
        _ => 1,
    }
}
