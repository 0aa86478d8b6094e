//! What a packet is looked up in: flat tables, made once per configuration.
//!
//! Prefixes of any depth cut the addresses into ranges, each of which has one longest prefix; the
//! ranges in order are searched by halves. A handful of prefixes is a handful of ranges.

use std::net::IpAddr;

use ipnet::IpNet;
use prefix_trie::joint::JointPrefixMap;

use crate::tuple::VpcId;

/// Values by range of addresses.
#[derive(Clone, Debug)]
struct Ranges<K, T> {
    /// Where each range begins; the first one at zero.
    starts: Box<[K]>,
    values: Box<[Option<T>]>,
}

impl<K: Copy + Ord, T> Ranges<K, T> {
    #[inline]
    fn get(&self, at: K) -> Option<&T> {
        let after = self.starts.partition_point(|start| *start <= at);
        self.values.get(after.checked_sub(1)?)?.as_ref()
    }
}

impl<K: Copy + Ord, T: PartialEq> Ranges<K, T> {
    fn new(mut starts: Vec<K>, value: impl Fn(K) -> Option<T>) -> Self {
        starts.sort_unstable();
        starts.dedup();
        let mut ranges: Vec<(K, Option<T>)> = Vec::new();
        for start in starts {
            let value = value(start);
            if ranges.last().is_none_or(|(_, last)| *last != value) {
                ranges.push((start, value));
            }
        }
        let (starts, values): (Vec<_>, Vec<_>) = ranges.into_iter().unzip();
        Ranges {
            starts: starts.into(),
            values: values.into(),
        }
    }
}

/// Longest-prefix match.
#[derive(Clone, Debug)]
pub(crate) struct Longest<T> {
    v4: Ranges<u32, T>,
    v6: Ranges<u128, T>,
}

impl<T: PartialEq> Longest<T> {
    /// What `value` makes of the longest prefix of each address.
    pub(crate) fn new<V>(
        prefixes: &JointPrefixMap<IpNet, V>,
        value: impl Fn(IpNet, &V) -> T,
    ) -> Self {
        let (mut v4, mut v6) = (vec![0_u32], vec![0_u128]);
        for (prefix, _) in prefixes.iter() {
            match prefix {
                IpNet::V4(net) => {
                    v4.push(net.network().to_bits());
                    v4.extend(net.broadcast().to_bits().checked_add(1));
                }
                IpNet::V6(net) => {
                    v6.push(net.network().to_bits());
                    v6.extend(net.broadcast().to_bits().checked_add(1));
                }
            }
        }
        let longest = |address: IpAddr| {
            let (prefix, found) = prefixes.get_lpm(&address.into())?;
            Some(value(prefix, found))
        };
        Longest {
            v4: Ranges::new(v4, |bits| longest(IpAddr::V4(bits.into()))),
            v6: Ranges::new(v6, |bits| longest(IpAddr::V6(bits.into()))),
        }
    }
}

impl<T> Longest<T> {
    /// The value of the longest prefix that holds an address.
    #[inline]
    pub(crate) fn get(&self, address: IpAddr) -> Option<&T> {
        match address {
            IpAddr::V4(address) => self.v4.get(address.to_bits()),
            IpAddr::V6(address) => self.v6.get(address.to_bits()),
        }
    }
}

/// Values by key, in order.
#[derive(Clone, Debug)]
pub(crate) struct Sorted<K, T>(Box<[(K, T)]>);

/// Values by VPC.
pub(crate) type ByVpc<T> = Sorted<VpcId, T>;

impl<K: Copy + Ord, T> Sorted<K, T> {
    #[inline]
    pub(crate) fn get(&self, key: K) -> Option<&T> {
        let at = self.0.binary_search_by_key(&key, |(key, _)| *key).ok()?;
        Some(&self.0[at].1)
    }
}

impl<K: Copy + Ord, T> FromIterator<(K, T)> for Sorted<K, T> {
    fn from_iter<I: IntoIterator<Item = (K, T)>>(values: I) -> Self {
        let mut values: Vec<_> = values.into_iter().collect();
        values.sort_unstable_by_key(|(key, _)| *key);
        Sorted(values.into())
    }
}

#[cfg(test)]
mod tests {
    use ipnet::{Ipv4Net, Ipv6Net};
    use proptest::prelude::*;

    use super::*;

    fn prefix() -> impl Strategy<Value = IpNet> {
        // Few bits at either end, so that prefixes nest and touch.
        let v4 = (0u32..4, 0u32..8, 0u8..=32).prop_map(|(high, low, length)| {
            let bits = high << 30 | low;
            IpNet::V4(Ipv4Net::new_assert(bits.into(), length)).trunc()
        });
        let v6 = (0u128..4, 0u128..8, 0u8..=128).prop_map(|(high, low, length)| {
            let bits = high << 126 | low;
            IpNet::V6(Ipv6Net::new_assert(bits.into(), length)).trunc()
        });
        let all = prop_oneof![Just("0.0.0.0/0"), Just("::/0"), Just("255.255.255.255/32")];
        prop_oneof![8 => v4, 8 => v6, 1 => all.prop_map(|all| all.parse().unwrap())]
    }

    proptest! {
        #[test]
        fn ranges_say_what_the_trie_says(
            prefixes in prop::collection::vec((prefix(), 0u8..4), 0..12),
            more in prop::collection::vec(prefix(), 0..12),
        ) {
            let map: JointPrefixMap<IpNet, u8> = prefixes.iter().copied().collect();
            let longest = Longest::new(&map, |prefix, value| (prefix, *value));
            let asked = prefixes.iter().map(|(prefix, _)| *prefix).chain(more);
            for prefix in asked {
                for address in [prefix.network(), prefix.broadcast(), prefix.addr()] {
                    let expected = map.get_lpm(&address.into());
                    let expected = expected.map(|(prefix, value)| (prefix, *value));
                    prop_assert_eq!(longest.get(address).copied(), expected);
                }
            }
        }

        #[test]
        fn sorted_values_are_found(values in prop::collection::btree_map(0u32..50, any::<u8>(), 0..30)) {
            let sorted: Sorted<u32, u8> = values.clone().into_iter().rev().collect();
            for key in 0..50 {
                prop_assert_eq!(sorted.get(key), values.get(&key));
            }
        }
    }
}
