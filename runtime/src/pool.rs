//! A fixed set of threads that run numbered jobs, denormals flushed to zero. No queue of its own, no work splitting.

use std::marker::PhantomData;
use std::num::NonZero;

use rayon::prelude::*;

use crate::error::{Result, RuntimeError};

/// Threads for the shards of a batch. Results never depend on how many there are.
#[derive(Debug)]
pub struct Pool {
    /// None: everything runs on the calling thread.
    workers: Option<rayon::ThreadPool>,
    threads: usize,
}

impl Pool {
    /// A pool of `threads` threads; 0 means as many as the machine offers. E0908 if they cannot be started.
    pub fn new(threads: usize) -> Result<Pool> {
        let threads = match threads {
            0 => std::thread::available_parallelism().map_or(1, NonZero::get),
            n => n,
        };
        if threads == 1 {
            return Ok(Pool { workers: None, threads });
        }
        let workers = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|idx| format!("snn-{idx}"))
            .build()
            .map_err(|error| {
                RuntimeError::new("E0908", format!("cannot start {threads} threads: {error}"))
            })?;
        Ok(Pool { workers: Some(workers), threads })
    }

    /// The calling thread alone.
    pub const fn alone() -> Pool {
        Pool { workers: None, threads: 1 }
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Runs `job(0)` … `job(count - 1)`, each once, in any order, and returns when all are done. Inside a job denormals
    /// are zero. A panic in a job reaches the caller.
    pub fn run(&self, count: usize, job: impl Fn(usize) + Sync) {
        self.run_by_worker(count, |idx, _| job(idx));
    }

    /// As [`Pool::run`]; a job also gets the number of its thread, below [`Pool::threads`], which no other job has meanwhile.
    pub fn run_by_worker(&self, count: usize, job: impl Fn(usize, usize) + Sync) {
        let flushed = |idx, worker| {
            let _guard = FlushDenormals::enter();
            job(idx, worker);
        };
        match &self.workers {
            Some(workers) if count > 1 => workers.install(|| {
                let of_thread = |idx| flushed(idx, rayon::current_thread_index().unwrap_or(0));
                (0..count).into_par_iter().with_max_len(1).for_each(of_thread);
            }),
            _ => (0..count).for_each(|idx| flushed(idx, 0)),
        }
    }
}

/// While it lives, this thread reads and writes denormal f32 and f64 as zero; then the mode is as it was before.
///
/// A potential that decays gets stuck at 6e-45 and makes every step ten times slower; no model means such numbers. The
/// interpreter enters the same mode, so that it gives the same bits as generated code.
pub struct FlushDenormals {
    before: u64,
    /// The mode belongs to the thread that set it.
    _not_send: PhantomData<*const ()>,
}

impl FlushDenormals {
    /// Sets the mode. On other architectures than x86-64 and AArch64 nothing happens.
    pub fn enter() -> FlushDenormals {
        let before = mode();
        set_mode(before | FLUSH_BITS);
        FlushDenormals { before, _not_send: PhantomData }
    }
}

impl Drop for FlushDenormals {
    fn drop(&mut self) {
        set_mode(self.before);
    }
}

/// FTZ (bit 15) and DAZ (bit 6) of MXCSR.
#[cfg(target_arch = "x86_64")]
const FLUSH_BITS: u64 = 0x8040;
/// FZ (bit 24) of FPCR.
#[cfg(target_arch = "aarch64")]
const FLUSH_BITS: u64 = 1 << 24;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const FLUSH_BITS: u64 = 0;

#[cfg(target_arch = "x86_64")]
fn mode() -> u64 {
    let mut mxcsr = 0u32;
    // SAFETY: stores the 4 bytes of MXCSR to a local.
    unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &mut mxcsr, options(nostack, preserves_flags)) }
    u64::from(mxcsr)
}

#[cfg(target_arch = "x86_64")]
fn set_mode(mode: u64) {
    let mxcsr = mode as u32;
    // SAFETY: the value is what `mode` read, but for FTZ and DAZ, which every x86-64 processor has; exceptions stay masked.
    unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &mxcsr, options(nostack, preserves_flags)) }
}

#[cfg(target_arch = "aarch64")]
fn mode() -> u64 {
    let fpcr: u64;
    // SAFETY: reads a register.
    unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) fpcr, options(nomem, nostack, preserves_flags)) }
    fpcr
}

#[cfg(target_arch = "aarch64")]
fn set_mode(mode: u64) {
    // SAFETY: the value is what `mode` read, but for FZ; rounding and traps stay.
    unsafe { std::arch::asm!("msr fpcr, {}", in(reg) mode, options(nostack, preserves_flags)) }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn mode() -> u64 {
    0
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn set_mode(_: u64) {}

#[cfg(test)]
mod tests {
    use std::hint::black_box;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[test]
    fn each_job_runs_once_for_any_number_of_threads() {
        for threads in [1, 2, 3] {
            let pool = Pool::new(threads).unwrap();
            assert_eq!(pool.threads(), threads);
            for count in [0, 1, 2, 17] {
                let hits: Vec<AtomicU32> = (0..count).map(|_| AtomicU32::new(0)).collect();
                pool.run(count, |idx| {
                    hits[idx].fetch_add(1, Ordering::Relaxed);
                });
                assert!(hits.iter().all(|hit| hit.load(Ordering::Relaxed) == 1));
            }
        }
        assert!(Pool::new(0).unwrap().threads() >= 1);
    }

    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[test]
    fn jobs_flush_denormals_and_the_caller_does_not() {
        let tiny = || black_box(f32::MIN_POSITIVE) * black_box(0.25);
        assert!(tiny() > 0.0);
        for threads in [1, 2] {
            let kept = AtomicU32::new(0);
            Pool::new(threads).unwrap().run(8, |_| {
                kept.fetch_add(u32::from(tiny() > 0.0), Ordering::Relaxed);
            });
            assert_eq!(kept.into_inner(), 0);
        }
        assert!(tiny() > 0.0);
    }

    #[test]
    fn a_panic_reaches_the_caller_and_restores_the_mode() {
        for threads in [1, 2] {
            let pool = Pool::new(threads).unwrap();
            let before = mode();
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                pool.run(4, |idx| assert!(idx != 2, "job 2"));
            }));
            assert!(result.is_err());
            assert_eq!(mode() & FLUSH_BITS, before & FLUSH_BITS);
        }
    }
}
