//! Syntax trees to HIR: imports, names, kinds, units, shapes, circuits, checks. The last place where the user can be wrong.

mod args;
mod axes;
mod builtin;
mod call;
mod chain;
mod checks;
mod circuit;
mod context;
mod declare;
mod drive;
mod expr;
mod files;
mod init;
mod input;
mod job;
mod layers;
mod neuron;
mod norm;
mod param;
mod parts;
mod pointwise;
mod projection;
mod reset;
mod running;
mod scope;
mod sign;
mod since;
mod spatial;
mod step;
mod support;
mod target;
#[cfg(test)]
mod tests;
mod undone;
mod unit;
mod unused;
mod weights;
mod whole;

use crate::ast::{self, ItemKind, JobKind};
use crate::diag::suggest::closest;
use crate::diag::{Code, Diagnostics};
use crate::hir;
use crate::source::Sources;
use context::Cx;
use declare::{Decl, Declarations};
use scope::{Place, Scope};

/// What the command line says about a program.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `-p name=value`: parsed expressions that replace the values of `param`s of the file.
    pub params: Vec<(String, ast::Expr)>,
    /// `--seed`
    pub seed: Option<u64>,
    /// `--epochs`
    pub epochs: Option<usize>,
}

/// Analyzes the user's file. `files[0]` is the user's, the others are the standard library (named `std.neuron`, …, in `modules`).
/// Reports everything it finds; the result may be used only if there are no errors.
pub fn program(
    files: &[(String, ast::File)],
    sources: &Sources,
    overrides: &Overrides,
    diags: &mut Diagnostics,
) -> hir::Program {
    let Some((_, file)) = files.first() else { return hir::Program::default() };
    let decls = Declarations::new(files, diags);
    let mut cx = Cx::new(sources, decls, diags);
    override_params(&mut cx, overrides);
    models(&mut cx, file);
    job::all(&mut cx, file, overrides);
    unused::check(&mut cx, file);
    cx.finish_messages();
    let program = std::mem::take(&mut cx.program);
    // After mistakes only the rules that are sure of what is left.
    checks::program(&program, cx.diags);
    unused::warn(&mut cx, file);
    program
}

/// Takes note of `-p` values.
fn override_params<'a>(cx: &mut Cx<'a>, overrides: &'a Overrides) {
    for (name, value) in &overrides.params {
        if let Some(Decl::Param(_)) = cx.decls.find_own(name) {
            cx.overrides.insert(name, value);
            continue;
        }
        let params = cx.decls.own().filter(|decl| matches!(decl, Decl::Param(_)));
        let params: Vec<&str> = params.map(|decl| decl.name()).collect();
        let message = cx.diags.report(Code::E0206, value.span, format!("the file has no `param {name}`"));
        message.at("given on the command line");
        match closest(name, params.iter().copied()) {
            _ if name == "seed" => message.help("the seed of all jobs is `--seed`"),
            Some(near) => message.help(format!("did you mean `{near}`?")),
            None if params.is_empty() => message.help(format!("declare it: `param {name} = …`")),
            None => message.help(format!("it has {}", declare::list(params.into_iter()))),
        };
    }
}

/// Elaborates the models of a file that can be made without arguments.
fn models<'a>(cx: &mut Cx<'a>, file: &'a ast::File) {
    for item in &file.items {
        let ItemKind::Circuit(decl) = &item.kind else { continue };
        if decl.is_model && decl.params.iter().all(|param| param.default.is_some()) {
            cx.new_declaration();
            let needs_output = is_fitted(file, &decl.name.text);
            circuit::model(cx, &mut Scope::new(Place::Constant), decl, &[], needs_output);
        }
    }
}

/// Whether an output of a model is needed: it is trained or evaluated, or nothing is done with it yet.
fn is_fitted(file: &ast::File, model: &str) -> bool {
    let mut kinds = file.items.iter().filter_map(|item| match &item.kind {
        ItemKind::Job(job) => is_of(job, model).then_some(job.kind),
        _ => None,
    });
    let mut jobs = 0;
    kinds.any(|kind| {
        jobs += 1;
        kind != JobKind::Simulate
    }) || jobs == 0
}

fn is_of(job: &ast::Job, model: &str) -> bool {
    match &job.subject.kind {
        ast::ExprKind::Name(path) | ast::ExprKind::Call { callee: path, .. } => {
            path.segments.len() == 1 && path.segments[0].text == model
        }
        _ => false,
    }
}
