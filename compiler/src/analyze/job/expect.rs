//! Expectations of tests: what is measured, how it is compared, with which numbers.

use super::super::context::Cx;
use super::super::scope::{self, Place, Scope};
use super::settings;
use crate::ast::{self, BinaryOp, ExprKind};
use crate::diag::{Code, suggest};
use crate::hir::constant::ConstEnv;
use crate::hir::{self, Compare, Expect, Job, Measure, TraceRef, Unit};

/// A side of a comparison with its unit; none if any unit will do (the number 0).
pub(super) struct Side {
    pub measure: Measure,
    pub unit: Option<Unit>,
}

/// Elaborates one expectation on the simulation of a test.
pub(super) fn expect<'a>(cx: &mut Cx<'a>, job: &Job, expect: &'a ast::Expect) -> Option<Expect> {
    compare(cx, job, expect, &mut |cx, e| side(cx, job, e), &mut settings::constant)
}

/// Elaborates one expectation; `side` says what a side means, `constant` what a tolerance is.
pub(super) fn compare<'a>(
    cx: &mut Cx<'a>,
    job: &Job,
    expect: &'a ast::Expect,
    side: &mut dyn FnMut(&mut Cx<'a>, &'a ast::Expr) -> Option<Side>,
    constant: &mut dyn FnMut(&mut Cx<'a>, &'a ast::Expr) -> Option<hir::Expr>,
) -> Option<Expect> {
    let (left, compare, right) = match (&expect.within, &expect.of) {
        (Some(within), Some(of)) => {
            let (left, right) = (side(cx, &expect.value), side(cx, of));
            let (left, right) = (left?, right?);
            let unit = common(cx, &left, &right, of)?;
            let amount = constant(cx, within)?;
            let compare = tolerance(cx, job, within, &amount, unit)?;
            (left, compare, right)
        }
        _ => {
            let (compare, a, b) = comparison(cx, expect)?;
            let (left, right) = (side(cx, a), side(cx, b));
            let (left, right) = (left?, right?);
            common(cx, &left, &right, b)?;
            (left, compare, right)
        }
    };
    lengths(cx, &left, &right, expect)?;
    Some(Expect { left: left.measure, compare, right: right.measure, span: expect.span })
}

fn comparison<'a>(
    cx: &mut Cx<'a>,
    expect: &'a ast::Expect,
) -> Option<(Compare, &'a ast::Expr, &'a ast::Expr)> {
    let ExprKind::Binary(op, a, b) = &expect.value.kind else {
        return not_a_comparison(cx, expect);
    };
    let compare = match op {
        BinaryOp::Eq => Compare::Eq,
        BinaryOp::Ne => Compare::Ne,
        BinaryOp::Lt => Compare::Lt,
        BinaryOp::Le => Compare::Le,
        BinaryOp::Gt => Compare::Gt,
        BinaryOp::Ge => Compare::Ge,
        _ => return not_a_comparison(cx, expect),
    };
    Some((compare, a, b))
}

fn not_a_comparison<T>(cx: &mut Cx, expect: &ast::Expect) -> Option<T> {
    let is_promise = cx.text(expect.span).starts_with("verify");
    let (word, help) = match is_promise {
        true => ("verify", "write `verify variance(w) within 5 % of 1 / fan_in` or `verify min(w) >= 0`"),
        false => ("expect", "write `expect rate within 1 % of 20 Hz`, `expect count == 3` or `expect v < 1`"),
    };
    cx.report(Code::E0301, expect.value.span, format!("`{word}` takes a comparison"))
        .at("nothing is compared here")
        .help(help);
    None
}

/// `1 %` is a share of the right side, anything else an absolute difference.
fn tolerance(
    cx: &mut Cx,
    job: &Job,
    expr: &ast::Expr,
    value: &hir::Expr,
    unit: Option<Unit>,
) -> Option<Compare> {
    let is_share = matches!(&expr.kind, ExprKind::Number { unit: Some(unit), .. } if unit.text == "%");
    if !is_share {
        settings::with_unit(cx, value, unit.unwrap_or(value.unit), "the tolerance")?;
    }
    let amount = settings::evaluate(cx, value, Some(&env(job)), "the tolerance")?;
    if amount >= 0.0 {
        return Some(if is_share { Compare::WithinShare(amount) } else { Compare::Within(amount) });
    }
    cx.report(Code::E0301, expr.span, "a tolerance cannot be negative")
        .at("this is below 0")
        .help("write for example `within 1e-6 of` or `within 1 % of`");
    None
}

fn env(job: &Job) -> ConstEnv {
    ConstEnv { dt: job.dt, steps: job.steps }
}

/// The unit of both sides.
fn common(cx: &mut Cx, left: &Side, right: &Side, at: &ast::Expr) -> Option<Option<Unit>> {
    match (left.unit, right.unit) {
        (Some(a), Some(b)) if a != b => {
            cx.report(Code::E0401, at.span, format!("a {a} is compared with a {b}"))
                .at(format!("this is a {b}"))
                .note("both sides of a comparison have the same unit")
                .help(match a.is_none() {
                    true => "compare with a number without unit".to_string(),
                    false => format!("write a unit: `1 {}`", a.symbol()),
                });
            None
        }
        (a, b) => Some(a.or(b)),
    }
}

/// Two lists have as many values as each other; a single number is compared with every value.
fn lengths(cx: &mut Cx, left: &Side, right: &Side, expect: &ast::Expect) -> Option<()> {
    let (Measure::Values(a), Measure::Values(b)) = (&left.measure, &right.measure) else { return Some(()) };
    if a.len() == b.len() || a.len() == 1 || b.len() == 1 {
        return Some(());
    }
    cx.report(Code::E0501, expect.span, "the lists differ in length")
        .at(format!("{} values and {} values", a.len(), b.len()))
        .help("write as many values on both sides");
    None
}

fn side<'a>(cx: &mut Cx<'a>, job: &Job, expr: &'a ast::Expr) -> Option<Side> {
    if let ExprKind::Name(path) = &expr.kind {
        let names: Vec<&str> = path.segments.iter().map(|segment| segment.text.as_str()).collect();
        let name = match names.as_slice() {
            [name] | [super::ONE, name] => Some(*name),
            _ => None,
        };
        if let Some(side) = name.and_then(|name| measure(cx, job, name)) {
            return Some(side);
        }
        let mut scope = Scope::new(Place::Constant);
        if names.len() == 1 && scope::lookup(cx, &mut scope, path).is_none() {
            return unknown(cx, job, names[0], expr);
        }
    }
    values(cx, job, expr)
}

/// What a test of `one` measures by this name.
fn measure(cx: &Cx, job: &Job, name: &str) -> Option<Side> {
    let known = |measure, unit| Some(Side { measure, unit: Some(unit) });
    let model = &cx.program.models[job.model.idx()];
    let population = model.populations.first()?;
    match name {
        "rate" => return known(Measure::Rate, Unit::RATE),
        "count" => return known(Measure::Count, Unit::NONE),
        "spikes" => return known(Measure::Spikes, Unit::NONE),
        "fired" => return known(Measure::Trace(TraceRef::Fired), Unit::NONE),
        _ => {}
    }
    let full = format!("{}.{name}", population.name);
    if let Some(id) = population.states.iter().find(|id| model.states[id.idx()].name == full) {
        return known(Measure::Trace(TraceRef::State(*id)), model.states[id.idx()].unit);
    }
    if name == "at_fire" && !population.named.iter().any(|(known, _)| known == name) {
        let above = population.body.iter().find_map(|stmt| match &stmt.kind {
            crate::hir::StmtKind::Fire { above, .. } => Some(above),
            _ => None,
        })?;
        return known(Measure::Trace(TraceRef::AtFire), above.unit);
    }
    let (_, local) = population.named.iter().find(|(known, _)| known == name)?;
    let value = population.body.iter().find_map(|stmt| match &stmt.kind {
        crate::hir::StmtKind::Let(id, value) if id == local => Some(value),
        _ => None,
    })?;
    known(Measure::Trace(TraceRef::Local(*local)), value.unit)
}

fn unknown<'a>(cx: &mut Cx<'a>, job: &Job, name: &str, expr: &ast::Expr) -> Option<Side> {
    let model = &cx.program.models[job.model.idx()];
    let mut all: Vec<String> = ["rate", "count", "spikes", "fired"].map(String::from).to_vec();
    if let Some(population) = model.populations.first() {
        let prefix = format!("{}.", population.name);
        let states = population.states.iter().map(|id| model.states[id.idx()].name.as_str());
        all.extend(states.filter_map(|state| state.strip_prefix(&prefix)).map(String::from));
        all.extend(population.named.iter().map(|(name, _)| name.clone()));
    }
    let near = suggest::closest(name, all.iter().map(String::as_str)).map(String::from);
    let diagnostic = cx.report(Code::E0201, expr.span, format!("a test of `one` has no value `{name}`"));
    diagnostic.at("unknown value").note(format!("it has {}", all.join(", ")));
    if let Some(near) = near {
        diagnostic.help(format!("did you mean `{near}`?"));
    }
    None
}

/// A constant or a list of constants.
pub(super) fn values<'a>(cx: &mut Cx<'a>, job: &Job, expr: &'a ast::Expr) -> Option<Side> {
    let items = match &expr.kind {
        ExprKind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(expr),
    };
    let mut unit = None;
    let mut numbers = Vec::new();
    for item in items {
        let value = settings::constant(cx, item)?;
        let number = settings::evaluate(cx, &value, Some(&env(job)), "an expected value")?;
        // A plain 0 has every unit.
        let is_free = number == 0.0 && value.unit.is_none();
        if let (Some(unit), false) = (unit, is_free) {
            settings::with_unit(cx, &value, unit, "this value")?;
        }
        if !is_free {
            unit = Some(value.unit);
        }
        numbers.push(number);
    }
    Some(Side { measure: Measure::Values(numbers), unit })
}
