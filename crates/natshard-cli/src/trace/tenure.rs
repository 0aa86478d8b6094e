//! From records to tenures: who had the tuple from when to when, as far as the log says.

use std::collections::BTreeMap;

use natshard::Protocol;

use super::run::{Kept, Run};
use crate::events::Stamp;

/// One end of a tenure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Edge {
    /// The log has it.
    At {
        /// Engine time.
        engine: u64,
        /// The wall clock.
        time: Stamp,
    },
    /// The log lacks it; it is on the tenure's side of this engine time.
    Unknown(u64),
    /// It had not come when the log ended.
    Open,
}

impl Edge {
    fn of(kept: &Kept) -> Self {
        Edge::At {
            engine: kept.engine,
            time: kept.time,
        }
    }

    /// The wall clock, where it is known.
    pub(super) fn time(self) -> Option<Stamp> {
        match self {
            Edge::At { time, .. } => Some(time),
            Edge::Unknown(_) | Edge::Open => None,
        }
    }
}

/// Somebody had the tuple.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Tenure {
    /// The line of its assignment; 0 where that is not on record.
    pub(super) line: u64,
    /// The port block or the single port that was given.
    pub(super) ports: (u16, u16),
    /// Whether it is a port block.
    pub(super) block: bool,
    pub(super) protocol: Protocol,
    pub(super) pool: String,
    /// Who, if the log says.
    pub(super) subscriber: Option<String>,
    pub(super) from: Edge,
    pub(super) until: Edge,
}

impl Tenure {
    fn begin(kept: &Kept) -> Self {
        Tenure {
            line: kept.line,
            ports: kept.ports,
            block: kept.block,
            protocol: kept.protocol,
            pool: kept.pool.clone(),
            subscriber: kept.subscriber.clone(),
            from: Edge::of(kept),
            until: Edge::Open,
        }
    }

    /// The engine times between which it lies; the second may be beyond the log.
    pub(super) fn engine(&self) -> (u64, u64) {
        let from = match self.from {
            Edge::At { engine, .. } | Edge::Unknown(engine) => engine,
            Edge::Open => 0,
        };
        let until = match self.until {
            Edge::At { engine, .. } | Edge::Unknown(engine) => engine,
            Edge::Open => u64::MAX,
        };
        (from, until)
    }

    /// Whether a give-back is that of this tenure.
    fn is_ended_by(&self, kept: &Kept) -> bool {
        // Who gives back a single port need not say for whom it was.
        let same = |(a, b): (&String, &String)| a == b;
        self.ports == kept.ports
            && self.pool == kept.pool
            && self
                .subscriber
                .as_ref()
                .zip(kept.subscriber.as_ref())
                .is_none_or(same)
    }
}

/// The tenures of a run, in order.
pub(super) fn tenures(run: &Run) -> Vec<Tenure> {
    // Port blocks and the ports in them are told apart; realms and protocols are spaces of
    // their own.
    let mut open: BTreeMap<(&str, usize, bool), Tenure> = BTreeMap::new();
    let mut ended: BTreeMap<(&str, usize, bool), u64> = BTreeMap::new();
    let mut tenures = Vec::new();
    for kept in &run.kept {
        let key = (run.realm(&kept.pool), kept.protocol.as_index(), kept.block);
        let current = open.remove(&key);
        if kept.assigned {
            if let Some(mut before) = current {
                before.until = Edge::Unknown(kept.engine);
                tenures.push(before);
            }
            open.insert(key, Tenure::begin(kept));
            continue;
        }
        let tenure = match current {
            Some(tenure) if tenure.is_ended_by(kept) => Tenure {
                subscriber: tenure.subscriber.or_else(|| kept.subscriber.clone()),
                until: Edge::of(kept),
                ..tenure
            },
            other => {
                // Given back by somebody to whom it was not given, as far as the log goes.
                let mut since = ended.get(&key).copied().unwrap_or(0);
                if let Some(mut before) = other {
                    since = before.engine().0;
                    before.until = Edge::Unknown(kept.engine);
                    tenures.push(before);
                }
                Tenure {
                    line: 0,
                    from: Edge::Unknown(since),
                    until: Edge::of(kept),
                    ..Tenure::begin(kept)
                }
            }
        };
        ended.insert(key, kept.engine);
        tenures.push(tenure);
    }
    tenures.extend(open.into_values());
    tenures.sort_by_key(|it| it.engine());
    tenures
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(engine: u64, assigned: bool, subscriber: &str) -> Kept {
        Kept {
            line: engine,
            sequence: engine,
            engine,
            time: Stamp(engine as i64),
            assigned,
            block: true,
            protocol: Protocol::Tcp,
            pool: "p".into(),
            subscriber: Some(subscriber.into()),
            ports: (1024, 1087),
        }
    }

    fn of(kept: Vec<Kept>) -> Vec<(String, Edge, Edge)> {
        let mut run = Run::new("log", None);
        run.kept = kept;
        tenures(&run)
            .into_iter()
            .map(|it| (it.subscriber.unwrap_or_default(), it.from, it.until))
            .collect()
    }

    fn at(engine: u64) -> Edge {
        Edge::At {
            engine,
            time: Stamp(engine as i64),
        }
    }

    #[test]
    fn assignments_and_returns_are_paired() {
        let history = vec![kept(1, true, "a"), kept(5, false, "a"), kept(9, true, "b")];
        assert_eq!(
            of(history),
            [("a".into(), at(1), at(5)), ("b".into(), at(9), Edge::Open)]
        );
    }

    #[test]
    fn what_is_missing_is_unknown_and_not_made_up() {
        // The return of a, and the assignment of c.
        let history = vec![kept(1, true, "a"), kept(9, true, "b"), kept(12, false, "b")];
        let unknown = Edge::Unknown(9);
        assert_eq!(of(history)[0], ("a".into(), at(1), unknown));
        let history = vec![
            kept(1, true, "a"),
            kept(5, false, "a"),
            kept(30, false, "c"),
        ];
        assert_eq!(of(history)[1], ("c".into(), Edge::Unknown(5), at(30)));
        // The return of a and the assignment of b.
        let history = vec![kept(1, true, "a"), kept(30, false, "b")];
        assert_eq!(
            of(history),
            [
                ("a".into(), at(1), Edge::Unknown(30)),
                ("b".into(), Edge::Unknown(1), at(30))
            ]
        );
    }

    #[test]
    fn a_port_may_come_back_without_a_name() {
        let mut back = kept(5, false, "");
        back.subscriber = None;
        assert_eq!(
            of(vec![kept(1, true, "a"), back]),
            [("a".into(), at(1), at(5))]
        );
    }
}
