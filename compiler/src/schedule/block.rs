//! The order of the statements of a phase or time loop, and which values share a nest. No memory, no instructions.
//!
//! Values come in an order in which operands stand first. A pointwise value joins a nest on its axes that does not come before a
//! statement it reads; every other value is a statement of its own. Of several nests the one of an operand is
//! taken, so that intermediate values stay in registers, else the first; a nest that is full takes no more (registers
//! run out, and each buffer is a stream for the caches).

use super::Work;
use super::layout::Layout;
use super::nest::{self, Domain};
use super::phases::{self, reads};
use super::sweeps::Sweeps;
use crate::net::{Net, Sink};
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;
use std::ops::Range;

/// Values that a nest holds at most, unless an operand is in it.
const FULL: usize = 80;

/// A statement.
pub(super) enum Item {
    /// Fused pointwise values.
    Nest(Domain, Vec<Work>),
    /// Anything else.
    Single(Work),
}

/// Statements in order.
#[derive(Default)]
pub(super) struct Block {
    pub items: Vec<Item>,
    /// Turns of the phase and where their statements are; of one turn if the presentation is not cut.
    pub turns: Vec<(usize, Range<usize>)>,
    /// Statements before this one take nothing more.
    floor: usize,
    /// Statement of each value.
    at: BTreeMap<ValId, usize>,
    outputs: BTreeMap<usize, usize>,
}

impl Block {
    /// The statements of a phase, turn by turn.
    pub fn of_phase(net: &Net, works: &[Work], layout: &Layout, sweeps: Option<&Sweeps>) -> Block {
        let mut block = Block::default();
        let turn = |work: &Work| match (sweeps, work) {
            (Some(sweeps), Work::Value(val)) => sweeps.of(*val),
            _ => 0,
        };
        let mut turns: Vec<usize> = works.iter().map(turn).collect();
        turns.sort_unstable();
        turns.dedup();
        for at in turns {
            let of_turn: Vec<Work> = works.iter().copied().filter(|work| turn(work) == at).collect();
            block.floor = block.items.len();
            block.turn(net, &of_turn, layout);
            block.turns.push((at, block.floor..block.items.len()));
        }
        block
    }

    fn turn(&mut self, net: &Net, works: &[Work], layout: &Layout) {
        let block = self;
        let prelude = phases::numbers(net, works);
        let rest = works.iter().filter(|w| !prelude.contains(w));
        for work in prelude.iter().chain(rest) {
            match work {
                Work::Value(val) => block.add(&net.graph, *val, layout),
                Work::Combine(val) => {
                    block.items.push(Item::Single(*work));
                    block.at.insert(*val, block.items.len() - 1);
                }
                Work::Output(idx) => block.output(net, *idx, layout),
            }
        }
    }

    /// Adds the writing of a new parameter or slot.
    fn output(&mut self, net: &Net, idx: usize, layout: &Layout) {
        let output = &net.outputs[idx];
        let ty = net.graph.ty(output.val).clone();
        let made = self.item_of(maker(&net.graph, output.val));
        let after = self.last_reader(net, output.sink).max(made).unwrap_or(0);
        let at = self.join(&ty, after, made, Work::Output(idx), layout);
        self.outputs.insert(idx, at);
    }

    /// The last statement that reads the old value of what a sink overwrites.
    fn last_reader(&self, net: &Net, sink: Sink) -> Option<usize> {
        self.at.iter().filter(|(val, _)| reads(net, **val, sink)).map(|(_, at)| *at).max()
    }

    /// Adds a value.
    pub fn add(&mut self, graph: &Graph, val: ValId, layout: &Layout) {
        let node = graph.node(val);
        let after = node.args.iter().filter_map(|a| self.item_of(maker(graph, *a))).max();
        let at = if nest::fuses(graph, val) {
            self.join(&node.ty, after.unwrap_or(0), after, Work::Value(val), layout)
        } else {
            self.items.push(Item::Single(Work::Value(val)));
            self.items.len() - 1
        };
        self.at.insert(val, at);
    }

    /// Puts a value into a nest on its axes from `after` on, best into `with`, or into a new one.
    fn join(&mut self, ty: &Ty, after: usize, with: Option<usize>, work: Work, layout: &Layout) -> usize {
        let domain = Domain::of(ty, layout);
        let fits = |k: &usize| match &self.items[*k] {
            Item::Nest(d, works) => *d == domain && (with == Some(*k) || works.len() < FULL),
            Item::Single(_) => false,
        };
        let found = (after.max(self.floor)..self.items.len()).find(fits);
        let at = found.unwrap_or_else(|| {
            self.items.push(Item::Nest(domain, Vec::new()));
            self.items.len() - 1
        });
        if let Item::Nest(_, works) = &mut self.items[at] {
            works.push(work);
        }
        at
    }

    /// The statement that makes a value.
    pub fn item_of(&self, val: ValId) -> Option<usize> {
        self.at.get(&val).copied()
    }

    /// The statement that writes an output.
    pub fn output_item(&self, idx: usize) -> Option<usize> {
        self.outputs.get(&idx).copied()
    }

    /// Adds the values of a body, which has no outputs.
    pub fn of_body(graph: &Graph, vals: impl Iterator<Item = ValId>, layout: &Layout) -> Block {
        let mut block = Block::default();
        for val in vals {
            if !matches!(graph.node(val).op, Op::Const(_) | Op::Scalar(_) | Op::Input(_) | Op::Prev(_)) {
                block.add(graph, val, layout);
            }
        }
        block
    }
}

/// The value whose statement makes a value: results of a scan are made by the scan.
fn maker(graph: &Graph, val: ValId) -> ValId {
    match graph.node(val).op {
        Op::ScanOut(_) => graph.node(val).args[0],
        _ => val,
    }
}
