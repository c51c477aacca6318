//! Passes over graphs, used by Step IR and Net IR. Each is one file and one function; the list is the order.
//!
//! A pass gives a new graph and where each old value went; it never changes what a value is, bit for bit in f32, except where
//! its header says so.

pub(crate) mod affine;
pub mod cse;
pub mod dce;
pub mod fold;
pub mod into_weights;
pub mod simplify;
pub mod threshold;

use crate::step::{Graph, Op, StepFn, ValId};

/// Passes of a graph whose results are `roots`; gives the map from old to new values.
pub type GraphPass = fn(&Graph, roots: &[ValId]) -> (Graph, Vec<Option<ValId>>);

/// The passes, in order.
pub const PASSES: &[(&str, GraphPass)] = &[
    ("fold", fold::run),         // First: makes factors such as exp(-dt/tau) numbers.
    ("simplify", simplify::run), // After fold: sees which numbers are 0 and 1.
    ("cse", cse::run),           // Ports that were read several times become one value.
    ("dce", dce::run),           // Last: nothing above has to clean up.
];

/// Runs all passes on a step.
pub fn run(step: StepFn) -> StepFn {
    let mut step = step;
    for (_, pass) in PASSES {
        step = run_one(step, *pass);
    }
    step
}

/// Runs one pass on a step.
pub fn run_one(mut step: StepFn, pass: GraphPass) -> StepFn {
    let mut roots: Vec<ValId> = step.outputs.iter().map(|(_, v)| *v).collect();
    for state in &step.states {
        roots.extend([state.init, state.next]);
    }
    let (graph, map) = pass(&step.graph, &roots);
    let at = |v: ValId| map[v.idx()].expect("a root is kept");
    for (_, val) in &mut step.outputs {
        *val = at(*val);
    }
    for state in &mut step.states {
        (state.init, state.next) = (at(state.init), at(state.next));
    }
    step.graph = graph;
    step
}

/// A step in which `change` gives other values for some; it is told where earlier ones went. None if it gives none.
fn replaced(
    step: &StepFn,
    mut change: impl FnMut(&mut Graph, &[ValId], ValId) -> Option<ValId>,
) -> Option<StepFn> {
    let old = &step.graph;
    let mut new =
        Graph { nodes: Vec::new(), surrogates: old.surrogates.clone(), customs: old.customs.clone() };
    let mut map: Vec<ValId> = Vec::with_capacity(old.nodes.len());
    let mut changed = false;
    for val in old.vals() {
        let node = old.node(val);
        let other = change(&mut new, &map, val);
        changed |= other.is_some();
        let made = other.unwrap_or_else(|| {
            let args: Vec<ValId> = node.args.iter().map(|a| map[a.idx()]).collect();
            new.push(node.op.clone(), &args, node.ty.clone())
        });
        let at = &mut new.nodes[made.idx()];
        (at.name, at.span) = (node.name.clone(), node.span);
        debug_assert_eq!(at.ty, node.ty);
        map.push(made);
    }
    let mut step = StepFn { graph: new, ..step.clone() };
    let to = |val: ValId| map[val.idx()];
    step.outputs.iter_mut().for_each(|(_, val)| *val = to(*val));
    for state in &mut step.states {
        (state.init, state.next) = (to(state.init), to(state.next));
    }
    changed.then_some(step)
}

/// Copies a graph node by node through `change`, which may answer with a value that exists already.
pub(crate) fn rewrite(
    graph: &Graph,
    mut change: impl FnMut(&mut Graph, &crate::step::Node, &[ValId]) -> Option<ValId>,
) -> (Graph, Vec<Option<ValId>>) {
    let mut new = Graph {
        nodes: Vec::with_capacity(graph.nodes.len()),
        surrogates: graph.surrogates.clone(),
        customs: graph.customs.clone(),
    };
    let mut map: Vec<Option<ValId>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let args: Vec<ValId> = node.args.iter().map(|a| map[a.idx()].expect("operands first")).collect();
        let before = new.nodes.len();
        let val = change(&mut new, node, &args).unwrap_or_else(|| {
            let val = new.push(node.op.clone(), &args, node.ty.clone());
            debug_assert_eq!(val.idx(), before);
            val
        });
        for made in &mut new.nodes[before..] {
            (made.section, made.span) = (node.section, node.span);
        }
        if new.nodes[val.idx()].name.is_empty() && !matches!(new.nodes[val.idx()].op, Op::Const(_)) {
            new.nodes[val.idx()].name = node.name.clone();
        }
        map.push(Some(val));
    }
    (new, map)
}
