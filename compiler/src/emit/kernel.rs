//! Calls of kernels in wide vectors: what a body of a nest means for `wide`, and the frame that a kernel gets. No instructions of
//! kernels: those are in `wide`.

use super::function::{Frame, memory};
use super::nest::{Body, Role};
use super::wide::{Action, Kernel, Pointer, Turns};
use crate::loops::{Access, Instr};
use cranelift_codegen::ir::{InstBuilder, StackSlot, StackSlotData, StackSlotKind, Value, types};
use snn_runtime::abi::Ctx;
use std::mem::offset_of;

/// Elements below which a call costs more than it saves.
const MIN_ELEMENTS: usize = 32;
/// Turns further on memory is asked for.
const AHEAD: i64 = 2;
/// Bytes of the frame that all kernels of a function share; a kernel that needs more has its own.
const FRAME: usize = 256;

/// How often, and bytes from turn to turn of an access.
pub(super) type Loop<'a> = (usize, &'a dyn Fn(&Access) -> i64);

/// A kernel under construction, and what its frame gets.
#[derive(Default)]
struct Builder {
    kernel: Kernel,
    /// What each pointer stands for: an access, or memory of our own.
    of: Vec<(Option<Access>, Value)>,
    scalars: Vec<Value>,
}

impl Builder {
    fn pointer(&mut self, access: Option<Access>, start: Value) -> Pointer {
        let same = |(a, v): &(Option<Access>, Value)| *v == start || access.is_some() && *a == access;
        self.of.iter().position(same).unwrap_or_else(|| {
            self.of.push((access, start));
            self.of.len() - 1
        })
    }

    fn scalar(&mut self, value: Value) -> Action {
        self.scalars.push(value);
        self.kernel.scalars += 1;
        Action::Scalar(self.scalars.len() - 1)
    }
}

impl Frame<'_> {
    /// Does a nest (or a row of one) in wide vectors, if this machine has them and the nest can be done so; gives whether it did.
    pub fn in_wide_vectors(&mut self, rows: usize, width: usize, body: Body) -> bool {
        self.in_loops(&[(rows, &|a| 4 * a.row as i64)], None, width, body)
    }

    /// A body in wide vectors on columns in some loops, the innermost first; `ahead`: the loop of whose next turns memory is asked for.
    pub fn in_loops(&mut self, loops: &[Loop], ahead: Option<usize>, width: usize, body: Body) -> bool {
        let elements = loops.iter().map(|turns| turns.0).product::<usize>() * width;
        let Some(vectors) = self.vectors.filter(|_| elements >= MIN_ELEMENTS) else { return false };
        let mut builder = Builder::default();
        (builder.kernel.width, builder.kernel.exact) = (width, self.exact);
        builder.kernel.loops = vec![Turns::default(); loops.len()];
        let Some(()) = self.actions(body, &mut builder) else { return false };
        builder.kernel.pointers = builder.of.len();
        for (turns, (count, bytes)) in builder.kernel.loops.iter_mut().zip(loops) {
            let strides = builder.of.iter().map(|(access, _)| access.as_ref().map_or(0, *bytes));
            *turns = Turns { count: *count, strides: strides.collect() };
        }
        let is_far =
            |turns: &Turns| turns.strides.iter().any(|s| i32::try_from(2 * s * turns.count as i64).is_err());
        if builder.kernel.loops.iter().any(is_far) {
            return false;
        }
        let bytes = |at: usize| ahead.map_or(0, |turns| AHEAD * builder.kernel.loops[turns].strides[at]);
        builder.kernel.ahead = (0..builder.of.len()).map(bytes).collect();
        let Some(code) = builder.kernel.assemble(vectors) else { return false };
        let frame = self.frame_of_kernel(builder.kernel.frame_bytes());
        for (at, (_, start)) in builder.of.iter().enumerate() {
            self.b.ins().stack_store(types::I64, *start, frame, 8 * at as i32);
        }
        for (k, value) in builder.scalars.iter().enumerate() {
            let offset = builder.kernel.scalar_offset(k) as i32;
            self.b.ins().stack_store(types::I64, *value, frame, offset);
        }
        let address = self.b.ins().stack_addr(types::I64, frame, 0);
        self.call_kernel(&code, address);
        true
    }

    fn frame_of_kernel(&mut self, bytes: usize) -> StackSlot {
        let mut slot = |bytes: usize| {
            self.b.create_sized_stack_slot(StackSlotData::new(StackSlotKind::ExplicitSlot, bytes as u32, 3))
        };
        if bytes > FRAME {
            return slot(bytes);
        }
        let shared = self.kernel_frame.unwrap_or_else(|| slot(FRAME));
        self.kernel_frame = Some(shared);
        shared
    }

    /// What the instructions of a body mean; none if one of them is not for kernels.
    fn actions(&mut self, body: Body, builder: &mut Builder) -> Option<()> {
        let mut regs = Vec::with_capacity(body.instrs.len());
        for (instr, role) in body.instrs.iter().zip(body.roles) {
            let action = match *role {
                Role::Skip => Action::Skip,
                Role::Given(at) => Action::Load(builder.pointer(None, at)),
                Role::Do(start) | Role::Keep(start, _) => self.kernel_action(instr, start, &regs, builder)?,
            };
            builder.kernel.actions.push(action);
            let reg = builder.kernel.actions.len() - 1;
            regs.push(reg);
            if let Role::Keep(_, to) = *role {
                let to = builder.pointer(None, to);
                builder.kernel.actions.push(Action::Store(to, reg));
            }
        }
        Some(())
    }

    fn kernel_action(
        &mut self,
        instr: &Instr,
        start: Option<Value>,
        regs: &[usize],
        builder: &mut Builder,
    ) -> Option<Action> {
        let mut pointer = |a: &Access| builder.pointer(Some(*a), start.expect("an access"));
        Some(match instr {
            Instr::Const(c) => Action::Const(*c),
            Instr::Scalar(s) => {
                let offset = offset_of!(Ctx, scalars) + 4 * *s as usize;
                let ctx = self.ctx;
                builder.scalar(self.b.ins().load(types::F32, memory(), ctx, offset as i32))
            }
            Instr::StepIndex => {
                let step = self.now().expect("verified: within a time loop");
                builder.scalar(self.b.ins().fcvt_from_sint(types::F32, step))
            }
            Instr::Load(a) if self.loops.buffers[a.buffer].spikes => Action::LoadSpikes(pointer(a)),
            Instr::Load(a) if a.col == 0 => Action::Spread(pointer(a)),
            Instr::Load(a) => Action::Load(pointer(a)),
            Instr::Op(op, args) => Action::Op(*op, args.iter().map(|arg| regs[*arg]).collect()),
            Instr::Spike { strict, x } => Action::Spike { strict: *strict, x: regs[*x] },
            Instr::Store(a, _) | Instr::Add(a, _) if a.col == 0 => return None,
            Instr::Store(a, x) if self.loops.buffers[a.buffer].spikes => {
                Action::StoreSpikes(pointer(a), regs[*x])
            }
            Instr::Store(a, x) => Action::Store(pointer(a), regs[*x]),
            Instr::Add(a, x) => Action::Add(pointer(a), regs[*x]),
        })
    }
}
