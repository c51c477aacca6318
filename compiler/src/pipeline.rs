//! The whole pipeline: text to checked program, job to net, net to machine code; and the text of every stage.

mod facts;
mod norms;
mod shards;

pub use facts::{first_values, of_first_values};
pub use norms::{Normalised, normalisations};

use crate::analyze::{self, Overrides};
use crate::diag::Diagnostics;
use crate::hir::constant::ConstEnv;
use crate::hir::{self, Job, JobKind, Model};
use crate::loops::cost::Cost;
use crate::net::{Net, Output, Sink};
use crate::source::{FileId, Sources};
use crate::step::StepFn;
use crate::step::passes::{into_weights, threshold};
use crate::{ast, cluster, differentiate, emit, lower, net, parse, schedule, stdlib, step};
use snn_runtime::program::{CARRIED, MemoryPlan, Program};
use std::collections::{BTreeMap, BTreeSet};

/// What decides about generated code besides the program. All fields are explicit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bit-identical with the reference interpreter: sums in documented order, no fused multiply-add.
    pub strict: bool,
    /// 4-lane code; scalar code otherwise. Results are the same.
    pub vector: bool,
}

/// A program in HIR with the syntax tree it came from.
pub struct Checked {
    /// The user's file.
    pub ast: ast::File,
    /// What it means. To be run only if there were no errors.
    pub program: hir::Program,
}

/// Parses and analyzes the user's file, which is in `sources`; adds the standard library to `sources`.
pub fn check(sources: &mut Sources, file: FileId, overrides: &Overrides, diags: &mut Diagnostics) -> Checked {
    let ast = parse::file(sources, file, diags);
    let mut files = vec![(String::new(), ast.clone())];
    for (module, text) in stdlib::MODULES {
        let id = sources.add(format!("std/{module}.snn"), *text);
        files.push((format!("std.{module}"), parse::file(sources, id, diags)));
    }
    let program = analyze::program(&files, sources, overrides, diags);
    Checked { ast, program }
}

/// What kind of net is made for a model.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// Forward, backward, update.
    Train,
    /// Loss, prediction and spike counts.
    Evaluate,
    /// Records and reports of the job.
    Simulate,
    /// Forward and backward without update, outputs `grad NAME`.
    Gradient {
        /// Spikes replaced by the primitives of their surrogates.
        relaxed: bool,
    },
}

impl Purpose {
    /// Whether weights are trained: what `training` is in the language.
    pub fn trains(self) -> bool {
        matches!(self, Purpose::Train | Purpose::Gradient { .. })
    }
}

/// The stages of one job, for printing and for running.
pub struct Staged {
    /// The step of the model, after its passes.
    pub step: StepFn,
    /// The net, after its passes.
    pub net: Net,
    /// What the tape keeps.
    pub tape: Vec<differentiate::TapeEntry>,
}

/// What is known of the data of a job before it is compiled; nothing without data.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct DataFacts {
    /// Number of classes or target values.
    pub target_width: usize,
    /// Whether inputs are 0 or 1 throughout.
    pub spikes: bool,
}

/// The net of a job. Not `strict`: sums may have another order than the text has.
pub fn net(
    model: &Model,
    job: &Job,
    purpose: Purpose,
    batch: usize,
    data: DataFacts,
    strict: bool,
) -> Result<Staged, String> {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let (step, wanted) = one_step(model, job, purpose, batch);
    let (mut net, traces) = cluster::net(&step, &wanted, job.steps);
    (net.shard_batch, net.shards) = shards::shards(&net, batch);
    if let Some(first) = model.inputs.first() {
        let input = net.inputs.iter_mut().find(|i| i.name == first.name);
        input.into_iter().for_each(|i| i.spikes = data.spikes);
    }
    let loss = outputs(&mut net, &traces, model, job, purpose, data.target_width);
    let mut net = net::passes::run(net);
    let mut tape = Vec::new();
    if let Purpose::Gradient { relaxed: true } = purpose {
        differentiate::relax(&mut net)?;
    }
    if loss && matches!(purpose, Purpose::Train | Purpose::Gradient { .. }) {
        let window = job.train.as_ref().and_then(|t| t.window);
        if !strict && window.is_none() && net::passes::collapse::run(&mut net) {
            net = net::passes::run(net);
        }
        tape = backward(&mut net, model, job, purpose, env);
        net = net::passes::run(net);
        let again = !strict && window.is_none() && net::passes::before_decay::run(&mut net);
        if net::passes::conditions::run(&mut net) || again {
            net = net::passes::run(net);
        }
        net = shards::small(net);
    }
    debug_assert_eq!(net::verify::verify(&net), Ok(()));
    Ok(Staged { step, net, tape })
}

/// The step of a job after its passes, and the names of what is wanted of it.
fn one_step(model: &Model, job: &Job, purpose: Purpose, batch: usize) -> (StepFn, BTreeSet<String>) {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let mut step = lower::step(model, &env, purpose.trains());
    if purpose.trains() && job.train.as_ref().is_some_and(|train| train.carried) {
        lower::carry(&mut step);
    }
    if purpose == Purpose::Simulate {
        lower::since(&mut step, &starts(job));
    }
    let mut step = step::passes::run(step);
    let mut wanted = wanted(model, job, purpose);
    if purpose == Purpose::Train {
        let kept = [lower::STATISTIC, lower::RUNNING, CARRIED];
        let is_kept = |name: &&String| kept.iter().any(|kind| name.starts_with(kind));
        wanted.extend(step.outputs.iter().map(|(name, _)| name).filter(is_kept).cloned());
    }
    if !purpose.trains() {
        let calls = into_weights::Calls { samples: batch.max(1), steps: job.steps };
        let compared = threshold::run(&step, &wanted).map(step::passes::run);
        step = compared.unwrap_or(step);
        step = into_weights::run(&step, &wanted, calls).map(step::passes::run).unwrap_or(step);
    }
    debug_assert_eq!(step::verify::verify(&step), Ok(()));
    (step, wanted)
}

/// The steps at which records and reports let presentations begin.
fn starts(job: &Job) -> BTreeSet<usize> {
    let mut starts = BTreeSet::new();
    job.results().for_each(|value| {
        value.for_each(&mut |e| {
            if let hir::ExprKind::Since(_, start) = &e.kind {
                starts.insert(*start);
            }
        });
    });
    starts
}

fn wanted(model: &Model, job: &Job, purpose: Purpose) -> BTreeSet<String> {
    let mut exprs: Vec<&hir::Expr> = Vec::new();
    match purpose {
        Purpose::Simulate => {
            exprs.extend(job.results());
        }
        _ => exprs.extend(&job.loss),
    }
    let mut names = lower::traces_read(model, exprs);
    if !matches!(purpose, Purpose::Simulate) && !model.outputs.is_empty() {
        names.insert("output 0".to_string());
    }
    if matches!(purpose, Purpose::Evaluate | Purpose::Simulate) {
        names.extend(model.populations.iter().filter(|p| p.fires).map(|p| format!("{}.fired", p.name)));
    }
    names
}

/// Adds what the job computes from the traces; gives whether there is a loss.
fn outputs(
    net: &mut Net,
    traces: &BTreeMap<String, step::ValId>,
    model: &Model,
    job: &Job,
    purpose: Purpose,
    target_width: usize,
) -> bool {
    let env = ConstEnv { dt: job.dt, steps: job.steps };
    let mut named = Vec::new();
    lower::statistics(net, traces);
    lower::running(net, traces, model);
    lower::carried(net, traces);
    let mut values = lower::job_values(net, traces, model, env, target_width, purpose.trains());
    let loss = job.loss.as_ref().filter(|_| !matches!(purpose, Purpose::Simulate));
    if let Some(loss) = loss {
        named.push(("loss".to_string(), values.loss(loss)));
    }
    if purpose == Purpose::Train {
        values.keep_directions();
    }
    if purpose == Purpose::Simulate {
        for record in &job.records {
            named.push((format!("record {}", record.name), values.value(&record.value)));
        }
        for report in &job.reports {
            named.push((format!("report {}", report.name), values.report(&report.value)));
        }
    } else if let Some(val) = values.prediction() {
        named.push(("prediction".to_string(), val));
    }
    if matches!(purpose, Purpose::Evaluate | Purpose::Simulate) {
        for (idx, pop) in model.populations.iter().enumerate() {
            if let Some(val) = values.count(hir::PopId(idx as u32)) {
                named.push((format!("count.{}", pop.name), val));
            }
        }
    }
    net.outputs.extend(named.into_iter().map(|(name, val)| Output { name, val, sink: Sink::Named }));
    loss.is_some()
}

fn backward(
    net: &mut Net,
    model: &Model,
    job: &Job,
    purpose: Purpose,
    env: ConstEnv,
) -> Vec<differentiate::TapeEntry> {
    let loss = net.outputs.iter().find(|o| o.name == "loss").expect("a loss was added").val;
    let window = job.train.as_ref().and_then(|t| t.window);
    let adjoint = differentiate::adjoint(net, loss, window);
    let first = net.graph.nodes.len();
    if let (Purpose::Train, Some(settings)) = (purpose, &job.train) {
        lower::update(net, model, settings, &adjoint.grads, env);
    } else {
        for (p, grad) in adjoint.grads.iter().enumerate() {
            if let Some(val) = *grad {
                let name = format!("grad {}", net.params[p].name);
                net.outputs.push(Output { name, val, sink: Sink::Grad(p) });
            }
        }
    }
    for node in &mut net.graph.nodes[first..] {
        node.section = snn_runtime::program::Section::Update;
    }
    adjoint.tape
}

/// The net with its presentation cut into segments of so many steps: the backward pass makes the forward pass again, segment by segment.
/// None if it cannot be cut like that.
pub fn in_segments(net: &Net, steps: usize) -> Option<Net> {
    net::passes::segment::run(net, steps)
}

/// Memory of a net's program, without its code.
pub fn memory_plan(net: &Net) -> MemoryPlan {
    schedule::loops(net).memory_plan()
}

/// The net as it is if it needs at most `bound` of what `bytes` counts; else with fewer shards, of which each has its own weight gradients;
/// else in the longest segments that do, else in the longest ones that do with one shard at a time; if none do, the least that one needs.
pub fn bounded(net: Net, batch: usize, bytes: impl Fn(&Net) -> usize, bound: usize) -> Result<Net, usize> {
    let (shard_batch, shards) = shards::large(&net, batch);
    let few = Net { shard_batch, shards, ..net.clone() };
    let lengths = (1..net.steps).rev().filter(|steps| net.steps.is_multiple_of(*steps));
    let cuts: Vec<Net> = lengths.filter_map(|steps| in_segments(&few, steps)).collect();
    let alone = cuts.iter().cloned().map(|mut cut| {
        cut.segments.iter_mut().for_each(|segments| segments.alone = true);
        cut
    });
    let mut least = usize::MAX;
    for net in [net, few].into_iter().chain(cuts.clone()).chain(alone) {
        let needs = bytes(&net);
        if needs <= bound {
            return Ok(net);
        }
        least = least.min(needs);
    }
    Err(least)
}

/// Machine code of a net.
pub fn compile(net: &Net, options: &Options) -> Program {
    let loops = schedule::loops(net);
    emit::program(&loops, &emit_options(options, false))
}

/// The same code, which also measures its statements ([`snn_runtime::kernels::laps`]), and what these have to do.
pub fn compile_timed(net: &Net, options: &Options) -> (Program, Vec<Cost>) {
    let loops = schedule::loops(net);
    (emit::program(&loops, &emit_options(options, true)), loops.costs())
}

fn emit_options(options: &Options, laps: bool) -> emit::Options {
    emit::Options {
        vector: options.vector,
        strict: options.strict,
        native: true,
        wide: emit::wide::Vectors::of_host(),
        laps,
    }
}

/// A stage whose text can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stage {
    /// Syntax tree.
    Ast,
    /// Resolved program.
    Hir,
    /// One step.
    Step,
    /// Forward net.
    Net,
    /// Net with backward pass and update, and the tape.
    Adjoint,
    /// Loops and memory.
    Loops,
    /// Cranelift's IR.
    Clif,
    /// Machine code for a fixed x86-64.
    Asm,
}

impl Stage {
    /// All, in order, with their names on the command line.
    pub const ALL: [(Stage, &'static str); 8] = [
        (Stage::Ast, "ast"),
        (Stage::Hir, "hir"),
        (Stage::Step, "step"),
        (Stage::Net, "net"),
        (Stage::Adjoint, "adjoint"),
        (Stage::Loops, "loops"),
        (Stage::Clif, "clif"),
        (Stage::Asm, "asm"),
    ];
}

/// The text of a stage of a checked program: what `snnc emit` prints. The same on every machine. Stages after `hir` are those
/// of the first `train` job, else of the first other job; no data are read, inputs are taken for numbers.
pub fn emit_text(checked: &Checked, stage: Stage) -> Result<String, String> {
    match stage {
        Stage::Ast => return Ok(ast::print::debug_tree(&checked.ast)),
        Stage::Hir => return Ok(hir::print::program(&checked.program)),
        _ => {}
    }
    let jobs = &checked.program.jobs;
    let tests = checked.program.tests.iter().filter(|t| t.draws.is_none()).map(|t| &t.job);
    let job = jobs.iter().find(|j| j.kind == JobKind::Train).or(jobs.first()).or(tests.into_iter().next());
    let job = job.ok_or("the file has no job: write `train`, `evaluate`, `simulate` or `test`")?;
    let model = &checked.program.models[job.model.idx()];
    let purpose = match (job.kind, stage) {
        (JobKind::Train, Stage::Step | Stage::Net) | (JobKind::Evaluate, _) => Purpose::Evaluate,
        (JobKind::Train, _) => Purpose::Train,
        (JobKind::Simulate, _) => Purpose::Simulate,
    };
    let data = DataFacts { target_width: default_target_width(model), spikes: false };
    let staged = net(model, job, purpose, job.batch, data, false)?;
    Ok(match stage {
        Stage::Step => staged.step.to_string(),
        Stage::Net => staged.net.to_string(),
        Stage::Adjoint => format!("{}{}", staged.net, differentiate::tape_text(&staged.tape)),
        Stage::Loops => schedule::loops(&staged.net).to_string(),
        Stage::Clif => emit::clif_text(&schedule::loops(&staged.net)),
        _ => emit::asm_text(&schedule::loops(&staged.net)),
    })
}

/// Width of the first output: what targets are expected to have when no data is at hand.
pub fn default_target_width(model: &Model) -> usize {
    model.outputs.first().map_or(0, |o| o.value.shape.iter().product())
}
