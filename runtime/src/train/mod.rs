//! Training, evaluation, checkpoints. Update rules are not here: they are part of the compiled program.
//!
//! What a program offers by convention, each if it has it:
//!
//! | output | shape | meaning |
//! |---|---|---|
//! | `loss` | one number | mean over the valid samples of the batch |
//! | `prediction` | `[sample, classes]` | the largest is the answer |
//! | `carried NAME` | `[sample, neurons]` | a state at the end, and as an input at the start of a presentation: see [`carried`] |
//! | `count.NAME` | one number | spikes of population NAME in the valid samples, over all steps |

pub mod carried;
pub mod checkpoint;
pub mod evaluate;
pub mod metrics;
pub mod tensors;
pub mod trainer;

#[cfg(test)]
mod tests;
