//! Rules about meaning, one per file: what a program may not say although every name, unit and shape is right.
//!
//! A rule reads HIR and reports; it changes nothing and does not depend on other rules. To add one: a file with its rule, why
//! it exists and how to satisfy it, and its line in [`RULES`].

mod bounds;
mod circular;
mod cycle;
mod dale;
mod delay;
mod linear;
mod lost;
mod norm;
mod refractory;
mod silent;
mod solver;
#[cfg(test)]
pub(super) mod suite;
mod surrogate;
mod time_step;
mod trainable;
mod unread;

use crate::diag::{Code, Diagnostics};
use crate::hir::{Job, Model, Program};

/// A rule.
pub(super) struct Rule {
    /// What it may report; the tests hold the rule to it.
    #[cfg_attr(not(test), allow(dead_code))]
    pub(super) codes: &'static [Code],
    /// Whether it is certain of what it says when other parts of the program were left out because of mistakes.
    after_errors: bool,
    /// What it looks at.
    check: Check,
}

enum Check {
    /// A model by itself.
    Model(fn(&Model, &mut Diagnostics)),
    /// A model with the step and duration of a job.
    Job(fn(&Model, &Job, &mut Diagnostics)),
    /// A model with all jobs.
    Program(fn(&Program, &Model, &[&Job], &mut Diagnostics)),
}

/// Every rule, in the order in which they report.
pub(super) const RULES: &[Rule] = &[
    Rule { codes: &[Code::E0603, Code::E0604], after_errors: true, check: Check::Model(solver::check) },
    Rule { codes: &[Code::E0609], after_errors: false, check: Check::Model(lost::check) },
    Rule { codes: &[Code::E0611, Code::E0612], after_errors: true, check: Check::Model(norm::check) },
    Rule { codes: &[Code::E0607], after_errors: true, check: Check::Model(refractory::check) },
    Rule { codes: &[Code::E0701, Code::E0702], after_errors: true, check: Check::Model(dale::check) },
    Rule { codes: &[Code::E0703], after_errors: true, check: Check::Model(cycle::check) },
    Rule { codes: &[Code::E0710], after_errors: true, check: Check::Model(bounds::check) },
    Rule { codes: &[Code::W0701], after_errors: false, check: Check::Model(silent::check) },
    Rule { codes: &[Code::E0704], after_errors: true, check: Check::Job(delay::check) },
    Rule { codes: &[Code::W0601], after_errors: false, check: Check::Job(time_step::check) },
    Rule { codes: &[Code::E0801, Code::E0804], after_errors: false, check: Check::Program(trainable::check) },
    Rule { codes: &[Code::W0704], after_errors: false, check: Check::Model(circular::check) },
    Rule { codes: &[Code::W0702], after_errors: false, check: Check::Program(unread::check) },
    Rule { codes: &[Code::W0801], after_errors: false, check: Check::Program(surrogate::check) },
];

/// Checks all models, with all jobs and tests that use them.
pub(super) fn program(program: &Program, diags: &mut Diagnostics) {
    let had_errors = diags.has_errors();
    let all = || program.jobs.iter().chain(program.tests.iter().map(|test| &test.job));
    for (at, model) in program.models.iter().enumerate() {
        let jobs: Vec<&Job> = all().filter(|job| job.model.idx() == at).collect();
        for rule in RULES.iter().filter(|rule| rule.after_errors || !had_errors) {
            match rule.check {
                Check::Model(check) => check(model, diags),
                Check::Job(check) => jobs.iter().for_each(|job| check(model, job, diags)),
                Check::Program(check) => check(program, model, &jobs, diags),
            }
        }
    }
    once(diags);
}

/// A neuron that several populations or jobs use is checked each time; its message is shown once.
fn once(diags: &mut Diagnostics) {
    let mut seen = std::collections::BTreeSet::new();
    diags.list.retain(|d| {
        let is_new = seen.insert((d.code, d.primary.0, d.title.clone()));
        is_new || d.primary.0 == crate::source::Span::NONE
    });
}

/// Whether a model was made for `simulate one(…)` or `draw`.
fn is_one(model: &Model) -> bool {
    [super::job::ONE, super::job::DRAW].contains(&&model.name[..])
}

/// Constants of a model by itself: only signs of delays and durations are asked for, and they are the same for every `dt`.
const ANY_STEP: crate::hir::constant::ConstEnv = crate::hir::constant::ConstEnv { dt: 1e-3, steps: 1 };
