//! HIR to Step IR, and what a job adds to a net: mathematics becomes graphs. No user errors here, no time axis tricks.

mod carry;
mod expr;
mod fragment;
mod init;
mod integrate;
mod job;
mod norm;
mod optimizer;
mod population;
mod running;
mod since;

pub use carry::{carried, carry};
pub(crate) use expr::with_index;
pub(crate) use init::init_values;
pub use init::{Activity, Neurons, Refusal, Tensor, Tensors, of_first_values};
pub(crate) use job::traces_read;
pub use job::{JobValues, job_values};
pub(crate) use norm::STATISTIC;
pub use norm::statistics;
pub use optimizer::update;
pub use population::{output_name, step};
pub(crate) use running::RUNNING;
pub use running::running;
pub use since::since;
