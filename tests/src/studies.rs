//! `sweep` and `inspect` as processes of their own: numbers against runs of their own, advice that is followed, honest errors.

use crate::cli::{Folder, Ran, command, ensure, plain, read, small, snnc};
use libtest_mimic::Trial;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("sweep: every run is that of its own command", sweep_runs),
        plain("sweep: means, deviations and intervals are those of the runs", sweep_statistics),
        plain("sweep: a run is solved in the first epoch that a run of its own reports", sweep_solved),
        plain("sweep: runs that fail are counted and do not end it", sweep_failures),
        plain("sweep: rules are parameters", sweep_rules),
        plain("sweep: mistakes are found before the first run", sweep_mistakes),
        plain("sweep: an interruption keeps what is done", sweep_interruption),
        plain("sweep: signs decide whether exclusive or can be learned", signs_decide),
        plain("sweep: a learned score leads noise back", noise_led_back),
        plain("inspect: a deep network is silent, and says since when", inspect_silent),
        plain("inspect: advice that is followed helps", inspect_advice),
        plain("inspect: numbers of known weights", inspect_numbers),
        plain("inspect: the bias of guesses is that of theory", inspect_bias),
        plain("inspect: shares of the answers, and advice where one prevails", inspect_guesses),
        plain("gamma after 1, 2, 3 and 10 layers of rectifiers is that of theory", gamma_of_depth),
        plain("inspect: mistakes", inspect_mistakes),
    ]
}

/// A small training whose initializer, rule and learning rate are parameters.
fn study() -> String {
    small("")
        .replace(
            "param hidden = 12",
            "param hidden = 12\nparam init = kaiming_normal\nparam rule = soft\nparam rate = 5e-3",
        )
        .replace("tau = 10 ms", "tau = 10 ms, reset = rule")
        .replace("x -> h : dense", "x -> h : dense(init = init)")
        .replace("cosine(5e-3, 1e-4)", "rate")
        .replace("epochs 3", "epochs 1")
}

fn number(value: &Value) -> Result<f64, String> {
    value.as_f64().ok_or_else(|| format!("{value} is no number"))
}

fn sweep_runs() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let csv = folder.path("runs.csv");
    let args = ["sweep", &file, "-p", "hidden=5,9", "-p", "seed=1..2", "--csv", &csv, "--json"];
    let swept = snnc(&args)?.expect(0)?.json()?;
    let runs = swept["runs"].as_array().ok_or("no runs")?;
    ensure(runs.len() == 4, || swept.to_string())?;
    for run in runs {
        let hidden = format!("hidden={}", run["params"]["hidden"].as_str().ok_or("no value")?);
        let seed = run["seed"].to_string();
        let alone = snnc(&["run", &file, "-p", &hidden, "--seed", &seed, "--json"])?.expect(0)?.json()?;
        for (metric, job, name) in
            [("train.loss", 0, "loss"), ("evaluate.accuracy", 1, "accuracy"), ("rate.h", 1, "rate.h")]
        {
            let (here, there) = (&run["metrics"][metric], &alone["jobs"][job]["metrics"][name]);
            ensure(here == there && here.is_number(), || format!("{metric}: {here} and {there}"))?;
        }
    }
    let text = String::from_utf8(read(Path::new(&csv))?).map_err(|e| e.to_string())?;
    let lines: Vec<&str> = text.lines().collect();
    ensure(lines.len() == 5 && lines[0].starts_with("hidden,seed,end,seconds,"), || text.clone())?;
    ensure(lines[1].starts_with("5,1,ok,") && lines[4].starts_with("9,2,ok,"), || text.clone())?;
    ensure(lines.iter().all(|l| l.split(',').count() == lines[0].split(',').count()), || text.clone())
}

fn sweep_statistics() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let args = ["sweep", &file, "-p", "seed=0..3", "--success", "accuracy >= 20 %", "--json"];
    let swept = snnc(&args)?.expect(0)?.json()?;
    let (row, runs) = (&swept["rows"][0], swept["runs"].as_array().ok_or("no runs")?);
    let values: Result<Vec<f64>, String> =
        runs.iter().map(|run| number(&run["metrics"]["evaluate.accuracy"])).collect();
    let values = values?;
    let mean = values.iter().sum::<f64>() / 4.0;
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    // The 97.5 % quantile of Student's t with three degrees of freedom.
    let half = 3.182_446_305_284_263 * sd / 2.0;
    let found = &row["metrics"]["evaluate.accuracy"];
    for (name, wanted) in [("mean", mean), ("sd", sd), ("low", mean - half), ("high", mean + half)] {
        let value = number(&found[name])?;
        ensure((value - wanted).abs() < 1e-9, || format!("{name} is {value}, not {wanted}"))?;
    }
    ensure(sd > 0.0, || "all seeds gave the same".to_string())?;
    // Cells of the confusion matrix that a run does not name are 0: all samples are counted in the mean.
    let metrics = row["metrics"].as_object().ok_or("no metrics")?;
    let cells = metrics.iter().filter(|(name, _)| name.starts_with("confusion."));
    let total: f64 = cells.filter_map(|(_, cell)| cell["mean"].as_f64()).sum();
    let samples = number(&metrics["samples"]["mean"])?;
    ensure((total - samples).abs() < 1e-6, || format!("{total} of {samples} samples in the cells"))?;
    let successes = values.iter().filter(|v| **v >= 0.2).count();
    ensure(row["success"]["count"] == successes && row["runs"] == 4, || row.to_string())?;
    let plain = snnc(&["sweep", &file, "-p", "seed=0..1", "--success", "accuracy >= 0.2"])?.expect(0)?;
    ensure(plain.out.contains("±") && plain.out.contains("Wilson"), || plain.out.clone())?;
    ensure(plain.out.contains("solved at epoch") && plain.out.contains("median 1, mean 1"), || {
        plain.out.clone()
    })?;
    ensure(plain.err.contains("run 2/2  seed=1"), || plain.err.clone())
}

/// The condition of a training is about its own values, that of an evaluation about those on the test part.
fn sweep_solved() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study().replace("epochs 1", "epochs 4"))?;
    let csv = folder.path("runs.csv");
    let mut found = 0;
    for (condition, field, limit, job) in [
        ("train.accuracy >= 0.5", "accuracy", 0.5, 0),
        ("accuracy >= 75 %", "test_accuracy", 0.75, 1),
        ("rate.h > 0", "", 0.0, 1),
    ] {
        let args = ["sweep", &file, "-p", "seed=0..2", "--success", condition, "--csv", &csv, "--json"];
        let swept = snnc(&args)?.expect(0)?.json()?;
        let table = String::from_utf8(read(Path::new(&csv))?).map_err(|e| e.to_string())?;
        ensure(table.starts_with("seed,end,seconds,solved_at,"), || table.clone())?;
        let mut solved = Vec::new();
        for (seed, line) in (0..3).zip(table.lines().skip(1)) {
            let alone = snnc(&["run", &file, "--seed", &seed.to_string(), "--json"])?.expect(0)?.json()?;
            let epochs = alone["jobs"][0]["epochs"].as_array().ok_or("no epochs")?;
            ensure(epochs.len() == 4 && epochs[3]["epoch"] == 4, || alone.to_string())?;
            let end = &alone["jobs"][job]["metrics"]["accuracy"];
            let holds = |value: &Value| value.as_f64().is_some_and(|v| v >= limit);
            let first = epochs.iter().find(|e| holds(&e[field]) && holds(end)).map(|e| e["epoch"].clone());
            let here = &swept["runs"][seed]["solved_at"];
            ensure(first.as_ref().unwrap_or(&Value::Null) == here, || format!("{here}: {alone}"))?;
            let cell = line.split(',').nth(3).unwrap_or_default();
            ensure(cell == first.as_ref().map_or(String::new(), Value::to_string), || table.clone())?;
            solved.extend(first.and_then(|k| k.as_f64()));
        }
        found += solved.len();
        let row = &swept["rows"][0]["solved_at"];
        ensure(row.is_null() == solved.is_empty(), || row.to_string())?;
        if !solved.is_empty() {
            let mean = solved.iter().sum::<f64>() / solved.len() as f64;
            ensure(row["n"] == solved.len() && (number(&row["mean"])? - mean).abs() < 1e-12, || {
                row.to_string()
            })?;
        }
    }
    ensure(found >= 3, || format!("only {found} runs were solved"))
}

fn sweep_failures() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let args =
        ["sweep", &file, "-p", "rate=1e38,1e-3", "-p", "seed=0..1", "--success", "accuracy > 0", "--json"];
    let swept = snnc(&args)?.expect(0)?.json()?;
    let (bad, good) = (&swept["rows"][0], &swept["rows"][1]);
    ensure(bad["failed"]["E0907"] == 2 && bad["success"]["count"] == 0, || bad.to_string())?;
    ensure(bad["success"]["rate"] == 0.0 && swept["runs"][0]["error"] == "E0907", || swept.to_string())?;
    ensure(swept["runs"][1]["message"].as_str().is_some_and(|m| m.contains("diverged")), || {
        swept.to_string()
    })?;
    ensure(good["failed"].as_object().is_some_and(|f| f.is_empty()), || good.to_string())?;
    ensure(good["success"]["count"] == 2 && good["metrics"]["train.loss"]["n"] == 2, || good.to_string())?;
    // Newcombe's interval of 2 of 2 less 0 of 2: Wilson's upper end of the latter is z^2 / (2 + z^2) = 0.6576198, the lower end of the former 1 less that.
    let (low, high) = (number(&good["above_first"]["low"])?, number(&good["above_first"]["high"])?);
    let holds = (low - (1.0 - 2f64.sqrt() * 0.657_619_8)).abs() < 1e-6 && (high - 1.0).abs() < 1e-12;
    ensure(holds && good["above_first"]["difference"] == 1.0, || good.to_string())?;
    ensure(bad.get("above_first").is_none(), || bad.to_string())?;
    let text = snnc(&args[..args.len() - 1])?.expect(0)?.out;
    ensure(text.contains("+100.0 % [+7.0, +100.0]") && text.contains("Newcombe"), || text.clone())
}

fn sweep_rules() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let lists = ["-p", "init=zeros,normal(0, 0.5)", "-p", "rule=soft,hard(to = 0.1)"];
    let swept = snnc(&[&["sweep", &file, "--json"][..], &lists].concat())?.expect(0)?.json()?;
    let rows = swept["rows"].as_array().ok_or("no rows")?;
    ensure(rows.len() == 4 && rows[3]["params"]["rule"] == "hard(to = 0.1)", || swept.to_string())?;
    let rates: Result<Vec<f64>, String> =
        rows.iter().map(|row| number(&row["metrics"]["rate.h"]["mean"])).collect();
    let rates = rates?;
    ensure(rates[2] != rates[3] && rates[0] != rates[2], || format!("{rates:?}"))?;
    let hir = snnc(&["emit", "--stage", "hir", &file, "-p", "init=normal(0, 0.5)"])?.expect(0)?;
    ensure(hir.out.contains("= normal(mean = 0, std = 0.5)"), || hir.out.clone())?;
    snnc(&["check", &file, "-p", "init=soft"])?.fails_with("E0301")?;
    snnc(&["check", &file, "-p", "rule=0.5"])?.fails_with("E0301")?;
    snnc(&["check", &file, "-p", "init=normal(0, std = x)"])?.fails_with("E0201")?;
    let list = snnc(&["check", &file, "-p", "init=zeros,ones"])?.fails_with("E0101")?;
    ensure(list.err.contains("snnc sweep"), || list.err.clone())?;
    let seed = snnc(&["check", &file, "-p", "seed=3"])?.fails_with("E0206")?;
    ensure(seed.err.contains("--seed"), || seed.err.clone())?;
    Ok(())
}

/// What `name` is at the end of each run of an example.
fn at_the_end(example: &str, args: &[&str], name: &str) -> Result<Vec<f64>, String> {
    let file = crate::corpus::root().join("examples").join(example).display().to_string();
    let swept = snnc(&[&["sweep", &file, "--json"], args].concat())?.expect(0)?.json()?;
    let runs = swept["runs"].as_array().ok_or("no runs")?;
    runs.iter().map(|run| number(&run["metrics"][name])).collect()
}

fn signs_decide() -> Result<(), String> {
    for (outer, low, high) in [("informative", 0.9, 1.0), ("by_chance", 0.9, 1.0), ("misleading", 0.4, 0.6)] {
        let args = ["-p", &format!("outer={outer}"), "-p", "key=1..3"];
        let right = at_the_end("polarity.snn", &args, "right(y, task.goal)")?;
        ensure(right.len() == 3 && right.iter().all(|r| (low..=high).contains(r)), || {
            format!("{outer}: {right:?}")
        })?;
    }
    Ok(())
}

fn noise_led_back() -> Result<(), String> {
    let near = at_the_end("langevin.snn", &["-p", "seed=0..1"], "near(last(s))")?;
    ensure(near.len() == 2 && near.iter().all(|share| *share > 0.75), || format!("{near:?}"))
}

fn sweep_mistakes() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let sweep = |args: &[&str]| snnc(&[&["sweep", &file][..], args].concat());
    for (args, code) in [
        (&["-p", "hiden=3"][..], "E0206"),
        (&["-p", "init=kaiming_normal,soft"], "E0301"),
        (&["-p", "seed=9..0"], "E0915"),
        (&["-p", "seed=0..9999", "-p", "hidden=1,2"], "E0915"),
        (&["-p", "hidden="], "E0915"),
        (&["--success", "accuracy"], "E0915"),
        (&["--success", "acuracy > 0"], "E0915"),
        (&["--data", "split=x"], "E0910"),
    ] {
        let ran = sweep(args)?.fails_with(code)?;
        ensure(!ran.err.contains("internal error"), || ran.err.clone())?;
    }
    let ran = sweep(&["-p", "seed=9..0", "--json"])?.expect(1)?;
    ensure(ran.json()?["error"][0]["code"] == "E0915", || ran.out.clone())?;
    let empty = folder.file("empty.snn", "param a = 1\n")?;
    snnc(&["sweep", &empty, "-p", "a=1,2"])?.fails_with("E0912")?;
    let untrained = study().lines().filter(|l| !l.starts_with("train")).collect::<Vec<_>>().join("\n");
    snnc(&["sweep", &folder.file("untrained.snn", untrained)?])?.fails_with("E0912")?;
    snnc(&["sweep", "examples/idx.snn"])?.fails_with("E0901")?;
    snnc(&["sweep", "no-such-file.snn"])?.fails_with("E0901")?;
    Ok(())
}

fn sweep_interruption() -> Result<(), String> {
    if cfg!(not(unix)) {
        return Ok(());
    }
    let folder = Folder::new()?;
    let file = folder.file("net.snn", study())?;
    let csv = folder.path("runs.csv");
    let args = ["sweep", &file, "-p", "seed=0..9999", "--csv", &csv, "--json"];
    let mut child =
        command(&args)?.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(|e| e.to_string())?;
    while !Path::new(&csv).exists() {
        if let Some(status) = child.try_wait().map_err(|e| e.to_string())? {
            return Err(format!("the sweep ended: {status}"));
        }
        std::thread::yield_now();
    }
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().map_err(|e| e.to_string())?;
    let ran = child.wait_with_output().map(Ran::of).map_err(|e| e.to_string())?.fails_with("E0913")?;
    let object = ran.json()?;
    let done = object["runs"].as_array().ok_or("no runs")?.len();
    let text = String::from_utf8(read(Path::new(&csv))?).map_err(|e| e.to_string())?;
    ensure(done > 0 && text.lines().count() == done + 1, || format!("{done} runs in:\n{text}"))?;
    ensure(object["rows"][0]["runs"] == done, || object["rows"].to_string())
}

/// Twelve layers of 40 neurons that forget fast, with the weights that are given if nothing is said.
fn deep() -> String {
    let mut text = "model Deep {\n    input x: [64]\n".to_string();
    for layer in 1..=12 {
        let before = if layer == 1 { "x".to_string() } else { format!("h{}", layer - 1) };
        text.push_str(&format!("    let h{layer} = Lif[40](tau = 2 ms)\n    {before} -> h{layer} : dense\n"));
    }
    text.push_str("    let y = Integrator[10]\n    h12 -> y : dense\n    output y.v\n}\n");
    text.push_str("data digits = std.data.digits(split = 0.8)\ntrain Deep on digits { steps 20   batch 32   epochs 1 }\n");
    text
}

fn inspect_silent() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("deep.snn", deep())?;
    let report = snnc(&["inspect", &file, "--json"])?.expect(0)?.json()?;
    let metrics = &report["jobs"][0]["metrics"];
    let silent = |layer: usize| number(&metrics[format!("h{layer}.silent")]);
    ensure(silent(1)? < 0.5, || format!("h1: {}", metrics["h1.silent"]))?;
    ensure(silent(12)? == 1.0 && metrics["h12.rate"] == 0.0, || metrics.to_string())?;
    let advice = report["jobs"][0]["advice"].as_array().ok_or("no advice")?;
    let about = |name: &str| advice.iter().filter_map(Value::as_str).find(|text| text.starts_with(name));
    let last = about("h12:").ok_or("nothing about h12")?;
    ensure(last.contains("Nothing arrives at it because h11 is silent"), || last.to_string())?;
    let numbers =
        advice.iter().filter_map(Value::as_str).filter(|text| text.contains("kaiming_normal(gain = "));
    ensure(numbers.count() > 0, || format!("{advice:?}"))?;
    // Nothing is learned through silent layers with a readout that receives nothing: every guess is the first class.
    ensure(metrics["guess.largest"] == 1.0 && metrics["guess.entropy"] == 0.0, || metrics.to_string())?;
    ensure(metrics["h12->y.weight.gradient"] == 0.0, || metrics["h12->y.weight.gradient"].to_string())?;
    let plain = snnc(&["inspect", &file])?.expect(0)?;
    ensure(plain.out.contains("entropy rank") && plain.out.contains("advice: h12"), || plain.out.clone())
}

fn inspect_advice() -> Result<(), String> {
    let folder = Folder::new()?;
    let text =
        small("").replace("param hidden = 12", "param hidden = 64\nparam init = kaiming_normal(gain = 0.02)");
    let file = folder.file("net.snn", text.replace("x -> h : dense", "x -> h : dense(init = init)"))?;
    let inspect = |init: &str| {
        let report = snnc(&["inspect", &file, "--json", "-p", init])?.expect(0)?.json()?;
        Ok::<Value, String>(report["jobs"][0]["metrics"].clone())
    };
    let before = inspect("init=kaiming_normal(gain = 0.02)")?;
    ensure(before["h.silent"] == 1.0, || before.to_string())?;
    let factor = number(&before["h.factor"])?;
    let after = inspect(&format!("init=kaiming_normal(gain = {})", 0.02 * factor))?;
    let share = number(&after["h.silent"])?;
    ensure((0.45..=0.5).contains(&share), || format!("{share} silent with {factor} times the weights"))?;
    // All weights large and positive: neurons fire all the time until they are made smaller.
    let before = inspect("init=constant(1)")?;
    ensure(number(&before["h.saturated"])? > 0.5, || before.to_string())?;
    let factor = number(&before["h.factor"])?;
    let after = inspect(&format!("init=constant({factor})"))?;
    let (rate, saturated) = (number(&after["h.rate"])?, number(&after["h.saturated"])?);
    ensure(saturated < 0.1 && (0.2..0.55).contains(&rate), || format!("rate {rate}, saturated {saturated}"))
}

fn inspect_numbers() -> Result<(), String> {
    let folder = Folder::new()?;
    let text = small("")
        .replace("x -> h : dense", "x -> h : dense(init = eye(0.5))")
        .replace("hidden = 12", "hidden = 64");
    let file = folder.file("net.snn", text)?;
    let report = snnc(&["inspect", &file, "--json"])?.expect(0)?.json()?;
    let metrics = &report["jobs"][0]["metrics"];
    let close = |name: &str, wanted: f64, by: f64| {
        let value = number(&metrics[name])?;
        ensure((value - wanted).abs() <= by, || format!("{name} is {value}, not {wanted}"))
    };
    for (name, wanted) in [("norm", 0.5), ("entropy_rank", 64.0), ("stable_rank", 64.0), ("min", 0.0)] {
        close(&format!("x->h.weight.{name}"), wanted, 1e-6)?;
    }
    close("x->h.weight.mean", 0.5 / 64.0, 1e-9)?;
    // What `kaiming_normal` promises: std sqrt(2 / fan_in).
    close("h->y.weight.std", (2.0 / 64.0f64).sqrt(), 0.02)?;
    ensure(number(&metrics["h->y.weight.gradient"])? > 0.0, || metrics.to_string())?;
    let same = snnc(&["inspect", &file, "--json", "--threads", "2"])?.expect(0)?.json()?;
    ensure(same["jobs"][0]["metrics"] == *metrics, || "numbers depend on threads".to_string())
}

/// Gamma of wide layers (Francazi et al. 2024): the squared mean of the data by their variance for one linear layer, here 1/4 by 1/12; of centred data 0,
/// and 1 / (pi - 1) after a layer of rectifiers.
fn inspect_bias() -> Result<(), String> {
    let folder = Folder::new()?;
    let gamma = |name: &str, layers: &str| {
        let text = format!(
            "neuron Centred {{ input i   emit i - 0.5 }}\nmodel Wide {{\n    input x: [400]\n{layers}    output y\n}}\n\
             data noise = std.data.noise(samples = 400, inputs = 400, classes = 200)\n\
             train Wide on noise {{ steps 1   batch 400   epochs 1   loss cross_entropy(mean(y)) }}\n"
        );
        let report = snnc(&["inspect", &folder.file(name, text)?, "--json"])?.expect(0)?.json()?;
        number(&report["jobs"][0]["metrics"]["guess.gamma"])
    };
    let centred = "    let c = Centred[400]\n    x -> c : one_to_one\n";
    let linear = gamma("linear.snn", "    let y = Rate[200]\n    x -> y : dense\n")?;
    let unbiased = gamma("centred.snn", &format!("{centred}    let y = Rate[200]\n    c -> y : dense\n"))?;
    let rectified = gamma(
        "relu.snn",
        &format!(
            "{centred}    let h = ReluRate[600]\n    let y = Rate[200]\n    c -> h : dense\n    h -> y : dense\n"
        ),
    )?;
    let holds = (linear / 3.0 - 1.0).abs() < 0.25
        && unbiased < 0.02
        && (rectified * (std::f64::consts::PI - 1.0) - 1.0).abs() < 0.25;
    ensure(holds, || format!("gamma {linear}, {unbiased} and {rectified}"))
}

fn inspect_guesses() -> Result<(), String> {
    let folder = Folder::new()?;
    // Positive weights and data: the last class has the largest ones, and is the answer to everything.
    let biased = "init rising { sample (i + 1) * uniform(0.9, 1.1) / 64 }\n".to_string()
        + &small("")
            .replace("h -> y : dense", "h -> y : dense(init = rising)")
            .replace("Lif[hidden]", "ReluRate[hidden]");
    let biased = biased
        .replace("(tau = 10 ms)", "")
        .replace("x -> h : dense", "x -> h : dense(init = exponential(0.1))");
    let file = folder.file("biased.snn", biased)?;
    let report = snnc(&["inspect", &file, "--json"])?.expect(0)?.json()?;
    let metrics = &report["jobs"][0]["metrics"];
    let shares: Result<Vec<f64>, String> =
        (0..10).map(|k| number(&metrics[format!("guess.share.{k}")])).collect();
    let shares = shares?;
    let largest = shares.iter().copied().fold(0.0, f64::max);
    let is_all = (shares.iter().sum::<f64>() - 1.0).abs() < 1e-9 && metrics["guess.largest"] == largest;
    ensure(is_all && largest > 0.9 && shares[9] == largest, || metrics.to_string())?;
    let advice = report["jobs"][0]["advice"].to_string();
    ensure(advice.contains("guesses: before training"), || advice.clone())?;
    let plain = snnc(&["inspect", &file])?.expect(0)?;
    ensure(plain.out.contains("largest first: 100.0 0.0"), || plain.out.clone())?;
    // Means of many samples are alike: no class prevails.
    let fair = small("").replace("h -> y : dense", "h -> y : dense(init = orthogonal)");
    let report = snnc(&["inspect", &folder.file("fair.snn", fair)?, "--json"])?.expect(0)?.json()?;
    let (largest, advice) =
        (number(&report["jobs"][0]["metrics"]["guess.largest"])?, report["jobs"][0]["advice"].to_string());
    ensure((largest > 0.3) == advice.contains("guesses:"), || format!("{largest}: {advice}"))
}

/// Francazi et al. 2024: c' = (sqrt(1 - c^2) + c (pi - arccos c)) / pi from layer to layer, gamma = c / (1 - c). The mean of eight wide networks.
fn gamma_of_depth() -> Result<(), String> {
    let text = "fn gamma_of(y) =
            variance(mean(y, over = batch), over = population) / mean(variance(y, over = batch), over = population)
        neuron Centred { input i   emit i - 0.5 }
        circuit Layer(n) { input x   population h[n]: ReluRate   x -> h : dense(init = kaiming_normal)   output h }
        model Deep {
            input x: [300]
            let c = Centred[300]
            let h1 = Layer(500)   let h2 = Layer(500)   let h3 = Layer(500)
            let rest = chain(Layer(500), times = 7)
            let y1 = Rate[500]   let y2 = Rate[500]   let y3 = Rate[500]   let y10 = Rate[500]
            x -> c : one_to_one   c -> h1   h1 -> h2   h2 -> h3   h3 -> rest
            h1 -> y1 : dense   h2 -> y2 : dense   h3 -> y3 : dense   rest -> y10 : dense
            output y10
        }
        data noise = std.data.noise(samples = 300, inputs = 300, classes = 500)
        simulate Deep on noise for 1 step {
            batch 300   report gamma_of(y1), gamma_of(y2), gamma_of(y3), gamma_of(y10)
        }";
    let folder = Folder::new()?;
    let file = folder.file("deep.snn", text)?;
    let mut found = [0.0; 4];
    for seed in 0..8 {
        let report = snnc(&["run", &file, "--json", "--seed", &seed.to_string()])?.expect(0)?.json()?;
        let metrics = report["jobs"][0]["metrics"].as_object().ok_or("no metrics")?.clone();
        for (sum, layer) in found.iter_mut().zip(["y1", "y2", "y3", "y10"]) {
            *sum += number(&metrics[&format!("gamma_of({layer})")])? / 8.0;
        }
    }
    let (mut c, mut theory) = (0.0f64, Vec::new());
    for layer in 1..=10 {
        let pi = std::f64::consts::PI;
        c = ((1.0 - c * c).sqrt() + c * (pi - c.acos())) / pi;
        theory.extend([1, 2, 3, 10].contains(&layer).then_some(c / (1.0 - c)));
    }
    let published = [0.4669, 0.9752, 1.5305, 6.7843];
    let is_published = theory.iter().zip(published).all(|(a, b)| (a - b).abs() < 1e-4);
    let holds = found.iter().zip(&theory).all(|(found, wanted)| (found / wanted - 1.0).abs() < 0.15);
    ensure(is_published && holds, || format!("{found:?}, theory {theory:?}"))
}

fn inspect_mistakes() -> Result<(), String> {
    snnc(&["inspect", "examples/01_lif.snn"])?.fails_with("E0912")?;
    snnc(&["inspect", "examples/idx.snn"])?.fails_with("E0901")?;
    snnc(&["inspect", "examples/digits.snn", "-p", "nothing=1"])?.fails_with("E0206")?;
    Ok(())
}
