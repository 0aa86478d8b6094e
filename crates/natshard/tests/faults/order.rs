//! Which port comes next.

use std::collections::HashMap;

use natshard::Reason;

use super::{at, balanced, pool, restless};

/// F26: the port released last was the next one given, the worst hold-down possible. Even without
/// a hold-down, and for ports that need no rest, what comes back goes to the end.
#[test]
fn f26_the_port_released_last_is_not_the_next_one_given() {
    for reason in [Reason::Ended, Reason::Unused, Reason::Closed] {
        let (engine, request) = restless(1, pool("p", "203.0.113.0/30"));
        let mut shard = engine.shard(0).unwrap();
        let mut released = HashMap::new();
        let (mut least, mut again, mut between) = (u64::MAX, 0u64, 0u64);
        for step in 0..600_000u64 {
            let mut burst = shard.burst(at(step));
            let lease = burst.allocate(&request).unwrap();
            if let Some(then) = released.insert(lease.addr(), step) {
                least = least.min(step - then);
                between += step - then;
                again += 1;
            }
            burst.release_with(lease, reason);
        }
        balanced(&engine);
        // One port is leased at a time, of the 64,512 of the address that this takes: nearly all
        // of them pass before one returns.
        assert!(again > 100_000, "{reason:?}: {again}");
        assert!(least > 1_000, "{reason:?}: one returned after {least}");
        let mean = between / again;
        assert!(mean > 60_000, "{reason:?}: they return after {mean}");
    }
}
