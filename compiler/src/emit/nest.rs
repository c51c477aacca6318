//! Nests: rows, then columns in fours, then what is left of a row on one lane.

use super::function::{Frame, memory};
use super::stages::Stages;
use crate::loops::{Access, Instr};
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{ConstantData, InstBuilder, Value, types};
use snn_runtime::abi::Ctx;
use snn_runtime::kernels::shards::PARTS;
use std::mem::offset_of;

/// How many columns at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Lanes {
    Four,
    One,
}

/// Columns that are computed at once.
#[derive(Clone, Copy)]
struct Columns {
    /// The first, in bytes of numbers.
    first: Value,
    /// Its bit in a byte of spikes.
    of_byte: usize,
}

/// What is done with an instruction of a nest.
#[derive(Clone, Copy)]
pub(super) enum Role {
    /// It is done, at this address if it is an access.
    Do(Option<Value>),
    /// It is done, at this address if it is an access, and its result is written there too.
    Keep(Option<Value>, Value),
    /// Its result lies there.
    Given(Value),
    /// Nobody needs it.
    Skip,
}

/// A nest, or a stage of one.
#[derive(Clone, Copy)]
pub(super) struct Body<'a> {
    pub instrs: &'a [Instr],
    /// One for each instruction.
    pub roles: &'a [Role],
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
        if self.in_parts {
            return self.part_of_row(width, body, &starts);
        }
        if rows > 1 && Stages::of(body, width).is_none() {
            let roles: Vec<Role> = starts.iter().map(|p| Role::Do(*p)).collect();
            if self.in_wide_vectors(rows, width, Body { instrs: body, roles: &roles }) {
                return;
            }
        }
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
            match Stages::of(body, width).filter(|_| f.vector) {
                Some(stages) => f.in_stages(&stages, width, body, &pointers),
                None => f.all(width, body, &pointers),
            }
        });
    }

    /// All instructions, on the columns of a row.
    fn all(&mut self, width: usize, body: &[Instr], pointers: &[Option<Value>]) {
        let roles: Vec<Role> = pointers.iter().map(|p| Role::Do(*p)).collect();
        self.row(width, Body { instrs: body, roles: &roles });
    }

    /// The columns of a row.
    pub fn row(&mut self, width: usize, body: Body) {
        if self.in_wide_vectors(1, width, body) {
            return;
        }
        if self.touches_spikes(body) {
            self.columns_of_spikes(width, body);
        } else {
            self.numbers(width, body);
        }
    }

    /// The columns of this part: whole cache lines each, and what is left for the last one.
    fn part_of_row(&mut self, width: usize, body: &[Instr], starts: &[Option<Value>]) {
        let step = width / (16 * PARTS) * 16;
        let part = self.field(offset_of!(Ctx, shard_idx));
        let first = self.b.ins().imul_imm_s(part, 4 * step as i64);
        let pointers = self.advanced(body, starts, first);
        self.all(step, body, &pointers);
        self.when_equal(part, PARTS as i64 - 1, |f| {
            let first = f.int(4 * (step * PARTS) as i64);
            let pointers = f.advanced(body, starts, first);
            f.all(width - step * PARTS, body, &pointers);
        });
    }

    /// Pointers `bytes` of numbers further along the columns.
    pub fn advanced(&mut self, body: &[Instr], starts: &[Option<Value>], bytes: Value) -> Vec<Option<Value>> {
        let accesses = body.iter().zip(starts).map(|(instr, start)| match (instr, start) {
            (Instr::Load(a) | Instr::Store(a, _), Some(start)) if self.loops.buffers[a.buffer].spikes => {
                Some(self.byte_address(*start, bytes))
            }
            (Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _), Some(start)) if a.col == 1 => {
                Some(self.b.ins().iadd(*start, bytes))
            }
            _ => *start,
        });
        accesses.collect()
    }

    fn touches_spikes(&self, body: Body) -> bool {
        let done = body.instrs.iter().zip(body.roles).filter(|(_, role)| !matches!(role, Role::Skip));
        done.into_iter().any(|(instr, _)| match instr {
            Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => self.loops.buffers[a.buffer].spikes,
            _ => false,
        })
    }

    /// Goes over columns eight at a time: spikes are read and written in bytes.
    fn columns_of_spikes(&mut self, width: usize, body: Body) {
        let (groups, unroll) = (width / 8, unroll(body) / 2);
        let many = groups / unroll * unroll;
        self.repeat(32 * many as i64, 32 * unroll as i64, false, |f, column| {
            for k in 0..unroll {
                let column = f.plus(column, 32 * k as i64);
                f.byte(8, body, column);
            }
        });
        self.repeat_from(32 * many, 32 * groups, 32, |f, column| f.byte(8, body, column));
        if !width.is_multiple_of(8) {
            let column = self.int(32 * groups as i64);
            self.byte(width % 8, body, column);
        }
    }

    /// Up to eight columns, and the bytes of their spikes.
    fn byte(&mut self, width: usize, body: Body, column: Value) {
        let mut made: Vec<Option<Value>> = vec![None; body.instrs.len()];
        let mut at = 0;
        while at < width {
            let lanes = if self.vector && width - at >= 4 { Lanes::Four } else { Lanes::One };
            let step = if lanes == Lanes::Four { 4 } else { 1 };
            let many = if lanes == Lanes::Four && width - at >= 8 { 2 } else { 1 };
            let group: Vec<Columns> = (0..many)
                .map(|k| {
                    let of_byte = at + k * step;
                    Columns { first: self.plus(column, 4 * of_byte as i64), of_byte }
                })
                .collect();
            self.elements(body, &group, lanes, &mut made);
            at += many * step;
        }
        for (made, role) in made.iter().zip(body.roles) {
            if let (Some(made), Role::Do(Some(pointer))) = (made, role) {
                let address = self.byte_address(*pointer, column);
                self.b.ins().istore8(memory(), *made, address, 0);
            }
        }
    }

    /// Eight columns are 32 bytes of numbers and one of spikes.
    fn byte_address(&mut self, pointer: Value, column: Value) -> Value {
        let offset = self.b.ins().ushr_imm_u(column, 5);
        self.b.ins().iadd(pointer, offset)
    }

    /// Spikes as numbers.
    fn read_spikes(&mut self, pointer: Value, column: Value, at: usize) -> Value {
        let address = self.byte_address(pointer, column);
        let byte = self.b.ins().uload8(types::I32, memory(), address, 0);
        let all = self.b.ins().splat(types::I32X4, byte);
        let bits: Vec<u8> = (0..4).flat_map(|lane| (1u32 << (at + lane)).to_le_bytes()).collect();
        let bits = self.b.func.dfg.constants.insert(ConstantData::from(bits));
        let bits = self.b.ins().vconst(types::I32X4, bits);
        let set = self.b.ins().band(all, bits);
        let mask = self.b.ins().icmp(IntCC::Equal, set, bits);
        let one = self.integers(1f32.to_bits() as i32);
        let number = self.b.ins().band(mask, one);
        self.float(number)
    }

    /// Numbers that are 0 or 1 as bits from `at` on. Bit 29 of 1.0 is set.
    fn spike_bits(&mut self, x: Value, at: usize, lanes: Lanes) -> Value {
        let x = self.bits(x);
        let bits = match lanes {
            Lanes::Four => {
                let signs = self.b.ins().ishl_imm_u(x, 2);
                self.b.ins().vhigh_bits(types::I32, signs)
            }
            Lanes::One => {
                let x = self.b.ins().extractlane(x, 0);
                let x = self.b.ins().ushr_imm_u(x, 29);
                self.b.ins().band_imm_u(x, 1)
            }
        };
        if at == 0 { bits } else { self.b.ins().ishl_imm_u(bits, at as i64) }
    }

    /// Goes over columns, `4 * unroll` at once, then four, then one; `column` is in bytes.
    pub fn columns(&mut self, width: usize, unroll: usize, body: impl Fn(&mut Self, &[Value], Lanes)) {
        let fours = if self.vector { width / 4 * 4 } else { 0 };
        let many = fours / (4 * unroll) * (4 * unroll);
        self.repeat(4 * many as i64, 16 * unroll as i64, false, |f, column| {
            let columns: Vec<Value> = (0..unroll).map(|k| f.plus(column, 16 * k as i64)).collect();
            body(f, &columns, Lanes::Four);
        });
        self.repeat_from(4 * many, 4 * fours, 16, |f, column| body(f, &[column], Lanes::Four));
        self.repeat_from(4 * fours, 4 * width, 4, |f, column| body(f, &[column], Lanes::One));
    }

    /// The columns of a nest without spikes.
    fn numbers(&mut self, width: usize, body: Body) {
        self.columns(width, unroll(body), |f, columns, lanes| {
            let group: Vec<Columns> = columns.iter().map(|c| Columns { first: *c, of_byte: 0 }).collect();
            f.elements(body, &group, lanes, &mut []);
        });
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

    /// Groups of one column or four each. Cheap bodies one after another; costly ones instruction by instruction: the
    /// processor then works on all of them while each waits for itself. `made` has the bits of each store of spikes so far.
    fn elements(&mut self, body: Body, group: &[Columns], lanes: Lanes, made: &mut [Option<Value>]) {
        self.lanes = lanes;
        let together = if is_costly(body) { group.len() } else { 1 };
        for group in group.chunks(together) {
            let mut regs: Vec<Vec<Option<Value>>> = vec![Vec::with_capacity(body.instrs.len()); group.len()];
            for (idx, (instr, role)) in body.instrs.iter().zip(body.roles).enumerate() {
                for (columns, regs) in group.iter().zip(&mut regs) {
                    let value = match *role {
                        Role::Skip => None,
                        Role::Given(at) => Some(self.read(&SCRATCH, at, columns.first, lanes)),
                        Role::Do(pointer) | Role::Keep(pointer, _) => {
                            self.instr(instr, pointer, *columns, lanes, regs, made.get_mut(idx))
                        }
                    };
                    if let (Role::Keep(_, to), Some(value)) = (role, value) {
                        self.write(&SCRATCH, *to, columns.first, lanes, value);
                    }
                    regs.push(value);
                }
            }
        }
    }

    /// One instruction and its result.
    fn instr(
        &mut self,
        instr: &Instr,
        pointer: Option<Value>,
        columns: Columns,
        lanes: Lanes,
        regs: &[Option<Value>],
        made: Option<&mut Option<Value>>,
    ) -> Option<Value> {
        let reg = |r: &usize| regs[*r].expect("verified: made before");
        let column = columns.first;
        match instr {
            Instr::Const(c) => Some(self.number(*c)),
            Instr::Scalar(s) => {
                let offset = offset_of!(Ctx, scalars) + 4 * *s as usize;
                let ctx = self.ctx;
                let x = self.b.ins().load(types::F32, memory(), ctx, offset as i32);
                Some(self.b.ins().splat(types::F32X4, x))
            }
            Instr::StepIndex => {
                let step = self.now().expect("verified: within a time loop");
                let x = self.b.ins().fcvt_from_sint(types::F32, step);
                Some(self.b.ins().splat(types::F32X4, x))
            }
            Instr::Load(a) if self.loops.buffers[a.buffer].spikes => {
                Some(self.read_spikes(pointer.expect("an access"), column, columns.of_byte))
            }
            Instr::Load(a) => Some(self.read(a, pointer.expect("an access"), column, lanes)),
            Instr::Op(op, args) => {
                let args: Vec<Value> = args.iter().map(reg).collect();
                Some(self.op(*op, &args))
            }
            Instr::Spike { strict, x } => Some(self.spike(*strict, reg(x))),
            Instr::Store(a, x) if self.loops.buffers[a.buffer].spikes => {
                let bits = self.spike_bits(reg(x), columns.of_byte, lanes);
                let made = made.expect("columns of spikes");
                *made = Some(match *made {
                    Some(before) => self.b.ins().bor(before, bits),
                    None => bits,
                });
                None
            }
            Instr::Store(a, x) => {
                self.write(a, pointer.expect("an access"), column, lanes, reg(x));
                None
            }
            Instr::Add(a, x) => {
                let pointer = pointer.expect("an access");
                let before = self.read(a, pointer, column, lanes);
                let sum = self.b.ins().fadd(before, reg(x));
                self.write(a, pointer, column, lanes, sum);
                None
            }
        }
    }
}

/// How a number of a column lies in memory of our own.
const SCRATCH: Access =
    Access { buffer: usize::MAX, offset: 0, shard: 0, segment: 0, step: 0, shift: 0, row: 0, col: 1 };

/// How many groups of four lanes a turn of the loop makes. Short bodies gain a quarter (64-128-10, 25 steps: 1.3 to 0.9 ms for a
/// training step); of longer ones two are enough to hide that each operation waits for the one before.
fn unroll(body: Body) -> usize {
    if cost(body) <= 24 { 4 } else { 2 }
}

/// Whether a body is so long that the processor does not see the next one before it is through.
fn is_costly(body: Body) -> bool {
    cost(body) > 48
}

/// What a body costs, in additions.
fn cost(body: Body) -> u32 {
    let of_one = |(instr, role): (&Instr, &Role)| match (role, instr) {
        (Role::Skip, _) | (Role::Do(_), Instr::Const(_)) => 0,
        (Role::Do(_) | Role::Keep(..), Instr::Op(op, _)) => op.info().cost,
        _ => 1,
    };
    body.instrs.iter().zip(body.roles).map(of_one).sum()
}
