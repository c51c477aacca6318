//! What passes on steps without a backward pass know of a value: who reads it, whether it is made of parameters only, and which other value it is an
//! affine map of. No pass of its own.

use crate::step::ops::Pw;
use crate::step::{Graph, Node, Op, StepFn, ValId};
use std::collections::BTreeSet;

/// What is known of the values of a step.
pub(crate) struct Uses {
    /// How many values, states and wanted outputs read a value.
    readers: Vec<usize>,
    /// Made of parameters and numbers only.
    pub steady: Vec<bool>,
}

impl Uses {
    pub fn of(step: &StepFn, wanted: &BTreeSet<String>) -> Uses {
        let n = step.graph.nodes.len();
        let (mut readers, mut live) = (vec![0; n], vec![false; n]);
        let mut counted = vec![false; step.states.len()];
        let outputs = step.outputs.iter().filter(|(name, _)| wanted.contains(name));
        let mut stack: Vec<ValId> = outputs.map(|(_, val)| *val).collect();
        stack.iter().for_each(|val| readers[val.idx()] += 1);
        while let Some(val) = stack.pop() {
            if std::mem::replace(&mut live[val.idx()], true) {
                continue;
            }
            let node = step.graph.node(val);
            let mut reads = node.args.clone();
            if let Op::Prev(s) = node.op
                && !std::mem::replace(&mut counted[s], true)
            {
                reads.extend([step.states[s].init, step.states[s].next]);
            }
            reads.iter().for_each(|read| readers[read.idx()] += 1);
            stack.extend(reads);
        }
        let mut steady = Vec::with_capacity(n);
        for node in &step.graph.nodes {
            steady.push(is_steady(node) && node.args.iter().all(|a| steady[a.idx()]));
        }
        Uses { readers, steady }
    }

    /// Whether anything reads a value.
    pub fn is_read(&self, val: ValId) -> bool {
        self.readers[val.idx()] > 0
    }

    /// Whether one thing reads a value.
    pub fn is_read_once(&self, val: ValId) -> bool {
        self.readers[val.idx()] == 1
    }
}

fn is_steady(node: &Node) -> bool {
    matches!(
        node.op,
        Op::Const(_)
            | Op::Param(_)
            | Op::Pointwise(_)
            | Op::Repeat { .. }
            | Op::SumBlocks { .. }
            | Op::Rows { .. }
            | Op::SumRows
            | Op::Detach
    )
}

/// An operation with one steady operand.
#[derive(Clone, Copy)]
pub(super) enum Link {
    Plus(ValId),
    Minus(ValId),
    /// Subtracted from the steady operand.
    From(ValId),
    Times(ValId),
    Over(ValId),
    Negative,
}

/// A value as operations with steady operands on another one.
pub(super) struct Chain {
    /// The value.
    pub top: ValId,
    /// The other one.
    pub base: ValId,
    /// The first is done first.
    pub links: Vec<Link>,
    /// Results of the links but the last: nothing but the next link reads them.
    pub inner: Vec<ValId>,
}

/// The longest chain of operations of which only the last result is read by anything else.
pub(super) fn affine(graph: &Graph, uses: &Uses, top: ValId) -> Option<Chain> {
    let mut chain = Chain { top, base: top, links: Vec::new(), inner: Vec::new() };
    while let Some((link, base)) = link(graph, uses, chain.base) {
        if chain.base != top {
            if !uses.is_read_once(chain.base) {
                break;
            }
            chain.inner.push(chain.base);
        }
        chain.links.push(link);
        chain.base = base;
    }
    chain.links.reverse();
    (!uses.steady[chain.base.idx()]).then_some(chain)
}

fn link(graph: &Graph, uses: &Uses, val: ValId) -> Option<(Link, ValId)> {
    let node = graph.node(val);
    let Op::Pointwise(op) = node.op else { return None };
    let steady = |k: usize| uses.steady[node.args[k].idx()];
    let (link, base) = match (op, &node.args[..]) {
        (Pw::Neg, [x]) => (Link::Negative, *x),
        (Pw::Add, [x, s]) if steady(1) => (Link::Plus(*s), *x),
        (Pw::Add, [s, x]) if steady(0) => (Link::Plus(*s), *x),
        (Pw::Sub, [x, s]) if steady(1) => (Link::Minus(*s), *x),
        (Pw::Sub, [s, x]) if steady(0) => (Link::From(*s), *x),
        (Pw::Mul, [x, s]) if steady(1) => (Link::Times(*s), *x),
        (Pw::Mul, [s, x]) if steady(0) => (Link::Times(*s), *x),
        (Pw::Div, [x, s]) if steady(1) => (Link::Over(*s), *x),
        _ => return None,
    };
    // A number for all neurons that becomes one for each is another value.
    (graph.ty(base).shape == node.ty.shape).then_some((link, base))
}

impl Chain {
    /// `a` and `b` of `a * base + b`; `map` gives the new value of each steady one.
    pub fn factors(&self, new: &mut Graph, map: &[ValId]) -> (ValId, ValId) {
        let at = |val: ValId| map[val.idx()];
        let (mut a, mut b) = (new.constant(1.0), new.constant(0.0));
        for link in &self.links {
            (a, b) = match *link {
                Link::Plus(s) => (a, new.pointwise(Pw::Add, &[b, at(s)])),
                Link::Minus(s) => (a, new.pointwise(Pw::Sub, &[b, at(s)])),
                Link::From(s) => (new.pointwise(Pw::Neg, &[a]), new.pointwise(Pw::Sub, &[at(s), b])),
                Link::Times(s) => (new.pointwise(Pw::Mul, &[a, at(s)]), new.pointwise(Pw::Mul, &[b, at(s)])),
                Link::Over(s) => (new.pointwise(Pw::Div, &[a, at(s)]), new.pointwise(Pw::Div, &[b, at(s)])),
                Link::Negative => (new.pointwise(Pw::Neg, &[a]), new.pointwise(Pw::Neg, &[b])),
            };
        }
        (a, b)
    }
    /// Whether it adds anything.
    pub fn shifts(&self) -> bool {
        self.links.iter().any(|link| matches!(link, Link::Plus(_) | Link::Minus(_) | Link::From(_)))
    }

    /// Whether it multiplies neurons by numbers of their own.
    pub fn factors_of_neurons(&self, graph: &Graph) -> bool {
        self.links.iter().any(|link| match link {
            Link::Times(s) | Link::Over(s) => !graph.ty(*s).shape.is_empty(),
            _ => false,
        })
    }
}
