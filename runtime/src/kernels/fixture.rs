//! Programs written by hand, as a compiler would make them, for the tests of engine and trainer.
//!
//! [`echo`] shows where samples go; [`logistic`] is multinomial logistic regression with momentum, [`logistic_eval`] the
//! same model without gradients. Nothing here is in a release build.

use crate::abi::{Ctx, PhaseFn, Scalar};
use crate::kernels::random;
use crate::math;
use crate::program::{
    Binding, BufferInfo, Code, MemoryPlan, Parallel, ParamInfo, Phase, Program, Region, Section,
};
use crate::rng;

struct Static;

impl Code for Static {}

fn buffer(
    name: &str,
    region: Region,
    offset: usize,
    time: Option<usize>,
    batch: bool,
    shape: &[usize],
) -> BufferInfo {
    BufferInfo {
        name: name.into(),
        region,
        offset,
        time,
        batch,
        shape: shape.to_vec(),
        spikes: false,
        panels: false,
    }
}

fn bind(names: &[(&str, usize)]) -> Vec<Binding> {
    names.iter().map(|&(name, buffer)| Binding { name: name.into(), buffer }).collect()
}

fn phase(name: &str, section: Section, parallel: Parallel, code: PhaseFn) -> Phase {
    Phase { name: name.into(), section, parallel, joined: false, code }
}

/// # Safety
/// `start + offset` is valid for `len` floats that nobody else writes.
unsafe fn slice<'a>(start: *mut f32, offset: usize, len: usize) -> &'a mut [f32] {
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts_mut(start.add(offset), len) }
}

/// Three shards of two samples: `y = x + bias` over three steps of two numbers; `total`: sum of `y` over the valid samples;
/// `sample`: index in the batch.
pub fn echo() -> Program {
    let plan = MemoryPlan {
        shard_batch: 2,
        shards: 3,
        steps: 3,
        shared_floats: 8,
        shard_floats: 32,
        buffers: vec![
            buffer("x", Region::Shard, 0, Some(3), true, &[2]),
            buffer("y", Region::Shard, 12, Some(3), true, &[2]),
            buffer("mask", Region::Shard, 24, None, true, &[]),
            buffer("sample", Region::Shard, 26, None, true, &[]),
            buffer("bias", Region::Shared, 0, None, false, &[2]),
            buffer("total", Region::Shared, 2, None, false, &[]),
            buffer("partial", Region::Shared, 3, None, false, &[3]),
        ],
        ..MemoryPlan::default()
    };
    Program {
        phases: vec![
            phase("add", Section::Forward, Parallel::Shards, echo_add),
            phase("sum", Section::Forward, Parallel::Once, echo_sum),
        ],
        plan,
        params: Vec::new(),
        inputs: bind(&[("x", 0), ("bias", 4), ("mask", 2)]),
        outputs: bind(&[("y", 1), ("total", 5), ("sample", 3)]),
        code: Box::new(Static),
    }
}

unsafe extern "C" fn echo_add(ctx: *const Ctx) {
    // SAFETY: the plan of `echo`.
    unsafe {
        let ctx = &*ctx;
        let [x, y, mask, sample] =
            [(0, 12), (12, 12), (24, 2), (26, 2)].map(|(offset, len)| slice(ctx.shard, offset, len));
        let bias = std::slice::from_raw_parts(ctx.shared, 2);
        let mut total = 0.0;
        for (i, (x, y)) in x.iter().zip(y).enumerate() {
            *y = x + bias[i % 2];
            total += *y * mask[i / 2 % 2];
        }
        for (b, sample) in sample.iter_mut().enumerate() {
            *sample = (ctx.first_sample + b as u64) as f32;
        }
        *ctx.shared.add(3 + ctx.shard_idx as usize) = total;
    }
}

unsafe extern "C" fn echo_sum(ctx: *const Ctx) {
    // SAFETY: the plan of `echo`; partial sums of the shards that ran.
    unsafe {
        let ctx = &*ctx;
        *ctx.shared.add(2) = slice(ctx.shared, 3, ctx.shards as usize).iter().sum();
    }
}

/// Where things lie in a program of `F` features, `C` classes and `SB` samples in a shard.
struct Layout<const F: usize, const C: usize, const SB: usize>;

impl<const F: usize, const C: usize, const SB: usize> Layout<F, C, SB> {
    /// Weights `[F][C]`, then biases `[C]`; gradients and slots likewise.
    const PARAMS: usize = F * C + C;
    const LOSS: usize = Self::PARAMS;
    const SPIKES: usize = Self::PARAMS + 1;
    const X: usize = 0;
    const TARGET: usize = SB * F;
    const MASK: usize = Self::TARGET + SB * C;
    const PREDICTION: usize = Self::MASK + SB;
    const GRAD: usize = Self::PREDICTION + SB * C;
    const PARTS: usize = Self::GRAD + Self::PARAMS;
    const SHARD: usize = (Self::PARTS + 2).next_multiple_of(16);
}

/// Trains: cross-entropy of softmax(x · w + b), momentum 0.9, a little noise on the gradient from the call's key. Pixels
/// above 1/2 count as spikes of population `x`.
pub fn logistic<const F: usize, const C: usize, const SB: usize>(shards: usize) -> Program {
    let mut program = logistic_eval::<F, C, SB>(shards);
    program.plan.slot_floats = Layout::<F, C, SB>::PARAMS;
    program.phases.extend([
        phase("backward", Section::Backward, Parallel::Shards, backward::<F, C, SB>),
        phase("gradient", Section::Backward, Parallel::Once, gradient::<F, C, SB>),
        phase("update", Section::Update, Parallel::Once, update::<F, C, SB>),
    ]);
    for (param, name) in program.params.iter_mut().zip(["w", "b"]) {
        let offset = program.plan.buffers[param.buffer].offset;
        let shape = program.plan.buffers[param.buffer].shape.clone();
        let first = program.plan.buffers.len();
        program.plan.buffers.push(buffer(&format!("m {name}"), Region::Slot, offset, None, false, &shape));
        program.plan.buffers.push(buffer(
            &format!("grad {name}"),
            Region::Shared,
            offset,
            None,
            false,
            &shape,
        ));
        param.slots.push(("m".into(), first));
        param.grad = Some(first + 1);
    }
    program
}

/// [`logistic`] whose first bias becomes NaN in update 9.
pub fn logistic_breaking<const F: usize, const C: usize, const SB: usize>(shards: usize) -> Program {
    let mut program = logistic::<F, C, SB>(shards);
    program.phases.push(phase("break", Section::Update, Parallel::Once, break_bias::<F, C, SB>));
    program
}

/// Evaluates the model of [`logistic`].
pub fn logistic_eval<const F: usize, const C: usize, const SB: usize>(shards: usize) -> Program {
    type L<const F: usize, const C: usize, const SB: usize> = Layout<F, C, SB>;
    let plan = MemoryPlan {
        shard_batch: SB,
        shards,
        steps: 1,
        param_floats: L::<F, C, SB>::PARAMS,
        slot_floats: 0,
        shared_floats: L::<F, C, SB>::PARAMS + 2,
        shard_floats: L::<F, C, SB>::SHARD,
        local_floats: 0,
        kernel_bytes: 0,
        alone: false,
        buffers: vec![
            buffer("w", Region::Param, 0, None, false, &[F, C]),
            buffer("b", Region::Param, F * C, None, false, &[C]),
            buffer("x", Region::Shard, L::<F, C, SB>::X, None, true, &[F]),
            buffer("target", Region::Shard, L::<F, C, SB>::TARGET, None, true, &[C]),
            buffer("mask", Region::Shard, L::<F, C, SB>::MASK, None, true, &[]),
            buffer("prediction", Region::Shard, L::<F, C, SB>::PREDICTION, None, true, &[C]),
            buffer("loss", Region::Shared, L::<F, C, SB>::LOSS, None, false, &[]),
            buffer("count.x", Region::Shared, L::<F, C, SB>::SPIKES, None, false, &[]),
        ],
    };
    let param = |name: &str, buffer| ParamInfo {
        name: name.into(),
        buffer,
        trained: true,
        slots: Vec::new(),
        grad: None,
    };
    Program {
        phases: vec![
            phase("forward", Section::Forward, Parallel::Shards, forward::<F, C, SB>),
            phase("loss", Section::Forward, Parallel::Once, loss::<F, C, SB>),
        ],
        plan,
        params: vec![param("x->y.weight", 0), param("y.bias", 1)],
        inputs: bind(&[("x", 2), ("target", 3), ("mask", 4)]),
        outputs: bind(&[("prediction", 5), ("loss", 6), ("count.x", 7)]),
        code: Box::new(Static),
    }
}

unsafe extern "C" fn forward<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic_eval`.
    unsafe {
        let ctx = &*ctx;
        let weights = std::slice::from_raw_parts(ctx.param, Layout::<F, C, SB>::PARAMS);
        let x = slice(ctx.shard, Layout::<F, C, SB>::X, SB * F);
        let target = slice(ctx.shard, Layout::<F, C, SB>::TARGET, SB * C);
        let mask = slice(ctx.shard, Layout::<F, C, SB>::MASK, SB);
        let prediction = slice(ctx.shard, Layout::<F, C, SB>::PREDICTION, SB * C);
        let [loss, spikes] = slice(ctx.shard, Layout::<F, C, SB>::PARTS, 2) else { unreachable!() };
        (*loss, *spikes) = (0.0, 0.0);
        for b in 0..SB {
            let (x, y) = (&x[b * F..(b + 1) * F], &mut prediction[b * C..(b + 1) * C]);
            y.copy_from_slice(&weights[F * C..]);
            for (x, w) in x.iter().zip(weights.chunks_exact(C)) {
                y.iter_mut().zip(w).for_each(|(y, w)| *y += x * w);
                *spikes += f32::from(*x > 0.5) * mask[b];
            }
            let top = y.iter().copied().fold(f32::MIN, f32::max);
            y.iter_mut().for_each(|y| *y = math::exp(*y - top));
            let sum: f32 = y.iter().sum();
            for (y, target) in y.iter_mut().zip(&target[b * C..]) {
                *y /= sum;
                *loss -= mask[b] * target * math::ln(y.max(1e-30));
            }
        }
    }
}

unsafe extern "C" fn loss<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic_eval`; `shards` copies of the shard region ran.
    unsafe {
        let ctx = &*ctx;
        let [loss, spikes] = slice(ctx.shared, Layout::<F, C, SB>::LOSS, 2) else { unreachable!() };
        (*loss, *spikes) = (0.0, 0.0);
        for shard in 0..ctx.shards {
            let region = ctx.shard.add((shard * ctx.shard_stride) as usize);
            let parts = slice(region, Layout::<F, C, SB>::PARTS, 2);
            *loss += parts[0];
            *spikes += parts[1];
        }
        *loss /= ctx.scalars[Scalar::BatchCount as usize];
    }
}

unsafe extern "C" fn backward<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic`.
    unsafe {
        let ctx = &*ctx;
        let x = slice(ctx.shard, Layout::<F, C, SB>::X, SB * F);
        let target = slice(ctx.shard, Layout::<F, C, SB>::TARGET, SB * C);
        let mask = slice(ctx.shard, Layout::<F, C, SB>::MASK, SB);
        let prediction = slice(ctx.shard, Layout::<F, C, SB>::PREDICTION, SB * C);
        let grad = slice(ctx.shard, Layout::<F, C, SB>::GRAD, Layout::<F, C, SB>::PARAMS);
        grad.fill(0.0);
        for b in 0..SB {
            for c in 0..C {
                let delta = (prediction[b * C + c] - target[b * C + c]) * mask[b];
                for f in 0..F {
                    grad[f * C + c] += x[b * F + f] * delta;
                }
                grad[F * C + c] += delta;
            }
        }
    }
}

unsafe extern "C" fn gradient<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic`; shard gradients are added in order, so threads do not matter.
    unsafe {
        let ctx = &*ctx;
        let grad = slice(ctx.shared, 0, Layout::<F, C, SB>::PARAMS);
        random::gaussian_row(grad, ctx.key, rng::stream("noise"), 0, 0);
        grad.iter_mut().for_each(|g| *g *= 1e-3);
        for shard in 0..ctx.shards {
            let region = ctx.shard.add((shard * ctx.shard_stride) as usize);
            let part = slice(region, Layout::<F, C, SB>::GRAD, Layout::<F, C, SB>::PARAMS);
            grad.iter_mut().zip(part).for_each(|(g, part)| *g += *part);
        }
        let count = ctx.scalars[Scalar::BatchCount as usize];
        grad.iter_mut().for_each(|g| *g /= count);
    }
}

unsafe extern "C" fn update<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic`.
    unsafe {
        let ctx = &*ctx;
        let [w, m, g] =
            [ctx.param, ctx.slot, ctx.shared].map(|region| slice(region, 0, Layout::<F, C, SB>::PARAMS));
        let rate = 0.2 * (1.0 - 0.5 * ctx.scalars[Scalar::Progress as usize]);
        for ((w, m), g) in w.iter_mut().zip(m).zip(g) {
            *m = 0.9 * *m + *g;
            *w -= rate * *m;
        }
    }
}

unsafe extern "C" fn break_bias<const F: usize, const C: usize, const SB: usize>(ctx: *const Ctx) {
    // SAFETY: the plan of `logistic`.
    unsafe {
        let ctx = &*ctx;
        if ctx.scalars[Scalar::Update as usize] == 9.0 {
            *ctx.param.add(F * C) = f32::NAN;
        }
    }
}
