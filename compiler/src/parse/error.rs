//! What the grammar expected, in the user's words.
//!
//! pest gives the rules it tried at the furthest place it came to. The message names those that help, with the token
//! before and the one that was found; the bracket that is open there is a second place. `hint` knows the mistakes
//! that people bring from other languages.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::grammar::Rule;
use super::scan::{Kind, Token};
use super::split::{Brackets, KEYWORDS};
use super::{Part, hint};
use crate::diag::{Code, Diagnostics, suggest};
use crate::source::Span;

/// The place of a syntax error among the tokens of its declaration.
pub(super) struct Place<'a> {
    pub part: &'a Part<'a>,
    /// Number of tokens before the place.
    pub at: usize,
    /// The rules that were tried there.
    pub tried: &'a [Rule],
}

impl<'a> Place<'a> {
    /// The token `offset` tokens behind the place: 0 is the one that was found, -1 the one before.
    pub fn token(&self, offset: isize) -> Option<&'a Token> {
        self.part.tokens.get(self.at.checked_add_signed(offset)?)
    }

    /// The text of that token, empty if there is none.
    pub fn word(&self, offset: isize) -> &'a str {
        self.token(offset).map_or("", |t| self.part.word(t))
    }

    pub fn kind(&self, offset: isize) -> Option<Kind> {
        self.token(offset).map(|t| t.kind)
    }

    pub fn tried(&self, rule: Rule) -> bool {
        self.tried.contains(&rule)
    }

    /// Whether an operand would have been accepted.
    pub fn wants_expr(&self) -> bool {
        use Rule::*;
        [expr, bound, prefix, paren, list, named, literal].iter().any(|&rule| self.tried(rule))
    }

    /// Whether that token is on the same line as the one before it.
    pub fn follows_on_line(&self, offset: isize) -> bool {
        match (self.token(offset - 1), self.token(offset)) {
            (Some(a), Some(b)) => !self.part.text[a.end as usize..b.start as usize].contains('\n'),
            _ => false,
        }
    }

    /// Whether that token is the first of its line or block.
    pub fn begins_line(&self, offset: isize) -> bool {
        !self.follows_on_line(offset) || matches!(self.word(offset - 1), "{" | ";" | "," | "}")
    }

    /// The found token, or the end of the text.
    pub fn span(&self) -> Span {
        let last = self.part.tokens[self.part.tokens.len() - 1];
        let end = Span { file: self.part.file, start: last.end, end: last.end };
        self.token(0).map_or(end, |t| self.part.span(t))
    }

    /// The innermost bracket that is open at the place.
    fn open(&self) -> Option<usize> {
        let mut open = Brackets::default();
        for (at, token) in self.part.tokens[..self.at].iter().enumerate() {
            open.step(at, self.part.word(token));
        }
        open.stack.last().map(|&(at, _)| at)
    }
}

/// Reports one syntax error of a declaration.
pub(super) fn report(part: &Part, error: &Error<Rule>, diags: &mut Diagnostics) {
    let offset = match error.location {
        InputLocation::Pos(at) | InputLocation::Span((at, _)) => at as u32,
    };
    let at = part.tokens.partition_point(|t| t.end <= part.base() + offset);
    let tried: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { message } => {
            diags
                .report(
                    Code::E0105,
                    part.span(&part.tokens[at.min(part.tokens.len() - 1)]),
                    "nested too deep",
                )
                .note(message);
            return;
        }
    };
    let place = Place { part, at, tried };
    let known = hint::unit(&place, diags) || unknown_start(&place, diags) || unclosed(&place, diags);
    if !known {
        unexpected(&place, diags);
    }
}

/// A statement or declaration that begins with an unknown word.
fn unknown_start(place: &Place, diags: &mut Diagnostics) -> bool {
    let is_item = place.tried(Rule::item);
    let offset = if is_item { 0 } else { -1 };
    let Some(token) = place.token(offset).filter(|t| t.kind == Kind::Word) else { return false };
    let word = place.part.word(token);
    if !is_item {
        let two_words =
            matches!(place.kind(0), Some(Kind::Word | Kind::Number | Kind::Str)) || place.word(0) == "{";
        if !two_words || !place.tried(Rule::assign_sign) {
            return false;
        }
        if hint::is_keyword(word) {
            return misplaced(place, token, diags);
        }
        if !place.begins_line(-1) {
            return false;
        }
    }
    let span = place.part.span(token);
    let what = if is_item { "declaration" } else { "statement" };
    let report = diags.report(Code::E0111, span, format!("`{}` begins no {what}", shorten(word)));
    let candidates = if is_item { &KEYWORDS[..] } else { &hint::LINE_WORDS[..] };
    match (suggest::closest(word, candidates.iter().copied()), hint::foreign(word)) {
        (Some(near), _) => report.help(format!("did you mean `{near}`?")),
        (None, Some(help)) => report.help(help),
        (None, None) if is_item && place.word(1) == "=" => {
            report.help(format!("a constant of the file is written `param {word} = …`"))
        }
        (None, None) if is_item => {
            report.help(format!("a declaration begins with one of: {}", KEYWORDS.join(", ")))
        }
        (None, None) => report.help(format!("an assignment is written `{word} = …`")),
    };
    true
}

/// A line that stands in the wrong block: `emit` in a step.
fn misplaced(place: &Place, token: &Token, diags: &mut Diagnostics) -> bool {
    let only_assign =
        place.tried.iter().all(|rule| matches!(rule, Rule::assign_sign | Rule::args | Rule::lparen));
    let Some(open) = place.open().filter(|_| only_assign) else { return false };
    let (word, owner) = (place.part.word(token), owner(place, open));
    diags
        .report(Code::E0111, place.part.span(token), format!("`{word}` begins no line of {owner}"))
        .label(place.part.span(&place.part.tokens[open]), format!("{owner} begins here"))
        .help(format!("is a `}}` missing before `{word}`?"));
    true
}

/// The text ends inside of a bracket.
fn unclosed(place: &Place, diags: &mut Diagnostics) -> bool {
    let closer_wanted = [Rule::rbrace, Rule::rparen, Rule::rbracket].iter().any(|&r| place.tried(r));
    let lines_wanted = place.tried.iter().any(|&r| is_line(r));
    if place.token(0).is_some() || !(closer_wanted || lines_wanted || place.tried(Rule::infix)) {
        return false;
    }
    let Some(open) = place.open() else { return false };
    let token = &place.part.tokens[open];
    let title = format!("expected `{}` to close {}", closer(place.part.word(token)), owner(place, open));
    diags.report(Code::E0102, place.span(), title).label(place.part.span(token), "opened here");
    true
}

fn closer(open: &str) -> &'static str {
    match open {
        "(" => ")",
        "[" => "]",
        _ => "}",
    }
}

/// What a bracket belongs to: "the neuron", "the step", "the parenthesis".
fn owner(place: &Place, open: usize) -> String {
    let tokens = place.part.tokens;
    match place.part.word(&tokens[open]) {
        "(" => return "the parenthesis".to_string(),
        "[" => return "the bracket".to_string(),
        _ => {}
    }
    let is_first = tokens[..open].iter().all(|t| place.part.word(t) != "{");
    let before = open.checked_sub(1).map_or("", |b| place.part.word(&tokens[b]));
    match before {
        _ if is_first => format!("the {}", place.part.word(&tokens[0])),
        "step" | "update" | "reset" => format!("the {before}"),
        _ => "the block".to_string(),
    }
}

fn unexpected(place: &Place, diags: &mut Diagnostics) {
    let found = match place.kind(0) {
        None => None,
        Some(Kind::Str) => Some("a string".to_string()),
        Some(_) => Some(format!("`{}`", shorten(place.word(0)))),
    };
    let wanted = expected(place);
    let closes_nothing = place.kind(0) == Some(Kind::Close) && place.open().is_none();
    let goes_on = place.tried(Rule::EOI) && place.kind(0) != Some(Kind::Word);
    let title = match found {
        Some(found) if closes_nothing => format!("{found} closes nothing"),
        Some(found) if goes_on || wanted.is_empty() => format!("unexpected {found}{}", after(place)),
        Some(found) => format!("expected {}{}, found {found}", one_of(&wanted), after(place)),
        None if wanted.is_empty() => format!("something lacks{}", after(place)),
        None => format!("expected {}{}", one_of(&wanted), after(place)),
    };
    let open = place.open().filter(|_| wanted.iter().any(|w| matches!(&w[..], "`)`" | "`]`")));
    let report = diags.report(Code::E0101, place.span(), title);
    if let Some(open) = open {
        report.label(place.part.span(&place.part.tokens[open]), "opened here");
    }
    if let Some(help) = hint::help(place) {
        report.help(help);
    }
}

/// " after `=`"
fn after(place: &Place) -> String {
    match place.kind(-1) {
        None => String::new(),
        Some(Kind::Str) => " after the string".to_string(),
        Some(_) => format!(" after `{}`", shorten(place.word(-1))),
    }
}

fn shorten(word: &str) -> String {
    match word.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &word[..at]),
        None => word.to_string(),
    }
}

fn one_of(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// What to name of the rules that were tried: at most four things, the most telling ones first.
fn expected(place: &Place) -> Vec<String> {
    if place.wants_expr() {
        return vec!["an expression".to_string()];
    }
    let mut words: Vec<(u8, String)> = place.tried.iter().filter_map(|&rule| name(rule)).collect();
    words.sort();
    words.dedup();
    if words.len() > 1 && hint::is_keyword(place.word(-1)) && place.begins_line(-1) {
        // A keyword could also be a name that is assigned, which is not what is meant.
        words.retain(|w| w.1 != "`=`");
    }
    let best = words.first().map_or(0, |w| w.0);
    // Operators and commas go without saying where anything else is named.
    words.retain(|w| w.0 < 8 || best >= 8);
    words.truncate(4);
    words.into_iter().map(|w| w.1).collect()
}

fn is_line(rule: Rule) -> bool {
    use Rule::*;
    matches!(
        rule,
        neuron_line
            | circuit_line
            | stmt
            | simple_stmt
            | setting
            | test_line
            | surrogate_line
            | optimizer_line
            | extra_arg
    )
}

/// How telling a rule is (0 most) and its name.
fn name(rule: Rule) -> Option<(u8, String)> {
    use Rule::*;
    let text = match rule {
        item | EOI => return Some((0, "a declaration".to_string())),
        neuron_line => "a line of the neuron",
        circuit_line => "a line of the circuit",
        stmt => "a statement",
        simple_stmt => "`let` or an assignment",
        setting | setting_list | setting_call | setting_assign => "a setting of the job",
        test_line => "`simulate`, `expect`",
        surrogate_line => "`derivative(x) = …` or `primitive(x) = …`",
        optimizer_line => "`state`, `update`",
        extra_arg => "`name = value`",
        param_decl => "a parameter",
        ident | path => "a name",
        call | source => "a name with its arguments",
        string => "a string in `\"`",
        axes => "`[` and a size",
        params | args => "`(`",
        block | settings | fn_block | use_names | targets => "`{`",
        assign_sign => "`=`",
        arrow => "`->`",
        colon => "`:`",
        lparen => "`(`",
        lbracket => "`[`",
        lbrace => "`{`",
        rparen => "`)`",
        rbracket => "`]`",
        rbrace => "`}`",
        comma => return Some((8, "`,`".to_string())),
        infix | bound_infix => return Some((9, "an operator".to_string())),
        polarity => "`excitatory`, `inhibitory`",
        init_mode => "`sample`, `value`",
        lambda => "`(x) = …`",
        constraint | bound_sign => return Some((7, "a bound such as `>= 0`".to_string())),
        kw_stream | kw_in | kw_sign | kw_keep | initial_sign | dots | unit => return None,
        _ => {
            let name = format!("{rule:?}");
            return name.strip_prefix("kw_").map(|word| (3, format!("`{word}`")));
        }
    };
    let rank = if is_line(rule) { 1 } else { 2 };
    Some((rank, text.to_string()))
}
