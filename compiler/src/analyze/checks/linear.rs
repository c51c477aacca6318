//! How an expression depends on states: not at all, linearly, or otherwise. No rule by itself; [`super::solver`] uses it.

use crate::hir::{Expr, ExprKind, LocalId, StateId};
use crate::source::Span;
use crate::step::ops::Pw;

/// How a value depends on the states asked for.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Dependence {
    /// It depends on them.
    pub(super) on_states: bool,
    /// Where it depends on them other than linearly.
    pub(super) nonlinear: Option<Span>,
    /// Where a coefficient of a state changes from step to step.
    pub(super) varying_coefficient: Option<Span>,
    /// The value itself changes from step to step, apart from the states.
    varies: bool,
}

const CONSTANT: Dependence =
    Dependence { on_states: false, nonlinear: None, varying_coefficient: None, varies: false };

impl Dependence {
    fn join(self, other: Dependence) -> Dependence {
        Dependence {
            on_states: self.on_states || other.on_states,
            nonlinear: self.nonlinear.or(other.nonlinear),
            varying_coefficient: self.varying_coefficient.or(other.varying_coefficient),
            varies: self.varies || other.varies,
        }
    }

    /// Multiplied by a value that does not depend on the states.
    fn scaled(self, by: Dependence, span: Span) -> Dependence {
        let varying = (self.on_states && by.varies).then_some(span);
        let varying_coefficient = self.varying_coefficient.or(varying);
        Dependence { varying_coefficient, ..self.join(by) }
    }
}

/// Known dependences of locals that are visible.
pub(super) type Locals = Vec<(LocalId, Dependence)>;

/// How `expr` depends on `states`.
pub(super) fn dependence(expr: &Expr, states: &[StateId], locals: &mut Locals) -> Dependence {
    match &expr.kind {
        ExprKind::Const(_)
        | ExprKind::Dt
        | ExprKind::Steps
        | ExprKind::Training
        | ExprKind::Param(_)
        | ExprKind::Scalar(_) => CONSTANT,
        ExprKind::State(id) if states.contains(id) => Dependence { on_states: true, ..CONSTANT },
        ExprKind::Local(id) => locals
            .iter()
            .rev()
            .find(|(local, _)| local == id)
            .map_or(Dependence { varies: true, ..CONSTANT }, |(_, known)| *known),
        ExprKind::Pointwise(op, args) => {
            let args: Vec<Dependence> = args.iter().map(|arg| dependence(arg, states, locals)).collect();
            pointwise(*op, &args, expr.span)
        }
        ExprKind::Repeat(value) | ExprKind::Detach(value) | ExprKind::GradScale(value, _) => {
            dependence(value, states, locals)
        }
        ExprKind::StraightThrough(value, _) => dependence(value, states, locals),
        ExprKind::Let { local, value, body } => {
            let value = dependence(value, states, locals);
            locals.push((*local, value));
            let result = dependence(body, states, locals);
            locals.pop();
            result
        }
        _ => {
            let parts = expr.children().into_iter().map(|part| dependence(part, states, locals));
            let all = parts.fold(CONSTANT, Dependence::join);
            Dependence { varies: true, ..opaque(all, expr.span) }
        }
    }
}

fn pointwise(op: Pw, args: &[Dependence], span: Span) -> Dependence {
    match (op, args) {
        (Pw::Neg, [a]) => *a,
        (Pw::Add | Pw::Sub, [a, b]) => a.join(*b),
        (Pw::Mul, [a, b]) if !b.on_states => a.scaled(*b, span),
        (Pw::Mul, [a, b]) if !a.on_states => b.scaled(*a, span),
        (Pw::Div, [a, b]) if !b.on_states => a.scaled(*b, span),
        (Pw::Select, [condition, a, b]) if !condition.on_states => a.join(*b).scaled(*condition, span),
        _ => opaque(args.iter().copied().fold(CONSTANT, Dependence::join), span),
    }
}

/// The result of an operation that is not linear.
fn opaque(of: Dependence, span: Span) -> Dependence {
    Dependence { nonlinear: of.nonlinear.or(of.on_states.then_some(span)), ..of }
}
