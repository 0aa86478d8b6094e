//! A reserved port took over whether it may be reused at once from another pool that its block was
//! heated for.

use natshard::{Engine, EngineConfig, Protocol, Reason, Request};

use crate::plain::{at, pool};

#[test]
fn a_reserved_port_obeys_the_policy_of_the_pool_asked() {
    let config = EngineConfig::new(1)
        .pool(pool("strict", "203.0.113.0/32"))
        .pool(pool("lenient", "203.0.113.0/32").reuse_closed(true));
    let engine = Engine::new(config).unwrap();
    let (strict, lenient) = (
        engine.pool("strict").unwrap(),
        engine.pool("lenient").unwrap(),
    );
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(at(0));
    let held = burst
        .allocate(&Request::new(lenient, Protocol::Tcp))
        .unwrap();
    let other = if held.addr().port() == 1030 {
        1031
    } else {
        1030
    };
    let public = std::net::SocketAddr::new(held.addr().ip(), other);
    let lease = burst.reserve(strict, Protocol::Tcp, public).unwrap();
    burst.release_with(lease, Reason::Closed);
    assert!(
        burst.reserve(strict, Protocol::Tcp, public).is_err(),
        "it has to rest"
    );
}
