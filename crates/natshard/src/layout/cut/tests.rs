use super::*;

const V4: Window = Window::V4;

fn net(text: &str) -> IpNet {
    text.parse().unwrap()
}

fn v4(text: &str) -> u32 {
    text.parse::<std::net::Ipv4Addr>().unwrap().to_bits()
}

fn window(text: &str) -> Window {
    keys(&net(text)).0
}

#[test]
fn keys_are_the_addresses_of_a_prefix_within_its_window() {
    let (low, high) = (v4("192.0.2.64"), v4("192.0.2.127"));
    assert_eq!(keys(&net("192.0.2.64/26")), (V4, low, high));
    assert_eq!(keys(&net("192.0.2.64/32")), (V4, low, low));
    assert_eq!(keys(&net("0.0.0.0/0")), (V4, 0, u32::MAX));
    let here = window("2001:db8::/96");
    assert_eq!(
        keys(&net("2001:db8::1:0/112")),
        (here, 1 << 16, (1 << 17) - 1)
    );
    assert_eq!(keys(&net("2001:db8::5/128")), (here, 5, 5));
    assert_eq!(keys(&net("2001:db8::/96")), (here, 0, u32::MAX));
    // Of a wider prefix there is one window, its first.
    assert_eq!(keys(&net("2001:db8::/64")), (here, 0, u32::MAX));
    assert_ne!(window("2001:db8:0:0:0:1::/96"), here);
}

#[test]
fn an_exclusion_reaches_into_its_own_window_only() {
    let (here, next) = (window("2001:db8::/96"), window("2001:db8:0:0:0:1::/96"));
    assert_eq!(clip(&net("2001:db8::/64"), here), Some((0, u32::MAX)));
    assert_eq!(clip(&net("2001:db8::/64"), next), Some((0, u32::MAX)));
    assert_eq!(clip(&net("2001:db8::7/128"), here), Some((7, 7)));
    assert_eq!(clip(&net("2001:db8::7/128"), next), None);
    assert_eq!(clip(&net("2001:db8::/127"), here), Some((0, 1)));
    let last = net("2001:db8::ffff:ffff/128");
    assert_eq!(clip(&last, here), Some((u32::MAX, u32::MAX)));
    assert_eq!(clip(&last, next), None);
    let first = net("2001:db8:0:0:0:1::/128");
    assert_eq!(clip(&first, next), Some((0, 0)));
    assert_eq!(clip(&first, here), None);
    let ours = net("192.0.2.8/29");
    let keys = (v4("192.0.2.8"), v4("192.0.2.15"));
    assert_eq!(clip(&ours, V4), Some(keys));
    assert_eq!(clip(&ours, here), None);
    assert_eq!(clip(&net("2001:db8::/96"), V4), None);
}

/// First and last address, and which pools have how many ports there.
type Atom = (u32, u32, Vec<(u16, u64)>);

fn atoms(pools: &[PoolConfig], protocol: Protocol) -> Vec<Atom> {
    let numbered: Vec<_> = (0..).map(PoolId).zip(pools).collect();
    let atoms = cut(&numbered, protocol, V4, &mut PortSets::default());
    let base = v4("192.0.2.0");
    let seen = atoms.into_iter().map(|(low, high, shares)| {
        let shares = shares.iter().map(|it| (it.pool.0, it.lease.len()));
        (low - base, high - base, shares.collect())
    });
    seen.collect()
}

fn pool(prefixes: &[&str]) -> PoolConfig {
    let pool = PoolConfig::new("p").ports(1024..=1123);
    prefixes.iter().fold(pool, |pool, it| pool.prefix(net(it)))
}

#[test]
fn a_space_is_cut_where_pools_and_exclusions_begin_and_end() {
    let plain = pool(&["192.0.2.0/29"]);
    let udp = Protocol::Udp;
    let one = atoms(std::slice::from_ref(&plain), udp);
    assert_eq!(one, [(0, 7, vec![(0, 100)])]);
    // Side by side they are one; with a gap they are two.
    let halves = pool(&["192.0.2.4/30", "192.0.2.0/30"]);
    assert_eq!(atoms(&[halves], udp), [(0, 7, vec![(0, 100)])]);
    let apart = pool(&["192.0.2.0/30", "192.0.2.8/30"]);
    let expected = [(0, 3, vec![(0, 100)]), (8, 11, vec![(0, 100)])];
    assert_eq!(atoms(&[apart], udp), expected);
    // Another pool's, inside.
    let inner = pool(&["192.0.2.2/31"]);
    let both = vec![(0, 100), (1, 100)];
    let expected = [(0, 1, vec![(0, 100)]), (2, 3, both), (4, 7, vec![(0, 100)])];
    assert_eq!(atoms(&[plain.clone(), inner], udp), expected);
    // Ports of one address, which are no identifiers.
    let address = "192.0.2.5".parse().unwrap();
    let without = plain.clone().exclude(address, 1024..=1033);
    let expected = [
        (0, 4, vec![(0, 100)]),
        (5, 5, vec![(0, 90)]),
        (6, 7, vec![(0, 100)]),
    ];
    assert_eq!(atoms(std::slice::from_ref(&without), udp), expected);
    let identifiers = without.identifiers(0..=9);
    let expected = [(0, 7, vec![(0, 10)])];
    assert_eq!(atoms(&[identifiers], Protocol::Icmp), expected);
    // All of an address, and some ports of all.
    let gone = plain.exclude_addresses(net("192.0.2.6/31"));
    let expected = [(0, 5, vec![(0, 95)]), (6, 7, vec![(0, 0)])];
    assert_eq!(atoms(&[gone.exclude_ports(1100..=1104)], udp), expected);
}

#[test]
fn blocks_are_grouped_by_who_may_lease_from_them() {
    let pools = [
        pool(&["192.0.2.0/32"]).ports(256..=1023),
        pool(&["192.0.2.0/32"]).ports(512..=1535),
    ];
    let numbered: Vec<_> = (0..).map(PoolId).zip(&pools).collect();
    let atoms = cut(&numbered, Protocol::Udp, V4, &mut PortSets::default());
    let groups = group_blocks(&atoms[0].2);
    let seen = groups.iter().map(|(blocks, sharers)| {
        let pools = sharers.iter().map(|(pool, _)| pool.0).collect();
        (blocks.iter().collect(), pools)
    });
    let expected: [(Vec<usize>, Vec<u16>); 3] = [
        (vec![1], vec![0]),
        (vec![2, 3], vec![0, 1]),
        (vec![4, 5], vec![1]),
    ];
    let mut seen: Vec<_> = seen.collect();
    seen.sort();
    assert_eq!(seen, expected);
}
