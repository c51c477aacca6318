//! The standard library: texts of `stdlib/*.snn`, part of the compiler. `x_y.snn` is a part of module `x`.

/// Module name (`neuron` is used as `std.neuron`) and text.
pub const MODULES: &[(&str, &str)] = &[
    ("neuron", include_str!("../../stdlib/neuron.snn")),
    ("reset", include_str!("../../stdlib/reset.snn")),
    ("surrogate", include_str!("../../stdlib/surrogate.snn")),
    ("encode", include_str!("../../stdlib/encode.snn")),
    (
        "init",
        concat!(
            include_str!("../../stdlib/init.snn"),
            include_str!("../../stdlib/init_structure.snn"),
            include_str!("../../stdlib/init_kernels.snn"),
            include_str!("../../stdlib/init_spiking.snn"),
            include_str!("../../stdlib/init_stored.snn")
        ),
    ),
    ("special", include_str!("../../stdlib/special.snn")),
    ("loss", include_str!("../../stdlib/loss.snn")),
    ("measure", include_str!("../../stdlib/measure.snn")),
    ("ei", include_str!("../../stdlib/ei.snn")),
    ("elm", include_str!("../../stdlib/elm.snn")),
    ("wave", include_str!("../../stdlib/wave.snn")),
    ("langevin", include_str!("../../stdlib/langevin.snn")),
    ("lora", include_str!("../../stdlib/lora.snn")),
    ("optim", include_str!("../../stdlib/optim.snn")),
];
