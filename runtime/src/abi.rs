//! The `#[repr(C)]` contract between generated code and the runtime, with size assertions.
//!
//! Generated code gets one pointer to a [`Ctx`] and touches only memory that the program's memory plan names: offsets
//! into the regions, in f32 units. It never allocates, never unwinds, never keeps the pointer.

/// Number of run-time scalars; see [`Scalar`].
pub const SCALARS: usize = 8;

/// Values that change from call to call and are read by generated code.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Scalar {
    /// Number of samples in this batch (the last batch of an epoch may be smaller than the others).
    BatchCount = 0,
    /// Epoch, from 0.
    Epoch = 1,
    /// Number of epochs.
    Epochs = 2,
    /// Share of the training that is done, 0 … 1.
    Progress = 3,
    /// Number of this parameter update, from 1.
    Update = 4,
    /// 1 where states go on from those of the batch before (`train/carried`), 0 where they start anew.
    Carried = 5,
}

impl Scalar {
    /// All of them, in order of their index.
    pub const ALL: [Scalar; 6] = [
        Scalar::BatchCount,
        Scalar::Epoch,
        Scalar::Epochs,
        Scalar::Progress,
        Scalar::Update,
        Scalar::Carried,
    ];

    /// The word in printed IR.
    pub fn name(self) -> &'static str {
        match self {
            Scalar::BatchCount => "batch_count",
            Scalar::Epoch => "epoch",
            Scalar::Epochs => "epochs",
            Scalar::Progress => "progress",
            Scalar::Update => "update",
            Scalar::Carried => "carried",
        }
    }
}

/// What a phase of a program sees. One per running shard; all pointers are 64-byte aligned.
#[repr(C)]
pub struct Ctx {
    /// Weights and other parameters; shared by the training and the evaluation program of one model.
    pub param: *mut f32,
    /// State of the optimizer.
    pub slot: *mut f32,
    /// Buffers that all shards see: gradients after reduction, partial sums of each shard, the loss.
    pub shared: *mut f32,
    /// Buffers of this shard: inputs, sequences, tape. In a phase that runs once: those of shard 0; shard `s` begins
    /// `s * shard_stride` floats later.
    pub shard: *mut f32,
    /// Buffers that this thread has for one shard at a time, in a row of phases that a shard goes through without a break.
    pub local: *mut f32,
    /// Index of this shard.
    pub shard_idx: u64,
    /// Shards that run in this call: those that hold at least one sample.
    pub shards: u64,
    /// Floats between the regions of two shards.
    pub shard_stride: u64,
    /// Key of the random streams of this call: seed and number of the call, mixed.
    pub key: u64,
    /// Index in the batch of the first sample of this shard (for the random streams).
    pub first_sample: u64,
    /// Run-time scalars by [`Scalar`].
    pub scalars: [f32; SCALARS],
}

/// A compiled phase.
pub type PhaseFn = unsafe extern "C" fn(*const Ctx);

const _: () = assert!(size_of::<Ctx>() == 10 * 8 + SCALARS * 4);
const _: () = assert!(std::mem::offset_of!(Ctx, shard_idx) == 40);
const _: () = assert!(std::mem::offset_of!(Ctx, scalars) == 80);
