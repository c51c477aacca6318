//! Which value is computed in which phase. Not in which order, not where it lies.
//!
//! A value joins the first phase of its section and kind in which its operands are ready. A reduction over samples is a partial result
//! in a phase for each shard, and their combination in a later phase that runs once; large weight gradients are one sum over all
//! shards in a phase of parts. New parameters and slots are
//! written in the update, after everything that reads the old ones.

use super::{Work, is_leaf, over_samples};
use crate::net::{Net, Sink};
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
/// With more rows (steps and samples) than the matrix has, a gradient for each shard takes less memory, and its product is long. In
/// segments nothing of the length of the presentation is kept.
pub(super) fn in_parts(net: &Net, val: ValId) -> bool {
    let node = net.graph.node(val);
    if !is_large_gradient(net, val) || net.segments.is_some() {
        return false;
    }
    let operand = net.graph.ty(node.args[0]);
    let rows = net.shard_batch * if operand.time { net.steps } else { 1 };
    rows <= operand.width()
}

/// Whether all large weight gradients are [`in_parts`].
pub(crate) fn all_in_parts(net: &Net) -> bool {
    net.graph.vals().all(|val| in_parts(net, val) || !is_large_gradient(net, val))
}

fn is_large_gradient(net: &Net, val: ValId) -> bool {
    let node = net.graph.node(val);
    matches!(node.op, Op::Outer) && node.ty.width() >= MANY_WEIGHTS && net.graph.ty(node.args[0]).batch
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
    if net.segments.is_some() {
        plan.move_to_readers(net);
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
            Op::Scan(k) => net.is_of_shards(k, &node.args),
            _ => node.ty.batch || over_samples(net, node),
        };
        let parallel = match of_shards {
            _ if in_parts(net, val) => Parallel::Parts,
            true => Parallel::Shards,
            false => Parallel::Once,
        };
        let earliest = node.args.iter().map(|a| self.ready_for(net, *a, parallel)).max().unwrap_or(0);
        let mut phase = self.phase_at(earliest, node.section, parallel);
        self.phases[phase].works.push(Work::Value(val));
        if over_samples(net, node) && parallel != Parallel::Parts {
            phase = self.phase_at(phase + 1, node.section, Parallel::Once);
            self.phases[phase].works.push(Work::Combine(val));
        }
        self.ready[val.idx()] = phase;
    }

    /// Moves sequences of the backward pass to the first phase that reads them, so that no other has to keep them: what is made again of the
    /// forward pass could be made long before.
    fn move_to_readers(&mut self, net: &Net) {
        let mut made = self.makers(net);
        // First phase that reads a value.
        let mut first = vec![usize::MAX; net.graph.nodes.len()];
        net.outputs.iter().for_each(|o| first[net.maker(o.val).idx()] = 0);
        for val in (0..net.graph.nodes.len() as u32).rev().map(ValId) {
            let (node, maker) = (net.graph.node(val), net.maker(val));
            let Some(from) = made[maker.idx()] else { continue };
            let to = first[val.idx()];
            let is_free = val == maker && net.is_swept(val) && !over_samples(net, node);
            if is_free && node.section == Section::Backward && self.is_later(from, to) {
                self.phases[from].works.retain(|work| *work != Work::Value(val));
                self.phases[to].works.push(Work::Value(val));
                (made[val.idx()], self.ready[val.idx()]) = (Some(to), to);
            }
            // A result of a scan is read where its readers are.
            let reads = if val == maker { made[val.idx()].unwrap_or(from) } else { to };
            node.args.iter().for_each(|arg| first[arg.idx()] = first[arg.idx()].min(reads));
        }
        net.graph.vals().for_each(|val| self.ready[val.idx()] = self.ready[net.maker(val).idx()]);
        for phase in self.phases.iter_mut().filter(|p| p.parallel == Parallel::Shards) {
            // Operands come before what is made of them.
            phase.works.sort_by_key(|work| match work {
                Work::Value(val) | Work::Combine(val) => val.idx(),
                Work::Output(idx) => *idx,
            });
        }
    }

    /// The phase that computes each value, if one does.
    pub fn makers(&self, net: &Net) -> Vec<Option<usize>> {
        let mut made = vec![None; net.graph.nodes.len()];
        for (p, phase) in self.phases.iter().enumerate() {
            for work in &phase.works {
                if let Work::Value(val) = work {
                    made[val.idx()] = Some(p);
                }
            }
        }
        made
    }

    /// Whether phase `to` is a later one of shards in the backward pass.
    fn is_later(&self, from: usize, to: usize) -> bool {
        let fits = |phase: &Planned| phase.parallel == Parallel::Shards && phase.section == Section::Backward;
        to > from && self.phases.get(to).is_some_and(fits)
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
