//! The table against a list that is searched from end to end.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;

use natshard::{Protocol, Reason, Tick};
use proptest::prelude::*;

use super::*;
use crate::config::{Filtering, Mapping, NatConfig, NatPool, Peering, PeeringIndex};

const IN: VpcId = VpcId::new(1);
const OUT: VpcId = VpcId::new(2);

fn peering() -> PeeringIndex {
    let config = NatConfig::builder()
        .pool(NatPool::new("p"))
        .peering(Peering::new("p", IN, OUT))
        .build()
        .unwrap();
    config.peering_of(IN, OUT).unwrap()
}

/// A session as the list has it.
#[derive(Clone, Debug)]
struct Entry {
    id: SessionId,
    mapping: MappingId,
    info: SessionInfo,
    mapping_kind: Mapping,
    listed: bool,
    deadline: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Insert {
        inside: u8,
        remote: u8,
        port: u8,
        kind: bool,
        redirect: bool,
        timeout: u16,
    },
    Refresh {
        which: usize,
        timeout: u16,
    },
    Remove {
        which: usize,
    },
    Withdraw {
        which: usize,
    },
    Pass {
        millis: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0u8..4, 0u8..4, 0u8..2, any::<bool>(), any::<bool>(), 1u16..)
            .prop_map(|(inside, remote, port, kind, redirect, timeout)| Step::Insert {
                inside, remote, port, kind, redirect, timeout,
            }),
        2 => (any::<usize>(), 1u16..).prop_map(|(which, timeout)| Step::Refresh { which, timeout }),
        2 => any::<usize>().prop_map(|which| Step::Remove { which }),
        1 => any::<usize>().prop_map(|which| Step::Withdraw { which }),
        2 => (0u32..40_000).prop_map(|millis| Step::Pass { millis }),
    ]
}

fn end(net: [u8; 3], host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([net[0], net[1], net[2], host], port))
}

struct Model {
    table: SessionTable<u64>,
    list: Vec<Entry>,
    next_public: u16,
    /// The public address of each host's latest mapping.
    latest: HashMap<IpAddr, IpAddr>,
    /// Leases that were given back.
    returned: Vec<u64>,
    now: u64,
}

impl Model {
    fn keys(info: &SessionInfo) -> [FlowKey; 2] {
        let key = |vpc, source: SocketAddr, destination: SocketAddr| FlowKey {
            vpc,
            protocol: info.mapping.protocol,
            source: source.ip(),
            destination: destination.ip(),
            source_port: NatPort::new(source.port()),
            destination_port: NatPort::new(destination.port()),
        };
        [
            key(IN, info.mapping.inside, info.remote),
            key(OUT, info.remote_outside, info.mapping.public),
        ]
    }

    fn insert(&mut self, step: &Step) {
        let &Step::Insert {
            inside,
            remote,
            port,
            kind,
            redirect,
            timeout,
        } = step
        else {
            return;
        };
        let inside = end([10, 0, 0], inside, 5000);
        let remote = end([198, 51, 100], remote, 80 + u16::from(port));
        let outside = |remote: SocketAddr| match redirect {
            true => SocketAddr::new([192, 0, 2, remote.port() as u8].into(), remote.port()),
            false => remote,
        };
        let joined = self.list.iter().find(|entry| {
            entry.listed
                && entry.mapping_kind == Mapping::EndpointIndependent
                && entry.info.mapping.inside == inside
        });
        let found = self.table.mapping_of_inside(IN, OUT, Protocol::Udp, inside);
        assert_eq!(found, joined.map(|entry| entry.mapping));
        let kind = Mapping::ALL[usize::from(kind)];
        let joined = joined
            .filter(|_| kind == Mapping::EndpointIndependent)
            .cloned();
        let mapping_info = match &joined {
            Some(entry) => entry.info.mapping,
            None => MappingInfo {
                inside_vpc: IN,
                outside_vpc: OUT,
                protocol: Protocol::Udp,
                inside,
                public: end(
                    [203, 0, 113],
                    (self.next_public % 4) as u8,
                    self.next_public,
                ),
            },
        };
        let info = SessionInfo {
            mapping: mapping_info,
            remote,
            remote_outside: outside(remote),
        };
        let taken = Self::keys(&info)
            .iter()
            .any(|key| self.table.find(key).is_some());
        // A second endpoint-independent mapping of an endpoint is none of the function's doings.
        let second = joined.is_none() && found.is_some() && kind == Mapping::EndpointIndependent;
        if taken || second || self.table.is_full() {
            return;
        }
        let mapping = match &joined {
            Some(entry) => NewMapping::Existing(entry.mapping),
            None => {
                self.next_public += 1;
                self.latest.insert(inside.ip(), mapping_info.public.ip());
                NewMapping::New {
                    lease: Some(u64::from(mapping_info.public.port())),
                    info: mapping_info,
                    endpoint_independent: kind == Mapping::EndpointIndependent,
                }
            }
        };
        let deadline = self.now + u64::from(timeout);
        let id = self.table.insert(NewSession {
            mapping,
            peering: peering(),
            remote,
            remote_outside: info.remote_outside,
            deadline: Tick::from_millis(deadline),
            generation: 0,
            hairpin: false,
        });
        self.list.push(Entry {
            id,
            mapping: self.table.session(id).mapping(),
            info,
            mapping_kind: joined.map_or(kind, |entry| entry.mapping_kind),
            listed: true,
            deadline,
        });
    }

    fn remove(&mut self, index: usize, reason: EndReason) {
        let entry = self.list.swap_remove(index);
        let removed = self.table.remove(entry.id, reason);
        assert_eq!(removed.session, entry.info);
        let last = !self.list.iter().any(|other| other.mapping == entry.mapping);
        assert_eq!(removed.mapping.is_some(), last);
        if let Some(mapping) = removed.mapping {
            assert_eq!(mapping.info, entry.info.mapping);
            assert_eq!(mapping.reason, Reason::Ended);
            let lease = mapping.lease.expect("a lease");
            assert_eq!(lease, u64::from(entry.info.mapping.public.port()));
            assert!(!self.returned.contains(&lease), "given back twice");
            self.returned.push(lease);
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Insert { .. } => self.insert(step),
            Step::Pass { millis } => {
                self.now += u64::from(millis);
                let mut budget = usize::MAX;
                while let Some(id) = self.table.expired(Tick::from_millis(self.now), &mut budget) {
                    let index = self.list.iter().position(|entry| entry.id == id).unwrap();
                    assert!(self.list[index].deadline <= self.now, "ended early");
                    self.remove(index, EndReason::Expired);
                }
                assert!(self.list.iter().all(|entry| entry.deadline + 64 > self.now));
            }
            _ if self.list.is_empty() => {}
            Step::Refresh { which, timeout } => {
                let which = which % self.list.len();
                let entry = &mut self.list[which];
                entry.deadline = self.now + u64::from(timeout);
                let deadline = Tick::from_millis(entry.deadline);
                self.table.refresh(entry.id, TcpState::NEW, deadline);
            }
            Step::Remove { which } => self.remove(which % self.list.len(), EndReason::Shutdown),
            Step::Withdraw { which } => {
                let mapping = self.list[which % self.list.len()].mapping;
                self.table.withdraw(mapping);
                let ours = self
                    .list
                    .iter_mut()
                    .filter(|entry| entry.mapping == mapping);
                ours.for_each(|entry| entry.listed = false);
            }
        }
    }

    /// Asks the table everything the list can answer.
    fn check(&self) {
        assert_eq!(self.table.len(), self.list.len());
        assert_eq!(self.table.iter().count(), self.list.len());
        let mappings: HashSet<_> = self.list.iter().map(|entry| entry.mapping).collect();
        assert_eq!(self.table.mappings(), mappings.len());
        let redirected = self
            .list
            .iter()
            .filter(|entry| entry.info.remote != entry.info.remote_outside);
        assert_eq!(self.table.redirects.len(), redirected.count());
        for entry in &self.list {
            let [inside, outside] = Self::keys(&entry.info);
            assert_eq!(self.table.find(&inside), Some((entry.id, Half::Inside)));
            assert_eq!(self.table.find(&outside), Some((entry.id, Half::Outside)));
            let session = self.table.session(entry.id);
            assert_eq!(
                (session.info(), session.mapping()),
                (entry.info, entry.mapping)
            );
            let public = entry.info.mapping.public;
            let by_public = self.table.mapping_of_public(OUT, Protocol::Udp, public);
            assert_eq!(by_public, entry.listed.then_some(entry.mapping));
            // Another VPC with the same addresses finds nothing.
            let elsewhere = FlowKey {
                vpc: VpcId::new(9),
                ..inside
            };
            assert_eq!(self.table.find(&elsewhere), None);
            for host in 0..4 {
                for net in [[198, 51, 100], [192, 0, 2]] {
                    let remote = end(net, host, 9999);
                    let known = self.list.iter().any(|other| {
                        other.mapping == entry.mapping
                            && other.info.remote_outside.ip() == remote.ip()
                    });
                    let filtering = Filtering::AddressDependent;
                    assert_eq!(self.table.admits(entry.mapping, remote, filtering), known);
                }
            }
        }
        for host in 0..4 {
            let host = end([10, 0, 0], host, 0).ip();
            let mut publics = self
                .list
                .iter()
                .filter(|entry| entry.info.mapping.inside.ip() == host);
            match self.table.paired_address(IN, OUT, host) {
                None => assert!(publics.all(|entry| !entry.listed)),
                Some(public) => {
                    assert!(publics.any(|entry| entry.listed));
                    assert_eq!(public, self.latest[&host]);
                }
            }
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_a_list(steps in prop::collection::vec(step(), 1..150)) {
        let mut model = Model {
            table: SessionTable::new(12),
            list: Vec::new(),
            next_public: 2000,
            latest: HashMap::new(),
            returned: Vec::new(),
            now: 0,
        };
        for step in &steps {
            model.step(step);
            model.check();
        }
    }
}
