//! Tangents against central differences of frozen and relaxed runs, and against the backward pass (transpose test), in f64.

use super::generator::{Dice, STEPS, net_with_loss};
use super::*;
use crate::differentiate;
use crate::interp::{Mode, NetRun};
use crate::net::{Scan, ScanOut};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, State};

const SEEDS: u64 = 200;

/// A point and a direction for a net.
struct Point {
    inputs: Vec<Array<f64>>,
    params: Vec<Array<f64>>,
    along_inputs: Vec<Array<f64>>,
    along_params: Vec<Array<f64>>,
}

impl Point {
    fn new(net: &Net, seed: u64) -> Point {
        let mut dice = Dice(seed + 77);
        let mut inputs = || net.inputs.iter().map(|i| dice.array(&i.ty)).collect::<Vec<_>>();
        let (at, along) = (inputs(), inputs());
        let mut params = || net.params.iter().map(|p| dice.array(&Ty::tensor(&p.shape))).collect::<Vec<_>>();
        Point { inputs: at, along_inputs: along, params: params(), along_params: params() }
    }

    fn moved(&self, by: f64) -> (Vec<Array<f64>>, Vec<Array<f64>>) {
        let go = |at: &[Array<f64>], along: &[Array<f64>]| -> Vec<Array<f64>> {
            let one = |a: &Array<f64>, d: &Array<f64>| Array {
                data: a.data.iter().zip(&d.data).map(|(a, d)| a + by * d).collect(),
                ..a.clone()
            };
            at.iter().zip(along).map(|(a, d)| one(a, d)).collect()
        };
        (go(&self.inputs, &self.along_inputs), go(&self.params, &self.along_params))
    }

    fn run(&self, net: &Net, by: f64, mode: &Mode<f64>) -> Results<f64> {
        let (inputs, params) = self.moved(by);
        let inputs = Inputs { inputs: &inputs, params: &params, slots: &[] };
        NetRun { net, inputs, call: CALL }.run(mode).unwrap()
    }

    fn tangent(&self, net: &Net, base: &Results<f64>, relaxed: bool, window: Option<usize>) -> Results<f64> {
        let of = |inputs, params| Inputs { inputs, params, slots: &[] };
        let inputs = of(&self.inputs, &self.params);
        let run = NetRun { net, inputs, call: CALL };
        run.jvp(base, relaxed, &of(&self.along_inputs, &self.along_params), window).unwrap()
    }
}

/// Tangents of all values of a net are the central differences of frozen runs.
#[track_caller]
fn check_differences(net: &Net, seed: u64, relaxed: bool) {
    assert_eq!(crate::net::verify::verify(net), Ok(()), "seed {seed}");
    let point = Point::new(net, seed);
    let base = point.run(net, 0.0, &Mode { relaxed, record: true, frozen: None });
    let tangent = point.tangent(net, &base, relaxed, None);
    let frozen = Mode { relaxed, record: false, frozen: Some(&base) };
    assert_eq!(point.run(net, 0.0, &frozen).values, base.values, "seed {seed}: frozen where it was recorded");
    let eps = 1e-6;
    let (up, down) = (point.run(net, eps, &frozen), point.run(net, -eps, &frozen));
    for (at, tangent) in tangent.values.iter().enumerate() {
        for (k, got) in tangent.data.iter().enumerate() {
            let difference = (up.values[at].data[k] - down.values[at].data[k]) / (2.0 * eps);
            let error = (difference - got).abs() / (1.0 + got.abs());
            assert!(error < 1e-5, "seed {seed}, %{at}[{k}]: tangent {got}, difference {difference}\n{net}");
        }
    }
}

/// `<J v, 1> = <v, J' 1>` for the loss and a direction in the parameters; gives the number.
#[track_caller]
fn check_transpose(net: &Net, seed: u64, window: Option<usize>) -> f64 {
    let mut point = Point::new(net, seed);
    for input in &mut point.along_inputs {
        input.data.fill(0.0);
    }
    let base = point.run(net, 0.0, &Mode { record: true, ..Mode::default() });
    let forward = point.tangent(net, &base, false, window).output(net, "loss").unwrap().data[0];
    let mut training = net.clone();
    let loss = net.outputs.iter().find(|o| o.name == "loss").unwrap().val;
    let grads = differentiate::adjoint(&mut training, loss, window).grads;
    for (p, grad) in grads.iter().enumerate() {
        if let Some(val) = *grad {
            training.outputs.push(Output { name: format!("grad {p}"), val, sink: Sink::Grad(p) });
        }
    }
    assert_eq!(crate::net::verify::verify(&training), Ok(()), "seed {seed}\n{training}");
    let values = point.run(&training, 0.0, &Mode::default()).values;
    let (mut backward, mut size) = (0.0, 1.0);
    for (grad, along) in grads.iter().zip(&point.along_params) {
        let Some(grad) = grad else { continue };
        for (g, d) in values[grad.idx()].data.iter().zip(&along.data) {
            backward += g * d;
            size += (g * d).abs();
        }
    }
    let error = (forward - backward).abs() / size;
    assert!(error < 1e-10, "seed {seed}: forward {forward}, backward {backward}\n{net}");
    forward
}

#[test]
fn a_relaxed_net_is_what_relaxed_runs_compute() {
    for seed in 0..SEEDS {
        let net = net_with_loss(seed, false);
        let mut rewritten = net.clone();
        crate::differentiate::relax(&mut rewritten).unwrap();
        let point = Point::new(&net, seed);
        let loss = |net: &Net, relaxed: bool| {
            let mode = Mode { relaxed, ..Mode::default() };
            point.run(net, 0.0, &mode).output(net, "loss").unwrap().data[0]
        };
        let (a, b) = (loss(&net, true), loss(&rewritten, false));
        assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "seed {seed}: {a} and {b}\n{net}");
    }
}

#[test]
fn tangents_of_random_nets_are_differences_of_frozen_runs() {
    (0..SEEDS).for_each(|seed| check_differences(&net_with_loss(seed, false), seed, false));
}

#[test]
fn tangents_of_relaxed_random_nets_are_differences() {
    (0..SEEDS).for_each(|seed| check_differences(&net_with_loss(seed, false), seed, true));
}

#[test]
fn tangents_and_gradients_of_random_nets_agree() {
    for seed in 0..SEEDS {
        check_transpose(&net_with_loss(seed, true), seed, None);
    }
}

/// What only backward passes contain: reverse scans with sums and last values, delays from the future, outer products.
fn backward_like() -> Net {
    let mut net = empty(STEPS, 2, 2);
    let (x, still) = (input(&mut net, ty("tb", &[3])), input(&mut net, ty("b", &[2])));
    let w = param(&mut net, &[3]);
    let all = ty("b", &[3]);
    let mut body = Graph::default();
    let (now, first) =
        (body.push(Op::Input(0), &[], all.clone()), body.push(Op::Input(1), &[], ty("", &[3])));
    let (one, two) = (body.push(Op::Prev(0), &[], all.clone()), body.push(Op::Prev(1), &[], all.clone()));
    let sum = body.pointwise(Pw::Add, &[one, two]);
    let v = body.pointwise(Pw::Tanh, &[sum]);
    let next = body.pointwise(Pw::Mul, &[v, now]);
    let zero = body.constant(0.0);
    let state = |init, delay| State { name: "d".into(), init, next, delay, ty: all.clone() };
    net.scans.push(Scan {
        name: "d".into(),
        states: vec![state(first, 1), state(zero, 2)],
        outs: vec![ScanOut::Each(next), ScanOut::Sum(v), ScanOut::Final(0)],
        reverse: true,
        body,
    });
    let g = &mut net.graph;
    let each = g.push(Op::Scan(0), &[x, w], ty("tb", &[3]));
    let sum = g.push(Op::ScanOut(1), &[each], ty("b", &[3]));
    let last = g.push(Op::ScanOut(2), &[each], ty("b", &[3]));
    let later = g.push(Op::Delay { steps: -2 }, &[each], ty("tb", &[3]));
    let at_last = g.push(Op::AtLast, &[last], ty("tb", &[3]));
    let d = g.pointwise(Pw::Add, &[later, at_last]);
    let outer = g.push(Op::Outer, &[d, still], Ty::tensor(&[3, 2]));
    let other = g.push(Op::Outer, &[sum, still], Ty::tensor(&[3, 2]));
    let both = g.pointwise(Pw::Mul, &[outer, other]);
    let back = g.matmul(still, both, true);
    let loss = g.fold(Fold::Max, Axes { batch: true, index: true, time: false }, back);
    output(&mut net, "loss", loss);
    net
}

#[test]
fn tangents_of_what_backward_passes_contain() {
    (0..8).for_each(|seed| check_differences(&backward_like(), seed, false));
}

#[test]
fn tangents_and_gradients_of_factors_of_weights() {
    let mut net = empty(STEPS, 2, 2);
    let x = input(&mut net, ty("tb", &[3]));
    let (w, factor) = (param(&mut net, &[3, 2]), param(&mut net, &[2]));
    let g = &mut net.graph;
    let rows = g.push(Op::Rows { times: 3 }, &[factor], Ty::tensor(&[3, 2]));
    let scaled = g.pointwise(Pw::Mul, &[w, rows]);
    let sums = g.push(Op::SumRows, &[scaled], Ty::tensor(&[2]));
    let y = g.matmul(x, scaled, false);
    let shifted = g.pointwise(Pw::Add, &[y, sums]);
    let bent = g.pointwise(Pw::Tanh, &[shifted]);
    let loss = g.fold(Fold::Sum, Axes { time: true, batch: true, index: true }, bent);
    output(&mut net, "loss", loss);
    for seed in 0..8 {
        check_differences(&net, seed, false);
        check_transpose(&net, seed, None);
    }
}

#[test]
fn an_extreme_is_shared_among_equal_elements() {
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[4]));
    let y = net.graph.fold(Fold::Max, Axes { index: true, ..Axes::default() }, x);
    output(&mut net, "y", y);
    let at = [array::<f64>(&ty("b", &[4]), 1, &[2.0, 1.0, 2.0, 0.0])];
    let along = [array::<f64>(&ty("b", &[4]), 1, &[1.0, 5.0, 2.0, 5.0])];
    let of = |inputs| Inputs { inputs, params: &[], slots: &[] };
    let run = NetRun { net: &net, inputs: of(&at), call: CALL };
    let base = run.run(&Mode { record: true, ..Mode::default() }).unwrap();
    assert_eq!(run.jvp(&base, false, &of(&along), None).unwrap().values[y.idx()].data, [1.5]);
}

#[test]
fn a_surrogate_without_primitive_cannot_be_relaxed() {
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[2]));
    net.graph.surrogates.push(crate::step::SurrogateFn { primitive: None, ..surrogate(&ty("b", &[2])) });
    net.graph.push(Op::Spike { surrogate: Some(0), strict: true }, &[x], ty("b", &[2]));
    let at = [array::<f64>(&ty("b", &[2]), 1, &[1.0, 2.0])];
    let run = NetRun { net: &net, inputs: Inputs { inputs: &at, params: &[], slots: &[] }, call: CALL };
    let error = run.run(&Mode { relaxed: true, ..Mode::default() }).unwrap_err();
    assert_eq!(error, "surrogate logistic has no primitive");
}

#[test]
fn rules_that_are_no_straight_lines_are_reported() {
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[2]));
    let mut rule = Graph::default();
    rule.push(Op::Input(0), &[], ty("b", &[2]));
    let g = rule.push(Op::Input(1), &[], ty("b", &[2]));
    let squared = rule.pointwise(Pw::Mul, &[g, g]);
    net.graph.customs.push(crate::step::Fragment {
        name: "square".into(),
        graph: rule,
        results: vec![squared],
    });
    let y = net.graph.push(Op::Custom(0), &[x, x], ty("b", &[2]));
    output(&mut net, "y", y);
    let at = [array::<f64>(&ty("b", &[2]), 1, &[1.0, 2.0])];
    let run = NetRun { net: &net, inputs: Inputs { inputs: &at, params: &[], slots: &[] }, call: CALL };
    let base = run.run(&Mode { record: true, ..Mode::default() }).unwrap();
    let error = run.run(&Mode { frozen: Some(&base), ..Mode::default() }).unwrap_err();
    assert_eq!(
        error,
        "the backward rule of square is not proportional to the gradient: no tangent is known for it"
    );
}

#[test]
fn truncated_windows_cut_tangents_as_they_cut_gradients() {
    let mut cut = 0;
    for seed in 0..SEEDS {
        let net = net_with_loss(seed, true);
        cut += u64::from(check_transpose(&net, seed, Some(2)) != check_transpose(&net, seed, None));
    }
    assert!(cut > SEEDS / 10, "{cut}");
}

#[test]
fn passes_keep_values_and_gradients() {
    for seed in 0..SEEDS {
        let mut net = net_with_loss(seed, true);
        let loss = net.outputs.iter().find(|o| o.name == "loss").unwrap().val;
        for (p, grad) in differentiate::adjoint(&mut net, loss, None).grads.iter().enumerate() {
            let sink = Sink::Grad(p);
            net.outputs.extend(grad.map(|val| Output { name: format!("grad {p}"), val, sink }));
        }
        let passed = crate::net::passes::run(net.clone());
        assert_eq!(crate::net::verify::verify(&passed), Ok(()), "seed {seed}\n{net}\n{passed}");
        let point = Point::new(&net, seed);
        let run = |net: &Net| point.run(net, 0.0, &Mode::default());
        let (before, after) = (run(&net), run(&passed));
        for output in &net.outputs {
            let [a, b] =
                [before.output(&net, &output.name), after.output(&passed, &output.name)].map(Option::unwrap);
            let b = b.widened(&a.ty, STEPS);
            let same = a.data.iter().zip(&b.data).all(|(a, b)| (a - b).abs() <= 1e-10 * (1.0 + a.abs()));
            assert!(same, "seed {seed}: {}\n{net}\n{passed}", output.name);
        }
    }
}
