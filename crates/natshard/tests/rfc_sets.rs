//! Sets of ports for subscribers by the sentences of RFC 7753; `docs/src/rfc.md` names them.

use natshard::{
    AllocError, Engine, EngineConfig, Lease, PoolConfig, PortBlocks, Protocol, Reason, Request,
    Strictness, SubscriberLimit, Tick,
};

fn engine(pool: PoolConfig) -> Engine {
    let pool = pool.prefix("192.0.2.0/28".parse().unwrap());
    Engine::new(EngineConfig::new(1).seed(1).pool(pool)).unwrap()
}

fn request(engine: &Engine, subscriber: u64) -> Request {
    Request::new(engine.pool("pool").unwrap(), Protocol::Udp).subscriber(subscriber)
}

fn is_set(leases: &[Lease]) -> bool {
    let next = |pair: &[Lease]| {
        let (one, two) = (pair[0].addr(), pair[1].addr());
        one.ip() == two.ip() && one.port() + 1 == two.port()
    };
    leases.windows(2).all(next)
}

/// Section 5.1: 100 ports asked for and a quota of 32 give 32; and none is charged that was not had.
#[test]
fn a_set_is_as_large_as_the_quota_allows() {
    let limit = SubscriberLimit::new().ports(Protocol::Udp, 32);
    let engine = engine(PoolConfig::new("pool").subscriber_limit(limit));
    let own = request(&engine, 5);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let mut had = Vec::new();
    // All or nothing is nothing, and leaves no charge behind.
    let all = burst.allocate_set(&own, 100, &mut had);
    assert_eq!(all, Err(AllocError::SubscriberQuota));
    assert_eq!(burst.allocate_set_up_to(&own, 100, 1, &mut had), Ok(32));
    assert!(is_set(&had));
    assert_eq!(
        burst.allocate_set_up_to(&own, 100, 1, &mut Vec::new()),
        Err(AllocError::SubscriberQuota)
    );
    assert_eq!(engine.subscribers()[0].ports[1].leased, 32);
    for lease in had.drain(..10) {
        burst.release_with(lease, Reason::Unused);
    }
    let mut more = Vec::new();
    let got = burst.allocate_set_up_to(&own, 100, 2, &mut more).unwrap();
    assert!((2..=10).contains(&got) && is_set(&more), "{got}");
    assert_eq!(engine.subscribers()[0].ports[1].leased, 22 + got as u32);
}

/// Section 6.1: several sets of one subscriber should have one address.
#[test]
fn sets_of_a_paired_subscriber_have_one_address() {
    for blocks in [None, Some(PortBlocks::new(64).per_subscriber(8))] {
        let mut pool = PoolConfig::new("pool").pairing(Strictness::Strict);
        if let Some(blocks) = blocks {
            pool = pool.port_blocks(blocks);
        }
        let engine = engine(pool);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(Tick::ZERO);
        let mut all = Vec::new();
        for subscriber in 0..20 {
            let own = request(&engine, subscriber);
            let mut had = Vec::new();
            for count in [2, 40, 16, 8] {
                let before = had.len();
                assert_eq!(burst.allocate_set(&own, count, &mut had), Ok(count));
                assert!(is_set(&had[before..]));
            }
            let address = had[0].addr().ip();
            assert!(had.iter().all(|lease| lease.addr().ip() == address));
            all.extend(had);
        }
        burst.release_batch(&mut all);
    }
}
