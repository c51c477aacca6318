//! What only a training has: epochs, gradient, optimizer, clipping, early stop. What happens to its images is in `augment`.

use super::super::context::Cx;
use super::settings::{self, Settings};
use super::{augment, optimizer};
use crate::ast::{self, ExprKind};
use crate::diag::{Code, suggest};
use crate::hir::{ModelId, TrainSettings};
use crate::source::Span;

/// Least improvement of the test loss that counts, where `early_stop` does not say.
const LEAST_IMPROVEMENT: f64 = 1e-4;

/// The settings of a training, with their defaults.
pub(super) fn settings<'a>(
    cx: &mut Cx<'a>,
    given: &Settings<'a>,
    model: ModelId,
    steps: usize,
    job: Span,
) -> Option<TrainSettings> {
    let epochs = match given.one(cx, "epochs") {
        Some(expr) => settings::size(cx, expr, "the number of epochs"),
        None => Some(10),
    };
    let window = match given.one(cx, "gradient") {
        Some(expr) => gradient(cx, expr, steps),
        None => Some(None),
    };
    let optimizer = match given.one(cx, "optimizer") {
        Some(expr) => optimizer::optimizer(cx, expr, model),
        None => optimizer::default(cx, job, model),
    };
    let clip = match given.one(cx, "clip") {
        Some(expr) => clip(cx, expr).map(Some),
        None => Some(None),
    };
    let early_stop = match given.one(cx, "early_stop") {
        Some(expr) => early_stop(cx, expr).map(Some),
        None => Some(None),
    };
    let augment = match given.find("augment") {
        Some(setting) => augment::changes(cx, setting, model),
        None => Some(Vec::new()),
    };
    let carried = match given.one(cx, "states") {
        Some(expr) => states(cx, expr),
        None => Some(false),
    };
    Some(TrainSettings {
        epochs: epochs?,
        window: window?,
        optimizer: optimizer?,
        clip: clip?,
        early_stop: early_stop?,
        augment: augment?,
        carried: carried?,
    })
}

/// A word with arguments: `bptt`, `tbptt(10)`.
pub(super) fn call(expr: &ast::Expr) -> Option<(&str, &[ast::Arg])> {
    match &expr.kind {
        ExprKind::Name(path) if path.segments.len() == 1 => Some((&path.segments[0].text, &[])),
        ExprKind::Call { callee, args } if callee.segments.len() == 1 => {
            Some((&callee.segments[0].text, args))
        }
        _ => None,
    }
}

/// The window of truncated backpropagation; none for the whole presentation.
fn gradient<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, steps: usize) -> Option<Option<usize>> {
    match call(expr) {
        Some(("bptt", [])) => Some(None),
        Some(("tbptt", [window])) => self::window(cx, &window.value).map(|w| (w < steps).then_some(w)),
        Some(("tbptt", _)) => {
            cx.report(
                Code::E0803,
                expr.span,
                "`tbptt` needs one number: how many steps the gradient reaches back",
            )
            .at("the window is missing")
            .help("write `gradient tbptt(10)`");
            None
        }
        other => {
            let name = other.map_or("", |(name, _)| name);
            let near = suggest::closest(name, ["bptt", "tbptt"]);
            cx.report(Code::E0802, expr.span, "unknown gradient method")
                .at("not a method")
                .note("`bptt` goes back through all steps, `tbptt(n)` through `n` steps")
                .help(match near {
                    Some("tbptt") => "did you mean `tbptt(10)`?".to_string(),
                    _ => "write `gradient bptt`".to_string(),
                });
            None
        }
    }
}

/// Whether states go on from batch to batch.
fn states(cx: &mut Cx, expr: &ast::Expr) -> Option<bool> {
    match call(expr) {
        Some(("fresh", [])) => Some(false),
        Some(("carried", [])) => Some(true),
        _ => {
            cx.report(Code::E0201, expr.span, "`states` are `fresh` or `carried`")
                .at("neither of them")
                .note("`fresh`: every presentation starts with their first values; `carried`: with what the batch before ended with")
                .help("write `states carried`, or leave it out");
            None
        }
    }
}

fn window<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<usize> {
    let value = settings::number(cx, expr, "the window of `tbptt`")?;
    if value >= 1.0 && value.fract() == 0.0 && value <= f64::from(u32::MAX) {
        return Some(value as usize);
    }
    cx.report(Code::E0803, expr.span, "the window of `tbptt` is a whole number of at least 1")
        .at(format!("this is {}", crate::hir::print::number(value)))
        .note("it is the number of steps that the gradient reaches back")
        .help("write `gradient tbptt(10)`, or `gradient bptt` for all steps");
    None
}

fn clip<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<f64> {
    let value = settings::number(cx, expr, "the norm to clip at")?;
    if value > 0.0 {
        return Some(value);
    }
    cx.report(Code::E0502, expr.span, "the norm to clip at must be above 0")
        .at(format!("this is {}", crate::hir::print::number(value)))
        .note("gradients of a larger norm are scaled down to it; 0 would stop the training")
        .help("write for example `clip 1`, or leave it out");
    None
}

fn early_stop<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<(usize, f64)> {
    let Some(("early_stop", args)) = call(expr) else {
        cx.report(Code::E0301, expr.span, "`early_stop` takes its arguments in parentheses")
            .at("parentheses are missing")
            .help("write `early_stop(patience = 5)`");
        return None;
    };
    let (mut patience, mut least) = (None, LEAST_IMPROVEMENT);
    for (at, arg) in args.iter().enumerate() {
        let name = arg.name.as_ref().map_or(["patience", "least"][at.min(1)], |name| &name.text);
        match name {
            "patience" => patience = Some(settings::size(cx, &arg.value, "the patience")?),
            "least" => least = settings::number(cx, &arg.value, "the least improvement")?,
            other => {
                let near = suggest::closest(other, ["patience", "least"]).unwrap_or("patience");
                cx.report(Code::E0205, arg.value.span, format!("`early_stop` has no argument `{other}`"))
                    .at("unknown argument")
                    .note("its arguments are `patience` (epochs) and `least` (the improvement that counts)")
                    .help(format!("did you mean `{near}`?"));
                return None;
            }
        }
    }
    if patience.is_none() {
        cx.report(Code::E0303, expr.span, "`early_stop` needs the argument `patience`")
            .at("how many epochs to wait?")
            .help("write `early_stop(patience = 5)`");
    }
    Some((patience?, least))
}
