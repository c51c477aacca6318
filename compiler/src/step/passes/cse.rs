//! Makes equal values one value.
//!
//! Two nodes with the same operation, operands and type are the same value: nodes are pure. Random draws are equal if
//! stream and type are. Not for scans and custom rules, which have identities of their own. Forward values that the backward
//! pass asks for again are found here.

use crate::step::{Graph, Node, Op, Ty, ValId};
use std::collections::HashMap;

/// Runs the pass.
pub fn run(graph: &Graph, _roots: &[ValId]) -> (Graph, Vec<Option<ValId>>) {
    let mut seen: HashMap<(String, Vec<ValId>, Ty), ValId> = HashMap::new();
    super::rewrite(graph, |new, node, args| {
        let key = (key(node)?, args.to_vec(), node.ty.clone());
        if let Some(&known) = seen.get(&key) {
            return Some(known);
        }
        let val = new.push(node.op.clone(), args, node.ty.clone());
        seen.insert(key, val);
        Some(val)
    })
}

/// A text that is equal for equal operations; none for those that are never merged.
fn key(node: &Node) -> Option<String> {
    match &node.op {
        Op::Scan(_) | Op::Custom(_) => None,
        // Bits tell 0 from -0 and keep NaN equal to itself.
        Op::Const(value) => Some(format!("const {:016x}", value.to_bits())),
        op => Some(format!("{op:?}")),
    }
}
