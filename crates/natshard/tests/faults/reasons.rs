//! Why something was refused.

use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Family, PoolConfig, Protocol, Request, Strictness,
    SubscriberLimit, TenantShare,
};

use super::{all, at, pool};

/// F25: exhaustion was reported as an internal error, an internal error hidden as exhaustion, a
/// shortage of ports reported as one of addresses. Each situation has its reason, which is
/// counted, and only the two kinds of exhaustion call themselves that.
#[test]
fn f25_each_refusal_tells_what_happened_and_is_counted() {
    let small = |name: &str, prefix: &str| pool(name, prefix).ports(1024..=1279);
    let limit = SubscriberLimit::new().ports(Protocol::Tcp, 1);
    let pools = [
        small("full", "192.0.2.0/31"),
        small("limited", "192.0.2.2/32").subscriber_limit(limit),
        small("blocks", "192.0.2.3/32").port_blocks(natshard::PortBlocks::new(64)),
        small("shared", "192.0.2.4/32")
            .ports(1024..=1535)
            .tenant(TenantShare::new(7).maximum(1)),
        small("leaving", "192.0.2.6/32"),
    ];
    let config = |pools: &[PoolConfig]| {
        let all = EngineConfig::new(2)
            .max_subscribers(2)
            .hold_down(Duration::from_secs(120));
        pools.iter().cloned().fold(all, EngineConfig::pool)
    };
    let engine = Engine::new(config(&pools)).unwrap();
    let of = |name: &str| Request::new(engine.pool(name).unwrap(), Protocol::Tcp);
    let ids = ["full", "leaving"].map(|name| engine.pool(name).unwrap());
    let leaving = of("leaving");
    let mut shard = engine.shard(0).unwrap();
    let held = all(&mut shard, &of("full"), 0);
    assert_eq!(held.len(), 512);
    let draining = shard.burst(at(0)).allocate(&leaving).unwrap();
    let mut told = Vec::new();
    let mut expect = |reason: AllocError, got: Result<_, AllocError>| {
        assert_eq!(got, Err(reason));
        told.push(reason);
    };
    let mut burst = shard.burst(at(0));
    let address = |text: &str| text.parse().unwrap();
    let strict = |name, text| of(name).address(address(text), Strictness::Strict);

    expect(AllocError::PoolFull, burst.allocate(&of("full")));
    let asked = strict("full", "192.0.2.1");
    expect(AllocError::AddressFull, burst.allocate(&asked));
    let asked = strict("full", "192.0.2.9");
    expect(AllocError::OutsidePool, burst.allocate(&asked));
    let asked = of("full").family(Family::V6);
    expect(AllocError::NoSuchFamily, burst.allocate(&asked));
    let tcp = Protocol::Tcp;
    let got = burst.reserve(ids[0], tcp, held[0].addr());
    expect(AllocError::InUse, got);
    let got = burst.reserve(ids[0], tcp, "192.0.2.0:99".parse().unwrap());
    expect(AllocError::Excluded, got);

    let mine = burst.allocate(&of("limited").subscriber(1)).unwrap();
    let got = burst.allocate(&of("limited").subscriber(1));
    expect(AllocError::SubscriberQuota, got);
    let _also = burst.allocate(&of("limited").subscriber(2)).unwrap();
    let got = burst.allocate(&of("limited").subscriber(3));
    expect(AllocError::SubscribersFull, got);
    let got = burst.allocate(&of("blocks"));
    expect(AllocError::SubscriberMissing, got);

    let tenant = of("shared").tenant(7);
    let mut theirs = Vec::new();
    assert_eq!(burst.allocate_batch(&tenant, 512, &mut theirs), Ok(256));
    expect(AllocError::TenantQuota, burst.allocate(&tenant));

    let mut into = Vec::new();
    let got = burst.allocate_set(&leaving, 257, &mut into);
    assert_eq!(got, Err(AllocError::SetTooLarge));
    let got = burst.allocate_set(&leaving, 256, &mut into);
    assert_eq!(got, Err(AllocError::NoContiguous), "one of 256 is leased");
    assert!(into.is_empty());
    drop(burst);

    let keep: Vec<_> = pools[..4].to_vec();
    engine.reconfigure(config(&keep)).unwrap();
    let mut burst = shard.burst(at(1));
    expect(AllocError::NoSuchPool, burst.allocate(&leaving));
    drop(burst);
    let moved = [small("leaving", "192.0.2.7/32")];
    engine
        .reconfigure(config(&[&keep[..], &moved].concat()))
        .unwrap();
    let mut burst = shard.burst(at(2));
    expect(
        AllocError::Draining,
        burst.reserve(ids[1], tcp, draining.addr()),
    );
    drop(burst);

    let stats = engine.stats();
    for reason in AllocError::ALL {
        let exhausted = matches!(reason, AllocError::PoolFull | AllocError::AddressFull);
        assert_eq!(reason.is_exhaustion(), exhausted, "{reason:?}");
        let times = told.iter().filter(|&&one| one == reason).count() as u64;
        let counted = stats.refused(reason);
        // A refusal stood at the end of each fill, and the sets were refused once each.
        let more = match reason {
            AllocError::PoolFull | AllocError::TenantQuota => 1,
            AllocError::SetTooLarge | AllocError::NoContiguous => 1,
            _ => 0,
        };
        assert_eq!(counted, times + more, "{reason:?}");
        assert!(counted > 0, "{reason:?} was never told");
    }
    drop(mine);
}
