//! E0701, E0702: a population sends weights of the wrong sign (Dale's law).
//!
//! Rules: what an `excitatory` population sends is weighted with numbers ≥ 0 (E0701), what an `inhibitory` one sends with
//! numbers ≤ 0 (E0702), at the start and throughout training. In `e.in = w_ex * x - w_ei * i` the weight of `i` is `-w_ei`.
//! Why: the declared kind is a promise to the reader; a neuron has one sign. Fix: an initializer with values of one sign
//! (`exponential(…)`, `-exponential(…)`, `abs(…)`), a constraint (`>= 0`), or no declared kind.

use super::super::context::is_poison;
use super::super::support::{self, Env};
use crate::diag::{Code, Diagnostics};
use crate::hir::{Bounds, Expr, ExprKind, Model, Param, ParamId, Polarity, PopId, TraceRef};
use crate::source::Span;
use crate::step::Slide;
use crate::step::ops::Pw;
use std::collections::BTreeSet;

pub(super) fn check(model: &Model, diags: &mut Diagnostics) {
    let mut synapses = Vec::new();
    for population in &model.populations {
        for port in &population.ports {
            collect(&port.value, false, &mut synapses);
        }
    }
    let supports = model.params.iter().map(|param| param.init.support).collect();
    let mut first = Env::of_params(supports);
    let trained = |param: &Param| if param.trained { param.bounds } else { param.init.support };
    let mut later = Env::of_params(model.params.iter().map(trained).collect());
    let mut reported = BTreeSet::new();
    for synapse in &synapses {
        let Some(polarity) = model.populations.get(synapse.from.idx()).map(|p| p.polarity) else { continue };
        let is_new = !reported.contains(&(synapse.from, synapse.param(), synapse.span));
        if polarity == Polarity::Mixed || !is_new || synapse.is_poisoned(model) {
            continue;
        }
        let start = synapse.range(&mut first);
        let end = synapse.range(&mut later);
        let breaks = |range: Bounds| match polarity {
            Polarity::Excitatory => range.low < 0.0,
            _ => range.high > 0.0,
        };
        let when = match (breaks(start), breaks(end)) {
            (true, _) => When::Start,
            (false, true) => When::Training,
            (false, false) => continue,
        };
        reported.insert((synapse.from, synapse.param(), synapse.span));
        report(model, synapse, when, diags);
    }
}

/// When the sign may be wrong.
#[derive(Clone, Copy, PartialEq)]
enum When {
    Start,
    Training,
}

/// A weighted path from a population to an input.
struct Synapse<'a> {
    from: PopId,
    /// None: the weight is 1.
    weight: Option<&'a Expr>,
    negated: bool,
    span: Span,
}

impl Synapse<'_> {
    fn range(&self, env: &mut Env) -> Bounds {
        let weight = self.weight.map_or(Bounds { low: 1.0, high: 1.0 }, |w| support::range_in(w, env));
        if self.negated { Bounds { low: -weight.high, high: -weight.low } } else { weight }
    }

    /// Whether there was a mistake in the weight, which was reported.
    fn is_poisoned(&self, model: &Model) -> bool {
        let first = self.param().and_then(|id| model.params.get(id.idx())).map(|param| &param.init.value);
        first.or(self.weight).is_some_and(|value| value.any(&mut |e| is_poison(e)))
    }

    fn param(&self) -> Option<ParamId> {
        match self.weight.map(|weight| &weight.kind) {
            Some(ExprKind::Param(id)) => Some(*id),
            _ => None,
        }
    }
}

/// Finds paths whose weight is plain: sums, differences and products. Others have no sign that could be checked.
fn collect<'a>(expr: &'a Expr, negated: bool, found: &mut Vec<Synapse<'a>>) {
    if let Some(from) = sender(expr) {
        return found.push(Synapse { from, weight: None, negated, span: expr.span });
    }
    match &expr.kind {
        ExprKind::Pointwise(Pw::Add, args) => args.iter().for_each(|arg| collect(arg, negated, found)),
        ExprKind::Pointwise(Pw::Neg, args) => args.iter().for_each(|arg| collect(arg, !negated, found)),
        ExprKind::Pointwise(Pw::Sub, args) => {
            args.iter().zip([negated, !negated]).for_each(|(arg, sign)| collect(arg, sign, found));
        }
        ExprKind::Pointwise(Pw::Mul, args) if args.len() == 2 => {
            for (weight, value) in [(&args[0], &args[1]), (&args[1], &args[0])] {
                push(weight, value, negated, expr.span, found);
            }
        }
        ExprKind::MatVec(weight, value) | ExprKind::Slide { weight: Some(weight), value, .. } => {
            push(weight, value, negated, expr.span, found);
        }
        ExprKind::Let { body, .. } => collect(body, negated, found),
        // Means and maxima keep the sign.
        ExprKind::Slide { weight: None, value, .. }
        | ExprKind::Repeat(value)
        | ExprKind::Detach(value)
        | ExprKind::GradScale(value, _)
        | ExprKind::Delayed { value, .. } => collect(value, negated, found),
        _ => {}
    }
}

fn push<'a>(weight: &'a Expr, value: &Expr, negated: bool, span: Span, found: &mut Vec<Synapse<'a>>) {
    if let Some(from) = sender(value) {
        found.push(Synapse { from, weight: Some(weight), negated, span });
    }
}

/// The population whose output this is, now or delayed.
fn sender(expr: &Expr) -> Option<PopId> {
    match &expr.kind {
        ExprKind::Emit(id) | ExprKind::Trace(id, TraceRef::Fired) => Some(*id),
        ExprKind::Repeat(value)
        | ExprKind::Detach(value)
        | ExprKind::GradScale(value, _)
        | ExprKind::Slide { slide: Slide::Border, value, .. }
        | ExprKind::Delayed { value, .. } => sender(value),
        _ => None,
    }
}

fn report(model: &Model, synapse: &Synapse, when: When, diags: &mut Diagnostics) {
    let population = &model.populations[synapse.from.idx()];
    let is_excitatory = population.polarity == Polarity::Excitatory;
    let (code, kind, wrong, sign) = if is_excitatory {
        (Code::E0701, "excitatory", "negative", "0 or more")
    } else {
        (Code::E0702, "inhibitory", "positive", "0 or less")
    };
    let param = synapse.param().and_then(|id| model.params.get(id.idx()));
    let span = param.map_or(synapse.span, |param| param.span);
    let name = &population.name;
    let weights = match when {
        When::Start => format!("weights from {kind} population `{name}` may be {wrong}"),
        When::Training => format!("training may make weights from {kind} population `{name}` {wrong}"),
    };
    let diagnostic = diags.report(code, span, weights);
    diagnostic.at(match (param, when) {
        (Some(param), When::Start) => format!("starts as `{}`", param.init.text),
        (Some(_), When::Training) => "this has no constraint".to_string(),
        (None, _) => format!("this sends {wrong} weights"),
    });
    if synapse.negated && synapse.span != span {
        diagnostic.label(synapse.span, "subtracted here, which turns the sign");
    }
    diagnostic.label(population.span, format!("`{name}` is {kind}"));
    diagnostic.note(format!("all weights that an {kind} population sends are {sign} (Dale's law)"));
    let is_written_out =
        !model.projections.iter().any(|p| p.kind != "one_to_one" && p.weight == synapse.param());
    if let (true, Some(param)) = (is_written_out && !is_excitatory && !synapse.negated, param) {
        diagnostic.label(synapse.span, "added here");
        diagnostic.help(format!("subtract it: `… - {} * {name}`, with weights of 0 or more", param.name));
        return;
    }
    diagnostic.help(fix(synapse.negated, is_excitatory, param, when));
}

/// What to type; a subtracted weight needs the other sign.
fn fix(negated: bool, is_excitatory: bool, param: Option<&Param>, when: When) -> String {
    let wants_positive = is_excitatory != negated;
    let Some(param) = param else {
        let sign = if wants_positive { "0 or more" } else { "0 or less" };
        return format!("use a weight of {sign}, or declare the population without a kind");
    };
    let (bound, examples) = if wants_positive {
        (">= 0", "`exponential(…)` and `abs(normal(…))` draw no negative weights")
    } else {
        ("<= 0", "`-exponential(…)` and `-abs(normal(…))` draw no positive weights")
    };
    match when {
        When::Start => examples.to_string(),
        When::Training => format!("constrain it: `learn {}: […] {bound} = {}`", param.name, param.init.text),
    }
}
