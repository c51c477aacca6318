//! `gradcheck`: the adjoint against central differences of the relaxed network (f64), compiled gradients against the
//! interpreter (f32), and the transpose test with forward-mode tangents.

use crate::job::{Ready, Runner, facts};
use crate::load::Failure;
use crate::numbers::norm;
use crate::report::JobReport;
use snn_compiler::hir::{Job, JobKind, TrainSettings};
use snn_compiler::interp::{Array, Call, Inputs, Mode, NetRun, Results};
use snn_compiler::net::{Net, Sink};
use snn_compiler::pipeline::Purpose;
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::data::Dataset;
use snn_runtime::engine::{SectionTimes, Weights};
use snn_runtime::train::evaluate::{INPUT, gather};

/// Samples of the check.
const BATCH: usize = 8;
/// Largest relative error against differences.
const F64_LIMIT: f64 = 1e-6;
/// Largest relative error of compiled gradients.
const F32_LIMIT: f64 = 1e-3;

/// Errors of one parameter.
struct Row {
    name: String,
    f64_error: f64,
    f32_error: f64,
}

/// Checks the first training of a file.
pub fn gradcheck(runner: &mut Runner) -> Result<JobReport, Failure> {
    let jobs = &runner.loaded.checked.program.jobs;
    let Some(job) = jobs.iter().find(|j| j.kind == JobKind::Train).cloned() else {
        let help = Some("write a `train` job: its loss is what is differentiated".to_string());
        return Err(Failure::plain("E0912", "there is no training to check", help));
    };
    let Some((split, _)) = runner.split(&job)? else {
        return Err(Failure::plain("E0912", "the training has no data", None));
    };
    let data = &split.train;
    let batch = BATCH.min(data.samples);
    // Differences know no windows: they check the whole gradient, the transpose test the one that is cut.
    let whole = Job { train: job.train.clone().map(|t| TrainSettings { window: None, ..t }), ..job.clone() };
    let mut relaxed = runner.compile(&whole, Purpose::Gradient { relaxed: true }, batch, facts(data))?;
    let in_one = runner.compile(&whole, Purpose::Gradient { relaxed: false }, batch, facts(data))?;
    let plain = runner.compile(&job, Purpose::Gradient { relaxed: false }, batch, facts(data))?;
    let mut weights = Weights::zeroed(relaxed.engine.program())?;
    runner.initialize(&job, &relaxed, &mut weights, Some(data))?;
    let rows = rows(&job, &mut relaxed, &in_one, &mut weights, data, batch)?;
    let transpose = transpose(&job, &plain, &weights, data, batch)?;
    let mut report = runner.report(&job, "train");
    report.job = "gradcheck";
    report.text = table(&rows, transpose);
    for row in &rows {
        report.metrics.push((format!("f64.{}", row.name), row.f64_error));
        report.metrics.push((format!("f32.{}", row.name), row.f32_error));
    }
    report.metrics.push(("transpose".into(), transpose));
    // A NaN is no success.
    let good = rows.iter().all(|r| r.f64_error < F64_LIMIT && r.f32_error < F32_LIMIT);
    let bad = !good || transpose.is_nan() || transpose >= 1e-9;
    if bad {
        report.failed = Some("error: a gradient is wrong; please report it with this file".into());
    }
    Ok(report)
}

fn table(rows: &[Row], transpose: f64) -> String {
    let mut text = format!("{:<28} {:>14} {:>14}\n", "parameter", "f64 vs diff.", "f32 vs f64");
    for row in rows {
        text.push_str(&format!("{:<28} {:>14.2e} {:>14.2e}\n", row.name, row.f64_error, row.f32_error));
    }
    text.push_str(&format!("transpose test <Jv, w> = <v, J'w>: {transpose:.2e}\n"));
    text
}

fn rows(
    job: &Job,
    relaxed: &mut Ready,
    plain: &Ready,
    weights: &mut Weights,
    data: &Dataset,
    batch: usize,
) -> Result<Vec<Row>, Failure> {
    let net = &plain.staged.net;
    let inputs = inputs(net, data, batch);
    let params = params(plain, weights);
    let call = call(job, batch);
    let run = |params: &[Array<f64>], frozen: Option<&Results<f64>>| {
        let inputs = Inputs { inputs: &inputs, params, slots: &[] };
        let mode = Mode { relaxed: true, record: true, frozen };
        NetRun { net, inputs, call }.run(&mode).map_err(|e| Failure::plain("E0806", e, None))
    };
    let base = run(&params, None)?;
    let (x, target) = gather(data, &(0..batch as u32).collect::<Vec<_>>());
    let of_engine =
        snn_runtime::engine::Call { key: call.key, count: batch, scalars: call.scalars.map(|s| s as f32) };
    relaxed.engine.run(
        weights,
        &of_engine,
        &[(INPUT, (&x).into()), ("target", (&target).into())],
        &mut SectionTimes::default(),
    );
    let mut rows = Vec::new();
    for output in &net.outputs {
        let Sink::Grad(p) = output.sink else { continue };
        let grad = &base.values[output.val.idx()];
        let mut along = 0.0;
        let (mut up, mut down) = (params.clone(), params.clone());
        let length = norm(params[p].data.iter().copied());
        let scale = if length > 0.0 { length } else { 0.1 };
        let step = 1e-5 * scale / (params[p].data.len() as f64).sqrt();
        for (k, g) in grad.data.iter().enumerate() {
            let direction = (k as f64 * 12.9898 + p as f64).sin();
            along += direction * g;
            up[p].data[k] += step * direction;
            down[p].data[k] -= step * direction;
        }
        let loss = |r: &Results<f64>| r.output(net, "loss").map_or(f64::NAN, |a| a.data[0]);
        let difference = (loss(&run(&up, Some(&base))?) - loss(&run(&down, Some(&base))?)) / (2.0 * step);
        let slope = norm(grad.data.iter().copied());
        let f64_error = (along - difference).abs() / along.abs().max(1e-3 * slope).max(1e-12);
        let compiled = relaxed.engine.read(&output.name);
        let off =
            compiled.map_or(f64::NAN, |c| norm(c.iter().zip(&grad.data).map(|(a, b)| f64::from(*a) - b)));
        let name = net.params[p].name.clone();
        rows.push(Row { name, f64_error, f32_error: off / slope.max(1e-12) });
    }
    Ok(rows)
}

/// Relative difference of `<Jv, 1>` by tangents and `<v, J'1>` by the adjoint, on the network as it is.
fn transpose(
    job: &Job,
    plain: &Ready,
    weights: &Weights,
    data: &Dataset,
    batch: usize,
) -> Result<f64, Failure> {
    let net = &plain.staged.net;
    let (inputs, params, call) = (inputs(net, data, batch), params(plain, weights), call(job, batch));
    let given = Inputs { inputs: &inputs, params: &params, slots: &[] };
    let fail = |e: String| Failure::plain("E0806", e, None);
    let run = NetRun { net, inputs: given, call };
    let base = run.run(&Mode { record: true, ..Mode::default() }).map_err(fail)?;
    let mut directions = params.clone();
    let mut backward = 0.0;
    for (p, direction) in directions.iter_mut().enumerate() {
        for (k, v) in direction.data.iter_mut().enumerate() {
            *v = (k as f64 * 3.7 + p as f64).cos();
        }
        if let Some(output) = net.outputs.iter().find(|o| o.sink == Sink::Grad(p)) {
            let grad = &base.values[output.val.idx()];
            backward += direction.data.iter().zip(&grad.data).map(|(v, g)| v * g).sum::<f64>();
        } else {
            direction.data.fill(0.0);
        }
    }
    let window = job.train.as_ref().and_then(|t| t.window);
    let still: Vec<Array<f64>> =
        inputs.iter().map(|a| Array { data: vec![0.0; a.data.len()], ..a.clone() }).collect();
    let tangents = Inputs { inputs: &still, params: &directions, slots: &[] };
    let forward = loss_tangent(&forward_only(net), &given, &tangents, call, window).map_err(fail)?;
    Ok((forward - backward).abs() / forward.abs().max(backward.abs()).max(1e-12))
}

/// The net without gradients: tangents of the backward pass itself are not asked for.
fn forward_only(net: &Net) -> Net {
    let mut net = net.clone();
    net.outputs.retain(|o| o.name == "loss");
    snn_compiler::net::passes::run(net)
}

fn loss_tangent(
    net: &Net,
    inputs: &Inputs<f64>,
    tangents: &Inputs<f64>,
    call: Call,
    window: Option<usize>,
) -> Result<f64, String> {
    let run = NetRun { net, inputs: *inputs, call };
    let base = run.run(&Mode { record: true, ..Mode::default() })?;
    let moved = run.jvp(&base, false, tangents, window)?;
    Ok(moved.values[net.outputs[0].val.idx()].data[0])
}

fn inputs(net: &Net, data: &Dataset, batch: usize) -> Vec<Array<f64>> {
    let rows = net.shards * net.shard_batch;
    let (x, target) = gather(data, &(0..batch as u32).collect::<Vec<_>>());
    net.inputs
        .iter()
        .map(|i| {
            let values = match i.name.as_str() {
                "mask" => vec![1.0; batch],
                "target" => target.clone(),
                _ => x.clone(),
            };
            let (width, steps) = (i.ty.width(), if i.ty.time { net.steps } else { 1 });
            let mut a = Array::filled(&i.ty, net.steps, rows, 0.0);
            for step in 0..steps {
                for row in 0..batch {
                    for k in 0..width {
                        let at = a.at(step, row, k);
                        a.data[at] = f64::from(values[(row * steps + step) * width + k]);
                    }
                }
            }
            a
        })
        .collect()
}

fn params(ready: &Ready, weights: &Weights) -> Vec<Array<f64>> {
    let net = &ready.staged.net;
    let rows = net.shards * net.shard_batch;
    net.params
        .iter()
        .enumerate()
        .map(|(p, param)| {
            let ty = snn_compiler::step::Ty::tensor(&param.shape);
            let mut a = Array::filled(&ty, net.steps, rows, 0.0);
            let values = weights.param(ready.engine.program(), p);
            a.data.iter_mut().zip(values).for_each(|(d, v)| *d = f64::from(*v));
            a
        })
        .collect()
}

fn call(job: &Job, batch: usize) -> Call {
    let mut scalars = [0.0; SCALARS];
    scalars[Scalar::BatchCount as usize] = batch as f64;
    scalars[Scalar::Epochs as usize] = 1.0;
    scalars[Scalar::Update as usize] = 1.0;
    Call { key: snn_runtime::rng::key(job.seed, 5, 0), scalars }
}
