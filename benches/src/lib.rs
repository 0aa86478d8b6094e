//! Benches of natshard.
