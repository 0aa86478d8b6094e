//! What becomes of ports and of a page as a whole.

use super::*;

#[test]
fn what_a_token_has_no_room_for_is_noted_until_it_is_not() {
    let site = Site::new();
    let page = site.page();
    page.note(40000, 0, 5);
    assert_eq!(page.noted(40000), (0, 0));
    for (flags, kept) in [(CHARGED, CHARGED), (TOLD, TOLD), (0xff, NOTED)] {
        page.note(40000, flags, u32::MAX - 1);
        assert_eq!(page.noted(40000), (kept, u32::MAX - 1));
    }
    assert_eq!(page.noted(40001), (0, 0));
    page.note(40000, !NOTED, 5);
    assert_eq!(page.noted(40000), (0, 0));
}

#[test]
fn a_port_is_given_back_where_it_lies() {
    let site = Site::new();
    let page = site.page();
    let here = site.lease(BLOCK);
    let moment = site.clock().moment();
    page.give_back((BLOCK * PORTS + 9) as u16, Some(moment));
    page.give_back_stamped((BLOCK * PORTS + 11) as u16, moment.stamp());
    page.give_back((BLOCK * PORTS + 10) as u16, None);
    let rest = here.rest(site.clock(), REST);
    assert_eq!(
        (rest.released, rest.rested),
        (ports([9, 10, 11]), ports([10]))
    );
    let tuple = page.tuple(40000);
    assert_eq!(tuple, "192.0.2.1:40000".parse().unwrap());
}

#[test]
fn free_blocks_are_counted() {
    let site = Site::new();
    let page = site.page();
    assert!(page.is_all_free());
    page.count_taken();
    page.count_taken();
    assert_eq!(
        (page.count_free_now(), page.is_all_free()),
        (BLOCKS - 2, false)
    );
    assert!(!page.count_free(), "one is left");
    assert!(page.count_free());
    assert!(page.is_all_free());
}

#[test]
fn a_page_closes_as_a_whole_or_not_at_all() {
    let site = Site::new();
    let page = site.page();
    let here = site.lease(BLOCK);
    page.count_taken();
    assert!(!page.close());
    assert!(page.closing.keep(), "as it was");
    assert_eq!(page.next_generation(), 1);
    for _ in 0..2 {
        site.clock()
            .bring(Tick::from_millis(site.clock().slice() + REST));
        here.put_back(&Mask::FULL);
        assert!(here.condemn(site.clock()) && here.recycle());
        assert!(here.claim(ME));
        here.cool(ME);
    }
    here.put_back(&Mask::FULL);
    assert!(here.condemn(site.clock()) && here.recycle());
    assert_eq!(page.next_generation(), 4, "the others have had fewer");
    assert!(page.count_free());
    assert!(page.close() && !page.close());
    assert!(page.closing.is_gone() && !page.closing.keep());
}

#[test]
fn one_is_told_to_free_a_page_left_to_its_leases() {
    let site = Site::new();
    let page = site.page();
    assert!(!page.is_last(), "the engine lives");
    let here = site.lease(BLOCK);
    here.put_back(&Mask::FULL.without(&ports([9])));
    assert!(!page.abandon(), "a lease is about");
    assert!(!page.is_last());
    here.put_back(&ports([9]));
    assert!(page.is_last() && !page.is_last());
    assert!(!page.abandon());
    page.freed.set(false);
    assert!(page.abandon());
    // For the engine's end.
    page.freed.set(false);
}

/// The note of a lease is its account where it is charged to one, and otherwise its pool.
#[test]
fn a_release_that_is_told_is_charged_to_no_other_account() {
    let pool = |name, prefix: &str| PoolConfig::new(name).prefix(prefix.parse().unwrap());
    let limit = crate::SubscriberLimit::new().ports(Protocol::Tcp, 9);
    let config = EngineConfig::new(1)
        .events(crate::EventConfig::new(64).leases(true))
        .pool(pool("open", "192.0.2.1/32"))
        .pool(pool("limited", "192.0.2.2/32").subscriber_limit(limit));
    let engine = Engine::new(config).unwrap();
    let request = |name| crate::Request::new(engine.pool(name).unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut burst = shard.burst(Tick::ZERO);
    let charged = burst.allocate(&request("limited").subscriber(7)).unwrap();
    let other = burst.allocate(&request("open")).unwrap();
    assert_eq!(charged.account(), Some(0), "the number of the other pool");
    let held = || {
        let ports = engine.subscribers()[0].ports[Protocol::Tcp.as_index()];
        (ports.leased, ports.resting)
    };
    burst.release(other);
    assert_eq!(held(), (1, 0));
    burst.release(charged);
    assert_eq!(held(), (0, 1));
    drop(burst);
    let mut released = vec![];
    engine.events().unwrap().drain(&mut |event: &crate::Event| {
        if let EventKind::PortReleased { subscriber, .. } = event.kind {
            released.push((event.pool, subscriber));
        }
    });
    assert_eq!(released, [(PoolId(0), None), (PoolId(1), Some(7))]);
}
