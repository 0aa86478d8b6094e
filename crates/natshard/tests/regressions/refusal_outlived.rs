//! A refusal is remembered until something becomes leasable. A port given back into a block that another
//! hand of the same shard heats is not announced, and the refusal outlived it.

use natshard::{Engine, EngineConfig, Protocol, Reason, Request};

use crate::plain::{at, pool};

#[test]
fn a_refusal_is_forgotten_when_an_own_hand_takes_on_a_block() {
    let config = EngineConfig::new(1)
        .pool(pool("a", "203.0.113.0/32").ports(1024..=1100))
        .pool(pool("b", "203.0.113.0/32").ports(1090..=1279));
    let engine = Engine::new(config).unwrap();
    let [a, b] = ["a", "b"].map(|name| Request::new(engine.pool(name).unwrap(), Protocol::Tcp));
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let mut held = Vec::new();
    assert_eq!(burst.allocate_batch(&a, 300, &mut held), Ok(77));
    assert!(burst.allocate(&a).is_err());
    // `b` heats the block both have ports in; a port released into a heating block is not
    // announced, since it is the owner's, who is this very shard.
    let _of_b = burst.allocate(&b).unwrap();
    burst.release_with(held.pop().unwrap(), Reason::Unused);
    assert!(burst.allocate(&a).is_ok());
}
