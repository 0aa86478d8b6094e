//! Quarters without a port that a port block can have stayed so until their block was recycled.

use natshard::{AllocError, Engine, PortBlocks, Protocol};

use crate::subscribers::{HOLD, at, config, ends, fill, pool, request};

#[test]
fn ports_no_longer_excluded_can_be_had_of_blocks_in_use() {
    ends(|| {
        let of = |excluded| {
            let blocks = PortBlocks::new(64).per_subscriber(4);
            let pool = pool("192.0.2.1/32").ports(1024..=1279).port_blocks(blocks);
            let pool = match excluded {
                true => pool.exclude_ports(1088..=1279),
                false => pool,
            };
            config(1, pool).seed(1)
        };
        let engine = Engine::new(of(true)).unwrap();
        let mut shard = engine.shard(0).unwrap();
        let tcp = request(&engine, Protocol::Tcp, 1);
        let (mut held, error) = fill(&mut shard.burst(at(0)), &tcp);
        assert_eq!((held.len(), error), (64, AllocError::PoolFull));
        engine.reconfigure(of(false)).unwrap();
        let (more, error) = fill(&mut shard.burst(at(1)), &tcp);
        assert_eq!((more.len(), error), (192, AllocError::SubscriberQuota));
        held.extend(more);
        engine.reconfigure(of(true)).unwrap();
        let other = request(&engine, Protocol::Tcp, 2);
        let error = shard.burst(at(2)).allocate(&other).unwrap_err();
        assert_eq!(error, AllocError::PoolFull);
        shard.burst(at(2)).release_batch(&mut held);
        let (held, error) = fill(&mut shard.burst(at(2 * HOLD)), &other);
        assert_eq!((held.len(), error), (64, AllocError::PoolFull));
        engine.reconfigure(of(false)).unwrap();
        let (more, error) = fill(&mut shard.burst(at(2 * HOLD)), &other);
        assert_eq!((more.len(), error), (192, AllocError::SubscriberQuota));
        drop(held);
    });
}
