//! Where projections and drives lead: an input of a population, or of an instance of a circuit.

use super::circuit::{self, scope_of};
use super::context::{Cx, is_poison};
use super::declare::{article, list};
use super::scope::{self, Meaning, Place};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::PopId;

/// Where something may be sent.
pub(super) enum Target {
    /// An input of a population.
    Port(PopId, usize),
    /// An input of a circuit; what reaches it is found when it is needed.
    Circuit,
}

/// What a path to the right of `->` or to the left of `=` means; none after a message.
pub(super) fn target<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    path: &'a ast::Path,
    into: Option<&'a ast::Expr>,
) -> Option<Target> {
    let mut scope = scope_of(level, Place::Model);
    let (mut found, mut rest) = match scope::resolve(cx, &mut scope, path)? {
        scope::Found::Name(name, rest) => (name, rest),
        scope::Found::Decl(decl) => {
            cx.wrong_kind(path.span, decl, "a population");
            return None;
        }
        scope::Found::Language(_) => {
            cx.report(Code::E0301, path.span, "a number receives nothing").at("a population is wanted");
            return None;
        }
    };
    loop {
        match (&found.meaning, rest) {
            (Meaning::Circuit(inner), []) => {
                if circuit::first_input(cx, *inner).is_none() {
                    let decl = cx.levels[*inner].decl;
                    cx.report(Code::E0706, path.span, format!("circuit `{}` has no input", decl.name.text))
                        .at("nothing can reach it")
                        .label(decl.name.span, "declared here");
                    return None;
                }
                return Some(Target::Circuit);
            }
            (Meaning::Circuit(inner), [name, more @ ..]) => {
                let inner = *inner;
                if more.is_empty() && circuit::is_input(cx, inner, &name.text) {
                    return Some(Target::Circuit);
                }
                let Some(next) = circuit::find(cx, inner, name) else {
                    no_input(cx, name, "circuit", &cx.levels[inner].decl.name, circuit::names(cx, inner));
                    return None;
                };
                (found, rest) = (next, more);
            }
            (Meaning::Population(pop), _) => return port(cx, *pop, rest, path, into),
            (Meaning::Value(value), _) if is_poison(value) => return None,
            _ => {
                let title = format!("`{}` is {}, not a population", cx.text(path.span), article(found.role));
                cx.report(Code::E0301, path.span, title)
                    .at("nothing can reach it")
                    .label(found.span, "declared here");
                return None;
            }
        }
    }
}

/// An input of a population: the one that is named, else the first; `in` is the first if no input has this name.
fn port<'a>(
    cx: &mut Cx<'a>,
    pop: PopId,
    rest: &'a [ast::Ident],
    path: &'a ast::Path,
    into: Option<&'a ast::Expr>,
) -> Option<Target> {
    let population = &cx.model.populations[pop.idx()];
    if is_poison(&population.emit) && population.ports.is_empty() {
        return None;
    }
    let into = match into.map(|e| (&e.kind, e.span)) {
        None => None,
        Some((ast::ExprKind::Name(ast::Path { segments, .. }), _)) if segments.len() == 1 => {
            Some(&segments[0])
        }
        Some((_, span)) => {
            cx.report(Code::E0706, span, "`into` names an input of the target").at("a name is wanted");
            return None;
        }
    };
    let wanted = match (rest, into) {
        ([], into) => into,
        ([name], None) => Some(name),
        ([_, more, ..], _) | ([_], Some(more)) => {
            cx.report(Code::E0706, more.span, "an input is named once").at("one name too many");
            return None;
        }
    };
    let population = &cx.model.populations[pop.idx()];
    let names: Vec<String> = population.ports.iter().map(|port| port.name.clone()).collect();
    let at = match wanted {
        None => (!names.is_empty()).then_some(0),
        Some(name) => {
            let exact = names.iter().position(|n| *n == name.text);
            exact.or((name.text == "in" && !names.is_empty()).then_some(0))
        }
    };
    if let Some(at) = at {
        return Some(Target::Port(pop, at));
    }
    let (neuron, declared) = (population.neuron.clone(), population.span);
    match wanted {
        Some(name) => {
            let near = closest(&name.text, names.iter().map(String::as_str)).map(String::from);
            let title = format!("neuron `{neuron}` has no input `{}`", name.text);
            let message = cx.report(Code::E0706, name.span, title);
            message.at("unknown input").label(declared, "the population");
            message.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None if names.is_empty() => "it has no inputs".to_string(),
                None => format!("it has {}", list(names.iter().map(String::as_str))),
            });
        }
        None => {
            cx.report(Code::E0706, path.span, format!("neuron `{neuron}` has no input"))
                .at("nothing can reach it")
                .label(declared, "the population")
                .help("declare one in the neuron: `input i`");
        }
    }
    None
}

fn no_input(cx: &mut Cx, name: &ast::Ident, kind: &str, owner: &ast::Ident, names: Vec<&str>) {
    let near = closest(&name.text, names.iter().copied()).map(String::from);
    let title = format!("{kind} `{}` has no input `{}`", owner.text, name.text);
    let message = cx.report(Code::E0706, name.span, title);
    message.at("unknown input").label(owner.span, "declared here");
    message.help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("it has {}", list(names.into_iter())),
    });
}
