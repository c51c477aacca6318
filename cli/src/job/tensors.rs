//! Tensors of files for initializers: they are read here and given to the compiler as data; and the messages if they do not fit.

use crate::load::{Failure, Loaded, at};
use snn_compiler::diag::Code;
use snn_compiler::hir::{Model, Param};
use snn_compiler::lower::{Misfit, Tensor, Tensors};
use snn_compiler::source::Sources;
use snn_runtime::error::RuntimeError;
use snn_runtime::train::tensors::File;
use std::collections::BTreeMap;

/// What the initializers of a model read of files. Files are read each time: a training of the same program may have written them.
pub fn of_model(loaded: &Loaded, model: &Model) -> Result<Tensors, Failure> {
    let mut files: BTreeMap<&str, File> = BTreeMap::new();
    let mut tensors = Tensors::new();
    for param in &model.params {
        for stored in param.init.value.stored() {
            let failure = |error: RuntimeError| unread(&loaded.sources, param, &error);
            if !files.contains_key(&stored.file[..]) {
                let file = File::read(&loaded.base.join(&stored.file)).map_err(failure)?;
                files.insert(&stored.file, file);
            }
            let (shape, values) = files[&stored.file[..]].tensor(&stored.tensor).map_err(failure)?;
            tensors.insert(stored.clone(), Tensor { shape, values });
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

/// The message of a parameter whose initializer asks a tensor for what it does not have.
pub fn misfit(sources: &Sources, param: &Param, misfit: &Misfit) -> Failure {
    let Misfit { stored, shape, index } = misfit;
    let name = format!("tensor `{}` of {}", stored.tensor, stored.file);
    let (title, help) = if shape.len() == index.len() {
        let at: Vec<String> = index.iter().map(|i| i.to_string()).collect();
        (
            format!("{name} has {shape:?} values, and element [{}] is asked for", at.join(", ")),
            format!(
                "`{}` has {:?} values: take them from a tensor that is at least as large along each axis, or use `widen`",
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
