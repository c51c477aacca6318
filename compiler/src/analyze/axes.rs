//! Sizes of populations, inputs and tensors: constants, or the size of something that is named.

use super::circuit::value;
use super::context::{Cx, is_poison};
use super::scope::{Found, Meaning, Place, Scope, lookup};
use super::{expr, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir;
use crate::source::Span;

/// Most values of a population or tensor.
const SIZE_MAX: usize = 1 << 31;

/// The sizes of axes; none after a message. With `of_values` a population or input stands for its size.
pub(super) fn shape<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    axes: &'a [ast::Expr],
    span: Span,
    of_values: bool,
) -> Option<Vec<usize>> {
    let sizes: Vec<Option<usize>> = axes.iter().map(|axis| size(cx, scope, axis, of_values)).collect();
    let shape = sizes.into_iter().collect::<Option<Vec<usize>>>()?;
    let total = shape.iter().try_fold(1usize, |total, n| total.checked_mul(*n));
    if total.is_none_or(|total| total > SIZE_MAX) {
        let at = axes.first().map_or(span, |first| axes.iter().fold(first.span, |all, a| all.to(a.span)));
        cx.report(Code::E0502, at, "too many values").at(format!("more than {SIZE_MAX}"));
        return None;
    }
    Some(shape)
}

/// The size of an axis: a constant, or the number of values of a population or input; none after a message.
fn size<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr, of_values: bool) -> Option<usize> {
    if let (true, ast::ExprKind::Name(path)) = (of_values, &e.kind)
        && let Some(Found::Name(name, rest)) = lookup(cx, scope, path)
    {
        let values = match (&name.meaning, rest) {
            (Meaning::Population(pop), []) => Some(cx.model.populations[pop.idx()].shape.clone()),
            (Meaning::Circuit(level), _) => {
                let value = value(cx, *level, rest, Place::Model, e.span);
                if is_poison(&value) {
                    return None;
                }
                Some(value.shape)
            }
            (Meaning::Value(value), []) if is_poison(value) => return None,
            (Meaning::Value(value), []) => Some(value.shape.clone()),
            _ => None,
        };
        if let Some(shape) = values.filter(|shape| !shape.is_empty()) {
            return Some(shape.iter().product());
        }
    }
    whole(cx, scope, e, "a size", 1)
}

/// A constant whole number of `least` or more; none after a message.
pub(super) fn whole<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    e: &'a ast::Expr,
    what: &str,
    least: usize,
) -> Option<usize> {
    let number = expr::constant(cx, scope, e, what);
    let number = unit::plain(cx, number, what);
    if is_poison(&number) {
        return None;
    }
    let known = crate::hir::constant::eval_free(&number);
    let is_whole =
        |n: &f64| n.round() >= least as f64 && (n - n.round()).abs() < 1e-9 && *n <= SIZE_MAX as f64;
    let whole = known.filter(is_whole);
    if whole.is_none() {
        let text = known.map_or("not known".to_string(), hir::print::number);
        cx.report(Code::E0502, e.span, format!("{what} must be a whole number of {least} or more"))
            .at(format!("this is {text}"));
    }
    whole.map(|n| n.round() as usize)
}
