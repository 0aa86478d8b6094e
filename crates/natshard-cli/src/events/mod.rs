//! The event log: JSON lines, written by `replay --events` and read by `trace`.

mod pool;
mod record;
mod stamp;
mod writer;

#[cfg(test)]
pub(crate) use pool::LoggedDeterministic;
pub(crate) use pool::LoggedPool;
pub(crate) use record::{Clock, End, EventRecord, Header, Line, Lost, SCHEMA_VERSION, Version};
pub(crate) use stamp::{Asked, Stamp};
pub(crate) use writer::{EventLog, Names, Told};
