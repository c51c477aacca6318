//! The 1797 handwritten digits of 8 × 8 pixels that come with the program (see `runtime/data/README.md`).

use super::{Dataset, classes, idx};
use crate::error::Result;

const IMAGES: &[u8] = include_bytes!("../../data/digits-images.idx3.gz");
const LABELS: &[u8] = include_bytes!("../../data/digits-labels.idx1.gz");

/// All digits: inputs in [0, 1] of shape `[64]`, ten classes.
pub fn load() -> Result<Dataset> {
    let images = idx::parse(IMAGES.to_vec(), "std.data.digits (images)")?;
    let labels = idx::parse(LABELS.to_vec(), "std.data.digits (labels)")?;
    let x = images.data.iter().map(|&pixel| f32::from(pixel) / 16.0).collect();
    let target = classes(labels.data.iter().map(|&label| i64::from(label)), "std.data.digits")?;
    Dataset::new("digits", x, images.shape[0], vec![64], target)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Target;

    #[test]
    fn digits_are_complete() {
        let digits = load().unwrap();
        assert_eq!((digits.samples, digits.width(), digits.target_width()), (1797, 64, 10));
        assert_eq!(digits.sample(0)[..8], [0.0, 0.0, 0.3125, 0.8125, 0.5625, 0.0625, 0.0, 0.0]);
        assert!(digits.x.iter().all(|v| (0.0..=1.0).contains(v)));
        let Target::Classes { labels, .. } = &digits.target else { panic!() };
        let count = |class| labels.iter().filter(|&&label| label == class).count();
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(count),
            [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        );
    }
}
