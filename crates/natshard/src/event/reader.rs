//! The one reader of an engine's events.

use std::sync::Arc;

use super::{Event, EventRings};
use crate::sync::Flag;

/// Takes events: a log, an IPFIX exporter, a counter.
pub trait EventSink {
    /// One event.
    fn event(&mut self, event: &Event);

    /// So many events of one shard (or, with `None`, of leases dropped outside of any) were lost
    /// since the last call, because the reader came too late.
    #[expect(unused_variables, reason = "whoever counts them says so")]
    fn lost(&mut self, shard: Option<usize>, events: u64) {}
}

impl<F: FnMut(&Event)> EventSink for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

/// Drains the events of an engine. There is one at a time; dropping it lets another be had.
#[derive(Debug)]
pub struct EventReader {
    rings: Arc<EventRings>,
    taken: Arc<Flag>,
    /// What was reported as lost, by ring.
    reported: Vec<u64>,
    batch: Vec<Event>,
}

impl EventReader {
    /// A reader, unless there is one.
    pub(crate) fn take(rings: &Arc<EventRings>, taken: &Arc<Flag>) -> Option<Self> {
        taken.raise().then(|| EventReader {
            rings: Arc::clone(rings),
            taken: Arc::clone(taken),
            reported: rings.rings.iter().map(|_| 0).collect(),
            batch: Vec::new(),
        })
    }

    /// Hands every event that waits to the sink, in the order of their numbers; says how many.
    ///
    /// An event that a shard is about to write while this runs comes with the next call, then
    /// perhaps after one with a larger number.
    pub fn drain(&mut self, sink: &mut impl EventSink) -> usize {
        self.batch.clear();
        for ring in &self.rings.rings {
            // No more than were there: a busy shard could otherwise keep this going for ever.
            let waiting = ring.events.len();
            self.batch
                .extend((0..waiting).map_while(|_| ring.events.pop()));
        }
        self.batch.sort_unstable_by_key(|event| event.sequence);
        let shards = self.rings.rings.len() - 1;
        for (index, ring) in self.rings.rings.iter().enumerate() {
            let lost = ring.lost.get();
            let fresh = lost - self.reported[index];
            if fresh > 0 {
                self.reported[index] = lost;
                sink.lost((index < shards).then_some(index), fresh);
            }
        }
        for event in &self.batch {
            sink.event(event);
        }
        self.batch.len()
    }
}

impl Drop for EventReader {
    fn drop(&mut self) {
        self.taken.set(false);
    }
}
