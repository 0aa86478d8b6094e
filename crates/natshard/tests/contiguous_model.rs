//! Sets of consecutive ports against a sequential model: long random histories of single leases,
//! sets, reservations and releases, in overlapping pools with exclusions.
//!
//! Claims, after every step:
//! * A set is of consecutive ports of one address and block, ascending, with the parity asked for,
//!   of tuples of the pool that nobody holds and that have rested (I1, I3).
//! * An exact set is granted whenever some block of the pool has such a run of leasable ports, once
//!   the other shard has given back what it holds unissued (I4); of a range of counts, as many
//!   ports as the longest run has.
//! * `PoolFull` and `AddressFull` are said when not a single port was leasable, `NoContiguous`
//!   otherwise (I12).
//! * The census balances and counts the leases (I2).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, Parity, PoolConfig, Protocol, Reason, Request, Shard,
    Strictness, Tick,
};
use proptest::prelude::*;

const SHARDS: usize = 2;
const HOLD: u64 = 1000;
const ADDRESSES: u8 = 2;

#[derive(Clone, Debug)]
struct SetStep {
    shard: usize,
    pool: usize,
    most: usize,
    least: usize,
    parity: Option<Parity>,
    address: Option<(u8, Strictness)>,
    near: Option<u16>,
}

#[derive(Clone, Debug)]
enum Step {
    Singles {
        shard: usize,
        pool: usize,
        count: usize,
    },
    Set(SetStep),
    /// Of those held, each with this chance in 100.
    Release {
        shard: usize,
        chance: u64,
        how: How,
        salt: u64,
    },
    Idle {
        shard: usize,
    },
    Forward {
        eighths: u64,
    },
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ended,
    Unused,
    Raw,
    Drop,
}

fn parity() -> impl Strategy<Value = Option<Parity>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(Parity::Even)),
        1 => Just(Some(Parity::Odd)),
    ]
}

fn set() -> impl Strategy<Value = Step> {
    let count = || prop_oneof![6 => 1usize..5, 4 => 5usize..40, 2 => 40usize..=256];
    let counts = prop_oneof![
        2 => count().prop_map(|count| (count, count)),
        1 => (count(), count()).prop_map(|(a, b)| (a.max(b), a.min(b))),
    ];
    let strictness = prop_oneof![Just(Strictness::Strict), Just(Strictness::Preferred)];
    let address = prop::option::weighted(0.4, (0..ADDRESSES, strictness));
    let near = prop::option::weighted(0.3, 700u16..2100);
    (0..SHARDS, 0usize..2, counts, parity(), address, near).prop_map(
        |(shard, pool, (most, least), parity, address, near)| {
            Step::Set(SetStep {
                shard,
                pool,
                most,
                least,
                parity,
                address,
                near,
            })
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let singles = prop_oneof![4 => 1usize..20, 2 => 200usize..900, 1 => Just(4000usize)];
    let how = prop_oneof![
        3 => Just(How::Ended),
        1 => Just(How::Unused),
        1 => Just(How::Raw),
        1 => Just(How::Drop)
    ];
    let chance = prop_oneof![Just(3u64), Just(10), Just(50), Just(90), Just(100)];
    prop_oneof![
        3 => (0..SHARDS, 0usize..2, singles)
            .prop_map(|(shard, pool, count)| Step::Singles { shard, pool, count }),
        8 => set(),
        4 => (0..SHARDS, chance, how, any::<u64>())
            .prop_map(|(shard, chance, how, salt)| Step::Release { shard, chance, how, salt }),
        1 => (0..SHARDS).prop_map(|shard| Step::Idle { shard }),
        3 => (0u64..12).prop_map(|eighths| Step::Forward { eighths }),
    ]
}

/// Pool `a` gives out well-known ports too, and has two holes; `b` overlaps it.
fn config() -> EngineConfig {
    let a = PoolConfig::new("a")
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(900..=1800)
        .exclude_ports(1500..=1500)
        .exclude("203.0.113.1".parse().unwrap(), 1030..=1047);
    let b = PoolConfig::new("b")
        .prefix("203.0.113.1/32".parse().unwrap())
        .ports(1290..=2000);
    EngineConfig::new(SHARDS)
        .hold_down(Duration::from_millis(HOLD))
        .pool(a)
        .pool(b)
}

/// Whether a tuple is in a pool, told from the text above by other means.
fn in_pool(pool: usize, address: u8, port: u16) -> bool {
    match (pool, address) {
        (0, 0) => (900..=1800).contains(&port) && port != 1500,
        (0, 1) => (900..=1800).contains(&port) && port != 1500 && !(1030..=1047).contains(&port),
        (1, 1) => (1290..=2000).contains(&port),
        _ => false,
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
enum Tuple {
    Leased,
    Resting(u64),
}

struct World {
    engine: Engine,
    shards: Vec<Shard>,
    now: u64,
    tuples: BTreeMap<(u8, u16), Tuple>,
    held: Vec<Lease>,
}

fn key(lease: &Lease) -> (u8, u16) {
    match lease.addr().ip() {
        IpAddr::V4(ip) => (ip.octets()[3], lease.addr().port()),
        IpAddr::V6(_) => panic!("IPv4 only"),
    }
}

fn address(number: u8) -> IpAddr {
    Ipv4Addr::new(203, 0, 113, number).into()
}

impl World {
    fn new() -> Self {
        let engine = Engine::new(config()).unwrap();
        let shards = (0..SHARDS).map(|index| engine.shard(index).unwrap());
        World {
            shards: shards.collect(),
            engine,
            now: 0,
            tuples: BTreeMap::new(),
            held: vec![],
        }
    }

    fn request(&self, pool: usize) -> Request {
        Request::new(self.engine.pool(["a", "b"][pool]).unwrap(), Protocol::Udp)
    }

    fn accept(&mut self, pool: usize, lease: Lease) {
        let (address, port) = key(&lease);
        assert!(in_pool(pool, address, port), "{lease:?} is not of the pool");
        match self.tuples.insert((address, port), Tuple::Leased) {
            None => {}
            Some(Tuple::Leased) => panic!("{lease:?} has two owners"),
            Some(Tuple::Resting(since)) => {
                assert!(self.now >= since + HOLD, "{lease:?}: {since}, {}", self.now);
            }
        }
        self.held.push(lease);
    }

    /// Whether a tuple of the pool must be leasable.
    fn leasable(&self, pool: usize, address: u8, port: u16) -> bool {
        in_pool(pool, address, port)
            && match self.tuples.get(&(address, port)) {
                None => true,
                Some(Tuple::Leased) => false,
                Some(Tuple::Resting(since)) => self.now >= since + HOLD + HOLD / 8 + 2,
            }
    }

    /// The longest run within a block that must be leasable, port by port.
    fn longest(&self, pool: usize, at: Option<u8>, parity: Option<Parity>) -> usize {
        let mut longest = 0;
        for address in (0..ADDRESSES).filter(|&address| at.is_none_or(|at| at == address)) {
            for start in 0..4096u16 {
                if parity.is_some_and(|parity| parity != Parity::of(start)) {
                    continue;
                }
                let block = start..start / 256 * 256 + 256;
                let run = block.take_while(|&port| self.leasable(pool, address, port));
                longest = longest.max(run.count());
            }
        }
        longest
    }

    fn set(&mut self, step: &SetStep) {
        let mut request = self.request(step.pool);
        if let Some(parity) = step.parity {
            request = request.parity(parity);
        }
        if let Some((number, strictness)) = step.address {
            request = request.address(address(number), strictness);
        }
        if let Some(near) = step.near {
            request = request.near_port(near);
        }
        let tick = Tick::from_millis(self.now);
        // The other shard's hands are empty: what it holds unissued could be part of the run.
        self.shards[1 - step.shard].idle(tick);
        let mut leases = Vec::new();
        let mut burst = self.shards[step.shard].burst(tick);
        let result = if step.most == step.least {
            burst.allocate_set(&request, step.most, &mut leases)
        } else {
            burst.allocate_set_up_to(&request, step.most, step.least, &mut leases)
        };
        drop(burst);
        let at = step.address.map(|(number, _)| number);
        let strict = step
            .address
            .is_some_and(|(_, strictness)| strictness == Strictness::Strict);
        let scope = at.filter(|_| strict);
        match result {
            Ok(count) => {
                assert_eq!(leases.len(), count);
                assert!(
                    (step.least..=step.most).contains(&count),
                    "{step:?}: {count}"
                );
                let (first, port) = key(&leases[0]);
                assert!(scope.is_none_or(|scope| scope == first));
                assert!(step.parity.is_none_or(|parity| parity == Parity::of(port)));
                assert_eq!(port / 256, (port + count as u16 - 1) / 256, "one block");
                for (lease, offset) in leases.iter().zip(0..) {
                    assert_eq!(key(lease), (first, port + offset), "{leases:?}");
                }
                // A preferred address that has a set is kept to, if a shorter one; also if it has
                // one only since the last eighth of a hold-down.
                let must = || self.longest(step.pool, at, step.parity) >= step.least;
                let wished = at.filter(|&at| at == first || must());
                assert!(wished.is_none_or(|wished| wished == first), "{step:?}");
                let longest = self.longest(step.pool, scope.or(wished), step.parity);
                assert!(
                    count >= longest.min(step.most),
                    "{step:?}: {count} of {longest}"
                );
                for lease in leases {
                    self.accept(step.pool, lease);
                }
            }
            Err(error) => {
                assert!(leases.is_empty());
                let outside = scope.is_some_and(|scope| step.pool == 1 && scope == 0);
                if outside {
                    assert_eq!(error, AllocError::OutsidePool);
                    return;
                }
                let longest = self.longest(step.pool, scope, step.parity);
                assert!(longest < step.least, "{step:?}: {error}, yet {longest}");
                let full = if scope.is_some() {
                    AllocError::AddressFull
                } else {
                    AllocError::PoolFull
                };
                if self.longest(step.pool, scope, None) > 0 {
                    assert_eq!(error, AllocError::NoContiguous, "{step:?}");
                } else {
                    // What became leasable within the last eighth may have been seen already.
                    assert!([full, AllocError::NoContiguous].contains(&error), "{error}");
                }
            }
        }
    }

    fn release(&mut self, shard: usize, chance: u64, how: How, mut salt: u64) {
        let tick = Tick::from_millis(self.now);
        let mut burst = self.shards[shard].burst(tick);
        let mut kept = vec![];
        for lease in self.held.drain(..) {
            salt = salt
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            if (salt >> 33) % 100 >= chance {
                kept.push(lease);
                continue;
            }
            let tuple = key(&lease);
            self.tuples.insert(tuple, Tuple::Resting(self.now));
            match how {
                How::Ended => burst.release(lease),
                How::Drop => drop(lease),
                How::Raw => burst.release_raw(lease.into_raw()).unwrap(),
                How::Unused => {
                    burst.release_with(lease, Reason::Unused);
                    self.tuples.remove(&tuple);
                }
            }
        }
        drop(burst);
        self.held = kept;
    }

    fn run(&mut self, step: &Step) {
        let tick = Tick::from_millis(self.now);
        match *step {
            Step::Singles { shard, pool, count } => {
                let request = self.request(pool);
                let mut leases = Vec::new();
                let mut burst = self.shards[shard].burst(tick);
                let _ = burst.allocate_batch(&request, count, &mut leases);
                drop(burst);
                for lease in leases {
                    self.accept(pool, lease);
                }
            }
            Step::Set(ref set) => self.set(set),
            Step::Release {
                shard,
                chance,
                how,
                salt,
            } => self.release(shard, chance, how, salt),
            Step::Idle { shard } => self.shards[shard].idle(tick),
            Step::Forward { eighths } => {
                self.now += HOLD * eighths / 8;
                drop(self.shards[0].burst(Tick::from_millis(self.now)));
            }
        }
        let census = self.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert_eq!(census.total.leased, self.held.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn histories_of_sets_agree_with_the_model(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
    }
}
