//! The verifier: what can be said about a NAT from the frames on its two sides.
//!
//! Nothing here asks the engine or the NAT function what it did, and no line of theirs is used:
//! headers are found and checksums computed by code of this folder. Only the moment at which a
//! mapping ended, which no frame shows, is taken from the NAT's events.
//!
//! * [`checksum`]: checksums that were right before translation and wrong after it.
//! * [`stray`]: bytes of an outbound packet that are not a NAT's business.
//! * [`tenure`]: public tuples with two owners, and public tuples reused before their hold-down.
//! * [`census`]: whether the engine's books balance, and agree with the tuples that are alive.

pub(crate) mod census;
pub(crate) mod checksum;
pub(crate) mod events;
pub(crate) mod stray;
pub(crate) mod tenure;
pub(crate) mod wire;

/// What was found; every figure but the first is a fault when it is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Findings {
    /// Replies that came back byte for byte as they were captured.
    pub(crate) round_trips: u64,
    /// Replies that came back otherwise.
    pub(crate) round_trip_mismatches: u64,
    /// Checksums that were right before translation and wrong after it.
    pub(crate) bad_checksums: u64,
    /// Public tuples that bore two inside endpoints at one time.
    pub(crate) duplicate_tuples: u64,
    /// Public tuples that bore a new inside endpoint before their hold-down had passed.
    pub(crate) hold_down_violations: u64,
    /// Books of the engine that do not balance, or do not agree with the tuples alive.
    pub(crate) census_errors: u64,
    /// Outbound packets of which more was changed than is a NAT's business.
    pub(crate) stray_changes: u64,
}

impl Findings {
    /// The figures that must be 0, by name.
    pub(crate) fn faults(&self) -> [(&'static str, u64); 6] {
        [
            ("round_trip_mismatches", self.round_trip_mismatches),
            ("bad_checksums", self.bad_checksums),
            ("duplicate_tuples", self.duplicate_tuples),
            ("hold_down_violations", self.hold_down_violations),
            ("census_errors", self.census_errors),
            ("stray_changes", self.stray_changes),
        ]
    }

    /// Whether every figure that must be 0 is.
    pub(crate) fn pass(&self) -> bool {
        self.faults().iter().all(|(_, count)| *count == 0)
    }
}
