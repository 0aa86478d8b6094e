//! From leases over time to a law: how many hosts are active, and what those have.
//!
//! Each second of the busiest minute every host is looked at, and each look counts alike: the
//! minute is taken for a stationary one. The busiest minute is the one in which most ports of all
//! protocols together are leased or resting.

use std::net::IpAddr;
use std::time::Duration;

use natshard::Protocol;

use super::demand::Demand;
use crate::verify::tenure::Stay;

/// The busiest stretch that is looked at, and how often.
const BUSY: u64 = 60_000;
const LOOK: u64 = 1000;

/// What captures show.
pub(crate) struct Observed {
    /// Hosts that had a lease at any time.
    pub(crate) hosts: u64,
    /// The share of them that has one, leased or resting, in the busiest minute.
    pub(crate) activity: f64,
    /// By protocol what an active host has leased, and has leased or resting.
    pub(crate) spaces: Vec<(Protocol, Demand, Demand)>,
    /// When the busiest minute begins and ends, in seconds of the captures.
    pub(crate) busiest: (f64, f64),
}

/// The law that these leases follow in captures of that many ticks; `None` where there are none.
pub(crate) fn observed(
    mut stays: Vec<Stay>,
    duration: u64,
    hold_down: Duration,
) -> Option<Observed> {
    let rest = u64::try_from(hold_down.as_millis()).unwrap_or(u64::MAX);
    // What ended with the captures would have lived on.
    for stay in stays.iter_mut().filter(|it| it.until >= duration) {
        stay.until = u64::MAX;
    }
    let looks = Looks::busiest(&stays, duration, rest);
    stays.sort_unstable_by_key(host);
    let mut hosts = 0;
    let mut active = 0.0;
    let mut leased = [const { Vec::new() }; 3];
    let mut taken = [const { Vec::new() }; 3];
    for stays in stays.chunk_by(|left, right| host(left) == host(right)) {
        hosts += 1;
        // By look and protocol: leased, and leased or resting.
        let mut has = vec![[(0usize, 0usize); 3]; looks.count];
        for stay in stays {
            let protocol = protocol(stay).as_index();
            let ends = if stay.rests {
                stay.until.saturating_add(rest)
            } else {
                stay.until
            };
            for look in looks.within(stay.from, ends) {
                has[look][protocol].1 += 1;
            }
            for look in looks.within(stay.from, stay.until) {
                has[look][protocol].0 += 1;
            }
        }
        for has in has
            .iter()
            .filter(|it| it.iter().any(|(_, taken)| *taken > 0))
        {
            active += 1.0;
            for (protocol, (now, all)) in has.iter().enumerate() {
                count(&mut leased[protocol], *now);
                count(&mut taken[protocol], *all);
            }
        }
    }
    let demands = leased.into_iter().zip(taken).zip(Protocol::ALL);
    let spaces: Vec<_> = demands
        .filter_map(|((leased, taken), protocol)| {
            let (leased, taken) = (Demand::new(leased)?, Demand::new(taken)?);
            (taken.mean() > 0.0).then_some((protocol, leased, taken))
        })
        .collect();
    (!spaces.is_empty()).then(|| Observed {
        hosts,
        activity: active / (hosts as f64 * looks.count as f64),
        spaces,
        busiest: looks.seconds(),
    })
}

fn count(weights: &mut Vec<f64>, ports: usize) {
    if weights.len() <= ports {
        weights.resize(ports + 1, 0.0);
    }
    weights[ports] += 1.0;
}

fn host(stay: &Stay) -> (u32, IpAddr) {
    (stay.inside.vpc, stay.inside.end.address)
}

fn protocol(stay: &Stay) -> Protocol {
    match stay.inside.end.protocol {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => Protocol::Icmp,
    }
}

/// The moments that are looked at: every so often from `first` on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Looks {
    first: u64,
    count: usize,
}

impl Looks {
    /// Those of the busiest stretch.
    fn busiest(stays: &[Stay], duration: u64, rest: u64) -> Self {
        let all = Looks {
            first: 0,
            count: (duration / LOOK + 1) as usize,
        };
        // How many more ports are taken than at the look before.
        let mut steps = vec![0i64; all.count + 1];
        for stay in stays {
            let ends = if stay.rests {
                stay.until.saturating_add(rest)
            } else {
                stay.until
            };
            let within = all.within(stay.from, ends);
            steps[within.start] += 1;
            steps[within.end] -= 1;
        }
        let width = ((BUSY / LOOK) as usize).min(all.count);
        let (mut now, mut sum) = (0i64, 0i64);
        let mut taken = Vec::with_capacity(all.count);
        let (mut best, mut first) = (i64::MIN, 0);
        for at in 0..all.count {
            now += steps[at];
            taken.push(now);
            sum += now;
            if at >= width {
                sum -= taken[at - width];
            }
            if at + 1 >= width && sum > best {
                (best, first) = (sum, at + 1 - width);
            }
        }
        Looks {
            first: first as u64 * LOOK,
            count: width,
        }
    }

    /// The looks from `from` on and before `until`.
    fn within(self, from: u64, until: u64) -> std::ops::Range<usize> {
        let number = |at: u64| {
            let looks = at.saturating_sub(self.first).div_ceil(LOOK);
            usize::try_from(looks).unwrap_or(usize::MAX).min(self.count)
        };
        number(from)..number(until).max(number(from))
    }

    fn seconds(self) -> (f64, f64) {
        let end = self.first + (self.count as u64 - 1) * LOOK;
        (self.first as f64 / 1000.0, end as f64 / 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::tenure::Inside;
    use crate::verify::wire::WireEnd;

    const REST: Duration = Duration::from_secs(120);

    fn stay(host: u8, protocol: u8, from: u64, until: u64) -> Stay {
        let end = WireEnd {
            protocol,
            port: 1000,
            address: IpAddr::from([10, 0, 0, host]),
        };
        Stay {
            inside: Inside { vpc: 0, end },
            from: from * 1000,
            until: until * 1000,
            rests: true,
        }
    }

    #[test]
    fn the_busiest_minute_is_counted_host_by_host() {
        let mut stays = vec![
            // Alone for a while.
            stay(1, 17, 0, 100),
            // From 1000 to 1100: three ports of one host, one of another.
            stay(1, 6, 1000, 1100),
            stay(1, 6, 1000, 1100),
            stay(1, 6, 1000, 1100),
            stay(2, 6, 1000, 1100),
            stay(2, 1, 1000, 1100),
            // A third host, long before.
            stay(3, 6, 10, 20),
        ];
        let it = observed(stays.clone(), 4_000_000, REST).unwrap();
        assert_eq!((it.hosts, it.busiest), (3, (1000.0, 1059.0)));
        assert!((it.activity - 2.0 / 3.0).abs() < 1e-12);
        let [(tcp, leased, taken), (icmp, ping, _)] = &it.spaces[..] else {
            panic!("{:?}", it.spaces.len());
        };
        assert_eq!((*tcp, *icmp), (Protocol::Tcp, Protocol::Icmp));
        assert_eq!(leased.probabilities(), &[0.0, 0.5, 0.0, 0.5]);
        assert_eq!(leased, taken);
        assert_eq!(ping.probabilities(), &[0.5, 0.5]);
        // Not by the order of the leases.
        stays.reverse();
        let again = observed(stays, 4_000_000, REST).unwrap();
        assert_eq!((again.hosts, again.spaces), (it.hosts, it.spaces));
    }

    #[test]
    fn resting_ports_are_taken_and_not_leased() {
        let stays = vec![stay(1, 17, 0, 1), stay(1, 17, 0, 1000)];
        let it = observed(stays.clone(), 100_000, REST).unwrap();
        let (_, leased, taken) = &it.spaces[0];
        assert_eq!(taken.probabilities(), &[0.0, 0.0, 1.0]);
        // The first of sixty looks sees both.
        assert!((leased.probabilities()[2] - 1.0 / 60.0).abs() < 1e-12);
        let mut without = stays;
        without[0].rests = false;
        let it = observed(without, 100_000, REST).unwrap();
        assert_eq!(it.spaces[0].1, it.spaces[0].2);
    }

    #[test]
    fn short_captures_are_looked_at_as_a_whole_and_empty_ones_are_none() {
        let it = observed(vec![stay(1, 6, 0, 3)], 2500, REST).unwrap();
        assert_eq!((it.busiest, it.activity), ((0.0, 2.0), 1.0));
        assert!(observed(Vec::new(), 100_000, REST).is_none());
        // Over before it began.
        let mut blink = stay(1, 6, 1, 1);
        blink.rests = false;
        assert!(observed(vec![blink], 100_000, REST).is_none());
    }
}
