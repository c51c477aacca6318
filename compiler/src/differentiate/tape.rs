//! What a forward scan keeps for its backward scan: each value is stored, or computed again from stored ones.
//!
//! Which values are stored is decided by `cut`, when a first pass over the adjoint has shown which ones it uses.

use super::rules::Values;
use super::{cut, each_out};
use crate::net::Net;
use crate::step::{Graph, Op, Ty, ValId};

/// What the tape does about a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// A sequence that the forward pass has anyway.
    There,
    /// Stored for the backward pass.
    Stored,
    /// Computed again.
    Recomputed,
}

/// A line of the plan.
#[derive(Clone, PartialEq, Debug)]
pub struct TapeEntry {
    /// Name of the scan.
    pub scan: String,
    /// The value in the body of the forward scan.
    pub val: ValId,
    /// Its name, if it has one.
    pub name: String,
    /// Its axes.
    pub ty: Ty,
    /// What is done.
    pub kept: Kept,
}

/// The body of a backward scan while it is built, with access to forward values.
pub(super) struct Tape<'a> {
    pub net: &'a mut Net,
    /// The forward scan.
    pub scan: usize,
    /// Its node in the net.
    pub node: ValId,
    /// Its body.
    pub forward: Graph,
    /// Operands of the forward scan.
    pub forward_operands: Vec<ValId>,
    /// The backward body.
    pub graph: Graph,
    /// Operands of the backward scan.
    pub operands: Vec<ValId>,
    operand_vals: Vec<ValId>,
    known: Vec<Option<ValId>>,
    /// For each value whether it is read from memory; none in the pass that only notes what is asked for.
    kept: Option<Vec<bool>>,
    pub entries: Vec<TapeEntry>,
}

impl<'a> Tape<'a> {
    pub fn new(net: &'a mut Net, scan: usize, node: ValId, kept: Option<Vec<bool>>) -> Tape<'a> {
        let forward = net.scans[scan].body.clone();
        let forward_operands = net.graph.node(node).args.clone();
        let graph = Graph {
            nodes: Vec::new(),
            surrogates: forward.surrogates.clone(),
            customs: forward.customs.clone(),
        };
        let known = vec![None; forward.nodes.len()];
        Tape {
            net,
            scan,
            node,
            forward,
            forward_operands,
            graph,
            operands: Vec::new(),
            operand_vals: Vec::new(),
            known,
            kept,
            entries: Vec::new(),
        }
    }

    /// A value of the net as an operand of the backward scan.
    pub fn operand(&mut self, val: ValId) -> ValId {
        if let Some(at) = self.operands.iter().position(|o| *o == val) {
            return self.operand_vals[at];
        }
        let ty = Ty { time: false, ..self.net.graph.ty(val).clone() };
        let new = self.graph.push(Op::Input(self.operands.len()), &[], ty);
        self.graph.nodes[new.idx()].name = self.net.graph.node(val).name.clone();
        self.operands.push(val);
        self.operand_vals.push(new);
        new
    }

    /// The sequence of a body value as a value of the net.
    pub fn sequence(&mut self, val: ValId) -> ValId {
        let out = each_out(self.net, self.scan, val);
        if out == 0 {
            return self.node;
        }
        let existing = self
            .net
            .graph
            .vals()
            .find(|v| matches!(self.net.graph.node(*v).op, Op::ScanOut(k) if k == out && self.net.graph.node(*v).args[0] == self.node));
        existing.unwrap_or_else(|| {
            let body = self.forward.node(val);
            let (ty, name) = (Ty { time: true, ..body.ty.clone() }, body.name.clone());
            let new = self.net.graph.push(Op::ScanOut(out), &[self.node], ty);
            self.net.graph.nodes[new.idx()].name = name;
            new
        })
    }

    fn note(&mut self, val: ValId, kept: Kept) {
        let node = self.forward.node(val);
        self.entries.push(TapeEntry {
            scan: self.net.scans[self.scan].name.clone(),
            val,
            name: node.name.clone(),
            ty: node.ty.clone(),
            kept,
        });
    }

    fn make(&mut self, val: ValId) -> ValId {
        let node = self.forward.node(val).clone();
        let is_out = self.net.scans[self.scan].outs.contains(&crate::net::ScanOut::Each(val));
        match &node.op {
            Op::Const(c) => self.graph.constant(*c),
            Op::Scalar(_) | Op::StepIndex => self.graph.push(node.op.clone(), &[], node.ty.clone()),
            Op::Input(k) => {
                self.note(val, Kept::There);
                self.operand(self.forward_operands[*k])
            }
            op if self.kept.as_ref().is_some_and(|kept| !kept[val.idx()]) && cut::is_cheap(op) => {
                self.again(val)
            }
            _ => {
                self.note(val, if is_out { Kept::There } else { Kept::Stored });
                let sequence = self.sequence(val);
                self.operand(sequence)
            }
        }
    }

    /// In the first pass what is asked for is a leaf of its own.
    fn leaf(&mut self, val: ValId) -> ValId {
        let node = self.forward.node(val).clone();
        match node.op {
            Op::Const(c) => self.graph.constant(c),
            op => self.graph.push(op, &[], node.ty),
        }
    }

    /// After the first pass: the values that were asked for and that `results` and states need.
    pub fn needed(&self, roots: impl Iterator<Item = ValId>) -> Vec<ValId> {
        let mut used = vec![false; self.graph.nodes.len()];
        let mut stack: Vec<ValId> = roots.collect();
        while let Some(val) = stack.pop() {
            if !std::mem::replace(&mut used[val.idx()], true) {
                stack.extend(&self.graph.node(val).args);
            }
        }
        let asked = self.forward.vals().filter(|v| self.known[v.idx()].is_some_and(|k| used[k.idx()]));
        asked.collect()
    }

    fn again(&mut self, val: ValId) -> ValId {
        let node = self.forward.node(val).clone();
        let args: Vec<ValId> = node.args.iter().map(|a| self.value(*a)).collect();
        self.note(val, Kept::Recomputed);
        let new = self.graph.push(node.op, &args, node.ty);
        self.graph.nodes[new.idx()].name = node.name;
        new
    }
}

impl Values for Tape<'_> {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }
    fn value(&mut self, forward: ValId) -> ValId {
        if let Some(known) = self.known[forward.idx()] {
            return known;
        }
        let val = if self.kept.is_some() { self.make(forward) } else { self.leaf(forward) };
        self.known[forward.idx()] = Some(val);
        val
    }
}

/// The plan as text.
pub fn tape_text(entries: &[TapeEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let kept = match entry.kept {
            Kept::There => "there",
            Kept::Stored => "store",
            Kept::Recomputed => "recompute",
        };
        let name = if entry.name.is_empty() { String::new() } else { format!("   ; {}", entry.name) };
        text.push_str(&format!("tape {} %{} {}: {kept}{name}\n", entry.scan, entry.val.0, entry.ty));
    }
    text
}
