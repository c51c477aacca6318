//! Windows that slide over images: sizes, and which element of an image a window covers. No arithmetic on the images.
//!
//! An image is `[channels, height, width]` in a row; one of one dimension has height 1. Windows stand every `stride` elements,
//! the first one `padding` elements before the image; what they cover outside of it counts as 0 (or not at all, in a maximum).
//! An index into the kernel is a *tap*: channel of the group, row, column, the last one fastest.
//!
//! A *circular* border repeats the image: what lies before its first element is its last one. Such an image is made first
//! ([`Windows::border`], windows of one element), then windows without padding slide over it ([`Windows::inside_of_border`]).

/// What a convolution or pooling is over. Pairs are of height and width.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Windows {
    /// Channels of the image and of the result.
    pub channels: [usize; 2],
    /// Elements of a channel of the image.
    pub size: [usize; 2],
    /// Elements of a window.
    pub kernel: [usize; 2],
    /// From window to window.
    pub stride: [usize; 2],
    /// Elements before and behind the image.
    pub padding: [usize; 2],
    /// Channels in so many groups: a channel of the result sees those of its own group only.
    pub groups: usize,
}

impl Windows {
    /// Windows along an axis; none if the padded image is smaller than a window.
    pub fn along(&self, axis: usize) -> Option<usize> {
        let padded = self.size[axis].checked_add(2 * self.padding[axis])?;
        Some(padded.checked_sub(self.kernel[axis])? / self.stride[axis].max(1) + 1)
    }

    /// Height and width of the result; 0 where no window fits.
    pub fn out_size(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.along(axis).unwrap_or(0))
    }

    /// Windows of a channel.
    pub fn positions(&self) -> usize {
        self.out_size().iter().product()
    }

    /// Elements of a window in one channel.
    pub fn area(&self) -> usize {
        self.kernel.iter().product()
    }

    /// Weights of a channel of the result.
    pub fn taps(&self) -> usize {
        self.channels[0] / self.groups * self.area()
    }

    /// Elements of an image.
    pub fn width_in(&self) -> usize {
        self.channels[0] * self.size[0] * self.size[1]
    }

    /// Elements of a result.
    pub fn width_out(&self) -> usize {
        self.channels[1] * self.positions()
    }

    /// The element that `tap` of window `at` covers along an axis; none in the padding.
    pub fn covers(&self, axis: usize, at: usize, tap: usize) -> Option<usize> {
        (at * self.stride[axis] + tap)
            .checked_sub(self.padding[axis])
            .filter(|place| *place < self.size[axis])
    }

    /// The windows whose `tap` lies inside the image, along an axis.
    pub fn inside(&self, axis: usize, tap: usize) -> std::ops::Range<usize> {
        let [stride, padding, size] = [self.stride[axis], self.padding[axis], self.size[axis]];
        let windows = self.along(axis).unwrap_or(0);
        let end = (size + padding).saturating_sub(tap).div_ceil(stride).min(windows);
        padding.saturating_sub(tap).div_ceil(stride).min(end)..end
    }

    /// The windows of a circular border: each result is one element of the image, `padding` more before and behind along each axis.
    pub fn border(&self) -> Windows {
        let channels = [self.channels[0]; 2];
        Windows { channels, kernel: [1, 1], stride: [1, 1], groups: channels[0], ..*self }
    }

    /// These windows over the image that [`Windows::border`] makes.
    pub fn inside_of_border(&self) -> Windows {
        let size = [0, 1].map(|axis| self.size[axis] + 2 * self.padding[axis]);
        Windows { size, padding: [0, 0], ..*self }
    }

    /// The element that stands at a place of the image with its circular border, along an axis.
    pub fn around(&self, axis: usize, place: usize) -> usize {
        let size = self.size[axis];
        (place + size - self.padding[axis] % size) % size
    }

    /// Whether they are those of a circular border, which repeats no element more than once on each side.
    pub fn is_border(&self) -> bool {
        let [image, result] = self.channels;
        let mut sizes = [image, self.size[0], self.size[1]].into_iter();
        sizes.all(|n| n > 0 && n <= u32::MAX as usize)
            && image == result
            && self.groups == image
            && (self.kernel, self.stride) == ([1, 1], [1, 1])
            && (0..2).all(|axis| self.padding[axis] <= self.size[axis])
    }

    /// Connections between elements of the image and of the result.
    pub fn connections(&self) -> usize {
        let along =
            |axis: usize| (0..self.kernel[axis]).map(|tap| self.inside(axis, tap).len()).sum::<usize>();
        self.channels[0] / self.groups * self.channels[1] * along(0) * along(1)
    }

    /// Whether every window is one element of the image, in order.
    pub fn is_pointwise(&self) -> bool {
        self.kernel == [1, 1] && self.stride == [1, 1] && self.padding == [0, 0]
    }

    /// Whether the sizes mean something: no empty axis, groups of equal size, and every window meets the image.
    pub fn is_valid(&self) -> bool {
        let all = [self.channels, self.size, self.kernel, self.stride];
        let fits = |axis: usize| self.along(axis).is_some() && self.padding[axis] < self.kernel[axis];
        all.iter().flatten().all(|n| *n > 0 && *n <= u32::MAX as usize)
            && self.groups > 0
            && self.channels.iter().all(|c| c % self.groups == 0)
            && fits(0)
            && fits(1)
    }

    /// As generated code gives it: of each pair the first one in the lower 32 bits.
    pub fn packed(&self) -> [u64; 6] {
        let pair = |[a, b]: [usize; 2]| a as u64 | (b as u64) << 32;
        let pairs = [self.channels, self.size, self.kernel, self.stride, self.padding, [self.groups, 0]];
        pairs.map(pair)
    }

    /// From [`Windows::packed`].
    pub fn unpacked(words: [u64; 6]) -> Windows {
        let [channels, size, kernel, stride, padding, [groups, _]] =
            words.map(|word| [(word & u64::from(u32::MAX)) as usize, (word >> 32) as usize]);
        Windows { channels, size, kernel, stride, padding, groups }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn windows(size: usize, kernel: usize, stride: usize, padding: usize) -> Windows {
        Windows {
            channels: [2, 6],
            size: [1, size],
            kernel: [1, kernel],
            stride: [1, stride],
            padding: [0, padding],
            groups: 2,
        }
    }

    #[test]
    fn a_window_that_does_not_fit_makes_no_result() {
        assert_eq!(windows(28, 3, 1, 1).out_size(), [1, 28]);
        assert_eq!(windows(28, 3, 2, 1).out_size(), [1, 14]);
        assert_eq!(windows(5, 2, 2, 0).out_size(), [1, 2], "the last element is left out");
        assert_eq!(windows(3, 5, 1, 0).along(1), None);
        assert!(windows(3, 5, 1, 1).is_valid() && !windows(3, 5, 1, 0).is_valid());
    }

    #[test]
    fn a_circular_border_repeats_the_other_end() {
        let over = windows(4, 3, 1, 2);
        let border = over.border();
        assert!(border.is_border() && !border.is_valid() && !over.is_border());
        assert_eq!(border.out_size(), [1, 8]);
        let row: Vec<usize> = (0..8).map(|place| border.around(1, place)).collect();
        assert_eq!(row, [2, 3, 0, 1, 2, 3, 0, 1]);
        assert_eq!(over.inside_of_border().out_size(), over.out_size());
        assert_eq!(over.inside_of_border().size, border.out_size());
        assert!(windows(4, 9, 1, 4).border().is_border() && !windows(4, 9, 1, 5).border().is_border());
    }

    #[test]
    fn what_is_inside_is_what_is_covered() {
        for (size, kernel, stride, padding) in
            [(7, 3, 1, 1), (7, 3, 2, 2), (5, 5, 3, 4), (4, 2, 2, 0), (6, 1, 4, 0)]
        {
            let w = windows(size, kernel, stride, padding);
            let mut connections = 0;
            for tap in 0..kernel {
                let inside: Vec<usize> =
                    (0..w.along(1).unwrap_or(0)).filter(|at| w.covers(1, *at, tap).is_some()).collect();
                assert_eq!(inside, w.inside(1, tap).collect::<Vec<_>>(), "{w:?}, tap {tap}");
                connections += inside.len();
            }
            assert_eq!(w.connections(), 6 * connections);
            assert_eq!(Windows::unpacked(w.packed()), w);
        }
    }
}
