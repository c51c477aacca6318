//! The epoch in which a run is solved: the first one at whose end the condition of success holds, of runs for which it holds in the end.

use super::grid::Success;
use super::{named, table};
use crate::report::JobReport;
use snn_compiler::hir::{Job, JobKind, Part};
use snn_runtime::train::trainer::Epoch;

/// Number of that epoch, from 1. None if the run is no success, or nothing is known of the metric before the end: known are loss and accuracy, of a
/// training as those of its epochs, of an evaluation on the test part of the training before it as those that were measured there after each epoch.
pub fn solved_at(
    success: &Success,
    jobs: &[Job],
    reports: &[JobReport],
    metrics: &[(String, f64)],
) -> Option<usize> {
    let (metric, value) = table::find(metrics, &success.metric)?;
    if !success.holds(value) {
        return None;
    }
    let is_wanted = |at: usize, name: &str| {
        reports[at].metrics.iter().any(|(n, _)| n == name) && named(reports, at, name) == metric
    };
    (0..jobs.len()).find_map(|at| {
        let is_loss = match () {
            () if is_wanted(at, "loss") => true,
            () if is_wanted(at, "accuracy") => false,
            () => return None,
        };
        let training = training_of(jobs, at)?;
        let value = |e: &Epoch| match (jobs[at].kind, is_loss) {
            (JobKind::Train, true) => Some(e.loss),
            (JobKind::Train, false) => e.accuracy,
            (_, true) => e.test_loss,
            (_, false) => e.test_accuracy,
        };
        let epochs = &reports[training].epochs;
        epochs.iter().find(|e| value(e).is_some_and(|v| success.holds(v))).map(|e| e.number)
    })
}

/// The training whose epochs tell of job `at`.
fn training_of(jobs: &[Job], at: usize) -> Option<usize> {
    let job = &jobs[at];
    match job.kind {
        JobKind::Train => Some(at),
        JobKind::Evaluate => {
            let is_its = |k: &usize| jobs[*k].kind == JobKind::Train && jobs[*k].model == job.model;
            let training = (0..at).rev().find(is_its)?;
            let test = jobs[training].data.map(|(data, _)| (data, Part::Test));
            (job.data == test).then_some(training)
        }
        JobKind::Simulate => None,
    }
}
