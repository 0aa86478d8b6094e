use super::*;
use std::collections::BTreeSet;

#[test]
fn a_tree_finds_what_a_set_finds() {
    let tree = HintTree::default();
    let mut model = BTreeSet::new();
    let mut random = 1u64;
    for _ in 0..20_000 {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        let spread = [64, 4096, 1 << 18][(random >> 20) as usize % 3];
        let position = (random >> 33) as usize % spread;
        if random >> 63 == 0 {
            tree.set(Hint::RIPE, position);
            model.insert(position);
        } else {
            tree.clear(Hint::RIPE, position);
            model.remove(&position);
        }
        let from = (random >> 13) as usize % spread;
        assert_eq!(
            tree.next(Hint::RIPE, from),
            model.range(from..).next().copied()
        );
    }
    assert_eq!(tree.next(Hint::HALF, 0), None, "kinds are apart");
}

/// Sets of blocks, some thin, some thick, one empty and one full.
fn sets() -> Vec<BlockSet> {
    let mut sets = vec![BlockSet::default(), BlockSet([u64::MAX; BLOCK_WORDS])];
    let mut random = 7u64;
    for round in 0..300 {
        let mut set = BlockSet::default();
        for word in &mut set.0 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            *word = match round % 3 {
                0 => random & (random >> 31) & (random << 17),
                1 => random,
                _ => random | (random >> 31) | (random << 17),
            };
        }
        sets.push(set);
    }
    sets
}

#[test]
fn block_sets_are_as_sets_of_numbers() {
    let model = |set: &BlockSet| -> BTreeSet<usize> {
        let bit = |block: usize| set.0[block / 64] >> (block % 64) & 1 == 1;
        (0..BLOCKS).filter(|&block| bit(block)).collect()
    };
    let mut before = BlockSet::default();
    for (round, set) in sets().into_iter().enumerate() {
        let (blocks, others) = (model(&set), model(&before));
        assert!(set.iter().eq(blocks.iter().copied()));
        assert!((0..BLOCKS).all(|block| set.contains(block) == blocks.contains(&block)));
        assert_eq!(
            (set.len(), set.is_empty()),
            (blocks.len(), blocks.is_empty())
        );
        assert_eq!(model(&set.and(&before)), &blocks & &others);
        assert_eq!(model(&set.or(&before)), &blocks | &others);
        assert_eq!(model(&set.without(&before)), &blocks - &others);
        let start = round * 37 % BLOCKS;
        assert!(
            set.at_least(start)
                .iter()
                .eq(blocks.range(start..).copied())
        );
        let turned = blocks.range(start..).chain(blocks.range(..start));
        assert!(set.iter_from(start).eq(turned.copied()));
        let mut inserted = BlockSet::default();
        for &block in blocks.iter().rev().chain(&blocks) {
            inserted.insert(block);
        }
        assert_eq!(inserted, set);
        before = set;
    }
    for start in 0..=BLOCKS {
        let full = BlockSet([u64::MAX; BLOCK_WORDS]);
        assert!(full.at_least(start).iter().eq(start..BLOCKS));
    }
}

/// The hints of each kind, in the order of their words.
fn kinds() -> impl Iterator<Item = Hint> {
    let resting = (0..BUCKETS as u64).map(Hint::resting);
    [Hint::FREE, Hint::HALF, Hint::RIPE, Hint::CLOSABLE]
        .into_iter()
        .chain(resting)
}

#[test]
fn every_kind_of_hint_has_a_word_of_its_own() {
    assert!(kinds().map(Hint::index).eq(0..KINDS));
    assert_eq!(Hint::resting(BUCKETS as u64 + 3), Hint::resting(3));
    for hint in kinds() {
        let common = [Hint::FREE, Hint::CLOSABLE].contains(&hint);
        assert_eq!(hint.is_common(), common, "{hint:?}");
    }
}

#[test]
fn a_page_remembers_the_hints_of_each_block_apart() {
    let hints = PageHints::all_free();
    let mut model = vec![BlockSet::default(); KINDS];
    model[Hint::FREE.index()] = BlockSet([u64::MAX; BLOCK_WORDS]);
    let check = |hints: &PageHints, model: &[BlockSet]| {
        for (hint, expected) in kinds().zip(model) {
            assert_eq!(hints.get(hint), *expected, "{hint:?}");
        }
    };
    check(&hints, &model);
    for block in 0..BLOCKS {
        let (on, off) = (Hint::resting(block as u64), Hint::FREE);
        assert!(!hints.contains(on, block) && hints.contains(off, block));
        for _ in 0..2 {
            hints.set(on, block);
            hints.clear(off, block);
        }
        assert!(hints.contains(on, block) && !hints.contains(off, block));
        model[on.index()].insert(block);
        let mut gone = BlockSet::default();
        gone.insert(block);
        model[off.index()] = model[off.index()].without(&gone);
        check(&hints, &model);
    }
    for pair in sets().windows(2) {
        hints.set_all(Hint::RIPE, &pair[0]);
        hints.clear_all(Hint::RIPE, &pair[1]);
        let ripe = &mut model[Hint::RIPE.index()];
        *ripe = ripe.or(&pair[0]).without(&pair[1]);
        check(&hints, &model);
    }
}

#[test]
fn summaries_go_with_the_last_hint_below_them() {
    let tree = HintTree::default();
    let summary = |level: usize| {
        let rack = tree.levels[level].get(0);
        rack.map_or(0, |rack| rack.0[Hint::RIPE.index()].get())
    };
    tree.set(Hint::RIPE, 0);
    tree.set(Hint::RIPE, 1);
    tree.set(Hint::RIPE, 64);
    assert_eq!([summary(1), summary(2), summary(3)], [0b11, 1, 1]);
    tree.clear(Hint::RIPE, 0);
    assert_eq!(summary(1), 0b11, "one is left in the group");
    tree.clear(Hint::RIPE, 1);
    assert_eq!([summary(1), summary(2)], [0b10, 1]);
    tree.clear(Hint::RIPE, 64);
    assert_eq!([summary(1), summary(2), summary(3)], [0, 0, 0]);
}

#[test]
fn rested_buckets_leave_out_exactly_those_still_resting() {
    for now in 0..17 {
        let due = Hint::due(now, 17);
        assert!(Hint::rested(now, 17, now).any(|hint| hint == due), "{now}");
    }
    for now in [17u64, 32, 100, 1_000_003] {
        let kept: Vec<_> = Hint::rested(now, 17, now).collect();
        for age in 0..17 {
            assert!(!kept.contains(&Hint::resting(now - age)));
        }
        assert!(kept.contains(&Hint::due(now, 17)));
        assert_eq!(kept.len(), BUCKETS - 17);
        assert_eq!(
            Hint::rested(now + 15, 17, now).count(),
            BUCKETS,
            "unswept: all"
        );
        assert_eq!(Hint::rested(now + 14, 17, now).count(), BUCKETS - 17);
        assert_eq!(Hint::rested(now, 0, now).count(), BUCKETS, "no rest: all");
    }
}

#[test]
fn a_search_ends_with_the_last_group_that_was_hinted_at() {
    let tree = HintTree::default();
    for (position, last) in [(63, 0), (64, 1), (700, 10), (3, 10), (4096, 64)] {
        tree.set(Hint::RIPE, position);
        assert_eq!(tree.last.get(), last);
    }
    assert_eq!(tree.next(Hint::RIPE, 701), Some(4096));
    assert_eq!(tree.next(Hint::RIPE, 4097), None);
    assert_eq!(tree.next(Hint::RIPE, HintTree::CAPACITY - 1), None);
}

/// Whoever clears the last hint of a group clears its summary a little later, and whoever searches
/// may come in between.
#[test]
fn a_search_goes_on_behind_a_group_that_is_empty() {
    let tree = HintTree::default();
    for position in [64, 4096, 8192 + 64 * 3 + 5] {
        tree.set(Hint::RIPE, position);
    }
    for group in [1, 64] {
        let rack = tree.levels[0].get(group).unwrap();
        rack.0[Hint::RIPE.index()].set(0);
    }
    assert_eq!(tree.next(Hint::RIPE, 0), Some(8192 + 64 * 3 + 5));
}

/// The same, and whoever sets a hint in between finds the summary still set, and leaves it so.
#[test]
fn a_summary_stays_where_a_hint_was_set_meanwhile() {
    for others in [None, Some(64 * 70)] {
        let tree = HintTree::default();
        tree.set(Hint::RIPE, 64 * 67 + 9);
        if let Some(position) = others {
            tree.set(Hint::RIPE, position);
        }
        let rack = tree.levels[0].get(67).unwrap();
        tree.clear_above(Hint::RIPE, 64 * 67 + 3, &rack.0[Hint::RIPE.index()]);
        assert_eq!(tree.next(Hint::RIPE, 0), Some(64 * 67 + 9));
    }
}

#[test]
fn what_room_was_made_for_takes_no_memory_later() {
    let tree = HintTree::default();
    let racks = |position: usize| {
        let groups = (1..=LEVELS as u32).map(|level| position / 64usize.pow(level));
        let racks = tree.levels.iter().zip(groups);
        racks
            .map(|(racks, group)| racks.get(group).is_some())
            .collect::<Vec<_>>()
    };
    assert_eq!(racks(300_000), [false; LEVELS]);
    tree.make_room(300_000);
    assert_eq!(racks(300_000), [true; LEVELS]);
    assert_eq!(racks(0), [false, false, false, true], "no more than that");
}
