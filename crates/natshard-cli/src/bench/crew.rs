//! Pinned threads that run workers, begin together and time themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use super::case::{Contestant, Worker};

/// A worker and what it is to do.
struct Job {
    worker: Box<dyn Worker>,
    operations: u64,
    /// Operations before the clock starts.
    run_in: u64,
    gate: Arc<Gate>,
}

/// What a thread has to say about a round.
struct Done {
    worker: Box<dyn Worker>,
    took: Duration,
    refused: u64,
}

/// Where the threads of a round wait for each other.
struct Gate {
    missing: AtomicUsize,
    counting: AtomicUsize,
}

thread_local! {
    static GATE: std::cell::RefCell<Option<Arc<Gate>>> = const { std::cell::RefCell::new(None) };
}

/// Whether all those whose time counts are done: what company asks now and then.
#[must_use]
pub fn others_are_done() -> bool {
    GATE.with_borrow(|gate| {
        gate.as_ref()
            .is_none_or(|gate| gate.counting.load(Ordering::Relaxed) == 0)
    })
}

struct Member {
    jobs: Sender<Job>,
    done: Receiver<Done>,
}

/// One round of a contestant.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// The mean over the threads of the time that each took for its operations.
    pub took: Duration,
    /// How many operations the threads were refused.
    pub refused: u64,
}

/// The threads; they end when it is dropped.
pub struct Crew {
    members: Vec<Member>,
    /// Whether every thread has a core of its own that it is pinned to.
    pub pinned: bool,
}

impl Crew {
    /// So many threads, each pinned to a core of its own as far as there are so many.
    #[must_use]
    pub fn new(threads: usize) -> Self {
        let cores = core_affinity::get_core_ids().unwrap_or_default();
        let mut pinned = cores.len() >= threads;
        let members = (0..threads).map(|at| {
            let core = (!cores.is_empty()).then(|| cores[at % cores.len()]);
            let (jobs, inbox) = channel::<Job>();
            let (outbox, done) = channel();
            let (told, was_pinned) = channel();
            std::thread::spawn(move || {
                let _ = told.send(core.is_some_and(core_affinity::set_for_current));
                for job in inbox {
                    if outbox.send(work(job)).is_err() {
                        return;
                    }
                }
            });
            pinned &= was_pinned.recv().unwrap_or(false);
            Member { jobs, done }
        });
        let members = members.collect();
        Crew { members, pinned }
    }

    /// Runs a contestant: `operations` on each thread, after as many as `run_in` that are not
    /// timed.
    ///
    /// # Panics
    ///
    /// When a worker did.
    pub fn round(&self, contestant: &mut Contestant, operations: u64, run_in: u64) -> Round {
        let workers = std::mem::take(&mut contestant.workers);
        let counting = workers.iter().filter(|it| it.counts()).count();
        let gate = Arc::new(Gate {
            missing: AtomicUsize::new(workers.len()),
            counting: AtomicUsize::new(counting),
        });
        let busy = self.members.iter().zip(workers).map(|(member, worker)| {
            let gate = Arc::clone(&gate);
            let job = Job {
                worker,
                operations,
                run_in,
                gate,
            };
            member.jobs.send(job).expect("its thread waits for jobs");
            member
        });
        let busy: Vec<_> = busy.collect();
        let mut round = Round {
            took: Duration::ZERO,
            refused: 0,
        };
        for member in busy {
            let done = member.done.recv().expect("a worker panicked");
            if done.worker.counts() {
                round.took += done.took;
                round.refused += done.refused;
            }
            contestant.workers.push(done.worker);
        }
        round.took /= counting as u32;
        round
    }
}

/// Runs something on the first of the cores.
///
/// # Panics
///
/// When it did.
pub fn on_first_core<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let cores = core_affinity::get_core_ids().unwrap_or_default();
            cores.first().copied().map(core_affinity::set_for_current);
            work()
        });
        thread.join().expect("it panicked")
    })
}

fn work(job: Job) -> Done {
    let Job {
        mut worker,
        operations,
        run_in,
        gate,
    } = job;
    GATE.set(Some(Arc::clone(&gate)));
    let counts = worker.counts();
    worker.prepare();
    if run_in > 0 && counts {
        worker.run(run_in);
    }
    gate.missing.fetch_sub(1, Ordering::AcqRel);
    while gate.missing.load(Ordering::Acquire) > 0 {
        std::hint::spin_loop();
    }
    let started = Instant::now();
    let refused = worker.run(operations);
    let took = started.elapsed();
    if counts {
        gate.counting.fetch_sub(1, Ordering::AcqRel);
    }
    GATE.set(None);
    Done {
        worker,
        took,
        refused,
    }
}
