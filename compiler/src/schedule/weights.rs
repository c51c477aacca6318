//! Weights in tiles, as products want them, made once for all shards and steps.
//!
//! Before: `for t { buf7 <- matmul 16x256x256 buf5, buf2 strides [1, 256] }`; after: `buf9 <- tiles of 256x256 swapped buf2` in a phase that
//! runs once, and the product reads `tiles buf9`. Correct because parameters change in the update only, and what a phase made of them
//! once does not change at all. After `spikes`, before memory is laid out.

use crate::loops::lives::Use;
use crate::loops::{Access, Phase, Program, Stmt};
use snn_runtime::kernels::tiles::tiled_floats;
use snn_runtime::program::{BufferInfo, Parallel, Region};
use std::collections::{BTreeMap, BTreeSet};

/// Smaller weights are read fast in any form.
const MIN_WEIGHTS: usize = 1 << 12;

/// Tiles of a parameter: whether its axes are exchanged, rows and columns of what is put in tiles.
type Form = (usize, bool, [usize; 2]);

/// Runs the pass.
pub(super) fn prepare(program: &mut Program) {
    let mut made: BTreeMap<Form, usize> = BTreeMap::new();
    // Weights that phases before this one made.
    let mut ready: BTreeSet<usize> = BTreeSet::new();
    let mut p = 0;
    while p < program.phases.len() {
        let mut wanted = Vec::new();
        let phase = &mut program.phases[p];
        each_product(&mut phase.body, &mut |product| wanted.extend(form(product, &program.buffers, &ready)));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.iter().any(|form| !made.contains_key(form)) {
            p += usize::from(phase_before(program, p));
        }
        for form in wanted {
            let to = *made.entry(form).or_insert_with(|| prepared(program, p - 1, form));
            let buffers = std::mem::take(&mut program.buffers);
            each_product(&mut program.phases[p].body, &mut |product| {
                if self::form(product, &buffers, &ready) == Some(form)
                    && let Stmt::MatMul { b, tiles, .. } = product
                {
                    *tiles = Some(Access { buffer: to, ..b.0 });
                }
            });
            program.buffers = buffers;
        }
        ready.extend(made_once(&program.phases[p]));
        p += 1;
    }
}

/// Calls `f` with every product.
fn each_product(body: &mut [Stmt], f: &mut dyn FnMut(&mut Stmt)) {
    for stmt in body {
        match stmt {
            Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => each_product(body, f),
            Stmt::MatMul { .. } => f(stmt),
            _ => {}
        }
    }
}

/// What a phase that runs once writes.
fn made_once(phase: &Phase) -> BTreeSet<usize> {
    let mut written = BTreeSet::new();
    let stmts = phase.body.iter().filter(|_| phase.parallel == Parallel::Once);
    stmts.for_each(|stmt| {
        stmt.accesses(&mut |access, how| {
            if how != Use::Read {
                written.insert(access.buffer);
            }
        });
    });
    written
}

/// The tiles that a product wants of parameters, or of weights that are ready.
fn form(product: &Stmt, buffers: &[BufferInfo], ready: &BTreeSet<usize>) -> Option<Form> {
    let Stmt::MatMul { size: [_, k, n], a, b, tiles, .. } = product else { return None };
    let weights = &buffers[b.0.buffer];
    let is_known = match weights.region {
        Region::Param => true,
        Region::Shared => ready.contains(&b.0.buffer),
        _ => false,
    };
    let is_whole = is_known && weights.width() == k * n && b.0.offset == 0;
    if !is_whole || k * n < MIN_WEIGHTS || tiles.is_some() || a.1[1] != 1 {
        return None;
    }
    match b.1 {
        [1, columns] if columns == *k && *k > 1 => Some((b.0.buffer, true, [*k, *n])),
        [columns, 1] if columns == *n => Some((b.0.buffer, false, [*k, *n])),
        _ => None,
    }
}

/// Sees to it that the phase before phase `p` runs once; gives whether one was put in.
fn phase_before(program: &mut Program, p: usize) -> bool {
    if p > 0 && program.phases[p - 1].parallel == Parallel::Once {
        return false;
    }
    let section = program.phases[p].section;
    let name = format!("{} weights", program.phases[p].name);
    program
        .phases
        .insert(p, Phase { name, section, parallel: Parallel::Once, joined: false, body: Vec::new() });
    true
}

/// The buffer of tiles, made in phase `p`.
fn prepared(program: &mut Program, p: usize, (buffer, swapped, [rows, width]): Form) -> usize {
    let whole =
        |buffer| Access { buffer, offset: 0, shard: 0, segment: 0, step: 0, shift: 0, row: 0, col: 0 };
    let info = &program.buffers[buffer];
    let name = format!("{}{} in tiles", info.name, if swapped { " swapped" } else { "" });
    let shape = vec![tiled_floats(rows, width)];
    program.buffers.push(BufferInfo { name, region: Region::Shared, shape, ..info.clone() });
    let to = program.buffers.len() - 1;
    let (src, dst) = (whole(buffer), whole(to));
    program.phases[p].body.push(Stmt::Tile { rows, width, swapped, src, dst });
    to
}
