//! A subscriber that held nothing any more was refused at the address it had been paired with, as long
//! as no round of active subscribers had come by to end the pairing.

use natshard::{AllocError, Protocol, Strictness};

use crate::subscribers::{HOLD, SLICE, at, engine, fill, pool, request};

#[test]
fn who_holds_nothing_is_bound_to_no_address() {
    let engine = engine(
        pool("192.0.2.0/31")
            .ports(1024..=1279)
            .pairing(Strictness::Strict),
    );
    let mut shard = engine.shard(0).unwrap();
    let request = |subscriber| request(&engine, Protocol::Tcp, subscriber);
    let mut burst = shard.burst(at(0));
    // So many that the round does not come to the last one.
    let others: Vec<_> = (1..=40)
        .map(|other| burst.allocate(&request(other)).unwrap())
        .collect();
    let lease = burst.allocate(&request(99)).unwrap();
    let address = lease.addr().ip();
    burst.release(lease);
    drop(burst);
    let mut burst = shard.burst(at(HOLD + 2 * SLICE));
    let there = |subscriber| request(subscriber).address(address, Strictness::Strict);
    let (full, error) = fill(&mut burst, &there(1));
    assert_eq!(error, AllocError::AddressFull);
    let lease = burst.allocate(&request(99)).unwrap();
    assert_ne!(lease.addr().ip(), address);
    for lease in full.into_iter().chain(others).chain([lease]) {
        burst.release(lease);
    }
}
