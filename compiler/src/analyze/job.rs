//! Data, jobs and tests: every setting decided, every value that is read in place. What runs them is not here.
//!
//! `train`, `evaluate` and `simulate` are elaborated in the order written; a job takes steps, `dt` and loss from the training of
//! the same model where it does not say them. A job whose model or data is broken is left out: that was reported.

mod augment;
mod data;
mod draw;
mod expect;
mod measures;
mod one;
mod optimizer;
mod promise;
mod read;
mod settings;
#[cfg(test)]
mod tests;
mod train;

use super::Overrides;
use super::context::Cx;
use super::declare::{Decl, list};
use super::since;
use crate::ast::{self, ItemKind};
use crate::diag::{Code, suggest};
use crate::hir::constant::ConstEnv;
use crate::hir::{self, Drive, DriveValues, InputId, Job, JobKind, ModelId, Test};
use crate::source::Span;
use settings::Settings;

/// Name of the model and of its population in `simulate one(…)`.
pub(super) const ONE: &str = "one";
/// Name of the model of a test that draws.
pub(super) const DRAW: &str = "draw";

/// Defaults of settings.
const DT: f64 = 1e-3;
const STEPS: usize = 20;
const BATCH: usize = 64;

/// Elaborates the data, jobs and tests of the user's file into the program; its models are there already.
pub(super) fn all<'a>(cx: &mut Cx<'a>, file: &'a ast::File, overrides: &Overrides) {
    for item in &file.items {
        if let ItemKind::Data(decl) = &item.kind {
            let data = data::data(cx, decl);
            cx.program.data.extend(data);
        }
    }
    let is_job = |item: &'a ast::Item| match &item.kind {
        ItemKind::Job(job) => Some(job),
        _ => None,
    };
    let jobs: Vec<&'a ast::Job> = file.items.iter().filter_map(is_job).collect();
    for (at, decl) in jobs.iter().enumerate() {
        let job = job(cx, decl, &jobs[at + 1..]).map(|job| overridden(job, overrides));
        cx.program.jobs.extend(job);
    }
    for item in &file.items {
        if let ItemKind::Test(decl) = &item.kind {
            let test = test(cx, decl, item.span);
            cx.program.tests.extend(test);
        }
    }
    for item in &file.items {
        if let ItemKind::Init(decl) = &item.kind {
            let tests = promise::tests(cx, decl);
            cx.program.tests.extend(tests);
        }
    }
    for item in &file.items {
        if let ItemKind::Optimizer(decl) = &item.kind
            && !cx.visited.contains(&decl.name.span)
        {
            optimizer::check_unused(cx, decl);
        }
    }
}

/// `--seed` and `--epochs` win over what the file says.
fn overridden(mut job: Job, overrides: &Overrides) -> Job {
    job.seed = overrides.seed.unwrap_or(job.seed);
    if let (Some(train), Some(epochs)) = (&mut job.train, overrides.epochs) {
        train.epochs = epochs;
    }
    job
}

/// Steps and length of a step.
#[derive(Clone, Copy)]
struct Clock {
    dt: f64,
    steps: usize,
}

impl Clock {
    fn env(self) -> ConstEnv {
        ConstEnv { dt: self.dt, steps: self.steps }
    }
}

fn job<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job, later: &[&'a ast::Job]) -> Option<Job> {
    let given = Settings::new(cx, decl);
    if let Some(args) = one::args(&decl.subject) {
        return simulate_one(cx, decl, &given, args);
    }
    let model = model_of(cx, &decl.subject);
    let data = match &decl.data {
        Some(path) => data::on(cx, path, hir_kind(decl.kind)).map(Some),
        None => Ok(None),
    };
    let (model, data) = (model?, data.ok()?);
    let trained = cx.program.jobs.iter().rev().find(|job| job.kind == JobKind::Train && job.model == model);
    let trained = trained.map(|job| (Clock { dt: job.dt, steps: job.steps }, job.loss.clone()));
    let inherited = trained.as_ref().map(|(clock, _)| *clock);
    let clock = clock(cx, decl, &given, inherited)?;
    let mut job = plain(cx, decl, &given, model, data, clock)?;
    if decl.kind == ast::JobKind::Evaluate && trained.is_none() {
        trained_later(cx, decl, model, later);
    }
    drives(cx, decl, &mut job);
    job.loss = loss(cx, decl, &given, model, trained.and_then(|(_, loss)| loss))?;
    if decl.kind == ast::JobKind::Train {
        job.train = Some(train::settings(cx, &given, model, clock.steps, decl.subject.span)?);
    }
    read(cx, &given, &mut job);
    Some(job)
}

/// The model that a job names; none after a message.
fn model_of<'a>(cx: &mut Cx<'a>, subject: &'a ast::Expr) -> Option<ModelId> {
    let path = match &subject.kind {
        ast::ExprKind::Name(path) => path,
        ast::ExprKind::Call { callee, .. } => {
            let name = cx.text(callee.span);
            cx.report(Code::E0304, subject.span, "a job names its model without arguments")
                .at("arguments are not taken here")
                .help(format!("write `{name}`; values that change from run to run are `param`s of the file"));
            return None;
        }
        _ => {
            cx.report(Code::E0301, subject.span, "this is not a model").at("a model is wanted here");
            return None;
        }
    };
    match cx.decls.in_file(path).or_else(|| cx.decls.in_library(path)) {
        Some(decl @ Decl::Circuit(circuit)) if circuit.is_model => {
            cx.used.insert(decl.name_span());
            let models = &cx.program.models;
            let at = models.iter().position(|model| model.name == circuit.name.text);
            if at.is_none() {
                needs_arguments(cx, circuit, path.span);
            }
            at.map(|at| ModelId(at as u32))
        }
        Some(other) => {
            cx.wrong_kind(path.span, other, "a model");
            None
        }
        None => {
            unknown_model(cx, path);
            None
        }
    }
}

/// Reports a model that was not built because a parameter has no default.
fn needs_arguments(cx: &mut Cx, circuit: &ast::Circuit, span: Span) {
    let Some(param) = circuit.params.iter().find(|param| param.default.is_none()) else { return };
    let (model, name) = (&circuit.name.text, &param.name.text);
    cx.report(Code::E0303, span, format!("model `{model}` needs a value for `{name}`"))
        .at("used without arguments")
        .label(param.name.span, "this parameter has no default")
        .help(format!("give it a default: `{name} = …`"));
}

fn unknown_model(cx: &mut Cx, path: &ast::Path) {
    let is_model = |decl: &Decl| matches!(decl, Decl::Circuit(circuit) if circuit.is_model);
    let models: Vec<&str> = cx.decls.own().filter(is_model).map(Decl::name).collect();
    let name = cx.text(path.span);
    let near = suggest::closest(&name, models.iter().copied());
    let all = list(models.iter().copied());
    let message = cx.report(Code::E0201, path.span, format!("there is no model `{name}`"));
    message.at("unknown model");
    match near {
        Some(near) => message.help(format!("did you mean `{near}`?")),
        None if models.is_empty() => message.help(format!("declare it: `model {name} {{ … }}`")),
        None => message.help(format!("the file has {all}")),
    };
}

fn hir_kind(kind: ast::JobKind) -> JobKind {
    match kind {
        ast::JobKind::Train => JobKind::Train,
        ast::JobKind::Evaluate => JobKind::Evaluate,
        ast::JobKind::Simulate | ast::JobKind::Draw => JobKind::Simulate,
    }
}

/// The settings that all jobs have.
fn plain<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Job,
    given: &Settings<'a>,
    model: ModelId,
    data: Option<(usize, hir::Part)>,
    clock: Clock,
) -> Option<Job> {
    let batch = match given.one(cx, "batch") {
        Some(expr) => settings::size(cx, expr, "the size of a batch"),
        None => Some(if data.is_some() { BATCH } else { 1 }),
    };
    let seed = match given.one(cx, "seed") {
        Some(expr) => settings::count(cx, expr, "the seed", 0),
        None => Some(0),
    };
    Some(Job {
        kind: hir_kind(decl.kind),
        model,
        data,
        steps: clock.steps,
        dt: clock.dt,
        batch: batch?,
        seed: seed?,
        drives: Vec::new(),
        loss: None,
        train: None,
        metrics: Vec::new(),
        records: Vec::new(),
        reports: Vec::new(),
        span: decl.subject.span,
    })
}

/// `dt`, and `steps` or `for`; else those of the training, else the defaults.
fn clock<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Job,
    given: &Settings<'a>,
    inherited: Option<Clock>,
) -> Option<Clock> {
    let dt = match given.one(cx, "dt") {
        Some(expr) => settings::time(cx, expr, None, "`dt`")?,
        None => inherited.map_or(DT, |clock| clock.dt),
    };
    // What is drawn has axes there.
    let duration = decl.duration.as_ref().filter(|_| decl.kind != ast::JobKind::Draw);
    let steps = match (duration, given.find("steps")) {
        (Some(duration), Some(steps)) => {
            cx.report(Code::E0109, steps.span, "the length of the run is given twice")
                .at("second length")
                .label(duration.span, "first length")
                .help("keep one of them: `for 1 s` or `steps 1000`");
            return None;
        }
        (Some(duration), None) => duration_in_steps(cx, duration, dt)?,
        (None, Some(setting)) => {
            let expr = settings::single(cx, setting)?;
            settings::size(cx, expr, "the number of steps")?
        }
        (None, None) => inherited.map_or(STEPS, |clock| clock.steps),
    };
    Some(Clock { dt, steps })
}

/// A duration in whole steps, at least one.
fn duration_in_steps<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, dt: f64) -> Option<usize> {
    let seconds = settings::time(cx, expr, Some(&ConstEnv { dt, steps: 1 }), "a duration")?;
    let steps = (seconds / dt).round().max(1.0);
    if steps <= f64::from(1u32 << 31) {
        return Some(steps as usize);
    }
    cx.report(Code::E0406, expr.span, "this duration has too many steps")
        .at("more than 2^31 steps")
        .help("write a shorter duration, or a longer `dt`");
    None
}

/// Reports an evaluation that stands before the training of its model.
fn trained_later<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job, model: ModelId, later: &[&'a ast::Job]) {
    let name = cx.program.models[model.idx()].name.clone();
    let is_training =
        |job: &&&ast::Job| job.kind == ast::JobKind::Train && subject_name(&job.subject) == Some(&name);
    let Some(training) = later.iter().find(is_training) else { return };
    cx.report(Code::E0912, decl.subject.span, format!("`{name}` is evaluated before it is trained"))
        .at("has its first, random weights here")
        .label(training.subject.span, "trained here")
        .note("jobs run in the order written")
        .help("move the `train` before the `evaluate`");
}

fn subject_name(subject: &ast::Expr) -> Option<&str> {
    match &subject.kind {
        ast::ExprKind::Name(path) if path.segments.len() == 1 => Some(&path.segments[0].text),
        _ => None,
    }
}

/// Inputs given by the job, and whether the others get something from the data.
fn drives<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job, job: &mut Job) {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let names: Vec<String> =
        cx.program.models[job.model.idx()].inputs.iter().map(|input| input.name.clone()).collect();
    for setting in decl.settings.iter().filter(|setting| setting.is_assign) {
        let word = &setting.word;
        if decl.kind != ast::JobKind::Simulate {
            let job_word = settings::job_word(decl.kind);
            cx.report(Code::E0313, word.span, format!("`{job_word}` takes its inputs from the data"))
                .at("only `simulate` gives inputs")
                .help(format!("settings have no `=`: write `{} …`", word.text));
            continue;
        }
        let Some(at) = names.iter().position(|name| *name == word.text) else {
            unknown_input(cx, word, &names);
            continue;
        };
        if job.drives.iter().any(|drive| drive.input.idx() == at) {
            cx.report(Code::E0109, word.span, format!("`{}` is given twice", word.text))
                .at("second time")
                .help("remove one of them");
            continue;
        }
        let what = format!("input `{}`", word.text);
        let Some(expr) = settings::single(cx, setting) else { continue };
        let values = one::values(cx, expr, hir::Unit::NONE, &env, &what);
        // A list goes to an input that changes at every step.
        let is_static = !cx.program.models[job.model.idx()].inputs[at].stream;
        if is_static && matches!(values, Some(DriveValues::List(_))) {
            static_list(cx, expr, word);
            continue;
        }
        job.drives.extend(values.map(|values| Drive { input: InputId(at as u32), values }));
    }
    missing_inputs(cx, decl, job, &names);
}

fn static_list(cx: &mut Cx, expr: &ast::Expr, word: &ast::Ident) {
    let name = &word.text;
    cx.report(Code::E0301, expr.span, format!("input `{name}` has one value for the whole run"))
        .at("a list is a value for each step")
        .help(format!("declare it as a stream: `input {name}: […] stream`"));
}

fn unknown_input(cx: &mut Cx, word: &ast::Ident, names: &[String]) {
    let near = suggest::closest(&word.text, names.iter().map(String::as_str)).map(String::from);
    let known = if names.is_empty() { "it has none".into() } else { format!("it has {}", names.join(", ")) };
    let title = format!("the model has no input `{}`", word.text);
    let diagnostic = cx.report(Code::E0201, word.span, title);
    diagnostic.at("unknown input").note(known);
    if let Some(near) = near {
        diagnostic.help(format!("did you mean `{near}`?"));
    }
}

/// Data feeds one input; a job that leaves an input without values cannot run.
fn missing_inputs<'a>(cx: &mut Cx<'a>, decl: &'a ast::Job, job: &Job, names: &[String]) {
    let is_given = |at: usize| job.drives.iter().any(|drive| drive.input.idx() == at);
    let written = |name: &String| decl.settings.iter().any(|s| s.is_assign && s.word.text == *name);
    let open: Vec<&String> = names
        .iter()
        .enumerate()
        .filter(|(at, name)| !is_given(*at) && !written(name))
        .map(|(_, n)| n)
        .collect();
    let Some(data) = &decl.data else {
        let Some(first) = open.first() else { return };
        cx.report(Code::E0303, decl.subject.span, format!("input `{first}` gets no values"))
            .at("run without data")
            .note("a simulation takes its inputs from data or from the job")
            .help(format!(
                "give the input a value in the braces (`{first} = 1`), or write `on` and a data set"
            ));
        return;
    };
    if open.len() == 1 {
        return;
    }
    let title = match open.len() {
        0 => "the data has no input to go to".to_string(),
        count => format!("the data goes to one input, but {count} have no values"),
    };
    cx.report(Code::E0504, data.span, title)
        .at("its samples are values of one input")
        .label(decl.subject.span, "this model")
        .help("use a model with one `input` for the data");
}

/// The loss of the job: its own, that of the training, or cross entropy of the first output.
fn loss<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Job,
    given: &Settings<'a>,
    model: ModelId,
    inherited: Option<hir::Expr>,
) -> Option<Option<hir::Expr>> {
    match (given.one(cx, "loss"), decl.kind) {
        (Some(expr), _) => read::loss(cx, model, expr).map(Some),
        (None, ast::JobKind::Simulate | ast::JobKind::Draw) => Some(None),
        (None, _) if inherited.is_some() => Some(inherited),
        (None, _) => read::default_loss(cx, model, decl.subject.span).map(Some),
    }
}

/// Metrics, records and reports.
fn read<'a>(cx: &mut Cx<'a>, given: &Settings<'a>, job: &mut Job) {
    for expr in given.values("metric") {
        job.metrics.extend(read::metric(cx, expr));
    }
    for expr in given.values("record") {
        job.records.extend(read::record(cx, job.model, expr));
    }
    for expr in given.values("report") {
        job.reports.extend(read::report(cx, job.model, expr));
    }
    since::check(cx, job);
}

fn simulate_one<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Job,
    given: &Settings<'a>,
    args: &'a [ast::Arg],
) -> Option<Job> {
    if decl.kind != ast::JobKind::Simulate || decl.data.is_some() {
        cx.report(Code::E0301, decl.subject.span, "`one` is simulated, with inputs in its parentheses")
            .at("not a model with data")
            .help("write `simulate one(Lif, i = 0.1) for 1 s`");
        return None;
    }
    let clock = clock(cx, decl, given, None)?;
    let (model, drives) = one::one(cx, decl.subject.span, args, &clock.env())?;
    for setting in given.assigned() {
        cx.report(Code::E0313, setting.word.span, "inputs of `one` stand in its parentheses")
            .at("not here")
            .help(format!("write `one(…, {} = …)`", setting.word.text));
    }
    let mut job = plain(cx, decl, given, model, None, clock)?;
    job.drives = drives;
    read(cx, given, &mut job);
    Some(job)
}

fn test<'a>(cx: &mut Cx<'a>, decl: &'a ast::Test, span: Span) -> Option<Test> {
    let Some(job) = &decl.job else {
        cx.report(Code::E0303, decl.name_span, "a test needs a simulation")
            .at("nothing is simulated or drawn here")
            .help(
                "write `simulate one(Lif, i = 0.1) for 1 s` or `draw normal for [100, 50]` before `expect`",
            );
        return None;
    };
    let given = Settings::new(cx, job);
    let (job, draws) = match job.kind {
        ast::JobKind::Draw => {
            let (job, w) = draw::draw(cx, job, &given)?;
            (job, Some(w))
        }
        _ => (simulated(cx, job, &given)?, None),
    };
    let expects = decl.expects.iter().filter_map(|e| match draws {
        Some(w) => draw::expect(cx, &job, (w, None), e),
        None => expect::expect(cx, &job, e),
    });
    let expects = expects.collect();
    Some(Test { name: decl.name.clone(), job, draws, expects, span })
}

/// The simulation of a test.
fn simulated<'a>(cx: &mut Cx<'a>, job: &'a ast::Job, given: &Settings<'a>) -> Option<Job> {
    let Some(args) = one::args(&job.subject) else {
        cx.report(Code::E0301, job.subject.span, "a test simulates one neuron")
            .at("`one(…)` is wanted here")
            .note("what is expected are values of one population")
            .help("write `simulate one(Lif, i = 0.1) for 1 s`");
        return None;
    };
    simulate_one(cx, job, given, args)
}
