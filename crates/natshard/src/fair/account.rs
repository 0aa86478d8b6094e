//! The books of one subscriber in one pool: what it holds, and what of that still rests.
//!
//! # Protocol
//!
//! Three counters that only rise, each packed by protocol ([`Counts`]):
//!
//! * `taken`: leases charged. Rises by compare-and-swap, only if the limit allows it.
//! * `released` (of the active part): leases given back. The slot of the slice in which that
//!   happened remembers how far it had come.
//! * `rested`: how far `released` had come in the latest slice whose ports have all rested. Raised
//!   from the slots that are due, by anybody, any number of times: raising is idempotent.
//!
//! Held, and measured against the limit, is `taken - rested`. A charge reads `taken`, then
//! `rested`, and swaps `taken`: `rested` can only have grown meanwhile, so the limit is never
//! exceeded, however many shards charge at once. A refusal has looked at every slot, and at
//! `taken` and `rested` once more.
//!
//! A lease given back unused takes its charge back: `taken` falls by one, which the swap of
//! anybody else notices.
//!
//! The **active part** (slots, port blocks) is lent to an account while it holds anything, and
//! taken back by whoever finds it at rest: `taken` gets an odd version, which stops every charge;
//! pairing and active part are cleared, each by a swap of a word that bears the version; `taken`
//! gets the next even version. Every step is idempotent and whoever meets the odd version does
//! them all, so nobody waits. The active part is reused a grace period later.

mod pairing;
mod port_blocks;

use std::cell::Cell;

use crate::clock::Clock;
use crate::event::EventRings;
use crate::fair::counts::Counts;
use crate::fair::policy::SubscriberLimit;
use crate::fair::table::Table;
use crate::planted::{self, Bug};
use crate::protocol::Protocol;
use crate::reclaim::Pin;
use crate::sync::{MODEL, Word};
pub(crate) use pairing::Pairing;
use pairing::Versioned;
pub(crate) use port_blocks::BLOCKS;

// Counters are told apart modulo twice what can be held.
const _: () = assert!(SubscriberLimit::MOST < 1 << 15);

/// Slices told apart: more than a port rests.
const SLOTS: usize = if MODEL { 4 } else { 18 };

/// What is known of one subscriber: 48 bytes.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Its place in the table: order in the upper half, the next entry in the lower.
    pub(super) chain: Word,
    /// Written before it is linked.
    pub(super) subscriber: Word,
    taken: Word,
    rested: Word,
    /// The active part and one more (bits 0-31), the pool (32-47, constant), and the even version
    /// of `taken` it was empty or lent under (48-63).
    pub(super) active: Word,
    /// The public address it is paired with, under the same version; see [`Pairing`].
    address: Word,
}

const _: () = assert!(MODEL || size_of::<Account>() == 48);

/// What an account needs while it holds anything.
#[derive(Debug)]
pub(crate) struct Active {
    /// The account and one more; zero while it is lent to none.
    pub(super) owner: Word,
    /// The next of the spare ones, and one more.
    pub(super) next: Word,
    released: Word,
    /// The slice of the latest release, whole: tags come round.
    latest: Word,
    /// How far `released` had come in a slice, tagged with it; zero when empty.
    slots: [Word; SLOTS],
    /// Port blocks held, by protocol.
    blocks_held: Word,
    /// Which, each as [`PortBlock`](super::unit::PortBlock) bits; zero when empty.
    pub(super) blocks: [Word; BLOCKS],
    /// Whether a refusal was told, by protocol.
    told: Word,
}

impl Default for Active {
    fn default() -> Self {
        Active {
            owner: Word::new(0),
            next: Word::new(0),
            released: Word::new(0),
            latest: Word::new(0),
            slots: std::array::from_fn(|_| Word::new(0)),
            blocks_held: Word::new(0),
            blocks: std::array::from_fn(|_| Word::new(0)),
            told: Word::new(0),
        }
    }
}

/// The tag of a slice; never zero.
fn tag(slice: u64) -> u16 {
    (slice % 65_535) as u16 + 1
}

/// How many slices ago a tag was, if it was less than 65,535 ago.
fn age(tag: u16, now: u64) -> u64 {
    (now % 65_535 + 65_535 - u64::from(tag - 1)) % 65_535
}

/// A pairing ended, which the caller has to [tell of](Books::take_unbound) before it tries again:
/// what completes a retirement may end one each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Untold;

/// Where the books of an account are kept: the account with its table, clock and the caller's pin.
pub(crate) struct Books<'a> {
    table: &'a Table,
    account: &'a Account,
    /// The account's number in the table.
    pub(crate) number: u32,
    clock: &'a Clock,
    events: Option<&'a EventRings>,
    pin: &'a Pin<'a>,
    /// A pairing that the caller ended and has yet to tell, and the number of that event.
    unbound: Cell<Option<(u64, Pairing)>>,
    /// An active part that the caller took back, and that waits for its grace period.
    parted: Cell<Option<u32>>,
}

impl Drop for Books<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.parted.take() {
            self.table.actives().retire(&[number], self.pin);
        }
    }
}

impl<'a> Books<'a> {
    /// The books of an account by its number.
    pub(crate) fn open(
        table: &'a Table,
        number: u32,
        clock: &'a Clock,
        events: Option<&'a EventRings>,
        pin: &'a Pin<'a>,
    ) -> Option<Self> {
        Some(Books {
            account: table.account(number)?,
            table,
            number,
            clock,
            events,
            pin,
            unbound: Cell::new(None),
            parted: Cell::new(None),
        })
    }

    /// The pairing that [`charge`](Self::charge) or [`retire`](Self::retire) ended, for the caller
    /// to tell under this number.
    pub(crate) fn take_unbound(&self) -> Option<(u64, Pairing)> {
        self.unbound.take()
    }

    pub(crate) fn subscriber(&self) -> u64 {
        self.account.subscriber.get()
    }

    /// The pool, by number.
    pub(crate) fn pool(&self) -> u16 {
        (self.account.active.get() >> 32) as u16
    }

    /// The active part that [`retire`](Self::retire) took back, for the caller to give to
    /// [`Actives::retire`](super::actives::Actives::retire) with others; otherwise dropping the
    /// books does it.
    pub(crate) fn take_parted(&self) -> Option<u32> {
        self.parted.take()
    }

    fn taken(&self) -> Counts {
        Counts(self.account.taken.get())
    }

    fn rested(&self) -> Counts {
        Counts(self.account.rested.get())
    }

    /// `taken` under an even version: a retirement under way is completed first, unless the caller
    /// has yet to tell of what an earlier one ended.
    fn steady(&self) -> Result<Counts, Untold> {
        loop {
            let taken = self.taken();
            if taken.version().is_multiple_of(2) {
                return Ok(taken);
            }
            if self.unbound.get().is_some() && !planted::on(Bug::EndingForgotten) {
                return Err(Untold);
            }
            self.complete(taken);
        }
    }

    /// Ports held, by protocol: leased, or resting. Exact when nobody works on the account.
    pub(crate) fn held(&self) -> [u16; 3] {
        self.settle();
        self.taken().since(self.rested())
    }

    /// Ports leased, by protocol.
    pub(crate) fn leased(&self) -> [u16; 3] {
        let Some(active) = self.active() else {
            return [0; 3];
        };
        let mut taken = self.taken();
        loop {
            let released = Counts(active.released.get());
            let now = self.taken();
            if now == taken {
                return taken.since(released);
            }
            // What was released since may have been taken since.
            taken = now;
        }
    }

    /// The number of the active part, if it has one.
    pub(crate) fn part(&self) -> Option<u32> {
        let word = Versioned(self.account.active.get());
        word.value().checked_sub(1)
    }

    /// The active part, if it has one.
    pub(super) fn active(&self) -> Option<&'a Active> {
        self.table.actives().get(self.part()?)
    }

    /// Charges so many ports of one protocol, all or none; `false` when that would exceed the
    /// limit.
    pub(crate) fn charge(
        &self,
        protocol: Protocol,
        ports: u16,
        limit: &SubscriberLimit,
    ) -> Result<bool, Untold> {
        loop {
            let taken = self.steady()?;
            self.attach(taken.version());
            let rested = self.rested();
            let held = taken.since(rested);
            if !limit.allows(held, protocol, ports) {
                let unchanged = !self.settle() && self.taken() == taken && self.rested() == rested;
                if unchanged {
                    return Ok(false);
                }
                continue;
            }
            let more = taken.plus(protocol, ports);
            if planted::on(Bug::ChargeChecksThenAdds) {
                self.account.taken.set(self.taken().plus(protocol, ports).0);
                return Ok(true);
            }
            if self.account.taken.exchange(taken.0, more.0).is_ok() {
                return Ok(true);
            }
        }
    }

    /// Charges as many ports as the limit leaves, between `least` and `most`; `None` when it leaves
    /// fewer.
    pub(crate) fn charge_most(
        &self,
        protocol: Protocol,
        least: u16,
        most: u16,
        limit: &SubscriberLimit,
    ) -> Result<Option<u16>, Untold> {
        let mut ports = most;
        loop {
            if self.charge(protocol, ports, limit)? {
                return Ok(Some(ports));
            }
            if ports == least {
                return Ok(None);
            }
            let room = limit.room(self.held(), protocol);
            ports = room.min(ports - 1).max(least);
        }
    }

    /// Takes a charge back: nothing was leased, or nothing need rest.
    pub(crate) fn uncharge(&self, protocol: Protocol, ports: u16) {
        if ports == 0 {
            return;
        }
        loop {
            // Even: what is charged keeps the account from being retired.
            let taken = self.taken();
            let less = taken.minus(protocol, ports);
            if self.account.taken.exchange(taken.0, less.0).is_ok() {
                return;
            }
        }
    }

    /// A charged port begins to rest.
    pub(crate) fn release(&self, protocol: Protocol) {
        if self.clock.rest() == 0 {
            self.uncharge(protocol, 1);
            return;
        }
        // Lent as long as anything is charged.
        let Some(active) = self.active() else { return };
        let released = loop {
            let before = Counts(active.released.get());
            let after = before.plus(protocol, 1);
            if active.released.exchange(before.0, after.0).is_ok() {
                break after;
            }
        };
        loop {
            // After `released`: whatever it counts was given back in this slice at the latest.
            let slice = self.clock.slice();
            let latest = active.latest.get();
            if latest < slice {
                if slice - latest >= self.clock.rest() {
                    // While `latest` still says that all of them are due.
                    self.settle();
                }
                active.latest.raise(slice);
            }
            let slot = &active.slots[slice as usize % SLOTS];
            let seen = Counts(slot.get());
            let next = if seen.version() == tag(slice) {
                seen.latest(released)
            } else if seen.0 != 0 && !planted::on(Bug::ReleaseOverwritesASlot) {
                // Of an earlier round: it must not be lost. It is due, whatever its tag reads as
                // by now, unless it is of a slice that began since.
                if planted::on(Bug::ReleaseWaitsForARetiredPart) {
                    self.settle();
                } else if self.clock.slice() == slice {
                    self.empty(slot, seen);
                }
                continue;
            } else {
                released.tagged(tag(slice))
            };
            if next == seen || slot.exchange(seen.0, next.0).is_ok() {
                return;
            }
        }
    }

    /// Raises `rested` by what has rested; whether anything was due.
    pub(crate) fn settle(&self) -> bool {
        let Some(active) = self.active() else {
            return false;
        };
        let mut due = false;
        for slot in &active.slots {
            let early = planted::on(Bug::SettleReadsTheTimeFirst).then(|| self.clock.slice());
            let seen = Counts(slot.get());
            if seen.0 == 0 {
                continue;
            }
            // The time after the slot and the latest release: neither is of a later slice.
            let latest = active.latest.get();
            let now = early.unwrap_or_else(|| self.clock.slice());
            let rest = self.clock.rest();
            if age(seen.version(), now) < rest && now.saturating_sub(latest) < rest {
                continue;
            }
            due = true;
            self.empty(slot, seen);
        }
        due
    }

    /// Empties a slot that is due.
    fn empty(&self, slot: &Word, seen: Counts) {
        if planted::on(Bug::SlotClearedBeforeRaised) {
            let _ = slot.exchange(seen.0, 0);
        }
        self.raise(slot, seen);
        // Only now: what the slot said is in `rested`.
        let _ = slot.exchange(seen.0, 0);
    }

    /// Raises `rested` to what a slot says, as long as the slot says it: afterwards somebody else
    /// has.
    fn raise(&self, slot: &Word, seen: Counts) {
        loop {
            let rested = self.rested();
            if slot.get() != seen.0 && !planted::on(Bug::SlotClearedBeforeRaised) {
                return;
            }
            let raised = rested.latest(seen.bare());
            if planted::on(Bug::SlotRaiseTrustsTheFirstLook) {
                self.account.rested.set(raised.0);
            }
            if raised == rested || self.account.rested.exchange(rested.0, raised.0).is_ok() {
                return;
            }
        }
    }

    /// Lends the account an active part, unless it has one, or its version has moved on.
    fn attach(&self, version: u16) {
        let empty = Versioned(self.account.active.get());
        if empty.value() != 0 || empty.version() != version {
            return;
        }
        let (number, active) = self.table.actives().take();
        // At rest all three agree.
        active.released.set(self.rested().bare().0);
        for word in active.slots.iter().chain(&active.blocks) {
            word.set(0);
        }
        active.latest.set(0);
        active.blocks_held.set(0);
        active.told.set(0);
        active.owner.set(u64::from(self.number) + 1);
        let lent = empty.with_value(number + 1);
        if self.account.active.exchange(empty.0, lent.0).is_err() {
            active.owner.set(0);
            self.table.actives().give(number);
        }
    }

    /// Takes the active part back from an account that holds nothing; whether that was so.
    pub(crate) fn retire(&self) -> bool {
        self.settle();
        let Ok(taken) = self.steady() else {
            return false;
        };
        let idle = taken.bare() == self.rested().bare()
            && self
                .active()
                .is_some_and(|active| active.blocks_held.get() == 0);
        if !idle || self.unbound.get().is_some() {
            return false;
        }
        let taken = if planted::on(Bug::RetireTrustsTheFirstLook) {
            self.taken()
        } else {
            taken
        };
        let retiring = taken.next_version();
        let won = self.account.taken.exchange(taken.0, retiring.0).is_ok();
        if won {
            self.complete(retiring);
        }
        won
    }

    /// Completes a retirement.
    fn complete(&self, retiring: Counts) {
        let (before, after) = (
            retiring.version().wrapping_sub(1),
            retiring.version().wrapping_add(1),
        );
        // A port block may have been charged, and its port taken back as unused, between the look
        // at the blocks and the swap of `taken`: then everything stays, under the next version.
        // Nobody can charge one now; should one go now, and some see it gone and others not, what
        // became of the active part says for all of them what becomes of the pairing: a pairing
        // without an active part would be found by nobody.
        let keep = !planted::on(Bug::RetireForgetsBlocks)
            && self
                .active()
                .is_some_and(|active| active.blocks_held.get() != 0);
        let lent = Versioned(self.account.active.get());
        if lent.version() == before && keep {
            let next = lent.with_version(after);
            let _ = self.account.active.exchange(lent.0, next.0);
        } else if lent.version() == before {
            let empty = lent.with_value(0).with_version(after);
            let won = self.account.active.exchange(lent.0, empty.0).is_ok();
            if let Some(number) = lent.value().checked_sub(1).filter(|_| won) {
                self.table.actives().forsake(number);
                if let Some(earlier) = self.parted.replace(Some(number)) {
                    self.table.actives().retire(&[earlier], self.pin);
                }
            }
        }
        let settled = Versioned(self.account.active.get());
        if settled.version() != after {
            // Somebody completed it all, and the account has been retired again since.
            return;
        }
        let paired = Versioned(self.account.address.get());
        if paired.version() == before {
            let gone = match planted::on(Bug::RetirersDisagree) {
                true => !keep,
                false => settled.value() == 0,
            };
            let ends = Pairing::of(paired).filter(|_| gone);
            // Before another pairing can begin.
            let sequence = self.draw();
            let next = match ends {
                Some(_) => Versioned(0),
                None => paired,
            };
            let next = next.with_version(after);
            if self.account.address.exchange(paired.0, next.0).is_ok()
                && let Some(ended) = ends
            {
                self.unbound.set(Some((sequence, ended)));
            }
        }
        let done = retiring.next_version();
        let _ = self.account.taken.exchange(retiring.0, done.0);
    }

    fn draw(&self) -> u64 {
        self.events.map_or(0, EventRings::draw)
    }

    /// Whether a refusal is to be told: once, until [`recover`](Self::recover).
    pub(crate) fn tell_once(&self, protocol: Protocol) -> bool {
        let bit = 1 << protocol.as_index();
        self.active()
            .is_some_and(|active| active.told.set_bits(bit) & bit == 0)
    }

    /// After a lease: a refusal is told again once the subscriber is well below its limit.
    pub(crate) fn recover(&self, protocol: Protocol, limit: &SubscriberLimit) {
        let bit = 1 << protocol.as_index();
        let Some(active) = self.active().filter(|active| active.told.get() & bit != 0) else {
            return;
        };
        let held = self.taken().since(self.rested());
        let spare = limit.each[protocol.as_index()].map_or(0, |most| most / 8);
        if limit.allows(held, protocol, spare + 1) {
            active.told.clear_bits(bit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_tells_how_long_ago_its_slice_was() {
        let round = 65_535;
        for now in [0, 5, round - 1, round, round + 1, 200_000, 1 << 40] {
            for ago in [0, 1, 2, 17, 127, 1_000, 65_533, 65_534] {
                if ago <= now {
                    assert_eq!(age(tag(now - ago), now), ago, "{now}");
                }
            }
            assert_ne!(tag(now), 0);
        }
    }
}
