//! From what the caller states to the lookup tables, or to the list of all faults.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use natshard::Protocol;
use prefix_trie::joint::JointPrefixMap;

use super::fair::{self, Served};
use super::lookup::Longest;
use super::{
    FragmentLimits, Lifetimes, NatConfig, NatConfigError, NatConfigFault, NatPool, Peering,
    PeeringIndex, PeeringTable, PoolIndex, Route, SourcePools, Withdrawn,
};
use crate::packet::HopLimit;
use crate::tuple::VpcId;

/// Collects pools and peerings.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NatConfigBuilder {
    pools: Vec<NatPool>,
    peerings: Vec<Peering>,
    hop_limit: HopLimit,
    withdrawn: Withdrawn,
    fragments: FragmentLimits,
}

impl NatConfigBuilder {
    /// Adds a pool.
    #[must_use]
    pub fn pool(mut self, pool: NatPool) -> Self {
        self.pools.push(pool);
        self
    }

    /// Adds a peering.
    #[must_use]
    pub fn peering(mut self, peering: Peering) -> Self {
        self.peerings.push(peering);
        self
    }

    /// What becomes of TTL and hop limit; kept by default. With [`HopLimit::Decrement`] a packet
    /// whose limit would reach zero is dropped; the ICMP error about that is the gateway's to
    /// send.
    #[must_use]
    pub fn hop_limit(mut self, hop_limit: HopLimit) -> Self {
        self.hop_limit = hop_limit;
        self
    }

    /// What becomes of sessions whose public tuple a new configuration no longer gives.
    #[must_use]
    pub fn withdrawn(mut self, withdrawn: Withdrawn) -> Self {
        self.withdrawn = withdrawn;
        self
    }

    /// Bounds of the fragment table.
    #[must_use]
    pub fn fragments(mut self, limits: FragmentLimits) -> Self {
        self.fragments = limits;
        self
    }

    /// Checks everything and builds the lookup tables. The prefixes, ranges and exclusions of the
    /// pools themselves are the allocator's to check: `Engine::new` with
    /// [`NatPool::to_engine`](super::NatPool::to_engine) does.
    ///
    /// # Errors
    /// All faults there are.
    pub fn build(self) -> Result<NatConfig, NatConfigError> {
        let mut build = Build::default();
        build.pools(&self.pools);
        for peering in &self.peerings {
            build.peering(&self.pools, peering);
        }
        build.subscribers(&self.pools);
        if !build.faults.is_empty() {
            return Err(NatConfigError {
                faults: build.faults,
            });
        }
        let lifetimes = self.peerings.iter().map(|it| Lifetimes::new(&it.behaviour));
        let routes = build.routes.iter();
        let publics = build.publics.iter();
        Ok(NatConfig {
            pools: self.pools,
            lifetimes: lifetimes.collect(),
            peerings: build.tables.into_iter().map(Rules::table).collect(),
            pairs: build.pairs.into_iter().collect(),
            routes: routes
                .map(|(vpc, it)| (*vpc, Longest::new(it, |_, to| *to)))
                .collect(),
            publics: publics
                .map(|(vpc, it)| (*vpc, Longest::new(it, |_, of| *of)))
                .collect(),
            hop_limit: self.hop_limit,
            withdrawn: self.withdrawn,
            fragments: self.fragments,
        })
    }
}

/// A peering with its rules, while they are collected.
struct Rules {
    peering: Peering,
    sources: [JointPrefixMap<IpNet, SourcePools>; Protocol::ALL.len()],
    destinations: JointPrefixMap<IpNet, IpNet>,
    /// The same rules, from their inner prefix.
    outers: JointPrefixMap<IpNet, IpNet>,
}

impl Rules {
    fn table(self) -> PeeringTable {
        let both = |from: IpNet, to: &IpNet| (from, *to);
        PeeringTable {
            peering: self.peering,
            sources: self
                .sources
                .each_ref()
                .map(|it| Longest::new(it, |_, pools| *pools)),
            destinations: Longest::new(&self.destinations, both),
            outers: Longest::new(&self.outers, both),
        }
    }
}

#[derive(Default)]
struct Build {
    faults: Vec<NatConfigFault>,
    by_name: HashMap<String, PoolIndex>,
    tables: Vec<Rules>,
    pairs: HashMap<(VpcId, VpcId), PeeringIndex>,
    routes: HashMap<VpcId, JointPrefixMap<IpNet, Route>>,
    publics: HashMap<VpcId, JointPrefixMap<IpNet, PoolIndex>>,
    realms: HashMap<VpcId, String>,
    /// By pools that keep books of subscribers.
    served: BTreeMap<PoolIndex, Served>,
}

impl Build {
    fn pools(&mut self, pools: &[NatPool]) {
        let limit = usize::from(u16::MAX);
        if pools.len() > limit {
            self.faults.push(NatConfigFault::TooMany {
                what: "pools",
                count: pools.len(),
                limit,
            });
        }
        for (index, pool) in pools.iter().enumerate() {
            fair::pool(pool, &mut self.faults);
            match self.by_name.entry(pool.name().to_owned()) {
                Entry::Occupied(_) => {
                    self.faults
                        .push(NatConfigFault::DuplicatePool(pool.name().to_owned()));
                }
                Entry::Vacant(entry) => {
                    entry.insert(PoolIndex(u16::try_from(index).unwrap_or(u16::MAX)));
                }
            }
        }
    }

    fn peering(&mut self, pools: &[NatPool], peering: &Peering) {
        let index = PeeringIndex(u32::try_from(self.tables.len()).unwrap_or(u32::MAX));
        self.identity(peering, index);
        self.timeouts(peering);
        let mut table = Rules {
            peering: peering.clone(),
            sources: std::array::from_fn(|_| JointPrefixMap::new()),
            destinations: JointPrefixMap::new(),
            outers: JointPrefixMap::new(),
        };
        self.sources(pools, peering, &mut table);
        self.destinations(peering, &mut table);
        self.tables.push(table);
        self.routes(peering, index);
    }

    fn identity(&mut self, peering: &Peering, index: PeeringIndex) {
        if self
            .tables
            .iter()
            .any(|other| other.peering.name == peering.name)
        {
            self.faults
                .push(NatConfigFault::DuplicatePeering(peering.name.clone()));
        }
        if peering.inside == peering.outside {
            self.faults.push(NatConfigFault::SamePeer {
                peering: peering.name.clone(),
                vpc: peering.inside,
            });
        }
        match self.pairs.entry((peering.inside, peering.outside)) {
            Entry::Occupied(first) => self.faults.push(NatConfigFault::DuplicatePair {
                first: self.tables[first.get().as_index()].peering.name.clone(),
                second: peering.name.clone(),
                inside: peering.inside,
                outside: peering.outside,
            }),
            Entry::Vacant(entry) => {
                entry.insert(index);
            }
        }
    }

    fn timeouts(&mut self, peering: &Peering) {
        let timeouts = &peering.behaviour.timeouts;
        let named = [
            ("udp", timeouts.udp),
            ("tcp_established", timeouts.tcp_established),
            ("tcp_transitory", timeouts.tcp_transitory),
            ("icmp", timeouts.icmp),
        ];
        let well_known = timeouts
            .udp_well_known
            .iter()
            .map(|&(_, value)| ("udp_well_known", value));
        for (timeout, value) in named.into_iter().chain(well_known) {
            if value.as_millis() == 0 {
                self.faults.push(NatConfigFault::ZeroTimeout {
                    peering: peering.name.clone(),
                    timeout,
                });
            }
        }
    }

    fn sources(&mut self, pools: &[NatPool], peering: &Peering, table: &mut Rules) {
        for rule in &peering.sources {
            self.host_bits(peering, "private prefix", rule.private);
            let pool = self.named_pool(pools, peering, rule.private, &rule.pool);
            let privileged = rule
                .privileged_pool
                .as_ref()
                .map(|name| self.named_pool(pools, peering, rule.private, name));
            let (Some(pool), privileged) = (pool, privileged.flatten()) else {
                continue;
            };
            for &protocol in rule.protocols.as_deref().unwrap_or(&Protocol::ALL) {
                let entry = SourcePools {
                    pool,
                    privileged,
                    share: rule.share,
                };
                let map = &mut table.sources[protocol.as_index()];
                if map.insert(rule.private.trunc(), entry).is_some() {
                    self.faults.push(NatConfigFault::DuplicateRule {
                        peering: peering.name.clone(),
                        private: rule.private,
                        protocol,
                    });
                }
            }
        }
    }

    /// Resolves a pool name of a rule and enters the pool among the public ones of the outside.
    fn named_pool(
        &mut self,
        pools: &[NatPool],
        peering: &Peering,
        private: IpNet,
        name: &str,
    ) -> Option<PoolIndex> {
        let Some(&index) = self.by_name.get(name) else {
            self.faults.push(NatConfigFault::UnknownPool {
                peering: peering.name.clone(),
                pool: name.to_owned(),
            });
            return None;
        };
        let pool = &pools[index.as_index()];
        let family = |net: &IpNet| matches!(net, IpNet::V4(_));
        if !pool
            .prefixes()
            .iter()
            .any(|net| family(net) == family(&private))
        {
            self.faults.push(NatConfigFault::NoSuchFamily {
                peering: peering.name.clone(),
                pool: name.to_owned(),
                private,
                family: if family(&private) { "IPv4" } else { "IPv6" },
            });
        }
        let realm = self
            .realms
            .entry(peering.outside)
            .or_insert_with(|| pool.realm_name().to_owned());
        if *realm != pool.realm_name() {
            self.faults.push(NatConfigFault::MixedRealms {
                peering: peering.name.clone(),
                pool: name.to_owned(),
                realm: pool.realm_name().to_owned(),
                expected: realm.clone(),
                outside: peering.outside,
            });
        }
        let publics = self.publics.entry(peering.outside).or_default();
        for prefix in pool.prefixes() {
            publics.insert(prefix.trunc(), index);
        }
        if pool.policies().keeps_subscribers() {
            let served = self.served.entry(index).or_default();
            self.faults.extend(served.add(pool, peering, private));
        }
        Some(index)
    }

    /// Whether the subscribers of each pool can be told apart.
    fn subscribers(&mut self, pools: &[NatPool]) {
        for (index, served) in std::mem::take(&mut self.served) {
            served.check(&pools[index.as_index()], &mut self.faults);
        }
    }

    fn destinations(&mut self, peering: &Peering, table: &mut Rules) {
        for rule in &peering.destinations {
            self.host_bits(peering, "destination prefix", rule.outer);
            self.host_bits(peering, "destination prefix", rule.inner);
            let same_family = rule.outer.addr().is_ipv4() == rule.inner.addr().is_ipv4();
            if !same_family || rule.outer.prefix_len() != rule.inner.prefix_len() {
                self.faults.push(NatConfigFault::UnequalPrefixes {
                    peering: peering.name.clone(),
                    outer: rule.outer,
                    inner: rule.inner,
                });
            }
            table.outers.insert(rule.inner.trunc(), rule.outer);
            if table
                .destinations
                .insert(rule.outer.trunc(), rule.inner)
                .is_some()
            {
                self.faults.push(NatConfigFault::DuplicateDestination {
                    peering: peering.name.clone(),
                    outer: rule.outer,
                });
            }
        }
    }

    fn routes(&mut self, peering: &Peering, index: PeeringIndex) {
        // The outside is known even where nothing is translated towards it.
        self.publics.entry(peering.outside).or_default();
        for rule in &peering.sources {
            self.route(peering, rule.private, Route::Local);
        }
        let everywhere = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        let remotes: &[IpNet] = match peering.remotes.as_slice() {
            [] => &everywhere,
            remotes => remotes,
        };
        for &remote in remotes {
            self.host_bits(peering, "remote prefix", remote);
            self.route(peering, remote, Route::Peering(index));
        }
    }

    fn route(&mut self, peering: &Peering, prefix: IpNet, route: Route) {
        let routes = self.routes.entry(peering.inside).or_default();
        let before = routes.insert(prefix.trunc(), route);
        if let Some(before) = before.filter(|before| *before != route) {
            let name = |route: Route| match route {
                Route::Local => format!("{} itself", peering.inside),
                Route::Peering(index) => {
                    format!("peering `{}`", self.tables[index.as_index()].peering.name)
                }
            };
            self.faults.push(NatConfigFault::AmbiguousRemote {
                vpc: peering.inside,
                prefix,
                first: name(before),
                second: name(route),
            });
        }
    }

    fn host_bits(&mut self, peering: &Peering, what: &'static str, prefix: IpNet) {
        if prefix != prefix.trunc() {
            self.faults.push(NatConfigFault::HostBits {
                peering: peering.name.clone(),
                what,
                prefix,
            });
        }
    }
}
