//! A bar on stderr.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar, if one is wanted.
pub(super) struct Progress(Option<ProgressBar>);

/// Steps of a case.
const STEPS: u64 = 100;

impl Progress {
    pub(super) fn new(wanted: bool, cases: usize) -> Self {
        Progress(wanted.then(|| {
            let total = Some(cases as u64 * STEPS);
            // Drawing takes time from whoever is measured: seldom.
            let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr_with_hz(2));
            let style = ProgressStyle::with_template("measuring {bar:32} {percent:>3} %  {msg}")
                .expect("a constant template");
            bar.with_style(style.progress_chars("━╸ "))
        }))
    }

    /// So much of a case is done, between 0 and 1.
    pub(super) fn at(&self, case: usize, part: f64, name: &'static str) {
        if let Some(bar) = &self.0 {
            bar.set_message(name);
            bar.set_position(case as u64 * STEPS + (part * STEPS as f64) as u64);
        }
    }

    pub(super) fn finish(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
