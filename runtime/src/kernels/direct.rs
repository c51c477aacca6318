//! Convolutions without patches, for machines with vectors: an image is copied once for each column of the kernel, not once for each
//! tap, and products read from there what each tap covers. In any order of sums; the strict order is that of `conv`.
//!
//! Windows of a row lie next to each other in such a copy, row after row, and where windows stand one row apart the taps of a column
//! are the same copy from another row on. Of images with few windows there are several side by side.

use super::conv::Rows;
use super::registers::{Registers, TAPS, To, at_every_width, groups};
use super::tiles::{DEPTH, TILE, snn_tile_columns, tiled_floats};
use crate::windows::Windows;

/// Columns that are read behind the last window and multiplied for nothing.
const SLACK: usize = 32;

/// Images that are done at once: of small ones so many that blocks of columns are full.
fn at_once(over: &Windows) -> usize {
    let positions = over.positions();
    if positions.is_multiple_of(TILE) { 1 } else { (4 * TILE / positions.max(1)).max(1) }
}

/// Floats that a thread holds from call to call.
pub(super) fn scratch_floats(over: &Windows) -> usize {
    let back = turned(over);
    let planes = Layout::of(over, at_once(over)).floats().max(Layout::of(&back, at_once(&back)).floats());
    let results = tiled_floats(over.positions() * at_once(over), over.channels[1] / over.groups);
    planes + 2 * results + over.taps() * over.channels[1]
}

/// The convolution that carries gradients of results back to images. Windows are one element apart.
pub(super) fn turned(over: &Windows) -> Windows {
    let [before, width] = [0, 1].map(|axis| over.kernel[axis] - 1 - over.padding[axis]);
    Windows {
        channels: [over.channels[1], over.channels[0]],
        size: over.out_size(),
        padding: [before, width],
        stride: [1, 1],
        ..*over
    }
}

/// Where the copies of some images lie.
struct Layout {
    /// Windows of a row, of all images.
    line: usize,
    /// Rows of windows that a copy has.
    rows: usize,
    /// From tap to tap of a column of the kernel.
    down: usize,
    /// Copies: channels of a group times columns of the kernel.
    copies: usize,
}

impl Layout {
    fn of(over: &Windows, images: usize) -> Layout {
        let ([height, width], [taps, across]) = (over.out_size(), over.kernel);
        let line = images * width;
        let (rows, down) = match over.stride[0] {
            1 => (height + taps - 1, line),
            _ => (height * taps, height * line),
        };
        Layout { line, rows, down, copies: over.channels[0] / over.groups * across }
    }

    fn floats(&self) -> usize {
        self.copies * self.rows * self.line + SLACK
    }

    /// Where what a tap covers begins, for all taps in order.
    fn taps(&self, over: &Windows) -> impl Iterator<Item = usize> {
        let [down, across] = over.kernel;
        let copy = self.rows * self.line;
        let (of_row, per_channel) = (self.down, across * copy);
        (0..self.copies / across).flat_map(move |channel| {
            (0..down).flat_map(move |ky| {
                (0..across).map(move |kx| channel * per_channel + kx * copy + ky * of_row)
            })
        })
    }
}

/// What lasts from call to call.
#[derive(Default)]
pub(super) struct Scratch {
    planes: Vec<f32>,
    /// Where what a tap covers begins, and for so many images.
    taps: (Vec<usize>, usize),
    /// Results of some images side by side.
    results: Vec<f32>,
    /// Results with a row for each window.
    tiles: Vec<f32>,
    /// Weights in the order in which they are read.
    weights: Vec<f32>,
}

/// Part `part` of [`super::conv::ConvFn`], if it is one of these.
///
/// # Safety
/// As `snn_conv_fast`, and the machine has the vectors.
#[inline(always)]
unsafe fn run<R: Registers>(over: &Windows, part: u64, rows: Rows, scratch: &mut Scratch) {
    let (all, channels) = (over.channels[1], over.channels[1] / over.groups);
    scratch.taps.1 = 0;
    // SAFETY: the caller's promise.
    unsafe {
        match part {
            0 => {
                let at = |group: usize, tap: usize, channel: usize| tap * all + group * channels + channel;
                scratch.pack::<R>(over, rows.b.0, at);
                scratch.convolve::<R>(over, rows);
            }
            1 => {
                // Of the way back the taps are those of a channel of the result, turned by half a turn.
                let (back, area) = (turned(over), over.area());
                let at = |group: usize, tap: usize, channel: usize| {
                    let own = channel * area + (area - 1 - tap % area);
                    own * all + group * channels + tap / area
                };
                scratch.pack::<R>(&back, rows.b.0, at);
                scratch.convolve::<R>(&back, rows);
            }
            _ => scratch.sum_weights::<R>(over, rows),
        }
    }
}

at_every_width!(run, (over: &Windows, part: u64, rows: Rows, scratch: &mut Scratch));

/// Whether [`run`] can do it: the way back from windows further apart would have holes.
pub(super) fn can(over: &Windows, part: u64) -> bool {
    part != 1 || over.stride == [1, 1]
}

impl Scratch {
    #[inline(always)]
    unsafe fn convolve<R: Registers>(&mut self, over: &Windows, rows: Rows) {
        let (positions, channels) = (over.positions(), over.channels[1] / over.groups);
        for (first, images, group) in parts(over, rows.rows) {
            let columns = images * positions;
            // SAFETY: a group of the images, of the weights and of the results.
            unsafe {
                self.lay(over, rows.a, (first, images, group));
                let result = |r: usize| {
                    rows.c.0.offset((first + r) as isize * rows.c.1).add(group * channels * positions)
                };
                self.results.resize(if images == 1 { 0 } else { channels * columns }, 0.0);
                let c = if images == 1 { result(0) } else { self.results.as_mut_ptr() };
                let w = self.weights.as_ptr().add(group * channels * over.taps());
                let (planes, taps) = (self.planes.as_ptr(), self.taps.0.as_ptr());
                for j in (0..columns).step_by(R::COLUMNS) {
                    let right = |l: usize| planes.add(*taps.add(l) + j);
                    for (i, many) in groups(channels, R::ROWS) {
                        let w = w.add(i * over.taps());
                        let left = |l: usize, r: usize| w.wrapping_add(l * many + r);
                        let width = R::COLUMNS.min(columns - j);
                        let to = To {
                            c: c.add(i * columns + j),
                            stride: columns as isize,
                            width,
                            accumulate: false,
                        };
                        R::block(many, left, right, self.taps.0.len(), to);
                    }
                }
                if images > 1 {
                    each_line(over, images, channels, |r, in_result, in_columns, width| {
                        let from = self.results.as_ptr().add(in_columns);
                        std::ptr::copy_nonoverlapping(from, result(r).add(in_result), width);
                    });
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_weights<R: Registers>(&mut self, over: &Windows, rows: Rows) {
        let (all, positions, channels) = (over.channels[1], over.positions(), over.channels[1] / over.groups);
        for (first, images, group) in parts(over, rows.rows) {
            let columns = images * positions;
            // SAFETY: as in `convolve`; weights of a group stand in its columns.
            unsafe {
                self.lay(over, rows.a, (first, images, group));
                let result = |r: usize| {
                    rows.b
                        .0
                        .wrapping_offset((first + r) as isize * rows.b.1)
                        .add(group * channels * positions)
                };
                self.turn_results((over, channels, images), result);
                let c = rows.c.0.add(group * channels);
                for (j, l0) in (0..channels)
                    .step_by(R::COLUMNS)
                    .flat_map(|j| (0..columns).step_by(DEPTH).map(move |l0| (j, l0)))
                {
                    let tile = self.tiles.as_ptr().add((j / TILE * columns + l0) * TILE + j % TILE);
                    let depth = DEPTH.min(columns - l0);
                    for (i, many) in groups(self.taps.0.len(), TAPS.min(R::ROWS)) {
                        let (planes, taps) = (self.planes.as_ptr().add(l0), self.taps.0.as_ptr().add(i));
                        let left = |l: usize, r: usize| planes.wrapping_add(*taps.add(r) + l);
                        let to = To {
                            c: c.add(i * all + j),
                            stride: all as isize,
                            width: R::COLUMNS.min(channels - j),
                            accumulate: first > 0 || l0 > 0,
                        };
                        R::block(many, left, |l| tile.wrapping_add(l * TILE), depth, to);
                    }
                }
            }
        }
    }

    /// Results of some images in tiles: a row for each window, a column for each channel.
    ///
    /// # Safety
    /// Results are there.
    unsafe fn turn_results(
        &mut self,
        (over, channels, images): (&Windows, usize, usize),
        result: impl Fn(usize) -> *const f32,
    ) {
        let columns = images * over.positions();
        self.tiles.resize(tiled_floats(columns, channels), 0.0);
        // SAFETY: as many as were made.
        unsafe {
            let from = if images == 1 {
                result(0)
            } else {
                self.results.resize(channels * columns, 0.0);
                let results = self.results.as_mut_ptr();
                each_line(over, images, channels, |r, in_result, in_columns, width| {
                    std::ptr::copy_nonoverlapping(result(r).add(in_result), results.add(in_columns), width);
                });
                results
            };
            snn_tile_columns(columns as u64, channels as u64, 1, from, self.tiles.as_mut_ptr(), 0, 1);
        }
    }

    /// Weights in the order in which blocks read them: of each group and block of channels, tap after tap those of the channels. `at` says
    /// where the weight of a group, tap and channel is.
    ///
    /// # Safety
    /// The weights are there.
    unsafe fn pack<R: Registers>(
        &mut self,
        over: &Windows,
        weights: *const f32,
        at: impl Fn(usize, usize, usize) -> usize,
    ) {
        let (taps, area) = (over.taps(), over.area());
        self.weights.resize(taps * over.channels[1], 0.0);
        let mut to = self.weights.as_mut_slice();
        for group in 0..over.groups {
            for (first, many) in groups(over.channels[1] / over.groups, R::ROWS) {
                let block;
                (block, to) = to.split_at_mut(taps * many);
                // Channel after channel of a place in the kernel: what is read next then lies in the line that was read before.
                for tap in (0..area).flat_map(|place| (place..taps).step_by(area)) {
                    for (r, to) in block[tap * many..][..many].iter_mut().enumerate() {
                        // SAFETY: the caller's promise.
                        *to = unsafe { *weights.add(at(group, tap, first + r)) };
                    }
                }
            }
        }
    }

    /// Copies of a group of some images, and where the taps are.
    ///
    /// # Safety
    /// The images are there.
    unsafe fn lay(
        &mut self,
        over: &Windows,
        (first_image, stride): (*const f32, isize),
        (first, images, group): (usize, usize, usize),
    ) {
        let layout = Layout::of(over, images);
        if self.taps.1 != images {
            self.taps.0.clear();
            self.taps.0.extend(layout.taps(over));
            self.taps.1 = images;
        }
        self.planes.resize(layout.floats(), 0.0);
        let of_group = over.width_in() / over.groups;
        let area = over.size[0] * over.size[1];
        for r in 0..images {
            // SAFETY: a group of an image.
            let image = unsafe {
                let row = first_image.offset((first + r) as isize * stride);
                std::slice::from_raw_parts(row.add(group * of_group), of_group)
            };
            for (at, copy) in
                self.planes.chunks_exact_mut(layout.rows * layout.line).enumerate().take(layout.copies)
            {
                let (channel, kx) = (at / over.kernel[1], at % over.kernel[1]);
                let channel = &image[channel * area..][..area];
                if images == 1 && over.stride == [1, 1] && layout.line == over.size[1] {
                    shifted(over, channel, kx, copy);
                } else {
                    by_lines(over, channel, kx, (&layout, r), copy);
                }
            }
        }
    }
}

/// What column `kx` of a kernel covers in all windows, where there are as many in a row as elements: the channel itself, shifted.
#[inline(always)]
fn shifted(over: &Windows, channel: &[f32], kx: usize, copy: &mut [f32]) {
    let (width, padding) = (over.size[1], over.padding);
    let above = padding[0] * width;
    let len = channel.len();
    let (right, left) = (kx.saturating_sub(padding[1]).min(width), padding[1].saturating_sub(kx).min(width));
    copy[..above].fill(0.0);
    copy[above + len..].fill(0.0);
    let copy = &mut copy[above..above + len];
    copy[left..len - right].copy_from_slice(&channel[right..len - left]);
    for row in copy.chunks_exact_mut(width) {
        row[..left].fill(0.0);
        row[width - right..].fill(0.0);
    }
}

/// What column `kx` of a kernel covers in all windows of image `r`, row after row.
fn by_lines(over: &Windows, channel: &[f32], kx: usize, (layout, r): (&Layout, usize), copy: &mut [f32]) {
    let ([height, width], inside) = (over.out_size(), over.inside(1, kx));
    let first = over.covers(1, inside.start, kx).unwrap_or(0);
    for (at, line) in copy.chunks_exact_mut(layout.line).enumerate() {
        let line = &mut line[r * width..][..width];
        let row = match over.stride[0] {
            1 => at.checked_sub(over.padding[0]).filter(|row| *row < over.size[0]),
            _ => over.covers(0, at % height, at / height),
        };
        let Some(row) = row.filter(|_| !inside.is_empty()) else {
            line.fill(0.0);
            continue;
        };
        let from = channel[row * over.size[1] + first..].iter().step_by(over.stride[1]);
        line[..inside.start].fill(0.0);
        line[inside.end..].fill(0.0);
        line[inside.clone()].iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
}

/// Some rows and a group at a time: the first row, how many, the group. Not with a function for each: one that is not part of a function
/// with vectors has none.
fn parts(over: &Windows, rows: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let (at_once, groups) = (at_once(over), over.groups);
    (0..rows)
        .step_by(at_once)
        .flat_map(move |first| (0..groups).map(move |group| (first, at_once.min(rows - first), group)))
}

/// Calls `f` for each row of windows of some images with the image, where the row is in its result, where among the columns of all, and its length.
fn each_line(over: &Windows, images: usize, channels: usize, mut f: impl FnMut(usize, usize, usize, usize)) {
    let [height, width] = over.out_size();
    for at in 0..channels * height {
        for r in 0..images {
            f(r, at * width, (at * images + r) * width, width);
        }
    }
}
