//! Growth of a trained layer: what its optimizer keeps of each weight and what it begins anew; symmetry of copies, which is kept or broken
//! (SPARKLING, 2026). First values of the weights themselves are in `checkpoints`.

use crate::cli::{Folder, ensure, plain, snnc};
use libtest_mimic::Trial;
use snn_runtime::train::tensors::File;
use std::path::Path;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("growth: states are kept at their places, others are 0", kept),
        plain("growth: a state starts with what its initializer says of each tensor", own),
        plain("growth: copies with copied states stay copies, with states of their own they part", symmetry),
        plain("growth: what a file does not have is said", missing),
    ]
}

/// A network with `hidden` spiking neurons in the folder `out`; `first` are first values of its weights.
fn net(name: &str, hidden: usize, first: &str, epochs: usize, optimizer: &str) -> String {
    format!(
        "model {name} {{\n    input x: [64]\n    let h = Lif[{hidden}](tau = 10 ms)\n    let y = Integrator[10]\n    \
         x -> h : dense(init = {first}, bias = {first})\n    h -> y : dense(init = {first})\n    output y.v\n}}\n\
         simulate {name} on digits.test {{ steps 6   report mean(y.v^2), rate(h) }}\n\
         train {name} on digits {{ steps 6   batch 32   epochs {epochs}   optimizer {optimizer} }}\n\
         simulate {name} on digits.test {{ report mean(y.v^2), rate(h) }}\n"
    )
}

/// What the programs begin with.
const FILE: &str =
    "param before = file(\"out/Narrow.safetensors\")\ndata digits = std.data.digits(split = 0.8)\n";

fn narrow(optimizer: &str) -> String {
    net("Narrow", 16, "torch_linear", 2, optimizer)
}

/// Runs a program; its reports in order.
fn run(folder: &Folder, text: &str) -> Result<Vec<f64>, String> {
    let file = folder.file("net.snn", format!("{FILE}{text}"))?;
    let out = folder.path("out");
    let ran = snnc(&["run", &file, "--out", &out, "--strict", "--json"])?.expect(0)?;
    let jobs = ran.json()?["jobs"].clone();
    let simulations = jobs.as_array().ok_or("no jobs")?.iter().filter(|job| job["job"] == "simulate");
    let reports = simulations.flat_map(|job| {
        let of = |name: &str| job["metrics"][name].as_f64().unwrap_or(f64::NAN);
        [of("mean(y.v^2)"), of("rate(h)")]
    });
    Ok(reports.collect())
}

fn tensor(folder: &Folder, model: &str, name: &str) -> Result<(Vec<usize>, Vec<f32>), String> {
    let path = Path::new(&folder.path("out")).join(format!("{model}.safetensors"));
    File::read(&path).and_then(|file| file.tensor(name)).map_err(|error| error.to_string())
}

/// A rule that leaves its state as it starts.
const STILL: &str =
    "optimizer still(start = zeros) {\n    state m = start\n    update { w = w + 0 * g }\n}\n";

fn kept() -> Result<(), String> {
    let folder = Folder::new()?;
    run(&folder, &narrow("sgd(lr = 0.1, momentum = 0.9)"))?;
    let wide = net("Wide", 24, "widen(before)", 1, "still(start = kept(before))");
    run(&folder, &format!("{STILL}{wide}"))?;
    for (name, old, new) in [("x->h.weight", [16, 64], [24, 64]), ("h->y.weight", [10, 16], [10, 24])] {
        let state = format!("{name}/m");
        let (of, ours) = (tensor(&folder, "Narrow", &state)?, tensor(&folder, "Wide", &state)?);
        ensure(of.0 == old && ours.0 == new, || format!("{:?} of {:?}", ours.0, of.0))?;
        let expected = |k: usize| match (k / new[1], k % new[1]) {
            (i, j) if i < old[0] && j < old[1] => of.1[i * old[1] + j],
            _ => 0.0,
        };
        let right = ours.1.iter().enumerate().all(|(k, m)| *m == expected(k));
        ensure(right && of.1.iter().any(|m| *m != 0.0), || format!("{state}: {:?} of {:?}", ours.1, of.1))?;
    }
    let (of, ours) = (tensor(&folder, "Narrow", "x->h.bias/m")?.1, tensor(&folder, "Wide", "x->h.bias/m")?.1);
    ensure(ours[..16] == of[..] && ours[16..].iter().all(|m| *m == 0.0), || format!("{ours:?} of {of:?}"))
}

/// Sizes of each tensor, and random numbers of its own.
fn own() -> Result<(), String> {
    let folder = Folder::new()?;
    let rule = "optimizer mine {\n    state share = 1 / fan_in, noise = normal(3, 1), same = 2 + 1\n    update { w = w + 0 * g }\n}\n";
    run(&folder, &format!("{rule}{}", net("Narrow", 16, "torch_linear", 1, "mine")))?;
    let of = |name: &str| tensor(&folder, "Narrow", name).map(|(_, values)| values);
    ensure(of("x->h.weight/share")?.iter().all(|v| *v == 1.0 / 64.0), || "1 / 64".into())?;
    ensure(of("h->y.weight/share")?.iter().all(|v| *v == 1.0 / 16.0), || "1 / 16".into())?;
    ensure(of("h->y.weight/same")?.iter().all(|v| *v == 3.0), || "3".into())?;
    let (a, b) = (of("x->h.weight/noise")?, of("h->y.weight/noise")?);
    let mean = a.iter().sum::<f32>() / a.len() as f32;
    ensure((mean - 3.0).abs() < 0.15 && a[..10] != b[..10], || format!("mean {mean}"))?;
    run(&folder, &format!("{rule}{}", net("Narrow", 16, "torch_linear", 1, "mine")))?;
    ensure(of("x->h.weight/noise")? == a, || "other numbers in another run".into())
}

/// Cosine of the weights of neurons 16 … 31 of `h` and of the neurons that they are copies of.
fn likeness(folder: &Folder, model: &str) -> Result<[f64; 2], String> {
    let (onto, from) = (tensor(folder, model, "x->h.weight")?.1, tensor(folder, model, "h->y.weight")?.1);
    let (old, new): (Vec<f32>, Vec<f32>) =
        from.chunks(32).flat_map(|row| row[..16].iter().copied().zip(row[16..].iter().copied())).unzip();
    Ok([cosine(&onto[..16 * 64], &onto[16 * 64..]), cosine(&old, &new)])
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

/// Twice as many neurons in the middle of a training, then 180 updates.
fn symmetry() -> Result<(), String> {
    let folder = Folder::new()?;
    let adam = |more: &str| format!("adam_aged(lr = 2e-3{more})");
    let before = run(&folder, &narrow(&adam("")))?;
    let wide = |start: &str, epochs: usize| {
        let reports = run(&folder, &net("Wide", 32, "widen(before)", epochs, &adam(start)))?;
        Ok::<_, String>((reports, likeness(&folder, "Wide")?))
    };
    let (locked, likeness) = wide(", start = widen(before, c = 1)", 4)?;
    ensure(likeness.iter().all(|cos| *cos > 0.999_999), || format!("copied states: {likeness:?}"))?;
    // The expansion itself changes nothing: root mean squares of the outputs, and rates.
    let jump = (locked[0] / before[2]).sqrt() - 1.0;
    let rates = (before[3], locked[1]);
    ensure(jump.abs() < 1e-4 && rates.0 == rates.1, || format!("jump of {jump}, rates {rates:?}"))?;
    for more in ["", ", warmup = 45"] {
        let (_, likeness) = wide(&format!("{more}, start = kept(before)"), 4)?;
        ensure(likeness.iter().all(|cos| *cos < 0.99), || format!("kept states{more}: {likeness:?}"))?;
    }
    // Without states of the past all coordinates are new, and copies stay copies.
    let (_, likeness) = wide("", 2)?;
    ensure(likeness.iter().all(|cos| *cos > 0.999_999), || format!("no states: {likeness:?}"))
}

fn missing() -> Result<(), String> {
    let folder = Folder::new()?;
    let fails = |text: String, code: &str, words: &[&str]| {
        let file = folder.file("bad.snn", format!("{FILE}{text}"))?;
        let ran = snnc(&["run", &file, "--out", &folder.path("bad")])?.fails_with(code)?;
        let missing = words.iter().find(|word| !ran.err.contains(**word));
        ensure(missing.is_none(), || format!("no {missing:?} in:\n{}", ran.err))
    };
    let wide = |start: &str| net("Wide", 24, "torch_linear", 1, &format!("adam_aged(start = {start})"));
    fails(wide("kept(before)"), "E0901", &["Narrow.safetensors", "x->h.weight/m"])?;
    run(&folder, &narrow("adam(lr = 1e-3)"))?;
    fails(wide("kept(before)"), "E0905", &["no tensor `x->h.weight/age`", "it has", "`x->h.weight/m`"])?;
    run(&folder, &narrow("adam_aged(lr = 1e-3)"))?;
    fails(wide("copied(before)"), "E0905", &["`x->h.weight/m`", "[16, 64]", "element [16, 0]", "kept"])
}
