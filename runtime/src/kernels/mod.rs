//! What generated code calls: products of matrices, convolutions, random rows, scalar functions; and the table of their names.
//!
//! All are `extern "C"`, allocate nothing that lasts, and never unwind. Pointers come from the memory plan: the caller
//! promises that they cover what the sizes and strides say and that an output overlaps nothing else.

pub mod arrange;
pub mod bits;
pub mod border;
pub mod conv;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod direct;
mod events;
pub mod functions;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod lanes;
pub mod laps;
pub mod matmul;
pub mod panels;
pub mod pool;
pub mod random;
pub mod reference;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod registers;
pub mod roofline;
pub mod shards;
pub mod spikes;
pub mod tiles;
mod vector;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code))]
mod winograd;

#[cfg(test)]
pub(crate) mod fixture;

use crate::math;

macro_rules! scalar_functions {
    ($($name:ident => $function:path, $doc:literal;)*) => {
        $(#[doc = $doc] pub extern "C" fn $name(x: f32) -> f32 { $function(x) })*
    };
}

scalar_functions! {
    snn_sin => math::sin, "[`math::sin`] for generated code.";
    snn_cos => math::cos, "[`math::cos`] for generated code.";
    snn_arctan => math::arctan, "[`math::arctan`] for generated code.";
    snn_erf => math::erf, "[`math::erf`] for generated code.";
}

/// [`math::pow`] for generated code.
pub extern "C" fn snn_pow(x: f32, y: f32) -> f32 {
    math::pow(x, y)
}

/// Names that generated code may import, and where they are. `strict`: the product of matrices with one fixed order of
/// sums on every machine; else the fastest one.
pub fn symbols(strict: bool) -> Vec<(&'static str, *const u8)> {
    let matmul: matmul::MatmulFn = if strict { matmul::snn_matmul_strict } else { matmul::snn_matmul_fast };
    let of_tiles: tiles::TiledFn =
        if strict { tiles::snn_matmul_tiled_strict } else { tiles::snn_matmul_tiled_fast };
    let of_spikes: spikes::SpikesFn =
        if strict { spikes::snn_matmul_spikes_strict } else { spikes::snn_matmul_spikes_fast };
    let of_shards: shards::ShardsFn =
        if strict { shards::snn_matmul_shards_strict } else { shards::snn_matmul_shards_fast };
    let of_each: shards::EachFn =
        if strict { shards::snn_matmul_each_strict } else { shards::snn_matmul_each_fast };
    let conv: conv::ConvFn = if strict { conv::snn_conv_strict } else { conv::snn_conv_fast };
    vec![
        ("snn_conv", conv as *const u8),
        ("snn_arrange", arrange::snn_arrange as arrange::ArrangeFn as *const u8),
        ("snn_pool", pool::snn_pool as pool::PoolFn as *const u8),
        ("snn_border", border::snn_border as border::BorderFn as *const u8),
        ("snn_matmul", matmul as *const u8),
        ("snn_matmul_tiled", of_tiles as *const u8),
        ("snn_matmul_spikes", of_spikes as *const u8),
        ("snn_matmul_shards", of_shards as *const u8),
        ("snn_matmul_each", of_each as *const u8),
        ("snn_turn_spikes", bits::snn_turn_spikes as bits::TurnFn as *const u8),
        ("snn_tile_columns", tiles::snn_tile_columns as tiles::TileFn as *const u8),
        ("snn_lap", laps::snn_lap as laps::LapFn as *const u8),
        ("snn_uniform_row", random::snn_uniform_row as random::RowFn as *const u8),
        ("snn_gaussian_row", random::snn_gaussian_row as random::RowFn as *const u8),
        ("snn_exp_each", functions::snn_exp_each as functions::FunctionFn as *const u8),
        ("snn_ln_each", functions::snn_ln_each as functions::FunctionFn as *const u8),
        ("snn_tanh_each", functions::snn_tanh_each as functions::FunctionFn as *const u8),
        ("snn_sigmoid_each", functions::snn_sigmoid_each as functions::FunctionFn as *const u8),
        ("snn_exprel_each", functions::snn_exprel_each as functions::FunctionFn as *const u8),
        ("snn_sin", snn_sin as *const u8),
        ("snn_cos", snn_cos as *const u8),
        ("snn_arctan", snn_arctan as *const u8),
        ("snn_erf", snn_erf as *const u8),
        ("snn_pow", snn_pow as *const u8),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn symbols_have_the_same_names_in_both_modes_and_differ_in_the_product() {
        let (fast, strict) = (symbols(false), symbols(true));
        assert!(
            fast.iter()
                .zip(&strict)
                .all(|(a, b)| a.0 == b.0
                    && (a.1 == b.1) != (a.0.starts_with("snn_matmul") || a.0 == "snn_conv"))
        );
        assert!(fast.iter().all(|(name, code)| name.starts_with("snn_") && !code.is_null()));
    }

    #[test]
    fn scalar_functions_are_those_of_math() {
        for x in [-3.0f32, -0.1, 0.4, 2.0] {
            assert_eq!(snn_cos(x).to_bits(), math::cos(x).to_bits());
            assert_eq!(snn_sin(x).to_bits(), math::sin(x).to_bits());
            assert_eq!(snn_pow(x, 3.0).to_bits(), math::pow(x, 3.0).to_bits());
        }
    }
}
