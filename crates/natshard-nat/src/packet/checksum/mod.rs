//! Internet checksums: incremental update and, apart from it, verification from scratch.

mod verify;

pub use verify::{ChecksumState, Verdict, verify};
