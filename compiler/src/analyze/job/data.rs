//! `data` declarations, and which samples a job uses. No files are read: whether a file exists and fits is found at run time.

use super::super::context::Cx;
use super::super::declare::Decl;
use super::settings;
use crate::ast;
use crate::diag::{Code, suggest};
use crate::hir::{Data, DataArg, JobKind, Part};

/// A source of data.
struct Source {
    name: &'static str,
    /// Names of files and of parts of files, and whether they must be given.
    strings: &'static [(&'static str, bool)],
    /// Its own numbers, and whether they must be given.
    numbers: &'static [(&'static str, bool)],
}

/// Every source.
const SOURCES: &[Source] = &[
    Source { name: "digits", strings: &[], numbers: &[] },
    Source { name: "idx", strings: &[("images", true), ("labels", true)], numbers: &[] },
    Source { name: "npy", strings: &[("x", true), ("y", false)], numbers: &[] },
    Source { name: "npz", strings: &[("file", true), ("x", true), ("y", false)], numbers: &[] },
    Source { name: "csv", strings: &[("file", true), ("label", true)], numbers: &[] },
    Source {
        name: "noise",
        strings: &[],
        numbers: &[
            ("inputs", true),
            ("samples", true),
            ("classes", false),
            ("steps", false),
            ("rate", false),
        ],
    },
];

/// Numbers that every source takes.
const NUMBERS: &[&str] = &["split", "seed", "scale"];

/// Elaborates one declaration.
pub(super) fn data<'a>(cx: &mut Cx<'a>, decl: &'a ast::Data) -> Option<Data> {
    let (path, args): (&'a ast::Path, &'a [ast::Arg]) = match &decl.source.kind {
        ast::ExprKind::Call { callee, args } => (callee, args),
        ast::ExprKind::Name(path) => (path, &[]),
        _ => {
            cx.report(Code::E0301, decl.source.span, "this is not a source of data")
                .at("a source is wanted here")
                .help(format!("write `data {} = std.data.digits(split = 0.8)`", decl.name.text));
            return None;
        }
    };
    let source = source(cx, path)?;
    let before = cx.diags.list.len();
    let mut known = Vec::new();
    for arg in args {
        known.extend(argument(cx, source, arg, &known));
    }
    let missing = |name: &str| !args.iter().any(|arg| arg.name.as_ref().is_some_and(|n| n.text == name));
    // An argument of a wrong name is most likely the one that is missing.
    let is_clean = cx.diags.list.len() == before;
    let own = source.strings.iter().chain(source.numbers);
    for (name, _) in own.filter(|(name, needed)| is_clean && *needed && missing(name)) {
        cx.report(
            Code::E0910,
            decl.source.span,
            format!("source `{}` needs the argument `{name}`", source.name),
        )
        .at(format!("`{name}` is missing"))
        .note(format!("arguments of this source: {}", names(source).join(", ")))
        .help(if source.strings.iter().any(|(text, _)| text == name) {
            format!("add `{name} = \"…\"`")
        } else {
            format!("add `{name} = …`")
        });
    }
    Some(Data { name: decl.name.text.clone(), source: source.name.into(), args: known, span: decl.name.span })
}

fn source(cx: &mut Cx, path: &ast::Path) -> Option<&'static Source> {
    let segments: Vec<&str> = path.segments.iter().map(|segment| segment.text.as_str()).collect();
    let name = match segments.as_slice() {
        ["std", "data", name] => name,
        _ => segments.last()?,
    };
    let found = SOURCES.iter().find(|source| source.name == *name && segments.len() == 3);
    if found.is_none() {
        let all: Vec<&str> = SOURCES.iter().map(|source| source.name).collect();
        let near = suggest::closest(name, all.iter().copied()).unwrap_or("digits");
        let near = if all.contains(name) { name } else { near };
        cx.report(Code::E0201, path.span, format!("there is no source of data `{}`", segments.join(".")))
            .at("unknown source")
            .note(format!("the sources of `std.data` are {}", all.join(", ")))
            .help(format!("write `std.data.{near}(…)`"));
    }
    found
}

fn names(source: &Source) -> Vec<&'static str> {
    let own = source.strings.iter().chain(source.numbers).map(|(name, _)| *name);
    own.chain(NUMBERS.iter().copied()).collect()
}

fn argument<'a>(
    cx: &mut Cx<'a>,
    source: &Source,
    arg: &'a ast::Arg,
    before: &[(String, DataArg)],
) -> Option<(String, DataArg)> {
    let all = names(source);
    let Some(name) = &arg.name else {
        cx.report(Code::E0910, arg.value.span, "arguments of a data source have names")
            .at("this has no name")
            .help(format!("write `name = …` with one of: {}", all.join(", ")));
        return None;
    };
    if before.iter().any(|(other, _)| *other == name.text) {
        cx.report(Code::E0304, name.span, format!("`{}` is given twice", name.text))
            .at("second time")
            .help("remove one of them");
        return None;
    }
    if source.strings.iter().any(|(known, _)| *known == name.text) {
        if let ast::ExprKind::Str(text) = &arg.value.kind {
            return Some((name.text.clone(), DataArg::Str(text.clone())));
        }
        cx.report(Code::E0910, arg.value.span, format!("`{}` is a text", name.text))
            .at("a text is wanted here")
            .help(format!("write it in quotation marks: `{} = \"…\"`", name.text));
        return None;
    }
    let is_own = source.numbers.iter().any(|(known, _)| *known == name.text);
    if is_own || NUMBERS.contains(&name.text.as_str()) {
        return Some((name.text.clone(), DataArg::Num(number(cx, name, &arg.value)?)));
    }
    let near = suggest::closest(&name.text, all.iter().copied());
    let title = format!("source `{}` has no argument `{}`", source.name, name.text);
    let diagnostic = cx.report(Code::E0910, name.span, title);
    diagnostic.at("unknown argument").note(format!("arguments of this source: {}", all.join(", ")));
    diagnostic.help(near.map_or("remove it".to_string(), |near| format!("did you mean `{near}`?")));
    None
}

fn number<'a>(cx: &mut Cx<'a>, name: &ast::Ident, expr: &'a ast::Expr) -> Option<f64> {
    let what = format!("`{}`", name.text);
    if name.text == "seed" {
        return settings::count(cx, expr, &what, 0).map(|seed| seed as f64);
    }
    if matches!(name.text.as_str(), "inputs" | "samples" | "classes" | "steps") {
        return settings::count(cx, expr, &what, 1).map(|count| count as f64);
    }
    let value = settings::number(cx, expr, &what)?;
    let (fits, wanted) = match name.text.as_str() {
        "split" => (value > 0.0 && value <= 1.0, "a share above 0 and at most 1"),
        "rate" => ((0.0..=1.0).contains(&value), "a probability from 0 to 1"),
        _ => (value != 0.0 && value.is_finite(), "a number that is not 0"),
    };
    if fits {
        return Some(value);
    }
    cx.report(Code::E0910, expr.span, format!("{what} is {wanted}"))
        .at(format!("this is {}", crate::hir::print::number(value)))
        .help(match name.text.as_str() {
            "split" => "write for example `split = 0.8`",
            "rate" => "write for example `rate = 0.1`",
            _ => "write for example `scale = 255`",
        });
    None
}

/// `on digits.test`: the data set and which of its samples. `Err` when it was reported.
pub(super) fn on(cx: &mut Cx, path: &ast::Path, kind: JobKind) -> Result<(usize, Part), ()> {
    let name = &path.segments[0];
    let Some(at) = cx.program.data.iter().position(|data| data.name == name.text) else {
        // A declaration that is broken was reported there.
        if !matches!(cx.decls.find_own(&name.text), Some(Decl::Data(_))) {
            unknown(cx, name);
        }
        return Err(());
    };
    let part = match path.segments.get(1).map(|part| part.text.as_str()) {
        None if kind == JobKind::Train => Part::Train,
        None => Part::All,
        Some("train") => Part::Train,
        Some("test") => Part::Test,
        Some(other) => {
            let near = suggest::closest(other, ["train", "test"]).unwrap_or("test");
            cx.report(Code::E0201, path.span, format!("data has no part `{other}`"))
                .at("unknown part")
                .note("the parts are `train` and `test`; without a part all samples are used")
                .help(format!("write `{}.{near}`", name.text));
            return Err(());
        }
    };
    Ok((at, part))
}

fn unknown(cx: &mut Cx, name: &ast::Ident) {
    let all: Vec<&str> = cx.program.data.iter().map(|data| data.name.as_str()).collect();
    let near = suggest::closest(&name.text, all.iter().copied()).map(String::from);
    let title = format!("there is no data `{}`", name.text);
    let diagnostic = cx.report(Code::E0201, name.span, title);
    diagnostic.at("unknown data").help(match near {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("declare it: `data {} = std.data.digits(split = 0.8)`", name.text),
    });
}
