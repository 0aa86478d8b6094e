//! The cases, in the order in which they are measured.

mod window;

use super::case::{Case, Settings};

/// Every case.
#[must_use]
pub fn all(settings: Settings) -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend(window::cases(settings));
    cases
}
