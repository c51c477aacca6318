//! The update of every parameter by the optimizer of a training: clipping, rule, signs that are kept, bounds.

use super::expr::{Scope, expr};
use crate::hir::constant::ConstEnv;
use crate::hir::{self, LocalId, TrainSettings};
use crate::net::{Net, Output, Sink, Slot};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

struct RuleScope<'a> {
    net: &'a mut Net,
    env: ConstEnv,
    locals: BTreeMap<LocalId, ValId>,
    /// The parameter.
    param: usize,
    /// Before the names of streams of random numbers.
    prefix: &'static str,
}

impl Scope for RuleScope<'_> {
    fn graph(&mut self) -> &mut Graph {
        &mut self.net.graph
    }
    fn env(&self) -> ConstEnv {
        self.env
    }
    fn local(&mut self, local: LocalId) -> Option<ValId> {
        self.locals.get(&local).copied()
    }
    fn bind(&mut self, local: LocalId, val: ValId) {
        self.locals.insert(local, val);
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        let hir::ExprKind::Random { gaussian, stream, .. } = &e.kind else {
            panic!("lower: {:?} in an optimizer", e.kind)
        };
        let param = &self.net.params[self.param];
        let stream = snn_runtime::rng::stream(&format!("{}/{}{stream}", param.name, self.prefix));
        let ty = Ty::tensor(&param.shape);
        self.net.graph.push(Op::Random { gaussian: *gaussian, stream, once: false }, &[], ty)
    }
    fn mask(&mut self) -> ValId {
        panic!("lower: reduction over samples in an optimizer")
    }
}

/// Adds gradients, slots and new values as outputs. `grads[p]` is none for parameters that the loss does not depend on: they
/// stay as they are.
pub fn update(
    net: &mut Net,
    model: &hir::Model,
    settings: &TrainSettings,
    grads: &[Option<ValId>],
    env: ConstEnv,
) {
    let scale = settings.clip.map(|limit| clip(net, grads, limit));
    for (p, grad) in grads.iter().enumerate() {
        let Some(grad) = *grad else { continue };
        let name = net.params[p].name.clone();
        net.outputs.push(Output { name: format!("grad {name}"), val: grad, sink: Sink::Grad(p) });
        let g = match scale {
            Some(scale) => net.graph.pointwise(Pw::Mul, &[grad, scale]),
            None => grad,
        };
        rule(net, &settings.optimizer, &model.params[p], p, g, env);
    }
}

/// `min(1, limit / norm)` of the gradient of all parameters together.
fn clip(net: &mut Net, grads: &[Option<ValId>], limit: f64) -> ValId {
    let g = &mut net.graph;
    let mut total = None;
    for grad in grads.iter().flatten() {
        let square = g.pointwise(Pw::Mul, &[*grad, *grad]);
        let sum = g.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, square);
        total = Some(total.map_or(sum, |t| g.pointwise(Pw::Add, &[t, sum])));
    }
    let (limit, one) = (g.constant(limit), g.constant(1.0));
    let Some(total) = total else { return one };
    let norm = g.pointwise(Pw::Sqrt, &[total]);
    let ratio = g.pointwise(Pw::Div, &[limit, norm]);
    g.pointwise(Pw::Min, &[ratio, one])
}

fn rule(net: &mut Net, optimizer: &hir::Optimizer, param: &hir::Param, p: usize, g: ValId, env: ConstEnv) {
    let ty = Ty::tensor(&net.params[p].shape);
    let w = net.graph.push(Op::Param(p), &[], ty.clone());
    let mut slots = Vec::new();
    for state in &optimizer.states {
        net.slots.push(Slot { name: state.name.clone(), param: p, init: state.init });
        let slot = net.slots.len() - 1;
        slots.push((slot, state.local, net.graph.push(Op::Slot(slot), &[], ty.clone())));
    }
    let mut scope = RuleScope { net, env, locals: BTreeMap::new(), param: p, prefix: "" };
    scope.bind(optimizer.w, w);
    scope.bind(optimizer.g, g);
    for (_, local, val) in &slots {
        scope.bind(*local, *val);
    }
    for (local, value) in &optimizer.body {
        let val = expr(&mut scope, value);
        scope.bind(*local, val);
    }
    let locals = scope.locals;
    let mut new = locals[&optimizer.w];
    if let Some(keep) = &param.keep {
        new = kept(net, keep, p, [w, new], env);
    }
    let new = bounded(&mut net.graph, new, param.bounds);
    let name = net.params[p].name.clone();
    for (slot, local, _) in slots {
        let name = format!("{name}/{}", net.slots[slot].name);
        let val = full(&mut net.graph, locals[&local], w);
        net.outputs.push(Output { name, val, sink: Sink::Slot(slot) });
    }
    let val = full(&mut net.graph, new, w);
    net.outputs.push(Output { name, val, sink: Sink::Param(p) });
}

/// A new weight after the rule that keeps its sign; `w` and what the optimizer made of it. Where the sign is that of the start, it is a
/// state: of a weight that starts with 0 the first other one.
fn kept(net: &mut Net, keep: &hir::Keep, p: usize, [w, new]: [ValId; 2], env: ConstEnv) -> ValId {
    let mut sign = None;
    if keep.sign.is_none() {
        net.slots.push(Slot { name: "keep.sign".into(), param: p, init: 0.0 });
        let slot = net.slots.len() - 1;
        let g = &mut net.graph;
        let ty = g.ty(w).clone();
        let (known, zero) = (g.push(Op::Slot(slot), &[], ty), g.constant(0.0));
        let is_new = g.pointwise(Pw::Eq, &[known, zero]);
        let now = g.pointwise(Pw::Sign, &[w]);
        let val = g.pointwise(Pw::Select, &[is_new, now, known]);
        let name = format!("{}/keep.sign", net.params[p].name);
        net.outputs.push(Output { name, val, sink: Sink::Slot(slot) });
        sign = Some(val);
    }
    let mut scope = RuleScope { net, env, locals: BTreeMap::new(), param: p, prefix: "keep." };
    scope.bind(keep.w, new);
    if let Some(sign) = sign {
        scope.bind(keep.p, sign);
    }
    expr(&mut scope, &keep.value)
}

/// The nearest value within the bounds.
fn bounded(g: &mut Graph, mut w: ValId, bounds: hir::Bounds) -> ValId {
    if bounds.low > f64::NEG_INFINITY {
        let low = g.constant(bounds.low);
        w = g.pointwise(Pw::Max, &[w, low]);
    }
    if bounds.high < f64::INFINITY {
        let high = g.constant(bounds.high);
        w = g.pointwise(Pw::Min, &[w, high]);
    }
    w
}

/// The value with all index axes of the parameter `w` (a rule may compute one number for all weights).
fn full(g: &mut Graph, val: ValId, w: ValId) -> ValId {
    if g.ty(val) == g.ty(w) {
        return val;
    }
    let zero = g.constant(0.0);
    let zeros = g.pointwise(Pw::Mul, &[w, zero]);
    g.pointwise(Pw::Add, &[val, zeros])
}
