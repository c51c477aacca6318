//! Sums over weights that several commands print. No statistics of runs: those are in `sweep::stats`.

/// Numbers of 32 bits in 64.
pub fn wide(values: &[f32]) -> impl Iterator<Item = f64> + '_ {
    values.iter().map(|v| f64::from(*v))
}

/// Euclidean norm.
pub fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|v| v * v).sum::<f64>().sqrt()
}
