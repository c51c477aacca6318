//! Augmentation: random changes of training images that keep what they show. Says nothing about which samples are trained on, and nothing
//! about evaluation, which sees samples as they are.
//!
//! What happens to a sample is a function of seed, epoch and the number of the sample: neither the batch it is in nor the number of
//! threads matters, and a training that goes on from a checkpoint sees what it would have seen. All channels and all steps of a sample
//! change alike. Whatever comes in from outside is 0, and 0 or 1 stay 0 or 1.

use crate::rng;

/// Purpose of the random numbers.
const PURPOSE: u64 = 7;

/// One kind of change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Zeros around the image, `padding` wide, and a window of the old size at a random place: a shift of up to `padding` elements along
    /// each axis.
    Crop {
        /// Elements before and behind each axis.
        padding: usize,
    },
    /// A shift of up to `most` elements along each axis, in which what leaves on one side comes back on the other.
    Roll {
        /// Elements at most.
        most: usize,
    },
    /// The image from right to left, of half of the samples.
    Flip,
    /// Zeros in a square whose centre is any element (DeVries & Taylor 2017); what lies outside of the image is cut off.
    Cutout {
        /// Elements of a side.
        size: usize,
    },
}

/// Changes of the images of a data set, one after another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Augment {
    /// Height and width of a channel; the height of a row is 1, and nothing moves along an axis of one element.
    pub size: [usize; 2],
    /// In their order.
    pub changes: Vec<Change>,
}

impl Augment {
    /// What happens in an epoch (from 0).
    pub fn of_epoch(&self, seed: u64, epoch: usize) -> Pass {
        let key = rng::philox_key(rng::key(seed, PURPOSE, epoch as u64), 0);
        Pass { augment: self.clone(), key }
    }
}

/// The changes of one epoch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pass {
    augment: Augment,
    key: [u32; 2],
}

impl Pass {
    /// Changes sample number `sample`: channels of all its steps one after another.
    pub fn apply(&self, sample: u32, values: &mut [f32]) {
        let [height, width] = self.augment.size;
        for (number, change) in self.augment.changes.iter().enumerate() {
            let counter = [number as u32, sample, 0, rng::KIND_UNIFORM];
            let way = way(*change, self.augment.size, rng::philox(counter, self.key));
            values.chunks_exact_mut(height * width).for_each(|channel| way.go(channel, width));
        }
    }
}

/// What happens to every channel of a sample.
enum Way {
    Nothing,
    /// Each element takes the place so many rows and columns before it.
    Shift([isize; 2]),
    /// As before, around the ends.
    Around([usize; 2]),
    Mirror,
    /// First and last row and column, exclusive.
    Erase([[usize; 2]; 2]),
}

fn way(change: Change, size: [usize; 2], words: [u32; 4]) -> Way {
    // Equally likely but for 2^-32 of rounding.
    let below = |n: usize, word: u32| ((n as u64 * u64::from(word)) >> 32) as usize;
    match change {
        Change::Crop { padding } => Way::Shift([0, 1].map(|axis| match size[axis] {
            1 => 0,
            _ => below(2 * padding + 1, words[axis]) as isize - padding as isize,
        })),
        Change::Roll { most } => Way::Around(
            [0, 1].map(|axis| (below(2 * most + 1, words[axis]) + size[axis] * most - most) % size[axis]),
        ),
        Change::Flip if words[0] >> 31 == 1 => Way::Mirror,
        Change::Flip => Way::Nothing,
        Change::Cutout { size: side } => Way::Erase([0, 1].map(|axis| {
            let centre = below(size[axis], words[axis]);
            [centre.saturating_sub(side / 2), (centre + side.div_ceil(2)).min(size[axis])]
        })),
    }
}

impl Way {
    fn go(&self, channel: &mut [f32], width: usize) {
        let height = channel.len() / width;
        match self {
            Way::Nothing => {}
            Way::Shift(by) => {
                let old = channel.to_vec();
                let from =
                    |at: usize, by: isize, size: usize| at.checked_add_signed(by).filter(|at| *at < size);
                for (at, value) in channel.iter_mut().enumerate() {
                    let place = from(at / width, by[0], height).zip(from(at % width, by[1], width));
                    *value = place.map_or(0.0, |(y, x)| old[y * width + x]);
                }
            }
            Way::Around(by) => {
                channel.rotate_left(by[0] * width);
                channel.chunks_exact_mut(width).for_each(|row| row.rotate_left(by[1]));
            }
            Way::Mirror => channel.chunks_exact_mut(width).for_each(<[f32]>::reverse),
            Way::Erase([rows, columns]) => {
                let rows = channel.chunks_exact_mut(width).skip(rows[0]).take(rows[1] - rows[0]);
                rows.for_each(|row| row[columns[0]..columns[1]].fill(0.0));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn pass(size: [usize; 2], change: Change) -> Pass {
        Augment { size, changes: vec![change] }.of_epoch(7, 3)
    }

    /// Everything that becomes of an image, for many samples.
    fn outcomes(size: [usize; 2], change: Change) -> BTreeSet<Vec<u32>> {
        let image: Vec<f32> = (1..=size[0] * size[1]).map(|k| k as f32).collect();
        let of = |sample| {
            let mut values = image.clone();
            pass(size, change).apply(sample, &mut values);
            values.into_iter().map(|v| v as u32).collect()
        };
        (0..2000).map(of).collect()
    }

    #[test]
    fn every_shift_happens_and_nothing_else() {
        let crops = outcomes([2, 3], Change::Crop { padding: 1 });
        assert_eq!(crops.len(), 9);
        assert!(crops.contains(&vec![1, 2, 3, 4, 5, 6]) && crops.contains(&vec![0, 0, 0, 0, 1, 2]));
        assert!(crops.contains(&vec![5, 6, 0, 0, 0, 0]));
        let row = outcomes([1, 4], Change::Crop { padding: 2 });
        let expected = [[1, 2, 3, 4], [0, 1, 2, 3], [0, 0, 1, 2], [2, 3, 4, 0], [3, 4, 0, 0]];
        assert_eq!(row, expected.into_iter().map(Vec::from).collect());
    }

    #[test]
    fn what_rolls_out_comes_back() {
        let row = outcomes([1, 4], Change::Roll { most: 1 });
        assert_eq!(row, [[1, 2, 3, 4], [2, 3, 4, 1], [4, 1, 2, 3]].into_iter().map(Vec::from).collect());
        let image = outcomes([3, 2], Change::Roll { most: 1 });
        assert_eq!(image.len(), 6, "three shifts of rows, two of columns");
        assert!(image.contains(&vec![4, 3, 6, 5, 2, 1]));
    }

    #[test]
    fn half_of_the_samples_are_mirrored() {
        let mirrored = |sample: &u32| {
            let mut values = vec![1.0, 2.0, 3.0, 4.0];
            pass([2, 2], Change::Flip).apply(*sample, &mut values);
            assert!(values == [1.0, 2.0, 3.0, 4.0] || values == [2.0, 1.0, 4.0, 3.0]);
            values[0] == 2.0
        };
        let share = (0..4000).filter(mirrored).count();
        assert!((1900..2100).contains(&share), "{share}: the standard deviation is 32");
    }

    #[test]
    fn squares_are_cut_off_at_the_edge() {
        let cut = outcomes([1, 5], Change::Cutout { size: 2 });
        let expected = [[0, 2, 3, 4, 5], [0, 0, 3, 4, 5], [1, 0, 0, 4, 5], [1, 2, 0, 0, 5], [1, 2, 3, 0, 0]];
        assert_eq!(cut, expected.into_iter().map(Vec::from).collect());
        let image = outcomes([3, 3], Change::Cutout { size: 3 });
        assert_eq!(image.len(), 9);
        assert!(image.contains(&vec![0; 9]) && image.contains(&vec![0, 0, 3, 0, 0, 6, 7, 8, 9]));
    }

    #[test]
    fn channels_and_steps_of_a_sample_change_alike_and_epochs_differ() {
        let changes = vec![Change::Crop { padding: 2 }, Change::Flip, Change::Cutout { size: 2 }];
        let augment = Augment { size: [4, 5], changes };
        let of = |epoch: usize, sample: u32| {
            let one: Vec<f32> = (1..=20).map(|k| k as f32).collect();
            let mut values = one.repeat(6);
            augment.of_epoch(1, epoch).apply(sample, &mut values);
            assert!(values.chunks(20).all(|channel| *channel == values[..20]));
            values
        };
        assert_eq!(of(2, 5), of(2, 5));
        let different = (0..50).filter(|sample| of(0, *sample) != of(1, *sample)).count();
        assert!(different > 40, "{different} of 50");
    }
}
