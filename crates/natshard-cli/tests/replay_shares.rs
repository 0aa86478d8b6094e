//! What a replay says of subscribers and tenants, against the log of events and the configuration.

mod common;
use common::*;

use std::path::Path;

use serde_json::{Value, json};

/// The sample capture with a configuration of the examples or a text: the document, the table and
/// the events.
fn replayed(config: &Path) -> (Value, String, Vec<Value>) {
    let folder = folder();
    let log = folder.path().join("log.jsonl");
    let page = folder.path().join("r.html");
    let [log, page, config] = [&log, &page, config].map(|it| it.to_str().unwrap());
    let options = ["--config", config, "--events", log, "--report", page];
    let json = replay_well(&options, &[]);
    let text = std::fs::read_to_string(log).unwrap();
    let lines = text.lines().map(|it| serde_json::from_str(it).unwrap());
    let table = natshard(&["replay", "--config", config, "--seed", "1"]);
    let mut table = String::from_utf8(table.stdout).unwrap();
    table.push_str(&std::fs::read_to_string(page).unwrap());
    (json, table, lines.collect())
}

fn example(name: &str) -> (Value, String, Vec<Value>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples-config");
    replayed(&folder.join(name))
}

fn configured(text: &str) -> (Value, String, Vec<Value>) {
    let folder = folder();
    replayed(&write(&folder, "c.toml", text.as_bytes()))
}

fn told(lines: &[Value], name: &str) -> usize {
    lines.iter().filter(|it| it["name"] == name).count()
}

#[test]
fn port_blocks_in_the_summary_are_those_of_the_log() {
    let (json, shown, lines) = example("port-sets.toml");
    let pool = &json["subscribers"]["pools"][0];
    let assigned = told(&lines, "port_block_assigned");
    assert!(assigned > 0);
    let released = told(&lines, "port_block_released");
    assert_eq!(
        pool["port_blocks"],
        json!({"assigned": assigned, "released": released})
    );
    // Without port blocks, none are spoken of.
    let other = &json["subscribers"]["pools"][1];
    assert_eq!(
        (&other["name"], &other["port_blocks"]),
        (&"subscribers-v6".into(), &Value::Null)
    );
    assert_eq!(json["subscribers"]["known"], 5);
    let active = pool["active"].as_u64().unwrap() + other["active"].as_u64().unwrap();
    assert_eq!(json["subscribers"]["active"], active);
    for said in [
        "port blocks assigned",
        "of subscribers-v6",
        "met in all: 5",
        "subscribers: everybody",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    assert!(
        shown.contains("<p class=\"label\">subscribers</p>"),
        "the page has a card"
    );
}

#[test]
fn shares_in_the_summary_are_those_of_the_configuration() {
    let (json, shown, _) = example("tenants.toml");
    assert_eq!(json["subscribers"], Value::Null);
    let shares = json["shares"].as_array().unwrap();
    let protocols: Vec<&Value> = shares.iter().map(|it| &it["protocol"]).collect();
    assert_eq!(protocols, ["tcp", "udp", "icmp"]);
    let tcp = &shares[0];
    assert_eq!(
        (&tcp["blocks"], &tcp["threshold"]),
        (&2016.into(), &Value::Null)
    );
    let of = |at: usize, key: &str| tcp["shares"][at][key].clone();
    let who: Vec<Value> = (0..4)
        .map(|at| json!([of(at, "holder"), of(at, "tenant")]))
        .collect();
    let expected = [json!(["others", null]), json!(["control", null])];
    assert_eq!(who[..2], expected);
    assert_eq!(who[2..], [json!(["tenant", 7]), json!(["tenant", 8])]);
    let bounds: Vec<Value> = (1..4)
        .map(|at| json!([of(at, "minimum"), of(at, "maximum")]))
        .collect();
    assert_eq!(
        bounds,
        [json!([16, null]), json!([1000, null]), json!([100, 500])]
    );
    let held: u64 = (0..4).map(|at| of(at, "held").as_u64().unwrap()).sum();
    assert!(held > 0);
    assert_eq!(tcp["held"], held);
    for said in ["shared: tenant 7", "shared: control traffic", "guaranteed"] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
}

#[test]
fn refusals_are_counted_by_pool_reason_and_host() {
    let (json, shown, _) = configured(
        "[engine]\nlimit-subscribers = 3\n\
         [[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = \"203.0.113.0/26\"\n\
         port-quota = { tcp = 2, total = 3 }\n",
    );
    let refused = &json["leases"]["refused"];
    assert!(total(refused) > 100, "{refused}");
    assert_eq!(&json["subscribers"]["pools"][0]["refused"], refused);
    let hosts = &json["refused_hosts"];
    let most = hosts["most"].as_array().unwrap();
    assert_eq!(hosts["count"], most.len(), "no more than are named");
    let times: Vec<u64> = most
        .iter()
        .map(|it| it["times"].as_u64().unwrap())
        .collect();
    assert_eq!(times.iter().sum::<u64>(), total(refused));
    assert!(times.is_sorted_by(|a, b| a >= b), "{times:?}");
    let first = most[0]["host"].as_str().unwrap();
    assert!(
        shown.contains(&format!("{first} ({})", times[0])),
        "{shown}"
    );
}

#[test]
fn thresholds_that_were_reached_are_said() {
    let (json, shown, lines) = configured(
        "[[external-ip-address-pool]]\nname = \"p\"\nexternal-ip-pool = \"203.0.113.0/32\"\n\
         port-set-restrict = \"1024-2047\"\n\
         notify-pool-usage = { high-threshold = 50, low-threshold = 25 }\n",
    );
    let shares = json["shares"].as_array().unwrap();
    let raised: u64 = shares
        .iter()
        .map(|it| {
            let threshold = &it["threshold"];
            assert_eq!(
                (&threshold["high"], &threshold["low"]),
                (&50.into(), &25.into())
            );
            threshold["times_raised"].as_u64().unwrap()
        })
        .sum();
    assert!(raised > 0);
    assert_eq!(raised as usize, told(&lines, "threshold_raised"));
    let said = "pool p reached 50 % of its ";
    assert_eq!(
        shown.matches(said).count(),
        2 * shares
            .iter()
            .filter(|it| it["threshold"]["times_raised"] != 0)
            .count(),
        "in the table and on the page: {shown}"
    );
}

#[test]
fn without_subscribers_and_tenants_nothing_is_said_of_them() {
    let (json, shown, _) = example("minimal.toml");
    assert_eq!(json["subscribers"], Value::Null);
    assert_eq!(json["shares"], json!([]));
    assert_eq!(json["refused_hosts"], json!({"count": 0, "most": []}));
    for said in [
        "active at the end",
        "guaranteed",
        "class=\"label\">subscribers",
    ] {
        assert!(!shown.contains(said), "{said}: {shown}");
    }
}
