//! Against convolution by hand, against laws with closed forms, and for their own sake.

use proptest::prelude::*;

use super::super::law;
use super::*;

/// The law of the sum, by adding one subscriber after the other.
fn convolved(subscribers: u64, active: f64, demand: &Demand) -> Vec<f64> {
    let mut one: Vec<f64> = demand
        .probabilities()
        .iter()
        .map(|it| active * it)
        .collect();
    one[0] += 1.0 - active;
    let mut sum = vec![1.0];
    for _ in 0..subscribers {
        let mut next = vec![0.0; sum.len() + one.len() - 1];
        for (at, left) in sum.iter().enumerate() {
            for (more, right) in one.iter().enumerate() {
                next[at + more] += left * right;
            }
        }
        sum = next;
    }
    sum
}

/// The same two figures of a law that is known.
fn tail_of(law: &[f64], capacity: u64) -> (f64, f64) {
    let above = law.iter().enumerate().skip(capacity as usize + 1);
    above.fold((0.0, 0.0), |(exceeds, excess), (units, it)| {
        (exceeds + it, excess + (units as u64 - capacity) as f64 * it)
    })
}

fn agree(tail: Tail, expected: (f64, f64), relative: f64) -> Result<(), TestCaseError> {
    let near = |left: f64, right: f64| (left - right).abs() <= relative * right + 1e-15;
    prop_assert!(
        near(tail.exceeds, expected.0) && near(tail.excess, expected.1),
        "{tail:?} {expected:?}"
    );
    Ok(())
}

proptest! {
    #[test]
    fn it_is_what_convolution_gives(
        subscribers in 1u64..40,
        active in 0.01..=1.0f64,
        weights in prop::collection::vec(prop_oneof![Just(0.0), 0.001..1.0f64], 1..12),
        capacity in 0u64..200,
    ) {
        prop_assume!(weights[1..].iter().sum::<f64>() > 0.0);
        let demand = Demand::new(weights).unwrap();
        let law = convolved(subscribers, active, &demand);
        let tail = Crowd::new(subscribers, active, &demand).tail(capacity);
        agree(tail, tail_of(&law, capacity), 1e-9)?;
        prop_assert!(tail.error < 1e-9, "{tail:?}");
    }

    #[test]
    fn more_capacity_is_never_worse_and_more_subscribers_never_better(
        subscribers in 2u64..3000,
        active in 0.01..0.9f64,
        mean in 1.5..60.0f64,
        capacity in 1u64..40_000,
    ) {
        let demand = law::geometric(mean).unwrap();
        let here = Crowd::new(subscribers, active, &demand).tail(capacity);
        let slack = here.error * 2.0 + 1e-15;
        let roomier = Crowd::new(subscribers, active, &demand).tail(capacity + 1);
        prop_assert!(roomier.exceeds <= here.exceeds + slack);
        prop_assert!(roomier.excess <= here.excess + slack * 1e6);
        let fuller = Crowd::new(subscribers + 1, active, &demand).tail(capacity);
        prop_assert!(fuller.exceeds >= here.exceeds - slack);
        // One unit of capacity takes away what was exceeded, no more and no less.
        let step = here.excess - roomier.excess;
        prop_assert!((step - here.exceeds).abs() <= 1e-6 * here.exceeds + slack * 1e6);
    }
}

/// Every subscriber takes one unit: the sum is binomial.
#[test]
fn a_binomial_tail_of_a_million_subscribers() {
    let demand = Demand::new(vec![0.0, 1.0]).unwrap();
    let (n, p) = (1_000_000u64, 0.3f64);
    let log = |k: u64| {
        let choose = libm::lgamma(n as f64 + 1.0)
            - libm::lgamma(k as f64 + 1.0)
            - libm::lgamma((n - k) as f64 + 1.0);
        choose + k as f64 * p.ln() + (n - k) as f64 * (1.0 - p).ln()
    };
    for capacity in [298_000, 300_000, 301_000, 302_000, 303_000] {
        let expected: f64 = (capacity + 1..capacity + 20_000)
            .map(|it| log(it).exp())
            .sum();
        let tail = Crowd::new(n, p, &demand).tail(capacity);
        let relative = (tail.exceeds - expected).abs() / expected;
        // lgamma of a million has lost some digits itself.
        assert!(relative < 1e-7, "{capacity}: {tail:?} {expected}");
    }
}

/// Demands of 0 or 80 and hardly anything between: the law of the sum has teeth.
#[test]
fn a_law_that_is_almost_a_lattice() {
    let mut weights = vec![0.0; 82];
    weights[80] = 0.9995;
    weights[81] = 0.0005;
    let demand = Demand::new(weights).unwrap();
    let law = convolved(60, 0.5, &demand);
    for capacity in [2399, 2400, 2401, 3199, 3200, 3279, 3280] {
        let tail = Crowd::new(60, 0.5, &demand).tail(capacity);
        agree(tail, tail_of(&law, capacity), 1e-9).unwrap();
    }
}

#[test]
fn lots_cost_little() {
    let demand = law::log_normal(80.0, 600.0).unwrap();
    let crowd = Crowd::new(20_000, 0.3, &demand);
    for deviations in [-1.0, 0.0, 2.0, 3.7, 6.0] {
        let capacity = (crowd.mean() + deviations * crowd.deviation()) as u64;
        let exact = crowd.tail(capacity);
        for lot in [2, 4, 8] {
            let lots = crowd.in_lots(capacity, lot).unwrap();
            assert!(
                (lots.exceeds / exact.exceeds - 1.0).abs() < 1e-2,
                "{lots:?} {exact:?}"
            );
            let more = lots.excess / exact.excess - 1.0;
            assert!((-1e-8..1e-2).contains(&more), "{lots:?} {exact:?}");
        }
    }
}

#[test]
fn what_cannot_be_exceeded_is_not_and_what_must_be_is() {
    let demand = Demand::new(vec![0.0, 0.0, 1.0]).unwrap();
    let full = Crowd::new(10, 1.0, &demand);
    assert_eq!(full.tail(20).exceeds, 0.0);
    let tail = full.tail(19);
    assert!(
        (tail.exceeds - 1.0).abs() < 1e-9 && (tail.excess - 1.0).abs() < 1e-9,
        "{tail:?}"
    );
    let tail = full.tail(0);
    assert!(
        (tail.exceeds - 1.0).abs() < 1e-9 && (tail.excess - 20.0).abs() < 1e-9,
        "{tail:?}"
    );
    let rare = Crowd::new(1_000_000_000, 1e-9, &demand).tail(40);
    assert!(rare.exceeds < 1e-15, "{rare:?}");
}
