//! Subscribers' books: a table with its clock and epoch.

use std::time::Duration;

use crate::clock::Clock;
use crate::fair::{Books, Pairing, SubscriberLimit, Table};
use crate::protocol::Protocol;
use crate::reclaim::{Participant, Pin, Reclaimer};
use crate::tick::Tick;

const TCP: Protocol = Protocol::Tcp;

/// Accounts of one pool. A tick is a slice, and a port rests for [`REST`](Self::REST) of them, or
/// not at all.
pub struct Ledger {
    table: Table,
    clock: Clock,
    reclaimer: Reclaimer,
    limit: SubscriberLimit,
}

impl Ledger {
    pub const REST: u64 = 3;

    /// For subscribers that may hold so many ports each.
    pub fn new(rests: bool, limit: u16) -> Self {
        let hold_down = if rests { Self::REST - 1 } else { 0 };
        let clock = Clock::new(Duration::from_millis(hold_down));
        assert_eq!(clock.rest(), if rests { Self::REST } else { 0 });
        Ledger {
            table: Table::new(16),
            clock,
            reclaimer: Reclaimer::default(),
            limit: SubscriberLimit::new().ports(TCP, limit),
        }
    }

    pub fn join(&self) -> Participant {
        self.reclaimer.join()
    }

    /// For models in which nothing is deferred.
    pub fn pretend(&self) -> Pin<'_> {
        self.reclaimer.pretend()
    }

    /// Brings a tick.
    pub fn bring(&self, slice: u64) {
        self.clock.bring(Tick::from_millis(slice));
    }

    pub fn slice(&self) -> u64 {
        self.clock.slice()
    }

    /// The number of a subscriber's account.
    pub fn meet(&self, subscriber: u64) -> u32 {
        self.table.find_or_insert(0, subscriber).unwrap()
    }

    pub fn account<'a>(&'a self, number: u32, pin: &'a Pin<'a>) -> Account<'a> {
        let books = Books::open(&self.table, number, &self.clock, None, pin).unwrap();
        let limit = &self.limit;
        Account { books, limit }
    }
}

/// The books of one subscriber.
pub struct Account<'a> {
    books: Books<'a>,
    limit: &'a SubscriberLimit,
}

impl Account<'_> {
    /// Whether it was allowed; `ended` hears of each pairing that was ended.
    pub fn charge(&self, mut ended: impl FnMut(u32)) -> bool {
        loop {
            let charged = self.books.charge(TCP, 1, self.limit);
            if let Some(key) = self.ended() {
                ended(key);
            }
            if let Ok(charged) = charged {
                return charged;
            }
        }
    }

    pub fn uncharge(&self) {
        self.books.uncharge(TCP, 1);
    }

    pub fn release(&self) {
        self.books.release(TCP);
    }

    pub fn settle(&self) -> bool {
        self.books.settle()
    }

    pub fn held(&self) -> u16 {
        self.books.held()[TCP.as_index()]
    }

    pub fn retire(&self) -> bool {
        self.books.retire()
    }

    /// The number of the active part.
    pub fn part(&self) -> Option<u32> {
        self.books.part()
    }

    /// The address paired with, and whether it was made so here.
    pub fn pair(&self, key: u32) -> (u32, bool) {
        let (paired, fresh) = self.books.pair(Pairing { space: 0, key });
        (paired.key, fresh.is_some())
    }

    pub fn pairing(&self) -> Option<u32> {
        self.books.pairing().map(|paired| paired.key)
    }

    /// The pairing that was ended here.
    pub fn ended(&self) -> Option<u32> {
        self.books.take_unbound().map(|(_, paired)| paired.key)
    }

    pub fn charge_block(&self, most: u16) -> bool {
        self.books.charge_block(TCP, most, most)
    }

    pub fn uncharge_block(&self) {
        self.books.uncharge_block(TCP);
    }

    pub fn note_block(&self, bits: u64) {
        self.books.note_block(bits);
    }

    pub fn forget_block(&self, bits: u64) -> bool {
        self.books.forget_block(bits)
    }

    pub fn blocks(&self) -> Vec<u64> {
        self.books.blocks().collect()
    }
}
