//! An affine map behind projections goes into their weights: what an evaluation does of a normalisation between a projection and a neuron.
//!
//! Before: `%5 = conv %x, %w`, `%6 = sub %5, %mean`, `%7 = div %6, %deviation`, `%8 = mul %gain, %7`, `%9 = add %8, %shift`; after:
//! `%a = div %gain, %deviation`, `%b = …`, `%r = rows [9 times] %a`, `%s = mul %w, %r`, `%5 = conv %x, %s`, `%9 = add %5, %b`, where
//! `%s` and `%b` are made of parameters: once for all samples and steps of a call. Correct because products are linear: a factor of each
//! channel may stand at its weights, whatever its sign, 0 included. A sum of several projections has the factor in all of them; what else
//! is in the sum, as the other branch of a residual block, is multiplied by it. Differs from the operations one after another in rounding
//! only. Where something else reads the sum or a value on the way (a record, a loss on it), the map stays where it is.
//!
//! Not in the list of [`super::PASSES`]: in a training, statistics are not parameters. After [`super::threshold`], which leaves one product
//! where the normalised value is only compared, and before the list, which leaves out the rest.

use super::affine::{Chain, Uses, affine};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, Slide, StepFn, Ty, ValId};
use std::collections::{BTreeMap, BTreeSet};

/// Operations from which on one sum is less.
const FEWEST: usize = 2;

/// How often a step is made for the weights of one call.
#[derive(Clone, Copy, Debug)]
pub struct Calls {
    /// Samples of a batch.
    pub samples: usize,
    /// Steps of a presentation.
    pub steps: usize,
}

/// Runs the pass on a step of which only some outputs are wanted; none if there is nothing to do.
pub fn run(step: &StepFn, wanted: &BTreeSet<String>, calls: Calls) -> Option<StepFn> {
    let uses = Uses::of(step, wanted);
    let (chains, varies) = (chains(&step.graph, &uses), step.varying());
    super::replaced(step, |new, map, val| {
        let chain = chains.get(&val)?;
        let steps = if varies[chain.base.idx()] { calls.steps } else { 1 };
        let (a, b) = chain.factors(new, map);
        let mut sum = Sum { old: &step.graph, uses: &uses, new, map, factor: a, weights: 0, others: 0 };
        let scaled = sum.scaled(chain.base);
        let (weights, others) = (sum.weights, sum.others);
        // Each of the weights is multiplied once in a call.
        let left = usize::from(chain.shifts()) + others;
        let less = chain.links.len().saturating_sub(left) * calls.samples * steps;
        if weights == 0 || weights > less * step.graph.ty(val).width() {
            return None;
        }
        match chain.shifts() {
            true => Some(new.pointwise(Pw::Add, &[scaled, b])),
            false => Some(scaled),
        }
    })
}

/// Chains that are no part of a longer one and have a factor of each neuron or channel, by their last value.
fn chains(graph: &Graph, uses: &Uses) -> BTreeMap<ValId, Chain> {
    let (mut chains, mut inner) = (BTreeMap::new(), BTreeSet::<ValId>::new());
    for top in graph.vals().rev().filter(|val| uses.is_read(*val)) {
        if inner.contains(&top) {
            continue;
        }
        let Some(chain) = affine(graph, uses, top) else { continue };
        inner.extend(&chain.inner);
        if chain.links.len() >= FEWEST && chain.factors_of_neurons(graph) {
            chains.insert(top, chain);
        }
    }
    chains
}

/// What a factor is put into.
struct Sum<'a> {
    old: &'a Graph,
    uses: &'a Uses,
    new: &'a mut Graph,
    map: &'a [ValId],
    factor: ValId,
    /// Weights that were multiplied.
    weights: usize,
    /// Values that are multiplied at each step.
    others: usize,
}

impl Sum<'_> {
    /// The value times the factor.
    fn scaled(&mut self, val: ValId) -> ValId {
        let node = self.old.node(val);
        match (&node.op, &node.args[..]) {
            (Op::Pointwise(op @ (Pw::Add | Pw::Sub)), [x, y]) if self.uses.is_read_once(val) => {
                let terms = [self.scaled(*x), self.scaled(*y)];
                self.new.pointwise(*op, &terms)
            }
            (Op::MatMul { transposed: false } | Op::Slide { slide: Slide::Conv, .. }, [x, w])
                if self.uses.is_read_once(val) && self.uses.steady[w.idx()] =>
            {
                let times = match node.op {
                    Op::Slide { over, .. } => over.width_out() / over.channels[1],
                    _ => 1,
                };
                let Some(weights) = self.weights(*w, times) else { return self.product(val) };
                self.new.push(node.op.clone(), &[self.map[x.idx()], weights], node.ty.clone())
            }
            _ => self.product(val),
        }
    }

    fn product(&mut self, val: ValId) -> ValId {
        self.others += usize::from(!self.uses.steady[val.idx()]);
        self.new.pointwise(Pw::Mul, &[self.map[val.idx()], self.factor])
    }

    /// Weights times the factor, of which `times` neighbours share a column; none if these may have different ones.
    fn weights(&mut self, w: ValId, times: usize) -> Option<ValId> {
        let factor = of_channels(self.new, self.factor, times)?;
        let shape = self.old.ty(w).shape.clone();
        let factor = match self.new.ty(factor).shape.is_empty() {
            true => factor,
            false => self.new.push(Op::Rows { times: shape[0] }, &[factor], Ty::tensor(&shape)),
        };
        self.weights += shape.iter().product::<usize>();
        Some(self.new.pointwise(Pw::Mul, &[self.map[w.idx()], factor]))
    }
}

/// Of a value that is the same for `times` neighbours, one for all of them; none if it may differ.
fn of_channels(graph: &mut Graph, val: ValId, times: usize) -> Option<ValId> {
    if times == 1 || graph.ty(val).shape.is_empty() {
        return Some(val);
    }
    let node = graph.node(val).clone();
    match node.op {
        Op::Repeat { times: t } if t == times || graph.ty(node.args[0]).shape.is_empty() => {
            Some(node.args[0])
        }
        Op::Pointwise(op) => {
            let args: Option<Vec<ValId>> =
                node.args.iter().map(|arg| of_channels(graph, *arg, times)).collect();
            Some(graph.pointwise(op, &args?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analyze::Overrides;
    use crate::diag::Diagnostics;
    use crate::hir::constant::ConstEnv;
    use crate::interp::{self, Array, Call, Extent, Inputs, Mode, Number};
    use crate::source::Sources;
    use crate::step::passes;
    use crate::{lower, pipeline};
    use snn_runtime::abi::SCALARS;
    use snn_runtime::rng;

    const EXTENT: Extent = Extent { steps: 8, shard_batch: 40, shards: 1 };
    const CALLS: Calls = Calls { samples: 40, steps: 8 };

    /// The step of an evaluation in which projections reach a normalisation `n`, which a spiking population `h` reads.
    fn step(norm: &str, projections: &str) -> StepFn {
        let text = format!(
            "neuron Shown {{ input x   let s = x   emit batch_norm(s) }}
            neuron EachNeuron {{ input x   emit batch_norm(x, per = neuron) }}
            neuron From {{ input x   emit 0.3 - 2 * batch_norm(-x) }}
            model Net {{
                input x: [2, 4, 4] stream
                let n = {norm}[3, 4, 4]
                let h = Lif[3, 4, 4](tau = 3 ms, theta = 0.8, reset = hard)
                {projections}
                n -> h : one_to_one
                output h
            }}"
        );
        let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
        let file = sources.add("test.snn", &text);
        let checked = pipeline::check(&mut sources, file, &Overrides::default(), &mut diags);
        assert!(!diags.has_errors(), "{text}");
        let env = ConstEnv { dt: 1e-3, steps: EXTENT.steps };
        passes::run(lower::step(&checked.program.models[0], &env, false))
    }

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    /// The values of an output: gains of both signs and one 0, variances from 0.1 to 0.7, normal weights and inputs.
    fn values<N: Number>(step: &StepFn, output: &str) -> Array<N> {
        let normal = |stream: u64, row: u64, width: usize| {
            let mut values = vec![0.0; width];
            rng::gaussian_row(&mut values, 3, stream, row, 0);
            values.into_iter().map(f64::from).collect::<Vec<_>>()
        };
        let (input, samples) = (&step.inputs[0].ty, EXTENT.shard_batch);
        let rows: Vec<Vec<f64>> =
            (0..EXTENT.steps * samples).map(|row| normal(1, row as u64, input.width())).collect();
        let x = Array::from_fn(input, EXTENT.steps, samples, |t, b, i| N::from_f64(rows[t * samples + b][i]));
        let params: Vec<Array<N>> = step
            .params
            .iter()
            .enumerate()
            .map(|(p, param)| {
                let drawn = normal(2, p as u64, param.shape.iter().product());
                let value = |i: usize| match param.name.rsplit('.').next() {
                    Some("gain") => [0.8, -0.7, 0.0, 1.1][i % 4],
                    Some("variance") => 0.4 + 0.3 * (2.0 * i as f64).sin(),
                    _ => 0.4 * drawn[i],
                };
                Array::from_fn(&Ty::tensor(&param.shape), 1, 1, |_, _, i| N::from_f64(value(i)))
            })
            .collect();
        let mask = Array::filled(&step.inputs[1].ty, EXTENT.steps, samples, 1.0);
        let call = Call { key: 0, scalars: [0.0; SCALARS] };
        let inputs = Inputs { inputs: &[x, mask], params: &params, slots: &[] };
        let at = step.outputs.iter().position(|(name, _)| name == output).expect("an output");
        interp::step(step, EXTENT, &inputs, &call, &Mode::default()).unwrap().values.swap_remove(at)
    }

    /// Largest difference of the normalised values and number of spikes that differ, folded and not.
    fn differences<N: Number>(before: &StepFn, after: &StepFn) -> (f64, usize) {
        let [n, n_after] = [before, after].map(|step| values::<N>(step, "n").data);
        let of = n.iter().zip(&n_after).map(|(a, b)| (a.to_f64() - b.to_f64()).abs());
        let [spikes, spikes_after] = [before, after].map(|step| values::<N>(step, "h.fired").data);
        let fired = spikes.iter().filter(|s| s.to_f64() == 1.0).count();
        assert!(fired > spikes.len() / 20 && fired < spikes.len() * 19 / 20, "{fired} of {}", spikes.len());
        let wrong = spikes.iter().zip(&spikes_after).filter(|(a, b)| a.to_f64() != b.to_f64()).count();
        (of.fold(0.0, f64::max), wrong)
    }

    /// Divisions that are made for each sample.
    fn divisions(step: &StepFn) -> usize {
        let is = |n: &&crate::step::Node| matches!(n.op, Op::Pointwise(Pw::Div)) && n.ty.batch;
        step.graph.nodes.iter().filter(is).count()
    }

    const CONV: &str = "x -> n : conv(kernel = 3, padding = 1)";
    const SEVERAL: &str = "x -> n : conv(kernel = 3, padding = 1, bias = zeros)
        x -> n : conv(kernel = 1)
        x -> n : dense(bias = zeros)";
    const RECURRENT: &str = "h -> n : dense(delay = 2 steps)
        h -> n : one_to_one(delay = 1 step)";

    #[test]
    fn folded_normalisations_give_the_same_spikes_and_values() {
        for norm in ["TdBn", "BatchNorm", "Shown", "From"] {
            // Statistics of all steps together cannot depend on themselves.
            let recurrent = if norm == "TdBn" { "" } else { RECURRENT };
            for projections in [CONV.to_string(), format!("{SEVERAL}\n{recurrent}")] {
                let before = step(norm, &projections);
                let after = run(&before, &wanted(&["h.fired"]), CALLS).expect(norm);
                let after = passes::run(after);
                assert_eq!(crate::step::verify::verify(&after), Ok(()), "{norm}");
                assert_eq!((divisions(&before), divisions(&after)), (1, 0), "{norm}\n{after}");
                let (exact, single) =
                    (differences::<f64>(&before, &after), differences::<f32>(&before, &after));
                assert!(exact.0 < 1e-12 && exact.1 == 0, "{norm}: {exact:?}");
                assert!(single.0 < 2e-5, "{norm}: {single:?}");
            }
        }
    }

    #[test]
    fn what_something_else_reads_is_not_folded() {
        let step = step("Shown", CONV);
        assert!(run(&step, &wanted(&["h.fired"]), CALLS).is_some());
        assert!(run(&step, &wanted(&["h.fired", "n.s"]), CALLS).is_none());
    }

    #[test]
    fn factors_of_neurons_do_not_fit_weights_of_channels() {
        assert!(run(&step("EachNeuron", CONV), &wanted(&["h.fired"]), CALLS).is_none());
        assert!(run(&step("EachNeuron", "x -> n : dense"), &wanted(&["h.fired"]), CALLS).is_some());
    }

    #[test]
    fn weights_of_few_values_stay_as_they_are() {
        let step = step("BatchNorm", "x -> n : dense");
        assert!(run(&step, &wanted(&["h.fired"]), Calls { samples: 2, steps: 1 }).is_none());
        assert!(run(&step, &wanted(&["h.fired"]), Calls { samples: 2, steps: 8 }).is_some());
    }

    #[test]
    fn alone_a_bias_or_a_factor_stays() {
        let step = step("Rate", "x -> n : conv(kernel = 3, padding = 1, bias = zeros)");
        assert!(run(&step, &wanted(&["h.fired"]), CALLS).is_none());
    }
}
