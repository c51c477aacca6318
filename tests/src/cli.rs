//! The command line in a process of its own: exit codes, JSON, messages, files, interruption, resumption.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::corpus::{files, root};
use libtest_mimic::{Failed, Trial};
use serde_json::Value;

/// Makes the test binary the command line.
pub const AS_PROGRAM: &str = "SNNC_AS_PROGRAM";

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("cli: json has every field", json_has_every_field),
        plain("cli: exit codes", exit_codes),
        plain("cli: broken and hostile files give messages", hostile_files),
        plain("cli: messages have places in json", messages_have_places),
        plain("cli: parameters and data of the command line", overrides),
        plain("cli: data and model must fit", data_and_model),
        plain("cli: any files in the layout of MNIST train", idx_files),
        plain("cli: the number of threads changes nothing", threads_change_nothing),
        plain("cli: a training that was killed goes on", killed_training_goes_on),
        plain("cli: checkpoints of other models are refused", other_checkpoints),
        plain("cli: a full disk is an error", full_disk),
        plain("cli: an early interruption ends with a message", interruption),
        plain("cli: divergence names the population", divergence),
        plain("cli: first values that are not finite are an error", first_values_are_finite),
        plain("cli: evaluation needs weights", evaluation_needs_weights),
        plain("cli: records are written", records),
        plain("cli: failing tests fail", failing_tests),
        plain("cli: gradcheck passes; a surrogate without primitive is named", gradcheck),
        plain("cli: bench measures every part", bench),
        plain("cli: stages are the same twice", stages),
        plain("cli: fmt", fmt),
        plain("cli: explain", explain),
        plain("cli: a new project runs", new_project),
        plain("cli: a reader that goes away is no error", broken_pipe),
    ]
}

/// A trial.
pub(crate) fn plain(name: &str, run: fn() -> Result<(), String>) -> Trial {
    Trial::test(name.to_string(), move || run().map_err(Failed::from))
}

/// Fails with words unless a condition holds.
pub(crate) fn ensure(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

/// What a run gave.
pub(crate) struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub fn expect(self, code: i32) -> Result<Ran, String> {
        ensure(self.code == code, || {
            format!("exit code {}, not {code}:\n{}{}", self.code, self.out, self.err)
        })?;
        Ok(self)
    }

    /// The exit code is 1 and a message has this code.
    pub fn fails_with(self, code: &str) -> Result<Ran, String> {
        let ran = self.expect(1)?;
        ensure(ran.err.contains(code), || format!("no {code} in:\n{}", ran.err))?;
        Ok(ran)
    }

    pub fn json(&self) -> Result<Value, String> {
        serde_json::from_str(&self.out).map_err(|error| format!("{error} in:\n{}", self.out))
    }
}

/// The command line, to be started.
pub(crate) fn command(args: &[&str]) -> Result<Command, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(this);
    command.env(AS_PROGRAM, "1").current_dir(root()).args(args).stdin(Stdio::null());
    Ok(command)
}

/// Runs the command line.
pub(crate) fn snnc(args: &[&str]) -> Result<Ran, String> {
    command(args)?.output().map(Ran::of).map_err(|error| error.to_string())
}

/// A folder that is removed afterwards.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Result<Folder, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("snnc-tests-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).map_err(|error| error.to_string())?;
        Ok(Folder(path))
    }

    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<String, String> {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        Ok(path.display().to_string())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A small training; `{extra}` are settings.
pub(crate) fn small(extra: &str) -> String {
    format!(
        "param hidden = 12\n\
         model Net {{\n    input x: [64]\n    let h = Lif[hidden](tau = 10 ms)\n    let y = Integrator[10]\n    \
         x -> h : dense\n    h -> y : dense\n    output y.v\n}}\n\
         data digits = std.data.digits(split = 0.8)\n\
         train Net on digits {{ steps 6   batch 32   epochs 3   optimizer adam(lr = cosine(5e-3, 1e-4))   {extra} }}\n\
         evaluate Net on digits.test {{ metric accuracy, confusion, rate, sparsity, synops }}\n"
    )
}

fn json_has_every_field() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let ran = snnc(&["run", &file, "--json", "--threads", "2", "--seed", "3"])?.expect(0)?;
    let document = ran.json()?;
    ensure(document["snnc"].is_string() && document["file"] == file.as_str(), || ran.out.clone())?;
    let jobs = document["jobs"].as_array().ok_or("no jobs")?;
    ensure(jobs.len() == 2, || ran.out.clone())?;
    for (job, word) in jobs.iter().zip(["train", "evaluate"]) {
        let is_right = job["job"] == word && job["model"] == "Net" && job["seed"] == 3 && job["threads"] == 2;
        ensure(is_right, || job.to_string())?;
        ensure(job["metrics"]["loss"].is_f64() && job["metrics"]["accuracy"].is_f64(), || job.to_string())?;
        for field in ["compile", "data", "forward", "backward", "update", "total"] {
            ensure(job["seconds"][field].is_number(), || format!("no seconds.{field} in {job}"))?;
        }
    }
    ensure(jobs[1]["metrics"]["rate.h"].is_number(), || jobs[1].to_string())?;
    ensure(document.get("error").is_none(), || ran.out.clone())
}

fn exit_codes() -> Result<(), String> {
    snnc(&["--version"])?.expect(0)?;
    snnc(&["help"])?.expect(0)?;
    snnc(&["check", "examples/01_lif.snn"])?.expect(0)?;
    snnc(&["check", "no-such-file.snn"])?.fails_with("E0901")?;
    snnc(&[])?.expect(2)?;
    snnc(&["run"])?.expect(2)?;
    snnc(&["run", "x.snn", "--resume"])?.expect(2)?;
    snnc(&["check", "examples/01_lif.snn", "-p", "tau"])?.fails_with("E0206")?;
    snnc(&["emit", "--stage", "nothing", "x.snn"])?.expect(2)?;
    Ok(())
}

fn hostile_files() -> Result<(), String> {
    let folder = Folder::new()?;
    let empty = folder.file("empty.snn", "")?;
    snnc(&["check", &empty])?.expect(0)?;
    snnc(&["run", &empty])?.fails_with("E0912")?;
    snnc(&["check", &folder.file("latin.snn", b"param a = 1 // caf\xe9\n")?])?.fails_with("E0902")?;
    snnc(&["check", &folder.file("line.snn", "a".repeat(10 << 20))?])?.expect(1)?;
    snnc(&["check", &folder.file("sum.snn", format!("param a = 1{}", " + 1".repeat(2 << 20)))?])?
        .expect(1)?;
    snnc(&["check", &folder.file("large.snn", "// comment\n".repeat((17 << 20) / 11))?])?
        .fails_with("E0107")?;
    let nested = format!("param a = {}1{}\n", "(".repeat(10_000), ")".repeat(10_000));
    snnc(&["check", &folder.file("nested.snn", nested)?])?.fails_with("E0105")?;
    snnc(&["check", &folder.file("zeros.snn", [0u8; 4096])?])?.expect(1)?;
    snnc(&["check", &folder.path("")])?.fails_with("E0901")?;
    Ok(())
}

fn messages_have_places() -> Result<(), String> {
    let folder = Folder::new()?;
    let file =
        folder.file("units.snn", "simulate one(Lif(tau = 20 mV), i = 0.1) for 10 ms { report rate }\n")?;
    let ran = snnc(&["check", &file, "--json"])?.expect(1)?;
    let error = &ran.json()?["error"][0];
    ensure(error["code"] == "E0401", || ran.out.clone())?;
    ensure(error["file"] == file.as_str() && error["line"] == 1, || ran.out.clone())?;
    ensure(error["column"].as_u64().is_some_and(|c| c > 1), || ran.out.clone())?;
    let plain = snnc(&["check", &file])?.expect(1)?;
    ensure(!plain.err.contains('\u{1b}'), || "colours in a pipe".to_string())
}

fn overrides() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let hir = |size: &str| snnc(&["emit", "--stage", "hir", &file, "-p", size]);
    let ran = hir("hidden=17")?.expect(0)?;
    ensure(ran.out.contains("population h[17]"), || ran.out.clone())?;
    hir("hiden=17")?.fails_with("E0206")?;
    hir("hidden=(")?.expect(1)?;
    snnc(&["run", &file, "--data", "nothing=x"])?.fails_with("E0910")?;
    let ran = snnc(&["run", &file, "--epochs", "1", "--data", "split=0.5", "--json"])?.expect(0)?;
    ensure(ran.json()?["jobs"][0]["metrics"]["epochs"] == 1.0, || ran.out.clone())
}

fn data_and_model() -> Result<(), String> {
    let folder = Folder::new()?;
    let wrong = folder.file("input.snn", small("").replace("input x: [64]", "input x: [65]"))?;
    snnc(&["run", &wrong])?.fails_with("E0504")?;
    let wrong = folder.file("output.snn", small("").replace("Integrator[10]", "Integrator[5]"))?;
    snnc(&["run", &wrong])?.fails_with("E0506")?;
    snnc(&["run", "examples/idx.snn"])?.fails_with("E0901")?;
    let empty = "data digits = std.data.digits(split = 1)\nmodel M {\n    input x: [64]\n    let h = Lif[4]\n    \
         x -> h : dense(init = lsuv(x))\n    output h\n}\nsimulate M on digits.test { steps 4   report rate(h) }\n";
    snnc(&["run", &folder.file("empty.snn", empty)?])?.fails_with("E0903")?;
    Ok(())
}

/// An IDX file of unsigned bytes.
fn idx(axes: &[u32], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, axes.len() as u8];
    axes.iter().for_each(|axis| bytes.extend(axis.to_be_bytes()));
    bytes.extend(values);
    bytes
}

fn idx_files() -> Result<(), String> {
    let folder = Folder::new()?;
    let pixels: Vec<u8> = (0..60 * 16).map(|at: u32| (at * 37 % 251) as u8).collect();
    let labels: Vec<u8> = (0..60).map(|at: u8| at % 3).collect();
    let images = folder.file("images", idx(&[60, 4, 4], &pixels))?;
    let good = folder.file("labels", idx(&[60], &labels))?;
    let run = |images: &str, labels: &str| {
        let (images, labels) = (format!("images={images}"), format!("images.labels={labels}"));
        let args =
            ["run", "examples/idx.snn", "--epochs", "1", "-p", "pixels=16", "-p", "classes=3", "--data"];
        snnc(&[&args[..], &[images.as_str(), "--data", labels.as_str()][..]].concat())
    };
    run(&images, &good)?.expect(0)?;
    let cut = folder.file("cut", &idx(&[60, 4, 4], &pixels)[..500])?;
    run(&cut, &good)?.fails_with("E0902")?;
    let few = folder.file("few", idx(&[50], &labels[..50]))?;
    run(&images, &few)?.expect(1)?;
    let swapped = run(&good, &images)?.expect(1)?;
    ensure(!swapped.err.contains("internal error"), || swapped.err.clone())
}

/// Weights of the training of `Net` are the same with one thread, with three, and resumed after two epochs.
pub fn one_training(text: &str, options: &[&str]) -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", text)?;
    let run = |out: &str, more: &[&str]| {
        let out = folder.path(out);
        snnc(&[&["train", &file, "--out", &out, "--quiet"], options, more].concat())?.expect(0)?;
        read(&Path::new(&out).join("Net.safetensors"))
    };
    let one = run("one", &["--threads", "1"])?;
    ensure(one == run("three", &["--threads", "3"])?, || "three threads give other weights".to_string())?;
    run("parts", &["--epochs", "2"])?;
    ensure(one == run("parts", &["--resume"])?, || "a resumed training gives other weights".to_string())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn threads_change_nothing() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let weights = |threads: &str| {
        let out = folder.path(threads);
        snnc(&["train", &file, "--threads", threads, "--out", &out, "--quiet"])?.expect(0)?;
        read(&Path::new(&out).join("Net.safetensors"))
    };
    let (one, two, three) = (weights("1")?, weights("2")?, weights("3")?);
    ensure(one == two && one == three, || "weights differ".to_string())
}

fn killed_training_goes_on() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small("").replace("epochs 3", "epochs 40"))?;
    let (whole, parts) = (folder.path("whole"), folder.path("parts"));
    let in_one_go = snnc(&["train", &file, "--out", &whole, "--json"])?.expect(0)?.json()?;
    let checkpoint = Path::new(&parts).join("Net.safetensors");
    for _ in 0..2 {
        let before = std::fs::read(&checkpoint).ok();
        let mut command = command(&["train", &file, "--out", &parts, "--resume", "--quiet"])?;
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        // Killed when the checkpoint changes: in the middle of the next epoch, whenever that is.
        while std::fs::read(&checkpoint).ok() == before && child.try_wait().ok().flatten().is_none() {
            std::thread::yield_now();
        }
        let _ = child.kill();
        child.wait().map_err(|error| error.to_string())?;
    }
    let resumed = snnc(&["train", &file, "--out", &parts, "--resume", "--json"])?.expect(0)?.json()?;
    let epochs = |report: &serde_json::Value| report["jobs"][0]["epochs"].clone();
    ensure(epochs(&resumed) == epochs(&in_one_go) && epochs(&resumed)[39]["epoch"] == 40, || {
        resumed.to_string()
    })?;
    let (whole, parts) = (read(&Path::new(&whole).join("Net.safetensors"))?, read(&checkpoint)?);
    ensure(whole == parts, || "the weights are not those of a training in one go".to_string())
}

fn other_checkpoints() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let out = folder.path("out");
    snnc(&["train", &file, "--out", &out, "--epochs", "1"])?.expect(0)?;
    snnc(&["train", &file, "--out", &out, "--resume", "-p", "hidden=13"])?.fails_with("E0905")?;
    snnc(&["train", &file, "--out", &out, "--resume", "--seed", "9"])?.fails_with("E0905")?;
    folder.file("out/Net.safetensors", b"not a checkpoint")?;
    snnc(&["train", &file, "--out", &out, "--resume"])?.expect(1)?;
    Ok(())
}

/// Files may not grow: writing fails as on a full disk.
fn full_disk() -> Result<(), String> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let script = format!(
        "ulimit -f 1; exec '{}' train '{file}' --epochs 1 --out '{}'",
        this.display(),
        folder.path("out")
    );
    let output = Command::new("sh").args(["-c", &script]).env(AS_PROGRAM, "1").output();
    let ran = output.map(Ran::of).map_err(|error| error.to_string())?.fails_with("E0906")?;
    let left = files(&PathBuf::from(folder.path("out")), "tmp");
    ensure(left.is_empty(), || format!("{left:?} stayed; {}", ran.err))
}

fn interruption() -> Result<(), String> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small("").replace("epochs 3", "epochs 100000"))?;
    let out = folder.path("out");
    let mut command = command(&["train", &file, "--out", &out, "--json"])?;
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let checkpoint = Path::new(&out).join("Net.safetensors");
    while !checkpoint.exists() {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("the training ended: {status}"));
        }
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    killed.map_err(|error| error.to_string())?;
    let ran =
        child.wait_with_output().map(Ran::of).map_err(|error| error.to_string())?.fails_with("E0913")?;
    let document = ran.json()?;
    ensure(document["error"][0]["code"] == "E0913", || ran.out.clone())?;
    snnc(&["eval", &file, "--out", &out])?.expect(0)?;
    Ok(())
}

fn divergence() -> Result<(), String> {
    let folder = Folder::new()?;
    let exploding = small("").replace("let h = Lif[hidden](tau = 10 ms)", "let h = Grower[hidden]");
    let neuron = "neuron Grower {\n    input i\n    state v = 1\n    step {\n        v = exp(exp(v + abs(i)))\n        \
                  fire v >= 1 with atan\n    }\n    emit fired\n}\n";
    let file = folder.file("net.snn", format!("{neuron}{exploding}"))?;
    let ran = snnc(&["train", &file])?.fails_with("E0907")?;
    ensure(ran.err.contains("h.v") && ran.err.contains("step"), || ran.err.clone())
}

/// An initializer that measures activity where there is none.
fn first_values_are_finite() -> Result<(), String> {
    let folder = Folder::new()?;
    let text = "neuron Deaf { input i   emit 0 * i }
        init by_mean(x) { sample normal(0, 1 / mean(x, over = all)) }
        model Silent {
            input x: [64]
            let h = Deaf[5]
            let y = Integrator[10]
            x -> h : dense
            h -> y : dense(init = by_mean(h))
            output y.v
        }
        data digits = std.data.digits(split = 0.8)
        train Silent on digits { steps 2   epochs 1   loss cross_entropy(mean(y.v)) }";
    let file = folder.file("silent.snn", text)?;
    let ran = snnc(&["train", &file])?.fails_with("E0907")?;
    ensure(ran.err.contains("h->y.weight") && ran.err.contains("by_mean"), || ran.err.clone())
}

fn evaluation_needs_weights() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    snnc(&["eval", &file])?.fails_with("E0912")?;
    let out = folder.path("out");
    let trained = snnc(&["run", &file, "--out", &out, "--json"])?.expect(0)?.json()?;
    let evaluated = snnc(&["eval", &file, "--json", "--out", &out])?.expect(0)?.json()?;
    let (before, after) = (&trained["jobs"][1]["metrics"], &evaluated["jobs"][0]["metrics"]);
    ensure(before == after, || format!("{before} and {after}"))?;
    snnc(&["eval", &file, "--out", &folder.path("none")])?.fails_with("E0901")?;
    Ok(())
}

fn records() -> Result<(), String> {
    let folder = Folder::new()?;
    let out = folder.path("out");
    let text = "simulate one(If, i = 0.3) for 8 steps { dt 1 ms   record v, spikes }\n";
    let file = folder.file("one.snn", text)?;
    let without = snnc(&["run", &file])?.expect(0)?;
    ensure(without.err.contains("W0901"), || without.err.clone())?;
    let ran = snnc(&["run", &file, "--out", &out, "--json"])?.expect(0)?;
    let bytes = read(&Path::new(&out).join("one.npz"))?;
    ensure(bytes.starts_with(b"PK"), || "not an archive".to_string())?;
    ensure(ran.json()?["jobs"][0]["metrics"]["spikes.one"] == 2.0, || ran.out.clone())
}

fn failing_tests() -> Result<(), String> {
    let folder = Folder::new()?;
    let text = "test \"wrong\" {\n    simulate one(If, i = 0.3) for 8 steps { dt 1 ms }\n    \
                expect spikes == [3, 7]\n}\n";
    let file = folder.file("wrong.snn", text)?;
    let ran = snnc(&["test", &file, "--json"])?.fails_with("E0911")?;
    ensure(ran.json()?["jobs"][0]["metrics"]["failed"] == 1.0, || ran.out.clone())?;
    let right = folder.file("right.snn", text.replace('7', "6"))?;
    let ran = snnc(&["test", &right])?.expect(0)?;
    ensure(ran.out.contains("failed 0"), || ran.out.clone())
}

fn gradcheck() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let ran = snnc(&["gradcheck", &file, "--json"])?.expect(0)?;
    let metrics = &ran.json()?["jobs"][0]["metrics"];
    ensure(metrics["f64.x->h.weight"].is_number() && metrics["transpose"].is_number(), || ran.out.clone())?;
    let bell = small("").replace("tau = 10 ms", "tau = 10 ms, grad = bell");
    let bell = format!("surrogate bell {{ derivative(x) = exp(-x^2) }}\n{bell}");
    snnc(&["gradcheck", &folder.file("bell.snn", bell)?])?.fails_with("E0806")?;
    Ok(())
}

fn bench() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let report = snnc(&["bench", &file, "--json", "--threads", "1"])?.expect(0)?.json()?;
    let metrics = &report["jobs"][0]["metrics"];
    for name in ["train.cpu_min_ms", "train.backward_ms", "train.memory_mb", "infer.wall_med_ms"] {
        ensure(metrics[name].as_f64().is_some_and(|ms| ms > 0.0), || format!("no {name} in {report}"))?;
    }
    snnc(&["bench", "examples/01_lif.snn"])?.fails_with("E0912")?;
    Ok(())
}

fn stages() -> Result<(), String> {
    let folder = Folder::new()?;
    let dump = folder.path("dump");
    for stage in ["ast", "hir", "step", "net", "adjoint", "loops", "clif", "asm"] {
        let args = ["emit", "--stage", stage, "examples/01_lif.snn"];
        let (one, two) = (snnc(&args)?.expect(0)?, snnc(&args)?.expect(0)?);
        ensure(one.out == two.out && !one.out.is_empty(), || format!("stage {stage} differs"))?;
    }
    snnc(&["emit", "--all", "--dump", &dump, "examples/digits.snn"])?.expect(0)?;
    let files = files(Path::new(&dump), "txt");
    ensure(files.len() == 8, || format!("{files:?}"))?;
    let memory = snnc(&["check", "--memory", "examples/digits.snn"])?.expect(0)?;
    ensure(memory.out.contains("shards of"), || memory.out.clone())
}

fn fmt() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("a.snn", "param   a=1 // one\n")?;
    snnc(&["fmt", "--check", &file])?.expect(1)?;
    snnc(&["fmt", &file])?.expect(0)?;
    let text = String::from_utf8(read(Path::new(&file))?).map_err(|error| error.to_string())?;
    ensure(text == "param a = 1 // one\n", || text.clone())?;
    snnc(&["fmt", "--check", &file])?.expect(0)?;
    let broken = folder.file("b.snn", "param = \n")?;
    snnc(&["fmt", &broken])?.expect(1)?;
    ensure(read(Path::new(&broken))? == b"param = \n", || "a broken file was changed".to_string())?;
    let mut command = command(&["fmt", "-"])?;
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(|error| error.to_string())?;
    let input = child.stdin.take();
    input.ok_or("no input")?.write_all(b"param   b=2").map_err(|error| error.to_string())?;
    let ran = child.wait_with_output().map(Ran::of).map_err(|error| error.to_string())?.expect(0)?;
    ensure(ran.out == "param b = 2\n", || ran.out.clone())
}

fn explain() -> Result<(), String> {
    let ran = snnc(&["explain", "e0401"])?.expect(0)?;
    ensure(ran.out.contains("E0401") && ran.out.contains("Wrong:"), || ran.out.clone())?;
    snnc(&["explain", "E9999"])?.expect(1)?;
    let ran = snnc(&["explain", "examples/digits.snn"])?.expect(0)?;
    ensure(ran.out.contains("fires where v >= 1"), || ran.out.clone())?;
    snnc(&["explain", "no-such-file.snn"])?.fails_with("E0901")?;
    Ok(())
}

fn new_project() -> Result<(), String> {
    let folder = Folder::new()?;
    let project = folder.path("mine");
    snnc(&["new", &project])?.expect(0)?;
    snnc(&["new", &project])?.expect(1)?;
    let file = folder.path("mine/model.snn");
    snnc(&["check", &file])?.expect(0)?;
    snnc(&["fmt", "--check", &file])?.expect(0)?;
    snnc(&["run", &file, "--epochs", "1", "--quiet"])?.expect(0)?;
    Ok(())
}

fn broken_pipe() -> Result<(), String> {
    let mut command = command(&["emit", "--all", "examples/digits.snn"])?;
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    drop(child.stdout.take());
    let ran = child.wait_with_output().map(Ran::of).map_err(|error| error.to_string())?;
    ensure(!ran.err.contains("internal error"), || ran.err.clone())
}
