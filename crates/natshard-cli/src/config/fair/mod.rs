//! What a pool grants to subscribers and tenants: limits, port sets, pairing, deterministic ranges,
//! shares of tenants. From the keys of the file to the policies of a pool, and back to the keys
//! when something is wrong.

mod claims;
mod convert;
pub(super) mod faults;
pub(super) mod lint;
mod model;
mod read;
mod words;

pub(super) use convert::{apply, share};
pub(super) use model::{FairModel, ShareModel};
pub(super) use read::{policies, share as read_share};
pub(crate) use words::Fair;
