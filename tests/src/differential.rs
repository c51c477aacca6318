//! One job on every engine: the f32 interpreter and strict machine code, scalar and vector, with one and two threads, agree bit for
//! bit on every output, new weight and optimizer state; normal machine code agrees on the loss within a tolerance.

use libtest_mimic::Failed;
use snn_compiler::hir::{Job, JobKind};
use snn_compiler::interp::{self, Array, Call, Inputs, Number};
use snn_compiler::net::{Net, Sink};
use snn_compiler::pipeline::{self, DataFacts, Options, Purpose};
use snn_compiler::step::{Ty, ValId};
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::data::Dataset;
use snn_runtime::engine::{self, Engine, SectionTimes, Weights};
use snn_runtime::pool::Pool;
use snn_runtime::program::CARRIED;
use snn_runtime::train::evaluate::gather;
use snnc::job::simulate::drives;
use snnc::job::{Runner, facts};
use std::sync::Arc;

/// Samples of a batch here: two shards.
const SAMPLES: usize = 24;
/// Steps at most: the interpreter is slow.
const STEPS: usize = 8;

/// Inputs by name, samples one after another.
pub type Given = Vec<(String, Vec<f32>)>;

/// Runs a job on all engines.
pub fn job(runner: &mut Runner, job: &Job) -> Result<(), Failed> {
    let job = &Job { steps: job.steps.min(STEPS), ..job.clone() };
    let split = runner.split(job).map_err(|f| f.text)?;
    let data = split.as_ref().map(|(s, _)| &s.train);
    let samples = if data.is_some() { SAMPLES } else { 1 };
    let purposes: &[Purpose] = match job.kind {
        JobKind::Train => &[Purpose::Train, Purpose::Gradient { relaxed: false }, Purpose::Evaluate],
        JobKind::Evaluate => &[Purpose::Evaluate],
        JobKind::Simulate => &[Purpose::Simulate],
    };
    let given = given(runner, job, data, samples);
    for purpose in purposes {
        let known = data.map_or(DataFacts::default(), facts);
        let net = |strict| pipeline::net(runner.model(job), job, *purpose, samples, known, strict);
        let (strict, fast) = (net(true)?.net, net(false)?.net);
        let params = params(runner, job, &strict)?;
        let given = [given.clone(), carried(&strict, samples)].concat();
        compare(&strict, &fast, &given, &params, samples).map_err(|why| format!("{purpose:?}: {why}"))?;
        if matches!(purpose, Purpose::Train | Purpose::Gradient { .. }) {
            let data = (&given, &params[..], samples);
            segments(&strict, &fast, data).map_err(|why| format!("{purpose:?} in segments: {why}"))?;
        }
    }
    Ok(())
}

fn given(runner: &Runner, job: &Job, data: Option<&Dataset>, samples: usize) -> Given {
    let mut given = drives(runner, job, samples);
    if let Some(data) = data {
        let order: Vec<u32> = (0..samples as u32).collect();
        let (x, target) = gather(data, &order);
        given.push((runner.model(job).inputs[0].name.clone(), x));
        given.push(("target".into(), target));
    }
    given.push(("mask".into(), vec![1.0; samples]));
    given
}

/// States of a batch before, where states go on from batch to batch.
fn carried(net: &Net, samples: usize) -> Given {
    let states = net.inputs.iter().filter(|input| input.name.starts_with(CARRIED));
    let some = |n: usize| (0..n).map(|k| (k * 37 % 23) as f32 / 23.0 - 0.3).collect();
    states.map(|input| (input.name.clone(), some(samples * input.ty.width()))).collect()
}

/// First values; initializers that need a batch get ones here.
fn params(runner: &Runner, job: &Job, net: &Net) -> Result<Vec<Vec<f32>>, String> {
    let env = snn_compiler::hir::constant::ConstEnv { dt: job.dt, steps: job.steps };
    let model = runner.model(job);
    let tensors = snnc::job::tensors::of(runner.loaded, &model.params).map_err(|f| f.text)?;
    let of = |(idx, stored): (usize, &snn_compiler::step::Param)| match model.params[idx].init.needs.batch {
        true => Ok(vec![0.1; stored.shape.iter().product()]),
        false => {
            let param = &model.params[idx];
            pipeline::first_values(model, param, env, job.seed, None, &tensors).map_err(|m| format!("{m:?}"))
        }
    };
    net.params.iter().enumerate().map(of).collect()
}

fn scalars(samples: usize) -> [f32; SCALARS] {
    let mut scalars = [0.0; SCALARS];
    scalars[Scalar::BatchCount as usize] = samples as f32;
    scalars[Scalar::Epoch as usize] = 1.0;
    scalars[Scalar::Epochs as usize] = 4.0;
    scalars[Scalar::Progress as usize] = 0.3;
    scalars[Scalar::Update as usize] = 3.0;
    scalars[Scalar::Carried as usize] = 1.0;
    scalars
}

fn compare(net: &Net, fast: &Net, given: &Given, params: &[Vec<f32>], samples: usize) -> Result<(), String> {
    if fast.to_string() != net.to_string() {
        same_meaning(net, fast, given, params, samples)?;
    }
    let expected = interpreted::<f32>(net, given, params, samples);
    for vector in [false, true] {
        for threads in [1, 2] {
            let got = compiled(net, given, params, samples, Options { strict: true, vector }, threads)?;
            for ((name, want), (_, got)) in expected.iter().zip(&got) {
                let same = want.len() == got.len()
                    && want.iter().zip(got).all(|(a, b)| a == b || a.is_nan() && b.is_nan());
                if !same {
                    let at = want.iter().zip(got).position(|(a, b)| a != b).unwrap_or(0);
                    return Err(format!(
                        "strict, vector {vector}, {threads} threads: `{name}` at {at}: interpreter {:?}, compiled {:?}",
                        want.get(at),
                        got.get(at)
                    ));
                }
            }
        }
    }
    let one = compiled(fast, given, params, samples, Options { strict: false, vector: true }, 1)?;
    let two = compiled(fast, given, params, samples, Options { strict: false, vector: true }, 2)?;
    if one != two {
        return Err("normal mode: two threads give other results than one".into());
    }
    let loss = |list: &[(String, Vec<f32>)]| list.iter().find(|(n, _)| n == "loss").map(|(_, v)| v[0]);
    match (loss(&expected), loss(&one)) {
        (Some(a), Some(b)) if (a - b).abs() > 0.02 * a.abs().max(0.1) => {
            Err(format!("normal mode: loss {b}, strict {a}"))
        }
        _ => Ok(()),
    }
}

/// A training that goes through its presentation in segments computes what the whole one does: all engines agree on it bit for bit, and it
/// agrees with the whole one bit for bit in everything that is no sum of weight gradients over the steps.
fn segments(
    strict: &Net,
    fast: &Net,
    (given, params, samples): (&Given, &[Vec<f32>], usize),
) -> Result<(), String> {
    let lengths = (1..strict.steps).rev().filter(|steps| strict.steps.is_multiple_of(*steps)).take(2);
    for steps in lengths {
        let cut = |net| pipeline::in_segments(net, steps).ok_or_else(|| format!("{steps} steps: not cut"));
        let (cut, cut_fast) = (cut(strict)?, cut(fast)?);
        let in_place = |why: String| format!("{steps} steps: {why}");
        same_meaning(strict, &cut, given, params, samples).map_err(in_place)?;
        compare(&cut, &cut_fast, given, params, samples).map_err(in_place)?;
        let whole = interpreted::<f32>(strict, given, params, samples);
        let same = whole.iter().zip(interpreted::<f32>(&cut, given, params, samples));
        for (output, ((name, a), (_, b))) in strict.outputs.iter().zip(same) {
            if !sums_weights(strict, output.val) && a.iter().zip(&b).any(|(a, b)| a != b && !a.is_nan()) {
                return Err(in_place(format!("`{name}` is not that of the whole presentation")));
            }
        }
    }
    Ok(())
}

/// Whether a value is computed from a sum of weight gradients over the steps.
fn sums_weights(net: &Net, val: ValId) -> bool {
    let mut seen = vec![false; net.graph.nodes.len()];
    let mut stack = vec![val];
    while let Some(val) = stack.pop() {
        let node = net.graph.node(val);
        if node.op.is_weight_gradient() && node.args.iter().all(|a| net.graph.ty(*a).time) {
            return true;
        }
        if !std::mem::replace(&mut seen[val.idx()], true) {
            stack.extend(&node.args);
        }
    }
    false
}

/// The net with other orders of sums gives the same numbers in f64 but for rounding.
fn same_meaning(
    net: &Net,
    fast: &Net,
    given: &Given,
    params: &[Vec<f32>],
    samples: usize,
) -> Result<(), String> {
    let expected = interpreted::<f64>(net, given, params, samples);
    for ((name, want), (_, got)) in expected.iter().zip(&interpreted::<f64>(fast, given, params, samples)) {
        let scale = want.iter().fold(1e-6f64, |max, v| max.max(v.abs()));
        let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-6 * scale || a.is_nan() && b.is_nan();
        if want.len() != got.len() || !want.iter().zip(got).all(near) {
            return Err(format!("`{name}` of the fast net is another number than that of the strict one"));
        }
    }
    Ok(())
}

/// Every output of a net by name, as the interpreter has it; valid samples only.
pub fn interpreted<N: Number>(
    net: &Net,
    given: &Given,
    params: &[Vec<f32>],
    samples: usize,
) -> Vec<(String, Vec<N>)> {
    let rows = net.shards * net.shard_batch;
    let inputs: Vec<Array<N>> = net
        .inputs
        .iter()
        .map(|i| {
            let mut a = Array::filled(&i.ty, net.steps, rows, 0.0);
            let values = given.iter().find(|(n, _)| *n == i.name).map_or(&[] as &[f32], |(_, v)| v);
            let (width, steps) = (i.ty.width(), if i.ty.time { net.steps } else { 1 });
            for (at, v) in values.iter().enumerate() {
                let (row, rest) = (at / (steps * width), at % (steps * width));
                let place = a.at(rest / width, row, rest % width);
                a.data[place] = N::from_f64(f64::from(*v));
            }
            a
        })
        .collect();
    let array = |shape: &[usize], values: &[f32]| {
        let mut a = Array::<N>::filled(&Ty::tensor(shape), 1, rows, 0.0);
        a.data.iter_mut().zip(values).for_each(|(to, from)| *to = N::from_f64(f64::from(*from)));
        a
    };
    let arrays: Vec<Array<N>> = net.params.iter().zip(params).map(|(p, v)| array(&p.shape, v)).collect();
    let slots: Vec<Array<N>> = net
        .slots
        .iter()
        .map(|s| {
            let shape = &net.params[s.param].shape;
            array(shape, &vec![s.init as f32; shape.iter().product()])
        })
        .collect();
    let call = Call { key: 11, scalars: scalars(samples).map(f64::from) };
    let results = interp::run(net, &Inputs { inputs: &inputs, params: &arrays, slots: &slots }, &call);
    let of = |o: &snn_compiler::net::Output| {
        let a = &results.values[o.val.idx()];
        let mut values = Vec::new();
        for t in 0..if a.ty.time { net.steps } else { 1 } {
            for b in 0..if a.ty.batch { samples } else { 1 } {
                values.extend((0..a.ty.width()).map(|i| a.get(t, b, i)));
            }
        }
        (label(o), values)
    };
    net.outputs.iter().map(of).collect()
}

/// Outputs with the same name are told apart by where they go.
fn label(o: &snn_compiler::net::Output) -> String {
    match o.sink {
        Sink::Named | Sink::Grad(_) => o.name.clone(),
        sink => format!("{} {sink:?}", o.name),
    }
}

/// As [`interpreted`], by machine code.
pub fn compiled(
    net: &Net,
    given: &Given,
    params: &[Vec<f32>],
    samples: usize,
    options: Options,
    threads: usize,
) -> Result<Vec<(String, Vec<f32>)>, String> {
    let program = Arc::new(pipeline::compile(net, &options));
    let pool = Arc::new(Pool::new(threads).map_err(|e| e.to_string())?);
    let mut engine = Engine::new(program.clone(), pool).map_err(|e| e.to_string())?;
    let mut weights = Weights::zeroed(&program).map_err(|e| e.to_string())?;
    for (idx, values) in params.iter().enumerate() {
        weights.param_mut(&program, idx).copy_from_slice(values);
    }
    let mut slot_buffers = Vec::new();
    for (k, slot) in net.slots.iter().enumerate() {
        let nth = net.slots[..k].iter().filter(|s| s.param == slot.param).count();
        let info = program.plan.buffers[program.params[slot.param].slots[nth].1].clone();
        weights.slot[info.offset..info.offset + info.width()].fill(slot.init as f32);
        slot_buffers.push(info);
    }
    let inputs: Vec<(&str, engine::Given)> = given.iter().map(|(n, v)| (n.as_str(), v.into())).collect();
    let call = engine::Call { key: 11, count: samples, scalars: scalars(samples) };
    engine.run(&mut weights, &call, &inputs, &mut SectionTimes::default());
    let of = |o: &snn_compiler::net::Output| {
        let values = match o.sink {
            Sink::Named | Sink::Grad(_) => {
                engine.read(&o.name).map_or(Vec::new(), |a| a.iter().copied().collect())
            }
            Sink::Param(p) => weights.param(&program, p).to_vec(),
            Sink::Slot(s) => weights.slot[slot_buffers[s].offset..][..slot_buffers[s].width()].to_vec(),
        };
        (label(o), values)
    };
    Ok(net.outputs.iter().map(of).collect())
}
