//! A condition that a backward scan makes of what a forward scan gave it is made in the forward scan: a bit is kept, not a number.
//!
//! Before: `%53 = out 1 of h (each %6)`, read by `h'`, whose body has `%7 = le (abs %53), 0.5` and reads it for nothing else; after: the
//! body of `h` has the comparison, `%53` is that, and the body of `h'` reads it as it is. Correct because both bodies compute the same
//! from the same numbers. Surrogates that are zero away from the threshold keep one such condition for each neuron and step,
//! which takes a thirty-second of the memory (`schedule/spikes`). After the backward pass, which asks for values; the other passes run once
//! more after it and leave out what is no longer read.

use super::sum_in_scan::{insert, scan_result};
use crate::net::{Net, Scan, ScanOut};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// Runs the pass; gives whether there was something to do.
pub fn run(net: &mut Net) -> bool {
    let mut changed = false;
    while let Some(found) = net.graph.vals().find_map(|at| Condition::find(net, at)) {
        found.make_forward(net);
        changed = true;
    }
    changed
}

/// A comparison in a backward body of which a forward body has all that it needs.
struct Condition {
    reader: usize,
    reader_node: ValId,
    /// The comparison in the body of the reader.
    val: ValId,
    /// The forward scan and its node.
    scan: usize,
    node: ValId,
    /// What is copied from the one body to the other, in order; operands of the reader are values of the forward body.
    work: Vec<ValId>,
    leaves: BTreeMap<ValId, ValId>,
    /// The operand of the reader that becomes the condition.
    operand: usize,
}

impl Condition {
    fn find(net: &Net, reader_node: ValId) -> Option<Condition> {
        let Op::Scan(reader) = net.graph.node(reader_node).op else { return None };
        let body = &net.scans[reader].body;
        let vals = body.vals().filter(|_| net.scans[reader].reverse);
        vals.filter(|v| matches!(body.node(*v).op, Op::Pointwise(Pw::Lt | Pw::Le | Pw::Eq)))
            .find_map(|val| Condition::of(net, reader, reader_node, val))
    }

    fn of(net: &Net, reader: usize, reader_node: ValId, val: ValId) -> Option<Condition> {
        let body = &net.scans[reader].body;
        let (mut work, mut leaves, mut from, mut operand) = (Vec::new(), BTreeMap::new(), None, None);
        let mut stack = vec![val];
        while let Some(at) = stack.pop() {
            if work.contains(&at) || leaves.contains_key(&at) {
                continue;
            }
            match body.node(at).op {
                Op::Pointwise(_) => {
                    work.push(at);
                    stack.extend(&body.node(at).args);
                }
                Op::Const(_) => work.push(at),
                Op::Input(k) => {
                    let (scan, node, out) = scan_result(net, net.graph.node(reader_node).args[k])?;
                    let ScanOut::Each(inner) = net.scans[scan].outs[out] else { return None };
                    let is_first = from.is_none_or(|(known, _)| known == scan);
                    if net.scans[scan].reverse || !is_first || net.scans[scan].body.ty(inner) != body.ty(at) {
                        return None;
                    }
                    from = Some((scan, node));
                    operand = operand.or(Some(k));
                    leaves.insert(at, inner);
                }
                _ => return None,
            }
        }
        work.sort();
        let (scan, node) = from?;
        let found = Condition { reader, reader_node, val, scan, node, work, leaves, operand: operand? };
        found.is_all_that_reads(&net.scans[reader]).then_some(found)
    }

    /// Whether nothing else in the body reads what is copied or the operands it is made of.
    fn is_all_that_reads(&self, reader: &Scan) -> bool {
        let body = &reader.body;
        let is_number = |v: ValId| matches!(body.node(v).op, Op::Const(_));
        let is_inside = |v: ValId| {
            self.leaves.contains_key(&v) || v != self.val && !is_number(v) && self.work.contains(&v)
        };
        let operands: Vec<usize> = self.leaves.keys().filter_map(|v| operand(body, *v)).collect();
        let is_other = |v: &ValId| !self.leaves.contains_key(v) && !self.work.contains(v);
        let reads = |v: ValId| {
            operand(body, v).is_some_and(|k| operands.contains(&k))
                || body.node(v).args.iter().any(|a| is_inside(*a))
        };
        let states = reader.states.iter().flat_map(|s| [s.init, s.next]);
        let outs = reader.outs.iter().filter_map(|out| match out {
            ScanOut::Each(v) | ScanOut::Sum(v) => Some(*v),
            ScanOut::Final(_) => None,
        });
        !body.vals().filter(is_other).any(reads) && !states.chain(outs).any(is_inside)
    }

    fn make_forward(self, net: &mut Net) {
        let mut map = self.leaves.clone();
        let from = std::mem::take(&mut net.scans[self.reader].body);
        let scan = &mut net.scans[self.scan];
        for at in &self.work {
            let mut node = from.node(*at).clone();
            node.args.iter_mut().for_each(|a| *a = map[a]);
            node.section = snn_runtime::program::Section::Forward;
            map.insert(*at, scan.body.push(node.op, &node.args, node.ty));
        }
        scan.outs.push(ScanOut::Each(map[&self.val]));
        let k = scan.outs.len() - 1;
        let mut result = net.graph.node(self.node).clone();
        let ty = from.ty(self.val).clone();
        (result.op, result.args, result.name) = (Op::ScanOut(k), vec![self.node], String::new());
        result.ty = Ty { time: true, ..ty };
        let reader = &mut net.scans[self.reader].body;
        *reader = from;
        let read = &mut reader.nodes[self.val.idx()];
        (read.op, read.args) = (Op::Input(self.operand), Vec::new());
        let at = self.node.idx() + 1;
        insert(net, at, result);
        net.graph.nodes[self.reader_node.idx() + 1].args[self.operand] = ValId(at as u32);
    }
}

/// Which operand a value of a body is.
fn operand(body: &Graph, val: ValId) -> Option<usize> {
    match body.node(val).op {
        Op::Input(k) => Some(k),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::before_decay::tests::training;
    use super::*;

    /// What the forward scan of a population gives at each step.
    fn given(surrogate: &str) -> Vec<Pw> {
        let net = training(surrogate, true);
        let scan = net.scans.iter().find(|s| s.name == "a").expect("a scan");
        let each = scan.outs.iter().filter_map(|out| match out {
            ScanOut::Each(v) => Some(&scan.body.node(*v).op),
            _ => None,
        });
        each.filter_map(|op| if let Op::Pointwise(op) = op { Some(*op) } else { None }).collect()
    }

    #[test]
    fn a_condition_is_kept_in_place_of_the_number_it_is_made_of() {
        assert_eq!(given("rect(1)"), [Pw::Le]);
        assert_eq!(given("atan"), [Pw::Sub], "the slope needs the number");
        assert_eq!(given("triangle"), [Pw::Sub], "the slope needs the number");
    }
}
