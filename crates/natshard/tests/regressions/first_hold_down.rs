//! A block that had to be visited by a sweep was marked with the slice zero as long as there was
//! no slice a hold-down ago, and the sweeps of those slices do not visit that.

use natshard::{
    Engine, EngineConfig, PoolConfig, PortBlocks, Protocol, Reason, Request, TenantShare,
};

use crate::plain::{HOLD, at, pool};

/// Everything of a pool is leased by one, and given back unused at some moment: whether another
/// shard has it for another in the same slice, once the grace period is over.
fn unused_is_had_by_another(pool: PoolConfig, by: impl Fn(Request, u32) -> Request, start: u64) {
    let engine = Engine::new(EngineConfig::new(2).seed(1).pool(pool)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shards = [0, 1].map(|shard| engine.shard(shard).unwrap());
    let mut burst = shards[0].burst(at(start));
    let mut leases = Vec::new();
    while let Ok(lease) = burst.allocate(&by(request, 1)) {
        leases.push(lease);
    }
    assert_eq!(leases.len(), 256);
    for lease in leases {
        burst.release_with(lease, Reason::Unused);
    }
    drop(burst);
    shards[1].idle(at(start));
    let had = shards[1].burst(at(start)).allocate(&by(request, 2));
    assert!(had.is_ok(), "{had:?} at {start}");
}

#[test]
fn what_need_not_rest_is_had_by_others_before_the_first_hold_down_has_passed() {
    for slice in [0, 1, 5, 16, 17, 18, 1_600] {
        let start = slice * HOLD / 16;
        let pool = || pool("p", "203.0.113.0/32");
        unused_is_had_by_another(
            pool().port_blocks(PortBlocks::new(64)),
            |request, who| request.subscriber(who.into()),
            start,
        );
        let tenant = |number| TenantShare::new(number).maximum(1);
        unused_is_had_by_another(
            pool().tenant(tenant(1)).tenant(tenant(2)),
            |request, who| request.tenant(who),
            start,
        );
    }
}
