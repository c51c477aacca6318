//! The range of values of an expression, by interval arithmetic. Sound, not tight: a value is never outside its range, but
//! the range may hold values that never come. Used for signs of weights and for bounds, not for optimization.

use crate::hir::{Bounds, Expr, ExprKind, LocalId, MatrixOp, NeuronFact, Over, ParamId, ReduceOp};
use crate::step::ops::{Fold, Pw};
use snn_runtime::abi::Scalar;

/// The range of the values of an expression (an `init`, in the first place).
pub(super) fn range(expr: &Expr) -> Bounds {
    range_in(expr, &mut Env::default())
}

/// Ranges that are known from outside; what is not in it may be anything.
#[derive(Default)]
pub(super) struct Env {
    locals: Vec<(LocalId, Bounds)>,
    params: Vec<Bounds>,
}

impl Env {
    /// Ranges of the parameters of a model, by id.
    pub(super) fn of_params(params: Vec<Bounds>) -> Env {
        Env { locals: Vec::new(), params }
    }

    fn local(&self, id: LocalId) -> Bounds {
        self.locals.iter().rev().find(|(local, _)| *local == id).map_or(Bounds::NONE, |(_, range)| *range)
    }

    fn param(&self, id: ParamId) -> Bounds {
        self.params.get(id.idx()).copied().unwrap_or(Bounds::NONE)
    }
}

/// As [`range`], with ranges that are known; `env` is unchanged on return.
pub(super) fn range_in(expr: &Expr, env: &mut Env) -> Bounds {
    match &expr.kind {
        ExprKind::Const(value) => point(*value),
        ExprKind::Dt | ExprKind::StepIndex | ExprKind::Iota(_) => POSITIVE,
        ExprKind::Steps => between(1.0, f64::INFINITY),
        ExprKind::Scalar(Scalar::Progress) => UNIT_INTERVAL,
        ExprKind::Scalar(_) => POSITIVE,
        ExprKind::Fired(_) | ExprKind::Training => UNIT_INTERVAL,
        ExprKind::Random { gaussian: false, .. } => UNIT_INTERVAL,
        ExprKind::Local(id) => env.local(*id),
        ExprKind::Param(id) => env.param(*id),
        ExprKind::Pointwise(op, args) => pointwise(*op, args, env),
        ExprKind::Repeat(value)
        | ExprKind::Detach(value)
        | ExprKind::StraightThrough(value, _)
        | ExprKind::GradScale(value, _)
        | ExprKind::Arranged(value, _) => range_in(value, env),
        ExprKind::Slide { weight: None, value, .. } | ExprKind::Delayed { value, .. } => {
            hull(range_in(value, env), point(0.0))
        }
        ExprKind::Reduce { op, over, value } => reduce(*op, *over, value, env),
        ExprKind::Required { value, .. } => range_in(value, env),
        ExprKind::Let { local, value, body } => {
            let bound = vec![(*local, range_in(value, env))];
            bind(bound, env, |env| range_in(body, env))
        }
        ExprKind::Custom { params, args, forward, .. } => {
            let ranges = args.iter().map(|arg| range_in(arg, env)).collect::<Vec<_>>();
            let bound = params.iter().copied().zip(ranges).collect();
            bind(bound, env, |env| range_in(forward, env))
        }
        ExprKind::Neuron(
            _,
            _,
            NeuronFact::KernelSquare | NeuronFact::SurrogateMean | NeuronFact::SurrogateAtZero,
        ) => POSITIVE,
        ExprKind::Neuron(..) => Bounds::NONE,
        ExprKind::Matrix(
            MatrixOp::Orthonormal | MatrixOp::OrthonormalTaps | MatrixOp::OrthonormalKernels(_),
            _,
        ) => between(-1.0, 1.0),
        ExprKind::Product(..) => Bounds::NONE,
        ExprKind::Matrix(MatrixOp::LowRank(_) | MatrixOp::KernelOfSpectrum | MatrixOp::Coordinates(_), _) => {
            Bounds::NONE
        }
        ExprKind::Matrix(..) | ExprKind::SpectralNorm { .. } => POSITIVE,
        ExprKind::Extent(..) => POSITIVE,
        ExprKind::MatVec(..)
        | ExprKind::Element(..)
        | ExprKind::File { .. }
        | ExprKind::Slide { .. }
        | ExprKind::Random { .. }
        | ExprKind::State(_)
        | ExprKind::Port(..)
        | ExprKind::Input(_)
        | ExprKind::Emit(_)
        | ExprKind::Trace(..)
        | ExprKind::Normalise(_)
        | ExprKind::Since(..)
        | ExprKind::Target => Bounds::NONE,
    }
}

const POSITIVE: Bounds = Bounds { low: 0.0, high: f64::INFINITY };
const UNIT_INTERVAL: Bounds = Bounds { low: 0.0, high: 1.0 };

/// The range from `low` to `high`; everything if one of them is not a number.
fn between(low: f64, high: f64) -> Bounds {
    if low <= high { Bounds { low, high } } else { Bounds::NONE }
}

fn point(value: f64) -> Bounds {
    between(value, value)
}

fn hull(a: Bounds, b: Bounds) -> Bounds {
    between(a.low.min(b.low), a.high.max(b.high))
}

fn bind(new: Vec<(LocalId, Bounds)>, env: &mut Env, inside: impl FnOnce(&mut Env) -> Bounds) -> Bounds {
    let before = env.locals.len();
    env.locals.extend(new);
    let range = inside(env);
    env.locals.truncate(before);
    range
}

fn reduce(op: ReduceOp, over: Over, value: &Expr, env: &mut Env) -> Bounds {
    let one = range_in(value, env);
    match op {
        ReduceOp::Mean | ReduceOp::Last | ReduceOp::Fold(Fold::Min | Fold::Max) => one,
        ReduceOp::Fold(Fold::MinNonzero) => hull(one, point(0.0)),
        ReduceOp::Variance => POSITIVE,
        ReduceOp::Firing(..) => between(0.0, 1.0),
        ReduceOp::Fold(Fold::Sum) if over == Over::Population => {
            let count = value.shape.iter().product::<usize>() as f64;
            between(times(one.low, count), times(one.high, count))
        }
        // The number of steps and samples is not known here, but their sum keeps its sign.
        ReduceOp::Fold(Fold::Sum) => between(
            if one.low >= 0.0 { 0.0 } else { f64::NEG_INFINITY },
            if one.high <= 0.0 { 0.0 } else { f64::INFINITY },
        ),
    }
}

fn pointwise(op: Pw, args: &[Expr], env: &mut Env) -> Bounds {
    let ranges: Vec<Bounds> = args.iter().map(|arg| range_in(arg, env)).collect();
    let at = |index: usize| ranges.get(index).copied().unwrap_or(Bounds::NONE);
    let (a, b) = (at(0), at(1));
    match op {
        Pw::Neg => between(-a.high, -a.low),
        Pw::Abs => abs(a),
        Pw::Exp => between(a.low.exp(), a.high.exp()),
        Pw::Ln if a.low >= 0.0 => between(a.low.ln(), a.high.ln()),
        Pw::Ln => Bounds::NONE,
        Pw::Sqrt => between(a.low.max(0.0).sqrt(), a.high.max(0.0).sqrt()),
        Pw::Tanh => between(a.low.tanh(), a.high.tanh()),
        Pw::Sigmoid => UNIT_INTERVAL,
        Pw::Exprel => POSITIVE,
        Pw::Sin | Pw::Cos | Pw::Sign | Pw::Erf => between(-1.0, 1.0),
        Pw::Arctan => between(a.low.atan(), a.high.atan()),
        Pw::Floor => between(a.low.floor(), a.high.floor()),
        Pw::Round => between(a.low.round_ties_even(), a.high.round_ties_even()),
        Pw::Relu => between(a.low.max(0.0), a.high.max(0.0)),
        Pw::Add => between(a.low + b.low, a.high + b.high),
        Pw::Sub => between(a.low - b.high, a.high - b.low),
        Pw::Mul if args.len() == 2 && is_same(&args[0], &args[1]) => square(a),
        Pw::Mul => product(a, b),
        Pw::Div => quotient(a, b),
        Pw::Pow => power(a, b),
        Pw::Min => between(a.low.min(b.low), a.high.min(b.high)),
        Pw::Max => between(a.low.max(b.low), a.high.max(b.high)),
        Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne | Pw::And | Pw::Or | Pw::Not => UNIT_INTERVAL,
        Pw::Select => hull(b, at(2)),
    }
}

/// A product of ends of ranges: 0 by anything is 0, because no value is infinite itself.
fn times(a: f64, b: f64) -> f64 {
    if a == 0.0 || b == 0.0 { 0.0 } else { a * b }
}

fn abs(a: Bounds) -> Bounds {
    let largest = a.low.abs().max(a.high.abs());
    if a.low <= 0.0 && a.high >= 0.0 {
        between(0.0, largest)
    } else {
        between(a.low.abs().min(a.high.abs()), largest)
    }
}

fn square(a: Bounds) -> Bounds {
    let a = abs(a);
    between(times(a.low, a.low), times(a.high, a.high))
}

fn product(a: Bounds, b: Bounds) -> Bounds {
    let ends = [times(a.low, b.low), times(a.low, b.high), times(a.high, b.low), times(a.high, b.high)];
    let low = ends.iter().copied().fold(f64::INFINITY, f64::min);
    between(low, ends.iter().copied().fold(f64::NEG_INFINITY, f64::max))
}

/// A divisor whose range touches 0 may come as close to it as it likes, from its side.
fn quotient(a: Bounds, b: Bounds) -> Bounds {
    let inverse = match b {
        Bounds { low: 0.0, high: 0.0 } => return Bounds::NONE,
        Bounds { low: 0.0, high } => between(1.0 / high, f64::INFINITY),
        Bounds { low, high: 0.0 } => between(f64::NEG_INFINITY, 1.0 / low),
        Bounds { low, high } if low > 0.0 || high < 0.0 => between(1.0 / high, 1.0 / low),
        _ => return Bounds::NONE,
    };
    product(a, inverse)
}

fn power(a: Bounds, b: Bounds) -> Bounds {
    let exponent = b.low;
    if b.low != b.high {
        return if a.low >= 0.0 { POSITIVE } else { Bounds::NONE };
    }
    if exponent == 2.0 {
        return square(a);
    }
    let is_even = exponent % 2.0 == 0.0;
    let a = if is_even { abs(a) } else { a };
    if a.low < 0.0 {
        let is_odd = exponent % 2.0 == 1.0;
        return if is_odd { between(a.low.powf(exponent), a.high.powf(exponent)) } else { Bounds::NONE };
    }
    let (x, y) = (a.low.powf(exponent), a.high.powf(exponent));
    between(x.min(y), x.max(y))
}

/// Whether two expressions always have the same value: the same names and numbers, nothing random.
fn is_same(a: &Expr, b: &Expr) -> bool {
    match (&a.kind, &b.kind) {
        (ExprKind::Const(x), ExprKind::Const(y)) => x == y,
        (ExprKind::Dt, ExprKind::Dt)
        | (ExprKind::Steps, ExprKind::Steps)
        | (ExprKind::Training, ExprKind::Training)
        | (ExprKind::StepIndex, ExprKind::StepIndex)
        | (ExprKind::Target, ExprKind::Target) => true,
        (ExprKind::Local(x), ExprKind::Local(y)) => x == y,
        (ExprKind::Param(x), ExprKind::Param(y)) => x == y,
        (ExprKind::State(x), ExprKind::State(y)) => x == y,
        (ExprKind::Input(x), ExprKind::Input(y)) => x == y,
        (ExprKind::Iota(x), ExprKind::Iota(y)) => x == y,
        (ExprKind::Fired(x), ExprKind::Fired(y)) | (ExprKind::Emit(x), ExprKind::Emit(y)) => x == y,
        (ExprKind::Port(x, m), ExprKind::Port(y, n)) => (x, m) == (y, n),
        (ExprKind::Trace(x, m), ExprKind::Trace(y, n)) => (x, m) == (y, n),
        (ExprKind::Pointwise(p, xs), ExprKind::Pointwise(q, ys)) => {
            p == q && xs.len() == ys.len() && xs.iter().zip(ys).all(|(x, y)| is_same(x, y))
        }
        _ => false,
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
    fn number(value: f64) -> Expr {
        expr(ExprKind::Const(value))
    }
    fn pw(op: Pw, args: Vec<Expr>) -> Expr {
        expr(ExprKind::Pointwise(op, args))
    }
    fn random(gaussian: bool) -> Expr {
        expr(ExprKind::Random { gaussian, stream: "w".into(), once: false })
    }
    /// `-log(1 - random())`
    fn exponential() -> Expr {
        pw(Pw::Neg, vec![pw(Pw::Ln, vec![pw(Pw::Sub, vec![number(1.0), random(false)])])])
    }
    #[track_caller]
    fn check(expr: &Expr, low: f64, high: f64) {
        assert_eq!(range(expr), Bounds { low, high });
    }

    #[test]
    fn draws_have_the_range_of_their_distribution() {
        let inf = f64::INFINITY;
        check(&random(false), 0.0, 1.0);
        check(&random(true), -inf, inf);
        check(&exponential(), 0.0, inf);
        check(&pw(Pw::Mul, vec![number(0.5), exponential()]), 0.0, inf);
        check(&pw(Pw::Neg, vec![exponential()]), -inf, 0.0);
        check(&pw(Pw::Abs, vec![random(true)]), 0.0, inf);
        check(&pw(Pw::Exp, vec![random(true)]), 0.0, inf);
        check(&pw(Pw::Max, vec![number(0.5), random(true)]), 0.5, inf);
    }

    #[test]
    fn a_square_is_not_negative_but_two_draws_may_be() {
        let local = || expr(ExprKind::Local(LocalId(3)));
        let square = expr(ExprKind::Let {
            local: LocalId(3),
            value: Box::new(random(true)),
            body: Box::new(pw(Pw::Mul, vec![local(), local()])),
        });
        check(&square, 0.0, f64::INFINITY);
        let two = pw(Pw::Mul, vec![random(true), random(true)]);
        check(&two, f64::NEG_INFINITY, f64::INFINITY);
        check(&pw(Pw::Pow, vec![random(true), number(2.0)]), 0.0, f64::INFINITY);
    }

    #[test]
    fn quotients_keep_their_sign() {
        let positive = |scale: f64| pw(Pw::Mul, vec![number(scale), random(false)]);
        check(&pw(Pw::Div, vec![number(1.0), positive(2.0)]), 0.5, f64::INFINITY);
        check(&pw(Pw::Div, vec![number(1.0), random(true)]), f64::NEG_INFINITY, f64::INFINITY);
        check(&pw(Pw::Div, vec![number(6.0), number(-2.0)]), -3.0, -3.0);
        check(&pw(Pw::Div, vec![number(6.0), number(0.0)]), f64::NEG_INFINITY, f64::INFINITY);
    }

    #[test]
    fn a_choice_has_the_values_of_both_sides() {
        let diagonal = pw(Pw::Select, vec![random(false), number(1.0), number(0.0)]);
        check(&diagonal, 0.0, 1.0);
    }

    /// Every operation, at values inside of ranges: never outside of the computed range.
    #[test]
    fn ranges_are_sound() {
        use crate::hir::constant;
        use crate::step::ops::OPS;
        let ends = [(-3.0, -1.0), (-2.0, 2.0), (0.0, 1.0), (0.5, 4.0), (2.0, 2.0)];
        let at = |(low, high): (f64, f64), share: f64| low + share * (high - low);
        for row in OPS {
            for x in ends {
                for y in ends {
                    let ids = [LocalId(0), LocalId(1), LocalId(2)];
                    let locals: Vec<_> = [x, y, y]
                        .iter()
                        .zip(ids)
                        .map(|(&(low, high), id)| (id, between(low, high)))
                        .collect();
                    let args = ids[..row.arity].iter().map(|id| expr(ExprKind::Local(*id))).collect();
                    let found = range_in(&pw(row.op, args), &mut Env { locals, params: Vec::new() });
                    for (s, t) in [(0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.3, 0.6), (0.5, 0.5)] {
                        let value = constant::pointwise(row.op, &[at(x, s), at(y, t), at(y, s)]);
                        assert!(
                            value.is_nan() || (found.low <= value && value <= found.high),
                            "{} of {x:?}, {y:?}: {value} is outside {found:?}",
                            row.name
                        );
                    }
                }
            }
        }
    }
}
