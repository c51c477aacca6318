//! The words in the braces of a job: which there are, that each is given once, and the numbers they hold.

use super::super::context::{Cx, is_poison};
use super::super::expr;
use super::super::scope::{Place, Scope};
use crate::ast::{self, JobKind, Setting};
use crate::diag::{Code, suggest};
use crate::hir::constant::{self, ConstEnv};
use crate::hir::unit::quantity;
use crate::hir::{self, Unit};

/// Words that may be given several times; their values add up.
const REPEATED: &[&str] = &["metric", "record", "report"];

/// Words of a job.
fn words(kind: JobKind) -> &'static [&'static str] {
    match kind {
        JobKind::Train => &[
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
        ],
        JobKind::Evaluate => &["metric", "loss", "steps", "dt", "batch", "seed"],
        JobKind::Simulate => &["record", "report", "steps", "dt", "batch", "seed"],
        JobKind::Draw => &["steps", "dt", "seed"],
    }
}

/// The word of a job in the language.
pub(super) fn job_word(kind: JobKind) -> &'static str {
    match kind {
        JobKind::Train => "train",
        JobKind::Evaluate => "evaluate",
        JobKind::Simulate => "simulate",
        JobKind::Draw => "draw",
    }
}

/// The settings of one job.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a> {
    list: &'a [Setting],
}

impl<'a> Settings<'a> {
    /// Reports words that the job does not have, and words given twice.
    pub(super) fn new(cx: &mut Cx<'a>, job: &'a ast::Job) -> Settings<'a> {
        for (at, setting) in job.settings.iter().enumerate().filter(|(_, setting)| !setting.is_assign) {
            let word = setting.word.text.as_str();
            if !words(job.kind).contains(&word) {
                unknown(cx, job.kind, setting);
                continue;
            }
            let earlier = job.settings[..at].iter().find(|s| !s.is_assign && s.word.text == word);
            let Some(earlier) = earlier.filter(|_| !REPEATED.contains(&word)) else { continue };
            cx.report(Code::E0109, setting.word.span, format!("`{word}` is given twice"))
                .at("second time")
                .label(earlier.word.span, "first time")
                .note("with two values it would be unclear which one counts")
                .help("remove one of them");
        }
        Settings { list: &job.settings }
    }

    /// The setting of a word.
    pub(super) fn find(&self, word: &str) -> Option<&'a Setting> {
        self.list.iter().find(|setting| !setting.is_assign && setting.word.text == word)
    }

    /// All values of a word that may be repeated.
    pub(super) fn values(&self, word: &'a str) -> impl Iterator<Item = &'a ast::Expr> {
        let found = self.list.iter().filter(move |s| !s.is_assign && s.word.text == word);
        found.flat_map(|setting| &setting.values)
    }

    /// `x = e`
    pub(super) fn assigned(&self) -> impl Iterator<Item = &'a Setting> {
        self.list.iter().filter(|setting| setting.is_assign)
    }

    /// The one value of a word, if the word is given.
    pub(super) fn one(&self, cx: &mut Cx<'a>, word: &str) -> Option<&'a ast::Expr> {
        single(cx, self.find(word)?)
    }
}

/// The one value of a setting.
pub(super) fn single<'a>(cx: &mut Cx<'a>, setting: &'a Setting) -> Option<&'a ast::Expr> {
    let word = &setting.word.text;
    match setting.values.as_slice() {
        [value] => Some(value),
        [] => {
            cx.report(Code::E0303, setting.span, format!("`{word}` has no value"))
                .at("a value is missing here")
                .help(format!("write the value after the word: `{word} …`"));
            None
        }
        [_, second, ..] => {
            cx.report(Code::E0304, second.span, format!("`{word}` takes one value"))
                .at("one value too many")
                .label(setting.word.span, "for this setting")
                .help("remove what follows the first value");
            None
        }
    }
}

fn unknown(cx: &mut Cx, kind: JobKind, setting: &Setting) {
    let (word, job) = (setting.word.text.as_str(), job_word(kind));
    let known = words(kind);
    let others = [JobKind::Train, JobKind::Evaluate, JobKind::Simulate];
    let owner = others.into_iter().find(|other| words(*other).contains(&word)).map(job_word);
    let near = suggest::closest(word, known.iter().copied());
    let diagnostic = cx.report(Code::E0313, setting.word.span, format!("`{job}` has no setting `{word}`"));
    diagnostic.at("unknown setting").note(format!("settings of `{job}`: {}", known.join(", ")));
    match (near, owner) {
        (Some(near), _) => diagnostic.help(format!("did you mean `{near}`?")),
        (None, Some(owner)) => diagnostic.help(format!("`{word}` is a setting of `{owner}`")),
        (None, None) => diagnostic.help("remove it"),
    };
}

/// A constant without unit.
pub(super) fn number<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, what: &str) -> Option<f64> {
    let value = constant(cx, expr)?;
    with_unit(cx, &value, Unit::NONE, what)?;
    evaluate(cx, &value, None, what)
}

/// A whole number that is not below `least`.
pub(super) fn count<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, what: &str, least: u64) -> Option<u64> {
    let value = number(cx, expr, what)?;
    let is_whole = value.fract() == 0.0 && value >= least as f64 && value <= 9e15;
    if is_whole {
        return Some(value as u64);
    }
    cx.report(Code::E0502, expr.span, format!("{what} is a whole number of at least {least}"))
        .at(format!("this is {}", quantity(value, Unit::NONE)))
        .help(format!("write a whole number, for example `{}`", least.max(1) * 10));
    None
}

/// A whole number of at least 1 that fits the memory of no machine if it is larger than 2^31.
pub(super) fn size<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr, what: &str) -> Option<usize> {
    let value = count(cx, expr, what, 1)?;
    if value <= 1 << 31 {
        return Some(value as usize);
    }
    cx.report(Code::E0502, expr.span, format!("{what} is too large"))
        .at("more than 2^31")
        .help("write a smaller number");
    None
}

/// A time above 0; with `env` it may be written in steps.
pub(super) fn time<'a>(
    cx: &mut Cx<'a>,
    expr: &'a ast::Expr,
    env: Option<&ConstEnv>,
    what: &str,
) -> Option<f64> {
    let value = constant(cx, expr)?;
    if value.unit != Unit::TIME {
        cx.report(Code::E0406, expr.span, format!("{what} is a time"))
            .at(format!("this is a {}", value.unit))
            .help(if env.is_some() {
                "write a time or a number of steps: `1 s`, `20 steps`"
            } else {
                "write a time: `1 ms`"
            });
        return None;
    }
    // The number of steps follows from the duration, not the other way round.
    let reads_steps = value.any(&mut |e| matches!(e.kind, hir::ExprKind::Steps));
    let seconds = evaluate(cx, &value, env.filter(|_| !reads_steps), what)?;
    if seconds > 0.0 && seconds.is_finite() {
        return Some(seconds);
    }
    cx.report(Code::E0406, expr.span, format!("{what} must be above 0"))
        .at(format!("this is {}", quantity(seconds, Unit::TIME)))
        .note("a run goes on from step to step; without a length there is no step")
        .help("write a time above 0, for example `1 ms`");
    None
}

/// Elaborates an expression that must be known before the run; `dt` and `steps` stay symbols. None after a message.
pub(super) fn constant<'a>(cx: &mut Cx<'a>, expr: &'a ast::Expr) -> Option<hir::Expr> {
    if matches!(expr.kind, ast::ExprKind::List(_) | ast::ExprKind::Str(_)) {
        cx.report(Code::E0301, expr.span, "this is not a number")
            .at("one number is wanted here")
            .help("write one number");
        return None;
    }
    let value = expr::elaborate(cx, &mut Scope::new(Place::Constant), expr);
    (!is_poison(&value)).then_some(value)
}

/// The value of a constant; reports if it has none.
pub(super) fn evaluate(cx: &mut Cx, expr: &hir::Expr, env: Option<&ConstEnv>, what: &str) -> Option<f64> {
    let value = constant::eval_in(expr, env, &mut Vec::new());
    if value.is_none() {
        let reads_dt = expr.any(&mut |e| matches!(e.kind, hir::ExprKind::Dt | hir::ExprKind::Steps));
        let why =
            if reads_dt && env.is_none() { "reads `dt` or `steps`" } else { "not known before the run" };
        cx.report(Code::E0305, expr.span, format!("{what} must be a constant"))
            .at(why)
            .note("it is needed before the program runs")
            .help("write a number, or a `param` of the file");
    }
    value
}

/// Reports a constant of another unit; 0 has every unit.
pub(super) fn with_unit(cx: &mut Cx, expr: &hir::Expr, unit: Unit, what: &str) -> Option<()> {
    if expr.unit == unit || (expr.unit.is_none() && constant::eval_free(expr) == Some(0.0)) {
        return Some(());
    }
    let wanted = if unit.is_none() { "a number without unit".to_string() } else { format!("a {unit}") };
    cx.report(Code::E0401, expr.span, format!("{what} is {wanted}"))
        .at(format!("this is a {}", expr.unit))
        .help(match unit.is_none() {
            true => "leave the unit out".to_string(),
            false => format!("write a unit: `1 {}`", unit.symbol()),
        });
    None
}
