//! E0609: a value of a state that nobody reads.
//!
//! Rule: between two assignments of a state something reads it. Why: a step is an ordered list; the second assignment replaces the
//! first, which then had no effect. Most often the second one should use the state (`v = 0.9 * v`). Fix: read the state in
//! the second assignment or in between, or remove the first.

use crate::diag::{Code, Diagnostics};
use crate::hir::{ExprKind, Model, Population, StateId, Stmt, StmtKind};
use crate::source::Span;

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for population in &model.populations {
        for state in &population.states {
            let Some((first, second)) = lost(population, *state) else { continue };
            let full = model.states.get(state.idx()).map_or("?", |state| &state.name);
            let name = full.rsplit('.').next().unwrap_or(full);
            diags
                .report(Code::E0609, first, format!("this value of `{name}` is lost"))
                .at("overwritten before anybody reads it")
                .label(second, format!("`{name}` gets another value here"))
                .note("the statements of a step happen in the order written")
                .help(format!("use `{name}` in the second assignment, or remove the first one"));
        }
    }
}

/// An assignment and the one that overwrites it unread.
fn lost(population: &Population, state: StateId) -> Option<(Span, Span)> {
    let mut unread = None;
    for stmt in &population.body {
        if reads(stmt, state) {
            unread = None;
        }
        match &stmt.kind {
            StmtKind::Assign { state: written, is_reset, .. } if *written == state => {
                if let Some(first) = unread {
                    return Some((first, stmt.span));
                }
                unread = (!is_reset).then_some(stmt.span);
            }
            // What an integration starts from is the value before it.
            StmtKind::Integrate { equations, .. } if equations.iter().any(|(id, _)| *id == state) => {
                unread = None;
            }
            _ => {}
        }
    }
    None
}

fn reads(stmt: &Stmt, state: StateId) -> bool {
    let is_it = &mut |e: &crate::hir::Expr| matches!(e.kind, ExprKind::State(id) if id == state);
    stmt.exprs().into_iter().any(|expr| expr.any(is_it))
}
