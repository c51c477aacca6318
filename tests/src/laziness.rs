//! What a training changes: `inspect --after`, the measures of `std.measure`, and two statements of the literature that they show.

use crate::cli::{Folder, ensure, plain, small, snnc};
use libtest_mimic::Trial;
use serde_json::Value;
use std::f64::consts::LN_2;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("inspect --after: without a training everything is as it was", nothing_learned),
        plain("inspect --after: kernels of a linear network are those of its data", linear),
        plain(
            "inspect --after: numbers are those of the training, on any number of threads",
            of_the_training,
        ),
        plain("inspect --after: large first weights are lazier than small ones", scale_decides),
        plain("inspect --after: the higher the rank of recurrent weights, the lazier", rank_decides),
        plain("measures of known numbers", known_measures),
        plain("small first weights turn to the data before the loss moves", early_alignment),
    ]
}

/// The metrics of `inspect --after`.
fn after(file: &str, more: &[&str]) -> Result<Value, String> {
    let args = [&["inspect", file, "--after", "--json"], more].concat();
    Ok(snnc(&args)?.expect(0)?.json()?["jobs"][0]["metrics"].clone())
}

fn number(metrics: &Value, name: &str) -> Result<f64, String> {
    metrics[name].as_f64().ok_or_else(|| format!("{name} is {} in {metrics}", metrics[name]))
}

fn nothing_learned() -> Result<(), String> {
    let folder = Folder::new()?;
    let metrics = after(&folder.file("net.snn", small(""))?, &["--epochs", "0"])?;
    let ones = ["kernel_alignment", "x->h.weight.kernel_alignment", "h->y.weight.kernel_alignment"];
    let of_populations = ["h.representation_alignment", "h.sign_similarity", "y.representation_alignment"];
    for name in ones.into_iter().chain(of_populations) {
        ensure(number(&metrics, name)? == 1.0, || format!("{name} is {}", metrics[name]))?;
    }
    let is_still = metrics["x->h.weight.moved"] == 0.0
        && metrics["x->h.weight.stable_rank"] == metrics["x->h.weight.stable_rank_after"]
        && metrics["h.dead"] == metrics["h.dead_after"]
        && metrics["trained.epochs"] == 0.0;
    ensure(is_still, || metrics.to_string())
}

/// One output that is `v W x`: the kernel of W is `|v|^2 X X'`, whatever W is; that of v is `(W X) (W X)'`, which is what the layer represents.
fn linear() -> Result<(), String> {
    let folder = Folder::new()?;
    let text = "model Linear {
            input x: [8]
            let h = Rate[5]
            let y = Rate[1]
            x -> h : dense
            h -> y : dense
            output y
        }
        data noise = std.data.noise(samples = 64, inputs = 8)
        train Linear on noise { steps 1   batch 16   epochs 40   optimizer sgd(lr = 0.01)   loss mean((y - 3)^2, over = population) }";
    let metrics = after(&folder.file("linear.snn", text)?, &[])?;
    let (w, v) = (
        number(&metrics, "x->h.weight.kernel_alignment")?,
        number(&metrics, "h->y.weight.kernel_alignment")?,
    );
    let represented = number(&metrics, "h.representation_alignment")?;
    let moved = number(&metrics, "x->h.weight.moved_share")?;
    let holds = (w - 1.0).abs() < 1e-6 && (v - represented).abs() < 1e-6 && v < 0.999 && moved > 0.1;
    ensure(holds, || metrics.to_string())
}

fn of_the_training() -> Result<(), String> {
    let folder = Folder::new()?;
    let file = folder.file("net.snn", small(""))?;
    let (metrics, before) =
        (after(&file, &["--threads", "1"])?, snnc(&["inspect", &file, "--json"])?.json()?);
    ensure(metrics == after(&file, &["--threads", "2"])?, || "numbers depend on threads".to_string())?;
    let trained = snnc(&["run", &file, "--json"])?.expect(0)?.json()?;
    ensure(metrics["trained.loss"] == trained["jobs"][0]["metrics"]["loss"], || metrics.to_string())?;
    let before = before["jobs"][0]["metrics"].as_object().ok_or("no metrics")?;
    ensure(before.iter().all(|(name, value)| metrics[name] == *value), || {
        "what was before differs".to_string()
    })?;
    // The distance is that of the weights that the training leaves.
    let text =
        small("") + "simulate Net on digits.test for 6 steps { report l2_init(weights(\"x->h.weight\")) }\n";
    let ran = snnc(&["run", &folder.file("distance.snn", text)?, "--json"])?.expect(0)?.json()?;
    let square = number(&ran["jobs"][2]["metrics"], "l2_init(weights(\"x->h.weight\"))")?;
    let moved = number(&metrics, "x->h.weight.moved")?;
    ensure((moved * moved / square - 1.0).abs() < 1e-4, || format!("moved {moved}, square {square}"))?;
    let lines = snnc(&["inspect", &file, "--after", "--quiet"])?.expect(0)?.out;
    let words = ["after 3 epochs", "kernel alignment", "of 10 outputs", "for 16 samples", "sign similarity"];
    ensure(words.iter().all(|word| lines.contains(word)), || lines.clone())
}

/// Both learn the two classes; with first weights of size 1 as a linear model of what the units were at the start would.
fn scale_decides() -> Result<(), String> {
    let with =
        |eps: &str| after("examples/early_alignment.snn", &["--epochs", "3000", "-p", &format!("eps={eps}")]);
    let (large, small) = (with("1")?, with("1e-4")?);
    for name in ["kernel_alignment", "w.kernel_alignment", "h.representation_alignment"] {
        let (lazy, rich) = (number(&large, name)?, number(&small, name)?);
        ensure(lazy > 0.98 && rich < 0.95 && rich < lazy, || format!("{name}: {lazy} and {rich}"))?;
    }
    let learned = [&large, &small].map(|m| number(m, "trained.loss"));
    ensure(learned.iter().all(|loss| loss.as_ref().is_ok_and(|l| *l < 0.05)), || format!("{learned:?}"))?;
    let (far, near) = (number(&small, "w.moved_share")?, number(&large, "w.moved_share")?);
    ensure(far > 100.0 * near, || format!("moved {far} and {near} of the norm"))
}

/// Liu et al. 2024: recurrent weights of full rank, of the same norm, keep more of their kernel and representations, at the same loss. Mean of three seeds.
fn rank_decides() -> Result<(), String> {
    let mean = |rank: &str| -> Result<[f64; 3], String> {
        let mut sums = [0.0; 3];
        for seed in ["0", "1", "2"] {
            let m = after("examples/rich_lazy.snn", &["--seed", seed, "-p", &format!("rank={rank}")])?;
            let names = ["h->h.weight.kernel_alignment", "h.representation_alignment", "trained.loss"];
            for (sum, name) in sums.iter_mut().zip(names) {
                *sum += number(&m, name)? / 3.0;
            }
        }
        Ok(sums)
    };
    let ([k1, r1, l1], [k60, r60, l60]) = (mean("1")?, mean("60")?);
    let holds = k60 > k1 + 0.05 && r60 > r1 && (l60 / l1 - 1.0).abs() < 0.1;
    ensure(holds, || format!("rank 1: {k1} {r1} {l1}, rank 60: {k60} {r60} {l60}"))
}

/// Loss, median cosine and stable rank after 0, 300, 1000 and 3000 updates: from small weights the cosine goes to 1 and the rank to 1 while the loss is
/// still that of chance; from large ones neither, though all is learned.
fn early_alignment() -> Result<(), String> {
    let run = |eps: &str| -> Result<Vec<[f64; 3]>, String> {
        let args = ["run", "examples/early_alignment.snn", "--json", "--quiet", "-p", eps];
        let ran = snnc(&args)?.expect(0)?.json()?;
        let jobs = ran["jobs"].as_array().ok_or("no jobs")?.iter().filter(|job| job["job"] == "simulate");
        let numbers = jobs.map(|job| {
            let named = |begin: &str| {
                let metrics = job["metrics"].as_object().ok_or("no metrics")?;
                let found =
                    metrics.iter().find(|(name, _)| name.starts_with(begin)).and_then(|(_, v)| v.as_f64());
                found.ok_or_else(|| format!("no {begin} in {job}"))
            };
            Ok([named("logistic")?, named("median")?, named("stable_rank")?])
        });
        numbers.collect()
    };
    let (small, large) = (run("eps=1e-4")?, run("eps=1")?);
    let ([start, early, aligned, end], [large_start, .., large_end]) = (&small[..], &large[..]) else {
        return Err(format!("four simulations are wanted: {small:?}"));
    };
    let [_, cosine, rank] = start;
    let is_random = cosine.abs() < 0.2 && *rank > 6.0;
    let turns = (early[0] - LN_2).abs() < 1e-4 && early[1] > 0.85 && early[2] < 1.5;
    let has_turned = aligned[0] > 0.68 && aligned[1] > 0.995 && aligned[2] < 1.05;
    let has_learned = end[0] < 0.05 && end[1] > 0.99 && end[2] < 1.05;
    ensure(is_random && turns && has_turned && has_learned, || format!("small weights: {small:?}"))?;
    let stays =
        large_end[0] < 0.01 && large_end[1] < 0.35 && (large_end[2] / large_start[2] - 1.0).abs() < 0.05;
    ensure(stays, || format!("large weights: {large:?}"))
}

/// Medians and quantiles of five numbers and of four; a neuron of five that is dead; squared cosines of two axes with any mean add up to 1; no class, no
/// alignment; the stable rank of [[3, 1], [0, 2], [1, 0]], whose largest singular value is 3.377147441.
fn known_measures() -> Result<(), String> {
    let ran = snnc(&["run", "tests/suite/losses/measures.snn", "--json"])?.expect(0)?.json()?;
    let metrics = ran["jobs"][1]["metrics"].as_object().ok_or("no metrics")?;
    let wanted = [
        ("median(h)", 0.25),
        ("median(k)", 0.25),
        ("quantile(h, p = 0.9)", 0.9),
        ("quantile(h, p = 0.3)", 0.1),
        ("median(10 * h, high = 10)", 2.5),
        ("dead(h)", 0.2),
        ("mean(cosine_with_mean(", 0.5),
        ("mean(early_alignment(w, 2, -1,", 0.5),
        ("mean(early_alignment(w, 2, 1,", 0.0),
        ("stable_rank(", 15.0 / 3.377_147_441f64.powi(2)),
    ];
    for (name, wanted) in wanted {
        let found = metrics.iter().find(|(known, _)| known.starts_with(name)).and_then(|(_, v)| v.as_f64());
        // Bisection halves a range of 11 twenty times at most.
        let holds = found.is_some_and(|found| (found - wanted).abs() < 2e-5);
        ensure(holds, || format!("{name} is {found:?}, not {wanted}"))?;
    }
    Ok(())
}
