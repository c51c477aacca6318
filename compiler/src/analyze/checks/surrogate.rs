//! W0801: a spiking population without a surrogate is trained.
//!
//! Rule: in a model that is trained, `fire` names a surrogate wherever something before it learns (an encoder of the input needs
//! none). Why: a spike is a step function; its derivative is 0, so no
//! gradient reaches what comes before the spike, and the weights there stay as they were drawn. Fix: `fire v >= theta with atan`.

use crate::diag::{Code, Diagnostics};
use crate::hir::{ExprKind, Job, JobKind, Model, Population, Program, StmtKind};
use crate::source::Span;

pub(super) fn check(_: &Program, model: &Model, jobs: &[&Job], diags: &mut Diagnostics) {
    let Some(training) = jobs.iter().find(|job| job.kind == JobKind::Train) else { return };
    for population in &model.populations {
        let Some(span) = bare_fire(population) else { continue };
        if !learns(model, population, &mut Vec::new()) {
            continue;
        }
        diags
            .report(Code::W0801, span, format!("no gradient passes the spikes of `{}`", population.name))
            .at("this `fire` has no surrogate")
            .label(population.span, "this population uses it")
            .label(training.span, "trained here")
            .note("the derivative of a spike is 0: what comes before it does not learn")
            .help("name a surrogate: `fire … with atan`");
    }
}

/// Whether a trained value, its own or one of a population before it, can change what a population does.
fn learns<'a>(model: &'a Model, population: &'a Population, seen: &mut Vec<&'a str>) -> bool {
    if seen.contains(&population.name.as_str()) {
        return false;
    }
    seen.push(&population.name);
    let ports = population.ports.iter().map(|port| &port.value);
    let mut parts = Vec::new();
    population.exprs().into_iter().chain(ports).for_each(|e| e.for_each(&mut |part| parts.push(part)));
    parts.into_iter().any(|part| match &part.kind {
        ExprKind::Param(param) => model.params[param.idx()].trained,
        ExprKind::Emit(pop) | ExprKind::Trace(pop, _) => learns(model, &model.populations[pop.idx()], seen),
        _ => false,
    })
}

fn bare_fire(population: &Population) -> Option<Span> {
    let is_bare = |kind: &StmtKind| matches!(kind, StmtKind::Fire { surrogate: None, .. });
    population.body.iter().find(|stmt| is_bare(&stmt.kind)).map(|stmt| stmt.span)
}
