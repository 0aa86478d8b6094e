//! The lines of an event log, one JSON object each.
//!
//! Every line has `record`, what it is, and `number`, which counts the lines of one run from 0:
//! a number that is missing is a line that is missing. A header begins a run. Lines of a kind that
//! is not known here are for later readers, and are passed over.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::pool::LoggedPool;
use super::stamp::Stamp;

/// What `schema_version` of a log says; it changes when the meaning of a key does.
pub(crate) const SCHEMA_VERSION: u64 = 1;

/// What every line has.
#[derive(Deserialize, Debug)]
pub(crate) struct Line<'a> {
    /// What it is.
    #[serde(borrow)]
    pub(crate) record: Cow<'a, str>,
    /// Which of its run.
    pub(crate) number: u64,
}

/// What headers of all versions have: enough to say that one is of another version.
#[derive(Deserialize, Debug)]
pub(crate) struct Version<'a> {
    /// [`SCHEMA_VERSION`] of the program that wrote it.
    pub(crate) schema_version: u64,
    /// What wrote it.
    #[serde(borrow)]
    pub(crate) program: Cow<'a, str>,
}

/// `header`: what wrote the log, and over what.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// [`SCHEMA_VERSION`].
    pub(crate) schema_version: u64,
    /// What wrote it.
    pub(crate) program: String,
    /// Whether each lease and release is told, or port blocks only.
    pub(crate) leases: bool,
    /// How long a released port rests.
    pub(crate) hold_down_ms: u64,
    /// How much later than an event's time it may have happened.
    pub(crate) clock_resolution_ms: u64,
    /// How many shards there are.
    pub(crate) shards: usize,
    /// The pools.
    pub(crate) pools: Vec<LoggedPool>,
}

/// `clock`: from here on, engine time is this time of the wall clock.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Clock {
    /// The wall clock.
    pub(crate) time: Stamp,
    /// Engine time.
    pub(crate) engine_ms: u64,
    /// What is replayed, or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capture: Option<String>,
}

/// `event`: one event.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct EventRecord<'a> {
    /// `event`.
    #[serde(borrow)]
    pub(crate) record: Cow<'a, str>,
    /// Which line of its run.
    pub(crate) number: u64,
    /// The wall clock.
    pub(crate) time: Stamp,
    /// Engine time.
    pub(crate) engine_ms: u64,
    /// The order in which events happened.
    pub(crate) sequence: u64,
    /// natEvent (IPFIX information element 230) of RFC 8158, which has no number for mappings of
    /// IPv6 to IPv6.
    pub(crate) event: Option<u8>,
    /// The same in a word.
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    /// The pool.
    #[serde(borrow)]
    pub(crate) pool: Cow<'a, str>,
    /// `tcp`, `udp` or `icmp`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub(crate) protocol: Option<Cow<'a, str>>,
    /// Who.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub(crate) subscriber: Option<Cow<'a, str>>,
    /// Whose limit was met: `subscriber`, `tenant`, `control` or `others`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub(crate) holder: Option<Cow<'a, str>>,
    /// natQuotaExceededEvent (IPFIX information element 466) of RFC 8158, which has numbers for
    /// subscribers only.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) quota_event: Option<u8>,
    /// How much the limit that was met allows (maxEntriesPerUser and maxSubscribers, IPFIX
    /// information elements 473 and 474, where there is a `quota_event`),
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) limit: Option<u32>,
    /// and of what: `ports`, `ports_in_all`, `port_blocks`, `port_blocks_in_all`, `range`,
    /// `blocks`, `unguaranteed` or `subscribers`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub(crate) limit_of: Option<Cow<'a, str>>,
    /// The tenant whose limit was met.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) tenant: Option<u32>,
    /// The public address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) address: Option<IpAddr>,
    /// The first and the last port, or identifier.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) ports: Option<(u16, u16)>,
    /// natThresholdEvent (IPFIX information element 467) of RFC 8158.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) threshold_event: Option<u8>,
    /// Blocks held.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) blocks_held: Option<u64>,
    /// Blocks there are.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) blocks: Option<u64>,
    /// What became of the pool's configuration: `added`, `changed` or `removed`.
    #[serde(borrow, skip_serializing_if = "Option::is_none", default)]
    pub(crate) change: Option<Cow<'a, str>>,
    /// The configuration of the pool from now on.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) configuration: Option<Box<LoggedPool>>,
}

/// `lost`: events that happened and are not in the log.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Lost {
    /// They happened at this time or later,
    pub(crate) since: Stamp,
    /// in engine time,
    pub(crate) since_engine_ms: u64,
    /// and not later than this.
    pub(crate) time: Stamp,
    /// In engine time.
    pub(crate) engine_ms: u64,
    /// The shard that told them; none for leases dropped outside of any.
    pub(crate) shard: Option<usize>,
    /// How many.
    pub(crate) lost: u64,
}

/// `end`: the run ended here, nothing is missing after this.
#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct End {
    /// The wall clock.
    pub(crate) time: Stamp,
    /// Engine time.
    pub(crate) engine_ms: u64,
    /// Events in the log.
    pub(crate) events: u64,
    /// Events lost.
    pub(crate) lost: u64,
    /// Events in the log by name.
    pub(crate) by_name: BTreeMap<String, u64>,
}

/// A line as it is written: its kind, its number, and the rest.
#[derive(Serialize)]
pub(super) struct Written<'a, T> {
    pub(super) record: &'static str,
    pub(super) number: u64,
    #[serde(flatten)]
    pub(super) rest: &'a T,
}
