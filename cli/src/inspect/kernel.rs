//! Kernels over samples: what populations send, and gradients of single outputs for single samples (the tangent kernel). How alike two kernels are.

use crate::job::{Ready, Runner};
use crate::load::Failure;
use snn_compiler::hir::{Expr, ExprKind, Job, JobKind, Over, PopId, Record, ReduceOp, TrainSettings, Unit};
use snn_compiler::pipeline::{DataFacts, Purpose};
use snn_compiler::step::ops::{Fold, Pw};
use snn_runtime::data::Dataset;
use snn_runtime::engine::{Call, SectionTimes, Weights};
use snn_runtime::train::evaluate::{INPUT, gather};

/// Samples of a tangent kernel at most.
const SAMPLES: usize = 16;
/// Rows of a tangent kernel, an output of a sample each, at most.
const ROWS: usize = 256;
/// Numbers of all gradients that are held at a time.
const NUMBERS: usize = 1 << 26;

/// Numbers of samples, or of outputs of samples, row after row.
pub type Rows = Vec<Vec<f32>>;

/// The matrix of inner products of all rows.
pub fn gram(rows: &Rows) -> Vec<f64> {
    let n = rows.len();
    let mut gram = vec![0.0; n * n];
    for (i, a) in rows.iter().enumerate() {
        for (j, b) in rows.iter().enumerate().take(i + 1) {
            let product: f64 = a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum();
            (gram[i * n + j], gram[j * n + i]) = (product, product);
        }
    }
    gram
}

/// `<K, L> / (|K| |L|)` of two kernels, which are not centred: 1 where one is a multiple of the other. None if one of them is 0.
pub fn alignment(k: &[f64], l: &[f64]) -> Option<f64> {
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    // One root: equal kernels give 1 and not almost 1.
    let norms = (product(k, k) * product(l, l)).sqrt();
    (norms > 0.0 && norms.is_finite()).then(|| product(k, l) / norms)
}

/// What populations send: the mean over the steps, for each sample.
pub struct Sent(Ready);

impl Sent {
    /// For the model of a job and a number of samples.
    pub fn new(runner: &Runner, job: &Job, samples: usize, facts: DataFacts) -> Result<Sent, Failure> {
        let model = runner.model(job);
        let record = |(idx, pop): (usize, &snn_compiler::hir::Population)| {
            let of = |kind| Expr { kind, unit: Unit::NONE, shape: pop.shape.clone(), span: pop.span };
            let value = Box::new(of(ExprKind::Emit(PopId(idx as u32))));
            let value = of(ExprKind::Reduce { op: ReduceOp::Mean, over: Over::Time, value });
            Record { name: pop.name.clone(), value, range: None, events: false }
        };
        let records = model.populations.iter().enumerate().map(record).collect();
        let job = Job { kind: JobKind::Simulate, records, reports: Vec::new(), ..job.clone() };
        Ok(Sent(runner.compile(&job, Purpose::Simulate, samples, facts)?))
    }

    /// Of every population, in the order of the model; a row for each sample.
    pub fn of(
        &mut self,
        runner: &Runner,
        job: &Job,
        param: &[f32],
        probe: &Probe,
    ) -> Result<Vec<Rows>, Failure> {
        let (x, target) = gather(probe.data, probe.samples);
        let engine = &mut self.0.engine;
        let mut weights = Weights::zeroed(engine.program())?;
        weights.param.copy_from_slice(param);
        let inputs = [(INPUT, (&x).into()), ("target", (&target).into())];
        engine.run(&mut weights, probe.call, &inputs, &mut SectionTimes::default());
        let samples = probe.samples.len();
        let rows = runner.model(job).populations.iter().map(|pop| {
            let name = format!("record {}", pop.name);
            let values: Vec<f32> = engine.read(&name).map_or(Vec::new(), |v| v.into_iter().collect());
            // What does not depend on the data is there once.
            match engine.program().output(&name).is_some_and(|info| info.batch) {
                true => values.chunks(values.len() / samples).map(<[f32]>::to_vec).collect(),
                false => vec![values; samples],
            }
        });
        Ok(rows.collect())
    }
}

/// The samples of a measurement, and the call that fixes its random numbers.
pub struct Probe<'p> {
    /// The data.
    pub data: &'p Dataset,
    /// Which samples.
    pub samples: &'p [u32],
    /// As many of them.
    pub call: &'p Call,
}

/// Gradients of the outputs (the mean over the steps of the first output of the model) for single samples, by the parameters. Spikes have their
/// surrogates, and what depends on the batch in a training, as batch norm does, is that of the samples together.
pub struct Tangent {
    ready: Ready,
    /// Samples of the kernel.
    pub samples: usize,
    /// Outputs of each.
    pub outputs: usize,
    width: usize,
}

impl Tangent {
    /// For the model of a training and a batch. None if the model has no output.
    pub fn new(
        runner: &Runner,
        job: &Job,
        batch: usize,
        facts: DataFacts,
    ) -> Result<Option<Tangent>, Failure> {
        let model = runner.model(job);
        let Some(output) = model.outputs.first().map(|output| output.value.clone()) else { return Ok(None) };
        let width = output.shape.iter().product();
        let trained = model.params.iter().filter(|param| param.trained);
        let numbers: usize = trained.map(|param| param.shape.iter().product::<usize>()).sum();
        let rows = (NUMBERS / numbers.max(1)).clamp(2, ROWS);
        let outputs = rows.div_ceil(2).min(width);
        let samples = (rows / outputs.max(1)).min(SAMPLES).min(batch).max(1);
        let settings = job.train.clone().map(|t| TrainSettings { window: None, carried: false, ..t });
        let job = Job { loss: Some(chosen(output)), train: settings, ..job.clone() };
        let facts = DataFacts { target_width: width, ..facts };
        let ready = runner.compile(&job, Purpose::Gradient { relaxed: false }, samples, facts)?;
        Ok(Some(Tangent { ready, samples, outputs, width }))
    }

    /// By each parameter of the model: a row for each output of each sample of the probe's first ones. Empty rows where nothing depends on it.
    pub fn of(
        &mut self,
        runner: &Runner,
        job: &Job,
        param: &[f32],
        probe: &Probe,
    ) -> Result<Vec<Rows>, Failure> {
        let engine = &mut self.ready.engine;
        let mut weights = Weights::zeroed(engine.program())?;
        weights.param.copy_from_slice(param);
        let (x, _) = gather(probe.data, &probe.samples[..self.samples]);
        let call = Call { count: self.samples, ..*probe.call };
        let params = &runner.model(job).params;
        let mut all: Vec<Rows> = vec![Vec::new(); params.len()];
        for sample in 0..self.samples {
            for output in 0..self.outputs {
                let mut chosen = vec![0.0; self.samples * self.width];
                chosen[sample * self.width + output] = 1.0;
                let inputs = [(INPUT, (&x).into()), ("target", (&chosen).into())];
                engine.run(&mut weights, &call, &inputs, &mut SectionTimes::default());
                for (rows, param) in all.iter_mut().zip(params) {
                    let gradient = engine.read(&format!("grad {}", param.name)).filter(|_| param.trained);
                    rows.push(gradient.map_or(Vec::new(), |g| g.into_iter().collect()));
                }
            }
        }
        Ok(all)
    }
}

/// The loss that is the output, mean over the steps, which `target` marks with a 1.
fn chosen(output: Expr) -> Expr {
    let like = output.clone();
    let of = |kind| Expr { kind, ..like.clone() };
    let mean = of(ExprKind::Reduce { op: ReduceOp::Mean, over: Over::Time, value: Box::new(output) });
    let marked = of(ExprKind::Pointwise(Pw::Mul, vec![mean, of(ExprKind::Target)]));
    let sum =
        ExprKind::Reduce { op: ReduceOp::Fold(Fold::Sum), over: Over::Population, value: Box::new(marked) };
    Expr { kind: sum, shape: Vec::new(), ..like }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alignment_of_known_kernels() {
        let k = gram(&vec![vec![1.0, 0.0], vec![1.0, 1.0]]);
        assert_eq!(k, [1.0, 1.0, 1.0, 2.0]);
        let twice: Vec<f64> = k.iter().map(|v| 2.0 * v).collect();
        assert!((alignment(&k, &twice).expect("a number") - 1.0).abs() < 1e-15);
        // <K, 1> / (|K| |1|) = 3 / (sqrt(7) sqrt(2)).
        let found = alignment(&k, &[1.0, 0.0, 0.0, 1.0]).expect("a number");
        assert!((found - 3.0 / 14f64.sqrt()).abs() < 1e-15, "{found}");
        // Kernels are not centred: what all samples have in common counts.
        assert_eq!(alignment(&[1.0, 0.0, 0.0, 0.0], &[0.0, 0.0, 0.0, 1.0]), Some(0.0));
        assert_eq!(alignment(&k, &[0.0; 4]), None);
    }
}
