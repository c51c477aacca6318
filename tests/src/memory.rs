//! Memory of trainings: what `--memory` promises, what it says when it cannot, and what `check --memory` predicts.

use crate::cli::{Folder, Ran, command, ensure, plain, snnc};
use crate::corpus::{common, root};
use libtest_mimic::Trial;
use snn_compiler::hir::{Job, JobKind};
use snn_compiler::pipeline::{self, DataFacts, Purpose};
use snnc::args::Common;
use snnc::load::{Loaded, load};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("memory: a bounded training learns the same", bounded_training),
        plain("memory: a bound that is too small is an error", too_small),
        plain("memory: sizes are understood", sizes),
        plain("memory: tapes of segments grow less than the steps", growth),
        plain("memory: the peak is predicted", prediction),
    ]
}

/// A small training.
const TRAINING: &str = "tests/suite/training/segments.snn";
/// One whose tapes count.
const LARGE: [&str; 3] = ["tests/perf/a.snn", "-p", "n=40"];

/// Loss of the large training.
fn loss(args: &[&str]) -> Result<f64, String> {
    let ran = snnc(&[&["train"], &LARGE[..], &["--epochs", "3", "--json"], args].concat())?.expect(0)?;
    let json: serde_json::Value = serde_json::from_str(&ran.out).map_err(|error| error.to_string())?;
    json["jobs"][0]["metrics"]["loss"].as_f64().ok_or_else(|| format!("no loss: {}", ran.out))
}

fn bounded_training() -> Result<(), String> {
    let whole = loss(&[])?;
    let least = least(&snnc(&[&["train", "--memory", "1MB"], &LARGE[..]].concat())?.expect(1)?)?;
    let bound = format!("{least}MB");
    let cut = loss(&["--memory", &bound])?;
    ensure((whole - cut).abs() < 1e-3 * whole.abs(), || {
        format!("loss {cut} in segments, {whole} as a whole")
    })?;
    let two = loss(&["--memory", &bound, "--threads", "2"])?;
    ensure(cut == two, || format!("loss {cut} with one thread, {two} with two"))?;
    let shown = snnc(&[&["check", &format!("--memory={bound}")], &LARGE[..]].concat())?.expect(0)?;
    ensure(shown.out.contains("segments of"), || shown.out.clone())
}

/// MB that a message says are needed at least.
fn least(ran: &Ran) -> Result<f64, String> {
    let after = ran.err.split("at least ").nth(1).and_then(|rest| rest.split(' ').next());
    after.and_then(|mb| mb.parse().ok()).ok_or_else(|| ran.err.clone())
}

fn too_small() -> Result<(), String> {
    for command in ["train", "run", "bench", "gradcheck"] {
        let ran = snnc(&[command, TRAINING, "--memory", "1MB"])?.expect(1)?;
        ensure(ran.err.contains("error[E0914]") && least(&ran)? > 1.0, || ran.err.clone())?;
    }
    let ran = snnc(&["train", TRAINING, "--memory", "1MB", "--json"])?.expect(1)?;
    ensure(ran.out.contains("\"E0914\""), || ran.out.clone())?;
    snnc(&["check", "--memory=1MB", TRAINING])?.expect(1).map(drop)
}

fn sizes() -> Result<(), String> {
    for size in ["200MB", "64MiB", "1.5GB", "90000000"] {
        snnc(&["train", TRAINING, "--quiet", "--memory", size])?.expect(0)?;
    }
    for size in ["", "much", "-1MB", "12XB"] {
        let ran = snnc(&["train", TRAINING, &format!("--memory={size}")])?.expect(2)?;
        ensure(!ran.err.contains("panicked"), || ran.err.clone())?;
    }
    Ok(())
}

/// `tests/perf/a.snn` with so many steps.
fn of_steps(steps: usize) -> Result<(Loaded, Job), String> {
    let common = Common { params: vec![format!("n={steps}")], ..common() };
    let loaded = load(&root().join("tests/perf/a.snn"), &common).map_err(|failure| failure.text)?;
    let job = loaded.checked.program.jobs.iter().find(|job| job.kind == JobKind::Train).cloned();
    job.map(|job| (loaded, job)).ok_or_else(|| "a training".to_string())
}

fn growth() -> Result<(), String> {
    let tapes = |steps: usize| -> Result<[usize; 2], String> {
        let (loaded, job) = of_steps(steps)?;
        let model = &loaded.checked.program.models[job.model.idx()];
        let data = DataFacts { target_width: 10, spikes: true };
        let net = pipeline::net(model, &job, Purpose::Train, job.batch, data, false)?.net;
        let cuts = (1..steps).filter(|len| steps.is_multiple_of(*len));
        let cut = cuts.filter_map(|len| pipeline::in_segments(&net, len));
        let least = cut.map(|net| pipeline::memory_plan(&net).local_floats).min().unwrap_or(0);
        Ok([pipeline::memory_plan(&net).local_floats, least])
    };
    let ([few, few_cut], [many, many_cut]) = (tapes(256)?, tapes(4096)?);
    ensure(many > 15 * few, || format!("whole: {few} floats, {many} for 16 times the steps"))?;
    ensure(many_cut < 5 * few_cut, || format!("cut: {few_cut} floats, {many_cut} for 16 times the steps"))?;
    ensure(many_cut < many / 20, || format!("{many_cut} of {many} floats are left"))
}

/// MB that a process had resident at most, as the kernel counts it while it runs.
#[cfg(target_os = "linux")]
fn peak(args: &[&str]) -> Result<f64, String> {
    let error = |error: std::io::Error| error.to_string();
    let mut child = command(args)?.stdout(std::process::Stdio::null()).spawn().map_err(error)?;
    let path = format!("/proc/{}/status", child.id());
    let mut peak = 0.0f64;
    let status = loop {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
        peak = peak.max(kib.unwrap_or(0.0) * 1024e-6);
        if let Some(status) = child.try_wait().map_err(error)? {
            break status;
        }
        std::thread::yield_now();
    };
    if status.success() { Ok(peak) } else { Err(format!("{args:?} failed")) }
}

#[cfg(target_os = "linux")]
fn prediction() -> Result<(), String> {
    let file = "tests/perf/a.snn";
    for (steps, bound) in [("n=25", None), ("n=200", None), ("n=200", Some("110MB"))] {
        for threads in ["1", "2"] {
            predicted(&[file, "-p", steps, "--threads", threads], bound)?;
        }
    }
    let folder = Folder::new()?;
    let file = |name: &str, data: &str, extra: &str| folder.file(name, images(data, extra));
    let noise = "std.data.noise(samples = 2560, inputs = 4096, classes = 10)";
    let plain = said(&[&file("plain.snn", noise, "")?], None)?;
    let changed = predicted(&[&file("changed.snn", noise, "augment flip")?], None)?;
    let batch = 2048.0 * 64.0 * 64.0 * 4e-6;
    ensure((changed - plain - batch).abs() < 0.11, || {
        format!("{changed} MB predicted with changed images, {plain} MB without")
    })?;
    // While they are read: 8 bytes of the file and 4 of what stays for each number.
    folder.file("x.npy", npy("<f8", "800, 4096", &[0; 800 * 4096 * 8]))?;
    folder.file("y.npy", npy("|u1", "800", &[9; 800]))?;
    let source = "std.data.npy(x = \"x.npy\", y = \"y.npy\")";
    let read = predicted(&[&file("read.snn", source, "")?], None)?;
    let most = 800.0 * 4096.0 * 12e-6 + 12.0;
    ensure((read - most).abs() < 0.2, || format!("{read} MB predicted, {most} MB while data are read"))
}

/// A file of NumPy.
#[cfg(target_os = "linux")]
fn npy(descr: &str, shape: &str, elements: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape},), }}\n");
    let start = [&b"\x93NUMPY\x01\x00"[..], &(header.len() as u16).to_le_bytes()].concat();
    [&start, header.as_bytes(), elements].concat()
}

/// A training on large images of a source; `extra` is a setting.
#[cfg(target_os = "linux")]
fn images(data: &str, extra: &str) -> String {
    format!(
        "model Images {{
            input x: [1, 64, 64]
            let p = Rate[1, 8, 8]
            let y = Integrator[10]
            x -> p : avg_pool(8)
            p -> y : dense
            output y.v
        }}
        data images = {data}
        train Images on images {{ steps 2   batch 2048   epochs 1   {extra} }}"
    )
}

/// MB that `check --memory` says a training needs.
#[cfg(target_os = "linux")]
fn said(args: &[&str], bound: Option<&str>) -> Result<f64, String> {
    let memory = bound.map_or("--memory".to_string(), |bound| format!("--memory={bound}"));
    let shown = snnc(&[&["check", &memory], args].concat())?.expect(0)?;
    let said = shown.out.split(": ").nth(1).and_then(|rest| rest.split(' ').next());
    said.and_then(|mb| mb.parse().ok()).ok_or_else(|| shown.out.clone())
}

/// The same; an error if the training had more or less.
#[cfg(target_os = "linux")]
fn predicted(args: &[&str], bound: Option<&str>) -> Result<f64, String> {
    let said = said(args, bound)?;
    let given = bound.map_or(Vec::new(), |bound| vec!["--memory", bound]);
    let had = peak(&[&["train", "--quiet"], args, &given].concat())?;
    ensure((said / had - 1.0).abs() < 0.1, || {
        format!("{args:?}, {bound:?}: {said} MB predicted, {had:.1} MB measured")
    })?;
    Ok(said)
}

#[cfg(not(target_os = "linux"))]
fn prediction() -> Result<(), String> {
    println!("skipped: the peak of a process is read on Linux only");
    Ok(())
}
