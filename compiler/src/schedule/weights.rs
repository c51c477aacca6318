//! Weights that a time loop reads by columns are transposed once, before it.
//!
//! Before: `for t { buf7 <- matmul 16x256x256 buf5, buf2 strides [1, 256] }`; after: `buf9 <- axes swapped 256x256 buf2` in a phase that runs
//! once, and the product reads `buf9 strides [256, 1]`. Correct because parameters change in the update only. After all
//! statements are known, before memory is laid out.

use crate::loops::{Access, Phase, Program, Stmt};
use snn_runtime::program::{BufferInfo, Parallel, Region};

/// Runs the pass.
pub(super) fn turn(program: &mut Program) {
    let mut p = 0;
    while p < program.phases.len() {
        let mut found = Vec::new();
        in_loops(&program.phases[p].body, false, &program.buffers, &mut found);
        found.sort_unstable();
        found.dedup();
        if !found.is_empty() {
            p += usize::from(phase_before(program, p));
        }
        for (buffer, [rows, width]) in found {
            let whole = |buffer| Access { buffer, offset: 0, shard: 0, step: 0, shift: 0, row: 0, col: 0 };
            let info = &program.buffers[buffer];
            let name = format!("{} transposed", info.name);
            let info = BufferInfo { name, region: Region::Shared, shape: vec![width, rows], ..info.clone() };
            program.buffers.push(info);
            let to = program.buffers.len() - 1;
            program.phases[p - 1].body.push(Stmt::SwapAxes {
                rows,
                width,
                src: whole(buffer),
                dst: whole(to),
            });
            redirect(&mut program.phases[p].body, false, buffer, to);
        }
        p += 1;
    }
}

/// The weights of transposed products in time loops, and their sizes.
fn in_loops(body: &[Stmt], in_time: bool, buffers: &[BufferInfo], found: &mut Vec<(usize, [usize; 2])>) {
    for stmt in body {
        match stmt {
            Stmt::Steps { body, .. } => in_loops(body, true, buffers, found),
            Stmt::MatMul { size: [_, k, n], b, .. } if in_time && by_columns(b, *k) => {
                let info = &buffers[b.0.buffer];
                if info.region == Region::Param && info.width() == k * n {
                    found.push((b.0.buffer, [*n, *k]));
                }
            }
            _ => {}
        }
    }
}

fn by_columns((_, strides): &(Access, [usize; 2]), k: usize) -> bool {
    *strides == [1, k] && k > 1
}

/// Sees to it that the phase before phase `p` runs once; gives whether one was put in.
fn phase_before(program: &mut Program, p: usize) -> bool {
    if p > 0 && program.phases[p - 1].parallel == Parallel::Once {
        return false;
    }
    let section = program.phases[p].section;
    let name = format!("{} weights", program.phases[p].name);
    program.phases.insert(p, Phase { name, section, parallel: Parallel::Once, body: Vec::new() });
    true
}

fn redirect(body: &mut [Stmt], in_time: bool, from: usize, to: usize) {
    for stmt in body {
        match stmt {
            Stmt::Steps { body, .. } => redirect(body, true, from, to),
            Stmt::MatMul { size: [_, k, n], b, .. } if in_time && b.0.buffer == from && by_columns(b, *k) => {
                b.0.buffer = to;
                b.1 = [*n, 1];
            }
            _ => {}
        }
    }
}
