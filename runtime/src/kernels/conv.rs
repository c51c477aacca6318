//! Convolutions of images and their adjoints, as products of matrices: patches of an image are gathered into a matrix (im2col). No
//! pooling: that is `pool`.
//!
//! Orders of sums in strict mode: a result adds its taps in ascending order, an adjoint to the image sums over the channels of the result
//! for each tap and adds those sums in ascending order of taps, an adjoint to the weights adds row after row and window after
//! window. All start from 0, and the padding is multiplied as the zeros that it is.

use super::direct;
use super::matmul::{self, Product};
use super::winograd;
use crate::windows::Windows;
use std::cell::RefCell;

/// `(part, rows, windows…, a, a_rs, b, b_rs, c, c_rs)`, for each of `rows` rows, which lie `…_rs` floats apart, in groups of `windows`
/// (see [`Windows::packed`]). Part 0: C is the convolution of image A with weights B `[taps, channels]`; part 1: C is the image that
/// results A pass back through weights B; part 2: C is the sum over rows of weights, from images A and results B; part 3: as part 0, and sums
/// of zeros are exactly 0.
pub type ConvFn = unsafe extern "C" fn(
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    u64,
    *const f32,
    i64,
    *const f32,
    i64,
    *mut f32,
    i64,
);

/// Multiplications below which setting up the blocked product costs more than it saves, as in `matmul`.
const SMALL: usize = 512;

/// Columns of a product that are enough: of smaller images there are several at once.
const COLUMNS: usize = 256;

/// Floats that a thread holds from call to call: patches and results of some images. `exact`: for part 3 too.
pub fn scratch_floats(over: &Windows, exact: bool) -> usize {
    let columns = over.positions().max(COLUMNS);
    let patches = (over.taps() + over.channels[1] / over.groups) * columns;
    let pays = [0, 1, 2].map(|part| winograd::pays(over, part));
    let filtered = if pays.contains(&true) { winograd::scratch_floats(over) } else { 0 };
    let direct = if exact || pays.contains(&false) { direct::scratch_floats(over) } else { 0 };
    patches.max(filtered + direct)
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

macro_rules! entry {
    ($(#[$doc:meta])* $name:ident, $is_fast:literal) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        pub unsafe extern "C" fn $name(
            part: u64,
            rows: u64,
            channels: u64,
            size: u64,
            kernel: u64,
            stride: u64,
            padding: u64,
            groups: u64,
            a: *const f32,
            a_rs: i64,
            b: *const f32,
            b_rs: i64,
            c: *mut f32,
            c_rs: i64,
        ) {
            let over = Windows::unpacked([channels, size, kernel, stride, padding, groups]);
            let rows = Rows { rows: rows as usize, a: (a, a_rs as isize), b: (b, b_rs as isize), c: (c, c_rs as isize) };
            SCRATCH.with_borrow_mut(|scratch| {
                // SAFETY: the caller's promise.
                unsafe {
                    if $is_fast && without_patches(&over, part, rows, scratch) {
                        return;
                    }
                    let product = if $is_fast { fast } else { matmul::ordered };
                    let mut conv = Conv { over, scratch, product };
                    match part {
                        0 | 3 => conv.forward(rows),
                        1 => conv.back_to_image(rows),
                        _ => conv.sum_weights(rows),
                    }
                }
            });
        }
    };
}

entry! {
    /// The convolution with sums in the order that is fastest on this machine.
    ///
    /// # Safety
    /// A, B and C cover the rows of what [`ConvFn`] says they are; C is written by nobody else and overlaps neither A nor B.
    snn_conv_fast, true
}

entry! {
    /// The convolution with the sums in one order on every machine.
    ///
    /// # Safety
    /// As [`snn_conv_fast`].
    snn_conv_strict, false
}

/// Does `part` if this machine and the windows allow it.
///
/// # Safety
/// As [`snn_conv_fast`].
unsafe fn without_patches(over: &Windows, part: u64, rows: Rows, scratch: &mut Scratch) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let is_wide = is_x86_feature_detected!("avx512f");
        let has_vectors = is_wide || is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
        let (pays, part) = if part == 3 { (false, 0) } else { (winograd::pays(over, part), part) };
        if !has_vectors || !(pays || direct::can(over, part)) {
            return false;
        }
        // SAFETY: the features are there; the rest is the caller's promise.
        unsafe {
            match (pays, is_wide) {
                (true, true) => winograd::avx512(over, part, rows, &mut scratch.winograd),
                (true, false) => winograd::avx2(over, part, rows, &mut scratch.winograd),
                (false, true) => direct::avx512(over, part, rows, &mut scratch.direct),
                (false, false) => direct::avx2(over, part, rows, &mut scratch.direct),
            }
        }
        true
    }
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// A product in any order of sums.
///
/// # Safety
/// As [`snn_conv_fast`].
unsafe fn fast(p: &Product) {
    // SAFETY: the caller's promise.
    unsafe { if p.m * p.k * p.n < SMALL { matmul::ordered(p) } else { matmul::dense(p) } }
}

/// Rows of images and results, with floats from row to row.
#[derive(Clone, Copy)]
pub(super) struct Rows {
    pub rows: usize,
    pub a: (*const f32, isize),
    pub b: (*const f32, isize),
    pub c: (*mut f32, isize),
}

/// What lasts from call to call.
#[derive(Default)]
struct Scratch {
    /// Patches of some images: for each tap a row of what it covers in all windows of the first image, then of the second …
    patches: Vec<f32>,
    /// Results of some images in the same order of columns: a row for each channel.
    results: Vec<f32>,
    direct: direct::Scratch,
    winograd: winograd::Scratch,
}

struct Conv<'a> {
    over: Windows,
    scratch: &'a mut Scratch,
    product: unsafe fn(&Product),
}

/// Some rows in a row, of one group.
#[derive(Clone, Copy)]
struct Part {
    first: usize,
    rows: usize,
    group: usize,
}

impl Conv<'_> {
    /// Calls `f` with all rows and groups, so many rows at once that products are not too narrow.
    fn each_part(&mut self, rows: usize, mut f: impl FnMut(&mut Self, Part)) {
        let at_once = (COLUMNS / self.over.positions().max(1)).max(1);
        for first in (0..rows).step_by(at_once) {
            for group in 0..self.over.groups {
                f(self, Part { first, rows: at_once.min(rows - first), group });
            }
        }
    }

    /// Channels of the result and taps of a group.
    fn group(&self) -> (usize, usize) {
        (self.over.channels[1] / self.over.groups, self.over.taps())
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn forward(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let all = self.over.channels[1];
        self.each_part(rows.rows, |conv, part| {
            let columns = part.rows * positions;
            // SAFETY: weights of a group stand in its columns, its results in its rows; the patches are there.
            unsafe {
                let patches = conv.gather(rows.a, part);
                let of_row = |r: usize| {
                    let row = rows.c.0.offset((part.first + r) as isize * rows.c.1);
                    row.add(part.group * channels * positions)
                };
                conv.scratch.results.resize(channels * columns, 0.0);
                let c = if part.rows == 1 { of_row(0) } else { conv.scratch.results.as_mut_ptr() };
                let weights = rows.b.0.add(part.group * channels);
                (conv.product)(&Product::new(
                    (channels as u64, taps as u64, columns as u64),
                    (weights, 1, all as i64),
                    (patches, columns as i64, 1),
                    (c, columns as i64),
                ));
                if part.rows > 1 {
                    for (at, line) in conv.scratch.results.chunks(positions).enumerate() {
                        let to = of_row(at % part.rows).add(at / part.rows * positions);
                        std::slice::from_raw_parts_mut(to, positions).copy_from_slice(line);
                    }
                }
            }
        });
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn back_to_image(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let (all, of_group) = (self.over.channels[1], self.over.width_in() / self.over.groups);
        self.each_part(rows.rows, |conv, part| {
            let columns = part.rows * positions;
            // SAFETY: as in `forward`; the patches are as large as they were made.
            unsafe {
                let image = |r: usize| {
                    let row = rows.c.0.offset((part.first + r) as isize * rows.c.1);
                    std::slice::from_raw_parts_mut(row.add(part.group * of_group), of_group)
                };
                let is_direct = conv.over.is_pointwise() && part.rows == 1;
                conv.scratch.patches.resize(taps * columns, 0.0);
                let b = conv.results(rows.a, part);
                let weights = rows.b.0.add(part.group * channels);
                let c = if is_direct { image(0).as_mut_ptr() } else { conv.scratch.patches.as_mut_ptr() };
                (conv.product)(&Product::new(
                    (taps as u64, channels as u64, columns as u64),
                    (weights, all as i64, 1),
                    (b, columns as i64, 1),
                    (c, columns as i64),
                ));
                if !is_direct {
                    (0..part.rows).for_each(|r| conv.scatter(image(r), r, columns));
                }
            }
        });
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn sum_weights(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let all = self.over.channels[1];
        self.each_part(rows.rows, |conv, part| {
            let columns = part.rows * positions;
            // SAFETY: as in `forward`.
            unsafe {
                let (patches, b) = (conv.gather(rows.a, part), conv.results(rows.b, part));
                let sums = Product::new(
                    (taps as u64, columns as u64, channels as u64),
                    (patches, columns as i64, 1),
                    (b, 1, columns as i64),
                    (rows.c.0.add(part.group * channels), all as i64),
                );
                (conv.product)(&Product { accumulate: part.first > 0, ..sums });
            }
        });
    }

    /// The patches of a part of the images.
    ///
    /// # Safety
    /// The rows are images.
    unsafe fn gather(&mut self, (images, stride): (*const f32, isize), part: Part) -> *const f32 {
        let of_group = self.over.width_in() / self.over.groups;
        let columns = part.rows * self.over.positions();
        self.scratch.patches.resize(self.over.taps() * columns, 0.0);
        for r in 0..part.rows {
            // SAFETY: a group of an image.
            let image = unsafe {
                let row = images.offset((part.first + r) as isize * stride);
                std::slice::from_raw_parts(row.add(part.group * of_group), of_group)
            };
            if self.over.is_pointwise() && part.rows == 1 {
                return image.as_ptr();
            }
            gather_image(&self.over, image, &mut self.scratch.patches, r, columns);
        }
        self.scratch.patches.as_ptr()
    }

    /// The results of a part, with the columns of its patches.
    ///
    /// # Safety
    /// The rows are results.
    unsafe fn results(&mut self, (rows, stride): (*const f32, isize), part: Part) -> *const f32 {
        let (positions, (channels, _)) = (self.over.positions(), self.group());
        let of_row = |r: usize| {
            let row = rows.wrapping_offset((part.first + r) as isize * stride);
            row.wrapping_add(part.group * channels * positions)
        };
        if part.rows == 1 {
            return of_row(0);
        }
        self.scratch.results.resize(channels * part.rows * positions, 0.0);
        for (at, line) in self.scratch.results.chunks_mut(positions).enumerate() {
            let from = of_row(at % part.rows).wrapping_add(at / part.rows * positions);
            // SAFETY: a channel of a result.
            line.copy_from_slice(unsafe { std::slice::from_raw_parts(from, positions) });
        }
        self.scratch.results.as_ptr()
    }

    /// Adds the patches of image `r` of a part to where they come from, tap after tap.
    fn scatter(&self, image: &mut [f32], r: usize, columns: usize) {
        image.fill(0.0);
        let stride = self.over.stride[1];
        each_line(&self.over, |tap, at, line| {
            let Some(Line { before, inside, from: to }) = line else { return };
            let at = tap * columns + r * self.over.positions() + at + before;
            let from = &self.scratch.patches[at..at + inside];
            match stride {
                1 => image[to..to + inside].iter_mut().zip(from).for_each(|(to, from)| *to += *from),
                _ => image[to..].iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += *from),
            }
        });
    }
}

/// The patches of image `r` of a part.
fn gather_image(over: &Windows, image: &[f32], patches: &mut [f32], r: usize, columns: usize) {
    let (stride, [_, width]) = (over.stride[1], over.out_size());
    each_line(over, |tap, at, line| {
        let at = tap * columns + r * over.positions() + at;
        let to = &mut patches[at..at + width];
        let Some(Line { before, inside, from }) = line else { return to.fill(0.0) };
        to[..before].fill(0.0);
        to[before + inside..].fill(0.0);
        let (to, from) = (&mut to[before..before + inside], &image[from..]);
        match stride {
            1 => to.copy_from_slice(&from[..inside]),
            _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
        }
    });
}

/// A row of windows whose tap covers a row of the image.
struct Line {
    /// Windows whose tap is in the padding before the image.
    before: usize,
    /// Windows whose tap is in the image.
    inside: usize,
    /// The first element of the image that is covered.
    from: usize,
}

/// Calls `f` for each tap and row of windows of a group with the tap, the first window, and the line if it is not all in the padding.
fn each_line(over: &Windows, mut f: impl FnMut(usize, usize, Option<Line>)) {
    let [height, width] = over.out_size();
    let mut tap = 0;
    for channel in 0..over.channels[0] / over.groups {
        for ky in 0..over.kernel[0] {
            for kx in 0..over.kernel[1] {
                let across = over.inside(1, kx);
                let first = over.covers(1, across.start, kx).unwrap_or(0);
                for y in 0..height {
                    let row = over.covers(0, y, ky).filter(|_| !across.is_empty());
                    let line = row.map(|row| Line {
                        before: across.start,
                        inside: across.len(),
                        from: (channel * over.size[0] + row) * over.size[1] + first,
                    });
                    f(tap, y * width, line);
                }
                tap += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
