//! ICMP errors: they travel along the session of the packet they quote (RFC 5508 section 4).
//!
//! An error neither makes a session nor prolongs one (REQ-6). It need not come from the quoted
//! packet's destination: a router on the way has sent it. On the inside that router's address is
//! translated to the mapping's public one, which is all that the outside may see of it (REQ-5).

use std::net::IpAddr;

use natshard::Protocol;

use super::NatBurst;
use super::flow::{Outcome, Rewrite, edit_refused};
use crate::allocator::NatAllocator;
use crate::event::{SessionInfo, Sink};
use crate::packet::{Edit, Endpoint, HopLimit, Quoted, QuotedTransport, View, apply_quoted};
use crate::port::NatPort;
use crate::reason::DropReason;
use crate::session::{FlowKey, Half, NatSession, NatSessionManager};
use crate::tuple::VpcId;
use crate::verdict::{Direction, Verdict};

/// What an error's own header and the packet it quotes become.
#[derive(Clone, Copy, Debug, Default)]
struct ErrorRewrite {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    quoted: Rewrite,
}

impl ErrorRewrite {
    /// The error comes from outside, about a packet of the inside endpoint.
    fn inward(&mut self, info: &SessionInfo, source: IpAddr) {
        let mapping = &info.mapping;
        if mapping.public != mapping.inside {
            self.destination = Some(mapping.inside.ip());
            self.quoted.source = Some(mapping.inside);
            self.quoted.identifier = Some(mapping.inside.port());
        }
        if info.remote != info.remote_outside {
            self.quoted.destination = Some(info.remote);
            if source == info.remote_outside.ip() {
                self.source = Some(info.remote.ip());
            }
        }
    }

    /// The error comes from inside, about a packet of the remote endpoint.
    fn outward(&mut self, info: &SessionInfo) {
        let mapping = &info.mapping;
        if mapping.public != mapping.inside {
            self.source = Some(mapping.public.ip());
            self.quoted.destination = Some(mapping.public);
            self.quoted.identifier = Some(mapping.public.port());
        }
        if info.remote != info.remote_outside {
            self.destination = Some(info.remote_outside.ip());
            self.quoted.source = Some(info.remote_outside);
        }
    }
}

/// What an answer to the quoted packet would read, where the error comes from.
fn answer(quoted: &Quoted, vpc: VpcId) -> Option<FlowKey> {
    let (protocol, source_port, destination_port) = match quoted.transport() {
        QuotedTransport::Tcp {
            source,
            destination,
            ..
        } => (Protocol::Tcp, destination, source),
        QuotedTransport::Udp {
            source,
            destination,
            ..
        } => (Protocol::Udp, destination, source),
        QuotedTransport::IcmpQuery { identifier, .. } => (Protocol::Icmp, identifier, identifier),
        QuotedTransport::LaterFragment { .. } | QuotedTransport::Other(_) => return None,
    };
    Some(FlowKey {
        vpc,
        protocol,
        source: quoted.destination(),
        destination: quoted.source(),
        source_port: NatPort::new(source_port),
        destination_port: NatPort::new(destination_port),
    })
}

impl<'a, A: NatAllocator, M: NatSessionManager<A::Lease>, S: Sink> NatBurst<'a, A, M, S> {
    /// An ICMP or ICMPv6 error.
    pub(super) fn icmp_error(
        &mut self,
        frame: &mut [u8],
        view: &View,
        quoted: &Quoted,
        vpc: VpcId,
    ) -> Outcome {
        // An error goes to the sender of what it quotes, or it is none of ours.
        let key = answer(quoted, vpc).filter(|key| key.destination == view.destination());
        let Some((key, leg)) = key.and_then(|key| Some((key, self.live(&key)?))) else {
            return Err(self.unmatched(view, vpc));
        };
        if self.is_spent(view) {
            return Err(Verdict::Dropped(DropReason::TtlExceeded));
        }
        let session = self.sessions.session(leg.id);
        let info = session.info();
        let mut rewrite = ErrorRewrite::default();
        let (direction, to) = match leg.half {
            Half::Outside => {
                rewrite.inward(&info, view.source());
                (Direction::Inbound, info.mapping.inside_vpc)
            }
            Half::Inside if session.is_hairpin() => {
                rewrite.outward(&info);
                match self.returning_error(&info, &mut rewrite)? {
                    Some(to) => (Direction::Hairpin, to),
                    None => (Direction::Outbound, info.mapping.outside_vpc),
                }
            }
            Half::Inside => {
                rewrite.outward(&info);
                (Direction::Outbound, info.mapping.outside_vpc)
            }
        };
        let end = |address: IpAddr| Endpoint {
            address,
            port: None,
        };
        let outer = Edit {
            source: rewrite.source.map(end),
            destination: rewrite.destination.map(end),
            hop_limit: self.config.hop_limit(),
        };
        let inner = rewrite.quoted.edit(key.protocol, HopLimit::Keep);
        match apply_quoted(frame, view, &outer, &inner) {
            Ok(()) => Ok((direction, to)),
            Err(error) => Err(edit_refused(error)),
        }
    }

    /// The second leg of an error about a packet that had hairpinned: on to the endpoint that sent
    /// it (RFC 5508 REQ-7 b); `None` if it is for another function instance to travel.
    fn returning_error(
        &mut self,
        info: &SessionInfo,
        rewrite: &mut ErrorRewrite,
    ) -> Result<Option<VpcId>, Verdict> {
        let mapping = &info.mapping;
        let public = NatPort::new(mapping.public.port());
        let key = FlowKey {
            vpc: mapping.outside_vpc,
            protocol: mapping.protocol,
            source: mapping.public.ip(),
            destination: info.remote_outside.ip(),
            source_port: public,
            destination_port: match mapping.protocol {
                Protocol::Tcp | Protocol::Udp => NatPort::new(info.remote_outside.port()),
                Protocol::Icmp => public,
            },
        };
        let Some(leg) = self.live(&key).filter(|leg| leg.half == Half::Outside) else {
            let public = key.destination_endpoint();
            return match self.is_elsewhere(key.vpc, key.protocol, public) {
                true => Ok(None),
                false => Err(Verdict::Dropped(DropReason::IcmpErrorUnmatched)),
            };
        };
        let sender = self.sessions.session(leg.id).info();
        let source = rewrite.source.unwrap_or(mapping.public.ip());
        rewrite.inward(&sender, source);
        Ok(Some(sender.mapping.inside_vpc))
    }

    /// The verdict on an error that belongs to no session: it must not pass where its addresses
    /// would have been translated.
    fn unmatched(&self, view: &View, vpc: VpcId) -> Verdict {
        if self.config.public_pool(vpc, view.destination()).is_some() {
            return Verdict::Dropped(DropReason::IcmpErrorUnmatched);
        }
        let key = FlowKey {
            vpc,
            protocol: Protocol::Icmp,
            source: view.source(),
            destination: view.destination(),
            source_port: NatPort::new(0),
            destination_port: NatPort::new(0),
        };
        match self.selection(&key) {
            Ok(_) => Verdict::Dropped(DropReason::IcmpErrorUnmatched),
            Err(reason) => Verdict::Untouched(reason),
        }
    }
}
