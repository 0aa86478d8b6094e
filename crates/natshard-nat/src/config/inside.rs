//! The subscribers of a deterministic pool: inside prefixes, and the place of a host in them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::subscriber::SubscriberName;

/// Bits of an IPv6 address that tell one subscriber of a deterministic pool from another.
pub(crate) const SUBNET: u8 = 64;

/// Inside prefixes whose hosts are numbered from 0 in order (RFC 7422): every IPv4 address is one
/// subscriber, every /64 of IPv6 another.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct InsidePrefixes {
    prefixes: Vec<IpNet>,
}

impl InsidePrefixes {
    /// The prefixes in the order that counts.
    #[must_use]
    pub fn new(prefixes: impl IntoIterator<Item = IpNet>) -> Self {
        InsidePrefixes {
            prefixes: prefixes.into_iter().collect(),
        }
    }

    /// The prefixes.
    #[must_use]
    pub fn prefixes(&self) -> &[IpNet] {
        &self.prefixes
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> u64 {
        let counts = self.prefixes.iter().map(size);
        counts.fold(0, u64::saturating_add)
    }

    /// The number of the subscriber that an inside address is of.
    #[must_use]
    pub fn number(&self, address: IpAddr) -> Option<u64> {
        let mut before = 0_u64;
        for prefix in &self.prefixes {
            if prefix.contains(&address) {
                let offset = match (address, prefix.network()) {
                    (IpAddr::V4(address), IpAddr::V4(first)) => {
                        u64::from(address.to_bits() - first.to_bits())
                    }
                    (IpAddr::V6(address), IpAddr::V6(first)) => subnet(address) - subnet(first),
                    _ => return None,
                };
                return before.checked_add(offset);
            }
            before = before.saturating_add(size(prefix));
        }
        None
    }

    /// The subscriber of that number: its address, or its IPv6 prefix.
    #[must_use]
    pub fn name(&self, number: u64) -> Option<SubscriberName> {
        let mut offset = number;
        for prefix in &self.prefixes {
            let size = size(prefix);
            if offset < size {
                return Some(match prefix.network() {
                    IpAddr::V4(first) => SubscriberName::V4 {
                        vpc: None,
                        host: Ipv4Addr::from_bits(first.to_bits() + offset as u32),
                    },
                    IpAddr::V6(first) => {
                        let subnet = subnet(first) + offset;
                        let first = Ipv6Addr::from_bits(u128::from(subnet) << 64);
                        SubscriberName::V6(Ipv6Net::new_assert(first, SUBNET))
                    }
                });
            }
            offset -= size;
        }
        None
    }
}

impl FromIterator<IpNet> for InsidePrefixes {
    fn from_iter<I: IntoIterator<Item = IpNet>>(prefixes: I) -> Self {
        InsidePrefixes::new(prefixes)
    }
}

/// How many subscribers a prefix has.
fn size(prefix: &IpNet) -> u64 {
    let bits = match prefix {
        IpNet::V4(net) => 32 - net.prefix_len(),
        IpNet::V6(net) => SUBNET.saturating_sub(net.prefix_len()),
    };
    1_u64.checked_shl(bits.into()).unwrap_or(u64::MAX)
}

/// The bits of an IPv6 address above its interface identifier.
const fn subnet(address: Ipv6Addr) -> u64 {
    (address.to_bits() >> 64) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inside(prefixes: &[&str]) -> InsidePrefixes {
        prefixes.iter().map(|it| it.parse().unwrap()).collect()
    }

    #[test]
    fn hosts_are_numbered_in_the_order_of_the_prefixes() {
        let inside = inside(&["100.64.8.0/30", "10.0.0.0/31", "fd00:0:0:10::/63"]);
        assert_eq!(inside.subscribers(), 8);
        let number = |text: &str| inside.number(text.parse().unwrap());
        assert_eq!(number("100.64.8.0"), Some(0));
        assert_eq!(number("100.64.8.3"), Some(3));
        assert_eq!(number("10.0.0.1"), Some(5));
        assert_eq!(number("fd00:0:0:10::abcd"), Some(6));
        assert_eq!(number("fd00:0:0:11:1:2:3:4"), Some(7));
        assert_eq!(number("fd00:0:0:12::1"), None);
        assert_eq!(number("10.0.0.2"), None);
        let name = |number| inside.name(number).map(|it| it.to_string());
        assert_eq!(name(3).as_deref(), Some("100.64.8.3"));
        assert_eq!(name(7).as_deref(), Some("fd00:0:0:11::/64"));
        assert_eq!(name(8), None);
    }

    #[test]
    fn the_largest_prefixes_are_counted_without_overflow() {
        let all = inside(&["::/0", "0.0.0.0/0"]);
        assert_eq!(all.subscribers(), u64::MAX);
        assert_eq!(all.number("255.255.255.255".parse().unwrap()), None);
        let all = inside(&["0.0.0.0/0", "::/1"]);
        assert_eq!(
            all.number("255.255.255.255".parse().unwrap()),
            Some(u64::from(u32::MAX))
        );
        assert_eq!(
            all.number("7fff:ffff:ffff:ffff::".parse().unwrap()),
            Some((1 << 63) + u64::from(u32::MAX))
        );
    }

    proptest! {
        /// Number and name undo each other.
        #[test]
        fn every_number_has_one_host_and_back(
            (first, second) in (8..=28_u8, 36..=64_u8),
            at in any::<prop::sample::Index>(),
        ) {
            let inside = inside(&[
                &format!("100.64.0.0/{}", 24_u8.max(first)),
                &format!("fd00::/{second}"),
                &format!("10.0.0.0/{first}"),
            ]);
            let number = at.index(usize::try_from(inside.subscribers()).unwrap()) as u64;
            let name = inside.name(number).unwrap();
            prop_assert_eq!(inside.number(name.first_address()), Some(number));
            prop_assert_eq!(name.to_string().parse::<SubscriberName>().unwrap(), name);
        }
    }
}
