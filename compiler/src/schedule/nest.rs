//! Fused pointwise work: which values fuse, on which axes, and the instructions of a nest.

use super::layout::{Layout, Place};
use crate::loops::{Instr, Reg, Stmt};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// The axes of a nest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Domain {
    /// Values have the time axis.
    pub time: bool,
    /// Values have samples.
    pub batch: bool,
    /// Rows (samples, and with `flat` steps).
    pub rows: usize,
    /// Columns.
    pub width: usize,
    /// Steps are rows: no time loop around.
    pub flat: bool,
}

impl Domain {
    /// The axes of a value.
    pub fn of(ty: &Ty, layout: &Layout) -> Domain {
        Domain {
            time: ty.time,
            batch: ty.batch,
            rows: layout.rows(ty, false),
            width: ty.width(),
            flat: false,
        }
    }

    /// Adjacent rows.
    pub fn flat(rows: usize, width: usize) -> Domain {
        Domain { time: true, batch: true, rows, width, flat: true }
    }
}

/// Whether a value is part of nests: pointwise work, and operations that only pass their operand on.
pub(super) fn fuses(graph: &Graph, val: ValId) -> bool {
    let node = graph.node(val);
    match node.op {
        Op::Pointwise(_)
        | Op::Spike { .. }
        | Op::StepIndex
        | Op::Detach
        | Op::Straight
        | Op::GradScale
        | Op::Custom(_) => true,
        // One number to all neurons is a broadcast.
        Op::Repeat { .. } => graph.ty(node.args[0]).shape.is_empty(),
        _ => false,
    }
}

/// Where values of other statements are.
type Places<'a> = &'a dyn Fn(ValId) -> Option<Place>;

/// A nest while it is built.
pub(super) struct Builder<'a> {
    graph: &'a Graph,
    domain: Domain,
    layout: &'a Layout,
    /// Instructions whose accesses wait for the decision between flat rows and a time loop.
    body: Vec<Pending>,
    regs: BTreeMap<ValId, Reg>,
    stores: Vec<(Pending, Reg)>,
    needs_time_loop: bool,
}

#[derive(Clone)]
enum Pending {
    Done(Instr),
    Load(Place),
    Store(Place),
    Add(Place),
}

impl<'a> Builder<'a> {
    pub fn new(graph: &'a Graph, domain: Domain, layout: &'a Layout) -> Builder<'a> {
        Builder {
            graph,
            domain,
            layout,
            body: Vec::new(),
            regs: BTreeMap::new(),
            stores: Vec::new(),
            needs_time_loop: false,
        }
    }

    fn push(&mut self, instr: Pending) -> Reg {
        self.body.push(instr);
        self.body.len() - 1
    }

    fn touch(&mut self, place: &Place) {
        let with_rows = place.ty.time == self.domain.time && place.ty.batch == self.domain.batch;
        let without = !place.ty.time && !place.ty.batch;
        if place.shift != 0 || self.domain.time && !with_rows && !without {
            self.needs_time_loop = true;
        }
    }

    /// The register of a value of this nest or a load of a value of another statement.
    fn reg(&mut self, val: ValId, places: Places) -> Reg {
        if let Some(&reg) = self.regs.get(&val) {
            return reg;
        }
        let reg = match self.graph.node(val).op {
            Op::Const(c) => self.push(Pending::Done(Instr::Const(c as f32))),
            Op::Scalar(s) => self.push(Pending::Done(Instr::Scalar(s))),
            _ => {
                let place =
                    places(val).unwrap_or_else(|| panic!("schedule: %{} is read before it is made", val.0));
                self.touch(&place);
                self.push(Pending::Load(place))
            }
        };
        self.regs.insert(val, reg);
        reg
    }

    /// Adds a value of this nest.
    pub fn value(&mut self, val: ValId, places: Places) {
        let node = self.graph.node(val);
        let reg = match &node.op {
            Op::Pointwise(op) => self.operation(*op, &node.args, places),
            Op::Spike { strict, .. } => {
                let x = self.reg(node.args[0], places);
                self.push(Pending::Done(Instr::Spike { strict: *strict, x }))
            }
            Op::StepIndex => {
                self.needs_time_loop |= self.domain.time;
                self.push(Pending::Done(Instr::StepIndex))
            }
            _ => self.reg(node.args[0], places),
        };
        self.regs.insert(val, reg);
    }

    /// A pointwise operation. The powers 2 and -1 are those of `math::pow` to the last bit, without its call.
    fn operation(&mut self, op: Pw, args: &[ValId], places: Places) -> Reg {
        let x = self.reg(args[0], places);
        let exponent = match self.graph.node(*args.last().expect("operations have operands")).op {
            Op::Const(c) if op == Pw::Pow => Some(c as f32),
            _ => None,
        };
        let instr = match exponent {
            Some(2.0) => Instr::Op(Pw::Mul, vec![x, x]),
            Some(-1.0) => {
                let one = self.push(Pending::Done(Instr::Const(1.0)));
                Instr::Op(Pw::Div, vec![one, x])
            }
            _ => Instr::Op(op, args.iter().map(|a| self.reg(*a, places)).collect()),
        };
        self.push(Pending::Done(instr))
    }

    /// Stores a value at the end of the nest.
    pub fn store(&mut self, val: ValId, place: &Place, places: Places) {
        let reg = self.reg(val, places);
        self.touch(place);
        self.stores.push((Pending::Store(place.clone()), reg));
    }

    /// Adds a value to a buffer at the end of the nest.
    pub fn add(&mut self, val: ValId, place: &Place, places: Places) {
        let reg = self.reg(val, places);
        self.touch(place);
        self.stores.push((Pending::Add(place.clone()), reg));
    }

    /// The statement.
    pub fn finish(mut self) -> Stmt {
        let looped = self.domain.time && self.needs_time_loop;
        if self.domain.time && !looped {
            self.domain.flat = true;
            self.domain.rows *= self.layout.steps();
        }
        let mut body = Vec::new();
        for pending in &self.body {
            body.push(match pending {
                Pending::Done(instr) => instr.clone(),
                Pending::Load(place) => Instr::Load(self.layout.access(place, &self.domain)),
                Pending::Store(_) | Pending::Add(_) => unreachable!("stores come last"),
            });
        }
        for (pending, reg) in &self.stores {
            body.push(match pending {
                Pending::Store(place) => Instr::Store(self.layout.access(place, &self.domain), *reg),
                Pending::Add(place) => Instr::Add(self.layout.access(place, &self.domain), *reg),
                _ => unreachable!("a store"),
            });
        }
        let nest = collapse(self.domain.rows, self.domain.width, body);
        if looped { Stmt::Steps { reverse: false, body: vec![nest] } } else { nest }
    }
}

/// One row of all elements where every access goes on from one row to the next.
pub(super) fn collapse(rows: usize, width: usize, mut body: Vec<Instr>) -> Stmt {
    let adjacent = body.iter().all(|i| match i {
        Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => {
            a.row == width && (a.col == 1 || width == 1 && a.row == 1)
                || a.row == 0 && (a.col == 0 || rows == 1)
        }
        _ => true,
    });
    if !adjacent || rows == 1 {
        return Stmt::Nest { rows, width, body };
    }
    for instr in &mut body {
        if let Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) = instr {
            a.col = usize::from(a.row != 0);
            a.row = 0;
        }
    }
    Stmt::Nest { rows: 1, width: rows * width, body }
}
