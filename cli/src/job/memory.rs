//! What a job will need of memory: the process, data, weights, tapes; and the bound of `--memory`. Measures nothing, so that what is
//! decided by it depends on neither the machine nor the moment.

use super::Runner;
use crate::load::Failure;
use snn_compiler::hir::Job;
use snn_compiler::net::Net;
use snn_compiler::pipeline::{self, DataFacts, Purpose};
use snn_runtime::data::Split;
use snn_runtime::program::{CARRIED, MemoryPlan};
use std::sync::Arc;

/// Bytes of a process that has checked, compiled and run a small program.
const PROCESS: usize = 12_000_000;

/// Parts of what a process has resident at its peak, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Needs {
    /// The process itself: its code, the compiler's tables, standard library.
    pub process: usize,
    /// All data sets that were read, and the changed batch of an augmented training.
    pub data: usize,
    /// Parameters, optimizer, and their copies: the state at the start of the epoch, first values.
    pub weights: usize,
    /// What all shards see: gradients, weights in other forms, sums.
    pub shared: usize,
    /// What is computed on the way: of all shards and of each thread.
    pub tapes: usize,
    /// What kernels hold for each thread.
    pub kernels: usize,
    /// What was held beside the process while data were read; it is given back before anything else is needed.
    pub reading: usize,
}

impl Needs {
    /// The peak: the sum, or what reading took.
    pub fn total(&self) -> usize {
        let Needs { process, data, weights, shared, tapes, kernels, reading } = *self;
        process + (data + weights + shared + tapes + kernels).max(reading)
    }

    /// Of a process that runs a program on data of so many bytes, and as many while it reads them ([`Runner::data_bytes`]).
    pub fn new(plan: &MemoryPlan, [data, reading]: [usize; 2], trains: bool, threads: usize) -> Needs {
        let (param, slot) = (4 * plan.param_floats, 4 * plan.slot_floats);
        Needs {
            process: PROCESS,
            data,
            weights: if trains { 2 * (param + slot) + param } else { 2 * param + slot },
            shared: 4 * plan.shared_floats,
            tapes: plan.tape_bytes(threads) + carried_bytes(plan),
            kernels: plan.kernel_bytes * plan.locals(threads),
            reading,
        }
    }

    /// One line for people.
    pub fn text(&self, plan: &MemoryPlan, threads: usize) -> String {
        let mb = |bytes: usize| bytes as f64 / 1e6;
        format!(
            "{:.1} MB (the process itself {:.1}, data {:.1}, weights and their copies {:.1}, shared {:.1}, tapes {:.1}: {} shards of \
             {:.2}, {} threads of {:.2}; kernels {:.1}; while data are read {:.1})",
            mb(self.total()),
            mb(self.process),
            mb(self.data),
            mb(self.weights),
            mb(self.shared),
            mb(self.tapes),
            plan.shards,
            mb(4 * plan.shard_floats),
            plan.locals(threads),
            mb(4 * plan.local_floats),
            mb(self.kernels),
            mb(self.process + self.reading),
        )
    }
}

/// Bytes of the states that a training hands on from batch to batch; counted as inputs and as outputs.
fn carried_bytes(plan: &MemoryPlan) -> usize {
    let states = plan.buffers.iter().filter(|info| info.time.is_none() && info.name.starts_with(CARRIED));
    states.map(|info| 4 * info.width() * plan.batch()).sum()
}

impl Runner<'_> {
    /// The net that evaluates a model after each epoch of its training, in the segments of that.
    pub fn evaluation(
        &self,
        job: &Job,
        batch: usize,
        data: DataFacts,
        training: &Net,
    ) -> Result<Net, Failure> {
        let strict = self.options().strict;
        let net = pipeline::net(self.model(job), job, Purpose::Evaluate, batch, data, strict)
            .map_err(|name| Failure::plain("E0806", format!("surrogate `{name}` has no primitive"), None))?
            .net;
        let net = Net { shard_batch: training.shard_batch, shards: training.shards, ..net };
        let Some(segments) = &training.segments else { return Ok(net) };
        let mut net = pipeline::in_segments(&net, segments.steps).unwrap_or(net);
        net.segments.iter_mut().for_each(|s| s.alone = segments.alone);
        Ok(net)
    }

    /// The plan of a training with that of its evaluation, which takes turns with it in its memory, if there is one.
    pub fn training_plan(&self, job: &Job, batch: usize, data: DataFacts, net: &Net) -> MemoryPlan {
        let plan = pipeline::memory_plan(net);
        if self.data_of(job).is_none_or(|split| split.test.samples == 0) {
            return plan;
        }
        match self.evaluation(job, batch, data, net) {
            Ok(net) => plan.in_turns(&pipeline::memory_plan(&net)),
            Err(_) => plan,
        }
    }

    /// Bytes of all data sets that were read, and of the samples of a batch that the job changes: those are a copy. And what
    /// was held while they were read, one after another.
    pub fn data_bytes(&self, job: &Job, batch: usize) -> [usize; 2] {
        let augments = job.train.as_ref().is_some_and(|settings| !settings.augment.is_empty());
        let changed = if augments { self.data_of(job).map_or(0, |split| split.train.kept_len()) } else { 0 };
        let held: usize = self.data.values().map(|split| split.bytes()).sum();
        let reading = self.data.values().map(|split| held - split.bytes() + split.reading).max();
        [held + 4 * batch * changed, reading.unwrap_or(0)]
    }

    /// The data of a job, if they were read.
    fn data_of(&self, job: &Job) -> Option<&Arc<Split>> {
        let stream = self.model(job).inputs.first().is_some_and(|i| i.stream);
        job.data.and_then(|(idx, _)| self.data.get(&(idx, stream)))
    }

    /// The net of a training, cut into segments if it would need more than `--memory` allows. Counts as if each shard had a thread, so that
    /// results do not depend on how many there are. E0914 if no segments are short enough.
    pub fn bounded(&self, job: &Job, net: Net, batch: usize, data: DataFacts) -> Result<Net, Failure> {
        let Some(bound) = self.common.memory else { return Ok(net) };
        let read = self.data_bytes(job, batch);
        let needs = |net: &Net| {
            let plan = self.training_plan(job, batch, data, net);
            Needs::new(&plan, read, true, plan.shards).total()
        };
        pipeline::bounded(net, batch, needs, bound).map_err(|least| {
            let message = format!(
                "the training of `{}` needs at least {:.1} MB, `--memory` allows {:.1} MB",
                self.model(job).name,
                (least as f64 / 1e5).ceil() / 10.0,
                bound as f64 / 1e6
            );
            let help = "a smaller batch, fewer neurons or a smaller data set need less; fewer steps help little: they are already \
                        cut into segments (a number of steps with many divisors gives the choice)";
            Failure::plain("E0914", message, Some(help.into()))
        })
    }
}

/// Bytes from `200MB`, `64MiB`, `1.5GB`, `8000000`.
pub fn bytes(text: &str) -> Result<usize, String> {
    let wrong = || "a size is wanted, such as 200MB, 64MiB, 1.5GB or a number of bytes".to_string();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let factor = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let number: f64 = text[..end].parse().map_err(|_| wrong())?;
    let bytes = number * factor;
    if (1.0..1e18).contains(&bytes) { Ok(bytes as usize) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::bytes;

    #[test]
    fn sizes_have_the_units_people_write() {
        let all = ["200MB", "64MiB", "1.5GB", "8000", "2 kb", "1GiB"].map(|text| bytes(text).unwrap());
        assert_eq!(all, [200_000_000, 64 << 20, 1_500_000_000, 8000, 2000, 1 << 30]);
        for wrong in ["", "MB", "10 XB", "-5MB", "0", "1e3MB", "1.2.3MB"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
    }
}
