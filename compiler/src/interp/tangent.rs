//! Forward-mode tangents of the linearised net: how the values of a recorded run change along a direction. For the transpose
//! test `<J v, w> = <v, J' w>` of the backward pass. No nodes are added, no gradients are computed.
//!
//! A spike passes the derivative of its surrogate, `Detach` nothing, `Straight` the tangent of its second operand, `GradScale` a
//! multiple, `Custom` what its rule gives for a gradient of 1; an extreme is the mean over those that have it. Formulas
//! of derivatives are those of the backward pass, so that both agree to rounding.

use super::mode::{Frame, Mode, custom_slopes, plus, surrogate_slope};
use super::net::{Inputs, NetRun, Results, scan_of};
use super::node::{self, Env, operands};
use super::number::{Number, pw};
use super::value::Array;
use super::{scan, slide};
use crate::net::taint;
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Node, Op, Slide};
use snn_runtime::pool::FlushDenormals;

impl<N: Number> NetRun<'_, N> {
    /// Tangents of all values for tangents of inputs, parameters and slots. `base` is a run of this net with
    /// [`Mode::record`], `relaxed` if it was relaxed; `window` is that of truncated BPTT. Says which rule has no tangent.
    pub fn jvp(
        &self,
        base: &Results<N>,
        relaxed: bool,
        direction: &Inputs<N>,
        window: Option<usize>,
    ) -> Result<Results<N>, String> {
        let _same_as_compiled_code = FlushDenormals::enter();
        let (env, mode) = (self.env(), Mode { relaxed, ..Mode::default() });
        let (graph, taint) = (&self.net.graph, taint::of_net(self.net));
        let frame = Frame { graph, taint: &taint.net, mode: &mode, env: &env };
        let mut tangents: Vec<Array<N>> = Vec::with_capacity(graph.nodes.len());
        let mut outs: Vec<Vec<Array<N>>> = vec![Vec::new(); self.net.scans.len()];
        for (at, node) in graph.nodes.iter().enumerate() {
            let args: Vec<&Array<N>> = node.args.iter().map(|a| &tangents[a.idx()]).collect();
            let tangent = match node.op {
                Op::Input(k) => direction.inputs[k].clone(),
                Op::Param(k) => direction.params[k].clone(),
                Op::Slot(k) => direction.slots[k].clone(),
                Op::Scan(k) => {
                    let scan = &self.net.scans[k];
                    let body = Frame { graph: &scan.body, taint: &taint.bodies[k], mode: &mode, env: &env };
                    let run = scan::run(scan, &args, env.extent, false, window, |t, at, args| {
                        of_node(&body, at, &base.bodies[k][t], args)
                    })?;
                    outs[k] = run.outs;
                    outs[k][0].clone()
                }
                Op::ScanOut(out) => outs[scan_of(graph, node.args[0])][out].clone(),
                _ => of_node(&frame, at, &base.values, &args)?,
            };
            tangents.push(tangent);
        }
        Ok(Results { values: tangents, bodies: Vec::new() })
    }
}

/// The tangent of node `at` from the values of the graph and the tangents of its operands.
fn of_node<N: Number>(
    frame: &Frame<N>,
    at: usize,
    values: &[Array<N>],
    tangents: &[&Array<N>],
) -> Result<Array<N>, String> {
    let (node, env) = (&frame.graph.nodes[at], frame.env);
    let args: Vec<&Array<N>> = node.args.iter().map(|a| &values[a.idx()]).collect();
    let linear = |operands: &[&Array<N>]| node::value(node, operands, env, 0);
    let times = |slope: &Array<N>, k: usize| {
        env.fill(&node.ty, |t, b, i| slope.get(t, b, i) * tangents[k].get(t, b, i))
    };
    Ok(match &node.op {
        Op::Pointwise(op) => {
            let mixes = *op == Pw::Select && frame.mixes(node);
            env.fill(&node.ty, |t, b, i| {
                let (a, y, d) =
                    (operands(&args, t, b, i), values[at].get(t, b, i), operands(tangents, t, b, i));
                directional(*op, &a, y, &d, mixes)
            })
        }
        Op::Spike { surrogate: Some(s), .. } => times(&surrogate_slope(frame.graph, *s, args[0], env), 0),
        Op::MatMul { .. }
        | Op::Outer
        | Op::Slide { slide: Slide::Conv | Slide::ConvToImage | Slide::ConvToWeights, .. } => {
            plus(&linear(&[tangents[0], args[1]]), &linear(&[args[0], tangents[1]]))
        }
        Op::Slide { slide: Slide::Max, over } => slide::pick(&node.ty, over, args[0], tangents[0], env),
        // Its image only says where the result goes.
        Op::Slide { slide: Slide::MaxToImage, .. } => linear(&[args[0], tangents[1]]),
        Op::Slide { .. }
        | Op::Fold { fold: Fold::Sum, .. }
        | Op::Delay { .. }
        | Op::Last
        | Op::AtLast
        | Op::Repeat { .. }
        | Op::SumBlocks { .. }
        | Op::Rows { .. }
        | Op::SumRows => linear(tangents),
        Op::Fold { axes, .. } => extreme(node, *axes, args[0], &values[at], tangents[0], env),
        Op::Straight => tangents[1].widened(&node.ty, env.extent.steps),
        Op::GradScale => times(args[1], 0),
        Op::Custom(rule) => {
            let slopes = custom_slopes(frame.graph, *rule, node, &args[1..], env)?;
            let parts = slopes.iter().enumerate().map(|(k, slope)| times(slope, k + 1));
            parts.reduce(|a, b| plus(&a, &b)).unwrap_or_else(|| env.zeros(&node.ty))
        }
        _ => env.zeros(&node.ty),
    })
}

/// The mean of the tangents of all elements that equal the extreme.
fn extreme<N: Number>(
    node: &Node,
    axes: Axes,
    x: &Array<N>,
    y: &Array<N>,
    tangent: &Array<N>,
    env: &Env,
) -> Array<N> {
    let is_it = env.fill(&x.ty, |t, b, i| pw(Pw::Eq, &[x.get(t, b, i), y.get(t, b, i)]));
    let chosen = env.fill(&x.ty, |t, b, i| is_it.get(t, b, i) * tangent.get(t, b, i));
    let sum = Node { op: Op::Fold { fold: Fold::Sum, axes }, ..node.clone() };
    let (total, count) = (node::value(&sum, &[&chosen], env, 0), node::value(&sum, &[&is_it], env, 0));
    env.fill(&node.ty, |t, b, i| total.get(t, b, i) / count.get(t, b, i))
}

/// Sum of the derivatives of an operation at `a` with result `y`, times the tangents `d` of its operands.
fn directional<N: Number>(op: Pw, a: &[N; 3], y: N, d: &[N; 3], mixes: bool) -> N {
    let [zero, one] = [0.0, 1.0].map(N::from_f64);
    let first = |condition: Pw, x: N, y: N| if pw(condition, &[x, y]) == one { d[0] } else { d[1] };
    match op {
        Pw::Floor | Pw::Round | Pw::Sign | Pw::Lt | Pw::Le | Pw::Eq | Pw::Ne | Pw::And | Pw::Or | Pw::Not => {
            zero
        }
        Pw::Neg => -d[0],
        Pw::Add => d[0] + d[1],
        Pw::Sub => d[0] - d[1],
        Pw::Mul => d[0] * a[1] + a[0] * d[1],
        Pw::Div => d[0] / a[1] - d[1] * (y / a[1]),
        Pw::Pow => d[0] * (a[1] * a[0].pow(a[1] - one)), // The exponent is not differentiated.
        Pw::Min => first(Pw::Lt, a[0], a[1]),
        Pw::Max => first(Pw::Lt, a[1], a[0]),
        Pw::Select => {
            let branch = match mixes {
                true => a[0] * d[1] + (one - a[0]) * d[2],
                false => pw(Pw::Select, &[a[0], d[1], d[2]]),
            };
            d[0] * (a[1] - a[2]) + branch
        }
        Pw::Abs
        | Pw::Exp
        | Pw::Ln
        | Pw::Sqrt
        | Pw::Tanh
        | Pw::Sigmoid
        | Pw::Exprel
        | Pw::Sin
        | Pw::Cos
        | Pw::Arctan
        | Pw::Erf
        | Pw::Relu => d[0] * slope(op, a[0], y),
    }
}

/// Derivative of a function of one operand.
fn slope<N: Number>(op: Pw, x: N, y: N) -> N {
    let one = N::from_f64(1.0);
    match op {
        Pw::Abs => pw(Pw::Sign, &[x]),
        Pw::Exp => y,
        Pw::Ln => one / x,
        Pw::Sqrt => N::from_f64(0.5) / y,
        Pw::Tanh => one - y * y,
        Pw::Sigmoid => y * (one - y),
        Pw::Exprel if x.to_f64().abs() < 0.02 => {
            // The start of its series: as in the backward pass.
            let [half, third, eighth] = [0.5, 1.0 / 3.0, 0.125].map(N::from_f64);
            half + (third + eighth * x) * x
        }
        Pw::Exprel => (x.function(Pw::Exp) - y) / x,
        Pw::Sin => x.function(Pw::Cos),
        Pw::Cos => -x.function(Pw::Sin),
        Pw::Arctan => one / (one + x * x),
        Pw::Erf => N::from_f64(std::f64::consts::FRAC_2_SQRT_PI) * (-(x * x)).function(Pw::Exp),
        Pw::Relu => pw(Pw::Lt, &[N::from_f64(0.0), x]),
        other => unreachable!("{} is not a smooth function of one operand", other.info().name),
    }
}
