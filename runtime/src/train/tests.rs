//! Whole trainings with a program written by hand: digits by logistic regression.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::checkpoint;
use super::evaluate::{PopulationInfo, evaluate};
use super::trainer::{Diverged, Epoch, Observer, Outcome, Progress, Settings, Trainer};
use crate::abi::Scalar;
use crate::data::augment::{Augment, Change};
use crate::data::source::{self, ArgValue};
use crate::data::{Dataset, Target};
use crate::engine::{Engine, SectionTimes, Weights};
use crate::files::scratch::Scratch;
use crate::kernels::fixture;
use crate::pool::Pool;
use crate::program::Program;

fn digits() -> (Dataset, Dataset) {
    let split = [("split".into(), ArgValue::Num(0.8))];
    let both = source::load("digits", &split, Path::new(""), false).unwrap();
    (both.train, both.test)
}

fn settings(epochs: usize) -> Settings {
    Settings { model: "Digits".into(), seed: 7, epochs, early_stop: None, checkpoint: None, augment: None }
}

fn engine(program: Program, threads: usize) -> Engine {
    Engine::new(Arc::new(program), Arc::new(Pool::new(threads).unwrap())).unwrap()
}

/// Batches of 4 shards of 16.
fn trained() -> Program {
    fixture::logistic::<64, 10, 16>(4)
}

/// Keeps the epochs; sets the flag after a batch (epoch from 1, batches done), if told.
#[derive(Default)]
struct Watcher {
    epochs: Vec<Epoch>,
    interrupt_at: Option<(usize, usize)>,
    flag: Arc<AtomicBool>,
    /// After so many updates all parameters become larger by 1.
    add_at: Option<u64>,
    /// Weights before each update.
    seen: Vec<(u64, Vec<u32>)>,
}

impl Observer for Watcher {
    fn batch(&mut self, epoch: usize, done: usize, _total: usize) {
        if self.interrupt_at == Some((epoch, done)) {
            self.flag.store(true, Ordering::Relaxed);
        }
    }

    fn epoch(&mut self, epoch: &Epoch) {
        self.epochs.push(*epoch);
    }

    fn weights(&mut self, updates: u64, weights: &mut Weights) {
        self.seen.push((updates, bits(weights)));
        if self.add_at == Some(updates) {
            weights.param.iter_mut().for_each(|w| *w += 1.0);
        }
    }
}

struct Run {
    threads: usize,
    settings: Settings,
    program: Program,
    resume: bool,
    validate: bool,
    interrupt_at: Option<(usize, usize)>,
    add_at: Option<u64>,
}

impl Run {
    fn new(epochs: usize) -> Run {
        let (program, settings) = (trained(), settings(epochs));
        Run {
            threads: 1,
            settings,
            program,
            resume: false,
            validate: false,
            interrupt_at: None,
            add_at: None,
        }
    }

    fn go(self) -> (Outcome, Weights, Vec<Epoch>, SectionTimes) {
        let (outcome, weights, watcher, times) = self.watched();
        (outcome, weights, watcher.epochs, times)
    }

    fn watched(self) -> (Outcome, Weights, Watcher, SectionTimes) {
        let (train, test) = digits();
        let mut engine = engine(self.program, self.threads);
        let eval = Arc::new(fixture::logistic_eval::<64, 10, 16>(2));
        let mut eval = Engine::beside(eval, &mut engine).unwrap();
        let mut weights = Weights::zeroed(engine.program()).unwrap();
        let mut progress = Progress::default();
        if self.resume {
            let path = self.settings.checkpoint.as_ref().unwrap();
            progress = checkpoint::load(path, engine.program(), &mut weights, true).unwrap();
        }
        let flag = Arc::new(AtomicBool::new(self.interrupt_at == Some((1, 0))));
        let (interrupt_at, add_at) = (self.interrupt_at, self.add_at);
        let mut watcher = Watcher { interrupt_at, add_at, flag: flag.clone(), ..Watcher::default() };
        let mut times = SectionTimes::default();
        let mut trainer = Trainer {
            settings: self.settings,
            engine: &mut engine,
            test: self.validate.then_some((&mut eval, &test)),
            data: &train,
            stop: &flag,
        };
        let outcome = trainer.run(&mut weights, progress, &mut watcher, &mut times).unwrap();
        (outcome, weights, watcher, times)
    }
}

fn bits(weights: &Weights) -> Vec<u32> {
    weights.param.iter().chain(weights.slot.iter()).map(|w| w.to_bits()).collect()
}

#[test]
fn logistic_regression_learns_the_digits() {
    let (outcome, mut weights, epochs, times) = Run::new(10).go();
    let last = epochs[9];
    assert_eq!(outcome, Outcome::Done { loss: last.loss, accuracy: last.accuracy, epochs: 10 });
    assert!(last.loss < epochs[0].loss && last.accuracy.unwrap() > 0.95);
    assert!(times.forward > 0.0 && times.backward > 0.0 && times.update > 0.0);

    let (_, test) = digits();
    let mut engine = engine(fixture::logistic_eval::<64, 10, 16>(2), 2);
    let pixels = [PopulationInfo { name: "x".into(), neurons: 64, fan_out: 10.0 }];
    let report = evaluate(&mut engine, &mut weights, &test, &pixels, 0, &mut SectionTimes::default());
    assert_eq!(report.samples, 359);
    assert!(report.accuracy.unwrap() > 0.93, "{report:?}");
    assert_eq!(report.confusion.iter().flatten().sum::<u64>(), 359);
    let correct: u64 = (0..10).map(|class| report.confusion[class][class]).sum();
    assert_eq!(correct as f64 / 359.0, report.accuracy.unwrap());
    let bright = test.x.iter().filter(|&&x| x > 0.5).count() as f64;
    let per_step = bright / (359.0 * 64.0);
    assert_eq!(report.rates.len(), 1);
    assert!((report.rates[0].1 - per_step).abs() < 1e-12);
    assert!((report.sparsity(&pixels).unwrap() - (1.0 - per_step)).abs() < 1e-12);
    assert!((report.synops - 10.0 * bright / 359.0).abs() < 1e-9);
}

#[test]
fn threads_do_not_change_a_bit() {
    let (_, first, one, _) = Run::new(2).go();
    let (_, second, two, _) = Run { threads: 2, ..Run::new(2) }.go();
    assert_eq!(bits(&first), bits(&second));
    assert_eq!(one[1].loss.to_bits(), two[1].loss.to_bits());
}

#[test]
fn a_resumed_training_is_the_same_training() {
    let dir = Scratch::new();
    let path = dir.path().join("c.safetensors");
    let with_checkpoint = || {
        let mut run = Run { validate: true, threads: 2, ..Run::new(5) };
        run.settings.checkpoint = Some(path.clone());
        run
    };
    let (_, expected, whole, _) = Run { validate: true, ..Run::new(5) }.go();

    // Interrupted in the third epoch: weights and checkpoint are those of the second.
    let (outcome, weights, first, _) = Run { interrupt_at: Some((3, 5)), ..with_checkpoint() }.go();
    assert_eq!(outcome, Outcome::Interrupted { epochs: 2 });
    let mut saved = Weights::zeroed(&trained()).unwrap();
    let progress = checkpoint::load(&path, &trained(), &mut saved, true).unwrap();
    assert_eq!(
        (progress.epoch, progress.updates, progress.seed, progress.model.as_str()),
        (2, 46, 7, "Digits")
    );
    assert_eq!(bits(&saved), bits(&weights));

    let (_, weights, rest, _) = Run { resume: true, ..with_checkpoint() }.go();
    assert_eq!(bits(&weights), bits(&expected));
    let numbers = |epochs: &[Epoch]| -> Vec<(usize, f64, Option<f64>, Option<f64>)> {
        epochs.iter().map(|e| (e.number, e.loss, e.test_loss, e.test_accuracy)).collect()
    };
    assert_eq!(numbers(&[first, rest].concat()), numbers(&whole));

    // Nothing is left to do: the outcome is that of the last epoch.
    let (outcome, weights, none, _) = Run { resume: true, ..with_checkpoint() }.go();
    assert_eq!((bits(&weights), none.len()), (bits(&expected), 0));
    assert_eq!(outcome, Outcome::Done { loss: whole[4].loss, accuracy: whole[4].accuracy, epochs: 5 });
}

#[test]
fn augmentation_is_of_trainings_only_and_the_same_with_more_threads_and_after_a_resumption() {
    let changes = vec![Change::Crop { padding: 1 }, Change::Cutout { size: 2 }];
    let augment = Augment { size: [8, 8], changes };
    let run = |threads, augment| {
        let mut run = Run { threads, validate: true, ..Run::new(4) };
        run.settings.augment = augment;
        run
    };
    let (_, plain, as_is, _) = run(1, None).go();
    let (_, expected, whole, _) = run(1, Some(augment.clone())).go();
    assert_ne!(bits(&plain), bits(&expected));
    assert_ne!(as_is[0].loss.to_bits(), whole[0].loss.to_bits());
    assert!(whole[3].test_loss.unwrap() < whole[3].loss, "shifted digits are harder: {whole:?}");

    let dir = Scratch::new();
    let path = dir.path().join("c.safetensors");
    let with_checkpoint = || {
        let mut run = run(2, Some(augment.clone()));
        run.settings.checkpoint = Some(path.clone());
        run
    };
    Run { interrupt_at: Some((3, 2)), ..with_checkpoint() }.go();
    let (_, weights, rest, _) = Run { resume: true, ..with_checkpoint() }.go();
    assert_eq!((bits(&weights), rest.len()), (bits(&expected), 2));
}

#[test]
fn divergence_leaves_the_weights_of_the_batch_before() {
    let dir = Scratch::new();
    let path = dir.path().join("c.safetensors");
    // Batches of 256: 6 updates an epoch, update 9 is batch 3 of epoch 2.
    let mut run = Run { program: fixture::logistic_breaking::<64, 10, 64>(4), ..Run::new(3) };
    run.settings.checkpoint = Some(path.clone());
    let (outcome, weights, epochs, _) = run.go();
    let Outcome::Diverged(Diverged { epoch, batch, samples, call, what }) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!((epoch, batch, samples.len(), what.as_str()), (2, 3, 256, "y.bias"));
    assert_eq!((call.scalars[Scalar::Update as usize], epochs.len()), (9.0, 1));
    assert!(weights.param.iter().chain(weights.slot.iter()).all(|w| w.is_finite()));
    let mut saved = Weights::zeroed(&trained()).unwrap();
    assert_eq!(checkpoint::load(&path, &trained(), &mut saved, true).unwrap().epoch, 1);
    assert_ne!(bits(&saved), bits(&weights));
}

#[test]
fn what_an_observer_changes_is_trained_on_and_found_again_after_a_divergence() {
    let run = |add_at| Run { program: fixture::logistic::<64, 10, 64>(4), add_at, ..Run::new(3) }.watched();
    let ((_, _, plain, _), (_, _, changed, _)) = (run(None), run(Some(7)));
    assert!(changed.seen.iter().map(|(at, _)| *at).eq(0..18));
    assert_eq!(changed.seen[..8], plain.seen[..8]);
    assert_ne!(changed.seen[8].1, plain.seen[8].1);
    let breaking = fixture::logistic_breaking::<64, 10, 64>(4);
    let (outcome, weights, ..) = Run { program: breaking, add_at: Some(7), ..Run::new(3) }.watched();
    assert!(matches!(outcome, Outcome::Diverged(Diverged { epoch: 2, batch: 3, .. })), "{outcome:?}");
    assert_eq!(bits(&weights), changed.seen[8].1);
}

#[test]
fn training_stops_when_the_loss_gets_no_better() {
    let dir = Scratch::new();
    let path = dir.path().join("c.safetensors");
    let stopping = || {
        let mut run = Run { validate: true, ..Run::new(50) };
        run.settings.checkpoint = Some(path.clone());
        run.settings.early_stop = Some((2, 0.05));
        run
    };
    let (outcome, _, epochs, _) = stopping().go();
    assert!(matches!(outcome, Outcome::Done { epochs: 3..30, .. }), "{outcome:?}");
    let (_, _, more, _) = Run { resume: true, ..stopping() }.go();
    assert_eq!(more.len(), 0, "after {} epochs it had stopped", epochs.len());
}

#[test]
fn an_interrupt_before_the_first_batch_changes_nothing() {
    let (outcome, weights, epochs, _) = Run { interrupt_at: Some((1, 0)), ..Run::new(2) }.go();
    assert_eq!((outcome, epochs.len()), (Outcome::Interrupted { epochs: 0 }, 0));
    assert!(weights.param.iter().all(|&w| w == 0.0));
}

#[test]
fn data_that_do_not_fit_are_refused_before_training() {
    let data =
        Dataset::new("d", vec![0.0; 6], 2, vec![3], Target::Values { y: vec![0.0; 2], width: 1 }).unwrap();
    let mut engine = engine(trained(), 1);
    let mut weights = Weights::zeroed(engine.program()).unwrap();
    let stop = AtomicBool::new(false);
    let mut trainer =
        Trainer { settings: settings(1), engine: &mut engine, test: None, data: &data, stop: &stop };
    let times = &mut SectionTimes::default();
    let error = trainer.run(&mut weights, Progress::default(), &mut Watcher::default(), times).unwrap_err();
    assert_eq!(error.code, "E0903");
}
