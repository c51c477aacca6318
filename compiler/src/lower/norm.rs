//! Normalisation by statistics over samples, and the running statistics that it leaves for evaluation.
//!
//! In training the statistics are those of the batch (padding left out): the mean, and the biased variance, around which gradients flow
//! too. The running ones take a share of them, of the variance the unbiased one: once in a presentation if they are of all steps
//! together, else once in each step. They are outputs `statistic h.norm.mean` of the step. Otherwise the running ones are used (Ioffe and
//! Szegedy 2015; over all steps together: Zheng et al. 2021).

use super::expr::{expr, with_index};
use super::population::Builder;
use crate::hir::{Norm, ParamId};
use crate::net::{Net, Output, Sink};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Op, Ty, ValId};
use snn_runtime::abi::Scalar;
use std::collections::BTreeMap;

/// How the outputs of a step with new running statistics begin.
pub(crate) const STATISTIC: &str = "statistic ";

/// Makes the new running statistics the new values of their tensors.
pub fn statistics(net: &mut Net, traces: &BTreeMap<String, ValId>) {
    for (name, &val) in traces {
        let Some(name) = name.strip_prefix(STATISTIC) else { continue };
        let param =
            net.params.iter().position(|p| p.name == name).expect("lower: a statistic is a parameter");
        let ty = net.graph.ty(val).clone();
        let val = match ty.time {
            true => net.graph.push(Op::Last, &[val], Ty { time: false, ..ty }),
            false => val,
        };
        net.outputs.push(Output { name: name.to_string(), val, sink: Sink::Param(param) });
    }
}

impl Builder<'_> {
    /// The normalised value of a population of `neurons`.
    pub(super) fn normalise(&mut self, norm: &Norm, neurons: usize) -> ValId {
        let x = expr(self, &norm.value);
        let x = with_index(&mut self.graph, x, neurons);
        // A reset rule may have put the same expression in two places.
        if let Some((of, known)) = self.normalised.get(&norm.mean).copied()
            && of == x
        {
            return known;
        }
        let val = if self.training { self.by_batch(norm, x) } else { self.by_running(norm, x) };
        self.normalised.insert(norm.mean, (x, val));
        val
    }

    fn op(&mut self, op: Pw, a: ValId, b: ValId) -> ValId {
        self.graph.pointwise(op, &[a, b])
    }

    fn by_running(&mut self, norm: &Norm, x: ValId) -> ValId {
        let (mean, variance) = (self.param(norm.mean.idx()), self.param(norm.variance.idx()));
        let width = self.graph.ty(x).width();
        let mean = self.spread(mean, width);
        let centred = self.op(Pw::Sub, x, mean);
        self.scaled(norm, centred, variance)
    }

    fn scaled(&mut self, norm: &Norm, centred: ValId, variance: ValId) -> ValId {
        let eps = self.graph.constant(norm.eps);
        let above = self.op(Pw::Add, variance, eps);
        let deviation = self.graph.pointwise(Pw::Sqrt, &[above]);
        let width = self.graph.ty(centred).width();
        let deviation = self.spread(deviation, width);
        self.op(Pw::Div, centred, deviation)
    }

    fn by_batch(&mut self, norm: &Norm, x: ValId) -> ValId {
        let width = self.graph.ty(x).width();
        let groups = self.model.params[norm.mean.idx()].shape.iter().product::<usize>();
        let count = self.count(width / groups, norm.over_time);
        let total = self.total(x, groups, norm.over_time);
        let mean = self.op(Pw::Div, total, count);
        let spread = self.spread(mean, width);
        let centred = self.op(Pw::Sub, x, spread);
        let squares = self.op(Pw::Mul, centred, centred);
        let squares = self.total(squares, groups, norm.over_time);
        let variance = self.op(Pw::Div, squares, count);
        // Of one value the unbiased variance is 0 and not 0 / 0.
        let one = self.graph.constant(1.0);
        let less = self.op(Pw::Sub, count, one);
        let less = self.op(Pw::Max, less, one);
        let unbiased = self.op(Pw::Div, squares, less);
        self.running(norm, norm.mean, mean);
        self.running(norm, norm.variance, unbiased);
        self.scaled(norm, centred, variance)
    }

    /// Values that a statistic is of.
    fn count(&mut self, neurons: usize, over_time: bool) -> ValId {
        let steps = if over_time { self.steps() } else { 1 };
        let samples = self.graph.push(Op::Scalar(Scalar::BatchCount), &[], Ty::SCALAR);
        let each = self.graph.constant((neurons * steps) as f64);
        self.op(Pw::Mul, samples, each)
    }

    /// The sum over samples, steps if wanted, and the neurons of each group.
    fn total(&mut self, x: ValId, groups: usize, time: bool) -> ValId {
        let mask = super::expr::Scope::mask(self);
        let valid = self.op(Pw::Mul, x, mask);
        let shape = self.graph.ty(valid).shape.clone();
        let axes = Axes { time, batch: true, index: false };
        let sum = self.graph.push(Op::Fold { fold: Fold::Sum, axes }, &[valid], Ty::tensor(&shape));
        let times = shape.iter().product::<usize>() / groups;
        match times {
            1 => sum,
            _ => self.graph.push(Op::SumBlocks { times }, &[sum], Ty::tensor(&[groups])),
        }
    }

    /// The value of a group for each of its neurons.
    fn spread(&mut self, x: ValId, width: usize) -> ValId {
        let ty = self.graph.ty(x).clone();
        match width / ty.width() {
            1 => x,
            times => self.graph.push(Op::Repeat { times }, &[x], Ty { shape: vec![width], ..ty }),
        }
    }

    /// The next value of a running statistic.
    fn running(&mut self, norm: &Norm, param: ParamId, now: ValId) {
        let name = self.model.params[param.idx()].name.clone();
        let first = self.param(param.idx());
        let before = match norm.over_time {
            true => first,
            false => {
                let ty = self.graph.ty(first).clone();
                self.new_state(&name, first, 1, ty)
            }
        };
        let (keep, take) = (self.graph.constant(1.0 - norm.momentum), self.graph.constant(norm.momentum));
        let (old, new) = (self.op(Pw::Mul, keep, before), self.op(Pw::Mul, take, now));
        let next = self.op(Pw::Add, old, new);
        if !norm.over_time {
            let state = self.state_of(before);
            self.next[state].next = next;
        }
        self.outputs.push((format!("{STATISTIC}{name}"), next));
    }
}
