//! Exhaustion is told once, and not too often (RFC 8158 section 5.2).

use std::collections::HashMap;
use std::net::IpAddr;

use crate::id::PoolId;
use crate::protocol::Protocol;
use crate::tick::Tick;

/// What can be exhausted: a pool, or one address of it.
type Key = (PoolId, Protocol, Option<IpAddr>);

/// Most alarms one shard remembers; past that it forgets them all, and may tell some again.
const MOST: usize = 256;

#[derive(Clone, Copy, Debug)]
struct Alarm {
    raised: bool,
    told: Tick,
}

/// What one shard told of exhaustion.
#[derive(Debug, Default)]
pub(crate) struct Alarms {
    all: HashMap<Key, Alarm>,
    /// How many are raised.
    raised: usize,
}

impl Alarms {
    /// Something was exhausted; whether that is to be told: unless it was since it last was not,
    /// or less than `interval` milliseconds ago.
    pub(crate) fn raise(&mut self, key: Key, now: Tick, interval: u64) -> bool {
        if self.all.len() >= MOST && !self.all.contains_key(&key) {
            *self = Alarms::default();
        }
        let known = self.all.get(&key);
        let until = |told: Tick| told.as_millis().saturating_add(interval);
        let early = known.is_some_and(|known| now.as_millis() < until(known.told));
        if known.is_some_and(|known| known.raised) || early {
            return false;
        }
        let alarm = Alarm {
            raised: true,
            told: now,
        };
        self.all.insert(key, alarm);
        self.raised += 1;
        true
    }

    /// Whether anything is raised.
    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.raised > 0
    }

    /// A port was had.
    pub(crate) fn clear(&mut self, pool: PoolId, protocol: Protocol, address: IpAddr) {
        for key in [None, Some(address)] {
            if let Some(alarm) = self.all.get_mut(&(pool, protocol, key))
                && std::mem::take(&mut alarm.raised)
            {
                self.raised -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_is_raised_once_until_cleared_and_not_too_often() {
        let mut alarms = Alarms::default();
        let key = (PoolId(1), Protocol::Tcp, None);
        let at = Tick::from_millis;
        assert!(alarms.raise(key, at(0), 1000));
        assert!(!alarms.raise(key, at(5000), 1000), "still raised");
        let anywhere = "192.0.2.1".parse().unwrap();
        alarms.clear(PoolId(2), Protocol::Tcp, anywhere);
        assert!(alarms.is_any());
        alarms.clear(PoolId(1), Protocol::Tcp, anywhere);
        assert!(!alarms.is_any());
        assert!(alarms.raise(key, at(5000), 1000));
        alarms.clear(PoolId(1), Protocol::Tcp, anywhere);
        assert!(!alarms.raise(key, at(5999), 1000), "too soon");
        assert!(alarms.raise(key, at(6000), 1000), "not forgotten");
    }

    #[test]
    fn alarms_of_more_than_are_remembered_are_told_again() {
        let mut alarms = Alarms::default();
        let key = |number: usize| {
            let address = std::net::Ipv4Addr::from_bits(number as u32);
            (PoolId(1), Protocol::Tcp, Some(address.into()))
        };
        let now = Tick::from_millis(7);
        assert!((0..MOST).all(|number| alarms.raise(key(number), now, 0)));
        // All of them are known, and stay so when one of them comes again.
        assert!((0..MOST).all(|number| !alarms.raise(key(number), now, 0)));
        assert!(alarms.raise(key(MOST), now, 0));
        assert!(alarms.raise(key(0), now, 0));
        assert!(!alarms.raise(key(MOST), now, 0));
        assert_eq!((alarms.all.len(), alarms.raised), (2, 2));
    }
}
