//! Lines and blocks to text: indentation, blank lines, comments, and breaking of lines that are too long.
//!
//! The nodes come in the order of the source, so a cursor over its tokens tells which comments stand before, inside and
//! behind each of them. A comment's place is the number of tokens before it.

use super::node::{self, Before, Node, Seg};
use super::{INDENT, WIDTH, expr};
use crate::ast::{Comment, File, Item};
use crate::parse::{Token, scan};
use crate::source::Sources;

pub(super) fn file(ast: &File, sources: &Sources) -> String {
    let text = sources.text(ast.file);
    let tokens = scan(text).tokens;
    let places = ast.comments.iter().map(|c| tokens.partition_point(|t| t.start < c.span.start)).collect();
    let mut layout = Layout {
        text,
        tokens,
        comments: &ast.comments,
        places,
        next: 0,
        cursor: 0,
        depth: 0,
        trailing: Vec::new(),
        at_end: false,
        fresh: true,
        out: String::new(),
    };
    let mut was_single = false;
    for item in &ast.items {
        was_single = layout.item(item, was_single);
    }
    layout.rest();
    layout.out
}

struct Layout<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    comments: &'a [Comment],
    /// For each comment the number of tokens before it.
    places: Vec<usize>,
    /// The first comment that is not written.
    next: usize,
    /// The first token that is not written.
    cursor: usize,
    depth: usize,
    /// Comments that go to the end of the line that is written.
    trailing: Vec<usize>,
    /// All declarations are written.
    at_end: bool,
    /// Nothing stands above in this block, so no blank line is wanted.
    fresh: bool,
    out: String,
}

impl Before for Layout<'_> {
    fn before(&self, start: u32, back: usize) -> &str {
        let at = self.tokens.partition_point(|t| t.start < start);
        at.checked_sub(back).map_or("", |at| self.word(at))
    }
}

impl<'a> Layout<'a> {
    fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| &self.text[t.start as usize..t.end as usize])
    }

    /// Writes a declaration with its comments; whether it stands on one line without doc comment.
    fn item(&mut self, item: &Item, was_single: bool) -> bool {
        let node = node::item(item, self);
        self.cursor = self.tokens.partition_point(|t| t.start < item.span.start);
        let (first, last) = self.extent(&node);
        let is_single = item.doc.is_empty() && self.one_line(&node).is_some();
        let start = self.doc_start(item);
        let lead = self.comments.get(self.next).filter(|_| self.places[self.next] <= first);
        let lead = lead.map(|comment| comment.span.start);
        let is_close = was_single && is_single && !self.blank_before(lead.unwrap_or(start));
        if !self.out.is_empty() && !is_close {
            self.out.push('\n');
        }
        self.fresh = true;
        self.lead(first, first);
        if lead.is_some() && self.blank_before(start) {
            self.out.push('\n');
        }
        self.fresh = true;
        self.lead(first, last);
        for line in &item.doc {
            self.out.push_str(if line.is_empty() { "///" } else { "/// " });
            self.out.push_str(line);
            self.out.push('\n');
        }
        self.fresh = true;
        self.node(&node);
        self.fresh = false;
        is_single
    }

    /// Where a declaration begins, with its doc comment.
    fn doc_start(&self, item: &Item) -> u32 {
        if item.doc.is_empty() {
            return item.span.start;
        }
        let from = self.cursor.checked_sub(1).map_or(0, |at| self.tokens[at].end as usize);
        let head = self.text.get(from..item.span.start as usize).unwrap_or("");
        let mut at = from;
        for (n, line) in head.split_inclusive('\n').enumerate() {
            // The rest of the line of the declaration before is its trailing comment.
            if (n > 0 || from == 0) && line.trim_start().trim_start_matches('\u{feff}').starts_with("///") {
                return (at + line.len() - line.trim_start().len()) as u32;
            }
            at += line.len();
        }
        item.span.start
    }

    fn node(&mut self, node: &Node) {
        self.skip_separators();
        let (first, last) = self.extent(node);
        self.lead(first, last);
        self.blank(first);
        if let Some(line) = self.one_line(node) {
            self.indent();
            self.out.push_str(&line);
            self.cursor = match node {
                Node::Leaf { .. } => last + 1,
                Node::Block { .. } => self.close(last).map_or(last, |close| close + 1),
            };
            self.trail();
            return;
        }
        match node {
            Node::Leaf { segs, .. } => {
                self.indent();
                self.segs(segs, "");
                self.cursor = last + 1;
                self.trail();
            }
            Node::Block { head, body, .. } => self.block(head, body, last),
        }
    }

    fn block(&mut self, head: &[Seg], body: &[Node], open: usize) {
        self.indent();
        self.segs(head, " {");
        self.cursor = open + 1;
        self.trail();
        self.depth += 1;
        self.fresh = true;
        for one in body {
            self.node(one);
        }
        self.skip_separators();
        // Now at the closing brace.
        self.lead(self.cursor, self.cursor);
        self.depth -= 1;
        self.indent();
        self.out.push('}');
        self.cursor += 1;
        self.trail();
    }

    /// The first and last token of a line or of the head of a block, the brace included.
    fn extent(&self, node: &Node) -> (usize, usize) {
        let first = self.cursor;
        let last = match node {
            Node::Leaf { end, .. } => {
                let mut next = self.tokens.partition_point(|t| t.start < *end);
                while matches!(self.word(next), "]" | ")" | "," | ";") || self.is_stream(next) {
                    next += 1;
                }
                next.saturating_sub(1)
            }
            Node::Block { .. } => {
                (first..self.tokens.len()).find(|&at| self.word(at) == "{").unwrap_or(first)
            }
        };
        (first, last.max(first))
    }

    /// The word that ends `input x: [8] stream`, whose place the tree does not hold.
    fn is_stream(&self, at: usize) -> bool {
        at > 0
            && self.word(at) == "stream"
            && self.word(at - 1) == "]"
            && !matches!(self.word(at + 1), "->" | ".")
    }

    /// The partner of the brace at `open`.
    fn close(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        for at in open..self.tokens.len() {
            match self.word(at) {
                "{" => depth += 1,
                "}" if depth == 1 => return Some(at),
                "}" => depth -= 1,
                _ => {}
            }
        }
        None
    }

    fn skip_separators(&mut self) {
        while matches!(self.word(self.cursor), "," | ";") {
            self.cursor += 1;
        }
    }

    /// The node on one line, if it fits there and, for a block, was written so and holds no comment.
    fn one_line(&self, node: &Node) -> Option<String> {
        let mut line = String::new();
        match node {
            Node::Leaf { segs, .. } => segs.iter().for_each(|seg| node::flat(seg, &mut line)),
            Node::Block { head, body, .. } if body.is_empty() => {
                head.iter().for_each(|seg| node::flat(seg, &mut line));
                line.push_str(" {}");
                self.joined(node)?;
            }
            Node::Block { head, body, may_join: true } => {
                let [Node::Leaf { segs, .. }] = &body[..] else { return None };
                self.joined(node)?;
                head.iter().for_each(|seg| node::flat(seg, &mut line));
                line.push_str(" { ");
                segs.iter().for_each(|seg| node::flat(seg, &mut line));
                line.push_str(" }");
            }
            Node::Block { .. } => return None,
        }
        (INDENT * self.depth + line.chars().count() <= WIDTH).then_some(line)
    }

    /// Whether the braces of a block stand on one line, without a comment between them.
    fn joined(&self, node: &Node) -> Option<()> {
        let (_, open) = self.extent(node);
        let close = self.close(open)?;
        let between = &self.text[self.tokens[open].start as usize..self.tokens[close].start as usize];
        let empty = matches!(node, Node::Block { body, .. } if body.is_empty());
        let comment = self.places.partition_point(|&place| place <= open);
        let is_free = self.places.get(comment).is_none_or(|&place| place > close);
        (is_free && (empty || !between.contains('\n'))).then_some(())
    }

    /// Writes the comments before the token `last`. Those behind `first` stand inside of the node, which has no place
    /// for them: lines of their own go before it, the others to the end of its line.
    fn lead(&mut self, first: usize, last: usize) {
        while self.next < self.comments.len() && self.places[self.next] <= last {
            if self.comments[self.next].own_line || self.places[self.next] <= first {
                self.own_line(&self.comments[self.next]);
            } else {
                self.trailing.push(self.next);
            }
            self.next += 1;
        }
    }

    /// Ends a line with the comments that stood in it and behind it.
    fn trail(&mut self) {
        self.skip_separators();
        while self.next < self.comments.len()
            && self.places[self.next] <= self.cursor
            && !self.comments[self.next].own_line
        {
            self.trailing.push(self.next);
            self.next += 1;
        }
        for at in std::mem::take(&mut self.trailing) {
            self.out.push(' ');
            self.out.push_str(&self.comments[at].text);
        }
        self.out.push('\n');
        self.fresh = false;
    }

    /// The comments behind the last declaration.
    fn rest(&mut self) {
        let start = self.comments.get(self.next).map(|c| c.span.start);
        let is_apart = !self.out.is_empty() && start.is_some_and(|start| self.blank_before(start));
        if is_apart {
            self.out.push('\n');
        }
        self.fresh = true;
        self.at_end = true;
        self.lead(usize::MAX, usize::MAX);
    }

    fn own_line(&mut self, comment: &Comment) {
        if !self.fresh && self.blank_before(comment.span.start) {
            self.out.push('\n');
        }
        self.fresh = false;
        self.indent();
        let text = comment.text.as_str();
        // At the top of a file `///` would become the doc comment of what follows.
        let is_doc = self.depth == 0 && !self.at_end && text.starts_with("///") && !text.starts_with("////");
        self.out.push_str(if is_doc { &text[1..] } else { text });
        self.out.push('\n');
    }

    /// A blank line where there was one before the token `first`.
    fn blank(&mut self, first: usize) {
        let Some(token) = self.tokens.get(first) else { return };
        if !self.fresh && self.blank_before(token.start) {
            self.out.push('\n');
        }
    }

    /// Whether an empty line stands directly before a place of the source.
    fn blank_before(&self, start: u32) -> bool {
        let before = self.text.as_bytes().get(..start as usize).unwrap_or_default();
        let space = before.iter().rev().take_while(|b| b.is_ascii_whitespace());
        space.filter(|&&b| b == b'\n').count() > 1
    }

    fn indent(&mut self) {
        self.out.extend(std::iter::repeat_n(' ', INDENT * self.depth));
    }

    /// Writes the pieces of a line with `tail` behind them; if that is too long, the longest piece that can be
    /// broken is.
    fn segs(&mut self, segs: &[Seg], tail: &str) {
        let texts: Vec<String> = segs
            .iter()
            .map(|seg| {
                let mut text = String::new();
                node::flat(seg, &mut text);
                text
            })
            .collect();
        let indent = INDENT * self.depth;
        let width = indent + texts.iter().map(|t| t.chars().count()).sum::<usize>() + tail.len();
        let longest = (0..segs.len()).filter(|&at| breakable(&segs[at])).max_by_key(|&at| texts[at].len());
        for (at, (seg, text)) in segs.iter().zip(&texts).enumerate() {
            match seg {
                Seg::Expr(value) if width > WIDTH && longest == Some(at) => {
                    expr::broken(value, 0, indent, &mut self.out);
                }
                Seg::Params(params) if width > WIDTH && longest == Some(at) => {
                    let pad = " ".repeat(indent + INDENT);
                    self.out.push('(');
                    for param in *params {
                        self.out.push_str(&format!("\n{pad}{},", node::param(param)));
                    }
                    self.out.push('\n');
                    self.indent();
                    self.out.push(')');
                }
                _ => self.out.push_str(text),
            }
        }
        self.out.push_str(tail);
    }
}

fn breakable(seg: &Seg) -> bool {
    match seg {
        Seg::Text(_) => false,
        Seg::Expr(value) => expr::is_breakable(value),
        Seg::Params(params) => !params.is_empty(),
    }
}
