//! Faults of the policies towards subscribers and tenants: each is found, and each says what to do.

use natshard::{
    ConfigFault, Deterministic, Engine, EngineConfig, PoolConfig, PortBlocks, Protocol,
    TenantShare, Threshold,
};

fn pool(name: &str, prefix: &str) -> PoolConfig {
    PoolConfig::new(name).prefix(prefix.parse().unwrap())
}

fn faults(pools: &[PoolConfig]) -> Vec<ConfigFault> {
    let config = pools
        .iter()
        .cloned()
        .fold(EngineConfig::new(1), EngineConfig::pool);
    Engine::new(config).map_or_else(|error| error.faults().to_vec(), |_| vec![])
}

#[track_caller]
fn assert_told(pools: &[PoolConfig], expected: &[&str]) {
    let told: Vec<String> = faults(pools).iter().map(ToString::to_string).collect();
    assert_eq!(told, expected);
}

#[test]
fn each_fault_of_a_tenants_share_is_told() {
    let narrow = pool("p", "203.0.113.0/31")
        .ports(1024..=2047)
        .tenant(TenantShare::new(7).minimum(5).maximum(4))
        .tenant(TenantShare::new(7))
        .tenant(TenantShare::new(8).minimum(2))
        .headroom(2)
        .threshold(Threshold::new(80, 80));
    assert_told(
        &[narrow],
        &[
            "pool `p`: tenant 7 is guaranteed 5 blocks and may have 4: the minimum must not be \
             larger than the maximum",
            "pool `p`: tenant 7 is named twice: give it one share",
            "pool `p`: threshold raised at 80 % and cleared at 80 %: raise at 1 to 100, and clear \
             below that",
            "pool `p`: 9 blocks are guaranteed (minima of tenants and headroom), and it has 8 \
             blocks of tcp: add addresses, or guarantee less",
        ],
    );
}

#[test]
fn guarantees_up_to_the_last_block_are_no_fault() {
    let full = pool("p", "203.0.113.0/31")
        .ports(1000..=1300)
        .identifiers(0..=700)
        .exclude("203.0.113.1".parse().unwrap(), 1024..=1279)
        .tenant(TenantShare::new(1).minimum(4));
    // Blocks 3, 4 and 5 of one address, 3 and 5 of the other: five of TCP. Six of ICMP.
    assert_eq!(faults(&[full.clone().headroom(1)]), []);
    assert_told(
        &[full.headroom(2)],
        &[
            "pool `p`: 6 blocks are guaranteed (minima of tenants and headroom), and it has 5 \
             blocks of tcp: add addresses, or guarantee less",
        ],
    );
}

#[test]
fn too_many_tenants_are_told() {
    let many = |count: u32| {
        (0..count).fold(pool("p", "203.0.113.0/24"), |pool, tenant| {
            pool.tenant(TenantShare::new(tenant))
        })
    };
    assert_eq!(faults(&[many(250)]), []);
    assert!(matches!(
        faults(&[many(251)])[..],
        [ConfigFault::TooMany {
            count: 251,
            limit: 250,
            ..
        }]
    ));
}

#[test]
fn each_fault_of_port_blocks_is_told() {
    let blocks = PortBlocks::new(100)
        .per_subscriber(17)
        .of_protocol(Protocol::Icmp, 0);
    assert_told(
        &[pool("p", "203.0.113.0/31").port_blocks(blocks)],
        &[
            "pool `p`: port blocks of 100 ports: give 64, 128 or 256",
            "pool `p`: 17 port blocks for each subscriber: give 1 to 16",
            "pool `p`: 0 port blocks for each subscriber in ICMP: give 1 to 16",
        ],
    );
    for size in [64, 128, 256] {
        let sound = PortBlocks::new(size).per_subscriber(16);
        assert_eq!(
            faults(&[pool("p", "203.0.113.0/31").port_blocks(sound)]),
            []
        );
    }
}

#[test]
fn a_pool_that_must_have_its_blocks_to_itself_may_not_share_them() {
    let plain = pool("plain", "203.0.113.4/30");
    let wide = || pool("p", "203.0.113.0/28");
    for (what, exclusive) in [
        ("tenants", wide().tenant(TenantShare::new(1))),
        ("headroom", wide().headroom(1)),
        ("a threshold", wide().threshold(Threshold::new(90, 80))),
        ("port blocks", wide().port_blocks(PortBlocks::new(256))),
        (
            "deterministic ranges",
            wide().deterministic(Deterministic::new(16, 1024)),
        ),
    ] {
        let told: Vec<String> = faults(&[plain.clone(), exclusive.clone()])
            .iter()
            .map(ToString::to_string)
            .collect();
        let expected = |protocol: &str, ports: &str| {
            format!(
                "pool `p` has {what} and shares {protocol} block {ports} of 203.0.113.4 with pool \
                 `plain`: give them disjoint prefixes, or ranges of ports and of identifiers that \
                 meet at a multiple of 256"
            )
        };
        let both = [expected("tcp", "1024-1279"), expected("icmp", "0-255")];
        assert_eq!(told, both);
        // In another realm, or beside each other, they may stand.
        let apart = plain.clone().realm("elsewhere");
        assert_eq!(faults(&[apart, exclusive.clone()]), []);
        let beside = pool("plain", "203.0.113.16/30");
        assert_eq!(faults(&[beside, exclusive]), []);
    }
    assert_eq!(faults(&[plain.clone(), wide()]), []);
}

#[test]
fn ranges_of_ports_that_meet_at_a_block_are_apart() {
    let lower = pool("a", "203.0.113.0/28")
        .ports(1024..=2047)
        .identifiers(0..=255)
        .tenant(TenantShare::new(1));
    let upper = |first: u16| {
        pool("b", "203.0.113.0/28")
            .ports(first..=65535)
            .identifiers(256..=65535)
    };
    assert_eq!(faults(&[lower.clone(), upper(2048)]), []);
    // Not one port in common, and yet a block.
    let cut = lower.clone().ports(1024..=2000);
    assert!(matches!(
        &faults(&[cut, upper(2001)])[..],
        [ConfigFault::SharedBlocks { ports, .. }] if *ports == (1792..=2047)
    ));
    // Nor does a third pool that shares nothing hide what two of them share.
    let third = pool("c", "203.0.113.128/28");
    let three = faults(&[lower.ports(1024..=2000), upper(2001), third]);
    assert!(matches!(&three[..], [ConfigFault::SharedBlocks { .. }]));
}
