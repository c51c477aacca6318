//! How a batch is cut into shards. Not what a shard does in which phase: that is `schedule/phases`.

use crate::net::{Net, Scan};
use crate::schedule;
use crate::step::{Node, Op};

/// Rows (samples times steps) of a shard of which the sequences of a layer stay in the second-level cache (784-512-512-10: 100 steps
/// train in 96 ms with 400 rows, in 114 with 1600).
const ROWS: usize = 400;

/// Width of the layers that [`ROWS`] is for; of images, which are wider, there are fewer rows (workload C with 4 steps trains in 75 ms with 4
/// samples, in 78 with 16).
const WIDTH: usize = 512;

/// Samples of a shard and number of shards for a batch. Never depends on the threads.
pub(super) fn shards(net: &Net, batch: usize) -> (usize, usize) {
    match is_step_by_step(net) {
        true => large(net, batch),
        false => of(batch, batch.div_ceil(samples(net).clamp(4, 16)).clamp(1, 64)),
    }
}

/// One shard where samples are folded over at each step; else up to 8 of at least 16 samples: where products are in time loops, which work on
/// the samples of one step, and where there is little memory for weight gradients of each shard.
pub(super) fn large(net: &Net, batch: usize) -> (usize, usize) {
    let most = if net.folds_samples_in_time() { 1 } else { 8 };
    of(batch, batch.div_ceil(16).clamp(1, most))
}

/// Fewer samples for the shards of a net with gradients, where presentations are so long that its large weight gradients are made shard by
/// shard, and with fewer samples all are products of all shards (784-512-512-10 with 400 steps trains in 335 ms with 1 sample, in 370 with 4;
/// Linear(512, 512) with 500 steps in 13.4 and 15.7). The factors that are kept for it take at most four times the memory of a gradient
/// for each shard as it was: not more than four shards are made of one.
pub(super) fn small(mut net: Net) -> Net {
    let before = (net.shard_batch, net.shards);
    let samples =
        (1..=samples(&net)).rev().find(|samples| net.shard_batch.is_multiple_of(*samples)).unwrap_or(1);
    let more = net.shard_batch / samples;
    if (2..=4).contains(&more) && !is_step_by_step(&net) && !schedule::all_in_parts(&net) {
        (net.shard_batch, net.shards) = (samples, net.shards * more);
        if !schedule::all_in_parts(&net) {
            (net.shard_batch, net.shards) = before;
        }
    }
    net
}

fn of(batch: usize, shards: usize) -> (usize, usize) {
    let samples = batch.div_ceil(shards).max(1);
    (samples, batch.div_ceil(samples).max(1))
}

/// Whether time loops need the samples of a step together: to fold over them, or for a product.
fn is_step_by_step(net: &Net) -> bool {
    let has_product = |scan: &Scan| scan.body.nodes.iter().any(|n| matches!(n.op, Op::MatMul { .. }));
    net.folds_samples_in_time() || net.scans.iter().any(has_product)
}

/// Samples of [`ROWS`] rows; fewer where there are images.
fn samples(net: &Net) -> usize {
    let is_image = |node: &&Node| matches!(node.op, Op::Slide { .. });
    let widest = net.graph.nodes.iter().filter(is_image).map(|node| node.ty.width()).max();
    ROWS * WIDTH / widest.unwrap_or(WIDTH).max(WIDTH) / net.steps.max(1)
}

#[cfg(test)]
mod tests {
    use super::super::{Checked, DataFacts, Purpose, check, net};
    use crate::diag::Diagnostics;
    use crate::source::Sources;

    /// Samples of a shard and shards of a training with so many steps and hidden neurons.
    fn cut(batch: usize, steps: usize, width: usize, purpose: Purpose) -> (usize, usize) {
        cut_with(&format!("Lif[{width}](tau = 10 ms)"), batch, steps, width, purpose)
    }

    fn cut_with(hidden: &str, batch: usize, steps: usize, width: usize, purpose: Purpose) -> (usize, usize) {
        let text = format!(
            "model Net {{\n    input x: [784] stream\n    let h = {hidden}\n    let y = Lif[{width}](tau = 10 ms)\n    \
             x -> h : dense()\n    h -> y : dense()\n    output y\n}}\n\
             data noise = std.data.noise(inputs = 784, samples = {batch}, classes = {width}, steps = {steps})\n\
             train Net on noise {{\n    steps {steps}\n    dt 1 ms\n    batch {batch}\n    epochs 1\n    loss cross_entropy(mean(y))\n    \
             optimizer sgd(lr = 0.1)\n}}\n"
        );
        let mut sources = Sources::new();
        let file = sources.add("net.snn", text);
        let mut diags = Diagnostics::new();
        let Checked { program, .. } = check(&mut sources, file, &Default::default(), &mut diags);
        assert!(!diags.has_errors(), "{:?}", diags.list);
        let facts = DataFacts { target_width: width, spikes: true };
        let net = net(&program.models[0], &program.jobs[0], purpose, batch, facts, false).expect("a net").net;
        (net.shard_batch, net.shards)
    }

    #[test]
    fn long_trainings_have_small_shards_where_gradients_are_then_one_product() {
        let cuts = [25, 100, 130, 200, 400, 512].map(|steps| cut(128, steps, 512, Purpose::Train));
        assert_eq!(cuts, [(16, 8), (4, 32), (2, 64), (2, 64), (1, 128), (1, 128)]);
        assert_eq!(cut(512, 100, 512, Purpose::Train), (4, 128), "twice as many shards");
        assert_eq!(cut(4096, 100, 512, Purpose::Train), (64, 64), "too much to keep");
        assert_eq!(cut(128, 513, 512, Purpose::Train), (4, 32), "more rows than neurons");
        assert_eq!(cut(128, 200, 256, Purpose::Train), (4, 32), "more rows than neurons");
        assert_eq!(cut(128, 400, 512, Purpose::Evaluate), (4, 32), "there are no gradients");
    }
    #[test]
    fn samples_that_are_normalised_together_at_each_step_stay_in_one_shard() {
        for batch in [2, 4, 8, 128] {
            assert_eq!(cut_with("MpbnLif[512]", batch, 200, 512, Purpose::Train), (batch, 1));
        }
    }
}
