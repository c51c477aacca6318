//! Which convention of another framework an update equals: one table, by the structure of the update. Surrogates are not compared:
//! every framework lets the user choose them.
//!
//! What the rows are taken from: SpikingJelly `neuron.LIFNode`, `IFNode` (h = v + (x - (v - v_reset)) / tau, or without `decay_input`
//! h = v - (v - v_reset) / tau + x; a spike where h >= v_threshold; v_reset None: h - v_threshold s; `detach_reset`); snnTorch `Leaky`,
//! `Synaptic` (mem = beta mem + x - reset threshold, where `reset` is the spike of the step before, detached; a spike where
//! mem > threshold); Norse `LIFCell`, `LIFBoxCell` (v + dt tau_mem_inv ((v_leak - v) + i) with the current of the step before, spike,
//! reset to v_reset, then the current decays and jumps); NIR `LIF`, `IF` (tau v' = v_leak - v + r i, set to v_reset).
//! What was not checked against the sources of a framework is `provisional` in its row.

use super::update::{Current, Reset, Update};

/// A convention of a framework.
struct Convention {
    /// Framework.
    framework: &'static str,
    /// The convention with its parameters chosen as near to the update as they can be, as text and as update. None if its form is
    /// another one.
    nearest: fn(&Update) -> Option<(String, Update)>,
    /// What was not checked against its source.
    provisional: &'static str,
}

/// The table.
const CONVENTIONS: &[Convention] = &[
    Convention { framework: "SpikingJelly", nearest: spiking_jelly, provisional: "" },
    Convention { framework: "snnTorch", nearest: snn_torch, provisional: "" },
    Convention {
        framework: "Norse",
        nearest: norse,
        provisional: "that it fires above the threshold only and detaches the spike of its reset",
    },
    Convention {
        framework: "NIR",
        nearest: nir,
        provisional: "whether it fires at the threshold itself, which continuous time does not tell",
    },
];

/// Lines that say what an update equals; where nothing does, from what it differs in one point.
pub fn lines(update: &Update) -> Vec<String> {
    let (mut equal, mut near) = (Vec::new(), Vec::new());
    for convention in CONVENTIONS {
        let Some((name, other)) = (convention.nearest)(update) else { continue };
        let name = format!("{} {name}", convention.framework);
        let provisional = match convention.provisional {
            "" => String::new(),
            fact => format!(" (provisional: {fact})"),
        };
        match &differences(update, &other, convention.framework)[..] {
            [] => equal.push(format!("equals {name}{provisional}")),
            [one] => near.push(format!("differs from {name} in one point: {one}{provisional}")),
            _ => {}
        }
    }
    if equal.is_empty() { near } else { equal }
}

/// What differs, in words.
fn differences(own: &Update, other: &Update, framework: &str) -> Vec<String> {
    let mut list = Vec::new();
    let near = |a: f64, b: f64| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1e-12);
    let mut numbers = |a: f64, b: f64, what: &str| {
        if !near(a, b) {
            list.push(format!("{what} is {}, there {}", short(a), short(b)));
        }
    };
    numbers(own.decay, other.decay, "the factor by which it decays");
    numbers(own.gain, other.gain, "the factor of what arrives");
    numbers(own.constant, other.constant, "what is added at each step");
    numbers(own.start, other.start, "the first value");
    match (own.current, other.current) {
        (Some(a), Some(b)) => {
            numbers(a.decay, b.decay, "the factor by which the current decays");
            numbers(a.gain, b.gain, "the factor of what reaches the current");
            if a.first != b.first {
                let word = |first: bool| if first { "this step" } else { "the step before" };
                list.push(format!(
                    "the membrane reads the current of {}, there of {}",
                    word(a.first),
                    word(b.first)
                ));
            }
        }
        (None, None) => {}
        _ => list.push("the synaptic current".to_string()),
    }
    if own.strict != other.strict {
        let sign = |strict: bool| if strict { ">" } else { ">=" };
        list.push(format!(
            "it fires where v {} {}, {framework} where v {} {}",
            sign(own.strict),
            short(own.theta),
            sign(other.strict),
            short(other.theta)
        ));
    }
    let same_reset = match (own.reset, other.reset) {
        (Reset::Subtract(a), Reset::Subtract(b)) | (Reset::To(a), Reset::To(b)) => near(a, b),
        (a, b) => a == b,
    };
    if !same_reset {
        list.push(format!("its reset {}, there it {}", reset(own.reset), reset(other.reset)));
    }
    if own.reset != Reset::None && own.detached != other.detached {
        let word = |detached: bool| if detached { "is detached" } else { "passes gradients" };
        list.push(format!(
            "the spike of its reset {}, there it {}",
            word(own.detached),
            word(other.detached)
        ));
    }
    if own.late != other.late {
        let word = |late: bool| if late { "one step after the spike" } else { "in the step of the spike" };
        list.push(format!("it resets {}, {framework} {}", word(own.late), word(other.late)));
    }
    list
}

fn reset(reset: Reset) -> String {
    match reset {
        Reset::None => "does nothing".to_string(),
        Reset::Subtract(amount) => format!("subtracts {}", short(amount)),
        Reset::To(value) => format!("sets v to {}", short(value)),
    }
}

/// Six significant digits.
fn short(value: f64) -> String {
    let rounded: f64 = format!("{value:.5e}").parse().unwrap_or(value);
    snn_compiler::hir::print::number(rounded)
}

fn python(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

fn spiking_jelly(u: &Update) -> Option<(String, Update)> {
    if u.current.is_some() || u.decay > 1.0 || u.decay < 0.0 {
        return None;
    }
    let (v_reset, text) = match u.reset {
        Reset::To(value) => (value, short(value)),
        _ => (0.0, "None".to_string()),
    };
    let reset = if let Reset::To(value) = u.reset { Reset::To(value) } else { Reset::Subtract(u.theta) };
    let common =
        format!("v_threshold = {}, v_reset = {text}, detach_reset = {}", short(u.theta), python(u.detached));
    let other = Update { start: v_reset, strict: false, reset, late: false, constant: 0.0, ..u.clone() };
    if u.decay == 1.0 {
        return Some((format!("IFNode({common})"), Update { gain: 1.0, ..other }));
    }
    let leak = 1.0 - u.decay;
    let decay_input = (u.gain - leak).abs() < (u.gain - 1.0).abs();
    let gain = if decay_input { leak } else { 1.0 };
    let tau = short(1.0 / leak);
    let name = format!("LIFNode(tau = {tau}, decay_input = {}, {common})", python(decay_input));
    Some((name, Update { gain, constant: leak * v_reset, ..other }))
}

fn snn_torch(u: &Update) -> Option<(String, Update)> {
    if u.current.is_some_and(|current| !current.first) {
        return None;
    }
    let (reset, late, word) = match u.reset {
        Reset::None => (Reset::None, false, "none"),
        _ => (Reset::Subtract(u.theta), true, "subtract"),
    };
    let end = format!("threshold = {}, reset_mechanism = \"{word}\")", short(u.theta));
    let other = Update {
        gain: 1.0,
        constant: 0.0,
        start: 0.0,
        strict: true,
        reset,
        late,
        detached: reset != Reset::None,
        current: u.current.map(|current| Current { gain: 1.0, ..current }),
        ..u.clone()
    };
    let name = match u.current {
        Some(current) => {
            format!("Synaptic(alpha = {}, beta = {}, {end}", short(current.decay), short(u.decay))
        }
        None => format!("Leaky(beta = {}, {end}", short(u.decay)),
    };
    Some((name, other))
}

fn norse(u: &Update) -> Option<(String, Update)> {
    let leak = 1.0 - u.decay;
    let Reset::To(v_reset) = u.reset else { return None };
    if leak <= 0.0 || u.current.is_some_and(|current| current.first) {
        return None;
    }
    let v_leak = u.constant / leak;
    let other = Update {
        gain: leak,
        start: v_leak,
        strict: true,
        late: false,
        detached: true,
        current: u.current.map(|current| Current { gain: 1.0, ..current }),
        ..u.clone()
    };
    let end = format!("v_leak = {}, v_th = {}, v_reset = {})", short(v_leak), short(u.theta), short(v_reset));
    let name = match u.current {
        Some(current) => format!(
            "LIFCell(dt tau_mem_inv = {}, dt tau_syn_inv = {}, {end}",
            short(leak),
            short(1.0 - current.decay)
        ),
        None => format!("LIFBoxCell(dt tau_mem_inv = {}, {end}", short(leak)),
    };
    Some((name, other))
}

/// The equation is that of NIR; what the solver makes of it is not NIR's.
fn nir(u: &Update) -> Option<(String, Update)> {
    let (rate, gain, constant) = u.equation?;
    let Reset::To(v_reset) = u.reset else { return None };
    if u.current.is_some() || u.late || rate > 0.0 {
        return None;
    }
    let end = format!(
        "v_threshold = {}, v_reset = {}) in SI units, as an equation",
        short(u.theta),
        short(v_reset)
    );
    if rate == 0.0 {
        let other = Update { constant: 0.0, ..u.clone() };
        return Some((format!("IF(r = {}, {end}", short(gain)), other));
    }
    let tau = -1.0 / rate;
    let (r, v_leak) = (gain * tau, constant * tau);
    let name = format!("LIF(tau = {}, r = {}, v_leak = {}, {end}", short(tau), short(r), short(v_leak));
    Some((name, u.clone()))
}
