//! Data sets in memory and the files they come from. Holds no training: who reads a [`Dataset`] picks its samples.

pub mod augment;
pub mod batch;
pub mod csv;
pub mod digits;
pub mod idx;
pub mod noise;
pub mod npy;
pub mod npz;
pub mod source;

use std::borrow::Cow;
use std::io::Read;

use crate::error::{Result, RuntimeError};
use crate::kernels::bits::{self, words};
use crate::rng;

pub use source::{ArgValue, Split, load};

/// More classes than this are taken for a mistake: a one-hot target of this width is already 256 KiB a sample.
pub const MAX_CLASSES: u32 = 65_536;

/// Purpose of the random order that splits a data set.
const SPLIT: u64 = 0x5717;

/// What the output should be for each sample.
#[derive(Clone, PartialEq, Debug)]
pub enum Target {
    /// One of `n` classes for each sample; the target is one-hot.
    Classes {
        /// A number below `n` for each sample.
        labels: Vec<u32>,
        /// Number of classes.
        n: usize,
        /// What the classes are called, if the file says it: `n` names.
        names: Option<Vec<String>>,
    },
    /// `width` numbers for each sample.
    Values {
        /// `[samples, width]`.
        y: Vec<f32>,
        /// Numbers for each sample.
        width: usize,
    },
    /// Nothing is known.
    None,
}

/// Samples of one shape, and their targets.
#[derive(Clone, PartialEq, Debug)]
pub struct Dataset {
    /// What messages call it.
    pub name: String,
    /// `[samples, steps if any, shape…]`, row by row; with `bits`, rows of bits as [`crate::kernels::spikes`] has them.
    pub x: Vec<f32>,
    /// Number of samples.
    pub samples: usize,
    /// Steps of each sample if inputs change from step to step.
    pub steps: Option<usize>,
    /// Shape of one sample at one step.
    pub shape: Vec<usize>,
    /// The targets.
    pub target: Target,
    /// Whether all of `x` is 0 or 1.
    pub spikes: bool,
    /// Whether each row of `x` is kept as bits.
    pub bits: bool,
}

impl Dataset {
    /// A data set of static samples whose parts fit together: E0903 if they do not, E0904 if a number is not finite.
    pub fn new(
        name: &str,
        x: Vec<f32>,
        samples: usize,
        shape: Vec<usize>,
        target: Target,
    ) -> Result<Dataset> {
        let wrong = |message: String| RuntimeError::new("E0903", message).at(name);
        if samples == 0 {
            return Err(wrong("there are no samples".into()));
        }
        if u32::try_from(samples).is_err() {
            return Err(wrong(format!("{samples} samples are more than 2^32 - 1")));
        }
        let total = shape.iter().try_fold(samples, |n, &d| n.checked_mul(d)).filter(|&n| n > 0);
        if total != Some(x.len()) {
            return Err(wrong(format!(
                "{samples} samples of shape {shape:?} cannot hold {} numbers",
                x.len()
            )));
        }
        let count = match &target {
            Target::Classes { labels, .. } => labels.len(),
            Target::Values { y, width } => y.len() / (*width).max(1),
            Target::None => samples,
        };
        if count != samples {
            return Err(wrong(format!("there are {samples} samples but {count} targets"))
                .help("inputs and targets need the same first axis"));
        }
        let spikes = x.iter().all(|value| *value == 0.0 || *value == 1.0);
        let dataset =
            Dataset { name: name.into(), x, samples, steps: None, shape, target, spikes, bits: false };
        dataset.check_finite()?;
        Ok(dataset)
    }

    /// Elements of one sample at one step.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Elements of one sample with all its steps.
    pub fn sample_len(&self) -> usize {
        self.width() * self.steps.unwrap_or(1)
    }

    /// Sample `i` with all its steps: `[steps if any, shape…]`.
    pub fn sample(&self, i: usize) -> Cow<'_, [f32]> {
        let raw = self.raw_sample(i);
        if !self.bits {
            return Cow::Borrowed(raw);
        }
        let width = self.width();
        let mut values = vec![0.0; self.sample_len()];
        for (bits, row) in raw.chunks(2 * words(width)).zip(values.chunks_mut(width)) {
            bits::unpack(bits, row);
        }
        Cow::Owned(values)
    }

    /// Sample `i` as it is kept.
    fn raw_sample(&self, i: usize) -> &[f32] {
        let stride = self.kept_len();
        &self.x[i * stride..][..stride]
    }

    /// Numbers of one sample as it is kept.
    pub fn kept_len(&self) -> usize {
        let row = if self.bits { 2 * words(self.width()) } else { self.width() };
        row * self.steps.unwrap_or(1)
    }

    /// Keeps spikes as bits, for inputs that change from step to step: a thirty-second of the memory.
    pub fn packed(mut self) -> Dataset {
        if self.spikes && self.steps.is_some() && !self.bits {
            let width = self.width();
            let mut x = vec![0.0; self.x.len() / width * 2 * words(width)];
            for (values, bits) in self.x.chunks(width).zip(x.chunks_mut(2 * words(width))) {
                bits::pack(values, bits);
            }
            (self.x, self.bits) = (x, true);
        }
        self
    }

    /// Takes the first axis of the shape for the steps, as a `stream` input needs. E0903 if there is no such axis.
    pub fn streamed(mut self) -> Result<Dataset> {
        if self.steps.is_none() {
            if self.shape.len() < 2 {
                let message = format!("samples of shape {:?} have no axis for the steps", self.shape);
                return Err(RuntimeError::new("E0903", message)
                    .at(self.name)
                    .help("an input with `stream` needs data of shape [samples, steps, …]"));
            }
            self.steps = Some(self.shape.remove(0));
        }
        Ok(self)
    }

    /// Elements of one target: the number of classes or of values, 0 without targets.
    pub fn target_width(&self) -> usize {
        match &self.target {
            Target::Classes { n, .. } => *n,
            Target::Values { width, .. } => *width,
            Target::None => 0,
        }
    }

    /// The classes of some samples; none for other targets.
    pub fn labels<'a>(&'a self, samples: &'a [u32]) -> Option<impl Iterator<Item = u32> + 'a> {
        match &self.target {
            Target::Classes { labels, .. } => Some(samples.iter().map(|&idx| labels[idx as usize])),
            _ => None,
        }
    }

    /// Appends the target of sample `i` to `out`: one-hot or the values.
    pub fn write_target(&self, i: usize, out: &mut Vec<f32>) {
        match &self.target {
            Target::Classes { labels, n, .. } => {
                let start = out.len();
                out.resize(start + n, 0.0);
                out[start + labels[i] as usize] = 1.0;
            }
            Target::Values { y, width } => out.extend_from_slice(&y[i * width..][..*width]),
            Target::None => {}
        }
    }

    /// Splits at random by `seed` into `share` of the samples, rounded, and the rest. The number of classes stays. Samples change places where
    /// they lie, so that only the rest is there twice for a moment.
    pub fn split(mut self, share: f64, seed: u64) -> (Dataset, Dataset) {
        let order = rng::permutation(self.samples, rng::key(seed, SPLIT, 0));
        let n = ((self.samples as f64 * share).round() as usize).min(self.samples);
        let stride = self.kept_len();
        permute(&mut self.x, stride, &order);
        let x = split_off(&mut self.x, n * stride);
        let target = match &mut self.target {
            Target::Classes { labels, n: classes, names } => {
                permute(labels, 1, &order);
                Target::Classes { labels: split_off(labels, n), n: *classes, names: names.clone() }
            }
            Target::Values { y, width } => {
                permute(y, *width, &order);
                Target::Values { y: split_off(y, n * *width), width: *width }
            }
            Target::None => Target::None,
        };
        let (name, shape, samples) = (self.name.clone(), self.shape.clone(), self.samples - n);
        let rest = Dataset {
            name,
            x,
            samples,
            steps: self.steps,
            shape,
            target,
            spikes: self.spikes,
            bits: self.bits,
        };
        (Dataset { samples: n, ..self }, rest)
    }

    /// Bytes of inputs and targets.
    pub fn bytes(&self) -> usize {
        let targets = match &self.target {
            Target::Classes { labels, .. } => labels.len(),
            Target::Values { y, .. } => y.len(),
            Target::None => 0,
        };
        4 * (self.x.len() + targets)
    }

    /// E0904 if an input or a target is NaN or infinite; says which.
    pub fn check_finite(&self) -> Result<()> {
        let check =
            |what: &str, values: &[f32], stride: usize| match values.iter().position(|v| !v.is_finite()) {
                None => Ok(()),
                Some(i) => {
                    let (sample, element) = (i / stride.max(1), i % stride.max(1));
                    let message = format!("{what} {element} of sample {sample} is {}", values[i]);
                    Err(RuntimeError::new("E0904", message)
                        .at(&self.name)
                        .help("remove or replace such samples; numbers are held in 32 bits, up to 3.4e38"))
                }
            };
        check("input", &self.x, self.sample_len())?;
        match &self.target {
            Target::Values { y, width } => check("target", y, *width),
            _ => Ok(()),
        }
    }
}

/// Puts row `order[i]` of `width` values into place `i`, along the cycles of the permutation.
fn permute<T: Copy>(values: &mut [T], width: usize, order: &[u32]) {
    let mut done = vec![false; order.len()];
    let mut first_row = Vec::with_capacity(width);
    for first in 0..order.len() {
        if done[first] {
            continue;
        }
        first_row.clear();
        first_row.extend_from_slice(&values[first * width..][..width]);
        let mut to = first;
        loop {
            done[to] = true;
            let from = order[to] as usize;
            if from == first {
                break values[to * width..][..width].copy_from_slice(&first_row);
            }
            values.copy_within(from * width..(from + 1) * width, to * width);
            to = from;
        }
    }
}

/// What begins at `at`, with neither part holding more memory than it needs.
fn split_off<T>(values: &mut Vec<T>, at: usize) -> Vec<T> {
    let rest = values.split_off(at);
    values.shrink_to_fit();
    rest
}

/// Integer labels as classes 0 … max. E0909 if a label is negative or beyond [`MAX_CLASSES`].
pub fn classes(labels: impl IntoIterator<Item = i64>, place: &str) -> Result<Target> {
    let mut n = 0;
    let mut out = Vec::new();
    for (i, label) in labels.into_iter().enumerate() {
        match u32::try_from(label) {
            Ok(label) if label < MAX_CLASSES => {
                n = n.max(label as usize + 1);
                out.push(label);
            }
            _ => {
                let message = format!("label {label} of sample {i} is not between 0 and {}", MAX_CLASSES - 1);
                return Err(RuntimeError::new("E0909", message).at(place).help(
                    "number the classes 0, 1, …; values that are no classes must be floating-point numbers",
                ));
            }
        }
    }
    Ok(Target::Classes { labels: out, n, names: None })
}

/// All that `reader` gives, up to `limit` bytes and as long as there is memory (E0908); a read error is E0902.
pub(crate) fn read_all(mut reader: impl Read, limit: u64, place: &str) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut chunk = vec![0; 1 << 16];
    while (out.len() as u64) < limit {
        let room = (limit - out.len() as u64).min(chunk.len() as u64) as usize;
        match reader.read(&mut chunk[..room]) {
            Ok(0) => break,
            Ok(n) => {
                out.try_reserve(n).map_err(|_| {
                    RuntimeError::new("E0908", "there is not enough memory for the unpacked file").at(place)
                })?;
                out.extend_from_slice(&chunk[..n]);
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => {
                let message =
                    format!("the compressed data are broken after {} unpacked bytes: {e}", out.len());
                return Err(RuntimeError::new("E0902", message).at(place));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Dataset {
        let x = (0..20).map(|v| v as f32).collect();
        Dataset::new("d", x, 10, vec![2], classes(0..10, "d").unwrap()).unwrap()
    }

    #[test]
    fn split_keeps_pairs_and_every_sample_once() {
        let (train, test) = small().split(0.75, 3);
        assert_eq!((train.samples, test.samples), (8, 2));
        let mut seen = Vec::new();
        for part in [&train, &test] {
            let Target::Classes { labels, n: 10, .. } = &part.target else { panic!() };
            for (i, &label) in labels.iter().enumerate() {
                assert_eq!(part.sample(i)[0], 2.0 * label as f32);
                seen.push(label);
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, Vec::from_iter(0..10));
        assert_eq!(small().split(0.75, 3), (train.clone(), test));
        assert_ne!(small().split(0.75, 4).0, train);
        assert_eq!(small().split(1.0, 0).1.samples, 0);
    }

    #[test]
    fn targets_are_one_hot_or_values() {
        let mut out = vec![7.0];
        small().write_target(3, &mut out);
        assert_eq!((out.len(), out[0], out[4], out[1..].iter().sum()), (11, 7.0, 1.0, 1.0));
        let target = Target::Values { y: vec![1.0, 2.0, 3.0, 4.0], width: 2 };
        let values = Dataset::new("v", vec![0.0; 2], 2, vec![1], target).unwrap();
        out.clear();
        values.write_target(1, &mut out);
        assert_eq!((out, values.target_width()), (vec![3.0, 4.0], 2));
    }

    #[test]
    fn parts_must_fit_and_be_finite() {
        let code = |x: Vec<f32>, n, shape, target| Dataset::new("d", x, n, shape, target).unwrap_err().code;
        assert_eq!(code(vec![0.0; 3], 2, vec![2], Target::None), "E0903");
        assert_eq!(code(vec![], 0, vec![2], Target::None), "E0903");
        assert_eq!(code(vec![], 2, vec![usize::MAX, 3], Target::None), "E0903");
        assert_eq!(code(vec![0.0; 2], 2, vec![1], classes([0], "d").unwrap()), "E0903");
        assert_eq!(code(vec![0.0, f32::NAN], 2, vec![1], Target::None), "E0904");
        assert_eq!(code(vec![0.0], 1, vec![1], Target::Values { y: vec![f32::INFINITY], width: 1 }), "E0904");
        assert_eq!(classes([-1], "d").unwrap_err().code, "E0909");
        assert_eq!(classes([65_536], "d").unwrap_err().code, "E0909");
    }

    #[test]
    fn first_axis_can_be_the_steps() {
        let x = [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let data = Dataset::new("d", x.to_vec(), 2, vec![3, 2], Target::None).unwrap().streamed().unwrap();
        let packed = data.clone().packed();
        let (first, second) = packed.clone().split(0.5, 0);
        let samples = [first.sample(0), second.sample(0)];
        assert!(packed.bits && [&x[..6], &x[6..]].iter().all(|of| samples.iter().any(|s| s[..] == **of)));
        assert_eq!((data.steps, data.width(), data.sample(1).len()), (Some(3), 2, 6));
        assert_eq!(small().streamed().unwrap_err().code, "E0903");
    }
}
