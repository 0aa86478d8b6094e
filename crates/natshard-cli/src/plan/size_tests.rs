//! Against everything that can happen, and the orders that must hold.

use proptest::prelude::*;

use super::super::args::PlanArgs;
use super::super::demand::Demand;
use super::super::law;
use super::super::space::Rules;
use super::*;

fn rules(options: &[&str]) -> Rules {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: PlanArgs,
    }
    let words = [
        "plan",
        "--subscribers",
        "1",
        "--activity",
        "1",
        "--ports",
        "1",
    ];
    let line: Line = clap::Parser::parse_from(words.iter().chain(options));
    Rules::of(&line.args).unwrap()
}

fn space(demand: &Demand, options: &[&str]) -> Space {
    Space::new(None, demand.clone(), demand.clone(), &rules(options)).unwrap()
}

/// Every way in which subscribers can be inactive, or active with some demand on some address.
fn everything(
    subscribers: u32,
    activity: f64,
    demand: &Demand,
    addresses: usize,
    mut see: impl FnMut(&[u64], f64),
) {
    let kinds: Vec<(usize, u64, f64)> = (0..addresses)
        .flat_map(|address| {
            let each = demand.probabilities().iter().enumerate();
            each.map(move |(units, it)| (address, units as u64, it * activity / addresses as f64))
        })
        .chain([(0, 0, 1.0 - activity)])
        .collect();
    for way in 0..kinds.len().pow(subscribers) {
        let (mut rest, mut probability) = (way, 1.0);
        let mut demands = vec![0; addresses];
        for _ in 0..subscribers {
            let (address, units, it) = kinds[rest % kinds.len()];
            rest /= kinds.len();
            demands[address] += units;
            probability *= it;
        }
        see(&demands, probability);
    }
}

#[test]
fn both_poolings_are_what_enumeration_gives() {
    let demand = Demand::new(vec![0.0, 0.5, 0.0, 0.3, 0.2]).unwrap();
    for (ports, options) in [
        (4, ["--usable-ports", "1-4"]),
        (5, ["--usable-ports", "10-14"]),
        (7, ["--usable-ports", "0-6"]),
    ] {
        let space = space(&demand, &options);
        assert_eq!(space.capacity, ports);
        let sizing = Sizing::new(&space, 4, 0.6);
        for addresses in 1..=3 {
            let (mut short, mut over) = (0.0, 0.0);
            let (mut address_short, mut address_over) = (0.0, 0.0);
            everything(
                4,
                0.6,
                &demand,
                addresses as usize,
                |demands, probability| {
                    let all: u64 = demands.iter().sum();
                    let more = |demand: u64, room: u64| demand.saturating_sub(room) as f64;
                    short += probability * f64::from(all > ports * addresses);
                    over += probability * more(all, ports * addresses);
                    for demand in demands {
                        address_short +=
                            probability * f64::from(*demand > ports) / addresses as f64;
                        address_over += probability * more(*demand, ports);
                    }
                },
            );
            let mean = 4.0 * 0.6 * demand.mean();
            for (pooling, short, over) in [
                (Pooling::Shared, short, over),
                (Pooling::Paired, address_short, address_over),
            ] {
                let risk = sizing.risk(pooling, addresses);
                assert!(
                    (risk.short - short).abs() < 1e-12,
                    "{pooling:?} {risk:?} {short}"
                );
                assert!(
                    (risk.refused - over / mean).abs() < 1e-12,
                    "{pooling:?} {risk:?}"
                );
            }
        }
    }
}

#[test]
fn the_least_number_is_the_least() {
    let demand = law::geometric(20.0).unwrap();
    let space = space(&demand, &["--usable-ports", "1-1000"]);
    let sizing = Sizing::new(&space, 700, 0.4);
    for pooling in [Pooling::Shared, Pooling::Paired] {
        for refusal in [0.3, 1e-2, 1e-4, 1e-8] {
            let one_by_one =
                (1..).find(|it| Sizing::bounded(pooling, sizing.risk(pooling, *it)) <= refusal);
            assert_eq!(
                sizing.least(pooling, refusal),
                one_by_one,
                "{pooling:?} {refusal}"
            );
        }
    }
}

/// Alone on an address, a subscriber with more ports than it has is refused some.
#[test]
fn what_no_number_of_addresses_can_do_is_said() {
    let demand = Demand::new([vec![0.0; 20], vec![1.0]].concat()).unwrap();
    let space = space(&demand, &["--usable-ports", "1-16"]);
    let sizing = Sizing::new(&space, 10, 0.5);
    assert_eq!(sizing.least(Pooling::Paired, 0.1), None);
    assert!(sizing.least(Pooling::Paired, 0.25).is_some());
    assert!(sizing.least(Pooling::Shared, 1e-6).is_some());
    assert_eq!(sizing.deterministic(None, 1e-4), None);
}

#[test]
fn blocks_are_aligned_and_a_limit_refuses_first() {
    let demand = Demand::new([vec![0.0; 300], vec![1.0]].concat()).unwrap();
    let it = space(
        &demand,
        &[
            "--block-size",
            "128",
            "--max-blocks",
            "2",
            "--usable-ports",
            "1000-2000",
        ],
    );
    // 1024 to 1919; what is beside them serves nobody.
    assert_eq!((it.ports, it.capacity), (1001, 7));
    assert_eq!(it.units.mean(), 2.0);
    assert!((it.refused_by_limit - 44.0 / 300.0).abs() < 1e-12);
    let it = space(
        &demand,
        &[
            "--block-size",
            "128",
            "--max-blocks",
            "9",
            "--max-ports",
            "130",
        ],
    );
    assert_eq!((it.capacity, it.units.mean()), (504, 2.0));
    let it = space(&demand, &["--max-ports", "130"]);
    assert_eq!((it.capacity, it.units.mean()), (64_512, 130.0));
}

#[test]
fn a_range_for_each_is_as_small_as_the_refusal_allows() {
    let demand = law::geometric(80.0).unwrap();
    let space = space(&demand, &[]);
    let sizing = Sizing::new(&space, 100_000, 0.3);
    let it = sizing.deterministic(None, 1e-4).unwrap();
    assert!(it.refused <= 1e-4 && demand.refused_by_limit(it.ports_each - 1) > 1e-4);
    assert_eq!(it.per_address, 64_512 / it.ports_each);
    assert_eq!(it.addresses, 100_000u64.div_ceil(it.per_address));
    let it = sizing.deterministic(Some(1000), 1e-4).unwrap();
    assert_eq!(
        (it.ports_each, it.per_address, it.addresses),
        (1000, 64, 1563)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn more_subscribers_activity_or_ports_never_need_fewer_addresses(
        subscribers in 100u64..5000,
        activity in 0.05..0.9f64,
        mean in 2.0..40.0f64,
        refusal in prop_oneof![Just(1e-2), Just(1e-4), Just(1e-6)],
        pooling in prop_oneof![Just(Pooling::Shared), Just(Pooling::Paired)],
    ) {
        let least = |subscribers, activity, mean, refusal| {
            let demand = law::geometric(mean).unwrap();
            let space = space(&demand, &["--usable-ports", "1024-5119"]);
            Sizing::new(&space, subscribers, activity).least(pooling, refusal).unwrap()
        };
        let here = least(subscribers, activity, mean, refusal);
        prop_assert!(least(subscribers + 500, activity, mean, refusal) >= here);
        prop_assert!(least(subscribers, activity * 1.1, mean, refusal) >= here);
        prop_assert!(least(subscribers, activity, mean * 1.2, refusal) >= here);
        prop_assert!(least(subscribers, activity, mean, refusal / 10.0) >= here);
        let space = space(&law::geometric(mean).unwrap(), &["--usable-ports", "1024-5119"]);
        let sizing = Sizing::new(&space, subscribers, activity);
        // A pool that all share is never worse than the same pool cut into addresses.
        prop_assert!(sizing.risk(Pooling::Shared, here).refused
            <= sizing.risk(Pooling::Paired, here).refused + 1e-12);
    }
}
