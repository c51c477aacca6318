//! Matrices in panels: of 32 columns each, one panel behind the other, so that a panel is read and written without gaps. What that means
//! for a product is said here; kernels that know panels themselves are in `tiles`, `spikes` and `events`.
//!
//! Element `(i, j)` of a matrix with adjacent columns lies at `i * rs + j / 32 * gap + j % 32`. Without panels the gap is 32, whatever the rows
//! are; with them `rs` is 32 and the gap 32 times the number of rows.

use super::matmul::Product;
use super::tiles::TILE;

/// Columns of a panel: a tile of a right factor is one, so that a matrix in panels is one in tiles too.
pub const PANEL: usize = TILE;

/// Calls `f` with parts of a product that have no panels. Parts of k follow each other, so that sums go on where they were: the order of sums
/// is that of the whole product if it is that of each part.
pub(super) fn each(p: &Product, f: impl Fn(&Product)) {
    let columns = if p.b_gap == PANEL && p.c_gap == PANEL { p.n } else { PANEL };
    let depth = if p.a_gap == PANEL { p.k } else { PANEL };
    for j in (0..p.n).step_by(columns.max(1)) {
        let mut l = 0;
        loop {
            let b = if p.b_gap == PANEL { j as isize * p.b_cs } else { (j / PANEL * p.b_gap) as isize };
            f(&Product {
                k: depth.min(p.k - l),
                n: columns.min(p.n - j),
                a: p.a.wrapping_add(if p.a_gap == PANEL { 0 } else { l / PANEL * p.a_gap }),
                b: p.b.wrapping_offset(b + l as isize * p.b_rs),
                c: p.c.wrapping_add(j / PANEL * p.c_gap),
                a_gap: PANEL,
                b_gap: PANEL,
                c_gap: PANEL,
                accumulate: p.accumulate || l > 0,
                ..*p
            });
            l += depth;
            if l >= p.k {
                break;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::bits::{snn_turn_spikes, turned_words};
    use crate::kernels::reference;
    use crate::kernels::shards::*;
    use crate::kernels::spikes::tests::{distance, packed, random, same_bits, spikes};
    use crate::kernels::spikes::{snn_matmul_spikes_fast, snn_matmul_spikes_strict};
    use crate::kernels::tiles::*;
    use crate::memory::AlignedBuf;

    const SIZES: [(usize, usize, usize); 4] = [(40, 64, 96), (9, 1056, 64), (33, 544, 128), (200, 256, 1024)];

    /// A matrix in panels.
    fn in_panels(rows: usize, values: &[f32]) -> Vec<f32> {
        let n = values.len() / rows;
        (0..values.len())
            .map(|at| values[at / PANEL % rows * n + at / (PANEL * rows) * PANEL + at % PANEL])
            .collect()
    }

    fn tiled(b: &[f32], k: usize, n: usize) -> Vec<f32> {
        let mut tiles = vec![f32::NAN; tiled_floats(k, n)];
        // SAFETY: as many numbers as sizes say.
        unsafe { snn_tile_columns(k as u64, n as u64, 0, b.as_ptr(), tiles.as_mut_ptr(), 0, 1) };
        tiles
    }

    #[track_caller]
    fn check(got: &[f32], rows: usize, expected: &[f32], strict: bool) {
        let expected = in_panels(rows, expected);
        assert!(distance(got, &expected) < 3e-4, "{rows} {strict}: {}", distance(got, &expected));
        assert!(!strict || same_bits(got, &expected), "{rows}");
    }

    #[test]
    fn factors_and_results_may_be_in_panels() {
        for (m, k, n) in SIZES {
            for share in [1.0, 0.1] {
                let (b, zeros) = (random(k * n, 2), spikes(m * k, share));
                let a: Vec<f32> = random(m * k, 1).iter().zip(&zeros).map(|(a, z)| a * z).collect();
                let tiles = tiled(&b, k, n);
                let mut expected = vec![0.0; m * n];
                reference::matmul((m, k, n), (&a, k, 1), (&b, n, 1), (&mut expected, n), false);
                let (row, gap) = (PANEL as i64, (m * PANEL) as u64);
                let turned = in_panels(m, &a);
                for (kernel, strict) in
                    [(snn_matmul_tiled_fast as TiledFn, false), (snn_matmul_tiled_strict, true)]
                {
                    for (a, a_rs, a_gap) in [(&turned, row, gap), (&a, k as i64, PANEL as u64)] {
                        let mut c = vec![f32::NAN; m * n];
                        let [m_, k_, n_] = [m, k, n].map(|s| s as u64);
                        let (b, tiles, to) = (b.as_ptr(), tiles.as_ptr(), c.as_mut_ptr());
                        // SAFETY: the slices have the lengths that sizes and strides say.
                        unsafe {
                            kernel(
                                m_,
                                k_,
                                n_,
                                a.as_ptr(),
                                a_rs,
                                1,
                                a_gap,
                                b,
                                n as i64,
                                1,
                                tiles,
                                to,
                                row,
                                gap,
                            )
                        };
                        check(&c, m, &expected, strict);
                    }
                }
            }
        }
    }

    #[test]
    fn products_of_spikes_may_go_to_panels() {
        for (m, k, n) in SIZES {
            for share in [0.04, 0.15, 0.7] {
                let (a, b) = (spikes(m * k, share), random(k * n, 2));
                let (bits, tiles) = (packed(&a, k), tiled(&b, k, n));
                let mut expected = vec![0.0; m * n];
                reference::matmul((m, k, n), (&a, k, 1), (&b, n, 1), (&mut expected, n), false);
                for strict in [false, true] {
                    for tiles in [tiles.as_ptr(), std::ptr::null()] {
                        let kernel = if strict { snn_matmul_spikes_strict } else { snn_matmul_spikes_fast };
                        let mut c = vec![f32::NAN; m * n];
                        let [m_, k_, n_] = [m, k, n].map(|s| s as u64);
                        let (a, b, to) = (bits.as_ptr(), b.as_ptr(), c.as_mut_ptr());
                        let gap = (m * PANEL) as u64;
                        // SAFETY: the slices have the lengths that sizes and strides say.
                        unsafe { kernel(m_, k_, n_, a, 0, b, n as i64, 1, tiles, to, PANEL as i64, gap) };
                        check(&c, m, &expected, strict);
                    }
                }
            }
        }
    }

    /// Weight gradients of three shards with spikes (few, or many) or numbers, and products of each shard.
    #[test]
    fn products_over_shards_know_panels() {
        for (k, m, n) in SIZES {
            for (share, is_spikes) in [(0.1, true), (0.6, true), (0.1, false)] {
                let a_floats = if is_spikes { 2 * turned_words(k, m) } else { m * k };
                let stride = (a_floats + k * n).next_multiple_of(16);
                let (mut memory, mut expected) = (Vec::new(), vec![0.0; m * n]);
                for shard in 0..3 {
                    let all = spikes(3 * m * k, share);
                    let a = &all[shard * m * k..][..m * k];
                    let b = random(k * n, 3 + shard as u64);
                    let left: Vec<f32> = (0..m * k).map(|at| a[(at % k) * m + at / k]).collect();
                    let mut product = vec![0.0; m * n];
                    reference::matmul((m, k, n), (&left, k, 1), (&b, n, 1), (&mut product, n), false);
                    expected.iter_mut().zip(&product).for_each(|(sum, p)| *sum += p);
                    if is_spikes {
                        let mut turned = vec![0u64; turned_words(k, m)];
                        // SAFETY: k rows of m bits, and room for m of k.
                        unsafe {
                            snn_turn_spikes(k as u64, m as u64, packed(a, m).as_ptr(), turned.as_mut_ptr())
                        };
                        let halves = turned.iter().flat_map(|w| [*w as u32, (*w >> 32) as u32]);
                        memory.extend(halves.map(f32::from_bits));
                    } else {
                        memory.extend_from_slice(a);
                    }
                    memory.extend(in_panels(k, &b));
                    memory.resize((shard + 1) * stride, 0.0);
                }
                let memory = AlignedBuf::copy_of(&memory).unwrap();
                for strict in [false, true] {
                    let kernel = if strict { snn_matmul_shards_strict } else { snn_matmul_shards_fast };
                    let mut c = vec![f32::NAN; m * n];
                    for part in 0..PARTS as u64 {
                        let (a, to) = (memory[..].as_ptr(), c.as_mut_ptr());
                        let ([m_, k_, n_], one) = ([m, k, n].map(|s| s as u64), u64::from(is_spikes));
                        let (row, gap) = (PANEL as i64, (k * PANEL) as u64);
                        // SAFETY: shards of A and B lie `stride` floats apart; C is as large as it is said to be.
                        unsafe {
                            let b = a.add(a_floats);
                            kernel(m_, k_, n_, a, one, 1, m as i64, b, row, gap, to, part, 3, stride as u64);
                        }
                    }
                    assert!(distance(&c, &expected) < 1e-3, "{m} {k} {n} {share} {is_spikes} {strict}");
                    assert!(!strict || same_bits(&c, &expected), "{m} {k} {n} {share} {is_spikes}");
                }
            }
        }
    }

    #[test]
    fn products_of_each_shard_may_go_to_panels() {
        for (m, k, n) in SIZES {
            let stride = (m * k + m * n).next_multiple_of(16);
            let (b, mut memory) = (random(k * n, 2), vec![0.0; 2 * stride]);
            let tiles = tiled(&b, k, n);
            memory.chunks_mut(stride).for_each(|shard| shard[..m * k].copy_from_slice(&random(m * k, 5)));
            let mut expected = vec![0.0; m * n];
            reference::matmul((m, k, n), (&memory[..m * k], k, 1), (&b, n, 1), (&mut expected, n), false);
            for strict in [false, true] {
                let kernel = if strict { snn_matmul_each_strict } else { snn_matmul_each_fast };
                for part in 0..PARTS as u64 {
                    let a = memory.as_mut_ptr();
                    let ([m_, k_, n_], b) = ([m, k, n].map(|s| s as u64), b.as_ptr());
                    let (row, gap, tiles) = (PANEL as i64, (m * PANEL) as u64, tiles.as_ptr());
                    // SAFETY: A and C of the shards lie `stride` floats apart.
                    unsafe {
                        let c = a.add(m * k);
                        kernel(
                            m_,
                            k_,
                            n_,
                            a,
                            k as i64,
                            b,
                            n as i64,
                            1,
                            tiles,
                            c,
                            row,
                            gap,
                            part,
                            2,
                            stride as u64,
                        );
                    }
                }
                for shard in memory.chunks(stride) {
                    check(&shard[m * k..][..m * n], m, &expected, strict);
                }
            }
        }
    }
}
