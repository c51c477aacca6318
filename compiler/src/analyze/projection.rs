//! Projections: their kinds, arguments and weights, and what they deliver. Other ways to an input are in `drive`.

use super::circuit::{scope_of, sign_of};
use super::context::{Cx, Draw, is_poison, leaf};
use super::declare::list;
use super::drive::deliver;
use super::scope::{self, Place};
use super::target::{Target, target};
use super::{expr, init, pointwise, sign, spatial, unit};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{self, Bounds, Expr, ExprKind, Init, ParamId, Polarity, PopId, Source, Unit, constant};
use crate::source::Span;
use crate::step::ops::Pw;
use snn_runtime::windows::Windows;

/// Parameters of each kind of projection; the kernel, if it has one, may stand first without its name.
const KINDS: [(&str, &[&str]); 5] = [
    ("dense", &["init", "bias", "weight", "sign", "keep", "delay", "into", "learn"]),
    ("one_to_one", &["weight", "delay", "into"]),
    (
        "conv",
        &[
            "kernel", "stride", "padding", "border", "groups", "init", "bias", "weight", "sign", "keep",
            "delay", "into", "learn",
        ],
    ),
    ("avg_pool", &["kernel", "stride", "padding", "border", "delay", "into"]),
    ("max_pool", &["kernel", "stride", "padding", "border", "delay", "into"]),
];

/// A projection of a line: one source, one target.
pub(super) struct Line<'a> {
    pub level: usize,
    pub kind: &'static str,
    pub args: &'a [ast::Arg],
    name: String,
    pub source: Expr,
    pub polarity: Polarity,
    pub target: PopId,
    pub port: usize,
    delay: Expr,
    pub span: Span,
}

/// What a projection delivers.
pub(super) struct Made {
    pub value: Expr,
    /// The weights, if they are a tensor.
    pub weight: Option<ParamId>,
    /// Of a convolution or pooling.
    pub over: Option<Windows>,
}

/// `a -> {b, c} : dense(…)`
pub(super) fn project<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    source: &'a ast::Path,
    targets: &'a [ast::Path],
    kind: Option<&'a ast::Expr>,
    span: Span,
) {
    let value = scope::value(cx, &mut scope_of(level, Place::Model), source);
    let Some(kind) = kind else {
        for path in targets {
            without_kind(cx, level, source, path);
        }
        return;
    };
    let known = kind_of(cx, kind);
    for path in targets {
        let into = known.and_then(|(_, args)| argument(args, "into"));
        let found = target(cx, level, path, into);
        let Some((kind, args)) = known else { continue };
        match found {
            Some(Target::Port(pop, port)) if !is_poison(&value) => {
                let line = line(cx, level, kind, args, source, &value, (pop, port), span);
                line.into_iter().for_each(|line| connect(cx, line));
            }
            Some(Target::Port(..)) | None => look_at(cx, level, args),
            Some(Target::Circuit) => {
                let (from, to) = (cx.text(source.span), cx.text(path.span));
                cx.report(Code::E0705, path.span, format!("`{to}` is a circuit: its own weights receive"))
                    .at("no kind of projection here")
                    .help(format!("write `{from} -> {to}`"));
            }
        }
    }
}

/// Checks the names in the arguments of a projection whose source or target is not known.
fn look_at<'a>(cx: &mut Cx<'a>, level: usize, args: &'a [ast::Arg]) {
    for name in ["init", "bias", "weight", "delay"] {
        let Some(e) = argument(args, name) else { continue };
        let draw = Draw { stream: "?".into(), shape: vec![1, 1], fan_in: 1, fan_out: 1, ..Draw::default() };
        cx.drawing(draw, |cx| expr::elaborate(cx, &mut scope_of(level, Place::Init), e));
    }
}

fn without_kind<'a>(cx: &mut Cx<'a>, level: usize, source: &'a ast::Path, path: &'a ast::Path) {
    if let Some(Target::Port(..)) = target(cx, level, path, None) {
        let (from, to) = (cx.text(source.span), cx.text(path.span));
        cx.report(Code::E0705, path.span, format!("a projection to population `{to}` without a kind"))
            .at("how are they connected?")
            .help(format!("write `{from} -> {to} : dense`, or `: one_to_one`"));
    }
}

/// The kind of a projection and its arguments; none after a message.
fn kind_of<'a>(cx: &mut Cx<'a>, kind: &'a ast::Expr) -> Option<(&'static str, &'a [ast::Arg])> {
    let (path, args): (_, &[ast::Arg]) = match &kind.kind {
        ast::ExprKind::Name(path) => (path, &[]),
        ast::ExprKind::Call { callee, args } => (callee, args),
        _ => {
            cx.report(Code::E0705, kind.span, "a projection names its kind")
                .help("write `: dense` or `: one_to_one`");
            return None;
        }
    };
    let text = path.segments.iter().map(|s| &s.text[..]).collect::<Vec<_>>().join(".");
    let Some((name, params)) = KINDS.iter().find(|row| row.0 == text) else {
        let near = closest(&text, KINDS.iter().map(|row| row.0));
        let message = cx.report(Code::E0705, path.span, format!("there is no projection `{text}`"));
        message.at("unknown kind of projection");
        message.help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("the kinds are {}", list(KINDS.iter().map(|row| row.0))),
        });
        return None;
    };
    check_args(cx, name, params, args).then_some((*name, args))
}

fn check_args(cx: &mut Cx, kind: &str, params: &[&str], args: &[ast::Arg]) -> bool {
    let before = cx.diags.list.len();
    for (at, arg) in args.iter().enumerate() {
        let Some(name) = &arg.name else {
            if at == 0 && params.first() == Some(&"kernel") {
                continue;
            }
            cx.report(Code::E0304, arg.value.span, "arguments of a projection are given by name")
                .at("which argument?")
                .help(format!("`{kind}` takes {}", list(params.iter().copied())));
            continue;
        };
        if !params.contains(&&name.text[..]) {
            let near = closest(&name.text, params.iter().copied());
            let title = format!("`{kind}` has no argument `{}`", name.text);
            let message = cx.report(Code::E0205, name.span, title);
            message.at("unknown argument");
            message.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("it takes {}", list(params.iter().copied())),
            });
        }
        let is_same = |a: &&ast::Arg| a.name.as_ref().map_or("kernel", |n| &n.text[..]) == name.text;
        if let Some(first) = args[..at].iter().find(is_same) {
            let first = first.name.as_ref().map_or(first.value.span, |n| n.span);
            cx.report(Code::E0304, name.span, format!("`{}` is given twice", name.text))
                .at("given again")
                .label(first, "given here");
        }
    }
    if let (Some(weight), Some(init)) = (argument(args, "weight"), argument(args, "init")) {
        cx.report(Code::E0304, init.span, "`weight` and `init` are given")
            .at("one of them is enough")
            .label(weight.span, "`weight`: fixed weights")
            .note("`weight` says that the weights are not trained, `init` where training starts");
    }
    cx.diags.list.len() == before
}

/// The value of an argument.
pub(super) fn argument<'a>(args: &'a [ast::Arg], name: &str) -> Option<&'a ast::Expr> {
    let unnamed = args.first().filter(|arg| arg.name.is_none() && name == "kernel");
    let named = args.iter().find(|arg| arg.name.as_ref().is_some_and(|n| n.text == name));
    named.or(unnamed).map(|arg| &arg.value)
}

/// A line with its name, source and delay; none after a message.
#[allow(clippy::too_many_arguments)]
fn line<'a>(
    cx: &mut Cx<'a>,
    level: usize,
    kind: &'static str,
    args: &'a [ast::Arg],
    path: &'a ast::Path,
    source: &Expr,
    (target, port): (PopId, usize),
    span: Span,
) -> Option<Line<'a>> {
    if origin(source).is_none() {
        let title = format!(
            "`{}` changes at no step: a projection starts at a population or an input",
            cx.text(path.span)
        );
        cx.report(Code::E0301, path.span, title).at("a population is wanted");
        return None;
    }
    let mut scope = scope_of(level, Place::Constant);
    let delay = match argument(args, "delay") {
        Some(e) => expr::constant(cx, &mut scope, e, "a delay"),
        None => leaf(ExprKind::Const(0.0), Unit::TIME, span),
    };
    let delay = unit::expect(cx, delay, Unit::TIME, "a delay", Span::NONE);
    if is_poison(&delay) {
        return None;
    }
    let from = format!("{}{}", cx.levels[level].prefix, cx.text(path.span));
    let base = format!("{from}->{}", cx.model.populations[target.idx()].name);
    let mut name = base.clone();
    let mut count = 1;
    while cx.model.projections.iter().any(|p| p.name == name) {
        count += 1;
        name = format!("{base}#{count}");
    }
    let polarity = match sender(source) {
        Some(pop) => cx.model.populations[pop.idx()].polarity,
        None => Polarity::Mixed,
    };
    let value = match delay.kind {
        ExprKind::Const(0.0) => source.clone(),
        _ => Expr {
            kind: ExprKind::Delayed { value: Box::new(source.clone()), delay: Box::new(delay.clone()) },
            ..source.clone()
        },
    };
    Some(Line { level, kind, args, name, source: value, polarity, target, port, delay, span })
}

/// The first input or population that a value comes from.
fn origin(e: &Expr) -> Option<Source> {
    match &e.kind {
        ExprKind::Input(id) => Some(Source::Input(*id)),
        ExprKind::Emit(pop) | ExprKind::Trace(pop, _) => Some(Source::Population(*pop)),
        _ => e.children().into_iter().find_map(origin),
    }
}

/// The population whose output or value this is.
fn sender(e: &Expr) -> Option<PopId> {
    match &e.kind {
        ExprKind::Emit(pop) | ExprKind::Trace(pop, _) => Some(*pop),
        ExprKind::Repeat(value) | ExprKind::Detach(value) | ExprKind::Delayed { value, .. } => sender(value),
        _ => None,
    }
}

/// Adds what a projection delivers to its target.
fn connect<'a>(cx: &mut Cx<'a>, line: Line<'a>) {
    let Some(source) = origin(&line.source) else { return };
    let made = match line.kind {
        "dense" => dense(cx, &line),
        "one_to_one" => one_to_one(cx, &line),
        "conv" => spatial::conv(cx, &line),
        _ => spatial::pool(cx, &line),
    };
    let Some(Made { value, weight, over }) = made else { return };
    let (target, port, span) = (line.target, line.port, line.span);
    cx.model.projections.push(hir::Projection {
        name: line.name,
        source,
        target,
        port,
        kind: line.kind,
        over,
        weight,
        delay: line.delay,
        span,
    });
    deliver(cx, target, port, value, false, span);
}

pub(super) fn size(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// `dense`: every neuron of the source to every neuron of the target.
fn dense<'a>(cx: &mut Cx<'a>, line: &Line<'a>) -> Option<Made> {
    let (post, pre) = (size(&cx.model.populations[line.target.idx()].shape), size(&line.source.shape));
    let fans = [pre, post];
    let x = Box::new(line.source.clone());
    weighted(cx, line, vec![post, pre], fans, None, |w| ExprKind::MatVec(Box::new(w), x))
}

/// A projection with weights of some shape, first axis `post` or channels, and a bias for each of these; `fans` are in and out.
pub(super) fn weighted<'a>(
    cx: &mut Cx<'a>,
    line: &Line<'a>,
    shape: Vec<usize>,
    fans: [usize; 2],
    over: Option<Windows>,
    product: impl FnOnce(Expr) -> ExprKind,
) -> Option<Made> {
    let (population, span) = (&cx.model.populations[line.target.idx()], line.span);
    let (to, port_unit) = (population.shape.clone(), population.ports[line.port].unit);
    let is_trained = learns(cx, line.args)?;
    let signs = sign::of(cx, line)?;
    let (given, is_fixed) = match argument(line.args, "weight") {
        Some(e) => (Some(e), true),
        None => (argument(line.args, "init"), false),
    };
    let draw = |what: &str, shape: Vec<usize>| Draw {
        stream: format!("{}.{what}", line.name),
        shape,
        fan_in: fans[0],
        fan_out: fans[1],
        into: Some((line.target, line.port)),
        over: over.filter(|_| what == "weight"),
        ..Draw::default()
    };
    let first = first_weights(cx, line, given, draw("weight", shape.clone()));
    sign::check_first(cx, line, &first, signs.bounds);
    let unit = port_unit.div(line.source.unit).unwrap_or_default();
    let weight = tensor(cx, line, "weight", shape.clone(), unit, first, is_trained && !is_fixed);
    let param = &mut cx.model.params[weight.idx()];
    (param.windows, param.bounds, param.keep) = (over.is_some(), signs.bounds, signs.keep);
    let post = vec![shape[0]];
    let w = Expr { kind: ExprKind::Param(weight), unit, shape, span };
    let kind = product(w);
    let mut value = Expr { kind, unit: port_unit, shape: to.clone(), span };
    if let Some(e) = argument(line.args, "bias") {
        let mut scope = scope_of(line.level, Place::Init);
        let first = init::first_value(cx, &mut scope, e, draw("bias", post.clone()));
        let bias = tensor(cx, line, "bias", post.clone(), port_unit, first, is_trained);
        let row = Expr { kind: ExprKind::Param(bias), unit: port_unit, shape: post, span: e.span };
        value = pointwise::make(cx, Pw::Add, vec![value, pointwise::reshape(row, &to)], span);
    }
    Some(Made { value, weight: Some(weight), over })
}

/// First weights as given, else those of `kaiming_normal`.
fn first_weights<'a>(cx: &mut Cx<'a>, line: &Line<'a>, given: Option<&'a ast::Expr>, draw: Draw) -> Init {
    let mut scope = scope_of(line.level, Place::Init);
    match given {
        Some(e) => init::first_value(cx, &mut scope, e, draw),
        None => init::by_default(cx, line.span, draw),
    }
}

/// `learn = false`; none after a message.
fn learns<'a>(cx: &mut Cx<'a>, args: &'a [ast::Arg]) -> Option<bool> {
    let Some(e) = argument(args, "learn") else { return Some(true) };
    let word = match &e.kind {
        ast::ExprKind::Name(path) if path.segments.len() == 1 => &path.segments[0].text[..],
        ast::ExprKind::Number { text, unit: None, .. } => &text[..],
        _ => "",
    };
    match word {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => {
            cx.report(Code::E0301, e.span, "`learn` of a projection is `true` or `false`")
                .at("neither of them");
            None
        }
    }
}

/// Adds a parameter of a projection.
fn tensor(
    cx: &mut Cx,
    line: &Line,
    what: &str,
    shape: Vec<usize>,
    unit: Unit,
    init: Init,
    trained: bool,
) -> ParamId {
    let bounds = if what == "weight" { sign_of(line.polarity) } else { Bounds::NONE };
    let name = format!("{}.{what}", line.name);
    let span = line.span;
    let param = hir::Param { name, shape, windows: false, unit, bounds, keep: None, init, trained, span };
    init::add_param(cx, param, Some(unit), None)
}

/// `one_to_one`: each neuron of the source to the one of the target with the same index.
fn one_to_one<'a>(cx: &mut Cx<'a>, line: &Line<'a>) -> Option<Made> {
    let made = |value, weight| Some(Made { value, weight, over: None }).filter(|m| !is_poison(&m.value));
    let population = &cx.model.populations[line.target.idx()];
    let (shape, declared) = (population.shape.clone(), population.span);
    let (port, name) = (&population.ports[line.port], population.name.clone());
    let (port_unit, port_name) = (port.unit, port.name.clone());
    let (post, pre) = (size(&shape), size(&line.source.shape));
    if post != pre {
        cx.report(Code::E0708, line.span, format!("`one_to_one` from {pre} to {post} neurons"))
            .at("the sizes differ")
            .label(declared, format!("`{name}` has {post}"))
            .help("`dense` connects populations of different sizes");
        return None;
    }
    let x = match line.source.shape == shape {
        true => line.source.clone(),
        false => pointwise::reshape(line.source.clone(), &shape),
    };
    let unit = port_unit.div(x.unit).unwrap_or_default();
    let Some(e) = argument(line.args, "weight") else {
        let value = unit::expect(cx, x, port_unit, &port_name, declared);
        return made(value, None);
    };
    let mut scope = scope_of(line.level, Place::Init);
    let draw = Draw {
        stream: format!("{}.weight", line.name),
        shape: vec![post],
        fan_in: 1,
        fan_out: 1,
        into: Some((line.target, line.port)),
        ..Draw::default()
    };
    let first = init::first_value(cx, &mut scope, e, draw);
    let env = constant::ConstEnv { dt: 1e-3, steps: 1 };
    let is_number = first.value.shape.is_empty() && constant::eval(&first.value, &env).is_some();
    if is_number {
        let weight = unit::expect(cx, first.value, unit, "a weight", declared);
        let value = pointwise::make(cx, Pw::Mul, vec![weight, x], line.span);
        return made(value, None);
    }
    let weight = tensor(cx, line, "weight", vec![post], unit, first, false);
    let row = Expr { kind: ExprKind::Param(weight), unit, shape: vec![post], span: e.span };
    let value = pointwise::make(cx, Pw::Mul, vec![pointwise::reshape(row, &shape), x], line.span);
    made(value, Some(weight))
}
