//! The statements of a step, in order: lets, assignments, equations, firing, resets, refractoriness.

use super::args::{self, Applied};
use super::context::{Cx, is_poison, is_zero, poison};
use super::declare::Decl;
use super::neuron::{declare, not_a_state};
use super::scope::{self, Meaning, Place, Scope};
use super::{expr, init, pointwise, reset, running, unit};
use crate::ast::{self, BinaryOp, NeuronItem};
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::{self, Expr, PopId, Solver, StateId, Stmt, StmtKind, Surrogate, Unit};
use crate::source::Span;
use crate::step::ops::Pw;

/// The step of a population while its statements are read.
pub(super) struct Step<'a> {
    /// Whose.
    pub pop: PopId,
    /// Names that are known so far.
    pub scope: Scope<'a>,
    /// Differential equations.
    equations: Vec<(StateId, &'a ast::Expr)>,
    fire: Option<Span>,
    has_integrate: bool,
}

const SOLVERS: [(&str, Solver); 4] = [
    ("exact", Solver::Exact),
    ("exponential_euler", Solver::ExponentialEuler),
    ("euler", Solver::Euler),
    ("rk4", Solver::Rk4),
];

impl<'a> Step<'a> {
    /// No statements yet; the scope has the names of the neuron.
    pub fn new(pop: PopId, scope: Scope<'a>) -> Step<'a> {
        Step { pop, scope, equations: Vec::new(), fire: None, has_integrate: false }
    }

    /// Adds all statements and what is emitted to the population.
    pub fn run(mut self, cx: &mut Cx<'a>, neuron: &'a ast::Neuron, stmts: &[&'a ast::Stmt]) {
        let first_equation = self.collect_equations(cx, neuron);
        for stmt in stmts {
            if let ast::StmtKind::Let { name, .. } = &stmt.kind
                && self.scope.find(&name.text).is_none()
            {
                self.scope.add(&name.text, Meaning::Later, "let", name.span);
            }
        }
        for stmt in stmts {
            self.statement(cx, stmt);
        }
        if let (Some(span), false) = (first_equation, self.has_integrate) {
            cx.report(
                Code::E0601,
                span,
                format!("`{}` has an equation, and nothing integrates it", neuron.name.text),
            )
            .at("this equation has no effect")
            .note("the method decides about accuracy; it is chosen, not implied")
            .help("add `integrate exact` (linear equations), `exponential_euler`, `euler` or `rk4`");
        }
        self.emit(cx, neuron);
        running::values(cx, self.pop, &mut self.scope, neuron);
    }

    /// Gathers the equations; gives the place of the first.
    fn collect_equations(&mut self, cx: &mut Cx<'a>, neuron: &'a ast::Neuron) -> Option<Span> {
        let mut seen: Vec<(&'a str, Span)> = Vec::new();
        for item in &neuron.items {
            let NeuronItem::Equation { state, value } = item else { continue };
            if let Some((_, first)) = seen.iter().find(|(name, _)| *name == state.text) {
                super::declare::twice(&format!("{}'", state.text), state.span, *first, cx.diags);
                continue;
            }
            seen.push((&state.text, state.span));
            match self.scope.find(&state.text).cloned() {
                Some(name) => match name.meaning {
                    Meaning::State(id) => self.equations.push((id, value)),
                    _ => {
                        let title = format!("an equation for `{}`, which is not a state", state.text);
                        cx.report(Code::E0608, state.span, title)
                            .at(format!("this is {}", super::declare::article(name.role)))
                            .label(name.span, "declared here")
                            .help(format!("declare `state {} = …`", state.text));
                    }
                },
                None => {
                    let title = format!("an equation for `{}`, which is not a state", state.text);
                    let states = self.state_names();
                    let near = closest(&state.text, states.iter().copied());
                    let message = cx.report(Code::E0608, state.span, title);
                    message.at("nothing has this name");
                    message.help(match near {
                        Some(near) => format!("did you mean `{near}'`?"),
                        None => format!("declare `state {} = …`", state.text),
                    });
                }
            }
        }
        seen.first().map(|(_, span)| *span)
    }

    fn state_names(&self) -> Vec<&'a str> {
        let states = self.scope.names.iter().filter(|n| matches!(n.meaning, Meaning::State(_)));
        states.map(|n| n.text).collect()
    }

    /// Adds a statement to the population.
    pub fn push(&self, cx: &mut Cx<'a>, kind: StmtKind, span: Span) {
        cx.model.populations[self.pop.idx()].body.push(Stmt { kind, span });
    }

    fn statement(&mut self, cx: &mut Cx<'a>, stmt: &'a ast::Stmt) {
        match &stmt.kind {
            ast::StmtKind::Let { name, value } => self.let_stmt(cx, name, value, stmt.span),
            ast::StmtKind::Assign { target, value } => {
                let state = self.state(cx, target);
                let value = expr::elaborate(cx, &mut self.scope, value);
                if let Some(state) = state
                    && let Some(value) = self.state_value(cx, state, value)
                {
                    self.push(cx, StmtKind::Assign { state, value, is_reset: false }, stmt.span);
                }
            }
            ast::StmtKind::Integrate { method } => self.integrate(cx, method, stmt.span),
            ast::StmtKind::Fire { condition, surrogate } => {
                self.fire(cx, condition, surrogate.as_ref(), stmt.span);
            }
            ast::StmtKind::ResetCall { rule, args } => reset::call(cx, self, rule, args, stmt.span),
            ast::StmtKind::ResetBlock(stmts) => reset::block(cx, self, stmts),
            ast::StmtKind::Refractory { duration, holding } => {
                self.refractory(cx, duration, holding, stmt.span);
            }
        }
    }

    /// `let a = e`
    pub fn let_stmt(&mut self, cx: &mut Cx<'a>, name: &'a ast::Ident, value: &'a ast::Expr, span: Span) {
        let value = expr::elaborate(cx, &mut self.scope, value);
        if is_poison(&value) {
            declare(cx, &mut self.scope, name, Meaning::Value(value), "let");
            return;
        }
        let local = cx.fresh(&name.text);
        let known = Expr {
            kind: hir::ExprKind::Local(local),
            unit: value.unit,
            shape: value.shape.clone(),
            span: name.span,
        };
        declare(cx, &mut self.scope, name, Meaning::Value(known), "let");
        cx.model.populations[self.pop.idx()].named.push((name.text.clone(), local));
        self.push(cx, StmtKind::Let(local, value), span);
    }

    /// The state that is assigned; none after a message.
    pub fn state(&mut self, cx: &mut Cx<'a>, target: &'a ast::Ident) -> Option<StateId> {
        let Some(name) = self.scope.find(&target.text).cloned() else {
            let near = closest(&target.text, self.state_names()).map(String::from);
            let message =
                cx.report(Code::E0201, target.span, format!("nothing is named `{}` here", target.text));
            message.at("unknown state");
            message.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare `state {} = …`, or write `let {0} = …`", target.text),
            });
            return None;
        };
        match name.meaning {
            Meaning::State(id) => Some(id),
            Meaning::Value(value) if is_poison(&value) => None,
            _ => {
                not_a_state(cx, target, name.role, name.span);
                None
            }
        }
    }

    /// A value that fits a state; none after a message.
    pub fn state_value(&self, cx: &mut Cx<'a>, id: StateId, value: Expr) -> Option<Expr> {
        let state = &cx.model.states[id.idx()];
        let (unit, span) = (state.unit, state.span);
        let name = state.name.rsplit('.').next().unwrap_or_default().to_string();
        let value = unit::expect(cx, value, unit, &name, span);
        self.fit(cx, value)
    }

    /// A value that fits the population; none after a message.
    fn fit(&self, cx: &mut Cx<'a>, value: Expr) -> Option<Expr> {
        if is_poison(&value) {
            return None;
        }
        let shape = cx.model.populations[self.pop.idx()].shape.clone();
        if value.shape.is_empty() || value.shape == shape {
            return Some(value);
        }
        let title = format!("sizes {:?} and {shape:?} do not fit", value.shape);
        cx.report(Code::E0501, value.span, title).at("not one value for each neuron");
        None
    }

    fn integrate(&mut self, cx: &mut Cx<'a>, method: &'a ast::Ident, span: Span) {
        self.has_integrate = true;
        let solver = SOLVERS.iter().find(|row| row.0 == method.text).map(|row| row.1);
        if solver.is_none() {
            let near = closest(&method.text, SOLVERS.iter().map(|row| row.0));
            let message =
                cx.report(Code::E0602, method.span, format!("there is no solver `{}`", method.text));
            message.at("unknown solver");
            message.help(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `exact`, `exponential_euler`, `euler` or `rk4`".to_string(),
            });
        }
        if self.equations.is_empty() {
            if solver.is_some() && !self.had_wrong_equation(cx) {
                cx.report(Code::E0605, span, "`integrate` in a neuron without equations")
                    .at("nothing to integrate")
                    .help("write an equation of a state: `v' = (E - v) / tau`");
            }
            return;
        }
        let mut equations = Vec::new();
        for (state, value) in self.equations.clone() {
            let value = expr::elaborate(cx, &mut self.scope, value);
            if let Some(value) = self.derivative(cx, state, value) {
                equations.push((state, value));
            }
        }
        if let Some(solver) = solver {
            self.push(cx, StmtKind::Integrate { solver, equations }, span);
        }
    }

    /// Whether an equation was refused; then the missing equations are no mistake of their own.
    fn had_wrong_equation(&self, cx: &Cx<'a>) -> bool {
        cx.diags.list.last().is_some_and(|d| d.code == Code::E0608)
    }

    /// The right side of an equation; none after a message.
    fn derivative(&self, cx: &mut Cx<'a>, id: StateId, value: Expr) -> Option<Expr> {
        let state = &cx.model.states[id.idx()];
        let (unit, span) = (state.unit, state.span);
        let name = state.name.rsplit('.').next().unwrap_or_default().to_string();
        let wanted = unit.div(Unit::TIME).unwrap_or_default();
        if is_poison(&value) || value.unit == wanted || is_zero(&value) {
            return self.fit(cx, value);
        }
        let (found, at) = (value.unit, value.span);
        let title = format!("`{name}'` is {}, not {}", unit::a(wanted), unit::a(found));
        cx.report(Code::E0401, at, title)
            .at(format!("this is {}", unit::a(found)))
            .label(span, format!("`{name}` is {}", unit::a(unit)))
            .note("an equation gives the change per second")
            .help("divide by a time, for example `/ tau`");
        None
    }

    fn fire(
        &mut self,
        cx: &mut Cx<'a>,
        condition: &'a ast::Expr,
        surrogate: Option<&'a ast::Expr>,
        span: Span,
    ) {
        let diff = self.difference(cx, condition);
        let surrogate = surrogate.map(|e| (e.span, self.surrogate_rule(cx, e)));
        if let Some(first) = self.fire {
            cx.report(Code::E0606, span, "a neuron fires once in a step")
                .at("a second `fire`")
                .label(first, "the first one")
                .help("combine the conditions in one, for example with `max(a, b) >= 0`");
            return;
        }
        self.fire = Some(span);
        let Some((above, below, strict)) = diff else { return };
        let diff = hir::difference(&above, below.as_ref());
        let diff = Expr { span: condition.span, ..diff };
        let surrogate = match surrogate {
            Some((at, _)) if !diff.unit.is_none() => {
                cx.report(Code::E0405, diff.span, "a surrogate wants a number without a unit")
                    .at(format!("the difference is {}", unit::a(diff.unit)))
                    .label(at, "the surrogate is evaluated at the difference")
                    .note("a surrogate is a curve over numbers: its width would depend on the unit")
                    .help("divide both sides: `fire (V - EL) / (V_th - EL) >= 1 with …`");
                return;
            }
            Some((_, rule)) => rule.and_then(|rule| self.surrogate(cx, rule, &diff)),
            None => None,
        };
        self.push(cx, StmtKind::Fire { above, below, strict, surrogate }, span);
    }

    /// `a` and `b` of `a >= b`, no `b` if it is 0, and whether the comparison is strict; none after a message.
    fn difference(
        &mut self,
        cx: &mut Cx<'a>,
        condition: &'a ast::Expr,
    ) -> Option<(Expr, Option<Expr>, bool)> {
        let ast::ExprKind::Binary(op, a, b) = &condition.kind else {
            not_a_condition(cx, condition.span);
            return None;
        };
        let a = expr::elaborate(cx, &mut self.scope, a);
        let b = expr::elaborate(cx, &mut self.scope, b);
        let (above, below, strict) = match op {
            BinaryOp::Ge => (a, b, false),
            BinaryOp::Gt => (a, b, true),
            BinaryOp::Le => (b, a, false),
            BinaryOp::Lt => (b, a, true),
            _ => {
                not_a_condition(cx, condition.span);
                return None;
            }
        };
        if is_poison(&above) || is_poison(&below) {
            return None;
        }
        let is_level_zero = matches!(below.kind, hir::ExprKind::Const(level) if level == 0.0);
        if is_level_zero && (below.unit == above.unit || is_zero(&below)) {
            return self.fit(cx, Expr { span: condition.span, ..above }).map(|above| (above, None, strict));
        }
        let diff = pointwise::make(cx, Pw::Sub, vec![above, below], condition.span);
        let diff = self.fit(cx, Expr { span: condition.span, ..diff })?;
        let hir::ExprKind::Pointwise(Pw::Sub, sides) = diff.kind else { return None };
        let [above, below] = <[Expr; 2]>::try_from(sides).ok()?;
        Some((above, Some(below), strict))
    }

    /// The surrogate that is named; none after a message.
    fn surrogate_rule(&mut self, cx: &mut Cx<'a>, e: &'a ast::Expr) -> Option<Applied<'a>> {
        match args::rule(cx, &mut self.scope, e) {
            Some(rule) if matches!(rule.decl, Decl::Surrogate(_)) => Some(rule),
            Some(rule) => {
                cx.wrong_kind(e.span, rule.decl, "a surrogate");
                None
            }
            None => {
                self.no_surrogate(cx, e);
                None
            }
        }
    }

    fn no_surrogate(&mut self, cx: &mut Cx<'a>, e: &'a ast::Expr) {
        if let ast::ExprKind::Name(path) | ast::ExprKind::Call { callee: path, .. } = &e.kind {
            match scope::resolve(cx, &mut self.scope, path) {
                None => return,
                Some(scope::Found::Name(name, _)) => {
                    if matches!(&name.meaning, Meaning::Value(value) if is_poison(value)) {
                        return;
                    }
                }
                Some(scope::Found::Decl(decl)) => {
                    cx.wrong_kind(e.span, decl, "a surrogate");
                    return;
                }
                Some(scope::Found::Language(_)) => {}
            }
        }
        cx.report(Code::E0301, e.span, "`with` names a surrogate")
            .at("this is not a surrogate")
            .help("write `with atan`, or `with atan(alpha = 3)`");
    }

    /// Checks a surrogate that no neuron uses.
    pub fn check_surrogate(&mut self, cx: &mut Cx<'a>, rule: Applied<'a>) {
        let x = super::context::number(0.0, rule.span);
        self.surrogate(cx, rule, &x);
    }

    /// A surrogate with all of its parameters; none after a message.
    fn surrogate(&mut self, cx: &mut Cx<'a>, rule: Applied<'a>, diff: &Expr) -> Option<Surrogate> {
        let (decl, span) = (rule.decl, rule.span);
        let Decl::Surrogate(surrogate) = decl else { return None };
        let values = args::complete(cx, Place::Constant, rule, span);
        let text = init::text(cx, decl, &values);
        let x = cx.fresh(&surrogate.derivative.param.text);
        let argument = |span: Span| Expr {
            kind: hir::ExprKind::Local(x),
            unit: Unit::NONE,
            shape: diff.shape.clone(),
            span,
        };
        cx.within(decl, span, |cx| {
            let curve = |cx: &mut Cx<'a>, lambda: &'a ast::Lambda| {
                let mut scope = Scope::new(Place::Fragment);
                args::add_params(&mut scope, decl, values.clone());
                let meaning = Meaning::Value(argument(lambda.param.span));
                scope.add(&lambda.param.text, meaning, "argument", lambda.param.span);
                let value = expr::elaborate(cx, &mut scope, &lambda.body);
                unit::plain(cx, value, "the curve of a surrogate")
            };
            let derivative = curve(cx, &surrogate.derivative);
            let primitive = surrogate.primitive.as_ref().map(|lambda| curve(cx, lambda));
            let is_wrong = is_poison(&derivative) || primitive.as_ref().is_some_and(is_poison);
            (!is_wrong).then_some(Surrogate { text, x, derivative, primitive })
        })
        .flatten()
    }

    fn refractory(
        &mut self,
        cx: &mut Cx<'a>,
        duration: &'a ast::Expr,
        holding: &'a [ast::Ident],
        span: Span,
    ) {
        let value = expr::constant(cx, &mut self.scope, duration, "a refractory time");
        let value = unit::expect(cx, value, Unit::TIME, "a refractory time", Span::NONE);
        let states: Vec<Option<StateId>> = holding.iter().map(|name| self.state(cx, name)).collect();
        let population = &cx.model.populations[self.pop.idx()];
        if !population.fires {
            cx.report(Code::E0607, span, "`refractory` in a neuron that does not fire")
                .at("there are no spikes")
                .help("add `fire v >= theta`");
            return;
        }
        if let Some(first) = &population.refractory {
            let first = first.duration.span;
            cx.report(Code::E0607, span, "a neuron has one refractory time")
                .at("a second one")
                .label(first, "the first");
            return;
        }
        let Some(holding) = states.into_iter().collect::<Option<Vec<_>>>() else { return };
        if is_poison(&value) {
            return;
        }
        cx.model.populations[self.pop.idx()].refractory = Some(hir::Refractory { duration: value, holding });
    }

    fn emit(&mut self, cx: &mut Cx<'a>, neuron: &'a ast::Neuron) {
        let mut emits = neuron.items.iter().filter_map(|item| match item {
            NeuronItem::Emit(e) => Some(e),
            _ => None,
        });
        let Some(first) = emits.next() else {
            cx.report(Code::E0311, neuron.name.span, format!("neuron `{}` emits nothing", neuron.name.text))
                .at("no `emit`")
                .note("what a neuron emits is what projections from it read")
                .help("add `emit fired` for spikes, or `emit v` for a value");
            return;
        };
        if let Some(second) = emits.next() {
            cx.report(Code::E0311, second.span, "a neuron emits one value")
                .at("a second `emit`")
                .label(first.span, "the first one")
                .help("other values can be read by name: `h.v`");
        }
        let value = expr::elaborate(cx, &mut self.scope, first);
        if let Some(value) = self.fit(cx, value) {
            cx.model.populations[self.pop.idx()].emit = value;
        }
    }
}

fn not_a_condition(cx: &mut Cx, span: Span) {
    cx.report(Code::E0306, span, "`fire` wants a comparison")
        .at("not a comparison of two values")
        .note("the surrogate is evaluated at the difference of the two sides")
        .help("write `fire v >= theta`; `>` and `>=` are different programs");
}

/// The value that stands for a state in an expression.
pub(super) fn state_expr(cx: &Cx, id: StateId, span: Span) -> Expr {
    match cx.model.states.get(id.idx()) {
        Some(state) => {
            let shape = cx.model.populations[state.pop.idx()].shape.clone();
            Expr { kind: hir::ExprKind::State(id), unit: state.unit, shape, span }
        }
        None => poison(span),
    }
}
