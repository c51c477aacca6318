//! Sums of constant multiples: the form in which most updates of neurons can be said and compared. Finding it in an expression,
//! and what solvers make of linear equations. Nothing is printed here.

use snn_compiler::hir::constant::{self, ConstEnv};
use snn_compiler::hir::{Expr, ExprKind, LocalId, Solver, StateId, Stmt, StmtKind};
use snn_compiler::step::ops::Pw;

/// What a sum is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Symbol {
    /// A state, as it is at this place of the step.
    State(StateId),
    /// What arrives at an input (index).
    Port(usize),
    /// The spike; before `fire` that of the step before.
    Fired,
    /// The same without gradient.
    DetachedFired,
}

/// `constant + sum of factor * symbol`, in SI units.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Linear {
    /// What is added.
    pub constant: f64,
    /// Factors that are not 0, in the order written; each symbol once.
    pub terms: Vec<(Symbol, f64)>,
}

impl Linear {
    fn number(constant: f64) -> Linear {
        Linear { constant, terms: Vec::new() }
    }

    /// One symbol.
    pub fn symbol(symbol: Symbol) -> Linear {
        Linear { constant: 0.0, terms: vec![(symbol, 1.0)] }
    }

    /// The factor of a symbol; 0 if it is not in the sum.
    pub fn factor(&self, symbol: Symbol) -> f64 {
        self.terms.iter().find(|(s, _)| *s == symbol).map_or(0.0, |(_, factor)| *factor)
    }

    /// The sum of both, the second times a number.
    pub fn plus(mut self, other: &Linear, times: f64) -> Linear {
        self.constant += times * other.constant;
        for (symbol, factor) in &other.terms {
            match self.terms.iter_mut().find(|(s, _)| s == symbol) {
                Some((_, own)) => *own += times * factor,
                None => self.terms.push((*symbol, times * factor)),
            }
        }
        self.terms.retain(|(_, factor)| *factor != 0.0);
        self
    }

    /// What it is where a state has the value `before`.
    pub fn after(mut self, state: StateId, before: &Linear) -> Linear {
        let factor = self.factor(Symbol::State(state));
        self.terms.retain(|(symbol, _)| *symbol != Symbol::State(state));
        before.clone().times(factor).plus(&self, 1.0)
    }

    /// All of it times a number.
    pub fn times(self, number: f64) -> Linear {
        Linear::default().plus(&self, number)
    }

    fn as_number(&self) -> Option<f64> {
        self.terms.is_empty().then_some(self.constant)
    }
}

/// The linear form of an expression of a step; none if it has none, or if its factors are not known before a run.
pub fn linear(e: &Expr, env: &ConstEnv) -> Option<Linear> {
    within(e, env, &mut Vec::new())
}

fn within(e: &Expr, env: &ConstEnv, lets: &mut Vec<(LocalId, Linear)>) -> Option<Linear> {
    if let Some(known) = constant::eval(e, env) {
        return Some(Linear::number(known));
    }
    match &e.kind {
        ExprKind::State(id) => Some(Linear::symbol(Symbol::State(*id))),
        ExprKind::Port(_, port) => Some(Linear::symbol(Symbol::Port(*port))),
        ExprKind::Fired(_) => Some(Linear::symbol(Symbol::Fired)),
        ExprKind::Detach(value) => match within(value, env, lets)? {
            known if known.terms.is_empty() => Some(known),
            one if one == Linear::symbol(Symbol::Fired) => Some(Linear::symbol(Symbol::DetachedFired)),
            _ => None,
        },
        ExprKind::Local(id) => lets.iter().rev().find(|(local, _)| local == id).map(|(_, v)| v.clone()),
        ExprKind::Let { local, value, body } => {
            let value = within(value, env, lets)?;
            lets.push((*local, value));
            let body = within(body, env, lets);
            lets.pop();
            body
        }
        ExprKind::Pointwise(op, args) => {
            let args: Option<Vec<Linear>> = args.iter().map(|arg| within(arg, env, lets)).collect();
            pointwise(*op, &args?)
        }
        _ => None,
    }
}

fn pointwise(op: Pw, args: &[Linear]) -> Option<Linear> {
    match (op, args) {
        (Pw::Neg, [a]) => Some(a.clone().times(-1.0)),
        (Pw::Add, [a, b]) => Some(a.clone().plus(b, 1.0)),
        (Pw::Sub, [a, b]) => Some(a.clone().plus(b, -1.0)),
        (Pw::Mul, [a, b]) => match (a.as_number(), b.as_number()) {
            (Some(a), _) => Some(b.clone().times(a)),
            (_, Some(b)) => Some(a.clone().times(b)),
            _ => None,
        },
        (Pw::Div, [a, b]) => b.as_number().map(|b| a.clone().times(1.0 / b)),
        _ => None,
    }
}

/// What a statement gives a state, where that is linear: an assignment that is no reset, or an integration.
///
/// Everything that is not integrated is held during the step, as the solvers do.
pub fn updates(stmt: &Stmt, env: &ConstEnv) -> Option<Vec<(StateId, Linear)>> {
    match &stmt.kind {
        StmtKind::Assign { state, value, is_reset: false } => Some(vec![(*state, linear(value, env)?)]),
        StmtKind::Integrate { solver, equations } => integrated(*solver, equations, env),
        _ => None,
    }
}

/// One step of linear equations `x' = A x + B u + c`: the rows of the solver's matrix.
fn integrated(
    solver: Solver,
    equations: &[(StateId, Expr)],
    env: &ConstEnv,
) -> Option<Vec<(StateId, Linear)>> {
    let forms: Option<Vec<Linear>> = equations.iter().map(|(_, e)| linear(e, env)).collect();
    let forms = forms?;
    let alone = |(state, form): (&StateId, &Linear)| {
        form.terms.iter().all(|(symbol, _)| !is_other(*symbol, *state, equations))
    };
    let states: Vec<StateId> = equations.iter().map(|(state, _)| *state).collect();
    if solver == Solver::ExponentialEuler && !states.iter().zip(&forms).all(alone) {
        return None;
    }
    // States first, then what is held, then 1 for constants.
    let mut symbols: Vec<Symbol> = states.iter().map(|state| Symbol::State(*state)).collect();
    for (symbol, _) in forms.iter().flat_map(|form| &form.terms) {
        if !symbols.contains(symbol) {
            symbols.push(*symbol);
        }
    }
    let n = symbols.len() + 1;
    let mut matrix = vec![vec![0.0; n]; n];
    for (row, form) in matrix.iter_mut().zip(&forms) {
        for (at, symbol) in symbols.iter().enumerate() {
            row[at] = env.dt * form.factor(*symbol);
        }
        row[n - 1] = env.dt * form.constant;
    }
    // Solvers are polynomials in this matrix, or its exponential.
    let power = match solver {
        Solver::Euler => series(&matrix, 1),
        Solver::Rk4 => series(&matrix, 4),
        Solver::Exact | Solver::ExponentialEuler => exponential(&matrix),
    };
    let row = |at: usize| {
        let terms = symbols.iter().zip(&power[at]).map(|(symbol, factor)| (*symbol, *factor));
        Linear { constant: power[at][n - 1], terms: terms.filter(|(_, factor)| *factor != 0.0).collect() }
    };
    Some(states.iter().enumerate().map(|(at, state)| (*state, row(at))).collect())
}

fn is_other(symbol: Symbol, own: StateId, equations: &[(StateId, Expr)]) -> bool {
    matches!(symbol, Symbol::State(id) if id != own && equations.iter().any(|(state, _)| *state == id))
}

/// `1 + m + m^2/2 + …` up to a power.
fn series(m: &[Vec<f64>], terms: usize) -> Vec<Vec<f64>> {
    let n = m.len();
    let one = |i: usize, j: usize| f64::from(u8::from(i == j));
    let mut sum: Vec<Vec<f64>> = (0..n).map(|i| (0..n).map(|j| one(i, j)).collect()).collect();
    let mut power = sum.clone();
    for k in 1..=terms {
        power = product(&power, m).into_iter().map(|r| r.iter().map(|x| x / k as f64).collect()).collect();
        for (row, more) in sum.iter_mut().zip(&power) {
            row.iter_mut().zip(more).for_each(|(x, y)| *x += y);
        }
    }
    sum
}

/// The exponential of a matrix by scaling and squaring.
fn exponential(m: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let norm = m.iter().map(|row| row.iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    let halvings = if norm > 0.5 { (norm / 0.5).log2().ceil() as i32 } else { 0 };
    let scale = 2f64.powi(-halvings);
    let small: Vec<Vec<f64>> = m.iter().map(|row| row.iter().map(|x| x * scale).collect()).collect();
    let mut power = series(&small, 16);
    for _ in 0..halvings {
        power = product(&power, &power);
    }
    power
}

fn product(a: &[Vec<f64>], b: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = b.first().map_or(0, Vec::len);
    let cell = |row: &[f64], j: usize| row.iter().zip(b).map(|(x, other)| x * other[j]).sum();
    a.iter().map(|row| (0..n).map(|j| cell(row, j)).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_has_the_propagators_of_nest() {
        // Rotter & Diesmann 1999; iaf_psc_exp with h = 0.1, tau_m = 10, tau_syn = 2 ms, C = 250 pF.
        let (h, c) = (0.1, 250.0);
        let power = exponential(&[vec![-h / 10.0, h / c], vec![0.0, -h / 2.0]]);
        assert!((power[0][0] - 0.990_049_833_749_168_1).abs() < 1e-15);
        assert!((power[1][1] - 0.951_229_424_500_714).abs() < 1e-15);
        assert!((power[0][1] - 3.882_040_924_845_409_3e-4).abs() < 1e-17);
        let large = exponential(&[vec![-30.0]]);
        assert!((large[0][0] / (-30f64).exp() - 1.0).abs() < 1e-9, "{large:?}");
    }
}
