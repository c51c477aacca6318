//! Runs an evaluation program over a data set and sums up: loss, accuracy, confusion, rates, synaptic operations.

pub use super::metrics::PopulationInfo;

use super::metrics::{Metrics, largest};
use crate::abi::SCALARS;
use crate::data::Dataset;
use crate::data::batch::Batcher;
use crate::engine::{Call, Engine, SectionTimes, Weights};
use crate::rng;

pub use crate::engine::INPUT;

/// Number of the stream of evaluations under a seed; see [`crate::rng::key`].
const PURPOSE: u64 = 1;

/// What [`evaluate`] measures.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// Samples seen.
    pub samples: usize,
    /// Mean loss; none if the program has none.
    pub loss: Option<f64>,
    /// Share of samples whose largest prediction is their class; none without predictions or classes.
    pub accuracy: Option<f64>,
    /// Number of samples by `[class][predicted class]`; empty without predictions.
    pub confusion: Vec<Vec<u64>>,
    /// Spikes per neuron and step of each population that the program counts.
    pub rates: Vec<(String, f64)>,
    /// Synaptic operations (spikes times synapses reached) per sample.
    pub synops: f64,
}

impl Report {
    /// Share of neurons and steps without a spike, over all counted populations; none if there are none.
    pub fn sparsity(&self, populations: &[PopulationInfo]) -> Option<f64> {
        let (mut spikes, mut neurons) = (0.0, 0.0);
        for (name, rate) in &self.rates {
            let population = populations.iter().find(|population| population.name == *name)?;
            spikes += rate * population.neurons as f64;
            neurons += population.neurons as f64;
        }
        (neurons > 0.0).then(|| 1.0 - spikes / neurons)
    }
}

/// Runs `engine` over all samples, in order. Random streams depend on `seed` and the number of the batch only: two
/// evaluations agree.
///
/// # Panics
/// If the data do not fit the program: check with [`crate::data::batch::fits`].
pub fn evaluate(
    engine: &mut Engine,
    weights: &mut Weights,
    data: &Dataset,
    populations: &[PopulationInfo],
    seed: u64,
    times: &mut SectionTimes,
) -> Report {
    let mut metrics = Metrics::new(engine, populations);
    each_batch(engine, weights, data, seed, times, |engine, samples| {
        metrics.add(engine, data, samples);
    });
    let mut report = Report {
        samples: metrics.samples(),
        loss: metrics.loss(),
        accuracy: metrics.accuracy(),
        confusion: metrics.confusion().to_vec(),
        rates: Vec::new(),
        synops: 0.0,
    };
    let samples = data.samples.max(1) as f64;
    for (population, count) in populations.iter().zip(metrics.spikes()) {
        let Some(count) = count else { continue };
        let chances = population.neurons as f64 * samples * engine.program().plan.steps as f64;
        report.rates.push((population.name.clone(), if chances > 0.0 { count / chances } else { 0.0 }));
        report.synops += count * population.fan_out / samples;
    }
    report
}

/// The class that is answered to each sample, in the runs of [`evaluate`]; empty if the program has no predictions.
///
/// # Panics
/// As [`evaluate`].
pub fn answers(engine: &mut Engine, weights: &mut Weights, data: &Dataset, seed: u64) -> Vec<usize> {
    let mut answers = Vec::new();
    each_batch(engine, weights, data, seed, &mut SectionTimes::default(), |engine, samples| {
        let rows = (0..samples.len()).filter_map(|sample| engine.output_row("prediction", 0, sample));
        answers.extend(rows.map(largest));
    });
    answers
}

/// Runs all samples in order, and says after each batch which samples it had.
fn each_batch(
    engine: &mut Engine,
    weights: &mut Weights,
    data: &Dataset,
    seed: u64,
    times: &mut SectionTimes,
    mut done: impl FnMut(&Engine, &[u32]),
) {
    let mut batcher = Batcher::new(data, engine.program()).unwrap_or_else(|error| panic!("{error}"));
    let order: Vec<u32> = (0..data.samples as u32).collect();
    for (number, samples) in order.chunks(engine.batch()).enumerate() {
        batcher.fill(samples);
        let key = rng::key(seed, PURPOSE, number as u64);
        let call = Call { key, count: samples.len(), scalars: [0.0; SCALARS] };
        engine.run(weights, &call, &batcher.inputs(), times);
        done(engine, samples);
    }
}

/// Inputs and targets of some samples, one after another, for single calls; loops use [`Batcher`].
pub fn gather(data: &Dataset, samples: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let (mut x, mut target) = (Vec::new(), Vec::new());
    for &idx in samples {
        x.extend_from_slice(&data.sample(idx as usize));
        data.write_target(idx as usize, &mut target);
    }
    (x, target)
}
