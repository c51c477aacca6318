//! Gradients of independent programs: AR-LIF, the membrane potential rectifier, a small LIF network. Each must hold in the f64
//! interpreter, the f32 interpreter and in machine code. Traces of single neurons are in `tests/suite/neurons/*_golden.snn`.
//!
//! E-I layers (DeepEISNN, arXiv 2509.23253): by an independent program in double precision. AR-LIF (Huang et al. 2025) and MPR (Guo et
//! al. 2022): computed once in double precision by programs written from the released code, printed to nine decimals. Batch norm is in
//! `golden/norm.rs`, circuits of images and columns in `golden/ei.rs`; resets, surrogates and
//! other neurons are in `golden/rules.rs`. The LIF network: `tests/golden/lif_net.py`, by PyTorch in double precision.

mod ei;
mod norm;
mod rules;
mod wave;

use crate::differential::{Given, compiled, interpreted};
use libtest_mimic::{Failed, Trial};
use snn_compiler::analyze::Overrides;
use snn_compiler::diag::{Diagnostics, render};
use snn_compiler::net::Net;
use snn_compiler::pipeline::{self, DataFacts, Options, Purpose};
use snn_compiler::source::Sources;

/// The trials.
pub fn trials() -> Vec<Trial> {
    let trial = |name: &str, run: fn() -> Result<(), String>| {
        Trial::test(format!("golden: gradients of {name}"), move || run().map_err(Failed::from))
    };
    let mut list = rules::trials();
    list.extend([
        trial("AR-LIF", ar_lif),
        trial("the rectified membrane without leak", rectified),
        trial("the rectified membrane with leak", rectified_with_leak),
        trial("a LIF network", lif_net),
        trial("a layer of excitation and inhibition", ei_layer),
        trial("the input of a layer of excitation and inhibition", ei_layer_input),
        trial("a silent layer of excitation and inhibition", ei_layer_silent),
        trial("the readout of layers of excitation and inhibition", ei_readout),
        trial("a convolutional layer of excitation and inhibition", ei::straight),
        trial("the same without the straight-through gradient", ei::replaced),
        trial("a layer with feed-forward inhibition, corrected", ei::dann),
        trial("two layers of columns", ei::columns),
        trial("a normalised membrane, the raw one carried", norm::raw),
        trial("a normalised membrane that is carried", norm::normalised),
        trial("threshold-dependent batch norm", norm::threshold_dependent),
        trial("a pulse that goes around a ring", wave::pulse),
        trial("a wave recurrent network", wave::gradients),
    ]);
    list
}

/// Values of outputs or parameters by name.
pub type Named<'a> = &'a [(&'a str, &'a [f64])];

/// Runs the gradient net of a program's training on all engines and compares outputs.
pub fn check(text: &str, given: &Given, width: usize, params: Named, expected: Named) -> Result<(), String> {
    let samples = given.iter().find(|(name, _)| name == "mask").map_or(0, |(_, mask)| mask.len());
    let purpose = Purpose::Gradient { relaxed: false };
    all_engines(text, purpose, (given, samples, width), params, |engine, _, got, tolerance| {
        compare(engine, got, expected, tolerance)
    })
}

/// Runs a net of a program's training on all engines; `given` are the inputs, how many samples, and the width of targets. `compare` gets
/// the name of the engine, all outputs, and the relative difference that is allowed.
fn all_engines(
    text: &str,
    purpose: Purpose,
    (given, samples, width): (&Given, usize, usize),
    params: Named,
    compare: impl Fn(&str, &Net, Vec<(String, Vec<f64>)>, f64) -> Result<(), String>,
) -> Result<(), String> {
    for strict in [true, false] {
        let net = net_of(text, purpose, width, strict)?;
        let params = arrays(&net, params)?;
        // Parameters are stored in f32, for the interpreter too.
        compare("f64", &net, interpreted::<f64>(&net, given, &params, samples), 1e-6)?;
        compare("f32", &net, in_f64(interpreted::<f32>(&net, given, &params, samples)), 1e-5)?;
        let options = Options { strict, vector: true };
        let got = compiled(&net, given, &params, samples, options, 1)?;
        compare(if strict { "strict" } else { "fast" }, &net, in_f64(got), 1e-5)?;
    }
    Ok(())
}

/// A net of a program's training; `width` is that of targets.
pub(crate) fn net_of(text: &str, purpose: Purpose, width: usize, strict: bool) -> Result<Net, String> {
    let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
    let file = sources.add("golden.snn", text);
    let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
    if diags.has_errors() {
        return Err(render::to_text(&diags, &sources, false));
    }
    let job = &checked.program.jobs[0];
    let model = &checked.program.models[job.model.idx()];
    let data = DataFacts { target_width: width, spikes: false };
    Ok(pipeline::net(model, job, purpose, job.batch, data, strict)?.net)
}

fn in_f64(outputs: Vec<(String, Vec<f32>)>) -> Vec<(String, Vec<f64>)> {
    let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
    outputs.into_iter().map(|(name, values)| (name, wide(values))).collect()
}

fn arrays(net: &Net, params: Named) -> Result<Vec<Vec<f32>>, String> {
    let of = |name: &str| {
        let (_, values) =
            params.iter().find(|(known, _)| *known == name).ok_or_else(|| format!("no values for {name}"))?;
        Ok(values.iter().map(|value| *value as f32).collect())
    };
    net.params.iter().map(|param| of(&param.name)).collect()
}

fn compare(
    engine: &str,
    got: Vec<(String, Vec<f64>)>,
    expected: Named,
    tolerance: f64,
) -> Result<(), String> {
    for (name, expected) in expected {
        let (_, values) =
            got.iter().find(|(known, _)| known == name).ok_or_else(|| format!("no output {name}"))?;
        let is_near = |(a, b): (&f64, &f64)| (a - b).abs() <= tolerance * b.abs().max(1.0);
        if values.len() != expected.len() || !values.iter().zip(*expected).all(is_near) {
            return Err(format!("{engine}: {name} is {values:?}, not {expected:?}"));
        }
    }
    Ok(())
}

/// One neuron whose input at step `t` is weight `t`, so that gradients of weights are those of the input. The loss is the sum of
/// `(t + 1)` times what it emits.
pub fn one_neuron(neuron: &str, steps: usize) -> (String, Given) {
    let text = format!(
        "model One {{
            input x: [{steps}] stream
            let h = {neuron}
            x -> h : dense
            output h
        }}
        data given = std.data.npy(x = \"none.npy\")
        train One on given {{
            steps {steps}   batch 1
            loss sum(sum((step_index + 1) * h, over = time), over = population)
        }}"
    );
    let values = (0..steps * steps).map(|at| if at / steps == at % steps { 1.0 } else { 0.0 }).collect();
    (text, vec![("x".into(), values), ("mask".into(), vec![1.0])])
}

fn ar_lif() -> Result<(), String> {
    let (text, given) = one_neuron("ArLif[1]", 6);
    let x = [0.8, 0.9, 1.5, -0.3, 1.2, 0.4];
    let params: Named = &[("x->h.weight", &x), ("h.a", &[0.3]), ("h.c", &[1.0])];
    let expected: Named = &[
        ("loss", &[7.0]),
        ("grad x->h.weight", &[0.665634102, 0.542166674, 2.120215064, 2.5, 4.55571914, 0.0]),
        ("grad h.a", &[-5.26212341]),
        ("grad h.c", &[-0.032424127]),
    ];
    check(&text, &given, 0, params, expected)
}

fn rectified() -> Result<(), String> {
    let (text, given) = one_neuron("MprIf[1](lambda = 1)", 5);
    let expected: Named = &[
        ("loss", &[2.0]),
        ("grad x->h.weight", &[1.133088561, 0.257390739, 6.811049124, 6.811049124, 6.811049124]),
    ];
    check(&text, &given, 0, &[("x->h.weight", &[0.3, 0.35, 0.2, -0.4, 0.9])], expected)
}

fn rectified_with_leak() -> Result<(), String> {
    let (text, given) = one_neuron("MprIf[1](lambda = 0.25)", 5);
    let expected: Named = &[
        ("loss", &[5.0]),
        ("grad x->h.weight", &[1.060971135, 2.639169919, 3.561661472, 0.927539438, 3.710157751]),
    ];
    check(&text, &given, 0, &[("x->h.weight", &[0.3, 0.35, 0.2, -0.4, 0.9])], expected)
}

fn lif_net() -> Result<(), String> {
    let text = "model Net {
            input x: [3]
            let h = Lif[4](tau = 10 ms)
            let y = Integrator[2](tau = 20 ms)
            x -> h : dense
            h -> y : dense
            output y.v
        }
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train Net on none { steps 6   dt 1 ms   batch 2   loss cross_entropy(mean(y.v)) }";
    let given: Given = vec![
        ("x".into(), vec![0.9, 0.3, 0.6, 0.2, 0.8, 0.5]),
        ("target".into(), vec![1.0, 0.0, 0.0, 1.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    // Stored [pre][post].
    let w = [0.8, 0.2, 0.6, 0.5, 0.4, 0.9, -0.3, 0.5, 0.3, 0.5, 0.7, 0.5];
    let u = [0.5, -0.3, -0.4, 0.6, 0.3, 0.1, 0.2, -0.2];
    let expected: Named = &[
        ("loss", &[0.17573012308053293]),
        (
            "grad x->h.weight",
            &[
                -0.08124861107042491,
                0.06373320172976243,
                -0.015295548693476907,
                -0.02424947313508432,
                0.13846294176115415,
                -0.22557264172390248,
                0.03201467334923917,
                0.07298138640128544,
                0.02860716534536463,
                -0.08091971999707,
                0.008359562327881126,
                0.024365956633100552,
            ],
        ),
        (
            "grad h->y.weight",
            &[
                -0.031659742576071015,
                0.03165974257607107,
                0.23482179133758266,
                -0.23482179133758263,
                -0.10251394061043838,
                0.10251394061043842,
                0.06616645397421692,
                -0.06616645397421689,
            ],
        ),
    ];
    check(text, &given, 2, &[("x->h.weight", &w), ("h->y.weight", &u)], expected)
}

/// Weights, stored [pre][post]: three inputs, two excitatory and two inhibitory neurons.
const EI: Named = &[
    ("c.w_ee", &[0.2, 0.0, 0.1, 0.5, 0.3, 0.1]),
    ("c.w_ie", &[0.4, 0.1, 0.0, 0.0, 0.2, 0.3]),
    ("c.w_ei", &[0.5, 0.0, 0.5, 0.0]),
    ("c.g_i", &[0.8, 1.2]),
    ("c.g_e", &[1.0, 2.0]),
    ("c.b_e", &[0.0, 0.1]),
];

/// A model of one E-I layer that does not spike; the loss is its output times `target`, summed over both samples. One neuron has no
/// inhibition, so that its divisor is replaced.
fn ei_text(source: &str) -> String {
    format!(
        "neuron Through {{ input i   emit i }}
        model One {{
            input x: [3] >= 0
            let c = EiLayer(2, ratio = 1, spiking = Through)
            {source}
            output c
        }}
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train One on none {{ steps 1   batch 2   loss 2 * sum(last(c) * target, over = population) }}"
    )
}

fn ei_layer() -> Result<(), String> {
    let given: Given = vec![
        ("x".into(), vec![1.0, 0.0, 1.0, 1.0, 1.0, 0.0]),
        ("target".into(), vec![1.0, -1.0, 0.5, 2.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    let expected: Named = &[
        ("loss", &[-0.516666667 + 0.5 * 0.227272727 + 2.0 * 4.645454545]),
        ("grad c.w_ee", &[4.356060606, 14.015151515, 2.272727273, 18.181818182, 2.083333333, -4.166666667]),
        (
            "grad c.w_ie",
            &[-2.384641873, -2.487947658, -1.342975207, -1.446280992, -1.041666667, -1.041666667],
        ),
        ("grad c.w_ei", &[-0.774793388, -5.859733701, -0.374196511, -1.564508724]),
        ("grad c.g_i", &[-0.103305785, -0.025826446]),
        ("grad c.g_e", &[0.113636364, 4.337121212]),
        ("grad c.b_e", &[1.5, 1.0]),
    ];
    check(&ei_text("x -> c"), &given, 2, EI, expected)
}

/// Samples are independent, so that each input can be a weight whose gradient is asked for.
fn ei_layer_input() -> Result<(), String> {
    let source = "learn p: [3] >= 0 = 1
            population q[3]: Rate
            q.in = p * x
            q -> c";
    let samples: [(&[f64], [f32; 2], [f64; 3]); 2] = [
        (&[1.0, 0.0, 1.0], [1.0, -1.0], [-0.104166667, -1.875, -0.3125]),
        (&[1.0, 1.0, 0.0], [0.5, 2.0], [-0.227272727, 9.318181818, 1.797520661]),
    ];
    for (x, d, expected) in samples {
        let target = vec![d[0], d[1], 0.0, 0.0];
        let given: Given =
            vec![("x".into(), vec![1.0; 6]), ("target".into(), target), ("mask".into(), vec![1.0, 1.0])];
        let params: Vec<(&str, &[f64])> = [("p", x)].into_iter().chain(EI.iter().copied()).collect();
        check(&ei_text(source), &given, 2, &params, &[("grad p", &expected)])?;
    }
    Ok(())
}

/// Where nothing arrives every divisor is 0, and the output is the bias: all outputs in one number.
fn ei_layer_silent() -> Result<(), String> {
    let given: Given = vec![
        ("x".into(), vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        ("target".into(), vec![1.0, 10.0, 100.0, 1000.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    let own: Named = &[("c.w_ei", &[0.5, 0.25, 0.5, 0.75])];
    let params: Vec<(&str, &[f64])> = own.iter().chain(EI).copied().collect();
    let expected: Named = &[
        ("loss", &[-13.58333333 + 100.0]),
        // Of the silent sample only the bias learns.
        ("grad c.b_e", &[101.0, 1010.0]),
    ];
    check(&ei_text("x -> c"), &given, 2, &params, expected)
}

/// Excitation minus inhibition, (0, -0.35) and (0.1, 0.5), not divided: all outputs in one number; the gradient of `w_ei` is a third of
/// that of the sum.
fn ei_readout() -> Result<(), String> {
    let text = "model One {
            input x: [3] >= 0
            let c = EiReadout(2, ratio = 1)
            x -> c
            output c
        }
        data none = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train One on none { steps 1   batch 2   loss 2 * sum(last(c) * target, over = population) }";
    let given: Given = vec![
        ("x".into(), vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        ("target".into(), vec![1.0, 10.0, 100.0, 1000.0]),
        ("mask".into(), vec![1.0, 1.0]),
    ];
    let params: Named = &[EI[0], EI[1], ("c.w_ei", &[0.5, 0.25, 0.5, 0.75])];
    let expected: Named = &[
        ("loss", &[-3.5 + 10.0 + 500.0]),
        ("grad c.w_ee", &[1.0, 10.0, 100.0, 1000.0, 1.0, 10.0]),
        ("grad c.w_ei", &[-0.2, -2.0, -0.4 / 3.0, -4.0 / 3.0]),
    ];
    check(text, &given, 2, params, expected)
}
