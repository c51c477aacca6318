//! Elements in the order of others, for generated code: what the distance of two distributions (Wasserstein) is made of.

/// `(values, keys, dst, n)`.
pub type ArrangeFn = unsafe extern "C" fn(*const f32, *const f32, *mut f32, u64);

/// [`arrange`] for generated code.
///
/// # Safety
/// `values` and `keys` are valid for `n` floats, `dst` for `n` floats that nobody else uses.
pub unsafe extern "C" fn snn_arrange(values: *const f32, keys: *const f32, dst: *mut f32, n: u64) {
    if n == 0 {
        return;
    }
    // SAFETY: the caller's promise.
    let (values, keys, dst) = unsafe {
        let n = n as usize;
        (
            std::slice::from_raw_parts(values, n),
            std::slice::from_raw_parts(keys, n),
            std::slice::from_raw_parts_mut(dst, n),
        )
    };
    arrange(values, keys, dst);
}

/// Where `keys` has its k-th smallest element, `dst` gets the k-th smallest of `values`; equal keys count in their order.
pub fn arrange(values: &[f32], keys: &[f32], dst: &mut [f32]) {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let mut order: Vec<usize> = (0..keys.len()).collect();
    order.sort_unstable_by(|a, b| keys[*a].total_cmp(&keys[*b]).then(a.cmp(b)));
    for (value, at) in sorted.into_iter().zip(order) {
        dst[at] = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_take_the_order_of_the_keys() {
        let mut dst = [0.0; 5];
        arrange(&[3.0, 1.0, 5.0, 4.0, 2.0], &[0.5, -1.0, 0.5, 9.0, 0.0], &mut dst);
        assert_eq!(dst, [3.0, 1.0, 4.0, 5.0, 2.0]);
        // SAFETY: three arrays of five.
        unsafe { snn_arrange([3.0; 5].as_ptr(), [1.0; 5].as_ptr(), dst.as_mut_ptr(), 5) };
        assert_eq!(dst, [3.0; 5]);
    }
}
