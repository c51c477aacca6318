//! Initializers that promise something of activity: it is measured in a simulation.

use crate::corpus::{common, loaded, root};
use libtest_mimic::{Failed, Trial};
use snnc::job::Runner;

/// One trial for each promise.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("lsuv: what arrives has the variance asked for, layer by layer", lsuv),
        Trial::test("fluctuation_driven: the membrane has the std asked for", fluctuation),
        Trial::test("dirac, delta_orthogonal, lsuv: what convolutions make of their input", convolutions),
    ]
}

/// What the first job of a program of `tests/suite/inits` reports.
fn reported(file: &str) -> Result<Vec<f64>, Failed> {
    let loaded = loaded(&root().join("tests/suite/inits").join(file))?;
    let common = common();
    let mut runner = Runner::new(&loaded, &common).map_err(|f| f.text)?;
    let report = runner.job(&loaded.checked.program.jobs[0]).map_err(|f| f.text)?;
    Ok(report.metrics.iter().map(|(_, value)| *value).collect())
}

fn near(found: f64, expected: f64, tolerance: f64) -> Result<(), Failed> {
    match (found - expected).abs() <= tolerance {
        true => Ok(()),
        false => Err(format!("{found}, expected {expected} within {tolerance}").into()),
    }
}

fn lsuv() -> Result<(), Failed> {
    let found = reported("lsuv.snn")?;
    for (found, expected) in found.iter().zip([4.0, 1.0, 1.0]) {
        near(*found, expected, 1e-3 * expected)?;
    }
    Ok(())
}

fn convolutions() -> Result<(), Failed> {
    let [whole, grouped, depthwise, before, after, variance] = reported("convolutions.snn")?[..] else {
        return Err("six reports are wanted".into());
    };
    near(whole, 0.0, 0.0)?;
    near(grouped, 0.0, 0.0)?;
    near(depthwise, 0.0, 0.0)?;
    near(after, before, 1e-5 * before)?;
    match before > 1000.0 {
        true => near(variance, 4.0, 4e-3),
        false => Err(format!("nothing arrives: {before}").into()),
    }
}

/// Of inputs that spike independently with probability p the membrane has the variance n s^2 (p (1 - p) k2 + p^2 k1^2) over neurons and steps,
/// where s is the std of weights, k1 and k2 the sums of the response and of its squares; what was asked for is n s^2 p k2 = 0.01.
fn fluctuation() -> Result<(), Failed> {
    let [variance, mean, rate] = reported("fluctuation.snn")?[..3] else {
        return Err("three reports are wanted".into());
    };
    let (p, b) = (0.02, f64::exp(-1.0 / 5.0));
    let (k1, k2) = (1.0 / (1.0 - b), 1.0 / (1.0 - b * b));
    let expected = 0.01 * (1.0 - p + p * k1 * k1 / k2);
    near(variance, expected, 0.06 * expected)?;
    near(mean, 0.0, 0.02)?;
    near(rate, 0.0, 0.0)
}
