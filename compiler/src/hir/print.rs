//! Text of HIR for people: `snnc emit --stage hir`, golden tests. Deterministic; not meant to be parsed.
//!
//! `p.v` is the state of a population of this step's list, `p.v after` the value that others read, `in.x` what arrives at
//! input `x`. All numbers are in SI units.

mod expr;
mod job;

use super::{
    Bounds, Init, Model, Param, Polarity, Population, Program, Projection, Running, Solver, Source, Stmt,
    StmtKind, Surrogate,
};
pub use expr::{expr, number};
pub use job::job;
use std::collections::BTreeSet;
use std::fmt::{self, Write};

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&program(self))
    }
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&model(self))
    }
}

/// The whole program: models, data, jobs, tests.
pub fn program(program: &Program) -> String {
    let mut parts: Vec<String> = program.models.iter().map(model).collect();
    parts.extend(program.data.iter().map(job::data));
    parts.extend(program.jobs.iter().map(|j| job::job(program, j)));
    parts.extend(program.tests.iter().map(|t| job::test(program, t)));
    parts.join("\n")
}

/// One model.
pub fn model(model: &Model) -> String {
    let names = Names::of_model(model);
    let mut out = format!("model {}\n", model.name);
    for input in &model.inputs {
        let stream = if input.stream { " stream" } else { "" };
        line(&mut out, 1, &format!("input {}: {}{stream}", input.name, axes(&input.shape)));
    }
    for param in &model.params {
        self::param(&mut out, param, &names);
    }
    for population in &model.populations {
        self::population(&mut out, model, population, &names);
    }
    for projection in &model.projections {
        line(&mut out, 1, &self::projection(model, projection, &names));
    }
    for output in &model.outputs {
        line(&mut out, 1, &format!("output {} = {}", output.name, expr(&output.value, &names)));
    }
    out
}

/// The names that ids stand for.
pub struct Names<'a> {
    model: Option<&'a Model>,
    locals: &'a [String],
    /// Names that several locals have.
    shared: BTreeSet<&'a str>,
}

/// Names that stand more than once in a list.
fn shared(names: &[String]) -> BTreeSet<&str> {
    let mut seen = BTreeSet::new();
    names.iter().map(String::as_str).filter(|name| !seen.insert(*name)).collect()
}

impl<'a> Names<'a> {
    /// Names of a model.
    pub fn of_model(model: &'a Model) -> Names<'a> {
        Names { model: Some(model), locals: &model.locals, shared: shared(&model.locals) }
    }

    /// Names of an optimizer, which has locals only.
    pub fn of_locals(locals: &'a [String]) -> Names<'a> {
        Names { model: None, locals, shared: shared(locals) }
    }

    /// The name of a local; with its number where another local has the same name.
    fn local(&self, id: super::LocalId) -> String {
        match self.locals.get(id.idx()) {
            Some(name) if !self.shared.contains(name.as_str()) => name.clone(),
            Some(name) => format!("{name}@{}", id.0),
            None => format!("local{}", id.0),
        }
    }
}

fn line(out: &mut String, depth: usize, text: &str) {
    let _ = writeln!(out, "{:width$}{text}", "", width = 4 * depth);
}

/// `[8, 8]`, and nothing for one number.
fn axes(shape: &[usize]) -> String {
    if shape.is_empty() { String::new() } else { format!("{shape:?}") }
}

/// ` >= 0`, ` in [0, 1]`, or nothing.
fn bounds(bounds: Bounds) -> String {
    match (bounds.low.is_finite(), bounds.high.is_finite()) {
        (true, true) => format!(" in [{}, {}]", number(bounds.low), number(bounds.high)),
        (true, false) => format!(" >= {}", number(bounds.low)),
        (false, true) => format!(" <= {}", number(bounds.high)),
        (false, false) => String::new(),
    }
}

fn unit(unit: super::Unit) -> String {
    unit.dimension_name().map_or_else(|| unit.symbol(), String::from)
}

fn param(out: &mut String, param: &Param, names: &Names) {
    let Init { text, value, support, .. } = &param.init;
    let word = if param.trained { "learn" } else { "param" };
    let (kind, shape) = (unit(param.unit), axes(&param.shape));
    let keep = param.keep.as_ref().map_or(String::new(), |keep| format!(" keep {}", keep.text));
    line(out, 1, &format!("{word} {}: {kind}{shape}{}{keep} = {text}", param.name, bounds(param.bounds)));
    let value = expr(value, names);
    if value != *text {
        line(out, 2, &format!("each {value}"));
    }
    let mut facts = param.init.effects();
    let range = bounds(*support);
    if !range.is_empty() && support.low != support.high {
        facts.push(format!("values{range}"));
    }
    if !facts.is_empty() {
        line(out, 2, &facts.join(", "));
    }
}

fn population(out: &mut String, model: &Model, population: &Population, names: &Names) {
    let polarity = match population.polarity {
        Polarity::Mixed => "",
        Polarity::Excitatory => " excitatory",
        Polarity::Inhibitory => " inhibitory",
    };
    let shape = axes(&population.shape);
    line(out, 1, &format!("population {}{shape}{polarity}: {}", population.name, population.neuron));
    for port in &population.ports {
        let origin = if port.driven { "" } else { " (default)" };
        let value = expr(&port.value, names);
        line(out, 2, &format!("input {}: {} = {value}{origin}", port.name, unit(port.unit)));
    }
    for state in population.states.iter().filter_map(|id| model.states.get(id.idx())) {
        let init = expr(&state.init, names);
        line(out, 2, &format!("state {}: {}{shape} = {init}", state.name, unit(state.unit)));
    }
    line(out, 2, "step");
    for stmt in &population.body {
        self::stmt(out, model, stmt, names);
    }
    if let Some(refractory) = &population.refractory {
        let held: Vec<_> = refractory.holding.iter().map(|id| state_name(model, *id)).collect();
        let duration = expr(&refractory.duration, names);
        line(out, 2, &format!("refractory {duration} holding {}", held.join(", ")));
    }
    line(out, 2, &format!("emit {}", expr(&population.emit, names)));
    for Running { param, value, momentum } in &population.running {
        let name = model.params.get(param.idx()).map_or("?", |param| &param.name);
        let (value, momentum) = (expr(value, names), number(*momentum));
        line(out, 2, &format!("running {name} = {value}, momentum {momentum}"));
    }
}

fn state_name(model: &Model, id: super::StateId) -> String {
    model.states.get(id.idx()).map_or_else(|| format!("state{}", id.0), |state| state.name.clone())
}

fn stmt(out: &mut String, model: &Model, stmt: &Stmt, names: &Names) {
    match &stmt.kind {
        StmtKind::Let(local, value) => {
            line(out, 3, &format!("let {} = {}", names.local(*local), expr(value, names)));
        }
        StmtKind::Assign { state, value, is_reset } => {
            let word = if *is_reset { "reset " } else { "" };
            line(out, 3, &format!("{word}{} = {}", state_name(model, *state), expr(value, names)));
        }
        StmtKind::Integrate { solver, equations } => {
            line(out, 3, &format!("integrate {}", solver_name(*solver)));
            for (state, value) in equations {
                line(out, 4, &format!("{}' = {}", state_name(model, *state), expr(value, names)));
            }
        }
        StmtKind::Fire { above, below, strict, surrogate } => {
            let diff = super::difference(above, below.as_ref());
            let sign = if *strict { ">" } else { ">=" };
            let with = surrogate.as_ref().map_or(String::new(), |s| format!(" with {}", s.text));
            line(out, 3, &format!("fire {} {sign} 0{with}", expr(&diff, names)));
            if let Some(surrogate) = surrogate {
                self::surrogate(out, surrogate, names);
            }
        }
    }
}

fn surrogate(out: &mut String, surrogate: &Surrogate, names: &Names) {
    let x = names.local(surrogate.x);
    line(out, 4, &format!("derivative({x}) = {}", expr(&surrogate.derivative, names)));
    if let Some(primitive) = &surrogate.primitive {
        line(out, 4, &format!("primitive({x}) = {}", expr(primitive, names)));
    }
}

/// The word of a solver in the language.
pub fn solver_name(solver: Solver) -> &'static str {
    match solver {
        Solver::Exact => "exact",
        Solver::ExponentialEuler => "exponential_euler",
        Solver::Euler => "euler",
        Solver::Rk4 => "rk4",
    }
}

fn projection(model: &Model, projection: &Projection, names: &Names) -> String {
    let target = model.populations.get(projection.target.idx());
    let port = target.and_then(|p| p.ports.get(projection.port)).map_or("?", |port| &port.name);
    let source = match projection.source {
        Source::Input(id) => model.inputs.get(id.idx()).map_or("?", |input| &input.name),
        Source::Population(id) => model.populations.get(id.idx()).map_or("?", |p| &p.name),
    };
    let weight = projection.weight.and_then(|id| model.params.get(id.idx()));
    let weight = weight.map_or(String::new(), |param| format!(", weight {}", param.name));
    let target = target.map_or("?", |p| &p.name);
    let delay = expr(&projection.delay, names);
    let over =
        projection.over.map_or(String::new(), |over| format!(" {}", crate::step::print::windows(&over)));
    format!("projection {source} -> {target}.{port}: {}{over}{weight}, delay {delay}", projection.kind)
}
