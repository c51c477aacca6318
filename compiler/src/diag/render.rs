//! Diagnostics to text for people; the only code that knows codespan. Writes nowhere itself.
//!
//! Messages are sorted by place, identical ones are shown once. A line that is too long for a terminal (generated
//! files, one line of megabytes) is shown as a window around the place.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use codespan_reporting::diagnostic::{Diagnostic as Report, Label, LabelStyle};
use codespan_reporting::files::{Error, Files};
use codespan_reporting::term::termcolor::Ansi;
use codespan_reporting::term::{self, Config, Styles, StylesWriter};

use super::{Code, Diagnostic, Diagnostics, Severity};
use crate::source::{FileId, Sources, Span};

/// Most messages that are shown; the rest are counted.
const SHOWN_MAX: usize = 50;
/// Longest line that is shown whole, in bytes.
const LINE_MAX: usize = 200;
/// Longest title, label, note or help, in characters.
const WORDS_MAX: usize = 1000;
/// How much of a longer line is shown before the place.
const WINDOW_BEFORE: usize = 60;

/// All messages as text, with the lines they are about.
pub fn to_text(diags: &Diagnostics, sources: &Sources, color: bool) -> String {
    let mut list: Vec<&Diagnostic> = Vec::new();
    let mut sorted: Vec<&Diagnostic> = diags.list.iter().collect();
    sorted.sort_by_key(|d| d.primary.0);
    for diag in sorted {
        let same = |d: &&&Diagnostic| d.primary.0 == diag.primary.0;
        let repeated =
            list.iter().rev().take_while(same).any(|d| d.code == diag.code && d.title == diag.title);
        if !repeated {
            list.push(diag);
        }
    }
    let mut lines = BTreeMap::new();
    let mut text = String::new();
    for diag in list.iter().take(SHOWN_MAX) {
        one(diag, sources, color, &mut lines, &mut text);
    }
    if list.len() > SHOWN_MAX {
        text.push_str(&format!("… and {} more\n", list.len() - SHOWN_MAX));
    }
    text
}

/// The long text of a code, under its title.
pub fn explain(code: Code) -> String {
    format!("{}: {}\n\n{}", code.name(), code.title(), code.explanation())
}

/// Starts of the lines of each file that was needed so far.
type LineStarts = BTreeMap<FileId, Vec<usize>>;

fn one(diag: &Diagnostic, sources: &Sources, color: bool, lines: &mut LineStarts, text: &mut String) {
    let mut report = match diag.severity() {
        Severity::Error => Report::error(),
        Severity::Warning => Report::warning(),
    };
    report = report.with_code(diag.code.name()).with_message(words(&diag.title));
    let mut view = View { files: Vec::new() };
    let primary = std::iter::once((&diag.primary, LabelStyle::Primary));
    for ((span, said), style) in primary.chain(diag.labels.iter().map(|l| (l, LabelStyle::Secondary))) {
        if span.file == Span::NONE.file {
            continue;
        }
        let starts = lines.entry(span.file).or_insert_with(|| line_starts(sources.text(span.file)));
        match view.place(*span, sources, starts, diag) {
            Some((file, range)) => {
                report = report.with_label(Label::new(style, file, range).with_message(words(said)))
            }
            None => {
                let (line, column) = sources.line_column(*span);
                report = report.with_note(format!("{}: line {line}, column {column}", words(said)));
            }
        }
    }
    report = report.with_notes(diag.notes.iter().map(|n| format!("note: {}", words(n))).collect());
    report = report.with_notes(diag.helps.iter().map(|h| format!("help: {}", words(h))).collect());
    text.push_str(&emit(&view, &report, color));
}

fn emit(view: &View, report: &Report<usize>, color: bool) -> String {
    let config = Config::default();
    let mut bytes = Vec::new();
    let done = if color {
        let styles = Styles::default();
        let mut writer = StylesWriter::new(Ansi::new(&mut bytes), &styles);
        term::emit_to_write_style(&mut writer, &config, view, report)
    } else {
        term::emit_to_io_write(&mut bytes, &config, view, report)
    };
    match done {
        Ok(()) => String::from_utf8_lossy(&bytes).into_owned(),
        // Only an inconsistent view gets here; the message itself must not be lost.
        Err(_) => format!("{}: {}\n", report.code.as_deref().unwrap_or(""), report.message),
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    std::iter::once(0)
        .chain(text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at + 1))
        .collect()
}

/// The texts one message shows: whole files, or the windows of long lines.
struct View<'a> {
    files: Vec<Part<'a>>,
}

/// A file, or a window of one of its lines.
struct Part<'a> {
    id: FileId,
    name: &'a str,
    text: Cow<'a, str>,
    /// Starts of the lines of `text`.
    starts: Vec<usize>,
    /// Number of the first line and of the first column, from 0.
    line: usize,
    column: usize,
    /// For a window: what it shows of the file, and how many bytes stand before that in `text`.
    window: Option<(Range<usize>, usize)>,
}

impl<'a> View<'a> {
    /// The part and range a span is shown as; none if the window shows another place of a long line.
    fn place(
        &mut self,
        span: Span,
        sources: &'a Sources,
        starts: &[usize],
        diag: &Diagnostic,
    ) -> Option<(usize, Range<usize>)> {
        let text = sources.text(span.file);
        let range = clamp(text, span);
        if let Some(known) = self.files.iter().position(|p| p.id == span.file) {
            return self.files[known].show(range).map(|r| (known, r));
        }
        let spans = std::iter::once(&diag.primary).chain(&diag.labels).filter(|(s, _)| s.file == span.file);
        let is_long = spans.map(|(s, _)| clamp(text, *s)).any(|r| {
            let (first, last) = (line_of(starts, r.start), line_of(starts, r.end));
            (first..=last).take(3).chain([last]).any(|l| line_range(text, starts, l).len() > LINE_MAX)
        });
        let name = sources.name(span.file);
        let part = if is_long { window(text, starts, &range) } else { whole(text, starts) };
        self.files.push(Part { id: span.file, name, ..part });
        let at = self.files.len() - 1;
        self.files[at].show(range).map(|r| (at, r))
    }
}

/// The words of a message, cut if a name in it makes them endless.
fn words(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(WORDS_MAX) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.into_owned(),
    }
}

/// The text with characters that would change the terminal, or hide what is there, replaced by others of as many
/// bytes.
fn printable(text: &str) -> Cow<'_, str> {
    let is_bad = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t' | '\r'))
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(is_bad) {
        return text.into();
    }
    let replaced = |c: char| match c.len_utf8() {
        _ if !is_bad(c) => c,
        1 => '?',
        2 => '\u{b7}',
        _ => '\u{fffd}',
    };
    text.chars().map(replaced).collect::<String>().into()
}

fn whole<'a>(text: &'a str, starts: &[usize]) -> Part<'a> {
    Part {
        id: FileId(0),
        name: "",
        text: printable(text),
        starts: starts.to_vec(),
        line: 0,
        column: 0,
        window: None,
    }
}

/// The part of a line around a place.
fn window<'a>(text: &'a str, starts: &[usize], range: &Range<usize>) -> Part<'a> {
    let line = line_of(starts, range.start);
    let whole = line_range(text, starts, line);
    let from = floor(text, range.start.saturating_sub(WINDOW_BEFORE).max(whole.start));
    let to = floor(text, (from + LINE_MAX).min(whole.end));
    let mut shown = String::new();
    if from > whole.start {
        shown.push('…');
    }
    let before = shown.len();
    shown.push_str(&printable(&text[from..to]));
    if to < whole.end {
        shown.push('…');
    }
    let column = text[whole.start..from].chars().count() - usize::from(before > 0);
    Part {
        id: FileId(0),
        name: "",
        text: shown.into(),
        starts: vec![0],
        line,
        column,
        window: Some((from..to, before)),
    }
}

impl Part<'_> {
    /// Where a range of the file is in this part.
    fn show(&self, range: Range<usize>) -> Option<Range<usize>> {
        let Some((shown, before)) = &self.window else { return Some(range) };
        if range.start < shown.start || range.start > shown.end {
            return None;
        }
        let end = range.end.min(shown.end);
        Some(range.start - shown.start + before..end - shown.start + before)
    }
}

/// The range of a span, cut to the text and to characters.
fn clamp(text: &str, span: Span) -> Range<usize> {
    let start = floor(text, span.start as usize);
    start..floor(text, span.end as usize).max(start)
}

/// The last character boundary up to `at`.
fn floor(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn line_of(starts: &[usize], at: usize) -> usize {
    starts.partition_point(|&s| s <= at) - 1
}

/// A line without its end.
fn line_range(text: &str, starts: &[usize], line: usize) -> Range<usize> {
    let end = starts.get(line + 1).map_or(text.len(), |&next| next - 1);
    starts[line]..end
}

impl<'a> Files<'a> for View<'a> {
    type FileId = usize;
    type Name = &'a str;
    type Source = &'a str;

    fn name(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(self.part(id)?.name)
    }

    fn source(&'a self, id: usize) -> Result<&'a str, Error> {
        Ok(&self.part(id)?.text)
    }

    fn line_index(&'a self, id: usize, byte_index: usize) -> Result<usize, Error> {
        Ok(line_of(&self.part(id)?.starts, byte_index))
    }

    fn line_number(&'a self, id: usize, line_index: usize) -> Result<usize, Error> {
        Ok(self.part(id)?.line + line_index + 1)
    }

    fn column_number(&'a self, id: usize, line_index: usize, byte_index: usize) -> Result<usize, Error> {
        let part = self.part(id)?;
        let start = part.starts.get(line_index).copied().unwrap_or(0);
        let before = part.text.get(start..byte_index.max(start)).unwrap_or("");
        Ok(part.column + before.chars().count() + 1)
    }

    fn line_range(&'a self, id: usize, line_index: usize) -> Result<Range<usize>, Error> {
        let part = self.part(id)?;
        match part.starts.get(line_index) {
            Some(&start) => {
                let end = part.starts.get(line_index + 1).copied().unwrap_or(part.text.len());
                Ok(start..end)
            }
            None => Err(Error::LineTooLarge { given: line_index, max: part.starts.len() - 1 }),
        }
    }
}

impl<'a> View<'a> {
    fn part(&self, id: usize) -> Result<&Part<'a>, Error> {
        self.files.get(id).ok_or(Error::FileMissing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Renders one message about the first occurrence of `at`.
    fn rendered(text: &str, at: &str) -> String {
        let mut sources = Sources::new();
        let file = sources.add("a.snn", text);
        let start = text.find(at).expect("the text holds the place") as u32;
        let span = Span { file, start, end: start + at.len() as u32 };
        let mut diags = Diagnostics::new();
        let first = Span { file, start: 0, end: 5 };
        diags
            .report(Code::E0201, span, "unknown name")
            .at("here")
            .label(first, "declared")
            .note("why")
            .help("do");
        to_text(&diags, &sources, false)
    }

    #[test]
    fn message_shows_lines_labels_notes_and_helps() {
        let want = "\
error[E0201]: unknown name
  ┌─ a.snn:2:11
  │
1 │ param a = 1
  │ ----- declared
2 │ param b = zz
  │           ^^ here
  │
  = note: why
  = help: do

";
        assert_eq!(rendered("param a = 1\nparam b = zz\n", "zz"), want);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text =
            format!("param a = 1\nparam b = {}zzz + {}\n", "x + ".repeat(500_000), "y + ".repeat(500_000));
        let res = rendered(&text, "zzz");
        assert!(res.len() < 2000, "{}", res.len());
        assert!(res.contains("a.snn:2:2000011") && res.contains("zzz") && res.contains("^^^ here"), "{res}");
        assert!(res.contains("declared: line 1, column 1"), "{res}");
    }

    #[test]
    fn messages_are_sorted_counted_and_not_repeated() {
        let mut sources = Sources::new();
        let file = sources.add("a.snn", "x".repeat(100));
        let mut diags = Diagnostics::new();
        for start in (0..60).rev() {
            for _ in 0..2 {
                diags.report(Code::E0201, Span { file, start, end: start + 1 }, "unknown");
            }
        }
        let text = to_text(&diags, &sources, false);
        assert_eq!(text.matches("error[E0201]").count(), 50);
        assert!(text.ends_with("… and 10 more\n"));
        let first = text.find("a.snn:1:1\n").expect("first");
        assert!(first < text.find("a.snn:1:2\n").expect("second"));
    }

    #[test]
    fn spans_without_text_and_bad_spans_do_not_panic() {
        let mut sources = Sources::new();
        let file = sources.add("a.snn", "ä\r\nö");
        let mut diags = Diagnostics::new();
        diags.report(Code::E0901, Span::NONE, "no file");
        for (start, end) in [(0, 0), (1, 2), (4, 1), (7, 7), (90, 99), (5, 6)] {
            diags.report(Code::W0201, Span { file, start, end }, format!("{start}")).label(Span::NONE, "x");
        }
        let text = to_text(&diags, &sources, false);
        assert!(text.contains("error[E0901]: no file\n"), "{text}");
        assert_eq!(text.matches("warning[W0201]").count(), 6);
        assert!(to_text(&diags, &sources, true).contains("\u{1b}["));
    }

    #[test]
    fn control_characters_are_not_sent_to_the_terminal() {
        let text = rendered("param a = 1\nparam \u{1b}[31m b\0\u{85}\u{202e} = zz", "zz");
        assert!(text.contains("param ?[31m b?\u{b7}\u{fffd} = zz"), "{text}");
    }

    #[test]
    fn explanations_have_a_title() {
        assert!(explain(Code::E0104).starts_with("E0104: comparisons do not chain\n\n"));
    }
}
