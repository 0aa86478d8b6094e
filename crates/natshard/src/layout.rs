//! A configuration as the shards see it: pools cut into regions.
//!
//! The prefixes and exclusions of all pools of a space are cut into **atoms**, ranges of addresses
//! that every pool treats alike. Atoms treated alike form a **class**; the blocks of a class are
//! grouped into [`Region`]s by the set of pools that may lease from them. Two pools that overlap
//! thus share the very same blocks (F1), and a pool searches only blocks it has ports in.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::block::Mask;
use crate::config::{EngineConfig, PoolConfig};
use crate::fair::{Sharing, SubscriberPolicy};
use crate::id::{PoolId, RealmId};
use crate::page::Page;
use crate::portset::PortSet;
use crate::protocol::Protocol;
use crate::region::{Region, RegionSpec};
use crate::request::Family;
use crate::space::{Space, SpaceId, Window};
pub(crate) use check::{check, check_pool};
use cut::group_blocks;
pub(crate) use cut::{PortSets, cut, keys};
pub(crate) use names::Names;
use names::number;

mod check;
mod cut;
mod names;

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

#[cfg(test)]
mod tests;
