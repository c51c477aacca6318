//! Loop IR: loops over named buffers. Order, layout, fusion and memory are decided; machine code follows without further choices.
//!
//! # Meaning
//! A [`Program`] is a list of phases. A phase runs once for each shard (in any order, at the same time), once, or once for each part
//! of its results; there is a barrier between phases. Its statements run in order.
//!
//! **Memory.** Buffers never overlap in what they mean: an access names its buffer and stays inside it. Two buffers share
//! memory only if one is last used before the other is first written. A buffer is `[step][sample of the shard][index]` without the
//! axes it does not have. One in region `Shard` exists once for each shard; a phase that runs once sees that of shard 0.
//! Statements of a phase for each shard write region `Shared` only in their own part of a buffer ([`Access::shard`]).
//!
//! **Loops.** There are [`Stmt::Steps`] (the time loop) and the two of a [`Stmt::Nest`]: rows, then columns. In a [`Stmt::Segments`] a time
//! loop has the steps of a segment and counts them from 0; numbers that depend on the step go on counting those of the presentation. An [`Access`] says where
//! the element of row `r`, column `c` at step `t` of the enclosing time loop lies:
//! `offset + shard_idx * shard + segment_idx * segment + (t + shift) * step + r * row + c * col`, in floats from the start of the buffer.
//! A row of a buffer of spikes is bits ([`snn_runtime::kernels::spikes`]): there `step` and `row` count floats all the same, `col` counts
//! bits, and what is stored is 0 or 1. Only nests and left factors of products touch such a buffer.
//! A buffer marked `panels` has its numbers in another order, which shows in no stride: where an access says `row * width + column` (the
//! row counts steps and samples), the number lies at `column / 32 * (32 * rows) + row * 32 + column % 32`. Time loops, nests,
//! sums over rows and products with weights in tiles know that.
//! Elements of a nest are independent of each other, so that an emitter may take as many columns at once as it likes; all loads of an
//! element come before its stores.
//!
//! **Numbers** are f32; conditions are 0 and 1. Sums start from 0 and go in ascending order; other folds start from the first
//! element. Products are rounded before they are added, except in products of matrices and [`Stmt::Slide`] outside of strict mode.
//!
//! No Cranelift here: a second emitter reads the same program.

pub mod cost;
pub mod lives;
pub mod memory;
pub mod print;
pub mod verify;

use crate::step::Slide;
use crate::step::ops::{Fold, Pw};
use snn_runtime::abi::Scalar;
use snn_runtime::kernels::panels::PANEL;
use snn_runtime::program::{Binding, BufferInfo, Parallel, ParamInfo, Section};
use snn_runtime::windows::Windows;

impl Program {
    /// Floats from panel to panel of a buffer, or from 32 columns to the next.
    pub fn gap(&self, buffer: usize) -> usize {
        let info = &self.buffers[buffer];
        if info.panels { info.rows(self.shard_batch) * PANEL } else { PANEL }
    }
}

/// Everything machine code needs.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In order.
    pub phases: Vec<Phase>,
    /// All buffers.
    pub buffers: Vec<BufferInfo>,
    /// Parameters.
    pub params: Vec<ParamInfo>,
    /// Filled before a call.
    pub inputs: Vec<Binding>,
    /// Read after a call.
    pub outputs: Vec<Binding>,
    /// Samples of a shard.
    pub shard_batch: usize,
    /// Shards of a full batch.
    pub shards: usize,
    /// Steps of a presentation.
    pub steps: usize,
    /// Whether one shard is done at a time.
    pub alone: bool,
    /// Floats of each region; `Shard` for one shard.
    pub floats: Floats,
}

/// Sizes of the regions in floats.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floats {
    /// Parameters.
    pub param: usize,
    /// Optimizer states.
    pub slot: usize,
    /// Shared.
    pub shared: usize,
    /// One shard.
    pub shard: usize,
    /// One thread.
    pub local: usize,
}

/// A function of machine code.
#[derive(Clone, Debug)]
pub struct Phase {
    /// `forward0`
    pub name: String,
    /// What its time is counted as.
    pub section: Section,
    /// Once, or for each shard.
    pub parallel: Parallel,
    /// See [`snn_runtime::program::Phase::joined`].
    pub joined: bool,
    /// In order.
    pub body: Vec<Stmt>,
}

/// Where an element lies; see the head of this file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Access {
    /// Index into the buffers.
    pub buffer: usize,
    /// Floats from the start of the buffer.
    pub offset: usize,
    /// Floats from shard to shard, for partial results in region `Shared` (0 elsewhere).
    pub shard: usize,
    /// Floats from segment to segment in [`Stmt::Segments`].
    pub segment: usize,
    /// Floats from step to step; 0: the same at every step.
    pub step: usize,
    /// Added to the step.
    pub shift: isize,
    /// Floats from row to row.
    pub row: usize,
    /// Floats from column to column: 0 or 1.
    pub col: usize,
}

impl Access {
    /// The same elements, of one long row until now, with a row for each `width` columns. Rows of bits are full words.
    pub fn in_rows(self, width: usize, buffers: &[BufferInfo]) -> Access {
        let floats = if buffers[self.buffer].spikes { width / 32 } else { width };
        Access { row: self.col * floats, ..self }
    }
}

/// Number of an instruction in its nest: its result.
pub type Reg = usize;

/// An instruction of a nest.
#[derive(Clone, PartialEq, Debug)]
pub enum Instr {
    /// A number.
    Const(f32),
    /// A number of the run.
    Scalar(Scalar),
    /// Step of the enclosing time loop as a number.
    StepIndex,
    /// An element.
    Load(Access),
    /// A pointwise operation.
    Op(Pw, Vec<Reg>),
    /// 1 where the operand is above 0 (`strict`) or not below it, else 0.
    Spike {
        /// `>`
        strict: bool,
        /// Operand.
        x: Reg,
    },
    /// Writes an element.
    Store(Access, Reg),
    /// Adds to an element.
    Add(Access, Reg),
}

/// A statement.
#[derive(Clone, PartialEq, Debug)]
pub enum Stmt {
    /// The time loop, `0..steps` or from the last step to the first.
    Steps {
        /// From the last to the first.
        reverse: bool,
        /// For each step.
        body: Vec<Stmt>,
    },
    /// For each segment of the presentation, from the first to the last or from the last to the first. Stands in no other loop.
    Segments {
        /// From the last to the first.
        reverse: bool,
        /// How many.
        count: usize,
        /// Steps of each.
        steps: usize,
        /// For each segment.
        body: Vec<Stmt>,
    },
    /// For each row, for each column.
    Nest {
        /// Rows.
        rows: usize,
        /// Columns; vector lanes go along them.
        width: usize,
        /// For each element.
        body: Vec<Instr>,
    },
    /// `c[m, n] = a[m, k] b[k, n]`; strides (rows, columns) in floats; the accesses give the first element.
    MatMul {
        /// Sizes m, k, n.
        size: [usize; 3],
        /// Left factor and its strides.
        a: (Access, [usize; 2]),
        /// Right factor and its strides.
        b: (Access, [usize; 2]),
        /// The right factor once more, as [`Stmt::Tile`] made it.
        tiles: Option<Access>,
        /// Result; columns are adjacent.
        c: (Access, usize),
    },
    /// `c[m, n] = sum over running shards of a[m, k] b[k, n]`, in a phase of parts, each of which makes a part of `c`.
    MatMulShards {
        /// Sizes m, k, n.
        size: [usize; 3],
        /// Left factor and its strides.
        a: (Access, [usize; 2]),
        /// Whether the left factor was made by [`Stmt::Turn`].
        spikes: bool,
        /// Right factor and its row stride; columns are adjacent.
        b: (Access, usize),
        /// Result, rows of n.
        c: Access,
    },
    /// For each running shard `c[m, n] = a[m, k] b[k, n]`, in a phase of parts, each of which makes some columns of every `c`.
    MatMulEach {
        /// Sizes m, k, n.
        size: [usize; 3],
        /// Left factor, of a shard, and its row stride; columns are adjacent.
        a: (Access, usize),
        /// Right factor, of all shards, and its strides.
        b: (Access, [usize; 2]),
        /// The right factor once more, as [`Stmt::Tile`] made it.
        tiles: Access,
        /// Result, of a shard: rows of n.
        c: Access,
    },
    /// What is done window by window, for each row; floats from row to row stand beside the accesses, which give the first element.
    Slide {
        /// Which.
        slide: Slide,
        /// Over what.
        over: Windows,
        /// Rows: steps and samples.
        rows: usize,
        /// First operand.
        a: (Access, usize),
        /// Second operand, if it has one.
        b: Option<(Access, usize)>,
        /// Result; of a gradient of weights the sum over the rows.
        c: (Access, usize),
    },
    /// A matrix in tiles: see [`snn_runtime::kernels::tiles`].
    Tile {
        /// Rows of the matrix.
        rows: usize,
        /// Columns of the matrix.
        width: usize,
        /// Whether it is the matrix with its axes exchanged that lies at the source.
        swapped: bool,
        /// From.
        src: Access,
        /// To.
        dst: Access,
    },
    /// What a weight gradient wants of `rows` rows of `width` spikes: see [`snn_runtime::kernels::bits::snn_turn_spikes`].
    Turn {
        /// Rows of the source.
        rows: usize,
        /// Columns of the source.
        width: usize,
        /// From a buffer of spikes.
        src: Access,
        /// To a buffer that counts as numbers.
        dst: Access,
    },
    /// `dst[r] = fold of src[r, c] over c`, for each row.
    FoldColumns {
        /// How.
        fold: Fold,
        /// Rows.
        rows: usize,
        /// Columns.
        width: usize,
        /// From.
        src: Access,
        /// To; its `row` stride counts.
        dst: Access,
    },
    /// `dst[c] = fold of src[r, c] over r`, for each column.
    FoldRows {
        /// How.
        fold: Fold,
        /// Rows.
        rows: usize,
        /// Columns.
        width: usize,
        /// From.
        src: Access,
        /// To; its `col` stride counts.
        dst: Access,
    },
    /// `dst[c] = fold over running shards of src[shard, c]`.
    FoldShards {
        /// How.
        fold: Fold,
        /// Columns.
        width: usize,
        /// From; its `shard` stride counts.
        src: Access,
        /// To.
        dst: Access,
    },
    /// `dst` has where `keys` has its k-th smallest element the k-th smallest of `src`; adjacent floats.
    Arrange {
        /// Elements.
        width: usize,
        /// From.
        src: Access,
        /// What decides about the order.
        keys: Access,
        /// To.
        dst: Access,
    },
    /// A row of random numbers for each sample, from the stream at this step (step 0 outside of a time loop).
    Random {
        /// Normal rather than uniform.
        gaussian: bool,
        /// Stream.
        stream: u64,
        /// Whether row `r` is sample `r` of the shard; otherwise there is one row, of sample 0.
        batch: bool,
        /// Rows.
        rows: usize,
        /// Columns.
        width: usize,
        /// To.
        dst: Access,
    },
    /// `dst[r, c * times + k] = src[r, c]`
    Repeat {
        /// Rows.
        rows: usize,
        /// Columns of the source.
        width: usize,
        /// How often.
        times: usize,
        /// From.
        src: Access,
        /// To.
        dst: Access,
    },
    /// `dst[r, c] = sum of src[r, c * times + k] over k`
    SumBlocks {
        /// Rows.
        rows: usize,
        /// Columns of the result.
        width: usize,
        /// How many neighbours.
        times: usize,
        /// From.
        src: Access,
        /// To.
        dst: Access,
    },
}
