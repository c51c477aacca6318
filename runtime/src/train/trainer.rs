//! The epoch loop: order of samples, run-time scalars, divergence, early stopping, checkpoints, interruption.
//!
//! Everything random is named by seed, epoch and batch, so a training that goes on from a checkpoint goes on bit by bit as if
//! it had never stopped, with any number of threads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use super::checkpoint::Progress;

use super::carried::Carried;
use super::checkpoint;
use super::evaluate::evaluate;
use super::metrics::Metrics;
use crate::abi::{SCALARS, Scalar};
use crate::data::Dataset;
use crate::data::augment::Augment;
use crate::data::batch::{self, Batcher};
use crate::engine::{Call, Engine, SectionTimes, Weights};
use crate::error::Result;
use crate::rng;

/// Settings of a training.
#[derive(Clone, PartialEq, Debug)]
pub struct Settings {
    /// Name of the model, for the checkpoint.
    pub model: String,
    /// Seed of order and noise.
    pub seed: u64,
    /// Epochs in all, those before a resumption included.
    pub epochs: usize,
    /// Epochs without a better loss (on the test part, if there is one), and the least improvement that counts.
    pub early_stop: Option<(usize, f64)>,
    /// Where the checkpoint goes, after every epoch.
    pub checkpoint: Option<PathBuf>,
    /// What happens to samples that are trained on; nothing happens to the test part.
    pub augment: Option<Augment>,
}

/// What an epoch brought.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Epoch {
    /// Number, from 1.
    pub number: usize,
    /// Mean training loss, each sample before the update of its batch.
    pub loss: f64,
    /// Training accuracy, likewise; none without predictions or classes.
    pub accuracy: Option<f64>,
    /// Loss on the test part after the epoch.
    pub test_loss: Option<f64>,
    /// Accuracy on the test part after the epoch.
    pub test_accuracy: Option<f64>,
    /// Seconds since the start of this run; not kept in checkpoints.
    pub seconds: f64,
}

/// Is told how the training goes.
pub trait Observer {
    /// `done` of `total` batches of an epoch (from 1) are done.
    fn batch(&mut self, epoch: usize, done: usize, total: usize);
    /// An epoch is done and its checkpoint written.
    fn epoch(&mut self, epoch: &Epoch);
    /// The weights after so many updates, before the next one; what is changed here is what the training goes on with. May be called again
    /// for updates before, with the weights as they were, after a divergence.
    fn weights(&mut self, _updates: u64, _weights: &mut Weights) {}
}

/// Where a training diverged.
#[derive(Clone, PartialEq, Debug)]
pub struct Diverged {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Batch of the epoch, from 1.
    pub batch: usize,
    /// Samples of the batch.
    pub samples: Vec<u32>,
    /// The call that went wrong.
    pub call: Call,
    /// What is not finite: `the loss`, `the gradient of h.weight`, `h.weight`.
    pub what: String,
}

/// How a training ended.
#[derive(Clone, PartialEq, Debug)]
pub enum Outcome {
    /// All epochs, or early stopping.
    Done {
        /// Training loss of the last epoch.
        loss: f64,
        /// Training accuracy of the last epoch.
        accuracy: Option<f64>,
        /// Complete epochs.
        epochs: usize,
    },
    /// By the flag; weights and checkpoint are as at the end of the last complete epoch.
    Interrupted {
        /// Complete epochs.
        epochs: usize,
    },
    /// Loss, gradients or parameters are NaN or infinite; weights and optimizer state are those before the bad batch, the
    /// checkpoint is that of the last complete epoch.
    Diverged(Diverged),
}

/// A training.
pub struct Trainer<'a> {
    /// Settings.
    pub settings: Settings,
    /// The training program.
    pub engine: &'a mut Engine,
    /// An evaluation program for the test part, in the memory of the training ([`Engine::beside`]), and its data.
    pub test: Option<(&'a mut Engine, &'a Dataset)>,
    /// What is learned from.
    pub data: &'a Dataset,
    /// Set to stop after the batch that runs.
    pub stop: &'a AtomicBool,
}

impl Trainer<'_> {
    /// Trains from `progress` on. E0903, E0909 if data and programs do not fit, E0906 if a checkpoint cannot be written.
    pub fn run(
        &mut self,
        weights: &mut Weights,
        mut progress: Progress,
        observer: &mut dyn Observer,
        times: &mut SectionTimes,
    ) -> Result<Outcome> {
        let started = Instant::now();
        if let Some((engine, data)) = &self.test {
            batch::fits(data, engine.program())?;
        }
        let mut batcher = Batcher::new(self.data, self.engine.program())?;
        let mut carried = Carried::new(self.engine.program());
        // The state at the start of the epoch: what an interruption returns to, and where the search for a divergence starts.
        let mut before = weights.duplicate()?;
        while progress.epoch < self.settings.epochs && !self.waited_enough(&progress) {
            before.copy_from(weights);
            let metrics = match self.epoch(
                weights,
                &before,
                &progress,
                (&mut batcher, &mut carried),
                observer,
                times,
            ) {
                Step::Done(metrics) => metrics,
                Step::Interrupted => {
                    weights.copy_from(&before);
                    return Ok(Outcome::Interrupted { epochs: progress.epoch });
                }
                Step::Diverged(diverged) => return Ok(Outcome::Diverged(diverged)),
            };
            self.finish(weights, &mut progress, &metrics, started)?;
            observer.epoch(progress.history.last().expect("the epoch that is done"));
        }
        let last = progress.history.last();
        Ok(Outcome::Done {
            loss: last.map_or(f64::NAN, |epoch| epoch.loss),
            accuracy: last.and_then(|epoch| epoch.accuracy),
            epochs: progress.epoch,
        })
    }

    fn waited_enough(&self, progress: &Progress) -> bool {
        self.settings.early_stop.is_some_and(|(patience, _)| progress.waited >= patience.max(1))
    }

    /// All batches of an epoch.
    fn epoch(
        &mut self,
        weights: &mut Weights,
        before: &Weights,
        progress: &Progress,
        (batcher, carried): (&mut Batcher, &mut Carried),
        observer: &mut dyn Observer,
        times: &mut SectionTimes,
    ) -> Step {
        let order = order(self.settings.seed, progress.epoch, self.data.samples);
        let size = self.engine.batch();
        let total = order.len().div_ceil(size);
        let mut metrics = Metrics::new(self.engine, &[]);
        batcher
            .change(self.settings.augment.as_ref().map(|a| a.of_epoch(self.settings.seed, progress.epoch)));
        carried.restart();
        for (number, samples) in order.chunks(size).enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                return Step::Interrupted;
            }
            observer.weights(progress.updates + number as u64, weights);
            let call = self.call(progress, number, total, samples.len());
            batcher.fill(samples);
            carried.run(self.engine, weights, &call, &batcher.inputs(), times);
            let loss = metrics.add(self.engine, self.data, samples);
            if let Some(what) = self.broken(weights, loss) {
                // Only the state at the start of the epoch was kept: the same batches lead to the same weights.
                weights.copy_from(before);
                carried.restart();
                for (number, samples) in order.chunks(size).enumerate().take(number) {
                    observer.weights(progress.updates + number as u64, weights);
                    batcher.fill(samples);
                    let call = self.call(progress, number, total, samples.len());
                    carried.run(self.engine, weights, &call, &batcher.inputs(), times);
                }
                observer.weights(progress.updates + number as u64, weights);
                let (epoch, samples) = (progress.epoch + 1, samples.to_vec());
                return Step::Diverged(Diverged { epoch, batch: number + 1, samples, call, what });
            }
            observer.batch(progress.epoch + 1, number + 1, total);
        }
        Step::Done(metrics)
    }

    /// Test part, early stopping, history, checkpoint.
    fn finish(
        &mut self,
        weights: &mut Weights,
        progress: &mut Progress,
        metrics: &Metrics,
        started: Instant,
    ) -> Result<()> {
        let report = self.test.as_mut().map(|(engine, data)| {
            engine.swap_memory(self.engine);
            let report =
                evaluate(engine, weights, data, &[], self.settings.seed, &mut SectionTimes::default());
            engine.swap_memory(self.engine);
            report
        });
        let epoch = Epoch {
            number: progress.epoch + 1,
            loss: metrics.loss().unwrap_or(f64::NAN),
            accuracy: metrics.accuracy(),
            test_loss: report.as_ref().and_then(|report| report.loss),
            test_accuracy: report.as_ref().and_then(|report| report.accuracy),
            seconds: started.elapsed().as_secs_f64(),
        };
        let loss = epoch.test_loss.unwrap_or(epoch.loss);
        let least = self.settings.early_stop.map_or(0.0, |(_, least)| least);
        if progress.best.is_none_or(|best| loss < best - least) {
            progress.best = Some(loss);
            progress.waited = 0;
        } else {
            progress.waited += 1;
        }
        progress.model = self.settings.model.clone();
        progress.seed = self.settings.seed;
        progress.epoch += 1;
        progress.updates += self.data.samples.div_ceil(self.engine.batch()) as u64;
        progress.history.push(epoch);
        match &self.settings.checkpoint {
            Some(path) => checkpoint::save(path, self.engine.program(), weights, progress),
            None => Ok(()),
        }
    }

    fn call(&self, progress: &Progress, number: usize, total: usize, count: usize) -> Call {
        let epochs = self.settings.epochs;
        let mut scalars = [0.0; SCALARS];
        scalars[Scalar::Epoch as usize] = progress.epoch as f32;
        scalars[Scalar::Epochs as usize] = epochs as f32;
        scalars[Scalar::Progress as usize] =
            ((progress.epoch * total + number) as f64 / (epochs * total) as f64) as f32;
        scalars[Scalar::Update as usize] = (progress.updates + number as u64 + 1) as f32;
        Call { key: call_key(self.settings.seed, progress.epoch, number), count, scalars }
    }

    /// What is not finite, if anything.
    fn broken(&self, weights: &Weights, loss: Option<f32>) -> Option<String> {
        if loss.is_some_and(|loss| !loss.is_finite()) {
            return Some("the loss".into());
        }
        let program = self.engine.program();
        for param in &program.params {
            if param.grad.is_some_and(|grad| !all_finite(self.engine.shared(grad))) {
                return Some(format!("the gradient of {}", param.name));
            }
        }
        let broken = (0..program.params.len()).find(|&idx| !all_finite(weights.param(program, idx)));
        broken.map(|idx| program.params[idx].name.clone())
    }
}

/// How an epoch ended.
enum Step {
    Done(Metrics),
    Interrupted,
    Diverged(Diverged),
}

/// The order of the samples in an epoch (from 0).
pub fn order(seed: u64, epoch: usize, samples: usize) -> Vec<u32> {
    rng::permutation(samples, rng::key(seed, 2, epoch as u64))
}

/// The key of the random streams of a batch (from 0) of an epoch (from 0).
pub fn call_key(seed: u64, epoch: usize, batch: usize) -> u64 {
    rng::key(seed, 3, (epoch as u64) << 32 | batch as u64)
}

/// Whether no number is NaN or infinite; without branches, so that it runs at the speed of memory.
fn all_finite(values: &[f32]) -> bool {
    const EXPONENT: u32 = 0x7F80_0000;
    values.chunks(1024).all(|chunk| {
        let broken = chunk.iter().fold(0, |broken, x| broken | u32::from(x.to_bits() & EXPONENT == EXPONENT));
        broken == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broken_number_is_found() {
        let mut values = vec![f32::MAX; 5000];
        assert!(all_finite(&values) && all_finite(&[]));
        for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            values[4321] = broken;
            assert!(!all_finite(&values));
        }
    }
}
