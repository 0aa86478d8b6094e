//! Subscribers: who is charged for a port (RFC 6888), as a number for the engine and as a name for
//! people and logs.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use ipnet::{IpNet, Ipv6Net};
use thiserror::Error;

use super::inside::InsidePrefixes;
use crate::tuple::VpcId;

/// The number that the engine knows a subscriber of one pool by. What it stands for is the
/// [`Numbering`] of the pool.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Subscriber(u64);

impl Subscriber {
    /// The subscriber of that number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Subscriber(number)
    }

    /// The number.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How the inside hosts of a pool are told apart and numbered: a pure function, both ways.
///
/// ```
/// use natshard_nat::{Numbering, VpcId};
///
/// let numbering = Numbering::default();
/// let subscriber = numbering.subscriber(VpcId::new(3), "100.64.0.7".parse()?).unwrap();
/// assert_eq!(subscriber.number(), 3 << 32 | 0x6440_0007);
/// assert_eq!(numbering.name(subscriber).unwrap().to_string(), "vpc3/100.64.0.7");
///
/// let subscriber = numbering.subscriber(VpcId::new(3), "2001:db8:1:2::99".parse()?).unwrap();
/// assert_eq!(numbering.name(subscriber).unwrap().to_string(), "2001:db8:1:2::/64");
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Numbering {
    /// An IPv4 host is its VPC (upper 32 bits) and its address (lower 32 bits). An IPv6 host is
    /// the upper 64 bits of its address, cut to so many.
    ///
    /// Exact where the numbers of VPCs are below 2^24 ([`VPCS`](Self::VPCS)) and no inside host
    /// has an IPv6 address in ::/8, which RFC 4291 reserves. The VPC of an IPv6 host is not in
    /// its number: VPCs with the same IPv6 prefixes need pools of their own, and
    /// [`NatConfigBuilder::build`](super::NatConfigBuilder::build) insists on it.
    Hosts {
        /// How many bits of an IPv6 address tell subscribers apart, 1 to 64.
        mask_v6: u8,
    },
    /// Their place in the inside prefixes of a deterministic pool.
    Inside(InsidePrefixes),
}

impl Default for Numbering {
    fn default() -> Self {
        Numbering::Hosts { mask_v6: 64 }
    }
}

impl Numbering {
    /// VPCs of smaller numbers can have subscribers.
    pub const VPCS: u32 = 1 << 24;

    /// The subscriber that an inside host is, or is one of. `None` for a host outside the inside
    /// prefixes of a deterministic pool.
    #[must_use]
    pub fn subscriber(&self, vpc: VpcId, host: IpAddr) -> Option<Subscriber> {
        match (self, host) {
            (Numbering::Inside(inside), host) => inside.number(host).map(Subscriber),
            (Numbering::Hosts { .. }, IpAddr::V4(host)) => Some(Subscriber(
                u64::from(vpc.as_u32()) << 32 | u64::from(host.to_bits()),
            )),
            (Numbering::Hosts { mask_v6 }, IpAddr::V6(host)) => {
                let subnet = (host.to_bits() >> 64) as u64;
                Some(Subscriber(subnet & mask(*mask_v6)))
            }
        }
    }

    /// What a subscriber is called. `None` if the pool has none of that number.
    #[must_use]
    pub fn name(&self, subscriber: Subscriber) -> Option<SubscriberName> {
        let number = subscriber.0;
        match self {
            Numbering::Inside(inside) => inside.name(number),
            Numbering::Hosts { .. } if number >> 32 < u64::from(Self::VPCS) => {
                Some(SubscriberName::V4 {
                    vpc: Some(VpcId::new((number >> 32) as u32)),
                    host: Ipv4Addr::from_bits(number as u32),
                })
            }
            Numbering::Hosts { mask_v6 } => {
                let first = Ipv6Addr::from_bits(u128::from(number) << 64);
                let prefix = Ipv6Net::new(first, *mask_v6).ok()?;
                (prefix == prefix.trunc()).then_some(SubscriberName::V6(prefix))
            }
        }
    }

    /// The subscriber of that name. `None` if it is not one of this numbering.
    #[must_use]
    pub fn named(&self, name: &SubscriberName) -> Option<Subscriber> {
        let vpc = match name {
            SubscriberName::V4 { vpc, .. } => *vpc,
            SubscriberName::V6(_) => None,
        };
        let subscriber = self.subscriber(vpc.unwrap_or_default(), name.first_address())?;
        (self.name(subscriber).as_ref() == Some(name)).then_some(subscriber)
    }
}

/// Ones in the upper `bits` of 64.
const fn mask(bits: u8) -> u64 {
    match bits {
        0 => 0,
        1..64 => u64::MAX << (64 - bits),
        _ => u64::MAX,
    }
}

/// A subscriber as logs and people call it: `vpc3/100.64.0.7`, `100.64.0.7` where the pool is
/// deterministic, or `2001:db8:1:2::/64`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SubscriberName {
    /// An IPv4 host.
    V4 {
        /// The VPC whose host it is; `None` where the pool is deterministic.
        vpc: Option<VpcId>,
        /// Its address.
        host: Ipv4Addr,
    },
    /// All hosts of an IPv6 prefix.
    V6(Ipv6Net),
}

impl SubscriberName {
    /// The address of the subscriber, or the first of its addresses.
    #[must_use]
    pub fn first_address(&self) -> IpAddr {
        match self {
            SubscriberName::V4 { host, .. } => IpAddr::V4(*host),
            SubscriberName::V6(prefix) => IpAddr::V6(prefix.network()),
        }
    }

    /// Its addresses.
    #[must_use]
    pub fn prefix(&self) -> IpNet {
        match self {
            SubscriberName::V4 { host, .. } => IpNet::V4(ipnet::Ipv4Net::new_assert(*host, 32)),
            SubscriberName::V6(prefix) => IpNet::V6(*prefix),
        }
    }
}

impl fmt::Display for SubscriberName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SubscriberName::V4 {
                vpc: Some(vpc),
                host,
            } => write!(f, "{vpc}/{host}"),
            SubscriberName::V4 { vpc: None, host } => host.fmt(f),
            SubscriberName::V6(prefix) => prefix.fmt(f),
        }
    }
}

/// Why a text is no subscriber.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("`{0}` is no subscriber: write `vpc1/100.64.0.7`, `100.64.0.7` or `2001:db8:1:2::/64`")]
pub struct SubscriberNameError(String);

impl FromStr for SubscriberName {
    type Err = SubscriberNameError;

    fn from_str(text: &str) -> Result<Self, SubscriberNameError> {
        let parse = || {
            if let Ok(host) = text.parse() {
                return Some(SubscriberName::V4 { vpc: None, host });
            }
            if let Ok(prefix) = text.parse::<Ipv6Net>() {
                return (prefix == prefix.trunc()).then_some(SubscriberName::V6(prefix));
            }
            let (vpc, host) = text.strip_prefix("vpc")?.split_once('/')?;
            Some(SubscriberName::V4 {
                vpc: Some(VpcId::new(vpc.parse().ok()?)),
                host: host.parse().ok()?,
            })
        };
        parse().ok_or_else(|| SubscriberNameError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn f05_hosts_of_two_vpcs_with_one_address_are_two_subscribers() {
        let numbering = Numbering::default();
        let of = |vpc, host: &str| {
            numbering
                .subscriber(VpcId::new(vpc), host.parse().unwrap())
                .unwrap()
        };
        assert_ne!(of(1, "10.0.0.1"), of(2, "10.0.0.1"));
        assert_eq!(of(1, "fd00::1"), of(1, "fd00::2"));
        assert_ne!(of(1, "fd00::1"), of(1, "fd00:0:0:1::1"));
    }

    #[test]
    fn a_shorter_mask_makes_one_subscriber_of_a_delegated_prefix() {
        let numbering = Numbering::Hosts { mask_v6: 56 };
        let of = |host: &str| numbering.subscriber(VpcId::new(1), host.parse().unwrap());
        let one = of("2001:db8:0:17ff::9").unwrap();
        assert_eq!(Some(one), of("2001:db8:0:1700::1"));
        assert_ne!(Some(one), of("2001:db8:0:1800::1"));
        assert_eq!(
            numbering.name(one).unwrap().to_string(),
            "2001:db8:0:1700::/56"
        );
        // A longer prefix is not one of its names.
        let longer = "2001:db8:0:1700::/64".parse().unwrap();
        assert_eq!(numbering.named(&longer), None);
    }

    #[test]
    fn texts_that_are_no_subscriber_are_refused_with_what_to_write() {
        for text in ["", "vpc/10.0.0.1", "vpc1/", "10.0.0.0/8", "fd00::1/64", "x"] {
            let error = text.parse::<SubscriberName>().unwrap_err().to_string();
            assert!(error.contains("vpc1/100.64.0.7"), "{error}");
        }
    }

    proptest! {
        /// Numbers, names and texts are three faces of one thing.
        #[test]
        fn numbers_and_names_undo_each_other(
            vpc in 0..Numbering::VPCS,
            v4 in any::<u32>(),
            v6 in (1_u128 << 120)..,
            mask_v6 in 8..=64_u8,
        ) {
            let numbering = Numbering::Hosts { mask_v6 };
            let (v4, v6) = (Ipv4Addr::from_bits(v4), Ipv6Addr::from_bits(v6));
            let mut numbers = Vec::new();
            for host in [IpAddr::V4(v4), IpAddr::V6(v6)] {
                let subscriber = numbering.subscriber(VpcId::new(vpc), host).unwrap();
                let name = numbering.name(subscriber).unwrap();
                prop_assert!(name.prefix().contains(&host));
                prop_assert_eq!(name.to_string().parse::<SubscriberName>().unwrap(), name);
                prop_assert_eq!(numbering.named(&name), Some(subscriber));
                numbers.push(subscriber);
            }
            prop_assert_ne!(numbers[0], numbers[1]);
        }
    }
}
