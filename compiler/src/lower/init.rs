//! First values of parameters: each initializer is a small graph over the tensor, evaluated by the reference interpreter.

use super::expr::{Scope, expr};
use super::population::stored_shape;
use crate::hir::constant::{self, ConstEnv};
use crate::hir::{self, ExprKind, LocalId, MatrixOp, NeuronFact, Over, PopId, ReduceOp, Stored};
use crate::interp;
use crate::interp::filters;
use crate::interp::matrix::{self, Matrix};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// Answers what an initializer asks of the activity on the first batch: all values of an input or trace.
pub trait Activity {
    /// Values of a leaf (`Input`, `Emit`, `Trace`) over steps, samples and neurons.
    fn values(&mut self, leaf: &ExprKind) -> Vec<f64>;

    /// Samples of the batch.
    fn samples(&self) -> usize;
}

/// Answers what an initializer asks of neurons.
pub trait Neurons {
    /// What is measured of a neuron of a population, for what arrives at an input (index); in SI units.
    fn fact(&self, pop: PopId, port: usize, fact: NeuronFact) -> f64;

    /// Mean number of spikes in a step of a neuron of a population, for each column of what arrives at an input: `[step][column]`, in SI units;
    /// after the last step that is given the last one goes on.
    fn firing(&self, pop: PopId, port: usize, arriving: &[f64], columns: usize) -> f64;
}

/// A tensor of a file.
#[derive(Clone, PartialEq, Debug)]
pub struct Tensor {
    /// Its axes; of weights `[post, pre]`.
    pub shape: Vec<usize>,
    /// Its elements, the last axis fastest.
    pub values: Vec<f32>,
}

/// What was read of files: all that initializers ask for and the files have.
pub type Tensors = BTreeMap<Stored, Tensor>;

/// Why an initializer has no values.
#[derive(Clone, PartialEq, Debug)]
pub enum Refusal {
    /// It asks for an element of a tensor that its file does not have.
    Missing(Stored),
    /// It asks a tensor of a file for what it does not have.
    Misfit {
        /// Which tensor.
        stored: Stored,
        /// Its axes.
        shape: Vec<usize>,
        /// The element asked for.
        index: Vec<f64>,
    },
    /// What it requires does not hold.
    Unmet {
        /// What is wrong.
        problem: String,
        /// What to do about it; may be empty.
        help: String,
    },
}

struct InitScope<'a, 'n> {
    graph: Graph,
    env: ConstEnv,
    locals: BTreeMap<LocalId, ValId>,
    /// Names that nothing has read yet.
    waiting: BTreeMap<LocalId, hir::Expr>,
    /// As stored.
    shape: Vec<usize>,
    /// Height and width of the kernel, for weights of a convolution.
    kernel: Option<[usize; 2]>,
    activity: Option<&'a mut dyn Activity>,
    neurons: &'n dyn Neurons,
    tensors: &'n Tensors,
    refusal: Option<Refusal>,
    /// Tensors that are known as a whole; `Op::Param` of the graph is an index here.
    known: Vec<Vec<f64>>,
    key: u64,
}

/// The values of one parameter in stored order (`[pre][post]`), for a run seed. `activity` must be given if the initializer
/// needs the batch, and `tensors` must hold those that it reads; the first that is missing or unmet is the [`Refusal`].
pub fn init_values(
    param: &hir::Param,
    env: ConstEnv,
    seed: u64,
    activity: Option<&mut dyn Activity>,
    neurons: &dyn Neurons,
    tensors: &Tensors,
) -> Result<Vec<f32>, Refusal> {
    let mut scope = InitScope::new(&stored_shape(param), env, seed, activity, neurons, tensors);
    scope.kernel = kernel(&param.shape).filter(|_| param.windows);
    let values = scope.values(&param.init.value);
    let len: usize = param.shape.iter().product();
    let values = if values.len() == len { values } else { vec![values[0]; len] };
    match scope.refusal {
        Some(refusal) => Err(refusal),
        None => Ok(values.into_iter().map(|v| v as f32).collect()),
    }
}

/// The value of an expression in which `w` stands for a tensor of first values (in stored order): what tests expect of them.
/// Several values come in logical order, `[post][pre]`.
pub fn of_first_values(
    value: &hir::Expr,
    (w, shape, stored): (LocalId, &[usize], &[f32]),
    env: ConstEnv,
    neurons: &dyn Neurons,
) -> Vec<f64> {
    let none = Tensors::new();
    let mut scope = InitScope::new(&turned(shape), env, 0, None, neurons, &none);
    let tensor = scope.tensor(stored.iter().map(|v| f64::from(*v)).collect(), shape);
    scope.kernel = kernel(shape);
    scope.bind(w, tensor);
    let values = scope.values(value);
    let [post, pre, ..] = value.shape.as_slice() else { return values };
    let pre = value.shape[2..].iter().fold(*pre, |n, axis| n * axis);
    (0..post * pre).map(|k| values[k % pre * post + k / pre]).collect()
}

/// Index axes of a vector, a matrix or weights of a convolution as stored: the receiving axis is last, the others are one.
fn turned(shape: &[usize]) -> Vec<usize> {
    match shape {
        [post, pre @ ..] if !pre.is_empty() => vec![pre.iter().product(), *post],
        _ => shape.to_vec(),
    }
}

/// Height and width of the kernel of weights `[out, in / groups, height, width]`.
fn kernel(shape: &[usize]) -> Option<[usize; 2]> {
    let [_, _, height, width] = *shape else { return None };
    Some([height, width])
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
        let (waiting, kernel, refusal, known) = (BTreeMap::new(), None, None, Vec::new());
        InitScope {
            graph,
            env,
            locals,
            waiting,
            shape,
            kernel,
            activity,
            neurons,
            tensors,
            refusal,
            known,
            key,
        }
    }

    /// The elements of an expression, in stored order.
    fn values(&mut self, value: &hir::Expr) -> Vec<f64> {
        let val = expr(self, value);
        interp::graph_values(&self.graph, val, &self.known, self.key)
    }

    /// The value of a matrix, or of the weights of a convolution as one.
    fn matrix(&mut self, value: &hir::Expr) -> Matrix {
        let values = self.values(value);
        let [pre, post] = *turned(&value.shape) else { panic!("lower: a matrix of {:?}", value.shape) };
        Matrix::from_fn(post, pre, |i, j| values[if values.len() == 1 { 0 } else { j * post + i }])
    }

    /// A function of a whole matrix: its argument is evaluated now.
    fn whole(&mut self, op: MatrixOp, value: &hir::Expr) -> ValId {
        let a = self.matrix(value);
        let (post, pre) = (a.rows, a.cols);
        let kernel = kernel(&value.shape).unwrap_or([1, 1]);
        let result = match op {
            MatrixOp::Orthonormal => matrix::orthonormal(&a),
            MatrixOp::OrthonormalTaps => filters::orthonormal_taps(&a, kernel),
            MatrixOp::OrthonormalKernels(n) => filters::orthonormal_kernels(&a, kernel, n),
            MatrixOp::KernelOfSpectrum => filters::kernel_of_spectrum(&a, kernel),
            MatrixOp::LowRank(rank) => matrix::low_rank(&a, rank),
            MatrixOp::OrderOfInputs => matrix::order_in_rows(&a),
            MatrixOp::OrderOfOutputs => matrix::order_in_rows(&a.transposed()).transposed(),
            MatrixOp::Coordinates(d) => {
                let values = matrix::coordinates(&a, d);
                return self.tensor(values.transposed().data, &[d, post]);
            }
            MatrixOp::Frequencies => {
                let values = matrix::frequencies(&a);
                let shape = [values.len()];
                return self.tensor(values, &shape);
            }
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

    /// The index of each element along a logical axis of the weights of a convolution.
    fn tap(&mut self, axis: usize, [height, width]: [usize; 2]) -> ValId {
        let (shape, area) = ([self.shape[1], self.shape[0]], height * width);
        let of = |k: usize| match (axis, k / shape[0]) {
            (0, _) => k % shape[0],
            (1, tap) => tap / area,
            (2, tap) => tap % area / width,
            (_, tap) => tap % width,
        };
        let values = (0..shape[0] * shape[1]).map(|k| of(k) as f64).collect();
        self.tensor(values, &shape)
    }

    /// Elements of a tensor of a file: its indices are evaluated now. What the tensor does not have is a refusal, and 0.
    fn elements_of(&mut self, stored: &Stored, index: &[hir::Expr], shape: &[usize]) -> ValId {
        let index: Vec<Vec<f64>> = index.iter().map(|e| self.values(e)).collect();
        let tensors = self.tensors;
        let Some(tensor) = tensors.get(stored) else {
            self.refusal.get_or_insert(Refusal::Missing(stored.clone()));
            return self.graph.constant(0.0);
        };
        let n = index.iter().map(Vec::len).max().unwrap_or(1);
        let mut values = Vec::with_capacity(n);
        for k in 0..n {
            let at: Vec<f64> = index.iter().map(|axis| axis[if axis.len() == 1 { 0 } else { k }]).collect();
            let value = tensor.element(&at);
            if value.is_none() {
                let (stored, shape) = (stored.clone(), tensor.shape.clone());
                self.refusal.get_or_insert(Refusal::Misfit { stored, shape, index: at });
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
        let elements = self.elements(value);
        let ReduceOp::Firing(pop, port) = op else { return reduced(op, &elements) };
        let samples = self.activity.as_ref().map_or(1, |activity| activity.samples());
        let columns = samples * value.shape.iter().product::<usize>().max(1);
        self.neurons.firing(pop, port, &elements, columns)
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
            ExprKind::Slide { over, value, weight: Some(w), .. } => {
                let w = self.values(w);
                let images = self.elements(value);
                images.chunks(over.width_in()).flat_map(|x| interp::convolution(over, x, &w)).collect()
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
        ReduceOp::Firing(..) => panic!("lower: spikes of single values"),
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
        if let Some(value) = self.waiting.remove(&local) {
            let value = expr(self, &value);
            self.bind(local, value);
        }
        self.locals.get(&local).copied()
    }
    fn waits(&mut self, local: LocalId, value: &hir::Expr) -> bool {
        self.waiting.insert(local, value.clone());
        true
    }
    fn bind(&mut self, local: LocalId, val: ValId) {
        self.locals.insert(local, val);
    }
    fn mask(&mut self) -> ValId {
        panic!("lower: samples in an initializer")
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        // A grid has a size of its own.
        let is_matrix = e.shape.len() == 2 || self.kernel.is_some() && e.shape.len() == 4;
        let ty = Ty::tensor(&if is_matrix { turned(&e.shape) } else { self.shape.clone() });
        match &e.kind {
            ExprKind::Random { gaussian, stream, .. } => {
                let stream = snn_runtime::rng::stream(stream);
                self.graph.push(Op::Random { gaussian: *gaussian, stream, once: false }, &[], ty)
            }
            ExprKind::Iota(axis) => match self.kernel {
                Some(kernel) if e.shape.len() == 4 => self.tap(*axis, kernel),
                _ => self.graph.push(Op::Iota(*axis), &[], ty),
            },
            ExprKind::Matrix(op, value) => self.whole(*op, value),
            ExprKind::Product(a, b) => {
                let product = self.matrix(a).times(&self.matrix(b));
                self.tensor(product.transposed().data, &[product.rows, product.cols])
            }
            ExprKind::Element(stored, index) => self.elements_of(stored, index, &e.shape),
            ExprKind::Extent(stored, axis) => {
                let tensor = self.tensors.get(stored);
                let extent = tensor.map_or(0, |tensor| tensor.shape.get(*axis).copied().unwrap_or(1));
                self.graph.constant(extent as f64)
            }
            ExprKind::Neuron(pop, port, fact) => {
                let value = self.neurons.fact(*pop, *port, *fact);
                self.graph.constant(value)
            }
            other => panic!("lower: {other:?} in an initializer"),
        }
    }
    /// A condition that is one number chooses: what the other side requires, or reads of files, does not count.
    fn chosen(&mut self, select: &hir::Expr) -> Option<ValId> {
        let ExprKind::Pointwise(Pw::Select, args) = &select.kind else { return None };
        let [condition, a, b] = &args[..] else { return None };
        if !condition.shape.is_empty() {
            return None;
        }
        let known = constant::eval(condition, &self.env);
        let holds = known.unwrap_or_else(|| self.values(condition)[0]) != 0.0;
        let value = expr(self, if holds { a } else { b });
        if self.graph.ty(value).shape.is_empty() && !select.shape.is_empty() {
            let one = interp::graph_values(&self.graph, value, &self.known, self.key)[0];
            return Some(self.tensor(vec![one; select.shape.iter().product()], &select.shape));
        }
        Some(value)
    }
    fn require(&mut self, condition: &hir::Expr, problem: &str, help: &str) {
        // Numbers that are not there (NaN) are equal to nothing: comparisons of them do not hold.
        let holds = self.values(condition).iter().all(|holds| *holds != 0.0 && !holds.is_nan());
        if !holds {
            let (problem, help) = (problem.to_string(), help.to_string());
            self.refusal.get_or_insert(Refusal::Unmet { problem, help });
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
