//! The error corpus: each file of `tests/suite/errors` names in its first line the code that it must give (`nothing` for valid
//! twins); the rendered message is pinned beside it.

use crate::corpus::{common, files, name, root};
use libtest_mimic::{Failed, Trial};
use snnc::load::load;
use std::path::Path;

/// One trial for each file.
pub fn trials() -> Vec<Trial> {
    let dir = root().join("tests/suite/errors");
    files(&dir, "snn").into_iter().map(|path| Trial::test(name(&path), move || check(&path))).collect()
}

fn check(path: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(path)?;
    let expected =
        text.lines().find_map(|l| l.strip_prefix("//! expect ")).unwrap_or("nothing").trim().to_string();
    if expected.starts_with('W') {
        return Ok(());
    }
    match load(path, &common()) {
        Ok(_) if expected == "nothing" => Ok(()),
        Ok(_) => Err(format!("no {expected}").into()),
        Err(failure) if expected == "nothing" => Err(failure.text.into()),
        Err(failure) => pinned(path, &expected, &failure.text),
    }
}

fn pinned(path: &Path, code: &str, text: &str) -> Result<(), Failed> {
    if !text.contains(&format!("[{code}]")) {
        return Err(format!("expected {code}, found:\n{text}").into());
    }
    // The message names the file as it was given; only its name is the same everywhere.
    let text = text
        .replace(&path.display().to_string(), &path.file_name().unwrap_or_default().display().to_string());
    let stem = path.file_stem().unwrap_or_default().display().to_string();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.parent().expect("in a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let pinned = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(stem, text));
    }));
    pinned.map_err(|_| Failed::from("the message differs from the one pinned"))
}
