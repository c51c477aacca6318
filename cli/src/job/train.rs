//! `train`: initial weights, the epoch loop, checkpoints, what to say when it ends early.

use super::{Runner, STOP, locate, progress::Printer};
use crate::load::Failure;
use crate::report::JobReport;
use snn_compiler::hir::Job;
use snn_compiler::pipeline::Purpose;
use snn_runtime::engine::{SectionTimes, Weights};
use snn_runtime::train::checkpoint::{self, Progress};
use snn_runtime::train::trainer::{Outcome, Settings, Trainer};
use std::time::Instant;

/// Runs the job.
pub fn train(runner: &mut Runner, job: &Job) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let settings = job.train.as_ref().expect("a training has settings");
    let Some((split, _)) = runner.split(job)? else {
        return Err(Failure::plain("E0912", "a training needs data", Some("write `train M on d`".into())));
    };
    let data_seconds = start.elapsed().as_secs_f64();
    runner.make_out()?;
    let known = super::facts(&split.train);
    let batch = job.batch.min(split.train.samples).max(1);
    let mut ready = runner.compile(job, Purpose::Train, batch, known)?;
    // Without a test part there is nothing to evaluate after an epoch.
    let mut check = match split.test.samples {
        0 => None,
        _ => Some(runner.compile_beside(job, batch, known, &mut ready)?),
    };
    let mut weights = Weights::zeroed(ready.engine.program())?;
    runner.initialize(job, &ready, &mut weights, Some(&split.train))?;
    let model = runner.model(job);
    let path = runner.checkpoint(job);
    let mut progress = Progress { model: model.name.clone(), seed: job.seed, ..Progress::default() };
    if let (true, Some(path)) = (runner.common.resume, &path) {
        if path.exists() {
            progress = checkpoint::load(path, ready.engine.program(), &mut weights, true)?;
            same_seed(&progress, job)?;
        } else if !runner.common.shared.quiet {
            eprintln!("note: there is no {} yet; the training starts from the beginning", path.display());
        }
    }
    let quiet = runner.common.shared.quiet || runner.common.shared.json;
    let mut printer = Printer::new(settings.epochs, progress.history.clone(), quiet);
    let mut times = SectionTimes::default();
    let compile = ready.seconds;
    let outcome = Trainer {
        settings: Settings {
            model: model.name.clone(),
            seed: job.seed,
            epochs: settings.epochs,
            early_stop: settings.early_stop,
            checkpoint: path.clone(),
            augment: super::augment::of(model, settings),
        },
        engine: &mut ready.engine,
        test: check.as_mut().map(|check| (check, &split.test)),
        data: &split.train,
        stop: &STOP,
    }
    .run(&mut weights, progress, &mut printer, &mut times)?;
    printer.finish();
    runner.keep(job, &weights);
    let mut report = runner.report(job, "train");
    report.epochs = printer.done;
    match outcome {
        Outcome::Done { loss, accuracy, epochs } => {
            // There is none if no epoch was asked for.
            report.metrics.extend(loss.is_finite().then_some(("loss".to_string(), loss)));
            report.metrics.extend(accuracy.map(|a| ("accuracy".to_string(), a)));
            report.metrics.push(("epochs".into(), epochs as f64));
        }
        Outcome::Interrupted { epochs } => return Err(interrupted(epochs, path.as_deref())),
        Outcome::Diverged(d) => {
            return Err(locate::diverged(runner, job, &split.train, &mut weights, &d, path.as_deref()));
        }
    }
    let s = &mut report.seconds;
    (s.compile, s.data) = (compile, data_seconds);
    (s.forward, s.backward, s.update) = (times.forward, times.backward, times.update);
    s.total = start.elapsed().as_secs_f64();
    Ok(report)
}

fn same_seed(progress: &Progress, job: &Job) -> Result<(), Failure> {
    if progress.seed == job.seed {
        return Ok(());
    }
    let message =
        format!("the checkpoint was trained with seed {}, this job has seed {}", progress.seed, job.seed);
    Err(Failure::plain("E0905", message, Some(format!("add --seed {}", progress.seed))))
}

fn interrupted(epochs: usize, path: Option<&std::path::Path>) -> Failure {
    let help = match path {
        Some(path) => format!("`--resume` goes on from {} after {epochs} epochs", path.display()),
        None => "with `--out DIR` a checkpoint is kept after every epoch".to_string(),
    };
    Failure::plain("E0913", format!("interrupted in epoch {}", epochs + 1), Some(help))
}
