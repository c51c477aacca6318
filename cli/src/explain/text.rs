//! Words of `explain`: expressions with known parts as numbers, quantities, names without their population.

use super::linear::{Linear, Symbol, linear};
use snn_compiler::hir::constant::{self, ConstEnv};
use snn_compiler::hir::unit::quantity;
use snn_compiler::hir::{Expr, ExprKind, LocalId, Model, Population, StateId, Unit, print};
use std::cell::RefCell;

/// What texts of a model need.
pub struct Words<'m> {
    /// The model.
    pub model: &'m Model,
    /// Values of `dt` and `steps`.
    pub env: ConstEnv,
}

impl<'m> Words<'m> {
    /// For a model in a job.
    pub fn new(model: &'m Model, env: ConstEnv) -> Words<'m> {
        Words { model, env }
    }

    /// `1.5 ms`
    pub fn time(&self, seconds: f64) -> String {
        quantity(seconds, Unit::TIME)
    }

    /// `v` for `h.v`
    pub fn state(&self, id: StateId) -> String {
        let state = &self.model.states[id.idx()];
        let pop = &self.model.populations[state.pop.idx()].name;
        state.name.strip_prefix(&format!("{pop}.")).unwrap_or(&state.name).to_string()
    }

    /// Any expression: what is known before the run is a number.
    pub fn expr(&self, e: &Expr) -> String {
        self.render(e, None)
    }

    /// An expression of a population's step: as a sum if it is one, else as written with known parts as numbers.
    pub fn in_step(&self, pop: &Population, e: &Expr, fired_before: bool) -> String {
        match linear(e, &self.env) {
            Some(form) => self.sum(pop, &form, e.unit, fired_before),
            None => self.render(e, Some(fired_before)),
        }
    }

    /// `0.951229 v + i - 1 fired`
    pub fn sum(&self, pop: &Population, form: &Linear, unit: Unit, fired_before: bool) -> String {
        let mut text = String::new();
        for (symbol, factor) in &form.terms {
            let (name, own) = self.symbol(pop, *symbol, fired_before);
            let unit = unit.div(own).unwrap_or(Unit::NONE);
            let size = factor.abs();
            let times = match size == 1.0 && unit.is_none() {
                true => name,
                false => format!("{} {name}", quantity(size, unit)),
            };
            text.push_str(joint(&text, *factor));
            text.push_str(&times);
        }
        if form.constant != 0.0 || text.is_empty() {
            text.push_str(joint(&text, form.constant));
            text.push_str(&quantity(form.constant.abs(), unit));
        }
        text
    }

    fn symbol(&self, pop: &Population, symbol: Symbol, fired_before: bool) -> (String, Unit) {
        let fired = if fired_before { "fired[-1]" } else { "fired" };
        match symbol {
            Symbol::State(id) => (self.state(id), self.model.states[id.idx()].unit),
            Symbol::Port(port) => (pop.ports[port].name.clone(), pop.ports[port].unit),
            Symbol::Fired => (fired.to_string(), Unit::NONE),
            Symbol::DetachedFired => (format!("detach({fired})"), Unit::NONE),
        }
    }

    /// The text of the compiler's printer on a copy in which known parts are numbers and names are short.
    fn render(&self, e: &Expr, fired_before: Option<bool>) -> String {
        let names = RefCell::new(Short { model: self.model.clone(), in_step: fired_before.is_some() });
        if fired_before.is_some() {
            let short: Vec<String> =
                (0..self.model.states.len()).map(|at| self.state(StateId(at as u32))).collect();
            names.borrow_mut().model.states.iter_mut().zip(short).for_each(|(s, name)| s.name = name);
        }
        let copy = self.copy(e, &names, fired_before.unwrap_or(false));
        print::expr(&copy, &print::Names::of_model(&names.borrow().model))
    }

    /// The expression with known parts as numbers or quantities.
    fn copy(&self, e: &Expr, names: &RefCell<Short>, before: bool) -> Expr {
        let name = |text: String| Expr { kind: names.borrow_mut().local(text), ..e.clone() };
        if let Some(known) = constant::eval(e, &self.env).filter(|_| !is_local(e)) {
            return match e.unit.is_none() {
                true => Expr { kind: ExprKind::Const(six_digits(known)), ..e.clone() },
                false if known < 0.0 => name(format!("({})", quantity(known, e.unit))),
                false => name(quantity(known, e.unit)),
            };
        }
        let one = |part: &Expr| Box::new(self.copy(part, names, before));
        let kind = match &e.kind {
            ExprKind::Port(pop, port) if names.borrow().in_step => {
                return name(self.model.populations[pop.idx()].ports[*port].name.clone());
            }
            ExprKind::Fired(_) if before => return name("fired[-1]".to_string()),
            ExprKind::Pointwise(op, args) => {
                ExprKind::Pointwise(*op, args.iter().map(|arg| *one(arg)).collect())
            }
            ExprKind::Detach(value) => ExprKind::Detach(one(value)),
            ExprKind::Repeat(value) => ExprKind::Repeat(one(value)),
            ExprKind::MatVec(a, b) => ExprKind::MatVec(one(a), one(b)),
            ExprKind::StraightThrough(a, b) => ExprKind::StraightThrough(one(a), one(b)),
            ExprKind::GradScale(a, b) => ExprKind::GradScale(one(a), one(b)),
            ExprKind::Delayed { value, delay } => ExprKind::Delayed { value: one(value), delay: one(delay) },
            ExprKind::Reduce { op, over, value } => {
                ExprKind::Reduce { op: *op, over: *over, value: one(value) }
            }
            ExprKind::Let { local, value, body } => {
                ExprKind::Let { local: *local, value: one(value), body: one(body) }
            }
            // Its gradients are another text; the value is a call.
            ExprKind::Custom { name: function, args, .. } => {
                let args: Vec<String> = args
                    .iter()
                    .map(|arg| print::expr(&one(arg), &print::Names::of_model(&names.borrow().model)))
                    .collect();
                return name(format!("{function}({})", args.join(", ")));
            }
            kind => kind.clone(),
        };
        Expr { kind, ..e.clone() }
    }
}

/// A copy of the model whose names are those to be printed.
struct Short {
    model: Model,
    in_step: bool,
}

impl Short {
    /// A local of this name; the same one for the same name, so that the printer gives it no number.
    fn local(&mut self, text: String) -> ExprKind {
        let at = match self.model.locals.iter().position(|name| *name == text) {
            Some(at) => at,
            None => {
                self.model.locals.push(text);
                self.model.locals.len() - 1
            }
        };
        ExprKind::Local(LocalId(at as u32))
    }
}

fn is_local(e: &Expr) -> bool {
    matches!(e.kind, ExprKind::Local(_))
}

fn joint(before: &str, factor: f64) -> &'static str {
    match (before.is_empty(), factor < 0.0) {
        (true, false) => "",
        (true, true) => "-",
        (false, false) => " + ",
        (false, true) => " - ",
    }
}

fn six_digits(value: f64) -> f64 {
    format!("{value:.5e}").parse().unwrap_or(value)
}
