//! `one(N(…), port = e)`: an anonymous model with one population, and what arrives at its inputs.

use super::super::args::Applied;
use super::super::context::Cx;
use super::super::declare::Decl;
use super::super::neuron::{self, Group};
use super::super::scope::{self, Found, Meaning, Name, Place, Scope};
use super::{ONE, settings};
use crate::ast::{self, Arg, ExprKind};
use crate::diag::{Code, suggest};
use crate::hir::constant::ConstEnv;
use crate::hir::{self, Drive, DriveValues, InputId, ModelId, Output, Polarity, PopId, Unit};
use crate::source::Span;

/// The arguments of `one(…)`, if the subject of a job is that.
pub(super) fn args(subject: &ast::Expr) -> Option<&[Arg]> {
    match &subject.kind {
        ExprKind::Call { callee, args } if callee.segments.len() == 1 && callee.segments[0].text == ONE => {
            Some(args)
        }
        _ => None,
    }
}

/// Builds the model and adds it to the program.
pub(super) fn one<'a>(
    cx: &mut Cx<'a>,
    span: Span,
    args: &'a [Arg],
    env: &ConstEnv,
) -> Option<(ModelId, Vec<Drive>)> {
    let Some(Arg { name: None, value: neuron }) = args.first() else {
        not_a_neuron(cx, span, "no neuron is given");
        return None;
    };
    let (rule, neuron_args, shape) = rule(cx, neuron)?;
    let before = cx.begin_model(ONE, span);
    let group = Group { name: ONE.to_string(), shape, polarity: Polarity::Mixed, span: neuron.span };
    let pop = neuron::populate(cx, &mut Scope::new(Place::Constant), rule, neuron_args, group);
    let value = scope::emitted(cx, pop, neuron.span);
    cx.model.outputs.push(Output { name: ONE.to_string(), value });
    let mut drives = Vec::new();
    for arg in &args[1..] {
        drives.extend(drive(cx, pop, arg, env));
    }
    Some((cx.finish_model(before), drives))
}

fn not_a_neuron(cx: &mut Cx, span: Span, at: &str) {
    cx.report(Code::E0303, span, "`one` needs a neuron")
        .at(at)
        .help("write the neuron first: `one(Lif(tau = 20 ms), i = 0.1)`");
}

/// The neuron with its arguments, and the axes of the population.
pub(super) fn rule<'a>(
    cx: &mut Cx<'a>,
    neuron: &'a ast::Expr,
) -> Option<(Applied<'a>, &'a [Arg], Vec<usize>)> {
    let (path, args, axes): (&'a ast::Path, &'a [Arg], &'a [ast::Expr]) = match &neuron.kind {
        ExprKind::Name(path) => (path, &[], &[]),
        ExprKind::Call { callee, args } => (callee, args, &[]),
        ExprKind::Instance { callee, axes, args } => (callee, args, axes),
        _ => {
            not_a_neuron(cx, neuron.span, "this is not a neuron");
            return None;
        }
    };
    let rule = match scope::resolve(cx, &mut Scope::new(Place::Constant), path)? {
        Found::Decl(decl) => Applied::new(decl, path.span),
        Found::Name(Name { meaning: Meaning::Rule(rule), .. }, []) => rule,
        Found::Name(..) | Found::Language(_) => {
            not_a_neuron(cx, path.span, "this is not a neuron");
            return None;
        }
    };
    if !matches!(rule.decl, Decl::Neuron(_)) {
        cx.wrong_kind(path.span, rule.decl, "a neuron");
        return None;
    }
    let mut shape = Vec::new();
    for axis in axes {
        shape.push(settings::size(cx, axis, "the number of neurons")?);
    }
    if shape.is_empty() {
        shape.push(1);
    }
    Some((rule, args, shape))
}

/// `i = 0.1`: an input of the model that arrives at the port of that name.
fn drive<'a>(cx: &mut Cx<'a>, pop: PopId, arg: &'a Arg, env: &ConstEnv) -> Option<Drive> {
    let population = &cx.model.populations[pop.idx()];
    let ports: Vec<String> = population.ports.iter().map(|port| port.name.clone()).collect();
    let neuron = population.neuron.clone();
    let Some(name) = &arg.name else {
        let example = ports.first().map_or("i", String::as_str);
        cx.report(Code::E0303, arg.value.span, "what arrives at the neuron has the name of an input")
            .at("a name is missing")
            .help(format!("write `{example} = …`"));
        return None;
    };
    let Some(port) = ports.iter().position(|port| *port == name.text) else {
        no_port(cx, &neuron, name, &ports);
        return None;
    };
    if cx.model.inputs.iter().any(|input| input.name == name.text) {
        cx.report(Code::E0304, name.span, format!("`{}` is given twice", name.text))
            .at("second time")
            .help("remove one of them");
        return None;
    }
    let unit = cx.model.populations[pop.idx()].ports[port].unit;
    let values = values(cx, &arg.value, unit, env, &format!("input `{}`", name.text))?;
    let stream = matches!(values, DriveValues::List(_));
    let input = connect(cx, pop, port, stream, name);
    Some(Drive { input, values })
}

fn no_port(cx: &mut Cx, neuron: &str, name: &ast::Ident, ports: &[String]) {
    let near = suggest::closest(&name.text, ports.iter().map(String::as_str));
    let known = match ports {
        [] => "it has no inputs".to_string(),
        ports => format!("it has {}", super::super::declare::list(ports.iter().map(String::as_str))),
    };
    let message =
        cx.report(Code::E0706, name.span, format!("neuron `{neuron}` has no input `{}`", name.text));
    message.at("unknown input").note(known);
    if let Some(near) = near {
        message.help(format!("did you mean `{near}`?"));
    }
}

/// Makes an input that arrives at a port; what is given has no unit there, so it is multiplied by 1 of the port's unit.
fn connect(cx: &mut Cx, pop: PopId, port: usize, stream: bool, name: &ast::Ident) -> InputId {
    let input = InputId(cx.model.inputs.len() as u32);
    let population = &mut cx.model.populations[pop.idx()];
    let shape = population.shape.clone();
    let port = &mut population.ports[port];
    let expr = |kind, unit, shape| hir::Expr { kind, unit, shape, span: name.span };
    let value = expr(hir::ExprKind::Input(input), Unit::NONE, shape.clone());
    port.driven = true;
    port.value = if port.unit.is_none() {
        value
    } else {
        let one = expr(hir::ExprKind::Const(1.0), port.unit, Vec::new());
        let product = hir::ExprKind::Pointwise(crate::step::ops::Pw::Mul, vec![value, one]);
        expr(product, port.unit, shape.clone())
    };
    cx.model.inputs.push(hir::Input { name: name.text.clone(), shape, stream, span: name.span });
    input
}

/// A constant, or a list with one constant for each step.
pub(super) fn values<'a>(
    cx: &mut Cx<'a>,
    expr: &'a ast::Expr,
    unit: Unit,
    env: &ConstEnv,
    what: &str,
) -> Option<DriveValues> {
    let mut one = |item: &'a ast::Expr| {
        let value = settings::constant(cx, item)?;
        settings::with_unit(cx, &value, unit, what)?;
        settings::evaluate(cx, &value, Some(env), what)
    };
    match &expr.kind {
        ExprKind::List(items) => {
            let values: Vec<Option<f64>> = items.iter().map(one).collect();
            values.into_iter().collect::<Option<Vec<f64>>>().map(DriveValues::List)
        }
        _ => one(expr).map(DriveValues::Constant),
    }
}
