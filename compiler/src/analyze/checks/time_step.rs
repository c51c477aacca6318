//! W0601: the step of a job is long for a time constant.
//!
//! Rule: `dt` is at most half of every constant time constant that is written as `exp(-dt / tau)` or `v' = … / tau`. Why: the state
//! is gone or overshoots within two steps (solutions in closed form, `exact` and `exponential_euler`, do not); most often the unit of `dt` or `tau` is wrong. Fix: a smaller `dt`, a larger time
//! constant; a time constant written in `dt` (`2 * dt`) is never reported.

use crate::diag::{Code, Diagnostics};
use crate::hir::constant::{self, ConstEnv};
use crate::hir::unit::quantity;
use crate::hir::{Expr, ExprKind, Job, Model, Solver, StmtKind, Unit};
use crate::source::Span;
use crate::step::ops::Pw;

pub(super) fn check(model: &Model, job: &Job, diags: &mut Diagnostics) {
    for population in &model.populations {
        let mut found: Vec<(Span, f64)> = Vec::new();
        for stmt in &population.body {
            for expr in stmt.exprs() {
                expr.for_each(&mut |e| found.extend(decay(e, job).map(|tau| (e.span, tau))));
            }
            if let StmtKind::Integrate { solver: Solver::Euler | Solver::Rk4, equations } = &stmt.kind {
                found.extend(equations.iter().filter_map(|(_, e)| Some((e.span, divisor(e, job)?))));
            }
        }
        let shortest = found.into_iter().filter(|(_, tau)| job.dt > 0.5 * tau * (1.0 + 1e-6));
        let Some((span, tau)) = shortest.min_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        report(&population.name, span, tau, job, diags);
    }
}

fn report(name: &str, span: Span, tau: f64, job: &Job, diags: &mut Diagnostics) {
    let smaller = quantity(tau / 10.0, Unit::TIME);
    let (tau, dt) = (quantity(tau, Unit::TIME), quantity(job.dt, Unit::TIME));
    diags
        .report(Code::W0601, span, format!("a step of {dt} is long for a time constant of {tau}"))
        .at(format!("time constant {tau} in `{name}`"))
        .label(job.span, format!("here `dt` is {dt}"))
        .note("with a step above half of the time constant the state forgets almost everything between two steps")
        .help(format!("give the job a smaller step, for example `dt {smaller}`, or check the unit of the time constant"));
}

/// The time constant of `exp(-dt / tau)`: the exponent is a negative constant that is proportional to `dt`.
fn decay(expr: &Expr, job: &Job) -> Option<f64> {
    let ExprKind::Pointwise(Pw::Exp, args) = &expr.kind else { return None };
    let at = |dt: f64| constant::eval(args.first()?, &ConstEnv { dt, steps: job.steps });
    let (once, twice) = (at(job.dt)?, at(2.0 * job.dt)?);
    let is_proportional = (twice - 2.0 * once).abs() <= 1e-9 * once.abs();
    (once < 0.0 && is_proportional).then(|| -job.dt / once)
}

/// The constant time that a derivative is divided by.
fn divisor(expr: &Expr, job: &Job) -> Option<f64> {
    let ExprKind::Pointwise(Pw::Div, args) = &expr.kind else { return None };
    let tau = args.get(1).filter(|tau| tau.unit == Unit::TIME)?;
    let value = constant::eval_free(tau)?;
    (value > 0.0 && job.dt > 0.0).then_some(value)
}
