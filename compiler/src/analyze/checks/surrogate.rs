//! W0801: a spiking population without a surrogate is trained.
//!
//! Rule: in a model that is trained, `fire` names a surrogate. Why: a spike is a step function; its derivative is 0, so no
//! gradient reaches what comes before the spike, and the weights there stay as they were drawn. Fix: `fire v >= theta with atan`.

use crate::diag::{Code, Diagnostics};
use crate::hir::{Job, JobKind, Model, Population, Program, StmtKind};
use crate::source::Span;

pub(super) fn check(_: &Program, model: &Model, jobs: &[&Job], diags: &mut Diagnostics) {
    let Some(training) = jobs.iter().find(|job| job.kind == JobKind::Train) else { return };
    for population in &model.populations {
        let Some(span) = bare_fire(population) else { continue };
        diags
            .report(Code::W0801, span, format!("no gradient passes the spikes of `{}`", population.name))
            .at("this `fire` has no surrogate")
            .label(population.span, "this population uses it")
            .label(training.span, "trained here")
            .note("the derivative of a spike is 0: what comes before it does not learn")
            .help("name a surrogate: `fire … with atan`");
    }
}

fn bare_fire(population: &Population) -> Option<Span> {
    let is_bare = |kind: &StmtKind| matches!(kind, StmtKind::Fire { surrogate: None, .. });
    population.body.iter().find(|stmt| is_bare(&stmt.kind)).map(|stmt| stmt.span)
}
