//! The engine: what everybody shares, and how it is built, changed and counted.

use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;

use crate::accounting;
use crate::block::{PORTS, Phase};
use crate::census::Census;
use crate::clock::Clock;
use crate::config::EngineConfig;
use crate::config_error::{ConfigError, ConfigFault};
use crate::error::ShardError;
use crate::event::{Changes, EventReader, EventRings};
use crate::fair::{self, SubscriberCensus, Table};
use crate::ground::Ground;
use crate::hints::BLOCKS;
use crate::id::{PoolId, RealmId, ShardId};
use crate::inner::{Handle, Inner, ShardShared};
use crate::layout::{self, Layout, Names};
use crate::protocol::Protocol;
use crate::reclaim::Participant;
use crate::region::Region;
use crate::segments::Segments;
use crate::shard::Shard;
use crate::space::Window;
use crate::stats::Stats;
use crate::sync::Word;
use crate::tick::Tick;

/// A handle to an engine; clones share it. The engine lives as long as any handle or [`Shard`];
/// leases outlive it.
#[derive(Clone, Debug)]
pub struct Engine(Arc<Handle>);

/// What a reconfiguration did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reconfigured {
    /// Pools that the configuration before did not have.
    pub added: Vec<String>,
    /// Pools that the new configuration does not have.
    pub removed: Vec<String>,
    /// Open addresses that no pool holds any longer and that still have leases.
    pub draining_addresses: u64,
    /// Leases on tuples that no pool holds any longer; they stay valid until given back.
    pub draining_leases: u64,
}

impl Engine {
    /// Builds an engine. Costs no memory for addresses that are never used.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration at once.
    pub fn new(config: EngineConfig) -> Result<Engine, ConfigError> {
        layout::check(&config)?;
        let ordinal = crate::sync::ordinal().ok_or_else(|| ConfigError {
            faults: vec![ConfigFault::TooMany {
                what: "engines over the life of a process",
                count: 1 << 32,
                limit: u32::MAX as usize,
            }],
        })?;
        let mut names = Names::default();
        let shards = (0..config.shards).map(|_| CachePadded::new(ShardShared::default()));
        let clock = Clock::new(config.hold_down).counting(config.max_cooling != u64::MAX);
        let (order, seed, max_cooling) = (config.port_order, config.seed, config.max_cooling);
        let shards = shards.collect();
        let events = EventRings::new(config.events, config.shards);
        let accounts = Table::new(config.max_subscribers);
        let first = Arc::new(Layout::build(config, &mut names, None));
        let inner = Arc::new(Inner {
            ground: Arc::new(Ground::new(ordinal, clock, events, accounts)),
            shards,
            order,
            seed,
            max_cooling,
            tallies: Segments::default(),
            layout: ArcSwap::new(Arc::clone(&first)),
            latest: ArcSwap::new(Arc::clone(&first)),
            published_version: Word::new(first.version),
            latest_version: Word::new(first.version),
            control: Mutex::new(names),
        });
        inner.tighten(None, &first);
        inner.loosen(&first);
        let engine = Engine(Arc::new(Handle {
            inner: ManuallyDrop::new(inner),
        }));
        engine.preopen(&first);
        Ok(engine)
    }

    pub(crate) fn inner(&self) -> &Arc<Inner> {
        &self.0.inner
    }

    fn preopen(&self, layout: &Layout) {
        let visit = self.inner().ground.visit();
        let pin = visit.pin();
        for pool in &layout.config.pools {
            let Some(found) = layout.pool_named(&pool.name).and_then(|id| layout.pool(id)) else {
                continue;
            };
            for protocol in Protocol::ALL {
                let regions = || found.regions(protocol, None);
                let open: u64 = regions().map(|region| region.open.get()).sum();
                let mut left = pool.preopen.saturating_sub(open as usize);
                for region in regions() {
                    while left > 0 {
                        let Some((number, key)) = region.next_address() else {
                            break;
                        };
                        let record = region.space.record(key);
                        self.inner().enlist(&pin, &region.space, record, layout);
                        region.enlisted(number);
                        let (page, fresh) = self.inner().open(&pin, &region.space, record);
                        if fresh {
                            self.inner().queue_opened(page, region.blocks.iter());
                        }
                        left -= 1;
                    }
                }
            }
        }
    }

    /// The number of a pool of the current configuration; stable for its name.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<PoolId> {
        self.inner().layout.load().pool_named(name)
    }

    /// The number of a realm of the current configuration; stable for its name.
    #[must_use]
    pub fn realm(&self, name: &str) -> Option<RealmId> {
        self.inner().layout.load().realm_named(name)
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner().shards.len()
    }

    /// Takes a shard. Dropping it gives it back.
    ///
    /// # Errors
    ///
    /// When somebody holds it, or there is none of that number.
    pub fn shard(&self, index: usize) -> Result<Shard, ShardError> {
        let shards = self.shards();
        let shared = self.inner().shards.get(index);
        let shared = shared.ok_or(ShardError::OutOfRange {
            asked: index,
            shards,
        })?;
        if !shared.taken.raise() {
            return Err(ShardError::Taken(index));
        }
        Ok(Shard::new(&self.0, ShardId(index as u8)))
    }

    /// Which shard issued a public tuple, or has it in hand to issue it next, so that return packets
    /// can be steered to it; `None` when nobody holds it. Constant time, and exact also for ports of
    /// reheated blocks.
    ///
    /// A dispatcher that asks per packet keeps a [`Steering`] instead, which is cheaper.
    #[must_use]
    pub fn owner(&self, realm: RealmId, protocol: Protocol, public: SocketAddr) -> Option<ShardId> {
        let visit = self.inner().ground.visit();
        let _pin = visit.pin();
        owner(self.inner(), realm, protocol, public)
    }

    /// A dispatcher's view of [`owner`](Self::owner).
    #[must_use]
    pub fn steering(&self) -> Steering {
        Steering {
            participant: self.inner().ground.reclaimer.join(),
            handle: Arc::clone(&self.0),
        }
    }

    /// Changes pools, prefixes, ports, exclusions and policies while shards go on.
    ///
    /// Live leases survive. Ports that no pool holds any longer drain: they are not leased again
    /// once every burst open now has ended, and their memory comes back when their leases have.
    /// Ports that come back are leasable as soon as they have rested.
    ///
    /// # Errors
    ///
    /// Every fault of the configuration at once, the number of shards, hold-down, seed, port
    /// order and cap of cooling ports among them when they differ; nothing is changed then.
    pub fn reconfigure(&self, config: EngineConfig) -> Result<Reconfigured, ConfigError> {
        let inner = self.inner();
        let mut names = inner.control.lock().unwrap_or_else(PoisonError::into_inner);
        let before = inner.layout.load_full();
        check_immutable(&before.config, &config)?;
        names.check(&config, before.spaces.len())?;
        let after = Arc::new(Layout::build(config, &mut names, Some(&before)));
        let visit = inner.ground.visit();
        let changes = Changes::number(&inner.ground, &before, &after);
        inner.tighten(Some(&before), &after);
        // From here on whoever makes a record enlists it in the new regions too; whoever made one
        // before is found by the pass below.
        inner.latest.store(Arc::clone(&after));
        inner.latest_version.set(after.version);
        let kept: Vec<*const Region> = [&after.regions, &after.retired, &before.regions]
            .into_iter()
            .flatten()
            .map(Arc::as_ptr)
            .collect();
        for space in &after.spaces {
            for record in space.records() {
                let pin = visit.pin();
                inner.enlist_in(&pin, space, record, &[&before, &after], |member| {
                    kept.contains(&Arc::as_ptr(&member.region))
                });
                record.set_enlisted(after.version);
                let Some(page) = record.page() else { continue };
                for block in 0..BLOCKS {
                    inner.rebook(&after, page, block);
                    page.recut(block);
                }
            }
        }
        // Every hint leads to the new regions now: publish them.
        inner.layout.store(Arc::clone(&after));
        inner.published_version.set(after.version);
        changes.tell(&inner.ground);
        inner.loosen(&after);
        self.preopen(&after);
        let (draining_addresses, draining_leases) =
            accounting::draining(inner, &after, &visit.pin());
        let names_of = |layout: &Layout| -> Vec<String> {
            layout.pools().map(|pool| pool.name.clone()).collect()
        };
        let (old, new) = (names_of(&before), names_of(&after));
        Ok(Reconfigured {
            added: new
                .iter()
                .filter(|name| !old.contains(name))
                .cloned()
                .collect(),
            removed: old.into_iter().filter(|name| !new.contains(name)).collect(),
            draining_addresses,
            draining_leases,
        })
    }

    /// Counts every port anew, from the words themselves. Takes time in proportion to the open
    /// addresses; not for the packet path.
    #[must_use]
    pub fn census(&self) -> Census {
        let visit = self.inner().ground.visit();
        let pin = visit.pin();
        accounting::census(self.inner(), &pin)
    }

    /// What each subscriber holds of pools that keep books of subscribers. Takes time in proportion
    /// to those that hold something; exact when no burst is open.
    #[must_use]
    pub fn subscribers(&self) -> Vec<SubscriberCensus> {
        let visit = self.inner().ground.visit();
        let pin = visit.pin();
        fair::subscribers_census(self.inner(), &pin)
    }

    /// The counters, as last published.
    #[must_use]
    pub fn stats(&self) -> Stats {
        accounting::stats(self.inner())
    }

    /// The reader of events; `None` while somebody else has it, or when the configuration asks for
    /// no events.
    #[must_use]
    pub fn events(&self) -> Option<EventReader> {
        let ground = &self.inner().ground;
        EventReader::take(ground.events.as_ref()?, &ground.events_taken)
    }

    /// Whether each lease is told ([`EventConfig::leases`](crate::EventConfig::leases)): requests
    /// should then name their subscriber even where a pool keeps no books.
    #[must_use]
    pub fn tells_leases(&self) -> bool {
        let events = &self.inner().ground.events;
        events.as_ref().is_some_and(|events| events.leases)
    }

    /// The name of a pool of the current configuration.
    #[must_use]
    pub fn pool_name(&self, pool: PoolId) -> Option<String> {
        let layout = self.inner().layout.load();
        layout.pool(pool).map(|pool| pool.name.clone())
    }

    /// Engine time: the largest tick any burst has brought.
    #[must_use]
    pub fn now(&self) -> Tick {
        self.inner().ground.clock.now()
    }
}

fn check_immutable(before: &EngineConfig, after: &EngineConfig) -> Result<(), ConfigError> {
    let mut faults = layout::check(after)
        .err()
        .map_or_else(Vec::new, |error| error.faults);
    let fixed = [
        ("the number of shards", before.shards == after.shards),
        ("the hold-down", before.hold_down == after.hold_down),
        ("the seed", before.seed == after.seed),
        ("the port order", before.port_order == after.port_order),
        (
            "the cap of cooling ports",
            before.max_cooling == after.max_cooling,
        ),
        ("what events are told", before.events == after.events),
        (
            "the most subscribers",
            before.max_subscribers == after.max_subscribers,
        ),
    ];
    let changed = fixed.iter().filter(|(_, same)| !same);
    faults.extend(changed.map(|&(what, _)| ConfigFault::Immutable(what)));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(ConfigError { faults })
    }
}

/// Tells which shard a public tuple belongs to. One per dispatcher thread; `Send`, not `Sync`.
#[derive(Debug)]
pub struct Steering {
    participant: Participant,
    handle: Arc<Handle>,
}

impl Steering {
    /// See [`Engine::owner`].
    #[must_use]
    pub fn owner(&self, realm: RealmId, protocol: Protocol, public: SocketAddr) -> Option<ShardId> {
        let _pin = self.participant.pin();
        owner(&self.handle.inner, realm, protocol, public)
    }
}

/// The caller is pinned.
fn owner(inner: &Inner, realm: RealmId, protocol: Protocol, public: SocketAddr) -> Option<ShardId> {
    let (window, key) = Window::of(public.ip());
    let latest = inner.latest.load();
    let page = latest
        .find_space(realm, protocol, window)?
        .get(key)?
        .page()?;
    let (block, port) = (
        public.port() as usize / PORTS,
        public.port() as usize % PORTS,
    );
    let here = page.block(block);
    let busy = matches!(
        here.state().phase(),
        Phase::Heating | Phase::Cooling | Phase::Assigned
    );
    if !busy || here.nobodys().contains(port) {
        return None;
    }
    here.issuer(port)
}
