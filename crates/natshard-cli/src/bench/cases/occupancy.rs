//! *occupancy*: a pool that is nearly full, with holes at random.

use natshard::Lease;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::own::Own;
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::references::{
    Gateway, LocalBlocks, LockedBitmap, PORTS_PER_ADDRESS, Probing, Queue,
};
use crate::bench::window::{Ports, Urn, Windowed};
use crate::config::grouped;

pub const ADDRESSES: u32 = 16;
const ALL: u32 = ADDRESSES * PORTS_PER_ADDRESS;
/// Occupancies, in parts of a thousand.
const LEVELS: [(&str, u32); 6] = [
    ("50 %", 500),
    ("80 %", 800),
    ("90 %", 900),
    ("95 %", 950),
    ("99 %", 990),
    ("99.9 %", 999),
];

/// Those that references are measured at.
const CHOSEN: [u32; 3] = [500, 950, 999];

pub fn case(settings: Settings) -> Case {
    let build = move || {
        let levels = LEVELS
            .iter()
            .filter(|it| !settings.quick || CHOSEN.contains(&it.1));
        let mut all: Vec<_> = levels
            .map(|&(name, level)| Contestant::alone("natshard", pool(ADDRESSES, level)).at(name))
            .collect();
        for (name, level) in LEVELS {
            if !CHOSEN.contains(&level) {
                continue;
            }
            let mut add = |it: Contestant| all.push(it.at(name));
            add(Contestant::alone(
                BLOCKS,
                reference(LocalBlocks::new(ALL), ALL, level),
            ));
            add(Contestant::alone(
                "ArrayQueue",
                reference(Queue::new(ALL), ALL, level),
            ));
            add(Contestant::alone(
                "Mutex<RoaringBitmap>",
                reference(LockedBitmap::new(ALL), ALL, level),
            ));
            for (name, tries) in [
                ("random probing, 10 tries", 10),
                ("random probing, 32 tries", 32),
                ("random probing, 248 tries", 248),
            ] {
                let probing = reference(Probing::new(ALL, tries), ALL, level);
                add(Contestant::alone(name, probing).refusing());
            }
            if !settings.quick {
                let gateway = reference(Gateway::new(1), PORTS_PER_ADDRESS, level);
                add(Contestant::alone("original gateway's design", gateway).refusing());
            }
        }
        all
    };
    Case {
        name: "occupancy",
        about: "an operation releases a lease at random and leases a port, of a pool in which so \
                many ports are leased and the holes lie at random"
            .into(),
        switches: format!(
            "{ADDRESSES} addresses, {} ports; hold-down 120 s, random port order, bursts of \
             {BURST}, as much engine time each as makes half of the ports that are not leased \
             rest; the original gateway's design has 1 address",
            grouped(ALL.into())
        ),
        baseline: "natshard",
        baseline_setting: Some("50 %"),
        build: Box::new(build),
    }
}

/// Half of the ports that are not leased rest: the nearer the pool is to being full, the fewer
/// leases a second it can serve.
fn rest(all: u32, level: u32) -> Rest {
    let holes = u64::from(all / 1000 * (1000 - level));
    let bursts = (holes / 2 / BURST).max(1);
    Rest {
        step: (Rest::DEFAULT.hold_down.as_millis() as u64).div_ceil(bursts),
        ..Rest::DEFAULT
    }
}

/// A shard of a full pool of which so many ports in a thousand are leased, in its steady state.
pub fn pool(addresses: u32, level: u32) -> Own<Urn<Lease>> {
    let all = addresses * PORTS_PER_ADDRESS;
    let rest = rest(all, level);
    let (engine, request) = engine(1, plain(addresses), rest);
    let mut shard = engine.shard(0).expect("nobody has it");
    let mut time = Time::new(rest.step);
    let mut leases = Vec::with_capacity(all as usize);
    let had = shard
        .burst(time.tick())
        .allocate_batch(&request, all as usize, &mut leases);
    assert_eq!(had, Ok(all as usize));
    let mut leaving = thin(&mut leases, all, level);
    shard.burst(time.tick()).release_batch(&mut leaving);
    time.pass(rest);
    let mut own = Own::of(engine, shard, request, time, leases);
    let bursts = (rest.bursts() * 4).max(2_000);
    assert_eq!(own.run(bursts * BURST), 0, "every hole is served");
    own
}

/// Shuffles leases of all ports and takes those out that are more than the occupancy.
fn thin<T>(leases: &mut Vec<T>, all: u32, level: u32) -> Vec<T> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    for at in (1..leases.len()).rev() {
        leases.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
    leases.split_off(all as usize / 1000 * level as usize)
}

fn reference<P: Ports>(mut ports: P, all: u32, level: u32) -> Windowed<P, Urn<P::Lease>> {
    let mut leases = ports.fill();
    for lease in thin(&mut leases, all, level) {
        ports.give_back(lease);
    }
    Windowed::of(ports, leases)
}
