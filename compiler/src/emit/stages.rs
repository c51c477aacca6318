//! Nests with functions as exp, in stages: the functions are called for many columns at once. No single operations: those are `math`.
//!
//! Four lanes are all that Cranelift has; a function of the runtime uses as many as the machine. So a piece of a row is gone over once
//! for each function that waits for another: first the arguments of functions are written to memory of our own, then the
//! functions are called, and at last everything is done, with their arguments and results. Whatever else a stage needs it computes
//! again; nothing is stored before the last one, so that loads give the same in all.

use super::function::Frame;
use super::nest::{Body, Role};
use crate::loops::{Instr, Reg};
use crate::step::ops::Pw;
use cranelift_codegen::ir::{InstBuilder, StackSlotData, StackSlotKind, Value, types};

/// Columns of a piece.
const PIECE: usize = 256;
/// Rows shorter than this are not worth the calls.
const MIN_WIDTH: usize = 32;
/// Arguments and results at most: 16 KiB for pieces of them.
const MOST: usize = 16;

/// The functions of a nest.
pub(super) struct Stages {
    /// For each stage its functions: register, name, argument.
    calls: Vec<Vec<(Reg, &'static str, Reg)>>,
    /// What lies in memory of our own: arguments and results.
    places: Vec<Reg>,
}

impl Stages {
    /// The stages of a body, if it has functions that are worth it.
    pub fn of(body: &[Instr], width: usize) -> Option<Stages> {
        let mut stage: Vec<usize> = Vec::with_capacity(body.len());
        let mut stages = Stages { calls: Vec::new(), places: Vec::new() };
        for (reg, instr) in body.iter().enumerate() {
            let before = args(instr).iter().map(|a| stage[*a]).max().unwrap_or(0);
            let Some((name, arg)) = function(instr) else {
                stage.push(before);
                continue;
            };
            if stages.calls.len() <= before {
                stages.calls.push(Vec::new());
            }
            stages.calls[before].push((reg, name, arg));
            for place in [arg, reg] {
                if !stages.places.contains(&place) {
                    stages.places.push(place);
                }
            }
            stage.push(before + 1);
        }
        let fits = !stages.calls.is_empty() && stages.places.len() <= MOST && width >= MIN_WIDTH;
        fits.then_some(stages)
    }

    /// Whether a register lies in memory of our own before a stage: results, and arguments of stages before.
    fn lies_there(&self, stage: usize, reg: Reg) -> bool {
        let calls = self.calls.iter().enumerate();
        calls
            .flat_map(|(at, calls)| calls.iter().map(move |call| (at, call)))
            .any(|(at, (result, _, arg))| *result == reg || *arg == reg && at < stage)
    }

    /// What is done in a stage; in the last one, after all calls, everything.
    fn roles(
        &self,
        stage: usize,
        body: &[Instr],
        pointers: &[Option<Value>],
        place: &dyn Fn(Reg) -> Value,
    ) -> Vec<Role> {
        let calls = self.calls.get(stage);
        let is_arg = |reg: Reg| calls.is_some_and(|calls| calls.iter().any(|(_, _, arg)| *arg == reg));
        let is_store = |reg: Reg| matches!(body[reg], Instr::Store(..) | Instr::Add(..));
        let mut wanted: Vec<bool> =
            (0..body.len()).map(|reg| if calls.is_some() { is_arg(reg) } else { is_store(reg) }).collect();
        for reg in (0..body.len()).rev() {
            if wanted[reg] && !self.lies_there(stage, reg) {
                args(&body[reg]).iter().for_each(|a| wanted[*a] = true);
            }
        }
        let role = |reg: Reg| match reg {
            _ if !wanted[reg] => Role::Skip,
            _ if self.lies_there(stage, reg) => Role::Given(place(reg)),
            _ if is_arg(reg) => Role::Keep(pointers[reg], place(reg)),
            _ => Role::Do(pointers[reg]),
        };
        (0..body.len()).map(role).collect()
    }
}

/// The function of many numbers that an instruction calls, and its argument.
fn function(instr: &Instr) -> Option<(&'static str, Reg)> {
    let Instr::Op(op, args) = instr else { return None };
    let name = match op {
        Pw::Exp => "snn_exp_each",
        Pw::Ln => "snn_ln_each",
        Pw::Tanh => "snn_tanh_each",
        Pw::Sigmoid => "snn_sigmoid_each",
        Pw::Exprel => "snn_exprel_each",
        _ => return None,
    };
    Some((name, args[0]))
}

/// Registers that an instruction reads.
fn args(instr: &Instr) -> &[Reg] {
    match instr {
        Instr::Op(_, args) => args,
        Instr::Spike { x, .. } | Instr::Store(_, x) | Instr::Add(_, x) => std::slice::from_ref(x),
        Instr::Const(_) | Instr::Scalar(_) | Instr::StepIndex | Instr::Load(_) => &[],
    }
}

impl Frame<'_> {
    /// The columns of a row, piece by piece.
    pub fn in_stages(&mut self, stages: &Stages, width: usize, body: &[Instr], pointers: &[Option<Value>]) {
        let whole = width / PIECE;
        self.repeat(whole as i64, 1, false, |f, piece| {
            let first = f.b.ins().imul_imm_s(piece, 4 * PIECE as i64);
            let pointers = f.advanced(body, pointers, first);
            f.piece(stages, PIECE, body, &pointers);
        });
        if !width.is_multiple_of(PIECE) {
            let first = self.int(4 * (whole * PIECE) as i64);
            let pointers = self.advanced(body, pointers, first);
            self.piece(stages, width % PIECE, body, &pointers);
        }
    }

    fn piece(&mut self, stages: &Stages, width: usize, body: &[Instr], pointers: &[Option<Value>]) {
        let start = self.own_memory();
        let places: Vec<Value> =
            (0..stages.places.len()).map(|k| self.plus(start, (4 * PIECE * k) as i64)).collect();
        let place = |reg: Reg| {
            let at = stages.places.iter().position(|p| *p == reg);
            places[at.expect("an argument or result")]
        };
        for (stage, calls) in stages.calls.iter().enumerate() {
            let roles = stages.roles(stage, body, pointers, &place);
            self.row(width, Body { instrs: body, roles: &roles });
            for (result, name, arg) in calls {
                let n = self.int(width as i64);
                self.call(name, &[types::I64; 3], None, &[n, place(*arg), place(*result)]);
            }
        }
        let roles = stages.roles(stages.calls.len(), body, pointers, &place);
        self.row(width, Body { instrs: body, roles: &roles });
    }

    /// Memory for arguments and results, the same for all nests of a function.
    fn own_memory(&mut self) -> Value {
        let slot = match self.scratch {
            Some(slot) => slot,
            None => {
                let size = (4 * PIECE * MOST) as u32;
                let data = StackSlotData::new(StackSlotKind::ExplicitSlot, size, 6);
                self.b.create_sized_stack_slot(data)
            }
        };
        self.scratch = Some(slot);
        self.b.ins().stack_addr(types::I64, slot, 0)
    }
}
