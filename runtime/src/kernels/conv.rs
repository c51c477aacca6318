//! Convolutions of images and their adjoints, as products of matrices: patches of an image are gathered into a matrix (im2col). No
//! pooling: that is `pool`.
//!
//! Orders of sums in strict mode: a result adds its taps in ascending order, an adjoint to the image sums over the channels of the result
//! for each tap and adds those sums in ascending order of taps, an adjoint to the weights adds row after row and window after
//! window. All start from 0, and the padding is multiplied as the zeros that it is.

use super::matmul::{self, Product};
use crate::windows::Windows;
use std::cell::RefCell;

/// `(part, rows, windows…, a, a_rs, b, b_rs, c, c_rs)`, for each of `rows` rows, which lie `…_rs` floats apart, in groups of `windows`
/// (see [`Windows::packed`]). Part 0: C is the convolution of image A with weights B `[taps, channels]`; part 1: C is the image that
/// results A pass back through weights B; part 2: C is the sum over rows of weights, from images A and results B.
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

thread_local! {
    /// The patches of an image.
    static PATCHES: RefCell<Vec<f32>> = RefCell::default();
}

macro_rules! entry {
    ($(#[$doc:meta])* $name:ident, $product:expr) => {
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
            PATCHES.with_borrow_mut(|patches| {
                let mut conv = Conv { over, patches, product: $product };
                // SAFETY: the caller's promise.
                unsafe {
                    match part {
                        0 => conv.forward(rows),
                        1 => conv.to_image(rows),
                        _ => conv.to_weights(rows),
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
    snn_conv_fast, fast
}

entry! {
    /// The convolution with the sums in one order on every machine.
    ///
    /// # Safety
    /// As [`snn_conv_fast`].
    snn_conv_strict, matmul::ordered
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
struct Rows {
    rows: usize,
    a: (*const f32, isize),
    b: (*const f32, isize),
    c: (*mut f32, isize),
}

impl Rows {
    /// Row `r` of A, of `len` floats.
    ///
    /// # Safety
    /// It is there.
    unsafe fn of_a<'a>(&self, r: usize, len: usize) -> &'a [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts(self.a.0.offset(r as isize * self.a.1), len) }
    }
}

struct Conv<'a> {
    over: Windows,
    patches: &'a mut Vec<f32>,
    product: unsafe fn(&Product),
}

impl Conv<'_> {
    /// Channels of the result and taps of a group.
    fn group(&self) -> (usize, usize) {
        (self.over.channels[1] / self.over.groups, self.over.taps())
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn forward(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let all = self.over.channels[1];
        for r in 0..rows.rows {
            // SAFETY: a row of A.
            let image = unsafe { rows.of_a(r, self.over.width_in()) };
            for g in 0..self.over.groups {
                let patches = self.gather(image, g);
                // SAFETY: weights of a group stand in its columns, its results in its rows; the patches are there.
                unsafe {
                    (self.product)(&Product {
                        m: channels,
                        k: taps,
                        n: positions,
                        a: rows.b.0.add(g * channels),
                        a_rs: 1,
                        a_cs: all as isize,
                        b: patches,
                        b_rs: positions as isize,
                        b_cs: 1,
                        c: rows.c.0.offset(r as isize * rows.c.1).add(g * channels * positions),
                        c_rs: positions as isize,
                        c_cs: 1,
                        accumulate: false,
                    });
                }
            }
        }
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn to_image(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let all = self.over.channels[1];
        let is_pointwise = self.over.is_pointwise();
        self.patches.resize(taps * positions, 0.0);
        for r in 0..rows.rows {
            // SAFETY: a row of C.
            let image = unsafe {
                std::slice::from_raw_parts_mut(rows.c.0.offset(r as isize * rows.c.1), self.over.width_in())
            };
            let of_group = image.len() / self.over.groups;
            for (g, image) in image.chunks_mut(of_group).enumerate() {
                let c = if is_pointwise { image.as_mut_ptr() } else { self.patches.as_mut_ptr() };
                // SAFETY: as in `forward`; the patches are as large as they were made.
                unsafe {
                    (self.product)(&Product {
                        m: taps,
                        k: channels,
                        n: positions,
                        a: rows.b.0.add(g * channels),
                        a_rs: all as isize,
                        a_cs: 1,
                        b: rows.a.0.offset(r as isize * rows.a.1).add(g * channels * positions),
                        b_rs: positions as isize,
                        b_cs: 1,
                        c,
                        c_rs: positions as isize,
                        c_cs: 1,
                        accumulate: false,
                    });
                }
                if !is_pointwise {
                    self.scatter(image);
                }
            }
        }
    }

    /// # Safety
    /// As [`snn_conv_fast`].
    unsafe fn to_weights(&mut self, rows: Rows) {
        let (positions, (channels, taps)) = (self.over.positions(), self.group());
        let all = self.over.channels[1];
        for r in 0..rows.rows {
            // SAFETY: a row of A.
            let image = unsafe { rows.of_a(r, self.over.width_in()) };
            for g in 0..self.over.groups {
                let patches = self.gather(image, g);
                // SAFETY: as in `forward`.
                unsafe {
                    (self.product)(&Product {
                        m: taps,
                        k: positions,
                        n: channels,
                        a: patches,
                        a_rs: positions as isize,
                        a_cs: 1,
                        b: rows.b.0.offset(r as isize * rows.b.1).add(g * channels * positions),
                        b_rs: 1,
                        b_cs: positions as isize,
                        c: rows.c.0.add(g * channels),
                        c_rs: all as isize,
                        c_cs: 1,
                        accumulate: r > 0,
                    });
                }
            }
        }
    }

    /// The patches of a group of an image: for each tap a row of what it covers in all windows.
    fn gather(&mut self, image: &[f32], group: usize) -> *const f32 {
        let of_group = image.len() / self.over.groups;
        let image = &image[group * of_group..][..of_group];
        if self.over.is_pointwise() {
            return image.as_ptr();
        }
        self.patches.resize(self.over.taps() * self.over.positions(), 0.0);
        let [stride, width] = [self.over.stride[1], self.over.size[1]];
        each_line(&self.over, |at, line| match line {
            None => self.patches[at].fill(0.0),
            Some(Line { before, inside, from }) => {
                let to = &mut self.patches[at];
                to[..before].fill(0.0);
                to[before + inside..].fill(0.0);
                let (to, from) = (&mut to[before..before + inside], &image[from..]);
                debug_assert!(inside == 0 || (inside - 1) * stride < width);
                match stride {
                    1 => to.copy_from_slice(&from[..inside]),
                    _ => to.iter_mut().zip(from.iter().step_by(stride)).for_each(|(to, from)| *to = *from),
                }
            }
        });
        self.patches.as_ptr()
    }

    /// Adds the patches of a group to where they come from, tap after tap.
    fn scatter(&self, image: &mut [f32]) {
        image.fill(0.0);
        let stride = self.over.stride[1];
        each_line(&self.over, |at, line| {
            let Some(Line { before, inside, from: to }) = line else { return };
            let from = &self.patches[at][before..before + inside];
            match stride {
                1 => image[to..to + inside].iter_mut().zip(from).for_each(|(to, from)| *to += *from),
                _ => image[to..].iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += *from),
            }
        });
    }
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

/// Calls `f` for each tap and row of windows of a group with the place in the patches, and the line if it is not all in the padding.
fn each_line(over: &Windows, mut f: impl FnMut(std::ops::Range<usize>, Option<Line>)) {
    let [height, width] = over.out_size();
    let mut at = 0;
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
                    f(at..at + width, line);
                    at += width;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::reference;
    use super::*;

    fn numbers(len: usize, seed: u64) -> Vec<f32> {
        let mut row = vec![0.0; len];
        crate::rng::gaussian_row(&mut row, 7, seed, 0, 0);
        row
    }

    const SHAPES: [Windows; 6] = [
        Windows {
            channels: [1, 4],
            size: [5, 7],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            groups: 1,
        },
        Windows {
            channels: [4, 6],
            size: [6, 5],
            kernel: [2, 3],
            stride: [2, 1],
            padding: [0, 2],
            groups: 2,
        },
        Windows {
            channels: [3, 3],
            size: [1, 9],
            kernel: [1, 4],
            stride: [1, 3],
            padding: [0, 1],
            groups: 3,
        },
        Windows {
            channels: [8, 16],
            size: [4, 4],
            kernel: [1, 1],
            stride: [1, 1],
            padding: [0, 0],
            groups: 2,
        },
        Windows {
            channels: [5, 40],
            size: [9, 9],
            kernel: [5, 5],
            stride: [3, 2],
            padding: [4, 1],
            groups: 1,
        },
        Windows {
            channels: [2, 2],
            size: [3, 3],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [0, 0],
            groups: 1,
        },
    ];

    fn run(conv: ConvFn, part: u64, over: &Windows, rows: usize, [a, b]: [&[f32]; 2], c: &mut [f32]) {
        let [g0, g1, g2, g3, g4, g5] = over.packed();
        let (wide, narrow) = (over.width_in() as i64, over.width_out() as i64);
        let [a_rs, b_rs, c_rs] = [[wide, 0, narrow], [narrow, 0, wide], [wide, narrow, 0]][part as usize];
        // SAFETY: the slices have the rows.
        unsafe {
            conv(
                part,
                rows as u64,
                g0,
                g1,
                g2,
                g3,
                g4,
                g5,
                a.as_ptr(),
                a_rs,
                b.as_ptr(),
                b_rs,
                c.as_mut_ptr(),
                c_rs,
            )
        }
    }

    #[track_caller]
    fn same(conv: ConvFn, got: &[f32], expected: &[f32]) {
        let is_strict = conv as usize == snn_conv_strict as *const () as usize;
        for (got, expected) in got.iter().zip(expected) {
            match is_strict {
                true => assert_eq!(got.to_bits(), expected.to_bits()),
                false => {
                    assert!((got - expected).abs() <= 1e-4 * expected.abs().max(1.0), "{got} {expected}")
                }
            }
        }
    }

    #[test]
    fn parts_are_what_they_are_defined_as() {
        let rows = 3;
        for (at, over) in SHAPES.iter().enumerate() {
            assert!(over.is_valid());
            let seed = 10 * at as u64;
            let x = numbers(rows * over.width_in(), seed);
            let w = numbers(over.taps() * over.channels[1], seed + 1);
            let d = numbers(rows * over.width_out(), seed + 2);
            for conv in [snn_conv_fast as ConvFn, snn_conv_strict] {
                let mut y = vec![f32::NAN; d.len()];
                run(conv, 0, over, rows, [&x, &w], &mut y);
                same(conv, &y, &reference::conv(over, rows, &x, &w));
                let mut dx = vec![f32::NAN; x.len()];
                run(conv, 1, over, rows, [&d, &w], &mut dx);
                same(conv, &dx, &reference::conv_to_image(over, rows, &d, &w));
                let mut dw = vec![f32::NAN; w.len()];
                run(conv, 2, over, rows, [&x, &d], &mut dw);
                same(conv, &dw, &reference::conv_to_weights(over, rows, &x, &d));
            }
        }
    }
}
