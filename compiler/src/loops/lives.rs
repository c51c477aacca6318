//! Who touches which buffer when: what the memory plan is made of and checked with. Decides nothing.

use super::{Access, Instr, Program, Stmt};
use snn_runtime::program::Region;

/// First and last use of a buffer, as positions in the program.
pub type Life = (usize, usize);

impl Program {
    /// Life of each buffer; none if no statement uses it. Positions are statements of phases and segments, in order; in region
    /// `Shared` they are widened to all phases that are joined, since shards are not at the same statement of them. What a segment
    /// does not write first, or something outside of the segments uses, goes on from one segment to the next and lives in all of them.
    pub fn lives(&self) -> Vec<Option<Life>> {
        let mut uses: Vec<Vec<Place>> = vec![Vec::new(); self.buffers.len()];
        let mut at = 0;
        for group in self.phases.chunk_by(|_, next| next.joined) {
            let statements = group.iter().flat_map(|phase| &phase.body);
            let whole = (at, at + statements.clone().map(positions).sum::<usize>().saturating_sub(1));
            for stmt in statements {
                let segments = (at, at + positions(stmt) - 1);
                let parts = match stmt {
                    Stmt::Segments { body, .. } => body,
                    _ => std::slice::from_ref(stmt),
                };
                for part in parts {
                    part.accesses(&mut |access, how| {
                        let own = matches!(self.buffers[access.buffer].region, Region::Shard | Region::Local);
                        let life = if own { (at, at) } else { whole };
                        let segments = if own { segments } else { whole };
                        uses[access.buffer].push(Place { life, segments, how });
                    });
                    at += 1;
                }
            }
        }
        uses.iter().map(|uses| life(uses)).collect()
    }

    /// Whether the runtime knows a buffer: it lives from before the program until after.
    pub fn bound(&self) -> Vec<bool> {
        let mut bound: Vec<bool> =
            self.buffers.iter().map(|b| matches!(b.region, Region::Param | Region::Slot)).collect();
        for binding in self.inputs.iter().chain(&self.outputs) {
            bound[binding.buffer] = true;
        }
        for grad in self.params.iter().filter_map(|p| p.grad) {
            bound[grad] = true;
        }
        bound
    }
}

/// A use of a buffer.
#[derive(Clone, Copy)]
struct Place {
    life: Life,
    /// All positions of the segments that the statement is in; else its own.
    segments: Life,
    how: Use,
}

/// How many positions a statement has.
pub(crate) fn positions(stmt: &Stmt) -> usize {
    match stmt {
        Stmt::Segments { body, .. } => body.len().max(1),
        _ => 1,
    }
}

fn life(uses: &[Place]) -> Option<Life> {
    let first = uses.first()?;
    let is_of_one = first.how == Use::Write && uses.iter().all(|u| u.segments == first.segments);
    let lives = uses.iter().map(|u| if is_of_one { u.life } else { u.segments });
    lives.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
}

/// How a statement uses an element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Use {
    /// Reads it.
    Read,
    /// Writes it without reading it.
    Write,
    /// Reads and writes it.
    Update,
}

/// The same walk for shared and for exclusive references.
macro_rules! walk {
    ($stmt:expr, $name:ident, $iter:ident, $f:expr) => {
        match $stmt {
            Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => {
                body.$iter().for_each(|stmt| stmt.$name($f));
            }
            Stmt::Nest { body, .. } => {
                for instr in body {
                    match instr {
                        Instr::Load(a) => $f(a, Use::Read),
                        Instr::Store(a, _) => $f(a, Use::Write),
                        Instr::Add(a, _) => $f(a, Use::Update),
                        Instr::Const(_) | Instr::Scalar(_) | Instr::StepIndex => {}
                        Instr::Op(..) | Instr::Spike { .. } => {}
                    }
                }
            }
            Stmt::MatMul { a: (a, _), b: (b, _), tiles, c: (c, _), .. } => {
                $f(a, Use::Read);
                tiles.$iter().for_each(|tiles| $f(tiles, Use::Read));
                $f(b, Use::Read);
                $f(c, Use::Write);
            }
            Stmt::MatMulShards { a: (a, _), b: (b, _), c, .. } => {
                $f(a, Use::Read);
                $f(b, Use::Read);
                $f(c, Use::Write);
            }
            Stmt::MatMulEach { a: (a, _), b: (b, _), tiles, c, .. } => {
                $f(a, Use::Read);
                $f(tiles, Use::Read);
                $f(b, Use::Read);
                $f(c, Use::Write);
            }
            Stmt::Slide { a: (a, _), b, c: (c, _), .. } => {
                $f(a, Use::Read);
                b.$iter().for_each(|(b, _)| $f(b, Use::Read));
                $f(c, Use::Write);
            }
            Stmt::Tile { src, dst, .. }
            | Stmt::Turn { src, dst, .. }
            | Stmt::FoldColumns { src, dst, .. }
            | Stmt::FoldRows { src, dst, .. }
            | Stmt::FoldShards { src, dst, .. }
            | Stmt::Repeat { src, dst, .. }
            | Stmt::SumBlocks { src, dst, .. } => {
                $f(src, Use::Read);
                $f(dst, Use::Write);
            }
            Stmt::Arrange { src, keys, dst, .. } => {
                $f(src, Use::Read);
                $f(keys, Use::Read);
                $f(dst, Use::Write);
            }
            Stmt::Random { dst, .. } => $f(dst, Use::Write),
        }
    };
}

impl Stmt {
    /// Calls `f` with every access of a statement; reads come before the writes that depend on them.
    pub fn accesses(&self, f: &mut dyn FnMut(&Access, Use)) {
        walk!(self, accesses, iter, f);
    }

    /// As [`Stmt::accesses`], to be changed.
    pub fn accesses_mut(&mut self, f: &mut dyn FnMut(&mut Access, Use)) {
        walk!(self, accesses_mut, iter_mut, f);
    }
}
