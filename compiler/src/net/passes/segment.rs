//! The backward pass makes forward sequences again instead of reading them: then nothing of the length of the presentation is kept.
//!
//! Before: `%5 = scan h` (forward) gives the tape `%6 = out 1 of %5` that `%9 = scan h'` (backward) reads. After: `%5` gives only what the
//! forward pass itself reads; `%7 = scan h` (backward), a copy that [`Segments`] calls a replay of it, gives the tape. Shifts in
//! time become scans, whose states can be kept at the start of a segment. Correct because equal nodes have equal values. Not in the list of
//! passes: only for nets that have to do with less memory, and after all others, which would find the copies to be equal.

use super::{on_body, on_graph, prune_scans};
use crate::net::segments::Segments;
use crate::net::{Net, Scan, ScanOut};
use crate::step::{Graph, Node, Op, State, Ty, ValId};
use snn_runtime::program::Section;
use std::collections::{BTreeMap, BTreeSet};

/// The net in segments of `steps`; none if it cannot be cut like that.
pub fn run(net: &Net, steps: usize) -> Option<Net> {
    if steps == 0 || !net.steps.is_multiple_of(steps) {
        return None;
    }
    let mut net = net.clone();
    shifts_as_scans(&mut net);
    let again = made_again(&net);
    let mut cut = Cut {
        out: Net {
            graph: Graph { nodes: Vec::new(), ..net.graph.clone() },
            segments: Some(Segments { steps, replays: vec![None; net.scans.len()], alone: false }),
            ..net.clone()
        },
        kept: vec![None; net.graph.nodes.len()],
        copies: BTreeMap::new(),
        net: &net,
    };
    let forward = |val: &ValId| net.graph.node(*val).section == Section::Forward;
    net.graph.vals().filter(forward).for_each(|val| cut.keep(val));
    again.iter().for_each(|val| cut.copy(*val, &again));
    net.graph.vals().filter(|val| !forward(val)).for_each(|val| cut.keep(val));
    let mut out = cut.out;
    for output in &mut out.outputs {
        output.val = cut.kept[output.val.idx()]?;
    }
    drop_unread(&mut out)?;
    debug_assert_eq!(crate::net::verify::verify(&out), Ok(()));
    Some(out)
}

/// A sequence shifted by `d` steps is what a state with delay `d` was.
fn shifts_as_scans(net: &mut Net) {
    for val in net.graph.vals().collect::<Vec<_>>() {
        let node = net.graph.node(val).clone();
        let Op::Delay { steps } = node.op else { continue };
        if !node.ty.batch || steps == 0 {
            continue;
        }
        let of_step = |ty: &Ty| Ty { time: false, ..ty.clone() };
        let (ty, mut body) = (of_step(&node.ty), Graph::default());
        let next = body.push(Op::Input(0), &[], of_step(net.graph.ty(node.args[0])));
        let before = body.push(Op::Prev(0), &[], ty.clone());
        let init = body.constant(0.0);
        let name = if node.name.is_empty() { "shift".to_string() } else { format!("shift {}", node.name) };
        let states = vec![State { name: name.clone(), init, next, delay: steps.unsigned_abs(), ty }];
        let outs = vec![ScanOut::Each(before)];
        net.scans.push(Scan { name, body, states, outs, reverse: steps < 0 });
        net.graph.nodes[val.idx()].op = Op::Scan(net.scans.len() - 1);
    }
}

/// Forward sequences that the backward pass reads, and those that they are made of; nodes of scans with their results.
fn made_again(net: &Net) -> BTreeSet<ValId> {
    let is_forward = |val: ValId| net.graph.node(net.maker(val)).section == Section::Forward;
    // A result of a scan only names it.
    let is_reader = |node: &&Node| node.section != Section::Forward && !matches!(node.op, Op::ScanOut(_));
    let readers = net.graph.nodes.iter().filter(is_reader);
    let mut stack: Vec<ValId> = readers.flat_map(|node| node.args.iter().copied()).collect();
    let mut again = BTreeSet::new();
    while let Some(val) = stack.pop() {
        let wanted = net.is_sequence(val) && is_forward(val);
        if wanted && again.insert(val) {
            let maker = net.maker(val);
            stack.extend(&net.graph.node(maker).args);
        }
    }
    again
}

struct Cut<'a> {
    net: &'a Net,
    out: Net,
    /// Where a node of the old net is.
    kept: Vec<Option<ValId>>,
    /// Where a forward sequence is made again.
    copies: BTreeMap<ValId, ValId>,
}

impl Cut<'_> {
    fn push(&mut self, node: Node) -> ValId {
        self.out.graph.nodes.push(node);
        ValId(self.out.graph.nodes.len() as u32 - 1)
    }

    /// An operand: outside of the forward pass the copy, if there is one.
    fn operand(&self, val: ValId, section: Section) -> ValId {
        let copy = self.copies.get(&val).filter(|_| section != Section::Forward);
        copy.copied().or(self.kept[val.idx()]).expect("segments: operands come first")
    }

    fn keep(&mut self, val: ValId) {
        let mut node = self.net.graph.node(val).clone();
        let section = node.section;
        // The results of a scan of another section are looked up as they are.
        node.args = node.args.iter().map(|a| self.operand_of(&node.op, *a, section)).collect();
        self.kept[val.idx()] = Some(self.push(node));
    }

    fn operand_of(&self, op: &Op, arg: ValId, section: Section) -> ValId {
        match op {
            Op::ScanOut(_) => self.kept[arg.idx()].expect("segments: scans come before their results"),
            _ => self.operand(arg, section),
        }
    }

    /// Makes a forward sequence once more.
    fn copy(&mut self, val: ValId, again: &BTreeSet<ValId>) {
        if self.copies.contains_key(&val) {
            return;
        }
        let maker = self.net.maker(val);
        let mut node = self.net.graph.node(maker).clone();
        node.section = Section::Backward;
        for arg in &node.args {
            if again.contains(arg) {
                self.copy(*arg, again);
            }
        }
        node.args = node.args.iter().map(|a| self.operand(*a, Section::Backward)).collect();
        match node.op {
            Op::Scan(scan) => self.copy_scan(maker, scan, node, again),
            _ => {
                let copy = self.push(node);
                self.copies.insert(val, copy);
            }
        }
    }

    fn copy_scan(&mut self, maker: ValId, scan: usize, node: Node, again: &BTreeSet<ValId>) {
        let result = |val: &ValId| match self.net.graph.node(*val).op {
            Op::ScanOut(k) => k,
            _ => 0,
        };
        let wanted: Vec<(ValId, usize)> =
            again.iter().filter(|v| self.net.maker(**v) == maker).map(|v| (*v, result(v))).collect();
        let mut places: Vec<usize> = wanted.iter().map(|(_, k)| *k).collect();
        places.sort_unstable();
        places.dedup();
        let outs = places.iter().map(|k| self.net.scans[scan].outs[*k]).collect();
        self.out.scans.push(Scan { outs, ..self.net.scans[scan].clone() });
        if let Some(segments) = &mut self.out.segments {
            segments.replays.push(Some(scan));
        }
        let op = Op::Scan(self.out.scans.len() - 1);
        let first =
            self.net.graph.node(wanted.iter().find(|(_, k)| *k == places[0]).expect("one is wanted").0);
        let copy = self.push(Node { op, ty: first.ty.clone(), name: first.name.clone(), ..node });
        for (val, k) in wanted {
            let at = places.iter().position(|p| *p == k).expect("among them");
            let of = match at {
                0 => copy,
                _ => {
                    let result = self.net.graph.node(val).clone();
                    self.push(Node {
                        op: Op::ScanOut(at),
                        args: vec![copy],
                        section: Section::Backward,
                        ..result
                    })
                }
            };
            self.copies.insert(val, of);
        }
    }
}

/// Results and values that nothing reads any more go. None if a scan is not read at all: then its replay would have no states.
fn drop_unread(net: &mut Net) -> Option<()> {
    on_graph(net, crate::step::passes::dce::run);
    prune_scans::outs_only(net);
    on_graph(net, crate::step::passes::dce::run);
    let mut there = vec![false; net.scans.len()];
    for node in &net.graph.nodes {
        if let Op::Scan(k) = node.op {
            there[k] = true;
        }
    }
    if there.contains(&false) {
        return None;
    }
    for scan in 0..net.scans.len() {
        on_body(net, scan, crate::step::passes::dce::run);
    }
    Some(())
}
