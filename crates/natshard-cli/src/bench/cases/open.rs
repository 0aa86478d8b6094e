//! *open address*: the first lease of an address that nobody used so far.

use natshard::{Engine, Lease, Request, Shard, Strictness};

use crate::bench::case::{Case, Contestant, Worker};
use crate::bench::pools::{self, BURST, Rest, Time, engine, plain};

const ADDRESSES: u32 = 256;

pub fn case() -> Case {
    Case {
        name: "open address",
        about: "an operation leases a port of an address that was never used: the memory of its \
                ports is made and the port is leased"
            .into(),
        switches: format!(
            "{ADDRESSES} addresses of a fresh engine, one after the other; bursts of {BURST}"
        ),
        baseline: "natshard",
        baseline_setting: None,
        build: Box::new(|| vec![Contestant::alone("natshard", Opening::default())]),
    }
}

#[derive(Default)]
struct Opening {
    fresh: Option<(Engine, Shard, Request)>,
    leases: Vec<Lease>,
}

impl Worker for Opening {
    fn prepare(&mut self) {
        if let Some((_, shard, _)) = &mut self.fresh {
            let mut time = Time::new(1);
            shard.burst(time.tick()).release_batch(&mut self.leases);
        }
        let (engine, request) = engine(1, plain(ADDRESSES), Rest::DEFAULT);
        let shard = engine.shard(0).expect("nobody has it");
        self.fresh = Some((engine, shard, request));
        self.leases.reserve(ADDRESSES as usize);
    }

    fn run(&mut self, operations: u64) -> u64 {
        let (_, shard, request) = self.fresh.as_mut().expect("prepared");
        let (mut time, mut refused) = (Time::new(1), 0);
        for start in (0..operations).step_by(BURST as usize) {
            let mut burst = shard.burst(time.tick());
            for number in start..(start + BURST).min(operations) {
                let address = pools::address(number as u32);
                let request = request.address(address.into(), Strictness::Strict);
                match burst.allocate(&request) {
                    Ok(lease) => self.leases.push(lease),
                    Err(_) => refused += 1,
                }
            }
        }
        refused
    }

    fn fixed(&self) -> Option<u64> {
        Some(ADDRESSES.into())
    }
}
