//! Subcommands: which jobs they run, and the small ones whole.

use crate::args::{Butterfly, Cli, Command, Common, Diag, Jacobian, Run, StageName};
use crate::job::memory::Needs;
use crate::job::{Runner, STOP, facts};
use crate::load::{self, Failure, load};
use crate::report::{self, JobReport};
use crate::{bench, diagnose, explain, gradcheck, inspect, sweep, testing};
use snn_compiler::diag::{Code, Diagnostics, render};
use snn_compiler::hir::JobKind;
use snn_compiler::pipeline::{self, DataFacts, Purpose, Stage};
use snn_compiler::source::Sources;
use snn_compiler::{ast, parse};
use std::path::Path;
use std::sync::atomic::Ordering;

/// Runs a command line; gives the exit code.
pub fn run(cli: Cli) -> i32 {
    // Where files may not grow beyond a limit, writing shall fail with a message instead of ending the process.
    #[cfg(unix)]
    let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Default::default());
    match with_memory(cli.command) {
        Command::Run(r) => jobs(&r, &[JobKind::Train, JobKind::Evaluate, JobKind::Simulate], false),
        Command::Train(r) => jobs(&r, &[JobKind::Train], false),
        Command::Eval(r) => jobs(&r, &[JobKind::Evaluate], false),
        Command::Simulate(r) => jobs(&r, &[JobKind::Simulate], false),
        Command::Test(r) => jobs(&r, &[], true),
        Command::Gradcheck(r) => finish(&r.file, &r.common, check_gradients(&r)),
        Command::Bench(r) => finish(&r.file, &r.common, measure(&r)),
        Command::Inspect(i) => finish(&i.run.file, &i.run.common, look(&i.run, i.after)),
        Command::Diag { question } => {
            stop_on_interruption();
            let run = question.run();
            finish(&run.file, &run.common, ask(&question))
        }
        Command::Sweep(s) => {
            stop_on_interruption();
            sweep::sweep(&s)
        }
        Command::Check { file, memory, common } => {
            finish(&file, &common, check(&file, memory.is_some(), &common))
        }
        Command::Emit { file, stage, all, dump, common } => {
            finish(&file, &common, emit(&file, stage, all, dump.as_deref(), &common))
        }
        Command::Fmt { files, check } => plain(fmt(&files, check)),
        Command::Explain { what, common } => plain(explain(&what, &common)),
        Command::New { dir } => plain(new(&dir)),
    }
}

/// Hands the bound on memory, which only some commands have, to all that is compiled.
fn with_memory(mut command: Command) -> Command {
    match &mut command {
        Command::Run(r) | Command::Train(r) | Command::Eval(r) | Command::Simulate(r) => {
            r.common.memory = r.memory
        }
        Command::Test(r) | Command::Gradcheck(r) | Command::Bench(r) => r.common.memory = r.memory,
        Command::Inspect(i) => i.run.common.memory = i.run.memory,
        Command::Diag {
            question: Diag::Butterfly(Butterfly { run, .. }) | Diag::Jacobian(Jacobian { run, .. }),
        } => run.common.memory = run.memory,
        Command::Check { memory, common, .. } => common.memory = memory.flatten(),
        _ => {}
    }
    command
}

/// Ends a command that has reports.
fn finish(file: &Path, common: &Common, result: Result<Vec<JobReport>, Failure>) -> i32 {
    let (jobs, failure) = match result {
        Ok(jobs) => (jobs, None),
        Err(failure) => (Vec::new(), Some(failure)),
    };
    finish_with(file, common, &jobs, failure)
}

fn finish_with(file: &Path, common: &Common, jobs: &[JobReport], failure: Option<Failure>) -> i32 {
    if let Some(failure) = &failure {
        eprintln!("{}", failure.text);
    }
    if common.shared.json {
        let errors = failure.as_ref().map_or(Vec::new(), |f| f.errors.clone());
        let object = report::object(&file.display().to_string(), jobs, &errors);
        report::out(&format!("{object}\n"));
    }
    i32::from(failure.is_some() || jobs.iter().any(|j| j.failed.is_some()))
}

fn plain(result: Result<(), Failure>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(failure) => {
            eprintln!("{}", failure.text);
            1
        }
    }
}

fn jobs(r: &Run, kinds: &[JobKind], tests: bool) -> i32 {
    let mut done: Vec<JobReport> = Vec::new();
    let result = run_jobs(r, kinds, tests, &mut done);
    finish_with(&r.file, &r.common, &done, result.err())
}

fn run_jobs(r: &Run, kinds: &[JobKind], tests: bool, done: &mut Vec<JobReport>) -> Result<(), Failure> {
    stop_on_interruption();
    let loaded = load(&r.file, &r.common)?;
    let mut runner = Runner::new(&loaded, &r.common)?;
    let program = &loaded.checked.program;
    let mut found = false;
    for job in program.jobs.iter().filter(|j| kinds.contains(&j.kind)) {
        found = true;
        let report = runner.job(job)?;
        say(&r.common, &report);
        done.push(report);
    }
    for test in program.tests.iter().filter(|_| tests) {
        found = true;
        let report = testing::test(&mut runner, test)?;
        say(&r.common, &report);
        done.push(report);
    }
    if !found {
        let help = "write `train`, `evaluate`, `simulate` or `test`; see docs/language.md".to_string();
        return Err(Failure::plain("E0912", "the file has no such job", Some(help)));
    }
    Ok(())
}

/// Ctrl-C stops after the batch that runs, a second one at once.
fn stop_on_interruption() {
    let _ = ctrlc::set_handler(|| {
        if STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(1);
        }
        eprintln!("stopping after this batch; press Ctrl-C again to stop at once");
    });
}

/// Results go to standard output, failures to standard error.
fn say(common: &Common, report: &JobReport) {
    if !common.shared.json {
        report::out(&report::text(report));
    }
    if let Some(failed) = &report.failed {
        eprintln!("{failed}");
    }
}

fn measure(r: &Run) -> Result<Vec<JobReport>, Failure> {
    let loaded = load(&r.file, &r.common)?;
    let reports = bench::bench(&mut Runner::new(&loaded, &r.common)?)?;
    if !r.common.shared.json {
        reports.iter().for_each(|report| report::out(&report.text));
    }
    Ok(reports)
}

fn check_gradients(r: &Run) -> Result<Vec<JobReport>, Failure> {
    let loaded = load(&r.file, &r.common)?;
    let mut runner = Runner::new(&loaded, &r.common)?;
    let report = gradcheck::gradcheck(&mut runner)?;
    if !r.common.shared.json {
        report::out(&report.text);
    }
    if let Some(failed) = &report.failed {
        eprintln!("{failed}");
    }
    Ok(vec![report])
}

fn look(r: &Run, after: bool) -> Result<Vec<JobReport>, Failure> {
    if after {
        stop_on_interruption();
    }
    let loaded = load(&r.file, &r.common)?;
    let report = inspect::inspect(&mut Runner::new(&loaded, &r.common)?, after)?;
    if !r.common.shared.json {
        report::out(&report.text);
    }
    Ok(vec![report])
}

fn ask(question: &Diag) -> Result<Vec<JobReport>, Failure> {
    let run = question.run();
    let loaded = load(&run.file, &run.common)?;
    let mut runner = Runner::new(&loaded, &run.common)?;
    let reports = match question {
        Diag::Butterfly(b) => diagnose::butterfly::butterfly(&mut runner, b)?,
        Diag::Jacobian(j) => vec![diagnose::jacobian::jacobian(&mut runner, j)?],
    };
    if !run.common.shared.json {
        reports.iter().for_each(|report| report::out(&report.text));
    }
    Ok(reports)
}

fn check(file: &Path, memory: bool, common: &Common) -> Result<Vec<JobReport>, Failure> {
    let loaded = load(file, common)?;
    if !memory {
        if !common.shared.quiet && !common.shared.json {
            report::out(&format!("{}: no errors\n", loaded.path));
        }
        return Ok(Vec::new());
    }
    let mut runner = Runner::new(&loaded, common)?;
    for job in &loaded.checked.program.jobs {
        let data = runner.split(job)?;
        let known = data.as_ref().map_or(DataFacts::default(), |(s, _)| facts(&s.train));
        let purpose = match job.kind {
            JobKind::Train => Purpose::Train,
            JobKind::Evaluate => Purpose::Evaluate,
            JobKind::Simulate => Purpose::Simulate,
        };
        let batch = data.as_ref().map_or(1, |(s, _)| job.batch.min(s.train.samples).max(1));
        let (staged, program) = runner.program(job, purpose, batch, known)?;
        let threads = runner.pool.threads();
        let trains = job.kind == JobKind::Train;
        let plan = match trains {
            true => runner.training_plan(job, batch, known, &staged.net),
            false => program.plan.clone(),
        };
        let needs = Needs::new(&plan, runner.data_bytes(job, batch), trains, threads);
        let segments = staged.net.segments.as_ref().map_or(String::new(), |s| {
            format!("; {} segments of {} steps", staged.net.steps / s.steps, s.steps)
        });
        let name = &runner.model(job).name;
        report::out(&format!("{:?} {name}: {}{segments}\n", job.kind, needs.text(&plan, threads)));
    }
    Ok(Vec::new())
}

fn emit(
    file: &Path,
    stage: Option<StageName>,
    all: bool,
    dump: Option<&Path>,
    common: &Common,
) -> Result<Vec<JobReport>, Failure> {
    let loaded = load(file, common)?;
    let text = |stage: Stage| {
        pipeline::emit_text(&loaded.checked, stage).map_err(|e| Failure::plain("E0912", e, None))
    };
    if let (true, Some(dir)) = (all, dump) {
        let failed = |e: std::io::Error| {
            Failure::plain("E0906", format!("`{}` cannot be made: {e}", dir.display()), None)
        };
        std::fs::create_dir_all(dir).map_err(failed)?;
        for (number, (stage, name)) in Stage::ALL.iter().enumerate() {
            let path = dir.join(format!("{}0-{name}.txt", number + 1));
            snn_runtime::record::write_atomic(&path, text(*stage)?.as_bytes())?;
        }
    } else if let Some(stage) = stage {
        report::out(&text(stage.stage())?);
    }
    Ok(Vec::new())
}

fn fmt(files: &[std::path::PathBuf], check: bool) -> Result<(), Failure> {
    let mut changed = Vec::new();
    for path in files {
        let text = load::read(path)?;
        let mut sources = Sources::new();
        let id = sources.add(path.display().to_string(), text.clone());
        let mut diags = Diagnostics::new();
        let tree = parse::file(&sources, id, &mut diags);
        if diags.has_errors() {
            return Err(load::failure(&diags, &sources));
        }
        let canonical = ast::print::file(&tree, &sources);
        if path.as_os_str() == "-" {
            report::out(&canonical);
        } else if canonical != text {
            let same = canonical.lines().zip(text.lines()).take_while(|(a, b)| a == b).count();
            changed.push(format!("{}:{}", path.display(), same + 1));
            if !check {
                snn_runtime::record::write_atomic(path, canonical.as_bytes())?;
            }
        }
    }
    if check && !changed.is_empty() {
        let message = format!("not in canonical layout: {}", changed.join(", "));
        let help = "`snnc fmt` without `--check` rewrites files; named are the first lines that it changes";
        return Err(Failure::plain("fmt", message, Some(help.into())));
    }
    Ok(())
}

/// A file if there is one of this name or its name has an extension, else a code.
fn explain(what: &str, common: &Common) -> Result<(), Failure> {
    let path = Path::new(what);
    if what == "-" || path.is_file() || path.extension().is_some() {
        report::out(&explain::program(&load(path, common)?.checked.program));
        return Ok(());
    }
    let Some(code) = Code::from_name(&what.to_uppercase()) else {
        let help = Some("codes look like E0401, messages show theirs in brackets; or give a .snn file");
        return Err(Failure::plain("E0201", format!("there is no code `{what}`"), help.map(String::from)));
    };
    report::out(&format!("{}\n", render::explain(code).trim_end()));
    Ok(())
}

/// What `snnc new` writes.
const NEW: &str = include_str!("../../examples/digits.snn");

fn new(dir: &Path) -> Result<(), Failure> {
    let path = dir.join("model.snn");
    if path.exists() {
        let help = Some("choose another folder".to_string());
        return Err(Failure::plain("E0906", format!("`{}` is there already", path.display()), help));
    }
    std::fs::create_dir_all(dir)
        .map_err(|e| Failure::plain("E0906", format!("`{}` cannot be made: {e}", dir.display()), None))?;
    snn_runtime::record::write_atomic(&path, NEW.as_bytes())?;
    report::out(&format!("made {}; try: snnc run {}\n", path.display(), path.display()));
    Ok(())
}
