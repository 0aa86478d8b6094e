//! What a report shows: plain data, filled in by whoever ran the captures.

use std::net::IpAddr;

use natshard::Protocol;

/// Everything one HTML report shows. Times are simulated seconds since the first packet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Report {
    /// The headline, for instance the names of the captures.
    pub(crate) title: String,
    /// The command line that made the report, as a shell would take it.
    pub(crate) command: String,
    /// The program's version.
    pub(crate) version: String,
    /// Headline figures, in the order in which they are to be shown.
    pub(crate) summary: Vec<Figure>,
    /// What the verifier found.
    pub(crate) verify: Verify,
    /// Samples of the engine's census, ascending in time.
    pub(crate) samples: Vec<Sample>,
    /// The public addresses that [`Flow::address`] points into.
    pub(crate) addresses: Vec<IpAddr>,
    /// Where the public port of each flow fell, in order of lease; all of them, or, where the
    /// collector kept a sample only, as many of `flows_total` as it kept.
    pub(crate) flows: Vec<Flow>,
    /// How many flows there were altogether, at least `flows.len()`.
    pub(crate) flows_total: u64,
    /// Packets that were dropped, by reason.
    pub(crate) dropped: Vec<Count>,
    /// Packets that passed untouched, by reason.
    pub(crate) untouched: Vec<Count>,
    /// Leases that were refused, by reason.
    pub(crate) refused: Vec<Count>,
    /// The pools used.
    pub(crate) pools: Vec<PoolUsed>,
    /// Anything the reader must know to read the figures rightly, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// One headline figure.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// What it is, for instance `packets translated`.
    pub(crate) label: String,
    /// The figure.
    pub(crate) value: FigureValue,
    /// A line of explanation below it; may be empty.
    pub(crate) detail: String,
}

/// The value of a [`Figure`].
#[derive(Clone, Debug)]
pub(crate) enum FigureValue {
    /// A count, shown with thousands set apart.
    Count(u64),
    /// Anything else, shown as it is, unit included.
    Text(String),
}

/// What the verifier found; every figure but the first is a fault when it is not 0.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Verify {
    /// Packets that came back out byte for byte as they were captured.
    pub(crate) round_trips: u64,
    /// Packets that came back changed, or not at all.
    pub(crate) round_trip_mismatches: u64,
    /// Checksums right before translation and wrong after it.
    pub(crate) bad_checksums: u64,
    /// Public tuples that two live flows had at once.
    pub(crate) duplicate_tuples: u64,
    /// Ports leased again before their hold-down had passed.
    pub(crate) hold_down_violations: u64,
    /// Times the census did not balance.
    pub(crate) census_errors: u64,
}

/// The state of the engine at one moment: ports of all pools, blocks of opened addresses.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// When, in simulated seconds since the first packet.
    pub(crate) at: f64,
    /// Ports leased (in use).
    pub(crate) leased: u64,
    /// Released ports that rest, or have rested and were not taken again yet.
    pub(crate) cooling: u64,
    /// Ports in a shard's heating block that were not leased yet.
    pub(crate) unissued: u64,
    /// Free blocks.
    pub(crate) blocks_free: u64,
    /// Blocks that some shard allocates from.
    pub(crate) blocks_heating: u64,
    /// Blocks handed out, waiting to be reclaimed.
    pub(crate) blocks_cooling: u64,
}

/// Where the public port of one flow fell.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    /// When it was leased, in simulated seconds since the first packet.
    pub(crate) at: f64,
    /// Index into [`Report::addresses`].
    pub(crate) address: u32,
    /// The public port, or the ICMP identifier.
    pub(crate) port: u16,
    /// The space the port belongs to.
    pub(crate) protocol: Protocol,
}

/// A count by reason.
#[derive(Clone, Debug)]
pub(crate) struct Count {
    /// The reason, as it is spelled in the JSON output.
    pub(crate) reason: String,
    /// How often.
    pub(crate) count: u64,
}

/// One pool, as it was used.
#[derive(Clone, Debug)]
pub(crate) struct PoolUsed {
    /// Its name.
    pub(crate) name: String,
    /// Its realm.
    pub(crate) realm: String,
    /// Its prefixes, as text.
    pub(crate) prefixes: Vec<String>,
    /// TCP and UDP ports, for instance `1024-65535`.
    pub(crate) ports: String,
    /// ICMP identifiers, for instance `0-65535`.
    pub(crate) identifiers: String,
    /// Ports of all protocols that it could give, exclusions taken off.
    pub(crate) capacity: u64,
    /// The most leased at once, where that is known.
    pub(crate) peak_leased: Option<u64>,
}
