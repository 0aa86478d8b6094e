//! What unit tests of a shard's insides begin with.

use std::time::Duration;

use crate::config::EngineConfig;
use crate::engine::Engine;
use crate::fair::Claimant;
use crate::protocol::Protocol;
use crate::request::Request;
use crate::shard::Shard;
use crate::worker::Purpose;

/// The hold-down, in milliseconds.
pub(crate) const REST: u64 = 8_000;

/// A configuration without pools, whose random choices are the same in every run.
pub(crate) fn config(shards: usize) -> EngineConfig {
    let config = EngineConfig::new(shards).seed(1);
    config.hold_down(Duration::from_millis(REST))
}

/// The engine of a configuration, its first shard, and a request for any UDP port of its pool `p`.
pub(crate) fn begin(config: EngineConfig) -> (Engine, Shard, Request) {
    let engine = Engine::new(config).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
    let shard = engine.shard(0).unwrap();
    (engine, shard, request)
}

/// What a request is for that is on nobody's behalf.
pub(crate) fn purpose(request: &Request) -> Purpose {
    Purpose {
        pool: request.pool,
        protocol: request.protocol,
        family: request.family,
        claimant: Claimant::default(),
    }
}
