//! Declarations of the user's file that nothing uses: they are checked all the same; and names that nothing reads (W0201).

use super::args::{Applied, Given};
use super::context::{Cx, Draw, poison};
use super::declare::Decl;
use super::neuron::{self, Group};
use super::scope::{Meaning, Place, Scope};
use super::step::Step;
use super::{args, call, circuit, init, param, reset};
use crate::ast::{self, CircuitItemKind, ExprKind, Ident, ItemKind, NeuronItem, StmtKind};
use crate::diag::Code;
use crate::hir::Polarity;
use crate::source::Span;

/// Checks what was not put in place anywhere: with the defaults of its parameters; those without a default are not known.
pub(super) fn check<'a>(cx: &mut Cx<'a>, file: &'a ast::File) {
    for item in &file.items {
        cx.new_declaration();
        let decl = match &item.kind {
            ItemKind::Param(param) => {
                param::value(cx, param);
                continue;
            }
            ItemKind::Neuron(d) => Decl::Neuron(d),
            ItemKind::Reset(d) => Decl::Reset(d),
            ItemKind::Surrogate(d) => Decl::Surrogate(d),
            ItemKind::Fn(d) => Decl::Fn(d),
            ItemKind::Circuit(d) => Decl::Circuit(d),
            ItemKind::Init(d) => Decl::Init(d),
            _ => continue,
        };
        if !cx.visited.contains(&decl.name_span()) {
            let before = cx.begin_model("", decl.name_span());
            check_one(cx, decl);
            cx.resume(before);
        }
    }
}

fn check_one<'a>(cx: &mut Cx<'a>, decl: Decl<'a>) {
    let span = decl.name_span();
    match decl {
        Decl::Neuron(_) => {
            neuron::populate(cx, &mut Scope::new(Place::Constant), with_unknowns(decl), &[], one(span));
        }
        Decl::Reset(d) => check_reset(cx, d),
        Decl::Surrogate(_) => {
            let pop = neuron::nothing(cx, one(span));
            Step::new(pop, Scope::new(Place::Step(pop))).check_surrogate(cx, with_unknowns(decl));
        }
        Decl::Fn(d) => {
            let values = args::complete(cx, Place::Unknown, with_unknowns(decl), span);
            cx.within(decl, span, |cx| call::function(cx, Place::Unknown, d, values, span));
        }
        Decl::Circuit(d) => {
            let values = args::complete(cx, Place::Constant, with_unknowns(decl), span);
            circuit::check(cx, d, values);
        }
        Decl::Init(_) => {
            let draw =
                Draw { stream: "?".into(), shape: vec![1, 1], fan_in: 1, fan_out: 1, ..Draw::default() };
            cx.drawing(draw, |cx| {
                let values = args::complete(cx, Place::Init, with_unknowns(decl), span);
                cx.within(decl, span, |cx| init::body(cx, Place::Init, decl, values));
            });
        }
        Decl::Param(_) | Decl::Optimizer(_) | Decl::Data(_) | Decl::Builtin(_) => {}
    }
}

fn one(span: Span) -> Group {
    Group { name: "one".to_string(), shape: vec![1], polarity: Polarity::Mixed, span }
}

/// Parameters without a default have a value that fits everything.
fn with_unknowns(decl: Decl) -> Applied {
    let mut rule = Applied::new(decl, decl.name_span());
    for (param, given) in decl.params().iter().zip(&mut rule.given) {
        if param.default.is_none() {
            *given = Some(Given::Value(poison(param.name.span)));
        }
    }
    rule
}

fn check_reset<'a>(cx: &mut Cx<'a>, decl: &'a ast::Reset) {
    let span = decl.name.span;
    let pop = neuron::nothing(cx, one(span));
    cx.model.populations[pop.idx()].fires = true;
    let mut scope = Scope::new(Place::Step(pop));
    scope.add("fired", Meaning::Value(poison(span)), "spikes of the neuron", Span::NONE);
    let values = args::complete(cx, Place::Step(pop), with_unknowns(Decl::Reset(decl)), span);
    args::add_params(&mut scope, Decl::Reset(decl), values);
    reset::block(cx, &mut Step::new(pop, scope), &decl.body);
}

/// Warns of names that nothing reads, if there are no errors.
pub(super) fn warn<'a>(cx: &mut Cx<'a>, file: &'a ast::File) {
    if cx.diags.has_errors() {
        return;
    }
    for item in &file.items {
        let mut names = Vec::new();
        collect(cx, &item.kind, &mut names);
        for (name, role, also) in names {
            let is_read = cx.used.contains(&name.span) || also.is_some_and(|span| cx.used.contains(&span));
            if !is_read && !name.text.starts_with('_') {
                cx.diags
                    .report(Code::W0201, name.span, format!("nothing reads the {role} `{}`", name.text))
                    .at("not used")
                    .help(format!("leave it out, or name it `_{}` to keep it", name.text));
            }
        }
    }
}

/// A name with its role, and another place that stands for it.
type Unread<'a> = (&'a Ident, &'static str, Option<Span>);

/// The names that something should read.
fn collect<'a>(cx: &Cx<'a>, item: &'a ItemKind, names: &mut Vec<Unread<'a>>) {
    let mut params = |list: &'a [ast::ParamDecl]| {
        names.extend(list.iter().map(|param| (&param.name, "parameter", None)));
    };
    match item {
        ItemKind::Param(param) => names.push((&param.name, "param", None)),
        ItemKind::Neuron(d) => {
            params(&d.params);
            d.items.iter().for_each(|line| neuron_line(line, names));
        }
        ItemKind::Reset(d) => lets(&d.body, names),
        ItemKind::Surrogate(d) => params(&d.params),
        ItemKind::Fn(d) => {
            params(&d.params);
            names.extend(d.lets.iter().map(|(name, _)| (name, "let", None)));
        }
        ItemKind::Init(d) => {
            params(&d.params);
            names.extend(d.lets.iter().map(|(name, _)| (name, "let", None)));
        }
        ItemKind::Circuit(d) => {
            params(&d.params);
            d.items.iter().for_each(|line| circuit_line(cx, &line.kind, names));
        }
        ItemKind::Optimizer(d) => params(&d.params),
        ItemKind::Use(_) | ItemKind::Data(_) | ItemKind::Job(_) | ItemKind::Test(_) => {}
    }
}

fn neuron_line<'a>(line: &'a NeuronItem, names: &mut Vec<Unread<'a>>) {
    match line {
        NeuronItem::Input(input) => names.push((&input.name, "input", None)),
        NeuronItem::Learn(learn) if learn.fixed => names.push((&learn.name, "parameter", None)),
        NeuronItem::Learn(learn) => names.push((&learn.name, "trained parameter", None)),
        NeuronItem::Step(stmts) => lets(stmts, names),
        NeuronItem::State(_) | NeuronItem::Equation { .. } | NeuronItem::Emit(_) => {}
    }
}

fn lets<'a>(stmts: &'a [ast::Stmt], names: &mut Vec<Unread<'a>>) {
    for stmt in stmts {
        match &stmt.kind {
            StmtKind::Let { name, .. } => names.push((name, "let", Some(stmt.span))),
            StmtKind::ResetBlock(inner) => lets(inner, names),
            _ => {}
        }
    }
}

fn circuit_line<'a>(cx: &Cx<'a>, line: &'a CircuitItemKind, names: &mut Vec<Unread<'a>>) {
    match line {
        CircuitItemKind::Input(input) => names.push((&input.name, "input", None)),
        CircuitItemKind::Learn(learn) => names.push((&learn.name, "trained tensor", None)),
        CircuitItemKind::Let { name, value, chain } if chain.is_none() && !is_part(cx, value) => {
            names.push((name, "let", None))
        }
        _ => {}
    }
}

/// Whether a `let` makes a population or an instance of a circuit; those have rules of their own.
fn is_part(cx: &Cx, value: &ast::Expr) -> bool {
    match &value.kind {
        ExprKind::Instance { .. } => true,
        ExprKind::Name(path) | ExprKind::Call { callee: path, .. } => {
            let decl = cx.decls.in_file(path).or_else(|| cx.decls.in_library(path));
            matches!(decl, Some(Decl::Neuron(_) | Decl::Circuit(_)))
        }
        _ => false,
    }
}
