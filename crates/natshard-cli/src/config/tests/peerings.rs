//! Faults of peerings.

use super::{POOL, assert_said};

/// Two VPCs `a` and `b`, a pool, and the text of peerings.
fn peered(text: &str) -> String {
    format!(
        "{POOL}[[external-ip-address-pool]]\nname = \"other\"\nrealm = \"other\"\n\
         external-ip-pool = \"198.51.100.0/28\"\n\
         [[vpc]]\nname = \"a\"\ninside-prefixes = [\"10.0.0.0/8\"]\n[[vpc]]\nname = \"b\"\n\
         [[vpc]]\nname = \"c\"\n[[peering]]\nname = \"1\"\nsource-vpc = \"a\"\n\
         destination-vpc = \"b\"\n{text}"
    )
}

#[test]
fn peerings_that_contradict_themselves_or_each_other() {
    // The peering begins at line 15; its own lines at 19.
    assert_said(
        &peered("pools = [\"internet\", \"other\"]\n"),
        &[
            "error 19:9 pools `internet` and `other` both have IPv4 addresses | put all prefixes into one pool, ... for each",
        ],
    );
    assert_said(
        &peered(
            "[[peering.source]]\nprivate-prefixes = \"10.1.0.0/16\"\npools = \"other\"\n\
             [[peering.source]]\nprivate-prefixes = [\"10.2.0.0/16\", \"10.1.0.0/16\", \"11.0.0.0/8\", \"fd00::/8\"]\npools = \"other\"\nprotocols = [\"tcp\", \"sctp\"]\n",
        ),
        &[
            "warning 2:8 no peering uses pool `internet` | ",
            "error 23:36 two rules of peering `1` are for tcp sources in 10.1.0.0/16 | ",
            "warning 23:51 11.0.0.0/8 is not inside VPC `a` | its inside prefixes are `10.0.0.0/8`",
            "error 23:65 no pool for fd00::/8 has IPv6 addresses | name a pool with IPv6 prefixes as well",
            "warning 23:65 fd00::/8 is not inside VPC `a` | ",
            "error 25:21 `protocols` cannot be `sctp` | ... `tcp`, `udp` or `icmp`",
        ],
    );
    assert_said(
        &peered(
            "pools = \"internet\"\n[[peering]]\nname = \"2\"\nsource-vpc = \"a\"\n\
             destination-vpc = \"b\"\npools = \"other\"\ndestination-prefixes = \"192.0.2.0/24\"\n",
        ),
        &[
            "error 20:1 two peerings lead from VPC `a` to VPC `b` | ",
            "error 24:9 pool `other` is of realm `other`, but others towards VPC `b` are of realm `default` | ",
        ],
    );
    assert_said(
        &peered(
            "pools = \"internet\"\n[[peering]]\nname = \"2\"\nsource-vpc = \"a\"\n\
             destination-vpc = \"c\"\npools = \"other\"\n",
        ),
        &[
            "error 20:1 from VPC `a`, 0.0.0.0/0 leads both to peering `1` and to peering `2` | ",
            "error 20:1 from VPC `a`, ::/0 leads both to peering `1` and to peering `2` | ",
        ],
    );
    assert_said(
        &peered(
            "pools = [\"internet\"]\ntimers = { udp-timeout = 60, hold-down-timeout = 9 }\n\
             [[peering.dst-ip-address-pool]]\ndst-in-ip-pool = \"192.0.2.0/24\"\ndst-out-ip-pool = \"172.16.0.0/16\"\n\
             [[peering.dst-ip-address-pool]]\ndst-in-ip-pool = \"192.0.2.0/24\"\n\
             [[peering]]\nsource-vpc = \"c\"\ndestination-vpc = \"c\"\nprivate-prefixes = \"10.0.0.0/8\"\n\
             [[peering]]\nsource-vpc = \"b\"\ndestination-vpc = \"c\"\npools = \"other\"\n",
        ),
        &[
            "warning 20:26 `udp-timeout` of 60 s is short of the 120 s that RFC 4787 REQ-5 asks for | give at least `120`",
            "error 20:30 unknown key `hold-down-timeout` in the timers of a peering | it belongs in the `[timers]` of the whole file",
            "error 23:19 192.0.2.0/24 cannot be translated to 172.16.0.0/16 address by address | ",
            "error 24:1 a destination rule has no `dst-out-ip-pool` | ",
            "warning 26:1 this peering translates nothing | ",
            "error 28:19 VPC `c` is peered with itself | ",
            "error 29:20 `private-prefixes` without `pools` | ",
            "error 33:9 there is no private prefix: VPC `b` has no `inside-prefixes` | ",
        ],
    );
}

#[test]
fn a_pool_among_the_private_addresses_is_a_fault() {
    assert_said(
        "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = [\"10.9.0.0/24\"]\n",
        &[
            "error 3:21 10.9.0.0/24 of pool `p` overlaps 10.0.0.0/8, which it translates | take other public addresses, ...",
        ],
    );
    // Another VPC may have those addresses.
    assert_said(
        "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = [\"10.9.0.0/24\"]\n\
         [[vpc]]\nname = \"a\"\ninside-prefixes = \"192.168.0.0/16\"\n\
         [[vpc]]\nname = \"b\"\ninside-prefixes = \"10.0.0.0/8\"\n\
         [[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"b\"\npools = \"p\"\n",
        &[],
    );
}
