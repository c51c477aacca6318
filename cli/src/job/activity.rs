//! Activity on the first batch, for initializers that ask for it.

use super::Runner;
use snn_compiler::hir::{Expr, ExprKind, Job, JobKind, Record, Unit};
use snn_compiler::lower::Activity;
use snn_compiler::pipeline::Purpose;
use snn_compiler::source::Span;
use snn_runtime::abi::SCALARS;
use snn_runtime::data::Dataset;
use snn_runtime::engine::{Call, SectionTimes, Weights};
use snn_runtime::rng;
use snn_runtime::train::evaluate::{INPUT, gather};

/// The first batch of a training under the weights set so far.
pub struct FirstBatch<'r, 'a> {
    runner: &'r Runner<'a>,
    job: &'r Job,
    weights: Vec<f32>,
    data: Option<&'r Dataset>,
}

impl<'r, 'a> FirstBatch<'r, 'a> {
    /// Before parameter after parameter is set.
    pub fn new(runner: &'r Runner<'a>, job: &'r Job, weights: &Weights, data: Option<&'r Dataset>) -> Self {
        FirstBatch { runner, job, weights: weights.param.to_vec(), data }
    }
}

impl Activity for FirstBatch<'_, '_> {
    fn samples(&self) -> usize {
        self.data.map_or(1, |data| self.job.batch.min(data.samples))
    }

    fn values(&mut self, leaf: &ExprKind) -> Vec<f64> {
        let value = Expr { kind: leaf.clone(), unit: Unit::NONE, shape: Vec::new(), span: Span::NONE };
        let record = Record { name: "activity".into(), value, range: None, events: false };
        let job =
            Job { kind: JobKind::Simulate, records: vec![record], reports: Vec::new(), ..self.job.clone() };
        let Some(data) = self.data else { return vec![0.0] };
        let batch = job.batch.min(data.samples);
        let order = rng::permutation(data.samples, rng::key(job.seed, 2, 0));
        let Ok(mut ready) = self.runner.compile(&job, Purpose::Simulate, batch, super::facts(data)) else {
            return vec![0.0];
        };
        let Ok(mut weights) = Weights::zeroed(ready.engine.program()) else { return vec![0.0] };
        weights.param.copy_from_slice(&self.weights);
        let (x, target) = gather(data, &order[..batch]);
        let call = Call { key: rng::key(job.seed, 3, 0), count: batch, scalars: [0.0; SCALARS] };
        ready.engine.run(
            &mut weights,
            &call,
            &[(INPUT, (&x).into()), ("target", (&target).into())],
            &mut SectionTimes::default(),
        );
        let values = ready.engine.read("record activity");
        values.map_or(vec![0.0], |v| v.iter().map(|x| f64::from(*x)).collect())
    }
}
