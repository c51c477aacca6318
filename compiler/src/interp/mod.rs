//! The reference meaning of Step and Net IR: slow, obvious, in f32 and f64. The oracle of all compiled code; it never calls a fast
//! kernel. Orders of sums are those of the head of [`crate::step`].
//!
//! In f32 a plain run agrees bit for bit with strict compiled code, denormals flushed to zero as there. In f64 it is the
//! reference of precision, and checks gradients: relaxed and frozen runs for central differences ([`Mode`]), tangents for the
//! transpose test ([`NetRun::jvp`]).

pub mod filters;
pub mod matrix;
mod mode;
mod net;
mod node;
mod number;
mod scan;
mod slide;
mod tangent;
#[cfg(test)]
mod tests;
mod value;

pub use mode::Mode;
pub use net::{Inputs, NetRun, Results, run, step};
pub use node::Call;
pub use number::{Number, pw};
pub(crate) use slide::convolution;
pub use value::{Array, Extent};

use crate::step::ops::{Fold, Pw};
use crate::step::{Graph, ValId};

/// A pointwise operation on f64.
pub fn pointwise(op: Pw, args: &[f64]) -> f64 {
    pw(op, args)
}

/// Two values of a fold, the one that came first first.
pub fn fold_pair(fold: Fold, a: f64, b: f64) -> f64 {
    number::fold_pair(fold, a, b)
}

/// Value of a graph without inputs and states (initializers): one number for each element of its type. Parameter `n` is
/// `params[n]`. Element `n` of a random tensor is draw `n` of the row of step 0 and sample 0.
pub fn graph_values(graph: &Graph, val: ValId, params: &[Vec<f64>], key: u64) -> Vec<f64> {
    net::graph_values(graph, val, params, key)
}
