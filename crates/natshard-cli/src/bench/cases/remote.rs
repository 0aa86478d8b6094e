//! *remote*: one shard leases, another releases.

use std::hint::black_box;

use natshard::{Lease, Request, Shard};
use rtrb::{Consumer, Producer, RingBuffer};

use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::references::{
    Gateway, Harness, LockedQueue, PORTS_PER_ADDRESS, Queue, ShardedSlab,
};
use crate::bench::window::Ports;

/// Leases on their way.
const RING: usize = 1_024;
const ADDRESSES: u32 = 256;
const ALONE: &str = "both on one thread";
const HAND_OVER: &str = "hand-over only";

pub fn cases(settings: Settings) -> Vec<Case> {
    let mut cases = vec![Case {
        name: "remote, instructions",
        about: "32 are leased by one shard, then released by another, by the same thread: without \
                cache lines that travel; per lease"
            .into(),
        switches: switches(),
        baseline: "natshard, released by its own shard",
        baseline_setting: None,
        build: Box::new(|| {
            vec![
                Contestant::alone(
                    "natshard, released by its own shard",
                    Turns::new(0, ADDRESSES, Rest::DEFAULT),
                )
                .at(ALONE),
                Contestant::alone("natshard", Turns::new(1, ADDRESSES, Rest::DEFAULT)).at(ALONE),
            ]
        }),
    }];
    if settings.threads >= 2 {
        cases.push(Case {
            name: "remote",
            about:
                "one thread leases and hands over, another releases; each takes the time of the \
                    slower one; per lease"
                    .into(),
            switches: switches(),
            baseline: HAND_OVER,
            baseline_setting: None,
            build: Box::new(|| {
                let ports = 4 * PORTS_PER_ADDRESS;
                vec![
                    natshard(),
                    reference(HAND_OVER, || Harness),
                    cloned("ArrayQueue", Queue::new(ports)),
                    cloned("sharded-slab", ShardedSlab::new()),
                    cloned("Mutex<VecDeque>", LockedQueue::new(ports)),
                    cloned("original gateway's design", Gateway::new(16)),
                ]
            }),
        });
    }
    cases
}

fn switches() -> String {
    format!(
        "handed over in bursts of {BURST} through a ring of {RING} for one reader and one writer; \
         {ADDRESSES} addresses, hold-down 120 s, random port order, 1 ms of engine time a burst"
    )
}

fn natshard() -> Contestant {
    let (producer, consumer) = RingBuffer::new(RING);
    let (engine, request) = engine(2, plain(ADDRESSES), Rest::DEFAULT);
    let shard = |at| engine.shard(at).expect("nobody has it");
    let mut turns = Turns::of([shard(0), shard(1)], request, 1);
    turns.warm_up(Rest::DEFAULT);
    let Turns {
        shards: [from, to],
        time: now,
        ..
    } = turns;
    let leasing = Leasing {
        shard: from,
        request,
        time: now,
        ring: producer,
        refused: 0,
    };
    let releasing = Releasing {
        shard: to,
        time: now,
        ring: consumer,
    };
    Contestant::alone("natshard", leasing).with(releasing)
}

/// Hands items over by the burst: all of them are published at once.
fn hand_over<T>(ring: &mut Producer<T>, mut item: impl FnMut() -> T) {
    loop {
        if let Ok(chunk) = ring.write_chunk_uninit(BURST as usize) {
            chunk.fill_from_iter(std::iter::from_fn(|| Some(item())));
            return;
        }
        std::hint::spin_loop();
    }
}

fn take_over<T>(ring: &mut Consumer<T>, mut each: impl FnMut(T)) {
    loop {
        if let Ok(chunk) = ring.read_chunk(BURST as usize) {
            chunk.into_iter().for_each(&mut each);
            return;
        }
        std::hint::spin_loop();
    }
}

struct Leasing {
    shard: Shard,
    request: Request,
    time: Time,
    ring: Producer<Option<Lease>>,
    refused: u64,
}

impl Worker for Leasing {
    fn run(&mut self, operations: u64) -> u64 {
        let before = self.refused;
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            hand_over(&mut self.ring, || {
                let lease = burst.allocate(black_box(&self.request));
                lease.map_err(|_| self.refused += 1).ok()
            });
        }
        self.refused - before
    }
}

struct Releasing {
    shard: Shard,
    time: Time,
    ring: Consumer<Option<Lease>>,
}

impl Worker for Releasing {
    fn run(&mut self, operations: u64) -> u64 {
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            take_over(&mut self.ring, |lease| {
                if let Some(lease) = lease {
                    burst.release(lease);
                }
            });
        }
        0
    }
}

/// Two shards on one thread.
pub struct Turns {
    shards: [Shard; 2],
    request: Request,
    time: Time,
    releaser: usize,
    batch: Vec<Lease>,
}

impl Turns {
    pub fn new(releaser: usize, addresses: u32, rest: Rest) -> Self {
        let (engine, request) = engine(2, plain(addresses), rest);
        let shard = |at| engine.shard(at).expect("nobody has it");
        let mut turns = Turns::of([shard(0), shard(1)], request, releaser);
        turns.warm_up(rest);
        turns
    }

    fn of(shards: [Shard; 2], request: Request, releaser: usize) -> Self {
        Turns {
            shards,
            request,
            time: Time::new(Rest::DEFAULT.step),
            releaser,
            batch: Vec::with_capacity(BURST as usize),
        }
    }

    fn warm_up(&mut self, rest: Rest) {
        let refused = self.run(rest.bursts() * 2 * BURST);
        assert_eq!(refused, 0, "the pool is large enough");
    }
}

impl Worker for Turns {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let now = self.time.tick();
            let mut burst = self.shards[0].burst(now);
            for _ in 0..BURST {
                match black_box(&mut burst).allocate(black_box(&self.request)) {
                    Ok(lease) => self.batch.push(lease),
                    Err(_) => refused += 1,
                }
            }
            drop(burst);
            let mut burst = self.shards[self.releaser].burst(now);
            for lease in self.batch.drain(..) {
                black_box(&mut burst).release(lease);
            }
        }
        refused
    }
}

struct LeasingReference<P: Ports> {
    ports: P,
    ring: Producer<Option<P::Lease>>,
}

impl<P: Ports> Worker for LeasingReference<P> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations / BURST {
            hand_over(&mut self.ring, || {
                let lease = self.ports.lease();
                refused += u64::from(lease.is_none());
                lease
            });
        }
        refused
    }
}

struct ReleasingReference<P: Ports> {
    ports: P,
    ring: Consumer<Option<P::Lease>>,
}

impl<P: Ports> Worker for ReleasingReference<P> {
    fn run(&mut self, operations: u64) -> u64 {
        for _ in 0..operations / BURST {
            take_over(&mut self.ring, |lease| {
                if let Some(lease) = lease {
                    self.ports.give_back(lease);
                }
            });
        }
        0
    }
}

fn cloned<P: Ports + Clone + 'static>(name: &'static str, ports: P) -> Contestant {
    reference(name, || ports.clone())
}

fn reference<P: Ports + 'static>(name: &'static str, mut ports: impl FnMut() -> P) -> Contestant {
    let (producer, consumer) = RingBuffer::new(RING);
    let leasing = LeasingReference {
        ports: ports(),
        ring: producer,
    };
    let releasing = ReleasingReference {
        ports: ports(),
        ring: consumer,
    };
    Contestant::alone(name, leasing).with(releasing)
}
