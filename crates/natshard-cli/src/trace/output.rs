//! Answers as tables and as JSON.

use std::fmt::Write as _;

use anyhow::Result;
use comfy_table::Cell;
use serde_json::{Value, json};

use super::answer::{Answer, Candidate, Coverage, Place, Source};
use super::question::Question;
use super::ranges::Range;
use crate::events::Stamp;
use crate::foreign::plain;
use crate::paint::{Paint, foreign, right};

impl Source {
    const fn name(self) -> &'static str {
        match self {
            Source::Port => "port",
            Source::PortBlock => "port_block",
            Source::Computed => "computed",
        }
    }
}

impl Place {
    const fn name(self) -> &'static str {
        match self {
            Place::Held => "held",
            Place::Before(_) => "before",
            Place::After(_) => "after",
        }
    }

    const fn distance(self) -> u64 {
        match self {
            Place::Held => 0,
            Place::Before(millis) | Place::After(millis) => millis,
        }
    }
}

/// The document of schema version 1.
pub(super) fn json(question: &Question, answer: &Answer) -> Result<String> {
    let asked = question.at.as_ref();
    let document = json!({
        "schema_version": 1,
        "public": question.public.to_string(),
        "protocol": question.protocol.map(|it| it.to_string()),
        "at": asked.map(|it| json!({
            "first": it.first().to_string(),
            "last": it.last().to_string(),
        })),
        "within_ms": question.within,
        "found": !answer.candidates.is_empty(),
        "candidates": answer.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "neighbours": answer.neighbours.iter().map(candidate).collect::<Vec<_>>(),
        "logs": answer.logs.iter().map(coverage).collect::<Vec<_>>(),
        "notes": answer.notes,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn candidate(it: &Candidate) -> Value {
    json!({
        "match": it.place.name(),
        "distance_ms": it.place.distance(),
        "protocol": it.protocol.to_string(),
        "subscriber": it.subscriber,
        "pool": it.pool,
        "source": it.source.name(),
        "ports": [it.ports.0, it.ports.1],
        "from": it.from.map(|at| at.to_string()),
        "until": it.until.map(|at| at.to_string()),
        "certain": it.doubts.is_empty(),
        "doubts": it.doubts,
        "log": it.log,
    })
}

fn coverage(it: &Coverage) -> Value {
    json!({
        "log": it.log,
        "begins": it.begins.map(|at| at.to_string()),
        "ends": it.ends.map(|at| at.to_string()),
        "events": it.events,
        "lacks": it.lacks,
        "complete": it.complete,
    })
}

/// For people.
pub(super) fn table(question: &Question, answer: &Answer, colored: bool) -> String {
    let mut out = String::new();
    let paint = Paint { colored };
    let what = match question.protocol {
        Some(protocol) => format!("{protocol} {}", question.public),
        None => question.public.to_string(),
    };
    let when = match &question.at {
        Some(at) if at.is_second() => format!(" in the second {}", at.first().seconds()),
        Some(at) if at.span.end - at.span.start > 1 => {
            format!(" from {} to {}", at.first(), at.last())
        }
        Some(at) => format!(" at {}", at.first()),
        None => String::new(),
    };
    let _ = writeln!(out, "{}{when}\n", paint.bold(&what));
    let mut doubts: Vec<&str> = Vec::new();
    if answer.candidates.is_empty() {
        let _ = writeln!(out, "Nobody is known to have had it.");
    } else {
        let mut table = paint.bare_table();
        table.set_header([
            "subscriber",
            "protocol",
            "pool",
            "ports",
            "from",
            "until",
            "at that time",
            "known by",
        ]);
        for it in &answer.candidates {
            let mut marks = String::new();
            for doubt in &it.doubts {
                let known = doubts.iter().position(|said| said == doubt);
                let at = known.unwrap_or_else(|| {
                    doubts.push(doubt);
                    doubts.len() - 1
                });
                let _ = write!(marks, " [{}]", at + 1);
            }
            table.add_row(row(it, &marks));
        }
        let _ = writeln!(out, "{table}");
    }
    if !answer.neighbours.is_empty() {
        let _ = writeln!(out);
        for it in &answer.neighbours {
            let _ = writeln!(out, "{}", plain(&neighbour(it)));
        }
    }
    if !doubts.is_empty() {
        let _ = writeln!(out);
        for (at, doubt) in doubts.iter().enumerate() {
            let _ = writeln!(out, "[{}] not certain: {}", at + 1, plain(doubt));
        }
    }
    if !answer.notes.is_empty() {
        let _ = writeln!(out);
        for note in &answer.notes {
            let _ = writeln!(out, "note: {}", plain(note));
        }
    }
    out
}

fn row(it: &Candidate, marks: &str) -> [Cell; 8] {
    let time = |at: Option<Stamp>, other: &str| match at {
        Some(at) => at.to_string(),
        None => other.into(),
    };
    let (from, until) = match it.source {
        Source::Computed if it.from.is_none() && it.until.is_none() => ("always", "always"),
        Source::Computed => ("the beginning", "still so"),
        _ if it.until.is_none() && it.doubts.is_empty() => ("not known", "still held"),
        _ => ("not known", "not known"),
    };
    [
        foreign(it.subscriber.as_deref().unwrap_or("not told")),
        Cell::new(it.protocol),
        foreign(&it.pool),
        right(ports(it.ports)),
        Cell::new(time(it.from, from)),
        Cell::new(time(it.until, until)),
        Cell::new(format!("{}{marks}", place(it.place))),
        Cell::new(it.source.name().replace('_', " ")),
    ]
}

fn place(place: Place) -> String {
    match place {
        Place::Held => "held".into(),
        Place::Before(millis) => format!("ended {} before", duration(millis)),
        Place::After(millis) => format!("began {} after", duration(millis)),
    }
}

fn neighbour(it: &Candidate) -> String {
    let who = it.subscriber.as_deref().unwrap_or("somebody");
    let since = it.from.map_or("not known".into(), |at| at.to_string());
    let until = it.until.map_or("not known".into(), |at| at.to_string());
    let distance = duration(it.place.distance());
    let side = match it.place {
        Place::After(_) => format!("the next, {distance} later"),
        _ => format!("the last, {distance} earlier"),
    };
    format!(
        "{side}: {who}, {} of pool {}, from {since} until {until}",
        it.protocol, it.pool
    )
}

fn ports((first, last): (u16, u16)) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    }
}

fn duration(millis: u64) -> String {
    let seconds = millis / 1000;
    match seconds {
        0..60 => format!("{}.{:03} s", seconds, millis % 1000),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..172_800 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// The ranges of a subscriber, for people.
pub(super) fn ranges_table(subscriber: &str, ranges: &[Range], colored: bool) -> String {
    if ranges.is_empty() {
        return format!(
            "No deterministic pool has a subscriber {}.\n",
            plain(subscriber)
        );
    }
    let mut table = Paint { colored }.bare_table();
    table.set_header([
        "subscriber",
        "pool",
        "protocol",
        "address",
        "ports",
        "known by",
    ]);
    for it in ranges {
        table.add_row([
            foreign(&it.subscriber),
            foreign(&it.pool),
            Cell::new(it.protocol),
            Cell::new(it.address),
            right(ports(it.ports)),
            foreign(&it.source),
        ]);
    }
    format!("{table}\n")
}

/// The ranges of a subscriber, for programs.
pub(super) fn ranges_json(subscriber: &str, ranges: &[Range]) -> Result<String> {
    let ranges: Vec<Value> = ranges
        .iter()
        .map(|it| {
            json!({
                "subscriber": it.subscriber,
                "pool": it.pool,
                "protocol": it.protocol.to_string(),
                "address": it.address.to_string(),
                "ports": [it.ports.0, it.ports.1],
                "known_by": it.source,
            })
        })
        .collect();
    let document = json!({
        "schema_version": 1,
        "subscriber": subscriber,
        "found": !ranges.is_empty(),
        "ranges": ranges,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}
