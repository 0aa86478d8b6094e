//! Writes an event log.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use natshard::{Event, EventKind, Holder, PoolChange, PoolId, Protocol, Tick};
use serde::Serialize;

use super::pool::LoggedPool;
use super::record::{Clock, End, EventRecord, Header, Lost, Written};
use super::stamp::Stamp;

/// What a reader of the engine's events got: some events, or news of some that were lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    /// An event.
    Event(Event),
    /// So many were lost.
    Lost {
        /// Of this shard, or dropped outside of any.
        shard: Option<usize>,
        /// How many.
        events: u64,
        /// None of them happened before this engine time.
        since: Tick,
        /// Nor any after it.
        until: Tick,
    },
}

/// The names that a log uses.
pub(crate) trait Names {
    /// Of a pool.
    fn pool(&self, pool: PoolId) -> Cow<'_, str>;
    /// Of a subscriber of it.
    fn subscriber(&self, pool: PoolId, subscriber: u64) -> Cow<'_, str>;
    /// The configuration of a pool that is written of as added or changed.
    fn configuration(&self, pool: PoolId) -> Option<LoggedPool>;
}

/// A log that is being written.
pub(crate) struct EventLog<W> {
    out: W,
    /// Lines so far.
    number: u64,
    clock: Option<Clock>,
    events: u64,
    lost: u64,
    by_name: BTreeMap<&'static str, u64>,
}

impl<W: Write> EventLog<W> {
    /// Begins a log.
    ///
    /// # Errors
    /// When it cannot be written to.
    pub(crate) fn begin(out: W, header: &Header) -> io::Result<Self> {
        let mut log = EventLog {
            out,
            number: 0,
            clock: None,
            events: 0,
            lost: 0,
            by_name: BTreeMap::new(),
        };
        log.line("header", header)?;
        Ok(log)
    }

    /// From here on the wall clock is this; nothing that happens earlier comes after it.
    ///
    /// # Errors
    /// When the log cannot be written to.
    pub(crate) fn clock(&mut self, clock: Clock) -> io::Result<()> {
        self.line("clock", &clock)?;
        self.clock = Some(clock);
        Ok(())
    }

    /// Writes an event, or that some were lost.
    ///
    /// # Errors
    /// When the log cannot be written to.
    pub(crate) fn tell(&mut self, told: &Told, names: &impl Names) -> io::Result<()> {
        match *told {
            Told::Event(ref event) => {
                self.events += 1;
                *self.by_name.entry(event.kind.name()).or_default() += 1;
                let record = record(event, self.number, self.stamp(event.at), names);
                self.write(&record)
            }
            Told::Lost {
                shard,
                events,
                since,
                until,
            } => {
                self.lost += events;
                let record = Lost {
                    since: self.stamp(since),
                    since_engine_ms: since.as_millis(),
                    time: self.stamp(until),
                    engine_ms: until.as_millis(),
                    shard,
                    lost: events,
                };
                self.line("lost", &record)
            }
        }
    }

    /// Writes that the run ended at that engine time, and gives the output back.
    ///
    /// # Errors
    /// When the log cannot be written to.
    pub(crate) fn end(mut self, at: Tick) -> io::Result<W> {
        let by_name = std::mem::take(&mut self.by_name).into_iter();
        let end = End {
            time: self.stamp(at),
            engine_ms: at.as_millis(),
            events: self.events,
            lost: self.lost,
            by_name: by_name.map(|(name, count)| (name.into(), count)).collect(),
        };
        self.line("end", &end)?;
        self.out.flush()?;
        Ok(self.out)
    }

    /// Events lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// The wall clock at an engine time.
    fn stamp(&self, at: Tick) -> Stamp {
        match &self.clock {
            None => Stamp::default().after(at.as_millis()),
            Some(clock) => match at.as_millis().checked_sub(clock.engine_ms) {
                Some(later) => clock.time.after(later),
                None => clock.time.before(clock.engine_ms - at.as_millis()),
            },
        }
    }

    fn line(&mut self, record: &'static str, rest: &impl Serialize) -> io::Result<()> {
        let number = self.number;
        self.write(&Written {
            record,
            number,
            rest,
        })
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.number += 1;
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

/// An event as a line of the log.
fn record<'a>(event: &Event, number: u64, time: Stamp, names: &'a impl Names) -> EventRecord<'a> {
    let mut record = EventRecord {
        record: "event".into(),
        number,
        time,
        engine_ms: event.at.as_millis(),
        sequence: event.sequence,
        event: event.kind.number(),
        name: event.kind.name().into(),
        pool: names.pool(event.pool),
        protocol: None,
        subscriber: None,
        holder: None,
        quota_event: event.kind.quota_number(),
        limit: None,
        limit_of: None,
        tenant: None,
        address: None,
        ports: None,
        threshold_event: None,
        blocks_held: None,
        blocks: None,
        change: None,
        configuration: None,
    };
    let of = |protocol: Protocol| Some(Cow::Borrowed(word(protocol)));
    let who = |subscriber| Some(names.subscriber(event.pool, subscriber));
    match event.kind {
        EventKind::AddressesExhausted { protocol } => record.protocol = of(protocol),
        EventKind::PortAssigned {
            protocol,
            public,
            subscriber,
        }
        | EventKind::PortReleased {
            protocol,
            public,
            subscriber,
        } => {
            record.protocol = of(protocol);
            record.subscriber = subscriber.and_then(who);
            record.address = Some(public.ip());
            record.ports = Some((public.port(), public.port()));
        }
        EventKind::PortsExhausted { protocol, address } => {
            record.protocol = of(protocol);
            record.address = Some(address);
        }
        EventKind::QuotaExceeded {
            protocol,
            holder,
            limit,
        } => {
            record.protocol = of(protocol);
            record.limit = Some(limit.amount());
            record.limit_of = Some(limit.name().into());
            let word = match holder {
                Holder::Subscriber(subscriber) => {
                    record.subscriber = who(subscriber);
                    "subscriber"
                }
                Holder::Tenant(tenant) => {
                    record.tenant = Some(tenant);
                    "tenant"
                }
                Holder::Control => "control",
                Holder::Others => "others",
            };
            record.holder = Some(word.into());
        }
        EventKind::SubscribersExceeded { limit } => {
            record.limit = Some(limit);
            record.limit_of = Some("subscribers".into());
        }
        EventKind::PoolConfigured { change } => {
            record.change = Some(change.name().into());
            record.configuration = match change {
                PoolChange::Removed => None,
                _ => names.configuration(event.pool).map(Box::new),
            };
        }
        EventKind::AddressBound {
            subscriber,
            address,
        }
        | EventKind::AddressUnbound {
            subscriber,
            address,
        } => {
            record.subscriber = who(subscriber);
            record.address = Some(address);
        }
        EventKind::PortBlockAssigned { subscriber, ports }
        | EventKind::PortBlockReleased { subscriber, ports } => {
            record.protocol = of(ports.protocol);
            record.subscriber = who(subscriber);
            record.address = Some(ports.address);
            record.ports = Some((ports.first, ports.last));
        }
        EventKind::ThresholdRaised {
            protocol,
            held,
            blocks,
        }
        | EventKind::ThresholdCleared {
            protocol,
            held,
            blocks,
        } => {
            let is_raised = matches!(event.kind, EventKind::ThresholdRaised { .. });
            record.threshold_event = Some(if is_raised { 1 } else { 2 });
            record.protocol = of(protocol);
            record.blocks_held = Some(held);
            record.blocks = Some(blocks);
        }
        // Later kinds have a number and a name at least.
        _ => {}
    }
    record
}

fn word(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "tcp",
        Protocol::Udp => "udp",
        Protocol::Icmp => "icmp",
    }
}
