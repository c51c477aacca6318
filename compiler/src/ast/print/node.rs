//! The syntax tree as lines and blocks: what `layout` writes. Knows where the parts came from, not how they are
//! placed.

use super::expr;
use crate::ast::{
    Circuit, CircuitItem, CircuitItemKind, Constraint, Expect, Expr, Fn, Ident, Init, InputDecl, Item,
    ItemKind, Job, JobKind, Learn, Neuron, NeuronItem, Optimizer, ParamDecl, Promise, Require, Reset, Scope,
    Setting, Stmt, StmtKind, Surrogate, Test,
};

/// A piece of a line.
pub(super) enum Seg<'a> {
    /// As it is.
    Text(String),
    /// An expression, which may be broken.
    Expr(&'a Expr),
    /// `(a, b = 1)`, which may be broken.
    Params(&'a [ParamDecl]),
}

/// A line, or a head with a body in braces.
pub(super) enum Node<'a> {
    Leaf {
        segs: Vec<Seg<'a>>,
        /// Where it ends in its source, perhaps without closing brackets.
        end: u32,
    },
    Block {
        head: Vec<Seg<'a>>,
        body: Vec<Node<'a>>,
        /// Whether a body of one line may stand on the line of the head.
        may_join: bool,
    },
}

/// The words before a place in the source, to tell how things that are equal in the tree were written.
pub(super) trait Before {
    /// The token `back` tokens before the one at `start` (1 is directly before).
    fn before(&self, start: u32, back: usize) -> &str;
}

fn text<'a>(text: impl Into<String>) -> Seg<'a> {
    Seg::Text(text.into())
}

fn leaf<'a>(start: impl Into<String>, value: &'a Expr) -> Node<'a> {
    Node::Leaf { segs: vec![text(start), Seg::Expr(value)], end: value.span.end }
}

fn block<'a>(head: Vec<Seg<'a>>, body: Vec<Node<'a>>) -> Node<'a> {
    Node::Block { head, body, may_join: true }
}

fn long_block<'a>(head: Vec<Seg<'a>>, body: Vec<Node<'a>>) -> Node<'a> {
    Node::Block { head, body, may_join: false }
}

/// `word name(params)`; without parentheses if there are no parameters, unless they are part of the form.
fn head<'a>(word: &str, name: &Ident, params: &'a [ParamDecl], always: bool) -> Vec<Seg<'a>> {
    let mut segs = vec![text(format!("{word} {}", name.text))];
    if always || !params.is_empty() {
        segs.push(Seg::Params(params));
    }
    segs
}

/// A declaration without its doc comment.
pub(super) fn item<'a>(item: &'a Item, source: &impl Before) -> Node<'a> {
    let end = item.span.end;
    match &item.kind {
        ItemKind::Use(it) => {
            let mut line = format!("use {}", expr::path(&it.path));
            if !it.names.is_empty() {
                let names: Vec<&str> = it.names.iter().map(|n| n.text.as_str()).collect();
                line.push_str(&format!(".{{{}}}", names.join(", ")));
            }
            Node::Leaf { segs: vec![text(line)], end }
        }
        ItemKind::Param(it) => Node::Leaf { segs: declared("param ", it), end },
        ItemKind::Neuron(it) => neuron(it, source),
        ItemKind::Reset(Reset { name, params, body }) => {
            block(head("reset", name, params, true), body.iter().map(stmt).collect())
        }
        ItemKind::Surrogate(it) => surrogate(it),
        ItemKind::Fn(it) => function(it, end),
        ItemKind::Circuit(it) => circuit(it),
        ItemKind::Init(it) => init(it),
        ItemKind::Optimizer(it) => optimizer(it, source),
        ItemKind::Data(it) => {
            Node::Leaf { segs: vec![text(format!("data {} = ", it.name.text)), Seg::Expr(&it.source)], end }
        }
        ItemKind::Job(it) => job(it),
        ItemKind::Test(it) => test(it),
    }
}

/// `start name: unit = e`
fn declared<'a>(start: &str, decl: &'a ParamDecl) -> Vec<Seg<'a>> {
    let mut line = format!("{start}{}", decl.name.text);
    if let Some(unit) = &decl.unit {
        line.push_str(&format!(": {}", unit.text));
    }
    match &decl.default {
        Some(value) => vec![text(line + " = "), Seg::Expr(value)],
        None => vec![text(line)],
    }
}

/// `name: unit = e` on one line.
pub(super) fn param(decl: &ParamDecl) -> String {
    let mut res = String::new();
    for seg in declared("", decl) {
        flat(&seg, &mut res);
    }
    res
}

/// Writes a piece on one line.
pub(super) fn flat(seg: &Seg, out: &mut String) {
    match seg {
        Seg::Text(text) => out.push_str(text),
        Seg::Expr(value) => expr::flat(value, 0, out),
        Seg::Params(params) => {
            let params: Vec<String> = params.iter().map(param).collect();
            out.push_str(&format!("({})", params.join(", ")));
        }
    }
}

fn neuron<'a>(it: &'a Neuron, source: &impl Before) -> Node<'a> {
    let mut body = Vec::new();
    for line in &it.items {
        match line {
            NeuronItem::Input(decl) => body.push(input(decl, input_end(decl))),
            NeuronItem::State(decl) => state(decl, source, &mut body),
            NeuronItem::Learn(decl) => body.push(learn(decl, decl.init.span.end)),
            NeuronItem::Equation { state, value } => body.push(leaf(format!("{}' = ", state.text), value)),
            NeuronItem::Step(stmts) => match &stmts[..] {
                [one] if !in_step(one, source) => body.push(stmt(one)),
                _ => body.push(block(vec![text("step")], stmts.iter().map(stmt).collect())),
            },
            NeuronItem::Emit(value) => body.push(leaf("emit ", value)),
        }
    }
    long_block(head("neuron", &it.name, &it.params, false), body)
}

fn in_step(stmt: &Stmt, source: &impl Before) -> bool {
    source.before(stmt.span.start, 1) == "{" && source.before(stmt.span.start, 2) == "step"
}

/// A state; one that was written behind another with a comma joins it.
fn state<'a>(decl: &'a ParamDecl, source: &impl Before, body: &mut Vec<Node<'a>>) {
    let end = decl.default.as_ref().map_or(decl.name.span.end, |e| e.span.end);
    if source.before(decl.name.span.start, 1) == ","
        && let Some(Node::Leaf { segs, end: last }) = body.last_mut()
    {
        segs.extend(declared(", ", decl));
        *last = end;
        return;
    }
    body.push(Node::Leaf { segs: declared("state ", decl), end });
}

fn constraint<'a>(it: Option<&'a Constraint>, segs: &mut Vec<Seg<'a>>) {
    let (sign, value) = match it {
        None => return,
        Some(Constraint::AtLeast(value)) => (" >= ", value),
        Some(Constraint::Above(value)) => (" > ", value),
        Some(Constraint::AtMost(value)) => (" <= ", value),
        Some(Constraint::Below(value)) => (" < ", value),
        Some(Constraint::Within(low, high)) => {
            segs.extend([text(" in ["), Seg::Expr(low), text(", "), Seg::Expr(high), text("]")]);
            return;
        }
    };
    segs.push(text(sign));
    bound(value, segs);
}

/// A comparison in a bound would end it.
fn bound<'a>(value: &'a Expr, segs: &mut Vec<Seg<'a>>) {
    let mut line = String::new();
    expr::flat(value, crate::ast::BinaryOp::Add.precedence(), &mut line);
    if line.starts_with('(') {
        segs.push(text(line));
    } else {
        segs.push(Seg::Expr(value));
    }
}

fn input(decl: &InputDecl, end: u32) -> Node<'_> {
    let mut line = format!("input {}", decl.name.text);
    if let Some(unit) = &decl.unit {
        line.push_str(&format!(": {}", unit.text));
    }
    if let Some(axes) = &decl.axes {
        line.push_str(": ");
        expr::bracketed(axes, &mut line);
    }
    if decl.stream {
        line.push_str(" stream");
    }
    let mut segs = vec![text(line)];
    constraint(decl.constraint.as_ref(), &mut segs);
    if let Some(value) = &decl.default {
        segs.extend([text(" = "), Seg::Expr(value)]);
    }
    Node::Leaf { segs, end }
}

fn input_end(decl: &InputDecl) -> u32 {
    let bound = decl.constraint.as_ref().map(|c| match c {
        Constraint::Within(_, high) => high.span.end,
        Constraint::AtLeast(e) | Constraint::Above(e) | Constraint::AtMost(e) | Constraint::Below(e) => {
            e.span.end
        }
    });
    let axes = decl.axes.as_ref().and_then(|axes| axes.last()).map(|e| e.span.end);
    let unit = decl.unit.as_ref().map(|u| u.span.end);
    let default = decl.default.as_ref().map(|e| e.span.end);
    [default, bound, axes, unit].into_iter().flatten().max().unwrap_or(decl.name.span.end)
}

fn learn(decl: &Learn, end: u32) -> Node<'_> {
    let mut line = format!("{} {}: ", if decl.fixed { "param" } else { "learn" }, decl.name.text);
    match &decl.scope {
        Scope::Name(name) => line.push_str(&name.text),
        Scope::Axes(axes) => expr::bracketed(axes, &mut line),
    }
    let mut segs = vec![text(line)];
    constraint(decl.constraint.as_ref(), &mut segs);
    if decl.keeps_initial_sign {
        segs.push(text(" sign initial"));
    }
    if let Some(keep) = &decl.keep {
        segs.extend([text(" keep "), Seg::Expr(keep)]);
    }
    segs.extend([text(" = "), Seg::Expr(&decl.init)]);
    Node::Leaf { segs, end }
}

fn stmt(stmt: &Stmt) -> Node<'_> {
    let segs = match &stmt.kind {
        StmtKind::Let { name, value } => vec![text(format!("let {} = ", name.text)), Seg::Expr(value)],
        StmtKind::Assign { target, value } => vec![text(format!("{} = ", target.text)), Seg::Expr(value)],
        StmtKind::Integrate { method } => vec![text(format!("integrate {}", method.text))],
        StmtKind::Fire { condition, surrogate } => {
            let mut segs = vec![text("fire "), Seg::Expr(condition)];
            if let Some(surrogate) = surrogate {
                segs.extend([text(" with "), Seg::Expr(surrogate)]);
            }
            segs
        }
        StmtKind::ResetCall { rule, args } => {
            let mut segs = vec![text(expr::path(rule)), text("(")];
            for (at, arg) in args.iter().enumerate() {
                let comma = if at > 0 { ", " } else { "" };
                let name = arg.name.as_ref().map_or(String::new(), |n| format!("{} = ", n.text));
                segs.extend([text(format!("{comma}{name}")), Seg::Expr(&arg.value)]);
            }
            segs.push(text(")"));
            segs
        }
        StmtKind::ResetBlock(body) => {
            return block(vec![text("reset")], body.iter().map(self::stmt).collect());
        }
        StmtKind::Refractory { duration, holding } => {
            let mut segs = vec![text("refractory "), Seg::Expr(duration)];
            if !holding.is_empty() {
                let names: Vec<&str> = holding.iter().map(|n| n.text.as_str()).collect();
                segs.push(text(format!(" holding {}", names.join(", "))));
            }
            segs
        }
    };
    Node::Leaf { segs, end: stmt.span.end }
}

fn surrogate(it: &Surrogate) -> Node<'_> {
    let derivative = [("derivative", &it.derivative)];
    let primitive = it.primitive.iter().map(|l| ("primitive", l));
    let mut parts: Vec<_> = derivative.into_iter().chain(primitive).collect();
    parts.sort_by_key(|(_, lambda)| lambda.body.span.start);
    let line = |(word, lambda): (&str, &'_ crate::ast::Lambda)| format!("{word}({}) = ", lambda.param.text);
    let body = parts.into_iter().map(|(word, lambda)| leaf(line((word, lambda)), &lambda.body)).collect();
    block(head("surrogate", &it.name, &it.params, false), body)
}

fn lets(lets: &[(Ident, Expr)]) -> Vec<Node<'_>> {
    lets.iter().map(|(name, value)| leaf(format!("let {} = ", name.text), value)).collect()
}

fn function(it: &Fn, end: u32) -> Node<'_> {
    let mut head = head("fn", &it.name, &it.params, true);
    let Some(backward) = &it.backward else {
        if it.lets.is_empty() {
            head.extend([text(" = "), Seg::Expr(&it.value)]);
            return Node::Leaf { segs: head, end };
        }
        let mut body = lets(&it.lets);
        body.push(result(&it.value));
        return block(head, body);
    };
    let mut body = lets(&it.lets);
    body.push(leaf("forward ", &it.value));
    let mut segs = vec![text(format!("backward({}) ", backward.grad.text))];
    listed(&backward.values, &mut segs);
    let last = backward.values.last().map_or(it.value.span.end, |e| e.span.end);
    body.push(Node::Leaf { segs, end: last });
    block(head, body)
}

/// The value behind `let`s, where a sign at its start would go on with the `let` before.
fn result(value: &Expr) -> Node<'_> {
    let mut line = String::new();
    expr::flat(value, 0, &mut line);
    if line.starts_with(['-', '*']) {
        return Node::Leaf { segs: vec![text(format!("({line})"))], end: value.span.end };
    }
    leaf("", value)
}

/// `e, e`
fn listed<'a>(values: &'a [Expr], segs: &mut Vec<Seg<'a>>) {
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            segs.push(text(", "));
        }
        segs.push(Seg::Expr(value));
    }
}

fn circuit(it: &Circuit) -> Node<'_> {
    let word = if it.is_model { "model" } else { "circuit" };
    long_block(head(word, &it.name, &it.params, false), it.items.iter().map(circuit_item).collect())
}

fn circuit_item(it: &CircuitItem) -> Node<'_> {
    let end = it.span.end;
    let segs = match &it.kind {
        CircuitItemKind::Input(decl) => return input(decl, end),
        CircuitItemKind::Learn(decl) => return learn(decl, end),
        CircuitItemKind::Let { name, value, .. } => {
            vec![text(format!("let {} = ", name.text)), Seg::Expr(value)]
        }
        CircuitItemKind::Population { name, axes, polarity, neuron } => {
            let mut line = format!("population {}", name.text);
            expr::bracketed(axes, &mut line);
            if let Some(polarity) = polarity {
                line.push_str(&format!(" {}", polarity.text));
            }
            vec![text(line + ": "), Seg::Expr(neuron)]
        }
        CircuitItemKind::Projection { source, targets, kind } => {
            let names: Vec<String> = targets.iter().map(expr::path).collect();
            let target =
                if let [one] = &names[..] { one.clone() } else { format!("{{{}}}", names.join(", ")) };
            let mut segs = vec![text(format!("{} -> {target}", expr::path(source)))];
            if let Some(kind) = kind {
                segs.extend([text(" : "), Seg::Expr(kind)]);
            }
            segs
        }
        CircuitItemKind::Drive { target, value } => {
            vec![text(format!("{} = ", expr::path(target))), Seg::Expr(value)]
        }
        CircuitItemKind::Output(values) => {
            let mut segs = vec![text("output ")];
            listed(values, &mut segs);
            segs
        }
    };
    Node::Leaf { segs, end }
}

fn init(it: &Init) -> Node<'_> {
    let mut body = lets(&it.lets);
    body.extend(it.requires.iter().map(require));
    body.push(leaf(format!("{} ", it.mode.text), &it.value));
    body.extend(it.promises.iter().map(promise));
    block(head("init", &it.name, &it.params, false), body)
}

fn require(it: &Require) -> Node<'_> {
    // Texts are longer than what they are about: a line that is too long is so because of them, and they do not break.
    let mut line = "require ".to_string();
    expr::flat(&it.condition, 0, &mut line);
    line.push_str(" else ");
    expr::flat(&it.problem, 0, &mut line);
    if let Some(help) = &it.help {
        line.push_str(", ");
        expr::flat(help, 0, &mut line);
    }
    Node::Leaf { segs: vec![text(line)], end: it.span.end }
}

fn promise(it: &Promise) -> Node<'_> {
    let mut segs = comparison("verify ", &it.expect);
    if let Some(axes) = &it.draw.duration {
        segs.extend([text(" for "), Seg::Expr(axes)]);
    }
    if let Some(neuron) = &it.draw.into {
        segs.extend([text(" into "), Seg::Expr(neuron)]);
    }
    Node::Leaf { segs, end: it.expect.span.end }
}

fn comparison<'a>(word: &'static str, it: &'a Expect) -> Vec<Seg<'a>> {
    let mut segs = vec![text(word), Seg::Expr(&it.value)];
    if let (Some(within), Some(of)) = (&it.within, &it.of) {
        segs.extend([text(" within "), Seg::Expr(within), text(" of "), Seg::Expr(of)]);
    }
    segs
}

fn optimizer<'a>(it: &'a Optimizer, source: &impl Before) -> Node<'a> {
    let mut body = Vec::new();
    let update_start = it.update.first().map_or(u32::MAX, |s| s.span.start);
    let update = || block(vec![text("update")], it.update.iter().map(stmt).collect());
    let (early, late): (Vec<_>, Vec<_>) = it.states.iter().partition(|s| s.name.span.start < update_start);
    for decl in early {
        state(decl, source, &mut body);
    }
    body.push(update());
    for decl in late {
        state(decl, source, &mut body);
    }
    long_block(head("optimizer", &it.name, &it.params, false), body)
}

fn job(it: &Job) -> Node<'_> {
    let word = match it.kind {
        JobKind::Train => "train ",
        JobKind::Evaluate => "evaluate ",
        JobKind::Simulate => "simulate ",
        JobKind::Draw => "draw ",
    };
    let mut segs = vec![text(word), Seg::Expr(&it.subject)];
    if let Some(data) = &it.data {
        segs.push(text(format!(" on {}", expr::path(data))));
    }
    if let Some(duration) = &it.duration {
        segs.push(text(" for "));
        bound(duration, &mut segs);
    }
    if let Some(neuron) = &it.into {
        segs.extend([text(" into "), Seg::Expr(neuron)]);
    }
    if it.settings.is_empty() {
        return Node::Leaf { segs, end: it.span.end };
    }
    block(segs, it.settings.iter().map(setting).collect())
}

fn setting(it: &Setting) -> Node<'_> {
    let is_call = matches!(&it.values[..], [Expr { kind: crate::ast::ExprKind::Call { callee, .. }, .. }]
        if callee.span == it.word.span && callee.segments.len() == 1);
    let start = match (is_call, it.is_assign) {
        (true, false) => String::new(),
        (_, true) => format!("{} = ", it.word.text),
        (false, false) => format!("{} ", it.word.text),
    };
    let mut segs = vec![text(start)];
    listed(&it.values, &mut segs);
    Node::Leaf { segs, end: it.span.end }
}

fn test(it: &Test) -> Node<'_> {
    let mut name = String::from("test ");
    expr::string(&it.name, &mut name);
    let jobs = it.job.iter().map(|j| (j.span.start, job(j)));
    let expects = it
        .expects
        .iter()
        .map(|e| (e.span.start, Node::Leaf { segs: comparison("expect ", e), end: e.span.end }));
    let mut body: Vec<_> = jobs.chain(expects).collect();
    body.sort_by_key(|(start, _)| *start);
    long_block(vec![text(name)], body.into_iter().map(|(_, node)| node).collect())
}
