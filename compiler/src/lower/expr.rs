//! Expressions of HIR to nodes of a graph; the same for steps, losses, initializers and optimizers. What a leaf means there
//! is for the [`Scope`] to say.

use super::fragment;
use crate::hir::constant::ConstEnv;
use crate::hir::{self, ExprKind, LocalId, Over, ReduceOp};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Fragment, Graph, Op, Ty, ValId};

/// Where an expression stands.
pub(super) trait Scope {
    /// The graph that grows.
    fn graph(&mut self) -> &mut Graph;
    /// `dt` and `steps`.
    fn env(&self) -> ConstEnv;
    /// Whether weights are trained.
    fn training(&self) -> bool {
        false
    }
    /// The value of a `let`, if it was bound with [`Scope::bind`].
    fn local(&mut self, local: LocalId) -> Option<ValId>;
    /// Binds a `let`.
    fn bind(&mut self, local: LocalId, val: ValId);
    /// States, inputs, traces, parameters: whatever is not made of other expressions.
    fn leaf(&mut self, expr: &hir::Expr) -> ValId;
    /// 1 for samples of the batch, 0 for padding; `[b]`.
    fn mask(&mut self) -> ValId;
    /// A reduction that is a number here already (activity in initializers).
    fn statistic(&mut self, op: ReduceOp, over: Over, value: &hir::Expr) -> Option<ValId> {
        let _ = (op, over, value);
        None
    }
    /// Whether the value of a `let` is evaluated only where its name is read (initializers).
    fn waits(&mut self, local: LocalId, value: &hir::Expr) -> bool {
        let _ = (local, value);
        false
    }
    /// The value of a `where` of which only one side is evaluated (initializers).
    fn chosen(&mut self, select: &hir::Expr) -> Option<ValId> {
        let _ = select;
        None
    }
    /// What must hold for there to be a value (initializers).
    fn require(&mut self, condition: &hir::Expr, problem: &str, help: &str) {
        panic!("lower: {condition:?} is required outside of an initializer: {problem} {help}")
    }
    /// Number of samples of the batch.
    fn batch_count(&mut self) -> ValId {
        self.graph().push(Op::Scalar(snn_runtime::abi::Scalar::BatchCount), &[], Ty::SCALAR)
    }
}

/// Adds the nodes of an expression; gives its value.
pub(super) fn expr(scope: &mut dyn Scope, e: &hir::Expr) -> ValId {
    match &e.kind {
        ExprKind::Const(value) => scope.graph().constant(*value),
        ExprKind::Dt => {
            let dt = scope.env().dt;
            scope.graph().constant(dt)
        }
        ExprKind::Steps => {
            let steps = scope.env().steps as f64;
            scope.graph().constant(steps)
        }
        ExprKind::Training => {
            let training = scope.training();
            scope.graph().constant(f64::from(u8::from(training)))
        }
        ExprKind::Scalar(s) => scope.graph().push(Op::Scalar(*s), &[], Ty::SCALAR),
        ExprKind::Local(local) => {
            scope.local(*local).unwrap_or_else(|| panic!("lower: local {} has no value", local.0))
        }
        ExprKind::Pointwise(op, args) => {
            if let Some(chosen) = scope.chosen(e) {
                return chosen;
            }
            let args: Vec<ValId> = args.iter().map(|a| expr(scope, a)).collect();
            scope.graph().pointwise(*op, &args)
        }
        ExprKind::Repeat(value) => repeat(scope, value, e),
        ExprKind::MatVec(w, x) => {
            let (w, x) = (expr(scope, w), expr(scope, x));
            let pre = scope.graph().ty(w).shape[0];
            let x = with_index(scope.graph(), x, pre);
            scope.graph().matmul(x, w, false)
        }
        ExprKind::Slide { slide, over, value, weight } => {
            let mut args = vec![expr(scope, value)];
            args[0] = with_index(scope.graph(), args[0], over.width_in());
            args.extend(weight.as_ref().map(|w| expr(scope, w)));
            scope.graph().slide(*slide, *over, &args)
        }
        ExprKind::Reduce { op, over, value } => {
            if let Some(number) = scope.statistic(*op, *over, value) {
                return number;
            }
            let x = expr(scope, value);
            reduce(scope, *op, *over, x)
        }
        ExprKind::Detach(value) => {
            let x = expr(scope, value);
            let ty = scope.graph().ty(x).clone();
            scope.graph().push(Op::Detach, &[x], ty)
        }
        ExprKind::StraightThrough(forward, backward) => {
            let (f, b) = (expr(scope, forward), expr(scope, backward));
            let ty = scope.graph().ty(f).clone();
            let ty = ty.join(scope.graph().ty(b));
            let f = widen(scope.graph(), f, &ty);
            scope.graph().push(Op::Straight, &[f, b], ty)
        }
        ExprKind::GradScale(value, factor) => {
            let (x, k) = (expr(scope, value), expr(scope, factor));
            let ty = scope.graph().ty(x).clone();
            scope.graph().push(Op::GradScale, &[x, k], ty)
        }
        ExprKind::Let { local, value, body } => {
            if !scope.waits(*local, value) {
                let val = expr(scope, value);
                scope.bind(*local, val);
            }
            expr(scope, body)
        }
        ExprKind::Required { condition, problem, help, value } => {
            scope.require(condition, problem, help);
            expr(scope, value)
        }
        ExprKind::Custom { name, params, args, forward, grad, backward } => {
            let args: Vec<ValId> = args.iter().map(|a| expr(scope, a)).collect();
            for (param, arg) in params.iter().zip(&args) {
                scope.bind(*param, *arg);
            }
            let value = expr(scope, forward);
            let mut params = params.clone();
            params.push(*grad);
            let mut tys: Vec<Ty> = args.iter().map(|a| scope.graph().ty(*a).clone()).collect();
            tys.push(scope.graph().ty(value).clone());
            let rule = fragment::fragment(name, &params, &tys, backward, scope.env());
            custom(scope.graph(), rule, value, &args)
        }
        _ => scope.leaf(e),
    }
}

fn custom(graph: &mut Graph, rule: Fragment, value: ValId, args: &[ValId]) -> ValId {
    graph.customs.push(rule);
    let rule = graph.customs.len() - 1;
    let mut operands = vec![value];
    operands.extend(args);
    let ty = graph.ty(value).clone();
    graph.push(Op::Custom(rule), &operands, ty)
}

fn repeat(scope: &mut dyn Scope, value: &hir::Expr, e: &hir::Expr) -> ValId {
    let x = expr(scope, value);
    let have = scope.graph().ty(x).width();
    let want: usize = e.shape.iter().product();
    if have == want {
        return x;
    }
    let ty = Ty { shape: vec![want], ..scope.graph().ty(x).clone() };
    scope.graph().push(Op::Repeat { times: want / have }, &[x], ty)
}

/// The value with an index axis of `n`.
pub(crate) fn with_index(graph: &mut Graph, x: ValId, n: usize) -> ValId {
    if !graph.ty(x).shape.is_empty() {
        return x;
    }
    let ty = Ty { shape: vec![n], ..graph.ty(x).clone() };
    graph.push(Op::Repeat { times: n }, &[x], ty)
}

/// The value with at least the index axes of `ty` (time and batch broadcast by themselves wherever they matter).
fn widen(graph: &mut Graph, x: ValId, ty: &Ty) -> ValId {
    if ty.shape.is_empty() { x } else { with_index(graph, x, ty.width()) }
}

/// A reduction of the language as folds; means over samples leave out the padding.
pub(super) fn reduce(scope: &mut dyn Scope, op: ReduceOp, over: Over, x: ValId) -> ValId {
    let axes = Axes {
        time: matches!(over, Over::Time | Over::All),
        batch: matches!(over, Over::Batch | Over::All),
        index: matches!(over, Over::Population | Over::All),
    };
    match op {
        ReduceOp::Last => {
            let ty = scope.graph().ty(x).clone();
            if !ty.time {
                return x;
            }
            scope.graph().push(Op::Last, &[x], Ty { time: false, ..ty })
        }
        ReduceOp::Fold(Fold::Sum) => sum(scope, axes, x),
        ReduceOp::Fold(fold) => scope.graph().fold(fold, axes, x),
        ReduceOp::Mean => mean(scope, axes, x),
        ReduceOp::Variance => {
            let m = mean(scope, axes, x);
            let d = scope.graph().pointwise(Pw::Sub, &[x, m]);
            let d2 = scope.graph().pointwise(Pw::Mul, &[d, d]);
            mean(scope, axes, d2)
        }
        ReduceOp::Firing(..) => panic!("lower: spikes of what does not arrive"),
    }
}

/// Sum along axes; an axis of time or samples that the value lacks counts as often as it is long.
fn sum(scope: &mut dyn Scope, axes: Axes, x: ValId) -> ValId {
    let steps = scope.env().steps as f64;
    let ty = scope.graph().ty(x).clone();
    let mut x = x;
    if axes.batch {
        if ty.batch {
            let mask = scope.mask();
            x = scope.graph().pointwise(Pw::Mul, &[x, mask]);
        } else {
            let count = scope.batch_count();
            x = scope.graph().pointwise(Pw::Mul, &[x, count]);
        }
    }
    if axes.time && !ty.time {
        let steps = scope.graph().constant(steps);
        x = scope.graph().pointwise(Pw::Mul, &[x, steps]);
    }
    scope.graph().fold(Fold::Sum, axes, x)
}

/// Mean along axes; an axis that the value lacks changes nothing.
pub(super) fn mean(scope: &mut dyn Scope, axes: Axes, x: ValId) -> ValId {
    let ty = scope.graph().ty(x).clone();
    let axes = Axes { time: axes.time && ty.time, batch: axes.batch && ty.batch, index: axes.index };
    let mut count = 1.0;
    if axes.time {
        count *= scope.env().steps as f64;
    }
    if axes.index {
        count *= ty.width() as f64;
    }
    let mut y = sum(scope, axes, x);
    if count != 1.0 {
        let scale = scope.graph().constant(1.0 / count);
        y = scope.graph().pointwise(Pw::Mul, &[y, scale]);
    }
    if axes.batch {
        let n = scope.batch_count();
        y = scope.graph().pointwise(Pw::Div, &[y, n]);
    }
    y
}
