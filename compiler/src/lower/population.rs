//! A model as one step: populations in the order of what they read, statements in the order written.

use super::expr::{Scope, expr};
use super::{fragment, integrate};
use crate::hir::constant::{self, ConstEnv};
use crate::hir::{self, ExprKind, LocalId, ParamId, PopId, StateId, StmtKind, TraceRef};
use crate::step::ops::Pw;
use crate::step::{Graph, Input, Op, Param, State, StepFn, Ty, ValId};
use std::collections::BTreeMap;

/// One step of a model, for steps of length `env.dt`. Every state, spike train, emission and `let` is an output by
/// [`output_name`]; `mask` is the last input. `training`: what the name says in the model; in a training normalisations use the batch,
/// else what trainings left.
pub fn step(model: &hir::Model, env: &ConstEnv, training: bool) -> StepFn {
    let mut b = Builder::new(model, *env, training);
    for pop in 0..model.populations.len() {
        b.population(PopId(pop as u32));
    }
    for (idx, output) in model.outputs.iter().enumerate() {
        let val = expr(&mut b, &output.value);
        b.outputs.push((format!("output {idx}"), val));
    }
    b.delayed();
    b.finish()
}

/// The name of an output of [`step`]: `h` for what it emits, `h.v`, `h.fired`.
pub fn output_name(model: &hir::Model, pop: PopId, trace: Option<TraceRef>) -> String {
    let pop = &model.populations[pop.idx()];
    match trace {
        None => pop.name.clone(),
        Some(TraceRef::Fired) => format!("{}.fired", pop.name),
        Some(TraceRef::AtFire) => format!("{}.at_fire", pop.name),
        Some(TraceRef::State(state)) => model.states[state.idx()].name.clone(),
        Some(TraceRef::Local(local)) => {
            let name = pop.named.iter().find(|(_, l)| *l == local).map_or("?", |(name, _)| name);
            format!("{}.{name}", pop.name)
        }
    }
}

/// What `Delayed` reads: the expression waits until all populations are in place.
struct Waiting {
    state: usize,
    value: hir::Expr,
    steps: usize,
    ty: Ty,
}

pub(super) struct Builder<'m> {
    pub(super) model: &'m hir::Model,
    env: ConstEnv,
    /// Whether this is the step of a training.
    pub(super) training: bool,
    pub(super) graph: Graph,
    locals: BTreeMap<LocalId, ValId>,
    /// `let`s of bodies, as formulas for the equations.
    pub(super) formulas: BTreeMap<LocalId, &'m hir::Expr>,
    /// While an equation is evaluated: `let`s of bodies are evaluated anew on the states of that moment.
    pub(super) formula_mode: bool,
    /// Value of each state at this point of the step.
    pub(super) states: Vec<ValId>,
    prev: Vec<ValId>,
    pub(super) next: Vec<State>,
    fired: Vec<Option<ValId>>,
    /// What was compared by `fire`.
    at_fire: Vec<Option<ValId>>,
    emitted: Vec<Option<ValId>>,
    done: Vec<bool>,
    active: Vec<Option<ValId>>,
    params: Vec<Option<ValId>>,
    inputs: Vec<Input>,
    input_vals: Vec<Option<ValId>>,
    waiting: Vec<Waiting>,
    /// What arrives at each port that was read.
    ports: BTreeMap<(PopId, usize), ValId>,
    pub(super) outputs: Vec<(String, ValId)>,
    /// Operand and value of each normalisation, by its running mean.
    pub(super) normalised: BTreeMap<ParamId, (ValId, ValId)>,
}

impl<'m> Builder<'m> {
    fn new(model: &'m hir::Model, env: ConstEnv, training: bool) -> Builder<'m> {
        let n = model.populations.len();
        let mut inputs: Vec<Input> = model
            .inputs
            .iter()
            .map(|i| Input {
                name: i.name.clone(),
                ty: Ty { time: i.stream, batch: true, shape: vec![i.shape.iter().product()] },
                spikes: false,
            })
            .collect();
        inputs.push(Input {
            name: "mask".into(),
            ty: Ty { time: false, batch: true, shape: vec![] },
            spikes: false,
        });
        let mut b = Builder {
            model,
            env,
            training,
            graph: Graph::default(),
            locals: BTreeMap::new(),
            formulas: BTreeMap::new(),
            formula_mode: false,
            states: Vec::new(),
            prev: Vec::new(),
            next: Vec::new(),
            fired: vec![None; n],
            at_fire: vec![None; n],
            emitted: vec![None; n],
            done: vec![false; n],
            active: vec![None; n],
            params: vec![None; model.params.len()],
            input_vals: vec![None; inputs.len()],
            inputs,
            waiting: Vec::new(),
            ports: BTreeMap::new(),
            outputs: Vec::new(),
            normalised: BTreeMap::new(),
        };
        b.add_states();
        b
    }

    fn add_states(&mut self) {
        for state in &self.model.states {
            let width: usize = self.model.populations[state.pop.idx()].shape.iter().product();
            let ty = Ty { time: false, batch: true, shape: vec![width] };
            let init = expr(self, &state.init);
            let val = self.new_state(&state.name, init, 1, ty);
            self.states.push(val);
            self.prev.push(val);
        }
    }

    /// A state that keeps its value until `next` is set.
    pub(super) fn new_state(&mut self, name: &str, init: ValId, delay: usize, ty: Ty) -> ValId {
        let idx = self.next.len();
        let val = self.graph.push(Op::Prev(idx), &[], ty.clone());
        self.graph.nodes[val.idx()].name = format!("{name}@before");
        self.next.push(State { name: name.to_string(), init, next: val, delay, ty });
        val
    }

    fn width(&self, pop: PopId) -> usize {
        self.model.populations[pop.idx()].shape.iter().product()
    }

    /// Brings one population in place, after those it reads.
    fn population(&mut self, id: PopId) {
        if std::mem::replace(&mut self.done[id.idx()], true) {
            return;
        }
        let pop = &self.model.populations[id.idx()];
        let counter = self.refractory(id, pop);
        if pop.fires {
            let zero = self.graph.constant(0.0);
            let ty = Ty { time: false, batch: true, shape: vec![self.width(id)] };
            if reads_fired_early(&pop.body, id) {
                self.fired[id.idx()] = Some(self.new_state(&format!("{}.fired", pop.name), zero, 1, ty));
            }
        }
        let early = self.fired[id.idx()];
        for stmt in &pop.body {
            self.statement(id, pop, stmt);
        }
        if let (Some(early), Some(fired)) = (early, self.fired[id.idx()]) {
            let state = self.state_of(early);
            self.next[state].next = fired;
        }
        self.finish_population(id, pop, counter);
    }

    /// Steps of a presentation.
    pub(super) fn steps(&self) -> usize {
        self.env.steps
    }

    pub(super) fn state_of(&self, prev: ValId) -> usize {
        let Op::Prev(state) = self.graph.node(prev).op else { unreachable!("a Prev") };
        state
    }

    /// State that counts the steps still to be silent, and the condition of being active.
    fn refractory(&mut self, id: PopId, pop: &hir::Population) -> Option<(ValId, f64)> {
        let refractory = pop.refractory.as_ref()?;
        let seconds = constant::eval(&refractory.duration, &self.env).expect("checked: a constant");
        let steps = (seconds / self.env.dt - 1e-6).ceil().max(0.0);
        let zero = self.graph.constant(0.0);
        let ty = Ty { time: false, batch: true, shape: vec![self.width(id)] };
        let left = self.new_state(&format!("{}.refractory", pop.name), zero, 1, ty);
        self.active[id.idx()] = Some(self.graph.pointwise(Pw::Le, &[left, zero]));
        Some((left, steps))
    }

    fn finish_population(&mut self, id: PopId, pop: &'m hir::Population, counter: Option<(ValId, f64)>) {
        if let (Some((left, steps)), Some(fired)) = (counter, self.fired[id.idx()]) {
            let (one, zero, steps) =
                (self.graph.constant(1.0), self.graph.constant(0.0), self.graph.constant(steps));
            let less = self.graph.pointwise(Pw::Sub, &[left, one]);
            let less = self.graph.pointwise(Pw::Max, &[less, zero]);
            let ty = self.graph.ty(fired).clone();
            let fired = self.graph.push(Op::Detach, &[fired], ty);
            let next = self.graph.pointwise(Pw::Select, &[fired, steps, less]);
            let state = self.state_of(left);
            self.next[state].next = next;
        }
        for &state in &pop.states {
            let val = self.states[state.idx()];
            let at = self.state_of(self.prev[state.idx()]);
            self.next[at].next = val;
            self.output(output_name(self.model, id, Some(TraceRef::State(state))), val);
        }
        let emit = expr(self, &pop.emit);
        let width = self.width(id);
        let emit = super::expr::with_index(&mut self.graph, emit, width);
        self.emitted[id.idx()] = Some(emit);
        self.output(pop.name.clone(), emit);
        if let Some(fired) = self.fired[id.idx()] {
            self.output(output_name(self.model, id, Some(TraceRef::Fired)), fired);
        }
        for followed in &pop.running {
            let val = expr(self, &followed.value);
            self.output(super::running::output_name(self.model, followed.param), val);
        }
        for (_, local) in &pop.named {
            if let Some(&val) = self.locals.get(local) {
                self.output(output_name(self.model, id, Some(TraceRef::Local(*local))), val);
            }
        }
        // A state or `let` of the neuron that has this name wins.
        let name = output_name(self.model, id, Some(TraceRef::AtFire));
        if let Some(val) = self.at_fire[id.idx()]
            && self.outputs.iter().all(|(known, _)| *known != name)
        {
            self.outputs.push((name, val));
        }
    }

    fn output(&mut self, name: String, val: ValId) {
        let node = &mut self.graph.nodes[val.idx()];
        if node.name.is_empty() {
            node.name = name.clone();
        }
        self.outputs.push((name, val));
    }

    fn statement(&mut self, id: PopId, pop: &'m hir::Population, stmt: &'m hir::Stmt) {
        let first = self.graph.nodes.len();
        match &stmt.kind {
            StmtKind::Let(local, value) => {
                self.formulas.insert(*local, value);
                let val = expr(self, value);
                self.locals.insert(*local, val);
            }
            StmtKind::Assign { state, value, .. } => {
                let val = expr(self, value);
                self.set_state(id, pop, *state, val);
            }
            StmtKind::Integrate { solver, equations } => {
                let vals = integrate::advance(self, *solver, equations);
                for ((state, _), val) in equations.iter().zip(vals) {
                    self.set_state(id, pop, *state, val);
                }
            }
            StmtKind::Fire { above, below, strict, surrogate } => {
                self.fire(id, (above, below.as_ref()), *strict, surrogate.as_ref());
            }
        }
        for node in &mut self.graph.nodes[first..] {
            if node.span == crate::source::Span::NONE {
                node.span = stmt.span;
            }
        }
    }

    fn set_state(&mut self, id: PopId, pop: &hir::Population, state: StateId, val: ValId) {
        let held = pop.refractory.as_ref().is_some_and(|r| r.holding.contains(&state));
        let val = match self.active[id.idx()] {
            Some(active) if held => {
                self.graph.pointwise(Pw::Select, &[active, val, self.states[state.idx()]])
            }
            _ => val,
        };
        let width = self.width(id);
        let val = super::expr::with_index(&mut self.graph, val, width);
        self.states[state.idx()] = val;
    }

    fn fire(
        &mut self,
        id: PopId,
        (above, below): (&hir::Expr, Option<&hir::Expr>),
        strict: bool,
        surrogate: Option<&hir::Surrogate>,
    ) {
        let width = self.width(id);
        let above = expr(self, above);
        let below = below.map(|below| expr(self, below));
        let x = below.map_or(above, |below| self.graph.pointwise(Pw::Sub, &[above, below]));
        self.at_fire[id.idx()] = Some(super::expr::with_index(&mut self.graph, above, width));
        let x = super::expr::with_index(&mut self.graph, x, width);
        let ty = self.graph.ty(x).clone();
        let surrogate = surrogate.map(|s| {
            self.graph.surrogates.push(fragment::surrogate(s, &ty, self.env));
            self.graph.surrogates.len() - 1
        });
        let mut fired = self.graph.push(Op::Spike { surrogate, strict }, &[x], ty);
        if let Some(active) = self.active[id.idx()] {
            fired = self.graph.pointwise(Pw::Mul, &[fired, active]);
        }
        self.fired[id.idx()] = Some(fired);
    }

    /// Values that projections with delays wait for.
    fn delayed(&mut self) {
        while let Some(w) = self.waiting.pop() {
            let val = expr(self, &w.value);
            let val = if w.ty.shape.is_empty() {
                val
            } else {
                super::expr::with_index(&mut self.graph, val, w.ty.width())
            };
            self.next[w.state].next = val;
            debug_assert_eq!(self.next[w.state].delay, w.steps);
        }
    }

    fn finish(self) -> StepFn {
        let params = self
            .model
            .params
            .iter()
            .map(|p| Param { name: p.name.clone(), shape: stored_shape(p), trained: p.trained })
            .collect();
        StepFn { graph: self.graph, inputs: self.inputs, params, states: self.next, outputs: self.outputs }
    }

    /// What arrives at a port; it does not change within the step, whatever solver asks for it.
    fn port(&mut self, pop: PopId, port: usize) -> ValId {
        if let Some(&val) = self.ports.get(&(pop, port)) {
            return val;
        }
        let mode = std::mem::replace(&mut self.formula_mode, false);
        let model = self.model;
        let val = expr(self, &model.populations[pop.idx()].ports[port].value);
        self.formula_mode = mode;
        self.ports.insert((pop, port), val);
        val
    }

    pub(super) fn param(&mut self, idx: usize) -> ValId {
        if let Some(val) = self.params[idx] {
            return val;
        }
        let param = &self.model.params[idx];
        let val = self.graph.push(Op::Param(idx), &[], Ty::tensor(&stored_shape(param)));
        self.graph.nodes[val.idx()].name = param.name.clone();
        self.params[idx] = Some(val);
        val
    }

    fn input(&mut self, idx: usize) -> ValId {
        if let Some(val) = self.input_vals[idx] {
            return val;
        }
        let input = self.inputs[idx].clone();
        // In a step everything is of one step.
        let ty = Ty { time: false, ..input.ty };
        let val = self.graph.push(Op::Input(idx), &[], ty);
        self.graph.nodes[val.idx()].name = input.name;
        self.input_vals[idx] = Some(val);
        val
    }
}

/// Index axes as stored: matrices `[pre, post]`, weights of windows `[taps, out]`, everything else flat.
pub(super) fn stored_shape(param: &hir::Param) -> Vec<usize> {
    match param.shape.as_slice() {
        [] => vec![],
        [out, taps @ ..] if param.windows => vec![taps.iter().product(), *out],
        [post, pre] => vec![*pre, *post],
        other => vec![other.iter().product()],
    }
}

/// Whether the body reads `fired` before its `fire`.
fn reads_fired_early(body: &[hir::Stmt], pop: PopId) -> bool {
    for stmt in body {
        let mut found = false;
        let look = |e: &hir::Expr| integrate::any(e, &mut |k| matches!(k, ExprKind::Fired(p) if *p == pop));
        match &stmt.kind {
            StmtKind::Fire { above, below, .. } => return look(above) || below.as_ref().is_some_and(look),
            StmtKind::Let(_, value) | StmtKind::Assign { value, .. } => found |= look(value),
            StmtKind::Integrate { equations, .. } => found |= equations.iter().any(|(_, e)| look(e)),
        }
        if found {
            return true;
        }
    }
    false
}

impl<'m> Scope for Builder<'m> {
    fn graph(&mut self) -> &mut Graph {
        &mut self.graph
    }
    fn env(&self) -> ConstEnv {
        self.env
    }
    fn training(&self) -> bool {
        self.training
    }
    fn local(&mut self, local: LocalId) -> Option<ValId> {
        if self.formula_mode
            && let Some(formula) = self.formulas.get(&local).copied()
        {
            return Some(expr(self, formula));
        }
        self.locals.get(&local).copied()
    }
    fn bind(&mut self, local: LocalId, val: ValId) {
        self.locals.insert(local, val);
    }
    fn mask(&mut self) -> ValId {
        self.input(self.inputs.len() - 1)
    }
    fn leaf(&mut self, e: &hir::Expr) -> ValId {
        match &e.kind {
            ExprKind::StepIndex => self.graph.push(Op::StepIndex, &[], Ty::SCALAR),
            ExprKind::Param(p) => self.param(p.idx()),
            ExprKind::Normalise(norm) => self.normalise(norm, e.shape.iter().product()),
            ExprKind::State(s) => self.states[s.idx()],
            ExprKind::Fired(p) => match self.fired[p.idx()] {
                Some(val) => val,
                None => self.graph.constant(0.0),
            },
            ExprKind::Port(p, port) => self.port(*p, *port),
            ExprKind::Input(i) => self.input(i.idx()),
            ExprKind::Emit(p) => {
                self.population(*p);
                self.emitted[p.idx()].expect("checked: no cycle without delay")
            }
            ExprKind::Trace(p, trace) => {
                self.population(*p);
                match trace {
                    TraceRef::State(s) => self.states[s.idx()],
                    TraceRef::Local(l) => self.locals[l],
                    TraceRef::Fired => match self.fired[p.idx()] {
                        Some(val) => val,
                        None => self.graph.constant(0.0),
                    },
                    TraceRef::AtFire => self.at_fire[p.idx()].expect("checked: it fires"),
                }
            }
            ExprKind::Delayed { value, delay } => self.delayed_value(value, delay),
            ExprKind::Random { gaussian, stream, once } => {
                let stream = snn_runtime::rng::stream(stream);
                let shape = if e.shape.is_empty() { vec![] } else { vec![e.shape.iter().product()] };
                let ty = Ty { time: false, batch: true, shape };
                self.graph.push(Op::Random { gaussian: *gaussian, stream, once: *once }, &[], ty)
            }
            other => panic!("lower: {other:?} in a step"),
        }
    }
}

impl<'m> Builder<'m> {
    fn delayed_value(&mut self, value: &hir::Expr, delay: &hir::Expr) -> ValId {
        let seconds = constant::eval(delay, &self.env).expect("checked: a constant");
        let steps = (seconds / self.env.dt).round() as usize;
        if steps == 0 {
            return expr(self, value);
        }
        let shape = if value.shape.is_empty() { vec![] } else { vec![value.shape.iter().product()] };
        let ty = Ty { time: false, batch: true, shape };
        let init = match value.kind {
            // Before the first step a state is what it starts with; what is made in a step is 0.
            ExprKind::Trace(_, TraceRef::State(state)) => {
                self.next[self.state_of(self.prev[state.idx()])].init
            }
            _ => self.graph.constant(0.0),
        };
        // Steps one by one where they start with something: its gradient is then that of all of them.
        let (each, times) = match self.graph.node(init).op {
            Op::Const(0.0) => (steps, 1),
            _ => (1, steps),
        };
        let state = self.next.len();
        let mut val = self.new_state("delay", init, each, ty.clone());
        self.waiting.push(Waiting { state, value: value.clone(), steps: each, ty: ty.clone() });
        for behind in 1..times {
            let (state, before) = (self.next.len(), val);
            val = self.new_state(&format!("delay.{behind}"), init, 1, ty.clone());
            self.next[state].next = before;
        }
        val
    }
}
