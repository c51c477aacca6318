//! Weights in the form in which products want them, made once for all shards: transposed for products that read them by columns, in
//! tiles for spikes.
//!
//! Before: `for t { buf7 <- matmul 16x256x256 buf5, buf2 strides [1, 256] }`; after: `buf9 <- axes swapped 256x256 buf2` in a phase that runs
//! once, and the product reads `buf9 strides [256, 1]`. Correct because parameters change in the update only. After
//! `spikes`, before memory is laid out.

use crate::loops::{Access, Phase, Program, Stmt};
use snn_runtime::kernels::spikes::tiled_floats;
use snn_runtime::program::{BufferInfo, Parallel, Region};
use std::collections::BTreeMap;

/// Smaller weights are read fast in any form.
const MIN_WEIGHTS: usize = 1 << 12;

/// How weights are wanted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Form {
    /// `[out][in]`
    Transposed,
    /// Tiles of columns.
    Tiles,
}

/// Runs the pass.
pub(super) fn prepare(program: &mut Program) {
    let mut made: BTreeMap<(usize, Form), usize> = BTreeMap::new();
    let mut p = 0;
    while p < program.phases.len() {
        let mut wanted = Vec::new();
        let phase = &mut program.phases[p];
        each_product(&mut phase.body, &mut |product| wanted.extend(form(product, &program.buffers)));
        wanted.sort_unstable();
        wanted.dedup();
        if wanted.iter().any(|(buffer, form, _)| !made.contains_key(&(*buffer, *form))) {
            p += usize::from(phase_before(program, p));
        }
        for (buffer, form, [rows, width]) in wanted {
            let new = || prepared(program, p - 1, buffer, form, [rows, width]);
            let to = *made.entry((buffer, form)).or_insert_with(new);
            let buffers = std::mem::take(&mut program.buffers);
            each_product(&mut program.phases[p].body, &mut |product| {
                if self::form(product, &buffers) == Some((buffer, form, [rows, width])) {
                    redirect(product, form, to);
                }
            });
            program.buffers = buffers;
        }
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

/// The weights that a product would rather have in another form, and their rows and columns.
fn form(product: &Stmt, buffers: &[BufferInfo]) -> Option<(usize, Form, [usize; 2])> {
    let Stmt::MatMul { size: [_, k, n], a, b, tiles, .. } = product else { return None };
    let weights = &buffers[b.0.buffer];
    if weights.region != Region::Param || weights.width() != k * n || k * n < MIN_WEIGHTS || tiles.is_some() {
        return None;
    }
    let by_columns = b.1 == [1, *k] && *k > 1;
    let by_spikes = buffers[a.0.buffer].spikes && a.1[1] == 1;
    match (by_columns, by_spikes) {
        (true, _) => Some((b.0.buffer, Form::Transposed, [*n, *k])),
        (false, true) => Some((b.0.buffer, Form::Tiles, [*k, *n])),
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

/// The buffer of weights in a form, made in phase `p`.
fn prepared(program: &mut Program, p: usize, buffer: usize, form: Form, [rows, width]: [usize; 2]) -> usize {
    let whole =
        |buffer| Access { buffer, offset: 0, shard: 0, segment: 0, step: 0, shift: 0, row: 0, col: 0 };
    let (what, shape) = match form {
        Form::Transposed => ("transposed", vec![width, rows]),
        Form::Tiles => ("in tiles", vec![tiled_floats(rows, width)]),
    };
    let info = &program.buffers[buffer];
    let name = format!("{} {what}", info.name);
    program.buffers.push(BufferInfo { name, region: Region::Shared, shape, ..info.clone() });
    let to = program.buffers.len() - 1;
    let (src, dst) = (whole(buffer), whole(to));
    program.phases[p].body.push(match form {
        Form::Transposed => Stmt::SwapAxes { rows, width, src, dst },
        Form::Tiles => Stmt::Tile { rows, width, src, dst },
    });
    to
}

fn redirect(product: &mut Stmt, form: Form, to: usize) {
    let Stmt::MatMul { size: [_, _, n], b, tiles, .. } = product else { return };
    match form {
        Form::Transposed => {
            b.0.buffer = to;
            b.1 = [*n, 1];
        }
        Form::Tiles => *tiles = Some(Access { buffer: to, ..b.0 }),
    }
}
