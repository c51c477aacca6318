//! Text of expressions, with as few parentheses as the precedence of the language needs.

use super::Names;
use crate::hir::{AXES, Expr, ExprKind, Over, ReduceOp, StateId, Stored, TraceRef};
use crate::step::ops::Pw;

/// The text of an expression.
pub fn expr(expr: &Expr, names: &Names) -> String {
    text(expr, names, 0)
}

/// The shortest text of a number that reads back as the same number: `0.02`, `1e-12`, `3`.
pub fn number(value: f64) -> String {
    let text = format!("{value:?}");
    text.strip_suffix(".0").map_or(text.clone(), String::from)
}

/// `level`: how tightly the place binds; what binds less gets parentheses.
fn text(expr: &Expr, names: &Names, level: u8) -> String {
    let (text, own) = match &expr.kind {
        ExprKind::Pointwise(op, args) => match (infix(*op), args.as_slice()) {
            (Some((sign, own)), [a, b]) => (binary(sign, own, [a, b], names), own),
            _ if *op == Pw::Neg && args.len() == 1 => (format!("-{}", self::text(&args[0], names, 7)), 6),
            _ => (call(op.info().name, args, names), 9),
        },
        ExprKind::MatVec(a, b) => (format!("{} @ {}", self::text(a, names, 6), self::text(b, names, 7)), 5),
        ExprKind::Let { local, value, body } => {
            let (value, body) = (self::text(value, names, 0), self::text(body, names, 0));
            (format!("let {} = {value} in {body}", names.local(*local)), 0)
        }
        ExprKind::Const(value) if *value < 0.0 => (number(*value), 6),
        _ => (other(expr, names), 9),
    };
    if own < level || (level > 0 && own == 0) { format!("({text})") } else { text }
}

/// Sign and precedence of operations that are written between their operands.
fn infix(op: Pw) -> Option<(&'static str, u8)> {
    Some(match op {
        Pw::Or => ("or", 1),
        Pw::And => ("and", 2),
        Pw::Eq => ("==", 3),
        Pw::Ne => ("!=", 3),
        Pw::Lt => ("<", 3),
        Pw::Le => ("<=", 3),
        Pw::Add => ("+", 4),
        Pw::Sub => ("-", 4),
        Pw::Mul => ("*", 5),
        Pw::Div => ("/", 5),
        Pw::Pow => ("^", 7),
        _ => return None,
    })
}

fn binary(sign: &str, own: u8, [a, b]: [&Expr; 2], names: &Names) -> String {
    let (left, right) = match own {
        3 => (4, 4),
        7 => (8, 7),
        _ => (own, own + 1),
    };
    format!("{} {sign} {}", text(a, names, left), text(b, names, right))
}

fn call(name: &str, args: &[Expr], names: &Names) -> String {
    let args: Vec<String> = args.iter().map(|arg| text(arg, names, 0)).collect();
    format!("{name}({})", args.join(", "))
}

/// Everything that needs no parentheses.
fn other(expr: &Expr, names: &Names) -> String {
    let one = |e: &Expr| text(e, names, 0);
    match &expr.kind {
        ExprKind::Const(value) => number(*value),
        ExprKind::Dt => "dt".into(),
        ExprKind::StepIndex => "step_index".into(),
        ExprKind::Steps => "steps".into(),
        ExprKind::Training => "training".into(),
        ExprKind::Scalar(scalar) => scalar.name().into(),
        ExprKind::Target => "target".into(),
        ExprKind::Neuron(_, _, fact) => fact.name().into(),
        ExprKind::Product(a, b) => format!("product({}, {})", one(a), one(b)),
        ExprKind::Matrix(op, value) => {
            let count = op.count().map_or(String::new(), |n| format!(", {n}"));
            format!("{}({}{count})", op.name(), text(value, names, 0))
        }
        ExprKind::Arranged(value, keys) => format!("arranged({}, {})", one(value), one(keys)),
        ExprKind::SpectralNorm { weight, iterations: 1, .. } => format!("spectral_norm({})", one(weight)),
        ExprKind::SpectralNorm { weight, iterations, .. } => {
            format!("spectral_norm({}, iterations = {iterations})", one(weight))
        }
        ExprKind::Element(stored, index) => {
            let index: Vec<String> = index.iter().map(one).collect();
            format!("{}[{}]", self::stored(stored), index.join(", "))
        }
        ExprKind::Extent(stored, axis) => format!("size({}, {axis})", self::stored(stored)),
        ExprKind::Required { condition, problem, value, .. } => {
            format!("required({}, {problem:?}, {})", one(condition), one(value))
        }
        ExprKind::Iota(axis) => AXES[*axis].into(),
        ExprKind::Random { gaussian, stream, once } => {
            let name = if *gaussian { "gaussian" } else { "random" };
            format!("{name}(stream {stream:?}{})", if *once { ", each presentation" } else { "" })
        }
        ExprKind::Delayed { value, delay } => format!("delayed({}, {})", one(value), one(delay)),
        ExprKind::Slide { slide, over, value, weight } => {
            let weight = weight.as_ref().map_or(String::new(), |w| format!("{}, ", one(w)));
            format!("{}({weight}{}; {})", slide.name(), one(value), crate::step::print::windows(over))
        }
        ExprKind::Repeat(value) => format!("repeat({}, to {:?})", one(value), expr.shape),
        ExprKind::Since(value, start) => format!("since({}, {start})", one(value)),
        ExprKind::Detach(value) => format!("detach({})", one(value)),
        ExprKind::StraightThrough(a, b) => format!("straight_through({}, {})", one(a), one(b)),
        ExprKind::GradScale(a, b) => format!("grad_scale({}, {})", one(a), one(b)),
        ExprKind::Reduce { op, over, value } => {
            format!("{}({}, over = {})", reduce_name(*op), one(value), over_name(*over))
        }
        ExprKind::Normalise(norm) => format!(
            "normalise({}, mean = {}, variance = {}, over = {}, momentum = {}, eps = {})",
            one(&norm.value),
            self::name(&ExprKind::Param(norm.mean), names),
            self::name(&ExprKind::Param(norm.variance), names),
            if norm.over_time { "time" } else { "step" },
            number(norm.momentum),
            number(norm.eps)
        ),
        ExprKind::Custom { name, params, args, forward, grad, backward } => {
            let bound: Vec<_> = params
                .iter()
                .zip(args)
                .map(|(param, arg)| format!("{} = {}", names.local(*param), one(arg)))
                .collect();
            let grads: Vec<_> = backward.iter().map(one).collect();
            format!(
                "{name}({}){{ forward {}; backward({}) {} }}",
                bound.join(", "),
                one(forward),
                names.local(*grad),
                grads.join(", ")
            )
        }
        _ => name(&expr.kind, names),
    }
}

/// `file("a.safetensors")["x->h.weight"]`
fn stored(stored: &Stored) -> String {
    format!("file({:?})[{:?}]", stored.file, stored.tensor)
}

/// Expressions that are names of things of the model.
fn name(kind: &ExprKind, names: &Names) -> String {
    let unknown = |word: &str, id: u32| format!("{word}{id}");
    let population = |id: crate::hir::PopId| {
        let found = names.model.and_then(|m| m.populations.get(id.idx()));
        found.map_or_else(|| unknown("population", id.0), |p| p.name.clone())
    };
    let state = |id: StateId| {
        let found = names.model.and_then(|m| m.states.get(id.idx()));
        found.map_or_else(|| unknown("state", id.0), |s| s.name.clone())
    };
    match kind {
        ExprKind::Local(id) => names.local(*id),
        ExprKind::Param(id) => {
            let found = names.model.and_then(|m| m.params.get(id.idx()));
            found.map_or_else(|| unknown("param", id.0), |p| p.name.clone())
        }
        ExprKind::Input(id) => {
            let found = names.model.and_then(|m| m.inputs.get(id.idx()));
            found.map_or_else(|| unknown("input", id.0), |i| i.name.clone())
        }
        ExprKind::State(id) => state(*id),
        ExprKind::Fired(_) => "fired".into(),
        ExprKind::Port(id, port) => {
            let found = names.model.and_then(|m| m.populations.get(id.idx())?.ports.get(*port));
            found.map_or_else(|| format!("in.{port}"), |p| format!("in.{}", p.name))
        }
        ExprKind::Emit(id) => format!("{}.out", population(*id)),
        ExprKind::Trace(id, TraceRef::Fired) => format!("{}.fired after", population(*id)),
        ExprKind::Trace(id, TraceRef::AtFire) => format!("{}.at_fire", population(*id)),
        ExprKind::Trace(_, TraceRef::State(id)) => format!("{} after", state(*id)),
        ExprKind::Trace(id, TraceRef::Local(local)) => {
            format!("{}.{} after", population(*id), names.local(*local))
        }
        _ => String::new(),
    }
}

/// The word of a reduction in the language.
pub fn reduce_name(op: ReduceOp) -> &'static str {
    match op {
        ReduceOp::Fold(fold) => fold.name(),
        ReduceOp::Mean => "mean",
        ReduceOp::Variance => "variance",
        ReduceOp::Last => "last",
        ReduceOp::Firing(..) => "firing",
    }
}

/// The word of an axis in the language.
pub fn over_name(over: Over) -> &'static str {
    match over {
        Over::Population => "population",
        Over::Time => "time",
        Over::Batch => "batch",
        Over::All => "all",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hir::{LocalId, Unit};
    use crate::source::Span;

    fn make(kind: ExprKind) -> Expr {
        Expr { kind, unit: Unit::NONE, shape: Vec::new(), span: Span::NONE }
    }
    fn local(id: u32) -> Expr {
        make(ExprKind::Local(LocalId(id)))
    }
    fn pw(op: Pw, args: &[Expr]) -> Expr {
        make(ExprKind::Pointwise(op, args.to_vec()))
    }
    #[track_caller]
    fn check(found: &Expr, text: &str) {
        let locals = ["a", "b", "c", "c"].map(String::from);
        assert_eq!(expr(found, &Names::of_locals(&locals)), text);
    }

    #[test]
    fn parentheses_stand_where_they_are_needed() {
        let (a, b, c) = (local(0), local(1), local(2));
        let sum = pw(Pw::Add, &[a.clone(), b.clone()]);
        check(&pw(Pw::Mul, &[sum.clone(), c.clone()]), "(a + b) * c@2");
        check(&pw(Pw::Add, &[sum.clone(), c.clone()]), "a + b + c@2");
        check(&pw(Pw::Sub, &[c.clone(), sum.clone()]), "c@2 - (a + b)");
        check(&pw(Pw::Neg, &[sum]), "-(a + b)");
        let power = pw(Pw::Pow, &[a.clone(), b.clone()]);
        check(&pw(Pw::Neg, std::slice::from_ref(&power)), "-a ^ b");
        check(&pw(Pw::Pow, &[power, pw(Pw::Neg, std::slice::from_ref(&b))]), "(a ^ b) ^ (-b)");
        check(&pw(Pw::Exp, &[pw(Pw::Div, &[pw(Pw::Neg, &[a]), b])]), "exp(-a / b)");
    }

    #[test]
    fn numbers_read_back() {
        for (value, text) in [(0.02, "0.02"), (1e-12, "1e-12"), (3.0, "3"), (-65e-3, "-0.065")] {
            assert_eq!(number(value), text);
        }
        check(&pw(Pw::Sub, &[local(0), make(ExprKind::Const(-1.0))]), "a - -1");
    }

    #[test]
    fn a_let_inside_stands_in_parentheses() {
        let inner =
            make(ExprKind::Let { local: LocalId(1), value: Box::new(local(0)), body: Box::new(local(1)) });
        check(&inner, "let b = a in b");
        check(&pw(Pw::Add, &[inner, local(0)]), "(let b = a in b) + a");
    }
}
