//! Metrics that add up over batches: loss, accuracy, confusion, spikes. What a report makes of them is in `evaluate`.

use crate::data::Dataset;
use crate::engine::Engine;

/// A spiking population.
#[derive(Clone, PartialEq, Debug)]
pub struct PopulationInfo {
    /// Its name; the program counts its spikes in `count.NAME`.
    pub name: String,
    /// Number of neurons.
    pub neurons: usize,
    /// Synapses that each of its spikes reaches.
    pub fan_out: f64,
}

/// Sums over batches.
#[derive(Clone, Debug)]
pub struct Metrics {
    samples: usize,
    loss: Option<f64>,
    /// Samples by `[class][answer]`; empty without predictions.
    confusion: Vec<Vec<u64>>,
    /// Output and spikes of each population.
    spikes: Vec<(String, Option<f64>)>,
}

impl Metrics {
    /// For what the program of `engine` offers of the outputs in the table of [`crate::train`].
    pub fn new(engine: &Engine, populations: &[PopulationInfo]) -> Metrics {
        let program = engine.program();
        let classes = program.output("prediction").map_or(0, |info| info.width());
        let spikes = populations.iter().map(|population| {
            let output = format!("count.{}", population.name);
            let sum = program.output(&output).map(|_| 0.0);
            (output, sum)
        });
        Metrics {
            samples: 0,
            loss: program.output("loss").map(|_| 0.0),
            confusion: vec![vec![0; classes]; classes],
            spikes: spikes.collect(),
        }
    }

    /// Adds the call that `engine` ran last, on these samples of `data`. Gives the loss of this batch.
    pub fn add(&mut self, engine: &Engine, data: &Dataset, samples: &[u32]) -> Option<f32> {
        self.samples += samples.len();
        let loss = engine.scalar("loss");
        if let (Some(sum), Some(loss)) = (&mut self.loss, loss) {
            *sum += f64::from(loss) * samples.len() as f64;
        }
        if let (false, Some(labels)) = (self.confusion.is_empty(), data.labels(samples)) {
            for (sample, label) in labels.enumerate() {
                let row = engine.output_row("prediction", 0, sample).expect("the program has it");
                if let Some(counts) = self.confusion.get_mut(label as usize) {
                    counts[largest(row)] += 1;
                }
            }
        }
        for (output, sum) in &mut self.spikes {
            if let (Some(sum), Some(count)) = (sum, engine.scalar(output)) {
                *sum += f64::from(count);
            }
        }
        loss
    }

    /// Samples so far.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Mean loss of a sample; none if the program has no loss or nothing was added.
    pub fn loss(&self) -> Option<f64> {
        self.loss.filter(|_| self.samples > 0).map(|sum| sum / self.samples as f64)
    }

    /// Share of right answers; none without predictions or classes.
    pub fn accuracy(&self) -> Option<f64> {
        let total: u64 = self.confusion.iter().flatten().sum();
        let correct: u64 = self.confusion.iter().enumerate().map(|(class, row)| row[class]).sum();
        (total > 0).then(|| correct as f64 / total as f64)
    }

    /// Samples by `[class][answer]`; empty without predictions.
    pub fn confusion(&self) -> &[Vec<u64>] {
        &self.confusion
    }

    /// Spikes of each population over all samples and steps; none where the program does not count them.
    pub fn spikes(&self) -> impl Iterator<Item = Option<f64>> + '_ {
        self.spikes.iter().map(|(_, sum)| *sum)
    }
}

/// Index of the largest number, the first of several; NaN never wins.
pub(super) fn largest(row: &[f32]) -> usize {
    let mut best = (0, f32::NEG_INFINITY);
    for (idx, &value) in row.iter().enumerate() {
        if value > best.1 {
            best = (idx, value);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_largest_wins() {
        assert_eq!(largest(&[1.0, 3.0, 3.0, 2.0]), 1);
        assert_eq!(largest(&[f32::NAN, -1.0, f32::NAN]), 1);
        assert_eq!(largest(&[f32::NAN]), 0);
    }
}
