//! Deterministic ranges (RFC 7422): from a subscriber to its address and ports by computation.
//!
//! By the sequential algorithm (A = 0) of RFC 7422, section 2: the S subscribers are spread over the
//! A addresses of the pool, C to each (the compression ratio), in order; each has n consecutive
//! ports of its address, and what is left of every address is dynamic. RFC 7422 derives n from a
//! dynamic factor D, as floor(available / (C + D)); here n is given, which says the same. With
//! `first` and `len` the pool's port range of a protocol, and O\[a\] its addresses in the order of
//! its prefixes, without those that are excluded:
//!
//! ```text
//! C                = ceil(S / A)                  where C * n <= len in every protocol
//! address(i)       = O[i / C]
//! ports(i)         = first + (i % C) * n  ..=  first + (i % C) * n + n - 1
//! subscriber(a, p) = a * C + (p - first) / n      if (p - first) / n < C, and if below S
//! dynamic          = first + C * n  ..=  first + len - 1
//! ```
//!
//! C is the same in all protocols, so that a subscriber has one address in all of them. It is no
//! larger than it must be, so that the dynamic ports are spread over all addresses. The mapping
//! changes when C does: more subscribers move nobody as long as S <= A * C.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::config::PoolConfig;
use crate::config_error::ConfigFault;
use crate::protocol::Protocol;
use crate::request::Family;

/// So many subscribers, each with so many ports of each protocol (RFC 7422).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Deterministic {
    pub(crate) subscribers: u64,
    pub(crate) ports: u16,
}

impl Deterministic {
    /// Subscribers 0 to `subscribers - 1`, each with `ports` consecutive ports of each protocol.
    #[must_use]
    pub const fn new(subscribers: u64, ports: u16) -> Self {
        Deterministic { subscribers, ports }
    }
}

/// Consecutive addresses of a pool.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Run {
    family: Family,
    first: u128,
    last: u128,
    /// How many addresses of the pool come before it.
    before: u64,
}

impl Run {
    fn len(&self) -> u64 {
        (self.last - self.first) as u64 + 1
    }
}

/// The ranges of a pool's subscribers: pure computation, both ways, without any state.
///
/// Costs O(log n) for a pool of n prefixes, in memory O(n).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeterministicMap {
    subscribers: u64,
    /// n.
    ports: u32,
    /// C.
    per_address: u32,
    /// The pool's range of each protocol.
    ranges: [RangeInclusive<u16>; 3],
    /// In the order of the pool's prefixes.
    runs: Vec<Run>,
    /// The same by address.
    by_address: Vec<Run>,
}

impl DeterministicMap {
    /// The address and the ports (for ICMP: identifiers) of a subscriber; `None` if there is no
    /// such subscriber.
    #[must_use]
    pub fn range(
        &self,
        subscriber: u64,
        protocol: Protocol,
    ) -> Option<(IpAddr, RangeInclusive<u16>)> {
        if subscriber >= self.subscribers {
            return None;
        }
        let number = subscriber / u64::from(self.per_address);
        let share = (subscriber % u64::from(self.per_address)) as u32;
        let run = self.runs.partition_point(|run| run.before <= number) - 1;
        let run = &self.runs[run];
        let address = address(run.family, run.first + u128::from(number - run.before));
        let first = u32::from(*self.ranges[protocol.as_index()].start()) + share * self.ports;
        Some((address, first as u16..=(first + self.ports - 1) as u16))
    }

    /// Whose range a public tuple lies in; `None` for tuples that are dynamic, that no subscriber
    /// has yet, or that are not of the pool.
    #[must_use]
    pub fn subscriber(&self, protocol: Protocol, address: IpAddr, port: u16) -> Option<u64> {
        let number = self.number(address)?;
        let port = port.checked_sub(*self.ranges[protocol.as_index()].start())?;
        let share = u32::from(port) / self.ports;
        if share >= self.per_address {
            return None;
        }
        let subscriber = number * u64::from(self.per_address) + u64::from(share);
        (subscriber < self.subscribers).then_some(subscriber)
    }

    /// The ports of each address that no subscriber can have: the dynamic overflow. May be empty.
    #[must_use]
    pub fn overflow(&self, protocol: Protocol) -> RangeInclusive<u16> {
        let range = &self.ranges[protocol.as_index()];
        let first = u32::from(*range.start()) + self.per_address * self.ports;
        match u16::try_from(first) {
            Ok(first) => first..=*range.end(),
            Err(_) => empty(),
        }
    }

    /// How many subscribers share an address (C).
    #[must_use]
    pub fn subscribers_per_address(&self) -> u32 {
        self.per_address
    }

    /// How many subscribers there are.
    #[must_use]
    pub fn subscribers(&self) -> u64 {
        self.subscribers
    }

    /// How many ports of each protocol a subscriber has (n).
    #[must_use]
    pub fn ports_each(&self) -> u16 {
        self.ports as u16
    }

    /// How many addresses the subscribers fill, the last of them perhaps in part. Ranges of other
    /// addresses wait for more subscribers; their dynamic ports are as good as any.
    #[must_use]
    pub fn addresses(&self) -> u64 {
        self.subscribers.div_ceil(u64::from(self.per_address))
    }

    /// The place of an address in the pool.
    fn number(&self, address: IpAddr) -> Option<u64> {
        let (family, key) = key(address);
        let at = self
            .by_address
            .partition_point(|run| (run.family as u8, run.first) <= (family as u8, key));
        let run = self.by_address[..at].last()?;
        (run.family == family && key <= run.last).then(|| run.before + (key - run.first) as u64)
    }

    /// The ranges of a pool's subscribers, or the first thing that prevents them. The rest of the
    /// pool's configuration is sound.
    fn new(pool: &PoolConfig, mode: Deterministic) -> Result<Self, ConfigFault> {
        let name = || pool.name.clone();
        let ranges = Protocol::ALL.map(|protocol| match protocol {
            Protocol::Tcp | Protocol::Udp => pool.ports.clone(),
            Protocol::Icmp => pool.identifiers.clone(),
        });
        for (what, value) in [
            ("subscribers", mode.subscribers),
            ("ports", mode.ports.into()),
        ] {
            if value == 0 {
                return Err(ConfigFault::DeterministicNone { pool: name(), what });
            }
        }
        let shortest = ranges.iter().map(|range| range.len() as u64).min();
        let most = shortest.unwrap_or(0) / u64::from(mode.ports);
        if most == 0 {
            return Err(ConfigFault::DeterministicPorts {
                pool: name(),
                ports: mode.ports,
                most: shortest.unwrap_or(0) as u16,
            });
        }
        let runs = runs(pool);
        let addresses: u64 = runs.iter().map(Run::len).sum();
        let needed = mode.subscribers.div_ceil(most);
        if needed > addresses {
            return Err(ConfigFault::DeterministicAddresses {
                pool: name(),
                subscribers: mode.subscribers,
                ports: mode.ports,
                most,
                needed,
                addresses,
            });
        }
        let mut by_address = runs.clone();
        by_address.sort_unstable_by_key(|run| (run.family as u8, run.first));
        let map = DeterministicMap {
            subscribers: mode.subscribers,
            ports: mode.ports.into(),
            per_address: mode.subscribers.div_ceil(addresses) as u32,
            ranges,
            runs,
            by_address,
        };
        match map.excluded(pool) {
            Some((subscriber, ports)) => Err(ConfigFault::DeterministicExclusion {
                pool: name(),
                ports,
                subscriber,
                range: map
                    .range(subscriber, Protocol::Tcp)
                    .map_or(empty(), |(_, range)| range),
            }),
            None => Ok(map),
        }
    }

    /// A subscriber of whose ports some are excluded, and the exclusion.
    fn excluded(&self, pool: &PoolConfig) -> Option<(u64, RangeInclusive<u16>)> {
        let first = u32::from(*self.ranges[Protocol::Tcp.as_index()].start());
        for exclusion in &pool.exclusions {
            let Some(ports) = &exclusion.ports else {
                continue;
            };
            // The lowest share the exclusion meets, if any, and the lowest address.
            let end = u32::from(*ports.end());
            if ports.is_empty() || end < first {
                continue;
            }
            let share = u32::from(*ports.start()).saturating_sub(first) / self.ports;
            let number = match &exclusion.net {
                None => Some(0),
                Some(net) => self.lowest(net),
            };
            let Some(number) = number.filter(|_| share < self.per_address) else {
                continue;
            };
            let subscriber = number * u64::from(self.per_address) + u64::from(share);
            if subscriber < self.subscribers {
                return Some((subscriber, ports.clone()));
            }
        }
        None
    }

    /// The lowest place in the pool of an address of a net.
    fn lowest(&self, net: &IpNet) -> Option<u64> {
        let (family, low) = key(net.network());
        let (_, high) = key(net.broadcast());
        let meets = |run: &&Run| run.family == family && run.first <= high && low <= run.last;
        let run = self.runs.iter().find(meets)?;
        Some(run.before + (low.max(run.first) - run.first) as u64)
    }
}

impl PoolConfig {
    /// The ranges of the pool's subscribers, by which any public tuple can be traced without the
    /// engine. `None` if the pool is not deterministic, or if its configuration has a fault that
    /// an engine would refuse.
    #[must_use]
    pub fn deterministic_map(&self) -> Option<DeterministicMap> {
        let mode = self.deterministic?;
        let mut faults = Vec::new();
        crate::layout::check_pool(0, self, &mut faults);
        if !faults.is_empty() {
            return None;
        }
        DeterministicMap::new(self, mode).ok()
    }
}

/// What keeps a pool from having the ranges it asks for; the rest of it is sound.
pub(crate) fn fault(pool: &PoolConfig) -> Option<ConfigFault> {
    DeterministicMap::new(pool, pool.deterministic?).err()
}

/// The addresses of a pool in order, without those that are excluded in all protocols.
fn runs(pool: &PoolConfig) -> Vec<Run> {
    let mut holes: Vec<(Family, u128, u128)> = pool
        .exclusions
        .iter()
        .filter(|exclusion| exclusion.ports.is_none())
        .filter_map(|exclusion| Some(bounds(exclusion.net.as_ref()?)))
        .collect();
    holes.sort_unstable_by_key(|&(family, first, _)| (family as u8, first));
    let mut runs: Vec<Run> = Vec::new();
    let mut before = 0;
    let mut add = |family, first, last| {
        let run = Run {
            family,
            first,
            last,
            before,
        };
        before += run.len();
        runs.push(run);
    };
    for prefix in &pool.prefixes {
        let (family, first, last) = bounds(prefix);
        // An engine has the first 2^32 addresses of a prefix.
        let last = last.min(first.saturating_add(u128::from(u32::MAX)));
        let mut next = Some(first);
        for &(_, from, to) in holes.iter().filter(|hole| hole.0 == family) {
            let Some(first) = next.filter(|&first| first <= last) else {
                break;
            };
            if to < first || from > last {
                continue;
            }
            if from > first {
                add(family, first, from - 1);
            }
            next = to.checked_add(1);
        }
        if let Some(first) = next.filter(|&first| first <= last) {
            add(family, first, last);
        }
    }
    runs
}

fn bounds(net: &IpNet) -> (Family, u128, u128) {
    let (family, first) = key(net.network());
    (family, first, key(net.broadcast()).1)
}

fn key(address: IpAddr) -> (Family, u128) {
    match address {
        IpAddr::V4(v4) => (Family::V4, u32::from(v4).into()),
        IpAddr::V6(v6) => (Family::V6, v6.into()),
    }
}

fn address(family: Family, key: u128) -> IpAddr {
    match family {
        Family::V4 => IpAddr::V4(Ipv4Addr::from(key as u32)),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(key)),
    }
}

#[expect(clippy::reversed_empty_ranges, reason = "an empty range is meant")]
const fn empty() -> RangeInclusive<u16> {
    1..=0
}

#[cfg(test)]
mod tests {
    use super::*;
    use ipnet::Ipv4AddrRange;

    /// Exclusions before, at the beginning of, in, at the end of and behind a prefix, side by side,
    /// within each other and all over it.
    #[test]
    fn addresses_are_those_of_the_prefixes_that_no_exclusion_covers() {
        let holes = [
            "192.0.2.0/30",
            "192.0.2.8/32",
            "192.0.2.9/32",
            "192.0.2.8/31",
            "192.0.2.12/30",
            "192.0.2.12/31",
            "192.0.2.15/32",
            "192.0.2.16/28",
            "192.0.2.0/27",
            "::/0",
        ];
        let prefixes = ["192.0.2.8/29", "192.0.2.4/30"].map(|net| net.parse::<IpNet>().unwrap());
        for chosen in 0..1 << holes.len() {
            let of = |pool: PoolConfig, net: &&str| pool.exclude_addresses(net.parse().unwrap());
            let chosen = (0..holes.len()).filter(|hole| chosen >> hole & 1 == 1);
            let chosen: Vec<&str> = chosen.map(|hole| holes[hole]).collect();
            let pool = prefixes
                .iter()
                .fold(PoolConfig::new("p"), |pool, &net| pool.prefix(net));
            let pool = chosen.iter().fold(pool, of);
            let nets: Vec<IpNet> = chosen.iter().map(|net| net.parse().unwrap()).collect();
            let expected = prefixes.iter().flat_map(|net| match net {
                IpNet::V4(net) => Ipv4AddrRange::new(net.network(), net.broadcast()),
                IpNet::V6(_) => unreachable!("none is"),
            });
            let expected: Vec<u128> = expected
                .filter(|&address| !nets.iter().any(|net| net.contains(&IpAddr::V4(address))))
                .map(|address| u32::from(address).into())
                .collect();
            let all = runs(&pool);
            let found: Vec<u128> = all.iter().flat_map(|run| run.first..=run.last).collect();
            assert_eq!(found, expected, "without {chosen:?}");
            let mut before = 0;
            for run in all {
                assert_eq!(run.before, before);
                before += run.len();
            }
        }
    }
}
