//! Which value is computed in which phase. Not in which order, not where it lies.
//!
//! A value joins the first phase of its section and kind in which its operands are ready. A reduction over samples is a partial result
//! in a phase for each shard, and their combination in a later phase that runs once; large weight gradients are one sum over all
//! shards in a phase of parts. New parameters and slots are
//! written in the update, after everything that reads the old ones.

use super::{Work, is_leaf, over_samples};
use crate::net::{Net, Scan, Sink};
use crate::step::{Op, Ty, ValId};
use snn_runtime::program::{Parallel, Section};

/// A phase: its work with operands first.
pub(super) struct Planned {
    pub section: Section,
    pub parallel: Parallel,
    pub works: Vec<Work>,
}

/// Numbers of a weight gradient from which on it is not worth a copy for each shard.
const MANY_WEIGHTS: usize = 1 << 14;

/// Whether a weight gradient is one sum over all shards, made part by part: then every shard keeps its factors until all have them.
/// With more rows (steps and samples) than the matrix has, a gradient for each shard takes less memory, and its product is long.
pub(super) fn in_parts(net: &Net, val: ValId) -> bool {
    let node = net.graph.node(val);
    if !matches!(node.op, Op::Outer) || node.ty.width() < MANY_WEIGHTS {
        return false;
    }
    let operand = net.graph.ty(node.args[0]);
    let rows = net.shard_batch * if operand.time { net.steps } else { 1 };
    rows <= operand.width()
}

/// Phases, and in which a value is ready.
#[derive(Default)]
pub(super) struct Plan {
    pub phases: Vec<Planned>,
    pub ready: Vec<usize>,
}

/// The phases of a prepared net.
pub(super) fn plan(net: &Net) -> Plan {
    let mut plan = Plan { phases: Vec::new(), ready: vec![0; net.graph.nodes.len()] };
    for val in net.graph.vals() {
        plan.value(net, val);
    }
    for (idx, output) in net.outputs.iter().enumerate() {
        if let Sink::Param(_) | Sink::Slot(_) = output.sink {
            let read =
                net.graph.vals().filter(|v| reads(net, *v, output.sink)).map(|v| plan.ready[v.idx()]).max();
            let made = plan.ready_for(net, output.val, Parallel::Once);
            let phase = plan.phase_at(made.max(read.unwrap_or(0)), Section::Update, Parallel::Once);
            plan.phases[phase].works.push(Work::Output(idx));
        }
    }
    plan
}

/// Whether a value is computed from the old value of what a sink overwrites.
pub(super) fn reads(net: &Net, val: ValId, sink: Sink) -> bool {
    net.graph.node(val).args.iter().any(|a| match (&net.graph.node(*a).op, sink) {
        (Op::Param(p), Sink::Param(q)) => *p == q,
        (Op::Slot(s), Sink::Slot(q)) => *s == q,
        _ => false,
    })
}

/// Whether a scan has samples anywhere; then each shard makes its own.
pub(super) fn scan_of_shards(net: &Net, scan: &Scan, operands: &[ValId]) -> bool {
    operands.iter().any(|a| net.graph.ty(*a).batch)
        || scan.states.iter().any(|s| s.ty.batch)
        || scan.body.nodes.iter().any(|n| n.ty.batch)
}

impl Plan {
    fn value(&mut self, net: &Net, val: ValId) {
        let node = net.graph.node(val);
        if let Op::ScanOut(_) = node.op {
            self.ready[val.idx()] = self.ready[node.args[0].idx()];
            return;
        }
        if is_leaf(&node.op) {
            return;
        }
        let of_shards = match node.op {
            Op::Scan(k) => scan_of_shards(net, &net.scans[k], &node.args),
            _ => node.ty.batch || over_samples(&node.op),
        };
        let parallel = match of_shards {
            _ if in_parts(net, val) => Parallel::Parts,
            true => Parallel::Shards,
            false => Parallel::Once,
        };
        let earliest = node.args.iter().map(|a| self.ready_for(net, *a, parallel)).max().unwrap_or(0);
        let mut phase = self.phase_at(earliest, node.section, parallel);
        self.phases[phase].works.push(Work::Value(val));
        if over_samples(&node.op) && parallel != Parallel::Parts {
            phase = self.phase_at(phase + 1, node.section, Parallel::Once);
            self.phases[phase].works.push(Work::Combine(val));
        }
        self.ready[val.idx()] = phase;
    }

    /// First phase in which a phase of kind `parallel` may read the value.
    fn ready_for(&self, net: &Net, val: ValId, parallel: Parallel) -> usize {
        let node = net.graph.node(val);
        if is_leaf(&node.op) && !matches!(node.op, Op::ScanOut(_)) {
            return 0;
        }
        let phase = self.ready[val.idx()];
        // Parts are not at the same statement.
        if self.phases[phase].parallel == parallel && parallel != Parallel::Parts { phase } else { phase + 1 }
    }

    fn phase_at(&mut self, earliest: usize, section: Section, parallel: Parallel) -> usize {
        let fits = |p: &Planned| p.section == section && p.parallel == parallel;
        let found = (earliest..self.phases.len()).find(|p| fits(&self.phases[*p]));
        found.unwrap_or_else(|| {
            self.phases.push(Planned { section, parallel, works: Vec::new() });
            self.phases.len() - 1
        })
    }
}

/// Numbers made of numbers (`1 - beta^k`). They come first in a phase, so that what they scale stays in one nest.
pub(super) fn numbers(net: &Net, works: &[Work]) -> Vec<Work> {
    let mut found: Vec<Work> = Vec::new();
    for work in works {
        let Work::Value(val) = work else { continue };
        let node = net.graph.node(*val);
        let of_numbers = node.args.iter().all(|a| {
            found.contains(&Work::Value(*a)) || matches!(net.graph.node(*a).op, Op::Const(_) | Op::Scalar(_))
        });
        if node.ty == Ty::SCALAR && super::nest::fuses(&net.graph, *val) && of_numbers {
            found.push(*work);
        }
    }
    found
}
