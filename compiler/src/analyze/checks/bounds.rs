//! E0710: the first value of a parameter contradicts its constraint.
//!
//! Rule: the value after `=` (or the range its initializer draws from) and the constraint have a value in common. Why: projection
//! onto the constraint would replace every first value at once, and the written one would never be used. Fix: change one of the two.

use super::super::support;
use crate::diag::{Code, Diagnostics};
use crate::hir::unit::quantity;
use crate::hir::{Model, Param, Projection};

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for (at, param) in model.params.iter().enumerate() {
        // Of projections bounds are signs, and these have messages of their own (E0701, E0702, `analyze/sign`).
        let is_weight = |p: &Projection| p.weight.is_some_and(|weight| weight.idx() == at);
        if !model.projections.iter().any(is_weight) {
            check_param(param, diags);
        }
    }
}

fn check_param(param: &Param, diags: &mut Diagnostics) {
    let allowed = param.bounds;
    let first = support::range(&param.init.value);
    let text = |value: f64| quantity(value, param.unit);
    // A strict bound is held as the next number of single precision.
    let slack = 1e-6 * allowed.low.abs().min(allowed.high.abs());
    // A range that only touches the bound has no values inside either.
    let (below, above) = match first.low < first.high {
        true => (first.high <= allowed.low, first.low >= allowed.high),
        false => (first.high < allowed.low - slack, first.low > allowed.high + slack),
    };
    let (side, bound) = if below {
        ("at least", allowed.low)
    } else if above {
        ("at most", allowed.high)
    } else {
        return;
    };
    let what = if first.low == first.high { text(first.low) } else { param.init.text.clone() };
    diags
        .report(Code::E0710, param.span, format!("the first value of `{}` breaks its constraint", param.name))
        .at(format!("starts with {what}, must be {side} {}", text(bound)))
        .note(
            "a constraint is kept by moving values onto it after every update; the first value would be lost",
        )
        .help(format!("start with a value of {side} {}, or change the constraint", text(bound)));
}
