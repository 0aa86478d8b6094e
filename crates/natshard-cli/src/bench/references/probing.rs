//! Random tries in a shared bitmap, as several NATs do: the number of tries is bounded, and past
//! it they refuse although ports are free.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use crate::bench::window::Ports;

/// A bitmap of atomic words and a generator of one's own.
#[derive(Debug)]
pub struct Probing {
    words: Arc<Vec<AtomicU64>>,
    random: Xoshiro256PlusPlus,
    tries: u32,
}

impl Probing {
    /// So many ports, a multiple of 64, and so many tries.
    #[must_use]
    pub fn new(ports: u32, tries: u32) -> Self {
        Probing {
            words: Arc::new((0..ports / 64).map(|_| AtomicU64::new(0)).collect()),
            random: Xoshiro256PlusPlus::seed_from_u64(1),
            tries,
        }
    }

    /// Another thread's view.
    #[must_use]
    pub fn share(&mut self) -> Self {
        let mut random = self.random.clone();
        random.jump();
        let mine = Probing {
            words: Arc::clone(&self.words),
            random: self.random.clone(),
            tries: self.tries,
        };
        self.random = random;
        mine
    }

    /// Leases this very port.
    #[inline]
    pub fn reserve(&mut self, port: u32) -> bool {
        let bit = 1 << (port % 64);
        self.words[port as usize / 64].fetch_or(bit, Ordering::AcqRel) & bit == 0
    }
}

impl Ports for Probing {
    type Lease = u32;

    #[inline]
    fn lease(&mut self) -> Option<u32> {
        let ports = self.words.len() as u64 * 64;
        for _ in 0..self.tries {
            let port = (((self.random.next_u64() >> 32) * ports) >> 32) as u32;
            let (word, bit) = (&self.words[port as usize / 64], 1 << (port % 64));
            // Looks first: a word that is full is not to be written to.
            if word.load(Ordering::Relaxed) & bit == 0
                && word.fetch_or(bit, Ordering::AcqRel) & bit == 0
            {
                return Some(port);
            }
        }
        None
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        self.words[port as usize / 64].fetch_and(!(1 << (port % 64)), Ordering::AcqRel);
    }

    /// Without tries: the last port would take a million of them.
    fn fill(&mut self) -> Vec<u32> {
        for word in self.words.iter() {
            word.store(u64::MAX, Ordering::Relaxed);
        }
        (0..self.words.len() as u32 * 64).collect()
    }
}
