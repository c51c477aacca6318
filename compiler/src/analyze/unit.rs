//! Units of values: where they must agree, what to type if they do not, annotations.

use super::context::{Cx, is_poison, is_zero, poison};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::unit::DIMENSIONS;
use crate::hir::{Expr, ExprKind, Unit};
use crate::source::Span;

/// The unit of an annotation such as `time`; none after a message.
pub(super) fn of_annotation(cx: &mut Cx, name: &ast::Ident) -> Option<Unit> {
    if let Some(unit) = Unit::from_dimension_name(&name.text) {
        return Some(unit);
    }
    let names = Unit::dimension_names();
    let near = closest(&name.text, names.iter().copied());
    let meant = Unit::from_unit_name(&name.text).and_then(|(unit, _)| unit.dimension_name());
    let message = cx.report(Code::E0403, name.span, format!("`{}` is not the name of a unit", name.text));
    message.at("unknown unit");
    match near.or(meant) {
        Some(near) => message.help(format!("did you mean `{near}`?")),
        None => message.help(format!("units are named {}", super::declare::list(names.into_iter()))),
    };
    None
}

/// The value if it has this unit (a plain 0 has every unit); else poison after a message about `name`, declared at `declared`.
pub(super) fn expect(cx: &mut Cx, value: Expr, unit: Unit, name: &str, declared: Span) -> Expr {
    if is_poison(&value) || value.unit == unit {
        return value;
    }
    if is_zero(&value) {
        return Expr { unit, ..value };
    }
    let (found, span) = (value.unit, value.span);
    let message = cx.report(Code::E0401, span, format!("`{name}` is {}, not {}", a(unit), a(found)));
    message.at(format!("this is {}", a(found)));
    if declared != Span::NONE && declared != span {
        message.label(declared, format!("`{name}` is {}", a(unit)));
    }
    if let Some(help) = conversion(&value, unit) {
        message.help(help);
    }
    poison(span)
}

/// What two values have in common; zeros take the unit of the other. None after a message.
pub(super) fn common(cx: &mut Cx, what: &str, span: Span, a: &mut Expr, b: &mut Expr) -> Option<Unit> {
    if a.unit == b.unit {
        return Some(a.unit);
    }
    if is_zero(a) {
        a.unit = b.unit;
        return Some(b.unit);
    }
    if is_zero(b) {
        b.unit = a.unit;
        return Some(a.unit);
    }
    let title =
        format!("{what} wants the same unit on both sides: {} and {}", self::a(a.unit), self::a(b.unit));
    let at = if b.span == span { span } else { b.span };
    let message = cx.report(Code::E0401, at, title);
    message.at(format!("this is {}", self::a(b.unit))).label(a.span, format!("this is {}", self::a(a.unit)));
    if let Some(help) = conversion(b, a.unit).or_else(|| conversion(a, b.unit)) {
        message.help(help);
    }
    None
}

/// The value if it has no unit; else poison after a message.
pub(super) fn plain(cx: &mut Cx, value: Expr, what: &str) -> Expr {
    if is_poison(&value) || value.unit.is_none() {
        return value;
    }
    let (unit, span) = (value.unit, value.span);
    let message =
        cx.report(Code::E0402, span, format!("{what} wants a number without a unit, not {}", a(unit)));
    message.at(format!("this is {}", a(unit)));
    if let Some((_, prefixed)) = usual(unit) {
        message.help(format!("divide by a quantity of the same unit: `… / 1 {prefixed}`"));
    }
    poison(span)
}

/// "a voltage (V)", "a number", "V·s^-1"
pub(super) fn a(unit: Unit) -> String {
    match unit.dimension_name() {
        Some("number") => "a number".to_string(),
        Some(_) => format!("a {unit}"),
        None => format!("in {}", unit.symbol()),
    }
}

/// The base unit of a dimension and the one that people write most.
fn usual(unit: Unit) -> Option<(&'static str, &'static str)> {
    let base = DIMENSIONS[1..].iter().find(|row| row.2 == unit)?.1;
    let prefixed = match base {
        "s" => "ms",
        "V" => "mV",
        "A" => "pA",
        "S" => "nS",
        "F" => "pF",
        "Ohm" => "MOhm",
        "C" => "pC",
        "m" => "um",
        other => other,
    };
    Some((base, prefixed))
}

/// How to write a plain number with the unit that is wanted.
fn conversion(value: &Expr, wanted: Unit) -> Option<String> {
    let ExprKind::Const(number) = value.kind else { return None };
    if !value.unit.is_none() {
        return None;
    }
    let (base, prefixed) = usual(wanted)?;
    let (_, factor) = Unit::from_unit_name(prefixed)?;
    let text = crate::hir::print::number;
    let scaled = number * factor;
    let scaled = format!("{scaled:.12e}").parse::<f64>().unwrap_or(scaled);
    Some(match prefixed == base {
        true => format!("write `{} {base}`", text(number)),
        false => format!("write `{} {prefixed}`, or `{} {base}`", text(number), text(scaled)),
    })
}
