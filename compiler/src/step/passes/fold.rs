//! Computes what is made of numbers only.
//!
//! Before: `%2 = div -0.001, 0.02`, `%3 = exp %2`; after: `%3 = 0.951229424500714`. Correct because numbers do not change.
//! First in the list so that the others see the numbers. Computed in f64 and rounded once when code is made: the result may
//! differ in the last bit from f32 operations one after another; both engines see the folded graph.

use crate::interp;
use crate::step::{Graph, Op, ValId};

/// Runs the pass.
pub fn run(graph: &Graph, _roots: &[ValId]) -> (Graph, Vec<Option<ValId>>) {
    super::rewrite(graph, |new, node, args| {
        let Op::Pointwise(op) = node.op else { return None };
        let numbers: Option<Vec<f64>> = args
            .iter()
            .map(|a| match new.node(*a).op {
                Op::Const(value) => Some(value),
                _ => None,
            })
            .collect();
        Some(new.constant(interp::pointwise(op, &numbers?)))
    })
}
