//! Updates of optimizers and rates along a training, against numbers of independent programs, and of weights that keep signs, by hand: on the
//! f64 interpreter (one update) and in machine code (all). Trainings with them are in `tests/suite/optimizers`.

use crate::differential::{Given, interpreted};
use libtest_mimic::{Failed, Trial};
use snn_compiler::analyze::Overrides;
use snn_compiler::diag::{Diagnostics, render};
use snn_compiler::net::Net;
use snn_compiler::pipeline::{self, DataFacts, Options, Purpose};
use snn_compiler::source::Sources;
use snn_runtime::abi::{SCALARS, Scalar};
use snn_runtime::engine::{Call, Engine, SectionTimes, Weights};
use snn_runtime::pool::Pool;
use std::f64::consts::FRAC_1_SQRT_2;
use std::sync::Arc;

/// The trials.
pub fn trials() -> Vec<Trial> {
    let cases = CASES.iter().map(|case| {
        let signs = case.signs.unwrap_or("free");
        let name = format!("updates: {}, {signs} x {}", case.optimizer, case.times);
        Trial::test(name, move || run(case).map_err(Failed::from))
    });
    let turned = OPTIMIZERS.iter().map(|&(optimizer, turns)| {
        let name = format!("updates: {optimizer} of what is learned with a sign");
        Trial::test(name, move || turned(optimizer, turns).map_err(Failed::from))
    });
    let rates = RATES.iter().map(|&(optimizer, progress, rate)| {
        let name = format!("updates: {optimizer} at {progress}");
        Trial::test(name, move || at_rate(optimizer, progress, rate).map_err(Failed::from))
    });
    cases.chain(turned).chain(rates).collect()
}

struct Case {
    optimizer: &'static str,
    /// Arguments of a projection; none: the weights are a tensor of their own.
    signs: Option<&'static str>,
    /// Weights before, their gradients (the same at each update), weights after.
    before: &'static [f64],
    gradient: &'static [f32],
    times: u64,
    after: &'static [f64],
}

/// Weights and gradients of the geometries (Pogodin et al. 2024).
const W: &[f64] = &[0.5, -0.2, 0.05, -1.5, 0.0];
const G: &[f32] = &[1.0, -1.0, 0.5, -0.25, 2.0];
/// Of the polarities (Wang et al.): the update subtracts the gradient.
const P: &[f64] = &[0.02, -0.03, 0.4];
const D: &[f32] = &[0.05, -0.05, 0.1];

/// Weights of 0 or more, and a gradient that takes the first two of [`P`] away from 0.
const Q: &[f64] = &[0.02, 0.03, 0.4];
const BACK: &[f32] = &[-0.05, -0.05, 0.1];
/// Gradient descent that subtracts the gradient.
const SGD: Case =
    Case { optimizer: "sgd(lr = 1)", signs: None, before: P, gradient: D, times: 1, after: &[] };

const CASES: &[Case] = &[
    // The first update is the gradient and the decay, as in PyTorch; the release of DeepEISNN takes 1.9 times as much.
    Case {
        optimizer: "sgd(lr = 0.1, momentum = 0.9, weight_decay = 0.01)",
        signs: None,
        before: W,
        gradient: G,
        times: 2,
        after: &[0.2086505, 0.0904798, -0.09509495, -1.4231765, -0.5798],
    },
    Case {
        optimizer: "adam(lr = 0.01)",
        signs: None,
        before: W,
        gradient: G,
        times: 2,
        after: &[0.48, -0.18, 0.03, -1.48, -0.02],
    },
    Case {
        optimizer: "adamw(lr = 0.01, weight_decay = 0.1)",
        signs: None,
        before: W,
        gradient: G,
        times: 2,
        after: &[0.4790105, -0.1796102, 0.02991005, -1.4770115, -0.01999],
    },
    Case {
        optimizer: "adam_aged(lr = 0.01, weight_decay = 0.1)",
        signs: None,
        before: W,
        gradient: G,
        times: 2,
        after: &[0.4790105, -0.1796102, 0.02991005, -1.4770115, -0.01999],
    },
    // Half of a rate, then the whole one.
    Case {
        optimizer: "adam_aged(lr = 0.01, warmup = 2)",
        signs: None,
        before: W,
        gradient: G,
        times: 2,
        after: &[0.485, -0.185, 0.035, -1.485, -0.015],
    },
    Case {
        signs: None,
        optimizer: "eg_noisy(lr = 0.1, noise = 0)",
        before: W,
        gradient: G,
        times: 1,
        after: &[0.452418709018, -0.180967483607, 0.047561471225, -1.462964868042, 0.0],
    },
    Case {
        signs: None,
        optimizer: "eg(lr = 0.1)",
        before: W,
        gradient: G,
        times: 1,
        after: &[0.452418709018, -0.180967483607, 0.047561471225, -1.462964868042, 0.0],
    },
    Case {
        signs: None,
        optimizer: "eg(lr = 0.1, momentum = 0.9)",
        before: W,
        gradient: G,
        times: 2,
        after: &[0.374131783789, -0.149652713516, 0.043251114656, -1.39509861999, 0.0],
    },
    Case {
        signs: None,
        optimizer: "p_norm(lr = 0.1, p = 2)",
        before: W,
        gradient: G,
        times: 1,
        after: &[0.4, -0.1, 0.0, -1.475, -0.2],
    },
    Case {
        signs: None,
        optimizer: "p_norm(lr = 0.1, p = 3)",
        before: W,
        gradient: G,
        times: 1,
        after: &[0.387298334621, 0.244948974278, -0.217944947177, -1.491643389018, -0.4472135955],
    },
    Case {
        signs: None,
        optimizer: "sgd_polarity(lr = 1, keep = sign_zero)",
        before: P,
        gradient: D,
        times: 1,
        after: &[0.0, 0.0, 0.3],
    },
    Case {
        signs: None,
        optimizer: "sgd_polarity(lr = 1, keep = sign_flip)",
        before: P,
        gradient: D,
        times: 1,
        after: &[0.03, -0.02, 0.3],
    },
    Case {
        signs: None,
        optimizer: "sgd_polarity(lr = 1, keep = sign_constant)",
        before: P,
        gradient: D,
        times: 1,
        after: &[0.001, -0.001, 0.3],
    },
    Case { signs: Some("sign = plus"), before: Q, gradient: D, times: 1, after: &[0.0, 0.08, 0.3], ..SGD },
    Case {
        signs: Some("sign = plus, keep = sign_flip"),
        before: Q,
        gradient: D,
        times: 1,
        after: &[0.03, 0.08, 0.3],
        ..SGD
    },
    Case {
        signs: Some("sign = plus, keep = sign_constant(size = 0.02)"),
        before: Q,
        gradient: D,
        times: 1,
        after: &[0.02, 0.08, 0.3],
        ..SGD
    },
    Case { signs: Some("sign = initial"), times: 1, after: &[0.0, 0.0, 0.3], ..SGD },
    // The second one becomes 0, and would be positive at the next update: it keeps the sign that it had at the start.
    Case { signs: Some("sign = initial"), gradient: BACK, times: 2, after: &[0.12, 0.0, 0.2], ..SGD },
    Case { signs: Some("sign = initial, keep = sign_flip"), times: 1, after: &[0.03, -0.02, 0.3], ..SGD },
    // 0.02 - 0.05 is turned to 0.03, and that to 0.02 again; -0.03 + 0.05 to -0.02, and that to -0.03.
    Case { signs: Some("sign = initial, keep = sign_flip"), times: 2, after: &[0.02, -0.03, 0.2], ..SGD },
    Case {
        signs: Some("sign = initial, keep = sign_constant"),
        times: 1,
        after: &[0.001, -0.001, 0.3],
        ..SGD
    },
    // Of a random size only the range is known; here it is empty.
    Case {
        signs: Some("sign = initial, keep = sign_random(size = 0)"),
        times: 1,
        after: &[0.0, 0.0, 0.3],
        ..SGD
    },
    // With the same gradient each step of Adam is the rate times its sign; -0.02, which is turned from 0.02, goes to 0.03 and is turned.
    Case {
        optimizer: "adam(lr = 0.05)",
        signs: Some("sign = minus, keep = sign_flip"),
        before: &[-0.02, -0.03, -0.4],
        gradient: &[0.5, -0.5, 0.1],
        times: 2,
        after: &[-0.12, -0.03, -0.5],
    },
];

/// Rates at a share of the training: RMP-Loss rises to its strength in the middle, `2 k n / N`, and falls as `2 k (1 - n / N)`.
const RATES: &[(&str, f32, f64)] = &[
    ("sgd(lr = rise_fall(0.4))", 0.25, 0.2),
    ("sgd(lr = rise_fall(0.4))", 0.5, 0.4),
    ("sgd(lr = rise_fall(0.4))", 0.75, 0.2),
    ("sgd(lr = cosine(0.5, 0.1))", 0.25, 0.3 + 0.2 * FRAC_1_SQRT_2),
    ("sgd(lr = cosine(0.5, 0.1))", 0.5, 0.3),
    ("sgd(lr = linear(0.5, 0.1))", 0.25, 0.4),
    ("sgd(lr = warmup_cosine(0.5, 0.2))", 0.1, 0.25),
    ("sgd(lr = warmup_cosine(0.5, 0.2))", 0.2, 0.5),
    ("sgd(lr = warmup_cosine(0.5, 0.2))", 0.6, 0.25),
];

/// Every rule of the library, and whether it takes [`P`] with gradients [`D`] to the other sign.
const OPTIMIZERS: &[(&str, bool)] = &[
    ("sgd(lr = 1)", true),
    ("adam(lr = 0.05)", true),
    ("adamw(lr = 0.05)", true),
    ("eg(lr = 1)", false),
    ("eg_noisy(lr = 1)", false),
    ("p_norm(lr = 1)", true),
    ("sgd_polarity(lr = 1)", false),
    ("adam_polarity(lr = 0.05)", false),
];

/// One weight for each input, whose gradient is the input.
fn run(case: &Case) -> Result<(), String> {
    let n = case.before.len();
    let (part, param) = match case.signs {
        None => (tensor(n, ""), "w"),
        Some(signs) => {
            let first = if signs.contains("minus") { -1 } else { 1 };
            let part = format!("let y = Through[1]   x -> y : dense(init = {first}, {signs})");
            (part, "x->y.weight")
        }
    };
    let net = net(&part, "", case)?;
    if case.times == 1 {
        compare("f64", reference(&net, param, case)?.into_iter(), case.after)?;
    }
    let after = compiled(&net, case, 0.0)?;
    compare("compiled", after.iter().map(|w| f64::from(*w)), case.after)
}

/// Weights and gradients of 1 at a share of the training: the rate is taken away.
fn at_rate(optimizer: &'static str, progress: f32, rate: f64) -> Result<(), String> {
    let case = Case { optimizer, before: &[1.0], gradient: &[1.0], ..SGD };
    let after = compiled(&net(&tensor(1, ""), "", &case)?, &case, progress)?;
    compare("compiled", after.iter().map(|w| f64::from(*w)), &[1.0 - rate])
}

/// A tensor of the model, in front of neurons that pass on what arrives.
fn tensor(n: usize, signs: &str) -> String {
    format!("learn w: [{n}] {signs} = 1   let y = Through[{n}]   y.i = w .* x")
}

/// Neurons that learn it; what they learn is the same text in each file.
fn neurons(n: usize, _: &str) -> String {
    format!("let y = Weighted[{n}]   y.i = x")
}

/// After every optimizer a weight that would change its sign is turned back, whether a model or a neuron learns it.
fn turned(optimizer: &'static str, turns: bool) -> Result<(), String> {
    let case = Case { optimizer, ..SGD };
    let n = case.before.len();
    let changed = |(new, before): (&f32, &f64)| f64::from(*new) * before < 0.0;
    for (who, part) in [("tensor", tensor as fn(usize, &str) -> String), ("neurons", neurons)] {
        let after = |signs: &str| compiled(&net(&part(n, signs), signs, &case)?, &case, 0.0);
        let (free, kept) = (after("")?, after("sign initial keep sign_flip")?);
        if free.iter().zip(case.before).any(changed) != turns {
            return Err(format!("{who}: without signs the weights are {free:?}"));
        }
        let turn = |pair: (&f32, &f64)| f64::from(if changed(pair) { -pair.0 } else { *pair.0 });
        let expected: Vec<f64> = free.iter().zip(case.before).map(turn).collect();
        compare(who, kept.iter().map(|w| f64::from(*w)), &expected)?;
    }
    Ok(())
}

/// The training of a model that consists of `part`, whose output is summed; `signs` are those of what its neurons `Weighted` learn.
fn net(part: &str, signs: &str, case: &Case) -> Result<Net, String> {
    let text = format!(
        "neuron Through {{ input i   emit i }}
        neuron Weighted {{ input i   learn w: neuron {signs} = 1   emit w * i }}
        model One {{
            input x: [{}]
            {part}
            output y
        }}
        data none = std.data.npy(x = \"none.npy\")
        train One on none {{ steps 1   batch 1   optimizer {}   loss sum(last(y), over = population) }}",
        case.before.len(),
        case.optimizer
    );
    let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
    let file = sources.add("updates.snn", text);
    let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
    if diags.has_errors() {
        return Err(render::to_text(&diags, &sources, false));
    }
    let job = &checked.program.jobs[0];
    let model = &checked.program.models[job.model.idx()];
    let data = DataFacts { target_width: 0, spikes: false };
    Ok(pipeline::net(model, job, Purpose::Train, 1, data, true)?.net)
}

fn given(case: &Case) -> Given {
    vec![("x".into(), case.gradient.to_vec()), ("mask".into(), vec![1.0])]
}

fn before(case: &Case) -> Vec<f32> {
    case.before.iter().map(|w| *w as f32).collect()
}

/// The weights after one update by the f64 interpreter.
fn reference(net: &Net, param: &str, case: &Case) -> Result<Vec<f64>, String> {
    let results = interpreted::<f64>(net, &given(case), &[before(case)], 1);
    let name = format!("{param} Param(0)");
    Ok(results.iter().find(|(at, _)| *at == name).ok_or("the weights stay")?.1.clone())
}

/// The weights after all updates by machine code, at a share of the training.
fn compiled(net: &Net, case: &Case, progress: f32) -> Result<Vec<f32>, String> {
    let program = Arc::new(pipeline::compile(net, &Options { strict: true, vector: true }));
    let mut engine = Engine::new(program.clone(), Arc::new(Pool::alone())).map_err(|e| e.to_string())?;
    let mut weights = Weights::zeroed(&program).map_err(|e| e.to_string())?;
    weights.param_mut(&program, 0).copy_from_slice(&before(case));
    let given = given(case);
    let inputs: Vec<_> = given.iter().map(|(name, values)| (name.as_str(), values.into())).collect();
    for update in 1..=case.times {
        let mut scalars = [0.0; SCALARS];
        scalars[Scalar::Update as usize] = update as f32;
        scalars[Scalar::Progress as usize] = progress;
        let call = Call { key: 11, count: 1, scalars };
        engine.run(&mut weights, &call, &inputs, &mut SectionTimes::default());
    }
    Ok(weights.param(&program, 0).to_vec())
}

fn compare(engine: &str, got: impl Iterator<Item = f64>, expected: &[f64]) -> Result<(), String> {
    let got: Vec<f64> = got.collect();
    match got.len() == expected.len() && got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6) {
        true => Ok(()),
        false => Err(format!("{engine}: {got:?}, not {expected:?}")),
    }
}
