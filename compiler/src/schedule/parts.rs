//! Long loops of phases that run once become phases of parts, so that all threads share them: optimizers, sums over shards, weights in
//! other forms.
//!
//! Before: `phase update5 (Once) { numbers; vec c in 0..401408 {…}; vec c in 0..512 {…} }`; after: `update5 (Once) { numbers; vec c in
//! 0..512 {…} }`, `update5 in parts (Parts) { vec c in 0..401408 {…} }`. Correct because elements of a loop are independent of each
//! other, and a statement never comes before one that it shares a written buffer with. After `weights`, before memory is laid out.

use crate::loops::lives::Use;
use crate::loops::{Instr, Phase, Program, Stmt};
use snn_runtime::program::{BufferInfo, Parallel, Region};

/// Shorter loops are done before other threads have begun.
const LONG: usize = 1 << 14;

/// Runs the pass.
pub(super) fn spread(program: &mut Program) {
    let buffers = &program.buffers;
    let phases = std::mem::take(&mut program.phases);
    for phase in phases {
        let is_long = |stmt: &Stmt| can_spread(stmt, buffers);
        if phase.parallel == Parallel::Once && phase.body.iter().any(is_long) {
            program.phases.extend(split(phase, buffers));
        } else {
            program.phases.push(phase);
        }
    }
}

/// Whether a statement is long, and its elements touch nothing that others write.
fn can_spread(stmt: &Stmt, buffers: &[BufferInfo]) -> bool {
    let mut apart = true;
    stmt.accesses(&mut |a, how| {
        let sums_shards = matches!(stmt, Stmt::FoldShards { .. });
        let is_shared =
            buffers[a.buffer].region != Region::Shard && (a.shard == 0 || sums_shards) && a.step == 0;
        apart &= is_shared && (how == Use::Read || a.col == 1 || !matches!(stmt, Stmt::Nest { .. }));
    });
    apart
        && match stmt {
            Stmt::Nest { rows: 1, width, body } => {
                *width >= LONG && !body.iter().any(|i| matches!(i, Instr::Add(..)))
            }
            Stmt::FoldShards { width, .. } => *width >= LONG,
            Stmt::Tile { rows, width, .. } => rows * width >= LONG,
            _ => false,
        }
}

/// Phases of one kind each, in an order that keeps every dependence.
fn split(phase: Phase, buffers: &[BufferInfo]) -> Vec<Phase> {
    let mut groups: Vec<(Parallel, Vec<Stmt>)> = Vec::new();
    for stmt in phase.body {
        let kind = if can_spread(&stmt, buffers) { Parallel::Parts } else { Parallel::Once };
        let last = groups.iter().rposition(|(_, body)| body.iter().any(|s| depend(s, &stmt)));
        // Statements of a phase that runs once are in order; parts are not at the same statement.
        let first = last.map_or(0, |at| at + usize::from(groups[at].0 == Parallel::Parts));
        match groups[first..].iter_mut().find(|(k, _)| *k == kind) {
            Some((_, body)) => body.push(stmt),
            None => groups.push((kind, vec![stmt])),
        }
    }
    let named = groups.into_iter().enumerate().map(|(at, (parallel, body))| Phase {
        name: if at == 0 { phase.name.clone() } else { format!("{} {at}", phase.name) },
        section: phase.section,
        parallel,
        joined: false,
        body,
    });
    named.collect()
}

/// Whether two statements touch the same buffer and one of them writes it.
pub(super) fn depend(a: &Stmt, b: &Stmt) -> bool {
    let uses = |stmt: &Stmt| {
        let mut uses = Vec::new();
        stmt.accesses(&mut |access, how| uses.push((access.buffer, how != Use::Read)));
        uses
    };
    let of_b = uses(b);
    uses(a).iter().any(|(x, writes)| of_b.iter().any(|(y, also)| x == y && (*writes || *also)))
}
