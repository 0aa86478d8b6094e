//! *latency*: how long single operations take, to the 99.999th percentile.
//!
//! Each operation is between two reads of the cycle counter, without a fence: the cost of a read is
//! shown and is in every figure. Whatever else the machine does in between is in the tail as well;
//! what it does to a pair of reads with nothing between them is shown beside.

use std::hint::black_box;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use natshard::Lease;

use super::cases::occupancy;
use super::own::{self, Own};
use super::pools::{BURST, Rest, plain};
use super::window::Live;

/// The quantiles shown.
pub const QUANTILES: [(&str, f64); 6] = [
    ("median", 0.5),
    ("p99", 0.99),
    ("p99.9", 0.999),
    ("p99.99", 0.9999),
    ("p99.999", 0.99999),
    ("max", 1.0),
];

/// The distribution of one operation.
#[derive(Clone, Debug)]
pub struct Tail {
    /// The operation.
    pub operation: &'static str,
    /// Of which state.
    pub setting: &'static str,
    /// How often it was timed.
    pub count: u64,
    /// Nanoseconds at each of [`QUANTILES`].
    pub nanos: [f64; QUANTILES.len()],
}

/// Times so many leases and releases in each setting.
#[must_use]
pub fn measure(operations: u64) -> Vec<Tail> {
    let clock = Clock::new();
    let mut tails = vec![nothing(&clock, operations)];
    let window = 1_000;
    let rest = Rest::DEFAULT;
    let own = own::team(1, window, plain(rest.addresses(1, window)), rest).remove(0);
    tails.extend(of(&clock, own, "1,000 live", operations));
    let nearly = occupancy::pool(occupancy::ADDRESSES, 950);
    tails.extend(of(&clock, nearly, "95 % leased", operations));
    let full = occupancy::pool(occupancy::ADDRESSES, 999);
    tails.extend(of(&clock, full, "99.9 % leased", operations));
    tails
}

fn nothing(clock: &Clock, operations: u64) -> Tail {
    let mut tail = histogram();
    for _ in 0..operations {
        let before = clock.read();
        let after = clock.read();
        note(&mut tail, before, after);
    }
    clock.tail("nothing, the timer alone", "", &tail)
}

fn of<L: Live<Lease>>(
    clock: &Clock,
    mut own: Own<L>,
    setting: &'static str,
    operations: u64,
) -> [Tail; 3] {
    let [mut begin, mut allocate, mut release] = [histogram(), histogram(), histogram()];
    for _ in 0..operations / BURST {
        let (mut shard, request, live) = own.parts();
        let before = clock.read();
        let mut burst = shard.begin();
        let after = clock.read();
        note(&mut begin, before, after);
        for _ in 0..BURST {
            let before = clock.read();
            let lease = black_box(&mut burst).allocate(black_box(request));
            let after = clock.read();
            note(&mut allocate, before, after);
            let gone = live.swap(lease.expect("the pool is large enough"));
            let before = clock.read();
            black_box(&mut burst).release(gone);
            let after = clock.read();
            note(&mut release, before, after);
        }
    }
    [
        clock.tail("burst begin", setting, &begin),
        clock.tail("allocate", setting, &allocate),
        clock.tail("release", setting, &release),
    ]
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 1 << 40, 3).expect("sound bounds")
}

fn note(tail: &mut Histogram<u64>, before: u64, after: u64) {
    tail.saturating_record(after.saturating_sub(before));
}

/// The cycle counter, or what comes nearest to it.
struct Clock {
    nanos_per_tick: f64,
    #[cfg(not(target_arch = "x86_64"))]
    start: Instant,
}

impl Clock {
    #[cfg(target_arch = "x86_64")]
    fn new() -> Self {
        let mut clock = Clock {
            nanos_per_tick: 1.0,
        };
        let (started, first) = (Instant::now(), clock.read());
        while started.elapsed() < Duration::from_millis(20) {
            std::hint::spin_loop();
        }
        let (took, last) = (started.elapsed(), clock.read());
        clock.nanos_per_tick = took.as_nanos() as f64 / (last - first) as f64;
        clock
    }

    #[cfg(not(target_arch = "x86_64"))]
    fn new() -> Self {
        Clock {
            nanos_per_tick: 1.0,
            start: Instant::now(),
        }
    }

    #[inline(always)]
    #[cfg(target_arch = "x86_64")]
    fn read(&self) -> u64 {
        // SAFETY: every processor of this architecture has the instruction.
        unsafe { std::arch::x86_64::_rdtsc() }
    }

    #[inline(always)]
    #[cfg(not(target_arch = "x86_64"))]
    fn read(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }

    fn tail(&self, operation: &'static str, setting: &'static str, tail: &Histogram<u64>) -> Tail {
        let nanos = QUANTILES
            .map(|(_, quantile)| tail.value_at_quantile(quantile) as f64 * self.nanos_per_tick);
        Tail {
            operation,
            setting,
            count: tail.len(),
            nanos,
        }
    }
}
