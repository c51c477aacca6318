//! Pooling of images and its adjoints, channel by channel. No weights: those are for `conv`. All orders of sums are fixed.
//!
//! A mean is over all elements of a window, with the padding as zeros; a maximum is over the elements inside of the image, and its gradient
//! goes to the first of the largest ones.

use super::conv::ConvFn;
use crate::windows::Windows;

/// `(part, rows, windows…, a, a_rs, b, b_rs, c, c_rs)`, for each of `rows` rows, which lie `…_rs` floats apart. Part 0: C is the means
/// of image A; part 1: C is the image that means A pass back; part 2: C is the maxima of image A; part 3: C is the image
/// that maxima of image A pass back for gradients B.
pub type PoolFn = ConvFn;

/// Pooling.
///
/// # Safety
/// A, B and C cover the rows of what [`PoolFn`] says they are (B in part 3 only); C is written by nobody else and overlaps neither A
/// nor B.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_pool(
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
    let (image, result) = (over.size[0] * over.size[1], over.positions());
    let [from, to] = if part.is_multiple_of(2) { [image, result] } else { [result, image] };
    let a_len = if part == 3 { image } else { from };
    for r in 0..rows as isize {
        for channel in 0..over.channels[0] {
            // SAFETY: channels of the rows.
            unsafe {
                let a = std::slice::from_raw_parts(a.offset(r * a_rs as isize).add(channel * a_len), a_len);
                let c = std::slice::from_raw_parts_mut(c.offset(r * c_rs as isize).add(channel * to), to);
                match part {
                    0 => mean(&over, a, c),
                    1 => mean_to_image(&over, a, c),
                    2 => max(&over, a, c),
                    _ => {
                        let b = b.offset(r * b_rs as isize).add(channel * from);
                        max_to_image(&over, a, std::slice::from_raw_parts(b, from), c);
                    }
                }
            }
        }
    }
}

/// What a sum is multiplied with.
fn share(over: &Windows) -> f32 {
    (1.0 / over.area() as f64) as f32
}

/// Sums from 0 for ascending taps; the zeros of the padding change nothing.
fn mean(over: &Windows, image: &[f32], to: &mut [f32]) {
    if is_halving(over) {
        return halves(over, image, to, |a, b| ((((0.0 + a[0]) + a[1]) + b[0]) + b[1]) * 0.25);
    }
    to.fill(0.0);
    each_tap(over, |at, place| to[at] += image[place]);
    to.iter_mut().for_each(|sum| *sum *= share(over));
}

fn mean_to_image(over: &Windows, from: &[f32], image: &mut [f32]) {
    if is_halving(over) {
        return doubles(over, image, |y, above, below| {
            let half = above.len();
            for row in [above, below] {
                let pairs = row.iter_mut().zip(&from[y * half..]);
                pairs.for_each(|(pair, from)| *pair = [(0.0 + from) * 0.25; 2]);
            }
        });
    }
    image.fill(0.0);
    each_tap(over, |at, place| image[place] += from[at]);
    image.iter_mut().for_each(|sum| *sum *= share(over));
}

fn max(over: &Windows, image: &[f32], to: &mut [f32]) {
    if is_halving(over) {
        return halves(over, image, to, |a, b| larger(larger(larger(a[0], a[1]), b[0]), b[1]));
    }
    each_largest(over, image, |at, place| to[at] = image[place]);
}

fn max_to_image(over: &Windows, image: &[f32], from: &[f32], to: &mut [f32]) {
    if is_halving(over) {
        let width = over.size[1];
        return doubles(over, to, |y, above, below| {
            let (a, b) = image[2 * y * width..][..2 * width].split_at(width);
            let read = a.as_chunks::<2>().0.iter().zip(b.as_chunks::<2>().0).zip(&from[y * above.len()..]);
            for ((above, below), ((a, b), from)) in above.iter_mut().zip(below).zip(read) {
                (*above, *below) = to_first_largest(*a, *b, 0.0 + from);
            }
        });
    }
    to.fill(0.0);
    each_largest(over, image, |at, place| to[place] += from[at]);
}

/// The second one only if it is larger: a comparison that no number wins keeps the first, as in [`each_largest`].
fn larger(first: f32, second: f32) -> f32 {
    if second > first { second } else { first }
}

/// `value` in the place of the first of the largest of four elements, 0 in the others.
fn to_first_largest(a: [f32; 2], b: [f32; 2], value: f32) -> ([f32; 2], [f32; 2]) {
    let second = larger(a[0], a[1]);
    let third = larger(second, b[0]);
    let is = [a[1] > a[0], b[0] > second, b[1] > third];
    let value = |here: bool| if here { value } else { 0.0 };
    (
        [value(!(is[0] | is[1] | is[2])), value(is[0] & !(is[1] | is[2]))],
        [value(is[1] & !is[2]), value(is[2])],
    )
}

/// Whether windows are squares of four elements side by side, which nearly all networks have and processors can do many of at once.
fn is_halving(over: &Windows) -> bool {
    over.kernel == [2, 2] && over.stride == [2, 2] && over.padding == [0, 0]
}

/// What `of` makes of each square of four elements, of its upper and its lower pair.
fn halves(over: &Windows, image: &[f32], to: &mut [f32], of: impl Fn([f32; 2], [f32; 2]) -> f32) {
    let (width, half) = (over.size[1], over.out_size()[1]);
    for (rows, to) in image.chunks_exact(2 * width).zip(to.chunks_exact_mut(half)) {
        let (above, below) = rows.split_at(width);
        for ((to, a), b) in to.iter_mut().zip(above.as_chunks::<2>().0).zip(below.as_chunks::<2>().0) {
            *to = of(*a, *b);
        }
    }
}

/// An image of squares of four elements: `write` gets the number of each row of them, with its upper and its lower pairs. What lies in no
/// square becomes 0.
fn doubles(over: &Windows, image: &mut [f32], write: impl Fn(usize, &mut [[f32; 2]], &mut [[f32; 2]])) {
    let (width, [height, half]) = (over.size[1], over.out_size());
    image[2 * height * width..].fill(0.0);
    for (y, rows) in image.chunks_exact_mut(2 * width).enumerate() {
        let (above, below) = rows.split_at_mut(width);
        above[2 * half..].fill(0.0);
        below[2 * half..].fill(0.0);
        write(y, above.as_chunks_mut().0, below.as_chunks_mut().0);
    }
}

/// Calls `f` with windows and the elements that they cover: taps ascending, then windows.
fn each_tap(over: &Windows, mut f: impl FnMut(usize, usize)) {
    let [_, width] = over.out_size();
    for ky in 0..over.kernel[0] {
        for kx in 0..over.kernel[1] {
            for y in over.inside(0, ky) {
                let row = y * over.stride[0] + ky - over.padding[0];
                for x in over.inside(1, kx) {
                    f(y * width + x, row * over.size[1] + x * over.stride[1] + kx - over.padding[1]);
                }
            }
        }
    }
}

/// Calls `f` with each window and the first of its largest elements.
fn each_largest(over: &Windows, image: &[f32], mut f: impl FnMut(usize, usize)) {
    let [height, width] = over.out_size();
    let from = |axis: usize, at: usize| {
        let start = at * over.stride[axis];
        let end = (start + over.kernel[axis]).saturating_sub(over.padding[axis]).min(over.size[axis]);
        start.saturating_sub(over.padding[axis])..end
    };
    for y in 0..height {
        for x in 0..width {
            let (rows, columns) = (from(0, y), from(1, x));
            let mut best = rows.start * over.size[1] + columns.start;
            for row in rows {
                for place in columns.clone().map(|column| row * over.size[1] + column) {
                    if image[place] > image[best] {
                        best = place;
                    }
                }
            }
            f(y * width + x, best);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(part: u64, over: &Windows, [a, b]: [&[f32]; 2], to: usize) -> Vec<f32> {
        let [g0, g1, g2, g3, g4, g5] = over.packed();
        let mut c = vec![f32::NAN; to];
        // SAFETY: one row of each.
        unsafe { snn_pool(part, 1, g0, g1, g2, g3, g4, g5, a.as_ptr(), 0, b.as_ptr(), 0, c.as_mut_ptr(), 0) }
        c
    }

    fn squares(padding: usize) -> Windows {
        let padding = [padding; 2];
        Windows { channels: [2, 2], size: [4, 4], kernel: [2, 2], stride: [2, 2], padding, groups: 2 }
    }

    #[test]
    fn means_count_the_padding_as_zeros() {
        let image: Vec<f32> = (0..32).map(|k| k as f32).collect();
        assert_eq!(run(0, &squares(0), [&image, &[]], 8), [2.5, 4.5, 10.5, 12.5, 18.5, 20.5, 26.5, 28.5]);
        let padded = run(0, &squares(1), [&image, &[]], 18);
        assert_eq!(padded[..9], [0.0, 0.75, 0.75, 3.0, 7.5, 4.5, 3.0, 6.75, 3.75]);
        let back = run(1, &squares(0), [&[1.0, 2.0, 3.0, 4.0, 0.0, 0.0, 0.0, 8.0], &[]], 32);
        assert_eq!(back[..8], [0.25, 0.25, 0.5, 0.5, 0.25, 0.25, 0.5, 0.5]);
        assert_eq!(back[28..], [0.0, 0.0, 2.0, 2.0]);
    }

    #[test]
    fn squares_of_four_are_what_windows_of_any_size_are() {
        for size in [[4, 6], [5, 7], [2, 2], [3, 40]] {
            let over = Windows { size, ..squares(0) };
            let mut image = vec![-0.0f32; 2 * size[0] * size[1]];
            crate::rng::gaussian_row(&mut image[1..], 7, 1, 0, 0);
            let mut expected = vec![0.0; over.width_out()];
            let area = size[0] * size[1];
            for (channel, sums) in expected.chunks_mut(over.positions()).enumerate() {
                each_tap(&over, |at, place| sums[at] += image[channel * area + place]);
                sums.iter_mut().for_each(|sum| *sum *= share(&over));
            }
            let means = run(0, &over, [&image, &[]], expected.len());
            assert_eq!(means, expected);
            let mut expected = vec![0.0; image.len()];
            for (channel, to) in expected.chunks_mut(area).enumerate() {
                each_tap(&over, |at, place| to[place] += means[channel * over.positions() + at]);
                to.iter_mut().for_each(|sum| *sum *= share(&over));
            }
            assert_eq!(run(1, &over, [&means, &[]], image.len()), expected);
        }
    }

    #[test]
    fn maxima_of_squares_are_those_of_windows_of_any_size_also_of_equal_and_of_no_numbers() {
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        for size in [[4, 6], [5, 7], [2, 2], [3, 40]] {
            let over = Windows { size, ..squares(0) };
            let (area, out) = (size[0] * size[1], over.positions());
            // Few values, so that many are equal, both zeros, and what is no number.
            let values = [-0.0, 0.0, 1.0, -1.0, 1.0, f32::NAN, 0.5];
            let image: Vec<f32> = (0..2 * area).map(|k| values[(k * k + k / 3) % values.len()]).collect();
            let gradient: Vec<f32> =
                (0..2 * out).map(|k| if k == 1 { -0.0 } else { k as f32 - 2.5 }).collect();
            let (mut maxima, mut back) = (vec![0.0; 2 * out], vec![0.0; 2 * area]);
            for channel in 0..2 {
                each_largest(&over, &image[channel * area..][..area], |at, place| {
                    maxima[channel * out + at] = image[channel * area + place];
                    back[channel * area + place] += gradient[channel * out + at];
                });
            }
            assert_eq!(bits(run(2, &over, [&image, &[]], 2 * out)), bits(maxima), "{size:?}");
            assert_eq!(bits(run(3, &over, [&image, &gradient], 2 * area)), bits(back), "{size:?}");
        }
    }

    #[test]
    fn the_first_of_the_largest_gets_the_gradient() {
        let mut image = [-1.0f32; 32];
        image[5] = 3.0;
        image[16..]
            .copy_from_slice(&[0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0., 0., 0., 0., 0., 0., 0., 0.]);
        let over = squares(0);
        assert_eq!(run(2, &over, [&image, &[]], 8), [3.0, -1.0, -1.0, -1.0, 1.0, 1.0, 0.0, 0.0]);
        let d = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        let back = run(3, &over, [&image, &d], 32);
        let found: Vec<(usize, f32)> = back.into_iter().enumerate().filter(|(_, d)| *d != 0.0).collect();
        let expected = [(2, 2.0), (5, 1.0), (8, 3.0), (10, 4.0), (17, 5.0), (18, 6.0), (24, 7.0), (26, 8.0)];
        assert_eq!(found, expected);
    }

    #[test]
    fn windows_that_overlap_add_their_gradients_and_padding_is_never_the_largest() {
        let over = Windows {
            channels: [1, 1],
            size: [1, 4],
            kernel: [1, 3],
            stride: [1, 1],
            padding: [0, 1],
            groups: 1,
        };
        let image = [-5.0, -2.0, -3.0, -4.0];
        assert_eq!(run(2, &over, [&image, &[]], 4), [-2.0, -2.0, -2.0, -3.0]);
        assert_eq!(run(3, &over, [&image, &[1.0, 2.0, 4.0, 8.0]], 4), [0.0, 7.0, 8.0, 0.0]);
    }
}
