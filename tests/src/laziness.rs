//! What a training changes: the measures of `std.measure`, and what the literature says of early alignment.

use crate::cli::{ensure, plain, snnc};
use libtest_mimic::Trial;
use std::f64::consts::LN_2;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("measures of known numbers", known_measures),
        plain("small first weights turn to the data before the loss moves", early_alignment),
    ]
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
