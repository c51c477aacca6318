//! Calls: functions of the language, functions of the file and the library put in place.

use super::args::{self, Applied, Given};
use super::context::{Cx, is_poison, poison};
use super::declare::{Decl, POINTWISE};
use super::scope::{Found, Meaning, Place, Scope};
use super::{builtin, expr, init, pointwise, scope, undone, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind, LocalId, Unit};
use crate::source::Span;

/// The value of a call.
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    callee: &'a ast::Path,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    let rule = match scope::lookup(cx, scope, callee) {
        Some(Found::Decl(decl)) => Applied::new(decl, span),
        Some(Found::Name(name, [])) if matches!(name.meaning, Meaning::Rule(_)) => {
            let Meaning::Rule(rule) = name.meaning else { return poison(span) };
            rule
        }
        Some(Found::Name(name, _)) => {
            if !matches!(&name.meaning, Meaning::Value(value) if is_poison(value)) {
                let title = format!("`{}` is not a function", cx.text(callee.span));
                cx.report(Code::E0301, callee.span, title)
                    .at(format!("this is {}", super::declare::article(name.role)))
                    .label(name.span, "declared here");
            }
            return poison(span);
        }
        Some(Found::Language(_)) => {
            let title = format!("`{}` is not a function", cx.text(callee.span));
            cx.report(Code::E0301, callee.span, title)
                .at("this is a number")
                .help("leave out the parentheses");
            return poison(span);
        }
        None => {
            unknown(cx, scope, callee, args);
            return poison(span);
        }
    };
    apply(cx, scope, rule, args, span)
}

/// A call of something that does not exist; its arguments are still looked at.
fn unknown<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, callee: &'a ast::Path, args: &'a [ast::Arg]) {
    scope::resolve(cx, scope, callee);
    for arg in args {
        expr::elaborate(cx, scope, &arg.value);
    }
}

/// A function with all of its arguments.
pub(super) fn apply<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    rule: Applied<'a>,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    match rule.decl {
        Decl::Builtin(name) => builtin::call(cx, scope, name, args, span),
        Decl::Fn(f) => {
            let decl = rule.decl;
            let values = args::bind(cx, scope, rule, args, span);
            let place = scope.place;
            cx.within(decl, span, |cx| function(cx, place, f, values, span)).unwrap_or_else(|| poison(span))
        }
        Decl::Init(_) if matches!(scope.place, Place::Init | Place::Unknown) => {
            let place = scope.place;
            let decl = rule.decl;
            undone::check(cx, scope, decl, args);
            let values = args::bind(cx, scope, rule, args, span);
            cx.within(decl, span, |cx| init::body(cx, place, decl, values)).unwrap_or_else(|| poison(span))
        }
        decl => {
            cx.wrong_kind(span, decl, "a function");
            if let (Decl::Init(_), Some(message)) = (decl, cx.diags.list.last_mut()) {
                message.help("initializers give first values: `learn w: [n, m] = …`, `dense(init = …)`");
            }
            poison(span)
        }
    }
}

/// Values that are computed once and have a name inside of an expression.
#[derive(Clone, Default)]
pub(super) struct Lets {
    list: Vec<(LocalId, Expr)>,
}

impl Lets {
    /// A name for a value: the value itself if it is a leaf or a constant, else a local.
    pub fn name(&mut self, cx: &mut Cx, text: &str, value: Expr) -> Expr {
        let value = expr::fold(value);
        if pointwise::is_leaf(&value) {
            return value;
        }
        let local = cx.fresh(text);
        if pointwise::is_weights(cx, &value) {
            cx.matrices.insert(local);
        }
        let name = Expr {
            kind: ExprKind::Local(local),
            unit: value.unit,
            shape: value.shape.clone(),
            span: value.span,
        };
        self.list.push((local, value));
        name
    }

    /// Number of names.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether a value from the `first` on, or a part of it, satisfies a condition.
    pub fn any_from(&self, first: usize, is: &mut impl FnMut(&Expr) -> bool) -> bool {
        self.list[first..].iter().any(|(_, value)| value.any(is))
    }

    /// An expression in which the names are known.
    pub fn wrap(self, body: Expr) -> Expr {
        self.list
            .into_iter()
            .rev()
            .fold(body, |body, (local, value)| pointwise::bind_local(local, value, body))
    }
}

/// The body of a function with the values of its parameters.
pub(super) fn function<'a>(
    cx: &mut Cx<'a>,
    place: Place,
    f: &'a ast::Fn,
    values: Vec<Given<'a>>,
    span: Span,
) -> Expr {
    if let Some(backward) = &f.backward {
        return custom(cx, place, f, backward, values, span);
    }
    let mut lets = Lets::default();
    let mut scope = Scope::new(place);
    let mut named = Vec::new();
    for (param, value) in f.params.iter().zip(values) {
        named.push(match value {
            Given::Value(value) => Given::Value(lets.name(cx, &param.name.text, value)),
            rule => rule,
        });
    }
    args::add_params(&mut scope, Decl::Fn(f), named);
    add_lets(cx, &mut scope, &f.lets, &mut lets);
    let value = expr::elaborate(cx, &mut scope, &f.value);
    let value = lets.wrap(value);
    Expr { span, ..value }
}

/// Adds the `let`s before a value.
pub(super) fn add_lets<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    written: &'a [(ast::Ident, ast::Expr)],
    lets: &mut Lets,
) {
    for (name, value) in written {
        if let Some(first) = scope.find(&name.text) {
            let first = first.span;
            super::declare::twice(&name.text, name.span, first, cx.diags);
        }
        let value = expr::elaborate(cx, scope, value);
        let value = lets.name(cx, &name.text, value);
        scope.add(&name.text, Meaning::Value(value), "let", name.span);
    }
}

/// A function with a backward rule of its own.
fn custom<'a>(
    cx: &mut Cx<'a>,
    place: Place,
    f: &'a ast::Fn,
    backward: &'a ast::Backward,
    values: Vec<Given<'a>>,
    span: Span,
) -> Expr {
    if backward.values.len() != f.params.len() {
        wrong_count(cx, f, backward);
        return poison(span);
    }
    let mut args = Vec::new();
    for value in values {
        match value {
            Given::Value(value) => args.push(value),
            Given::Rule(rule) => {
                cx.wrong_kind(rule.span, rule.decl, "a number");
                return poison(span);
            }
        }
    }
    let params: Vec<LocalId> = f.params.iter().map(|param| cx.fresh(&param.name.text)).collect();
    let forward = body_of(cx, place, f, &params, &args, None, &f.value);
    let grad = cx.fresh(&backward.grad.text);
    let mut gradients = Vec::new();
    for (value, (param, arg)) in backward.values.iter().zip(f.params.iter().zip(&args)) {
        let gradient =
            body_of(cx, Place::Fragment, f, &params, &args, Some((backward, grad, &forward)), value);
        let wanted = Unit::NONE.div(arg.unit).unwrap_or_default();
        let what = format!("the gradient of `{}`", param.name.text);
        let known = !is_poison(&forward) && !is_poison(arg);
        gradients.push(if known {
            unit::expect(cx, gradient, wanted, &what, param.name.span)
        } else {
            gradient
        });
    }
    if is_poison(&forward) || args.iter().chain(&gradients).any(is_poison) {
        return poison(span);
    }
    let (unit, shape) = (forward.unit, forward.shape.clone());
    let kind = ExprKind::Custom {
        name: f.name.text.clone(),
        params,
        args,
        forward: Box::new(forward),
        grad,
        backward: gradients,
    };
    Expr { kind, unit, shape, span }
}

/// The forward value or a gradient of a function with a backward rule; parameters are locals in both.
fn body_of<'a>(
    cx: &mut Cx<'a>,
    place: Place,
    f: &'a ast::Fn,
    params: &[LocalId],
    args: &[Expr],
    grad: Option<(&'a ast::Backward, LocalId, &Expr)>,
    value: &'a ast::Expr,
) -> Expr {
    let mut scope = Scope::new(place);
    let local = |id: LocalId, unit: Unit, like: &Expr| match is_poison(like) {
        true => like.clone(),
        false => Expr { kind: ExprKind::Local(id), unit, shape: like.shape.clone(), span: like.span },
    };
    for ((param, id), arg) in f.params.iter().zip(params).zip(args) {
        let value = local(*id, arg.unit, arg);
        scope.add(&param.name.text, Meaning::Value(value), "parameter", param.name.span);
    }
    if let Some((backward, id, forward)) = grad {
        let unit = Unit::NONE.div(forward.unit).unwrap_or_default();
        let value = local(id, unit, forward);
        scope.add(&backward.grad.text, Meaning::Value(value), "gradient", backward.grad.span);
    }
    let mut lets = Lets::default();
    add_lets(cx, &mut scope, &f.lets, &mut lets);
    let value = expr::elaborate(cx, &mut scope, value);
    lets.wrap(value)
}

/// Reports a backward rule that does not give one gradient for each parameter.
pub(super) fn wrong_count(cx: &mut Cx, f: &ast::Fn, backward: &ast::Backward) {
    let (have, want) = (backward.values.len(), f.params.len());
    let span = backward.values.last().map_or(backward.grad.span, |value| value.span);
    let names = super::declare::list(f.params.iter().map(|p| &p.name.text[..]));
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let title = format!(
        "`{}` has {want} parameter{}, its backward rule {have} gradient{}",
        f.name.text,
        plural(want),
        plural(have)
    );
    cx.report(Code::E0312, span, title)
        .at(if have < want { "a gradient is missing after this" } else { "one gradient too many" })
        .note(format!("`backward({})` gives the gradients of {names}, in this order", backward.grad.text))
        .help("write `0` for a parameter that passes no gradient");
}

/// Whether a name is a function that works on each value by itself.
pub(super) fn is_pointwise(name: &str) -> bool {
    POINTWISE.contains(&name)
}
