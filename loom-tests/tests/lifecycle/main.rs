//! The life cycle of blocks and of their address as an explicit-state model: every reachable state
//! of an address, two shards, leases and copies of their tokens, with the transitions of the state
//! word taken from the engine itself.
//!
//! Where loom asks whether the steps of one operation can be torn apart, this asks whether the
//! operations, each in the steps that matter to the others, fit together over a whole life:
//! claimed, issued, cooled, reheated, condemned, pardoned, recycled, closed, opened again. What
//! must never be is checked in each state, and what must be possible is shown to be.
#![cfg(loom)]

mod machine;
mod state;

use machine::{Bug, Machine};
use stateright::{Checker, HasDiscoveries, Model};

/// Explores everything; how many states there are.
fn explore(machine: Machine) {
    let began = std::time::Instant::now();
    let name = format!("{machine:?}");
    let checker = machine.checker().threads(2).spawn_bfs().join();
    println!(
        "lifecycle {name}: {} states ({} met again) in {:.1?}, depth {}",
        checker.unique_state_count(),
        checker.state_count() - checker.unique_state_count(),
        began.elapsed(),
        checker.max_depth()
    );
    for property in checker.model().properties() {
        println!("lifecycle: {}", property.name);
    }
    checker.assert_properties();
}

/// Explores with a bug, which one of the properties must tell of.
fn find(bug: Bug, property: &'static str) {
    let machine = Machine {
        bug: Some(bug),
        ..Machine::default()
    };
    let checker = machine.checker().finish_when(HasDiscoveries::AnyFailures);
    let checker = checker.spawn_bfs().join();
    let found = checker.discovery(property);
    let path = found.unwrap_or_else(|| panic!("{bug:?} was not found"));
    let steps = path.into_actions();
    println!(
        "lifecycle: {bug:?} found after {} states, in {} steps: {steps:?}",
        checker.unique_state_count(),
        steps.len()
    );
}

#[test]
fn every_state_of_a_block_and_its_address_is_sound() {
    explore(Machine::default());
}

#[test]
fn every_state_of_an_assigned_block_is_sound() {
    explore(Machine {
        assigned: true,
        ..Machine::default()
    });
}

#[test]
fn a_life_in_which_a_reclaimer_checks_then_acts_is_found() {
    find(Bug::ReclaimerChecksThenActs, machine::FREE_IS_EMPTY);
}

#[test]
fn a_life_in_which_recycling_does_not_wait_is_found() {
    find(Bug::RecycleWithoutGrace, machine::TOKENS);
}

#[test]
fn a_life_in_which_a_reopened_address_starts_anew_is_found() {
    find(Bug::FloorForgotten, machine::TOKENS);
}

#[test]
fn a_life_in_which_a_reheated_port_keeps_its_tag_is_found() {
    find(Bug::ReheatKeepsTheTag, machine::TOKENS);
}
