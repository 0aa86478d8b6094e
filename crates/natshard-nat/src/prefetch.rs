//! Asking for memory ahead of its use.

/// Begins to fetch the cache line that a value begins in, where the processor can.
#[inline(always)]
pub(crate) fn line<T: ?Sized>(value: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let at = std::ptr::from_ref(value).cast();
        // SAFETY: the address is that of a live value, and a prefetch accesses nothing: it cannot
        // fault, and has no effect but on the cache.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
