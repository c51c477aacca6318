//! Which values have to be exactly 0 where all that they sum is 0: what is compared with 0, divided by, or fires above 0. A convolution
//! may otherwise be made of fewer products, and is then 0 up to rounding. Decides nothing else.
//!
//! Asked from the results back: an operand has to be exact if its reader is such an operation, or if the reader turns 0 into 0 and has to
//! be exact itself, or divides it by what is another number for each sample, which may be as small. What is added to a number far from 0,
//! as a threshold is, need not be exact; neither need statistics of samples.

use super::{Net, ScanOut};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, State, ValId};

/// Numbers that rounding does not reach.
const FAR: f64 = 1e-3;

/// For every value whether its zeros count.
pub(crate) struct Zeros {
    /// Of the net.
    pub net: Vec<bool>,
    /// Of the body of each scan.
    pub bodies: Vec<Vec<bool>>,
}

/// Of a net and all its scans. A scan stands before everything that reads it, so one pass is enough.
pub(crate) fn that_count(net: &Net) -> Zeros {
    let mut zeros =
        Zeros { net: vec![false; net.graph.nodes.len()], bodies: vec![Vec::new(); net.scans.len()] };
    let mut results: Vec<Vec<bool>> = net.scans.iter().map(|scan| vec![false; scan.outs.len()]).collect();
    for val in net.graph.vals().rev() {
        let (node, counts) = (net.graph.node(val), zeros.net[val.idx()]);
        match node.op {
            Op::ScanOut(out) => {
                let Op::Scan(scan) = net.graph.node(node.args[0]).op else { unreachable!("verified") };
                results[scan][out] |= counts;
            }
            Op::Scan(scan) => {
                results[scan][0] |= counts;
                let of = &net.scans[scan];
                let outs = of.outs.iter().zip(&results[scan]).filter(|(_, counts)| **counts);
                let outs = outs.map(|(out, _)| match *out {
                    ScanOut::Each(val) | ScanOut::Sum(val) => val,
                    ScanOut::Final(state) => of.states[state].next,
                });
                zeros.bodies[scan] = of_body(&of.body, &of.states, outs.collect());
                for (body_val, counts) in of.body.vals().zip(&zeros.bodies[scan]) {
                    if let Op::Input(k) = of.body.node(body_val).op {
                        zeros.net[node.args[k].idx()] |= counts;
                    }
                }
            }
            _ => operands(&net.graph, val, counts, &mut zeros.net),
        }
    }
    zeros
}

/// Of the body of a scan of which the zeros of these values count: until the states do not change any more.
fn of_body(body: &Graph, states: &[State], results: Vec<ValId>) -> Vec<bool> {
    let mut zeros = vec![false; body.nodes.len()];
    results.iter().for_each(|val| zeros[val.idx()] = true);
    loop {
        let before = zeros.clone();
        for val in body.vals().rev() {
            let counts = zeros[val.idx()];
            match body.node(val).op {
                Op::Prev(state) => {
                    for from in [states[state].next, states[state].init] {
                        zeros[from.idx()] |= counts;
                    }
                }
                _ => operands(body, val, counts, &mut zeros),
            }
        }
        if zeros == before {
            return zeros;
        }
    }
}

/// Marks the operands of a value.
fn operands(graph: &Graph, val: ValId, counts: bool, zeros: &mut [bool]) {
    let node = graph.node(val);
    for (at, arg) in node.args.iter().enumerate() {
        let mut others = node.args.iter().enumerate().filter(|(other, _)| *other != at);
        let beside_number = others.clone().any(|(_, other)| is_offset(graph, *other));
        zeros[arg.idx()] |= match &node.op {
            Op::Spike { .. } => true,
            Op::Pointwise(Pw::Div) => counts || at == 1 || others.any(|(_, other)| graph.ty(*other).batch),
            Op::Pointwise(op) => of_operation(*op, at, beside_number, counts),
            Op::Fold { axes, .. } => counts && !axes.batch,
            op => counts && !op.is_weight_gradient(),
        };
    }
}

/// Whether the zeros of operand `at` count.
fn of_operation(op: Pw, at: usize, beside_number: bool, counts: bool) -> bool {
    match (op, at) {
        (Pw::Ln | Pw::Sqrt | Pw::Sign | Pw::Floor | Pw::And | Pw::Or | Pw::Not, _) => true,
        (Pw::Pow | Pw::Select, 0) => true,
        (Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne, _) => !beside_number,
        (Pw::Add | Pw::Sub, _) => counts && !beside_number,
        // Of 0 these make another number, or a whole one.
        (Pw::Exp | Pw::Sigmoid | Pw::Exprel | Pw::Cos | Pw::Round | Pw::Pow, _) => false,
        (Pw::Neg | Pw::Abs | Pw::Tanh | Pw::Sin | Pw::Arctan | Pw::Erf | Pw::Relu, _) => counts,
        (Pw::Mul | Pw::Div | Pw::Min | Pw::Max | Pw::Select, _) => counts,
    }
}

/// Whether a value is a number far from 0 (far above any rounding), or such a number and something else: a threshold that adapts.
fn is_offset(graph: &Graph, val: ValId) -> bool {
    let is_number = |val: &ValId| matches!(graph.node(*val).op, Op::Const(c) if c.abs() >= FAR);
    let node = graph.node(val);
    is_number(&val) || matches!(node.op, Op::Pointwise(Pw::Add)) && node.args.iter().any(is_number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Scan;
    use crate::step::{Input, Param, Slide, Ty};
    use snn_runtime::windows::Windows;

    /// A convolution, what `reads` makes of it, and whether its zeros count then.
    fn counts(reads: impl Fn(&mut Net, ValId) -> ValId) -> bool {
        let over = Windows {
            channels: [2, 2],
            size: [4, 4],
            kernel: [3, 3],
            stride: [1, 1],
            padding: [1, 1],
            groups: 1,
        };
        let mut net = Net { steps: 2, shard_batch: 1, shards: 1, ..Net::default() };
        let ty = Ty { time: true, batch: true, shape: vec![32] };
        net.inputs.push(Input { name: "x".into(), ty: ty.clone(), spikes: false });
        net.params.push(Param { name: "w".into(), shape: vec![18, 2], trained: true });
        let x = net.graph.push(Op::Input(0), &[], ty);
        let w = net.graph.push(Op::Param(0), &[], Ty::tensor(&[18, 2]));
        let conv = net.graph.slide(Slide::Conv, over, &[x, w]);
        let _ = reads(&mut net, conv);
        that_count(&net).net[conv.idx()]
    }

    fn spike(graph: &mut Graph, of: ValId) -> ValId {
        let ty = graph.ty(of).clone();
        graph.push(Op::Spike { surrogate: None, strict: true }, &[of], ty)
    }

    #[test]
    fn they_count_where_something_is_divided_by_them_or_compared_with_0() {
        assert!(!counts(|_, conv| conv));
        assert!(counts(|net, conv| net.graph.pointwise(Pw::Div, &[conv, conv])));
        assert!(counts(|net, conv| net.graph.pointwise(Pw::Sqrt, &[conv])));
        assert!(counts(|net, conv| spike(&mut net.graph, conv)));
        let compared = |number: f64| {
            move |net: &mut Net, conv: ValId| {
                let number = net.graph.constant(number);
                net.graph.pointwise(Pw::Eq, &[conv, number])
            }
        };
        assert!(counts(compared(0.0)));
        assert!(!counts(compared(0.5)));
        let divided_by = |op: Op, batch: bool| {
            move |net: &mut Net, conv: ValId| {
                let by = net.graph.push(op.clone(), &[], Ty { time: batch, batch, shape: vec![32] });
                net.graph.pointwise(Pw::Div, &[conv, by])
            }
        };
        assert!(counts(divided_by(Op::Input(0), true)), "by what may be as small");
        assert!(!counts(divided_by(Op::Const(2.0), false)));
        let beside = |number: f64| {
            move |net: &mut Net, conv: ValId| {
                let number = net.graph.constant(number);
                let sum = net.graph.pointwise(Pw::Add, &[conv, number]);
                net.graph.pointwise(Pw::Ln, &[sum])
            }
        };
        assert!(counts(beside(1e-6)));
        assert!(!counts(beside(1.0)));
    }

    #[test]
    fn a_threshold_and_statistics_of_samples_make_them_not_count() {
        let fires_above = |theta: f64| {
            move |net: &mut Net, conv: ValId| {
                let theta = net.graph.constant(theta);
                let over = net.graph.pointwise(Pw::Sub, &[conv, theta]);
                spike(&mut net.graph, over)
            }
        };
        assert!(counts(fires_above(0.0)));
        assert!(!counts(fires_above(1.0)));
        let root_of_sum = |batch: bool| {
            move |net: &mut Net, conv: ValId| {
                let axes = crate::step::Axes { batch, time: batch, index: !batch };
                let ty = Ty { time: !batch, batch: !batch, shape: if batch { vec![32] } else { vec![] } };
                let op = Op::Fold { fold: crate::step::ops::Fold::Sum, axes };
                let sum = net.graph.push(op, &[conv], ty);
                net.graph.pointwise(Pw::Sqrt, &[sum])
            }
        };
        assert!(counts(root_of_sum(false)));
        assert!(!counts(root_of_sum(true)));
    }

    /// `v = v + x`, and `v > theta` of the step before.
    #[test]
    fn they_are_asked_for_through_states() {
        let integrates = |theta: f64| {
            move |net: &mut Net, conv: ValId| {
                let of = Ty { time: false, batch: true, shape: vec![32] };
                let mut g = Graph::default();
                let (x, v) = (g.push(Op::Input(0), &[], of.clone()), g.push(Op::Prev(0), &[], of.clone()));
                let (init, theta) = (g.constant(0.0), g.constant(theta));
                let next = g.pointwise(Pw::Add, &[v, x]);
                let over = g.pointwise(Pw::Sub, &[v, theta]);
                let fired = spike(&mut g, over);
                let states = vec![State { name: "v".into(), init, next, delay: 1, ty: of.clone() }];
                let outs = vec![ScanOut::Each(fired)];
                net.scans.push(Scan { name: "h".into(), body: g, states, outs, reverse: false });
                net.graph.push(Op::Scan(0), &[conv], Ty { time: true, ..of })
            }
        };
        assert!(counts(integrates(0.0)));
        assert!(!counts(integrates(1.0)));
    }
}
