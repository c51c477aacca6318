//! Numbers of expressions that are known before a run. No simplification: an expression has a value or it has none.

use super::{Expr, ExprKind, LocalId, Over, ReduceOp};
use crate::step::ops::{Fold, Pw};

/// What constants may depend on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct ConstEnv {
    /// Length of a step in seconds.
    pub dt: f64,
    /// Number of steps.
    pub steps: usize,
}

/// The value of a constant expression (in f64, SI units); none if it depends on anything that runs.
pub fn eval(expr: &Expr, env: &ConstEnv) -> Option<f64> {
    eval_in(expr, Some(env), &mut Vec::new())
}

/// The value of an expression that is the same in every job: it reads neither `dt` nor `steps`.
pub fn eval_free(expr: &Expr) -> Option<f64> {
    eval_in(expr, None, &mut Vec::new())
}

/// As [`eval`] (with `env`) or [`eval_free`] (without), with values of locals that are visible; unchanged on return.
/// A local without a value, or that is not in the list, makes what reads it not constant.
pub fn eval_in(expr: &Expr, env: Option<&ConstEnv>, locals: &mut Vec<(LocalId, Option<f64>)>) -> Option<f64> {
    match &expr.kind {
        ExprKind::Const(value) => Some(*value),
        ExprKind::Dt => env.map(|env| env.dt),
        ExprKind::Steps => env.map(|env| env.steps as f64),
        ExprKind::Local(id) => locals.iter().rev().find(|(local, _)| local == id)?.1,
        ExprKind::Pointwise(op, args) => {
            let mut values = [0.0; 3];
            for (slot, arg) in values.iter_mut().zip(args) {
                *slot = eval_in(arg, env, locals)?;
            }
            Some(pointwise(*op, &values))
        }
        ExprKind::Detach(value)
        | ExprKind::Repeat(value)
        | ExprKind::StraightThrough(value, _)
        | ExprKind::GradScale(value, _) => eval_in(value, env, locals),
        ExprKind::Reduce { op, over, value } => {
            let one = eval_in(value, env, locals)?;
            reduce(*op, *over, one, value)
        }
        ExprKind::Let { local, value, body } => {
            let value = eval_in(value, env, locals);
            bind(vec![(*local, value)], locals, |locals| eval_in(body, env, locals))
        }
        ExprKind::Required { condition, value, .. } => {
            eval_in(condition, env, locals).filter(|holds| *holds != 0.0)?;
            eval_in(value, env, locals)
        }
        ExprKind::Custom { params, args, forward, .. } => {
            let values = args.iter().map(|arg| eval_in(arg, env, locals)).collect::<Vec<_>>();
            let bound = params.iter().copied().zip(values).collect();
            bind(bound, locals, |locals| eval_in(forward, env, locals))
        }
        _ => None,
    }
}

fn bind(
    new: Vec<(LocalId, Option<f64>)>,
    locals: &mut Vec<(LocalId, Option<f64>)>,
    inside: impl FnOnce(&mut Vec<(LocalId, Option<f64>)>) -> Option<f64>,
) -> Option<f64> {
    let before = locals.len();
    locals.extend(new);
    let value = inside(locals);
    locals.truncate(before);
    value
}

/// A reduction of equal values.
fn reduce(op: ReduceOp, over: Over, one: f64, value: &Expr) -> Option<f64> {
    match op {
        ReduceOp::Mean | ReduceOp::Last | ReduceOp::Fold(Fold::Min | Fold::Max | Fold::MinNonzero) => {
            Some(one)
        }
        ReduceOp::Variance => Some(0.0),
        ReduceOp::Firing(..) => None,
        ReduceOp::Fold(Fold::Sum) => {
            let count = value.shape.iter().product::<usize>();
            (over == Over::Population).then_some(one * count as f64)
        }
    }
}

/// The value of a pointwise operation; `args` may be longer than its arity.
pub fn pointwise(op: Pw, args: &[f64; 3]) -> f64 {
    let [a, b, c] = *args;
    let truth = |holds: bool| f64::from(u8::from(holds));
    match op {
        Pw::Neg => -a,
        Pw::Abs => a.abs(),
        Pw::Exp => a.exp(),
        Pw::Ln => a.ln(),
        Pw::Sqrt => a.sqrt(),
        Pw::Tanh => a.tanh(),
        Pw::Sigmoid => 1.0 / (1.0 + (-a).exp()),
        Pw::Exprel if a == 0.0 => 1.0,
        Pw::Exprel => a.exp_m1() / a,
        Pw::Sin => a.sin(),
        Pw::Cos => a.cos(),
        Pw::Arctan => a.atan(),
        Pw::Erf => snn_runtime::math::erf_f64(a),
        Pw::Floor => a.floor(),
        Pw::Round => a.round_ties_even(),
        Pw::Sign if a > 0.0 => 1.0,
        Pw::Sign if a < 0.0 => -1.0,
        Pw::Sign => 0.0,
        Pw::Relu => a.max(0.0),
        Pw::Add => a + b,
        Pw::Sub => a - b,
        Pw::Mul => a * b,
        Pw::Div => a / b,
        Pw::Pow => a.powf(b),
        Pw::Min if a < b => a,
        Pw::Min => b,
        Pw::Max if a > b => a,
        Pw::Max => b,
        Pw::Lt => truth(a < b),
        Pw::Le => truth(a <= b),
        Pw::Eq => truth(a == b),
        Pw::Ne => truth(a != b),
        Pw::And => truth(a != 0.0 && b != 0.0),
        Pw::Or => truth(a != 0.0 || b != 0.0),
        Pw::Not => truth(a == 0.0),
        Pw::Select if a != 0.0 => b,
        Pw::Select => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hir::Unit;
    use crate::source::Span;

    fn expr(kind: ExprKind) -> Expr {
        Expr { kind, unit: Unit::NONE, shape: Vec::new(), span: Span::NONE }
    }
    fn pw(op: Pw, args: Vec<Expr>) -> Expr {
        expr(ExprKind::Pointwise(op, args))
    }
    const ENV: ConstEnv = ConstEnv { dt: 1e-3, steps: 20 };

    #[test]
    fn steps_and_dt_have_the_values_of_the_job() {
        let product = pw(Pw::Mul, vec![expr(ExprKind::Dt), expr(ExprKind::Steps)]);
        assert_eq!(eval(&product, &ENV), Some(0.02));
        assert_eq!(eval_free(&product), None);
    }

    #[test]
    fn a_let_is_visible_in_its_body_only() {
        let local = || expr(ExprKind::Local(LocalId(0)));
        let inside = expr(ExprKind::Let {
            local: LocalId(0),
            value: Box::new(expr(ExprKind::Const(3.0))),
            body: Box::new(pw(Pw::Mul, vec![local(), local()])),
        });
        assert_eq!(eval(&inside, &ENV), Some(9.0));
        assert_eq!(eval(&pw(Pw::Add, vec![inside, local()]), &ENV), None);
    }

    #[test]
    fn what_runs_has_no_value() {
        let random = expr(ExprKind::Random { gaussian: false, stream: "w".into(), once: false });
        assert_eq!(eval(&pw(Pw::Exp, vec![random]), &ENV), None);
    }

    #[test]
    fn operations_with_a_choice() {
        assert_eq!(pointwise(Pw::Exprel, &[0.0; 3]), 1.0);
        assert_eq!(pointwise(Pw::Round, &[2.5, 0.0, 0.0]), 2.0);
        assert_eq!(pointwise(Pw::Select, &[2.0, 5.0, 6.0]), 5.0);
        assert_eq!(pointwise(Pw::Min, &[f64::NAN, 5.0, 0.0]), 5.0);
    }
}
