//! A window of live leases, and the references that lease into one.

use std::hint::black_box;

use super::case::Worker;

/// Live leases, oldest first: a new one takes the place of the oldest.
#[derive(Debug)]
pub struct Ring<T> {
    slots: Vec<T>,
    at: usize,
}

impl<T> Ring<T> {
    /// Of leases taken already.
    #[must_use]
    pub fn new(slots: Vec<T>) -> Self {
        Ring { slots, at: 0 }
    }

    /// Puts a lease in and takes the oldest out.
    #[inline(always)]
    pub fn swap(&mut self, lease: T) -> T {
        let at = self.at;
        self.at = if at + 1 == self.slots.len() {
            0
        } else {
            at + 1
        };
        std::mem::replace(&mut self.slots[at], lease)
    }

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

/// Leases one and gives the oldest back, over and over.
pub struct Windowed<P: Ports> {
    ports: P,
    ring: Ring<P::Lease>,
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

    /// With these live leases.
    #[must_use]
    pub fn of(ports: P, leases: Vec<P::Lease>) -> Self {
        Windowed {
            ports,
            ring: Ring::new(leases),
        }
    }
}

impl<P: Ports> Worker for Windowed<P> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations {
            match black_box(&mut self.ports).lease() {
                Some(lease) => {
                    let oldest = self.ring.swap(lease);
                    self.ports.give_back(black_box(oldest));
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
        let Windowed { ports, ring } = Windowed::new(ports, window);
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
