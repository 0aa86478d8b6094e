//! The natshard command line.
fn main() {}
