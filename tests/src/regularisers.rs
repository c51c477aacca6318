//! Regularisers of weights: numbers of the specification, and what a training with and without them leaves.

use crate::cli::{Folder, snnc};
use crate::corpus::{common, loaded, root};
use libtest_mimic::{Failed, Trial};
use snn_runtime::train::tensors::File;
use snnc::args::Common;
use snnc::job::Runner;
use snnc::load::load;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("regularisers: the power iteration goes on from update to update", golden),
        Trial::test("regularisers: spectral regularisation leaves orthogonal weights alone", orthogonal),
        Trial::test(
            "regularisers: spectral regularisation holds the largest singular values near 1",
            spectral,
        ),
        Trial::test("regularisers: weights are held at their first values", l2_init),
        Trial::test("regularisers: the distance of distributions is that of sorted weights", wasserstein),
    ]
}

/// Metrics of every job of a program, in order.
fn metrics(file: &str, common: &Common) -> Result<Vec<Vec<f64>>, Failed> {
    let path = root().join("tests/suite/losses").join(file);
    let loaded = load(&path, common).map_err(|f| f.text)?;
    let mut runner = Runner::new(&loaded, common).map_err(|f| f.text)?;
    let jobs = &loaded.checked.program.jobs;
    let values = jobs.iter().map(|job| {
        let report = runner.job(job).map_err(|f| Failed::from(f.text))?;
        Ok(report.metrics.iter().map(|(_, value)| *value).collect())
    });
    values.collect()
}

fn near(found: f64, expected: f64, share: f64) -> Result<(), Failed> {
    match (found - expected).abs() <= share * expected.abs() {
        true => Ok(()),
        false => Err(format!("{found}, expected {expected} within {share}").into()),
    }
}

/// Largest singular values after 1 to 5 iterations, the regulariser of the first, and that of the bias: numpy, in doubles.
fn golden() -> Result<(), Failed> {
    let file = "spectral_golden.snn";
    loaded(&root().join("tests/suite/losses").join(file))?;
    let found = metrics(file, &common())?;
    let [start, _, second, _, third, _, fourth, _, fifth] = &found[..] else {
        return Err("nine jobs are wanted".into());
    };
    for (found, expected) in start.iter().zip([3.301514804, 98.01, 0.0196]) {
        near(*found, expected, 2e-6)?;
    }
    near(second[0], 3.369248690, 1e-6)?;
    near(third[0], 3.376358680, 1e-6)?;
    near(fourth[0], 3.377069038, 1e-6)?;
    near(fifth[0], 3.377139651, 1e-6)
}

/// Nothing to regularise at orthogonal weights without a bias; known singular values within 1e-3.
fn orthogonal() -> Result<(), Failed> {
    let file = "spectral_orthogonal.snn";
    let found = metrics(file, &common())?;
    let [orthogonal, _, largest] = &found[..] else { return Err("three jobs are wanted".into()) };
    match orthogonal[0] < 1e-10 {
        true => near(largest[0], 3.0, 1e-3),
        false => Err(format!("{orthogonal:?}").into()),
    }
}

/// What the last job reports with a regulariser of this strength.
fn last(file: &str, strength: &str) -> Result<Vec<f64>, Failed> {
    let common = Common { params: vec![format!("strength={strength}")], ..common() };
    metrics(file, &common)?.pop().ok_or_else(|| "no jobs".into())
}

fn spectral() -> Result<(), Failed> {
    let (with, without) = (last("spectral.snn", "0.3")?, last("spectral.snn", "0")?);
    let holds = with[0] < 1.2 && with[1] > 0.8 && without[0] > 2.0;
    if holds { Ok(()) } else { Err(format!("largest and smallest {with:?}, without it {without:?}").into()) }
}

fn l2_init() -> Result<(), Failed> {
    let (with, without) = (last("l2_init.snn", "1")?, last("l2_init.snn", "0")?);
    // What is held is the distance from the first values, not the length.
    let holds = with[0] < 0.2 * without[0] && with[0] > 0.0 && with[0] < 0.1 * with[1];
    if holds { Ok(()) } else { Err(format!("distance and length {with:?}, without it {without:?}").into()) }
}

/// Weights and first values are read of the checkpoint and sorted here.
fn wasserstein() -> Result<(), Failed> {
    let folder = Folder::new()?;
    let (file, out) = (root().join("tests/suite/losses/wasserstein.snn"), folder.path("out"));
    let run = |strength: &str| -> Result<[f64; 3], Failed> {
        let strength = format!("strength={strength}");
        let file = file.display().to_string();
        let ran = snnc(&["run", &file, "-p", &strength, "--out", &out, "--json"])?.expect(0)?.json()?;
        let metrics = &ran["jobs"][1]["metrics"];
        let value = |name: &str| {
            let found = metrics[format!("sum({name}(*.weight), over = weights)")].as_f64();
            found.ok_or_else(|| Failed::from(metrics.to_string()))
        };
        let checkpoint = File::read(&std::path::Path::new(&out).join("Alike.safetensors"))?;
        let mut sorted = 0.0;
        for name in ["x->h.weight", "h->y.weight"] {
            let tensors = [name.to_string(), format!("{name}.first")].map(|name| checkpoint.tensor(&name));
            let [now, first] = tensors.map(|tensor| {
                let mut values = tensor.map(|(_, values)| values).unwrap_or_default();
                values.sort_by(f32::total_cmp);
                values
            });
            sorted += now.iter().zip(&first).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        Ok([value("wasserstein_init")?, value("l2_init")?, sorted])
    };
    let (with, without) = (run("1")?, run("0")?);
    for [found, _, sorted] in [with, without] {
        near(found, sorted, 1e-4)?;
    }
    // The distribution is held, the weights are not.
    let holds = with[0] > 0.0 && with[0] < 0.1 * without[0] && with[1] > 5.0 * with[0];
    if holds { Ok(()) } else { Err(format!("{with:?}, without it {without:?}").into()) }
}
