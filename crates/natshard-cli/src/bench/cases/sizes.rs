//! *pool size*: the same as own, with more and more addresses in circulation.

use std::time::Duration;

use super::BLOCKS;
use crate::bench::case::{Case, Contestant, Settings};
use crate::bench::own;
use crate::bench::pools::{BURST, Rest, plain};
use crate::bench::references::{LocalBlocks, PORTS_PER_ADDRESS};
use crate::bench::window::Windowed;
use crate::config::grouped;

const WINDOW: usize = 1_000;

/// Addresses of the pool, addresses that are in circulation, hold-down in seconds.
const SIZES: [(&str, u32, u64, u64); 6] = [
    ("1 address", 1, 1, 120),
    ("4 addresses", 4, 4, 120),
    ("16 addresses", 16, 16, 120),
    ("64 addresses", 64, 64, 120),
    ("256 addresses", 256, 256, 240),
    ("256 of 131,072 addresses", 1 << 17, 256, 240),
];

pub fn case(settings: Settings) -> Case {
    let build = move || {
        let sizes = SIZES.iter().take(if settings.quick { 4 } else { 6 });
        let mut all: Vec<_> = sizes
            .map(|&(name, addresses, circulating, seconds)| {
                // Half of what circulates rests.
                let bursts = circulating * u64::from(PORTS_PER_ADDRESS) / 2 / BURST;
                let rest = Rest {
                    hold_down: Duration::from_secs(seconds),
                    step: (seconds * 1000 * 5 / 4).div_ceil(bursts),
                    ..Rest::DEFAULT
                };
                let team = own::team(1, WINDOW, plain(addresses), rest);
                Contestant::team("natshard", team).at(name)
            })
            .collect();
        let blocks = LocalBlocks::new(PORTS_PER_ADDRESS);
        all.push(Contestant::alone(BLOCKS, Windowed::new(blocks, WINDOW)).at("1 address"));
        all
    };
    Case {
        name: "pool size",
        about: "as own, while about half of the ports in circulation rest".into(),
        switches: format!(
            "{} live leases, oldest first; hold-down 120 s (from 256 addresses on, 240 s); \
             random port order, bursts of {BURST}, as much engine time each as makes half of the \
             ports rest",
            grouped(WINDOW as u128)
        ),
        baseline: BLOCKS,
        baseline_setting: None,
        build: Box::new(build),
    }
}
