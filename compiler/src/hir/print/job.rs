//! Text of data, jobs and tests.

use super::{Names, expr, line, number};
use crate::hir::{
    Compare, Data, DataArg, DriveValues, Expect, Job, JobKind, Measure, Model, Optimizer, OptimizerState,
    Part, Program, Record, Test, TraceRef, TrainSettings,
};

/// A data set.
pub(super) fn data(data: &Data) -> String {
    let args = data.args.iter().map(|(name, value)| match value {
        DataArg::Num(value) => format!("{name} = {}", number(*value)),
        DataArg::Str(text) => format!("{name} = {text:?}"),
    });
    let args = args.collect::<Vec<_>>().join(", ");
    format!("data {} = {}({args})\n", data.name, data.source)
}

/// One job with every setting.
pub fn job(program: &Program, job: &Job) -> String {
    let mut out = String::new();
    write(&mut out, 0, program, job);
    out
}

fn write(out: &mut String, depth: usize, program: &Program, job: &Job) {
    let word = match job.kind {
        JobKind::Train => "train",
        JobKind::Evaluate => "evaluate",
        JobKind::Simulate => "simulate",
    };
    let Some(model) = program.models.get(job.model.idx()) else {
        return line(out, depth, &format!("{word} model{}", job.model.0));
    };
    let on = job.data.map_or(String::new(), |(at, part)| {
        let name = program.data.get(at).map_or("?", |data| &data.name);
        let part = match part {
            Part::Train => ".train",
            Part::Test => ".test",
            Part::All => "",
        };
        format!(" on {name}{part}")
    });
    line(out, depth, &format!("{word} {}{on}", model.name));
    let (steps, dt) = (job.steps, number(job.dt));
    line(out, depth + 1, &format!("steps {steps}, dt {dt}, batch {}, seed {}", job.batch, job.seed));
    settings(out, depth + 1, model, job);
}

fn settings(out: &mut String, depth: usize, model: &Model, job: &Job) {
    let names = Names::of_model(model);
    for drive in &job.drives {
        let name = model.inputs.get(drive.input.idx()).map_or("?", |input| &input.name);
        let values = match &drive.values {
            DriveValues::Constant(value) => number(*value),
            DriveValues::List(values) => list(values),
        };
        line(out, depth, &format!("{name} = {values}"));
    }
    if let Some(settings) = &job.train {
        train(out, depth, settings);
    }
    if let Some(loss) = &job.loss {
        line(out, depth, &format!("loss {}", expr(loss, &names)));
    }
    if !job.metrics.is_empty() {
        line(out, depth, &format!("metric {}", job.metrics.join(", ")));
    }
    for Record { name, value, range, events } in &job.records {
        let range = range.map_or(String::new(), |(from, to)| format!("[{from}..{to}]"));
        let kind = if *events { " as events" } else { "" };
        line(out, depth, &format!("record {name} = {}{range}{kind}", expr(value, &names)));
    }
    for report in &job.reports {
        line(out, depth, &format!("report {} = {}", report.name, expr(&report.value, &names)));
    }
}

fn train(out: &mut String, depth: usize, settings: &TrainSettings) {
    line(out, depth, &format!("epochs {}", settings.epochs));
    let gradient = settings.window.map_or("bptt".to_string(), |window| format!("tbptt({window})"));
    line(out, depth, &format!("gradient {gradient}"));
    optimizer(out, depth, &settings.optimizer);
    if let Some(clip) = settings.clip {
        line(out, depth, &format!("clip {}", number(clip)));
    }
    if let Some((patience, least)) = settings.early_stop {
        line(out, depth, &format!("early_stop(patience = {patience}, least = {})", number(least)));
    }
    if !settings.augment.is_empty() {
        let changes: Vec<String> = settings.augment.iter().map(|change| change.text()).collect();
        line(out, depth, &format!("augment {}", changes.join(", ")));
    }
    if settings.carried {
        line(out, depth, "states carried");
    }
}

fn optimizer(out: &mut String, depth: usize, optimizer: &Optimizer) {
    let names = Names::of_locals(&optimizer.names);
    line(out, depth, &format!("optimizer {}", optimizer.text));
    for OptimizerState { name, local, init, starts } in &optimizer.states {
        let local = names.local(*local);
        let text = if local == *name { local } else { format!("{name} as {local}") };
        line(out, depth + 1, &format!("state {text} = {}", number(*init)));
        for start in starts.values() {
            line(out, depth + 2, &format!("{} = {}", start.name, start.init.text));
        }
    }
    for (local, value) in &optimizer.body {
        line(out, depth + 1, &format!("{} = {}", names.local(*local), expr(value, &names)));
    }
}

/// A test with its simulation.
pub(super) fn test(program: &Program, test: &Test) -> String {
    let mut out = format!("test {:?}\n", test.name);
    write(&mut out, 1, program, &test.job);
    if let Some(model) = program.models.get(test.job.model.idx()) {
        for expect in &test.expects {
            line(&mut out, 1, &self::expect(model, expect));
        }
    }
    out
}

fn expect(model: &Model, expect: &Expect) -> String {
    let (left, right) = (measure(model, &expect.left), measure(model, &expect.right));
    let sign = match expect.compare {
        Compare::Eq => "==".to_string(),
        Compare::Ne => "!=".to_string(),
        Compare::Lt => "<".to_string(),
        Compare::Le => "<=".to_string(),
        Compare::Gt => ">".to_string(),
        Compare::Ge => ">=".to_string(),
        Compare::Within(distance) => format!("within {} of", number(distance)),
        Compare::WithinShare(share) => format!("within {} % of", number(share * 100.0)),
    };
    format!("expect {left} {sign} {right}")
}

fn measure(model: &Model, measure: &Measure) -> String {
    match measure {
        Measure::Values(values) if values.len() == 1 => number(values[0]),
        Measure::Values(values) => list(values),
        Measure::Trace(TraceRef::Fired) => "fired".to_string(),
        Measure::Trace(TraceRef::AtFire) => "at_fire".to_string(),
        Measure::Trace(TraceRef::State(id)) => super::state_name(model, *id),
        Measure::Trace(TraceRef::Local(id)) => Names::of_model(model).local(*id),
        Measure::Spikes => "spikes".to_string(),
        Measure::Count => "count".to_string(),
        Measure::Rate => "rate".to_string(),
        Measure::Drawn(value) => expr(value, &Names::of_model(model)),
    }
}

fn list(values: &[f64]) -> String {
    format!("[{}]", values.iter().map(|value| number(*value)).collect::<Vec<_>>().join(", "))
}
