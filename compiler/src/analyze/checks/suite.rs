//! Runs `tests/suite/errors`: programs with one mistake each. The first line of a file, `//! expect E0401`, says what must be
//! reported; `//! expect nothing` stands in the valid twins `*_ok.snn`, which must not report the code of their name.

use super::RULES;
use crate::analyze::{self, Overrides};
use crate::diag::{Code, Diagnostics, Severity};
use crate::hir;
use crate::source::Sources;
use crate::{parse, stdlib};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// A file of the suite.
struct Case {
    name: String,
    text: String,
}

impl Case {
    /// The code of its name: `E0401`.
    fn code(&self) -> &str {
        self.name.split('_').next().unwrap_or("")
    }

    /// The expected code; none for a valid program.
    fn expected(&self) -> Option<&str> {
        let line = self.text.lines().next().unwrap_or("");
        let word = line.strip_prefix("//! expect ").unwrap_or_else(|| panic!("{} has no header", self.name));
        (word != "nothing").then_some(word)
    }
}

fn cases() -> Vec<Case> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/suite/errors");
    let read = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut cases: Vec<Case> = read
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_stem()?.to_string_lossy().into_owned();
            let is_case = path.extension().is_some_and(|ext| ext == "snn");
            is_case.then(|| Case { name, text: std::fs::read_to_string(&path).expect("a readable file") })
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() > 100, "only {} files in {}", cases.len(), folder.display());
    cases
}

/// Analyzes a text with the standard library.
pub(in crate::analyze) fn analyze(text: &str) -> (hir::Program, Diagnostics, Sources) {
    let (mut sources, mut diags) = (Sources::new(), Diagnostics::new());
    let user = sources.add("test.snn", text);
    let mut files = vec![(String::new(), parse::file(&sources, user, &mut diags))];
    for (module, text) in stdlib::MODULES {
        let file = sources.add(format!("std/{module}.snn"), *text);
        files.push((format!("std.{module}"), parse::file(&sources, file, &mut diags)));
    }
    let program = analyze::program(&files, &sources, &Overrides::default(), &mut diags);
    (program, diags, sources)
}

/// What is wrong with the messages of a case; none if all is well.
fn failure(case: &Case, program: &hir::Program, diags: &Diagnostics) -> Option<String> {
    let listed: Vec<String> = diags.list.iter().map(|d| format!("{} {}", d.code.name(), d.title)).collect();
    let has = |code: &str| diags.list.iter().any(|d| d.code.name() == code);
    let errors: BTreeSet<&str> =
        diags.list.iter().filter(|d| d.severity() == Severity::Error).map(|d| d.code.name()).collect();
    let fits = match case.expected() {
        Some(code) => has(code) && errors.iter().all(|error| *error == code),
        None => errors.is_empty() && !has(case.code()),
    };
    if !fits {
        return Some(format!("{}: {}", case.name, listed.join("; ")));
    }
    if !diags.has_errors()
        && let Err(bug) = hir::verify::program(program)
    {
        return Some(format!("{}: the result is broken: {bug}", case.name));
    }
    None
}

#[test]
fn every_mistake_gets_its_code() {
    let mut failures = Vec::new();
    for case in cases() {
        let (program, diags, _) = analyze(&case.text);
        failures.extend(failure(&case, &program, &diags));
    }
    assert!(failures.is_empty(), "{} files fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn one_mistake_gives_one_message() {
    let mut failures = Vec::new();
    for case in cases() {
        let Some(code) = case.expected() else { continue };
        let (_, diags, _) = analyze(&case.text);
        let count = diags.list.iter().filter(|d| d.code.name() == code).count();
        if count != 1 {
            failures.push(format!("{}: {count} messages", case.name));
        }
    }
    assert!(failures.is_empty(), "{} files fail:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn messages_say_where_and_what_to_type() {
    let mut failures = Vec::new();
    for case in cases().iter().filter(|case| case.expected().is_some()) {
        let (_, diags, sources) = analyze(&case.text);
        for d in &diags.list {
            let place = sources.name(d.primary.0.file);
            let words = d.primary.1.split_whitespace().count();
            let has_help = d.code.name() < "E06" || !d.helps.is_empty();
            if place != "test.snn" || words > 10 || !has_help || d.title.ends_with('.') {
                failures
                    .push(format!("{}: {} ({place}: {:?}, {:?})", case.name, d.title, d.primary.1, d.helps));
            }
        }
    }
    assert!(failures.is_empty(), "{} messages:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_rule_has_a_mistake_and_a_valid_twin() {
    let cases = cases();
    let codes: BTreeSet<&str> = cases.iter().filter_map(Case::expected).collect();
    assert!(codes.len() >= 65, "{} codes", codes.len());
    for code in RULES.iter().flat_map(|rule| rule.codes).map(|code: &Code| code.name()) {
        assert!(codes.contains(code), "no program with the mistake {code}");
        let is_twin = |case: &Case| case.expected().is_none() && case.code() == code;
        assert!(cases.iter().any(is_twin), "no valid twin for {code}");
    }
}

#[test]
fn valid_programs_are_printed() {
    for case in cases().iter().filter(|case| case.expected().is_none()) {
        let (program, _, _) = analyze(&case.text);
        let text = program.to_string();
        assert_eq!(text, program.to_string());
        for bad in ["population0", "state0", "param0", "local0", "NaN", "model0"] {
            assert!(!text.contains(bad), "{}: {bad} in\n{text}", case.name);
        }
    }
}

#[test]
fn programs_that_miss_a_line_are_answered() {
    for case in cases().iter().filter(|case| case.code() != "E0105") {
        let lines: Vec<&str> = case.text.lines().collect();
        for left_out in 1..lines.len() {
            let text: Vec<&str> =
                lines.iter().enumerate().filter(|(at, _)| *at != left_out).map(|(_, line)| *line).collect();
            let (program, diags, _) = analyze(&text.join("\n"));
            if !diags.has_errors() {
                let verified = hir::verify::program(&program);
                assert_eq!(verified, Ok(()), "{} without line {left_out}", case.name);
            }
        }
    }
}

#[test]
fn long_expressions_need_no_large_stack() {
    let sum = " + i".repeat(990);
    let text = format!(
        "neuron N {{ input i   state v = 0   v' = (i - v{sum}) / 20 ms   integrate exact
                     fire v{sum} >= 1 with atan   v = v{sum}   emit fired }}
         model M {{ input x: [4]   population h[4] excitatory: N   let y = Integrator[1]
                    learn w: [y, h] >= 0 = 1{ones}   x -> h : dense   y.in = w * h   output y.v }}
         simulate M for 20 ms {{ x = 1   report mean(y.v{ys}) }}",
        ones = " * 1".repeat(990),
        ys = " - y.v".repeat(990),
    );
    let (program, diags, _) = analyze(&text);
    let messages: Vec<&str> = diags.list.iter().map(|d| d.title.as_str()).collect();
    assert!(messages.is_empty(), "{messages:?}");
    assert_eq!(hir::verify::program(&program), Ok(()));
    assert!(program.to_string().len() > 10_000);
}
