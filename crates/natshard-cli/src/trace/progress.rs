//! A bar on stderr while large logs are read.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What is read sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The bar, once it is shown.
pub(super) struct Progress {
    since: Instant,
    wanted: bool,
    total: Option<u64>,
    read: u64,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of so many bytes, where that is known.
    pub(super) fn new(wanted: bool, total: Option<u64>) -> Self {
        Progress {
            since: Instant::now(),
            wanted,
            total,
            read: 0,
            bar: None,
        }
    }

    /// So many more bytes are read.
    pub(super) fn read(&mut self, bytes: usize) {
        // One look at the clock for many lines.
        let before = self.read >> 20;
        self.read += bytes as u64;
        if !self.wanted || self.read >> 20 == before {
            return;
        }
        if self.bar.is_none() && self.since.elapsed() < PATIENCE {
            return;
        }
        let total = self.total;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
            let template = match total {
                Some(_) => "reading {bar:32} {percent:>3} %  {binary_bytes_per_sec}  {eta} left",
                None => "reading {spinner}  {binary_bytes}  {binary_bytes_per_sec}",
            };
            let style = ProgressStyle::with_template(template).expect("a constant template");
            bar.with_style(style.progress_chars("━╸ "))
        });
        bar.set_position(self.read);
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
