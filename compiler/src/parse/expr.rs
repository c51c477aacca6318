//! Expressions: pairs of the grammar to trees. Precedence is applied with two stacks, not by recursion.

use pest::iterators::Pair;

use super::Builder;
use super::grammar::Rule;
use crate::ast::{Arg, BinaryOp, Expr, ExprKind, Ident, Path, UnaryOp};
use crate::diag::Code;
use crate::source::Span;

/// An operator that waits for its right operand.
#[derive(Clone, Copy)]
enum Waiting {
    Prefix(UnaryOp, Span),
    Infix(BinaryOp, Span),
}

impl Waiting {
    fn precedence(self) -> u8 {
        match self {
            Waiting::Prefix(op, _) => op.precedence(),
            Waiting::Infix(op, _) => op.precedence(),
        }
    }
}

impl Builder<'_> {
    /// The place of a pair in its file, without the white space and comments that pest counts in where an optional
    /// last part is missing.
    pub(super) fn span(&self, pair: &Pair<Rule>) -> Span {
        let span = pair.as_span();
        let (start, end) = (self.base + span.start() as u32, self.base + span.end() as u32);
        let last =
            self.tokens.partition_point(|t| t.start < end).checked_sub(1).map(|at| self.tokens[at].end);
        Span { file: self.file, start, end: last.map_or(end, |last| last.min(end)).max(start) }
    }

    pub(super) fn ident(&self, pair: &Pair<Rule>) -> Ident {
        Ident { text: pair.as_str().to_string(), span: self.span(pair) }
    }

    pub(super) fn path(&self, pair: &Pair<Rule>) -> Path {
        let span = self.span(pair);
        let mut start = span.start;
        let segments = pair.as_str().split('.').map(|text| {
            let end = start + text.len() as u32;
            let ident = Ident { text: text.to_string(), span: Span { start, end, ..span } };
            start = end + 1;
            ident
        });
        Path { segments: segments.collect(), span }
    }

    /// `expr` and `bound`.
    pub(super) fn expr(&mut self, pair: Pair<Rule>) -> Expr {
        let mut operands = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        for part in pair.into_inner() {
            let span = self.span(&part);
            match part.as_rule() {
                Rule::prefix => {
                    let op = if part.as_str() == "-" { UnaryOp::Neg } else { UnaryOp::Not };
                    self.check_not(op, span, waiting.last());
                    waiting.push(Waiting::Prefix(op, span));
                }
                Rule::infix | Rule::bound_infix => {
                    let op = infix(part.as_str());
                    self.reduce(&mut operands, &mut waiting, op, span);
                    waiting.push(Waiting::Infix(op, span));
                }
                _ => {
                    let operand = self.primary(part);
                    operands.push(operand);
                }
            }
        }
        while let Some(op) = waiting.pop() {
            apply(&mut operands, op);
        }
        operands.pop().expect("the grammar gives at least one operand")
    }

    /// `not` binds looser than what stands before it.
    fn check_not(&mut self, op: UnaryOp, span: Span, before: Option<&Waiting>) {
        let Some(before) = before.filter(|b| op == UnaryOp::Not && b.precedence() > op.precedence()) else {
            return;
        };
        let (Waiting::Prefix(_, place) | Waiting::Infix(_, place)) = *before;
        self.failed = true;
        self.diags
            .report(Code::E0101, span, "`not` after an operator needs parentheses")
            .label(place, "this operator binds tighter")
            .help("write `(not …)`");
    }

    /// Applies all operators that bind tighter than `op`, which follows.
    fn reduce(&mut self, operands: &mut Vec<Expr>, waiting: &mut Vec<Waiting>, op: BinaryOp, span: Span) {
        while let Some(&top) = waiting.last() {
            let tighter = top.precedence() > op.precedence();
            if !tighter && (top.precedence() != op.precedence() || op == BinaryOp::Pow) {
                return;
            }
            if let Waiting::Infix(first, place) = top
                && first.is_comparison()
                && op.is_comparison()
            {
                self.failed = true;
                self.diags
                    .report(Code::E0104, span, "comparisons do not chain")
                    .at("a second comparison")
                    .label(place, "the first one")
                    .help("write `a < b and b < c`, or parentheses if a truth value (0 or 1) is compared");
            }
            waiting.pop();
            apply(operands, top);
        }
    }

    pub(super) fn primary(&mut self, pair: Pair<Rule>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::paren => {
                let inner = pair.into_inner().find(|p| p.as_rule() == Rule::expr);
                self.expr(inner.expect("grammar: paren holds an expression")).kind
            }
            Rule::list => ExprKind::List(self.exprs(pair)),
            Rule::literal | Rule::bound_literal => self.literal(pair),
            Rule::string => ExprKind::Str(unescape(pair.as_str())),
            Rule::every => ExprKind::Name(self.path(&pair)),
            _ => return self.named(pair),
        };
        Expr { kind, span }
    }

    fn literal(&mut self, pair: Pair<Rule>) -> ExprKind {
        let span = self.span(&pair);
        let mut parts = pair.into_inner();
        let text = parts.next().map_or("", |p| p.as_str());
        let value: f64 = text.parse().unwrap_or(f64::INFINITY);
        if value.is_infinite() {
            self.failed = true;
            self.diags
                .report(Code::E0110, span, format!("`{text}` is too large for a number"))
                .note("numbers are below 1.8e308");
        }
        let unit = parts.next().map(|p| self.ident(&p));
        ExprKind::Number { value, text: text.to_string(), unit }
    }

    /// All expressions directly in a pair.
    pub(super) fn exprs(&mut self, pair: Pair<Rule>) -> Vec<Expr> {
        let inner = pair.into_inner().filter(|p| p.as_rule() == Rule::expr);
        inner.map(|p| self.expr(p)).collect()
    }

    /// `named`, `call`, `source` and `reset_call`: a path with what follows it.
    pub(super) fn named(&mut self, pair: Pair<Rule>) -> Expr {
        let span = self.span(&pair);
        let mut parts = pair.into_inner();
        let path = parts.next().expect("grammar: begins with a path");
        let callee = self.path(&path);
        let kind = match parts.next() {
            None => ExprKind::Name(callee),
            Some(p) if p.as_rule() == Rule::args => ExprKind::Call { callee, args: self.args(p) },
            Some(bracket) => self.indexed(callee, bracket, parts.next()),
        };
        Expr { kind, span }
    }

    pub(super) fn args(&mut self, pair: Pair<Rule>) -> Vec<Arg> {
        pair.into_inner().filter(|p| p.as_rule() == Rule::arg).map(|p| self.arg(p)).collect()
    }

    /// `name = e` or `e`.
    pub(super) fn arg(&mut self, pair: Pair<Rule>) -> Arg {
        let mut name = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => name = Some(self.ident(&part)),
                Rule::expr => return Arg { name, value: self.expr(part) },
                _ => {}
            }
        }
        unreachable!("grammar: an argument has a value")
    }

    /// `N[3](args)` or `a[0..5].v`
    fn indexed(&mut self, base: Path, bracket: Pair<Rule>, suffix: Option<Pair<Rule>>) -> ExprKind {
        let span = self.span(&bracket);
        let is_range = bracket.clone().into_inner().any(|p| p.as_rule() == Rule::dots);
        let mut axes = self.exprs(bracket);
        let is_args = suffix.as_ref().is_some_and(|s| s.as_rule() == Rule::args);
        if is_range && !is_args {
            let end = Box::new(axes.pop().expect("grammar: a range has an end"));
            let start = Box::new(axes.pop().expect("grammar: a range has a start"));
            return ExprKind::Range { base, start, end, member: suffix.map(|s| self.ident(&s)) };
        }
        match suffix {
            Some(args) if !is_range && is_args => {
                ExprKind::Instance { callee: base, axes, args: self.args(args) }
            }
            Some(other) => {
                let place = self.span(&other);
                self.failed = true;
                if is_range {
                    self.diags
                        .report(Code::E0101, place, "arguments after a range of indices")
                        .label(span, "a range");
                } else {
                    self.diags
                        .report(Code::E0101, span, "one index where a range is wanted")
                        .help("write the first index and the one after the last: `h[3..4].v`");
                }
                ExprKind::Name(base)
            }
            None => ExprKind::Instance { callee: base, axes, args: Vec::new() },
        }
    }
}

fn apply(operands: &mut Vec<Expr>, op: Waiting) {
    let right = operands.pop().expect("grammar: an operator has operands");
    let expr = match op {
        Waiting::Prefix(op, place) => {
            let span = place.to(right.span);
            Expr { kind: ExprKind::Unary(op, Box::new(right)), span }
        }
        Waiting::Infix(op, _) => {
            let left = operands.pop().expect("grammar: an operator has operands");
            let span = left.span.to(right.span);
            Expr { kind: ExprKind::Binary(op, Box::new(left), Box::new(right)), span }
        }
    };
    operands.push(expr);
}

fn infix(text: &str) -> BinaryOp {
    match text {
        "or" => BinaryOp::Or,
        "and" => BinaryOp::And,
        "==" => BinaryOp::Eq,
        "!=" => BinaryOp::Ne,
        "<" => BinaryOp::Lt,
        "<=" => BinaryOp::Le,
        ">" => BinaryOp::Gt,
        ">=" => BinaryOp::Ge,
        "+" => BinaryOp::Add,
        "-" => BinaryOp::Sub,
        "*" => BinaryOp::Mul,
        "/" => BinaryOp::Div,
        ".*" => BinaryOp::ElementMul,
        _ => BinaryOp::Pow,
    }
}

/// The text between the quotes of a string.
pub(super) fn unescape(text: &str) -> String {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
    let mut res = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        res.push(if c == '\\' { chars.next().unwrap_or('\\') } else { c });
    }
    res
}
