//! Packets of established sessions, one by one or many at once.
//!
//! A packet in plain form ([`PlainPacket`]) whose session lives takes a short way; all others, and
//! all that are new, refused or odd, the long one. Both come to the same verdict, frame and state:
//! the short way gives up before it has changed anything.
//!
//! A batch goes through three rounds. The first hashes every packet and begins to fetch the bucket
//! of the index, the second finds the session there and begins to fetch its line, the third
//! processes one packet after the other as if there had been none of that. So a million sessions
//! cost two overlapped misses per packet instead of two in a row.

use super::{Ingress, NatBurst};
use crate::allocator::NatAllocator;
use crate::event::Sink;
use crate::packet::{HopLimit, PlainPacket};
use crate::prefetch;
use crate::session::{Half, Hint, Moment, NatSessionManager, Travel};
use crate::tuple::VpcId;
use crate::verdict::{Direction, Verdict};

/// Packets whose memory is fetched at once.
const GROUP: usize = 32;

/// A packet in plain form, and where its session is to be looked for.
pub(super) type Plain = (PlainPacket, Hint);

/// How far a packet has come on the short way.
pub(super) enum Express {
    /// All of it, in that direction, to that VPC.
    Gone(Direction, VpcId),
    /// Nowhere: it has no session. Nothing has been changed.
    Stranger,
    /// Nowhere: it has to be looked at more closely. Nothing has been changed.
    Closer,
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// Translates one frame in place. Never panics, whatever the bytes; a frame with another
    /// verdict than [`Verdict::Translated`] is left as it was.
    #[inline]
    pub fn process(&mut self, frame: &mut [u8], ingress: Ingress) -> Verdict {
        let plain = PlainPacket::of(ingress.link, frame).map(|packet| {
            let hint = self.sessions.hint(ingress.vpc, &packet);
            (packet, hint)
        });
        self.step(frame, ingress, plain.as_ref())
    }

    /// Translates frames in place: as [`process`](Self::process) one after the other, but faster.
    /// One verdict for each is put behind those that `verdicts` has.
    pub fn process_batch(
        &mut self,
        batch: &mut [(&mut [u8], Ingress)],
        verdicts: &mut Vec<Verdict>,
    ) {
        verdicts.reserve(batch.len());
        for group in batch.chunks_mut(GROUP) {
            for (frame, _) in group.iter() {
                prefetch::line(&**frame);
            }
            let mut plain = [None; GROUP];
            for ((frame, ingress), plain) in group.iter().zip(&mut plain) {
                *plain = PlainPacket::of(ingress.link, frame).map(|packet| {
                    let hint = self.sessions.hint(ingress.vpc, &packet);
                    self.sessions.fetch(&hint);
                    (packet, hint)
                });
            }
            for ((_, ingress), plain) in group.iter().zip(&mut plain) {
                if let Some((packet, hint)) = plain {
                    self.sessions.approach(ingress.vpc, packet, hint);
                }
            }
            for ((frame, ingress), plain) in group.iter_mut().zip(&plain) {
                verdicts.push(self.step(frame, *ingress, plain.as_ref()));
            }
        }
    }

    #[inline(always)]
    fn step(&mut self, frame: &mut [u8], ingress: Ingress, plain: Option<&Plain>) -> Verdict {
        self.stats.packets += 1;
        let Some(plain) = plain else {
            return self.long_way(frame, ingress, None);
        };
        match self.express(frame, ingress.vpc, plain) {
            Express::Gone(direction, to) => {
                self.stats.translated[direction.as_index()] += 1;
                Verdict::Translated { direction, to }
            }
            Express::Stranger => self.first_way(frame, ingress, plain),
            Express::Closer => self.long_way(frame, ingress, Some(plain)),
        }
    }

    /// The short way, of a packet whose session the long way has just made.
    #[inline(never)]
    pub(super) fn express_after(&mut self, frame: &mut [u8], vpc: VpcId, plain: &Plain) -> Express {
        self.express(frame, vpc, plain)
    }

    /// The short way.
    #[inline(always)]
    fn express(&mut self, frame: &mut [u8], vpc: VpcId, (packet, hint): &Plain) -> Express {
        let hop_limit = self.config.hop_limit();
        if hop_limit == HopLimit::Decrement && packet.hop_limit <= 1 {
            return Express::Closer;
        }
        let passage = match self.sessions.travel(vpc, packet, hint, &self.moment()) {
            Travel::Along(passage) => passage,
            Travel::Stranger => return Express::Stranger,
            Travel::Closer => return Express::Closer,
        };
        packet.replace(frame, &passage.replacement, hop_limit);
        let direction = match passage.half {
            Half::Inside => Direction::Outbound,
            Half::Outside => Direction::Inbound,
        };
        Express::Gone(direction, passage.to)
    }

    #[inline]
    pub(super) fn moment(&self) -> Moment<'a> {
        Moment {
            now: self.now,
            generation: self.generation,
            config: self.config,
        }
    }

    #[inline(never)]
    fn first_way(&mut self, frame: &mut [u8], ingress: Ingress, plain: &Plain) -> Verdict {
        let verdict = match self.first(frame, ingress.vpc, plain) {
            Some(Ok((direction, to))) => Verdict::Translated { direction, to },
            Some(Err(verdict)) => verdict,
            None => return self.long_way(frame, ingress, Some(plain)),
        };
        self.stats.count(verdict);
        verdict
    }

    #[inline(never)]
    fn long_way(&mut self, frame: &mut [u8], ingress: Ingress, plain: Option<&Plain>) -> Verdict {
        let verdict = self.frame(frame, ingress, plain);
        self.stats.count(verdict);
        verdict
    }
}
