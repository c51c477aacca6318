//! Functions of whole matrices, for initializers: orthonormal factor, singular values, spectral radius, rank, order. In f64 with
//! `+ - * /` and square roots in a fixed order, so that every machine gets the same bits. Weights only, never activity.

/// A matrix, row by row.
#[derive(Clone, PartialEq, Debug)]
pub struct Matrix {
    /// Rows: receiving neurons.
    pub rows: usize,
    /// Columns: sending neurons.
    pub cols: usize,
    /// `rows * cols` elements.
    pub data: Vec<f64>,
}

impl Matrix {
    /// Each element from its row and column.
    pub fn from_fn(rows: usize, cols: usize, mut element: impl FnMut(usize, usize) -> f64) -> Matrix {
        let mut data = Vec::with_capacity(rows * cols);
        for i in 0..rows {
            data.extend((0..cols).map(|j| element(i, j)));
        }
        Matrix { rows, cols, data }
    }

    /// An element.
    pub fn at(&self, i: usize, j: usize) -> f64 {
        self.data[i * self.cols + j]
    }

    fn row(&self, i: usize) -> &[f64] {
        &self.data[i * self.cols..(i + 1) * self.cols]
    }

    /// Rows for columns.
    pub fn transposed(&self) -> Matrix {
        Matrix::from_fn(self.cols, self.rows, |i, j| self.at(j, i))
    }

    /// `self * other`
    pub fn times(&self, other: &Matrix) -> Matrix {
        let mut product = Matrix::from_fn(self.rows, other.cols, |_, _| 0.0);
        for i in 0..self.rows {
            let sum = &mut product.data[i * other.cols..(i + 1) * other.cols];
            for (k, a) in self.row(i).iter().enumerate().filter(|(_, a)| **a != 0.0) {
                sum.iter_mut().zip(other.row(k)).for_each(|(s, b)| *s += a * b);
            }
        }
        product
    }

    /// Square root of the sum of squares.
    fn norm(&self) -> f64 {
        dot(&self.data, &self.data).sqrt()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// `a += factor * b`
fn add_scaled(a: &mut [f64], factor: f64, b: &[f64]) {
    a.iter_mut().zip(b).for_each(|(x, y)| *x += factor * y);
}

/// The orthonormal factor of `a = Q R` by Householder's reflections, columns with the sign that makes the diagonal of R positive: of a
/// Gaussian matrix it is uniform over all (Mezzadri 2007). With more columns than rows, of the transposed matrix: the rows are orthonormal.
pub fn orthonormal(a: &Matrix) -> Matrix {
    if a.rows < a.cols {
        return orthonormal(&a.transposed()).transposed();
    }
    // Columns as rows, so that each lies in one piece.
    let mut columns = a.transposed();
    let (m, n) = (a.rows, a.cols);
    let mut reflectors: Vec<Vec<f64>> = Vec::with_capacity(n);
    let mut signs = Vec::with_capacity(n);
    for k in 0..n {
        let mut v = columns.data[k * m + k..(k + 1) * m].to_vec();
        let norm = dot(&v, &v).sqrt();
        let first = v[0];
        // R's diagonal is -sign(first) * norm.
        signs.push(if first > 0.0 { -1.0 } else { 1.0 });
        v[0] += if first > 0.0 { norm } else { -norm };
        let length = dot(&v, &v).sqrt();
        if length > 0.0 {
            v.iter_mut().for_each(|x| *x /= length);
        }
        for j in k..n {
            let column = &mut columns.data[j * m + k..(j + 1) * m];
            let along = dot(&v, column);
            add_scaled(column, -2.0 * along, &v);
        }
        reflectors.push(v);
    }
    let mut q = Matrix::from_fn(n, m, |j, i| if i == j { signs[j] } else { 0.0 });
    for (k, v) in reflectors.iter().enumerate().rev() {
        for j in 0..n {
            let column = &mut q.data[j * m + k..(j + 1) * m];
            let along = dot(v, column);
            add_scaled(column, -2.0 * along, v);
        }
    }
    q.transposed()
}

/// `U` and the rows of `S V` of `a = U S V` for a matrix that is not taller than wide, those of the largest singular values first.
struct Svd {
    left: Matrix,
    scaled: Matrix,
}

/// Cosine of two rows below which they count as orthogonal: as exact as doubles are.
pub const EXACT: f64 = 1e-15;

/// Hestenes 1958: rows are rotated in pairs until all are orthogonal; `left`, which has as many rows, turns along. Rows that are only rounding errors
/// of the matrix stay as they are: they would never be orthogonal, in a matrix of low rank nearly all of them.
fn orthogonalise(scaled: &mut Matrix, left: &mut Matrix, tolerance: f64) {
    let noise = (EXACT * scaled.norm()).powi(2);
    for _ in 0..60 {
        let mut rotated = false;
        for p in 0..scaled.rows {
            for q in p + 1..scaled.rows {
                rotated |= rotate(scaled, left, (p, q), (tolerance, noise));
            }
        }
        if !rotated {
            break;
        }
    }
}

/// `a = left * scaled`, `left` orthogonal.
fn svd(a: &Matrix) -> Svd {
    let (n, width) = (a.rows, a.cols);
    let mut scaled = a.clone();
    let mut left = Matrix::from_fn(n, n, |i, j| f64::from(u8::from(i == j)));
    orthogonalise(&mut scaled, &mut left, EXACT);
    let norms = norms_of_rows(&scaled);
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|a, b| norms[*b].total_cmp(&norms[*a]).then(a.cmp(b)));
    Svd {
        left: Matrix::from_fn(n, n, |i, j| left.at(order[j], i)),
        scaled: Matrix::from_fn(n, width, |i, j| scaled.at(order[i], j)),
    }
}

/// Makes two rows orthogonal whose squares are above `noise`; `left` (its rows are columns of the factor) turns along. Whether there was anything
/// to do.
fn rotate(
    scaled: &mut Matrix,
    left: &mut Matrix,
    (p, q): (usize, usize),
    (tolerance, noise): (f64, f64),
) -> bool {
    let width = scaled.cols;
    let (head, tail) = scaled.data.split_at_mut(q * width);
    let (x, y) = (&mut head[p * width..(p + 1) * width], &mut tail[..width]);
    let (a, b, c) = (dot(x, x), dot(y, y), dot(x, y));
    if c == 0.0 || c.abs() <= tolerance * (a * b).sqrt() || a.min(b) <= noise {
        return false;
    }
    let zeta = (b - a) / (2.0 * c);
    let t = if zeta >= 0.0 { 1.0 } else { -1.0 } / (zeta.abs() + (1.0 + zeta * zeta).sqrt());
    let cos = 1.0 / (1.0 + t * t).sqrt();
    let sin = cos * t;
    turn(x, y, cos, sin);
    let n = left.cols;
    let (head, tail) = left.data.split_at_mut(q * n);
    turn(&mut head[p * n..(p + 1) * n], &mut tail[..n], cos, sin);
    true
}

fn turn(x: &mut [f64], y: &mut [f64], cos: f64, sin: f64) {
    for (x, y) in x.iter_mut().zip(y) {
        (*x, *y) = (cos * *x - sin * *y, sin * *x + cos * *y);
    }
}

fn norms_of_rows(a: &Matrix) -> Vec<f64> {
    (0..a.rows).map(|i| dot(a.row(i), a.row(i)).sqrt()).collect()
}

/// All singular values, largest first. Singular vectors are orthogonal up to `tolerance` ([`EXACT`], or more for a faster answer).
pub fn singular_values(a: &Matrix, tolerance: f64) -> Vec<f64> {
    let mut scaled = if a.rows > a.cols { a.transposed() } else { a.clone() };
    let mut no_left = Matrix { rows: scaled.rows, cols: 0, data: Vec::new() };
    orthogonalise(&mut scaled, &mut no_left, tolerance);
    let mut values = norms_of_rows(&scaled);
    values.sort_by(|a, b| b.total_cmp(a));
    values
}

/// Singular values of a square matrix, largest first, each with the cosine between its left and its right vector; 0 where the value is 0.
pub fn singular_cosines(a: &Matrix) -> Vec<(f64, f64)> {
    let Svd { left, scaled } = svd(a);
    let cosine = |k: usize, value: f64| {
        let along: f64 = (0..a.rows).map(|i| left.at(i, k) * scaled.at(k, i)).sum();
        if value > 0.0 { along / value } else { 0.0 }
    };
    norms_of_rows(&scaled).into_iter().enumerate().map(|(k, value)| (value, cosine(k, value))).collect()
}

/// The nearest matrix of rank `r` or less (Eckart & Young 1936).
pub fn low_rank(a: &Matrix, r: usize) -> Matrix {
    if a.rows > a.cols {
        return low_rank(&a.transposed(), r).transposed();
    }
    let Svd { left, scaled, .. } = svd(a);
    let r = r.min(a.rows);
    let left = Matrix::from_fn(a.rows, r, |i, k| left.at(i, k));
    left.times(&Matrix::from_fn(r, a.cols, |k, j| scaled.at(k, j)))
}

/// The positive imaginary parts of the eigenvalues of a skew-symmetric matrix of even size, largest first: its singular values, each of which it
/// has twice.
pub fn frequencies(a: &Matrix) -> Vec<f64> {
    singular_values(a, EXACT).into_iter().step_by(2).collect()
}

/// Of a symmetric matrix the eigenvectors of the `d` largest absolute eigenvalues as rows, each times the square root of that; the element that is
/// largest without its sign (the first of several) is positive.
pub fn coordinates(a: &Matrix, d: usize) -> Matrix {
    let Svd { left, scaled } = svd(a);
    let norms = norms_of_rows(&scaled);
    let sign = |k: usize| {
        let largest = (0..a.rows)
            .fold(0.0, |most: f64, i| if left.at(i, k).abs() > most.abs() { left.at(i, k) } else { most });
        if largest < 0.0 { -1.0 } else { 1.0 }
    };
    let factor: Vec<f64> = (0..d).map(|k| sign(k) * norms[k].sqrt()).collect();
    Matrix::from_fn(d, a.rows, |k, i| factor[k] * left.at(i, k))
}

/// The largest absolute eigenvalue of a square matrix, as the growth of its powers (Gelfand 1941): `|a^n|^(1/n)` for n = 2^k up to 2^47. Power
/// iteration would not do: leading eigenvalues of random matrices are complex.
pub fn radius(a: &Matrix) -> f64 {
    let mut power = a.clone();
    let (mut norms, mut before) = (Vec::new(), f64::INFINITY);
    for _ in 0..48 {
        let norm = power.norm();
        if norm == 0.0 || !norm.is_finite() {
            return norm;
        }
        norms.push(norm);
        // The norm of a^n is norms[0]^n norms[1]^(n/2) norms[2]^(n/4) …
        let estimate = norms.iter().rev().fold(1.0, |root: f64, norm| root.sqrt() * norm);
        if (estimate - before).abs() <= 1e-13 * estimate {
            break;
        }
        before = estimate;
        power.data.iter_mut().for_each(|x| *x /= norm);
        power = power.times(&power);
    }
    before
}

/// The place of each element among those of its row, 0 for the smallest; equal ones in their order.
pub fn order_in_rows(a: &Matrix) -> Matrix {
    let mut result = a.clone();
    for i in 0..a.rows {
        let row = a.row(i);
        let mut order: Vec<usize> = (0..a.cols).collect();
        order.sort_by(|x, y| row[*x].total_cmp(&row[*y]).then(x.cmp(y)));
        for (place, j) in order.into_iter().enumerate() {
            result.data[i * a.cols + j] = place as f64;
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    fn sample(rows: usize, cols: usize) -> Matrix {
        let mut x = 12345u64;
        Matrix::from_fn(rows, cols, |_, _| {
            x = snn_runtime::rng::mix(x);
            (x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        })
    }

    fn distance(a: &Matrix, b: &Matrix) -> f64 {
        a.data.iter().zip(&b.data).fold(0.0, |worst, (x, y)| f64::max(worst, (x - y).abs()))
    }

    fn identity(n: usize) -> Matrix {
        Matrix::from_fn(n, n, |i, j| f64::from(u8::from(i == j)))
    }

    #[test]
    fn orthonormal_columns_span_those_of_the_matrix() {
        for (m, n) in [(5, 5), (7, 3), (1, 1), (64, 40)] {
            let a = sample(m, n);
            let q = orthonormal(&a);
            assert!(distance(&q.transposed().times(&q), &identity(n)) < 1e-13);
            // R is upper triangular with a positive diagonal, and Q R is the matrix.
            let r = q.transposed().times(&a);
            assert!(distance(&q.times(&r), &a) < 1e-13);
            for i in 0..n {
                assert!(r.at(i, i) > 0.0);
                assert!((0..i).all(|j| r.at(i, j).abs() < 1e-13));
            }
        }
        let wide = orthonormal(&sample(3, 7));
        assert!(distance(&wide.times(&wide.transposed()), &identity(3)) < 1e-13);
    }

    #[test]
    fn orthonormal_of_a_zero_column_is_finite() {
        let a = Matrix::from_fn(3, 2, |i, j| if j == 0 { 0.0 } else { i as f64 });
        assert!(orthonormal(&a).data.iter().all(|x| x.is_finite()));
    }

    #[test]
    fn singular_values_are_those_of_known_matrices() {
        let a = Matrix { rows: 2, cols: 2, data: vec![3.0, 0.0, 4.0, 5.0] };
        let known = [45f64.sqrt(), 5f64.sqrt()];
        singular_values(&a, EXACT).iter().zip(known).for_each(|(x, y)| assert!((x - y).abs() < 1e-12));
        let b = sample(9, 4);
        let squares: f64 = singular_values(&b, EXACT).iter().map(|s| s * s).sum();
        assert!((squares - b.norm() * b.norm()).abs() < 1e-12);
    }

    #[test]
    fn left_and_right_vectors_have_the_cosines_of_known_matrices() {
        let close = |data: &[f64], known: [(f64, f64); 2]| {
            let found = singular_cosines(&Matrix { rows: 2, cols: 2, data: data.to_vec() });
            let is_close =
                |((a, b), (x, y)): (&(f64, f64), (f64, f64))| (a - x).abs() < 1e-14 && (b - y).abs() < 1e-14;
            assert!(found.iter().zip(known).all(is_close), "{found:?}");
        };
        close(&[2.0, 0.0, 0.0, -3.0], [(3.0, -1.0), (2.0, 1.0)]);
        close(&[0.0, -1.0, 2.0, 0.0], [(2.0, 0.0), (1.0, 0.0)]);
        close(&[0.6, 0.0, 0.0, 0.0], [(0.6, 1.0), (0.0, 0.0)]);
    }

    #[test]
    fn a_matrix_of_rank_one_has_one_singular_value() {
        let a = Matrix::from_fn(60, 60, |i, j| 1.0 / ((i + 1) * (j + 1)) as f64);
        let squares: f64 = (1..=60).map(|k| 1.0 / f64::from(k * k)).sum();
        let found = singular_values(&a, EXACT);
        assert!((found[0] - squares).abs() < 1e-12 && found[1] < 1e-14, "{found:?}");
    }

    #[test]
    fn low_rank_keeps_the_largest_singular_values() {
        for a in [sample(6, 9), sample(9, 6)] {
            let (all, kept) = (singular_values(&a, EXACT), singular_values(&low_rank(&a, 2), EXACT));
            assert!((0..2).all(|k| (all[k] - kept[k]).abs() < 1e-12) && kept[2] < 1e-12);
            assert!(distance(&low_rank(&a, 6), &a) < 1e-12);
        }
    }

    #[test]
    fn radius_is_that_of_known_matrices() {
        let check = |n: usize, data: &[f64], expected: f64| {
            let found = radius(&Matrix { rows: n, cols: n, data: data.to_vec() });
            assert!((found - expected).abs() <= 1e-9 * expected, "{found}, not {expected}");
        };
        check(2, &[0.0, -2.0, 2.0, 0.0], 2.0);
        check(2, &[3.0, 1.0, 0.0, 3.0], 3.0);
        check(3, &[0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0], 0.0);
        check(2, &[1.0, 2.0, 3.0, 4.0], (5.0 + 33f64.sqrt()) / 2.0);
    }

    #[test]
    fn frequencies_are_those_of_known_matrices() {
        let a = Matrix { rows: 2, cols: 2, data: vec![0.0, -3.0, 3.0, 0.0] };
        assert!((frequencies(&a)[0] - 3.0).abs() < 1e-12);
        // Two rotations, turned into each other.
        let q = orthonormal(&sample(4, 4));
        let b = Matrix::from_fn(4, 4, |i, j| match (i, j) {
            (1, 0) => 2.0,
            (0, 1) => -2.0,
            (3, 2) => 0.5,
            (2, 3) => -0.5,
            _ => 0.0,
        });
        let found = frequencies(&q.times(&b).times(&q.transposed()));
        assert!(found.len() == 2 && (found[0] - 2.0).abs() < 1e-12 && (found[1] - 0.5).abs() < 1e-12);
    }

    #[test]
    fn coordinates_give_back_a_matrix_without_negative_eigenvalues() {
        let a = sample(6, 6);
        let square = a.times(&a.transposed());
        let e = coordinates(&square, 6);
        assert!(distance(&e.transposed().times(&e), &square) < 1e-12);
        let two = coordinates(&square, 2);
        assert!(
            distance(&two.times(&two.transposed()), &{
                let values = singular_values(&square, EXACT);
                Matrix::from_fn(2, 2, |i, j| if i == j { values[i] } else { 0.0 })
            }) < 1e-12
        );
        for row in e.data.chunks(6) {
            let largest = row.iter().fold(0.0, |most: f64, x| if x.abs() > most.abs() { *x } else { most });
            assert!(largest > 0.0);
        }
    }

    #[test]
    fn order_counts_from_the_smallest() {
        let a = Matrix { rows: 2, cols: 3, data: vec![0.3, 0.1, 0.2, 5.0, 5.0, -1.0] };
        assert_eq!(order_in_rows(&a).data, [2.0, 0.0, 1.0, 1.0, 2.0, 0.0]);
    }
}
