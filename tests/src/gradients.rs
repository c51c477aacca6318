//! Gradients proven: of every training of the suite, and of every neuron of the standard library in a small network. Each
//! against central differences of the relaxed network, by the transpose test, and compiled against interpreted.

use crate::corpus::{common, files, loaded, name, root};
use libtest_mimic::{Failed, Trial};
use snn_compiler::hir::JobKind;
use snnc::gradcheck::gradcheck;
use snnc::job::Runner;
use snnc::load::Loaded;
use std::path::Path;

/// Steps at most: the interpreter is slow.
const STEPS: usize = 6;

/// Neurons whose input is a current, and weights that make them fire.
const CURRENTS: &[(&str, &str)] = &[
    ("IafPscExp", "normal(0 nA, 30 nA)"),
    ("IafPscAlpha", "normal(0 nA, 20 nA)"),
    ("AdEx", "normal(0 nA, 20 nA)"),
];

/// Neurons without unit that want stronger weights.
const STRONG: &[(&str, &str)] = &[("Izhikevich", "normal(0, 40)"), ("Theta", "normal(0, 1)")];

/// One trial for each training and each neuron.
pub fn trials() -> Vec<Trial> {
    let mut list = Vec::new();
    for path in files(&root().join("tests/suite"), "snn") {
        let is_training = std::fs::read_to_string(&path).is_ok_and(|text| text.contains("\ntrain "));
        if is_training && !name(&path).contains("suite/errors") {
            list.push(Trial::test(format!("gradients of {}", name(&path)), move || prove(loaded(&path)?)));
        }
    }
    let text = std::fs::read_to_string(root().join("stdlib/neuron.snn")).unwrap_or_default();
    // What has no input passes no gradient on.
    let reads = |neuron: &&str| neuron.split("\n}").next().is_some_and(|body| body.contains("\n    input "));
    for neuron in text.split("\nneuron ").skip(1).filter(reads) {
        let neuron = neuron.split(['(', ' ']).next().unwrap_or("").to_string();
        list.push(Trial::test(format!("gradients of std.neuron.{neuron}"), move || of_neuron(&neuron)));
    }
    list
}

fn of_neuron(neuron: &str) -> Result<(), Failed> {
    let weights = CURRENTS.iter().chain(STRONG).find(|(name, _)| *name == neuron);
    let init = weights.map_or("kaiming_normal(2)", |(_, init)| init);
    let program = format!(
        "model Net {{
            input x: [64]
            let h = {neuron}[5]
            let y = Integrator[10](tau = 20 ms)
            x -> h : dense(init = {init})
            h -> y : dense
            output y.v
        }}
        data digits = std.data.digits(split = 0.8)
        train Net on digits {{ steps {STEPS} loss cross_entropy(mean(y.v)) }}"
    );
    let dir = std::env::temp_dir().join(format!("snn-gradients-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let path = dir.join(format!("{neuron}.snn"));
    std::fs::write(&path, program)?;
    let loaded = loaded(&path);
    std::fs::remove_file(Path::new(&path))?;
    prove(loaded?)
}

fn prove(mut loaded: Loaded) -> Result<(), Failed> {
    let program = &mut loaded.checked.program;
    let Some(job) = program.jobs.iter_mut().find(|job| job.kind == JobKind::Train) else {
        return Err("there is no training".into());
    };
    job.steps = job.steps.min(STEPS);
    let common = common();
    let mut runner = Runner::new(&loaded, &common).map_err(|f| f.text)?;
    match gradcheck(&mut runner) {
        Ok(report) if report.failed.is_some() => Err(report.text.into()),
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.text.into()),
    }
}
