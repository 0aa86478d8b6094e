//! What came of a replay.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::counts::Counts;
use super::leases::LeaseSample;
use super::shares::{Shared, Shares};
use crate::config::grouped;
use crate::report::data::{Count, Figure, FigureValue, Flow, PoolUsed, Report, Sample, Verify};
use crate::verify::Findings;

/// What came of a replay.
#[derive(Debug)]
pub(super) struct Summary {
    /// The captures, in order.
    pub(super) captures: Vec<String>,
    /// How many of them ended before their end.
    pub(super) cut_short: u64,
    /// Packets.
    pub(super) counts: Counts,
    /// Sessions.
    pub(super) sessions: Lives,
    /// Leases.
    pub(super) leases: Lives,
    /// Leases refused, by reason.
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Leases given before their hold-down was over, because a limit on resting ports said so.
    pub(super) served_early: u64,
    /// What the verifier found.
    pub(super) findings: Findings,
    /// The same in words, and anything else that must not be.
    pub(super) faults: Vec<String>,
    /// What the user should know.
    pub(super) warnings: Vec<String>,
    /// Packets that were really handled: those that amplification merely counts are not.
    pub(super) handled: u64,
    /// Time it took.
    pub(super) elapsed: Duration,
    /// Time it covered.
    pub(super) simulated: Duration,
    /// The pools, with what was leased of them.
    pub(super) pools: Vec<Pool>,
    /// What subscribers and tenants had of them.
    pub(super) shares: Shares,
    /// Whether they are the default ones.
    pub(super) default_pools: bool,
    /// Worker threads.
    pub(super) shards: usize,
    /// Hosts made of each inside host.
    pub(super) amplify: u32,
    /// The seed, where one was given.
    pub(super) seed: Option<u64>,
    /// Samples of the census.
    pub(super) samples: Vec<Sample>,
    /// Leases, or some of them.
    pub(super) lease_samples: Vec<LeaseSample>,
    /// How many leases there were.
    pub(super) leases_total: u64,
}

/// A pool as it was used.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    /// For the report.
    pub(super) used: PoolUsed,
    /// Ports leased when the traffic ended.
    pub(super) leased: u64,
}

/// How many there were of something that begins and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Lives {
    /// Began.
    pub(super) begun: u64,
    /// Ended, while there was traffic.
    pub(super) ended: u64,
    /// The most at once.
    pub(super) peak: u64,
}

impl Summary {
    /// Whether everything that must hold did.
    pub(super) fn pass(&self) -> bool {
        self.findings.pass() && self.faults.is_empty()
    }

    /// Packets handled per second of the time it took.
    pub(super) fn packets_per_second(&self) -> f64 {
        self.handled as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// What was replayed, in a few words.
    pub(super) fn title(&self) -> String {
        match self.captures.as_slice() {
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
            [] => String::new(),
        }
    }

    /// The same for the page.
    pub(super) fn report(&self, command: &str) -> Report {
        let addresses: BTreeSet<_> = self.lease_samples.iter().map(|it| it.public.ip()).collect();
        let addresses: Vec<_> = addresses.into_iter().collect();
        let flows = self.lease_samples.iter().map(|it| Flow {
            at: it.at.as_millis() as f64 / 1e3,
            address: addresses.binary_search(&it.public.ip()).unwrap_or(0) as u32,
            port: it.public.port(),
            protocol: it.protocol,
        });
        let flows = flows.collect();
        let counts = |by_reason: &BTreeMap<&'static str, u64>| {
            let counts = by_reason.iter().map(|(reason, count)| Count {
                reason: (*reason).into(),
                count: *count,
            });
            counts.collect()
        };
        let count = |label: &str, value: u64, detail: String| Figure {
            label: label.into(),
            value: FigureValue::Count(value),
            detail,
        };
        let lives = |lives: &Lives| {
            format!(
                "{} ended, at most {} at once",
                grouped(lives.ended.into()),
                grouped(lives.peak.into())
            )
        };
        let read = &self.counts;
        let mut notes = self.warnings.clone();
        if self.default_pools {
            notes
                .push("The pools are documentation prefixes; a configuration names others.".into());
        }
        if self.amplify > 1 {
            notes.push(format!("Each inside host stands for {}.", self.amplify));
        }
        let thresholds = self.shares.tenants.iter().filter_map(Shared::reached);
        notes.extend(thresholds.map(|it| format!("{it}.")));
        let subscribers = self.shares.subscribers.as_ref().map(|it| {
            let blocks = it.port_blocks().map(|(assigned, released)| {
                format!(
                    ", {} port blocks assigned, {} given back",
                    grouped(assigned.into()),
                    grouped(released.into())
                )
            });
            let active = grouped(it.active().into());
            let detail = format!("{active} active at the end{}", blocks.unwrap_or_default());
            count("subscribers", it.known, detail)
        });
        Report {
            title: self.title(),
            command: command.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            summary: [
                Some(count(
                    "packets",
                    read.read,
                    format!("in {:.1} s of simulated time", self.simulated.as_secs_f64()),
                )),
                Some(count(
                    "translated",
                    read.translated(),
                    format!(
                        "{} out, {} in",
                        grouped(read.inside_to_outside.into()),
                        grouped(read.outside_to_inside.into())
                    ),
                )),
                Some(count(
                    "sessions",
                    self.sessions.begun,
                    lives(&self.sessions),
                )),
                Some(count("leases", self.leases.begun, lives(&self.leases))),
                subscribers,
                Some(Figure {
                    label: "packets per second".into(),
                    value: FigureValue::Count(self.packets_per_second() as u64),
                    detail: format!(
                        "{} shard{}, verifier included",
                        self.shards,
                        if self.shards == 1 { "" } else { "s" }
                    ),
                }),
            ]
            .into_iter()
            .flatten()
            .collect(),
            verify: Verify {
                round_trips: self.findings.round_trips,
                round_trip_mismatches: self.findings.round_trip_mismatches,
                bad_checksums: self.findings.bad_checksums,
                duplicate_tuples: self.findings.duplicate_tuples,
                hold_down_violations: self.findings.hold_down_violations,
                census_errors: self.findings.census_errors,
            },
            samples: self.samples.clone(),
            addresses,
            flows,
            flows_total: self.leases_total,
            dropped: counts(&read.dropped),
            untouched: counts(&read.untouched),
            refused: counts(&self.refused),
            pools: self.pools.iter().map(|it| it.used.clone()).collect(),
            notes,
        }
    }
}
