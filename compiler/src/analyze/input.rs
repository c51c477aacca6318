//! Inputs of models, which come from data, and inputs of circuits, which are what reaches an instance.

use super::circuit::scope_of;
use super::context::{Cx, poison};
use super::scope::Place;
use super::{axes, drive, expr, init, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{self, Expr, ExprKind, InputId, Unit};

/// `input x: [8, 8] stream`
pub(super) fn data_input<'a>(cx: &mut Cx<'a>, level: usize, input: &'a ast::InputDecl) -> Expr {
    let span = input.name.span;
    let mut scope = scope_of(level, Place::Constant);
    init::bounds(cx, &mut scope, input.constraint.as_ref());
    if let Some(unit) = &input.unit {
        cx.report(Code::E0502, unit.span, format!("the input `{}` of a model has no size", input.name.text))
            .at("a size is wanted here")
            .help(format!("write `input {}: [64]`", input.name.text));
        return poison(span);
    }
    if let Some(default) = &input.default {
        cx.report(Code::E0301, default.span, "an input of a model has no default")
            .at("its values come from data")
            .help("leave it out; a simulation may give it: `x = 0.5`");
    }
    let Some(axes) = &input.axes else {
        cx.report(Code::E0502, span, format!("the input `{}` of a model has no size", input.name.text))
            .at("how many values?")
            .help(format!("write `input {}: [64]`", input.name.text));
        return poison(span);
    };
    let Some(shape) = axes::shape(cx, &mut scope, axes, span, false) else { return poison(span) };
    let name = input.name.text.clone();
    cx.model.inputs.push(hir::Input { name, shape: shape.clone(), stream: input.stream, span });
    let id = InputId(cx.model.inputs.len() as u32 - 1);
    Expr { kind: ExprKind::Input(id), unit: Unit::NONE, shape, span }
}

/// What reaches an input of a circuit.
pub(super) fn circuit_input<'a>(cx: &mut Cx<'a>, level: usize, input: &'a ast::InputDecl) -> Expr {
    let span = input.name.span;
    let mut scope = scope_of(level, Place::Constant);
    init::bounds(cx, &mut scope, input.constraint.as_ref());
    if let Some(axis) = input.axes.as_ref().and_then(|axes| axes.first()) {
        cx.report(Code::E0301, axis.span, "an input of a circuit has the size of what reaches it")
            .at("no size here")
            .help(format!("write `input {}`", input.name.text));
    }
    let Some((parent, instance)) = cx.levels[level].parent else { return poison(span) };
    let value = cx.outside(|cx| drive::input_of(cx, parent, instance, level, input));
    let value = match (value, &input.default) {
        (Some(value), _) => value,
        (None, Some(default)) => expr::constant(cx, &mut scope, default, "a default"),
        (None, None) => {
            let (name, circuit) = (&instance.text, &cx.levels[level].decl.name.text);
            let title = format!("nothing reaches input `{}` of `{name}`", input.name.text);
            let help = format!("add `x -> {name}.{0}`, or `{name}.{0} = …`", input.name.text);
            let at = format!("an instance of `{circuit}`");
            cx.report(Code::E0711, instance.span, title).at(at).label(span, "this input").help(help);
            poison(span)
        }
    };
    match &input.unit {
        Some(annotation) => match unit::of_annotation(cx, annotation) {
            Some(unit) => unit::expect(cx, value, unit, &input.name.text, span),
            None => poison(span),
        },
        None => value,
    }
}
