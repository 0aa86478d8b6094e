//! Who talks to whom: the tuple of one flow direction.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use natshard::Protocol;

use crate::port::NatPort;

/// A virtual private cloud, or any other domain in which a private address means one host. Two
/// of them may use the same prefixes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct VpcId(u32);

impl VpcId {
    /// The VPC of that number; numbers are the caller's business.
    #[must_use]
    pub const fn new(id: u32) -> Self {
        VpcId(id)
    }

    /// The number.
    #[must_use]
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VpcId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "vpc{}", self.0)
    }
}

/// One direction of a flow, as its packets read on the side of their source.
///
/// An ICMP query has one identifier that serves both ends: it is the source port *and* the
/// destination port of its tuple.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct NatTuple {
    /// The VPC the packets come from.
    pub source_vpc: VpcId,
    /// The VPC they go to.
    pub destination_vpc: VpcId,
    /// Source address.
    pub source: IpAddr,
    /// Destination address, of the same family.
    pub destination: IpAddr,
    /// Protocol.
    pub protocol: Protocol,
    /// Source port or identifier.
    pub source_port: NatPort,
    /// Destination port or identifier.
    pub destination_port: NatPort,
}

impl NatTuple {
    /// The tuple of answers to packets of this one, untranslated.
    #[must_use]
    pub const fn reversed(&self) -> Self {
        NatTuple {
            source_vpc: self.destination_vpc,
            destination_vpc: self.source_vpc,
            source: self.destination,
            destination: self.source,
            protocol: self.protocol,
            source_port: self.destination_port,
            destination_port: self.source_port,
        }
    }

    /// Source address and port together.
    #[must_use]
    pub const fn source_endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.source, self.source_port.as_u16())
    }

    /// Destination address and port together.
    #[must_use]
    pub const fn destination_endpoint(&self) -> SocketAddr {
        SocketAddr::new(self.destination, self.destination_port.as_u16())
    }

    /// Sets the source port; of an ICMP query, the identifier both ends share.
    pub const fn set_source_port(&mut self, port: NatPort) {
        self.source_port = port;
        if matches!(self.protocol, Protocol::Icmp) {
            self.destination_port = port;
        }
    }

    /// Sets the destination port; of an ICMP query, the identifier both ends share.
    pub const fn set_destination_port(&mut self, port: NatPort) {
        self.destination_port = port;
        if matches!(self.protocol, Protocol::Icmp) {
            self.source_port = port;
        }
    }
}

impl fmt::Display for NatTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} -> {} {}",
            self.protocol,
            self.source_vpc,
            self.source_endpoint(),
            self.destination_vpc,
            self.destination_endpoint()
        )
    }
}
