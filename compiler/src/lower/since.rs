//! What a model would give if a presentation began later: a second copy of its step beside the first, whose states start in that step. It reads the
//! same inputs and parameters, and draws the same random numbers at the same steps.

use crate::step::ops::Pw;
use crate::step::{Graph, Op, State, StepFn, Ty, ValId};
use std::collections::BTreeSet;

/// The name of an output of the copy that begins at a step.
pub(crate) fn name(start: usize, name: &str) -> String {
    format!("since {start} {name}")
}

/// Steps since one in which a presentation begins, of the number of the step; not below 0.
pub(super) fn steps_since(graph: &mut Graph, at: ValId, start: usize) -> ValId {
    let (first, zero) = (graph.constant(start as f64), graph.constant(0.0));
    let since = graph.pointwise(Pw::Sub, &[at, first]);
    graph.pointwise(Pw::Max, &[since, zero])
}

/// Adds to a step, for each of some steps, the copy that begins there, and its outputs under [`name`]s: 0 before. Its states are read as their
/// first values up to there, whatever the copy computes in those steps; its `step_index` counts from there.
pub fn since(step: &mut StepFn, starts: &BTreeSet<usize>) {
    let size = [step.graph.nodes.len(), step.states.len(), step.outputs.len()];
    starts.iter().for_each(|start| copy(step, size, *start));
}

/// Copies the first nodes, states and outputs, which are those of the presentation itself.
fn copy(step: &mut StepFn, [nodes, states, outputs]: [usize; 3], start: usize) {
    let before = step.states.len();
    let at = step.graph.push(Op::StepIndex, &[], Ty::SCALAR);
    let mut copy: Vec<ValId> = Vec::with_capacity(nodes);
    for idx in 0..nodes {
        let node = step.graph.nodes[idx].clone();
        let of = |val: ValId, copy: &[ValId]| copy[val.idx()];
        let g = &mut step.graph;
        let new = match node.op {
            Op::Prev(state) => {
                let State { init, delay, .. } = step.states[state];
                let prev = g.push(Op::Prev(before + state), &[], node.ty.clone());
                let first = g.constant((start + delay) as f64);
                let is_first = g.pointwise(Pw::Lt, &[at, first]);
                g.pointwise(Pw::Select, &[is_first, of(init, &copy), prev])
            }
            Op::StepIndex => steps_since(g, at, start),
            _ => {
                let args: Vec<ValId> = node.args.iter().map(|arg| of(*arg, &copy)).collect();
                g.push(node.op, &args, node.ty)
            }
        };
        step.graph.nodes[new.idx()].span = node.span;
        copy.push(new);
    }
    for idx in 0..states {
        let State { name, init, next, delay, ty } = step.states[idx].clone();
        let (init, next) = (copy[init.idx()], copy[next.idx()]);
        step.states.push(State { name: self::name(start, &name), init, next, delay, ty });
    }
    let (first, zero) = (step.graph.constant(start as f64), step.graph.constant(0.0));
    let has_begun = step.graph.pointwise(Pw::Le, &[first, at]);
    for idx in 0..outputs {
        let (name, val) = step.outputs[idx].clone();
        let val = step.graph.pointwise(Pw::Select, &[has_begun, copy[val.idx()], zero]);
        step.outputs.push((self::name(start, &name), val));
    }
}
