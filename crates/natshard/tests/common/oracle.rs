//! One cell per tuple, written when leased and when given back (F35).
//!
//! A record made after a call cannot tell a duplicate from a fast reuse; a cell that only the
//! holder of the tuple writes can. Two things are checked at once: that nobody else holds the
//! tuple, and that what the holder before did is visible to this one, which the engine owes
//! whoever it hands a tuple to. The cells are plain memory: where the engine broke its promise,
//! two threads touch one without order between them, and a race detector says so.

use std::cell::UnsafeCell;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use natshard::{Lease, Protocol};

/// What a cell holds: nobody's since the start, since a time, or somebody's.
const NEVER: u64 = 0;
const HELD: u64 = 1 << 63;

/// The cells of the addresses of one IPv4 prefix of up to 2^8 addresses, one realm.
pub struct Oracle {
    addresses: usize,
    hold_down: u64,
    cells: Box<[UnsafeCell<u64>]>,
    /// Of the monotone variant: how often each tuple was ever leased.
    ever: Box<[AtomicU64]>,
}

// SAFETY: a cell is touched only by who holds its tuple, and the engine hands tuples over in
// order. That this is so is what the oracle is there to show: were it not, the threads would
// race here, on words, which no test that passes does.
unsafe impl Sync for Oracle {}

impl Oracle {
    /// For so many addresses (a power of two), told apart by their last octet, and ports that
    /// rest so long.
    pub fn new(addresses: usize, hold_down: u64) -> Self {
        assert!(addresses.is_power_of_two() && addresses <= 256);
        let tuples = (addresses * Protocol::ALL.len()) << 16;
        Oracle {
            addresses,
            hold_down,
            cells: (0..tuples).map(|_| UnsafeCell::new(NEVER)).collect(),
            ever: (0..tuples / 64).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn place(&self, lease: &Lease) -> usize {
        let IpAddr::V4(ip) = lease.addr().ip() else {
            panic!("IPv4 only: {lease:?}")
        };
        let address = ip.octets()[3] as usize & (self.addresses - 1);
        let protocol = lease.protocol() as usize;
        (address * Protocol::ALL.len() + protocol) << 16 | lease.addr().port() as usize
    }

    fn read(&self, place: usize) -> u64 {
        // SAFETY: the caller holds the tuple; see `Sync`.
        unsafe { self.cells[place].get().read_volatile() }
    }

    fn write(&self, place: usize, value: u64) {
        // SAFETY: as in `read`.
        unsafe { self.cells[place].get().write_volatile(value) }
    }

    /// `who` was given a lease, at a time that is not before engine time then.
    #[track_caller]
    pub fn leased(&self, lease: &Lease, who: u32, now: u64) {
        let place = self.place(lease);
        let before = self.read(place);
        assert_eq!(
            before & HELD,
            0,
            "{lease:?} of {who} is held by {}",
            before as u32
        );
        if before != NEVER {
            let released = before - 1;
            assert!(
                now >= released.saturating_add(self.hold_down),
                "{lease:?} rested from {released} to {now} only"
            );
        }
        self.write(place, HELD | u64::from(who));
        let (word, bit) = (place / 64, 1 << (place % 64));
        if self.ever[word].load(Ordering::Relaxed) & bit == 0 {
            self.ever[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// `who` is about to give a lease back, at a time that is not after engine time then.
    #[track_caller]
    pub fn released(&self, lease: &Lease, who: u32, now: u64) {
        self.still(lease, who);
        self.write(self.place(lease), now + 1);
    }

    /// `who` is about to give a lease back that needs no rest.
    #[track_caller]
    pub fn unused(&self, lease: &Lease, who: u32) {
        self.still(lease, who);
        self.write(self.place(lease), NEVER);
    }

    /// `from` hands a lease over to `to`.
    #[track_caller]
    pub fn handed(&self, lease: &Lease, from: u32, to: u32) {
        self.still(lease, from);
        self.write(self.place(lease), HELD | u64::from(to));
    }

    /// `who` still holds a lease.
    #[track_caller]
    pub fn still(&self, lease: &Lease, who: u32) {
        let held = self.read(self.place(lease));
        assert_eq!(
            held,
            HELD | u64::from(who),
            "{lease:?} was not {who}'s alone"
        );
    }

    /// The monotone variant, for runs in which nothing is given back: nobody ever had the tuple.
    #[track_caller]
    pub fn first(&self, lease: &Lease) {
        let place = self.place(lease);
        let bit = 1 << (place % 64);
        let before = self.ever[place / 64].fetch_or(bit, Ordering::Relaxed);
        assert_eq!(before & bit, 0, "{lease:?} was leased twice");
    }

    /// How many different tuples were ever leased.
    pub fn different(&self) -> u64 {
        let words = self.ever.iter().map(|word| word.load(Ordering::Relaxed));
        words.map(|word| u64::from(word.count_ones())).sum()
    }
}
