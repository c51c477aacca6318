//! Runs nets and steps, node by node. Which values take part in checks of gradients is said by [`Mode`].

use super::mode::{Frame, Mode};
use super::node::{self, Call, Env};
use super::number::Number;
use super::scan;
use super::value::{Array, Extent};
use crate::net::taint;
use crate::net::{Net, Scan, ScanOut};
use crate::step::{Graph, Node, Op, StepFn, ValId};
use snn_runtime::abi::SCALARS;
use snn_runtime::pool::FlushDenormals;
use std::collections::BTreeMap;

/// What a net or step reads: a full batch of `shards * shard_batch` samples, padded.
#[derive(Clone, Copy, Debug)]
pub struct Inputs<'a, N> {
    /// By the order of the net's inputs.
    pub inputs: &'a [Array<N>],
    /// By the order of its parameters.
    pub params: &'a [Array<N>],
    /// By the order of its slots; none for a step.
    pub slots: &'a [Array<N>],
}

/// Every value of a net.
#[derive(Clone, Debug)]
pub struct Results<N> {
    /// By the order of the nodes; of a step, by the order of its outputs, with time axis.
    pub values: Vec<Array<N>>,
    /// Values inside of each scan, `[scan][step][node]`, if [`Mode::record`] was set; a step counts as one scan.
    pub bodies: Vec<Vec<Vec<Array<N>>>>,
}

impl<N> Results<N> {
    /// The value of an output of the net by its name.
    pub fn output(&self, net: &Net, name: &str) -> Option<&Array<N>> {
        net.outputs.iter().find(|o| o.name == name).map(|o| &self.values[o.val.idx()])
    }
}

/// A net and what it reads, ready to be run in any mode.
pub struct NetRun<'a, N> {
    /// The net.
    pub net: &'a Net,
    /// What it reads.
    pub inputs: Inputs<'a, N>,
    /// What changes from call to call.
    pub call: Call,
}

/// Runs a net as compiled code does.
pub fn run<N: Number>(net: &Net, inputs: &Inputs<N>, call: &Call) -> Results<N> {
    NetRun { net, inputs: *inputs, call: *call }
        .run(&Mode::default())
        .expect("a plain run supports everything")
}

impl<N: Number> NetRun<'_, N> {
    /// Runs the net; says which surrogate or rule does not support the mode.
    pub fn run(&self, mode: &Mode<N>) -> Result<Results<N>, String> {
        let _same_as_compiled_code = FlushDenormals::enter();
        let env = self.env();
        let (graph, taint) = (&self.net.graph, taint::of_net(self.net));
        let frame = Frame { graph, taint: &taint.net, mode, env: &env };
        let recorded = mode.frozen.map(|base| base.values.as_slice());
        let mut values: Vec<Array<N>> = Vec::with_capacity(graph.nodes.len());
        let mut outs: Vec<Vec<Array<N>>> = vec![Vec::new(); self.net.scans.len()];
        let mut bodies = vec![Vec::new(); self.net.scans.len()];
        for (at, node) in graph.nodes.iter().enumerate() {
            let args: Vec<&Array<N>> = node.args.iter().map(|a| &values[a.idx()]).collect();
            let value = match node.op {
                Op::Input(k) => self.inputs.inputs[k].clone(),
                Op::Param(k) => self.inputs.params[k].clone(),
                Op::Slot(k) => self.inputs.slots[k].clone(),
                Op::Scan(k) => {
                    let body =
                        Frame { graph: &self.net.scans[k].body, taint: &taint.bodies[k], mode, env: &env };
                    let recorded = mode.frozen.map(|base| base.bodies[k].as_slice());
                    let run = run_scan(&self.net.scans[k], &args, &body, recorded)?;
                    (outs[k], bodies[k]) = (run.outs, run.body);
                    outs[k][0].clone()
                }
                Op::ScanOut(out) => outs[scan_of(graph, node.args[0])][out].clone(),
                _ => frame.value(at, &args, 0, recorded)?,
            };
            debug_assert_eq!(value.ty, node.ty, "%{at}");
            values.push(value);
        }
        Ok(Results { values, bodies })
    }

    pub(super) fn env(&self) -> Env {
        let Net { steps, shard_batch, shards, .. } = *self.net;
        let segment = self.net.segments.as_ref().map_or(steps, |segments| segments.steps);
        Env { extent: Extent { steps, shard_batch, shards }, segment, call: self.call }
    }
}

/// The scan whose node a value is.
pub(super) fn scan_of(graph: &Graph, node: ValId) -> usize {
    let Op::Scan(scan) = graph.node(node).op else { unreachable!("verified") };
    scan
}

fn run_scan<N: Number>(
    scan: &Scan,
    operands: &[&Array<N>],
    body: &Frame<N>,
    recorded: Option<&[Vec<Array<N>>]>,
) -> Result<scan::Run<N>, String> {
    scan::run(scan, operands, body.env.extent, body.mode.record, None, |t, at, args| {
        body.value(at, args, t, recorded.map(|steps| steps[t].as_slice()))
    })
}

/// Runs a step over all steps of a presentation: the meaning of Step IR, before anything is cut at its recurrences. Gives the
/// sequence of each output.
pub fn step<N: Number>(
    step: &StepFn,
    extent: Extent,
    inputs: &Inputs<N>,
    call: &Call,
    mode: &Mode<N>,
) -> Result<Results<N>, String> {
    let _same_as_compiled_code = FlushDenormals::enter();
    let env = Env { extent, segment: extent.steps, call: *call };
    // A step is the body of one scan that also reads parameters.
    let scan = Scan {
        name: "step".into(),
        body: step.graph.clone(),
        states: step.states.clone(),
        outs: step.outputs.iter().map(|(_, val)| ScanOut::Each(*val)).collect(),
        reverse: false,
    };
    let taint = taint::of_body(&scan.body, &scan.states, &[]);
    let body = Frame { graph: &scan.body, taint: &taint, mode, env: &env };
    let recorded = mode.frozen.map(|base| base.bodies[0].as_slice());
    let operands: Vec<&Array<N>> = inputs.inputs.iter().collect();
    // A fold of all steps is known when its operand has been made at all of them.
    let mut known: BTreeMap<usize, Array<N>> = BTreeMap::new();
    let over_time = |node: &Node| matches!(node.op, Op::Fold { axes, .. } if axes.time);
    for at in (0..scan.body.nodes.len()).filter(|at| over_time(&scan.body.nodes[*at])) {
        let node = &scan.body.nodes[at];
        let of = Scan { outs: vec![ScanOut::Each(node.args[0])], ..scan.clone() };
        let run = run_step(&of, &operands, inputs.params, &body, recorded, &known)?;
        known.insert(at, node::value(node, &[&run.outs[0]], &env, 0));
    }
    let run = run_step(&scan, &operands, inputs.params, &body, recorded, &known)?;
    Ok(Results { values: run.outs, bodies: vec![run.body] })
}

/// The scan of a step, with the values of folds of all steps; those that are not known yet count as 0.
fn run_step<N: Number>(
    scan: &Scan,
    operands: &[&Array<N>],
    params: &[Array<N>],
    body: &Frame<N>,
    recorded: Option<&[Vec<Array<N>>]>,
    known: &BTreeMap<usize, Array<N>>,
) -> Result<scan::Run<N>, String> {
    scan::run(scan, operands, body.env.extent, body.mode.record, None, |t, at, args| {
        let node = &body.graph.nodes[at];
        match node.op {
            Op::Param(k) => Ok(params[k].clone()),
            Op::Fold { axes, .. } if axes.time => {
                Ok(known.get(&at).cloned().unwrap_or_else(|| body.env.zeros(&node.ty)))
            }
            _ => body.value(at, args, t, recorded.map(|steps| steps[t].as_slice())),
        }
    })
}

/// See [`super::graph_values`].
pub(super) fn graph_values<N: Number>(graph: &Graph, val: ValId, params: &[Vec<f64>], key: u64) -> Vec<N> {
    let extent = Extent { steps: 1, shard_batch: 1, shards: 1 };
    let env = Env { extent, segment: 1, call: Call { key, scalars: [0.0; SCALARS] } };
    let nodes = &graph.nodes[..=val.idx()];
    // A scope asks for one value after another of a graph that grows: only what it is made of is evaluated.
    let (mut needed, mut last_read) = (vec![false; nodes.len()], vec![0; nodes.len()]);
    needed[val.idx()] = true;
    for (at, node) in nodes.iter().enumerate().rev() {
        if needed[at] {
            for arg in &node.args {
                last_read[arg.idx()] = last_read[arg.idx()].max(at);
                needed[arg.idx()] = true;
            }
        }
    }
    let mut values: Vec<Array<N>> = Vec::new();
    for (at, node) in nodes.iter().enumerate() {
        if !needed[at] {
            values.push(Array { ty: node.ty.clone(), rows: 0, data: Vec::new() });
            continue;
        }
        let args: Vec<&Array<N>> = node.args.iter().map(|a| &values[a.idx()]).collect();
        let value = match node.op {
            Op::Param(n) => env.fill(&node.ty, |_, _, i| N::from_f64(params[n][i])),
            _ => node::value(node, &args, &env, 0),
        };
        values.push(value);
        // Tensors of a million weights are not kept for all nodes of a formula.
        for arg in node.args.iter().filter(|arg| last_read[arg.idx()] == at) {
            values[arg.idx()].data = Vec::new();
        }
    }
    values.swap_remove(val.idx()).data
}
