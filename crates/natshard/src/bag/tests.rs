use std::collections::BTreeMap;

use super::*;
use crate::config::{PoolConfig, PortOrder};
use crate::engine::Engine;
use crate::request::Request;
use crate::shard::Shard;
use crate::testing::{begin, config, purpose};
use crate::tick::Tick;

fn engine(ports: std::ops::RangeInclusive<u16>) -> (Engine, Shard, Request, Purpose) {
    let pool = PoolConfig::new("p")
        .prefix("203.0.113.0/30".parse().unwrap())
        .ports(ports);
    let config = config(1).port_order(PortOrder::Hardened);
    let (engine, shard, request) = begin(config.pool(pool));
    (engine, shard, request, purpose(&request))
}

/// How many ports each hand of the bag has.
fn hands(shard: &Shard, purpose: Purpose) -> Vec<usize> {
    let bag = &shard.worker().bags[purpose.index()];
    let left = |&hand: &u32| shard.worker().allocators[hand as usize].left();
    bag.hands.iter().map(left).collect()
}

/// While the pool has enough, a bag has nearly as many ports as it may, in not too many hands.
#[test]
fn a_bag_is_kept_full() {
    let (_engine, mut shard, request, purpose) = engine(1024..=65_535);
    let mut leases = Vec::new();
    for step in 0..60_000 {
        leases.push(shard.burst(Tick::ZERO).allocate(&request).unwrap());
        if step % 97 == 0 || step < 300 {
            let hands = hands(&shard, purpose);
            let all: usize = hands.iter().sum();
            assert!(
                (LEAST..MOST).contains(&(all + 1)) || all + 1 == MOST,
                "{step}: {all}"
            );
            assert!(hands.len() <= HANDS, "{step}: {} hands", hands.len());
        }
        if step == 0 {
            assert_eq!(hands(&shard, purpose).iter().sum::<usize>(), MOST - 1);
        }
    }
    assert!(shard.worker().allocators.len() <= HANDS + 1);
}

/// A hand is drawn as often as it has ports.
#[test]
fn each_port_in_hand_is_drawn_with_the_same_probability() {
    let (_engine, mut shard, request, purpose) = engine(1024..=65_535);
    let mut leases = Vec::new();
    for _ in 0..9_000 {
        leases.push(shard.burst(Tick::ZERO).allocate(&request).unwrap());
    }
    let lefts = hands(&shard, purpose);
    let all: usize = lefts.iter().sum();
    let bag = shard.worker().bags[purpose.index()].clone();
    let mut burst = shard.burst(Tick::ZERO);
    let mut work = burst.work();
    let mut drawn = BTreeMap::new();
    let draws = 200_000;
    for _ in 0..draws {
        *drawn.entry(work.draw_of(&bag).unwrap()).or_insert(0) += 1;
    }
    for (&hand, &left) in bag.hands.iter().zip(&lefts) {
        let seen = f64::from(drawn.get(&(hand as usize)).copied().unwrap_or(0));
        let expected = f64::from(draws) * left as f64 / all as f64;
        // Six standard deviations.
        let wide = 6.0 * expected.sqrt() + 1.0;
        assert!(
            (seen - expected).abs() < wide,
            "{left} of {all}: {seen} of {expected}"
        );
    }
}

/// What there is of a small pool is had to the last port, though a draw seldom meets the last ones.
#[test]
fn a_bag_that_cannot_be_filled_is_emptied() {
    let (_engine, mut shard, request, purpose) = engine(1024..=1535);
    let mut leases = Vec::new();
    let mut burst = shard.burst(Tick::ZERO);
    let had = burst.allocate_batch(&request, 5_000, &mut leases);
    assert_eq!(had, Ok(4 * 512));
    drop(burst);
    assert_eq!(hands(&shard, purpose).iter().sum::<usize>(), 0);
    let ports: std::collections::BTreeSet<_> = leases.iter().map(|lease| lease.addr()).collect();
    assert_eq!(ports.len(), 4 * 512);
}
