//! Small nets whose values were computed by hand.

use super::*;
use crate::interp::graph_values;
use crate::net::{Scan, ScanOut};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Slide, State};
use snn_runtime::windows::Windows;

const TIME: Axes = Axes { time: true, batch: false, index: false };
const INDEX: Axes = Axes { time: false, batch: false, index: true };

#[test]
fn matrix_products() {
    let mut net = empty(1, 2, 1);
    let (x, w) = (input(&mut net, ty("b", &[2])), param(&mut net, &[2, 3]));
    let y = net.graph.matmul(x, w, false);
    let w = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(&mut net, y, &[&[1.0, 10.0, 0.0, -1.0]], &[&w], &[41.0, 52.0, 63.0, -4.0, -5.0, -6.0]);
}

#[test]
fn transposed_matrix_products() {
    let mut net = empty(1, 1, 1);
    let (x, w) = (input(&mut net, ty("b", &[3])), param(&mut net, &[2, 3]));
    let y = net.graph.matmul(x, w, true);
    check(&mut net, y, &[&[1.0, 10.0, 100.0]], &[&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]], &[321.0, 654.0]);
}

const SQUARE: Windows =
    Windows { channels: [1, 1], size: [3, 3], kernel: [2, 2], stride: [1, 1], padding: [0, 0], groups: 1 };
const IMAGE: [f64; 9] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0];

#[test]
fn convolutions() {
    let mut net = empty(1, 1, 1);
    let (x, w) = (input(&mut net, ty("b", &[9])), param(&mut net, &[4, 2]));
    let y = net.graph.slide(Slide::Conv, Windows { channels: [1, 2], ..SQUARE }, &[x, w]);
    let weights = [1.0, 0.0, 2.0, 0.0, 3.0, 0.0, 4.0, 1.0];
    check(&mut net, y, &[&IMAGE], &[&weights], &[37.0, 47.0, 67.0, 77.0, 5.0, 6.0, 8.0, 9.0]);

    let mut net = empty(1, 1, 1);
    let (x, w) = (input(&mut net, ty("b", &[9])), param(&mut net, &[4, 1]));
    let padded = Windows { stride: [2, 2], padding: [1, 1], ..SQUARE };
    let y = net.graph.slide(Slide::Conv, padded, &[x, w]);
    check(&mut net, y, &[&IMAGE], &[&[1.0, 2.0, 3.0, 4.0]], &[4.0, 18.0, 36.0, 77.0]);
}

#[test]
fn convolutions_back_to_image_and_weights() {
    let mut net = empty(1, 1, 1);
    let (d, w) = (input(&mut net, ty("b", &[4])), param(&mut net, &[4, 1]));
    let x = net.graph.slide(Slide::ConvToImage, SQUARE, &[d, w]);
    let expected = [1.0, 12.0, 20.0, 103.0, 1234.0, 2040.0, 300.0, 3400.0, 4000.0];
    check(&mut net, x, &[&[1.0, 10.0, 100.0, 1000.0]], &[&[1.0, 2.0, 3.0, 4.0]], &expected);

    // Two steps of two samples in shards of one.
    let mut net = empty(2, 1, 2);
    let (x, d) = (input(&mut net, ty("b", &[9])), input(&mut net, ty("tb", &[4])));
    let w = net.graph.slide(Slide::ConvToWeights, SQUARE, &[x, d]);
    let images: Vec<f64> = IMAGE.iter().copied().chain([0.0; 9]).collect();
    let deltas = [[1.0, 0.0, 0.0, 0.0], [5.0; 4], [0.0, 0.0, 0.0, 2.0], [7.0; 4]].concat();
    check(&mut net, w, &[&images, &deltas], &[], &[11.0, 14.0, 20.0, 23.0]);
}

#[test]
fn circular_borders_and_the_way_back() {
    let over = Windows { padding: [1, 1], ..SQUARE }.border();
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[9]));
    let y = net.graph.slide(Slide::Border, over, &[x]);
    let expected = [
        [9.0, 7.0, 8.0, 9.0, 7.0],
        [3.0, 1.0, 2.0, 3.0, 1.0],
        [6.0, 4.0, 5.0, 6.0, 4.0],
        [9.0, 7.0, 8.0, 9.0, 7.0],
        [3.0, 1.0, 2.0, 3.0, 1.0],
    ];
    check(&mut net, y, &[&IMAGE], &[], &expected.concat());

    let mut net = empty(1, 1, 1);
    let d = input(&mut net, ty("b", &[25]));
    let x = net.graph.slide(Slide::BorderToImage, over, &[d]);
    let d: Vec<f64> = (0..25).map(f64::from).collect();
    // 1 stands in the middle, at the right, below and in the corner: 6 + 9 + 21 + 24.
    check(&mut net, x, &[&d], &[], &[60.0, 29.0, 56.0, 25.0, 12.0, 23.0, 40.0, 19.0, 36.0]);
}

#[test]
fn means_and_maxima_of_windows() {
    for (slide, expected) in [(Slide::Mean, [3.0, 4.0, 6.0, 7.0]), (Slide::Max, [5.0, 6.0, 8.0, 9.0])] {
        let mut net = empty(1, 1, 1);
        let x = input(&mut net, ty("b", &[9]));
        let y = net.graph.slide(slide, SQUARE, &[x]);
        check(&mut net, y, &[&IMAGE], &[], &expected);
    }
    // Of equal ones the first: rows before columns.
    let mut net = empty(1, 1, 1);
    let (x, d) = (input(&mut net, ty("b", &[9])), input(&mut net, ty("b", &[4])));
    let y = net.graph.slide(Slide::MaxToImage, SQUARE, &[x, d]);
    let image = [2.0, 0.0, 1.0, 0.0, 2.0, 1.0, 0.0, 0.0, 2.0];
    check(
        &mut net,
        y,
        &[&image, &[1.0, 10.0, 100.0, 1000.0]],
        &[],
        &[1.0, 0.0, 0.0, 0.0, 1110.0, 0.0, 0.0, 0.0, 0.0],
    );
}

#[test]
fn outer_products_with_one_constant_operand() {
    let mut net = empty(2, 1, 2);
    let (x, d) = (input(&mut net, ty("b", &[2])), input(&mut net, ty("tb", &[1])));
    let y = net.graph.push(Op::Outer, &[x, d], Ty::tensor(&[2, 1]));
    // Sample 0: x = (1, 2), d = 1 + 3; sample 1: x = (3, 4), d = 2 + 4.
    check(&mut net, y, &[&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0]], &[], &[22.0, 32.0]);
}

#[test]
fn folds_along_every_axis() {
    let x = [5.0, 0.0, 7.0, 2.0, 0.0, 3.0, 1.0, 4.0];
    let fold = |fold, axes, expected: &[f64]| {
        let mut net = empty(2, 1, 2);
        let val = input(&mut net, ty("tb", &[2]));
        let val = net.graph.fold(fold, axes, val);
        check(&mut net, val, &[&x], &[], expected);
    };
    fold(Fold::Sum, TIME, &[5.0, 3.0, 8.0, 6.0]);
    fold(Fold::Max, INDEX, &[5.0, 7.0, 3.0, 4.0]);
    fold(Fold::Min, Axes { batch: true, ..INDEX }, &[0.0, 0.0]);
    fold(Fold::MinNonzero, Axes { batch: true, ..INDEX }, &[2.0, 1.0]);
    fold(Fold::Sum, Axes { time: true, batch: true, index: true }, &[22.0]);
}

#[test]
fn delays_read_zero_before_the_first_and_after_the_last_step() {
    for (steps, expected) in
        [(1, [0.0, 1.0, 2.0]), (-2, [3.0, 0.0, 0.0]), (3, [0.0; 3]), (0, [1.0, 2.0, 3.0])]
    {
        let mut net = empty(3, 1, 1);
        let x = input(&mut net, ty("tb", &[]));
        let y = net.graph.push(Op::Delay { steps }, &[x], ty("tb", &[]));
        check(&mut net, y, &[&[1.0, 2.0, 3.0]], &[], &expected);
    }
}

#[test]
fn last_step_and_back() {
    let mut net = empty(2, 2, 1);
    let x = input(&mut net, ty("tb", &[]));
    let last = net.graph.push(Op::Last, &[x], ty("b", &[]));
    let y = net.graph.push(Op::AtLast, &[last], ty("tb", &[]));
    check(&mut net, y, &[&[1.0, 2.0, 3.0, 4.0]], &[], &[0.0, 0.0, 3.0, 4.0]);
}

#[test]
fn repeats_and_sums_of_blocks() {
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[2]));
    let wide = net.graph.push(Op::Repeat { times: 3 }, &[x], ty("b", &[6]));
    let step = net.graph.push(Op::StepIndex, &[], ty("t", &[]));
    let odd = net.graph.pointwise(Pw::Add, &[wide, step]);
    let y = net.graph.push(Op::SumBlocks { times: 2 }, &[odd], ty("tb", &[3]));
    check(&mut net, y, &[&[1.0, 10.0]], &[], &[2.0, 11.0, 20.0]);
}

#[test]
fn rows_and_their_sums() {
    let mut net = empty(1, 1, 1);
    let x = param(&mut net, &[2]);
    let rows = net.graph.push(Op::Rows { times: 3 }, &[x], Ty::tensor(&[3, 2]));
    let w = param(&mut net, &[3, 2]);
    let product = net.graph.pointwise(Pw::Mul, &[w, rows]);
    let sums = net.graph.push(Op::SumRows, &[product], Ty::tensor(&[2]));
    let weights = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
    check(&mut net, sums, &[], &[&[10.0, -1.0], &weights], &[90.0, -12.0]);
}

/// `v = 0.5 v + x`, fires at 1 and goes down by 1 then.
fn lif(reverse: bool) -> Scan {
    let mut body = Graph::default();
    let all = ty("b", &[1]);
    let x = body.push(Op::Input(0), &[], all.clone());
    let before = body.push(Op::Prev(0), &[], all.clone());
    let (half, one, zero) = (body.constant(0.5), body.constant(1.0), body.constant(0.0));
    let kept = body.pointwise(Pw::Mul, &[before, half]);
    let v = body.pointwise(Pw::Add, &[kept, x]);
    let over = body.pointwise(Pw::Sub, &[v, one]);
    body.surrogates.push(surrogate(&all));
    let s = body.push(Op::Spike { surrogate: Some(0), strict: false }, &[over], all.clone());
    let v = body.pointwise(Pw::Select, &[s, over, v]);
    Scan {
        name: "h".into(),
        states: vec![State { name: "h.v".into(), init: zero, next: v, delay: 1, ty: all }],
        outs: vec![ScanOut::Each(v), ScanOut::Sum(s), ScanOut::Final(0)],
        reverse,
        body,
    }
}

fn lif_net(reverse: bool) -> (Net, [ValId; 3]) {
    let mut net = empty(4, 1, 1);
    let x = input(&mut net, ty("tb", &[1]));
    net.scans.push(lif(reverse));
    let v = net.graph.push(Op::Scan(0), &[x], ty("tb", &[1]));
    let count = net.graph.push(Op::ScanOut(1), &[v], ty("b", &[1]));
    let last = net.graph.push(Op::ScanOut(2), &[v], ty("b", &[1]));
    (net, [v, count, last])
}

#[test]
fn a_neuron_that_fires_every_second_step() {
    let x: &[f64] = &[0.75; 4];
    let (net, [v, count, last]) = lif_net(false);
    check(&mut net.clone(), v, &[x], &[], &[0.75, 0.125, 0.8125, 0.15625]);
    check(&mut net.clone(), count, &[x], &[], &[2.0]);
    check(&mut net.clone(), last, &[x], &[], &[0.15625]);
}

#[test]
fn a_reverse_scan_starts_at_the_last_step() {
    let x: &[f64] = &[0.0, 0.25, 0.5, 4.0];
    let (net, [v, count, last]) = lif_net(true);
    // Step 3: 4 fires, 3 is left; step 2: 2 fires, 1 is left; step 1: 0.75; step 0: 0.375.
    check(&mut net.clone(), v, &[x], &[], &[0.375, 0.75, 1.0, 3.0]);
    check(&mut net.clone(), count, &[x], &[], &[2.0]);
    check(&mut net.clone(), last, &[x], &[], &[0.375]);
}

#[test]
fn a_delayed_state_starts_at_init_for_as_many_steps() {
    // y = x + y two steps before (after, in reverse), with 1 before the beginning.
    let sequence = [0.0, 10.0, 100.0, 1000.0, 10000.0];
    for (reverse, expected) in
        [(false, [1.0, 11.0, 101.0, 1011.0, 10101.0]), (true, [10101.0, 1011.0, 10101.0, 1001.0, 10001.0])]
    {
        let mut net = empty(5, 1, 1);
        let (x, w) = (input(&mut net, ty("tb", &[])), param(&mut net, &[]));
        let mut body = Graph::default();
        let now = body.push(Op::Input(0), &[], ty("b", &[]));
        let before = body.push(Op::Prev(0), &[], ty("b", &[]));
        let y = body.pointwise(Pw::Add, &[now, before]);
        let first = body.push(Op::Input(1), &[], ty("", &[])); // Behind the state that reads it.
        net.scans.push(Scan {
            name: "d".into(),
            states: vec![State { name: "y".into(), init: first, next: y, delay: 2, ty: ty("b", &[]) }],
            outs: vec![ScanOut::Each(y)],
            reverse,
            body,
        });
        let y = net.graph.push(Op::Scan(0), &[x, w], ty("tb", &[]));
        check(&mut net, y, &[&sequence], &[&[1.0]], &expected);
    }
}

#[test]
fn all_states_are_read_before_any_is_written() {
    let mut net = empty(3, 1, 1);
    let w = param(&mut net, &[2]);
    let mut body = Graph::default();
    let (a, b) = (body.push(Op::Prev(0), &[], ty("", &[2])), body.push(Op::Prev(1), &[], ty("", &[2])));
    let (first, zero) = (body.push(Op::Input(0), &[], ty("", &[2])), body.constant(0.0));
    let state = |init, next| State { name: "s".into(), init, next, delay: 1, ty: ty("", &[2]) };
    net.scans.push(Scan {
        name: "swap".into(),
        states: vec![state(first, b), state(zero, a)],
        outs: vec![ScanOut::Each(a)],
        reverse: false,
        body,
    });
    let y = net.graph.push(Op::Scan(0), &[w], ty("t", &[2]));
    check(&mut net, y, &[], &[&[1.0, 2.0]], &[1.0, 2.0, 0.0, 0.0, 1.0, 2.0]);
}

#[test]
fn scalars_of_the_run() {
    let mut net = empty(1, 1, 1);
    let y = net.graph.push(Op::Scalar(snn_runtime::abi::Scalar::Epoch), &[], Ty::SCALAR);
    check(&mut net, y, &[], &[], &[3.0]);
}

#[test]
fn random_rows_are_those_of_the_step_and_sample_of_the_batch() {
    let mut net = empty(2, 1, 2);
    let op = Op::Random { gaussian: true, stream: 5, once: false };
    let y = net.graph.push(op, &[], ty("tb", &[3]));
    output(&mut net, "y", y);
    let data = &results::<f32>(&net, &[], &[]).values[0].data;
    for (t, b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let mut row = [0.0; 3];
        snn_runtime::rng::gaussian_row(&mut row, CALL.key, 5, t, b);
        let at = (t * 2 + b) as usize * 3;
        assert_eq!(data[at..at + 3], row);
    }
}

#[test]
fn initializers_count_along_both_axes_and_draw_one_row() {
    let mut graph = Graph::default();
    let tensor = Ty::tensor(&[2, 3]);
    let post = graph.push(Op::Iota(0), &[], tensor.clone());
    let pre = graph.push(Op::Iota(1), &[], tensor.clone());
    let drawn = graph.push(Op::Random { gaussian: false, stream: 9, once: false }, &[], tensor);
    assert_eq!(graph_values(&graph, post, &[], 1), [0.0, 1.0, 2.0, 0.0, 1.0, 2.0]);
    assert_eq!(graph_values(&graph, pre, &[], 1), [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]);
    let mut row = [0.0; 6];
    snn_runtime::rng::uniform_row(&mut row, 1, 9, 0, 0);
    assert_eq!(graph_values(&graph, drawn, &[], 1), row.map(f64::from));
}
