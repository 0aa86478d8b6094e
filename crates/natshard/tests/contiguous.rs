//! Sets of consecutive ports, parity and class (RFC 7753, RFC 4787 REQ-3 a and REQ-4).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use natshard::{
    AllocError, Burst, Engine, EngineConfig, Lease, Parity, PoolConfig, PortOrder, Protocol,
    Reason, ReleaseError, Request, Strictness, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const HOLD: u64 = 120_000;
/// Past every rest.
const RESTED: u64 = HOLD + HOLD / 8 + 1;

fn at(millis: u64) -> Tick {
    Tick::from_millis(millis)
}

fn engine(prefix: &str, ports: std::ops::RangeInclusive<u16>) -> (Engine, Request) {
    let pool = PoolConfig::new("p")
        .prefix(prefix.parse().unwrap())
        .ports(ports);
    let engine = Engine::new(EngineConfig::new(2).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    (engine, request)
}

fn port(lease: &Lease) -> u16 {
    lease.addr().port()
}

fn parity(lease: &Lease) -> Parity {
    Parity::of(port(lease))
}

/// A set, checked to be one.
#[track_caller]
fn set(burst: &mut Burst<'_>, request: &Request, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    assert_eq!(burst.allocate_set(request, count, &mut leases), Ok(count));
    assert_set(&leases, count);
    leases
}

#[track_caller]
fn assert_set(leases: &[Lease], count: usize) {
    let first = leases[0].addr();
    let expected: Vec<_> = (0..count)
        .map(|offset| SocketAddr::new(first.ip(), first.port() + offset as u16))
        .collect();
    let got: Vec<_> = leases.iter().map(Lease::addr).collect();
    assert_eq!(got, expected);
    assert_eq!(first.port() / 256, leases[count - 1].addr().port() / 256);
}

fn claimed(engine: &Engine) -> u64 {
    engine
        .stats()
        .shards
        .iter()
        .map(|shard| shard.blocks_claimed)
        .sum()
}

#[test]
fn pairs_for_rtp_begin_with_an_even_port() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=2047);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let even = request.parity(Parity::Even);
    let pairs: Vec<_> = (0..512).map(|_| set(&mut burst, &even, 2)).collect();
    assert!(pairs.iter().all(|pair| parity(&pair[0]) == Parity::Even));
    let mut none = Vec::new();
    assert_eq!(
        burst.allocate_set(&even, 2, &mut none),
        Err(AllocError::PoolFull)
    );
    drop(pairs);
    drop(burst);
    let mut burst = shard.burst(at(RESTED));
    let odd = set(&mut burst, &request.parity(Parity::Odd), 3);
    assert_eq!(parity(&odd[0]), Parity::Odd);
}

#[test]
fn sets_that_cannot_be_are_refused_with_the_reason() {
    let (engine, request) = engine("203.0.113.0/31", 1024..=1100);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = Vec::new();
    assert_eq!(burst.allocate_set(&request, 0, &mut leases), Ok(0));
    assert_eq!(burst.allocate_set_up_to(&request, 0, 0, &mut leases), Ok(0));
    for (request, count, reason) in [
        (request, 257, AllocError::SetTooLarge),
        (request, usize::MAX, AllocError::SetTooLarge),
        (request, 78, AllocError::NoContiguous),
        (request.parity(Parity::Odd), 77, AllocError::NoContiguous),
        (
            request.family(natshard::Family::V6),
            2,
            AllocError::NoSuchFamily,
        ),
        (
            request.address("198.51.100.1".parse().unwrap(), Strictness::Strict),
            2,
            AllocError::OutsidePool,
        ),
    ] {
        let before = engine.stats().refused(reason);
        assert_eq!(
            burst.allocate_set(&request, count, &mut leases),
            Err(reason)
        );
        assert_eq!(engine.stats().refused(reason), before + 1);
    }
    assert!(leases.is_empty());
    assert_eq!(claimed(&engine), 0, "nothing was touched for it");
    assert_eq!(set(&mut burst, &request, 77).len(), 77);
    let odd = request.parity(Parity::Odd);
    assert_eq!(set(&mut burst, &odd, 76).len(), 76);
    assert!(!AllocError::NoContiguous.is_exhaustion());
    let every = burst.allocate_set(&request.parity(Parity::Odd), 1, &mut leases);
    assert_eq!(every, Err(AllocError::NoContiguous), "an even port is left");
    assert_eq!(
        burst.allocate_set(&request, 2, &mut leases),
        Err(AllocError::NoContiguous)
    );
    assert_eq!(burst.allocate_set(&request, 1, &mut leases), Ok(1));
    assert_eq!(
        burst.allocate_set(&request, 1, &mut leases),
        Err(AllocError::PoolFull)
    );
}

#[test]
fn a_refusal_of_one_parity_says_nothing_about_the_other() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=1279);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = set(&mut burst, &request, 256);
    let pair = leases.split_off(200);
    leases.extend(pair.into_iter().skip(2));
    // Ports 200 and 201 of the block were dropped, and must rest.
    drop(burst);
    let mut burst = shard.burst(at(RESTED));
    let mut none = Vec::new();
    for _ in 0..2 {
        let odd = burst.allocate_set(&request.parity(Parity::Odd), 2, &mut none);
        assert_eq!(odd, Err(AllocError::NoContiguous));
    }
    assert_eq!(
        burst.allocate_set(&request, 3, &mut none),
        Err(AllocError::NoContiguous)
    );
    set(&mut burst, &request.parity(Parity::Even), 2);
}

#[test]
fn as_many_as_can_be_had_of_a_range_of_counts() {
    let (engine, request) = engine("203.0.113.0/24", 1024..=1123);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = Vec::new();
    // All there are (RFC 7753 section 4.1: 0xffff).
    assert_eq!(
        burst.allocate_set_up_to(&request, 0xffff, 1, &mut leases),
        Ok(100)
    );
    assert_set(&leases, 100);
    assert_eq!(
        engine.stats().open_addresses,
        1,
        "no address is opened in vain"
    );
    let paired = request.address(leases[0].addr().ip(), Strictness::Strict);
    let refused = burst.allocate_set_up_to(&paired, 64, 2, &mut Vec::new());
    assert_eq!(refused, Err(AllocError::AddressFull));
    for lease in leases.drain(40..55) {
        burst.release_with(lease, Reason::Unused);
    }
    let mut more = Vec::new();
    let refused = burst.allocate_set_up_to(&paired, 64, 16, &mut more);
    assert_eq!(refused, Err(AllocError::NoContiguous));
    assert_eq!(
        burst.allocate_set_up_to(&paired.parity(Parity::Odd), 64, 2, &mut more),
        Ok(14)
    );
    assert_set(&more, 14);
    assert_eq!(burst.allocate_set_up_to(&paired, 64, 0, &mut more), Ok(1));
}

#[test]
fn members_of_a_set_are_leases_by_themselves() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=1279);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut leases = set(&mut burst, &request, 256);
    let tokens: Vec<_> = leases.drain(100..104).map(Lease::into_raw).collect();
    for &token in &tokens {
        assert_eq!(burst.release_raw(token), Ok(()));
        assert_eq!(burst.release_raw(token), Err(ReleaseError::Stale));
    }
    burst.release(leases.remove(96));
    drop(leases.remove(96));
    drop(burst);
    // Ports 96, 97 and 100 to 103 rest; none is leased before its hold-down is over (I3).
    let mut none = Vec::new();
    for early in [0, HOLD / 2, HOLD - 1] {
        let refused = shard.burst(at(early)).allocate_set(&request, 2, &mut none);
        assert_eq!(refused, Err(AllocError::PoolFull), "after {early} ms");
    }
    let mut burst = shard.burst(at(RESTED));
    let four = set(&mut burst, &request, 4);
    assert_eq!(port(&four[0]), 1024 + 100);
    let two = set(&mut burst, &request, 2);
    assert_eq!(port(&two[0]), 1024 + 96);
    for &token in &tokens {
        let stale = burst.release_raw(token);
        assert_eq!(
            stale,
            Err(ReleaseError::Stale),
            "others have the port now (I6)"
        );
    }
    drop(burst);
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    assert_eq!(census.total.leased, 256);
}

#[test]
fn a_run_in_anothers_hands_comes_with_its_next_burst() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=1279);
    let (mut one, mut two) = (engine.shard(0).unwrap(), engine.shard(1).unwrap());
    let lease = one.burst(at(0)).allocate(&request).unwrap();
    let mut none = Vec::new();
    let refused = two.burst(at(0)).allocate_set(&request, 100, &mut none);
    assert_eq!(refused, Err(AllocError::PoolFull));
    drop(one.burst(at(0)));
    set(&mut two.burst(at(0)), &request, 100);
    drop(lease);
}

#[test]
fn a_run_across_what_is_in_hand_and_what_came_back_is_found() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=1279);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let leases: Vec<_> = (0..100)
        .map(|_| burst.allocate(&request).unwrap())
        .collect();
    for lease in leases {
        burst.release_with(lease, Reason::Unused);
    }
    set(&mut burst, &request, 256);
}

#[test]
fn sets_come_from_the_block_in_hand_and_leave_others_whole() {
    let (engine, request) = engine("203.0.113.0/24", 1024..=65_535);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let single = burst.allocate(&request).unwrap();
    let mut leases = vec![single];
    for count in [2, 16, 64, 8, 2] {
        leases.extend(set(&mut burst, &request, count));
    }
    let block = |lease: &Lease| (lease.addr().ip(), port(lease) / 256);
    assert!(leases.iter().all(|lease| block(lease) == block(&leases[0])));
    assert_eq!(claimed(&engine), 1);
    // Without one in hand: pairs fill a block before they begin another.
    drop(burst);
    drop(shard);
    let mut other = engine.shard(1).unwrap();
    let mut burst = other.burst(at(0));
    let mut blocks = BTreeSet::new();
    for _ in 0..128 * 10 {
        let pair = set(&mut burst, &request.parity(Parity::Even), 2);
        blocks.insert(block(&pair[0]));
        leases.extend(pair);
    }
    assert!(
        blocks.len() <= 11,
        "{} blocks for 1,280 pairs",
        blocks.len()
    );
    set(&mut burst, &request, 256);
}

#[test]
fn the_linear_order_is_that_of_sets_too() {
    let pool = PoolConfig::new("p").prefix("203.0.113.0/32".parse().unwrap());
    let config = EngineConfig::new(1)
        .port_order(PortOrder::Linear)
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let starts: Vec<_> = (0..5)
        .map(|_| port(&set(&mut burst, &request, 8)[0]) % 256)
        .collect();
    assert_eq!(starts, [0, 8, 16, 24, 32]);
}

/// Of a block without holes each of the 128 places of a pair is as likely: 7 bits.
#[test]
fn the_place_of_a_pair_is_drawn_evenly() {
    let (engine, request) = engine("203.0.113.0/32", 1024..=1279);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut drawn = [0u32; 128];
    for _ in 0..128 * 500 {
        let pair = set(&mut burst, &request, 2);
        drawn[(port(&pair[0]) % 256 / 2) as usize] += 1;
        for lease in pair {
            burst.release_with(lease, Reason::Unused);
        }
    }
    // 127 degrees of freedom, standard deviation 16: one run in 10^10 is beyond this.
    let squares = drawn
        .iter()
        .map(|&count| (f64::from(count) - 500.0).powi(2) / 500.0);
    let chi_squared: f64 = squares.sum();
    assert!(chi_squared < 260.0, "{chi_squared}: {drawn:?}");
}

/// A pool of which this share is leased, one by one and at random, and the rest has rested.
struct Used {
    engine: Engine,
    request: Request,
    shard: natshard::Shard,
    leases: Vec<Lease>,
    free: BTreeMap<(IpAddr, u16), bool>,
}

impl Used {
    fn new(percent: u32) -> Self {
        let (engine, request) = engine("203.0.113.0/30", 1024..=65_535);
        let mut shard = engine.shard(0).unwrap();
        let mut leases = Vec::new();
        let mut burst = shard.burst(at(0));
        burst
            .allocate_batch(&request, 1 << 20, &mut leases)
            .unwrap();
        assert_eq!(leases.len(), 4 * 64_512);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(u64::from(percent));
        let mut free = BTreeMap::new();
        let (kept, gone): (Vec<_>, Vec<_>) = leases
            .into_iter()
            .partition(|_| random.next_u32() % 1000 < 10 * percent);
        for lease in gone {
            free.insert((lease.addr().ip(), port(&lease)), true);
            burst.release(lease);
        }
        drop(burst);
        drop(shard.burst(at(RESTED)));
        Used {
            engine,
            request,
            shard,
            leases: kept,
            free,
        }
    }

    /// How many sets of so many ports there is room for, and the longest there is.
    fn room(&self, count: usize) -> (usize, usize) {
        let (mut room, mut longest, mut run) = (0, 0, 0usize);
        let mut last = None;
        for &(ip, port) in self.free.keys() {
            let goes_on = last == Some((ip, port.wrapping_sub(1))) && port % 256 != 0;
            run = if goes_on { run + 1 } else { 1 };
            room += usize::from(run.is_multiple_of(count));
            longest = longest.max(run);
            last = Some((ip, port));
        }
        (room, longest)
    }
}

/// At any use, as many sets are had as there is room for: no place is overlooked, and none is cut
/// so that another is lost.
#[test]
fn random_use_of_50_80_and_95_percent_leaves_every_set_there_is_room_for() {
    for percent in [50, 80, 95] {
        let mut used = Used::new(percent);
        let (_, longest) = used.room(1);
        for count in [2, 3, 4, 8] {
            let (room, _) = used.room(count);
            let mut leases = Vec::new();
            let mut burst = used.shard.burst(at(RESTED));
            let mut sets = 0;
            let refused = loop {
                match burst.allocate_set(&used.request, count, &mut leases) {
                    Ok(had) => {
                        assert_set(&leases[leases.len() - had..], count);
                        sets += 1;
                    }
                    Err(error) => break error,
                }
            };
            assert_eq!(refused, AllocError::NoContiguous, "at {percent} %");
            assert_eq!(sets, room, "sets of {count} at {percent} %");
            for lease in leases {
                assert!(used.free.contains_key(&(lease.addr().ip(), port(&lease))));
                burst.release_with(lease, Reason::Unused);
            }
        }
        let mut leases = Vec::new();
        let mut burst = used.shard.burst(at(RESTED));
        let most = burst.allocate_set_up_to(&used.request, 256, 1, &mut leases);
        assert_eq!(most, Ok(longest), "the longest at {percent} %");
        used.leases.extend(leases);
        drop(burst);
        let census = used.engine.census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        assert_eq!(census.total.leased, used.leases.len() as u64);
    }
}

#[test]
fn at_the_cap_of_cooling_ports_sets_are_served_early_and_counted() {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/32".parse().unwrap())
        .ports(1024..=2047);
    let config = EngineConfig::new(1).max_cooling(100).pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..200 {
        let mut burst = shard.burst(at(round * 10));
        set(&mut burst, &request, 128);
    }
    let stats = engine.stats();
    assert!(stats.shards[0].served_early > 10_000, "{stats:?}");
    let census = engine.census();
    assert!(census.total.cooling <= 100 + 2 * 256, "{}", census.total);
}

/// Under churn of singles and sets at 80 % use, resting ports counted, sets of a quarter of a
/// block go on being served: small sets are put where large ones could not be any more.
#[test]
fn churn_at_80_percent_leaves_room_for_sets_of_64() {
    let pool = PoolConfig::new("p").prefix("203.0.113.0/31".parse().unwrap());
    let hold = 1000;
    let config = EngineConfig::new(1)
        .hold_down(Duration::from_millis(hold))
        .pool(pool);
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let mut shard = engine.shard(0).unwrap();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut sets: Vec<Vec<Lease>> = Vec::new();
    let mut resting = VecDeque::new();
    let mut used = 0;
    let (mut asked, mut refused) = (0, 0);
    for now in (0..40_000).step_by(20) {
        while let Some(&(_, count)) = resting.front().filter(|&&(since, _)| since + 1200 < now) {
            used -= count;
            resting.pop_front();
        }
        let mut burst = shard.burst(at(now));
        while used < 2 * 64_512 * 80 / 100 {
            let count = match random.next_u32() % 20 {
                0..12 => 1,
                12..16 => 2,
                16..19 => 8,
                _ => 64,
            };
            let mut leases = Vec::new();
            let had = match count {
                1 => burst.allocate_batch(&request, 1, &mut leases),
                _ => burst.allocate_set(&request, count, &mut leases),
            };
            if count == 64 && now > 10_000 {
                asked += 1;
                refused += u32::from(had.is_err());
            }
            if had.is_err() {
                break;
            }
            used += leases.len();
            sets.push(leases);
        }
        for _ in 0..sets.len() / 100 {
            let leases = sets.swap_remove(random.next_u32() as usize % sets.len());
            resting.push_back((now, leases.len()));
            leases.into_iter().for_each(|lease| burst.release(lease));
        }
    }
    assert!(asked > 500, "{asked}");
    assert!(refused * 100 < asked, "{refused} of {asked}");
}
