//! `diag` as a process of its own: perturbed trainings against what must come out where nothing is perturbed, against linear trainings and
//! published orders of magnitude; the derivative of a training against the one that is known of a linear one.

use crate::cli::{Folder, ensure, plain, small, snnc};
use crate::corpus::root;
use libtest_mimic::Trial;
use serde_json::Value;
use snn_compiler::interp::matrix::{EXACT, Matrix, singular_values};
use snn_runtime::data::source::{self, ArgValue};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("butterfly: early perturbations lead behind a barrier, later ones do not", early_chaos),
        plain("butterfly: without noise the weights are the same", no_noise),
        plain(
            "butterfly: in a linear training perturbations become as long as is known",
            linear_perturbations,
        ),
        plain("butterfly: a spiking network", spiking),
        plain("butterfly: noise has the size that was asked for, where it was asked for", noise),
        plain("butterfly: running statistics are made anew on the line", statistics),
        plain("butterfly: mistakes", butterfly_mistakes),
        plain("jacobian: of a linear training it is the known one", linear_derivative),
        plain("jacobian: the bulk is left as it is", bulk),
        plain("jacobian: mistakes", jacobian_mistakes),
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
    // A perturbed training that diverges is a result.
    let args = ["--at", "0,3", "--scale", "1e30", "--epochs", "1"];
    for pair in self::ask("butterfly", &file, &args)? {
        ensure(number(&pair, "diverged")? == 1.0 && pair["metrics"]["distance"].is_null(), || {
            pair.to_string()
        })?;
    }
    let told = ask(&args)?.expect(0)?;
    ensure(told.out.contains("1e30") && told.out.contains("diverged"), || told.out.clone())?;
    let folder = Folder::new()?;
    let untrained = small("").lines().filter(|l| !l.starts_with("train")).collect::<Vec<_>>().join("\n");
    snnc(&["diag", "butterfly", &folder.file("untrained.snn", untrained)?])?.fails_with("E0912")?;
    let steep = small("").replace("cosine(5e-3, 1e-4)", "1e38");
    let ran =
        snnc(&["diag", "butterfly", &folder.file("steep.snn", steep)?, "--json"])?.fails_with("E0907")?;
    ensure(ran.json()?["error"][0]["code"] == "E0907", || ran.out.clone())
}

/// A training with the loss y², y = w x, on one batch: each update multiplies w by the symmetric matrix 1 - 2 rate mean(x xᵀ).
struct Linear {
    inputs: usize,
    updates: usize,
}

const SAMPLES: usize = 24;
const RATE: f64 = 0.2;

impl Linear {
    fn text(&self) -> String {
        let Linear { inputs, updates } = self;
        format!(
            "model Linear {{\n    input x: [{inputs}]\n    let y = Rate[1]\n    x -> y : dense\n    output y\n}}\n\
             data draws = std.data.noise(samples = {SAMPLES}, inputs = {inputs}, split = 1)\n\
             train Linear on draws {{ steps 1   batch {SAMPLES}   epochs {updates}   optimizer sgd(lr = {RATE})   \
             loss sum(y^2, over = population) }}\n"
        )
    }

    /// What an update multiplies w by.
    fn update(&self) -> Result<Matrix, String> {
        let n = self.inputs;
        let args = [("samples", SAMPLES as f64), ("inputs", n as f64), ("split", 1.0)];
        let args = args.map(|(name, value)| (name.to_string(), ArgValue::Num(value)));
        let data = source::load("noise", &args, &root(), false).map_err(|e| e.to_string())?.train;
        let moment = |i: usize, j: usize| {
            let products = data.x.chunks(n).map(|x| f64::from(x[i]) * f64::from(x[j]));
            products.sum::<f64>() / SAMPLES as f64
        };
        Ok(Matrix::from_fn(n, n, |i, j| f64::from(u8::from(i == j)) - 2.0 * RATE * moment(i, j)))
    }
}

/// With two weights and the factors a and b of the two directions, a perturbation is after k updates sqrt(c a^2k + (1 - c) b^2k) times as long; its
/// direction, and so c, is told by one update.
fn linear_perturbations() -> Result<(), String> {
    let folder = Folder::new()?;
    let training = Linear { inputs: 2, updates: 6 };
    let args = ["--at", "5,4,3,2,1,0", "--scale", "0.5"];
    let pairs = ask("butterfly", &folder.file("linear.snn", training.text())?, &args)?;
    let factors = singular_values(&training.update()?, EXACT);
    let power = |which: usize, k: usize| factors[which].powi(2 * k as i32);
    let mut share = None;
    for (at, pair) in pairs.iter().enumerate() {
        let k = at + 1;
        let longer = number(pair, "distance")? / number(pair, "perturbation")?;
        let c = *share.get_or_insert((longer.powi(2) - power(1, 1)) / (power(0, 1) - power(1, 1)));
        let known = (c * power(0, k) + (1.0 - c) * power(1, k)).sqrt();
        ensure((longer - known).abs() < 1e-5, || format!("after {k} updates {longer} times, not {known}"))?;
        ensure((number(pair, "perturbation")? - 0.5).abs() < 1e-6, || pair.to_string())?;
    }
    ensure(pairs.len() == 6 && share.is_some_and(|c| (0.02..0.98).contains(&c)), || format!("{share:?}"))
}

/// The derivative of the training is the power of that of an update.
fn linear_derivative() -> Result<(), String> {
    let folder = Folder::new()?;
    let training = Linear { inputs: 5, updates: 6 };
    let answer = ask("jacobian", &folder.file("linear.snn", training.text())?, &["--step", "0.1"])?;
    let one = training.update()?;
    let whole = (1..training.updates).fold(one.clone(), |product, _| product.times(&one));
    for (k, known) in singular_values(&whole, EXACT).into_iter().enumerate() {
        let found = number(&answer[0], &format!("sigma.{k}"))?;
        ensure((found - known).abs() < 1e-4, || format!("singular value {k} is {found}, not {known}"))?;
        let alignment = number(&answer[0], &format!("alignment.{k}"))?;
        ensure((alignment - 1.0).abs() < 1e-3, || format!("alignment {k} is {alignment}"))?;
    }
    ensure(number(&answer[0], "numbers")? == 5.0, || answer[0].to_string())?;
    ensure(number(&answer[0], "stable")? >= 1.0 && number(&answer[0], "error")? < 1e-3, || {
        answer[0].to_string()
    })
}

fn bulk() -> Result<(), String> {
    let answer = ask("jacobian", &example("jacobian.snn"), &["-p", "units=6"])?;
    let job = &answer[0];
    let numbers = number(job, "numbers")?;
    let parts = number(job, "chaotic")? + number(job, "bulk")? + number(job, "stable")?;
    ensure(numbers == 17.0 * 6.0 + 7.0 * 4.0 && parts == numbers, || job.to_string())?;
    let (bulk, elsewhere) = (number(job, "alignment.bulk")?, number(job, "alignment.elsewhere")?);
    ensure(bulk > elsewhere + 0.2, || format!("alignment {bulk} of the bulk, {elsewhere} elsewhere"))?;
    ensure(number(job, "bulk")? >= 5.0 && number(job, "chaotic")? > 0.0, || job.to_string())?;
    ensure(number(job, "error")? < 0.02, || format!("error {}", job["metrics"]["error"]))?;
    // A step that is too large is told.
    let args = ["-p", "units=6", "--step", "0.03"];
    let advice = ask("jacobian", &example("jacobian.snn"), &args)?[0]["advice"].to_string();
    ensure(advice.contains("another --step"), || advice.clone())
}

fn jacobian_mistakes() -> Result<(), String> {
    let folder = Folder::new()?;
    let spikes = snnc(&["diag", "jacobian", &folder.file("net.snn", small(""))?])?.fails_with("E0916")?;
    ensure(spikes.err.contains("snnc diag butterfly"), || spikes.err.clone())?;
    let large = snnc(&["diag", "jacobian", &example("butterfly.snn"), "--json"])?.fails_with("E0916")?;
    ensure(large.err.contains("1732 trained numbers, at most 1000"), || large.err.clone())?;
    ensure(large.json()?["error"][0]["code"] == "E0916", || large.out.clone())?;
    snnc(&["diag", "jacobian", &example("jacobian.snn"), "--epochs", "0"])?.fails_with("E0916")?;
    snnc(&["diag", "jacobian", &example("jacobian.snn"), "--step", "0"])?.expect(2)?;
    snnc(&["diag", "jacobian", "no-such-file.snn"])?.fails_with("E0901")?;
    Ok(())
}
