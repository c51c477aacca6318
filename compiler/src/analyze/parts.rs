//! What a circuit consists of: its populations and its trained tensors. Its names and instances are in `circuit`.

use super::args::Applied;
use super::circuit::scope_of;
use super::context::{Cx, Draw, is_poison, poison};
use super::declare::{Decl, article};
use super::neuron::{self, Group};
use super::scope::{self, Found, Meaning, Name, Place};
use super::{axes, init, sign};
use crate::ast;
use crate::diag::Code;
use crate::hir::{self, Expr, ExprKind, Polarity, Unit};

/// `let h = Lif[128](…)`, `population h[128] excitatory: Lif(…)`
pub(super) fn population<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    name: &'a ast::Ident,
    (axes, polarity): (&'a [ast::Expr], Polarity),
    neuron: &'a ast::Path,
    args: &'a [ast::Arg],
) -> Meaning<'a> {
    let mut scope = scope_of(level, Place::Constant);
    let rule = match scope::resolve(cx, &mut scope, neuron) {
        Some(Found::Decl(decl)) => Some(Applied::new(decl, neuron.span)),
        Some(Found::Name(Name { meaning: Meaning::Rule(rule), .. }, [])) => Some(rule),
        Some(Found::Name(found, _)) => {
            if !matches!(&found.meaning, Meaning::Value(value) if is_poison(value)) {
                let title = format!("`{}` is {}, not a neuron", cx.text(neuron.span), article(found.role));
                cx.report(Code::E0301, neuron.span, title).at("a neuron is wanted");
            }
            None
        }
        Some(Found::Language(_)) => {
            cx.report(Code::E0301, neuron.span, "a number is not a neuron").at("a neuron is wanted");
            None
        }
        None => None,
    };
    if axes.is_empty() {
        let text = cx.text(neuron.span);
        cx.report(Code::E0502, neuron.span, format!("the population `{}` has no size", name.text))
            .at("how many neurons?")
            .help(format!("write `{text}[128]`"));
    }
    let shape = if axes.is_empty() { None } else { axes::shape(cx, &mut scope, axes, name.span, false) };
    let is_known = shape.is_some();
    let group = Group {
        name: format!("{}{}", cx.levels[level].prefix, name.text),
        shape: shape.unwrap_or_else(|| vec![1]),
        polarity,
        span: name.span,
    };
    let pop = match rule {
        Some(rule) if matches!(rule.decl, Decl::Neuron(_)) => {
            neuron::populate(cx, &mut scope, rule, args, group)
        }
        Some(rule) => {
            cx.wrong_kind(neuron.span, rule.decl, "a neuron");
            if let (Decl::Circuit(_), Some(message)) = (rule.decl, cx.diags.list.last_mut()) {
                message.help("an instance of a circuit has no axes: `let c = C(…)`");
            }
            return Meaning::Value(poison(name.span));
        }
        None => neuron::nothing(cx, group),
    };
    // Its neuron may have been refused; its size, and perhaps its states and inputs, are known all the same.
    if is_known { Meaning::Population(pop) } else { Meaning::Value(poison(name.span)) }
}

/// `learn w: [n, m] >= 0 = init`
pub(super) fn learn<'a>(cx: &mut Cx<'a>, level: usize, learn: &'a ast::Learn) -> Expr {
    let span = learn.name.span;
    let mut scope = scope_of(level, Place::Constant);
    let (bounds, bound) = init::bounds(cx, &mut scope, learn.constraint.as_ref());
    let keep = sign::of_learn(cx, &mut scope, learn, bounds);
    let own = match &learn.scope {
        ast::Scope::Axes(axes) => axes::shape(cx, &mut scope, axes, span, true),
        ast::Scope::Name(name) if name.text == "layer" => Some(Vec::new()),
        ast::Scope::Name(name) => {
            let title = format!(
                "`{}` has no meaning in a {}",
                name.text,
                Decl::Circuit(cx.levels[level].decl).kind()
            );
            cx.report(Code::E0301, name.span, title).at("axes are wanted here").help(format!(
                "write `learn {}: [receiving, sending] = …`, or `layer` for one number",
                learn.name.text
            ));
            None
        }
    };
    let is_known = own.is_some();
    let own = own.unwrap_or_default();
    let [fan_in, fan_out] = fans(&own);
    let stream = format!("{}{}", cx.levels[level].prefix, learn.name.text);
    let draw = Draw { stream, shape: own.clone(), fan_in, fan_out, ..Draw::default() };
    let name = draw.stream.clone();
    scope.place = Place::Init;
    let init = init::first_value(cx, &mut scope, &learn.init, draw);
    if !is_known {
        return poison(span);
    }
    let param = hir::Param {
        name,
        shape: own.clone(),
        windows: own.len() == 4,
        unit: Unit::NONE,
        bounds,
        keep,
        init,
        trained: !learn.fixed,
        span,
    };
    let id = init::add_param(cx, param, None, bound);
    Expr { kind: ExprKind::Param(id), unit: cx.model.params[id.idx()].unit, shape: own, span }
}

/// Synapses of a receiving and of a sending neuron for weights `[post, pre]` or `[out, in, height, width]`.
pub(super) fn fans(shape: &[usize]) -> [usize; 2] {
    match *shape {
        [post, pre] => [pre, post],
        [out, of_group, height, width] => [of_group * height * width, out * height * width],
        _ => [1, 1],
    }
}
