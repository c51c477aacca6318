//! Text of Loop IR for `snnc emit --stage loops`; deterministic.

use super::{Access, Instr, Program, Stmt};
use std::fmt::{self, Display, Formatter, Write};

impl Display for Program {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let for_all = self.floats.param + self.floats.slot + self.floats.shared + self.floats.local;
        let bytes = 4 * (for_all + self.floats.shard * self.shards);
        writeln!(
            f,
            "memory {bytes} bytes: param {}, slot {}, shared {}, {} shards of {}, a thread {} (floats); {} samples a shard, {} steps",
            self.floats.param,
            self.floats.slot,
            self.floats.shared,
            self.shards,
            self.floats.shard,
            self.floats.local,
            self.shard_batch,
            self.steps
        )?;
        for (idx, b) in self.buffers.iter().enumerate() {
            let mut axes: Vec<String> = b.time.map(|t| format!("t{t}")).into_iter().collect();
            axes.extend(b.batch.then(|| "b".to_string()));
            axes.extend(b.shape.iter().map(usize::to_string));
            let form = if b.spikes {
                " spikes"
            } else if b.panels {
                " panels"
            } else {
                ""
            };
            writeln!(f, "buf{idx} {:?}+{} [{}]{form}   ; {}", b.region, b.offset, axes.join(", "), b.name)?;
        }
        for phase in &self.phases {
            let joined = if phase.joined { ", joined" } else { "" };
            writeln!(f, "\nphase {} ({:?}, {:?}{joined}) {{", phase.name, phase.section, phase.parallel)?;
            for stmt in &phase.body {
                self.stmt(f, stmt, 1, self.steps)?;
            }
            writeln!(f, "}}")?;
        }
        Ok(())
    }
}

impl Program {
    fn access(&self, a: &Access) -> String {
        let mut text = format!("buf{}", a.buffer);
        let mut parts = Vec::new();
        if a.offset != 0 {
            parts.push(a.offset.to_string());
        }
        if a.shard != 0 {
            parts.push(format!("shard*{}", a.shard));
        }
        if a.segment != 0 {
            parts.push(format!("segment*{}", a.segment));
        }
        if a.step != 0 {
            let shift = if a.shift == 0 { "t".to_string() } else { format!("(t{:+})", a.shift) };
            parts.push(format!("{shift}*{}", a.step));
        }
        if a.row != 0 {
            parts.push(format!("r*{}", a.row));
        }
        if a.col != 0 {
            parts.push("c".to_string());
        }
        if parts.is_empty() {
            parts.push("0".to_string());
        }
        let _ = write!(text, "[{}]", parts.join(" + "));
        text
    }

    fn stmt(&self, f: &mut Formatter, stmt: &Stmt, depth: usize, steps: usize) -> fmt::Result {
        let pad = "    ".repeat(depth);
        match stmt {
            Stmt::Steps { reverse, body } => {
                let order = if *reverse { "descending" } else { "ascending" };
                writeln!(f, "{pad}for t in 0..{steps} {order} {{")?;
                for stmt in body {
                    self.stmt(f, stmt, depth + 1, steps)?;
                }
                writeln!(f, "{pad}}}")
            }
            Stmt::Segments { reverse, count, steps, body } => {
                let order = if *reverse { "descending" } else { "ascending" };
                writeln!(f, "{pad}for segment in 0..{count} of {steps} steps {order} {{")?;
                for stmt in body {
                    self.stmt(f, stmt, depth + 1, *steps)?;
                }
                writeln!(f, "{pad}}}")
            }
            Stmt::Nest { rows, width, body } => {
                let outer = if *rows > 1 { format!("for r in 0..{rows} ") } else { String::new() };
                writeln!(f, "{pad}{outer}vec c in 0..{width} {{")?;
                for (reg, instr) in body.iter().enumerate() {
                    writeln!(f, "{pad}    {}", self.instr(reg, instr))?;
                }
                writeln!(f, "{pad}}}")
            }
            Stmt::MatMul { size: [m, k, n], a, b, tiles, c } => writeln!(
                f,
                "{pad}{} <- matmul {m}x{k}x{n} {} strides {:?}, {} strides {:?}{}",
                self.access(&c.0),
                self.access(&a.0),
                a.1,
                self.access(&b.0),
                b.1,
                tiles.map_or(String::new(), |tiles| format!(", tiles {}", self.access(&tiles)))
            ),
            Stmt::MatMulShards { size: [m, k, n], a, spikes, b, c } => writeln!(
                f,
                "{pad}{} <- sum over shards of matmul {m}x{k}x{n} {}{} strides {:?}, {} stride {}",
                self.access(c),
                if *spikes { "spikes " } else { "" },
                self.access(&a.0),
                a.1,
                self.access(&b.0),
                b.1
            ),
            Stmt::MatMulEach { size: [m, k, n], a, b, tiles, c } => writeln!(
                f,
                "{pad}{} <- of each shard matmul {m}x{k}x{n} {} stride {}, {} strides {:?}, tiles {}",
                self.access(c),
                self.access(&a.0),
                a.1,
                self.access(&b.0),
                b.1,
                self.access(tiles)
            ),
            Stmt::Slide { slide, over, rows, a, b, c } => {
                let operands: Vec<String> = [Some(*a), *b]
                    .iter()
                    .flatten()
                    .map(|(a, stride)| format!("{} stride {stride}", self.access(a)))
                    .collect();
                let (name, over) = (slide.name(), crate::step::print::windows(over));
                let c = self.access(&c.0);
                writeln!(f, "{pad}{c} <- {name} {rows} rows of {over}: {}", operands.join(", "))
            }
            Stmt::Tile { rows, width, swapped, src, dst } => {
                let swapped = if *swapped { " swapped" } else { "" };
                self.moved(f, &pad, &format!("tiles of {rows}x{width}{swapped}"), src, dst)
            }
            Stmt::Turn { rows, width, src, dst } => {
                self.moved(f, &pad, &format!("spikes of each neuron {rows}x{width}"), src, dst)
            }
            Stmt::FoldColumns { fold, rows, width, src, dst } => {
                self.moved(f, &pad, &format!("{} over columns {rows}x{width}", fold.name()), src, dst)
            }
            Stmt::FoldRows { fold, rows, width, src, dst } => {
                self.moved(f, &pad, &format!("{} over rows {rows}x{width}", fold.name()), src, dst)
            }
            Stmt::FoldShards { fold, width, src, dst } => {
                self.moved(f, &pad, &format!("{} over shards of {width}", fold.name()), src, dst)
            }
            Stmt::Arrange { width, src, keys, dst } => {
                let what = format!("arrange {width} as {}", self.access(keys));
                self.moved(f, &pad, &what, src, dst)
            }
            Stmt::Random { gaussian, stream, rows, width, dst, .. } => {
                let kind = if *gaussian { "gaussian" } else { "uniform" };
                writeln!(f, "{pad}{} <- {kind} {rows}x{width} stream {stream:016x}", self.access(dst))
            }
            Stmt::Repeat { rows, width, times, src, dst } => {
                self.moved(f, &pad, &format!("repeat {rows}x{width} times {times}"), src, dst)
            }
            Stmt::SumBlocks { rows, width, times, src, dst } => {
                self.moved(f, &pad, &format!("sum blocks {rows}x{width} of {times}"), src, dst)
            }
        }
    }

    fn moved(&self, f: &mut Formatter, pad: &str, what: &str, src: &Access, dst: &Access) -> fmt::Result {
        writeln!(f, "{pad}{} <- {what} {}", self.access(dst), self.access(src))
    }

    fn instr(&self, reg: usize, instr: &Instr) -> String {
        match instr {
            Instr::Const(c) => format!("r{reg} = {c:?}"),
            Instr::Scalar(s) => format!("r{reg} = scalar {}", s.name()),
            Instr::StepIndex => format!("r{reg} = step index"),
            Instr::Load(a) => format!("r{reg} = load {}", self.access(a)),
            Instr::Op(op, args) => {
                let args: Vec<String> = args.iter().map(|a| format!("r{a}")).collect();
                format!("r{reg} = {} {}", op.info().name, args.join(", "))
            }
            Instr::Spike { strict, x } => format!("r{reg} = spike {} r{x}", if *strict { ">" } else { ">=" }),
            Instr::Store(a, x) => format!("store {}, r{x}", self.access(a)),
            Instr::Add(a, x) => format!("add {}, r{x}", self.access(a)),
        }
    }
}
