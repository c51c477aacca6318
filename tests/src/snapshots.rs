//! Pinned stages: how a library of models would pin its generated code; and what `explain` says of files. The texts are the same on
//! every machine.

use crate::corpus::{common, root};
use libtest_mimic::{Failed, Trial};
use snn_compiler::pipeline::{Stage, emit_text};
use snnc::load::load;

/// Stages of the smallest example, the evaluation net of a normalised membrane, the training net of the digits, a step that differs between
/// training and evaluation.
pub fn trials() -> Vec<Trial> {
    let mut list = Vec::new();
    for (stage, name) in Stage::ALL {
        if !matches!(stage, Stage::Adjoint | Stage::Asm) {
            list.push(trial("examples/01_lif.snn", "01_lif", stage, name));
        }
    }
    // A normalised membrane in an evaluation: what is left of it in the loop is a product and a comparison.
    list.push(trial("tests/suite/norm/membrane.snn", "mpbn", Stage::Net, "net"));
    // Normalisations behind projections: nothing is left of them in the loops.
    list.push(trial("tests/suite/norm/weights.snn", "norm_in_weights", Stage::Net, "net"));
    list.push(trial("examples/digits.snn", "digits", Stage::Adjoint, "adjoint"));
    list.extend(EXPLAINED.iter().map(|file| explained(file)));
    // The step of an evaluation: without the rectifier, which is in training only.
    list.push(trial("tests/suite/neurons/mpr_if.snn", "mpr_if", Stage::Step, "step"));
    list
}

/// Files whose `explain` is pinned: neurons of the library, conventions of others, solvers, delays, circuits.
const EXPLAINED: &[&str] = &[
    "examples/01_lif.snn",
    "examples/ar_lif.snn",
    "examples/digits.snn",
    "examples/ei.snn",
    "examples/recurrent.snn",
    "examples/simulate_adex.snn",
    "tests/suite/neurons/conventions.snn",
    "tests/suite/neurons/explained.snn",
    "tests/suite/norm/weights.snn",
];

fn explained(file: &'static str) -> Trial {
    Trial::test(format!("explain {file}"), move || {
        let loaded = load(&root().join(file), &common()).map_err(|f| Failed::from(f.text))?;
        let stem = std::path::Path::new(file).file_stem().unwrap_or_default().display().to_string();
        pinned(format!("{stem}.explain"), snnc::explain::program(&loaded.checked.program))
    })
}

fn trial(file: &'static str, stem: &'static str, stage: Stage, name: &'static str) -> Trial {
    Trial::test(format!("stage {name} of {file}"), move || {
        let loaded = load(&root().join(file), &common()).map_err(|f| Failed::from(f.text))?;
        let text = emit_text(&loaded.checked, stage)?;
        if text != emit_text(&loaded.checked, stage)? {
            return Err("not the same text twice".into());
        }
        pinned(format!("{stem}.{name}"), text)
    })
}

fn pinned(name: String, text: String) -> Result<(), Failed> {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(root().join("tests/life"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let pinned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(name, text));
    }));
    pinned.map_err(|_| Failed::from("the text differs from the one pinned"))
}
