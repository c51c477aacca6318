//! The adjoint of one node: what each operand gets of the gradient of the result. No accumulation, no scans.

use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Node, Op, Slide, Ty, ValId};
use snn_runtime::windows::Windows;

/// Where an adjoint is built: a graph, and forward values in it.
pub(super) trait Values {
    /// The graph that grows.
    fn graph(&mut self) -> &mut Graph;
    /// The value in that graph of a forward value.
    fn value(&mut self, forward: ValId) -> ValId;
}

/// A contribution to operand `.0`: value `.1`, given along the axes of `.2` (it may lack some: the same along them).
pub(super) type Contribution = (usize, ValId, Ty);

/// Contributions of a node whose result `this` has the adjoint `d`, to those operands that want one.
pub(super) fn adjoint(
    v: &mut dyn Values,
    node: &Node,
    this: ValId,
    d: ValId,
    tys: &[Ty],
    wants: &[bool],
) -> Vec<Contribution> {
    let mut out = Vec::new();
    let mut give = |k: usize, c: Option<ValId>, ty: &Ty| {
        if let Some(c) = c {
            out.push((k, c, ty.clone()));
        }
    };
    match &node.op {
        Op::Pointwise(op) => {
            for k in (0..node.args.len()).filter(|k| wants[*k]) {
                give(k, pointwise(v, *op, &node.args, this, d, k), &node.ty);
            }
        }
        Op::Spike { surrogate: Some(s), .. } => {
            let x = v.value(node.args[0]);
            let derivative = v.graph().surrogates[*s].derivative.clone();
            let slope = v.graph().inline(&derivative, &[x])[0];
            let c = v.graph().pointwise(Pw::Mul, &[d, slope]);
            give(0, Some(c), &node.ty);
        }
        Op::MatMul { .. } | Op::Slide { .. } => products(v, node, d, tys, wants, &mut give),
        Op::Fold { fold, axes } => give(0, Some(fold_adjoint(v, node, this, d, *fold, *axes)), &tys[0]),
        Op::Delay { steps } => {
            let d = with_time(v.graph(), d);
            let ty = v.graph().ty(d).clone();
            let c = v.graph().push(Op::Delay { steps: -steps }, &[d], ty);
            give(0, Some(c), &node.ty);
        }
        Op::Last => {
            let ty = Ty { time: true, ..v.graph().ty(d).clone() };
            let c = v.graph().push(Op::AtLast, &[d], ty);
            give(0, Some(c), &tys[0]);
        }
        Op::Repeat { times } => give(0, Some(sum_blocks(v.graph(), d, &tys[0], *times)), &tys[0]),
        Op::SumBlocks { times } => give(0, Some(repeated(v.graph(), d, *times)), &tys[0]),
        Op::Rows { times } => give(0, Some(sum_rows(v.graph(), d, &tys[0], *times)), &tys[0]),
        Op::SumRows => give(0, Some(in_rows(v.graph(), d, &tys[0])), &tys[0]),
        Op::Straight => give(1, Some(d), &node.ty),
        Op::GradScale => {
            let k = v.value(node.args[1]);
            let c = v.graph().pointwise(Pw::Mul, &[d, k]);
            give(0, Some(c), &node.ty);
        }
        Op::Custom(rule) => {
            let rule = v.graph().customs[*rule].clone();
            let mut args: Vec<ValId> = node.args[1..].iter().map(|a| v.value(*a)).collect();
            args.push(d);
            let grads = v.graph().inline(&rule, &args);
            for (k, grad) in grads.into_iter().enumerate().filter(|(k, _)| wants[k + 1]) {
                let ty = v.graph().ty(grad).join(&tys[k + 1]);
                give(k + 1, Some(grad), &ty);
            }
        }
        _ => {}
    }
    out
}

fn mul(g: &mut Graph, a: ValId, b: ValId) -> ValId {
    g.pointwise(Pw::Mul, &[a, b])
}

/// `d` times the derivative with respect to operand `k`; none where it is zero everywhere.
fn pointwise(v: &mut dyn Values, op: Pw, args: &[ValId], this: ValId, d: ValId, k: usize) -> Option<ValId> {
    if op.info().flat {
        return None;
    }
    Some(match (op, k) {
        (Pw::Add, _) | (Pw::Sub, 0) => d,
        (Pw::Sub, _) | (Pw::Neg, _) => v.graph().pointwise(Pw::Neg, &[d]),
        (Pw::Mul, _) => {
            let other = v.value(args[1 - k]);
            mul(v.graph(), d, other)
        }
        (Pw::Div, 0) => {
            let b = v.value(args[1]);
            v.graph().pointwise(Pw::Div, &[d, b])
        }
        (Pw::Div, _) => {
            // d/db (a / b) = -(a / b) / b
            let (y, b) = (v.value(this), v.value(args[1]));
            let slope = v.graph().pointwise(Pw::Div, &[y, b]);
            let c = mul(v.graph(), d, slope);
            v.graph().pointwise(Pw::Neg, &[c])
        }
        (Pw::Pow, 0) => {
            // b a^(b - 1)
            let (a, b) = (v.value(args[0]), v.value(args[1]));
            let g = v.graph();
            let one = g.constant(1.0);
            let less = g.pointwise(Pw::Sub, &[b, one]);
            let power = g.pointwise(Pw::Pow, &[a, less]);
            let slope = mul(g, b, power);
            mul(g, d, slope)
        }
        (Pw::Pow, _) => return None,
        (Pw::Min | Pw::Max, _) => {
            // The operand that was chosen: of equal ones the second.
            let (a, b) = (v.value(args[0]), v.value(args[1]));
            let g = v.graph();
            let first =
                if op == Pw::Min { g.pointwise(Pw::Lt, &[a, b]) } else { g.pointwise(Pw::Lt, &[b, a]) };
            let chosen = if k == 0 { first } else { g.pointwise(Pw::Not, &[first]) };
            mul(g, d, chosen)
        }
        (Pw::Select, 0) => {
            let (b, c) = (v.value(args[1]), v.value(args[2]));
            let slope = v.graph().pointwise(Pw::Sub, &[b, c]);
            mul(v.graph(), d, slope)
        }
        (Pw::Select, _) => {
            let condition = v.value(args[0]);
            let zero = v.graph().constant(0.0);
            let branches = if k == 1 { [condition, d, zero] } else { [condition, zero, d] };
            v.graph().pointwise(Pw::Select, &branches)
        }
        _ => {
            let slope = slope(v, op, args[0], this);
            mul(v.graph(), d, slope)
        }
    })
}

/// Derivative of a function of one operand.
fn slope(v: &mut dyn Values, op: Pw, x: ValId, this: ValId) -> ValId {
    match op {
        Pw::Exp => v.value(this),
        Pw::Ln => {
            let x = v.value(x);
            let one = v.graph().constant(1.0);
            v.graph().pointwise(Pw::Div, &[one, x])
        }
        Pw::Sqrt => {
            let y = v.value(this);
            let half = v.graph().constant(0.5);
            v.graph().pointwise(Pw::Div, &[half, y])
        }
        Pw::Tanh => {
            let y = v.value(this);
            let g = v.graph();
            let (one, square) = (g.constant(1.0), mul(g, y, y));
            g.pointwise(Pw::Sub, &[one, square])
        }
        Pw::Sigmoid => {
            let y = v.value(this);
            let g = v.graph();
            let one = g.constant(1.0);
            let rest = g.pointwise(Pw::Sub, &[one, y]);
            mul(g, y, rest)
        }
        Pw::Abs => {
            let x = v.value(x);
            v.graph().pointwise(Pw::Sign, &[x])
        }
        Pw::Relu => {
            let x = v.value(x);
            let zero = v.graph().constant(0.0);
            v.graph().pointwise(Pw::Lt, &[zero, x])
        }
        Pw::Sin => {
            let x = v.value(x);
            v.graph().pointwise(Pw::Cos, &[x])
        }
        Pw::Cos => {
            let x = v.value(x);
            let y = v.graph().pointwise(Pw::Sin, &[x]);
            v.graph().pointwise(Pw::Neg, &[y])
        }
        Pw::Arctan => {
            let x = v.value(x);
            let g = v.graph();
            let (one, square) = (g.constant(1.0), mul(g, x, x));
            let below = g.pointwise(Pw::Add, &[one, square]);
            g.pointwise(Pw::Div, &[one, below])
        }
        Pw::Erf => {
            // 2 / sqrt(pi) e^(-x^2)
            let x = v.value(x);
            let g = v.graph();
            let square = mul(g, x, x);
            let less = g.pointwise(Pw::Neg, &[square]);
            let bell = g.pointwise(Pw::Exp, &[less]);
            let peak = g.constant(std::f64::consts::FRAC_2_SQRT_PI);
            mul(g, peak, bell)
        }
        Pw::Exprel => exprel_slope(v, x, this),
        other => unreachable!("{} has a rule of its own", other.info().name),
    }
}

/// `exprel'(x) = (e^x - exprel(x)) / x`, near 0 by its series `1/2 + x/3 + x^2/8`.
fn exprel_slope(v: &mut dyn Values, x: ValId, this: ValId) -> ValId {
    let (x, y) = (v.value(x), v.value(this));
    let g = v.graph();
    let e = g.pointwise(Pw::Exp, &[x]);
    let top = g.pointwise(Pw::Sub, &[e, y]);
    let far = g.pointwise(Pw::Div, &[top, x]);
    let (half, third, eighth, limit) =
        (g.constant(0.5), g.constant(1.0 / 3.0), g.constant(0.125), g.constant(0.02));
    let tail = mul(g, eighth, x);
    let tail = g.pointwise(Pw::Add, &[third, tail]);
    let tail = mul(g, tail, x);
    let near = g.pointwise(Pw::Add, &[half, tail]);
    let size = g.pointwise(Pw::Abs, &[x]);
    let is_near = g.pointwise(Pw::Lt, &[size, limit]);
    g.pointwise(Pw::Select, &[is_near, near, far])
}

/// Products of matrices, convolutions and pooling.
fn products(
    v: &mut dyn Values,
    node: &Node,
    d: ValId,
    tys: &[Ty],
    wants: &[bool],
    give: &mut dyn FnMut(usize, Option<ValId>, &Ty),
) {
    let d = crate::lower::with_index(v.graph(), d, node.ty.width());
    if wants[0] {
        let mut args = vec![d];
        let back = match &node.op {
            Op::Slide { slide: Slide::Conv, over } => Some((Slide::ConvToImage, *over)),
            Op::Slide { slide: Slide::Mean, over } => Some((Slide::MeanToImage, *over)),
            Op::Slide { slide: Slide::Max, over } => Some((Slide::MaxToImage, *over)),
            Op::Slide { slide: Slide::Border, over } => Some((Slide::BorderToImage, *over)),
            _ => None,
        };
        // The maximum looks at its image, the others at their weights.
        match back {
            Some((Slide::MaxToImage, _)) => args.insert(0, v.value(node.args[0])),
            _ => args.extend(node.args.get(1).map(|w| v.value(*w))),
        }
        let c = match (back, &node.op) {
            (Some((slide, over)), _) => Some(v.graph().slide(slide, over, &args)),
            (None, Op::MatMul { transposed }) => Some(v.graph().matmul(args[0], args[1], !transposed)),
            // Adjoints have no gradients of their own.
            _ => None,
        };
        give(0, c, &tys[0]);
    }
    if let (Some(weights), Some(true)) = (Weights::of(&node.op), wants.get(1)) {
        let x = v.value(node.args[0]);
        let c = weights.gradient(v.graph(), x, d);
        give(1, Some(c), &tys[1]);
    }
}

/// How weights are multiplied with what they weight.
#[derive(Clone, Copy)]
pub(super) enum Weights {
    /// As a matrix.
    Matrix {
        /// Read transposed.
        transposed: bool,
    },
    /// In each window.
    Windows(Windows),
}

impl Weights {
    /// Of an operation whose second operand is weights.
    pub fn of(op: &Op) -> Option<Weights> {
        match op {
            Op::MatMul { transposed } => Some(Weights::Matrix { transposed: *transposed }),
            Op::Slide { slide: Slide::Conv, over } => Some(Weights::Windows(*over)),
            _ => None,
        }
    }

    /// The gradient of weights from their inputs `x` and deltas `d`.
    pub fn gradient(self, g: &mut Graph, x: ValId, d: ValId) -> ValId {
        match self {
            Weights::Windows(over) => g.slide(Slide::ConvToWeights, over, &[x, d]),
            Weights::Matrix { transposed } => {
                let (a, b) = if transposed { (d, x) } else { (x, d) };
                let shape = vec![g.ty(a).width(), g.ty(b).width()];
                g.push(Op::Outer, &[a, b], Ty::tensor(&shape))
            }
        }
    }
}

/// A sum passes its gradient to all; an extreme passes it to those that have it, in equal shares.
fn fold_adjoint(v: &mut dyn Values, node: &Node, this: ValId, d: ValId, fold: Fold, axes: Axes) -> ValId {
    if fold == Fold::Sum {
        return d;
    }
    let (x, y) = (v.value(node.args[0]), v.value(this));
    let g = v.graph();
    let is_it = g.pointwise(Pw::Eq, &[x, y]);
    let count = g.fold(Fold::Sum, axes, is_it);
    let share = g.pointwise(Pw::Div, &[d, count]);
    mul(g, is_it, share)
}

fn sum_blocks(g: &mut Graph, d: ValId, to: &Ty, times: usize) -> ValId {
    let have = g.ty(d).clone();
    if have.shape.is_empty() {
        let factor = g.constant(times as f64);
        return mul(g, d, factor);
    }
    if to.shape.is_empty() {
        return g.fold(Fold::Sum, Axes { index: true, ..Axes::default() }, d);
    }
    let ty = Ty { shape: to.shape.clone(), ..have };
    g.push(Op::SumBlocks { times }, &[d], ty)
}

/// Each element for all neighbours that it is the sum of; one number for all elements stays one.
fn repeated(g: &mut Graph, d: ValId, times: usize) -> ValId {
    let ty = g.ty(d).clone();
    if ty.shape.is_empty() {
        return d;
    }
    let shape = vec![ty.width() * times];
    g.push(Op::Repeat { times }, &[d], Ty { shape, ..ty })
}

/// The sum of the rows of what may be one number for all of them.
fn sum_rows(g: &mut Graph, d: ValId, to: &Ty, times: usize) -> ValId {
    if g.ty(d).shape.is_empty() {
        let factor = g.constant(times as f64);
        return mul(g, d, factor);
    }
    g.push(Op::SumRows, &[d], to.clone())
}

/// Each element for all rows that it is the sum of; one number for all elements stays one.
fn in_rows(g: &mut Graph, d: ValId, to: &Ty) -> ValId {
    if g.ty(d).shape.is_empty() {
        return d;
    }
    g.push(Op::Rows { times: to.shape[0] }, &[d], to.clone())
}

/// The value with a time axis.
fn with_time(g: &mut Graph, d: ValId) -> ValId {
    if g.ty(d).time {
        return d;
    }
    let index = g.push(Op::StepIndex, &[], Ty { time: true, ..Ty::SCALAR });
    let zero = g.constant(0.0);
    let zeros = mul(g, index, zero);
    g.pointwise(Pw::Add, &[d, zeros])
}
