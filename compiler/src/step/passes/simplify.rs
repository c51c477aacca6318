//! Removes operations that change nothing: `x * 1`, `x / 1`, `x + 0`, `x - 0`, `not not`, a choice by a number, a choice of
//! 1 or 0 by a condition, which is 1 or 0 itself.
//!
//! Only rules that hold for every f32 but the sign of zero (`-0 + 0` is `+0`, left alone as `-0`). `x * 0` is not simplified: it
//! is NaN for infinite `x`. A rule applies only if the result keeps its type. After `fold`, which makes the numbers visible.

use crate::step::ops::Pw;
use crate::step::{Graph, Op, ValId};

/// Runs the pass.
pub fn run(graph: &Graph, _roots: &[ValId]) -> (Graph, Vec<Option<ValId>>) {
    super::rewrite(graph, |new, node, args| {
        let Op::Pointwise(op) = node.op else { return None };
        let same = simpler(new, op, args)?;
        (*new.ty(same) == node.ty).then_some(same)
    })
}

fn simpler(graph: &Graph, op: Pw, args: &[ValId]) -> Option<ValId> {
    let number = |k: usize| match graph.node(args[k]).op {
        Op::Const(value) => Some(value),
        _ => None,
    };
    match op {
        Pw::Mul if number(1) == Some(1.0) => Some(args[0]),
        Pw::Mul if number(0) == Some(1.0) => Some(args[1]),
        Pw::Div if number(1) == Some(1.0) => Some(args[0]),
        Pw::Pow if number(1) == Some(1.0) => Some(args[0]),
        Pw::Add | Pw::Sub if number(1) == Some(0.0) => Some(args[0]),
        Pw::Add if number(0) == Some(0.0) => Some(args[1]),
        Pw::Select if number(0).is_some() => Some(args[if number(0) != Some(0.0) { 1 } else { 2 }]),
        Pw::Select if number(1) == Some(1.0) && number(2).is_some_and(|x| x.to_bits() == 0) => {
            let is_condition = match graph.node(args[0]).op {
                Op::Pointwise(op) => matches!(op, Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne),
                Op::Spike { .. } => true,
                _ => false,
            };
            is_condition.then_some(args[0])
        }
        Pw::Neg => match &graph.node(args[0]) {
            inner if matches!(inner.op, Op::Pointwise(Pw::Neg)) => Some(inner.args[0]),
            _ => None,
        },
        _ => None,
    }
}
