//! Rules of the tree that a test can check: headers, sizes, imports, the standard library, error codes.

use crate::corpus::{files, name, root};
use libtest_mimic::{Failed, Trial};
use std::path::PathBuf;

/// Lines of a file at most.
const LINES: usize = 600;

/// One trial for each rule.
pub fn trials() -> Vec<Trial> {
    vec![
        Trial::test("tidy: every file says what it holds", headers),
        Trial::test("tidy: files are of readable size", sizes),
        Trial::test("tidy: imports follow the map", imports),
        Trial::test("tidy: the standard library is the folder", stdlib),
        Trial::test("tidy: the standard library is documented", documented),
        Trial::test("tidy: programs are in canonical layout", layout),
        Trial::test("tidy: every error of the compiler has a program", codes),
    ]
}

fn sources() -> Vec<PathBuf> {
    ["compiler/src", "runtime/src", "cli/src", "cli/tests", "tests/src"]
        .iter()
        .flat_map(|d| files(&root().join(d), "rs"))
        .collect()
}

fn all(what: &str, bad: Vec<String>) -> Result<(), Failed> {
    if bad.is_empty() { Ok(()) } else { Err(format!("{what}: {}", bad.join(", ")).into()) }
}

fn headers() -> Result<(), Failed> {
    let without = |p: &PathBuf| !std::fs::read_to_string(p).is_ok_and(|t| t.starts_with("//! "));
    all("no `//!` at the top", sources().iter().filter(|p| without(p)).map(|p| name(p)).collect())
}

fn sizes() -> Result<(), Failed> {
    let long = |p: &PathBuf| std::fs::read_to_string(p).is_ok_and(|t| t.lines().count() > LINES);
    all("too long", sources().iter().filter(|p| long(p)).map(|p| name(p)).collect())
}

/// `docs/language.md` names whatever the standard library declares.
fn documented() -> Result<(), Failed> {
    let page = std::fs::read_to_string(root().join("docs/language.md"))?;
    let mut bad = Vec::new();
    for path in files(&root().join("stdlib"), "snn") {
        let text = std::fs::read_to_string(&path)?;
        for line in text.lines() {
            let mut words = line.splitn(2, ' ');
            let is_item = ["neuron", "reset", "surrogate", "fn", "init", "optimizer", "circuit"]
                .contains(&words.next().unwrap_or(""));
            let rest = words.next().unwrap_or("");
            let name = rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
            if is_item && !page.contains(&format!("`{name}`")) {
                bad.push(name.to_string());
            }
        }
    }
    all("not in docs/language.md", bad)
}

fn imports() -> Result<(), Failed> {
    let mut bad = Vec::new();
    for path in sources() {
        let (text, at) = (std::fs::read_to_string(&path)?, name(&path));
        let code = text.split("#[cfg(test)]").next().unwrap_or("");
        let is_test = at.contains("/tests") || at.ends_with("suite.rs");
        let rules = [
            ("use pest", "compiler/src/parse/"),
            ("cranelift", "compiler/src/emit/"),
            ("codespan_reporting", "compiler/src/diag/"),
        ];
        for (word, home) in rules {
            let used = code
                .lines()
                .any(|l| l.trim_start().starts_with("use ") && l.contains(word.trim_start_matches("use ")));
            if used && !at.starts_with(home) && at.starts_with("compiler/") {
                bad.push(format!("{at} uses {word}"));
            }
        }
        let world = ["std::fs", "std::time", "std::thread"];
        if at.starts_with("compiler/src") && !is_test && world.iter().any(|w| code.contains(w)) {
            bad.push(format!("{at} touches files, clock or threads"));
        }
        if at.starts_with("runtime/") && code.contains("snn_compiler") {
            bad.push(format!("{at} names the compiler"));
        }
    }
    all("imports", bad)
}

fn stdlib() -> Result<(), Failed> {
    let mut listed: Vec<&str> = snn_compiler::stdlib::MODULES.iter().map(|(name, _)| *name).collect();
    listed.sort_unstable();
    let files = files(&root().join("stdlib"), "snn");
    // `init_spiking.snn` is a part of module `init`.
    let module = |p: &PathBuf| Some(p.file_stem()?.display().to_string().split('_').next()?.to_string());
    let mut there: Vec<String> = files.iter().filter_map(module).collect();
    there.dedup();
    if listed == there { Ok(()) } else { Err(format!("listed {listed:?}, there are {there:?}").into()) }
}

fn layout() -> Result<(), Failed> {
    let mut bad = Vec::new();
    for path in files(&root().join("examples"), "snn") {
        let text = std::fs::read_to_string(&path)?;
        let mut sources = snn_compiler::source::Sources::new();
        let id = sources.add(name(&path), text.clone());
        let mut diags = snn_compiler::diag::Diagnostics::new();
        let tree = snn_compiler::parse::file(&sources, id, &mut diags);
        if snn_compiler::ast::print::file(&tree, &sources) != text {
            bad.push(name(&path));
        }
    }
    all("run `snnc fmt` on", bad)
}

/// Codes of the compiler that no single program can show, with the reason.
const WITHOUT_PROGRAM: &[(&str, &str)] = &[
    ("E0107", "needs a file of more than 16 MB; see the tests of the parser"),
    ("E0106", "needs a thousand operators; see the tests of the parser"),
    ("E0110", "see the tests of the parser"),
    ("E0206", "belongs to the command line"),
    ("E0504", "needs the data"),
    ("E0506", "needs the data"),
    ("E0806", "belongs to gradcheck"),
];

fn codes() -> Result<(), Failed> {
    let names: Vec<String> =
        files(&root().join("tests/suite/errors"), "snn").iter().map(|p| name(p)).collect();
    let shown = |code: &str| {
        names.iter().any(|n| n.contains(code)) || WITHOUT_PROGRAM.iter().any(|(c, _)| *c == code)
    };
    let of_compiler = |code: &&str| code.starts_with('E') && !code.starts_with("E09");
    let codes = snn_compiler::diag::Code::ALL.iter().map(|c| c.name());
    all(
        "codes without a program",
        codes.filter(of_compiler).filter(|c| !shown(c)).map(String::from).collect(),
    )
}
