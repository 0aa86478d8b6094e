//! Claims that hold whatever packets come:
//!
//! - no two inside flows share a public tuple and remote endpoint;
//! - the leases are exactly what live mappings hold, by the function's and the allocator's books;
//! - a reply to a translated packet comes back as if there were no NAT, byte for byte;
//! - the counters are sums of the verdicts;
//! - arbitrary bytes never panic, and only translated frames change.
//!
//! `Lab::check` recomputes the first two after every packet.

use std::collections::HashMap;

use proptest::prelude::*;

use super::flags::{ACK, FIN, RST, SYN};
use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A packet from one of a few inside endpoints, and its reply.
    Flow {
        tenant: bool,
        host: u8,
        port: u8,
        remote: u8,
        kind: u8,
        v6: bool,
        reply: bool,
    },
    /// A packet from outside to a tuple that has been in use.
    Uninvited {
        which: usize,
        remote: u8,
        kind: u8,
    },
    /// A fragment of a datagram.
    Fragment {
        host: u8,
        id: u8,
        piece: usize,
    },
    Pass {
        seconds: u16,
    },
    Behave {
        mapping: bool,
        filtering: u8,
        small: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => (any::<bool>(), 0u8..4, 0u8..4, 0u8..4, 0u8..8, any::<bool>(), any::<bool>())
            .prop_map(|(tenant, host, port, remote, kind, v6, reply)| Step::Flow {
                tenant, host, port, remote, kind, v6, reply,
            }),
        4 => (any::<usize>(), 0u8..6, 0u8..3)
            .prop_map(|(which, remote, kind)| Step::Uninvited { which, remote, kind }),
        2 => (0u8..3, 0u8..3, 0usize..4)
            .prop_map(|(host, id, piece)| Step::Fragment { host, id, piece }),
        3 => (0u16..700).prop_map(|seconds| Step::Pass { seconds }),
        1 => (any::<bool>(), 0u8..3, any::<bool>())
            .prop_map(|(mapping, filtering, small)| Step::Behave { mapping, filtering, small }),
    ]
}

fn packet(kind: u8, source: &str, destination: &str) -> Build {
    match kind {
        0 | 1 => Build::udp(source, destination).payload(b"payload"),
        2 => Build::tcp(source, destination).flags(SYN),
        3 => Build::tcp(source, destination).flags(ACK).payload(b"data"),
        4 => Build::tcp(source, destination).flags(FIN | ACK),
        5 => Build::tcp(source, destination).flags(RST),
        _ => {
            let ends: [SocketAddr; 2] = [source.parse().unwrap(), destination.parse().unwrap()];
            let [from, to] = ends.map(|end| end.ip().to_string());
            // The identifier is the port of whichever end is inside: the lower one.
            Build::echo_request(&from, &to, ends[0].port(), 1)
        }
    }
}

fn small(behave: (bool, u8, bool)) -> NatConfig {
    let (mapping, filtering, small) = behave;
    config_with(
        |pool| {
            if small {
                pool.ports(2000..=2003).identifiers(0..=3)
            } else {
                pool
            }
        },
        |behaviour| {
            behaviour.mapping = Mapping::ALL[usize::from(mapping)];
            behaviour.filtering = Filtering::ALL[usize::from(filtering)];
        },
    )
}

fn run<A: Make>(steps: &[Step]) {
    let mut lab = Lab::<A>::sized(small((false, 1, true)), Duration::from_secs(30), 60);
    let mut seen: Vec<SocketAddr> = Vec::new();
    // The inside flow that last used a public tuple towards a remote endpoint.
    for step in steps {
        match *step {
            Step::Flow {
                tenant,
                host,
                port,
                remote,
                kind,
                v6,
                reply,
            } => {
                let vpc = if tenant { TENANT_A } else { TENANT_B };
                let (inside, remote) = if v6 {
                    (
                        format!("[fd00::{}]:{}", host + 1, 1000 + u16::from(port)),
                        format!("[2001:db8::{}]:{}", remote + 1, 80),
                    )
                } else {
                    (
                        format!("10.0.0.{}:{}", host + 1, 1000 + u16::from(port)),
                        format!("198.51.100.{}:{}", remote + 1, 80),
                    )
                };
                let out = lab.send(vpc, &packet(kind, &inside, &remote));
                if out.direction().is_none() {
                    continue;
                }
                let public = out.source();
                seen.push(public);
                if !reply {
                    continue;
                }
                // The reply as it would be without a NAT, and as it comes to the NAT.
                let answer = |to: &str| match kind {
                    0 | 1 => Build::udp(&remote, to).payload(b"reply"),
                    2 => Build::tcp(&remote, to).flags(SYN | ACK),
                    3..=5 => Build::tcp(&remote, to).flags(ACK),
                    _ => {
                        let [from, to]: [SocketAddr; 2] =
                            [remote.parse().unwrap(), to.parse().unwrap()];
                        Build::echo_reply(
                            &from.ip().to_string(),
                            &to.ip().to_string(),
                            to.port(),
                            1,
                        )
                    }
                };
                let back = lab.send(WORLD, &answer(&public.to_string()));
                assert_eq!(
                    back.verdict,
                    Verdict::Translated {
                        direction: Direction::Inbound,
                        to: vpc
                    }
                );
                assert_eq!(back.frame, answer(&inside).frame());
            }
            Step::Uninvited {
                which,
                remote,
                kind,
            } => {
                if seen.is_empty() {
                    continue;
                }
                let public = seen[which % seen.len()];
                let from = if public.is_ipv6() {
                    format!("[2001:db8::{}]:81", remote + 1)
                } else {
                    format!("198.51.100.{}:81", remote + 1)
                };
                lab.send(
                    WORLD,
                    &packet([0, 2, 6][usize::from(kind)], &from, &public.to_string()),
                );
            }
            Step::Fragment { host, id, piece } => {
                let payload = [7u8; 200];
                let source = format!("10.0.0.{}:7000", host + 1);
                let pieces = Build::udp(&source, "198.51.100.1:80")
                    .id(id.into())
                    .payload(&payload)
                    .fragments(64);
                lab.give(TENANT_A, &pieces[piece]);
            }
            Step::Pass { seconds } => {
                lab.pass(seconds.into());
                lab.tick();
            }
            Step::Behave {
                mapping,
                filtering,
                small: few,
            } => {
                lab.publish(small((mapping, filtering, few)));
            }
        }
        no_two_flows_share_a_tuple_and_remote(&lab);
    }
    lab.nat.shutdown(Tick::from_millis(lab.now), &mut lab.log);
    lab.check();
    assert_eq!(
        (lab.sessions(), lab.mappings(), lab.nat.stats().held),
        (0, 0, 0)
    );
    assert_eq!(lab.nat.allocator().leased(), 0);
}

fn no_two_flows_share_a_tuple_and_remote<A: Make>(lab: &Lab<A>) {
    let mut owners = HashMap::new();
    for session in lab.nat.sessions().iter() {
        let info = session.info();
        let mapping = info.mapping;
        let inside = (mapping.inside_vpc, mapping.inside);
        let key = (mapping.outside_vpc, mapping.protocol, mapping.public);
        if let Some(other) = owners.insert(key, inside) {
            assert_eq!(other, inside, "{} has two owners", mapping.public);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_packets_keep_every_claim_reference(steps in prop::collection::vec(step(), 1..120)) {
        run::<ReferenceAllocator>(&steps);
    }

    #[test]
    fn random_packets_keep_every_claim_engine(steps in prop::collection::vec(step(), 1..120)) {
        run::<NatDefaultAllocator>(&steps);
    }

    #[test]
    fn arbitrary_and_mutilated_frames_never_panic(
        frames in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..120), 0usize..90, any::<u8>()), 1..40),
    ) {
        let mut nat = NatFunction::new(
            small((false, 0, false)),
            ReferenceAllocator::new(Duration::ZERO),
            SessionTable::new(100),
        );
        for (index, (arbitrary, bytes, at, flip)) in frames.into_iter().enumerate() {
            let mut frame = if arbitrary {
                bytes
            } else {
                let mut frame = packet((index % 8) as u8, "10.0.0.1:1000", "198.51.100.1:80").payload(&bytes).frame();
                let at = at % frame.len();
                frame[at] ^= flip;
                frame
            };
            for (link, vpc) in [(Link::Ethernet, TENANT_A), (Link::RawIp, WORLD), (Link::LinuxCooked2, TENANT_B)] {
                let before = frame.clone();
                let ingress = Ingress { link, vpc, token: 0 };
                let verdict = nat.burst(Tick::from_millis(index as u64), &mut ()).process(&mut frame, ingress);
                if !matches!(verdict, Verdict::Translated { .. }) {
                    prop_assert_eq!(&before, &frame);
                }
            }
        }
    }
}
