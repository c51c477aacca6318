//! `bench`: what one training step and one inference of each training of a file cost, on one fixed batch. It measures; it
//! compares with nothing.
//!
//! A time is that of one step, averaged over a block of steps that lasts about [`BLOCK`]; reported are the least and the median of
//! [`BLOCKS`] blocks, in wall and in CPU time of the whole process. On a machine with other work, CPU time of one thread is the
//! one to trust.

mod loops;

use crate::job::{Ready, Runner, facts};
use crate::load::Failure;
use crate::report::JobReport;
use cpu_time::ProcessTime;
use snn_compiler::hir::{Job, JobKind};
use snn_compiler::pipeline::{self, Purpose};
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::data::Dataset;
use snn_runtime::data::batch::Batcher;
use snn_runtime::engine::{Call, Engine, SectionTimes, Weights};
use snn_runtime::kernels::{laps, roofline::Roofline};
use snn_runtime::pool::Pool;
use snn_runtime::rng;
use std::sync::Arc;
use std::time::Instant;

/// Seconds of a block.
const BLOCK: f64 = 0.25;
/// Blocks.
const BLOCKS: usize = 7;
/// Steps from the first weights on before they are put back.
const FRESH: usize = 32;
/// Steps of a block at most.
const MOST: usize = 10_000;

/// Measures every training of a file.
pub fn bench(runner: &mut Runner) -> Result<Vec<JobReport>, Failure> {
    let jobs: Vec<Job> = runner.loaded.checked.program.jobs.clone();
    let mut reports = Vec::new();
    for job in jobs.iter().filter(|job| job.kind == JobKind::Train) {
        reports.push(training(runner, job)?);
    }
    if reports.is_empty() {
        let help = Some("write a `train` job: one of its steps is what is measured".to_string());
        return Err(Failure::plain("E0912", "there is no training to measure", help));
    }
    Ok(reports)
}

fn training(runner: &mut Runner, job: &Job) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let Some((split, _)) = runner.split(job)? else {
        return Err(Failure::plain("E0912", "the training has no data", None));
    };
    let mut report = runner.report(job, "train");
    report.job = "bench";
    report.seconds.data = start.elapsed().as_secs_f64();
    let data = &split.train;
    let batch = job.batch.min(data.samples).max(1);
    report.metrics.push(("batch".to_string(), batch as f64));
    let roofline = Roofline::measure();
    report.metrics.push(("machine.gop_per_s".to_string(), 1e-9 * roofline.operations));
    for (bytes, rate) in &roofline.bandwidth {
        report.metrics.push((format!("machine.gb_per_s.{:.0}_kib", bytes / 1024.0), 1e-9 * rate));
    }
    let mut tables = String::new();
    for (name, purpose) in [("train", Purpose::Train), ("infer", Purpose::Evaluate)] {
        let mut ready = runner.compile(job, purpose, batch, facts(data))?;
        let mut weights = Weights::zeroed(ready.engine.program())?;
        runner.initialize(job, &ready, &mut weights, Some(data))?;
        let times = measure(&mut ready, &mut weights, job, data, batch)?;
        report.metrics.push((format!("{name}.compile_ms"), 1e3 * ready.seconds));
        let bytes = ready.engine.program().plan.bytes(runner.pool.threads());
        report.metrics.push((format!("{name}.memory_mb"), bytes as f64 / 1e6));
        report.metrics.extend(times.into_iter().map(|(what, ms)| (format!("{name}.{what}"), ms)));
        let laps = by_loop(runner, &ready, &mut weights, job, data, batch, &roofline)?;
        tables.push_str(&loops::table(name, &laps, &roofline));
        for (idx, lap) in laps.iter().enumerate() {
            let key = format!("{name}.loop {idx:03} {}: {}", lap.cost.phase, lap.cost.what);
            let numbers = [
                ("ms", lap.ms),
                ("operations", lap.cost.operations),
                ("bytes", lap.cost.bytes),
                ("bound_ms", lap.bound_ms),
            ];
            report.metrics.extend(numbers.map(|(what, number)| (format!("{key}.{what}"), number)));
        }
    }
    report.seconds.total = start.elapsed().as_secs_f64();
    report.text = table(&report) + &tables;
    Ok(report)
}

/// Times of all statements of a program, by the same code with a watch in it.
fn by_loop(
    runner: &Runner,
    ready: &Ready,
    weights: &mut Weights,
    job: &Job,
    data: &Dataset,
    batch: usize,
    roofline: &Roofline,
) -> Result<Vec<loops::Lap>, Failure> {
    let (program, costs) = pipeline::compile_timed(&ready.staged.net, &runner.options());
    let mut engine = Engine::new(Arc::new(program), Arc::new(Pool::alone()))?;
    let mut steps = Steps::new(&mut engine, weights, job, data, batch)?;
    let turns = steps.count(BLOCK, MOST);
    steps.restart();
    laps::take();
    for _ in 0..turns.div_ceil(FRESH) {
        steps.run(FRESH, &mut SectionTimes::default());
        steps.restart();
    }
    let turns = (turns.div_ceil(FRESH) * FRESH) as f64;
    let seconds: Vec<f64> = laps::take().into_iter().map(|s| s / turns).collect();
    Ok(loops::laps(costs, &seconds, roofline))
}

/// Steps on the first samples, each time from the same weights: training changes how many neurons fire, and what a step costs
/// would depend on how many were measured.
struct Steps<'a> {
    engine: &'a mut Engine,
    batcher: Batcher<'a>,
    weights: &'a mut Weights,
    first: Weights,
    seed: u64,
    batch: usize,
}

impl<'a> Steps<'a> {
    fn new(
        engine: &'a mut Engine,
        weights: &'a mut Weights,
        job: &Job,
        data: &'a Dataset,
        batch: usize,
    ) -> Result<Steps<'a>, Failure> {
        let mut batcher = Batcher::new(data, engine.program())?;
        batcher.fill(&(0..batch as u32).collect::<Vec<_>>());
        let first = weights.duplicate()?;
        Ok(Steps { engine, batcher, weights, first, seed: job.seed, batch })
    }

    fn run(&mut self, steps: usize, times: &mut SectionTimes) {
        for update in 1..=steps as u64 {
            let mut scalars = [0.0; SCALARS];
            scalars[Scalar::Epochs as usize] = 1.0;
            scalars[Scalar::Update as usize] = update as f32;
            let call = Call { key: rng::key(self.seed, 6, update), count: self.batch, scalars };
            self.engine.run(self.weights, &call, &self.batcher.inputs(), times);
        }
    }

    fn restart(&mut self) {
        self.weights.copy_from(&self.first);
    }

    /// Steps that take about so many seconds.
    fn count(&mut self, seconds: f64, most: usize) -> usize {
        let mut times = SectionTimes::default();
        self.run(2, &mut times);
        let one = Instant::now();
        self.run(1, &mut times);
        ((seconds / one.elapsed().as_secs_f64().max(1e-9)) as usize).clamp(1, most)
    }
}

/// Milliseconds of a step by what they are.
fn measure(
    ready: &mut Ready,
    weights: &mut Weights,
    job: &Job,
    data: &Dataset,
    batch: usize,
) -> Result<Vec<(&'static str, f64)>, Failure> {
    let mut steps = Steps::new(&mut ready.engine, weights, job, data, batch)?;
    let rounds = steps.count(BLOCK, MOST).div_ceil(FRESH);
    let mut times = SectionTimes::default();
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    let inner = rounds * FRESH;
    for _ in 0..BLOCKS {
        let (mut wall_seconds, mut cpu_seconds) = (0.0, 0.0);
        for _ in 0..rounds {
            steps.restart();
            let (wall_start, cpu_start) = (Instant::now(), ProcessTime::now());
            steps.run(FRESH, &mut times);
            wall_seconds += wall_start.elapsed().as_secs_f64();
            cpu_seconds += cpu_start.elapsed().as_secs_f64();
        }
        wall.push(1e3 * wall_seconds / inner as f64);
        cpu.push(1e3 * cpu_seconds / inner as f64);
    }
    steps.restart();
    let sections = 1e3 / (BLOCKS * inner) as f64;
    wall.sort_by(f64::total_cmp);
    cpu.sort_by(f64::total_cmp);
    Ok(vec![
        ("wall_min_ms", wall[0]),
        ("wall_med_ms", wall[BLOCKS / 2]),
        ("cpu_min_ms", cpu[0]),
        ("cpu_med_ms", cpu[BLOCKS / 2]),
        ("forward_ms", sections * times.forward),
        ("backward_ms", sections * times.backward),
        ("update_ms", sections * times.update),
    ])
}

fn table(report: &JobReport) -> String {
    let batch = report.metrics.iter().find(|(name, _)| name == "batch").map_or(0.0, |(_, batch)| *batch);
    let mut text = format!("bench {} (batches of {batch}, {} threads)\n", report.model, report.threads);
    text.push_str(&format!("{:<16} {:>12} {:>12}\n", "", "train", "infer"));
    let names = report.metrics.iter().filter_map(|(name, _)| name.strip_prefix("train."));
    let names = names.filter(|name| !name.starts_with("loop "));
    for name in names {
        let value = |kind: &str| {
            let name = format!("{kind}.{name}");
            report.metrics.iter().find(|(n, _)| *n == name).map_or(f64::NAN, |(_, value)| *value)
        };
        text.push_str(&format!("{name:<16} {:>12.3} {:>12.3}\n", value("train"), value("infer")));
    }
    text
}
