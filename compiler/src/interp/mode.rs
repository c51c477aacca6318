//! What takes the place of the step function in checks of gradients: relaxed spikes, and frozen (replayed) values. Everything
//! else is as in a plain run.

use super::net::Results;
use super::node::{self, Env};
use super::number::Number;
use super::slide;
use super::value::Array;
use crate::step::ops::Pw;
use crate::step::verify::fits;
use crate::step::{Fragment, Graph, Node, Op, Slide, Ty, ValId};

/// How a net is evaluated. The default is plain: what compiled code computes.
#[derive(Debug)]
pub struct Mode<'a, N> {
    /// A spike with a surrogate is the surrogate's primitive at `x`, and a selection by something that comes from a spike is
    /// `a * b + (1 - a) * c`: the surrogate gradient is then the gradient.
    pub relaxed: bool,
    /// Keeps the values of bodies in [`Results::bodies`], for frozen runs and tangents.
    pub record: bool,
    /// A recorded run of the same net in the same `relaxed` mode. What has a rule instead of a derivative becomes the straight line
    /// that the rule stands for, through the recorded value; so central differences equal the adjoint whatever the rules are:
    ///
    /// - `Detach`, `Arrange`, flat operations and spikes without surrogate: the recorded value; so is the exponent of `Pow`
    /// - a maximum of a window: the element that was the largest
    /// - `Straight`: recorded first operand + (second - recorded second)
    /// - `GradScale`: recorded + recorded factor * (x - recorded x)
    /// - `Custom`: recorded + sum of `backward_k(recorded arguments, g = 1) * (argument k - recorded argument k)`
    /// - a spike that is not relaxed: recorded + `derivative(recorded x) * (x - recorded x)`, with selections by it as when relaxed
    pub frozen: Option<&'a Results<N>>,
}

impl<N> Default for Mode<'_, N> {
    fn default() -> Self {
        Mode { relaxed: false, record: false, frozen: None }
    }
}

/// A graph under evaluation in some mode.
pub(super) struct Frame<'a, N> {
    pub graph: &'a Graph,
    pub taint: &'a [bool],
    pub mode: &'a Mode<'a, N>,
    pub env: &'a Env,
}

impl<N: Number> Frame<'_, N> {
    /// The value of a node that is neither leaf nor scan. `recorded` are the values of all nodes of the graph in the run that
    /// is replayed, at the same step.
    pub fn value(
        &self,
        at: usize,
        args: &[&Array<N>],
        now: usize,
        recorded: Option<&[Array<N>]>,
    ) -> Result<Array<N>, String> {
        let node = &self.graph.nodes[at];
        if let Op::Spike { surrogate: Some(s), .. } = node.op
            && self.mode.relaxed
        {
            let surrogate = &self.graph.surrogates[s];
            let primitive = surrogate.primitive.as_ref();
            let primitive =
                primitive.ok_or_else(|| format!("surrogate {} has no primitive", surrogate.name))?;
            return Ok(inline(primitive, args, self.env).remove(0).widened(&node.ty, self.env.extent.steps));
        }
        if let Op::Pointwise(Pw::Select) = node.op
            && self.mixes(node)
        {
            return Ok(self.env.fill(&node.ty, |t, b, i| {
                let [a, yes, no] = node::operands(args, t, b, i);
                a * yes + (N::from_f64(1.0) - a) * no
            }));
        }
        match recorded {
            Some(recorded) => self.frozen(at, args, now, recorded),
            None => Ok(node::value(node, args, self.env, now)),
        }
    }

    /// Whether a selection is evaluated as a weighted sum.
    pub fn mixes(&self, node: &Node) -> bool {
        (self.mode.relaxed || self.mode.frozen.is_some()) && self.taint[node.args[0].idx()]
    }

    fn frozen(
        &self,
        at: usize,
        args: &[&Array<N>],
        now: usize,
        recorded: &[Array<N>],
    ) -> Result<Array<N>, String> {
        let node = &self.graph.nodes[at];
        let before = |k: usize| &recorded[node.args[k].idx()];
        let line = |k: usize, slope: &Array<N>| {
            self.env.fill(&node.ty, |t, b, i| {
                slope.get(t, b, i) * (args[k].get(t, b, i) - before(k).get(t, b, i))
            })
        };
        let one = Array::filled(&Ty::SCALAR, 1, self.env.extent.rows(), 1.0);
        let slope = match &node.op {
            Op::Detach | Op::Arrange | Op::Spike { surrogate: None, .. } => return Ok(recorded[at].clone()),
            Op::Pointwise(op) if op.info().flat => return Ok(recorded[at].clone()),
            Op::Slide { slide: Slide::Max, over } => {
                return Ok(slide::pick(&node.ty, over, before(0), args[0], self.env));
            }
            Op::Pointwise(Pw::Pow) => return Ok(node::value(node, &[args[0], before(1)], self.env, now)),
            Op::Spike { surrogate: Some(s), .. } => {
                line(0, &surrogate_slope(self.graph, *s, before(0), self.env))
            }
            Op::Straight => line(1, &one),
            Op::GradScale => line(0, before(1)),
            Op::Custom(rule) => {
                let arguments: Vec<&Array<N>> = (1..args.len()).map(before).collect();
                let slopes = custom_slopes(self.graph, *rule, node, &arguments, self.env)?;
                let lines = slopes.iter().enumerate().map(|(k, slope)| line(k + 1, slope));
                lines.reduce(|a, b| plus(&a, &b)).unwrap_or_else(|| self.env.zeros(&node.ty))
            }
            _ => return Ok(node::value(node, args, self.env, now)),
        };
        Ok(plus(&recorded[at], &slope))
    }
}

/// The sum of arrays of one type.
pub(super) fn plus<N: Number>(a: &Array<N>, b: &Array<N>) -> Array<N> {
    debug_assert_eq!(a.ty, b.ty);
    Array { data: a.data.iter().zip(&b.data).map(|(a, b)| *a + *b).collect(), ..a.clone() }
}

/// What stands for the derivative of a spike at `x`.
pub(super) fn surrogate_slope<N: Number>(
    graph: &Graph,
    surrogate: usize,
    x: &Array<N>,
    env: &Env,
) -> Array<N> {
    inline(&graph.surrogates[surrogate].derivative, &[x], env).remove(0)
}

/// What the rule of a `Custom` passes to each argument for a gradient of 1. Only for rules that work element by element and
/// multiply the gradient by something.
pub(super) fn custom_slopes<N: Number>(
    graph: &Graph,
    rule: usize,
    node: &Node,
    arguments: &[&Array<N>],
    env: &Env,
) -> Result<Vec<Array<N>>, String> {
    let rule = &graph.customs[rule];
    let no = |why: &str| Err(format!("the backward rule of {} {why}: no tangent is known for it", rule.name));
    if rule.graph.nodes.iter().any(|n| {
        matches!(
            n.op,
            Op::Fold { .. }
                | Op::Slide { .. }
                | Op::Repeat { .. }
                | Op::SumBlocks { .. }
                | Op::Rows { .. }
                | Op::SumRows
                | Op::MatMul { .. }
        )
    }) {
        return no("mixes elements");
    }
    if arguments.iter().any(|a| !fits(&a.ty, &node.ty)) {
        return no("has an argument with more axes than its value");
    }
    let at = |g: f64| {
        let g = Array::filled(&node.ty, env.extent.steps, env.extent.rows(), g);
        let mut args = arguments.to_vec();
        args.push(&g);
        inline(rule, &args, env)
    };
    let (slopes, doubled) = (at(1.0), at(2.0));
    let linear = slopes.iter().zip(&doubled).all(|(one, two)| {
        one.data.iter().zip(&two.data).all(|(one, two)| {
            let (one, two) = (one.to_f64(), two.to_f64());
            (two - 2.0 * one).abs() <= 1e-4 * one.abs()
        })
    });
    if linear { Ok(slopes) } else { no("is not proportional to the gradient") }
}

/// The results of a fragment for given parameters.
fn inline<N: Number>(fragment: &Fragment, args: &[&Array<N>], env: &Env) -> Vec<Array<N>> {
    let mut graph = Graph::default();
    let params: Vec<ValId> =
        args.iter().enumerate().map(|(k, a)| graph.push(Op::Input(k), &[], a.ty.clone())).collect();
    let results = graph.inline(fragment, &params);
    let mut values: Vec<Array<N>> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let operands: Vec<&Array<N>> = node.args.iter().map(|a| &values[a.idx()]).collect();
        let value = match node.op {
            Op::Input(k) => args[k].clone(),
            _ => node::value(node, &operands, env, 0),
        };
        values.push(value);
    }
    results.iter().map(|r| values[r.idx()].clone()).collect()
}
