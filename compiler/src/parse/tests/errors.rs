//! Messages about broken programs: code, place, words and help.

use crate::diag::Code;
use crate::parse::split::KEYWORDS;

use super::{check_error, errors, parsed, rendered};

#[test]
fn missing_parts_are_named_with_the_token_before() {
    check_error("param a = ", "E0101 1:10 expected an expression after `=`");
    check_error("param a = 3 +\nneuron N { emit x }", "E0101 1:14 expected an expression after `+`");
    check_error("neuron A { state v 0 emit v }", "E0101 1:20 expected `:` or `=` after `v`, found `0`");
    check_error("train M d { dt 1 ms }", "E0101 1:9 expected `on` after `M`, found `d`");
    check_error("train M on d { steps 20 dt }", "E0101 1:28 expected an expression after `dt`, found `}`");
    check_error("model M { x -> : dense }", "E0101 1:16 expected `{` or a name after `->`, found `:`");
    check_error("model M { population h: Lif }", "E0101 1:23 expected `[` after `h`, found `:`");
    check_error("fn f x = 3", "E0101 1:6 expected `(` after `f`, found `x`");
    check_error("test x { }", "E0101 1:6 expected a string in `\"` after `test`, found `x`");
    check_error(
        "init k { normal(0, 1) }",
        "E0101 1:10 expected `sample`, `value`, `let` or `require` after `{`, found `normal`",
    );
    check_error("neuron N { learn w = 3 }", "E0101 1:20 expected `:` after `w`, found `=`");
    check_error("test \"x\" { expect a within 3 b }", "E0101 1:30 expected `of` after `3`, found `b`");
    check_error("param a = 1 2", "E0101 1:13 unexpected `2` after `1`");
}

#[test]
fn open_brackets_are_shown_where_they_open() {
    check_error("neuron A {\n    input i\n    state v = 0\n", "E0102 3:16 expected `}` to close the neuron");
    check_error("neuron A { step { v = 1", "E0102 1:24 expected `}` to close the step");
    check_error("param a = (1 + 2\nparam b = 3", "E0102 1:17 expected `)` to close the parenthesis");
    check_error("param a = f(1, [2", "E0102 1:18 expected `]` to close the bracket");
    check_error("neuron A { input i emit i } }\nparam a = 1", "E0101 1:29 `}` closes nothing");
    check_error("model M { input x: [64 let h = Lif[3] }", "E0101 1:24 expected `]` after `64`, found `let`");
    let text = rendered("neuron A {\n    input i\n");
    assert!(text.contains("1 │ neuron A {\n  │          - opened here\n"), "{text}");
}

#[test]
fn every_broken_declaration_is_reported_and_the_others_are_parsed() {
    let text = "neuron A {\n    input i\n\nneuron B { input i emit i }\nparam x = \nparam y = 1\nneuorn C { }\nparam z = 2\n}\n\
                /// doc\nfn f(x) = x\nparam w = @";
    assert_eq!(
        errors(text),
        [
            "E0102 2:12 expected `}` to close the neuron",
            "E0101 5:10 expected an expression after `=`",
            "E0111 7:1 `neuorn` begins no declaration | did you mean `neuron`?",
            "E0101 9:1 `}` closes nothing",
            "E0108 12:11 `@` is not part of the language",
        ]
    );
    let (tree, ..) = parsed(text);
    assert_eq!(tree.items.len(), 3);
    assert_eq!(tree.items[2].doc, ["doc"]);
}

#[test]
fn lines_in_the_wrong_block_are_named() {
    check_error(
        "neuron A { step { v = 1 emit v }",
        "E0111 1:25 `emit` begins no line of the step | is a `}` missing before `emit`?",
    );
    check_error("neuron A { input 3 }", "E0101 1:18 expected a name after `input`, found `3`");
}

#[test]
fn misspelled_and_foreign_words_get_help() {
    check_error(
        "neuron A { stat v = 0 emit v }",
        "E0111 1:12 `stat` begins no statement | did you mean `state`?",
    );
    check_error(
        "neuron N { step { if v > 1 { v = 0 } } emit v }",
        "E0111 1:19 `if` begins no statement | a choice is an expression: `where(condition, a, b)`",
    );
    check_error("import numpy", "E0111 1:1 `import` begins no declaration | write `use std.neuron.Lif`");
    check_error(
        "x = 3",
        "E0111 1:1 `x` begins no declaration | a constant of the file is written `param x = …`",
    );
    check_error("param a = a && b", "E0101 1:13 unexpected `&` after `a` | logical and is written `and`");
    check_error(
        "param a = !b",
        "E0101 1:11 expected an expression after `=`, found `!` | logical not is written `not`",
    );
    check_error(
        "param a = a ** 2",
        "E0101 1:14 expected an expression after `*`, found `*` | the power is written `a^b`",
    );
    check_error(
        "neuron N { step { v += 1 } emit v }",
        "E0101 1:21 expected `=` after `v`, found `+` | write `v = v + …`",
    );
    check_error(
        "/* c */ param a = 1",
        "E0101 1:1 expected a declaration, found `/` | comments are written `// …`",
    );
    check_error(
        "param a = f (x)",
        "E0101 1:13 unexpected `(` after `f` | a call has no space before its bracket: `f(`",
    );
    check_error("param a = .5", "E0101 1:11 expected an expression after `=`, found `.` | write `0.5`");
    check_error(
        "model M { x -> h dense }",
        "E0101 1:24 expected `->` or `=` after `dense`, found `}` | the kind of a projection stands behind `:`: `-> h : dense`",
    );
    check_error(
        "fn f(x) { let y = 1 }",
        "E0101 1:21 expected an expression after `1`, found `}` | the body of a function ends with its value",
    );
}

#[test]
fn unknown_units_are_told_from_statements() {
    check_error("param a = 20 msec", "E0403 1:14 unknown unit `msec` | write `20 ms`");
    check_error(
        "neuron A { step { v = v + 2 mv\n fire v > 1 } }",
        "E0403 1:29 unknown unit `mv` | write `2 mV`",
    );
    check_error("train M on d { dt 1 msec batch 64 }", "E0403 1:21 unknown unit `msec` | write `1 ms`");
    check_error("param c = 50 percent", "E0403 1:14 unknown unit `percent` | write `50 %`");
}

#[test]
fn meaning_that_only_the_parser_sees() {
    check_error(
        "param a = 1 < 2 < 3",
        "E0104 1:17 comparisons do not chain | write `a < b and b < c`, or parentheses if a truth value (0 or 1) is compared",
    );
    check_error(
        "param a = 2 * not b",
        "E0101 1:15 `not` after an operator needs parentheses | write `(not …)`",
    );
    check_error("param a = 1e999", "E0110 1:11 `1e999` is too large for a number");
    check_error(
        "param a = \"abc\nparam b = 1",
        "E0103 1:11 this string does not end on its line | end it with `\"`",
    );
    check_error(
        "data d = f(\"a\\n\")",
        "E0103 1:12 `\\` in a string stands only before `\"` and `\\` | write `\\\\` for one `\\`",
    );
    check_error("param b = −3", "E0108 1:11 `−` is not part of the language | minus is written `-`");
    check_error("param a\0", "E0108 1:8 the character U+0000 is not part of the language");
    check_error(
        "surrogate s { derivative(x) = x derivative(x) = 1 }",
        "E0109 1:33 a surrogate has one `derivative`",
    );
    check_error(
        "surrogate s { primitive(x) = x }",
        "E0314 1:11 the surrogate `s` has no derivative | add `derivative(x) = …`: what takes the place of the step's derivative",
    );
    check_error(
        "circuit C { e = w * x }",
        "E0101 1:13 `e` is given a value without `let` | write `let e = …` for a constant, `e.in = …` for what reaches a population",
    );
    check_error(
        "param a = h[3].v",
        "E0101 1:12 one index where a range is wanted | write the first index and the one after the last: `h[3..4].v`",
    );
}

/// The examples of the explanations: those that are declarations are parsed; the wrong ones of the syntax codes give
/// their code.
#[test]
fn examples_of_explanations_are_what_they_say() {
    for &code in Code::ALL {
        let (wrong, right) = code.explanation().split_once("\nRight:\n").expect("two examples");
        let (_, wrong) = wrong.split_once("\nWrong:\n").expect("two examples");
        let is_syntax = code.name().starts_with("E01") || matches!(code, Code::E0314 | Code::E0403);
        for (text, is_wrong) in [(wrong, is_syntax), (right, false)] {
            let first = text.split_whitespace().next().unwrap_or("");
            let is_whole = KEYWORDS.contains(&first) && !text.contains("…");
            let found = errors(text);
            if is_wrong && !text.contains("…") {
                assert!(found.iter().any(|e| e.starts_with(code.name())), "{}: {found:?}", code.name());
            } else if is_whole {
                assert_eq!(found, Vec::<String>::new(), "{}\n{text}", code.name());
            }
        }
    }
}

/// Every prefix of a program is either a program or gives a message.
#[test]
fn every_prefix_is_answered() {
    let page = include_str!("../../../../docs/language.md");
    for block in page.split("\n```").skip(1).step_by(2) {
        let (_, text) = block.split_once('\n').expect("a block has lines");
        for (at, _) in text.char_indices() {
            rendered(&text[..at]);
        }
    }
}
