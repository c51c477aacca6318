//! E0603, E0604: equations that the chosen solver cannot integrate.
//!
//! Rules: `integrate exact` wants equations that are linear in all integrated states, with coefficients that do not change
//! from step to step; `integrate exponential_euler` wants each equation linear in its own state. Why: both are
//! solutions in closed form, which exist only then. Fix: `integrate rk4` takes every equation, `exponential_euler` those
//! that are linear in their own state (Hodgkin-Huxley).

use super::linear::{self, Dependence};
use crate::diag::{Code, Diagnostics};
use crate::hir::{Expr, Model, Population, Solver, StateId, Stmt, StmtKind};
use crate::source::Span;

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for population in &model.populations {
        for (at, stmt) in population.body.iter().enumerate() {
            let StmtKind::Integrate { solver, equations } = &stmt.kind else { continue };
            let place = Place { model, population, before: &population.body[..at], span: stmt.span };
            match solver {
                Solver::Exact => exact(&place, equations, diags),
                Solver::ExponentialEuler => exponential_euler(&place, equations, diags),
                Solver::Euler | Solver::Rk4 => {}
            }
        }
    }
}

/// An `integrate` and what comes before it.
struct Place<'a> {
    model: &'a Model,
    population: &'a Population,
    before: &'a [Stmt],
    span: Span,
}

impl Place<'_> {
    /// How a derivative depends on states, with the `let`s before it.
    fn dependence(&self, derivative: &Expr, states: &[StateId]) -> Dependence {
        let mut locals = Vec::new();
        for stmt in self.before {
            if let StmtKind::Let(local, value) = &stmt.kind {
                let known = linear::dependence(value, states, &mut locals);
                locals.push((*local, known));
            }
        }
        linear::dependence(derivative, states, &mut locals)
    }

    /// The state's name inside its neuron.
    fn name(&self, state: StateId) -> &str {
        let full = self.model.states.get(state.idx()).map_or("?", |state| &state.name);
        full.strip_prefix(&self.population.name).and_then(|rest| rest.strip_prefix('.')).unwrap_or(full)
    }
}

fn exact(place: &Place, equations: &[(StateId, Expr)], diags: &mut Diagnostics) {
    let states: Vec<StateId> = equations.iter().map(|(state, _)| *state).collect();
    for (state, derivative) in equations {
        let found = place.dependence(derivative, &states);
        let (span, what) = match (found.nonlinear, found.varying_coefficient) {
            (Some(span), _) => (span, "this is not linear in the states"),
            (None, Some(span)) => (span, "this coefficient changes during the run"),
            (None, None) => continue,
        };
        let own_is_linear = place.dependence(derivative, &[*state]).nonlinear.is_none();
        let other = if own_is_linear {
            "`integrate exponential_euler` or `integrate rk4`"
        } else {
            "`integrate rk4`"
        };
        let name = place.name(*state);
        diags
            .report(Code::E0603, span, format!("`integrate exact` cannot solve the equation of `{name}`"))
            .at(what)
            .label(place.span, "integrated here")
            .note("the exact solution exists only for linear equations with constant coefficients")
            .help(format!("use {other}"));
    }
}

fn exponential_euler(place: &Place, equations: &[(StateId, Expr)], diags: &mut Diagnostics) {
    for (state, derivative) in equations {
        let Some(span) = place.dependence(derivative, &[*state]).nonlinear else { continue };
        let name = place.name(*state);
        diags
            .report(Code::E0604, span, format!("the equation of `{name}` is not linear in `{name}`"))
            .at(format!("not linear in `{name}`"))
            .label(place.span, "integrated here")
            .note(
                "`exponential_euler` solves each equation for its own state in closed form, the others held",
            )
            .help("use `integrate rk4`");
    }
}
