//! Rows of bytes, looked at and written sixteen at a time where the machine can.

use std::sync::atomic::Ordering;

use super::{imp, spoil, window};
use wide::{any_positive, fill, seen, write};

/// A zeroed array of `N` bytes; relaxed where nothing else is said, ordered by the `Word` operation
/// that hands them over.
#[derive(Debug)]
pub struct Bytes<const N: usize>(Box<[imp::AtomicU8; N]>);

impl<const N: usize> Bytes<N> {
    /// So many zero bytes. Memory comes from the allocator zeroed, so that pages of it which are
    /// never written cost address space only.
    #[cfg(not(loom))]
    pub(crate) fn zeroed() -> Self {
        let bytes: Box<[u8]> = vec![0u8; N].into_boxed_slice();
        // SAFETY: `AtomicU8` has the size, alignment and validity of `u8`, there are `N` of them,
        // and the box is unique.
        Bytes(unsafe { Box::from_raw(Box::into_raw(bytes).cast::<[imp::AtomicU8; N]>()) })
    }

    /// So many zero bytes.
    #[cfg(loom)]
    pub(crate) fn zeroed() -> Self {
        Bytes(Box::new(std::array::from_fn(|_| imp::AtomicU8::new(0))))
    }

    #[inline]
    pub(crate) fn get(&self, index: usize) -> u8 {
        self.0[index].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, index: usize, value: u8) {
        self.0[index].store(value, Ordering::Relaxed);
    }

    /// The byte, and whatever its writer did before he wrote it with [`publish`](Self::publish) or
    /// [`exchange`](Self::exchange).
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn acquire(&self, index: usize) -> u8 {
        window();
        self.0[index].load(Ordering::Acquire)
    }

    /// Writes a byte that is read with [`acquire`](Self::acquire): whoever reads it sees all that
    /// its writer did before. Nothing orders what the writer reads *afterwards*.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn publish(&self, index: usize, value: u8) {
        window();
        store!(self.0[index], value, Ordering::Release);
    }

    /// Writes a byte as [`publish`](Self::publish) does, in the total order of the `Word`
    /// operations: what its writer reads afterwards is no older.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn publish_ordered(&self, index: usize, value: u8) {
        window();
        self.0[index].swap(value, Ordering::SeqCst);
    }

    /// Compare-and-swap of one byte: who wins it may go on.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn exchange(&self, index: usize, old: u8, new: u8) -> bool {
        window();
        if spoil::is_due() {
            return false;
        }
        self.0[index]
            .compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// `M` bytes from `base` on, each as by a sequentially consistent load, in any order.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn snapshot<const M: usize>(&self, base: usize) -> [u8; M] {
        self.seen(base, |bytes: &[u8; M]| *bytes)
    }

    /// What somebody makes of such a [`snapshot`](Self::snapshot), which need not be copied for it.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline(always)]
    pub(crate) fn seen<const M: usize, T>(&self, base: usize, by: impl FnOnce(&[u8; M]) -> T) -> T {
        window();
        seen(&self.0[base..base + M], by)
    }

    /// Whether any of `M` bytes from `base` on is one of 1 to 127; each is read as by a sequentially
    /// consistent load, in any order.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    #[cfg_attr(natshard_failpoints, track_caller)]
    #[inline]
    pub(crate) fn any_positive<const M: usize>(&self, base: usize) -> bool {
        window();
        any_positive::<M>(&self.0[base..base + M])
    }

    /// Asks for the cache lines of `M` bytes from `base` on.
    #[inline]
    pub(crate) fn prefetch<const M: usize>(&self, base: usize) {
        for byte in self.0.iter().skip(base).take(M).step_by(64) {
            super::prefetch(byte);
        }
    }

    /// Sets `len` bytes from `base` on. Nobody else writes them meanwhile; a `Word` operation
    /// hands them over.
    pub(crate) fn fill(&self, base: usize, len: usize, value: u8) {
        fill(&self.0[base..base + len], value);
    }
}

/// A row of relaxed bytes with one writer, who hands them over with a `Word` or `Link`.
#[derive(Debug)]
pub struct Row<const N: usize>([imp::AtomicU8; N]);

impl<const N: usize> Default for Row<N> {
    fn default() -> Self {
        Row(std::array::from_fn(|_| imp::AtomicU8::new(0)))
    }
}

impl<const N: usize> Row<N> {
    #[inline]
    pub(crate) fn get(&self, index: usize) -> u8 {
        self.0[index].load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set(&self, index: usize, value: u8) {
        self.0[index].store(value, Ordering::Relaxed);
    }

    /// Writes all of it.
    #[inline]
    pub(crate) fn write(&self, values: &[u8; N]) {
        write(&self.0, values);
    }
}

/// Whether bytes are read and written sixteen at a time. A build whose tools see no further than
/// Rust's own atomics (a race detector) sets `--cfg natshard_portable`.
#[cfg(all(target_arch = "x86_64", not(loom), not(miri), not(natshard_portable)))]
mod wide {
    use super::imp::AtomicU8;
    use std::arch::asm;
    use std::arch::x86_64::{
        __m128i, _mm_cmpgt_epi8, _mm_movemask_epi8, _mm_or_si128, _mm_setzero_si128,
    };
    use std::sync::atomic::Ordering;

    /// See [`Bytes::seen`](super::Bytes::seen).
    #[inline(always)]
    pub(super) fn seen<const N: usize, T>(bytes: &[AtomicU8], by: impl FnOnce(&[u8; N]) -> T) -> T {
        assert!(bytes.len() == N && N.is_multiple_of(16));
        let mut copy = std::mem::MaybeUninit::<[u8; N]>::uninit();
        for at in (0..N).step_by(16) {
            // SAFETY: both places have sixteen bytes from `at` on, by the assertion, and `copy` is
            // this function's own, to be written. A vector load reads every byte once and whole, in some order,
            // and is ordered against the accesses before and after it as any other load. On x86-64
            // a sequentially consistent load is a plain load, so this does what sixteen of them
            // on these atomic bytes could have done.
            unsafe {
                asm!(
                    "movdqu {wide}, [{from}]",
                    "movdqu [{to}], {wide}",
                    from = in(reg) bytes.as_ptr().add(at),
                    to = in(reg) copy.as_mut_ptr().cast::<u8>().add(at),
                    wide = out(xmm_reg) _,
                    options(nostack, preserves_flags),
                );
            }
        }
        // SAFETY: every sixteen bytes of it were written.
        by(unsafe { copy.assume_init_ref() })
    }

    /// See [`Bytes::any_positive`](super::Bytes::any_positive).
    #[inline]
    pub(super) fn any_positive<const N: usize>(bytes: &[AtomicU8]) -> bool {
        assert!(bytes.len() == N && N.is_multiple_of(16));
        // SAFETY: every x86-64 processor has SSE2.
        let (zero, mut any) = unsafe { (_mm_setzero_si128(), _mm_setzero_si128()) };
        for at in (0..N).step_by(16) {
            let wide: __m128i;
            // SAFETY: there are sixteen bytes from `at` on, by the assertion; read as in `snapshot`.
            unsafe {
                asm!(
                    "movdqu {wide}, [{from}]",
                    from = in(reg) bytes.as_ptr().add(at),
                    wide = out(xmm_reg) wide,
                    options(nostack, preserves_flags, readonly),
                );
                any = _mm_or_si128(any, _mm_cmpgt_epi8(wide, zero));
            }
        }
        // SAFETY: as above.
        unsafe { _mm_movemask_epi8(any) != 0 }
    }

    /// See [`Row::write`](super::Row::write).
    #[inline]
    pub(super) fn write<const N: usize>(bytes: &[AtomicU8; N], values: &[u8; N]) {
        assert!(N.is_multiple_of(16));
        for at in (0..N).step_by(16) {
            // SAFETY: both arrays have sixteen bytes from `at` on, by the assertion. A vector store
            // writes every byte once and whole, as sixteen relaxed stores could have done.
            unsafe {
                asm!(
                    "movdqu {wide}, [{from}]",
                    "movdqu [{to}], {wide}",
                    from = in(reg) values.as_ptr().add(at),
                    to = in(reg) bytes.as_ptr().add(at),
                    wide = out(xmm_reg) _,
                    options(nostack, preserves_flags),
                );
            }
        }
    }

    /// See [`Bytes::fill`](super::Bytes::fill).
    #[inline]
    pub(super) fn fill(bytes: &[AtomicU8], value: u8) {
        let wide = [value; 16];
        let mut chunks = bytes.chunks_exact(16);
        for chunk in &mut chunks {
            // SAFETY: the chunk has sixteen bytes, `wide` too. A vector store writes every byte
            // once and whole, as sixteen relaxed stores to these atomic bytes could have done.
            unsafe {
                asm!(
                    "movdqu {wide}, [{from}]",
                    "movdqu [{to}], {wide}",
                    from = in(reg) wide.as_ptr(),
                    to = in(reg) chunk.as_ptr(),
                    wide = out(xmm_reg) _,
                    options(nostack, preserves_flags),
                );
            }
        }
        for byte in chunks.remainder() {
            byte.store(value, Ordering::Relaxed);
        }
    }
}

#[cfg(not(all(target_arch = "x86_64", not(loom), not(miri), not(natshard_portable))))]
mod wide {
    use super::imp::AtomicU8;
    use std::sync::atomic::Ordering;

    /// See [`Bytes::seen`](super::Bytes::seen).
    pub(super) fn seen<const N: usize, T>(bytes: &[AtomicU8], by: impl FnOnce(&[u8; N]) -> T) -> T {
        // In a model, one that changes nothing and writes nothing: no byte there says this.
        by(&std::array::from_fn(|at| load!(bytes[at], 0xfe)))
    }

    /// See [`Bytes::any_positive`](super::Bytes::any_positive).
    pub(super) fn any_positive<const N: usize>(bytes: &[AtomicU8]) -> bool {
        let mut bytes = bytes[..N].iter();
        bytes.any(|byte| (1..=127).contains(&load!(byte, 0)))
    }

    /// See [`Row::write`](super::Row::write).
    pub(super) fn write<const N: usize>(bytes: &[AtomicU8; N], values: &[u8; N]) {
        for (byte, &value) in bytes.iter().zip(values) {
            byte.store(value, Ordering::Relaxed);
        }
    }

    /// See [`Bytes::fill`](super::Bytes::fill).
    pub(super) fn fill(bytes: &[AtomicU8], value: u8) {
        for byte in bytes {
            byte.store(value, Ordering::Relaxed);
        }
    }
}
