//! Tensors of files, which initializers read: `file("a.safetensors")`, `teacher["h->y.weight"]`, `from[i, j]`, `size(from, 0)`. What is in the
//! files is not known here.

use super::context::{Cx, is_poison, leaf, poison};
use super::declare::Decl;
use super::scope::{Found, Meaning, Name, Place, Scope, lookup};
use super::{circuit, expr, param, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind, Stored, Unit, constant};
use crate::source::Span;

/// Whether a value names a file or a tensor of it.
pub(super) fn is_file(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::File { .. })
}

/// The file or tensor that an expression names; none if it is to be read as something else.
pub(super) fn named<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Option<Expr> {
    let found = match &e.kind {
        ast::ExprKind::Name(path) => base(cx, scope, path).filter(is_file)?,
        ast::ExprKind::Call { callee, args } if callee.segments.last()?.text == "file" => {
            let is_ours = matches!(lookup(cx, scope, callee), Some(Found::Decl(Decl::Builtin("file"))));
            return is_ours.then(|| opened(cx, scope, args, e.span));
        }
        ast::ExprKind::Instance { callee, axes, args } => {
            let ([ast::Expr { kind: ast::ExprKind::Str(text), span }], []) = (&axes[..], &args[..]) else {
                return None;
            };
            let base = base(cx, scope, callee).filter(is_file)?;
            let Some(tensor) = filled(cx, scope, text, *span) else { return Some(poison(e.span)) };
            let ExprKind::File { file, .. } = base.kind else { return None };
            leaf(ExprKind::File { file, tensor: Some(tensor) }, Unit::NONE, e.span)
        }
        _ => return None,
    };
    Some(Expr { span: e.span, ..found })
}

/// The value of a name if it is a file, or if it could not be made. What is neither is looked up again, as what it is.
fn base<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, path: &'a ast::Path) -> Option<Expr> {
    let value = match lookup(cx, scope, path) {
        Some(Found::Name(name, [])) => match name.meaning {
            Meaning::Value(value) => Some(value),
            _ => None,
        },
        Some(Found::Decl(Decl::Param(decl))) => return Some(param::number(cx, decl)),
        _ => None,
    };
    value.filter(|value| is_file(value) || is_poison(value))
}

/// `file("a.safetensors")`
fn opened<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let [ast::Arg { name: None, value: ast::Expr { kind: ast::ExprKind::Str(text), span: at } }] = args
    else {
        cx.report(Code::E0301, span, "`file` wants the name of a file")
            .at("not a name in quotes")
            .help("write `file(\"teacher.safetensors\")`");
        return poison(span);
    };
    match filled(cx, scope, text, *at) {
        Some(file) => leaf(ExprKind::File { file, tensor: None }, Unit::NONE, span),
        None => poison(span),
    }
}

/// A text in which `{n}` stands for the whole number that `n` is; none after a message.
fn filled<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, text: &'a str, span: Span) -> Option<String> {
    let mut parts = text.split('{');
    let mut result = parts.next().unwrap_or("").to_string();
    for part in parts {
        let value = part.split_once('}').map(|(name, rest)| (number(cx, scope, name.trim(), span), rest));
        let Some((Some(number), rest)) = value else {
            cx.report(Code::E0305, span, "a name in braces is not a whole number that is known before a run")
                .at("in this text")
                .help("write for example `\"net.p{stage}.w\"`, where `stage` is an argument of the circuit");
            return None;
        };
        result.push_str(&format!("{number}{rest}"));
    }
    Some(result)
}

/// The whole number that a name stands for: a parameter, a `let`, a `param` of the file.
fn number<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, name: &str, span: Span) -> Option<i64> {
    let ident = ast::Ident { text: name.to_string(), span };
    let known = match scope.find(name) {
        Some(name) => Some(name.clone()),
        None => scope.level.and_then(|level| circuit::find(cx, level, &ident)),
    };
    let value = match (known, cx.decls.find_own(name)) {
        (Some(Name { meaning: Meaning::Value(value), span, .. }), _) => {
            cx.used.insert(span);
            value
        }
        (None, Some(Decl::Param(decl))) => {
            cx.used.insert(decl.name.span);
            param::number(cx, decl)
        }
        _ => return None,
    };
    let value = constant::eval_free(&value).filter(|value| value.fract() == 0.0 && value.abs() < 1e9)?;
    Some(value as i64)
}

/// A file where a number is wanted: a message and poison. Poison is left alone.
pub(super) fn as_number(cx: &mut Cx, file: &Expr) -> Expr {
    if is_file(file) {
        cx.report(Code::E0301, file.span, "a file stands where a number is wanted")
            .at("this names a file or a tensor of it")
            .help("in an initializer, `from[i, j]` is the element for the synapse onto neuron `i` from neuron `j`");
    }
    poison(file.span)
}

/// `from[i, j]`: an element of a tensor; none if what stands before the bracket is no tensor.
pub(super) fn element<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    (callee, axes, args): (&'a ast::Path, &'a [ast::Expr], &'a [ast::Arg]),
    span: Span,
) -> Option<Expr> {
    let base = base(cx, scope, callee).filter(|base| is_file(base) || is_poison(base))?;
    let index: Vec<Expr> = axes
        .iter()
        .map(|axis| {
            let value = expr::elaborate(cx, scope, axis);
            unit::plain(cx, value, "an index")
        })
        .collect();
    if is_poison(&base) || index.iter().any(is_poison) || scope.place == Place::Unknown {
        return Some(poison(span));
    }
    if !args.is_empty() {
        cx.report(Code::E0304, span, "an element of a tensor takes no arguments")
            .at("arguments after an index");
        return Some(poison(span));
    }
    let Some(stored) = tensor(cx, scope, base, span) else { return Some(poison(span)) };
    // Values of one axis have no second index, as in `j`: a bias is initialised by what is written for weights.
    let rank = cx.draw.shape.len();
    let index: Vec<Expr> = if rank < 2 { index.into_iter().take(rank).collect() } else { index };
    let shape = index.iter().map(|e| &e.shape).find(|shape| !shape.is_empty()).cloned().unwrap_or_default();
    if let Some(other) = index.iter().find(|e| !e.shape.is_empty() && e.shape != shape) {
        let title = format!("indices of {:?} and {shape:?} values do not fit", other.shape);
        cx.report(Code::E0501, other.span, title).at("another size").help("use `i`, `j`, and numbers");
        return Some(poison(span));
    }
    Some(Expr { kind: ExprKind::Element(stored, index), unit: Unit::NONE, shape, span })
}

/// `size(from, 0)`: how many elements a tensor has along an axis; none if it is not of a tensor.
pub(super) fn extent<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    args: &'a [ast::Arg],
    span: Span,
) -> Option<Expr> {
    let [of, axis] = args else { return None };
    let base = match &of.value.kind {
        ast::ExprKind::Name(path) => base(cx, scope, path)?,
        _ => named(cx, scope, &of.value)?,
    };
    let axis = expr::constant(cx, scope, &axis.value, "an axis");
    if is_poison(&base) || is_poison(&axis) || scope.place == Place::Unknown {
        return Some(poison(span));
    }
    let Some(known) = constant::eval_free(&axis).filter(|a| (0.0..8.0).contains(a) && a.fract() == 0.0)
    else {
        cx.report(Code::E0502, axis.span, "an axis is a small whole number")
            .at("not an axis")
            .help("write `size(from, 0)` for the receiving neurons, `size(from, 1)` for the sending ones");
        return Some(poison(span));
    };
    let Some(stored) = tensor(cx, scope, base, span) else { return Some(poison(span)) };
    Some(leaf(ExprKind::Extent(stored, known as usize), Unit::NONE, span))
}

/// The tensor that is meant, by default the one that is named as the parameter that gets its values; none after a message.
fn tensor<'a>(cx: &mut Cx<'a>, scope: &Scope<'a>, base: Expr, span: Span) -> Option<Stored> {
    if scope.place != Place::Init {
        cx.report(Code::E0309, span, format!("a tensor of a file in {}", scope.place.words()))
            .at("files are read for first values only")
            .help("write it in an initializer: `init mine(from) { value from[i, j] }`");
        return None;
    }
    let ExprKind::File { file, tensor } = base.kind else { return None };
    let tensor = tensor.unwrap_or_else(|| cx.draw.stream.clone());
    Some(Stored { file, tensor })
}
