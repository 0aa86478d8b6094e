//! What `natshard plan` takes.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, ValueEnum, ValueHint, value_parser};

use super::value::{self, Figures};
use crate::cli::Format;

pub(crate) const ABOUT: &str = "\
How many public addresses so many subscribers need, from the tail of their demand.

At the busiest moment each subscriber is active with some probability, whatever the others do, and an \
active one has some number of ports leased or resting. From that law follow, without approximation, the \
probability that the demand exceeds what there is, and the least number of addresses that keeps it below \
--refusal:

  shared  any subscriber may have a port of any address. --refusal bounds the probability that at the \
busiest moment the demand exceeds the pool, and so also the share of requests refused.

  paired  each subscriber keeps to one address (RFC 4787 REQ-2), drawn without regard to the others. \
--refusal bounds the probability that a request is refused: the mean of the demand that exceeds an \
address, over the mean demand.

A limit of the subscriber's own (--max-ports, --max-blocks) refuses before the pool does; what it refuses \
is shown by itself and asks for no address. Beside both stand what the average demand would suggest, and \
fixed port ranges for every subscriber (RFC 7422).

A simulation then confirms it: the same law is drawn from a generator of random numbers, the engine leases \
and refuses, and what it refused is held against what was computed. Where refusals are too rare to wait \
for, heavier demand is drawn and its weight put right (importance sampling).";

pub(crate) const EXAMPLES: &str = "\
Examples:
  A hundred thousand subscribers, a third of them active, 80 ports each on average:
      natshard plan --subscribers 100000 --activity 0.3 --ports 80

  Some are heavy users: one in a hundred has 600 ports or more; in blocks of 128, 8 at most:
      natshard plan --subscribers 100000 --activity 0.3 --ports 80 --ports-p99 600 \\
          --block-size 128 --max-blocks 8

  TCP, UDP and ICMP each have their own ports; ports rest for two minutes after a session:
      natshard plan --subscribers 100000 --activity 0.3 --ports tcp=60,udp=40,icmp=1 \\
          --session-rate tcp=0.5,udp=1 --hold-down 120s

  What a capture shows, for twenty thousand of its hosts:
      natshard plan --subscribers 20000 --from-replay office.pcapng

  For a script:
      natshard plan --subscribers 100000 --activity 30% --ports 80 --format json | jq .addresses";

/// How a subscriber's leases lie over the addresses.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// All of them on one address (RFC 4787 REQ-2)
    Paired,
    /// Anywhere
    Shared,
}

/// Laws of the ports of an active subscriber.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Law {
    /// Spread about as wide as its mean; the default with --ports alone
    Geometric,
    /// A few heavy users among many light ones; the default with --ports-p99
    LogNormal,
    /// All alike, each opening its sessions at random
    Poisson,
    /// Everybody has the mean
    Fixed,
}

/// What `natshard plan` takes.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("demand").required(true).args(["ports", "histogram", "from_replay"])))]
pub(crate) struct PlanArgs {
    /// Subscribers, active or not; with --from-replay as many as the capture has inside hosts,
    /// unless told otherwise
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=1_000_000_000))]
    #[arg(required_unless_present = "from_replay")]
    pub(crate) subscribers: Option<u64>,

    /// The share of the subscribers that is active at the busiest moment: 0.3 or 30%; with
    /// --from-replay that of the capture, unless told otherwise
    #[arg(long, value_name = "SHARE", value_parser = value::probability)]
    #[arg(required_unless_present = "from_replay")]
    pub(crate) activity: Option<f64>,

    /// Ports that an active subscriber has leased at once, on average: of the protocol that needs
    /// most, or of each
    #[arg(long, value_name = "MEAN", value_parser = value::figures, help_heading = "Demand")]
    pub(crate) ports: Option<Figures>,

    /// Ports that one active subscriber in a hundred exceeds
    #[arg(long, value_name = "PORTS", value_parser = value::figures, help_heading = "Demand")]
    #[arg(requires = "ports")]
    pub(crate) ports_p99: Option<Figures>,

    /// The law of the ports of an active subscriber
    #[arg(long, value_name = "LAW", help_heading = "Demand", requires = "ports")]
    pub(crate) distribution: Option<Law>,

    /// Sessions that an active subscriber ends each second, on average; the port of each rests
    /// for the hold-down. Without it no port rests
    #[arg(long, value_name = "RATE", value_parser = value::figures, help_heading = "Demand")]
    #[arg(conflicts_with = "from_replay")]
    pub(crate) session_rate: Option<Figures>,

    /// Take the law from a file: lines of a number of ports and how many active subscribers had
    /// it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Demand")]
    pub(crate) histogram: Option<PathBuf>,

    /// Take activity and law from captures: the NAT runs over them, and the leases that each
    /// inside host has, resting ones included, are counted in the busiest minute. `-` is stdin;
    /// without a file, the sample capture that is part of the program
    #[arg(long, value_name = "FILE", num_args = 0.., value_hint = ValueHint::FilePath, help_heading = "Demand")]
    pub(crate) from_replay: Option<Vec<PathBuf>>,

    /// Which hosts are inside and how long sessions live, for --from-replay
    #[arg(long, value_name = "C.toml", value_hint = ValueHint::FilePath, help_heading = "Demand")]
    #[arg(requires = "from_replay")]
    pub(crate) config: Option<PathBuf>,

    /// How long a released port rests before it can be leased again (RFC 6888 REQ-8): 120s, or
    /// what --config says, unless told otherwise. Only ports of --session-rate and --from-replay
    /// rest
    #[arg(long, value_name = "TIME", value_parser = value::duration, help_heading = "NAT")]
    pub(crate) hold_down: Option<Duration>,

    /// Give each subscriber blocks of so many ports of its own: a power of two
    #[arg(long, value_name = "PORTS", value_parser = value_parser!(u32).range(1..=32_768), help_heading = "NAT")]
    pub(crate) block_size: Option<u32>,

    /// The most blocks of a subscriber, per protocol
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65_536), help_heading = "NAT")]
    #[arg(requires = "block_size")]
    pub(crate) max_blocks: Option<u32>,

    /// The most ports of a subscriber, leased or resting, per protocol (RFC 6888 REQ-4)
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65_536), help_heading = "NAT")]
    pub(crate) max_ports: Option<u32>,

    /// TCP and UDP ports of an address that are given out
    #[arg(long, value_name = "FIRST-LAST", value_parser = value::ports, help_heading = "NAT", default_value = "1024-65535")]
    pub(crate) usable_ports: RangeInclusive<u16>,

    /// ICMP identifiers of an address that are given out
    #[arg(long, value_name = "FIRST-LAST", value_parser = value::ports, help_heading = "NAT", default_value = "0-65535")]
    pub(crate) identifiers: RangeInclusive<u16>,

    /// How a subscriber's leases lie over the addresses; the other way is shown beside it
    #[arg(
        long,
        value_name = "HOW",
        default_value = "paired",
        help_heading = "NAT"
    )]
    pub(crate) pooling: Pooling,

    /// Ports of each subscriber's own range in the deterministic row (RFC 7422); without it as
    /// many as keep what the range refuses below --refusal
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=65_536), help_heading = "NAT")]
    pub(crate) ports_each: Option<u32>,

    /// The refusal probability to plan for: 1e-4 or 0.01%
    #[arg(long, value_name = "P", value_parser = value::refusal, default_value = "1e-4")]
    pub(crate) refusal: f64,

    /// Compute only
    #[arg(long, help_heading = "Simulation")]
    pub(crate) no_simulate: bool,

    /// Moments to simulate with each number of addresses; without it as many as the answer needs,
    /// within bounds
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(10..=1_000_000), help_heading = "Simulation")]
    #[arg(conflicts_with = "no_simulate")]
    pub(crate) moments: Option<u32>,

    /// Where the simulation's random numbers begin
    #[arg(
        long,
        value_name = "S",
        default_value_t = 1,
        help_heading = "Simulation"
    )]
    pub(crate) seed: u64,

    /// How results are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
}
