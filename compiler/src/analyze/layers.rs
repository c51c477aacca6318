//! Reductions over the populations of a model: `mean(f(*.at_fire, *.fired), over = layers)` in losses and reports. What `*` stands
//! for in one value after another (`record *.v`) is in `expr::each_population`.

use super::context::{Cx, poison};
use super::scope::{Place, Scope};
use super::{builtin, expr, pointwise, weights};
use crate::ast;
use crate::diag::Code;
use crate::hir::{Expr, PopId, ReduceOp, StmtKind};
use crate::source::Span;
use crate::step::ops::{Fold, Pw};

/// Whether an argument is `over = layers` or `over = weights`.
pub(super) fn is_layers(arg: &ast::Arg) -> bool {
    builtin::is_word(arg, "over", "layers") || weights::is_over_weights(arg)
}

/// Whether an expression is a reduction over layers or weights: the `*` inside of it are its own.
pub(super) fn is_over_layers(e: &ast::Expr) -> bool {
    matches!(&e.kind, ast::ExprKind::Call { args, .. } if args.iter().any(is_layers))
}

/// The value of a reduction over the populations that have the values named after `*`, or over weights.
pub(super) fn reduce<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    name: &str,
    op: ReduceOp,
    args: &'a [ast::Arg],
    span: Span,
) -> Expr {
    if scope.place == Place::Unknown {
        return poison(span);
    }
    let of_weights = args.iter().any(weights::is_over_weights);
    let axis = if of_weights { "weights" } else { "layers" };
    if scope.place != Place::Job {
        cx.report(Code::E0309, span, format!("`{name}` over {axis} in {}", scope.place.words()))
            .at("only in losses, metrics and reports");
        return poison(span);
    }
    let mut given = args.iter().filter(|arg| !is_layers(arg));
    let (Some(arg), None) = (given.next(), given.next()) else {
        cx.report(Code::E0303, span, format!("`{name}` over {axis} is of one value"))
            .at("one value is wanted")
            .help(format!("write `{name}(…, over = {axis})`"));
        return poison(span);
    };
    if of_weights && !expr::is_starred(&arg.value) {
        cx.report(Code::E0309, arg.value.span, "`over = weights` is of values of every tensor of weights")
            .at("there is no `*` in this")
            .help(format!("write for example `{name}(spectral(*.weight), over = weights)`"));
        return poison(span);
    }
    if !expr::is_starred(&arg.value) {
        cx.report(Code::E0309, arg.value.span, "`over = layers` is of values of every population")
            .at("there is no `*` in this")
            .note("`*` stands for one population after another")
            .help(format!(
                "write for example `{name}(mean(mean(*.fired), over = population), over = layers)`"
            ));
        return poison(span);
    }
    let Some(combine) = combination(cx, name, op, span) else { return poison(span) };
    let values = match of_weights {
        true => weights::of_each(cx, scope, &arg.value),
        false => of_each(cx, scope, &arg.value),
    };
    if let (true, Some(value)) = (of_weights, values.iter().find(|value| !value.shape.is_empty())) {
        let shape = &value.shape;
        cx.report(Code::E0805, arg.value.span, "weights differ in size: one number of each tensor is wanted")
            .at(format!("this has shape {shape:?}"))
            .help("reduce it first: `sum(sum(*.weight^2, over = population), over = weights)`");
        return poison(span);
    }
    let count = values.len();
    let joined = values.into_iter().reduce(|a, b| pointwise::make(cx, combine, vec![a, b], span));
    match joined {
        Some(sum) if op == ReduceOp::Mean && count > 1 => {
            let count = super::context::number(count as f64, span);
            pointwise::make(cx, Pw::Div, vec![sum, count], span)
        }
        Some(value) => value,
        // A model without a bias has a regulariser of biases, which is 0.
        None if of_weights => super::context::number(0.0, span),
        None => poison(span),
    }
}

/// The operation that joins the values of two layers; none after a message.
fn combination(cx: &mut Cx, name: &str, op: ReduceOp, span: Span) -> Option<Pw> {
    let found = match op {
        ReduceOp::Mean | ReduceOp::Fold(Fold::Sum) => Some(Pw::Add),
        ReduceOp::Fold(Fold::Max) => Some(Pw::Max),
        ReduceOp::Fold(Fold::Min) => Some(Pw::Min),
        _ => None,
    };
    if found.is_none() {
        cx.report(Code::E0309, span, format!("`{name}` over layers"))
            .at("not over layers")
            .help("over layers there are `mean`, `sum`, `max` and `min`");
    }
    found
}

/// The value for every population; none after a message. Where spikes are read, of those that fire with a surrogate: encoders are no
/// layers.
fn of_each<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Vec<Expr> {
    let reads_spikes = expr::starred_members(e).iter().any(|m| matches!(&m.text[..], "fired" | "at_fire"));
    let every = expr::each_population(cx, scope, e);
    let values: Vec<Expr> = every
        .into_iter()
        .filter(|(pop, _)| !reads_spikes || is_trained(cx, *pop))
        .map(|(_, value)| value)
        .collect();
    if values.is_empty() {
        cx.report(Code::E0201, e.span, format!("no population has the values of `{}`", cx.text(e.span)))
            .at("unknown in every population")
            .note("of `*.fired` and `*.at_fire` the layers are the populations that fire with a surrogate")
            .help("name values of a neuron: `*.fired`, `*.v`");
    }
    if let Some(value) = values.iter().find(|value| !value.shape.is_empty()) {
        let shape = &value.shape;
        cx.report(Code::E0805, e.span, "layers differ in size: one number of each is wanted")
            .at(format!("this has shape {shape:?}"))
            .help("reduce it first: `mean(mean(…, over = population), over = layers)`");
        return Vec::new();
    }
    values
}

/// Whether gradients pass the spikes of a population.
fn is_trained(cx: &Cx, pop: PopId) -> bool {
    let body = &cx.model.populations[pop.idx()].body;
    body.iter().any(|stmt| matches!(stmt.kind, StmtKind::Fire { surrogate: Some(_), .. }))
}

#[cfg(test)]
mod tests {
    use crate::analyze::checks::suite::analyze;
    use crate::hir::ExprKind;

    const MODEL: &str = "
        model M {
            input x: [64]
            let code = Bernoulli[64]
            let a = Lif[32]
            let b = Lif[16]
            let y = Integrator[10]
            x -> code : one_to_one
            code -> a : dense
            a -> b : dense
            b -> y : dense
            output y.v
        }
        data digits = std.data.digits(split = 0.8)";

    /// The populations whose values the loss reads.
    fn read(loss: &str) -> Vec<String> {
        let (program, diags, _) = analyze(&format!("{MODEL} train M on digits {{ loss {loss} }}"));
        assert!(!diags.has_errors(), "{:?}", diags.list.iter().map(|d| &d.title).collect::<Vec<_>>());
        let mut names: Vec<String> = Vec::new();
        program.jobs[0].loss.as_ref().expect("a loss").for_each(&mut |e| {
            if let ExprKind::Trace(pop, _) = e.kind {
                names.push(program.models[0].populations[pop.idx()].name.clone());
            }
        });
        names
    }

    #[test]
    fn layers_of_spikes_are_those_that_learn_and_layers_of_states_all_that_have_them() {
        assert_eq!(read("mean(mean(mean(*.fired), over = population), over = layers)"), ["a", "b"]);
        assert_eq!(read("max(mean(mean(*.at_fire), over = population), over = layers)"), ["a", "b"]);
        assert_eq!(read("sum(mean(mean(*.v), over = population), over = layers)"), ["a", "b", "y"]);
    }
}
