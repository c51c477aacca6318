//! The standard library: texts of `stdlib/*.snn`, part of the compiler.

/// Module name (`neuron` is used as `std.neuron`) and text.
pub const MODULES: &[(&str, &str)] = &[
    ("neuron", include_str!("../../stdlib/neuron.snn")),
    ("reset", include_str!("../../stdlib/reset.snn")),
    ("surrogate", include_str!("../../stdlib/surrogate.snn")),
    ("encode", include_str!("../../stdlib/encode.snn")),
    ("init", include_str!("../../stdlib/init.snn")),
    ("loss", include_str!("../../stdlib/loss.snn")),
    ("ei", include_str!("../../stdlib/ei.snn")),
    ("elm", include_str!("../../stdlib/elm.snn")),
    ("optim", include_str!("../../stdlib/optim.snn")),
];
