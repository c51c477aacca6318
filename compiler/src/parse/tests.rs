//! Tests of the parser: trees of all constructs, messages about broken programs, hostile texts. The printer has its
//! own tests.

mod errors;
mod hostile;
mod mutations;
mod trees;

use crate::ast;
use crate::ast::print;
use crate::diag::{Diagnostics, render};
use crate::source::Sources;

fn parsed(text: &str) -> (ast::File, Sources, Diagnostics) {
    let mut sources = Sources::new();
    let file = sources.add("a.snn", text);
    let mut diags = Diagnostics::new();
    let tree = super::file(&sources, file, &mut diags);
    (tree, sources, diags)
}

/// The tree of a text without errors.
#[track_caller]
fn check(text: &str, want: &str) {
    let (tree, sources, diags) = parsed(text);
    assert!(diags.list.is_empty(), "{}", render::to_text(&diags, &sources, false));
    assert_eq!(print::debug_tree(&tree).trim_end(), want.trim());
}

/// An expression as a list.
#[track_caller]
fn check_expr(text: &str, want: &str) {
    check(&format!("param a = {text}"), &format!("param a = {want}"));
}

/// Code, place and words of the only message.
#[track_caller]
fn check_error(text: &str, want: &str) {
    let found = errors(text);
    assert_eq!(found.join("\n"), want, "\n{}", rendered(text));
}

fn errors(text: &str) -> Vec<String> {
    let (_, sources, diags) = parsed(text);
    let line = |d: &crate::diag::Diagnostic| {
        let (line, column) = sources.line_column(d.primary.0);
        let helps: String = d.helps.iter().map(|h| format!(" | {h}")).collect();
        format!("{} {line}:{column} {}{helps}", d.code.name(), d.title)
    };
    diags.list.iter().map(line).collect()
}

fn rendered(text: &str) -> String {
    let (_, sources, diags) = parsed(text);
    render::to_text(&diags, &sources, false)
}
