//! Bytes through everything that reads programs: no panic, and a message for whatever is wrong.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snn_compiler::analyze::Overrides;
use snn_compiler::diag::{Diagnostics, render};
use snn_compiler::pipeline;
use snn_compiler::source::Sources;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(text) = std::str::from_utf8(bytes) {
        check(text);
    }
});

fn check(text: &str) {
    let mut sources = Sources::new();
    let file = sources.add("fuzz.snn", text);
    let mut diags = Diagnostics::new();
    pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
    render::to_text(&diags, &sources, false);
}
