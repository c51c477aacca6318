//! Initializers that promise something of activity: it is measured in a simulation.

use crate::cli::{Folder, snnc};
use crate::corpus::{common, loaded, root};
use libtest_mimic::{Failed, Trial};
use snn_runtime::train::tensors::File;
use snnc::args::Common;
use snnc::job::Runner;
use snnc::load::load;
use snnc::testing;

/// One trial for each promise that is measured, and for each text of the library: it is a file like any other, whose `verify`s are tests.
pub fn trials() -> Vec<Trial> {
    let mut trials = vec![
        Trial::test("lsuv: what arrives has the variance asked for, layer by layer", lsuv),
        Trial::test("fluctuation_driven: the membrane has the std asked for", fluctuation),
        Trial::test("E-I Init: layers start as standardisers of inputs that fire at random", ei_layer),
        Trial::test("E-I Init: windows have the scale and gain of their statistics", ei_conv),
        Trial::test("fluctuation_driven: inputs, recurrence and inhibition in balance", balance),
        Trial::test("rate_target: neurons fire as often as asked for, layer by layer", rates),
        Trial::test("dirac, delta_orthogonal, lsuv: what convolutions make of their input", convolutions),
        Trial::test("E-I Init: what arrives has no mean, and the std of theory", ei_layers),
        Trial::test("weights start from the first values of others", of_another),
        Trial::test("DANN: weights of inhibition that are drawn balance those of excitation", dann),
        Trial::test("initializers say what they lack: cycles, activity", lacking),
    ];
    for (text, least) in
        [("init", 15), ("init_structure", 15), ("init_kernels", 5), ("init_spiking", 15), ("ei", 2)]
    {
        let name = format!("stdlib/{text}.snn: initializers keep their promises");
        trials.push(Trial::test(name, move || promises(text, least)));
    }
    trials
}

/// Runs the tests of a text of the library, of which there are at least so many.
fn promises(text: &str, least: usize) -> Result<(), Failed> {
    let loaded = loaded(&root().join("stdlib").join(format!("{text}.snn")))?;
    let common = common();
    let mut runner = Runner::new(&loaded, &common).map_err(|f| f.text)?;
    let tests = &loaded.checked.program.tests;
    for test in tests {
        let report = testing::test(&mut runner, test).map_err(|f| f.text)?;
        if let Some(failed) = report.failed {
            return Err(failed.into());
        }
    }
    match tests.len() >= least {
        true => Ok(()),
        false => Err(format!("{} promises, {least} are wanted", tests.len()).into()),
    }
}

/// What the first job of a program of `tests/suite/inits` reports.
fn reported(file: &str) -> Result<Vec<f64>, Failed> {
    reported_by(file, &common())
}

fn reported_by(file: &str, common: &Common) -> Result<Vec<f64>, Failed> {
    let loaded = load(&root().join("tests/suite/inits").join(file), common).map_err(|f| f.text)?;
    let mut runner = Runner::new(&loaded, common).map_err(|f| f.text)?;
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

/// Of all samples, while the initializers see 200 of them.
fn rates() -> Result<(), Failed> {
    let found = reported("rate_target.snn")?;
    near(found[0], 100.0, 10.0)?;
    near(found[1], 250.0, 25.0)
}

/// Of inputs that spike with probability p, with m inhibitory neurons: std sqrt((1 + 1 / m) / (2 - p)), because pooled inhibition takes away what
/// the inputs have in common; 1 with the gain that makes up for it.
fn ei_layers() -> Result<(), Failed> {
    let folder = Folder::new()?;
    for (p, inputs, exact) in [(0.1, 784, 0), (0.5, 1152, 0), (0.1, 784, 1), (0.5, 1152, 1)] {
        let text = format!(
            "neuron Watched {{\n    input i\n    state v = 0\n    step {{\n        let current = i\n        v = current\n        \
             fire v >= 1 with atan\n    }}\n    emit fired\n}}\n\
             model Net {{\n    input x: [{inputs}] stream\n    let c = EiLayer(400, spiking = Watched, exact = {exact})\n    x -> c\n    output c\n}}\n\
             data spikes = std.data.noise(samples = 40, inputs = {inputs}, classes = 400, steps = 10, rate = {p})\n\
             simulate Net on spikes for 10 steps {{\n    batch 40\n    \
             report mean(c.e.current, over = all), variance(c.e.current, over = all)\n}}\n"
        );
        let report = snnc(&["run", &folder.file("net.snn", text)?, "--json"])?.expect(0)?.json()?;
        let metrics = &report["jobs"][0]["metrics"];
        let value = |name: &str| {
            let found = metrics[format!("{name}(c.e.current, over = all)")].as_f64();
            found.ok_or_else(|| Failed::from(metrics.to_string()))
        };
        let pooled = f64::sqrt((1.0 + 1.0 / 100.0) / (2.0 - p));
        let expected = if exact == 1 { 1.0 } else { pooled };
        near(value("variance")?.sqrt(), expected, 0.12 * expected)?;
        // Five standard errors of the mean of so many rows of exponential weights.
        let rows = f64::sqrt(p / (2.0 - p) * (1.0 / 400.0 + 1.0 / 100.0));
        near(value("mean")?, 0.0, 5.0 * rows * expected / pooled)?;
    }
    Ok(())
}

/// What cancels, exactly or, for the one inhibitory neuron that takes the mean of excitation, up to rounding.
fn of_another() -> Result<(), Failed> {
    let [opposite, double, square, mean, deviation] = reported("first_of_another.snn")?[..] else {
        return Err("five reports are wanted".into());
    };
    near(opposite, 0.0, 0.0)?;
    near(double, 0.0, 0.0)?;
    near(mean, 0.0, 1e-5)?;
    match square > 10.0 && deviation > 0.3 {
        true => Ok(()),
        false => Err(format!("nothing is there to cancel: {square}, {deviation}").into()),
    }
}

/// Inhibitory weights of a checkpoint before the first update: exponential numbers, whose mean is their deviation, so that the product of the
/// two means and the number of inhibitory neurons is the mean of excitatory weights.
fn dann() -> Result<(), Failed> {
    let folder = Folder::new()?;
    let text = "model Net { input x: [200] >= 0   let c = Dann(120, ratio = 3, iid = 1)   x -> c   output c }\n\
                data noise = std.data.noise(samples = 8, inputs = 200, classes = 120, steps = 1)\n\
                train Net on noise { steps 1   epochs 1   optimizer sgd(lr = 0)   loss mse(mean(c)) }\n";
    let out = folder.path("out");
    snnc(&["run", &folder.file("net.snn", text)?, "--out", &out, "--quiet"])?.expect(0)?;
    let checkpoint = File::read(&std::path::Path::new(&out).join("Net.safetensors"))?;
    let excitation = f64::sqrt(std::f64::consts::TAU / (200.0 * (std::f64::consts::TAU - 1.0)));
    for (name, mean) in [
        ("c.w_ex", excitation),
        ("c.w_ix", f64::sqrt(excitation / 40.0)),
        ("c.w_ei", f64::sqrt(excitation / 40.0)),
    ] {
        let (_, values) = checkpoint.tensor(name)?;
        let n = values.len() as f64;
        let found = values.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
        let variance = values.iter().map(|v| (f64::from(*v) - found).powi(2)).sum::<f64>() / n;
        near(found, mean, 5.0 * mean / n.sqrt())?;
        // The fourth moment of an exponential number around its mean is 9 times the square of its variance.
        near(variance.sqrt(), mean, 2.5 * mean * f64::sqrt(8.0 / n))?;
    }
    Ok(())
}

/// What is not known before a run is refused there, at the projection.
fn lacking() -> Result<(), Failed> {
    let folder = Folder::new()?;
    let fails = |of_input: &str, recurrent: &str, words: &[&str]| {
        let text = format!(
            "model Net {{\n    input x: [64]\n    let h = Lif[12](theta = 50)\n    let y = Integrator[10]\n\
             x -> h : dense(init = {of_input})\n    h -> h : dense(init = {recurrent}, delay = 1 step)\n\
             h -> y : dense(init = lsuv(h))\n    output y.v\n}}\n\
             data digits = std.data.digits(split = 0.8)\ntrain Net on digits {{ steps 2   epochs 1 }}\n"
        );
        let ran = snnc(&["run", &folder.file("net.snn", text)?])?.fails_with("E0712")?;
        let missing = words.iter().find(|word| !ran.err.contains(**word));
        missing.map_or(Ok(()), |word| Err(format!("no {word:?} in:\n{}", ran.err)))
    };
    fails(
        "kaiming_normal",
        "spectral_radius(where(i > j, 1, 0))",
        &["`h->h.weight`", "eigenvalues are 0", "cycles"],
    )?;
    fails("kaiming_normal", "zeros", &["`h->y.weight`", "nothing arrives", "snnc inspect"])?;
    fails("fluctuation_driven(nu = mean(x, over = all) * 0)", "zeros", &["inputs do not fire", "`nu`"])?;
    fails("fluctuation_driven_by(mu = 0.9, xi = 1)", "zeros", &["of this mean alone", "smaller `mu`"])?;
    fails(
        "kaiming_normal",
        "spectral_radius(rho = 0.5, beta = 1 - 1 / kernel_sum)",
        &["the leak alone", "`rho`"],
    )?;
    fails("vi3nr_auto(round)", "zeros", &["`x->h.weight`", "no slope", "spike_propagation"])?;
    fails("rate_target(x, 0.1, normal(0, 0))", "zeros", &["`x->h.weight`", "nothing arrives"])?;
    Ok(())
}

fn convolutions() -> Result<(), Failed> {
    let [whole, grouped, depthwise, before, after, variance] = reported("convolutions.snn")?[..6] else {
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

/// As [`fluctuation`] for log-normal weights (variance `1 - 1 / e` of their mean square) of three kinds of senders that balance; exponential weights of
/// the first two alone: nine tenths of their variance come from the inputs, and means are as numbers of synapses times means of weights.
fn balance() -> Result<(), Failed> {
    let [mean, variance, rate, mean_f, mean_r, variance_f, variance_r] =
        reported("balance_of_three.snn")?[..7]
    else {
        return Err("seven reports are wanted".into());
    };
    let (p, b) = (0.02, f64::exp(-1.0 / 5.0));
    let (k1, k2) = (1.0 / (1.0 - b), 1.0 / (1.0 - b * b));
    let expected = 0.01 * (1.0 - p + p * k1 * k1 / k2 * (1.0 - f64::exp(-1.0)));
    near(variance, expected, 0.15 * expected)?;
    near(mean, 0.0, 0.05)?;
    near(rate, 0.0, 0.0)?;
    near(variance_f / variance_r, 9.0, 2.0)?;
    let ratio = f64::sqrt(0.1 * 400.0 / (0.9 * 300.0));
    near(mean_f / mean_r, 400.0 / (300.0 * ratio), 0.15)
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

/// Of inputs that fire with probability p (0.05, 0.2, 0.5): pooled deviation 0.73, 0.75, 0.82 of what a layer makes of them, by an independent program.
/// Excitation has the variance of an input, p (1 - p), and the divisor is its deviation. Means are of 204 excitatory and 52 inhibitory neurons, each with
/// the deviation p, or, divided, p / sqrt(p + p (1 - p)), of 256 excitatory and 64 inhibitory ones.
fn ei_layer() -> Result<(), Failed> {
    for (p, deviation) in [(0.05, 0.73), (0.2, 0.75), (0.5, 0.82)] {
        let common = Common { params: vec![format!("p={p}")], ..common() };
        let [ratio, mean, found, mean_e, mean_i] = reported_by("ei_layer.snn", &common)?[..] else {
            return Err("five reports are wanted".into());
        };
        near(ratio, 1.0, 0.05)?;
        near(found, deviation, 0.04)?;
        let of_one = p / f64::sqrt(p + p * (1.0 - p));
        near(mean, 0.0, 5.0 * of_one * f64::sqrt(1.0 / 256.0 + 1.0 / 64.0))?;
        near(mean_e, 0.0, 5.0 * p / f64::sqrt(204.0))?;
        near(mean_i, 0.0, 5.0 * p / f64::sqrt(52.0))?;
    }
    Ok(())
}

/// Statistics of all digits by `tests/golden/ei_net.py`; an image that stays counts once. Of 900 exponential weights the mean is within 5 of its standard errors.
fn ei_conv() -> Result<(), Failed> {
    let [scale, gain, ratio] = reported("ei_conv.snn")?[..3] else {
        return Err("three reports are wanted".into());
    };
    near(scale, 0.16270218767746156, 5.0 / 30.0 * 0.1627)?;
    near(gain, 0.6059862059740798, 2e-6)?;
    near(ratio, 1.0, 5.0 * f64::sqrt(2.0) / 30.0)
}
