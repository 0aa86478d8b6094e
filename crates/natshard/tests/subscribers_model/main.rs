//! Subscribers against a sequential model: long random histories over one or several shards that
//! take turns, every answer judged.
//!
//! Claims, after every step:
//!
//! * I1, I3: a lease is of a tuple of the pool that nobody holds and that has rested, to the slice.
//! * I11: a subscriber holds no more ports than its limit, resting ones included, and no more port
//!   blocks; it is refused for that reason only when it is so.
//! * Ports come from port blocks of one's own, of the deterministic range, of the address one is
//!   paired with, as the pool says.
//! * I4: who is refused for want of ports finds none that he could have: none of his own, and no
//!   port block that is nobody's or has rested.
//! * I2: the census balances; it, `Engine::subscribers()`, the books kept of the events, and the
//!   model say the same.
//! * I8: all of that while limits, sizes, exclusions and addresses change.
//!
//! One thing is let pass: a port block whose last port was given back *unused* is noticed by others
//! with the next slice (a sixteenth of the hold-down).

mod acts;
mod agree;
mod possible;
mod shapes;
mod steps;
mod world;

use proptest::prelude::*;

use steps::{Step, step};
use world::World;

fn play(kind: usize, shards: usize, steps: &[Step]) {
    let mut world = World::new(kind, shards);
    for step in steps {
        world.apply(step);
        world.agree();
    }
    world.finish();
}

fn cases() -> ProptestConfig {
    // `PROPTEST_CASES` makes it more.
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 120;
    }
    config.max_shrink_iters = 2_000;
    config
}

fn history() -> impl Strategy<Value = (usize, Vec<Step>)> {
    (1..4usize, prop::collection::vec(step(), 1..60))
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn limits_and_pairing((shards, steps) in history()) {
        play(0, shards, &steps);
    }

    #[test]
    fn port_blocks((shards, steps) in history()) {
        play(1, shards, &steps);
    }

    #[test]
    fn port_blocks_and_pairing((shards, steps) in history()) {
        play(2, shards, &steps);
    }

    #[test]
    fn deterministic_ranges((shards, steps) in history()) {
        play(3, shards, &steps);
    }

    #[test]
    fn deterministic_ranges_and_overflow((shards, steps) in history()) {
        play(4, shards, &steps);
    }
}
