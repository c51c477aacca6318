//! Training, evaluation, checkpoints. Update rules are not here: they are part of the compiled program.

pub mod checkpoint;
pub mod evaluate;
pub mod trainer;
