//! The epoch loop: order of samples, batches, progress, early stopping, checkpoints, divergence, interruption.
//!
//! Everything random is addressed by (seed, epoch, batch), so a run that is continued from a checkpoint goes on as if it had
//! never stopped.

use super::checkpoint::{self, Progress};
use super::evaluate::{self, INPUT, gather};
use crate::abi::{SCALARS, Scalar};
use crate::data::Dataset;
use crate::engine::{Call, Engine, SectionTimes, Weights};
use crate::error::RuntimeError;
use crate::rng;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Settings of a training.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the model, for the checkpoint.
    pub model: String,
    /// Seed of the run.
    pub seed: u64,
    /// Epochs in all.
    pub epochs: usize,
    /// Epochs without a better test loss, and the least improvement that counts.
    pub early_stop: Option<(usize, f64)>,
    /// Where checkpoints go, after every epoch.
    pub checkpoint: Option<PathBuf>,
}

/// What an epoch brought.
#[derive(Clone, Copy, Debug)]
pub struct Epoch {
    /// Number, from 1.
    pub number: usize,
    /// Mean training loss.
    pub loss: f64,
    /// Training accuracy, for classes.
    pub accuracy: Option<f64>,
    /// Loss on the test part.
    pub test_loss: Option<f64>,
    /// Accuracy on the test part.
    pub test_accuracy: Option<f64>,
    /// Seconds so far.
    pub seconds: f64,
}

/// Is told how the training goes.
pub trait Observer {
    /// A batch of the epoch is done.
    fn batch(&mut self, epoch: usize, done: usize, total: usize);
    /// An epoch is done.
    fn epoch(&mut self, epoch: &Epoch);
}

/// Where a training diverged.
#[derive(Clone, Debug)]
pub struct Diverged {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Batch of the epoch, from 1.
    pub batch: usize,
    /// Samples of the batch.
    pub samples: Vec<u32>,
    /// The call that went wrong.
    pub call: Call,
}

/// How a training ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// All epochs, or early stopping.
    Done {
        /// Loss of the last epoch.
        loss: f64,
        /// Training accuracy of the last epoch.
        accuracy: Option<f64>,
        /// Complete epochs.
        epochs: usize,
    },
    /// By the flag.
    Interrupted {
        /// Complete epochs.
        epochs: usize,
    },
    /// NaN or infinite loss or parameters; the weights are those before the bad batch.
    Diverged(Diverged),
}

/// A training.
pub struct Trainer<'a> {
    /// Settings.
    pub settings: Settings,
    /// The training program.
    pub engine: &'a mut Engine,
    /// A program for the test part, and its data.
    pub test: Option<(&'a mut Engine, &'a Dataset)>,
    /// What is learned from.
    pub data: &'a Dataset,
    /// Set to stop after the batch.
    pub stop: &'a AtomicBool,
}

impl Trainer<'_> {
    /// Trains from `progress` on.
    pub fn run(
        &mut self,
        weights: &mut Weights,
        mut progress: Progress,
        observer: &mut dyn Observer,
        times: &mut SectionTimes,
    ) -> Result<Outcome, RuntimeError> {
        let start = std::time::Instant::now();
        let (mut loss, mut accuracy) = (f64::NAN, None);
        while progress.epoch < self.settings.epochs {
            match self.epoch(weights, &mut progress, observer, times) {
                Step::Done(l, a) => (loss, accuracy) = (l, a),
                Step::Interrupted => return Ok(Outcome::Interrupted { epochs: progress.epoch }),
                Step::Diverged(d) => return Ok(Outcome::Diverged(d)),
            }
            progress.epoch += 1;
            let report = self.test.as_mut().map(|(engine, data)| {
                evaluate::evaluate(
                    engine,
                    weights,
                    data,
                    &[],
                    self.settings.seed,
                    &mut SectionTimes::default(),
                )
            });
            let epoch = Epoch {
                number: progress.epoch,
                loss,
                accuracy,
                test_loss: report.as_ref().and_then(|r| r.loss),
                test_accuracy: report.as_ref().and_then(|r| r.accuracy),
                seconds: start.elapsed().as_secs_f64(),
            };
            observer.epoch(&epoch);
            let stop = self.early_stop(&mut progress, epoch.test_loss.unwrap_or(loss));
            if let Some(path) = &self.settings.checkpoint {
                checkpoint::save(path, self.engine.program(), weights, &progress)?;
            }
            if stop {
                break;
            }
        }
        Ok(Outcome::Done { loss, accuracy, epochs: progress.epoch })
    }

    fn early_stop(&self, progress: &mut Progress, loss: f64) -> bool {
        let Some((patience, least)) = self.settings.early_stop else { return false };
        if progress.best.is_none_or(|best| loss < best - least) {
            progress.best = Some(loss);
            progress.waited = 0;
        } else {
            progress.waited += 1;
        }
        progress.waited >= patience
    }

    fn epoch(
        &mut self,
        weights: &mut Weights,
        progress: &mut Progress,
        observer: &mut dyn Observer,
        times: &mut SectionTimes,
    ) -> Step {
        let seed = self.settings.seed;
        let order = rng::permutation(self.data.samples, rng::key(seed, 2, progress.epoch as u64));
        let batch = self.engine.program().plan.batch();
        let total = order.len().div_ceil(batch);
        let (mut loss, mut correct) = (0.0, 0u64);
        let before = progress.updates;
        for (idx, samples) in order.chunks(batch).enumerate() {
            if self.stop.load(Ordering::Relaxed) {
                progress.updates = before;
                return Step::Interrupted;
            }
            progress.updates += 1;
            let call = self.call(progress, idx, total, samples.len());
            let (x, target) = gather(self.data, samples);
            let saved: Vec<f32> = weights.param.to_vec();
            self.engine.run(weights, &call, &[(INPUT, &x), ("target", &target)], times);
            let l = f64::from(self.engine.scalar("loss").unwrap_or(f32::NAN));
            if !l.is_finite() || !weights.param.iter().all(|w| w.is_finite()) {
                weights.param.copy_from_slice(&saved);
                let samples = samples.to_vec();
                return Step::Diverged(Diverged { epoch: progress.epoch + 1, batch: idx + 1, samples, call });
            }
            loss += l * samples.len() as f64;
            correct += evaluate::score(self.engine, self.data, samples, &mut []);
            observer.batch(progress.epoch + 1, idx + 1, total);
        }
        let n = self.data.samples.max(1) as f64;
        let classes = matches!(self.data.target, crate::data::Target::Classes { .. });
        Step::Done(loss / n, classes.then_some(correct as f64 / n))
    }

    fn call(&self, progress: &Progress, idx: usize, total: usize, count: usize) -> Call {
        let mut scalars = [0.0; SCALARS];
        let epochs = self.settings.epochs as f64;
        let done = (progress.epoch as f64 + idx as f64 / total as f64) / epochs;
        scalars[Scalar::Epoch as usize] = progress.epoch as f32;
        scalars[Scalar::Epochs as usize] = epochs as f32;
        scalars[Scalar::Progress as usize] = done as f32;
        scalars[Scalar::Update as usize] = progress.updates as f32;
        let call = (progress.epoch as u64) << 32 | idx as u64;
        Call { key: rng::key(self.settings.seed, 3, call), count, scalars }
    }
}

/// How an epoch ended.
enum Step {
    Done(f64, Option<f64>),
    Interrupted,
    Diverged(Diverged),
}
