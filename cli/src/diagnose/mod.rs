//! `diag`: what the course of a training depends on, found out by training again and again from other weights: a small perturbation of them
//! (`butterfly`), the derivative of the last weights by the first ones (`jacobian`). Here is what both share.

pub mod butterfly;
pub mod jacobian;
mod line;
mod noise;

use crate::job::{Ready, Runner, STOP, augment, facts, locate};
use crate::load::Failure;
use snn_compiler::hir::{Job, JobKind};
use snn_compiler::pipeline::Purpose;
use snn_runtime::data::Dataset;
use snn_runtime::data::source::Split;
use snn_runtime::engine::{Engine, SectionTimes, Weights};
use snn_runtime::train::checkpoint::Progress;
use snn_runtime::train::evaluate::{self, Report};
use snn_runtime::train::trainer::{Epoch, Observer, Outcome, Settings, Trainer};
use std::sync::Arc;

/// A failure with the code of diagnoses.
fn wrong(title: impl Into<String>, help: impl Into<String>) -> Failure {
    Failure::plain("E0916", title, Some(help.into()))
}

/// The first training of a file, to be gone through again and again: batches and noise are the same each time, there is no early stop.
struct Course {
    job: Job,
    split: Arc<Split>,
    ready: Ready,
    /// An evaluation in the memory of the training.
    check: Engine,
    /// Weights and state of the optimizer before the training.
    first: Weights,
    epochs: usize,
}

/// How a training ended that was not interrupted.
enum End {
    /// After all epochs.
    Done,
    /// The failure that a training reports.
    Diverged(Failure),
}

impl Course {
    fn new(runner: &mut Runner) -> Result<Course, Failure> {
        let jobs = &runner.loaded.checked.program.jobs;
        let Some(job) = jobs.iter().find(|j| j.kind == JobKind::Train).cloned() else {
            let help = "write a `train` job: its course is what is looked at".to_string();
            return Err(Failure::plain("E0912", "there is no training to diagnose", Some(help)));
        };
        let Some((split, _)) = runner.split(&job)? else {
            let help = Some("write `train M on d`".into());
            return Err(Failure::plain("E0912", "the training has no data", help));
        };
        let data = &split.train;
        let (batch, known) = (job.batch.min(data.samples).max(1), facts(data));
        let mut ready = runner.compile(&job, Purpose::Train, batch, known)?;
        let check = runner.compile_beside(&job, batch, known, &mut ready)?;
        let mut first = Weights::zeroed(ready.engine.program())?;
        runner.initialize(&job, &ready, &mut first, Some(data))?;
        let epochs = job.train.as_ref().expect("a training has settings").epochs;
        Ok(Course { job, split, ready, check, first, epochs })
    }

    /// Updates of an epoch.
    fn of_epoch(&self) -> u64 {
        self.split.train.samples.div_ceil(self.ready.engine.batch()) as u64
    }

    /// Updates of the whole training.
    fn updates(&self) -> u64 {
        self.of_epoch() * self.epochs as u64
    }

    /// Trains from the start of an epoch (from 0) to the end of the training. E0913 if interrupted.
    fn train(
        &mut self,
        runner: &Runner,
        weights: &mut Weights,
        epoch: usize,
        observer: &mut dyn Observer,
    ) -> Result<End, Failure> {
        let settings = self.job.train.as_ref().expect("a training has settings");
        let model = runner.model(&self.job);
        let updates = epoch as u64 * self.of_epoch();
        let outcome = Trainer {
            settings: Settings {
                model: model.name.clone(),
                seed: self.job.seed,
                epochs: self.epochs,
                early_stop: None,
                checkpoint: None,
                augment: augment::of(model, settings),
            },
            engine: &mut self.ready.engine,
            test: None,
            data: &self.split.train,
            stop: &STOP,
        }
        .run(
            weights,
            Progress { epoch, updates, ..Progress::default() },
            observer,
            &mut SectionTimes::default(),
        )?;
        match outcome {
            Outcome::Done { .. } => Ok(End::Done),
            Outcome::Interrupted { .. } => {
                let help = Some("a diagnosis begins anew each time".to_string());
                Err(Failure::plain("E0913", "interrupted", help))
            }
            Outcome::Diverged(d) => {
                let data = &self.split.train;
                Ok(End::Diverged(locate::diverged(runner, &self.job, data, weights, &d, None)))
            }
        }
    }

    /// The whole training from the first weights; one that diverges is an error.
    fn reference(&mut self, runner: &Runner, observer: &mut dyn Observer) -> Result<Weights, Failure> {
        let mut weights = self.first.duplicate()?;
        match self.train(runner, &mut weights, 0, observer)? {
            End::Done => Ok(weights),
            End::Diverged(failure) => Err(failure),
        }
    }

    /// Loss and accuracy with these weights.
    fn evaluate(&mut self, weights: &mut Weights, data: &Dataset) -> Report {
        self.check.swap_memory(&mut self.ready.engine);
        let times = &mut SectionTimes::default();
        let report = evaluate::evaluate(&mut self.check, weights, data, &[], self.job.seed, times);
        self.check.swap_memory(&mut self.ready.engine);
        report
    }

    /// The classes that are answered with these weights; empty if the network does not classify.
    fn answers(&mut self, weights: &mut Weights, data: &Dataset) -> Vec<usize> {
        self.check.swap_memory(&mut self.ready.engine);
        let answers = evaluate::answers(&mut self.check, weights, data, self.job.seed);
        self.check.swap_memory(&mut self.ready.engine);
        answers
    }

    /// Parameters that are trained, by their places in the model.
    fn trained(&self, runner: &Runner) -> Vec<usize> {
        let params = runner.model(&self.job).params.iter().enumerate();
        params.filter(|(_, param)| param.trained).map(|(idx, _)| idx).collect()
    }
}

/// An observer that only trains.
struct Nobody;

impl Observer for Nobody {
    fn batch(&mut self, _epoch: usize, _done: usize, _total: usize) {}
    fn epoch(&mut self, _epoch: &Epoch) {}
}
