//! The harness of the loom models.
//!
//! Every model obeys these rules. The harness sees to it that each interesting state has a reach
//! counter, and that a model in which one was never reached fails; that at least two actors beside
//! loom's main thread were spawned; that a twin with a planted bug fails, by an assertion and within
//! the bound of its model; and that an exploration which does not finish fails (loom panics when a
//! bound is exceeded). It cannot see that the main thread only builds, spawns, joins and checks: that
//! is for who writes a model.
//!
//! Small models of two actors are explored without a bound on preemptions; the others with the bound
//! that is printed.
#![cfg(loom)]

mod history;
pub mod thread;
mod world;

pub use history::History;
pub use world::{Cells, Site, actor};

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use natshard::model::Bug;

/// Counts how often a state was reached, over all executions of a model.
#[derive(Clone, Default, Debug)]
pub struct Reach(Arc<AtomicUsize>);

impl Reach {
    /// It was reached.
    pub fn hit(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// How often it was reached.
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// One model at a time: planted bugs are a matter of the process.
static ONE: Mutex<()> = Mutex::new(());

/// The bound on preemptions of each model of this process, and of its twins.
static BOUNDS: Mutex<Option<HashMap<String, Option<usize>>>> = Mutex::new(None);

/// Sees to it that a model and its twins have one bound: what a twin finds beyond the bound of its
/// model says nothing about the model.
fn agree(name: &str, preemptions: Option<usize>) {
    let mut bounds = BOUNDS.lock().unwrap_or_else(PoisonError::into_inner);
    let bounds = bounds.get_or_insert_default();
    let bound = *bounds.entry(name.to_owned()).or_insert(preemptions);
    assert_eq!(
        bound, preemptions,
        "{name}: model and twin have the same bound"
    );
}

/// Explores a model, with at most so many preemptions per execution, and checks that every state of interest was reached.
///
/// # Panics
///
/// When an execution does, a state was never reached, or no two actors met.
pub fn prove<const N: usize>(
    name: &str,
    states: [&str; N],
    preemptions: Option<usize>,
    model: impl Fn(&[Reach; N]) + Send + Sync + 'static,
) {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    agree(name, preemptions);
    natshard::model::plant(None);
    let reach: [Reach; N] = std::array::from_fn(|_| Reach::default());
    let started = std::time::Instant::now();
    thread::most();
    let executions = explore(reach.clone(), preemptions, model);
    let actors = thread::most();
    let bound = preemptions.map_or("unbounded".to_owned(), |bound| format!("at most {bound}"));
    let took = started.elapsed();
    let reached = states.iter().zip(&reach);
    let reached: Vec<_> = reached
        .map(|(state, reach)| format!("{state}: {}", reach.count()))
        .collect();
    // One line per model, of which `table.sh` makes the table of the README.
    println!(
        "proved | {name} | {} | {actors} | {bound} | {} | {executions} | {:.1}",
        test_name(),
        reached.join("; "),
        took.as_secs_f64()
    );
    for (state, reach) in states.iter().zip(&reach) {
        assert!(
            reach.count() > 0,
            "{name}: `{state}` was never reached: the model proves nothing"
        );
    }
    assert!(actors >= 2, "{name}: one actor alone meets nobody");
}

/// Explores a model with a bug planted, which must be found.
///
/// # Panics
///
/// When the bug is not found by an assertion of the model.
pub fn find<const N: usize>(
    name: &str,
    bug: Bug,
    preemptions: Option<usize>,
    model: impl Fn(&[Reach; N]) + Send + Sync + 'static,
) {
    let said = found(name, bug, preemptions, model);
    // A stack that overflows panics with something that is no message.
    assert!(
        !said.is_empty() && !said.contains(ENDLESS),
        "{name}: the planted {bug:?} was not found by an assertion, but: {said:?}"
    );
}

/// Explores a model with a bug planted that has somebody wait for ever.
///
/// # Panics
///
/// When no execution is without end.
pub fn find_endless<const N: usize>(
    name: &str,
    bug: Bug,
    preemptions: Option<usize>,
    model: impl Fn(&[Reach; N]) + Send + Sync + 'static,
) {
    let said = found(name, bug, preemptions, model);
    assert!(said.contains(ENDLESS), "{name}: {said:?}");
}

/// What loom says of an execution with too many steps.
const ENDLESS: &str = "exceeded maximum number of branches";

/// What the bug makes an execution say.
fn found<const N: usize>(
    name: &str,
    bug: Bug,
    preemptions: Option<usize>,
    model: impl Fn(&[Reach; N]) + Send + Sync + 'static,
) -> String {
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    agree(name, preemptions);
    natshard::model::plant(Some(bug));
    let executions = Reach::default();
    let seen = executions.clone();
    let found = catch_unwind(AssertUnwindSafe(|| {
        let reach: [Reach; N] = std::array::from_fn(|_| Reach::default());
        explore(reach, preemptions, move |reach| {
            seen.hit();
            model(reach);
        })
    }));
    natshard::model::plant(None);
    let Err(fault) = found else {
        panic!("{name}: the planted {bug:?} was not found");
    };
    let said = fault.downcast_ref::<String>().cloned();
    let said = said.or_else(|| fault.downcast_ref::<&str>().map(|said| said.to_string()));
    let said = said.unwrap_or_default();
    println!(
        "found | {name} | {} | {bug:?} | {} | {}",
        test_name(),
        executions.count(),
        said.lines().next().unwrap_or_default().trim()
    );
    said
}

/// The test under way: what it claims.
fn test_name() -> String {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    name.rsplit("::").next().unwrap_or_default().to_owned()
}

fn explore<const N: usize>(
    reach: [Reach; N],
    preemptions: Option<usize>,
    model: impl Fn(&[Reach; N]) + Send + Sync + 'static,
) -> usize {
    let executions = Reach::default();
    let seen = executions.clone();
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = preemptions;
    builder.max_branches = 100_000;
    builder.check(move || {
        seen.hit();
        thread::begin();
        model(&reach);
        thread::end();
    });
    executions.count()
}
