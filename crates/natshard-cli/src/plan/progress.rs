//! A bar on stderr, if the simulation takes long enough to want one.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The bar, once it is shown.
pub(super) struct Progress {
    since: Instant,
    wanted: bool,
    moments: u64,
    done: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of so many moments.
    pub(super) fn new(wanted: bool, moments: u64) -> Self {
        Progress {
            since: Instant::now(),
            wanted,
            moments,
            done: 0,
            bar: None,
        }
    }

    /// One more is done, of that many addresses.
    pub(super) fn step(&mut self, addresses: u64) {
        self.done += 1;
        if !self.wanted || (self.bar.is_none() && self.since.elapsed() < PATIENCE) {
            return;
        }
        let moments = self.moments;
        let bar = self.bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::stderr_with_hz(8);
            let bar = ProgressBar::with_draw_target(Some(moments), target);
            let template = "simulating {bar:32} {percent:>3} %  {msg}  {eta} left";
            let style = ProgressStyle::with_template(template).expect("a constant template");
            bar.with_style(style.progress_chars("━╸ "))
        });
        bar.set_position(self.done);
        bar.set_message(format!("{addresses} addresses"));
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
