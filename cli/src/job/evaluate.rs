//! `evaluate`: metrics of a trained model.

use super::Runner;
use crate::load::Failure;
use crate::report::JobReport;
use snn_compiler::hir::{Job, Model, Part, Source};
use snn_compiler::pipeline::Purpose;
use snn_runtime::engine::{SectionTimes, Weights};
use snn_runtime::train::checkpoint;
use snn_runtime::train::evaluate::{self as metrics, PopulationInfo, Report};
use std::time::Instant;

/// Runs the job.
pub fn evaluate(runner: &mut Runner, job: &Job) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let Some((split, part)) = runner.split(job)? else {
        return Err(Failure::plain(
            "E0912",
            "an evaluation needs data",
            Some("write `evaluate M on d.test`".into()),
        ));
    };
    let data_seconds = start.elapsed().as_secs_f64();
    let data = if part == Part::Train { &split.train } else { &split.test };
    if part != Part::All {
        super::not_empty(Some(data))?;
    }
    let mut ready =
        runner.compile(job, Purpose::Evaluate, job.batch.min(data.samples).max(1), super::facts(data))?;
    let mut weights = Weights::zeroed(ready.engine.program())?;
    let kept = runner.initialize(job, &ready, &mut weights, Some(&split.train))?;
    if !kept {
        untrained(runner, job, &ready, &mut weights)?;
    }
    let populations = populations(runner.model(job));
    let mut times = SectionTimes::default();
    let mut found =
        metrics::evaluate(&mut ready.engine, &mut weights, data, &populations, job.seed, &mut times);
    if part == Part::All {
        let mut rest = metrics::evaluate(
            &mut ready.engine,
            &mut weights,
            &split.train,
            &populations,
            job.seed,
            &mut times,
        );
        std::mem::swap(&mut found, &mut rest);
        merge(&mut found, &rest);
    }
    let mut report = runner.report(job, "evaluate");
    fill(&mut report, job, &found);
    let s = &mut report.seconds;
    (s.compile, s.data, s.forward) = (ready.seconds, data_seconds, times.forward);
    s.total = start.elapsed().as_secs_f64();
    Ok(report)
}

/// Weights from the checkpoint, if there is one.
fn untrained(
    runner: &mut Runner,
    job: &Job,
    ready: &super::Ready,
    weights: &mut Weights,
) -> Result<(), Failure> {
    let model = runner.model(job);
    match runner.checkpoint(job) {
        Some(path) => {
            checkpoint::load(&path, ready.engine.program(), weights, false)?;
            runner.keep(job, weights);
            Ok(())
        }
        None => {
            let message = format!("`{}` has not been trained before this evaluation", model.name);
            let help = "put a `train` job before it, or give the folder of an earlier training with --out"
                .to_string();
            Err(Failure::plain("E0912", message, Some(help)))
        }
    }
}

/// Spiking populations with the synapses that a spike reaches.
pub fn populations(model: &Model) -> Vec<PopulationInfo> {
    let mut list = Vec::new();
    for (idx, pop) in model.populations.iter().enumerate().filter(|(_, p)| p.fires) {
        let from_here = |p: &&snn_compiler::hir::Projection| match p.source {
            Source::Population(source) => source.idx() == idx,
            Source::Input(_) => false,
        };
        let reaches = |p: &snn_compiler::hir::Projection| match p.kind {
            "dense" => model.populations[p.target.idx()].shape.iter().product::<usize>() as f64,
            // The mean over the neurons of the source.
            _ if let Some(over) = p.over => {
                over.connections() as f64 / pop.shape.iter().product::<usize>() as f64
            }
            _ => 1.0,
        };
        let fan_out = model.projections.iter().filter(from_here).map(reaches).sum();
        list.push(PopulationInfo { name: pop.name.clone(), neurons: pop.shape.iter().product(), fan_out });
    }
    list
}

fn merge(a: &mut Report, b: &Report) {
    let (n, m) = (a.samples as f64, b.samples as f64);
    let mean = |x: f64, y: f64| (x * n + y * m) / (n + m).max(1.0);
    a.loss = a.loss.zip(b.loss).map(|(x, y)| mean(x, y));
    a.accuracy = a.accuracy.zip(b.accuracy).map(|(x, y)| mean(x, y));
    a.synops = mean(a.synops, b.synops);
    for ((_, x), (_, y)) in a.rates.iter_mut().zip(&b.rates) {
        *x = mean(*x, *y);
    }
    for (x, y) in a.confusion.iter_mut().flatten().zip(b.confusion.iter().flatten()) {
        *x += y;
    }
    a.samples += b.samples;
}

fn fill(report: &mut JobReport, job: &Job, found: &Report) {
    let asked = |name: &str| job.metrics.iter().any(|m| m == name);
    report.metrics.push(("samples".into(), found.samples as f64));
    report.metrics.extend(found.accuracy.map(|a| ("accuracy".to_string(), a)));
    report.metrics.extend(found.loss.map(|l| ("loss".to_string(), l)));
    for (name, rate) in &found.rates {
        // Spikes per neuron and step; in Hz with the length of a step.
        report.metrics.push((format!("rate.{name}"), *rate));
        if asked("rate") {
            report.metrics.push((format!("rate_hz.{name}"), rate / job.dt));
        }
        if asked("sparsity") {
            report.metrics.push((format!("sparsity.{name}"), 1.0 - rate));
        }
    }
    if asked("synops") {
        report.metrics.push(("synops".into(), found.synops));
    }
    if asked("confusion") {
        report.text.push_str("confusion (rows: class, columns: prediction)\n");
        for row in &found.confusion {
            let cells: Vec<String> = row.iter().map(|n| format!("{n:5}")).collect();
            report.text.push_str(&format!("{}\n", cells.join("")));
        }
        for (class, row) in found.confusion.iter().enumerate() {
            for (guess, n) in row.iter().enumerate().filter(|(_, n)| **n > 0) {
                report.metrics.push((format!("confusion.{class}.{guess}"), *n as f64));
            }
        }
    }
}
