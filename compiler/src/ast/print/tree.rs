//! The syntax tree as text for people who debug the parser: lines for parts, lists for expressions, no positions.

use std::fmt::Write as _;

use super::expr::path;
use crate::ast::{
    Arg, BinaryOp, CircuitItemKind, Constraint, Expect, Expr, ExprKind, File, Ident, InputDecl, Item,
    ItemKind, Job, Learn, NeuronItem, ParamDecl, Path, Scope, Stmt, StmtKind, UnaryOp,
};

pub(super) fn file(ast: &File) -> String {
    let mut tree = Tree { out: String::new(), depth: 0 };
    for item in &ast.items {
        tree.item(item);
    }
    tree.out
}

struct Tree {
    out: String,
    depth: usize,
}

impl Tree {
    fn line(&mut self, text: impl AsRef<str>) {
        self.out.extend(std::iter::repeat_n("  ", self.depth));
        self.out.push_str(text.as_ref());
        self.out.push('\n');
    }

    fn nested(&mut self, head: impl AsRef<str>, body: impl FnOnce(&mut Tree)) {
        self.line(head);
        self.depth += 1;
        body(self);
        self.depth -= 1;
    }

    fn item(&mut self, item: &Item) {
        let head = match &item.kind {
            ItemKind::Use(it) => {
                let names: Vec<&str> = it.names.iter().map(|n| n.text.as_str()).collect();
                format!("use {} {names:?}", path(&it.path))
            }
            ItemKind::Param(it) => format!("param {}", decl(it)),
            ItemKind::Neuron(it) => format!("neuron {}{}", it.name.text, params(&it.params)),
            ItemKind::Reset(it) => format!("reset {}{}", it.name.text, params(&it.params)),
            ItemKind::Surrogate(it) => format!("surrogate {}{}", it.name.text, params(&it.params)),
            ItemKind::Fn(it) => format!("fn {}{}", it.name.text, params(&it.params)),
            ItemKind::Circuit(it) => {
                let word = if it.is_model { "model" } else { "circuit" };
                format!("{word} {}{}", it.name.text, params(&it.params))
            }
            ItemKind::Init(it) => format!("init {}{}", it.name.text, params(&it.params)),
            ItemKind::Optimizer(it) => format!("optimizer {}{}", it.name.text, params(&it.params)),
            ItemKind::Data(it) => format!("data {} {}", it.name.text, list(&it.source)),
            ItemKind::Job(it) => return self.job(it, &item.doc),
            ItemKind::Test(it) => format!("test {:?}", it.name),
        };
        self.nested(head, |tree| {
            tree.doc(&item.doc);
            tree.body(&item.kind);
        });
    }

    fn doc(&mut self, doc: &[String]) {
        for line in doc {
            self.line(format!("doc {line:?}"));
        }
    }

    fn body(&mut self, kind: &ItemKind) {
        match kind {
            ItemKind::Use(_) | ItemKind::Param(_) | ItemKind::Data(_) | ItemKind::Job(_) => {}
            ItemKind::Neuron(it) => it.items.iter().for_each(|line| self.neuron_item(line)),
            ItemKind::Reset(it) => it.body.iter().for_each(|s| self.stmt(s)),
            ItemKind::Surrogate(it) => {
                self.line(format!("derivative {} {}", it.derivative.param.text, list(&it.derivative.body)));
                if let Some(primitive) = &it.primitive {
                    self.line(format!("primitive {} {}", primitive.param.text, list(&primitive.body)));
                }
            }
            ItemKind::Fn(it) => {
                self.lets(&it.lets);
                self.line(format!("value {}", list(&it.value)));
                if let Some(backward) = &it.backward {
                    self.line(format!("backward {} {}", backward.grad.text, lists(&backward.values)));
                }
            }
            ItemKind::Circuit(it) => it.items.iter().for_each(|line| self.circuit_item(&line.kind)),
            ItemKind::Init(it) => {
                self.lets(&it.lets);
                for require in &it.requires {
                    let help = opt(" ", &require.help);
                    self.line(format!(
                        "require {} {}{help}",
                        list(&require.condition),
                        list(&require.problem)
                    ));
                }
                self.line(format!("{} {}", it.mode.text, list(&it.value)));
                for promise in &it.promises {
                    self.nested("verify", |tree| {
                        tree.expect(&promise.expect);
                        tree.job(&promise.draw, &[]);
                    });
                }
            }
            ItemKind::Optimizer(it) => {
                it.states.iter().for_each(|s| self.line(format!("state {}", decl(s))));
                self.nested("update", |tree| it.update.iter().for_each(|s| tree.stmt(s)));
            }
            ItemKind::Test(it) => {
                it.job.iter().for_each(|job| self.job(job, &[]));
                it.expects.iter().for_each(|expect| self.expect(expect));
            }
        }
    }

    fn expect(&mut self, expect: &Expect) {
        let (within, of) = (opt(" within ", &expect.within), opt(" of ", &expect.of));
        self.line(format!("expect {}{within}{of}", list(&expect.value)));
    }

    fn lets(&mut self, lets: &[(Ident, Expr)]) {
        for (name, value) in lets {
            self.line(format!("let {} {}", name.text, list(value)));
        }
    }

    fn neuron_item(&mut self, item: &NeuronItem) {
        match item {
            NeuronItem::Input(it) => self.line(input(it)),
            NeuronItem::State(it) => self.line(format!("state {}", decl(it))),
            NeuronItem::Learn(it) => self.line(learn(it)),
            NeuronItem::Equation { state, value } => {
                self.line(format!("equation {} {}", state.text, list(value)))
            }
            NeuronItem::Step(stmts) => self.nested("step", |tree| stmts.iter().for_each(|s| tree.stmt(s))),
            NeuronItem::Emit(value) => self.line(format!("emit {}", list(value))),
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        let line = match &stmt.kind {
            StmtKind::Let { name, value } => format!("let {} {}", name.text, list(value)),
            StmtKind::Assign { target, value } => format!("assign {} {}", target.text, list(value)),
            StmtKind::Integrate { method } => format!("integrate {}", method.text),
            StmtKind::Fire { condition, surrogate } => {
                format!("fire {}{}", list(condition), opt(" with ", surrogate))
            }
            StmtKind::ResetCall { rule, args: list } => format!("reset ({}{})", path(rule), args(list)),
            StmtKind::ResetBlock(body) => {
                return self.nested("reset", |tree| body.iter().for_each(|s| tree.stmt(s)));
            }
            StmtKind::Refractory { duration, holding } => {
                let names: Vec<&str> = holding.iter().map(|n| n.text.as_str()).collect();
                format!("refractory {} holding {}", list(duration), names.join(" "))
            }
        };
        self.line(line);
    }

    fn circuit_item(&mut self, item: &CircuitItemKind) {
        let line = match item {
            CircuitItemKind::Input(it) => input(it),
            CircuitItemKind::Let { name, value, .. } => format!("let {} {}", name.text, list(value)),
            CircuitItemKind::Population { name, axes, polarity, neuron } => {
                let polarity = polarity.as_ref().map_or(String::new(), |p| format!(" {}", p.text));
                format!("population {} {}{polarity} {}", name.text, lists(axes), list(neuron))
            }
            CircuitItemKind::Learn(it) => learn(it),
            CircuitItemKind::Projection { source, targets, kind } => {
                let targets: Vec<String> = targets.iter().map(path).collect();
                format!("projection {} -> {}{}", path(source), targets.join(" "), opt(" : ", kind))
            }
            CircuitItemKind::Drive { target, value } => format!("drive {} {}", path(target), list(value)),
            CircuitItemKind::Output(values) => format!("output {}", lists(values)),
        };
        self.line(line);
    }

    fn job(&mut self, job: &Job, doc: &[String]) {
        let data = job.data.as_ref().map_or(String::new(), |d: &Path| format!(" on {}", path(d)));
        let (duration, into) = (opt(" for ", &job.duration), opt(" into ", &job.into));
        let head = format!("{:?} {}{data}{duration}{into}", job.kind, list(&job.subject));
        self.nested(head, |tree| {
            tree.doc(doc);
            for setting in &job.settings {
                let sign = if setting.is_assign { " =" } else { "" };
                tree.line(format!("{}{sign} {}", setting.word.text, lists(&setting.values)));
            }
        });
    }
}

fn decl(decl: &ParamDecl) -> String {
    let unit = decl.unit.as_ref().map_or(String::new(), |u| format!(": {}", u.text));
    format!("{}{unit}{}", decl.name.text, opt(" = ", &decl.default))
}

fn params(params: &[ParamDecl]) -> String {
    let params: Vec<String> = params.iter().map(decl).collect();
    format!("({})", params.join(", "))
}

fn input(it: &InputDecl) -> String {
    let unit = it.unit.as_ref().map_or(String::new(), |u| format!(": {}", u.text));
    let axes = it.axes.as_ref().map_or(String::new(), |axes| format!(": {}", lists(axes)));
    let stream = if it.stream { " stream" } else { "" };
    let bound = constraint(it.constraint.as_ref());
    format!("input {}{unit}{axes}{stream}{bound}{}", it.name.text, opt(" = ", &it.default))
}

fn learn(it: &Learn) -> String {
    let word = if it.fixed { "param" } else { "learn" };
    let scope = match &it.scope {
        Scope::Name(name) => name.text.clone(),
        Scope::Axes(axes) => lists(axes),
    };
    let bound = constraint(it.constraint.as_ref());
    let sign = if it.keeps_initial_sign { " sign initial" } else { "" };
    let keep = opt(" keep ", &it.keep);
    format!("{word} {}: {scope}{bound}{sign}{keep} = {}", it.name.text, list(&it.init))
}

fn constraint(it: Option<&Constraint>) -> String {
    match it {
        None => String::new(),
        Some(Constraint::AtLeast(e)) => format!(" >= {}", list(e)),
        Some(Constraint::Above(e)) => format!(" > {}", list(e)),
        Some(Constraint::AtMost(e)) => format!(" <= {}", list(e)),
        Some(Constraint::Below(e)) => format!(" < {}", list(e)),
        Some(Constraint::Within(low, high)) => format!(" in [{} {}]", list(low), list(high)),
    }
}

fn opt(before: &str, value: &Option<Expr>) -> String {
    value.as_ref().map_or(String::new(), |e| format!("{before}{}", list(e)))
}

fn lists(values: &[Expr]) -> String {
    let values: Vec<String> = values.iter().map(list).collect();
    format!("[{}]", values.join(" "))
}

/// An expression as a list: `(+ a (exp b))`.
fn list(expr: &Expr) -> String {
    let mut out = String::new();
    write(expr, &mut out);
    out
}

fn args(list: &[Arg]) -> String {
    let mut out = String::new();
    write_args(list, &mut out);
    out
}

fn write_args(list: &[Arg], out: &mut String) {
    for arg in list {
        out.push(' ');
        if let Some(name) = &arg.name {
            let _ = write!(out, "{}=", name.text);
        }
        write(&arg.value, out);
    }
}

fn write(expr: &Expr, out: &mut String) {
    let many = |values: &[Expr], out: &mut String| {
        for value in values {
            out.push(' ');
            write(value, out);
        }
    };
    match &expr.kind {
        ExprKind::Number { text, unit, .. } => {
            out.push_str(text);
            if let Some(unit) = unit {
                out.push_str(&unit.text);
            }
            return;
        }
        ExprKind::Str(text) => return out.push_str(&format!("{text:?}")),
        ExprKind::Name(name) => return out.push_str(&path(name)),
        _ => {}
    }
    out.push('(');
    match &expr.kind {
        ExprKind::Unary(op, operand) => {
            out.push_str(if *op == UnaryOp::Neg { "neg " } else { "not " });
            write(operand, out);
        }
        ExprKind::Binary(op, left, right) => {
            out.push_str(BinaryOp::symbol(*op));
            out.push(' ');
            write(left, out);
            out.push(' ');
            write(right, out);
        }
        ExprKind::Call { callee, args } => {
            let _ = write!(out, "call {}", path(callee));
            write_args(args, out);
        }
        ExprKind::Instance { callee, axes, args } => {
            let _ = write!(out, "instance {} {}", path(callee), lists(axes));
            write_args(args, out);
        }
        ExprKind::Range { base, start, end, member } => {
            let _ = write!(out, "range {}", path(base));
            for value in [start, end] {
                out.push(' ');
                write(value, out);
            }
            if let Some(member) = member {
                let _ = write!(out, " .{}", member.text);
            }
        }
        ExprKind::List(values) => {
            out.push_str("list");
            many(values, out);
        }
        ExprKind::Number { .. } | ExprKind::Str(_) | ExprKind::Name(_) => {}
    }
    out.push(')');
}
