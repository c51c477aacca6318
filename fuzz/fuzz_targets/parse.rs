//! Bytes to a tree, to canonical text, to the same tree and the same text.

#![no_main]

use libfuzzer_sys::fuzz_target;
use snn_compiler::ast::{File, print};
use snn_compiler::diag::{Diagnostics, render};
use snn_compiler::parse;
use snn_compiler::source::Sources;

fn parsed(text: &str) -> (File, Sources, Diagnostics) {
    let mut sources = Sources::new();
    let file = sources.add("fuzz.snn", text);
    let mut diags = Diagnostics::new();
    let tree = parse::file(&sources, file, &mut diags);
    (tree, sources, diags)
}

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (tree, sources, diags) = parsed(text);
    render::to_text(&diags, &sources, true);
    if diags.has_errors() {
        return;
    }
    let once = print::file(&tree, &sources);
    let (again, again_sources, diags) = parsed(&once);
    assert!(!diags.has_errors(), "formatted text is broken:\n{once}");
    assert_eq!(print::debug_tree(&tree), print::debug_tree(&again));
    assert_eq!(once, print::file(&again, &again_sources));
});
