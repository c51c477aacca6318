//! Printed text, and what verification finds.

use super::*;
use crate::net::{Scan, ScanOut, Slot};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, State, StepFn};
use snn_runtime::program::Section;

/// A neuron that integrates and fires.
fn neuron() -> StepFn {
    let mut g = Graph::default();
    let all = ty("b", &[4]);
    let v = g.push(Op::Prev(0), &[], all.clone());
    let x = g.push(Op::Input(0), &[], ty("b", &[3]));
    let w = g.push(Op::Param(0), &[], Ty::tensor(&[3, 4]));
    let current = g.matmul(x, w, false);
    let decay = g.constant(0.95);
    let kept = g.pointwise(Pw::Mul, &[v, decay]);
    let moved = g.pointwise(Pw::Add, &[kept, current]);
    g.surrogates.push(surrogate(&all));
    let s = g.push(Op::Spike { surrogate: Some(0), strict: false }, &[moved], all.clone());
    g.nodes[s.idx()].name = "h.fired".into();
    let zero = g.constant(0.0);
    let next = g.pointwise(Pw::Select, &[s, zero, moved]);
    StepFn {
        inputs: vec![Input { name: "x".into(), ty: ty("tb", &[3]), spikes: false }],
        params: vec![Param { name: "w".into(), shape: vec![3, 4], trained: true }],
        states: vec![State { name: "h.v".into(), init: zero, next, delay: 1, ty: all }],
        outputs: vec![("h.v".into(), next), ("none".into(), zero)],
        graph: g,
    }
}

#[test]
fn a_step_as_text() {
    let expected = "\
step {
  input 0 x : [t,b,3]
  param 0 w : [3,4]
  state 0 h.v : [b,4] = 0, next %9
  %0 = prev 0 : [b,4]   ; h.v
  %1 = input 0 : [b,3]
  %2 = param 0 : [3,4]
  %3 = matmul %1, %2 : [b,4]
  %5 = mul %0, 0.95 : [b,4]
  %6 = add %5, %3 : [b,4]
  %7 = spike %6 [surrogate logistic, >=] : [b,4]   ; h.fired
  %9 = where %7, 0, %6 : [b,4]
  output h.v = %9
  output none = 0
}
";
    assert_eq!(neuron().to_string(), expected);
    assert_eq!(crate::step::verify::verify(&neuron()), Ok(()));
}

/// A training net in miniature.
fn training() -> Net {
    let mut net = empty(5, 2, 3);
    let (x, w) = (input(&mut net, ty("tb", &[2])), param(&mut net, &[2]));
    net.slots.push(Slot { name: "m".into(), param: 0, init: 0.0 });
    let mut body = Graph::default();
    let now = body.push(Op::Input(0), &[], ty("b", &[2]));
    let before = body.push(Op::Prev(0), &[], ty("b", &[2]));
    let v = body.pointwise(Pw::Add, &[now, before]);
    let zero = body.constant(0.0);
    net.scans.push(Scan {
        name: "h'".into(),
        states: vec![State { name: "h.v".into(), init: zero, next: v, delay: 3, ty: ty("b", &[2]) }],
        outs: vec![ScanOut::Each(v), ScanOut::Sum(before)],
        reverse: true,
        body,
    });
    let g = &mut net.graph;
    let scan = g.push(Op::Scan(0), &[x], ty("tb", &[2]));
    g.nodes[scan.idx()].name = "d".into();
    let sum = g.push(Op::ScanOut(1), &[scan], ty("b", &[2]));
    let late = g.push(Op::Delay { steps: -2 }, &[scan], ty("tb", &[2]));
    let grad = g.fold(Fold::Sum, Axes { time: true, batch: true, index: false }, late);
    g.nodes[grad.idx()].section = Section::Backward;
    let (rate, m) = (g.constant(1e-8), g.push(Op::Slot(0), &[], Ty::tensor(&[2])));
    let down = g.pointwise(Pw::Mul, &[grad, rate]);
    let new = g.pointwise(Pw::Sub, &[w, down]);
    for val in [m, down, new] {
        g.nodes[val.idx()].section = Section::Update;
    }
    output(&mut net, "sum", sum);
    for (val, sink) in [(grad, Sink::Grad(0)), (new, Sink::Param(0)), (m, Sink::Slot(0))] {
        net.outputs.push(Output { name: "w".into(), val, sink });
    }
    net
}

#[test]
fn a_net_as_text() {
    let expected = "\
net 5 steps, 3 x 2 samples {
  input 0 x0 : [t,b,2]
  param 0 w0 : [2]
  slot 0 m of w0 = 0
  %0 = input 0 : [t,b,2]
  %1 = param 0 : [2]
  %2 = scan h' reverse %0 : [t,b,2] {   ; d
    state 0 h.v : [b,2] = 0, next %2, delay 3
    %0 = input 0 : [b,2]
    %1 = prev 0 : [b,2]   ; h.v
    %2 = add %0, %1 : [b,2]
    out 0 each %2
    out 1 sum %1
  }
  %3 = out 1 of %2 : [b,2]
  %4 = delay %2 [-2 steps] : [t,b,2]
  backward:
  %5 = fold sum [time,batch] %4 : [2]
  update:
  %7 = slot 0 : [2]
  %8 = mul %5, 1e-8 : [2]
  %9 = sub %1, %8 : [2]
  output sum = %3
  grad w0 = %5
  new w0 = %9
  new slot 0 m of w0 = %7
}
";
    assert_eq!(training().to_string(), expected);
    assert_eq!(crate::net::verify::verify(&training()), Ok(()));
}

#[test]
fn numbers_read_back_as_they_were() {
    let numbers = [0.1, -0.0, 1.0 / 3.0, 1e300, 5e-324, f64::MAX, 1e15, 123456.789, f64::INFINITY, 0.00002];
    for value in numbers {
        let mut g = Graph::default();
        let x = g.push(Op::Random { gaussian: false, stream: 1, once: false }, &[], Ty::SCALAR);
        let c = g.constant(value);
        g.pointwise(Pw::Add, &[x, c]);
        let text = g.to_string();
        let number = text.rsplit_once(", ").unwrap().1.split_once(' ').unwrap().0;
        assert_eq!(number.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{text}");
    }
}

/// What verification says of a step after a change.
#[track_caller]
fn check_step(change: impl FnOnce(&mut StepFn), expected: &str) {
    let mut step = neuron();
    change(&mut step);
    assert_eq!(crate::step::verify::verify(&step), Err(expected.to_string()));
}

#[test]
fn mistakes_in_steps_are_found() {
    let tb = ty("tb", &[4]);
    check_step(
        |s| s.graph.nodes[3].args[0] = ValId(5),
        "%3 (MatMul { transposed: false }) reads %5, which does not stand before it",
    );
    check_step(|s| s.graph.nodes[5].ty = ty("", &[4]), "%5 (Pointwise(Mul)) has type [4], not [b,4]");
    check_step(|s| s.graph.nodes[5].ty = tb, "%5 (Pointwise(Mul)) has a time axis in a Step");
    check_step(
        |s| s.graph.nodes[3].op = Op::MatMul { transposed: true },
        "%3 (MatMul { transposed: true }) multiplies [b,3] by [3,4]",
    );
    check_step(|s| s.graph.nodes[3].op = Op::Outer, "%3 (Outer) does not belong in a Step");
    check_step(|s| s.graph.nodes[9].args.truncate(2), "%9 (Pointwise(Select)) has 2 operands, not 3");
    check_step(|s| s.graph.nodes[2].op = Op::Param(1), "%2 (Param(1)) names parameter 1 of 1");
    check_step(
        |s| s.graph.surrogates.clear(),
        "%7 (Spike { surrogate: Some(0), strict: false }) names surrogate 0 of 0",
    );
    check_step(|s| s.states[0].next = ValId(1), "state h.v: next %1 is [b,3], the state [b,4]");
    check_step(|s| s.states[0].init = ValId(5), "state h.v: init %5 depends on a state (%0)");
    check_step(|s| s.states[0].delay = 0, "state h.v: has delay 0");
    check_step(|s| s.outputs[0].1 = ValId(10), "output h.v is %10, which does not exist");
}

/// What verification says of a net after a change.
#[track_caller]
fn check_net(change: impl FnOnce(&mut Net), expected: &str) {
    let mut net = training();
    change(&mut net);
    assert_eq!(crate::net::verify::verify(&net), Err(expected.to_string()));
}

#[test]
fn mistakes_in_nets_are_found() {
    check_net(|n| n.steps = 0, "a net has at least one step and one sample");
    check_net(
        |n| n.scans[0].body.nodes[0].op = Op::Param(0),
        "scan h': %0 (Param(0)) does not belong in a Body",
    );
    check_net(|n| n.scans[0].body.nodes[0].op = Op::Input(1), "scan h': %0 (Input(1)) names input 1 of 1");
    check_net(
        |n| n.scans[0].states[0].init = ValId(0),
        "scan h': state h.v: init %0 depends on an operand with time axis (%0)",
    );
    check_net(
        |n| n.scans[0].outs[1] = ScanOut::Final(0),
        "scan h': gives the last value of h.v, which is delayed",
    );
    check_net(|n| n.graph.nodes[3].op = Op::ScanOut(2), "%3 (ScanOut(2)) names result of the scan 2 of 2");
    check_net(|n| n.graph.nodes[3].args[0] = ValId(0), "%3 (ScanOut(1)) reads %0, which is no scan");
    check_net(|n| n.scans.push(n.scans[0].clone()), "scan h' stands at 0 nodes");
    check_net(|n| n.outputs[1].val = ValId(4), "output w: is [t,b,2], not [2]");
    check_net(|n| n.outputs[3].sink = Sink::Slot(1), "output w: goes to Slot(1), which does not exist");
    check_net(|n| n.outputs[2].sink = Sink::Grad(0), "output w: Grad(0) is written twice");
    check_net(|n| n.slots[0].param = 3, "slot m names parameter 3");
    check_net(
        |n| {
            let axes = Axes { batch: true, ..Axes::default() };
            n.scans[0].body.push(Op::Fold { fold: Fold::Sum, axes }, &[ValId(2)], ty("", &[2]));
        },
        "a scan folds over samples, which are in 3 shards",
    );
    let fold = |time| Op::Fold { fold: Fold::Sum, axes: Axes { time, ..Axes::default() } };
    check_net(
        |n| n.graph.nodes[5].op = fold(true),
        "%5 (Fold { fold: Sum, axes: Axes { time: true, batch: false, index: false } }) has type [2], not [b,2]",
    );
}

#[test]
fn random_nets_are_printed_the_same_twice() {
    for seed in 0..20 {
        let text = || generator::net_with_loss(seed, false).to_string();
        assert_eq!(text(), text());
    }
}
