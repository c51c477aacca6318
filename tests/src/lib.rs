//! The test harness: one trial for each program of the corpus and each rule of the tree. `suite.rs` runs it.

pub mod corpus;
pub mod differential;
pub mod errors;
pub mod snapshots;
pub mod tidy;
