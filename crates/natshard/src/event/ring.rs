//! The bounded rings events wait in.

use std::sync::Arc;

use crossbeam_queue::ArrayQueue;

use super::{Event, EventConfig, EventKind};
use crate::id::PoolId;
use crate::sync::Counter;
use crate::tick::Tick;

/// One ring.
#[derive(Debug)]
pub(crate) struct Ring {
    pub(crate) events: ArrayQueue<Event>,
    /// How many found it full.
    pub(crate) lost: Counter,
}

/// The rings of an engine: one for each shard, and the last for whoever drops a lease elsewhere.
#[derive(Debug)]
pub(crate) struct EventRings {
    pub(crate) rings: Box<[Ring]>,
    sequence: Counter,
    pub(crate) leases: bool,
    /// Least time between two events of exhaustion, in milliseconds.
    pub(crate) interval: u64,
}

impl EventRings {
    /// Rings for so many shards; `None` when nothing is to be told.
    pub(crate) fn new(config: EventConfig, shards: usize) -> Option<Arc<Self>> {
        if config.is_off() {
            return None;
        }
        let rings = (0..=shards).map(|_| Ring {
            events: ArrayQueue::new(config.capacity),
            lost: Counter::default(),
        });
        Some(Arc::new(EventRings {
            rings: rings.collect(),
            sequence: Counter::default(),
            leases: config.leases,
            interval: u64::try_from(config.interval.as_millis()).unwrap_or(u64::MAX >> 1),
        }))
    }

    /// The number of an event. Who gives something up draws it before others can have it, who
    /// takes something after he has it: so numbers agree with what happened.
    pub(crate) fn draw(&self) -> u64 {
        self.sequence.draw()
    }

    /// Tells an event; `shard` is `None` outside of any. Never waits. Whether there was room.
    pub(crate) fn tell(
        &self,
        shard: Option<usize>,
        sequence: u64,
        at: Tick,
        pool: PoolId,
        kind: EventKind,
    ) -> bool {
        let ring = &self.rings[shard.unwrap_or(self.rings.len() - 1)];
        let event = Event {
            sequence,
            at,
            pool,
            kind,
        };
        let told = ring.events.push(event).is_ok();
        if !told {
            ring.lost.add(1);
        }
        told
    }

    /// How many events were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.rings.iter().map(|ring| ring.lost.get()).sum()
    }
}
