//! What is said about limits, port sets, ranges and shares.

use natshard::{
    Deterministic, EngineConfig, PoolConfig, PortBlocks, Protocol, Strictness, SubscriberLimit,
    TenantShare, Threshold,
};
use natshard_nat::{NatPort, NatTuple, Numbering, Share, VpcId};

use super::{DETERMINISTIC, POOL, PORT_SETS, TENANTS, assert_said, understand};

fn net(text: &str) -> ipnet::IpNet {
    text.parse().unwrap()
}

#[test]
fn port_sets_and_quotas_arrive() {
    let loaded = understand(PORT_SETS).unwrap();
    assert_eq!(loaded.warnings(), []);
    assert_eq!(
        loaded.engine(None, None),
        EngineConfig::new(1)
            .max_subscribers(1_000_000)
            .pool(
                PoolConfig::new("subscribers")
                    .prefix(net("203.0.113.0/26"))
                    .pairing(Strictness::Preferred)
                    .port_blocks(
                        PortBlocks::new(128)
                            .per_subscriber(8)
                            .of_protocol(Protocol::Icmp, 2)
                    )
                    .subscriber_limit(SubscriberLimit::new().total(600))
                    .threshold(Threshold::new(90, 75))
            )
            .pool(
                PoolConfig::new("subscribers-v6")
                    .prefix(net("2001:db8:ffff::/112"))
                    .subscriber_limit(
                        SubscriberLimit::new()
                            .ports(Protocol::Tcp, 1000)
                            .ports(Protocol::Udp, 1000)
                            .ports(Protocol::Icmp, 64)
                    )
            )
    );
    let masks = loaded.nat().pools().iter().map(|it| it.numbering().clone());
    let hosts = |mask_v6| Numbering::Hosts { mask_v6 };
    assert_eq!(masks.collect::<Vec<_>>(), [hosts(64), hosts(56)]);
}

#[test]
fn deterministic_ranges_arrive() {
    let loaded = understand(DETERMINISTIC).unwrap();
    assert_eq!(loaded.warnings(), []);
    let pool = &loaded.nat().pools()[0];
    assert_eq!(
        *pool.as_engine(),
        PoolConfig::new("computed")
            .prefix(net("203.0.113.0/28"))
            .deterministic(Deterministic::new(768, 1008))
            .port_blocks(PortBlocks::new(64).per_subscriber(2))
    );
    let subscriber = pool.subscriber(VpcId::new(1), "10.0.0.11".parse().unwrap());
    assert_eq!(subscriber.map(|it| it.number()), Some(256 + 11));
    let map = pool.as_engine().deterministic_map().unwrap();
    assert_eq!(map.subscribers_per_address(), 48);
    assert_eq!(map.overflow(Protocol::Tcp), 49_408..=65_535);
}

#[test]
fn shares_arrive_in_pools_and_rules() {
    let loaded = understand(TENANTS).unwrap();
    assert_eq!(loaded.warnings(), []);
    assert_eq!(
        *loaded.nat().pools()[0].as_engine(),
        PoolConfig::new("shared")
            .prefix(net("203.0.113.0/29"))
            .headroom(16)
            .tenant(TenantShare::new(7).minimum(1000))
            .tenant(TenantShare::new(8).minimum(100).maximum(500))
    );
    let share = |vpc, source: &str| {
        let tuple = NatTuple {
            source_vpc: VpcId::new(vpc),
            destination_vpc: VpcId::new(3),
            source: source.parse().unwrap(),
            destination: "192.0.2.1".parse().unwrap(),
            protocol: Protocol::Udp,
            source_port: NatPort::new(5000),
            destination_port: NatPort::new(53),
        };
        loaded.nat().select(&tuple).share
    };
    let of = |tenant, control| Share {
        tenant: Some(tenant),
        control,
    };
    assert_eq!(share(1, "10.0.0.1"), of(7, false));
    assert_eq!(share(2, "192.168.0.1"), of(8, false));
    // The rule says what is its own; the rest is the peering's.
    assert_eq!(share(2, "100.64.2.1"), of(8, true));
}

#[test]
fn policies_are_told_as_json_and_none_as_null() {
    let json = understand(PORT_SETS).unwrap().to_json();
    let policies = &json["pools"][0]["policies"];
    assert_eq!(policies["port_set"]["port_set_size"], 128);
    assert_eq!(policies["port_set"]["icmp"], 2);
    assert_eq!(policies["port_quota"]["total"], 600);
    assert_eq!(policies["pairing"], "preferred");
    assert_eq!(policies["notify_pool_usage"]["low_threshold"], 75);
    assert_eq!(json["pools"][1]["policies"]["subscriber_mask_v6"], 56);
    let json = understand(TENANTS).unwrap().to_json();
    let tenants = &json["pools"][0]["policies"]["tenants"];
    assert_eq!(tenants[0]["maximum"], serde_json::Value::Null);
    assert_eq!(tenants[1]["name"], "silver");
    let json = understand(DETERMINISTIC).unwrap().to_json();
    assert_eq!(
        json["pools"][0]["policies"]["deterministic"]["subscribers"],
        768
    );
    let json = understand(POOL).unwrap().to_json();
    assert_eq!(json["pools"][0]["policies"], serde_json::Value::Null);
}

/// A pool with these lines; they begin at line 4.
fn pool(lines: &str) -> String {
    format!("{POOL}{lines}\n")
}

#[test]
fn values_that_cannot_be() {
    assert_said(
        &pool(
            "port-quota = { tcp = 40000, total = 0, udb = 1 }\n\
             port-set = { port-set-size = 100, per-subscriber = 17, tcp = 0 }\n\
             pairing = \"strickt\"\nsubscriber-mask-v6 = 65\nheadroom = -1\n\
             notify-pool-usage = { high-threshold = 101 }",
        ),
        &[
            "error 4:22 `tcp` is out of range: 40000 | give 0 to 32767",
            "error 4:37 `total` is out of range: 0 | give 1 to 98301",
            "error 4:40 unknown key `udb` in a port quota | a port quota takes `tcp`, `udp`, `icmp` or `total`",
            "error 5:30 a port set cannot have 100 ports | give 64, 128 or 256",
            "error 5:52 `per-subscriber` is out of range: 17 | give 1 to 16",
            "error 5:62 `tcp` is out of range: 0 | give 1 to 16",
            "error 6:11 `pairing` cannot be `strickt` | did you mean `\"strict\"`?",
            "error 7:22 `subscriber-mask-v6` is out of range: 65 | give 1 to 64",
            "error 8:12 `headroom` is out of range: -1 | give 0 to 4294967295",
            "error 9:40 `high-threshold` is out of range: 101 | give 1 to 100",
        ],
    );
    assert_said(
        &pool(
            "port-quota = {}\nport-set = { size = 64 }\n\
             deterministic = { inside = [\"10.0.0.0/24\"] }\n\
             notify-pool-usage = { high-threshold = 80, low-threshold = 80 }\n\
             [[external-ip-address-pool.tenant]]\nname = \"gold\"",
        ),
        &[
            "error 4:14 the quota limits nothing | give `tcp`, ... ",
            "error 5:12 a port set has no `port-set-size` | add `port-set-size = 64`",
            "error 5:14 unknown key `size` in a port set | did you mean `port-set-size`?",
            "error 6:17 `deterministic` has no `inside-prefixes` | ... ",
            "error 6:17 `deterministic` has no `ports` | add `ports = 1008`",
            "error 6:19 unknown key `inside` in `deterministic` | did you mean `inside-prefixes`?",
            "error 7:60 `low-threshold` of 80 % is not below `high-threshold` of 80 % | give less than 80",
            "error 8:1 a tenant has no `id` | add `id = 7`",
        ],
    );
    assert_said(
        &format!(
            "[nat]\nheadroom = 4\nlimit-subscribers = 4\n{}",
            pool("subscriber-limit = 4\ntenants = []")
        ),
        &[
            "error 2:1 unknown key `headroom` in `[nat]` | it belongs in `[[external-ip-address-pool]]`",
            "error 3:1 unknown key `limit-subscribers` in `[nat]` | it belongs in `[engine]`",
            "error 7:1 unknown key `subscriber-limit` in a pool | did you mean `port-quota`?",
            "error 8:1 unknown key `tenants` in a pool | did you mean `tenant`?",
        ],
    );
}

#[test]
fn keys_without_effect_are_warnings() {
    assert_said(
        &pool("subscriber-mask-v6 = 56"),
        &["warning 4:22 `subscriber-mask-v6` has no effect | ... "],
    );
    assert_said(
        &pool(
            "port-quota = { tcp = 1000 }\nport-set = { port-set-size = 64, tcp = 5 }\n\
             port-set-restrict = \"1000-65535\"",
        ),
        &[
            "warning 4:14 a quota of 1000 tcp ports is more than the port sets of a subscriber hold | ... ",
            "warning 5:12 port sets of 64 ports are cut at the edge of 1000-65535 | let `port-set-restrict` begin and end at a multiple of 64",
            "warning 5:40 5 port sets of tcp, where a subscriber has 4 in all | ... ",
        ],
    );
    assert_said(
        &pool("[[external-ip-address-pool.tenant]]\nid = 7\n[engine]\nseed = 1"),
        &["warning 5:6 no peering is of tenant 7 | add `tenant = 7` to a `[[peering]]` or ... "],
    );
    assert_said(
        &pool("headroom = 4"),
        &["warning 4:12 nobody may use this headroom | add `control = true` ... "],
    );
}

/// The pool of lines 1 to 3 with more, and a peering that begins at the line after them.
fn peered(pool: &str, peering: &str) -> String {
    format!(
        "{POOL}{pool}[[vpc]]\nname = \"a\"\ninside-prefixes = [\"10.0.0.0/24\", \"fd00::/64\"]\n\
         [[vpc]]\nname = \"b\"\n[[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"b\"\n\
         pools = \"internet\"\n{peering}"
    )
}

#[test]
fn ranges_must_be_those_of_the_sources_they_serve() {
    let ranges = |inside: &str| {
        peered(
            &format!("deterministic = {{ inside-prefixes = [{inside}], ports = 100 }}\n"),
            "",
        )
    };
    assert_said(&ranges("\"10.0.0.0/24\""), &[]);
    assert_said(
        &ranges("\"10.0.0.0/25\", \"10.0.0.64/26\""),
        &[
            "error 4:53 inside prefixes 10.0.0.0/25 and 10.0.0.64/26 overlap | drop the longer one of the two",
            "warning 7:20 some hosts of 10.0.0.0/24 have no range in pool `internet` | ... ",
        ],
    );
    assert_said(
        &ranges("\"192.168.0.0/24\""),
        &["warning 7:20 all hosts of 10.0.0.0/24 have no range in pool `internet` | ... "],
    );
    assert_said(
        &ranges("\"10.0.0.0/24\", \"fd00::/70\""),
        &[
            "error 4:17 deterministic pool `internet` has prefixes, inside or public, of IPv4 and of IPv6 | make a pool of each",
            "error 4:53 fd00::/70 is less than one subscriber | give 64 bits or fewer",
        ],
    );
    assert_said(
        &peered(
            "deterministic = { inside-prefixes = \"10.0.0.0/24\", ports = 99 }\npairing = \"strict\"\n\
             port-quota = { udp = 50 }\nport-set = { port-set-size = 64 }\n",
            "address-allocation-type = \"arbitrary\"\n",
        ),
        &[
            "warning 5:11 `pairing` has no effect | ... ",
            "warning 6:14 the quota of udp ports is less than the 99 computed for a subscriber | ... ",
            "warning 7:12 port sets of 64 ports are cut at the edge of 1584-65535 | ... begin at a multiple of 64",
            "warning 7:12 port sets of 64 ports are cut at the edge of 2608-65535 | ... begin at a multiple of 64",
            "warning 13:1 `address-allocation-type = \"arbitrary\"` has no effect | drop one of the two",
        ],
    );
}

#[test]
fn ranges_that_the_addresses_cannot_hold() {
    let ranges = |rest: &str| {
        peered(
            &format!("deterministic = {{ inside-prefixes = \"10.0.0.0/24\", {rest} }}\n"),
            "",
        )
    };
    // 256 subscribers over 16 addresses: 16 to an address, 64,512 ports.
    assert_said(
        &ranges("ports = 5000"),
        &[
            "error 4:60 256 subscribers with 5000 ports each, 12 to an address, need 22 addresses, and the pool has 16 | give at most 4032, or add addresses to `external-ip-pool`",
        ],
    );
    assert_said(&ranges("ports = 4032"), &[]);
    let narrow = ranges("ports = 5000").replace(
        "[[vpc]]\nname = \"a\"",
        "port-set-restrict = \"1024-4095\"\n[[vpc]]\nname = \"a\"",
    );
    assert_said(
        &narrow,
        &[
            "error 4:60 5000 ports for each subscriber are more than an address has | give at most 3072, ... ",
        ],
    );
    let excluded = ranges("ports = 100").replace(
        "[[vpc]]\nname = \"a\"",
        "exclude = { ports = \"1200-1201\" }\n[[vpc]]\nname = \"a\"",
    );
    assert_said(
        &excluded,
        &["error 5:21 excludes ports of subscriber 1, whose range is 1124-1223 | ... "],
    );
}

#[test]
fn shares_that_contradict_each_other() {
    let tenants = "[[external-ip-address-pool.tenant]]\nid = 7\nname = \"gold\"\nminimum = 9\nmaximum = 5\n\
                   [[external-ip-address-pool.tenant]]\nid = 7\nname = \"silver\"\nminimum = 5000\n";
    assert_said(
        &peered(tenants, "tenant = 7\ncontrol = true\n"),
        &[
            "error 7:11 tenant 7 is guaranteed 9 blocks and may have 5 | give a `minimum` of at most 5",
            "error 10:6 tenant 7 has two shares of one pool | make one of them",
            "error 11:8 tenant 7 is called `silver` and tenant 7 `gold` | ... ",
            "error 12:11 pool `internet` guarantees 5,009 blocks, tenants and headroom together, and has 4,032 of tcp | guarantee at most 4032 in all, or add addresses: each has 252 blocks of 256 ports",
            "error 12:11 pool `internet` guarantees 5,009 blocks, tenants and headroom together, and has 4,096 of icmp | ... identifiers",
            "warning 23:11 `control` has no effect | add `headroom = 4` ... ",
        ],
    );
    let one = "[[external-ip-address-pool.tenant]]\nid = 7\nname = \"gold\"\n";
    assert_said(&peered(one, "tenant = \"gold\"\n"), &[]);
    assert_said(
        &peered(
            one,
            "tenant = \"glod\"\n[[peering.source]]\npools = \"internet\"\nprivate-prefixes = \"10.0.0.9\"\ntenant = 9\n",
        ),
        &[
            "warning 5:6 no peering is of tenant 7 | ... ",
            "error 16:10 there is no tenant `glod` | did you mean `gold`?",
            "error 20:10 there is no tenant `9` | there is `gold`",
        ],
    );
    assert_said(
        &peered("", "tenant = true\n"),
        &["error 13:10 `tenant` must be the `id` or the `name` of a tenant, not a boolean | "],
    );
}

#[test]
fn a_pool_with_blocks_of_its_own_shares_none() {
    let text = format!(
        "{POOL}port-set = {{ port-set-size = 64 }}\n[[external-ip-address-pool]]\nname = \"other\"\n\
         external-ip-pool = [\"198.51.100.0/24\", \"203.0.113.8/29\"]\n\
         [[vpc]]\nname = \"a\"\ninside-prefixes = \"10.0.0.0/24\"\n[[vpc]]\nname = \"b\"\n\
         [[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"b\"\n\
         [[peering.source]]\npools = \"internet\"\n\
         [[peering.source]]\nprivate-prefixes = \"10.0.0.0/25\"\npools = \"other\"\n"
    );
    assert_said(
        &text,
        &[
            "error 3:21 pool `internet` has port sets, and shares icmp block 0-255 of 203.0.113.8 with pool `other` | ... ",
            "error 3:21 pool `internet` has port sets, and shares tcp block 1024-1279 of 203.0.113.8 with pool `other` | ... ",
        ],
    );
}

#[test]
fn f05_hosts_of_two_vpcs_that_would_be_one_subscriber() {
    let text = format!(
        "{POOL}port-quota = {{ total = 9 }}\n[[external-ip-address-pool]]\nname = \"six\"\n\
         external-ip-pool = \"2001:db8:9::/64\"\nport-quota = {{ total = 9 }}\n\
         [[vpc]]\nname = \"a\"\ninside-prefixes = [\"10.0.0.0/8\", \"fd00::/8\"]\n\
         [[vpc]]\nname = \"b\"\ninside-prefixes = [\"10.0.0.0/8\", \"fd00:1::/32\"]\n[[vpc]]\nname = \"c\"\n\
         [[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"c\"\npools = [\"internet\", \"six\"]\n\
         [[peering]]\nsource-vpc = \"b\"\ndestination-vpc = \"c\"\npools = [\"internet\", \"six\"]\n"
    );
    assert_said(
        &text,
        &[
            "error 6:8 subscribers of pool `six` cannot be told apart: fd00::/8 of VPC `a` and fd00:1::/32 of VPC `b` | ... ",
        ],
    );
}
