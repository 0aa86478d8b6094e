//! A release met a slot of its subscriber 65,538 slices old, whose tag read as 3 slices, and
//! waited for it to come due.

use natshard::{Protocol, SubscriberLimit};

use crate::subscribers::{SLICE, at, ends, engine, fill, pool, request};

#[test]
fn a_release_after_the_tags_of_slices_have_come_round_ends() {
    ends(|| {
        for gap in 65_530..65_560 {
            let limit = SubscriberLimit::new().ports(Protocol::Tcp, 2);
            let engine = engine(pool("192.0.2.0/30").subscriber_limit(limit));
            let mut shard = engine.shard(0).unwrap();
            let mut burst = shard.burst(at(0));
            // More than housekeeping looks at in one burst.
            let mut kept = Vec::new();
            for subscriber in 0..12 {
                let own = request(&engine, Protocol::Tcp, subscriber);
                let (mut held, _) = fill(&mut burst, &own);
                burst.release(held.pop().unwrap());
                kept.push((own, held.pop().unwrap()));
            }
            drop(burst);
            let mut burst = shard.burst(at(gap * SLICE));
            for (index, (own, lease)) in kept.into_iter().enumerate() {
                if index % 2 == 0 {
                    burst.release(lease);
                    let _lease = burst.allocate(&own).expect("one rested long ago");
                } else {
                    let _lease = burst.allocate(&own).expect("one rested long ago");
                    burst.release(lease);
                }
            }
        }
    });
}
