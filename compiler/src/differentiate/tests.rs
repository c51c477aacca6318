//! Gradients of hand-built steps against central differences of the relaxed net, in f64.

use super::{adjoint, relax};
use crate::cluster;
use crate::interp::{self, Array, Call, Inputs};
use crate::net::{Net, Output, Sink, passes};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Fragment, Graph, Input, Op, Param, State, StepFn, SurrogateFn, Ty, ValId};
use snn_runtime::abi::SCALARS;
use std::collections::BTreeSet;

fn batch(shape: &[usize]) -> Ty {
    Ty { time: false, batch: true, shape: shape.to_vec() }
}

/// The logistic function and its derivative.
fn surrogate(ty: &Ty) -> SurrogateFn {
    let fragment = |derivative: bool| {
        let mut graph = Graph::default();
        let x = graph.push(Op::Input(0), &[], ty.clone());
        let four = graph.constant(4.0);
        let x4 = graph.pointwise(Pw::Mul, &[x, four]);
        let s = graph.pointwise(Pw::Sigmoid, &[x4]);
        let one = graph.constant(1.0);
        let rest = graph.pointwise(Pw::Sub, &[one, s]);
        let product = graph.pointwise(Pw::Mul, &[s, rest]);
        let slope = graph.pointwise(Pw::Mul, &[product, four]);
        Fragment { name: "s".into(), graph, results: vec![if derivative { slope } else { s }] }
    };
    SurrogateFn { name: "s".into(), derivative: fragment(true), primitive: Some(fragment(false)) }
}

/// Recurrent LIF with a leak per neuron, a threshold per layer and a reset by selection; readout integrator.
fn model(stream: bool, delay: usize) -> StepFn {
    let mut g = Graph::default();
    let (h, y) = (batch(&[4]), batch(&[2]));
    let x = g.push(Op::Input(0), &[], batch(&[3]));
    let w: Vec<ValId> = [[3, 4], [4, 4], [4, 2]]
        .iter()
        .enumerate()
        .map(|(k, shape)| g.push(Op::Param(k), &[], Ty::tensor(shape)))
        .collect();
    let leak = g.push(Op::Param(3), &[], Ty::tensor(&[4]));
    let theta = g.push(Op::Param(4), &[], Ty::SCALAR);
    let decay = g.pointwise(Pw::Sigmoid, &[leak]);
    let (v0, s0, u0) = (
        g.push(Op::Prev(0), &[], h.clone()),
        g.push(Op::Prev(1), &[], h.clone()),
        g.push(Op::Prev(2), &[], y.clone()),
    );
    let zero = g.constant(0.0);
    let ff = g.matmul(x, w[0], false);
    let rec = g.matmul(s0, w[1], false);
    let kept = g.pointwise(Pw::Mul, &[v0, decay]);
    let v = g.pointwise(Pw::Add, &[kept, ff]);
    let v = g.pointwise(Pw::Add, &[v, rec]);
    let over = g.pointwise(Pw::Sub, &[v, theta]);
    g.surrogates.push(surrogate(&h));
    let s = g.push(Op::Spike { surrogate: Some(0), strict: false }, &[over], h.clone());
    let low = g.pointwise(Pw::Sub, &[v, theta]);
    let v1 = g.pointwise(Pw::Select, &[s, low, v]);
    let out = g.matmul(s, w[2], false);
    let half = g.constant(0.7);
    let u = g.pointwise(Pw::Mul, &[u0, half]);
    let u1 = g.pointwise(Pw::Add, &[u, out]);
    let state = |name: &str, next, delay, ty: &Ty| State {
        name: name.into(),
        init: zero,
        next,
        delay,
        ty: ty.clone(),
    };
    let param =
        |name: &str, shape: &[usize]| Param { name: name.into(), shape: shape.to_vec(), trained: true };
    StepFn {
        states: vec![state("h.v", v1, 1, &h), state("h.s", s, delay, &h), state("y.u", u1, 1, &y)],
        inputs: vec![Input { name: "x".into(), ty: Ty { time: stream, ..batch(&[3]) }, spikes: false }],
        params: vec![
            param("w", &[3, 4]),
            param("r", &[4, 4]),
            param("o", &[4, 2]),
            param("leak", &[4]),
            param("theta", &[]),
        ],
        outputs: vec![("y.u".into(), u1), ("h.s".into(), s)],
        graph: g,
    }
}

/// Loss: mean over steps and samples of (u0^2 + u1^2) + mean rate squared.
fn with_loss(step: &StepFn) -> Net {
    let wanted: BTreeSet<String> = ["y.u".to_string(), "h.s".to_string()].into();
    let (mut net, traces) = cluster::net(step, &wanted, 5);
    (net.shard_batch, net.shards) = (2, 2);
    let g = &mut net.graph;
    let (u, s) = (traces["y.u"], traces["h.s"]);
    let square = g.pointwise(Pw::Mul, &[u, u]);
    let all = Axes { time: true, batch: true, index: true };
    let a = g.fold(Fold::Sum, all, square);
    let rate = g.fold(Fold::Sum, Axes { time: true, ..Axes::default() }, s);
    let rate = g.pointwise(Pw::Mul, &[rate, rate]);
    let rate = g.fold(Fold::Sum, all, rate);
    let last = g.push(Op::Last, &[u], batch(&[2]));
    let last = g.fold(Fold::Max, Axes { index: true, ..Axes::default() }, last);
    let last = g.fold(Fold::Sum, all, last);
    let scale = g.constant(0.1);
    let rate = g.pointwise(Pw::Mul, &[rate, scale]);
    let loss = g.pointwise(Pw::Add, &[a, rate]);
    let loss = g.pointwise(Pw::Add, &[loss, last]);
    net.outputs.push(Output { name: "loss".into(), val: loss, sink: Sink::Named });
    net
}

/// Numbers that look random.
pub(crate) fn values<N: interp::Number>(ty: &Ty, steps: usize, seed: u64) -> Array<N> {
    let mut a = Array::filled(ty, steps, 4, 0.0);
    for (k, v) in a.data.iter_mut().enumerate() {
        *v = N::from_f64(((k as f64 + 1.3) * 12.9898 * (seed as f64 + 1.0)).sin());
    }
    a
}

fn run(net: &Net, inputs: &[Array<f64>], params: &[Array<f64>]) -> interp::Results<f64> {
    let call = Call { key: 1, scalars: [0.0; SCALARS] };
    interp::run(net, &Inputs { inputs, params, slots: &[] }, &call)
}

/// The forward net and the net with gradients of all parameters.
pub(crate) fn nets(stream: bool, delay: usize, relaxed: bool) -> (Net, Net) {
    let step = crate::step::passes::run(model(stream, delay));
    let mut net = passes::run(with_loss(&step));
    if relaxed {
        relax(&mut net).expect("has a primitive");
    }
    let forward = net.clone();
    let loss = net.outputs[0].val;
    let adjoint = adjoint(&mut net, loss, None);
    for (p, grad) in adjoint.grads.iter().enumerate() {
        net.outputs.push(Output {
            name: format!("grad {p}"),
            val: grad.expect("reached"),
            sink: Sink::Grad(p),
        });
    }
    (forward, passes::run(net))
}

#[track_caller]
fn check(stream: bool, delay: usize) {
    let (forward, net) = nets(stream, delay, true);
    let inputs: Vec<Array<f64>> = net.inputs.iter().map(|i| values(&i.ty, 5, 7)).collect();
    let params: Vec<Array<f64>> =
        net.params.iter().enumerate().map(|(k, p)| values(&Ty::tensor(&p.shape), 5, k as u64)).collect();
    let results = run(&net, &inputs, &params);
    for p in 0..params.len() {
        let grad = &results.values[net.outputs[p + 1].val.idx()];
        let mut along = 0.0;
        let (mut up, mut down) = (params.clone(), params.clone());
        let eps = 1e-6;
        for k in 0..params[p].data.len() {
            let direction = ((k * 7 + 3) as f64).cos();
            along += direction * grad.data[k];
            up[p].data[k] += eps * direction;
            down[p].data[k] -= eps * direction;
        }
        let at = |params: &[Array<f64>]| {
            run(&forward, &inputs, params).values[forward.outputs[0].val.idx()].data[0]
        };
        let difference = (at(&up) - at(&down)) / (2.0 * eps);
        let error = (difference - along).abs() / along.abs().max(1e-3);
        assert!(error < 1e-6, "{}: adjoint {along}, difference {difference}", net.params[p].name);
    }
}

#[test]
fn gradients_of_a_recurrent_layer_with_a_static_input() {
    check(false, 1);
}

#[test]
fn gradients_of_a_recurrent_layer_with_a_stream() {
    check(true, 1);
}

#[test]
fn gradients_through_a_delayed_recurrence() {
    check(true, 3);
}
