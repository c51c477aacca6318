//! Where a training that diverged went wrong first: population, value and step; first values that are not finite.

use super::Runner;
use crate::load::{Failure, at};
use snn_compiler::diag::Code;
use snn_compiler::hir::{Expr, ExprKind, Job, JobKind, Param, PopId, Record, TraceRef, Unit};
use snn_compiler::pipeline::Purpose;
use snn_compiler::source::{Sources, Span};
use snn_runtime::data::Dataset;
use snn_runtime::engine::{SectionTimes, Weights};
use snn_runtime::train::evaluate::{INPUT, gather};
use snn_runtime::train::trainer::Diverged;
use std::path::Path;

/// The message, with the population that shows the first value that is not a number.
pub fn diverged(
    runner: &Runner,
    job: &Job,
    data: &Dataset,
    weights: &mut Weights,
    d: &Diverged,
    checkpoint: Option<&Path>,
) -> Failure {
    let kept = match checkpoint {
        Some(path) if path.exists() => format!("; the last good checkpoint is {}", path.display()),
        _ => String::new(),
    };
    let help = format!("lower the learning rate, or write `clip 1` in the job{kept}");
    let when = format!("epoch {}, batch {}", d.epoch, d.batch);
    match first(runner, job, data, weights, d) {
        Some((name, step, span)) => {
            let title = format!("training diverged in {when}: `{name}` is not finite, first at step {step}");
            at(&runner.loaded.sources, Code::E0907, span, title, &help)
        }
        None => {
            let title = format!("training diverged in {when}: {} is not finite, all states are", d.what);
            at(&runner.loaded.sources, Code::E0907, job.span, title, &help)
        }
    }
}

/// The message of a parameter whose initializer gave numbers that are not finite.
pub fn not_finite(sources: &Sources, param: &Param) -> Failure {
    let title = format!("`{}` does not start with finite numbers: `{}`", param.name, param.init.text);
    let help = match param.init.needs.batch {
        true => "it reads activity on the first batch: look whether anything arrives there (`snnc inspect`)",
        false => "look at divisions, roots and logarithms of the initializer",
    };
    at(sources, Code::E0907, param.span, title, help)
}

/// Name, step and declaration of the first state that is not finite, on the batch and the weights before it.
fn first(
    runner: &Runner,
    job: &Job,
    data: &Dataset,
    weights: &mut Weights,
    d: &Diverged,
) -> Option<(String, usize, Span)> {
    let model = runner.model(job);
    let mut records = Vec::new();
    let mut spans = Vec::new();
    for (idx, pop) in model.populations.iter().enumerate() {
        for &state in &pop.states {
            let kind = ExprKind::Trace(PopId(idx as u32), TraceRef::State(state));
            let value = Expr { kind, unit: Unit::NONE, shape: pop.shape.clone(), span: pop.span };
            let name = model.states[state.idx()].name.clone();
            records.push(Record { name, value, range: None, events: false });
            spans.push(pop.span);
        }
    }
    let names: Vec<String> = records.iter().map(|r| r.name.clone()).collect();
    let job = Job { kind: JobKind::Simulate, records, reports: Vec::new(), ..job.clone() };
    let mut ready = runner.compile(&job, Purpose::Simulate, d.samples.len(), super::facts(data)).ok()?;
    let (mut x, target) = gather(data, &d.samples);
    if let Some(augment) = job.train.as_ref().and_then(|settings| super::augment::of(model, settings)) {
        let pass = augment.of_epoch(job.seed, d.epoch - 1);
        x.chunks_mut(data.sample_len()).zip(&d.samples).for_each(|(x, sample)| pass.apply(*sample, x));
    }
    let mut own = Weights::zeroed(ready.engine.program()).ok()?;
    own.param.copy_from_slice(&weights.param);
    ready.engine.run(
        &mut own,
        &d.call,
        &[(INPUT, (&x).into()), ("target", (&target).into())],
        &mut SectionTimes::default(),
    );
    let mut found: Option<(usize, usize)> = None;
    for (k, name) in names.iter().enumerate() {
        let values = ready.engine.read(&format!("record {name}"))?;
        let of_step = values.len() / job.steps.max(1);
        let bad = values.iter().position(|v| !v.is_finite()).map(|at| at / of_step.max(1));
        if let Some(step) = bad
            && found.is_none_or(|(_, s)| step < s)
        {
            found = Some((k, step));
        }
    }
    found.map(|(k, step)| (names[k].clone(), step, spans[k]))
}
