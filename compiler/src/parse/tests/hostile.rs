//! Texts that want to make the parser panic, overflow the stack or run for ever.

use std::time::{Duration, Instant};

use super::{parsed, rendered};
use crate::ast::print;

/// Parses, renders and formats a text; gives the codes of its messages and how long it took.
#[track_caller]
fn survive(name: &str, text: &str) -> (Vec<String>, Duration) {
    let start = Instant::now();
    let (tree, sources, diags) = parsed(text);
    if !diags.has_errors() {
        print::file(&tree, &sources);
        print::debug_tree(&tree);
    }
    let shown = rendered(text);
    let time = start.elapsed();
    println!("{name}: {} bytes in {time:.1?}", text.len());
    assert!(shown.len() < 100_000, "{name}: a message of {} bytes", shown.len());
    assert!(time < Duration::from_secs(60), "{name} took {time:?}");
    (diags.list.iter().map(|d| d.code.name().to_string()).collect(), time)
}

#[track_caller]
fn check(name: &str, text: &str, want: &[&str]) {
    assert_eq!(survive(name, text).0, want, "{name}");
}

#[test]
fn nesting_is_refused_before_it_is_parsed() {
    let n = 10_000;
    check("parentheses", &format!("param a = {}1{}", "(".repeat(n), ")".repeat(n)), &["E0105"]);
    check("open parentheses", &format!("param a = {}", "(".repeat(n)), &["E0105"]);
    check("lists", &format!("param a = {}", "[".repeat(n)), &["E0105"]);
    check("calls", &format!("param a = {}", "f(".repeat(n)), &["E0105"]);
    check("instances", &format!("param a = {}", "f[1](a=".repeat(n)), &["E0105"]);
    check("braces", &format!("neuron N {}", "{".repeat(n)), &["E0105"]);
    check("minus", &format!("param a = {}1", "-".repeat(n)), &["E0105"]);
    check("not", &format!("param a = {}1", "not ".repeat(n)), &["E0105"]);
    check("powers", &format!("param a = 1{}", "^2".repeat(n)), &["E0105"]);
    check("powers of minus", &format!("param a = 1{}", "^-2".repeat(n)), &["E0105"]);
    check("mixed", &format!("param a = {}", "-(1^f(2^-[".repeat(n)), &["E0105"]);
    check("closing", &"}".repeat(n), &["E0101"]);
    check("sums in parentheses", &format!("param a = {}", "1 + (".repeat(n)), &["E0105"]);
}

#[test]
fn nesting_up_to_the_limit_is_parsed_on_a_small_stack() {
    let text = format!(
        "param a = {}1{}\nparam b = {}1\nparam c = 1{}\nparam d = 1{}\nparam e = {}1{}",
        "(".repeat(128),
        ")".repeat(128),
        "-".repeat(128),
        "^2".repeat(128),
        " + 1 s".repeat(999),
        "f(1 + 2 * ".repeat(128),
        ")".repeat(128),
    );
    let run = move || check("deep", &text, &[]);
    let small = std::thread::Builder::new().stack_size(1 << 20).spawn(run).expect("a thread");
    small.join().expect("no overflow");
}

#[test]
fn chains_are_refused() {
    check("sum", &format!("param a = 1{}", " + 1".repeat(100_000)), &["E0106"]);
    check("sum with units", &format!("param a = 1 s{}", " + 1 s".repeat(100_000)), &["E0106"]);
    check("and", &format!("param a = 1{}", " and 1".repeat(100_000)), &["E0106"]);
    check("comparisons", &format!("param a = 1{}", " < 1".repeat(100_000)), &["E0106"]);
    check("percent", &format!("param a = 1{}", " + 1 %".repeat(100_000)), &["E0106"]);
    check(
        "nested sums",
        &format!("param a = {}", format!("f({}", "1 + ".repeat(100)).repeat(100)),
        &["E0106"],
    );
}

#[test]
fn wide_texts_are_parsed() {
    check("many statements", &format!("reset r(v) {{ {} }}", "v = v + 1 ".repeat(20_000)), &[]);
    check("long list", &format!("param a = [{}]", "-0.5, ".repeat(50_000)), &[]);
    check("many declarations", &"param a = 1\n".repeat(50_000), &[]);
    check("many arguments", &format!("param a = f({})", "x = 1 ms, ".repeat(50_000)), &[]);
    check("long name", &format!("param {} = 1", "a".repeat(1_000_000)), &[]);
    check("long path", &format!("param a = {}", "a.".repeat(100_000) + "b"), &[]);
    check("too many words", &format!("param a = [{}]", "1, ".repeat(600_000)), &["E0106"]);
}

#[test]
fn long_lines_are_read_and_shortened_in_messages() {
    let mib = 1 << 20;
    check("comment", &format!("// {}\nparam a = 1", "x".repeat(10 * mib)), &[]);
    check("comment inside", &format!("param a = 1 // {}\n + 1", "x".repeat(10 * mib)), &[]);
    check("string", &format!("param a = \"{}\"", "x".repeat(10 * mib)), &[]);
    check("open string", &format!("param a = \"{}", "x".repeat(10 * mib)), &["E0103"]);
    check("word", &format!("{} b", "x".repeat(10 * mib)), &["E0111"]);
    check("spaces", &format!("param a = {}", " ".repeat(10 * mib)), &["E0101"]);
    check("new lines", &format!("param a = {}1", "\n".repeat(10 * mib)), &[]);
    check("one line of declarations", &"param a = 1 ms;".repeat(mib / 15), &[]);
    check("open brackets", &"{".repeat(10 * mib), &["E0106"]);
    check("closing brackets", &"(})".repeat(3 * mib), &["E0106"]);
    check("bad characters", &"\u{1f980}".repeat(mib), &["E0108"]);
    check("digits", &format!("param a = {}", "1".repeat(10 * mib)), &["E0110"]);
    check("too long", &" ".repeat(17 * mib), &["E0107"]);
}

#[test]
fn many_errors_take_linear_time() {
    let (codes, _) = survive("broken lines", &"neuron A {\n".repeat(100_000));
    assert_eq!(codes.len(), 100_000);
    survive("broken parameters", &"param a = \n".repeat(100_000));
    survive("unclosed and columns", &"reset r(v) {\nreset {\n".repeat(50_000));
    survive("settings", &format!("train M on d {{ {} }}", "a(b) * ".repeat(400)));
    survive("commas", &format!("train M on d {{ metric {} }}", "loss, ".repeat(100_000)));
}

#[test]
fn odd_bytes_are_answered() {
    for text in [
        "\0",
        "\u{feff}",
        "\u{feff}\u{feff}",
        "/*",
        "//",
        "///",
        "\"",
        "\"\\",
        "'",
        ".",
        "..",
        ".*",
        "*.",
        "*.v",
        "-",
        "->",
        "=",
        "1",
        "1e",
        "1e+",
        "0x10",
        "a.",
        "a.b.",
        "a[",
        "a[0",
        "a[0..",
        "a(",
        "%",
        "1 %",
        "5 s.in",
        "param",
        "param a = *.v.w",
        "use a.",
        "use a.{b",
        "test \"",
        "test \"\\\"",
        "\r",
        "\r\n\r",
        "\u{2028}",
        "\u{85}",
        "é\u{301}",
        "param a = 1 // \0 \u{1b}[0m",
        "neuron",
        "neuron N",
        "neuron N {",
        "neuron N { v'",
        "neuron N { v' =",
        "reset",
        "fn f(",
        "train",
        "train M on",
        "simulate",
        ";",
        ",",
        ";;",
        "param a = 1;;",
        "model M { -> }",
        "model M { x -> }",
        "model M { x -> {",
        "model M { x -> { } }",
    ] {
        rendered(text);
        rendered(&format!("param a = 1\n{text}"));
        rendered(&format!("neuron N {{ {text} }}"));
        rendered(&format!("model M {{ {text} }}"));
        rendered(&format!("train M on d {{ {text} }}"));
        rendered(&format!("param a = {text}"));
    }
}
