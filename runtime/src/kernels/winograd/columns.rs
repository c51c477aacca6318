//! Columns of products: which windows they stand for, and how vectors of them are read from images and written to results. No products.

use super::super::lanes::Lanes;
use super::super::tiles::tiled_floats;
use super::transforms::{PRODUCTS, TALL, of_image, of_products};
use crate::windows::Windows;

/// Columns of a product at least, of results and of gradients of weights: those are added up once for so many.
const COLUMNS: [usize; 2] = [64, 128];

/// Numbers of the widest vector.
pub(super) const WIDEST: usize = 16;

/// Sizes of what is done at once.
pub(super) struct Scheme {
    pub(super) over: Windows,
    /// Tiles of an image, one below the other.
    pub(super) tiles: usize,
    /// Columns of a row of tiles: windows.
    pub(super) pitch: usize,
    /// Rows of tiles at once.
    pub(super) at_once: usize,
    /// Copies of images: channels of a group times columns of the kernel.
    pub(super) copies: usize,
    /// From copy to copy: whole vectors, an odd number, or copies would meet in the same places of the first-level cache.
    pub(super) line: usize,
}

impl Scheme {
    /// For convolutions, or for gradients of their weights.
    pub(super) fn of(over: &Windows, is_for_weights: bool) -> Scheme {
        let [height, pitch] = over.out_size();
        let least = COLUMNS[usize::from(is_for_weights)].div_ceil(pitch);
        // Few places in the last vector are empty.
        let waste = |rows: &usize| 1000 * (rows * pitch).next_multiple_of(WIDEST) / (rows * pitch);
        let at_once = (least..=2 * least).min_by_key(waste).unwrap_or(least);
        Scheme {
            over: *over,
            tiles: height.div_ceil(TALL),
            pitch,
            at_once,
            copies: over.channels[0] / over.groups * over.kernel[1],
            line: ((at_once * pitch).div_ceil(WIDEST) | 1) * WIDEST,
        }
    }

    /// Floats of the copies for one product.
    pub(super) fn product(&self) -> usize {
        self.copies * self.line
    }

    /// Floats of results in tiles: those of a row of tiles, and transformed ones of a part for one product.
    pub(super) fn tiles(&self) -> [usize; 2] {
        let channels = self.over.channels[1] / self.over.groups;
        [TALL * self.pitch, self.line].map(|windows| tiled_floats(windows, channels))
    }

    /// Numbers of all products of weights.
    pub(super) fn weights(&self) -> usize {
        PRODUCTS * self.copies * self.over.channels[1]
    }

    /// Parts of the rows of tiles of `rows` images, group after group.
    pub(super) fn parts(&self, rows: usize) -> impl Iterator<Item = Part> {
        let (all, at_once, groups) = (rows * self.tiles, self.at_once, self.over.groups);
        (0..all).step_by(at_once).flat_map(move |first| {
            (0..groups).map(move |group| Part { first, rows: at_once.min(all - first), group })
        })
    }

    /// What the columns of a vector from `j` on belong to.
    pub(super) fn stretches(&self, part: Part, j: usize, lanes: usize) -> impl Iterator<Item = Stretch> {
        let (tiles, pitch, behind) = (self.tiles, self.pitch, part.first + part.rows);
        let (mut row, mut x, mut lane) = (part.first + j / pitch, j % pitch, 0);
        std::iter::from_fn(move || {
            let end = lanes.min(lane + pitch - x);
            let at = Stretch { image: row / tiles, tile: row % tiles, lanes: [lane, end], x };
            let is_there = lane < lanes && row < behind;
            (row, x, lane) = (row + 1, 0, end);
            is_there.then_some(at)
        })
    }

    /// The rows of tiles of a part: which one, its image, and which of its tiles it is.
    pub(super) fn each(&self, part: Part) -> impl Iterator<Item = (usize, usize, usize)> {
        let tiles = self.tiles;
        let mut at = (part.first / tiles, part.first % tiles);
        (0..part.rows).map(move |row| {
            let (image, tile) = at;
            at = if tile + 1 < tiles { (image, tile + 1) } else { (image + 1, 0) };
            (row, image, tile)
        })
    }
}

/// Columns of a vector that belong to one row of tiles.
#[derive(Clone, Copy, Default)]
pub(super) struct Stretch {
    image: usize,
    tile: usize,
    /// The first of these columns in the vector, and the one behind the last.
    lanes: [usize; 2],
    /// The window of the first of them.
    x: usize,
}

/// Some rows of tiles in a row, of one group.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) first: usize,
    pub(super) rows: usize,
    pub(super) group: usize,
}

/// Where numbers of a vector are read: a column of six rows of an image.
#[derive(Clone, Copy)]
pub(super) struct Source<V: Lanes> {
    from: *const f32,
    masks: [V::Mask; PRODUCTS],
}

impl<V: Lanes> Source<V> {
    /// What column `kx` of a kernel covers in a stretch. Outside of the image nothing is read, and it counts as 0.
    ///
    /// # Safety
    /// The machine has the vectors.
    #[inline(always)]
    pub(super) unsafe fn of(
        s: &Scheme,
        (images, stride, channel): (*const f32, isize, usize),
        at: Stretch,
        kx: usize,
    ) -> Source<V> {
        let ([height, width], [above, before]) = (s.over.size, s.over.padding);
        let image = images.wrapping_offset(at.image as isize * stride).wrapping_add(channel * height * width);
        let first = TALL * at.tile * width + at.x + kx;
        let from = image.wrapping_add(first.wrapping_sub(above * width + before + at.lanes[0]));
        let inside = s.over.inside(1, kx);
        let [start, end] = [inside.start, inside.end].map(|x| at.lanes[0] + x.saturating_sub(at.x));
        // SAFETY: the caller's promise.
        unsafe {
            let covered = V::mask(start.min(at.lanes[1]), end.min(at.lanes[1]));
            let mut masks = [V::mask(0, 0); PRODUCTS];
            for (k, mask) in masks.iter_mut().enumerate() {
                if (TALL * at.tile + k).checked_sub(above).is_some_and(|row| row < height) {
                    *mask = covered;
                }
            }
            Source { from, masks }
        }
    }
}

/// A vector of the transformed copies of all channels.
///
/// # Safety
/// The images and the copies are there.
#[inline(always)]
pub(super) unsafe fn fill<V: Lanes>(s: &Scheme, sources: &[Source<V>], channels: usize, mut to: *mut f32) {
    let [height, width] = s.over.size;
    for channel in 0..channels {
        // SAFETY: the caller's promise.
        unsafe {
            let mut d = [V::splat(0.0); PRODUCTS];
            for source in sources {
                let from = source.from.wrapping_add(channel * height * width);
                for (k, d) in d.iter_mut().enumerate() {
                    *d = d.load_over(from.wrapping_add(k * width), source.masks[k]);
                }
            }
            for (product, v) in of_image(d).iter().enumerate() {
                v.store(to.add(product * s.product()));
            }
        }
        to = to.wrapping_add(s.over.kernel[1] * s.line);
    }
}

/// Where numbers of a vector are written: a column of four rows of a result.
#[derive(Clone, Copy)]
pub(super) struct Target<V: Lanes> {
    to: *mut f32,
    masks: [V::Mask; TALL],
}

impl<V: Lanes> Target<V> {
    /// The windows of a stretch in a channel of the results. Rows of a tile behind the last one do not exist.
    ///
    /// # Safety
    /// The machine has the vectors.
    #[inline(always)]
    pub(super) unsafe fn of(
        s: &Scheme,
        (results, stride, channel): (*mut f32, isize, usize),
        at: Stretch,
    ) -> Target<V> {
        let [height, width] = s.over.out_size();
        let c = results.wrapping_offset(at.image as isize * stride);
        let first = (channel * height + TALL * at.tile) * width + at.x;
        // SAFETY: the caller's promise.
        unsafe {
            let mut masks = [V::mask(0, 0); TALL];
            for mask in masks.iter_mut().take(height - TALL * at.tile) {
                *mask = V::mask(at.lanes[0], at.lanes[1]);
            }
            Target { to: c.wrapping_add(first.wrapping_sub(at.lanes[0])), masks }
        }
    }
}

/// A vector of the results of `many` channels.
///
/// # Safety
/// The products and the results are there.
#[inline(always)]
pub(super) unsafe fn spread<V: Lanes>(s: &Scheme, sums: *const f32, targets: &[Target<V>], many: usize) {
    let (positions, width) = (s.over.positions(), s.pitch);
    for r in 0..many {
        // SAFETY: the caller's promise.
        unsafe {
            let mut m = [V::splat(0.0); PRODUCTS];
            for (product, m) in m.iter_mut().enumerate() {
                *m = V::load(sums.add((product * many + r) * s.line));
            }
            let y = of_products(m);
            for target in targets {
                let to = target.to.wrapping_add(r * positions);
                for (i, y) in y.iter().enumerate() {
                    y.store_masked(to.wrapping_add(i * width), target.masks[i]);
                }
            }
        }
    }
}
