//! Text of graphs and steps: one line for each value, without positions, the same for equal graphs. Nothing reads it back.
//!
//! ```text
//! %7 = spike %6 [surrogate atan(alpha = 2), >=] : [b,128]   ; h.fired
//! ```
//!
//! Numbers stand in the place of operands, in the shortest form that reads back as the same f64.

use super::{Axes, Fragment, Graph, Node, Op, Param, State, StepFn, Ty, ValId};
use crate::net::{Net, Scan, ScanOut};
use snn_runtime::program::Section;
use snn_runtime::windows::Windows;
use std::fmt::{Display, Formatter, Result, Write};

impl Display for ValId {
    fn fmt(&self, f: &mut Formatter) -> Result {
        write!(f, "%{}", self.0)
    }
}

/// `[t,b,128]`; a number is `[]`.
impl Display for Ty {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let axes = [(self.time, "t"), (self.batch, "b")];
        let mut parts: Vec<String> =
            axes.iter().filter(|(has, _)| *has).map(|(_, s)| s.to_string()).collect();
        parts.extend(self.shape.iter().map(usize::to_string));
        write!(f, "[{}]", parts.join(","))
    }
}

/// `[time,batch,index]`
impl Display for Axes {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let axes = [(self.time, "time"), (self.batch, "batch"), (self.index, "index")];
        let names: Vec<&str> = axes.iter().filter(|(has, _)| *has).map(|(_, name)| *name).collect();
        write!(f, "[{}]", names.join(","))
    }
}

impl Display for Graph {
    fn fmt(&self, f: &mut Formatter) -> Result {
        GraphText { graph: self, states: &[], net: None }.lines(f, "")
    }
}

/// Its name, nodes and results.
impl Display for Fragment {
    fn fmt(&self, f: &mut Formatter) -> Result {
        writeln!(f, "fragment {} {{", self.name)?;
        let text = GraphText { graph: &self.graph, states: &[], net: None };
        text.lines(f, "  ")?;
        writeln!(f, "  {}\n}}", text.operands(&self.results))
    }
}

impl Display for StepFn {
    fn fmt(&self, f: &mut Formatter) -> Result {
        let text = GraphText { graph: &self.graph, states: &self.states, net: None };
        writeln!(f, "step {{")?;
        for (k, input) in self.inputs.iter().enumerate() {
            writeln!(f, "  input {k} {} : {}", input.name, input.ty)?;
        }
        params(f, &self.params)?;
        text.states(f, "  ")?;
        text.lines(f, "  ")?;
        for (name, val) in &self.outputs {
            writeln!(f, "  output {name} = {}", text.operand(*val))?;
        }
        writeln!(f, "}}")
    }
}

/// The lines of parameters.
pub(crate) fn params(f: &mut Formatter, params: &[Param]) -> Result {
    for (k, param) in params.iter().enumerate() {
        let trained = if param.trained { "" } else { ", fixed" };
        writeln!(f, "  param {k} {} : {}{trained}", param.name, Ty::tensor(&param.shape))?;
    }
    Ok(())
}

/// A graph with what its nodes name: states, and the scans of the net it belongs to.
pub(crate) struct GraphText<'a> {
    pub graph: &'a Graph,
    pub states: &'a [State],
    pub net: Option<&'a Net>,
}

impl GraphText<'_> {
    /// The line of each state.
    pub fn states(&self, f: &mut Formatter, indent: &str) -> Result {
        for (s, state) in self.states.iter().enumerate() {
            let delay = if state.delay == 1 { String::new() } else { format!(", delay {}", state.delay) };
            let (init, next) = (self.operand(state.init), self.operand(state.next));
            writeln!(f, "{indent}state {s} {} : {} = {init}, next {next}{delay}", state.name, state.ty)?;
        }
        Ok(())
    }

    /// The line of each node that is not a number, and a heading where another section of a training step begins.
    pub fn lines(&self, f: &mut Formatter, indent: &str) -> Result {
        let mut section = Section::Forward;
        for (at, node) in self.graph.nodes.iter().enumerate() {
            if matches!(node.op, Op::Const(_)) {
                continue;
            }
            if node.section != section && self.net.is_some() {
                section = node.section;
                writeln!(f, "{indent}{}:", section_name(section))?;
            }
            let name = self.name(node);
            let comment = if name.is_empty() { String::new() } else { format!("   ; {name}") };
            let line = format!("{indent}%{at} = {} : {}", self.operation(node), node.ty);
            match (&node.op, self.net) {
                (Op::Scan(scan), Some(net)) => {
                    writeln!(f, "{line} {{{comment}")?;
                    self.scan(f, indent, &net.scans[*scan])?;
                }
                _ => writeln!(f, "{line}{comment}")?,
            }
        }
        Ok(())
    }

    fn scan(&self, f: &mut Formatter, indent: &str, scan: &Scan) -> Result {
        let text = GraphText { graph: &scan.body, states: &scan.states, net: None };
        let inner = format!("{indent}  ");
        text.states(f, &inner)?;
        text.lines(f, &inner)?;
        for (k, out) in scan.outs.iter().enumerate() {
            match out {
                ScanOut::Each(val) => writeln!(f, "{inner}out {k} each {}", text.operand(*val))?,
                ScanOut::Sum(val) => writeln!(f, "{inner}out {k} sum {}", text.operand(*val))?,
                ScanOut::Final(s) => writeln!(f, "{inner}out {k} final {s}")?,
            }
        }
        writeln!(f, "{indent}}}")
    }

    /// A value where it is read: a number, or where it was made.
    pub fn operand(&self, val: ValId) -> String {
        match self.graph.nodes.get(val.idx()).map(|node| &node.op) {
            Some(Op::Const(value)) => number(*value),
            _ => val.to_string(),
        }
    }

    fn operands(&self, vals: &[ValId]) -> String {
        vals.iter().map(|val| self.operand(*val)).collect::<Vec<_>>().join(", ")
    }

    /// Of a state the name of the state, as long as the node has no name of its own.
    fn name<'n>(&'n self, node: &'n Node) -> &'n str {
        match node.op {
            Op::Prev(s) if node.name.is_empty() => self.states.get(s).map_or("", |state| &state.name),
            _ => &node.name,
        }
    }

    fn operation(&self, node: &Node) -> String {
        let mut text = match &node.op {
            Op::Pointwise(op) => op.info().name.to_string(),
            Op::Slide { slide, .. } => slide.name().to_string(),
            Op::Fold { fold, axes } => format!("fold {} {axes}", fold.name()),
            Op::ScanOut(out) => return format!("out {out} of {}", self.operands(&node.args)),
            Op::Scan(k) => self.net.map_or(format!("scan {k}"), |net| {
                let scan = &net.scans[*k];
                format!("scan {}{}", scan.name, if scan.reverse { " reverse" } else { "" })
            }),
            op => word(op),
        };
        if !node.args.is_empty() {
            let _ = write!(text, " {}", self.operands(&node.args)); // Writing to a string cannot fail.
        }
        text + &self.attributes(&node.op)
    }

    fn attributes(&self, op: &Op) -> String {
        match op {
            Op::Spike { surrogate, strict } => {
                let surrogate = surrogate.map_or("no surrogate".to_string(), |s| {
                    self.graph
                        .surrogates
                        .get(s)
                        .map_or(format!("surrogate {s}"), |s| format!("surrogate {}", s.name))
                });
                format!(" [{surrogate}, {}]", if *strict { ">" } else { ">=" })
            }
            Op::MatMul { transposed: true } => " [transposed]".to_string(),
            Op::Slide { over, .. } => format!(" [{}]", windows(over)),
            Op::Delay { steps } => format!(" [{steps} steps]"),
            Op::Repeat { times } | Op::SumBlocks { times } | Op::Rows { times } => {
                format!(" [{times} times]")
            }
            Op::Random { stream, once, .. } => {
                format!(" [stream {stream:016x}{}]", if *once { ", each presentation" } else { "" })
            }
            Op::Custom(rule) => {
                let name = self.graph.customs.get(*rule).map_or(rule.to_string(), |rule| rule.name.clone());
                format!(" [rule {name}]")
            }
            _ => String::new(),
        }
    }
}

/// The word of an operation, with the index of what it names.
fn word(op: &Op) -> String {
    match op {
        Op::Const(value) => number(*value),
        Op::Scalar(scalar) => scalar.name().to_string(),
        Op::StepIndex => "step_index".into(),
        Op::Param(k) => format!("param {k}"),
        Op::Slot(k) => format!("slot {k}"),
        Op::Input(k) => format!("input {k}"),
        Op::Prev(s) => format!("prev {s}"),
        Op::Pointwise(op) => op.info().name.into(),
        Op::Spike { .. } => "spike".into(),
        Op::MatMul { .. } => "matmul".into(),
        Op::Outer => "outer".into(),
        Op::Slide { slide, .. } => slide.name().into(),
        Op::Fold { .. } => "fold".into(),
        Op::Delay { .. } => "delay".into(),
        Op::Last => "last".into(),
        Op::AtLast => "at_last".into(),
        Op::Repeat { .. } => "repeat".into(),
        Op::SumBlocks { .. } => "sum_blocks".into(),
        Op::Rows { .. } => "rows".into(),
        Op::SumRows => "sum_rows".into(),
        Op::Arrange => "arrange".into(),
        Op::Random { gaussian: true, .. } => "gaussian".into(),
        Op::Random { gaussian: false, .. } => "uniform".into(),
        Op::Iota(axis) => format!("iota {axis}"),
        Op::Detach => "detach".into(),
        Op::Straight => "straight".into(),
        Op::GradScale => "grad_scale".into(),
        Op::Custom(_) => "custom".into(),
        Op::Scan(k) => format!("scan {k}"),
        Op::ScanOut(k) => format!("out {k}"),
    }
}

/// `1x8x8 to 16x8x8, kernel 3x3, padding 1x1`
pub(crate) fn windows(over: &Windows) -> String {
    let by = |[a, b]: [usize; 2]| format!("{a}x{b}");
    let image = |channels: usize, size: [usize; 2]| format!("{channels}x{}", by(size));
    let mut text = format!(
        "{} to {}, kernel {}",
        image(over.channels[0], over.size),
        image(over.channels[1], over.out_size()),
        by(over.kernel)
    );
    for (name, pair, plain) in [("stride", over.stride, [1, 1]), ("padding", over.padding, [0, 0])] {
        if pair != plain {
            text.push_str(&format!(", {name} {}", by(pair)));
        }
    }
    if over.groups > 1 {
        text.push_str(&format!(", {} groups", over.groups));
    }
    text
}

/// The shortest text that reads back as the same number; very large and small ones with an exponent.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        0.0 | 1e-5..1e15 => format!("{value}"),
        _ => format!("{value:e}"),
    }
}

fn section_name(section: Section) -> &'static str {
    match section {
        Section::Forward => "forward",
        Section::Backward => "backward",
        Section::Update => "update",
    }
}
