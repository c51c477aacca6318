//! Jobs of small programs: what is decided for them, and the messages about their mistakes.

use crate::analyze::checks::suite::analyze;
use crate::hir::{Compare, DriveValues, JobKind, Measure, Part, Program, TraceRef};

const MODEL: &str = "
model M {
    input x: [64]
    let h = Lif[32]
    let y = Integrator[10]
    x -> h : dense
    h -> y : dense
    output y.v
}
data digits = std.data.digits(split = 0.8, seed = 3)
";

/// The program of `MODEL` and jobs without messages.
#[track_caller]
fn jobs(text: &str) -> Program {
    let (program, diags, _) = analyze(&format!("{MODEL}{text}"));
    let messages: Vec<String> = diags.list.iter().map(|d| format!("{} {}", d.code.name(), d.title)).collect();
    assert!(messages.is_empty(), "{}", messages.join("\n"));
    program
}

/// The messages about `MODEL` and jobs.
#[track_caller]
fn check_messages(text: &str, expected: &[&str]) {
    let (_, diags, _) = analyze(&format!("{MODEL}{text}"));
    let found: Vec<String> = diags.list.iter().map(|d| format!("{} {}", d.code.name(), d.title)).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn a_training_has_defaults() {
    let program = jobs("train M on digits");
    let job = &program.jobs[0];
    assert_eq!((job.steps, job.dt, job.batch, job.seed), (20, 1e-3, 64, 0));
    assert_eq!(job.data, Some((0, Part::Train)));
    let train = job.train.as_ref().expect("settings of a training");
    assert_eq!((train.epochs, train.window, train.clip, train.early_stop), (10, None, None, None));
    assert_eq!(train.optimizer.text, "adam");
    assert!(job.loss.as_ref().is_some_and(|loss| loss.shape.is_empty()));
}

#[test]
fn later_jobs_take_steps_dt_and_loss_from_the_training() {
    let program = jobs(
        "train M on digits { steps 30   dt 0.5 ms   loss mse(mean(y.v)) }
         evaluate M on digits.test { metric accuracy }
         simulate M on digits.test for 10 ms { record h.v }
         evaluate M on digits { steps 7 }",
    );
    let clocks: Vec<(usize, f64)> = program.jobs.iter().map(|job| (job.steps, job.dt)).collect();
    assert_eq!(clocks, [(30, 0.5e-3), (30, 0.5e-3), (20, 0.5e-3), (7, 0.5e-3)]);
    let loss = |at: usize| program.jobs[at].loss.as_ref().map(|loss| format!("{:?}", loss.kind));
    assert_eq!(loss(1), loss(0));
    assert!(program.jobs[2].loss.is_none());
    let parts: Vec<_> = program.jobs.iter().map(|job| job.data.map(|data| data.1)).collect();
    assert_eq!(parts, [Some(Part::Train), Some(Part::Test), Some(Part::Test), Some(Part::All)]);
    assert_eq!(program.jobs[3].kind, JobKind::Evaluate);
}

#[test]
fn truncated_gradients_clip_and_early_stop() {
    let program = jobs(
        "train M on digits { gradient tbptt(10)   clip 0.5   early_stop(patience = 3, least = 1e-3)
                             optimizer sgd(lr = linear(0.1, 0), momentum = 0.9) }
         train M on digits { gradient tbptt(100) }",
    );
    let train = program.jobs[0].train.as_ref().expect("settings");
    assert_eq!((train.window, train.clip, train.early_stop), (Some(10), Some(0.5), Some((3, 1e-3))));
    assert_eq!(train.optimizer.states.len(), 1);
    assert!(train.optimizer.body.iter().any(|(local, _)| *local == train.optimizer.w));
    // A window of all steps is no window.
    assert_eq!(program.jobs[1].train.as_ref().and_then(|train| train.window), None);
}

#[test]
fn records_and_reports() {
    let program = jobs(
        "simulate M for 50 ms {
             x = 0.5
             record spikes(h), h.v, h[0..5].v, *.v
             report rate, rate(h), count, count(h), mean(y.v, over = all), mean(*.v), rate(h) / rate(h)
         }",
    );
    let job = &program.jobs[0];
    assert_eq!((job.batch, job.steps), (1, 50));
    assert!(matches!(job.drives[0].values, DriveValues::Constant(0.5)));
    let names: Vec<&str> = job.records.iter().map(|record| record.name.as_str()).collect();
    assert_eq!(names, ["h.spikes", "h.v", "h[0..5].v", "h.v", "y.v"]);
    assert_eq!(job.records[2].range, Some((0, 5)));
    assert!(job.records[0].events && !job.records[1].events);
    let units: Vec<String> = job.reports.iter().map(|report| report.value.unit.to_string()).collect();
    assert_eq!(units, ["rate (Hz)", "rate (Hz)", "number", "number", "number", "number", "number", "number"]);
}

#[test]
fn a_test_measures_one_neuron() {
    let program = jobs(
        "test \"t\" {
             simulate one(AdEx[2](tauw = 10 ms), I = 250 pA) for 6 steps
             expect V within 0.1 mV of [-70 mV, -69 mV]
             expect rate < 100 Hz
             expect count != 0
             expect fired == [0, 0, 1]
             expect -70 mV within 1 % of one.V
         }",
    );
    let test = &program.tests[0];
    assert_eq!((test.job.steps, test.job.drives.len()), (6, 1));
    assert!(matches!(test.job.drives[0].values, DriveValues::Constant(i) if (i - 250e-12).abs() < 1e-20));
    let compares: Vec<Compare> = test.expects.iter().map(|e| e.compare).collect();
    let within = [Compare::Within(1e-4), Compare::Lt, Compare::Ne, Compare::Eq, Compare::WithinShare(0.01)];
    assert_eq!(compares, within);
    assert!(matches!(test.expects[0].left, Measure::Trace(TraceRef::State(_))));
    let model = &program.models[test.job.model.idx()];
    assert_eq!((model.populations.len(), &model.populations[0].shape[..]), (1, &[2][..]));
}

#[test]
fn settings_are_given_once_and_have_one_value() {
    check_messages("train M on digits { epochs 1   epochs 2 }", &["E0109 `epochs` is given twice"]);
    check_messages("train M on digits { epochs 1, 2 }", &["E0304 `epochs` takes one value"]);
    check_messages(
        "train M on digits { epochs 1.5 }",
        &["E0502 the number of epochs is a whole number of at least 1"],
    );
    check_messages("train M on digits { dt 1 }", &["E0406 `dt` is a time"]);
    check_messages("train M on digits { dt -1 ms }", &["E0406 `dt` must be above 0"]);
    check_messages("train M on digits { clip 0 }", &["E0502 the norm to clip at must be above 0"]);
    check_messages("train M on digits { seed 1 ms }", &["E0401 the seed is a number without unit"]);
    check_messages(
        "train M on digits { early_stop() }",
        &["E0303 `early_stop` needs the argument `patience`"],
    );
    check_messages("train M on digits { optimizer Lif }", &["E0301 `Lif` is a neuron, not an optimizer"]);
}

#[test]
fn inputs_of_a_simulation_are_complete() {
    check_messages("simulate M for 1 s { report rate }", &["E0303 input `x` gets no values"]);
    check_messages("simulate M for 1 s { z = 1   x = 1 }", &["E0201 the model has no input `z`"]);
    check_messages("simulate M for 1 s { x = [1, 2] }", &["E0301 input `x` has one value for the whole run"]);
    check_messages("simulate M for 1 s { x = 1 mV }", &["E0401 input `x` is a number without unit"]);
    check_messages("simulate M for 1 s { x = 1;  steps 5 }", &["E0109 the length of the run is given twice"]);
    check_messages("simulate one(Lif, j = 1) for 1 s", &["E0706 neuron `Lif` has no input `j`"]);
    check_messages("simulate one(3) for 1 s", &["E0303 `one` needs a neuron"]);
}

#[test]
fn values_that_jobs_read_exist() {
    check_messages("simulate M for 1 s { x = 1   record h.w }", &["E0201 `h` has no value `w`"]);
    check_messages(
        "simulate M for 1 s { x = 1   record spikes(y) }",
        &["E0307 population `y` has no spikes"],
    );
    check_messages("simulate M for 1 s { x = 1   record h[5..5].v }", &["E0505 this range is empty"]);
    check_messages(
        "simulate M for 1 s { x = 1   record *.q }",
        &["E0201 no population has the values of `*.q`"],
    );
    check_messages(
        "train M on digits { loss *.v }",
        &["E0309 `*` stands for every population, and one value is wanted here"],
    );
    check_messages("evaluate M on digits.tset", &["E0201 data has no part `tset`"]);
    check_messages(
        "model P(n) { input x: [64]   let y = Integrator[n]   x -> y : dense   output y.v }   train P on digits",
        &["E0303 model `P` needs a value for `n`"],
    );
    check_messages("train h on digits", &["E0201 there is no model `h`"]);
    check_messages("train Lif on digits", &["E0301 `Lif` is a neuron, not a model"]);
}

#[test]
fn expectations_have_units() {
    let test =
        |expect: &str| format!("test \"t\" {{ simulate one(Lif, i = 0.1) for 1 s   expect {expect} }}");
    check_messages(&test("rate > 10"), &["E0401 a rate (Hz) is compared with a number"]);
    check_messages(&test("v within 1 mV of 1"), &["E0401 the tolerance is a number without unit"]);
    check_messages(&test("[1, 2] == [1, 2, 3]"), &["E0501 the lists differ in length"]);
    check_messages(&test("v"), &["E0301 `expect` takes a comparison"]);
    check_messages(&test("spike == 3"), &["E0201 a test of `one` has no value `spike`"]);
    check_messages("test \"t\" { expect 1 == 1 }", &["E0303 a test needs a simulation"]);
}

#[test]
fn optimizers_that_nobody_uses_are_checked() {
    check_messages("optimizer o(lr) { update { w = w - lr * gg } }", &["E0201 nothing is named `gg` here"]);
    check_messages(
        "optimizer o(lr) { update { let a = lr * g } }",
        &["E0807 optimizer `o` never changes `w`"],
    );
    check_messages("optimizer o(lr = 1) { state m = pi   update { m = g   w = w - lr * m } }", &[]);
}
