//! Products over shards against the reference, bit by bit where the order of sums is the same.

use super::*;
use crate::kernels::bits::{snn_turn_spikes, turned_words};
use crate::kernels::reference;
use crate::kernels::spikes::tests::{SIZES, distance, packed, random, same_bits, spikes};
use crate::kernels::tiles::snn_tile_columns;
use crate::memory::AlignedBuf;

/// Shards of `[rows of A, rows of B]`, one behind the other, and the products of their reference, added from 0 on.
fn check_shards((m, k, n): (usize, usize, usize), shards: usize, share: f32, is_spikes: bool) {
    let (a_floats, b_floats) = (if is_spikes { 2 * turned_words(k, m) } else { m * k }, k * n);
    let stride = (a_floats + b_floats).next_multiple_of(16);
    let mut memory = Vec::new();
    let mut expected = vec![0.0; m * n];
    for shard in 0..shards {
        let all = spikes(m * k * shards, share);
        let a = &all[shard * m * k..][..m * k];
        let b = random(k * n, 3 + shard as u64);
        let mut product = vec![0.0; m * n];
        let left: Vec<f32> = (0..m * k).map(|at| a[(at % k) * m + at / k]).collect();
        reference::matmul((m, k, n), (&left, k, 1), (&b, n, 1), (&mut product, n), false);
        expected.iter_mut().zip(&product).for_each(|(sum, p)| *sum += p);
        if is_spikes {
            let mut turned = vec![0u64; turned_words(k, m)];
            // SAFETY: k rows of m bits, and room for m of k.
            unsafe { snn_turn_spikes(k as u64, m as u64, packed(a, m).as_ptr(), turned.as_mut_ptr()) };
            memory.extend(turned.iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]).map(f32::from_bits));
        } else {
            memory.extend_from_slice(a);
        }
        memory.extend(b);
        memory.resize((shard + 1) * stride, 0.0);
    }
    let memory = AlignedBuf::copy_of(&memory).unwrap();
    for kernel in [snn_matmul_shards_fast as ShardsFn, snn_matmul_shards_strict] {
        let mut c = vec![f32::NAN; m * n];
        for part in 0..PARTS as u64 {
            // SAFETY: shards of A and B lie `stride` floats apart; C is as large as it is said to be.
            unsafe {
                let a = memory[..].as_ptr();
                let b = a.add(a_floats);
                let (size, one) = ([m, k, n].map(|s| s as u64), u64::from(is_spikes));
                let (to, last) = (c.as_mut_ptr(), (shards as u64, stride as u64));
                kernel(
                    size[0], size[1], size[2], a, one, 1, m as i64, b, n as i64, 32, to, part, last.0, last.1,
                );
            }
        }
        let strict = kernel as usize == snn_matmul_shards_strict as *const () as usize;
        let what = format!("{m} {k} {n}, {shards} shards, {share}, {is_spikes} {strict}");
        assert!(distance(&c, &expected) < 3e-4, "{what}");
        assert!(!strict || same_bits(&c, &expected), "{what}");
    }
}

#[test]
fn sums_over_shards_are_those_of_the_reference() {
    for size in SIZES {
        for shards in [1, 3] {
            check_shards(size, shards, 0.1, true);
            check_shards(size, shards, 0.1, false);
        }
        check_shards(size, 2, 0.5, true);
    }
}

#[test]
fn products_of_each_shard_are_those_of_the_reference() {
    for (m, k, n) in SIZES {
        let (shards, stride) = (3, (m * k + m * n).next_multiple_of(16));
        let b = random(k * n, 2);
        let mut tiles = vec![f32::NAN; tiled_floats(k, n)];
        // SAFETY: B and room for it in tiles.
        unsafe { snn_tile_columns(k as u64, n as u64, 0, b.as_ptr(), tiles.as_mut_ptr(), 0, 1) };
        let mut before = vec![f32::NAN; shards * stride];
        for (shard, memory) in before.chunks_mut(stride).enumerate() {
            memory[..m * k].copy_from_slice(&random(m * k, 3 + shard as u64));
        }
        let mut expected = before.clone();
        for memory in expected.chunks_mut(stride) {
            let (a, c) = memory.split_at_mut(m * k);
            reference::matmul((m, k, n), (a, k, 1), (&b, n, 1), (&mut c[..m * n], n), false);
        }
        for kernel in [snn_matmul_each_fast as EachFn, snn_matmul_each_strict] {
            let mut memory = AlignedBuf::copy_of(&before).unwrap();
            for part in 0..PARTS as u64 {
                // SAFETY: A and C of the shards lie `stride` floats apart.
                unsafe {
                    let a = memory[..].as_mut_ptr();
                    let (c, rest) = (a.add(m * k), (part, shards as u64, stride as u64));
                    let (size, b_rs) = ([m, k, n].map(|s| s as u64), n as i64);
                    let (b, tiles) = (b.as_ptr(), tiles.as_ptr());
                    kernel(
                        size[0], size[1], size[2], a, k as i64, b, b_rs, 1, tiles, c, n as i64, 32, rest.0,
                        rest.1, rest.2,
                    );
                }
            }
            for (got, want) in memory.chunks(stride).zip(expected.chunks(stride)) {
                let (got, want) = (&got[m * k..][..m * n], &want[m * k..][..m * n]);
                assert!(distance(got, want) < 3e-4, "{m} {k} {n}");
                let strict = kernel as usize == snn_matmul_each_strict as *const () as usize;
                assert!(!strict || same_bits(got, want), "{m} {k} {n}");
            }
        }
    }
}
