//! Address spaces: one per realm, protocol and window of addresses, under all configurations.
//!
//! An address that was ever touched has a [`Record`] for as long as the engine lives; the
//! [`Page`](crate::page::Page) with its blocks comes and goes. Regions, which belong to a
//! configuration, refer to records; records know the regions they are a member of.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::changes::Changes;
use crate::fields::join_long;
use crate::hints::BlockSet;
use crate::id::RealmId;
use crate::page::Page;
use crate::protocol::Protocol;
use crate::region::Region;
use crate::sync::{Link, Word};
use crate::trie::Trie;

/// The 2^32 addresses that a 32-bit key can name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Window {
    /// All of IPv4.
    V4,
    /// The IPv6 addresses with these upper 96 bits (the lower 32 are zero).
    V6(u128),
}

impl Window {
    /// The window and key of an address.
    pub(crate) fn of(address: IpAddr) -> (Window, u32) {
        match address {
            IpAddr::V4(v4) => (Window::V4, u32::from(v4)),
            IpAddr::V6(v6) => {
                let bits = u128::from(v6);
                (Window::V6(bits >> 32 << 32), bits as u32)
            }
        }
    }

    /// The address of a key.
    pub(crate) fn address(self, key: u32) -> IpAddr {
        match self {
            Window::V4 => IpAddr::V4(Ipv4Addr::from(key)),
            Window::V6(upper) => IpAddr::V6(Ipv6Addr::from(join_long([upper, u128::from(key)]))),
        }
    }
}

/// The place of one space in the engine's list; stable for its life.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SpaceId(pub(crate) u16);

/// One address space.
#[derive(Debug)]
pub struct Space {
    pub(crate) id: SpaceId,
    pub(crate) realm: RealmId,
    pub(crate) protocol: Protocol,
    pub(crate) window: Window,
    records: Trie<Record>,
}

impl Space {
    pub(crate) fn new(id: SpaceId, realm: RealmId, protocol: Protocol, window: Window) -> Self {
        Space {
            id,
            realm,
            protocol,
            window,
            records: Trie::default(),
        }
    }

    /// The record of a key, if the address was ever touched.
    #[inline]
    pub(crate) fn get(&self, key: u32) -> Option<&Record> {
        self.records.get(key)
    }

    /// The record of a key; enlists nothing.
    pub(crate) fn record(&self, key: u32) -> &Record {
        self.records.get_or(key, || Record::new(key))
    }

    /// Every record, by ascending key.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Record> {
        self.records.iter()
    }
}

/// What is known of one address of a space.
#[derive(Debug)]
pub struct Record {
    pub(crate) key: u32,
    /// The open page, or null.
    page: Link<Page>,
    /// The regions it is a member of; null until it is enlisted.
    members: Link<Members>,
    /// The first generation that no block of this address has ever had.
    floor: Word,
    /// The latest layout in whose regions it is fully enlisted.
    enlisted: Word,
    /// What became leasable of this address.
    pub(crate) changes: Changes,
}

impl Record {
    fn new(key: u32) -> Self {
        Record {
            key,
            page: Link::default(),
            members: Link::default(),
            floor: Word::new(0),
            enlisted: Word::new(0),
            changes: Changes::default(),
        }
    }

    /// The open page. The caller is pinned, or owns the engine.
    #[inline]
    pub(crate) fn page(&self) -> Option<&Page> {
        // SAFETY: a page is unlinked before it is freed through the epoch, which the caller's pin
        // holds up.
        unsafe { self.page.get().as_ref() }
    }

    /// Opens the address with a fresh page, unless somebody else does first; whether the page is
    /// the caller's.
    pub(crate) fn open(&self, make: impl FnOnce(u32) -> Page) -> (&Page, bool) {
        if let Some(page) = self.page() {
            return (page, false);
        }
        let fresh = Box::into_raw(Box::new(make(self.floor.get() as u32)));
        match self.page.exchange(std::ptr::null_mut(), fresh) {
            // SAFETY: just linked; as in `page`.
            Ok(()) => (unsafe { &*fresh }, true),
            Err(winner) => {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
                // SAFETY: as in `page`.
                (unsafe { &*winner }, false)
            }
        }
    }

    /// Unlinks a page that is gone, and notes where the generations of the next one start; whether
    /// this call did it, and the caller is to free it through the epoch.
    pub(crate) fn unlink(&self, page: &Page) -> bool {
        // Raised, for a late helper must not take it back.
        self.floor.raise(u64::from(page.next_generation()));
        let page = std::ptr::from_ref(page).cast_mut();
        self.page.exchange(page, std::ptr::null_mut()).is_ok()
    }

    /// The regions the address is a member of. The caller is pinned, or owns the engine.
    #[inline]
    pub(crate) fn members(&self) -> &[Member] {
        // SAFETY: replaced lists are freed through the epoch, which the caller's pin holds up.
        unsafe { self.members.get().as_ref() }.map_or(&[], |members| &members.0)
    }

    /// Replaces the member list if it is still the one the caller looked at; the old one, to be
    /// freed through the epoch.
    pub(crate) fn replace_members(
        &self,
        seen: *mut Members,
        list: Vec<Member>,
    ) -> Result<*mut Members, ()> {
        let fresh = Box::into_raw(Box::new(Members(list)));
        self.members
            .exchange(seen, fresh)
            .map(|()| seen)
            .map_err(|_| {
                // SAFETY: nobody saw `fresh`.
                drop(unsafe { Box::from_raw(fresh) });
            })
    }

    /// Frees the member list. Only at the engine's end, when nobody looks at records any more.
    pub(crate) fn forget_members(&self) {
        let members = self.members.get();
        self.members.set(std::ptr::null_mut());
        if !members.is_null() {
            // SAFETY: the record owns its current list, and nobody borrows it.
            drop(unsafe { Box::from_raw(members) });
        }
    }

    /// Whether it is a member of every region of that layout it belongs to.
    pub(crate) fn is_enlisted(&self, layout: u64) -> bool {
        self.enlisted.get() >= layout
    }

    pub(crate) fn set_enlisted(&self, layout: u64) {
        self.enlisted.raise(layout);
    }

    pub(crate) fn members_link(&self) -> *mut Members {
        self.members.get()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.forget_members();
        // An open page is dealt with by the engine's end (see `Inner::drop`), or was closed.
    }
}

/// One region an address is a member of.
#[derive(Clone, Debug)]
pub struct Member {
    pub(crate) region: Arc<Region>,
    /// The address's position in the region.
    pub(crate) position: u32,
}

impl Member {
    pub(crate) fn blocks(&self) -> &BlockSet {
        &self.region.blocks
    }
}

/// An immutable member list.
#[derive(Debug)]
pub struct Members(Vec<Member>);
