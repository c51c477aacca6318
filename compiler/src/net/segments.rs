//! Segments of a presentation: what a net says about them, and which values are made segment by segment. Does not cut: that is
//! [`super::passes::segment`].
//!
//! A backward pass that keeps little goes through the segments from the last to the first. In each it makes the forward values again, from
//! the states that the forward pass had at the start of the segment, and then goes backward through them (Chen, Xu, Zhang and
//! Guestrin, *Training deep nets with sublinear memory cost*, 2016).

use super::Net;
use crate::step::{Op, Slide, Ty, ValId};

/// How a presentation is cut.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Segments {
    /// Steps of each; divides the steps of the presentation.
    pub steps: usize,
    /// For each scan the one that it makes again, if it does: it begins a segment with the states that one had there.
    pub replays: Vec<Option<usize>>,
    /// Whether one shard is done at a time, because there is no memory for two.
    pub alone: bool,
}

impl Net {
    /// Whether each shard makes the sequence segment by segment: work on samples and steps that looks at no other step, scans, and sums
    /// of weight gradients over the steps.
    pub(crate) fn is_swept(&self, val: ValId) -> bool {
        let node = self.graph.node(val);
        match node.op {
            Op::Scan(k) => self.is_of_shards(k, &node.args),
            Op::Outer | Op::Slide { slide: Slide::ConvToWeights, .. } => {
                let any = |has: fn(&Ty) -> bool| node.args.iter().any(|a| has(self.graph.ty(*a)));
                any(|ty| ty.time) && any(|ty| ty.batch)
            }
            Op::Const(_) | Op::Scalar(_) | Op::Param(_) | Op::Slot(_) | Op::Input(_) | Op::ScanOut(_) => {
                false
            }
            Op::Fold { axes, .. } => node.ty.time && node.ty.batch && !axes.time && !axes.batch,
            Op::Delay { .. } | Op::Last | Op::AtLast => false,
            _ => node.ty.time && node.ty.batch,
        }
    }

    /// The node of the scan whose sequence a value is: of itself, or of one that it names.
    pub(crate) fn maker(&self, val: ValId) -> ValId {
        match self.graph.node(val).op {
            Op::ScanOut(_) => self.graph.node(val).args[0],
            _ => val,
        }
    }

    /// Whether a value is a sequence that is made segment by segment.
    pub(crate) fn is_sequence(&self, val: ValId) -> bool {
        self.graph.ty(val).time && self.is_swept(self.maker(val))
    }

    /// Whether a scan has samples anywhere; then each shard makes its own.
    pub(crate) fn is_of_shards(&self, scan: usize, operands: &[ValId]) -> bool {
        let scan = &self.scans[scan];
        operands.iter().any(|a| self.graph.ty(*a).batch)
            || scan.states.iter().any(|s| s.ty.batch)
            || scan.body.nodes.iter().any(|n| n.ty.batch)
    }
}
