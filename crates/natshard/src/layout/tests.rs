//! What a layout keeps of the one before.

use super::*;

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name).prefix(prefix.parse().unwrap())
}

fn config(pools: &[PoolConfig]) -> EngineConfig {
    let pools = pools.iter().cloned();
    pools.fold(EngineConfig::new(1), EngineConfig::pool)
}

fn is_among(region: &Arc<Region>, regions: &[Arc<Region>]) -> bool {
    regions.iter().any(|other| Arc::ptr_eq(other, region))
}

#[test]
fn regions_that_stay_as_they_were_are_kept() {
    let (p, q) = (pool("p", "192.0.2.0/29"), pool("q", "198.51.100.0/29"));
    let mut names = Names::default();
    let first = Layout::build(config(&[p.clone(), q.clone()]), &mut names, None);
    // One for each protocol: identifiers have blocks of their own.
    assert_eq!((first.version, first.regions.len()), (1, 6));
    let second = Layout::build(config(&[q.clone(), p.clone()]), &mut names, Some(&first));
    assert_eq!((second.version, second.regions.len()), (2, 6));
    assert!(second.regions.iter().all(|it| is_among(it, &first.regions)));
    assert!(second.retired.is_empty());
    for name in ["p", "q"] {
        assert_eq!(second.pool_named(name), first.pool_named(name));
    }
    // One goes: it is retired, at first whatever is open there.
    let third = Layout::build(config(std::slice::from_ref(&q)), &mut names, Some(&second));
    assert_eq!((third.regions.len(), third.retired.len()), (3, 3));
    assert!(third.regions.iter().all(|it| is_among(it, &first.regions)));
    assert!(third.retired.iter().all(|it| is_among(it, &first.regions)));
    // Later, as long as something is.
    third.retired[1].open.add(1);
    let fourth = Layout::build(config(std::slice::from_ref(&q)), &mut names, Some(&third));
    assert!(Arc::ptr_eq(&fourth.retired[0], &third.retired[1]));
    assert_eq!(fourth.retired.len(), 1);
    // And it comes back as it was.
    let fifth = Layout::build(config(&[p, q]), &mut names, Some(&fourth));
    assert!(is_among(&fourth.retired[0], &fifth.regions));
    assert_eq!((fifth.regions.len(), fifth.retired.len()), (6, 0));
}

#[test]
fn a_region_is_another_where_its_pools_or_addresses_are() {
    let mut names = Names::default();
    let p = pool("p", "192.0.2.0/29");
    let first = Layout::build(config(std::slice::from_ref(&p)), &mut names, None);
    for other in [
        pool("p", "192.0.2.0/30"),
        p.clone().realm("elsewhere"),
        p.clone().exclude_ports(2000..=2000),
        pool("q", "192.0.2.0/29"),
    ] {
        let second = Layout::build(
            config(std::slice::from_ref(&other)),
            &mut names,
            Some(&first),
        );
        let kept = second
            .regions
            .iter()
            .filter(|it| is_among(it, &first.regions));
        // Identifiers are not excluded with ports.
        let same = usize::from(other.exclusions != p.exclusions);
        assert_eq!(kept.count(), same, "{other:?}");
        assert_eq!(second.retired.len(), 3 - same);
    }
}

#[test]
fn an_address_is_of_the_class_of_its_range() {
    let gap = pool("p", "192.0.2.0/31").prefix("192.0.2.4/31".parse().unwrap());
    let layout = Layout::build(config(&[gap]), &mut Names::default(), None);
    let (window, low, _) = keys(&"192.0.2.0/32".parse().unwrap());
    let realm = layout.realm_named("default").unwrap();
    let space = layout.find_space(realm, Protocol::Udp, window).unwrap().id;
    let has = |offset: u32| layout.class(space, low.wrapping_add(offset)).is_some();
    let held: Vec<_> = (0..8).map(has).collect();
    assert_eq!(held, [true, true, false, false, true, true, false, false]);
    assert!(!has(u32::MAX));
    let class = layout.class(space, low).unwrap();
    assert_eq!(class.addresses, 4);
    let pool = layout.pool_named("p").unwrap();
    assert_eq!(class.mask(pool, 4), Mask::FULL);
    assert_eq!(class.mask(pool, 3), Mask::EMPTY);
    assert_eq!(class.mask(PoolId(7), 4), Mask::EMPTY);
}
