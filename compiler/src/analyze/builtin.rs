//! The functions of the language: pointwise, over axes, gradient control, random numbers.

use super::call::is_pointwise;
use super::context::{Cx, is_poison, leaf, number, poison};
use super::declare::list;
use super::scope::{self, Place, Scope};
use super::{expr, files, layers, norm, pointwise, running, since, spatial, unit, weights, whole};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{Expr, ExprKind, Over, ReduceOp, Unit, constant};
use crate::source::Span;
use crate::step::ops::{Fold, Pw};

/// Names of the parameters of a function, and how many must be given.
fn params_of(name: &str) -> &'static [&'static str] {
    match name {
        "where" => &["condition", "a", "b"],
        "pow" | "min" | "max" => &["a", "b"],
        "straight_through" => &["forward", "backward"],
        "grad_scale" => &["e", "k"],
        "random" | "gaussian" => &[],
        _ => &["x"],
    }
}

/// Whether an argument has this name and is this word.
pub(super) fn is_word(arg: &ast::Arg, name: &str, word: &str) -> bool {
    arg.name.as_ref().is_some_and(|known| known.text == name)
        && matches!(&arg.value.kind, ast::ExprKind::Name(path) if path.segments.len() == 1 && path.segments[0].text == word)
}

/// A call of a function of the language.
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    if name == "file" {
        return poison(span);
    }
    if name == "size"
        && let Some(extent) = files::extent(cx, scope, args, span)
    {
        return extent;
    }
    if weights::is_of_weights(name) {
        return weights::call(cx, scope, name, args, span);
    }
    if whole::is_whole(name) {
        return whole::call(cx, scope, name, args, span);
    }
    if name == "rate" {
        return rate(cx, scope, args, span);
    }
    if name == "size" {
        return size(cx, scope, args, span);
    }
    if name == "conv" {
        return spatial::call(cx, scope, args, span);
    }
    if matches!(name, "normalise" | "batch_norm") {
        return norm::call(cx, scope, name, args, span);
    }
    if name == "since" {
        return since::call(cx, scope, args, span);
    }
    if name == running::NAME {
        return running::misplaced(cx, scope, span);
    }
    let named = |word: &str| args.iter().find(|arg| arg.name.as_ref().is_some_and(|n| n.text == word));
    let over = named("over");
    let draws = matches!(name, "random" | "gaussian");
    let unnamed = args.iter().filter(|arg| arg.name.is_none()).count();
    let op = reduction(name).filter(|_| !matches!(name, "min" | "max") || over.is_some() || unnamed == 1);
    if let Some(op) = op.filter(|_| over.is_some_and(layers::is_layers)) {
        return layers::reduce(cx, scope, name, op, args, span);
    }
    let params = if op.is_some() { &["x"] } else { params_of(name) };
    let words: &[&'static str] = match op {
        Some(_) => &["over"],
        None if draws => &["each"],
        None => &[],
    };
    let Some(mut values) = arguments(cx, scope, name, params, words, args, span) else {
        return poison(span);
    };
    if let Some(op) = op {
        let value = values.swap_remove(0);
        return reduce(cx, scope, name, op, over, value, span);
    }
    if is_pointwise(name) {
        return pointwise_call(cx, name, values, span);
    }
    if draws {
        return random(cx, scope.place, name, named("each"), span);
    }
    special(cx, name, values, span)
}

fn pointwise_call(cx: &mut Cx, name: &str, mut values: Vec<Expr>, span: Span) -> Expr {
    match (name, Pw::from_name(name)) {
        ("pow", _) => {
            let exponent = values.pop().unwrap_or_else(|| poison(span));
            let base = values.pop().unwrap_or_else(|| poison(span));
            pointwise::power(cx, base, exponent, span)
        }
        (_, Some(op)) => pointwise::make(cx, op, values, span),
        (_, None) => poison(span),
    }
}

/// The values of arguments by position or name; none after a message.
pub(super) fn arguments<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    params: &[&'static str],
    // Further arguments, which are read elsewhere.
    words: &[&'static str],
    args: &'a [ast::Arg],
    span: Span,
) -> Option<Vec<Expr>> {
    let mut values: Vec<Option<Expr>> = vec![None; params.len()];
    let mut failed = false;
    for arg in args {
        let at = match &arg.name {
            Some(given) if words.contains(&&given.text[..]) => continue,
            Some(given) => match params.iter().position(|param| *param == given.text) {
                Some(at) => Some(at),
                None => {
                    unknown_argument(cx, name, params, words, given);
                    failed = true;
                    continue;
                }
            },
            None => values.iter().position(Option::is_none),
        };
        let value = expr::elaborate(cx, scope, &arg.value);
        match at {
            Some(at) if values[at].is_none() => values[at] = Some(value),
            _ => {
                if !failed {
                    too_many(cx, name, params, arg);
                }
                failed = true;
            }
        }
    }
    if failed {
        return None;
    }
    if let Some(missing) = values.iter().position(Option::is_none) {
        cx.report(Code::E0303, span, format!("`{name}` is used without `{}`", params[missing]))
            .at("an argument is missing")
            .help(format!("write `{name}({})`", params.join(", ")));
        return None;
    }
    Some(values.into_iter().flatten().collect())
}

fn too_many(cx: &mut Cx, name: &str, params: &[&'static str], arg: &ast::Arg) {
    let message = cx.report(Code::E0304, arg.value.span, format!("too many arguments for `{name}`"));
    message.at("one too many");
    message.help(format!("write `{name}({})`", params.join(", ")));
}

pub(super) fn unknown_argument(
    cx: &mut Cx,
    name: &str,
    params: &[&'static str],
    words: &[&'static str],
    given: &ast::Ident,
) {
    let mut known = params.to_vec();
    known.extend(words);
    let near = closest(&given.text, known.iter().copied());
    let title = format!("`{name}` has no parameter `{}`", given.text);
    let message = cx.report(Code::E0205, given.span, title);
    message.at("unknown parameter");
    match near {
        Some(near) => message.help(format!("did you mean `{near}`?")),
        None if known.is_empty() => message.help("it has no parameters"),
        None => message.help(format!("it has {}", list(known.into_iter()))),
    };
}

/// The reduction that a name means.
fn reduction(name: &str) -> Option<ReduceOp> {
    Some(match name {
        "sum" => ReduceOp::Fold(Fold::Sum),
        "max" => ReduceOp::Fold(Fold::Max),
        "min" => ReduceOp::Fold(Fold::Min),
        "min_nonzero" => ReduceOp::Fold(Fold::MinNonzero),
        "mean" => ReduceOp::Mean,
        "variance" => ReduceOp::Variance,
        "last" => ReduceOp::Last,
        _ => return None,
    })
}

const AXES: [(&str, Over); 4] =
    [("population", Over::Population), ("time", Over::Time), ("batch", Over::Batch), ("all", Over::All)];

/// The axes that a reduction is over; none after a message.
fn over_of(cx: &mut Cx, place: Place, name: &str, over: Option<&ast::Arg>) -> Option<Over> {
    let Some(arg) = over else {
        return Some(match place {
            _ if name == "last" => Over::Time,
            Place::Job => Over::Time,
            Place::Init => Over::All,
            _ => Over::Population,
        });
    };
    let word = word(&arg.value);
    let found = AXES.iter().find(|axis| axis.0 == word).map(|axis| axis.1);
    if found.is_none() {
        let near = closest(word, AXES.iter().map(|axis| axis.0));
        let message = cx.report(Code::E0201, arg.value.span, "`over` names no axis");
        message.at("unknown axis");
        message.help(match near {
            Some(near) => format!("did you mean `over = {near}`?"),
            None => "write `over = population`, `time`, `batch`, `all` or `layers`".to_string(),
        });
    }
    found
}

fn reduce<'a>(
    cx: &mut Cx<'a>,
    scope: &Scope<'a>,
    name: &str,
    op: ReduceOp,
    over: Option<&'a ast::Arg>,
    value: Expr,
    span: Span,
) -> Expr {
    let Some(axes) = over_of(cx, scope.place, name, over) else { return poison(span) };
    if is_poison(&value) {
        return poison(span);
    }
    if op == ReduceOp::Last && axes != Over::Time {
        cx.report(Code::E0309, over.map_or(span, |o| o.value.span), "`last` is the value of the last step")
            .at("only `over = time`");
        return poison(span);
    }
    let is_allowed = match axes {
        Over::Population => true,
        Over::Time => matches!(scope.place, Place::Job | Place::Unknown),
        Over::Batch => matches!(scope.place, Place::Job | Place::Init | Place::Unknown),
        Over::All => matches!(scope.place, Place::Job | Place::Init | Place::Unknown),
    };
    if !is_allowed {
        let axis = AXES.iter().find(|axis| axis.1 == axes).map_or("", |axis| axis.0);
        let words = scope.place.words();
        cx.report(
            Code::E0610,
            over.map_or(span, |o| o.value.span),
            format!("`{name}` over {axis} in {words}"),
        )
        .at("only in losses, metrics and reports")
        .note("a step knows the values of this step and sample only")
        .help(match scope.place {
            Place::Init => {
                "an initializer may read all values of an input: `over = all`, or all of each neuron: `over = batch`"
            }
            _ => "keep what is needed of earlier steps in a `state`",
        });
        return poison(span);
    }
    let unit = match op {
        ReduceOp::Variance => value.unit.powi(2).unwrap_or_default(),
        _ => value.unit,
    };
    let shape = if matches!(axes, Over::Time | Over::Batch) { value.shape.clone() } else { Vec::new() };
    Expr { kind: ExprKind::Reduce { op, over: axes, value: Box::new(value) }, unit, shape, span }
}

/// `size(x)`: how many values; `size(x, axis = 1)`: how many along an axis.
fn size<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    let params: &[&'static str] = if args.len() > 1 { &["x", "axis"] } else { &["x"] };
    let Some(values) = arguments(cx, scope, "size", params, &[], args, span) else { return poison(span) };
    if values.iter().any(is_poison) {
        return poison(span);
    }
    let shape = &values[0].shape;
    let Some(axis) = values.get(1) else {
        return number(shape.iter().product::<usize>() as f64, span);
    };
    let known =
        constant::eval_free(axis).filter(|at| axis.shape.is_empty() && at.fract() == 0.0 && *at >= 0.0);
    if let Some(length) = known.and_then(|at| shape.get(at as usize)) {
        return number(*length as f64, span);
    }
    let text = cx.text(axis.span);
    cx.report(Code::E0505, axis.span, format!("values {shape:?} have no axis {text}"))
        .at("no such axis")
        .help(match shape.len() {
            0 => "one number has no axes".to_string(),
            n => format!("axes are counted from 0: the last one is {}", n - 1),
        });
    poison(span)
}

fn special<'a>(cx: &mut Cx<'a>, name: &str, mut values: Vec<Expr>, span: Span) -> Expr {
    if values.iter().any(is_poison) {
        return poison(span);
    }
    let second = if values.len() > 1 { values.pop() } else { None };
    let Some(mut first) = values.pop() else { return poison(span) };
    let (unit, shape) = (first.unit, first.shape.clone());
    let kind = match (name, second) {
        ("straight_through", Some(mut second)) => {
            if unit::common(cx, "`straight_through`", span, &mut first, &mut second).is_none() {
                return poison(span);
            }
            if !second.shape.is_empty() && second.shape != first.shape {
                let title = format!("sizes {:?} and {:?} do not fit", first.shape, second.shape);
                cx.report(Code::E0501, second.span, title).at("another size than the value");
                return poison(span);
            }
            return Expr {
                unit: first.unit,
                kind: ExprKind::StraightThrough(Box::new(first), Box::new(second)),
                shape,
                span,
            };
        }
        ("grad_scale", Some(factor)) => {
            let factor = unit::plain(cx, factor, "the factor of `grad_scale`");
            if is_poison(&factor) {
                return poison(span);
            }
            if !factor.shape.is_empty() {
                cx.report(Code::E0501, factor.span, "the factor of `grad_scale` is one number")
                    .at(format!("{:?} values", factor.shape));
                return poison(span);
            }
            ExprKind::GradScale(Box::new(first), Box::new(factor))
        }
        _ => ExprKind::Detach(Box::new(first)),
    };
    Expr { kind, unit, shape, span }
}

/// A name that stands alone; nothing for anything else.
fn word(e: &ast::Expr) -> &str {
    match &e.kind {
        ast::ExprKind::Name(path) if path.segments.len() == 1 => &path.segments[0].text,
        _ => "",
    }
}

/// Which of two words an argument is, the first by default; none after a message.
pub(super) fn one_of_two(
    cx: &mut Cx,
    name: &str,
    given: Option<&ast::Expr>,
    words: [&str; 2],
) -> Option<usize> {
    let Some(given) = given else { return Some(0) };
    let text = word(given);
    let found = words.iter().position(|word| *word == text);
    if found.is_none() {
        // The first need not be written.
        let near = closest(text, words).unwrap_or(words[1]);
        cx.report(Code::E0201, given.span, format!("`{name}` is `{}` or `{}`", words[0], words[1]))
            .at("neither of them")
            .help(format!("write `{name} = {near}`"));
    }
    found
}

/// Whether a random number is drawn once for a presentation; none after a message.
fn once(cx: &mut Cx, place: Place, each: Option<&ast::Arg>) -> Option<bool> {
    if let Some(arg) = each
        && matches!(place, Place::Init | Place::Update | Place::Start)
    {
        let why = match place {
            Place::Start => "a first value is drawn once for each presentation",
            _ => "every weight draws its own number",
        };
        cx.report(Code::E0309, arg.value.span, format!("`each` in {}", place.words()))
            .at(why)
            .help("leave it out");
        return None;
    }
    let which = one_of_two(cx, "each", each.map(|arg| &arg.value), ["step", "presentation"]);
    which.map(|at| at == 1 || place == Place::Start)
}

/// `random()`, `gaussian()`: a stream of its own for each place of the program.
fn random(cx: &mut Cx, place: Place, name: &str, each: Option<&ast::Arg>, span: Span) -> Expr {
    let draws = match place {
        Place::Start | Place::Step(_) | Place::Init | Place::Model => !cx.draw.stream.is_empty(),
        // Lowering adds the name of the parameter.
        Place::Update => true,
        _ => false,
    };
    if place == Place::Unknown {
        return poison(span);
    }
    if !draws {
        cx.report(Code::E0309, span, format!("`{name}()` in {}", place.words()))
            .at("nothing is drawn here")
            .note("random numbers are drawn at every step, or once for each weight")
            .help("use it in a step, a drive, the start of a state or an initializer: `param tau: neuron = uniform(5 ms, 20 ms)`");
        return poison(span);
    }
    let Some(once) = once(cx, place, each) else { return poison(span) };
    let count = cx.draw.count;
    cx.draw.count += 1;
    let stream = match (place, count) {
        (Place::Init, 0) => cx.draw.stream.clone(),
        (Place::Init, _) => format!("{}#{}", cx.draw.stream, count + 1),
        (Place::Update, _) => format!("update.random{count}"),
        _ => format!("{}.random{count}", cx.draw.stream),
    };
    let kind = ExprKind::Random { gaussian: name == "gaussian", stream, once };
    let shape = if place == Place::Update { Vec::new() } else { cx.draw.shape.clone() };
    Expr { kind, unit: Unit::NONE, shape, span }
}

/// `rate(h)` of a job: mean number of spikes for each neuron and second.
fn rate<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, args: &'a [ast::Arg], span: Span) -> Expr {
    if scope.place == Place::Unknown {
        return poison(span);
    }
    if scope.place != Place::Job {
        cx.report(Code::E0309, span, format!("`rate` has no value in {}", scope.place.words()))
            .at("only in losses, metrics and reports");
        return poison(span);
    }
    let [arg] = args else {
        let code = if args.is_empty() { Code::E0303 } else { Code::E0304 };
        cx.report(code, span, "`rate` wants one population").help("write `rate(h)`");
        return poison(span);
    };
    let value = expr::elaborate(cx, scope, &arg.value);
    let spikes = match value.kind {
        _ if is_poison(&value) => return poison(span),
        ExprKind::Emit(pop) => scope::find_trace(cx, pop, "fired", value.span),
        _ => Some(value.clone()),
    };
    let Some(spikes) = spikes else {
        cx.report(Code::E0301, value.span, format!("`{}` does not fire", cx.text(value.span)))
            .at("a population without spikes")
            .help("`mean(h)` is the mean of what it emits");
        return poison(span);
    };
    let unit = spikes.unit;
    let mean = [Over::Population, Over::Time].into_iter().fold(spikes, |value, over| {
        let kind = ExprKind::Reduce { op: ReduceOp::Mean, over, value: Box::new(value) };
        Expr { kind, unit, shape: Vec::new(), span }
    });
    let dt = leaf(ExprKind::Dt, Unit::TIME, span);
    pointwise::make(cx, Pw::Div, vec![mean, dt], span)
}
