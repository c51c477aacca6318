//! Step IR to Net IR: recurrent components become scans, everything else becomes maps over all steps at once.
//!
//! A state ties a step to the next one: `Prev(s)` depends on `next(s)` of an earlier step. The strongly connected components of
//! the graph with these edges are what must go from step to step. Values outside a component that do not change with
//! time lose the time axis: a constant input is projected once, `exp(-dt / tau)` is computed once. Pointwise work
//! around a scan that only the scan reads, or that reads only the scan, moves into it: a sequence that is never stored
//! costs nothing.

mod component;

use crate::net::{Net, Scan, ScanOut};
use crate::step::ops::{Fold, Pw};
use crate::step::{Axes, Graph, Op, State, StepFn, Ty, ValId};
use component::Components;
use std::collections::{BTreeMap, BTreeSet};

/// A net with the values of the wanted outputs of the step, by name; names that the step does not have are left out. Its batch is one
/// sample: the caller decides about shards when it knows what the net does.
pub fn net(step: &StepFn, wanted: &BTreeSet<String>, steps: usize) -> (Net, BTreeMap<String, ValId>) {
    let outputs: Vec<&(String, ValId)> =
        step.outputs.iter().filter(|(name, _)| wanted.contains(name)).collect();
    let roots: Vec<ValId> = outputs.iter().map(|(_, val)| *val).collect();
    let components = component::find(step, &roots);
    let mut b = Builder {
        step,
        components: &components,
        net: Net {
            inputs: step.inputs.clone(),
            params: step.params.clone(),
            steps,
            shard_batch: 1,
            shards: 1,
            ..Net::default()
        },
        map: vec![None; step.graph.nodes.len()],
        roots: roots.iter().copied().collect(),
    };
    b.net.graph.surrogates = step.graph.surrogates.clone();
    b.net.graph.customs = step.graph.customs.clone();
    for group in &components.order {
        match group.scan {
            true => b.scan(&group.members),
            false => b.map(group.members[0]),
        }
    }
    let mut values = BTreeMap::new();
    for (name, val) in outputs {
        let val = b.map[val.idx()].expect("wanted values are in place");
        let node = &mut b.net.graph.nodes[val.idx()];
        if node.name.is_empty() || node.name.ends_with("@before") {
            node.name = name.clone();
        }
        values.insert(name.clone(), val);
    }
    (b.net, values)
}

struct Builder<'a> {
    step: &'a StepFn,
    components: &'a Components,
    net: Net,
    /// Value in the net of each value of the step.
    map: Vec<Option<ValId>>,
    roots: BTreeSet<ValId>,
}

impl Builder<'_> {
    /// The type in the net.
    fn ty(&self, val: ValId) -> Ty {
        Ty { time: self.components.varies[val.idx()], ..self.step.graph.ty(val).clone() }
    }

    fn map(&mut self, val: ValId) {
        let node = self.step.graph.node(val);
        let ty = self.ty(val);
        let new = match node.op {
            // A state that nothing of its own past decides: the value some steps ago.
            Op::Prev(s) => {
                let state = &self.step.states[s];
                let next = self.map[state.next.idx()].expect("components are in order");
                let steps = state.delay as isize;
                self.net.graph.push(Op::Delay { steps }, &[next], ty)
            }
            Op::Fold { fold, axes } if axes.time => self.over_time(fold, axes, node.args[0]),
            _ => {
                let args: Vec<ValId> =
                    node.args.iter().map(|a| self.map[a.idx()].expect("operands are in place")).collect();
                self.net.graph.push(node.op.clone(), &args, ty)
            }
        };
        let made = &mut self.net.graph.nodes[new.idx()];
        made.name = node.name.clone();
        made.span = node.span;
        self.map[val.idx()] = Some(new);
    }

    /// A fold of all steps; of what does not change with them, each counts.
    fn over_time(&mut self, fold: Fold, axes: Axes, of: ValId) -> ValId {
        let x = self.map[of.idx()].expect("operands are in place");
        let repeated = !self.net.graph.ty(x).time && fold == Fold::Sum;
        let val = self.net.graph.fold(fold, axes, x);
        if !repeated {
            return val;
        }
        let steps = self.net.graph.constant(self.net.steps as f64);
        self.net.graph.pointwise(Pw::Mul, &[val, steps])
    }

    fn scan(&mut self, members: &[ValId]) {
        let inside: BTreeSet<ValId> = members.iter().copied().collect();
        let graph = Graph {
            nodes: Vec::new(),
            surrogates: self.step.graph.surrogates.clone(),
            customs: self.step.graph.customs.clone(),
        };
        let mut body = Body {
            step: self.step,
            inside: &inside,
            graph,
            local: BTreeMap::new(),
            operands: Vec::new(),
            states: Vec::new(),
        };
        for &val in members {
            body.place(val, &self.map);
        }
        let states = body.finish_states(&self.map);
        let outs: Vec<ValId> = members
            .iter()
            .copied()
            .filter(|v| self.roots.contains(v) || self.read_outside(*v, &inside))
            .collect();
        let (graph, operands, local) = (body.graph, body.operands, body.local);
        let scan = Scan {
            name: self.scan_name(members),
            states,
            outs: outs.iter().map(|v| ScanOut::Each(local[v])).collect(),
            reverse: false,
            body: graph,
        };
        self.net.scans.push(scan);
        let idx = self.net.scans.len() - 1;
        let mut first = None;
        for (k, val) in outs.iter().enumerate() {
            let ty = self.ty(*val);
            let new = match first {
                None => self.net.graph.push(Op::Scan(idx), &operands, ty),
                Some(scan) => self.net.graph.push(Op::ScanOut(k), &[scan], ty),
            };
            first.get_or_insert(new);
            let node = self.step.graph.node(*val);
            let made = &mut self.net.graph.nodes[new.idx()];
            made.name = node.name.clone();
            made.span = node.span;
            self.map[val.idx()] = Some(new);
        }
    }

    fn read_outside(&self, val: ValId, inside: &BTreeSet<ValId>) -> bool {
        self.components.readers[val.idx()].iter().any(|r| !inside.contains(r))
    }

    /// The populations whose states are inside: `h`, `e+i`.
    fn scan_name(&self, members: &[ValId]) -> String {
        let mut names: Vec<&str> = Vec::new();
        for val in members {
            if let Op::Prev(s) = self.step.graph.node(*val).op {
                let name = &self.step.states[s].name;
                let pop = name.rsplit_once('.').map_or(name.as_str(), |(pop, _)| pop);
                if !names.contains(&pop) {
                    names.push(pop);
                }
            }
        }
        names.join("+")
    }
}

/// The body of a scan while it is built.
struct Body<'a> {
    step: &'a StepFn,
    inside: &'a BTreeSet<ValId>,
    graph: Graph,
    /// Value in the body of each value of the step.
    local: BTreeMap<ValId, ValId>,
    /// Operands of the scan: values of the net.
    operands: Vec<ValId>,
    /// States of the step that are states of the scan, in order.
    states: Vec<usize>,
}

impl Body<'_> {
    /// Copies a member; its operands are members before it or come from outside.
    fn place(&mut self, val: ValId, map: &[Option<ValId>]) {
        let node = self.step.graph.node(val);
        let new = match node.op {
            Op::Prev(s) => {
                self.states.push(s);
                self.graph.push(Op::Prev(self.states.len() - 1), &[], node.ty.clone())
            }
            _ => {
                let args: Vec<ValId> = node.args.iter().map(|a| self.get(*a, map)).collect();
                self.graph.push(node.op.clone(), &args, node.ty.clone())
            }
        };
        let made = &mut self.graph.nodes[new.idx()];
        made.name = node.name.clone();
        made.span = node.span;
        self.local.insert(val, new);
    }

    /// The value in the body; values from outside become operands of the scan, numbers are copied.
    fn get(&mut self, val: ValId, map: &[Option<ValId>]) -> ValId {
        if let Some(&local) = self.local.get(&val) {
            return local;
        }
        debug_assert!(!self.inside.contains(&val), "members are in order");
        let node = self.step.graph.node(val);
        let new = if let Op::Const(value) = node.op {
            self.graph.constant(value)
        } else {
            self.operands.push(map[val.idx()].expect("what a scan reads is in place"));
            let input = Op::Input(self.operands.len() - 1);
            let new = self.graph.push(input, &[], node.ty.clone());
            self.graph.nodes[new.idx()].name = node.name.clone();
            new
        };
        self.local.insert(val, new);
        new
    }

    fn finish_states(&mut self, map: &[Option<ValId>]) -> Vec<State> {
        let ids = self.states.clone();
        ids.into_iter()
            .map(|s| {
                let state = &self.step.states[s];
                let (init, next) = (self.get(state.init, map), self.get(state.next, map));
                State { init, next, ..state.clone() }
            })
            .collect()
    }
}
