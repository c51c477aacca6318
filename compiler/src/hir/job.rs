//! Data sets, jobs and tests of HIR: what is done with models.

use super::{Expr, InputId, LocalId, ModelId, Param, ParamId, TraceRef};
use crate::source::Span;
use std::collections::BTreeMap;

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
    /// Random changes of training images, in their order.
    pub augment: Vec<Augment>,
    /// Whether a presentation starts with the states that one of the batch before ended with.
    pub carried: bool,
}

/// A random change of training images; sizes in elements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Augment {
    /// `crop(padding = 1)`
    Crop(usize),
    /// `roll(most = 1)`
    Roll(usize),
    /// `flip`
    Flip,
    /// `cutout(size = 2)`
    Cutout(usize),
}

impl Job {
    /// What a simulation records and reports.
    pub fn results(&self) -> impl Iterator<Item = &Expr> {
        self.records.iter().map(|record| &record.value).chain(self.reports.iter().map(|report| &report.value))
    }
}

impl Augment {
    /// As it is written.
    pub fn text(self) -> String {
        match self {
            Augment::Crop(padding) => format!("crop(padding = {padding})"),
            Augment::Roll(most) => format!("roll(most = {most})"),
            Augment::Flip => "flip".to_string(),
            Augment::Cutout(size) => format!("cutout(size = {size})"),
        }
    }
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
    /// One for each parameter that is trained.
    pub states: Vec<OptimizerState>,
    /// Assignments in order; the last one of `w` and of each state is its new value. Others are `let`s.
    pub body: Vec<(LocalId, Expr)>,
    /// Names of locals by id.
    pub names: Vec<String>,
}

/// A state of an update rule.
#[derive(Clone, Debug)]
pub struct OptimizerState {
    /// `m`
    pub name: String,
    /// What stands for it.
    pub local: LocalId,
    /// What every element starts with, where `starts` says nothing.
    pub init: f64,
    /// First values that are not one number, each as a tensor `x->h.weight/m` of the parameter's shape.
    pub starts: BTreeMap<ParamId, Param>,
}

impl Optimizer {
    /// The first values of a state of a parameter, if they are not one number.
    pub fn start(&self, param: ParamId, state: &str) -> Option<&Param> {
        self.states.iter().find(|known| known.name == state)?.starts.get(&param)
    }
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
    /// The simulation; its model has a single population `one`. If it `draws`, its model has the parameter `w`, and at most the
    /// population that it belongs to; nothing is simulated.
    pub job: Job,
    /// First values are expected, not those of a run: the name that stands for them.
    pub draws: Option<LocalId>,
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
    /// An expression of the first values `w` of a test that draws.
    Drawn(Expr),
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
