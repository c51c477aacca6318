//! E0607: a negative refractory time.
//!
//! Rule: the time after `refractory` is not negative. Why: it counts steps after a spike. Fix: a time of 0 or more.

use super::ANY_STEP;
use crate::diag::{Code, Diagnostics};
use crate::hir::unit::quantity;
use crate::hir::{Model, Unit, constant};

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for population in &model.populations {
        let Some(refractory) = &population.refractory else { continue };
        let duration = &refractory.duration;
        let Some(value) = constant::eval(duration, &ANY_STEP).filter(|value| *value < 0.0) else { continue };
        diags
            .report(Code::E0607, duration.span, "a refractory time cannot be negative")
            .at(format!("this is {}", quantity(value, Unit::TIME)))
            .label(population.span, format!("population `{}` uses it", population.name))
            .note("for this time after a spike the neuron does not fire")
            .help("write a time of 0 or more: `refractory 2 ms holding …`");
    }
}
