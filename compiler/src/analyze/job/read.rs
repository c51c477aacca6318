//! What jobs read of a model: losses, reports, records, metrics.

use super::super::args::{Applied, Given};
use super::super::context::{Cx, Draw, is_poison};
use super::super::declare::Decl;
use super::super::scope::{self, Place, Scope};
use super::super::{call, expr, since};
use super::{measures, settings};
use crate::ast::{self, ExprKind, Ident};
use crate::diag::{Code, suggest};
use crate::hir::{self, ModelId, Over, PopId, Record, ReduceOp, Report};
use crate::source::Span;

/// Metrics that evaluation knows.
const METRICS: &[&str] = &["accuracy", "confusion", "rate", "sparsity", "synops"];

/// Runs `f` with the model as the current one, random numbers drawn from a stream of the job.
fn in_model<'a, R>(cx: &mut Cx<'a>, model: ModelId, f: impl FnOnce(&mut Cx<'a>) -> R) -> R {
    let draw = Draw { stream: "job".to_string(), ..Draw::default() };
    cx.in_model(model, |cx| cx.drawing(draw, f))
}

/// An expression of a job on a model; none after a message.
fn value<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Option<hir::Expr> {
    let value = in_model(cx, model, |cx| match measures::measure(cx, expr) {
        Some(measure) => measure,
        None => Some(expr::elaborate(cx, &mut Scope::of_model(Place::Job), expr)),
    });
    value.filter(|value| !is_poison(value))
}

/// The values of an expression with their names: one, or one for each population that a `*` stands for.
fn values<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Vec<(String, hir::Expr)> {
    let text = cx.text(expr.span);
    if !expr::is_starred(expr) {
        return value(cx, model, expr).map(|value| (text, value)).into_iter().collect();
    }
    let found: Vec<(String, hir::Expr)> = in_model(cx, model, |cx| {
        let each = expr::each_population(cx, &mut Scope::of_model(Place::Job), expr);
        let name = |pop: PopId| cx.model.populations[pop.idx()].name.clone();
        each.into_iter().map(|(pop, value)| (text.replace('*', &name(pop)), value)).collect()
    });
    if found.is_empty() {
        cx.report(Code::E0201, expr.span, format!("no population has the values of `{text}`"))
            .at("unknown in every population")
            .help("name a state of a neuron: `*.v`");
    }
    found.into_iter().filter(|(_, value)| !is_poison(value)).collect()
}

/// `loss`: one number for each sample; what is left of time is averaged when it is lowered.
pub(super) fn loss<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Option<hir::Expr> {
    let value = value(cx, model, expr)?;
    if since::refuse(cx, &value) {
        return None;
    }
    if !value.shape.is_empty() {
        let shape = &value.shape;
        cx.report(Code::E0805, expr.span, "a loss is one number for each sample")
            .at(format!("this has shape {shape:?}"))
            .note("one number for each neuron is left; a loss has none of the axes of a population")
            .help("reduce it: `mean(…, over = population)` or `sum(…, over = population)`");
        return None;
    }
    Some(value)
}

/// `cross_entropy(mean(output))` of the first output; none after a message.
pub(super) fn default_loss<'a>(cx: &mut Cx<'a>, model: ModelId, span: Span) -> Option<hir::Expr> {
    let name = Ident { text: "cross_entropy".to_string(), span: Span::NONE };
    let path = ast::Path { segments: vec![name], span: Span::NONE };
    let output = cx.program.models[model.idx()].outputs.first().map(|output| output.value.clone());
    let (Some(decl @ Decl::Fn(_)), Some(output)) = (cx.decls.in_library(&path), output) else {
        return None;
    };
    if is_poison(&output) {
        return None;
    }
    let (unit, shape) = (output.unit, output.shape.clone());
    let kind = hir::ExprKind::Reduce { op: ReduceOp::Mean, over: Over::Time, value: Box::new(output) };
    let mean = hir::Expr { kind, unit, shape, span };
    let mut rule = Applied::new(decl, span);
    if let Some(first) = rule.given.first_mut() {
        *first = Some(Given::Value(mean));
    }
    let value = in_model(cx, model, |cx| call::apply(cx, &mut Scope::of_model(Place::Job), rule, &[], span));
    (!is_poison(&value)).then_some(value)
}

/// `report e`: what is left of its axes is averaged.
pub(super) fn report<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Vec<Report> {
    values(cx, model, expr).into_iter().map(|(name, value)| Report { name, value }).collect()
}

/// `metric accuracy`
pub(super) fn metric(cx: &mut Cx, expr: &ast::Expr) -> Option<String> {
    let name = match &expr.kind {
        ExprKind::Name(path) if path.segments.len() == 1 => path.segments[0].text.as_str(),
        _ => "",
    };
    if METRICS.contains(&name) {
        return Some(name.to_string());
    }
    let near = suggest::closest(name, METRICS.iter().copied());
    let diagnostic = cx.report(Code::E0313, expr.span, "unknown metric");
    diagnostic.at("not a metric").note(format!("the metrics are {}", METRICS.join(", ")));
    diagnostic.help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => "other values can be had with `report`: `report mean(y.v)`".to_string(),
    });
    None
}

/// `record spikes(e, i)`, `record spikes` of `one(…)`, `record h.v`, `record h[0..5].v`, `record *.v`; several records for several populations.
pub(super) fn record<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Vec<Record> {
    match &expr.kind {
        ExprKind::Call { callee, args }
            if callee.segments.len() == 1 && callee.segments[0].text == "spikes" =>
        {
            args.iter().filter_map(|arg| spikes(cx, model, &arg.value)).collect()
        }
        ExprKind::Name(path)
            if path.segments.len() == 1
                && path.segments[0].text == "spikes"
                && cx.program.models[model.idx()].name == super::ONE =>
        {
            let value = in_model(cx, model, |cx| measures::fired(cx, hir::PopId(0), expr.span));
            let record = |value| Record { name: "spikes".to_string(), value, range: None, events: true };
            value.map(record).into_iter().collect()
        }
        ExprKind::Range { base, start, end, member } => {
            let range = Range { expr, base, start, end, member: member.as_ref() };
            self::range(cx, model, range).into_iter().collect()
        }
        _ => {
            let record = |(name, value)| Record { name, value, range: None, events: false };
            values(cx, model, expr).into_iter().map(record).collect()
        }
    }
}

/// Spikes of one population, saved as events.
fn spikes<'a>(cx: &mut Cx<'a>, model: ModelId, expr: &'a ast::Expr) -> Option<Record> {
    in_model(cx, model, |cx| {
        let pop = measures::population(cx, expr)?;
        let value = measures::fired(cx, pop, expr.span)?;
        let name = format!("{}.spikes", cx.model.populations[pop.idx()].name);
        Some(Record { name, value, range: None, events: true })
    })
}

/// The parts of `h[0..5].v`.
struct Range<'a> {
    expr: &'a ast::Expr,
    base: &'a ast::Path,
    start: &'a ast::Expr,
    end: &'a ast::Expr,
    member: Option<&'a Ident>,
}

fn range<'a>(cx: &mut Cx<'a>, model: ModelId, range: Range<'a>) -> Option<Record> {
    let value = in_model(cx, model, |cx| {
        let pop = scope::population(cx, &mut Scope::of_model(Place::Job), range.base)?;
        match range.member {
            Some(member) => scope::trace(cx, pop, member),
            None => Some(scope::emitted(cx, pop, range.base.span)),
        }
    });
    let value = value.filter(|value| !is_poison(value))?;
    let from = settings::count(cx, range.start, "the first index of a range", 0)?;
    let to = settings::count(cx, range.end, "the end of a range", 0)?;
    let count = value.shape.iter().product::<usize>();
    if from < to && to <= count as u64 {
        let name = cx.text(range.expr.span);
        return Some(Record { name, value, range: Some((from as usize, to as usize)), events: false });
    }
    let base = cx.text(range.base.span);
    let title = if from >= to { "this range is empty" } else { "this range goes beyond the end" };
    cx.report(Code::E0505, range.start.span.to(range.end.span), title)
        .at(format!("`{base}` has the indices 0..{count}"))
        .note("a range counts from 0 and leaves out its end")
        .help(format!("write for example `{base}[0..{}]`", count.min(5)));
    None
}
