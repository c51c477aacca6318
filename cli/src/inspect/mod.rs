//! `inspect`: a network before training, on the first batch of its training with its first weights. Weights and their ranks, activity,
//! gradients, the bias of its guesses, and what to change where it is silent or saturated. What the training changes is in `lazy`.

mod activity;
mod advice;
mod kernel;
mod lazy;
mod matrix;

use crate::job::{Ready, Runner, facts};
use crate::load::Failure;
use crate::numbers::norm;
use crate::report::JobReport;
use activity::Activity;
use advice::Advice;
use kernel::Probe;
use snn_compiler::hir::{Job, JobKind, Param};
use snn_compiler::pipeline::Purpose;
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::data::{Dataset, Target};
use snn_runtime::engine::{Call, SectionTimes, Weights};
use snn_runtime::train::evaluate::{INPUT, gather};
use snn_runtime::train::trainer::{call_key, order};
use std::time::Instant;

/// So many shares of answers are shown.
const SHARES: usize = 12;

/// A parameter.
struct Row {
    name: String,
    shape: Vec<usize>,
    weights: matrix::Weights,
    /// Euclidean norm of the gradient of the loss; none if it is not trained.
    gradient: Option<f64>,
}

/// What the network answers before it has learned anything (Francazi et al. 2024: initial guessing bias).
struct Guess {
    /// The answer given most often, and its share.
    class: usize,
    largest: f64,
    /// `-Σ G ln G / ln C`: 1 where all classes are answered equally often.
    entropy: f64,
    classes: usize,
    /// Shares of all classes, in their order.
    shares: Vec<f64>,
    /// Variance over the outputs of their means over the data, by their mean variance over the data; none if nothing varies.
    gamma: Option<f64>,
}

/// Measures the first training of a file; with `after` it also trains, and says what that changed.
pub fn inspect(runner: &mut Runner, after: bool) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let jobs = &runner.loaded.checked.program.jobs;
    let Some(job) = jobs.iter().find(|j| j.kind == JobKind::Train).cloned() else {
        let help = "write a `train` job: its data, loss and first weights are what is looked at".to_string();
        return Err(Failure::plain("E0912", "there is no training to inspect", Some(help)));
    };
    let Some((split, _)) = runner.split(&job)? else {
        return Err(Failure::plain("E0912", "the training has no data", Some("write `train M on d`".into())));
    };
    let data = &split.train;
    let batch = job.batch.min(data.samples).max(1);
    let mut ready = runner.compile(&job, Purpose::Gradient { relaxed: false }, batch, facts(data))?;
    let mut weights = Weights::zeroed(ready.engine.program())?;
    runner.initialize(&job, &ready, &mut weights, Some(data))?;
    let samples = &order(job.seed, 0, data.samples)[..batch];
    let call = first_call(&job, batch);
    let (x, target) = gather(data, samples);
    let inputs = [(INPUT, (&x).into()), ("target", (&target).into())];
    ready.engine.run(&mut weights, &call, &inputs, &mut SectionTimes::default());
    let rows = rows(runner, &job, &ready, &weights);
    let guess = guess(&ready, data, batch);
    let activities = activity::measure(runner, &job, &weights.param, data, samples, &call)?;
    let mut advice = advice::advise(runner.model(&job), &activities, job.steps);
    advice.extend(guess.as_ref().and_then(|g| advice::bias_of_guesses(g.largest, g.classes, g.gamma)));
    let mut report = runner.report(&job, "inspect");
    report.metrics = metrics(&ready, &rows, &activities, guess.as_ref(), &advice);
    report.text = text(&job, &report.model, batch, (&rows, &activities, guess.as_ref(), &advice));
    report.advice = advice.into_iter().map(|advice| advice.text).collect();
    if after {
        let probe = Probe { data, samples, call: &call };
        lazy::compare(runner, &job, (&ready, &weights), &probe)?.add_to(&mut report);
    }
    report.seconds.compile = ready.seconds;
    report.seconds.total = start.elapsed().as_secs_f64();
    Ok(report)
}

/// The call of the first batch of the training.
fn first_call(job: &Job, batch: usize) -> Call {
    let epochs = job.train.as_ref().map_or(1, |train| train.epochs);
    let mut scalars = [0.0; SCALARS];
    scalars[Scalar::Epochs as usize] = epochs as f32;
    scalars[Scalar::Update as usize] = 1.0;
    Call { key: call_key(job.seed, 0, 0), count: batch, scalars }
}

fn rows(runner: &Runner, job: &Job, ready: &Ready, weights: &Weights) -> Vec<Row> {
    let program = ready.engine.program();
    let params = runner.model(job).params.iter().enumerate();
    params
        .map(|(idx, param)| {
            let gradient = ready.engine.read(&format!("grad {}", param.name));
            let norm = gradient.map(|g| norm(g.iter().map(|v| f64::from(*v))));
            Row {
                name: param.name.clone(),
                shape: param.shape.clone(),
                weights: matrix::measure(weights.param(program, idx), matrix_rows(param)),
                gradient: norm,
            }
        })
        .collect()
}

/// Rows of a parameter that is a matrix. It lies as [sending][receiving]; its singular values do not mind.
fn matrix_rows(param: &Param) -> Option<usize> {
    match param.shape[..] {
        [_, pre] => Some(pre),
        [_, ref taps @ ..] if param.windows => Some(taps.iter().product()),
        _ => None,
    }
}

/// The answers on the batch; none without classes.
fn guess(ready: &Ready, data: &Dataset, batch: usize) -> Option<Guess> {
    let Target::Classes { n, .. } = &data.target else { return None };
    let mut counts = vec![0usize; *n];
    let mut sums = vec![[0.0; 2]; *n];
    for sample in 0..batch {
        let row = ready.engine.output_row("prediction", 0, sample)?;
        for (sums, y) in sums.iter_mut().zip(row.iter().map(|y| f64::from(*y))) {
            *sums = [sums[0] + y, sums[1] + y * y];
        }
        // The first of the largest, as accuracy has it.
        let best = (0..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
        *counts.get_mut(best)? += 1;
    }
    let class = (0..*n).fold(0, |best, at| if counts[at] > counts[best] { at } else { best });
    let shares: Vec<f64> = counts.iter().map(|count| *count as f64 / batch as f64).collect();
    let given = shares.iter().filter(|share| **share > 0.0);
    let entropy = -given.map(|share| share * share.ln()).sum::<f64>() / (*n as f64).ln();
    // Minus nothing is written as -0.
    let entropy = if *n < 2 || entropy == 0.0 { 0.0 } else { entropy };
    let largest = counts[class] as f64 / batch as f64;
    Some(Guess { class, largest, entropy, classes: *n, shares, gamma: gamma(&sums, batch) })
}

/// The order parameter of guessing bias (Francazi et al. 2024), of the sums and sums of squares of every output.
fn gamma(sums: &[[f64; 2]], batch: usize) -> Option<f64> {
    let (outputs, samples) = (sums.len() as f64, batch as f64);
    let means: Vec<f64> = sums.iter().map(|[sum, _]| sum / samples).collect();
    let within = sums.iter().zip(&means).map(|([_, squares], mean)| squares / samples - mean * mean);
    let within = within.sum::<f64>() / outputs;
    let middle = means.iter().sum::<f64>() / outputs;
    let between = means.iter().map(|mean| (mean - middle).powi(2)).sum::<f64>() / outputs;
    // Sums of squares cancel but for rounding where nothing varies.
    (within > 1e-9 * (between + middle * middle)).then_some(between / within)
}

fn metrics(
    ready: &Ready,
    rows: &[Row],
    activities: &[Activity],
    guess: Option<&Guess>,
    advice: &[Advice],
) -> Vec<(String, f64)> {
    let mut list: Vec<(String, f64)> = Vec::new();
    list.extend(ready.engine.scalar("loss").map(|loss| ("loss".to_string(), f64::from(loss))));
    for row in rows {
        let w = &row.weights;
        let mut add = |what: &str, value: Option<f64>| {
            list.extend(value.map(|value| (format!("{}.{what}", row.name), value)));
        };
        for (what, value) in [("mean", w.mean), ("std", w.std), ("min", w.min), ("max", w.max)] {
            add(what, Some(value));
        }
        add("norm", w.spectrum.map(|s| s.norm));
        add("entropy_rank", w.spectrum.and_then(|s| s.entropy_rank));
        add("stable_rank", w.spectrum.map(|s| s.stable_rank));
        add("gradient", row.gradient);
    }
    for activity in activities {
        let mut add = |what: &str, value: f64| list.push((format!("{}.{what}", activity.name), value));
        if let Some((mean, std)) = activity.input {
            add("input_mean", mean);
            add("input_std", std);
        }
        if let Some(spikes) = &activity.spikes {
            add("rate", spikes.rate);
            add("rate_std", spikes.spread);
            add("silent", spikes.silent);
            add("saturated", spikes.saturated);
        }
    }
    if let Some(guess) = guess {
        list.push(("guess.class".to_string(), guess.class as f64));
        list.push(("guess.largest".to_string(), guess.largest));
        list.push(("guess.entropy".to_string(), guess.entropy));
        let shares = guess.shares.iter().enumerate();
        list.extend(shares.map(|(class, share)| (format!("guess.share.{class}"), *share)));
        list.extend(guess.gamma.map(|gamma| ("guess.gamma".to_string(), gamma)));
    }
    for advice in advice {
        list.extend(advice.factor.map(|factor| (format!("{}.factor", advice.population), factor)));
    }
    list
}

type Parts<'p> = (&'p [Row], &'p [Activity], Option<&'p Guess>, &'p [Advice]);

fn text(job: &Job, model: &str, batch: usize, (rows, activities, guess, advice): Parts) -> String {
    let dt = snn_compiler::hir::unit::quantity(job.dt, snn_compiler::hir::Unit::TIME);
    let steps = job.steps;
    let mut out = format!(
        "{model} before training: its first batch of {batch} samples, {steps} steps of {dt}, seed {}\n\n",
        job.seed
    );
    let head = ["population", "neurons", "input mean", "input std", "rate", "spread", "silent", "saturated"];
    let mut table = vec![head.map(String::from).to_vec()];
    table.extend(activities.iter().map(activity_cells));
    out.push_str(&crate::report::aligned(&table));
    out.push_str("rate: spikes of a neuron in a step; spread: its standard deviation over neurons\n\n");
    let head = [
        "parameter",
        "shape",
        "mean",
        "std",
        "min",
        "max",
        "norm",
        "entropy rank",
        "stable rank",
        "gradient",
    ];
    let mut table = vec![head.map(String::from).to_vec()];
    table.extend(rows.iter().map(row_cells));
    out.push_str(&crate::report::aligned(&table));
    out.push_str("norm: largest singular value; gradient: norm of the gradient of the loss\n");
    if let Some(guess) = guess {
        out.push_str(&format!(
            "\nguesses: class {} is the answer to {:.1} % of the batch ({:.1} % if all {} classes were equal), \
             entropy {:.3} of 1{}\n",
            guess.class,
            100.0 * guess.largest,
            100.0 / guess.classes as f64,
            guess.classes,
            guess.entropy,
            guess.gamma.map_or(String::new(), |gamma| format!(
                ", gamma {gamma:.3} (0: no bias, above 1: one class prevails)"
            ))
        ));
        let mut shares = guess.shares.clone();
        shares.sort_by(|a, b| b.total_cmp(a));
        let shown: Vec<String> =
            shares.iter().take(SHARES).map(|share| format!("{:.1}", 100.0 * share)).collect();
        let more = if shares.len() > SHARES { " …" } else { "" };
        out.push_str(&format!("shares of the answers, largest first: {}{more} %\n", shown.join(" ")));
    }
    if !advice.is_empty() {
        out.push('\n');
    }
    for advice in advice {
        out.push_str(&format!("advice: {}\n", advice.text));
    }
    out
}

fn activity_cells(a: &Activity) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.4}"));
    let percent =
        |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{:.1} %", 100.0 * value));
    let spikes = a.spikes.as_ref();
    vec![
        a.name.clone(),
        a.neurons.to_string(),
        number(a.input.map(|(mean, _)| mean)),
        number(a.input.map(|(_, std)| std)),
        number(spikes.map(|s| s.rate)),
        number(spikes.map(|s| s.spread)),
        percent(spikes.map(|s| s.silent)),
        percent(spikes.map(|s| s.saturated)),
    ]
}

fn row_cells(row: &Row) -> Vec<String> {
    let number = |value: f64| format!("{value:.4}");
    let one = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.2}"));
    let w = &row.weights;
    vec![
        row.name.clone(),
        format!("{:?}", row.shape),
        number(w.mean),
        number(w.std),
        number(w.min),
        number(w.max),
        w.spectrum.map_or("-".to_string(), |s| number(s.norm)),
        one(w.spectrum.and_then(|s| s.entropy_rank)),
        one(w.spectrum.map(|s| s.stable_rank)),
        row.gradient.map_or("-".to_string(), |norm| format!("{norm:.3e}")),
    ]
}
