//! Fair shares: what one subscriber or tenant may have of a pool.

pub(crate) mod check;
pub(crate) mod deterministic;
mod policy;

pub use deterministic::{Deterministic, DeterministicMap};
pub use policy::{PortBlocks, SubscriberLimit, TenantShare, Threshold};
