//! Runs compiled spiking-network programs. Owns memory, threads and files; knows nothing of the compiler.
//!
//! | to … | read |
//! |---|---|
//! | see what generated code gets and may touch | [`abi`], [`program`] |
//! | call the same functions as generated code | [`math`], [`rng`], [`windows`], [`kernels`] |
//! | run a program on a batch | [`engine`], with [`memory`] and [`pool`] |
//! | get data in and results out | [`data`], [`record`], [`files`] |
//! | train and evaluate | [`train`] |

pub mod abi;
pub mod program;

pub mod error;
pub mod math;
pub mod rng;
pub mod windows;

pub mod kernels;
pub mod memory;
pub mod pool;

pub mod engine;

pub mod data;
pub mod files;
pub mod record;

pub mod train;
