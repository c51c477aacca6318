//! The value of one node from the values of its operands: every operation but leaves and scans. Orders of sums are those of
//! the head of [`crate::step`]. No modes, no states.

use super::number::{Number, fold_pair, pw};
use super::slide;
use super::value::{Array, Extent};
use crate::step::ops::Fold;
use crate::step::{Axes, Node, Op, Ty};
use snn_runtime::abi::SCALARS;
use snn_runtime::rng;

/// What changes from call to call.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// Key of the random streams.
    pub key: u64,
    /// Run-time scalars by [`snn_runtime::abi::Scalar`].
    pub scalars: [f64; SCALARS],
}

/// What all nodes of a call share.
#[derive(Clone, Copy)]
pub(super) struct Env {
    pub extent: Extent,
    /// Steps of a segment; all of them if the presentation is not cut.
    pub segment: usize,
    pub call: Call,
}

impl Env {
    pub fn fill<N: Number>(&self, ty: &Ty, element: impl FnMut(usize, usize, usize) -> N) -> Array<N> {
        Array::from_fn(ty, self.extent.steps, self.extent.rows(), element)
    }

    pub fn zeros<N: Number>(&self, ty: &Ty) -> Array<N> {
        self.fill(ty, |_, _, _| N::from_f64(0.0))
    }
}

/// Elements of `values` in the order of `keys`.
fn arrange<N: Number>(ty: &Ty, values: &Array<N>, keys: &Array<N>, env: &Env) -> Array<N> {
    let by = |a: N, b: N| a.to_f64().total_cmp(&b.to_f64());
    let mut sorted: Vec<N> = (0..ty.width()).map(|i| values.get(0, 0, i)).collect();
    sorted.sort_by(|a, b| by(*a, *b));
    let mut order: Vec<usize> = (0..ty.width()).collect();
    order.sort_by(|a, b| by(keys.get(0, 0, *a), keys.get(0, 0, *b)));
    let mut arranged = env.zeros(ty);
    for (value, at) in sorted.into_iter().zip(order) {
        arranged.data[at] = value;
    }
    arranged
}

/// The value of a node that is neither an input, parameter, slot or state nor a scan. `now` is the step where values have no
/// time axis: bodies and steps.
pub(super) fn value<N: Number>(node: &Node, args: &[&Array<N>], env: &Env, now: usize) -> Array<N> {
    let (ty, zero) = (&node.ty, N::from_f64(0.0));
    let steps = env.extent.steps;
    match &node.op {
        Op::Const(c) => env.fill(ty, |_, _, _| N::from_f64(*c)),
        Op::Scalar(s) => env.fill(ty, |_, _, _| N::from_f64(env.call.scalars[*s as usize])),
        Op::StepIndex => env.fill(ty, |t, _, _| N::from_f64(if ty.time { t } else { now } as f64)),
        Op::Pointwise(op) => env.fill(ty, |t, b, i| pw(*op, &operands(args, t, b, i))),
        Op::Spike { strict, .. } => env.fill(ty, |t, b, i| {
            let x = args[0].get(t, b, i);
            N::from_f64(if x > zero || (!strict && x == zero) { 1.0 } else { 0.0 })
        }),
        Op::Detach | Op::Straight | Op::GradScale | Op::Custom(_) => args[0].widened(ty, steps),
        Op::MatMul { transposed } => matmul(ty, args[0], args[1], env, *transposed),
        Op::Outer => outer(ty, args[0], args[1], env),
        Op::Slide { slide, over } => slide::value(ty, *slide, over, args, env),
        Op::Fold { fold, axes } => fold_axes(ty, *fold, *axes, args[0], env),
        Op::Delay { steps: by } => env.fill(ty, |t, b, i| {
            let from = t.checked_add_signed(-by).filter(|from| *from < steps);
            from.map_or(zero, |from| args[0].get(from, b, i))
        }),
        Op::Last => env.fill(ty, |_, b, i| args[0].get(steps - 1, b, i)),
        Op::AtLast => env.fill(ty, |t, b, i| if t + 1 == steps { args[0].get(t, b, i) } else { zero }),
        Op::Repeat { times } => env.fill(ty, |t, b, i| args[0].get(t, b, i / times)),
        Op::SumBlocks { times } => {
            env.fill(ty, |t, b, i| sum((0..*times).map(|k| args[0].get(t, b, i * times + k))))
        }
        Op::Rows { .. } => env.fill(ty, |t, b, i| args[0].get(t, b, i % args[0].ty.width())),
        Op::SumRows => {
            let (n, width) = (args[0].ty.width(), ty.width());
            env.fill(ty, |t, b, i| (i..n).step_by(width).fold(zero, |sum, k| sum + args[0].get(t, b, k)))
        }
        Op::Arrange => arrange(ty, args[0], args[1], env),
        Op::Random { gaussian, stream, once } => {
            random(ty, env, if *once { 0 } else { now }, *gaussian, *stream)
        }
        Op::Iota(axis) => env.fill(ty, |_, _, i| N::from_f64(iota(ty, *axis, i) as f64)),
        Op::Input(_) | Op::Param(_) | Op::Slot(_) | Op::Prev(_) | Op::Scan(_) | Op::ScanOut(_) => {
            unreachable!("leaves and scans are for the caller")
        }
    }
}

/// The operands of one element; no operation has more than three.
pub(super) fn operands<N: Number>(args: &[&Array<N>], t: usize, b: usize, i: usize) -> [N; 3] {
    let mut values = [N::from_f64(0.0); 3];
    for (value, arg) in values.iter_mut().zip(args) {
        *value = arg.get(t, b, i);
    }
    values
}

/// Ascending, starting from the first.
fn sum<N: Number>(parts: impl Iterator<Item = N>) -> N {
    parts.reduce(|a, b| a + b).unwrap_or(N::from_f64(0.0))
}

/// For ascending `k`, starting from 0.
fn matmul<N: Number>(ty: &Ty, x: &Array<N>, w: &Array<N>, env: &Env, transposed: bool) -> Array<N> {
    let (k, n) = (x.ty.width(), ty.width());
    env.fill(ty, |t, b, i| {
        let weight = |j: usize| w.data[if transposed { i * k + j } else { j * n + i }];
        (0..k).fold(N::from_f64(0.0), |sum, j| sum + x.get(t, b, j) * weight(j))
    })
}

/// For each shard, starting from 0: steps, in each the samples; then the shards, starting from the first. An axis that
/// neither operand has is not summed over. In segments, the sum of each starts from 0, and they are added from the last to the first.
fn outer<N: Number>(ty: &Ty, x: &Array<N>, d: &Array<N>, env: &Env) -> Array<N> {
    let n = d.ty.width();
    sum_of_products(ty, x, d, env, &|x, d, sum, (t, b), i| sum + x.get(t, b, i / n) * d.get(t, b, i % n))
}

/// What adds the products of a step and sample to the sum for an element of a gradient of weights.
pub(super) type AddProducts<'a, N> = &'a dyn Fn(&Array<N>, &Array<N>, N, (usize, usize), usize) -> N;

/// A gradient of weights, in the order of [`outer`].
pub(super) fn sum_of_products<N: Number>(
    ty: &Ty,
    x: &Array<N>,
    d: &Array<N>,
    env: &Env,
    add: AddProducts<N>,
) -> Array<N> {
    let (mut x, mut d) = (x.clone(), d.clone());
    if x.ty.time != d.ty.time {
        let long = if x.ty.time { &mut x } else { &mut d };
        let once = Ty { time: false, ..long.ty.clone() };
        *long = fold_axes(&once, Fold::Sum, Axes { time: true, ..Axes::default() }, long, env);
    }
    let rows = env.extent.shard_batch;
    let steps = if x.ty.time { env.extent.steps } else { 1 };
    let batch = x.ty.batch || d.ty.batch;
    // What is the same for all samples is not part of the sweeps over segments.
    let segment = if batch { env.segment } else { steps.max(1) };
    env.fill(ty, |_, _, i| {
        let of_shard = |shard: usize| {
            let samples = if batch { shard * rows..(shard + 1) * rows } else { 0..1 };
            let of_segment = |start: usize| {
                let end = steps.min(start + segment);
                let places = (start..end).flat_map(|t| samples.clone().map(move |b| (t, b)));
                places.fold(N::from_f64(0.0), |sum, place| add(&x, &d, sum, place, i))
            };
            let starts = (0..steps).step_by(segment).rev();
            starts.fold(N::from_f64(0.0), |sum, start| sum + of_segment(start))
        };
        (0..if batch { env.extent.shards } else { 1 }).fold(N::from_f64(0.0), |sum, s| sum + of_shard(s))
    })
}

/// Along the index axis; then steps and samples of one shard; then the shards.
fn fold_axes<N: Number>(ty: &Ty, fold: Fold, axes: Axes, x: &Array<N>, env: &Env) -> Array<N> {
    let Extent { steps, shard_batch, shards } = env.extent;
    let all = |values: &mut dyn Iterator<Item = N>| -> N {
        let start = (fold == Fold::Sum).then(|| N::from_f64(0.0));
        let folded = values.fold(start, |acc, b| Some(acc.map_or(b, |a| fold_pair(fold, a, b))));
        folded.unwrap_or(N::from_f64(0.0))
    };
    let index = |t: usize, b: usize, i: usize| {
        if axes.index { all(&mut (0..x.ty.width()).map(|i| x.get(t, b, i))) } else { x.get(t, b, i) }
    };
    env.fill(ty, |t, b, i| {
        let steps = if axes.time { 0..steps } else { t..t + 1 };
        if !axes.batch {
            return if axes.time { all(&mut steps.map(|t| index(t, b, i))) } else { index(t, b, i) };
        }
        let shard = |shard: usize| {
            let rows = shard * shard_batch..(shard + 1) * shard_batch;
            let places = steps.clone().flat_map(|t| rows.clone().map(move |b| (t, b)));
            all(&mut places.map(|(t, b)| index(t, b, i)))
        };
        all(&mut (0..shards).map(shard))
    })
}

/// Row by row from `(key, stream, step, sample of the batch)`.
fn random<N: Number>(ty: &Ty, env: &Env, now: usize, gaussian: bool, stream: u64) -> Array<N> {
    let mut row = vec![0.0f32; ty.width()];
    env.fill(ty, |t, b, i| {
        if i == 0 {
            let draw = if gaussian { rng::gaussian_row } else { rng::uniform_row };
            let step = if ty.time { t } else { now };
            draw(&mut row, env.call.key, stream, step as u64, b as u64);
        }
        N::from_f64(f64::from(row[i]))
    })
}

/// Index of element `i` along a logical axis; stored `[pre][post]`, axis 0 is post, axis 1 is pre.
fn iota(ty: &Ty, axis: usize, i: usize) -> usize {
    match ty.shape.as_slice() {
        [_, post] if axis == 0 => i % post,
        [_, post] => i / post,
        _ => i,
    }
}
