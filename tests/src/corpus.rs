//! Programs that run: `tests/suite`, `examples`, and the programs of `docs`. Each is checked, its tests run on the interpreter and
//! compiled, its jobs on all engines, and the gradients of its trainings are proven.

use crate::differential;
use libtest_mimic::{Failed, Trial};
use snnc::args::{Common, Shared};
use snnc::job::Runner;
use snnc::load::{Loaded, load};
use std::path::{Path, PathBuf};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in a folder").to_path_buf()
}

/// Files below a folder with an extension, sorted.
pub fn files(dir: &Path, extension: &str) -> Vec<PathBuf> {
    let mut list = Vec::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return list };
    for path in entries.flatten().map(|e| e.path()) {
        if path.is_dir() {
            list.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            list.push(path);
        }
    }
    list.sort();
    list
}

/// A path below the root, for names.
pub fn name(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// One trial for each program.
pub fn trials() -> Vec<Trial> {
    let mut list = Vec::new();
    let suite = files(&root().join("tests/suite"), "snn")
        .into_iter()
        .filter(|p| !p.components().any(|c| c.as_os_str() == "errors"));
    for path in suite.chain(files(&root().join("examples"), "snn")) {
        list.push(Trial::test(name(&path), move || run(&path)));
    }
    // Too large for the interpreter: checked only.
    for path in files(&root().join("tests/perf"), "snn") {
        list.push(Trial::test(name(&path), move || loaded(&path).map(drop)));
    }
    for path in files(&root().join("docs"), "md") {
        list.push(Trial::test(name(&path), move || documented(&path)));
    }
    list
}

/// Options of all runs here.
pub fn common() -> Common {
    Common { shared: Shared { quiet: true, threads: 1, ..Shared::default() }, ..Common::default() }
}

/// Loads a program or says why not.
pub fn loaded(path: &Path) -> Result<Loaded, Failed> {
    load(path, &common()).map_err(|f| Failed::from(f.text))
}

fn run(path: &Path) -> Result<(), Failed> {
    let loaded = loaded(path)?;
    let common = common();
    let mut runner = Runner::new(&loaded, &common).map_err(|f| f.text)?;
    tests(&loaded, &mut runner)?;
    // Programs whose data are files given by the user are checked only.
    let shipped = |job: &snn_compiler::hir::Job| {
        job.data
            .is_none_or(|(idx, _)| matches!(&loaded.checked.program.data[idx].source[..], "digits" | "noise"))
    };
    for job in loaded.checked.program.jobs.iter().filter(|j| shipped(j)) {
        differential::job(&mut runner, job)?;
    }
    Ok(())
}

/// Every block marked `snn` is a program without errors whose tests hold; `snn continued` goes on with the one before.
fn documented(path: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path)?;
    let dir = std::env::temp_dir().join(format!("snn-docs-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let mut program = String::new();
    for (number, block) in text.split("```snn").skip(1).enumerate() {
        let (mark, body) = block.split_once('\n').unwrap_or(("", ""));
        if mark.trim() != "continued" {
            program.clear();
        }
        program.push_str(body.split("```").next().unwrap_or(""));
        let file = dir.join(format!("{}-{number}.snn", path.file_stem().unwrap_or_default().display()));
        std::fs::write(&file, &program)?;
        let loaded = loaded(&file)?;
        let common = common();
        tests(&loaded, &mut Runner::new(&loaded, &common).map_err(|f| f.text)?)?;
        std::fs::remove_file(&file)?;
    }
    Ok(())
}

/// The tests that a program declares.
fn tests(loaded: &Loaded, runner: &mut Runner) -> Result<(), Failed> {
    for test in &loaded.checked.program.tests {
        let report = snnc::testing::test(runner, test).map_err(|f| f.text)?;
        if let Some(why) = report.failed {
            return Err(why.into());
        }
    }
    Ok(())
}
