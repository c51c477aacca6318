//! Diagnostics: codes, messages with their places, rendering. The only code that knows codespan.
//!
//! `parse` and `analyze` collect [`Diagnostics`] and go on; nothing after `analyze` reports user errors.

pub mod code;
pub mod render;
pub mod suggest;

use crate::source::Span;
pub use code::Code;

/// How bad it is. A program with errors does not run; warnings are shown and the program runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The program does not run.
    Error,
    /// The program runs, probably not as meant.
    Warning,
}

/// One message: what is wrong, where, why, and what to type.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// `E0401`; its long text is what `snnc explain` prints.
    pub code: Code,
    /// One sentence in the user's words, without a final period.
    pub title: String,
    /// The cause, and at most a few words about it (may be empty).
    pub primary: (Span, String),
    /// Other places that matter ("declared here").
    pub labels: Vec<(Span, String)>,
    /// Why the rule exists.
    pub notes: Vec<String>,
    /// What to type.
    pub helps: Vec<String>,
}

impl Diagnostic {
    /// The severity is a property of the code: `W…` warns, `E…` is an error.
    pub fn severity(&self) -> Severity {
        if self.code.name().starts_with('W') { Severity::Warning } else { Severity::Error }
    }

    /// The words at the primary place.
    pub fn at(&mut self, text: impl Into<String>) -> &mut Diagnostic {
        self.primary.1 = text.into();
        self
    }

    /// Adds a secondary place.
    pub fn label(&mut self, span: Span, text: impl Into<String>) -> &mut Diagnostic {
        self.labels.push((span, text.into()));
        self
    }

    /// Adds a reason.
    pub fn note(&mut self, text: impl Into<String>) -> &mut Diagnostic {
        self.notes.push(text.into());
        self
    }

    /// Adds what to type.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Diagnostic {
        self.helps.push(text.into());
        self
    }
}

/// All messages of one compilation, in the order found.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    /// The messages.
    pub list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// No messages.
    pub fn new() -> Diagnostics {
        Diagnostics::default()
    }

    /// Adds a message; the result takes labels, notes and helps: `diags.report(Code::E0401, span, "…").help("…")`.
    pub fn report(&mut self, code: Code, span: Span, title: impl Into<String>) -> &mut Diagnostic {
        self.list.push(Diagnostic {
            code,
            title: title.into(),
            primary: (span, String::new()),
            labels: Vec::new(),
            notes: Vec::new(),
            helps: Vec::new(),
        });
        self.list.last_mut().expect("just pushed")
    }

    /// Whether any message is an error.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity() == Severity::Error)
    }
}
