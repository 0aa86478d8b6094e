//! The configuration of the one address is changed.

use std::net::{IpAddr, Ipv4Addr};

use super::visits::{Address, Hands, config, pool};
use crate::lease::Lease;
use crate::protocol::Protocol;
use crate::request::Request;

const ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// Which pools there are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// The pool as it was at first.
    First,
    /// Beside it another pool, `other`, has the same ports.
    Shared,
    /// The pool has another address; the ports of this one are no pool's.
    Elsewhere,
}

impl Address {
    /// Puts a configuration in force.
    pub fn swap(&self, shape: Shape) {
        let first = || pool("pool", "192.0.2.1/32");
        let config = config(self.engine.shards());
        let config = match shape {
            Shape::First => config.pool(first()),
            Shape::Shared => config.pool(first()).pool(pool("other", "192.0.2.1/32")),
            Shape::Elsewhere => config.pool(pool("pool", "192.0.2.3/32")),
        };
        self.engine.reconfigure(config).expect("no fault in it");
    }

    /// Whether a lease is one of this address.
    pub fn has(&self, lease: &Lease) -> bool {
        lease.addr().ip() == ADDRESS
    }
}

impl Hands {
    /// Whether there is a pool `other` in the layout they work by.
    pub fn sees_other(&self) -> bool {
        self.layout.pool_named("other").is_some()
    }

    /// Whether the pool has the address in the layout they work by.
    pub fn sees_address(&self) -> bool {
        let prefix = self.layout.config.pools[0].prefixes[0];
        prefix.contains(&ADDRESS)
    }

    /// Leases a port of the pool `other`.
    pub fn allocate_other(&mut self) -> Option<Lease> {
        let pool = self.layout.pool_named("other")?;
        self.allocate_for(&Request::new(pool, Protocol::Tcp))
    }
}
