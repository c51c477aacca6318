//! Expressions as text, on one line or broken over several. No comments.

use super::{INDENT, WIDTH};
use crate::ast::{Arg, BinaryOp, Expr, ExprKind, Ident, Path, UnaryOp};

/// Names joined by dots.
pub(super) fn path(path: &Path) -> String {
    let names: Vec<&str> = path.segments.iter().map(|s| s.text.as_str()).collect();
    names.join(".")
}

/// Writes `expr` on one line, in parentheses if it binds looser than `min`.
pub(super) fn flat(expr: &Expr, min: u8, out: &mut String) {
    if precedence(&expr.kind) < min {
        out.push('(');
        bare(expr, out);
        out.push(')');
    } else {
        bare(expr, out);
    }
}

/// Names, calls and the like bind tightest.
const ATOM: u8 = 9;
/// A number with a unit is put in parentheses below a power: `(20 ms)^2`.
const QUANTITY: u8 = 7;

fn precedence(kind: &ExprKind) -> u8 {
    match kind {
        ExprKind::Unary(op, _) => op.precedence(),
        ExprKind::Binary(op, ..) => op.precedence(),
        ExprKind::Number { unit: Some(_), .. } => QUANTITY,
        _ => ATOM,
    }
}

/// What the operands of an operator must bind at least as tightly as. A minus may stand directly behind any
/// operator: `a^-b`, `a * -b`.
fn sides(op: BinaryOp, right: &Expr) -> (u8, u8) {
    let own = op.precedence();
    let (left_min, right_min) = match op {
        BinaryOp::Pow => (own + 1, own),
        op if op.is_comparison() => (own + 1, own + 1),
        _ => (own, own + 1),
    };
    match right.kind {
        ExprKind::Unary(UnaryOp::Neg, _) => (left_min, 0),
        _ => (left_min, right_min),
    }
}

fn bare(expr: &Expr, out: &mut String) {
    match &expr.kind {
        ExprKind::Number { text, unit, .. } => {
            out.push_str(text);
            if let Some(unit) = unit {
                out.push(' ');
                out.push_str(&unit.text);
            }
        }
        ExprKind::Str(text) => string(text, out),
        ExprKind::Name(name) => out.push_str(&path(name)),
        ExprKind::Unary(op, operand) => {
            out.push_str(symbol(*op));
            flat(operand, op.precedence(), out);
        }
        ExprKind::Binary(op, left, right) => {
            let (left_min, right_min) = sides(*op, right);
            flat(left, left_min, out);
            let space = if *op == BinaryOp::Pow { "" } else { " " };
            out.push_str(space);
            out.push_str(op.symbol());
            out.push_str(space);
            flat(right, right_min, out);
        }
        ExprKind::Call { callee, args: list } => {
            out.push_str(&path(callee));
            args(list, out);
        }
        ExprKind::Instance { callee, axes, args: list } => {
            out.push_str(&path(callee));
            bracketed(axes, out);
            if !list.is_empty() {
                args(list, out);
            }
        }
        ExprKind::Range { base, start, end, member } => {
            out.push_str(&path(base));
            out.push('[');
            flat(start, 0, out);
            out.push_str("..");
            flat(end, 0, out);
            out.push(']');
            if let Some(Ident { text, .. }) = member {
                out.push('.');
                out.push_str(text);
            }
        }
        ExprKind::List(list) => bracketed(list, out),
    }
}

fn symbol(op: UnaryOp) -> &'static str {
    match op {
        UnaryOp::Neg => "-",
        UnaryOp::Not => "not ",
    }
}

/// A string with its quotes.
pub(super) fn string(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
}

/// `[a, b]`
pub(super) fn bracketed(list: &[Expr], out: &mut String) {
    out.push('[');
    for (at, expr) in list.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        flat(expr, 0, out);
    }
    out.push(']');
}

fn args(list: &[Arg], out: &mut String) {
    out.push('(');
    for (at, one) in list.iter().enumerate() {
        if at > 0 {
            out.push_str(", ");
        }
        arg_name(one, out);
        flat(&one.value, 0, out);
    }
    out.push(')');
}

fn arg_name(arg: &Arg, out: &mut String) {
    if let Some(name) = &arg.name {
        out.push_str(&name.text);
        out.push_str(" = ");
    }
}

/// Whether there is a place to break a line inside of it.
pub(super) fn is_breakable(expr: &Expr) -> bool {
    match &expr.kind {
        ExprKind::Call { args, .. } | ExprKind::Instance { args, .. } => !args.is_empty(),
        ExprKind::List(list) => list.len() > 1,
        ExprKind::Binary(BinaryOp::Pow, ..) => false,
        ExprKind::Binary(..) => true,
        ExprKind::Unary(_, operand) => is_breakable(operand),
        _ => false,
    }
}

/// Writes `expr` over several lines, the first of which begins where `out` ends; `indent` is that of the statement.
pub(super) fn broken(expr: &Expr, min: u8, indent: usize, out: &mut String) {
    if precedence(&expr.kind) < min {
        out.push('(');
        broken(expr, 0, indent, out);
        out.push(')');
        return;
    }
    match &expr.kind {
        ExprKind::Call { callee, args } if !args.is_empty() => {
            out.push_str(&path(callee));
            broken_args(args, indent, out);
        }
        ExprKind::Instance { callee, axes, args } if !args.is_empty() => {
            out.push_str(&path(callee));
            bracketed(axes, out);
            broken_args(args, indent, out);
        }
        ExprKind::List(list) if list.len() > 1 => broken_list(list, indent, out),
        ExprKind::Unary(op, operand) => {
            out.push_str(symbol(*op));
            broken(operand, op.precedence(), indent, out);
        }
        ExprKind::Binary(op, ..) if *op != BinaryOp::Pow => chain(expr, *op, indent, out),
        _ => bare(expr, out),
    }
}

fn new_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn broken_args(args: &[Arg], indent: usize, out: &mut String) {
    out.push('(');
    for one in args {
        new_line(indent + INDENT, out);
        arg_name(one, out);
        fitting(&one.value, 0, indent + INDENT, out);
        out.push(',');
    }
    new_line(indent, out);
    out.push(')');
}

/// As many elements in a line as fit.
fn broken_list(list: &[Expr], indent: usize, out: &mut String) {
    out.push('[');
    let mut column = WIDTH;
    for one in list {
        let mut text = String::new();
        flat(one, 0, &mut text);
        if column + text.len() + 2 > WIDTH {
            new_line(indent + INDENT, out);
            column = indent + INDENT;
        } else {
            out.push(' ');
            column += 1;
        }
        column += text.len() + 1;
        out.push_str(&text);
        out.push(',');
    }
    new_line(indent, out);
    out.push(']');
}

/// Operands of equal precedence, each on a line with the operator before it.
fn chain(expr: &Expr, op: BinaryOp, indent: usize, out: &mut String) {
    let own = op.precedence();
    let mut rest = Vec::new();
    let mut first = expr;
    while let ExprKind::Binary(op, left, right) = &first.kind
        && op.precedence() == own
        && (!op.is_comparison() || rest.is_empty())
    {
        rest.push((*op, right));
        first = left;
    }
    let first_min = if op.is_comparison() { own + 1 } else { own };
    fitting(first, first_min, indent, out);
    for (op, right) in rest.into_iter().rev() {
        new_line(indent + INDENT, out);
        out.push_str(op.symbol());
        out.push(' ');
        fitting(right, sides(op, right).1, indent + INDENT, out);
    }
}

/// On one line if that fits, else broken.
fn fitting(expr: &Expr, min: u8, indent: usize, out: &mut String) {
    let line = out.rfind('\n').map_or(0, |at| at + 1);
    let column = out[line..].chars().count();
    let mut text = String::new();
    flat(expr, min, &mut text);
    if column + text.chars().count() < WIDTH || !is_breakable(expr) {
        out.push_str(&text);
    } else {
        broken(expr, min, indent, out);
    }
}
