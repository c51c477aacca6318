//! Functions of the weights of convolutions, for initializers: orthonormal matrices at each position of the kernel, orthonormal kernels, kernels
//! from their spectra. In f64 in a fixed order. Functions that know no kernel are in [`super::matrix`].
//!
//! Weights are a matrix with a row for each receiving channel; a column is a sending channel of the group, row and column of the kernel, the last
//! one fastest.

use super::matrix::{Matrix, orthonormal};

/// At each position of the kernel the orthonormal factor of the matrix from sending to receiving channels.
pub fn orthonormal_taps(a: &Matrix, kernel: [usize; 2]) -> Matrix {
    let area = kernel[0] * kernel[1];
    let factor = |tap| orthonormal(&Matrix::from_fn(a.rows, a.cols / area, |i, j| a.at(i, j * area + tap)));
    let factors: Vec<Matrix> = (0..area).map(factor).collect();
    Matrix::from_fn(a.rows, a.cols, |i, j| factors[j % area].at(i, j / area))
}

/// For each receiving channel the kernels of its senders, `n` at a time, as the rows of a matrix: its orthonormal factor. Of the last ones there
/// may be fewer.
pub fn orthonormal_kernels(a: &Matrix, kernel: [usize; 2], n: usize) -> Matrix {
    let (area, mut result) = (kernel[0] * kernel[1], a.clone());
    for row in result.data.chunks_mut(a.cols.max(1)) {
        for block in row.chunks_mut(n.max(1) * area) {
            let kernels = Matrix { rows: block.len() / area, cols: area, data: block.to_vec() };
            block.copy_from_slice(&orthonormal(&kernels).data);
        }
    }
    result
}

/// The kernels whose discrete Fourier transforms have these real parts in their first `width / 2 + 1` columns and no imaginary parts, as inverse
/// transforms of real signals take them: what is not of a real kernel is left out.
pub fn kernel_of_spectrum(a: &Matrix, kernel: [usize; 2]) -> Matrix {
    let ([height, width], area) = (kernel, kernel[0] * kernel[1]);
    let turn = 2.0 * std::f64::consts::PI;
    // The other half of the spectrum is that of the columns that have a partner.
    let partners = |v: usize| if v == 0 || 2 * v == width { 1.0 } else { 2.0 };
    let wave = |position: usize, frequency: usize| {
        let (y, x, u, v) = (position / width, position % width, frequency / width, frequency % width);
        let phase = (u * y) as f64 / height as f64 + (v * x) as f64 / width as f64;
        partners(v) * (turn * phase).cos() / area as f64
    };
    let half: Vec<usize> = (0..area).filter(|frequency| frequency % width <= width / 2).collect();
    let waves: Vec<Vec<f64>> = (0..area).map(|p| half.iter().map(|f| wave(p, *f)).collect()).collect();
    Matrix::from_fn(a.rows, a.cols, |i, j| {
        let spectrum = half.iter().map(|f| a.at(i, j / area * area + f));
        spectrum.zip(&waves[j % area]).map(|(amplitude, wave)| amplitude * wave).sum()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    fn sample(rows: usize, cols: usize) -> Matrix {
        let mut x = 4321u64;
        Matrix::from_fn(rows, cols, |_, _| {
            x = snn_runtime::rng::mix(x);
            (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
    }

    fn dot(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn each_position_has_an_orthonormal_matrix() {
        let q = orthonormal_taps(&sample(5, 3 * 6), [2, 3]);
        for tap in 0..6 {
            let column = |j: usize| (0..5).map(|i| q.at(i, j * 6 + tap)).collect::<Vec<f64>>();
            for (j, k) in [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)] {
                let expected = f64::from(u8::from(j == k));
                assert!((dot(&column(j), &column(k)) - expected).abs() < 1e-13);
            }
        }
    }

    #[test]
    fn kernels_of_a_block_are_orthonormal() {
        let q = orthonormal_kernels(&sample(2, 7 * 4), [2, 2], 4);
        for i in 0..2 {
            let of = |j: usize| &q.data[(i * 7 + j) * 4..(i * 7 + j + 1) * 4];
            for j in 0..7 {
                assert!((dot(of(j), of(j)) - 1.0).abs() < 1e-13);
                let first = j / 4 * 4;
                assert!((first..j).all(|k| dot(of(j), of(k)).abs() < 1e-13), "{j}");
            }
        }
    }

    #[test]
    fn the_transform_of_a_kernel_is_its_spectrum() {
        // A symmetric spectrum belongs to a real kernel that is symmetric too, and is found again.
        let (height, width) = (3usize, 4usize);
        let real =
            |u: usize, v: usize| (1 + u.min(height - u) % height + 5 * (v.min(width - v) % width)) as f64;
        let spectrum = Matrix::from_fn(1, 12, |_, f| real(f / width, f % width));
        let kernel = kernel_of_spectrum(&spectrum, [height, width]);
        for u in 0..height {
            for v in 0..width {
                let phase = |p: usize| {
                    let at =
                        (u * (p / width)) as f64 / height as f64 + (v * (p % width)) as f64 / width as f64;
                    2.0 * std::f64::consts::PI * at
                };
                let found: f64 = (0..12).map(|p| kernel.data[p] * phase(p).cos()).sum();
                let rest: f64 = (0..12).map(|p| kernel.data[p] * phase(p).sin()).sum();
                assert!((found - real(u, v)).abs() < 1e-12 && rest.abs() < 1e-12, "{u}, {v}: {found}");
            }
        }
    }
}
