//! What fuses, what needs memory, and how many phases there are. Values are compared in `emit/tests`.

use super::loops;
use crate::net::{Net, Output, Scan, ScanOut, Sink};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Input, Op, Param, State, Ty, ValId};

fn ty(time: bool, shape: &[usize]) -> Ty {
    Ty { time, batch: true, shape: shape.to_vec() }
}

fn with_input(of: &Ty) -> (Net, ValId) {
    let mut net = Net { steps: 3, shard_batch: 2, shards: 2, ..Net::default() };
    net.inputs.push(Input { name: "x".into(), ty: of.clone(), spikes: false });
    let x = net.graph.push(Op::Input(0), &[], of.clone());
    (net, x)
}

fn output(net: &mut Net, name: &str, val: ValId) {
    net.outputs.push(Output { name: name.into(), val, sink: Sink::Named });
}

/// A dense layer of leaky neurons; the number of spikes of each.
fn layer() -> Net {
    let (mut net, x) = with_input(&ty(true, &[3]));
    net.params.push(Param { name: "w".into(), shape: vec![3, 4], trained: true });
    let w = net.graph.push(Op::Param(0), &[], Ty::tensor(&[3, 4]));
    let current = net.graph.matmul(x, w, false);
    let of = ty(false, &[4]);
    let mut g = Graph::default();
    let i = g.push(Op::Input(0), &[], of.clone());
    let v0 = g.push(Op::Prev(0), &[], of.clone());
    let (decay, one, init) = (g.constant(0.5), g.constant(1.0), g.constant(0.0));
    let kept = g.pointwise(Pw::Mul, &[decay, v0]);
    let v = g.pointwise(Pw::Add, &[kept, i]);
    let over = g.pointwise(Pw::Sub, &[v, one]);
    let s = g.push(Op::Spike { surrogate: None, strict: false }, &[over], of.clone());
    let next = g.pointwise(Pw::Select, &[s, over, v]);
    let state = State { name: "h.v".into(), init, next, delay: 1, ty: of.clone() };
    let outs = vec![ScanOut::Sum(s)];
    net.scans.push(Scan { name: "h".into(), body: g, states: vec![state], outs, reverse: false });
    let count = net.graph.push(Op::Scan(0), &[current], of);
    output(&mut net, "count", count);
    net
}

#[test]
fn a_neuron_is_one_nest_in_the_time_loop() {
    let text = loops(&layer()).to_string();
    let want = "
phase forward0 (Forward, Shards) {
    buf2[0] <- matmul 6x3x4 buf1[0] strides [3, 1], buf0[0] strides [4, 1]
    vec c in 0..8 {
        r0 = 0.0
        store buf4[c], r0
    }
    vec c in 0..8 {
        r0 = 0.0
        store buf3[c], r0
    }
    for t in 0..3 ascending {
        vec c in 0..8 {
            r0 = 0.5
            r1 = load buf4[c]
            r2 = mul r0, r1
            r3 = load buf2[t*8 + c]
            r4 = add r2, r3
            r5 = 1.0
            r6 = sub r4, r5
            r7 = spike >= r6
            r8 = where r7, r6, r4
            add buf3[c], r7
            store buf4[c], r8
        }
    }
}
";
    assert!(text.ends_with(want), "{text}");
}

#[test]
fn chains_on_the_same_axes_need_no_buffers() {
    let (mut net, x) = with_input(&ty(true, &[5]));
    let mut y = x;
    for _ in 0..20 {
        y = net.graph.pointwise(Pw::Tanh, &[y]);
    }
    output(&mut net, "y", y);
    let program = loops(&net);
    assert_eq!(program.buffers.len(), 2);
    assert_eq!(program.phases.iter().map(|p| p.body.len()).sum::<usize>(), 1);
}

#[test]
fn nests_do_not_grow_without_a_reason() {
    let (mut net, x) = with_input(&ty(false, &[5]));
    for k in 0..100 {
        let c = net.graph.constant(f64::from(k));
        let y = net.graph.pointwise(Pw::Add, &[x, c]);
        output(&mut net, &format!("y{k}"), y);
    }
    assert_eq!(loops(&net).phases[0].body.len(), 2);
}

#[test]
fn what_has_no_samples_is_computed_once() {
    let (mut net, x) = with_input(&ty(true, &[4]));
    net.params.push(Param { name: "a".into(), shape: vec![4], trained: true });
    let a = net.graph.push(Op::Param(0), &[], Ty::tensor(&[4]));
    let e = net.graph.pointwise(Pw::Exp, &[a]);
    let y = net.graph.pointwise(Pw::Mul, &[x, e]);
    let sum = net.graph.fold(Fold::Sum, Axes { time: true, batch: true, index: true }, y);
    let root = net.graph.pointwise(Pw::Sqrt, &[sum]);
    output(&mut net, "root", root);
    let phases: Vec<String> =
        loops(&net).phases.iter().map(|p| format!("{} {:?} {}", p.name, p.parallel, p.body.len())).collect();
    assert_eq!(phases, ["forward0 Once 1", "forward1 Shards 3", "forward2 Once 2"]);
}

#[test]
fn a_training_net_has_a_phase_for_each_barrier() {
    let (_, net) = crate::differentiate::tests::nets(true, 1, false);
    let program = loops(&net);
    let of_shards =
        program.phases.iter().filter(|p| p.parallel == snn_runtime::program::Parallel::Shards).count();
    assert_eq!((of_shards, program.phases.len()), (2, 5), "{program}");
}
