//! Linear readouts leave the time axis: what is only summed over time, or read at the end, is a weighted sum of its input.
//!
//! Before: `%6 = matmul %4, %5` with the spikes `%4` of a scan `h`, and a scan `v = 0.9 v + %6` of which only the sum over time is
//! read. After: `h` sums its spikes with weights that say how much the input of each step adds to the result; one product of
//! that sum with `%5`; and what the readout makes of its biases alone. Correct because the body is linear with
//! constant factors, so that the result is the sum over steps of `w[t] * x[t] · W`. The weights are the adjoint of the readout: a
//! scan of numbers from the last step to the first. In the backward pass the gradients of `W` and of the spikes then need no
//! product for each step either.
//!
//! The order of additions changes: not in strict mode. A window of truncated BPTT would cut the readout but not the sum: not with one.
//! Not without a backward pass: the weighted sum costs what the products of few spikes do. After the other passes, which leave those
//! results of scans that are read; they run once more after it.

mod linear;

use super::super::{Net, Scan, ScanOut};
use super::sum_in_scan::{only_reader, scan_result, sum_out};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, State, Ty, ValId};
use linear::Linear;
use std::collections::BTreeMap;

/// Runs the pass; gives whether there was something to do.
pub fn run(net: &mut Net) -> bool {
    let mut changed = false;
    while let Some(readout) = net.graph.vals().find_map(|at| Readout::find(net, at)) {
        readout.leave(net);
        changed = true;
    }
    changed
}

/// A product with spikes that a readout takes in.
struct Source {
    /// Operand of the readout.
    operand: usize,
    /// Scan that makes the spikes, its node, and the value in its body.
    scan: usize,
    node: ValId,
    spikes: ValId,
    /// What they are multiplied with.
    weight: ValId,
    transposed: bool,
}

/// A scan that can leave the time axis.
struct Readout {
    scan: usize,
    node: ValId,
    sources: Vec<Source>,
    /// `next` of each state, and each result as a sum of states and operands.
    next: Vec<Linear>,
    outs: Vec<Linear>,
    /// Whether the results depend on something besides the sources.
    rest: bool,
}

impl Source {
    /// Operand `operand` of the scan at `reader`, if it is a product with what a scan gives at each step.
    fn find(net: &Net, reader: ValId, operand: usize) -> Option<Source> {
        let product = net.graph.node(reader).args[operand];
        let Op::MatMul { transposed } = net.graph.node(product).op else { return None };
        if only_reader(net, product) != Some((reader, operand)) {
            return None;
        }
        let [x, weight] = net.graph.node(product).args[..] else { return None };
        let (scan, node, out) = scan_result(net, x)?;
        let ScanOut::Each(spikes) = net.scans[scan].outs[out] else { return None };
        (!net.scans[scan].reverse).then_some(Source { operand, scan, node, spikes, weight, transposed })
    }
}

impl Readout {
    fn find(net: &Net, at: ValId) -> Option<Readout> {
        let node = net.graph.node(at);
        let Op::Scan(scan) = node.op else { return None };
        let s = &net.scans[scan];
        if s.reverse || s.states.iter().any(|s| s.delay != 1) {
            return None;
        }
        let is_read = |k: usize| s.body.nodes.iter().any(|n| matches!(n.op, Op::Input(i) if i == k));
        let timed = (0..node.args.len()).filter(|k| net.graph.ty(node.args[*k]).time && is_read(*k));
        let sources: Vec<Source> = timed.map(|k| Source::find(net, at, k)).collect::<Option<_>>()?;
        if sources.is_empty() {
            return None;
        }
        let values = linear::values(net, s, &node.args)?;
        let form = |v: ValId| values[v.idx()].clone();
        let next: Vec<Linear> = s.states.iter().map(|s| form(s.next)).collect();
        let mut outs = Vec::new();
        for out in &s.outs {
            outs.push(match out {
                ScanOut::Each(_) => return None,
                ScanOut::Sum(v) => form(*v),
                ScanOut::Final(_) => Linear::default(),
            });
        }
        let starts = s.states.iter().any(|s| form(s.init).rest);
        let rest = starts || next.iter().chain(&outs).any(|l| l.rest);
        Some(Readout { scan, node: at, sources, next, outs, rest })
    }

    fn leave(&self, net: &mut Net) {
        let old = std::mem::take(&mut net.graph);
        let mut graph = Graph { surrogates: old.surrogates, customs: old.customs, nodes: Vec::new() };
        // For each result and source: the weights, which depend on nothing and stand first, and the number of the sum.
        let mut sums: Vec<(ValId, ValId, usize)> = Vec::new();
        for out in 0..self.outs.len() {
            let weights = self.weights(net, &mut graph, out);
            for (source, weight) in self.sources.iter().zip(weights) {
                let more = sums.iter().filter(|(node, ..)| *node == source.node).count();
                let operand = old.nodes[source.node.idx()].args.len() + more;
                sums.push((source.node, weight, weigh(&mut net.scans[source.scan], source.spikes, operand)));
            }
        }
        let mut map: Vec<ValId> = Vec::with_capacity(old.nodes.len());
        let mut results = Vec::new();
        for (at, mut node) in old.nodes.into_iter().enumerate() {
            let readout = node.args.first() == Some(&self.node);
            node.args.iter_mut().for_each(|a| *a = map[a.idx()]);
            map.push(match node.op {
                Op::ScanOut(k) if readout => results[k],
                Op::Scan(_) if at == self.node.idx() => {
                    results = self.results(net, &mut graph, &node.args, &map, &sums);
                    results[0]
                }
                _ => {
                    let more = sums.iter().filter(|(of, ..)| of.idx() == at).map(|(_, weight, _)| *weight);
                    node.args.extend(more);
                    graph.nodes.push(node);
                    ValId(graph.nodes.len() as u32 - 1)
                }
            });
        }
        net.graph = graph;
        net.outputs.iter_mut().for_each(|o| o.val = map[o.val.idx()]);
        super::prune_scans::drop_unused(net);
    }

    /// For each source how much its input of each step adds to a result: the adjoint of the scan, on numbers.
    fn weights(&self, net: &mut Net, graph: &mut Graph, out: usize) -> Vec<ValId> {
        let mut body = Graph::default();
        let later: Vec<ValId> =
            (0..self.next.len()).map(|s| body.push(Op::Prev(s), &[], Ty::SCALAR)).collect();
        // What is added by way of `next` of each state, and by the result itself.
        let mut sum = |own: f64, factor: &dyn Fn(&Linear) -> f64| {
            let mut sum = body.constant(own);
            for (next, later) in self.next.iter().zip(&later) {
                let factor = body.constant(factor(next));
                let term = body.pointwise(Pw::Mul, &[factor, *later]);
                sum = body.pointwise(Pw::Add, &[sum, term]);
            }
            sum
        };
        let of = |map: &BTreeMap<usize, f64>, k: usize| map.get(&k).copied().unwrap_or(0.0);
        let form = &self.outs[out];
        let next: Vec<ValId> =
            (0..self.next.len()).map(|s| sum(of(&form.states, s), &|l: &Linear| of(&l.states, s))).collect();
        let each: Vec<ValId> = self
            .sources
            .iter()
            .map(|s| sum(of(&form.operands, s.operand), &|l: &Linear| of(&l.operands, s.operand)))
            .collect();
        let readout = &net.scans[self.scan];
        let states = next.into_iter().enumerate().map(|(s, next)| {
            let is_read = readout.outs[out] == ScanOut::Final(s);
            let init = body.constant(f64::from(u8::from(is_read)));
            State { name: readout.states[s].name.clone(), init, next, delay: 1, ty: Ty::SCALAR }
        });
        let states = states.collect();
        let name = format!("{} of steps", readout.name);
        let outs = each.iter().map(|v| ScanOut::Each(*v)).collect();
        net.scans.push(Scan { name, body, states, outs, reverse: true });
        let ty = Ty { time: true, ..Ty::SCALAR };
        let mut vals = vec![graph.push(Op::Scan(net.scans.len() - 1), &[], ty.clone())];
        for k in 1..each.len() {
            vals.push(graph.push(Op::ScanOut(k), &[vals[0]], ty.clone()));
        }
        vals
    }

    /// The results of the scan, from the sums in the scans of its sources.
    fn results(
        &self,
        net: &mut Net,
        graph: &mut Graph,
        operands: &[ValId],
        map: &[ValId],
        sums: &[(ValId, ValId, usize)],
    ) -> Vec<ValId> {
        let rest = if self.rest { self.rest(net, graph, operands) } else { Vec::new() };
        let of_outs = sums.chunks(self.sources.len()).enumerate();
        of_outs
            .map(|(out, sums)| {
                let mut result = rest.get(out).copied();
                for (source, (_, _, k)) in self.sources.iter().zip(sums) {
                    let ty = net.scans[source.scan].body.ty(source.spikes).clone();
                    let sum = graph.push(Op::ScanOut(*k), &[map[source.node.idx()]], ty);
                    let y = graph.matmul(sum, map[source.weight.idx()], source.transposed);
                    result = Some(result.map_or(y, |r| graph.pointwise(Pw::Add, &[r, y])));
                }
                result.expect("there is a source")
            })
            .collect()
    }

    /// What the scan makes of everything but its sources: the same for all samples if no other operand has a batch axis.
    fn rest(&self, net: &mut Net, graph: &mut Graph, operands: &[ValId]) -> Vec<ValId> {
        let is_source = |k: usize| self.sources.iter().any(|s| s.operand == k);
        let batch = (0..operands.len()).any(|k| !is_source(k) && graph.ty(operands[k]).batch);
        let without = |ty: &Ty| Ty { batch: ty.batch && batch, ..ty.clone() };
        let mut scan = net.scans[self.scan].clone();
        let mut body = Graph::default();
        let mut map: Vec<ValId> = Vec::new();
        for node in &scan.body.nodes {
            let args: Vec<ValId> = node.args.iter().map(|a| map[a.idx()]).collect();
            map.push(match &node.op {
                Op::Input(k) if is_source(*k) => body.constant(0.0),
                Op::Pointwise(op) => body.pointwise(*op, &args),
                op => body.push(op.clone(), &args, without(&node.ty)),
            });
        }
        for s in 0..scan.states.len() {
            let state = &mut scan.states[s];
            state.ty = without(&state.ty);
            (state.init, state.next) = (map[state.init.idx()], map[state.next.idx()]);
            if *body.ty(state.next) != state.ty {
                let zero = body.constant(0.0);
                let before = body.push(Op::Prev(s), &[], state.ty.clone());
                let zeros = body.pointwise(Pw::Mul, &[before, zero]);
                state.next = body.pointwise(Pw::Add, &[state.next, zeros]);
            }
        }
        for out in &mut scan.outs {
            if let ScanOut::Sum(v) = out {
                *v = map[v.idx()];
            }
        }
        scan.body = body;
        let tys: Vec<Ty> = scan
            .outs
            .iter()
            .map(|out| match out {
                ScanOut::Final(s) => scan.states[*s].ty.clone(),
                ScanOut::Sum(v) | ScanOut::Each(v) => scan.body.ty(*v).clone(),
            })
            .collect();
        net.scans[self.scan] = scan;
        // Operands that the body no longer reads are left out by `prune_scans`.
        let mut vals = vec![graph.push(Op::Scan(self.scan), operands, tys[0].clone())];
        for (k, ty) in tys.into_iter().enumerate().skip(1) {
            vals.push(graph.push(Op::ScanOut(k), &[vals[0]], ty));
        }
        vals
    }
}

/// Makes a scan sum a value with the weights in a new operand; gives the number of the result.
fn weigh(scan: &mut Scan, value: ValId, operand: usize) -> usize {
    let weight = scan.body.push(Op::Input(operand), &[], Ty::SCALAR);
    let product = scan.body.pointwise(Pw::Mul, &[weight, value]);
    sum_out(scan, product)
}
