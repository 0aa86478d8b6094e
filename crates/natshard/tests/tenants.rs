//! Tenants (I11): guarantees, maxima, headroom, what is borrowed and given back, thresholds, and
//! what each refusal says. Every test ends with the books compared to the blocks.

use std::time::Duration;

use natshard::{
    AllocError, Engine, EngineConfig, Event, EventConfig, EventKind, Holder, Lease, Limit,
    PoolConfig, PoolShares, Protocol, Reason, Request, Shard, ShareCensus, Strictness, TenantShare,
    Threshold, Tick,
};

const HOLD: u64 = 16_000;
/// When everything released before has rested for certain.
const RESTED: u64 = HOLD + HOLD / 8;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

/// Eight blocks of TCP and UDP, on two addresses.
fn pool() -> PoolConfig {
    PoolConfig::new("p")
        .prefix("203.0.113.0/31".parse().unwrap())
        .ports(1024..=2047)
}

fn tenant(number: u32, minimum: u32, maximum: u32) -> TenantShare {
    TenantShare::new(number).minimum(minimum).maximum(maximum)
}

fn config(pool: PoolConfig) -> EngineConfig {
    EngineConfig::new(2)
        .hold_down(Duration::from_millis(HOLD))
        .events(EventConfig::new(1024))
        .seed(3)
        .pool(pool)
}

fn engine(pool: PoolConfig) -> (Engine, Request) {
    let engine = Engine::new(config(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    (engine, request)
}

fn fill(shard: &mut Shard, now: u64, request: &Request) -> (Vec<Lease>, AllocError) {
    let mut leases = Vec::new();
    let mut burst = shard.burst(at(now));
    loop {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => return (leases, error),
        }
    }
}

/// Lets everything that was released rest and be recycled.
fn rest(engine: &Engine, shards: &mut [Shard], now: &mut u64) {
    for _ in 0..2 {
        *now += RESTED;
        for shard in &mut *shards {
            shard.idle(at(*now));
        }
    }
    assert_eq!(engine.stats().awaiting_grace, 0);
}

#[track_caller]
fn shares(engine: &Engine) -> PoolShares {
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.shares, engine.stats().shares, "blocks and books");
    census.shares["p"][Protocol::Tcp.as_index()].clone()
}

/// Blocks held by each: everybody else, control traffic where there is headroom, tenants.
#[track_caller]
fn held(engine: &Engine) -> Vec<u64> {
    shares(engine)
        .shares
        .iter()
        .map(|share| share.held)
        .collect()
}

fn drain(engine: &Engine) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    let mut reader = engine.events().unwrap();
    reader.drain(&mut |event: &Event| kinds.push(event.kind));
    kinds
}

#[test]
fn a_guarantee_is_kept_while_others_take_all_they_can() {
    let (engine, request) = engine(pool().tenant(tenant(1, 3, 8)).tenant(tenant(2, 0, 8)));
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    // Everybody else, a tenant with no guarantee, and one that the pool does not name.
    let mut flood = Vec::new();
    for other in [request, request.tenant(2), request.tenant(99)] {
        let (leases, error) = fill(&mut shards[0], 0, &other);
        assert_eq!(error, AllocError::TenantQuota);
        flood.extend(leases);
    }
    assert_eq!(flood.len(), 5 * 256);
    assert_eq!(held(&engine), [5, 0, 0]);
    let (own, error) = fill(&mut shards[1], 0, &request.tenant(1));
    assert_eq!((own.len(), error), (3 * 256, AllocError::PoolFull));
    assert_eq!(held(&engine), [5, 3, 0]);
    // Now that nothing is left at all, that is what the others are told.
    let (none, error) = fill(&mut shards[0], 0, &request);
    assert_eq!((none.len(), error), (0, AllocError::PoolFull));
    assert!(error.is_exhaustion() && !AllocError::TenantQuota.is_exhaustion());
}

#[test]
fn what_is_guaranteed_and_not_used_is_not_lent() {
    let (engine, request) = engine(pool().tenant(tenant(1, 3, 8)));
    let mut shard = engine.shard(0).unwrap();
    let (one, _) = fill(&mut shard, 0, &request);
    assert_eq!(one.len(), 5 * 256);
    let expected = PoolShares {
        protocol: Protocol::Tcp,
        blocks: 8,
        lendable: 0,
        raised: false,
        times_raised: 0,
        shares: vec![
            ShareCensus {
                holder: Holder::Others,
                held: 5,
                minimum: 0,
                maximum: None,
            },
            ShareCensus {
                holder: Holder::Tenant(1),
                held: 0,
                minimum: 3,
                maximum: Some(8),
            },
        ],
    };
    assert_eq!(shares(&engine), expected);
    // Other protocols are shared out apart.
    let udp = Request::new(request.pool(), Protocol::Udp);
    assert_eq!(fill(&mut shard, 0, &udp).0.len(), 5 * 256);
}

/// Whoever is not named any more keeps what he holds, and is listed while he does.
#[test]
fn a_former_tenant_is_listed_while_it_holds_blocks() {
    let (engine, request) = engine(pool().tenant(tenant(1, 2, 8)).tenant(tenant(2, 2, 8)));
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let mut burst = shards[0].burst(at(0));
    let lease = burst.allocate(&request.tenant(1)).unwrap();
    drop(burst);
    engine
        .reconfigure(config(pool().tenant(tenant(2, 2, 8))))
        .unwrap();
    let holders = |engine: &Engine| -> Vec<(Holder, u64)> {
        let shares = shares(engine).shares;
        shares
            .iter()
            .map(|share| (share.holder, share.held))
            .collect()
    };
    let named = [(Holder::Others, 0), (Holder::Tenant(2), 0)];
    let former = (Holder::Tenant(1), 1);
    assert_eq!(holders(&engine), [named[0], named[1], former]);
    shards[0].burst(at(0)).release(lease);
    rest(&engine, &mut shards, &mut 0);
    assert_eq!(holders(&engine), named);
}

#[test]
fn blocks_are_borrowed_and_come_back_once_they_have_rested() {
    let (engine, request) = engine(pool().tenant(tenant(1, 2, 8)).tenant(tenant(2, 2, 8)));
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let mut now = 0;
    let (mut first, error) = fill(&mut shards[0], now, &request.tenant(1));
    assert_eq!((first.len(), error), (6 * 256, AllocError::TenantQuota));
    assert_eq!(shares(&engine).lendable, 0);
    // Released, and still its own: cooling blocks count, and nobody else gets at them.
    shards[0].burst(at(now)).release_batch(&mut first);
    let (two, error) = fill(&mut shards[1], now, &request.tenant(2));
    assert_eq!((two.len(), error), (2 * 256, AllocError::PoolFull));
    assert_eq!(held(&engine), [0, 6, 2]);
    drop(two);
    rest(&engine, &mut shards, &mut now);
    assert_eq!(held(&engine), [0, 0, 0]);
    assert_eq!(shares(&engine).lendable, 4);
    let (two, error) = fill(&mut shards[1], now, &request.tenant(2));
    assert_eq!((two.len(), error), (6 * 256, AllocError::TenantQuota));
    assert_eq!(held(&engine), [0, 0, 6]);
}

#[test]
fn rested_holes_are_served_to_their_own_class_alone() {
    let (engine, request) = engine(pool().tenant(tenant(1, 4, 4)).tenant(tenant(2, 4, 4)));
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    let mut now = 0;
    let (mut one, error) = fill(&mut shards[0], now, &request.tenant(1));
    assert_eq!((one.len(), error), (4 * 256, AllocError::TenantQuota));
    let (two, error) = fill(&mut shards[1], now, &request.tenant(2));
    // Its maximum, although nothing else is left either.
    assert_eq!((two.len(), error), (4 * 256, AllocError::TenantQuota));
    // A hole in each block of tenant 1; one lease each keeps the blocks from being recycled.
    let mut holes: Vec<Lease> = one.drain(..100).collect();
    shards[1].burst(at(now)).release_batch(&mut holes);
    rest(&engine, &mut shards, &mut now);
    for (shard, number) in [(0, 2), (1, 2), (0, 0)] {
        let (none, _) = fill(&mut shards[shard], now, &request.tenant(number));
        assert_eq!(none.len(), 0, "tenant {number}");
    }
    // Whichever shard asks on behalf of its own.
    let (had, error) = fill(&mut shards[1], now, &request.tenant(1));
    assert_eq!((had.len(), error), (100, AllocError::TenantQuota));
    assert_eq!(held(&engine), [0, 4, 4]);
}

#[test]
fn headroom_is_kept_for_control_traffic_which_may_borrow_as_well() {
    let (engine, request) = engine(pool().headroom(2).tenant(tenant(1, 1, 8)));
    let mut shard = engine.shard(0).unwrap();
    let (mut others, error) = fill(&mut shard, 0, &request);
    assert_eq!((others.len(), error), (5 * 256, AllocError::TenantQuota));
    let (control, error) = fill(&mut shard, 0, &request.control());
    assert_eq!((control.len(), error), (2 * 256, AllocError::TenantQuota));
    let (one, _) = fill(&mut shard, 0, &request.tenant(1));
    assert_eq!(one.len(), 256);
    assert_eq!(held(&engine), [5, 2, 1]);
    // Of a tenant, too: control comes first.
    let unused = std::mem::take(&mut others);
    let mut burst = shard.burst(at(0));
    for lease in unused {
        burst.release_with(lease, Reason::Unused);
    }
    drop(burst);
    let mut now = 0;
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    let (more, error) = fill(&mut shard, now, &request.tenant(1).control());
    assert_eq!((more.len(), error), (5 * 256, AllocError::PoolFull));
    assert_eq!(held(&engine), [0, 7, 1]);
}

#[test]
fn without_headroom_control_traffic_is_like_any_other() {
    let (engine, request) = engine(pool().tenant(tenant(1, 0, 2)));
    let mut shard = engine.shard(0).unwrap();
    let (of_tenant, error) = fill(&mut shard, 0, &request.tenant(1).control());
    assert_eq!((of_tenant.len(), error), (512, AllocError::TenantQuota));
    let (others, error) = fill(&mut shard, 0, &request.control());
    assert_eq!((others.len(), error), (6 * 256, AllocError::PoolFull));
    // Pools that share nothing out ignore both.
    let plain = Engine::new(config(pool())).unwrap();
    let request = Request::new(plain.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = plain.shard(0).unwrap();
    let (all, error) = fill(&mut shard, 0, &request.tenant(1).control());
    assert_eq!((all.len(), error), (8 * 256, AllocError::PoolFull));
    assert!(plain.census().shares.is_empty());
}

#[test]
fn reservations_are_everybody_elses_and_keep_out_of_others_blocks() {
    let (engine, request) = engine(pool().tenant(tenant(1, 7, 8)));
    let mut shard = engine.shard(0).unwrap();
    let reserve = |shard: &mut Shard, public: &str| {
        let public = public.parse().unwrap();
        let mut burst = shard.burst(at(0));
        burst.reserve(request.pool(), Protocol::Tcp, public)
    };
    let fixed = reserve(&mut shard, "203.0.113.0:1100").unwrap();
    assert_eq!(held(&engine), [1, 0]);
    // In the same block; another block would be one more than everybody else may have.
    let beside = reserve(&mut shard, "203.0.113.0:1101").unwrap();
    let further = reserve(&mut shard, "203.0.113.0:1300");
    assert_eq!(further, Err(AllocError::TenantQuota));
    let (own, _) = fill(&mut shard, 0, &request.tenant(1));
    assert_eq!(own.len(), 7 * 256);
    // Of a block of the tenant's that stays, because something of it is leased.
    let (mut given, stay): (Vec<_>, Vec<_>) = own
        .into_iter()
        .partition(|lease| lease.addr() == "203.0.113.0:1300".parse().unwrap());
    assert_eq!(given.len(), 1);
    shard.burst(at(0)).release_batch(&mut given);
    let mut now = 0;
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    let public = "203.0.113.0:1300".parse().unwrap();
    let mut burst = shard.burst(at(now));
    let taken = burst.reserve(request.pool(), Protocol::Tcp, public);
    assert_eq!(taken, Err(AllocError::InUse));
    let near = burst.allocate(&request.tenant(1)).unwrap();
    assert_eq!(near.addr(), public);
    drop(burst);
    drop(stay);
    drop((fixed, beside));
    shares(&engine);
}

#[test]
fn one_address_asked_for_obeys_the_shares_too() {
    let (engine, request) = engine(pool().tenant(tenant(1, 2, 3)));
    let mut shard = engine.shard(0).unwrap();
    let address = "203.0.113.1".parse().unwrap();
    let own = request.tenant(1).address(address, Strictness::Strict);
    let (leases, error) = fill(&mut shard, 0, &own);
    assert!(leases.iter().all(|lease| lease.addr().ip() == address));
    assert_eq!((leases.len(), error), (3 * 256, AllocError::TenantQuota));
    let others = request.address(address, Strictness::Strict);
    let (rest, error) = fill(&mut shard, 0, &others);
    assert_eq!((rest.len(), error), (256, AllocError::AddressFull));
    assert_eq!(held(&engine), [1, 3]);
    let near = request.tenant(1).near_port(1024);
    assert_eq!(
        shard.burst(at(0)).allocate(&near),
        Err(AllocError::TenantQuota)
    );
}

#[test]
fn a_share_used_up_is_told_once_until_something_is_had_again() {
    let (engine, request) = engine(pool().tenant(tenant(1, 0, 1)).headroom(1));
    let mut shard = engine.shard(0).unwrap();
    let exceeded = |holder, limit| EventKind::QuotaExceeded {
        protocol: Protocol::Tcp,
        holder,
        limit,
    };
    let maximum = exceeded(Holder::Tenant(1), Limit::Blocks(1));
    let own = request.tenant(1);
    let (mut leases, _) = fill(&mut shard, 0, &own);
    for _ in 0..100 {
        assert_eq!(
            shard.burst(at(0)).allocate(&own),
            Err(AllocError::TenantQuota)
        );
    }
    assert_eq!(drain(&engine), [maximum]);
    let (_others, _) = fill(&mut shard, 0, &request);
    let rest_is_kept = exceeded(Holder::Others, Limit::Unguaranteed(6));
    assert_eq!(drain(&engine), [rest_is_kept]);
    shard.burst(at(0)).release_batch(&mut leases);
    let mut now = 0;
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    let (_leases, _) = fill(&mut shard, now, &own);
    assert_eq!(drain(&engine), [maximum]);
    assert_eq!(
        engine.stats().refused(AllocError::TenantQuota),
        1 + 100 + 1 + 1
    );
    assert_eq!(
        engine.stats().pools["p"].refused[AllocError::TenantQuota as usize],
        103
    );
}

#[test]
fn a_threshold_is_told_when_it_is_crossed_and_when_it_is_crossed_back() {
    let (engine, request) = engine(pool().threshold(Threshold::new(75, 50)));
    let mut shard = engine.shard(0).unwrap();
    let mut leases = Vec::new();
    let more = |shard: &mut Shard, leases: &mut Vec<Lease>, blocks: usize| {
        let mut burst = shard.burst(at(0));
        burst
            .allocate_batch(&request, blocks * 256, leases)
            .unwrap();
    };
    more(&mut shard, &mut leases, 5);
    assert_eq!(drain(&engine), []);
    more(&mut shard, &mut leases, 1);
    let protocol = Protocol::Tcp;
    let raised = EventKind::ThresholdRaised {
        protocol,
        held: 6,
        blocks: 8,
    };
    assert_eq!(drain(&engine), [raised]);
    more(&mut shard, &mut leases, 2);
    let mut now = 0;
    // Three of eight come back: still above what clears it.
    let mut few: Vec<Lease> = leases.drain(..3 * 256).collect();
    shard.burst(at(now)).release_batch(&mut few);
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    assert_eq!(held(&engine), [5]);
    assert_eq!(drain(&engine), []);
    let mut few: Vec<Lease> = leases.drain(..512).collect();
    shard.burst(at(now)).release_batch(&mut few);
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    let cleared = EventKind::ThresholdCleared {
        protocol,
        held: 4,
        blocks: 8,
    };
    assert_eq!(drain(&engine), [cleared]);
    assert_eq!(held(&engine), [3]);
    // A pool with a threshold alone is full when it is full.
    let (_, error) = fill(&mut shard, now, &request);
    assert_eq!(error, AllocError::PoolFull);
}

#[test]
fn how_often_a_threshold_was_reached_is_counted_though_nobody_is_told() {
    let pool = pool().threshold(Threshold::new(75, 50));
    let config = config(pool).events(EventConfig::default());
    let engine = Engine::new(config).unwrap();
    assert!(engine.events().is_none());
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut now = 0;
    for round in 0..3 {
        let before = shares(&engine);
        assert_eq!((before.raised, before.times_raised), (false, round));
        let (mut leases, _) = fill(&mut shard, now, &request);
        let full = shares(&engine);
        assert_eq!((full.raised, full.times_raised), (true, round + 1));
        shard.burst(at(now)).release_batch(&mut leases);
        rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    }
}

#[test]
fn port_blocks_are_assigned_out_of_the_tenants_share() {
    let blocks = natshard::PortBlocks::new(64).per_subscriber(16);
    let pool = pool().port_blocks(blocks).tenant(tenant(1, 2, 2));
    let (engine, request) = engine(pool);
    let mut shard = engine.shard(0).unwrap();
    // Two blocks of 256 are eight port blocks of 64; one subscriber after another has one.
    let mut leases = Vec::new();
    let mut refused = None;
    for subscriber in 0..9 {
        let own = request.tenant(1).subscriber(subscriber);
        let (had, error) = fill_some(&mut shard, &own, 64);
        match error {
            None => leases.extend(had),
            error => refused = refused.or(error.map(|error| (subscriber, error))),
        }
    }
    assert_eq!(leases.len(), 8 * 64);
    assert_eq!(refused, Some((8, AllocError::TenantQuota)));
    assert_eq!(held(&engine), [0, 2]);
    // Everybody else has port blocks of the other six, and none of the tenant's.
    let (one, _) = fill_some(&mut shard, &request.subscriber(50), 64);
    let block = |lease: &Lease| (lease.addr().ip(), lease.addr().port() / 256);
    assert!(leases.iter().all(|lease| block(lease) != block(&one[0])));
    assert_eq!(held(&engine), [1, 2]);
    shard.burst(at(0)).release_batch(&mut leases);
    let mut now = 0;
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    rest(&engine, std::slice::from_mut(&mut shard), &mut now);
    assert_eq!(held(&engine), [1, 0]);
}

fn fill_some(
    shard: &mut Shard,
    request: &Request,
    count: usize,
) -> (Vec<Lease>, Option<AllocError>) {
    let mut leases = Vec::new();
    let mut burst = shard.burst(at(0));
    for _ in 0..count {
        match burst.allocate(request) {
            Ok(lease) => leases.push(lease),
            Err(error) => return (leases, Some(error)),
        }
    }
    (leases, None)
}

#[test]
fn what_lies_in_another_shards_hands_comes_back_to_its_own_class() {
    let (engine, request) = engine(pool().tenant(tenant(1, 1, 1)).tenant(tenant(2, 1, 1)));
    let mut shards = [engine.shard(0).unwrap(), engine.shard(1).unwrap()];
    // Shard 1 has a block of either tenant in its hands.
    let mut kept = Vec::new();
    for number in [1, 2] {
        kept.push(shards[1].burst(at(0)).allocate(&request.tenant(number)));
    }
    let own = request.tenant(1);
    let refused = shards[0].burst(at(0)).allocate(&own);
    assert_eq!(refused, Err(AllocError::TenantQuota));
    assert_eq!(engine.census().pools["p"].unissued, 2 * 255);
    // Its next burst gives back what was asked for, and not the hand of the other tenant.
    drop(shards[1].burst(at(0)));
    assert_eq!(engine.census().pools["p"].unissued, 255);
    let (had, error) = fill(&mut shards[0], 0, &own);
    assert_eq!((had.len(), error), (255, AllocError::TenantQuota));
    drop(kept);
    shares(&engine);
}

#[test]
fn a_hand_given_back_untouched_is_no_share_of_anybody() {
    let (engine, request) = engine(pool().tenant(tenant(1, 2, 2)));
    let mut shard = engine.shard(0).unwrap();
    // The port wished for comes out of another block than the one taken on for the request.
    let mut wished = Vec::new();
    for block in 4..8u16 {
        let port = block * 256 + 9;
        let near = request.tenant(1).near_port(port);
        let lease = shard.burst(at(0)).allocate(&near).unwrap();
        if lease.addr().port() == port && held(&engine) == [0, 2] {
            wished.push(lease);
            break;
        }
        shard.burst(at(0)).release_with(lease, Reason::Unused);
    }
    assert_eq!(wished.len(), 1, "no hand was left untouched");
    assert_eq!(engine.census().pools["p"].unissued, 256);
    shard.idle(at(0));
    assert_eq!(engine.census().blocks.heating, 0);
    assert_eq!(held(&engine), [0, 1]);
    assert_eq!(shares(&engine).lendable, 6);
}
