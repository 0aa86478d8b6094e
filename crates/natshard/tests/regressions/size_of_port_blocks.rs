//! After the size of port blocks was changed, blocks that were full by the old size, or had no room by
//! an interim one, were not looked at again.

use natshard::{AllocError, Engine, PortBlocks, Protocol};

use crate::subscribers::{at, config, ends, fill, pool, request};

#[test]
fn port_blocks_of_another_size_are_had_as_soon_as_the_size_is_changed() {
    ends(|| {
        let of = |size| {
            let blocks = PortBlocks::new(size).per_subscriber(1);
            let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
            config(1, pool).seed(1)
        };
        let engine = Engine::new(of(64)).unwrap();
        let mut shard = engine.shard(0).unwrap();
        let first = request(&engine, Protocol::Tcp, 1);
        let _held = shard.burst(at(0)).allocate(&first).unwrap();
        engine.reconfigure(of(256)).unwrap();
        let second = request(&engine, Protocol::Tcp, 2);
        for _ in 0..2 {
            let error = shard.burst(at(1)).allocate(&second).unwrap_err();
            assert_eq!(error, AllocError::PoolFull);
        }
        engine.reconfigure(of(128)).unwrap();
        let mut burst = shard.burst(at(2));
        let (held, error) = fill(&mut burst, &second);
        assert_eq!((held.len(), error), (128, AllocError::SubscriberQuota));
        drop(burst);
        engine.reconfigure(of(64)).unwrap();
        let mut burst = shard.burst(at(3));
        let third = request(&engine, Protocol::Tcp, 3);
        let (held, error) = fill(&mut burst, &third);
        assert_eq!((held.len(), error), (64, AllocError::SubscriberQuota));
    });
}
