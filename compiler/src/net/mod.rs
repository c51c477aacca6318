//! Net IR: one whole presentation as a graph over sequences. The step has been cut at its recurrences.
//!
//! # Meaning
//! Nodes are those of Step IR ([`crate::step`]) with a time axis where values change from step to step. A node without the time
//! axis is computed once: that is how constant inputs, decay factors and their gradients leave the time loop. A
//! [`Scan`] is the only thing that goes from step to step: its body is a small step of its own whose `Op::Input(k)` is operand
//! `k` of the scan at this step (the operand itself if it has no time axis).
//! `reverse` scans go from the last step to the first; their `Prev` with delay `d` is the value `d` steps *later*, and `init` holds
//! in the first `d` steps they make.
//!
//! A training net holds forward pass, backward pass and update; [`Section`](snn_runtime::program::Section) of a node says which.
//! Outputs with a sink `Param` or `Slot` are written when everything else has been read.
//!
//! Batches are cut into `shards` of `shard_batch` samples (part of the meaning: sums over samples go shard by shard).

pub mod passes;
pub mod print;
pub mod segments;
pub(crate) mod taint;
pub mod verify;
pub(crate) mod zeros;

use crate::step::{Graph, Input, Node, Op, Param, State, ValId};

/// A presentation.
#[derive(Clone, Debug, Default)]
pub struct Net {
    /// Its values.
    pub graph: Graph,
    /// Recurrences.
    pub scans: Vec<Scan>,
    /// Data inputs; among them `target` and `mask` if they are read.
    pub inputs: Vec<Input>,
    /// Parameters.
    pub params: Vec<Param>,
    /// Optimizer states: name (`m`), parameter, first value; the shape is that of the parameter.
    pub slots: Vec<Slot>,
    /// Results.
    pub outputs: Vec<Output>,
    /// Steps of a presentation.
    pub steps: usize,
    /// Samples of a shard.
    pub shard_batch: usize,
    /// Shards of a full batch.
    pub shards: usize,
    /// How the presentation is cut, if the backward pass makes the forward pass again. Then weight gradients are summed
    /// segment by segment, from the last to the first, in each from 0 on.
    pub segments: Option<segments::Segments>,
}

impl Net {
    /// Whether a scan folds over samples at each step. Then all samples go from step to step together: there is one shard.
    pub fn folds_samples_in_time(&self) -> bool {
        let over_samples = |node: &Node| matches!(node.op, Op::Fold { axes, .. } if axes.batch);
        self.scans.iter().any(|scan| scan.body.nodes.iter().any(over_samples))
    }
}

/// A state of the optimizer for one parameter.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// `m`
    pub name: String,
    /// Index of the parameter.
    pub param: usize,
    /// First value.
    pub init: f64,
}

/// A result of a net.
#[derive(Clone, PartialEq, Debug)]
pub struct Output {
    /// `loss`, `prediction`, `h.v`, `count.h`; for sinks that of the parameter or slot.
    pub name: String,
    /// Its value.
    pub val: ValId,
    /// Where it goes.
    pub sink: Sink,
}

/// Where a result goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sink {
    /// A buffer of its own that the runtime reads.
    Named,
    /// The gradient of a parameter; a buffer that the runtime may read.
    Grad(usize),
    /// The new value of a parameter.
    Param(usize),
    /// The new value of a slot.
    Slot(usize),
}

/// A recurrence over the steps.
#[derive(Clone, Debug)]
pub struct Scan {
    /// `h`, `h'` (its adjoint).
    pub name: String,
    /// One step. No `Op::Param`, `Op::Slot`, gradients of weights, `Op::Last`, `Op::Delay`, `Op::Scan`, and no `Fold` over time in it; one over
    /// samples only in a net of one shard.
    pub body: Graph,
    /// States. `init` depends only on operands without time axis and constants.
    pub states: Vec<State>,
    /// Results, in the order of `Op::ScanOut`.
    pub outs: Vec<ScanOut>,
    /// From the last step to the first.
    pub reverse: bool,
}

/// A result of a scan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ScanOut {
    /// The value at each step: has the time axis.
    Each(ValId),
    /// The sum over the steps, in the order the scan makes them, starting from 0: no time axis.
    Sum(ValId),
    /// The value of `next` of state `s` (with delay 1) in the last step the scan makes.
    Final(usize),
}
