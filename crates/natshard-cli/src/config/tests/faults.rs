//! Faults of keys, values, names and pools.

use std::path::Path;
use std::time::Duration;

use super::super::diagnostic::Source;
use super::super::parse;
use super::{FAULTY, FAULTY_SAYS, POOL, assert_said, diagnostics, understand};

#[test]
fn several_faults_in_one_file_are_all_found_each_with_its_place() {
    let source = Source::new(Path::new("faulty.toml"), FAULTY.into());
    let faults = parse(source).expect_err("it is full of faults");
    assert_eq!(faults.render(false), FAULTY_SAYS);
}

#[test]
fn unknown_keys_are_faults_that_name_what_was_meant() {
    assert_said(
        &format!(
            "[engine]\nshard = 2\n[nat]\nhold-down-timeout = 120\nport-quota = 9\n{POOL}ports = \"1-2\"\nzzz = 1\n"
        ),
        &[
            "error 2:1 unknown key `shard` in `[engine]` | did you mean `shards`?",
            "error 4:1 unknown key `hold-down-timeout` in `[nat]` | it belongs in the `[timers]` of the whole file",
            "error 5:1 unknown key `port-quota` in `[nat]` | it belongs in `[[external-ip-address-pool]]`",
            "error 9:1 unknown key `ports` in a pool | did you mean `port-set-restrict`?",
            "error 10:1 unknown key `zzz` in a pool | a pool takes `name`, `realm`, ... or `notify-pool-usage`",
        ],
    );
    assert_said(
        &format!("{POOL}[[pool]]\nname = \"x\"\n"),
        &[
            "error 4:3 unknown key `pool` in the configuration | did you mean `external-ip-address-pool`?",
        ],
    );
}

#[test]
fn a_pool_that_is_not_understood_is_a_pool_all_the_same() {
    let prefix = "external-ip-pool = \"203.0.113.0/28\"\n";
    assert_said(
        &format!("[[external-ip-address-pool]]\nname = \"a\\u0007\"\n{prefix}"),
        &["error 2:8 `name` has a control character | ..."],
    );
    assert_said(
        &format!("[[external-ip-address-pool]]\n{prefix}"),
        &["error 1:1 a pool has no `name` | ..."],
    );
    assert_said(
        "external-ip-address-pool = []\n",
        &["error 1:1 the configuration has no pool | ..."],
    );
}

#[test]
fn wrong_types_say_what_to_write() {
    assert_said(
        &format!(
            "external-realms = [1]\nvpc = 3\n[engine]\nshards = \"2\"\nseed = -1\nport-order = 5\n\
             [timers]\nudp-timeout = \"5 min\"\nicmp-timeout = 60.5\n{POOL}reuse-closed = \"false\"\n\
             port-set-restrict = []\n"
        ),
        &[
            "error 1:20 `external-realms` must be a string, not a number | write it in quotes: `\"1\"`",
            "error 2:7 `vpc` must be tables, each begun by `[[vpc]]`, not a number | ",
            "error 4:10 `shards` must be a whole number, not a string | write it without quotes: `2`",
            "error 5:8 `seed` is out of range: -1 | give 0 to 18446744073709551615",
            "error 6:14 `port-order` must be a word in quotes, not a number | write one of `random`, `hardened` or `linear`",
            "error 8:15 `udp-timeout` must be a whole number of seconds, not a string | write `300`",
            "error 9:16 `icmp-timeout` must be a whole number of seconds, not a number with a fraction | ",
            "error 10:1 a pool has no `realm` | add `realm = \"internet\"`",
            "error 13:16 `reuse-closed` must be `true` or `false`, not a string | write it without quotes: `false`",
            "error 14:21 `port-set-restrict` must be a range, not an array | ... `\"1024-65535\"`",
        ],
    );
}

#[test]
fn ranges_and_prefixes_that_cannot_be() {
    let pool = "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = ";
    assert_said(
        &format!("{pool}[\"203.0.113.9/28\"]\nidentifiers = \"9-3\"\nport-set-restrict = \"0\"\n"),
        &[
            "error 3:21 prefix 203.0.113.9/28 has host bits set | write `\"203.0.113.0/28\"` ... ",
            "error 4:15 range 9-3 is empty | write `\"3-9\"`",
            "error 5:21 `port-set-restrict` holds port 0, ... | write `\"1\"`",
        ],
    );
    assert_said(
        &format!(
            "{pool}[\"203.0.113.0/33\", \"a-b\", \"x\", 5]\nidentifiers = \"1-70000\"\n\
             port-set-restrict = {{ start-port-number = 1, end-port-numbr = 2 }}\n"
        ),
        &[
            "error 3:21 `203.0.113.0/33` is not an address prefix | the length after `/` must be 0 to 32",
            "error 3:39 `a-b` is not an address prefix | an address range cannot be given ... ",
            "error 3:46 `x` is not an address prefix | write an address and a length ... ",
            "error 3:51 `external-ip-pool` must be a string ... ",
            "error 4:15 `identifiers` goes beyond 65535 | give 0 to 65535",
            "error 5:46 unknown key `end-port-numbr` in a port range | did you mean `end-port-number`?",
        ],
    );
    assert_said(
        &format!("{pool}[\"224.1.0.0/16\", \"0.0.0.0/0\", \"169.254.0.0/24\", \"ff02::1\"]\n"),
        &[
            "error 3:21 224.1.0.0/16 is multicast | ",
            "error 3:37 0.0.0.0/0 holds 0.0.0.0/8, which is \"this network\" | ",
            "warning 3:50 169.254.0.0/24 is link-local | ",
            "error 3:68 ff02::1/128 is multicast | ",
        ],
    );
}

#[test]
fn exclusions_must_exclude_something_and_leave_something() {
    let exclude = |text: &str| format!("{POOL}exclude = [{text}]\n");
    assert_said(
        &exclude(
            "{ address = \"192.0.2.1\" }, { ports = \"1-80\" }, {}, { adress = \"203.0.113.1\" }",
        ),
        &[
            "error 4:24 exclusion of 192.0.2.1/32 is outside the pool | the pool has `203.0.113.0/28`",
            "warning 4:49 exclusion of ports 1-80 is outside the range of the pool | ",
            "error 4:59 the exclusion excludes nothing | give `address`, `ports` or both",
            "error 4:65 unknown key `adress` in an exclusion | did you mean `address`?",
        ],
    );
    assert_said(
        &exclude("{ address = \"203.0.113.0/24\" }"),
        &[
            "error 2:8 the exclusions of pool `internet` leave nothing | drop an exclusion or add a prefix",
        ],
    );
    // ICMP identifiers are left where only ports are excluded.
    assert_said(&exclude("{ ports = \"1-65535\" }"), &[]);
    assert_said(
        "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = [\"203.0.0.0/16\"]\n\
         exclude = [{ address = \"203.0.0.0/17\", ports = \"5060\" }]\n",
        &["error 4:24 ports of 32,768 addresses are excluded one by one | ... `ports`"],
    );
}

#[test]
fn names_and_references() {
    let text = format!(
        "external-realms = [\"wan\", \"wan\"]\n{POOL}realm = \"lan\"\n{POOL}realm = \"wan\"\n\
         [[vpc]]\nname = \"a\"\ninside-prefixes = [\"10.0.0.0/8\", \"10.0.0.0/8\"]\n\
         [[vpc]]\nname = \"\"\n[[vpc]]\n[[vpc]]\nname = \"a\"\n\
         [[peering]]\nsource-vpc = \"a\"\ndestination-vpc = \"bb\"\npools = [\"inernet\"]\n"
    );
    assert_said(
        &text,
        &[
            "error 1:27 realm `wan` is named twice | give one of them another name",
            "error 5:9 there is no realm `lan` | there is `wan`",
            "error 7:8 pool `internet` is named twice | ",
            "warning 12:34 inside prefix 10.0.0.0/8 is given twice | drop one of them",
            "error 14:8 `name` is empty | give a short name, `\"internet\"` for example",
            "error 15:1 a VPC has no `name` | add `name = \"tenant-a\"`",
            "error 17:8 VPC `a` is named twice | ",
            "error 20:19 there is no VPC `bb` | there is `a`",
            "error 21:10 there is no pool `inernet` | did you mean `\"internet\"`?",
        ],
    );
}

#[test]
fn timers_short_of_an_rfc_are_warnings_only() {
    let text = format!(
        "[timers]\nudp-timeout = 119\ntcp-idle-timeout = 7439\ntcp-trans-open-timeout = 239\n\
         icmp-timeout = 59\nhold-down-timeout = 119\n{POOL}"
    );
    let loaded = understand(&text).expect("warnings do not keep it from being used");
    assert_eq!(loaded.warnings().len(), 5);
    assert_eq!(loaded.hold_down(), Duration::from_secs(119));
    let behaviour = loaded.nat().peerings().next().unwrap().behaviour_ref();
    assert_eq!(behaviour.timeouts.udp, Duration::from_secs(119));
    assert_eq!(behaviour.timeouts.tcp_transitory, Duration::from_secs(239));
    let json = loaded.warnings_json();
    assert_eq!(json[0]["severity"], "warning");
    assert_eq!(json[0]["line"], 2);
    assert_eq!(json[0]["column"], 15);
    assert!(
        understand(
            &text
                .replace("119", "120")
                .replace("7439", "7440")
                .replace("239", "240")
                .replace("59", "60")
        )
        .unwrap()
        .warnings()
        .is_empty()
    );
    assert_said(
        &format!(
            "[timers]\nudp-timeout = 0\nicmp-timeout = 2592001\nper-port-timeout = [{{ port-number = 1024, timeout = 1 }}, {{ port-number = 53, timeout = 1 }}, {{ port-number = 53, timeout = 2, protocol = \"tcp\" }}]\n{POOL}"
        ),
        &[
            "error 2:15 `udp-timeout` is zero | give 1 to 2592000 seconds",
            "error 3:16 `icmp-timeout` is out of range: 2592001 | give 1 to 2592000 seconds (30 days)",
            "error 4:37 `port-number` is out of range: 1024 | give 0 to 1023",
            "error 4:93 port 53 has two timeouts | drop one of them",
            "error 4:137 `protocol` cannot be `tcp` | write `\"udp\"`",
        ],
    );
}

#[test]
fn faults_of_the_same_place_are_told_once() {
    let (_, diagnostics) = diagnostics(FAULTY);
    for (index, one) in diagnostics.iter().enumerate() {
        assert!(!diagnostics[..index].contains(one), "{one:?}");
    }
}
