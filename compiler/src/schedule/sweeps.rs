//! When in its phase a value is made, if the presentation is cut into segments: in which sweep over the segments, or between which. Makes
//! no statements.
//!
//! Turns of a phase are numbered: even ones are between sweeps, 1, 5, 9… are sweeps from the first segment to the last, 3, 7, 11… from the
//! last to the first. A sequence that only statements of the same sweep read has the length of a segment; all others are whole.

use super::is_leaf;
use super::phases::Plan;
use crate::net::{Net, Sink};
use crate::step::{Op, ValId};
use snn_runtime::program::{Parallel, Section};

/// The decisions of this file.
pub(super) struct Sweeps {
    /// Steps of a segment.
    pub steps: usize,
    /// Turn of each value in its phase.
    turns: Vec<usize>,
    /// Phase that makes each value, if one does.
    made: Vec<Option<usize>>,
    /// Whether a sequence is kept for the whole presentation.
    whole: Vec<bool>,
}

/// Whether a turn is a sweep.
pub(super) fn is_sweep(turn: usize) -> bool {
    turn % 2 == 1
}

/// Whether a sweep goes from the last segment to the first.
pub(super) fn is_descending(turn: usize) -> bool {
    turn % 4 == 3
}

impl Sweeps {
    /// Of a net that is cut.
    pub fn new(net: &Net, plan: &Plan) -> Option<Sweeps> {
        let segments = net.segments.as_ref()?;
        let n = net.graph.nodes.len();
        let made = plan.makers(net);
        let mut s = Sweeps { steps: segments.steps, turns: vec![0; n], whole: vec![true; n], made };
        let of_shards: Vec<bool> =
            s.made.iter().map(|p| p.is_some_and(|p| plan.phases[p].parallel == Parallel::Shards)).collect();
        net.graph.vals().filter(|v| of_shards[v.idx()]).for_each(|val| s.turns[val.idx()] = s.turn(net, val));
        for val in net.graph.vals() {
            if of_shards[net.maker(val).idx()] && net.is_sequence(val) {
                s.whole[val.idx()] = s.is_read_outside(net, val);
            }
        }
        Some(s)
    }

    /// The turn of a value in its phase.
    pub fn of(&self, val: ValId) -> usize {
        self.turns[val.idx()]
    }

    /// Whether a sequence has all steps of the presentation.
    pub fn is_whole(&self, val: ValId) -> bool {
        self.whole[val.idx()]
    }

    /// The first turn in which the operands are there.
    fn turn(&self, net: &Net, val: ValId) -> usize {
        let node = net.graph.node(val);
        let is_swept = net.is_swept(val);
        let ready = node.args.iter().map(|arg| {
            let maker = net.maker(*arg);
            let here = self.made[maker.idx()] == self.made[val.idx()] && !is_leaf(&net.graph.node(maker).op);
            match (here, is_sweep(self.turns[maker.idx()])) {
                (false, _) => 0,
                // Of each segment while it is made, or after the last.
                (true, true) if is_swept && net.graph.ty(*arg).time => self.turns[maker.idx()],
                (true, true) => self.turns[maker.idx()] + 1,
                (true, false) => self.turns[maker.idx()],
            }
        });
        let ready = ready.max().unwrap_or(0);
        if !is_swept {
            return ready.next_multiple_of(2);
        }
        let first = if node.section == Section::Backward { 3 } else { 1 };
        let mut turn = ready.max(first) | 1;
        if let Op::Scan(k) = node.op {
            let replays = net.segments.as_ref().is_some_and(|s| s.replays[k].is_some());
            if is_descending(turn) != (replays || net.scans[k].reverse) {
                turn += 2;
            }
        }
        turn
    }

    fn is_read_outside(&self, net: &Net, val: ValId) -> bool {
        let maker = net.maker(val);
        let is_bound =
            net.outputs.iter().any(|o| o.val == val && matches!(o.sink, Sink::Named | Sink::Grad(_)));
        let outside = |reader: ValId| {
            let node = net.graph.node(reader);
            let reads = node.args.contains(&val) && !matches!(node.op, Op::ScanOut(_));
            let same = self.made[reader.idx()] == self.made[maker.idx()]
                && self.turns[reader.idx()] == self.turns[maker.idx()];
            reads && !same
        };
        is_bound || net.graph.vals().any(outside)
    }
}
