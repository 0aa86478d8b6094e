//! What the replay knows of flows: which inside tuple is which outside, as the frames showed it.
//!
//! A captured reply carries inside addresses. To hand it to the NAT as the outside would have
//! sent it, it must be *readdressed*, and this is where the addresses are looked up. Nothing here
//! asks the NAT: an outbound packet is compared before and after.

use std::net::IpAddr;
use std::time::Duration;

use hashbrown::HashMap;
use natshard::{Protocol, Tick};
use natshard_nat::VpcId;
use natshard_nat::packet::{
    Edit, EditError, Endpoint, Quoted, QuotedTransport, Transport, View, apply, apply_quoted,
};

/// Datagrams of which the way in is remembered; past that all are forgotten.
const MAX_DATAGRAMS: usize = 1 << 16;

/// One end of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct End {
    /// Address.
    pub(crate) address: IpAddr,
    /// Port, or identifier of an ICMP query.
    pub(crate) port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Key {
    protocol: Protocol,
    inside: End,
    remote: End,
}

/// A flow as it is outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Outside {
    /// The VPC it leads to.
    pub(crate) vpc: VpcId,
    /// What the inside end became.
    pub(crate) public: End,
    /// What the remote end became; the same, but for destination rules.
    pub(crate) remote: End,
}

/// Addresses of one datagram or of two hosts that talk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Pair {
    protocol: u8,
    remote: IpAddr,
    inside: IpAddr,
    /// Identification of the datagram, or `None` for whatever they say to each other.
    datagram: Option<u32>,
}

/// How a captured reply is to be readdressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Route {
    /// The VPC it comes from.
    pub(crate) vpc: VpcId,
    /// The public tuple and the inside end behind it, where the packet has a port or quotes one.
    pub(crate) public: Option<(Protocol, End, End)>,
    outer: Edit,
    quoted: Option<Edit>,
}

/// A fragmented datagram as it is outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Number {
    protocol: u8,
    remote: IpAddr,
    public: IpAddr,
    id: u32,
}

/// Why a captured reply cannot be readdressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum NoRoute {
    /// No outbound packet of its flow was seen.
    NoOutboundBefore,
    /// It is a fragment, and the remote host numbers its datagrams to two inside hosts alike
    /// which share a public address: outside nobody could tell them apart (RFC 6864).
    FragmentIdInUse,
}

impl NoRoute {
    /// Stable name, for counters and JSON keys.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            NoRoute::NoOutboundBefore => "no_outbound_before",
            NoRoute::FragmentIdInUse => "fragment_id_in_use",
        }
    }
}

/// The flows of the inside hosts of one shard.
#[derive(Default)]
pub(crate) struct Facts {
    flows: HashMap<Key, Outside>,
    pairs: HashMap<Pair, Outside>,
    datagrams: HashMap<Pair, Outside>,
    /// The inside host that the datagram of a number is for, and when it was seen first.
    numbers: HashMap<Number, (IpAddr, Tick)>,
}

impl Facts {
    /// An outbound packet was translated: this is what it was and what it became.
    pub(crate) fn learn(&mut self, before: &View, after: &View, vpc: VpcId) {
        let (Some((protocol, inside, remote)), Some((_, public, remote_outside))) =
            (ends(before), ends(after))
        else {
            return;
        };
        let outside = Outside {
            vpc,
            public,
            remote: remote_outside,
        };
        let key = Key {
            protocol,
            inside,
            remote,
        };
        if self.flows.insert(key, outside) != Some(outside) {
            let pair = Pair {
                protocol: before.protocol(),
                remote: remote.address,
                inside: inside.address,
                datagram: None,
            };
            self.pairs.insert(pair, outside);
        }
    }

    /// How to readdress a captured reply, where the NAT remembers fragments for so long.
    ///
    /// # Errors
    /// When that is not known, or would make it another datagram's fragment.
    pub(crate) fn route(
        &mut self,
        reply: &View,
        now: Tick,
        remembered: Duration,
    ) -> Result<Route, NoRoute> {
        let is_remembered = |first: Tick| now <= first.saturating_add(remembered);
        let route = self.find_route(reply).ok_or(NoRoute::NoOutboundBefore)?;
        let (Some(fragment), Some(public)) = (reply.fragment(), route.outer.destination) else {
            return Ok(route);
        };
        let number = Number {
            protocol: reply.protocol(),
            remote: reply.source(),
            public: public.address,
            id: fragment.id,
        };
        if self.numbers.len() >= MAX_DATAGRAMS {
            self.numbers.retain(|_, (_, first)| is_remembered(*first));
        }
        let inside = reply.destination();
        let (host, first) = self.numbers.entry(number).or_insert((inside, now));
        if !is_remembered(*first) {
            (*host, *first) = (inside, now);
        }
        match *host == inside {
            true => Ok(route),
            false => Err(NoRoute::FragmentIdInUse),
        }
    }

    fn find_route(&mut self, reply: &View) -> Option<Route> {
        if let Transport::IcmpError { quoted, .. } = reply.transport() {
            return self.route_error(reply, &quoted);
        }
        let pair = Pair {
            protocol: reply.protocol(),
            remote: reply.source(),
            inside: reply.destination(),
            datagram: reply.fragment().map(|it| it.id),
        };
        let Some((protocol, remote, inside)) = ends(reply) else {
            return self.route_later_fragment(pair);
        };
        let outside = *self.flows.get(&Key {
            protocol,
            inside,
            remote,
        })?;
        if pair.datagram.is_some() {
            if self.datagrams.len() >= MAX_DATAGRAMS {
                self.datagrams.clear();
            }
            self.datagrams.insert(pair, outside);
        }
        let edit = |end: End| Endpoint {
            address: end.address,
            port: Some(end.port),
        };
        Some(Route {
            vpc: outside.vpc,
            public: Some((protocol, outside.public, inside)),
            outer: Edit {
                // One identifier serves both ends of a query.
                source: (outside.remote != remote && protocol != Protocol::Icmp)
                    .then(|| edit(outside.remote)),
                destination: Some(edit(outside.public)),
                ..Edit::default()
            },
            quoted: None,
        })
    }

    /// By its datagram; before the first fragment has shown the port, by what the two hosts said
    /// to each other last.
    fn route_later_fragment(&self, pair: Pair) -> Option<Route> {
        let outside = self.datagrams.get(&pair).or_else(|| {
            let datagram = None;
            self.pairs.get(&Pair { datagram, ..pair })
        })?;
        let edit = |end: End| Endpoint {
            address: end.address,
            port: None,
        };
        Some(Route {
            vpc: outside.vpc,
            public: None,
            outer: Edit {
                source: (outside.remote.address != pair.remote).then(|| edit(outside.remote)),
                destination: Some(edit(outside.public)),
                ..Edit::default()
            },
            quoted: None,
        })
    }

    /// An ICMP error quotes the packet as it was inside; outside it would quote it as it was
    /// there.
    fn route_error(&self, error: &View, quoted: &Quoted) -> Option<Route> {
        if quoted.source() != error.destination() {
            return None;
        }
        let (protocol, source_port, destination_port) = match quoted.transport() {
            QuotedTransport::Tcp {
                source,
                destination,
                ..
            } => (Protocol::Tcp, source, destination),
            QuotedTransport::Udp {
                source,
                destination,
                ..
            } => (Protocol::Udp, source, destination),
            QuotedTransport::IcmpQuery { identifier, .. } => {
                (Protocol::Icmp, identifier, identifier)
            }
            QuotedTransport::LaterFragment { protocol } => {
                return self.route_error_about_fragment(quoted, protocol);
            }
            QuotedTransport::Other(_) => return None,
        };
        let inside = End {
            address: quoted.source(),
            port: source_port,
        };
        let remote = End {
            address: quoted.destination(),
            port: destination_port,
        };
        let outside = *self.flows.get(&Key {
            protocol,
            inside,
            remote,
        })?;
        let edit = |end: End, port| Endpoint {
            address: end.address,
            port,
        };
        let remote_moved = outside.remote.address != remote.address;
        Some(Route {
            vpc: outside.vpc,
            public: Some((protocol, outside.public, inside)),
            outer: Edit {
                // The remote end itself may be the one that complains.
                source: (remote_moved && error.source() == remote.address)
                    .then(|| edit(outside.remote, None)),
                destination: Some(edit(outside.public, None)),
                ..Edit::default()
            },
            quoted: Some(Edit {
                source: Some(edit(outside.public, Some(outside.public.port))),
                destination: remote_moved.then(|| edit(outside.remote, None)),
                ..Edit::default()
            }),
        })
    }
}

impl Facts {
    /// An ICMP error about a fragment without ports; the addresses are all there is.
    fn route_error_about_fragment(&self, quoted: &Quoted, protocol: u8) -> Option<Route> {
        let outside = self.pairs.get(&Pair {
            protocol,
            remote: quoted.destination(),
            inside: quoted.source(),
            datagram: None,
        })?;
        let public = Some(Endpoint {
            address: outside.public.address,
            port: None,
        });
        Some(Route {
            vpc: outside.vpc,
            public: None,
            outer: Edit {
                destination: public,
                ..Edit::default()
            },
            quoted: Some(Edit {
                source: public,
                ..Edit::default()
            }),
        })
    }
}

impl Route {
    /// Readdresses the reply that this route was looked up for.
    ///
    /// # Errors
    /// When the packet cannot be rewritten; it is as it was then.
    pub(crate) fn readdress(&self, frame: &mut [u8], reply: &View) -> Result<(), EditError> {
        match &self.quoted {
            Some(quoted) => apply_quoted(frame, reply, &self.outer, quoted),
            None => apply(frame, reply, &self.outer),
        }
    }
}

/// Protocol, source and destination of a packet that shows its ports.
fn ends(view: &View) -> Option<(Protocol, End, End)> {
    let (protocol, source, destination) = match view.transport() {
        Transport::Tcp {
            source,
            destination,
            ..
        } => (Protocol::Tcp, source, destination),
        Transport::Udp {
            source,
            destination,
            ..
        } => (Protocol::Udp, source, destination),
        Transport::IcmpQuery { identifier, .. } => (Protocol::Icmp, identifier, identifier),
        _ => return None,
    };
    let end = |address, port| End { address, port };
    Some((
        protocol,
        end(view.source(), source),
        end(view.destination(), destination),
    ))
}
