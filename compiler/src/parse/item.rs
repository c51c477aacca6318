//! Declarations: pairs of the grammar to items of the tree. The lines inside of them are built in `body`.

use std::iter::Peekable;

use pest::iterators::{Pair, Pairs};

use super::Builder;
use super::expr::unescape;
use super::grammar::Rule;
use crate::ast::{
    Backward, Circuit, Data, Expect, Expr, ExprKind, Fn, Ident, Init, ItemKind, Job, JobKind, Lambda, Neuron,
    Optimizer, ParamDecl, Path, Promise, Require, Reset, Setting, Surrogate, Test, Use,
};
use crate::diag::Code;
use crate::source::Span;

/// The parts of a pair that carry meaning: everything but keywords and punctuation.
pub(super) struct Parts<'i> {
    inner: Peekable<Pairs<'i, Rule>>,
}

impl<'i> Parts<'i> {
    pub fn of(pair: Pair<'i, Rule>) -> Parts<'i> {
        Parts { inner: pair.into_inner().peekable() }
    }

    /// The next part, if there is one.
    pub fn next(&mut self) -> Option<Pair<'i, Rule>> {
        self.inner.by_ref().find(|p| !is_mark(p.as_rule()))
    }

    /// The next part if it is of this kind.
    pub fn opt(&mut self, rule: Rule) -> Option<Pair<'i, Rule>> {
        while self.inner.next_if(|p| is_mark(p.as_rule())).is_some() {}
        self.inner.next_if(|p| p.as_rule() == rule)
    }

    /// The next part, which the grammar promises.
    pub fn need(&mut self) -> Pair<'i, Rule> {
        self.next().expect("the grammar promises this part")
    }

    /// All following parts of this kind.
    pub fn all(&mut self, rule: Rule) -> Vec<Pair<'i, Rule>> {
        std::iter::from_fn(|| self.opt(rule)).collect()
    }
}

/// Keywords and punctuation.
fn is_mark(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        assign_sign
            | arrow
            | colon
            | comma
            | dots
            | lparen
            | rparen
            | lbracket
            | rbracket
            | lbrace
            | rbrace
            | EOI
            | kw_use
            | kw_param
            | kw_neuron
            | kw_reset
            | kw_surrogate
            | kw_derivative
            | kw_primitive
            | kw_fn
            | kw_forward
            | kw_backward
            | kw_circuit
            | kw_model
            | kw_init
            | kw_optimizer
            | kw_update
            | kw_data
            | kw_train
            | kw_evaluate
            | kw_simulate
            | kw_on
            | kw_for
            | kw_draw
            | kw_into
            | kw_test
            | kw_expect
            | kw_verify
            | kw_require
            | kw_else
            | kw_within
            | kw_of
            | kw_input
            | kw_state
            | kw_learn
            | kw_in
            | kw_sign
            | kw_initial
            | kw_keep
            | kw_let
            | kw_step
            | kw_emit
            | kw_integrate
            | kw_fire
            | kw_with
            | kw_refractory
            | kw_holding
            | kw_population
            | kw_output
    )
}

impl Builder<'_> {
    /// One declaration.
    pub(super) fn item(&mut self, pair: Pair<Rule>) -> ItemKind {
        let inner = pair.into_inner().next().expect("grammar: an item is one declaration");
        match inner.as_rule() {
            Rule::use_item => ItemKind::Use(self.use_item(inner)),
            Rule::param_item => ItemKind::Param(self.param_decl(Parts::of(inner).need())),
            Rule::neuron_item => ItemKind::Neuron(self.neuron(inner)),
            Rule::reset_item => ItemKind::Reset(self.reset(inner)),
            Rule::surrogate_item => ItemKind::Surrogate(self.surrogate(inner)),
            Rule::fn_item => ItemKind::Fn(self.function(inner)),
            Rule::circuit_item => ItemKind::Circuit(self.circuit(inner, false)),
            Rule::model_item => ItemKind::Circuit(self.circuit(inner, true)),
            Rule::init_item => ItemKind::Init(self.init(inner)),
            Rule::optimizer_item => ItemKind::Optimizer(self.optimizer(inner)),
            Rule::data_item => ItemKind::Data(self.data(inner)),
            Rule::test_item => ItemKind::Test(self.test(inner)),
            _ => ItemKind::Job(self.job(inner)),
        }
    }

    fn use_item(&mut self, pair: Pair<Rule>) -> Use {
        let mut parts = Parts::of(pair);
        let path = self.path(&parts.need());
        let names = parts.opt(Rule::use_names).map_or_else(Vec::new, |names| {
            Parts::of(names).all(Rule::ident).iter().map(|p| self.ident(p)).collect()
        });
        Use { path, names }
    }

    /// `name: unit = e`
    pub(super) fn param_decl(&mut self, pair: Pair<Rule>) -> ParamDecl {
        let mut parts = Parts::of(pair);
        ParamDecl {
            name: self.ident(&parts.need()),
            unit: parts.opt(Rule::ident).map(|p| self.ident(&p)),
            default: parts.opt(Rule::expr).map(|p| self.expr(p)),
        }
    }

    fn params(&mut self, parts: &mut Parts) -> Vec<ParamDecl> {
        let Some(pair) = parts.opt(Rule::params) else { return Vec::new() };
        Parts::of(pair).all(Rule::param_decl).into_iter().map(|p| self.param_decl(p)).collect()
    }

    fn neuron(&mut self, pair: Pair<Rule>) -> Neuron {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        let mut items = Vec::new();
        for line in parts.all(Rule::neuron_line) {
            self.neuron_line(line, &mut items);
        }
        Neuron { name, params, items }
    }

    fn reset(&mut self, pair: Pair<Rule>) -> Reset {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        Reset { name, params, body: self.block(parts.need()) }
    }

    fn surrogate(&mut self, pair: Pair<Rule>) -> Surrogate {
        let whole = self.span(&pair);
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        let (mut derivative, mut primitive) = (None, None);
        for line in parts.all(Rule::surrogate_line) {
            let span = self.span(&line);
            let line = Parts::of(line).need();
            let is_derivative = line.as_rule() == Rule::derivative;
            let slot = if is_derivative { &mut derivative } else { &mut primitive };
            let lambda = self.lambda(Parts::of(line).need());
            if slot.replace((lambda, span)).is_some() {
                let word = if is_derivative { "derivative" } else { "primitive" };
                self.twice(span, &format!("a surrogate has one `{word}`"));
            }
        }
        if derivative.is_none() {
            self.failed = true;
            self.diags
                .report(Code::E0314, name.span, format!("the surrogate `{}` has no derivative", name.text))
                .help("add `derivative(x) = …`: what takes the place of the step's derivative");
        }
        // Without a derivative the item is dropped; this one is never read.
        let missing = || Lambda { param: name.clone(), body: self.zero(whole) };
        let derivative = derivative.map_or_else(missing, |(lambda, _)| lambda);
        Surrogate { name, params, derivative, primitive: primitive.map(|(lambda, _)| lambda) }
    }

    /// Stands for what is missing in a declaration that is dropped.
    fn zero(&self, span: Span) -> Expr {
        Expr { kind: crate::ast::ExprKind::List(Vec::new()), span }
    }

    fn twice(&mut self, span: Span, title: &str) {
        self.failed = true;
        self.diags.report(Code::E0109, span, title).at("a second one");
    }

    fn lambda(&mut self, pair: Pair<Rule>) -> Lambda {
        let mut parts = Parts::of(pair);
        Lambda { param: self.ident(&parts.need()), body: self.expr(parts.need()) }
    }

    fn function(&mut self, pair: Pair<Rule>) -> Fn {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        let body = parts.need();
        if body.as_rule() == Rule::expr {
            return Fn { name, params, lets: Vec::new(), value: self.expr(body), backward: None };
        }
        let mut parts = Parts::of(body);
        let lets = self.lets(&mut parts);
        let last = parts.need();
        if last.as_rule() == Rule::expr {
            return Fn { name, params, lets, value: self.expr(last), backward: None };
        }
        let mut parts = Parts::of(last);
        let value = self.expr(parts.need());
        let grad = self.ident(&parts.need());
        let values = parts.all(Rule::expr).into_iter().map(|p| self.expr(p)).collect();
        Fn { name, params, lets, value, backward: Some(Backward { grad, values }) }
    }

    fn lets(&mut self, parts: &mut Parts) -> Vec<(crate::ast::Ident, Expr)> {
        parts.all(Rule::let_line).into_iter().map(|line| self.let_line(line)).collect()
    }

    fn circuit(&mut self, pair: Pair<Rule>, is_model: bool) -> Circuit {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        let lines = parts.all(Rule::circuit_line);
        let items = lines.into_iter().map(|p| self.circuit_line(p)).collect();
        Circuit { name, params, is_model, is_chain: false, items }
    }

    fn init(&mut self, pair: Pair<Rule>) -> Init {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let (params, lets) = (self.params(&mut parts), self.lets(&mut parts));
        let requires = parts.all(Rule::require).into_iter().map(|p| self.require(p)).collect();
        let (mode, value) = (self.ident(&parts.need()), self.expr(parts.need()));
        let promises = parts.all(Rule::verify).into_iter().map(|p| self.promise(p, &name)).collect();
        Init { name, params, lets, requires, mode, value, promises }
    }

    fn require(&mut self, pair: Pair<Rule>) -> Require {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let (condition, problem) = (self.expr(parts.need()), self.primary(parts.need()));
        let help = parts.opt(Rule::string).map(|p| self.primary(p));
        Require { condition, problem, help, span }
    }

    /// A `verify` of the initializer of that name: what a test with a `draw` would say.
    fn promise(&mut self, pair: Pair<Rule>, name: &Ident) -> Promise {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        let value = self.expr(parts.need());
        let within = parts.opt(Rule::expr).map(|p| self.expr(p));
        let of = parts.opt(Rule::expr).map(|p| self.expr(p));
        let path = Path { segments: vec![name.clone()], span: name.span };
        let draw = Job {
            kind: JobKind::Draw,
            subject: Expr { kind: ExprKind::Name(path), span: name.span },
            data: None,
            duration: parts.opt(Rule::list).map(|p| self.primary(p)),
            into: parts.opt(Rule::named).map(|p| self.named(p)),
            settings: Vec::new(),
            span,
        };
        Promise { expect: Expect { value, within, of, span }, draw }
    }

    fn optimizer(&mut self, pair: Pair<Rule>) -> Optimizer {
        let mut parts = Parts::of(pair);
        let name = self.ident(&parts.need());
        let params = self.params(&mut parts);
        let (mut states, mut update) = (Vec::new(), None);
        for line in parts.all(Rule::optimizer_line) {
            let line = Parts::of(line).need();
            let span = self.span(&line);
            if line.as_rule() == Rule::state_line {
                states.extend(self.state_line(line));
            } else if update.replace(self.block(Parts::of(line).need())).is_some() {
                self.twice(span, "an optimizer has one `update`");
            }
        }
        if update.is_none() {
            self.failed = true;
            self.diags
                .report(Code::E0101, name.span, format!("the optimizer `{}` has no `update`", name.text))
                .help("add `update { w = w - lr * g }`");
        }
        Optimizer { name, params, states, update: update.unwrap_or_default() }
    }

    fn data(&mut self, pair: Pair<Rule>) -> Data {
        let mut parts = Parts::of(pair);
        Data { name: self.ident(&parts.need()), source: self.named(parts.need()) }
    }

    fn job(&mut self, pair: Pair<Rule>) -> Job {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::train_job => JobKind::Train,
            Rule::evaluate_job => JobKind::Evaluate,
            Rule::draw_job => return self.draw(pair),
            _ => JobKind::Simulate,
        };
        let mut parts = Parts::of(pair);
        Job {
            kind,
            subject: self.named(parts.need()),
            into: None,
            data: parts.opt(Rule::path).map(|p| self.path(&p)),
            duration: parts.opt(Rule::bound).map(|p| self.expr(p)),
            settings: self.settings(&mut parts),
            span,
        }
    }

    fn draw(&mut self, pair: Pair<Rule>) -> Job {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        Job {
            kind: JobKind::Draw,
            subject: self.expr(parts.need()),
            data: None,
            duration: Some(self.primary(parts.need())),
            into: parts.opt(Rule::named).map(|p| self.named(p)),
            settings: self.settings(&mut parts),
            span,
        }
    }

    fn settings(&mut self, parts: &mut Parts) -> Vec<Setting> {
        parts.opt(Rule::settings).map_or_else(Vec::new, |p| {
            Parts::of(p).all(Rule::setting).into_iter().map(|p| self.setting(p)).collect()
        })
    }

    fn setting(&mut self, pair: Pair<Rule>) -> Setting {
        let span = self.span(&pair);
        let inner = Parts::of(pair).need();
        let is_assign = inner.as_rule() == Rule::setting_assign;
        let is_call = inner.as_rule() == Rule::setting_call;
        let mut parts = Parts::of(inner);
        if is_call {
            let call = parts.need();
            let word = self.ident(&Parts::of(call.clone()).need());
            let value = self.named(call);
            return Setting { word, values: vec![value], is_assign: false, span };
        }
        let word = self.ident(&parts.need());
        let values = parts.all(Rule::expr).into_iter().map(|p| self.expr(p)).collect();
        Setting { word, values, is_assign, span }
    }

    fn test(&mut self, pair: Pair<Rule>) -> Test {
        let mut parts = Parts::of(pair);
        let name = parts.need();
        let mut res = Test {
            name: unescape(name.as_str()),
            name_span: self.span(&name),
            job: None,
            expects: Vec::new(),
        };
        for line in parts.all(Rule::test_line) {
            let span = self.span(&line);
            let line = Parts::of(line).need();
            if line.as_rule() == Rule::expect {
                let expect = self.expect(line);
                res.expects.push(expect);
            } else if res.job.replace(self.job(line)).is_some() {
                self.twice(span, "a test has one `simulate` or `draw`");
            }
        }
        res
    }

    fn expect(&mut self, pair: Pair<Rule>) -> Expect {
        let span = self.span(&pair);
        let mut parts = Parts::of(pair);
        Expect {
            value: self.expr(parts.need()),
            within: parts.opt(Rule::expr).map(|p| self.expr(p)),
            of: parts.opt(Rule::expr).map(|p| self.expr(p)),
            span,
        }
    }
}
