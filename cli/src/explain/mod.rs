//! `explain FILE`: what each population does in a step, with numbers in place, as people would write it; projections and
//! parameters; which convention of other frameworks an update equals; what is left of normalisations after training. No code is made and no data are read.

mod linear;
mod peers;
mod population;
mod statement;
mod text;
pub mod update;

use snn_compiler::hir::constant::{self, ConstEnv};
use snn_compiler::hir::{Job, JobKind, Model, Param, Program, Projection, Source};
use snn_compiler::pipeline::{Normalised, normalisations};
use text::Words;

/// Length of a step and number of steps where no job says them, as in jobs.
const DEFAULT: ConstEnv = ConstEnv { dt: 1e-3, steps: 20 };

/// The text of all models of a program: with the step of the training of each, else of its first job.
pub fn program(program: &Program) -> String {
    let mut parts = Vec::new();
    for (at, model) in program.models.iter().enumerate() {
        let of_model = |job: &&Job| job.model.idx() == at;
        let jobs = || program.jobs.iter().filter(of_model);
        let job = jobs().find(|job| job.kind == JobKind::Train).or_else(|| jobs().next());
        // Neurons of `test`s are models too; they say nothing new.
        if job.is_none() && program.tests.iter().any(|test| test.job.model.idx() == at) {
            continue;
        }
        parts.push(self::model(model, job));
    }
    match parts.is_empty() {
        true => "the file has no model and no `simulate one(…)`\n".to_string(),
        false => parts.join("\n"),
    }
}

fn model(model: &Model, job: Option<&Job>) -> String {
    let env = job.map_or(DEFAULT, |job| ConstEnv { dt: job.dt, steps: job.steps });
    let words = Words::new(model, env);
    let step = words.time(env.dt);
    let origin = if job.is_some() { "" } else { " (no job says how long; this is the default)" };
    let mut out = format!("model {}: {} steps of {step}{origin}\n", model.name, env.steps);
    out.push_str("In a step, populations are brought forward in the order of what they read; each does, in this order:\n");
    for pop in &model.populations {
        out.push('\n');
        out.push_str(&population::text(&words, pop));
    }
    out.push_str(&projections(&words));
    out.push_str(&parameters(&words));
    job.into_iter().for_each(|job| out.push_str(&norms(model, job)));
    let outputs: Vec<String> =
        model.outputs.iter().map(|o| words.expr(&o.value).replace(" after", "")).collect();
    if !outputs.is_empty() {
        out.push_str(&format!("\noutput {}\n", outputs.join(", ")));
    }
    out
}

/// What an evaluation does of each normalisation.
fn norms(model: &Model, job: &Job) -> String {
    let mut out = String::new();
    for (name, how) in normalisations(model, job) {
        if out.is_empty() {
            out.push_str("\nnormalisations, by their running statistics where nothing is trained\n");
        }
        out.push_str(&format!(
            "    {name}: {}\n",
            match how {
                Normalised::Weights =>
                    "part of the weights and biases of what arrives, made once for a batch",
                Normalised::Threshold => "part of the threshold, made once for a batch",
                Normalised::Step => "computed at each step",
                Normalised::Unused => "nothing that is wanted depends on it",
            }
        ));
    }
    out
}

fn projections(words: &Words) -> String {
    let mut out = String::new();
    for projection in &words.model.projections {
        if out.is_empty() {
            out.push_str("\nprojections, weights [receiving, sending]\n");
        }
        out.push_str(&format!("    {}\n", self::projection(words, projection)));
    }
    out
}

fn projection(words: &Words, p: &Projection) -> String {
    let model = words.model;
    let source = match p.source {
        Source::Input(id) => model.inputs[id.idx()].name.clone(),
        Source::Population(id) => model.populations[id.idx()].name.clone(),
    };
    let target = &model.populations[p.target.idx()];
    let port = match target.ports.len() {
        1 => String::new(),
        _ => format!(".{}", target.ports[p.port].name),
    };
    let mut line = format!("{source} -> {}{port}: {}", target.name, p.kind);
    match p.weight {
        Some(id) => {
            let param = &model.params[id.idx()];
            line.push_str(&format!(", {:?}: {}", param.shape, amount(param)));
        }
        None => line.push_str(", no parameters"),
    }
    let delay = constant::eval(&p.delay, &words.env).unwrap_or(0.0);
    if delay > 0.0 {
        let steps = (delay / words.env.dt).round();
        let plural = if steps == 1.0 { "" } else { "s" };
        line.push_str(&format!(", delayed by {} ({steps} step{plural})", words.time(delay)));
    }
    line
}

/// `8192 trained, kaiming_normal(gain = 1.414) at the start (random), kept >= 0`
fn amount(param: &Param) -> String {
    let count = param.shape.iter().product::<usize>();
    let word = if param.trained { "trained" } else { "fixed" };
    let number = |value: f64| snn_compiler::hir::unit::quantity(value, param.unit);
    let (low, high) = (param.bounds.low, param.bounds.high);
    let kept = match (low.is_finite(), high.is_finite()) {
        (true, true) => format!(", kept in [{}, {}]", number(low), number(high)),
        (true, false) => format!(", kept >= {}", number(low)),
        (false, true) => format!(", kept <= {}", number(high)),
        (false, false) => String::new(),
    };
    let needs = param.init.effects();
    let needs = if needs.is_empty() { String::new() } else { format!(" ({})", needs.join(", ")) };
    let by = param.keep.as_ref().map_or(String::new(), |keep| match keep.sign {
        Some(_) => format!(" by {}", keep.text),
        None => format!(", signs of the start kept by {}", keep.text),
    });
    format!("{count} {word}, {} at the start{needs}{kept}{by}", param.init.text)
}

/// Parameters that are no weights of a projection, and the number of all.
fn parameters(words: &Words) -> String {
    let model = words.model;
    let is_weight = |at: usize| model.projections.iter().any(|p| p.weight.is_some_and(|id| id.idx() == at));
    let others: Vec<&Param> =
        model.params.iter().enumerate().filter(|(at, _)| !is_weight(*at)).map(|(_, param)| param).collect();
    let mut out = String::new();
    if !others.is_empty() {
        out.push_str("\nother parameters\n");
    }
    for param in others {
        out.push_str(&format!("    {} {:?}: {}\n", param.name, param.shape, amount(param)));
    }
    let total = |trained: bool| -> usize {
        let those = model.params.iter().filter(|param| param.trained == trained);
        those.map(|param| param.shape.iter().product::<usize>()).sum()
    };
    out.push_str(&format!("\n{} trained numbers, {} fixed ones\n", total(true), total(false)));
    out
}
