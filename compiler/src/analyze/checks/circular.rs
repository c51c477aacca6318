//! W0704: the first values of weights depend on activity that depends on these weights.
//!
//! Rule: what an initializer reads on the first batch does not depend on the weights it is for. Why: while the activity is measured they are 0, so
//! that the values fit a network that is not there. Fix: read what comes before, or take an initializer that reads nothing.

use crate::diag::{Code, Diagnostics};
use crate::hir::{Model, first};

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    for id in first::circular(model) {
        let param = &model.params[id.idx()];
        let title = format!("the first values of `{}` depend on themselves", param.name);
        diags
            .report(Code::W0704, param.span, title)
            .at("reads activity that these weights change")
            .note("they are 0 while it is measured")
            .help("read what comes before them, or take an initializer that reads no activity");
    }
}
