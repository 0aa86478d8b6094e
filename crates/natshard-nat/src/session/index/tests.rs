//! The index against a set, while it grows and under churn.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

/// Hashes that collide as often as wanted: the values of a group have the same.
fn spread(value: u32, groups: u32) -> u32 {
    (value % groups).wrapping_mul(0x9e37_79b9)
}

fn check(index: &Index, values: &BTreeSet<u32>, groups: u32) {
    assert_eq!(index.len(), values.len());
    let (all, behind) = index.all();
    assert!(all.iter().eq(values));
    assert_eq!(index.nodes.len(), behind);
    for value in values {
        let hash = spread(*value, groups);
        assert_eq!(index.find(hash, |it| it == *value), Some(*value));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Against a set, with few groups of equal hashes and with many, growing meanwhile.
    #[test]
    fn agrees_with_a_set(
        steps in prop::collection::vec((0u32..1500, any::<bool>()), 1..2000),
        groups in prop_oneof![1u32..4, 50u32..100, Just(u32::MAX)],
    ) {
        let rehash = |value| spread(value, groups);
        let mut index = Index::with_capacity(0);
        let mut values = BTreeSet::new();
        for (step, (value, insert)) in steps.into_iter().enumerate() {
            if insert || !values.contains(&value) {
                if values.insert(value) {
                    index.insert(rehash(value), value, rehash);
                }
            } else {
                values.remove(&value);
                prop_assert!(index.remove(rehash(value), value));
                prop_assert!(!index.remove(rehash(value), value));
            }
            if step % 256 == 0 {
                check(&index, &values, groups);
            }
        }
        check(&index, &values, groups);
    }
}

#[test]
fn a_large_index_grows_in_small_steps_and_frees_what_it_leaves() {
    let rehash = |value: u32| spread(value, u32::MAX);
    let mut index = Index::with_capacity(0);
    let there = |buckets: &Buckets| -> usize { buckets.chunks.iter().map(|it| it.len()).sum() };
    let (mut grown, mut most) = (0, 0.0_f64);
    for value in 0..400_000 {
        let before = index.buckets.count;
        index.insert(rehash(value), value, rehash);
        grown += usize::from(index.buckets.count != before);
        if value > 100_000 {
            let bytes = 64 * (there(&index.old) + there(&index.buckets));
            most = most.max(bytes as f64 / f64::from(value));
        }
        assert!(index.old.count == 0 || index.front <= index.old.count);
    }
    assert!(grown > 20);
    // 64 bytes for FULL entries, or for 2/3 of that when it has just grown, and two chunks
    // at the front.
    assert!(most < 64.0 / 10.0 * 1.5 * 1.1, "{most} bytes per entry");
    for value in 0..400_000 {
        assert_eq!(index.find(rehash(value), |it| it == value), Some(value));
    }
    assert_eq!(index.find(rehash(400_000), |it| it == 400_000), None);
}

/// What going on to the next bucket would not stand.
#[test]
fn churn_leaves_no_more_behind_than_the_load_does() {
    let rehash = |value: u32| spread(value, u32::MAX).rotate_left(16) ^ value;
    let rehash = |value: u32| rehash(value).wrapping_mul(0x85eb_ca6b);
    let mut index = Index::with_capacity(50_000);
    (0..50_000).for_each(|value| index.insert(rehash(value), value, rehash));
    for value in 50_000..500_000 {
        assert!(index.remove(rehash(value - 50_000), value - 50_000));
        index.insert(rehash(value), value, rehash);
    }
    let (values, behind) = index.all();
    assert_eq!(values.len(), 50_000);
    // Of ten on the average, half a one is more than twelve.
    assert!((1_000..4_000).contains(&behind), "{behind}");
}

#[test]
fn an_index_with_room_from_the_beginning_never_moves() {
    let rehash = |value: u32| spread(value, u32::MAX);
    let mut index = Index::with_capacity(10_000);
    for value in 0..10_000 {
        index.insert(rehash(value), value, |_| unreachable!("nothing is moved"));
    }
    assert!(index.old.count == 0);
}
