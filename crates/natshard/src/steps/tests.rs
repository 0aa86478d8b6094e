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
            came([4927, 0, 16_229, 1048, 18_104, 176_731], 0x5b83_23e5),
            came([4927, 0, 15_954, 1048, 18_080, 176_536], 0xdccd_6648),
            came([4927, 0, 82_434, 2160, 15_270, 207_814], 0x70b4_66f3),
            came([4850, 72, 58_043, 938, 16_068, 306_631], 0x680a_e8c6),
            came([4899, 28, 50_129, 1087, 28_904, 1_166_158], 0xa9cc_d768),
            came([4902, 25, 26_182, 959, 16_923, 226_397], 0xcd23_60d9),
            came([4902, 26, 25_251, 598, 20_519, 240_555], 0xf319_0d9c),
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
            came([4281, 1089, 175_273, 2673, 15_804, 115_954], 0x2562_5fca),
            came([4269, 1078, 296_445, 3119, 15_364, 165_122], 0x0786_e3c9),
            came([6944, 1187, 575_539, 3931, 29_934, 381_375], 0x6bdd_0e3d),
            came([6773, 1221, 1_244_967, 3923, 27_365, 537_734], 0x6bb2_68c1),
            came([4269, 1078, 311_249, 3159, 21_299, 165_122], 0x0786_e3c9),
            came([1957, 485, 77_909, 885, 6835, 158_822], 0x2089_2335),
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
            came([2936, 1077, 388_400, 1236, 62_721, 148_695], 0x8176_5d77),
            came([2740, 1343, 436_703, 2255, 63_468, 375_258], 0x53ab_8f8c),
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
            came([5277, 657, 389_623, 1700, 97_393, 542_853], 0x5472_6b2b),
            came([5210, 677, 472_400, 2130, 99_877, 672_614], 0x684b_d804),
            came([5313, 684, 561_454, 2128, 101_294, 665_538], 0xe01a_acb0),
            came([5282, 649, 574_981, 1739, 126_990, 2_491_399], 0x7ba8_0676),
            came([1642, 3428, 206_613, 1404, 44_203, 960_360], 0x2b31_1b65),
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
            came([4079, 1650, 720_594, 3514, 87_616, 599_862], 0x8046_d48b),
            came(
                [2238, 3106, 2_166_840, 3149, 55_321, 1_464_170],
                0x34ac_40ae
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
            came([2970, 1919, 983_015, 1841, 14_112, 631_164], 0xe2ec_ac96),
            came([2970, 1919, 985_408, 1842, 14_112, 631_177], 0xe2ec_ac96),
            came([2970, 1919, 989_565, 1842, 18_721, 631_177], 0xe2ec_ac96),
            came([1492, 0, 10_995, 960, 6583, 51_009], 0x9890_25e8),
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
            came([4703, 199, 71_829, 1613, 17_742, 771_768], 0xf3e6_23d9),
            came([3377, 1466, 748_938, 1601, 15_772, 1_061_875], 0xe36d_dd5b),
            came(
                [3037, 2452, 1_320_954, 4020, 79_732, 1_887_424],
                0x3161_6e7e
            ),
        ]
    );
}
