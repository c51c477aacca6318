//! A step run directly against the net that `cluster` makes of it: the same bits.

use super::generator::{self, Dice, SHARD_BATCH, SHARDS, STEPS};
use super::*;
use crate::interp::{Extent, Mode, step};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, State, StepFn};

const EXTENT: Extent = Extent { steps: STEPS, shard_batch: SHARD_BATCH, shards: SHARDS };

/// Runs a step both ways; outputs that the net has taken off the time axis are repeated.
#[track_caller]
fn check_step(of: &StepFn, seed: u64) {
    assert_eq!(crate::step::verify::verify(of), Ok(()), "seed {seed}");
    let (net, values) = generator::net(of);
    assert_eq!(crate::net::verify::verify(&net), Ok(()), "seed {seed}");
    let mut dice = Dice(seed);
    let as_f32 =
        |a: Array<f64>| Array { ty: a.ty, rows: a.rows, data: a.data.iter().map(|v| *v as f32).collect() };
    let inputs: Vec<Array<f32>> = of.inputs.iter().map(|i| as_f32(dice.array(&i.ty))).collect();
    let params: Vec<Array<f32>> =
        of.params.iter().map(|p| as_f32(dice.array(&Ty::tensor(&p.shape)))).collect();
    let inputs = Inputs { inputs: &inputs, params: &params, slots: &[] };
    let stepped = step(of, EXTENT, &inputs, &CALL, &Mode::default()).unwrap();
    let run = run(&net, &inputs, &CALL);
    for ((name, _), (direct, val)) in of.outputs.iter().zip(stepped.values.iter().zip(values)) {
        let of_net = run.values[val.idx()].widened(&direct.ty, STEPS);
        let bits = |a: &Array<f32>| a.data.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(direct), bits(&of_net), "seed {seed}, {name}\n{of}\n{net}");
    }
}

#[test]
fn random_steps_and_their_nets_agree_bit_for_bit() {
    for seed in 0..200 {
        check_step(&generator::step(seed, seed % 2 == 0), seed);
    }
}

#[test]
fn a_delayed_neuron_as_step_and_as_net() {
    let mut g = Graph::default();
    let (all, one) = (ty("b", &[4]), ty("b", &[4]));
    let x = g.push(Op::Input(0), &[], all.clone());
    let late = g.push(Op::Prev(0), &[], all.clone()); // The input three steps ago: a delay outside of the scan.
    let v = g.push(Op::Prev(1), &[], one.clone());
    let (zero, tenth, half) = (g.constant(0.0), g.constant(0.1), g.constant(0.5));
    let kept = g.pointwise(Pw::Mul, &[v, half]);
    let moved = g.pointwise(Pw::Add, &[kept, late]);
    let over = g.pointwise(Pw::Sub, &[moved, tenth]);
    let s = g.push(Op::Spike { surrogate: None, strict: true }, &[over], one.clone());
    let next = g.pointwise(Pw::Select, &[s, zero, moved]);
    let state = |name: &str, init, next, delay, ty: &Ty| State {
        name: name.into(),
        init,
        next,
        delay,
        ty: ty.clone(),
    };
    let of = StepFn {
        inputs: vec![Input { name: "x".into(), ty: ty("tb", &[4]), spikes: false }],
        params: vec![],
        states: vec![state("x", zero, x, 3, &all), state("h.v", zero, next, 1, &one)],
        outputs: vec![("h.v".into(), next), ("h.fired".into(), s), ("late".into(), late)],
        graph: g,
    };
    let (net, _) = generator::net(&of);
    assert!(net.graph.nodes.iter().any(|n| matches!(n.op, Op::Delay { steps: 3 })));
    assert_eq!(net.scans.len(), 1);
    for seed in 0..4 {
        check_step(&of, seed);
    }
}

/// A value minus its mean over all steps and samples, of a state and of an input that stays.
#[test]
fn a_fold_of_all_steps_is_known_at_each() {
    let mut g = Graph::default();
    let all = ty("b", &[4]);
    let (x, still) = (g.push(Op::Input(0), &[], all.clone()), g.push(Op::Input(1), &[], all.clone()));
    let v = g.push(Op::Prev(0), &[], all.clone());
    let half = g.constant(0.5);
    let kept = g.pointwise(Pw::Mul, &[v, half]);
    let next = g.pointwise(Pw::Add, &[kept, x]);
    let mut outputs = vec![("h.v".to_string(), next)];
    for (name, val) in [("moving", next), ("still", still)] {
        let op = Op::Fold { fold: Fold::Sum, axes: Axes { time: true, batch: true, index: false } };
        let sum = g.push(op, &[val], Ty::tensor(&[4]));
        let rest = g.pointwise(Pw::Sub, &[val, sum]);
        let square = g.pointwise(Pw::Mul, &[rest, sum]);
        outputs.push((name.to_string(), square));
    }
    let zero = g.constant(0.0);
    let inputs = ["tb", "b"].map(|axes| Input { name: axes.into(), ty: ty(axes, &[4]), spikes: false });
    let of = StepFn {
        inputs: inputs.to_vec(),
        params: vec![],
        states: vec![State { name: "h.v".into(), init: zero, next, delay: 1, ty: all }],
        outputs,
        graph: g,
    };
    assert_eq!(crate::step::verify::verify(&of), Ok(()));
    let (net, values) = generator::net(&of);
    assert_eq!(crate::net::verify::verify(&net), Ok(()));
    let mut dice = Dice(7);
    let inputs: Vec<Array<f64>> = of.inputs.iter().map(|i| dice.array(&i.ty)).collect();
    let inputs = Inputs { inputs: &inputs, params: &[], slots: &[] };
    let stepped = step(&of, EXTENT, &inputs, &CALL, &Mode::default()).unwrap();
    let run = run(&net, &inputs, &CALL);
    for (direct, val) in stepped.values.iter().zip(values) {
        let of_net = run.values[val.idx()].widened(&direct.ty, STEPS);
        // The sum of what stays is made by a product.
        let near = direct.data.iter().zip(&of_net.data).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(near, "{of}\n{net}");
    }
    assert_eq!(net.scans.len(), 1);
}
