//! Time loops over more rows than a first-level cache holds are done some rows at a time: all steps of some samples, then all steps of
//! the next ones. States and constant currents are then read where they were written. No instructions of nests: those are in `nest`.
//!
//! The same to the last bit, because rows do not meet: there are only nests of the same rows in such a loop, and what they write they
//! use in the same row only, so that each number is read and written in the same order as before. Whether a loop is done so
//! depends on the loop, never on the machine. (Pieces of long rows gain nothing: the processor reads ahead in longer ones.)

use super::function::Frame;
use crate::loops::{Access, Instr, Stmt};
use snn_runtime::program::BufferInfo;

/// Bytes of some rows in one step: half of a first-level cache.
const NEAR: usize = 24 << 10;

impl Frame<'_> {
    /// A time loop, some rows at a time if that pays.
    pub fn steps(&mut self, reverse: bool, body: &[Stmt]) {
        let Some((rows, near)) = rows_at_once(body, &self.loops.buffers) else {
            return self.every_step(reverse, body);
        };
        let lap = self.lap;
        let whole = rows / near * near;
        for (first, end, many) in [(0, whole, near), (whole, rows, rows - whole)] {
            if first == end {
                continue;
            }
            // Two loops in the code, one to those who time it.
            self.lap = lap;
            let some: Vec<Stmt> = body.iter().map(|stmt| of_rows(stmt, many)).collect();
            self.repeat_from(first, end, many, |f, row| {
                f.first_row = Some(row);
                f.every_step(reverse, &some);
                f.first_row = None;
            });
        }
    }
}

/// A nest with other rows.
fn of_rows(stmt: &Stmt, rows: usize) -> Stmt {
    match stmt {
        Stmt::Nest { width, body, .. } => Stmt::Nest { rows, width: *width, body: body.clone() },
        _ => unreachable!("only nests"),
    }
}

/// Rows of the nests of a time loop, and so many of them that what is read again in the next step is near; none if all of them are, if a row
/// is too long, if there is something else in the loop, or if rows meet.
pub(super) fn rows_at_once(body: &[Stmt], buffers: &[BufferInfo]) -> Option<(usize, usize)> {
    let mut accesses: Vec<(Access, bool)> = Vec::new();
    let mut sizes = Vec::new();
    for stmt in body {
        let Stmt::Nest { rows, width, body } = stmt else { return None };
        sizes.push((*rows, *width));
        accesses.extend(body.iter().filter_map(|instr| match instr {
            Instr::Load(a) => Some((*a, false)),
            Instr::Store(a, _) | Instr::Add(a, _) => Some((*a, true)),
            _ => None,
        }));
    }
    let &(rows, width) = sizes.iter().max_by_key(|(_, width)| *width)?;
    let (mut bits, mut stays) = (0, false);
    for (at, (a, writes)) in accesses.iter().enumerate() {
        let row_of = |a: &Access| (a.offset, a.shard, a.segment, a.row);
        let meets = |(other, _): &(Access, bool)| other.buffer == a.buffer && row_of(other) != row_of(a);
        if *writes && (a.row == 0 || accesses.iter().any(meets)) {
            return None;
        }
        // Each number counts once.
        if a.row > 0 && !accesses[..at].iter().any(|(before, _)| before == a) {
            bits += if buffers[a.buffer].spikes { 1 } else { 32 };
            stays |= a.step == 0;
        }
    }
    let near = 8 * NEAR / (bits * width).max(1);
    (stays && sizes.iter().all(|size| size.0 == rows) && (1..rows).contains(&near)).then_some((rows, near))
}
