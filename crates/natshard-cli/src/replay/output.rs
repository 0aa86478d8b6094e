//! A summary as JSON and as tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use anyhow::Result;
use comfy_table::{Attribute, Cell, Color};
use serde_json::json;

use super::summary::{Pool, Summary};
use crate::config::{grouped, plural};
use crate::foreign::plain;
use crate::paint::{Paint, foreign, number, right};

mod shares;

/// The document of schema version 1.
pub(super) fn json(summary: &Summary) -> Result<String> {
    let counts = &summary.counts;
    let findings = &summary.findings;
    let pools: Vec<_> = summary
        .pools
        .iter()
        .map(|Pool { used, leased }| {
            json!({
                "name": used.name,
                "realm": used.realm,
                "prefixes": used.prefixes,
                "ports": used.ports,
                "identifiers": used.identifiers,
                "capacity": used.capacity,
                "leased": leased,
            })
        })
        .collect();
    let document = json!({
        "schema_version": 1,
        "captures": summary.captures,
        "captures_cut_short": summary.cut_short,
        "warnings": summary.warnings,
        "shards": summary.shards,
        "amplify": summary.amplify,
        "seed": summary.seed,
        "pools": pools,
        "packets": {
            "read": counts.read,
            "translated": counts.translated(),
            "inside_to_outside": counts.inside_to_outside,
            "outside_to_inside": counts.outside_to_inside,
            "untouched": counts.untouched,
            "dropped": counts.dropped,
        },
        "sessions": {
            "created": summary.sessions.begun,
            "expired": summary.sessions.ended,
            "peak": summary.sessions.peak,
        },
        "leases": {
            "allocated": summary.leases.begun,
            "released": summary.leases.ended,
            "peak": summary.leases.peak,
            "refused": summary.refused,
            "served_early": summary.served_early,
        },
        "subscribers": summary.shares.subscribers_json(),
        "shares": summary.shares.tenants_json(),
        "refused_hosts": summary.shares.refused_json(),
        "verify": {
            "pass": summary.pass(),
            "round_trips": findings.round_trips,
            "round_trip_mismatches": findings.round_trip_mismatches,
            "bad_checksums": findings.bad_checksums,
            "duplicate_tuples": findings.duplicate_tuples,
            "hold_down_violations": findings.hold_down_violations,
            "census_errors": findings.census_errors,
            "stray_changes": findings.stray_changes,
        },
        "simulated_seconds": summary.simulated.as_secs_f64(),
        "elapsed_ms": u64::try_from(summary.elapsed.as_millis()).unwrap_or(u64::MAX),
        "packets_per_second": summary.packets_per_second().round() as u64,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

/// The tables for people.
pub(super) fn table(summary: &Summary, colored: bool) -> String {
    let paint = Paint { colored };
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {} in {:.1} s of simulated time, replayed by {} in {:.0} ms\n",
        paint.bold(&plain(&summary.title())),
        plural(summary.counts.read, "packet", "packets"),
        summary.simulated.as_secs_f64(),
        plural(summary.shards as u64, "shard", "shards"),
        summary.elapsed.as_secs_f64() * 1e3,
    );
    for section in [
        packets(summary, paint),
        lives(summary, paint),
        pools(summary, paint),
        shares::subscribers(&summary.shares, paint),
        shares::tenants(&summary.shares, paint),
        findings(summary, paint),
    ] {
        if !section.is_empty() {
            out.push_str(&section);
            out.push_str("\n\n");
        }
    }
    let _ = writeln!(
        out,
        "{}  {} packets per second, verifier included",
        match summary.pass() {
            true => paint.color("PASS", 32),
            false => paint.color("FAIL", 31),
        },
        grouped(summary.packets_per_second() as u128),
    );
    out
}

fn share(part: u64, whole: u64) -> Cell {
    let text = match whole {
        0 => String::new(),
        _ => format!("{:.1} %", 100.0 * part as f64 / whole as f64),
    };
    right(text)
}

fn packets(summary: &Summary, paint: Paint) -> String {
    let counts = &summary.counts;
    let mut table = paint.table(&["packets", "", "of all read"]);
    let read = counts.read;
    let mut row = |label: String, value: u64| {
        table.add_row([Cell::new(label), number(value), share(value, read)]);
    };
    row("read".into(), read);
    row("translated".into(), counts.translated());
    row("  inside to outside".into(), counts.inside_to_outside);
    row("  outside to inside".into(), counts.outside_to_inside);
    for (title, reasons) in [
        ("untouched", &counts.untouched),
        ("dropped", &counts.dropped),
    ] {
        row(title.into(), reasons.values().sum());
        for (reason, packets) in by_number(reasons) {
            row(format!("  {reason}"), packets);
        }
    }
    table.to_string()
}

/// The most frequent reason first.
fn by_number(reasons: &BTreeMap<&'static str, u64>) -> Vec<(&'static str, u64)> {
    let mut reasons: Vec<_> = reasons
        .iter()
        .map(|(reason, count)| (*reason, *count))
        .collect();
    reasons.sort_by_key(|(reason, count)| (std::cmp::Reverse(*count), *reason));
    reasons
}

fn lives(summary: &Summary, paint: Paint) -> String {
    let mut table = paint.table(&["", "begun", "ended", "alive at the end", "most at once"]);
    for (label, lives) in [("sessions", summary.sessions), ("leases", summary.leases)] {
        table.add_row([
            Cell::new(label),
            number(lives.begun),
            number(lives.ended),
            number(lives.begun - lives.ended.min(lives.begun)),
            number(lives.peak),
        ]);
    }
    let mut text = table.to_string();
    for (reason, count) in by_number(&summary.refused) {
        let _ = write!(
            text,
            "\n {} refused: {reason}",
            plural(count, "lease", "leases")
        );
    }
    if summary.served_early > 0 {
        let served = plural(summary.served_early, "lease", "leases");
        let _ = write!(text, "\n {served} given before the end of a hold-down");
    }
    text
}

fn pools(summary: &Summary, paint: Paint) -> String {
    let title = match summary.default_pools {
        true => "pools (by default, documentation prefixes)",
        false => "pools",
    };
    let mut table = paint.table(&[title, "prefixes", "ports", "capacity", "leased at the end"]);
    for Pool { used, leased } in &summary.pools {
        table.add_row([
            foreign(&used.name),
            right(used.prefixes.join("\n")),
            right(&used.ports),
            number(used.capacity),
            number(*leased),
        ]);
    }
    table.to_string()
}

fn findings(summary: &Summary, paint: Paint) -> String {
    let findings = &summary.findings;
    let mut table = paint.table(&["verified from the frames alone", ""]);
    table.add_row([
        Cell::new("replies that came back byte for byte"),
        number(findings.round_trips),
    ]);
    let words = [
        "replies that came back otherwise",
        "checksums right before and wrong after",
        "public tuples with two owners at once",
        "public tuples reused before their hold-down",
        "books of the engine that do not balance",
        "outbound packets changed where a NAT has no business",
    ];
    for (words, (_, count)) in words.into_iter().zip(findings.faults()) {
        let cell = match count {
            0 => number(count),
            _ => number(count).fg(Color::Red).add_attribute(Attribute::Bold),
        };
        table.add_row([Cell::new(words), cell]);
    }
    table.to_string()
}
