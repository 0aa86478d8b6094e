//! *fill*: every port of a fresh pool, to the last.

use natshard::{Engine, Lease, Request, Shard};

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::pools::{BURST, Rest, Time, engine, plain};
use crate::bench::references::{Gateway, LocalBlocks, LockedBitmap, PORTS_PER_ADDRESS, Queue};
use crate::bench::window::Ports;
use crate::config::grouped;

const ADDRESSES: u32 = 16;
const ALL: u32 = ADDRESSES * PORTS_PER_ADDRESS;

pub fn case(settings: Settings) -> Case {
    let build = move || {
        let mut all = vec![
            Contestant::alone("natshard", Fill::new()),
            Contestant::alone(BLOCKS, FillReference::new(ALL, || LocalBlocks::new(ALL))),
            Contestant::alone("ArrayQueue", FillReference::new(ALL, || Queue::new(ALL))),
            Contestant::alone(
                "Mutex<RoaringBitmap>",
                FillReference::new(ALL, || LockedBitmap::new(ALL)),
            ),
        ];
        if !settings.quick {
            let few = FillReference::new(2 * PORTS_PER_ADDRESS, || Gateway::new(2));
            let few = Contestant::alone("original gateway's design", few);
            all.push(few.at("2 addresses"));
        }
        all
    };
    Case {
        name: "fill",
        about: "an operation leases a port; a fresh pool is filled to the last one, opening of \
                addresses included"
            .into(),
        switches: format!(
            "{ADDRESSES} addresses, {} ports; random port order, bursts of {BURST}; the \
             original gateway's design has 2, as it takes time in proportion to the addresses that \
             are full",
            grouped(ALL.into())
        ),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}

struct Fill {
    /// Dropped after its leases were released.
    shard: Option<(Engine, Shard, Request)>,
    leases: Vec<Lease>,
    time: Time,
}

impl Fill {
    fn new() -> Self {
        Fill {
            shard: None,
            leases: Vec::with_capacity(ALL as usize),
            time: Time::new(Rest::DEFAULT.step),
        }
    }
}

impl Worker for Fill {
    fn prepare(&mut self) {
        if let Some((_, shard, _)) = &mut self.shard {
            shard
                .burst(self.time.tick())
                .release_batch(&mut self.leases);
        }
        let (engine, request) = engine(1, plain(ADDRESSES), Rest::DEFAULT);
        let shard = engine.shard(0).expect("nobody has it");
        self.shard = Some((engine, shard, request));
        self.time = Time::new(Rest::DEFAULT.step);
    }

    fn run(&mut self, operations: u64) -> u64 {
        let (_, shard, request) = self.shard.as_mut().expect("prepared");
        let mut refused = 0;
        for _ in 0..operations / BURST {
            let mut burst = shard.burst(self.time.tick());
            for _ in 0..BURST {
                match burst.allocate(request) {
                    Ok(lease) => self.leases.push(lease),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }

    fn fixed(&self) -> Option<u64> {
        Some(ALL.into())
    }
}

struct FillReference<P: Ports, F> {
    fresh: F,
    ports: Option<P>,
    leases: Vec<P::Lease>,
    count: u32,
}

impl<P: Ports, F: Fn() -> P> FillReference<P, F> {
    fn new(count: u32, fresh: F) -> Self {
        FillReference {
            fresh,
            ports: None,
            leases: Vec::with_capacity(count as usize),
            count,
        }
    }
}

impl<P: Ports, F: Fn() -> P + Send> Worker for FillReference<P, F> {
    fn prepare(&mut self) {
        self.leases.clear();
        self.ports = Some((self.fresh)());
    }

    fn run(&mut self, operations: u64) -> u64 {
        let ports = self.ports.as_mut().expect("prepared");
        let mut refused = 0;
        for _ in 0..operations {
            match ports.lease() {
                Some(lease) => self.leases.push(lease),
                None => refused += 1,
            }
        }
        refused
    }

    fn fixed(&self) -> Option<u64> {
        Some(self.count.into())
    }
}
