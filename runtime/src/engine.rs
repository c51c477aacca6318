//! Runs a program on a batch: fills inputs, runs phases on the pool, reads outputs. All memory is reserved when it is made.

use crate::abi::{Ctx, SCALARS};
use crate::error::RuntimeError;
use crate::memory::AlignedBuf;
use crate::pool::Pool;
use crate::program::{BufferInfo, Parallel, Program, Region, Section};
use ndarray::{ArrayD, IxDyn};
use std::sync::Arc;
use std::time::Instant;

/// Parameters and optimizer state; shared by all programs of a model.
pub struct Weights {
    /// Region `Param`.
    pub param: AlignedBuf,
    /// Region `Slot`; empty for programs without an update.
    pub slot: AlignedBuf,
}

impl Weights {
    /// Zeros of the sizes of a plan.
    pub fn zeroed(program: &Program) -> Result<Weights, RuntimeError> {
        Ok(Weights {
            param: AlignedBuf::zeroed(program.plan.param_floats)?,
            slot: AlignedBuf::zeroed(program.plan.slot_floats)?,
        })
    }

    /// The values of one parameter.
    pub fn param_mut(&mut self, program: &Program, idx: usize) -> &mut [f32] {
        let info = &program.plan.buffers[program.params[idx].buffer];
        &mut self.param[info.offset..info.offset + info.width()]
    }

    /// The values of one parameter.
    pub fn param(&self, program: &Program, idx: usize) -> &[f32] {
        let info = &program.plan.buffers[program.params[idx].buffer];
        &self.param[info.offset..info.offset + info.width()]
    }
}

/// What changes from call to call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Key of the random streams; see [`crate::rng::key`].
    pub key: u64,
    /// Samples of the batch, at most the plan's.
    pub count: usize,
    /// Run-time scalars by [`crate::abi::Scalar`]; `BatchCount` is set by the engine.
    pub scalars: [f32; SCALARS],
}

/// Seconds by section.
#[derive(Clone, Copy, Debug, Default)]
pub struct SectionTimes {
    /// Forward.
    pub forward: f64,
    /// Backward.
    pub backward: f64,
    /// Update.
    pub update: f64,
}

/// A program with its memory.
pub struct Engine {
    program: Arc<Program>,
    pool: Arc<Pool>,
    shared: AlignedBuf,
    shard: AlignedBuf,
    count: usize,
}

/// Pointers that jobs on other threads use, each in its own part.
struct Shared(*mut f32);

// SAFETY: shards write to disjoint parts of the regions; the program's plan says so and is verified.
unsafe impl Sync for Shared {}

impl Shared {
    fn get(&self) -> *mut f32 {
        self.0
    }
}

impl Engine {
    /// Reserves the memory of a program.
    pub fn new(program: Arc<Program>, pool: Arc<Pool>) -> Result<Engine, RuntimeError> {
        let plan = &program.plan;
        let (shared, shard) =
            (AlignedBuf::zeroed(plan.shared_floats)?, AlignedBuf::zeroed(plan.shard_floats * plan.shards)?);
        Ok(Engine { program, pool, shared, shard, count: 0 })
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Shares the program.
    pub fn program_arc(&self) -> Arc<Program> {
        self.program.clone()
    }

    /// Runs the program. An input slice holds `count` samples one after another, each `[step?][index]`; the empty name is the first
    /// data input; inputs that the program does not have are ignored; `mask` is filled here.
    pub fn run(
        &mut self,
        weights: &mut Weights,
        call: &Call,
        inputs: &[(&str, &[f32])],
        times: &mut SectionTimes,
    ) {
        assert!(call.count > 0 && call.count <= self.program.plan.batch(), "a batch fits the plan");
        self.count = call.count;
        for (name, data) in inputs {
            self.fill(name, data);
        }
        let ones = vec![1.0; call.count];
        self.fill("mask", &ones);
        let mut scalars = call.scalars;
        scalars[crate::abi::Scalar::BatchCount as usize] = call.count as f32;
        let program = self.program.clone();
        for phase in &program.phases {
            let start = Instant::now();
            self.phase(weights, call.key, scalars, phase);
            let seconds = start.elapsed().as_secs_f64();
            match phase.section {
                Section::Forward => times.forward += seconds,
                Section::Backward => times.backward += seconds,
                Section::Update => times.update += seconds,
            }
        }
    }

    fn phase(
        &mut self,
        weights: &mut Weights,
        key: u64,
        scalars: [f32; SCALARS],
        phase: &crate::program::Phase,
    ) {
        let plan = &self.program.plan;
        let running = self.count.div_ceil(plan.shard_batch);
        let (param, slot) = (Shared(weights.param.as_mut_ptr()), Shared(weights.slot.as_mut_ptr()));
        let (shared, shard) = (Shared(self.shared.as_mut_ptr()), Shared(self.shard.as_mut_ptr()));
        let program = &self.program;
        self.pool.run(if phase.parallel == Parallel::Shards { running } else { 1 }, |idx| {
            let ctx = Ctx {
                param: param.get(),
                slot: slot.get(),
                shared: shared.get(),
                shard: shard.get().wrapping_add(idx * plan.shard_floats),
                shard_idx: idx as u64,
                shards: running as u64,
                shard_stride: plan.shard_floats as u64,
                key,
                first_sample: (idx * plan.shard_batch) as u64,
                scalars,
            };
            // SAFETY: the regions are as large as the plan says, and each shard keeps to its part.
            unsafe { program.call(phase, &ctx) };
        });
    }

    /// Spreads samples over the shards as `[step][sample][index]`; padding samples of the last shard become 0.
    fn fill(&mut self, name: &str, data: &[f32]) {
        // The empty name is the first data input, whatever the model calls it.
        let info = match name {
            "" => self.program.inputs.iter().find(|b| b.name != "mask" && b.name != "target"),
            _ => self.program.inputs.iter().find(|b| b.name == name),
        };
        let Some(info) = info.map(|b| self.program.plan.buffers[b.buffer].clone()) else { return };
        let plan = &self.program.plan;
        let (steps, width, rows) = (info.time.unwrap_or(1), info.width(), plan.shard_batch);
        if !info.batch {
            self.shared[info.offset..info.offset + data.len()].copy_from_slice(data);
            return;
        }
        for shard in 0..self.count.div_ceil(rows) {
            let start = shard * plan.shard_floats + info.offset;
            let part = &mut self.shard[start..start + steps * rows * width];
            for row in 0..rows {
                let sample = shard * rows + row;
                for step in 0..steps {
                    let dst = &mut part[(step * rows + row) * width..][..width];
                    if sample < self.count {
                        dst.copy_from_slice(&data[(sample * steps + step) * width..][..width]);
                    } else {
                        dst.fill(0.0);
                    }
                }
            }
        }
    }

    /// An output as `[step?, sample?, shape …]` for the samples of the last call.
    pub fn read(&self, name: &str) -> Option<ArrayD<f32>> {
        self.program.output(name).map(|info| self.gather(info))
    }

    /// A number.
    pub fn scalar(&self, name: &str) -> Option<f32> {
        self.read(name).and_then(|a| a.iter().next().copied())
    }

    fn gather(&self, info: &BufferInfo) -> ArrayD<f32> {
        let plan = &self.program.plan;
        let mut shape: Vec<usize> = info.time.into_iter().collect();
        if !info.batch {
            shape.extend(&info.shape);
            let region = if info.region == Region::Shared { &self.shared } else { &self.shard };
            let data = region[info.offset..info.offset + info.len(1)].to_vec();
            return ArrayD::from_shape_vec(IxDyn(&shape), data).expect("the plan's shape");
        }
        shape.push(self.count);
        shape.extend(&info.shape);
        let (rows, width) = (plan.shard_batch, info.width());
        let mut data = Vec::with_capacity(shape.iter().product());
        for step in 0..info.time.unwrap_or(1) {
            for sample in 0..self.count {
                let start = (sample / rows) * plan.shard_floats + info.offset;
                let at = start + (step * rows + sample % rows) * width;
                data.extend_from_slice(&self.shard[at..at + width]);
            }
        }
        ArrayD::from_shape_vec(IxDyn(&shape), data).expect("the plan's shape")
    }
}
