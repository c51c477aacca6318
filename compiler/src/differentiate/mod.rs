//! The backward pass of a net: reverse mode over the graph of sequences, a reversed scan for each scan.
//!
//! The adjoint of a value is the gradient of the loss with respect to it. It may lack axes that the value has: then it is the
//! same along them. That is how the gradient of a mean over time stays off the time axis, and how a weight that
//! meets a constant input gets its gradient from one product with the sum of the deltas.
//!
//! Backpropagation through time follows the linearised step: a spike passes `derivative(x)` of its surrogate, `Detach` nothing,
//! and so on (see [`crate::step`]). A window `k` cuts what flows across every `k`-th step (truncated BPTT).

mod cut;
mod relax;
mod rules;
mod scan;
mod tape;
#[cfg(test)]
pub(crate) mod tests;

use crate::net::{Net, ScanOut};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Op, Ty, ValId};
use snn_runtime::program::Section;

pub use relax::relax;
pub use tape::{Kept, TapeEntry, tape_text};

/// What [`adjoint`] adds to a net.
#[derive(Clone, Debug, Default)]
pub struct Adjoint {
    /// Gradient of each parameter with the shape of the parameter; none where the loss does not depend on it or it is not
    /// trained.
    pub grads: Vec<Option<ValId>>,
    /// What the forward scans keep for the backward pass, and what is computed again.
    pub tape: Vec<TapeEntry>,
}

/// Lengths of axes, for values that are the same along an axis that is summed over.
#[derive(Clone, Copy)]
pub(crate) struct Extents {
    steps: usize,
    rows: usize,
}

/// Adds the backward pass of `loss` (a number).
pub fn adjoint(net: &mut Net, loss: ValId, window: Option<usize>) -> Adjoint {
    let first = net.graph.nodes.len();
    let extents = Extents { steps: net.steps, rows: net.shards * net.shard_batch };
    let mut b = Backward {
        wanted: depends_on_trained(net),
        adjoints: vec![None; first],
        scan_outs: net.scans.iter().map(|s| vec![None; s.outs.len()]).collect(),
        extents,
        window,
        out: Adjoint { grads: vec![None; net.params.len()], tape: Vec::new() },
        net,
    };
    let one = b.net.graph.constant(1.0);
    b.adjoints[loss.idx()] = Some(one);
    for at in (0..first).rev() {
        b.node(ValId(at as u32));
    }
    let mut out = b.out;
    for (p, grad) in out.grads.iter_mut().enumerate() {
        if let Some(val) = *grad {
            *grad = Some(full(&mut net.graph, val, &Ty::tensor(&net.params[p].shape), p));
        }
    }
    for node in &mut net.graph.nodes[first..] {
        node.section = Section::Backward;
    }
    out
}

/// A gradient that is the same for all elements of a parameter, with the axes of the parameter.
fn full(graph: &mut Graph, val: ValId, ty: &Ty, param: usize) -> ValId {
    if graph.ty(val) == ty {
        return val;
    }
    let w = graph.push(Op::Param(param), &[], ty.clone());
    let zero = graph.constant(0.0);
    let zeros = graph.pointwise(Pw::Mul, &[w, zero]);
    graph.pointwise(Pw::Add, &[val, zeros])
}

/// For each value whether the gradient has to go there.
fn depends_on_trained(net: &Net) -> Vec<bool> {
    let mut wanted: Vec<bool> = Vec::with_capacity(net.graph.nodes.len());
    for node in &net.graph.nodes {
        let from_args = node.args.iter().any(|a| wanted[a.idx()]);
        wanted.push(match node.op {
            Op::Param(p) => net.params[p].trained,
            Op::Detach => false,
            Op::Straight => wanted[node.args[1].idx()],
            _ => from_args,
        });
    }
    wanted
}

struct Backward<'a> {
    net: &'a mut Net,
    wanted: Vec<bool>,
    adjoints: Vec<Option<ValId>>,
    /// Adjoints of the outputs of each scan, until its `Scan` node is reached.
    scan_outs: Vec<Vec<Option<ValId>>>,
    extents: Extents,
    window: Option<usize>,
    out: Adjoint,
}

impl rules::Values for Net {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }
    fn value(&mut self, forward: ValId) -> ValId {
        forward
    }
}

impl Backward<'_> {
    fn node(&mut self, val: ValId) {
        if !self.wanted[val.idx()] {
            return;
        }
        let node = self.net.graph.node(val).clone();
        let adjoint = self.adjoints[val.idx()];
        match node.op {
            Op::Param(p) => {
                if let Some(d) = adjoint {
                    let sum = add(&mut self.net.graph, self.out.grads[p], d);
                    self.out.grads[p] = Some(sum);
                }
            }
            Op::ScanOut(k) => {
                let Op::Scan(scan) = self.net.graph.node(node.args[0]).op else { unreachable!("verified") };
                self.scan_outs[scan][k] = adjoint;
            }
            Op::Scan(scan) => {
                self.scan_outs[scan][0] = adjoint;
                if self.scan_outs[scan].iter().any(Option::is_some) {
                    self.scan(scan, val, &node.args);
                }
            }
            _ => {
                let Some(d) = adjoint else { return };
                let wants: Vec<bool> = node.args.iter().map(|a| self.wanted[a.idx()]).collect();
                let tys: Vec<Ty> = node.args.iter().map(|a| self.net.graph.ty(*a).clone()).collect();
                for (k, contribution, result) in rules::adjoint(self.net, &node, val, d, &tys, &wants) {
                    self.accumulate(node.args[k], contribution, &result);
                }
            }
        }
    }

    fn scan(&mut self, scan: usize, val: ValId, operands: &[ValId]) {
        let wants: Vec<bool> = operands.iter().map(|a| self.wanted[a.idx()]).collect();
        let outs = std::mem::take(&mut self.scan_outs[scan]);
        let request = scan::Request { scan, node: val, outs: &outs, wants: &wants, window: self.window };
        let result = scan::adjoint(self.net, self.extents, &request);
        self.out.tape.extend(result.tape);
        for (k, contribution, ty) in result.contributions {
            self.accumulate(operands[k], contribution, &ty);
        }
    }

    /// Adds to the adjoint of a value what a reader with result type `result` passes to it.
    fn accumulate(&mut self, to: ValId, contribution: ValId, result: &Ty) {
        let ty = self.net.graph.ty(to).clone();
        let d = reduce_to(&mut self.net.graph, contribution, result, &ty, self.extents);
        let sum = add(&mut self.net.graph, self.adjoints[to.idx()], d);
        self.adjoints[to.idx()] = Some(sum);
    }
}

fn add(graph: &mut Graph, sum: Option<ValId>, d: ValId) -> ValId {
    match sum {
        Some(sum) => graph.pointwise(Pw::Add, &[sum, d]),
        None => d,
    }
}

/// Sums a contribution over the axes that the reader's result has and the value does not.
pub(crate) fn reduce_to(graph: &mut Graph, c: ValId, result: &Ty, to: &Ty, extents: Extents) -> ValId {
    let have = graph.ty(c).clone();
    let over = Axes {
        time: result.time && !to.time,
        batch: result.batch && !to.batch,
        index: !result.shape.is_empty() && to.shape.is_empty(),
    };
    let mut repeated = 1;
    if over.time && !have.time {
        repeated *= extents.steps;
    }
    if over.batch && !have.batch {
        repeated *= extents.rows;
    }
    if over.index && have.shape.is_empty() {
        repeated *= result.width();
    }
    let mut c = graph.fold(Fold::Sum, over, c);
    if repeated != 1 {
        let factor = graph.constant(repeated as f64);
        c = graph.pointwise(Pw::Mul, &[c, factor]);
    }
    c
}

/// Index in the list of a scan's results, adding the value if it is not there yet.
pub(crate) fn each_out(net: &mut Net, scan: usize, val: ValId) -> usize {
    let outs = &mut net.scans[scan].outs;
    outs.iter().position(|o| *o == ScanOut::Each(val)).unwrap_or_else(|| {
        outs.push(ScanOut::Each(val));
        outs.len() - 1
    })
}
