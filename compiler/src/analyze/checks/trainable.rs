//! E0801, E0804: a training that cannot change anything.
//!
//! Rules: a model that is trained has a `learn` or a projection that learns (E0804), and at least one of them reaches the loss
//! (E0801). Why: every gradient would be 0. Fix: `learn`, a `dense` projection without `weight` or `learn = false`; a loss
//! that reads the output of the network.

use crate::diag::{Code, Diagnostics};
use crate::hir::{Expr, ExprKind, Job, JobKind, Model, Program};
use std::collections::BTreeSet;

pub(super) fn check(_: &Program, model: &Model, jobs: &[&Job], diags: &mut Diagnostics) {
    for job in jobs.iter().filter(|job| job.kind == JobKind::Train) {
        let Some(loss) = &job.loss else { continue };
        if !model.params.iter().any(|param| param.trained) {
            nothing_to_learn(model, job, diags);
        } else if !reached(model, loss).into_iter().any(|p| model.params[p].trained) {
            diags
                .report(Code::E0801, loss.span, "the loss does not depend on anything that is trained")
                .at("reads nothing that learns")
                .label(model.span, format!("model `{}`", model.name))
                .note("every gradient would be 0, and the training would change nothing")
                .help("read an output that trained weights reach, for example `cross_entropy(mean(y.v))`");
        }
    }
}

fn nothing_to_learn(model: &Model, job: &Job, diags: &mut Diagnostics) {
    diags
        .report(Code::E0804, job.span, format!("model `{}` has nothing to learn", model.name))
        .at("this training would change nothing")
        .label(model.span, "no `learn`, and no projection that learns")
        .note("`one_to_one` projections, and `dense` with `weight` or `learn = false`, are fixed")
        .help("add `x -> h : dense` or a `learn`, or use `simulate` or `evaluate`");
}

/// Parameters that a value depends on, through populations.
fn reached(model: &Model, from: &Expr) -> BTreeSet<usize> {
    let mut params = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = Vec::new();
    add(from, &mut params, &mut open);
    while let Some(at) = open.pop() {
        let Some(population) = model.populations.get(at).filter(|_| seen.insert(at)) else { continue };
        let own = population.exprs().into_iter().chain(population.ports.iter().map(|port| &port.value));
        own.for_each(|expr| add(expr, &mut params, &mut open));
        let states = population.states.iter().filter_map(|state| model.states.get(state.idx()));
        states.for_each(|state| add(&state.init, &mut params, &mut open));
    }
    params.retain(|p| *p < model.params.len());
    params
}

fn add(expr: &Expr, params: &mut BTreeSet<usize>, populations: &mut Vec<usize>) {
    expr.for_each(&mut |e| match &e.kind {
        ExprKind::Param(p) => {
            params.insert(p.idx());
        }
        ExprKind::Emit(p) | ExprKind::Trace(p, _) => populations.push(p.idx()),
        _ => {}
    });
}
