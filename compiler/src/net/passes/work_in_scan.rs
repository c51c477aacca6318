//! Work on each step between a scan and a sum over time moves into the scan: the sequences in between are never made.
//!
//! Before: `%5 = scan h (each %3, each %4)`, `%7 = sub %5, %6`, `%8 = mul %7, %7`, `%9 = fold sum [time] %8`; after: the body of `h` has
//! the difference and the square, and `%8` is one more result of it, which `sum_in_scan` then turns into a sum. That is how a loss on the
//! traces of a layer is accumulated in its time loop, and how its gradient is made there in the backward pass. Correct because
//! a body computes at each step what the net computes for all of them, from the same values. Only what depends on one forward scan and on
//! values that stand before it, and that nothing else reads. Before `sum_in_scan`, which takes the rest of the way.

use super::sum_in_scan::scan_result;
use crate::net::{Net, ScanOut};
use crate::step::ops::Fold;
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::{BTreeMap, BTreeSet};

/// Runs the pass.
pub fn run(net: &mut Net) {
    for at in 0..net.graph.nodes.len() {
        let node = &net.graph.nodes[at];
        let is_sum = matches!(node.op, Op::Fold { fold: Fold::Sum, axes } if axes.time);
        if !is_sum || scan_result(net, node.args[0]).is_some() {
            continue;
        }
        let root = node.args[0];
        let Some(scan) = Work::scan_of(net, root) else { continue };
        if let Some(work) = Work::copied(net, root, scan) {
            work.place(net, root, ValId(at as u32));
        }
    }
}

/// Work that fits in a scan.
struct Work {
    scan: usize,
    node: ValId,
    /// The body with the work in it, and its result there.
    body: Graph,
    result: ValId,
    operands: Vec<ValId>,
    /// What was copied, without leaves.
    inside: BTreeSet<ValId>,
    /// Value in the body of each value of the net.
    map: BTreeMap<ValId, ValId>,
}

/// Whether a node can be copied: it works on each element of each step by itself. (A sum over the neurons would be made step by step.)
fn is_work(op: &Op) -> bool {
    matches!(op, Op::Pointwise(_) | Op::Detach | Op::Straight | Op::GradScale)
}

impl Work {
    /// The forward scan whose results a value is made of; none if there are several, or none.
    fn scan_of(net: &Net, root: ValId) -> Option<(usize, ValId)> {
        let (mut stack, mut seen, mut found) = (vec![root], BTreeSet::new(), None);
        while let Some(val) = stack.pop() {
            if !seen.insert(val) {
                continue;
            }
            match scan_result(net, val) {
                Some((scan, node, _)) if found.is_none_or(|(known, _)| known == scan) => {
                    found = Some((scan, node));
                }
                // An earlier scan may be an operand of the last one.
                Some((scan, node, _)) => {
                    found = found.map(|(s, n)| if node > n { (scan, node) } else { (s, n) })
                }
                None if is_work(&net.graph.node(val).op) => stack.extend(&net.graph.node(val).args),
                None => {}
            }
        }
        found.filter(|(scan, _)| !net.scans[*scan].reverse)
    }

    /// The work in a copy of the body; none if it does not fit.
    fn copied(net: &Net, root: ValId, (scan, node): (usize, ValId)) -> Option<Work> {
        let mut work = Work {
            scan,
            node,
            body: net.scans[scan].body.clone(),
            result: root,
            operands: net.graph.node(node).args.clone(),
            inside: BTreeSet::new(),
            map: BTreeMap::new(),
        };
        work.result = work.copy(net, root)?;
        let wanted = Ty { time: false, ..net.graph.ty(root).clone() };
        (*work.body.ty(work.result) == wanted).then_some(work)
    }

    fn copy(&mut self, net: &Net, val: ValId) -> Option<ValId> {
        if let Some(&known) = self.map.get(&val) {
            return Some(known);
        }
        let node = net.graph.node(val);
        let new = match scan_result(net, val) {
            Some((scan, _, out)) if scan == self.scan => match net.scans[scan].outs[out] {
                ScanOut::Each(inner) => inner,
                ScanOut::Sum(_) | ScanOut::Final(_) => return None,
            },
            None if is_work(&node.op) => {
                self.inside.insert(val);
                let args = node.args.iter().map(|a| self.copy(net, *a)).collect::<Option<Vec<_>>>()?;
                self.body.push(node.op.clone(), &args, Ty { time: false, ..node.ty.clone() })
            }
            _ => match node.op {
                Op::Const(value) => self.body.constant(value),
                // What stands before the scan can be an operand of it.
                _ if val < self.node => {
                    let k = self.operands.iter().position(|o| *o == val).unwrap_or_else(|| {
                        self.operands.push(val);
                        self.operands.len() - 1
                    });
                    self.body.push(Op::Input(k), &[], Ty { time: false, ..node.ty.clone() })
                }
                _ => return None,
            },
        };
        self.map.insert(val, new);
        Some(new)
    }

    /// The root becomes a result of the scan, if only the work and the sum at `reader` read what is inside.
    fn place(self, net: &mut Net, root: ValId, reader: ValId) {
        let is_own = |at: usize| self.inside.contains(&ValId(at as u32)) || at == reader.idx();
        let read_elsewhere = net
            .graph
            .nodes
            .iter()
            .enumerate()
            .any(|(at, node)| !is_own(at) && node.args.iter().any(|a| self.inside.contains(a)));
        if read_elsewhere || net.outputs.iter().any(|o| self.inside.contains(&o.val)) {
            return;
        }
        let scan = &mut net.scans[self.scan];
        scan.body = self.body;
        scan.outs.push(ScanOut::Each(self.result));
        let k = scan.outs.len() - 1;
        net.graph.nodes[self.node.idx()].args = self.operands;
        let made = &mut net.graph.nodes[root.idx()];
        (made.op, made.args) = (Op::ScanOut(k), vec![self.node]);
    }
}

#[cfg(test)]
mod tests {
    use crate::analyze::Overrides;
    use crate::diag::Diagnostics;
    use crate::pipeline::{self, DataFacts, Purpose};
    use crate::source::Sources;
    use crate::step::Op;

    /// Values with a time axis in the training net that are neither results of scans nor products, and number of scans.
    fn sequences(loss: &str) -> (Vec<String>, usize) {
        let text = format!(
            "model Net {{
                input x: [6]
                let a = Lif[5](reset = hard)
                let b = Alif[4]
                let y = Integrator[3]
                x -> a : dense
                a -> b : dense
                b -> y : dense
                output y.v
            }}
            data digits = std.data.digits(split = 0.8)
            train Net on digits {{ steps 4   batch 4   loss {loss} }}"
        );
        let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
        let file = sources.add("test.snn", &text);
        let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
        assert!(!diags.has_errors());
        let (model, job) = (&checked.program.models[0], &checked.program.jobs[0]);
        let data = DataFacts { target_width: 3, spikes: false };
        let net = pipeline::net(model, job, Purpose::Train, 4, data, true).expect("a net").net;
        let made = net
            .graph
            .nodes
            .iter()
            .filter(|n| n.ty.time && !matches!(n.op, Op::Scan(_) | Op::ScanOut(_) | Op::MatMul { .. }));
        (made.map(|n| format!("{:?} {}", n.op, n.name)).collect(), net.scans.len())
    }

    #[test]
    fn a_loss_on_all_layers_makes_no_sequences_of_its_own() {
        assert_eq!(sequences("cross_entropy(mean(y.v)) + rmp_loss()"), (vec![], 6));
        assert_eq!(
            sequences(
                "cross_entropy(mean(y.v)) + 0.1 * mean(mean(abs(b.b), over = time), over = population)"
            ),
            (vec![], 6)
        );
    }

    #[test]
    fn what_is_read_elsewhere_stays() {
        let twice = "cross_entropy(mean(y.v)) + mean(mean(abs(a.v)) + max(abs(a.v)), over = population)";
        assert!(!sequences(twice).0.is_empty());
    }
}
