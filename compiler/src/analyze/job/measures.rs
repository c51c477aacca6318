//! Numbers of spikes that jobs report: `count(h)` is the number of spikes of a presentation, `rate(h)` (written out by `expr`) their
//! mean number for each neuron and second; `rate` and `count` alone are those of all spiking neurons.

use super::super::context::{Cx, leaf, number};
use super::super::declare::Decl;
use super::super::scope::{self, Found, Place, Scope};
use crate::ast::{self, ExprKind};
use crate::diag::Code;
use crate::hir::{self, Expr, Over, PopId, ReduceOp, Unit};
use crate::source::Span;
use crate::step::ops::{Fold, Pw};

/// The value of `rate`, `count` or `count(h)`; none if the expression is none of them, or if they are declared as something else.
/// In the current model. The inner value is none after a message.
pub(super) fn measure<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<Option<Expr>> {
    let (path, args) = match &expr.kind {
        ExprKind::Name(path) => (path, None),
        ExprKind::Call { callee, args } => (callee, Some(args)),
        _ => return None,
    };
    let [word] = path.segments.as_slice() else { return None };
    let is_rate = word.text == "rate";
    if !is_rate && word.text != "count" {
        return None;
    }
    let found = scope::lookup(cx, &mut Scope::of_model(Place::Job), path);
    let is_free = matches!(found, None | Some(Found::Decl(Decl::Builtin(_))));
    match args {
        _ if !is_free => None,
        None => Some(of_all(cx, is_rate, expr.span)),
        Some(_) if is_rate => None,
        Some(args) => Some(count(cx, args, expr.span)),
    }
}

/// `count(h)`
fn count<'a>(cx: &mut Cx<'a>, args: &'a [ast::Arg], span: Span) -> Option<Expr> {
    let [ast::Arg { name: None, value }] = args else {
        cx.report(Code::E0304, span, "`count` is of one population")
            .at("one population is wanted")
            .help("write `report count(h)`, or `report count(e), count(i)`");
        return None;
    };
    let pop = population(cx, value)?;
    let fired = fired(cx, pop, value.span)?;
    Some(fold(Fold::Sum, fold(Fold::Sum, fired, Over::Population), Over::Time))
}

/// The population that an argument names; none after a message.
pub(super) fn population<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<PopId> {
    if let ExprKind::Name(path) = &expr.kind {
        return scope::population(cx, &mut Scope::of_model(Place::Job), path);
    }
    cx.report(Code::E0301, expr.span, "this is not a population")
        .at("a population is wanted here")
        .help("name a population of the model, for example `spikes(h)`");
    None
}

/// The spikes of a population; none after a message that it has none.
pub(super) fn fired(cx: &mut Cx, pop: PopId, span: Span) -> Option<Expr> {
    let found = scope::find_trace(cx, pop, "fired", span);
    if found.is_none() {
        let population = &cx.model.populations[pop.idx()];
        let (name, declared) = (population.name.clone(), population.span);
        cx.report(Code::E0307, span, format!("population `{name}` has no spikes"))
            .at("it does not fire")
            .label(declared, "declared here")
            .help("its neuron has no `fire`; record or report a state instead");
    }
    found
}

/// The measure of all populations that fire.
fn of_all(cx: &mut Cx, is_rate: bool, span: Span) -> Option<Expr> {
    let firing: Vec<usize> =
        (0..cx.model.populations.len()).filter(|at| cx.model.populations[*at].fires).collect();
    let neurons: usize =
        firing.iter().map(|at| cx.model.populations[*at].shape.iter().product::<usize>()).sum();
    let mut sum: Option<Expr> = None;
    for at in firing {
        let fired = fired(cx, PopId(at as u32), span)?;
        let spikes = fold(Fold::Sum, fold(Fold::Sum, fired, Over::Population), Over::Time);
        sum = Some(match sum {
            None => spikes,
            Some(sum) => pointwise(Pw::Add, sum, spikes, Unit::NONE),
        });
    }
    let Some(sum) = sum else {
        cx.report(Code::E0307, span, "no population of this model fires")
            .at("there are no spikes to count")
            .help("use a spiking neuron, for example `Lif`, or report a state: `report mean(y.v)`");
        return None;
    };
    if !is_rate {
        return Some(sum);
    }
    let steps = leaf(hir::ExprKind::Steps, Unit::NONE, span);
    let dt = leaf(hir::ExprKind::Dt, Unit::TIME, span);
    let per_neuron = pointwise(Pw::Div, sum, number(neurons as f64, span), Unit::NONE);
    let seconds = pointwise(Pw::Mul, steps, dt, Unit::TIME);
    Some(pointwise(Pw::Div, per_neuron, seconds, Unit::RATE))
}

fn fold(fold: Fold, value: Expr, over: Over) -> Expr {
    let (unit, span) = (value.unit, value.span);
    let shape = if over == Over::Population { Vec::new() } else { value.shape.clone() };
    let kind = hir::ExprKind::Reduce { op: ReduceOp::Fold(fold), over, value: Box::new(value) };
    Expr { kind, unit, shape, span }
}

/// An operation on two numbers without index axes.
fn pointwise(op: Pw, a: Expr, b: Expr, unit: Unit) -> Expr {
    let span = a.span;
    leaf(hir::ExprKind::Pointwise(op, vec![a, b]), unit, span)
}
