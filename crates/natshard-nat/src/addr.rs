//! An address of either family in a fixed place.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of either family; which one is noted elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Addr(pub(crate) [u64; 2]);

impl Addr {
    #[inline]
    pub(crate) const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Addr::v4(address.to_bits()),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                Addr([(bits >> 64) as u64, bits as u64])
            }
        }
    }

    #[inline]
    pub(crate) const fn v4(bits: u32) -> Self {
        Addr([0, bits as u64])
    }

    #[inline]
    pub(crate) const fn ip(self, v6: bool) -> IpAddr {
        let Addr([high, low]) = self;
        if v6 {
            IpAddr::V6(Ipv6Addr::from_bits((high as u128) << 64 | low as u128))
        } else {
            IpAddr::V4(Ipv4Addr::from_bits(low as u32))
        }
    }

    /// The last 32 bits: all of an IPv4 address.
    #[inline]
    pub(crate) const fn low(self) -> u32 {
        self.0[1] as u32
    }
}

/// Whether an address can be a host behind a router: not multicast, broadcast, unspecified,
/// loopback or link-local.
pub(crate) const fn is_translatable(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_multicast()
                || address.is_broadcast()
                || address.is_unspecified()
                || address.is_loopback()
                || address.is_link_local())
        }
        IpAddr::V6(address) => {
            !(address.is_multicast()
                || address.is_unspecified()
                || address.is_loopback()
                || address.is_unicast_link_local())
        }
    }
}
