//! Leaves out what nothing reads.
//!
//! Values that no root depends on go, and the rest are numbered anew, so that unrelated edits do not change printed text more than
//! they must. Last in the list: the passes before leave garbage.

use crate::step::{Graph, ValId};

/// Runs the pass.
pub fn run(graph: &Graph, roots: &[ValId]) -> (Graph, Vec<Option<ValId>>) {
    let mut live = vec![false; graph.nodes.len()];
    for root in roots {
        live[root.idx()] = true;
    }
    for at in (0..graph.nodes.len()).rev().filter(|at| live[*at]).collect::<Vec<_>>() {
        mark(graph, at, &mut live);
    }
    let mut new =
        Graph { nodes: Vec::new(), surrogates: graph.surrogates.clone(), customs: graph.customs.clone() };
    let mut map: Vec<Option<ValId>> = vec![None; graph.nodes.len()];
    for (at, node) in graph.nodes.iter().enumerate().filter(|(at, _)| live[*at]) {
        let mut node = node.clone();
        for arg in &mut node.args {
            *arg = map[arg.idx()].expect("operands of live values are live");
        }
        new.nodes.push(node);
        map[at] = Some(ValId(new.nodes.len() as u32 - 1));
    }
    (new, map)
}

fn mark(graph: &Graph, root: usize, live: &mut [bool]) {
    let mut stack = vec![root];
    while let Some(at) = stack.pop() {
        for arg in &graph.nodes[at].args {
            if !std::mem::replace(&mut live[arg.idx()], true) {
                stack.push(arg.idx());
            }
        }
    }
}
