//! One run of a NAT as its log has it: the clock, what is missing, and the records that matter.

use natshard::Protocol;

use crate::events::{Clock, Header, LoggedPool, Stamp};

/// The most gaps kept apart; further ones are one with the last.
const GAPS: usize = 4096;
/// The most clocks a run can have; one for each capture is usual.
const SEGMENTS: usize = 1 << 16;

/// A record about the tuple that is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    /// Which line of the run.
    pub(super) line: u64,
    /// The order of events.
    pub(super) sequence: u64,
    /// Engine time.
    pub(super) engine: u64,
    /// The wall clock.
    pub(super) time: Stamp,
    /// Whether the ports were given out, or came back.
    pub(super) assigned: bool,
    /// Whether it is about a port block or about a single port.
    pub(super) block: bool,
    pub(super) protocol: Protocol,
    pub(super) pool: String,
    /// Who, if the log says.
    pub(super) subscriber: Option<String>,
    /// First and last.
    pub(super) ports: (u16, u16),
}

/// A change of a pool's configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Change {
    /// Which line of the run.
    pub(super) line: u64,
    /// The order of events.
    pub(super) sequence: u64,
    /// Engine time.
    pub(super) engine: u64,
    /// The wall clock.
    pub(super) time: Stamp,
    pub(super) pool: String,
    /// What holds from then on.
    pub(super) now: Configured,
}

/// How a pool is configured.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Configured {
    So(Box<LoggedPool>),
    /// The log does not say.
    Unknown,
    NoLonger,
}

/// Why something is not in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// The NAT lost events, and knew it.
    Lost,
    /// Lines that the log had are not there.
    Missing,
    /// The log goes back to no beginning.
    NoBeginning,
}

/// Events of which the log knows nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Gap {
    pub(super) why: Why,
    /// How many events or lines.
    pub(super) count: u64,
    /// They happened at this engine time or later,
    pub(super) since: u64,
    /// and not later than this.
    pub(super) until: u64,
    /// The numbers of missing lines; empty otherwise.
    numbers: (u64, u64),
    /// The shard whose events they are, where only those were lost.
    shard: Option<usize>,
}

impl Gap {
    /// Whether a change of the configuration may be among them: no shard tells of those.
    pub(super) const fn hides_changes(&self) -> bool {
        self.shard.is_none()
    }

    /// Whether something of it may have happened after the line of that engine time and number.
    pub(super) fn is_after(&self, engine: u64, line: u64) -> bool {
        // Lines are written in order.
        let is_before = self.numbers.1 > 0 && self.numbers.1 <= line;
        self.until >= engine && !is_before
    }
}

/// The clock of a part of a run: engine time and wall clock go on alike in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Segment {
    pub(super) clock: Clock,
    /// Engine time at which the next one begins, or the run ends.
    pub(super) until: u64,
    /// Engine time of the last event that agrees with it.
    seen: u64,
    /// Whether no line says so, only events do.
    implied: bool,
}

impl Segment {
    /// When it begins.
    pub(super) fn begins(&self) -> Stamp {
        self.clock.time
    }

    /// Whether an event of that engine time has the wall clock's time by it.
    fn agrees(&self, time: Stamp, engine: u64) -> bool {
        // Both were rounded to milliseconds.
        (self.stamp(engine).0 - time.0).abs() <= 1
    }

    /// When it ends.
    pub(super) fn ends(&self) -> Stamp {
        self.stamp(self.until)
    }

    /// The wall clock at an engine time.
    pub(super) fn stamp(&self, engine: u64) -> Stamp {
        match engine.checked_sub(self.clock.engine_ms) {
            Some(later) => self.clock.time.after(later),
            None => self.clock.time.before(self.clock.engine_ms - engine),
        }
    }

    /// Engine time at a time of the wall clock, as if the segment had no end.
    pub(super) fn engine(&self, at: Stamp) -> i64 {
        (at.0 - self.clock.time.0).saturating_add_unsigned(self.clock.engine_ms)
    }
}

/// One run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Run {
    /// The log it begins in.
    pub(super) log: String,
    pub(super) header: Option<Header>,
    pub(super) segments: Vec<Segment>,
    pub(super) gaps: Vec<Gap>,
    pub(super) kept: Vec<Kept>,
    /// In order, once all lines were read.
    pub(super) changes: Vec<Change>,
    /// Events read.
    pub(super) events: u64,
    /// Lines that were there before.
    pub(super) repeated: u64,
    /// Whether its last line is there.
    pub(super) ended: bool,
    /// Whether the log stops in the middle of a line.
    pub(super) cut: bool,
    /// Engine time of the last line.
    pub(super) last: u64,
    /// The number that the next line should have.
    next: u64,
}

impl Run {
    /// A run that begins in that log, with a line of that number.
    pub(super) fn new(log: &str, header: Option<Header>) -> Self {
        Run {
            log: log.into(),
            header,
            segments: Vec::new(),
            gaps: Vec::new(),
            kept: Vec::new(),
            changes: Vec::new(),
            events: 0,
            repeated: 0,
            ended: false,
            cut: false,
            last: 0,
            next: 0,
        }
    }

    /// A line of that number, at that engine time; `false` if it was there before.
    pub(super) fn line(&mut self, number: u64, engine: Option<u64>) -> bool {
        let engine = engine.unwrap_or(self.last);
        if number < self.next {
            let is_new = self.fill(number);
            self.repeated += u64::from(!is_new);
            return is_new;
        }
        if number > self.next {
            let is_first = self.next == 0;
            let gap = Gap {
                why: if is_first {
                    Why::NoBeginning
                } else {
                    Why::Missing
                },
                count: number - self.next,
                since: if is_first { 0 } else { self.last },
                until: engine,
                numbers: (self.next, number),
                shard: None,
            };
            self.push(gap);
        }
        self.next = number + 1;
        self.last = self.last.max(engine);
        true
    }

    /// Events that the NAT knows it lost.
    pub(super) fn lost(&mut self, count: u64, since: u64, until: u64, shard: Option<usize>) {
        self.push(Gap {
            why: Why::Lost,
            count,
            since,
            until,
            numbers: (0, 0),
            shard,
        });
    }

    fn push(&mut self, gap: Gap) {
        let is_full = self.gaps.len() >= GAPS;
        match self.gaps.last_mut() {
            Some(last) if is_full => {
                last.count += gap.count;
                last.since = last.since.min(gap.since);
                last.until = last.until.max(gap.until);
                last.numbers = (0, 0);
                last.shard = last.shard.filter(|shard| gap.shard == Some(*shard));
            }
            _ => self.gaps.push(gap),
        }
    }

    /// A line that comes after later ones: it closes a gap, or was there before.
    fn fill(&mut self, number: u64) -> bool {
        let holds = |gap: &Gap| (gap.numbers.0..gap.numbers.1).contains(&number);
        let Some(at) = self.gaps.iter().position(holds) else {
            return false;
        };
        let gap = self.gaps.remove(at);
        let (first, end) = gap.numbers;
        for numbers in [(first, number), (number + 1, end)] {
            if numbers.0 < numbers.1 {
                self.gaps.push(Gap {
                    count: numbers.1 - numbers.0,
                    numbers,
                    ..gap.clone()
                });
            }
        }
        true
    }

    /// From that engine time on the wall clock is this.
    pub(super) fn clock(&mut self, clock: Clock) {
        self.segment(clock, false);
    }

    fn segment(&mut self, clock: Clock, implied: bool) {
        self.segments.push(Segment {
            until: clock.engine_ms,
            seen: clock.engine_ms,
            clock,
            implied,
        });
    }

    /// Takes a clock from a record that has both times, where the log has none that agrees; `false`
    /// if that happens so often that the two times cannot be right.
    pub(super) fn implied_clock(&mut self, time: Stamp, engine: u64) -> bool {
        // Lines may come out of order: any clock that was ever right will do.
        let agreeing = |it: &&mut Segment| it.agrees(time, engine);
        match self.segments.iter_mut().rev().find(agreeing) {
            Some(segment) => segment.seen = segment.seen.max(engine),
            None => {
                let clock = Clock {
                    time,
                    engine_ms: engine,
                    capture: None,
                };
                self.segment(clock, true);
            }
        }
        self.segments.len() <= SEGMENTS
    }

    /// Whether a line of that number, the first of another log, belongs to this run.
    pub(super) fn goes_on_with(&self, number: u64) -> bool {
        let is_missing = |gap: &Gap| (gap.numbers.0..gap.numbers.1).contains(&number);
        !self.ended && (number >= self.next || self.gaps.iter().any(is_missing))
    }

    /// Whether `later` is the rest of this run.
    pub(super) fn ends_where(&self, later: &Run) -> bool {
        let begins = later.gaps.first();
        let begins = begins.filter(|it| it.why == Why::NoBeginning);
        !self.ended && later.header.is_none() && begins.is_some_and(|it| it.numbers.1 == self.next)
    }

    /// Adds the rest of this run.
    pub(super) fn join(&mut self, later: Run) {
        self.segments.extend(later.segments);
        self.gaps.extend(later.gaps.into_iter().skip(1));
        self.kept.extend(later.kept);
        self.changes.extend(later.changes);
        self.events += later.events;
        self.repeated += later.repeated;
        self.last = self.last.max(later.last);
        (self.ended, self.cut, self.next) = (later.ended, later.cut, later.next);
    }

    /// No more lines: puts in order what is there.
    pub(super) fn finish(&mut self) {
        self.segments
            .sort_by_key(|it| (it.clock.engine_ms, it.implied));
        let mut segments: Vec<Segment> = Vec::new();
        for segment in self.segments.drain(..) {
            match segments.last_mut() {
                Some(before)
                    if segment.implied
                        && before.agrees(segment.clock.time, segment.clock.engine_ms) =>
                {
                    before.seen = before.seen.max(segment.seen);
                }
                _ => segments.push(segment),
            }
        }
        self.segments = segments;
        for at in 0..self.segments.len() {
            self.segments[at].until = match self.segments.get(at + 1) {
                // Whose beginning is not on record: what came before is good as far as it is known.
                Some(next) if next.implied => self.segments[at].seen,
                Some(next) => next.clock.engine_ms,
                None => self.last,
            };
        }
        self.kept.sort_by_key(|it| it.sequence);
        self.kept.dedup();
        self.changes.sort_by_key(|it| (it.engine, it.sequence));
        self.changes.dedup();
        self.gaps.sort_by_key(|it| (it.since, it.until));
    }

    /// How much later than its time an event may have happened, in milliseconds.
    pub(super) fn resolution(&self) -> u64 {
        self.header.as_ref().map_or(0, |it| it.clock_resolution_ms)
    }

    /// How long a port rests, in milliseconds, if that is known.
    pub(super) fn hold_down(&self) -> Option<u64> {
        self.header.as_ref().map(|it| it.hold_down_ms)
    }

    /// The pools that the run began with.
    pub(super) fn first_pools(&self) -> impl Iterator<Item = &LoggedPool> {
        self.header.iter().flat_map(|it| &it.pools)
    }

    /// Every pool there was, as often as it was configured.
    pub(super) fn pools(&self) -> impl Iterator<Item = &LoggedPool> {
        let changed = self.changes.iter().filter_map(|it| match &it.now {
            Configured::So(pool) => Some(&**pool),
            Configured::Unknown | Configured::NoLonger => None,
        });
        self.first_pools().chain(changed)
    }

    /// The realm of a pool, or the pool where that is not known: where its tuples are unique.
    pub(super) fn realm<'a>(&'a self, pool: &'a str) -> &'a str {
        let mut of = self.pools().filter(|it| it.name == pool);
        of.next().map_or(pool, |it| it.realm.as_str())
    }

    /// The wall clock at an engine time.
    pub(super) fn stamp(&self, engine: u64) -> Option<Stamp> {
        let after = |it: &&Segment| it.clock.engine_ms <= engine;
        let segment = self.segments.iter().rev().find(after);
        segment.or(self.segments.first()).map(|it| it.stamp(engine))
    }
}
