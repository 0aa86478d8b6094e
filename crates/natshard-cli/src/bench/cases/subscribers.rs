//! *subscribers*: leases on behalf of subscribers, each with port blocks or a limit of its own.

use std::hint::black_box;

use hashbrown::HashMap;
use natshard::{
    Engine, Lease, PoolConfig, PortBlocks, Protocol, Request, Shard, Strictness, SubscriberLimit,
};

use crate::bench::case::{Case, Contestant, Worker};
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::window::{Live, Ring};
use crate::config::grouped;

const SUBSCRIBERS: u64 = 8_192;
/// Live leases of a subscriber.
const EACH: usize = 4;
const ADDRESSES: u32 = 256;
/// A subscriber leases 0.2 ports a second: 24 or so rest.
const REST: Rest = Rest {
    step: 20,
    ..Rest::DEFAULT
};

pub fn case() -> Case {
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 2_000);
    let blocks = PortBlocks::new(256).per_subscriber(8);
    let build = move || {
        let paired = plain(ADDRESSES)
            .subscriber_limit(limit)
            .pairing(Strictness::Strict);
        vec![
            engine_with("natshard, no policy", plain(ADDRESSES), false),
            engine_with(
                "natshard, port blocks of 256",
                plain(ADDRESSES).port_blocks(blocks),
                true,
            ),
            engine_with(
                "natshard, limit",
                plain(ADDRESSES).subscriber_limit(limit),
                true,
            ),
            engine_with("natshard, limit and pairing", paired, true),
            Contestant::alone("thread-local map of blocks", Mapped::new()),
        ]
    };
    Case {
        name: "subscribers",
        about: "an operation leases a port for the next of many subscribers and releases the \
                oldest lease"
            .into(),
        switches: format!(
            "{} subscribers in random order, 4 live leases each; {ADDRESSES} addresses; \
             8 blocks or 2,000 ports at most each; hold-down 120 s, random port order, bursts of \
             {BURST}, 20 ms of engine time each; the map has one block of 256 per subscriber, \
             without rest",
            grouped(SUBSCRIBERS.into())
        ),
        baseline: "natshard, no policy",
        baseline_setting: None,
        build: Box::new(build),
    }
}

/// Every subscriber in turn, in an order that looks random.
struct Next {
    at: u64,
    subscribers: u64,
}

impl Next {
    fn of(subscribers: u64) -> Self {
        Next { at: 0, subscribers }
    }

    #[inline]
    fn get(&mut self) -> u64 {
        // Of full period for every power of two.
        self.at = (self.at * 1_229 + 3_001) % self.subscribers;
        self.at
    }
}

/// On whose behalf leases are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Naming {
    Nobody,
    Subscribers,
    Tenant(u32),
}

pub struct Serving {
    shard: Shard,
    request: Request,
    naming: Naming,
    next: Next,
    time: Time,
    ring: Ring<Lease>,
}

fn engine_with(name: &'static str, pool: PoolConfig, named: bool) -> Contestant {
    let naming = match named {
        true => Naming::Subscribers,
        false => Naming::Nobody,
    };
    Contestant::alone(name, Serving::new(pool, SUBSCRIBERS, naming, REST))
}

impl Naming {
    #[inline]
    fn name(self, request: Request, subscriber: u64) -> Request {
        match self {
            Naming::Nobody => request,
            Naming::Subscribers => request.subscriber(subscriber),
            Naming::Tenant(tenant) => request.tenant(tenant),
        }
    }
}

impl Serving {
    pub fn new(pool: PoolConfig, subscribers: u64, naming: Naming, rest: Rest) -> Self {
        let (engine, request) = engine(1, pool, rest);
        Serving::of(&engine, request, subscribers, naming, rest)
    }

    /// On the first shard of an engine.
    pub fn of(
        engine: &Engine,
        request: Request,
        subscribers: u64,
        naming: Naming,
        rest: Rest,
    ) -> Self {
        let mut shard = engine.shard(0).expect("nobody has it");
        let (mut time, mut next) = (Time::new(rest.step), Next::of(subscribers));
        let window = EACH * subscribers as usize;
        let mut leases = Vec::with_capacity(window);
        while leases.len() < window {
            let mut burst = shard.burst(time.tick());
            for _ in 0..BURST {
                let request = naming.name(request, next.get());
                leases.push(burst.allocate(&request).expect("the pool is large enough"));
            }
        }
        let mut serving = Serving {
            shard,
            request,
            naming,
            next,
            time,
            ring: Ring::of(leases),
        };
        let refused = serving.run(rest.bursts() * 2 * BURST);
        assert_eq!(refused, 0, "the pool is large enough");
        serving
    }
}

impl Serving {
    /// With a time that stands still for all but one of so many bursts.
    pub fn stepping(mut self, every: u64) -> Self {
        self.time = self.time.stepping(every);
        self
    }
}

impl Worker for Serving {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            for _ in 0..BURST {
                let subscriber = self.next.get();
                let request = self.naming.name(self.request, subscriber);
                match black_box(&mut burst).allocate(black_box(&request)) {
                    Ok(lease) => burst.release(black_box(self.ring.swap(lease))),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }
}

/// A map of one thread from subscribers to a block of 256 ports each.
struct Mapped {
    blocks: HashMap<u64, [u64; 4]>,
    next: Next,
    ring: Ring<(u64, u8)>,
}

impl Mapped {
    fn new() -> Self {
        let blocks = (0..SUBSCRIBERS).map(|it| (it, [0; 4])).collect();
        let mut mapped = Mapped {
            blocks,
            next: Next::of(SUBSCRIBERS),
            ring: Ring::of(Vec::new()),
        };
        let leases = (0..EACH * SUBSCRIBERS as usize).map(|_| mapped.lease().expect("4 of 256"));
        let leases = leases.collect();
        mapped.ring = Ring::of(leases);
        mapped
    }

    #[inline]
    fn lease(&mut self) -> Option<(u64, u8)> {
        let subscriber = self.next.get();
        let block = self.blocks.get_mut(&subscriber)?;
        let (index, word) = block.iter_mut().enumerate().find(|it| *it.1 != u64::MAX)?;
        let bit = (!*word).trailing_zeros();
        *word |= 1 << bit;
        Some((subscriber, index as u8 * 64 + bit as u8))
    }
}

impl Worker for Mapped {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations {
            match black_box(&mut *self).lease() {
                Some(lease) => {
                    let (subscriber, port) = self.ring.swap(lease);
                    if let Some(block) = self.blocks.get_mut(&subscriber) {
                        block[port as usize / 64] &= !(1 << (port % 64));
                    }
                }
                None => refused += 1,
            }
        }
        refused
    }
}
