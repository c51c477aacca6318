//! Expressions of the syntax tree to expressions of HIR: numbers, names, operators. Calls are in `call`, units and shapes of
//! operators in `pointwise`.

use super::context::{Cx, is_poison, leaf, number, poison};
use super::scope::{self, Place, Scope};
use super::{call, files, layers, pointwise};
use crate::ast::{self, BinaryOp, UnaryOp};
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::constant::{self, ConstEnv};
use crate::hir::{Expr, ExprKind, PopId, Unit};
use crate::source::Span;
use crate::step::ops::Pw;

/// The value of an expression; poison after a mistake, which was reported.
pub(super) fn elaborate<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Expr {
    let mut operators = Vec::new();
    let mut first = e;
    while let ast::ExprKind::Binary(op, left, right) = &first.kind {
        operators.push((*op, &**right, first.span));
        first = left;
    }
    cx.deeper(1 + operators.len(), e.span, |cx| {
        let mut value = primary(cx, scope, first);
        for (op, right, span) in operators.into_iter().rev() {
            let right = elaborate(cx, scope, right);
            value = binary(cx, op, value, right, span);
        }
        value
    })
}

/// A number that is known before a run, folded if it does not depend on `dt` or `steps`. `what` is the subject of the message.
pub(super) fn constant<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr, what: &str) -> Expr {
    let value = scope.at(Place::Constant, |scope| elaborate(cx, scope, e));
    require_constant(cx, value, what)
}

/// The value if it is known before a run; else poison after a message. Folded if it is the same in every job.
pub(super) fn require_constant(cx: &mut Cx, value: Expr, what: &str) -> Expr {
    if is_poison(&value) || files::is_file(&value) {
        return value;
    }
    let known = constant::eval(&value, &ConstEnv { dt: 1e-3, steps: 1 });
    let span = value.span;
    let Some(known) = known.filter(|_| value.shape.is_empty()) else {
        let cause = value.children().into_iter().find(|part| runs(part)).map_or(span, |part| part.span);
        let cause = if cause.file == span.file { cause } else { span };
        cx.report(Code::E0305, cause, format!("{what} must be known before a run"))
            .at("this is not a constant")
            .help("use numbers, `param`s, parameters, `dt` and `steps`");
        return poison(span);
    };
    if !known.is_finite() {
        cx.report(Code::E0305, span, format!("{what} is not a finite number")).at("this has no finite value");
        return poison(span);
    }
    fold(value)
}

fn runs(e: &Expr) -> bool {
    constant::eval(e, &ConstEnv { dt: 1e-3, steps: 1 }).is_none()
}

/// A number in place of an expression that has the same value in every job.
pub(super) fn fold(value: Expr) -> Expr {
    match constant::eval_free(&value) {
        Some(known) if known.is_finite() && value.shape.is_empty() => {
            Expr { kind: ExprKind::Const(known), ..value }
        }
        _ => value,
    }
}

/// The value of an expression in which `*` stands for a population, for every population that has the values it names.
pub(super) fn each_population<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    e: &'a ast::Expr,
) -> Vec<(PopId, Expr)> {
    let members = starred_members(e);
    let mut values = Vec::new();
    for at in 0..cx.model.populations.len() {
        let pop = PopId(at as u32);
        let has_all = members.iter().all(|m| scope::find_trace(cx, pop, &m.text, m.span).is_some());
        if has_all {
            let outer = cx.every.replace(pop);
            let value = elaborate(cx, scope, e);
            cx.every = outer;
            values.push((pop, value));
        }
    }
    values
}

/// The names of values that an expression reads of every population.
pub(super) fn starred_members(e: &ast::Expr) -> Vec<&ast::Ident> {
    let mut members = Vec::new();
    starred(e, &mut members);
    members
}

/// Whether `*` stands in an expression, and no `over = layers` around it.
pub(super) fn is_starred(e: &ast::Expr) -> bool {
    let is_star = |path: &ast::Path| path.segments.first().is_some_and(|s| s.text == "*");
    match &e.kind {
        ast::ExprKind::Name(path) => is_star(path),
        _ if layers::is_over_layers(e) => false,
        _ => parts(e).into_iter().any(is_starred),
    }
}

/// The names after `*.` in an expression.
fn starred<'a>(e: &'a ast::Expr, members: &mut Vec<&'a ast::Ident>) {
    match &e.kind {
        ast::ExprKind::Name(path) => {
            if let [star, member, ..] = &path.segments[..]
                && star.text == "*"
            {
                members.push(member);
            }
        }
        _ if layers::is_over_layers(e) => {}
        _ => parts(e).into_iter().for_each(|part| starred(part, members)),
    }
}

/// The expressions directly inside an expression.
fn parts(e: &ast::Expr) -> Vec<&ast::Expr> {
    match &e.kind {
        ast::ExprKind::Unary(_, a) => vec![a],
        ast::ExprKind::Binary(_, a, b) => vec![a, b],
        ast::ExprKind::Call { args, .. } => args.iter().map(|arg| &arg.value).collect(),
        ast::ExprKind::Instance { axes, args, .. } => {
            axes.iter().chain(args.iter().map(|arg| &arg.value)).collect()
        }
        ast::ExprKind::Range { start, end, .. } => vec![start, end],
        ast::ExprKind::List(items) => items.iter().collect(),
        ast::ExprKind::Number { .. } | ast::ExprKind::Str(_) | ast::ExprKind::Name(_) => Vec::new(),
    }
}

/// An expression that does not begin with an infix operator.
fn primary<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Expr {
    if let Some(file) = files::named(cx, scope, e) {
        return files::as_number(cx, &file);
    }
    match &e.kind {
        ast::ExprKind::Number { value, text, unit } => literal(cx, *value, text, unit.as_ref(), e.span),
        ast::ExprKind::Name(path) => scope::value(cx, scope, path),
        ast::ExprKind::Unary(op, operand) => {
            let operand = elaborate(cx, scope, operand);
            unary(cx, *op, operand, e.span)
        }
        ast::ExprKind::Call { callee, args } => call::call(cx, scope, callee, args, e.span),
        ast::ExprKind::Binary(..) => poison(e.span),
        ast::ExprKind::Str(_) => {
            wrong(cx, e.span, "a text stands where a number is wanted", "this is a text")
        }
        ast::ExprKind::List(_) => wrong(
            cx,
            e.span,
            "a list stands where a number is wanted",
            "lists are for inputs of `one` and for `expect`",
        ),
        ast::ExprKind::Instance { callee, axes, args } => {
            if let Some(element) = files::element(cx, scope, (callee, axes, args), e.span) {
                return element;
            }
            let title = format!("`{}` makes a population, not a number", cx.text(callee.span));
            wrong(cx, e.span, &title, "populations are named by `let` in a model")
        }
        ast::ExprKind::Range { .. } => {
            wrong(cx, e.span, "a range of neurons stands where a value is wanted", "ranges are for `record`")
        }
    }
}

fn wrong(cx: &mut Cx, span: Span, title: &str, at: &str) -> Expr {
    cx.report(Code::E0301, span, title).at(at);
    poison(span)
}

/// `20 ms`; the value is the number nearest to what was written, also after the prefix.
fn literal(cx: &mut Cx, value: f64, text: &str, unit: Option<&ast::Ident>, span: Span) -> Expr {
    let Some(unit) = unit else { return number(value, span) };
    if matches!(&unit.text[..], "step" | "steps") {
        let dt = leaf(ExprKind::Dt, Unit::TIME, span);
        if value == 1.0 {
            return dt;
        }
        return leaf(ExprKind::Pointwise(Pw::Mul, vec![number(value, span), dt]), Unit::TIME, span);
    }
    let Some((known, factor)) = Unit::from_unit_name(&unit.text) else {
        let names = Unit::unit_names();
        let near = closest(&unit.text, names.iter().map(String::as_str));
        let message = cx.report(Code::E0403, unit.span, format!("`{}` is not a unit", unit.text));
        message.at("unknown unit");
        if let Some(near) = near {
            message.help(format!("did you mean `{near}`?"));
        }
        return poison(span);
    };
    leaf(ExprKind::Const(scaled(value, text, factor)), known, span)
}

/// `value * factor` for a power of ten, rounded once.
fn scaled(value: f64, text: &str, factor: f64) -> f64 {
    let power = factor.log10().round() as i32;
    let (digits, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let exponent = exponent.parse::<i32>().ok().and_then(|e| e.checked_add(power));
    let exact = exponent.and_then(|e| format!("{digits}e{e}").parse::<f64>().ok());
    exact.unwrap_or(value * factor)
}

fn unary(cx: &mut Cx, op: UnaryOp, operand: Expr, span: Span) -> Expr {
    match (op, &operand.kind) {
        (UnaryOp::Neg, ExprKind::Const(value)) if !is_poison(&operand) => {
            Expr { kind: ExprKind::Const(0.0 - value), span, ..operand }
        }
        (UnaryOp::Neg, _) => pointwise::make(cx, Pw::Neg, vec![operand], span),
        (UnaryOp::Not, _) => pointwise::make(cx, Pw::Not, vec![operand], span),
    }
}

/// An infix operator on two values.
pub(super) fn binary(cx: &mut Cx, op: BinaryOp, a: Expr, b: Expr, span: Span) -> Expr {
    let (op, args) = match op {
        BinaryOp::Or => (Pw::Or, vec![a, b]),
        BinaryOp::And => (Pw::And, vec![a, b]),
        BinaryOp::Eq => (Pw::Eq, vec![a, b]),
        BinaryOp::Ne => (Pw::Ne, vec![a, b]),
        BinaryOp::Lt => (Pw::Lt, vec![a, b]),
        BinaryOp::Le => (Pw::Le, vec![a, b]),
        BinaryOp::Gt => (Pw::Lt, vec![b, a]),
        BinaryOp::Ge => (Pw::Le, vec![b, a]),
        BinaryOp::Add => (Pw::Add, vec![a, b]),
        BinaryOp::Sub => (Pw::Sub, vec![a, b]),
        BinaryOp::Mul => return pointwise::product(cx, a, b, span),
        BinaryOp::ElementMul => (Pw::Mul, vec![a, b]),
        BinaryOp::Div => (Pw::Div, vec![a, b]),
        BinaryOp::Pow => return pointwise::power(cx, a, b, span),
    };
    pointwise::make(cx, op, args, span)
}
