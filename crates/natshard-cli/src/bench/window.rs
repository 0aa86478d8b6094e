//! A window of live leases, and the references that lease into one.

use std::hint::black_box;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::case::Worker;

/// Live leases, of which one goes for each that comes.
pub trait Live<T>: Send {
    /// Of leases taken already.
    fn of(leases: Vec<T>) -> Self;

    /// Puts a lease in and takes another one out.
    fn swap(&mut self, lease: T) -> T;
}

/// Live leases, oldest first: a new one takes the place of the oldest.
#[derive(Debug)]
pub struct Ring<T> {
    slots: Vec<T>,
    at: usize,
}

impl<T: Send> Live<T> for Ring<T> {
    fn of(slots: Vec<T>) -> Self {
        Ring { slots, at: 0 }
    }

    /// Takes the oldest out.
    #[inline(always)]
    fn swap(&mut self, lease: T) -> T {
        let at = self.at;
        self.at = if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        };
        std::mem::replace(&mut self.slots[at], lease)
    }
}

impl<T> Ring<T> {
    /// The oldest, to be exchanged for a new one.
    #[inline(always)]
    pub fn exchange(&mut self) -> &mut T {
        let at = self.at;
        self.at = if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        };
        &mut self.slots[at]
    }

    /// The slots, in no order.
    pub fn slots(&mut self) -> &mut Vec<T> {
        &mut self.slots
    }
}

/// How many operations ahead it is drawn which lease goes.
const AHEAD: usize = 16;

/// Live leases, of which any goes, each as likely as another.
#[derive(Debug)]
pub struct Urn<T> {
    slots: Vec<T>,
    /// The places of those to go next. Their memory is asked for as they are drawn: it is the bench's,
    /// and larger than the caches, and nobody is to wait for it.
    drawn: [usize; AHEAD],
    at: usize,
    random: Xoshiro256PlusPlus,
}

impl<T: Send> Live<T> for Urn<T> {
    fn of(slots: Vec<T>) -> Self {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
        Urn {
            drawn: std::array::from_fn(|_| draw(&mut random, slots.len())),
            slots,
            at: 0,
            random,
        }
    }

    #[inline(always)]
    fn swap(&mut self, lease: T) -> T {
        let next = draw(&mut self.random, self.slots.len());
        prefetch(&self.slots[next]);
        let gone = std::mem::replace(&mut self.drawn[self.at], next);
        self.at = (self.at + 1) % AHEAD;
        std::mem::replace(&mut self.slots[gone], lease)
    }
}

#[inline(always)]
fn draw(random: &mut Xoshiro256PlusPlus, count: usize) -> usize {
    ((u128::from(random.next_u64()) * count as u128) >> 64) as usize
}

/// Asks for the cache line of something.
#[inline(always)]
fn prefetch<T>(what: &T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: every x86-64 processor has it, and it reads nothing as far as the program can tell.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(what).cast::<i8>()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = what;
}

/// What a reference does: an allocator of ports, as its user sees it.
pub trait Ports: Send {
    /// The right to a port.
    type Lease: Send;

    /// Leases a port.
    fn lease(&mut self) -> Option<Self::Lease>;

    /// Gives one back.
    fn give_back(&mut self, lease: Self::Lease);

    /// Leases every port.
    fn fill(&mut self) -> Vec<Self::Lease> {
        std::iter::from_fn(|| self.lease()).collect()
    }
}

/// Leases one and gives another back, over and over: the oldest, if nothing else is said.
pub struct Windowed<P: Ports, L = Ring<<P as Ports>::Lease>> {
    ports: P,
    live: L,
}

impl<P: Ports> Windowed<P> {
    /// With so many live leases.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn new(mut ports: P, window: usize) -> Self {
        let slots = (0..window).map(|_| ports.lease().expect("more ports than the window"));
        let slots = slots.collect();
        Windowed::of(ports, slots)
    }
}

impl<P: Ports, L: Live<P::Lease>> Windowed<P, L> {
    /// With these live leases.
    #[must_use]
    pub fn of(ports: P, leases: Vec<P::Lease>) -> Self {
        Windowed {
            ports,
            live: L::of(leases),
        }
    }
}

impl<P: Ports, L: Live<P::Lease>> Worker for Windowed<P, L> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations {
            match black_box(&mut self.ports).lease() {
                Some(lease) => {
                    let gone = self.live.swap(lease);
                    self.ports.give_back(black_box(gone));
                }
                None => refused += 1,
            }
        }
        refused
    }
}

/// The same by the batch: 32 are leased, then the 32 oldest given back.
pub struct Batched<P: Ports> {
    ports: P,
    ring: Ring<P::Lease>,
    batch: Vec<P::Lease>,
}

impl<P: Ports> Batched<P> {
    /// With so many live leases.
    ///
    /// # Panics
    ///
    /// When there are not so many.
    pub fn new(ports: P, window: usize) -> Self {
        let Windowed { ports, live: ring } = Windowed::new(ports, window);
        Batched {
            ports,
            ring,
            batch: Vec::with_capacity(32),
        }
    }
}

impl<P: Ports> Worker for Batched<P> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / 32 {
            for _ in 0..32 {
                match black_box(&mut self.ports).lease() {
                    Some(lease) => self.batch.push(lease),
                    None => refused += 1,
                }
            }
            for lease in &mut self.batch {
                let slot = self.ring.exchange();
                std::mem::swap(slot, lease);
            }
            for lease in self.batch.drain(..) {
                self.ports.give_back(lease);
            }
        }
        refused
    }
}
