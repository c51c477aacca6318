//! Text to tokens and comments. Accepts every text; what is no token becomes `Kind::Unknown`.
//!
//! The tokens serve to find declarations, to limit nesting, to word messages and to place comments in formatted
//! text. The grammar reads the text itself; strings, comments and numbers mean the same here and there.

use crate::ast;
use crate::source::{FileId, Span};

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A name or keyword.
    Word,
    /// Digits, without a unit.
    Number,
    /// `"text"`
    Str,
    /// A string without its end on the line.
    OpenStr,
    /// A string with a `\` before another character than `"` and `\`.
    BadStr,
    /// `(`, `[`, `{`
    Open,
    /// `)`, `]`, `}`
    Close,
    /// Operators and punctuation.
    Op,
    /// A character that no program holds.
    Unknown,
}

/// A piece of text that belongs together.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub kind: Kind,
    pub start: u32,
    pub end: u32,
}

/// A `//` comment.
#[derive(Clone, Debug)]
pub(crate) struct Comment {
    pub start: u32,
    pub end: u32,
    pub own_line: bool,
    /// For a `///` on its own line: the text behind the slashes and one space.
    pub doc: Option<String>,
}

impl Comment {
    /// The comment as the tree holds it.
    pub fn to_ast(&self, file: FileId, text: &str) -> ast::Comment {
        ast::Comment {
            text: text[self.start as usize..self.end as usize].to_string(),
            span: Span { file, start: self.start, end: self.end },
            own_line: self.own_line,
        }
    }
}

/// All tokens and comments of a text, in order.
#[derive(Debug)]
pub(crate) struct Scan {
    pub tokens: Vec<Token>,
    pub comments: Vec<Comment>,
}

/// Cuts a text, which is shorter than 4 GiB, into tokens and comments.
pub(crate) fn scan(text: &str) -> Scan {
    let bytes = text.as_bytes();
    let mut res = Scan { tokens: Vec::new(), comments: Vec::new() };
    let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut own_line = true;
    while at < bytes.len() {
        let start = at;
        match bytes[at] {
            b'\n' => {
                own_line = true;
                at += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => {
                at += 1;
                continue;
            }
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at = bytes[at..].iter().position(|&b| b == b'\n').map_or(bytes.len(), |n| at + n);
                res.comments.push(comment(text, start, at, own_line));
                continue;
            }
            _ => {}
        }
        let (kind, length) = token(text, at);
        at += length;
        own_line = false;
        res.tokens.push(Token { kind, start: start as u32, end: at as u32 });
    }
    res
}

fn comment(text: &str, start: usize, end: usize, own_line: bool) -> Comment {
    let line = text[start..end].trim_end();
    let doc = line.strip_prefix("///").filter(|rest| own_line && !rest.starts_with('/'));
    let doc = doc.map(|rest| rest.strip_prefix(' ').unwrap_or(rest).to_string());
    Comment { start: start as u32, end: (start + line.len()) as u32, own_line, doc }
}

/// Kind and length of the token at `at`, which is neither white space nor a comment.
fn token(text: &str, at: usize) -> (Kind, usize) {
    let bytes = &text.as_bytes()[at..];
    let run = |pred: fn(u8) -> bool| bytes.iter().position(|&b| !pred(b)).unwrap_or(bytes.len());
    match bytes[0] {
        b'a'..=b'z' | b'A'..=b'Z' | b'_' => (Kind::Word, run(is_word)),
        b'0'..=b'9' => (Kind::Number, number(bytes)),
        b'"' => string(bytes),
        b'(' | b'[' | b'{' => (Kind::Open, 1),
        b')' | b']' | b'}' => (Kind::Close, 1),
        _ => match bytes.get(..2) {
            Some(b"==" | b"!=" | b"<=" | b">=" | b"->" | b".." | b".*") => (Kind::Op, 2),
            _ if b"=<>+-*/^.,:;'%!&|".contains(&bytes[0]) => (Kind::Op, 1),
            _ => (Kind::Unknown, text[at..].chars().next().map_or(1, char::len_utf8)),
        },
    }
}

/// Whether a byte may stand in a name.
pub(crate) fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Length of the number at the start.
fn number(bytes: &[u8]) -> usize {
    let digits = |from: usize| bytes[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let mut at = digits(0);
    if bytes.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if matches!(bytes.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        if at + 1 + sign <= bytes.len() && digits(at + 1 + sign) > 0 {
            at += 1 + sign + digits(at + 1 + sign);
        }
    }
    at
}

/// Kind and length of the string at the start.
fn string(bytes: &[u8]) -> (Kind, usize) {
    let mut at = 1;
    let mut kind = Kind::Str;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' => return (kind, at + 1),
            b'\n' => break,
            b'\\' => match bytes.get(at + 1) {
                Some(b'"' | b'\\') => at += 1,
                _ => kind = Kind::BadStr,
            },
            _ => {}
        }
        at += 1;
    }
    (Kind::OpenStr, at)
}
