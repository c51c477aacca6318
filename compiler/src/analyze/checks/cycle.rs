//! E0703: populations wait for each other within one step.
//!
//! Rule: every cycle of projections has a delay of at least one step somewhere. Why: a projection without a delay reads the
//! value of the same step, so around such a cycle each population would need its own result first. Fix: give one projection of the
//! cycle `delay = 1 step`.

use super::ANY_STEP;
use crate::diag::{Code, Diagnostics};
use crate::hir::{Expr, ExprKind, Model, PopId, Source, constant};
use crate::source::Span;
use std::collections::{BTreeSet, VecDeque};

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    let reads: Vec<BTreeSet<usize>> = model
        .populations
        .iter()
        .map(|population| {
            let mut found = BTreeSet::new();
            population.ports.iter().for_each(|port| read_now(&port.value, &mut found));
            found.into_iter().filter(|p| *p < model.populations.len()).collect()
        })
        .collect();
    let mut reported = BTreeSet::new();
    for start in 0..reads.len() {
        let Some(cycle) = shortest_cycle(start, &reads) else { continue };
        // Cycles that share a population are most often one mistake.
        if cycle.iter().all(|p| !reported.contains(p)) {
            report(model, &cycle, diags);
        }
        reported.extend(cycle);
    }
}

/// Populations whose value of the same step an expression reads.
fn read_now(expr: &Expr, found: &mut BTreeSet<usize>) {
    match &expr.kind {
        ExprKind::Emit(PopId(p)) | ExprKind::Trace(PopId(p), _) => {
            found.insert(*p as usize);
        }
        ExprKind::Delayed { value, delay } if constant::eval(delay, &ANY_STEP) == Some(0.0) => {
            read_now(value, found);
        }
        ExprKind::Delayed { .. } => {}
        _ => expr.children().into_iter().for_each(|part| read_now(part, found)),
    }
}

/// A shortest cycle through `start`, in the direction in which values flow: each reads the one before it, the first
/// reads the last.
fn shortest_cycle(start: usize, reads: &[BTreeSet<usize>]) -> Option<Vec<usize>> {
    let mut reader_of = vec![None; reads.len()];
    let mut queue = VecDeque::from([start]);
    while let Some(at) = queue.pop_front() {
        for &source in &reads[at] {
            if source == start {
                let mut cycle = vec![start];
                let mut next = at;
                while next != start {
                    cycle.push(next);
                    next = reader_of[next]?;
                }
                // From `start` backwards along the reads: `at` reads `start`, and so on up to `start` itself.
                return Some(cycle);
            }
            if reader_of[source].is_none() {
                reader_of[source] = Some(at);
                queue.push_back(source);
            }
        }
    }
    None
}

fn report(model: &Model, cycle: &[usize], diags: &mut Diagnostics) {
    let name = |p: usize| model.populations[p].name.as_str();
    let first = cycle[0];
    let last = cycle[cycle.len() - 1];
    let mut path: Vec<&str> = cycle.iter().map(|p| name(*p)).collect();
    path.push(name(first));
    let title = if cycle.len() == 1 {
        format!("population `{}` reads itself within one step", name(first))
    } else {
        format!("populations wait for each other within one step: {}", path.join(" -> "))
    };
    let (closing, _) = link(model, last, first);
    let mut links: Vec<(Span, String)> = Vec::new();
    for pair in cycle.windows(2) {
        links.push((
            link(model, pair[0], pair[1]).0,
            format!("`{}` reads `{}`", name(pair[1]), name(pair[0])),
        ));
    }
    let kind = link(model, last, first).1;
    let diagnostic = diags.report(Code::E0703, closing, title);
    diagnostic.at(format!("`{}` reads `{}` of the same step", name(first), name(last)));
    for (span, text) in links {
        diagnostic.label(span, text);
    }
    diagnostic.note("without a delay a projection reads the value of the same step, which is not known yet");
    match kind {
        Some(kind) => {
            let text = format!("`{} -> {} : {kind}(delay = 1 step)`", name(last), name(first));
            diagnostic.help(format!("give one projection of the cycle a delay: {text}"));
        }
        None => {
            diagnostic.help("replace one drive of the cycle by a projection with `delay = 1 step`");
        }
    }
}

/// Where a population reads another, and the kind of the projection if it is one.
fn link(model: &Model, from: usize, to: usize) -> (Span, Option<&'static str>) {
    let is_link = |p: &&crate::hir::Projection| {
        p.source == Source::Population(PopId(from as u32)) && p.target.idx() == to
    };
    if let Some(found) = model.projections.iter().find(is_link) {
        return (found.span, Some(found.kind));
    }
    let population = &model.populations[to];
    let reads = |value: &Expr| {
        let mut found = BTreeSet::new();
        read_now(value, &mut found);
        found.contains(&from)
    };
    let port = population.ports.iter().find(|port| reads(&port.value));
    let span = port.map(|port| port.value.span).filter(|span| *span != Span::NONE);
    (span.unwrap_or(population.span), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_cycle(reads: &[&[usize]], start: usize, want: Option<&[usize]>) {
        let reads: Vec<BTreeSet<usize>> = reads.iter().map(|r| r.iter().copied().collect()).collect();
        assert_eq!(shortest_cycle(start, &reads).as_deref(), want);
    }

    #[test]
    fn cycles_are_found_in_the_direction_of_flow() {
        check_cycle(&[&[0]], 0, Some(&[0]));
        check_cycle(&[&[], &[0]], 1, None);
        // 1 reads 0, 2 reads 1, 0 reads 2: values flow 0 -> 1 -> 2 -> 0.
        check_cycle(&[&[2], &[0], &[1]], 0, Some(&[0, 1, 2]));
        // The short way back wins.
        check_cycle(&[&[1, 2], &[0], &[1]], 0, Some(&[0, 1]));
    }
}
