//! States that go on from batch to batch: two presentations in a row are one of twice the length, on every engine; what the runtime hands on;
//! threads, and trainings that go on from a checkpoint. `tests/suite/training/carried.snn` is compared as every program is.

use crate::cli::{Folder, ensure, one_training, plain, snnc};
use crate::differential::{Given, compiled, interpreted};
use libtest_mimic::Trial;
use snn_compiler::net::Net;
use snn_compiler::pipeline::{Options, Purpose};
use snn_runtime::program::CARRIED;
use snn_runtime::train::tensors::File;
use std::path::Path;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("carried: two presentations are one of twice the length", halves),
        plain("carried: each sample of a batch goes on, and an epoch starts anew", counted),
        plain("carried: what is learned in short sequences holds in long ones", long_sequences),
        plain("carried: threads and a checkpoint change nothing", gone_on),
        plain("carried: running statistics are no states", statistics),
    ]
}

/// Recurrent and refractory, with states that are read one and three steps later.
fn net(steps: usize) -> String {
    format!(
        "model Net {{
            input x: [6]
            let h = Alif[9](tau = 10 ms)
            let q = IafPscExp[5]
            let y = Integrator[4](tau = 20 ms)
            x -> h : dense
            h -> h : dense(delay = 1 step)
            h -> q : dense(weight = normal(0 pA, 2000 pA), delay = 3 steps)
            q -> y : dense
            h -> y : dense(delay = 2 steps)
            output y.v
        }}
        data given = std.data.npy(x = \"none.npy\", y = \"none.npy\")
        train Net on given {{ steps {steps}   dt 1 ms   batch 20   states carried   loss mse(mean(y.v)) }}"
    )
}

/// Numbers that repeat late, around 0.
fn numbers(n: usize, size: f32) -> Vec<f32> {
    (0..n).map(|k| ((k * k * 7 + k * 37) % 101) as f32 / 50.0 - 1.0).map(|v| v * size).collect()
}

fn halves() -> Result<(), String> {
    let [long, short] = [8, 4].map(|steps| crate::golden::net_of(&net(steps), Purpose::Train, 4, true));
    let (long, short) = (long?, short?);
    let params: Vec<Vec<f32>> = long
        .params
        .iter()
        .map(|param| {
            let size = if param.name == "h->q.weight" { 4e-9 } else { 1.0 };
            numbers(param.shape.iter().product(), size)
        })
        .collect();
    let data: Given = vec![
        ("x".into(), numbers(20 * 6, 1.0)),
        ("target".into(), numbers(20 * 4, 1.0)),
        ("mask".into(), vec![1.0; 20]),
    ];
    in_halves("interpreter", &long, &short, &data, &|net, given| {
        Ok(interpreted::<f32>(net, given, &params, 20))
    })?;
    for vector in [false, true] {
        in_halves("machine code", &long, &short, &data, &|net, given| {
            compiled(net, given, &params, 20, Options { strict: true, vector }, 2)
        })?;
    }
    Ok(())
}

type Values = Vec<(String, Vec<f32>)>;

fn in_halves(
    engine: &str,
    long: &Net,
    short: &Net,
    data: &Given,
    run: &dyn Fn(&Net, &Given) -> Result<Values, String>,
) -> Result<(), String> {
    let states = |values: Values| -> Given {
        values.into_iter().filter(|(name, _)| name.starts_with(CARRIED)).collect()
    };
    // What states start with: 0, but the membranes in volts at rest.
    let first: Given = long
        .inputs
        .iter()
        .filter(|input| input.name.starts_with(CARRIED))
        .map(|input| {
            let start = if input.name.ends_with(" q.V") { -0.07 } else { 0.0 };
            (input.name.clone(), vec![start; 20 * input.ty.width()])
        })
        .collect();
    let whole = states(run(long, &[data.clone(), first.clone()].concat())?);
    let half = states(run(short, &[data.clone(), first].concat())?);
    let both = states(run(short, &[data.clone(), half.clone()].concat())?);
    // Membranes, currents, thresholds, silent steps, spikes, and delays of 1, 2 and 3 steps.
    ensure(whole.len() >= 12, || format!("{engine}: {} states", whole.len()))?;
    let moves = whole.iter().filter(|(_, values)| values.iter().any(|v| *v != values[0])).count();
    ensure(moves >= 10 && half != both, || format!("{engine}: {moves} states are anything"))?;
    for ((name, a), (_, b)) in whole.iter().zip(&both) {
        ensure(a == b, || format!("{engine}: `{name}` is {a:?} after eight steps, {b:?} after twice four"))?;
    }
    Ok(())
}

/// A counter of steps: batches of 2, 2 and 1 samples end with 3, 6 and 9, so that the loss is (2 * 9 + 2 * 36 + 81) / 5 in every epoch.
fn counted() -> Result<(), String> {
    let text = "neuron Counter { input i   state n = 0   step { n = n + 1 + 0 * i }   emit n }
        model Count { input x: [3]   let c = Counter[1]   x -> c : dense   output c }
        data d = std.data.noise(samples = 5, inputs = 3, split = 1)
        train Count on d { steps 3   batch 2   epochs EPOCHS   states carried   loss mse_to(last(c), 0) }";
    let folder = Folder::new()?;
    for epochs in ["1", "3"] {
        for (states, wanted) in [("carried", 34.2), ("fresh", 9.0)] {
            let text = text.replace("EPOCHS", epochs).replace("carried", states);
            let ran = snnc(&["run", &folder.file("count.snn", text)?, "--json"])?.expect(0)?.json()?;
            let loss = &ran["jobs"][0]["metrics"]["loss"];
            let near = loss.as_f64().is_some_and(|loss| (loss - wanted).abs() < 1e-5);
            ensure(near, || format!("{epochs} epochs, {states}: the loss is {loss}, not {wanted}"))?;
        }
    }
    Ok(())
}

fn long_sequences() -> Result<(), String> {
    let file = crate::corpus::root().join("examples/state_passing.snn").display().to_string();
    let jobs = &snnc(&["run", &file, "--json"])?.expect(0)?.json()?["jobs"];
    let off =
        |job: usize| jobs[job]["metrics"]["off_late(net.y, net.goal)"].as_f64().unwrap_or(f64::INFINITY);
    let [fresh, noisy, fitted, carried] = [1, 3, 5, 7].map(off);
    let right = fresh > 1.0 && noisy > 1.0 && fitted < 0.5 && carried < 0.02;
    ensure(right, || format!("fresh {fresh}, with noise {noisy}, fitted noise {fitted}, carried {carried}"))
}

fn gone_on() -> Result<(), String> {
    let text = "model Net {
            input x: [64]
            let h = Lif[12](tau = 10 ms)
            let y = Integrator[10]
            x -> h : dense
            h -> h : dense(init = normal(0, 0.2), delay = 2 steps)
            h -> y : dense
            output y.v
        }
        data digits = std.data.digits(split = 0.8)
        train Net on digits { steps 5   batch 100   epochs 4   states carried }";
    one_training(text, &[])
}

/// A normalisation keeps statistics from step to step; from batch to batch they go on as parameters, and are what they are without carried states where
/// nothing is learned and they depend on no state.
fn statistics() -> Result<(), String> {
    let run = |states: &str| -> Result<Vec<f32>, String> {
        let folder = Folder::new()?;
        let text = format!(
            "model Net {{
                input x: [64]
                let n = BatchNorm[12]
                let y = Integrator[10]
                x -> n : dense
                n -> y : dense
                output y.v
            }}
            data digits = std.data.digits(split = 0.8)
            train Net on digits {{ steps 5   batch 64   epochs 2   optimizer sgd(lr = 0)   states {states} }}"
        );
        let (file, out) = (folder.file("net.snn", text)?, folder.path("out"));
        snnc(&["run", &file, "--out", &out, "--quiet"])?.expect(0)?;
        let checkpoint = File::read(&Path::new(&out).join("Net.safetensors")).map_err(|e| e.message)?;
        let tensors = ["n.norm.mean", "n.norm.variance"].map(|name| checkpoint.tensor(name));
        let values: Result<Vec<Vec<f32>>, String> = tensors
            .into_iter()
            .map(|tensor| tensor.map(|(_, values)| values).map_err(|e| e.message))
            .collect();
        Ok(values?.concat())
    };
    let (carried, fresh) = (run("carried")?, run("fresh")?);
    let holds = carried == fresh && fresh.iter().all(|value| *value != 0.0 && *value != 1.0);
    ensure(holds, || format!("{carried:?} and {fresh:?}"))
}
