//! Every pointwise operation over its domain and its edges, at widths with and without a rest of lanes.

use super::*;
use crate::step::ops::{OPS, Pw};

const EDGES: [f32; 20] = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    -0.5,
    1.5,
    2.5,
    -2.5,
    1.2e-38,
    3e38,
    -3e38,
    88.0,
    89.0,
    -86.97,
    -87.0,
    7.91,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::NAN,
];

/// Every operation on the same operands; some of them numbers of the run.
fn all_operations(width: usize, but: &[Pw]) -> Net {
    let mut net = net(1, 64, 1);
    let operands: Vec<ValId> = (0..3).map(|_| input(&mut net, &ty("b", &[width]))).collect();
    for row in OPS.iter().filter(|row| !but.contains(&row.op)) {
        let val = net.graph.pointwise(row.op, &operands[..row.arity]);
        output(&mut net, val);
    }
    for strict in [false, true] {
        let op = Op::Spike { surrogate: None, strict };
        let val = net.graph.push(op, &operands[..1], ty("b", &[width]));
        output(&mut net, val);
    }
    net
}

#[test]
fn operations_agree_at_their_edges() {
    for width in [1, 3, 4, 5, 8] {
        let net = all_operations(width, &[]);
        let edge = |seed: usize, at: usize| EDGES[at / [1, EDGES.len(), 3][seed] % EDGES.len()];
        check_on(&net, &Data::new(&net, edge));
    }
}

/// Denormal operands count as 0. `floor` and `round` of the platform may see them before they are flushed.
#[test]
fn operations_agree_on_denormals() {
    let net = all_operations(5, &[Pw::Floor, Pw::Round]);
    let values = [0.0, 1e-40, -1e-40, 1.0, f32::MIN_POSITIVE, -2.0];
    check_on(&net, &Data::new(&net, |seed, at| values[at / [1, 6, 36][seed] % 6]));
}

#[test]
fn operations_agree_over_their_domains() {
    for width in [5, 8] {
        let net = all_operations(width, &[]);
        check_on(&net, &Data::noise(&net));
        check_on(&net, &Data::new(&net, |seed, at| noise(seed, at).abs() * 30.0));
        check_on(&net, &Data::new(&net, |seed, at| noise(seed, at) * 1e-3));
    }
}

#[test]
fn sweeps_of_functions_agree() {
    let mut net = net(1, 4, 1);
    let x = input(&mut net, &ty("b", &[1003]));
    for op in [Pw::Exp, Pw::Ln, Pw::Tanh, Pw::Sigmoid, Pw::Exprel, Pw::Sqrt, Pw::Floor, Pw::Round] {
        let val = net.graph.pointwise(op, &[x]);
        output(&mut net, val);
    }
    for scale in [1e-6, 0.002, 0.05, 1e30] {
        check_on(&net, &Data::new(&net, |_, at| (at as f32 - 2000.0) * scale));
    }
}

#[test]
fn constant_powers_are_those_of_the_function() {
    let mut net = net(1, 22, 1);
    let x = input(&mut net, &ty("b", &[3]));
    for exponent in [-2.0, -1.0, 0.0, 0.5, 1.0, 2.0, 3.0] {
        let c = net.graph.constant(exponent);
        let val = net.graph.pointwise(Pw::Pow, &[x, c]);
        output(&mut net, val);
    }
    check(&net);
    check_on(&net, &Data::new(&net, |_, at| EDGES[at % EDGES.len()]));
}

#[test]
fn operands_are_repeated_along_missing_axes() {
    for width in [1, 3, 8] {
        let mut net = net(3, 2, 2);
        let mut sum = input(&mut net, &ty("tb", &[width]));
        for axes in ["", "t", "b", "tb"] {
            for shape in [&[][..], &[width][..]] {
                let x = input(&mut net, &ty(axes, shape));
                sum = net.graph.pointwise(Pw::Mul, &[sum, x]);
                output(&mut net, sum);
            }
        }
        let w = param(&mut net, &[width]);
        let step = net.graph.push(Op::StepIndex, &[], ty("t", &[]));
        let progress = net.graph.push(Op::Scalar(snn_runtime::abi::Scalar::Progress), &[], ty("", &[]));
        for x in [w, step, progress] {
            sum = net.graph.pointwise(Pw::Add, &[x, sum]);
            output(&mut net, sum);
        }
        check(&net);
    }
}

#[test]
fn leaves_can_be_results() {
    let mut net = net(2, 3, 2);
    let leaves = [
        input(&mut net, &ty("tb", &[3])),
        input(&mut net, &ty("", &[])),
        param(&mut net, &[2, 3]),
        net.graph.constant(0.1),
        net.graph.push(Op::Scalar(snn_runtime::abi::Scalar::Epochs), &[], ty("", &[])),
        net.graph.push(Op::StepIndex, &[], ty("t", &[])),
    ];
    for leaf in leaves.iter().chain(&leaves[..1]) {
        output(&mut net, *leaf);
    }
    check(&net);
}
