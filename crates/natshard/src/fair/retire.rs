//! Taking active parts back from subscribers that hold nothing any more.

use crate::event::EventKind;
use crate::fair::Books;
use crate::fair::account::Untold;
use crate::id::PoolId;
use crate::worker::Work;

/// Active parts looked at per burst (I9), as long as any are due.
const PER_BURST: u64 = 8;
/// One in so many is due in each slice. By the time and not by the burst, so that a loop that polls
/// does not read the books of others, which they write all the time.
const ONE_IN: u64 = 8;
/// Active parts looked at per call of `idle`.
pub(crate) const PER_IDLE: usize = 4096;

impl Work<'_> {
    /// Looks at active parts, so many in a slice.
    #[inline]
    pub(crate) fn retire_in_time(&mut self, slice: u64) {
        if self.worker.retired_in != slice {
            self.worker.retired_in = slice;
            self.worker.retiring = self.inner.ground.accounts.actives().len().div_ceil(ONE_IN);
        }
        let now = self.worker.retiring.min(PER_BURST);
        if now > 0 {
            self.worker.retiring -= now;
            self.retire_accounts(now as usize);
        }
    }

    /// Looks at so many active parts, in turn, and takes back those of subscribers at rest.
    pub(crate) fn retire_accounts(&mut self, budget: usize) {
        let accounts = &self.inner.ground.accounts;
        let all = accounts.actives().len();
        let mut parted = Vec::new();
        for _ in 0..all.min(budget as u64) {
            let active = self.worker.next_active % all;
            self.worker.next_active = active + 1;
            let owner = accounts.actives().owner(active as u32);
            if let Some(books) = owner.and_then(|owner| self.inner.ground.books(owner, self.pin)) {
                books.retire();
                self.tell_unbound(&books);
                parted.extend(books.take_parted());
            }
        }
        if !parted.is_empty() {
            accounts.actives().retire(&parted, self.pin);
        }
    }

    /// Looks at one account whose turn has not come; whether its subscriber holds nothing, and so
    /// is paired no longer.
    pub(super) fn retire_at_once(&self, books: &Books<'_>) -> bool {
        let retired = books.retire();
        self.tell_unbound(books);
        if let Some(parted) = books.take_parted() {
            self.inner
                .ground
                .accounts
                .actives()
                .retire(&[parted], self.pin);
        }
        retired
    }

    /// Charges an account, and tells of every pairing that this ended.
    pub(super) fn charge<T>(&self, books: &Books<'_>, charge: impl Fn() -> Result<T, Untold>) -> T {
        loop {
            let charged = charge();
            self.tell_unbound(books);
            if let Ok(charged) = charged {
                return charged;
            }
        }
    }

    /// Tells of a pairing that an operation on the books ended.
    pub(super) fn tell_unbound(&self, books: &Books<'_>) {
        let Some((sequence, ended)) = books.take_unbound() else {
            return;
        };
        let kind = EventKind::AddressUnbound {
            subscriber: books.subscriber(),
            address: self.inner.address_of(self.layout, ended),
        };
        self.tell_as(sequence, PoolId(books.pool()), kind);
    }
}
