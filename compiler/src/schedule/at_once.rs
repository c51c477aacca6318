//! Products of what is given for each sample, not for each step, with large weights are done for all shards at once.
//!
//! Before: `forward1 (Shards) { buf22 <- matmul 16x784x512 buf18, buf0 … }`; after: `forward1 products (Parts) { buf22 <- of each shard matmul
//! … }`, `forward1 (Shards) {…}`. Few rows are done with their weights before those have come from memory, and a shard later
//! everything else has driven them out again; so they are read once. Correct because nobody writes inputs and weights before the update, and only the product writes its
//! result, which is the same for each shard. After `weights`, which makes the tiles, and before `groups`, which asks who reads what.

use crate::loops::lives::Use;
use crate::loops::{Phase, Program, Stmt};
use snn_runtime::program::{Parallel, Region};
use std::collections::BTreeSet;

/// Numbers of weights that stay near from shard to shard: a quarter of a second-level cache.
const NEAR: usize = 1 << 17;

/// Runs the pass.
pub(super) fn run(program: &mut Program) {
    if program.shards < 2 {
        return;
    }
    let inputs: BTreeSet<usize> = program.inputs.iter().map(|binding| binding.buffer).collect();
    let mut p = 0;
    while p < program.phases.len() {
        let products = taken(program, p, &inputs);
        if !products.is_empty() {
            let Phase { name, section, .. } = &program.phases[p];
            let (name, section) = (format!("{name} products"), *section);
            let phase = Phase { name, section, parallel: Parallel::Parts, joined: false, body: products };
            program.phases.insert(p, phase);
            p += 1;
        }
        p += 1;
    }
}

/// Takes the products out of a phase.
fn taken(program: &mut Program, p: usize, inputs: &BTreeSet<usize>) -> Vec<Stmt> {
    if program.phases[p].parallel != Parallel::Shards {
        return Vec::new();
    }
    let of_each = |stmt: &Stmt| of_each_shard(stmt, program, inputs);
    let each: Vec<Option<Stmt>> = program.phases[p].body.iter().map(of_each).collect();
    let mut taken = each.iter().map(Option::is_some);
    program.phases[p].body.retain(|_| taken.next() == Some(false));
    each.into_iter().flatten().collect()
}

/// A product as one of all shards, if it is one of an input with large weights, and the only statement that writes its result.
fn of_each_shard(stmt: &Stmt, program: &Program, inputs: &BTreeSet<usize>) -> Option<Stmt> {
    let Stmt::MatMul { size, a: (a, [a_rs, 1]), b, tiles: Some(tiles), c: (c, c_rs) } = stmt else {
        return None;
    };
    let of_input = inputs.contains(&a.buffer) && !program.buffers[a.buffer].spikes;
    let is_parameter = program.buffers[b.0.buffer].region == Region::Param;
    let is_result = program.buffers[c.buffer].region == Region::Shard && *c_rs == size[2];
    let mut writers = 0;
    for stmt in program.phases.iter().flat_map(|phase| &phase.body) {
        stmt.accesses(&mut |access, how| {
            writers += usize::from(access.buffer == c.buffer && how != Use::Read);
        });
    }
    (of_input && is_parameter && is_result && writers == 1 && size[1] * size[2] > NEAR)
        .then_some(Stmt::MatMulEach { size: *size, a: (*a, *a_rs), b: *b, tiles: *tiles, c: *c })
}
