//! Products of spikes against the reference, bit by bit where the order of sums is the same.

use super::*;
use crate::kernels::bits::*;
use crate::kernels::reference;
use crate::kernels::tiles::{snn_tile_columns, tiled_floats};
use crate::rng;

pub(in crate::kernels) fn random(len: usize, stream: u64) -> Vec<f32> {
    let mut values = vec![0.0; len];
    rng::gaussian_row(&mut values, 1, stream, 0, 0);
    values
}

/// 0 and 1.
pub(in crate::kernels) fn spikes(len: usize, share: f32) -> Vec<f32> {
    let mut draws = vec![0.0; len];
    rng::uniform_row(&mut draws, 2, 9, 0, 0);
    draws.iter().map(|u| if *u < share { 1.0 } else { 0.0 }).collect()
}

/// Rows of `k` numbers as bits; the bits beyond are set, since they mean nothing.
pub(in crate::kernels) fn packed(values: &[f32], k: usize) -> Vec<u64> {
    let mut bits = Vec::new();
    for row in values.chunks(k) {
        let mut floats = vec![0.0; 2 * words(k)];
        assert!(pack(row, &mut floats));
        let word = |pair: &[f32; 2]| u64::from(pair[0].to_bits()) | u64::from(pair[1].to_bits()) << 32;
        let mut words_of_row: Vec<u64> = floats.as_chunks::<2>().0.iter().map(word).collect();
        if !k.is_multiple_of(64) {
            *words_of_row.last_mut().unwrap() |= u64::MAX << (k % 64);
        }
        bits.extend(words_of_row);
    }
    bits
}

pub(in crate::kernels) const SIZES: [(usize, usize, usize); 8] = [
    (64, 300, 64),
    (33, 1500, 100),
    (16, 256, 256),
    (9, 2100, 40),
    (1, 64, 32),
    (3, 1, 1),
    (200, 130, 10),
    (5, 1024, 33),
];

pub(in crate::kernels) fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

pub(in crate::kernels) fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
}

#[test]
fn products_are_those_of_the_reference() {
    for (m, k, n) in SIZES {
        for share in [0.0, 0.03, 0.15, 0.6] {
            for transposed in [false, true] {
                for b_columns in [false, true] {
                    let a = spikes(m * k, share);
                    let (a_rs, a_cs) = if transposed { (1, m) } else { (k, 1) };
                    let (b_rs, b_cs) = if b_columns { (1, k) } else { (n, 1) };
                    let b = random(k * n, 3);
                    let mut expected = vec![0.0; m * n];
                    let (left, right) = ((&a[..], a_rs, a_cs), (&b[..], b_rs, b_cs));
                    reference::matmul((m, k, n), left, right, (&mut expected, n), false);
                    let bits = packed(&a, if transposed { m } else { k });
                    for kernel in [snn_matmul_spikes_fast as SpikesFn, snn_matmul_spikes_strict] {
                        let mut c = vec![f32::NAN; m * n];
                        let (size, is) = ([m, k, n].map(|s| s as u64), |x: usize| x as i64);
                        // SAFETY: the slices have the lengths that sizes and strides say.
                        unsafe {
                            let (t, to) = (u64::from(transposed), c.as_mut_ptr());
                            let (b, rs, cs) = (b.as_ptr(), is(b_rs), is(b_cs));
                            let none = std::ptr::null();
                            kernel(
                                size[0],
                                size[1],
                                size[2],
                                bits.as_ptr(),
                                t,
                                b,
                                rs,
                                cs,
                                none,
                                to,
                                is(n),
                                32,
                            );
                            let swapped = u64::from(b_columns);
                            let mut tiles = vec![f32::NAN; tiled_floats(k, n)];
                            (0..2).for_each(|part| {
                                snn_tile_columns(size[1], size[2], swapped, b, tiles.as_mut_ptr(), part, 2)
                            });
                            let (from_rows, to) = (c.clone(), c.as_mut_ptr());
                            let (bits, tiles) = (bits.as_ptr(), tiles.as_ptr());
                            kernel(size[0], size[1], size[2], bits, t, b, rs, cs, tiles, to, is(n), 32);
                            let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-4;
                            assert!(c.iter().zip(&from_rows).all(close), "another way to the same sums");
                        }
                        let strict = kernel as usize == snn_matmul_spikes_strict as *const () as usize;
                        let what = format!("{m} {k} {n}, {share}, {transposed} {b_columns} {strict}");
                        assert!(distance(&c, &expected) < 3e-4, "{what}");
                        assert!(!strict || same_bits(&c, &expected), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn every_vector_width_gives_the_same_bits() {
    let (m, k, n) = (20, 1300, 70);
    let (a, b) = (spikes(m * k, 0.1), random(k * n, 3));
    let bits = packed(&a, k);
    let rows = Rows { bits: bits.as_ptr(), m, k };
    let run = |tiles: unsafe fn(&mut Scratch, Rows, Ready, &Product), piece: usize| {
        let mut c = vec![0.0; m * n];
        let p = Product::new(
            (m as u64, k as u64, n as u64),
            (b.as_ptr(), k as i64, 1),
            (b.as_ptr(), n as i64, 1),
            (c.as_mut_ptr(), n as i64),
        );
        let entries = Vec::with_capacity(m * k + SLACK);
        let mut scratch = Scratch { entries, piece, ..Scratch::default() };
        let ready = Ready { lists: None, tiles: std::ptr::null(), after: std::ptr::null() };
        // SAFETY: the slices have the lengths that sizes and strides say, and the features were asked for.
        unsafe { tiles(&mut scratch, rows, ready, &p) };
        c
    };
    let plain = run(Scratch::tiles::<f32, 1>, DEPTH);
    assert!(plain.iter().any(|x| *x != 0.0));
    assert_eq!(plain, run(Scratch::tiles::<f32, 2>, DEPTH), "columns are independent");
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("bmi1") {
            assert_eq!(plain, run(Scratch::tiles_avx2, DEPTH));
        }
        if is_x86_feature_detected!("avx512f") {
            // Four sums instead of two; one tile at once, or two of a shorter piece.
            for piece in [DEPTH, PIECE] {
                let wide = run(Scratch::tiles_avx512, piece);
                assert!(plain.iter().zip(wide).all(|(a, b)| (a - b).abs() < 1e-4));
            }
        }
    }
}

#[test]
fn other_numbers_than_0_and_1_are_noticed() {
    let mut values = vec![0.0, 1.0, -0.0, 1.0];
    values.resize(70, 1.0);
    let mut bits = vec![0.0; 4];
    assert!(pack(&values, &mut bits));
    assert_eq!(bits[0].to_bits() & 0xf, 0b1010);
    values[69] = 0.5;
    assert!(!pack(&values, &mut bits));
}

#[test]
fn packing_and_transposing_keep_every_spike() {
    for (rows, k) in [(1, 1), (64, 64), (65, 130), (7, 200), (400, 3)] {
        let values = spikes(rows * k, 0.4);
        let bits = packed(&values, k);
        let mut turned = vec![u64::MAX; k * words(rows)];
        transpose(rows, k, &bits, &mut turned);
        for i in 0..rows {
            for j in 0..k {
                let bit = turned[j * words(rows) + i / 64] >> (i % 64) & 1;
                assert_eq!(bit as f32, values[i * k + j], "{rows} x {k}: {i}, {j}");
            }
        }
    }
}

#[test]
fn lists_and_exchanged_axes_are_the_same_at_every_width() {
    for (m, k) in [(1, 1), (70, 65), (33, 1100), (200, 130)] {
        for share in [0.0, 0.05, 0.6] {
            let words_of_row = words(k);
            let mut bits = vec![0u64; m * words_of_row];
            for (at, spike) in spikes(m * k, share).iter().enumerate() {
                bits[at / k * words_of_row + at % k / 64] |= (*spike as u64) << (at % k % 64);
            }
            let rows = Rows { bits: bits.as_ptr(), m, k };
            for k0 in (0..k).step_by(DEPTH) {
                let list = |wide: bool| {
                    let (mut entries, mut ends) = (vec![0u16; m * k + SLACK], vec![0; m]);
                    let to = entries.as_mut_ptr();
                    // SAFETY: room for all spikes and the slack.
                    let count = unsafe {
                        match wide {
                            true => rows.list(k0, DEPTH, to, 0, &mut ends),
                            false => rows.list_words(k0, DEPTH, to, 0, &mut ends, put_places),
                        }
                    };
                    entries.truncate(count);
                    (entries, ends)
                };
                assert_eq!(list(true), list(false));
            }
            let (mut wide, mut plain) = (vec![0; k * words(m)], vec![0; k * words(m)]);
            transpose(m, k, &bits, &mut wide);
            transpose_blocks(m, k, &bits, &mut plain);
            assert_eq!(wide, plain);
        }
    }
}
