//! Each reconfiguration opened addresses of a pool ahead of their use once more.

use natshard::{Engine, EngineConfig};

use crate::plain::pool;

#[test]
fn reconfiguring_without_a_change_opens_nothing_more() {
    let config = EngineConfig::new(1).pool(pool("p", "10.0.0.0/16").preopen(4));
    let engine = Engine::new(config.clone()).unwrap();
    assert_eq!(engine.stats().open_addresses, 12);
    for _ in 0..10 {
        engine.reconfigure(config.clone()).unwrap();
    }
    assert_eq!(engine.stats().open_addresses, 12);
}
