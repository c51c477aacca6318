//! In which order parameters get their first values: those that read activity after all whose values reach what they read.

use super::{ExprKind, Model, ParamId, PopId};
use std::collections::BTreeSet;

/// All parameters: those that need no batch first, then layer by layer. In a cycle the order is that of the text.
pub fn order(model: &Model) -> Vec<ParamId> {
    let ids = (0..model.params.len() as u32).map(ParamId);
    let (mut waiting, mut order): (Vec<ParamId>, Vec<ParamId>) =
        ids.partition(|id| model.params[id.idx()].init.needs.batch);
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|id| {
            let before = before(model, *id);
            !waiting.iter().any(|other| other != id && before.contains(other))
        });
        order.push(waiting.remove(ready.unwrap_or(0)));
    }
    order
}

/// Parameters whose initializer reads activity that depends on themselves, by way of others that read activity or not.
pub fn circular(model: &Model) -> Vec<ParamId> {
    let ids = (0..model.params.len() as u32).map(ParamId);
    let reads: Vec<ParamId> = ids.filter(|id| model.params[id.idx()].init.needs.batch).collect();
    let reaches_itself = |id: &ParamId| {
        let (mut seen, mut next) = (BTreeSet::new(), vec![*id]);
        while let Some(at) = next.pop() {
            let before = before(model, at);
            if before.contains(id) {
                return true;
            }
            next.extend(reads.iter().copied().filter(|other| before.contains(other) && seen.insert(*other)));
        }
        false
    };
    reads.iter().copied().filter(reaches_itself).collect()
}

/// The parameters that the activity depends on which an initializer reads.
fn before(model: &Model, param: ParamId) -> BTreeSet<ParamId> {
    let mut params = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut next: Vec<PopId> = Vec::new();
    let mut look = |e: &super::Expr, next: &mut Vec<PopId>| match &e.kind {
        ExprKind::Emit(pop) | ExprKind::Trace(pop, _) => next.push(*pop),
        ExprKind::Param(id) => {
            params.insert(*id);
        }
        _ => {}
    };
    model.params[param.idx()].init.value.for_each(&mut |e| look(e, &mut next));
    while let Some(pop) = next.pop() {
        if !seen.insert(pop) {
            continue;
        }
        let population = &model.populations[pop.idx()];
        for e in population.ports.iter().map(|port| &port.value).chain(population.exprs()) {
            e.for_each(&mut |e| look(e, &mut next));
        }
    }
    params
}
