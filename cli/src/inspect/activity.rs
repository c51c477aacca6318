//! What populations do on the first batch of a training, with the first weights.

use crate::explain::update::{self, Update};
use crate::job::{Runner, facts};
use crate::load::Failure;
use ndarray::ArrayD;
use snn_compiler::hir::constant::ConstEnv;
use snn_compiler::hir::{
    Expr, ExprKind, Job, JobKind, LocalId, Model, PopId, Record, Stmt, StmtKind, TraceRef, Unit,
};
use snn_compiler::pipeline::{self, Purpose};
use snn_runtime::data::Dataset;
use snn_runtime::engine::{Call, Engine, SectionTimes, Weights};
use snn_runtime::train::evaluate::{INPUT, gather};
use std::sync::Arc;

/// A neuron that fires in at least this share of its steps carries no information about its input.
pub const SATURATED: f64 = 0.9;

/// What a population does.
#[derive(Clone, Debug)]
pub struct Activity {
    /// Its name.
    pub name: String,
    /// Number of neurons.
    pub neurons: usize,
    /// Mean and standard deviation of what arrives at its first driven input, over neurons, samples and steps; none if nothing does.
    pub input: Option<(f64, f64)>,
    /// Of populations that fire.
    pub spikes: Option<Spikes>,
    /// Its update in canonical form, if it has one.
    pub update: Option<Update>,
    /// Largest membrane of each neuron over samples and steps, after the step; with `update` only.
    pub peaks: Vec<f64>,
}

/// Spikes of a population.
#[derive(Clone, Debug)]
pub struct Spikes {
    /// Mean number of spikes of a neuron in a step.
    pub rate: f64,
    /// Standard deviation of the neurons' rates.
    pub spread: f64,
    /// Share of neurons without any spike in the batch.
    pub silent: f64,
    /// Share of neurons that fire in at least [`SATURATED`] of all steps.
    pub saturated: f64,
    /// Which neurons fired at least once.
    pub fired: Vec<bool>,
}

/// Runs the batch and measures all populations.
pub fn measure(
    runner: &Runner,
    job: &Job,
    weights: &[f32],
    data: &Dataset,
    samples: &[u32],
    call: &Call,
) -> Result<Vec<Activity>, Failure> {
    let (model, records) = instrumented(runner.model(job), job);
    let names: Vec<String> = records.iter().map(|r| r.name.clone()).collect();
    let job = Job { kind: JobKind::Simulate, records, reports: Vec::new(), ..job.clone() };
    let options = runner.options();
    let staged =
        pipeline::net(&model, &job, Purpose::Simulate, samples.len(), facts(data), options.strict)
            .map_err(|name| Failure::plain("E0806", format!("surrogate `{name}` has no primitive"), None))?;
    let program = pipeline::compile(&staged.net, &options);
    let mut engine = Engine::new(Arc::new(program), runner.pool.clone())?;
    let mut own = Weights::zeroed(engine.program())?;
    own.param.copy_from_slice(weights);
    let (x, target) = gather(data, samples);
    let inputs = [(INPUT, (&x).into()), ("target", (&target).into())];
    engine.run(&mut own, call, &inputs, &mut SectionTimes::default());
    let read = |name: &str| {
        let known = names.iter().any(|n| n == name);
        known.then(|| engine.read(&format!("record {name}"))).flatten()
    };
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let pops = runner.model(&job).populations.iter();
    Ok(pops
        .map(|pop| {
            let neurons = pop.shape.iter().product();
            let update = update::of(runner.model(&job), pop, &env);
            let membrane = read(&record(&pop.name, "membrane"));
            Activity {
                name: pop.name.clone(),
                neurons,
                input: read(&record(&pop.name, "input")).as_ref().map(moments),
                spikes: read(&record(&pop.name, "spikes")).as_ref().map(|s| spikes(s, neurons)),
                peaks: membrane.map_or(Vec::new(), |values| peaks(&values, neurons)),
                update,
            }
        })
        .collect())
}

fn record(pop: &str, what: &str) -> String {
    format!("{pop} {what}")
}

/// The model with a name for what arrives at the first driven input of each population, and what is recorded of it.
fn instrumented(model: &Model, job: &Job) -> (Model, Vec<Record>) {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let (mut changed, mut records) = (model.clone(), Vec::new());
    for (idx, pop) in model.populations.iter().enumerate() {
        let id = PopId(idx as u32);
        let mut add = |what: &str, trace: TraceRef| {
            let kind = ExprKind::Trace(id, trace);
            let value = Expr { kind, unit: Unit::NONE, shape: pop.shape.clone(), span: pop.span };
            records.push(Record { name: record(&pop.name, what), value, range: None, events: false });
        };
        if let Some(port) = pop.ports.iter().position(|port| port.driven) {
            let local = LocalId(changed.locals.len() as u32);
            add("input", TraceRef::Local(local));
            changed.locals.push("arriving".to_string());
            let kind = ExprKind::Port(id, port);
            let arriving = Expr {
                kind,
                unit: pop.ports[port].unit,
                shape: pop.ports[port].value.shape.clone(),
                span: pop.span,
            };
            let pop = &mut changed.populations[idx];
            pop.named.push(("what arrives".to_string(), local));
            pop.body.insert(0, Stmt { kind: StmtKind::Let(local, arriving), span: pop.span });
        }
        if pop.fires {
            add("spikes", TraceRef::Fired);
        }
        if let Some(update) = update::of(model, pop, &env) {
            add("membrane", TraceRef::State(update.state));
        }
    }
    (changed, records)
}

fn moments(values: &ArrayD<f32>) -> (f64, f64) {
    let n = values.len().max(1) as f64;
    let mean = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let square = values.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
    (mean, (square / n).sqrt())
}

fn spikes(values: &ArrayD<f32>, neurons: usize) -> Spikes {
    let mut counts = vec![0.0; neurons];
    for (at, value) in values.iter().enumerate() {
        counts[at % neurons] += f64::from(*value);
    }
    let chances = (values.len() / neurons).max(1) as f64;
    let rates: Vec<f64> = counts.iter().map(|n| n / chances).collect();
    let n = neurons as f64;
    let rate = rates.iter().sum::<f64>() / n;
    let spread = (rates.iter().map(|r| (r - rate).powi(2)).sum::<f64>() / n).sqrt();
    let share = |is: &dyn Fn(f64) -> bool| rates.iter().filter(|r| is(**r)).count() as f64 / n;
    Spikes {
        rate,
        spread,
        silent: share(&|r| r == 0.0),
        saturated: share(&|r| r >= SATURATED),
        fired: rates.iter().map(|r| *r > 0.0).collect(),
    }
}

/// The largest value of each neuron.
fn peaks(values: &ArrayD<f32>, neurons: usize) -> Vec<f64> {
    let mut peaks = vec![f64::NEG_INFINITY; neurons];
    for (at, value) in values.iter().enumerate() {
        let peak = &mut peaks[at % neurons];
        *peak = peak.max(f64::from(*value));
    }
    peaks
}
