//! What length generalisation needs: parameters that follow the ends of presentations, starts drawn from them, states that are read with a delay,
//! presentations that begin later (`since`). `tests/suite/training/running.snn` is compared as every program is.

use crate::cli::{Folder, ensure, one_training, plain, snnc};
use libtest_mimic::Trial;
use serde_json::Value;
use snn_runtime::train::tensors::File;
use std::path::Path;

/// The trials.
pub fn trials() -> Vec<Trial> {
    vec![
        plain("length: running means of a layer, of channels, of neurons", means),
        plain("length: starts are drawn as presentations end", fitted),
        plain("length: running means with threads and from a checkpoint", gone_on),
        plain("length: a state that is read with a delay starts with its start", delayed),
        plain("length: since a step a presentation is the one that begins there", since),
        plain("length: effective remembrance of a leaky sum", remembrance),
    ]
}

fn metrics(folder: &Folder, text: &str, more: &[&str]) -> Result<Vec<Value>, String> {
    let file = folder.file("net.snn", text)?;
    let ran = snnc(&[&["run", &file, "--json"], more].concat())?.expect(0)?.json()?;
    let jobs = ran["jobs"].as_array().ok_or("no jobs")?;
    Ok(jobs.iter().map(|job| job["metrics"].clone()).collect())
}

fn number(metrics: &Value, name: &str) -> Result<f64, String> {
    metrics[name].as_f64().ok_or_else(|| format!("no `{name}` in {metrics}"))
}

fn near(what: &str, got: f64, wanted: f64) -> Result<(), String> {
    ensure((got - wanted).abs() <= 2e-6 * wanted.abs().max(1.0), || format!("{what}: {got}, not {wanted}"))
}

/// Neuron k of [2, 3] counts 3 k steps in 3 steps. Five samples are batches of 2, 2 and 1; after n of them a mean that starts with 1 has come from
/// there to its value by 1 - 0.75^n.
fn means() -> Result<(), String> {
    let text = "
        init place { value i }
        neuron Counter {
            input i
            param k: neuron = place
            param a: layer = running(n, momentum = 0.25, first = 1)
            param b: channel = running(n, momentum = 0.25, first = 1)
            param c: neuron = running(n, momentum = 0.25, first = 1)
            param d: channel = running(7)
            state n = 0
            step { n = n + k + 0 * i }
            emit n + 0 * (a + b + c + d)
        }
        model Count { input x: [3]   let c = Counter[2, 3]   x -> c : dense   output c }
        data d = std.data.noise(samples = 5, inputs = 3, split = 1)
        train Count on d { steps 3   batch 2   epochs 2   loss mean(mse_to(last(c), 0)) }";
    let folder = Folder::new()?;
    let out = folder.path("out");
    metrics(&folder, text, &["--out", &out])?;
    let file = File::read(&Path::new(&out).join("Count.safetensors")).map_err(|e| e.to_string())?;
    let left = 0.75f64.powi(6);
    for (name, wanted) in
        [("c.a", &[7.5][..]), ("c.b", &[3.0, 12.0]), ("c.c", &[0.0, 3.0, 6.0, 9.0, 12.0, 15.0])]
    {
        let (_, values) = file.tensor(name).map_err(|e| e.to_string())?;
        ensure(values.len() == wanted.len(), || format!("{name}: {values:?}"))?;
        for (value, wanted) in values.iter().zip(wanted) {
            near(name, f64::from(*value), wanted + (1.0 - wanted) * left)?;
        }
    }
    let (_, values) = file.tensor("c.d").map_err(|e| e.to_string())?;
    values.iter().try_for_each(|d| near("c.d", f64::from(*d), 7.0 * (1.0 - 0.9f64.powi(6))))
}

/// A leaky sum of noise that starts with its own ends keeps their distribution; one that starts with 0 has not reached it after 8 steps. What it
/// does not start with in simulations are these.
fn fitted() -> Result<(), String> {
    let text = "
        neuron Leaky {
            input i
            param m: layer = running(v, momentum = 0.02)
            param q: layer = running(v^2, momentum = 0.02)
            state v = where(training, m + sqrt(max(q - m^2, 0)) * gaussian(), 0)
            step { v = 0.95 * v + 0.5 + gaussian() + 0 * i }
            emit v
        }
        neuron Twice { input i   learn w: layer = 1   emit w * i }
        model Net { input x: [1]   let h = Leaky[4]   let y = Twice[1]   x -> h : dense   h -> y : dense   output y }
        data d = std.data.noise(samples = 4096, inputs = 1)
        train Net on d { steps 8   batch 64   epochs 20   optimizer sgd(lr = 0)   loss mean(last(y), over = population) }
        simulate Net on d.test { report last(h.v) }";
    let folder = Folder::new()?;
    let out = folder.path("out");
    let metrics = metrics(&folder, text, &["--out", &out])?;
    let file = File::read(&Path::new(&out).join("Net.safetensors")).map_err(|e| e.to_string())?;
    let of =
        |name: &str| file.tensor(name).map(|(_, values)| f64::from(values[0])).map_err(|e| e.to_string());
    // In the steady state the mean is 0.5 / 0.05, the variance 1 / (1 - 0.95^2); from 0 it is after 8 steps 3.37 and 5.74.
    let (m, q) = (of("h.m")?, of("h.q")?);
    let variance = q - m * m;
    ensure((m - 10.0).abs() < 0.3, || format!("mean {m}"))?;
    ensure((variance - 10.26).abs() < 1.0, || format!("variance {variance}"))?;
    let last = number(&metrics[1], "last(h.v)")?;
    ensure((last - 3.37).abs() < 0.2, || format!("a simulation ends with {last}"))
}

fn gone_on() -> Result<(), String> {
    let text = "
        neuron Fitted {
            input i
            param m: neuron = running(v)
            param q: layer = running(v^2)
            state v = m + sqrt(max(q - m^2, 0)) * gaussian()
            step { v = 0.8 * v + i   fire v >= 1 with atan   v = v - fired }
            emit fired
        }
        model Net {
            input x: [64]
            let h = Fitted[12]
            let y = Integrator[10]
            x -> h : dense
            h -> h : dense(init = normal(0, 0.2), delay = 2 steps)
            h -> y : dense
            output y.v
        }
        data digits = std.data.digits(split = 0.8)
        train Net on digits { steps 8   batch 100   epochs 4 }";
    one_training(text, &["--strict"])
}

/// A state that starts with 3 and is halved in every step, read one and three steps later; what it emits is 0 before.
fn delayed() -> Result<(), String> {
    let text = "
        neuron Half { input i   state v = 3   step { v = v / 2 + 0 * i }   emit v }
        model M {
            input x: [1] stream
            let h = Half[1]
            let a = Rate[1]
            let b = Rate[1]
            let c = Rate[1]
            x -> h : one_to_one
            h.v -> a : one_to_one(delay = 1 step)
            h.v -> b : one_to_one(delay = 3 steps)
            h -> c : one_to_one(delay = 1 step)
            output a
        }
        simulate M for STEPS steps { x = 0   report last(a), last(b), last(c) }";
    let folder = Folder::new()?;
    for (steps, wanted) in
        [(1, [3.0, 3.0, 0.0]), (3, [0.75, 3.0, 0.75]), (4, [0.375, 1.5, 0.375]), (5, [0.1875, 0.75, 0.1875])]
    {
        let got = &metrics(&folder, &text.replace("STEPS", &steps.to_string()), &[])?[0];
        for (name, wanted) in ["last(a)", "last(b)", "last(c)"].into_iter().zip(wanted) {
            near(&format!("{name} after {steps} steps"), number(got, name)?, wanted)?;
        }
    }
    Ok(())
}

/// A recurrent network with delays, refractoriness, starts that are not 0 and a threshold that depends on the step.
fn since() -> Result<(), String> {
    let text = "
        neuron Odd {
            input i
            state v = 0.3, u = 0
            step {
                u = 0.5 * u + i
                v = 0.9 * v + u + 0.01 * step_index
                fire v >= 1
                refractory 2 ms holding v
                v = v - fired
            }
            emit fired
        }
        model M {
            input x: [3] stream
            let h = Odd[20]
            let y = Integrator[4]
            x -> h : dense(init = normal(0, 2))
            h -> h : dense(init = normal(0, 0.6), delay = 1 step)
            h.v -> h : dense(init = normal(0, 0.1), delay = 3 steps)
            h -> y : dense(delay = 2 steps)
            output y.v
        }
        simulate M for STEPS steps { dt 1 ms   x = [LIST]   report VALUES }";
    let folder = Folder::new()?;
    let list: Vec<f64> = (0..30).map(|k| f64::from(k * k * 7 % 23) / 10.0 - 0.6).collect();
    let run = |from: usize, values: &[String]| {
        let list: Vec<String> = list[from..].iter().map(|x| x.to_string()).collect();
        let text = text
            .replace("STEPS", &list.len().to_string())
            .replace("LIST", &list.join(", "))
            .replace("VALUES", &values.join(", "));
        let metrics = metrics(&folder, &text, &["--strict"])?;
        values.iter().map(|name| number(&metrics[0], name)).collect::<Result<Vec<f64>, String>>()
    };
    let wanted = |of: &dyn Fn(&str) -> String| {
        let value = |value: &str| value.replace("h.", &of("h.")).replace("y.", &of("y."));
        ["last(y.v)", "last(h.v)", "sum(h.fired)", "sum(h.v^2)", "last(h.fired * step_index)"].map(value)
    };
    let whole = run(0, &wanted(&|name| name.to_string()))?;
    for start in [0, 1, 4, 11, 29] {
        let alone = run(start, &wanted(&|name| name.to_string()))?;
        let within = [
            "last(since(y.v, N))",
            "since(last(h.v), N)",
            "sum(since(h.fired, N))",
            "sum(since(h.v, N)^2)",
            "since(last(h.fired * step_index), N)",
        ]
        .map(|value| value.replace('N', &start.to_string()));
        let within = run(0, &within)?;
        for (k, (a, b)) in alone.iter().zip(&within).enumerate() {
            near(&format!("value {k} since {start}"), *b, *a)?;
        }
        ensure((start == 0) == (alone == whole), || format!("{start}: {alone:?} and {whole:?}"))?;
    }
    // Spikes happened at all.
    ensure(whole[2] > 1.0, || format!("{whole:?}"))
}

/// Two classes, one with the leaky sum of ones and one with 0: after T steps the sum is (1 - a^T) / (1 - a), and without the first t as after T - t.
fn remembrance() -> Result<(), String> {
    let text = "
        neuron Sum { input i   state v = 0   step { v = 0.8 * v + i }   emit v }
        model M {
            input x: [2] stream
            let y = Sum[2]
            x -> y : dense(weight = eye)
            output y.v
        }
        init first { value where(i == 0 and j == 0, 1, 0) }
        simulate M for 10 steps {
            x = [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]
            report effective_remembrance(y.v, 0), effective_remembrance(y.v, 3), effective_remembrance(y.v, 9)
        }"
    .replace("weight = eye", "weight = first");
    let folder = Folder::new()?;
    let metrics = metrics(&folder, &text, &[])?;
    let p = |steps: i32| {
        let sum = (1.0 - 0.8f64.powi(steps)) / 0.2;
        1.0 / (1.0 + (-sum).exp())
    };
    for t in [0, 3, 9] {
        let got = number(&metrics[0], &format!("effective_remembrance(y.v, {t})"))?;
        near(&format!("at {t}"), got, p(10) - p(10 - t))?;
    }
    Ok(())
}
