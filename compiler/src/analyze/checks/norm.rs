//! E0611, E0612: normalisations that cannot be computed.
//!
//! Rules: statistics of all steps (`over = time`) are of a value that does not depend on them (E0611), and no equation reads a normalised
//! value (E0612). Why: in a recurrence the first step would need the values of the last one; a solver evaluates an equation several
//! times in a step, and each would be a batch of its own. Fix: `over = step`; a name for the normalised value that is assigned to a state.

use crate::diag::{Code, Diagnostics};
use crate::hir::{Expr, ExprKind, Model, Norm, PopId, StmtKind, TraceRef};
use crate::source::Span;
use std::collections::{BTreeMap, BTreeSet};

/// Something that has a value in a step.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Thing {
    State(u32),
    Local(u32),
    Fired(u32),
    Emit(u32),
    Port(u32, usize),
    /// By the parameter of its running mean.
    Norm(u32),
}

/// What each thing is made of, in any step.
type Made = BTreeMap<Thing, BTreeSet<Thing>>;

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    let made = made(model);
    for population in &model.populations {
        let mut equations = Vec::new();
        for stmt in &population.body {
            if let StmtKind::Integrate { equations: of, .. } = &stmt.kind {
                equations.extend(of.iter().map(|(_, value)| value));
            }
        }
        for expr in population.exprs() {
            expr.for_each(&mut |e| {
                let ExprKind::Normalise(norm) = &e.kind else { return };
                let span = if e.span.file == model.span.file { e.span } else { population.span };
                let this = Thing::Norm(norm.mean.0);
                if norm.over_time && reach(&parts(&norm.value), &made, |_| true).contains(&this) {
                    recurrent(norm, span, diags);
                }
                let is_local = |thing: &Thing| matches!(thing, Thing::Local(_));
                if equations.iter().any(|e| reach(&parts(e), &made, is_local).contains(&this)) {
                    in_equation(span, diags);
                }
            });
        }
    }
}

fn made(model: &Model) -> Made {
    let mut made = Made::new();
    for (p, population) in model.populations.iter().enumerate() {
        let p = p as u32;
        for stmt in &population.body {
            match &stmt.kind {
                StmtKind::Let(local, value) => add(&mut made, Thing::Local(local.0), value),
                StmtKind::Assign { state, value, .. } => add(&mut made, Thing::State(state.0), value),
                StmtKind::Integrate { equations, .. } => {
                    equations.iter().for_each(|(state, e)| add(&mut made, Thing::State(state.0), e));
                }
                StmtKind::Fire { above, below, .. } => {
                    [above].into_iter().chain(below).for_each(|e| add(&mut made, Thing::Fired(p), e));
                }
            }
        }
        add(&mut made, Thing::Emit(p), &population.emit);
        for (k, port) in population.ports.iter().enumerate() {
            add(&mut made, Thing::Port(p, k), &port.value);
        }
    }
    made
}

/// Notes what a thing is made of, and the names inside of the expression.
fn add(made: &mut Made, thing: Thing, value: &Expr) {
    made.entry(thing).or_default().extend(parts(value));
    value.for_each(&mut |e| match &e.kind {
        ExprKind::Let { local, value, .. } => {
            made.entry(Thing::Local(local.0)).or_default().extend(parts(value));
        }
        ExprKind::Custom { params, args, .. } => {
            for (param, arg) in params.iter().zip(args) {
                made.entry(Thing::Local(param.0)).or_default().extend(parts(arg));
            }
        }
        ExprKind::Normalise(norm) => {
            made.entry(Thing::Norm(norm.mean.0)).or_default().extend(parts(&norm.value));
        }
        _ => {}
    });
}

fn parts(value: &Expr) -> BTreeSet<Thing> {
    let mut found = BTreeSet::new();
    value.for_each(&mut |e| {
        found.extend(match &e.kind {
            ExprKind::State(s) | ExprKind::Trace(_, TraceRef::State(s)) => Some(Thing::State(s.0)),
            ExprKind::Local(l) | ExprKind::Trace(_, TraceRef::Local(l)) => Some(Thing::Local(l.0)),
            ExprKind::Fired(PopId(p)) | ExprKind::Trace(PopId(p), TraceRef::Fired) => Some(Thing::Fired(*p)),
            ExprKind::Emit(p) => Some(Thing::Emit(p.0)),
            ExprKind::Port(p, k) => Some(Thing::Port(p.0, *k)),
            ExprKind::Normalise(norm) => Some(Thing::Norm(norm.mean.0)),
            _ => None,
        });
    });
    found
}

/// Everything that things are made of, going on from those that are `open`.
fn reach(from: &BTreeSet<Thing>, made: &Made, open: impl Fn(&Thing) -> bool) -> BTreeSet<Thing> {
    let mut seen = from.clone();
    let mut stack: Vec<Thing> = from.iter().copied().filter(&open).collect();
    while let Some(thing) = stack.pop() {
        for next in made.get(&thing).into_iter().flatten() {
            if seen.insert(*next) && open(next) {
                stack.push(*next);
            }
        }
    }
    seen
}

fn recurrent(norm: &Norm, span: Span, diags: &mut Diagnostics) {
    let title = "statistics over all steps of a value that depends on them";
    let message = diags.report(Code::E0611, span, title);
    message.at("part of a recurrence");
    if norm.value.span.file == span.file {
        message.label(norm.value.span, "this depends on the normalised value of earlier steps");
    }
    message
        .note("the first step would need the values of the last one")
        .help("write `over = step`: the statistics of each step");
}

fn in_equation(span: Span, diags: &mut Diagnostics) {
    diags
        .report(Code::E0612, span, "an equation reads a normalised value")
        .at("normalised here")
        .note("a solver evaluates equations several times in a step, each with a batch of its own")
        .help("assign the normalised value to a state: `u = batch_norm(v)`, and read `u` in the equation");
}
