//! Which forward values a backward scan reads from memory: the cheapest set from which everything it needs can be computed again.
//! No tape: that is `tape`.
//!
//! A minimal cut (Ford and Fulkerson 1956) between what cannot be computed again and what is needed, where each value costs what it
//! takes to have it at every step. Of equal cuts the one nearest to what is needed: the least is computed again.

use crate::step::ops::Pw;
use crate::step::{Graph, Op, ValId};
use std::collections::VecDeque;

/// Largest cost, in additions, of a single operation that is done again rather than stored: reading a stored value back costs about
/// as much.
pub const RECOMPUTE_COST: u32 = 6;

/// Cost of reading a number that the forward pass has anyway. Its memory is held until then.
const THERE: u64 = 4 * 32;
/// Cost of writing a number and reading it.
const STORED: u64 = 7 * 32;
/// A spike is a bit.
const SPIKES: u64 = 32;
const NO_LIMIT: u64 = u64::MAX / 4;

/// A body whose values are asked for.
pub(super) struct Request<'a> {
    pub body: &'a Graph,
    /// Values that the adjoint uses.
    pub needed: &'a [ValId],
    /// Whether a value is a result of the scan at each step anyway.
    pub is_result: &'a dyn Fn(ValId) -> bool,
    /// Whether operand `k` of the scan changes from step to step.
    pub changes: &'a dyn Fn(usize) -> bool,
}

/// Whether an operation may be done again.
pub(super) fn is_cheap(op: &Op) -> bool {
    match op {
        Op::Pointwise(op) => op.info().cost <= RECOMPUTE_COST,
        Op::Spike { .. } | Op::Detach | Op::Straight | Op::GradScale => true,
        _ => false,
    }
}

impl Request<'_> {
    /// For each value whether it is read from memory; what is not, and is needed, is computed again.
    pub fn kept(&self) -> Vec<bool> {
        let n = self.body.nodes.len();
        let (source, sink) = (2 * n, 2 * n + 1);
        let mut flow = Flow::new(2 * n + 2);
        for val in self.body.vals().filter(|v| !self.is_free(*v)) {
            let node = self.body.node(val);
            flow.edge(2 * val.idx(), 2 * val.idx() + 1, self.price(val));
            if is_cheap(&node.op) {
                for arg in node.args.iter().filter(|a| !self.is_free(**a)) {
                    flow.edge(2 * arg.idx() + 1, 2 * val.idx(), NO_LIMIT);
                }
            } else {
                flow.edge(source, 2 * val.idx(), NO_LIMIT);
            }
        }
        for val in self.needed {
            flow.edge(2 * val.idx() + 1, sink, NO_LIMIT);
        }
        let reaches = flow.cut(source, sink);
        (0..n).map(|v| reaches[2 * v + 1] && !reaches[2 * v]).collect()
    }

    /// What is the same at every step needs no sequence.
    fn is_free(&self, val: ValId) -> bool {
        match self.body.node(val).op {
            Op::Const(_) | Op::Scalar(_) | Op::StepIndex => true,
            Op::Input(k) => !(self.changes)(k),
            _ => false,
        }
    }

    fn price(&self, val: ValId) -> u64 {
        let node = self.body.node(val);
        let is_there = matches!(node.op, Op::Input(_)) || (self.is_result)(val);
        let of_one = if is_there { THERE } else { STORED };
        let is_bit = matches!(node.op, Op::Spike { .. } | Op::Pointwise(Pw::Lt | Pw::Le | Pw::Eq));
        let of_one = if is_bit { of_one / SPIKES } else { of_one };
        // What has no samples is small beside what has.
        if node.ty.batch { of_one * node.ty.width().max(1) as u64 } else { 1 }
    }
}

/// A network of capacities.
struct Flow {
    /// End, what is left, and the edge back.
    edges: Vec<(usize, u64)>,
    of_node: Vec<Vec<usize>>,
}

impl Flow {
    fn new(nodes: usize) -> Flow {
        Flow { edges: Vec::new(), of_node: vec![Vec::new(); nodes] }
    }

    /// An edge, and behind it the one back: they differ in the lowest bit.
    fn edge(&mut self, from: usize, to: usize, capacity: u64) {
        self.of_node[from].push(self.edges.len());
        self.edges.push((to, capacity));
        self.of_node[to].push(self.edges.len());
        self.edges.push((from, 0));
    }

    /// Pushes all that fits; gives the nodes from which the sink can still be reached.
    fn cut(&mut self, source: usize, sink: usize) -> Vec<bool> {
        while let Some(path) = self.path(source, sink) {
            let least = path.iter().map(|e| self.edges[*e].1).min().unwrap_or(0);
            for edge in path {
                self.edges[edge].1 -= least;
                self.edges[edge ^ 1].1 += least;
            }
        }
        let mut reaches = vec![false; self.of_node.len()];
        let mut queue = VecDeque::from([sink]);
        reaches[sink] = true;
        while let Some(node) = queue.pop_front() {
            for &edge in &self.of_node[node] {
                let (from, left) = (self.edges[edge].0, self.edges[edge ^ 1].1);
                if left > 0 && !std::mem::replace(&mut reaches[from], true) {
                    queue.push_back(from);
                }
            }
        }
        reaches
    }

    /// A shortest path with something left on every edge.
    fn path(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut by: Vec<Option<usize>> = vec![None; self.of_node.len()];
        let mut queue = VecDeque::from([source]);
        while let Some(node) = queue.pop_front() {
            for &edge in &self.of_node[node] {
                let (to, left) = self.edges[edge];
                if left > 0 && to != source && by[to].is_none() {
                    by[to] = Some(edge);
                    queue.push_back(to);
                }
            }
        }
        let mut path = Vec::new();
        let mut at = sink;
        while at != source {
            let edge = by[at]?;
            path.push(edge);
            at = self.edges[edge ^ 1].0;
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::step::Ty;

    fn leaky() -> (Graph, [ValId; 4]) {
        let of = Ty { time: false, batch: true, shape: vec![4] };
        let mut g = Graph::default();
        let i = g.push(Op::Input(0), &[], of.clone());
        let before = g.push(Op::Prev(0), &[], of.clone());
        let decay = g.constant(0.9);
        let kept = g.pointwise(Pw::Mul, &[decay, before]);
        let v = g.pointwise(Pw::Add, &[kept, i]);
        let fired = g.push(Op::Spike { surrogate: None, strict: true }, &[v], of);
        (g, [i, before, v, fired])
    }

    fn kept(body: &Graph, needed: &[ValId], result: Option<ValId>) -> Vec<ValId> {
        let request = Request { body, needed, is_result: &|v| Some(v) == result, changes: &|_| true };
        let kept = request.kept();
        body.vals().filter(|v| kept[v.idx()]).collect()
    }

    #[test]
    fn one_potential_is_stored_and_not_what_it_is_made_of() {
        let (g, [i, before, v, fired]) = leaky();
        assert_eq!(kept(&g, &[v], None), [v]);
        assert_eq!(kept(&g, &[fired], None), [fired]);
        // Both are needed: the spikes follow from the potential.
        assert_eq!(kept(&g, &[v, fired], None), [v]);
        // The input is there, and the state has to be stored: the potential then costs nothing more.
        assert_eq!(kept(&g, &[before, v], None), [i, before]);
        assert_eq!(kept(&g, &[v], Some(before)), [v]);
        assert_eq!(kept(&g, &[v], Some(v)), [v]);
        assert_eq!(kept(&g, &[], None), []);
    }
}
