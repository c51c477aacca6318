//! States that go on from batch to batch: what a presentation starts with are inputs of the step, what it ends with are outputs of the net. Who
//! hands the ones on as the others is the runtime (`train/carried`).
//!
//! Correct for gradients: inputs have none, so that those of a batch end where it began; where states start anew
//! ([`Scalar::Carried`] is 0) the first values are what they would be, with their gradients.

use super::expr::with_index;
use super::norm::STATISTIC;
use crate::net::{Net, Output, Sink};
use crate::step::ops::Pw;
use crate::step::{Input, Op, State, StepFn, Ty, ValId};
use snn_runtime::abi::Scalar;
use snn_runtime::program::CARRIED;
use std::collections::BTreeMap;

/// Lets all states of a step start with inputs `carried 0 h.v`, and gives outputs of the same names, their values after the step. Running statistics
/// of a normalisation, which have no samples, go on as the parameters that they are.
pub fn carry(step: &mut StepFn) {
    (0..step.states.len()).for_each(|idx| one_step_each(step, idx));
    let going = step.graph.push(Op::Scalar(Scalar::Carried), &[], Ty::SCALAR);
    let is_statistic = |idx: &usize| {
        step.outputs.iter().any(|(name, _)| *name == format!("{STATISTIC}{}", step.states[*idx].name))
    };
    let own: Vec<usize> = (0..step.states.len()).filter(|idx| !is_statistic(idx)).collect();
    for idx in own {
        let State { name, init, next, ty, .. } = step.states[idx].clone();
        let name = format!("{CARRIED}{idx} {name}");
        let input = step.graph.push(Op::Input(step.inputs.len()), &[], ty.clone());
        step.inputs.push(Input { name: name.clone(), ty, spikes: false });
        step.states[idx].init = step.graph.pointwise(Pw::Select, &[going, input, init]);
        step.outputs.push((name, next));
    }
}

/// A state that is read some steps later becomes a chain of states, each one step behind the one before.
fn one_step_each(step: &mut StepFn, idx: usize) {
    let State { name, init, delay, ty, .. } = step.states[idx].clone();
    let readers: Vec<usize> = (0..step.graph.nodes.len())
        .filter(|at| matches!(step.graph.nodes[*at].op, Op::Prev(state) if state == idx))
        .collect();
    step.states[idx].delay = 1;
    let mut last = idx;
    for behind in 1..delay {
        let next = step.graph.push(Op::Prev(last), &[], ty.clone());
        last = step.states.len();
        step.states.push(State { name: format!("{name}.{behind}"), init, next, delay: 1, ty: ty.clone() });
    }
    readers.into_iter().for_each(|at| step.graph.nodes[at].op = Op::Prev(last));
}

/// Makes the values of the last step of a net's states its outputs, one for each valid sample.
pub fn carried(net: &mut Net, traces: &BTreeMap<String, ValId>) {
    for (name, &val) in traces.iter().filter(|(name, _)| name.starts_with(CARRIED)) {
        let find = |name: &str| {
            let idx = net.inputs.iter().position(|input| input.name == name);
            idx.unwrap_or_else(|| panic!("lower: `{name}` is an input of the step"))
        };
        let (shape, mask) = (net.inputs[find(name)].ty.shape.clone(), find("mask"));
        let mask = net.graph.push(Op::Input(mask), &[], net.inputs[mask].ty.clone());
        let ty = net.graph.ty(val).clone();
        let last = match ty.time {
            true => net.graph.push(Op::Last, &[val], Ty { time: false, ..ty }),
            false => val,
        };
        let last = match shape[..] {
            [width] => with_index(&mut net.graph, last, width),
            _ => last,
        };
        let zero = net.graph.constant(0.0);
        let val = net.graph.pointwise(Pw::Select, &[mask, last, zero]);
        net.outputs.push(Output { name: name.clone(), val, sink: Sink::Named });
    }
}
