//! Pools that are large enough, and shards at their steady state.

use std::net::Ipv4Addr;
use std::time::Duration;

use natshard::{Engine, EngineConfig, PoolConfig, PortOrder, Protocol, Request, Tick};

use super::references::PORTS_PER_ADDRESS;

/// Operations between two looks at the clock.
pub const BURST: u64 = 32;

/// Bursts of one moment: the ticks of a loop that polls are milliseconds, of which each has
/// hundreds of bursts. Shards that share a pool share its time, and would write it in each burst
/// otherwise.
pub const EVERY: u64 = 16;

/// How ports rest, and in which order they come.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// The engine's hold-down.
    pub hold_down: Duration,
    /// Engine time from one burst to the next, in milliseconds.
    pub step: u64,
    /// The order of ports in a block.
    pub order: PortOrder,
}

impl Rest {
    /// The engine's defaults, at 32,000 leases a second and shard.
    pub const DEFAULT: Rest = Rest {
        hold_down: Duration::from_secs(120),
        step: 1,
        order: PortOrder::Random,
    };

    /// Bursts until a port released now can be leased again, with a margin: the time a rested
    /// port may go unnoticed is an eighth of the hold-down.
    #[must_use]
    pub fn bursts(self) -> u64 {
        self.hold_down.as_millis() as u64 * 5 / 4 / self.step + 1
    }

    /// Addresses of which `shards` shards with `window` live leases each use at most half.
    #[must_use]
    pub fn addresses(self, shards: usize, window: usize) -> u32 {
        let ports = shards as u64 * (window as u64 + self.bursts() * BURST);
        let addresses = (ports * 2).div_ceil(PORTS_PER_ADDRESS.into());
        (addresses as u32).next_power_of_two()
    }
}

/// The prefix of so many addresses, a power of two, of the network for benchmarks (RFC 2544).
///
/// # Panics
///
/// Never, for up to 2^17 addresses.
#[must_use]
pub fn prefix(addresses: u32) -> ipnet::IpNet {
    let length = 32 - addresses.next_power_of_two().trailing_zeros();
    format!("198.18.0.0/{length}").parse().expect("a prefix")
}

/// The address of that number of such a prefix.
#[must_use]
pub fn address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(198, 18, 0, 0).to_bits() + number)
}

/// An engine whose only pool is named `p`, seeded so that runs can be repeated.
///
/// # Panics
///
/// When the pool is not sound.
#[must_use]
pub fn engine(shards: usize, pool: PoolConfig, rest: Rest) -> (Engine, Request) {
    let config = EngineConfig::new(shards)
        .seed(1)
        .hold_down(rest.hold_down)
        .port_order(rest.order)
        .pool(pool);
    let engine = Engine::new(config).expect("a sound configuration");
    let pool = engine.pool("p").expect("configured");
    (engine, Request::new(pool, Protocol::Tcp))
}

/// A pool of so many addresses and no policy.
#[must_use]
pub fn plain(addresses: u32) -> PoolConfig {
    PoolConfig::new("p").prefix(prefix(addresses))
}

/// The time of a shard's bursts.
#[derive(Clone, Copy, Debug)]
pub struct Time {
    now: u64,
    step: u64,
    /// Bursts until it moves on, and how many that is each time.
    left: u64,
    every: u64,
}

impl Time {
    /// From the beginning on.
    #[must_use]
    pub fn new(step: u64) -> Self {
        Time {
            now: 0,
            step,
            left: 1,
            every: 1,
        }
    }

    /// The same pace, in larger steps: it stands still for all but one of so many bursts.
    #[must_use]
    pub fn stepping(self, every: u64) -> Self {
        Time {
            step: self.step * every,
            left: every,
            every,
            ..self
        }
    }

    /// The next burst's.
    #[inline]
    pub fn tick(&mut self) -> Tick {
        self.left -= 1;
        if self.left == 0 {
            self.left = self.every;
            self.now += self.step;
        }
        Tick::from_millis(self.now)
    }

    /// Catches up with the others of the engine.
    pub fn catch_up(&mut self, engine: &Engine) {
        self.now = self.now.max(engine.now().as_millis());
    }

    /// Lets so much pass.
    pub fn pass(&mut self, rest: Rest) {
        self.now += rest.hold_down.as_millis() as u64 * 5 / 4;
    }
}
