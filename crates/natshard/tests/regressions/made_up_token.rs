//! A token was believed whose bits somebody had changed.

use natshard::{Engine, EngineConfig, Protocol, RawLease, ReleaseError, Request};

use crate::plain::{at, pool};

#[test]
fn a_made_up_token_is_refused() {
    let engine = Engine::new(
        EngineConfig::new(1)
            .seed(1)
            .pool(pool("p", "203.0.113.0/32")),
    )
    .unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let bits = burst.allocate(&request).unwrap().into_raw().to_bits();
    for bit in 0..128 {
        let made_up = RawLease::from_bits(bits ^ 1 << bit);
        assert_eq!(
            burst.release_raw(made_up),
            Err(ReleaseError::Foreign),
            "bit {bit}"
        );
    }
    assert_eq!(burst.release_raw(RawLease::from_bits(bits)), Ok(()));
}
