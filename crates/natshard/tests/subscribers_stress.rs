//! Subscribers under threads. What is claimed, and checked while it happens:
//!
//! 1. One cell per public tuple, written when it is leased and when it is released (F35): nobody
//!    leases what is leased, and nothing that rests, in engine time (I1, I3).
//! 2. A subscriber never holds more than its limit, resting ports included, over all shards (I11).
//! 3. The ports of a port block are one subscriber's; a strictly paired subscriber has one address.
//! 4. Whenever all shards pause: the census balances, and it, `Engine::subscribers()`, the books
//!    kept of the events and the leases that are really out say the same.
//! 5. At the end everything is free, nobody holds anything, and no event is missing its partner.
//!
//! `NATSHARD_STRESS=10` makes it ten times as long.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use natshard::{
    AllocError, Burst, Deterministic, Engine, EngineConfig, EventBooks, EventConfig, EventReader,
    Family, Lease, PoolConfig, PortBlocks, Protocol, RawLease, Reason, Request, Strictness,
    SubscriberLimit, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

const HOLD: u64 = 1_600;
const SHARDS: usize = 3;

fn rounds(base: usize) -> usize {
    let times = std::env::var("NATSHARD_STRESS").ok();
    let times: Option<f64> = times.and_then(|times| times.parse().ok());
    (base as f64 * times.unwrap_or(1.0)) as usize
}

/// What a scenario is.
struct Scenario {
    /// By turns, when all shards go on.
    pools: Vec<PoolConfig>,
    subscribers: u64,
    hold: u64,
    limit: Option<SubscriberLimit>,
    /// Ports of a port block, if it stays the same.
    unit: Option<u16>,
    strictly_paired: bool,
    leases_told: bool,
    addresses: Vec<IpAddr>,
    rounds: usize,
}

impl Scenario {
    fn new(pool: PoolConfig, addresses: &[&str]) -> Self {
        Scenario {
            pools: vec![pool],
            subscribers: 5,
            hold: HOLD,
            limit: None,
            unit: None,
            strictly_paired: false,
            leases_told: false,
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
            rounds: rounds(40),
        }
    }

    fn config(&self, pool: &PoolConfig) -> EngineConfig {
        EngineConfig::new(SHARDS)
            .hold_down(Duration::from_millis(self.hold))
            .events(EventConfig::new(1 << 17).leases(self.leases_told))
            .pool(pool.clone())
    }
}

const LEASED: u64 = 1 << 63;
/// Given back without a rest.
const UNUSED: u64 = 1 << 62;

/// What one subscriber has, by what was seen from outside.
#[derive(Default)]
struct Account {
    leased: [u64; 3],
    /// Moments of release, by protocol.
    released: [Vec<u64>; 3],
    addresses: BTreeMap<IpAddr, u64>,
}

struct Oracle<'a> {
    scenario: &'a Scenario,
    engine: &'a Engine,
    /// The largest tick that anybody has brought, or is about to bring.
    clock: AtomicU64,
    /// By protocol, address and port: leased, or when released and one more.
    cells: Vec<AtomicU64>,
    /// By protocol, address and port block: whose and one more, and how many ports.
    units: Vec<AtomicU64>,
    accounts: Vec<Mutex<Account>>,
    granted: AtomicUsize,
    refused: AtomicUsize,
}

/// A lease that is out, as the oracle knows it.
struct Held<T> {
    what: T,
    protocol: Protocol,
    public: SocketAddr,
    subscriber: u64,
}

impl<'a> Oracle<'a> {
    fn new(scenario: &'a Scenario, engine: &'a Engine) -> Self {
        let tuples = 3 * scenario.addresses.len() * 65_536;
        let zeroed = |len| (0..len).map(|_| AtomicU64::new(0)).collect();
        Oracle {
            scenario,
            engine,
            clock: AtomicU64::new(0),
            cells: zeroed(tuples),
            units: zeroed(tuples / 64),
            accounts: (0..scenario.subscribers)
                .map(|_| Mutex::default())
                .collect(),
            granted: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    fn place(&self, protocol: Protocol, public: SocketAddr) -> usize {
        let address = self.scenario.addresses.iter();
        let address = address.copied().position(|ip| ip == public.ip());
        let address = address.unwrap_or_else(|| panic!("{public} is in no pool"));
        let space = protocol.as_index() * self.scenario.addresses.len() + address;
        space * 65_536 + usize::from(public.port())
    }

    /// After it was leased.
    fn leased(&self, lease: Lease, subscriber: u64) -> Held<Lease> {
        let held = Held {
            protocol: lease.protocol(),
            public: lease.addr(),
            subscriber,
            what: lease,
        };
        let (protocol, public) = (held.protocol, held.public);
        let place = self.place(protocol, public);
        // After the lease: no later tick was brought when it was judged. Engine time may lag behind,
        // for slices, by which ports are judged, are raised before it.
        let now = self.clock.load(SeqCst);
        let before = self.cells[place].swap(LEASED | subscriber, SeqCst);
        assert_eq!(before & LEASED, 0, "{public} is leased twice");
        if before & UNUSED == 0 && before != 0 {
            let rested = now.wrapping_sub(before - 1);
            assert!(
                rested >= self.scenario.hold,
                "{public} rested {rested} of {}",
                self.scenario.hold
            );
        }
        if let Some(size) = self.scenario.unit {
            let unit = &self.units[place / usize::from(size)];
            let taken = unit.fetch_update(SeqCst, SeqCst, |word| {
                let (owner, ports) = (word >> 32, word & 0xffff_ffff);
                assert!(
                    ports == 0 || owner == subscriber + 1,
                    "{public} is of {owner}'s block, not of {subscriber}'s"
                );
                Some((subscriber + 1) << 32 | (ports + 1))
            });
            assert!(taken.is_ok());
        }
        if self.keeps_accounts() {
            let mut account = self.accounts[subscriber as usize].lock().unwrap();
            account.leased[protocol.as_index()] += 1;
            *account.addresses.entry(public.ip()).or_default() += 1;
            self.check(&mut account, subscriber);
        }
        self.granted.fetch_add(1, SeqCst);
        held
    }

    fn keeps_accounts(&self) -> bool {
        self.scenario.limit.is_some() || self.scenario.strictly_paired
    }

    /// Everything counted here is held, or rests, at one and the same moment.
    fn check(&self, account: &mut Account, subscriber: u64) {
        if let Some(limit) = &self.scenario.limit {
            let now = self.clock.load(SeqCst);
            let mut held = [0; 3];
            for protocol in Protocol::ALL {
                let index = protocol.as_index();
                let released = &mut account.released[index];
                released.retain(|&at| at + self.scenario.hold > now);
                held[index] = account.leased[index] + released.len() as u64;
            }
            let bounds = bounds(limit);
            for index in 0..3 {
                assert!(
                    held[index] <= bounds[index],
                    "subscriber {subscriber} holds {held:?} of {bounds:?}"
                );
            }
            assert!(held.iter().sum::<u64>() <= bounds[3], "{held:?}");
        }
        if self.scenario.strictly_paired {
            assert!(
                account.addresses.len() <= 1,
                "subscriber {subscriber} at {:?}",
                account.addresses
            );
        }
    }

    /// Before it is released.
    fn released<T>(&self, held: &Held<T>, rests: bool) {
        let place = self.place(held.protocol, held.public);
        let now = self.engine.now().as_millis();
        let word = match rests {
            true => now + 1,
            false => UNUSED,
        };
        let before = self.cells[place].swap(word, SeqCst);
        assert_eq!(before, LEASED | held.subscriber);
        if let Some(size) = self.scenario.unit {
            self.units[place / usize::from(size)].fetch_sub(1, SeqCst);
        }
        if self.keeps_accounts() {
            let mut account = self.accounts[held.subscriber as usize].lock().unwrap();
            let index = held.protocol.as_index();
            account.leased[index] -= 1;
            if rests && self.scenario.limit.is_some() {
                account.released[index].push(now);
            }
            let ip = held.public.ip();
            let count = account.addresses.get_mut(&ip).unwrap();
            *count -= 1;
            if *count == 0 {
                account.addresses.remove(&ip);
            }
        }
    }
}

/// By protocol, and in all.
fn bounds(limit: &SubscriberLimit) -> [u64; 4] {
    // Said once more by whoever asks: the policy shows no fields.
    let text = format!("{limit:?}");
    let mut bounds = [u64::from(SubscriberLimit::MOST); 4];
    bounds[3] = u64::MAX;
    let each = text.split("each: [").nth(1).unwrap().split(']').next();
    for (bound, part) in bounds.iter_mut().zip(each.unwrap().split(", ")) {
        if let Some(some) = part.strip_prefix("Some(") {
            *bound = some.trim_end_matches(')').parse().unwrap();
        }
    }
    let total = text.split("total: ").nth(1).unwrap();
    if let Some(some) = total.strip_prefix("Some(") {
        bounds[3] = some.split(')').next().unwrap().parse().unwrap();
    }
    bounds
}

/// A barrier that breaks when one of those who would come has panicked.
struct Barrier {
    parties: usize,
    /// How many wait, how often they were let go, and whether it is broken.
    state: Mutex<(usize, u64, bool)>,
    moved: Condvar,
}

impl Barrier {
    fn new(parties: usize) -> Self {
        Barrier {
            parties,
            state: Mutex::default(),
            moved: Condvar::new(),
        }
    }

    fn wait(&self) {
        let mut state = self.state.lock().unwrap();
        state.0 += 1;
        let round = state.1;
        if state.0 == self.parties {
            *state = (0, round + 1, state.2);
            self.moved.notify_all();
        }
        while state.1 == round && !state.2 {
            state = self.moved.wait(state).unwrap();
        }
        let broken = state.2;
        drop(state);
        assert!(!broken, "another thread has panicked");
    }
}

/// Breaks the barrier when its thread panics.
struct Party<'a>(&'a Barrier);

impl Drop for Party<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.state.lock().unwrap().2 = true;
            self.0.moved.notify_all();
        }
    }
}

/// What the threads hand each other.
#[derive(Default)]
struct Exchange {
    leases: Mutex<Vec<Held<Lease>>>,
    tokens: Mutex<Vec<Held<RawLease>>>,
}

struct Random(Xoshiro256PlusPlus);

impl Random {
    fn below(&mut self, below: u64) -> u64 {
        self.0.next_u64() % below
    }

    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// One thread with its shard.
struct Actor<'a> {
    oracle: &'a Oracle<'a>,
    exchange: &'a Exchange,
    random: Random,
    held: Vec<Held<Lease>>,
}

impl Actor<'_> {
    fn request(&mut self) -> (Request, u64) {
        let random = &mut self.random;
        let subscriber = random.below(self.oracle.scenario.subscribers);
        let protocol = Protocol::ALL[random.below(4).min(2) as usize % 3];
        let pool = self.oracle.engine.pool("pool").unwrap();
        let mut request = Request::new(pool, protocol).subscriber(subscriber);
        if random.one_in(8) {
            request = request.near_port(1024 + random.below(1024) as u16);
        }
        let families = self.oracle.scenario.addresses.iter().any(IpAddr::is_ipv6);
        if families && random.one_in(4) {
            request = request.family([Family::V4, Family::V6][random.below(2) as usize]);
        }
        (request, subscriber)
    }

    fn step(&mut self, burst: &mut Burst<'_>) {
        match self.random.below(16) {
            0..7 => {
                let (request, subscriber) = self.request();
                match burst.allocate(&request) {
                    Ok(lease) => self.held.push(self.oracle.leased(lease, subscriber)),
                    Err(error) => {
                        self.oracle.refused.fetch_add(1, SeqCst);
                        self.expected(error);
                    }
                }
            }
            7..11 => {
                if let Some(held) = self.any() {
                    self.oracle.released(&held, true);
                    burst.release(held.what);
                }
            }
            11 => {
                if let Some(held) = self.any() {
                    self.oracle.released(&held, false);
                    burst.release_with(held.what, Reason::Unused);
                }
            }
            12 => {
                if let Some(held) = self.any() {
                    self.oracle.released(&held, true);
                    drop(held.what);
                }
            }
            13 => {
                if let Some(held) = self.any() {
                    self.exchange.leases.lock().unwrap().push(held);
                }
                if self.random.one_in(2) {
                    let other = self.exchange.leases.lock().unwrap().pop();
                    self.held.extend(other);
                }
            }
            14 => {
                if let Some(Held {
                    what,
                    protocol,
                    public,
                    subscriber,
                }) = self.any()
                {
                    let token = Held {
                        what: what.into_raw(),
                        protocol,
                        public,
                        subscriber,
                    };
                    self.exchange.tokens.lock().unwrap().push(token);
                }
            }
            _ => {
                let token = self.exchange.tokens.lock().unwrap().pop();
                if let Some(token) = token {
                    self.oracle.released(&token, true);
                    burst.release_raw(token.what).unwrap();
                    assert!(burst.release_raw(token.what).is_err());
                }
            }
        }
    }

    fn expected(&self, error: AllocError) {
        let turns = self.oracle.scenario.pools.len() > 1;
        assert!(
            error.is_exhaustion()
                || matches!(
                    error,
                    AllocError::SubscriberQuota | AllocError::NoSuchFamily
                )
                || turns,
            "{error:?}"
        );
    }

    fn any(&mut self) -> Option<Held<Lease>> {
        let len = self.held.len() as u64;
        (len > 0).then(|| self.held.swap_remove(self.random.below(len) as usize))
    }
}

/// Milliseconds from one burst to the next.
fn pass(random: &mut Random, hold: u64) -> u64 {
    match random.below(64) {
        0 => hold * random.below(3),
        1 => hold * 16 * random.below(200),
        2..8 => hold / 16,
        8..20 => random.below(1 + hold / 40),
        _ => 0,
    }
}

/// What everybody says who holds what, when nobody moves.
fn agree(
    scenario: &Scenario,
    engine: &Engine,
    books: &EventBooks,
    out: &[(Protocol, SocketAddr, u64)],
) {
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    for pool in census.pools.values() {
        assert!(pool.balances(), "{pool}");
    }
    assert_eq!(
        census.total.leased + census.draining.leased,
        out.len() as u64
    );
    assert_eq!(books.contradictions(), []);
    assert_eq!(books.events_lost(), 0);

    let subscribers = engine.subscribers();
    let mut leased: HashMap<u64, [u32; 3]> = HashMap::new();
    for &(protocol, _, subscriber) in out {
        leased.entry(subscriber).or_default()[protocol.as_index()] += 1;
    }
    for subscriber in 0..scenario.subscribers {
        let one = subscribers.iter().find(|one| one.subscriber == subscriber);
        let said = one.map_or([0; 3], |one| one.ports.map(|ports| ports.leased));
        let real = leased.get(&subscriber).copied().unwrap_or_default();
        assert_eq!(said, real, "subscriber {subscriber}");
    }
    let told = books.pools().flat_map(|(_, pool)| pool.port_blocks());
    let told: BTreeSet<_> = told
        .map(|(ports, subscriber)| (subscriber, ports))
        .collect();
    let said = subscribers
        .iter()
        .flat_map(|one| one.blocks.iter().map(|&ports| (one.subscriber, ports)));
    assert_eq!(said.collect::<BTreeSet<_>>(), told, "port blocks");
    let told = books.pools().flat_map(|(_, pool)| pool.bound());
    let said = subscribers.iter();
    let said = said.filter_map(|one| Some((one.subscriber, one.address?)));
    assert_eq!(
        said.collect::<BTreeSet<_>>(),
        told.collect::<BTreeSet<_>>(),
        "pairings"
    );
    if scenario.leases_told {
        let told = books.pools().flat_map(|(_, pool)| pool.leases());
        let told: BTreeSet<_> = told
            .map(|(protocol, public, _)| (protocol, public))
            .collect();
        let real = out.iter().map(|&(protocol, public, _)| (protocol, public));
        assert_eq!(told, real.collect::<BTreeSet<_>>(), "leases");
    }
}

fn run(scenario: &Scenario, seed: u64) {
    let engine = Engine::new(scenario.config(&scenario.pools[0])).unwrap();
    let oracle = Oracle::new(scenario, &engine);
    let (exchange, barrier) = (Exchange::default(), Barrier::new(SHARDS + 1));
    // What each thread holds, for the one who compares.
    let out: Vec<Mutex<Vec<(Protocol, SocketAddr, u64)>>> =
        (0..SHARDS).map(|_| Mutex::default()).collect();
    let mut reader: EventReader = engine.events().unwrap();
    let mut books = EventBooks::default();
    std::thread::scope(|scope| {
        for index in 0..SHARDS {
            let (engine, oracle, exchange, barrier, out) =
                (&engine, &oracle, &exchange, &barrier, &out[index]);
            scope.spawn(move || {
                let _party = Party(barrier);
                let seed = seed.wrapping_mul(31).wrapping_add(index as u64);
                let mut actor = Actor {
                    oracle,
                    exchange,
                    random: Random(Xoshiro256PlusPlus::seed_from_u64(seed)),
                    held: Vec::new(),
                };
                let mut shard = engine.shard(index).unwrap();
                for _ in 0..scenario.rounds {
                    barrier.wait();
                    for _ in 0..60 {
                        let passed = pass(&mut actor.random, scenario.hold.max(16));
                        let now = oracle.clock.fetch_add(passed, SeqCst) + passed;
                        let mut burst = shard.burst(Tick::from_millis(now));
                        for _ in 0..actor.random.below(40) {
                            actor.step(&mut burst);
                        }
                        drop(burst);
                        if actor.random.one_in(8) {
                            shard.idle(Tick::from_millis(now));
                        }
                        if actor.random.one_in(40) {
                            drop(shard);
                            // A lease can be dropped where no shard is.
                            if let Some(held) = actor.any() {
                                oracle.released(&held, true);
                                drop(held.what);
                            }
                            shard = engine.shard(index).unwrap();
                        }
                    }
                    let held = actor.held.iter();
                    *out.lock().unwrap() = held
                        .map(|held| (held.protocol, held.public, held.subscriber))
                        .collect();
                    barrier.wait();
                    barrier.wait();
                }
                // All shards at once give everything back.
                let now = oracle.clock.load(SeqCst);
                let mut burst = shard.burst(Tick::from_millis(now));
                for held in actor.held.drain(..) {
                    oracle.released(&held, true);
                    burst.release(held.what);
                }
            });
        }
        let _party = Party(&barrier);
        let mut random = Random(Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xabcd));
        for _ in 0..scenario.rounds {
            barrier.wait();
            // Under load, and between.
            for _ in 0..random.below(4) {
                if scenario.pools.len() > 1 {
                    let turn = random.below(scenario.pools.len() as u64) as usize;
                    let pool = &scenario.pools[turn];
                    engine.reconfigure(scenario.config(pool)).unwrap();
                    std::thread::sleep(Duration::from_micros(random.below(3_000)));
                }
            }
            barrier.wait();
            let mut all: Vec<_> = out
                .iter()
                .flat_map(|out| out.lock().unwrap().clone())
                .collect();
            let leases = exchange.leases.lock().unwrap();
            all.extend(
                leases
                    .iter()
                    .map(|held| (held.protocol, held.public, held.subscriber)),
            );
            let tokens = exchange.tokens.lock().unwrap();
            all.extend(
                tokens
                    .iter()
                    .map(|held| (held.protocol, held.public, held.subscriber)),
            );
            drop((leases, tokens));
            reader.drain(&mut books);
            agree(scenario, &engine, &books, &all);
            barrier.wait();
        }
    });
    let mut shard = engine.shard(0).unwrap();
    let mut now = oracle.clock.load(SeqCst);
    let mut burst = shard.burst(Tick::from_millis(now));
    for token in exchange.tokens.lock().unwrap().drain(..) {
        oracle.released(&token, true);
        burst.release_raw(token.what).unwrap();
    }
    for held in exchange.leases.lock().unwrap().drain(..) {
        oracle.released(&held, true);
        drop(held.what);
    }
    drop(burst);
    let mut others: Vec<_> = (1..SHARDS)
        .map(|index| engine.shard(index).unwrap())
        .collect();
    for step in 0..6 {
        now += if step == 3 {
            1 << 40
        } else {
            2 * scenario.hold + 1
        };
        shard.idle(Tick::from_millis(now));
        others
            .iter_mut()
            .for_each(|other| other.idle(Tick::from_millis(now)));
    }
    reader.drain(&mut books);
    agree(scenario, &engine, &books, &[]);
    assert_eq!(engine.subscribers(), []);
    let census = engine.census();
    let free = census.total.free + census.total.excluded;
    assert_eq!(free, census.total.capacity, "{census:?}");
    assert_eq!(
        census.blocks.assigned + census.blocks.heating,
        0,
        "{census:?}"
    );
    let (granted, refused) = (oracle.granted.load(SeqCst), oracle.refused.load(SeqCst));
    assert!(granted > scenario.rounds * 50, "{granted} leases in all");
    assert!(refused > 0, "the pool was never tight");
}

fn pool(prefix: &str) -> PoolConfig {
    PoolConfig::new("pool")
        .prefix(prefix.parse().unwrap())
        .ports(1024..=2047)
        .identifiers(0..=1023)
}

const ONE: [&str; 1] = ["192.0.2.0"];
const TWO: [&str; 2] = ["192.0.2.0", "192.0.2.1"];
const FOUR: [&str; 4] = ["192.0.2.0", "192.0.2.1", "2001:db8::", "2001:db8::1"];

fn limit() -> SubscriberLimit {
    SubscriberLimit::new()
        .ports(Protocol::Tcp, 40)
        .ports(Protocol::Icmp, 9)
        .total(70)
}

#[test]
fn limits_hold() {
    let mut scenario = Scenario::new(pool("192.0.2.0/32").subscriber_limit(limit()), &ONE);
    scenario.limit = Some(limit());
    run(&scenario, 1);
}

#[test]
fn limits_hold_without_a_hold_down() {
    let mut scenario = Scenario::new(pool("192.0.2.0/32").subscriber_limit(limit()), &ONE);
    scenario.limit = Some(limit());
    scenario.hold = 0;
    run(&scenario, 2);
}

#[test]
fn port_blocks_of_every_size() {
    for (seed, size) in [64, 128, 256].into_iter().enumerate() {
        let blocks = PortBlocks::new(size)
            .per_subscriber(4)
            .of_protocol(Protocol::Icmp, 1);
        let pool = pool("192.0.2.0/32")
            .port_blocks(blocks)
            .exclude_ports(1100..=1290);
        let mut scenario = Scenario::new(pool, &ONE);
        scenario.unit = Some(size);
        scenario.rounds = rounds(20);
        run(&scenario, 10 + seed as u64);
    }
}

#[test]
fn a_few_port_blocks_for_many() {
    let blocks = PortBlocks::new(64).per_subscriber(2);
    let pool = pool("192.0.2.0/32").ports(1024..=1279).port_blocks(blocks);
    let mut scenario = Scenario::new(pool.identifiers(0..=255), &ONE);
    scenario.subscribers = 12;
    scenario.unit = Some(64);
    run(&scenario, 20);
    scenario.hold = 0;
    run(&scenario, 21);
}

#[test]
fn strictly_paired_with_port_blocks_and_limits() {
    let blocks = PortBlocks::new(64).per_subscriber(6);
    let pool = pool("192.0.2.0/31")
        .port_blocks(blocks)
        .pairing(Strictness::Strict);
    let mut scenario = Scenario::new(pool.subscriber_limit(limit()), &TWO);
    scenario.unit = Some(64);
    scenario.limit = Some(limit());
    scenario.strictly_paired = true;
    run(&scenario, 30);
}

#[test]
fn strictly_paired_with_leases_told() {
    let pool = pool("192.0.2.0/31").ports(1024..=1279).identifiers(0..=255);
    let mut scenario = Scenario::new(pool.pairing(Strictness::Strict), &TWO);
    scenario.strictly_paired = true;
    scenario.leases_told = true;
    run(&scenario, 40);
}

#[test]
fn paired_by_preference_in_two_families() {
    let pool = pool("192.0.2.0/31").prefix("2001:db8::/127".parse().unwrap());
    let pool = pool.ports(1024..=1279).identifiers(0..=255);
    let blocks = PortBlocks::new(128).per_subscriber(3);
    for (seed, pool) in [pool.clone(), pool.port_blocks(blocks)]
        .into_iter()
        .enumerate()
    {
        let mut scenario = Scenario::new(pool.pairing(Strictness::Preferred), &FOUR);
        scenario.unit = (seed == 1).then_some(128);
        scenario.leases_told = seed == 0;
        scenario.subscribers = 9;
        scenario.rounds = rounds(25);
        run(&scenario, 50 + seed as u64);
    }
}

#[test]
fn deterministic_with_overflow() {
    let blocks = PortBlocks::new(64).per_subscriber(3);
    let pool = pool("192.0.2.0/31")
        .deterministic(Deterministic::new(10, 50))
        .port_blocks(blocks);
    let mut scenario = Scenario::new(pool, &TWO);
    scenario.subscribers = 10;
    run(&scenario, 60);
}

/// Everything that can change does, under load: policies, sizes, exclusions, addresses.
#[test]
fn pools_that_turn() {
    let base = || pool("192.0.2.0/31").ports(1024..=1535).identifiers(0..=511);
    let blocks = |size, most| PortBlocks::new(size).per_subscriber(most);
    let half = PoolConfig::new("pool")
        .prefix("192.0.2.0/32".parse().unwrap())
        .ports(1024..=1535)
        .identifiers(0..=511);
    let both = base().prefix("2001:db8::/127".parse().unwrap());
    let mut scenario = Scenario::new(base().subscriber_limit(limit()), &FOUR);
    scenario.pools = vec![
        base().port_blocks(blocks(64, 4)),
        base()
            .port_blocks(blocks(256, 2))
            .pairing(Strictness::Strict),
        base()
            .port_blocks(blocks(128, 16))
            .exclude_ports(1100..=1290),
        half.clone().port_blocks(blocks(64, 4)),
        half.pairing(Strictness::Preferred),
        both.clone()
            .port_blocks(blocks(64, 8))
            .pairing(Strictness::Preferred),
        both.pairing(Strictness::Strict),
        base().deterministic(Deterministic::new(6, 60)),
        base()
            .deterministic(Deterministic::new(5, 33))
            .port_blocks(blocks(64, 3)),
        base().subscriber_limit(limit()),
    ];
    scenario.subscribers = 6;
    scenario.rounds = rounds(60);
    run(&scenario, 70);
    scenario.leases_told = true;
    run(&scenario, 71);
}

/// Port blocks of pools that turn among themselves: what one of them assigned another takes on.
#[test]
fn port_blocks_that_turn() {
    let base = || pool("192.0.2.0/31").ports(1024..=1535).identifiers(0..=511);
    let blocks = |size, most| PortBlocks::new(size).per_subscriber(most);
    let mut scenario = Scenario::new(base(), &TWO);
    scenario.pools = vec![
        base().port_blocks(blocks(64, 6)),
        base().port_blocks(blocks(128, 4)),
        base().port_blocks(blocks(256, 3)),
        base().port_blocks(blocks(64, 6)).exclude_ports(1200..=1300),
        base()
            .deterministic(Deterministic::new(5, 33))
            .port_blocks(blocks(64, 3)),
    ];
    scenario.rounds = rounds(60);
    run(&scenario, 80);
}
