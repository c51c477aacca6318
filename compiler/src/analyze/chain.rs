//! `chain(A(64), B(32), times = 3)`: whether its parts are circuits. The parser wrote it out as a circuit of its own; `circuit` puts that in
//! place as any other.

use super::circuit::part;
use super::context::Cx;
use super::declare::Decl;
use super::scope::{self, Found, Meaning, Name, Scope};
use crate::ast::{self, CircuitItemKind, ExprKind};
use crate::diag::Code;
use crate::source::Span;

/// Whether a call is the `chain` of the language: nothing of the file has its name.
pub(super) fn is_meant<'a>(cx: &mut Cx<'a>, params: &mut Scope<'a>, callee: &'a ast::Path) -> bool {
    matches!(&callee.segments[..], [name] if name.text == "chain") && part(cx, params, callee).is_none()
}

/// The circuit of a chain; none after a message.
pub(super) fn of<'a>(
    cx: &mut Cx<'a>,
    params: &mut Scope<'a>,
    chain: Option<&'a ast::Circuit>,
    span: Span,
    args: &'a [ast::Arg],
) -> Option<&'a ast::Circuit> {
    let Some(chain) = chain else {
        let wrong = args.iter().find(|arg| arg.name.is_some());
        let at = wrong.map_or(span, |arg| arg.value.span);
        cx.report(Code::E0301, at, "this is not a chain of circuits").at("not understood").help(
            "write `chain(Layer(64), Layer(32))` or `chain(Layer(64), times = 8)`: at most 1000 circuits, `times` a number",
        );
        return None;
    };
    chain.items.iter().all(|item| is_circuit(cx, params, &item.kind)).then_some(chain)
}

fn is_circuit<'a>(cx: &mut Cx<'a>, params: &mut Scope<'a>, line: &'a CircuitItemKind) -> bool {
    let CircuitItemKind::Let { value, .. } = line else { return true };
    let found = match &value.kind {
        ExprKind::Name(path) | ExprKind::Call { callee: path, .. } => {
            match scope::resolve(cx, params, path) {
                None => return false,
                Some(Found::Decl(decl)) => Some(decl),
                Some(Found::Name(Name { meaning: Meaning::Rule(rule), .. }, [])) => Some(rule.decl),
                Some(_) => None,
            }
        }
        _ => None,
    };
    if matches!(found, Some(Decl::Circuit(decl)) if !decl.is_model) {
        return true;
    }
    cx.report(Code::E0301, value.span, format!("`{}` is not a circuit", cx.text(value.span)))
        .at("a circuit is wanted")
        .help("a chain is made of circuits, each with an `input` and an `output`: `chain(EiLayer(64), EiReadout(10))`");
    false
}
