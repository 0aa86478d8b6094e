//! The picture of where each flow's public port fell.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use natshard::Protocol;

use super::data::{Flow, Report};
use super::frame::{self, Frame, Key, UNITS};
use super::html::{Grouped, plural};
use super::scale::Axis;

/// Most points drawn: more hide each other and make the page heavy.
pub(crate) const POINTS: usize = 6000;
/// Most addresses in the table.
const ROWS: usize = 200;

const TITLE: &str = "Where each flow's public port fell";

/// The picture with its table.
pub(crate) fn write(out: &mut String, report: &Report, x: &Axis) {
    let flows: Vec<Flow> = report
        .flows
        .iter()
        .copied()
        .filter(|it| it.at.is_finite())
        .collect();
    if flows.is_empty() {
        frame::empty(out, "flows", TITLE, "No flow was given a public port.");
        return;
    }
    let y = Axis::port();
    let drawn: Vec<Flow> = if flows.len() > POINTS {
        (0..POINTS)
            .map(|index| flows[index * flows.len() / POINTS])
            .collect()
    } else {
        flows.clone()
    };
    let mut shapes = String::new();
    for protocol in Protocol::ALL {
        // A line of no length with a cap is a point that keeps its size and shape however the
        // plot is stretched.
        let mut path = String::new();
        for flow in drawn.iter().filter(|it| it.protocol == protocol) {
            let _ = write!(
                path,
                "M{:.1} {:.1}h0",
                x.at(flow.at) * UNITS,
                UNITS - y.at(f64::from(flow.port)) * UNITS
            );
        }
        if path.is_empty() {
            continue;
        }
        let _ = write!(shapes, "<path class=\"points {protocol}\" d=\"{path}\"/>");
        if protocol == Protocol::Icmp {
            let _ = write!(shapes, "<path class=\"points hole\" d=\"{path}\"/>");
        }
    }
    let total = report.flows_total.max(report.flows.len() as u64);
    let by_address = by_address(&flows);
    let summary = format!(
        "{} on {}. The public port (for ICMP the identifier) of each, when it was leased.",
        plural(total, "flow", "flows"),
        plural(
            by_address.len() as u64,
            "public address",
            "public addresses"
        ),
    );
    Frame {
        id: "flows",
        title: TITLE,
        summary: &summary,
        vertical: "port or identifier",
        x,
        y: &y,
        keys: &[
            Key {
                class: "tcp",
                label: "TCP (disc)",
            },
            Key {
                class: "udp",
                label: "UDP (square)",
            },
            Key {
                class: "icmp",
                label: "ICMP (ring)",
            },
        ],
        shapes: &shapes,
        notes: &notes(report, flows.len(), drawn.len(), total),
        table: &table(&by_address, &report.addresses),
    }
    .write(out);
}

fn notes(report: &Report, kept: usize, drawn: usize, total: u64) -> Vec<String> {
    let mut notes = Vec::new();
    if drawn < kept {
        notes.push(format!(
            "{} of {} points are drawn, evenly picked in the order of lease.",
            Grouped(drawn as u64),
            Grouped(kept as u64)
        ));
    }
    if total > report.flows.len() as u64 {
        notes.push(format!(
            "Of {} flows, a sample of {} was kept; picture and table are about that sample.",
            Grouped(total),
            Grouped(report.flows.len() as u64)
        ));
    }
    notes
}

/// What fell on one address.
#[derive(Clone, Copy)]
struct OnAddress {
    flows: [u64; 3],
    lowest: u16,
    highest: u16,
}

fn by_address(flows: &[Flow]) -> BTreeMap<u32, OnAddress> {
    let mut found: BTreeMap<u32, OnAddress> = BTreeMap::new();
    for flow in flows {
        let on = found.entry(flow.address).or_insert(OnAddress {
            flows: [0; 3],
            lowest: flow.port,
            highest: flow.port,
        });
        on.flows[flow.protocol.as_index()] += 1;
        on.lowest = on.lowest.min(flow.port);
        on.highest = on.highest.max(flow.port);
    }
    found
}

fn table(by_address: &BTreeMap<u32, OnAddress>, addresses: &[IpAddr]) -> String {
    let mut out = String::new();
    if by_address.len() > ROWS {
        let _ = write!(
            out,
            "<p class=\"note\">The first {ROWS} of {} addresses.</p>",
            Grouped(by_address.len() as u64)
        );
    }
    out.push_str(
        "<table><thead><tr><th scope=\"col\">public address</th><th scope=\"col\">TCP</th>\
         <th scope=\"col\">UDP</th><th scope=\"col\">ICMP</th><th scope=\"col\">lowest port</th>\
         <th scope=\"col\">highest port</th></tr></thead><tbody>\n",
    );
    for (index, on) in by_address.iter().take(ROWS) {
        let name = match addresses.get(*index as usize) {
            Some(address) => address.to_string(),
            None => format!("address {index}"),
        };
        let _ = writeln!(
            out,
            "<tr><th scope=\"row\">{name}</th><td>{}</td><td>{}</td><td>{}</td><td>{}</td>\
             <td>{}</td></tr>",
            Grouped(on.flows[0]),
            Grouped(on.flows[1]),
            Grouped(on.flows[2]),
            on.lowest,
            on.highest,
        );
    }
    out.push_str("</tbody></table>");
    out
}
