//! The driver behind `snnc`: reads files, calls the compiler, runs jobs on the runtime, prints. A library, so that tests can run
//! jobs in process; nothing in it exits the process.

pub mod args;
pub mod bench;
pub mod commands;
pub mod diagnose;
pub mod explain;
pub mod gradcheck;
pub mod inspect;
pub mod job;
pub mod load;
pub mod numbers;
pub mod report;
pub mod sweep;
pub mod testing;
