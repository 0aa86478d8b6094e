//! Fair shares: what one subscriber or tenant may have of a pool.

mod deterministic;
mod policy;

pub use deterministic::Deterministic;
pub use policy::{PortBlocks, SubscriberLimit, TenantShare, Threshold};
