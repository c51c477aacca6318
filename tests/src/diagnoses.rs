//! `diag` as a process of its own: perturbed trainings against what must come out where nothing is perturbed and against published orders of
//! magnitude.

use crate::cli::{Folder, ensure, plain, small, snnc};
use crate::corpus::root;
use libtest_mimic::Trial;
use serde_json::Value;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("butterfly: early perturbations lead behind a barrier, later ones do not", early_chaos),
        plain("butterfly: without noise the weights are the same", no_noise),
        plain("butterfly: a spiking network", spiking),
        plain("butterfly: noise has the size that was asked for, where it was asked for", noise),
        plain("butterfly: running statistics are made anew on the line", statistics),
        plain("butterfly: mistakes", butterfly_mistakes),
    ]
}

/// A metric of a report.
fn number(job: &Value, name: &str) -> Result<f64, String> {
    job["metrics"][name].as_f64().ok_or_else(|| format!("{name} is {}", job["metrics"][name]))
}

/// The reports of a question.
fn ask(question: &str, file: &str, args: &[&str]) -> Result<Vec<Value>, String> {
    let answer = snnc(&[&["diag", question, file, "--json"], args].concat())?.expect(0)?.json()?;
    Ok(answer["jobs"].as_array().ok_or("no jobs")?.clone())
}

fn example(name: &str) -> String {
    root().join("examples").join(name).display().to_string()
}

fn early_chaos() -> Result<(), String> {
    let pairs = ask("butterfly", &example("butterfly.snn"), &["--at", "0,25%"])?;
    ensure(pairs.len() == 2 && number(&pairs[1], "at")? == 750.0, || format!("{} pairs", pairs.len()))?;
    let of = |name: &str| Ok::<_, String>((number(&pairs[0], name)?, number(&pairs[1], name)?));
    let (early, late) = of("barrier.loss")?;
    ensure(early > 0.2 && early > 10.0 * late, || format!("barriers {early} and {late}"))?;
    let (early, late) = of("distance")?;
    ensure(early > 1.0 && late < early / 2.0, || format!("distances {early} and {late}"))?;
    let (early, late) = of("barrier.error")?;
    ensure(early > 0.05 && late < 0.01, || format!("barriers of the error {early} and {late}"))
}

/// In the middle of an epoch too, with noise in the data and an optimizer that has a state; whatever the number of threads.
fn no_noise() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let args = ["--at", "0,50,99%", "--scale", "0,1e-2", "--threads"];
    let pairs = ask("butterfly", &file, &[&args[..], &["1"]].concat())?;
    ensure(pairs.len() == 6, || format!("{} pairs", pairs.len()))?;
    for pair in pairs.iter().step_by(2) {
        for name in
            ["perturbation", "changed", "distance", "distance.x->h.weight", "disagreement", "barrier.loss"]
        {
            ensure(number(pair, name)? == 0.0, || format!("{name} in {pair}"))?;
        }
        // All weights of both projections.
        ensure(number(pair, "dropped")? == 64.0 * 12.0 + 12.0 * 10.0, || pair.to_string())?;
        ensure(pair["metrics"]["line.loss.0.00"] == pair["metrics"]["line.loss.0.50"], || pair.to_string())?;
    }
    for pair in pairs.iter().skip(1).step_by(2) {
        ensure(number(pair, "distance")? > 0.0 && number(pair, "dropped")? == 0.0, || pair.to_string())?;
    }
    let metrics = |pairs: &[Value]| pairs.iter().map(|pair| pair["metrics"].clone()).collect::<Vec<_>>();
    let other = ask("butterfly", &file, &[&args[..], &["2"]].concat())?;
    ensure(metrics(&pairs) == metrics(&other), || "numbers depend on threads".to_string())
}

/// Spikes amplify: what happens early is further away at the end than what happens late, and the ends of the line are those of the training.
fn spiking() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let args = ["--at", "0,95%", "--scale", "1e-3", "--epochs", "10"];
    let pairs = ask("butterfly", &file, &[&args[..], &["--on", "test"]].concat())?;
    let (early, late) = (number(&pairs[0], "distance")?, number(&pairs[1], "distance")?);
    ensure(early > 2.0 * late && late > 0.0, || format!("{early} and {late}"))?;
    let run = snnc(&["run", &file, "--epochs", "10", "--json"])?.expect(0)?.json()?;
    let (here, there) =
        (number(&pairs[0], "line.loss.0.00")?, run["jobs"][1]["metrics"]["loss"].as_f64().ok_or("no loss")?);
    ensure((here - there).abs() < 1e-6 * there, || format!("loss {here}, in a run {there}"))?;
    let plain = snnc(&[&["diag", "butterfly", &file][..], &args].concat())?.expect(0)?;
    ensure(plain.out.contains("barrier of the loss") && plain.out.contains("h->y.weight"), || {
        plain.out.clone()
    })?;
    ensure(plain.err.contains("training 2/2  perturbed after"), || plain.err.clone())
}

fn noise() -> Result<(), String> {
    let file = example("butterfly.snn");
    let one = |args: &[&str]| {
        let pairs = ask("butterfly", &file, &[&["--epochs", "2", "--scale", "0.01"], args].concat())?;
        Ok::<Value, String>(pairs[0].clone())
    };
    let all = one(&["--at", "15"])?;
    // Biases start with zeros and are not perturbed; without them the norm of the first values is that of all.
    let weights = 16.0 * 32.0 + 32.0 * 32.0 + 32.0 * 4.0;
    ensure(number(&all, "changed")? == weights, || all.to_string())?;
    ensure((number(&all, "perturbation")? - 0.01).abs() < 1e-5, || all.to_string())?;
    // One update later it is still about as large.
    ensure((number(&all, "distance")? / 0.01 - 1.0).abs() < 0.2, || all.to_string())?;
    let half = one(&["--at", "15", "--fraction", "0.5"])?;
    ensure(number(&half, "changed")? == weights / 2.0, || half.to_string())?;
    let share = number(&half, "perturbation")?.powi(2) / 1e-4;
    ensure((share - 0.5).abs() < 0.05, || half.to_string())?;
    let only = one(&["--at", "15", "--only", "h2->y.weight"])?;
    let except = one(&["--at", "15", "--except", "x->h1.weight,h1->h2.weight"])?;
    ensure(only["metrics"] == except["metrics"] && number(&only, "changed")? == 128.0, || only.to_string())?;
    let (here, there) = (number(&only, "distance.h2->y.weight")?, number(&only, "distance.x->h1.weight")?);
    ensure((here / 0.01 - 1.0).abs() < 0.2 && there < 0.001, || format!("{here} and {there}"))?;
    let other = one(&["--at", "15", "--draw", "1"])?;
    ensure(other["metrics"]["distance"] != all["metrics"]["distance"], || "draws are the same".to_string())?;
    // A noise of a tenth of a unit in the last place changes nearly nothing.
    let tiny = ask("butterfly", &file, &["--epochs", "2", "--at", "0", "--scale", "1e-9"])?;
    let (changed, dropped) = (number(&tiny[0], "changed")?, number(&tiny[0], "dropped")?);
    ensure(dropped > 0.8 * weights && changed + dropped == weights, || {
        format!("{changed}, {dropped} dropped")
    })
}

/// Renewed statistics are nearly those that the training left.
fn statistics() -> Result<(), String> {
    let folder = Folder::new()?;
    let text = small("")
        .replace("let h =", "let b = BatchNorm[hidden]\n    let h =")
        .replace("x -> h : dense", "x -> b : dense\n    b -> h : one_to_one");
    let file = folder.file("net.snn", text)?;
    let pairs = ask("butterfly", &file, &["--at", "0", "--scale", "0,0.1", "--on", "test"])?;
    let still = &pairs[0];
    ensure(number(still, "distance")? == 0.0 && number(still, "barrier.loss")? == 0.0, || still.to_string())?;
    let run = snnc(&["run", &file, "--json"])?.expect(0)?.json()?;
    let trained = run["jobs"][1]["metrics"]["loss"].as_f64().ok_or("no loss")?;
    let renewed = number(still, "line.loss.0.00")?;
    ensure(renewed != trained && (renewed / trained - 1.0).abs() < 0.05, || {
        format!("loss {renewed}, with the statistics of the training {trained}")
    })?;
    ensure(number(&pairs[1], "line.loss.0.50")?.is_finite(), || pairs[1].to_string())
}

fn butterfly_mistakes() -> Result<(), String> {
    let file = example("butterfly.snn");
    let ask = |args: &[&str]| snnc(&[&["diag", "butterfly", &file], args].concat());
    let near = ask(&["--only", "h2->y.wieght"])?.fails_with("E0916")?;
    ensure(near.err.contains("did you mean `h2->y.weight`"), || near.err.clone())?;
    let late = ask(&["--at", "3000"])?.fails_with("E0916")?;
    ensure(late.err.contains("3000 updates"), || late.err.clone())?;
    ask(&["--only", "y.bias"])?.fails_with("E0916")?;
    ask(&["--on", "test"])?.fails_with("E0903")?;
    for wrong in [["--at", "100%"], ["--at", "x"], ["--scale", "-1"], ["--fraction", "1.5"], ["--on", "all"]]
    {
        ask(&wrong)?.expect(2)?;
    }
    let folder = Folder::new()?;
    let untrained = small("").lines().filter(|l| !l.starts_with("train")).collect::<Vec<_>>().join("\n");
    snnc(&["diag", "butterfly", &folder.file("untrained.snn", untrained)?])?.fails_with("E0912")?;
    let steep = small("").replace("cosine(5e-3, 1e-4)", "1e38");
    let ran =
        snnc(&["diag", "butterfly", &folder.file("steep.snn", steep)?, "--json"])?.fails_with("E0907")?;
    ensure(ran.json()?["error"][0]["code"] == "E0907", || ran.out.clone())
}
