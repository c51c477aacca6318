//! Tests of the interpreter: values computed by hand, orders of sums, steps against nets, tangents against differences and
//! against the backward pass. Here: what they share.

mod by_hand;
mod derivatives;
mod generator;
mod order;
mod steps;
mod text;

use super::{Array, Call, Inputs, Number, Results, run};
use crate::net::{Net, Output, Sink};
use crate::step::{Graph, Input, Op, Param, Ty, ValId};
use snn_runtime::abi::SCALARS;

const CALL: Call = Call { key: 7, scalars: [3.0; SCALARS] };

/// `t` and `b` in the text are the axes of time and samples, the rest index axes: `ty("tb", &[3])`.
fn ty(axes: &str, shape: &[usize]) -> Ty {
    Ty { time: axes.contains('t'), batch: axes.contains('b'), shape: shape.to_vec() }
}

/// A net over `steps` steps and `shards` shards of `shard_batch` samples that grows by hand.
fn empty(steps: usize, shard_batch: usize, shards: usize) -> Net {
    Net { steps, shard_batch, shards, ..Net::default() }
}

fn input(net: &mut Net, ty: Ty) -> ValId {
    net.inputs.push(Input { name: format!("x{}", net.inputs.len()), ty: ty.clone(), spikes: false });
    net.graph.push(Op::Input(net.inputs.len() - 1), &[], ty)
}

fn param(net: &mut Net, shape: &[usize]) -> ValId {
    net.params.push(Param { name: format!("w{}", net.params.len()), shape: shape.to_vec(), trained: true });
    net.graph.push(Op::Param(net.params.len() - 1), &[], Ty::tensor(shape))
}

fn output(net: &mut Net, name: &str, val: ValId) {
    net.outputs.push(Output { name: name.into(), val, sink: Sink::Named });
}

fn array<N: Number>(ty: &Ty, rows: usize, data: &[f64]) -> Array<N> {
    Array { ty: ty.clone(), rows, data: data.iter().map(|v| N::from_f64(*v)).collect() }
}

/// Arrays of a net's inputs and parameters from their values.
fn arrays<N: Number>(net: &Net, inputs: &[&[f64]], params: &[&[f64]]) -> (Vec<Array<N>>, Vec<Array<N>>) {
    let rows = net.shards * net.shard_batch;
    (
        net.inputs.iter().zip(inputs).map(|(i, data)| array(&i.ty, rows, data)).collect(),
        net.params.iter().zip(params).map(|(p, data)| array(&Ty::tensor(&p.shape), rows, data)).collect(),
    )
}

/// Verifies and runs.
#[track_caller]
fn results<N: Number>(net: &Net, inputs: &[&[f64]], params: &[&[f64]]) -> Results<N> {
    assert_eq!(crate::net::verify::verify(net), Ok(()));
    let (inputs, params) = arrays(net, inputs, params);
    run(net, &Inputs { inputs: &inputs, params: &params, slots: &[] }, &CALL)
}

/// The values of a net with one output in f64.
#[track_caller]
fn check(net: &mut Net, val: ValId, inputs: &[&[f64]], params: &[&[f64]], expected: &[f64]) {
    output(net, "y", val);
    assert_eq!(results::<f64>(net, inputs, params).output(net, "y").unwrap().data, expected);
    assert_eq!(
        results::<f32>(net, inputs, params).output(net, "y").unwrap().data,
        expected.iter().map(|v| *v as f32).collect::<Vec<_>>()
    );
}

/// The logistic function of `4 x` and its derivative.
fn surrogate(ty: &Ty) -> crate::step::SurrogateFn {
    use crate::step::{Fragment, ops::Pw};
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
        Fragment { name: "logistic".into(), graph, results: vec![if derivative { slope } else { s }] }
    };
    crate::step::SurrogateFn {
        name: "logistic".into(),
        derivative: fragment(true),
        primitive: Some(fragment(false)),
    }
}
