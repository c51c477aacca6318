//! `dense(sign = plus, keep = sign_flip)`, `learn w: [n, m] >= 0 keep sign_flip = …`: which sign weights have, and how updates keep it. The
//! signs that a kind of population demands are in `checks/dale`.

use super::args::{self, Applied};
use super::circuit::{scope_of, sign_of};
use super::context::{Cx, Draw, is_poison, leaf, number};
use super::declare::Decl;
use super::projection::{Line, argument};
use super::scope::{Found, Meaning, Name, Place, Scope, lookup};
use super::{call, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Bounds, Expr, ExprKind, Init, Keep, Polarity, Unit};
use crate::source::Span;

/// The rule where only `sign = initial` is given.
const DEFAULT: &str = "sign_zero";

/// What is said about the signs of weights.
pub(super) struct Signs {
    /// Kept by projection.
    pub bounds: Bounds,
    /// What an update that changes a sign is turned into.
    pub keep: Option<Keep>,
}

/// The signs of the weights of a projection; none after a message.
pub(super) fn of<'a>(cx: &mut Cx<'a>, line: &Line<'a>) -> Option<Signs> {
    let (sign, keep) = (argument(line.args, "sign"), argument(line.args, "keep"));
    let given = match sign {
        Some(e) => Some(word(cx, e)?),
        None => None,
    };
    let bounds = match given {
        Some(Some(positive)) => sign_of(if positive { Polarity::Excitatory } else { Polarity::Inhibitory }),
        _ => sign_of(line.polarity),
    };
    let is_initial = given == Some(None);
    if let (Some(e), None, false) = (keep, demanded(bounds), is_initial) {
        signless(
            cx,
            e,
            "add `sign = plus`, `sign = minus`, or `sign = initial` for the sign that each weight starts with",
        );
        return None;
    }
    let mut scope = scope_of(line.level, Place::Constant);
    let keep = kept(cx, &mut scope, keep, demanded(bounds), is_initial, line.span)?;
    Some(Signs { bounds, keep })
}

/// What `learn w: [n, m] >= 0 keep sign_flip = …` says about signs; none if it says nothing, or after a message.
pub(super) fn of_learn<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    learn: &'a ast::Learn,
    bounds: Bounds,
) -> Option<Keep> {
    let (keep, is_initial) = (learn.keep.as_ref(), learn.keeps_initial_sign);
    if learn.fixed && (keep.is_some() || is_initial) {
        cx.report(Code::E0301, keep.map_or(learn.name.span, |e| e.span), "a `param` has no sign to keep")
            .at("no update changes it")
            .help(format!("leave this out, or train it: `learn {}: …`", learn.name.text));
        return None;
    }
    if let (Some(e), None, false) = (keep, demanded(bounds), is_initial) {
        signless(
            cx,
            e,
            "add a bound such as `>= 0`, or `sign initial` for the sign that each number starts with",
        );
        return None;
    }
    scope.at(Place::Constant, |scope| kept(cx, scope, keep, demanded(bounds), is_initial, learn.name.span))?
}

/// The sign of all numbers within the bounds.
fn demanded(bounds: Bounds) -> Option<f64> {
    match (bounds.low >= 0.0, bounds.high <= 0.0) {
        (true, _) => Some(1.0),
        (_, true) => Some(-1.0),
        _ => None,
    }
}

fn signless(cx: &mut Cx, keep: &ast::Expr, help: &str) {
    cx.report(Code::E0303, keep.span, "`keep` without `sign`").at("which sign is kept?").help(help);
}

/// The rule that is given, or the default one where each number keeps its first sign; nothing (within) if there is none, and nothing at
/// all after a message.
fn kept<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    given: Option<&'a ast::Expr>,
    demanded: Option<f64>,
    is_initial: bool,
    span: Span,
) -> Option<Option<Keep>> {
    let (rule, span, text) = match given {
        Some(e) => (named(cx, scope, e)?, e.span, cx.text(e.span)),
        None if is_initial => {
            let name = ast::Ident { text: DEFAULT.to_string(), span: Span::NONE };
            let path = ast::Path { segments: vec![name], span: Span::NONE };
            (Applied::new(cx.decls.in_library(&path)?, span), span, DEFAULT.to_string())
        }
        None => return Some(None),
    };
    keep(cx, rule, span, text, demanded).map(Some)
}

/// `plus`: true, `minus`: false, `initial`: none of them.
fn word(cx: &mut Cx, e: &ast::Expr) -> Option<Option<bool>> {
    let word = match &e.kind {
        ast::ExprKind::Name(path) if path.segments.len() == 1 => &path.segments[0].text[..],
        _ => "",
    };
    match word {
        "plus" => Some(Some(true)),
        "minus" => Some(Some(false)),
        "initial" => Some(None),
        _ => {
            cx.report(Code::E0301, e.span, "`sign` is `plus`, `minus` or `initial`")
                .at("none of them")
                .help("`initial` keeps the sign that each weight has at the start");
            None
        }
    }
}

/// Reports first weights that may have the other sign than `sign` says.
pub(super) fn check_first(cx: &mut Cx, line: &Line, first: &Init, bounds: Bounds) {
    let Some(sign) = argument(line.args, "sign") else { return };
    let (wrong, right) = match (first.support.low < bounds.low, first.support.high > bounds.high) {
        (true, _) => ("negative", "`exponential(…)` and `abs(normal(…))` draw no negative weights"),
        (_, true) => ("positive", "`-exponential(…)` and `-abs(normal(…))` draw no positive weights"),
        _ => return,
    };
    let given = argument(line.args, "weight").or(argument(line.args, "init"));
    let title = format!("weights with a sign may start {wrong}");
    let text = first.text.clone();
    cx.report(Code::E0710, given.map_or(line.span, |e| e.span), title)
        .at(format!("starts as `{text}`"))
        .label(sign.span, "the sign of all weights")
        .help(right);
}

/// The function that is named, with the arguments after the first two.
fn named<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Option<Applied<'a>> {
    let (path, args): (_, &[ast::Arg]) = match &e.kind {
        ast::ExprKind::Name(path) => (Some(path), &[]),
        ast::ExprKind::Call { callee, args } => (Some(callee), args),
        _ => (None, &[]),
    };
    let found = path.and_then(|path| lookup(cx, scope, path));
    let rule = match found {
        Some(Found::Decl(decl)) => Some(Applied::new(decl, e.span)),
        Some(Found::Name(Name { meaning: Meaning::Rule(rule), .. }, [])) => Some(rule),
        _ => None,
    };
    let Some(mut rule) = rule.filter(|rule| matches!(rule.decl, Decl::Fn(f) if f.params.len() >= 2)) else {
        cx.report(Code::E0301, e.span, "`keep` names a function of a new weight and its sign")
            .at("not such a function")
            .help("name `sign_zero`, `sign_flip`, `sign_constant`, `sign_random`, or your own `fn mine(w, p) = …`");
        return None;
    };
    // Arguments that are given are those after the weight and its sign.
    let place = Expr { kind: ExprKind::Const(0.0), unit: Unit::NONE, shape: Vec::new(), span: e.span };
    for first in rule.given.iter_mut().take(2) {
        *first = Some(args::Given::Value(place.clone()));
    }
    args::fill(cx, scope, &mut rule, args);
    Some(rule)
}

/// A rule in place, with names of its own for a weight and its sign.
fn keep<'a>(
    cx: &mut Cx<'a>,
    mut rule: Applied<'a>,
    span: Span,
    text: String,
    sign: Option<f64>,
) -> Option<Keep> {
    let Decl::Fn(f) = rule.decl else { return None };
    let draw = Draw { stream: text.clone(), ..Draw::default() };
    let ((w, p, value), names) = cx.with_own_locals(|cx| {
        let (w, p) = (cx.fresh("w"), cx.fresh("p"));
        let sign = sign.map_or_else(|| leaf(ExprKind::Local(p), Unit::NONE, span), |sign| number(sign, span));
        for (given, value) in rule.given.iter_mut().zip([leaf(ExprKind::Local(w), Unit::NONE, span), sign]) {
            *given = Some(args::Given::Value(value));
        }
        let decl = rule.decl;
        let values = args::bind(cx, &mut Scope::new(Place::Update), rule, &[], span);
        let value = cx.drawing(draw, |cx| {
            cx.within(decl, span, |cx| call::function(cx, Place::Update, f, values, span))
        });
        (w, p, value)
    });
    let value = unit::plain(cx, value?, "a weight that is kept");
    (!is_poison(&value)).then_some(Keep { text, sign, w, p, value, names })
}
