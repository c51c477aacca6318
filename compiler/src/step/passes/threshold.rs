//! An affine map in front of a comparison goes into the threshold: what is left of a normalisation that only fires.
//!
//! Before: `%7 = sub %u, %mean`, `%8 = div %7, %deviation`, `%9 = mul %gain, %8`, `%10 = add %9, %shift`, `%11 = sub %10, 0.5`,
//! `%12 = spike > %11`; after: `%a = div %gain, %deviation`, `%c = …`, `%13 = mul %u, %a`, `%12 = lt %c, %13`, where `%a` and `%c` are
//! made of parameters and leave the time loop. Correct because both sides of the comparison are the same but for `-b` in
//! `a u + b > 0`: no division by a gain, so a gain that is negative or 0 is no special case (Guo et al. 2023 give the threshold of
//! positive gains). What a reset takes away is no part of the comparison and stays. The result may differ from that of the
//! operations one after another where both sides are equal but for rounding.
//!
//! Not in the list of [`super::PASSES`]: for steps without a backward pass, because a comparison has no surrogate. Before the list,
//! which computes what is made of numbers and leaves out the rest.

use super::affine::{Chain, Uses, affine};
use crate::step::ops::Pw;
use crate::step::{Graph, Op, StepFn, ValId};
use std::collections::BTreeSet;

/// Operations, that of the comparison among them, from which on a product and a comparison are less.
const FEWEST: usize = 3;

/// Runs the pass on a step of which only some outputs are wanted; none if there is nothing to do.
pub fn run(step: &StepFn, wanted: &BTreeSet<String>) -> Option<StepFn> {
    let uses = Uses::of(step, wanted);
    let old = &step.graph;
    super::replaced(step, |new, map, val| match old.node(val).op {
        Op::Spike { strict, .. } => affine(old, &uses, old.node(val).args[0])
            .filter(|chain| chain.links.len() >= FEWEST && uses.is_read_once(chain.top))
            .map(|chain| compare(&chain, new, map, strict)),
        _ => None,
    })
}

/// `c < a * base`, or `<=`: the chain is `a * base - c`.
fn compare(chain: &Chain, new: &mut Graph, map: &[ValId], strict: bool) -> ValId {
    let (a, b) = chain.factors(new, map);
    let threshold = new.pointwise(Pw::Neg, &[b]);
    let drive = new.pointwise(Pw::Mul, &[map[chain.base.idx()], a]);
    new.pointwise(if strict { Pw::Lt } else { Pw::Le }, &[threshold, drive])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interp::{self, Array, Call, Extent, Inputs, Mode, Number};
    use crate::step::{Input, Param, State, Ty};
    use snn_runtime::abi::SCALARS;
    use snn_runtime::rng;

    const EXTENT: Extent = Extent { steps: 20, shard_batch: 1000, shards: 1 };
    const CHANNELS: usize = 64;

    /// A leaky membrane that fires where its normalised value is above 1/2. Hard reset, or minus 1.
    fn membrane(soft: bool, strict: bool) -> StepFn {
        let mut g = Graph::default();
        let all = Ty { time: false, batch: true, shape: vec![CHANNELS] };
        let x = g.push(Op::Input(0), &[], all.clone());
        let [gain, shift, mean, variance] =
            [0, 1, 2, 3].map(|p| g.push(Op::Param(p), &[], Ty::tensor(&[CHANNELS])));
        let before = g.push(Op::Prev(0), &[], all.clone());
        let (leak, eps, half, one) = (g.constant(0.25), g.constant(1e-5), g.constant(0.5), g.constant(1.0));
        let kept = g.pointwise(Pw::Mul, &[leak, before]);
        let u = g.pointwise(Pw::Add, &[kept, x]);
        let above = g.pointwise(Pw::Add, &[variance, eps]);
        let deviation = g.pointwise(Pw::Sqrt, &[above]);
        let centred = g.pointwise(Pw::Sub, &[u, mean]);
        let normal = g.pointwise(Pw::Div, &[centred, deviation]);
        let scaled = g.pointwise(Pw::Mul, &[gain, normal]);
        let shifted = g.pointwise(Pw::Add, &[scaled, shift]);
        let over = g.pointwise(Pw::Sub, &[shifted, half]);
        let fired = g.push(Op::Spike { surrogate: None, strict }, &[over], all.clone());
        let rest = g.pointwise(Pw::Sub, &[one, fired]);
        let next = match soft {
            true => g.pointwise(Pw::Sub, &[u, fired]),
            false => g.pointwise(Pw::Mul, &[u, rest]),
        };
        let param = |name: &str| Param { name: name.into(), shape: vec![CHANNELS], trained: true };
        let init = g.constant(0.0);
        StepFn {
            graph: g,
            inputs: vec![Input { name: "x".into(), ty: Ty { time: true, ..all.clone() }, spikes: false }],
            params: ["gain", "shift", "mean", "variance"].map(param).to_vec(),
            states: vec![State { name: "h.u".into(), init, next, delay: 1, ty: all }],
            outputs: vec![("h.fired".into(), fired), ("h.hat".into(), shifted)],
        }
    }

    fn spikes<N: Number>(step: &StepFn) -> Array<N> {
        let mut rows = vec![vec![0.0; CHANNELS]; EXTENT.steps * EXTENT.shard_batch];
        for (at, row) in rows.iter_mut().enumerate() {
            rng::gaussian_row(row, 3, 1, at as u64, 0);
        }
        let x = Array::from_fn(&step.inputs[0].ty, EXTENT.steps, EXTENT.shard_batch, |t, b, i| {
            N::from_f64(0.4 + 0.8 * f64::from(rows[t * EXTENT.shard_batch + b][i]))
        });
        // About half of the gains are negative, one is 0.
        let of: [fn(f64) -> f64; 4] = [
            |i| if i == 5.0 { 0.0 } else { (3.0 * i + 1.0).sin() },
            |i| 0.3 + 0.4 * (5.0 * i).sin(),
            |i| 0.3 * i.cos(),
            |i| 0.4 + 0.3 * (2.0 * i).sin(),
        ];
        let params =
            of.map(|f| Array::from_fn(&Ty::tensor(&[CHANNELS]), 1, 1, |_, _, i| N::from_f64(f(i as f64))));
        let call = Call { key: 0, scalars: [0.0; SCALARS] };
        let inputs = Inputs { inputs: &[x], params: &params, slots: &[] };
        interp::step(step, EXTENT, &inputs, &call, &Mode::default()).unwrap().values.swap_remove(0)
    }

    fn check_membrane<N: Number>(soft: bool, strict: bool) {
        let wanted = BTreeSet::from(["h.fired".to_string()]);
        let step = membrane(soft, strict);
        let folded = crate::step::passes::run(run(&step, &wanted).unwrap());
        assert_eq!(crate::step::verify::verify(&folded), Ok(()));
        assert!(!folded.graph.nodes.iter().any(|n| matches!(n.op, Op::Spike { .. })));
        let (before, after) = (spikes::<N>(&step), spikes::<N>(&folded));
        let count = before.data.iter().filter(|v| v.to_f64() == 1.0).count();
        assert!(count > before.data.len() / 5 && count < before.data.len() * 4 / 5, "{count}");
        let differ = before.data.iter().zip(&after.data).filter(|(a, b)| a.to_f64() != b.to_f64()).count();
        assert_eq!(differ, 0, "of {count} spikes; soft {soft}, strict {strict}");
    }

    #[test]
    fn folded_membranes_fire_alike_whatever_the_sign_of_the_gain() {
        for (soft, strict) in [(false, true), (true, true), (true, false)] {
            check_membrane::<f64>(soft, strict);
        }
    }

    #[test]
    fn what_something_else_reads_is_not_folded() {
        let step = membrane(false, true);
        assert!(run(&step, &BTreeSet::from(["h.fired".to_string()])).is_some());
        assert!(run(&step, &BTreeSet::from(["h.fired".to_string(), "h.hat".to_string()])).is_none());
    }
}
