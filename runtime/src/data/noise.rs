//! Random inputs, with random labels if asked for: work to measure, or samples for models that draw what they learn from.

use super::{Dataset, Target, classes};
use crate::error::{Result, RuntimeError};
use crate::kernels::bits::{self, words};
use crate::rng;

/// Purposes of the random streams.
const INPUTS: u64 = 0x401;
const LABELS: u64 = 0x402;

/// `[samples, inputs, classes]`; of no classes there are no labels. With steps: spikes (0 or 1) with probability `rate` at every input and step, shape
/// `[steps, inputs]`; without: numbers uniform in [0, 1). With steps and `stream` they are a stream of bits from the start: numbers
/// would take 32 times the memory. E0908 if there is no memory for them.
pub fn make(
    [samples, inputs, n_classes]: [usize; 3],
    steps: Option<usize>,
    rate: f32,
    seed: u64,
    stream: bool,
) -> Result<Dataset> {
    let width = inputs.saturating_mul(steps.unwrap_or(1));
    let stream = stream && steps.is_some();
    let of_sample = if stream { 2 * words(inputs) * steps.unwrap_or(1) } else { width };
    let mut x: Vec<f32> = Vec::new();
    x.try_reserve_exact(of_sample.saturating_mul(samples)).map_err(|_| {
        RuntimeError::new("E0908", format!("not enough memory for {samples} samples of {width} numbers"))
            .at("std.data.noise")
            .help("ask for fewer `samples`")
    })?;
    let mut row = vec![0.0; width];
    for sample in 0..samples {
        rng::uniform_row(&mut row, rng::key(seed, INPUTS, 0), 0, 0, sample as u64);
        if steps.is_some() {
            row.iter_mut().for_each(|u| *u = f32::from(u8::from(*u < rate)));
        }
        if !stream {
            x.extend(&row);
            continue;
        }
        for step in row.chunks(inputs) {
            let start = x.len();
            x.resize(start + 2 * words(inputs), 0.0);
            bits::pack(step, &mut x[start..]);
        }
    }
    let target = if n_classes > 0 { labels(samples, n_classes, seed)? } else { Target::None };
    if stream {
        let (name, shape) = ("noise".to_string(), vec![inputs]);
        return Ok(Dataset { name, x, samples, steps, shape, target, spikes: true, bits: true });
    }
    let shape = steps.into_iter().chain([inputs]).collect();
    Dataset::new("noise", x, samples, shape, target)
}

/// A random class for each sample.
fn labels(samples: usize, n_classes: usize, seed: u64) -> Result<Target> {
    let mut draws = vec![0.0; samples];
    rng::uniform_row(&mut draws, rng::key(seed, LABELS, 0), 0, 0, 0);
    // The last class is always there, so that the number of classes is what was asked for.
    let label = |(at, &u): (usize, &f32)| {
        if at == 0 { n_classes as i64 - 1 } else { (f64::from(u) * n_classes as f64) as i64 }
    };
    classes(draws.iter().enumerate().map(label), "std.data.noise")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spikes_have_their_rate_and_labels_their_classes() {
        let noise = make([50, 40, 7], Some(20), 0.1, 3, false).unwrap();
        assert_eq!((noise.samples, &noise.shape[..], noise.target_width()), (50, &[20, 40][..], 7));
        let rate = noise.x.iter().sum::<f32>() / noise.x.len() as f32;
        assert!((rate - 0.1).abs() < 0.01 && noise.x.iter().all(|&v| v == 0.0 || v == 1.0), "{rate}");
        assert_eq!(noise, make([50, 40, 7], Some(20), 0.1, 3, false).unwrap());
        assert_eq!(noise.streamed().unwrap().packed(), make([50, 40, 7], Some(20), 0.1, 3, true).unwrap());
        let target = make([50, 40, 0], Some(20), 0.1, 3, true).unwrap().target;
        assert_eq!(target, Target::None);
        let still = make([50, 40, 7], None, 0.1, 3, false).unwrap();
        assert_eq!(still.shape, [40]);
        assert!(still.x.iter().any(|&v| v > 0.5 && v < 1.0));
    }
}
