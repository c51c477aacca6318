//! Expressions of the syntax tree.

use super::{Ident, Path};
use crate::source::Span;

/// An argument of a call.
#[derive(Clone, Debug)]
pub struct Arg {
    /// `name =`
    pub name: Option<Ident>,
    /// The value.
    pub value: Expr,
}

/// An expression.
#[derive(Clone, Debug)]
pub struct Expr {
    /// Which.
    pub kind: ExprKind,
    /// All of it.
    pub span: Span,
}

/// Kinds of expressions.
#[derive(Clone, Debug)]
pub enum ExprKind {
    /// `20 ms`
    Number {
        /// The number as its nearest f64, without its unit.
        value: f64,
        /// The number as written.
        text: String,
        /// The unit as written.
        unit: Option<Ident>,
    },
    /// `"text"`, unescaped
    Str(String),
    /// `a.b`
    Name(Path),
    /// `-a`, `not a`
    Unary(UnaryOp, Box<Expr>),
    /// `a + b`
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `f(x, k = 1)`
    Call {
        /// The function.
        callee: Path,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `Lif[128](tau = 10 ms)`; the arguments may be missing. `Lif[5]` in a simulation likewise.
    Instance {
        /// The neuron.
        callee: Path,
        /// Index axes.
        axes: Vec<Expr>,
        /// Its arguments.
        args: Vec<Arg>,
    },
    /// `e[0..5]` or `e[0..5].v`
    Range {
        /// What is indexed.
        base: Path,
        /// First index.
        start: Box<Expr>,
        /// One past the last.
        end: Box<Expr>,
        /// `.v` after the bracket.
        member: Option<Ident>,
    },
    /// `[1, 2, 3]`
    List(Vec<Expr>),
}

/// Prefix operators.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnaryOp {
    /// `-`
    Neg,
    /// `not`
    Not,
}

/// Infix operators, loosest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BinaryOp {
    /// `or`
    Or,
    /// `and`
    And,
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `.*`
    ElementMul,
    /// `^`
    Pow,
}

impl UnaryOp {
    /// How tightly it binds; compare with [`BinaryOp::precedence`].
    pub fn precedence(self) -> u8 {
        match self {
            UnaryOp::Not => 3,
            UnaryOp::Neg => 7,
        }
    }
}

impl BinaryOp {
    /// How tightly it binds: 1 is loosest.
    pub fn precedence(self) -> u8 {
        match self {
            BinaryOp::Or => 1,
            BinaryOp::And => 2,
            BinaryOp::Eq | BinaryOp::Ne | BinaryOp::Lt | BinaryOp::Le | BinaryOp::Gt | BinaryOp::Ge => 4,
            BinaryOp::Add | BinaryOp::Sub => 5,
            BinaryOp::Mul | BinaryOp::Div | BinaryOp::ElementMul => 6,
            BinaryOp::Pow => 8,
        }
    }

    /// Whether it gives 0 or 1 from two numbers.
    pub fn is_comparison(self) -> bool {
        self.precedence() == BinaryOp::Eq.precedence()
    }

    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Or => "or",
            BinaryOp::And => "and",
            BinaryOp::Eq => "==",
            BinaryOp::Ne => "!=",
            BinaryOp::Lt => "<",
            BinaryOp::Le => "<=",
            BinaryOp::Gt => ">",
            BinaryOp::Ge => ">=",
            BinaryOp::Add => "+",
            BinaryOp::Sub => "-",
            BinaryOp::Mul => "*",
            BinaryOp::Div => "/",
            BinaryOp::ElementMul => ".*",
            BinaryOp::Pow => "^",
        }
    }
}
