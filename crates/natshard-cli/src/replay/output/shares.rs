//! Tables of what subscribers and tenants had.

use std::fmt::Write as _;

use comfy_table::Cell;
use natshard::Holder;

use super::by_number;
use crate::config::grouped;
use crate::foreign::plain;
use crate::paint::{Paint, foreign, number, right};
use crate::replay::shares::{Shared, Shares};

/// The most rows of tenants.
const ROWS: usize = 40;

impl Shared {
    /// That the pool became as full as its threshold says, if it did.
    pub(in crate::replay) fn reached(&self) -> Option<String> {
        let threshold = self.threshold?;
        let times = match self.books.times_raised {
            0 => return None,
            1 => "once".to_owned(),
            times => format!("{} times", grouped(times.into())),
        };
        let since = match self.books.raised {
            true => "and is above it at the end",
            false => "and came back",
        };
        Some(format!(
            "pool {} reached {} % of its {} blocks {times}, {since}",
            self.pool,
            threshold.raised_at(),
            self.books.protocol,
        ))
    }
}

/// What subscribers had, if any pool keeps books of them.
pub(super) fn subscribers(shares: &Shares, paint: Paint) -> String {
    let Some(subscribers) = &shares.subscribers else {
        return String::new();
    };
    let has_blocks = subscribers.port_blocks().is_some();
    let mut header = vec!["subscribers", "active at the end"];
    if has_blocks {
        header.extend(["port blocks assigned", "given back"]);
    }
    header.push("leases refused");
    let mut table = paint.table(&header);
    for pool in &subscribers.pools {
        let mut row = vec![foreign(&format!("of {}", pool.name)), number(pool.active)];
        match pool.port_blocks {
            Some((assigned, released)) => row.extend([number(assigned), number(released)]),
            None if has_blocks => row.extend([Cell::new(""), Cell::new("")]),
            None => {}
        }
        let refused = by_number(&pool.refused)
            .into_iter()
            .map(|(reason, count)| format!("{} {reason}", grouped(count.into())));
        let refused = match pool.refused.is_empty() {
            true => "none".into(),
            false => refused.collect::<Vec<_>>().join("\n"),
        };
        row.push(right(refused));
        table.add_row(row);
    }
    let mut text = table.to_string();
    let known = grouped(subscribers.known.into());
    let _ = write!(text, "\n met in all: {known}");
    refused_most(&mut text, shares);
    text
}

fn refused_most(text: &mut String, shares: &Shares) {
    let hosts = shares.refused_most.iter();
    let named = hosts.map(|(host, times)| format!("{host} ({})", grouped((*times).into())));
    let named: Vec<_> = named.collect();
    if !named.is_empty() {
        let _ = write!(
            text,
            "\n hosts refused more than they may have: {}; how often, the most refused first: {}",
            grouped(shares.refused_hosts.into()),
            plain(&named.join(", "))
        );
    }
}

/// What tenants had, if any pool shares its blocks out.
pub(super) fn tenants(shares: &Shares, paint: Paint) -> String {
    if shares.tenants.is_empty() {
        return String::new();
    }
    let header = [
        "blocks (of 256 ports)",
        "protocol",
        "held at the end",
        "guaranteed",
        "at most",
    ];
    let mut table = paint.table(&header);
    let mut left_out = 0;
    for shared in &shares.tenants {
        let books = &shared.books;
        let only = books.shares.len() == 1;
        for share in &books.shares {
            let most = share.maximum.map_or(books.blocks, u64::from);
            let is_worth = share.held > 0 || share.minimum > 0 || share.maximum.is_some();
            if table.row_count() >= ROWS || !is_worth {
                left_out += u64::from(is_worth);
                continue;
            }
            let who = match share.holder {
                Holder::Tenant(tenant) => format!("tenant {tenant}"),
                Holder::Control => "control traffic".into(),
                Holder::Others | Holder::Subscriber(_) if only => "everybody".into(),
                Holder::Others | Holder::Subscriber(_) => "everybody else".into(),
            };
            let protocol = right(books.protocol.to_string());
            table.add_row([
                foreign(&format!("{}: {who}", shared.pool)),
                protocol,
                number(share.held),
                number(share.minimum.into()),
                number(most),
            ]);
        }
    }
    let mut text = table.to_string();
    if left_out > 0 {
        let _ = write!(text, "\n and {} more", grouped(left_out.into()));
    }
    for reached in shares.tenants.iter().filter_map(Shared::reached) {
        let _ = write!(text, "\n {}", plain(&reached));
    }
    if shares.subscribers.is_none() {
        refused_most(&mut text, shares);
    }
    text
}
