//! The engine's census over simulated time, for the report.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use natshard::{Census, Engine};

use crate::report::data::Sample;
use crate::verify::census;

/// The most samples kept.
const MOST: usize = 600;
/// A census reads every open block: this much of the time may be spent on it.
const SHARE: f64 = 0.2;
/// And this much in any case.
const ALLOWANCE: Duration = Duration::from_millis(500);

/// Takes a census now and then, between windows, when no burst is open.
pub(super) struct Sampler {
    /// Whether there is anybody to show it to.
    wanted: bool,
    since: Instant,
    spent: Duration,
    /// Nanoseconds of replay time between samples.
    interval: u64,
    due: u64,
    pub(super) samples: Vec<Sample>,
    /// The most ports of each pool leased in any sample.
    pub(super) peaks: BTreeMap<String, u64>,
    /// What the verifier found wrong with a census.
    pub(super) faults: Vec<String>,
}

impl Sampler {
    /// For a replay that takes so many nanoseconds of its own time, as far as is known.
    pub(super) fn new(wanted: bool, duration: u64) -> Self {
        Sampler {
            wanted,
            since: Instant::now(),
            spent: Duration::ZERO,
            interval: (duration / (MOST as u64 - 8)).max(1),
            due: 0,
            samples: Vec::new(),
            peaks: BTreeMap::new(),
            faults: Vec::new(),
        }
    }

    /// Whether a sample is due at that replay time.
    pub(super) fn is_due(&self, clock: u64) -> bool {
        self.wanted && clock >= self.due && {
            let budget = self.since.elapsed().mul_f64(SHARE) + ALLOWANCE;
            self.spent < budget
        }
    }

    /// Takes a sample. No burst may be open.
    pub(super) fn take(&mut self, engine: &Engine, clock: u64) {
        let started = Instant::now();
        self.keep(&engine.census(), clock);
        self.spent += started.elapsed();
    }

    /// Keeps a census that was taken at that replay time.
    pub(super) fn keep(&mut self, census: &Census, clock: u64) {
        self.faults.extend(census::imbalances(census));
        if !self.wanted {
            return;
        }
        for (name, books) in &census.pools {
            let peak = self.peaks.entry(name.clone()).or_default();
            *peak = books.leased.max(*peak);
        }
        if self.samples.len() == MOST {
            let mut nth = 0;
            self.samples.retain(|_| {
                nth += 1;
                nth % 2 == 1
            });
            self.interval *= 2;
        }
        self.samples.push(Sample {
            at: clock as f64 / 1e9,
            leased: census.total.leased,
            cooling: census.total.cooling,
            unissued: census.total.unissued,
            blocks_free: census.blocks.free,
            blocks_heating: census.blocks.heating,
            blocks_cooling: census.blocks.cooling,
        });
        self.due = clock.saturating_add(self.interval);
    }
}
