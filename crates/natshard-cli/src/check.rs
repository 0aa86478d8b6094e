//! `natshard check`: what is wrong with a configuration, or what was understood of it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueHint};
use comfy_table::{CellAlignment, presets};
use ipnet::IpNet;
use serde_json::json;

use crate::cli::Format;
use crate::config::{self, Faults, Loaded, grouped, plural};
use crate::exit::Exit;
use crate::foreign::{self, plain};
use crate::paint::Table;
use crate::stdin::is_stdin;
use crate::terminal::{Terminal, print};

/// What `natshard check` takes.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Configuration file (TOML), `-` for stdin
    #[arg(value_name = "CONFIG.toml", value_hint = ValueHint::FilePath)]
    pub(crate) config: PathBuf,

    /// How results are written to stdout
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub(crate) format: Format,
}

/// Checks a configuration. As a table the faults are talk and go to stderr, what was understood
/// goes to stdout; as JSON everything goes to stdout.
///
/// # Errors
/// When stdout cannot be written to.
pub(crate) fn run(args: &CheckArgs, terminal: Terminal) -> Result<Exit> {
    let outcome = config::load(&args.config);
    match args.format {
        Format::Json => print(as_json(args, &outcome)?.as_bytes())?,
        Format::Table => match &outcome {
            Ok(loaded) => {
                terminal.say_raw(&loaded.render_warnings(terminal.colored_talk));
                print(understood(loaded).as_bytes())?;
            }
            Err(faults) => terminal.say_raw(&faults.render(terminal.colored_talk)),
        },
    }
    Ok(match outcome {
        Ok(_) => Exit::Ok,
        Err(Faults::Unreadable(_)) => Exit::Failed,
        Err(Faults::Invalid { .. }) => Exit::Configuration,
    })
}

fn as_json(args: &CheckArgs, outcome: &Result<Loaded, Faults>) -> Result<String> {
    let diagnostics = match outcome {
        Ok(loaded) => loaded.warnings_json(),
        Err(faults) => faults.to_json(),
    };
    let file = match is_stdin(&args.config) {
        true => Path::new("stdin"),
        false => &args.config,
    };
    let document = json!({
        "schema_version": 1,
        "file": file.display().to_string(),
        "valid": outcome.is_ok(),
        "diagnostics": diagnostics,
        "configuration": outcome.as_ref().ok().map(Loaded::to_json),
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

/// What was understood of a configuration.
fn understood(loaded: &Loaded) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}, {}, hold-down {} s",
        foreign::path(loaded.path()),
        match loaded.shards() {
            Some(shards) => plural(shards as u64, "shard", "shards"),
            None => "shards as the command line says".into(),
        },
        match loaded.seed() {
            Some(seed) => format!("seed {seed} (predictable ports)"),
            None => "no seed".into(),
        },
        loaded.hold_down().as_secs(),
    );
    let mut pools = table([
        "pool",
        "realm",
        "prefixes",
        "addresses",
        "ports",
        "ports per protocol",
        "identifiers",
        "exclusions",
    ]);
    for pool in loaded.pools() {
        pools.add_row([
            plain(&pool.name).into_owned(),
            plain(&pool.realm).into_owned(),
            lines(&pool.prefixes),
            grouped(pool.addresses),
            format!("{}-{}", pool.ports.start(), pool.ports.end()),
            grouped(pool.port_count),
            format!("{}-{}", pool.identifiers.start(), pool.identifiers.end()),
            pool.exclusions.to_string(),
        ]);
    }
    right(&mut pools, &[3, 5, 7]);
    let mut fair = table(["pool", "grants", "how much"]);
    for pool in loaded.pools() {
        let lines = pool.fair.lines().into_iter();
        let (what, much): (Vec<_>, Vec<_>) = lines
            .map(|(what, much)| (what, plain(&much).into_owned()))
            .unzip();
        if !what.is_empty() {
            fair.add_row([
                plain(&pool.name).into_owned(),
                what.join("\n"),
                much.join("\n"),
            ]);
        }
    }
    let mut vpcs = table(["VPC", "inside prefixes"]);
    for vpc in loaded.vpcs() {
        let prefixes = match vpc.inside.is_empty() {
            true => "none: all of it is outside".into(),
            false => lines(&vpc.inside),
        };
        vpcs.add_row([plain(&vpc.name).into_owned(), prefixes]);
    }
    let mut peerings = table([
        "peering",
        "from",
        "to",
        "mapping",
        "filtering",
        "pooling",
        "ports",
        "TCP pickup",
    ]);
    for peering in loaded.peerings() {
        peerings.add_row([
            plain(peering.name),
            plain(peering.source),
            plain(peering.destination),
            peering.mapping.into(),
            peering.filtering.into(),
            peering.pooling.into(),
            peering.ports.into(),
            peering.pickup.into(),
        ]);
    }
    for table in [pools, fair, vpcs, peerings] {
        if table.row_count() > 0 {
            let _ = writeln!(out, "\n{table}");
        }
    }
    out
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    table
}

fn right(table: &mut Table, columns: &[usize]) {
    for column in columns {
        if let Some(column) = table.column_mut(*column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Most prefixes shown of a pool or VPC.
const PREFIXES: usize = 12;

fn lines(prefixes: &[IpNet]) -> String {
    let mut shown: Vec<String> = prefixes
        .iter()
        .take(PREFIXES)
        .map(IpNet::to_string)
        .collect();
    if prefixes.len() > PREFIXES {
        shown.push(format!("and {} more", prefixes.len() - PREFIXES));
    }
    shown.join("\n")
}
