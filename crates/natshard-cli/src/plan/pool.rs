//! The real engine under a demand that is told to it moment by moment.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ipnet::{IpNet, Ipv4Subnets};
use natshard::{
    Engine, EngineConfig, Lease, PoolConfig, Protocol, Reason, Request, Shard, Strictness, Tick,
};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::draw::below;

/// Operations between two looks at the clock.
const BURST: u64 = 1024;
/// Refusals of one source at one moment after which nobody asks any more: nothing is given back meanwhile.
const ENOUGH: u64 = 64;
/// Where the simulated addresses begin; the engine's alone, nothing is sent anywhere.
const FIRST: u32 = 10 << 24;

/// What a source had, and what was asked of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Asked {
    /// What is to be taken at this moment, resting ports included.
    pub(crate) taken: u64,
    /// How many of those rest.
    pub(crate) resting: u64,
}

/// An engine, and the leases of each source: all addresses together, or each by itself.
pub(crate) struct Pool {
    shard: Shard,
    engine: Engine,
    request: Request,
    sources: Vec<Vec<Lease>>,
    paired: bool,
    hold_down: Duration,
    now: u64,
}

impl Pool {
    /// Of so many addresses with those ports, which are asked together, or each by itself.
    ///
    /// # Errors
    /// When the engine does not take the configuration.
    pub(crate) fn new(
        addresses: u32,
        protocol: Protocol,
        ports: RangeInclusive<u16>,
        paired: bool,
        hold_down: Duration,
        seed: u64,
    ) -> Result<Self> {
        let mut pool = PoolConfig::new("plan");
        pool = match protocol {
            Protocol::Icmp => pool.identifiers(ports),
            _ => pool.ports(ports),
        };
        let last = Ipv4Addr::from(FIRST + addresses - 1);
        for prefix in Ipv4Subnets::new(FIRST.into(), last, 0) {
            pool = pool.prefix(IpNet::V4(prefix));
        }
        let config = EngineConfig::new(1).hold_down(hold_down).seed(seed);
        let engine = Engine::new(config.pool(pool)).context("cannot simulate")?;
        let id = engine.pool("plan").context("cannot simulate: no pool")?;
        Ok(Pool {
            shard: engine.shard(0).context("cannot simulate")?,
            engine,
            request: Request::new(id, protocol),
            sources: (0..if paired { addresses } else { 1 })
                .map(|_| Vec::new())
                .collect(),
            paired,
            hold_down,
            now: 0,
        })
    }

    /// Lets so much time pass that every released port has rested.
    pub(crate) fn pass_time(&mut self) {
        // A rested port may be noticed an eighth of the hold-down late.
        let rest = u64::try_from(self.hold_down.as_millis()).unwrap_or(u64::MAX / 4);
        self.now += rest + rest / 4 + 1;
        self.shard.idle(Tick::from_millis(self.now));
    }

    /// Moves the leases of a source to what is asked; says how often the engine refused. What was
    /// released before must have rested.
    pub(crate) fn ask(
        &mut self,
        source: usize,
        asked: Asked,
        random: &mut Xoshiro256PlusPlus,
    ) -> u64 {
        let active = asked.taken - asked.resting;
        let held = self.sources[source].len() as u64;
        let mut to_rest = asked.resting;
        // Whose sessions are over: their ports are the first to rest.
        let ended = held.saturating_sub(active);
        let resting = ended.min(to_rest);
        self.release(source, resting, Reason::Ended, random);
        self.release(source, ended - resting, Reason::Unused, random);
        to_rest -= resting;
        // Then those of sessions that began and ended since.
        let refused = self.lease(source, to_rest);
        self.release(source, to_rest - refused, Reason::Ended, random);
        let held = self.sources[source].len() as u64;
        refused + self.lease(source, active.saturating_sub(held))
    }

    fn lease(&mut self, source: usize, mut count: u64) -> u64 {
        let request = match self.paired {
            true => {
                let address = IpAddr::V4(Ipv4Addr::from(FIRST + source as u32));
                self.request.address(address, Strictness::Strict)
            }
            false => self.request,
        };
        let leases = &mut self.sources[source];
        let mut refused = 0;
        while count > 0 {
            let mut burst = self.shard.burst(Tick::from_millis(self.now));
            for _ in 0..count.min(BURST) {
                match burst.allocate(&request) {
                    Ok(lease) => leases.push(lease),
                    Err(_) => refused += 1,
                }
                count -= 1;
                if refused >= ENOUGH {
                    return refused + count;
                }
            }
        }
        refused
    }

    fn release(
        &mut self,
        source: usize,
        mut count: u64,
        reason: Reason,
        random: &mut Xoshiro256PlusPlus,
    ) {
        let leases = &mut self.sources[source];
        while count > 0 {
            let mut burst = self.shard.burst(Tick::from_millis(self.now));
            let now = count.min(BURST);
            for _ in 0..now {
                let at = below(random, leases.len() as u64) as usize;
                burst.release_with(leases.swap_remove(at), reason);
            }
            count -= now;
        }
    }

    /// Gives everything back; whether the engine's books balance before and after.
    pub(crate) fn finish(mut self, random: &mut Xoshiro256PlusPlus) -> bool {
        let leased: usize = self.sources.iter().map(Vec::len).sum();
        self.shard.idle(Tick::from_millis(self.now));
        let before = self.engine.census().total;
        for source in 0..self.sources.len() {
            let held = self.sources[source].len() as u64;
            self.release(source, held, Reason::Ended, random);
        }
        let after = self.engine.census().total;
        before.balances() && before.leased == leased as u64 && after.balances() && after.leased == 0
    }
}
