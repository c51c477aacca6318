//! Update rules: `adam(lr = cosine(2e-3, 1e-4))` with its arguments, states and statements in place. All numbers are without unit:
//! a rule serves parameters of every unit.

use super::super::args::{self, Applied, Given};
use super::super::context::{Cx, is_poison, leaf, poison};
use super::super::declare::Decl;
use super::super::expr;
use super::super::scope::{self, Found, Meaning, Place, Scope};
use super::super::unit;
use crate::ast::{self, ExprKind, StmtKind};
use crate::diag::Code;
use crate::hir::{self, LocalId, Optimizer, Unit, constant};
use crate::source::Span;

/// The optimizer of a training that names none.
const DEFAULT: &str = "adam";

/// Elaborates the value of `optimizer`.
pub(super) fn optimizer<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<Optimizer> {
    let (path, args): (&'a ast::Path, &'a [ast::Arg]) = match &expr.kind {
        ExprKind::Name(path) => (path, &[]),
        ExprKind::Call { callee, args } => (callee, args),
        _ => {
            cx.report(Code::E0301, expr.span, "this is not an optimizer")
                .at("an optimizer is wanted here")
                .help("write for example `optimizer adam(lr = 1e-3)`");
            return None;
        }
    };
    match scope::resolve(cx, &mut Scope::new(Place::Update), path)? {
        Found::Decl(Decl::Optimizer(decl)) => {
            let text = cx.text(expr.span);
            put(cx, decl, Some(args), expr.span, text)
        }
        Found::Decl(other) => {
            cx.wrong_kind(path.span, other, "an optimizer");
            None
        }
        Found::Name(..) | Found::Language(_) => {
            cx.report(Code::E0301, path.span, format!("`{}` is not an optimizer", cx.text(path.span)))
                .at("an optimizer is wanted here");
            None
        }
    }
}

/// The optimizer of a training that names none.
pub(super) fn default<'a>(cx: &mut Cx<'a>, span: Span) -> Option<Optimizer> {
    let name = ast::Ident { text: DEFAULT.to_string(), span: Span::NONE };
    let path = ast::Path { segments: vec![name], span: Span::NONE };
    match cx.decls.in_library(&path) {
        Some(Decl::Optimizer(decl)) => put(cx, decl, Some(&[]), span, DEFAULT.to_string()),
        _ => {
            cx.report(Code::E0303, span, "this training has no optimizer")
                .at("the library has no `adam`")
                .help("name one: `optimizer …`");
            None
        }
    }
}

/// Checks an optimizer that no job uses.
pub(super) fn check_unused<'a>(cx: &mut Cx<'a>, decl: &'a ast::Optimizer) {
    put(cx, decl, None, decl.name.span, decl.name.text.clone());
}

/// Puts a rule in place; without `args` every parameter without a default has an unknown value.
fn put<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Optimizer,
    args: Option<&'a [ast::Arg]>,
    span: Span,
    text: String,
) -> Option<Optimizer> {
    let (built, names) = cx.with_own_locals(|cx| {
        let rule = Applied::new(Decl::Optimizer(decl), span);
        let values = match args {
            Some(args) => args::bind(cx, &mut Scope::new(Place::Update), rule, args, span),
            None => defaults(cx, decl),
        };
        cx.within(Decl::Optimizer(decl), span, |cx| Rule::new(cx, decl, values).body(cx, decl))?
    });
    Some(Optimizer { text, names, ..built? })
}

fn defaults<'a>(cx: &mut Cx<'a>, decl: &'a ast::Optimizer) -> Vec<Given<'a>> {
    let value = |param: &'a ast::ParamDecl| match &param.default {
        Some(default) => args::given(cx, &mut Scope::new(Place::Update), default),
        None => Given::Value(poison(param.name.span)),
    };
    decl.params.iter().map(value).collect()
}

/// A rule while its statements are read.
struct Rule<'a> {
    scope: Scope<'a>,
    w: LocalId,
    g: LocalId,
    states: Vec<(String, LocalId, f64)>,
    body: Vec<(LocalId, hir::Expr)>,
}

impl<'a> Rule<'a> {
    fn new(cx: &mut Cx<'a>, decl: &'a ast::Optimizer, values: Vec<Given<'a>>) -> Rule<'a> {
        let (w, g) = (cx.fresh("w"), cx.fresh("g"));
        let mut scope = Scope::new(Place::Update);
        args::add_params(&mut scope, Decl::Optimizer(decl), values);
        scope.add(
            "w",
            Meaning::Variable(w, Unit::NONE, Vec::new()),
            "parameter that is trained",
            decl.name.span,
        );
        scope.add("g", Meaning::Value(local(g, decl.name.span)), "gradient", decl.name.span);
        let mut rule = Rule { scope, w, g, states: Vec::new(), body: Vec::new() };
        for state in &decl.states {
            rule.state(cx, state);
        }
        rule
    }

    fn state(&mut self, cx: &mut Cx<'a>, state: &'a ast::ParamDecl) {
        let name = &state.name;
        let id = cx.fresh(&name.text);
        let meaning = Meaning::Variable(id, Unit::NONE, Vec::new());
        self.scope.add(&name.text, meaning, "state", name.span);
        let first = state.default.as_ref().map_or(Some(0.0), |default| self.first_value(cx, default));
        self.states.push((name.text.clone(), id, first.unwrap_or(0.0)));
    }

    fn first_value(&mut self, cx: &mut Cx<'a>, default: &'a ast::Expr) -> Option<f64> {
        let value = self.scope.at(Place::Constant, |scope| expr::elaborate(cx, scope, default));
        let value = unit::plain(cx, value, "a state of an optimizer");
        if is_poison(&value) {
            return None;
        }
        let number = constant::eval_free(&value);
        if number.is_none() {
            cx.report(Code::E0305, default.span, "the first value of a state of an optimizer is a constant")
                .at("not known before the run")
                .help("write a number: `state m = 0`");
        }
        number
    }

    fn body(mut self, cx: &mut Cx<'a>, decl: &'a ast::Optimizer) -> Option<Optimizer> {
        let before = cx.diags.list.len();
        for stmt in &decl.update {
            self.stmt(cx, stmt);
        }
        if !self.body.iter().any(|(id, _)| *id == self.w) && cx.diags.list.len() == before {
            cx.report(
                Code::E0807,
                decl.name.span,
                format!("optimizer `{}` never changes `w`", decl.name.text),
            )
            .at("its `update` has no `w = …`")
            .note("`w` is the parameter that is trained; without a new value nothing is learned")
            .help("assign it: `w = w - lr * g`");
        }
        let Rule { w, g, states, body, .. } = self;
        Some(Optimizer { text: String::new(), w, g, states, body, names: Vec::new() })
    }

    fn stmt(&mut self, cx: &mut Cx<'a>, stmt: &'a ast::Stmt) {
        match &stmt.kind {
            StmtKind::Let { name, value } => {
                let value = self.value(cx, value);
                let meaning = if is_poison(&value) {
                    Meaning::Value(value)
                } else {
                    let id = cx.fresh(&name.text);
                    let use_of =
                        Meaning::Value(hir::Expr { kind: hir::ExprKind::Local(id), ..value.clone() });
                    self.body.push((id, value));
                    use_of
                };
                self.scope.add(&name.text, meaning, "let", name.span);
            }
            StmtKind::Assign { target, value } => {
                let value = self.value(cx, value);
                match self.scope.find(&target.text).map(|name| name.meaning.clone()) {
                    Some(Meaning::Variable(id, ..)) => self.body.push((id, value)),
                    _ => self.not_its_own(cx, target),
                }
            }
            _ => {
                cx.report(Code::E0301, stmt.span, "this has no place in an `update`")
                    .at("only `let` and assignments stand here")
                    .help("write `w = w - lr * g`");
            }
        }
    }

    fn value(&mut self, cx: &mut Cx<'a>, value: &'a ast::Expr) -> hir::Expr {
        let value = expr::elaborate(cx, &mut self.scope, value);
        unit::plain(cx, value, "an optimizer")
    }

    fn not_its_own(&self, cx: &mut Cx<'a>, target: &ast::Ident) {
        let name = &target.text;
        let role = self.scope.find(name).map(|found| found.role);
        let title = format!("an optimizer assigns `w` and its states, not `{name}`");
        let message = cx.report(Code::E0807, target.span, title);
        message.at(role.map_or("not a state".to_string(), |role| format!("this is the {role}")));
        message.note("`g`, `k` and the parameters of the optimizer are given; they do not change");
        message.help(format!("write `let {name}2 = …` for a new name, or declare `state {name}2 = 0`"));
    }
}

fn local(id: LocalId, span: Span) -> hir::Expr {
    leaf(hir::ExprKind::Local(id), Unit::NONE, span)
}
