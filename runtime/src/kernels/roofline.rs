//! What this machine can do at most: multiply-adds in registers, and bytes from each level of its memory. Measures for about a
//! fifth of a second; nothing else here takes the time.

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;
use std::time::Instant;

/// Limits of one thread.
#[derive(Clone, Debug)]
pub struct Roofline {
    /// Floating-point operations a second: multiply-adds of f32 in the widest vectors.
    pub operations: f64,
    /// Bytes of working set, and bytes a second that are read and written there, ascending.
    pub bandwidth: Vec<(f64, f64)>,
}

impl Roofline {
    /// Measures this machine.
    pub fn measure() -> Roofline {
        let sizes = [1 << 13, 1 << 17, 1 << 19, 1 << 21, 1 << 23, 1 << 25];
        Roofline {
            operations: best(|| fused(20_000)),
            bandwidth: sizes.map(|floats| (4.0 * floats as f64, bandwidth(floats))).to_vec(),
        }
    }

    /// Seconds that work of so many operations and bytes takes at least, with a working set of `footprint` bytes.
    pub fn seconds(&self, operations: f64, bytes: f64, footprint: f64) -> f64 {
        let level = self.bandwidth.iter().find(|(size, _)| *size >= footprint).or(self.bandwidth.last());
        let memory = level.map_or(0.0, |(_, rate)| bytes / rate);
        (operations / self.operations).max(memory)
    }
}

/// The largest of several measurements, in work a second.
fn best(mut work: impl FnMut() -> f64) -> f64 {
    let rates = (0..20).map(|_| {
        let start = Instant::now();
        let done = work();
        done / start.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}

/// `y = a x + y` over two arrays that together have `floats` numbers: bytes a second.
fn bandwidth(floats: usize) -> f64 {
    let (mut y, x) = (vec![0.0f32; floats / 2], vec![1.0f32; floats / 2]);
    let turns = (1 << 18) / floats + 1;
    best(|| {
        for _ in 0..turns {
            add(black_box(&mut y), black_box(&x));
        }
        (turns * floats) as f64 * 6.0
    })
}

/// Vectors for which there are enough chains that no multiply-add waits for the one before.
const CHAINS: usize = 12;

macro_rules! fused_in {
    ($name:ident, $features:literal, $lanes:literal, $splat:path, $fma:path) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $features)]
        fn $name(turns: usize) -> f64 {
            let mut sums = [$splat(1.0); CHAINS];
            let (a, b) = (black_box($splat(0.5)), black_box($splat(0.25)));
            for _ in 0..turns {
                // A closure would not have the vectors.
                for sum in &mut sums {
                    *sum = $fma(*sum, a, b);
                }
            }
            black_box(sums);
            (2 * turns * CHAINS * $lanes) as f64
        }
    };
}

fused_in!(fused_avx512, "avx512f", 16, _mm512_set1_ps, _mm512_fmadd_ps);
fused_in!(fused_avx2, "avx2,fma", 8, _mm256_set1_ps, _mm256_fmadd_ps);

/// Does multiply-adds that wait for nothing but themselves; gives how many operations.
fn fused(turns: usize) -> f64 {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature is there.
            return unsafe { fused_avx512(turns) };
        }
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            // SAFETY: the features are there.
            return unsafe { fused_avx2(turns) };
        }
    }
    let mut sums = [[1.0f32; 4]; CHAINS];
    let (a, b) = (black_box(0.5f32), black_box(0.25f32));
    for _ in 0..turns {
        sums = sums.map(|sum| sum.map(|x| a * x + b));
    }
    black_box(sums);
    (2 * turns * CHAINS * 4) as f64
}

/// `y = x / 2 + y`
fn add(y: &mut [f32], x: &[f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl")]
        fn wide(y: &mut [f32], x: &[f32]) {
            y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.5 * x);
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the features are there.
            return unsafe { wide(y, x) };
        }
    }
    y.iter_mut().zip(x).for_each(|(y, x)| *y += 0.5 * x);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slower_of_arithmetic_and_memory_is_the_limit() {
        let roofline = Roofline { operations: 10.0, bandwidth: vec![(100.0, 8.0), (1000.0, 2.0)] };
        assert_eq!(roofline.seconds(20.0, 8.0, 50.0), 2.0);
        assert_eq!(roofline.seconds(20.0, 32.0, 50.0), 4.0);
        assert_eq!(roofline.seconds(20.0, 32.0, 500.0), 16.0);
        assert_eq!(roofline.seconds(0.0, 32.0, 5000.0), 16.0);
    }

    #[test]
    fn a_machine_has_limits() {
        let roofline = Roofline::measure();
        assert!(roofline.operations > 1e8 && roofline.bandwidth.iter().all(|(_, rate)| *rate > 1e8));
    }
}
