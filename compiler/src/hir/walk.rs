//! Walking through expressions: the parts of one, all expressions of a step or population. Nothing is changed.

use super::{Expr, ExprKind, Population, Stmt, StmtKind, Stored};
use std::collections::BTreeSet;

impl Expr {
    /// The direct parts, in the order they are evaluated. A `Custom` gives its arguments and its value, then its gradients.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Const(_)
            | ExprKind::Dt
            | ExprKind::StepIndex
            | ExprKind::Steps
            | ExprKind::Training
            | ExprKind::Scalar(_)
            | ExprKind::Param(_)
            | ExprKind::State(_)
            | ExprKind::Fired(_)
            | ExprKind::Local(_)
            | ExprKind::Port(..)
            | ExprKind::Input(_)
            | ExprKind::Emit(_)
            | ExprKind::Trace(..)
            | ExprKind::Target
            | ExprKind::Random { .. }
            | ExprKind::Neuron(..)
            | ExprKind::File { .. }
            | ExprKind::Extent(..)
            | ExprKind::Iota(_) => Vec::new(),
            ExprKind::Delayed { value, delay } => vec![value, delay],
            ExprKind::Pointwise(_, args) | ExprKind::Element(_, args) => args.iter().collect(),
            ExprKind::Repeat(a)
            | ExprKind::Detach(a)
            | ExprKind::Since(a, _)
            | ExprKind::SpectralNorm { weight: a, .. } => vec![a],
            ExprKind::MatVec(a, b)
            | ExprKind::Product(a, b)
            | ExprKind::StraightThrough(a, b)
            | ExprKind::GradScale(a, b)
            | ExprKind::Arranged(a, b) => vec![a, b],
            ExprKind::Reduce { value, .. } | ExprKind::Matrix(_, value) => vec![value],
            ExprKind::Normalise(norm) => vec![&norm.value],
            ExprKind::Slide { value, weight, .. } => {
                weight.iter().map(AsRef::as_ref).chain([value.as_ref()]).collect()
            }
            ExprKind::Let { value, body, .. } => vec![value, body],
            ExprKind::Required { condition, value, .. } => vec![condition, value],
            ExprKind::Custom { args, forward, backward, .. } => {
                args.iter().chain([forward.as_ref()]).chain(backward).collect()
            }
        }
    }

    /// Whether the expression or any of its parts satisfies a condition.
    pub fn any(&self, is: &mut impl FnMut(&Expr) -> bool) -> bool {
        is(self) || self.children().into_iter().any(|part| part.any(is))
    }

    /// Calls `f` for the expression and all of its parts, outside first.
    pub fn for_each<'a>(&'a self, f: &mut impl FnMut(&'a Expr)) {
        f(self);
        for part in self.children() {
            part.for_each(f);
        }
    }
}

impl Expr {
    /// The tensors of files that it reads.
    pub fn stored(&self) -> BTreeSet<&Stored> {
        let mut found = BTreeSet::new();
        self.for_each(&mut |e| {
            if let ExprKind::Element(stored, _) | ExprKind::Extent(stored, _) = &e.kind {
                found.insert(stored);
            }
        });
        found
    }
}

impl Stmt {
    /// The expressions of the statement; those of a surrogate are left out, its argument is the difference of both sides.
    pub fn exprs(&self) -> Vec<&Expr> {
        match &self.kind {
            StmtKind::Let(_, value) | StmtKind::Assign { value, .. } => vec![value],
            StmtKind::Integrate { equations, .. } => equations.iter().map(|(_, value)| value).collect(),
            StmtKind::Fire { above, below, .. } => [above].into_iter().chain(below).collect(),
        }
    }
}

impl Population {
    /// The expressions of its step, what it emits and what its parameters follow; not what arrives at its inputs.
    pub fn exprs(&self) -> Vec<&Expr> {
        let mut all: Vec<&Expr> = self.body.iter().flat_map(Stmt::exprs).collect();
        all.push(&self.emit);
        all.extend(self.running.iter().map(|running| &running.value));
        all
    }
}
