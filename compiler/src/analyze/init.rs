//! First values of parameters: initializers, functions that draw, numbers; and the bounds of constraints.
//!
//! An initializer is elaborated for one tensor: `fan_in`, `n_out` and the like are numbers of its shape. It may read activity
//! (an input or what a population emits) inside of reductions over everything, and then needs the first batch.

use super::args::{self, Applied, Given};
use super::call::{self, Lets};
use super::context::{Cx, Draw, is_poison, is_zero, number, poison};
use super::declare::Decl;
use super::scope::{Found, Meaning, Place, Scope, lookup};
use super::{expr, pointwise, support, undone, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::unit::quantity;
use crate::hir::{self, Bounds, Expr, ExprKind, InitNeeds, LocalId, Over, ParamId, Unit, constant};
use crate::source::Span;
use crate::step::ops::Pw;

/// A first value that nobody gave: a number, and its text.
pub(super) fn of_number(value: f64, text: impl Into<String>, span: Span) -> hir::Init {
    let value = number(value, span);
    let support = support::range(&value);
    hir::Init { text: text.into(), value, needs: InitNeeds::default(), support }
}

/// The first value of one element of a tensor. After a mistake it is the number 0.
pub(super) fn first_value<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    e: &'a ast::Expr,
    draw: Draw,
) -> hir::Init {
    let shape = draw.shape.clone();
    let (value, text) = cx.drawing(draw, |cx| scope.at(Place::Init, |scope| draft(cx, scope, e)));
    let value = checked(cx, value, &shape);
    let random = value.any(&mut |e| matches!(e.kind, ExprKind::Random { .. }));
    let batch = value.any(&mut |e| is_activity(&e.kind));
    let neuron = value.any(&mut |e| matches!(e.kind, ExprKind::Neuron(..)));
    let support = support::range(&value);
    let checkpoint = !value.stored().is_empty();
    hir::Init { text, value, needs: InitNeeds { random, batch, neuron, checkpoint }, support }
}

/// What weights start with if nothing is said: `kaiming_normal` of the library.
pub(super) fn by_default(cx: &mut Cx, span: Span, draw: Draw) -> hir::Init {
    let std = (2.0 / draw.fan_in.max(1) as f64).sqrt();
    let (shape, stream) = (draw.shape, draw.stream);
    let kind = ExprKind::Random { gaussian: true, stream, once: false };
    let random = Expr { kind, unit: Unit::NONE, shape, span };
    let value = pointwise::make(cx, Pw::Mul, vec![number(std, span), random], span);
    let support = support::range(&value);
    let needs = InitNeeds { random: true, ..InitNeeds::default() };
    hir::Init { text: format!("kaiming_normal(gain = {})", rounded(2f64.sqrt())), value, needs, support }
}

/// The value of an initializer before it is checked, and its text for reports.
fn draft<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> (Expr, String) {
    let Some((rule, args)) = drawn_by(cx, scope, e) else {
        let value = expr::fold(expr::elaborate(cx, scope, e));
        return (value, cx.text(e.span));
    };
    let decl = rule.decl;
    undone::check(cx, scope, decl, args);
    let values = args::bind(cx, scope, rule, args, e.span);
    let text = text(cx, decl, &values);
    let value = cx.within(decl, e.span, |cx| match decl {
        Decl::Fn(f) => call::function(cx, Place::Init, f, values, e.span),
        _ => body(cx, Place::Init, decl, values),
    });
    let value = value.unwrap_or_else(|| poison(e.span));
    (Expr { span: e.span, ..value }, text)
}

/// The initializer or function that an expression calls, by name or with arguments.
fn drawn_by<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    e: &'a ast::Expr,
) -> Option<(Applied<'a>, &'a [ast::Arg])> {
    let (path, args): (_, &[ast::Arg]) = match &e.kind {
        ast::ExprKind::Name(path) => (path, &[]),
        ast::ExprKind::Call { callee, args } => (callee, args),
        _ => return None,
    };
    let rule = match lookup(cx, scope, path)? {
        Found::Name(name, []) => match name.meaning {
            Meaning::Rule(rule) => rule,
            _ => return None,
        },
        Found::Decl(decl) => Applied::new(decl, e.span),
        _ => return None,
    };
    matches!(rule.decl, Decl::Init(_) | Decl::Fn(_)).then_some((rule, args))
}

/// The body of an `init` with the values of its parameters.
pub(super) fn body<'a>(cx: &mut Cx<'a>, place: Place, decl: Decl<'a>, values: Vec<Given<'a>>) -> Expr {
    let Decl::Init(init) = decl else { return poison(decl.name_span()) };
    let mut lets = Lets::default();
    let mut scope = Scope::new(place);
    let mut named = Vec::new();
    for (param, value) in init.params.iter().zip(values) {
        named.push(match value {
            Given::Value(value) => Given::Value(lets.name(cx, &param.name.text, value)),
            rule => rule,
        });
    }
    args::add_params(&mut scope, decl, named);
    let of_params = lets.len();
    call::add_lets(cx, &mut scope, &init.lets, &mut lets);
    let required = requires(cx, &mut scope, init, &lets);
    let value = expr::elaborate(cx, &mut scope, &init.value);
    let draws = value.any(&mut |e| matches!(e.kind, ExprKind::Random { .. }));
    let mut is_whole = |e: &Expr| matches!(e.kind, ExprKind::Matrix(..) | ExprKind::Product(..));
    let whole = value.any(&mut is_whole) || lets.any_from(of_params, &mut is_whole);
    let (name, mode) = (&init.name.text, &init.mode.text[..]);
    if whole && mode != "matrix" {
        cx.report(Code::E0309, init.value.span, format!("`{name}` makes its weights together"))
            .at("a function of the whole matrix is here")
            .label(init.mode.span, format!("`{mode}` says that each is made by itself"))
            .help(format!("write `matrix` in place of `{mode}`"));
    } else if mode == "matrix" && !whole && !is_poison(&value) && place == Place::Init {
        cx.report(Code::E0309, init.mode.span, format!("`{name}` makes each weight by itself"))
            .at("no function of the whole matrix follows")
            .help("write `sample` if random numbers are drawn, else `value`");
    }
    if init.mode.text == "value" && draws {
        cx.report(Code::E0309, init.value.span, format!("`{}` draws random numbers", init.name.text))
            .at("random numbers are drawn here")
            .label(init.mode.span, "`value` says that none are drawn")
            .help("write `sample` in place of `value`");
    }
    let value = required.into_iter().rev().fold(value, with_condition);
    lets.wrap(value)
}

/// Conditions that are not known yet, each with the texts of its line. One that is known is a message if it does not hold.
fn requires<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    init: &'a ast::Init,
    lets: &Lets,
) -> Vec<(Expr, String, String)> {
    let mut open = Vec::new();
    for line in &init.requires {
        let condition = expr::elaborate(cx, scope, &line.condition);
        let condition = unit::plain(cx, condition, "what is required");
        let (problem, help) = (string(Some(&line.problem)), string(line.help.as_ref()));
        if is_poison(&condition) || scope.place == Place::Unknown {
            continue;
        }
        match constant::eval_free(&lets.clone().wrap(condition.clone())) {
            Some(holds) if holds == 0.0 || holds.is_nan() => unmet(cx, init, line.span, &problem, &help),
            Some(_) => {}
            None => open.push((condition, problem, help)),
        }
    }
    open
}

fn string(text: Option<&ast::Expr>) -> String {
    match text.map(|text| &text.kind) {
        Some(ast::ExprKind::Str(text)) => text.clone(),
        _ => String::new(),
    }
}

/// The message of a condition that does not hold for the arguments of an initializer.
fn unmet(cx: &mut Cx, init: &ast::Init, line: Span, problem: &str, help: &str) {
    let used = cx.use_of_own();
    let message = cx.report(Code::E0712, line, format!("`{}` has no values: {problem}", init.name.text));
    message.at("this does not hold");
    if let Some((span, name)) = used {
        message.label(span, format!("in this use of `{name}`"));
    }
    message.help(match help {
        "" => "give it other arguments, or choose another initializer",
        help => help,
    });
}

fn with_condition(value: Expr, (condition, problem, help): (Expr, String, String)) -> Expr {
    if is_poison(&value) {
        return value;
    }
    let (unit, shape, span) = (value.unit, value.shape.clone(), value.span);
    let (condition, value) = (Box::new(condition), Box::new(value));
    Expr { kind: ExprKind::Required { condition, problem, help, value }, unit, shape, span }
}

/// `kaiming_normal(gain = 1.414)`
pub(super) fn text<'a>(cx: &Cx<'a>, decl: Decl<'a>, values: &[Given<'a>]) -> String {
    let mut parts = Vec::new();
    for (param, value) in decl.params().iter().zip(values) {
        let text = match value {
            Given::Value(value) => match constant::eval_free(value) {
                Some(known) => quantity(rounded(known), value.unit),
                None => cx.text(value.span),
            },
            Given::Rule(rule) => rule.decl.name().to_string(),
        };
        parts.push(format!("{} = {text}", param.name.text));
    }
    match parts.is_empty() {
        true => decl.name().to_string(),
        false => format!("{}({})", decl.name(), parts.join(", ")),
    }
}

/// Four significant digits.
fn rounded(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}

fn is_activity(kind: &ExprKind) -> bool {
    matches!(kind, ExprKind::Input(_) | ExprKind::Emit(_) | ExprKind::Trace(..))
}

/// The value if it can be computed before training: numbers, indices, random numbers, and activity in reductions over all.
fn checked(cx: &mut Cx, value: Expr, shape: &[usize]) -> Expr {
    let span = value.span;
    if is_poison(&value) {
        return number(0.0, span);
    }
    if !value.shape.is_empty() && value.shape != shape {
        let title = format!("an initializer gives {:?} values for {:?}", value.shape, shape);
        cx.report(Code::E0501, span, title)
            .at("another size")
            .help("reduce it to one number: `mean(…, over = all)`");
        return number(0.0, span);
    }
    let reads_activity = value.any(&mut |e| is_activity(&e.kind));
    let value = if reads_activity { settle(value, &mut Vec::new()) } else { value };
    match illegal(&value, false) {
        None => over_tensor(value),
        Some((at, why)) => {
            cx.report(Code::E0305, at, "a first value must be known before training").at(why).help(
                "use numbers, sizes, random numbers, or all values of an input: `mean(x^2, over = all)`",
            );
            number(0.0, span)
        }
    }
}

/// The first part of an initializer that has no value before training.
fn illegal(e: &Expr, in_statistic: bool) -> Option<(Span, &'static str)> {
    let is_statistic =
        matches!(e.kind, ExprKind::Reduce { over: Over::All, .. }) && e.any(&mut |e| is_activity(&e.kind));
    match &e.kind {
        kind if is_activity(kind) && !in_statistic => return Some((e.span, "another value at every step")),
        kind if is_activity(kind) => {}
        ExprKind::Param(_) => return Some((e.span, "neither a matrix nor of the same axes")),
        ExprKind::State(_) | ExprKind::Port(..) | ExprKind::Fired(_) | ExprKind::StepIndex => {
            return Some((e.span, "another value at every step"));
        }
        ExprKind::Scalar(_) => return Some((e.span, "another value at every update")),
        ExprKind::MatVec(..) | ExprKind::Slide { weight: Some(_), .. } if in_statistic => {}
        ExprKind::Delayed { .. } | ExprKind::MatVec(..) | ExprKind::Slide { .. } => {
            return Some((e.span, "not known before training"));
        }
        ExprKind::Const(_) | ExprKind::Pointwise(..) | ExprKind::Reduce { over: Over::Batch, .. } => {}
        // Weights that activity is multiplied with are not activity, and names are of numbers; see `settle`.
        ExprKind::Local(_) if in_statistic => {}
        ExprKind::Random { .. } | ExprKind::Iota(_) | ExprKind::Neuron(..) => {}
        ExprKind::Matrix(..) | ExprKind::Product(..) => {}
        ExprKind::Element(..) | ExprKind::Extent(..) | ExprKind::Required { .. } => {}
        _ if in_statistic => return Some((e.span, "not inside of a reduction over activity")),
        _ => {}
    }
    e.children().into_iter().find_map(|part| illegal(part, in_statistic || is_statistic))
}

/// Puts `let`s in place but for numbers, which are computed once, in order: what one statistic says the next one may use.
fn settle(e: Expr, known: &mut Vec<(LocalId, Expr)>) -> Expr {
    if let ExprKind::Required { condition, problem, help, value } = e.kind {
        let (condition, value) = (Box::new(inline(*condition, known)), Box::new(settle(*value, known)));
        return Expr { kind: ExprKind::Required { condition, problem, help, value }, ..e };
    }
    let ExprKind::Let { local, value, body } = e.kind else { return inline(e, known) };
    let value = inline(*value, known);
    if value.shape.is_empty() {
        let body = Box::new(settle(*body, known));
        return Expr { kind: ExprKind::Let { local, value: Box::new(value), body }, ..e };
    }
    known.push((local, value));
    let body = settle(*body, known);
    known.pop();
    body
}

/// Puts `let`s in place: statistics of activity are of expressions without names.
fn inline(e: Expr, known: &mut Vec<(LocalId, Expr)>) -> Expr {
    match e.kind {
        ExprKind::Let { local, value, body } => {
            let value = inline(*value, known);
            known.push((local, value));
            let body = inline(*body, known);
            known.pop();
            body
        }
        ExprKind::Local(id) => {
            let found = known.iter().rev().find(|(local, _)| *local == id);
            found.map_or(Expr { kind: ExprKind::Local(id), ..e.clone() }, |(_, value)| value.clone())
        }
        ExprKind::Pointwise(op, args) => {
            let args = args.into_iter().map(|arg| inline(arg, known)).collect();
            Expr { kind: ExprKind::Pointwise(op, args), ..e }
        }
        ExprKind::Element(of, index) => {
            let index = index.into_iter().map(|e| inline(e, known)).collect();
            Expr { kind: ExprKind::Element(of, index), ..e }
        }
        ExprKind::Reduce { op, over, value } => {
            let value = Box::new(inline(*value, known));
            Expr { kind: ExprKind::Reduce { op, over, value }, ..e }
        }
        ExprKind::MatVec(w, x) => {
            let (w, x) = (Box::new(inline(*w, known)), Box::new(inline(*x, known)));
            Expr { kind: ExprKind::MatVec(w, x), ..e }
        }
        ExprKind::Slide { slide, over, value, weight } => {
            let value = Box::new(inline(*value, known));
            let weight = weight.map(|w| Box::new(inline(*w, known)));
            Expr { kind: ExprKind::Slide { slide, over, value, weight }, ..e }
        }
        ExprKind::Matrix(op, value) => {
            Expr { kind: ExprKind::Matrix(op, Box::new(inline(*value, known))), ..e }
        }
        ExprKind::Product(a, b) => {
            let (a, b) = (Box::new(inline(*a, known)), Box::new(inline(*b, known)));
            Expr { kind: ExprKind::Product(a, b), ..e }
        }
        ExprKind::Required { condition, problem, help, value } => {
            let (condition, value) = (Box::new(inline(*condition, known)), Box::new(inline(*value, known)));
            Expr { kind: ExprKind::Required { condition, problem, help, value }, ..e }
        }
        ExprKind::Detach(value) => inline(*value, known),
        kind => Expr { kind, ..e },
    }
}

/// A reduction over everything that reads no activity is over the elements of the tensor.
pub(super) fn over_tensor(e: Expr) -> Expr {
    let kind = match e.kind {
        ExprKind::Reduce { op, over: Over::All, value } if !value.any(&mut |e| is_activity(&e.kind)) => {
            ExprKind::Reduce { op, over: Over::Population, value: Box::new(over_tensor(*value)) }
        }
        ExprKind::Pointwise(op, args) => ExprKind::Pointwise(op, args.into_iter().map(over_tensor).collect()),
        ExprKind::Matrix(op, value) => ExprKind::Matrix(op, Box::new(over_tensor(*value))),
        ExprKind::Product(a, b) => ExprKind::Product(Box::new(over_tensor(*a)), Box::new(over_tensor(*b))),
        ExprKind::Element(of, index) => ExprKind::Element(of, index.into_iter().map(over_tensor).collect()),
        ExprKind::Required { condition, problem, help, value } => {
            let (condition, value) = (Box::new(over_tensor(*condition)), Box::new(over_tensor(*value)));
            ExprKind::Required { condition, problem, help, value }
        }
        ExprKind::Let { local, value, body } => {
            ExprKind::Let { local, value: Box::new(over_tensor(*value)), body: Box::new(over_tensor(*body)) }
        }
        kind => kind,
    };
    Expr { kind, ..e }
}

/// Bounds of a constraint, with their unit (none for a plain 0).
pub(super) fn bounds<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    constraint: Option<&'a ast::Constraint>,
) -> (Bounds, Option<Expr>) {
    let Some(constraint) = constraint else { return (Bounds::NONE, None) };
    let mut bound = |e: &'a ast::Expr| {
        let value = expr::constant(cx, scope, e, "a constraint");
        let known = constant::eval_free(&value);
        if known.is_none() {
            cx.report(Code::E0305, e.span, "a constraint must be the same in every job")
                .at("this depends on `dt` or `steps`");
        }
        (known.filter(|_| !is_poison(&value)), value)
    };
    let infinite = f64::INFINITY;
    let (low, high, of) = match constraint {
        ast::Constraint::AtLeast(e) => {
            let (low, of) = bound(e);
            (low.unwrap_or(-infinite), infinite, of)
        }
        ast::Constraint::Above(e) => {
            let (low, of) = bound(e);
            (low.map_or(-infinite, above), infinite, of)
        }
        ast::Constraint::AtMost(e) => {
            let (high, of) = bound(e);
            (-infinite, high.unwrap_or(infinite), of)
        }
        ast::Constraint::Below(e) => {
            let (high, of) = bound(e);
            (-infinite, high.map_or(infinite, |value| -above(-value)), of)
        }
        ast::Constraint::Within(a, b) => {
            let ((low, mut of), (high, mut other)) = (bound(a), bound(b));
            let known = !is_poison(&of) && !is_poison(&other);
            if known && unit::common(cx, "a constraint", b.span, &mut of, &mut other).is_none() {
                return (Bounds::NONE, None);
            }
            (low.unwrap_or(-infinite), high.unwrap_or(infinite), if is_zero(&of) { other } else { of })
        }
    };
    if low > high {
        cx.report(Code::E0710, of.span, "no number satisfies this constraint").at("the range is empty");
        return (Bounds::NONE, None);
    }
    (Bounds { low, high }, Some(of).filter(|of| !is_poison(of)))
}

/// The next number of single precision above.
fn above(value: f64) -> f64 {
    let single = value as f32;
    let next = if f64::from(single) > value { single } else { single.next_up() };
    f64::from(next)
}

/// Adds a parameter to the model. Its unit is `unit`, or that of the constraint or first value.
pub(super) fn add_param(
    cx: &mut Cx,
    mut param: hir::Param,
    unit: Option<Unit>,
    bound: Option<Expr>,
) -> ParamId {
    let of_bound = bound.as_ref().filter(|of| !is_zero(of)).map(|of| of.unit);
    let of_value = if is_zero(&param.init.value) { of_bound } else { Some(param.init.value.unit) };
    let wanted = unit.or(of_value).unwrap_or(Unit::NONE);
    let (name, span) = (param.name.clone(), param.span);
    let value = std::mem::replace(&mut param.init.value, number(0.0, span));
    param.init.value = unit::expect(cx, value, wanted, &name, span);
    if let Some(of) = bound {
        unit::expect(cx, of, wanted, &name, span);
    }
    if is_poison(&param.init.value) {
        param.init.value = number(0.0, span);
    }
    param.unit = wanted;
    cx.model.params.push(param);
    ParamId(cx.model.params.len() as u32 - 1)
}
