//! `let net = chain(A(64), B(32), times = 3)`: circuits one after another, written out as a circuit of its own. No names are known here:
//! whether the parts are circuits is said by `analyze`.

use crate::ast::{Arg, Circuit, CircuitItem, CircuitItemKind, Expr, ExprKind, Ident, InputDecl, Path};
use crate::source::Span;

/// Parts of a chain at most.
const MOST: usize = 1000;

/// The circuit that a value stands for, if it is written as a chain of at least one part.
pub(super) fn chain(value: &Expr) -> Option<Box<Circuit>> {
    let ExprKind::Call { callee, args } = &value.kind else { return None };
    let [name] = &callee.segments[..] else { return None };
    if name.text != "chain" {
        return None;
    }
    let parts: Vec<&Expr> = args.iter().filter(|arg| arg.name.is_none()).map(|arg| &arg.value).collect();
    let times = times(args)?;
    if parts.is_empty() || parts.len().saturating_mul(times) > MOST {
        return None;
    }
    let mut items = vec![input(value.span)];
    let mut before = ident("input", value.span);
    for (idx, part) in (0..times).flat_map(|_| &parts).enumerate() {
        let name = ident(&format!("p{}", idx + 1), part.span);
        let instance = CircuitItemKind::Let { name: name.clone(), value: (*part).clone(), chain: None };
        let projection = CircuitItemKind::Projection {
            source: path(before),
            targets: vec![path(name.clone())],
            kind: None,
        };
        items.extend([instance, projection].map(|kind| CircuitItem { kind, span: part.span }));
        before = name;
    }
    let last = Expr { span: before.span, kind: ExprKind::Name(path(before)) };
    items.push(CircuitItem { kind: CircuitItemKind::Output(vec![last]), span: value.span });
    Some(Box::new(Circuit { name: name.clone(), params: Vec::new(), is_model: false, is_chain: true, items }))
}

/// `times = 3`, 1 if it is not given; none if it is not such a number.
fn times(args: &[Arg]) -> Option<usize> {
    let mut times = 1;
    for arg in args {
        let Some(name) = &arg.name else { continue };
        match &arg.value.kind {
            ExprKind::Number { value, unit: None, .. }
                if name.text == "times" && *value >= 1.0 && value.fract() == 0.0 =>
            {
                times = *value as usize;
            }
            _ => return None,
        }
    }
    Some(times)
}

fn input(span: Span) -> CircuitItem {
    let kind = CircuitItemKind::Input(InputDecl {
        name: ident("input", span),
        unit: None,
        axes: None,
        stream: false,
        constraint: None,
        default: None,
    });
    CircuitItem { kind, span }
}

fn ident(text: &str, span: Span) -> Ident {
    Ident { text: text.to_string(), span }
}

fn path(name: Ident) -> Path {
    Path { span: name.span, segments: vec![name] }
}
