//! What a search for a set looks for, and what it remembers of having found none.

use super::*;
use crate::block::PORTS;
use crate::config::PoolConfig;
use crate::contiguous::{Place, Sought};
use crate::engine::Engine;
use crate::error::AllocError;
use crate::lease::Reason;
use crate::request::{Family, Parity, Request};
use crate::shard::Shard;
use crate::testing::{begin, config, purpose};
use crate::tick::Tick;
use crate::worker::Purpose;

const ANY: Sought = Sought {
    most: 4,
    least: 2,
    parity: None,
    place: Place::Anywhere,
};

#[test]
fn a_run_at_a_given_port_begins_there() {
    let at = |port| Sought {
        place: Place::At(port),
        ..ANY
    };
    let ports: Mask = (10..20).collect();
    let block = 5 * PORTS as u16;
    assert!(at(block + 10).fits(&ports, 1));
    assert!(at(block + 16).fits(&ports, 1));
    // All of it, whatever floor is asked for.
    assert!(!at(block + 17).fits(&ports, 1));
    assert!(!at(block + 9).fits(&ports, 1));
    assert_eq!(at(block + 12).longest(&ports), 4);
    assert!(at(block + 12).pick(&ports, 3, 77).iter().eq(12..15));
    assert!(at(block + 18).pick(&ports, 3, 77).is_empty());
    assert!(at(block).may_lie_in(5) && !at(block).may_lie_in(4));
    // Not across the end of its block.
    let last: Mask = (250..256).collect();
    assert!(at(block + 252).fits(&last, 1));
    assert!(!at(block + 253).fits(&last, 1));
}

#[test]
fn a_run_anywhere_is_as_long_as_there_is_one() {
    let ports: Mask = (10..13).chain(21..26).collect();
    assert!(ANY.fits(&ports, 5) && !ANY.fits(&ports, 6));
    assert_eq!(ANY.longest(&ports), 5);
    let even = Sought {
        parity: Some(Parity::Even),
        ..ANY
    };
    assert!(even.fits(&ports, 4) && !even.fits(&ports, 5));
    assert_eq!(even.longest(&ports), 4);
    let low = |port| Sought {
        place: Place::ClassOf(port),
        ..ANY
    };
    assert!(low(1000).may_lie_in(3) && !low(1000).may_lie_in(4));
    assert!(low(1024).may_lie_in(4) && !low(1024).may_lie_in(3));
}

fn engine() -> (Engine, Shard, Request) {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/32".parse().unwrap())
        .prefix("2001:db8::/128".parse().unwrap())
        .ports(1024..=1279);
    let (engine, shard, request) = begin(config(2).pool(pool));
    (engine, shard, request.family(Family::V4))
}

#[test]
fn a_search_is_of_the_families_asked_for() {
    let (engine, _shard, request) = engine();
    let layout = engine.inner().layout.load_full();
    let pool = layout.pool(request.pool()).unwrap();
    let of = |family| Purpose {
        family,
        ..purpose(&request)
    };
    let regions = |family| {
        let search = Search::pool(pool, of(family), ANY);
        assert!(search.is_general());
        search.regions().count()
    };
    assert_eq!(regions(None), 2);
    assert_eq!(regions(Some(Family::V4)), 1);
    assert_eq!(regions(Some(Family::V6)), 1);
    let placed = Sought {
        place: Place::ClassOf(1024),
        ..ANY
    };
    assert!(!Search::pool(pool, of(None), placed).is_general());
}

#[test]
fn a_set_that_could_not_be_had_is_refused_again_until_something_changes() {
    let (_engine, mut shard, request) = engine();
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    assert_eq!(burst.allocate_batch(&request, 256, &mut leases), Ok(256));
    leases.sort_by_key(Lease::addr);
    // Every other port comes back: there are many, and no two side by side.
    let mut place = 0;
    leases.retain(|_| {
        place += 1;
        place % 2 == 0
    });
    drop(burst);
    let mut burst = shard.burst(Tick::from_millis(20_000));
    let refused = burst.allocate_set(&request, 2, &mut leases);
    assert_eq!(refused, Err(AllocError::NoContiguous));
    let known = |burst: &mut crate::shard::Burst<'_>, sought: Sought| {
        let work = burst.work();
        let layout = work.layout;
        let pool = layout.pool(request.pool()).unwrap();
        let search = Search::pool(pool, purpose(&request), sought);
        work.known_refusal(&search, work.moment(pool, search.purpose))
    };
    let no_run = Some(Outcome::NoRun);
    assert_eq!(known(&mut burst, ANY), no_run);
    // It says the same of more, and of a parity; nothing of less, nor of a place.
    let more = Sought { least: 3, ..ANY };
    assert_eq!(known(&mut burst, more), no_run);
    let odd = Sought {
        parity: Some(Parity::Odd),
        ..ANY
    };
    assert_eq!(known(&mut burst, odd), no_run);
    assert_eq!(known(&mut burst, Sought { least: 1, ..ANY }), None);
    let placed = Sought {
        place: Place::At(1024),
        ..ANY
    };
    assert_eq!(known(&mut burst, placed), None);
    // A port between two of them makes a run of three.
    burst.release_with(leases.swap_remove(0), Reason::Unused);
    assert_eq!(known(&mut burst, ANY), None);
    assert_eq!(burst.allocate_set(&request, 3, &mut leases), Ok(3));
    let refused = burst.allocate_set(&request.parity(Parity::Odd), 2, &mut leases);
    assert_eq!(refused, Err(AllocError::NoContiguous));
    // Of one parity it says nothing about the other, nor about any.
    assert_eq!(known(&mut burst, odd), no_run);
    assert_eq!(known(&mut burst, ANY), None);
    let even = Sought {
        parity: Some(Parity::Even),
        ..ANY
    };
    assert_eq!(known(&mut burst, even), None);
}
