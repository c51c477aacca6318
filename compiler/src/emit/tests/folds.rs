//! Reductions over every axis, products, shifts in time, repeats and random numbers.

use super::*;
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Slide};
use snn_runtime::windows::Windows;

const FOLDS: [Fold; 4] = [Fold::Sum, Fold::Max, Fold::Min, Fold::MinNonzero];

#[test]
fn folds_over_all_axes_agree() {
    for width in [1, 3, 5, 22] {
        let mut net = net(4, 3, 2);
        for axes in ["t", "b", "tb", ""] {
            for shape in [&[][..], &[width][..]] {
                let x = input(&mut net, &ty(axes, shape));
                for mask in 1..8 {
                    let along = Axes { time: mask & 1 != 0, batch: mask & 2 != 0, index: mask & 4 != 0 };
                    let val = net.graph.fold(FOLDS[mask % 4], along, x);
                    output(&mut net, val);
                }
            }
        }
        check(&net);
    }
}

#[test]
fn every_fold_skips_zeros_or_not() {
    let mut net = net(3, 5, 2);
    let x = input(&mut net, &ty("tb", &[6]));
    for fold in FOLDS {
        for (time, batch, index) in
            [(true, true, true), (false, true, false), (true, false, false), (false, false, true)]
        {
            let val = net.graph.fold(fold, Axes { time, batch, index }, x);
            output(&mut net, val);
        }
    }
    check_on(&net, &Data::new(&net, |_, at| [0.0, 2.0, -0.0, 0.5, -3.0, f32::NAN][at % [5, 6][at / 60 % 2]]));
}

#[test]
fn folds_of_folds_and_what_follows_agree() {
    let mut net = net(3, 4, 2);
    let x = input(&mut net, &ty("tb", &[5]));
    let index = Axes { index: true, ..Axes::default() };
    let largest = net.graph.fold(Fold::Max, index, x);
    let shifted = net.graph.pointwise(Pw::Sub, &[x, largest]);
    let e = net.graph.pointwise(Pw::Exp, &[shifted]);
    let sum = net.graph.fold(Fold::Sum, index, e);
    let softmax = net.graph.pointwise(Pw::Div, &[e, sum]);
    output(&mut net, softmax);
    let all = Axes { time: true, batch: true, index: false };
    let mean = net.graph.fold(Fold::Sum, all, softmax);
    // A value of the whole batch goes back to the samples.
    let centered = net.graph.pointwise(Pw::Sub, &[softmax, mean]);
    let total = net.graph.fold(Fold::Sum, Axes { index: true, ..all }, centered);
    output(&mut net, centered);
    output(&mut net, total);
    check(&net);
}

#[test]
fn products_agree() {
    for (k, n) in [(1, 1), (3, 5), (8, 4), (17, 9)] {
        let mut net = net(3, 2, 2);
        let (w, v) = (param(&mut net, &[k, n]), param(&mut net, &[n, k]));
        for axes in ["", "t", "b", "tb"] {
            let x = input(&mut net, &ty(axes, &[k]));
            for (matrix, transposed) in [(w, false), (v, true)] {
                let y = net.graph.matmul(x, matrix, transposed);
                output(&mut net, y);
            }
        }
        // A matrix that is computed, and a product of a number for all.
        let positive = net.graph.pointwise(Pw::Abs, &[w]);
        let x = net.graph.push(Op::Input(3), &[], ty("tb", &[k]));
        let y = net.graph.matmul(x, positive, false);
        output(&mut net, y);
        check(&net);
    }
}

#[test]
fn products_for_all_shards_at_once_agree() {
    let mut net = net(3, 2, 2);
    for (k, n) in [(400, 400), (331, 410)] {
        let (w, v) = (param(&mut net, &[k, n]), param(&mut net, &[n, k]));
        for axes in ["b", "tb"] {
            let x = input(&mut net, &ty(axes, &[k]));
            for (matrix, transposed) in [(w, false), (v, true)] {
                let y = net.graph.matmul(x, matrix, transposed);
                output(&mut net, y);
            }
        }
    }
    let loops = crate::schedule::loops(&net).to_string();
    assert_eq!(loops.matches("<- of each shard matmul 2x").count(), 4, "not those of each step: {loops}");
    check(&net);
}

#[test]
fn weight_gradients_agree() {
    for (x_axes, d_axes) in [("tb", "tb"), ("b", "tb"), ("tb", "b"), ("b", "b")] {
        let mut net = net(4, 3, 2);
        let (x, d) = (input(&mut net, &ty(x_axes, &[5])), input(&mut net, &ty(d_axes, &[7])));
        let dw = net.graph.push(Op::Outer, &[x, d], ty("", &[5, 7]));
        let w = param(&mut net, &[5, 7]);
        let step = net.graph.pointwise(Pw::Sub, &[w, dw]);
        sink(&mut net, dw, Sink::Grad(0));
        sink(&mut net, step, Sink::Param(0));
        check(&net);
    }
}

/// Two groups, steps of their own along each axis, padding.
const WINDOWS: Windows =
    Windows { channels: [2, 4], size: [3, 4], kernel: [2, 3], stride: [1, 2], padding: [1, 1], groups: 2 };

#[test]
fn windows_agree() {
    for over in [
        WINDOWS,
        Windows { channels: [2, 3], kernel: [1, 1], stride: [1, 1], padding: [0, 0], groups: 1, ..WINDOWS },
    ] {
        let (pooled, border) = (Windows { channels: [2, 2], groups: 2, ..over }, over.border());
        let mut net = net(3, 2, 2);
        let w = param(&mut net, &[over.taps(), over.channels[1]]);
        for axes in ["", "t", "b", "tb"] {
            let x = input(&mut net, &ty(axes, &[over.width_in()]));
            let d = input(&mut net, &ty(axes, &[over.width_out()]));
            let e = input(&mut net, &ty(axes, &[pooled.width_out()]));
            let r = input(&mut net, &ty(axes, &[border.width_out()]));
            for (slide, over, args) in [
                (Slide::Conv, over, vec![x, w]),
                (Slide::ConvToImage, over, vec![d, w]),
                (Slide::Mean, pooled, vec![x]),
                (Slide::MeanToImage, pooled, vec![e]),
                (Slide::Max, pooled, vec![x]),
                (Slide::MaxToImage, pooled, vec![x, e]),
                (Slide::Border, border, vec![x]),
                (Slide::BorderToImage, border, vec![r]),
            ] {
                let y = net.graph.slide(slide, over, &args);
                output(&mut net, y);
            }
        }
        check(&net);
    }
}

#[test]
fn gradients_of_windows_agree() {
    let over = WINDOWS;
    let pooled = Windows { channels: [2, 2], ..over };
    for (x_axes, d_axes) in [("tb", "tb"), ("b", "tb"), ("tb", "b"), ("b", "b")] {
        let mut net = net(4, 3, 2);
        let (x, d) = (input(&mut net, &ty(x_axes, &[24])), input(&mut net, &ty(d_axes, &[over.width_out()])));
        let e = input(&mut net, &ty(d_axes, &[pooled.width_out()]));
        let dw = net.graph.slide(Slide::ConvToWeights, over, &[x, d]);
        let dx = net.graph.slide(Slide::MaxToImage, pooled, &[x, e]);
        output(&mut net, dx);
        let w = param(&mut net, &[over.taps(), over.channels[1]]);
        let step = net.graph.pointwise(Pw::Sub, &[w, dw]);
        sink(&mut net, dw, Sink::Grad(0));
        sink(&mut net, step, Sink::Param(0));
        check(&net);
    }
}

#[test]
fn shifts_in_time_agree() {
    let mut net = net(4, 2, 2);
    for axes in ["tb", "t"] {
        let x = input(&mut net, &ty(axes, &[3]));
        for steps in [-9, -4, -3, -1, 1, 3, 4, 9] {
            let y = net.graph.push(Op::Delay { steps }, &[x], ty(axes, &[3]));
            output(&mut net, y);
        }
        let last = net.graph.push(Op::Last, &[x], ty(&axes[1..], &[3]));
        let back = net.graph.push(Op::AtLast, &[last], ty(axes, &[3]));
        output(&mut net, last);
        output(&mut net, back);
    }
    // Operands that are numbers, or have fewer axes.
    let one = net.graph.constant(1.0);
    let seed = net.graph.push(Op::AtLast, &[one], ty("t", &[]));
    let wide = net.graph.push(Op::Delay { steps: 2 }, &[one], ty("tb", &[3]));
    output(&mut net, seed);
    output(&mut net, wide);
    check(&net);
}

#[test]
fn shifts_in_a_single_step_agree() {
    let mut net = net(1, 2, 1);
    let x = input(&mut net, &ty("tb", &[3]));
    let last = net.graph.push(Op::Last, &[x], ty("b", &[3]));
    let back = net.graph.push(Op::AtLast, &[last], ty("tb", &[3]));
    let late = net.graph.push(Op::Delay { steps: 1 }, &[x], ty("tb", &[3]));
    for v in [last, back, late] {
        output(&mut net, v);
    }
    check(&net);
}

#[test]
fn repeats_and_their_sums_agree() {
    let mut net = net(2, 3, 1);
    for axes in ["", "t", "b", "tb"] {
        for (shape, times) in [(&[][..], 4), (&[3][..], 1), (&[3][..], 5)] {
            let x = input(&mut net, &ty(axes, shape));
            let width = shape.iter().product::<usize>() * times;
            let y = net.graph.push(Op::Repeat { times }, &[x], ty(axes, &[width]));
            let z = net.graph.push(Op::SumBlocks { times }, &[y], ty(axes, &[width / times]));
            output(&mut net, y);
            output(&mut net, z);
        }
    }
    check(&net);
}

#[test]
fn rows_and_products_with_them_agree() {
    for (k, n) in [(1, 1), (3, 5), (17, 9), (70, 68)] {
        let mut net = net(3, 2, 2);
        let (w, factor) = (param(&mut net, &[k, n]), param(&mut net, &[n]));
        let rows = net.graph.push(Op::Rows { times: k }, &[factor], Ty::tensor(&[k, n]));
        let scaled = net.graph.pointwise(Pw::Mul, &[w, rows]);
        let sums = net.graph.push(Op::SumRows, &[scaled], Ty::tensor(&[n]));
        let x = input(&mut net, &ty("tb", &[k]));
        let y = net.graph.matmul(x, scaled, false);
        [rows, sums, y].into_iter().for_each(|val| output(&mut net, val));
        check(&net);
    }
}

#[test]
fn random_numbers_agree() {
    let mut net = net(3, 2, 3);
    for (k, axes) in ["", "t", "b", "tb"].iter().enumerate() {
        for (shape, gaussian) in [(&[][..], false), (&[6][..], true), (&[6][..], false)] {
            let op = Op::Random { gaussian, stream: 5 * k as u64, once: false };
            let y = net.graph.push(op, &[], ty(axes, shape));
            output(&mut net, y);
        }
    }
    check(&net);
}
