//! W0702: nothing reads a population.
//!
//! Rule: another population, an output or a job reads every population. Why: it costs time and changes nothing; usually a
//! projection is missing or starts elsewhere. Fix: a projection from it, an `output`, a `record`; or leave it out.

use super::is_one;
use crate::diag::{Code, Diagnostics};
use crate::hir::{Expr, ExprKind, Job, Model, Program};
use std::collections::BTreeSet;

pub(super) fn check(_: &Program, model: &Model, jobs: &[&Job], diags: &mut Diagnostics) {
    if is_one(model) {
        return;
    }
    let read = read_populations(model, jobs);
    for (at, population) in model.populations.iter().enumerate() {
        if read.contains(&at) {
            continue;
        }
        let name = &population.name;
        diags
            .report(Code::W0702, population.span, format!("nothing reads population `{name}`"))
            .at("no projection starts here")
            .note("no other population, output, loss, record or report uses it")
            .help(format!("add a projection from it, `output {name}`, or leave it out"));
    }
}

fn read_populations(model: &Model, jobs: &[&Job]) -> BTreeSet<usize> {
    let mut read = BTreeSet::new();
    for (at, population) in model.populations.iter().enumerate() {
        for port in &population.ports {
            let mut sources = BTreeSet::new();
            add(&port.value, &mut sources);
            // That it reads itself does not make it useful.
            sources.remove(&at);
            read.extend(sources);
        }
    }
    model.outputs.iter().for_each(|output| add(&output.value, &mut read));
    model.params.iter().for_each(|param| add(&param.init.value, &mut read));
    for job in jobs {
        job.loss.iter().chain(job.results()).for_each(|value| add(value, &mut read));
    }
    read
}

fn add(expr: &Expr, read: &mut BTreeSet<usize>) {
    expr.for_each(&mut |e| {
        if let ExprKind::Emit(p) | ExprKind::Trace(p, _) = &e.kind {
            read.insert(p.idx());
        }
    });
}
