//! *memory*: what the heap is asked for.

use natshard::{Engine, EngineConfig, Lease, Shard, Strictness};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::cases::nat;
use super::heap;
use super::pools::{self, Rest, Time, engine, plain};
use super::references::PORTS_PER_ADDRESS;

const ADDRESSES: u32 = 16;

/// What something costs.
#[derive(Clone, Debug)]
pub struct Amount {
    /// The thing.
    pub what: &'static str,
    /// How many bytes each.
    pub bytes: f64,
    /// Each what.
    pub per: &'static str,
}

/// Everything; nothing when the program does not count.
#[must_use]
pub fn measure(quick: bool) -> Vec<Amount> {
    let mut amounts = vec![Amount {
        what: "lease",
        bytes: size_of::<Lease>() as f64,
        per: "lease",
    }];
    if !heap::is_counted() {
        return amounts;
    }
    let mut add = |what, bytes: i64, count: u32, per| {
        amounts.push(Amount {
            what,
            bytes: bytes as f64 / f64::from(count),
            per,
        });
    };
    let (one, small) = heap::cost(|| empty(1));
    let (many, large) = heap::cost(|| empty(33));
    let shard = (many - one) / 32;
    add(
        "engine without an open address, without its shards",
        one - shard,
        1,
        "engine",
    );
    add("shard", shard, 1, "shard");
    drop((small, large));
    let ports = ADDRESSES * PORTS_PER_ADDRESS;
    let (engine, request) = engine(1, plain(ADDRESSES), Rest::DEFAULT);
    let mut shard = engine.shard(0).expect("nobody has it");
    let mut leases = Vec::with_capacity(ports as usize);
    let mut time = Time::new(1);
    let fill = |shard: &mut Shard, leases: &mut Vec<Lease>, time: &mut Time| {
        let missing = ports as usize - leases.len();
        let had = shard
            .burst(time.tick())
            .allocate_batch(&request, missing, leases);
        assert_eq!(had, Ok(missing), "every port is to be had");
    };
    let (opened, ()) = heap::cost(|| {
        let mut burst = shard.burst(time.tick());
        for number in 0..ADDRESSES {
            let request = request.address(pools::address(number).into(), Strictness::Strict);
            leases.push(burst.allocate(&request).expect("it is free"));
        }
    });
    add("opened address, one port leased", opened, ports, "port");
    let (spent, ()) = heap::cost(|| fill(&mut shard, &mut leases, &mut time));
    add(
        "opened address, every port leased once",
        opened + spent,
        ports,
        "port",
    );
    let (reheated, ()) = heap::cost(|| {
        shuffle(&mut leases);
        let mut half = leases.split_off(ports as usize / 2);
        shard.burst(time.tick()).release_batch(&mut half);
        leases.reserve_exact(ports as usize - leases.len());
        time.pass(Rest::DEFAULT);
        fill(&mut shard, &mut leases, &mut time);
    });
    add(
        "opened address, every block reheated",
        opened + spent + reheated,
        ports,
        "port",
    );
    let flows = if quick { 1 << 16 } else { 1 << 20 } * 7 / 8;
    let (sessions, function) = heap::cost(|| nat::filled(flows));
    add(
        "NAT session with its lease, indices and timer",
        sessions,
        flows,
        "session",
    );
    drop(function);
    amounts
}

fn empty(shards: usize) -> (Engine, Vec<Shard>) {
    let engine = Engine::new(EngineConfig::new(shards).pool(plain(256)));
    let engine = engine.expect("a sound configuration");
    let taken = (0..shards).map(|at| engine.shard(at).expect("nobody has it"));
    let taken = taken.collect();
    (engine, taken)
}

fn shuffle<T>(items: &mut [T]) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    for at in (1..items.len()).rev() {
        items.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
}
