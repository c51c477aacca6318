//! The five linear maps of the scheme F(4, 3): four results of three taps from six products (Winograd 1980; Lavin and Gray 2016,
//! "Fast algorithms for convolutional neural networks", with the points 0, 1, -1, 2, -2 and infinity). No images, no loops over them.
//!
//! With `V = Bᵀ d` of six rows of an image and `U = G g` of three taps, `Y = Aᵀ (U ∘ V)` are the four results `y_i = Σ_k g_k d_(i+k)`.
//! What results pass back to the taps is the transpose of that: `Gᵀ (V ∘ A dY)`.

use super::super::lanes::Lanes;

/// Products that make [`TALL`] results.
pub(super) const PRODUCTS: usize = 6;
/// Results of a tile.
pub(super) const TALL: usize = 4;
/// Taps.
pub(super) const TAPS: usize = 3;

/// `Bᵀ d`.
///
/// # Safety
/// The machine has the vectors, here and in the others.
#[inline(always)]
pub(super) unsafe fn of_image<V: Lanes>(d: [V; PRODUCTS]) -> [V; PRODUCTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, odd) = (d[2].times_add(-4.0, d[4]), d[1].times_add(-4.0, d[3]));
        let (second, third) = (d[4].sub(d[2]), d[3].sub(d[1]));
        [
            d[0].times_add(4.0, d[2].times_add(-5.0, d[4])),
            even.add(odd),
            even.sub(odd),
            third.times_add(2.0, second),
            third.times_add(-2.0, second),
            d[1].times_add(4.0, d[3].times_add(-5.0, d[5])),
        ]
    }
}

/// `G g`.
///
/// # Safety
/// As [`of_image`].
#[inline(always)]
pub(super) unsafe fn of_weights<V: Lanes>(g: [V; TAPS]) -> [V; PRODUCTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let zero = V::splat(0.0);
        let outer = g[0].add(g[2]).times_add(-1.0 / 6.0, zero);
        let uneven = g[0].times_add(1.0 / 24.0, g[2].times_add(1.0 / 6.0, zero));
        [
            g[0].times_add(0.25, zero),
            g[1].times_add(-1.0 / 6.0, outer),
            g[1].times_add(1.0 / 6.0, outer),
            g[1].times_add(1.0 / 12.0, uneven),
            g[1].times_add(-1.0 / 12.0, uneven),
            g[2],
        ]
    }
}

/// `Aᵀ m`.
///
/// # Safety
/// As [`of_image`].
#[inline(always)]
pub(super) unsafe fn of_products<V: Lanes>(m: [V; PRODUCTS]) -> [V; TALL] {
    // SAFETY: the caller's promise.
    unsafe {
        let (sum, difference) = (m[1].add(m[2]), m[1].sub(m[2]));
        let (second, third) = (m[3].add(m[4]), m[3].sub(m[4]));
        [
            m[0].add(sum).add(second),
            third.times_add(2.0, difference),
            second.times_add(4.0, sum),
            third.times_add(8.0, difference).add(m[5]),
        ]
    }
}

/// `A y`.
///
/// # Safety
/// As [`of_image`].
#[inline(always)]
pub(super) unsafe fn of_results<V: Lanes>(y: [V; TALL]) -> [V; PRODUCTS] {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, odd) = (y[0].add(y[2]), y[1].add(y[3]));
        let (second, third) = (y[2].times_add(4.0, y[0]), y[3].times_add(4.0, y[1]));
        [
            y[0],
            even.add(odd),
            even.sub(odd),
            third.times_add(2.0, second),
            third.times_add(-2.0, second),
            y[3],
        ]
    }
}

/// `Gᵀ u`.
///
/// # Safety
/// As [`of_image`].
#[inline(always)]
pub(super) unsafe fn to_weights<V: Lanes>(u: [V; PRODUCTS]) -> [V; TAPS] {
    // SAFETY: the caller's promise.
    unsafe {
        let (sum, difference) = (u[1].add(u[2]), u[2].sub(u[1]));
        let (second, third) = (u[3].add(u[4]), u[3].sub(u[4]));
        let sixth = sum.times_add(-1.0 / 6.0, V::splat(0.0));
        [
            u[0].times_add(0.25, second.times_add(1.0 / 24.0, sixth)),
            third.times_add(1.0 / 12.0, difference.times_add(1.0 / 6.0, V::splat(0.0))),
            second.times_add(1.0 / 6.0, sixth.add(u[5])),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // SAFETY: one number is a vector of one.
    unsafe impl Lanes for f32 {
        const LANES: usize = 1;
        type Mask = bool;

        unsafe fn mask(first: usize, end: usize) -> bool {
            first == 0 && end > 0
        }

        unsafe fn splat(x: f32) -> Self {
            x
        }

        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller's promise.
            unsafe { *from }
        }

        unsafe fn load_over(self, from: *const f32, mask: bool) -> Self {
            // SAFETY: the caller's promise.
            if mask { unsafe { *from } } else { self }
        }

        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller's promise.
            unsafe { *to = self }
        }

        unsafe fn store_masked(self, to: *mut f32, mask: bool) {
            if mask {
                // SAFETY: the caller's promise.
                unsafe { *to = self }
            }
        }

        unsafe fn add(self, b: Self) -> Self {
            self + b
        }

        unsafe fn sub(self, b: Self) -> Self {
            self - b
        }

        unsafe fn times_add(self, factor: f32, b: Self) -> Self {
            factor.mul_add(self, b)
        }
    }

    /// Row `i` of unit matrices.
    fn unit<const N: usize>(i: usize) -> [f32; N] {
        std::array::from_fn(|j| if i == j { 1.0 } else { 0.0 })
    }

    #[test]
    fn products_of_transforms_are_the_convolution() {
        for (k, l) in (0..TAPS).flat_map(|k| (0..PRODUCTS).map(move |l| (k, l))) {
            // SAFETY: vectors of one number.
            let y = unsafe {
                let (u, v) = (of_weights::<f32>(unit(k)), of_image::<f32>(unit(l)));
                of_products(std::array::from_fn(|xi| u[xi] * v[xi]))
            };
            for (i, y) in y.iter().enumerate() {
                let expected = if i + k == l { 1.0 } else { 0.0 };
                assert!((y - expected).abs() < 1e-6, "result {i} of tap {k} and row {l}: {y}");
            }
        }
    }

    #[test]
    fn the_way_back_is_the_transpose() {
        for (xi, i) in (0..PRODUCTS).flat_map(|xi| (0..TALL).map(move |i| (xi, i))) {
            // SAFETY: vectors of one number.
            let (back, there) = unsafe { (of_results::<f32>(unit(i))[xi], of_products::<f32>(unit(xi))[i]) };
            assert_eq!(back, there, "product {xi}, result {i}");
        }
        for (xi, k) in (0..PRODUCTS).flat_map(|xi| (0..TAPS).map(move |k| (xi, k))) {
            // SAFETY: vectors of one number.
            let (back, there) = unsafe { (to_weights::<f32>(unit(xi))[k], of_weights::<f32>(unit(k))[xi]) };
            assert!((back - there).abs() < 1e-8, "product {xi}, tap {k}: {back} {there}");
        }
    }
}
