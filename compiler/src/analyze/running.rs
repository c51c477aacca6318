//! `param m: neuron = running(v)`: a parameter of a neuron that follows what a value is at the end of presentations. What it computes is in
//! `lower::running`.

use super::context::{Cx, Draw, is_poison, poison};
use super::declare::Decl;
use super::scope::{Found, Place, Scope, lookup};
use super::{expr, init, norm, pointwise, unit};
use crate::ast::{self, NeuronItem};
use crate::diag::Code;
use crate::hir::{self, ParamId, PopId, Running};
use crate::source::Span;

/// The name of the function.
pub(super) const NAME: &str = "running";

const PARAMS: &[&str] = &["x", "momentum", "first"];

/// The arguments, if a parameter of a neuron is declared like that.
fn of<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, learn: &'a ast::Learn) -> Option<&'a [ast::Arg]> {
    let ast::ExprKind::Call { callee, args } = &learn.init.kind else { return None };
    let found = lookup(cx, scope, callee);
    (learn.fixed && matches!(found, Some(Found::Decl(Decl::Builtin(NAME))))).then_some(args)
}

/// A message where it is not the value of a parameter.
pub(super) fn misplaced(cx: &mut Cx, scope: &Scope, span: Span) -> hir::Expr {
    if scope.place != Place::Unknown {
        cx.report(Code::E0309, span, "`running` is the value of a parameter of a neuron, and stands alone")
            .at("no parameter has this value")
            .note("it is a tensor of its own, which keeps what it is from batch to batch")
            .help("declare it in the neuron: `param m: neuron = running(v)`, and read `m`");
    }
    poison(span)
}

/// What such a parameter starts with, in place of its value; none if it is declared otherwise.
pub(super) fn first<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    learn: &'a ast::Learn,
    draw: &Draw,
) -> Option<hir::Init> {
    let args = of(cx, scope, learn)?;
    let (span, zero) = (learn.init.span, |span| init::of_number(0.0, "0", span));
    if learn.constraint.is_some() {
        cx.report(Code::E0301, span, "a running mean has no bounds of its own")
            .at("it follows its value")
            .help(format!("bound it where it is read: `max({}, 0)`", learn.name.text));
    }
    let Some(given) = norm::arguments(cx, NAME, PARAMS, args, span) else { return Some(zero(span)) };
    Some(match given[2] {
        Some(e) => init::first_value(cx, scope, e, draw.clone()),
        None => zero(span),
    })
}

/// Adds the values that such parameters of a population follow, as they are at the end of its step.
pub(super) fn values<'a>(cx: &mut Cx<'a>, pop: PopId, scope: &mut Scope<'a>, neuron: &'a ast::Neuron) {
    for item in &neuron.items {
        let NeuronItem::Learn(learn) = item else { continue };
        let Some(args) = of(cx, scope, learn) else { continue };
        let before = cx.diags.list.len();
        let Some(given) = norm::arguments(cx, NAME, PARAMS, args, learn.init.span) else { continue };
        let momentum = norm::constant(cx, scope, "momentum", given[1], 0.1, 1.0);
        let name = format!("{}.{}", cx.model.populations[pop.idx()].name, learn.name.text);
        let param = cx.model.params.iter().position(|param| param.name == name);
        // What was wrong with the arguments was said when the parameter was declared.
        let (Some(e), Some(momentum), Some(param)) = (given[0], momentum, param) else { continue };
        let value = expr::elaborate(cx, scope, e);
        let value = follows(cx, pop, value, (param, learn.name.span));
        if let Some(value) = value.filter(|_| cx.diags.list.len() == before) {
            let running = Running { param: ParamId(param as u32), value, momentum };
            cx.model.populations[pop.idx()].running.push(running);
        }
    }
}

/// The value if it has the unit of its parameter, and the size of the population; none after a message.
fn follows(cx: &mut Cx, pop: PopId, value: hir::Expr, (param, declared): (usize, Span)) -> Option<hir::Expr> {
    if is_poison(&value) {
        return None;
    }
    let (of, first) = (value.unit, &cx.model.params[param]);
    let (name, wanted) = (first.name.clone(), first.unit);
    let shape = cx.model.populations[pop.idx()].shape.clone();
    let value = unit::expect(cx, value, wanted, &name, declared);
    if is_poison(&value) {
        if let Some(message) = cx.diags.list.last_mut() {
            message.help(format!("say with what it starts: `first = 0 {}`", of.symbol()));
        }
        return None;
    }
    let found = value.shape.clone();
    let (span, value) = (value.span, pointwise::fit(value, &shape));
    if value.is_none() {
        cx.report(Code::E0501, span, format!("sizes {found:?} and {shape:?} do not fit"))
            .at("not one value for each neuron");
    }
    value
}
