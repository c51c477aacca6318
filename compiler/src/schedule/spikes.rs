//! Which buffers are bits: those that hold nothing but spikes and that only nests and left factors of products touch.
//!
//! Before: `buf4 [t25, b, 512]`, 4 bytes a spike, of which a product looks for those that are not 0. After: `buf4 [t25, b, 512] spikes`, a
//! bit each. Correct because what is stored is 0 or 1 (a comparison, a copy of spikes, or one of those numbers), and each
//! place that reads it makes the same numbers of it again. After all statements are known, before memory is laid out.

use crate::loops::{Access, Instr, Program, Stmt};
use crate::step::ops::Pw;
use snn_runtime::kernels::bits::{turned_words, words};
use snn_runtime::program::{BufferInfo, Parallel, Region};
use std::collections::BTreeMap;

/// Rows shorter than this are read faster as numbers.
const MIN_WIDTH: usize = 32;
/// Products with fewer multiplications are done before bits are taken apart.
const MIN_WORK: usize = 1 << 13;

/// Makes bits of all buffers that allow it; `inputs` are those that the runtime fills with spikes.
pub(super) fn pack(program: &mut Program, inputs: &[usize]) {
    let mut packed = candidates(program, inputs);
    loop {
        let before = packed.clone();
        for phase in &program.phases {
            phase.body.iter().for_each(|stmt| refuse(stmt, &program.buffers, &mut packed));
        }
        if packed == before {
            break;
        }
    }
    let buffers = program.buffers.clone();
    for phase in &mut program.phases {
        phase.body.iter_mut().for_each(|stmt| rewrite(stmt, &buffers, &packed));
    }
    for (info, packed) in program.buffers.iter_mut().zip(&packed) {
        info.spikes |= packed;
    }
    turn_factors(program);
}

/// Weight gradients want spikes neuron by neuron: turned at the end of the last phase of shards before.
fn turn_factors(program: &mut Program) {
    let mut of_shards = 0;
    let mut turned: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for p in 0..program.phases.len() {
        if program.phases[p].parallel == Parallel::Shards {
            of_shards = p;
        }
        for at in 0..program.phases[p].body.len() {
            let Stmt::MatMulShards { size: [width, rows, _], a: (a, _), .. } = program.phases[p].body[at]
            else {
                continue;
            };
            if !program.buffers[a.buffer].spikes {
                continue;
            }
            let dst = *turned.entry((of_shards, a.buffer)).or_insert_with(|| {
                let name = format!("{} by neuron", program.buffers[a.buffer].name);
                let floats = 2 * turned_words(rows, width);
                program.buffers.push(BufferInfo {
                    name,
                    time: None,
                    batch: false,
                    shape: vec![floats],
                    spikes: false,
                    panels: false,
                    ..program.buffers[a.buffer].clone()
                });
                let dst = Access { buffer: program.buffers.len() - 1, ..a };
                program.phases[of_shards].body.push(Stmt::Turn { rows, width, src: a, dst });
                dst.buffer
            });
            if let Stmt::MatMulShards { a, spikes, .. } = &mut program.phases[p].body[at] {
                a.0.buffer = dst;
                *spikes = true;
            }
        }
    }
}

/// Sequences, and what a product reads.
fn candidates(program: &Program, inputs: &[usize]) -> Vec<bool> {
    let mut factors = vec![false; program.buffers.len()];
    for phase in &program.phases {
        phase.body.iter().for_each(|stmt| left_factors(stmt, &mut factors));
    }
    let bound = program.bound().into_iter().enumerate();
    let free = bound.map(|(idx, bound)| !bound || inputs.contains(&idx));
    let buffers = program.buffers.iter().zip(free).zip(factors);
    buffers
        .map(|((info, free), factor)| {
            let is_there = info.region == Region::Shard && info.batch && info.width() >= MIN_WIDTH;
            free && is_there && (factor || info.time.is_some())
        })
        .collect()
}

fn left_factors(stmt: &Stmt, factors: &mut [bool]) {
    match stmt {
        Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => {
            body.iter().for_each(|stmt| left_factors(stmt, factors))
        }
        Stmt::MatMul { a, .. } | Stmt::MatMulShards { a, .. } => factors[a.0.buffer] = true,
        _ => {}
    }
}

/// Takes out the buffers that a statement uses in another way.
fn refuse(stmt: &Stmt, buffers: &[BufferInfo], packed: &mut [bool]) {
    match stmt {
        Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => {
            body.iter().for_each(|stmt| refuse(stmt, buffers, packed))
        }
        Stmt::Nest { rows, width, body } => {
            for instr in body {
                let (access, fits) = match instr {
                    Instr::Load(a) => (a, true),
                    Instr::Store(a, x) => (a, is_spike(body, *x, packed)),
                    Instr::Add(a, _) => (a, false),
                    _ => continue,
                };
                if !fits || !whole_rows(access, *rows, *width, &buffers[access.buffer]) {
                    packed[access.buffer] = false;
                }
            }
        }
        Stmt::MatMul { size: [m, k, n], a: (a, strides), b, c, .. } => {
            packed[b.0.buffer] = false;
            packed[c.0.buffer] = false;
            let width = buffers[a.buffer].width();
            let fits = *strides == [width, 1] && *k == width || *strides == [1, width] && *m == width;
            if !fits || !starts_row(a, width) || m * k * n < MIN_WORK {
                packed[a.buffer] = false;
            }
        }
        Stmt::MatMulShards { size, a: (a, strides), b, c, .. } => {
            packed[b.0.buffer] = false;
            packed[c.buffer] = false;
            let width = buffers[a.buffer].width();
            if *strides != [1, width] || size[0] != width || a.offset != 0 {
                packed[a.buffer] = false;
            }
        }
        other => other.accesses(&mut |a, _| packed[a.buffer] = false),
    }
}

fn starts_row(a: &Access, width: usize) -> bool {
    [a.offset, a.segment, a.step].iter().all(|stride| stride.is_multiple_of(width)) && a.shard == 0
}

/// Whether a nest goes over whole rows of a buffer, one by one or all as one.
fn whole_rows(a: &Access, rows: usize, width: usize, info: &BufferInfo) -> bool {
    let of_row = info.width();
    let one_by_one = width == of_row && (a.row.is_multiple_of(of_row) || rows == 1);
    let as_one = rows == 1 && width.is_multiple_of(of_row);
    starts_row(a, of_row) && a.col == 1 && (one_by_one || as_one)
}

/// Whether a register is 0 or 1.
fn is_spike(body: &[Instr], reg: usize, packed: &[bool]) -> bool {
    match &body[reg] {
        Instr::Const(c) => *c == 0.0 && c.is_sign_positive() || *c == 1.0,
        Instr::Spike { .. } => true,
        Instr::Load(a) => packed[a.buffer],
        Instr::Op(Pw::Lt | Pw::Le | Pw::Eq, _) => true,
        _ => false,
    }
}

fn rewrite(stmt: &mut Stmt, buffers: &[BufferInfo], packed: &[bool]) {
    match stmt {
        Stmt::Steps { body, .. } | Stmt::Segments { body, .. } => {
            body.iter_mut().for_each(|stmt| rewrite(stmt, buffers, packed))
        }
        Stmt::Nest { rows, width, body } => {
            let of_row = accesses(body).find(|a| packed[a.buffer]).map(|a| buffers[a.buffer].width());
            let Some(of_row) = of_row else { return };
            // Rows of bits end in words that are not full; only full ones go on from row to row.
            if *width > of_row && of_row % 64 != 0 {
                *rows = *width / of_row;
                *width = of_row;
                accesses_mut(body).for_each(|a| a.row = of_row * a.col);
            }
            accesses_mut(body).filter(|a| packed[a.buffer]).for_each(|a| rescale(a, of_row));
        }
        Stmt::MatMul { a, .. } if packed[a.0.buffer] => {
            let of_row = buffers[a.0.buffer].width();
            rescale(&mut a.0, of_row);
        }
        _ => {}
    }
}

/// Strides in rows of numbers become strides in rows of bits.
fn rescale(a: &mut Access, of_row: usize) {
    let floats = 2 * words(of_row);
    for stride in [&mut a.offset, &mut a.segment, &mut a.step, &mut a.row] {
        *stride = *stride / of_row * floats;
    }
}

fn accesses(body: &[Instr]) -> impl Iterator<Item = &Access> {
    body.iter().filter_map(|instr| match instr {
        Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => Some(a),
        _ => None,
    })
}

fn accesses_mut(body: &mut [Instr]) -> impl Iterator<Item = &mut Access> {
    body.iter_mut().filter_map(|instr| match instr {
        Instr::Load(a) | Instr::Store(a, _) | Instr::Add(a, _) => Some(a),
        _ => None,
    })
}
