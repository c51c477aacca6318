//! How much memory a program takes: its regions, and what kernels of the runtime hold for each thread. Decides nothing.

use super::{Program, Stmt};
use crate::step::Slide;
use snn_runtime::kernels::bits::words;
use snn_runtime::kernels::conv;
use snn_runtime::program::MemoryPlan;

/// Bytes that a dense product packs of its right factor at most, about: a share of the last-level cache.
const PACKED: usize = 2 << 20;

/// One neuron in so many fires in a step, at most, where spikes are listed: two bytes each.
const FEW: usize = 5;

impl Program {
    /// All memory of the program.
    pub fn memory_plan(&self) -> MemoryPlan {
        MemoryPlan {
            shard_batch: self.shard_batch,
            shards: self.shards,
            steps: self.steps,
            alone: self.alone,
            param_floats: self.floats.param,
            slot_floats: self.floats.slot,
            shared_floats: self.floats.shared,
            shard_floats: self.floats.shard,
            local_floats: self.floats.local,
            kernel_bytes: self.kernel_bytes(),
            buffers: self.buffers.clone(),
        }
    }

    /// Bytes that kernels keep from call to call for one thread, about: lists of spikes, which are few, spikes by neuron, the right
    /// factor of a dense product as it is packed, and the patches of an image.
    fn kernel_bytes(&self) -> usize {
        let [mut lists, mut turned, mut packed, mut patches] = [0; 4];
        let mut stack: Vec<&Stmt> = self.phases.iter().flat_map(|phase| &phase.body).collect();
        while let Some(stmt) = stack.pop() {
            match stmt {
                Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => stack.extend(body),
                Stmt::MatMul { size: [m, k, n], a, .. } => {
                    packed = packed.max((4 * k * n).min(PACKED));
                    if self.buffers[a.0.buffer].spikes {
                        lists = lists.max(2 * m * k / FEW);
                        turned = turned.max(if a.1[1] == 1 { 0 } else { 8 * m * words(*k) });
                    }
                }
                Stmt::Slide {
                    slide:
                        slide @ (Slide::Conv | Slide::ExactConv | Slide::ConvToImage | Slide::ConvToWeights),
                    over,
                    ..
                } => {
                    let bytes = 4 * conv::scratch_floats(over, *slide == Slide::ExactConv);
                    patches = patches.max(bytes);
                    packed = packed.max(bytes.min(PACKED));
                }
                Stmt::MatMulShards { size: [_, k, n], .. } => packed = packed.max((4 * k * n).min(PACKED)),
                _ => {}
            }
        }
        lists + turned + packed + patches
    }
}
