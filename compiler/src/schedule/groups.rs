//! Phases that a shard goes through without waiting for the others, and the buffers that it needs only meanwhile.
//!
//! Before: `forward1 (Shards)`, `forward2 (Once)` adds the losses of the shards, `backward3 (Once)` divides by the batch, `backward4
//! (Shards)`; each shard keeps its tape while the others make theirs. After: `backward3`, `forward1 (Shards)`, `backward4 (Shards, joined)`,
//! `forward2`; the tape lies in memory of the thread, which the next shard uses again while it is still near. Correct
//! because a phase only moves across phases with which it shares no buffer that one of them writes. After `parts`, which makes phases,
//! before memory is laid out.

use super::parts::depend;
use crate::loops::lives::Use;
use crate::loops::{Phase, Program};
use snn_runtime::program::{BufferInfo, Parallel, Region};
use std::collections::BTreeMap;

/// Runs the pass.
pub(super) fn join(program: &mut Program) {
    let mut phases: Vec<Phase> = Vec::new();
    // Phases since the last one of shards.
    let mut between: Vec<Phase> = Vec::new();
    for mut phase in std::mem::take(&mut program.phases) {
        if phase.parallel != Parallel::Shards {
            between.push(phase);
            continue;
        }
        let group =
            phases.iter().rposition(|p| !p.joined).filter(|at| phases[*at].parallel == Parallel::Shards);
        let order = group.and_then(|at| split(&phases[at..], &between, &phase));
        match (group, order) {
            (Some(at), Some(is_before)) if !meet(&phases[at..], &phase, &program.buffers) => {
                phase.joined = true;
                let (before, after): (Vec<_>, Vec<_>) =
                    std::mem::take(&mut between).into_iter().zip(is_before).partition(|(_, is)| *is);
                phases.splice(at..at, before.into_iter().map(|(p, _)| p));
                phases.push(phase);
                between = after.into_iter().map(|(p, _)| p).collect();
            }
            _ => {
                phases.append(&mut between);
                phases.push(phase);
            }
        }
    }
    phases.append(&mut between);
    program.phases = phases;
    make_local(program);
}

/// For each phase between a group and the next phase of shards whether it can stand before the group; none if one can stand neither there
/// nor after that phase.
fn split(group: &[Phase], between: &[Phase], next: &Phase) -> Option<Vec<bool>> {
    let mut is_before: Vec<bool> = Vec::new();
    for (at, phase) in between.iter().enumerate() {
        let stays = between[..at].iter().zip(&is_before).filter(|(_, before)| !**before).map(|(p, _)| p);
        let before = !group.iter().chain(stays).any(|p| phases_depend(p, phase));
        if !before && phases_depend(phase, next) {
            return None;
        }
        is_before.push(before);
    }
    Some(is_before)
}

fn phases_depend(a: &Phase, b: &Phase) -> bool {
    a.body.iter().any(|x| b.body.iter().any(|y| depend(x, y)))
}

/// Whether one shard may read in a phase what another wrote in the group, or the other way round.
fn meet(group: &[Phase], next: &Phase, buffers: &[BufferInfo]) -> bool {
    let shared = |phase: &Phase| {
        let mut uses: BTreeMap<usize, bool> = BTreeMap::new();
        for stmt in &phase.body {
            stmt.accesses(&mut |a, how| {
                if buffers[a.buffer].region != Region::Shard {
                    *uses.entry(a.buffer).or_default() |= how != Use::Read;
                }
            });
        }
        uses
    };
    let of_next = shared(next);
    group.iter().flat_map(shared).any(|(buffer, writes)| of_next.get(&buffer).is_some_and(|w| writes || *w))
}

/// Buffers of shards that only one group of phases uses lie in memory of its thread.
fn make_local(program: &mut Program) {
    let bound = program.bound();
    let mut groups: Vec<Option<usize>> = vec![None; program.buffers.len()];
    let mut is_local: Vec<bool> =
        program.buffers.iter().zip(bound).map(|(b, bound)| b.region == Region::Shard && !bound).collect();
    let mut group = 0;
    for phase in &program.phases {
        group += usize::from(!phase.joined);
        for stmt in &phase.body {
            stmt.accesses(&mut |a, _| {
                let before = groups[a.buffer].replace(group);
                is_local[a.buffer] &=
                    phase.parallel == Parallel::Shards && before.is_none_or(|before| before == group);
            });
        }
    }
    for (buffer, is_local) in program.buffers.iter_mut().zip(is_local) {
        if is_local {
            buffer.region = Region::Local;
        }
    }
}
