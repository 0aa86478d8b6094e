//! How large tables lie in memory.
//!
//! A lookup in a table of a million sessions misses the cache, and where pages are small it misses the
//! processor's table of pages as well, which under a hypervisor costs as much again.

/// The size of a huge page. Multiples of it begin small pages too, whatever their size.
#[cfg(target_os = "linux")]
const HUGE: usize = 2 << 20;

/// Asks the system for huge pages under what a vector has room for, and to provide them now. Whatever
/// it makes of that, the vector is as it was.
pub(crate) fn provide<T>(room: &mut Vec<T>) {
    let bytes = room.capacity() * size_of::<T>();
    ask(room.as_mut_ptr().cast(), bytes);
}

#[cfg(target_os = "linux")]
fn ask(start: *mut u8, bytes: usize) {
    let lead = start.align_offset(HUGE);
    let Some(bytes) = bytes.checked_sub(lead).map(|rest| rest / HUGE * HUGE) else {
        return;
    };
    if bytes == 0 {
        return;
    }
    let start = start.wrapping_add(lead).cast();
    // SAFETY: the range lies within an allocation that the caller has a unique reference to, and
    // neither request changes what can be read there: they are about the pages underneath.
    unsafe {
        libc::madvise(start, bytes, libc::MADV_HUGEPAGE);
        libc::madvise(start, bytes, libc::MADV_POPULATE_WRITE);
    }
}

#[cfg(not(target_os = "linux"))]
fn ask(_: *mut u8, _: usize) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_vector_holds_stays_as_it_is() {
        for count in [0, 1, 1000, 1 << 20] {
            let mut values = Vec::with_capacity(2 * count);
            values.extend(0..count as u64);
            provide(&mut values);
            assert!(values.iter().copied().eq(0..count as u64));
            values.extend(0..count as u64);
            assert_eq!(values.len(), 2 * count);
        }
    }
}
