//! The cases, in the order in which they are measured.

mod fill;
mod flood;
pub(super) mod nat;
pub(super) mod occupancy;
mod open;
mod reconfigure;
pub(super) mod refused;
pub(super) mod remote;
pub(super) mod reserve;
mod sizes;
pub(super) mod subscribers;
mod window;

use super::case::{Case, Settings};

/// The references' name for the strong one.
const BLOCKS: &str = "thread-local 256-bit block";

/// Every case.
#[must_use]
pub fn all(settings: Settings) -> Vec<Case> {
    let mut cases = window::cases(settings);
    cases.extend(remote::cases(settings));
    cases.push(fill::case(settings));
    cases.push(occupancy::case(settings));
    cases.push(sizes::case(settings));
    cases.push(refused::case());
    cases.push(reserve::case());
    cases.push(subscribers::case());
    cases.extend(flood::cases(settings));
    cases.extend(reconfigure::cases(settings));
    cases.push(open::case());
    cases.extend(nat::cases(settings));
    cases
}
