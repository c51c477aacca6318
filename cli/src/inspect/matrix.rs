//! Measures of a matrix of weights: moments, spectral norm, singular values, effective ranks.

use snn_compiler::interp::matrix::{self, Matrix};

/// Larger matrices (in their smaller direction) get no singular values: these cost the third power of it.
const SVD_MAX: usize = 1024;

/// What is known of the weights of a parameter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Weights {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation (of all numbers, biased).
    pub std: f64,
    /// Smallest.
    pub min: f64,
    /// Largest.
    pub max: f64,
    /// Of matrices.
    pub spectrum: Option<Spectrum>,
}

/// What is known of the singular values σ of a matrix.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Spectrum {
    /// The largest one, by power iteration on `WᵀW`.
    pub norm: f64,
    /// Stable rank `‖W‖_F² / σ₁²` (Rudelson & Vershynin 2007).
    pub stable_rank: f64,
    /// Entropy rank `exp(-Σ p ln p)`, `p = σ / Σσ` (Roy & Vetterli 2007); none for very large matrices.
    pub entropy_rank: Option<f64>,
}

/// Measures numbers; with `rows`, those of a matrix that lies row after row.
pub fn measure(values: &[f32], rows: Option<usize>) -> Weights {
    let n = values.len() as f64;
    let wide = || values.iter().map(|v| f64::from(*v));
    let mean = wide().sum::<f64>() / n;
    let std = (wide().map(|v| (v - mean).powi(2)).sum::<f64>() / n).sqrt();
    let spectrum = rows.map(|rows| {
        let matrix: Vec<Vec<f64>> =
            values.chunks(values.len() / rows).map(|r| r.iter().map(|v| f64::from(*v)).collect()).collect();
        spectrum(tall(matrix))
    });
    Weights {
        mean,
        std,
        min: wide().fold(f64::INFINITY, f64::min),
        max: wide().fold(f64::NEG_INFINITY, f64::max),
        spectrum,
    }
}

/// The matrix as a list of its shorter direction's vectors: singular values do not change when it is transposed.
fn tall(rows: Vec<Vec<f64>>) -> Vec<Vec<f64>> {
    let width = rows.first().map_or(0, Vec::len);
    if rows.len() <= width {
        return rows;
    }
    (0..width).map(|j| rows.iter().map(|row| row[j]).collect()).collect()
}

fn spectrum(vectors: Vec<Vec<f64>>) -> Spectrum {
    let norm = spectral_norm(&vectors);
    let squares: f64 = vectors.iter().flatten().map(|v| v * v).sum();
    let stable_rank = if norm > 0.0 { squares / (norm * norm) } else { 0.0 };
    let entropy_rank = (vectors.len() <= SVD_MAX).then(|| entropy_rank(&singular_values(&vectors)));
    Spectrum { norm, stable_rank, entropy_rank }
}

/// The largest singular value by power iteration on the product of the matrix with itself, from a fixed vector.
pub fn spectral_norm(vectors: &[Vec<f64>]) -> f64 {
    // Any vector that is orthogonal to nothing in particular.
    let mut u: Vec<f64> = (0..vectors.len()).map(|k| 1.0 + 0.5 * (1.7 * k as f64).sin()).collect();
    let mut norm = 0.0;
    for _ in 0..1000 {
        let length = dot(&u, &u).sqrt();
        if length == 0.0 {
            return 0.0;
        }
        u.iter_mut().for_each(|x| *x /= length);
        let mut v = vec![0.0; vectors.first().map_or(0, Vec::len)];
        for (row, factor) in vectors.iter().zip(&u) {
            v.iter_mut().zip(row).for_each(|(sum, w)| *sum += factor * w);
        }
        let before = norm;
        norm = dot(&v, &v).sqrt();
        u = vectors.iter().map(|row| dot(row, &v)).collect();
        if (norm - before).abs() <= 1e-12 * norm {
            break;
        }
    }
    norm
}

/// All singular values, largest first, to about twelve digits.
fn singular_values(vectors: &[Vec<f64>]) -> Vec<f64> {
    let width = vectors.first().map_or(0, Vec::len);
    matrix::singular_values(&Matrix::from_fn(vectors.len(), width, |i, j| vectors[i][j]), 1e-12)
}

/// `exp(-Σ p ln p)`, `p = σ / Σσ`; 0 for a matrix of zeros.
pub fn entropy_rank(singular_values: &[f64]) -> f64 {
    let total: f64 = singular_values.iter().sum();
    if total == 0.0 {
        return 0.0;
    }
    let parts = singular_values.iter().map(|s| s / total).filter(|p| *p > 0.0);
    (-parts.map(|p| p * p.ln()).sum::<f64>()).exp()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `U diag(σ) Vᵀ` with reflections as `U` and `V`.
    fn made_of(sigma: &[f64], width: usize) -> Vec<Vec<f64>> {
        let reflection = |n: usize, shift: f64| {
            let v: Vec<f64> = (0..n).map(|k| (k as f64 + shift).cos()).collect();
            let square = dot(&v, &v);
            move |i: usize, j: usize| f64::from(u8::from(i == j)) - 2.0 * v[i] * v[j] / square
        };
        let (u, v) = (reflection(sigma.len(), 0.3), reflection(width, 1.1));
        let cell = |i: usize, j: usize| (0..sigma.len()).map(|k| u(i, k) * sigma[k] * v(j, k)).sum();
        (0..sigma.len()).map(|i| (0..width).map(|j| cell(i, j)).collect()).collect()
    }

    #[test]
    fn known_singular_values_are_found() {
        let sigma = [5.0, 3.0, 3.0, 0.5, 1e-3, 0.0];
        let found = singular_values(&made_of(&sigma, 9));
        for (a, b) in found.iter().zip(&sigma) {
            assert!((a - b).abs() < 1e-12, "{found:?}");
        }
        assert!((spectral_norm(&made_of(&sigma, 9)) - 5.0).abs() < 1e-10);
    }

    #[test]
    fn the_matrix_of_the_specification() {
        // W = [[3,1],[0,2],[1,0]] has the spectral norm 3.377147441.
        let w = measure(&[3.0, 1.0, 0.0, 2.0, 1.0, 0.0], Some(3)).spectrum.expect("a matrix");
        assert!((w.norm - 3.377_147_441).abs() < 1e-8, "{}", w.norm);
        assert!((w.stable_rank - 15.0 / 3.377_147_441f64.powi(2)).abs() < 1e-8);
    }

    #[test]
    fn effective_ranks_of_extremes() {
        let rank = |sigma: &[f64]| entropy_rank(&singular_values(&made_of(sigma, 7)));
        assert!((rank(&[2.0; 4]) - 4.0).abs() < 1e-9);
        assert!((rank(&[2.0, 0.0, 0.0]) - 1.0).abs() < 1e-6);
        assert_eq!(entropy_rank(&[0.0, 0.0]), 0.0);
        let zeros = measure(&[0.0; 6], Some(2));
        assert_eq!((zeros.mean, zeros.std, zeros.spectrum.expect("a matrix").stable_rank), (0.0, 0.0, 0.0));
    }

    #[test]
    fn moments() {
        let w = measure(&[1.0, 2.0, 3.0, 6.0], None);
        assert_eq!((w.mean, w.min, w.max, w.spectrum), (3.0, 1.0, 6.0, None));
        assert!((w.std - 3.5f64.sqrt()).abs() < 1e-12);
    }
}
