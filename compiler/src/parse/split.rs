//! Tokens to declarations, so that one broken declaration does not hide the others.
//!
//! A declaration begins at depth 0 with a keyword and what must follow it (`neuron Lif(`): no expression has two words
//! next to each other, so valid programs are never cut in the wrong place. At the start of a line two words after
//! a complete statement are enough, so that a misspelled keyword is a declaration too. If a bracket is never
//! closed, depth says nothing, and from there on only lines without indentation begin declarations.

use std::ops::Range;

use super::scan::{Kind, Scan, Token};

/// Words that begin a declaration.
pub(super) const KEYWORDS: [&str; 15] = [
    "use",
    "param",
    "neuron",
    "reset",
    "surrogate",
    "fn",
    "circuit",
    "model",
    "init",
    "optimizer",
    "data",
    "train",
    "evaluate",
    "simulate",
    "test",
];

/// Words that stand between two words of one statement.
const JOINING: [&str; 9] = ["on", "for", "with", "and", "or", "not", "of", "within", "in"];

/// The tokens of each declaration; together all tokens.
pub(super) fn items(scan: &Scan, text: &str) -> Vec<Range<usize>> {
    let splitter = Splitter { tokens: &scan.tokens, text };
    let mut starts = Vec::new();
    if let Some(open) = splitter.starts(0, false, &mut starts) {
        while starts.last().is_some_and(|&start| start > open) {
            starts.pop();
        }
        let from = starts.pop().unwrap_or(0);
        splitter.starts(from, true, &mut starts);
    }
    ranges(&starts, scan.tokens.len())
}

/// The brackets that are open.
#[derive(Default)]
pub(super) struct Brackets {
    /// Token and character, outermost first.
    pub stack: Vec<(usize, u8)>,
    braces: usize,
}

impl Brackets {
    /// Goes over one token. A bracket that closes nothing changes nothing; parentheses do not reach beyond their
    /// block, so that `}` closes those that were forgotten inside.
    pub fn step(&mut self, at: usize, word: &str) {
        let wanted = match word {
            "(" | "[" | "{" => {
                self.braces += usize::from(word == "{");
                self.stack.push((at, word.as_bytes()[0]));
                return;
            }
            ")" => b'(',
            "]" => b'[',
            "}" if self.braces > 0 => b'{',
            _ => return,
        };
        while let Some(&(_, top)) = self.stack.last() {
            if top != wanted && wanted != b'{' {
                return;
            }
            self.stack.pop();
            if top == wanted {
                self.braces -= usize::from(wanted == b'{');
                return;
            }
        }
    }
}

/// The parts of a broken declaration, cut where a line without indentation begins one: a bracket that was forgotten
/// may have been closed by one that was too many.
pub(super) fn by_line(scan: &Scan, text: &str, range: &Range<usize>) -> Vec<Range<usize>> {
    let splitter = Splitter { tokens: &scan.tokens[..range.end], text };
    let mut starts = Vec::new();
    splitter.starts(range.start, true, &mut starts);
    ranges(&starts, range.end)
}

fn ranges(starts: &[usize], end: usize) -> Vec<Range<usize>> {
    let ends = starts.iter().skip(1).copied().chain([end]);
    starts.iter().zip(ends).map(|(&start, end)| start..end).collect()
}

struct Splitter<'a> {
    tokens: &'a [Token],
    text: &'a str,
}

impl<'a> Splitter<'a> {
    /// Adds the starts of declarations from token `from` (which is one) on. Gives the first bracket that is
    /// never closed. With `by_line`, a declaration at the start of a line closes all brackets.
    fn starts(&self, from: usize, by_line: bool, starts: &mut Vec<usize>) -> Option<usize> {
        let mut open = Brackets::default();
        for at in from..self.tokens.len() {
            let is_second = starts.last().is_some_and(|&s| s + 1 == at);
            let is_start = by_line && self.at_line_start(at) && self.has_shape(at)
                || open.stack.is_empty() && !is_second && self.is_start(at);
            if at == from || is_start {
                starts.push(at);
                open = Brackets::default();
            }
            open.step(at, self.word(at));
        }
        open.stack.first().map(|&(at, _)| at)
    }

    fn word(&self, at: usize) -> &'a str {
        self.tokens.get(at).map_or("", |t| &self.text[t.start as usize..t.end as usize])
    }

    fn kind(&self, at: usize) -> Option<Kind> {
        self.tokens.get(at).map(|t| t.kind)
    }

    fn at_line_start(&self, at: usize) -> bool {
        let start = self.tokens[at].start as usize;
        start == 0 || self.text.as_bytes()[start - 1] == b'\n'
    }

    fn is_start(&self, at: usize) -> bool {
        self.has_shape(at) || self.at_line_start(at) && self.ends_statement(at) && self.looks_declared(at)
    }

    /// Whether the token before may be the last of a declaration.
    fn ends_statement(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return true };
        match self.tokens[before].kind {
            Kind::Word => !JOINING.contains(&self.word(before)),
            Kind::Number | Kind::Str | Kind::OpenStr | Kind::BadStr | Kind::Close => true,
            _ => matches!(self.word(before), "%" | ";" | ","),
        }
    }

    /// A keyword, or a word (perhaps a misspelled keyword) before a name.
    fn looks_declared(&self, at: usize) -> bool {
        let word = self.word(at);
        self.kind(at) == Some(Kind::Word)
            && !JOINING.contains(&word)
            && (KEYWORDS.contains(&word) || matches!(self.kind(at + 1), Some(Kind::Word | Kind::Str)))
            && !JOINING.contains(&self.word(at + 1))
    }

    /// Whether a declaration and nothing else begins here.
    fn has_shape(&self, at: usize) -> bool {
        if self.kind(at) != Some(Kind::Word) {
            return false;
        }
        let named = self.kind(at + 1) == Some(Kind::Word);
        let after = self.word(at + 2);
        match self.word(at) {
            "test" => self.kind(at + 1) == Some(Kind::Str),
            "use" => named && after == ".",
            // With a scope it is a line of a neuron or circuit.
            "param" if after == ":" => {
                named && !matches!(self.word(at + 3), "layer" | "channel" | "neuron" | "[")
            }
            "param" => named && after == "=",
            "data" => named && after == "=",
            "fn" | "reset" => named && after == "(",
            "neuron" | "surrogate" | "circuit" | "model" | "init" | "optimizer" => {
                named && matches!(after, "(" | "{")
            }
            "train" | "evaluate" => named && matches!(after, "on" | "."),
            "simulate" => named && matches!(after, "on" | "for" | "("),
            _ => false,
        }
    }
}
