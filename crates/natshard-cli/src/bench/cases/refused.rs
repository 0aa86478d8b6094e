//! *refused*: a pool that has nothing left says so.

use std::hint::black_box;

use natshard::{Lease, Request, Shard};

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Worker};
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::references::{
    Gateway, LocalBlocks, LockedBitmap, PORTS_PER_ADDRESS, Probing, Queue,
};
use crate::bench::window::Ports;
use crate::config::grouped;

const ADDRESSES: u32 = 4;
const ALL: u32 = ADDRESSES * PORTS_PER_ADDRESS;
const LEASED: &str = "all leased";
const RESTING: &str = "half resting";

pub fn case() -> Case {
    let build = || {
        vec![
            Contestant::alone("natshard", Full::new(ADDRESSES, 0))
                .at(LEASED)
                .refusing(),
            Contestant::alone("natshard", Full::new(ADDRESSES, ALL / 2))
                .at(RESTING)
                .refusing(),
            reference(BLOCKS, LocalBlocks::new(ALL)),
            reference("random probing, 32 tries", Probing::new(ALL, 32)),
            reference("random probing, 248 tries", Probing::new(ALL, 248)),
            reference("ArrayQueue", Queue::new(ALL)),
            reference("Mutex<RoaringBitmap>", LockedBitmap::new(ALL)),
            reference("original gateway's design", Gateway::new(2)),
        ]
    };
    Case {
        name: "refused",
        about: "an operation asks for a port and is refused".into(),
        switches: format!(
            "{ADDRESSES} addresses, {} ports; hold-down 120 s, bursts of {BURST}, 1 ms of \
             engine time each where all are leased, none where half of them rest; the original \
             gateway's design has 2 addresses",
            grouped((ADDRESSES * PORTS_PER_ADDRESS).into())
        ),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}

pub struct Full {
    shard: Shard,
    request: Request,
    time: Time,
    _leases: Vec<Lease>,
}

impl Full {
    pub fn new(addresses: u32, resting: u32) -> Self {
        let all = (addresses * PORTS_PER_ADDRESS) as usize;
        let (engine, request) = engine(1, plain(addresses), Rest::DEFAULT);
        let mut shard = engine.shard(0).expect("nobody has it");
        let mut leases = Vec::with_capacity(all);
        let mut time = Time::new(if resting == 0 { 1 } else { 0 });
        let had = shard
            .burst(time.tick())
            .allocate_batch(&request, all, &mut leases);
        assert_eq!(had, Ok(all));
        let mut released = leases.split_off(all - resting as usize);
        shard.burst(time.tick()).release_batch(&mut released);
        Full {
            shard,
            request,
            time,
            _leases: leases,
        }
    }
}

impl Worker for Full {
    fn run(&mut self, operations: u64) -> u64 {
        for _ in 0..operations / BURST {
            let mut burst = self.shard.burst(self.time.tick());
            for _ in 0..BURST {
                let had = black_box(&mut burst).allocate(black_box(&self.request));
                assert!(had.is_err(), "nothing was leasable");
            }
        }
        operations
    }
}

struct FullReference<P: Ports> {
    ports: P,
    _leases: Vec<P::Lease>,
}

fn reference<P: Ports + 'static>(name: &'static str, mut ports: P) -> Contestant {
    let leases = ports.fill();
    let full = FullReference {
        ports,
        _leases: leases,
    };
    Contestant::alone(name, full).at(LEASED).refusing()
}

impl<P: Ports> Worker for FullReference<P> {
    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        for _ in 0..operations {
            refused += u64::from(black_box(&mut self.ports).lease().is_none());
        }
        refused
    }
}
