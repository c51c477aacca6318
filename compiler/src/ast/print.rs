//! The canonical text of a syntax tree, as `snnc fmt` prints it, and the tree itself as text.
//!
//! Parsing the canonical text gives the same tree up to spans, and printing that gives the same text. All comments are
//! kept: those on a line of their own stand before what follows, the others at the end of the line of what they
//! followed. `node` turns the tree into lines and blocks, `layout` writes those with comments and blank lines,
//! `expr` writes expressions, `tree` is the debugging view.

mod expr;
mod layout;
mod node;
#[cfg(test)]
mod tests;
mod tree;

use super::{Expr, File};
use crate::source::Sources;

/// Most columns of a line where it can be broken.
const WIDTH: usize = 100;
/// Columns of one level.
const INDENT: usize = 4;

/// The canonical text of a file. `sources` must hold the text it was parsed from: comments, blank lines and
/// whether a short body stands on one line are found there.
pub fn file(ast: &File, sources: &Sources) -> String {
    layout::file(ast, sources)
}

/// An expression on one line, with as few parentheses as possible.
pub fn expr(expr: &Expr) -> String {
    let mut res = String::new();
    expr::flat(expr, 0, &mut res);
    res
}

/// The tree as indented lines, without positions; the same for texts that differ only in layout.
pub fn debug_tree(ast: &File) -> String {
    tree::file(ast)
}
