//! Parameters that follow what values are at the end of presentations: what the step gives for them, and their new values after a batch.
//!
//! Not in the time loop: of each value only the last step counts, so that a recurrence needs no statistics at each step, and shards none of
//! each other before their end. The mean leaves padding out.

use super::expr::with_index;
use crate::hir::{Model, ParamId, Running};
use crate::net::{Net, Output, Sink};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Op, Ty, ValId};
use snn_runtime::abi::Scalar;
use std::collections::BTreeMap;

/// How the outputs of a step begin that are followed.
pub(crate) const RUNNING: &str = "running ";

/// The output of a step that a parameter follows.
pub(super) fn output_name(model: &Model, param: ParamId) -> String {
    format!("{RUNNING}{}", model.params[param.idx()].name)
}

/// Makes outputs of the net of what parameters are after a batch.
pub fn running(net: &mut Net, traces: &BTreeMap<String, ValId>, model: &Model) {
    for pop in &model.populations {
        for followed in &pop.running {
            if let Some(&val) = traces.get(&output_name(model, followed.param)) {
                follow(net, val, followed, pop.shape.iter().product());
            }
        }
    }
}

fn follow(net: &mut Net, val: ValId, Running { param, momentum, .. }: &Running, width: usize) {
    let ty = net.graph.ty(val).clone();
    let last = match ty.time {
        true => net.graph.push(Op::Last, &[val], Ty { time: false, ..ty }),
        false => val,
    };
    let last = with_index(&mut net.graph, last, width);
    let mask = net.inputs.iter().position(|input| input.name == "mask").expect("lower: the step has a mask");
    let mask = net.graph.push(Op::Input(mask), &[], net.inputs[mask].ty.clone());
    let g = &mut net.graph;
    let zero = g.constant(0.0);
    let valid = g.pointwise(Pw::Select, &[mask, last, zero]);
    let shape = net.params[param.idx()].shape.clone();
    let axes = Axes { batch: true, index: shape.is_empty(), ..Axes::default() };
    let mut sum = g.fold(Fold::Sum, axes, valid);
    let times = width / shape.iter().product::<usize>();
    if !shape.is_empty() && times > 1 {
        sum = g.push(Op::SumBlocks { times }, &[sum], Ty::tensor(&shape));
    }
    let samples = g.push(Op::Scalar(Scalar::BatchCount), &[], Ty::SCALAR);
    let each = g.constant(times as f64);
    let count = g.pointwise(Pw::Mul, &[samples, each]);
    let now = g.pointwise(Pw::Div, &[sum, count]);
    let before = g.push(Op::Param(param.idx()), &[], Ty::tensor(&shape));
    let (keep, take) = (g.constant(1.0 - momentum), g.constant(*momentum));
    let (old, new) = (g.pointwise(Pw::Mul, &[keep, before]), g.pointwise(Pw::Mul, &[take, now]));
    let val = g.pointwise(Pw::Add, &[old, new]);
    let name = net.params[param.idx()].name.clone();
    net.outputs.push(Output { name, val, sink: Sink::Param(param.idx()) });
}
