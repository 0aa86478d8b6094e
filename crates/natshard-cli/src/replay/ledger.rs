//! What one worker writes down: counts, what the verifier needs, what the outputs show.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};

use hashbrown::HashMap;
use natshard::{AllocError, Protocol, Reason, Steering, Tick};
use natshard_nat::packet::{Link, View, dissect};
use natshard_nat::{Direction, Event, MappingInfo, ReleasedFrame, Sink, Verdict, VpcId};

use super::batch::Item;
use super::context::Context;
use super::counts::Counts;
use super::facts::{End, Facts, NoRoute, Route};
use super::leases::{LeaseSample, Leases};
use super::packets::Packets;
use super::shares::{QUOTAS, Refused};
use super::tap::OFTEN;
use crate::verify::Findings;
use crate::verify::checksum::spoilt;
use crate::verify::stray::strayed;
use crate::verify::tenure::{Inside, Public, Tenures};
use crate::verify::wire::{Ip, WireEnd};

/// A packet that was given to the NAT.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// Its place in the output: the frame, and which copy of it.
    pub(super) place: (u64, u32),
    pub(super) at: u64,
    pub(super) wire_len: u32,
    pub(super) linktype: u16,
    /// What it held when it was captured.
    pub(super) view: View,
    /// Of a reply: whether its public tuple still was its flow's when it came.
    pub(super) is_current: bool,
}

impl Pending {
    pub(super) fn new(item: &Item, copy: u32, view: View) -> Self {
        Pending {
            place: (item.number, copy),
            at: item.at,
            wire_len: item.wire_len,
            linktype: item.linktype,
            view,
            is_current: true,
        }
    }
}

/// A fragment that the NAT holds.
struct Held {
    pending: Pending,
    /// As it was captured; of a reply, as it must come back.
    captured: Vec<u8>,
    /// Of a reply, as it was given to the NAT.
    outside: Option<Vec<u8>>,
}

/// The book of one worker.
pub(crate) struct Ledger<'c> {
    context: &'c Context,
    /// Where the engine would steer replies to.
    steering: Steering,
    pub(crate) counts: Counts,
    pub(crate) findings: Findings,
    pub(crate) facts: Facts,
    pub(crate) tenures: Tenures,
    /// Leases refused, by reason.
    pub(crate) refused: [u64; AllocError::ALL.len()],
    /// How often each host was refused more than it may have.
    pub(crate) refused_hosts: Refused,
    /// Where ports fell, for the report.
    pub(crate) leases: Leases,
    /// Translated packets, for `--out`.
    pub(crate) packets: Packets,
    held: HashMap<u64, Held>,
    tokens: u64,
    now: Tick,
    /// What the NAT told since the engine's events were drained.
    told: u32,
}

impl<'c> Ledger<'c> {
    pub(super) fn new(context: &'c Context) -> Self {
        Ledger {
            context,
            steering: context.engine.steering(),
            counts: Counts::default(),
            findings: Findings::default(),
            facts: Facts::default(),
            tenures: Tenures::default(),
            refused: [0; AllocError::ALL.len()],
            refused_hosts: Refused::default(),
            leases: Leases::new(context.keep_leases),
            packets: Packets::default(),
            held: HashMap::new(),
            tokens: 0,
            now: Tick::ZERO,
            told: 0,
        }
    }

    /// Drains the engine's events, lest they find their ring full.
    pub(super) fn drain(&mut self) {
        if let Some(tap) = &self.context.tap {
            tap.drain();
        }
        self.told = 0;
    }

    /// All that is written down from now on happens at that time.
    pub(super) fn at(&mut self, now: Tick) {
        self.now = now;
    }

    /// How to readdress a captured reply.
    pub(super) fn route(&mut self, reply: &View) -> Result<Route, NoRoute> {
        let remembered = self.context.plan.nat.fragments().timeout;
        self.facts.route(reply, self.now, remembered)
    }

    /// A name for a packet that may be held.
    pub(super) fn next_token(&mut self) -> u64 {
        self.tokens += 1;
        self.tokens
    }

    /// The NAT keeps a packet for now.
    pub(super) fn hold(
        &mut self,
        token: u64,
        pending: Pending,
        captured: &[u8],
        outside: Option<Vec<u8>>,
    ) {
        let captured = captured.to_vec();
        let held = Held {
            pending,
            captured,
            outside,
        };
        self.held.insert(token, held);
    }

    /// Whether the tuple that a reply is readdressed to still is its inside endpoint's.
    pub(super) fn is_current(&self, route: &Route, reply: &View) -> bool {
        let Some((protocol, public, inside)) = route.public else {
            return true;
        };
        let Some(realm) = self.context.realm(route.vpc, public.address) else {
            return true;
        };
        let Some(vpc) = self.context.plan.inside_vpc(reply.destination()) else {
            return true;
        };
        let public = Public {
            realm,
            end: wire_end(protocol, public),
        };
        let inside = Inside {
            vpc: vpc.as_u32(),
            end: wire_end(protocol, inside),
        };
        self.tenures.is_open(public, inside)
    }

    /// Whether a reply to that tuple would be steered to the shard of that number.
    pub(super) fn is_steered_to(&self, route: &Route, shard: usize) -> Steered {
        let Some((protocol, public, _)) = route.public else {
            return Steered::Here;
        };
        let realm = self.context.realm(route.vpc, public.address);
        let Some(realm) = realm.and_then(|it| self.context.realm_id(it)) else {
            return Steered::Here;
        };
        let public = SocketAddr::new(public.address, public.port);
        match self.steering.owner(realm, protocol, public) {
            Some(owner) if owner.as_index() == shard => Steered::Here,
            Some(_) => Steered::Elsewhere,
            None => Steered::Nowhere,
        }
    }

    /// Looks for checksums that rewriting has spoilt.
    pub(super) fn check_sums(&mut self, linktype: u16, before: &[u8], after: &[u8]) {
        if let (Some(before), Some(after)) = (
            Ip::of_frame(linktype, before),
            Ip::of_frame(linktype, after),
        ) {
            self.findings.bad_checksums += spoilt(&before, &after);
        }
    }

    /// A packet from inside has got its verdict; `after` is what it became.
    pub(super) fn settle_out(
        &mut self,
        pending: &Pending,
        link: Link,
        before: &[u8],
        after: &[u8],
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Translated {
                direction: Direction::Outbound,
                to,
            } => {
                self.counts.inside_to_outside += 1;
                self.note_out(pending, link, before, after, to);
                if self.context.keep_packets {
                    self.packets.push(pending, before, after, true);
                }
            }
            Verdict::Translated { direction, .. } => self.counts.dropped(direction.name(), 1),
            other => self.settle_elsewhere(other),
        }
    }

    fn note_out(&mut self, pending: &Pending, link: Link, before: &[u8], after: &[u8], to: VpcId) {
        let linktype = pending.linktype;
        let (Some(was), Some(is)) = (
            Ip::of_frame(linktype, before),
            Ip::of_frame(linktype, after),
        ) else {
            return;
        };
        self.findings.bad_checksums += spoilt(&was, &is);
        let licence = self.context.licence;
        self.findings.stray_changes += u64::from(strayed(before, after, &was, licence));
        if let (Some(inside), Some(public)) = (was.sender(), is.sender())
            && inside != public
        {
            self.seen(inside, public, to);
        }
        if let Ok(view) = dissect(link, after) {
            self.facts.learn(&pending.view, &view, to);
        }
    }

    /// A frame showed that inside endpoint under that public tuple.
    fn seen(&mut self, inside: WireEnd, public: WireEnd, to: VpcId) {
        let Some(vpc) = self.context.plan.inside_vpc(inside.address) else {
            return;
        };
        if let Some(realm) = self.context.realm(to, public.address) {
            let vpc = vpc.as_u32();
            self.tenures.seen(
                Public { realm, end: public },
                Inside { vpc, end: inside },
                self.now.as_millis(),
            );
        }
    }

    /// A packet from outside has got its verdict: it should be `expected` now, and was `outside`
    /// (empty where nobody wants to know).
    pub(super) fn settle_in(
        &mut self,
        pending: &Pending,
        expected: &[u8],
        outside: &[u8],
        after: &[u8],
        verdict: Verdict,
    ) {
        match verdict {
            Verdict::Translated {
                direction: Direction::Inbound,
                ..
            } if after == expected => {
                self.counts.outside_to_inside += 1;
                self.findings.round_trips += 1;
                if self.context.keep_packets {
                    self.packets.push(pending, after, outside, false);
                }
            }
            // The tuple had been given to somebody else meanwhile, whose packet this is now.
            Verdict::Translated { .. } if !pending.is_current => {
                self.counts.dropped("mapping_gone", 1);
            }
            Verdict::Translated { .. } => {
                self.counts.outside_to_inside += 1;
                self.findings.round_trip_mismatches += 1;
            }
            other => self.settle_elsewhere(other),
        }
    }

    fn settle_elsewhere(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Untouched(reason) => self.counts.untouched(reason.name(), 1),
            Verdict::Dropped(reason) => self.counts.dropped(reason.name(), 1),
            Verdict::Held | Verdict::Translated { .. } => {
                unreachable!("settled where it is known which way the packet goes")
            }
        }
    }

    /// Counts what the NAT held and never gave back.
    pub(super) fn abandon(&mut self) {
        let held = self.held.drain().count() as u64;
        if held > 0 {
            self.counts.dropped("held_for_ever", held);
        }
    }
}

/// Where the engine says that a reply belongs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Steered {
    /// To the shard asked about.
    Here,
    /// To another one.
    Elsewhere,
    /// The tuple is nobody's.
    Nowhere,
}

/// A ledger that a burst and the worker around it write to in turns.
pub(super) struct Book<'c>(pub(super) RefCell<Ledger<'c>>);

impl Sink for &Book<'_> {
    fn event(&mut self, event: &Event) {
        let mut ledger = self.0.borrow_mut();
        ledger.told += 1;
        if ledger.told >= OFTEN {
            ledger.drain();
        }
        match event {
            Event::LeaseAllocated { at, mapping } => {
                ledger.leases.push(LeaseSample {
                    at: *at,
                    public: mapping.public,
                    protocol: mapping.protocol,
                });
            }
            Event::LeaseReleased {
                at,
                mapping,
                reason,
            } => ledger.ended(*at, mapping, *reason),
            Event::LeaseRefused { reason, tuple, .. } => {
                ledger.refused[*reason as usize] += 1;
                if QUOTAS.contains(reason) {
                    let host = (tuple.source_vpc, tuple.source);
                    *ledger.refused_hosts.entry(host).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn frame(&mut self, frame: ReleasedFrame<'_>) {
        let mut ledger = self.0.borrow_mut();
        let Some(held) = ledger.held.remove(&frame.token) else {
            return;
        };
        let captured = &held.captured;
        match &held.outside {
            None => {
                ledger.settle_out(
                    &held.pending,
                    frame.link,
                    captured,
                    frame.bytes,
                    frame.verdict,
                );
            }
            Some(outside) => {
                ledger.settle_in(&held.pending, captured, outside, frame.bytes, frame.verdict);
            }
        }
    }
}

impl Ledger<'_> {
    fn ended(&mut self, at: Tick, mapping: &MappingInfo, reason: Reason) {
        let address = mapping.public.ip();
        let Some(realm) = self.context.realm(mapping.outside_vpc, address) else {
            return;
        };
        let needs_no_rest = match reason {
            Reason::Unused => true,
            Reason::Closed => self.context.reuses_closed(mapping.outside_vpc, address),
            _ => false,
        };
        let end = |end: SocketAddr| {
            wire_end(
                mapping.protocol,
                End {
                    address: end.ip(),
                    port: end.port(),
                },
            )
        };
        self.tenures.ended(
            Public {
                realm,
                end: end(mapping.public),
            },
            Inside {
                vpc: mapping.inside_vpc.as_u32(),
                end: end(mapping.inside),
            },
            at.as_millis(),
            needs_no_rest,
        );
    }
}

/// An end as the wire shows it.
fn wire_end(protocol: Protocol, end: End) -> WireEnd {
    WireEnd {
        protocol: match (protocol, end.address) {
            (Protocol::Tcp, _) => 6,
            (Protocol::Udp, _) => 17,
            (Protocol::Icmp, IpAddr::V4(_)) => 1,
            (Protocol::Icmp, IpAddr::V6(_)) => 58,
        },
        port: end.port,
        address: end.address,
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
