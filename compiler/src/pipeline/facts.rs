//! What initializers know of a neuron: measured on one neuron alone, run by the reference interpreter in 64 bits, for any neuron that can be
//! written. Parameters that differ from neuron to neuron count with their mean at the start.

use super::{DataFacts, Purpose};
use crate::hir::alone::{self, Alone};
use crate::hir::constant::{self, ConstEnv};
use crate::hir::{
    self, ExprKind, Job, JobKind, LocalId, Model, NeuronFact, Param, ParamId, PopId, Record, Unit,
};
use crate::interp::{self, Array, Call, Inputs};
use crate::lower::{self, Activity, Neurons, Refusal, Tensors};
use crate::source::Span;
use snn_runtime::abi::SCALARS;

/// First values of a parameter of a model, or of a state that an optimizer keeps of it, in stored order; see [`lower::init_values`].
pub fn first_values(
    model: &Model,
    param: &Param,
    env: ConstEnv,
    seed: u64,
    activity: Option<&mut dyn Activity>,
    tensors: &Tensors,
) -> Result<Vec<f32>, Refusal> {
    let neurons = Measured { model, env, seed, tensors };
    lower::init_values(param, env, seed, activity, &neurons, tensors)
}

/// The value of an expression of first values of a tensor, that may read the neuron that receives; see [`lower::of_first_values`].
pub fn of_first_values(
    model: &Model,
    value: &hir::Expr,
    tensor: (LocalId, &[usize], &[f32]),
    env: ConstEnv,
    seed: u64,
) -> Vec<f64> {
    let tensors = &Tensors::new();
    lower::of_first_values(value, tensor, env, &Measured { model, env, seed, tensors })
}

/// Measures the neurons of a model.
pub struct Measured<'a> {
    /// The model.
    pub model: &'a Model,
    /// Length of a step; steps of a presentation.
    pub env: ConstEnv,
    /// Of the first values of its parameters.
    pub seed: u64,
    /// What its parameters read of files.
    pub tensors: &'a Tensors,
}

/// Steps of the first and the longest measurement.
const STEPS: [usize; 2] = [512, 16_384];
/// What is left of a response that has decayed.
const DECAYED: f64 = 1e-9;
/// Currents of the response to constant input, in units of the least that reaches threshold.
const CURRENTS: [f64; 4] = [3.0, 5.0, 7.0, 9.0];
/// Points of the mean of a surrogate's derivative.
const POINTS: usize = 1000;
/// Of how many neurons and samples spikes are counted; they are spread evenly over all.
const COLUMNS: usize = 4096;

impl Neurons for Measured<'_> {
    fn fact(&self, pop: PopId, port: usize, fact: NeuronFact) -> f64 {
        match fact {
            NeuronFact::Threshold => -last(&self.membrane(pop, port, &[], self.settle(pop, port))),
            NeuronFact::KernelSum => self.kernel(pop, port).iter().sum(),
            NeuronFact::KernelSquare => self.kernel(pop, port).iter().map(|v| v * v).sum(),
            NeuronFact::SurrogateMean => {
                let at = |k: usize| 2.0 * k as f64 / (POINTS - 1) as f64 - 1.0;
                self.surrogate(pop, port, &(0..POINTS).map(at).collect::<Vec<f64>>())
            }
            NeuronFact::SurrogateAtZero => self.surrogate(pop, port, &[0.0]),
            NeuronFact::RateSlope => self.rate_slope(pop, port),
        }
    }

    fn firing(&self, pop: PopId, port: usize, arriving: &[f64], columns: usize) -> f64 {
        let alone = self.alone(pop, port, false);
        let (Some(fired), given) = (alone.fired, arriving.len() / columns.max(1)) else { return 0.0 };
        let (steps, n) = (self.env.steps.max(1), columns.min(COLUMNS));
        let drive = |step: usize, k: usize| match given {
            0 => 0.0,
            _ => arriving[step.min(given - 1) * columns + k * columns / n.max(1)],
        };
        let spikes = self.run(&alone.model, fired, &drive, steps, n.max(1));
        spikes.iter().sum::<f64>() / spikes.len().max(1) as f64
    }
}

fn last(values: &[f64]) -> f64 {
    values.last().copied().unwrap_or(0.0)
}

fn peak(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |peak, v| if v.is_finite() { f64::max(peak, v.abs()) } else { f64::INFINITY })
}

impl Measured<'_> {
    fn alone(&self, pop: PopId, port: usize, silenced: bool) -> Alone {
        let value = |id: ParamId| {
            // Parameters of neurons read no neurons. A misfit is said where they get their own values.
            let values = first_values(
                self.model,
                &self.model.params[id.idx()],
                self.env,
                self.seed,
                None,
                self.tensors,
            );
            let values = values.unwrap_or_default();
            values.iter().map(|v| f64::from(*v)).sum::<f64>() / values.len().max(1) as f64
        };
        alone::alone(self.model, pop, port, &value, silenced)
    }

    /// The distance above threshold over the steps, without spikes; `drive` is what arrives, 0 after its end.
    fn membrane(&self, pop: PopId, port: usize, drive: &[f64], steps: usize) -> Vec<f64> {
        let alone = self.alone(pop, port, true);
        let Some(membrane) = alone.membrane else { return vec![0.0; steps] };
        self.stimulated(&alone.model, membrane, drive, steps)
    }

    /// Steps after which a small spike is forgotten; those of a presentation if it never is.
    fn settle(&self, pop: PopId, port: usize) -> usize {
        self.kernel(pop, port).len()
    }

    /// The response of the membrane to one spike of weight 1 in step 0: of a small one, scaled, so that neurons that are not linear are taken at rest.
    fn kernel(&self, pop: PopId, port: usize) -> Vec<f64> {
        let mut steps = STEPS[0];
        loop {
            let response = self.response(pop, port, steps);
            let tail = peak(&response[steps * 3 / 4..]);
            if tail <= DECAYED * peak(&response) {
                return response;
            }
            if steps >= STEPS[1] {
                return response[..self.env.steps.clamp(1, steps)].to_vec();
            }
            steps *= 4;
        }
    }

    fn response(&self, pop: PopId, port: usize, steps: usize) -> Vec<f64> {
        let rest = self.membrane(pop, port, &[], steps);
        let small = 1e-3 * last(&rest).abs().max(1e-30);
        let mut spike = 1.0;
        for _ in 0..64 {
            let after = self.membrane(pop, port, &[spike], steps);
            let response: Vec<f64> = after.iter().zip(&rest).map(|(a, b)| a - b).collect();
            let height = peak(&response);
            if height == 0.0 || height <= 2.0 * small {
                return response.into_iter().map(|v| v / spike).collect();
            }
            spike *= if height.is_finite() { small / height } else { 1e-3 };
        }
        vec![0.0; steps]
    }

    /// Mean of the surrogate's absolute derivative over some places.
    fn surrogate(&self, pop: PopId, port: usize, places: &[f64]) -> f64 {
        let Some((x, derivative)) = self.alone(pop, port, true).surrogate else { return 0.0 };
        let value =
            |place: &f64| constant::eval_in(&derivative, Some(&self.env), &mut vec![(x, Some(*place))]);
        places.iter().map(|place| value(place).unwrap_or(0.0).abs()).sum::<f64>() / places.len() as f64
    }

    /// Spikes a step for each unit of constant input, far above threshold: a line through the rates at some inputs, by least squares.
    fn rate_slope(&self, pop: PopId, port: usize) -> f64 {
        let kernel = self.kernel(pop, port);
        let distance = -last(&self.membrane(pop, port, &[], kernel.len()));
        let least = distance / kernel.iter().sum::<f64>();
        let alone = self.alone(pop, port, false);
        let Some(fired) = alone.fired else { return 0.0 };
        let steps = STEPS[0] * 4;
        let rate = |times: f64| {
            let spikes = self.stimulated(&alone.model, fired.clone(), &vec![times * least; steps], steps);
            spikes[steps / 4..].iter().sum::<f64>() / (steps - steps / 4) as f64
        };
        let n = CURRENTS.len() as f64;
        let rates = CURRENTS.map(rate);
        let (mean_x, mean_y) = (CURRENTS.iter().sum::<f64>() / n, rates.iter().sum::<f64>() / n);
        let along = CURRENTS.iter().zip(rates).map(|(x, y)| (x - mean_x) * (y - mean_y)).sum::<f64>();
        along / CURRENTS.iter().map(|x| (x - mean_x) * (x - mean_x)).sum::<f64>() / least
    }

    /// A value of a neuron over the steps; `drive` is what arrives, 0 after its end.
    fn stimulated(&self, model: &Model, value: ExprKind, drive: &[f64], steps: usize) -> Vec<f64> {
        self.run(model, value, &|step, _| drive.get(step).copied().unwrap_or(0.0), steps, 1)
    }

    /// A value of a neuron over the steps, in each of them for each column of what arrives (step, column).
    fn run(
        &self,
        model: &Model,
        value: ExprKind,
        drive: &dyn Fn(usize, usize) -> f64,
        steps: usize,
        columns: usize,
    ) -> Vec<f64> {
        let value = hir::Expr { kind: value, unit: Unit::NONE, shape: vec![1], span: Span::NONE };
        let job = Job {
            kind: JobKind::Simulate,
            model: hir::ModelId(0),
            data: None,
            steps,
            dt: self.env.dt,
            batch: columns,
            seed: self.seed,
            drives: Vec::new(),
            loss: None,
            train: None,
            metrics: Vec::new(),
            records: vec![Record { name: "value".into(), value, range: None, events: false }],
            reports: Vec::new(),
            span: Span::NONE,
        };
        let staged = super::net(model, &job, Purpose::Simulate, columns, DataFacts::default(), true);
        let net = staged.expect("a simulation needs no primitive").net;
        let rows = net.shards * net.shard_batch;
        let inputs: Vec<Array<f64>> = net
            .inputs
            .iter()
            .map(|input| {
                let mut values = Array::filled(&input.ty, steps, rows, 1.0);
                if input.name == alone::DRIVE {
                    for step in 0..steps {
                        for column in 0..rows {
                            let at = values.at(step, column, 0);
                            values.data[at] = if column < columns { drive(step, column) } else { 0.0 };
                        }
                    }
                }
                values
            })
            .collect();
        let call = Call { key: snn_runtime::rng::key(self.seed, 4, 0), scalars: [1.0; SCALARS] };
        let results = interp::run(&net, &Inputs { inputs: &inputs, params: &[], slots: &[] }, &call);
        let found = results.output(&net, "record value").expect("it is recorded");
        (0..steps * columns).map(|k| found.get(k / columns, k % columns, 0)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diag::Diagnostics;
    use crate::source::Sources;
    use std::collections::BTreeMap;

    /// First values by name of a network with a hidden layer of `n` and another of `m`, under an initializer.
    fn weights(init: &str, n: usize, m: usize, seed: u64) -> BTreeMap<String, Vec<f32>> {
        let text = format!(
            "model Net {{\n    input x: [9]\n    let h = Lif[{n}](tau = 10 ms)\n    let g = Lif[{m}]\n\
             x -> h : dense(init = {init})\n    x -> g : dense(init = {init})\n    output h, g\n}}\n"
        );
        let mut sources = Sources::new();
        let file = sources.add("net.snn", text);
        let mut diags = Diagnostics::new();
        let checked = super::super::check(&mut sources, file, &Default::default(), &mut diags);
        assert!(!diags.has_errors(), "{:?}", diags.list);
        let model = &checked.program.models[0];
        let env = ConstEnv { dt: 1e-3, steps: 20 };
        let named = model.params.iter().enumerate();
        let none = Tensors::new();
        let values = |k: usize| first_values(model, &model.params[k], env, seed, None, &none);
        named.map(|(k, param)| (param.name.clone(), values(k).expect("reads no file"))).collect()
    }

    const INITS: [&str; 5] = [
        "kaiming_normal",
        "gamma(2, 0.05)",
        "orthogonal",
        "fixed_in(3, normal(0, 1))",
        "fluctuation_driven(nu = 0.1)",
    ];

    #[test]
    fn a_layer_that_changes_leaves_the_others_as_they_are() {
        for init in INITS {
            let (before, after) = (weights(init, 6, 5, 1), weights(init, 6, 8, 1));
            assert_eq!(before["x->h.weight"], after["x->h.weight"], "{init}");
            assert_ne!(before["x->g.weight"].len(), after["x->g.weight"].len());
        }
    }

    #[test]
    fn a_seed_decides_about_all_values() {
        for init in INITS {
            assert_eq!(weights(init, 6, 6, 3), weights(init, 6, 6, 3), "{init}");
            assert_ne!(
                weights(init, 6, 6, 3)["x->h.weight"],
                weights(init, 6, 6, 4)["x->h.weight"],
                "{init}"
            );
        }
    }

    #[test]
    fn layers_draw_numbers_of_their_own() {
        for init in INITS {
            let both = weights(init, 6, 6, 1);
            assert_ne!(both["x->h.weight"], both["x->g.weight"], "{init}");
            assert!(both.values().flatten().all(|w| w.is_finite()), "{init}");
        }
    }
}
