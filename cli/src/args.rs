//! The command line. No work here.

use crate::job::memory;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The language and compiler for spiking neural networks.
#[derive(Parser, Debug)]
#[command(name = "snnc", version, about, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the jobs of a file in order
    Run(Run),
    /// Check a file: messages only
    Check {
        /// The file.
        file: PathBuf,
        /// Show the memory that each job will need; with a size, that of trainings which may need no more.
        #[arg(long, value_name = "BYTES", num_args = 0..=1, require_equals = true, value_parser = memory::bytes)]
        memory: Option<Option<usize>>,
        /// Common options.
        #[command(flatten)]
        common: Common,
    },
    /// Run the `train` jobs
    Train(Run),
    /// Run the `evaluate` jobs with weights trained before (`--out DIR` of the training)
    Eval(Run),
    /// Run the `simulate` jobs
    Simulate(Run),
    /// Run the `test`s
    Test(Run),
    /// Check gradients against finite differences and the reference interpreter
    Gradcheck(Run),
    /// Measure a training step and an inference of each training
    Bench(Run),
    /// Run the jobs for lists of values and several seeds: means, intervals, success rates
    Sweep(Sweep),
    /// Measure a network before training, on its first batch: weights, rates, gradients, and what to change
    Inspect(Inspect),
    /// Ask what the course of a training depends on
    Diag {
        /// Which question.
        #[command(subcommand)]
        question: Diag,
    },
    /// Print a stage of the compiler
    Emit {
        /// The file.
        file: PathBuf,
        /// Which stage.
        #[arg(long, value_enum, required_unless_present = "all")]
        stage: Option<StageName>,
        /// All stages, into the folder given by `--dump`.
        #[arg(long, requires = "dump")]
        all: bool,
        /// Where `--all` writes, one file for each stage.
        #[arg(long)]
        dump: Option<PathBuf>,
        /// Common options.
        #[command(flatten)]
        common: Common,
    },
    /// Bring a file into canonical layout (`-`: standard input to standard output)
    Fmt {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// Change nothing; fail if a file is not canonical.
        #[arg(long)]
        check: bool,
    },
    /// Explain a message, or what each population of a file does in a step
    Explain {
        /// A code such as E0401, or a file.
        what: String,
        /// Common options.
        #[command(flatten)]
        common: Common,
    },
    /// Make a small project
    New {
        /// Its folder.
        dir: PathBuf,
    },
}

/// A command that runs jobs.
#[derive(Args, Debug, Clone)]
pub struct Run {
    /// The file.
    pub file: PathBuf,
    /// Memory that the process of a training may need at most: 200MB, 64MiB, 1.5GB. Longer trainings compute the forward pass twice.
    #[arg(long, value_name = "BYTES", value_parser = memory::bytes)]
    pub memory: Option<usize>,
    /// Common options.
    #[command(flatten)]
    pub common: Common,
}

/// `inspect`.
#[derive(Args, Debug, Clone)]
pub struct Inspect {
    /// Train too, and show what that changed: weights, representations, the kernel of gradients.
    #[arg(long)]
    pub after: bool,
    /// What all commands have that run jobs.
    #[command(flatten)]
    pub run: Run,
}

/// `sweep`. It has no folder for checkpoints: every run begins anew.
#[derive(Args, Debug, Clone)]
pub struct Sweep {
    /// The file.
    pub file: PathBuf,
    /// Values of a `param` of the file between commas, or of `seed`, the seed of all jobs. Ranges a..b include both ends. The product of
    /// all lists is run.
    #[arg(short = 'p', value_name = "NAME=A,B,C")]
    pub params: Vec<String>,
    /// What counts as a success, for the success rate: "accuracy >= 0.9". Any metric; <, <=, >, >=.
    #[arg(long, value_name = "CONDITION")]
    pub success: Option<String>,
    /// Writes one row for each run.
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Memory that the process of a training may need at most: 200MB, 64MiB, 1.5GB.
    #[arg(long, value_name = "BYTES", value_parser = memory::bytes)]
    pub memory: Option<usize>,
    /// What all commands have that run jobs.
    #[command(flatten)]
    pub shared: Shared,
}

/// Questions of `diag`.
#[derive(Subcommand, Debug)]
pub enum Diag {
    /// How much becomes of a small perturbation of the weights, by when it happens
    Butterfly(Butterfly),
    /// The derivative of the trained weights by the first ones: what training amplifies, keeps, forgets
    Jacobian(Jacobian),
}

impl Diag {
    /// What all commands have that run jobs.
    pub fn run(&self) -> &Run {
        match self {
            Diag::Butterfly(b) => &b.run,
            Diag::Jacobian(j) => &j.run,
        }
    }
}

/// `diag butterfly`.
#[derive(Args, Debug, Clone)]
pub struct Butterfly {
    /// What all commands have that run jobs.
    #[command(flatten)]
    pub run: Run,
    /// When weights are perturbed: after so many updates (0: before the first one) or after a share of the training (25%), between commas.
    #[arg(long, value_name = "STEPS", value_delimiter = ',', default_value = "0,1%,5%,25%,50%,90%", value_parser = moment)]
    pub at: Vec<Moment>,
    /// Norms of the noise by the norm of the first values of what is perturbed, between commas.
    #[arg(long, value_name = "SCALES", value_delimiter = ',', default_value = "1e-3", value_parser = scale)]
    pub scale: Vec<f64>,
    /// Share of the numbers that are perturbed, chosen at random; the others of the noise are left out.
    #[arg(long, default_value_t = 1.0, value_parser = fraction)]
    pub fraction: f64,
    /// Perturbs only these parameters, between commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Does not perturb these parameters, between commas.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub except: Vec<String>,
    /// Data of losses, errors and answers.
    #[arg(long, value_enum, default_value_t = Part::Train)]
    pub on: Part,
    /// Which noise of those that the seed of the training has.
    #[arg(long, default_value_t = 0)]
    pub draw: u64,
}

/// `diag jacobian`.
#[derive(Args, Debug, Clone)]
pub struct Jacobian {
    /// What all commands have that run jobs.
    #[command(flatten)]
    pub run: Run,
    /// How far each first value is moved, by the root mean square of its parameter.
    #[arg(long, default_value_t = 0.001, value_parser = positive)]
    pub step: f64,
    /// Singular values that are not further from 1 count as those of the bulk.
    #[arg(long, default_value_t = 0.05, value_parser = positive)]
    pub delta: f64,
}

/// A place in a training.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Moment {
    /// After so many updates.
    Update(u64),
    /// After a share of all updates, below 1.
    Share(f64),
}

/// A part of a data set.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// What is trained on.
    Train,
    /// The rest.
    Test,
}

fn moment(text: &str) -> Result<Moment, String> {
    let wrong =
        || "a number of updates (10) or a share of the training below 100% (25%) is wanted".to_string();
    let Some(percent) = text.trim().strip_suffix('%') else {
        return text.trim().parse().map(Moment::Update).map_err(|_| wrong());
    };
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..100.0).contains(&percent) => Ok(Moment::Share(percent / 100.0)),
        _ => Err(wrong()),
    }
}

fn scale(text: &str) -> Result<f64, String> {
    number(text, |value| value >= 0.0).ok_or("a number that is not negative is wanted, such as 1e-3".into())
}

fn positive(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0).ok_or("a number above 0 is wanted".into())
}

fn fraction(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1.0).ok_or("a number above 0, at most 1, is wanted".into())
}

fn number(text: &str, holds: impl Fn(f64) -> bool) -> Option<f64> {
    text.trim().parse().ok().filter(|value: &f64| value.is_finite() && holds(*value))
}

/// What all commands have that run jobs.
#[derive(Args, Debug, Clone, Default)]
pub struct Shared {
    /// Threads; 0: one for each processor. Results do not depend on it.
    #[arg(long, default_value_t = 0, value_parser = threads)]
    pub threads: usize,
    /// Replaces the number of epochs.
    #[arg(long)]
    pub epochs: Option<usize>,
    /// Replaces a file of a data source: name=path.
    #[arg(long, value_name = "NAME=PATH")]
    pub data: Vec<String>,
    /// Only results.
    #[arg(long)]
    pub quiet: bool,
    /// One JSON object on standard output.
    #[arg(long)]
    pub json: bool,
    /// Sums in documented order: bit-identical with the reference interpreter, slower.
    #[arg(long)]
    pub strict: bool,
}

/// Options of all commands that read a program.
#[derive(Args, Debug, Clone, Default)]
pub struct Common {
    /// Replaces the seed of all jobs.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Replaces a `param` of the file: name=value.
    #[arg(short = 'p', value_name = "NAME=VALUE")]
    pub params: Vec<String>,
    /// Folder for checkpoints and recordings.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on from the checkpoint in the folder of `--out`.
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// What all commands have that run jobs.
    #[command(flatten)]
    pub shared: Shared,
    /// What `--memory` of the command allows a training.
    #[arg(skip)]
    pub memory: Option<usize>,
}

/// More threads than this are a slip of the hand, and more than most systems start.
const MAX_THREADS: usize = 1024;

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads) if threads <= MAX_THREADS => Ok(threads),
        _ => Err(format!("a number from 0 to {MAX_THREADS} is wanted")),
    }
}

/// Names of stages.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum StageName {
    /// Syntax tree.
    Ast,
    /// Resolved program.
    Hir,
    /// One step.
    Step,
    /// Net of sequences.
    Net,
    /// Net with backward pass, update and tape.
    Adjoint,
    /// Loops and memory.
    Loops,
    /// Cranelift's IR.
    Clif,
    /// Machine code for a fixed x86-64.
    Asm,
}

impl StageName {
    /// The stage of the compiler.
    pub fn stage(self) -> snn_compiler::pipeline::Stage {
        use snn_compiler::pipeline::Stage;
        match self {
            StageName::Ast => Stage::Ast,
            StageName::Hir => Stage::Hir,
            StageName::Step => Stage::Step,
            StageName::Net => Stage::Net,
            StageName::Adjoint => Stage::Adjoint,
            StageName::Loops => Stage::Loops,
            StageName::Clif => Stage::Clif,
            StageName::Asm => Stage::Asm,
        }
    }
}
