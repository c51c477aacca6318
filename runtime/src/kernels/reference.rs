//! The meaning of each kernel in obvious code; slow. The fast ones are tested against it, the interpreter may use it.

use crate::windows::Windows;

/// C = (accumulate ? C : 0) + A · B over slices, element (i, j) of a matrix at `i * rs + j * cs`.
///
/// Every output: `acc` starts at C or at 0.0; for k ascending, `acc = acc + a * b` with the product rounded first. This is
/// the strict order; bit for bit.
pub fn matmul(
    (m, k, n): (usize, usize, usize),
    (a, a_rs, a_cs): (&[f32], usize, usize),
    (b, b_rs, b_cs): (&[f32], usize, usize),
    (c, c_rs): (&mut [f32], usize),
    accumulate: bool,
) {
    for i in 0..m {
        for j in 0..n {
            let mut acc = if accumulate { c[i * c_rs + j] } else { 0.0 };
            for l in 0..k {
                let product = a[i * a_rs + l * a_cs] * b[l * b_rs + j * b_cs];
                acc += product;
            }
            c[i * c_rs + j] = acc;
        }
    }
}

/// Convolutions of `rows` images with weights `[taps, channels]`. Every output starts at 0.0 and adds products for ascending taps.
pub fn conv(over: &Windows, rows: usize, x: &[f32], w: &[f32]) -> Vec<f32> {
    let (n, positions) = (over.channels[1], over.positions());
    let mut y = vec![0.0; rows * over.width_out()];
    each_tap(over, |o, at, tap, place| {
        for r in 0..rows {
            let x = place.map_or(0.0, |place| x[r * over.width_in() + place]);
            y[r * over.width_out() + o * positions + at] += x * w[tap * n + o];
        }
    });
    y
}

/// What results pass back to images: for each tap the sum over channels, and these in ascending order of taps.
pub fn conv_to_image(over: &Windows, rows: usize, d: &[f32], w: &[f32]) -> Vec<f32> {
    let (n, positions, of_group) = (over.channels[1], over.positions(), over.channels[1] / over.groups);
    let mut dx = vec![0.0; rows * over.width_in()];
    each_tap(over, |o, at, tap, place| {
        if let (Some(place), true) = (place, o % of_group == 0) {
            for r in 0..rows {
                let of_tap = (o..o + of_group)
                    .fold(0.0, |sum, o| sum + w[tap * n + o] * d[r * over.width_out() + o * positions + at]);
                dx[r * over.width_in() + place] += of_tap;
            }
        }
    });
    dx
}

/// Weights from images and results: the sum over rows, in each of them over windows.
pub fn conv_to_weights(over: &Windows, rows: usize, x: &[f32], d: &[f32]) -> Vec<f32> {
    let (n, positions) = (over.channels[1], over.positions());
    let mut dw = vec![0.0; over.taps() * n];
    for r in 0..rows {
        each_tap(over, |o, at, tap, place| {
            let x = place.map_or(0.0, |place| x[r * over.width_in() + place]);
            dw[tap * n + o] += x * d[r * over.width_out() + o * positions + at];
        });
    }
    dw
}

/// Calls `f` with a channel of the result, a window, a tap, and the element of the image that it covers: taps ascending, then windows.
fn each_tap(over: &Windows, mut f: impl FnMut(usize, usize, usize, Option<usize>)) {
    let ([_, width], of_group) = (over.out_size(), over.channels.map(|c| c / over.groups));
    for tap in 0..over.taps() {
        let (channel, ky, kx) = (tap / over.area(), tap % over.area() / over.kernel[1], tap % over.kernel[1]);
        for o in 0..over.channels[1] {
            for at in 0..over.positions() {
                let place = over.covers(0, at / width, ky).zip(over.covers(1, at % width, kx));
                let channel = o / of_group[1] * of_group[0] + channel;
                let place = place.map(|(y, x)| (channel * over.size[0] + y) * over.size[1] + x);
                f(o, at, tap, place);
            }
        }
    }
}

pub use crate::rng::{gaussian_row, uniform_row};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matmul_multiplies_and_accumulates() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut c = [1.0; 4];
        matmul((2, 2, 2), (&a, 2, 1), (&b, 2, 1), (&mut c, 2), true);
        assert_eq!(c, [20.0, 23.0, 44.0, 51.0]);
        matmul((2, 2, 2), (&a, 1, 2), (&b, 2, 1), (&mut c, 2), false);
        assert_eq!(c, [26.0, 30.0, 38.0, 44.0]);
    }
}
