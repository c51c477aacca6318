//! What names mean at a place of the program: scopes of values, states, rules, populations, and the names of the language.
//!
//! How other parts of the analysis use this:
//! - [`Scope::new`] with a [`Place`] that says what may be written there; [`Scope::add`] for each name.
//! - `expr::elaborate(cx, &mut scope, &e)` gives a `hir::Expr` with unit and shape (poison after a mistake that was reported).
//! - Expressions of a job: `cx.in_model(id, |cx| { let mut scope = Scope::of_model(Place::Job); … })`. A population `h` is what it
//!   emits; `h.v`, `h.fired`, `h.k` are values after the step; inputs, `target`, `epoch`, `epochs`, `progress` are known; reductions
//!   are over time unless told otherwise; functions of the file and the library are put in place. Locals go to that model.
//!   For `*.v`: `expr::each_population`. For `spikes(h)` and `h[0..5].v`: [`population`] and [`trace`].
//! - Expressions of an optimizer: `cx.with_own_locals(|cx| …)` with `Place::Update`; `w`, `g` and states are
//!   [`Meaning::Variable`]s, `k`, `epoch`, `epochs`, `progress` are known; `let`s are added as [`Meaning::Value`]s.
//! - Numbers that are known before the run: `Place::Constant` and `expr::constant`.
//! - Arguments: `args::bind`, then `args::add_params` for the scope of the body.
//! - Streams of random numbers: `cx.drawing(Draw { stream, shape, .. }, |cx| …)`.

use super::args::{Applied, Given};
use super::circuit;
use super::context::{Cx, is_poison, leaf, number, poison};
use super::declare::Decl;
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{AXES, Expr, ExprKind, LocalId, NeuronFact, PopId, StateId, StmtKind, TraceRef, Unit};
use crate::source::Span;
use crate::step::ops::Pw;
use snn_runtime::abi::Scalar;

/// Where an expression stands; decides what may be read there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// What is known before a run: sizes, arguments, `param`s of files. `dt` and `steps` are symbols.
    Constant,
    /// First values of states: also parameters of the population.
    Start,
    /// The step of a population.
    Step(PopId),
    /// Between populations: drives, outputs.
    Model,
    /// First values of parameters.
    Init,
    /// Surrogates and backward rules: their parameters and constants.
    Fragment,
    /// Losses, reports, records.
    Job,
    /// Update rules and their arguments.
    Update,
    /// A function that nothing calls: names are checked, values are not known.
    Unknown,
}

impl Place {
    /// The words after "in".
    pub fn words(self) -> &'static str {
        match self {
            Place::Constant => "a constant",
            Place::Start => "a first value",
            Place::Step(_) => "the step of a neuron",
            Place::Model => "a circuit or model",
            Place::Init => "an initializer",
            Place::Fragment => "a surrogate or backward rule",
            Place::Job => "a job",
            Place::Update => "an optimizer",
            Place::Unknown => "a function",
        }
    }
}

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Meaning<'a> {
    /// A value.
    Value(Expr),
    /// A state of the population whose step this is.
    State(StateId),
    /// A local that may be assigned (optimizers), with its unit and shape.
    Variable(LocalId, Unit, Vec<usize>),
    /// A reset rule, surrogate, function or neuron, with some of its arguments.
    Rule(Applied<'a>),
    /// A population.
    Population(PopId),
    /// An instance of a circuit: index into `Cx::levels`.
    Circuit(usize),
    /// A `let` of the step that was not reached yet.
    Later,
}

/// A name of a scope.
#[derive(Clone)]
pub(super) struct Name<'a> {
    /// The text.
    pub text: &'a str,
    /// What it stands for.
    pub meaning: Meaning<'a>,
    /// What it was declared as: `parameter`, `input`, `state`, `let`.
    pub role: &'static str,
    /// Where it was declared.
    pub span: Span,
}

/// The names that are visible.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    /// What may be read.
    pub place: Place,
    /// Names; later ones hide earlier ones.
    pub names: Vec<Name<'a>>,
    /// The circuit whose names are visible too.
    pub level: Option<usize>,
}

impl<'a> Scope<'a> {
    /// No names but those of the language and of declarations.
    pub fn new(place: Place) -> Scope<'a> {
        Scope { place, names: Vec::new(), level: None }
    }

    /// The names of the current model.
    pub fn of_model(place: Place) -> Scope<'a> {
        Scope { place, names: Vec::new(), level: Some(0) }
    }

    /// Adds a name.
    pub fn add(&mut self, text: &'a str, meaning: Meaning<'a>, role: &'static str, span: Span) {
        self.names.push(Name { text, meaning, role, span });
    }

    /// The name as it is visible now.
    pub fn find(&self, text: &str) -> Option<&Name<'a>> {
        self.names.iter().rev().find(|name| name.text == text)
    }

    /// Runs `f` at another place with the same names.
    pub fn at<R>(&mut self, place: Place, f: impl FnOnce(&mut Scope<'a>) -> R) -> R {
        let before = std::mem::replace(&mut self.place, place);
        let res = f(self);
        self.place = before;
        res
    }
}

/// What a path was found to be.
pub(super) enum Found<'a> {
    /// A name of the scope or of the circuit, with the segments after it.
    Name(Name<'a>, &'a [ast::Ident]),
    /// A name of the language with its value here.
    Language(Expr),
    /// A declaration.
    Decl(Decl<'a>),
}

/// What a path means; none after a message. Marks names as used.
pub(super) fn resolve<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, path: &'a ast::Path) -> Option<Found<'a>> {
    let found = lookup(cx, scope, path);
    if found.is_none() {
        unknown(cx, scope, path);
    }
    found
}

/// As [`resolve`], without a message.
pub(super) fn lookup<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, path: &'a ast::Path) -> Option<Found<'a>> {
    let (first, rest) = path.segments.split_first()?;
    if let (Some(id), "*") = (cx.every_weight, &first.text[..]) {
        let value = super::weights::starred(cx, id, rest, path.span).unwrap_or_else(|| poison(path.span));
        return Some(Found::Language(value));
    }
    if let (Some(pop), "*") = (cx.every, &first.text[..]) {
        let meaning = Meaning::Population(pop);
        return Some(Found::Name(Name { text: "*", meaning, role: "population", span: first.span }, rest));
    }
    let name = match scope.find(&first.text) {
        Some(name) => Some(name.clone()),
        None => scope.level.and_then(|level| circuit::find(cx, level, first)),
    };
    if let Some(name) = name {
        cx.used.insert(name.span);
        return Some(Found::Name(name, rest));
    }
    if scope.place == Place::Job
        && cx.model.name == super::job::ONE
        && rest.is_empty()
        && let Some(value) = find_trace(cx, PopId(0), &first.text, path.span)
    {
        // Jobs on `one(…)` name its only population's values without it, as tests do.
        return Some(Found::Language(value));
    }
    if let Some(decl) = cx.decls.in_file(path).filter(|_| cx.is_user(path.span.file)) {
        cx.used.insert(decl.name_span());
        return Some(declared(cx, decl));
    }
    if rest.is_empty() {
        if let Some(value) = of_language(cx, scope.place, &first.text, path.span) {
            return Some(Found::Language(value));
        }
        if let Some(decl) = Decl::builtin(&first.text) {
            return Some(Found::Decl(decl));
        }
    }
    let decl = cx.decls.in_file(path).or_else(|| cx.decls.in_library(path))?;
    cx.used.insert(decl.name_span());
    Some(Found::Decl(decl))
}

/// A declaration of the user's file; a `param` that names a rule is that rule, and one that was refused is poison.
fn declared<'a>(cx: &mut Cx<'a>, decl: Decl<'a>) -> Found<'a> {
    let Decl::Param(param) = decl else { return Found::Decl(decl) };
    let meaning = match super::param::value(cx, param) {
        Given::Rule(rule) => Meaning::Rule(rule),
        Given::Value(value) if is_poison(&value) => Meaning::Value(value),
        Given::Value(_) => return Found::Decl(decl),
    };
    let (text, span) = (&param.name.text[..], param.name.span);
    Found::Name(Name { text, meaning, role: "param", span }, &[])
}

/// The value of a name of the language; a message and poison if it has none at this place, none if there is no such name.
fn of_language(cx: &mut Cx, place: Place, name: &str, span: Span) -> Option<Expr> {
    let in_step = matches!(place, Place::Step(_) | Place::Model | Place::Job);
    let in_init = place == Place::Init;
    let in_job = matches!(place, Place::Job | Place::Update);
    let kind = match name {
        "pi" => return Some(number(std::f64::consts::PI, span)),
        "dt" => return Some(leaf(ExprKind::Dt, Unit::TIME, span)),
        "steps" => return Some(leaf(ExprKind::Steps, Unit::NONE, span)),
        "step_index" | "t" if in_step => ExprKind::StepIndex,
        "training" if in_step || place == Place::Start => ExprKind::Training,
        "fan_in" if in_init => ExprKind::Const(cx.draw.fan_in as f64),
        "fan_out" if in_init => ExprKind::Const(cx.draw.fan_out as f64),
        "n_out" if in_init => ExprKind::Const(cx.draw.shape.first().copied().unwrap_or(1) as f64),
        "n_in" if in_init => ExprKind::Const(cx.draw.shape.get(1).copied().unwrap_or(1) as f64),
        "kernel_height" if in_init => ExprKind::Const(cx.draw.shape.get(2).copied().unwrap_or(1) as f64),
        "kernel_width" if in_init => ExprKind::Const(cx.draw.shape.get(3).copied().unwrap_or(1) as f64),
        "groups" if in_init => ExprKind::Const(cx.draw.over.map_or(1, |over| over.groups) as f64),
        _ if in_init && AXES.contains(&name) => {
            let axis = AXES.iter().position(|known| *known == name).unwrap_or(0);
            return Some(index(cx, axis, span));
        }
        _ if in_init && NeuronFact::from_name(name).is_some() => {
            return super::whole::neuron_fact(cx, name, span);
        }
        "target" if place == Place::Job => {
            let shape = cx.model.outputs.first().map_or_else(Vec::new, |o| o.value.shape.clone());
            return Some(Expr { kind: ExprKind::Target, unit: Unit::NONE, shape, span });
        }
        "epoch" if in_job => ExprKind::Scalar(Scalar::Epoch),
        "epochs" if in_job => ExprKind::Scalar(Scalar::Epochs),
        "progress" if in_job => ExprKind::Scalar(Scalar::Progress),
        "k" if place == Place::Update => ExprKind::Scalar(Scalar::Update),
        _ if place == Place::Unknown && home(name).is_some() => return Some(poison(span)),
        _ => {
            let home = home(name)?;
            // `i`, `j` and `k` are ordinary names elsewhere: if nobody declared them they are unknown.
            if name.len() == 1 && name != "t" {
                return None;
            }
            cx.report(Code::E0309, span, format!("`{name}` has no value in {}", place.words()))
                .at(format!("only in {home}"));
            return Some(poison(span));
        }
    };
    let value = leaf(kind, Unit::NONE, span);
    if name == "t" {
        let dt = leaf(ExprKind::Dt, Unit::TIME, span);
        return Some(leaf(ExprKind::Pointwise(Pw::Mul, vec![value, dt]), Unit::TIME, span));
    }
    Some(value)
}

/// Where a name of the language has a value.
fn home(name: &str) -> Option<&'static str> {
    Some(match name {
        "t" | "step_index" | "training" => "steps, drives and jobs",
        "fan_in" | "fan_out" | "n_in" | "n_out" => "initializers",
        "kernel_height" | "kernel_width" => "initializers",
        _ if AXES.contains(&name) => "initializers",
        _ if NeuronFact::from_name(name).is_some() => "initializers of projections",
        "target" => "losses, metrics and reports",
        "epoch" | "epochs" | "progress" => "losses and optimizers",
        "k" => "optimizers",
        _ => return None,
    })
}

/// An index along an axis of the tensor of an initializer; 0 along one that it does not have.
fn index(cx: &Cx, axis: usize, span: Span) -> Expr {
    if axis >= cx.draw.shape.len() {
        return number(0.0, span);
    }
    Expr { kind: ExprKind::Iota(axis), unit: Unit::NONE, shape: cx.draw.shape.clone(), span }
}

/// The value of a path.
pub(super) fn value<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, path: &'a ast::Path) -> Expr {
    match resolve(cx, scope, path) {
        None => poison(path.span),
        Some(Found::Language(value)) => value,
        Some(Found::Decl(Decl::Param(param))) => Expr { span: path.span, ..super::param::number(cx, param) },
        Some(Found::Decl(decl @ Decl::Init(_))) if scope.place == Place::Init => {
            super::call::apply(cx, scope, Applied::new(decl, path.span), &[], path.span)
        }
        Some(Found::Decl(decl)) => {
            cx.wrong_kind(path.span, decl, "a number");
            poison(path.span)
        }
        Some(Found::Name(Name { meaning: Meaning::Rule(rule), .. }, []))
            if scope.place == Place::Init && matches!(rule.decl, Decl::Init(_)) =>
        {
            super::call::apply(cx, scope, rule, &[], path.span)
        }
        Some(Found::Name(name, rest)) => name_value(cx, scope.place, &name, rest, path.span),
    }
}

fn name_value<'a>(
    cx: &mut Cx<'a>,
    place: Place,
    name: &Name<'a>,
    rest: &'a [ast::Ident],
    span: Span,
) -> Expr {
    match (&name.meaning, rest) {
        (Meaning::Value(value), []) if place == Place::Init => at_first(cx, value, span),
        (Meaning::Value(value), []) => Expr { span, ..value.clone() },
        (Meaning::State(id), []) => state(cx, *id, span),
        (Meaning::Variable(id, unit, shape), []) => {
            Expr { kind: ExprKind::Local(*id), unit: *unit, shape: shape.clone(), span }
        }
        (Meaning::Later, _) => {
            cx.report(Code::E0204, span, format!("`{}` is used before its `let`", name.text))
                .at("not known yet")
                .label(name.span, "its `let` stands here")
                .note("a step is an ordered list: what is written first happens first")
                .help("move the `let` up, or use a state for a value of the step before");
            poison(span)
        }
        (Meaning::Rule(rule), []) => {
            cx.wrong_kind(span, rule.decl, "a number");
            poison(span)
        }
        (Meaning::Population(pop), _) => population_value(cx, place, *pop, rest, span),
        (Meaning::Circuit(level), _) => circuit::value(cx, *level, rest, place, span),
        (Meaning::Value(value), _) if is_poison(value) => poison(span),
        (_, [member, ..]) => {
            cx.report(Code::E0201, member.span, format!("`{}` has no parts", name.text))
                .at(format!("`{}` is {}", name.text, super::declare::article(name.role)))
                .label(name.span, "declared here");
            poison(span)
        }
    }
}

/// In an initializer a trained tensor stands for its first values, which its own initializer gives again, because streams of random numbers have
/// names. There are indices for matrices and for the axes of the tensor that gets values, and for no others.
fn at_first(cx: &mut Cx, value: &Expr, span: Span) -> Expr {
    let own = &value.shape;
    let first = match value.kind {
        ExprKind::Param(id) if own.len() == 2 || *own == cx.draw.shape => {
            cx.model.params[id.idx()].init.value.clone()
        }
        _ => value.clone(),
    };
    match first.shape.is_empty() && !own.is_empty() {
        true => super::whole::everywhere(cx, first, own.clone(), span),
        false => Expr { span, ..first },
    }
}

fn state(cx: &Cx, id: StateId, span: Span) -> Expr {
    let state = &cx.model.states[id.idx()];
    let shape = cx.model.populations[state.pop.idx()].shape.clone();
    Expr { kind: ExprKind::State(id), unit: state.unit, shape, span }
}

/// What a population emits, or one of its values after the step.
pub(super) fn population_value(
    cx: &mut Cx,
    place: Place,
    pop: PopId,
    rest: &[ast::Ident],
    span: Span,
) -> Expr {
    if !matches!(place, Place::Model | Place::Job | Place::Init | Place::Unknown) {
        let name = cx.model.populations[pop.idx()].name.clone();
        cx.report(Code::E0305, span, format!("population `{name}` has no value before a run"))
            .at("this changes at every step")
            .note(format!("it is used in {}", place.words()));
        return poison(span);
    }
    match rest {
        [] => emitted(cx, pop, span),
        [member] => trace(cx, pop, member).unwrap_or_else(|| poison(span)),
        [_, more, ..] => {
            cx.report(Code::E0201, more.span, "a value of a neuron has no parts").at("nothing of this name");
            poison(span)
        }
    }
}

/// What a population emits.
pub(super) fn emitted(cx: &Cx, pop: PopId, span: Span) -> Expr {
    let population = &cx.model.populations[pop.idx()];
    if is_poison(&population.emit) {
        return poison(span);
    }
    let (unit, shape) = (population.emit.unit, population.shape.clone());
    Expr { kind: ExprKind::Emit(pop), unit, shape, span }
}

/// `h.v`, `h.fired`, `h.k`: a value of a population after its step; none after a message.
pub(super) fn trace(cx: &mut Cx, pop: PopId, member: &ast::Ident) -> Option<Expr> {
    match find_trace(cx, pop, &member.text, member.span) {
        Some(value) => Some(value),
        None => {
            no_trace(cx, pop, member);
            None
        }
    }
}

/// As [`trace`], without a message.
pub(super) fn find_trace(cx: &mut Cx, pop: PopId, member: &str, span: Span) -> Option<Expr> {
    let population = &cx.model.populations[pop.idx()];
    let shape = population.shape.clone();
    if member == "fired" && population.fires {
        return Some(Expr { kind: ExprKind::Trace(pop, TraceRef::Fired), unit: Unit::NONE, shape, span });
    }
    let dotted = format!("{}.{member}", population.name);
    let states = population.states.iter().copied();
    if let Some(id) = states.into_iter().find(|id| cx.model.states[id.idx()].name == dotted) {
        let unit = cx.model.states[id.idx()].unit;
        return Some(Expr { kind: ExprKind::Trace(pop, TraceRef::State(id)), unit, shape, span });
    }
    let Some((_, local)) = population.named.iter().rev().find(|(name, _)| name == member).cloned() else {
        let above = population.body.iter().find_map(|stmt| match &stmt.kind {
            StmtKind::Fire { above, .. } if member == "at_fire" => Some(above),
            _ => None,
        })?;
        let (kind, unit) = (ExprKind::Trace(pop, TraceRef::AtFire), above.unit);
        return Some(Expr { kind, unit, shape, span });
    };
    let (value, at) = population.body.iter().find_map(|stmt| match &stmt.kind {
        StmtKind::Let(id, value) if *id == local => Some((value, stmt.span)),
        _ => None,
    })?;
    let value = Expr {
        kind: ExprKind::Trace(pop, TraceRef::Local(local)),
        unit: value.unit,
        shape: value.shape.clone(),
        span,
    };
    cx.used.insert(at);
    Some(value)
}

fn no_trace(cx: &mut Cx, pop: PopId, member: &ast::Ident) {
    let population = &cx.model.populations[pop.idx()];
    let (name, neuron, declared) = (population.name.clone(), population.neuron.clone(), population.span);
    let prefix = format!("{name}.");
    let states =
        population.states.iter().filter_map(|id| cx.model.states[id.idx()].name.strip_prefix(&prefix));
    let mut names: Vec<String> = states.map(String::from).collect();
    names.extend(population.named.iter().map(|(name, _)| name.clone()));
    if population.fires {
        names.extend(["fired", "at_fire"].map(String::from));
    }
    let is_port = population.ports.iter().any(|port| port.name == member.text);
    let near = closest(&member.text, names.iter().map(String::as_str)).map(String::from);
    let all = super::declare::list(names.iter().map(String::as_str));
    let title = format!("`{name}` has no value `{}`", member.text);
    let message = cx.report(Code::E0201, member.span, title);
    message.at(format!("not in neuron `{neuron}`")).label(declared, format!("`{name}` is declared here"));
    if is_port {
        message
            .note(format!("`{}` is an input; name what arrives in the neuron: `let a = {0}`", member.text));
    } else if matches!(&member.text[..], "fired" | "at_fire") {
        message.note(format!("neuron `{neuron}` does not fire"));
    }
    match near {
        Some(near) => message.help(format!("did you mean `{name}.{near}`?")),
        None if all.is_empty() => message.help(format!("what it emits is `{name}` itself")),
        None => message.help(format!("it has {all}")),
    };
}

/// The population that a path names; none after a message.
pub(super) fn population<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, path: &'a ast::Path) -> Option<PopId> {
    let value = value(cx, scope, path);
    match value.kind {
        ExprKind::Emit(pop) | ExprKind::Trace(pop, _) => Some(pop),
        _ if is_poison(&value) => None,
        _ => {
            cx.report(Code::E0301, path.span, format!("`{}` is not a population", cx.text(path.span)))
                .at("a population is wanted");
            None
        }
    }
}

/// Reports a name that means nothing.
fn unknown<'a>(cx: &mut Cx<'a>, scope: &Scope<'a>, path: &'a ast::Path) {
    let Some(first) = path.segments.first() else { return };
    if first.text == "*" {
        cx.report(Code::E0309, path.span, "`*` stands for every population, and one value is wanted here")
            .at("many values")
            .help("use it in `record` and `report`, or reduce it: `mean(…, over = layers)`");
        return;
    }
    if first.text == "fired" && matches!(scope.place, Place::Step(_)) {
        cx.report(Code::E0307, path.span, "`fired` in a neuron that does not fire")
            .at("there is no `fire`")
            .note("`fired` is 1 in the steps in which the comparison of `fire` holds")
            .help("add `fire v >= 1 with atan`");
        return;
    }
    let is_dotted = path.segments.len() > 1;
    let mut names: Vec<&str> = scope.names.iter().map(|name| name.text).collect();
    if let Some(level) = scope.level {
        names.extend(circuit::names(cx, level));
    }
    if !is_dotted {
        names.extend(cx.decls.names());
        names.extend(super::declare::POINTWISE.iter().chain(super::declare::SPECIAL).copied());
        names.extend(["dt", "t", "steps", "step_index", "training", "pi"]);
    }
    if scope.place == Place::Init {
        names.extend(NeuronFact::ALL.map(NeuronFact::name));
        names.extend(["fan_in", "fan_out", "n_in", "n_out"]);
    }
    let near = closest(&first.text, names).map(String::from);
    let explain = cx.decls.explain_path(path);
    let span = if near.is_some() || is_dotted { first.span } else { path.span };
    let message = cx.report(Code::E0201, span, format!("nothing is named `{}` here", first.text));
    message.at("unknown name");
    match (explain, near) {
        (Some(help), _) => message.help(help),
        (None, Some(near)) => message.help(format!("did you mean `{near}`?")),
        (None, None) => message.help("declare it, or check its spelling"),
    };
}
