//! `normalise` and `batch_norm`: their arguments, and the tensors that they own. What they compute is in `lower::norm`.

use super::builtin;
use super::context::{Cx, Draw, is_poison, poison};
use super::scope::{Place, Scope};
use super::{expr, init, pointwise, unit};
use crate::ast;
use crate::diag::Code;
use crate::hir::{self, Bounds, Expr, ExprKind, Norm, ParamId, PopId, Unit, constant};
use crate::source::Span;
use crate::step::ops::Pw;

const OF_NORMALISE: &[&str] = &["x", "per", "over", "momentum", "eps", "mean", "variance"];
const OF_BATCH_NORM: &[&str] = &["x", "per", "over", "momentum", "eps", "mean", "variance", "gain", "shift"];

/// Arguments by the order of the parameters.
pub(super) type Given<'a> = Vec<Option<&'a ast::Expr>>;

/// `normalise(x, per = channel, over = step, momentum = 0.1, eps = 1e-5, mean = 0, variance = 1)`;
/// `batch_norm(x, …, gain = 1, shift = 0)` is a trained `gain` times that, plus a trained `shift`.
pub(super) fn call<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &'static str,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    let is_affine = name == "batch_norm";
    let params = if is_affine { OF_BATCH_NORM } else { OF_NORMALISE };
    let Some(given) = arguments(cx, name, params, args, span) else { return poison(span) };
    let value = given[0].map_or_else(|| poison(span), |e| expr::elaborate(cx, scope, e));
    let pop = match scope.place {
        Place::Step(pop) => pop,
        Place::Unknown => return poison(span),
        place => {
            cx.report(Code::E0309, span, format!("`{name}` in {}", place.words()))
                .at("only in the step of a neuron")
                .note("its statistics belong to a population and change with every batch of a training")
                .help("make it a neuron of its own between a projection and a population: `std.neuron.BatchNorm`");
            return poison(span);
        }
    };
    let Some(settings) = Settings::read(cx, scope, &given) else { return poison(span) };
    let value = unit::plain(cx, value, &format!("`{name}`"));
    let all = cx.model.populations[pop.idx()].shape.clone();
    if is_poison(&value) {
        return poison(span);
    }
    if !value.shape.is_empty() && value.shape != all {
        let title = format!("sizes {:?} and {all:?} do not fit", value.shape);
        cx.report(Code::E0501, value.span, title).at("not one value for each neuron");
        return poison(span);
    }
    let mut tensors = Tensors { all, per_neuron: settings.per_neuron, prefix: prefix(cx, pop), span };
    let mean = tensors.add(cx, scope, "mean", given[5], 0.0, false);
    let variance = tensors.add(cx, scope, "variance", given[6], 1.0, false);
    let Settings { over_time, momentum, eps, .. } = settings;
    let norm = Norm { value, mean, variance, over_time, momentum, eps };
    let shape = tensors.all.clone();
    let normal = Expr { kind: ExprKind::Normalise(Box::new(norm)), unit: Unit::NONE, shape, span };
    if !is_affine {
        return normal;
    }
    let gain = tensors.trained(cx, scope, "gain", given[7], 1.0);
    let shift = tensors.trained(cx, scope, "shift", given[8], 0.0);
    let scaled = pointwise::make(cx, Pw::Mul, vec![gain, normal], span);
    pointwise::make(cx, Pw::Add, vec![scaled, shift], span)
}

/// `h.norm`, `h.norm2`: the first that is free.
fn prefix(cx: &Cx, pop: PopId) -> String {
    let pop = &cx.model.populations[pop.idx()].name;
    let names = (1..).map(|n| if n == 1 { format!("{pop}.norm") } else { format!("{pop}.norm{n}") });
    let is_free = |name: &String| {
        let mean = format!("{name}.mean");
        cx.model.params.iter().all(|param| param.name != mean)
    };
    names.into_iter().find(is_free).expect("there are finitely many parameters")
}

/// Which argument is which parameter; none after a message. All but the first have names.
pub(super) fn arguments<'a>(
    cx: &mut Cx<'a>,
    name: &str,
    params: &[&'static str],
    args: &'a [ast::Arg],
    span: Span,
) -> Option<Given<'a>> {
    let mut given: Given = vec![None; params.len()];
    let mut failed = false;
    for arg in args {
        let at = match &arg.name {
            Some(word) => params.iter().position(|param| *param == word.text),
            None => Some(0),
        };
        let unknown = at.is_none();
        match at.filter(|at| given[*at].is_none()) {
            Some(at) => given[at] = Some(&arg.value),
            None => {
                failed = true;
                match &arg.name {
                    Some(word) if unknown => builtin::unknown_argument(cx, name, params, &[], word),
                    _ => {
                        cx.report(Code::E0304, arg.value.span, format!("too many arguments for `{name}`"))
                            .at("one too many")
                            .help(format!("write the others by name: `{name}(x, {} = …)`", params[1]));
                    }
                }
            }
        }
    }
    if given[0].is_none() && !failed {
        cx.report(Code::E0303, span, format!("`{name}` is used without `x`"))
            .at("an argument is missing")
            .help(format!("write `{name}(x)`"));
        failed = true;
    }
    (!failed).then_some(given)
}

/// What is said by words and constants.
struct Settings {
    per_neuron: bool,
    over_time: bool,
    momentum: f64,
    eps: f64,
}

impl Settings {
    fn read<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, given: &Given<'a>) -> Option<Settings> {
        let per = builtin::one_of_two(cx, "per", given[1], ["channel", "neuron"]);
        let over = builtin::one_of_two(cx, "over", given[2], ["step", "time"]);
        let momentum = constant(cx, scope, "momentum", given[3], 0.1, 1.0);
        let eps = constant(cx, scope, "eps", given[4], 1e-5, f64::INFINITY);
        Some(Settings { per_neuron: per? == 1, over_time: over? == 1, momentum: momentum?, eps: eps? })
    }
}

/// A constant from 0 to `high` that is the same in every job; none after a message.
pub(super) fn constant<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &str,
    e: Option<&'a ast::Expr>,
    default: f64,
    high: f64,
) -> Option<f64> {
    let Some(e) = e else { return Some(default) };
    let what = format!("`{name}`");
    let value = expr::constant(cx, scope, e, &what);
    let value = unit::plain(cx, value, &what);
    if is_poison(&value) {
        return None;
    }
    let known = constant::eval_free(&value).filter(|known| (0.0..=high).contains(known));
    if known.is_none() {
        let range = if high.is_finite() { format!("from 0 to {high}") } else { "not negative".into() };
        cx.report(Code::E0305, e.span, format!("{what} must be a number that is {range}"))
            .at("not such a number, or not the same in every job");
    }
    known
}

/// Makes the tensors of one use.
struct Tensors {
    all: Vec<usize>,
    per_neuron: bool,
    prefix: String,
    span: Span,
}

impl Tensors {
    fn add<'a>(
        &mut self,
        cx: &mut Cx<'a>,
        scope: &mut Scope<'a>,
        name: &str,
        e: Option<&'a ast::Expr>,
        default: f64,
        trained: bool,
    ) -> ParamId {
        let neurons = self.all.iter().product();
        let len = if self.per_neuron { neurons } else { self.all.first().copied().unwrap_or(neurons) };
        let (name, shape) = (format!("{}.{name}", self.prefix), vec![len]);
        let draw =
            Draw { stream: name.clone(), shape: shape.clone(), fan_in: 1, fan_out: 1, ..Draw::default() };
        let init = match e {
            Some(e) => init::first_value(cx, scope, e, draw),
            None => init::of_number(default, default.to_string(), self.span),
        };
        let is_variance = name.ends_with(".variance");
        let bounds = if is_variance { Bounds { low: 0.0, ..Bounds::NONE } } else { Bounds::NONE };
        let param = hir::Param {
            name,
            shape,
            unit: Unit::NONE,
            bounds,
            keep: None,
            init,
            trained,
            windows: false,
            span: self.span,
        };
        init::add_param(cx, param, Some(Unit::NONE), None)
    }

    /// A trained tensor as a value of each neuron.
    fn trained<'a>(
        &mut self,
        cx: &mut Cx<'a>,
        scope: &mut Scope<'a>,
        name: &str,
        e: Option<&'a ast::Expr>,
        default: f64,
    ) -> Expr {
        let id = self.add(cx, scope, name, e, default, true);
        let shape = cx.model.params[id.idx()].shape.clone();
        let value = Expr { kind: ExprKind::Param(id), unit: Unit::NONE, shape, span: self.span };
        pointwise::reshape(value, &self.all)
    }
}
