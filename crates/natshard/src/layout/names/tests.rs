use super::*;
use crate::config::PoolConfig;
use crate::fair::TenantShare;

const MOST: usize = u16::MAX as usize;

/// So many pools of `prefixes` prefixes each.
fn config(pools: usize, prefixes: usize) -> EngineConfig {
    let prefix = "192.0.2.0/32".parse().unwrap();
    let pool = |number| {
        let pool = PoolConfig::new(format!("pool {number}"));
        (0..prefixes).fold(pool, |pool, _| pool.prefix(prefix))
    };
    (0..pools).fold(EngineConfig::new(1), |config, number| {
        config.pool(pool(number))
    })
}

fn names(pools: usize, realms: usize) -> Names {
    let names = |count| {
        (0..count)
            .map(|number| format!("former {number}"))
            .collect()
    };
    Names {
        pools: names(pools),
        realms: names(realms),
        seats: Seats::default(),
    }
}

/// What there is too much of: with so many more of it than there may be.
fn over(names: &Names, config: &EngineConfig, spaces: usize) -> Vec<(&'static str, usize)> {
    let Err(error) = names.check(config, spaces) else {
        return Vec::new();
    };
    let faults = error.faults.into_iter().map(|fault| match fault {
        ConfigFault::TooMany { what, count, limit } => (what, count - limit),
        other => panic!("{other}"),
    });
    faults.collect()
}

#[test]
fn pools_realms_and_windows_suffice_for_what_there_was_and_what_comes() {
    let pools = "pools over the life of the engine";
    let realms = "realms over the life of the engine";
    let windows = "address windows over the life of the engine";
    assert_eq!(over(&names(MOST - 3, 0), &config(3, 1), 0), []);
    assert_eq!(over(&names(MOST - 2, 0), &config(3, 1), 0), [(pools, 1)]);
    assert_eq!(over(&names(0, MOST - 3), &config(3, 1), 0), []);
    assert_eq!(over(&names(0, MOST - 2), &config(3, 1), 0), [(realms, 1)]);
    // Each prefix may be a window of each protocol.
    assert_eq!(over(&names(0, 0), &config(3, 2), MOST - 18), []);
    let too_many = over(&names(0, 0), &config(3, 2), MOST - 17);
    assert_eq!(too_many, [(windows, 1)]);
    let all = over(&names(MOST, MOST), &config(1, 1), MOST);
    assert_eq!(all, [(pools, 1), (realms, 1), (windows, 3)]);
}

#[test]
fn tenants_of_a_pool_are_counted_with_those_it_had() {
    let most = fair::check::MAX_TENANTS;
    let tenants = |range: std::ops::Range<usize>| {
        let shares = range.map(|number| TenantShare::new(number as u32));
        let pool = PoolConfig::new("p").prefix("192.0.2.0/32".parse().unwrap());
        shares.fold(pool, PoolConfig::tenant)
    };
    let mut names = names(2, 0);
    names.pools.push("p".into());
    let id = PoolId(2);
    let former = tenants(0..most - 1);
    assert!(fair::Sharing::of(&former, id, &mut names.seats).is_some());
    let config = |range| EngineConfig::new(1).pool(tenants(range));
    // One of them anew, and one more.
    assert_eq!(over(&names, &config(most - 2..most), 0), []);
    let what = "tenants of one pool over the life of the engine";
    assert_eq!(over(&names, &config(most - 2..most + 1), 0), [(what, 1)]);
    // Another pool's tenants are others.
    names.pools[2] = "q".into();
    assert_eq!(over(&names, &config(most - 2..most + 1), 0), []);
}

#[test]
fn a_name_has_one_number() {
    let mut names = Vec::new();
    let numbers = ["a", "b", "a", "c", "b"].map(|name| number(&mut names, name));
    assert_eq!(numbers, [0, 1, 0, 2, 1]);
}
