//! A scan as a time loop: states in place where no other statement still reads the old value, sequences written step by step.
//!
//! Values that are the same at every step are computed before the loop, among them first values of states. A state with delay 1 has one
//! buffer. One with delay `d` has `steps + d` slots of which step `t` reads slot `t` and writes slot `t + d`; in reverse it reads
//! `t + d` and writes `t`.
//!
//! In a segment, the steps are those of the segment; states stay where they are from one to the next, and of one with delay the last `d`
//! slots move to where the next segment reads them. A scan that is made again later leaves its states at the start of each
//! segment; its replay takes them from there.

use super::block::{Block, Item};
use super::layout::Place;
use super::nest::{self, Domain};
use super::{Parts, Scheduler, Work, copy, prepare, reduce, statement, zero};
use crate::loops::{Access, Instr, Stmt};
use crate::net::{Scan, ScanOut};
use crate::step::{Graph, Op, Ty, ValId};
use std::collections::BTreeMap;

/// The statements of a scan.
pub(super) fn scan(s: &mut Scheduler, node: ValId, idx: usize, of_shards: bool, parts: &mut Parts) {
    let scan = &s.net.scans[idx];
    let operands = &s.net.graph.node(node).args;
    let steady = steady(scan, operands, &s.net.graph);
    let results = s.scan_places[idx].clone();
    let needed = needed(scan);
    let pick =
        |of_step: bool| scan.body.vals().filter(|v| needed[v.idx()] && steady[v.idx()] != of_step).collect();
    let (before, steps): (Vec<ValId>, Vec<ValId>) = (pick(false), pick(true));
    let mut b = ScanBuilder {
        before: Block::of_body(&scan.body, before.into_iter(), &s.layout),
        steps: Block::of_body(&scan.body, steps.into_iter(), &s.layout),
        places: BTreeMap::new(),
        states: Vec::new(),
        in_place: Vec::new(),
        results: &results,
        of_shards,
        replay_of: s.net.segments.as_ref().and_then(|s| s.replays[idx]),
        scan,
        s,
    };
    b.place_leaves(operands);
    b.place_states();
    b.in_place = (0..scan.states.len()).map(|k| b.is_in_place(k)).collect();
    b.place_values();
    b.before_loop(&mut parts.before);
    b.at_start(idx, &mut parts.body);
    let steps = b.of_step();
    parts.body.push(Stmt::Steps { reverse: scan.reverse, body: steps });
    b.at_end(&mut parts.body);
    b.after_loop(&mut parts.after);
}

/// Axes of a result.
pub(super) fn result_ty(scan: &Scan, out: &ScanOut) -> Ty {
    match out {
        ScanOut::Each(v) => Ty { time: true, ..scan.body.ty(*v).clone() },
        ScanOut::Sum(v) => scan.body.ty(*v).clone(),
        ScanOut::Final(s) => scan.states[*s].ty.clone(),
    }
}

/// Values that are computed before the loop: the same at every step, but for results and next values, which are of each step.
fn steady(scan: &Scan, operands: &[ValId], outer: &Graph) -> Vec<bool> {
    let mut steady = prepare::steady(scan, operands, outer);
    for out in &scan.outs {
        if let ScanOut::Each(v) | ScanOut::Sum(v) = out {
            steady[v.idx()] = false;
        }
    }
    scan.states.iter().for_each(|s| steady[s.next.idx()] = false);
    steady
}

/// Values that results and states are made of.
fn needed(scan: &Scan) -> Vec<bool> {
    let mut needed = vec![false; scan.body.nodes.len()];
    let mut stack: Vec<ValId> = scan.states.iter().flat_map(|s| [s.init, s.next]).collect();
    for out in &scan.outs {
        if let ScanOut::Each(v) | ScanOut::Sum(v) = out {
            stack.push(*v);
        }
    }
    while let Some(val) = stack.pop() {
        if !std::mem::replace(&mut needed[val.idx()], true) {
            stack.extend(&scan.body.node(val).args);
        }
    }
    needed
}

struct ScanBuilder<'a, 'n> {
    s: &'a mut Scheduler<'n>,
    scan: &'a Scan,
    /// Each shard has its own states, even those without samples.
    of_shards: bool,
    /// The scan that this one makes again, if it does.
    replay_of: Option<usize>,
    /// Where the results lie.
    results: &'a [Place],
    /// Where values of the body lie.
    places: BTreeMap<ValId, Place>,
    /// Where the states lie.
    states: Vec<Place>,
    /// Which states are written by the nest that makes the new value.
    in_place: Vec<bool>,
    /// Order of what is computed before the loop.
    before: Block,
    /// Order of what is computed in each step.
    steps: Block,
}

impl ScanBuilder<'_, '_> {
    fn place_leaves(&mut self, operands: &[ValId]) {
        for val in self.scan.body.vals() {
            if let Op::Input(k) = self.scan.body.node(val).op {
                self.places.insert(val, self.s.place(operands[k]));
            }
        }
    }

    fn place_states(&mut self) {
        let slots = self.s.layout.steps();
        for state in &self.scan.states {
            let place = match state.delay {
                1 => self.s.layout.value(&format!("state {}", state.name), &state.ty, self.of_shards),
                d => {
                    let name = format!("history {}", state.name);
                    self.s.layout.history(&name, &state.ty, slots + d, self.of_shards)
                }
            };
            self.states.push(place);
        }
        for val in self.scan.body.vals() {
            if let Op::Prev(s) = self.scan.body.node(val).op {
                let shift = if self.scan.reverse { self.delay(s) } else { 0 };
                self.places.insert(val, Place { shift, ..self.states[s].clone() });
            }
        }
    }

    /// Slots between what a step reads and what it writes.
    fn delay(&self, state: usize) -> isize {
        match self.scan.states[state].delay {
            1 => 0,
            d => d as isize,
        }
    }

    /// Where the new value of a state goes.
    fn next_place(&self, state: usize) -> Place {
        let shift = if self.scan.reverse { 0 } else { self.delay(state) };
        Place { shift, ..self.states[state].clone() }
    }

    /// Buffers of values that are results of each step, or that another statement reads.
    fn place_values(&mut self) {
        for (out, place) in self.scan.outs.iter().zip(self.results) {
            if let ScanOut::Each(v) = out {
                self.places.insert(*v, place.clone());
            }
        }
        // Later statements find a new value in the buffer of its state.
        for (k, state) in self.scan.states.iter().enumerate() {
            if self.in_place[k] && state.delay == 1 {
                let place = self.states[k].clone();
                self.places.entry(state.next).or_insert(place);
            }
        }
        let body = &self.scan.body;
        let mut read = vec![false; body.nodes.len()];
        for reader in body.vals() {
            for arg in &body.node(reader).args {
                read[arg.idx()] |= self.statement_of(*arg) != self.statement_of(reader);
            }
        }
        for (k, state) in self.scan.states.iter().enumerate() {
            read[state.next.idx()] |= !self.in_place[k];
            read[state.init.idx()] |= !matches!(body.node(state.init).op, Op::Const(_) | Op::Scalar(_));
        }
        let stored = |v: &ValId| {
            let made = self.statement_of(*v).is_some();
            made && !self.places.contains_key(v) && (read[v.idx()] || !nest::fuses(body, *v))
        };
        let stored: Vec<ValId> = body.vals().filter(stored).collect();
        for val in stored {
            let node = body.node(val);
            let name = if node.name.is_empty() {
                format!("{} %{}", self.scan.name, val.0)
            } else {
                node.name.clone()
            };
            let place = self.s.layout.value(&name, &node.ty, self.of_shards);
            self.places.insert(val, place);
        }
    }

    /// Whether it is of each step, and which statement there makes it.
    fn statement_of(&self, val: ValId) -> Option<(bool, usize)> {
        let before = self.before.item_of(val).map(|at| (false, at));
        before.or_else(|| self.steps.item_of(val).map(|at| (true, at)))
    }

    /// Whether the new value of a state can be written in the nest that makes it: no later statement reads the old one.
    fn is_in_place(&self, s: usize) -> bool {
        let (state, body) = (&self.scan.states[s], &self.scan.body);
        if !nest::fuses(body, state.next) {
            return false;
        }
        let made = self.steps.item_of(state.next).expect("next values are of each step");
        let reads =
            |v: ValId| body.node(v).args.iter().any(|a| matches!(body.node(*a).op, Op::Prev(k) if k == s));
        // Elements of a nest are loaded before they are stored.
        state.delay > 1
            || body.vals().filter(|v| reads(*v)).all(|v| self.steps.item_of(v).is_none_or(|at| at <= made))
    }

    /// Values that stay the same, first values of states, sums at 0.
    fn before_loop(&mut self, body: &mut Vec<Stmt>) {
        for item in std::mem::take(&mut self.before.items) {
            self.item(&item, body);
        }
        let l = &self.s.layout;
        let states = self.scan.states.iter().zip(&self.states);
        for (state, place) in states.filter(|_| self.replay_of.is_none()) {
            let floats = l.step_floats(place);
            let at = if self.scan.reverse && state.delay > 1 { l.steps() * floats } else { 0 };
            let rows = l.rows(&Ty { time: false, ..place.ty.clone() }, false);
            let width = place.width();
            let domain = Domain { time: false, batch: place.ty.batch, rows, width, flat: false };
            for slot in 0..state.delay {
                let dst = Access { row: width, col: 1, ..l.block(place, at + slot * floats) };
                let load = match self.scan.body.node(state.init).op {
                    Op::Const(c) => Instr::Const(c as f32),
                    Op::Scalar(s) => Instr::Scalar(s),
                    _ => Instr::Load(l.access(&self.places[&state.init], &domain)),
                };
                body.push(nest::collapse(rows, width, vec![load, Instr::Store(dst, 0)]));
            }
        }
        for (out, place) in self.scan.outs.iter().zip(self.results) {
            if let ScanOut::Sum(_) = out {
                body.push(zero(l.block(place, 0), l.step_floats(place)));
            }
        }
    }

    /// Keeps or takes the states at the start of a segment.
    fn at_start(&mut self, idx: usize, body: &mut Vec<Stmt>) {
        let Some(segments) = self.s.net.segments.as_ref().filter(|_| self.s.layout.in_sweep()) else {
            return;
        };
        let is_kept = segments.replays.contains(&Some(idx));
        if is_kept {
            let layout = &mut self.s.layout;
            let states = self.scan.states.iter();
            let starts = states
                .map(|s| layout.starts(&format!("starts {}", s.name), &s.ty, s.delay, segments.steps))
                .collect();
            self.s.starts.insert(idx, starts);
        }
        let Some(starts) = self.s.starts.get(&self.replay_of.unwrap_or(idx)) else { return };
        let l = &self.s.layout;
        for ((state, place), start) in self.scan.states.iter().zip(&self.states).zip(starts) {
            let floats = state.delay * l.step_floats(place);
            let (now, kept) = (l.block(place, 0), Access { segment: floats, ..l.block(start, 0) });
            let (src, dst) = if is_kept { (now, kept) } else { (kept, now) };
            body.push(copy(src, dst, floats));
        }
    }

    /// Moves states with delay to where the next segment reads them, in pieces that do not overlap.
    fn at_end(&self, body: &mut Vec<Stmt>) {
        let l = &self.s.layout;
        if !l.in_sweep() {
            return;
        }
        for (state, place) in self.scan.states.iter().zip(&self.states).filter(|(s, _)| s.delay > 1) {
            let floats = l.step_floats(place);
            let mut pieces: Vec<usize> = (0..state.delay).step_by(l.steps()).collect();
            if self.scan.reverse {
                pieces.reverse();
            }
            for slot in pieces {
                let len = (state.delay - slot).min(l.steps()) * floats;
                let (low, high) =
                    (l.block(place, slot * floats), l.block(place, (slot + l.steps()) * floats));
                let (src, dst) = if self.scan.reverse { (low, high) } else { (high, low) };
                body.push(copy(src, dst, len));
            }
        }
    }

    fn of_step(&mut self) -> Vec<Stmt> {
        let mut body = Vec::new();
        for item in std::mem::take(&mut self.steps.items) {
            self.item(&item, &mut body);
        }
        self.sums_of_statements(&mut body);
        let l = &self.s.layout;
        for (k, state) in self.scan.states.iter().enumerate().filter(|(k, _)| !self.in_place[*k]) {
            let from = l.step_block(&self.places[&state.next]);
            body.push(copy(from, l.step_block(&self.next_place(k)), l.step_floats(&self.states[k])));
        }
        body
    }

    fn item(&mut self, item: &Item, body: &mut Vec<Stmt>) {
        match item {
            Item::Nest(domain, works) => {
                let vals: Vec<ValId> = works
                    .iter()
                    .map(|w| match w {
                        Work::Value(val) => *val,
                        Work::Combine(_) | Work::Output(_) => unreachable!("bodies have values only"),
                    })
                    .collect();
                body.push(self.nest(domain.clone(), &vals));
            }
            Item::Single(Work::Value(val)) => self.single(*val, body),
            Item::Single(_) => unreachable!("bodies have values only"),
        }
    }

    fn nest(&self, domain: Domain, vals: &[ValId]) -> Stmt {
        let places = |v: ValId| self.places.get(&v).cloned();
        let mut b = nest::Builder::new(&self.scan.body, domain, &self.s.layout);
        for val in vals {
            b.value(*val, &places);
        }
        for val in vals {
            if let Some(place) = self.places.get(val) {
                b.store(*val, place, &places);
            }
            for (out, place) in self.scan.outs.iter().zip(self.results) {
                match out {
                    ScanOut::Sum(v) if v == val => b.add(*val, place, &places),
                    // The same value given twice.
                    ScanOut::Each(v) if v == val && self.places.get(val) != Some(place) => {
                        b.store(*val, place, &places);
                    }
                    _ => {}
                }
            }
            for (k, state) in self.scan.states.iter().enumerate() {
                let place = self.next_place(k);
                if state.next == *val && self.in_place[k] && self.places.get(val) != Some(&place) {
                    b.store(*val, &place, &places);
                }
            }
        }
        b.finish()
    }

    fn single(&mut self, val: ValId, body: &mut Vec<Stmt>) {
        let node = self.scan.body.node(val);
        let (dst, args) =
            (&self.places[&val], node.args.iter().map(|a| self.places[a].clone()).collect::<Vec<_>>());
        if let Op::Fold { fold, axes } = node.op {
            reduce::of_step(&mut self.s.layout, fold, axes, &args[0], dst, body);
            return;
        }
        let l = &self.s.layout;
        let (rows, width) = (l.rows(&node.ty, false), node.ty.width());
        let domain = Domain { time: true, batch: node.ty.batch, rows, width, flat: false };
        body.push(statement::of_rows(l, node, &args, dst, &domain));
    }

    /// Sums over the steps, and further copies of sequences, of values that no nest makes.
    fn sums_of_statements(&self, body: &mut Vec<Stmt>) {
        let l = &self.s.layout;
        for (out, place) in self.scan.outs.iter().zip(self.results) {
            let (ScanOut::Each(v) | ScanOut::Sum(v)) = out else { continue };
            if nest::fuses(&self.scan.body, *v) || self.places[v] == *place {
                continue;
            }
            let src = Access { col: 1, ..l.step_block(&self.places[v]) };
            let dst = Access { col: 1, ..l.step_block(place) };
            let last = if let ScanOut::Sum(_) = out { Instr::Add(dst, 0) } else { Instr::Store(dst, 0) };
            body.push(Stmt::Nest {
                rows: 1,
                width: l.step_floats(place),
                body: vec![Instr::Load(src), last],
            });
        }
    }

    /// Results that are the last value of a state.
    fn after_loop(&self, body: &mut Vec<Stmt>) {
        for (out, place) in self.scan.outs.iter().zip(self.results) {
            if let ScanOut::Final(s) = out {
                let l = &self.s.layout;
                body.push(copy(l.block(&self.states[*s], 0), l.block(place, 0), l.step_floats(place)));
            }
        }
    }
}
