//! The syntax tree: what was written, with spans, nothing resolved.
//!
//! Meaning: one [`File`] is the list of its declarations in the order written, with their doc comments. Keywords are
//! already told apart, names are not: whether `Lif[128](…)` is a neuron or a circuit, and whether `beta` is a parameter or a
//! misspelling, is for `analyze`. The printer (`print`) writes the canonical text; parsing that again gives
//! the same tree up to spans. That text is what `snnc fmt` prints.

mod expr;
pub mod print;

use crate::source::{FileId, Span};
pub use expr::*;

/// A name with its place.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Ident {
    /// The text.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

/// `a.b.c`; at least one segment. `*` as a first segment stands for "every population" (`*.v`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Path {
    /// The names between the dots.
    pub segments: Vec<Ident>,
    /// From the first to the last segment.
    pub span: Span,
}

/// One source file.
#[derive(Clone, Debug)]
pub struct File {
    /// Which file.
    pub file: FileId,
    /// Declarations as written. Those that could not be parsed are left out; the diagnostics say why.
    pub items: Vec<Item>,
    /// Comments that are not doc comments, by position, for the formatter.
    pub comments: Vec<Comment>,
}

/// A `//` comment.
#[derive(Clone, Debug)]
pub struct Comment {
    /// The text with its `//`, without the end of the line.
    pub text: String,
    /// Where it stands.
    pub span: Span,
    /// Nothing but white space before it on its line.
    pub own_line: bool,
}

/// A declaration with its doc comment.
#[derive(Clone, Debug)]
pub struct Item {
    /// Lines of the `///` comment, without the slashes and one space.
    pub doc: Vec<String>,
    /// What is declared.
    pub kind: ItemKind,
    /// The whole declaration without the doc comment.
    pub span: Span,
}

/// What may stand at the top of a file.
#[derive(Clone, Debug)]
pub enum ItemKind {
    /// `use std.neuron.{Lif, Integrator}`
    Use(Use),
    /// `param tau: time = 10 ms`
    Param(ParamDecl),
    /// `neuron N(…) { … }`
    Neuron(Neuron),
    /// `reset soft(v, theta) { v = v - theta }`
    Reset(Reset),
    /// `surrogate atan(alpha = 2) { derivative(x) = … primitive(x) = … }`
    Surrogate(Surrogate),
    /// `fn f(x) = …`
    Fn(Fn),
    /// `circuit C(…) { … }` or `model M { … }`
    Circuit(Circuit),
    /// `init i(…) { sample … }`
    Init(Init),
    /// `optimizer o(…) { … }`
    Optimizer(Optimizer),
    /// `data d = std.data.digits(…)`
    Data(Data),
    /// `train`, `evaluate`, `simulate`
    Job(Job),
    /// `test "…" { … }`
    Test(Test),
}

/// `use a.b.{c, d}`; `names` is empty for `use a.b.c`, whose last segment is then the name.
#[derive(Clone, Debug)]
pub struct Use {
    /// The path before the braces.
    pub path: Path,
    /// The names in the braces.
    pub names: Vec<Ident>,
}

/// `name: ty = default`: a parameter of a declaration or a `param` of a file.
#[derive(Clone, Debug)]
pub struct ParamDecl {
    /// Its name.
    pub name: Ident,
    /// `: time`, a unit name.
    pub unit: Option<Ident>,
    /// `= 20 ms`
    pub default: Option<Expr>,
}

/// `neuron`
#[derive(Clone, Debug)]
pub struct Neuron {
    /// Its name.
    pub name: Ident,
    /// Parameters in order.
    pub params: Vec<ParamDecl>,
    /// What stands in the braces, in order.
    pub items: Vec<NeuronItem>,
}

/// A line of a neuron.
#[derive(Clone, Debug)]
pub enum NeuronItem {
    /// `input i: current = 0 pA`
    Input(InputDecl),
    /// One `name: unit = init` of a `state` line.
    State(ParamDecl),
    /// `learn` or, with `fixed`, `param`.
    Learn(Learn),
    /// `v' = e`
    Equation {
        /// The state.
        state: Ident,
        /// Its derivative with respect to time.
        value: Expr,
    },
    /// `step { … }` or one statement that stands directly in the neuron. A `let` directly in the neuron is
    /// `Step(vec![Stmt::Let])` too.
    Step(Vec<Stmt>),
    /// `emit e`
    Emit(Expr),
}

/// `input` of a neuron, circuit or model.
#[derive(Clone, Debug)]
pub struct InputDecl {
    /// Its name.
    pub name: Ident,
    /// `: current` (neurons).
    pub unit: Option<Ident>,
    /// `: [8, 8]` (models); none for neurons and circuits.
    pub axes: Option<Vec<Expr>>,
    /// `stream`: a value at every step.
    pub stream: bool,
    /// `>= 0` and the like.
    pub constraint: Option<Constraint>,
    /// `= 0.5`
    pub default: Option<Expr>,
}

/// A bound on values.
#[derive(Clone, Debug)]
pub enum Constraint {
    /// `>= e`
    AtLeast(Expr),
    /// `> e`
    Above(Expr),
    /// `<= e`
    AtMost(Expr),
    /// `< e`
    Below(Expr),
    /// `in [a, b]`
    Within(Expr, Expr),
}

/// `learn a: layer >= 0 keep sign_flip = 1`, `learn w: [n, m] = init`, and `param` with a scope.
#[derive(Clone, Debug)]
pub struct Learn {
    /// Its name.
    pub name: Ident,
    /// Its shape.
    pub scope: Scope,
    /// `>= 0`
    pub constraint: Option<Constraint>,
    /// `sign initial`: each number keeps the sign that it has at the start.
    pub keeps_initial_sign: bool,
    /// `keep sign_flip`: what a number becomes whose sign an update would change.
    pub keep: Option<Expr>,
    /// The initial value: a number or an `init`.
    pub init: Expr,
    /// `param`: not trained.
    pub fixed: bool,
}

/// How many numbers a `learn` holds.
#[derive(Clone, Debug)]
pub enum Scope {
    /// `layer`, `channel`, `neuron`
    Name(Ident),
    /// `[post, pre]`
    Axes(Vec<Expr>),
}

/// A statement of a step, a reset rule, an `update` or a function body.
#[derive(Clone, Debug)]
pub struct Stmt {
    /// Which.
    pub kind: StmtKind,
    /// All of it.
    pub span: Span,
}

/// Kinds of statements.
#[derive(Clone, Debug)]
pub enum StmtKind {
    /// `let a = e`
    Let {
        /// The new name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `v = e`
    Assign {
        /// The state.
        target: Ident,
        /// Its new value.
        value: Expr,
    },
    /// `integrate rk4`
    Integrate {
        /// Name of the method.
        method: Ident,
    },
    /// `fire a >= b with s`
    Fire {
        /// The comparison.
        condition: Expr,
        /// The surrogate, a name or a call.
        surrogate: Option<Expr>,
    },
    /// `reset(v, theta)`: a call of a reset rule by the name of a rule or parameter.
    ResetCall {
        /// The rule.
        rule: Path,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `reset { … }`
    ResetBlock(Vec<Stmt>),
    /// `refractory 2 ms holding V, w`
    Refractory {
        /// For how long.
        duration: Expr,
        /// States that are held.
        holding: Vec<Ident>,
    },
}

/// `reset name(params) { statements }`
#[derive(Clone, Debug)]
pub struct Reset {
    /// Its name.
    pub name: Ident,
    /// Parameters; those that are assigned are states of the caller.
    pub params: Vec<ParamDecl>,
    /// Assignments and lets.
    pub body: Vec<Stmt>,
}

/// `surrogate`
#[derive(Clone, Debug)]
pub struct Surrogate {
    /// Its name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// `derivative(x) = e`; `lets` before it are substituted by the analyzer.
    pub derivative: Lambda,
    /// `primitive(x) = e`; without it gradient checks leave the neuron out.
    pub primitive: Option<Lambda>,
}

/// `(x) = e`
#[derive(Clone, Debug)]
pub struct Lambda {
    /// The parameter.
    pub param: Ident,
    /// The value.
    pub body: Expr,
}

/// `fn`
#[derive(Clone, Debug)]
pub struct Fn {
    /// Its name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// `let`s before the value.
    pub lets: Vec<(Ident, Expr)>,
    /// The value.
    pub value: Expr,
    /// `backward(g) e1, e2`
    pub backward: Option<Backward>,
}

/// The user's own backward rule of a function.
#[derive(Clone, Debug)]
pub struct Backward {
    /// Name of the gradient of the result.
    pub grad: Ident,
    /// One gradient for each parameter.
    pub values: Vec<Expr>,
}

/// `circuit` and `model`.
#[derive(Clone, Debug)]
pub struct Circuit {
    /// Its name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// `model`: may be trained and simulated by itself, and its inputs have axes.
    pub is_model: bool,
    /// Written out from `chain(…)`: its parts see the names around it.
    pub is_chain: bool,
    /// Statements in order.
    pub items: Vec<CircuitItem>,
}

/// A line of a circuit or model.
#[derive(Clone, Debug)]
pub struct CircuitItem {
    /// Which.
    pub kind: CircuitItemKind,
    /// All of it.
    pub span: Span,
}

/// Kinds of lines of a circuit or model.
#[derive(Clone, Debug)]
pub enum CircuitItemKind {
    /// `input x: [64]`
    Input(InputDecl),
    /// `let m = n / 4`, `let h = Lif[128](…)`, `let c = Circuit(…)`
    Let {
        /// The new name.
        name: Ident,
        /// A constant, `ExprKind::Instance` or `ExprKind::Call`.
        value: Expr,
        /// `chain(…)` written out: its instances are `p1`, `p2`, …
        chain: Option<Box<Circuit>>,
    },
    /// `population e[128] excitatory: Lif(…)`
    Population {
        /// The new name.
        name: Ident,
        /// Index axes.
        axes: Vec<Expr>,
        /// `excitatory` or `inhibitory`.
        polarity: Option<Ident>,
        /// A neuron's name or a call with its arguments.
        neuron: Expr,
    },
    /// `learn w: [n, m] >= 0 = init`
    Learn(Learn),
    /// `a -> {b, c} : dense(…)`. Without `: kind` the target is a circuit.
    Projection {
        /// Where spikes come from: a path.
        source: Path,
        /// One or more targets.
        targets: Vec<Path>,
        /// `dense(…)`: a name or a call. `{ key = e … }` after it is merged into the arguments.
        kind: Option<Expr>,
    },
    /// `e.in = x`
    Drive {
        /// `population.input`
        target: Path,
        /// What arrives.
        value: Expr,
    },
    /// `output y.v, z`
    Output(Vec<Expr>),
}

/// `init`
#[derive(Clone, Debug)]
pub struct Init {
    /// Its name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// `let`s in order.
    pub lets: Vec<(Ident, Expr)>,
    /// What must hold before there are values, in order.
    pub requires: Vec<Require>,
    /// `sample`, `value` (or `matrix`).
    pub mode: Ident,
    /// The value of one weight.
    pub value: Expr,
    /// What it promises of first values, in order.
    pub promises: Vec<Promise>,
}

/// `require a > 0 else "what is wrong", "what to do"`
#[derive(Clone, Debug)]
pub struct Require {
    /// What must not be 0.
    pub condition: Expr,
    /// A text: what is wrong where it is 0.
    pub problem: Expr,
    /// A text: what to do about it.
    pub help: Option<Expr>,
    /// The whole line.
    pub span: Span,
}

/// `verify variance(w) within 2 % of 1 / fan_in for [100, 50] into Lif`
#[derive(Clone, Debug)]
pub struct Promise {
    /// The comparison.
    pub expect: Expect,
    /// What is drawn for it: the initializer. Its axes may be missing.
    pub draw: Job,
}

/// `optimizer`
#[derive(Clone, Debug)]
pub struct Optimizer {
    /// Its name.
    pub name: Ident,
    /// Parameters.
    pub params: Vec<ParamDecl>,
    /// `state m = 0`
    pub states: Vec<ParamDecl>,
    /// Statements of `update { … }`.
    pub update: Vec<Stmt>,
}

/// `data name = source(args)`
#[derive(Clone, Debug)]
pub struct Data {
    /// Its name.
    pub name: Ident,
    /// A call.
    pub source: Expr,
}

/// `train`, `evaluate` or `simulate`
#[derive(Clone, Debug)]
pub struct Job {
    /// Which.
    pub kind: JobKind,
    /// The model's name, or the call `one(N(…), port = e)`; of a `draw` the initializer.
    pub subject: Expr,
    /// `on digits.test`
    pub data: Option<Path>,
    /// `for 1 s`; of a `draw` the axes `[100, 50]`.
    pub duration: Option<Expr>,
    /// Of a `draw`: the neuron that the weights belong to, `into Lif(tau = 20 ms)`.
    pub into: Option<Expr>,
    /// What stands in the braces; the braces may be missing.
    pub settings: Vec<Setting>,
    /// All of it.
    pub span: Span,
}

/// What a job does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobKind {
    /// Fit the `learn`s.
    Train,
    /// Metrics on data.
    Evaluate,
    /// Run and record.
    Simulate,
    /// First values of weights (tests only).
    Draw,
}

/// `word e, e`; `early_stop(patience = 5)` is the word `early_stop` with the call itself as its one value; and
/// `x = e` (an input of a simulation) has the word `x` and `is_assign`.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The first word.
    pub word: Ident,
    /// What follows, separated by commas.
    pub values: Vec<Expr>,
    /// Written with `=`.
    pub is_assign: bool,
    /// All of it.
    pub span: Span,
}

/// `test "name" { simulate …  expect … }`
#[derive(Clone, Debug)]
pub struct Test {
    /// The string.
    pub name: String,
    /// Where the string stands.
    pub name_span: Span,
    /// The simulation, or what is drawn.
    pub job: Option<Job>,
    /// What must hold.
    pub expects: Vec<Expect>,
}

/// `expect a == b`, `expect a within 1 % of b`
#[derive(Clone, Debug)]
pub struct Expect {
    /// Left side; for a plain comparison the whole comparison is here and `of` is none.
    pub value: Expr,
    /// The tolerance.
    pub within: Option<Expr>,
    /// The expected value.
    pub of: Option<Expr>,
    /// All of it.
    pub span: Span,
}
