//! How a scenario is run, repeated, and shown to be able to fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use natshard::planted::{Bug, plant};
use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};

/// Counts how often a state was reached, over all executions.
pub type Reach<const N: usize> = Arc<[AtomicU64; N]>;

/// Executions under one seed. The first of a PCT batch only measures how long they are.
const BATCH: usize = 10;
/// Batches at least, however slow the machine.
const LEAST: usize = 3;
/// Preemptions of a PCT execution.
const DEPTH: usize = 4;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheduler {
    Random,
    Pct,
}

impl Scheduler {
    fn name(self) -> &'static str {
        match self {
            Scheduler::Random => "random",
            Scheduler::Pct => "pct",
        }
    }
}

/// What the environment asks for.
struct Asked {
    seconds: f64,
    only: Option<(Scheduler, u64)>,
}

impl Asked {
    fn read() -> Self {
        let seconds = std::env::var("NATSHARD_SHUTTLE_SECONDS").ok();
        let seed = std::env::var("NATSHARD_SHUTTLE_SEED").ok();
        let only = seed.map(|text| {
            let (name, seed) = text.split_once(':').expect("SCHEDULER:SEED");
            let scheduler = match name {
                "random" => Scheduler::Random,
                "pct" => Scheduler::Pct,
                other => panic!("{other} is no scheduler: random or pct"),
            };
            (scheduler, seed.parse().expect("a seed is a number"))
        });
        Asked {
            seconds: seconds.map_or(6.0, |text| text.parse().expect("a number of seconds")),
            only,
        }
    }
}

/// One scenario at a time: planted bugs are a matter of the process.
static ONE: Mutex<()> = Mutex::new(());

fn execute<const N: usize>(
    scheduler: Scheduler,
    seed: u64,
    reach: &Reach<N>,
    scenario: fn(u64, &Reach<N>),
) {
    let mut config = Config::new();
    // Whoever does not end in so many steps does not end.
    config.max_steps = MaxSteps::FailAfter(20_000_000);
    config.stack_size = 1 << 18;
    config.failure_persistence = FailurePersistence::None;
    let reach = Arc::clone(reach);
    let draws = AtomicU64::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let run = move || scenario(draws.fetch_add(1, Ordering::SeqCst), &reach);
    match scheduler {
        Scheduler::Random => {
            Runner::new(RandomScheduler::new_from_seed(seed, BATCH), config).run(run)
        }
        Scheduler::Pct => {
            Runner::new(PctScheduler::new_from_seed(seed, DEPTH, BATCH), config).run(run)
        }
    };
}

/// Runs a scenario for a while under both schedulers, and checks that every state of interest was
/// reached.
pub fn sample<const N: usize>(name: &str, states: [&str; N], scenario: fn(u64, &Reach<N>)) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    plant(None);
    let asked = Asked::read();
    let reach: Reach<N> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let first = since.map_or(1, |since| since.as_millis() as u64);
    for scheduler in [Scheduler::Random, Scheduler::Pct] {
        let began = Instant::now();
        let half = Duration::from_secs_f64(asked.seconds / 2.0);
        let mut batches = 0;
        let mut seed = first;
        while began.elapsed() < half || batches < LEAST {
            if let Some((only, fixed)) = asked.only {
                if only != scheduler || batches > 0 {
                    break;
                }
                seed = fixed;
            }
            let done = catch_unwind(AssertUnwindSafe(|| {
                execute(scheduler, seed, &reach, scenario);
            }));
            if let Err(fault) = done {
                println!(
                    "{name}: repeat with NATSHARD_SHUTTLE_SEED={}:{seed}",
                    scheduler.name()
                );
                std::panic::resume_unwind(fault);
            }
            batches += 1;
            seed += 1;
        }
        println!(
            "{name}: {} executions by {} from seed {} in {:.1?}",
            batches * BATCH,
            scheduler.name(),
            first,
            began.elapsed()
        );
    }
    for (state, count) in states.iter().zip(reach.iter()) {
        let count = count.load(Ordering::SeqCst);
        println!("{name}: {state}: {count}");
        assert!(
            count > 0 || asked.only.is_some(),
            "{name}: `{state}` was never reached: the scenario shows nothing"
        );
    }
}

/// Runs a scenario with a bug planted, which must be found.
pub fn find<const N: usize>(name: &str, bug: Bug, scenario: fn(u64, &Reach<N>)) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    plant(Some(bug));
    let reach: Reach<N> = Arc::new(std::array::from_fn(|_| AtomicU64::new(0)));
    let began = Instant::now();
    let mut found = None;
    for seed in 0..400 {
        for scheduler in [Scheduler::Random, Scheduler::Pct] {
            let done = catch_unwind(AssertUnwindSafe(|| {
                execute(scheduler, seed, &reach, scenario);
            }));
            if done.is_err() {
                found = Some((scheduler, seed));
            }
            if found.is_some() || began.elapsed() > Duration::from_secs(60) {
                plant(None);
                let (scheduler, seed) =
                    found.unwrap_or_else(|| panic!("{name}: the planted {bug:?} was not found"));
                println!(
                    "{name}: {bug:?} found by {}:{seed} after {:.1?}",
                    scheduler.name(),
                    began.elapsed()
                );
                return;
            }
        }
    }
    plant(None);
    panic!("{name}: the planted {bug:?} was not found");
}
