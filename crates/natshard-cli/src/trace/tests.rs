//! Traces of logs made by hand and of random histories.
//!
//! Claims of the properties: over a whole log the candidates are exactly those of the history it
//! was written from; and whatever lines are taken out of a log, a candidate who did not have the
//! tuple is called uncertain, and one who had it is named or the gap that hides it is.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use natshard::{
    Engine, EngineConfig, Event, EventKind, PoolConfig, PoolId, PortRange, Protocol, Tick,
};
use proptest::prelude::*;

use super::answer::{Answer, Place, answer};
use super::progress::Progress;
use super::question::Question;
use super::read::LogReader;
use super::run::Run;
use crate::events::{Clock, EventLog, Header, LoggedPool, Names, SCHEMA_VERSION, Stamp, Told};

/// 2026-01-05T10:00:00Z.
pub(super) const BASE: i64 = 1_767_607_200_000;
const HOLD: u64 = 120_000;

struct Numbers;

impl Names for Numbers {
    fn pool(&self, _: PoolId) -> Cow<'_, str> {
        "p".into()
    }

    fn subscriber(&self, _: PoolId, subscriber: u64) -> Cow<'_, str> {
        subscriber.to_string().into()
    }

    fn configuration(&self, _: PoolId) -> Option<LoggedPool> {
        None
    }
}

/// An engine's name for a pool; there is no other way to get one.
fn pool() -> PoolId {
    static POOL: OnceLock<PoolId> = OnceLock::new();
    *POOL.get_or_init(|| {
        let pool = PoolConfig::new("p").prefix("203.0.113.0/28".parse().unwrap());
        let engine = Engine::new(EngineConfig::new(1).pool(pool)).unwrap();
        engine.pool("p").unwrap()
    })
}

fn address() -> IpAddr {
    "203.0.113.7".parse().unwrap()
}

pub(super) fn header(resolution: u64) -> Header {
    Header {
        schema_version: SCHEMA_VERSION,
        program: "natshard".into(),
        leases: true,
        hold_down_ms: HOLD,
        clock_resolution_ms: resolution,
        shards: 1,
        pools: vec![LoggedPool {
            name: "p".into(),
            realm: "r".into(),
            prefixes: vec!["203.0.113.0/28".parse().unwrap()],
            ports: (1024, 65535),
            identifiers: (0, 65535),
            excluded_addresses: vec![],
            port_block_size: Some(64),
            deterministic: None,
            subscriber_limit: None,
        }],
    }
}

pub(super) fn clock(engine_ms: u64, wall: i64) -> Clock {
    Clock {
        time: Stamp(BASE + wall),
        engine_ms,
        capture: Some(format!("{engine_ms}.pcap")),
    }
}

/// Somebody has a block of 64 ports, or a port, from one engine time to another.
#[derive(Clone, Debug)]
struct Held {
    protocol: Protocol,
    subscriber: u64,
    first: u16,
    block: bool,
    from: u64,
    until: Option<u64>,
}

impl Held {
    fn kind(&self, assigned: bool) -> EventKind {
        let (protocol, subscriber) = (self.protocol, self.subscriber);
        let ports = PortRange {
            protocol,
            address: address(),
            first: self.first,
            last: self.first + 63,
        };
        let public = SocketAddr::new(address(), self.first);
        let named = Some(subscriber);
        match (self.block, assigned) {
            (true, true) => EventKind::PortBlockAssigned { subscriber, ports },
            (true, false) => EventKind::PortBlockReleased { subscriber, ports },
            (false, true) => EventKind::PortAssigned {
                protocol,
                public,
                subscriber: named,
            },
            (false, false) => EventKind::PortReleased {
                protocol,
                public,
                subscriber: named,
            },
        }
    }

    fn holds(&self, protocol: Protocol, port: u16, at: u64) -> bool {
        let last = if self.block {
            self.first + 63
        } else {
            self.first
        };
        self.protocol == protocol
            && (self.first..=last).contains(&port)
            && self.from <= at
            && self.until.is_none_or(|until| at <= until)
    }
}

/// The log of a history, its clocks and the engine time at which it ends.
fn log(history: &[Held], clocks: &[Clock], end: u64) -> Vec<u8> {
    let mut moments: Vec<(u64, EventKind)> = Vec::new();
    for held in history {
        moments.push((held.from, held.kind(true)));
        moments.extend(held.until.map(|until| (until, held.kind(false))));
    }
    // Stable: what ends at a time is listed by a history before what begins then.
    moments.sort_by_key(|it| it.0);
    let mut log = EventLog::begin(Vec::new(), &header(0)).unwrap();
    let mut clocks = clocks.iter().peekable();
    for (sequence, (at, kind)) in moments.into_iter().enumerate() {
        while let Some(clock) = clocks.next_if(|it| it.engine_ms <= at) {
            log.clock(clock.clone()).unwrap();
        }
        let event = Event {
            sequence: sequence as u64,
            at: Tick::from_millis(at),
            pool: pool(),
            kind,
        };
        log.tell(&Told::Event(event), &Numbers).unwrap();
    }
    for clock in clocks {
        log.clock(clock.clone()).unwrap();
    }
    log.end(Tick::from_millis(end)).unwrap()
}

fn question(port: u16, protocol: Option<Protocol>, at: &str, within: u64) -> Question {
    Question {
        public: SocketAddr::new(address(), port),
        protocol,
        at: Some(at.parse().unwrap()),
        within,
    }
}

pub(super) fn runs(question: &Question, logs: &[&[u8]]) -> Vec<Run> {
    let mut reader = LogReader::new(Some(question), Progress::new(false, None));
    for (at, bytes) in logs.iter().enumerate() {
        reader.lines(&format!("log{at}"), *bytes).unwrap();
    }
    reader.finish()
}

pub(super) fn ask(question: &Question, logs: &[&[u8]]) -> Answer {
    answer(question, &runs(question, logs), None)
}

pub(super) fn who(answer: &Answer) -> Vec<(&str, Place, bool)> {
    answer
        .candidates
        .iter()
        .map(|it| {
            (
                it.subscriber.as_deref().unwrap_or("?"),
                it.place,
                it.doubts.is_empty(),
            )
        })
        .collect()
}

fn tcp(subscriber: u64, from: u64, until: Option<u64>) -> Held {
    Held {
        protocol: Protocol::Tcp,
        subscriber,
        first: 1024,
        block: true,
        from,
        until,
    }
}

/// Subscriber 1 for 10 minutes, then 2 to the end at 30 minutes.
fn two() -> Vec<u8> {
    let history = [tcp(1, 0, Some(600_000)), tcp(2, 720_000, None)];
    log(&history, &[clock(0, 0)], 1_800_000)
}

/// A log without some of its lines, counted from 0.
pub(super) fn without(log: &[u8], lines: impl Fn(usize) -> bool) -> Vec<u8> {
    let kept = log.split_inclusive(|it| *it == b'\n').enumerate();
    kept.filter(|(at, _)| !lines(*at))
        .flat_map(|(_, line)| line.to_vec())
        .collect()
}

#[test]
fn the_holder_at_a_time_is_found_with_the_ports_and_times_of_its_block() {
    let answer = ask(
        &question(1087, None, "2026-01-05T11:05:00+01:00", 10_000),
        &[&two()],
    );
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
    let it = &answer.candidates[0];
    assert_eq!(
        (it.ports, it.from, it.until),
        ((1024, 1087), Some(Stamp(BASE)), Some(Stamp(BASE + 600_000)))
    );
    assert_eq!(answer.notes, [] as [&str; 0]);
    let answer = ask(
        &question(1024, None, "2026-01-05T10:20:00Z", 10_000),
        &[&two()],
    );
    assert_eq!(who(&answer), [("2", Place::Held, true)]);
    for (port, protocol) in [(1088, None), (1023, None), (1024, Some(Protocol::Udp))] {
        let answer = ask(
            &question(port, protocol, "2026-01-05T10:20:00Z", 0),
            &[&two()],
        );
        assert_eq!(who(&answer), []);
    }
}

#[test]
fn near_a_boundary_both_neighbours_are_named() {
    // Given back at 10:10:00.000; a second later, and at that very millisecond.
    let at = |text, within| ask(&question(1024, None, text, within), &[&two()]);
    assert_eq!(
        who(&at("2026-01-05T10:10:03.000Z", 10_000)),
        [("1", Place::Before(3000), true)]
    );
    assert_eq!(who(&at("2026-01-05T10:10:03.000Z", 2999)), []);
    assert_eq!(
        who(&at("2026-01-05T10:10:00.000Z", 0)),
        [("1", Place::Held, true)]
    );
    assert_eq!(who(&at("2026-01-05T10:10:00.001Z", 0)), []);
    // A whole second holds its first millisecond.
    assert_eq!(
        who(&at("2026-01-05T10:10:00Z", 0)),
        [("1", Place::Held, true)]
    );
    // Both within two minutes: the holder before is as near as the one after.
    assert_eq!(
        who(&at("2026-01-05T10:11:00.000Z", 60_000)),
        [
            ("1", Place::Before(60_000), true),
            ("2", Place::After(60_000), true)
        ]
    );
    // Nobody near: the last and the next are named as such.
    let answer = at("2026-01-05T10:11:00.000Z", 10_000);
    let named: Vec<_> = answer
        .neighbours
        .iter()
        .map(|it| (it.subscriber.as_deref(), it.place))
        .collect();
    assert_eq!(
        named,
        [
            (Some("1"), Place::Before(60_000)),
            (Some("2"), Place::After(60_000))
        ]
    );
}

#[test]
fn a_port_that_rests_is_said_to() {
    let history = [Held {
        block: false,
        ..tcp(1, 0, Some(600_000))
    }];
    let log = log(&history, &[clock(0, 0)], 1_800_000);
    let note = |at| {
        ask(&question(1024, Some(Protocol::Tcp), at, 10_000), &[&log])
            .notes
            .join("\n")
    };
    let said = note("2026-01-05T10:11:00Z");
    assert!(
        said.contains("rested: 1 gave it back at 2026-01-05T10:10:00.000Z"),
        "{said}"
    );
    assert!(said.contains("ends at 2026-01-05T10:12:00.000Z"), "{said}");
    assert_eq!(note("2026-01-05T10:12:00Z"), "");
}

#[test]
fn the_clock_of_an_event_is_as_exact_as_the_header_says() {
    let text = String::from_utf8(two()).unwrap();
    let coarse = text.replace("\"clock_resolution_ms\":0", "\"clock_resolution_ms\":10");
    let at = |text| ask(&question(1024, None, text, 0), &[coarse.as_bytes()]);
    assert_eq!(
        who(&at("2026-01-05T10:10:00.010Z")),
        [("1", Place::Held, true)]
    );
    assert_eq!(who(&at("2026-01-05T10:10:00.011Z")), []);
}

#[test]
fn each_protocol_has_ports_of_its_own() {
    let history = [
        tcp(1, 0, None),
        Held {
            protocol: Protocol::Udp,
            ..tcp(2, 0, None)
        },
        Held {
            protocol: Protocol::Icmp,
            ..tcp(3, 0, None)
        },
    ];
    let log = log(&history, &[clock(0, 0)], 1_800_000);
    let answer = ask(&question(1024, None, "2026-01-05T10:20:00Z", 0), &[&log]);
    assert_eq!(who(&answer).len(), 3);
    assert!(
        answer.notes.iter().any(|it| it.contains("--protocol")),
        "{:?}",
        answer.notes
    );
    let answer = ask(
        &question(1024, Some(Protocol::Udp), "2026-01-05T10:20:00Z", 0),
        &[&log],
    );
    assert_eq!(who(&answer), [("2", Place::Held, true)]);
    assert_eq!(answer.notes, [] as [&str; 0]);
}

#[test]
fn a_port_known_by_itself_and_by_its_block_is_one_candidate() {
    let port = Held {
        block: false,
        ..tcp(1, 5000, Some(300_000))
    };
    let log = log(&[tcp(1, 0, None), port], &[clock(0, 0)], 1_800_000);
    let answer = ask(&question(1024, None, "2026-01-05T10:02:00Z", 0), &[&log]);
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
    assert_eq!(answer.candidates[0].ports, (1024, 1024));
    let answer = ask(&question(1024, None, "2026-01-05T10:20:00Z", 0), &[&log]);
    assert_eq!(answer.candidates[0].ports, (1024, 1087));
}

#[test]
fn beyond_the_log_nothing_is_made_up() {
    let at = |text, within| ask(&question(1024, None, text, within), &[&two()]);
    let early = at("2026-01-05T09:00:00Z", 10_000);
    assert_eq!(who(&early), []);
    assert!(
        early.notes[0].contains("before log0 (0.pcap) begins, at 2026-01-05T10:00:00.000Z"),
        "{:?}",
        early.notes
    );
    assert_eq!(early.neighbours[0].place, Place::After(3_599_001));
    let late = at("2026-01-05T12:00:00Z", 10_000);
    assert_eq!(who(&late), []);
    assert!(
        late.notes[0].contains("after the end of log0 (0.pcap), at 2026-01-05T10:30:00.000Z"),
        "{:?}",
        late.notes
    );
    assert_eq!(late.neighbours[0].subscriber.as_deref(), Some("2"));
    // Close enough to the end to be a matter of clocks: who had it then is named, and doubted.
    let close = at("2026-01-05T10:30:05.000Z", 10_000);
    assert_eq!(who(&close), [("2", Place::Before(5000), false)]);
}

#[test]
fn captures_have_clocks_of_their_own() {
    // Monday 10:00 to 10:10, then Tuesday at the same hour; engine time goes on.
    let day = 86_400_000;
    let history = [tcp(1, 0, Some(900_000)), tcp(2, 1_100_000, None)];
    let log = log(&history, &[clock(0, 0), clock(600_000, day)], 1_800_000);
    let at = |text| ask(&question(1024, None, text, 10_000), &[&log]);
    assert_eq!(who(&at("2026-01-05T10:05:00Z")), [("1", Place::Held, true)]);
    assert_eq!(who(&at("2026-01-06T10:04:00Z")), [("1", Place::Held, true)]);
    assert_eq!(who(&at("2026-01-06T10:10:00Z")), [("2", Place::Held, true)]);
    // In between nobody looked, although 1 had it before and after.
    let night = at("2026-01-05T20:00:00Z");
    assert_eq!(who(&night), []);
    assert!(
        night.notes[0].contains("nothing on record holds that time"),
        "{:?}",
        night.notes
    );
    assert!(night.notes[0].contains("600000.pcap"), "{:?}", night.notes);
}

#[test]
fn a_time_that_two_captures_hold_has_an_answer_for_each() {
    // The same hour captured twice: a clock set back, or two places.
    let history = [tcp(1, 0, Some(500_000)), tcp(2, 700_000, None)];
    let log = log(&history, &[clock(0, 0), clock(600_000, 0)], 1_200_000);
    let answer = ask(&question(1024, None, "2026-01-05T10:05:00Z", 0), &[&log]);
    assert_eq!(
        who(&answer),
        [("1", Place::Held, true), ("2", Place::Held, true)]
    );
    assert!(
        answer.notes[0].contains("2 stretches of time"),
        "{:?}",
        answer.notes
    );
}

#[test]
fn lost_events_make_uncertain_what_they_could_have_changed() {
    let mut log = EventLog::begin(Vec::new(), &header(0)).unwrap();
    log.clock(clock(0, 0)).unwrap();
    let event = Event {
        sequence: 0,
        at: Tick::ZERO,
        pool: pool(),
        kind: tcp(1, 0, None).kind(true),
    };
    log.tell(&Told::Event(event), &Numbers).unwrap();
    let lost = Told::Lost {
        shard: Some(1),
        events: 3,
        since: Tick::from_millis(300_000),
        until: Tick::from_millis(310_000),
    };
    log.tell(&lost, &Numbers).unwrap();
    let bytes = log.end(Tick::from_millis(900_000)).unwrap();
    let at = |text, port| ask(&question(port, Some(Protocol::Tcp), text, 0), &[&bytes]);
    assert_eq!(
        who(&at("2026-01-05T10:04:00Z", 1024)),
        [("1", Place::Held, true)]
    );
    let after = at("2026-01-05T10:10:00Z", 1024);
    assert_eq!(who(&after), [("1", Place::Held, false)]);
    let doubt = &after.candidates[0].doubts[0];
    assert!(
        doubt.contains(
            "3 events were lost between 2026-01-05T10:05:00.000Z and 2026-01-05T10:05:10.000Z"
        ),
        "{doubt}"
    );
    // Of a port nobody has, an assignment may be missing.
    let free = at("2026-01-05T10:10:00Z", 5000);
    assert!(
        free.notes[0].contains("may be missing: 3 events"),
        "{:?}",
        free.notes
    );
    assert_eq!(at("2026-01-05T10:04:00Z", 5000).notes, [] as [&str; 0]);
}

#[test]
fn missing_lines_are_found_by_their_numbers() {
    // header, clock, +1, -1, +2, end
    let log = two();
    let at = |log: &[u8], text| ask(&question(1024, Some(Protocol::Tcp), text, 0), &[log]);
    // The return of 1 is missing.
    let no_return = without(&log, |at| at == 3);
    assert_eq!(
        who(&at(&no_return, "2026-01-05T10:05:00Z")),
        [("1", Place::Held, false)]
    );
    assert_eq!(
        who(&at(&no_return, "2026-01-05T10:20:00Z")),
        [("2", Place::Held, true)]
    );
    // The assignment of 1 is missing.
    let no_begin = without(&log, |at| at == 2);
    assert_eq!(
        who(&at(&no_begin, "2026-01-05T10:05:00Z")),
        [("1", Place::Held, false)]
    );
    // The end is missing.
    let no_end = without(&log, |at| at == 5);
    let answer = at(&no_end, "2026-01-05T10:05:00Z");
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
    assert!(
        answer.notes[0].contains("no closing line"),
        "{:?}",
        answer.notes
    );
    assert!(!answer.logs[0].complete);
    // Everything before the second assignment is missing.
    let tail = without(&log, |at| at < 4);
    let answer = at(&tail, "2026-01-05T10:15:00Z");
    assert_eq!(who(&answer), [("2", Place::Held, true)]);
    assert!(
        answer.notes.iter().any(|it| it.contains("no header")),
        "{:?}",
        answer.notes
    );
    assert_eq!(answer.logs[0].lacks, 4);
}

#[test]
fn a_log_cut_inside_its_last_line_is_good_until_there() {
    let log = two();
    let cut = &log[..log.len() - 10];
    let answer = ask(&question(1024, None, "2026-01-05T10:05:00Z", 0), &[cut]);
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
    assert!(
        answer.notes[0].contains("stops in the middle of a line"),
        "{:?}",
        answer.notes
    );
    // Whole but for the newline.
    let answer = ask(
        &question(1024, None, "2026-01-05T10:05:00Z", 0),
        &[&log[..log.len() - 1]],
    );
    assert_eq!(answer.notes, [] as [&str; 0]);
}

#[test]
fn pieces_of_a_log_in_any_order_and_lines_in_any_order_are_one_log() {
    let log = two();
    let whole = ask(&question(1024, None, "2026-01-05T10:05:00Z", 0), &[&log]);
    let (head, tail) = (without(&log, |at| at >= 3), without(&log, |at| at < 3));
    for pieces in [[&head[..], &tail], [&tail, &head]] {
        let answer = ask(&question(1024, None, "2026-01-05T10:05:00Z", 0), &pieces);
        assert_eq!(who(&answer), who(&whole));
        assert_eq!((answer.notes, answer.logs.len()), (vec![], 1));
    }
    // The header first, then backwards.
    let mut lines: Vec<&[u8]> = log.split_inclusive(|it| *it == b'\n').collect();
    lines[1..].reverse();
    let answer = ask(
        &question(1024, None, "2026-01-05T10:05:00Z", 0),
        &[&lines.concat()],
    );
    assert_eq!(who(&answer), who(&whole));
    assert_eq!(answer.notes, [] as [&str; 0]);
}

#[test]
fn repeated_lines_count_once_and_so_do_repeated_logs() {
    let log = two();
    let mut twice = log.clone();
    twice.extend(without(&log, |at| at != 2));
    let answer = ask(&question(1024, None, "2026-01-05T10:05:00Z", 0), &[&twice]);
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
    assert!(
        answer.notes[0].contains("1 line twice"),
        "{:?}",
        answer.notes
    );
    let answer = ask(
        &question(1024, None, "2026-01-05T10:05:00Z", 0),
        &[&log, &log],
    );
    assert_eq!(who(&answer), [("1", Place::Held, true)]);
}

#[test]
fn two_runs_are_not_mixed_up() {
    // The NAT was started again: 1 has nothing any more, and numbers begin anew.
    let first = log(&[tcp(1, 0, None)], &[clock(0, 0)], 600_000);
    let second = log(&[tcp(2, 60_000, None)], &[clock(0, 700_000)], 600_000);
    let both = [first, second].concat();
    let at = |text| ask(&question(1024, None, text, 0), &[&both]);
    assert_eq!(who(&at("2026-01-05T10:05:00Z")), [("1", Place::Held, true)]);
    assert_eq!(who(&at("2026-01-05T10:12:00Z")), []);
    assert_eq!(who(&at("2026-01-05T10:15:00Z")), [("2", Place::Held, true)]);
}

/// Two slots of ports in each of two protocols, given to four subscribers in turn.
fn history() -> impl Strategy<Value = (Vec<Held>, u64)> {
    let turn = (0..4_u64, 0..90_000_u64, 1..400_000_u64);
    let slot = (prop::collection::vec(turn, 0..6), any::<bool>());
    (
        prop::collection::vec(slot, 4),
        any::<bool>(),
        0..100_000_u64,
    )
        .prop_map(|(slots, block, more)| {
            let mut history = Vec::new();
            let mut end = 0;
            for (at, (turns, keeps)) in slots.into_iter().enumerate() {
                let mut free = 0;
                let last = turns.len();
                for (turn, (subscriber, wait, stay)) in turns.into_iter().enumerate() {
                    let from = free + wait;
                    let until = (turn + 1 < last || !keeps).then_some(from + stay);
                    end = end.max(from + stay);
                    // No earlier than its hold-down ends.
                    free = from + stay + HOLD;
                    history.push(Held {
                        protocol: [Protocol::Tcp, Protocol::Udp][at % 2],
                        subscriber,
                        first: [1024, 1088][at / 2],
                        block,
                        from,
                        until,
                    });
                }
            }
            (history, end + more)
        })
}

/// Captures of some minutes each, on any of three days, perhaps at the same hour.
fn clocks() -> impl Strategy<Value = Vec<Clock>> {
    let capture = (100_000..900_000_u64, 0..3_i64, 0..600_000_i64);
    prop::collection::vec(capture, 1..4).prop_map(|captures| {
        let mut engine = 0;
        let clocks = captures.into_iter().map(|(lasts, day, wall)| {
            let clock = clock(engine, day * 86_400_000 + wall);
            engine += lasts;
            clock
        });
        clocks.collect()
    })
}

/// The engine times that a time of the wall clock stands for.
fn engine_times(clocks: &[Clock], end: u64, wall: i64) -> Vec<u64> {
    let part = |(at, clock): (usize, &Clock)| {
        let until = clocks.get(at + 1).map_or(end, |it| it.engine_ms);
        let engine = u64::try_from(wall - clock.time.0).ok()? + clock.engine_ms;
        (engine <= until).then_some(engine)
    };
    clocks.iter().enumerate().filter_map(part).collect()
}

/// A time: at any moment of a capture or near an event, or anywhere.
fn wall(history: &[Held], clocks: &[Clock], end: u64, which: (usize, u64, i64)) -> i64 {
    let (kind, pick, off) = which;
    let engine = match (kind % 4, history.len()) {
        (0, _) | (_, 0) => pick % (end + 1),
        (1, len) => history[pick as usize % len].from,
        (2, len) => history[pick as usize % len].until.unwrap_or(end),
        (_, _) => return BASE + (pick % 260_000_000) as i64 - 500_000,
    };
    let of = clocks.iter().rev().find(|it| it.engine_ms <= engine);
    let of = of.unwrap_or(&clocks[0]);
    of.time.0 + engine as i64 - of.engine_ms as i64 + off
}

fn asked(port: u16, wall: i64) -> Question {
    question(port, None, &Stamp(wall).to_string(), 0)
}

type Which = (usize, u64, i64);

fn whichever() -> impl Strategy<Value = Vec<Which>> {
    let one = (
        any::<usize>(),
        any::<u64>(),
        prop_oneof![Just(0), Just(-1), Just(1), -5000..5000_i64],
    );
    prop::collection::vec(one, 8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_whole_log_gives_the_history_it_was_written_from(
        (history, end) in history(), clocks in clocks(), times in whichever(), port in 1020..1155_u16,
    ) {
        let clocks: Vec<Clock> = clocks.into_iter().filter(|it| it.engine_ms <= end).collect();
        let log = log(&history, &clocks, end);
        for which in times {
            let wall = wall(&history, &clocks, end, which);
            let answer = ask(&asked(port, wall), &[&log]);
            let mut found: Vec<(Protocol, u64, Stamp)> = Vec::new();
            for it in &answer.candidates {
                prop_assert_eq!(it.place, Place::Held);
                prop_assert_eq!(&it.doubts, &[] as &[String]);
                let who = it.subscriber.as_ref().unwrap().parse().unwrap();
                found.push((it.protocol, who, it.from.unwrap()));
            }
            let mut expected = Vec::new();
            for engine in engine_times(&clocks, end, wall) {
                for held in &history {
                    if held.holds(held.protocol, port, engine) {
                        let since = clocks.iter().rev().find(|it| it.engine_ms <= held.from).unwrap();
                        let from = since.time.after(held.from - since.engine_ms);
                        expected.push((held.protocol, held.subscriber, from));
                    }
                }
            }
            found.sort();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(found, expected, "at {}: {:?}", Stamp(wall), answer);
        }
    }

    #[test]
    fn whatever_is_missing_no_answer_is_certain_and_wrong(
        (history, end) in history(), clocks in clocks(), times in whichever(), port in 1020..1155_u16,
        taken in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
    ) {
        let clocks: Vec<Clock> = clocks.into_iter().filter(|it| it.engine_ms <= end).collect();
        let whole = log(&history, &clocks, end);
        let lines = whole.split_inclusive(|it| *it == b'\n').count();
        let taken: Vec<usize> = taken.iter().map(|it| it.index(lines)).collect();
        let log = without(&whole, |at| taken.contains(&at));
        prop_assume!(!log.is_empty());
        for which in times {
            let wall = wall(&history, &clocks, end, which);
            let question = asked(port, wall);
            let answer = ask(&question, &[&log]);
            let clock_taken = without(&whole, |at| !taken.contains(&at))
                .split(|it| *it == b'\n')
                .any(|it| it.starts_with(b"{\"record\":\"clock\""));
            let truth: Vec<&Held> = engine_times(&clocks, end, wall)
                .into_iter()
                .flat_map(|engine| history.iter().filter(move |it| it.holds(it.protocol, port, engine)))
                .collect();
            let is = |it: &super::answer::Candidate, held: &Held| {
                it.protocol == held.protocol && it.subscriber == Some(held.subscriber.to_string())
            };
            for it in &answer.candidates {
                prop_assert!(
                    !it.doubts.is_empty() || truth.iter().any(|held| is(it, held)),
                    "certain and wrong at {}: {it:?}\ntaken {taken:?}\n{}",
                    Stamp(wall), String::from_utf8_lossy(&log)
                );
            }
            for held in truth {
                let hidden = |it: &String| {
                    it.contains("an assignment of this port may be missing")
                        || it.contains("nothing on record holds that time")
                        || it.contains("that time is after the end")
                        || it.contains("that time is before")
                        || it.contains("no time in them")
                        || (taken.contains(&(lines - 1)) && it.contains("it is good to"))
                        || (clock_taken && it.contains("a capture with its clock may be"))
                };
                prop_assert!(
                    answer.candidates.iter().any(|it| is(it, held)) || answer.notes.iter().any(hidden),
                    "{held:?} had it at {} and is hidden: {answer:#?}\ntaken {taken:?}\n{}",
                    Stamp(wall), String::from_utf8_lossy(&log)
                );
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        mut log in Just(two()), places in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        for (at, byte) in places {
            let at = at.index(log.len());
            log[at] = byte;
        }
        let question = question(1024, None, "2026-01-05T10:05:00Z", 0);
        let mut reader = LogReader::new(Some(&question), Progress::new(false, None));
        if reader.lines("log", log.as_slice()).is_ok() {
            answer(&question, &reader.finish(), None);
        }
    }
}
