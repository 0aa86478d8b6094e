//! Structures made to be shared between threads.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;
use sharded_slab::Slab;

use crate::bench::window::Ports;

/// crossbeam's bounded queue as a free list: ports rest for as long as it is.
#[derive(Clone, Debug)]
pub struct Queue(Arc<ArrayQueue<u32>>);

impl Queue {
    /// So many ports.
    ///
    /// # Panics
    ///
    /// Never: the queue is as large as that.
    #[must_use]
    pub fn new(ports: u32) -> Self {
        let queue = ArrayQueue::new(ports as usize);
        (0..ports).for_each(|port| queue.push(port).expect("as large as the pool"));
        Queue(Arc::new(queue))
    }
}

impl Ports for Queue {
    type Lease = u32;

    #[inline]
    fn lease(&mut self) -> Option<u32> {
        self.0.pop()
    }

    #[inline]
    fn give_back(&mut self, port: u32) {
        self.0.push(port).expect("as large as the pool");
    }
}

/// A slab sharded by thread: hands out indices, grows as it likes, knows no pool.
#[derive(Clone, Debug)]
pub struct ShardedSlab(Arc<Slab<u32>>);

impl ShardedSlab {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        ShardedSlab(Arc::new(Slab::new()))
    }
}

impl Default for ShardedSlab {
    fn default() -> Self {
        ShardedSlab::new()
    }
}

impl Ports for ShardedSlab {
    type Lease = usize;

    #[inline]
    fn lease(&mut self) -> Option<usize> {
        self.0.insert(1)
    }

    #[inline]
    fn give_back(&mut self, port: usize) {
        self.0.remove(port);
    }
}
