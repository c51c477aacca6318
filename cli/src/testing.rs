//! `test`s of the language: each runs compiled and on the f64 interpreter, and every expectation must hold in both.

use crate::job::simulate::{drives, run};
use crate::job::{Runner, tensors};
use crate::load::Failure;
use crate::report::JobReport;
use snn_compiler::hir::constant::ConstEnv;
use snn_compiler::hir::{
    Compare, Expect, Expr, ExprKind, Job, LocalId, Measure, PopId, Record, Test, TraceRef, Unit,
};
use snn_compiler::interp::{self, Array, Call, Inputs};
use snn_compiler::net::Net;
use snn_compiler::pipeline;
use snn_compiler::step::Ty;
use snn_runtime::abi::SCALARS;
use std::time::Instant;

/// Compiled code has 24 bits: what is equal in f64 may differ by a few of the last of them after some steps.
const F32_SLACK: f64 = 2e-6;

/// Values over the steps of everything a test measures, for neuron 0.
struct Traces {
    values: Vec<(TraceRef, Vec<f64>)>,
    dt: f64,
}

impl Traces {
    fn of(&self, trace: TraceRef) -> &[f64] {
        self.values.iter().find(|(t, _)| *t == trace).map_or(&[], |(_, v)| v)
    }

    fn measure(&self, m: &Measure) -> Vec<f64> {
        let fired = || self.of(TraceRef::Fired);
        let count = || fired().iter().filter(|v| **v != 0.0).count() as f64;
        match m {
            Measure::Values(values) => values.clone(),
            Measure::Trace(trace) => self.of(*trace).to_vec(),
            Measure::Spikes => (0..fired().len()).filter(|k| fired()[*k] != 0.0).map(|k| k as f64).collect(),
            Measure::Count => vec![count()],
            Measure::Rate => vec![count() / (fired().len() as f64 * self.dt)],
            Measure::Drawn(_) => unreachable!("only in tests that draw"),
        }
    }
}

/// Runs a test.
pub fn test(runner: &mut Runner, test: &Test) -> Result<JobReport, Failure> {
    let start = Instant::now();
    let mut report = runner.report(&test.job, "test");
    report.model = test.name.clone();
    let (failures, failed) = match test.draws {
        Some(w) => drawn(runner, test, w)?,
        None => simulated(runner, test)?,
    };
    report.metrics.push(("expectations".into(), test.expects.len() as f64));
    report.metrics.push(("failed".into(), failed as f64));
    if !failures.is_empty() {
        report.failed =
            Some(format!("error[E0911]: test \"{}\" failed\n  {}", test.name, failures.join("\n  ")));
    }
    report.seconds.total = start.elapsed().as_secs_f64();
    Ok(report)
}

/// What fails of a simulation, and of how many expectations.
fn simulated(runner: &mut Runner, test: &Test) -> Result<(Vec<String>, usize), Failure> {
    let job = recording(&test.job, test);
    let compiled = compiled(runner, &job)?;
    let reference = reference(runner, &job)?;
    let (mut failures, mut failed) = (Vec::new(), 0);
    for expect in &test.expects {
        let before = failures.len();
        for (engine, traces, slack) in
            [("compiled code", &compiled, F32_SLACK), ("the interpreter", &reference, 0.0)]
        {
            let (left, right) = (traces.measure(&expect.left), traces.measure(&expect.right));
            if let Some(why) = fails(expect, &left, &right, slack) {
                failures.push(format!("{}\n    in {engine}: {why}", said(runner, expect)));
            }
        }
        failed += usize::from(failures.len() > before);
    }
    Ok((failures, failed))
}

/// What fails of the first values of a tensor, as they are put into the weights (32 bits), and of how many expectations.
fn drawn(runner: &Runner, test: &Test, w: LocalId) -> Result<(Vec<String>, usize), Failure> {
    let env = ConstEnv { dt: test.job.dt, steps: test.job.steps };
    let model = runner.model(&test.job);
    let param = model.params.last().expect("checked: something is drawn");
    let tensors = tensors::of(runner.loaded, &model.params)?;
    let stored = pipeline::first_values(model, param, env, test.job.seed, None, &tensors)
        .map_err(|refusal| tensors::refused(runner.loaded, param, &refusal))?;
    let measure = |m: &Measure| match m {
        Measure::Drawn(value) => {
            let tensor = (w, &param.shape[..], &stored[..]);
            pipeline::of_first_values(model, value, tensor, env, test.job.seed)
        }
        Measure::Values(values) => values.clone(),
        _ => unreachable!("only in tests that simulate"),
    };
    let why = |expect: &Expect| {
        let why = fails(expect, &measure(&expect.left), &measure(&expect.right), F32_SLACK)?;
        Some(format!("{}\n    {why}", said(runner, expect)))
    };
    let failures: Vec<String> = test.expects.iter().filter_map(why).collect();
    let failed = failures.len();
    Ok((failures, failed))
}

/// An expectation and where it stands.
fn said(runner: &Runner, expect: &Expect) -> String {
    let line = runner.loaded.sources.line_column(expect.span).0;
    format!("line {line}: {}", runner.loaded.sources.slice(expect.span))
}

/// The job with a record for each trace that is measured.
fn recording(job: &Job, test: &Test) -> Job {
    let mut traces = vec![];
    for m in test.expects.iter().flat_map(|e| [&e.left, &e.right]) {
        let trace = match m {
            Measure::Trace(trace) => *trace,
            Measure::Spikes | Measure::Count | Measure::Rate => TraceRef::Fired,
            Measure::Values(_) | Measure::Drawn(_) => continue,
        };
        if !traces.contains(&trace) {
            traces.push(trace);
        }
    }
    let record = |trace: &TraceRef| {
        let kind = ExprKind::Trace(PopId(0), *trace);
        let value = Expr { kind, unit: Unit::NONE, shape: vec![1], span: test.span };
        Record { name: name(*trace), value, range: None, events: false }
    };
    Job { records: traces.iter().map(record).collect(), reports: Vec::new(), ..job.clone() }
}

fn name(trace: TraceRef) -> String {
    format!("{trace:?}")
}

fn traces_of(job: &Job) -> Vec<TraceRef> {
    let trace = |r: &Record| match r.value.kind {
        ExprKind::Trace(_, trace) => trace,
        _ => unreachable!("made by recording"),
    };
    job.records.iter().map(trace).collect()
}

fn compiled(runner: &mut Runner, job: &Job) -> Result<Traces, Failure> {
    let run = run(runner, job)?;
    let values = traces_of(job)
        .into_iter()
        .map(|t| {
            let all = run.ready.engine.read(&format!("record {}", name(t)));
            (t, all.map_or(Vec::new(), |a| first_neuron(a.as_slice().unwrap_or(&[]), job.steps)))
        })
        .collect();
    Ok(Traces { values, dt: job.dt })
}

fn first_neuron(values: &[f32], steps: usize) -> Vec<f64> {
    let of_step = (values.len() / steps.max(1)).max(1);
    values.iter().step_by(of_step).map(|v| f64::from(*v)).collect()
}

fn reference(runner: &mut Runner, job: &Job) -> Result<Traces, Failure> {
    let ready = runner.compile(job, snn_compiler::pipeline::Purpose::Simulate, 1, Default::default())?;
    let net = &ready.staged.net;
    let given = drives(runner, job, 1);
    let inputs: Vec<Array<f64>> = net
        .inputs
        .iter()
        .map(|i| {
            let mut a = Array::filled(&i.ty, net.steps, net.shards * net.shard_batch, 0.0);
            let values = given.iter().find(|(n, _)| *n == i.name).map(|(_, v)| v.clone());
            let values =
                values.unwrap_or_else(|| vec![if i.name == "mask" { 1.0 } else { 0.0 }; a.data.len()]);
            a.data.iter_mut().zip(values).for_each(|(d, v)| *d = f64::from(v));
            a
        })
        .collect();
    let params = params(runner, job, net)?;
    let call = Call { key: snn_runtime::rng::key(job.seed, 4, 0), scalars: [1.0; SCALARS] };
    let results = interp::run(net, &Inputs { inputs: &inputs, params: &params, slots: &[] }, &call);
    let values = traces_of(job)
        .into_iter()
        .map(|t| {
            let a = results.output(net, &format!("record {}", name(t)));
            let values = a.map_or(Vec::new(), |a| (0..job.steps).map(|step| a.get(step, 0, 0)).collect());
            (t, values)
        })
        .collect();
    Ok(Traces { values, dt: job.dt })
}

/// Initial parameters for the interpreter.
pub fn params(runner: &Runner, job: &Job, net: &Net) -> Result<Vec<Array<f64>>, Failure> {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let rows = net.shards * net.shard_batch;
    let model = runner.model(job);
    let tensors = tensors::of(runner.loaded, &model.params)?;
    let of = |(idx, stored): (usize, &snn_compiler::step::Param)| {
        let mut a = Array::filled(&Ty::tensor(&stored.shape), 1, rows, 0.0);
        let param = &model.params[idx];
        if !param.init.needs.batch {
            let values = pipeline::first_values(model, param, env, job.seed, None, &tensors)
                .map_err(|refusal| tensors::refused(runner.loaded, param, &refusal))?;
            a.data.iter_mut().zip(values).for_each(|(d, v)| *d = f64::from(v));
        }
        Ok(a)
    };
    net.params.iter().enumerate().map(of).collect()
}

/// Why an expectation does not hold.
fn fails(expect: &Expect, left: &[f64], right: &[f64], slack: f64) -> Option<String> {
    if left.len() != right.len() && right.len() != 1 {
        return Some(format!("{} values, expected {}: found {}", left.len(), right.len(), list(left)));
    }
    for (k, l) in left.iter().enumerate() {
        let r = if right.len() == 1 { right[0] } else { right[k] };
        if !holds(expect.compare, *l, r, slack) {
            return Some(match left.len() {
                1 => format!("found {l}, expected {r}"),
                _ => format!("found {l} at index {k}, expected {r}; all: {}", list(left)),
            });
        }
    }
    None
}

fn holds(compare: Compare, l: f64, r: f64, slack: f64) -> bool {
    let near = (l - r).abs() <= 1e-6 * r.abs().max(1e-30);
    match compare {
        Compare::Eq => l == r || near,
        Compare::Ne => l != r,
        Compare::Lt => l < r,
        Compare::Le => l <= r || near,
        Compare::Gt => l > r,
        Compare::Ge => l >= r || near,
        Compare::Within(d) => (l - r).abs() <= d + slack * r.abs(),
        Compare::WithinShare(share) => (l - r).abs() <= share * r.abs(),
    }
}

fn list(values: &[f64]) -> String {
    let shown: Vec<String> = values.iter().take(12).map(|v| format!("{v}")).collect();
    format!("[{}{}]", shown.join(", "), if values.len() > 12 { ", …" } else { "" })
}
