//! Which function instance a packet is for, where several share the pools: one per shard.
//!
//! A session lives in one instance. Packets from inside are spread by their source host, so that
//! all mappings of a host meet in one place, as endpoint-independent mapping and paired pooling
//! want it. Packets from outside go where the engine says the public tuple was leased:
//!
//! ```text
//!              ┌ Host(number) ────────▶ instance number % n
//! View, VPC ───┼ Owner(public tuple) ─▶ Engine::owner(realm, protocol, public); drop if None
//!              └ Datagram(number) ────▶ where the first fragment of that number went
//! ```
//!
//! The number of a datagram is the same for all its fragments. Towards a public address the first
//! fragment, which has the ports, is an `Owner`: a dispatcher notes under its number where that
//! went. It must keep later fragments that come before it, or give them to any one instance, which
//! will hold them in vain until they time out.

use std::hash::{BuildHasher, Hasher};
use std::net::{IpAddr, SocketAddr};

use ahash::RandomState;
use natshard::Protocol;

use crate::config::{NatConfig, PoolIndex};
use crate::packet::{QuotedTransport, Transport, View};
use crate::tuple::VpcId;

/// Which function instance a packet is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Steer {
    /// The instance that this number is for by any fixed rule: it depends on the inside host
    /// alone.
    Host(u64),
    /// The instance that leased this tuple; nobody's if there is none.
    Owner {
        /// Its pool, whose realm the engine wants to know.
        pool: PoolIndex,
        /// Its protocol.
        protocol: Protocol,
        /// The public tuple; for ICMP the port is the identifier.
        public: SocketAddr,
    },
    /// The instance that got the first fragment of the datagram with this number.
    Datagram(u64),
}

/// Numbers hosts and datagrams, the same for all dispatchers that share it or a clone.
#[derive(Clone, Debug, Default)]
pub struct Steerer {
    keys: RandomState,
}

impl Steerer {
    /// A steerer with fresh secret keys: nobody outside can aim at one instance.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which instance a packet from that VPC is for.
    #[must_use]
    pub fn steer(&self, config: &NatConfig, view: &View, vpc: VpcId) -> Steer {
        let Some(pool) = config.public_pool(vpc, view.destination()) else {
            return Steer::Host(self.host(vpc, self.inside_host(config, view, vpc)));
        };
        let protocol_and_port = match view.transport() {
            Transport::Tcp { destination, .. } => Some((Protocol::Tcp, destination)),
            Transport::Udp { destination, .. } => Some((Protocol::Udp, destination)),
            Transport::IcmpQuery { identifier, .. } => Some((Protocol::Icmp, identifier)),
            // What an error quotes was sent by the mapping that the error is for.
            Transport::IcmpError { quoted, .. } => match quoted.transport() {
                QuotedTransport::Tcp { source, .. } => Some((Protocol::Tcp, source)),
                QuotedTransport::Udp { source, .. } => Some((Protocol::Udp, source)),
                QuotedTransport::IcmpQuery { identifier, .. } => Some((Protocol::Icmp, identifier)),
                QuotedTransport::LaterFragment { .. } | QuotedTransport::Other(_) => None,
            },
            Transport::LaterFragment { .. } => {
                return Steer::Datagram(self.datagram(view, vpc).unwrap_or_default());
            }
            Transport::IcmpOther { .. } | Transport::Other(_) => None,
        };
        match protocol_and_port {
            Some((protocol, port)) => Steer::Owner {
                pool,
                protocol,
                public: SocketAddr::new(view.destination(), port),
            },
            // Nothing will be translated: any instance will do.
            None => Steer::Host(self.host(vpc, view.destination())),
        }
    }

    /// The number of the datagram that a fragment belongs to; `None` for a whole one.
    #[must_use]
    pub fn datagram(&self, view: &View, vpc: VpcId) -> Option<u64> {
        let fragment = view.fragment()?;
        let mut hasher = self.keys.build_hasher();
        hasher.write_u32(vpc.as_u32());
        write_address(&mut hasher, view.source());
        write_address(&mut hasher, view.destination());
        if view.source().is_ipv4() {
            hasher.write_u8(view.protocol());
        }
        hasher.write_u32(fragment.id);
        Some(hasher.finish())
    }

    /// The inside host whose session a packet from inside would be of. An error about an inbound
    /// packet may come from a router: the host is the one that the quoted packet was for.
    fn inside_host(&self, config: &NatConfig, view: &View, vpc: VpcId) -> IpAddr {
        match view.transport() {
            Transport::IcmpError { quoted, .. } if config.knows(vpc) => quoted.destination(),
            _ => view.source(),
        }
    }

    /// The number of an inside host.
    #[must_use]
    pub fn host(&self, vpc: VpcId, host: IpAddr) -> u64 {
        let mut hasher = self.keys.build_hasher();
        hasher.write_u32(vpc.as_u32());
        write_address(&mut hasher, host);
        hasher.finish()
    }
}

fn write_address(hasher: &mut impl Hasher, address: IpAddr) {
    match address {
        IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
        IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
    }
}
