//! `diag jacobian`: the derivative of the trained weights by the first ones, through the whole training (Belrose & Scherlis, "Understanding
//! gradient descent through the training Jacobian"). By central differences: each number is moved up and down, and the training run again, in
//! the 32 bits in which it always runs; what that costs in digits is measured at twice the step. No tangents through the optimizer.

use super::{Course, End, Nobody, wrong};
use crate::args::Jacobian;
use crate::job::Runner;
use crate::load::Failure;
use crate::numbers::wide;
use crate::report::{self, JobReport};
use snn_compiler::interp::matrix::{Matrix, singular_cosines};
use snn_compiler::net::Net;
use snn_compiler::step::{Graph, Op};
use std::time::Instant;

/// Most trained numbers: each costs two trainings, and singular values the third power.
const NUMBERS_MAX: usize = 1000;
/// Columns that are measured once more, at twice the step.
const CHECKED: usize = 8;
/// From which relative difference of those on the columns are called unsure.
const UNSURE: f64 = 0.1;

/// Singular values by how far they are from 1.
struct Spectrum {
    /// Largest first, each with the absolute cosine between its left and its right vector.
    all: Vec<(f64, f64)>,
    delta: f64,
}

impl Spectrum {
    /// Values for which the distance from 1 upwards holds.
    fn part(&self, holds: impl Fn(f64) -> bool) -> Vec<(f64, f64)> {
        self.all.iter().copied().filter(|(sigma, _)| holds(sigma - 1.0)).collect()
    }

    fn chaotic(&self) -> Vec<(f64, f64)> {
        self.part(|off| off > self.delta)
    }

    fn bulk(&self) -> Vec<(f64, f64)> {
        self.part(|off| off.abs() <= self.delta)
    }

    fn stable(&self) -> Vec<(f64, f64)> {
        self.part(|off| off < -self.delta)
    }

    fn elsewhere(&self) -> Vec<(f64, f64)> {
        self.part(|off| off.abs() > self.delta)
    }
}

/// The mean of the cosines of some singular values; none if there are none.
fn alignment(part: &[(f64, f64)]) -> Option<f64> {
    (!part.is_empty()).then(|| part.iter().map(|(_, cosine)| cosine).sum::<f64>() / part.len() as f64)
}

/// Runs the diagnosis.
pub fn jacobian(runner: &mut Runner, j: &Jacobian) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let mut course = Course::new(runner)?;
    check(runner, &course)?;
    let numbers = numbers(runner, &course, j.step);
    // A training that diverges is told as such before it is run a thousand times.
    course.reference(runner, &mut Nobody)?;
    let mut columns = Vec::new();
    for (at, &(param, element, step)) in numbers.iter().enumerate() {
        columns.push(column(runner, &mut course, (param, element), step)?);
        say(j, at + 1, numbers.len());
    }
    let error = error(runner, &mut course, &numbers, &columns)?;
    let n = numbers.len();
    let matrix = Matrix::from_fn(n, n, |to, from| columns[from][to]);
    let all = singular_cosines(&matrix).into_iter().map(|(sigma, cosine)| (sigma, cosine.abs())).collect();
    let spectrum = Spectrum { all, delta: j.delta };
    let mut report = runner.report(&course.job, "jacobian");
    report.metrics = metrics(&course, &spectrum, error);
    report.text = text(&course, &spectrum, error);
    if error > UNSURE {
        let advice = "derivatives are unsure: at twice the step they are others. Try another --step; where rectifiers switch or rounding is \
                      amplified there may be none that fits, and `snnc diag butterfly` says more";
        report.text.push_str(&format!("\nadvice: {advice}\n"));
        report.advice.push(advice.to_string());
    }
    report.seconds.compile = course.ready.seconds;
    report.seconds.total = start.elapsed().as_secs_f64();
    Ok(report)
}

/// E0916 if the training has too many numbers, none, or spikes.
fn check(runner: &Runner, course: &Course) -> Result<(), Failure> {
    let program = course.ready.engine.program();
    let n: usize = course.trained(runner).iter().map(|idx| course.first.param(program, *idx).len()).sum();
    let butterfly = "`snnc diag butterfly` asks a similar question of any training";
    let name = &runner.model(&course.job).name;
    if fires(&course.ready.staged.net) {
        let title = format!(
            "`{name}` has spikes: what it becomes jumps with its first weights and has no derivative"
        );
        return Err(wrong(title, butterfly));
    }
    if n > NUMBERS_MAX {
        let title = format!("`{name}` has {n} trained numbers, at most {NUMBERS_MAX} are possible");
        let help = format!("each of them costs two trainings: make the network smaller; {butterfly}");
        return Err(wrong(title, help));
    }
    if n == 0 || course.updates() == 0 {
        return Err(wrong("nothing is trained", "the job needs epochs, and the model parameters"));
    }
    Ok(())
}

/// Whether there is a spike in a net.
fn fires(net: &Net) -> bool {
    let has = |graph: &Graph| graph.nodes.iter().any(|node| matches!(node.op, Op::Spike { .. }));
    has(&net.graph) || net.scans.iter().any(|scan| has(&scan.body))
}

/// All trained numbers: parameter, element, and how far it is moved. Parameters that start with zeros are moved as far as all are in the mean.
fn numbers(runner: &Runner, course: &Course, step: f64) -> Vec<(usize, usize, f64)> {
    let program = course.ready.engine.program();
    let trained = course.trained(runner);
    let of = |idx: usize| wide(course.first.param(program, idx));
    let mean = |values: &mut dyn Iterator<Item = f64>| {
        let (n, squares) = values.fold((0.0f64, 0.0), |(n, sum), v| (n + 1.0, sum + v * v));
        (squares / n.max(1.0)).sqrt()
    };
    let overall = mean(&mut trained.iter().flat_map(|idx| of(*idx)));
    let size = |idx: usize| [mean(&mut of(idx)), overall, 1.0].into_iter().find(|size| *size > 0.0);
    let moved = |idx: usize| step * size(idx).expect("the last one is");
    trained.iter().flat_map(|&idx| (0..of(idx).count()).map(move |k| (idx, k, moved(idx)))).collect()
}

/// What the trained weights change by for a change of one number, by central differences.
fn column(
    runner: &Runner,
    course: &mut Course,
    (param, element): (usize, usize),
    step: f64,
) -> Result<Vec<f64>, Failure> {
    let trained = course.trained(runner);
    let program = course.ready.engine.program_arc();
    let mut at = |direction: f64| {
        let mut weights = course.first.duplicate()?;
        let number = &mut weights.param_mut(&program, param)[element];
        *number = (f64::from(*number) + direction * step) as f32;
        let begin = f64::from(*number);
        match course.train(runner, &mut weights, 0, &mut Nobody)? {
            End::Diverged(failure) => Err(failure),
            End::Done => {
                let end = trained.iter().flat_map(|idx| wide(weights.param(&program, *idx)));
                Ok((begin, end.collect::<Vec<f64>>()))
            }
        }
    };
    let (up, down) = (at(1.0)?, at(-1.0)?);
    // The numbers that were moved are those of 32 bits.
    Ok(up.1.iter().zip(&down.1).map(|(a, b)| (a - b) / (up.0 - down.0)).collect())
}

/// Relative difference of some columns to those at twice the step: too large a step and too much rounding show alike.
fn error(
    runner: &Runner,
    course: &mut Course,
    numbers: &[(usize, usize, f64)],
    columns: &[Vec<f64>],
) -> Result<f64, Failure> {
    let (mut off, mut size) = (0.0, 0.0);
    let n = numbers.len();
    for at in (0..CHECKED.min(n)).map(|k| k * n / CHECKED.min(n)) {
        let (param, element, step) = numbers[at];
        let other = column(runner, course, (param, element), 2.0 * step)?;
        off += columns[at].iter().zip(&other).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        size += columns[at].iter().map(|a| a * a).sum::<f64>();
    }
    Ok((off / size).sqrt())
}

/// A line for each tenth.
fn say(j: &Jacobian, done: usize, total: usize) {
    let shared = &j.run.common.shared;
    if !shared.quiet && !shared.json && 10 * done / total > 10 * (done - 1) / total {
        eprintln!("number {done}/{total}");
    }
}

fn metrics(course: &Course, s: &Spectrum, error: f64) -> Vec<(String, f64)> {
    let counts = [("chaotic", s.chaotic()), ("bulk", s.bulk()), ("stable", s.stable())];
    let mut list =
        vec![("numbers".to_string(), s.all.len() as f64), ("updates".to_string(), course.updates() as f64)];
    list.extend(counts.iter().map(|(name, part)| (name.to_string(), part.len() as f64)));
    let parts = [("bulk", s.bulk()), ("elsewhere", s.elsewhere())];
    list.extend(
        parts.iter().filter_map(|(name, part)| Some((format!("alignment.{name}"), alignment(part)?))),
    );
    list.push(("error".to_string(), error));
    for (k, (sigma, cosine)) in s.all.iter().enumerate() {
        list.push((format!("sigma.{k}"), *sigma));
        list.push((format!("alignment.{k}"), *cosine));
    }
    list
}

fn text(course: &Course, s: &Spectrum, error: f64) -> String {
    let n = s.all.len();
    let mut out = format!(
        "derivative of {n} trained weights by their first values, through {} updates\n\n",
        course.updates()
    );
    let head = ["singular values", "number", "share", "alignment"];
    let mut table = vec![head.map(String::from).to_vec()];
    let (low, high) = (1.0 - s.delta, 1.0 + s.delta);
    let rows = [
        (format!("above {high}: chaotic"), s.chaotic()),
        (format!("{low} to {high}: bulk"), s.bulk()),
        (format!("below {low}: stable"), s.stable()),
        ("all but the bulk".to_string(), s.elsewhere()),
    ];
    for (name, part) in rows {
        let cosine = alignment(&part).map_or("-".to_string(), |cosine| format!("{cosine:.3}"));
        let share = format!("{:.1} %", 100.0 * part.len() as f64 / n as f64);
        table.push(vec![name, part.len().to_string(), share, cosine]);
    }
    out.push_str(&report::aligned(&table));
    out.push_str("alignment: the mean absolute cosine between left and right singular vectors; 1 where training leaves a direction as it is\n\n");
    let quantiles = [0, 5, 25, 50, 75, 95, 100].map(|percent| {
        let at = percent * (n - 1) / 100;
        format!("{percent} %: {:.3e}", s.all[at].0)
    });
    out.push_str(&format!("singular values from the largest: {}\n", quantiles.join("   ")));
    out.push_str(&format!("derivatives at twice the step differ by {:.2} % of their norm\n", 100.0 * error));
    out
}
