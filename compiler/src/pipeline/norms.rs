//! What is left of each normalisation where nothing is trained, read off the step: for people. The passes that do it are
//! `step::passes::{threshold, into_weights}`.

use super::{Purpose, one_step};
use crate::hir::{ExprKind, Job, JobKind, Model};
use crate::step::ops::Pw;
use crate::step::passes::affine::Uses;
use crate::step::{Op, StepFn};
use std::collections::BTreeSet;

/// Where an evaluation or simulation has a normalisation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Normalised {
    /// In the weights and biases of what arrives.
    Weights,
    /// In what `fire` compares with.
    Threshold,
    /// Nowhere: it is computed at each step.
    Step,
    /// Nothing that the job wants depends on it.
    Unused,
}

/// The normalisations of a model by name (`h.norm`), and what the job makes of them: the evaluations of a training.
pub fn normalisations(model: &Model, job: &Job) -> Vec<(String, Normalised)> {
    let mut variances = BTreeSet::new();
    for pop in &model.populations {
        for e in pop.body.iter().flat_map(|stmt| stmt.exprs()).chain([&pop.emit]) {
            e.any(&mut |e| {
                if let ExprKind::Normalise(norm) = &e.kind {
                    variances.insert(norm.variance.idx());
                }
                false
            });
        }
    }
    if variances.is_empty() {
        return Vec::new();
    }
    let purpose = if job.kind == JobKind::Simulate { Purpose::Simulate } else { Purpose::Evaluate };
    let (step, wanted) = one_step(model, job, purpose, job.batch);
    let uses = Uses::of(&step, &wanted);
    let name = |at: usize| model.params[at].name.trim_end_matches(".variance").to_string();
    variances.into_iter().map(|at| (name(at), of_variance(&step, &uses, at))).collect()
}

/// What reads values that are made of a running variance without samples.
fn of_variance(step: &StepFn, uses: &Uses, param: usize) -> Normalised {
    let mut made = vec![false; step.graph.nodes.len()];
    let mut found = Normalised::Unused;
    for val in step.graph.vals().filter(|val| uses.is_read(*val)) {
        let (at, node) = (val.idx(), step.graph.node(val));
        let is_made =
            matches!(node.op, Op::Param(p) if p == param) || node.args.iter().any(|a| made[a.idx()]);
        made[at] = is_made && !node.ty.batch;
        if is_made && node.ty.batch {
            found = match node.op {
                Op::MatMul { .. } | Op::Slide { .. } => return Normalised::Weights,
                Op::Pointwise(Pw::Lt | Pw::Le) => return Normalised::Threshold,
                _ => Normalised::Step,
            };
        }
    }
    found
}
