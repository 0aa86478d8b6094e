//! A mutex around something that a thread would use alone.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use roaring::RoaringBitmap;

use crate::bench::window::Ports;

/// A first-in-first-out free list behind a mutex: ports rest for as long as it is.
#[derive(Clone, Debug)]
pub struct LockedQueue(Arc<Mutex<VecDeque<u32>>>);

impl LockedQueue {
    /// So many ports.
    #[must_use]
    pub fn new(ports: u32) -> Self {
        LockedQueue(Arc::new(Mutex::new((0..ports).collect())))
    }
}

impl Ports for LockedQueue {
    type Lease = u32;

    #[inline]
    fn lease(&mut self) -> Option<u32> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.pop_front()
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        queue.push_back(port);
    }
}

/// A compressed bitmap of free ports behind a mutex. Looks on from where it found the last one,
/// which costs it less than taking the smallest.
#[derive(Clone, Debug)]
pub struct LockedBitmap(Arc<Mutex<(RoaringBitmap, u32)>>);

impl LockedBitmap {
    /// So many ports.
    #[must_use]
    pub fn new(ports: u32) -> Self {
        let mut free = RoaringBitmap::new();
        free.insert_range(0..ports);
        LockedBitmap(Arc::new(Mutex::new((free, 0))))
    }

    /// Leases this very port.
    pub fn reserve(&mut self, port: u32) -> bool {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.remove(port)
    }
}

impl Ports for LockedBitmap {
    type Lease = u32;

    fn lease(&mut self) -> Option<u32> {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (free, from) = &mut *inner;
        let port = free.range(*from..).next().or_else(|| free.min())?;
        free.remove(port);
        *from = port + 1;
        Some(port)
    }

    fn give_back(&mut self, port: u32) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.insert(port);
    }
}
