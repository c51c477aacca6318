//! A net in which every statement finds its operands in memory, and every result has a value of its own. No order, no memory.
//!
//! Before: `%3 = at_last 1`, output `w` is parameter 0; after: `%3 = detach 1`, `%4 = at_last %3`, `%9 = detach %0`, output `w`
//! is `%9`. Correct because `detach` is the identity. A weight gradient whose operands differ in the time axis gets a sum over the
//! steps, which is what it means. A convolution of which zeros count is told so. First, because all later decisions ask whether a value is a leaf.

use super::{is_leaf, nest};
use crate::net::{Net, Scan, ScanOut, Sink, zeros};
use crate::step::ops::Fold;
use crate::step::{Axes, Graph, Node, Op, Slide, Ty, ValId};
use std::collections::BTreeMap;

/// The prepared net.
pub(super) fn net(net: &Net) -> Net {
    let mut out = Net { graph: Graph::default(), ..net.clone() };
    let mut copies: BTreeMap<(ValId, Ty), ValId> = BTreeMap::new();
    let mut map: Vec<ValId> = Vec::with_capacity(net.graph.nodes.len());
    for val in net.graph.vals() {
        let mut node = net.graph.node(val).clone();
        node.args = node.args.iter().map(|a| map[a.idx()]).collect();
        let axes = node.args.iter().map(|a| out.graph.ty(*a)).fold(Ty::SCALAR, |all, ty| Ty {
            time: all.time || ty.time,
            batch: all.batch || ty.batch,
            ..all
        });
        let statement = !nest::fuses(&net.graph, val) && !matches!(node.op, Op::Scan(_) | Op::ScanOut(_));
        for arg in node.args.iter_mut().filter(|_| statement) {
            let ty = match node.op {
                Op::Delay { .. } => node.ty.clone(),
                // An image and a result go row by row.
                Op::Slide { slide: Slide::MaxToImage, .. } => {
                    Ty { shape: out.graph.ty(*arg).shape.clone(), ..axes.clone() }
                }
                _ => out.graph.ty(*arg).clone(),
            };
            if is_number(&out.graph.node(*arg).op) || *out.graph.ty(*arg) != ty {
                let key = (*arg, ty.clone());
                *arg = *copies.entry(key).or_insert_with(|| copy(&mut out.graph, *arg, ty));
            }
        }
        if node.op.is_weight_gradient() {
            same_steps(&mut out.graph, &mut node);
        }
        out.graph.nodes.push(node);
        map.push(ValId(out.graph.nodes.len() as u32 - 1));
    }
    for output in &mut out.outputs {
        output.val = map[output.val.idx()];
    }
    let mut results: BTreeMap<ValId, ValId> = BTreeMap::new();
    for k in 0..out.outputs.len() {
        let val = out.outputs[k].val;
        if matches!(out.outputs[k].sink, Sink::Named | Sink::Grad(_)) && needs_own_value(&out, val) {
            let ty = out.graph.ty(val).clone();
            out.outputs[k].val = *results.entry(val).or_insert_with(|| copy(&mut out.graph, val, ty));
        }
    }
    for node in out.graph.nodes.iter().filter(|n| matches!(n.op, Op::Scan(_))) {
        let Op::Scan(k) = node.op else { continue };
        out.scans[k] = scan(&out.scans[k], &node.args, &out.graph);
    }
    let zeros = zeros::that_count(&out);
    let bodies = out.scans.iter_mut().map(|scan| &mut scan.body).zip(&zeros.bodies);
    bodies.chain([(&mut out.graph, &zeros.net)]).for_each(|(graph, zeros)| exact(graph, zeros));
    out
}

/// Convolutions of which zeros count.
fn exact(graph: &mut Graph, zeros: &[bool]) {
    for (node, _) in graph.nodes.iter_mut().zip(zeros).filter(|(_, count)| **count) {
        if let Op::Slide { slide: slide @ Slide::Conv, .. } = &mut node.op {
            *slide = Slide::ExactConv;
        }
    }
}

/// Of a weight gradient with one operand that is the same at every step, the other is summed over the steps first.
fn same_steps(graph: &mut Graph, outer: &mut Node) {
    let time: Vec<bool> = outer.args.iter().map(|a| graph.ty(*a).time).collect();
    if time[0] == time[1] {
        return;
    }
    let long = outer.args[usize::from(time[1])];
    let ty = Ty { time: false, ..graph.ty(long).clone() };
    let op = Op::Fold { fold: Fold::Sum, axes: Axes { time: true, ..Axes::default() } };
    graph.nodes.push(Node { op, args: vec![long], ty, ..outer.clone() });
    outer.args[usize::from(time[1])] = ValId(graph.nodes.len() as u32 - 1);
}

/// Numbers have no place in memory.
fn is_number(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::Scalar(_))
}

/// Leaves lie where the runtime put them; a result of a scan without samples lies in the memory of each shard.
fn needs_own_value(net: &Net, val: ValId) -> bool {
    let node = net.graph.node(val);
    match node.op {
        Op::Scan(_) | Op::ScanOut(_) => !node.ty.batch,
        _ => is_leaf(&node.op),
    }
}

fn copy(graph: &mut Graph, val: ValId, ty: Ty) -> ValId {
    let node = Node { op: Op::Detach, args: vec![val], ty, ..graph.node(val).clone() };
    graph.nodes.push(node);
    ValId(graph.nodes.len() as u32 - 1)
}

/// Operands that are numbers become numbers of the body. Results and next values that are leaves, or that have fewer axes than
/// the state, become values of their own, so that the order of statements decides when they are read.
fn scan(scan: &Scan, operands: &[ValId], outer: &Graph) -> Scan {
    let mut scan = scan.clone();
    for node in &mut scan.body.nodes {
        if let Op::Input(k) = node.op
            && is_number(&outer.node(operands[k]).op)
        {
            node.op = outer.node(operands[k]).op.clone();
        }
    }
    let steady = steady(&scan, operands, outer);
    let own = |graph: &mut Graph, val: ValId, ty: Ty| -> ValId {
        let as_is = !steady[val.idx()] && *graph.ty(val) == ty;
        if as_is && !matches!(graph.node(val).op, Op::Prev(_) | Op::Input(_)) {
            val
        } else {
            copy(graph, val, ty)
        }
    };
    for k in 0..scan.outs.len() {
        if let ScanOut::Each(v) | ScanOut::Sum(v) = &mut scan.outs[k] {
            let ty = scan.body.ty(*v).clone();
            *v = own(&mut scan.body, *v, ty);
        }
    }
    for state in &mut scan.states {
        state.next = own(&mut scan.body, state.next, state.ty.clone());
    }
    scan
}

/// Values of a body that are the same at every step.
pub(super) fn steady(scan: &Scan, operands: &[ValId], outer: &Graph) -> Vec<bool> {
    let mut steady: Vec<bool> = Vec::with_capacity(scan.body.nodes.len());
    for node in &scan.body.nodes {
        steady.push(match node.op {
            Op::Prev(_) | Op::StepIndex | Op::Random { .. } => false,
            Op::Input(k) => !outer.ty(operands[k]).time,
            _ => node.args.iter().all(|a| steady[a.idx()]),
        });
    }
    steady
}
