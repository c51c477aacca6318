//! The perturbation of the weights: its direction, its size, and what of it arrives in 32 bits.

use super::{Course, wrong};
use crate::args::Butterfly;
use crate::job::Runner;
use crate::load::Failure;
use crate::numbers::{norm, wide};
use snn_compiler::diag::suggest::closest;
use snn_runtime::engine::Weights;
use snn_runtime::program::Program;
use snn_runtime::rng;

/// Purposes of the random streams.
const DIRECTION: u64 = 0x601;
const CHOICE: u64 = 0x602;

/// Gaussian noise for parameters.
pub struct Noise {
    /// Places of the parameters that get some, and the noise of each of their numbers, for a scale of 1.
    parts: Vec<(usize, Vec<f64>)>,
}

/// What arrived.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Arrived {
    /// Numbers that are others now.
    pub changed: usize,
    /// Numbers whose noise is too small for 32 bits.
    pub dropped: usize,
    /// Norm of the difference.
    pub norm: f64,
}

impl Noise {
    /// Noise of the standard deviation of the first values of each parameter, as long as these are together; the share `--fraction` of its numbers is kept.
    /// Parameters whose first values are all the same get none. E0916 if a name is unknown or nothing is left.
    pub fn new(runner: &Runner, course: &Course, b: &Butterfly) -> Result<Noise, Failure> {
        let program = course.ready.engine.program();
        let mut parts = Vec::new();
        let mut size = Vec::new();
        for idx in chosen(runner, course, b)? {
            let first = course.first.param(program, idx);
            let deviation = deviation(first);
            if deviation > 0.0 {
                let mut row = vec![0.0f32; first.len()];
                let stream = rng::stream(&program.params[idx].name);
                rng::gaussian_row(&mut row, rng::key(course.job.seed, DIRECTION, b.draw), stream, 0, 0);
                parts.push((idx, row.iter().map(|v| deviation * f64::from(*v)).collect::<Vec<f64>>()));
                size.push(norm(wide(first)));
            }
        }
        let length = norm(parts.iter().flat_map(|(_, noise)| noise).copied());
        if length == 0.0 {
            return Err(wrong(
                "there is nothing to perturb: no trained parameter that was chosen starts with different numbers",
                "noise has the standard deviation of the first values; choose other parameters with --only or --except",
            ));
        }
        let factor = norm(size.into_iter()) / length;
        let total = parts.iter().map(|(_, noise)| noise.len()).sum();
        let kept = (b.fraction * total as f64).round() as usize;
        let order = rng::permutation(total, rng::key(course.job.seed, CHOICE, b.draw));
        let mut is_kept = vec![false; total];
        order[..kept].iter().for_each(|at| is_kept[*at as usize] = true);
        let all = parts.iter_mut().flat_map(|(_, noise)| noise.iter_mut());
        all.zip(is_kept).for_each(|(value, kept)| *value *= if kept { factor } else { 0.0 });
        Ok(Noise { parts })
    }

    /// Adds `scale` times the noise.
    pub fn add(&self, program: &Program, weights: &mut Weights, scale: f64) -> Arrived {
        let mut arrived = Arrived::default();
        let mut squares = 0.0;
        for (idx, noise) in &self.parts {
            for (weight, noise) in weights.param_mut(program, *idx).iter_mut().zip(noise) {
                let moved = (f64::from(*weight) + scale * noise) as f32;
                if moved != *weight {
                    arrived.changed += 1;
                    squares += (f64::from(moved) - f64::from(*weight)).powi(2);
                    *weight = moved;
                } else if *noise != 0.0 {
                    arrived.dropped += 1;
                }
            }
        }
        arrived.norm = squares.sqrt();
        arrived
    }

    /// Places of the parameters that get some.
    pub fn params(&self) -> impl Iterator<Item = usize> + '_ {
        self.parts.iter().map(|(idx, _)| *idx)
    }
}

/// Trained parameters that `--only` and `--except` leave.
fn chosen(runner: &Runner, course: &Course, b: &Butterfly) -> Result<Vec<usize>, Failure> {
    let (model, mut trained) = (runner.model(&course.job), course.trained(runner));
    let name = |idx: &usize| &model.params[*idx].name[..];
    for wanted in b.only.iter().chain(&b.except) {
        if !trained.iter().any(|idx| name(idx) == wanted) {
            let all: Vec<&str> = trained.iter().map(name).collect();
            let help = match closest(wanted, all.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("there are {}", all.join(", ")),
            };
            return Err(wrong(format!("`{wanted}` is no trained parameter of `{}`", model.name), help));
        }
    }
    let is_in = |list: &[String], idx: &usize| list.iter().any(|wanted| wanted == name(idx));
    trained.retain(|idx| (b.only.is_empty() || is_in(&b.only, idx)) && !is_in(&b.except, idx));
    Ok(trained)
}

/// Standard deviation, biased.
fn deviation(values: &[f32]) -> f64 {
    // Rounding of the mean is no spread.
    if values.windows(2).all(|two| two[0] == two[1]) {
        return 0.0;
    }
    let n = values.len() as f64;
    let mean = wide(values).sum::<f64>() / n;
    (wide(values).map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt()
}
