//! W0703: an initializer of the library that changes single weights, around one that makes a matrix as a whole: what the inner one promises is
//! lost. Not here: what initializers are.

use super::context::Cx;
use super::declare::Decl;
use super::scope::{Found, Scope, lookup};
use crate::ast;
use crate::diag::Code;

/// What gives single weights another size or sign.
const CHANGE: [&str; 7] =
    ["dale", "dale_random", "distance_connect", "fixed_in", "fixed_out", "polarity", "prob_connect"];
/// What makes matrices with a property of the whole, and that property.
const WHOLE: [(&str, &str); 7] = [
    ("balanced", "rows that sum to 0"),
    ("low_rank", "a low rank"),
    ("orthogonal", "orthogonal rows or columns"),
    ("song_gamma", "a spectral radius"),
    ("song_lognormal", "a spectral radius"),
    ("spectral_radius", "a spectral radius"),
    ("spectrum", "given singular values"),
];

/// Warns of arguments that `outer` undoes.
pub(super) fn check<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, outer: Decl<'a>, args: &'a [ast::Arg]) {
    if !is_of(cx, outer, |name| CHANGE.contains(&name)) {
        return;
    }
    for arg in args {
        let (ast::ExprKind::Name(path) | ast::ExprKind::Call { callee: path, .. }) = &arg.value.kind else {
            continue;
        };
        let Some(Found::Decl(inner)) = lookup(cx, scope, path) else { continue };
        let found = WHOLE.iter().find(|(name, _)| is_of(cx, inner, |of| of == *name));
        let Some((name, property)) = found else { continue };
        let title = format!("`{}` undoes what `{name}` makes: {property}", outer.name());
        let message = cx.report(Code::W0703, arg.value.span, title);
        message.at("its weights are changed one by one");
        message.help(match *name {
            "spectral_radius" | "low_rank" | "balanced" => {
                format!("change the order: `{name}({}(…))`", outer.name())
            }
            _ => format!("leave out `{name}`, or `{}`", outer.name()),
        });
    }
}

/// Whether a declaration is one of the library with such a name.
fn is_of(cx: &Cx, decl: Decl, is: impl Fn(&str) -> bool) -> bool {
    matches!(decl, Decl::Init(_)) && is(decl.name()) && cx.decls.is_library(decl.name_span().file)
}
