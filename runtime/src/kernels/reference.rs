//! The meaning of each kernel in obvious code; slow. The fast ones are tested against it, the interpreter may use it.

/// C = (accumulate ? C : 0) + A · B over slices, element (i, j) of a matrix at `i * rs + j * cs`.
///
/// Every output: `acc` starts at C or at 0.0; for k ascending, `acc = acc + a * b` with the product rounded first. This is
/// the strict order; bit for bit.
pub fn matmul(
    (m, k, n): (usize, usize, usize),
    (a, a_rs, a_cs): (&[f32], usize, usize),
    (b, b_rs, b_cs): (&[f32], usize, usize),
    (c, c_rs): (&mut [f32], usize),
    accumulate: bool,
) {
    for i in 0..m {
        for j in 0..n {
            let mut acc = if accumulate { c[i * c_rs + j] } else { 0.0 };
            for l in 0..k {
                let product = a[i * a_rs + l * a_cs] * b[l * b_rs + j * b_cs];
                acc += product;
            }
            c[i * c_rs + j] = acc;
        }
    }
}

pub use crate::rng::{gaussian_row, uniform_row};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matmul_multiplies_and_accumulates() {
        let (a, b) = ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]);
        let mut c = [1.0; 4];
        matmul((2, 2, 2), (&a, 2, 1), (&b, 2, 1), (&mut c, 2), true);
        assert_eq!(c, [20.0, 23.0, 44.0, 51.0]);
        matmul((2, 2, 2), (&a, 1, 2), (&b, 2, 1), (&mut c, 2), false);
        assert_eq!(c, [26.0, 30.0, 38.0, 44.0]);
    }
}
