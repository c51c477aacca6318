//! A sum over rows of what a nest makes for nothing else is made in the nest: the rows are never stored.
//!
//! Before: `for r … { store buf45[r*64 + c], r2 }`, `buf215[c] <- sum over rows 16x64 buf45[r*64 + c]`; after: `store buf215[c], 0`,
//! `for r … { add buf215[c], r2 }`. That is how the statistics of a normalisation and the gradients of its gain and shift read the data
//! once. Correct to the last bit because both add row by row, in ascending order, starting from 0; with a time loop around the nest, rows are
//! the samples of one step after another. Only sums: other folds start from the first row. After `spikes`, which may make bits of what is
//! stored, and before `groups`, which asks who reads what.

use crate::loops::{Access, Instr, Program, Stmt};
use crate::step::ops::Fold;
use snn_runtime::program::{BufferInfo, Parallel};

/// Runs the pass.
pub(super) fn run(program: &mut Program) {
    let (bound, uses) = (program.bound(), uses(program));
    let steps = program.steps;
    for phase in program.phases.iter_mut().filter(|phase| phase.parallel == Parallel::Shards) {
        let mut at = 0;
        while at < phase.body.len() {
            let is_own = |buffer: usize| uses[buffer] == 2 && !bound[buffer];
            match moved(&phase.body, at, steps, &program.buffers, &is_own) {
                Some(found) => {
                    phase.body.remove(at);
                    phase.body[found.nest] = found.stmt;
                    phase.body.insert(found.nest, super::zero(found.sum, found.width));
                    at += 1;
                }
                None => at += 1,
            }
        }
    }
}

/// A nest with a sum in it.
struct Found {
    nest: usize,
    stmt: Stmt,
    sum: Access,
    width: usize,
}

/// How many statements' accesses touch each buffer.
fn uses(program: &Program) -> Vec<usize> {
    let mut uses = vec![0; program.buffers.len()];
    for stmt in program.phases.iter().flat_map(|phase| &phase.body) {
        stmt.accesses(&mut |access, _| uses[access.buffer] += 1);
    }
    uses
}

/// The nest before statement `at`, if that is a sum which the nest can make.
fn moved(
    body: &[Stmt],
    at: usize,
    steps: usize,
    buffers: &[BufferInfo],
    is_own: &dyn Fn(usize) -> bool,
) -> Option<Found> {
    let Stmt::FoldRows { fold: Fold::Sum, rows, width, src, dst } = &body[at] else { return None };
    if !is_own(src.buffer) || src.row != *width {
        return None;
    }
    let touches = |stmt: &Stmt, buffer: usize| {
        let mut found = false;
        stmt.accesses(&mut |access, _| found |= access.buffer == buffer);
        found
    };
    let nest = body[..at].iter().rposition(|stmt| touches(stmt, src.buffer))?;
    if body[..at].iter().any(|stmt| touches(stmt, dst.buffer)) {
        return None;
    }
    let sum = Access { row: 0, col: 1, ..*dst };
    let stmt = match &body[nest] {
        Stmt::Nest { .. } => with_sum(&body[nest], *src, (*rows, *width), sum, buffers)?,
        Stmt::Steps { reverse: false, body } if body.len() == 1 && rows % steps == 0 => {
            let of_step = rows / steps;
            let nest = with_sum(
                &body[0],
                Access { step: of_step * width, ..*src },
                (of_step, *width),
                sum,
                buffers,
            )?;
            Stmt::Steps { reverse: false, body: vec![nest] }
        }
        _ => return None,
    };
    Some(Found { nest, stmt, sum, width: *width })
}

/// A nest of rows in which the store to `src` is an addition to `sum`.
fn with_sum(
    nest: &Stmt,
    src: Access,
    (rows, width): (usize, usize),
    sum: Access,
    buffers: &[BufferInfo],
) -> Option<Stmt> {
    let Stmt::Nest { rows: r, width: w, body } = nest else { return None };
    let mut body = body.clone();
    match (*r, *w) {
        (r, w) if (r, w) == (rows, width) => {}
        (1, w) if w == rows * width => body.iter_mut().for_each(|instr| {
            if let Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) = instr {
                *a = a.in_rows(width, buffers);
            }
        }),
        _ => return None,
    }
    let stored = Access { row: width, col: 1, ..src };
    let at = body.iter().position(|instr| matches!(instr, Instr::Store(a, _) if *a == stored))?;
    let Instr::Store(_, x) = body[at] else { return None };
    body[at] = Instr::Add(sum, x);
    Some(Stmt::Nest { rows, width, body })
}
