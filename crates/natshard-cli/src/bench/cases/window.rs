//! *own*, *batch*, and both on several threads that share a pool.

use std::time::Duration;

use natshard::PortOrder;

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Settings};
use crate::bench::own::{self, Own};
use crate::bench::pools::{BURST, EVERY, Rest, plain};
use crate::bench::references::{
    Counter, Gateway, Harness, LocalBlocks, LockedBitmap, LockedQueue, PORTS_PER_ADDRESS, Probing,
    Queue, ShardedSlab,
};
use crate::bench::window::{Batched, Ports, Windowed};
use crate::config::grouped;

/// One lease leased, the oldest released.
const OPERATION: &str = "an operation leases a port and releases the oldest lease";

pub fn cases(settings: Settings) -> Vec<Case> {
    vec![
        own_case(settings, "own, 1,000 live", 1_000),
        own_case(settings, "own, 50,000 live", 50_000),
        batch_case(settings),
    ]
}

/// The engine: so many shards on one pool.
fn natshard(name: &'static str, threads: usize, window: usize, rest: Rest) -> Contestant {
    let pool = plain(rest.addresses(threads, window));
    Contestant::team(name, own::team(threads, window, pool, rest))
}

/// As many threads that share nothing: what of the cost of a team is the machine's.
fn apart(threads: usize, window: usize, rest: Rest) -> Contestant {
    let pool = || plain(rest.addresses(1, window));
    let teams = (0..threads).flat_map(|_| own::team(1, window, pool(), rest));
    Contestant::team("natshard, an engine each", teams)
}

/// A reference of which each thread has its own, or a view of the same.
fn reference<P: Ports + 'static>(
    name: &'static str,
    threads: usize,
    window: usize,
    mut ports: impl FnMut() -> P,
) -> Contestant {
    let workers = (0..threads).map(|_| Windowed::new(ports(), window));
    Contestant::team(name, workers)
}

fn switches(settings: Settings, window: usize, rest: Rest) -> String {
    let sizes: Vec<_> = settings
        .teams()
        .iter()
        .map(|threads| {
            let addresses = rest.addresses(*threads, window);
            format!("{addresses} addresses for {threads}")
        })
        .collect();
    format!(
        "{} live leases a thread, oldest first; hold-down {} s, random port order, bursts of {BURST}, {} ms of engine time for {EVERY} of them; {} so that nothing is refused; references have 2 addresses",
        grouped(window as u128),
        rest.hold_down.as_secs(),
        rest.step * EVERY,
        sizes.join(", "),
    )
}

fn own_case(settings: Settings, name: &'static str, window: usize) -> Case {
    let rest = Rest::DEFAULT;
    let build = move || {
        let mut all = Vec::new();
        for threads in settings.teams() {
            all.push(natshard("natshard", threads, window, rest));
            if threads == 1 {
                all.extend(variants(window));
            } else {
                all.push(apart(threads, window, rest));
            }
            all.extend(references(threads, window));
        }
        all
    };
    Case {
        name,
        about: OPERATION.into(),
        switches: switches(settings, window, rest),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}

/// The engine with other switches.
fn variants(window: usize) -> Vec<Contestant> {
    let short = Rest {
        hold_down: Duration::from_secs(1),
        ..Rest::DEFAULT
    };
    let off = Rest {
        hold_down: Duration::ZERO,
        ..Rest::DEFAULT
    };
    let linear = Rest {
        order: PortOrder::Linear,
        ..Rest::DEFAULT
    };
    vec![
        natshard("natshard, linear order", 1, window, linear),
        natshard("natshard, hold-down 1 s", 1, window, short),
        natshard("natshard, no hold-down", 1, window, off),
    ]
}

fn references(threads: usize, window: usize) -> Vec<Contestant> {
    let ports = 2 * PORTS_PER_ADDRESS * threads as u32;
    let (queue, locked) = (Queue::new(ports), LockedQueue::new(ports));
    let (bitmap, slab) = (LockedBitmap::new(ports), ShardedSlab::new());
    let mut probing = Probing::new(ports, 32);
    let gateway = Gateway::new(16 * threads as u32);
    vec![
        reference("harness only", threads, window, || Harness),
        reference("thread-local counter", threads, window, Counter::default),
        reference(BLOCKS, threads, window, || {
            LocalBlocks::new(2 * PORTS_PER_ADDRESS)
        }),
        reference("random probing, 32 tries", threads, window, || {
            probing.share()
        }),
        reference("ArrayQueue", threads, window, || queue.clone()),
        reference("sharded-slab", threads, window, || slab.clone()),
        reference("Mutex<VecDeque>", threads, window, || locked.clone()),
        reference("Mutex<RoaringBitmap>", threads, window, || bitmap.clone()),
        gateways(threads, window, &gateway),
    ]
}

fn gateways(threads: usize, window: usize, gateway: &Gateway) -> Contestant {
    reference("original gateway's design", threads, window, || {
        gateway.clone()
    })
}

fn batch_case(settings: Settings) -> Case {
    let window = 1_024;
    let rest = Rest::DEFAULT;
    let build = move || {
        let mut all = Vec::new();
        for threads in settings.teams() {
            let pool = plain(rest.addresses(threads, window));
            let team = own::team(threads, window, pool, rest);
            let batches = team.into_iter().map(Own::batched);
            all.push(Contestant::team("natshard", batches));
            let ports = 2 * PORTS_PER_ADDRESS * threads as u32;
            let queue = Queue::new(ports);
            all.push(batched("harness only", threads, window, || Harness));
            all.push(batched(BLOCKS, threads, window, || {
                LocalBlocks::new(2 * PORTS_PER_ADDRESS)
            }));
            all.push(batched("ArrayQueue", threads, window, || queue.clone()));
        }
        all
    };
    Case {
        name: "batch of 32",
        about: "as own, 32 leased at a time and the 32 oldest released at a time; per lease".into(),
        switches: switches(settings, window, rest),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}

fn batched<P: Ports + 'static>(
    name: &'static str,
    threads: usize,
    window: usize,
    mut ports: impl FnMut() -> P,
) -> Contestant {
    let workers = (0..threads).map(|_| Batched::new(ports(), window));
    Contestant::team(name, workers)
}
