//! Fair shares: what one subscriber or tenant may have of a pool.
//!
//! ```text
//!   Request ──> leasing ────> account: charge, or refuse      Table ─> Account ─> Active
//!                  │                                            (per pool and subscriber)
//!                  ├─ ranges   deterministic (RFC 7422): which ports, by computation
//!                  ├─ assign   port blocks: take from one's own, or have one assigned ─> Titles
//!                  ├─ pair     one public address per subscriber
//!                  └─ (none)   any port of the pool
//! ```

mod account;
mod actives;
mod assign;
pub(crate) mod check;
mod counts;
pub(crate) mod deterministic;
mod holdings;
mod leasing;
mod pair;
mod places;
mod policy;
pub(crate) mod quota;
mod ranges;
mod retire;
mod sets;
mod share;
mod sharing;
mod subscribe;
mod subscribers;
mod table;
mod tally;
mod tenancy;
pub(crate) mod titles;
pub(crate) mod unit;
mod view;

pub(crate) use account::{Books, Pairing};
pub(crate) use assign::Assigning;
pub use deterministic::{Deterministic, DeterministicMap};
pub use holdings::{PoolShares, ShareCensus};
pub(crate) use holdings::{in_blocks, in_books};
pub(crate) use leasing::Leasing;
pub use policy::{PortBlocks, SubscriberLimit, TenantShare, Threshold};
pub(crate) use retire::PER_IDLE;
pub(crate) use share::Claimed;
pub(crate) use sharing::{Claimant, Seats, Sharing};
pub(crate) use subscribe::SubscriberPolicy;
pub(crate) use subscribers::census as subscribers_census;
pub use subscribers::{SubscriberCensus, SubscriberPorts};
pub(crate) use table::Table;
pub(crate) use tally::Tally;
pub(crate) use tenancy::{Tenancies, Tenancy};
pub(crate) use titles::Titles;
pub(crate) use unit::{QUARTER, QUARTERS};
pub use view::PoolPolicies;
