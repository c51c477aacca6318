//! Convolution, pooling and borders, window by window, as plain loops. Orders of sums are those of [`Slide`].

use super::node::{Env, sum_of_products};
use super::number::Number;
use super::value::Array;
use crate::step::{Slide, Ty};
use snn_runtime::windows::Windows;

/// The value of an `Op::Slide`.
pub(super) fn value<N: Number>(
    ty: &Ty,
    slide: Slide,
    over: &Windows,
    args: &[&Array<N>],
    env: &Env,
) -> Array<N> {
    if slide == Slide::ConvToWeights {
        return to_weights(ty, over, args[0], args[1], env);
    }
    let share = N::from_f64(1.0 / over.area() as f64);
    by_rows(ty, env, |t, b, to| {
        let x = row(args[0], t, b);
        match slide {
            Slide::Conv | Slide::ExactConv => conv(over, x, &args[1].data, to),
            Slide::ConvToImage => conv_to_image(over, x, &args[1].data, to),
            Slide::Mean | Slide::MeanToImage => {
                each_tap(over, &mut |channel, at, _, place| {
                    let Some(place) = place else { return };
                    let (image, result) = (place, channel * over.positions() + at);
                    let (from, into) = if slide == Slide::Mean { (image, result) } else { (result, image) };
                    to[into] = to[into] + x[from];
                });
                to.iter_mut().for_each(|sum| *sum = *sum * share);
            }
            Slide::Max => largest(over, x, &mut |at, place| to[at] = x[place]),
            Slide::MaxToImage => {
                let d = row(args[1], t, b);
                largest(over, x, &mut |at, place| to[place] = to[place] + d[at]);
            }
            Slide::Border => each_place(over, &mut |at, place| to[at] = x[place]),
            Slide::BorderToImage => each_place(over, &mut |at, place| to[place] = to[place] + x[at]),
            Slide::ConvToWeights => unreachable!("not row by row"),
        }
    })
}

/// Of each window the element of `x` that is the first of the largest of `of`.
pub(super) fn pick<N: Number>(ty: &Ty, over: &Windows, of: &Array<N>, x: &Array<N>, env: &Env) -> Array<N> {
    by_rows(ty, env, |t, b, to| {
        let x = row(x, t, b);
        largest(over, row(of, t, b), &mut |at, place| to[at] = x[place]);
    })
}

/// Row by row, from zeros.
fn by_rows<N: Number>(ty: &Ty, env: &Env, mut fill: impl FnMut(usize, usize, &mut [N])) -> Array<N> {
    let mut all: Array<N> = env.zeros(ty);
    let rows = if ty.batch { all.rows } else { 1 };
    for (at, to) in all.data.chunks_mut(ty.width()).enumerate() {
        fill(at / rows, at % rows, to);
    }
    all
}

fn row<N: Number>(x: &Array<N>, t: usize, b: usize) -> &[N] {
    let at = x.at(t, b, 0);
    &x.data[at..at + x.ty.width()]
}

/// The convolution of one image, as [`Slide::Conv`].
pub(crate) fn convolution<N: Number>(over: &Windows, x: &[N], w: &[N]) -> Vec<N> {
    let mut to = vec![N::from_f64(0.0); over.width_out()];
    conv(over, x, w, &mut to);
    to
}

fn conv<N: Number>(over: &Windows, x: &[N], w: &[N], to: &mut [N]) {
    let (n, positions, zero) = (over.channels[1], over.positions(), N::from_f64(0.0));
    let of_group = over.channels.map(|c| c / over.groups);
    each_tap(over, &mut |channel, at, tap, place| {
        let x = place.map_or(zero, |place| x[place]);
        let (group, tap) = (channel / of_group[0], channel % of_group[0] * over.area() + tap);
        for o in group * of_group[1]..(group + 1) * of_group[1] {
            let sum = &mut to[o * positions + at];
            *sum = *sum + x * w[tap * n + o];
        }
    });
}

fn conv_to_image<N: Number>(over: &Windows, d: &[N], w: &[N], to: &mut [N]) {
    let (n, positions, zero) = (over.channels[1], over.positions(), N::from_f64(0.0));
    let of_group = over.channels.map(|c| c / over.groups);
    each_tap(over, &mut |channel, at, tap, place| {
        let Some(place) = place else { return };
        let (group, tap) = (channel / of_group[0], channel % of_group[0] * over.area() + tap);
        let channels = group * of_group[1]..(group + 1) * of_group[1];
        let of_tap = channels.fold(zero, |sum, o| sum + d[o * positions + at] * w[tap * n + o]);
        to[place] = to[place] + of_tap;
    });
}

fn to_weights<N: Number>(ty: &Ty, over: &Windows, x: &Array<N>, d: &Array<N>, env: &Env) -> Array<N> {
    let (n, positions, zero) = (over.channels[1], over.positions(), N::from_f64(0.0));
    let (of_group, [_, width]) = (over.channels.map(|c| c / over.groups), over.out_size());
    sum_of_products(ty, x, d, env, &|x, d, sum, (t, b), i| {
        let (x, d, tap, o) = (row(x, t, b), row(d, t, b), i / n, i % n);
        let (ky, kx) = (tap % over.area() / over.kernel[1], tap % over.kernel[1]);
        let channel = o / of_group[1] * of_group[0] + tap / over.area();
        (0..positions).fold(sum, |sum, at| {
            let place = over.covers(0, at / width, ky).zip(over.covers(1, at % width, kx));
            let x = place.map_or(zero, |(y, x_at)| x[(channel * over.size[0] + y) * over.size[1] + x_at]);
            sum + x * d[o * positions + at]
        })
    })
}

/// Calls `f` with each channel of the image, window, tap of that channel, and the element that it covers: channels and taps ascending.
fn each_tap(over: &Windows, f: &mut dyn FnMut(usize, usize, usize, Option<usize>)) {
    let [height, width] = over.out_size();
    for channel in 0..over.channels[0] {
        for tap in 0..over.area() {
            let (ky, kx) = (tap / over.kernel[1], tap % over.kernel[1]);
            for at in 0..height * width {
                let place = over.covers(0, at / width, ky).zip(over.covers(1, at % width, kx));
                let place = place.map(|(y, x)| (channel * over.size[0] + y) * over.size[1] + x);
                f(channel, at, tap, place);
            }
        }
    }
}

/// Calls `f` with each place of an image with its circular border, and the element of the image that stands there; places ascending.
fn each_place(over: &Windows, f: &mut dyn FnMut(usize, usize)) {
    let [height, width] = over.out_size();
    for at in 0..over.width_out() {
        let (channel, y, x) = (at / (height * width), at / width % height, at % width);
        f(at, (channel * over.size[0] + over.around(0, y)) * over.size[1] + over.around(1, x));
    }
}

/// Calls `f` with each window of each channel and the first of the largest elements that it covers.
fn largest<N: Number>(over: &Windows, x: &[N], f: &mut dyn FnMut(usize, usize)) {
    let mut best: Vec<Option<usize>> = vec![None; over.width_out()];
    each_tap(over, &mut |channel, at, _, place| {
        let best = &mut best[channel * over.positions() + at];
        if let Some(place) = place
            && best.is_none_or(|best| x[place] > x[best])
        {
            *best = Some(place);
        }
    });
    best.into_iter().enumerate().for_each(|(at, place)| f(at, place.expect("a window meets the image")));
}
