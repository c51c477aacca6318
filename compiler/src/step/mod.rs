//! Step IR: one time step of a whole model as a pure function on populations; and the graph that Step and Net IR are made of.
//!
//! # Meaning
//! A [`Graph`] is a list of [`Node`]s; the operands of a node stand before it. A node is a pure function of its operands:
//! no effects, no order besides that of the data. Values are arrays of numbers; a [`Ty`] says which axes
//! they have: `time` (only in Net IR), `batch` (one per sample), and 0, 1 or 2 index axes (populations are flattened: one axis
//! of all neurons; weight matrices are `[pre, post]`). Conditions are the numbers 0 and 1.
//!
//! **Broadcasting.** Operands of a pointwise operation may lack any axis of the result; they are repeated along it. Index
//! axes are either equal or missing altogether. The result has the union of the axes.
//!
//! **State.** A [`StepFn`] has states. `Op::Prev(s)` is the value that `states[s].next` had `states[s].delay` steps ago; in
//! the first `delay` steps it is `init`, a value that depends on no state and does not change with time. All `Prev` are read before
//! any `next` is written. A delayed projection is a state with `init` 0 and its delay.
//!
//! **Folds over time in a step.** A `Fold` along time is the same at every step: it is of the operand at all steps. The operand
//! depends on no state that depends on the fold.
//!
//! **Randomness.** `Op::Random` draws row by row from the stream `(key of the call, stream, step, sample)`, so that no order
//! of evaluation can change it.
//!
//! **Differentiability.** Only `Spike` is not differentiable: its surrogate stands for its derivative. `Detach` passes
//! nothing, `Straight` passes the gradient to its second operand, `GradScale` multiplies it,
//! `Custom` has its own rule. The tape may keep any value.
//!
//! **Exactness.** Engines that claim to be strict agree bit for bit: no fused multiply-add, no reassociation. Sums start from 0
//! and go in ascending order, other folds start from the first element. `Fold` goes first along the index axis; then
//! along steps and samples of one shard (step by step, samples within a step); then the results of the shards are added,
//! starting from 0. `MatMul` adds products for ascending `k`. `Outer` adds, for each shard, products for ascending step and
//! sample, then the shards; if only one operand has the time axis, that one is summed over the steps first. In a net that is cut
//! into segments, each segment of a shard has a sum of its own, and these are added from the last segment to the first. Where no operand has samples
//! there is one sum, over all steps.
//! `Slide` is like them: its orders are those of [`Slide`].

pub mod ops;
pub mod passes;
pub mod print;
pub mod verify;

use crate::source::Span;
use ops::{Fold, Pw};
use snn_runtime::abi::Scalar;
use snn_runtime::program::Section;
use snn_runtime::windows::Windows;

/// Index of a node in its graph; printed `%7`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ValId(pub u32);

impl ValId {
    /// As an index.
    pub fn idx(self) -> usize {
        self.0 as usize
    }
}

/// Axes of a value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Ty {
    /// One for each step (Net IR only; in a step everything is of one step).
    pub time: bool,
    /// One for each sample.
    pub batch: bool,
    /// `[]`, `[n]` or `[pre, post]`.
    pub shape: Vec<usize>,
}

impl Ty {
    /// One number for everything.
    pub const SCALAR: Ty = Ty { time: false, batch: false, shape: Vec::new() };

    /// A tensor without time and batch.
    pub fn tensor(shape: &[usize]) -> Ty {
        Ty { time: false, batch: false, shape: shape.to_vec() }
    }

    /// Product of the index axes.
    pub fn width(&self) -> usize {
        self.shape.iter().product()
    }

    /// Union of axes; index axes must be equal or missing.
    pub fn join(&self, other: &Ty) -> Ty {
        let shape = if self.shape.is_empty() { &other.shape } else { &self.shape };
        debug_assert!(other.shape.is_empty() || &other.shape == shape, "cannot join {self:?} and {other:?}");
        Ty { time: self.time || other.time, batch: self.batch || other.batch, shape: shape.clone() }
    }
}

/// Axes along which a `Fold` goes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Default)]
pub struct Axes {
    /// Steps.
    pub time: bool,
    /// Samples, of all shards. Padding samples of the last shard take part: where they matter, the operand has been
    /// multiplied by the input `mask` before.
    pub batch: bool,
    /// All index axes.
    pub index: bool,
}

/// What is done window by window. Images and results are flattened; weights are `[taps, channels of the result]` (see [`Windows`]). All sums
/// start from 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub enum Slide {
    /// An image and weights: products for ascending taps; the padding is 0 and multiplied.
    Conv,
    /// The same where zeros count ([`crate::net::zeros`]): outside of strict mode too, a sum of zeros is exactly 0. Only the scheduler makes it.
    ExactConv,
    /// Of a result and weights what goes back to the image: for ascending taps the sum over ascending channels of the result.
    ConvToImage,
    /// An image and a result: the sum over steps and samples (as `Op::Outer`), in each of them over ascending windows. Net IR only.
    ConvToWeights,
    /// The mean of an image: the sum for ascending taps, times 1 over their number; the padding counts as 0.
    Mean,
    /// Of a result what goes back to the image: the sum for ascending taps, times 1 over their number.
    MeanToImage,
    /// The largest element of an image; the padding does not take part.
    Max,
    /// An image and a result: each element of the result goes to the first of the largest ones, for ascending windows.
    MaxToImage,
    /// An image with a circular border around it (windows as [`Windows::border`] makes them).
    Border,
    /// Of an image with its border what goes back to the image: the sum for ascending places.
    BorderToImage,
}

impl Slide {
    /// The word in texts.
    pub fn name(self) -> &'static str {
        match self {
            Slide::Conv => "conv",
            Slide::ExactConv => "exact_conv",
            Slide::ConvToImage => "conv_to_image",
            Slide::ConvToWeights => "conv_to_weights",
            Slide::Mean => "avg_pool",
            Slide::MeanToImage => "avg_pool_to_image",
            Slide::Max => "max_pool",
            Slide::MaxToImage => "max_pool_to_image",
            Slide::Border => "border",
            Slide::BorderToImage => "border_to_image",
        }
    }

    /// Number of operands.
    pub fn arity(self) -> usize {
        match self {
            Slide::Mean | Slide::MeanToImage | Slide::Max | Slide::Border | Slide::BorderToImage => 1,
            Slide::Conv
            | Slide::ExactConv
            | Slide::ConvToImage
            | Slide::ConvToWeights
            | Slide::MaxToImage => 2,
        }
    }

    /// Index axes of the result for given windows.
    pub fn shape(self, over: &Windows) -> Vec<usize> {
        match self {
            Slide::Conv | Slide::ExactConv | Slide::Mean | Slide::Max | Slide::Border => {
                vec![over.width_out()]
            }
            Slide::ConvToImage | Slide::MeanToImage | Slide::MaxToImage | Slide::BorderToImage => {
                vec![over.width_in()]
            }
            Slide::ConvToWeights => weights(over),
        }
    }

    /// Whether it can be done over these windows.
    pub fn fits(self, over: &Windows) -> bool {
        if matches!(self, Slide::Border | Slide::BorderToImage) { over.is_border() } else { over.is_valid() }
    }

    /// Index axes of the operands for given windows.
    pub fn operands(self, over: &Windows) -> Vec<Vec<usize>> {
        let (image, result) = (vec![over.width_in()], vec![over.width_out()]);
        match self {
            Slide::Conv | Slide::ExactConv => vec![image, weights(over)],
            Slide::ConvToImage => vec![result, weights(over)],
            Slide::ConvToWeights | Slide::MaxToImage => vec![image, result],
            Slide::Mean | Slide::Max | Slide::Border => vec![image],
            Slide::MeanToImage | Slide::BorderToImage => vec![result],
        }
    }
}

fn weights(over: &Windows) -> Vec<usize> {
    vec![over.taps(), over.channels[1]]
}

/// An operation. Operands are in [`Node::args`].
#[derive(Clone, Debug)]
pub enum Op {
    /// A number.
    Const(f64),
    /// A number of the run.
    Scalar(Scalar),
    /// Index of this step, from 0, also in a reverse scan. In Net IR it has the time axis.
    StepIndex,
    /// A parameter: index into the list of parameters.
    Param(usize),
    /// State of the optimizer: index into the list of slots (Net IR only).
    Slot(usize),
    /// An input: in a step and a net, index into the list of inputs; in the body of a scan, index into its operands.
    Input(usize),
    /// State `s` before this step (Step IR and bodies only).
    Prev(usize),
    /// Element by element.
    Pointwise(Pw),
    /// `x > 0` (strict) or `x >= 0` as 0 or 1; with the surrogate (index into [`Graph::surrogates`]) for its derivative.
    Spike {
        /// What stands for the derivative; none: no gradient passes.
        surrogate: Option<usize>,
        /// `>` rather than `>=`.
        strict: bool,
    },
    /// `x [.., k]` by `w [k, n]` to `[.., n]`; transposed: `w` is `[n, k]`. `w` has no time and no batch.
    MatMul {
        /// Whether `w` is read transposed.
        transposed: bool,
    },
    /// `x [t?, b, k]` and `d [t?, b, n]` to `[k, n]`: sum over steps and samples of the products. If only one has the time axis
    /// the other is the same at every step. Net IR only.
    Outer,
    /// Convolution, pooling and their adjoints. Operands and result have the axes of time and samples together, except weights, which
    /// have none.
    Slide {
        /// Which.
        slide: Slide,
        /// Over what.
        over: Windows,
    },
    /// Reduction.
    Fold {
        /// How.
        fold: Fold,
        /// Along what.
        axes: Axes,
    },
    /// Value some steps ago, 0 before the first (Net IR only; in a step it is a state).
    Delay {
        /// Number of steps; negative: from the future (backward pass), 0 after the last step.
        steps: isize,
    },
    /// The value at the last step (Net IR only).
    Last,
    /// Puts the operand (without time) at the last step and 0 at the others (Net IR only; adjoint of `Last`).
    AtLast,
    /// `[c]` to `[c * times]`: each element repeated. `[]` counts as `[1]`.
    Repeat {
        /// How often.
        times: usize,
    },
    /// `[c * times]` to `[c]`: sums of neighbours (adjoint of `Repeat`).
    SumBlocks {
        /// How many neighbours.
        times: usize,
    },
    /// `[n]` to `[times, n]`: the same in each row. No time and no samples: a factor for each column of weights.
    Rows {
        /// How many rows.
        times: usize,
    },
    /// `[m, n]` to `[n]`: the sum of the rows, ascending (adjoint of `Rows`).
    SumRows,
    /// Two tensors without time and samples: where the second has its k-th smallest element the k-th smallest of the first; equal ones count in
    /// their order. No gradient. Net IR only.
    Arrange,
    /// Uniform in [0, 1) or standard normal, one for each element of the type.
    Random {
        /// Normal.
        gaussian: bool,
        /// Number of the stream.
        stream: u64,
        /// The same at every step: that of step 0.
        once: bool,
    },
    /// Index along a logical axis of a tensor (0: post, 1: pre); only in initializers.
    Iota(usize),
    /// The operand; no gradient.
    Detach,
    /// The first operand; its gradient goes to the second.
    Straight,
    /// The first operand; gradient times the second.
    GradScale,
    /// First operand: the value. The others: arguments, which get their gradients by the rule (index into [`Graph::customs`]).
    Custom(usize),
    /// A scan (index into the net's scans); its value is that of its first output. Net IR only.
    Scan(usize),
    /// Another output of a scan, whose `Scan` node is the operand.
    ScanOut(usize),
}

impl Op {
    /// Whether it is the gradient of weights: a sum of products over steps and samples.
    pub fn is_weight_gradient(&self) -> bool {
        matches!(self, Op::Outer | Op::Slide { slide: Slide::ConvToWeights, .. })
    }
}

/// A value and how it is made.
#[derive(Clone, Debug)]
pub struct Node {
    /// How.
    pub op: Op,
    /// Of what.
    pub args: Vec<ValId>,
    /// Its axes.
    pub ty: Ty,
    /// For people: `h.v`; empty for most.
    pub name: String,
    /// Part of a training step (Net IR).
    pub section: Section,
    /// Where it was written.
    pub span: Span,
}

/// A small function on values, put in place when a gradient is built.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// `atan(alpha = 2)`
    pub name: String,
    /// Its nodes; `Op::Input(k)` are its parameters. No states, no scans.
    pub graph: Graph,
    /// Its results.
    pub results: Vec<ValId>,
}

/// What stands for the derivative of a spike: fragments of one parameter and one result.
#[derive(Clone, Debug)]
pub struct SurrogateFn {
    /// `atan(alpha = 2)`
    pub name: String,
    /// Derivative.
    pub derivative: Fragment,
    /// Its integral.
    pub primitive: Option<Fragment>,
}

/// Nodes in order, and the functions they name.
#[derive(Clone, Debug, Default)]
pub struct Graph {
    /// Operands first.
    pub nodes: Vec<Node>,
    /// Surrogates by index.
    pub surrogates: Vec<SurrogateFn>,
    /// Rules of `Custom`: parameters are the arguments, then the gradient; results are one gradient for each argument.
    pub customs: Vec<Fragment>,
}

/// An input of a step or net.
#[derive(Clone, PartialEq, Debug)]
pub struct Input {
    /// `x`, `target`, `mask`.
    pub name: String,
    /// Axes. In a step `time` says that it changes from step to step; the node itself has no time axis there.
    pub ty: Ty,
    /// Whether it is known to hold nothing but 0 and 1.
    pub spikes: bool,
}

/// A parameter of a step or net.
#[derive(Clone, PartialEq, Debug)]
pub struct Param {
    /// Its name in the model.
    pub name: String,
    /// Index axes; matrices are `[pre, post]`.
    pub shape: Vec<usize>,
    /// Whether training changes it.
    pub trained: bool,
}

/// A state of a step or scan.
#[derive(Clone, Debug)]
pub struct State {
    /// `h.v`
    pub name: String,
    /// Value in the first `delay` steps.
    pub init: ValId,
    /// Value after the step.
    pub next: ValId,
    /// How many steps back `Prev` reads; at least 1.
    pub delay: usize,
    /// Axes of both (a step: without time).
    pub ty: Ty,
}

/// One step of a model.
#[derive(Clone, Debug, Default)]
pub struct StepFn {
    /// Its values.
    pub graph: Graph,
    /// Data inputs.
    pub inputs: Vec<Input>,
    /// Parameters, in the order of the model.
    pub params: Vec<Param>,
    /// States.
    pub states: Vec<State>,
    /// Values that somebody reads, by name: `h.v`, `h.fired`, `out.0`.
    pub outputs: Vec<(String, ValId)>,
}

impl StepFn {
    /// Which values change from step to step: those made of anything that does. (A state whose `next` is itself counts as one.)
    pub fn varying(&self) -> Vec<bool> {
        let mut varies: Vec<bool> = Vec::with_capacity(self.graph.nodes.len());
        for node in &self.graph.nodes {
            varies.push(match node.op {
                Op::Random { once, .. } => !once,
                Op::Prev(_) | Op::StepIndex => true,
                Op::Input(k) => self.inputs[k].ty.time,
                Op::Fold { axes, .. } if axes.time => false,
                _ => node.args.iter().any(|a| varies[a.idx()]),
            });
        }
        varies
    }
}

impl Graph {
    /// Adds a node whose type is known.
    pub fn push(&mut self, op: Op, args: &[ValId], ty: Ty) -> ValId {
        debug_assert!(args.iter().all(|a| a.idx() < self.nodes.len()));
        self.nodes.push(Node {
            op,
            args: args.to_vec(),
            ty,
            name: String::new(),
            section: Section::Forward,
            span: Span::NONE,
        });
        ValId(self.nodes.len() as u32 - 1)
    }

    /// The node of a value.
    pub fn node(&self, val: ValId) -> &Node {
        &self.nodes[val.idx()]
    }

    /// The type of a value.
    pub fn ty(&self, val: ValId) -> &Ty {
        &self.nodes[val.idx()].ty
    }

    /// All values in order.
    pub fn vals(&self) -> impl DoubleEndedIterator<Item = ValId> + use<> {
        (0..self.nodes.len() as u32).map(ValId)
    }

    /// A number.
    pub fn constant(&mut self, value: f64) -> ValId {
        self.push(Op::Const(value), &[], Ty::SCALAR)
    }

    /// A pointwise operation; its type is the union of the operands' axes.
    pub fn pointwise(&mut self, op: Pw, args: &[ValId]) -> ValId {
        let ty = args.iter().fold(Ty::SCALAR, |ty, &a| ty.join(self.ty(a)));
        self.push(Op::Pointwise(op), args, ty)
    }

    /// A matrix product.
    pub fn matmul(&mut self, x: ValId, w: ValId, transposed: bool) -> ValId {
        let n = self.ty(w).shape[if transposed { 0 } else { 1 }];
        let ty = Ty { shape: vec![n], ..self.ty(x).clone() };
        self.push(Op::MatMul { transposed }, &[x, w], ty)
    }

    /// What is done window by window.
    pub fn slide(&mut self, slide: Slide, over: Windows, args: &[ValId]) -> ValId {
        let mut ty = Ty::tensor(&slide.shape(&over));
        if slide != Slide::ConvToWeights {
            let images =
                if slide.arity() == 2 && self.ty(args[1]).shape.len() == 2 { &args[..1] } else { args };
            ty.time = images.iter().any(|a| self.ty(*a).time);
            ty.batch = images.iter().any(|a| self.ty(*a).batch);
        }
        self.push(Op::Slide { slide, over }, args, ty)
    }

    /// A reduction along axes that the operand has; axes it does not have are ignored.
    pub fn fold(&mut self, fold: Fold, axes: Axes, x: ValId) -> ValId {
        let mut ty = self.ty(x).clone();
        let axes = Axes {
            time: axes.time && ty.time,
            batch: axes.batch && ty.batch,
            index: axes.index && !ty.shape.is_empty(),
        };
        if axes == Axes::default() {
            return x;
        }
        ty.time &= !axes.time;
        ty.batch &= !axes.batch;
        if axes.index {
            ty.shape.clear();
        }
        self.push(Op::Fold { fold, axes }, &[x], ty)
    }

    /// Copies the nodes of a fragment, with values for its parameters; gives its results.
    pub fn inline(&mut self, fragment: &Fragment, args: &[ValId]) -> Vec<ValId> {
        let (surrogates, customs) = (self.surrogates.len(), self.customs.len());
        self.surrogates.extend(fragment.graph.surrogates.iter().cloned());
        self.customs.extend(fragment.graph.customs.iter().cloned());
        let mut map: Vec<ValId> = Vec::with_capacity(fragment.graph.nodes.len());
        for node in &fragment.graph.nodes {
            let operands: Vec<ValId> = node.args.iter().map(|a| map[a.idx()]).collect();
            let val = match &node.op {
                Op::Input(k) => args[*k],
                Op::Pointwise(op) => self.pointwise(*op, &operands),
                Op::Fold { fold, axes } => self.fold(*fold, *axes, operands[0]),
                Op::Spike { surrogate, strict } => {
                    let ty = self.ty(operands[0]).clone();
                    let surrogate = surrogate.map(|s| s + surrogates);
                    self.push(Op::Spike { surrogate, strict: *strict }, &operands, ty)
                }
                Op::Custom(k) => {
                    let ty = self.ty(operands[0]).clone();
                    self.push(Op::Custom(k + customs), &operands, ty)
                }
                Op::Detach | Op::Straight | Op::GradScale => {
                    let ty = self.ty(operands[0]).clone();
                    self.push(node.op.clone(), &operands, ty)
                }
                op => self.push(op.clone(), &operands, node.ty.clone()),
            };
            map.push(val);
        }
        fragment.results.iter().map(|r| map[r.idx()]).collect()
    }
}
