//! Address windows are numbered with sixteen bits, and the number of one too many wrapped.

use natshard::{Engine, EngineConfig, PoolConfig};

#[test]
fn numbers_that_would_wrap_are_refused() {
    let windows = |round: u32| {
        let mut pool = PoolConfig::new("p").ports(5000..=5000);
        for window in 0..4_000u32 {
            let prefix = format!("2001:db8:{round:x}:{window:x}::/96");
            pool = pool.prefix(prefix.parse().unwrap());
        }
        EngineConfig::new(1).pool(pool)
    };
    let engine = Engine::new(windows(0)).unwrap();
    let mut refused = None;
    for round in 1..8 {
        if let Err(error) = engine.reconfigure(windows(round)) {
            refused = Some((round, error.to_string()));
            break;
        }
    }
    let (round, error) = refused.expect("65,535 spaces are the most");
    assert_eq!(round, 5, "{error}");
    assert!(error.contains("address windows"), "{error}");
}
