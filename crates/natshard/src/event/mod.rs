//! Events: what operators log and are warned of, with the numbers of RFC 8158 where they exist.
//!
//! Each shard writes to a bounded ring of its own and never waits: an event that finds the ring
//! full is counted as lost. One reader drains all rings into an [`EventSink`].

mod alarms;
mod books;
mod changes;
mod config;
mod kind;
mod reader;
mod ring;

pub(crate) use alarms::Alarms;
pub use books::{EventBooks, EventContradiction, PoolBooks};
pub(crate) use changes::Changes;
pub use config::EventConfig;
pub use kind::{Event, EventKind, Holder, Limit, PoolChange, PortRange};
pub use reader::{EventReader, EventSink};
pub(crate) use ring::EventRings;
