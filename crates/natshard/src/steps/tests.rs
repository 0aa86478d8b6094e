//! Courses: long histories, the same in every run, of which the steps are known.
//!
//! Each course asks and gives back at random, lets time pass, and fills and empties its pools in
//! turn. What is counted is not what a single operation ought to take but what all of them do take:
//! a look more, a hint believed too little, a refusal not remembered, a block visited twice show
//! here and nowhere else, for no answer changes. Whoever changes the engine so that it takes another
//! number of steps writes the new one here, and says why.

use std::net::{IpAddr, SocketAddr};
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
    /// Leases had; requests refused; of all answers, which ports and which reasons, a checksum.
    had: usize,
    refused: usize,
    answers: u32,
    /// Steps of all requests, of the costliest, of all releases, and of all the rest: bursts that
    /// begin and end, idle shards, reconfiguration.
    asking: u64,
    most: u64,
    releasing: u64,
    rest: u64,
}

impl Came {
    /// Adds a word of an answer (FNV-1a).
    fn answer(&mut self, word: u32) {
        self.answers = (self.answers ^ word).wrapping_mul(0x0100_0193);
    }
}

impl std::fmt::Debug for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let &Came {
            had,
            refused,
            answers,
            asking,
            most,
            releasing,
            rest,
        } = self;
        write!(
            f,
            "came([{had}, {refused}, {asking}, {most}, {releasing}, {rest}], {answers:#x})"
        )
    }
}

fn came([had, refused, asking, most, releasing, rest]: [u64; 6], answers: u32) -> Came {
    let (had, refused) = (had as usize, refused as usize);
    Came {
        had,
        refused,
        answers,
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

/// An address of the pool.
fn one_of_two(dice: &mut Dice) -> IpAddr {
    dice.of(&["192.0.2.0", "192.0.2.1"]).parse().unwrap()
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
            let (done, steps) = super::of(|| match asked {
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
            for lease in &leases[before..] {
                came.answer(match lease.addr() {
                    SocketAddr::V4(at) => u32::from(*at.ip()) << 16 | u32::from(at.port()),
                    SocketAddr::V6(at) => !u32::from(at.port()),
                });
            }
            if let Err(reason) = done {
                came.refused += 1;
                came.answer(reason as u32);
            }
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
            came([4927, 0, 16_365, 1048, 18_049, 177_810], 0x4c98_183b),
            came([4927, 0, 15_954, 1048, 18_049, 177_294], 0x37a3_563b),
            came([4927, 0, 80_647, 2160, 15_252, 208_659], 0x969f_c7cd),
            came([4829, 106, 72_854, 888, 16_286, 309_269], 0x73ac_8082),
            came([4923, 4, 25_367, 1042, 28_961, 1_172_486], 0xce2d_4a82),
            came([4910, 19, 24_742, 855, 16_931, 224_749], 0xec06_ef69),
            came([4901, 26, 26_846, 617, 20_695, 241_081], 0xfe9c_ee56),
        ]
    );
}

/// Some of the wishes that any request may have.
fn wish(mut request: Request, dice: &mut Dice) -> Request {
    if dice.one_in(4) {
        let strictness = dice.of(&[Strictness::Strict, Strictness::Preferred]);
        request = request.address(one_of_two(dice), strictness);
    }
    if dice.one_in(8) {
        request = request.near_port(8192 + dice.below(512) as u16);
    }
    if dice.one_in(4) {
        request = request.parity(dice.of(&[Parity::Even, Parity::Odd]));
    }
    if dice.one_in(8) {
        request = request.family(dice.of(&[Family::V4, Family::V4, Family::V6]));
    }
    request
}

/// Single ports and batches with wishes.
fn wishes(engine: &Engine, dice: &mut Dice) -> Ask {
    let request = wish(any(engine, dice), dice);
    match dice.one_in(8) {
        true => Ask::Batch(request, 1 + dice.below(40)),
        false => Ask::One(request),
    }
}

/// Half of them tuples.
fn tuples(engine: &Engine, dice: &mut Dice) -> Ask {
    let request = any(engine, dice);
    match dice.one_in(2) {
        true => Ask::One(request),
        false => tuple(request, dice),
    }
}

fn tuple(request: Request, dice: &mut Dice) -> Ask {
    let port = 8192 + dice.below(512) as u16;
    Ask::Tuple(request, SocketAddr::new(one_of_two(dice), port))
}

#[test]
fn wishes_take_the_steps_they_took() {
    let both = || pool().prefix("2001:db8::/127".parse().unwrap());
    let one = course(config(1, pool()), 4_000, wishes);
    let two = course(config(2, pool()), 4_000, wishes);
    let both_families = course(config(2, both()), 6_000, wishes);
    let hardened = config(2, both()).port_order(PortOrder::Hardened);
    let hardened = course(hardened, 6_000, wishes);
    let told = config(2, pool()).events(EventConfig::new(1 << 16).leases(true));
    let told = course(told, 4_000, wishes);
    let reserved = course(config(2, pool()), 4_000, tuples);
    assert_eq!(
        [one, two, both_families, hardened, told, reserved],
        [
            came([4337, 1079, 173_399, 2854, 16_049, 118_351], 0x9bd6_c9eb),
            came([4276, 1080, 301_963, 2746, 15_777, 164_004], 0x92b1_0a70),
            came([6960, 1195, 546_524, 4583, 29_903, 382_445], 0x145d_94a7),
            came([6809, 1236, 1_251_883, 4079, 27_751, 546_284], 0x3ce2_756c),
            came([4276, 1080, 316_797, 2785, 21_709, 164_004], 0x92b1_0a70),
            came([1960, 493, 76_941, 934, 6942, 162_074], 0x89ec_d70b),
        ]
    );
}

/// On behalf of one of so many subscribers; of nobody now and then.
fn of_some(request: Request, dice: &mut Dice, subscribers: usize) -> Request {
    match dice.one_in(32) {
        true => request,
        false => request.subscriber(dice.below(subscribers) as u64),
    }
}

/// A set of some length.
fn set(request: Request, dice: &mut Dice) -> Ask {
    let most = dice.of(&[1, 2, 2, 4, 16, 64, 200]);
    match dice.one_in(4) {
        true => Ask::Set(request, most, 1 + dice.below(most)),
        false => Ask::Set(request, most, most),
    }
}

/// Sets with wishes, for one of so many subscribers each.
fn sets(subscribers: usize) -> impl FnMut(&Engine, &mut Dice) -> Ask {
    move |engine, dice| {
        let request = of_some(any(engine, dice), dice, subscribers);
        set(wish(request, dice), dice)
    }
}

#[test]
fn sets_take_the_steps_they_took() {
    let one = course(config(1, pool()), 3_000, sets(1));
    let linear = config(2, pool()).port_order(PortOrder::Linear);
    let linear = course(linear, 3_000, sets(1));
    let capped = course(config(1, pool()).max_cooling(300), 3_000, sets(1));
    let divided = course(config(2, divided()), 3_000, |engine, dice| {
        set(wish(of_tenant(any(engine, dice), dice), dice), dice)
    });
    assert_eq!(
        [one, linear, capped, divided],
        [
            came([2889, 1185, 405_917, 964, 15_133, 87_165], 0x0b3e_1e3f),
            came([2987, 1248, 421_254, 926, 15_390, 106_313], 0x8e5a_df50),
            came([2911, 1184, 419_341, 3146, 15_063, 84_129], 0x7afa_5cdb),
            came([3008, 1164, 538_552, 1116, 38_837, 240_385], 0x790d_1411),
        ]
    );
}

#[test]
fn sets_of_subscribers_take_the_steps_they_took() {
    let limits = SubscriberLimit::new().ports(Protocol::Tcp, 40).total(150);
    let limited = pool()
        .subscriber_limit(limits)
        .pairing(Strictness::Preferred);
    let limited = course(config(2, limited), 3_000, sets(12));
    let small = pool().port_blocks(PortBlocks::new(64).per_subscriber(4));
    let small = course(config(1, small), 3_000, sets(8));
    let blocks = pool().port_blocks(PortBlocks::new(128).per_subscriber(3));
    let blocks = course(config(2, blocks), 3_000, sets(24));
    let ranges = pool().deterministic(Deterministic::new(4, 250));
    let ranges = course(config(2, ranges), 3_000, sets(4));
    assert_eq!(
        [limited, small, blocks, ranges],
        [
            came([2977, 1072, 500_133, 978, 47_207, 136_534], 0x7077_78fa),
            came([3055, 1110, 396_376, 1295, 64_167, 154_344], 0xabe0_1a0e),
            came([2511, 1319, 412_402, 1919, 57_762, 337_209], 0x9afe_0b78),
            came([2995, 1178, 92_683, 1164, 60_339, 128_793], 0x49a3_fe09),
        ]
    );
}

/// Mostly single ports, for one of so many subscribers each.
fn singles(subscribers: usize) -> impl FnMut(&Engine, &mut Dice) -> Ask {
    move |engine, dice| {
        let request = of_some(any(engine, dice), dice, subscribers);
        match dice.below(64) {
            0 => tuple(request, dice),
            1 => Ask::Batch(request, 1 + dice.below(40)),
            2..=9 => Ask::One(wish(request, dice)),
            _ => Ask::One(request),
        }
    }
}

#[test]
fn subscribers_take_the_steps_they_took() {
    let limits = SubscriberLimit::new().ports(Protocol::Tcp, 20).total(100);
    let limited = || pool().subscriber_limit(limits);
    let some = course(config(2, limited()), 8_000, singles(40));
    let paired = limited().pairing(Strictness::Strict);
    let paired = config(2, paired).events(EventConfig::new(1 << 16));
    let paired = course(paired, 8_000, singles(60));
    let loosely = pool().pairing(Strictness::Preferred);
    let loosely = course(config(2, loosely), 8_000, singles(60));
    let many = course(config(2, limited()), 8_000, singles(3_000));
    let few = config(2, limited()).max_subscribers(500);
    let few = course(few, 8_000, singles(3_000));
    assert_eq!(
        [some, paired, loosely, many, few],
        [
            came([5285, 669, 379_987, 1700, 96_023, 532_456], 0xfc5c_5c2b),
            came([5294, 631, 457_842, 2128, 101_045, 650_147], 0xe286_e148),
            came([5337, 654, 561_678, 2128, 102_799, 659_673], 0x4bc8_ac74),
            came([5288, 645, 580_378, 1739, 127_017, 2_485_255], 0x3da1_e5c3),
            came([1648, 3418, 202_300, 1404, 44_170, 964_173], 0x54f3_a4cb),
        ]
    );
}

#[test]
fn port_blocks_take_the_steps_they_took() {
    let small = pool().port_blocks(PortBlocks::new(64).per_subscriber(3));
    let small = course(config(2, small), 8_000, singles(24));
    let paired = pool().port_blocks(PortBlocks::new(128).of_protocol(Protocol::Tcp, 1));
    let paired = paired.pairing(Strictness::Strict);
    let paired = course(config(3, paired), 8_000, singles(24));
    let ranges = pool().deterministic(Deterministic::new(4, 250));
    let ranges = course(config(2, ranges), 8_000, singles(4));
    let overflow = pool().deterministic(Deterministic::new(4, 200));
    let overflow = overflow.port_blocks(PortBlocks::new(64));
    let overflow = course(config(2, overflow), 8_000, singles(7));
    assert_eq!(
        [small, paired, ranges, overflow],
        [
            came([4056, 1684, 719_949, 3606, 86_924, 602_436], 0x5608_ec73),
            came(
                [2337, 3083, 2_165_395, 3646, 56_048, 1_423_203],
                0xcbb0_1023
            ),
            came([5199, 796, 306_969, 2370, 92_115, 339_195], 0xee59_7e23),
            came([3427, 2208, 271_070, 2108, 63_184, 380_344], 0x8bb5_02c3),
        ]
    );
}

/// On behalf of one of three tenants or of nobody, or for control traffic.
fn of_tenant(request: Request, dice: &mut Dice) -> Request {
    match dice.below(8) {
        0 => request.control(),
        1 | 2 => request,
        tenant => request.tenant(tenant as u32 % 3),
    }
}

/// Single ports of tenants.
fn tenants(engine: &Engine, dice: &mut Dice) -> Ask {
    Ask::One(of_tenant(any(engine, dice), dice))
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
            came([2970, 1919, 976_490, 1841, 14_112, 631_158], 0xa244_6000),
            came([2970, 1919, 978_883, 1842, 14_112, 631_171], 0xa244_6000),
            came([2970, 1919, 983_040, 1842, 18_721, 631_171], 0xa244_6000),
            came([1492, 0, 10_003, 856, 6475, 50_996], 0xd5a2_9765),
        ]
    );
}

#[test]
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
            came([4695, 204, 69_487, 1506, 17_885, 772_044], 0x322c_7152),
            came([3377, 1466, 745_570, 1601, 15_684, 1_060_056], 0x61a6_9024),
            came(
                [4009, 1793, 1_051_381, 4061, 102_964, 1_631_435],
                0x2ef0_93d7
            ),
        ]
    );
}
