//! Sequences of wide layers lie in panels of 32 neurons, each with all steps and samples of its neurons one after the other.
//!
//! Before: `buf5 <- matmul …; for t { for r in 0..16 vec c in 0..512 { … } }`, with buf5 row after row; after: buf5 is marked, the product writes
//! panel after panel, and the time loop goes through all steps of 32 neurons before it turns to the next ones: their states stay in the
//! first-level cache, their sequences are read from end to end, and a weight gradient finds its right factor in tiles, as it wants it. Correct because neurons do not meet in these loops: what they
//! write they use in the same column of the same sample only, so that each number is read and written in the same order as before.
//!
//! Marked is what only statements use that know panels: products with weights in tiles, nests of the same rows and columns, sums over rows. After
//! `in_place`, which says which buffers are one, before memory is laid out.

use crate::loops::{Access, Instr, Program, Stmt};
use snn_runtime::kernels::panels::PANEL;
use snn_runtime::program::{Parallel, Region};

/// Floats of a sequence of one shard that is worth it: an eighth of a second-level cache.
const LONG: usize = 1 << 16;

/// Runs the pass.
pub(super) fn mark(program: &mut Program) {
    let bound = program.bound();
    let mut marked: Vec<bool> =
        (0..program.buffers.len()).map(|buffer| fits(program, buffer) && !bound[buffer]).collect();
    for phase in &program.phases {
        for stmt in &phase.body {
            refuse(program, phase.parallel, stmt, &mut marked);
        }
    }
    // States are worth it where their sequences are.
    let mut worth = vec![false; marked.len()];
    for stmt in program.phases.iter().flat_map(|phase| &phase.body) {
        let mut together = Vec::new();
        stmt.accesses(&mut |a, _| together.push(a.buffer));
        let is_long = |b: &usize| {
            marked[*b]
                && program.buffers[*b].time.is_some()
                && program.buffers[*b].len(program.shard_batch) >= LONG
        };
        if together.iter().any(is_long) {
            together.into_iter().for_each(|b| worth[b] = true);
        }
    }
    for (buffer, info) in program.buffers.iter_mut().enumerate() {
        info.panels = marked[buffer] && worth[buffer];
    }
}

/// Whether a buffer can have panels at all.
fn fits(program: &Program, buffer: usize) -> bool {
    let info = &program.buffers[buffer];
    let is_own = matches!(info.region, Region::Shard | Region::Local);
    let is_whole = info.time.is_none_or(|steps| steps == program.steps);
    is_own
        && is_whole
        && info.batch
        && !info.spikes
        && info.width() > PANEL
        && info.width().is_multiple_of(PANEL)
}

/// Takes the mark from buffers that a statement uses otherwise.
fn refuse(program: &Program, parallel: Parallel, stmt: &Stmt, marked: &mut [bool]) {
    let width = |a: &Access| program.buffers[a.buffer].width();
    let is_plain = |a: &Access| a.offset == 0 && a.step == 0 && a.shard == 0 && a.segment == 0;
    let mut allowed: Vec<usize> = Vec::new();
    match stmt {
        // Every nest of a loop has to use a buffer as a whole.
        Stmt::Steps { body, .. } if parallel == Parallel::Shards && can_turn(program, body) => {
            return body.iter().for_each(|nest| refuse(program, parallel, nest, marked));
        }
        Stmt::Nest { .. }
            if parallel == Parallel::Shards && can_turn(program, std::slice::from_ref(stmt)) =>
        {
            allowed.extend(whole(program, stmt));
        }
        Stmt::MatMul { size: [m, k, n], a, b: _, tiles, c } => {
            let spikes = program.buffers[a.0.buffer].spikes;
            let rows = |a: &Access| program.buffers[a.buffer].rows(program.shard_batch);
            if (tiles.is_some() || spikes)
                && is_plain(&c.0)
                && c.1 == *n
                && width(&c.0) == *n
                && rows(&c.0) == *m
            {
                allowed.push(c.0.buffer);
            }
            if tiles.is_some() && is_plain(&a.0) && a.1 == [*k, 1] && width(&a.0) == *k && rows(&a.0) == *m {
                allowed.push(a.0.buffer);
            }
        }
        Stmt::MatMulShards { size: [_, k, n], spikes: true, b, .. } => {
            let rows = program.buffers[b.0.buffer].rows(program.shard_batch);
            if is_plain(&b.0) && b.1 == *n && width(&b.0) == *n && rows == *k {
                allowed.push(b.0.buffer);
            }
        }
        Stmt::MatMulEach { size: [_, _, n], c, .. } if is_plain(c) && width(c) == *n => {
            allowed.push(c.buffer);
        }
        Stmt::FoldRows { rows, width: columns, src, dst, .. } => {
            let of_state = program.buffers[src.buffer].time.is_none() && *rows == program.shard_batch;
            if of_state && is_plain(src) && src.row == *columns && width(src) == *columns && dst.col == 1 {
                allowed.push(src.buffer);
            }
        }
        _ => {}
    }
    stmt.accesses(&mut |a, _| marked[a.buffer] &= allowed.contains(&a.buffer));
}

/// Buffers that a nest uses element by element, never a part of them or one column for others.
fn whole(program: &Program, nest: &Stmt) -> Vec<usize> {
    let (Some(domain), samples) = (Neurons::of(program, nest), program.shard_batch) else {
        return Vec::new();
    };
    let (mut used, mut otherwise) = (Vec::new(), Vec::new());
    nest.accesses(&mut |a, _| {
        let at = domain.in_rows(program, *a);
        let starts = at.offset == 0 && at.shard == 0 && at.segment == 0;
        let is_whole =
            at.row == domain.columns && at.col == 1 && [0, samples * domain.columns].contains(&at.step);
        if starts && is_whole { used.push(a.buffer) } else { otherwise.push(a.buffer) }
    });
    used.retain(|buffer| !otherwise.contains(buffer));
    used
}

/// Whether some nests can be done panel by panel: all are of the same samples and neurons, which do not meet.
fn can_turn(program: &Program, body: &[Stmt]) -> bool {
    let mut width = None;
    let mut accesses: Vec<(Access, bool)> = Vec::new();
    for stmt in body {
        let Stmt::Nest { body: instrs, .. } = stmt else { return false };
        let Some(domain) = Neurons::of(program, stmt) else { return false };
        if *width.get_or_insert(domain.columns) != domain.columns {
            return false;
        }
        for instr in instrs {
            match instr {
                // What works on many columns at once has to have them.
                Instr::Op(op, _) if op.info().function => return false,
                Instr::Load(a) => accesses.push((domain.in_rows(program, *a), false)),
                Instr::Store(a, _) | Instr::Add(a, _) => accesses.push((domain.in_rows(program, *a), true)),
                _ => {}
            }
        }
    }
    let row_of = |a: &Access| (a.offset, a.shard, a.segment, a.row, a.col);
    accesses.iter().all(|(a, writes)| {
        let info = &program.buffers[a.buffer];
        let is_of_width = !(info.spikes || info.batch && a.col == 1) || info.width() == width.unwrap_or(0);
        let meets = |(other, _): &(Access, bool)| other.buffer == a.buffer && row_of(other) != row_of(a);
        is_of_width && (!writes || a.row > 0 && a.col == 1 && !accesses.iter().any(meets))
    })
}

/// What a nest over samples and neurons goes over.
#[derive(Clone, Copy)]
pub(crate) struct Neurons {
    /// Neurons.
    pub columns: usize,
    /// Whether samples and neurons are one long row.
    pub is_flat: bool,
}

impl Neurons {
    /// That of a nest; none if it is not over samples and neurons.
    pub fn of(program: &Program, stmt: &Stmt) -> Option<Neurons> {
        let Stmt::Nest { rows, width, body } = stmt else { return None };
        let samples = program.shard_batch;
        let is_flat = *rows == 1 && samples > 1;
        let columns = if is_flat { width / samples } else { *width };
        let fits = |a: &Access| {
            let info = &program.buffers[a.buffer];
            // One axis stands for both only in buffers that have both.
            if is_flat { a.col == 0 || info.batch && info.width() == columns } else { *rows == samples }
        };
        let all = body.iter().all(|instr| match instr {
            Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => fits(a),
            _ => true,
        });
        (all && (!is_flat || width.is_multiple_of(samples)) && columns.is_multiple_of(PANEL))
            .then_some(Neurons { columns, is_flat })
    }

    /// An access with a row for each sample.
    pub fn in_rows(self, program: &Program, a: Access) -> Access {
        if self.is_flat { a.in_rows(self.columns, &program.buffers) } else { a }
    }
}
