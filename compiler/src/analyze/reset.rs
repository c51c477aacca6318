//! Reset rules put in place. An assignment that does not read `fired` becomes `where(fired, new, old)`; one that does is taken
//! as written.

use super::args::{self, Applied, Given};
use super::context::{Cx, is_poison};
use super::declare::Decl;
use super::expr;
use super::pointwise;
use super::scope::{self, Found, Meaning, Name};
use super::step::{Step, state_expr};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, ExprKind, LocalId, StateId, StmtKind, Unit};
use crate::source::Span;
use crate::step::ops::Pw;
use std::collections::BTreeSet;

/// `reset { V = EL; w = w + b }`
pub(super) fn block<'a>(cx: &mut Cx<'a>, step: &mut Step<'a>, stmts: &'a [ast::Stmt]) {
    let Some(first) = stmts.first() else { return };
    if !fires(cx, step, first.span) {
        return;
    }
    let outer = step.scope.names.len();
    body(cx, step, stmts);
    step.scope.names.truncate(outer);
}

/// `reset(v, theta)`
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    step: &mut Step<'a>,
    path: &'a ast::Path,
    args: &'a [ast::Arg],
    span: Span,
) {
    let Some(mut rule) = find(cx, step, path) else { return };
    let Decl::Reset(reset) = rule.decl else { return };
    if !fires(cx, step, span) {
        return;
    }
    rule.span = span;
    let assigned: Vec<&str> = reset
        .body
        .iter()
        .filter_map(|stmt| match &stmt.kind {
            ast::StmtKind::Assign { target, .. } => Some(&target.text[..]),
            _ => None,
        })
        .collect();
    let decl = rule.decl;
    let values = args::bind(cx, &mut step.scope, rule, args, span);
    let mut names = Vec::new();
    let states: Vec<Option<StateId>> = values.iter().map(state_of).collect();
    for (at, (param, value)) in reset.params.iter().zip(values).enumerate() {
        let is_assigned = assigned.contains(&&param.name.text[..]);
        let meaning = match (is_assigned, states[at]) {
            (true, Some(state)) => Meaning::State(state),
            (true, None) => {
                needs_state(cx, reset, param, &value, span);
                let (Given::Value(Expr { span, .. }) | Given::Rule(Applied { span, .. })) = value;
                Meaning::Value(super::context::poison(span))
            }
            (false, _) => constant_in_rule(cx, step, &param.name.text, value, span),
        };
        names.push(Name { text: &param.name.text, meaning, role: "parameter", span: param.name.span });
    }
    cx.within(decl, span, |cx| {
        let own: Vec<Name> = step.scope.names.iter().filter(|name| name.text == "fired").cloned().collect();
        let outer = std::mem::replace(&mut step.scope.names, own);
        step.scope.names.extend(names);
        body(cx, step, &reset.body);
        step.scope.names = outer;
    });
}

/// The state that a value is, if it is a state by itself.
fn state_of(value: &Given) -> Option<StateId> {
    match value {
        Given::Value(Expr { kind: ExprKind::State(id), .. }) => Some(*id),
        _ => None,
    }
}

/// A parameter that the rule does not assign keeps its value while the rule runs.
fn constant_in_rule<'a>(
    cx: &mut Cx<'a>,
    step: &mut Step<'a>,
    name: &str,
    value: Given<'a>,
    span: Span,
) -> Meaning<'a> {
    let value = match value {
        Given::Value(value) => expr::fold(value),
        Given::Rule(rule) => return Meaning::Rule(rule),
    };
    let is_stable = pointwise::is_leaf(&value) && !matches!(value.kind, ExprKind::State(_));
    if is_stable || is_poison(&value) {
        return Meaning::Value(value);
    }
    let local = cx.fresh(name);
    let known =
        Expr { kind: ExprKind::Local(local), unit: value.unit, shape: value.shape.clone(), span: value.span };
    step.push(cx, StmtKind::Let(local, value), span);
    Meaning::Value(known)
}

fn needs_state<'a>(
    cx: &mut Cx<'a>,
    reset: &'a ast::Reset,
    param: &'a ast::ParamDecl,
    value: &Given<'a>,
    span: Span,
) {
    let at = match value {
        Given::Value(value) if is_poison(value) => return,
        Given::Value(value) => value.span,
        Given::Rule(rule) => rule.span,
    };
    let at = if at.file == span.file { at } else { span };
    let title = format!(
        "the reset rule `{}` assigns `{}`, which is given no state",
        reset.name.text, param.name.text
    );
    cx.report(Code::E0308, at, title)
        .at("not a state")
        .label(param.name.span, "assigned in the rule")
        .help("give a state of the neuron, for example `v`");
}

/// Whether the neuron fires; else a message.
fn fires(cx: &mut Cx, step: &Step, span: Span) -> bool {
    let fires = cx.model.populations[step.pop.idx()].fires;
    if !fires {
        cx.report(Code::E0307, span, "a reset in a neuron that does not fire")
            .at("there are no spikes")
            .help("add `fire v >= theta` before it");
    }
    fires
}

/// The reset rule that a path names; none after a message.
fn find<'a>(cx: &mut Cx<'a>, step: &mut Step<'a>, path: &'a ast::Path) -> Option<Applied<'a>> {
    let rule = match scope::resolve(cx, &mut step.scope, path)? {
        Found::Name(Name { meaning: Meaning::Rule(rule), .. }, []) => rule,
        Found::Decl(decl) => Applied::new(decl, path.span),
        Found::Name(name, _) => {
            if !matches!(&name.meaning, Meaning::Value(value) if is_poison(value)) {
                let title =
                    format!("`{}` is {}, not a reset rule", name.text, super::declare::article(name.role));
                cx.report(Code::E0301, path.span, title)
                    .at("not a reset rule")
                    .label(name.span, "declared here");
            }
            return None;
        }
        Found::Language(_) => {
            cx.report(Code::E0301, path.span, "a number is not a reset rule").at("not a reset rule");
            return None;
        }
    };
    if !matches!(rule.decl, Decl::Reset(_)) {
        cx.wrong_kind(path.span, rule.decl, "a reset rule");
        if let (Decl::Fn(_) | Decl::Builtin(_), Some(message)) = (rule.decl, cx.diags.list.last_mut()) {
            message.help("a function gives a value: `v = f(v)`");
        }
        return None;
    }
    Some(rule)
}

/// The statements of a rule, with its names in the scope of the step.
fn body<'a>(cx: &mut Cx<'a>, step: &mut Step<'a>, stmts: &'a [ast::Stmt]) {
    let mut with_fired: BTreeSet<LocalId> = BTreeSet::new();
    for stmt in stmts {
        match &stmt.kind {
            ast::StmtKind::Let { name, value } => {
                let value = expr::elaborate(cx, &mut step.scope, value);
                if is_poison(&value) {
                    step.scope.add(&name.text, Meaning::Value(value), "let", name.span);
                    continue;
                }
                let local = cx.fresh(&name.text);
                if mentions_fired(&value, &with_fired) {
                    with_fired.insert(local);
                }
                let (unit, shape) = (value.unit, value.shape.clone());
                let known = Expr { kind: ExprKind::Local(local), unit, shape, span: name.span };
                step.scope.add(&name.text, Meaning::Value(known), "let", name.span);
                step.push(cx, StmtKind::Let(local, value), stmt.span);
            }
            ast::StmtKind::Assign { target, value } => {
                let state = step.state(cx, target);
                let value = expr::elaborate(cx, &mut step.scope, value);
                let Some(state) = state else { continue };
                let Some(value) = step.state_value(cx, state, value) else { continue };
                let value = match mentions_fired(&value, &with_fired) {
                    true => value,
                    false => where_fired(cx, step, state, value),
                };
                step.push(cx, StmtKind::Assign { state, value, is_reset: true }, stmt.span);
            }
            _ => {
                cx.report(Code::E0309, stmt.span, "a reset rule holds assignments and `let`s")
                    .at("not in a reset rule");
            }
        }
    }
}

fn mentions_fired(value: &Expr, with_fired: &BTreeSet<LocalId>) -> bool {
    value.any(&mut |e| match &e.kind {
        ExprKind::Fired(_) => true,
        ExprKind::Local(id) => with_fired.contains(id),
        _ => false,
    })
}

/// The new value where the neuron fired, elsewhere the old one.
fn where_fired<'a>(cx: &mut Cx<'a>, step: &Step<'a>, state: StateId, value: Expr) -> Expr {
    let span = value.span;
    let shape = cx.model.populations[step.pop.idx()].shape.clone();
    let fired = Expr { kind: ExprKind::Fired(step.pop), unit: Unit::NONE, shape, span };
    let old = state_expr(cx, state, span);
    pointwise::make(cx, Pw::Select, vec![fired, value, old], span)
}
