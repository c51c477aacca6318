//! A sum over time of what a scan gives at each step is made in the scan: the sequence need not be stored.
//!
//! Before: `%5 = scan h (each %9)`, `%6 = fold sum [time] %5`; after: `%6 = out 1 of scan h (sum %9)`. A sum along more axes
//! keeps the others. Correct because a forward scan adds in ascending order of steps, as the fold does; with other
//! axes the order of the additions changes (time first). Before `prune_scans`, which drops the sequence if nothing else reads it.

use crate::net::{Net, Scan, ScanOut};
use crate::step::ops::Fold;
use crate::step::{Axes, Node, Op, Ty, ValId};

/// Runs the pass.
pub fn run(net: &mut Net) {
    for at in 0..net.graph.nodes.len() {
        let node = net.graph.nodes[at].clone();
        let Op::Fold { fold: Fold::Sum, axes } = node.op else { continue };
        let Some((scan, scan_node, out)) = scan_result(net, node.args[0]).filter(|_| axes.time) else {
            continue;
        };
        let ScanOut::Each(val) = net.scans[scan].outs[out] else { continue };
        if net.scans[scan].reverse {
            continue;
        }
        // The value keeps its place in the order of nodes: the fold itself becomes the result of the scan, or of
        // a fold along the other axes of a result that stands just after the scan.
        let rest = Axes { time: false, ..axes };
        if rest == Axes::default() {
            let k = sum_out(&mut net.scans[scan], val);
            net.graph.nodes[at].op = Op::ScanOut(k);
            net.graph.nodes[at].args = vec![scan_node];
        } else {
            split(net, at, scan, scan_node, val, rest);
        }
    }
}

/// The number of the result that is the sum of a value.
pub(super) fn sum_out(scan: &mut Scan, val: ValId) -> usize {
    let outs = &mut scan.outs;
    outs.iter().position(|o| *o == ScanOut::Sum(val)).unwrap_or_else(|| {
        outs.push(ScanOut::Sum(val));
        outs.len() - 1
    })
}

/// The scan, its node and which result a value is.
pub(super) fn scan_result(net: &Net, val: ValId) -> Option<(usize, ValId, usize)> {
    match net.graph.node(val).op {
        Op::Scan(scan) => Some((scan, val, 0)),
        Op::ScanOut(k) => {
            let node = net.graph.node(val).args[0];
            let Op::Scan(scan) = net.graph.node(node).op else { return None };
            Some((scan, node, k))
        }
        _ => None,
    }
}

/// Puts the sum over time in front of the fold along the rest: inserts a node before `at` and renumbers.
fn split(net: &mut Net, at: usize, scan: usize, scan_node: ValId, val: ValId, rest: Axes) {
    let k = sum_out(&mut net.scans[scan], val);
    let ty = net.scans[scan].body.ty(val).clone();
    let mut inserted = net.graph.nodes[at].clone();
    inserted.op = Op::ScanOut(k);
    inserted.args = vec![scan_node];
    inserted.ty = Ty { time: false, ..ty };
    inserted.name = String::new();
    insert(net, at, inserted);
    let fold = &mut net.graph.nodes[at + 1];
    fold.op = Op::Fold { fold: Fold::Sum, axes: rest };
    fold.args = vec![ValId(at as u32)];
}

/// The node that reads a value, and as which operand, if nothing else reads it.
pub(super) fn only_reader(net: &Net, val: ValId) -> Option<(ValId, usize)> {
    let mut reads = net.graph.vals().flat_map(|at| {
        let args = net.graph.node(at).args.iter().enumerate();
        args.filter(|(_, arg)| **arg == val).map(move |(k, _)| (at, k))
    });
    let found = reads.next()?;
    (reads.next().is_none() && net.outputs.iter().all(|o| o.val != val)).then_some(found)
}

/// Puts a node in front of node `at` and renumbers.
pub(super) fn insert(net: &mut Net, at: usize, node: Node) {
    let moved = |v: ValId| if v.idx() >= at { ValId(v.0 + 1) } else { v };
    for node in &mut net.graph.nodes[at..] {
        node.args.iter_mut().for_each(|a| *a = moved(*a));
    }
    net.graph.nodes.insert(at, node);
    for output in &mut net.outputs {
        output.val = moved(output.val);
    }
}
