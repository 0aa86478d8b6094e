//! What the measuring programs of this directory have in common. The cases themselves are in
//! `natshard_cli::bench`, where `natshard bench` uses them as well.

use natshard_cli::bench::case::{Case, Contestant, Settings};
use natshard_cli::bench::cases;

/// The cases on one thread and on as many as there are cores, two at most.
#[must_use]
pub fn settings(quick: bool) -> Settings {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    Settings {
        threads: cores.min(2),
        quick,
    }
}

/// Every case.
#[must_use]
pub fn all(quick: bool) -> Vec<Case> {
    cases::all(settings(quick))
}

/// The full name of an implementation in its case.
#[must_use]
pub fn name_of(contestant: &Contestant) -> String {
    let setting = contestant
        .setting
        .map_or_else(String::new, |it| format!(", {it}"));
    let threads = match contestant.threads {
        1 => String::new(),
        threads => format!(", {threads} threads"),
    };
    format!("{}{setting}{threads}", contestant.implementation)
}
