//! What `natshard bench` takes.

use clap::{Args, value_parser};

use crate::cli::Format;

pub(crate) const ABOUT: &str = "\
Measure what the allocator costs, beside references in the same run.

All implementations of a case are measured in turn, round after round, in this process, each thread \
pinned to a core of its own; a figure is the median of its rounds, with the minimum and the 99th \
percentile, and a ratio is the median of the ratios of each round. The cost of the harness is a row of \
its own and is in every other row. Switches and pool sizes are printed with each case; what is not \
named is at its default.

The whole run takes less than two minutes. Figures in nanoseconds are this machine's, at this moment; \
on a shared machine only ratios mean something.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  A first look, in less than half a minute:
      natshard bench --quick

  Some cases:
      natshard bench --only own --only batch

  For a script:
      natshard bench --format json |
          jq -r '.results[] | [.case, .implementation, .threads, .ns_per_op.median] | @tsv'";

#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// The most threads to measure with, each on a core of its own; as many as there are cores,
    /// 8 at most, unless said otherwise
    #[arg(long, value_name = "N", value_parser = value_parser!(u16).range(1..=64))]
    pub(super) threads: Option<u16>,

    /// Fewer and shorter rounds, and no large cases: for a first look, not to be quoted
    #[arg(long)]
    pub(super) quick: bool,

    /// Only cases whose name has this in it; may be given several times
    #[arg(long, value_name = "CASE")]
    pub(super) only: Vec<String>,

    /// How results are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(super) format: Format,
}
