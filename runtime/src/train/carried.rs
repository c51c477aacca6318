//! States that go on from batch to batch of an epoch: hands what a batch ends with on as what the next one starts with, sample by sample of the
//! batch. Samples are in another order in every epoch, so that a sample starts where another, unrelated one ended (state passing of
//! Buitrago Ruiz & Gu; provisional). An epoch starts anew, and so does a training that goes on from a checkpoint, which is at the end of one.

use crate::abi::Scalar;
use crate::engine::{Call, Engine, Given, SectionTimes, Weights};
use crate::program::{CARRIED, Program};

/// States of one batch.
pub struct Carried {
    /// Name, and numbers of all samples of a batch.
    states: Vec<(String, Vec<f32>)>,
    /// Whether there was a batch to go on from.
    going: bool,
}

impl Carried {
    /// For a program whose states may go on; nothing for another.
    pub fn new(program: &Program) -> Carried {
        let inputs = program.inputs.iter().filter(|binding| binding.name.starts_with(CARRIED));
        let numbers = |buffer: usize| vec![0.0; program.plan.buffers[buffer].width() * program.plan.batch()];
        let states = inputs.map(|binding| (binding.name.clone(), numbers(binding.buffer))).collect();
        Carried { states, going: false }
    }

    /// The next batch starts anew.
    pub fn restart(&mut self) {
        self.going = false;
    }

    /// Runs a batch from the states of the one before, which must not have had fewer samples.
    pub fn run(
        &mut self,
        engine: &mut Engine,
        weights: &mut Weights,
        call: &Call,
        inputs: &[(&str, Given)],
        times: &mut SectionTimes,
    ) {
        let mut call = *call;
        let mut inputs = inputs.to_vec();
        if self.going {
            call.scalars[Scalar::Carried as usize] = 1.0;
            let rows = |values: &Vec<f32>| values.len() / engine.batch() * call.count;
            inputs
                .extend(self.states.iter().map(|(name, values)| (&name[..], values[..rows(values)].into())));
        }
        engine.run(weights, &call, &inputs, times);
        for (name, values) in &mut self.states {
            let width = values.len() / engine.batch();
            for (sample, to) in values.chunks_exact_mut(width).take(call.count).enumerate() {
                to.copy_from_slice(engine.output_row(name, 0, sample).expect("an output of the program"));
            }
        }
        self.going = true;
    }
}
