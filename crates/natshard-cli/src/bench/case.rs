//! What is measured: cases, and within a case the implementations that are measured in turn.

/// One thread's part of an implementation in a case.
pub trait Worker: Send {
    /// Brings back the state in which a round begins. Not timed.
    fn prepare(&mut self) {}

    /// Does so many operations; says how many of them were refused.
    fn run(&mut self, operations: u64) -> u64;

    /// How many operations a round has, where that is not free to choose.
    fn fixed(&self) -> Option<u64> {
        None
    }

    /// Whether its time counts. One that does not keeps the others company until they are done.
    fn counts(&self) -> bool {
        true
    }
}

/// An implementation in a case.
pub struct Contestant {
    /// Its name in tables and JSON; stable.
    pub implementation: &'static str,
    /// How many threads it runs on.
    pub threads: usize,
    /// One per thread.
    pub workers: Vec<Box<dyn Worker>>,
    /// Whether a refusal shows that the case was not what it claims to be.
    pub may_refuse: bool,
}

impl Contestant {
    /// On one thread.
    pub fn alone(implementation: &'static str, worker: impl Worker + 'static) -> Self {
        Contestant::team(implementation, vec![Box::new(worker)])
    }

    /// On one thread for each worker.
    pub fn team(implementation: &'static str, workers: Vec<Box<dyn Worker>>) -> Self {
        Contestant {
            implementation,
            threads: workers.len(),
            workers,
            may_refuse: false,
        }
    }

    /// One of which refusals are expected, and are part of the result.
    #[must_use]
    pub fn refusing(mut self) -> Self {
        self.may_refuse = true;
        self
    }
}

/// How much is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The most threads.
    pub threads: usize,
    /// Whether large cases are left out, and long preparations cut short.
    pub quick: bool,
}

impl Settings {
    /// The numbers of threads to measure with: 1, 2, 4 and so on, and the most.
    #[must_use]
    pub fn teams(&self) -> Vec<usize> {
        let mut teams: Vec<usize> = std::iter::successors(Some(1), |it| Some(it * 2))
            .take_while(|it| *it < self.threads)
            .collect();
        teams.push(self.threads);
        teams
    }
}

/// A case.
pub struct Case {
    /// Its name in tables and JSON; stable.
    pub name: &'static str,
    /// What one operation is, and what holds meanwhile.
    pub about: String,
    /// The switches that differ from the defaults, and the sizes.
    pub switches: String,
    /// The implementation that the others are compared with, by the number of threads.
    pub baseline: &'static str,
    /// Makes the implementations ready to be measured.
    pub build: Box<dyn Fn() -> Vec<Contestant>>,
}
