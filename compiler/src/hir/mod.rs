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

pub(crate) mod alone;
pub mod constant;
mod expr;
pub mod first;
mod job;
pub mod print;
pub mod unit;
pub mod verify;
pub mod walk;

use crate::source::Span;
pub use expr::*;
pub use job::*;
use snn_runtime::windows::Windows;
use std::collections::BTreeSet;
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

impl Model {
    /// Height and width of the images that the model reads from data; a row has height 1. None if its input has no such axes.
    pub fn image_size(&self) -> Option<[usize; 2]> {
        match self.inputs.first()?.shape[..] {
            [_, length] => Some([1, length]),
            [_, height, width] => Some([height, width]),
            _ => None,
        }
    }
}

/// A tensor of numbers that does not change within a presentation.
#[derive(Clone, Debug)]
pub struct Param {
    /// `h.tau`, `x->h.weight`, `w_ee`; unique in the model; names its random stream and its tensor in checkpoints.
    pub name: String,
    /// Logical index axes: `[]`, `[neuron]`, `[post, pre]`. (Lower stores matrices as `[pre][post]`.)
    pub shape: Vec<usize>,
    /// Weights of windows, `[out, in, height, width]`. (Lower stores them as `[in * height * width][out]`.)
    pub windows: bool,
    /// Unit of its values.
    pub unit: Unit,
    /// Kept by projection after every update.
    pub bounds: Bounds,
    /// What an update that changes a sign is turned into, before that projection.
    pub keep: Option<Keep>,
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

/// How the sign of weights is kept: the rule that every new weight goes through.
#[derive(Clone, Debug)]
pub struct Keep {
    /// `sign_flip`
    pub text: String,
    /// 1 or -1 for all weights; none: the sign that each of them has at the start.
    pub sign: Option<f64>,
    /// The new weight, as the optimizer made it.
    pub w: LocalId,
    /// Its sign; not used if that is the same for all.
    pub p: LocalId,
    /// The weight that is kept.
    pub value: Expr,
    /// Names of locals by id; they are its own.
    pub names: Vec<String>,
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
    /// Reads what is measured of the receiving neuron.
    pub neuron: bool,
    /// Reads tensors of files.
    pub checkpoint: bool,
}

impl Init {
    /// What it needs beyond the shape, in words.
    pub fn effects(&self) -> Vec<String> {
        let needs = [
            (self.needs.random, "random"),
            (self.needs.batch, "reads the first batch"),
            (self.needs.neuron, "measures the receiving neuron"),
        ];
        let mut words: Vec<String> =
            needs.into_iter().filter(|(needed, _)| *needed).map(|(_, words)| words.to_string()).collect();
        if self.needs.checkpoint {
            let files: BTreeSet<_> = self.value.stored().into_iter().map(|s| &s.file[..]).collect();
            words.push(format!("reads {}", files.into_iter().collect::<Vec<_>>().join(", ")));
        }
        words
    }
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
    /// At the start of each presentation: of constants, parameters and numbers that are drawn once.
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
    /// Parameters that follow what values are at the end of presentations.
    pub running: Vec<Running>,
    /// The declaration of the population.
    pub span: Span,
}

/// `param m: neuron = running(v)`: after each batch of a training `(1 - momentum)` of what the parameter was and `momentum` of the mean of the value
/// after the last step, over the samples and the neurons that share an element of the parameter.
#[derive(Clone, Debug)]
pub struct Running {
    /// Not trained; one number, one for each channel or neuron.
    pub param: ParamId,
    /// One for each neuron, or the same for all, evaluated at the end of the step.
    pub value: Expr,
    /// From 0 to 1.
    pub momentum: f64,
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
    /// `dense`, `one_to_one`, `conv`, `avg_pool`, `max_pool`
    pub kind: &'static str,
    /// Of a convolution or pooling.
    pub over: Option<Windows>,
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
