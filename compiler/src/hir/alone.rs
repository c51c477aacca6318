//! One neuron of a population as a model of its own: what arrives at one input is given, nothing else arrives. For measurements of neurons
//! (`pipeline::facts`); how they are done is not here.

use super::difference;
use super::{
    Expr, ExprKind, Input, InputId, LocalId, Model, Output, ParamId, PopId, Population, Port, Refractory,
    State, StateId, Stmt, StmtKind, TraceRef, Unit,
};
use crate::source::Span;
use crate::step::ops::Pw;

/// Name of the input of the model.
pub const DRIVE: &str = "drive";

/// A neuron by itself.
pub struct Alone {
    /// A model of one neuron, with the stream [`DRIVE`] of SI values at its input.
    pub model: Model,
    /// The distance of the membrane above threshold, if it fires.
    pub membrane: Option<ExprKind>,
    /// Its spikes, if it fires.
    pub fired: Option<ExprKind>,
    /// The derivative of its surrogate with the argument, if it has one.
    pub surrogate: Option<(LocalId, Expr)>,
}

/// One neuron of a population, stimulated at `port`. `value` gives the numbers of its parameters. Silenced, it never reaches threshold.
pub fn alone(
    model: &Model,
    pop: PopId,
    port: usize,
    value: &dyn Fn(ParamId) -> f64,
    silenced: bool,
) -> Alone {
    let population = &model.populations[pop.idx()];
    let here = Here { states: &population.states, value };
    let mut locals = model.locals.clone();
    let mut alone = Alone {
        model: Model {
            name: "alone".into(),
            inputs: vec![Input { name: DRIVE.into(), shape: vec![1], stream: true, span: Span::NONE }],
            params: Vec::new(),
            states: population.states.iter().map(|id| here.state(&model.states[id.idx()])).collect(),
            populations: Vec::new(),
            projections: Vec::new(),
            outputs: Vec::new(),
            locals: Vec::new(),
            span: Span::NONE,
        },
        membrane: None,
        fired: None,
        surrogate: None,
    };
    let mut body = Vec::new();
    let mut named = population.named.clone();
    for stmt in &population.body {
        let mut kind = here.stmt(&stmt.kind);
        if let StmtKind::Fire { above, below, surrogate, .. } = &mut kind {
            let membrane = LocalId(locals.len() as u32);
            locals.push("membrane".into());
            named.push(("membrane".into(), membrane));
            alone.membrane = Some(ExprKind::Trace(PopId(0), TraceRef::Local(membrane)));
            alone.fired = Some(ExprKind::Trace(PopId(0), TraceRef::Fired));
            alone.surrogate = surrogate.as_ref().map(|s| (s.x, s.derivative.clone()));
            let distance = difference(above, below.take().as_ref());
            let (kind, shape) = match silenced {
                true => (ExprKind::Const(-1.0), Vec::new()),
                false => (ExprKind::Local(membrane), distance.shape.clone()),
            };
            *above = Expr { kind, shape, ..distance.clone() };
            body.push(Stmt { kind: StmtKind::Let(membrane, distance), span: stmt.span });
        }
        body.push(Stmt { kind, span: stmt.span });
    }
    let ports = population.ports.iter().enumerate();
    let emit = here.expr(&population.emit);
    let value = Expr { kind: ExprKind::Emit(PopId(0)), shape: vec![1], ..emit.clone() };
    alone.model.outputs.push(Output { name: "alone".into(), value });
    alone.model.populations.push(Population {
        shape: vec![1],
        ports: ports.map(|(at, p)| arriving(p, at == port)).collect(),
        states: (0..population.states.len()).map(|at| StateId(at as u32)).collect(),
        body,
        refractory: population.refractory.as_ref().map(|r| here.refractory(r)),
        emit,
        named,
        running: Vec::new(),
        ..population.clone()
    });
    alone.model.locals = locals;
    alone
}

/// The stimulus, or nothing.
fn arriving(port: &Port, stimulated: bool) -> Port {
    let leaf = |kind, unit| Expr { kind, unit, shape: Vec::new(), span: Span::NONE };
    let value = if stimulated {
        let drive = Expr { shape: vec![1], ..leaf(ExprKind::Input(InputId(0)), Unit::NONE) };
        let args = vec![leaf(ExprKind::Const(1.0), port.unit), drive];
        Expr { shape: vec![1], ..leaf(ExprKind::Pointwise(Pw::Mul, args), port.unit) }
    } else if port.driven {
        leaf(ExprKind::Const(0.0), port.unit)
    } else {
        port.value.clone()
    };
    Port { value, ..port.clone() }
}

/// Rewrites what belongs to a population: its ids become those of the model with one neuron.
struct Here<'a> {
    states: &'a [StateId],
    value: &'a dyn Fn(ParamId) -> f64,
}

impl Here<'_> {
    fn id(&self, id: StateId) -> StateId {
        let at = self.states.iter().position(|state| *state == id).expect("a state of the population");
        StateId(at as u32)
    }

    fn state(&self, state: &State) -> State {
        State { pop: PopId(0), init: self.expr(&state.init), ..state.clone() }
    }

    fn refractory(&self, refractory: &Refractory) -> Refractory {
        Refractory {
            duration: self.expr(&refractory.duration),
            holding: refractory.holding.iter().map(|id| self.id(*id)).collect(),
        }
    }

    fn stmt(&self, kind: &StmtKind) -> StmtKind {
        match kind {
            StmtKind::Let(local, value) => StmtKind::Let(*local, self.expr(value)),
            StmtKind::Assign { state, value, is_reset } => {
                StmtKind::Assign { state: self.id(*state), value: self.expr(value), is_reset: *is_reset }
            }
            StmtKind::Integrate { solver, equations } => {
                let equations = equations.iter().map(|(id, value)| (self.id(*id), self.expr(value)));
                StmtKind::Integrate { solver: *solver, equations: equations.collect() }
            }
            StmtKind::Fire { above, below, strict, surrogate } => {
                let surrogate = surrogate.as_ref().map(|s| super::Surrogate {
                    derivative: self.expr(&s.derivative),
                    primitive: s.primitive.as_ref().map(|e| self.expr(e)),
                    ..s.clone()
                });
                let (above, below) = (self.expr(above), below.as_ref().map(|e| self.expr(e)));
                StmtKind::Fire { above, below, strict: *strict, surrogate }
            }
        }
    }

    fn expr(&self, e: &Expr) -> Expr {
        let part = |e: &Expr| Box::new(self.expr(e));
        let list = |list: &[Expr]| list.iter().map(|e| self.expr(e)).collect();
        let kind = match &e.kind {
            ExprKind::Param(id) => ExprKind::Const((self.value)(*id)),
            ExprKind::State(id) => ExprKind::State(self.id(*id)),
            ExprKind::Fired(_) => ExprKind::Fired(PopId(0)),
            ExprKind::Port(_, at) => ExprKind::Port(PopId(0), *at),
            ExprKind::Pointwise(op, args) => ExprKind::Pointwise(*op, list(args)),
            ExprKind::Repeat(value) => return Expr { shape: vec![1], ..self.expr(value) },
            ExprKind::Reduce { op, over, value } => {
                ExprKind::Reduce { op: *op, over: *over, value: part(value) }
            }
            ExprKind::Detach(value) => ExprKind::Detach(part(value)),
            ExprKind::StraightThrough(a, b) => ExprKind::StraightThrough(part(a), part(b)),
            ExprKind::GradScale(value, factor) => ExprKind::GradScale(part(value), part(factor)),
            ExprKind::Let { local, value, body } => {
                ExprKind::Let { local: *local, value: part(value), body: part(body) }
            }
            ExprKind::Custom { name, params, args, forward, grad, backward } => ExprKind::Custom {
                name: name.clone(),
                params: params.clone(),
                args: list(args),
                forward: part(forward),
                grad: *grad,
                backward: list(backward),
            },
            other => other.clone(),
        };
        let is_one = e.shape.is_empty() || matches!(kind, ExprKind::Const(_));
        Expr { kind, shape: if is_one { Vec::new() } else { vec![1] }, ..e.clone() }
    }
}
