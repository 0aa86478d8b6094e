//! The table of accounts: from pool and subscriber to books, lock-free, growing.
//!
//! A split-ordered list (Shalev and Shavit, "Split-ordered lists: lock-free extensible hash
//! tables", 2006) to which entries are only added: all accounts hang in one list, ordered by the
//! bit-reversed hash; buckets are places to enter it, marked by dummies, and are made when first
//! asked for. Doubling the number of buckets moves nothing. Two shards that meet one subscriber
//! for the first time insert at the same link, so only one account is ever linked.

use std::hash::BuildHasher;
use std::sync::Arc;

use crate::chunks::Chunks;
use crate::fair::account::Account;
use crate::fair::actives::Actives;
use crate::fields::{join, join_short};
use crate::sync::{Counter, Flag, MODEL, Word};

/// Nobody can tell which subscribers share a bucket.
#[cfg(not(test))]
type Hashing = std::hash::RandomState;
/// The same in every run: steps are counted.
#[cfg(test)]
type Hashing = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// Accounts for each bucket, on average, before the number of buckets is doubled.
const LOAD: u64 = if MODEL { 1 } else { 6 };

/// All accounts of an engine.
#[derive(Debug)]
pub(crate) struct Table {
    accounts: Chunks<Account>,
    /// Accounts and dummies used so far.
    used: Counter,
    /// An account that lost a race to be linked, and one more.
    unlinked: Word,
    dummies: Chunks<Word>,
    dummies_used: Counter,
    /// By number: its dummy and one more.
    buckets: Chunks<Word>,
    /// How many buckets are asked for: a power of two.
    size: Word,
    linked: Word,
    most: u64,
    /// Whether it was told that there is no room.
    told_full: Flag,
    hasher: Hashing,
    actives: Arc<Actives>,
}

/// An entry of the list: an account, or with the top bit a dummy; one more, zero for none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u32);

const DUMMY: u32 = 1 << 31;

impl Entry {
    const END: Entry = Entry(0);

    fn account(number: u32) -> Self {
        Entry(number + 1)
    }

    fn dummy(number: u32) -> Self {
        Entry(join_short([number + 1, DUMMY]))
    }

    fn number(self) -> u32 {
        (self.0 & !DUMMY) - 1
    }
}

/// The place of an account in the list, behind the dummy of its bucket.
fn order(hash: u32) -> u32 {
    join_short([hash.reverse_bits(), 1])
}

/// The order of a bucket's dummy, and the next entry, as kept in a link.
fn link(order: u32, next: Entry) -> u64 {
    join([u64::from(order) << 32, u64::from(next.0)])
}

impl Table {
    /// A table for at most so many accounts. Takes no memory yet.
    pub(crate) fn new(most: u32) -> Self {
        Table {
            accounts: Chunks::default(),
            used: Counter::default(),
            unlinked: Word::new(0),
            dummies: Chunks::default(),
            dummies_used: Counter::default(),
            buckets: Chunks::default(),
            size: Word::new(1),
            linked: Word::new(0),
            most: u64::from(most),
            told_full: Flag::default(),
            hasher: Hashing::default(),
            actives: Arc::default(),
        }
    }

    fn hash(&self, pool: u16, subscriber: u64) -> u32 {
        if MODEL {
            // The same in every execution.
            return subscriber as u32;
        }
        self.hasher.hash_one((pool, subscriber)) as u32 & !DUMMY
    }

    /// How many accounts there are.
    pub(crate) fn len(&self) -> u64 {
        self.linked.get()
    }

    /// How many accounts there can be.
    pub(crate) fn most(&self) -> u32 {
        self.most as u32
    }

    /// Whether this is the first refusal for want of room since a further account was made.
    pub(crate) fn tell_full_once(&self) -> bool {
        !self.told_full.get() && self.told_full.raise()
    }

    /// It was not told after all.
    pub(crate) fn untell_full(&self) {
        self.told_full.set(false);
    }

    /// An account by number.
    #[inline]
    pub(crate) fn account(&self, number: u32) -> Option<&Account> {
        self.accounts.get(number as usize)
    }

    /// The account of a subscriber, if it was ever met.
    pub(crate) fn find(&self, pool: u16, subscriber: u64) -> Option<u32> {
        let hash = self.hash(pool, subscriber);
        let start = self.bucket(hash & (self.size.get() as u32 - 1))?;
        self.seek(start, order(hash), Some((pool, subscriber))).ok()
    }

    /// The account of a subscriber; `None` when there is no room for a further one.
    pub(crate) fn find_or_insert(&self, pool: u16, subscriber: u64) -> Option<u32> {
        let hash = self.hash(pool, subscriber);
        let order = order(hash);
        let start = self.bucket(hash & (self.size.get() as u32 - 1))?;
        let mut fresh = None;
        loop {
            let (before, seen) = match self.seek(start, order, Some((pool, subscriber))) {
                Ok(number) => {
                    if let Some(fresh) = fresh {
                        self.put_unlinked(fresh);
                    }
                    return Some(number);
                }
                Err(place) => place,
            };
            let number = match fresh {
                Some(number) => number,
                None => {
                    let number = self.take_unlinked()?;
                    let account = self.accounts.get_or_grow(number as usize);
                    account.subscriber.set(subscriber);
                    account.active.set(u64::from(pool) << 32);
                    fresh = Some(number);
                    number
                }
            };
            let account = self.accounts.get_or_grow(number as usize);
            account.chain.set(link(order, Entry(seen as u32)));
            let linked = join([seen & !0xffff_ffff, u64::from(Entry::account(number).0)]);
            if before.exchange(seen, linked).is_ok() {
                let linked = self.linked.add(1) + 1;
                if self.told_full.get() {
                    self.told_full.set(false);
                }
                let size = self.size.get();
                if linked > size * LOAD && size < 1 << 30 {
                    let _ = self.size.exchange(size, size * 2);
                }
                return Some(number);
            }
        }
    }

    /// A number for a new account.
    fn take_unlinked(&self) -> Option<u32> {
        let spare = self.unlinked.get();
        if spare != 0 && self.unlinked.exchange(spare, 0).is_ok() {
            return Some(spare as u32 - 1);
        }
        if self.used.get() >= self.most {
            return None;
        }
        let number = self.used.draw();
        (number < self.most).then_some(number as u32)
    }

    /// Keeps the number of an account that was not linked for the next one; a second is lost.
    fn put_unlinked(&self, number: u32) {
        let _ = self.unlinked.exchange(0, u64::from(number) + 1);
    }

    fn chain(&self, entry: Entry) -> Option<&Word> {
        let number = entry.number() as usize;
        if entry.0 & DUMMY != 0 {
            self.dummies.get(number)
        } else {
            self.accounts.get(number).map(|account| &account.chain)
        }
    }

    /// Looks from a dummy on for an account (or, without a key, for the dummy) of this order;
    /// else the link behind which it belongs, and what that was.
    fn seek<'a>(
        &'a self,
        start: &'a Word,
        order: u32,
        key: Option<(u16, u64)>,
    ) -> Result<u32, (&'a Word, u64)> {
        let mut before = start;
        loop {
            let seen = before.get();
            let next = Entry(seen as u32);
            if next == Entry::END {
                return Err((before, seen));
            }
            let Some(chain) = self.chain(next) else {
                return Err((before, seen));
            };
            let here = (chain.get() >> 32) as u32;
            if here > order {
                return Err((before, seen));
            }
            if here == order {
                match key {
                    None => return Ok(next.number()),
                    Some((pool, subscriber)) => {
                        let account = self.accounts.get(next.number() as usize);
                        let ours = account.is_some_and(|account| {
                            account.subscriber.get() == subscriber
                                && (account.active.get() >> 32) as u16 == pool
                        });
                        if ours {
                            return Ok(next.number());
                        }
                    }
                }
            }
            before = chain;
        }
    }

    /// The dummy of a bucket; makes those it needs.
    fn bucket(&self, bucket: u32) -> Option<&Word> {
        let slot = self.buckets.get_or_grow(bucket as usize);
        if let Some(number) = (slot.get() as u32).checked_sub(1) {
            return self.dummies.get(number as usize);
        }
        let order = bucket.reverse_bits();
        let number = self.dummies_used.draw() as u32;
        let fresh = self.dummies.get_or_grow(number as usize);
        if bucket == 0 {
            fresh.set(link(order, Entry::END));
            let won = slot.exchange(0, u64::from(number) + 1);
            let number = won.map_or_else(|winner| winner as u32 - 1, |()| number);
            return self.dummies.get(number as usize);
        }
        // The bucket this one was split from; at most 30 times.
        let parent = self.bucket(bucket & !(1 << bucket.ilog2()))?;
        let number = loop {
            match self.seek(parent, order, None) {
                // Somebody else's.
                Ok(number) => break number,
                Err((before, seen)) => {
                    fresh.set(link(order, Entry(seen as u32)));
                    let linked = join([seen & !0xffff_ffff, u64::from(Entry::dummy(number).0)]);
                    if before.exchange(seen, linked).is_ok() {
                        break number;
                    }
                }
            }
        };
        slot.set(u64::from(number) + 1);
        self.dummies.get(number as usize)
    }

    /// The active parts.
    pub(crate) fn actives(&self) -> &Arc<Actives> {
        &self.actives
    }
}

#[cfg(test)]
mod tests;
