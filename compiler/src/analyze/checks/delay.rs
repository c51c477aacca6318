//! E0704: a delay that is negative or not a whole number of steps.
//!
//! Rule: for the `dt` of every job, a delay is 0, 1, 2, … steps (up to a millionth of a step). Why: values exist only at steps;
//! rounding in silence would change the dynamics with `dt`. Fix: another delay, another `dt`, or a delay in `steps`.

use crate::diag::{Code, Diagnostics};
use crate::hir::constant::{self, ConstEnv};
use crate::hir::unit::quantity;
use crate::hir::{Expr, ExprKind, Job, Model, Unit};

pub(super) fn check(model: &Model, job: &Job, diags: &mut Diagnostics) {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    for delay in delays(model) {
        let Some(time) = constant::eval(delay, &env) else { continue };
        if time < 0.0 || time.is_nan() {
            negative(delay, time, diags);
            continue;
        }
        let steps = time / job.dt;
        if (steps - steps.round()).abs() > 1e-6 * steps.max(1.0) {
            broken(delay, time, job, diags);
        }
    }
}

/// Every delay of the model, once.
fn delays(model: &Model) -> Vec<&Expr> {
    let mut found: Vec<&Expr> = model.projections.iter().map(|projection| &projection.delay).collect();
    let ports = model.populations.iter().flat_map(|p| &p.ports).map(|port| &port.value);
    for value in ports.chain(model.outputs.iter().map(|output| &output.value)) {
        value.for_each(&mut |e| {
            if let ExprKind::Delayed { delay, .. } = &e.kind {
                found.push(delay);
            }
        });
    }
    let mut seen = Vec::new();
    found.retain(|delay| {
        !seen.contains(&delay.span) && {
            seen.push(delay.span);
            true
        }
    });
    found
}

fn negative(delay: &Expr, time: f64, diags: &mut Diagnostics) {
    diags
        .report(Code::E0704, delay.span, "a delay cannot be negative")
        .at(format!("this is {}", quantity(time, Unit::TIME)))
        .note("it would read values of steps that have not happened")
        .help("write a time of 0 or more, for example `delay = 1 step`");
}

fn broken(delay: &Expr, time: f64, job: &Job, diags: &mut Diagnostics) {
    let below = (time / job.dt).floor();
    let (text, step) = (quantity(time, Unit::TIME), quantity(job.dt, Unit::TIME));
    let near = |steps: f64| quantity(steps * job.dt, Unit::TIME);
    diags
        .report(Code::E0704, delay.span, format!("a delay of {text} is not a whole number of steps"))
        .at(format!("{} steps of {step}", quantity(time / job.dt, Unit::NONE)))
        .label(job.span, format!("here `dt` is {step}"))
        .note("values exist only at steps; a delay between two steps has no value to read")
        .help(format!(
            "use {} or {}, a delay in steps (`delay = 2 steps`), or another `dt`",
            near(below),
            near(below + 1.0)
        ));
}
