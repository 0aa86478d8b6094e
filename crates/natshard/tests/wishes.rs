//! Wishes for a port's parity, its class and the port itself (RFC 4787 REQ-3 a and REQ-4; RFC 7753:
//! the suggested external port), and when they are departed from.

use std::ops::RangeInclusive;

use natshard::{
    AllocError, Engine, EngineConfig, Lease, Parity, PoolConfig, Protocol, Reason, Request,
    Strictness, Tick,
};

const NOW: Tick = Tick::ZERO;

fn engine(prefix: &str, ports: RangeInclusive<u16>) -> (Engine, Request) {
    let pool = PoolConfig::new("p")
        .prefix(prefix.parse().unwrap())
        .ports(ports);
    let engine = Engine::new(EngineConfig::new(1).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    (engine, request)
}

fn port(lease: &Lease) -> u16 {
    lease.addr().port()
}

fn departed(engine: &Engine) -> u64 {
    engine.stats().shards[0].wishes_departed
}

#[test]
fn parity_is_kept_while_there_is_a_port_of_it() {
    // The first parity asked for is never the one of the whole hand, the second is what is left.
    for (first, second) in [(Parity::Even, Parity::Odd), (Parity::Odd, Parity::Even)] {
        let (engine, request) = engine("203.0.113.0/31", 1024..=65_535);
        let mut shard = engine.shard(0).unwrap();
        let mut burst = shard.burst(NOW);
        let mut leases = Vec::new();
        let some = burst.allocate_batch(&request.parity(first), 40_000, &mut leases);
        assert_eq!(some, Ok(40_000));
        assert!(leases.iter().all(|lease| Parity::of(port(lease)) == first));
        assert_eq!(departed(&engine), 0);
        let rest = burst.allocate_batch(&request.parity(second), 64_000, &mut leases);
        assert_eq!(rest, Ok(64_000));
        // The search is a short one: of the last it may overlook some.
        let others = leases[40_000..].iter();
        let kept = others
            .filter(|lease| Parity::of(port(lease)) == second)
            .count();
        assert!(kept >= 63_000, "{kept}");
        assert_eq!(departed(&engine), 64_000 - kept as u64);
        let before = departed(&engine);
        while burst
            .allocate_set(&request.parity(second), 1, &mut leases)
            .is_ok()
        {}
        // A single port whose parity must be kept is a set of one.
        let mut none = Vec::new();
        let strict = burst.allocate_set(&request.parity(second), 1, &mut none);
        assert_eq!(strict, Err(AllocError::NoContiguous));
        let lease = burst.allocate(&request.parity(second)).unwrap();
        assert_eq!(
            Parity::of(port(&lease)),
            first,
            "a preference, not a reason to refuse"
        );
        assert_eq!(departed(&engine), before + 1);
    }
}

#[test]
fn a_port_stays_in_its_class_where_the_pool_has_both() {
    let (engine, request) = engine("203.0.113.0/31", 1..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(NOW);
    let mut leases = Vec::new();
    for near in [80, 443, 1023, 1024, 5060, 65_535]
        .into_iter()
        .cycle()
        .take(600)
    {
        let lease = burst.allocate(&request.near_port(near)).unwrap();
        assert_eq!(port(&lease) < 1024, near < 1024, "{near}: {lease:?}");
        assert_eq!(port(&lease) % 2, near % 2, "{near}: {lease:?}");
        leases.push(lease);
    }
    assert_eq!(departed(&engine), 0);
    // All ports below 1024 of both addresses, first those of the right parity; then others.
    let mut low = |count| {
        let mut of_parity = 0;
        for _ in 0..count {
            let lease = burst.allocate(&request.near_port(22)).unwrap();
            assert!(port(&lease) < 1024, "{lease:?}");
            of_parity += usize::from(port(&lease).is_multiple_of(2));
            leases.push(lease);
        }
        of_parity
    };
    let (even, odd) = (2 * 511 - 100, 2 * 512 - 200);
    assert_eq!(low(even), even);
    assert_eq!(departed(&engine), 0);
    assert_eq!(low(odd), 0, "the class counts for more than the parity");
    assert_eq!(departed(&engine), odd as u64);
    let lease = burst.allocate(&request.near_port(22)).unwrap();
    assert!(
        port(&lease) >= 1024 && port(&lease).is_multiple_of(2),
        "{lease:?}"
    );
    assert_eq!(departed(&engine), odd as u64 + 1);
}

#[test]
fn a_pool_of_one_class_departs_from_nothing() {
    let (engine, request) = engine("203.0.113.0/31", 1024..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(NOW);
    for near in [80, 81, 5060] {
        let lease = burst.allocate(&request.near_port(near)).unwrap();
        assert_eq!(port(&lease) % 2, near % 2);
    }
    assert_eq!(departed(&engine), 0);
}

#[test]
fn wishes_hold_for_a_port_of_one_address_too() {
    let (engine, request) = engine("203.0.113.0/30", 1..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(NOW);
    let address = "203.0.113.2".parse().unwrap();
    let paired = request.address(address, Strictness::Strict);
    let mut leases = Vec::new();
    for near in [300, 300, 7, 9, 4000, 4000].into_iter().cycle().take(300) {
        let lease = burst.allocate(&paired.near_port(near)).unwrap();
        assert_eq!(lease.addr().ip(), address);
        assert_eq!(port(&lease) < 1024, near < 1024, "{near}: {lease:?}");
        assert_eq!(port(&lease) % 2, near % 2, "{near}: {lease:?}");
        leases.push(lease);
    }
    // A parity of one's own comes before that of the port.
    let odd = burst
        .allocate(&paired.near_port(300).parity(Parity::Odd))
        .unwrap();
    assert!(port(&odd) < 1024 && port(&odd) % 2 == 1, "{odd:?}");
    assert_eq!(departed(&engine), 0);
}

#[test]
fn a_set_begins_with_the_port_suggested_where_it_can() {
    let (engine, request) = engine("203.0.113.0/31", 1..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(NOW);
    let mut leases = Vec::new();
    let mut set = |request: Request, count| {
        let before = leases.len();
        assert_eq!(burst.allocate_set(&request, count, &mut leases), Ok(count));
        port(&leases[before])
    };
    let near = request.near_port(5003);
    assert_eq!(set(near, 6), 5003);
    let first = set(near, 6);
    assert!(first != 5003 && first > 1023 && first % 2 == 1, "{first}");
    assert_eq!(departed(&engine), 0);
    // A set that would leave the block, and one of the other parity.
    let first = set(request.near_port(5118), 6);
    assert!(first.is_multiple_of(2), "{first}");
    let first = set(request.near_port(700).parity(Parity::Odd), 6);
    assert!(first < 1024 && first % 2 == 1, "{first}");
    assert_eq!(departed(&engine), 0);
    // The class runs out of runs.
    let lows = (0..20)
        .take_while(|_| set(request.near_port(512), 200) < 1024)
        .count();
    assert!((2..=8).contains(&lows), "{lows}");
    assert_eq!(departed(&engine), 1);
}

#[test]
fn a_set_at_a_preferred_address_falls_back_and_counts() {
    let (engine, request) = engine("203.0.113.0/31", 1024..=1279);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(NOW);
    let address = "203.0.113.1".parse().unwrap();
    let (strict, preferred) = (
        request.address(address, Strictness::Strict),
        request.address(address, Strictness::Preferred),
    );
    let mut leases = Vec::new();
    assert_eq!(burst.allocate_set(&strict, 200, &mut leases), Ok(200));
    assert!(leases.iter().all(|lease| lease.addr().ip() == address));
    let refused = burst.allocate_set(&strict, 100, &mut leases);
    assert_eq!(refused, Err(AllocError::NoContiguous));
    // As many as the address has, rather than more of another.
    assert_eq!(
        burst.allocate_set_up_to(&preferred, 100, 10, &mut leases),
        Ok(56)
    );
    assert_eq!(leases[255].addr().ip(), address);
    assert_eq!(departed(&engine), 0);
    assert_eq!(burst.allocate_set(&preferred, 100, &mut leases), Ok(100));
    assert_ne!(leases[256].addr().ip(), address);
    assert_eq!(departed(&engine), 1);
    let refused = burst.allocate_set(&strict, 1, &mut leases);
    assert_eq!(refused, Err(AllocError::AddressFull));
    for lease in leases.drain(..) {
        burst.release_with(lease, Reason::Unused);
    }
    assert_eq!(burst.allocate_set(&strict, 256, &mut leases), Ok(256));
}
