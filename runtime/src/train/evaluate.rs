//! Metrics of a model on a data set: loss, accuracy, confusion, rates, sparsity, synaptic operations.
//!
//! By convention a program gives `loss` (mean over the samples of the batch), `prediction` (`[sample, class]`, the largest wins)
//! and `count.NAME` (spikes of population NAME in the batch, over all steps).

use crate::data::{Dataset, Target};
use crate::engine::{Call, Engine, SectionTimes, Weights};

/// A spiking population.
#[derive(Clone, Debug)]
pub struct PopulationInfo {
    /// Its name.
    pub name: String,
    /// Number of neurons.
    pub neurons: usize,
    /// Synapses that each of its spikes reaches.
    pub fan_out: f64,
}

/// What [`evaluate`] measures.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Samples seen.
    pub samples: usize,
    /// Mean loss.
    pub loss: Option<f64>,
    /// Share of samples whose largest prediction is their class.
    pub accuracy: Option<f64>,
    /// Number of samples by `[class][predicted class]`.
    pub confusion: Vec<Vec<u64>>,
    /// Spikes per neuron and step of each population.
    pub rates: Vec<(String, f64)>,
    /// Synaptic operations (spikes times synapses reached) per sample.
    pub synops: f64,
}

/// Runs a program over all samples.
pub fn evaluate(
    engine: &mut Engine,
    weights: &mut Weights,
    data: &Dataset,
    populations: &[PopulationInfo],
    key: u64,
    times: &mut SectionTimes,
) -> Report {
    let batch = engine.program().plan.batch();
    let steps = engine.program().plan.steps;
    let classes = if let Target::Classes { n, .. } = data.target { n } else { 0 };
    let mut report = Report { confusion: vec![vec![0; classes]; classes], ..Report::default() };
    let (mut loss, mut correct, mut counts) = (0.0, 0u64, vec![0.0f64; populations.len()]);
    let order: Vec<u32> = (0..data.samples as u32).collect();
    for (idx, samples) in order.chunks(batch).enumerate() {
        let (x, target) = gather(data, samples);
        let call = Call {
            key: crate::rng::key(key, 1, idx as u64),
            count: samples.len(),
            scalars: [0.0; crate::abi::SCALARS],
        };
        engine.run(weights, &call, &[(INPUT, &x), ("target", &target)], times);
        if let Some(l) = engine.scalar("loss") {
            loss += f64::from(l) * samples.len() as f64;
        }
        for (p, count) in populations.iter().zip(&mut counts) {
            *count += f64::from(engine.scalar(&format!("count.{}", p.name)).unwrap_or(0.0));
        }
        correct += score(engine, data, samples, &mut report.confusion);
    }
    report.samples = data.samples;
    let n = data.samples.max(1) as f64;
    report.loss = engine.program().output("loss").map(|_| loss / n);
    report.accuracy = (classes > 0).then_some(correct as f64 / n);
    for (p, count) in populations.iter().zip(counts) {
        report.rates.push((p.name.clone(), count / (n * steps as f64 * p.neurons as f64)));
        report.synops += count * p.fan_out / n;
    }
    report
}

/// Inputs are bound by their position: the first data input of a model, whatever its name.
pub const INPUT: &str = "";

/// Inputs and targets of some samples, one after another.
pub fn gather(data: &Dataset, samples: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut x, mut target) = (Vec::new(), Vec::new());
    for &s in samples {
        x.extend_from_slice(data.sample(s as usize));
        data.write_target(s as usize, &mut target);
    }
    (x, target)
}

/// Index of the largest; of equal ones the first.
pub fn largest(values: impl Iterator<Item = f32>) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (at, v) in values.enumerate() {
        if v > best.1 {
            best = (at, v);
        }
    }
    best.0
}

/// Adds to the confusion matrix; gives the number of correct predictions.
pub fn score(engine: &Engine, data: &Dataset, samples: &[u32], confusion: &mut [Vec<u64>]) -> u64 {
    let (Target::Classes { labels, n, .. }, Some(prediction)) = (&data.target, engine.read("prediction"))
    else {
        return 0;
    };
    let width = prediction.len() / samples.len();
    let values = prediction.as_slice().expect("contiguous");
    let mut correct = 0;
    for (row, &s) in values.chunks(width).zip(samples) {
        let (class, guess) = (labels[s as usize] as usize, largest(row.iter().copied()));
        correct += u64::from(class == guess);
        if guess < *n && class < confusion.len() {
            confusion[class][guess] += 1;
        }
    }
    correct
}
