//! Courses: long histories, the same in every run, of which the steps are known.
//!
//! Each course asks and gives back at random, lets time pass, and fills and empties its pools in
//! turn. What is counted is not what a single operation ought to take but what all of them do take:
//! a look more, a hint believed too little, a refusal not remembered, a block visited twice show
//! here and nowhere else, for no answer changes. Whoever changes the engine so that it takes another
//! number of steps writes the new one here, and says why. (With debug assertions, which look, too.)

use std::net::SocketAddr;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use crate::config::{EngineConfig, PoolConfig, PortOrder};
use crate::engine::Engine;
use crate::event::EventConfig;
use crate::fair::{Deterministic, PortBlocks, SubscriberLimit, TenantShare, Threshold};
use crate::lease::{Lease, RawLease, Reason};
use crate::protocol::Protocol;
use crate::request::{Family, Parity, Request, Strictness};
use crate::shard::Shard;
use crate::testing::{self, REST};
use crate::tick::Tick;

/// What is asked for.
enum Ask {
    One(Request),
    Batch(Request, usize),
    Set(Request, usize, usize),
    Tuple(Request, SocketAddr),
}

/// Random numbers below a bound.
struct Dice(ChaCha8Rng);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next_u32() as usize % bound
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn of<T: Copy>(&mut self, some: &[T]) -> T {
        some[self.below(some.len())]
    }
}

/// What a course came to.
#[derive(PartialEq, Eq, Default)]
struct Came {
    /// Leases had; requests refused.
    had: usize,
    refused: usize,
    /// Steps of all requests, of the costliest, of all releases, and of all the rest: bursts that
    /// begin and end, idle shards, reconfiguration.
    asking: u64,
    most: u64,
    releasing: u64,
    rest: u64,
}

impl std::fmt::Debug for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let &Came {
            had,
            refused,
            asking,
            most,
            releasing,
            rest,
        } = self;
        write!(
            f,
            "came({had}, {refused}, {asking}, {most}, {releasing}, {rest})"
        )
    }
}

fn came(had: usize, refused: usize, asking: u64, most: u64, releasing: u64, rest: u64) -> Came {
    Came {
        had,
        refused,
        asking,
        most,
        releasing,
        rest,
    }
}

/// A pool of two addresses with 512 ports each, in two blocks.
fn pool() -> PoolConfig {
    PoolConfig::new("p")
        .prefix("192.0.2.0/31".parse().unwrap())
        .ports(8192..=8703)
        .identifiers(8192..=8703)
}

fn config(shards: usize, pool: PoolConfig) -> EngineConfig {
    testing::config(shards).pool(pool)
}

/// Any port of the pool; mostly UDP.
fn any(engine: &Engine, dice: &mut Dice) -> Request {
    let protocol = match dice.one_in(8) {
        true => Protocol::Tcp,
        false => Protocol::Udp,
    };
    Request::new(engine.pool("p").unwrap(), protocol)
}

/// The course of a configuration, in so many operations; `ask` says what each request is for.
fn course(
    config: EngineConfig,
    operations: usize,
    mut ask: impl FnMut(&Engine, &mut Dice) -> Ask,
) -> Came {
    course_of(&[config], operations, &mut ask)
}

/// The same, in which each configuration is followed by the next one, the last by the first.
fn course_of(
    configs: &[EngineConfig],
    operations: usize,
    ask: &mut dyn FnMut(&Engine, &mut Dice) -> Ask,
) -> Came {
    let engine = Engine::new(configs[0].clone()).unwrap();
    let mut shards: Vec<Shard> = (0..engine.shards())
        .map(|index| engine.shard(index).unwrap())
        .collect();
    let mut dice = Dice(ChaCha8Rng::seed_from_u64(7));
    let mut leases: Vec<Lease> = Vec::new();
    let mut tokens: Vec<RawLease> = Vec::new();
    let (mut now, mut came) = (1_000_000, Came::default());
    for operation in 0..operations {
        // Fuller and emptier in turn.
        let grows = operation / 1600 % 2 == 0;
        let index = dice.below(shards.len());
        let shard = &mut shards[index];
        let (mut burst, steps) = super::of(|| shard.burst(Tick::from_millis(now)));
        came.rest += steps;
        if dice.below(100) < if grows { 85 } else { 25 } {
            let asked = ask(&engine, &mut dice);
            let before = leases.len();
            let (refused, steps) = super::of(|| match asked {
                Ask::One(request) => burst.allocate(&request).map(|lease| leases.push(lease)),
                Ask::Batch(request, count) => {
                    burst.allocate_batch(&request, count, &mut leases).map(drop)
                }
                Ask::Set(request, most, least) => {
                    let had = burst.allocate_set_up_to(&request, most, least, &mut leases);
                    had.map(drop)
                }
                Ask::Tuple(request, public) => {
                    let had = burst.reserve(request.pool(), request.protocol(), public);
                    had.map(|lease| leases.push(lease))
                }
            });
            came.had += leases.len() - before;
            came.refused += usize::from(refused.is_err());
            came.asking += steps;
            came.most = came.most.max(steps);
        } else {
            let most = if grows { 1 } else { 4 };
            for _ in 0..(1 + dice.below(most)).min(leases.len()) {
                let lease = leases.swap_remove(dice.below(leases.len()));
                let reason =
                    dice.of(&[Reason::Ended, Reason::Ended, Reason::Closed, Reason::Unused]);
                let way = dice.below(16);
                let ((), steps) = super::of(|| match way {
                    0 => drop(lease),
                    1 => tokens.push(lease.into_raw()),
                    _ => burst.release_with(lease, reason),
                });
                came.releasing += steps;
            }
            if dice.one_in(4) && !tokens.is_empty() {
                let token = tokens.swap_remove(dice.below(tokens.len()));
                let (done, steps) = super::of(|| burst.release_raw(token));
                assert_eq!(done, Ok(()));
                came.releasing += steps;
            }
        }
        let ((), steps) = super::of(|| drop(burst));
        came.rest += steps;
        now += match dice.below(100) {
            0 => 3 * REST,
            1..=4 => REST / 8,
            5..=20 => 1,
            _ => 0,
        };
        let ((), steps) = super::of(|| {
            if dice.one_in(100) {
                shards[index].idle(Tick::from_millis(now));
            }
            if configs.len() > 1 && dice.one_in(300) {
                let next = configs[operation / 300 % configs.len()].clone();
                engine.reconfigure(next).unwrap();
            }
        });
        came.rest += steps;
    }
    let census = engine.census();
    assert!(census.total.balances(), "{}", census.total);
    assert_eq!(census.contradictions, 0);
    came
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn single_ports_take_the_steps_they_took() {
    let plain = |engine: &Engine, dice: &mut Dice| Ask::One(any(engine, dice));
    let one = course(config(1, pool()), 8_000, plain);
    let linear = course(
        config(1, pool()).port_order(PortOrder::Linear),
        8_000,
        plain,
    );
    let hardened = course(
        config(1, pool()).port_order(PortOrder::Hardened),
        8_000,
        plain,
    );
    let three = course(config(3, pool()), 8_000, plain);
    let restless = course(config(2, pool()).hold_down(Duration::ZERO), 8_000, plain);
    let capped = course(config(2, pool()).max_cooling(300), 8_000, plain);
    let closed = course(
        config(2, pool().reuse_closed(true).preopen(2)),
        8_000,
        plain,
    );
    assert_eq!(
        [one, linear, hardened, three, restless, capped, closed],
        [
            came(4927, 0, 16_359, 1046, 18_049, 177_810),
            came(4927, 0, 15_948, 1046, 18_049, 177_294),
            came(4927, 0, 80_639, 2156, 15_252, 208_659),
            came(4829, 106, 69_843, 1052, 16_286, 309_215),
            came(4920, 8, 30_577, 1046, 29_161, 1_170_929),
            came(4917, 11, 19_885, 1060, 16_876, 228_726),
            came(4927, 0, 15_790, 473, 19_972, 239_577),
        ]
    );
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn wishes_take_the_steps_they_took() {
    let wishes = |engine: &Engine, dice: &mut Dice| {
        let mut request = any(engine, dice);
        if dice.one_in(2) {
            let address = dice.of(&["192.0.2.0", "192.0.2.1"]).parse().unwrap();
            request = request.address(
                address,
                dice.of(&[Strictness::Strict, Strictness::Preferred]),
            );
        }
        if dice.one_in(4) {
            request = request.near_port(8192 + dice.below(512) as u16);
        }
        if dice.one_in(4) {
            request = request.parity(dice.of(&[Parity::Even, Parity::Odd]));
        }
        if dice.one_in(8) {
            request = request.family(Family::V4);
        }
        match dice.one_in(8) {
            true => Ask::Batch(request, 1 + dice.below(40)),
            false => Ask::One(request),
        }
    };
    let tuples = |engine: &Engine, dice: &mut Dice| {
        let request = any(engine, dice);
        match dice.one_in(2) {
            true => Ask::One(request),
            false => {
                let port = 8192 + dice.below(512) as u16;
                Ask::Tuple(request, SocketAddr::new("192.0.2.1".parse().unwrap(), port))
            }
        }
    };
    let one = course(config(1, pool()), 4_000, wishes);
    let two = course(config(2, pool()), 4_000, wishes);
    let reserved = course(config(2, pool()), 4_000, tuples);
    assert_eq!(
        [one, two, reserved],
        [
            came(4672, 1080, 202_266, 3229, 17_346, 122_684),
            came(4569, 1059, 324_465, 3366, 17_126, 169_852),
            came(1946, 487, 70_109, 1078, 6595, 140_631),
        ]
    );
}

/// Sets of several lengths, for one of so many subscribers each.
fn sets(subscribers: usize) -> impl FnMut(&Engine, &mut Dice) -> Ask {
    move |engine, dice| {
        let mut request = any(engine, dice).subscriber(dice.below(subscribers) as u64);
        if dice.one_in(4) {
            request = request.parity(dice.of(&[Parity::Even, Parity::Odd]));
        }
        if dice.one_in(4) {
            let address = dice.of(&["192.0.2.0", "192.0.2.1"]).parse().unwrap();
            request = request.address(
                address,
                dice.of(&[Strictness::Strict, Strictness::Preferred]),
            );
        }
        if dice.one_in(8) {
            request = request.near_port(8192 + dice.below(512) as u16);
        }
        let most = dice.of(&[1, 2, 2, 4, 16, 64, 200]);
        match dice.one_in(4) {
            true => Ask::Set(request, most, 1 + dice.below(most)),
            false => Ask::Set(request, most, most),
        }
    }
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn sets_take_the_steps_they_took() {
    let one = course(config(1, pool()), 3_000, sets(1));
    let two = course(config(2, pool()), 3_000, sets(1));
    let capped = course(config(1, pool()).max_cooling(300), 3_000, sets(1));
    let blocks = pool().port_blocks(PortBlocks::new(128).per_subscriber(3));
    let blocks = course(config(2, blocks), 3_000, sets(24));
    let ranges = pool().deterministic(Deterministic::new(4, 250));
    let ranges = course(config(2, ranges), 3_000, sets(4));
    assert_eq!(
        [one, two, capped, blocks, ranges],
        [
            came(2907, 1199, 360_558, 1148, 16_194, 87_592),
            came(2947, 1203, 375_456, 1149, 15_943, 106_408),
            came(2983, 1195, 371_307, 2951, 16_050, 84_453),
            came(2708, 1384, 447_663, 1953, 62_276, 365_136),
            came(2915, 1094, 98_219, 1155, 62_666, 123_191),
        ]
    );
}

/// Single ports, for one of so many subscribers each.
fn singles(subscribers: usize) -> impl FnMut(&Engine, &mut Dice) -> Ask {
    move |engine, dice| {
        let mut request = any(engine, dice).subscriber(dice.below(subscribers) as u64);
        if dice.one_in(8) {
            let address = dice.of(&["192.0.2.0", "192.0.2.1"]).parse().unwrap();
            request = request.address(
                address,
                dice.of(&[Strictness::Strict, Strictness::Preferred]),
            );
        }
        match dice.one_in(64) {
            true => {
                let port = 8192 + dice.below(512) as u16;
                Ask::Tuple(request, SocketAddr::new("192.0.2.1".parse().unwrap(), port))
            }
            false => Ask::One(request),
        }
    }
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn subscribers_take_the_steps_they_took() {
    let limits = SubscriberLimit::new().ports(Protocol::Tcp, 20).total(100);
    let limited = course(
        config(2, pool().subscriber_limit(limits)),
        8_000,
        singles(40),
    );
    let paired = pool().pairing(Strictness::Strict).subscriber_limit(limits);
    let paired = course(config(2, paired), 8_000, singles(60));
    let loosely = course(
        config(2, pool().pairing(Strictness::Preferred)),
        8_000,
        singles(60),
    );
    let many = course(
        config(2, pool().subscriber_limit(limits)),
        8_000,
        singles(3_000),
    );
    let few = config(2, pool().subscriber_limit(limits)).max_subscribers(500);
    let few = course(few, 8_000, singles(3_000));
    let blocks = pool().port_blocks(PortBlocks::new(64).per_subscriber(3));
    let blocks = course(config(2, blocks), 8_000, singles(24));
    let shared = pool().port_blocks(PortBlocks::new(128).of_protocol(Protocol::Tcp, 1));
    let shared = shared.pairing(Strictness::Strict);
    let shared = course(config(3, shared), 8_000, singles(24));
    let ranges = pool().deterministic(Deterministic::new(4, 250));
    let ranges = course(config(2, ranges), 8_000, singles(4));
    let overflow = pool().deterministic(Deterministic::new(4, 200));
    let overflow = overflow.port_blocks(PortBlocks::new(64));
    let overflow = course(config(2, overflow), 8_000, singles(7));
    assert_eq!(
        [
            limited, paired, loosely, many, few, blocks, shared, ranges, overflow
        ],
        [
            came(4799, 98, 320_866, 1165, 89_122, 523_848),
            came(4766, 141, 290_606, 987, 94_006, 612_551),
            came(4838, 63, 309_480, 987, 94_290, 625_792),
            came(4799, 98, 531_531, 1177, 123_578, 2_548_626),
            came(1318, 3602, 214_204, 1156, 41_623, 927_883),
            came(3311, 1600, 693_696, 1759, 76_944, 611_134),
            came(1816, 3057, 2_265_105, 2762, 46_739, 1_522_635),
            came(4616, 255, 255_703, 1039, 82_561, 336_614),
            came(2753, 2150, 260_806, 1057, 52_994, 402_494),
        ]
    );
}

/// Single ports of one of three tenants or for nobody, and for control traffic.
fn tenants(engine: &Engine, dice: &mut Dice) -> Ask {
    let request = any(engine, dice);
    Ask::One(match dice.below(8) {
        0 => request.control(),
        1 | 2 => request,
        tenant => request.tenant(tenant as u32 % 3),
    })
}

/// A pool with tenants, headroom and a threshold.
fn divided() -> PoolConfig {
    pool()
        .tenant(TenantShare::new(0).minimum(1))
        .tenant(TenantShare::new(1).minimum(1).maximum(2))
        .headroom(1)
        .threshold(Threshold::new(80, 60))
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn tenants_take_the_steps_they_took() {
    let silent = course(config(2, divided()), 8_000, tenants);
    let told = config(2, divided()).events(EventConfig::new(1 << 16));
    let told = course(told, 8_000, tenants);
    let leases = config(2, divided()).events(EventConfig::new(1 << 16).leases(true));
    let leases = course(leases, 8_000, tenants);
    let lost = config(2, pool()).events(EventConfig::new(16).leases(true));
    let lost = course(lost, 2_000, |engine, dice| Ask::One(any(engine, dice)));
    assert_eq!(
        [silent, told, leases, lost],
        [
            came(2970, 1919, 1_020_191, 1841, 14_112, 631_173),
            came(2970, 1919, 1_022_584, 1842, 14_112, 631_186),
            came(2970, 1919, 1_026_741, 1842, 18_721, 631_186),
            came(1489, 3, 11_730, 1061, 6635, 51_327),
        ]
    );
}

#[test]
#[cfg_attr(
    not(debug_assertions),
    ignore = "counts the looks of debug assertions, too"
)]
fn reconfigured_pools_take_the_steps_they_took() {
    let smaller = pool().exclude_addresses("192.0.2.0/32".parse().unwrap());
    let other = pool()
        .exclude_ports(8192..=8300)
        .prefix("2001:db8::/127".parse().unwrap());
    let configs = [pool(), smaller, pool(), other].map(|pool| config(2, pool));
    let plain = course_of(&configs, 8_000, &mut |engine, dice| {
        Ask::One(any(engine, dice))
    });
    let configs = [divided(), pool().tenant(TenantShare::new(1).minimum(2))];
    let divided = course_of(&configs.map(|pool| config(2, pool)), 8_000, &mut tenants);
    let blocks = |size| pool().port_blocks(PortBlocks::new(size));
    let configs = [
        blocks(64),
        blocks(256),
        blocks(128).exclude_ports(8500..=8550),
    ];
    let blocks = course_of(
        &configs.map(|pool| config(2, pool)),
        8_000,
        &mut singles(20),
    );
    assert_eq!(
        [plain, divided, blocks],
        [
            came(4695, 204, 69_404, 1731, 17_875, 772_483),
            came(3362, 1493, 753_794, 1601, 15_299, 1_052_342),
            came(3601, 1312, 790_513, 4568, 83_856, 1_267_526),
        ]
    );
}
