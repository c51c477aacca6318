//! Counter-based random numbers: every draw is a function of where it is, not of when. No global state, no clock.
//!
//! A number is named by a *key* (seed, purpose, call), a *stream* (a place in the program), a step, a sample and an index.
//! Each block of four words is Philox4x32-10 (Salmon et al. 2011) of
//!
//! ```text
//! counter = [index / 4, sample mod 2^32, step mod 2^32, kind]     kind: 0 uniform, 1 gaussian
//! key     = the two halves of mix(key ^ mix(stream)), low word first
//! ```
//!
//! and element `n` takes word `n % 4`. Evaluation order, threads and batch size therefore cannot matter.

use crate::math;

/// Counter word that keeps uniform draws apart from gaussian ones of the same stream.
pub const KIND_UNIFORM: u32 = 0;
/// See [`KIND_UNIFORM`].
pub const KIND_GAUSSIAN: u32 = 1;

/// Multipliers of the two halves of a Philox round.
pub(crate) const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// What is added to the key after each round.
pub(crate) const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Philox4x32 with ten rounds: four random words of a counter and a key.
pub fn philox(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..10 {
        let a = u64::from(MULTIPLIERS[0]) * u64::from(c0);
        let b = u64::from(MULTIPLIERS[1]) * u64::from(c2);
        (c0, c1, c2, c3) = ((b >> 32) as u32 ^ c1 ^ k0, b as u32, (a >> 32) as u32 ^ c3 ^ k1, a as u32);
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// The finalizer of splitmix64: a bijection in which every input bit reaches every output bit.
pub fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    x ^ (x >> 31)
}

/// The stream of a place in the program or of a purpose, by its path (FNV-1a, 64 bits).
pub fn stream(path: &str) -> u64 {
    path.bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}

/// The key of call number `call` for `purpose` (a [`stream`]) of the run with `seed`.
pub fn key(seed: u64, purpose: u64, call: u64) -> u64 {
    mix(mix(mix(seed) ^ purpose) ^ call)
}

/// The two key words of Philox for a key and a stream.
pub fn philox_key(key: u64, stream: u64) -> [u32; 2] {
    let mixed = mix(key ^ mix(stream));
    [mixed as u32, (mixed >> 32) as u32]
}

/// The upper 24 bits of a word as a number in [0, 1), exact.
#[inline(always)]
pub fn unit(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}

/// Uniform numbers in [0, 1) for the elements 0 … of one sample and step.
pub fn uniform_row(dst: &mut [f32], key: u64, stream: u64, step: u64, sample: u64) {
    let key = philox_key(key, stream);
    for (block, chunk) in dst.chunks_mut(4).enumerate() {
        let words = philox([block as u32, sample as u32, step as u32, KIND_UNIFORM], key);
        for (value, word) in chunk.iter_mut().zip(words) {
            *value = unit(word);
        }
    }
}

/// Standard normal numbers for the elements 0 … of one sample and step; words 2i and 2i + 1 make a pair.
pub fn gaussian_row(dst: &mut [f32], key: u64, stream: u64, step: u64, sample: u64) {
    let key = philox_key(key, stream);
    for (block, chunk) in dst.chunks_mut(4).enumerate() {
        let w = philox([block as u32, sample as u32, step as u32, KIND_GAUSSIAN], key);
        let [a, b] = gaussian_pair(w[0], w[1]);
        let [c, d] = gaussian_pair(w[2], w[3]);
        chunk.copy_from_slice(&[a, b, c, d][..chunk.len()]);
    }
}

/// Two independent standard normal numbers of two words (Box and Muller 1958). At most 5.77 away from 0.
///
/// Only f32 operations and no branches, so that the kernel that fills rows is this function in many lanes.
#[inline(always)]
pub fn gaussian_pair(a: u32, b: u32) -> [f32; 2] {
    // In (0, 1], so that the logarithm is finite; both steps are exact.
    let u = ((a >> 8) + 1) as f32 * (1.0 / 16_777_216.0);
    let radius = (-2.0 * math::ln(u)).sqrt();
    let (sin, cos) = turn(unit(b));
    [radius * cos, radius * sin]
}

/// Sine and cosine of 2πu for u in [0, 1): quarter turns by [`math::MAGIC`], Moshier's polynomials for the rest.
#[inline(always)]
fn turn(u: f32) -> (f32, f32) {
    let quarters = u * 4.0;
    let rounded = quarters + math::MAGIC;
    let a = (quarters - (rounded - math::MAGIC)) * std::f32::consts::FRAC_PI_2;
    let quadrant = rounded.to_bits();
    let z = a * a;
    let s = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * a + a;
    let c = ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
    let (s, c) = if quadrant & 1 == 0 { (s, c) } else { (c, s) };
    let negate = |x: f32, sign: u32| f32::from_bits(x.to_bits() ^ (sign & 2) << 30);
    (negate(s, quadrant), negate(c, quadrant.wrapping_add(1)))
}

/// A random order of 0 … n-1 (Fisher and Yates): all orders are equally likely but for 2^-32 of rounding.
pub fn permutation(n: usize, key: u64) -> Vec<u32> {
    assert!(u32::try_from(n).is_ok(), "at most 2^32 - 1 elements");
    let mut order: Vec<u32> = (0..n as u32).collect();
    for last in (1..n).rev() {
        let words = philox([last as u32, 0, 0, 0], philox_key(key, 0));
        let word = u64::from(words[0]) << 32 | u64::from(words[1]);
        let pick = ((u128::from(word) * (last as u128 + 1)) >> 64) as usize;
        order.swap(pick, last);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_gives_the_published_answers() {
        let check = |counter, key, expected: [u32; 4]| assert_eq!(philox(counter, key), expected);
        check([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        check([!0; 4], [!0; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        check(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1],
        );
    }

    #[test]
    fn stream_is_fnv1a() {
        assert_eq!(stream(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(stream("a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(stream("foobar"), 0x8594_4171_f739_67e8);
    }

    #[test]
    fn mix_is_splitmix64() {
        assert_eq!(mix(0), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn streams_do_not_move_between_versions() {
        let mut row = [0.0; 6];
        uniform_row(&mut row, key(7, stream("train"), 3), stream("h.noise"), 5, 9);
        assert_eq!(row.map(f32::to_bits), EXPECTED_UNIFORM);
        gaussian_row(&mut row, key(7, stream("train"), 3), stream("h.noise"), 5, 9);
        assert_eq!(row.map(f32::to_bits), EXPECTED_GAUSSIAN);
        assert_eq!(permutation(8, 1), EXPECTED_PERMUTATION);
    }

    const EXPECTED_UNIFORM: [u32; 6] =
        [0x3F63_C7F0, 0x3E9B_926E, 0x3F1F_D7BA, 0x3ECF_A6E2, 0x3EA6_18B6, 0x3EAA_1038];
    const EXPECTED_GAUSSIAN: [u32; 6] =
        [0x3F56_0AF2, 0x3E22_07A5, 0x3FC5_DB35, 0x3DAF_1978, 0xBF70_F991, 0x3F8C_0CB2];
    const EXPECTED_PERMUTATION: [u32; 8] = [5, 6, 1, 7, 0, 3, 2, 4];

    #[test]
    fn a_prefix_of_a_row_is_the_row_of_the_prefix() {
        let (mut long, mut short) = ([0.0; 37], [0.0; 13]);
        for row in [uniform_row, gaussian_row] {
            row(&mut long, 1, 2, 3, 4);
            row(&mut short, 1, 2, 3, 4);
            assert_eq!(long[..13], short);
        }
    }

    #[test]
    fn every_coordinate_changes_the_row() {
        let draw = |key, stream, step, sample| {
            let mut row = [0.0; 4];
            uniform_row(&mut row, key, stream, step, sample);
            row
        };
        let base = draw(1, 1, 1, 1);
        for other in [draw(2, 1, 1, 1), draw(1, 2, 1, 1), draw(1, 1, 2, 1), draw(1, 1, 1, 2)] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let moments = |row: &[f32]| {
            let n = row.len() as f64;
            let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
            let central = |p| row.iter().map(|&x| (f64::from(x) - mean).powi(p)).sum::<f64>() / n;
            (mean, central(2), central(4))
        };
        let mut row = vec![0.0; 200_000];
        uniform_row(&mut row, 11, 0, 0, 0);
        assert!(row.iter().all(|x| (0.0..1.0).contains(x)));
        let (mean, variance, _) = moments(&row);
        assert!((mean - 0.5).abs() < 3e-3 && (variance - 1.0 / 12.0).abs() < 1e-3);
        gaussian_row(&mut row, 11, 0, 0, 0);
        let (mean, variance, fourth) = moments(&row);
        assert!(mean.abs() < 1e-2 && (variance - 1.0).abs() < 1e-2 && (fourth - 3.0).abs() < 0.1);
        let correlation = row.chunks_exact(2).map(|p| f64::from(p[0] * p[1])).sum::<f64>() / 100_000.0;
        assert!(correlation.abs() < 1e-2);
    }

    #[test]
    fn turns_are_sines_and_cosines() {
        for i in 0..100_000 {
            let u = i as f32 / 100_000.0;
            let (sin, cos) = turn(u);
            let (truth_sin, truth_cos) = (std::f64::consts::TAU * f64::from(u)).sin_cos();
            assert!(
                (f64::from(sin) - truth_sin).abs() < 2e-7 && (f64::from(cos) - truth_cos).abs() < 2e-7,
                "{u}"
            );
        }
    }

    #[test]
    fn gaussians_are_finite_at_the_ends() {
        for a in [0, !0] {
            for b in [0, !0] {
                assert!(gaussian_pair(a, b).iter().all(|x| x.abs() < 5.78));
            }
        }
    }

    #[test]
    fn permutations_are_complete_and_fair() {
        for n in [0, 1, 2, 3, 100] {
            let mut order = permutation(n, 5);
            order.sort_unstable();
            assert_eq!(order, (0..n as u32).collect::<Vec<_>>());
        }
        let mut firsts = [0; 6];
        for key in 0..6000 {
            firsts[permutation(6, key)[0] as usize] += 1;
        }
        assert!(firsts.iter().all(|&n| (850..1150).contains(&n)), "{firsts:?}");
    }
}
