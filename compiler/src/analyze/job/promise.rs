//! `verify` of an initializer: each one is a test that draws it with the defaults of its parameters, whose names the promise may use.

use super::super::args::{self, Applied};
use super::super::context::{Cx, Draw};
use super::super::declare::Decl;
use super::super::scope::{Place, Scope};
use super::draw;
use super::settings::Settings;
use crate::ast;
use crate::diag::Code;
use crate::hir::Test;

/// The tests of an initializer; none if it cannot be drawn by itself, after a message.
pub(super) fn tests<'a>(cx: &mut Cx<'a>, decl: &'a ast::Init) -> Vec<Test> {
    let Some(first) = decl.promises.first() else { return Vec::new() };
    if let Some(param) = decl.params.iter().find(|param| param.default.is_none()) {
        let (name, open) = (&decl.name.text, &param.name.text);
        cx.report(Code::E0303, first.expect.span, format!("what `{name}` promises depends on `{open}`"))
            .at("drawn without arguments")
            .label(param.name.span, "this parameter has no default")
            .help(format!("give it a default, or write a test: `draw {name}(…) for [100, 50]`, `expect …`"));
        return Vec::new();
    }
    decl.promises.iter().filter_map(|promise| test(cx, decl, promise)).collect()
}

fn test<'a>(cx: &mut Cx<'a>, decl: &'a ast::Init, promise: &'a ast::Promise) -> Option<Test> {
    let given = Settings::new(cx, &promise.draw);
    let before = cx.diags.list.len();
    let (job, w) = draw::draw(cx, &promise.draw, &given)?;
    if cx.diags.list.len() > before {
        return None;
    }
    let expect = draw::expect(cx, &job, (w, Some(decl)), &promise.expect)?;
    let span = promise.expect.span;
    let name = format!("init {}: {}", decl.name.text, cx.text(span));
    Some(Test { name, job, draws: Some(w), expects: vec![expect], span })
}

/// Names the parameters of an initializer, with the values of their defaults for what is drawn.
pub(super) fn name_params<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, decl: &'a ast::Init, draw: Draw) {
    let (rule, span) = (Decl::Init(decl), decl.name.span);
    let values = cx.drawing(draw, |cx| args::complete(cx, Place::Init, Applied::new(rule, span), span));
    args::add_params(scope, rule, values);
}
