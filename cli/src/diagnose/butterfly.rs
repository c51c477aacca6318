//! `diag butterfly`: how much becomes of a small perturbation of the weights (Altintas et al., "The butterfly effect", and the release that
//! comes with it). The training goes to a step, a copy of the weights is perturbed there, and both go on with the same batches and the same
//! noise; at the end they are compared: how far apart they are, and whether a barrier of the loss is between them. Neither weights aligned by
//! permutation nor similarities of representations are computed.

use super::line::{Line, POINTS, barrier, share};
use super::noise::{Arrived, Noise};
use super::{Course, End, wrong};
use crate::args::{Butterfly, Moment, Part};
use crate::job::{Runner, not_empty};
use crate::load::Failure;
use crate::numbers::{norm, wide};
use crate::report::{self, JobReport};
use snn_runtime::data::Dataset;
use snn_runtime::engine::Weights;
use snn_runtime::error::RuntimeError;
use snn_runtime::program::Program;
use snn_runtime::train::trainer::{Epoch, Observer};
use std::time::Instant;

/// A perturbed training beside the one that was not.
struct Pair {
    /// Updates before the perturbation.
    at: u64,
    scale: f64,
    arrived: Arrived,
    /// None if the perturbed training diverged.
    apart: Option<Apart>,
}

/// How two trained networks differ.
struct Apart {
    /// Norm of the difference by the norm of the first values: of all trained parameters, and of each that does not start with zeros.
    distance: f64,
    each: Vec<Option<f64>>,
    line: Line,
    /// Share of samples to which they give different answers; none without classes.
    disagreement: Option<f64>,
}

/// What all pairs have in common.
struct Setting<'s> {
    b: &'s Butterfly,
    noise: Noise,
    trained: Vec<usize>,
    names: Vec<String>,
    /// Norm of the first values of all trained parameters.
    length: f64,
    updates: u64,
}

/// Runs the diagnosis: a report for each step and scale, with the table in the first.
pub fn butterfly(runner: &mut Runner, b: &Butterfly) -> Result<Vec<JobReport>, Failure> {
    let start = Instant::now();
    let mut course = Course::new(runner)?;
    let split = course.split.clone();
    let data = match b.on {
        Part::Train => &split.train,
        Part::Test => &split.test,
    };
    not_empty(Some(data))?;
    let trained = course.trained(runner);
    let (program, params) = (course.ready.engine.program(), &runner.model(&course.job).params);
    let setting = Setting {
        b,
        noise: Noise::new(runner, &course, b)?,
        names: trained.iter().map(|idx| params[*idx].name.clone()).collect(),
        length: norm(trained.iter().flat_map(|idx| wide(course.first.param(program, *idx)))),
        updates: course.updates(),
        trained,
    };
    let steps = steps(b, setting.updates)?;
    let mut snapshots = Snapshots::new(&steps, course.of_epoch());
    let mut end = course.reference(runner, &mut snapshots)?;
    if let Some(error) = snapshots.failed {
        return Err(error.into());
    }
    let answers = course.answers(&mut end, data);
    let mut pairs = Vec::new();
    for &at in &steps {
        for &scale in &b.scale {
            let apart = pair(runner, &mut course, &setting, (&snapshots, &end, &answers), data, (at, scale))?;
            pairs.push(apart);
            say(&setting, pairs.last().expect("just made"), (pairs.len(), steps.len() * b.scale.len()));
        }
    }
    let mut reports: Vec<JobReport> = pairs
        .iter()
        .map(|pair| JobReport { metrics: metrics(&setting, pair), ..runner.report(&course.job, "butterfly") })
        .collect();
    if let Some(first) = reports.first_mut() {
        first.text = text(&course, &setting, &pairs);
        first.seconds.compile = course.ready.seconds;
        first.seconds.total = start.elapsed().as_secs_f64();
    }
    Ok(reports)
}

/// The steps of `--at`, each once. E0916 if the training does not have one.
fn steps(b: &Butterfly, updates: u64) -> Result<Vec<u64>, Failure> {
    let mut steps = Vec::new();
    for moment in &b.at {
        let step = match *moment {
            Moment::Update(step) => step,
            Moment::Share(share) => ((share * updates as f64).round() as u64).min(updates.saturating_sub(1)),
        };
        if step >= updates {
            let help = "steps are counted from 0; a share of the training is written 25%";
            return Err(wrong(
                format!("the training has {updates} updates: there is none after {step}"),
                help,
            ));
        }
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    Ok(steps)
}

/// The weights at the starts of the epochs from which perturbed trainings go on.
struct Snapshots {
    of_epoch: u64,
    wanted: Vec<usize>,
    /// By epoch (from 0).
    all: Vec<(usize, Weights)>,
    /// E0908 if there was no memory for them.
    failed: Option<RuntimeError>,
}

impl Snapshots {
    fn new(steps: &[u64], of_epoch: u64) -> Snapshots {
        let wanted = steps.iter().map(|step| (step / of_epoch.max(1)) as usize).collect();
        Snapshots { of_epoch, wanted, all: Vec::new(), failed: None }
    }

    /// The epoch in which an update is made, and the weights at its start.
    fn before(&self, update: u64) -> (usize, &Weights) {
        let epoch = (update / self.of_epoch) as usize;
        let found = self.all.iter().find(|(of, _)| *of == epoch).expect("the training went through it");
        (epoch, &found.1)
    }
}

impl Observer for Snapshots {
    fn batch(&mut self, _epoch: usize, _done: usize, _total: usize) {}

    fn epoch(&mut self, _epoch: &Epoch) {}

    fn weights(&mut self, updates: u64, weights: &mut Weights) {
        let epoch = (updates / self.of_epoch) as usize;
        if updates.is_multiple_of(self.of_epoch) && self.wanted.contains(&epoch) {
            match weights.duplicate() {
                Ok(copy) => self.all.push((epoch, copy)),
                Err(error) => self.failed = Some(error),
            }
        }
    }
}

/// Adds the noise when its time has come.
struct Perturber<'p> {
    at: u64,
    scale: f64,
    noise: &'p Noise,
    program: std::sync::Arc<Program>,
    arrived: Arrived,
}

impl Observer for Perturber<'_> {
    fn batch(&mut self, _epoch: usize, _done: usize, _total: usize) {}

    fn epoch(&mut self, _epoch: &Epoch) {}

    fn weights(&mut self, updates: u64, weights: &mut Weights) {
        if updates == self.at {
            self.arrived = self.noise.add(&self.program, weights, self.scale);
        }
    }
}

fn pair(
    runner: &Runner,
    course: &mut Course,
    setting: &Setting,
    (snapshots, end, answers): (&Snapshots, &Weights, &[usize]),
    data: &Dataset,
    (at, scale): (u64, f64),
) -> Result<Pair, Failure> {
    let (epoch, before) = snapshots.before(at);
    let mut weights = before.duplicate()?;
    let program = course.ready.engine.program_arc();
    let mut perturber =
        Perturber { at, scale, noise: &setting.noise, program: program.clone(), arrived: Arrived::default() };
    let ended = course.train(runner, &mut weights, epoch, &mut perturber)?;
    let arrived = perturber.arrived;
    if let End::Diverged(_) = ended {
        return Ok(Pair { at, scale, arrived, apart: None });
    }
    let difference = |idx: usize| {
        let both = wide(end.param(&program, idx)).zip(wide(weights.param(&program, idx)));
        norm(both.map(|(a, b)| a - b))
    };
    let apart: Vec<f64> = setting.trained.iter().map(|idx| difference(*idx)).collect();
    let each = setting.trained.iter().zip(&apart).map(|(idx, apart)| {
        let first = norm(wide(course.first.param(&program, *idx)));
        (first > 0.0).then(|| apart / first)
    });
    let (distance, each) = (norm(apart.iter().copied()) / setting.length, each.collect());
    let line = course.line(runner, (end, &weights), data)?;
    let others = course.answers(&mut weights, data);
    let differ = answers.iter().zip(&others).filter(|(a, b)| a != b).count();
    let disagreement = (!answers.is_empty()).then(|| differ as f64 / answers.len() as f64);
    Ok(Pair { at, scale, arrived, apart: Some(Apart { distance, each, line, disagreement }) })
}

/// A line for a training that is done.
fn say(setting: &Setting, pair: &Pair, (done, total): (usize, usize)) {
    let shared = &setting.b.run.common.shared;
    if !shared.quiet && !shared.json {
        let end = pair
            .apart
            .as_ref()
            .map_or("diverged".to_string(), |apart| format!("distance {:.4}", apart.distance));
        eprintln!(
            "training {done}/{total}  perturbed after {} updates by {}  {end}",
            pair.at,
            scale(pair.scale)
        );
    }
}

fn metrics(setting: &Setting, pair: &Pair) -> Vec<(String, f64)> {
    let mut list = Vec::new();
    let mut add = |name: &str, value: f64| list.push((name.to_string(), value));
    add("at", pair.at as f64);
    add("share", pair.at as f64 / setting.updates as f64);
    add("scale", pair.scale);
    add("perturbation", pair.arrived.norm / setting.length);
    add("changed", pair.arrived.changed as f64);
    add("dropped", pair.arrived.dropped as f64);
    add("diverged", f64::from(u8::from(pair.apart.is_none())));
    let Some(apart) = &pair.apart else { return list };
    add("distance", apart.distance);
    for (name, distance) in setting.names.iter().zip(&apart.each) {
        if let Some(distance) = distance {
            add(&format!("distance.{name}"), *distance);
        }
    }
    let curves = [("loss", Some(&apart.line.loss)), ("error", apart.line.error.as_ref())];
    for (name, curve) in curves.into_iter().filter_map(|(name, curve)| Some((name, curve?))) {
        let (height, along) = barrier(curve);
        add(&format!("barrier.{name}"), height);
        add(&format!("barrier.{name}.place"), along);
        for (point, value) in curve.iter().enumerate() {
            add(&format!("line.{name}.{:.2}", share(point)), *value);
        }
    }
    if let Some(share) = apart.disagreement {
        add("disagreement", share);
    }
    list
}

fn text(course: &Course, setting: &Setting, pairs: &[Pair]) -> String {
    let b = setting.b;
    let params: Vec<&str> =
        setting.noise.params().map(|idx| &course.ready.engine.program().params[idx].name[..]).collect();
    let mut out = format!("{} updates; perturbed: {}", setting.updates, params.join(", "));
    if b.fraction < 1.0 {
        out.push_str(&format!(", {} % of their numbers", 100.0 * b.fraction));
    }
    out.push('\n');
    let mut head = vec!["after", "share", "scale", "perturbation", "distance", "barrier of the loss"];
    head.extend(["of the error", "disagreement", "loss", "loss perturbed"]);
    let mut table = vec![head.into_iter().map(String::from).collect()];
    table.extend(pairs.iter().map(|pair| cells(setting, pair)));
    out.push_str(&report::aligned(&table));
    out.push_str(&format!(
        "distance, perturbation: norms of differences by the norm of the first values, {:.4}; barrier: of {POINTS} points of the straight line between \
         both, the highest above the one between the ends (loss and error of the {} part)\n",
        setting.length,
        match b.on {
            Part::Train => "training",
            Part::Test => "test",
        }
    ));
    let dropped: usize = pairs.iter().map(|pair| pair.arrived.dropped).sum();
    if dropped > 0 {
        out.push_str(&format!("{dropped} numbers were not changed: their noise was too small for 32 bits\n"));
    }
    // Those that start with zeros have no norm to compare with.
    let known = |k: &usize| {
        pairs.iter().any(|pair| pair.apart.as_ref().is_some_and(|apart| apart.each[*k].is_some()))
    };
    let shown: Vec<usize> = (0..setting.names.len()).filter(known).collect();
    out.push_str("\ndistance of each parameter, by the norm of its first values\n");
    let names = shown.iter().map(|k| setting.names[*k].clone());
    let mut table = vec![["after", "scale"].map(String::from).into_iter().chain(names).collect()];
    for pair in pairs {
        let mut line = vec![pair.at.to_string(), scale(pair.scale)];
        line.extend(shown.iter().map(|k| number(pair.apart.as_ref().and_then(|apart| apart.each[*k]))));
        table.push(line);
    }
    out.push_str(&report::aligned(&table));
    out
}

fn cells(setting: &Setting, pair: &Pair) -> Vec<String> {
    let apart = pair.apart.as_ref();
    let line = apart.map(|apart| &apart.line);
    let error = line.and_then(|line| line.error.as_ref());
    vec![
        pair.at.to_string(),
        format!("{:.1} %", 100.0 * pair.at as f64 / setting.updates as f64),
        scale(pair.scale),
        format!("{:.2e}", pair.arrived.norm / setting.length),
        apart.map_or("diverged".to_string(), |apart| number(Some(apart.distance))),
        number(line.map(|line| barrier(&line.loss).0)),
        number(error.map(|error| barrier(error).0)),
        number(apart.and_then(|apart| apart.disagreement)),
        number(line.map(|line| line.loss[0])),
        number(line.map(|line| line.loss[POINTS - 1])),
    ]
}

/// As people write it.
fn scale(value: f64) -> String {
    if value == 0.0 || (1e-3..1e4).contains(&value) { value.to_string() } else { format!("{value:e}") }
}

/// Four digits behind the point, or two significant ones of small numbers.
fn number(value: Option<f64>) -> String {
    match value {
        None => "-".to_string(),
        Some(value) if value != 0.0 && value.abs() < 1e-3 => format!("{value:.1e}"),
        Some(value) => format!("{value:.4}"),
    }
}
