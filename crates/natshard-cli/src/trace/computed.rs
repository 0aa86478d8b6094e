//! Who has a tuple by computation: by the parameters in force at the time (RFC 7422 section 3).

use std::collections::BTreeSet;

use super::answer::{Candidate, Moment, Place, Source};
use super::notes;
use super::question::Question;
use super::run::{Change, Configured, Gap, Run};
use crate::events::LoggedPool;

/// A configuration of a pool, from one change of it to the next.
struct Reign<'a> {
    /// None where the log does not say how the pool was configured, or that it was.
    pool: Option<&'a LoggedPool>,
    began: Option<&'a Change>,
    ended: Option<&'a Change>,
}

impl Reign<'_> {
    fn since(&self) -> u64 {
        self.began.map_or(0, |it| it.engine)
    }

    /// Whether it held at some time of the moment; changes happened up to `resolution` later than
    /// they say.
    fn holds(&self, moment: Moment, resolution: u64) -> bool {
        let ended = self.ended.map(|it| it.engine.saturating_add(resolution));
        self.since() <= moment.last && ended.is_none_or(|ended| ended >= moment.first)
    }

    fn is_before(&self, moment: Moment, resolution: u64) -> bool {
        let ended = self.ended.map(|it| it.engine.saturating_add(resolution));
        ended.is_some_and(|ended| ended < moment.first)
    }
}

/// The configurations of a pool, in order.
fn reigns<'a>(run: &'a Run, name: &str) -> Vec<Reign<'a>> {
    let changes = || run.changes.iter().filter(|it| it.pool == name);
    let mut reigns = vec![Reign {
        pool: run.first_pools().find(|it| it.name == name),
        began: None,
        ended: changes().next(),
    }];
    let ends = changes().skip(1).map(Some).chain([None]);
    reigns.extend(changes().zip(ends).map(|(change, ended)| Reign {
        pool: match &change.now {
            Configured::So(pool) => Some(&**pool),
            Configured::Unknown | Configured::NoLonger => None,
        },
        began: Some(change),
        ended,
    }));
    reigns
}

/// Candidates by computation at a moment of a run.
pub(super) fn at_moment(
    question: &Question,
    run: &Run,
    moment: Moment,
    found: &mut Vec<Candidate>,
) {
    let mut names: BTreeSet<&str> = run.pools().map(|it| it.name.as_str()).collect();
    names.extend(run.changes.iter().map(|it| it.pool.as_str()));
    for name in names {
        let reigns = reigns(run, name);
        let in_force = |it: &&Reign<'_>| it.holds(moment, run.resolution());
        let many = reigns.iter().filter(in_force).count() > 1;
        let mut now = Vec::new();
        for reign in reigns.iter().filter(in_force) {
            let before = now.len();
            now.extend(by_pools(question, reign.pool, &run.log));
            for it in &mut now[before..] {
                it.from = reign.began.map(|it| it.time);
                it.until = reign.ended.map(|it| it.time);
                it.doubts.extend(unseen(run, reign, moment));
                if many {
                    it.doubts.push(format!(
                        "pool {name} was configured otherwise within the time asked about"
                    ));
                }
            }
        }
        let mut earlier: Vec<Candidate> = Vec::new();
        for reign in &reigns {
            if !reign.is_before(moment, run.resolution()) {
                continue;
            }
            for mut it in by_pools(question, reign.pool, &run.log) {
                let same = |other: &Candidate| {
                    (other.protocol, &other.subscriber) == (it.protocol, &it.subscriber)
                };
                if now.iter().chain(&earlier).any(same) {
                    continue;
                }
                it.from = reign.began.map(|it| it.time);
                it.until = reign.ended.map(|it| it.time);
                let change = it.until.unwrap_or_default();
                it.doubts.push(format!(
                    "its ports were these until pool {name} was configured otherwise at {change}: \
                     it had this one at that time only if it kept a connection since then"
                ));
                earlier.push(it);
            }
        }
        found.extend(now);
        found.extend(earlier);
    }
}

/// What may hide that a configuration had ended.
fn unseen(run: &Run, reign: &Reign<'_>, moment: Moment) -> Option<String> {
    let line = reign.began.map_or(0, |it| it.line);
    let matters = |gap: &&Gap| {
        gap.hides_changes() && gap.is_after(reign.since(), line) && gap.since <= moment.last
    };
    let gap = run.gaps.iter().find(matters)?;
    Some(format!(
        "the pool may have been configured otherwise: {}",
        notes::gap(run, gap)
    ))
}

/// Candidates by computation where no log covers the time: as the run had it last, or, before its
/// beginning, first.
pub(super) fn elsewhere(question: &Question, run: &Run, found: &mut Vec<Candidate>) {
    let ended = run.segments.iter().map(|it| it.ends()).max();
    let is_after = (question.at.as_ref())
        .zip(ended)
        .is_none_or(|(at, ended)| at.first() >= ended);
    let end = Moment {
        first: u64::MAX,
        last: u64::MAX,
    };
    let before = found.len();
    match is_after {
        true => at_moment(question, run, end, found),
        false => found.extend(by_pools(question, run.first_pools(), &run.log)),
    }
    for candidate in &mut found[before..] {
        let doubt = "computed as the log says, which does not cover that time";
        candidate.doubts.push(doubt.into());
    }
}

/// Candidates by computation, from the pools that hold the address.
pub(super) fn by_pools<'a>(
    question: &Question,
    pools: impl IntoIterator<Item = &'a LoggedPool>,
    log: &str,
) -> Vec<Candidate> {
    let mut found = Vec::new();
    let address = question.public.ip();
    for pool in pools.into_iter().filter(|it| it.contains(address)) {
        let Some(map) = pool.deterministic_map() else {
            continue;
        };
        for protocol in question.protocols() {
            let port = question.public.port();
            let Some(subscriber) = map.subscriber(protocol, address, port) else {
                continue;
            };
            let Some((_, ports)) = map.range(subscriber, protocol) else {
                continue;
            };
            found.push(Candidate {
                place: Place::Held,
                protocol,
                subscriber: Some(pool.subscriber(subscriber)),
                pool: pool.name.clone(),
                source: Source::Computed,
                ports: (*ports.start(), *ports.end()),
                from: None,
                until: None,
                doubts: Vec::new(),
                log: log.into(),
            });
        }
    }
    found
}
