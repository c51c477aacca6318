//! What to change where most neurons of a population are silent or saturated, with numbers, and where one answer prevails.

use super::activity::{Activity, SATURATED};
use crate::explain::update::Reset;
use snn_compiler::hir::{Model, Projection, Source};

/// A population is in need of advice if more than this share of its neurons is silent or saturated.
const MANY: f64 = 0.5;
/// The rate that is aimed at where neurons fire all the time.
const RATE: f64 = 0.5;

/// A sentence about a population, and the factor for the weights of what arrives at it, where one can be named.
#[derive(Clone, Debug)]
pub struct Advice {
    /// The population.
    pub population: String,
    /// For people.
    pub text: String,
    /// The weights times this.
    pub factor: Option<f64>,
}

/// Advice for all populations, in their order; `steps` of a presentation.
pub fn advise(model: &Model, all: &[Activity], steps: usize) -> Vec<Advice> {
    let mut list = Vec::new();
    for (at, activity) in all.iter().enumerate() {
        let Some(spikes) = &activity.spikes else { continue };
        if spikes.silent > MANY {
            list.push(silent(model, all, at, spikes.silent, steps));
        } else if spikes.saturated > MANY {
            list.push(saturated(model, activity, at, spikes.saturated));
        }
    }
    list
}

/// Advice about one answer that prevails (Francazi et al. 2024): given to more than 80 % of two classes, or three times as often as if all were
/// equal. None if the outputs do not vary: then nothing reaches them, and that is said elsewhere.
pub fn bias_of_guesses(largest: f64, classes: usize, gamma: Option<f64>) -> Option<Advice> {
    let limit = if classes <= 2 { 0.8 } else { 3.0 / classes as f64 };
    let gamma = gamma.filter(|_| largest > limit)?;
    let text = format!(
        "guesses: before training one class is the answer to {} of the batch, gamma is {gamma:.2}. That passes with training, but \
         may take time: centre the data, choose an odd activation, fewer layers or no max_pool in front of the output.",
        percent(largest)
    );
    Some(Advice { population: "guesses".to_string(), text, factor: None })
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// Projections that reach a population and have weights.
fn arriving(model: &Model, at: usize) -> impl Iterator<Item = &Projection> {
    model.projections.iter().filter(move |p| p.target.idx() == at && p.weight.is_some())
}

/// The factor under which at least half of the neurons would reach the threshold. Exact while what arrives stays the same: without
/// spikes the membrane is linear in the weights. None if the neuron is of another form or half of them never rise above 0.
fn reaching(activity: &Activity) -> Option<f64> {
    let update = activity.update.as_ref().filter(|u| u.constant == 0.0 && u.start == 0.0)?;
    let fired = &activity.spikes.as_ref()?.fired;
    let peak = |(peak, fired): (&f64, &bool)| if *fired { update.theta.max(*peak) } else { *peak };
    let mut peaks: Vec<f64> = activity.peaks.iter().zip(fired).map(peak).collect();
    peaks.sort_by(|a, b| b.total_cmp(a));
    let middle = *peaks.get(activity.neurons.div_ceil(2) - 1)?;
    // A little more, for the rounding of 32 bits and for neurons that fire above the threshold only.
    (middle > 0.0).then_some(1.001 * update.theta / middle)
}

fn silent(model: &Model, all: &[Activity], at: usize, share: f64, steps: usize) -> Advice {
    let activity = &all[at];
    let name = &activity.name;
    let advice = |text: String, factor| Advice {
        population: name.clone(),
        text: format!("{name}: {} of its neurons do not fire once in this batch. {text}", percent(share)),
        factor,
    };
    let sources: Vec<&str> = model
        .projections
        .iter()
        .filter(|p| p.target.idx() == at)
        .filter_map(|p| match p.source {
            Source::Population(id) if id.idx() != at => Some(&all[id.idx()]),
            _ => None,
        })
        .filter(|source| source.spikes.as_ref().is_some_and(|spikes| spikes.rate == 0.0))
        .map(|source| &source.name[..])
        .collect();
    if activity.input.is_none_or(|(mean, std)| mean == 0.0 && std == 0.0) {
        return match sources.is_empty() {
            true => advice("Nothing arrives at it.".to_string(), None),
            false => {
                let which = sources.join(", ");
                advice(format!("Nothing arrives at it because {which} is silent: change that first."), None)
            }
        };
    }
    let (mean, std) = activity.input.unwrap_or_default();
    let input = format!("What arrives is {mean:.3} ± {std:.3} in a step");
    let theta = activity.update.as_ref().map_or(String::new(), |u| format!(", the threshold is {}", u.theta));
    match reaching(activity) {
        Some(factor) => {
            let names: Vec<String> = arriving(model, at).map(|p| change(model, p, factor)).collect();
            let text = format!(
                "{input}{theta}. With these weights times {factor:.3}, half of its neurons fire: {}.",
                names.join(", ")
            );
            advice(text, Some(factor))
        }
        None => {
            let bias = bias(activity, steps).map_or(String::new(), |b| format!(" of about {b:.3}"));
            let why = match activity.peaks.is_empty() {
                true => "Larger weights alone may not help",
                false => "Half of its neurons never rise above 0, so larger weights do not help",
            };
            advice(format!("{input}{theta}. {why}: lower the threshold, or add a bias{bias}."), None)
        }
    }
}

/// What has to be added to the input at every step so that a membrane at 0 reaches the threshold in the last of them.
fn bias(activity: &Activity, steps: usize) -> Option<f64> {
    let update = activity.update.as_ref().filter(|u| u.current.is_none() && u.gain > 0.0)?;
    let reached: f64 = (0..steps).map(|step| update.gain * update.decay.powi(step as i32)).sum();
    (reached > 0.0).then(|| update.theta / reached)
}

/// `dense(init = kaiming_normal(gain = 4.66)) for x->h`, where the initializer has a gain, else the name of the weights.
fn change(model: &Model, projection: &Projection, factor: f64) -> String {
    let Some(param) = projection.weight.map(|id| &model.params[id.idx()]) else {
        return projection.name.clone();
    };
    let gain = param.init.text.split_once("(gain = ");
    let gain = gain.and_then(|(name, rest)| Some((name, rest.strip_suffix(')')?.parse::<f64>().ok()?)));
    match gain {
        Some((name, gain)) => {
            format!("{} with init = {name}(gain = {:.4})", projection.name, gain * factor)
        }
        None => format!("{} times {factor:.3}", projection.name),
    }
}

/// Charge bounds the rate: a spike takes `theta` from the membrane, so no more than what arrives divided by it can be fired.
fn saturated(model: &Model, activity: &Activity, at: usize, share: f64) -> Advice {
    let name = &activity.name;
    let begin = format!(
        "{name}: {} of its neurons fire in at least {} of the steps.",
        percent(share),
        percent(SATURATED)
    );
    let drive = activity.input.map_or(0.0, |(mean, _)| mean);
    let update = activity.update.as_ref().filter(|u| u.reset != Reset::None && u.current.is_none());
    let factor =
        update.filter(|u| drive * u.gain > 0.0 && u.theta > 0.0).map(|u| RATE * u.theta / (drive * u.gain));
    let text = match factor.filter(|factor| *factor < 1.0) {
        Some(factor) => {
            let names: Vec<String> = arriving(model, at).map(|p| change(model, p, factor)).collect();
            format!(
                "{begin} What arrives is {drive:.3} in a step on average. With these weights times about {factor:.3}, \
                 they fire in at most about {} of the steps: {}.",
                percent(RATE),
                names.join(", ")
            )
        }
        None => format!("{begin} Raise the threshold, or make the weights of what arrives smaller."),
    };
    Advice { population: name.clone(), text, factor: factor.filter(|factor| *factor < 1.0) }
}
