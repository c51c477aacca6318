//! Where buffers lie: what is never used at the same time shares memory. Does not touch statements.
//!
//! Parameters, slots and whatever the runtime fills or reads come first in their regions, in order, and share with nothing: all
//! programs of a model agree on parameters. The others are placed by size, largest first, at the lowest offset that is
//! free while they live (Pisarchyk and Lee 2020). A buffer lives from its first to its last statement. In region `Shared` that is counted
//! in phases: within a phase shards are not at the same statement.

use super::layout::ALIGN;
use crate::loops::{Floats, Program};

/// Gives every buffer its offset and the regions their sizes.
pub(super) fn plan(program: &mut Program) {
    let lives = program.lives();
    let pinned = program.bound();
    let mut sizes = [0; 5];
    for (info, _) in program.buffers.iter_mut().zip(&pinned).filter(|(_, pinned)| **pinned) {
        let end = &mut sizes[info.region as usize];
        info.offset = *end;
        *end = (*end + info.len(program.shard_batch)).next_multiple_of(ALIGN);
    }
    let first = sizes;
    let mut order: Vec<usize> = (0..program.buffers.len()).filter(|idx| !pinned[*idx]).collect();
    order.sort_by_key(|idx| (std::cmp::Reverse(program.buffers[*idx].len(program.shard_batch)), *idx));
    let mut placed: Vec<usize> = Vec::new();
    for idx in order {
        let Some(life) = lives[idx] else { continue };
        let (region, len) = (program.buffers[idx].region, program.buffers[idx].len(program.shard_batch));
        let mut taken: Vec<(usize, usize)> = placed
            .iter()
            .filter(|other| program.buffers[**other].region == region)
            .filter(|other| lives[**other].is_some_and(|o| o.0 <= life.1 && life.0 <= o.1))
            .map(|other| {
                let info = &program.buffers[*other];
                (info.offset, info.offset + info.len(program.shard_batch))
            })
            .collect();
        taken.sort_unstable();
        let offset = lowest_gap(first[region as usize], len, &taken);
        program.buffers[idx].offset = offset;
        let end = &mut sizes[region as usize];
        *end = (*end).max((offset + len).next_multiple_of(ALIGN));
        placed.push(idx);
    }
    let [param, slot, shared, shard, local] = sizes;
    program.floats = Floats { param, slot, shared, shard, local };
}

/// The first place of `len` floats from `start` on beside what is taken (sorted).
fn lowest_gap(start: usize, len: usize, taken: &[(usize, usize)]) -> usize {
    let mut at = start;
    for (from, to) in taken {
        if at + len <= *from {
            return at;
        }
        at = at.max(to.next_multiple_of(ALIGN));
    }
    at
}

#[cfg(test)]
mod tests {
    use super::lowest_gap;

    #[test]
    fn gaps_are_found_from_below() {
        assert_eq!(lowest_gap(32, 8, &[]), 32);
        assert_eq!(lowest_gap(32, 8, &[(32, 40)]), 48);
        assert_eq!(lowest_gap(32, 16, &[(32, 48), (64, 80)]), 48);
        assert_eq!(lowest_gap(32, 17, &[(32, 48), (64, 80)]), 80);
        assert_eq!(lowest_gap(32, 8, &[(32, 100), (48, 64)]), 112);
    }
}
