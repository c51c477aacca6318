//! Random small steps and nets for the tests: every operation that a model can contain, numbers of moderate size. The same
//! seed gives the same net.
//!
//! Kinks are avoided where differences would straddle them: what `max`, `abs` and the like read has been moved by odd numbers.

use super::*;
use crate::cluster;
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Fragment, State, StepFn};
use std::collections::BTreeSet;

/// Neurons of every population; even.
const N: usize = 4;
pub(super) const STEPS: usize = 5;
pub(super) const SHARD_BATCH: usize = 2;
pub(super) const SHARDS: usize = 2;

/// A source of choices.
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(1);
        (snn_runtime::rng::mix(self.0 << 20) >> 33) as usize % n
    }

    /// Between -1 and 1.
    pub fn number(&mut self) -> f64 {
        self.below(20001) as f64 / 10000.0 - 1.0
    }

    /// An array of such numbers.
    pub fn array(&mut self, ty: &Ty) -> Array<f64> {
        Array::from_fn(ty, STEPS, SHARDS * SHARD_BATCH, |_, _, _| self.number())
    }
}

struct Generator {
    plain: bool,
    dice: Dice,
    g: Graph,
    /// Values that may be read, `[N]` or numbers, with or without samples.
    pool: Vec<ValId>,
    /// Parameters `[N, N]`.
    matrices: Vec<ValId>,
}

/// A step with an input that changes, one that does not, four parameters, and states with several delays. `plain`: as `lower`
/// makes them and the backward pass takes them: no `SumBlocks`, states whose `next` has all axes and whose first value is a
/// number if it stands for several steps.
pub(super) fn step(seed: u64, plain: bool) -> StepFn {
    let mut made =
        Generator { plain, dice: Dice(seed << 32), g: Graph::default(), pool: vec![], matrices: vec![] };
    let b = &mut made;
    let inputs = [("stream", ty("tb", &[N])), ("still", ty("b", &[N]))];
    let shapes: [&[usize]; 4] = [&[N, N], &[N, N], &[N], &[]];
    for (k, (_, of)) in inputs.iter().enumerate() {
        let val = b.g.push(Op::Input(k), &[], Ty { time: false, ..of.clone() });
        b.pool.push(val);
    }
    for (k, shape) in shapes.iter().enumerate() {
        let val = b.g.push(Op::Param(k), &[], Ty::tensor(shape));
        if shape.len() == 2 { b.matrices.push(val) } else { b.pool.push(val) }
    }
    let firsts = [b.g.constant(0.0), b.g.constant(0.3), b.pool[2], b.pool[3]];
    let all = ty("b", &[N]);
    b.g.surrogates.push(surrogate(&all));
    let n_states = 1 + b.dice.below(3);
    let prevs: Vec<ValId> = (0..n_states).map(|s| b.g.push(Op::Prev(s), &[], all.clone())).collect();
    b.pool.extend(&prevs);
    for _ in 0..6 + b.dice.below(10) {
        let val = b.operation();
        b.pool.push(val);
    }
    let mut states = Vec::new();
    for (s, prev) in prevs.into_iter().enumerate() {
        let delay = 1 + b.dice.below(2) * b.dice.below(3);
        let init = firsts[b.dice.below(if plain && delay > 1 { 2 } else { 4 })];
        let mut next = b.late();
        if plain {
            next = b.g.pointwise(Pw::Add, &[next, prev]);
        }
        let next = b.g.pointwise(Pw::Tanh, &[next]);
        states.push(State { name: format!("h.s{s}"), init, next, delay, ty: all.clone() });
    }
    let outputs = (0..3).map(|k| (format!("o{k}"), b.late())).collect();
    StepFn {
        inputs: inputs.into_iter().map(|(name, ty)| Input { name: name.into(), ty, spikes: false }).collect(),
        params: (shapes.iter().enumerate())
            .map(|(k, shape)| Param { name: format!("w{k}"), shape: shape.to_vec(), trained: true })
            .collect(),
        states,
        outputs,
        graph: made.g,
    }
}

impl Generator {
    fn any(&mut self) -> ValId {
        self.pool[self.dice.below(self.pool.len())]
    }

    /// One of the last values.
    fn late(&mut self) -> ValId {
        let n = self.pool.len();
        self.pool[n - 1 - self.dice.below(4.min(n))]
    }

    /// A value moved by an odd number.
    fn moved(&mut self) -> ValId {
        let (x, odd) = (self.any(), self.dice.number() + 0.01234);
        let odd = self.g.constant(odd);
        self.g.pointwise(Pw::Add, &[x, odd])
    }

    fn unary(&mut self, op: Pw, x: ValId) -> ValId {
        self.g.pointwise(op, &[x])
    }

    /// Between 1/e and e.
    fn positive(&mut self) -> ValId {
        let x = self.any();
        let x = self.unary(Pw::Tanh, x);
        self.unary(Pw::Exp, x)
    }

    fn wide(&mut self, x: ValId) -> ValId {
        crate::lower::with_index(&mut self.g, x, N)
    }

    fn spike(&mut self) -> ValId {
        let x = self.moved();
        let (x, strict) = (self.wide(x), self.dice.below(2) == 0);
        let ty = self.g.ty(x).clone();
        let surrogate = if self.dice.below(5) == 0 { None } else { Some(0) };
        self.g.push(Op::Spike { surrogate, strict }, &[x], ty)
    }

    fn operation(&mut self) -> ValId {
        match self.dice.below(if self.plain { 19 } else { 20 }) {
            0 | 1 => {
                let ops = [Pw::Neg, Pw::Tanh, Pw::Sigmoid, Pw::Sin, Pw::Cos, Pw::Arctan, Pw::Exprel, Pw::Erf];
                let (op, x) = (ops[self.dice.below(ops.len())], self.any());
                let x = self.unary(Pw::Sin, x);
                self.unary(op, x)
            }
            2 => {
                let (op, x) = ([Pw::Abs, Pw::Relu, Pw::Floor, Pw::Sign][self.dice.below(4)], self.moved());
                self.unary(op, x)
            }
            3 => {
                let (op, x) = ([Pw::Ln, Pw::Sqrt][self.dice.below(2)], self.positive());
                self.unary(op, x)
            }
            4 | 5 => {
                let (op, a, b) = ([Pw::Add, Pw::Sub, Pw::Mul][self.dice.below(3)], self.any(), self.any());
                self.g.pointwise(op, &[a, b])
            }
            6 => {
                let (op, a, b) = ([Pw::Min, Pw::Max, Pw::Lt][self.dice.below(3)], self.moved(), self.any());
                self.g.pointwise(op, &[a, b])
            }
            7 => {
                let (op, a, b) = ([Pw::Div, Pw::Pow][self.dice.below(2)], self.positive(), self.positive());
                self.g.pointwise(op, &[a, b])
            }
            8 | 9 => self.spike(),
            10 => {
                let (s, a, b) = (self.spike(), self.any(), self.any());
                self.g.pointwise(Pw::Select, &[s, a, b])
            }
            11 => {
                let (a, b, c) = (self.moved(), self.any(), self.any());
                let condition = self.g.pointwise(Pw::Le, &[a, b]);
                self.g.pointwise(Pw::Select, &[condition, b, c])
            }
            12 => {
                let x = self.any();
                let ty = self.g.ty(x).clone();
                self.g.push(Op::Detach, &[x], ty)
            }
            13 => {
                let (a, b) = (self.any(), self.any());
                let ty = self.g.ty(a).join(self.g.ty(b));
                let a = if ty.shape.is_empty() { a } else { self.wide(a) };
                self.g.push(Op::Straight, &[a, b], ty)
            }
            14 => {
                let x = self.any();
                let (factor, ty) = (self.g.constant(0.25), self.g.ty(x).clone());
                self.g.push(Op::GradScale, &[x, factor], ty)
            }
            15 => self.custom(),
            16 | 17 => {
                let (x, w) = (self.any(), self.matrices[self.dice.below(2)]);
                let (x, transposed) = (self.wide(x), self.dice.below(2) == 0);
                self.g.matmul(x, w, transposed)
            }
            18 => {
                let x = self.moved();
                let other = self.pool[2];
                let x = self.g.pointwise(Pw::Add, &[x, other]); // A parameter: no two neurons are equal.
                let fold = [Fold::Sum, Fold::Max, Fold::Min, Fold::MinNonzero][self.dice.below(4)];
                self.g.fold(fold, Axes { index: true, ..Axes::default() }, x)
            }
            _ => {
                let x = self.any();
                let x = self.wide(x);
                let ty = self.g.ty(x).clone();
                let sums = Ty { shape: vec![N / 2], ..ty.clone() };
                let x = self.g.push(Op::SumBlocks { times: 2 }, &[x], sums);
                self.g.push(Op::Repeat { times: 2 }, &[x], ty)
            }
        }
    }

    /// The value `tanh(a) b`; its rule gives `a` the gradient times `b` and `b` three times the gradient.
    fn custom(&mut self) -> ValId {
        let (a, b) = (self.any(), self.any());
        let x = self.unary(Pw::Tanh, a);
        let value = self.g.pointwise(Pw::Mul, &[x, b]);
        let mut rule = Graph::default();
        let tys = [a, b, value].map(|v| self.g.ty(v).clone());
        let [_, b_in, g_in] = [0, 1, 2].map(|k| rule.push(Op::Input(k), &[], tys[k].clone()));
        let three = rule.constant(3.0);
        let results = vec![rule.pointwise(Pw::Mul, &[g_in, b_in]), rule.pointwise(Pw::Mul, &[g_in, three])];
        self.g.customs.push(Fragment { name: "odd".into(), graph: rule, results });
        let rule = self.g.customs.len() - 1;
        self.g.push(Op::Custom(rule), &[value, a, b], tys[2].clone())
    }
}

/// The outputs of a step as a net.
pub(super) fn net(step: &StepFn) -> (Net, Vec<ValId>) {
    let wanted: BTreeSet<String> = step.outputs.iter().map(|(name, _)| name.clone()).collect();
    let (mut net, values) = cluster::net(step, &wanted, STEPS);
    (net.shard_batch, net.shards) = (SHARD_BATCH, SHARDS);
    let values: Vec<ValId> = step.outputs.iter().map(|(name, _)| values[name]).collect();
    for (k, val) in values.iter().enumerate() {
        output(&mut net, &format!("o{k}"), *val);
    }
    (net, values)
}

/// A net with a number, `loss`, that is made of all outputs of a random step.
pub(super) fn net_with_loss(seed: u64, plain: bool) -> Net {
    let step = step(seed, plain);
    let (mut net, values) = net(&step);
    let g = &mut net.graph;
    let all = Axes { time: true, batch: true, index: true };
    let mut loss = g.constant(0.0);
    for (k, val) in values.into_iter().enumerate() {
        let ty = g.ty(val).clone();
        let mut x = g.pointwise(Pw::Sin, &[val]);
        if ty.time && k == 0 {
            x = g.push(Op::Last, &[x], Ty { time: false, ..ty });
        } else if ty.time && k == 1 {
            x = g.push(Op::Delay { steps: 2 }, &[x], ty);
            x = g.pointwise(Pw::Mul, &[x, x]);
        } else if ty.time {
            x = g.fold(Fold::Sum, Axes { time: true, ..Axes::default() }, x);
            x = g.pointwise(Pw::Mul, &[x, x]);
        }
        let part = g.fold(Fold::Sum, all, x);
        loss = g.pointwise(Pw::Add, &[loss, part]);
    }
    output(&mut net, "loss", loss);
    net
}
