//! Tensors of files for initializers: they are read here and given to the compiler as data; and the messages if they do not fit.

use crate::load::{Failure, Loaded, at, color};
use snn_compiler::diag::{Code, Diagnostics, render};
use snn_compiler::hir::{Param, Stored};
use snn_compiler::lower::{Refusal, Tensor, Tensors};
use snn_compiler::source::Sources;
use snn_runtime::error::RuntimeError;
use snn_runtime::train::tensors::File;
use std::collections::BTreeMap;

/// What initializers read of files, of tensors that are there. Files are read each time: a training of the same program may have written them.
pub fn of<'p>(loaded: &Loaded, params: impl IntoIterator<Item = &'p Param>) -> Result<Tensors, Failure> {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    let mut tensors = Tensors::new();
    for param in params {
        for stored in param.init.value.stored() {
            let failure = |error: RuntimeError| unread(&loaded.sources, param, &error);
            if !files.contains_key(&stored.file[..]) {
                let file = File::read(&loaded.base.join(&stored.file)).map_err(failure)?;
                files.insert(&stored.file, file);
            }
            let file = &files[&stored.file[..]];
            if file.has(&stored.tensor).map_err(failure)? {
                let (shape, values) = file.tensor(&stored.tensor).map_err(failure)?;
                tensors.insert(stored.clone(), Tensor { shape, values });
            }
        }
    }
    Ok(tensors)
}

/// A file or tensor that cannot be read, and which parameter wanted it.
fn unread(sources: &Sources, param: &Param, error: &RuntimeError) -> Failure {
    let code = Code::from_name(error.code).unwrap_or(Code::E0905);
    let place = error.place.as_deref().map_or(String::new(), |place| format!("{place}: "));
    let title = format!("{place}{}; it is read by the initializer of `{}`", error.message, param.name);
    at(sources, code, param.span, title, error.help.as_deref().unwrap_or(""))
}

/// The tensor of which an initializer, which has values, wanted something and did not find it: what it does instead was meant for that.
pub fn missing<'p>(tensors: &Tensors, param: &'p Param) -> Option<&'p Stored> {
    param.init.value.stored().into_iter().find(|stored| !tensors.contains_key(*stored))
}

/// Says on standard error that a tensor was not found.
pub fn warn(sources: &Sources, param: &Param, stored: &Stored) {
    let title = format!(
        "{} has no tensor `{}`, so that `{}` starts otherwise",
        stored.file, stored.tensor, param.name
    );
    let mut diags = Diagnostics::new();
    diags.report(Code::W0902, param.span, title).at(format!("`{}`", param.init.text));
    eprint!("{}", render::to_text(&diags, sources, color()));
}

/// The message of a parameter whose initializer has no values.
pub fn refused(loaded: &Loaded, param: &Param, refusal: &Refusal) -> Failure {
    let sources = &loaded.sources;
    match refusal {
        Refusal::Missing(stored) => {
            let read =
                File::read(&loaded.base.join(&stored.file)).and_then(|file| file.tensor(&stored.tensor));
            let lost = || RuntimeError::new("E0905", format!("the file had no tensor `{}`", stored.tensor));
            unread(sources, param, &read.err().unwrap_or_else(lost))
        }
        Refusal::Misfit { stored, shape, index } => misfit(sources, param, (stored, shape, index)),
        Refusal::Unmet { problem, help } => {
            let title =
                format!("`{}` starts with `{}`, which has no values: {problem}", param.name, param.init.text);
            at(sources, Code::E0712, param.span, title, help)
        }
    }
}

/// The message of a parameter whose initializer asks a tensor for what it does not have.
fn misfit(sources: &Sources, param: &Param, (stored, shape, index): (&Stored, &[usize], &[f64])) -> Failure {
    let name = format!("tensor `{}` of {}", stored.tensor, stored.file);
    let (title, help) = if shape.len() == index.len() {
        let at: Vec<String> = index.iter().map(|i| i.to_string()).collect();
        let other = if param.name.contains('/') { "kept" } else { "widen" };
        (
            format!("{name} has {shape:?} values, and element [{}] is asked for", at.join(", ")),
            format!(
                "`{}` has {:?} values: take them from a tensor that is at least as large along each axis, or use `{other}`",
                param.name, param.shape
            ),
        )
    } else {
        let axes = |n: usize| if n == 1 { "1 axis".to_string() } else { format!("{n} axes") };
        (
            format!("{name} has {}, and one with {} is wanted", axes(shape.len()), axes(index.len())),
            format!("`{}` has {:?} values: name a tensor of the same kind", param.name, param.shape),
        )
    };
    let title = format!("{title} by `{}`", param.init.text);
    at(sources, Code::E0905, param.span, title, &help)
}
