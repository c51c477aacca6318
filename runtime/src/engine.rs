//! Runs a compiled program on batches: fills inputs, runs phases over shards, reads outputs. No epochs, no files.
//!
//! The layout is that of [`crate::program`]. Callers see samples: an input slice holds `count` samples one after another,
//! each `[time?][index]`; an output comes back as `[time?, sample?, index…]` of the valid samples only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use ndarray::{ArrayD, IxDyn};

use crate::abi::{Ctx, SCALARS, Scalar};
use crate::error::Result;
use crate::kernels::bits;
use crate::kernels::shards::PARTS;
use crate::memory::AlignedBuf;
use crate::pool::Pool;
use crate::program::{BufferIdx, BufferInfo, CARRIED, MemoryPlan, Parallel, Program, Region, Section};

/// Parameters and optimizer state of a model; used by every program of that model.
#[derive(Debug)]
pub struct Weights {
    /// Region `Param`.
    pub param: AlignedBuf,
    /// Region `Slot`.
    pub slot: AlignedBuf,
}

impl Weights {
    /// Zeros for a program; of several programs of one model take the one with an optimizer. E0908 if memory is short.
    pub fn zeroed(program: &Program) -> Result<Weights> {
        let plan = &program.plan;
        Ok(Weights {
            param: AlignedBuf::zeroed(plan.param_floats)?,
            slot: AlignedBuf::zeroed(plan.slot_floats)?,
        })
    }

    /// A copy. E0908 if memory is short.
    pub fn duplicate(&self) -> Result<Weights> {
        Ok(Weights { param: AlignedBuf::copy_of(&self.param)?, slot: AlignedBuf::copy_of(&self.slot)? })
    }

    /// Takes the numbers of others of the same size.
    pub fn copy_from(&mut self, other: &Weights) {
        self.param.copy_from_slice(&other.param);
        self.slot.copy_from_slice(&other.slot);
    }

    /// The numbers of parameter `idx` of `program`, in the order of its buffer's shape.
    pub fn param(&self, program: &Program, idx: usize) -> &[f32] {
        &self.param[range(program, program.params[idx].buffer)]
    }

    /// As [`Weights::param`], to be changed.
    pub fn param_mut(&mut self, program: &Program, idx: usize) -> &mut [f32] {
        &mut self.param[range(program, program.params[idx].buffer)]
    }

    /// The numbers of one optimizer slot.
    pub fn slot(&self, program: &Program, slot: BufferIdx) -> &[f32] {
        &self.slot[range(program, slot)]
    }

    /// As [`Weights::slot`], to be changed.
    pub fn slot_mut(&mut self, program: &Program, slot: BufferIdx) -> &mut [f32] {
        &mut self.slot[range(program, slot)]
    }
}

/// Numbers of an input: samples one after another, or picked from such.
#[derive(Clone, Copy, Debug)]
pub struct Given<'a> {
    /// `[sample][time?][index]`
    pub values: &'a [f32],
    /// Whether `values` are rows of bits, as [`crate::kernels::spikes`] has them.
    pub bits: bool,
    /// Which samples, in this order; all without it.
    pub order: Option<&'a [u32]>,
}

impl<'a> From<&'a [f32]> for Given<'a> {
    fn from(values: &'a [f32]) -> Given<'a> {
        Given { values, bits: false, order: None }
    }
}

impl<'a> From<&'a Vec<f32>> for Given<'a> {
    fn from(values: &'a Vec<f32>) -> Given<'a> {
        Given { values, bits: false, order: None }
    }
}

impl Given<'_> {
    /// Sample `sample` of `len` numbers.
    fn sample(&self, sample: usize, len: usize) -> &[f32] {
        let at = self.order.map_or(sample, |order| order[sample] as usize);
        &self.values[at * len..][..len]
    }

    /// Samples of `len` numbers.
    fn samples(&self, len: usize) -> usize {
        self.order.map_or(self.values.len() / len.max(1), <[u32]>::len)
    }
}

/// Stands for the first data input of a program, whatever the model calls it.
pub const INPUT: &str = "";

/// The buffer of an input by its name or by [`INPUT`].
pub fn input<'p>(program: &'p Program, name: &str) -> Option<&'p BufferInfo> {
    let binding = program.inputs.iter().find(|binding| is_named(&binding.name, name))?;
    Some(&program.plan.buffers[binding.buffer])
}

fn is_named(binding: &str, name: &str) -> bool {
    let is_data = || !matches!(binding, "mask" | "target") && !binding.starts_with(CARRIED);
    if name == INPUT { is_data() } else { binding == name }
}

fn range(program: &Program, buffer: BufferIdx) -> std::ops::Range<usize> {
    let info = &program.plan.buffers[buffer];
    info.offset..info.offset + info.len(program.plan.shard_batch)
}

/// What differs from call to call besides the inputs.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Call {
    /// Key of the random streams ([`crate::rng::key`]).
    pub key: u64,
    /// Samples in this call, 1 … the program's batch.
    pub count: usize,
    /// Run-time scalars by [`Scalar`]; `BatchCount` is set by the engine.
    pub scalars: [f32; SCALARS],
}

/// Seconds spent in each section, summed over calls.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct SectionTimes {
    /// From inputs to loss and outputs.
    pub forward: f64,
    /// Gradients.
    pub backward: f64,
    /// Optimizer.
    pub update: f64,
}

impl SectionTimes {
    fn add(&mut self, section: Section, seconds: f64) {
        match section {
            Section::Forward => self.forward += seconds,
            Section::Backward => self.backward += seconds,
            Section::Update => self.update += seconds,
        }
    }
}

/// Nanoseconds that threads spent in each section of a row of phases.
#[derive(Default)]
struct Spent([AtomicU64; 3]);

impl Spent {
    fn add(&self, section: Section, started: Instant) {
        self.0[section as usize].fetch_add(started.elapsed().as_nanos() as u64, Ordering::Relaxed);
    }

    /// Gives each section its share of what went by on the clock.
    fn share(self, times: &mut SectionTimes, seconds: f64) {
        let spent = self.0.map(|nanos| nanos.into_inner() as f64);
        let all: f64 = spent.iter().sum::<f64>().max(1.0);
        for section in [Section::Forward, Section::Backward, Section::Update] {
            times.add(section, seconds * spent[section as usize] / all);
        }
    }
}

/// Floats of the regions shared, shards, locals.
fn floats(plan: &MemoryPlan, threads: usize) -> [usize; 3] {
    [
        plan.shared_floats,
        plan.shard_floats.saturating_mul(plan.shards),
        plan.local_floats.saturating_mul(plan.locals(threads)),
    ]
}

/// A program with its memory and threads.
pub struct Engine {
    program: Arc<Program>,
    pool: Arc<Pool>,
    shared: AlignedBuf,
    shards: AlignedBuf,
    locals: AlignedBuf,
    /// Samples of the last call.
    count: usize,
}

impl Engine {
    /// Reserves all memory of the program. E0908 if there is not enough.
    ///
    /// # Panics
    /// If a buffer does not lie inside its region: whoever made the program is wrong.
    pub fn new(program: Arc<Program>, pool: Arc<Pool>) -> Result<Engine> {
        let [shared, shards, locals] = floats(&program.plan, pool.threads()).map(AlignedBuf::zeroed);
        Ok(Engine {
            shared: shared?,
            shards: shards?,
            locals: locals?,
            ..Engine::without_memory(program, pool)?
        })
    }

    fn without_memory(program: Arc<Program>, pool: Arc<Pool>) -> Result<Engine> {
        let plan = &program.plan;
        for buffer in &plan.buffers {
            let floats = match buffer.region {
                Region::Param => plan.param_floats,
                Region::Slot => plan.slot_floats,
                Region::Shared => plan.shared_floats,
                Region::Shard => plan.shard_floats,
                Region::Local => plan.local_floats,
            };
            let end = buffer.offset + buffer.len(plan.shard_batch);
            assert!(end <= floats, "buffer {} ends at {end}, its region at {floats}", buffer.name);
        }
        let aligned = plan.shard_floats.is_multiple_of(16) && plan.local_floats.is_multiple_of(16);
        assert!(aligned, "shards begin on cache lines");
        assert!(plan.shard_batch > 0 && plan.shards > 0, "a batch has samples");
        let none = || AlignedBuf::zeroed(0);
        Ok(Engine { pool, shared: none()?, shards: none()?, locals: none()?, count: 0, program })
    }

    /// An engine without memory of its own, for a program that runs while `other` does not: `other` gets memory that is enough for both, and
    /// hands it over with [`Engine::swap_memory`]. E0908 if there is not enough.
    ///
    /// # Panics
    /// As [`Engine::new`].
    pub fn beside(program: Arc<Program>, other: &mut Engine) -> Result<Engine> {
        let wanted = floats(&program.plan, other.pool.threads());
        for (buf, len) in [&mut other.shared, &mut other.shards, &mut other.locals].into_iter().zip(wanted) {
            if buf.len() < len {
                // Not both at the same time.
                *buf = AlignedBuf::zeroed(0)?;
                *buf = AlignedBuf::zeroed(len)?;
            }
        }
        Engine::without_memory(program, other.pool.clone())
    }

    /// Exchanges memory with another engine; its outputs are lost.
    pub fn swap_memory(&mut self, other: &mut Engine) {
        std::mem::swap(&mut self.shared, &mut other.shared);
        std::mem::swap(&mut self.shards, &mut other.shards);
        std::mem::swap(&mut self.locals, &mut other.locals);
    }

    /// The program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// The program, to be shared.
    pub fn program_arc(&self) -> Arc<Program> {
        self.program.clone()
    }

    /// Largest number of samples in a call.
    pub fn batch(&self) -> usize {
        self.program.plan.batch()
    }

    /// Runs all phases on one batch.
    ///
    /// `inputs`: by name or [`INPUT`] the numbers of an input, `call.count` samples of `[time?][index]`, or one
    /// `[time?][index]` if it has no sample axis; or samples picked from more. An input that is not given is 0; what the program does not read is ignored;
    /// `mask` is filled here.
    ///
    /// # Panics
    /// If another engine has the memory ([`Engine::beside`]), if `call.count` is 0 or above the batch, if `weights` are smaller than the program's plan, or if an input has another
    /// length: data are checked before ([`crate::data::batch::fits`]).
    pub fn run(
        &mut self,
        weights: &mut Weights,
        call: &Call,
        inputs: &[(&str, Given)],
        times: &mut SectionTimes,
    ) {
        let program = self.program.clone();
        let plan = &program.plan;
        assert!(
            call.count > 0 && call.count <= plan.batch(),
            "{} samples in a batch of {}",
            call.count,
            plan.batch()
        );
        let memory = [&self.shared, &self.shards, &self.locals].map(|buf| buf.len());
        let enough = memory.iter().zip(floats(plan, self.pool.threads())).all(|(have, want)| *have >= want);
        assert!(enough, "another engine has the memory");
        assert!(weights.param.len() >= plan.param_floats, "parameters of another model");
        assert!(weights.slot.len() >= plan.slot_floats, "optimizer state of another model");
        let started = Instant::now();
        self.count = call.count;
        let shards = call.count.div_ceil(plan.shard_batch);
        for binding in &program.inputs {
            let info = &plan.buffers[binding.buffer];
            if binding.name == "mask" {
                self.fill_mask(info, shards);
                continue;
            }
            // A name goes before the stand-in; the stand-in is only for the first data input.
            let by_name = inputs.iter().find(|(name, _)| *name == binding.name);
            let first = || input(&program, INPUT).is_some_and(|first| std::ptr::eq(first, info));
            let given = by_name.or_else(|| inputs.iter().find(|(name, _)| *name == INPUT && first()));
            self.scatter(&binding.name, info, given.map(|(_, given)| *given), shards);
        }
        times.add(Section::Forward, started.elapsed().as_secs_f64());

        let mut scalars = call.scalars;
        scalars[Scalar::BatchCount as usize] = call.count as f32;
        let regions = Regions {
            param: weights.param.as_mut_ptr(),
            slot: weights.slot.as_mut_ptr(),
            shared: self.shared.as_mut_ptr(),
            shards: self.shards.as_mut_ptr(),
            locals: self.locals.as_mut_ptr(),
        };
        let ctx = |shard: usize| Ctx {
            param: regions.param,
            slot: regions.slot,
            shared: regions.shared,
            shard: regions.shard(shard * plan.shard_floats),
            local: regions.locals,
            shard_idx: shard as u64,
            shards: shards as u64,
            shard_stride: plan.shard_floats as u64,
            key: call.key,
            first_sample: (shard * plan.shard_batch) as u64,
            scalars,
        };
        let alone = Pool::alone();
        let pool = if plan.is_alone() { &alone } else { &self.pool };
        for phases in program.phases.chunk_by(|_, next| next.joined) {
            let started = Instant::now();
            let count = match phases[0].parallel {
                Parallel::Shards => shards,
                Parallel::Once => 1,
                Parallel::Parts => PARTS,
            };
            let spent = Spent::default();
            pool.run_by_worker(count, |idx, worker| {
                let of_shard = if phases[0].parallel == Parallel::Shards { idx } else { 0 };
                let local = regions.local(worker * plan.local_floats);
                let ctx = Ctx { shard_idx: idx as u64, local, ..ctx(of_shard) };
                for phase in phases {
                    let started = Instant::now();
                    // SAFETY: the regions are as large as the plan says (asserted above and in `new`) and borrowed alone by
                    // this call; shards of one phase write their own region, that of their thread, and their own
                    // part of the shared one, parts of one phase their part of the shared region.
                    unsafe { program.call(phase, &ctx) }
                    spent.add(phase.section, started);
                }
            });
            spent.share(times, started.elapsed().as_secs_f64());
        }
    }

    /// An output of the last call as `[time?, sample?, index…]`, valid samples only; none if the program has no output of
    /// that name. A buffer that shards keep for themselves and that has no sample axis is read from shard 0.
    pub fn read(&self, name: &str) -> Option<ArrayD<f32>> {
        let info = self.program.output(name)?;
        let mut shape: Vec<usize> = info.time.into_iter().collect();
        let samples = if info.batch { self.samples_of(info) } else { 1 };
        if info.batch {
            shape.push(samples);
        }
        shape.extend(&info.shape);
        let mut values = Vec::with_capacity(shape.iter().product());
        for t in 0..info.time.unwrap_or(1) {
            for sample in 0..samples {
                values.extend_from_slice(&self.region(info)[self.row(info, t, sample)]);
            }
        }
        Some(ArrayD::from_shape_vec(IxDyn(&shape), values).expect("as many values as the shape says"))
    }

    /// The first number of an output of the last call: for outputs that are one number. Allocates nothing.
    pub fn scalar(&self, name: &str) -> Option<f32> {
        let info = self.program.output(name)?;
        self.region(info).get(self.row(info, 0, 0))?.first().copied()
    }

    /// The numbers of one sample and step of an output of the last call. Allocates nothing.
    ///
    /// # Panics
    /// If the step or the sample does not exist.
    pub fn output_row(&self, name: &str, step: usize, sample: usize) -> Option<&[f32]> {
        let info = self.program.output(name)?;
        assert!(step < info.time.unwrap_or(1), "step {step} of {name}");
        assert!(!info.batch || sample < self.samples_of(info), "sample {sample} of {name}");
        Some(&self.region(info)[self.row(info, step, sample)])
    }

    /// A gradient or another buffer of region `Shared`, after the last call.
    ///
    /// # Panics
    /// If the buffer lies elsewhere.
    pub fn shared(&self, buffer: BufferIdx) -> &[f32] {
        assert_eq!(self.program.plan.buffers[buffer].region, Region::Shared);
        &self.shared[range(&self.program, buffer)]
    }

    fn samples_of(&self, info: &BufferInfo) -> usize {
        match info.region {
            Region::Shard => self.count,
            _ => self.count.min(self.program.plan.shard_batch),
        }
    }

    fn region(&self, info: &BufferInfo) -> &[f32] {
        match info.region {
            Region::Shared => &self.shared,
            Region::Shard => &self.shards,
            Region::Param | Region::Slot | Region::Local => {
                panic!("output {} lies where nobody keeps it for the caller", info.name)
            }
        }
    }

    /// Where one step of one sample (of the batch) lies in its region.
    fn row(&self, info: &BufferInfo, t: usize, sample: usize) -> std::ops::Range<usize> {
        let plan = &self.program.plan;
        let width = info.row_floats();
        let (base, row) = match (info.region, info.batch) {
            (_, false) => (0, t),
            (Region::Shard, true) => (
                sample / plan.shard_batch * plan.shard_floats,
                t * plan.shard_batch + sample % plan.shard_batch,
            ),
            (_, true) => (0, t * plan.shard_batch + sample),
        };
        let start = base + info.offset + row * width;
        start..start + width
    }

    /// Puts an input where the phases read it; samples that pad the last shard are 0, as is everything without values.
    fn scatter(&mut self, name: &str, info: &BufferInfo, given: Option<Given>, shards: usize) {
        let (time, width) = (info.time.unwrap_or(1), info.width());
        let len = time * if given.is_some_and(|g| g.bits) { 2 * bits::words(width) } else { width };
        let samples = if info.batch { self.count } else { 1 };
        if let Some(given) = given {
            let whole = given.order.is_some() || given.values.len() == samples * len;
            assert!(whole && given.samples(len) == samples, "input `{name}`: {samples} samples of {len}");
        }
        let (stride, of_shard) = (self.program.plan.shard_floats, self.program.plan.shard_batch);
        if info.region != Region::Shard {
            assert!(samples <= of_shard, "input {name} is shared: one shard of samples");
            return put(&mut self.region_mut(info)[info.offset..], info, name, given, 0..samples, of_shard);
        }
        let start = Regions { shards: self.shards.as_mut_ptr(), ..Regions::default() };
        let alone = Pool::alone();
        let pool = if self.program.plan.is_alone() { &alone } else { &self.pool };
        pool.run(shards, |shard| {
            // SAFETY: the region of this shard, which nobody else writes; it ends inside the memory of all shards.
            let region = unsafe { std::slice::from_raw_parts_mut(start.shard(shard * stride), stride) };
            let first = if info.batch { shard * of_shard } else { 0 };
            let end = if info.batch { (first + of_shard).min(samples) } else { 1 };
            put(&mut region[info.offset..], info, name, given, first..end, of_shard);
        });
    }

    fn fill_mask(&mut self, info: &BufferInfo, shards: usize) {
        assert!(info.batch, "the mask has a sample axis");
        let count = self.count;
        let shard_batch = self.program.plan.shard_batch;
        let padded = if info.region == Region::Shard { shards * shard_batch } else { shard_batch };
        for sample in 0..padded {
            for t in 0..info.time.unwrap_or(1) {
                let row = self.row(info, t, sample);
                self.region_mut(info)[row].fill(if sample < count { 1.0 } else { 0.0 });
            }
        }
    }

    fn region_mut(&mut self, info: &BufferInfo) -> &mut [f32] {
        match info.region {
            Region::Shared => &mut self.shared,
            Region::Shard => &mut self.shards,
            Region::Param | Region::Slot | Region::Local => {
                panic!("input {} lies where nobody can put it", info.name)
            }
        }
    }
}

/// Writes samples of an input to the start of `buffer`, `[time?][sample][index]` for `of_shard` samples, with 0 where there are none.
fn put(
    buffer: &mut [f32],
    info: &BufferInfo,
    name: &str,
    given: Option<Given>,
    samples: std::ops::Range<usize>,
    of_shard: usize,
) {
    let (time, width, floats) = (info.time.unwrap_or(1), info.width(), info.row_floats());
    let rows = if info.batch { of_shard } else { 1 };
    for row in 0..rows {
        let sample = samples.start + row;
        let given = given.filter(|_| sample < samples.end);
        let bits = given.is_some_and(|given| given.bits);
        let of_row = if bits { 2 * bits::words(width) } else { width };
        let values = given.as_ref().map(|given| given.sample(sample, time * of_row));
        for t in 0..time {
            let to = &mut buffer[(t * rows + row) * floats..][..floats];
            match values.map(|values| &values[t * of_row..][..of_row]) {
                Some(values) if bits && !info.spikes => bits::unpack(values, to),
                Some(values) if info.spikes && !bits => {
                    assert!(bits::pack(values, to), "input {name} was compiled for 0 and 1");
                }
                Some(values) => to.copy_from_slice(values),
                None => to.fill(0.0),
            }
        }
    }
}

/// The regions of one call, handed to several threads.
struct Regions {
    param: *mut f32,
    slot: *mut f32,
    shared: *mut f32,
    shards: *mut f32,
    locals: *mut f32,
}

impl Default for Regions {
    fn default() -> Regions {
        let none = std::ptr::null_mut();
        Regions { param: none, slot: none, shared: none, shards: none, locals: none }
    }
}

// SAFETY: only addresses; who dereferences them, and where, is up to the phases and the plan.
unsafe impl Sync for Regions {}

impl Regions {
    fn shard(&self, offset: usize) -> *mut f32 {
        self.shards.wrapping_add(offset)
    }

    fn local(&self, offset: usize) -> *mut f32 {
        self.locals.wrapping_add(offset)
    }
}

#[cfg(test)]
mod tests;
