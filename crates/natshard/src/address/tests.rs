//! What a book of addresses keeps, and who is served from it.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::config::{EngineConfig, PoolConfig};
use crate::engine::Engine;
use crate::error::AllocError;
use crate::event::EventConfig;
use crate::lease::Reason;
use crate::protocol::Protocol;
use crate::request::{Parity, Strictness};
use crate::shard::Shard;
use crate::testing::{config, purpose};
use crate::tick::Tick;

const HERE: &str = "203.0.113.0";

#[test]
fn a_book_knows_the_latest_addresses_and_no_others() {
    let (mut book, mut model) = (AddressBook::new(), VecDeque::new());
    let mut random = 1u64;
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        // Addresses in a row, and some that differ in the upper half alone.
        let number = (random >> 33) as u32 % 600;
        let address: IpAddr = match random >> 62 {
            0 => Ipv6Addr::from_bits(u128::from(number) << 64).into(),
            _ => Ipv4Addr::from_bits(0xcb00_7100 + number).into(),
        };
        let wanted = ((random >> 20) as u32 % 2 * 9, address);
        let known = model.iter().find(|(it, _)| *it == wanted);
        assert_eq!(book.find(&wanted), known.map(|(_, allocator)| *allocator));
        if known.is_some() {
            continue;
        }
        let room = book.make_room();
        let oldest = (model.len() == MOST).then(|| model.pop_front()).flatten();
        assert_eq!(room, oldest.map(|(_, allocator)| allocator));
        let allocator = room.unwrap_or(model.len());
        book.enter(wanted, allocator);
        model.push_back((wanted, allocator));
    }
    assert_eq!(model.len(), MOST);
}

/// Addresses in a row, and requests of different kinds at one of them, have chains of their own.
#[test]
fn chains_are_short() {
    let longest = |wanted: &mut dyn Iterator<Item = Wanted>| {
        let mut chains = [0; CHAINS];
        wanted.for_each(|wanted| chains[AddressBook::chain(&wanted)] += 1);
        chains.into_iter().max().unwrap()
    };
    let most = MOST as u32;
    let v4 = |number: u32| IpAddr::from(Ipv4Addr::from_bits(0xcb00_7100 + number));
    let v6 = |bits: u128| IpAddr::from(Ipv6Addr::from_bits(0x2001_0db8 << 96 | bits));
    assert!(longest(&mut (0..most).map(|it| (0, v4(it)))) <= 4);
    assert!(longest(&mut (0..most).map(|it| (0, v4(it << 8)))) <= 4);
    assert!(longest(&mut (0..most).map(|it| (0, v6(it.into())))) <= 4);
    assert!(longest(&mut (0..most).map(|it| (0, v6(u128::from(it) << 64)))) <= 4);
    assert!(longest(&mut (0..most).map(|it| (9 * it, v4(0)))) <= 4);
    assert!(longest(&mut (0..most).map(|it| (9 * it, v6(1)))) <= 4);
}

fn pool(name: &str) -> PoolConfig {
    PoolConfig::new(name)
        .prefix("203.0.113.0/31".parse().unwrap())
        .prefix("2001:db8::/127".parse().unwrap())
        .ports(1024..=1535)
}

/// An engine, its shard, and a request at an address of the pool with a block in hand.
fn served(config: EngineConfig) -> (Engine, Shard, Request) {
    let engine = Engine::new(config).unwrap();
    let mut shard = engine.shard(0).unwrap();
    let request = at(&engine, "p", HERE);
    lease(&mut shard, &request);
    (engine, shard, request)
}

fn lease(shard: &mut Shard, request: &Request) {
    drop(shard.burst(Tick::from_millis(1)).allocate(request).unwrap());
}

fn at(engine: &Engine, pool: &str, address: &str) -> Request {
    let request = Request::new(engine.pool(pool).unwrap(), Protocol::Udp);
    request.address(address.parse().unwrap(), Strictness::Strict)
}

#[test]
fn who_asks_for_nothing_but_an_address_is_served_from_the_book() {
    let elsewhere = pool("q").realm("elsewhere");
    let (engine, mut shard, request) = served(config(1).pool(pool("p")).pool(elsewhere));
    let known = |shard: &Shard, request: &Request| shard.worker().quick_address_index(request);
    let hand = known(&shard, &request);
    assert!(hand.is_some());
    assert_eq!(known(&shard, &request.family(Family::V4)), hand);
    let purpose = |pool: &str, family| Purpose {
        pool: engine.pool(pool).unwrap(),
        family,
        ..purpose(&request)
    };
    let here = HERE.parse().unwrap();
    for family in [None, Some(Family::V4)] {
        let found = shard.worker().address_index(purpose("p", family), here);
        assert_eq!(found, hand);
        let found = shard.worker().address_index(purpose("q", family), here);
        assert_eq!(found, None);
    }
    // Whoever asks for more is served as he asks.
    let particular = [
        request.near_port(1100),
        request.parity(Parity::Odd),
        request.subscriber(1),
        request.tenant(1),
        request.control(),
        request.family(Family::V6),
    ];
    for request in particular {
        assert_eq!(known(&shard, &request), None, "{request:?}");
    }
    for (index, one) in particular.iter().enumerate() {
        for other in &particular[..index] {
            // Two wishes are no fewer than one.
            let both = Request {
                near_port: one.near_port.or(other.near_port),
                parity: one.parity.or(other.parity),
                subscriber: one.subscriber.or(other.subscriber),
                tenant: one.tenant.or(other.tenant),
                control: one.control | other.control,
                family: one.family.or(other.family),
                ..request
            };
            assert_eq!(known(&shard, &both), None, "{both:?}");
        }
    }
    assert_eq!(known(&shard, &at(&engine, "p", "203.0.113.1")), None);
    assert_eq!(known(&shard, &at(&engine, "p", "2001:db8::")), None);
    // The other pool's address is another one.
    let other = at(&engine, "q", HERE);
    assert_eq!(known(&shard, &other), None);
    lease(&mut shard, &other);
    assert!(known(&shard, &other).is_some_and(|index| Some(index) != hand));
    assert_eq!(known(&shard, &request), hand);
    let tcp = Request::new(engine.pool("p").unwrap(), Protocol::Tcp);
    assert_eq!(known(&shard, &tcp), None);
}

#[test]
fn where_each_lease_is_told_nobody_is_served_from_the_book() {
    let telling = EventConfig::new(64).leases(true);
    let (_engine, shard, request) = served(config(1).events(telling).pool(pool("p")));
    for request in [request, request.near_port(1100), request.control()] {
        assert_eq!(shard.worker().quick_address_index(&request), None);
    }
}

/// Whoever had a port after that ends the alarm, which is the long way's.
#[test]
fn while_exhaustion_was_told_nobody_is_served_from_the_book() {
    let telling = EventConfig::new(64);
    let (engine, mut shard, request) = served(config(1).events(telling).pool(pool("p")));
    let other = at(&engine, "p", "203.0.113.1");
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::from_millis(1));
    let had = burst.allocate_batch(&other, 512, &mut leases);
    assert_eq!(had, Ok(512));
    drop(burst);
    assert!(shard.worker().quick_address_index(&request).is_some());
    let mut burst = shard.burst(Tick::from_millis(1));
    assert_eq!(burst.allocate(&other), Err(AllocError::AddressFull));
    drop(burst);
    assert_eq!(shard.worker().quick_address_index(&request), None);
}

/// What is in hand at an address goes out without a search; the last port of it spends the block.
#[test]
fn ports_in_hand_at_an_address_are_leased_from_there() {
    let (_engine, mut shard, request) = served(config(1).pool(pool("p")));
    let hand = shard.worker().quick_address_index(&request).unwrap();
    for left in (0..255).rev() {
        let mut burst = shard.burst(Tick::from_millis(1));
        let lease = burst.work().pop_at_address(&request);
        let Some(lease) = lease else {
            panic!("nothing was had with {} in hand", left + 1);
        };
        assert_eq!(lease.addr().ip(), HERE.parse::<IpAddr>().unwrap());
        std::mem::forget(lease);
        drop(burst);
        assert_eq!(shard.worker().allocators[hand].left(), left);
    }
}

/// A search in vain is remembered for as long as nothing could have come of another one.
#[test]
fn an_address_that_was_searched_in_vain_is_not_searched_again() {
    let (engine, mut shard, request) = served(config(1).pool(pool("p")));
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::from_millis(1));
    let had = burst.allocate_batch(&request, 512, &mut leases);
    // One of them rests.
    assert_eq!(had, Ok(511));
    let refused = |shard: &Shard| {
        let entries = &shard.worker().by_address.entries;
        let here: IpAddr = HERE.parse().unwrap();
        let entry = entries.iter().find(|entry| entry.wanted.1 == here).unwrap();
        entry.refused
    };
    drop(burst);
    let refuse = |shard: &mut Shard, millis| {
        let mut burst = shard.burst(Tick::from_millis(millis));
        assert_eq!(burst.allocate(&request), Err(AllocError::AddressFull));
    };
    refuse(&mut shard, 1);
    let first = refused(&shard).unwrap();
    refuse(&mut shard, 1);
    assert_eq!(refused(&shard), Some(first));
    refuse(&mut shard, 4_000);
    let second = refused(&shard).unwrap();
    assert!(second.slice > first.slice);
    // Something that could be had ends it.
    let mut burst = shard.burst(Tick::from_millis(4_000));
    burst.release_with(leases.pop().unwrap(), Reason::Unused);
    leases.push(burst.allocate(&request).unwrap());
    assert_eq!(burst.allocate(&request), Err(AllocError::AddressFull));
    drop(burst);
    let third = refused(&shard).unwrap();
    assert!(third.version > second.version);
    drop(engine);
}
