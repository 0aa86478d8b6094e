//! A bar on stderr, if the work takes long enough to want one.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Work that is done sooner shows nothing.
const PATIENCE: Duration = Duration::from_millis(500);

/// The bar, once it is shown.
pub(super) struct Progress {
    since: Instant,
    wanted: bool,
    frames: Option<u64>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Of so many frames, where that is known.
    pub(super) fn new(wanted: bool, frames: Option<u64>) -> Self {
        Progress {
            since: Instant::now(),
            wanted,
            frames,
            bar: None,
        }
    }

    /// So many are done.
    pub(super) fn at(&mut self, frames: u64, packets: u64) {
        if !self.wanted || (self.bar.is_none() && self.since.elapsed() < PATIENCE) {
            return;
        }
        let total = self.frames;
        let bar = self.bar.get_or_insert_with(|| {
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(8));
            let template = match total {
                Some(_) => "replaying {bar:32} {percent:>3} %  {msg}  {eta} left",
                None => "replaying {spinner}  {msg}  {elapsed}",
            };
            let style = ProgressStyle::with_template(template).expect("a constant template");
            bar.with_style(style.progress_chars("━╸ "))
        });
        bar.set_position(frames);
        let seconds = self.since.elapsed().as_secs_f64();
        bar.set_message(format!("{:.2} M packets/s", packets as f64 / seconds / 1e6));
    }

    /// Takes the bar away.
    pub(super) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
