//! `sweep`: runs the jobs of a file for all combinations of values of its parameters and for several seeds, and says how certain
//! the results are. What is run is in `grid`, when a run is solved in `solved`, the statistics in `stats` and `gamma`, what is printed in `table`.

mod gamma;
mod grid;
mod solved;
mod stats;
mod table;

use crate::args::{Common, Shared, Sweep};
use crate::job::{Runner, STOP};
use crate::load::{Failure, load};
use crate::report::{self, JobReport};
use grid::{Grid, Success, wrong};
use snn_compiler::diag::suggest::closest;
use snn_compiler::hir::JobKind;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// One run: a combination of values and a seed.
pub struct Trial {
    /// Index of the combination.
    pub row: usize,
    /// Seed of all jobs, if the sweep gives one.
    pub seed: Option<u64>,
    /// Metrics by name, or the error that ended the run.
    pub result: Result<Vec<(String, f64)>, Ended>,
    /// Epoch in which it was solved, if it was and that is known.
    pub solved_at: Option<usize>,
    /// Seconds of the run.
    pub seconds: f64,
}

/// Why a run failed.
pub struct Ended {
    /// Code of the error.
    pub code: String,
    /// Its message without place and help.
    pub message: String,
}

/// A sweep with the runs that are done.
pub struct Results {
    /// What is run.
    pub grid: Grid,
    /// What counts as a success.
    pub success: Option<Success>,
    /// Runs that are done, in order.
    pub trials: Vec<Trial>,
}

/// How long runs may go on before the table on disk is renewed.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Runs the sweep; prints the table, and the object of `--json`. Gives the exit code.
pub fn sweep(s: &Sweep) -> i32 {
    let mut results = None;
    let failure = start(s, &mut results).err();
    if let Some(results) = results.as_ref().filter(|r| !s.shared.json && !r.trials.is_empty()) {
        report::out(&table::text(results));
    }
    if let Some(failure) = &failure {
        eprintln!("{}", failure.text);
    }
    if s.shared.json {
        let errors = failure.as_ref().map_or(&[][..], |f| &f.errors);
        let object = table::object(&s.file.display().to_string(), results.as_ref(), errors);
        report::out(&format!("{object}\n"));
    }
    i32::from(failure.is_some())
}

/// Reads and checks everything, then runs. What was done before a failure is in `results`.
fn start(s: &Sweep, results: &mut Option<Results>) -> Result<(), Failure> {
    let grid = Grid::new(&s.params)?;
    let success = s.success.as_deref().map(Success::new).transpose()?;
    check(s, &grid)?;
    let results = results.insert(Results { grid, success, trials: Vec::new() });
    let done = run(s, results);
    save(s, results)?;
    done
}

/// Whether the file is right with every value, and its data are there: mistakes end the sweep before it begins.
fn check(s: &Sweep, grid: &Grid) -> Result<(), Failure> {
    let first = grid.combinations().swap_remove(0);
    for (at, (_, values)) in grid.params.iter().enumerate() {
        // A list of one value, or the first ones, are checked below.
        for value in &values[1..] {
            let mut one = first.clone();
            one[at] = value;
            load(&s.file, &common(s, grid, &one, None))?;
        }
    }
    let common = common(s, grid, &first, None);
    let loaded = load(&s.file, &common)?;
    let jobs = &loaded.checked.program.jobs;
    if jobs.is_empty() {
        let help = "write `train`, `evaluate` or `simulate`; see docs/language.md".to_string();
        return Err(Failure::plain("E0912", "the file has no job to run", Some(help)));
    }
    let trains = |model| jobs.iter().any(|job| job.kind == JobKind::Train && job.model == model);
    if let Some(job) = jobs.iter().find(|job| job.kind == JobKind::Evaluate && !trains(job.model)) {
        let name = &loaded.checked.program.models[job.model.idx()].name;
        let help = format!("a sweep trains anew for each seed: write `train {name} on …` before `evaluate`");
        return Err(Failure::plain("E0912", format!("there is no training of `{name}`"), Some(help)));
    }
    let mut runner = Runner::new(&loaded, &common)?;
    jobs.iter().try_for_each(|job| runner.split(job).map(drop))
}

/// Options of one run.
fn common(s: &Sweep, grid: &Grid, values: &[&str], seed: Option<u64>) -> Common {
    let params = grid.params.iter().zip(values).map(|((name, _), value)| format!("{name}={value}"));
    Common {
        seed,
        params: params.collect(),
        shared: Shared { quiet: true, json: false, ..s.shared.clone() },
        memory: s.memory,
        ..Common::default()
    }
}

fn run(s: &Sweep, results: &mut Results) -> Result<(), Failure> {
    let combinations = results.grid.combinations().len();
    let total = combinations * results.grid.seeds.len();
    let mut saved = Instant::now();
    for row in 0..combinations {
        for seed in results.grid.seeds.clone() {
            if STOP.load(Ordering::Relaxed) {
                return Err(interrupted(results.trials.len(), total));
            }
            let start = Instant::now();
            let result = one(s, results, row, seed);
            if STOP.load(Ordering::Relaxed) && result.is_err() {
                return Err(interrupted(results.trials.len(), total));
            }
            let seconds = start.elapsed().as_secs_f64();
            let (result, solved_at) = match result {
                Ok((metrics, solved_at)) => (Ok(metrics), solved_at),
                Err(failure) => (Err(ended(&failure)), None),
            };
            results.trials.push(Trial { row, seed, result, solved_at, seconds });
            say(s, results, total);
            known_metric(results)?;
            if saved.elapsed() > SAVE_EVERY {
                save(s, results)?;
                saved = Instant::now();
            }
        }
    }
    Ok(())
}

fn ended(failure: &Failure) -> Ended {
    let field = |name: &str| failure.errors.first().and_then(|e| e[name].as_str()).map(String::from);
    let message = field("message").unwrap_or_else(|| failure.text.clone());
    Ended { code: field("code").unwrap_or_else(|| "error".to_string()), message }
}

fn interrupted(done: usize, total: usize) -> Failure {
    let help = Some("what is done is kept; the table is of these runs".to_string());
    Failure::plain("E0913", format!("interrupted after {done} of {total} runs"), help)
}

/// Metrics by name, and the epoch in which the run was solved.
type Found = (Vec<(String, f64)>, Option<usize>);

/// One run.
fn one(s: &Sweep, results: &Results, row: usize, seed: Option<u64>) -> Result<Found, Failure> {
    let grid = &results.grid;
    let common = common(s, grid, &grid.combinations()[row], seed);
    let loaded = load(&s.file, &common)?;
    let mut runner = Runner::new(&loaded, &common)?;
    let jobs = &loaded.checked.program.jobs;
    let mut reports = Vec::new();
    for job in jobs {
        reports.push(runner.job(job)?);
    }
    let metrics = metrics(&reports);
    let solved = results.success.as_ref().and_then(|c| solved::solved_at(c, jobs, &reports, &metrics));
    Ok((metrics, solved))
}

/// Metrics of all jobs by their names.
fn metrics(reports: &[JobReport]) -> Vec<(String, f64)> {
    let of = |(at, report): (usize, &JobReport)| {
        report.metrics.iter().map(|(name, value)| (named(reports, at, name), *value)).collect::<Vec<_>>()
    };
    reports.iter().enumerate().flat_map(of).collect()
}

/// What a metric of a job is called: `accuracy` if one job has it, else `train.accuracy`, `evaluate.accuracy`, a second evaluation `evaluate2.…`.
fn named(reports: &[JobReport], at: usize, name: &str) -> String {
    let job = reports[at].job;
    let before = reports[..at].iter().filter(|r| r.job == job).count();
    let job = if before == 0 { job.to_string() } else { format!("{job}{}", before + 1) };
    let shared = reports.iter().filter(|r| r.metrics.iter().any(|(n, _)| n == name)).count() > 1;
    if shared { format!("{job}.{name}") } else { name.to_string() }
}

/// A line for a run that is done.
fn say(s: &Sweep, results: &Results, total: usize) {
    if s.shared.quiet || s.shared.json {
        return;
    }
    let Some(trial) = results.trials.last() else { return };
    let values = table::values(&results.grid, trial);
    let end = match &trial.result {
        Err(ended) => format!("failed, {}: {}", ended.code, ended.message),
        Ok(metrics) => {
            let wanted = results.success.as_ref().map(|s| &s.metric[..]);
            let found = table::find(metrics, wanted.unwrap_or("accuracy")).or(metrics.last().cloned());
            found.map_or(String::new(), |(name, value)| format!("{name} {value:.4}"))
        }
    };
    eprintln!("run {}/{total}  {values}  {end}  ({:.1} s)", results.trials.len(), trial.seconds);
}

/// The condition of success must be about a metric that the runs have; the first run without an error tells.
fn known_metric(results: &Results) -> Result<(), Failure> {
    let Some(success) = &results.success else { return Ok(()) };
    let Some(Ok(metrics)) = results.trials.last().map(|trial| &trial.result) else { return Ok(()) };
    if table::find(metrics, &success.metric).is_some() {
        return Ok(());
    }
    let names: Vec<&str> = metrics.iter().map(|(n, _)| &n[..]).filter(|n| !table::is_detail(n)).collect();
    let help = match closest(&success.metric, names.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("they have {}", names.join(", ")),
    };
    Err(wrong(format!("the runs have no metric `{}`", success.metric), &help))
}

fn save(s: &Sweep, results: &Results) -> Result<(), Failure> {
    let Some(path) = &s.csv else { return Ok(()) };
    write(path, &table::csv(results))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    Ok(snn_runtime::record::write_atomic(path, text.as_bytes())?)
}
