//! First values of parameters: each initializer is a small graph over the tensor, evaluated by the reference interpreter.

use super::expr::{Scope, expr};
use super::population::stored_shape;
use crate::hir::constant::ConstEnv;
use crate::hir::{self, ExprKind, LocalId, Over, ReduceOp};
use crate::interp;
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// Answers what an initializer asks of the activity on the first batch: all values of an input or trace.
pub trait Activity {
    /// Values of a leaf (`Input`, `Emit`, `Trace`) over steps, samples and neurons.
    fn values(&mut self, leaf: &ExprKind) -> Vec<f64>;
}

struct InitScope<'a> {
    graph: Graph,
    env: ConstEnv,
    locals: BTreeMap<LocalId, ValId>,
    /// As stored.
    shape: Vec<usize>,
    activity: Option<&'a mut dyn Activity>,
}

/// The values of one parameter in stored order (`[pre][post]`), for a run seed. `activity` must be given if the initializer
/// needs the batch.
pub fn init_values(
    param: &hir::Param,
    env: ConstEnv,
    seed: u64,
    activity: Option<&mut dyn Activity>,
) -> Vec<f32> {
    let mut scope = InitScope {
        graph: Graph::default(),
        env,
        locals: BTreeMap::new(),
        shape: stored_shape(param),
        activity,
    };
    let val = expr(&mut scope, &param.init.value);
    let key = snn_runtime::rng::key(seed, 0, 0);
    let values = interp::graph_values(&scope.graph, val, key);
    let len: usize = param.shape.iter().product();
    let values = if values.len() == len { values } else { vec![values[0]; len] };
    values.into_iter().map(|v| v as f32).collect()
}

impl InitScope<'_> {
    /// A reduction over everything of an expression of one input or trace: a number.
    fn batch_statistic(&mut self, op: ReduceOp, value: &hir::Expr) -> f64 {
        let activity = self.activity.as_mut().expect("an initializer that reads activity gets it");
        fold(op, &elements(value, *activity))
    }
}

fn fold(op: ReduceOp, values: &[f64]) -> f64 {
    let n = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / n;
    match op {
        ReduceOp::Mean | ReduceOp::Last => mean,
        ReduceOp::Variance => values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>() / n,
        ReduceOp::Fold(fold) => {
            values.iter().copied().reduce(|a, b| interp::fold_pair(fold, a, b)).unwrap_or(0.0)
        }
    }
}

/// Values of an expression over all steps, samples and neurons of the activity it reads: neurons last; or of one sample, or one number.
fn elements(e: &hir::Expr, activity: &mut dyn Activity) -> Vec<f64> {
    match &e.kind {
        ExprKind::Const(v) => vec![*v],
        ExprKind::Pointwise(op, args) => {
            let args: Vec<Vec<f64>> = args.iter().map(|a| elements(a, activity)).collect();
            let n = args.iter().map(Vec::len).max().unwrap_or(0);
            (0..n)
                .map(|k| {
                    let operands: Vec<f64> = args.iter().map(|a| a[k % a.len().max(1)]).collect();
                    interp::pointwise(*op, &operands)
                })
                .collect()
        }
        // Over steps and samples, of each neuron.
        ExprKind::Reduce { op, over: Over::Batch, value } => {
            let values = elements(value, activity);
            let width = value.shape.iter().product::<usize>().max(1);
            let of = |neuron| values.iter().skip(neuron).step_by(width).copied().collect::<Vec<f64>>();
            (0..width.min(values.len())).map(|neuron| fold(*op, &of(neuron))).collect()
        }
        leaf => activity.values(leaf),
    }
}

impl Scope for InitScope<'_> {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
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
    fn mask(&mut self) -> ValId {
        panic!("lower: samples in an initializer")
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        let ty = Ty::tensor(&self.shape);
        match &e.kind {
            ExprKind::Random { gaussian, stream, .. } => {
                let stream = snn_runtime::rng::stream(stream);
                self.graph.push(Op::Random { gaussian: *gaussian, stream, once: false }, &[], ty)
            }
            ExprKind::Iota(axis) => self.graph.push(Op::Iota(*axis), &[], ty),
            other => panic!("lower: {other:?} in an initializer"),
        }
    }
    /// Reductions over activity become numbers.
    fn statistic(&mut self, op: ReduceOp, over: Over, value: &hir::Expr) -> Option<ValId> {
        let reads = super::integrate::any(value, &mut |k| {
            matches!(k, ExprKind::Input(_) | ExprKind::Emit(_) | ExprKind::Trace(..))
        });
        if over != Over::All || !reads {
            return None;
        }
        let number = self.batch_statistic(op, value);
        Some(self.graph.constant(number))
    }
}
