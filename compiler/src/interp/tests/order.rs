//! Orders of sums, seen in f32: every test fails if any two additions change places.

use super::*;
use crate::step::Axes;
use crate::step::ops::Fold;

/// Numbers of very different size.
fn odd(n: usize, seed: usize) -> Vec<f64> {
    (0..n)
        .map(|k| f64::from((((k * 37 + seed * 11) % 101) as f32 - 50.0) * 1.37f32.powi((k * 7 % 23) as i32)))
        .collect()
}

fn f32s(values: &[f64]) -> Vec<f32> {
    values.iter().map(|v| *v as f32).collect()
}

#[test]
fn sums_of_everything_go_by_neuron_then_step_and_sample_then_shard() {
    let (steps, rows, shards, n) = (3, 2, 3, 4);
    let mut net = empty(steps, rows, shards);
    let x = input(&mut net, ty("tb", &[n]));
    let y = net.graph.fold(Fold::Sum, Axes { time: true, batch: true, index: true }, x);
    output(&mut net, "y", y);
    let data = odd(steps * rows * shards * n, 1);
    let x = f32s(&data);
    let mut total = 0.0f32;
    for shard in 0..shards {
        let mut of_shard = 0.0f32;
        for t in 0..steps {
            for b in 0..rows {
                let at = (t * rows * shards + shard * rows + b) * n;
                of_shard += x[at..at + n].iter().fold(0.0, |sum, v| sum + v);
            }
        }
        total += of_shard;
    }
    let got = results::<f32>(&net, &[&data], &[]).values[y.idx()].data[0];
    assert_eq!(got.to_bits(), total.to_bits());
    assert_ne!(got.to_bits(), x.iter().sum::<f32>().to_bits(), "the numbers do not tell orders apart");
}

#[test]
fn outer_products_add_steps_then_samples_of_a_shard() {
    let (steps, rows, shards) = (4, 3, 2);
    let mut net = empty(steps, rows, shards);
    let (x, d) = (input(&mut net, ty("tb", &[1])), input(&mut net, ty("tb", &[1])));
    let y = net.graph.push(Op::Outer, &[x, d], Ty::tensor(&[1, 1]));
    output(&mut net, "y", y);
    let mut told_apart = false;
    for seed in 0..8 {
        let (a, b) = (odd(24, seed), odd(24, seed + 20));
        let (x, d) = (f32s(&a), f32s(&b));
        let of_shard = |shard: usize| {
            let mut sum = 0.0f32;
            for t in 0..steps {
                for at in (t * shards + shard) * rows..(t * shards + shard + 1) * rows {
                    sum += x[at] * d[at];
                }
            }
            sum
        };
        let expected = of_shard(0) + of_shard(1);
        let got = results::<f32>(&net, &[&a, &b], &[]).values[y.idx()].data[0];
        assert_eq!(got.to_bits(), expected.to_bits());
        told_apart |= got != x.iter().zip(&d).fold(0.0f32, |sum, (x, d)| sum + x * d);
    }
    assert!(told_apart, "the numbers do not tell orders apart");
}

#[test]
fn matrix_products_add_ascending_from_zero() {
    let n = 9;
    let mut net = empty(1, 1, 1);
    let (x, w) = (input(&mut net, ty("b", &[n])), param(&mut net, &[n, 1]));
    let y = net.graph.matmul(x, w, false);
    output(&mut net, "y", y);
    let (a, b) = (odd(n, 4), odd(n, 5));
    let expected = f32s(&a).iter().zip(f32s(&b)).fold(0.0f32, |sum, (x, w)| sum + x * w);
    assert_eq!(results::<f32>(&net, &[&a], &[&b]).values[y.idx()].data[0].to_bits(), expected.to_bits());
    // Starting from 0 and not from the first product: the sum of negative zeros is 0.
    let zeros = vec![-0.0; n];
    let got = results::<f32>(&net, &[&zeros], &[&vec![1.0; n]]).values[y.idx()].data[0];
    assert_eq!(got.to_bits(), 0.0f32.to_bits());
}

#[test]
fn sums_start_from_zero() {
    let mut net = empty(2, 1, 2);
    let x = input(&mut net, ty("tb", &[2]));
    let y = net.graph.fold(Fold::Sum, Axes { time: true, batch: true, index: true }, x);
    output(&mut net, "y", y);
    let got = results::<f32>(&net, &[&[-0.0; 8]], &[]).values[y.idx()].data[0];
    assert_eq!(got.to_bits(), 0.0f32.to_bits());
}

#[test]
fn denormal_numbers_are_zero() {
    let mut net = empty(1, 1, 1);
    let x = input(&mut net, ty("b", &[]));
    let y = net.graph.pointwise(crate::step::ops::Pw::Mul, &[x, x]);
    output(&mut net, "y", y);
    assert_eq!(results::<f32>(&net, &[&[1e-20]], &[]).values[y.idx()].data[0], 0.0);
}
