//! Differential equations to one step of a solver: exact, exponential Euler, Euler, RK4.
//!
//! Notation: `h` is the length of the step, `x' = f(x)` the equations, everything that is not integrated held during the step.

use super::expr::{Scope, expr};
use super::population::Builder;
use crate::hir::constant;
use crate::hir::{self, ExprKind, Solver, StateId};
use crate::step::ValId;
use crate::step::ops::Pw;

/// New values of the states, in the order of the equations.
pub(super) fn advance(b: &mut Builder, solver: Solver, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    let mode = std::mem::replace(&mut b.formula_mode, true);
    let vals = match solver {
        Solver::Euler => euler(b, equations),
        Solver::Rk4 => rk4(b, equations),
        Solver::ExponentialEuler => exponential_euler(b, equations),
        Solver::Exact => exact(b, equations),
    };
    b.formula_mode = mode;
    vals
}

fn states(b: &Builder, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    equations.iter().map(|(s, _)| b.states[s.idx()]).collect()
}

/// Derivatives at the given values of the states.
fn derivatives(b: &mut Builder, equations: &[(StateId, hir::Expr)], at: &[ValId]) -> Vec<ValId> {
    let before = states(b, equations);
    set(b, equations, at);
    let f = equations.iter().map(|(_, rhs)| expr(b, rhs)).collect();
    set(b, equations, &before);
    f
}

fn set(b: &mut Builder, equations: &[(StateId, hir::Expr)], vals: &[ValId]) {
    for ((state, _), val) in equations.iter().zip(vals) {
        b.states[state.idx()] = *val;
    }
}

/// `x + k f`
fn moved(b: &mut Builder, x: &[ValId], k: f64, f: &[ValId]) -> Vec<ValId> {
    let k = b.graph().constant(k);
    let pairs: Vec<(ValId, ValId)> = x.iter().copied().zip(f.iter().copied()).collect();
    pairs
        .into_iter()
        .map(|(x, f)| {
            let step = b.graph().pointwise(Pw::Mul, &[f, k]);
            b.graph().pointwise(Pw::Add, &[x, step])
        })
        .collect()
}

fn euler(b: &mut Builder, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    let (x, h) = (states(b, equations), b.env().dt);
    let f = derivatives(b, equations, &x);
    moved(b, &x, h, &f)
}

/// Classical Runge-Kutta: `x + h/6 (f1 + 2 f2 + 2 f3 + f4)`.
fn rk4(b: &mut Builder, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    let (x, h) = (states(b, equations), b.env().dt);
    let f1 = derivatives(b, equations, &x);
    let x2 = moved(b, &x, h / 2.0, &f1);
    let f2 = derivatives(b, equations, &x2);
    let x3 = moved(b, &x, h / 2.0, &f2);
    let f3 = derivatives(b, equations, &x3);
    let x4 = moved(b, &x, h, &f3);
    let f4 = derivatives(b, equations, &x4);
    let middle: Vec<ValId> =
        f2.iter().zip(&f3).map(|(&p, &q)| b.graph().pointwise(Pw::Add, &[p, q])).collect();
    let outer: Vec<ValId> =
        f1.iter().zip(&f4).map(|(&p, &q)| b.graph().pointwise(Pw::Add, &[p, q])).collect();
    let total = moved(b, &outer, 2.0, &middle);
    moved(b, &x, h / 6.0, &total)
}

/// `x' = a + c x` with `a`, `c` held: `x + h (a + c x) exprel(c h)`; no singularity at `c = 0`.
fn exponential_euler(b: &mut Builder, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    let x = states(b, equations);
    let f = derivatives(b, equations, &x);
    let mut vals = Vec::new();
    for (k, (state, rhs)) in equations.iter().enumerate() {
        let coefficient = linear(b, rhs, *state).expect("checked: linear in its own state");
        let h = b.env().dt;
        let h = b.graph().constant(h);
        let mut step = b.graph().pointwise(Pw::Mul, &[f[k], h]);
        if let Some(c) = coefficient {
            let ch = b.graph().pointwise(Pw::Mul, &[c, h]);
            let factor = b.graph().pointwise(Pw::Exprel, &[ch]);
            step = b.graph().pointwise(Pw::Mul, &[step, factor]);
        }
        vals.push(b.graph().pointwise(Pw::Add, &[x[k], step]));
    }
    vals
}

/// Linear equations `x' = A x + a`: `x <- e^(Ah) x + (integral of e^(As), s = 0..h) a`, with both matrices computed here when
/// `A` is constant. A single equation whose coefficient is a parameter is solved as by exponential Euler, which is exact for it.
fn exact(b: &mut Builder, equations: &[(StateId, hir::Expr)]) -> Vec<ValId> {
    let Some(a) = constant_matrix(b, equations) else {
        return exponential_euler(b, equations);
    };
    let n = equations.len();
    let x = states(b, equations);
    let zero = b.graph().constant(0.0);
    let rest = derivatives(b, equations, &vec![zero; n]);
    let (e, phi) = propagators(&a, n, b.env().dt);
    let mut vals = Vec::new();
    for row in 0..n {
        let mut sum = None;
        for col in 0..n {
            sum = add_term(b, sum, e[row * n + col], x[col]);
            sum = add_term(b, sum, phi[row * n + col], rest[col]);
        }
        vals.push(sum.unwrap_or(zero));
    }
    vals
}

fn add_term(b: &mut Builder, sum: Option<ValId>, factor: f64, val: ValId) -> Option<ValId> {
    if factor == 0.0 {
        return sum;
    }
    let factor = b.graph().constant(factor);
    let term = b.graph().pointwise(Pw::Mul, &[val, factor]);
    Some(match sum {
        Some(sum) => b.graph().pointwise(Pw::Add, &[sum, term]),
        None => term,
    })
}

/// The matrix `A` if all its entries are numbers, row by row.
fn constant_matrix(b: &Builder, equations: &[(StateId, hir::Expr)]) -> Option<Vec<f64>> {
    let mut matrix = Vec::new();
    for (_, rhs) in equations {
        for (state, _) in equations {
            matrix.push(constant_coefficient(b, rhs, *state)?);
        }
    }
    Some(matrix)
}

/// `e^(Ah)` and the integral of `e^(As)` over `s = 0..h`: both are blocks of the exponential of `[[A, 1], [0, 0]] h`.
pub(super) fn propagators(a: &[f64], n: usize, h: f64) -> (Vec<f64>, Vec<f64>) {
    let m = 2 * n;
    let mut block = vec![0.0; m * m];
    for row in 0..n {
        for col in 0..n {
            block[row * m + col] = a[row * n + col] * h;
        }
        block[row * m + n + row] = h;
    }
    let e = matrix_exponential(&block, m);
    let part = |from: usize| (0..n * n).map(|k| e[(k / n) * m + from + k % n]).collect();
    (part(0), part(n))
}

/// Scaling and squaring with a Taylor series; for the few states of a neuron.
fn matrix_exponential(a: &[f64], n: usize) -> Vec<f64> {
    let norm = (0..n).map(|row| a[row * n..][..n].iter().map(|x| x.abs()).sum::<f64>()).fold(0.0, f64::max);
    let squarings = if norm > 0.25 { (norm / 0.25).log2().ceil() as u32 } else { 0 };
    let scaled: Vec<f64> = a.iter().map(|x| x / 2f64.powi(squarings as i32)).collect();
    let mut result: Vec<f64> = (0..n * n).map(|k| if k / n == k % n { 1.0 } else { 0.0 }).collect();
    let mut term = result.clone();
    for k in 1..=16 {
        term = product(&term, &scaled, n);
        term.iter_mut().for_each(|x| *x /= k as f64);
        result.iter_mut().zip(&term).for_each(|(r, t)| *r += t);
    }
    for _ in 0..squarings {
        result = product(&result, &result, n);
    }
    result
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; n * n];
    for row in 0..n {
        for k in 0..n {
            for col in 0..n {
                c[row * n + col] += a[row * n + k] * b[k * n + col];
            }
        }
    }
    c
}

/// Whether any part of the expression satisfies the test.
pub(super) fn any(e: &hir::Expr, test: &mut dyn FnMut(&ExprKind) -> bool) -> bool {
    if test(&e.kind) {
        return true;
    }
    e.children().into_iter().any(|child| any(child, test))
}

/// Whether the value depends on a state, looking through `let`s of the body.
fn depends(b: &Builder, e: &hir::Expr, state: StateId) -> bool {
    any(e, &mut |kind| match kind {
        ExprKind::State(s) => *s == state,
        ExprKind::Local(l) => b.formulas.get(l).is_some_and(|formula| depends(b, formula, state)),
        _ => false,
    })
}

/// The coefficient of a state in an expression that is linear in it: `Some(None)` if the state is not in it, `None` if it is
/// not linear. Symbolic, so that no digits are lost.
fn linear(b: &mut Builder, e: &hir::Expr, state: StateId) -> Option<Option<ValId>> {
    if !depends(b, e, state) {
        return Some(None);
    }
    match &e.kind {
        ExprKind::State(_) => Some(Some(b.graph().constant(1.0))),
        ExprKind::Local(l) => {
            let formula = *b.formulas.get(l)?;
            linear(b, formula, state)
        }
        ExprKind::Let { local, value, body } => {
            if depends(b, value, state) {
                return None;
            }
            let val = expr(b, value);
            b.bind(*local, val);
            linear(b, body, state)
        }
        ExprKind::Pointwise(op, args) => linear_op(b, *op, args, state),
        _ => None,
    }
}

fn linear_op(b: &mut Builder, op: Pw, args: &[hir::Expr], state: StateId) -> Option<Option<ValId>> {
    match op {
        Pw::Neg => {
            let c = linear(b, &args[0], state)??;
            Some(Some(b.graph().pointwise(Pw::Neg, &[c])))
        }
        Pw::Add | Pw::Sub => {
            let (p, q) = (linear(b, &args[0], state)?, linear(b, &args[1], state)?);
            Some(match (p, q) {
                (Some(p), Some(q)) => Some(b.graph().pointwise(op, &[p, q])),
                (None, Some(q)) if op == Pw::Sub => Some(b.graph().pointwise(Pw::Neg, &[q])),
                (p, q) => p.or(q),
            })
        }
        Pw::Mul | Pw::Div => {
            let (p, q) = (linear(b, &args[0], state)?, linear(b, &args[1], state)?);
            let (c, other) = match (p, q) {
                (Some(p), None) => (p, &args[1]),
                (None, Some(q)) if op == Pw::Mul => (q, &args[0]),
                _ => return None,
            };
            let other = expr(b, other);
            Some(Some(b.graph().pointwise(op, &[c, other])))
        }
        _ => None,
    }
}

/// The coefficient as a number, if it is one.
fn constant_coefficient(b: &Builder, e: &hir::Expr, state: StateId) -> Option<f64> {
    if !depends(b, e, state) {
        return Some(0.0);
    }
    let number = |e: &hir::Expr| constant::eval(e, &b.env());
    match &e.kind {
        ExprKind::State(_) => Some(1.0),
        ExprKind::Local(l) => constant_coefficient(b, b.formulas.get(l)?, state),
        ExprKind::Pointwise(op, args) => {
            let coefficient = |k: usize| constant_coefficient(b, &args[k], state);
            match op {
                Pw::Neg => Some(-coefficient(0)?),
                Pw::Add => Some(coefficient(0)? + coefficient(1)?),
                Pw::Sub => Some(coefficient(0)? - coefficient(1)?),
                Pw::Mul if depends(b, &args[0], state) => Some(coefficient(0)? * number(&args[1])?),
                Pw::Mul => Some(number(&args[0])? * coefficient(1)?),
                Pw::Div if !depends(b, &args[1], state) => Some(coefficient(0)? / number(&args[1])?),
                _ => None,
            }
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Synaptic current into a membrane: dI/dt = -I/ts, dV/dt = -V/tm + I/C; times in ms, C in pF.
    /// Numbers: NEST's propagators for h = 0.1 ms, tm = 10 ms, ts = 2 ms, C = 250 pF (systems-bio 12.1).
    #[test]
    fn exact_propagators_of_a_current_based_neuron() {
        let (e, phi) = propagators(&[-0.5, 0.0, 1.0 / 250.0, -0.1], 2, 0.1);
        let close = |a: f64, b: f64| assert!((a / b - 1.0).abs() < 1e-13, "{a} {b}");
        close(e[0], 0.9512294245007140);
        close(e[3], 0.9900498337491681);
        close(e[2], 3.8820409248454093e-4);
        close(phi[3] / 250.0, 3.9800665003327575e-4);
        let (e, _) = propagators(&[-0.1, 0.0, 1.0 / 250.0, -0.1], 2, 0.1);
        close(e[2], 3.9601993349966727e-4);
        // A difference of two exponentials keeps eight digits here: 3.9601992345e-4.
        let (e, _) = propagators(&[-1.0 / 10.000001, 0.0, 1.0 / 250.0, -0.1], 2, 0.1);
        close(e[2], 3.960199336976772e-4);
        let (e, _) = propagators(&[-2.0, 0.0, 1.0 / 250.0, -0.1], 2, 0.1);
        close(e[0], 0.8187307530779818);
        close(e[2], 3.6067174878144480e-4);
    }
}
