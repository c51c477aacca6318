//! The backward scan of a scan: the adjoint of its body, from the last step to the first.
//!
//! For each state `s` of the forward scan there is a state that carries the gradient of `Prev(s)` back to where `next(s)` was
//! made, `delay` steps earlier. Gradients of operands without time axis are summed over the steps in the scan; gradients of weights
//! are pulled out of it: their inputs and deltas are given at each step and multiplied once, after the scan.

use super::cut;
use super::rules::{self, Weights};
use super::tape::{Tape, TapeEntry};
use super::{Extents, add, reduce_to};
use crate::net::{Net, Scan, ScanOut};
use crate::step::ops::Pw;
use crate::step::{Node, Op, State, Ty, ValId};
use std::collections::BTreeMap;

/// Which scan, and what is known of its results.
pub(super) struct Request<'a> {
    /// Index of the scan.
    pub scan: usize,
    /// Its node.
    pub node: ValId,
    /// Adjoints of its results.
    pub outs: &'a [Option<ValId>],
    /// Operands that want a gradient.
    pub wants: &'a [bool],
    /// Window of truncated BPTT.
    pub window: Option<usize>,
}

/// The adjoint of a scan.
pub(super) struct Result {
    /// Operand, contribution (a value of the net), and the axes along which it is given.
    pub contributions: Vec<(usize, ValId, Ty)>,
    pub tape: Vec<TapeEntry>,
}

/// Adds the backward scan to the net.
pub(super) fn adjoint(net: &mut Net, extents: Extents, request: &Request) -> Result {
    let kept = kept(net, extents, request);
    build(net, extents, request, Some(kept)).finish()
}

/// What the backward scan reads from memory. Found by building it once on a copy of the net.
fn kept(net: &Net, extents: Extents, request: &Request) -> Vec<bool> {
    let mut copy = net.clone();
    let first = build(&mut copy, extents, request, None);
    let ends = first.leaves.values().copied().chain(first.new_states.iter().map(|s| s.next));
    let needed = first.tape.needed(ends.chain(first.weights.iter().map(|(_, _, d, _)| *d)));
    // Inputs of weights are results of the forward scan in any case.
    let inputs: Vec<ValId> = first.weights.iter().map(|(_, x, ..)| *x).collect();
    let scan = &net.scans[request.scan];
    let is_result = |v: ValId| scan.outs.contains(&ScanOut::Each(v)) || inputs.contains(&v);
    let operands = &net.graph.node(request.node).args;
    let changes = |k: usize| net.graph.ty(operands[k]).time;
    cut::Request { body: &scan.body, needed: &needed, is_result: &is_result, changes: &changes }.kept()
}

/// The body of the backward scan; what it reads of the forward one is `kept` or computed again.
fn build<'a>(
    net: &'a mut Net,
    extents: Extents,
    request: &Request,
    kept: Option<Vec<bool>>,
) -> ScanBackward<'a> {
    let states = net.scans[request.scan].states.clone();
    let outs = net.scans[request.scan].outs.clone();
    let tape = Tape::new(net, request.scan, request.node, kept);
    let n = tape.forward.nodes.len();
    let mut b = ScanBackward {
        active: active(&tape.forward.nodes, &states, request.wants),
        adjoints: vec![None; n],
        leaves: BTreeMap::new(),
        weights: Vec::new(),
        new_states: Vec::new(),
        carried: Vec::new(),
        extents,
        states,
        tape,
    };
    b.carry(request, &outs);
    b.seed(request.outs, &outs);
    for at in (0..n).rev() {
        b.node(ValId(at as u32));
    }
    b.close();
    b
}

/// Values of the body through which a gradient can reach a wanted operand, in this step or an earlier one.
fn active(nodes: &[Node], states: &[State], wants: &[bool]) -> Vec<bool> {
    let mut active = vec![false; nodes.len()];
    loop {
        let before = active.clone();
        for (at, node) in nodes.iter().enumerate() {
            active[at] = match node.op {
                Op::Input(k) => wants[k],
                Op::Prev(s) => active[states[s].next.idx()] || active[states[s].init.idx()],
                Op::Detach => false,
                Op::Straight => active[node.args[1].idx()],
                _ => node.args.iter().any(|a| active[a.idx()]),
            };
        }
        if active == before {
            return active;
        }
    }
}

struct ScanBackward<'a> {
    tape: Tape<'a>,
    states: Vec<State>,
    active: Vec<bool>,
    adjoints: Vec<Option<ValId>>,
    /// Contributions to operands, by operand and the axes they have: not summed over axes the operand lacks.
    leaves: BTreeMap<(usize, Ty), ValId>,
    /// Weights (operand), their inputs (forward value) and deltas, and how they were multiplied.
    weights: Vec<(usize, ValId, ValId, Weights)>,
    new_states: Vec<State>,
    /// Forward state of each new state.
    carried: Vec<usize>,
    extents: Extents,
}

impl ScanBackward<'_> {
    /// The carried gradients, one for each state that matters.
    fn carry(&mut self, request: &Request, outs: &[ScanOut]) {
        for s in 0..self.states.len() {
            let state = self.states[s].clone();
            let prev = self.tape.forward.nodes.iter().any(|n| matches!(n.op, Op::Prev(k) if k == s));
            if !prev || !self.active[state.next.idx()] {
                continue;
            }
            let last = outs.iter().position(|o| *o == ScanOut::Final(s)).and_then(|k| request.outs[k]);
            let init = match last {
                Some(d) => self.tape.operand(d),
                None => self.tape.graph.constant(0.0),
            };
            let carried = self.tape.graph.push(Op::Prev(self.new_states.len()), &[], state.ty.clone());
            let arriving = self.truncated(carried, state.delay, request.window);
            let next_ty = self.tape.forward.ty(state.next).clone();
            let arriving = reduce_to(&mut self.tape.graph, arriving, &state.ty, &next_ty, self.extents);
            self.accumulate(state.next, arriving);
            self.new_states.push(State {
                name: format!("d {}", state.name),
                init,
                next: carried,
                delay: state.delay,
                ty: state.ty.clone(),
            });
            self.carried.push(s);
        }
    }

    /// Cuts what comes from another window of truncated BPTT.
    fn truncated(&mut self, carried: ValId, delay: usize, window: Option<usize>) -> ValId {
        let Some(window) = window else { return carried };
        let g = &mut self.tape.graph;
        let t = g.push(Op::StepIndex, &[], Ty::SCALAR);
        let (delay, window) = (g.constant(delay as f64), g.constant(window as f64));
        let later = g.pointwise(Pw::Add, &[t, delay]);
        let here = g.pointwise(Pw::Div, &[t, window]);
        let here = g.pointwise(Pw::Floor, &[here]);
        let there = g.pointwise(Pw::Div, &[later, window]);
        let there = g.pointwise(Pw::Floor, &[there]);
        let same = g.pointwise(Pw::Eq, &[here, there]);
        let zero = g.constant(0.0);
        g.pointwise(Pw::Select, &[same, carried, zero])
    }

    fn seed(&mut self, adjoints: &[Option<ValId>], outs: &[ScanOut]) {
        for (out, d) in outs.iter().zip(adjoints) {
            if let (ScanOut::Each(val) | ScanOut::Sum(val), Some(d)) = (out, d) {
                let d = self.tape.operand(*d);
                self.accumulate(*val, d);
            }
        }
    }

    fn accumulate(&mut self, to: ValId, d: ValId) {
        if self.active[to.idx()] {
            let sum = add(&mut self.tape.graph, self.adjoints[to.idx()], d);
            self.adjoints[to.idx()] = Some(sum);
        }
    }

    fn node(&mut self, val: ValId) {
        let Some(d) = self.adjoints[val.idx()].filter(|_| self.active[val.idx()]) else { return };
        let node = self.tape.forward.node(val).clone();
        match node.op {
            Op::Prev(s) => {
                if let Some(at) = self.carried.iter().position(|c| *c == s) {
                    self.new_states[at].next = d;
                }
            }
            Op::Input(k) => self.leaf(k, d, &node.ty),
            _ => self.pass(val, &node, d),
        }
    }

    fn pass(&mut self, val: ValId, node: &Node, mut d: ValId) {
        let mut wants: Vec<bool> = node.args.iter().map(|a| self.active[a.idx()]).collect();
        let tys: Vec<Ty> = node.args.iter().map(|a| self.tape.forward.ty(*a).clone()).collect();
        if let Some(how) = Weights::of(&node.op) {
            d = crate::lower::with_index(&mut self.tape.graph, d, node.ty.width());
            if let Op::Input(k) = self.tape.forward.node(node.args[1]).op
                && wants[1]
            {
                self.weights.push((k, node.args[0], d, how));
                wants[1] = false;
            }
        }
        for (k, c, result) in rules::adjoint(&mut self.tape, node, val, d, &tys, &wants) {
            let arg = node.args[k];
            if let Op::Input(operand) = self.tape.forward.node(arg).op {
                self.leaf(operand, c, &result);
            } else {
                let c = reduce_to(&mut self.tape.graph, c, &result, &tys[k], self.extents);
                self.accumulate(arg, c);
            }
        }
    }

    /// A contribution to an operand along the axes of `result`. Sums over axes wait until after the scan; where the contribution
    /// is the same along an axis of the result that the operand lacks, it counts as often as the axis is long.
    fn leaf(&mut self, operand: usize, c: ValId, result: &Ty) {
        let to = self.tape.net.graph.ty(self.tape.forward_operands[operand]).clone();
        let have = self.tape.graph.ty(c).clone();
        let mut times = 1;
        if result.batch && !to.batch && !have.batch {
            times *= self.extents.rows;
        }
        if !result.shape.is_empty() && to.shape.is_empty() && have.shape.is_empty() {
            times *= result.width();
        }
        let mut c = c;
        if times != 1 {
            let factor = self.tape.graph.constant(times as f64);
            c = self.tape.graph.pointwise(Pw::Mul, &[c, factor]);
        }
        let sum = add(&mut self.tape.graph, self.leaves.get(&(operand, have.clone())).copied(), c);
        self.leaves.insert((operand, have), sum);
    }

    /// Carried gradients have all axes of their state.
    fn close(&mut self) {
        for at in 0..self.new_states.len() {
            let ty = self.new_states[at].ty.clone();
            let carried = self
                .tape
                .graph
                .vals()
                .find(|v| matches!(self.tape.graph.node(*v).op, Op::Prev(k) if k == at));
            let carried = carried.expect("made by carry");
            let next = self.new_states[at].next;
            let g = &mut self.tape.graph;
            // Nothing was passed to the state: `next` still is the carried value itself.
            let next = if next == carried { g.constant(0.0) } else { next };
            if *g.ty(next) != ty {
                let zero = g.constant(0.0);
                let zeros = g.pointwise(Pw::Mul, &[carried, zero]);
                self.new_states[at].next = g.pointwise(Pw::Add, &[next, zeros]);
            } else {
                self.new_states[at].next = next;
            }
        }
    }

    fn finish(self) -> Result {
        let ScanBackward { mut tape, states, leaves, weights, new_states, carried, .. } = self;
        let mut outs: Vec<(ScanOut, Ty)> = Vec::new();
        let mut plan = Vec::new();
        for ((operand, ty), val) in &leaves {
            let time = tape.net.graph.ty(tape.forward_operands[*operand]).time;
            let out = if time { ScanOut::Each(*val) } else { ScanOut::Sum(*val) };
            plan.push((*operand, outs.len(), ty.clone()));
            outs.push((out, Ty { time, ..ty.clone() }));
        }
        for (at, s) in carried.iter().enumerate() {
            if let Op::Input(operand) = tape.forward.node(states[*s].init).op {
                plan.push((operand, outs.len(), states[*s].ty.clone()));
                outs.push((ScanOut::Final(at), states[*s].ty.clone()));
            }
        }
        let mut deltas = Vec::new();
        for (operand, x, d, how) in &weights {
            let ty = Ty { time: true, ..tape.graph.ty(*d).clone() };
            deltas.push((*operand, *x, outs.len(), *how));
            outs.push((ScanOut::Each(*d), ty));
        }
        if outs.is_empty() {
            return Result { contributions: Vec::new(), tape: tape.entries };
        }
        // Sequences that weights need must be results of the forward scan before the operands are read off.
        let xs: Vec<ValId> = deltas.iter().map(|(_, x, ..)| forward_sequence(&mut tape, *x)).collect();
        let vals = push_scan(&mut tape, new_states, &outs);
        let mut contributions = Vec::new();
        for (operand, out, ty) in plan {
            let operand_ty = tape.net.graph.ty(tape.forward_operands[operand]).clone();
            contributions.push((operand, vals[out], Ty { time: operand_ty.time, ..ty }.join(&operand_ty)));
        }
        for ((operand, _, out, how), x) in deltas.into_iter().zip(xs) {
            let c = how.gradient(&mut tape.net.graph, x, vals[out]);
            let ty = tape.net.graph.ty(c).clone();
            contributions.push((operand, c, ty));
        }
        Result { contributions, tape: tape.entries }
    }
}

/// The sequence of a forward value as a value of the net.
fn forward_sequence(tape: &mut Tape, x: ValId) -> ValId {
    match tape.forward.node(x).op {
        Op::Input(k) => tape.forward_operands[k],
        _ => tape.sequence(x),
    }
}

/// Adds the scan and its results to the net.
fn push_scan(tape: &mut Tape, states: Vec<State>, outs: &[(ScanOut, Ty)]) -> Vec<ValId> {
    let net = &mut *tape.net;
    let forward = &net.scans[tape.scan];
    let scan = Scan {
        name: format!("{}'", forward.name),
        body: std::mem::take(&mut tape.graph),
        states,
        outs: outs.iter().map(|(out, _)| *out).collect(),
        reverse: !forward.reverse,
    };
    net.scans.push(scan);
    let idx = net.scans.len() - 1;
    let first = net.graph.push(Op::Scan(idx), &tape.operands, outs[0].1.clone());
    let mut vals = vec![first];
    for (k, (_, ty)) in outs.iter().enumerate().skip(1) {
        vals.push(net.graph.push(Op::ScanOut(k), &[first], ty.clone()));
    }
    vals
}
