//! Captures in and out: pcap and pcapng.
//!
//! Frames come from anywhere, so reading trusts nothing: a record's length is believed only as
//! far as bytes arrive, a damaged file gives what stands before the damage, and every complaint
//! names the byte offset.

mod error;
mod pcapng;
mod reader;
mod sequence;
mod target;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use error::Complaint;
pub(crate) use sequence::{Frame, Segment, Sequence, Source};
pub(crate) use target::Target;
pub(crate) use writer::{Side, Writer};
