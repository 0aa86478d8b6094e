//! *flood*: what it costs the others when one subscriber, or one tenant, asks without end.

use std::hint::black_box;

use natshard::{Engine, Lease, PoolConfig, Protocol, Request, Shard, SubscriberLimit, TenantShare};

use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::cases::subscribers::{Naming, Serving};
use crate::bench::crew;
use crate::bench::pools::{BURST, EVERY, Rest, engine, plain};

const SUBSCRIBERS: u64 = 1_024;
const ADDRESSES: u32 = 128;
/// Ports a subscriber may have, and the one that floods has.
const LIMIT: u16 = 2_000;
const TENANT: u32 = 1;
const FLOODING: u32 = 99;
/// A subscriber leases 1.6 ports a second: 190 or so rest.
const REST: Rest = Rest {
    step: 20,
    ..Rest::DEFAULT
};
const ELSEWHERE: &str = "natshard, flood in another engine";

pub fn cases(settings: Settings) -> Vec<Case> {
    if settings.threads < 2 {
        return vec![];
    }
    vec![Case {
        name: "flood",
        about: "an operation leases a port for somebody and releases his oldest lease, while \
                another thread does nothing but ask on behalf of one who has all that he may have, \
                of the same pool or of one that nobody else uses"
            .into(),
        switches: format!(
            "{SUBSCRIBERS} subscribers of at most {LIMIT} ports, or a tenant; 4 live leases each; \
             {ADDRESSES} addresses; the flood by a further subscriber, or by a tenant of at most \
             500 blocks; hold-down 120 s, random port order, bursts of {BURST}, 320 ms of engine \
             time for {EVERY} of them"
        ),
        baseline: ELSEWHERE,
        baseline_setting: None,
        build: Box::new(|| {
            let limit = SubscriberLimit::new().ports(Protocol::Tcp, LIMIT);
            let shares = [
                TenantShare::new(TENANT).minimum(2_000),
                TenantShare::new(FLOODING).maximum(500),
            ];
            let limited = || plain(ADDRESSES).subscriber_limit(limit);
            let shared = || {
                shares
                    .into_iter()
                    .fold(plain(ADDRESSES), PoolConfig::tenant)
            };
            let by_subscriber = |request: Request| request.subscriber(u64::MAX);
            let by_tenant = |request: Request| request.tenant(FLOODING);
            [true, false]
                .into_iter()
                .flat_map(|elsewhere| {
                    [
                        flooded(elsewhere, limited(), Naming::Subscribers, by_subscriber)
                            .at("subscribers"),
                        flooded(elsewhere, shared(), Naming::Tenant(TENANT), by_tenant)
                            .at("tenants"),
                    ]
                })
                .collect()
        }),
    }]
}

fn flooded(
    elsewhere: bool,
    pool: PoolConfig,
    naming: Naming,
    flood: impl Fn(Request) -> Request,
) -> Contestant {
    let (here, request) = engine(2, pool.clone(), REST);
    let serving = Serving::of(&here, request, SUBSCRIBERS, naming, REST).stepping(EVERY);
    let (name, (flooded, request)) = match elsewhere {
        true => (ELSEWHERE, engine(2, pool, REST)),
        false => ("natshard", (here, request)),
    };
    Contestant::alone(name, serving).with(Flood::new(flooded, flood(request)))
}

/// One that asks although it has all that it may have.
struct Flood {
    engine: Engine,
    shard: Shard,
    request: Request,
    loot: Vec<Lease>,
}

impl Flood {
    fn new(engine: Engine, request: Request) -> Self {
        let mut flood = Flood {
            shard: engine.shard(1).expect("nobody has it"),
            engine,
            request,
            loot: Vec::new(),
        };
        while flood.ask() > 0 {}
        flood
    }

    /// Asks for a burst of ports; says how many were had.
    fn ask(&mut self) -> usize {
        let before = self.loot.len();
        let mut burst = self.shard.burst(self.engine.now());
        for _ in 0..BURST {
            self.loot.extend(
                black_box(&mut burst)
                    .allocate(black_box(&self.request))
                    .ok(),
            );
        }
        self.loot.len() - before
    }
}

impl Worker for Flood {
    fn run(&mut self, _: u64) -> u64 {
        while !crew::others_are_done() {
            for _ in 0..64 {
                self.ask();
            }
        }
        0
    }

    fn counts(&self) -> bool {
        false
    }
}
