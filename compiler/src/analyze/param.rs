//! `param`s of a file: numbers, and rules by name (an initializer, reset rule, surrogate, neuron or function); what `-p` puts in
//! their place. Parameters of declarations are in `args`.

use super::args::{self, Applied, Given};
use super::context::{Cx, FileParam, is_poison, poison};
use super::declare::{Decl, list};
use super::scope::{Place, Scope};
use super::unit;
use super::{expr, files};
use crate::ast;
use crate::diag::Code;
use crate::hir::Expr;
use crate::source::Span;
use std::collections::BTreeSet;

/// The value of a `param`.
pub(super) fn value<'a>(cx: &mut Cx<'a>, param: &'a ast::ParamDecl) -> Given<'a> {
    let key = param.name.span;
    match cx.file_params.get(&key) {
        Some(FileParam::Done(value)) => return value.clone(),
        Some(FileParam::Busy) => {
            cx.report(Code::E0310, key, format!("`{}` is computed from itself", param.name.text))
                .at("this would never end");
            return Given::Value(poison(key));
        }
        None => {}
    }
    cx.file_params.insert(key, FileParam::Busy);
    let value = decide(cx, param);
    cx.file_params.insert(key, FileParam::Done(value.clone()));
    value
}

/// The value of a `param` that does not name a rule.
pub(super) fn number<'a>(cx: &mut Cx<'a>, param: &'a ast::ParamDecl) -> Expr {
    match value(cx, param) {
        Given::Value(value) => value,
        Given::Rule(rule) => poison(rule.span),
    }
}

/// What the command line says, else the default. The default, or the annotation, decides about kind and unit.
fn decide<'a>(cx: &mut Cx<'a>, param: &'a ast::ParamDecl) -> Given<'a> {
    let name = &param.name.text;
    let given = cx.overrides.get(&name[..]).copied().filter(|_| cx.is_user(param.name.span.file));
    let what = format!("`{name}`");
    let default = param.default.as_ref().map(|e| known(cx, e, &what));
    let given = given.map(|e| known(cx, e, &what));
    let annotation = param.unit.as_ref().and_then(|unit| unit::of_annotation(cx, unit));
    let unit = match (&annotation, &default) {
        (Some(unit), _) => Some(*unit),
        (None, Some(Given::Value(default))) if !is_poison(default) => Some(default.unit),
        _ => None,
    };
    let value = match (given, default) {
        (Some(given), Some(default)) => same_kind(cx, param, given, &default),
        (Some(value), None) | (None, Some(value)) => value,
        (None, None) => {
            cx.report(Code::E0303, param.name.span, format!("`{name}` has no value"))
                .at("no default")
                .help(format!("write `param {name} = …`, or give it on the command line: `-p {name}=…`"));
            return Given::Value(poison(param.name.span));
        }
    };
    match (value, unit) {
        (Given::Value(value), Some(unit)) => {
            Given::Value(unit::expect(cx, value, unit, name, param.name.span))
        }
        (Given::Rule(rule), Some(_)) => {
            cx.wrong_kind(rule.span, rule.decl, "a number");
            label(cx, param);
            Given::Value(poison(rule.span))
        }
        (value, None) => value,
    }
}

/// A number that is known before a run, or a rule with such arguments.
fn known<'a>(cx: &mut Cx<'a>, e: &'a ast::Expr, what: &str) -> Given<'a> {
    let value = args::given(cx, &mut Scope::new(Place::Constant), e);
    constant(cx, value, what)
}

fn constant<'a>(cx: &mut Cx<'a>, value: Given<'a>, what: &str) -> Given<'a> {
    match value {
        Given::Value(value) => Given::Value(expr::require_constant(cx, value, what)),
        Given::Rule(mut rule) => {
            let given = std::mem::take(&mut rule.given).into_iter();
            let what = format!("an argument of `{}`", rule.decl.name());
            let given = given.map(|argument| argument.map(|argument| constant(cx, argument, &what)));
            rule.given = given.collect();
            Given::Rule(rule)
        }
    }
}

/// The value of the command line if it is of the kind of the default; numbers are compared by their units later.
fn same_kind<'a>(
    cx: &mut Cx<'a>,
    param: &'a ast::ParamDecl,
    given: Given<'a>,
    default: &Given<'a>,
) -> Given<'a> {
    let wanted = match (default, &given) {
        (Given::Rule(wanted), _) => wanted,
        (Given::Value(default), Given::Value(value)) => {
            let (is_file, wants_file) = (files::is_file(value), files::is_file(default));
            if is_file == wants_file || is_poison(value) || is_poison(default) {
                return given;
            }
            let span = value.span;
            let kind = |is_file| if is_file { "a file" } else { "a number" };
            let title =
                format!("`{}` is {}, and {} is given", param.name.text, kind(wants_file), kind(is_file));
            cx.report(Code::E0301, span, title).at(format!("this is {}", kind(is_file)));
            label(cx, param);
            return Given::Value(poison(span));
        }
        _ => return given,
    };
    match given {
        Given::Rule(rule) if args::fits(cx, &rule, wanted) => Given::Rule(rule),
        Given::Rule(rule) => {
            cx.wrong_kind(rule.span, rule.decl, &wanted.decl.a_kind());
            label(cx, param);
            suggest(cx, wanted);
            Given::Value(poison(rule.span))
        }
        Given::Value(value) if is_poison(&value) => Given::Value(value),
        Given::Value(value) => {
            let title = format!("`{}` is {}, and a number is given", param.name.text, wanted.decl.a_kind());
            cx.report(Code::E0301, value.span, title).at("this is a number");
            label(cx, param);
            match wanted.decl {
                Decl::Init(_) => {
                    let text = cx.text(value.span);
                    let help = format!("`constant({text})` starts every weight with this number");
                    if let Some(message) = cx.diags.list.last_mut() {
                        message.help(help);
                    }
                }
                _ => suggest(cx, wanted),
            }
            Given::Value(poison(value.span))
        }
    }
}

fn label(cx: &mut Cx, param: &ast::ParamDecl) {
    if let Some(message) = cx.diags.list.last_mut() {
        message.label(param.name.span, format!("param `{}`", param.name.text));
    }
}

/// Names what could have been written.
fn suggest<'a>(cx: &mut Cx<'a>, wanted: &Applied<'a>) {
    let kind = wanted.decl.kind();
    let names = cx.decls.of_kind(kind);
    if let (false, Some(message)) = (names.is_empty(), cx.diags.list.last_mut()) {
        message.help(format!("{kind}s are {}", list(names.into_iter())));
    }
}

/// Whether a function draws random numbers, itself or through others: then it gives first values as an initializer does.
pub(super) fn draws<'a>(cx: &Cx<'a>, f: &'a ast::Fn) -> bool {
    let parts = |f: &'a ast::Fn| f.lets.iter().map(|(_, value)| value).chain([&f.value]);
    let mut seen: BTreeSet<Span> = BTreeSet::from([f.name.span]);
    let mut todo: Vec<&'a ast::Expr> = parts(f).collect();
    while let Some(e) = todo.pop() {
        match &e.kind {
            ast::ExprKind::Call { callee, args } => {
                todo.extend(args.iter().map(|arg| &arg.value));
                match cx.decls.meaning(callee) {
                    Some(Decl::Builtin("random" | "gaussian")) => return true,
                    Some(Decl::Fn(g)) if seen.insert(g.name.span) => todo.extend(parts(g)),
                    _ => {}
                }
            }
            ast::ExprKind::Unary(_, value) => todo.push(value),
            ast::ExprKind::Binary(_, left, right) => todo.extend([&**left, &**right]),
            ast::ExprKind::List(values) => todo.extend(values),
            _ => {}
        }
    }
    false
}
