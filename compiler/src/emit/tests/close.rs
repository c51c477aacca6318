//! Quotients and roots outside of strict mode: how far off they are, and that they know zeros and infinities.

use super::*;
use crate::step::ops::Pw;

const WIDTH: usize = 4099;

/// Quotients of all pairs of two rows and roots of the first, in the widest vectors.
fn results(a: impl Fn(usize) -> f32, b: impl Fn(usize) -> f32) -> Option<[Vec<f32>; 3]> {
    let mut net = net(1, 1, 1);
    let (x, y) = (input(&mut net, &ty("b", &[WIDTH])), input(&mut net, &ty("b", &[WIDTH])));
    let one = net.graph.constant(1.0);
    for (op, args) in [(Pw::Div, vec![x, y]), (Pw::Sqrt, vec![x]), (Pw::Div, vec![one, y])] {
        let val = net.graph.pointwise(op, &args);
        output(&mut net, val);
    }
    let vectors = Vectors::of_host()?;
    let fast = Options { strict: false, wide: Some(vectors), ..ENGINES[0] };
    let program = program(&schedule::loops(&net), &fast);
    let mut memory = Memory::new(&program);
    memory.fill(&program, &Data::new(&net, |seed, at| if seed == 0 { a(at) } else { b(at) }));
    memory.run(&program, 1);
    Some([0, 1, 2].map(|k| memory.at(&program, program.outputs[k].buffer, 0).to_vec()))
}

/// Distance in units in the last place of the right number.
fn off(got: f32, right: f64) -> f64 {
    let right32 = right as f32;
    let unit = f64::from(f32::from_bits(right32.abs().to_bits() + 1)) - f64::from(right32.abs());
    (f64::from(got) - right).abs() / unit
}

#[test]
fn quotients_and_roots_are_off_by_little() {
    for (low, high) in [(-3.0, 3.0), (-60.0, 60.0)] {
        let spread = |seed: usize, at: usize| {
            let sign = if noise(seed, 7 * at) < 0.0 { -1.0 } else { 1.0 };
            sign * 2f32.powf(low + (high - low) * noise(seed, at).abs().fract())
        };
        let (a, b) = (|at| spread(0, at), |at| spread(1, at));
        let Some([quotients, roots, reciprocals]) = results(a, b) else { return };
        for at in 0..WIDTH {
            let (x, y) = (f64::from(a(at)), f64::from(b(at)));
            assert!(off(quotients[at], x / y) < 0.6, "{x} / {y}: {}", quotients[at]);
            assert!(off(reciprocals[at], 1.0 / y) < 0.6, "1 / {y}: {}", reciprocals[at]);
            let root = f64::from(roots[at]);
            assert!(if x < 0.0 { root.is_nan() } else { off(roots[at], x.sqrt()) < 0.6 }, "{x}: {root}");
        }
    }
}

#[test]
fn zeros_infinities_and_exact_results_are_as_they_should_be() {
    let edges = [0.0f32, 1.0, -1.0, 2.0, 3.0, 0.1, 1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0];
    let (a, b) = (|at| edges[at % 11], |at| edges[at / 11 % 11]);
    let Some([quotients, roots, reciprocals]) = results(a, b) else { return };
    let same = |got: f32, right: f32| got == right || got.is_nan() && right.is_nan();
    for at in 0..121 {
        let (x, y): (f32, f32) = (a(at), b(at));
        let close = |got: f32, right: f32| same(got, right) || (got / right - 1.0).abs() < 1.2e-7;
        assert!(close(quotients[at], x / y), "{x} / {y}: {}", quotients[at]);
        assert!(close(reciprocals[at], 1.0 / y), "1 / {y}: {}", reciprocals[at]);
        assert!(close(roots[at], x.sqrt()), "root of {x}: {}", roots[at]);
        assert!(x != y || x == 0.0 || !x.is_finite() || quotients[at] == 1.0, "{x} / {x}: {}", quotients[at]);
    }
}
