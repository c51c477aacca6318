//! What a job computes from the traces of a presentation: loss, prediction, spike counts, records, reports.

use super::expr::{Scope, expr, mean};
use super::population::output_name;
use crate::hir::constant::ConstEnv;
use crate::hir::{self, ExprKind, LocalId, ParamId, PopId};
use crate::net::{Net, Output, Sink};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Input, Op, Ty, ValId};
use std::collections::{BTreeMap, BTreeSet};

/// Expressions over a whole presentation. `traces` gives the value of each output of the step by its name.
pub struct JobValues<'a> {
    model: &'a hir::Model,
    env: ConstEnv,
    training: bool,
    traces: &'a BTreeMap<String, ValId>,
    target_width: usize,
    locals: BTreeMap<LocalId, ValId>,
    /// What locals are that were bound for the presentation itself, and their values in those that begin later.
    known: BTreeMap<LocalId, hir::Expr>,
    later: BTreeMap<(LocalId, usize), ValId>,
    /// The step at which they begin, in a part of an expression that says so.
    since: Option<usize>,
    /// By parameter and number of iterations: its next value, and the spectral norm that goes with it.
    directions: BTreeMap<(ParamId, usize), (ValId, ValId)>,
    net: &'a mut Net,
}

/// Opens a net for the expressions of a job; `target_width` is the number of classes or target values, `training` what the name means.
pub fn job_values<'a>(
    net: &'a mut Net,
    traces: &'a BTreeMap<String, ValId>,
    model: &'a hir::Model,
    env: ConstEnv,
    target_width: usize,
    training: bool,
) -> JobValues<'a> {
    let (locals, directions) = (BTreeMap::new(), BTreeMap::new());
    let (known, later, since) = (BTreeMap::new(), BTreeMap::new(), None);
    JobValues { model, env, training, traces, target_width, locals, known, later, since, directions, net }
}

/// Names of the traces that expressions read; see [`output_name`]. Of one in which a presentation begins later, also those of that one.
pub(crate) fn traces_read<'a>(
    model: &hir::Model,
    exprs: impl IntoIterator<Item = &'a hir::Expr>,
) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for e in exprs {
        let (mut own, mut starts) = (BTreeSet::new(), BTreeSet::new());
        e.for_each(&mut |e| match &e.kind {
            ExprKind::Emit(pop) => own.extend([output_name(model, *pop, None)]),
            ExprKind::Trace(pop, trace) => own.extend([output_name(model, *pop, Some(*trace))]),
            ExprKind::Since(_, start) => starts.extend([*start]),
            _ => {}
        });
        for start in starts {
            names.extend(own.iter().map(|name| super::since::name(start, name)));
        }
        names.extend(own);
    }
    names
}

impl JobValues<'_> {
    /// The loss of the batch: the mean of what is left of time and samples.
    pub fn loss(&mut self, loss: &hir::Expr) -> ValId {
        let each = expr(self, loss);
        mean(self, Axes { time: true, batch: true, index: true }, each)
    }

    /// A value of each step, as it is.
    pub fn value(&mut self, e: &hir::Expr) -> ValId {
        expr(self, e)
    }

    /// A report: the mean of what is left of time, samples and neurons.
    pub fn report(&mut self, e: &hir::Expr) -> ValId {
        let each = expr(self, e);
        mean(self, Axes { time: true, batch: true, index: true }, each)
    }

    /// The first output of the model, mean over the steps: what accuracy is measured on.
    pub fn prediction(&mut self) -> Option<ValId> {
        let output = *self.traces.get("output 0")?;
        Some(mean(self, Axes { time: true, ..Axes::default() }, output))
    }

    /// Number of spikes of a population in the samples of the batch, over all steps.
    pub fn count(&mut self, pop: PopId) -> Option<ValId> {
        let name = output_name(self.model, pop, Some(hir::TraceRef::Fired));
        let fired = *self.traces.get(&name)?;
        let total = self.net.graph.fold(Fold::Sum, Axes { time: true, batch: false, index: true }, fired);
        let mask = self.mask();
        let valid = self.net.graph.pointwise(Pw::Mul, &[total, mask]);
        Some(self.net.graph.fold(Fold::Sum, Axes { batch: true, ..Axes::default() }, valid))
    }

    /// Makes directions of power iterations the ones of the next update: of those of one tensor the one with the most iterations.
    pub fn keep_directions(&mut self) {
        let last: BTreeMap<ParamId, ValId> =
            self.directions.iter().map(|((param, _), (next, _))| (*param, *next)).collect();
        for (param, next) in last {
            let name = self.model.params[param.idx()].name.clone();
            self.net.outputs.push(Output { name, val: next, sink: Sink::Param(param.idx()) });
        }
    }

    /// The largest singular value by power iterations (von Mises 1929) from the direction `v` of the update before: `u = W v`, `v = W' u`, each of
    /// length 1, then `u' W v`, in which both are constant. That product is made for every sample, so that its gradient is that of any weights.
    fn spectral_norm(&mut self, weight: &hir::Expr, direction: ParamId, iterations: usize) -> ValId {
        if let Some((_, known)) = self.directions.get(&(direction, iterations)) {
            return *known;
        }
        let w = expr(self, weight);
        let ty = Ty::tensor(&self.net.params[direction.idx()].shape);
        let mut v = self.net.graph.push(Op::Param(direction.idx()), &[], ty);
        let mut u = v;
        for _ in 0..iterations {
            u = self.net.graph.matmul(v, w, false);
            u = self.unit_vector(u);
            v = self.net.graph.matmul(u, w, true);
            v = self.unit_vector(v);
        }
        let mask = self.mask();
        let graph = &mut self.net.graph;
        let of_each = graph.pointwise(Pw::Mul, &[v, mask]);
        let out = graph.matmul(of_each, w, false);
        let along = graph.pointwise(Pw::Mul, &[out, u]);
        let norm = graph.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, along);
        self.directions.insert((direction, iterations), (v, norm));
        norm
    }

    /// A vector divided by its length, constant in the backward pass; 0 stays 0.
    fn unit_vector(&mut self, x: ValId) -> ValId {
        let graph = &mut self.net.graph;
        let squares = graph.pointwise(Pw::Mul, &[x, x]);
        let sum = graph.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, squares);
        let length = graph.pointwise(Pw::Sqrt, &[sum]);
        let least = graph.constant(1e-12);
        let length = graph.pointwise(Pw::Max, &[length, least]);
        let unit = graph.pointwise(Pw::Div, &[x, length]);
        let ty = graph.ty(unit).clone();
        graph.push(Op::Detach, &[unit], ty)
    }

    /// The name of a trace, in a presentation that begins where it is said.
    fn name(&self, pop: PopId, trace: Option<hir::TraceRef>) -> String {
        let name = output_name(self.model, pop, trace);
        self.since.map_or(name.clone(), |start| super::since::name(start, &name))
    }

    /// Steps since the presentation began; not below 0.
    fn step_index(&mut self) -> ValId {
        let graph = &mut self.net.graph;
        let at = graph.push(Op::StepIndex, &[], Ty { time: true, ..Ty::SCALAR });
        self.since.map_or(at, |start| super::since::steps_since(graph, at, start))
    }

    fn input(&mut self, name: &str, ty: Ty) -> ValId {
        let at = self.net.inputs.iter().position(|i| i.name == name).unwrap_or_else(|| {
            self.net.inputs.push(Input { name: name.into(), ty: ty.clone(), spikes: false });
            self.net.inputs.len() - 1
        });
        self.net.graph.push(Op::Input(at), &[], ty)
    }
}

impl Scope for JobValues<'_> {
    fn graph(&mut self) -> &mut Graph {
        &mut self.net.graph
    }
    fn env(&self) -> ConstEnv {
        self.env
    }
    fn training(&self) -> bool {
        self.training
    }
    fn local(&mut self, local: LocalId) -> Option<ValId> {
        let (Some(start), Some(value)) = (self.since, self.known.get(&local).cloned()) else {
            return self.locals.get(&local).copied();
        };
        if let Some(&val) = self.later.get(&(local, start)) {
            return Some(val);
        }
        let val = expr(self, &value);
        self.later.insert((local, start), val);
        Some(val)
    }
    fn waits(&mut self, local: LocalId, value: &hir::Expr) -> bool {
        match self.since {
            Some(_) => self.known.remove(&local),
            None => self.known.insert(local, value.clone()),
        };
        false
    }
    fn bind(&mut self, local: LocalId, val: ValId) {
        self.locals.insert(local, val);
    }
    fn mask(&mut self) -> ValId {
        self.input("mask", Ty { time: false, batch: true, shape: vec![] })
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        match &e.kind {
            ExprKind::StepIndex => self.step_index(),
            ExprKind::Since(value, start) => {
                let before = self.since.replace(*start);
                let value = expr(self, value);
                self.since = before;
                value
            }
            ExprKind::Param(p) => {
                let ty = Ty::tensor(&self.net.params[p.idx()].shape);
                self.net.graph.push(Op::Param(p.idx()), &[], ty)
            }
            ExprKind::Input(i) => {
                let input = &self.model.inputs[i.idx()];
                let ty = Ty { time: input.stream, batch: true, shape: vec![input.shape.iter().product()] };
                let name = input.name.clone();
                self.input(&name, ty)
            }
            ExprKind::Target => {
                let shape = vec![self.target_width];
                self.input("target", Ty { time: false, batch: true, shape })
            }
            ExprKind::Arranged(value, keys) => {
                let args = [expr(self, value), expr(self, keys)];
                let ty = self.net.graph.ty(args[0]).clone();
                self.net.graph.push(Op::Arrange, &args, ty)
            }
            ExprKind::SpectralNorm { weight, direction, iterations } => {
                self.spectral_norm(weight, *direction, *iterations)
            }
            ExprKind::Emit(pop) => self.traces[&self.name(*pop, None)],
            ExprKind::Trace(pop, trace) => {
                let name = self.name(*pop, Some(*trace));
                match self.traces.get(&name) {
                    Some(&val) => val,
                    None => self.net.graph.constant(0.0),
                }
            }
            other => panic!("lower: {other:?} in a job"),
        }
    }
}
