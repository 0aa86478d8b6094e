//! Sets of consecutive ports out of what is a subscriber's: its range, or its port blocks.

use std::time::Duration;

use natshard::{
    AllocError, Burst, Deterministic, Engine, EngineConfig, Family, Lease, Parity, PoolConfig,
    PortBlocks, Protocol, Reason, Request, Strictness, SubscriberLimit, Tick,
};

const HOLD: u64 = 16_000;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn engine(pool: PoolConfig) -> (Engine, Request) {
    let pool = pool.prefix("192.0.2.0/32".parse().unwrap());
    let config = EngineConfig::new(1)
        .hold_down(Duration::from_millis(HOLD))
        .seed(1);
    let engine = Engine::new(config.pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    (engine, request)
}

/// The first port of a set and how many it has, or why there was none.
fn set(
    burst: &mut Burst<'_>,
    held: &mut Vec<Lease>,
    request: &Request,
    (most, least): (usize, usize),
) -> Result<(u16, usize), AllocError> {
    let before = held.len();
    let had = burst.allocate_set_up_to(request, most, least, held)?;
    let ports: Vec<_> = held[before..]
        .iter()
        .map(|lease| lease.addr().port())
        .collect();
    assert_eq!(ports.len(), had);
    let expected = (0..had as u16).map(|offset| ports[0] + offset);
    assert!(ports.iter().copied().eq(expected), "{ports:?}");
    Ok((ports[0], had))
}

/// Two subscribers of 300 ports: 1024 to 1323, which is a block and a part of the next, and 1324 to
/// 1623, which is the rest of that and a part of a third.
fn ranges() -> (Engine, Request) {
    engine(PoolConfig::new("p").deterministic(Deterministic::new(2, 300)))
}

#[test]
fn a_set_lies_in_one_block_of_a_subscribers_range() {
    let (engine, request) = ranges();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    let [first, second] = [0, 1].map(|subscriber| request.subscriber(subscriber));
    let mut set =
        |request: &Request, most, least| set(&mut burst, &mut held, request, (most, least));
    assert_eq!(set(&second, 213, 213), Err(AllocError::NoContiguous));
    assert_eq!(set(&second, 212, 212), Ok((1324, 212)));
    assert_eq!(set(&second, 89, 89), Err(AllocError::NoContiguous));
    assert_eq!(set(&second, 256, 1), Ok((1536, 88)));
    assert_eq!(set(&second, 1, 1), Err(AllocError::SubscriberQuota));
    // The other's is untouched: the best of its blocks is had first.
    assert_eq!(set(&first, 256, 1), Ok((1024, 256)));
    assert_eq!(set(&first, 45, 45), Err(AllocError::NoContiguous));
    assert_eq!(set(&first, 256, 44), Ok((1280, 44)));
    assert_eq!(set(&first, 1, 1), Err(AllocError::SubscriberQuota));
    let v6 = first.family(Family::V6);
    assert_eq!(set(&v6, 1, 1), Err(AllocError::NoSuchFamily));
    assert_eq!(engine.census().total.leased, 600);
}

#[test]
fn of_a_range_a_set_has_the_parity_wished_for_while_it_can() {
    let (engine, request) = ranges();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    let odd = request.subscriber(0).parity(Parity::Odd);
    for _ in 0..50 {
        let (first, had) = set(&mut burst, &mut held, &odd, (2, 2)).unwrap();
        assert_eq!((first % 2, had), (1, 2));
    }
    let ports: std::collections::BTreeSet<_> = held.iter().map(|it| it.addr().port()).collect();
    assert_eq!(ports.len(), 100);
    assert!(ports.into_iter().all(|port| (1024..=1323).contains(&port)));
}

#[test]
fn single_ports_of_a_range_are_all_of_it_and_nothing_else() {
    let (engine, request) = ranges();
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let request = request.subscriber(1);
    let near = burst.allocate(&request.near_port(1600)).unwrap();
    assert_eq!(near.addr().port(), 1600);
    let odd = burst.allocate(&request.near_port(1600)).unwrap();
    assert_eq!(
        odd.addr().port() % 2,
        0,
        "of the parity of the one wished for"
    );
    let mut held = vec![near, odd];
    while let Ok(lease) = burst.allocate(&request) {
        held.push(lease);
    }
    assert_eq!(burst.allocate(&request), Err(AllocError::SubscriberQuota));
    let mut ports: Vec<_> = held.iter().map(|lease| lease.addr().port()).collect();
    ports.sort_unstable();
    assert!(ports.into_iter().eq(1324..=1623));
    let v6 = burst.allocate(&request.family(Family::V6));
    assert_eq!(v6, Err(AllocError::NoSuchFamily));
    drop(burst);
    assert_eq!(engine.stats().shards[0].wishes_departed, 0);
}

fn blocks(size: u16, each: u8) -> (Engine, Request) {
    let blocks = PortBlocks::new(size).per_subscriber(each);
    let (engine, request) = engine(PoolConfig::new("p").port_blocks(blocks));
    (engine, request.subscriber(7))
}

#[test]
fn a_set_comes_from_one_port_block_or_from_a_further_one() {
    let (engine, request) = blocks(64, 2);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    let mut set = |most, least| set(&mut burst, &mut held, &request, (most, least));
    let assigned = || engine.stats().pools["p"].port_blocks_assigned;
    let (first, had) = set(40, 40).unwrap();
    assert_eq!((had, assigned()), (40, 1));
    // What is left of it is enough for a small one.
    let (second, _) = set(5, 5).unwrap();
    assert_eq!((second / 64, assigned()), (first / 64, 1));
    // Not for this one.
    set(30, 30).unwrap();
    assert_eq!(assigned(), 2);
    // No third block may be had; of the two, what is longest.
    let refused = set(60, 60);
    assert_eq!(refused, Err(AllocError::SubscriberQuota));
    let (_, had) = set(60, 1).unwrap();
    assert!((15..60).contains(&had), "{had}");
    // More than a block at once a further one could not serve either.
    assert_eq!(set(130, 130), Err(AllocError::NoContiguous));
    assert_eq!(assigned(), 2);
}

#[test]
fn a_set_would_rather_have_a_further_port_block_than_less_than_asked() {
    let (engine, request) = blocks(64, 3);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    let mut set = |most, least| set(&mut burst, &mut held, &request, (most, least));
    assert_eq!(set(60, 60).unwrap().1, 60);
    // Four are left; all 64 are had of another one.
    let (start, had) = set(64, 1).unwrap();
    assert_eq!((start % 64, had), (0, 64));
    assert_eq!(engine.stats().pools["p"].port_blocks_assigned, 2);
    let census = engine.subscribers();
    assert_eq!((census.len(), census[0].blocks.len()), (1, 2));
    assert_eq!(census[0].ports[1].leased, 124);
}

#[test]
fn port_blocks_side_by_side_serve_one_set() {
    // All four of a block: the pool has no other one.
    let (engine, request) = {
        let blocks = PortBlocks::new(64).per_subscriber(4);
        let pool = PoolConfig::new("p").ports(1024..=1279).port_blocks(blocks);
        engine(pool)
    };
    let request = request.subscriber(3);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    for _ in 0..4 {
        set(&mut burst, &mut held, &request, (64, 64)).unwrap();
    }
    assert_eq!(held.len(), 256);
    for lease in held.drain(..) {
        burst.release_with(lease, Reason::Unused);
    }
    let whole = set(&mut burst, &mut held, &request, (256, 65));
    let (first, had) = whole.unwrap();
    assert!(had > 64, "{first}, {had}");
}

/// Of subscribers that hold nothing any more a part is looked at in each slice, and each within some
/// slices, without anybody being idle.
#[test]
fn subscribers_at_rest_are_forgotten_in_time() {
    let limit = SubscriberLimit::new().ports(Protocol::Udp, 9);
    let pool = PoolConfig::new("p")
        .subscriber_limit(limit)
        .pairing(Strictness::Strict);
    let (engine, request) = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let leases = (0..40).map(|subscriber| burst.allocate(&request.subscriber(subscriber)));
    let mut leases: Vec<_> = leases.map(Result::unwrap).collect();
    burst.release_batch(&mut leases);
    drop(burst);
    let known = || engine.subscribers().len();
    assert_eq!(known(), 40);
    let slice = HOLD / 16;
    let rested = HOLD + 2 * slice;
    let mut counts = Vec::new();
    for step in 0..12 {
        for _ in 0..20 {
            drop(shard.burst(at(rested + step * slice)));
        }
        counts.push(known());
    }
    // An eighth of forty in each.
    let steps = std::iter::once(&40).chain(&counts).zip(&counts);
    assert!(
        steps.clone().all(|(before, now)| before - now <= 5),
        "{counts:?}"
    );
    assert_eq!(counts[8..], [0; 4], "{counts:?}");
}
