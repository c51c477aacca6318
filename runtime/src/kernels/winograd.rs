//! Convolutions with kernels of three rows in half the multiplications: four rows of results are made of six products instead of
//! twelve (minimal filtering along the height; `transforms` has the formulas and their source). In any order of sums, fast mode only.
//!
//! Only the height is treated so: vectors run along the width, and a transform along it would have to move numbers between
//! their places. A *tile* is four rows of windows of an image, the last one of an image filled up; rows of tiles of all images stand side by
//! side, as many at once as fill blocks of registers and stay in the second-level cache. For each channel and column of the kernel there is
//! a copy of the transformed images, as in `direct`, for each of the six products; then one dense product for each of the six makes
//! everything. Rounding: at most about 1e-6 of the largest sum of absolute products, a few times that of sums as they stand, also where such a
//! sum would be exactly 0: the compiler asks for part 3 of `conv` where that counts. A number that is not finite spoils all rows of its tiles.

mod columns;
mod transforms;

use super::conv::Rows;
use super::direct::turned;
use super::lanes::Lanes;
use super::registers::{Registers, TAPS, To, at_every_width, groups};
use super::tiles::{DEPTH, TILE, swap};
use super::vector::TileRow;
use crate::windows::Windows;
use columns::{Part, Scheme, Source, Target, WIDEST, fill, spread};
use transforms::{PRODUCTS, TALL};

/// Channels of which there are products at once, at most.
const MOST: usize = 14;
#[cfg(target_arch = "x86_64")]
const _: () = assert!(super::registers::Avx512::ROWS <= MOST && super::registers::Avx2::ROWS <= MOST);

/// What lasts from call to call.
#[derive(Default)]
pub(super) struct Scratch {
    /// Copies of transformed images.
    copies: Aligned,
    /// Transformed weights in the order in which they are read.
    weights: Aligned,
    /// Six products of some channels, or the gradients of all transformed weights, or weights with their axes exchanged.
    sums: Aligned,
    /// Results of a row of tiles with a row for each window, then the transformed results of all.
    tiles: Aligned,
}

/// Numbers that begin with a cache line. Space is never given back.
#[derive(Default)]
struct Aligned(Vec<TileRow>);

impl Aligned {
    /// Space for so many numbers.
    fn of(&mut self, floats: usize) -> *mut f32 {
        if self.0.len() * TILE < floats {
            self.0.resize(floats.div_ceil(TILE), TileRow::ZERO);
        }
        self.0.as_mut_ptr().cast()
    }
}

/// Floats that a thread holds from call to call.
pub(super) fn scratch_floats(over: &Windows) -> usize {
    let [ahead, back] = [Scheme::of(over, false), Scheme::of(&turned(over), false)];
    let sums = Scheme::of(over, true);
    let [turned, tiles] = sums.tiles();
    let copies = ahead.product().max(back.product()).max(sums.product());
    let weights = ahead.weights().max(back.weights());
    PRODUCTS * (copies + tiles) + turned + 2 * weights.max(PRODUCTS * MOST * ahead.line.max(back.line))
}

/// Part `part` of [`super::conv::ConvFn`].
///
/// # Safety
/// As `snn_conv_fast`, the machine has the vectors, and [`can`] says so.
#[inline(always)]
unsafe fn run<R: Registers>(over: &Windows, part: u64, rows: Rows, scratch: &mut Scratch) {
    // SAFETY: the caller's promise.
    unsafe {
        match part {
            0 => {
                scratch.pack::<R>(over, rows.b.0);
                scratch.convolve::<R>(over, rows);
            }
            1 => {
                let back = turned(over);
                let weights = scratch.exchange(over, rows.b.0);
                scratch.pack::<R>(&back, weights);
                scratch.convolve::<R>(&back, rows);
            }
            _ => scratch.sum_weights::<R>(over, rows),
        }
    }
}

at_every_width!(run, (over: &Windows, part: u64, rows: Rows, scratch: &mut Scratch));

/// Whether [`run`] can do it.
pub(super) fn can(over: &Windows) -> bool {
    over.kernel[0] == transforms::TAPS && over.stride == [1, 1]
}

/// Whether it is faster than sums as they stand. Measured with AVX-512 and AVX2, 4 to 128 channels, 3 to 32 rows: 1.2 to 1.8 times as fast
/// with 16 images, even where one row of five is alone in its tile; of images with lines of less than eight 2 times and more, as `direct`
/// has short copies there. With fewer taps of a row or channels of the result than these, transforms are as much work as the products. The
/// number of images is not asked for: the same image has the same result among any others. (Where there are only one or two of 4 x 4, transforms of
/// many weights are not earned back.)
pub(super) fn pays(over: &Windows, part: u64) -> bool {
    let of = if part == 1 { turned(over) } else { *over };
    let [inward, channels] = of.channels.map(|channels| channels / of.groups);
    can(over) && of.out_size()[0] >= transforms::TAPS && inward * of.kernel[1] >= 12 && channels >= 8
}

impl Scratch {
    #[inline(always)]
    unsafe fn convolve<R: Registers>(&mut self, over: &Windows, rows: Rows) {
        let s = Scheme::of(over, false);
        let channels = over.channels[1] / over.groups;
        let sums = self.sums.of(PRODUCTS * MOST * s.line);
        let weights = self.weights.of(0).cast_const();
        for part in s.parts(rows.rows) {
            let columns = part.rows * s.pitch;
            // SAFETY: a group of the images, of the weights and of the results.
            unsafe {
                let copies = self.lay::<R::Lanes>(&s, rows.a, part);
                for (i, many) in groups(channels, R::ROWS) {
                    let first = part.group * channels + i;
                    for product in 0..PRODUCTS {
                        let u = weights.add((PRODUCTS * first + product * many) * s.copies);
                        let v = copies.add(product * s.product());
                        let c = sums.add(product * many * s.line);
                        for j in (0..columns).step_by(R::COLUMNS) {
                            let width = (columns - j).next_multiple_of(R::Lanes::LANES).min(R::COLUMNS);
                            let to = To { c: c.add(j), stride: s.line as isize, width, accumulate: false };
                            let left = |l: usize, r: usize| u.wrapping_add(l * many + r);
                            R::block(many, left, |l| v.wrapping_add(l * s.line + j), s.copies, to);
                        }
                    }
                    store_results::<R::Lanes>(&s, sums, rows.c, part, (first, many));
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_weights<R: Registers>(&mut self, over: &Windows, rows: Rows) {
        let s = Scheme::of(over, true);
        let (all, channels) = (over.channels[1], over.channels[1] / over.groups);
        let sums = self.sums.of(s.weights());
        for part in s.parts(rows.rows) {
            let columns = part.rows * s.pitch;
            // SAFETY: as in `convolve`; weights of a group stand in its columns.
            unsafe {
                let copies = self.lay::<R::Lanes>(&s, rows.a, part);
                let tiles = self.turn_results::<R::Lanes>(&s, rows.b, part);
                for (product, j, l0) in blocks(channels, R::COLUMNS, columns) {
                    let tile = tiles.add(product * s.tiles()[1] + (j / TILE * s.line + l0) * TILE + j % TILE);
                    let v = copies.add(product * s.product() + l0);
                    let c = sums.add(product * s.copies * all + part.group * channels + j);
                    for (i, many) in groups(s.copies, TAPS.min(R::ROWS)) {
                        let to = To {
                            c: c.add(i * all),
                            stride: all as isize,
                            width: R::COLUMNS.min(channels - j),
                            accumulate: part.first > 0 || l0 > 0,
                        };
                        let left = |l: usize, r: usize| v.wrapping_add((i + r) * s.line + l);
                        R::block(many, left, |l| tile.wrapping_add(l * TILE), DEPTH.min(columns - l0), to);
                    }
                }
            }
        }
        // SAFETY: as many as were made, and the weights.
        unsafe { store_weights::<R::Lanes>(&s, sums, rows.c.0) }
    }

    /// Transformed results of a part in tiles: a row for each column of the product, a column for each channel.
    ///
    /// # Safety
    /// The results are there.
    #[inline(always)]
    unsafe fn turn_results<V: Lanes>(
        &mut self,
        s: &Scheme,
        (results, stride): (*const f32, isize),
        part: Part,
    ) -> *const f32 {
        let (channels, positions) = (s.over.channels[1] / s.over.groups, s.over.positions());
        let (windows, [of_row, of_part]) = (TALL * s.pitch, s.tiles());
        let turned = self.tiles.of(of_row + PRODUCTS * of_part);
        for (row, image, tile) in s.each(part) {
            let shown = windows.min(positions - tile * windows);
            for j in (0..channels).step_by(TILE) {
                // SAFETY: the caller's promise.
                unsafe {
                    let first = (part.group * channels + j) * positions + tile * windows;
                    let from = results.offset(image as isize * stride).add(first);
                    swap(0..shown, TILE.min(channels - j), (from, positions), (turned, TILE));
                    std::slice::from_raw_parts_mut(turned.add(shown * TILE), (windows - shown) * TILE)
                        .fill(0.0);
                    let to = turned.add(of_row + (j * s.line) + row * s.pitch * TILE);
                    for at in (0..s.pitch * TILE).step_by(V::LANES) {
                        let mut y = [V::splat(0.0); TALL];
                        for (i, y) in y.iter_mut().enumerate() {
                            *y = V::load(turned.add(i * s.pitch * TILE + at));
                        }
                        for (product, y) in transforms::of_results(y).iter().enumerate() {
                            y.store(to.add(product * of_part + at));
                        }
                    }
                }
            }
        }
        turned.wrapping_add(of_row)
    }

    /// Copies of a part of the images, transformed.
    ///
    /// # Safety
    /// The images are there.
    #[inline(always)]
    unsafe fn lay<V: Lanes>(
        &mut self,
        s: &Scheme,
        (images, stride): (*const f32, isize),
        part: Part,
    ) -> *const f32 {
        let (across, channels) = (s.over.kernel[1], s.over.channels[0] / s.over.groups);
        let copies = self.copies.of(PRODUCTS * s.product());
        let columns = (0..part.rows * s.pitch).step_by(V::LANES);
        for (j, kx) in columns.flat_map(|j| (0..across).map(move |kx| (j, kx))) {
            let images = (images, stride, part.group * channels);
            let mut at = s.stretches(part, j, V::LANES);
            // SAFETY: the caller's promise; a copy has space for the last vector.
            unsafe {
                let to = copies.add(kx * s.line + j);
                match [at.next(), at.next(), at.next()] {
                    [None, ..] => {}
                    [Some(a), None, _] => fill(s, &[Source::<V>::of(s, images, a, kx)], channels, to),
                    [Some(a), Some(b), None] => {
                        let both = [Source::<V>::of(s, images, a, kx), Source::of(s, images, b, kx)];
                        fill(s, &both, channels, to);
                    }
                    [Some(first), ..] => {
                        let mut all = [Source::<V>::of(s, images, first, kx); WIDEST];
                        let mut many = 0;
                        for (source, at) in all.iter_mut().zip(s.stretches(part, j, V::LANES)) {
                            *source = Source::of(s, images, at, kx);
                            many += 1;
                        }
                        fill(s, &all[..many], channels, to);
                    }
                }
            }
        }
        copies
    }

    /// Transformed weights in the order in which blocks read them: of each group and block of channels product after product, in it copy
    /// after copy those of the channels.
    ///
    /// # Safety
    /// The weights are there.
    #[inline(always)]
    unsafe fn pack<R: Registers>(&mut self, over: &Windows, weights: *const f32) {
        let s = Scheme::of(over, false);
        let ([down, across], all) = (over.kernel, over.channels[1]);
        let to = self.weights.of(s.weights());
        for (group, (first, many)) in
            (0..over.groups).flat_map(|group| groups(all / over.groups, R::ROWS).map(move |of| (group, of)))
        {
            let first = group * (all / over.groups) + first;
            for copy in 0..s.copies {
                let tap = copy / across * down * across + copy % across;
                // SAFETY: the caller's promise; blocks lie behind each other.
                unsafe {
                    let mask = R::Lanes::mask(0, many);
                    let mut g = [R::Lanes::splat(0.0); transforms::TAPS];
                    for (ky, g) in g.iter_mut().enumerate() {
                        let from = weights.add((tap + ky * across) * all + first);
                        *g = g.load_over(from, mask);
                    }
                    let to = to.add(PRODUCTS * s.copies * first + copy * many);
                    for (product, u) in transforms::of_weights(g).iter().enumerate() {
                        u.store_masked(to.add(product * s.copies * many), mask);
                    }
                }
            }
        }
    }

    /// Weights of the way back, as [`turned`] has them: taps are those of a channel of the result, turned by half a turn.
    ///
    /// # Safety
    /// The weights are there.
    #[inline(always)]
    unsafe fn exchange(&mut self, over: &Windows, weights: *const f32) -> *const f32 {
        let (area, [wide, all]) = (over.area(), over.channels);
        let [inward, channels] = over.channels.map(|channels| channels / over.groups);
        let to = self.sums.of(channels * area * wide);
        for (group, place) in (0..over.groups).flat_map(|group| (0..area).map(move |place| (group, place))) {
            // SAFETY: the caller's promise.
            unsafe {
                let from = weights.add((area - 1 - place) * all + group * channels);
                let to = to.add(place * wide + group * inward);
                swap(0..channels, inward, (from, area * all), (to, area * wide));
            }
        }
        to
    }
}

/// Products of copies with results: which product, from which channel and from which column on.
fn blocks(channels: usize, at_once: usize, columns: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    let channels = (0..channels).step_by(at_once);
    let of_product = channels.flat_map(move |j| (0..columns).step_by(DEPTH).map(move |l0| (j, l0)));
    (0..PRODUCTS).flat_map(move |product| of_product.clone().map(move |(j, l0)| (product, j, l0)))
}

/// Results of some channels from their products.
///
/// # Safety
/// There are as many.
#[inline(always)]
unsafe fn store_results<V: Lanes>(
    s: &Scheme,
    sums: *const f32,
    (results, stride): (*mut f32, isize),
    part: Part,
    (first, many): (usize, usize),
) {
    for j in (0..part.rows * s.pitch).step_by(V::LANES) {
        let results = (results, stride, first);
        let mut at = s.stretches(part, j, V::LANES);
        // SAFETY: the caller's promise.
        unsafe {
            let sums = sums.add(j);
            match [at.next(), at.next(), at.next()] {
                [None, ..] => {}
                [Some(a), None, _] => spread(s, sums, &[Target::<V>::of(s, results, a)], many),
                [Some(a), Some(b), None] => {
                    spread(s, sums, &[Target::<V>::of(s, results, a), Target::of(s, results, b)], many);
                }
                [Some(first), ..] => {
                    let mut all = [Target::<V>::of(s, results, first); WIDEST];
                    let mut n_targets = 0;
                    for (target, at) in all.iter_mut().zip(s.stretches(part, j, V::LANES)) {
                        *target = Target::of(s, results, at);
                        n_targets += 1;
                    }
                    spread(s, sums, &all[..n_targets], many);
                }
            }
        }
    }
}

/// Gradients of weights from those of transformed weights.
///
/// # Safety
/// There are as many.
#[inline(always)]
unsafe fn store_weights<V: Lanes>(s: &Scheme, sums: *const f32, weights: *mut f32) {
    let ([down, across], all) = (s.over.kernel, s.over.channels[1]);
    for (copy, x) in (0..s.copies).flat_map(|copy| (0..all).step_by(V::LANES).map(move |x| (copy, x))) {
        let tap = copy / across * down * across + copy % across;
        // SAFETY: the caller's promise.
        unsafe {
            let mask = V::mask(0, all - x);
            let mut u = [V::splat(0.0); PRODUCTS];
            for (product, u) in u.iter_mut().enumerate() {
                *u = u.load_over(sums.add((product * s.copies + copy) * all + x), mask);
            }
            for (ky, g) in transforms::to_weights(u).iter().enumerate() {
                g.store_masked(weights.add((tap + ky * across) * all + x), mask);
            }
        }
    }
}
