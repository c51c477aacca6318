//! Help for frequent mistakes: units of other notations, operators and keywords of other languages.

use super::error::Place;
use super::grammar::Rule;
use super::scan::Kind;
use crate::diag::{Code, Diagnostics};

/// Words that begin a line of a neuron, step, circuit, optimizer or test.
pub(super) const LINE_WORDS: [&str; 21] = [
    "input",
    "state",
    "learn",
    "param",
    "let",
    "step",
    "emit",
    "integrate",
    "fire",
    "reset",
    "refractory",
    "population",
    "output",
    "derivative",
    "primitive",
    "update",
    "simulate",
    "draw",
    "expect",
    "sample",
    "value",
];

/// Words of settings and clauses: not units, and not misspelled statements.
const OTHER_WORDS: [&str; 27] = [
    "steps",
    "dt",
    "batch",
    "epochs",
    "seed",
    "gradient",
    "optimizer",
    "loss",
    "clip",
    "early_stop",
    "augment",
    "states",
    "metric",
    "record",
    "report",
    "with",
    "holding",
    "within",
    "of",
    "on",
    "for",
    "in",
    "forward",
    "backward",
    "stream",
    "matrix",
    "into",
];

/// Whether a word has a meaning at the start of a line or clause.
pub(super) fn is_keyword(word: &str) -> bool {
    LINE_WORDS.contains(&word) || OTHER_WORDS.contains(&word)
}

/// `20 msec`: a word behind a number that is nearly a unit. Reports it.
pub(super) fn unit(place: &Place, diags: &mut Diagnostics) -> bool {
    for offset in [0, -1, -2] {
        let behind_number = place.kind(offset - 1) == Some(Kind::Number) && place.follows_on_line(offset);
        if place.kind(offset) != Some(Kind::Word) || !behind_number {
            continue;
        }
        let (Some(token), word) = (place.token(offset), place.word(offset)) else { continue };
        let Some(known) = unit_for(word).filter(|&known| known != word) else { continue };
        let number = place.word(offset - 1);
        diags
            .report(Code::E0403, place.part.span(token), format!("unknown unit `{word}`"))
            .help(format!("write `{number} {known}`"));
        return true;
    }
    false
}

/// The unit of the language for a word that means one.
fn unit_for(word: &str) -> Option<&'static str> {
    const UNITS: [&str; 30] = [
        "s", "ms", "us", "ns", "ps", "V", "mV", "uV", "A", "mA", "uA", "nA", "pA", "S", "mS", "uS", "nS",
        "pS", "F", "uF", "nF", "pF", "Ohm", "kOhm", "MOhm", "Hz", "kHz", "MHz", "step", "steps",
    ];
    let known = match word {
        "sec" | "secs" | "second" | "seconds" => "s",
        "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => "ms",
        "usec" | "usecs" | "microsecond" | "microseconds" => "us",
        "volt" | "volts" => "V",
        "amp" | "amps" | "ampere" => "A",
        "siemens" => "S",
        "farad" => "F",
        "ohm" | "ohms" | "Ohms" => "Ohm",
        "hertz" => "Hz",
        "percent" => "%",
        "timestep" => "step",
        "timesteps" => "steps",
        // `ff` and the like would be names; two letters and more are taken for a unit in the wrong case.
        _ => return UNITS.into_iter().find(|u| word.len() > 1 && u.eq_ignore_ascii_case(word)),
    };
    Some(known)
}

/// What replaces a keyword of another language.
pub(super) fn foreign(word: &str) -> Option<&'static str> {
    Some(match word {
        "if" | "else" | "elif" | "match" | "switch" => "a choice is an expression: `where(condition, a, b)`",
        "for" | "while" | "loop" => "time and batch are implicit: nobody writes loops over steps or samples",
        "return" => "the value of a function is its last expression",
        "import" | "from" | "include" => "write `use std.neuron.Lif`",
        "def" | "func" | "function" | "fun" => "write `fn f(x) = …`",
        "class" | "struct" | "module" | "network" | "net" => "write `neuron`, `circuit` or `model`",
        "const" | "var" | "global" => {
            "write `param name = value`, or `let name = value` inside of a declaration"
        }
        "layer" | "group" => "write `let h = Lif[128](…)` or `population h[128]: Lif(…)`",
        "weight" | "weights" | "parameter" => "write `learn w: [post, pre] = init`",
        "connect" | "synapse" | "synapses" => "write `a -> b : dense(…)`",
        _ => return None,
    })
}

/// Help for an unexpected token.
pub(super) fn help(place: &Place) -> Option<String> {
    let (before, found, next) = (place.word(-1), place.word(0), place.word(1));
    let adjacent = |a: isize, b: isize| matches!((place.token(a), place.token(b)), (Some(x), Some(y)) if x.end == y.start);
    let text = match (before, found) {
        (_, "&") => "logical and is written `and`",
        (_, "|") => "logical or is written `or`",
        (_, "!") => "logical not is written `not`",
        ("*", "*") => "the power is written `a^b`",
        ("/", "*") => "comments are written `// …`",
        (_, "/") if next == "*" => "comments are written `// …`",
        ("+" | "-" | "*" | "/", "=") if adjacent(-1, 0) => return Some(format!("write `v = v {before} …`")),
        (_, "+" | "-" | "*" | "/") if next == "=" && adjacent(0, 1) => {
            return Some(format!("write `{before} = {before} {found} …`"));
        }
        (_, "}") if place.part.word(&place.part.tokens[0]) == "fn" && place.wants_expr() => {
            "the body of a function ends with its value"
        }
        _ if place.word(-3) == "->" && place.tried(Rule::arrow) => {
            return Some(format!(
                "the kind of a projection stands behind `:`: `-> {} : {before}`",
                place.word(-2)
            ));
        }
        (">" | "<", "=") => "write `>=` or `<=`",
        (_, ".") if place.kind(1) == Some(Kind::Number) && adjacent(0, 1) => {
            return Some(format!("write `0.{next}`"));
        }
        (_, ".") if place.kind(-1) == Some(Kind::Number) => {
            return Some(format!("write `{before}` or `{before}.0`"));
        }
        (_, "==") if place.tried(Rule::assign_sign) => "`=` gives a value, `==` compares",
        (_, "=") if place.tried(Rule::infix) => {
            "`==` compares; `=` gives a value to the name at the start of a statement"
        }
        (_, "(" | "[")
            if place.kind(-1) == Some(Kind::Word) && place.follows_on_line(0) && !adjacent(-1, 0) =>
        {
            return Some(format!("a call has no space before its bracket: `{before}{found}`"));
        }
        (_, "(" | "[") if place.kind(-1) == Some(Kind::Word) => {
            return Some(format!(
                "the bracket of a call stands directly behind its function: `{before}{found}`"
            ));
        }
        (_, "%") => "there is no remainder operator; `%` is a unit (0.01)",
        _ => return foreign(found).or_else(|| foreign(before)).map(str::to_string),
    };
    Some(text.to_string())
}
