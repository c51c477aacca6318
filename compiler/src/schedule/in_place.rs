//! Sequences that a nest turns into others element by element share their memory.
//!
//! Before: `buf22 <- matmul …; for t { … load buf22[t]; store buf24[t] … }`; after: the product writes buf24, and the time loop reads
//! and writes it. Correct because the nest is the last reader of an element and the first writer of what replaces it, and reads before it
//! writes; nothing else in the loop touches either. Half the memory then goes through the caches. After `groups`, which says where
//! buffers lie, before memory is laid out.

use crate::loops::lives::{Use, positions};
use crate::loops::{Access, Instr, Program, Stmt};
use snn_runtime::program::{BufferInfo, Region};

/// Runs the pass.
pub(super) fn share(program: &mut Program) {
    let bound = program.bound();
    while let Some((from, to)) = find(program, &bound) {
        for stmt in program.phases.iter_mut().flat_map(|phase| &mut phase.body) {
            stmt.accesses_mut(&mut |access, _| {
                if access.buffer == from {
                    access.buffer = to;
                }
            });
        }
        // Nobody uses it any more, and it takes up nothing.
        let info = &mut program.buffers[from];
        *info = BufferInfo { time: None, batch: false, shape: vec![0], ..info.clone() };
    }
}

/// A buffer that ends and one that begins in the same nest.
fn find(program: &Program, bound: &[bool]) -> Option<(usize, usize)> {
    let lives = program.lives();
    let fits = |at: usize, (from, to): (usize, usize)| {
        let ends = lives[from].is_some_and(|(first, last)| first < at && last == at);
        let begins = lives[to].is_some_and(|(first, _)| first == at);
        ends && begins && !bound[from] && !bound[to] && alike(&program.buffers[from], &program.buffers[to])
    };
    let mut at = 0;
    for stmt in program.phases.iter().flat_map(|phase| &phase.body) {
        if let Some(pair) = pairs(stmt).into_iter().find(|pair| fits(at, *pair)) {
            return Some(pair);
        }
        at += positions(stmt);
    }
    None
}

/// Whether one buffer can stand for another.
fn alike(from: &BufferInfo, to: &BufferInfo) -> bool {
    let shape = |b: &BufferInfo| (b.time, b.batch, b.shape.clone(), b.spikes);
    let lasts = match to.region {
        Region::Local => from.region == Region::Local,
        Region::Shard => matches!(from.region, Region::Local | Region::Shard),
        _ => false,
    };
    lasts && shape(from) == shape(to) && from.time.is_some()
}

/// Buffers of a time loop of which the second replaces the first element by element.
fn pairs(stmt: &Stmt) -> Vec<(usize, usize)> {
    let Stmt::Steps { body, .. } = stmt else { return Vec::new() };
    let mut pairs = Vec::new();
    for nest in body {
        let Stmt::Nest { body: instrs, .. } = nest else { continue };
        for (at, instr) in instrs.iter().enumerate() {
            let Instr::Store(to, _) = instr else { continue };
            for load in &instrs[..at] {
                let Instr::Load(from) = load else { continue };
                let same = Access { buffer: to.buffer, ..*from } == *to && to.step != 0 && to.col == 1;
                let only = |buffer: usize| uses(body, buffer) == 1;
                if same && from.buffer != to.buffer && only(from.buffer) && only(to.buffer) {
                    pairs.push((from.buffer, to.buffer));
                }
            }
        }
    }
    pairs
}

/// How often the statements of a time loop touch a buffer.
fn uses(body: &[Stmt], buffer: usize) -> usize {
    let mut count = 0;
    for stmt in body {
        stmt.accesses(&mut |a, _: Use| count += usize::from(a.buffer == buffer));
    }
    count
}
