//! Expressions and statements of HIR. What they are part of is in [`super`].

use super::{InputId, LocalId, ParamId, PopId, StateId, Unit};
use crate::source::Span;
use crate::step::Slide;
use crate::step::ops::{Fold, Pw};
use snn_runtime::abi::Scalar;
use snn_runtime::windows::Windows;

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// Its unit.
    pub unit: Unit,
    /// Its index axes (`[]`: one number for all neurons). Sample and time axes are not said here.
    pub shape: Vec<usize>,
    /// Where it was written (in the declaration, not where that was put in place).
    pub span: Span,
}

/// Axes of a reduction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    /// All index axes of a population.
    Population,
    /// Steps. Not inside a step.
    Time,
    /// Samples.
    Batch,
    /// All of them.
    All,
}

/// Reductions of the language.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ReduceOp {
    /// One of the plain folds.
    Fold(Fold),
    /// Arithmetic mean.
    Mean,
    /// Mean squared deviation (biased).
    Variance,
    /// The value of the last step (`over` is `Time`).
    Last,
    /// In an initializer, of what arrives at a port (index): spikes in a step of a neuron to which nothing else comes (`over` is `All`).
    Firing(PopId, usize),
}

/// A value of another population, after its step.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum TraceRef {
    /// A state.
    State(StateId),
    /// A `let` of its step.
    Local(LocalId),
    /// Spikes.
    Fired,
    /// What `fire` compares, at that moment: the left side of `fire v >= theta`, before any reset.
    AtFire,
}

/// What initializers may know of the receiving neuron; it is measured on one neuron alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NeuronFact {
    /// Distance of the membrane (left side of `fire`) from threshold (right side) at rest, in the unit of `fire`.
    Threshold,
    /// Sum over the steps of the membrane's response to one spike of weight 1, without threshold; unit of `fire` over that of the port.
    KernelSum,
    /// Sum of its squares.
    KernelSquare,
    /// Mean of the absolute derivative of the surrogate over [-1, 1].
    SurrogateMean,
    /// Absolute derivative of the surrogate at 0.
    SurrogateAtZero,
    /// Growth of the number of spikes a step with a constant input, far above threshold; 1 over the unit of the port.
    RateSlope,
}

impl NeuronFact {
    /// All of them.
    pub const ALL: [NeuronFact; 6] = [
        NeuronFact::Threshold,
        NeuronFact::KernelSum,
        NeuronFact::KernelSquare,
        NeuronFact::SurrogateMean,
        NeuronFact::SurrogateAtZero,
        NeuronFact::RateSlope,
    ];

    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            NeuronFact::Threshold => "threshold",
            NeuronFact::KernelSum => "kernel_sum",
            NeuronFact::KernelSquare => "kernel_square",
            NeuronFact::SurrogateMean => "surrogate_mean",
            NeuronFact::SurrogateAtZero => "surrogate_at_zero",
            NeuronFact::RateSlope => "rate_slope",
        }
    }

    /// The fact of a name.
    pub fn from_name(name: &str) -> Option<NeuronFact> {
        NeuronFact::ALL.into_iter().find(|fact| fact.name() == name)
    }

    /// Its unit for a membrane and a port of these units.
    pub fn unit(self, membrane: Unit, port: Unit) -> Option<Unit> {
        match self {
            NeuronFact::Threshold => Some(membrane),
            NeuronFact::KernelSum => membrane.div(port),
            NeuronFact::KernelSquare => membrane.div(port)?.powi(2),
            NeuronFact::SurrogateMean | NeuronFact::SurrogateAtZero => Some(Unit::NONE),
            NeuronFact::RateSlope => Unit::NONE.div(port),
        }
    }
}

/// Names of indices along the axes of weights, in initializers: receiving and sending neuron (or channel of the group), position in the kernel.
pub const AXES: [&str; 4] = ["i", "j", "kernel_row", "kernel_column"];

/// Functions of whole matrices `[post, pre]`, in initializers. The weights of a convolution `[out, in / groups, height, width]` are taken as the
/// matrix `[out, in / groups * height * width]`, unless something else is said.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MatrixOp {
    /// The orthonormal factor: `[post, pre]`.
    Orthonormal,
    /// The nearest matrix of this rank: `[post, pre]`.
    LowRank(usize),
    /// All singular values, largest first: `[min(post, pre)]`.
    SingularValues,
    /// The largest absolute eigenvalue of a square matrix: one number.
    Radius,
    /// Place among the synapses onto the same neuron, from 0 for the smallest: `[post, pre]`.
    OrderOfInputs,
    /// Place among the synapses of the same sender, from 0 for the smallest: `[post, pre]`.
    OrderOfOutputs,
    /// The orthonormal factor of the matrix `[out, in / groups]` of each position of the kernel.
    OrthonormalTaps,
    /// For each receiving channel the kernels of its senders, so many at a time, as the rows of a matrix: their orthonormal factor.
    OrthonormalKernels(usize),
    /// Each kernel as the real half spectrum of another one (the first `width / 2 + 1` columns): that one.
    KernelOfSpectrum,
    /// The frequencies of a skew-symmetric matrix of even size: positive imaginary parts of its eigenvalues, largest first: `[n / 2]`.
    Frequencies,
    /// Of a symmetric matrix the eigenvectors of so many eigenvalues, largest absolute values first, each times the square root of that: `[d, n]`.
    Coordinates(usize),
}

impl MatrixOp {
    /// The name in the language.
    pub fn name(self) -> &'static str {
        match self {
            MatrixOp::Orthonormal => "orthonormal",
            MatrixOp::LowRank(_) => "nearest_of_rank",
            MatrixOp::SingularValues => "singular_values",
            MatrixOp::Radius => "radius",
            MatrixOp::OrderOfInputs => "order_of_inputs",
            MatrixOp::OrderOfOutputs => "order_of_outputs",
            MatrixOp::OrthonormalTaps => "orthonormal_taps",
            MatrixOp::OrthonormalKernels(_) => "orthonormal_kernels",
            MatrixOp::KernelOfSpectrum => "kernel_of_spectrum",
            MatrixOp::Frequencies => "frequencies",
            MatrixOp::Coordinates(_) => "coordinates",
        }
    }

    /// The whole number that is its second argument.
    pub fn count(self) -> Option<usize> {
        match self {
            MatrixOp::LowRank(n) | MatrixOp::OrthonormalKernels(n) | MatrixOp::Coordinates(n) => Some(n),
            _ => None,
        }
    }

    /// The shape of the result for a matrix.
    pub fn shape(self, matrix: &[usize]) -> Vec<usize> {
        match self {
            MatrixOp::SingularValues => {
                let (post, pre) =
                    matrix.split_first().map_or((0, 0), |(post, rest)| (*post, rest.iter().product()));
                vec![post.min(pre)]
            }
            MatrixOp::Radius => Vec::new(),
            MatrixOp::Frequencies => vec![matrix.first().map_or(0, |n| n / 2)],
            MatrixOp::Coordinates(d) => vec![d, matrix.first().copied().unwrap_or(0)],
            _ => matrix.to_vec(),
        }
    }

    /// The unit of the result for a matrix of a unit.
    pub fn unit(self, unit: Unit) -> Unit {
        match self {
            MatrixOp::Orthonormal
            | MatrixOp::OrderOfInputs
            | MatrixOp::OrderOfOutputs
            | MatrixOp::OrthonormalTaps
            | MatrixOp::OrthonormalKernels(_) => Unit::NONE,
            MatrixOp::LowRank(_)
            | MatrixOp::SingularValues
            | MatrixOp::Radius
            | MatrixOp::KernelOfSpectrum
            | MatrixOp::Frequencies => unit,
            MatrixOp::Coordinates(_) => unit.sqrt().unwrap_or_default(),
        }
    }
}

/// Kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// A number, in SI units.
    Const(f64),
    /// Length of a step in seconds.
    Dt,
    /// `step_index`; the time `t` is `StepIndex * Dt`.
    StepIndex,
    /// Number of steps of a presentation.
    Steps,
    /// 1 where weights are trained, 0 where the model is evaluated or simulated.
    Training,
    /// A number of the training run.
    Scalar(Scalar),
    /// A parameter.
    Param(ParamId),
    /// A state of the population at this point of its step.
    State(StateId),
    /// Spikes of the population whose body this is.
    Fired(PopId),
    /// A `let` before.
    Local(LocalId),
    /// What arrives at a port (index) of the population whose body this is.
    Port(PopId, usize),
    /// A data input at this step.
    Input(InputId),
    /// What a population emits at this step.
    Emit(PopId),
    /// Another value of a population at this step.
    Trace(PopId, TraceRef),
    /// The value some steps ago; before the first step what a state starts with, 0 of everything else.
    Delayed {
        /// The value.
        value: Box<Expr>,
        /// A constant time, a whole number of steps, not negative.
        delay: Box<Expr>,
    },
    /// One-hot classes or values of the data (jobs only).
    Target,
    /// A pointwise operation; operands of shape `[]` are repeated.
    Pointwise(Pw, Vec<Expr>),
    /// `[c]` to `[c, h, w]`: each value repeated along the further axes. As many values in a row, `[c * h * w]`, get the axes.
    Repeat(Box<Expr>),
    /// `w * x`: `[post, pre]` by all index axes of `x` flattened, to `[post]` or to the shape given.
    MatVec(Box<Expr>, Box<Expr>),
    /// A convolution (`slide` is `Conv`, with weights `[out, in / groups, height, width]`), or a mean or maximum of windows: an image to
    /// one of `over.channels[1]` channels.
    Slide {
        /// Which.
        slide: Slide,
        /// Over what.
        over: Windows,
        /// The image.
        value: Box<Expr>,
        /// The weights of a convolution.
        weight: Option<Box<Expr>>,
    },
    /// A reduction.
    Reduce {
        /// How.
        op: ReduceOp,
        /// Along what.
        over: Over,
        /// Of what.
        value: Box<Expr>,
    },
    /// Zero mean and unit variance over samples.
    Normalise(Box<Norm>),
    /// The value if the presentation had begun at this step; 0 before it (records and reports only).
    Since(Box<Expr>, usize),
    /// Constant in the backward pass.
    Detach(Box<Expr>),
    /// Value of the first, gradient of the second.
    StraightThrough(Box<Expr>, Box<Expr>),
    /// Gradient times a constant.
    GradScale(Box<Expr>, Box<Expr>),
    /// `let local = value` for `body`: an argument of a function put in place.
    Let {
        /// The name.
        local: LocalId,
        /// Its value.
        value: Box<Expr>,
        /// Where it is visible.
        body: Box<Expr>,
    },
    /// A function with its own backward: value `forward`; the gradient of argument `k` is `backward[k]`, in which `grad` is the
    /// gradient of the value. `args` bind `params` in both.
    Custom {
        /// Name of the function.
        name: String,
        /// Its parameters.
        params: Vec<LocalId>,
        /// Their values.
        args: Vec<Expr>,
        /// The value.
        forward: Box<Expr>,
        /// The gradient of the value.
        grad: LocalId,
        /// One gradient for each parameter.
        backward: Vec<Expr>,
    },
    /// A random number for each element (and step and sample in a body).
    Random {
        /// `gaussian()` rather than `random()`.
        gaussian: bool,
        /// Names the stream; unique in the model for each place of the program.
        stream: String,
        /// In a body: the same at every step of a presentation.
        once: bool,
    },
    /// In an `init`: index along a logical axis, named in [`AXES`].
    Iota(usize),
    /// In an `init`: what is measured of the neuron that receives at this port (index).
    Neuron(PopId, usize, NeuronFact),
    /// In an `init`: a function of a whole matrix.
    Matrix(MatrixOp, Box<Expr>),
    /// In an `init`: the product of two matrices, `[n, k]` and `[k, m]`.
    Product(Box<Expr>, Box<Expr>),
    /// In a job: the largest singular value of a matrix `[post, pre…]`, by power iterations from a direction of the inputs (its unit vector is
    /// the next one, kept by a training). Directions are constant in the backward pass.
    SpectralNorm {
        /// The matrix.
        weight: Box<Expr>,
        /// The direction: a tensor that is not trained.
        direction: ParamId,
        /// How many, at least one.
        iterations: usize,
    },
    /// In a job: the elements of the first tensor in the order of the second. Constant in the backward pass.
    Arranged(Box<Expr>, Box<Expr>),
    /// In an `init`: the value where the condition holds for every element (is not 0); where it does not there are no first values.
    Required {
        /// The condition.
        condition: Box<Expr>,
        /// What is wrong where it does not hold.
        problem: String,
        /// What to do about it; may be empty.
        help: String,
        /// The value.
        value: Box<Expr>,
    },
    /// An argument that names a file, or a tensor of it. Analysis only: a program has what is read of it.
    File {
        /// The file.
        file: String,
        /// The tensor; none: the one of the parameter's own name.
        tensor: Option<String>,
    },
    /// In an `init`: an element of a tensor of a file, by one index for each of its axes.
    Element(Stored, Vec<Expr>),
    /// In an `init`: how many elements a tensor of a file has along an axis; 1 along one that it does not have, 0 if the file does not have the tensor.
    Extent(Stored, usize),
}

/// A tensor of a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stored {
    /// As written: relative to the program.
    pub file: String,
    /// Its name: `x->h.weight`.
    pub tensor: String,
}

/// `(value - mean) / sqrt(variance + eps)`, with statistics of the batch in training and running ones otherwise (Ioffe and
/// Szegedy 2015). A statistic is of equally many neighbouring neurons: of a channel, or of one neuron.
#[derive(Clone, Debug)]
pub struct Norm {
    /// What is normalised; a number without unit, of the population's shape or scalar.
    pub value: Expr,
    /// Running mean: a tensor that is not trained, `[channels]` or `[neurons]`.
    pub mean: ParamId,
    /// Running variance (unbiased), of the same shape.
    pub variance: ParamId,
    /// Statistics of all steps together rather than of each.
    pub over_time: bool,
    /// Share of the new statistics in the running ones at each update.
    pub momentum: f64,
    /// Added to the variance.
    pub eps: f64,
}

/// A statement of a population's step.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// Where it was written.
    pub span: Span,
}

/// Kinds of statements.
// A program has few of them; a box would only be in the way.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// A name.
    Let(LocalId, Expr),
    /// A new value of a state. Resets are already `where(fired, new, old)`; `is_reset` says that they were written as one.
    Assign {
        /// The state.
        state: StateId,
        /// Its value.
        value: Expr,
        /// Part of a reset rule.
        is_reset: bool,
    },
    /// Advance all states with an equation by one step.
    Integrate {
        /// How.
        solver: Solver,
        /// State and derivative; all are read at the beginning of the step, written together.
        equations: Vec<(StateId, Expr)>,
    },
    /// `fired` = `above > below` or `above >= below`, decided by the sign of their difference.
    Fire {
        /// What is compared; jobs read it as `at_fire`.
        above: Expr,
        /// What it has to reach; none: 0.
        below: Option<Expr>,
        /// `>`, not `>=`.
        strict: bool,
        /// What stands for the derivative.
        surrogate: Option<Surrogate>,
    },
}

/// What a [`StmtKind::Fire`] takes the sign of, and its surrogate is evaluated at: `above - below`.
pub fn difference(above: &Expr, below: Option<&Expr>) -> Expr {
    let Some(below) = below else { return above.clone() };
    let wider = if above.shape.is_empty() { below } else { above };
    let kind = ExprKind::Pointwise(Pw::Sub, vec![above.clone(), below.clone()]);
    Expr { kind, unit: above.unit, shape: wider.shape.clone(), span: above.span }
}

/// Solvers of differential equations.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Solver {
    /// Matrix exponential; linear, constant coefficients.
    Exact,
    /// Each equation linear in its own state, the rest held during the step.
    ExponentialEuler,
    /// Forward Euler.
    Euler,
    /// Classical Runge-Kutta of order 4.
    Rk4,
}

/// A surrogate in place.
#[derive(Clone, Debug)]
pub struct Surrogate {
    /// `atan(alpha = 2)`
    pub text: String,
    /// The argument of both.
    pub x: LocalId,
    /// Stands for the derivative of the step function.
    pub derivative: Expr,
    /// Its integral, for gradient checks.
    pub primitive: Option<Expr>,
}
