//! What losses and reports read of weights: `weights("x->h.weight")`, `*.weight` and `*.bias` with `over = weights`, their first values
//! (`first(w)`), the largest singular value (`spectral_norm(w)`). Tensors that these keep are added to the model.

use super::context::{Cx, Draw, is_poison, poison};
use super::scope::{Place, Scope};
use super::{builtin, expr, init, unit};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{self, Bounds, Expr, ExprKind, ParamId, Unit, constant};
use crate::source::Span;
use std::collections::BTreeSet;

/// Each iteration is two products of the step: more would make programs too long.
const ITERATIONS_MAX: f64 = 100.0;

/// Whether a function of the language is one of these.
pub(super) fn is_of_weights(name: &str) -> bool {
    matches!(name, "weights" | "first" | "spectral_norm" | "arranged")
}

/// A call of one of them.
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    if !matches!(scope.place, Place::Job | Place::Unknown) {
        cx.report(Code::E0309, span, format!("`{name}` in {}", scope.place.words()))
            .at("only in losses and reports");
        return poison(span);
    }
    match name {
        "weights" => return named(cx, scope, args, span),
        "arranged" => return arranged(cx, scope, args, span),
        _ => {}
    }
    let is_named = |arg: &&ast::Arg, word: &str| {
        name == "spectral_norm" && arg.name.as_ref().is_some_and(|n| n.text == word)
    };
    let value_of = |word: &str| args.iter().find(|arg| is_named(arg, word)).map(|arg| &arg.value);
    let is_other = |arg: &&ast::Arg| !is_named(arg, "start") && !is_named(arg, "iterations");
    let others: Vec<&ast::Arg> = args.iter().filter(is_other).collect();
    let [arg] = others[..] else {
        cx.report(Code::E0303, span, format!("`{name}` wants weights")).at("one tensor is wanted").help(
            format!("write `{name}(weights(\"x->h.weight\"))`, or `{name}(*.weight)` with `over = weights`"),
        );
        return poison(span);
    };
    let value = expr::elaborate(cx, scope, &arg.value);
    if is_poison(&value) || scope.place == Place::Unknown {
        return poison(span);
    }
    let ExprKind::Param(of) = value.kind else {
        cx.report(Code::E0301, value.span, format!("`{name}` wants a tensor of weights"))
            .at("this is another value")
            .help("name it: `weights(\"x->h.weight\")`, or `*.weight` with `over = weights`");
        return poison(span);
    };
    match name {
        "first" => first(cx, of, span),
        _ => {
            let Some(iterations) = value_of("iterations").map_or(Some(1), |e| iterations(cx, scope, e))
            else {
                return poison(span);
            };
            spectral_norm(cx, value, of, (value_of("start"), iterations), span)
        }
    }
}

/// `arranged(x, like)`: the elements of one tensor in the order of another.
fn arranged<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let found = builtin::arguments(cx, scope, "arranged", &["x", "like"], &[], args, span);
    let Some([x, like]) = found.and_then(|values| <[Expr; 2]>::try_from(values).ok()) else {
        return poison(span);
    };
    if is_poison(&x) || is_poison(&like) || scope.place == Place::Unknown {
        return poison(span);
    }
    if let Some(other) = [&x, &like].into_iter().find(|e| !matches!(e.kind, ExprKind::Param(_))) {
        cx.report(Code::E0301, other.span, "`arranged` wants two tensors of weights")
            .at("this is another value")
            .help("name them: `arranged(first(w), w)`, where `w` is `weights(\"x->h.weight\")`");
        return poison(span);
    }
    if x.shape != like.shape {
        cx.report(Code::E0501, span, format!("sizes {:?} and {:?} do not fit", x.shape, like.shape))
            .at("as many elements are wanted of both");
        return poison(span);
    }
    let (unit, shape) = (x.unit, x.shape.clone());
    Expr { kind: ExprKind::Arranged(Box::new(x), Box::new(like)), unit, shape, span }
}

/// `weights("x->h.weight")`
fn named<'a>(cx: &mut Cx<'a>, scope: &Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let [ast::Arg { name: None, value: ast::Expr { kind: ast::ExprKind::Str(text), span: at } }] = args
    else {
        cx.report(Code::E0301, span, "`weights` wants the name of a tensor")
            .at("not a name in quotes")
            .help("write for example `weights(\"x->h.weight\")`");
        return poison(span);
    };
    if scope.place == Place::Unknown {
        return poison(span);
    }
    if let Some(at) = cx.model.params.iter().position(|param| param.name == *text) {
        return of(cx, ParamId(at as u32), span);
    }
    let names: Vec<String> = cx.model.params.iter().filter(|p| p.trained).map(|p| p.name.clone()).collect();
    let near = closest(text, names.iter().map(String::as_str)).map(String::from);
    let message = cx.report(Code::E0201, *at, format!("no tensor of the model is named `{text}`"));
    message.at("unknown tensor");
    match near {
        Some(near) => message.help(format!("did you mean `{near}`?")),
        None => message.help(format!("it has {}", super::declare::list(names.iter().map(String::as_str)))),
    };
    poison(span)
}

fn of(cx: &Cx, id: ParamId, span: Span) -> Expr {
    let param = &cx.model.params[id.idx()];
    Expr { kind: ExprKind::Param(id), unit: param.unit, shape: param.shape.clone(), span }
}

/// `first(w)`: a tensor that is not trained and starts as `w` does, from the same random numbers.
fn first(cx: &mut Cx, of_param: ParamId, span: Span) -> Expr {
    let of_first = cx.model.params[of_param.idx()].clone();
    let name = format!("{}.first", of_first.name);
    let id = kept(cx, &name, |_| hir::Param { name: name.clone(), trained: false, ..of_first });
    of(cx, id, span)
}

/// The tensor of this name, made if there is none.
fn kept<'a>(cx: &mut Cx<'a>, name: &str, make: impl FnOnce(&mut Cx<'a>) -> hir::Param) -> ParamId {
    let at = cx.model.params.iter().position(|param| param.name == name).unwrap_or_else(|| {
        let param = make(cx);
        cx.model.params.push(param);
        cx.model.params.len() - 1
    });
    ParamId(at as u32)
}

/// A number of power iterations; none after a message.
fn iterations<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Option<usize> {
    let value = expr::constant(cx, scope, e, "`iterations`");
    let value = unit::plain(cx, value, "`iterations`");
    if is_poison(&value) {
        return None;
    }
    let known =
        constant::eval_free(&value).filter(|n| (1.0..=ITERATIONS_MAX).contains(n) && n.fract() == 0.0);
    if known.is_none() {
        cx.report(Code::E0502, value.span, "`iterations` is a whole number")
            .at("not a whole number that is known")
            .help(format!("write a number from 1 to {ITERATIONS_MAX}: the more, the more exact"));
    }
    known.map(|n| n as usize)
}

/// `spectral_norm(w, start = ones, iterations = 1)`: the direction of the inputs is kept from update to update.
fn spectral_norm<'a>(
    cx: &mut Cx<'a>,
    value: Expr,
    of_param: ParamId,
    (start, iterations): (Option<&'a ast::Expr>, usize),
    span: Span,
) -> Expr {
    let [_, taps @ ..] = &value.shape[..] else { return poison(span) };
    if taps.is_empty() {
        cx.report(Code::E0501, value.span, "`spectral_norm` wants a matrix")
            .at(format!("{:?} values", value.shape))
            .help("a bias has a length: `sqrt(sum(b^2, over = population))`");
        return poison(span);
    }
    let shape = vec![taps.iter().product()];
    let name = format!("{}.direction", cx.model.params[of_param.idx()].name);
    let id = kept(cx, &name, |cx| {
        let stream = name.clone();
        let draw = Draw { stream, shape: shape.clone(), fan_in: 1, fan_out: 1, ..Draw::default() };
        let init = match start {
            Some(e) => init::first_value(cx, &mut Scope::new(Place::Init), e, draw),
            None => init::of_number(1.0, "ones", span),
        };
        let (name, unit, bounds) = (name.clone(), Unit::NONE, Bounds::NONE);
        let shape = shape.clone();
        hir::Param { name, shape, windows: false, unit, bounds, keep: None, init, trained: false, span }
    });
    let unit = value.unit;
    let kind = ExprKind::SpectralNorm { weight: Box::new(value), direction: id, iterations };
    Expr { kind, unit, shape: Vec::new(), span }
}

/// What `*.weight` or `*.bias` stands for while an expression is elaborated for each tensor; none after a message.
pub(super) fn starred(cx: &mut Cx, id: ParamId, rest: &[ast::Ident], span: Span) -> Option<Expr> {
    let known = matches!(rest, [member] if matches!(&member.text[..], "weight" | "bias"));
    if !known {
        cx.report(Code::E0201, span, "`over = weights` is over `*.weight` or `*.bias`")
            .at("neither of them")
            .help("write for example `sum(spectral(*.weight), over = weights)`");
        return None;
    }
    Some(of(cx, id, span))
}

/// The values of an expression for each trained tensor that its `*.weight`, or `*.bias`, stands for.
pub(super) fn of_each<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Vec<Expr> {
    let is_bias = expr::starred_members(e).iter().any(|member| member.text == "bias");
    let ids = if is_bias { biases(cx) } else { matrices(cx) };
    ids.into_iter()
        .map(|id| {
            let outer = cx.every_weight.replace(id);
            let value = expr::elaborate(cx, scope, e);
            cx.every_weight = outer;
            value
        })
        .collect()
}

/// Trained tensors that populations or images are multiplied with, in the order of the model.
fn matrices(cx: &Cx) -> Vec<ParamId> {
    let mut found = BTreeSet::new();
    let ports = cx.model.populations.iter().flat_map(|population| &population.ports);
    for port in ports {
        port.value.for_each(&mut |e| {
            let weight = match &e.kind {
                ExprKind::MatVec(weight, _) => Some(weight),
                ExprKind::Slide { weight, .. } => weight.as_ref(),
                _ => None,
            };
            weight.into_iter().for_each(|weight| {
                weight.for_each(&mut |e| {
                    if let ExprKind::Param(id) = e.kind {
                        found.insert(id);
                    }
                });
            });
        });
    }
    let is_trained = |id: &ParamId| {
        let param = &cx.model.params[id.idx()];
        param.trained && param.shape.len() > 1
    };
    found.into_iter().filter(is_trained).collect()
}

fn biases(cx: &Cx) -> Vec<ParamId> {
    let all = cx.model.params.iter().enumerate();
    let trained = all.filter(|(_, param)| param.trained && param.name.ends_with(".bias"));
    trained.map(|(at, _)| ParamId(at as u32)).collect()
}

/// Whether an argument is `over = weights`.
pub(super) fn is_over_weights(arg: &ast::Arg) -> bool {
    builtin::is_word(arg, "over", "weights")
}
