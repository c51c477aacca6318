//! Circular borders of images and their adjoints: what stands before the first element of an axis is the last one. Nothing is computed
//! over windows: that is for `conv` and `pool`.

use super::conv::ConvFn;
use crate::windows::Windows;

/// `(part, rows, windows…, a, a_rs, b, b_rs, c, c_rs)`, for each of `rows` rows, which lie `…_rs` floats apart. Part 0: C is image A
/// with its border; part 1: C is the image that A, with its border, passes back, summed for ascending places. B is not read.
pub type BorderFn = ConvFn;

/// Circular borders.
///
/// # Safety
/// A and C cover the rows of what [`BorderFn`] says they are; C is written by nobody else and does not overlap A.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_border(
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
    _b: *const f32,
    _b_rs: i64,
    c: *mut f32,
    c_rs: i64,
) {
    let over = Windows::unpacked([channels, size, kernel, stride, padding, groups]);
    let (image, result) = (over.width_in(), over.width_out());
    let [from, to] = if part == 0 { [image, result] } else { [result, image] };
    for r in 0..rows as isize {
        // SAFETY: rows of A and C.
        let (a, c) = unsafe {
            let c = std::slice::from_raw_parts_mut(c.offset(r * c_rs as isize), to);
            (std::slice::from_raw_parts(a.offset(r * a_rs as isize), from), c)
        };
        match part {
            0 => each_run(&over, |at, place, len| c[at..at + len].copy_from_slice(&a[place..place + len])),
            _ => {
                c.fill(0.0);
                each_run(&over, |at, place, len| {
                    let (to, from) = (&mut c[place..place + len], &a[at..at + len]);
                    to.iter_mut().zip(from).for_each(|(to, from)| *to += *from);
                });
            }
        }
    }
}

/// Calls `f` with runs of places in a row: the first place with border, the element that stands there, their number. Places ascend.
fn each_run(over: &Windows, mut f: impl FnMut(usize, usize, usize)) {
    let [height, width] = over.out_size();
    let [rows, columns] = over.size;
    for channel in 0..over.channels[0] {
        for y in 0..height {
            let (line, row) = ((channel * height + y) * width, channel * rows + over.around(0, y));
            let mut x = 0;
            while x < width {
                let from = over.around(1, x);
                let len = (columns - from).min(width - x);
                f(line + x, row * columns + from, len);
                x += len;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(part: u64, over: &Windows, a: &[f32], rows: usize, widths: [usize; 2]) -> Vec<f32> {
        let [g0, g1, g2, g3, g4, g5] = over.packed();
        let mut c = vec![f32::NAN; rows * widths[1]];
        let (a_rs, c_rs) = (widths[0] as i64, widths[1] as i64);
        let (a, b) = (a.as_ptr(), std::ptr::null());
        // SAFETY: so many rows of each.
        unsafe {
            snn_border(part, rows as u64, g0, g1, g2, g3, g4, g5, a, a_rs, b, 0, c.as_mut_ptr(), c_rs);
        }
        c
    }

    fn border(channels: usize, size: [usize; 2], padding: [usize; 2]) -> Windows {
        let (kernel, stride) = ([1, 1], [1, 1]);
        Windows { channels: [channels; 2], size, kernel, stride, padding, groups: channels }
    }

    #[test]
    fn rows_and_columns_come_round() {
        let image = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let around = run(0, &border(1, [2, 3], [1, 2]), &image, 1, [6, 28]);
        let expected = [
            [5.0, 6.0, 4.0, 5.0, 6.0, 4.0, 5.0],
            [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0],
            [5.0, 6.0, 4.0, 5.0, 6.0, 4.0, 5.0],
            [2.0, 3.0, 1.0, 2.0, 3.0, 1.0, 2.0],
        ];
        assert_eq!(around, expected.concat());
        let back = run(1, &border(1, [1, 3], [0, 1]), &[1.0, 2.0, 4.0, 8.0, 16.0], 1, [5, 3]);
        assert_eq!(back, [18.0, 4.0, 9.0]);
    }

    #[test]
    fn the_way_back_is_the_transpose() {
        for (size, padding) in [([1, 5], [0, 1]), ([3, 4], [2, 4]), ([2, 2], [2, 0]), ([4, 3], [0, 0])] {
            let over = border(3, size, padding);
            let (image, result) = (over.width_in(), over.width_out());
            let numbers = |len: usize, key: usize| -> Vec<f32> {
                (0..len).map(|k| ((k * 7 + key) % 11) as f32 - 5.0).collect()
            };
            let (x, d) = (numbers(2 * image, 1), numbers(2 * result, 4));
            let (y, back) = (run(0, &over, &x, 2, [image, result]), run(1, &over, &d, 2, [result, image]));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            assert_eq!(dot(&y, &d), dot(&x, &back), "whole numbers are exact");
        }
    }
}
