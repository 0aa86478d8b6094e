//! A stand-in, written for this comparison, for the design that the engine's idea comes from: the
//! port allocator of an open-source gateway's stateful NAT (2025).
//!
//! ```text
//!  RwLock: pool ── compressed bitmap of addresses that are free
//!            └──── weak references to addresses in use
//!                    └─ 256 blocks in random order
//!                         ├─ RwLock: thread id -> its current block
//!                         ├─ RwLock: block -> weak reference, while a port of it is leased
//!                         └─ Mutex: 256 bits, allocated from linearly
//! ```
//!
//! A lease takes the lock of the pool three times: to forget addresses that are no longer in use, to
//! find one, and to read how long a session may idle. References are counted as often as there: a
//! weak one is made strong for each address that is looked at, and both that to the address and that
//! to the block are cloned on the way to the port. What it does not take over is the table in which a
//! pool is looked up, because no other case has one.
//!
//! A lease holds its block, a block its address, and whoever drops the last reference gives the
//! thing back. A thread allocates from its current block, or from one that is wholly free, on the
//! first address that has either: holes in other blocks are out of reach until those are empty.

use std::collections::{HashMap, VecDeque};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};
use roaring::RoaringBitmap;

use crate::bench::window::Ports;

/// The blocks of an address: the ports from 1024 on.
const BLOCKS: usize = 252;

/// The pool; clones share it.
#[derive(Clone)]
pub struct Gateway {
    pool: Arc<RwLock<Pool>>,
    /// References made strong under the lock of the pool. The last one to an address must not be dropped
    /// there: its drop takes that lock.
    held: Vec<Arc<Address>>,
}

struct Pool {
    free: RoaringBitmap,
    in_use: VecDeque<Weak<Address>>,
    random: Xoshiro256PlusPlus,
    idle_timeout: Duration,
}

struct Address {
    number: u32,
    pool: Weak<RwLock<Pool>>,
    order: Vec<u8>,
    taken: Vec<AtomicBool>,
    usable: AtomicU16,
    from: AtomicUsize,
    current: RwLock<HashMap<ThreadId, usize>>,
    live: RwLock<HashMap<usize, Weak<Block>>>,
}

struct Block {
    address: Arc<Address>,
    index: usize,
    bits: Mutex<[u128; 2]>,
}

/// A port, given back when it is dropped.
pub struct Port {
    block: Arc<Block>,
    port: u8,
}

impl Gateway {
    /// A pool of so many addresses.
    #[must_use]
    pub fn new(addresses: u32) -> Self {
        let mut free = RoaringBitmap::new();
        free.insert_range(0..addresses);
        let pool = Pool {
            free,
            in_use: VecDeque::new(),
            random: Xoshiro256PlusPlus::seed_from_u64(1),
            idle_timeout: Duration::from_secs(120),
        };
        Gateway {
            pool: Arc::new(RwLock::new(pool)),
            held: Vec::new(),
        }
    }

    /// Forgets addresses that are no longer in use; done for each lease.
    fn clean_up(&mut self) {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        pool.in_use.retain(|it| {
            let address = it.upgrade();
            let used = address.is_some();
            self.held.extend(address);
            used
        });
        drop(pool);
        self.held.clear();
    }

    /// From an address that is in use.
    fn reuse(&mut self) -> Option<Port> {
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        let found = pool.in_use.iter().find_map(|address| {
            let address = address.upgrade()?;
            let port = address
                .has_free_ports()
                .then(|| Arc::clone(&address).allocate());
            self.held.push(address);
            port.flatten()
        });
        drop(pool);
        self.held.clear();
        found
    }

    /// From an address that nobody uses.
    fn open(&self) -> Option<Port> {
        let mut pool = self.pool.write().unwrap_or_else(PoisonError::into_inner);
        let number = pool.free.min()?;
        pool.free.remove(number);
        let address = Arc::new(Address::new(number, &self.pool, &mut pool.random));
        pool.in_use.push_back(Arc::downgrade(&address));
        drop(pool);
        address.allocate()
    }
}

impl Ports for Gateway {
    type Lease = Port;

    fn lease(&mut self) -> Option<Port> {
        self.clean_up();
        let port = self.reuse().or_else(|| self.open())?;
        let pool = self.pool.read().unwrap_or_else(PoisonError::into_inner);
        black_box(pool.idle_timeout);
        Some(port)
    }

    fn give_back(&mut self, lease: Port) {
        drop(lease);
    }
}

impl Address {
    fn new(number: u32, pool: &Arc<RwLock<Pool>>, random: &mut Xoshiro256PlusPlus) -> Self {
        let mut order: Vec<u8> = (4..=255).collect();
        for at in (1..BLOCKS).rev() {
            order.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
        }
        Address {
            number,
            pool: Arc::downgrade(pool),
            order,
            taken: (0..BLOCKS).map(|_| AtomicBool::new(false)).collect(),
            usable: AtomicU16::new(BLOCKS as u16),
            from: AtomicUsize::new(0),
            current: RwLock::default(),
            live: RwLock::default(),
        }
    }

    fn allocate(self: Arc<Self>) -> Option<Port> {
        if let Some(block) = self.current_block()
            && !block.is_full()
            && let Some(port) = block.port()
        {
            return Some(port);
        }
        self.claim()?.port()
    }

    fn has_free_ports(&self) -> bool {
        if self.usable.load(Ordering::Relaxed) > 0 {
            return true;
        }
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        // Nor must the last reference to a block.
        let mut full = Vec::new();
        let found = live.values().filter_map(Weak::upgrade).find_map(|block| {
            if block.is_full() {
                full.push(block);
                return None;
            }
            Some(block)
        });
        drop(live);
        found.is_some()
    }

    fn current_block(&self) -> Option<Arc<Block>> {
        let thread = std::thread::current().id();
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        let index = *current.get(&thread)?;
        drop(current);
        let live = self.live.read().unwrap_or_else(PoisonError::into_inner);
        let block = live.get(&index).cloned();
        drop(live);
        block?.upgrade()
    }

    /// Scans for a block that is wholly free and makes it this thread's current one.
    fn claim(self: &Arc<Self>) -> Option<Arc<Block>> {
        if self.usable.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let from = self.from.load(Ordering::Relaxed);
        let index = (0..BLOCKS).map(|step| (from + step) % BLOCKS).find(|at| {
            let flag = &self.taken[*at];
            flag.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        })?;
        self.usable.fetch_sub(1, Ordering::Relaxed);
        self.from.store(index, Ordering::Relaxed);
        let block = Arc::new(Block {
            address: Arc::clone(self),
            index,
            bits: Mutex::new([0; 2]),
        });
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        live.insert(index, Arc::downgrade(&block));
        drop(live);
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        current.insert(std::thread::current().id(), index);
        Some(block)
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let Some(pool) = self.pool.upgrade() else {
            return;
        };
        let mut pool = pool.write().unwrap_or_else(PoisonError::into_inner);
        pool.free.insert(self.number);
    }
}

impl Block {
    fn is_full(&self) -> bool {
        let bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
        *bits == [u128::MAX; 2]
    }

    fn port(self: Arc<Self>) -> Option<Port> {
        let port = self.allocate()?;
        // A clone, and not the reference that is at hand: as there.
        let block = black_box(Arc::clone(&self));
        Some(Port { block, port })
    }

    fn allocate(&self) -> Option<u8> {
        let mut bits = self.bits.lock().unwrap_or_else(PoisonError::into_inner);
        let half = bits.iter().position(|it| *it != u128::MAX)?;
        let bit = (!bits[half]).trailing_zeros();
        bits[half] |= 1 << bit;
        Some(half as u8 * 128 + bit as u8)
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let address = &self.address;
        let mut live = address.live.write().unwrap_or_else(PoisonError::into_inner);
        live.remove(&self.index);
        drop(live);
        address.taken[self.index].store(false, Ordering::Release);
        address.usable.fetch_add(1, Ordering::Relaxed);
    }
}

impl Port {
    /// Of which address.
    #[must_use]
    pub fn address(&self) -> u32 {
        self.block.address.number
    }

    /// The port's number.
    #[must_use]
    pub fn number(&self) -> u16 {
        u16::from(self.block.address.order[self.block.index]) * 256 + u16::from(self.port)
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let mut bits = self
            .block
            .bits
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        bits[self.port as usize / 128] &= !(1 << (self.port % 128));
    }
}
