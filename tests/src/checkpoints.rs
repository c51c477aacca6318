//! Initializers that read what another model has learned: the teacher is trained here, in a process of its own, and so is what grows of it.

use crate::cli::{Folder, ensure, plain, snnc};
use crate::corpus::root;
use libtest_mimic::Trial;
use serde_json::Value;
use snn_runtime::train::tensors::File;
use std::path::Path;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("checkpoints: weight selection takes every second neuron of a trained layer", selection),
        plain("checkpoints: a training before it in the same program may write the file", one_program),
        plain("checkpoints: channels of convolutions and time constants are selected", channels),
        plain("checkpoints: a layer that grows by copies computes the same", growth),
        plain("checkpoints: an adapter changes nothing before it is trained", adapter),
        plain("checkpoints: copies of a shared block are equal until they are trained", learngene),
        plain("checkpoints: what does not fit is said with its name and size", misfits),
    ]
}

/// A model with `hidden` spiking neurons, whose weights start as said.
fn net(name: &str, hidden: usize, first: &str, second: &str, rate: &str) -> String {
    format!(
        "param teacher = file(\"out/Teacher.safetensors\")\n\
         model {name} {{\n    input x: [64]\n    let h = Lif[{hidden}](tau = 10 ms)\n    let y = Integrator[10]\n    \
         x -> h : dense(init = {first})\n    h -> y : dense(init = {second})\n    output y.v\n}}\n\
         data digits = std.data.digits(split = 0.8)\n\
         train {name} on digits {{ steps 6   batch 32   epochs 1   optimizer sgd(lr = {rate}) }}\n\
         evaluate {name} on digits.test {{ metric accuracy }}\n"
    )
}

/// Runs a program with its output in the folder `out`; its metrics.
fn run(folder: &Folder, name: &str, text: String) -> Result<Value, String> {
    let file = folder.file(&format!("{name}.snn"), text)?;
    let out = folder.path("out");
    let ran = snnc(&["run", &file, "--out", &out, "--strict", "--json"])?.expect(0)?;
    Ok(ran.json()?["jobs"][1]["metrics"].clone())
}

fn teach(folder: &Folder) -> Result<Value, String> {
    let text = net("Teacher", 12, "kaiming_normal", "kaiming_normal", "0.1");
    run(folder, "teacher", text.replace("param teacher = file(\"out/Teacher.safetensors\")\n", ""))
}

fn tensor(folder: &Folder, model: &str, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    let path = Path::new(&folder.path("out")).join(format!("{model}.safetensors"));
    File::read(&path).and_then(|file| file.tensor(name)).map_err(|error| error.to_string())
}

fn selection() -> Result<(), String> {
    let folder = Folder::new()?;
    teach(&folder)?;
    run(
        &folder,
        "student",
        net("Student", 6, "weight_selection(teacher)", "weight_selection(from = teacher)", "0"),
    )?;
    let (of, ours) = (tensor(&folder, "Teacher", "x->h.weight")?, tensor(&folder, "Student", "x->h.weight")?);
    ensure(of.0 == [12, 64] && ours.0 == [6, 64], || format!("{:?} of {:?}", ours.0, of.0))?;
    let rows = (0..6).all(|i| ours.1[i * 64..(i + 1) * 64] == of.1[2 * i * 64..(2 * i + 1) * 64]);
    ensure(rows, || "rows are not those of neurons 0, 2, 4, …".to_string())?;
    let (of, ours) = (tensor(&folder, "Teacher", "h->y.weight")?, tensor(&folder, "Student", "h->y.weight")?);
    ensure(of.0 == [10, 12] && ours.0 == [10, 6], || format!("{:?} of {:?}", ours.0, of.0))?;
    let columns = (0..60).all(|k| ours.1[k] == of.1[k / 6 * 12 + k % 6 * 2]);
    ensure(columns && of.1.iter().any(|w| *w != 0.0), || "columns are not those of 0, 2, 4, …".to_string())
}

fn one_program() -> Result<(), String> {
    let folder = Folder::new()?;
    let teacher = net("Teacher", 12, "kaiming_normal", "kaiming_normal", "0.1");
    let student = net("Student", 6, "weight_selection(teacher)", "weight_selection(teacher)", "0");
    let own = |line: &&str| !line.starts_with("param ") && !line.starts_with("data ");
    let student: Vec<&str> = student.lines().filter(own).collect();
    run(&folder, "both", format!("{teacher}{}\n", student.join("\n")))?;
    let (of, ours) = (tensor(&folder, "Teacher", "x->h.weight")?, tensor(&folder, "Student", "x->h.weight")?);
    ensure(ours.1[64..128] == of.1[128..192], || "the second row is not the third of the teacher".to_string())
}

/// Element [i, j] of `conv` is 100 i + j, for two channels of four taps: channels 0 and 2 stay, of the senders the first. `count8` counts from 0.
fn channels() -> Result<(), String> {
    let folder = Folder::new()?;
    let counted = root().join("tests/suite/inits/counted.safetensors").display().to_string();
    let text = format!(
        "param counted = file({counted:?})\n\
         neuron Slow {{\n    input i\n    learn tau: neuron = weight_selection(counted[\"count8\"]) * 1 ms + 5 ms\n    \
         state v = 0\n    step {{ v = exp(-dt / tau) * v + i   fire v >= 1 with atan }}\n    emit fired\n}}\n\
         model Image {{\n    input x: [1, 8, 8]\n    let c = Lif[2, 7, 7]\n    let h = Slow[4]\n    let y = Integrator[10]\n    \
         x -> c : conv(kernel = 2, init = weight_selection(counted[\"conv\"]))\n    c -> h : dense\n    \
         h -> y : dense\n    output y.v\n}}\n\
         data digits = std.data.digits(split = 0.8)\n\
         train Image on digits {{ steps 2   batch 64   epochs 1   optimizer sgd(lr = 0) }}\n\
         evaluate Image on digits.test {{ metric accuracy }}\n"
    );
    run(&folder, "image", text)?;
    let (shape, kernel) = tensor(&folder, "Image", "x->c.weight")?;
    let expected = [0.0, 1.0, 2.0, 3.0, 200.0, 201.0, 202.0, 203.0];
    ensure(shape == [2, 4] && kernel == expected, || format!("{shape:?}: {kernel:?}"))?;
    let (_, tau) = tensor(&folder, "Image", "h.tau")?;
    let near = tau.iter().zip([5e-3, 7e-3, 9e-3, 11e-3]).all(|(tau, expected)| (tau - expected).abs() < 1e-8);
    ensure(tau.len() == 4 && near, || format!("{tau:?}"))
}

/// Twice as many neurons, each of them twice, with half of the weights that leave them.
fn growth() -> Result<(), String> {
    let folder = Folder::new()?;
    let before = teach(&folder)?;
    let after = run(&folder, "wide", net("Wide", 24, "widen(teacher)", "widen(teacher)", "0"))?;
    let number = |value: &Value| value["loss"].as_f64().ok_or_else(|| value.to_string());
    let (a, b) = (number(&before)?, number(&after)?);
    ensure((a - b).abs() <= 1e-4 * a && before["accuracy"] == after["accuracy"], || {
        format!("{before} and {after}")
    })?;
    let measured = net("Measured", 24, "widen(teacher)", "widen_measured(teacher, x = h)", "0");
    let measured = number(&run(&folder, "measured", measured)?)?;
    ensure((a - measured).abs() <= 1e-4 * a, || format!("{a} and measured {measured}"))?;
    // As many new weights as old ones, and these are as large, before the share.
    run(&folder, "random", net("Random", 24, "widen_random(teacher)", "widen_random(teacher)", "0"))?;
    let (old, new) = (tensor(&folder, "Teacher", "h->y.weight")?, tensor(&folder, "Random", "h->y.weight")?);
    let rms = |w: &[f32]| (w.iter().map(|w| w * w).sum::<f32>() / w.len() as f32).sqrt();
    let ratio = rms(&new.1) / rms(&old.1) * 2f32.sqrt();
    ensure((ratio - 1.0).abs() < 0.15, || format!("root mean squares have the ratio {ratio}"))
}

fn adapter() -> Result<(), String> {
    let folder = Folder::new()?;
    let before = teach(&folder)?;
    let zero = ["", ", a = zeros, b = lecun_normal"];
    for (k, which) in zero.iter().enumerate() {
        let text = net(&format!("Adapted{k}"), 12, "", "copied(teacher)", "0").replace(
            "    x -> h : dense(init = )\n",
            &format!(
                "    let c = Lora(12, base = copied(teacher[\"x->h.weight\"]){which})\n    x -> c\n    c -> h : one_to_one\n"
            ),
        );
        let after = run(&folder, "adapted", text)?;
        ensure(before["loss"] == after["loss"] && before["accuracy"] == after["accuracy"], || {
            format!("{before} and with an adapter {after}")
        })?;
    }
    Ok(())
}

/// Two layers that share their weights, and two that start with them.
fn learngene() -> Result<(), String> {
    let folder = Folder::new()?;
    let model = |name: &str, weights: &str, first: &str, second: &str, rate: &str| {
        net(name, 12, "kaiming_normal", "kaiming_normal", rate)
            .replace("    h -> y", "    a -> y")
            .replace(
                "    let y =",
                &format!("    {weights}\n    let b = Lif[12]\n    let a = Lif[12]\n    b.i = {first} * h\n    a.i = {second} * b\n    let y ="),
            )
    };
    let shared = model("Teacher", "learn w1: [12, 12] = kaiming_normal", "w1", "w1", "0.1");
    run(&folder, "shared", shared.replace("param teacher = file(\"out/Teacher.safetensors\")\n", ""))?;
    let first = "let s = 1\n    learn u: [12, 12] = copied(teacher[\"w{s}\"])\n    learn v: [12, 12] = copied(teacher[\"w1\"])";
    for rate in ["0", "0.1"] {
        run(&folder, "descendant", model("Descendant", first, "u", "v", rate))?;
        let of = |model: &str, name: &str| tensor(&folder, model, name).map(|(_, values)| values);
        let (w, u, v) = (of("Teacher", "w1")?, of("Descendant", "u")?, of("Descendant", "v")?);
        let equal = u == w && v == w;
        ensure(equal == (rate == "0") && (rate == "0" || u != v), || format!("rate {rate}: equal {equal}"))?;
    }
    Ok(())
}

fn misfits() -> Result<(), String> {
    let folder = Folder::new()?;
    let fails = |first: &str, hidden: usize, code: &str, words: &[&str]| {
        let file = folder.file("bad.snn", net("Bad", hidden, first, "kaiming_normal", "0"))?;
        let ran = snnc(&["run", &file])?.fails_with(code)?;
        let missing = words.iter().find(|word| !ran.err.contains(**word));
        ensure(missing.is_none(), || format!("no {missing:?} in:\n{}", ran.err))
    };
    fails("copied(teacher)", 12, "E0901", &["Teacher.safetensors", "x->h.weight"])?;
    teach(&folder)?;
    fails("copied(teacher[\"h.weight\"])", 12, "E0905", &["no tensor `h.weight`", "it has `h->y.weight`"])?;
    fails("weight_selection(teacher)", 20, "E0905", &["[12, 64]", "element [12, 0]", "widen"])?;
    let bias = "kaiming_normal, bias = copied(teacher[\"x->h.weight\"])";
    fails(bias, 12, "E0905", &["has 2 axes, and one with 1 axis is wanted"])?;
    fails("weight_selection_random(teacher)", 20, "E0712", &["the tensor is smaller", "widen"])?;
    // A layer that the teacher does not have begins otherwise, with a warning; weights of the others are the teacher's.
    let first = "or_else(teacher[\"x->g.weight\"], copied(teacher[\"x->g.weight\"]), constant(0.25))";
    let file =
        folder.file("partly.snn", net("Partly", 12, first, "or_else(teacher, copied(teacher))", "0"))?;
    let ran = snnc(&["run", &file, "--out", &folder.path("out")])?.expect(0)?;
    let warned = ran.err.matches("[W0902]").count() == 1 && ran.err.contains("no tensor `x->g.weight`");
    ensure(warned, || ran.err.clone())?;
    let (_, given) = tensor(&folder, "Partly", "x->h.weight")?;
    ensure(given.iter().all(|w| *w == 0.25), || format!("{given:?}"))?;
    let same = tensor(&folder, "Partly", "h->y.weight")? == tensor(&folder, "Teacher", "h->y.weight")?;
    ensure(same, || "h->y.weight is not the teacher's".to_string())?;
    let bytes = std::fs::read(Path::new(&folder.path("out")).join("Teacher.safetensors"))
        .map_err(|e| e.to_string())?;
    std::fs::write(Path::new(&folder.path("out")).join("Teacher.safetensors"), &bytes[..bytes.len() / 2])
        .map_err(|e| e.to_string())?;
    fails("copied(teacher)", 12, "E0902", &["damaged"])
}
