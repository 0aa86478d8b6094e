//! One shard: its NAT function, and the book that its packets are held against.

use std::cell::RefCell;

use natshard::Tick;
use natshard_nat::packet::{Edit, HopLimit, View, apply};
use natshard_nat::{
    Ingress, NatAllocator, NatBurst, NatFunction, NatSessionManager as _, NatStats, SessionTable,
    Verdict, VpcId,
};

use super::amplify::Copier;
use super::batch::{Batch, Item, Way, steer};
use super::context::Context;
use super::ledger::{Book, Ledger, Pending, Steered};
use super::packets::Packets;

/// Packets between two looks at the function's housekeeping.
const BURST: usize = 256;
/// In a pause of so many milliseconds or more the function does what falls due, as when idle.
const PAUSE: u64 = 1000;
/// Into at most so many steps a pause is divided.
const STEPS: u64 = 64;

/// A worker.
pub(super) struct Worker<'c, A: NatAllocator> {
    function: NatFunction<A, SessionTable<A::Lease>>,
    desk: Desk<'c>,
    copier: Copier,
    /// The packet at work.
    work: Vec<u8>,
    clock: Tick,
}

/// What a worker says at the end of a window.
pub(super) struct Progress {
    /// Sessions alive.
    pub(super) sessions: u64,
    /// Public tuples alive, as the frames show.
    pub(super) tuples: u64,
    /// Translated packets, if they are kept.
    pub(super) packets: Packets,
}

impl<'c, A: NatAllocator> Worker<'c, A> {
    /// The worker of that shard.
    pub(super) fn new(context: &'c Context, shard: usize, allocator: A) -> Self {
        let sessions = SessionTable::new(context.plan.session_limit.unwrap_or(usize::MAX));
        Worker {
            function: NatFunction::new(context.config.clone(), allocator, sessions),
            desk: Desk {
                context,
                shard,
                book: Book(RefCell::new(Ledger::new(context))),
            },
            copier: Copier::default(),
            work: Vec::new(),
            clock: Tick::ZERO,
        }
    }

    /// Does its part of a window.
    pub(super) fn process(&mut self, batch: &Batch) -> Progress {
        self.pass_time(batch.now);
        let desk = &self.desk;
        let (shard, shards) = (desk.shard, desk.context.shards);
        let mut sink = &desk.book;
        let mut mine = batch
            .items
            .iter()
            .flat_map(|item| (0..item.copies.count).map(move |copy| (item, copy)))
            .filter(|(item, copy)| steer(item.copies.address(*copy), shards) == shard)
            .peekable();
        if mine.peek().is_none() {
            // A worker without packets sleeps.
            self.function.idle(self.clock, &mut sink);
        }
        while mine.peek().is_some() {
            let mut burst = self.function.burst(self.clock, &mut sink);
            for (item, copy) in mine.by_ref().take(BURST) {
                let Some((captured, view)) = self.copier.copy(item, batch.frame(item), copy) else {
                    desk.ledger(|it| it.counts.untouched("protocol", 1));
                    continue;
                };
                self.work.clear();
                self.work.extend_from_slice(captured);
                let (pending, frame) = (Pending::new(item, copy, view), &mut self.work);
                match item.way {
                    Way::Out(vpc) => {
                        desk.outbound(&mut burst, item, vpc, pending, captured, frame);
                    }
                    Way::In => desk.inbound(&mut burst, item, pending, captured, frame),
                }
            }
            drop(burst);
            desk.ledger(Ledger::drain);
        }
        let sessions = self.function.sessions().len() as u64;
        desk.ledger(|it| Progress {
            sessions,
            tuples: it.tenures.alive(),
            packets: std::mem::take(&mut it.packets),
        })
    }

    /// Moves the clock. The NAT has its idle moments in a pause, or all its timers would seem to
    /// run out at the end of it.
    fn pass_time(&mut self, now: Tick) {
        let (mut at, end) = (self.clock.as_millis(), now.as_millis());
        let step = PAUSE.max(end.saturating_sub(at) / STEPS);
        while at + step <= end {
            at += step;
            let tick = Tick::from_millis(at);
            self.desk.ledger(|it| it.at(tick));
            self.function.idle(tick, &mut &self.desk.book);
            self.desk.ledger(Ledger::drain);
        }
        self.clock = self.clock.max(now);
        self.desk.ledger(|it| it.at(self.clock));
    }

    /// What the function has counted so far.
    pub(super) fn stats(&self) -> NatStats {
        self.function.stats().clone()
    }

    /// Ends every session and settles what the NAT still held.
    pub(super) fn finish(mut self) -> Ledger<'c> {
        self.function.shutdown(self.clock, &mut &self.desk.book);
        let mut ledger = self.desk.book.0.into_inner();
        ledger.abandon();
        ledger
    }
}

/// Everything of a worker but its function, which a burst borrows.
struct Desk<'c> {
    context: &'c Context,
    shard: usize,
    book: Book<'c>,
}

impl<'c> Desk<'c> {
    fn ledger<T>(&self, note: impl FnOnce(&mut Ledger<'c>) -> T) -> T {
        note(&mut self.book.0.borrow_mut())
    }

    /// Gives a packet of an inside host to the NAT.
    fn outbound<A: NatAllocator>(
        &self,
        burst: &mut NatBurst<'_, A, SessionTable<A::Lease>, &Book<'c>>,
        item: &Item,
        vpc: VpcId,
        pending: Pending,
        captured: &[u8],
        frame: &mut [u8],
    ) {
        let token = self.ledger(Ledger::next_token);
        let link = item.link;
        let verdict = burst.process(frame, Ingress { link, vpc, token });
        self.ledger(|it| match verdict {
            Verdict::Held => it.hold(token, pending, captured, None),
            verdict => it.settle_out(&pending, link, captured, frame, verdict),
        });
    }

    /// Readdresses a captured reply to the public tuple of its flow and gives it to the NAT.
    fn inbound<A: NatAllocator>(
        &self,
        burst: &mut NatBurst<'_, A, SessionTable<A::Lease>, &Book<'c>>,
        item: &Item,
        mut pending: Pending,
        captured: &[u8],
        frame: &mut [u8],
    ) {
        let given = self.ledger(|it| {
            let route = match it.route(&pending.view) {
                Ok(route) => route,
                Err(reason) => {
                    it.counts.untouched(reason.name(), 1);
                    return None;
                }
            };
            if route.readdress(frame, &pending.view).is_err() {
                it.counts.untouched("protocol", 1);
                return None;
            }
            pending.is_current = it.is_current(&route, &pending.view);
            match (it.is_steered_to(&route, self.shard), pending.is_current) {
                (Steered::Here, _) | (Steered::Nowhere, false) => {}
                // It is somebody else's by now, who is not waiting for this packet.
                (Steered::Elsewhere, false) => {
                    it.counts.dropped("mapping_gone", 1);
                    return None;
                }
                // The tuple is alive and here, yet a gateway would not find it.
                (Steered::Elsewhere | Steered::Nowhere, true) => {
                    it.counts.dropped("misdirected", 1);
                    it.findings.round_trip_mismatches += 1;
                    return None;
                }
            }
            it.check_sums(item.linktype, captured, frame);
            let outside = match self.context.keep_packets {
                true => frame.to_vec(),
                false => Vec::new(),
            };
            Some((it.next_token(), route.vpc, outside))
        });
        let Some((token, vpc, outside)) = given else {
            return;
        };
        let link = item.link;
        let verdict = burst.process(frame, Ingress { link, vpc, token });
        let decremented = self.decremented(captured, &pending.view);
        let expected = decremented.as_deref().unwrap_or(captured);
        self.ledger(|it| match verdict {
            Verdict::Held => it.hold(token, pending, expected, Some(outside)),
            verdict => it.settle_in(&pending, expected, &outside, frame, verdict),
        });
    }

    /// The packet with one hop less, if that is what the NAT does.
    fn decremented(&self, captured: &[u8], view: &View) -> Option<Vec<u8>> {
        if self.context.hop_limit == HopLimit::Keep {
            return None;
        }
        let mut frame = captured.to_vec();
        let edit = Edit {
            hop_limit: self.context.hop_limit,
            ..Edit::default()
        };
        apply(&mut frame, view, &edit).ok()?;
        Some(frame)
    }
}
