//! What arrives at inputs: the sum of what reaches a population, `e.in = …`, and the inputs of a circuit's instance. What projections
//! deliver is in `projection`.

use super::circuit::{self, scope_of};
use super::context::{Cx, Draw, is_poison, poison};
use super::projection::size;
use super::scope::{self, Place};
use super::target::{Target, target};
use super::{expr, pointwise, unit};
use crate::ast::{self, CircuitItemKind};
use crate::diag::Code;
use crate::hir::{Expr, PopId};
use crate::source::Span;
use crate::step::ops::Pw;

/// Adds to what arrives at an input; with `only` it is all that arrives.
pub(super) fn deliver(cx: &mut Cx, pop: PopId, port: usize, value: Expr, only: bool, span: Span) {
    if let Some(&(first, by_assignment)) = cx.driven.get(&(pop, port))
        && (only || by_assignment)
    {
        let population = &cx.model.populations[pop.idx()];
        let title =
            format!("input `{}` of `{}` is driven twice", population.ports[port].name, population.name);
        cx.report(Code::E0707, span, title)
            .at("driven again")
            .label(first, "driven here")
            .note("`=` says everything that arrives at an input; projections add up")
            .help("write the sum in one `=`, or use projections only");
        return;
    }
    cx.driven.insert((pop, port), (span, only));
    let input = &cx.model.populations[pop.idx()].ports[port];
    let sum = match input.driven {
        true => {
            let before = input.value.clone();
            pointwise::make(cx, Pw::Add, vec![before, value], span)
        }
        false => value,
    };
    if !is_poison(&sum) {
        let input = &mut cx.model.populations[pop.idx()].ports[port];
        input.value = sum;
        input.driven = true;
    }
}

/// `e.in = w * x`
pub(super) fn drive<'a>(cx: &mut Cx<'a>, level: usize, path: &'a ast::Path, value: &'a ast::Expr) {
    let (pop, port) = match target(cx, level, path, None) {
        Some(Target::Port(pop, port)) => (pop, port),
        Some(Target::Circuit) => return,
        None => {
            let draw = Draw { stream: "?".into(), ..Draw::default() };
            cx.drawing(draw, |cx| expr::elaborate(cx, &mut scope_of(level, Place::Model), value));
            return;
        }
    };
    let population = &cx.model.populations[pop.idx()];
    let (shape, unit, declared) = (population.shape.clone(), population.ports[port].unit, population.span);
    let name = population.ports[port].name.clone();
    let draw =
        Draw { stream: format!("{}.{name}", population.name), shape: shape.clone(), ..Draw::default() };
    let mut scope = scope_of(level, Place::Model);
    let value = cx.drawing(draw, |cx| expr::elaborate(cx, &mut scope, value));
    let value = unit::expect(cx, value, unit, &name, declared);
    let (span, found) = (value.span, value.shape.clone());
    let is_weights = pointwise::is_weights(cx, &value);
    if is_weights {
        cx.report(Code::E0501, span, format!("weights {found:?} reach a population of {shape:?}"))
            .at("axes of receiving and sending neurons")
            .label(declared, format!("{shape:?} neurons"))
            .help(format!("for one number for each neuron write `learn w: [{}] = …`", size(&shape)));
    }
    if is_weights || is_poison(&value) {
        // Something drives it, although it is not known what.
        cx.driven.entry((pop, port)).or_insert((path.span, true));
        cx.model.populations[pop.idx()].ports[port].driven = true;
        return;
    }
    match pointwise::fit(value, &shape) {
        Some(value) => deliver(cx, pop, port, value, true, path.span),
        None => {
            let title = format!("{found:?} values reach a population of {shape:?}");
            cx.report(Code::E0501, span, title)
                .at(format!("{found:?} values"))
                .label(declared, format!("{shape:?} neurons"))
                .help("weights make the sizes fit: `learn w: [receiving, sending] = …`, `w * x`");
        }
    }
}

/// What reaches an input of a circuit's instance: `x -> c`, `c.x = …`; none if nothing does.
pub(super) fn input_of<'a>(
    cx: &mut Cx<'a>,
    parent: usize,
    instance: &'a ast::Ident,
    level: usize,
    input: &'a ast::InputDecl,
) -> Option<Expr> {
    let is_first = circuit::first_input(cx, level).is_some_and(|first| first.text == input.name.text);
    let is_meant = |path: &ast::Path| match &path.segments[..] {
        [name] => is_first && name.text == instance.text,
        [name, port] => name.text == instance.text && port.text == input.name.text,
        _ => false,
    };
    let decl = cx.levels[parent].decl;
    let mut found: Option<(Span, Driver<'a>)> = None;
    for item in &decl.items {
        let (span, driver) = match &item.kind {
            CircuitItemKind::Drive { target, value } if is_meant(target) => {
                (target.span, Driver::Value(value))
            }
            CircuitItemKind::Projection { source, targets, kind: None } if targets.iter().any(is_meant) => {
                (item.span, Driver::Path(source))
            }
            CircuitItemKind::Projection { targets, kind: Some(_), .. } if targets.iter().any(is_meant) => {
                return Some(poison(item.span));
            }
            _ => continue,
        };
        if let Some((first, _)) = &found {
            let title = format!("input `{}` of `{}` is driven twice", input.name.text, instance.text);
            cx.report(Code::E0707, span, title).at("driven again").label(*first, "driven here");
            continue;
        }
        found = Some((span, driver));
    }
    let mut scope = scope_of(parent, Place::Model);
    found.map(|(_, driver)| match driver {
        Driver::Value(e) => expr::elaborate(cx, &mut scope, e),
        Driver::Path(path) => scope::value(cx, &mut scope, path),
    })
}

enum Driver<'a> {
    Value(&'a ast::Expr),
    Path(&'a ast::Path),
}
