//! Functions that generated code calls by name. None panics, none allocates but what the matrix library keeps for itself.

pub mod matmul;
pub mod random;

use crate::math;

extern "C" fn snn_sin(x: f32) -> f32 {
    math::sin(x)
}
extern "C" fn snn_cos(x: f32) -> f32 {
    math::cos(x)
}
extern "C" fn snn_arctan(x: f32) -> f32 {
    math::arctan(x)
}
extern "C" fn snn_pow(x: f32, y: f32) -> f32 {
    math::pow(x, y)
}

/// Names and addresses. `strict`: matrix products add in ascending order, without fused multiply-add.
pub fn symbols(strict: bool) -> Vec<(&'static str, *const u8)> {
    let product = if strict { matmul::snn_matmul_strict } else { matmul::snn_matmul_fast };
    vec![
        ("snn_matmul", product as *const u8),
        ("snn_uniform_row", random::snn_uniform_row as *const u8),
        ("snn_gaussian_row", random::snn_gaussian_row as *const u8),
        ("snn_sin", snn_sin as *const u8),
        ("snn_cos", snn_cos as *const u8),
        ("snn_arctan", snn_arctan as *const u8),
        ("snn_pow", snn_pow as *const u8),
    ]
}
