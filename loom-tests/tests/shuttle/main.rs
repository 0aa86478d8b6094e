//! Scenarios of the whole engine, too large for loom: eight shards, whole blocks of 256 ports,
//! random lifetimes, reconfiguration, stalls. Sampled by two schedulers, one that draws at random
//! and one that bounds the number of preemptions that matter (PCT).
//!
//! A switch of threads is possible before each step of the protocol. What is sampled is sequentially
//! consistent: orders of memory are loom's and the race detector's to judge (F32).
//!
//! ```text
//! cargo shuttle
//! NATSHARD_SHUTTLE_SECONDS=600 cargo shuttle          # as long, in each scenario
//! NATSHARD_SHUTTLE_SEED=random:1234 cargo shuttle name   # what a failure said
//! ```
#![cfg(shuttle)]

mod harness;
mod scenarios;
mod world;
