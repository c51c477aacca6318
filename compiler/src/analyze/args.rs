//! Arguments of declarations: which argument is which parameter, defaults, kinds and units; rules given by name. What a body
//! does with them is in the file of its kind; `param`s of files are in `param`.

use super::context::{Cx, is_poison, poison};
use super::declare::{Decl, list};
use super::scope::{Found, Meaning, Place, Scope, lookup};
use super::{expr, files, param, unit};
use crate::ast;
use crate::diag::Code;
use crate::diag::suggest::closest;
use crate::hir::Expr;
use crate::source::Span;

/// A declaration with some of its arguments: `hard(to = 0.1)`.
#[derive(Clone)]
pub(super) struct Applied<'a> {
    /// The declaration.
    pub decl: Decl<'a>,
    /// One for each parameter.
    pub given: Vec<Option<Given<'a>>>,
    /// Where it was written.
    pub span: Span,
}

/// The value of a parameter.
#[derive(Clone)]
pub(super) enum Given<'a> {
    /// A number.
    Value(Expr),
    /// A reset rule, surrogate, function, neuron or initializer.
    Rule(Applied<'a>),
}

impl<'a> Applied<'a> {
    /// A declaration without arguments.
    pub fn new(decl: Decl<'a>, span: Span) -> Applied<'a> {
        Applied { decl, given: vec![None; decl.params().len()], span }
    }
}

/// The values of all parameters of a rule that is used with further arguments. Arguments are read in `scope`.
pub(super) fn bind<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    mut rule: Applied<'a>,
    args: &'a [ast::Arg],
    span: Span,
) -> Vec<Given<'a>> {
    fill(cx, scope, &mut rule, args);
    complete(cx, scope.place, rule, span)
}

/// Names parameters in the scope of a body.
pub(super) fn add_params<'a>(scope: &mut Scope<'a>, decl: Decl<'a>, values: Vec<Given<'a>>) {
    for (param, value) in decl.params().iter().zip(values) {
        let meaning = match value {
            Given::Value(value) => Meaning::Value(value),
            Given::Rule(rule) => Meaning::Rule(rule),
        };
        scope.add(&param.name.text, meaning, "parameter", param.name.span);
    }
}

/// Where the arguments of a declaration are evaluated.
fn place_of(decl: Decl, place: Place) -> Place {
    match decl {
        Decl::Neuron(_) | Decl::Circuit(_) | Decl::Surrogate(_) => Place::Constant,
        Decl::Optimizer(_) => Place::Update,
        _ => place,
    }
}

/// Whether the default of a parameter decides about its unit. Functions, reset rules and initializers serve any unit.
fn is_strict(decl: Decl) -> bool {
    matches!(decl, Decl::Neuron(_) | Decl::Circuit(_) | Decl::Surrogate(_) | Decl::Optimizer(_))
}

/// Adds arguments to a rule.
pub(super) fn fill<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, rule: &mut Applied<'a>, args: &'a [ast::Arg]) {
    for arg in args {
        let at = match &arg.name {
            Some(name) => named(cx, rule, name),
            None => positional(cx, rule, arg, args.len()),
        };
        let place = match at {
            Some(at) if starts_states(cx, rule.decl, at) => Place::Constant,
            _ => place_of(rule.decl, scope.place),
        };
        let value = scope.at(place, |scope| given(cx, scope, &arg.value));
        if let Some(at) = at {
            rule.given[at] = Some(value);
        }
    }
}

/// Whether a parameter of an optimizer says what states start with: what is given is then no number of every update.
fn starts_states<'a>(cx: &mut Cx<'a>, decl: Decl<'a>, at: usize) -> bool {
    let (Decl::Optimizer(_), Some(default)) = (decl, &decl.params()[at].default) else { return false };
    let default = rule(cx, &mut Scope::new(Place::Constant), default);
    default.is_some_and(|default| matches!(default.decl, Decl::Init(_)))
}

fn named<'a>(cx: &mut Cx<'a>, rule: &Applied<'a>, name: &'a ast::Ident) -> Option<usize> {
    let (decl, params) = (rule.decl, rule.decl.params());
    let Some(at) = params.iter().position(|p| p.name.text == name.text) else {
        let near = closest(&name.text, params.iter().map(|p| &p.name.text[..]));
        let (kind, owner, declared) = (decl.kind(), decl.name(), decl.name_span());
        let title = format!("the {kind} `{owner}` has no parameter `{}`", name.text);
        let message = cx.report(Code::E0205, name.span, title);
        message.at("unknown parameter").label(declared, "declared here");
        match near {
            Some(near) => message.help(format!("did you mean `{near}`?")),
            None if params.is_empty() => message.help("it has no parameters"),
            None => message.help(format!("it has {}", list(params.iter().map(|p| &p.name.text[..])))),
        };
        return None;
    };
    if rule.given[at].is_some() {
        cx.report(Code::E0304, name.span, format!("`{}` is given twice", name.text))
            .at("given again")
            .help("leave one of them out");
        return None;
    }
    Some(at)
}

fn positional<'a>(cx: &mut Cx<'a>, rule: &Applied<'a>, arg: &'a ast::Arg, count: usize) -> Option<usize> {
    let at = rule.given.iter().position(Option::is_none);
    if at.is_none() {
        let (decl, span) = (rule.decl, arg.value.span);
        let n = decl.params().len();
        let title = format!("too many arguments for the {} `{}`", decl.kind(), decl.name());
        let last = cx.diags.list.last().is_some_and(|d| d.title == title && d.primary.0.file == span.file);
        if !last || count == 1 {
            let message = cx.report(Code::E0304, span, title);
            message.at("one too many").label(decl.name_span(), "declared here");
            message.note(match n {
                0 => "it has no parameters".to_string(),
                _ => format!("its parameters are {}", list(decl.params().iter().map(|p| &p.name.text[..]))),
            });
        }
    }
    at
}

/// The value of an argument: a number or a rule. In an initializer another one is its values: `dale(glorot_normal)`.
pub(super) fn given<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Given<'a> {
    match rule(cx, scope, e) {
        Some(rule) if scope.place == Place::Init && matches!(rule.decl, Decl::Init(_)) => {
            Given::Value(super::call::apply(cx, scope, rule, &[], e.span))
        }
        Some(rule) => Given::Rule(rule),
        None => match files::named(cx, scope, e) {
            Some(file) => Given::Value(file),
            None => Given::Value(expr::elaborate(cx, scope, e)),
        },
    }
}

/// The rule that an expression names; none if it is to be read as a number.
pub(super) fn rule<'a>(cx: &mut Cx<'a>, scope: &mut Scope<'a>, e: &'a ast::Expr) -> Option<Applied<'a>> {
    let (path, args) = match &e.kind {
        ast::ExprKind::Name(path) => (path, None),
        ast::ExprKind::Call { callee, args } => (callee, Some(args)),
        _ => return None,
    };
    let mut found = match lookup(cx, scope, path)? {
        Found::Name(name, []) => match name.meaning {
            Meaning::Rule(rule) => rule,
            _ => return None,
        },
        Found::Decl(decl) => Applied::new(decl, e.span),
        _ => return None,
    };
    found.span = e.span;
    match (found.decl, args) {
        (Decl::Neuron(_) | Decl::Reset(_) | Decl::Surrogate(_) | Decl::Init(_), Some(args)) => {
            fill(cx, scope, &mut found, args);
            Some(found)
        }
        (Decl::Neuron(_) | Decl::Reset(_) | Decl::Surrogate(_) | Decl::Init(_), None) => Some(found),
        (Decl::Fn(_) | Decl::Builtin(_), None) => Some(found),
        // Where nothing is drawn, `normal(0, 0.1)` says how first values will be.
        (Decl::Fn(f), Some(args)) if scope.place == Place::Constant && param::draws(cx, f) => {
            fill(cx, scope, &mut found, args);
            Some(found)
        }
        _ => None,
    }
}

/// The values of all parameters: what was given, else the default, else a message.
pub(super) fn complete<'a>(cx: &mut Cx<'a>, place: Place, rule: Applied<'a>, span: Span) -> Vec<Given<'a>> {
    let decl = rule.decl;
    let place = place_of(decl, place);
    let mut scope = Scope::new(place);
    let mut missing = Vec::new();
    let mut values: Vec<Given<'a>> = Vec::new();
    for (param, given) in decl.params().iter().zip(rule.given) {
        let value = match (given, &param.default) {
            (Some(given), _) => check(cx, &mut scope, decl, param, given),
            (None, Some(default)) => {
                let reported = cx.diags.list.len();
                let value = self::given(cx, &mut scope, default);
                cx.blame_use(reported, decl, span);
                annotated(cx, decl, param, value)
            }
            (None, None) => {
                missing.push(&param.name.text[..]);
                Given::Value(poison(span))
            }
        };
        add_params_one(&mut scope, param, &value);
        values.push(value);
    }
    if !missing.is_empty() {
        let (kind, name, declared) = (decl.kind(), decl.name(), decl.name_span());
        let title = format!("the {kind} `{name}` is used without {}", list(missing.iter().copied()));
        let message = cx.report(Code::E0303, span, title);
        message.at("an argument is missing").label(declared, "declared here");
        message.help(format!("write `{name}({} = …)`, or give the parameter a default", missing[0]));
    }
    values
}

fn add_params_one<'a>(scope: &mut Scope<'a>, param: &'a ast::ParamDecl, value: &Given<'a>) {
    let meaning = match value.clone() {
        Given::Value(value) => Meaning::Value(value),
        Given::Rule(rule) => Meaning::Rule(rule),
    };
    scope.add(&param.name.text, meaning, "parameter", param.name.span);
}

/// Whether a rule may stand where another one is wanted: it is of its kind, or both give first values.
pub(super) fn fits<'a>(cx: &Cx<'a>, rule: &Applied<'a>, wanted: &Applied<'a>) -> bool {
    let gives_first_values = |decl| match decl {
        Decl::Init(_) => true,
        Decl::Fn(f) => param::draws(cx, f),
        _ => false,
    };
    rule.decl.kind() == wanted.decl.kind()
        || (gives_first_values(rule.decl) && gives_first_values(wanted.decl))
}

/// Checks an argument against the kind and unit of the default and the annotation.
fn check<'a>(
    cx: &mut Cx<'a>,
    scope: &mut Scope<'a>,
    decl: Decl<'a>,
    param: &'a ast::ParamDecl,
    given: Given<'a>,
) -> Given<'a> {
    // A default that has no value here does not matter: another one is given.
    let reported = cx.diags.list.len();
    let wanted = param.default.as_ref().and_then(|default| rule(cx, scope, default));
    cx.diags.list.truncate(reported);
    // In an initializer another one is its values.
    let is_values = |decl: Decl| scope.place == Place::Init && matches!(decl, Decl::Init(_));
    let wanted = wanted.filter(|rule| !is_values(rule.decl));
    match (&given, wanted, &param.default) {
        (Given::Value(value), Some(_), _) if is_poison(value) => given,
        (Given::Rule(rule), Some(wanted), _) if fits(cx, rule, &wanted) => given,
        (Given::Rule(_), None, None) if param.unit.is_none() => given,
        (Given::Rule(rule), wanted, _) => {
            let wanted = wanted.map_or("a number".to_string(), |wanted| wanted.decl.a_kind());
            cx.wrong_kind(rule.span, rule.decl, &wanted);
            label_param(cx, param);
            Given::Value(poison(rule.span))
        }
        (Given::Value(value), Some(wanted), _) => {
            let title = format!("`{}` is {}, and a number is given", param.name.text, wanted.decl.a_kind());
            cx.report(Code::E0301, value.span, title).at("this is a number");
            label_param(cx, param);
            Given::Value(poison(value.span))
        }
        (Given::Value(value), None, _) if files::is_file(value) => given,
        (Given::Value(value), None, default) => {
            let mut value = value.clone();
            if let (Some(default), None, true) = (default, &param.unit, is_strict(decl)) {
                let default = expr::elaborate(cx, scope, default);
                if !is_poison(&default) {
                    value = unit::expect(cx, value, default.unit, &param.name.text, param.name.span);
                }
            }
            annotated(cx, decl, param, Given::Value(value))
        }
    }
}

fn label_param(cx: &mut Cx, param: &ast::ParamDecl) {
    if let Some(message) = cx.diags.list.last_mut() {
        message.label(param.name.span, format!("parameter `{}`", param.name.text));
    }
}

/// Checks the annotation of a parameter, and that numbers of neurons and circuits are known before a run.
fn annotated<'a>(cx: &mut Cx<'a>, decl: Decl<'a>, param: &'a ast::ParamDecl, given: Given<'a>) -> Given<'a> {
    let Given::Value(mut value) = given else { return given };
    if let Some(annotation) = &param.unit
        && let Some(unit) = unit::of_annotation(cx, annotation)
    {
        value = unit::expect(cx, value, unit, &param.name.text, param.name.span);
    }
    if matches!(decl, Decl::Neuron(_) | Decl::Circuit(_) | Decl::Surrogate(_)) {
        let what = format!("`{}` of {} `{}`", param.name.text, decl.kind(), decl.name());
        value = expr::require_constant(cx, value, &what);
    }
    Given::Value(value)
}
