//! Runs compiled spiking-network programs. Owns memory, threads and files; knows nothing of the compiler.

pub mod abi;
pub mod program;

pub mod error;
pub mod kernels;
pub mod math;
pub mod memory;
pub mod pool;
pub mod rng;

pub mod data;
pub mod engine;
pub mod record;
pub mod train;
