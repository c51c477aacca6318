//! The lines of neurons, steps and circuits: pairs of the grammar to statements of the tree.

use pest::iterators::Pair;

use super::Builder;
use super::chain::chain;
use super::grammar::Rule;
use super::item::Parts;
use crate::ast::{
    Arg, CircuitItem, CircuitItemKind, Constraint, Expr, ExprKind, Ident, InputDecl, Learn, NeuronItem,
    ParamDecl, Path, Scope, Stmt, StmtKind,
};
use crate::diag::Code;

impl Builder<'_> {
    pub(super) fn neuron_line(&mut self, pair: Pair<Rule>, items: &mut Vec<NeuronItem>) {
        let line = Parts::of(pair).need();
        match line.as_rule() {
            Rule::equation => {
                let mut parts = Parts::of(line);
                let state = self.ident(&Parts::of(parts.need()).need());
                items.push(NeuronItem::Equation { state, value: self.expr(parts.need()) });
            }
            Rule::step_block => {
                let stmts = Parts::of(line).all(Rule::stmt);
                items.push(NeuronItem::Step(stmts.into_iter().map(|p| self.stmt(p)).collect()));
            }
            Rule::state_line => items.extend(self.state_line(line).into_iter().map(NeuronItem::State)),
            Rule::input_line => items.push(NeuronItem::Input(self.input(line))),
            Rule::learn_line => items.push(NeuronItem::Learn(self.learn(line))),
            Rule::emit_line => items.push(NeuronItem::Emit(self.expr(Parts::of(line).need()))),
            _ => items.push(NeuronItem::Step(vec![self.stmt(line)])),
        }
    }

    pub(super) fn state_line(&mut self, pair: Pair<Rule>) -> Vec<ParamDecl> {
        Parts::of(pair).all(Rule::state_decl).into_iter().map(|p| self.param_decl(p)).collect()
    }

    fn input(&mut self, pair: Pair<Rule>) -> InputDecl {
        let mut parts = Parts::of(pair);
        InputDecl {
            name: self.ident(&parts.need()),
            unit: parts.opt(Rule::ident).map(|p| self.ident(&p)),
            axes: parts.opt(Rule::axes).map(|p| self.exprs(p)),
            stream: parts.opt(Rule::kw_stream).is_some(),
            constraint: parts.opt(Rule::constraint).map(|p| self.constraint(p)),
            default: parts.opt(Rule::expr).map(|p| self.expr(p)),
        }
    }

    fn learn(&mut self, pair: Pair<Rule>) -> Learn {
        let fixed = pair.clone().into_inner().next().is_some_and(|p| p.as_rule() == Rule::kw_param);
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let scope = parts.need();
        let scope = match scope.as_rule() {
            Rule::axes => Scope::Axes(self.exprs(scope)),
            _ => Scope::Name(self.ident(&scope)),
        };
        let constraint = parts.opt(Rule::constraint).map(|p| self.constraint(p));
        let keeps_initial_sign = parts.opt(Rule::initial_sign).is_some();
        let keep = parts.opt(Rule::named).map(|p| self.named(p));
        Learn { name, scope, constraint, keeps_initial_sign, keep, init: self.expr(parts.need()), fixed }
    }

    fn constraint(&mut self, pair: Pair<Rule>) -> Constraint {
        let mut parts = Parts::of(pair);
        let first = parts.need();
        if first.as_rule() == Rule::expr {
            return Constraint::Within(self.expr(first), self.expr(parts.need()));
        }
        let bound = self.expr(parts.need());
        match first.as_str() {
            ">=" => Constraint::AtLeast(bound),
            ">" => Constraint::Above(bound),
            "<=" => Constraint::AtMost(bound),
            _ => Constraint::Below(bound),
        }
    }

    pub(super) fn let_line(&mut self, pair: Pair<Rule>) -> (Ident, Expr) {
        let mut parts = Parts::of(pair);
        (self.ident(&parts.need()), self.expr(parts.need()))
    }

    /// `{ let a = e   v = e }`
    pub(super) fn block(&mut self, pair: Pair<Rule>) -> Vec<Stmt> {
        Parts::of(pair).all(Rule::simple_stmt).into_iter().map(|p| self.stmt(p)).collect()
    }

    pub(super) fn stmt(&mut self, pair: Pair<Rule>) -> Stmt {
        let span = self.span(&pair);
        let line = Parts::of(pair).need();
        let rule = line.as_rule();
        if rule == Rule::reset_call {
            let mut parts = Parts::of(line);
            let kind = StmtKind::ResetCall { rule: self.path(&parts.need()), args: self.args(parts.need()) };
            return Stmt { kind, span };
        }
        let mut parts = Parts::of(line);
        let first = parts.need();
        let kind = match rule {
            Rule::let_line => StmtKind::Let { name: self.ident(&first), value: self.expr(parts.need()) },
            Rule::assign => StmtKind::Assign { target: self.ident(&first), value: self.expr(parts.need()) },
            Rule::integrate => StmtKind::Integrate { method: self.ident(&first) },
            Rule::fire => StmtKind::Fire {
                condition: self.expr(first),
                surrogate: parts.opt(Rule::named).map(|p| self.named(p)),
            },
            Rule::reset_block => StmtKind::ResetBlock(self.block(first)),
            _ => StmtKind::Refractory {
                duration: self.expr(first),
                holding: parts.all(Rule::ident).iter().map(|p| self.ident(p)).collect(),
            },
        };
        Stmt { kind, span }
    }

    pub(super) fn circuit_line(&mut self, pair: Pair<Rule>) -> CircuitItem {
        let span = self.span(&pair);
        let line = Parts::of(pair).need();
        let kind = match line.as_rule() {
            Rule::projection => self.projection(line),
            Rule::drive => self.drive(line),
            Rule::input_line => CircuitItemKind::Input(self.input(line)),
            Rule::let_line => {
                let (name, value) = self.let_line(line);
                let chain = chain(&value);
                CircuitItemKind::Let { name, value, chain }
            }
            Rule::population => {
                let mut parts = Parts::of(line);
                CircuitItemKind::Population {
                    name: self.ident(&parts.need()),
                    axes: self.exprs(parts.need()),
                    polarity: parts.opt(Rule::polarity).map(|p| self.ident(&p)),
                    neuron: self.named(parts.need()),
                }
            }
            Rule::learn_line => CircuitItemKind::Learn(self.learn(line)),
            _ => CircuitItemKind::Output(self.exprs(line)),
        };
        CircuitItem { kind, span }
    }

    fn projection(&mut self, pair: Pair<Rule>) -> CircuitItemKind {
        let mut parts = Parts::of(pair);
        let source = self.path(&parts.need());
        let target = parts.need();
        let targets = match target.as_rule() {
            Rule::targets => Parts::of(target).all(Rule::path).iter().map(|p| self.path(p)).collect(),
            _ => vec![self.path(&target)],
        };
        let mut kind = parts.opt(Rule::call).map(|p| self.named(p));
        if let (Some(kind), Some(extra)) = (&mut kind, parts.opt(Rule::extra_args)) {
            let span = self.span(&extra);
            let extra: Vec<Arg> =
                Parts::of(extra).all(Rule::extra_arg).into_iter().map(|p| self.arg(p)).collect();
            merge(kind, extra);
            kind.span = kind.span.to(span);
        }
        CircuitItemKind::Projection { source, targets, kind }
    }

    fn drive(&mut self, pair: Pair<Rule>) -> CircuitItemKind {
        let mut parts = Parts::of(pair);
        let target: Path = self.path(&parts.need());
        if let [name] = &target.segments[..] {
            self.failed = true;
            self.diags
                .report(Code::E0101, target.span, format!("`{}` is given a value without `let`", name.text))
                .help(format!(
                    "write `let {0} = …` for a constant, `{0}.in = …` for what reaches a population",
                    name.text
                ));
        }
        CircuitItemKind::Drive { target, value: self.expr(parts.need()) }
    }
}

/// Adds the arguments in braces to a kind of projection.
fn merge(kind: &mut Expr, extra: Vec<Arg>) {
    match &mut kind.kind {
        ExprKind::Call { args, .. } => args.extend(extra),
        ExprKind::Name(callee) if !extra.is_empty() => {
            let callee = callee.clone();
            kind.kind = ExprKind::Call { callee, args: extra };
        }
        _ => {}
    }
}
