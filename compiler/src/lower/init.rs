//! First values of parameters: each initializer is a small graph over the tensor, evaluated by the reference interpreter.

use super::expr::{Scope, expr};
use super::population::stored_shape;
use crate::hir::constant::ConstEnv;
use crate::hir::{self, ExprKind, LocalId, MatrixOp, NeuronFact, Over, PopId, ReduceOp, Stored};
use crate::interp;
use crate::interp::matrix::{self, Matrix};
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// Answers what an initializer asks of the activity on the first batch: all values of an input or trace.
pub trait Activity {
    /// Values of a leaf (`Input`, `Emit`, `Trace`) over steps, samples and neurons.
    fn values(&mut self, leaf: &ExprKind) -> Vec<f64>;
}

/// Answers what an initializer asks of neurons.
pub trait Neurons {
    /// What is measured of a neuron of a population, for what arrives at an input (index); in SI units.
    fn fact(&self, pop: PopId, port: usize, fact: NeuronFact) -> f64;
}

/// Where no neurons are asked for.
struct NoNeurons;

impl Neurons for NoNeurons {
    fn fact(&self, _: PopId, _: usize, fact: NeuronFact) -> f64 {
        panic!("lower: `{}` outside of an initializer", fact.name())
    }
}

/// A tensor of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Its axes; of weights `[post, pre]`.
    pub shape: Vec<usize>,
    /// Its elements, the last axis fastest.
    pub values: Vec<f32>,
}

/// What was read of files: all that initializers ask for.
pub type Tensors = BTreeMap<Stored, Tensor>;

/// An initializer asks a tensor of a file for what it does not have.
#[derive(Clone, PartialEq, Debug)]
pub struct Misfit {
    /// Which tensor.
    pub stored: Stored,
    /// Its axes.
    pub shape: Vec<usize>,
    /// The element asked for.
    pub index: Vec<f64>,
}

struct InitScope<'a, 'n> {
    graph: Graph,
    env: ConstEnv,
    locals: BTreeMap<LocalId, ValId>,
    /// As stored.
    shape: Vec<usize>,
    activity: Option<&'a mut dyn Activity>,
    neurons: &'n dyn Neurons,
    tensors: &'n Tensors,
    misfit: Option<Misfit>,
    /// Tensors that are known as a whole; `Op::Param` of the graph is an index here.
    known: Vec<Vec<f64>>,
    key: u64,
}

/// The values of one parameter in stored order (`[pre][post]`), for a run seed. `activity` must be given if the initializer
/// needs the batch, and `tensors` must hold those that it reads; one that does not have what it is asked for is a [`Misfit`].
pub fn init_values(
    param: &hir::Param,
    env: ConstEnv,
    seed: u64,
    activity: Option<&mut dyn Activity>,
    neurons: &dyn Neurons,
    tensors: &Tensors,
) -> Result<Vec<f32>, Misfit> {
    let mut scope = InitScope::new(&stored_shape(param), env, seed, activity, neurons, tensors);
    let values = scope.values(&param.init.value);
    let len: usize = param.shape.iter().product();
    let values = if values.len() == len { values } else { vec![values[0]; len] };
    match scope.misfit {
        Some(misfit) => Err(misfit),
        None => Ok(values.into_iter().map(|v| v as f32).collect()),
    }
}

/// The value of an expression in which `w` stands for a tensor of first values (in stored order): what tests expect of them.
/// Several values come in logical order, `[post][pre]`.
pub fn of_first_values(
    value: &hir::Expr,
    (w, shape, stored): (LocalId, &[usize], &[f32]),
    env: ConstEnv,
) -> Vec<f64> {
    let none = Tensors::new();
    let mut scope = InitScope::new(&turned(shape), env, 0, None, &NoNeurons, &none);
    let tensor = scope.tensor(stored.iter().map(|v| f64::from(*v)).collect(), shape);
    scope.bind(w, tensor);
    let values = scope.values(value);
    let [post, pre] = *value.shape.as_slice() else { return values };
    (0..post * pre).map(|k| values[k % pre * post + k / pre]).collect()
}

/// Index axes of a matrix or vector as stored.
fn turned(shape: &[usize]) -> Vec<usize> {
    match *shape {
        [post, pre] => vec![pre, post],
        _ => shape.to_vec(),
    }
}

impl Tensor {
    /// The element at an index, if there is one.
    fn element(&self, index: &[f64]) -> Option<f32> {
        let mut at = 0;
        for (i, n) in index.iter().zip(&self.shape) {
            if *i < 0.0 || *i >= *n as f64 || i.fract() != 0.0 {
                return None;
            }
            at = at * n + *i as usize;
        }
        self.values.get(at).copied().filter(|_| index.len() == self.shape.len())
    }
}

impl<'a, 'n> InitScope<'a, 'n> {
    fn new(
        shape: &[usize],
        env: ConstEnv,
        seed: u64,
        activity: Option<&'a mut dyn Activity>,
        neurons: &'n dyn Neurons,
        tensors: &'n Tensors,
    ) -> InitScope<'a, 'n> {
        let key = snn_runtime::rng::key(seed, 0, 0);
        let (graph, locals, shape) = (Graph::default(), BTreeMap::new(), shape.to_vec());
        let known = Vec::new();
        InitScope { graph, env, locals, shape, activity, neurons, tensors, misfit: None, known, key }
    }

    /// The elements of an expression, in stored order.
    fn values(&mut self, value: &hir::Expr) -> Vec<f64> {
        let val = expr(self, value);
        interp::graph_values(&self.graph, val, &self.known, self.key)
    }

    /// A function of a whole matrix: its argument is evaluated now.
    fn whole(&mut self, op: MatrixOp, value: &hir::Expr) -> ValId {
        let values = self.values(value);
        let [post, pre] = *value.shape.as_slice() else { panic!("lower: {} of a vector", op.name()) };
        let a = Matrix::from_fn(post, pre, |i, j| values[if values.len() == 1 { 0 } else { j * post + i }]);
        let result = match op {
            MatrixOp::Orthonormal => matrix::orthonormal(&a),
            MatrixOp::LowRank(rank) => matrix::low_rank(&a, rank),
            MatrixOp::OrderOfInputs => matrix::order_in_rows(&a),
            MatrixOp::OrderOfOutputs => matrix::order_in_rows(&a.transposed()).transposed(),
            MatrixOp::SingularValues => {
                let values = matrix::singular_values(&a, matrix::EXACT);
                let shape = [values.len()];
                return self.tensor(values, &shape);
            }
            MatrixOp::Radius => {
                let radius = matrix::radius(&a);
                return self.graph.constant(radius);
            }
        };
        self.tensor(result.transposed().data, &[post, pre])
    }

    /// Elements of a tensor of a file: its indices are evaluated now. What the tensor does not have is a misfit, and 0.
    fn elements_of(&mut self, stored: &Stored, index: &[hir::Expr], shape: &[usize]) -> ValId {
        let index: Vec<Vec<f64>> = index.iter().map(|e| self.values(e)).collect();
        let tensors = self.tensors;
        let tensor = tensors.get(stored).expect("lower: tensors that are asked for were read");
        let n = index.iter().map(Vec::len).max().unwrap_or(1);
        let mut values = Vec::with_capacity(n);
        for k in 0..n {
            let at: Vec<f64> = index.iter().map(|axis| axis[if axis.len() == 1 { 0 } else { k }]).collect();
            let value = tensor.element(&at);
            if value.is_none() && self.misfit.is_none() {
                self.misfit = Some(Misfit { stored: stored.clone(), shape: tensor.shape.clone(), index: at });
            }
            values.push(f64::from(value.unwrap_or(0.0)));
        }
        match *values {
            [one] if shape.is_empty() => self.graph.constant(one),
            _ => self.tensor(values, shape),
        }
    }

    /// A node for elements in stored order.
    fn tensor(&mut self, values: Vec<f64>, shape: &[usize]) -> ValId {
        let at = self.known.len();
        self.known.push(values);
        self.graph.push(Op::Param(at), &[], Ty::tensor(&turned(shape)))
    }
}

impl InitScope<'_, '_> {
    /// A reduction over everything of an expression of one input or trace: a number.
    fn batch_statistic(&mut self, op: ReduceOp, value: &hir::Expr) -> f64 {
        reduced(op, &self.elements(value))
    }

    /// Values of an expression over all steps, samples and neurons of the activity it reads, neurons last; or of one sample, or one number.
    fn elements(&mut self, e: &hir::Expr) -> Vec<f64> {
        match &e.kind {
            ExprKind::Pointwise(op, args) if e.any(&mut |e| is_activity(&e.kind)) => {
                let args: Vec<Vec<f64>> = args.iter().map(|a| self.elements(a)).collect();
                let n = args.iter().map(Vec::len).max().unwrap_or(0);
                let at = |a: &Vec<f64>, k: usize| a[k % a.len().max(1)];
                let value = |k| interp::pointwise(*op, &args.iter().map(|a| at(a, k)).collect::<Vec<_>>());
                (0..n).map(value).collect()
            }
            ExprKind::MatVec(w, x) => {
                let (w, post) = (self.values(w), w.shape[0]);
                let x = self.elements(x);
                let pre = w.len() / post;
                let row = |x: &[f64]| -> Vec<f64> {
                    let arrives = |i: usize| x.iter().enumerate().map(|(j, x)| w[j * post + i] * x).sum();
                    (0..post).map(arrives).collect()
                };
                x.chunks(pre).flat_map(row).collect()
            }
            // Over steps and samples, of each neuron.
            ExprKind::Reduce { op, over: Over::Batch, value } => {
                let width = value.shape.iter().product::<usize>().max(1);
                let all = self.elements(value);
                let of = |i: usize| all.iter().skip(i).step_by(width).copied().collect::<Vec<f64>>();
                (0..width.min(all.len())).map(|neuron| reduced(*op, &of(neuron))).collect()
            }
            kind if is_activity(kind) => {
                self.activity.as_mut().expect("an initializer that reads activity gets it").values(kind)
            }
            _ => self.values(e),
        }
    }
}

/// One number of many.
fn reduced(op: ReduceOp, values: &[f64]) -> f64 {
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

fn is_activity(kind: &ExprKind) -> bool {
    matches!(kind, ExprKind::Input(_) | ExprKind::Emit(_) | ExprKind::Trace(..))
}

impl Scope for InitScope<'_, '_> {
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
            ExprKind::Matrix(op, value) => self.whole(*op, value),
            ExprKind::Element(stored, index) => self.elements_of(stored, index, &e.shape),
            ExprKind::Extent(stored, axis) => {
                let tensor = self.tensors.get(stored).expect("lower: tensors that are asked for were read");
                let extent = tensor.shape.get(*axis).copied().unwrap_or(1);
                self.graph.constant(extent as f64)
            }
            ExprKind::Neuron(pop, port, fact) => {
                let value = self.neurons.fact(*pop, *port, *fact);
                self.graph.constant(value)
            }
            other => panic!("lower: {other:?} in an initializer"),
        }
    }
    /// Reductions over activity become numbers.
    fn statistic(&mut self, op: ReduceOp, over: Over, value: &hir::Expr) -> Option<ValId> {
        let reads = super::integrate::any(value, &mut |k| is_activity(k));
        if over != Over::All || !reads {
            return None;
        }
        let number = self.batch_statistic(op, value);
        Some(self.graph.constant(number))
    }
}
