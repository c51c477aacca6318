//! How a library of models pins the code that is generated for it: copy this file. `INSTA_UPDATE=always cargo test` accepts new
//! code; the text is the same on every machine.

use snn_compiler::analyze::Overrides;
use snn_compiler::diag::{Diagnostics, render};
use snn_compiler::pipeline::{self, Stage};
use snn_compiler::source::Sources;

/// The text of a stage of a program, as `snnc emit --stage …` prints it.
fn emitted(program: &str, stage: Stage) -> String {
    let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
    let file = sources.add("model.snn", program);
    let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
    assert!(!diags.has_errors(), "{}", render::to_text(&diags, &sources, false));
    pipeline::emit_text(&checked, stage).unwrap()
}

const LEAKY: &str = "
neuron Leaky(tau: time = 20 ms) {
    input i
    state v = 0
    step {
        v = exp(-dt / tau) * v + i
        fire v >= 1
        v = v - fired
    }
    emit fired
}
simulate one(Leaky, i = 0.1) for 100 steps { record v }
";

#[test]
fn one_step_of_the_neuron() {
    insta::assert_snapshot!(emitted(LEAKY, Stage::Step));
}

#[test]
fn its_time_loop_in_machine_terms() {
    insta::assert_snapshot!(emitted(LEAKY, Stage::Clif));
}
