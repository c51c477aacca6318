//! Net IR to Loop IR: phases, fusion, buffers.
//!
//! Values with samples are computed for each shard, the others once. A reduction over samples leaves a partial result for each shard,
//! and these are added once. Pointwise values on the same axes fuse into one nest as far as their operands allow; only what
//! another statement reads gets a buffer. `phases` and `block` decide the order and the fusion, `scan` makes the time loops,
//! `statement` and `reduce` everything that is no nest, `nest` the instructions, `layout` the buffers, `spikes` which of them are bits,
//! `sum_in_nest` which sums over samples are made where their terms are, `weights` which products get weights in another form, `at_once` which are done for all shards at once, `parts` which loops all threads share, `groups` which phases a shard goes
//! through without a break, `sweeps` what is made segment by segment, `in_place` which buffers are one, `panels` which lie in panels, `memory` where they lie.

mod at_once;
mod block;
mod groups;
mod in_place;
mod layout;
mod memory;
mod nest;
pub(crate) mod panels;
mod parts;
mod phases;
mod prepare;
mod reduce;
mod scan;
mod spikes;
mod statement;
mod sum_in_nest;
mod sweeps;
#[cfg(test)]
mod tests;
mod weights;

pub(crate) use phases::all_in_parts;

use crate::loops::{Access, Floats, Instr, Phase, Program, Stmt};
use crate::net::{Net, Sink};
use crate::step::{Node, Op, Slide, Ty, ValId};
use block::{Block, Item};
use layout::{Layout, Place};
use nest::Domain;
use phases::Planned;
use snn_runtime::program::{Binding, Parallel, ParamInfo};
use std::collections::BTreeMap;
use sweeps::Sweeps;

/// The program of a net.
pub fn loops(net: &Net) -> Program {
    let net = prepare::net(net);
    let plan = phases::plan(&net);
    let layout = Layout::new(&net);
    let sweeps = Sweeps::new(&net, &plan);
    let blocks =
        plan.phases.iter().map(|p| Block::of_phase(&net, &p.works, &layout, sweeps.as_ref())).collect();
    let mut readers = vec![Vec::new(); net.graph.nodes.len()];
    for val in net.graph.vals() {
        net.graph.node(val).args.iter().for_each(|a| readers[a.idx()].push(val));
    }
    let mut s = Scheduler {
        layout,
        places: vec![None; net.graph.nodes.len()],
        scan_places: vec![Vec::new(); net.scans.len()],
        ready: plan.ready,
        readers,
        blocks,
        partials: BTreeMap::new(),
        starts: BTreeMap::new(),
        sweeps,
        net: &net,
    };
    s.assign_places();
    let phases = plan.phases.iter().enumerate().map(|(p, planned)| s.phase(p, planned)).collect();
    let mut program = s.finish(phases);
    let inputs = net.inputs.iter().zip(&program.inputs).filter(|(input, _)| input.spikes);
    let inputs: Vec<usize> = inputs.map(|(_, binding)| binding.buffer).collect();
    spikes::pack(&mut program, &inputs);
    sum_in_nest::run(&mut program);
    weights::prepare(&mut program);
    at_once::run(&mut program);
    parts::spread(&mut program);
    groups::join(&mut program);
    in_place::share(&mut program);
    panels::mark(&mut program);
    memory::plan(&mut program);
    debug_assert_eq!(crate::loops::verify::verify(&program), Ok(()));
    program
}

/// A piece of a phase.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    /// Computes the value, or for reductions over samples its partial results.
    Value(ValId),
    /// Adds the partial results of the shards.
    Combine(ValId),
    /// Writes the new parameter or slot that is the output of that index.
    Output(usize),
}

/// Statements of a turn of a phase.
#[derive(Default)]
struct Parts {
    /// Before the first segment.
    before: Vec<Stmt>,
    /// In each segment, or once if there are none.
    body: Vec<Stmt>,
    /// After the last segment.
    after: Vec<Stmt>,
}

struct Scheduler<'a> {
    net: &'a Net,
    layout: Layout,
    /// Where a value lies, if it has a buffer.
    places: Vec<Option<Place>>,
    /// Where the results of a scan lie.
    scan_places: Vec<Vec<Place>>,
    /// Phase in which a value is ready.
    ready: Vec<usize>,
    /// Values computed from a value.
    readers: Vec<Vec<ValId>>,
    /// Order and fusion of each phase.
    blocks: Vec<Block>,
    /// Partial results of reductions over samples.
    partials: BTreeMap<ValId, Place>,
    /// What is made segment by segment, if the presentation is cut.
    sweeps: Option<Sweeps>,
    /// States at the starts of segments, of scans that are made again.
    starts: BTreeMap<usize, Vec<Place>>,
}

/// Values that need no statement.
fn is_leaf(op: &Op) -> bool {
    matches!(op, Op::Const(_) | Op::Scalar(_) | Op::Param(_) | Op::Slot(_) | Op::Input(_) | Op::ScanOut(_))
}

/// Whether a value comes from a reduction over samples. A weight gradient of operands that are the same for all samples does not.
fn over_samples(net: &Net, node: &Node) -> bool {
    match &node.op {
        Op::Fold { axes, .. } => axes.batch,
        op => op.is_weight_gradient() && node.args.iter().any(|a| net.graph.ty(*a).batch),
    }
}

impl Scheduler<'_> {
    /// Decides which values get buffers.
    fn assign_places(&mut self) {
        for val in self.net.graph.vals() {
            let node = self.net.graph.node(val);
            self.places[val.idx()] = match &node.op {
                Op::Const(_) | Op::Scalar(_) => None,
                Op::Param(p) => Some(self.layout.param(*p)),
                Op::Slot(s) => Some(self.layout.slot(*s)),
                Op::Input(k) => Some(self.layout.input(*k)),
                Op::Scan(scan) => {
                    self.scan_places[*scan] = self.scan_results(val, *scan);
                    Some(self.scan_places[*scan][0].clone())
                }
                Op::ScanOut(k) => {
                    let Op::Scan(scan) = self.net.graph.node(node.args[0]).op else {
                        unreachable!("verified")
                    };
                    Some(self.scan_places[scan][*k].clone())
                }
                _ if self.needs_buffer(val) => {
                    Some(self.sequence(val, &name_of(self.net, val), &node.ty, false))
                }
                _ => None,
            };
        }
    }

    fn scan_results(&mut self, node: ValId, scan: usize) -> Vec<Place> {
        let net = self.net;
        let of_shards = net.is_of_shards(scan, &net.graph.node(node).args);
        let mut places = Vec::new();
        for (k, out) in net.scans[scan].outs.iter().enumerate() {
            let read = self.readers[node.idx()]
                .iter()
                .find(|v| matches!(net.graph.node(**v).op, Op::ScanOut(o) if o == k));
            let val = if k == 0 { Some(node) } else { read.copied() };
            let name = val.map_or(format!("{}.{k}", net.scans[scan].name), |v| name_of(net, v));
            let ty = scan::result_ty(&net.scans[scan], out);
            places.push(match (k, read) {
                (0, _) => self.sequence(node, &name, &ty, of_shards),
                (_, Some(read)) => self.sequence(*read, &name, &ty, of_shards),
                (_, None) => self.layout.value(&name, &ty, of_shards),
            });
        }
        places
    }

    /// A buffer for a value: of the steps of a segment, if nothing outside of its sweep reads it.
    fn sequence(&mut self, val: ValId, name: &str, ty: &Ty, of_shards: bool) -> Place {
        match &self.sweeps {
            Some(sweeps) if ty.time && !sweeps.is_whole(val) => {
                self.layout.of_segment(name, ty, sweeps.steps)
            }
            _ => self.layout.value(name, ty, of_shards),
        }
    }

    fn needs_buffer(&self, val: ValId) -> bool {
        let bound = |o: &crate::net::Output| o.val == val && matches!(o.sink, Sink::Named | Sink::Grad(_));
        !nest::fuses(&self.net.graph, val) || self.net.outputs.iter().any(bound) || self.read_elsewhere(val)
    }

    /// Whether a statement other than the nest of a value reads it.
    fn read_elsewhere(&self, val: ValId) -> bool {
        let phase = self.ready[val.idx()];
        let here = self.blocks[phase].item_of(val);
        let same =
            |reader: &ValId| self.ready[reader.idx()] == phase && self.blocks[phase].item_of(*reader) == here;
        let written = self.net.outputs.iter().enumerate().filter(|(_, o)| o.val == val);
        let mut written = written.filter(|(_, o)| matches!(o.sink, Sink::Param(_) | Sink::Slot(_)));
        !self.readers[val.idx()].iter().all(same)
            || written.any(|(k, _)| self.blocks[phase].output_item(k) != here)
    }

    fn phase(&mut self, p: usize, planned: &Planned) -> Phase {
        let block = std::mem::take(&mut self.blocks[p]);
        let mut body = Vec::new();
        for (turn, items) in &block.turns {
            let segment = self.sweeps.as_ref().map(|s| s.steps).filter(|_| sweeps::is_sweep(*turn));
            self.layout.sweep(segment);
            let mut parts = Parts::default();
            for item in &block.items[items.clone()] {
                match item {
                    Item::Nest(domain, works) => parts.body.push(self.nest(domain, works)),
                    Item::Single(Work::Combine(val)) => reduce::combine(self, *val, &mut parts.body),
                    Item::Single(Work::Value(val)) => self.single(*val, planned, &mut parts),
                    Item::Single(Work::Output(_)) => unreachable!("outputs are part of nests"),
                }
            }
            self.layout.sweep(None);
            body.append(&mut parts.before);
            match segment {
                Some(steps) => body.push(Stmt::Segments {
                    reverse: sweeps::is_descending(*turn),
                    count: self.net.steps / steps,
                    steps,
                    body: parts.body,
                }),
                None => body.append(&mut parts.body),
            }
            body.append(&mut parts.after);
        }
        let name = format!("{}{p}", format!("{:?}", planned.section).to_lowercase());
        Phase { name, section: planned.section, parallel: planned.parallel, joined: false, body }
    }

    fn nest(&self, domain: &Domain, works: &[Work]) -> Stmt {
        let places = |v: ValId| self.places[v.idx()].clone();
        let mut b = nest::Builder::new(&self.net.graph, domain.clone(), &self.layout);
        for work in works {
            match work {
                Work::Value(val) => {
                    b.value(*val, &places);
                    if let Some(place) = &self.places[val.idx()] {
                        b.store(*val, place, &places);
                    }
                }
                Work::Output(idx) => {
                    let output = &self.net.outputs[*idx];
                    let place = match output.sink {
                        Sink::Param(p) => self.layout.param(p),
                        Sink::Slot(s) => self.layout.slot(s),
                        Sink::Named | Sink::Grad(_) => unreachable!("results have buffers of their own"),
                    };
                    b.store(output.val, &place, &places);
                }
                Work::Combine(_) => unreachable!("not part of a nest"),
            }
        }
        b.finish()
    }

    fn single(&mut self, val: ValId, planned: &Planned, parts: &mut Parts) {
        let mut own = Parts::default();
        let of = if self.layout.in_sweep() { &mut *parts } else { &mut own };
        match self.net.graph.node(val).op {
            Op::Scan(k) => scan::scan(self, val, k, planned.parallel == Parallel::Shards, of),
            Op::Fold { fold, axes } => reduce::fold(self, val, fold, axes, &mut of.body),
            Op::Outer | Op::Slide { slide: Slide::ConvToWeights, .. } => reduce::weights(self, val, of),
            _ => statement::statement(self, val, &mut of.body),
        }
        // Without segments all statements are in a row.
        [own.before, own.body, own.after].iter_mut().for_each(|own| parts.body.append(own));
    }

    fn place(&self, val: ValId) -> Place {
        self.places[val.idx()].clone().unwrap_or_else(|| panic!("schedule: %{} has no buffer", val.0))
    }

    fn finish(self, phases: Vec<Phase>) -> Program {
        let net = self.net;
        let result = |o: usize| self.place(net.outputs[o].val).buffer;
        let mut params: Vec<ParamInfo> = Vec::new();
        for (p, param) in net.params.iter().enumerate() {
            let slots = net.slots.iter().enumerate().filter(|(_, s)| s.param == p);
            let grad = net.outputs.iter().position(|o| o.sink == Sink::Grad(p));
            params.push(ParamInfo {
                name: param.name.clone(),
                buffer: self.layout.param(p).buffer,
                trained: param.trained,
                slots: slots.map(|(k, s)| (s.name.clone(), self.layout.slot(k).buffer)).collect(),
                grad: grad.map(result),
            });
        }
        let inputs = net.inputs.iter().enumerate();
        let outputs = net.outputs.iter().enumerate();
        let named = outputs.filter(|(_, o)| matches!(o.sink, Sink::Named | Sink::Grad(_)));
        Program {
            params,
            inputs: inputs
                .map(|(k, i)| Binding { name: i.name.clone(), buffer: self.layout.input(k).buffer })
                .collect(),
            outputs: named.map(|(k, o)| Binding { name: o.name.clone(), buffer: result(k) }).collect(),
            phases: phases.into_iter().filter(|p| !p.body.is_empty()).collect(),
            floats: Floats::default(),
            buffers: self.layout.buffers,
            shard_batch: net.shard_batch,
            shards: net.shards,
            steps: net.steps,
            alone: net.segments.as_ref().is_some_and(|segments| segments.alone),
        }
    }
}

/// A name for people.
fn name_of(net: &Net, val: ValId) -> String {
    let name = &net.graph.node(val).name;
    let output = net.outputs.iter().find(|o| o.val == val).map(|o| o.name.clone());
    output.unwrap_or_else(|| if name.is_empty() { format!("%{}", val.0) } else { name.clone() })
}

/// `len` adjacent floats.
fn copy(src: Access, dst: Access, len: usize) -> Stmt {
    let (src, dst) = (Access { col: 1, ..src }, Access { col: 1, ..dst });
    Stmt::Nest { rows: 1, width: len, body: vec![Instr::Load(src), Instr::Store(dst, 0)] }
}

/// `len` adjacent floats.
fn zero(dst: Access, len: usize) -> Stmt {
    let dst = Access { col: 1, ..dst };
    Stmt::Nest { rows: 1, width: len, body: vec![Instr::Const(0.0), Instr::Store(dst, 0)] }
}
