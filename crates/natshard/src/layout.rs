//! A configuration as the shards see it: pools cut into regions.
//!
//! The prefixes and exclusions of all pools of a space are cut into **atoms**, ranges of addresses
//! that every pool treats alike. Atoms treated alike form a **class**; the blocks of a class are
//! grouped into [`Region`]s by the set of pools that may lease from them. Two pools that overlap
//! thus share the very same blocks (F1), and a pool searches only blocks it has ports in.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;

use crate::block::Mask;
use crate::config::{EngineConfig, PoolConfig};
use crate::config_error::{ConfigError, ConfigFault};
use crate::fair::{self, Seats, Sharing, SubscriberPolicy};
use crate::hints::{BLOCKS, BlockSet};
use crate::id::{PoolId, RealmId};
use crate::page::Page;
use crate::portset::PortSet;
use crate::protocol::Protocol;
use crate::region::{Region, RegionSpec};
use crate::request::Family;
use crate::space::{Space, SpaceId, Window};

/// Names that keep their numbers under all configurations.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pools: Vec<String>,
    realms: Vec<String>,
    seats: Seats,
}

impl Names {
    /// Whether the numbers suffice for everything this configuration adds to what there was.
    pub(crate) fn check(&self, config: &EngineConfig, spaces: usize) -> Result<(), ConfigError> {
        let windows = config
            .pools
            .iter()
            .map(|pool| pool.prefixes.len())
            .sum::<usize>();
        let asked = [
            (
                "pools over the life of the engine",
                self.pools.len() + config.pools.len(),
            ),
            (
                "realms over the life of the engine",
                self.realms.len() + config.pools.len(),
            ),
            (
                "address windows over the life of the engine",
                spaces + Protocol::ALL.len() * windows,
            ),
        ];
        let limit = usize::from(u16::MAX);
        let asked = asked.map(|(what, count)| (what, count, limit));
        let sharing = config.pools.iter().filter(|pool| !pool.tenants.is_empty());
        let tenants = sharing.filter_map(|pool| {
            let place = self.pools.iter().position(|known| *known == pool.name)?;
            let count = self.seats.count_with(PoolId(place as u16), &pool.tenants);
            let what = "tenants of one pool over the life of the engine";
            Some((what, count, fair::check::MAX_TENANTS))
        });
        let over = asked.into_iter().chain(tenants);
        let faults: Vec<_> = over
            .filter(|&(_, count, limit)| count > limit)
            .map(|(what, count, limit)| ConfigFault::TooMany { what, count, limit })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { faults })
        }
    }
}

fn number(names: &mut Vec<String>, name: &str) -> u16 {
    let found = names.iter().position(|known| known == name);
    found.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    }) as u16
}

/// One pool of a layout.
#[derive(Debug)]
pub(crate) struct PoolLayout {
    pub(crate) id: PoolId,
    pub(crate) name: String,
    pub(crate) realm: RealmId,
    pub(crate) reuse_closed: bool,
    pub(crate) policy: SubscriberPolicy,
    /// `None` where blocks are anybody's.
    pub(crate) sharing: Option<Sharing>,
    /// The regions to lease from, by protocol, then IPv4 and IPv6.
    pub(crate) regions: [[Vec<Arc<Region>>; 2]; 3],
}

impl PoolLayout {
    /// The regions of a protocol, of one family or of both.
    pub(crate) fn regions(
        &self,
        protocol: Protocol,
        family: Option<Family>,
    ) -> impl Iterator<Item = &Arc<Region>> + Clone {
        let [v4, v6] = &self.regions[protocol.as_index()];
        let wanted = |which| family.is_none_or(|family| family == which);
        let v4 = if wanted(Family::V4) {
            v4.as_slice()
        } else {
            &[]
        };
        let v6 = if wanted(Family::V6) {
            v6.as_slice()
        } else {
            &[]
        };
        v4.iter().chain(v6)
    }
}

/// What one pool makes of the addresses of a class.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Share {
    pub(crate) pool: PoolId,
    /// The ports of its range.
    pub(crate) range: Arc<PortSet>,
    /// Those of them it may lease.
    pub(crate) lease: Arc<PortSet>,
}

/// Addresses that all pools treat alike.
#[derive(Debug)]
pub(crate) struct Class {
    pub(crate) shares: Vec<Share>,
    pub(crate) regions: Vec<Arc<Region>>,
    pub(crate) addresses: u64,
}

impl Class {
    /// The ports of a block that a pool may lease at these addresses.
    pub(crate) fn mask(&self, pool: PoolId, block: usize) -> Mask {
        let region = self
            .regions
            .iter()
            .find(|region| region.blocks.contains(block));
        region.map_or(Mask::EMPTY, |region| region.mask(pool, block))
    }
}

/// The classes of one space.
#[derive(Debug, Default)]
pub(crate) struct SpaceLayout {
    /// Ascending, disjoint: first key, last key, class.
    atoms: Vec<(u32, u32, usize)>,
    pub(crate) classes: Vec<Class>,
}

impl SpaceLayout {
    /// The class of an address; `None` when no pool holds it.
    pub(crate) fn class(&self, key: u32) -> Option<&Class> {
        let after = self.atoms.partition_point(|&(low, _, _)| low <= key);
        let &(_, high, class) = self.atoms[..after].last()?;
        (key <= high).then(|| &self.classes[class])
    }
}

/// A configuration, cut into regions.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Counts reconfigurations, from one.
    pub(crate) version: u64,
    pub(crate) config: EngineConfig,
    pools: Vec<Option<Arc<PoolLayout>>>,
    pool_names: BTreeMap<String, PoolId>,
    realm_names: BTreeMap<String, RealmId>,
    /// Whether any pool shares its blocks out.
    pub(crate) shares: bool,
    /// Every space there ever was, by id.
    pub(crate) spaces: Vec<Arc<Space>>,
    space_ids: HashMap<(RealmId, Protocol, Window), SpaceId>,
    /// By space id; shorter than `spaces` where later ones have no pool.
    pub(crate) space_layouts: Vec<SpaceLayout>,
    pub(crate) regions: Vec<Arc<Region>>,
    /// Regions of earlier layouts that may still have something to reclaim.
    pub(crate) retired: Vec<Arc<Region>>,
}

/// The keys of a prefix within its window.
pub(crate) fn keys(net: &IpNet) -> (Window, u32, u32) {
    let (window, low) = Window::of(net.network());
    let host_bits = u32::from(net.max_prefix_len() - net.prefix_len());
    let high = if host_bits >= 32 {
        u32::MAX
    } else {
        low | ((1u64 << host_bits) - 1) as u32
    };
    (window, low, high)
}

/// The keys of an exclusion within a window, if it reaches into it.
fn clip(net: &IpNet, window: Window) -> Option<(u32, u32)> {
    match (net, window) {
        (IpNet::V4(_), Window::V4) => {
            let (_, low, high) = keys(net);
            Some((low, high))
        }
        (IpNet::V6(net), Window::V6(base)) => {
            let low = u128::from(net.network()).max(base);
            let high = u128::from(net.broadcast()).min(base | u128::from(u32::MAX));
            (low <= high).then_some((low as u32, high as u32))
        }
        _ => None,
    }
}

/// Makes each distinct port set once.
#[derive(Default)]
pub(crate) struct PortSets(HashMap<(Ranges, Ranges), Arc<PortSet>>);

type Ranges = Vec<RangeInclusive<u16>>;

impl PortSets {
    fn get(&mut self, with: &RangeInclusive<u16>, without: &[RangeInclusive<u16>]) -> Arc<PortSet> {
        let key = (vec![with.clone()], without.to_vec());
        Arc::clone(
            self.0
                .entry(key)
                .or_insert_with_key(|(with, without)| Arc::new(PortSet::new(with, without))),
        )
    }
}

/// What a pool makes of an address range.
fn share(
    pool: &PoolConfig,
    id: PoolId,
    protocol: Protocol,
    window: Window,
    low: u32,
    sets: &mut PortSets,
) -> Share {
    let range = match protocol {
        Protocol::Tcp | Protocol::Udp => &pool.ports,
        Protocol::Icmp => &pool.identifiers,
    };
    let mut without = Vec::new();
    for exclusion in &pool.exclusions {
        let here = exclusion.net.as_ref().is_none_or(|net| {
            clip(net, window).is_some_and(|(first, last)| first <= low && low <= last)
        });
        match (&exclusion.ports, protocol) {
            _ if !here => {}
            (None, _) => without.push(0..=u16::MAX),
            (Some(ports), Protocol::Tcp | Protocol::Udp) => without.push(ports.clone()),
            (Some(_), Protocol::Icmp) => {}
        }
    }
    Share {
        pool: id,
        range: sets.get(range, &[]),
        lease: sets.get(range, &without),
    }
}

/// Cuts one space: its atoms, and the shares of each.
pub(crate) fn cut(
    pools: &[(PoolId, &PoolConfig)],
    protocol: Protocol,
    window: Window,
    sets: &mut PortSets,
) -> Vec<(u32, u32, Vec<Share>)> {
    let mut starts = vec![];
    let mut held: Vec<Vec<(u32, u32)>> = vec![];
    for (_, pool) in pools {
        let mut ranges: Vec<(u32, u32)> = vec![];
        for prefix in &pool.prefixes {
            let (of, low, high) = keys(prefix);
            if of == window {
                ranges.push((low, high));
            }
        }
        ranges.sort_unstable();
        let exclusions = pool
            .exclusions
            .iter()
            .filter_map(|exclusion| clip(exclusion.net.as_ref()?, window));
        for (low, high) in ranges.iter().copied().chain(exclusions) {
            starts.push(u64::from(low));
            starts.push(u64::from(high) + 1);
        }
        held.push(ranges);
    }
    starts.sort_unstable();
    starts.dedup();
    let mut atoms: Vec<(u32, u32, Vec<Share>)> = vec![];
    for bounds in starts.windows(2) {
        let (low, high) = (bounds[0] as u32, (bounds[1] - 1) as u32);
        let shares: Vec<Share> = pools
            .iter()
            .zip(&held)
            .filter(|(_, ranges)| {
                let after = ranges.partition_point(|&(first, _)| first <= low);
                after > 0 && low <= ranges[after - 1].1
            })
            .map(|(&(id, pool), _)| share(pool, id, protocol, window, low, sets))
            .collect();
        match atoms.last_mut() {
            _ if shares.is_empty() => {}
            Some((_, last, same)) if *last == low.wrapping_sub(1) && *same == shares => {
                *last = high
            }
            _ => atoms.push((low, high, shares)),
        }
    }
    atoms
}

impl Layout {
    /// Cuts a checked configuration; keeps the spaces, and the regions that stay as they were, of
    /// the layout before.
    pub(crate) fn build(
        config: EngineConfig,
        names: &mut Names,
        before: Option<&Layout>,
    ) -> Layout {
        let mut layout = Layout {
            version: before.map_or(1, |before| before.version + 1),
            pools: Vec::new(),
            pool_names: BTreeMap::new(),
            realm_names: BTreeMap::new(),
            shares: false,
            spaces: before.map_or_else(Vec::new, |before| before.spaces.clone()),
            space_ids: before.map_or_else(HashMap::new, |before| before.space_ids.clone()),
            space_layouts: Vec::new(),
            regions: Vec::new(),
            retired: Vec::new(),
            config,
        };
        let mut sets = PortSets::default();
        let mut windows: BTreeMap<(RealmId, Window), Vec<(PoolId, &PoolConfig)>> = BTreeMap::new();
        let mut pools: Vec<Option<PoolLayout>> = Vec::new();
        let config = layout.config.clone();
        for pool in &config.pools {
            let id = PoolId(number(&mut names.pools, &pool.name));
            let realm = RealmId(number(&mut names.realms, &pool.realm));
            layout.pool_names.insert(pool.name.clone(), id);
            layout.realm_names.insert(pool.realm.clone(), realm);
            pools.resize_with(names.pools.len().max(pools.len()), || None);
            pools[id.as_index()] = Some(PoolLayout {
                id,
                name: pool.name.clone(),
                realm,
                reuse_closed: pool.reuse_closed,
                policy: SubscriberPolicy::of(pool),
                sharing: Sharing::of(pool, id, &mut names.seats),
                regions: Default::default(),
            });
            let mut of_pool: Vec<Window> =
                pool.prefixes.iter().map(|prefix| keys(prefix).0).collect();
            of_pool.sort_unstable();
            of_pool.dedup();
            for window in of_pool {
                windows.entry((realm, window)).or_default().push((id, pool));
            }
        }
        for (&(realm, window), members) in &windows {
            for protocol in Protocol::ALL {
                let space = layout.space(realm, protocol, window);
                let atoms = cut(members, protocol, window, &mut sets);
                let keep_open = members
                    .iter()
                    .map(|(_, pool)| pool.preopen)
                    .max()
                    .unwrap_or(0);
                layout.add_space(&space, atoms, keep_open.max(1) as u64, before, &mut pools);
            }
        }
        for pool in pools.iter_mut().flatten() {
            for protocol in Protocol::ALL {
                let blocks = pool
                    .regions(protocol, None)
                    .map(|region| region.blocks_in_all());
                let blocks = blocks.sum();
                if let Some(sharing) = &mut pool.sharing {
                    layout.shares = true;
                    sharing.blocks[protocol.as_index()] = blocks;
                }
            }
        }
        layout.pools = pools.into_iter().map(|pool| pool.map(Arc::new)).collect();
        if let Some(before) = before {
            for region in before.regions.iter().chain(&before.retired) {
                let kept = layout.regions.iter().any(|kept| Arc::ptr_eq(kept, region));
                let just_retired = before.regions.iter().any(|old| Arc::ptr_eq(old, region));
                if !kept && (just_retired || region.open.get() > 0) {
                    layout.retired.push(Arc::clone(region));
                }
            }
        }
        layout
    }

    fn space(&mut self, realm: RealmId, protocol: Protocol, window: Window) -> Arc<Space> {
        let spaces = &mut self.spaces;
        let id = *self
            .space_ids
            .entry((realm, protocol, window))
            .or_insert_with(|| {
                let id = SpaceId(spaces.len() as u16);
                spaces.push(Arc::new(Space::new(id, realm, protocol, window)));
                id
            });
        Arc::clone(&self.spaces[id.0 as usize])
    }

    fn add_space(
        &mut self,
        space: &Arc<Space>,
        atoms: Vec<(u32, u32, Vec<Share>)>,
        keep_open: u64,
        before: Option<&Layout>,
        pools: &mut [Option<PoolLayout>],
    ) {
        let mut here = SpaceLayout::default();
        let mut classes: HashMap<Vec<Share>, usize> = HashMap::new();
        let mut ranges: Vec<Vec<(u32, u32)>> = Vec::new();
        for (low, high, shares) in atoms {
            let class = *classes.entry(shares).or_insert_with_key(|shares| {
                here.classes.push(Class {
                    shares: shares.clone(),
                    regions: vec![],
                    addresses: 0,
                });
                ranges.push(vec![]);
                here.classes.len() - 1
            });
            here.atoms.push((low, high, class));
            here.classes[class].addresses += u64::from(high - low) + 1;
            ranges[class].push((low, high));
        }
        for (class, ranges) in here.classes.iter_mut().zip(ranges) {
            for (blocks, sharing) in group_blocks(&class.shares) {
                let spec = RegionSpec {
                    ranges: ranges.clone(),
                    blocks,
                    pools: sharing,
                };
                let region = before
                    .and_then(|before| before.reusable(space.id, &spec))
                    .unwrap_or_else(|| Arc::new(Region::new(space, spec, keep_open)));
                let family = usize::from(space.window != Window::V4);
                for (pool, _) in &region.spec.pools {
                    if let Some(Some(pool)) = pools.get_mut(pool.as_index()) {
                        pool.regions[space.protocol.as_index()][family].push(Arc::clone(&region));
                    }
                }
                class.regions.push(Arc::clone(&region));
                self.regions.push(region);
            }
        }
        let index = space.id.0 as usize;
        if self.space_layouts.len() <= index {
            self.space_layouts
                .resize_with(index + 1, SpaceLayout::default);
        }
        self.space_layouts[index] = here;
    }

    fn reusable(&self, space: SpaceId, spec: &RegionSpec) -> Option<Arc<Region>> {
        let all = self.regions.iter().chain(&self.retired);
        all.filter(|region| region.space.id == space)
            .find(|region| region.spec == *spec)
            .cloned()
    }

    /// The pool of a number.
    #[inline]
    pub(crate) fn pool(&self, id: PoolId) -> Option<&Arc<PoolLayout>> {
        self.pools.get(id.as_index())?.as_ref()
    }

    /// Every pool.
    pub(crate) fn pools(&self) -> impl Iterator<Item = &Arc<PoolLayout>> {
        self.pools.iter().flatten()
    }

    pub(crate) fn pool_named(&self, name: &str) -> Option<PoolId> {
        self.pool_names.get(name).copied()
    }

    pub(crate) fn realm_named(&self, name: &str) -> Option<RealmId> {
        self.realm_names.get(name).copied()
    }

    /// The pool that shares out a block, if one does: such a pool has its blocks to itself.
    pub(crate) fn sharing_pool(&self, page: &Page, block: usize) -> Option<(PoolId, &Sharing)> {
        let class = self.class(page.space, page.key)?;
        let mut regions = class.regions.iter();
        let region = regions.find(|region| region.blocks.contains(block))?;
        let &(id, _) = region.spec.pools.first()?;
        Some((id, self.pool(id)?.sharing.as_ref()?))
    }

    /// The space of a tuple, if any pool was ever there.
    pub(crate) fn find_space(
        &self,
        realm: RealmId,
        protocol: Protocol,
        window: Window,
    ) -> Option<&Arc<Space>> {
        let id = self.space_ids.get(&(realm, protocol, window))?;
        self.spaces.get(id.0 as usize)
    }

    /// The class of an address of a space.
    pub(crate) fn class(&self, space: SpaceId, key: u32) -> Option<&Class> {
        self.space_layouts.get(space.0 as usize)?.class(key)
    }
}

/// The pools that share some blocks, each with the ports it may lease.
type Sharers = Vec<(PoolId, Arc<PortSet>)>;

/// Groups the blocks of a class by the pools that may lease from them.
fn group_blocks(shares: &[Share]) -> Vec<(BlockSet, Sharers)> {
    let reach: Vec<_> = shares.iter().map(|share| share.lease.blocks()).collect();
    let mut groups: BTreeMap<Vec<usize>, BlockSet> = BTreeMap::new();
    for block in 0..BLOCKS {
        let sharing: Vec<usize> = (0..shares.len())
            .filter(|&share| reach[share].contains(block))
            .collect();
        if !sharing.is_empty() {
            groups.entry(sharing).or_default().insert(block);
        }
    }
    groups
        .into_iter()
        .map(|(sharing, blocks)| {
            let pools = sharing
                .iter()
                .map(|&share| (shares[share].pool, Arc::clone(&shares[share].lease)));
            (blocks, pools.collect())
        })
        .collect()
}

/// Finds every fault of a configuration.
pub(crate) fn check(config: &EngineConfig) -> Result<(), ConfigError> {
    let mut faults = Vec::new();
    if !(1..=EngineConfig::MAX_SHARDS).contains(&config.shards) {
        faults.push(ConfigFault::Shards(config.shards));
    }
    if config.hold_down.as_secs() > 30 * 86_400 {
        faults.push(ConfigFault::HoldDown(config.hold_down));
    }
    if config.max_subscribers > 1 << 30 {
        faults.push(ConfigFault::TooMany {
            what: "subscribers",
            count: config.max_subscribers as usize,
            limit: 1 << 30,
        });
    }
    if config.pools.len() > 4096 {
        faults.push(ConfigFault::TooMany {
            what: "pools",
            count: config.pools.len(),
            limit: 4096,
        });
    }
    let windows: std::collections::BTreeSet<_> = config
        .pools
        .iter()
        .flat_map(|pool| {
            pool.prefixes
                .iter()
                .map(|prefix| (&pool.realm, keys(prefix).0))
        })
        .collect();
    if windows.len() > 16_384 {
        let what = "/96 windows of IPv6 prefixes";
        faults.push(ConfigFault::TooMany {
            what,
            count: windows.len(),
            limit: 16_384,
        });
    }
    for pool in config.pools.iter().filter(|pool| pool.preopen > 1 << 20) {
        let what = "addresses to open ahead";
        faults.push(ConfigFault::TooMany {
            what,
            count: pool.preopen,
            limit: 1 << 20,
        });
    }
    let mut seen = std::collections::BTreeSet::new();
    for (index, pool) in config.pools.iter().enumerate() {
        check_pool(index, pool, &mut faults);
        if !seen.insert(&pool.name) {
            faults.push(ConfigFault::DuplicatePool(pool.name.clone()));
        }
    }
    fair::check::sharing(&config.pools, &mut faults);
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { faults })
    }
}

pub(crate) fn check_pool(index: usize, pool: &PoolConfig, faults: &mut Vec<ConfigFault>) {
    let before = faults.len();
    let name = || pool.name.clone();
    if pool.name.is_empty() {
        faults.push(ConfigFault::EmptyName(index, "name"));
    }
    if pool.realm.is_empty() {
        faults.push(ConfigFault::EmptyName(index, "realm"));
    }
    if pool.prefixes.is_empty() {
        faults.push(ConfigFault::NoPrefix(name()));
    }
    for prefix in &pool.prefixes {
        if prefix.addr() != prefix.network() {
            faults.push(ConfigFault::HostBits {
                pool: name(),
                prefix: *prefix,
            });
        }
    }
    let mut sorted = pool.prefixes.clone();
    sorted.sort_by_key(|prefix| (prefix.network(), prefix.prefix_len()));
    let mut widest: Option<IpNet> = None;
    for second in sorted {
        match widest.filter(|first| first.contains(&second.network())) {
            Some(first) => faults.push(ConfigFault::OverlappingPrefixes {
                pool: name(),
                first,
                second,
            }),
            None => widest = Some(second),
        }
    }
    for (what, range) in [
        ("port range", &pool.ports),
        ("identifier range", &pool.identifiers),
    ] {
        if range.is_empty() {
            faults.push(ConfigFault::EmptyRange {
                pool: name(),
                what,
                range: range.clone(),
            });
        }
    }
    if *pool.ports.start() == 0 && !pool.ports.is_empty() {
        faults.push(ConfigFault::PortZero(name()));
    }
    for exclusion in &pool.exclusions {
        if let Some(range) = exclusion.ports.as_ref().filter(|range| range.is_empty()) {
            let what = "excluded port range";
            faults.push(ConfigFault::EmptyRange {
                pool: name(),
                what,
                range: range.clone(),
            });
        }
        if let Some(net) = exclusion.net {
            let reaches = |prefix: &IpNet| {
                clip(&net, keys(prefix).0).is_some_and(|(low, high)| {
                    let (_, first, last) = keys(prefix);
                    low <= last && first <= high
                })
            };
            if !pool.prefixes.iter().any(reaches) {
                faults.push(ConfigFault::ExclusionOutside { pool: name(), net });
            }
        }
    }
    if faults.len() == before && leaves_nothing(pool) {
        faults.push(ConfigFault::NothingLeft(name()));
    }
    if faults.len() == before {
        faults.extend(fair::deterministic::fault(pool));
    }
    fair::check::pool(pool, faults.len() == before, faults);
}

fn leaves_nothing(pool: &PoolConfig) -> bool {
    let mut sets = PortSets::default();
    let id = PoolId(0);
    let windows: std::collections::BTreeSet<_> =
        pool.prefixes.iter().map(|prefix| keys(prefix).0).collect();
    windows.into_iter().all(|window| {
        Protocol::ALL.into_iter().all(|protocol| {
            let atoms = cut(&[(id, pool)], protocol, window, &mut sets);
            atoms
                .iter()
                .all(|(_, _, shares)| shares.iter().all(|share| share.lease.len() == 0))
        })
    })
}
