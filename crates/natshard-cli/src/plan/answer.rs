//! The plan itself: what each space of ports needs, and which of them decides.

use super::args::Pooling;
use super::size::{Deterministic, Risk, Sizing};

/// Rows of the table that shows how refusals fall with the number of addresses.
const CURVE: u64 = 9;

/// What one space of ports needs.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Needs {
    /// What the average suggests.
    pub(crate) average: u64,
    /// With shared pooling.
    pub(crate) shared: Option<u64>,
    /// With paired pooling; `None` where no number of addresses is enough.
    pub(crate) paired: Option<u64>,
    /// With a range of ports for each; `None` where an address has not even one.
    pub(crate) deterministic: Option<Deterministic>,
}

impl Needs {
    /// What that space needs for that refusal probability.
    pub(crate) fn of(sizing: &Sizing<'_>, refusal: f64, ports_each: Option<u64>) -> Self {
        Needs {
            average: sizing.average(),
            shared: sizing.least(Pooling::Shared, refusal),
            paired: sizing.least(Pooling::Paired, refusal),
            deterministic: sizing.deterministic(ports_each, refusal),
        }
    }

    /// With that pooling.
    pub(crate) fn with(&self, pooling: Pooling) -> Option<u64> {
        match pooling {
            Pooling::Shared => self.shared,
            Pooling::Paired => self.paired,
        }
    }
}

/// What some number of addresses means, whichever the pooling.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Point {
    pub(crate) addresses: u64,
    /// The mean demand over what the addresses have.
    pub(crate) load: f64,
    pub(crate) shared: Risk,
    pub(crate) paired: Risk,
}

/// What that many addresses mean.
pub(crate) fn point(sizing: &Sizing<'_>, addresses: u64) -> Point {
    let (crowd, capacity) = sizing.crowd(Pooling::Shared, addresses);
    Point {
        addresses,
        load: crowd.mean() / capacity as f64,
        shared: sizing.risk(Pooling::Shared, addresses),
        paired: sizing.risk(Pooling::Paired, addresses),
    }
}

/// How refusals fall from the average's number of addresses to a little above the largest need.
pub(crate) fn curve(sizing: &Sizing<'_>, needs: &Needs) -> Vec<Point> {
    let wanted: Vec<u64> = [needs.shared, needs.paired].into_iter().flatten().collect();
    let most = wanted.iter().max().copied().unwrap_or(needs.average);
    let least = needs.average.min(wanted.iter().min().copied().unwrap_or(1));
    let last = most + (most - least) / (CURVE - 1) + 1;
    let spread = (0..CURVE).map(|it| least + (last - least) * it / (CURVE - 1));
    let mut rows: Vec<u64> = spread.collect();
    for need in wanted {
        rows.extend([need.saturating_sub(1).max(1), need]);
    }
    rows.sort_unstable();
    rows.dedup();
    rows.into_iter().map(|it| point(sizing, it)).collect()
}
