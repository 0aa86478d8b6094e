//! *occupancy*: a pool that is nearly full, with holes at random.

use std::hint::black_box;

use natshard::{Lease, Request, Shard};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::references::{
    Gateway, LocalBlocks, LockedBitmap, PORTS_PER_ADDRESS, Probing, Queue,
};
use crate::bench::window::{Ports, Ring, Windowed};

const ADDRESSES: u32 = 16;
const ALL: u32 = ADDRESSES * PORTS_PER_ADDRESS;
/// At most 32 x 16 ports rest at a time, and 32 x 2 more are rested and not noticed yet.
const REST: Rest = Rest {
    step: 120_000 / 16,
    ..Rest::DEFAULT
};

/// Occupancies, in parts of a thousand.
const LEVELS: [(&str, u32); 6] = [
    ("50 %", 500),
    ("80 %", 800),
    ("90 %", 900),
    ("95 %", 950),
    ("99 %", 990),
    ("99.9 %", 999),
];

pub fn case(settings: Settings) -> Case {
    let build = move || {
        let mut all: Vec<_> = LEVELS
            .iter()
            .map(|&(name, level)| Contestant::alone("natshard", Holes::new(level)).at(name))
            .collect();
        for (name, level) in LEVELS {
            if level != 500 && level != 950 && level != 999 {
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
            "{ADDRESSES} addresses, {ALL} ports; hold-down 120 s, random port order, bursts of \
             {BURST}, 7.5 s of engine time each, so that 512 of the ports that are not leased \
             rest; the original gateway's design has 1 address"
        ),
        baseline: "natshard",
        build: Box::new(build),
    }
}

struct Holes {
    shard: Shard,
    request: Request,
    time: Time,
    /// In random order.
    ring: Ring<Lease>,
}

impl Holes {
    fn new(level: u32) -> Self {
        let (engine, request) = engine(1, plain(ADDRESSES), REST);
        let mut shard = engine.shard(0).expect("nobody has it");
        let mut time = Time::new(REST.step);
        let mut leases = Vec::with_capacity(ALL as usize);
        let had = shard
            .burst(time.tick())
            .allocate_batch(&request, ALL as usize, &mut leases);
        assert_eq!(had, Ok(ALL as usize));
        let mut leaving = thin(&mut leases, ALL, level);
        // 32 a burst, that what they leave rests until well before it is needed.
        shard.burst(time.tick()).release_batch(&mut leaving);
        time.pass(REST);
        let mut holes = Holes {
            shard,
            request,
            time,
            ring: Ring::new(leases),
        };
        assert_eq!(holes.run(20_000 * BURST), 0, "every hole is served");
        holes
    }
}

/// Shuffles leases of all ports and takes those out that are more than the occupancy.
fn thin<T>(leases: &mut Vec<T>, all: u32, level: u32) -> Vec<T> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    for at in (1..leases.len()).rev() {
        leases.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
    leases.split_off(all as usize / 1000 * level as usize)
}

fn reference<P: Ports>(mut ports: P, all: u32, level: u32) -> Windowed<P> {
    let mut leases = Vec::with_capacity(all as usize);
    // Those that probe do not get every port of a pool that is nearly full.
    let mut refusals = 0;
    while leases.len() < all as usize && refusals < 200 * all {
        match ports.lease() {
            Some(lease) => leases.push(lease),
            None => refusals += 1,
        }
    }
    for lease in thin(&mut leases, all, level) {
        ports.give_back(lease);
    }
    Windowed::of(ports, leases)
}

impl Worker for Holes {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            for _ in 0..BURST {
                match black_box(&mut burst).allocate(black_box(&self.request)) {
                    Ok(lease) => burst.release(black_box(self.ring.swap(lease))),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }
}
