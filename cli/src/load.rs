//! From a path to a checked program: reading, parsing, checking, and the messages of all that.

use crate::args::Common;
use snn_compiler::analyze::Overrides;
use snn_compiler::diag::{Code, Diagnostics, render};
use snn_compiler::pipeline::{self, Checked};
use snn_compiler::source::{Sources, Span};
use snn_compiler::{diag, parse};
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};

/// A program and what is needed to talk about it.
pub struct Loaded {
    /// The texts.
    pub sources: Sources,
    /// The program; free of errors.
    pub checked: Checked,
    /// Folder that data files are relative to.
    pub base: PathBuf,
    /// The path as given.
    pub path: String,
}

/// Why a command failed.
#[derive(Debug)]
pub struct Failure {
    /// What to print for people.
    pub text: String,
    /// For `--json`: code, message, file, line, column.
    pub errors: Vec<serde_json::Value>,
}

impl Failure {
    /// An error that has no place in the source.
    pub fn plain(code: &str, message: impl Into<String>, help: Option<String>) -> Failure {
        let message = message.into();
        let mut text = format!("error[{code}]: {message}");
        if let Some(help) = &help {
            text.push_str(&format!("\n  = help: {help}"));
        }
        Failure { text, errors: vec![serde_json::json!({"code": code, "message": message, "help": help})] }
    }
}

impl From<snn_runtime::error::RuntimeError> for Failure {
    fn from(e: snn_runtime::error::RuntimeError) -> Failure {
        let errors =
            vec![serde_json::json!({"code": e.code, "message": e.message, "place": e.place, "help": e.help})];
        Failure { text: e.to_string(), errors }
    }
}

/// Whether messages may be coloured.
pub fn color() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Reads and checks a file; prints warnings to standard error.
pub fn load(path: &Path, common: &Common) -> Result<Loaded, Failure> {
    let text = read(path)?;
    let mut sources = Sources::new();
    let file = sources.add(path.display().to_string(), text);
    let mut diags = Diagnostics::new();
    let overrides = overrides(common, &mut sources, &mut diags)?;
    let checked = pipeline::check(&mut sources, file, &overrides, &mut diags);
    if diags.has_errors() {
        return Err(failure(&diags, &sources));
    }
    if !diags.list.is_empty() && !common.shared.quiet {
        eprint!("{}", render::to_text(&diags, &sources, color()));
    }
    let base = path.parent().map(Path::to_path_buf).unwrap_or_default();
    Ok(Loaded { sources, checked, base, path: path.display().to_string() })
}

/// The text of a file; `-` is standard input.
pub fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|b| bytes = b)
    };
    if let Err(e) = result {
        let message = format!("`{}` cannot be read: {e}", path.display());
        return Err(Failure::plain("E0901", message, Some("give the path of a .snn file".into())));
    }
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let message = format!("`{}` is not UTF-8 text: byte {at} does not fit", path.display());
        Failure::plain("E0902", message, Some("save the file as UTF-8".into()))
    })
}

fn overrides(common: &Common, sources: &mut Sources, diags: &mut Diagnostics) -> Result<Overrides, Failure> {
    let mut params = Vec::new();
    for text in &common.params {
        let Some((name, value)) = text.split_once('=') else {
            let help = Some("write -p name=value, for example -p tau=\"5 ms\"".to_string());
            return Err(Failure::plain("E0206", format!("`-p {text}` has no `=`"), help));
        };
        let file = sources.add(format!("-p {name}"), value);
        match parse::expression(sources, file, diags) {
            Some(expr) => params.push((name.trim().to_string(), expr)),
            None if value.contains(',') || value.contains("..") => {
                if let Some(message) = diags.list.last_mut() {
                    message.help("one value is wanted here; lists and ranges of values are for `snnc sweep`");
                }
            }
            None => {}
        }
    }
    Ok(Overrides { params, seed: common.seed, epochs: common.shared.epochs })
}

/// All messages as one failure.
pub fn failure(diags: &Diagnostics, sources: &Sources) -> Failure {
    let errors = diags
        .list
        .iter()
        .map(|d| {
            let (line, column) = sources.line_column(d.primary.0);
            serde_json::json!({
                "code": d.code.name(), "message": d.title, "file": sources.name(d.primary.0.file),
                "line": line, "column": column, "help": d.helps.first(),
            })
        })
        .collect();
    Failure { text: render::to_text(diags, sources, color()).trim_end().to_string(), errors }
}

/// A message at a place of the source, found while a job was prepared.
pub fn at(sources: &Sources, code: Code, span: Span, title: String, help: &str) -> Failure {
    let mut diags = diag::Diagnostics::new();
    let d = diags.report(code, span, title);
    if !help.is_empty() {
        d.help(help);
    }
    failure(&diags, sources)
}
