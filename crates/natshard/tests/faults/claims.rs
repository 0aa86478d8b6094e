//! Ports that are claimed for something else, port forwarding say.

use std::collections::HashSet;
use std::net::SocketAddr;

use natshard::{AllocError, Engine, EngineConfig, Protocol, Request, Strictness};

use super::{all, at, balanced, engine, pool};

/// F9: the second range claimed on an address overwrote the first; claims were lost on the way of
/// `reserve`.
#[test]
fn f09_every_claim_on_an_address_holds_on_every_way_to_a_port() {
    let address = "203.0.113.2".parse().unwrap();
    // Two apart, two that touch, two that overlap, one within another, and both ends.
    let claims = [
        1024..=1024,
        1100..=1149,
        1150..=1199,
        2000..=2100,
        2050..=2150,
        1110..=1120,
        2303..=2303,
    ];
    let claimed: HashSet<u16> = claims.iter().cloned().flatten().collect();
    let mut claiming = pool("p", "203.0.113.0/30").ports(1024..=2303);
    for claim in claims {
        claiming = claiming.exclude(address, claim);
    }
    let left = 1280 - claimed.len();
    let (engine, request) = engine(1, claiming);
    let id = engine.pool("p").unwrap();
    let mut shard = engine.shard(0).unwrap();
    assert_eq!(engine.census().total.excluded, 2 * claimed.len() as u64);

    let mut burst = shard.burst(at(0));
    for port in 1024..=2303 {
        let public = SocketAddr::new(address, port);
        for protocol in [Protocol::Tcp, Protocol::Udp] {
            let lease = burst.reserve(id, protocol, public);
            match claimed.contains(&port) {
                true => assert_eq!(lease, Err(AllocError::Excluded), "{public}"),
                false => burst.release_with(lease.unwrap(), natshard::Reason::Unused),
            }
        }
        // ICMP identifiers are another space.
        assert!(burst.reserve(id, Protocol::Icmp, public).is_ok());
    }
    let here = request.address(address, Strictness::Strict);
    let mut held = Vec::new();
    // By wish, as a set, and by any way at all, to the last.
    for &port in &claimed {
        let lease = burst.allocate(&here.near_port(port)).unwrap();
        assert!(!claimed.contains(&lease.addr().port()), "{lease:?}");
        held.push(lease);
    }
    while burst.allocate_set(&here, 8, &mut held).is_ok() {}
    while let Ok(lease) = burst.allocate(&here) {
        held.push(lease);
    }
    let ports: HashSet<u16> = held.iter().map(|lease| lease.addr().port()).collect();
    assert_eq!((ports.len(), held.len()), (left, left));
    assert!(ports.is_disjoint(&claimed));
    drop(burst);
    assert_eq!(all(&mut shard, &request, 0).len(), 3 * 1280);
    balanced(&engine);
}

/// F9, by `reserve`: what is reserved is nobody else's, however many claims an address has.
#[test]
fn f09_reservations_on_one_address_do_not_overwrite_each_other() {
    let (engine, request) = engine(2, pool("p", "203.0.113.0/32").ports(1024..=1535));
    let id = engine.pool("p").unwrap();
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let tuple = |port| SocketAddr::new("203.0.113.0".parse().unwrap(), port);
    let mut claims = Vec::new();
    for (step, port) in (1024..1536).step_by(3).enumerate() {
        let lease = shards[step % 2].burst(at(0));
        let lease = { lease }.reserve(id, Protocol::Tcp, tuple(port));
        claims.push(match lease {
            Ok(lease) => lease,
            // In the other shard's hands until its next burst.
            Err(AllocError::InUse) => {
                drop(shards[(step + 1) % 2].burst(at(0)));
                let mut burst = shards[step % 2].burst(at(0));
                burst.reserve(id, Protocol::Tcp, tuple(port)).unwrap()
            }
            Err(error) => panic!("{port}: {error}"),
        });
    }
    let claimed: HashSet<SocketAddr> = claims.iter().map(natshard::Lease::addr).collect();
    assert_eq!(claimed.len(), claims.len());
    for shard in &mut shards {
        shard.idle(at(0));
    }
    let rest = all(&mut shards[0], &request, 0);
    assert_eq!(rest.len() + claims.len(), 512);
    assert!(rest.iter().all(|lease| !claimed.contains(&lease.addr())));
    // A claim holds over a reconfiguration and is let go of once.
    let same = EngineConfig::new(2).pool(pool("p", "203.0.113.0/32").ports(1024..=1535));
    engine.reconfigure(same).unwrap();
    for &public in &claimed {
        let again = shards[1].burst(at(0)).reserve(id, Protocol::Tcp, public);
        assert_eq!(again, Err(AllocError::InUse), "{public}");
    }
    drop(claims);
    assert_eq!(balanced(&engine).total.leased, rest.len() as u64);
}

/// F17: an address wholly claimed by port forwarding was drawn, yielded nothing, was handed back
/// and drawn again: the whole pool served nothing.
#[test]
fn f17_addresses_wholly_claimed_do_not_starve_the_others() {
    let mut one = pool("p", "203.0.113.0/28").ports(1024..=2047);
    for last in 0..15 {
        one = one.exclude(format!("203.0.113.{last}").parse().unwrap(), 1024..=2047);
    }
    let (engine, request) = engine(1, one.clone());
    let mut shard = engine.shard(0).unwrap();
    let held = all(&mut shard, &request, 0);
    assert_eq!(held.len(), 1024, "the one address that is left");
    let icmp = Request::new(engine.pool("p").unwrap(), Protocol::Icmp);
    assert_eq!(all(&mut shard, &icmp, 0).len(), 16 << 16);
    drop(held);
    balanced(&engine);

    // Claimed by leases instead, by `reserve`, one after the other while others allocate.
    let (engine, request) = self::engine(2, pool("p", "203.0.113.0/30").ports(1024..=1279));
    let id = engine.pool("p").unwrap();
    let mut shards = [0, 1].map(|index| engine.shard(index).unwrap());
    let mut claims = Vec::new();
    for last in 0..3 {
        let ip = format!("203.0.113.{last}").parse().unwrap();
        let mut burst = shards[0].burst(at(0));
        for port in 1024..=1279 {
            let public = SocketAddr::new(ip, port);
            claims.push(burst.reserve(id, Protocol::Tcp, public).unwrap());
        }
        drop(burst);
        for shard in &mut shards {
            let lease = shard.burst(at(0)).allocate(&request).unwrap();
            shard
                .burst(at(0))
                .release_with(lease, natshard::Reason::Unused);
            shard.idle(at(0));
        }
    }
    assert_eq!(all(&mut shards[1], &request, 0).len(), 256);
    balanced(&engine);
}

/// F17, the other way: a claim that is withdrawn gives the address back, to whoever asks next.
#[test]
fn f17_an_address_comes_back_when_its_claim_is_withdrawn() {
    let base = || pool("p", "203.0.113.0/31").ports(1024..=1279);
    let whole = |last: u8| {
        let address = format!("203.0.113.{last}").parse().unwrap();
        EngineConfig::new(1).pool(base().exclude(address, 1024..=1279))
    };
    let engine = Engine::new(whole(0)).unwrap();
    let request = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    let mut shard = engine.shard(0).unwrap();
    for round in 0..20u8 {
        let claimed = round % 2;
        engine.reconfigure(whole(claimed)).unwrap();
        let now = u64::from(round) * 2 * super::HOLD;
        let held = all(&mut shard, &request, now);
        assert_eq!(held.len(), 256, "round {round}");
        let free = |lease: &natshard::Lease| lease.addr().ip().to_string().ends_with('0');
        assert!(held.iter().all(|lease| free(lease) == (claimed == 1)));
        shard.burst(at(now)).release_batch(&mut { held });
    }
    balanced(&engine);
}
