//! Traces across changes of the configuration: what is computed is computed by the parameters that
//! were in force (RFC 7422 section 3).

use std::borrow::Cow;
use std::net::SocketAddr;

use natshard::{
    Deterministic, Engine, EngineConfig, Event, EventConfig, PoolConfig, PoolId, Protocol, Tick,
};

use super::answer::Answer;
use super::question::Question;
use super::tests::{ask, clock, header, who, without};
use crate::events::{EventLog, Header, LoggedDeterministic, LoggedPool, Names, Told};

/// Engine times of the changes.
const CHANGES: [u64; 2] = [600_000, 1_200_000];
const END: u64 = 1_800_000;

fn pool(ports: u16) -> PoolConfig {
    PoolConfig::new("computed")
        .realm("r")
        .prefix("203.0.113.0/28".parse().unwrap())
        .deterministic(Deterministic::new(64, ports))
}

fn logged(pool: &PoolConfig) -> LoggedPool {
    let mode = pool.policies().deterministic.unwrap();
    LoggedPool {
        name: "computed".into(),
        realm: "r".into(),
        prefixes: pool.prefixes().to_vec(),
        ports: (1024, 65535),
        identifiers: (0, 65535),
        excluded_addresses: vec![],
        port_block_size: None,
        deterministic: Some(LoggedDeterministic {
            subscribers: mode.subscribers(),
            ports: mode.ports(),
            inside: vec![],
        }),
        subscriber_limit: None,
    }
}

/// What the log calls the pool, as it is configured at the moment.
struct Named(LoggedPool);

impl Names for Named {
    fn pool(&self, _: PoolId) -> Cow<'_, str> {
        "computed".into()
    }

    fn subscriber(&self, _: PoolId, subscriber: u64) -> Cow<'_, str> {
        subscriber.to_string().into()
    }

    fn configuration(&self, _: PoolId) -> Option<LoggedPool> {
        Some(self.0.clone())
    }
}

/// The log of an engine that is reconfigured under way: 1000 ports each, then 500, then none.
fn log() -> Vec<u8> {
    let config = |pool: Option<PoolConfig>| {
        let other = PoolConfig::new("other").prefix("198.51.100.0/30".parse().unwrap());
        let config = EngineConfig::new(1)
            .events(EventConfig::new(64))
            .pool(other);
        match pool {
            Some(pool) => config.pool(pool),
            None => config,
        }
    };
    let engine = Engine::new(config(Some(pool(1000)))).unwrap();
    let mut reader = engine.events().unwrap();
    let mut shard = engine.shard(0).unwrap();
    let header = Header {
        pools: vec![logged(&pool(1000))],
        leases: false,
        ..header(0)
    };
    let mut log = EventLog::begin(Vec::new(), &header).unwrap();
    log.clock(clock(0, 0)).unwrap();
    for (at, pool) in CHANGES.into_iter().zip([Some(pool(500)), None]) {
        drop(shard.burst(Tick::from_millis(at)));
        engine.reconfigure(config(pool.clone())).unwrap();
        let names = Named(logged(&pool.unwrap_or_else(|| self::pool(500))));
        reader.drain(&mut |event: &Event| {
            log.tell(&Told::Event(*event), &names).unwrap();
        });
    }
    log.end(Tick::from_millis(END)).unwrap()
}

fn question(port: u16, at: u64) -> Question {
    let stamp = crate::events::Stamp(super::tests::BASE).after(at);
    Question {
        public: SocketAddr::new("203.0.113.0".parse().unwrap(), port),
        protocol: Some(Protocol::Tcp),
        at: Some(stamp.to_string().parse().unwrap()),
        within: 0,
    }
}

/// Who is certain, and who is not.
fn told(answer: &Answer) -> (Vec<&str>, Vec<&str>) {
    let of = |certain: bool| {
        let all = who(answer).into_iter().filter(|it| it.2 == certain);
        all.map(|it| it.0).collect()
    };
    (of(true), of(false))
}

fn answered(port: u16, at: u64, log: &[u8]) -> Answer {
    ask(&question(port, at), &[log])
}

#[test]
fn ranges_are_computed_by_the_parameters_in_force_at_that_time() {
    let log = log();
    // 1524 is subscriber 0's of 1000 ports each, and subscriber 1's of 500.
    let before = answered(1524, 599_999, &log);
    assert_eq!(told(&before), (vec!["0"], vec![]));
    let candidate = &before.candidates[0];
    assert_eq!(candidate.ports, (1024, 2023));
    assert_eq!(candidate.from, None);
    assert!(candidate.until.is_some(), "until the change");
    let after = answered(1524, 600_001, &log);
    assert_eq!(told(&after), (vec!["1"], vec!["0"]));
    assert_eq!(after.candidates[0].ports, (1524, 2023));
    let kept = &after.candidates[1].doubts[0];
    assert!(kept.contains("kept a connection"), "{kept}");
    // In the millisecond of the change both are possible.
    let within = answered(1524, 600_000, &log);
    assert_eq!(told(&within), (vec![], vec!["0", "1"]));
    // Who had it before and has it still is named once, and is certain.
    let same = answered(1024, 700_000, &log);
    assert_eq!(told(&same), (vec!["0"], vec![]));
    // When the pool is gone, whoever had it may have kept it.
    let gone = answered(1524, 1_300_000, &log);
    assert_eq!(told(&gone), (vec![], vec!["0", "1"]));
    for answer in [&before, &gone] {
        let notes = answer.notes.join("\n");
        assert!(notes.contains("changes of the configuration"), "{notes}");
        assert!(notes.contains("was removed at"), "{notes}");
    }
}

#[test]
fn a_change_that_may_be_missing_makes_what_is_computed_uncertain() {
    let log = log();
    // Lines: header, clock, change, removal, end.
    let lacks_the_change = without(&log, |line| line == 2);
    assert_eq!(told(&answered(1524, 500_000, &lacks_the_change)).0, [""; 0]);
    let after = answered(1524, 700_000, &lacks_the_change);
    assert_eq!(told(&after), (vec![], vec!["0"]));
    let doubt = &after.candidates[0].doubts[0];
    assert!(doubt.contains("configured otherwise"), "{doubt}");
    // Behind the next change it is known again.
    let lacks_nothing_later = without(&log, |line| line == 3);
    assert_eq!(
        told(&answered(1524, 599_999, &lacks_nothing_later)).0,
        ["0"]
    );
}

#[test]
fn events_lost_by_a_shard_hide_no_change() {
    let log = String::from_utf8(log()).unwrap();
    let lose = |shard: &str| {
        let lost = format!(
            "{{\"record\":\"lost\",\"number\":2,\"since\":\"2026-01-05T10:00:00.000Z\",\
             \"since_engine_ms\":0,\"time\":\"2026-01-05T10:05:00.000Z\",\
             \"engine_ms\":300000,\"shard\":{shard},\"lost\":7}}"
        );
        let mut lines: Vec<String> = Vec::new();
        for (at, line) in log.lines().enumerate() {
            if at == 2 {
                lines.push(lost.clone());
            }
            let number = format!("\"number\":{at},");
            let later = format!("\"number\":{},", at + 1);
            lines.push(match at {
                0 | 1 => line.into(),
                _ => line.replacen(&number, &later, 1),
            });
        }
        lines.join("\n") + "\n"
    };
    let known = answered(1524, 400_000, lose("0").as_bytes());
    assert_eq!(told(&known), (vec!["0"], vec![]));
    let unknown = answered(1524, 400_000, lose("null").as_bytes());
    assert_eq!(told(&unknown), (vec![], vec!["0"]));
    // A change that is on record says what holds from then on.
    let since = answered(1524, 700_000, lose("null").as_bytes());
    assert_eq!(told(&since).0, ["1"]);
}
