//! What is refused before the grammar runs: characters no program holds, broken strings, nesting, endless chains.
//!
//! Parsing and every later pass recurse over the tree. Its height is at most the number of brackets around a place
//! plus the operators of the expressions that are open there; both are bounded here, by counting tokens, so that
//! nothing later can overflow the stack. The count may be too high (it does not know where a statement ends
//! in every case), never too low.

use super::Part;
use super::scan::{Kind, Token};
use crate::diag::{Code, Diagnostics};

/// Deepest nesting of brackets, prefix operators and `^` together.
pub(super) const NESTING_MAX: usize = 128;
/// Most operators of one expression, together with those of the expressions around it.
pub(super) const OPERATORS_MAX: usize = 1000;
/// Most tokens of one declaration.
pub(super) const TOKENS_MAX: usize = 1_000_000;

/// Whether the grammar may see this declaration; if not, the reason is reported.
pub(super) fn check(part: &Part, diags: &mut Diagnostics) -> bool {
    if let Some(token) = part.tokens.iter().find(|t| broken(t.kind)) {
        report_broken(part, token, diags);
        return false;
    }
    if part.tokens.len() > TOKENS_MAX {
        let title = format!("this declaration has more than {TOKENS_MAX} words and signs");
        diags
            .report(Code::E0106, part.span(&part.tokens[0]), title)
            .help("keep long tables of numbers in a data file");
        return false;
    }
    let mut levels = Levels::default();
    for (at, token) in part.tokens.iter().enumerate() {
        levels.step(part, at);
        if levels.nesting > NESTING_MAX {
            diags
                .report(Code::E0105, part.span(token), format!("nested more than {NESTING_MAX} deep"))
                .at("this is too deep")
                .help("name the inner part: `let a = …`");
            return false;
        }
        if levels.operators > OPERATORS_MAX {
            let title = format!("an expression with more than {OPERATORS_MAX} operators");
            diags
                .report(Code::E0106, part.span(token), title)
                .at("too many up to here")
                .help("name parts of it: `let a = …`, or compute over an axis: `sum(x)`");
            return false;
        }
    }
    true
}

fn broken(kind: Kind) -> bool {
    matches!(kind, Kind::OpenStr | Kind::BadStr | Kind::Unknown)
}

fn report_broken(part: &Part, token: &Token, diags: &mut Diagnostics) {
    let (span, word) = (part.span(token), part.word(token));
    match token.kind {
        Kind::OpenStr => {
            diags
                .report(Code::E0103, span, "this string does not end on its line")
                .at("begins here")
                .help("end it with `\"`");
        }
        Kind::BadStr => {
            diags
                .report(Code::E0103, span, "`\\` in a string stands only before `\"` and `\\`")
                .help("write `\\\\` for one `\\`");
        }
        _ => {
            let c = word.chars().next().unwrap_or(' ');
            let shown = if c.is_control() || c.is_whitespace() || is_invisible(c) {
                format!("the character U+{:04X}", u32::from(c))
            } else {
                format!("`{c}`")
            };
            let report = diags.report(Code::E0108, span, format!("{shown} is not part of the language"));
            if let Some(help) = replacement(c) {
                report.help(help);
            }
        }
    }
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}')
}

/// What to type in place of a character that people write.
fn replacement(c: char) -> Option<&'static str> {
    Some(match c {
        '\u{d7}' | '\u{b7}' | '\u{22c5}' => "the product is written `*`",
        '÷' => "the quotient is written `/`",
        '\u{2212}' | '\u{2013}' | '\u{2014}' => "minus is written `-`",
        '≤' => "write `<=`",
        '≥' => "write `>=`",
        '≠' => "write `!=`",
        '→' => "write `->`",
        '\u{2019}' | '\u{2032}' | '\u{2018}' | '`' => "the derivative is written with `'`: `v' = …`",
        '\u{201c}' | '\u{201d}' | '\u{201e}' => "strings stand in `\"`",
        '\u{b5}' | '\u{3bc}' => "the prefix micro is written `u`: `us`, `um`",
        '\u{3a9}' | '\u{2126}' => "the unit is written `Ohm`",
        'τ' | 'θ' | 'α' | 'β' | 'σ' | 'π' => "Greek letters are written out: `tau`, `theta`, `pi`",
        '#' => "comments begin with `//`",
        '\\' => "an expression may go on in the next line without a sign",
        c if c.is_whitespace() => "replace it by a space",
        c if c.is_alphabetic() => "names have letters `A` to `Z`, `a` to `z`, digits and `_`",
        _ => return None,
    })
}

/// Counts at the current token.
#[derive(Default)]
struct Levels {
    /// For each open bracket the chain and the operators before it.
    outer: Vec<(usize, usize)>,
    /// Prefix operators and `^` since the last operator that binds less.
    chain: usize,
    /// Operators of the current expression.
    count: usize,
    nesting: usize,
    operators: usize,
}

impl Levels {
    fn step(&mut self, part: &Part, at: usize) {
        let token = &part.tokens[at];
        let word = part.word(token);
        match token.kind {
            Kind::Open => {
                self.outer.push((self.chain, self.count));
                self.nesting += 1;
                self.operators += 1;
                (self.chain, self.count) = (0, 0);
            }
            Kind::Close => {
                self.clear();
                if let Some((chain, count)) = self.outer.pop() {
                    self.nesting -= 1;
                    self.operators -= 1;
                    (self.chain, self.count) = (chain, count);
                }
            }
            Kind::Op => self.sign(word, at.checked_sub(1).is_some_and(|b| ends_operand(part, b))),
            Kind::Word if matches!(word, "and" | "or" | "not") => self.sign(word, word != "not"),
            Kind::Word | Kind::Number | Kind::Str => {
                // Two operands next to each other: a new statement, unless the second may be a unit.
                let starts = at > 0 && ends_operand(part, at - 1) && part.tokens[at - 1].kind != Kind::Number;
                if starts {
                    self.clear();
                }
            }
            Kind::OpenStr | Kind::BadStr | Kind::Unknown => {}
        }
    }

    fn sign(&mut self, word: &str, after_operand: bool) {
        match word {
            "," | ";" | "=" | ":" | "->" => return self.clear(),
            "." | "'" | "%" | ".." => return,
            "^" | "not" => self.nest(),
            _ if !after_operand => self.nest(),
            _ => {
                self.nesting -= self.chain;
                self.chain = 0;
            }
        }
        self.count += 1;
        self.operators += 1;
    }

    fn nest(&mut self) {
        self.chain += 1;
        self.nesting += 1;
    }

    /// A new expression begins at this level.
    fn clear(&mut self) {
        self.nesting -= self.chain;
        self.operators -= self.count;
        (self.chain, self.count) = (0, 0);
    }
}

fn ends_operand(part: &Part, at: usize) -> bool {
    let token = &part.tokens[at];
    match token.kind {
        Kind::Word => !matches!(part.word(token), "and" | "or" | "not"),
        Kind::Number | Kind::Str | Kind::Close => true,
        _ => part.word(token) == "%",
    }
}
