//! Units and shapes of operators: pointwise operations, products with weights, powers. One number fits every shape, one number for each
//! channel fits an image; other shapes must be equal.

use super::context::{Cx, is_poison, number, poison};
use super::unit;
use crate::diag::Code;
use crate::hir::constant;
use crate::hir::{Expr, ExprKind, Unit};
use crate::source::Span;
use crate::step::ops::Pw;

/// A pointwise operation; `args` has as many operands as it wants.
pub(super) fn make(cx: &mut Cx, op: Pw, mut args: Vec<Expr>, span: Span) -> Expr {
    if args.iter().any(is_poison) {
        return poison(span);
    }
    let Some(unit) = unit_of(cx, op, &mut args, span) else { return poison(span) };
    each_channel(cx, &mut args);
    let Some(shape) = shape_of(cx, op, &args, span) else { return poison(span) };
    Expr { kind: ExprKind::Pointwise(op, args), unit, shape, span }
}

/// How an operation is written, for messages.
fn written(op: Pw) -> String {
    let sign = match op {
        Pw::Add => "+",
        Pw::Sub | Pw::Neg => "-",
        Pw::Mul => "*",
        Pw::Div => "/",
        Pw::Pow => "^",
        Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne => return "a comparison".to_string(),
        other => other.info().name,
    };
    format!("`{sign}`")
}

/// The unit of the result; none after a message.
fn unit_of(cx: &mut Cx, op: Pw, args: &mut [Expr], span: Span) -> Option<Unit> {
    let computed = match (op, &mut *args) {
        (Pw::Neg | Pw::Abs | Pw::Relu, [a]) => Some(a.unit),
        (Pw::Sign, [_]) => Some(Unit::NONE),
        (Pw::Mul, [a, b]) => a.unit.mul(b.unit),
        (Pw::Div, [a, b]) => a.unit.div(b.unit),
        (Pw::Sqrt, [a]) => a.unit.sqrt(),
        (Pw::Add | Pw::Sub | Pw::Min | Pw::Max, [a, b]) => {
            return unit::common(cx, &written(op), span, a, b);
        }
        (Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne, [a, b]) => {
            return unit::common(cx, &written(op), span, a, b).map(|_| Unit::NONE);
        }
        (Pw::Select, [condition, a, b]) => {
            let condition = unit::plain(cx, condition.clone(), "the condition of `where`");
            if is_poison(&condition) {
                return None;
            }
            return unit::common(cx, &written(op), span, a, b);
        }
        _ => {
            let plain = args.iter().all(|arg| !is_poison(&unit::plain(cx, arg.clone(), &written(op))));
            return plain.then_some(Unit::NONE);
        }
    };
    if computed.is_none() {
        let title = match op {
            Pw::Sqrt => format!("the square root of {} has no unit of this language", unit::a(args[0].unit)),
            _ => "the unit of this result is too large a power".to_string(),
        };
        cx.report(Code::E0401, span, title).at("no such unit");
    }
    computed
}

/// Where an operand is an image, `[c]` values are one for each of its channels.
fn each_channel(cx: &Cx, args: &mut [Expr]) {
    let image = args.iter().find(|arg| arg.shape.len() > 1 && !is_weights(cx, arg));
    let Some(shape) = image.map(|arg| arg.shape.clone()) else { return };
    for arg in args {
        if arg.shape == shape[..1] {
            *arg = reshape(arg.clone(), &shape);
        }
    }
}

/// The shape of the result; none after a message.
fn shape_of(cx: &mut Cx, op: Pw, args: &[Expr], span: Span) -> Option<Vec<usize>> {
    let mut with_axes = args.iter().filter(|arg| !arg.shape.is_empty());
    let Some(first) = with_axes.next() else { return Some(Vec::new()) };
    for other in with_axes {
        let is_mixed = is_weights(cx, first) != is_weights(cx, other);
        if other.shape != first.shape || is_mixed {
            do_not_fit(cx, op, first, other, span);
            return None;
        }
    }
    Some(first.shape.clone())
}

fn do_not_fit(cx: &mut Cx, op: Pw, a: &Expr, b: &Expr, span: Span) {
    let weights = is_weights(cx, a) || is_weights(cx, b);
    let title = match a.shape == b.shape {
        true => "weights and the values of a population do not fit".to_string(),
        false => format!("sizes {:?} and {:?} do not fit", a.shape, b.shape),
    };
    let at = if b.span.file == span.file { b.span } else { span };
    let message = cx.report(Code::E0501, at, title);
    message.at(format!("{:?} values", b.shape)).label(a.span, format!("{:?} values", a.shape));
    message.note("values are combined one by one; only a single number fits every size");
    if weights && op == Pw::Mul {
        message
            .help("`w * x` is the product of weights with what a population sends; `.*` combines one by one");
    } else if weights {
        message.help("multiply weights with what a population sends: `w * x`");
    } else {
        message.help("a projection connects populations of different sizes: `a -> b : dense`");
    }
}

/// Whether a value of two or four axes is weights (receiving, sending neuron; of windows) and not values of a population of so many axes.
pub(super) fn is_weights(cx: &Cx, e: &Expr) -> bool {
    if !matches!(e.shape.len(), 2 | 4) {
        return false;
    }
    match &e.kind {
        ExprKind::Param(id) => cx.model.params[id.idx()].shape.len() == e.shape.len(),
        ExprKind::Local(id) => cx.matrices.contains(id),
        ExprKind::Let { body, .. } | ExprKind::Required { value: body, .. } => is_weights(cx, body),
        ExprKind::Repeat(_)
        | ExprKind::MatVec(..)
        | ExprKind::Slide { .. }
        | ExprKind::Reduce { .. }
        | ExprKind::Normalise(_) => false,
        _ => e.children().into_iter().any(|part| is_weights(cx, part)),
    }
}

/// `a * b`: the product of weights with a vector if `a` is weights, else element by element.
pub(super) fn product(cx: &mut Cx, a: Expr, b: Expr, span: Span) -> Expr {
    if is_poison(&a) || is_poison(&b) {
        return poison(span);
    }
    let is_plain = a.shape.is_empty() || b.shape.is_empty();
    match (is_weights(cx, &a), is_weights(cx, &b)) {
        _ if is_plain => make(cx, Pw::Mul, vec![a, b], span),
        (false, false) => make(cx, Pw::Mul, vec![a, b], span),
        (true, false) => weighted(cx, a, b, span),
        (false, true) => {
            let help = format!("write `{} * {}`", cx.text(b.span), cx.text(a.span));
            cx.report(Code::E0503, span, "weights stand on the left of what they weight")
                .at("weights on the right")
                .label(b.span, format!("weights {:?}: receiving, sending neurons", b.shape))
                .help(help);
            poison(span)
        }
        (true, true) => {
            cx.report(Code::E0503, span, "a product of two weight tensors")
                .at("both sides are weights")
                .help("apply one after the other: `w * (u * x)`; `.*` multiplies element by element");
            poison(span)
        }
    }
}

/// Weights `[post, pre]` times a vector of `pre` values.
fn weighted(cx: &mut Cx, w: Expr, x: Expr, span: Span) -> Expr {
    let [post, pre] = *w.shape.as_slice() else {
        cx.report(Code::E0503, span, "weights of windows are no matrix")
            .at("this product has no meaning")
            .label(w.span, format!("axes {:?}: out, in, height, width", w.shape))
            .help("a convolution is `conv(w, x)`; `.*` multiplies element by element");
        return poison(span);
    };
    let size: usize = x.shape.iter().product();
    if size != pre {
        let message = cx.report(
            Code::E0503,
            span,
            format!("weights from {pre} sending neurons do not fit {size} values"),
        );
        message.at(format!("{post} x {pre} weights, {size} values"));
        message.label(w.span, format!("axes {:?}: receiving, sending", w.shape));
        message.label(x.span, format!("{size} values"));
        if post == size {
            message.help("the axes are `[receiving, sending]`: swap them in the declaration");
        }
        return poison(span);
    }
    let Some(unit) = w.unit.mul(x.unit) else {
        cx.report(Code::E0401, span, "the unit of this result is too large a power").at("no such unit");
        return poison(span);
    };
    Expr { kind: ExprKind::MatVec(Box::new(w), Box::new(x)), unit, shape: vec![post], span }
}

/// `a ^ b`: squares, cubes and roots become products and roots.
pub(super) fn power(cx: &mut Cx, a: Expr, b: Expr, span: Span) -> Expr {
    if is_poison(&a) || is_poison(&b) {
        return poison(span);
    }
    let exponent_span = b.span;
    let b = unit::plain(cx, b, "an exponent");
    if is_poison(&b) {
        return poison(span);
    }
    let known = constant::eval_free(&b).filter(|_| b.shape.is_empty());
    let unit = match known {
        Some(exponent) => a.unit.pow(exponent),
        None if a.unit.is_none() => Some(Unit::NONE),
        None => {
            let title = format!("the exponent of {} must be a constant", unit::a(a.unit));
            cx.report(Code::E0404, exponent_span, title)
                .at("this is not a constant")
                .label(a.span, format!("this is {}", unit::a(a.unit)))
                .note("the unit of the result depends on the exponent")
                .help("divide by a quantity first, so that the base is a number without a unit");
            return poison(span);
        }
    };
    let Some(unit) = unit else {
        cx.report(Code::E0404, exponent_span, format!("this power of {} has no unit", unit::a(a.unit)))
            .at("not a whole or half power")
            .label(a.span, format!("this is {}", unit::a(a.unit)));
        return poison(span);
    };
    let b = known.map_or(b, |value| number(value, exponent_span));
    match known {
        Some(1.0) => Expr { span, ..a },
        Some(0.5) => make(cx, Pw::Sqrt, vec![a], span),
        Some(2.0) => chain(cx, a, 2, span),
        Some(3.0) => chain(cx, a, 3, span),
        _ => {
            let Some(shape) = shape_of(cx, Pw::Pow, &[a.clone(), b.clone()], span) else {
                return poison(span);
            };
            Expr { kind: ExprKind::Pointwise(Pw::Pow, vec![a, b]), unit, shape, span }
        }
    }
}

/// `a * a`, with `a` computed once.
fn chain(cx: &mut Cx, a: Expr, times: usize, span: Span) -> Expr {
    if is_leaf(&a) {
        return multiplied(cx, &a, times, span);
    }
    let local = cx.fresh("base");
    if is_weights(cx, &a) {
        cx.matrices.insert(local);
    }
    let name = Expr { kind: ExprKind::Local(local), unit: a.unit, shape: a.shape.clone(), span: a.span };
    let body = multiplied(cx, &name, times, span);
    bind_local(local, a, body)
}

fn multiplied(cx: &mut Cx, a: &Expr, times: usize, span: Span) -> Expr {
    (1..times).fold(a.clone(), |power, _| make(cx, Pw::Mul, vec![power, a.clone()], span))
}

/// `let local = value in body`
pub(super) fn bind_local(local: crate::hir::LocalId, value: Expr, body: Expr) -> Expr {
    if is_poison(&body) {
        return body;
    }
    let (unit, shape, span) = (body.unit, body.shape.clone(), body.span);
    let kind = ExprKind::Let { local, value: Box::new(value), body: Box::new(body) };
    Expr { kind, unit, shape, span }
}

/// Whether a value costs nothing to repeat.
pub(super) fn is_leaf(e: &Expr) -> bool {
    e.children().is_empty() && !matches!(e.kind, ExprKind::Random { .. })
}

/// A value in the shape of a population: the same axes, one number for all, or as many values in a row.
/// None if it does not fit.
pub(super) fn fit(value: Expr, shape: &[usize]) -> Option<Expr> {
    if value.shape.is_empty() || value.shape == shape || is_poison(&value) {
        return Some(value);
    }
    let is_row = value.shape.len() == 1 && value.shape[0] == shape.iter().product::<usize>();
    is_row.then(|| reshape(value, shape))
}

/// As many values in a row with the axes of a population.
pub(super) fn reshape(value: Expr, shape: &[usize]) -> Expr {
    if value.shape == shape {
        return value;
    }
    let (unit, span) = (value.unit, value.span);
    Expr { kind: ExprKind::Repeat(Box::new(value)), unit, shape: shape.to_vec(), span }
}
