//! Leaves out results of scans that nothing reads, states that no result needs, operands that no body reads.
//!
//! After `sum_in_scan`, which leaves sequences unread, and after the backward pass, which asks for more results. `Op::Scan` stands for
//! the first result that is left; the others follow as `Op::ScanOut`.

use crate::net::{Net, Scan, ScanOut};
use crate::step::{Op, ValId};

/// Runs the pass.
pub fn run(net: &mut Net) {
    let live = live_nodes(net);
    for at in 0..net.graph.nodes.len() {
        if let Op::Scan(scan) = net.graph.nodes[at].op {
            outs(net, ValId(at as u32), scan, &live);
            states(&mut net.scans[scan]);
            operands(net, at, scan);
        }
    }
}

/// Only leaves out results: states and operands stay as they are.
pub(super) fn outs_only(net: &mut Net) {
    let live = live_nodes(net);
    for at in 0..net.graph.nodes.len() {
        if let Op::Scan(scan) = net.graph.nodes[at].op {
            outs(net, ValId(at as u32), scan, &live);
        }
    }
}

fn live_nodes(net: &Net) -> Vec<bool> {
    let mut live = vec![false; net.graph.nodes.len()];
    let mut stack: Vec<ValId> = net.outputs.iter().map(|o| o.val).collect();
    while let Some(val) = stack.pop() {
        if !std::mem::replace(&mut live[val.idx()], true) {
            stack.extend(&net.graph.node(val).args);
        }
    }
    live
}

/// Whether a node reads the scan node's own value, the first result.
fn reads_first(net: &Net, scan: ValId, live: &[bool]) -> bool {
    let by_node = net
        .graph
        .nodes
        .iter()
        .enumerate()
        .any(|(at, node)| live[at] && !matches!(node.op, Op::ScanOut(_)) && node.args.contains(&scan));
    by_node || net.outputs.iter().any(|o| o.val == scan)
}

fn outs(net: &mut Net, node: ValId, scan: usize, live: &[bool]) {
    let readers: Vec<(usize, usize)> = net
        .graph
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(at, n)| match n.op {
            Op::ScanOut(k) if n.args[0] == node && live[at] => Some((at, k)),
            _ => None,
        })
        .collect();
    let n = net.scans[scan].outs.len();
    let mut keep: Vec<bool> = (0..n).map(|k| readers.iter().any(|(_, r)| *r == k)).collect();
    let first = reads_first(net, node, live);
    keep[0] |= first || !keep.iter().any(|k| *k);
    let place: Vec<usize> = (0..n).map(|k| keep[..k].iter().filter(|k| **k).count()).collect();
    let old = std::mem::take(&mut net.scans[scan].outs);
    net.scans[scan].outs = old.into_iter().zip(&keep).filter(|(_, k)| **k).map(|(o, _)| o).collect();
    if !keep[0] {
        // The node now stands for what was another result: of its type.
        let (at, _) = readers[readers.iter().position(|(_, k)| place[*k] == 0).expect("one is kept")];
        net.graph.nodes[node.idx()].ty = net.graph.nodes[at].ty.clone();
        net.graph.nodes[node.idx()].name = net.graph.nodes[at].name.clone();
    }
    for (at, k) in readers {
        if place[k] == 0 {
            redirect(net, ValId(at as u32), node);
        } else {
            net.graph.nodes[at].op = Op::ScanOut(place[k]);
        }
    }
}

/// Readers of `from` read `to`.
fn redirect(net: &mut Net, from: ValId, to: ValId) {
    for node in &mut net.graph.nodes {
        for arg in node.args.iter_mut().filter(|a| **a == from) {
            *arg = to;
        }
    }
    for output in net.outputs.iter_mut().filter(|o| o.val == from) {
        output.val = to;
    }
}

/// States that no result depends on go; `Prev` of them is dead then.
fn states(scan: &mut Scan) {
    let mut live = vec![false; scan.body.nodes.len()];
    let mut needed = vec![false; scan.states.len()];
    let mut stack: Vec<ValId> = Vec::new();
    for out in &scan.outs {
        match out {
            ScanOut::Each(v) | ScanOut::Sum(v) => stack.push(*v),
            ScanOut::Final(s) => {
                needed[*s] = true;
                stack.extend([scan.states[*s].next, scan.states[*s].init]);
            }
        }
    }
    while let Some(val) = stack.pop() {
        if std::mem::replace(&mut live[val.idx()], true) {
            continue;
        }
        let node = scan.body.node(val);
        stack.extend(&node.args);
        if let Op::Prev(s) = node.op {
            needed[s] = true;
            stack.extend([scan.states[s].next, scan.states[s].init]);
        }
    }
    if needed.iter().all(|n| *n) {
        return;
    }
    let place: Vec<usize> = (0..needed.len()).map(|s| needed[..s].iter().filter(|n| **n).count()).collect();
    let old = std::mem::take(&mut scan.states);
    scan.states = old.into_iter().zip(&needed).filter(|(_, n)| **n).map(|(s, _)| s).collect();
    for (at, node) in scan.body.nodes.iter_mut().enumerate() {
        if let Op::Prev(s) = node.op {
            // A dead `Prev` is left as a number until the body is cleaned up.
            node.op = if live[at] { Op::Prev(place[s]) } else { Op::Const(0.0) };
        }
    }
    for out in &mut scan.outs {
        if let ScanOut::Final(s) = out {
            *s = place[*s];
        }
    }
}

/// Operands that the body does not read go.
fn operands(net: &mut Net, at: usize, scan: usize) {
    let (graph, map) = {
        let scan = &net.scans[scan];
        let mut roots: Vec<ValId> = Vec::new();
        for out in &scan.outs {
            if let ScanOut::Each(v) | ScanOut::Sum(v) = out {
                roots.push(*v);
            }
        }
        scan.states.iter().for_each(|s| roots.extend([s.init, s.next]));
        crate::step::passes::dce::run(&scan.body, &roots)
    };
    let scan = &mut net.scans[scan];
    let to = |v: ValId| map[v.idx()].expect("a root is kept");
    for out in &mut scan.outs {
        *out = match *out {
            ScanOut::Each(v) => ScanOut::Each(to(v)),
            ScanOut::Sum(v) => ScanOut::Sum(to(v)),
            ScanOut::Final(s) => ScanOut::Final(s),
        };
    }
    for state in &mut scan.states {
        (state.init, state.next) = (to(state.init), to(state.next));
    }
    scan.body = graph;
    let args = net.graph.nodes[at].args.clone();
    let mut kept: Vec<ValId> = Vec::new();
    let mut place = vec![None; args.len()];
    for node in &mut scan.body.nodes {
        if let Op::Input(k) = &mut node.op {
            *k = *place[*k].get_or_insert_with(|| {
                kept.push(args[*k]);
                kept.len() - 1
            });
        }
    }
    net.graph.nodes[at].args = kept;
}

/// Scans without a node go.
pub fn drop_unused(net: &mut Net) {
    let mut place = vec![None; net.scans.len()];
    let mut kept = Vec::new();
    for node in &mut net.graph.nodes {
        if let Op::Scan(scan) = &mut node.op {
            place[*scan] = Some(kept.len());
            kept.push(*scan);
            *scan = kept.len() - 1;
        }
    }
    let old = std::mem::take(&mut net.scans);
    let mut slots: Vec<Option<Scan>> = old.into_iter().map(Some).collect();
    net.scans = kept.into_iter().map(|scan| slots[scan].take().expect("one node for each scan")).collect();
}
