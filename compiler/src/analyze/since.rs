//! `since(y.v, 100)`: what a value would be if the presentation had begun at step 100; in records and reports. What it computes is in
//! `lower::since`.

use super::builtin;
use super::context::{Cx, is_poison, poison};
use super::scope::{Place, Scope};
use super::unit;
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind, Job, constant};
use crate::source::Span;

/// The value of a call.
pub(super) fn call<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let place = scope.place;
    let given = builtin::arguments(cx, scope, "since", &["x", "start"], &[], args, span);
    let Some([value, start]) = given.and_then(|values| <[Expr; 2]>::try_from(values).ok()) else {
        return poison(span);
    };
    let start = unit::plain(cx, start, "the step at which a presentation begins");
    if is_poison(&value) || is_poison(&start) || place == Place::Unknown {
        return poison(span);
    }
    if place != Place::Job {
        misplaced(cx, span, place.words());
        return poison(span);
    }
    match constant::eval_free(&start).filter(|at| *at >= 0.0 && at.fract() == 0.0 && *at < 1e9) {
        Some(at) => {
            let (unit, shape) = (value.unit, value.shape.clone());
            Expr { kind: ExprKind::Since(Box::new(value), at as usize), unit, shape, span }
        }
        None => {
            cx.report(Code::E0502, start.span, "the step at which a presentation begins is a whole number")
                .at("not such a number, or not known before a run")
                .help("write for example `since(y.v, 100)`; steps count from 0");
            poison(span)
        }
    }
}

fn misplaced(cx: &mut Cx, span: Span, place: &str) {
    cx.report(Code::E0309, span, format!("`since` has no value in {place}"))
        .at("only in records and reports")
        .help("report it in a simulation: `simulate M on d.test { report since(y.v, 100) }`");
}

/// Reports it in a loss: nothing is trained on two presentations at once.
pub(super) fn refuse(cx: &mut Cx, loss: &Expr) -> bool {
    let mut found = None;
    loss.for_each(&mut |e| found = found.or(matches!(e.kind, ExprKind::Since(..)).then_some(e.span)));
    if let Some(span) = found {
        misplaced(cx, span, "a loss");
    }
    found.is_some()
}

/// Reports presentations that would begin after the end of a job.
pub(super) fn check(cx: &mut Cx, job: &Job) {
    let mut late = Vec::new();
    job.results().for_each(|value| {
        // A function may begin it: what was written in the job is the whole value.
        value.for_each(&mut |e| match e.kind {
            ExprKind::Since(_, start) if start >= job.steps => late.push((value.span, start)),
            _ => {}
        });
    });
    for (span, start) in late {
        let title = format!("a presentation of {} steps has no step {start}", job.steps);
        cx.report(Code::E0502, span, title)
            .at("it would begin after the end")
            .note("steps count from 0")
            .help(format!("begin at most at {}, or give the job more steps", job.steps - 1));
    }
}
