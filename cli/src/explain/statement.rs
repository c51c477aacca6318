//! Single statements of a step in formulas and words.

use super::linear::{Linear, Symbol, updates};
use super::text::Words;
use super::update::{Reset, reset_of};
use snn_compiler::hir::unit::quantity;
use snn_compiler::hir::{Expr, ExprKind, Population, Solver, StateId, Stmt, StmtKind, Surrogate};
use snn_compiler::step::ops::Pw;

/// A formula, and lines that say it in words.
type Text = (String, Vec<String>);

/// `fires where v >= 1`
pub fn fire(
    words: &Words,
    pop: &Population,
    diff: &Expr,
    strict: bool,
    surrogate: Option<&Surrogate>,
) -> Text {
    let sign = if strict { ">" } else { ">=" };
    let (left, right, argument) = compared(words, pop, diff);
    let at = if strict { "above the threshold only" } else { "at the threshold too" };
    let slope = match surrogate {
        Some(s) => format!("the derivative of the spike is that of {} at {argument}", s.text),
        None => "the spike passes no gradient: it has no surrogate".to_string(),
    };
    (format!("fires where {left} {sign} {right}"), vec![at.to_string(), slope])
}

/// Both sides of the comparison, and what the surrogate is taken of. A scaled membrane is compared as it is: `V >= -55 mV`.
fn compared(words: &Words, pop: &Population, diff: &Expr) -> (String, String, String) {
    if let Some(form) = super::linear::linear(diff, &words.env)
        && let [(Symbol::State(state), scale)] = form.terms[..]
        && scale > 0.0
    {
        let unit = words.model.states[state.idx()].unit;
        // Without the sum a threshold of 0 would be written -0.
        let (name, theta) = (words.state(state), 0.0 - form.constant / scale);
        let level = quantity(theta.abs(), unit);
        let distance = match theta < 0.0 {
            true => format!("{name} + {level}"),
            false => format!("{name} - {level}"),
        };
        let argument = match scale == 1.0 && unit == diff.unit {
            true => distance,
            false => {
                let factor = diff.unit.div(unit).map_or(String::new(), |unit| quantity(scale, unit));
                format!("{factor} ({distance})")
            }
        };
        return (name, quantity(theta, unit), argument);
    }
    let (left, right) = match &diff.kind {
        ExprKind::Pointwise(Pw::Sub, args) if args.len() == 2 => {
            (words.in_step(pop, &args[0], true), words.in_step(pop, &args[1], true))
        }
        _ => (words.in_step(pop, diff, true), quantity(0.0, diff.unit)),
    };
    let is_sum = right.contains(" + ") || right.contains(" - ");
    let level = if is_sum { format!("({right})") } else { right.clone() };
    let argument = format!("{left} - {level}");
    (left, right, argument)
}

/// An assignment after `fire`: a reset, if it has the form of one.
pub fn after_spike(words: &Words, pop: &Population, stmt: &Stmt, state: StateId, value: &Expr) -> Text {
    let (name, unit) = (words.state(state), words.model.states[state.idx()].unit);
    let amount = |value: f64| quantity(value, unit);
    let (formula, word, detached) = match reset_of(stmt, state, &words.env) {
        Some((Reset::Subtract(by), detached)) => {
            let sign = if by < 0.0 { "+" } else { "-" };
            let words = match by < 0.0 {
                true => format!("{} is added", amount(-by)),
                false => format!("{} is subtracted, what is above it stays", amount(by)),
            };
            (format!("where it fired, {name} <- {name} {sign} {}", amount(by.abs())), words, detached)
        }
        Some((Reset::To(to), detached)) => (
            format!("where it fired, {name} <- {}", amount(to)),
            format!("{name} forgets what it was"),
            detached,
        ),
        Some((Reset::None, _)) => {
            return (format!("{name} <- {name}"), vec!["no reset".to_string()]);
        }
        None => return other(words, pop, stmt, state, value),
    };
    let gradient = match (detached, has_slope(pop)) {
        (true, _) => "; no gradient flows through the spike of the reset (detached)",
        (false, true) => "; gradients flow through the spike of the reset",
        (false, false) => "",
    };
    (formula, vec![format!("{word}{gradient}")])
}

/// Whether its spikes pass gradients at all.
fn has_slope(pop: &Population) -> bool {
    pop.body.iter().any(|stmt| matches!(&stmt.kind, StmtKind::Fire { surrogate: Some(_), .. }))
}

/// An assignment after `fire` of another form.
fn other(words: &Words, pop: &Population, stmt: &Stmt, state: StateId, value: &Expr) -> Text {
    let name = words.state(state);
    if let ExprKind::Pointwise(Pw::Select, args) = &value.kind
        && let [condition, new, old] = &args[..]
        && matches!(condition.kind, ExprKind::Fired(_))
        && matches!(old.kind, ExprKind::State(id) if id == state)
    {
        let new = words.in_step(pop, new, false);
        let words = has_slope(pop).then(|| "gradients flow through the spike of the reset".to_string());
        return (format!("where it fired, {name} <- {new}"), words.into_iter().collect());
    }
    let formula = format!("{name} <- {}", words.in_step(pop, value, false));
    let lines = match updates(stmt, &words.env) {
        Some(forms) => in_words(words, pop, &forms[0].1, state).into_iter().collect(),
        None => Vec::new(),
    };
    (formula, lines)
}

/// Linear updates: `v <- 0.951229 v + i`, and how fast it decays.
pub fn linear(words: &Words, pop: &Population, forms: &[(StateId, Linear)], fired_before: bool) -> Vec<Text> {
    let text = |(state, form): &(StateId, Linear)| {
        let unit = words.model.states[state.idx()].unit;
        let formula = format!("{} <- {}", words.state(*state), words.sum(pop, form, unit, fired_before));
        (formula, in_words(words, pop, form, *state).into_iter().collect())
    };
    forms.iter().map(text).collect()
}

/// `v decays by the factor 0.951229 (a time constant of 20 ms); i is added`
fn in_words(words: &Words, pop: &Population, form: &Linear, state: StateId) -> Option<String> {
    let (name, decay) = (words.state(state), form.factor(Symbol::State(state)));
    let mut parts = Vec::new();
    match decay {
        1.0 => parts.push(format!("{name} does not decay")),
        d if d > 0.0 && d < 1.0 => {
            let tau = words.time(-words.env.dt / d.ln());
            let factor = quantity(d, Default::default());
            parts.push(format!("{name} decays by the factor {factor} (a time constant of {tau})"));
        }
        d if d > 1.0 => parts.push(format!("{name} grows by the factor {}", quantity(d, Default::default()))),
        _ => parts.push(format!("{name} forgets what it was")),
    }
    for (symbol, factor) in &form.terms {
        match symbol {
            Symbol::Port(port) if *factor == 1.0 => {
                parts.push(format!("{} is added as it arrives", pop.ports[*port].name))
            }
            Symbol::Fired => parts.push("gradients flow through the spike".to_string()),
            Symbol::DetachedFired => parts.push("no gradient flows through the spike (detached)".to_string()),
            _ => {}
        }
    }
    Some(parts.join("; "))
}

/// Equations: the exact step where they are linear, else the formula of the solver.
pub fn integrate(
    words: &Words,
    pop: &Population,
    stmt: &Stmt,
    solver: Solver,
    equations: &[(StateId, Expr)],
    fired_before: bool,
) -> Vec<Text> {
    let written: Vec<String> = equations
        .iter()
        .map(|(state, e)| format!("{}' = {}", words.state(*state), words.in_step(pop, e, fired_before)))
        .collect();
    let h = words.time(words.env.dt);
    let name = snn_compiler::hir::print::solver_name(solver);
    let together = if equations.len() > 1 { ", all from their values before" } else { "" };
    if let Some(forms) = updates(stmt, &words.env) {
        // One statement: all are read before any is written.
        let mut texts = linear(words, pop, &forms, fired_before).into_iter();
        let Some((first, mut lines)) = texts.next() else { return Vec::new() };
        for (formula, more) in texts {
            lines.push(formula);
            lines.extend(more);
        }
        lines.push(format!("this is {} by `{name}` over {h}{together}", written.join(", ")));
        return vec![(first, lines)];
    }
    let how = match solver {
        Solver::Euler => format!("x <- x + {h} f(x)"),
        Solver::ExponentialEuler => {
            format!("x <- x + {h} exprel({h} k) f(x), k the factor of x in its equation")
        }
        Solver::Rk4 => {
            format!("x <- x + {h}/6 (f1 + 2 f2 + 2 f3 + f4): f at x, x + {h}/2 f1, x + {h}/2 f2, x + {h} f3")
        }
        Solver::Exact => "by the exponential of its matrix".to_string(),
    };
    let mut lines = written[1..].to_vec();
    lines.push(format!("one step of `{name}`{together}: {how}"));
    vec![(written[0].clone(), lines)]
}
