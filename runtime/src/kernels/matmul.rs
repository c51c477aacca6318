//! Products of matrices for generated code: `fast` (any order of sums) and `strict` (one order, same bits everywhere).
//!
//! `strict` sums k ascending with separate multiplication and addition, as [`super::reference::matmul`] does. It is tiled over
//! rows and columns of C, which are independent, so vector width and tile size do not show in the result.

use super::events;
use super::panels::PANEL;

/// `(m, k, n, a, a_rs, a_cs, b, b_rs, b_cs, c, c_rs, accumulate)`: C[m, n] = (accumulate ? C : 0) + A[m, k] · B[k, n].
///
/// Strides in f32; columns of C are adjacent.
pub type MatmulFn =
    unsafe extern "C" fn(u64, u64, u64, *const f32, i64, i64, *const f32, i64, i64, *mut f32, i64, u64);

/// Multiplications below which setting up the blocked product costs more than it saves (measured: even at 8³).
const SMALL: usize = 512;

/// The product in the order that is fastest on this machine.
///
/// # Safety
/// A, B and C cover what sizes and strides say; C is written by nobody else and overlaps neither A nor B.
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
    let p = Product::new((m, k, n), (a, a_rs, a_cs), (b, b_rs, b_cs), (c, c_rs));
    // SAFETY: the caller's promise.
    unsafe { fast(&Product { accumulate: accumulate != 0, ..p }) }
}

/// The product in the order that is fastest for its size and for how many numbers of A are zero.
///
/// # Safety
/// As [`snn_matmul_fast`].
pub(super) unsafe fn fast(p: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        if p.m.saturating_mul(p.k).saturating_mul(p.n) < SMALL {
            ordered(p);
        } else if !events::product(p, std::ptr::null()) {
            dense(p);
        }
    }
}

/// The product in any order of sums.
///
/// # Safety
/// As [`snn_matmul_fast`].
pub(super) unsafe fn dense(p: &Product) {
    let alpha_beta = 1.0f32;
    // SAFETY: the caller's promise; `gemm` reads C only if told to.
    unsafe {
        gemm::gemm(
            p.m,
            p.n,
            p.k,
            p.c,
            p.c_cs,
            p.c_rs,
            p.accumulate,
            p.a,
            p.a_cs,
            p.a_rs,
            p.b,
            p.b_cs,
            p.b_rs,
            alpha_beta,
            alpha_beta,
            false,
            false,
            false,
            gemm::Parallelism::None,
        );
    }
}

/// The product in one order of sums: every output starts at C or 0.0 and adds `a * b`, k ascending, without fma.
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
    let p = Product::new((m, k, n), (a, a_rs, a_cs), (b, b_rs, b_cs), (c, c_rs));
    // SAFETY: the caller's promise.
    unsafe { ordered(&Product { accumulate: accumulate != 0, ..p }) }
}

/// The rows of a part.
pub(super) fn rows_of_part(rows: u64, part: u64, parts: u64) -> std::ops::Range<usize> {
    let step = rows.div_ceil(parts).next_multiple_of(16);
    (part * step).min(rows) as usize..((part + 1) * step).min(rows) as usize
}

/// A product to do: element (i, j) of a matrix is at `i * rs + j * cs`, or in a panel where there are some (see [`super::panels`]).
#[derive(Clone, Copy)]
pub(super) struct Product {
    pub m: usize,
    pub k: usize,
    pub n: usize,
    pub a: *const f32,
    pub a_rs: isize,
    pub a_cs: isize,
    pub b: *const f32,
    pub b_rs: isize,
    pub b_cs: isize,
    pub c: *mut f32,
    pub c_rs: isize,
    pub c_cs: isize,
    pub a_gap: usize,
    pub b_gap: usize,
    pub c_gap: usize,
    pub accumulate: bool,
}

impl Product {
    /// What generated code asks for, with adjacent columns of C that count as 0.
    pub fn new(
        (m, k, n): (u64, u64, u64),
        (a, a_rs, a_cs): (*const f32, i64, i64),
        (b, b_rs, b_cs): (*const f32, i64, i64),
        (c, c_rs): (*mut f32, i64),
    ) -> Product {
        Product {
            m: m as usize,
            k: k as usize,
            n: n as usize,
            a,
            a_rs: a_rs as isize,
            a_cs: a_cs as isize,
            b,
            b_rs: b_rs as isize,
            b_cs: b_cs as isize,
            c,
            c_rs: c_rs as isize,
            c_cs: 1,
            a_gap: PANEL,
            b_gap: PANEL,
            c_gap: PANEL,
            accumulate: false,
        }
    }

    /// The same sums with rows and columns of C exchanged: Cᵀ = Bᵀ Aᵀ. Multiplication commutes, so the bits stay.
    fn transposed(self) -> Product {
        Product {
            m: self.n,
            n: self.m,
            a: self.b,
            a_rs: self.b_cs,
            a_cs: self.b_rs,
            b: self.a,
            b_rs: self.a_cs,
            b_cs: self.a_rs,
            c_rs: self.c_cs,
            c_cs: self.c_rs,
            ..self
        }
    }
}

/// Sums in the strict order, with the widest vectors that the machine has.
///
/// # Safety
/// As [`snn_matmul_fast`].
pub(super) unsafe fn ordered(product: &Product) {
    let mut product = *product;
    if product.m == 0 || product.n == 0 {
        return;
    }
    // Lanes run over columns; a tall thin product has more to offer the other way round.
    if product.n < 4 && product.m > product.n {
        product = product.transposed();
    }
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature is there; the rest is the caller's promise.
            return unsafe { ordered_avx512(&product) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: the feature is there; the rest is the caller's promise.
            return unsafe { ordered_avx2(&product) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { tiles::<8>(&product) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
unsafe fn ordered_avx512(product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        match product.n {
            0..=8 => tiles::<8>(product),
            9..=16 => tiles::<16>(product),
            _ => tiles::<32>(product),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn ordered_avx2(product: &Product) {
    // SAFETY: the caller's promise.
    unsafe {
        match product.n {
            0..=8 => tiles::<8>(product),
            _ => tiles::<16>(product),
        }
    }
}

/// Rows of C that share each load of B.
const ROWS: usize = 4;
/// Steps of k for which a tile of B lies in the first-level cache.
const DEPTH: usize = 128;

/// Rows of A for which a piece of [`DEPTH`] columns lies in the second-level cache.
const BLOCK: usize = 256;

/// C in tiles of `NR` columns; k in pieces of [`DEPTH`], ascending, with C holding the sum in between.
///
/// # Safety
/// As [`snn_matmul_fast`].
#[inline(always)]
unsafe fn tiles<const NR: usize>(p: &Product) {
    let mut packed = [[0.0f32; NR]; DEPTH];
    let mut i0 = 0;
    while i0 < p.m {
        let i1 = p.m.min(i0 + BLOCK);
        let mut k0 = 0;
        loop {
            let depth = DEPTH.min(p.k - k0);
            let mut j0 = 0;
            while j0 < p.n {
                let width = NR.min(p.n - j0);
                // SAFETY: (k0, j0) … (k0 + depth - 1, j0 + width - 1) are elements of B; rows i0 … i1 - 1 exist.
                unsafe {
                    let b = p.b.offset(k0 as isize * p.b_rs + j0 as isize * p.b_cs);
                    let tile = if p.b_cs == 1 && width == NR && i1 - i0 < 2 * ROWS {
                        (b, p.b_rs)
                    } else {
                        pack(&mut packed, b, p.b_rs, p.b_cs, depth, width);
                        (packed.as_ptr().cast::<f32>(), NR as isize)
                    };
                    let mut i = i0;
                    while i + ROWS <= i1 {
                        rows::<ROWS, NR>(p, (i, k0, j0), tile, depth, width);
                        i += ROWS;
                    }
                    while i < i1 {
                        rows::<1, NR>(p, (i, k0, j0), tile, depth, width);
                        i += 1;
                    }
                }
                j0 += width;
            }
            k0 += depth;
            if k0 >= p.k {
                break;
            }
        }
        i0 = i1;
    }
}

/// Copies a tile of B to adjacent rows of NR columns. Columns beyond `width` keep what they had: their sums are not stored.
///
/// # Safety
/// `b` covers `depth` × `width` elements.
#[inline(always)]
unsafe fn pack<const NR: usize>(
    packed: &mut [[f32; NR]; DEPTH],
    b: *const f32,
    b_rs: isize,
    b_cs: isize,
    depth: usize,
    width: usize,
) {
    // SAFETY: indices stay below `depth` and `width`.
    unsafe {
        if b_cs == 1 && width == NR {
            for (l, row) in packed[..depth].iter_mut().enumerate() {
                *row = *b.offset(l as isize * b_rs).cast::<[f32; NR]>();
            }
        } else if b_rs == 1 {
            for j in 0..width {
                let column = b.offset(j as isize * b_cs);
                for (l, row) in packed[..depth].iter_mut().enumerate() {
                    row[j] = *column.add(l);
                }
            }
        } else {
            for (l, row) in packed[..depth].iter_mut().enumerate() {
                for (j, value) in row[..width].iter_mut().enumerate() {
                    *value = *b.offset(l as isize * b_rs + j as isize * b_cs);
                }
            }
        }
    }
}

/// `R` rows and `NR` columns of C, summed in registers over `depth` steps of k.
///
/// # Safety
/// Rows `i …` and columns `j0 …` of C and A exist; `tile` has `depth` rows of NR floats, `tile_rs` apart.
#[inline(always)]
unsafe fn rows<const R: usize, const NR: usize>(
    p: &Product,
    (i, k0, j0): (usize, usize, usize),
    (tile, tile_rs): (*const f32, isize),
    depth: usize,
    width: usize,
) {
    // SAFETY: the caller's promise covers every offset below.
    unsafe {
        let c = p.c.offset(i as isize * p.c_rs + j0 as isize * p.c_cs);
        let a = p.a.offset(i as isize * p.a_rs + k0 as isize * p.a_cs);
        let whole = width == NR && p.c_cs == 1;
        let mut acc = [[0.0f32; NR]; R];
        if p.accumulate || k0 > 0 {
            for (r, acc) in acc.iter_mut().enumerate() {
                let row = c.offset(r as isize * p.c_rs);
                if whole {
                    *acc = *row.cast::<[f32; NR]>();
                } else {
                    for (j, acc) in acc[..width].iter_mut().enumerate() {
                        *acc = *row.offset(j as isize * p.c_cs);
                    }
                }
            }
        }
        for l in 0..depth as isize {
            let b = *tile.offset(l * tile_rs).cast::<[f32; NR]>();
            for (r, acc) in acc.iter_mut().enumerate() {
                let a = *a.offset(r as isize * p.a_rs + l * p.a_cs);
                for j in 0..NR {
                    acc[j] += a * b[j];
                }
            }
        }
        for (r, acc) in acc.iter().enumerate() {
            let row = c.offset(r as isize * p.c_rs);
            if whole {
                *row.cast::<[f32; NR]>() = *acc;
            } else {
                for (j, acc) in acc[..width].iter().enumerate() {
                    *row.offset(j as isize * p.c_cs) = *acc;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::reference;
    use crate::rng;

    /// Layouts of A and B: rows adjacent, columns adjacent, rows with gaps.
    fn strides(rows: usize, columns: usize, layout: usize) -> (usize, usize, usize) {
        match layout {
            0 => (columns, 1, rows * columns),
            1 => (1, rows, rows * columns),
            _ => (columns + 3, 1, rows * (columns + 3)),
        }
    }

    fn random(len: usize, stream: u64) -> Vec<f32> {
        let mut values = vec![0.0; len];
        rng::gaussian_row(&mut values, 1, stream, 0, 0);
        values
    }

    /// Runs `kernel` and the reference; gives both results.
    fn both(
        kernel: MatmulFn,
        size: (usize, usize, usize),
        layouts: (usize, usize),
        acc: bool,
    ) -> [Vec<f32>; 2] {
        let (m, k, n) = size;
        let (a_rs, a_cs, a_len) = strides(m, k, layouts.0);
        let (b_rs, b_cs, b_len) = strides(k, n, layouts.1);
        let c_rs = n + layouts.0;
        let (a, b, before) = (random(a_len, 1), random(b_len, 2), random(m * c_rs, 3));
        let mut expected = before.clone();
        reference::matmul(size, (&a, a_rs, a_cs), (&b, b_rs, b_cs), (&mut expected, c_rs), acc);
        let mut got = before;
        // SAFETY: the slices have the lengths that sizes and strides say.
        unsafe {
            kernel(
                m as u64,
                k as u64,
                n as u64,
                a.as_ptr(),
                a_rs as i64,
                a_cs as i64,
                b.as_ptr(),
                b_rs as i64,
                b_cs as i64,
                got.as_mut_ptr(),
                c_rs as i64,
                u64::from(acc),
            );
        }
        [got, expected]
    }

    fn for_all_shapes(check: impl Fn((usize, usize, usize), (usize, usize), bool)) {
        const SIZES: [usize; 6] = [0, 1, 3, 4, 17, 64];
        for m in SIZES {
            for k in SIZES {
                for n in SIZES {
                    for layouts in [(0, 0), (0, 1), (1, 0), (1, 1), (2, 2)] {
                        check((m, k, n), layouts, false);
                        check((m, k, n), layouts, true);
                    }
                }
            }
        }
        check((5, 300, 33), (0, 0), true);
        check((129, 130, 10), (1, 0), false);
        check((200, 257, 1), (0, 0), true);
        check((300, 200, 5), (0, 0), false);
    }

    #[test]
    fn strict_has_the_bits_of_the_reference() {
        for_all_shapes(|size, layouts, acc| {
            let [got, expected] = both(snn_matmul_strict, size, layouts, acc);
            assert!(
                got.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits()),
                "{size:?} {layouts:?} {acc}"
            );
        });
    }

    #[test]
    fn fast_is_close_to_the_reference() {
        for_all_shapes(|size, layouts, acc| {
            let [got, expected] = both(snn_matmul_fast, size, layouts, acc);
            let worst = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(worst < 1e-4, "{size:?} {layouts:?} {acc}: {worst}");
        });
    }

    #[test]
    fn every_vector_width_has_the_same_bits() {
        let (m, k, n) = (7, 150, 37);
        let (a, b, before) = (random(m * k, 1), random(k * n, 2), random(m * n, 3));
        let run = |tiles: unsafe fn(&Product)| {
            let mut c = before.clone();
            let p = Product::new(
                (m as u64, k as u64, n as u64),
                (a.as_ptr(), k as i64, 1),
                (b.as_ptr(), n as i64, 1),
                (c.as_mut_ptr(), n as i64),
            );
            // SAFETY: the slices have the lengths that sizes and strides say.
            unsafe { tiles(&Product { accumulate: true, ..p }) };
            c
        };
        let narrow = run(tiles::<8>);
        assert_eq!(narrow, run(tiles::<16>));
        assert_eq!(narrow, run(tiles::<32>));
        assert_eq!(narrow, run(ordered));
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx2") {
                assert_eq!(narrow, run(ordered_avx2));
            }
            if is_x86_feature_detected!("avx512f") {
                assert_eq!(narrow, run(ordered_avx512));
            }
        }
    }

    #[test]
    fn an_output_that_is_not_accumulated_may_hold_anything() {
        for kernel in [snn_matmul_fast as MatmulFn, snn_matmul_strict] {
            for (m, k) in [(1u64, 0u64), (2, 3), (64, 64)] {
                let (a, b) = (vec![1.0f32; (m * k) as usize], vec![1.0f32; (k * 64) as usize]);
                let mut c = vec![f32::NAN; (m * 64) as usize];
                // SAFETY: the slices have the lengths that sizes and strides say.
                unsafe {
                    kernel(m, k, 64, a.as_ptr(), k as i64, 1, b.as_ptr(), 64, 1, c.as_mut_ptr(), 64, 0)
                };
                assert!(c.iter().all(|&x| x == k as f32));
            }
        }
    }
}
