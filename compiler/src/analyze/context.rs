//! What the whole analysis shares: messages, declarations, the model that is being built, names of locals, random streams.
//!
//! One mistake gives one message: a value that could not be made is [`poison`], everything made of it is poison too, and
//! rules leave poison alone. A message about the body of a function or neuron of the standard library is moved to the
//! place of the user's file that used it, because that is where the cause is.

use super::args::Given;
use super::circuit::Level;
use super::declare::{Decl, Declarations};
use crate::ast;
use crate::diag::{Code, Diagnostic, Diagnostics};
use crate::hir::{self, Expr, ExprKind, LocalId, ModelId, Unit};
use crate::source::{FileId, Sources, Span};
use snn_runtime::windows::Windows;
use std::collections::{BTreeMap, BTreeSet};

/// Most declarations that are put in place inside each other.
const USES_MAX: usize = 64;
/// Most calls that are put in place for one declaration of the file.
const CALLS_MAX: usize = 10_000;
/// Most parts of expressions for one declaration of the file, after calls were put in place.
const PARTS_MAX: usize = 2_000_000;
/// Deepest nesting of an expression after calls were put in place; chains of operators are not nesting.
const NESTING_MAX: usize = 256;

/// Begins the words of a label that leads from a body to its use; see [`Cx::finish_messages`].
const USED_HERE: &str = "in this use of ";

/// A declaration whose body is being put in place.
struct Use<'a> {
    decl: Decl<'a>,
    span: Span,
}

/// Where random numbers are drawn: the name of their stream, how many places drew before, and the shape of what is drawn.
#[derive(Clone, Debug, Default)]
pub(super) struct Draw {
    /// The declaration path: `h`, `x->h.weight`.
    pub stream: String,
    /// Number of places so far.
    pub count: usize,
    /// Shape of the population or tensor.
    pub shape: Vec<usize>,
    /// In an `init`: number of synapses of a receiving neuron.
    pub fan_in: usize,
    /// In an `init`: number of synapses of a sending neuron.
    pub fan_out: usize,
    /// In an `init`: the population and its input that the weights belong to.
    pub into: Option<(hir::PopId, usize)>,
    /// In an `init` of weights of a convolution: over what.
    pub over: Option<Windows>,
}

/// State of a `param` of a file.
#[derive(Clone)]
pub(super) enum FileParam<'a> {
    /// Its value is being computed.
    Busy,
    /// Its value.
    Done(Given<'a>),
}

/// The state of the analysis.
pub(super) struct Cx<'a> {
    /// Texts, for words in messages.
    pub sources: &'a Sources,
    /// Messages.
    pub diags: &'a mut Diagnostics,
    /// What is declared where.
    pub decls: Declarations<'a>,
    /// `-p` values by name.
    pub overrides: BTreeMap<&'a str, &'a ast::Expr>,
    /// Values of `param`s of files, by the place of their names.
    pub file_params: BTreeMap<Span, FileParam<'a>>,
    /// What has been completed.
    pub program: hir::Program,
    /// The model that is being built or read.
    pub model: hir::Model,
    /// Circuits of that model; the first is the model itself.
    pub levels: Vec<Level<'a>>,
    /// Inputs of populations that were driven: where, and whether by `=`.
    pub driven: BTreeMap<(hir::PopId, usize), (Span, bool)>,
    /// Circuits of completed models, by [`ModelId`].
    finished: Vec<Vec<Level<'a>>>,
    /// Streams of random numbers.
    pub draw: Draw,
    /// What `*` stands for while an expression is elaborated for each population.
    pub every: Option<hir::PopId>,
    /// What `*.weight` stands for while an expression is elaborated for each tensor.
    pub every_weight: Option<hir::ParamId>,
    /// Locals that hold weights (two axes: receiving, sending neuron), not values of a population.
    pub matrices: BTreeSet<LocalId>,
    /// Names that were read, by the places of their declarations.
    pub used: BTreeSet<Span>,
    /// Declarations whose body was looked at, by the places of their names.
    pub visited: BTreeSet<Span>,
    uses: Vec<Use<'a>>,
    calls: usize,
    parts: usize,
    nesting: usize,
    /// A limit was reported for this declaration.
    exhausted: bool,
}

impl<'a> Cx<'a> {
    /// Nothing is declared in a model yet.
    pub fn new(sources: &'a Sources, decls: Declarations<'a>, diags: &'a mut Diagnostics) -> Cx<'a> {
        Cx {
            sources,
            diags,
            decls,
            overrides: BTreeMap::new(),
            file_params: BTreeMap::new(),
            program: hir::Program::default(),
            model: empty_model(String::new(), Span::NONE),
            levels: Vec::new(),
            driven: BTreeMap::new(),
            finished: Vec::new(),
            draw: Draw::default(),
            every: None,
            every_weight: None,
            matrices: BTreeSet::new(),
            used: BTreeSet::new(),
            visited: BTreeSet::new(),
            uses: Vec::new(),
            calls: 0,
            parts: 0,
            nesting: 0,
            exhausted: false,
        }
    }

    /// Reports a mistake. A message from the body of a function or of a declaration of the library says where that was used.
    pub fn report(&mut self, code: Code, span: Span, title: impl Into<String>) -> &mut Diagnostic {
        let user = self.decls.user;
        let foreign = self.decls.is_library(span.file);
        let last = self.uses.iter().rev().find(|u| u.span.file == user);
        let via = last.filter(|u| foreign || matches!(u.decl, Decl::Fn(_) | Decl::Reset(_)));
        let via = via.map(|u| (u.span, format!("{USED_HERE}`{}`", u.decl.name())));
        let diagnostic = self.diags.report(code, span, title);
        if let Some((span, text)) = via {
            diagnostic.label(span, text);
        }
        diagnostic
    }

    /// The innermost use of a declaration of the user's file that is being put in place; none of one of the library, which
    /// [`Cx::report`] names.
    pub fn use_of_own(&self) -> Option<(Span, String)> {
        let last = self.uses.last().filter(|u| !self.decls.is_library(u.decl.name_span().file))?;
        Some((last.span, last.decl.name().to_string()))
    }

    /// Says of messages from the `first` on about a default of the library which use of the declaration left the argument out.
    pub fn blame_use(&mut self, first: usize, decl: Decl<'a>, span: Span) {
        if span.file != self.decls.user {
            return;
        }
        for message in &mut self.diags.list[first..] {
            if self.decls.is_library(message.primary.0.file) {
                message.labels.retain(|(_, text)| !text.starts_with(USED_HERE));
                message.label(span, format!("{USED_HERE}`{}`", decl.name()));
            }
        }
    }

    /// Leaves out repeated messages (a neuron is checked in every population) and moves messages out of the library.
    pub fn finish_messages(&mut self) {
        let (user, decls) = (self.decls.user, &self.decls);
        let mut seen = BTreeSet::new();
        self.diags.list.retain_mut(|d| {
            let is_use = |l: &&mut (Span, String)| l.0.file == user && l.1.starts_with(USED_HERE);
            if decls.is_library(d.primary.0.file)
                && let Some(label) = d.labels.iter_mut().find(is_use)
            {
                std::mem::swap(&mut d.primary, label);
            }
            seen.insert((d.code.name(), d.primary.0, d.title.clone())) || d.primary.0 == Span::NONE
        });
    }

    /// A new local of the current model (or optimizer, see [`Cx::with_own_locals`]).
    pub fn fresh(&mut self, name: &str) -> LocalId {
        self.model.locals.push(name.to_string());
        LocalId(self.model.locals.len() as u32 - 1)
    }

    /// Runs `f` with an empty table of locals, and gives the names of those it made.
    pub fn with_own_locals<R>(&mut self, f: impl FnOnce(&mut Cx<'a>) -> R) -> (R, Vec<String>) {
        let before = std::mem::take(&mut self.model.locals);
        let res = f(self);
        (res, std::mem::replace(&mut self.model.locals, before))
    }

    /// Puts the body of a declaration in place: names the use in messages, refuses recursion and endless growth.
    /// None (and a message) where the body must not be entered.
    pub fn within<R>(&mut self, decl: Decl<'a>, span: Span, f: impl FnOnce(&mut Cx<'a>) -> R) -> Option<R> {
        self.calls += 1;
        self.visited.insert(decl.name_span());
        if self.uses.iter().any(|u| u.decl.name_span() == decl.name_span()) {
            self.recursion(decl, span);
            return None;
        }
        if self.uses.len() >= USES_MAX || self.calls > CALLS_MAX {
            if std::mem::replace(&mut self.exhausted, true) {
                return None;
            }
            let count = if self.calls > CALLS_MAX { CALLS_MAX } else { USES_MAX };
            self.report(Code::E0310, span, format!("more than {count} uses of functions inside each other"))
                .at("this one is too many")
                .note("functions, neurons and circuits are put in place where they are used")
                .help("compute common parts once: `let a = …`");
            return None;
        }
        self.uses.push(Use { decl, span });
        let res = f(self);
        self.uses.pop();
        Some(res)
    }

    /// Runs `f` as if no declaration were being put in place: for values that another circuit needs first.
    pub fn outside<R>(&mut self, f: impl FnOnce(&mut Cx<'a>) -> R) -> R {
        let before = std::mem::take(&mut self.uses);
        let res = f(self);
        self.uses = before;
        res
    }

    fn recursion(&mut self, decl: Decl<'a>, span: Span) {
        let (name, kind) = (decl.name().to_string(), decl.kind());
        let mut chain: Vec<String> = Vec::new();
        let from = self.uses.iter().position(|u| u.decl.name_span() == decl.name_span()).unwrap_or(0);
        chain.extend(self.uses[from..].iter().map(|u| format!("`{}`", u.decl.name())));
        chain.push(format!("`{name}`"));
        let declared = decl.name_span();
        self.report(Code::E0310, span, format!("the {kind} `{name}` uses itself"))
            .at("this would never end")
            .label(declared, "declared here")
            .note(format!("it is put in place where it is used: {}", chain.join(" uses ")))
            .help("write out the cases that are needed; there is no recursion in this language");
    }

    /// Starts counting calls anew: for the next declaration of the file.
    pub fn new_declaration(&mut self) {
        self.calls = 0;
        self.parts = 0;
        self.exhausted = false;
    }

    /// Runs `f` one level deeper in an expression that has `parts` operators; poison and a message where that is too much.
    pub fn deeper(&mut self, parts: usize, span: Span, f: impl FnOnce(&mut Cx<'a>) -> Expr) -> Expr {
        self.parts += parts;
        let what = match (self.nesting >= NESTING_MAX, self.parts > PARTS_MAX) {
            (true, _) => "an expression that is too deep once its functions are put in place",
            (_, true) => "a declaration that is too long once its functions are put in place",
            _ => {
                self.nesting += 1;
                let res = f(self);
                self.nesting -= 1;
                return res;
            }
        };
        if std::mem::replace(&mut self.exhausted, true) {
            return poison(span);
        }
        let code = if self.nesting >= NESTING_MAX { Code::E0105 } else { Code::E0106 };
        self.report(code, span, what).at("too much from here").help("compute parts of it once: `let a = …`");
        poison(span)
    }

    /// Begins a model; what was being built is given back and has to be handed to [`Cx::resume`].
    pub fn begin_model(&mut self, name: &str, span: Span) -> Suspended<'a> {
        let model = std::mem::replace(&mut self.model, empty_model(name.to_string(), span));
        self.driven.clear();
        Suspended { model, levels: std::mem::take(&mut self.levels), draw: std::mem::take(&mut self.draw) }
    }

    /// Adds the model that is being built to the program, and goes on with what was built before.
    pub fn finish_model(&mut self, before: Suspended<'a>) -> ModelId {
        let (model, levels) = self.resume(before);
        self.program.models.push(model);
        self.finished.push(levels);
        ModelId(self.program.models.len() as u32 - 1)
    }

    /// Drops the model that is being built, and goes on with what was built before.
    pub fn resume(&mut self, before: Suspended<'a>) -> (hir::Model, Vec<Level<'a>>) {
        self.draw = before.draw;
        (std::mem::replace(&mut self.model, before.model), std::mem::replace(&mut self.levels, before.levels))
    }

    /// Runs `f` with a completed model as the current one: its names, locals and random streams.
    pub fn in_model<R>(&mut self, id: ModelId, f: impl FnOnce(&mut Cx<'a>) -> R) -> R {
        let swap = |cx: &mut Cx<'a>| {
            if let Some(model) = cx.program.models.get_mut(id.idx()) {
                std::mem::swap(model, &mut cx.model);
                std::mem::swap(&mut cx.finished[id.idx()], &mut cx.levels);
            }
        };
        swap(self);
        let res = f(self);
        swap(self);
        res
    }

    /// Runs `f` with random numbers drawn from the stream of a declaration.
    pub fn drawing<R>(&mut self, draw: Draw, f: impl FnOnce(&mut Cx<'a>) -> R) -> R {
        let before = std::mem::replace(&mut self.draw, draw);
        let res = f(self);
        self.draw = before;
        res
    }

    /// Whether a place is in the user's file (or on the command line) rather than in the library.
    pub fn is_user(&self, file: FileId) -> bool {
        !self.decls.is_library(file)
    }

    /// The text of a place, in one line.
    pub fn text(&self, span: Span) -> String {
        self.sources.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

/// What was being built before [`Cx::begin_model`].
pub(super) struct Suspended<'a> {
    model: hir::Model,
    levels: Vec<Level<'a>>,
    draw: Draw,
}

fn empty_model(name: String, span: Span) -> hir::Model {
    hir::Model {
        name,
        inputs: Vec::new(),
        params: Vec::new(),
        states: Vec::new(),
        populations: Vec::new(),
        projections: Vec::new(),
        outputs: Vec::new(),
        locals: Vec::new(),
        span,
    }
}

/// A number without a unit.
pub(super) fn number(value: f64, span: Span) -> Expr {
    leaf(ExprKind::Const(value), Unit::NONE, span)
}

/// An expression of one number.
pub(super) fn leaf(kind: ExprKind, unit: Unit, span: Span) -> Expr {
    Expr { kind, unit, shape: Vec::new(), span }
}

/// Stands for a value after a mistake that was reported.
pub(super) fn poison(span: Span) -> Expr {
    number(f64::NAN, span)
}

/// Whether a value stands for a mistake that was reported.
pub(super) fn is_poison(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(value) if value.is_nan())
}

/// Whether it is the number 0 without a unit, which fits every unit.
pub(super) fn is_zero(expr: &Expr) -> bool {
    matches!(expr.kind, ExprKind::Const(value) if value == 0.0) && expr.unit.is_none()
}
