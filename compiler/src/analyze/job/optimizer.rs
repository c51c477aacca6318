//! Update rules: `adam(lr = cosine(2e-3, 1e-4))` with its arguments, states and statements in place. All numbers are without unit:
//! a rule serves parameters of every unit. What its states start with is elaborated for each parameter that is trained.

use super::super::args::{self, Applied, Given};
use super::super::context::{Cx, Draw, is_poison, leaf, poison};
use super::super::declare::Decl;
use super::super::parts::fans;
use super::super::scope::{self, Found, Meaning, Place, Scope};
use super::super::{expr, init, unit};
use crate::ast::{self, ExprKind, StmtKind};
use crate::diag::Code;
use crate::hir::{self, Bounds, LocalId, ModelId, Optimizer, OptimizerState, ParamId, Unit, constant};
use crate::source::Span;
use std::collections::BTreeMap;

/// The optimizer of a training that names none.
const DEFAULT: &str = "adam";

/// Elaborates the value of `optimizer` for a model.
pub(super) fn optimizer<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, model: ModelId) -> Option<Optimizer> {
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
            put(cx, decl, Some((args, model)), expr.span, text)
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
pub(super) fn default<'a>(cx: &mut Cx<'a>, span: Span, model: ModelId) -> Option<Optimizer> {
    let name = ast::Ident { text: DEFAULT.to_string(), span: Span::NONE };
    let path = ast::Path { segments: vec![name], span: Span::NONE };
    match cx.decls.in_library(&path) {
        Some(Decl::Optimizer(decl)) => put(cx, decl, Some((&[], model)), span, DEFAULT.to_string()),
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

/// Puts a rule in place with arguments, for a model; without them every parameter without a default has an unknown value.
fn put<'a>(
    cx: &mut Cx<'a>,
    decl: &'a ast::Optimizer,
    given: Option<(&'a [ast::Arg], ModelId)>,
    span: Span,
    text: String,
) -> Option<Optimizer> {
    let (built, names) = cx.with_own_locals(|cx| {
        let rule = Applied::new(Decl::Optimizer(decl), span);
        let (values, trained) = match given {
            Some((args, model)) => {
                let values = args::bind(cx, &mut Scope::new(Place::Update), rule, args, span);
                (values, trained(cx, model))
            }
            None => (defaults(cx, decl), Vec::new()),
        };
        cx.within(Decl::Optimizer(decl), span, |cx| Rule::new(cx, decl, values, &trained).body(cx, decl))?
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

/// A tensor that is trained, as far as first values of its states depend on it.
type Trained = (ParamId, bool, Draw);

/// The tensors of a model that are trained.
fn trained(cx: &Cx, model: ModelId) -> Vec<Trained> {
    let model = &cx.program.models[model.idx()];
    let all = model.params.iter().enumerate().filter(|(_, param)| param.trained);
    all.map(|(at, param)| {
        let id = ParamId(at as u32);
        let [fan_in, fan_out] = fans(&param.shape);
        let projection = model.projections.iter().find(|projection| projection.weight == Some(id));
        let over = projection.and_then(|projection| projection.over).filter(|_| param.windows);
        let (stream, shape) = (param.name.clone(), param.shape.clone());
        (id, param.windows, Draw { stream, shape, fan_in, fan_out, over, ..Draw::default() })
    })
    .collect()
}

/// A rule while its statements are read.
struct Rule<'a> {
    scope: Scope<'a>,
    w: LocalId,
    g: LocalId,
    states: Vec<OptimizerState>,
    body: Vec<(LocalId, hir::Expr)>,
}

impl<'a> Rule<'a> {
    fn new(
        cx: &mut Cx<'a>,
        decl: &'a ast::Optimizer,
        values: Vec<Given<'a>>,
        trained: &[Trained],
    ) -> Rule<'a> {
        let (w, g) = (cx.fresh("w"), cx.fresh("g"));
        let mut scope = Scope::new(Place::Update);
        args::add_params(&mut scope, Decl::Optimizer(decl), values);
        let mut of_starts = scope.clone();
        scope.add(
            "w",
            Meaning::Variable(w, Unit::NONE, Vec::new()),
            "parameter that is trained",
            decl.name.span,
        );
        scope.add("g", Meaning::Value(local(g, decl.name.span)), "gradient", decl.name.span);
        let mut rule = Rule { scope, w, g, states: Vec::new(), body: Vec::new() };
        for state in &decl.states {
            let name = &state.name;
            let local = cx.fresh(&name.text);
            let meaning = Meaning::Variable(local, Unit::NONE, Vec::new());
            rule.scope.add(&name.text, meaning, "state", name.span);
            let (init, starts) = starts(cx, &mut of_starts, state, trained);
            rule.states.push(OptimizerState { name: name.text.clone(), local, init, starts });
        }
        rule
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

/// What a state starts with: one number, or values of each trained tensor, which an initializer gives.
fn starts<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    state: &'a ast::ParamDecl,
    trained: &[Trained],
) -> (f64, BTreeMap<ParamId, hir::Param>) {
    let (mut number, mut starts) = (None, BTreeMap::new());
    let Some(default) = &state.default else { return (0.0, starts) };
    let known = cx.matrices.clone();
    // A rule that no training uses is looked at as if for one weight.
    let shape = vec![1, 1];
    let unused = [(ParamId(0), false, Draw { shape, fan_in: 1, fan_out: 1, ..Draw::default() })];
    for (id, windows, draw) in if trained.is_empty() { &unused } else { trained } {
        let before = cx.diags.list.len();
        let (name, shape) = (format!("{}/{}", draw.stream, state.name.text), draw.shape.clone());
        let mut init = init::first_value(cx, scope, default, Draw { stream: name.clone(), ..draw.clone() });
        init.value = unit::plain(cx, init.value, "a state of an optimizer");
        if cx.diags.list.len() > before || is_poison(&init.value) {
            return (0.0, BTreeMap::new());
        }
        number = constant::eval_free(&init.value);
        let (unit, bounds, span) = (Unit::NONE, Bounds::NONE, default.span);
        let (windows, keep, trained) = (*windows, None, false);
        let start = hir::Param { name, shape, windows, unit, bounds, keep, init, trained, span };
        starts.insert(*id, start);
    }
    cx.matrices = known;
    let is_number = |start: &hir::Param| number.is_some() && constant::eval_free(&start.init.value) == number;
    match number {
        Some(number) if starts.values().all(is_number) => (number, BTreeMap::new()),
        _ if trained.is_empty() => (0.0, BTreeMap::new()),
        _ => (0.0, starts),
    }
}

fn local(id: LocalId, span: Span) -> hir::Expr {
    leaf(hir::ExprKind::Local(id), Unit::NONE, span)
}
