//! *reserve*: this very port.

use std::hint::black_box;
use std::net::SocketAddr;

use natshard::{Lease, Protocol, Request, Shard};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng as _, SeedableRng as _};

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Worker};
use crate::bench::pools::{self, BURST, Rest, Time, engine, plain};
use crate::bench::references::{LocalBlocks, LockedBitmap, PORTS_PER_ADDRESS, Probing};
use crate::bench::window::{Live, Ports, Ring};
use crate::config::grouped;

const ADDRESSES: u32 = 4;
const WINDOW: usize = 1_000;
/// A port comes up again after more than a hold-down.
fn rest(addresses: u32) -> Rest {
    Rest {
        step: 80 / u64::from(addresses),
        ..Rest::DEFAULT
    }
}

pub fn case() -> Case {
    let build = || {
        let all = ADDRESSES * PORTS_PER_ADDRESS;
        vec![
            Contestant::alone("natshard", Reserving::new(ADDRESSES)),
            reference(BLOCKS, LocalBlocks::new(all), LocalBlocks::reserve),
            reference("atomic bitmap", Probing::new(all, 1), Probing::reserve),
            reference(
                "Mutex<RoaringBitmap>",
                LockedBitmap::new(all),
                LockedBitmap::reserve,
            ),
        ]
    };
    Case {
        name: "reserve",
        about: "an operation leases a given port that is free and releases the oldest lease; the \
                ports come in random order"
            .into(),
        switches: format!(
            "{ADDRESSES} addresses; {} live leases; hold-down 120 s, bursts of {BURST}, 20 \
             ms of engine time each, so that a port has rested when it comes up again",
            grouped(WINDOW as u128)
        ),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}

/// Every port of the pool, in random order.
fn order(addresses: u32) -> Vec<u32> {
    let mut order: Vec<u32> = (0..addresses * PORTS_PER_ADDRESS).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for at in (1..order.len()).rev() {
        order.swap(at, (random.next_u64() % (at as u64 + 1)) as usize);
    }
    order
}

pub struct Reserving {
    shard: Shard,
    request: Request,
    time: Time,
    ring: Ring<Lease>,
    order: Vec<SocketAddr>,
    at: usize,
}

impl Reserving {
    pub fn new(addresses: u32) -> Self {
        let rest = rest(addresses);
        let (engine, request) = engine(1, plain(addresses), rest);
        let mut shard = engine.shard(0).expect("nobody has it");
        let mut time = Time::new(rest.step);
        let order = order(addresses).into_iter().map(|number| {
            let (address, port) = (number / PORTS_PER_ADDRESS, number % PORTS_PER_ADDRESS);
            SocketAddr::new(pools::address(address).into(), 1024 + port as u16)
        });
        let order: Vec<_> = order.collect();
        let mut burst = shard.burst(time.tick());
        let leases = order[..WINDOW].iter().map(|public| {
            burst
                .reserve(request.pool(), Protocol::Tcp, *public)
                .expect("it is free")
        });
        let ring = Ring::of(leases.collect());
        drop(burst);
        let mut reserving = Reserving {
            shard,
            request,
            time,
            ring,
            order,
            at: WINDOW,
        };
        assert_eq!(
            reserving.run(u64::from(addresses * PORTS_PER_ADDRESS) * 2),
            0,
            "every port had rested"
        );
        reserving
    }
}

impl Worker for Reserving {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            for _ in 0..BURST {
                let public = self.order[self.at];
                self.at = (self.at + 1) % self.order.len();
                match burst.reserve(self.request.pool(), Protocol::Tcp, black_box(public)) {
                    Ok(lease) => burst.release(black_box(self.ring.swap(lease))),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }
}

struct Given<P, F> {
    ports: P,
    reserve: F,
    order: Vec<u32>,
    ring: Ring<u32>,
    at: usize,
}

fn reference<P, F>(name: &'static str, mut ports: P, reserve: F) -> Contestant
where
    P: Ports<Lease = u32> + 'static,
    F: Fn(&mut P, u32) -> bool + Send + 'static,
{
    let order = order(ADDRESSES);
    let ring = order[..WINDOW].to_vec();
    for port in &ring {
        assert!(reserve(&mut ports, *port));
    }
    let given = Given {
        ports,
        reserve,
        order,
        ring: Ring::of(ring),
        at: WINDOW,
    };
    Contestant::alone(name, given)
}

impl<P: Ports<Lease = u32>, F: Fn(&mut P, u32) -> bool + Send> Worker for Given<P, F> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations {
            let port = self.order[self.at];
            self.at = (self.at + 1) % self.order.len();
            match (self.reserve)(black_box(&mut self.ports), black_box(port)) {
                true => self.ports.give_back(black_box(self.ring.swap(port))),
                false => refused += 1,
            }
        }
        refused
    }
}
