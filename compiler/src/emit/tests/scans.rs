//! Time loops: delays, directions, results, states in place and not, values that stay the same, scans without samples.

use super::*;
use crate::emit::blocks::rows_at_once;
use crate::loops::Stmt;
use crate::net::{Scan, ScanOut};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, State};

fn state(name: &str, init: ValId, next: ValId, delay: usize, ty: &Ty) -> State {
    State { name: name.into(), init, next, delay, ty: ty.clone() }
}

/// Puts a scan into a net; all its results are results of the net.
fn add(
    net: &mut Net,
    body: Graph,
    states: Vec<State>,
    outs: Vec<ScanOut>,
    operands: &[ValId],
    reverse: bool,
) {
    let scan = Scan { name: format!("s{}", net.scans.len()), body, states, outs, reverse };
    let tys: Vec<Ty> = scan
        .outs
        .iter()
        .map(|out| match out {
            ScanOut::Each(v) => Ty { time: true, ..scan.body.ty(*v).clone() },
            ScanOut::Sum(v) => scan.body.ty(*v).clone(),
            ScanOut::Final(s) => scan.states[*s].ty.clone(),
        })
        .collect();
    net.scans.push(scan);
    let node = net.graph.push(Op::Scan(net.scans.len() - 1), operands, tys[0].clone());
    output(net, node);
    for (k, ty) in tys.iter().enumerate().skip(1) {
        let val = net.graph.push(Op::ScanOut(k), &[node], ty.clone());
        output(net, val);
    }
}

/// `v = a v + x`, fires, subtracts; all three kinds of results.
fn leaky(delay: usize, reverse: bool, width: usize) -> Net {
    let mut net = net(6, 3, 2);
    let (x, a) = (input(&mut net, &ty("tb", &[width])), param(&mut net, &[width]));
    let (g, v, [before, s]) = neuron(delay, width);
    let next = v.next;
    let mut outs = vec![
        ScanOut::Each(s),
        ScanOut::Sum(next),
        ScanOut::Each(next),
        ScanOut::Sum(s),
        ScanOut::Each(before),
    ];
    if delay == 1 {
        outs.push(ScanOut::Final(0));
    }
    add(&mut net, g, vec![v], outs, &[x, a], reverse);
    net
}

/// Its step, of a current and a decay: `v = a v' + x`, a spike, soft reset; gives the state, `v'` and the spike.
fn neuron(delay: usize, width: usize) -> (Graph, State, [ValId; 2]) {
    let of = ty("b", &[width]);
    let mut g = Graph::default();
    let (x, a) = (g.push(Op::Input(0), &[], of.clone()), g.push(Op::Input(1), &[], ty("", &[width])));
    let before = g.push(Op::Prev(0), &[], of.clone());
    let kept = g.pointwise(Pw::Mul, &[before, a]);
    let v = g.pointwise(Pw::Add, &[kept, x]);
    let s = g.push(Op::Spike { surrogate: None, strict: false }, &[v], of.clone());
    let next = g.pointwise(Pw::Sub, &[v, s]);
    let init = g.constant(0.25);
    let v = state("v", init, next, delay, &of);
    (g, v, [before, s])
}

#[test]
fn neurons_agree_in_both_directions_and_with_delays() {
    for width in [1, 3, 8] {
        for delay in [1, 3, 9] {
            for reverse in [false, true] {
                check(&leaky(delay, reverse, width));
            }
        }
    }
}

#[test]
fn long_loops_agree_some_rows_at_a_time() {
    for (delay, reverse) in [(1, false), (1, true), (3, false)] {
        let net = leaky(delay, reverse, 330);
        let loops = schedule::loops(&net);
        let of_loop = |stmt: &Stmt| match stmt {
            Stmt::Steps { body, .. } => rows_at_once(body, &loops.buffers),
            _ => None,
        };
        let rows = loops.phases.iter().flat_map(|phase| &phase.body).find_map(of_loop);
        assert_eq!(rows, Some((3, 2)), "one whole piece and a rest: {loops}");
        check(&net);
    }
    let small = schedule::loops(&leaky(1, false, 40));
    let Some(Stmt::Steps { body, .. }) =
        small.phases[0].body.iter().find(|s| matches!(s, Stmt::Steps { .. }))
    else {
        panic!("a time loop")
    };
    assert_eq!(rows_at_once(body, &small.buffers), None, "all is near");
}

/// Two products with a time loop after each: the second product has what the first loop made, in panels or as spikes.
fn wide(spikes: bool, reverse: bool, steps: usize, samples: usize) -> Net {
    let mut net = net(steps, samples, 2);
    let (x, w, u) =
        (input(&mut net, &ty("tb", &[40])), param(&mut net, &[40, 256]), param(&mut net, &[256, 320]));
    let mut current = net.graph.matmul(x, w, false);
    for (weights, width) in [(Some(u), 256), (None, 320)] {
        let (of, a) = (ty("b", &[width]), param(&mut net, &[width]));
        let (body, v, [_, s]) = neuron(1, width);
        let outs = vec![ScanOut::Each(if spikes { s } else { v.next }), ScanOut::Sum(v.next)];
        let name = format!("s{width}");
        net.scans.push(Scan { name, body, states: vec![v], outs, reverse });
        let node = net.graph.push(Op::Scan(net.scans.len() - 1), &[current, a], ty("tb", &[width]));
        let sum = net.graph.push(Op::ScanOut(1), &[node], of);
        output(&mut net, sum);
        if let Some(weights) = weights {
            current = net.graph.matmul(node, weights, false);
        }
    }
    net
}

#[test]
fn wide_layers_agree_in_panels() {
    let few = [(true, false, 270, 1), (false, true, 271, 1), (true, true, 140, 2), (false, false, 90, 3)];
    let many = [(true, false, 17, 16), (false, true, 17, 16), (false, false, 17, 20)];
    for (spikes, reverse, steps, samples) in many.into_iter().chain(few) {
        let net = wide(spikes, reverse, steps, samples);
        let loops = schedule::loops(&net);
        let in_panels =
            |width| loops.buffers.iter().any(|b| b.panels && b.time.is_some() && b.width() == width);
        assert!(in_panels(256) && in_panels(320), "{loops}");
        check(&net);
    }
    let small = schedule::loops(&wide(true, false, 17, 3));
    assert!(small.buffers.iter().all(|b| !b.panels), "all is near: {small}");
}

/// Spikes that a product reads are bits; what is summed over rows is made of them in one long row at first.
#[test]
fn sums_over_rows_of_spikes_agree() {
    for width in [40, 64, 128] {
        let mut net = net(6, 5, 2);
        let (x, a) = (input(&mut net, &ty("tb", &[width])), param(&mut net, &[width]));
        let w = param(&mut net, &[width, 40]);
        let (body, v, [_, s]) = neuron(1, width);
        net.scans.push(Scan {
            name: "s".into(),
            body,
            states: vec![v],
            outs: vec![ScanOut::Each(s)],
            reverse: false,
        });
        let spikes = net.graph.push(Op::Scan(0), &[x, a], ty("tb", &[width]));
        let product = net.graph.matmul(spikes, w, false);
        let terms = net.graph.pointwise(Pw::Mul, &[spikes, x]);
        let sum = net.graph.fold(Fold::Sum, Axes { time: true, batch: true, index: false }, terms);
        output(&mut net, product);
        output(&mut net, sum);
        let loops = schedule::loops(&net);
        assert!(loops.buffers.iter().any(|b| b.spikes && b.width() == width), "{loops}");
        check(&net);
    }
}

/// Three states that change places, one read after the nest that makes it.
#[test]
fn states_that_change_places_agree() {
    for reverse in [false, true] {
        let mut net = net(5, 2, 2);
        let (x, w) = (input(&mut net, &ty("tb", &[4])), param(&mut net, &[4, 4]));
        let of = ty("b", &[4]);
        let mut g = Graph::default();
        let (x_t, w_t) = (g.push(Op::Input(0), &[], of.clone()), g.push(Op::Input(1), &[], ty("", &[4, 4])));
        let prev: Vec<ValId> = (0..4).map(|s| g.push(Op::Prev(s), &[], of.clone())).collect();
        let sum = g.pointwise(Pw::Add, &[prev[0], x_t]);
        let first = g.pointwise(Pw::Tanh, &[sum]);
        let product = g.matmul(first, w_t, false);
        // Reads the old value of state 0 in a later statement, so that it cannot be written in place.
        let late = g.pointwise(Pw::Mul, &[product, prev[0]]);
        let init = g.constant(0.5);
        let states = vec![
            state("a", init, first, 1, &of),
            state("b", init, prev[2], 1, &of),
            state("c", init, prev[1], 1, &of),
            state("d", init, product, 1, &of),
        ];
        let outs = vec![
            ScanOut::Each(late),
            ScanOut::Final(1),
            ScanOut::Sum(product),
            ScanOut::Each(product),
            ScanOut::Each(prev[3]),
        ];
        add(&mut net, g, states, outs, &[x, w], reverse);
        check(&net);
    }
}

/// Folds, repeats, random numbers, step indices and numbers of the run in a loop; a state of one number for each sample.
#[test]
fn statements_in_a_loop_agree() {
    let mut net = net(4, 3, 2);
    let x = input(&mut net, &ty("tb", &[6]));
    let (of, one) = (ty("b", &[6]), ty("b", &[]));
    let mut g = Graph::default();
    let x_t = g.push(Op::Input(0), &[], of.clone());
    let before = g.push(Op::Prev(0), &[], one.clone());
    let blocks = g.push(Op::SumBlocks { times: 3 }, &[x_t], ty("b", &[2]));
    let wide = g.push(Op::Repeat { times: 3 }, &[blocks], of.clone());
    let noise = g.push(Op::Random { gaussian: true, stream: 3, once: false }, &[], of.clone());
    let shared = g.push(Op::Random { gaussian: false, stream: 4, once: false }, &[], ty("", &[6]));
    let step = g.push(Op::StepIndex, &[], ty("", &[]));
    let progress = g.push(Op::Scalar(snn_runtime::abi::Scalar::Progress), &[], ty("", &[]));
    let mut sum = wide;
    for v in [noise, shared, step, progress, before] {
        sum = g.pointwise(Pw::Add, &[sum, v]);
    }
    let total = g.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, sum);
    let largest = g.fold(Fold::Max, Axes { index: true, ..Axes::default() }, x_t);
    let next = g.pointwise(Pw::Sub, &[total, largest]);
    let init = g.constant(-1.0);
    let outs = vec![
        ScanOut::Each(sum),
        ScanOut::Each(next),
        ScanOut::Sum(total),
        ScanOut::Each(shared),
        ScanOut::Each(step),
    ];
    add(&mut net, g, vec![state("u", init, next, 1, &one)], outs, &[x], false);
    check(&net);
}

/// Parts of a body without samples: each shard computes them, and results are those of the first.
#[test]
fn states_without_samples_agree() {
    let mut net = net(5, 2, 3);
    let (x, w) = (input(&mut net, &ty("tb", &[3])), param(&mut net, &[3]));
    let (of, own) = (ty("b", &[3]), ty("", &[3]));
    let mut g = Graph::default();
    let (x_t, w_t) = (g.push(Op::Input(0), &[], of.clone()), g.push(Op::Input(1), &[], own.clone()));
    let (v0, u0) = (g.push(Op::Prev(0), &[], of.clone()), g.push(Op::Prev(1), &[], own.clone()));
    let u = g.pointwise(Pw::Mul, &[u0, w_t]);
    let sum = g.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, u);
    let v = g.pointwise(Pw::Add, &[v0, x_t]);
    let v = g.pointwise(Pw::Add, &[v, sum]);
    let v = g.pointwise(Pw::Mul, &[v, u0]);
    let init = g.constant(0.9);
    let states = vec![state("v", init, v, 1, &of), state("u", init, u, 1, &own)];
    let outs = vec![ScanOut::Each(v), ScanOut::Each(u), ScanOut::Sum(sum), ScanOut::Final(1)];
    add(&mut net, g, states, outs, &[x, w], false);
    // What has no samples goes on to what is computed once, and from there to the samples.
    let sum = net.outputs[2].val;
    let twice = net.graph.pointwise(Pw::Add, &[sum, sum]);
    let back = net.graph.pointwise(Pw::Mul, &[x, twice]);
    output(&mut net, twice);
    output(&mut net, back);
    check(&net);
}

#[test]
fn scans_without_samples_agree() {
    for reverse in [false, true] {
        let mut net = net(5, 2, 2);
        let x = input(&mut net, &ty("t", &[3]));
        let of = ty("", &[3]);
        let mut g = Graph::default();
        let x_t = g.push(Op::Input(0), &[], of.clone());
        let prev = g.push(Op::Prev(0), &[], of.clone());
        let next = g.pointwise(Pw::Sub, &[x_t, prev]);
        let init = g.constant(0.0);
        let outs = vec![ScanOut::Each(next), ScanOut::Sum(next)];
        add(&mut net, g, vec![state("p", init, next, 2, &of)], outs, &[x], reverse);
        check(&net);
    }
}

/// First values that are computed, values that stay the same, operands that are numbers, sums of what stays the same.
#[test]
fn what_stays_the_same_agrees() {
    let mut net = net(4, 2, 2);
    let (x, w) = (input(&mut net, &ty("b", &[3])), param(&mut net, &[3, 3]));
    let (c, count) = (
        net.graph.constant(0.3),
        net.graph.push(Op::Scalar(snn_runtime::abi::Scalar::Update), &[], ty("", &[])),
    );
    let of = ty("b", &[3]);
    let mut g = Graph::default();
    let x_t = g.push(Op::Input(0), &[], of.clone());
    let w_t = g.push(Op::Input(1), &[], ty("", &[3, 3]));
    let (c_t, count_t) = (g.push(Op::Input(2), &[], ty("", &[])), g.push(Op::Input(3), &[], ty("", &[])));
    let (v0, u0) = (g.push(Op::Prev(0), &[], of.clone()), g.push(Op::Prev(1), &[], of.clone()));
    let drive = g.matmul(x_t, w_t, false);
    let scaled = g.pointwise(Pw::Exp, &[drive]);
    let scaled = g.pointwise(Pw::Mul, &[scaled, c_t]);
    let init = g.pointwise(Pw::Add, &[scaled, count_t]);
    let v = g.pointwise(Pw::Add, &[v0, scaled]);
    let states = vec![state("v", init, v, 1, &of), state("u", c_t, x_t, 3, &of)];
    let outs = vec![
        ScanOut::Each(v),
        ScanOut::Sum(scaled),
        ScanOut::Each(init),
        ScanOut::Each(drive),
        ScanOut::Sum(c_t),
        ScanOut::Each(u0),
        ScanOut::Final(0),
    ];
    add(&mut net, g, states, outs, &[x, w, c, count], false);
    check(&net);
}

/// A value of a nest that exists already, made from a later scan in the same phase, does not come before the scan.
#[test]
fn values_of_a_scan_come_after_it() {
    let mut net = leaky(1, false, 4);
    let x = ValId(0);
    let early = net.graph.pointwise(Pw::Tanh, &[x]);
    output(&mut net, early);
    let second =
        net.graph.vals().find(|v| matches!(net.graph.node(*v).op, Op::ScanOut(2))).expect("has results");
    let late = net.graph.pointwise(Pw::Mul, &[second, x]);
    output(&mut net, late);
    let again = leaky(1, true, 4).scans.remove(0);
    net.scans.push(again);
    let node = net.graph.push(Op::Scan(1), &[late, ValId(1)], ty("tb", &[4]));
    let fourth = net.graph.push(Op::ScanOut(2), &[node], ty("tb", &[4]));
    let last = net.graph.pointwise(Pw::Add, &[fourth, early]);
    output(&mut net, node);
    output(&mut net, last);
    check(&net);
}

#[test]
fn recurrent_training_nets_agree() {
    for (stream, delay) in [(false, 1), (true, 1), (true, 3)] {
        for relaxed in [false, true] {
            let (forward, net) = crate::differentiate::tests::nets(stream, delay, relaxed);
            check(&forward);
            check(&net);
        }
    }
}

/// Samples of the only shard are folded at each step: of a state, of what stays the same, and into a state without samples.
#[test]
fn folds_over_samples_in_time_agree() {
    for (fold, width) in [(Fold::Sum, 1), (Fold::Sum, 3), (Fold::Max, 8), (Fold::Min, 3)] {
        for (index, reverse) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut net = net(6, 5, 1);
            let (x, still) = (input(&mut net, &ty("tb", &[width])), input(&mut net, &ty("b", &[width])));
            let of = ty("b", &[width]);
            let mut g = Graph::default();
            let x_t = g.push(Op::Input(0), &[], of.clone());
            let still_t = g.push(Op::Input(1), &[], of.clone());
            let before = g.push(Op::Prev(0), &[], of.clone());
            let axes = Axes { time: false, batch: true, index };
            let of_before = g.fold(fold, axes, before);
            let v = g.pointwise(Pw::Add, &[before, x_t]);
            let of_all = g.fold(fold, axes, v);
            let of_still = g.fold(fold, axes, still_t);
            let tenth = g.constant(0.1);
            let small = g.pointwise(Pw::Mul, &[tenth, of_all]);
            let next = g.pointwise(Pw::Sub, &[v, small]);
            let one = g.ty(of_all).clone();
            let running = g.push(Op::Prev(1), &[], one.clone());
            let kept = g.pointwise(Pw::Mul, &[running, tenth]);
            let kept = g.pointwise(Pw::Add, &[kept, of_before]);
            let running = g.pointwise(Pw::Add, &[kept, of_still]);
            let init = g.constant(0.25);
            let states = vec![state("v", init, next, 1, &of), state("m", init, running, 1, &one)];
            let outs = vec![
                ScanOut::Each(next),
                ScanOut::Each(of_all),
                ScanOut::Sum(of_before),
                ScanOut::Each(of_still),
                ScanOut::Final(1),
            ];
            add(&mut net, g, states, outs, &[x, still], reverse);
            check(&net);
        }
    }
}
