//! Text to syntax tree; the only code that knows pest. Resolves no names.
//!
//! A text is cut into tokens (`scan`), the tokens into declarations (`split`), each declaration is checked for what
//! a recursive parser must not see (`limits`) and then parsed by the grammar (`grammar/snn.pest`) and built
//! (`item`, `body`, `expr`). A declaration that is broken is reported once (`error`) and left out; the others are still
//! parsed. No text makes these functions panic or run for longer than a time proportional to its length.

mod body;
mod chain;
mod error;
mod expr;
mod hint;
mod item;
mod limits;
mod scan;
mod split;
#[cfg(test)]
mod tests;

use std::ops::Range;

use pest::Parser as _;

use crate::ast;
use crate::diag::{Code, Diagnostics};
use crate::source::{FileId, Sources, Span};
use grammar::{Rule, SnnParser};

pub(crate) use scan::{Scan, Token, scan};

/// Longest text that is parsed, in bytes.
pub const FILE_BYTES_MAX: usize = 16 << 20;

mod grammar {
    //! What pest makes of `grammar/snn.pest`.
    #![allow(missing_docs)]

    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/snn.pest"]
    pub struct SnnParser;
}

/// Parses one file. Always gives a tree: what could not be parsed is missing from it and reported.
pub fn file(sources: &Sources, file: FileId, diags: &mut Diagnostics) -> ast::File {
    let text = sources.text(file);
    let mut tree = ast::File { file, items: Vec::new(), comments: Vec::new() };
    if !fits(text, file, diags) {
        return tree;
    }
    let scan = scan(text);
    let mut items =
        Items { file, text, scan: &scan, comments: Vec::new(), next_comment: 0, end: 0, tree: &mut tree };
    for range in split::items(&scan, text) {
        items.declaration(range, diags);
    }
    items.doc(u32::MAX);
    let comments = items.comments;
    tree.comments = comments.into_iter().map(|at| scan.comments[at].to_ast(file, text)).collect();
    tree
}

/// The declarations of a file so far.
struct Items<'a> {
    file: FileId,
    text: &'a str,
    scan: &'a Scan,
    /// Those that are no doc comments.
    comments: Vec<usize>,
    next_comment: usize,
    /// End of the declaration before.
    end: u32,
    tree: &'a mut ast::File,
}

impl Items<'_> {
    fn declaration(&mut self, range: Range<usize>, diags: &mut Diagnostics) {
        let mut found = Diagnostics::new();
        if !self.parse(range.clone(), &mut found) {
            let parts = split::by_line(self.scan, self.text, &range);
            if parts.len() > 1 {
                found.list.clear();
                for part in parts {
                    self.parse(part, &mut found);
                }
            }
        }
        diags.list.append(&mut found.list);
    }

    /// Parses the tokens of one declaration; whether it is one.
    fn parse(&mut self, range: Range<usize>, diags: &mut Diagnostics) -> bool {
        let part = Part { file: self.file, text: self.text, tokens: &self.scan.tokens[range] };
        let (Some(first), Some(last)) = (part.tokens.first(), part.tokens.last()) else { return true };
        let Some((kind, span)) = one_item(&part, diags) else { return false };
        let doc = self.doc(first.start);
        self.end = last.end;
        self.tree.items.push(ast::Item { doc, kind, span });
        true
    }

    /// The doc comment of a declaration at `start`: the `///` lines since the end of the one before.
    fn doc(&mut self, start: u32) -> Vec<String> {
        let mut doc = Vec::new();
        while let Some(comment) = self.scan.comments.get(self.next_comment).filter(|c| c.start < start) {
            match &comment.doc {
                Some(line) if comment.start >= self.end && start < u32::MAX => doc.push(line.clone()),
                _ => self.comments.push(self.next_comment),
            }
            self.next_comment += 1;
        }
        doc
    }
}

/// Parses a text that is one expression, such as the value of `-p tau="5 ms"`.
pub fn expression(sources: &Sources, file: FileId, diags: &mut Diagnostics) -> Option<ast::Expr> {
    let text = sources.text(file);
    if !fits(text, file, diags) {
        return None;
    }
    let scan = scan(text);
    let part = Part { file, text, tokens: &scan.tokens };
    if scan.tokens.is_empty() {
        let span = Span { file, start: 0, end: text.len() as u32 };
        diags.report(Code::E0101, span, "expected an expression, found nothing");
        return None;
    }
    if !limits::check(&part, diags) {
        return None;
    }
    match SnnParser::parse(Rule::one_expr, part.slice()) {
        Ok(mut pairs) => {
            let mut builder = Builder { file, base: part.base(), tokens: part.tokens, diags, failed: false };
            let expr = builder.expr(pairs.next()?);
            (!builder.failed).then_some(expr)
        }
        Err(error) => {
            error::report(&part, &error, diags);
            None
        }
    }
}

fn fits(text: &str, file: FileId, diags: &mut Diagnostics) -> bool {
    if text.len() <= FILE_BYTES_MAX {
        return true;
    }
    let mib = |bytes: usize| bytes.div_ceil(1 << 20);
    let title = format!(
        "the file has {} MiB, more than the {} MiB that are read",
        mib(text.len()),
        mib(FILE_BYTES_MAX)
    );
    diags
        .report(Code::E0107, Span { file, start: 0, end: 0 }, title)
        .help("keep numbers in data files (`data d = std.data.npy(…)`) and programs in `.snn` files");
    false
}

/// Parses the tokens of one declaration.
fn one_item(part: &Part, diags: &mut Diagnostics) -> Option<(ast::ItemKind, Span)> {
    if !limits::check(part, diags) {
        return None;
    }
    match SnnParser::parse(Rule::one_item, part.slice()) {
        Ok(mut pairs) => {
            let mut builder =
                Builder { file: part.file, base: part.base(), tokens: part.tokens, diags, failed: false };
            let item = pairs.next()?;
            let span = builder.span(&item);
            let kind = builder.item(item);
            (!builder.failed).then_some((kind, span))
        }
        Err(error) => {
            error::report(part, &error, diags);
            None
        }
    }
}

/// The tokens of one declaration (or expression) and the text they are in.
struct Part<'a> {
    file: FileId,
    text: &'a str,
    /// At least one.
    tokens: &'a [Token],
}

impl<'a> Part<'a> {
    /// Position of the first byte.
    fn base(&self) -> u32 {
        self.tokens[0].start
    }

    /// From the first to the last token.
    fn slice(&self) -> &'a str {
        &self.text[self.base() as usize..self.tokens[self.tokens.len() - 1].end as usize]
    }

    fn word(&self, token: &Token) -> &'a str {
        &self.text[token.start as usize..token.end as usize]
    }

    fn span(&self, token: &Token) -> Span {
        Span { file: self.file, start: token.start, end: token.end }
    }
}

/// Makes the tree of what the grammar accepted.
struct Builder<'a> {
    file: FileId,
    base: u32,
    tokens: &'a [Token],
    diags: &'a mut Diagnostics,
    /// Something was reported; the tree is not to be used.
    failed: bool,
}
