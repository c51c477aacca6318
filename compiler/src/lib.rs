//! From `.snn` text to executable programs. Pure: no files, no clock, no threads, no globals.
//!
//! Life of a program: text → `parse` → [`ast`] → `analyze` → [`hir`] → `lower` → [`step`] → `cluster` → [`net`] →
//! `differentiate` → [`net`] → `schedule` → [`loops`] → `emit` → machine code, run by `snn-runtime`.
//!
//! Folders named by a noun are representations, folders named by a verb are arrows between them.

pub mod diag;
pub mod source;

pub mod ast;
pub mod parse;

pub mod analyze;
pub mod hir;

pub mod lower;
pub mod step;

pub mod cluster;
pub mod differentiate;
pub mod net;

pub mod emit;
pub mod loops;
pub mod schedule;

pub mod interp;
pub mod pipeline;
pub mod stdlib;
