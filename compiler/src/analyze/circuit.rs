//! Models and circuits: their names, made when they are first needed, so that lines may stand in any order; instances flattened
//! to dotted names. What its populations and tensors are is in `parts`, what connects them in `projection`.

use super::args::{self, Applied, Given};
use super::context::{Cx, is_poison, poison};
use super::declare::{Decl, list, twice};
use super::scope::{self, Found, Meaning, Name, Place, Scope, lookup};
use super::{chain, drive, expr, input, parts, projection};
use crate::ast::{self, CircuitItemKind};
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{self, Bounds, Expr, ModelId, Polarity};
use crate::source::Span;

/// A circuit or model that is being put in place.
pub(super) struct Level<'a> {
    /// The declaration.
    pub decl: &'a ast::Circuit,
    /// Before the names of its populations: `c.`; empty for a model.
    pub prefix: String,
    /// The circuit that it is an instance in, and its name there.
    pub parent: Option<(usize, &'a ast::Ident)>,
    params: Vec<Name<'a>>,
    entries: Vec<Entry<'a>>,
    output: State<'a>,
}

/// A name of a circuit.
struct Entry<'a> {
    name: &'a ast::Ident,
    kind: Kind<'a>,
    state: State<'a>,
    span: Span,
}

#[derive(Clone)]
enum State<'a> {
    Todo,
    Busy,
    Done(Meaning<'a>),
}

#[derive(Clone, Copy)]
enum Kind<'a> {
    Input(&'a ast::InputDecl),
    Let(&'a ast::Expr),
    Population {
        axes: &'a [ast::Expr],
        polarity: Polarity,
        neuron: &'a ast::Path,
        args: &'a [ast::Arg],
    },
    Instance {
        circuit: &'a ast::Path,
        args: &'a [ast::Arg],
    },
    Chain(&'a ast::Circuit),
    /// After a message.
    Wrong,
    Learn(&'a ast::Learn),
}

impl Kind<'_> {
    fn role(self) -> &'static str {
        match self {
            Kind::Input(_) => "input",
            Kind::Let(_) | Kind::Wrong => "let",
            Kind::Population { .. } => "population",
            Kind::Instance { .. } | Kind::Chain(_) => "circuit",
            Kind::Learn(_) => "trained tensor",
        }
    }
}

/// Adds a model to the program. Arguments are read in `scope`.
pub(super) fn model<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    decl: &'a ast::Circuit,
    args: &'a [ast::Arg],
    needs_output: bool,
) -> ModelId {
    let span = decl.name.span;
    let values = args::bind(cx, scope, Applied::new(Decl::Circuit(decl), span), args, span);
    let before = cx.begin_model(&decl.name.text, span);
    cx.within(Decl::Circuit(decl), span, |cx| {
        let level = open(cx, decl, String::new(), None, values);
        connect(cx, level);
    });
    if cx.model.outputs.is_empty() && needs_output && !outputs(decl).any(|_| true) {
        cx.report(Code::E0709, span, format!("model `{}` has no output", decl.name.text))
            .at("no `output`")
            .note("training and evaluation compare the first output with the target")
            .help("add `output y.v`");
    }
    cx.finish_model(before)
}

/// Checks a circuit that nothing uses: its inputs are not known, and nothing of it is kept.
pub(super) fn check<'a>(cx: &mut Cx<'a>, decl: &'a ast::Circuit, values: Vec<Given<'a>>) {
    let span = decl.name.span;
    let before = cx.begin_model(&decl.name.text, span);
    cx.within(Decl::Circuit(decl), span, |cx| {
        let level = open(cx, decl, String::new(), None, values);
        connect(cx, level);
    });
    cx.resume(before);
}

/// Makes the names of a circuit, and its populations and instances.
fn open<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Circuit,
    prefix: String,
    parent: Option<(usize, &'a ast::Ident)>,
    values: Vec<Given<'a>>,
) -> usize {
    let mut scope = Scope::new(Place::Constant);
    args::add_params(&mut scope, Decl::Circuit(decl), values);
    let params = scope.names.clone();
    cx.levels.push(Level { decl, prefix, parent, params, entries: Vec::new(), output: State::Todo });
    let level = cx.levels.len() - 1;
    for item in &decl.items {
        if let Some((name, kind)) = entry(cx, &mut scope, &item.kind) {
            let known = &cx.levels[level];
            let first = known.params.iter().find(|n| n.text == name.text).map(|n| n.span);
            let first =
                first.or(known.entries.iter().find(|e| e.name.text == name.text).map(|e| e.name.span));
            if let Some(first) = first {
                twice(&name.text, name.span, first, cx.diags);
                continue;
            }
            cx.levels[level].entries.push(Entry { name, kind, state: State::Todo, span: item.span });
        }
    }
    for at in 0..cx.levels[level].entries.len() {
        let is_data = decl.is_model && matches!(cx.levels[level].entries[at].kind, Kind::Input(_));
        let is_part = matches!(
            cx.levels[level].entries[at].kind,
            Kind::Population { .. } | Kind::Instance { .. } | Kind::Chain(_)
        );
        if is_data || is_part {
            meaning(cx, level, at);
        }
    }
    level
}

/// What a line declares; none if it declares nothing.
fn entry<'a>(
    cx: &mut Cx<'a>,
    params: &mut Scope<'a>,
    item: &'a CircuitItemKind,
) -> Option<(&'a ast::Ident, Kind<'a>)> {
    Some(match item {
        CircuitItemKind::Input(input) => (&input.name, Kind::Input(input)),
        CircuitItemKind::Learn(learn) => (&learn.name, Kind::Learn(learn)),
        CircuitItemKind::Population { name, axes, polarity, neuron } => {
            let polarity = match polarity.as_ref().map(|p| &p.text[..]) {
                Some("excitatory") => Polarity::Excitatory,
                Some("inhibitory") => Polarity::Inhibitory,
                _ => Polarity::Mixed,
            };
            match &neuron.kind {
                ast::ExprKind::Name(path) => {
                    (name, Kind::Population { axes, polarity, neuron: path, args: &[] })
                }
                ast::ExprKind::Call { callee, args } => {
                    (name, Kind::Population { axes, polarity, neuron: callee, args })
                }
                _ => (name, Kind::Let(neuron)),
            }
        }
        CircuitItemKind::Let { name, value, chain } => {
            let kind = match &value.kind {
                ast::ExprKind::Call { callee, args } if chain::is_meant(cx, params, callee) => {
                    chain::of(cx, params, chain.as_deref(), value.span, args).map_or(Kind::Wrong, Kind::Chain)
                }
                ast::ExprKind::Instance { callee, axes, args } => {
                    Kind::Population { axes, polarity: Polarity::Mixed, neuron: callee, args }
                }
                ast::ExprKind::Call { callee, args } => match part(cx, params, callee) {
                    Some(Decl::Circuit(_)) => Kind::Instance { circuit: callee, args },
                    Some(Decl::Neuron(_)) => {
                        Kind::Population { axes: &[], polarity: Polarity::Mixed, neuron: callee, args }
                    }
                    _ => Kind::Let(value),
                },
                ast::ExprKind::Name(path) => match part(cx, params, path) {
                    Some(Decl::Circuit(_)) => Kind::Instance { circuit: path, args: &[] },
                    Some(Decl::Neuron(_)) => {
                        Kind::Population { axes: &[], polarity: Polarity::Mixed, neuron: path, args: &[] }
                    }
                    _ => Kind::Let(value),
                },
                _ => Kind::Let(value),
            };
            (name, kind)
        }
        CircuitItemKind::Projection { .. } | CircuitItemKind::Drive { .. } | CircuitItemKind::Output(_) => {
            return None;
        }
    })
}

/// The declaration that a path names, a parameter or one of a file.
pub(super) fn part<'a>(cx: &mut Cx<'a>, params: &mut Scope<'a>, path: &'a ast::Path) -> Option<Decl<'a>> {
    match lookup(cx, params, path)? {
        Found::Decl(decl) => Some(decl),
        Found::Name(Name { meaning: Meaning::Rule(rule), .. }, []) => Some(rule.decl),
        _ => None,
    }
}

/// What a name of a circuit means; none if it has no such name.
pub(super) fn find<'a>(cx: &mut Cx<'a>, level: usize, name: &ast::Ident) -> Option<Name<'a>> {
    let known = cx.levels.get(level)?;
    if let Some(at) = known.entries.iter().position(|e| e.name.text == name.text) {
        let entry = &known.entries[at];
        let (text, role, span) = (&entry.name.text[..], entry.kind.role(), entry.name.span);
        return Some(Name { text, meaning: meaning(cx, level, at), role, span });
    }
    let param = known.params.iter().find(|n| n.text == name.text).cloned();
    match known.parent {
        Some((around, _)) if param.is_none() && known.decl.is_chain => find(cx, around, name),
        _ => param,
    }
}

/// All names of a circuit, for suggestions.
pub(super) fn names<'a>(cx: &Cx<'a>, level: usize) -> Vec<&'a str> {
    let Some(known) = cx.levels.get(level) else { return Vec::new() };
    known.params.iter().map(|n| n.text).chain(known.entries.iter().map(|e| &e.name.text[..])).collect()
}

/// The name of the first input of a circuit.
pub(super) fn first_input<'a>(cx: &Cx<'a>, level: usize) -> Option<&'a ast::Ident> {
    let entries = &cx.levels.get(level)?.entries;
    entries.iter().find(|e| matches!(e.kind, Kind::Input(_))).map(|e| e.name)
}

/// Whether a name of a circuit is an input of it.
pub(super) fn is_input(cx: &Cx, level: usize, name: &str) -> bool {
    let entries = cx.levels.get(level).map_or(&[][..], |l| &l.entries[..]);
    entries.iter().any(|e| e.name.text == name && matches!(e.kind, Kind::Input(_)))
}

/// The scope of the names of a circuit.
pub(super) fn scope_of<'a>(level: usize, place: Place) -> Scope<'a> {
    Scope { place, names: Vec::new(), level: Some(level) }
}

/// What an entry means; made when it is asked for the first time.
fn meaning<'a>(cx: &mut Cx<'a>, level: usize, at: usize) -> Meaning<'a> {
    let entry = &mut cx.levels[level].entries[at];
    match &entry.state {
        State::Done(meaning) => return meaning.clone(),
        State::Busy => {
            let (name, span) = (entry.name, entry.name.span);
            cx.report(Code::E0310, span, format!("`{}` depends on itself", name.text))
                .at("this would never end")
                .help("a population with its size written out does not depend on what reaches it");
            return Meaning::Value(poison(span));
        }
        State::Todo => entry.state = State::Busy,
    }
    let meaning = make(cx, level, at);
    cx.levels[level].entries[at].state = State::Done(meaning.clone());
    meaning
}

fn make<'a>(cx: &mut Cx<'a>, level: usize, at: usize) -> Meaning<'a> {
    let entry = &cx.levels[level].entries[at];
    let (name, kind, span) = (entry.name, entry.kind, entry.span);
    match kind {
        Kind::Input(input) if cx.levels[level].decl.is_model => {
            Meaning::Value(input::data_input(cx, level, input))
        }
        Kind::Input(input) => Meaning::Value(input::circuit_input(cx, level, input)),
        Kind::Let(value) => {
            let mut scope = scope_of(level, Place::Model);
            let value = expr::elaborate(cx, &mut scope, value);
            Meaning::Value(expr::fold(value))
        }
        Kind::Population { axes, polarity, neuron, args } => {
            parts::population(cx, level, name, (axes, polarity), neuron, args)
        }
        Kind::Instance { circuit, args } => instance(cx, level, name, circuit, args, span),
        Kind::Chain(decl) => {
            let prefix = format!("{}{}.", cx.levels[level].prefix, name.text);
            let opened = cx.within(Decl::Circuit(decl), span, |cx| {
                open(cx, decl, prefix, Some((level, name)), Vec::new())
            });
            opened.map_or_else(|| Meaning::Value(poison(span)), Meaning::Circuit)
        }
        Kind::Learn(learn) => Meaning::Value(parts::learn(cx, level, learn)),
        Kind::Wrong => Meaning::Value(poison(span)),
    }
}

fn instance<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    name: &'a ast::Ident,
    circuit: &'a ast::Path,
    args: &'a [ast::Arg],
    span: Span,
) -> Meaning<'a> {
    let mut scope = scope_of(level, Place::Constant);
    let rule = match scope::resolve(cx, &mut scope, circuit) {
        Some(Found::Decl(decl)) => Applied::new(decl, circuit.span),
        Some(Found::Name(Name { meaning: Meaning::Rule(rule), .. }, [])) => rule,
        _ => return Meaning::Value(poison(span)),
    };
    let Decl::Circuit(decl) = rule.decl else { return Meaning::Value(poison(span)) };
    if decl.is_model {
        cx.wrong_kind(circuit.span, rule.decl, "a circuit");
        return Meaning::Value(poison(span));
    }
    let values = args::bind(cx, &mut scope, rule, args, circuit.span);
    let prefix = format!("{}{}.", cx.levels[level].prefix, name.text);
    let opened = cx
        .within(Decl::Circuit(decl), circuit.span, |cx| open(cx, decl, prefix, Some((level, name)), values));
    opened.map_or_else(|| Meaning::Value(poison(span)), Meaning::Circuit)
}

/// `c`, `c.e`, `c.e.v`: a value of an instance of a circuit.
pub(super) fn value<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    rest: &'a [ast::Ident],
    place: Place,
    span: Span,
) -> Expr {
    if !matches!(place, Place::Model | Place::Job | Place::Init | Place::Unknown) {
        cx.report(Code::E0305, span, "a circuit has no value before a run")
            .at("this changes at every step")
            .note(format!("it is used in {}", place.words()));
        return poison(span);
    }
    let Some((first, rest)) = rest.split_first() else {
        return Expr { span, ..output(cx, level, span) };
    };
    let Some(name) = find(cx, level, first) else {
        let all = names(cx, level);
        let near = closest(&first.text, all.iter().copied());
        let circuit = cx.levels[level].decl;
        let title = format!("circuit `{}` has no `{}`", circuit.name.text, first.text);
        let message = cx.report(Code::E0201, first.span, title);
        message.at("unknown name").label(circuit.name.span, "declared here");
        message.help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it has {}", list(all.into_iter())),
        });
        return poison(span);
    };
    cx.used.insert(name.span);
    match (name.meaning, rest) {
        (Meaning::Value(value), []) => Expr { span, ..value },
        (Meaning::Population(pop), _) => scope::population_value(cx, place, pop, rest, span),
        (Meaning::Circuit(inner), _) => self::value(cx, inner, rest, place, span),
        (Meaning::Value(value), _) if is_poison(&value) => poison(span),
        _ => {
            cx.report(Code::E0201, span, format!("`{}` is not a value", cx.text(span)))
                .at("no value has this name");
            poison(span)
        }
    }
}

fn outputs(decl: &ast::Circuit) -> impl Iterator<Item = &ast::Expr> {
    decl.items
        .iter()
        .filter_map(|item| match &item.kind {
            CircuitItemKind::Output(values) => Some(values),
            _ => None,
        })
        .flatten()
}

/// The first output of a circuit.
fn output<'a>(cx: &mut Cx<'a>, level: usize, span: Span) -> Expr {
    match &cx.levels[level].output {
        State::Done(Meaning::Value(value)) => return value.clone(),
        State::Todo => {}
        _ => {
            cx.report(Code::E0310, span, "the output of this circuit depends on itself")
                .at("this would never end");
            return poison(span);
        }
    }
    let decl = cx.levels[level].decl;
    let Some(first) = outputs(decl).next() else {
        cx.report(Code::E0709, span, format!("circuit `{}` has no output", decl.name.text))
            .at("it has no value")
            .label(decl.name.span, "declared here")
            .help("add `output e` to the circuit, or name a population of it: `c.e`");
        return poison(span);
    };
    cx.levels[level].output = State::Busy;
    let value = expr::elaborate(cx, &mut scope_of(level, Place::Model), first);
    cx.levels[level].output = State::Done(Meaning::Value(value.clone()));
    value
}

/// Reads all lines of a circuit in order: parameters, projections, drives, outputs, and those of its instances.
fn connect<'a>(cx: &mut Cx<'a>, level: usize) {
    let decl = cx.levels[level].decl;
    let is_model = decl.is_model;
    for item in &decl.items {
        match &item.kind {
            CircuitItemKind::Projection { source, targets, kind } => {
                projection::project(cx, level, source, targets, kind.as_ref(), item.span);
            }
            CircuitItemKind::Drive { target, value } => drive::drive(cx, level, target, value),
            CircuitItemKind::Output(values) => {
                for value in values {
                    let known = expr::elaborate(cx, &mut scope_of(level, Place::Model), value);
                    if is_model && !is_poison(&known) {
                        let name = cx.text(value.span);
                        cx.model.outputs.push(hir::Output { name, value: known });
                    }
                }
            }
            CircuitItemKind::Input(ast::InputDecl { name, .. })
            | CircuitItemKind::Let { name, .. }
            | CircuitItemKind::Population { name, .. }
            | CircuitItemKind::Learn(ast::Learn { name, .. }) => {
                if let Some(Name { meaning: Meaning::Circuit(inner), .. }) = find(cx, level, name) {
                    connect(cx, inner);
                }
            }
        }
    }
}

/// Bounds of the weights that a population sends.
pub(super) fn sign_of(polarity: Polarity) -> Bounds {
    match polarity {
        Polarity::Mixed => Bounds::NONE,
        Polarity::Excitatory => Bounds { low: 0.0, ..Bounds::NONE },
        Polarity::Inhibitory => Bounds { high: 0.0, ..Bounds::NONE },
    }
}
