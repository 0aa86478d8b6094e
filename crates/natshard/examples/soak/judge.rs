//! What was done, and the windows in which threads were held.

use std::collections::BTreeMap;
use std::fmt;

/// What one worker, or all of them, did.
#[derive(Default)]
pub struct Tally {
    pub leased: u64,
    pub refused: u64,
    pub released: u64,
    /// Tokens tried again and refused.
    pub stale: u64,
    /// Shards lost between two calls of the engine.
    pub killed: u64,
    /// Shards lost within one.
    pub thrown: u64,
    pub swaps: u64,
    pub windows: Windows,
}

impl Tally {
    pub fn add(&mut self, other: Tally) {
        self.leased += other.leased;
        self.refused += other.refused;
        self.released += other.released;
        self.stale += other.stale;
        self.killed += other.killed;
        self.thrown += other.thrown;
        self.swaps += other.swaps;
        self.windows.merge(&other.windows);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} leased, {} refused, {} released, {} stale tokens refused, {} shards lost between calls, {} within one, {} reconfigurations",
            self.leased,
            self.refused,
            self.released,
            self.stale,
            self.killed,
            self.thrown,
            self.swaps
        )
    }
}

/// By file and line: how often a window was reached, a thread held in it, a panic thrown in it.
#[derive(Default)]
pub struct Windows(BTreeMap<(&'static str, u32), [u64; 3]>);

impl Windows {
    #[cfg(natshard_failpoints)]
    pub fn add(
        &mut self,
        passed: impl IntoIterator<Item = ((&'static str, u32), natshard::failpoints::Passed)>,
    ) {
        for (site, passed) in passed {
            let here = self.0.entry(site).or_default();
            for (sum, more) in here
                .iter_mut()
                .zip([passed.reached, passed.held, passed.panicked])
            {
                *sum += more;
            }
        }
    }

    pub fn merge(&mut self, other: &Windows) {
        for (site, more) in &other.0 {
            let here = self.0.entry(*site).or_default();
            here.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
        }
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut files: BTreeMap<&str, [u64; 6]> = BTreeMap::new();
        let mut never = Vec::new();
        for (&(file, line), &[reached, held, panicked]) in &self.0 {
            let name = file.rsplit_once("/src/").map_or(file, |(_, name)| name);
            let sums = files.entry(name).or_default();
            let more = [
                1,
                u64::from(held > 0),
                u64::from(panicked > 0),
                reached,
                held,
                panicked,
            ];
            sums.iter_mut()
                .zip(more)
                .for_each(|(sum, more)| *sum += more);
            if held == 0 {
                never.push(format!("{name}:{line} ({reached} times reached)"));
            }
        }
        writeln!(
            f,
            "windows: {:<24} {:>6} {:>6} {:>9} {:>14} {:>12} {:>10}",
            "file", "sites", "held", "panicked", "times reached", "times held", "panics"
        )?;
        for (name, [sites, some, thrown, reached, held, panicked]) in files {
            writeln!(
                f,
                "         {name:<24} {sites:>6} {some:>6} {thrown:>9} {reached:>14} {held:>12} {panicked:>10}"
            )?;
        }
        if !never.is_empty() {
            writeln!(f, "never held: {}", never.join(", "))?;
        }
        Ok(())
    }
}
