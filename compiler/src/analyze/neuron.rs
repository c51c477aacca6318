//! A neuron put in place as a population: parameters, inputs, states, trained parameters, what it emits. Its statements are
//! in `step`.

use super::args::{self, Applied};
use super::context::{Cx, Draw, is_poison, leaf, number, poison};
use super::declare::{Decl, article, twice};
use super::scope::{Meaning, Place, Scope};
use super::step::Step;
use super::{expr, init, pointwise, running, sign, unit};
use crate::ast::{self, NeuronItem, StmtKind};
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{self, Expr, ExprKind, Polarity, PopId, Port, State, StateId, Unit};
use crate::source::Span;

/// What a population is, besides its neuron.
pub(super) struct Group {
    /// Its name in the model: `h`, `c.e`.
    pub name: String,
    /// Index axes.
    pub shape: Vec<usize>,
    /// Declared kind.
    pub polarity: Polarity,
    /// Its declaration.
    pub span: Span,
}

/// Adds a population of a neuron to the model. Arguments are read in `scope`; `rule` must be a neuron.
pub(super) fn populate<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    rule: Applied<'a>,
    args: &'a [ast::Arg],
    group: Group,
) -> PopId {
    let (decl, span) = (rule.decl, group.span);
    let values = args::bind(cx, scope, rule, args, span);
    let pop = push(cx, group, decl.name());
    let Decl::Neuron(neuron) = decl else { return pop };
    let draw = Draw {
        stream: cx.model.populations[pop.idx()].name.clone(),
        shape: cx.model.populations[pop.idx()].shape.clone(),
        ..Draw::default()
    };
    cx.within(decl, span, |cx| {
        let mut inner = Scope::new(Place::Start);
        args::add_params(&mut inner, decl, values);
        cx.drawing(draw, |cx| fill(cx, pop, neuron, inner));
    });
    pop
}

/// Adds a population without a neuron: what is left after a mistake.
pub(super) fn nothing(cx: &mut Cx, group: Group) -> PopId {
    push(cx, group, "?")
}

fn push(cx: &mut Cx, group: Group, neuron: &str) -> PopId {
    cx.model.populations.push(hir::Population {
        name: group.name,
        neuron: neuron.to_string(),
        shape: group.shape,
        polarity: group.polarity,
        ports: Vec::new(),
        states: Vec::new(),
        body: Vec::new(),
        refractory: None,
        fires: false,
        emit: poison(group.span),
        named: Vec::new(),
        running: Vec::new(),
        span: group.span,
    });
    PopId(cx.model.populations.len() as u32 - 1)
}

/// Adds a name of a neuron; a message if it has another meaning already.
pub(super) fn declare<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'a ast::Ident,
    meaning: Meaning<'a>,
    role: &'static str,
) {
    if let Some(first) =
        scope.names.iter().find(|n| n.text == name.text && !matches!(n.meaning, Meaning::Later))
    {
        let first = first.span;
        twice(&name.text, name.span, first, cx.diags);
    }
    scope.add(&name.text, meaning, role, name.span);
}

fn fill<'a>(cx: &mut Cx<'a>, pop: PopId, neuron: &'a ast::Neuron, mut scope: Scope<'a>) {
    for item in &neuron.items {
        if let NeuronItem::Learn(learn) = item {
            let value = self::learn(cx, pop, &mut scope, learn);
            let role = if learn.fixed { "parameter" } else { "trained parameter" };
            declare(cx, &mut scope, &learn.name, Meaning::Value(value), role);
        }
    }
    let states: Vec<_> = neuron
        .items
        .iter()
        .filter_map(|item| match item {
            NeuronItem::State(state) => Some((state, self::state(cx, pop, &mut scope, state))),
            _ => None,
        })
        .collect();
    for item in &neuron.items {
        if let NeuronItem::Input(input) = item {
            let value = self::input(cx, pop, &mut scope, input);
            declare(cx, &mut scope, &input.name, Meaning::Value(value), "input");
        }
    }
    for (state, id) in states {
        declare(cx, &mut scope, &state.name, Meaning::State(id), "state");
    }
    scope.place = Place::Step(pop);
    let stmts: Vec<&ast::Stmt> = neuron
        .items
        .iter()
        .filter_map(|item| match item {
            NeuronItem::Step(stmts) => Some(stmts),
            _ => None,
        })
        .flatten()
        .collect();
    if stmts.iter().any(|stmt| matches!(stmt.kind, StmtKind::Fire { .. })) {
        cx.model.populations[pop.idx()].fires = true;
        let shape = cx.model.populations[pop.idx()].shape.clone();
        let fired = Expr { kind: ExprKind::Fired(pop), unit: Unit::NONE, shape, span: Span::NONE };
        scope.add("fired", Meaning::Value(fired), "spikes of the neuron", Span::NONE);
    }
    Step::new(pop, scope).run(cx, neuron, &stmts);
}

fn shape(cx: &Cx, pop: PopId) -> Vec<usize> {
    cx.model.populations[pop.idx()].shape.clone()
}

fn dotted(cx: &Cx, pop: PopId, name: &str) -> String {
    format!("{}.{name}", cx.model.populations[pop.idx()].name)
}

/// `learn tau: neuron in [1 ms, 100 ms] = 20 ms`
fn learn<'a>(cx: &mut Cx<'a>, pop: PopId, scope: &mut Scope<'a>, learn: &'a ast::Learn) -> Expr {
    let all = shape(cx, pop);
    let span = learn.name.span;
    let own = match &learn.scope {
        ast::Scope::Name(name) => match &name.text[..] {
            "layer" => Vec::new(),
            "channel" => all.first().copied().into_iter().collect(),
            "neuron" => vec![all.iter().product()],
            other => {
                let near = closest(other, ["layer", "channel", "neuron"]);
                let message =
                    cx.report(Code::E0201, name.span, format!("`{other}` is not a scope of a parameter"));
                message.at("unknown scope");
                match near {
                    Some(near) => message.help(format!("did you mean `{near}`?")),
                    None => message.help("write `layer`, `channel` or `neuron`"),
                };
                return poison(span);
            }
        },
        ast::Scope::Axes(axes) => {
            let at = axes.first().map_or(span, |e| e.span);
            cx.report(Code::E0301, at, "a parameter of a neuron has no axes of its own")
                .at("axes are for models and circuits")
                .help("write `layer` (one number), `channel` or `neuron` (one for each)");
            return poison(span);
        }
    };
    let name = dotted(cx, pop, &learn.name.text);
    let (bounds, bound) = init::bounds(cx, scope, learn.constraint.as_ref());
    let keep = sign::of_learn(cx, scope, learn, bounds);
    let draw = Draw { stream: name.clone(), shape: own.clone(), fan_in: 1, fan_out: 1, ..Draw::default() };
    let first = match running::first(cx, scope, learn, &draw) {
        Some(first) => first,
        None => init::first_value(cx, scope, &learn.init, draw),
    };
    let param = hir::Param {
        name,
        shape: own.clone(),
        windows: false,
        unit: Unit::NONE,
        bounds,
        keep,
        init: first,
        trained: !learn.fixed,
        span,
    };
    let id = init::add_param(cx, param, None, bound);
    let unit = cx.model.params[id.idx()].unit;
    let value = Expr { kind: ExprKind::Param(id), unit, shape: own, span };
    if value.shape.is_empty() { value } else { pointwise::reshape(value, &all) }
}

/// `state v: voltage = EL`
fn state<'a>(cx: &mut Cx<'a>, pop: PopId, scope: &mut Scope<'a>, state: &'a ast::ParamDecl) -> StateId {
    let span = state.name.span;
    let name = dotted(cx, pop, &state.name.text);
    let draw = Draw { stream: format!("{name}.start"), shape: shape(cx, pop), ..Draw::default() };
    let mut init = match &state.default {
        Some(e) => cx.drawing(draw, |cx| expr::fold(expr::elaborate(cx, scope, e))),
        None => number(0.0, span),
    };
    if let Some(annotation) = &state.unit
        && let Some(unit) = unit::of_annotation(cx, annotation)
    {
        init = unit::expect(cx, init, unit, &state.name.text, span);
        if is_poison(&init) {
            init = Expr { unit, ..init };
        }
    }
    let unit = init.unit;
    if is_poison(&init) {
        init = leaf(ExprKind::Const(0.0), unit, span);
    }
    cx.model.states.push(State { name, pop, unit, init, span });
    let id = StateId(cx.model.states.len() as u32 - 1);
    cx.model.populations[pop.idx()].states.push(id);
    id
}

/// `input I: current >= 0 pA = 0 pA`
fn input<'a>(cx: &mut Cx<'a>, pop: PopId, scope: &mut Scope<'a>, input: &'a ast::InputDecl) -> Expr {
    let span = input.name.span;
    if let Some(axes) = &input.axes {
        let at = axes.first().map_or(span, |e| e.span);
        cx.report(Code::E0301, at, "an input of a neuron has no axes")
            .at("every neuron has one such input")
            .help(format!("write `input {}`", input.name.text));
    }
    let annotation = input.unit.as_ref().map(|unit| unit::of_annotation(cx, unit));
    let what = format!("the default of `{}`", input.name.text);
    let default = input.default.as_ref().map(|e| expr::constant(cx, scope, e, &what));
    let (_, bound) = init::bounds(cx, scope, input.constraint.as_ref());
    let of_default = default.as_ref().filter(|d| !is_poison(d)).map(|d| d.unit);
    let unit = annotation.flatten().or(of_default).unwrap_or(Unit::NONE);
    for value in default.clone().into_iter().chain(bound) {
        unit::expect(cx, value, unit, &input.name.text, span);
    }
    let value = default.filter(|d| !is_poison(d) && d.unit == unit);
    let value = value.unwrap_or_else(|| leaf(ExprKind::Const(0.0), unit, span));
    let (shape, ports) = (shape(cx, pop), &mut cx.model.populations[pop.idx()].ports);
    ports.push(Port { name: input.name.text.clone(), unit, value, driven: false });
    let at = ports.len() - 1;
    if annotation == Some(None) {
        return poison(span);
    }
    Expr { kind: ExprKind::Port(pop, at), unit, shape, span }
}

/// Reports a name that stands for something that cannot be assigned.
pub(super) fn not_a_state<'a>(cx: &mut Cx<'a>, target: &ast::Ident, role: &str, declared: Span) {
    let title = format!("`{}` is {}, not a state", target.text, article(role));
    let message = cx.report(Code::E0302, target.span, title);
    message.at("only states are assigned");
    if declared != Span::NONE {
        message.label(declared, "declared here");
    }
    message.note("a state lives from step to step; everything else is computed anew in each");
    message.help(format!("declare `state {} = …`, or name the new value: `let a = …`", target.text));
}
