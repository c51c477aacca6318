//! The table of declarations: the user's file, the library, `use`. Which declaration a name means; nothing about their bodies.
//!
//! A file's own declaration wins over the library; a name written in the library always means the library, whatever
//! the user declares.

use super::context::Cx;
use crate::ast::{self, ItemKind};
use crate::diag::suggest::closest;
use crate::diag::{Code, Diagnostics};
use crate::source::{FileId, Span};
use std::collections::BTreeMap;

/// Functions of the language that work on each value by itself.
pub(super) const POINTWISE: &[&str] = &[
    "abs", "exp", "log", "sqrt", "tanh", "sigmoid", "sin", "cos", "arctan", "floor", "round", "sign", "relu",
    "min", "max", "where", "pow", "exprel", "erf",
];
/// The other functions of the language.
pub(super) const SPECIAL: &[&str] = &[
    "sum",
    "mean",
    "variance",
    "min_nonzero",
    "last",
    "detach",
    "straight_through",
    "grad_scale",
    "random",
    "gaussian",
    "rate",
    "size",
    "conv",
    "normalise",
    "batch_norm",
    "running",
    "since",
    "orthonormal",
    "nearest_of_rank",
    "singular_values",
    "radius",
    "order_of_inputs",
    "order_of_outputs",
    "orthonormal_taps",
    "orthonormal_kernels",
    "kernel_of_spectrum",
    "frequencies",
    "coordinates",
    "grid",
    "product",
    "mean_square_of",
    "arriving",
    "firing",
    "file",
    "weights",
    "first",
    "spectral_norm",
    "arranged",
];

/// A declaration.
#[derive(Clone, Copy)]
pub(super) enum Decl<'a> {
    /// `param` of a file
    Param(&'a ast::ParamDecl),
    /// `neuron`
    Neuron(&'a ast::Neuron),
    /// `reset`
    Reset(&'a ast::Reset),
    /// `surrogate`
    Surrogate(&'a ast::Surrogate),
    /// `fn`
    Fn(&'a ast::Fn),
    /// `circuit`, `model`
    Circuit(&'a ast::Circuit),
    /// `init`
    Init(&'a ast::Init),
    /// `optimizer`
    Optimizer(&'a ast::Optimizer),
    /// `data`
    Data(&'a ast::Data),
    /// A function of the language.
    Builtin(&'static str),
}

impl<'a> Decl<'a> {
    fn of(kind: &'a ItemKind) -> Option<Decl<'a>> {
        Some(match kind {
            ItemKind::Param(d) => Decl::Param(d),
            ItemKind::Neuron(d) => Decl::Neuron(d),
            ItemKind::Reset(d) => Decl::Reset(d),
            ItemKind::Surrogate(d) => Decl::Surrogate(d),
            ItemKind::Fn(d) => Decl::Fn(d),
            ItemKind::Circuit(d) => Decl::Circuit(d),
            ItemKind::Init(d) => Decl::Init(d),
            ItemKind::Optimizer(d) => Decl::Optimizer(d),
            ItemKind::Data(d) => Decl::Data(d),
            ItemKind::Use(_) | ItemKind::Job(_) | ItemKind::Test(_) => return None,
        })
    }

    /// A function of the language.
    pub fn builtin(name: &str) -> Option<Decl<'a>> {
        POINTWISE.iter().chain(SPECIAL).find(|known| **known == name).map(|known| Decl::Builtin(known))
    }

    fn ident(self) -> Option<&'a ast::Ident> {
        Some(match self {
            Decl::Param(d) => &d.name,
            Decl::Neuron(d) => &d.name,
            Decl::Reset(d) => &d.name,
            Decl::Surrogate(d) => &d.name,
            Decl::Fn(d) => &d.name,
            Decl::Circuit(d) => &d.name,
            Decl::Init(d) => &d.name,
            Decl::Optimizer(d) => &d.name,
            Decl::Data(d) => &d.name,
            Decl::Builtin(_) => return None,
        })
    }

    /// Its name.
    pub fn name(self) -> &'a str {
        match self {
            Decl::Builtin(name) => name,
            _ => self.ident().map_or("", |ident| &ident.text),
        }
    }

    /// Where its name stands; also tells declarations apart.
    pub fn name_span(self) -> Span {
        self.ident().map_or(Span::NONE, |ident| ident.span)
    }

    /// Its parameters.
    pub fn params(self) -> &'a [ast::ParamDecl] {
        match self {
            Decl::Neuron(d) => &d.params,
            Decl::Reset(d) => &d.params,
            Decl::Surrogate(d) => &d.params,
            Decl::Fn(d) => &d.params,
            Decl::Circuit(d) => &d.params,
            Decl::Init(d) => &d.params,
            Decl::Optimizer(d) => &d.params,
            Decl::Param(_) | Decl::Data(_) | Decl::Builtin(_) => &[],
        }
    }

    /// What it is, in the user's words.
    pub fn kind(self) -> &'static str {
        match self {
            Decl::Param(_) => "param",
            Decl::Neuron(_) => "neuron",
            Decl::Reset(_) => "reset rule",
            Decl::Surrogate(_) => "surrogate",
            Decl::Fn(_) => "function",
            Decl::Circuit(c) if c.is_model => "model",
            Decl::Circuit(_) => "circuit",
            Decl::Init(_) => "initializer",
            Decl::Optimizer(_) => "optimizer",
            Decl::Data(_) => "data set",
            Decl::Builtin(_) => "function",
        }
    }

    /// [`Decl::kind`] with its article.
    pub fn a_kind(self) -> String {
        article(self.kind())
    }
}

/// `a neuron`, `an initializer`
pub(super) fn article(noun: &str) -> String {
    let vowel = noun.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {noun}", if vowel { "an" } else { "a" })
}

type Names<'a> = BTreeMap<&'a str, Decl<'a>>;

/// All declarations.
pub(super) struct Declarations<'a> {
    /// The user's file.
    pub user: FileId,
    own: Names<'a>,
    modules: Vec<(&'a str, FileId, Names<'a>)>,
    /// Modules that the user's file names: `use std.reset`.
    used_modules: Vec<&'a str>,
}

impl<'a> Declarations<'a> {
    /// The table of all files; the first is the user's.
    pub fn new(files: &'a [(String, ast::File)], diags: &mut Diagnostics) -> Declarations<'a> {
        let user = files.first().map_or(FileId(u32::MAX), |(_, file)| file.file);
        let mut res = Declarations { user, own: Names::new(), modules: Vec::new(), used_modules: Vec::new() };
        for (at, (module, file)) in files.iter().enumerate() {
            let names = names_of(file, diags);
            if at == 0 {
                res.own = names;
            } else {
                res.modules.push((module.strip_prefix("std.").unwrap_or(module), file.file, names));
            }
        }
        if let Some((_, file)) = files.first() {
            let uses = file.items.iter().filter_map(|item| match &item.kind {
                ItemKind::Use(u) => Some(u),
                _ => None,
            });
            uses.for_each(|u| res.add_use(u, diags));
        }
        res
    }

    /// Whether a file belongs to the library.
    pub fn is_library(&self, file: FileId) -> bool {
        self.modules.iter().any(|(_, id, _)| *id == file)
    }

    /// Declarations of the user's file, by name.
    pub fn own(&self) -> impl Iterator<Item = Decl<'a>> + '_ {
        self.own.values().copied()
    }

    /// A declaration of the user's file.
    pub fn find_own(&self, name: &str) -> Option<Decl<'a>> {
        self.own.get(name).copied()
    }

    /// What a path written in a file means, if the file itself declares it.
    pub fn in_file(&self, path: &ast::Path) -> Option<Decl<'a>> {
        let [name] = &path.segments[..] else { return None };
        match self.modules.iter().find(|(_, file, _)| *file == path.span.file) {
            Some((_, _, names)) => names.get(&name.text[..]).copied(),
            None => self.find_own(&name.text),
        }
    }

    /// What a path means in the library: `soft`, `reset.soft`, `std.reset.soft`.
    pub fn in_library(&self, path: &ast::Path) -> Option<Decl<'a>> {
        let texts: Vec<&str> = path.segments.iter().map(|s| &s.text[..]).collect();
        match texts[..] {
            [name] => self.modules.iter().find_map(|(_, _, names)| names.get(name).copied()),
            [module, name] if self.is_module_visible(module, path.span.file) => self.of_module(module, name),
            ["std", module, name] => self.of_module(module, name),
            _ => None,
        }
    }

    fn is_module_visible(&self, module: &str, file: FileId) -> bool {
        self.is_library(file) || self.used_modules.contains(&module)
    }

    fn of_module(&self, module: &str, name: &str) -> Option<Decl<'a>> {
        self.module(module)?.get(name).copied()
    }

    fn module(&self, module: &str) -> Option<&Names<'a>> {
        self.modules.iter().find(|(name, _, _)| *name == module).map(|(_, _, names)| names)
    }

    /// The declaration or function of the language that a path means where no name of a scope hides it.
    pub fn meaning(&self, path: &ast::Path) -> Option<Decl<'a>> {
        let builtin = || match &path.segments[..] {
            [name] => Decl::builtin(&name.text),
            _ => None,
        };
        self.in_file(path).or_else(builtin).or_else(|| self.in_library(path))
    }

    /// Names of what is of a kind, the file's own first.
    pub fn of_kind(&self, kind: &str) -> Vec<&'a str> {
        let library = self.modules.iter().flat_map(|(_, _, names)| names.values());
        let all = self.own.values().chain(library);
        all.filter(|decl| decl.kind() == kind).map(|decl| decl.name()).collect()
    }

    /// All names, for suggestions.
    pub fn names(&self) -> Vec<&'a str> {
        let library = self.modules.iter().flat_map(|(_, _, names)| names.keys());
        self.own.keys().chain(library).copied().collect()
    }

    /// Whether a path begins like one of the library; then its mistakes are about modules.
    pub fn explain_path(&self, path: &ast::Path) -> Option<String> {
        let texts: Vec<&str> = path.segments.iter().map(|s| &s.text[..]).collect();
        match texts[..] {
            ["std", "data", ..] => Some("data sets are declared: `data d = std.data.…`".to_string()),
            [module, _] if self.module(module).is_some() => {
                Some(format!("write `std.{}`, or `use std.{module}`", texts.join(".")))
            }
            _ => None,
        }
    }

    fn add_use(&mut self, u: &'a ast::Use, diags: &mut Diagnostics) {
        let segments = &u.path.segments;
        let [std, module, rest @ ..] = &segments[..] else {
            wrong_use(u, diags);
            return;
        };
        if std.text != "std" || rest.len() > 1 || (!rest.is_empty() && !u.names.is_empty()) {
            wrong_use(u, diags);
            return;
        }
        let Some(names) = self.module(&module.text) else {
            let modules = self.modules.iter().map(|(name, _, _)| *name);
            let near = closest(&module.text, modules.clone());
            let all = modules.map(|m| format!("`std.{m}`")).collect::<Vec<_>>().join(", ");
            let message =
                diags.report(Code::E0203, module.span, format!("there is no module `std.{}`", module.text));
            message.at("unknown module").note(format!("the modules are {all}"));
            if let Some(near) = near {
                message.help(format!("did you mean `std.{near}`?"));
            }
            return;
        };
        for name in rest.iter().chain(&u.names) {
            check_used_name(name, &module.text, names, &self.own, diags);
        }
        if rest.is_empty() && u.names.is_empty() {
            self.used_modules.push(&module.text);
        }
    }
}

fn check_used_name(name: &ast::Ident, module: &str, names: &Names, own: &Names, diags: &mut Diagnostics) {
    if !names.contains_key(&name.text[..]) {
        let near = closest(&name.text, names.keys().copied());
        let title = format!("`std.{module}` has no `{}`", name.text);
        let message = diags.report(Code::E0203, name.span, title);
        message.at("not in this module");
        match near {
            Some(near) => message.help(format!("did you mean `{near}`?")),
            None => message.help(format!("it has {}", list(names.keys().copied()))),
        };
    } else if let Some(decl) = own.get(&name.text[..]) {
        twice(&name.text, name.span, decl.name_span(), diags)
            .note("a name that is used from a module and declared in the file would mean two things");
    }
}

/// "`a`, `b`, `c`", at most eight.
pub(super) fn list<'n>(names: impl Iterator<Item = &'n str>) -> String {
    let mut texts: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    if texts.len() > 8 {
        texts.truncate(8);
        texts.push("…".to_string());
    }
    texts.join(", ")
}

fn wrong_use(u: &ast::Use, diags: &mut Diagnostics) {
    diags
        .report(Code::E0203, u.path.span, "a `use` that does not name a part of the library")
        .help("write `use std.neuron.{Lif, Integrator}`, `use std.init.kaiming_normal` or `use std.reset`");
}

/// Reports a name that is declared twice.
pub(super) fn twice<'d>(
    name: &str,
    second: Span,
    first: Span,
    diags: &'d mut Diagnostics,
) -> &'d mut crate::diag::Diagnostic {
    let message = diags.report(Code::E0202, second, format!("`{name}` is declared twice"));
    message.at("declared again").help("give one of them another name");
    match first {
        Span::NONE => message.note(format!("`{name}` has a meaning of its own here")),
        _ => message.label(first, "first declared here"),
    }
}

fn names_of<'a>(file: &'a ast::File, diags: &mut Diagnostics) -> Names<'a> {
    let mut names = Names::new();
    for decl in file.items.iter().filter_map(|item| Decl::of(&item.kind)) {
        match names.get(decl.name()) {
            None => {
                names.insert(decl.name(), decl);
            }
            Some(first) => {
                twice(decl.name(), decl.name_span(), first.name_span(), diags);
            }
        }
    }
    names
}

impl<'a> Cx<'a> {
    /// Reports a declaration of the wrong kind: `wanted` is `a neuron`, `a number`.
    pub fn wrong_kind(&mut self, span: Span, decl: Decl<'a>, wanted: &str) {
        let (name, kind, declared) = (decl.name(), decl.a_kind(), decl.name_span());
        let message = self.report(Code::E0301, span, format!("`{name}` is {kind}, not {wanted}"));
        message.at(format!("this is {kind}"));
        if declared != Span::NONE {
            message.label(declared, "declared here");
        }
        if let (Decl::Neuron(_), "a number") = (decl, wanted) {
            message.help(format!("a population of it is declared in a model: `let h = {name}[128]`"));
        }
    }
}
