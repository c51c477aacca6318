//! W0701: a population receives nothing.
//!
//! Rule: something arrives at one of the inputs of a population. Why: without input most neurons never do anything; usually a
//! projection is missing or goes elsewhere. Fix: add a projection; a neuron that is active by itself has no input, or one
//! with a default that is not 0 (`input I = 0.5`).

use super::is_one;
use crate::diag::{Code, Diagnostics};
use crate::hir::{ExprKind, Model};

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    if is_one(model) {
        return;
    }
    for population in &model.populations {
        let Some(port) = population.ports.first() else { continue };
        let is_at_rest = |p: &crate::hir::Port| !p.driven && matches!(p.value.kind, ExprKind::Const(0.0));
        if !population.ports.iter().all(is_at_rest) {
            continue;
        }
        let name = &population.name;
        diags
            .report(Code::W0701, population.span, format!("nothing arrives at population `{name}`"))
            .at("no projection ends here")
            .note(format!("its neurons get 0 at input `{}` in every step", port.name))
            .help(format!("add a projection, for example `x -> {name} : dense`"));
    }
}
