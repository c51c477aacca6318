//! Arrays with time, sample and index axes, and reads that broadcast. No operations.

use super::Number;
use crate::step::Ty;

/// Lengths of the axes that all values of a presentation share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Extent {
    /// Steps of a presentation.
    pub steps: usize,
    /// Samples of a shard.
    pub shard_batch: usize,
    /// Shards of a full batch.
    pub shards: usize,
}

impl Extent {
    /// Samples of all shards.
    pub fn rows(&self) -> usize {
        self.shard_batch * self.shards
    }
}

/// Values `[step?][sample?][index]` of one type.
#[derive(Clone, PartialEq, Debug)]
pub struct Array<N> {
    /// Axes.
    pub ty: Ty,
    /// Samples along the batch axis.
    pub rows: usize,
    /// The values, last axis fastest.
    pub data: Vec<N>,
}

impl<N: Number> Array<N> {
    /// All the same value.
    pub fn filled(ty: &Ty, steps: usize, rows: usize, value: f64) -> Array<N> {
        Array::from_fn(ty, steps, rows, |_, _, _| N::from_f64(value))
    }

    /// Each element from its step, sample and index; 0 for axes that the type does not have.
    pub fn from_fn(
        ty: &Ty,
        steps: usize,
        rows: usize,
        mut element: impl FnMut(usize, usize, usize) -> N,
    ) -> Array<N> {
        let mut data = Vec::new();
        for t in 0..if ty.time { steps } else { 1 } {
            for b in 0..if ty.batch { rows } else { 1 } {
                data.extend((0..ty.width()).map(|i| element(t, b, i)));
            }
        }
        Array { ty: ty.clone(), rows, data }
    }

    /// The place of an element; axes that the array does not have are ignored.
    pub fn at(&self, step: usize, row: usize, idx: usize) -> usize {
        let width = self.ty.width();
        let mut place = if self.ty.time { step } else { 0 };
        if self.ty.batch {
            place = place * self.rows + row;
        }
        place * width + if self.ty.shape.is_empty() { 0 } else { idx }
    }

    /// An element.
    pub fn get(&self, step: usize, row: usize, idx: usize) -> N {
        self.data[self.at(step, row, idx)]
    }

    /// The values of one step, without time axis; of a value without it, the value itself.
    pub fn step(&self, step: usize) -> Array<N> {
        if !self.ty.time {
            return self.clone();
        }
        let len = if self.ty.batch { self.rows } else { 1 } * self.ty.width();
        let ty = Ty { time: false, ..self.ty.clone() };
        Array { ty, rows: self.rows, data: self.data[step * len..(step + 1) * len].to_vec() }
    }

    /// The same values repeated along the axes of `ty` that are missing.
    pub fn widened(&self, ty: &Ty, steps: usize) -> Array<N> {
        Array::from_fn(ty, steps, self.rows, |t, b, i| self.get(t, b, i))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ty(time: bool, batch: bool, shape: &[usize]) -> Ty {
        Ty { time, batch, shape: shape.to_vec() }
    }

    #[test]
    fn missing_axes_are_repeated() {
        let per_step = Array::from_fn(&ty(true, false, &[]), 3, 2, |t, _, _| t as f64);
        let wide = per_step.widened(&ty(true, true, &[2]), 3);
        assert_eq!(wide.data, [0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0]);
        let per_neuron = Array::from_fn(&ty(false, false, &[2]), 3, 2, |_, _, i| i as f64);
        assert_eq!(per_neuron.widened(&ty(false, true, &[2]), 3).data, [0.0, 1.0, 0.0, 1.0]);
    }

    #[test]
    fn a_step_of_a_sequence() {
        let all = Array::from_fn(&ty(true, true, &[2]), 2, 2, |t, b, i| (100 * t + 10 * b + i) as f64);
        assert_eq!(all.get(1, 0, 1), 101.0);
        assert_eq!(all.step(1).data, [100.0, 101.0, 110.0, 111.0]);
        assert_eq!(all.step(1).ty, ty(false, true, &[2]));
    }
}
