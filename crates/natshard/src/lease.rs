//! The right to one public tuple.

use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::ptr::NonNull;
use std::sync::Arc;

use crate::block::PORTS;
use crate::fields::{join, join_long};
use crate::ground::Ground;
use crate::id::{PoolId, RealmId};
use crate::page::Page;
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::sync::fence;

/// Why a lease ends, which decides whether its port has to rest.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Reason {
    /// The session ended or expired: the port rests (RFC 6888 REQ-8).
    #[default]
    Ended,
    /// The tuple was never seen on the wire: it need not rest.
    Unused,
    /// The TCP connection was seen to close: it need not rest where the pool says so
    /// (RFC 6888 REQ-8 A, [`PoolConfig::reuse_closed`](crate::PoolConfig::reuse_closed)).
    Closed,
}

/// The pool lets closed connections' ports go without a rest.
pub(crate) const REUSE_CLOSED: u8 = 1;
const _: () = assert!(
    REUSE_CLOSED == 1,
    "the one flag that a plain lease may bear is the lowest"
);
/// The port is charged to the account whose number the lease bears.
pub(crate) const CHARGED: u8 = 2;
/// Its release is told; unless it is charged, the lease bears the number of its pool.
pub(crate) const TOLD: u8 = 4;
/// Either of them: the lease bears a number.
pub(crate) const NOTED: u8 = CHARGED + TOLD;

/// The right to one public tuple: given back exactly once, by
/// [`Burst::release`](crate::Burst::release) (fast) or by being dropped (slow, on any thread, at
/// any time, even after the engine is gone). It cannot be copied and so cannot be given back
/// twice (F3).
///
/// 16 bytes; holds no reference count.
#[must_use = "dropping a lease gives its port back, the slow way"]
pub struct Lease {
    /// Alive as long as one of its ports is leased.
    page: NonNull<Page>,
    word: LeaseWord,
}

/// What a lease knows beside its page: port in bits 0-15, tag in 16-23, flags in 24-31, and in
/// 32-63 a note of what the flags say: of a plain lease, which engine it is of. One word, so that a
/// lease travels in two registers and is loaded as it was stored.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct LeaseWord(u64);

impl LeaseWord {
    #[inline]
    pub(crate) const fn new(port: u16, tag: u8, flags: u8, engine: u32) -> Self {
        LeaseWord(join([
            port as u64,
            (tag as u64) << 16,
            (flags as u64) << 24,
            (engine as u64) << 32,
        ]))
    }

    /// What it says beside which port it is and whether that need rest when a connection closes:
    /// of a plain lease of an engine, [`plain_of`](Self::plain_of) that engine, and of no other.
    #[inline]
    const fn beyond_port(self) -> u64 {
        self.0 >> 25
    }

    /// See [`beyond_port`](Self::beyond_port).
    #[inline]
    pub(crate) const fn plain_of(engine: u32) -> u64 {
        LeaseWord::new(0, 0, 0, engine).beyond_port()
    }

    /// That of a port of the same block; of a word for the first port.
    #[inline]
    pub(crate) const fn with_port(self, port: usize) -> Self {
        LeaseWord(join([self.0, port as u64]))
    }

    /// With a tag, of a word that has none.
    #[inline]
    pub(crate) const fn with_tag(self, tag: u8) -> Self {
        LeaseWord(join([self.0, (tag as u64) << 16]))
    }

    #[inline]
    const fn port(self) -> u16 {
        self.0 as u16
    }

    #[inline]
    const fn tag(self) -> u8 {
        (self.0 >> 16) as u8
    }

    #[inline]
    const fn flags(self) -> u8 {
        (self.0 >> 24) as u8
    }

    #[inline]
    const fn note(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// With a further flag, and what that says.
    const fn noted(self, flag: u8, note: u32) -> Self {
        LeaseWord(join([
            self.0 as u32 as u64,
            (flag as u64) << 24,
            (note as u64) << 32,
        ]))
    }
}

const _: () = assert!(size_of::<Lease>() == 16);
const _: () = assert!(size_of::<Result<Lease, crate::AllocError>>() == 16);

// SAFETY: a lease refers to a page, which is `Send + Sync`, and owns one port of it.
unsafe impl Send for Lease {}
// SAFETY: as above; nothing can be changed through a shared reference.
unsafe impl Sync for Lease {}

impl Lease {
    /// The lease of a port that the caller has taken and hands over.
    pub(crate) fn new(page: &Page, port: u16, tag: u8, flags: u8) -> Self {
        let engine = page.ground.ordinal;
        Lease::of_word(page, LeaseWord::new(port, tag, flags, engine))
    }

    /// The same, put together before.
    #[inline]
    pub(crate) fn of_word(page: &Page, word: LeaseWord) -> Self {
        Lease {
            page: NonNull::from(page),
            word,
        }
    }

    /// The same lease with a further flag, and what that says.
    pub(crate) fn noted(mut self, flag: u8, note: u32) -> Self {
        self.word = self.word.noted(flag, note);
        self
    }

    /// The account it is charged to.
    pub(crate) fn account(&self) -> Option<u32> {
        (self.word.flags() & CHARGED != 0).then_some(self.word.note())
    }

    /// The same lease, whose release is told.
    pub(crate) fn told(self, pool: PoolId) -> Self {
        let note = self.account().unwrap_or(pool.0.into());
        self.noted(TOLD, note)
    }

    #[inline]
    pub(crate) fn page(&self) -> &Page {
        // SAFETY: a page is freed only once all of its ports were given back, and this lease
        // holds one of them.
        unsafe { self.page.as_ref() }
    }

    /// The public tuple; for ICMP the port is the identifier.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.page().tuple(self.word.port())
    }

    /// The protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        self.page().protocol
    }

    /// The realm in which the tuple is unique.
    #[must_use]
    pub fn realm(&self) -> RealmId {
        self.page().realm
    }

    /// Turns the lease into a token that may be copied, stored and sent; it must be given back
    /// with [`Burst::release_raw`](crate::Burst::release_raw), else the port stays leased.
    #[must_use]
    pub fn into_raw(self) -> RawLease {
        let lease = ManuallyDrop::new(self);
        let page = lease.page();
        page.note(lease.word.port(), lease.word.flags(), lease.word.note());
        // The generation cannot change while a port of the block is leased.
        let generation = page.block(lease.block()).state().generation();
        let raw = RawLease {
            seal: 0,
            space: page.space.0,
            key: page.key,
            port: lease.word.port(),
            tag: lease.word.tag(),
            generation,
        };
        RawLease {
            seal: page.ground.seal(raw.body()),
            ..raw
        }
    }

    pub(crate) fn block(&self) -> usize {
        self.word.port() as usize / PORTS
    }

    /// The fast half of a release: if the lease is plain, and of the engine whose `plain` word this
    /// is (see [`LeaseWord::plain_of`]), its port is given back with one store.
    ///
    /// `stamp` is that of a release at this moment, which the caller has found to be nothing out of
    /// the ordinary.
    #[inline]
    pub(crate) fn give_back_plain(self, plain: u64, stamp: u8) -> Result<(), Lease> {
        let page = self.page();
        if self.word.beyond_port() != plain {
            return Err(self);
        }
        page.give_back_stamped(self.word.port(), stamp);
        std::mem::forget(self);
        Ok(())
    }

    /// Gives the port back. The caller is pinned, so that the page outlives what follows; when
    /// the engine may be gone (not `alive`) nothing but the block is touched.
    pub(crate) fn give_back(
        self,
        reason: Reason,
        alive: bool,
        shard: Option<usize>,
        pin: &Pin<'_>,
    ) -> NonNull<Page> {
        let lease = ManuallyDrop::new(self);
        let page = lease.page();
        let rests = match reason {
            Reason::Ended => true,
            Reason::Unused => false,
            Reason::Closed => lease.word.flags() & REUSE_CLOSED == 0,
        };
        let clock = &page.ground.clock;
        let moment = (rests && clock.rest() > 0).then(|| clock.moment());
        if lease.word.flags() & NOTED == 0 {
            page.give_back(lease.word.port(), moment);
        } else {
            let note = (lease.word.flags(), lease.word.note());
            page.give_back_noted(lease.word.port(), note, moment, shard, pin);
        }
        if alive && moment.is_none() {
            page.after_idle_release(lease.block());
        }
        lease.page
    }

    /// Gives the port back, from wherever; whether the caller is to free the page, which the engine
    /// has left to its leases. The caller is pinned.
    pub(crate) fn end(self, ground: &Ground, pin: &Pin<'_>) -> (NonNull<Page>, bool) {
        // While it was not, the engine's regions and records are not freed before the pin ends.
        let gone = ground.orphaned.get();
        let page = self.give_back(Reason::Ended, !gone, None, pin);
        // In the order of the looks that others take at the page when they give the last port back:
        // of two at once, one sees both.
        fence();
        // SAFETY: the pin was taken while the port was leased, so the page was linked then and
        // is not freed before the pin ends.
        let shared = unsafe { page.as_ref() };
        (page, ground.orphaned.get() && shared.is_last())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let ground = Arc::clone(&self.page().ground);
        ground.dropped_leases.add(1);
        let lease = Lease {
            page: self.page,
            word: self.word,
        };
        let visit = ground.visit();
        let pin = visit.pin();
        let (page, last) = lease.end(&ground, &pin);
        if last {
            // SAFETY: `end` names one caller to free the page; whoever still looks at it is
            // pinned.
            unsafe { free_page(&pin, page.as_ptr()) };
        }
        drop(pin);
        if ground.orphaned.get() {
            drop(visit);
            ground.settle();
        }
    }
}

/// Frees a page once every pin of this moment has ended.
///
/// # Safety
///
/// The page came from `Box::into_raw`, is reachable only for those already pinned, and nobody
/// else frees it.
pub(crate) unsafe fn free_page(pin: &Pin<'_>, page: *mut Page) {
    // SAFETY: still valid: nobody else frees it.
    unsafe { &*page }.ground.unlinked_pages.add(1);
    let page = SendPtr(page);
    let free = move || {
        let SendPtr(page) = { page };
        // SAFETY: by the contract of `free_page`, after the grace period.
        let page = unsafe { Box::from_raw(page) };
        page.ground.unlinked_pages.subtract(1);
    };
    // SAFETY: the closure owns what it frees, and a page may be dropped on any thread.
    unsafe { pin.defer(free) };
}

/// A pointer that a deferred closure carries to whichever thread collects.
pub(crate) struct SendPtr<T>(pub(crate) *mut T);

// SAFETY: only made for values that are `Send`.
unsafe impl<T: Send> Send for SendPtr<T> {}

impl std::fmt::Debug for Lease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lease({} {})", self.protocol(), self.addr())
    }
}

impl PartialEq for Lease {
    fn eq(&self, other: &Self) -> bool {
        self.page == other.page && self.word.port() == other.word.port()
    }
}

impl Eq for Lease {}

/// A lease as a plain value that can be copied, stored and sent.
///
/// It bears a keyed seal of its engine (24 bits: one made-up token in 16 million passes it), and
/// names the tuple, the block's generation (modulo 2^32 recyclings) and the port's
/// tag (modulo 128 reheats within a generation), so that giving it back a second time, or after
/// somebody else got the tuple, is refused and changes nothing (I6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RawLease {
    pub(crate) seal: u32,
    pub(crate) space: u16,
    pub(crate) key: u32,
    pub(crate) port: u16,
    pub(crate) tag: u8,
    pub(crate) generation: u32,
}

impl RawLease {
    /// What is sealed.
    pub(crate) fn body(&self) -> (u16, u32, u16, u8, u32) {
        (self.space, self.key, self.port, self.tag, self.generation)
    }

    /// The token as 128 bits, for shared tables and the wire.
    #[must_use]
    pub const fn to_bits(self) -> u128 {
        join_long([
            (self.seal as u128) << 104,
            (self.space as u128) << 88,
            (self.key as u128) << 56,
            (self.port as u128) << 40,
            (self.tag as u128) << 32,
            self.generation as u128,
        ])
    }

    /// The token of these bits. Any bits will do: a token that was never given out is refused
    /// when it is used.
    #[must_use]
    pub const fn from_bits(bits: u128) -> Self {
        RawLease {
            seal: (bits >> 104) as u32,
            space: (bits >> 88) as u16,
            key: (bits >> 56) as u32,
            port: (bits >> 40) as u16,
            tag: (bits >> 32) as u8,
            generation: bits as u32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_their_bits() {
        let raw = RawLease {
            seal: 0xab_cdef,
            space: 0x1234,
            key: 0xdead_beef,
            port: 0x4321,
            tag: 0x7e,
            generation: u32::MAX - 1,
        };
        assert_eq!(RawLease::from_bits(raw.to_bits()), raw);
        assert_eq!(RawLease::from_bits(u128::MAX).to_bits(), u128::MAX);
    }
}
