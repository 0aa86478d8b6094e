//! What was held when, to judge limits by.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// When a call began and when it had returned.
type Span = (usize, usize);

/// Never.
const NEVER: usize = usize::MAX;

#[derive(Clone, Copy, Debug)]
enum Event {
    Charged(Span),
    Refused(Span),
    /// Given back in a slice between the two.
    Rests(Span, (u64, u64)),
    Unused(Span),
    /// Time became this.
    Slice(Span, u64),
}

/// The calls of one execution on one account, with their order. It does not take part in the
/// model: executions run one thread at a time.
#[derive(Debug)]
pub struct History {
    rest: u64,
    moments: AtomicUsize,
    events: Mutex<Vec<Event>>,
    slice: Mutex<(u64, u64)>,
}

impl History {
    /// Of ports that rest so many slices.
    pub fn new(rest: u64) -> Self {
        History {
            rest,
            moments: AtomicUsize::new(0),
            events: Mutex::default(),
            slice: Mutex::default(),
        }
    }

    fn moment(&self) -> usize {
        self.moments.fetch_add(1, Ordering::SeqCst)
    }

    fn note(&self, event: Event) {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.push(event);
    }

    /// A charge; whether it was allowed.
    pub fn charge(&self, call: impl FnOnce() -> bool) -> bool {
        let begun = self.moment();
        let charged = call();
        let span = (begun, self.moment());
        self.note(if charged {
            Event::Charged(span)
        } else {
            Event::Refused(span)
        });
        charged
    }

    /// A release, after which the port rests.
    pub fn release(&self, call: impl FnOnce()) {
        let earliest = self.slice.lock().unwrap().0;
        let begun = self.moment();
        call();
        let span = (begun, self.moment());
        let latest = self.slice.lock().unwrap().1;
        self.note(Event::Rests(span, (earliest, latest)));
    }

    /// A charge taken back.
    pub fn uncharge(&self, call: impl FnOnce()) {
        let begun = self.moment();
        call();
        let span = (begun, self.moment());
        self.note(Event::Unused(span));
    }

    /// Time is brought to a slice.
    pub fn bring(&self, slice: u64, call: impl FnOnce()) {
        let raise = |which: fn(&mut (u64, u64)) -> &mut u64| {
            let mut seen = self.slice.lock().unwrap();
            let seen = which(&mut seen);
            *seen = slice.max(*seen);
        };
        let begun = self.moment();
        raise(|seen| &mut seen.1);
        call();
        raise(|seen| &mut seen.0);
        let span = (begun, self.moment());
        self.note(Event::Slice(span, slice));
    }

    /// How many charges were refused.
    pub fn refused(&self) -> usize {
        let events = self.events.lock().unwrap();
        let refused = events
            .iter()
            .filter(|event| matches!(event, Event::Refused(_)));
        refused.count()
    }

    /// Checks that no more than `limit` were held at any moment, and that whoever was refused
    /// could have found so many held at some moment of the call.
    ///
    /// # Panics
    ///
    /// When that is not so.
    pub fn check(&self, limit: usize) {
        let events = self.events.lock().unwrap();
        // From when, and until when, one more was certainly held, or could have been.
        let (mut certain, mut possible) = (Vec::new(), Vec::new());
        let reached = |slice: u64, end: fn(&Span) -> usize| {
            let spans = events.iter().filter_map(|event| match event {
                Event::Slice(span, to) if *to >= slice => Some(end(span)),
                _ => None,
            });
            spans.min().unwrap_or(NEVER)
        };
        for event in events.iter() {
            match *event {
                Event::Charged((begun, done)) => {
                    certain.push((done, 1));
                    possible.push((begun, 1));
                }
                Event::Unused((begun, done)) => {
                    certain.push((begun, -1));
                    possible.push((done, -1));
                }
                Event::Rests((begun, done), (earliest, latest)) => {
                    let (earliest, latest) = (earliest + self.rest, latest + self.rest);
                    certain.push((begun.max(reached(earliest, |span| span.0)), -1));
                    possible.push((done.max(reached(latest, |span| span.1)), -1));
                }
                Event::Refused(_) | Event::Slice(..) => {}
            }
        }
        let held = |steps: &[(usize, i32)], at: usize| {
            let before = steps.iter().filter(|(moment, _)| *moment <= at);
            before.map(|(_, step)| step).sum::<i32>()
        };
        for &(at, _) in &certain {
            let held = held(&certain, at);
            assert!(held <= limit as i32, "{held} held at {at}: {events:?}");
        }
        for event in events.iter() {
            let Event::Refused((begun, done)) = *event else {
                continue;
            };
            let most = (begun..=done).map(|at| held(&possible, at)).max();
            assert!(
                most.is_some_and(|most| most >= limit as i32),
                "refused between {begun} and {done} with at most {most:?} held: {events:?}"
            );
        }
    }
}
