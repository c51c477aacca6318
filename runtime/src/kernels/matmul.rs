//! Matrix products with strides: through the `gemm` crate, and in a fixed order of additions for strict programs.

/// Below this many products the library's set-up costs more than it saves.
const SMALL: u64 = 2048;

/// `C = A B`, or `C += A B` if `accumulate` is not 0; sizes `m, k, n`; strides of rows and columns in floats; the columns of `C`
/// are adjacent. Order of additions and use of fused multiply-add are the library's.
///
/// # Safety
/// All elements addressed by sizes and strides must be valid; `C` does not overlap `A` or `B`.
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_fast(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    a_rs: i64,
    a_cs: i64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    c: *mut f32,
    c_rs: i64,
    accumulate: u64,
) {
    if m * k * n < SMALL {
        // SAFETY: the caller's promise.
        return unsafe { snn_matmul_strict(m, k, n, a, a_rs, a_cs, b, b_rs, b_cs, c, c_rs, accumulate) };
    }
    let alpha = if accumulate != 0 { 1.0 } else { 0.0 };
    // SAFETY: the caller's promise; one thread, so nothing unwinds from another.
    unsafe {
        gemm::gemm(
            m as usize,
            n as usize,
            k as usize,
            c,
            1,
            c_rs as isize,
            accumulate != 0,
            a,
            a_cs as isize,
            a_rs as isize,
            b,
            b_cs as isize,
            b_rs as isize,
            alpha,
            1.0f32,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// As [`snn_matmul_fast`], with products added for ascending `k`, each rounded, starting from 0 (or from `C`).
///
/// # Safety
/// As [`snn_matmul_fast`].
#[allow(clippy::too_many_arguments)]
pub unsafe extern "C" fn snn_matmul_strict(
    m: u64,
    k: u64,
    n: u64,
    a: *const f32,
    a_rs: i64,
    a_cs: i64,
    b: *const f32,
    b_rs: i64,
    b_cs: i64,
    c: *mut f32,
    c_rs: i64,
    accumulate: u64,
) {
    for i in 0..m as i64 {
        // SAFETY: row `i` of `C` has `n` adjacent elements by the caller's promise.
        let row = unsafe { std::slice::from_raw_parts_mut(c.offset((i * c_rs) as isize), n as usize) };
        if accumulate == 0 {
            row.fill(0.0);
        }
        for l in 0..k as i64 {
            // SAFETY: element (i, l) of A.
            let x = unsafe { *a.offset((i * a_rs + l * a_cs) as isize) };
            if b_cs == 1 {
                // SAFETY: row `l` of `B` has `n` adjacent elements here.
                let w = unsafe { std::slice::from_raw_parts(b.offset((l * b_rs) as isize), n as usize) };
                row.iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
            } else {
                for (j, y) in row.iter_mut().enumerate() {
                    // SAFETY: element (l, j) of B.
                    *y += x * unsafe { *b.offset((l * b_rs + j as i64 * b_cs) as isize) };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition.
    fn plain(m: usize, k: usize, n: usize, a: &[f32], b: &[f32]) -> Vec<f32> {
        let mut c = vec![0.0; m * n];
        for i in 0..m {
            for j in 0..n {
                for l in 0..k {
                    c[i * n + j] += a[i * k + l] * b[l * n + j];
                }
            }
        }
        c
    }

    #[test]
    fn both_forms_agree_with_the_definition_for_all_layouts() {
        for (m, k, n) in [(1, 1, 1), (3, 4, 17), (16, 64, 128), (64, 17, 3), (25, 128, 10)] {
            let a: Vec<f32> = (0..m * k).map(|i| ((i * 37 % 19) as f32 - 9.0) / 7.0).collect();
            let b: Vec<f32> = (0..k * n).map(|i| ((i * 53 % 23) as f32 - 11.0) / 5.0).collect();
            let transposed: Vec<f32> = (0..k * n).map(|i| b[(i % k) * n + i / k]).collect();
            let want = plain(m, k, n, &a, &b);
            for (strict, flip) in [(true, false), (true, true), (false, false), (false, true)] {
                let f = if strict { snn_matmul_strict } else { snn_matmul_fast };
                let (b, rs, cs) = if flip { (&transposed, 1, k as i64) } else { (&b, n as i64, 1) };
                let mut c = vec![f32::NAN; m * n];
                // SAFETY: sizes and strides are those of the vectors.
                unsafe {
                    f(
                        m as u64,
                        k as u64,
                        n as u64,
                        a.as_ptr(),
                        k as i64,
                        1,
                        b.as_ptr(),
                        rs,
                        cs,
                        c.as_mut_ptr(),
                        n as i64,
                        0,
                    )
                };
                for (got, want) in c.iter().zip(&want) {
                    assert!((got - want).abs() <= 1e-4 * want.abs().max(1.0), "{m}x{k}x{n}: {got} {want}");
                    assert!(!strict || got == want);
                }
            }
        }
    }
}
