//! `draw INIT for [post, pre]` (or `[out, in, height, width]`, a kernel) of a test: a tensor by itself with its first values, and expressions of them in expectations.

use super::super::context::{Cx, Draw, is_poison, poison};
use super::super::neuron::{self, Group};
use super::super::scope::{Meaning, Place, Scope};
use super::super::{expr, init};
use super::expect::{self, Side};
use super::settings::{self, Settings};
use super::{DRAW, ONE, clock, one, plain, promise};
use crate::ast::{self, ExprKind};
use crate::diag::Code;
use crate::hir::{self, Bounds, Expr, Job, LocalId, Measure, Polarity, PopId, Unit, constant};

/// Name of the first values in expectations, of their tensor and of its stream.
const W: &str = "w";

/// What a promise that names no axes is checked on: some 20000 weights, of which a variance is known within a few percent; not square, so
/// that receiving and sending neurons cannot be mistaken for each other.
const PROBE: [usize; 2] = [128, 160];

/// Builds a model with one tensor, and the job of its test. The local stands for the values.
pub(super) fn draw<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job, given: &Settings<'a>) -> Option<(Job, LocalId)> {
    let shape = shape(cx, decl)?;
    let clock = clock(cx, decl, given, None)?;
    let before = cx.begin_model(DRAW, decl.span);
    let into = decl.into.as_ref().and_then(|neuron| target(cx, neuron, shape[0]));
    let draw = Draw { into, ..draw_of(W, &shape) };
    let first = init::first_value(cx, &mut Scope::new(Place::Init), &decl.subject, draw);
    let param = hir::Param {
        name: W.to_string(),
        windows: shape.len() > 2,
        shape,
        unit: Unit::NONE,
        bounds: Bounds::NONE,
        keep: None,
        init: first,
        trained: true,
        span: decl.subject.span,
    };
    init::add_param(cx, param, None, None);
    let w = cx.fresh(W);
    let model = cx.finish_model(before);
    let job = plain(cx, decl, given, model, None, clock)?;
    Some((job, w))
}

fn draw_of(stream: &str, shape: &[usize]) -> Draw {
    let area = shape.iter().skip(2).product::<usize>();
    let (fan_in, fan_out) = (shape.get(1).copied().unwrap_or(1) * area, shape[0] * area);
    Draw { stream: stream.to_string(), shape: shape.to_vec(), fan_in, fan_out, ..Draw::default() }
}

/// `[n]`, `[post, pre]` or, of a convolution, `[out, in / groups, height, width]`
fn shape<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job) -> Option<Vec<usize>> {
    let Some(axes) = &decl.duration else { return Some(PROBE.to_vec()) };
    let ExprKind::List(items) = &axes.kind else { return None };
    if !matches!(items.len(), 1 | 2 | 4) {
        cx.report(Code::E0501, axes.span, "a tensor has one axis, two or four")
            .at(format!("{} axes", items.len()))
            .help("write `for [100, 50]`: receiving, sending neurons; of a convolution `for [8, 4, 3, 3]`: channels, height, width");
        return None;
    }
    items.iter().map(|axis| settings::size(cx, axis, "an axis")).collect()
}

/// The population of `n` neurons that receives, at its first input.
fn target<'a>(cx: &mut Cx<'a>, neuron: &'a ast::Expr, n: usize) -> Option<(PopId, usize)> {
    let (rule, args, _) = one::rule(cx, neuron)?;
    let group = Group { name: ONE.to_string(), shape: vec![n], polarity: Polarity::Mixed, span: neuron.span };
    let pop = neuron::populate(cx, &mut Scope::new(Place::Constant), rule, args, group);
    Some((pop, 0))
}

/// Elaborates one expectation about the first values.
pub(super) fn expect<'a>(
    cx: &mut Cx<'a>,
    job: &Job,
    names: Names<'a>,
    expect: &'a ast::Expect,
) -> Option<hir::Expect> {
    let mut constant = |cx: &mut Cx<'a>, e| {
        let value = cx.in_model(job.model, |cx| of_values(cx, names, e));
        (!is_poison(&value)).then_some(value)
    };
    expect::compare(cx, job, expect, &mut |cx, e| side(cx, job, names, e), &mut constant)
}

/// What an expectation knows beside the language: the first values, and parameters of the initializer whose promise it is.
type Names<'a> = (LocalId, Option<&'a ast::Init>);

/// A list of numbers, or an expression of `w`.
fn side<'a>(cx: &mut Cx<'a>, job: &Job, names: Names<'a>, e: &'a ast::Expr) -> Option<Side> {
    if matches!(e.kind, ExprKind::List(_)) {
        return expect::values(cx, job, e);
    }
    let value = cx.in_model(job.model, |cx| of_values(cx, names, e));
    if is_poison(&value) {
        return None;
    }
    let is_zero = value.unit.is_none() && constant::eval_free(&value) == Some(0.0);
    let unit = (!is_zero).then_some(value.unit);
    Some(Side { measure: Measure::Drawn(value), unit })
}

/// An expression as an initializer has them, in which the values have a name; nothing is drawn anew.
fn of_values<'a>(cx: &mut Cx<'a>, (w, init): Names<'a>, e: &'a ast::Expr) -> Expr {
    let Some(param) = cx.model.params.last() else { return poison(e.span) };
    let (shape, unit, span) = (param.shape.clone(), param.unit, param.span);
    let value = Expr { kind: hir::ExprKind::Local(w), unit, shape: shape.clone(), span };
    let mut scope = Scope::new(Place::Init);
    let into = (!cx.model.populations.is_empty()).then_some((PopId(0), 0));
    if let Some(init) = init {
        promise::name_params(cx, &mut scope, init, Draw { into, ..draw_of(W, &shape) });
    }
    scope.add(W, Meaning::Value(value), "first values", span);
    let draw = Draw { into, ..draw_of("", &shape) };
    let value = cx.drawing(draw, |cx| expr::elaborate(cx, &mut scope, e));
    if value.any(&mut |e| matches!(e.kind, hir::ExprKind::Random { .. })) {
        cx.report(Code::E0309, e.span, "a promise is about the values that were drawn")
            .at("this draws others")
            .help("write the number that is expected, for example `2 / fan_in`");
        return poison(e.span);
    }
    init::over_tensor(expr::fold(value))
}
