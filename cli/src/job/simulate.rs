//! `simulate`: run, record, report. Also the runs that tests of the language measure.

use super::{Ready, Runner};
use crate::load::Failure;
use crate::report::JobReport;
use ndarray::{ArrayD, Dimension};
use snn_compiler::hir::{DriveValues, Job, Part};
use snn_compiler::pipeline::{DataFacts, Purpose};
use snn_runtime::abi::SCALARS;
use snn_runtime::engine::{Call, Given, SectionTimes, Weights};
use snn_runtime::record::{Array, write_npz};
use snn_runtime::rng;
use snn_runtime::train::evaluate::gather;
use std::time::Instant;

/// Runs the job.
pub fn simulate(runner: &mut Runner, job: &Job) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let mut report = runner.report(job, "simulate");
    let run = run(runner, job)?;
    let model = runner.model(job);
    for r in &job.reports {
        let value = run.ready.engine.scalar(&format!("report {}", r.name)).unwrap_or(f32::NAN);
        report.metrics.push((r.name.clone(), f64::from(value)));
    }
    for pop in model.populations.iter().filter(|p| p.fires) {
        let count = f64::from(run.ready.engine.scalar(&format!("count.{}", pop.name)).unwrap_or(0.0));
        let neurons = pop.shape.iter().product::<usize>() as f64;
        report.metrics.push((format!("spikes.{}", pop.name), count));
        let seconds = job.steps as f64 * job.dt * run.samples as f64;
        report.metrics.push((format!("rate_hz.{}", pop.name), count / neurons / seconds));
    }
    if !job.records.is_empty() {
        // What was measured is reported even if the recording cannot be written.
        match save(runner, job, &run) {
            Ok(text) => report.text = text,
            Err(failure) => report.failed = Some(failure.text),
        }
    }
    let s = &mut report.seconds;
    (s.compile, s.forward) = (run.ready.seconds, run.times.forward);
    s.total = start.elapsed().as_secs_f64();
    Ok(report)
}

/// A finished run.
pub struct Run {
    /// The program and its memory, to be read.
    pub ready: Ready,
    /// Samples.
    pub samples: usize,
    /// Times.
    pub times: SectionTimes,
}

/// Compiles and runs a simulation.
pub fn run(runner: &mut Runner, job: &Job) -> Result<Run, Failure> {
    let split = runner.split(job)?;
    let data = split.as_ref().map(|(s, part)| if *part == Part::Train { &s.train } else { &s.test });
    super::not_empty(data)?;
    let samples = data.map_or(1, |d| d.samples.min(job.batch));
    let known = data.map_or(DataFacts::default(), super::facts);
    let mut ready = runner.compile(job, Purpose::Simulate, samples, known)?;
    let mut weights = Weights::zeroed(ready.engine.program())?;
    let trained = runner.initialize(job, &ready, &mut weights, data)?;
    if let (false, Some(path)) = (trained, runner.checkpoint(job))
        && path.exists()
    {
        snn_runtime::train::checkpoint::load(&path, ready.engine.program(), &mut weights, false)?;
    }
    let mut inputs: Vec<(String, Vec<f32>)> = Vec::new();
    if let (Some(data), Some(input)) = (data, runner.model(job).inputs.first()) {
        let order: Vec<u32> = (0..samples as u32).collect();
        let (x, target) = gather(data, &order);
        inputs.push((input.name.clone(), x));
        inputs.push(("target".into(), target));
    }
    for (name, values) in drives(runner, job, samples) {
        inputs.retain(|(n, _)| *n != name);
        inputs.push((name, values));
    }
    let inputs: Vec<(&str, Given)> = inputs.iter().map(|(n, v)| (n.as_str(), v.into())).collect();
    let call = Call { key: rng::key(job.seed, 4, 0), count: samples, scalars: [0.0; SCALARS] };
    let mut times = SectionTimes::default();
    ready.engine.run(&mut weights, &call, &inputs, &mut times);
    Ok(Run { ready, samples, times })
}

/// Inputs that the job gives, as samples one after another.
pub fn drives(runner: &Runner, job: &Job, samples: usize) -> Vec<(String, Vec<f32>)> {
    let model = runner.model(job);
    let mut list = Vec::new();
    for drive in &job.drives {
        let input = &model.inputs[drive.input.idx()];
        let width: usize = input.shape.iter().product();
        let steps = if input.stream { job.steps } else { 1 };
        let value = |step: usize| match &drive.values {
            DriveValues::Constant(v) => *v as f32,
            DriveValues::List(values) => values.get(step).copied().unwrap_or(0.0) as f32,
        };
        let one: Vec<f32> = (0..steps).flat_map(|step| std::iter::repeat_n(value(step), width)).collect();
        list.push((input.name.clone(), one.repeat(samples)));
    }
    list
}

/// Writes what was recorded; gives a line about it.
fn save(runner: &Runner, job: &Job, run: &Run) -> Result<String, Failure> {
    let Some(dir) = &runner.common.out else {
        eprintln!("warning[W0901]: nothing was saved: give a folder with --out DIR");
        return Ok(String::new());
    };
    runner.make_out()?;
    let mut floats: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    let mut indices: Vec<(String, Vec<usize>, Vec<u32>)> = Vec::new();
    for record in &job.records {
        let Some(values) = run.ready.engine.read(&format!("record {}", record.name)) else { continue };
        let values = cut(values, record.range);
        if record.events {
            let events = events(&values);
            indices.push((record.name.clone(), vec![events.len() / 3, 3], events));
        } else {
            floats.push((record.name.clone(), values.shape().to_vec(), values.iter().copied().collect()));
        }
    }
    let mut arrays: Vec<(String, Array)> = Vec::new();
    arrays.extend(floats.iter().map(|(n, s, d)| (n.clone(), Array::F32 { shape: s.clone(), data: d })));
    arrays.extend(indices.iter().map(|(n, s, d)| (n.clone(), Array::U32 { shape: s.clone(), data: d })));
    let path = dir.join(format!("{}.npz", runner.model(job).name));
    write_npz(&path, &arrays)?;
    Ok(format!("recorded {} arrays in {}\n", arrays.len(), path.display()))
}

/// Keeps a range of the last axis.
fn cut(values: ArrayD<f32>, range: Option<(usize, usize)>) -> ArrayD<f32> {
    let Some((start, end)) = range else { return values };
    let axis = ndarray::Axis(values.ndim().saturating_sub(1));
    values.slice_axis(axis, ndarray::Slice::from(start..end)).to_owned()
}

/// `[step, sample, index]` of every value that is not 0.
fn events(values: &ArrayD<f32>) -> Vec<u32> {
    let mut list = Vec::new();
    for (place, v) in values.indexed_iter() {
        if *v != 0.0 {
            let at = |axis: usize| if axis < place.ndim() { place[axis] as u32 } else { 0 };
            list.extend([at(0), at(1), at(2)]);
        }
    }
    list
}
