//! Memory of a program: zeroed, 64-byte aligned buffers of f32. No knowledge of what lies in them.
//!
//! A buffer that cannot be had is an error with its size, never an abort.

use std::alloc::{Layout, alloc, dealloc};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::error::{Result, RuntimeError};

/// Alignment in bytes of every buffer: a cache line, the widest vector.
pub const ALIGN: usize = 64;

/// A fixed number of f32, aligned to [`ALIGN`], zero at first. Behaves like a slice.
pub struct AlignedBuf {
    start: NonNull<f32>,
    len: usize,
}

// SAFETY: the buffer owns its memory alone, like `Box<[f32]>`.
unsafe impl Send for AlignedBuf {}
// SAFETY: shared access only reads, like `Box<[f32]>`.
unsafe impl Sync for AlignedBuf {}

impl AlignedBuf {
    /// `len` zeros. E0908 if there is not that much memory.
    pub fn zeroed(len: usize) -> Result<AlignedBuf> {
        if len == 0 {
            // Dangling but aligned: generated code may compute with it and never reads it.
            let start = NonNull::<Line>::dangling().cast();
            return Ok(AlignedBuf { start, len });
        }
        let layout = layout(len).ok_or_else(|| out_of_memory(len))?;
        // SAFETY: the layout is not empty.
        let start = unsafe { alloc(layout) };
        let start = NonNull::new(start.cast::<f32>()).ok_or_else(|| out_of_memory(len))?;
        if layout.align() == PAGE {
            advise_large_pages(start, layout.size());
        }
        // SAFETY: memory of that many floats, of which nobody else knows.
        unsafe { start.write_bytes(0, len) };
        Ok(AlignedBuf { start, len })
    }

    /// A copy of a slice.
    pub fn copy_of(values: &[f32]) -> Result<AlignedBuf> {
        let mut buf = AlignedBuf::zeroed(values.len())?;
        buf.copy_from_slice(values);
        Ok(buf)
    }

    /// Its first element, for generated code.
    pub fn as_mut_ptr(&mut self) -> *mut f32 {
        self.start.as_ptr()
    }
}

/// For the alignment of the dangling pointer of an empty buffer.
#[repr(align(64))]
struct Line(#[allow(dead_code)] [u8; ALIGN]);

/// Bytes of a large page, on the processors and systems that have them.
const PAGE: usize = 2 << 20;
/// Pages from which a buffer is worth large ones: what it takes up in vain is then little.
const WORTHWHILE: usize = 2;

fn layout(len: usize) -> Option<Layout> {
    let bytes = len.checked_mul(4)?;
    Layout::from_size_align(bytes, if bytes >= WORTHWHILE * PAGE { PAGE } else { ALIGN }).ok()
}

/// Asks for large pages before the memory is touched. Tapes and weights are read across rows: with small pages, every few rows are
/// a page that the processor has to look up.
fn advise_large_pages(start: NonNull<f32>, bytes: usize) {
    #[cfg(target_os = "linux")]
    // SAFETY: an allocation of that many bytes that starts on a page. It is advice: where it is not taken nothing changes.
    unsafe {
        libc::madvise(start.as_ptr().cast(), bytes / PAGE * PAGE, libc::MADV_HUGEPAGE);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (start, bytes);
}

fn out_of_memory(len: usize) -> RuntimeError {
    let gigabytes = len as f64 * 4e-9;
    RuntimeError::new("E0908", format!("not enough memory: {gigabytes:.1} GB are not available")).help(
        "a smaller batch, fewer steps or fewer neurons need less; `snnc check --memory` shows what a program needs",
    )
}

impl Drop for AlignedBuf {
    fn drop(&mut self) {
        if self.len > 0 {
            let layout = layout(self.len).expect("it was valid when the buffer was made");
            // SAFETY: allocated in `zeroed` with the same layout, and dropped once.
            unsafe { dealloc(self.start.as_ptr().cast(), layout) }
        }
    }
}

impl Deref for AlignedBuf {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: `len` initialized f32 (zero is one) that live as long as `self`.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`; `self` is borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len) }
    }
}

impl std::fmt::Debug for AlignedBuf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AlignedBuf({} floats)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_zero() {
        for len in [0, 1, 15, 16, 1000] {
            let mut buf = AlignedBuf::zeroed(len).unwrap();
            assert_eq!(buf.as_mut_ptr() as usize % ALIGN, 0);
            assert_eq!(buf.len(), len);
            assert!(buf.iter().all(|&x| x == 0.0));
            buf.fill(2.0);
            assert_eq!(buf.iter().sum::<f32>(), 2.0 * len as f32);
        }
        assert_eq!(AlignedBuf::copy_of(&[1.0, 2.0]).unwrap()[..], [1.0, 2.0]);
    }

    #[test]
    fn too_much_is_an_error_with_its_size() {
        for len in [usize::MAX, usize::MAX / 4, 1 << 60] {
            let error = AlignedBuf::zeroed(len).unwrap_err();
            assert_eq!(error.code, "E0908");
            assert!(error.message.contains(&format!("{:.1} GB", len as f64 * 4e-9)), "{error}");
        }
    }
}
