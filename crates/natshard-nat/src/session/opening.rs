//! The short way into the table: sessions that packets in plain form make from inside, with a lease
//! of their own.
//!
//! What such a packet is found by is hashed once, and looked at once: a newcomer has no session, no
//! mapping, and no mapping to go to. What is out of the ordinary is left to the long way before
//! anything has been changed.

use std::net::SocketAddr;

use natshard::Tick;

use super::entry::{End, Ends, Key, Kind, PLAIN, end_of};
use super::table::{MappingHashes, SessionTable, public_place};
use super::{Half, Hint, MappingId, Moment, Passage, SessionId};
use crate::addr::Addr;
use crate::config::PeeringIndex;
use crate::packet::PlainPacket;
use crate::tuple::VpcId;

/// The sender of a plain packet that makes a session with a new mapping, as far as a
/// [`SessionTable`] has looked at it.
#[derive(Clone, Copy, Debug)]
pub struct Newcomer {
    vpcs: [VpcId; 2],
    endpoint_independent: bool,
    question: u32,
    inside: u32,
    host: u32,
    /// Where the host is.
    place: Option<u32>,
}

impl Newcomer {
    /// The VPC it is in, and the one it sends to.
    #[must_use]
    pub const fn vpcs(&self) -> [VpcId; 2] {
        self.vpcs
    }
}

/// What the session of a newcomer is made of, beside its packet.
#[derive(Debug)]
pub struct NewLease<L> {
    /// The lease of its public tuple.
    pub lease: L,
    /// That tuple.
    pub public: SocketAddr,
    /// The peering, in the moment's generation.
    pub peering: PeeringIndex,
    /// When it ends unless it is refreshed.
    pub deadline: Tick,
}

/// A session that was made for a packet.
#[derive(Clone, Copy, Debug)]
pub struct Admitted {
    /// The session.
    pub session: SessionId,
    /// What becomes of the packet; `None` if it has to go the long way along its session.
    pub passage: Option<Passage>,
}

fn remote_of(packet: &PlainPacket) -> End {
    (packet.destination, packet.destination_port().as_u16())
}

impl<L> SessionTable<L> {
    /// The mapping that owns a public tuple.
    #[inline(always)]
    pub(super) fn public_mapping(&self, outside: VpcId, kind: Kind, public: End) -> Option<u32> {
        // Nearly all addresses are nobody's.
        match self.publics[public_place(outside, public.0)] {
            0 => None,
            _ => self.public_mapping_there(outside, kind, public),
        }
    }

    fn public_mapping_there(&self, outside: VpcId, kind: Kind, public: End) -> Option<u32> {
        let (address, port) = public;
        let key = Key::of_public(outside, kind, address, port);
        self.by_public.find(self.secret.hash(&key), |index| {
            self.ends(&self.mappings[index]).public_key() == key
        })
    }

    /// The endpoint-independent mapping of an inside endpoint, under the hash of its key.
    #[inline]
    pub(super) fn inside_mapping(&self, hash: u32, key: &Key) -> Option<MappingId> {
        let found = self.by_inside.find(hash, |index| {
            self.ends(&self.mappings[index]).inside_key() == *key
        })?;
        Some(MappingId(found))
    }

    #[inline]
    pub(super) fn newcomer_of(
        &self,
        vpcs: [VpcId; 2],
        endpoint_independent: bool,
        packet: &PlainPacket,
        hint: &Hint,
    ) -> Option<Newcomer> {
        let kind = Kind::of(packet.protocol, packet.v6);
        let port = packet.source_port().as_u16();
        let inside_key = Key::of_inside(vpcs, kind, packet.source, port);
        let inside = self.secret.hash(&inside_key);
        let host_key = Key::of_host(vpcs, packet.v6, packet.source);
        let host = self.secret.hash(&host_key);
        self.hosts.prefetch(host);
        let is_public = |vpc| self.public_mapping(vpc, kind, remote_of(packet)).is_some();
        if is_public(vpcs[0])
            || is_public(vpcs[1])
            || endpoint_independent && self.inside_mapping(inside, &inside_key).is_some()
        {
            return None;
        }
        Some(Newcomer {
            vpcs,
            endpoint_independent,
            question: hint.hash,
            inside,
            host,
            place: self.hosts.place(&host_key, host),
        })
    }

    /// The public address that mappings of the newcomer's host share.
    #[inline]
    pub(super) fn pair_of(&self, newcomer: &Newcomer, packet: &PlainPacket) -> Option<Addr> {
        let key = Key::of_host(newcomer.vpcs, packet.v6, packet.source);
        self.hosts.public_address(newcomer.place, &key)
    }

    #[inline]
    pub(super) fn admit_newcomer(
        &mut self,
        newcomer: &Newcomer,
        packet: &PlainPacket,
        new: NewLease<L>,
        moment: &Moment<'_>,
    ) -> Result<Admitted, L> {
        let remote = remote_of(packet);
        let (public, public_port) = end_of(new.public);
        let ends = Ends {
            vpcs: newcomer.vpcs,
            kind: Kind::of(packet.protocol, packet.v6),
            inside: packet.source,
            inside_port: packet.source_port().as_u16(),
            public,
            public_port,
        };
        let answers = ends.answer_key(remote);
        let hashes = MappingHashes {
            inside: newcomer.inside,
            public: self.secret.hash(&ends.public_key()),
            host: newcomer.host,
            place: newcomer.place,
        };
        let answer = self.secret.hash(&answers);
        self.flows.prefetch(answer);
        self.by_public.prefetch(hashes.public);
        // The packet's own addresses were looked at before.
        let is_plain = ends.is_plain();
        if self
            .flows
            .find(answer, |entry| self.reads(entry, &answers))
            .is_some()
        {
            return Err(new.lease);
        }
        let mapping = self.mapping_with(&ends, Some(new.lease), newcomer.endpoint_independent);
        let mapping = self.insert_mapping(mapping, &ends, &hashes);
        let flags = if is_plain { PLAIN } else { 0 };
        let made = (mapping, new.peering, moment.generation, new.deadline);
        let index = self.insert_session(&ends, [remote; 2], flags, made);
        self.list_flows(index, [newcomer.question, answer]);
        let passage = if is_plain {
            self.pass(index, Half::Inside, packet, moment)
        } else {
            None
        };
        let session = SessionId(index);
        Ok(Admitted { session, passage })
    }
}
