//! Who had the tuple at the time asked about: everybody the logs leave possible.

use natshard::Protocol;

use super::computed;
use super::notes;
use super::question::Question;
use super::run::{Gap, Run, Segment};
use super::tenure::{Edge, Tenure, tenures};
use crate::events::{LoggedPool, Stamp};

/// How a candidate is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Source {
    /// The port was given to it.
    Port,
    /// A port block that holds the port was given to it.
    PortBlock,
    /// The port lies in its deterministic range.
    Computed,
}

/// Where a tenure lies, seen from the time asked about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Place {
    /// It holds that time.
    Held,
    /// It ended so many milliseconds before.
    Before(u64),
    /// It began so many milliseconds after.
    After(u64),
}

/// Somebody who had the tuple, or may have had it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    pub(super) place: Place,
    pub(super) protocol: Protocol,
    /// Who; the log may not say.
    pub(super) subscriber: Option<String>,
    pub(super) pool: String,
    pub(super) source: Source,
    /// The ports it was given with this one among them.
    pub(super) ports: (u16, u16),
    /// Since when, where that is known.
    pub(super) from: Option<Stamp>,
    /// Until when, likewise; nothing for what goes on.
    pub(super) until: Option<Stamp>,
    /// What could make it wrong.
    pub(super) doubts: Vec<String>,
    /// Where it is from.
    pub(super) log: String,
}

/// What a log covers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Coverage {
    pub(super) log: String,
    pub(super) begins: Option<Stamp>,
    pub(super) ends: Option<Stamp>,
    pub(super) events: u64,
    /// Events and lines that it lacks.
    pub(super) lacks: u64,
    /// Whether it has its beginning and its end, and all between.
    pub(super) complete: bool,
}

/// All there is to say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Answer {
    /// Who had it, the certain first.
    pub(super) candidates: Vec<Candidate>,
    /// Who had it last before, and who had it next, in each protocol.
    pub(super) neighbours: Vec<Candidate>,
    pub(super) logs: Vec<Coverage>,
    /// What the reader must know to judge the rest.
    pub(super) notes: Vec<String>,
}

/// A moment of a run, in engine time; both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Moment {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// Answers from logs and from what can be computed.
pub(super) fn answer(
    question: &Question,
    runs: &[Run],
    configured: Option<(&str, &[LoggedPool])>,
) -> Answer {
    let mut answer = Answer::default();
    let mut covered = 0;
    for run in runs {
        let tenures = tenures(run);
        let mut found = Vec::new();
        for segment in &run.segments {
            let moment = moment(question, run, segment, 0);
            covered += usize::from(moment.is_some());
            for tenure in &tenures {
                found.extend(candidate(question, run, segment, tenure));
            }
            if let Some(moment) = moment {
                computed::at_moment(question, run, moment, &mut found);
                answer
                    .notes
                    .extend(notes::of_moment(question, run, &tenures, moment));
            }
        }
        answer
            .neighbours
            .extend(neighbours(question, run, &tenures));
        answer.candidates.extend(found);
        answer.logs.push(coverage(run));
        answer.notes.extend(notes::of_run(run));
    }
    if covered == 0 {
        elsewhere(question, runs, configured, &mut answer);
    }
    answer
        .notes
        .extend(notes::of_coverage(question, runs, covered));
    tidy(question, &mut answer);
    answer
        .notes
        .extend(notes::of_answer(question, runs, configured, &answer));
    answer
}

/// What can be computed although no log covers the time.
fn elsewhere(
    question: &Question,
    runs: &[Run],
    configured: Option<(&str, &[LoggedPool])>,
    answer: &mut Answer,
) {
    if let Some((path, pools)) = configured {
        answer
            .candidates
            .extend(computed::by_pools(question, pools, path));
        return;
    }
    for run in runs {
        computed::elsewhere(question, run, &mut answer.candidates);
    }
}

/// Which part of a segment the time may be, with so many milliseconds on both sides.
pub(super) fn moment(
    question: &Question,
    run: &Run,
    segment: &Segment,
    within: u64,
) -> Option<Moment> {
    let at = question.at.as_ref()?;
    let first = segment.engine(at.first().before(within));
    let last = segment.engine(at.last().after(within));
    let begins = segment.clock.engine_ms;
    // What has the time of the last line happened up to a resolution later.
    let ends = segment.until + run.resolution();
    let first = u64::try_from(first).unwrap_or(0).max(begins);
    let last = u64::try_from(last).ok()?.min(ends);
    (first <= last).then_some(Moment { first, last })
}

/// The tenure as a candidate, if it holds the time or is near it.
fn candidate(
    question: &Question,
    run: &Run,
    segment: &Segment,
    tenure: &Tenure,
) -> Option<Candidate> {
    let near = moment(question, run, segment, question.within)?;
    let (from, until) = tenure.engine();
    let until = until.saturating_add(run.resolution());
    if from > near.last || until < near.first {
        return None;
    }
    let place = match moment(question, run, segment, 0) {
        Some(exact) if until < exact.first => Place::Before(exact.first - until),
        Some(exact) if from > exact.last => Place::After(from - exact.last),
        Some(_) => Place::Held,
        // The time is outside this part of the log, and the tenure reaches to its edge.
        None => outside(question, segment, from, until),
    };
    let exact = moment(question, run, segment, 0);
    let mut candidate = shaped(tenure, place, run);
    candidate.doubts = doubts(run, tenure, exact.unwrap_or(near));
    if exact.is_none() {
        let doubt = "no log holds that time, one near it does";
        candidate.doubts.push(doubt.into());
    }
    Some(candidate)
}

fn outside(question: &Question, segment: &Segment, from: u64, until: u64) -> Place {
    let Some(at) = &question.at else {
        return Place::Held;
    };
    let ended = segment.stamp(until.min(segment.until));
    let began = segment.stamp(from.max(segment.clock.engine_ms));
    match at.first() > ended {
        true => Place::Before((at.first().0 - ended.0) as u64),
        false => Place::After((began.0 - at.last().0).max(0) as u64),
    }
}

fn shaped(tenure: &Tenure, place: Place, run: &Run) -> Candidate {
    Candidate {
        place,
        protocol: tenure.protocol,
        subscriber: tenure.subscriber.clone(),
        pool: tenure.pool.clone(),
        source: match tenure.block {
            true => Source::PortBlock,
            false => Source::Port,
        },
        ports: tenure.ports,
        from: tenure.from.time(),
        until: tenure.until.time(),
        doubts: Vec::new(),
        log: run.log.clone(),
    }
}

/// What could make a candidate wrong: what the log lacks.
fn doubts(run: &Run, tenure: &Tenure, at: Moment) -> Vec<String> {
    let mut doubts = Vec::new();
    let (from, until) = tenure.engine();
    match tenure.from {
        Edge::Unknown(since) if since > 0 => doubts.push(format!(
            "since when is not in the log: after {}",
            run.stamp(since).unwrap_or_default()
        )),
        Edge::Unknown(_) => doubts.push("since when is not in the log".into()),
        _ => {}
    }
    if let Edge::Unknown(by) = tenure.until {
        doubts.push(format!(
            "until when is not in the log: by {} it was somebody else's",
            run.stamp(by).unwrap_or_default()
        ));
    }
    // Where it goes on, what matters is whether it still did at that time.
    let by = match tenure.until {
        Edge::Open => at.last,
        _ => until,
    };
    let inside = |gap: &&Gap| gap.is_after(from, tenure.line) && gap.since <= by;
    let gaps: Vec<&Gap> = run.gaps.iter().filter(inside).collect();
    match tenure.until {
        Edge::Open => {
            if let Some(gap) = gaps.first() {
                let what = notes::gap(run, gap);
                doubts.push(format!("it may have been given back: {what}"));
            }
        }
        // Given back and gotten again unseen: not unless there was time for a rest.
        Edge::At { .. } => {
            let since = gaps.iter().map(|it| it.since).min();
            let until = gaps.iter().map(|it| it.until).max();
            let hidden = until.zip(since).map_or(0, |(until, since)| until - since);
            let is_long = run.hold_down().is_none_or(|rest| hidden >= rest);
            if let Some(gap) = gaps.first().filter(|_| is_long) {
                let what = notes::gap(run, gap);
                doubts.push(format!("somebody else may have had it in between: {what}"));
            }
        }
        Edge::Unknown(_) => {}
    }
    doubts
}

/// The holders last before and next after, as far as their times are known.
fn neighbours(question: &Question, run: &Run, tenures: &[Tenure]) -> Vec<Candidate> {
    let Some(at) = &question.at else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for protocol in question.protocols() {
        let of = |it: &&Tenure| it.protocol == protocol;
        let known = tenures.iter().filter(of);
        let before = known.clone().rev().find_map(|it| {
            let ended = match it.until {
                Edge::At { time, .. } => time,
                Edge::Unknown(by) => run.stamp(by)?,
                Edge::Open => run.stamp(run.last)?,
            };
            (ended <= at.first())
                .then(|| Place::Before((at.first().0 - ended.0) as u64))
                .map(|place| shaped(it, place, run))
        });
        let after = known.clone().find_map(|it| {
            let began = it.from.time()?;
            (began > at.last())
                .then(|| Place::After((began.0 - at.last().0) as u64))
                .map(|place| shaped(it, place, run))
        });
        found.extend(before.into_iter().chain(after));
    }
    found
}

fn coverage(run: &Run) -> Coverage {
    Coverage {
        log: run.log.clone(),
        begins: run.segments.iter().map(Segment::begins).min(),
        ends: run.segments.iter().map(Segment::ends).max(),
        events: run.events,
        lacks: run.gaps.iter().map(|it| it.count).sum(),
        complete: run.ended && run.gaps.is_empty() && run.header.is_some(),
    }
}

/// Puts the certain first and says nothing twice.
fn tidy(question: &Question, answer: &mut Answer) {
    let all = std::mem::take(&mut answer.candidates);
    let mut kept: Vec<Candidate> = Vec::new();
    for it in &all {
        let same = |other: &Candidate| {
            Candidate {
                log: it.log.clone(),
                ..other.clone()
            } == *it
        };
        // Whoever has the port has it of its block or range: the port says more.
        let says_more = |other: &Candidate| {
            (other.protocol, &other.pool, other.place) == (it.protocol, &it.pool, it.place)
                && other.subscriber == it.subscriber
                && other.source < it.source
        };
        let is_named = |other: &Candidate| {
            it.subscriber.is_none()
                && other.subscriber.is_some()
                && (other.protocol, &other.pool, other.place) == (it.protocol, &it.pool, it.place)
        };
        let is_known = all.iter().any(says_more) || all.iter().any(is_named);
        if !is_known && !kept.iter().any(same) {
            kept.push(it.clone());
        }
    }
    kept.sort_by_key(|it| (it.place, !it.doubts.is_empty(), it.source, it.protocol));
    answer.candidates = kept;
    let candidates = &answer.candidates;
    let is_candidate = |it: &Candidate| {
        let of = |other: &Candidate| {
            (
                other.from,
                other.until,
                other.protocol,
                &other.pool,
                &other.subscriber,
            ) == (it.from, it.until, it.protocol, &it.pool, &it.subscriber)
        };
        candidates.iter().any(of)
    };
    // Of several logs the nearest.
    let mut nearest: Vec<Candidate> = Vec::new();
    let mut all = std::mem::take(&mut answer.neighbours);
    all.sort_by_key(|it| it.place);
    for protocol in question.protocols() {
        for before in [true, false] {
            let side = |it: &&Candidate| matches!(it.place, Place::Before(_)) == before;
            let of = all.iter().filter(|it| it.protocol == protocol).filter(side);
            nearest.extend(of.take(1).filter(|it| !is_candidate(it)).cloned());
        }
    }
    answer.neighbours = nearest;
    let mut said: Vec<String> = Vec::new();
    for note in std::mem::take(&mut answer.notes) {
        if !said.contains(&note) {
            said.push(note);
        }
    }
    answer.notes = said;
}
