//! Who ends, when, and what is left of them.

use natshard::{Engine, EngineConfig, EventConfig, Lease, PoolConfig, Protocol, Request};

use super::{RESTED, all, at, balanced, ends, engine, pool};

/// F22: the last owner was dropped under a lock that its drop takes, four times, in `Display`
/// among others. Whoever goes last, in whatever order, on one thread and on another, it ends.
#[test]
fn f22_every_owner_can_be_the_last_to_go() {
    for order in 0..120u32 {
        for elsewhere in [false, true] {
            ends("a drop", move || drop_in_order(order, elsewhere));
        }
    }
}

fn drop_in_order(mut order: u32, elsewhere: bool) {
    let one = pool("p", "203.0.113.0/30");
    let config = EngineConfig::new(1).events(EventConfig::new(64).leases(true));
    let engine = Engine::new(config.pool(one)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    let mut leases: Vec<Lease> = Vec::new();
    let had = shard
        .burst(at(0))
        .allocate_batch(&request, 300, &mut leases);
    assert_eq!(had, Ok(300));
    let steering = engine.steering();
    let events = engine.events().unwrap();
    let said = format!("{engine:?} {shard:?} {leases:?} {steering:?}");
    assert!(said.len() > 100);
    let mut owners: Vec<Box<dyn std::any::Any + Send>> = vec![
        Box::new(engine),
        Box::new(shard),
        Box::new(leases),
        Box::new(steering),
        Box::new(events),
    ];
    // The order of that number among all 120.
    while !owners.is_empty() {
        let owner = owners.remove(order as usize % owners.len());
        order /= owners.len() as u32 + 1;
        if elsewhere {
            std::thread::spawn(move || drop(owner)).join().unwrap();
        } else {
            drop(owner);
        }
    }
}

/// F22, in `reconfigure`: it takes a lock, and may be the one to let go of what is old.
#[test]
fn f22_reconfiguring_away_what_nobody_else_holds_ends() {
    ends("a reconfiguration", || {
        let of = |prefix: &str| EngineConfig::new(1).pool(pool("p", prefix));
        let engine = Engine::new(of("203.0.113.0/30")).unwrap();
        let mut shard = engine.shard(0).unwrap();
        for round in 0..50u64 {
            let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
            let lease = shard.burst(at(round)).allocate(&request).unwrap();
            let prefix = ["198.51.100.0/30", "203.0.113.0/30"][round as usize % 2];
            let copy = engine.clone();
            let dropper = std::thread::spawn(move || drop((lease, copy)));
            engine.reconfigure(of(prefix)).unwrap();
            dropper.join().unwrap();
        }
        balanced(&engine);
    });
}

/// F23: panics on the ways of configuration and drop: a wide IPv6 range, an address outside of its
/// span, a name that is missing. Every pair of these is taken, or refused with a reason.
#[test]
#[allow(clippy::reversed_empty_ranges, reason = "that is a fault")]
fn f23_no_configuration_panics_to_be_made_changed_or_dropped() {
    let prefixes = [
        "0.0.0.0/0",
        "255.255.255.255/32",
        "203.0.113.1/24",
        "::/0",
        "2001:db8::/32",
        "2001:db8::/95",
        "2001:db8::ffff:ffff/128",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128",
    ];
    let ranges = [0..=65535, 1..=1, 65535..=65535, 1024..=65535, 300..=200];
    let outside = ["203.0.113.7", "::", "2001:db8::1:0:0", "255.255.255.255"];
    let mut configs: Vec<PoolConfig> = Vec::new();
    for prefix in prefixes {
        for ports in &ranges {
            let base = pool("p", prefix).ports(ports.clone());
            configs.push(base.clone());
            configs.push(base.clone().identifiers(ports.clone()).preopen(3));
            for address in outside {
                configs.push(base.clone().exclude(address.parse().unwrap(), 0..=65535));
            }
        }
    }
    let (mut made, mut refused) = (Vec::new(), 0);
    for config in configs {
        match Engine::new(EngineConfig::new(1).pool(config.clone())) {
            Err(error) => {
                assert!(!error.faults().is_empty() && !error.to_string().is_empty());
                refused += 1;
            }
            Ok(engine) => {
                let pool = engine.pool("p").unwrap();
                let mut shard = engine.shard(0).unwrap();
                let mut burst = shard.burst(at(0));
                let had = Protocol::ALL.map(|one| burst.allocate(&Request::new(pool, one)));
                assert!(had.iter().any(Result::is_ok), "{config:?}");
                made.push(config);
            }
        }
    }
    assert!(made.len() > 30 && refused > 50, "{} {refused}", made.len());
    // From each to each, with leases that outlive it.
    let engine = Engine::new(EngineConfig::new(1).pool(made[0].clone())).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let mut held = Vec::new();
    for step in 0..made.len() * 3 {
        let next = made[(step * 7 + step / made.len()) % made.len()].clone();
        engine.reconfigure(EngineConfig::new(1).pool(next)).unwrap();
        let request = Request::new(engine.pool("p").unwrap(), Protocol::Udp);
        held.extend(shard.burst(at(0)).allocate(&request));
        if step % 5 == 0 {
            let bad = EngineConfig::new(1).pool(PoolConfig::new("").realm(""));
            assert!(engine.reconfigure(bad).is_err());
        }
        if step % 3 == 0 {
            held.pop();
        }
    }
    drop(engine);
    drop(shard);
    drop(held);
}

/// F24: a thread that ended kept its block for ever, and maps of thread numbers grew with churn.
#[test]
fn f24_threads_that_come_and_go_keep_nothing() {
    let (engine, request) = engine(2, pool("p", "203.0.113.0/32").ports(1024..=1535));
    for life in 0..400 {
        let copy = engine.clone();
        let thread = std::thread::spawn(move || {
            let mut shard = copy.shard(life % 2).unwrap();
            let mut burst = shard.burst(at(0));
            let lease = burst.allocate(&request).unwrap();
            match life % 4 {
                0 => burst.release_with(lease, natshard::Reason::Unused),
                1 => _ = lease.into_raw(),
                2 => drop(lease),
                // In a burst, with a block in hand.
                _ => std::panic::resume_unwind(Box::new(lease)),
            }
        });
        drop(thread.join());
        let census = balanced(&engine).total;
        assert_eq!(census.unissued, 0, "life {life} kept its block");
        assert_eq!(census.leased, (life as u64).div_ceil(4));
    }
    // 100 tokens were thrown away, which is their holder's fault; everything else is there.
    let mut shard = engine.shard(0).unwrap();
    assert_eq!(all(&mut shard, &request, RESTED).len(), 512 - 100);
    assert_eq!(engine.stats().awaiting_grace, 0);
}
