//! The straight line between two weights: losses and error rates on it, and the barrier in between.

use super::{Course, Failure};
use crate::job::Runner;
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::data::Dataset;
use snn_runtime::data::batch::Batcher;
use snn_runtime::engine::{Call, SectionTimes, Weights};
use snn_runtime::train::trainer::{call_key, order};

/// Points of the line, its ends among them.
pub const POINTS: usize = 21;

/// Batches after which running statistics that take a tenth of each have forgotten what they were.
const RENEWAL: usize = 50;

/// What was found on a line.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Line {
    /// Losses from the first end to the second one.
    pub loss: Vec<f64>,
    /// Error rates; none without classes.
    pub error: Option<Vec<f64>>,
}

/// How far a place of the line is from its first end: 0 to 1.
pub fn share(point: usize) -> f64 {
    point as f64 / (POINTS - 1) as f64
}

/// How far the highest value of a line is above the straight line between its ends, and where that is (0 to 1); not a number if one of them is none.
pub fn barrier(values: &[f64]) -> (f64, f64) {
    if values.iter().any(|value| value.is_nan()) {
        return (f64::NAN, f64::NAN);
    }
    let top = (0..values.len()).fold(0, |top, at| if values[at] > values[top] { at } else { top });
    let along = top as f64 / (values.len() - 1) as f64;
    let straight = (1.0 - along) * values[0] + along * values[values.len() - 1];
    ((values[top] - straight).max(0.0), along)
}

impl Course {
    /// Loss and error rate on the line. Running statistics of normalisations are made anew at each point.
    pub fn line(
        &mut self,
        runner: &Runner,
        (a, b): (&Weights, &Weights),
        data: &Dataset,
    ) -> Result<Line, Failure> {
        let (mut loss, mut error) = (Vec::new(), Vec::new());
        let mut between = a.duplicate()?;
        let has_statistics = self.has_statistics(runner);
        for point in 0..POINTS {
            let along = share(point);
            for (to, (a, b)) in between.param.iter_mut().zip(a.param.iter().zip(b.param.iter())) {
                *to = ((1.0 - along) * f64::from(*a) + along * f64::from(*b)) as f32;
            }
            between.slot.copy_from_slice(&a.slot);
            if has_statistics {
                self.renew_statistics(runner, &mut between)?;
            }
            let report = self.evaluate(&mut between, data);
            loss.push(report.loss.unwrap_or(f64::NAN));
            error.extend(report.accuracy.map(|accuracy| 1.0 - accuracy));
        }
        Ok(Line { loss, error: (error.len() == POINTS).then_some(error) })
    }

    /// Whether a training writes parameters that it does not train.
    fn has_statistics(&self, runner: &Runner) -> bool {
        let params = &runner.model(&self.job).params;
        let outputs = &self.ready.staged.net.outputs;
        outputs.iter().any(|o| matches!(o.sink, snn_compiler::net::Sink::Param(p) if !params[p].trained))
    }

    /// Passes over the training data that change nothing but what is not trained: one, or as many as have [`RENEWAL`] batches.
    fn renew_statistics(&mut self, runner: &Runner, weights: &mut Weights) -> Result<(), Failure> {
        let data = &self.split.train;
        let engine = &mut self.ready.engine;
        let trained: Vec<bool> = runner.model(&self.job).params.iter().map(|p| p.trained).collect();
        let before = weights.duplicate()?;
        let mut batcher = Batcher::new(data, engine.program())?;
        let mut scalars = [0.0; SCALARS];
        scalars[Scalar::Epochs as usize] = self.epochs as f32;
        scalars[Scalar::Update as usize] = 1.0;
        let order = order(self.job.seed, 0, data.samples);
        let batches = order.chunks(engine.batch()).enumerate();
        let wanted = RENEWAL.next_multiple_of(batches.len());
        for (number, samples) in batches.clone().cycle().take(wanted) {
            batcher.fill(samples);
            let call = Call { key: call_key(self.job.seed, 0, number), count: samples.len(), scalars };
            engine.run(weights, &call, &batcher.inputs(), &mut SectionTimes::default());
            for idx in (0..trained.len()).filter(|idx| trained[*idx]) {
                let program = engine.program();
                weights.param_mut(program, idx).copy_from_slice(before.param(program, idx));
            }
            weights.slot.copy_from_slice(&before.slot);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_is_what_is_above_the_straight_line() {
        // The largest of the values is 1.3325, at 0.65, where the straight line is 0.65.
        let hill: Vec<f64> = (0..POINTS).map(|p| share(p) + 3.0 * share(p) * (1.0 - share(p))).collect();
        let (height, along) = barrier(&hill);
        assert!((along - 0.65).abs() < 1e-12 && (height - 0.6825).abs() < 1e-12, "{height} at {along}");
        assert_eq!(barrier(&[3.0, 2.0, 1.0]), (0.0, 0.0));
        assert_eq!(barrier(&[1.0, 0.5, 2.0]), (0.0, 1.0));
        assert_eq!(barrier(&[1.0, f64::INFINITY, 2.0]).0, f64::INFINITY);
        assert!(barrier(&[1.0, f64::NAN, 2.0]).0.is_nan());
    }
}
