//! Which pictures there are, and of what.

use crate::dots::{self, Dots};
use crate::lines::{self, Line};
use crate::results::{Results, Row};

/// File names and pictures.
pub fn all(results: &Results) -> Result<Vec<(&'static str, String)>, String> {
    Ok(vec![
        ("bench-own.svg", own(results)?),
        ("bench-cores.svg", cores(results)?),
        ("bench-occupancy.svg", occupancy(results)?),
        ("bench-pool-size.svg", sizes(results)?),
        ("bench-flows.svg", flows(results)?),
    ])
}

fn rows(results: &Results, case: &str) -> Result<Vec<Row>, String> {
    results.about(case)?;
    Ok(results.rows(case))
}

fn find(rows: &[Row], implementation: &str, threads: u64) -> Option<f64> {
    let found = rows
        .iter()
        .find(|it| it.implementation == implementation && it.threads == threads);
    found.map(|it| it.median)
}

/// The numbers of threads, ascending.
fn teams(rows: &[Row]) -> Vec<u64> {
    let mut teams: Vec<_> = rows.iter().map(|it| it.threads).collect();
    teams.sort_unstable();
    teams.dedup();
    teams
}

fn counted(threads: u64) -> String {
    match threads {
        1 => "1 thread".into(),
        many => format!("{many} threads"),
    }
}

fn own(results: &Results) -> Result<String, String> {
    let rows = rows(results, "own, 1,000 live")?;
    let teams = teams(&rows);
    let ends = [teams[0], teams[teams.len() - 1]];
    let ends = &ends[..teams.len().min(2)];
    let mut dots: Vec<Dots> = rows
        .iter()
        .filter(|it| it.threads == 1 && !it.implementation.starts_with("natshard,"))
        .map(|it| Dots {
            name: it.implementation.clone(),
            values: ends
                .iter()
                .map(|threads| find(&rows, &it.implementation, *threads))
                .collect(),
            own: it.implementation == "natshard",
        })
        .collect();
    let first = |it: &Dots| it.values[0].unwrap_or(f64::MAX);
    dots.sort_by(|one, other| first(one).total_cmp(&first(other)));
    let series: Vec<_> = ends.iter().map(|it| counted(*it)).collect();
    Ok(dots::draw(
        "A lease and a release: time per thread and operation",
        "medians, 1,000 live leases a thread; only natshard lets ports rest 120 s in between",
        &series,
        &dots,
    ))
}

fn cores(results: &Results) -> Result<String, String> {
    let rows = rows(results, "own, 1,000 live")?;
    let teams = teams(&rows);
    let lines = [
        "natshard",
        "thread-local 256-bit block",
        "ArrayQueue",
        "sharded-slab",
        "Mutex<VecDeque>",
        "Mutex<RoaringBitmap>",
        "original gateway's design",
    ]
    .map(|name| Line {
        name: name.into(),
        values: teams
            .iter()
            .map(|threads| find(&rows, name, *threads))
            .collect(),
    });
    let places: Vec<_> = teams.iter().map(|it| counted(*it)).collect();
    Ok(lines::draw(
        "More cores on one pool: time per thread and operation",
        "medians of a lease and a release, 1,000 live leases a thread; flat is perfect",
        &places,
        &lines,
    ))
}

/// One line per implementation over the settings of a case.
fn over_settings(rows: &[Row], case: &str, names: &[&str]) -> (Vec<String>, Vec<Line>) {
    let mut places: Vec<String> = Vec::new();
    for setting in rows.iter().filter_map(|it| it.setting(case)) {
        if !places.iter().any(|it| it == setting) {
            places.push(setting.into());
        }
    }
    let lines = names.iter().map(|name| Line {
        name: (*name).into(),
        values: places
            .iter()
            .map(|place| {
                let here = |it: &&Row| {
                    it.implementation == *name && it.setting(case) == Some(place.as_str())
                };
                rows.iter().find(here).map(|it| it.median)
            })
            .collect(),
    });
    let lines = lines
        .filter(|it| it.values.iter().flatten().count() > 1)
        .collect();
    (places, lines)
}

fn occupancy(results: &Results) -> Result<String, String> {
    let rows = rows(results, "occupancy")?;
    let (places, lines) = over_settings(
        &rows,
        "occupancy",
        &[
            "natshard",
            "thread-local 256-bit block",
            "ArrayQueue",
            "random probing, 32 tries",
            "random probing, 248 tries",
            "Mutex<RoaringBitmap>",
        ],
    );
    Ok(lines::draw(
        "The nearer the pool is to being full",
        "medians of a release at random and a lease; probing refuses what it does not find (see the table)",
        &places,
        &lines,
    ))
}

fn sizes(results: &Results) -> Result<String, String> {
    let rows = rows(results, "pool size")?;
    let (places, lines) = over_settings(&rows, "pool size", &["natshard"]);
    // Numbers alone: the unit is in the title.
    let places: Vec<_> = places
        .iter()
        .map(|it| it.replace(" addresses", "").replace(" address", ""))
        .collect();
    Ok(lines::draw(
        "More public addresses in circulation",
        "medians of a lease and a release over addresses of the pool, half of their ports resting",
        &places,
        &lines,
    ))
}

fn flows(results: &Results) -> Result<String, String> {
    let case = "established packet";
    let established = rows(results, case)?;
    let names = [
        "natshard-nat, UDP outbound",
        "natshard-nat, UDP outbound, batch",
        "natshard-nat, TCP inbound",
    ];
    let (places, mut lines) = over_settings(&established, case, &names);
    for line in &mut lines {
        line.name = line.name.replace("natshard-nat, ", "");
    }
    let new = rows(results, "new flow")?;
    for (name, implementation) in [
        ("new flow, UDP", "natshard-nat, UDP"),
        ("new flow, UDP, batch", "natshard-nat, UDP, batch"),
    ] {
        let values = places.iter().map(|place| {
            let here = |it: &&Row| {
                it.implementation == implementation && it.setting("new flow") == Some(place)
            };
            new.iter().find(here).map(|it| it.median)
        });
        lines.push(Line {
            name: name.into(),
            values: values.collect(),
        });
    }
    Ok(lines::draw(
        "More flows through the NAT function: time per packet",
        "medians, frames of 60 bytes in bursts of 32; flows in an order that looks random",
        &places,
        &lines,
    ))
}
