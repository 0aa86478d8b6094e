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

/// A worker in cache lines of its own: threads are to share what they share, and nothing else.
#[repr(align(128))]
struct Padded<W>(W);

impl<W: Worker> Worker for Padded<W> {
    fn prepare(&mut self) {
        self.0.prepare();
    }

    fn run(&mut self, operations: u64) -> u64 {
        self.0.run(operations)
    }

    fn fixed(&self) -> Option<u64> {
        self.0.fixed()
    }

    fn counts(&self) -> bool {
        self.0.counts()
    }
}

fn boxed<W: Worker + 'static>(worker: W) -> Box<dyn Worker> {
    Box::new(Padded(worker))
}

/// An implementation in a case.
pub struct Contestant {
    /// Its name in tables and JSON; stable.
    pub implementation: &'static str,
    /// Which of several settings of the case it is in.
    pub setting: Option<&'static str>,
    /// How many threads it runs on.
    pub threads: usize,
    /// One per thread.
    pub workers: Vec<Box<dyn Worker>>,
    /// Whether refusals are part of the result; else they show that the case is not what it claims.
    pub may_refuse: bool,
}

impl Contestant {
    /// On one thread.
    pub fn alone(implementation: &'static str, worker: impl Worker + 'static) -> Self {
        Contestant::team(implementation, [worker])
    }

    /// On one thread for each worker.
    pub fn team<W: Worker + 'static>(
        implementation: &'static str,
        workers: impl IntoIterator<Item = W>,
    ) -> Self {
        let workers: Vec<_> = workers.into_iter().map(boxed).collect();
        Contestant {
            implementation,
            setting: None,
            threads: workers.len(),
            workers,
            may_refuse: false,
        }
    }

    /// With a further worker of another kind, on a thread of its own.
    #[must_use]
    pub fn with(mut self, worker: impl Worker + 'static) -> Self {
        self.workers.push(boxed(worker));
        self.threads = self.workers.len();
        self
    }

    /// In one of several settings of the case.
    #[must_use]
    pub fn at(mut self, setting: &'static str) -> Self {
        self.setting = Some(setting);
        self
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
    /// The implementation that the others are compared with, on as many threads: in the same
    /// setting where there is one, else in its first.
    pub baseline: &'static str,
    /// The setting of the baseline that all are compared with, whatever their own is.
    pub baseline_setting: Option<&'static str>,
    /// Makes the implementations ready to be measured.
    pub build: Box<dyn Fn() -> Vec<Contestant>>,
}
