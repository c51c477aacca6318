//! What was meant: every name resolved, every circuit, neuron, function and rule put in place, every value with its unit and shape.
//!
//! Meaning of a [`Model`]: at each step the populations are brought forward. A population's [`Stmt`]s run in order on
//! its states; `State(s)` reads the value that `s` has at that point of the list, at its beginning the one
//! of the step before (in the first step `init`). What a population reads of others is in its [`Port`]s:
//! `Emit(p)` and `Trace(..)` are the values of population `p` *after* its step at the same step (delayed by
//! `Delayed`), so zero-delay cycles are errors (E0703). `Fired(p)` is the value of the last `Fire` of `p`; before it
//! in the list, that of the step before. All numbers are in SI units. Nothing here depends on batch size.
//! `Dt` and `Steps` stay symbols: a model serves several jobs.
//!
//! Once a program is in HIR without errors, the user is right: whatever goes wrong later is a bug of ours.

pub mod constant;
pub mod print;
pub mod unit;
pub mod verify;
pub mod walk;

use crate::source::Span;
use crate::step::ops::{Fold, Pw};
use snn_runtime::abi::Scalar;
pub use unit::Unit;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
        pub struct $name(pub u32);
        impl $name {
            /// As an index.
            pub fn idx(self) -> usize { self.0 as usize }
        }
    )*};
}
ids! {
    /// Index into [`Program::models`].
    ModelId
    /// Index into [`Model::inputs`].
    InputId
    /// Index into [`Model::params`].
    ParamId
    /// Index into [`Model::states`].
    StateId
    /// Index into [`Model::populations`].
    PopId
    /// A `let` or a parameter of a function that was put in place; unique in its model (or optimizer).
    LocalId
}

/// Everything one file declares to be run.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// All models of the user's file, and one for each `simulate one(…)`.
    pub models: Vec<Model>,
    /// Data sets.
    pub data: Vec<Data>,
    /// `train`, `evaluate`, `simulate`, in order.
    pub jobs: Vec<Job>,
    /// `test`s, in order.
    pub tests: Vec<Test>,
}

/// A flat model: circuits are gone, their populations have dotted names.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its name.
    pub name: String,
    /// Data inputs.
    pub inputs: Vec<Input>,
    /// Learned and fixed tensors.
    pub params: Vec<Param>,
    /// States of all populations.
    pub states: Vec<State>,
    /// Populations in the order declared.
    pub populations: Vec<Population>,
    /// Projections as written, for messages, `explain`, and synaptic operations; their effect is in the ports.
    pub projections: Vec<Projection>,
    /// What evaluation reads; the first is the prediction.
    pub outputs: Vec<Output>,
    /// Names of locals by [`LocalId`], for printing.
    pub locals: Vec<String>,
    /// The declaration.
    pub span: Span,
}

/// A data input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Index axes.
    pub shape: Vec<usize>,
    /// Another value at every step.
    pub stream: bool,
    /// Its declaration.
    pub span: Span,
}

/// A tensor of numbers that does not change within a presentation.
#[derive(Clone, Debug)]
pub struct Param {
    /// `h.tau`, `x->h.weight`, `w_ee`; unique in the model; names its random stream and its tensor in checkpoints.
    pub name: String,
    /// Logical index axes: `[]`, `[neuron]`, `[post, pre]`. (Lower stores matrices as `[pre][post]`.)
    pub shape: Vec<usize>,
    /// Unit of its values.
    pub unit: Unit,
    /// Kept by projection after every update.
    pub bounds: Bounds,
    /// Value at the start.
    pub init: Init,
    /// Whether training changes it.
    pub trained: bool,
    /// Its declaration.
    pub span: Span,
}

/// Closed range of allowed values; infinite where there is none. `> a` is held as the next f32 above.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bounds {
    /// Smallest allowed.
    pub low: f64,
    /// Largest allowed.
    pub high: f64,
}

impl Bounds {
    /// No bounds.
    pub const NONE: Bounds = Bounds { low: f64::NEG_INFINITY, high: f64::INFINITY };
}

/// How a parameter gets its first value.
#[derive(Clone, Debug)]
pub struct Init {
    /// For reports: `kaiming_normal(gain = 1.414)`.
    pub text: String,
    /// Value of one element: constants, `Iota`, `Random`, and with `needs.batch` reductions over `All` of inputs and traces.
    pub value: Expr,
    /// Inferred.
    pub needs: InitNeeds,
    /// Inferred range of values, by interval arithmetic.
    pub support: Bounds,
}

/// What an initializer needs beyond the shape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InitNeeds {
    /// Draws random numbers.
    pub random: bool,
    /// Reads activity on the first batch.
    pub batch: bool,
}

/// A state variable of a population.
#[derive(Clone, Debug)]
pub struct State {
    /// `h.v`
    pub name: String,
    /// Whose.
    pub pop: PopId,
    /// Unit of its values.
    pub unit: Unit,
    /// At the start of each presentation: constants and parameters only.
    pub init: Expr,
    /// Its declaration.
    pub span: Span,
}

/// Dale's law.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Polarity {
    /// Not declared.
    Mixed,
    /// Sends weights ≥ 0.
    Excitatory,
    /// Sends weights ≤ 0.
    Inhibitory,
}

/// Neurons of one kind, with their rule in place.
#[derive(Clone, Debug)]
pub struct Population {
    /// `h`, `c.e`
    pub name: String,
    /// Name of the neuron declaration.
    pub neuron: String,
    /// Index axes.
    pub shape: Vec<usize>,
    /// Declared kind.
    pub polarity: Polarity,
    /// Inputs.
    pub ports: Vec<Port>,
    /// Its states.
    pub states: Vec<StateId>,
    /// The step.
    pub body: Vec<Stmt>,
    /// Refractoriness, if declared.
    pub refractory: Option<Refractory>,
    /// Whether the body has a `Fire`.
    pub fires: bool,
    /// What projections read, evaluated at the end of the step.
    pub emit: Expr,
    /// `let`s of the step by name, for traces such as `h.shift`.
    pub named: Vec<(String, LocalId)>,
    /// The declaration of the population.
    pub span: Span,
}

/// `refractory 2 ms holding V`. After a spike, for `ceil(duration / dt)` steps (up to rounding of 1e-6), `fired` is 0 and the
/// held states are not changed by `Integrate` nor by `Assign` (resets of the step of the spike itself are).
#[derive(Clone, Debug)]
pub struct Refractory {
    /// A constant time.
    pub duration: Expr,
    /// Held states.
    pub holding: Vec<StateId>,
}

/// An input of a population, with everything that arrives at it.
#[derive(Clone, Debug)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Unit of what arrives.
    pub unit: Unit,
    /// The sum of all projections, or the expression it was set to, or the default; of the population's shape or scalar.
    pub value: Expr,
    /// Something arrives (it is not the default).
    pub driven: bool,
}

/// A projection as written.
#[derive(Clone, Debug)]
pub struct Projection {
    /// `x->h`
    pub name: String,
    /// Where from.
    pub source: Source,
    /// Where to.
    pub target: PopId,
    /// Index into the target's ports.
    pub port: usize,
    /// `dense`, `one_to_one`
    pub kind: &'static str,
    /// The weights, if they are a tensor.
    pub weight: Option<ParamId>,
    /// A constant time.
    pub delay: Expr,
    /// Where it stands.
    pub span: Span,
}

/// What a projection reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// A data input.
    Input(InputId),
    /// A population.
    Population(PopId),
}

/// An output of the model.
#[derive(Clone, Debug)]
pub struct Output {
    /// `y.v`
    pub name: String,
    /// Its value at each step.
    pub value: Expr,
}

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
    /// The value some steps ago, 0 before the first step.
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
    /// A reduction.
    Reduce {
        /// How.
        op: ReduceOp,
        /// Along what.
        over: Over,
        /// Of what.
        value: Box<Expr>,
    },
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
    },
    /// In an `init`: index along a logical axis (0: post `i`, 1: pre `j`).
    Iota(usize),
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
    /// `fired` = `diff > 0` or `diff >= 0`.
    Fire {
        /// Left minus right side.
        diff: Expr,
        /// `>`, not `>=`.
        strict: bool,
        /// What stands for the derivative.
        surrogate: Option<Surrogate>,
    },
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

/// A data set.
#[derive(Clone, Debug)]
pub struct Data {
    /// Its name in the file.
    pub name: String,
    /// `digits`, `idx`, `npy`, `npz`, `csv`
    pub source: String,
    /// Arguments as given.
    pub args: Vec<(String, DataArg)>,
    /// Its declaration.
    pub span: Span,
}

/// An argument of a data source.
#[derive(Clone, Debug)]
pub enum DataArg {
    /// A number.
    Num(f64),
    /// A string: a file or a name.
    Str(String),
}

/// Which samples.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// `digits` in a `train`, `digits.train`.
    Train,
    /// `digits.test`
    Test,
    /// `digits` in other jobs: all samples.
    All,
}

/// A job with every setting decided.
#[derive(Clone, Debug)]
pub struct Job {
    /// Which.
    pub kind: JobKind,
    /// Its model.
    pub model: ModelId,
    /// Index into [`Program::data`] and the part of it.
    pub data: Option<(usize, Part)>,
    /// Steps of a presentation.
    pub steps: usize,
    /// Length of a step in seconds.
    pub dt: f64,
    /// Samples of a batch.
    pub batch: usize,
    /// Run seed.
    pub seed: u64,
    /// Inputs given by the job (`simulate`).
    pub drives: Vec<Drive>,
    /// `loss`, a number for each sample; also for evaluations (that of the training, or the default if there is a target).
    pub loss: Option<Expr>,
    /// Only for `train`.
    pub train: Option<TrainSettings>,
    /// `accuracy`, `confusion`, `rate`, `sparsity`, `synops`
    pub metrics: Vec<String>,
    /// What to save.
    pub records: Vec<Record>,
    /// What to print: name and value; a value without time and sample axes after reduction.
    pub reports: Vec<Report>,
    /// The job.
    pub span: Span,
}

/// What a job does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Fit.
    Train,
    /// Measure.
    Evaluate,
    /// Run and record.
    Simulate,
}

/// Settings of a training.
#[derive(Clone, Debug)]
pub struct TrainSettings {
    /// Passes over the data.
    pub epochs: usize,
    /// Window of truncated BPTT in steps; none: the whole presentation.
    pub window: Option<usize>,
    /// The rule.
    pub optimizer: Optimizer,
    /// Largest norm of the whole gradient.
    pub clip: Option<f64>,
    /// Patience in epochs, and the least improvement of the test loss that counts.
    pub early_stop: Option<(usize, f64)>,
}

/// An update rule in place. Its locals are its own: `names`.
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// `adam(lr = 0.002)`
    pub text: String,
    /// The parameter.
    pub w: LocalId,
    /// Its gradient.
    pub g: LocalId,
    /// Name, local and first value of each state.
    pub states: Vec<(String, LocalId, f64)>,
    /// Assignments in order; the last one of `w` and of each state is its new value. Others are `let`s.
    pub body: Vec<(LocalId, Expr)>,
    /// Names of locals by id.
    pub names: Vec<String>,
}

/// A value of an input over the steps.
#[derive(Clone, Debug)]
pub struct Drive {
    /// Which input.
    pub input: InputId,
    /// Its values.
    pub values: DriveValues,
}

/// Values of a driven input.
#[derive(Clone, Debug)]
pub enum DriveValues {
    /// The same at every step.
    Constant(f64),
    /// One for each step, 0 after the last.
    List(Vec<f64>),
}

/// `record h[0..5].v`
#[derive(Clone, Debug)]
pub struct Record {
    /// Name of the array in the file.
    pub name: String,
    /// The value at each step.
    pub value: Expr,
    /// Index range, if not all.
    pub range: Option<(usize, usize)>,
    /// Spikes are saved as events (step, sample, index), other values as `[time, sample, index]`.
    pub events: bool,
}

/// `report rate(h)`
#[derive(Clone, Debug)]
pub struct Report {
    /// As written.
    pub name: String,
    /// Its value.
    pub value: Expr,
}

/// A `test`.
#[derive(Clone, Debug)]
pub struct Test {
    /// Its name.
    pub name: String,
    /// The simulation; its model has a single population `one`.
    pub job: Job,
    /// What must hold.
    pub expects: Vec<Expect>,
    /// The declaration.
    pub span: Span,
}

/// An expectation of a test.
#[derive(Clone, Debug)]
pub struct Expect {
    /// Left side.
    pub left: Measure,
    /// How they are compared.
    pub compare: Compare,
    /// Right side.
    pub right: Measure,
    /// As written.
    pub span: Span,
}

/// A side of an expectation.
#[derive(Clone, Debug)]
pub enum Measure {
    /// Numbers computed by the compiler, in SI units.
    Values(Vec<f64>),
    /// Values of a trace over the steps (of neuron 0 of sample 0).
    Trace(TraceRef),
    /// Steps with a spike, from 0.
    Spikes,
    /// Number of spikes.
    Count,
    /// Spikes per second.
    Rate,
}

/// Comparison of an expectation.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Compare {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// Absolute difference.
    Within(f64),
    /// Difference relative to the right side.
    WithinShare(f64),
}

/// The expressions directly inside an expression.
pub fn children(e: &Expr) -> Vec<&Expr> {
    match &e.kind {
        ExprKind::Const(_)
        | ExprKind::Dt
        | ExprKind::StepIndex
        | ExprKind::Steps
        | ExprKind::Scalar(_)
        | ExprKind::Param(_)
        | ExprKind::State(_)
        | ExprKind::Fired(_)
        | ExprKind::Local(_)
        | ExprKind::Port(..)
        | ExprKind::Input(_)
        | ExprKind::Emit(_)
        | ExprKind::Trace(..)
        | ExprKind::Target
        | ExprKind::Random { .. }
        | ExprKind::Iota(_) => Vec::new(),
        ExprKind::Pointwise(_, args) => args.iter().collect(),
        ExprKind::Repeat(a) | ExprKind::Detach(a) | ExprKind::Reduce { value: a, .. } => vec![a],
        ExprKind::Delayed { value: a, delay: b }
        | ExprKind::MatVec(a, b)
        | ExprKind::StraightThrough(a, b)
        | ExprKind::GradScale(a, b)
        | ExprKind::Let { value: a, body: b, .. } => vec![a, b],
        ExprKind::Custom { args, forward, backward, .. } => {
            args.iter().chain([&**forward]).chain(backward).collect()
        }
    }
}
