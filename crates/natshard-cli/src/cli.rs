//! The command line: what can be asked, and the words that explain it.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use crate::bench::args::{self as bench, BenchArgs};
use crate::check::CheckArgs;
use crate::plan::{self, PlanArgs};
use crate::trace::TraceArgs;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Yellow.on_default().bold())
    .usage(AnsiColor::Yellow.on_default().bold())
    .literal(AnsiColor::Green.on_default())
    .placeholder(AnsiColor::Cyan.on_default());

/// A sharded, lock-free NAT: replay captures through it, check its configuration.
#[derive(Parser, Debug)]
#[command(name = "natshard", version, styles = STYLES, max_term_width = 100)]
#[command(after_help = "\
Data goes to stdout, talk to stderr. Exit codes:
  0  all is well
  1  it failed, or something was not found
  2  the command line is wrong
  3  the configuration is wrong
  4  an invariant of the NAT was violated
  5  a privilege or a feature of the kernel is missing")]
pub(crate) struct Cli {
    /// When to use colours: auto means on a terminal, unless NO_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: ColorChoice,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Run captures through the NAT and verify every packet of it
    #[command(long_about = REPLAY_ABOUT, after_long_help = REPLAY_EXAMPLES)]
    Replay(Box<ReplayArgs>),

    /// Check a configuration: every fault at once, with file, line and what to write instead
    Check(CheckArgs),

    /// Which subscriber had a public address and port at a time
    #[command(long_about = TRACE_ABOUT, after_long_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// How many public addresses so many subscribers need
    #[command(long_about = plan::args::ABOUT, after_long_help = plan::args::EXAMPLES)]
    Plan(Box<PlanArgs>),
    /// Measure what the allocator costs, beside references in the same run
    #[command(long_about = bench::ABOUT, after_long_help = bench::EXAMPLES)]
    Bench(BenchArgs),

    /// Write a completion script for a shell to stdout
    #[command(after_help = "\
Examples:
  natshard completions bash > ~/.local/share/bash-completion/completions/natshard
  natshard completions fish > ~/.config/fish/completions/natshard.fish
  natshard completions zsh  > \"${fpath[1]}/_natshard\"")]
    Completions {
        /// The shell
        shell: Shell,
    },

    /// Write the manual page to stdout, of the program or of one command
    #[command(after_help = "\
Examples:
  natshard man | man -l -
  natshard man replay > natshard-replay.1")]
    Man {
        /// The command whose page to write; without it, the program's own
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

const REPLAY_ABOUT: &str = "\
Run captures through the NAT and verify every packet of it.

A packet from an inside address to an outside one is given to the NAT as it is. A captured reply is \
readdressed to the public tuple that its flow was given, handed to the NAT as a packet from outside, \
and must come back byte for byte as it was captured. The verifier looks at the frames alone: round \
trips, checksums, public tuples with two owners, ports reused before their hold-down; and at the end \
the census of the engine must balance. Any fault ends the program with exit code 4.

Inside are the private addresses (RFC 1918, 100.64.0.0/10, fc00::/7) unless the configuration says \
otherwise. Without a configuration the pools are documentation prefixes that the captures do not use; \
the output names them. What is not translated is counted by reason.

Captures may be pcap or pcapng files of Ethernet (VLAN, PPPoE), raw IP, Linux cooked or loopback frames.";

const REPLAY_EXAMPLES: &str = "\
Examples:
  Replay the sample capture that is part of the program:
      natshard replay

  Several captures, one after the other, through four shards:
      natshard replay --shards 4 monday.pcap tuesday.pcapng

  Each inside host a thousand times, with a report to look at in a browser:
      natshard replay --amplify 1000 --shards 2 --report load.html office.pcapng

  What is captured now:
      tcpdump -c 10000 -w - | natshard replay -

  What went wrong, for a script:
      natshard replay --format json office.pcapng | jq .verify

  See each translated packet as it was inside and as it was outside:
      natshard replay --out translated.pcapng office.pcapng && wireshark translated.pcapng";

const TRACE_ABOUT: &str = "\
Which subscriber had a public address and port at a time.

Reads the event logs that `natshard replay --events` writes, one or many, in any order. Names all who \
are possible: who had the tuple at that time, in each protocol, and who had it so shortly before or \
after that a wrong clock would make it theirs. Says what the logs lack: where they begin and end, events \
that were lost, lines that are missing, and what of the answer that makes uncertain. Deterministic pools \
are computed (RFC 7422), from the parameters in the log or from a configuration.

The exit code is 0 if there is at least one candidate, 1 if there is none.";

const TRACE_EXAMPLES: &str = "\
Examples:
  Who had it? A web server's log says 11:02:07 in Paris, in winter:
      natshard trace nat.jsonl 203.0.113.7:40112 --protocol tcp \\
          --at 2026-01-05T11:02:07+01:00

  Compressed logs, and an answer for a script:
      zcat nat-*.jsonl.gz | natshard trace - 203.0.113.7:40112 \\
          --at 2026-01-05T10:02:07Z --format json

  A deterministic pool needs no log:
      natshard trace --config cgn.toml 203.0.113.7:2001

  And the other way round:
      natshard trace --config cgn.toml --subscriber 17";

/// How results are written to stdout.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people
    Table,
    /// For programs; the key `schema_version` changes when the meaning of a key does
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// Captures, replayed in this order, each beginning when the one before ended; sessions live
    /// on from one to the next; `-` for stdin. Without any, the sample capture that is part of the
    /// program
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) files: Vec<PathBuf>,

    /// Pools, peerings and timeouts; `natshard check` explains what is wrong with one
    #[arg(long, value_name = "C.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,

    /// Write every translated packet twice, as it was inside and as it was outside, on the
    /// interfaces `inside` and `outside`, with its timestamp as captured
    #[arg(long, value_name = "OUT.pcapng", value_hint = ValueHint::FilePath)]
    pub(crate) out: Option<PathBuf>,

    /// Write a page for the browser: ports in use and blocks by phase over time, where each port
    /// fell, drops by reason
    #[arg(long, value_name = "R.html", value_hint = ValueHint::FilePath)]
    pub(crate) report: Option<PathBuf>,

    /// Write who was given which public ports, and when, as JSON lines in the time of the capture;
    /// `natshard trace` reads it
    #[arg(long, value_name = "LOG.jsonl", value_hint = ValueHint::FilePath)]
    pub(crate) events: Option<PathBuf>,

    /// How results are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,

    /// How many shards, each on a thread of its own; 1 unless the configuration says otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=128))]
    pub(crate) shards: Option<u16>,

    /// Turn each inside host into N hosts with addresses of their own, all of which do what the
    /// one was captured doing; each of their flows takes about 600 bytes of memory
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(crate) amplify: u32,

    /// Draw ports and blocks from this seed and let the shards take turns, so that a run can be
    /// repeated exactly. Without it, the operating system's randomness
    #[arg(long, value_name = "S")]
    pub(crate) seed: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn examples_fit_into_a_line_so_that_they_can_be_pasted() {
        // What `max_term_width` of the program is.
        const WIDTH: usize = 100;
        let mut examples = 0;
        for command in Cli::command().get_subcommands() {
            let helps = [command.get_after_help(), command.get_after_long_help()];
            for line in helps.into_iter().flatten().flat_map(|it| {
                let text: Vec<_> = it.to_string().lines().map(str::to_owned).collect();
                text
            }) {
                assert!(line.chars().count() <= WIDTH, "{line}");
                examples += usize::from(line.contains("natshard"));
            }
        }
        assert!(examples > 20, "{examples}");
    }
}
