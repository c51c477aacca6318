//! A compiled program as the runtime sees it: phases, memory plan, bindings. Made by `snn-compiler`, or by hand in tests.
//!
//! Layout: a batch is cut into shards of `shard_batch` samples; how many depends only on the batch, never on
//! the number of threads, so that results do not depend on it either. A buffer in region [`Region::Shard`] holds
//! `[time][sample of the shard][index]` (axes it does not have are left out), every shard its own copy.
//! The last shard of a batch that does not fill it computes on zero inputs; the sample mask is 0 there.

use crate::abi::{Ctx, PhaseFn};
use crate::kernels::bits::words;

/// Where a buffer lies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Region {
    /// Parameters.
    Param,
    /// Optimizer state.
    Slot,
    /// Seen by all shards.
    Shared,
    /// One copy for each shard.
    Shard,
    /// One copy for each thread: what a shard needs only while it goes from one [`Phase`] to the next that is `joined`.
    Local,
}

/// A named buffer of f32, or of spikes in the memory of f32.
#[derive(Clone, Debug)]
pub struct BufferInfo {
    /// For people: `h.v`, `grad w0`.
    pub name: String,
    /// Where it lies.
    pub region: Region,
    /// Offset in f32 from the start of the region (of the shard's copy).
    pub offset: usize,
    /// `time` axis: number of steps, if it has one.
    pub time: Option<usize>,
    /// Has a sample axis of `shard_batch`.
    pub batch: bool,
    /// Index axes.
    pub shape: Vec<usize>,
    /// Whether a row (all index axes) is bits, as [`crate::kernels::spikes`] has them, and not numbers.
    pub spikes: bool,
    /// Whether columns lie in panels: see [`crate::kernels::panels`]. The rows are all steps and samples.
    pub panels: bool,
}

impl BufferInfo {
    /// Product of the index axes.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of f32 that a row takes.
    pub fn row_floats(&self) -> usize {
        if self.spikes { 2 * words(self.width()) } else { self.width() }
    }

    /// Number of rows: its steps and samples.
    pub fn rows(&self, shard_batch: usize) -> usize {
        self.time.unwrap_or(1) * if self.batch { shard_batch } else { 1 }
    }

    /// Number of f32.
    pub fn len(&self, shard_batch: usize) -> usize {
        self.rows(shard_batch) * self.row_floats()
    }
}

/// Floats of all shards below which a batch is done by one thread.
const SMALL: usize = 1 << 19;

/// Index into [`MemoryPlan::buffers`].
pub type BufferIdx = usize;

/// All memory of a program, known before step 0.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlan {
    /// Samples of one shard.
    pub shard_batch: usize,
    /// Shards of a full batch.
    pub shards: usize,
    /// Time steps of a presentation.
    pub steps: usize,
    /// Floats of region `Param`; equal for all programs of one model.
    pub param_floats: usize,
    /// Floats of region `Slot`.
    pub slot_floats: usize,
    /// Floats of region `Shared`.
    pub shared_floats: usize,
    /// Floats of region `Shard`, for one shard; a multiple of 16.
    pub shard_floats: usize,
    /// Floats of region `Local`, for one thread.
    pub local_floats: usize,
    /// Bytes that kernels hold for each thread besides, about.
    pub kernel_bytes: usize,
    /// Whether one thread does all shards, because there is no memory for more.
    pub alone: bool,
    /// Every buffer.
    pub buffers: Vec<BufferInfo>,
}

impl MemoryPlan {
    /// Samples of a full batch.
    pub fn batch(&self) -> usize {
        self.shard_batch * self.shards
    }

    /// Copies of region `Local` with so many threads.
    pub fn locals(&self, threads: usize) -> usize {
        if self.is_alone() { 1 } else { threads.min(self.shards) }
    }

    /// Whether one thread does all shards: also where a batch is done before other threads have woken up.
    pub fn is_alone(&self) -> bool {
        self.alone || (self.shard_floats + self.local_floats) * self.shards < SMALL
    }

    /// Of two programs of one model that take turns in one memory: the larger of each region.
    pub fn in_turns(&self, other: &MemoryPlan) -> MemoryPlan {
        MemoryPlan {
            shared_floats: self.shared_floats.max(other.shared_floats),
            shard_floats: self.shard_floats.max(other.shard_floats),
            local_floats: self.local_floats.max(other.local_floats),
            kernel_bytes: self.kernel_bytes.max(other.kernel_bytes),
            ..self.clone()
        }
    }

    /// Bytes of the regions that hold what is computed on the way: those of all shards and of so many threads.
    pub fn tape_bytes(&self, threads: usize) -> usize {
        4 * (self.shard_floats * self.shards + self.local_floats * self.locals(threads))
    }

    /// Bytes of all regions with so many threads.
    pub fn bytes(&self, threads: usize) -> usize {
        let for_all = self.param_floats + self.slot_floats + self.shared_floats;
        4 * (for_all + self.shard_floats * self.shards + self.local_floats * self.locals(threads))
    }
}

/// What the time of a phase is counted as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Section {
    /// From inputs to loss and outputs.
    Forward,
    /// Gradients.
    Backward,
    /// Optimizer.
    Update,
}

/// How a phase runs. Phases run one after another; there is a barrier between them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parallel {
    /// Once for each shard, in any order, on any thread.
    Shards,
    /// Once.
    Once,
    /// Once for each of [`crate::kernels::shards::PARTS`], in any order, on any thread, and sees all shards: the context is that of
    /// shard 0 with the number of the part in place of that of the shard.
    Parts,
}

/// A compiled piece of a program.
#[derive(Clone, Debug)]
pub struct Phase {
    /// For people: `forward0`.
    pub name: String,
    /// What its time is counted as.
    pub section: Section,
    /// How it runs.
    pub parallel: Parallel,
    /// Whether it and the phase before are both of shards, and each shard goes on without waiting for the others.
    pub joined: bool,
    /// The code.
    pub code: PhaseFn,
}

/// A parameter of the model as the runtime stores it.
#[derive(Clone, Debug)]
pub struct ParamInfo {
    /// Path in the model: `h.tau`, `x->h.weight`.
    pub name: String,
    /// Its buffer in region `Param`. Weight matrices are stored `[in][out]`.
    pub buffer: BufferIdx,
    /// Whether training changes it.
    pub trained: bool,
    /// Slots of the optimizer, by name, in region `Slot`.
    pub slots: Vec<(String, BufferIdx)>,
    /// Its gradient in region `Shared`; none in programs without a backward pass.
    pub grad: Option<BufferIdx>,
}

/// How inputs and outputs begin that are states at the start and at the end of a presentation; an input and the output of its name belong
/// together. No name of the language looks like this.
pub const CARRIED: &str = "carried ";

/// A buffer that the runtime fills before, or reads after, a call.
#[derive(Clone, Debug)]
pub struct Binding {
    /// The name of an input (`x`), `target`, `mask`; or of an output (`loss`, `y.v`, `h.fired`).
    pub name: String,
    /// Its buffer.
    pub buffer: BufferIdx,
}

/// A ready program.
pub struct Program {
    /// Phases in order.
    pub phases: Vec<Phase>,
    /// Memory.
    pub plan: MemoryPlan,
    /// Parameters in order.
    pub params: Vec<ParamInfo>,
    /// Filled before a call. `mask` is 1 for samples of the batch and 0 for the padding of the last shard.
    pub inputs: Vec<Binding>,
    /// Read after a call.
    pub outputs: Vec<Binding>,
    /// Keeps the machine code alive; dropped last.
    pub code: Box<dyn Code>,
}

/// Owner of machine code.
pub trait Code: Send + Sync {}

impl Program {
    /// The buffer of an output by its name.
    pub fn output(&self, name: &str) -> Option<&BufferInfo> {
        self.outputs.iter().find(|b| b.name == name).map(|b| &self.plan.buffers[b.buffer])
    }

    /// The buffer of an input by its name.
    pub fn input(&self, name: &str) -> Option<&BufferInfo> {
        self.inputs.iter().find(|b| b.name == name).map(|b| &self.plan.buffers[b.buffer])
    }

    /// Runs one phase.
    ///
    /// # Safety
    /// `ctx` must point at regions at least as large as the plan says, not used by anybody else at the same time
    /// except as the plan allows (other shards in their own region).
    pub unsafe fn call(&self, phase: &Phase, ctx: &Ctx) {
        // SAFETY: the caller's promise is exactly what generated code needs.
        unsafe { (phase.code)(ctx) }
    }
}
