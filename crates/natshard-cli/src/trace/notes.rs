//! What the reader of an answer must know: where the logs say nothing, and why.

use natshard::Protocol;

use super::answer::{Answer, Moment, Place, moment};
use super::question::Question;
use super::run::{Configured, Gap, Run, Segment, Why};
use super::tenure::{Edge, Tenure};
use crate::config::{grouped, plural};
use crate::events::LoggedPool;

/// The most gaps that are named one by one.
const GAPS: usize = 5;

/// The most changes of the configuration that are named.
const CHANGES: usize = 5;

/// A gap in words.
pub(super) fn gap(run: &Run, gap: &Gap) -> String {
    let at = |engine| run.stamp(engine).unwrap_or_default();
    let (since, until) = (at(gap.since), at(gap.until));
    match gap.why {
        Why::Lost => {
            let lost = plural(gap.count, "event was", "events were");
            format!("{lost} lost between {since} and {until}")
        }
        Why::Missing => {
            let missing = plural(gap.count, "line of the log is", "lines of the log are");
            format!("{missing} missing between {since} and {until}")
        }
        Why::NoBeginning => {
            let lines = plural(gap.count, "line", "lines");
            format!("the log begins at {until}, {lines} into its run")
        }
    }
}

/// What is wrong with a run as a whole.
pub(super) fn of_run(run: &Run) -> Vec<String> {
    let log = &run.log;
    let mut notes = Vec::new();
    let end = || run.stamp(run.last).unwrap_or_default();
    if run.header.is_none() {
        notes.push(format!(
            "{log} has no header: its pools, its hold-down and how exact its times are is unknown"
        ));
    }
    let missing = || run.gaps.iter().filter(|it| it.why != Why::Lost);
    if let Some(first) = missing().next() {
        let count: u64 = missing().map(|it| it.count).sum();
        let (which, place) = match missing().count() {
            1 => ("", gap(run, first)),
            gaps => ("the first of ", format!("{gaps} gaps: {}", gap(run, first))),
        };
        notes.push(format!(
            "{log} lacks {} of its lines, {which}{place}; a capture with its clock may be among \
             them",
            grouped(count.into())
        ));
    }
    if !run.changes.is_empty() {
        let said = run.changes.iter().take(CHANGES).map(|it| {
            let what = match it.now {
                Configured::So(_) => "configured",
                Configured::Unknown => "configured in a way the log does not say",
                Configured::NoLonger => "removed",
            };
            format!("pool {} was {what} at {}", it.pool, it.time)
        });
        let said = said.collect::<Vec<_>>().join(", ");
        let more = match run.changes.len().saturating_sub(CHANGES) {
            0 => String::new(),
            more => format!(" and {} more", grouped(more as u128)),
        };
        notes.push(format!(
            "{log} has changes of the configuration: {said}{more}"
        ));
    }
    if run.cut {
        notes.push(format!(
            "{log} stops in the middle of a line: it is good to {}",
            end()
        ));
    } else if !run.ended {
        notes.push(format!(
            "{log} has no closing line, it was cut or is still being written: it is good to {}",
            end()
        ));
    }
    if run.repeated > 0 {
        notes.push(format!(
            "{log} has {} twice, which count once",
            plural(run.repeated, "line", "lines")
        ));
    }
    notes
}

/// Where the log has gaps that could change what was found, and who rests.
pub(super) fn of_moment(
    question: &Question,
    run: &Run,
    tenures: &[Tenure],
    at: Moment,
) -> Vec<String> {
    let mut notes = Vec::new();
    let mut unknown: Vec<&Gap> = Vec::new();
    for protocol in question.protocols() {
        let mut known = tenures.iter().filter(|it| it.protocol == protocol);
        let holds = |it: &&Tenure| {
            let (from, until) = it.engine();
            from <= at.last && until >= at.first
        };
        if known.clone().any(|it| holds(&it)) {
            continue;
        }
        let last = known.rfind(|it| it.engine().1 < at.first);
        let since = last.map_or(0, |it| it.engine().1);
        let matters = |gap: &&Gap| gap.until >= since && gap.since <= at.last;
        unknown.extend(run.gaps.iter().filter(matters));
        notes.extend(last.and_then(|it| resting(run, it, protocol, at)));
    }
    unknown.sort_by_key(|it| (it.since, it.until));
    unknown.dedup();
    for it in unknown.iter().take(GAPS) {
        notes.push(format!(
            "an assignment of this port may be missing: {}",
            gap(run, it)
        ));
    }
    if unknown.len() > GAPS {
        notes.push(format!("and {} more gaps", unknown.len() - GAPS));
    }
    notes
}

/// A port that nobody could have, because it rested.
fn resting(run: &Run, last: &Tenure, protocol: Protocol, at: Moment) -> Option<String> {
    // A port block comes back when it has rested.
    let Edge::At { engine, time } = last.until else {
        return None;
    };
    let rest = run.hold_down().filter(|_| !last.block)?;
    let until = engine.saturating_add(rest);
    (at.last < until).then(|| {
        format!(
            "the {protocol} port rested: {} gave it back at {time}, and its hold-down ends at {}",
            last.subscriber.as_deref().unwrap_or("its holder"),
            time.after(rest)
        )
    })
}

/// Whether the logs cover the time at all, or more than once.
pub(super) fn of_coverage(question: &Question, runs: &[Run], covered: usize) -> Vec<String> {
    let Some(at) = &question.at else {
        return Vec::new();
    };
    let parts = || {
        runs.iter()
            .flat_map(|run| run.segments.iter().map(move |it| (run, it)))
    };
    let name = |(run, segment): (&Run, &Segment)| match &segment.clock.capture {
        Some(capture) => format!("{} ({capture})", run.log),
        None => run.log.clone(),
    };
    if covered > 1 {
        let which = parts().filter(|(run, it)| moment(question, run, it, 0).is_some());
        let which: Vec<_> = which.map(name).collect();
        return vec![format!(
            "{covered} stretches of time on record hold that time, each answered: {}",
            which.join(", ")
        )];
    }
    if covered == 1 || runs.is_empty() {
        return Vec::new();
    }
    let before = parts().filter(|(_, it)| it.ends() < at.first());
    let after = parts().filter(|(_, it)| it.begins() > at.last());
    let before = before.max_by_key(|(_, it)| it.ends());
    let after = after.min_by_key(|(_, it)| it.begins());
    vec![match (before, after) {
        (Some(before), Some(after)) => format!(
            "nothing on record holds that time: {} ends at {}, {} begins at {}",
            name(before),
            before.1.ends(),
            name(after),
            after.1.begins()
        ),
        (Some(before), None) => {
            format!(
                "that time is after the end of {}, at {}",
                name(before),
                before.1.ends()
            )
        }
        (None, Some(after)) => {
            format!(
                "that time is before {} begins, at {}",
                name(after),
                after.1.begins()
            )
        }
        (None, None) => "the logs have no time in them".into(),
    }]
}

/// What can be said of the answer as a whole.
pub(super) fn of_answer(
    question: &Question,
    runs: &[Run],
    configured: Option<(&str, &[LoggedPool])>,
    answer: &Answer,
) -> Vec<String> {
    let mut notes = Vec::new();
    let pools: Vec<&LoggedPool> = runs
        .iter()
        .flat_map(Run::pools)
        .chain(configured.into_iter().flat_map(|it| it.1))
        .collect();
    let address = question.public.ip();
    let ours: Vec<&&LoggedPool> = pools.iter().filter(|it| it.contains(address)).collect();
    let held = answer
        .candidates
        .iter()
        .filter(|it| it.place == Place::Held);
    if !pools.is_empty() && ours.is_empty() && answer.candidates.is_empty() {
        notes.push(format!(
            "no pool has {address}: is this the NAT it belongs to?"
        ));
    }
    if answer.candidates.is_empty() && !ours.is_empty() {
        let gives = |it: &&LoggedPool| {
            let port = question.public.port();
            question
                .protocols()
                .any(|protocol| it.gives(protocol, port))
        };
        if !ours.iter().any(|it| gives(it)) {
            notes.push(format!(
                "pool {} does not give out port {}",
                ours[0].name,
                question.public.port()
            ));
        }
    }
    let tells_blocks = |run: &&Run| run.header.as_ref().is_some_and(|it| !it.leases);
    let silent = runs
        .iter()
        .filter(tells_blocks)
        .flat_map(Run::pools)
        .filter(|it| it.contains(address) && it.port_block_size.is_none());
    for pool in silent.filter(|it| it.deterministic.is_none()) {
        notes.push(format!(
            "the log tells port blocks only, and pool {} has none: it cannot say who had its ports",
            pool.name
        ));
    }
    let mut protocols: Vec<Protocol> = held.clone().map(|it| it.protocol).collect();
    protocols.sort_unstable();
    protocols.dedup();
    if question.protocol.is_none() && protocols.len() > 1 {
        notes.push("each protocol has ports of its own: --protocol narrows it down".into());
    }
    if held.clone().any(|it| it.subscriber.is_none()) {
        notes.push("the log does not say for whom some ports were".into());
    }
    if let Some((path, _)) = configured
        && held.into_iter().any(|it| it.log == path)
    {
        let when = match &question.at {
            Some(_) => "true if it was in force at that time",
            None => "true for as long as it is in force",
        };
        notes.push(format!("computed from {path}: {when}"));
    }
    notes
}
