//! Results for programs.

use anyhow::Result;
use serde_json::{Map, Value, json};

use super::Results;
use super::latency::{self, Tail};
use super::measure::Measured;
use super::pools::BURST;

/// The document of schema version 1.
pub(super) fn render(results: &Results) -> Result<String> {
    let rows = results
        .cases
        .iter()
        .flat_map(|(_, measured)| measured.iter().map(row));
    let document = json!({
        "schema_version": 1,
        "machine": results.machine.json(),
        "version": env!("CARGO_PKG_VERSION"),
        "quick": results.settings.quick,
        "threads": results.settings.threads,
        "pinned": results.pinned,
        "burst": BURST,
        "round_seconds": results.effort.round.as_secs_f64(),
        "elapsed_seconds": results.seconds,
        "cases": results.cases.iter().map(|(case, _)| json!({
            "case": case.name,
            "about": case.about,
            "switches": case.switches,
            "baseline": case.baseline,
            "baseline_setting": case.baseline_setting,
        })).collect::<Vec<_>>(),
        "results": rows.collect::<Vec<_>>(),
        "latency": results.tails.iter().map(tail).collect::<Vec<_>>(),
        "memory": results.amounts.iter().map(|it| json!({
            "what": it.what,
            "bytes": it.bytes,
            "per": it.per,
        })).collect::<Vec<_>>(),
    });
    let mut text = serde_json::to_string_pretty(&document)?;
    text.push('\n');
    Ok(text)
}

fn tail(it: &Tail) -> Value {
    let nanos = latency::QUANTILES.iter().zip(it.nanos);
    let nanos: Map<_, _> = nanos
        .map(|((name, _), nanos)| ((*name).to_owned(), json!(nanos)))
        .collect();
    json!({
        "operation": it.operation,
        "setting": it.setting,
        "count": it.count,
        "ns": nanos,
    })
}

fn row(it: &Measured) -> Value {
    json!({
        "case": it.case,
        "implementation": it.implementation,
        "threads": it.threads,
        "ns_per_op": {
            "min": it.ns_per_op.min,
            "median": it.ns_per_op.median,
            "p99": it.ns_per_op.p99,
        },
        "ratio": it.ratio,
        "ratio_to_one_thread": it.ratio_to_one_thread,
        "rounds": it.rounds,
        "operations_per_round": it.operations,
        "refused": it.refused,
    })
}
