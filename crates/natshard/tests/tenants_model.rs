//! A pool that shares its blocks out, against a sequential model: long random histories.
//!
//! Claims, of every request on behalf of everybody else, of control traffic and of tenants:
//! * I1, I3: a lease is of a tuple that nobody holds and that has rested.
//! * A lease is of a block that is held for whoever asked, or for nobody.
//! * I4: a refusal, once the other shard has given back what it holds unissued, means that no
//!   block held for whoever asked has a leasable port, and that it may have no further one: it has
//!   its maximum, or it has its minimum and nothing is left to borrow.
//! * I12: `TenantQuota` is said when something was left that it may not have, else `PoolFull`.
//! * I2: blocks and books agree after every step, and what may be borrowed is what they leave.
//! * All of that across reconfigurations.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Holder, Lease, PoolConfig, PoolShares, Protocol, Reason,
    Request, Shard, TenantShare, Threshold, Tick,
};
use proptest::prelude::*;

const SHARDS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Tenant(u32),
    Control,
}

#[derive(Clone, Debug)]
enum Step {
    Allocate {
        shard: usize,
        who: Who,
        count: usize,
    },
    Reserve {
        shard: usize,
        address: u8,
        port: u16,
    },
    Release {
        shard: usize,
        pick: usize,
        reason: Reason,
    },
    ReleaseMany {
        shard: usize,
        keep: usize,
    },
    Idle {
        shard: usize,
    },
    Burst {
        shard: usize,
    },
    Replace {
        shard: usize,
    },
    Forward {
        eighths: u64,
        millis: u64,
    },
    Reconfigure {
        shape: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let shard = 0..SHARDS;
    let who = prop_oneof![
        2 => Just(Who::Nobody),
        4 => (1u32..4).prop_map(Who::Tenant),
        1 => Just(Who::Control),
    ];
    prop_oneof![
        8 => (shard.clone(), who, prop_oneof![Just(1), Just(7), Just(300), Just(2000)])
            .prop_map(|(shard, who, count)| Step::Allocate { shard, who, count }),
        1 => (shard.clone(), 0u8..2, 1020u16..2060)
            .prop_map(|(shard, address, port)| Step::Reserve { shard, address, port }),
        4 => (shard.clone(), any::<usize>(), prop_oneof![Just(Reason::Ended), Just(Reason::Unused)])
            .prop_map(|(shard, pick, reason)| Step::Release { shard, pick, reason }),
        4 => (shard.clone(), 0usize..7).prop_map(|(shard, keep)| Step::ReleaseMany { shard, keep }),
        2 => shard.clone().prop_map(|shard| Step::Idle { shard }),
        2 => shard.clone().prop_map(|shard| Step::Burst { shard }),
        1 => shard.prop_map(|shard| Step::Replace { shard }),
        5 => (0u64..12, 0u64..30).prop_map(|(eighths, millis)| Step::Forward { eighths, millis }),
        2 => (0usize..6).prop_map(|shape| Step::Reconfigure { shape }),
    ]
}

/// The pool `p` in six shapes, in which other tenants are named, or half of the addresses are gone.
fn shape(index: usize, hold: u64) -> EngineConfig {
    let share =
        |number, minimum, maximum| TenantShare::new(number).minimum(minimum).maximum(maximum);
    let prefix = if index == 4 {
        "203.0.113.0/32"
    } else {
        "203.0.113.0/31"
    };
    let pool = PoolConfig::new("p")
        .prefix(prefix.parse().unwrap())
        .ports(1024..=2047);
    let pool = match index {
        0 => pool
            .tenant(share(1, 3, 5))
            .tenant(share(2, 1, 8))
            .headroom(1),
        1 => pool.tenant(share(1, 0, 2)).tenant(share(3, 4, 8)),
        2 => pool.threshold(Threshold::new(75, 50)),
        3 => pool,
        4 => pool.tenant(share(1, 2, 4)).tenant(share(2, 0, 1)),
        _ => pool.tenant(share(2, 7, 8)).headroom(1),
    };
    EngineConfig::new(SHARDS)
        .seed(11)
        .hold_down(Duration::from_millis(hold))
        .pool(pool)
}

/// For whom a request is in a shape, told from the text above by other means.
fn holder(shape: usize, who: Who) -> Holder {
    let named = match shape {
        0 => &[1, 2][..],
        1 => &[1, 3],
        4 => &[1, 2],
        5 => &[2],
        _ => &[],
    };
    match who {
        Who::Control if shape == 0 || shape == 5 => Holder::Control,
        Who::Tenant(tenant) if named.contains(&tenant) => Holder::Tenant(tenant),
        _ => Holder::Others,
    }
}

fn is_named(shape: usize, whose: Holder) -> bool {
    let who = match whose {
        Holder::Tenant(tenant) => Who::Tenant(tenant),
        Holder::Control => Who::Control,
        _ => Who::Nobody,
    };
    holder(shape, who) == whose
}

fn addresses(shape: usize) -> u8 {
    if shape == 4 { 1 } else { 2 }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Tuple {
    Leased,
    /// Released at that engine time.
    Resting(u64),
}

type Block = (u8, u16);

struct World {
    engine: Engine,
    shards: Vec<Option<Shard>>,
    hold: u64,
    shape: usize,
    now: u64,
    held: Vec<Lease>,
    tuples: BTreeMap<(u8, u16), Tuple>,
    /// On whose behalf the last lease of a block was.
    owners: BTreeMap<Block, Holder>,
}

fn key(public: SocketAddr) -> (u8, u16) {
    let SocketAddr::V4(v4) = public else {
        panic!("IPv4 only")
    };
    (v4.ip().octets()[3], v4.port())
}

fn block_of((address, port): (u8, u16)) -> Block {
    (address, port / 256)
}

impl World {
    fn new(hold: u64, shape_index: usize) -> Self {
        let engine = Engine::new(shape(shape_index, hold)).unwrap();
        let shards = (0..SHARDS).map(|index| engine.shard(index).ok()).collect();
        World {
            engine,
            shards,
            hold,
            shape: shape_index,
            now: 0,
            held: Vec::new(),
            tuples: BTreeMap::new(),
            owners: BTreeMap::new(),
        }
    }

    fn tick(&self) -> Tick {
        Tick::from_millis(self.now)
    }

    fn shard(&mut self, index: usize) -> &mut Shard {
        self.shards[index].as_mut().unwrap()
    }

    fn shares(&self) -> Option<PoolShares> {
        let shares = self.engine.stats().shares;
        Some(shares.get("p")?[Protocol::Tcp.as_index()].clone())
    }

    /// Whether a tuple may have rested by now, or must have.
    fn is_rested(&self, tuple: (u8, u16), surely: bool) -> bool {
        match self.tuples.get(&tuple) {
            None => true,
            Some(Tuple::Leased) => false,
            Some(Tuple::Resting(since)) => {
                let slack = if surely { self.hold / 8 + 2 } else { 0 };
                self.now >= since + self.hold + slack
            }
        }
    }

    fn ports(block: Block) -> impl Iterator<Item = (u8, u16)> {
        (block.1 * 256..block.1 * 256 + 256).map(move |port| (block.0, port))
    }

    /// Whether a block is held for certain: some port of it is leased or resting.
    fn is_held(&self, block: Block) -> bool {
        Self::ports(block).any(|tuple| !self.is_rested(tuple, false))
    }

    fn accept(&mut self, whose: Holder, lease: Lease) {
        let tuple = key(lease.addr());
        assert!(self.is_rested(tuple, false), "{lease:?} at {}", self.now);
        assert!(tuple.0 < addresses(self.shape) && (1024..2048).contains(&tuple.1));
        let block = block_of(tuple);
        let owner = self.owners.get(&block).copied();
        if self.shape != 3 && self.is_held(block) {
            assert_eq!(owner, Some(whose), "{lease:?} is of somebody else's block");
        }
        self.owners.insert(block, whose);
        self.tuples.insert(tuple, Tuple::Leased);
        self.held.push(lease);
    }

    fn allocate(&mut self, shard: usize, who: Who, count: usize) {
        let request = Request::new(self.engine.pool("p").unwrap(), Protocol::Tcp);
        let request = match who {
            Who::Nobody => request,
            Who::Tenant(tenant) => request.tenant(tenant),
            Who::Control => request.control(),
        };
        let whose = holder(self.shape, who);
        let tick = self.tick();
        for _ in 0..count {
            let mut result = self.shard(shard).burst(tick).allocate(&request);
            if result.is_err() {
                for other in (0..SHARDS).filter(|&other| other != shard) {
                    self.shard(other).idle(tick);
                }
                result = self.shard(shard).burst(tick).allocate(&request);
            }
            match result {
                Ok(lease) => self.accept(whose, lease),
                Err(error) => return self.check_refusal(whose, error),
            }
        }
    }

    fn check_refusal(&self, whose: Holder, error: AllocError) {
        let blocks: Vec<Block> = (0..addresses(self.shape))
            .flat_map(|address| (4..8).map(move |block| (address, block)))
            .collect();
        let rested = |block: Block| Self::ports(block).find(|&tuple| self.is_rested(tuple, true));
        let Some(shares) = self.shares() else {
            assert_eq!(error, AllocError::PoolFull);
            for block in blocks {
                assert_eq!(rested(block), None, "refused at {}", self.now);
            }
            return;
        };
        let share = shares.shares.iter().find(|share| share.holder == whose);
        let share = share.unwrap();
        let at_most = share.maximum.is_some_and(|most| share.held >= most.into());
        let at_least = share.held >= share.minimum.into();
        let full = shares.shares.iter().map(|share| share.held).sum::<u64>() >= shares.blocks;
        // Where a guarantee is new, it is met as blocks come back.
        let may = !at_most && (!at_least || shares.lendable > 0) && !full;
        assert!(!may, "{whose:?} refused {error} with {shares:?}");
        let own: BTreeSet<Block> = blocks
            .into_iter()
            .filter(|block| self.owners.get(block) == Some(&whose))
            .collect();
        // Blocks whose last port is about to be noticed as rested may be either.
        let mut surely = 0;
        for block in own {
            if self.is_held(block) {
                assert_eq!(rested(block), None, "{whose:?} refused at {}", self.now);
            }
            surely += u64::from(Self::ports(block).any(|tuple| !self.is_rested(tuple, true)));
        }
        assert!(
            share.held <= surely,
            "{whose:?} holds a block that is all rested"
        );
        let expected = if at_most || !full {
            AllocError::TenantQuota
        } else {
            AllocError::PoolFull
        };
        assert_eq!(error, expected, "{whose:?} with {shares:?}");
    }

    fn reserve(&mut self, shard: usize, address: u8, port: u16) {
        let tick = self.tick();
        let pool = self.engine.pool("p").unwrap();
        let public: SocketAddr = format!("203.0.113.{address}:{port}").parse().unwrap();
        let mut burst = self.shards[shard].as_mut().unwrap().burst(tick);
        let result = burst.reserve(pool, Protocol::Tcp, public);
        drop(burst);
        let inside = address < addresses(self.shape) && (1024..2048).contains(&port);
        match result {
            Ok(lease) => self.accept(Holder::Others, lease),
            Err(AllocError::InUse) => assert!(inside),
            Err(AllocError::TenantQuota) => {
                assert!(inside);
                let shares = self.shares().unwrap();
                assert!(shares.lendable <= 0, "{shares:?}");
            }
            Err(error) => assert!(!inside, "{public}: {error}"),
        }
    }

    fn release(&mut self, shard: usize, pick: usize, reason: Reason) {
        if self.held.is_empty() {
            return;
        }
        let index = pick % self.held.len();
        let lease = self.held.swap_remove(index);
        let tuple = key(lease.addr());
        let tick = self.tick();
        let mut burst = self.shards[shard].as_mut().unwrap().burst(tick);
        burst.release_with(lease, reason);
        drop(burst);
        if reason == Reason::Ended {
            self.tuples.insert(tuple, Tuple::Resting(self.now));
        } else {
            self.tuples.remove(&tuple);
        }
    }

    fn run(&mut self, step: &Step) {
        let tick = self.tick();
        match *step {
            Step::Allocate { shard, who, count } => self.allocate(shard, who, count),
            Step::Reserve {
                shard,
                address,
                port,
            } => self.reserve(shard, address, port),
            Step::Release {
                shard,
                pick,
                reason,
            } => self.release(shard, pick, reason),
            Step::ReleaseMany { shard, keep } => {
                for _ in 0..self.held.len() * keep / 6 {
                    let pick = self.now as usize * 31 + self.held.len() * 7;
                    self.release(shard, pick, Reason::Ended);
                }
            }
            Step::Idle { shard } => self.shard(shard).idle(tick),
            Step::Burst { shard } => drop(self.shard(shard).burst(tick)),
            Step::Replace { shard } => {
                self.shards[shard] = None;
                self.shards[shard] = Some(self.engine.shard(shard).unwrap());
            }
            Step::Forward { eighths, millis } => {
                self.now += self.hold * eighths / 8 + millis;
                let tick = self.tick();
                drop(self.shard(0).burst(tick));
            }
            Step::Reconfigure { shape: next } => {
                self.engine.reconfigure(shape(next, self.hold)).unwrap();
                self.shape = next;
                // What is nobody's by name any more is everybody else's, and what a pool without
                // shares has, too.
                for (block, owner) in &mut self.owners {
                    let gone = block.0 >= addresses(next);
                    if next == 3 || gone || !is_named(next, *owner) {
                        *owner = Holder::Others;
                    }
                }
                // Hands of the old shape come back with the bursts of that time.
                for index in 0..SHARDS {
                    drop(self.shard(index).burst(tick));
                }
            }
        }
        self.check();
    }

    fn check(&self) {
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert_eq!(
            census.total.leased + census.draining.leased,
            self.held.len() as u64
        );
        assert_eq!(
            census.shares,
            self.engine.stats().shares,
            "blocks and books"
        );
        let Some(shares) = self.shares() else { return };
        assert_eq!(shares.blocks, 4 * u64::from(addresses(self.shape)));
        let mut certain: BTreeMap<Holder, u64> = BTreeMap::new();
        for (&block, &owner) in &self.owners {
            if block.0 < addresses(self.shape) && self.is_held(block) {
                *certain.entry(owner).or_default() += 1;
            }
        }
        for (whose, count) in certain {
            let share = shares.shares.iter().find(|share| share.holder == whose);
            let held = share.map_or(0, |share| share.held);
            assert!(held >= count, "{whose:?} holds {count} in {shares:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn histories_of_shares_agree_with_the_model(
        hold in prop_oneof![4 => Just(1000u64), 1 => Just(0), 1 => Just(120_000)],
        first in 0usize..6,
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut world = World::new(hold, first);
        for step in &steps {
            world.run(step);
        }
    }
}
