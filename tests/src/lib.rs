//! The test harness: one trial for each program of the corpus and each rule of the tree. `suite.rs` runs it.

pub mod carried;
pub mod checkpoints;
pub mod cli;
pub mod corpus;
pub mod diagnoses;
pub mod differential;
pub mod errors;
pub mod golden;
pub mod gradients;
pub mod growth;
pub mod inits;
pub mod laziness;
pub mod length;
pub mod memory;
pub mod regularisers;
pub mod snapshots;
pub mod studies;
pub mod tidy;
pub mod updates;
