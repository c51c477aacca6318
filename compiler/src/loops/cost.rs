//! What the statements of a program have to do: operations and bytes. Nothing is measured here.

use super::{Access, Instr, Program, Stmt};
use crate::step::Slide;
use snn_runtime::program::{Parallel, Section};

/// The work of one statement that is no time loop, for a whole batch.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// Name of its phase.
    pub phase: String,
    /// Section of its phase.
    pub section: Section,
    /// What it does and to which buffers.
    pub what: String,
    /// Floating-point operations. Products count as dense ones.
    pub operations: f64,
    /// Bytes that it reads and writes, each element once in each step.
    pub bytes: f64,
    /// Bytes of the buffers that it touches in all steps of one shard: what a cache would have to hold.
    pub footprint: f64,
}

impl Program {
    /// Costs of all statements that are no time loops, in the order of the program.
    pub fn costs(&self) -> Vec<Cost> {
        let mut costs = Vec::new();
        for phase in &self.phases {
            let shards = if phase.parallel == Parallel::Shards { self.shards as f64 } else { 1.0 };
            for (stmt, turns) in leaves(&phase.body, self.steps) {
                let (operations, bytes) = self.turn(stmt);
                costs.push(Cost {
                    phase: phase.name.clone(),
                    section: phase.section,
                    what: self.what(stmt, turns),
                    operations: operations * turns as f64 * shards,
                    bytes: bytes * turns as f64 * shards,
                    footprint: bytes * turns as f64,
                });
            }
        }
        costs
    }

    /// Statements that are no time loops, in phases before phase `idx`.
    pub fn statements_before(&self, idx: usize) -> usize {
        self.phases[..idx].iter().map(|phase| leaves(&phase.body, 1).len()).sum()
    }

    /// Operations and bytes of a statement in one step of one shard.
    fn turn(&self, stmt: &Stmt) -> (f64, f64) {
        let shards = self.shards as f64;
        let of = |sizes: &[usize]| sizes.iter().map(|s| *s as f64).product::<f64>();
        match stmt {
            Stmt::Steps { .. } | Stmt::Segments { .. } => unreachable!("not a time loop"),
            Stmt::Nest { rows, width, body } => {
                let mut operations = 0.0;
                let mut bytes = 0.0;
                for instr in body {
                    let elements = |a: &Access| {
                        of(&[if a.row == 0 { 1 } else { *rows }, if a.col == 0 { 1 } else { *width }])
                            * self.element(a.buffer)
                    };
                    match instr {
                        Instr::Load(a) | Instr::Store(a, _) => bytes += elements(a),
                        Instr::Add(a, _) => bytes += 2.0 * elements(a),
                        Instr::Const(_) | Instr::Scalar(_) | Instr::StepIndex => {}
                        Instr::Op(..) | Instr::Spike { .. } => {}
                    }
                    let counts = matches!(instr, Instr::Op(..) | Instr::Spike { .. } | Instr::Add(..));
                    operations += if counts { of(&[*rows, *width]) } else { 0.0 };
                }
                (operations, bytes)
            }
            Stmt::MatMul { size: [m, k, n], a, .. } => (
                2.0 * of(&[*m, *k, *n]),
                of(&[*m, *k]) * self.element(a.0.buffer) + 4.0 * (of(&[*k, *n]) + of(&[*m, *n])),
            ),
            Stmt::MatMulShards { size: [m, k, n], spikes, b: _, .. } => {
                let left = if *spikes { 1.0 / 8.0 } else { 4.0 };
                (
                    2.0 * of(&[*m, *k, *n]) * shards,
                    (of(&[*m, *k]) * left + 4.0 * of(&[*k, *n])) * shards + 4.0 * of(&[*m, *n]),
                )
            }
            Stmt::MatMulEach { size: [m, k, n], .. } => (
                2.0 * of(&[*m, *k, *n]) * shards,
                4.0 * ((of(&[*m, *k]) + of(&[*m, *n])) * shards + of(&[*k, *n])),
            ),
            Stmt::Slide { slide, over, rows, a, b, c } => {
                let width = |shape: Vec<usize>| of(&shape);
                let mut operands = slide.operands(over).into_iter().map(width);
                let bytes =
                    |stride: usize, width: f64| 4.0 * width * if stride > 0 { *rows as f64 } else { 1.0 };
                let mut all = bytes(c.1, width(slide.shape(over)));
                for (_, stride) in [Some(*a), *b].iter().flatten() {
                    all += bytes(*stride, operands.next().unwrap_or(0.0));
                }
                let taps = match slide {
                    Slide::Conv | Slide::ExactConv | Slide::ConvToImage | Slide::ConvToWeights => {
                        2 * over.taps()
                    }
                    Slide::Border => 0,
                    _ => over.area(),
                };
                (of(&[*rows, over.width_out(), taps]), all)
            }
            Stmt::Tile { rows, width, .. } => (0.0, 8.0 * of(&[*rows, *width])),
            Stmt::Turn { rows, width, .. } => (0.0, of(&[*rows, *width]) / 4.0),
            Stmt::FoldColumns { rows, width, .. } => (of(&[*rows, *width]), 4.0 * of(&[*rows, width + 1])),
            Stmt::FoldRows { rows, width, .. } => (of(&[*rows, *width]), 4.0 * of(&[rows + 1, *width])),
            Stmt::FoldShards { width, .. } => (shards * of(&[*width]), 4.0 * (shards + 1.0) * of(&[*width])),
            Stmt::Arrange { width, .. } => {
                let compared = (*width as f64).log2().max(1.0);
                (2.0 * compared * of(&[*width]), 12.0 * of(&[*width]))
            }
            Stmt::Random { rows, width, .. } => (of(&[*rows, *width]), 4.0 * of(&[*rows, *width])),
            Stmt::Repeat { rows, width, times, .. } => (0.0, 4.0 * of(&[*rows, *width, times + 1])),
            Stmt::SumBlocks { rows, width, times, .. } => {
                (of(&[*rows, *width, *times]), 4.0 * of(&[*rows, *width, times + 1]))
            }
        }
    }

    /// Bytes of an element.
    fn element(&self, buffer: usize) -> f64 {
        if self.buffers[buffer].spikes { 1.0 / 8.0 } else { 4.0 }
    }

    /// A line for people.
    fn what(&self, stmt: &Stmt, turns: usize) -> String {
        let kind = match stmt {
            Stmt::Steps { .. } | Stmt::Segments { .. } => unreachable!("not a time loop"),
            Stmt::Nest { rows, width, .. } => format!("loop {rows}x{width}"),
            Stmt::MatMul { size: [m, k, n], a, .. } => {
                let spikes = if self.buffers[a.0.buffer].spikes { "spikes " } else { "" };
                format!("product {spikes}{m}x{k}x{n}")
            }
            Stmt::MatMulShards { size: [m, k, n], spikes, .. } => {
                format!("product {}{m}x{}x{n}", if *spikes { "spikes " } else { "" }, k * self.shards)
            }
            Stmt::MatMulEach { size: [m, k, n], .. } => format!("product {}x{k}x{n}", m * self.shards),
            Stmt::Slide { slide, over, rows, .. } => {
                format!("{} {rows} rows of {}", slide.name(), crate::step::print::windows(over))
            }
            Stmt::Tile { rows, width, .. } => format!("tiles {rows}x{width}"),
            Stmt::Turn { rows, width, .. } => format!("spikes by neuron {rows}x{width}"),
            Stmt::FoldColumns { fold, rows, width, .. } => format!("{} of rows {rows}x{width}", fold.name()),
            Stmt::FoldRows { fold, rows, width, .. } => format!("{} of columns {rows}x{width}", fold.name()),
            Stmt::FoldShards { fold, width, .. } => format!("{} of shards {width}", fold.name()),
            Stmt::Arrange { width, .. } => format!("arrange {width}"),
            Stmt::Random { rows, width, .. } => format!("random {rows}x{width}"),
            Stmt::Repeat { rows, width, times, .. } => format!("repeat {rows}x{width} {times} times"),
            Stmt::SumBlocks { rows, width, times, .. } => format!("sum of blocks {rows}x{width} of {times}"),
        };
        let mut written: Vec<&str> = Vec::new();
        stmt.accesses(&mut |access, how| {
            let name = self.buffers[access.buffer].name.as_str();
            if how != super::lives::Use::Read && !written.contains(&name) {
                written.push(name);
            }
        });
        let times = if turns > 1 { format!("{turns} x ") } else { String::new() };
        format!("{times}{kind} -> {}", written.join(", "))
    }
}

/// Statements that are no time loops, and how often they run.
fn leaves(body: &[Stmt], steps: usize) -> Vec<(&Stmt, usize)> {
    let mut all = Vec::new();
    for stmt in body {
        match stmt {
            Stmt::Steps { body, .. } => {
                all.extend(leaves(body, steps).into_iter().map(|(stmt, turns)| (stmt, turns * steps)));
            }
            Stmt::Segments { count, steps, body, .. } => {
                all.extend(leaves(body, *steps).into_iter().map(|(stmt, turns)| (stmt, turns * count)));
            }
            _ => all.push((stmt, 1)),
        }
    }
    all
}
