//! The engine's events on their way to the log.
//!
//! The rings of the engine are bounded, and a replay must not lose an event because nobody looked:
//! so every worker drains them while it works, often enough that what can happen between two looks
//! fits. What is drained waits here until all workers are between two windows, and is then in the
//! order of its numbers.

use std::borrow::Cow;
use std::io::BufWriter;
use std::mem;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result};
use natshard::{Engine, Event, EventBooks, EventConfig, EventReader, EventSink, PoolId, Tick};
use natshard_nat::{NatPool, Subscriber, SubscriberName, VpcId};

use super::plan::Plan;
use crate::capture::{Segment, Target};
use crate::events::{Clock, EventLog, Header, LoggedPool, Names, SCHEMA_VERSION, Stamp, Told};

/// Events that all rings together hold.
const CAPACITY: usize = 1 << 20;
/// The fewest that one holds.
const LEAST: usize = 1 << 14;
/// After so many of its own doings a worker drains.
pub(super) const OFTEN: u32 = 1 << 10;

/// Where the workers put what they drain.
pub(crate) struct Tap(Mutex<Drained>);

struct Drained {
    reader: EventReader,
    waiting: Waiting,
    closed: bool,
}

#[derive(Default)]
struct Waiting {
    events: Vec<Event>,
    lost: Vec<(Option<usize>, u64)>,
}

impl EventSink for Waiting {
    fn event(&mut self, event: &Event) {
        self.events.push(*event);
    }

    fn lost(&mut self, shard: Option<usize>, events: u64) {
        match self.lost.iter_mut().find(|it| it.0 == shard) {
            Some((_, sum)) => *sum += events,
            None => self.lost.push((shard, events)),
        }
    }
}

impl Tap {
    /// What an engine of so many shards is to tell.
    pub(super) fn config(plan: &Plan) -> EventConfig {
        let capacity = (CAPACITY / plan.shards).max(LEAST);
        EventConfig::new(capacity).leases(tells_leases(plan))
    }

    /// Of an engine that was told to tell.
    pub(super) fn new(engine: &Engine) -> Option<Self> {
        let drained = Drained {
            reader: engine.events()?,
            waiting: Waiting::default(),
            closed: false,
        };
        Some(Tap(Mutex::new(drained)))
    }

    /// Empties the rings.
    pub(super) fn drain(&self) {
        let mut drained = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Drained {
            reader,
            waiting,
            closed,
        } = &mut *drained;
        match closed {
            false => reader.drain(waiting),
            true => reader.drain(&mut |_: &Event| {}),
        };
    }

    /// What happens from now on is not for the log.
    pub(super) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
    }

    /// What was drained since the last call, in order; nobody may be at work.
    fn take(&self) -> Waiting {
        self.drain();
        let mut drained = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut waiting = mem::take(&mut drained.waiting);
        waiting.events.sort_unstable_by_key(|it| it.sequence);
        waiting
    }
}

/// Whether leases must be told one by one: where neither port blocks nor a computation would say
/// it all.
fn tells_leases(plan: &Plan) -> bool {
    plan.nat.pools().iter().any(|pool| {
        let policies = pool.policies();
        policies.port_blocks.is_none() && policies.deterministic.is_none()
    })
}

/// The log of a replay.
pub(super) struct Log<'c> {
    tap: &'c Tap,
    log: EventLog<BufWriter<Target>>,
    names: PlanNames<'c>,
    path: &'c Path,
    /// Captures of which the log has the clock.
    clocks: usize,
    /// Engine time of the last window that is done.
    done: Tick,
    /// What the events come to.
    books: EventBooks,
}

/// What the log calls pools and subscribers.
struct PlanNames<'c> {
    pools: Vec<(PoolId, &'c NatPool)>,
    vpcs: &'c [(VpcId, String)],
}

impl PlanNames<'_> {
    fn find(&self, pool: PoolId) -> Option<&NatPool> {
        let mut all = self.pools.iter();
        all.find(|(id, _)| *id == pool).map(|(_, pool)| *pool)
    }
}

impl Names for PlanNames<'_> {
    fn pool(&self, pool: PoolId) -> Cow<'_, str> {
        match self.find(pool) {
            Some(pool) => pool.name().into(),
            None => pool.to_string().into(),
        }
    }

    fn configuration(&self, pool: PoolId) -> Option<LoggedPool> {
        self.find(pool).map(LoggedPool::of)
    }

    /// The inside address; with its VPC in front where there are several.
    fn subscriber(&self, pool: PoolId, subscriber: u64) -> Cow<'_, str> {
        let number = Subscriber::from_number(subscriber);
        let name = self
            .find(pool)
            .and_then(|pool| pool.numbering().name(number));
        let text = match name {
            None => subscriber.to_string(),
            Some(SubscriberName::V4 {
                vpc: Some(vpc),
                host,
            }) if self.vpcs.len() > 1 => {
                let of = self.vpcs.iter().find(|(id, _)| *id == vpc);
                of.map_or_else(
                    || format!("{vpc}/{host}"),
                    |(_, name)| format!("{name}/{host}"),
                )
            }
            Some(SubscriberName::V4 { host, .. }) => host.to_string(),
            Some(name) => name.to_string(),
        };
        text.into()
    }
}

impl<'c> Log<'c> {
    /// Begins the log of a replay.
    ///
    /// # Errors
    /// When the file cannot be created.
    pub(super) fn begin(
        path: &'c Path,
        tap: &'c Tap,
        engine: &Engine,
        plan: &'c Plan,
    ) -> Result<Self> {
        let cannot = || format!("cannot write {}", path.display());
        let target = Target::open(path).with_context(cannot)?;
        let pools = plan.nat.pools();
        let header = Header {
            schema_version: SCHEMA_VERSION,
            program: format!("natshard {}", env!("CARGO_PKG_VERSION")),
            leases: tells_leases(plan),
            hold_down_ms: plan.hold_down.as_millis() as u64,
            clock_resolution_ms: super::reader::WINDOW,
            shards: plan.shards,
            pools: pools.iter().map(LoggedPool::of).collect(),
        };
        let id = |pool: &'c NatPool| Some((engine.pool(pool.name())?, pool));
        let names = PlanNames {
            pools: pools.iter().filter_map(id).collect(),
            vpcs: &plan.inside_vpcs,
        };
        let out = BufWriter::with_capacity(1 << 16, target);
        Ok(Log {
            tap,
            log: EventLog::begin(out, &header).with_context(cannot)?,
            names,
            path,
            clocks: 0,
            done: Tick::ZERO,
            books: EventBooks::default(),
        })
    }

    /// Writes what the windows so far told; nobody may be at work, and the last window was of
    /// that time.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub(super) fn write(&mut self, segments: &[Segment], until: Tick) -> Result<()> {
        let waiting = self.tap.take();
        let (since, path) = (self.done, self.path);
        self.done = until;
        let mut write = || -> std::io::Result<()> {
            for event in &waiting.events {
                self.books.event(event);
                self.clocks_until(segments, event.at)?;
                self.log.tell(&Told::Event(*event), &self.names)?;
            }
            for &(shard, events) in &waiting.lost {
                self.books.lost(shard, events);
                let lost = Told::Lost {
                    shard,
                    events,
                    since,
                    until,
                };
                self.log.tell(&lost, &self.names)?;
            }
            Ok(())
        };
        write().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Where the engine and its events disagree, now that nobody is at work.
    pub(super) fn faults(&self, engine: &Engine, plan: &Plan) -> Vec<String> {
        crate::verify::events::faults(engine, &self.books, tells_leases(plan))
    }

    /// Ends the log at the time of the last window and gives the file its name; says how many
    /// events were lost.
    ///
    /// # Errors
    /// When the file cannot be written to.
    pub(super) fn finish(mut self, segments: &[Segment]) -> Result<u64> {
        let until = self.done;
        let (path, lost) = (self.path, self.log.lost());
        let finish = move || -> Result<()> {
            self.clocks_until(segments, until)?;
            let out = self.log.end(until)?;
            out.into_inner().map_err(|it| it.into_error())?.finish()
        };
        finish().with_context(|| format!("cannot write {}", path.display()))?;
        Ok(lost)
    }

    /// Sets the clock by every capture that begins at that time or before.
    fn clocks_until(&mut self, segments: &[Segment], at: Tick) -> std::io::Result<()> {
        while let Some(segment) = segments.get(self.clocks) {
            let engine_ms = segment.clock / 1_000_000;
            if engine_ms > at.as_millis() {
                break;
            }
            self.log.clock(Clock {
                time: Stamp::from_nanos(segment.at),
                engine_ms,
                capture: Some(segment.name.clone()),
            })?;
            self.clocks += 1;
        }
        Ok(())
    }
}
