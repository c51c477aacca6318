//! The update of a neuron in one canonical form, so that it can be compared: membrane, perhaps a current before or after it,
//! threshold, reset. Neurons of other forms have none.

use super::linear::{Linear, Symbol, linear, updates};
use snn_compiler::hir::constant::{self, ConstEnv};
use snn_compiler::hir::{Expr, ExprKind, Model, Population, StateId, Stmt, StmtKind, difference};
use snn_compiler::step::ops::Pw;

/// What happens to the membrane after a spike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Reset {
    /// Nothing.
    None,
    /// An amount is subtracted.
    Subtract(f64),
    /// It is set to a value.
    To(f64),
}

/// A synaptic current `s <- decay s + gain x`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Current {
    /// Factor of a step.
    pub decay: f64,
    /// Factor of what arrives.
    pub gain: f64,
    /// The membrane reads the current of this step, not that of the step before.
    pub first: bool,
}

/// `v <- decay v + gain x + constant`, a spike where `v` reaches `theta`, a reset. `x` is what arrives, or the current.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// The membrane.
    pub state: StateId,
    /// Factor of a step.
    pub decay: f64,
    /// Factor of what arrives.
    pub gain: f64,
    /// What is added at every step.
    pub constant: f64,
    /// First value.
    pub start: f64,
    /// A current between input and membrane.
    pub current: Option<Current>,
    /// Threshold.
    pub theta: f64,
    /// `v > theta`, not `v >= theta`.
    pub strict: bool,
    /// Reset.
    pub reset: Reset,
    /// No gradient flows through the spike of the reset.
    pub detached: bool,
    /// The reset happens in the next step, with its update.
    pub late: bool,
    /// `v' = rate v + gain x + constant`, if it was written as an equation: the three numbers.
    pub equation: Option<(f64, f64, f64)>,
}

/// The canonical form of a population that fires; none if it has another.
pub fn of(model: &Model, pop: &Population, env: &ConstEnv) -> Option<Update> {
    if pop.refractory.is_some() || !matches!(pop.emit.kind, ExprKind::Fired(_)) || pop.states.len() > 2 {
        return None;
    }
    let fire = pop.body.iter().position(|stmt| matches!(stmt.kind, StmtKind::Fire { .. }))?;
    let StmtKind::Fire { above, below, strict, .. } = &pop.body[fire].kind else { return None };
    let diff = linear(&difference(above, below.as_ref()), env)?;
    let [(Symbol::State(state), scale)] = diff.terms[..] else { return None };
    if scale <= 0.0 {
        return None;
    }
    let theta = -diff.constant / scale;
    let (mut membrane, mut current, mut reset) = (None, None, None);
    for (at, stmt) in pop.body.iter().enumerate().filter(|(at, _)| *at != fire) {
        let of_membrane = matches!(&stmt.kind, StmtKind::Assign { state: s, .. } if *s == state);
        if at > fire && of_membrane {
            let found = reset_of(stmt, state, env)?;
            if reset.replace(found).is_some() {
                return None;
            }
            continue;
        }
        let [(target, form)] = &updates(stmt, env)?[..] else { return None };
        let form = form.clone();
        match (*target == state, &current) {
            (true, _) if at < fire && membrane.is_none() => membrane = Some((at, form)),
            (false, None) => current = Some((at, form)),
            // The current in two statements, with no reader between them.
            (false, Some((first, before)))
                if (*first < fire) == (at < fire) && !splits(&membrane, *first, at) =>
            {
                current = Some((*first, form.after(*target, before)));
            }
            _ => return None,
        }
    }
    let (at, form) = membrane?;
    let rate = equation(&pop.body[at], env);
    let start = constant::eval(&model.states[state.idx()].init, env)?;
    let current = match current {
        Some(found) => Some(current_of(model, pop, state, found, at, env)?),
        None if pop.states.len() == 1 => None,
        None => return None,
    };
    let parts = parts(&form, state, current.map(|(id, _)| id))?;
    let (reset, detached, late) = match (parts.late, reset) {
        (None, reset) => {
            reset.map_or((Reset::None, false, false), |(reset, detached)| (reset, detached, false))
        }
        (Some((amount, detached)), None) => (Reset::Subtract(amount), detached, true),
        _ => return None,
    };
    Some(Update {
        state,
        decay: parts.decay,
        gain: parts.gain,
        constant: form.constant,
        start,
        current: current.map(|(_, current)| current),
        theta,
        strict: *strict,
        reset,
        detached,
        late,
        equation: rate,
    })
}

/// Whether the membrane is updated between two statements.
fn splits(membrane: &Option<(usize, Linear)>, first: usize, second: usize) -> bool {
    membrane.as_ref().is_some_and(|(at, _)| (first..second).contains(at))
}

/// Factors of a membrane's update.
struct Parts {
    decay: f64,
    gain: f64,
    /// What the spike of the step before subtracts, and whether it is detached.
    late: Option<(f64, bool)>,
}

fn parts(form: &Linear, state: StateId, current: Option<StateId>) -> Option<Parts> {
    let mut parts = Parts { decay: 0.0, gain: 0.0, late: None };
    for (symbol, factor) in &form.terms {
        match symbol {
            Symbol::State(id) if *id == state => parts.decay = *factor,
            Symbol::State(id) if Some(*id) == current && parts.gain == 0.0 => parts.gain = *factor,
            Symbol::Port(_) if current.is_none() && parts.gain == 0.0 => parts.gain = *factor,
            Symbol::Fired if parts.late.is_none() => parts.late = Some((-factor, false)),
            Symbol::DetachedFired if parts.late.is_none() => parts.late = Some((-factor, true)),
            _ => return None,
        }
    }
    Some(parts)
}

/// The second state as a current: it reads itself and one input, and starts at 0.
fn current_of(
    model: &Model,
    pop: &Population,
    membrane: StateId,
    (at, form): (usize, Linear),
    membrane_at: usize,
    env: &ConstEnv,
) -> Option<(StateId, Current)> {
    let id = pop.states.iter().copied().find(|id| *id != membrane)?;
    let mut current = Current { decay: 0.0, gain: 0.0, first: at < membrane_at };
    for (symbol, factor) in &form.terms {
        match symbol {
            Symbol::State(s) if *s == id => current.decay = *factor,
            Symbol::Port(_) if current.gain == 0.0 => current.gain = *factor,
            _ => return None,
        }
    }
    let start = constant::eval(&model.states[id.idx()].init, env)?;
    (form.constant == 0.0 && start == 0.0).then_some((id, current))
}

/// What a statement after `fire` does to the membrane where the neuron fired, and whether the spike is detached.
pub fn reset_of(stmt: &Stmt, state: StateId, env: &ConstEnv) -> Option<(Reset, bool)> {
    let StmtKind::Assign { state: target, value, .. } = &stmt.kind else { return None };
    if *target != state {
        return None;
    }
    let own = Linear::symbol(Symbol::State(state));
    if let ExprKind::Pointwise(Pw::Select, args) = &value.kind
        && let [condition, new, old] = &args[..]
    {
        let detached = spike(condition)?;
        let new = linear(new, env)?;
        if linear(old, env)? != own {
            return None;
        }
        let change = new.clone().plus(&own, -1.0);
        return match (change.terms.is_empty(), new.terms.is_empty()) {
            (true, _) => Some((subtract(-change.constant), detached)),
            (_, true) => Some((Reset::To(new.constant), detached)),
            _ => None,
        };
    }
    let change = linear(value, env)?.plus(&own, -1.0);
    match change.terms[..] {
        [] if change.constant == 0.0 => Some((Reset::None, false)),
        [(Symbol::Fired, factor)] if change.constant == 0.0 => Some((subtract(-factor), false)),
        [(Symbol::DetachedFired, factor)] if change.constant == 0.0 => Some((subtract(-factor), true)),
        _ => None,
    }
}

fn subtract(amount: f64) -> Reset {
    if amount == 0.0 { Reset::None } else { Reset::Subtract(amount) }
}

/// Whether a condition is the spike, and whether it is detached.
fn spike(condition: &Expr) -> Option<bool> {
    match &condition.kind {
        ExprKind::Fired(_) => Some(false),
        ExprKind::Detach(inner) if matches!(inner.kind, ExprKind::Fired(_)) => Some(true),
        _ => None,
    }
}

/// Rate, gain and constant of a single linear equation.
fn equation(stmt: &Stmt, env: &ConstEnv) -> Option<(f64, f64, f64)> {
    let StmtKind::Integrate { equations, .. } = &stmt.kind else { return None };
    let [(state, value)] = &equations[..] else { return None };
    let form = linear(value, env)?;
    let gains: Vec<f64> =
        form.terms.iter().filter(|(s, _)| matches!(s, Symbol::Port(_))).map(|(_, factor)| *factor).collect();
    let own = form.factor(Symbol::State(*state));
    match (&gains[..], form.terms.len()) {
        ([gain], 2) => Some((own, *gain, form.constant)),
        ([gain], 1) => Some((0.0, *gain, form.constant)),
        _ => None,
    }
}
