//! Properties of the packet layer, over generated, mutated and arbitrary frames:
//!
//! 1. A translation writes exactly what a sender with the new endpoints would have sent.
//! 2. A translation and its inverse restore every byte, whatever the checksums were.
//! 3. A right checksum stays right, a wrong one wrong: outer, transport and quoted.
//! 4. Nothing outside the IP packet is touched.
//! 5. No bytes make dissection, editing or verification panic; offsets are in order.
//! 6. A refused edit writes nothing.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use crate::packet::checksum::verify;
use crate::packet::testing::Build;
use crate::packet::*;

const LINKS: [Link; 5] = [
    Link::Ethernet,
    Link::RawIp,
    Link::LinuxCooked,
    Link::LinuxCooked2,
    Link::Loopback,
];

/// Words at which checksum arithmetic is interesting, among others.
fn word() -> impl Strategy<Value = u16> {
    any::<(u8, u16)>().prop_map(|(choice, word)| match choice % 8 {
        0 => 0,
        1 => 1,
        2 => 0xfffe,
        3 => 0xffff,
        _ => word,
    })
}

fn socket(v6: bool, words: [u16; 9]) -> SocketAddr {
    let [port, words @ ..] = words;
    let address = if v6 {
        IpAddr::from(words)
    } else {
        let ([a, b], [c, d]) = (words[0].to_be_bytes(), words[1].to_be_bytes());
        IpAddr::from([a, b, c, d])
    };
    SocketAddr::new(address, port)
}

/// What can be chosen about a packet apart from its endpoints.
#[derive(Clone, Debug)]
struct Shape {
    transport: u8,
    payload: Vec<u8>,
    extra: bool,
    vlans: Vec<u16>,
    pppoe: Option<u16>,
    trailer: Vec<u8>,
    hop_limit: u8,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        0..8u8,
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..80),
            (0..80usize).prop_map(|length| vec![0; length]),
        ],
        any::<bool>(),
        proptest::collection::vec(any::<u16>(), 0..3),
        any::<Option<u16>>(),
        proptest::collection::vec(any::<u8>(), 0..20),
        any::<u8>(),
    )
        .prop_map(
            |(transport, payload, extra, vlans, pppoe, trailer, hop_limit)| Shape {
                transport,
                payload,
                extra,
                vlans,
                pppoe,
                trailer,
                hop_limit,
            },
        )
}

impl Shape {
    fn build(&self, source: SocketAddr, destination: SocketAddr) -> Build {
        let v6 = source.is_ipv6();
        let [a, b] = source.port().to_be_bytes();
        let query = |kinds: [u8; 2]| {
            let kind = kinds[usize::from(v6)];
            Build::icmp(source.ip(), destination.ip(), kind, 0, [a, b, 0, 0])
        };
        let mut build = match self.transport {
            0 | 1 => Build::tcp_between(source, destination),
            2 | 3 => Build::udp_between(source, destination),
            4 => Build::udp_between(source, destination).checksum(0),
            5 => query([8, 128]),
            6 => query([0, 129]),
            _ => Build::raw(source.ip(), destination.ip(), 47, &[0; 4]),
        };
        if self.extra && v6 {
            build = build.extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]);
        } else if self.extra {
            build = build.options(&[1, 1, 148, 4, 0, 0]);
        }
        for &vlan in &self.vlans {
            build = build.vlan(vlan);
        }
        if let Some(session) = self.pppoe {
            build = build.pppoe(session);
        }
        build
            .payload(&self.payload)
            .trailer(&self.trailer)
            .hop_limit(self.hop_limit)
    }
}

/// Endpoints before and after.
fn endpoints() -> impl Strategy<Value = [SocketAddr; 4]> {
    let words = proptest::collection::vec(word(), 36);
    (any::<bool>(), words).prop_map(|(v6, words)| {
        std::array::from_fn(|index| {
            let words = words[index * 9..].first_chunk().expect("36 words");
            socket(v6, *words)
        })
    })
}

/// A frame that need not be right: fields overwritten, cut, a fragment, or an ICMP error.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let patches = proptest::collection::vec((any::<prop::sample::Index>(), word()), 0..4);
    (shape(), endpoints(), 0..8u8, patches, 0..200usize).prop_map(
        |(shape, [source, destination, outer, router], form, patches, keep)| {
            let build = shape.build(source, destination);
            let mut frame = match form {
                0 => build.fragments(16).swap_remove(0),
                1 => build.fragments(16).pop().expect("a fragment"),
                2..=4 => {
                    let packet = build.packet();
                    let quote = if form == 2 {
                        &packet[..keep.min(packet.len())]
                    } else {
                        &packet
                    };
                    let kind = if source.is_ipv4() { 3 } else { 1 };
                    Build::icmp(router.ip(), outer.ip(), kind, 1, [0; 4])
                        .payload(quote)
                        .frame()
                }
                _ => build.frame(),
            };
            for (at, word) in patches {
                // Even offsets hit whole fields, behind the MAC addresses.
                let at = 14 + at.index((frame.len() - 14) / 2) * 2;
                frame[at..at + 2].copy_from_slice(&word.to_be_bytes());
            }
            if form == 5 {
                frame.truncate(keep.max(14));
            }
            frame
        },
    )
}

fn target(socket: SocketAddr, with_port: bool) -> Endpoint {
    Endpoint {
        address: socket.ip(),
        port: with_port.then_some(socket.port()),
    }
}

/// The edit that a random choice asks for, for an outer or quoted packet.
fn edit(choice: u8, [source, destination]: [SocketAddr; 2]) -> Edit {
    Edit {
        source: (choice & 1 != 0).then(|| target(source, choice & 4 != 0)),
        destination: (choice & 2 != 0).then(|| target(destination, choice & 8 != 0)),
        hop_limit: HopLimit::Keep,
    }
}

/// The edit that undoes `edit` on a packet with these endpoints.
fn inverse(edit: &Edit, source: (IpAddr, u16), destination: (IpAddr, u16)) -> Edit {
    let back = |(address, port): (IpAddr, u16)| {
        move |endpoint: Endpoint| Endpoint {
            address,
            port: endpoint.port.map(|_| port),
        }
    };
    Edit {
        source: edit.source.map(back(source)),
        destination: edit.destination.map(back(destination)),
        hop_limit: HopLimit::Keep,
    }
}

fn ports(transport: Transport) -> (u16, u16) {
    match transport {
        Transport::Tcp {
            source,
            destination,
            ..
        }
        | Transport::Udp {
            source,
            destination,
            ..
        } => (source, destination),
        Transport::IcmpQuery { identifier, .. } => (identifier, identifier),
        _ => (0, 0),
    }
}

fn quoted_ports(transport: QuotedTransport) -> (u16, u16) {
    match transport {
        QuotedTransport::Tcp {
            source,
            destination,
            ..
        }
        | QuotedTransport::Udp {
            source,
            destination,
            ..
        } => (source, destination),
        QuotedTransport::IcmpQuery { identifier, .. } => (identifier, identifier),
        _ => (0, 0),
    }
}

/// Claims 2 to 6 for one frame. Says whether the frame was translated.
fn examine(
    link: Link,
    original: &[u8],
    outer: &Edit,
    quoted: &Edit,
) -> Result<bool, TestCaseError> {
    let Ok(view) = dissect(link, original) else {
        return Ok(false);
    };
    prop_assert!(view.network_offset() < view.transport_offset());
    prop_assert!(view.transport_offset() <= view.end());
    prop_assert!(view.end() <= original.len());
    let before = verify(original, &view);

    let mut frame = original.to_vec();
    let error = match view.transport() {
        Transport::IcmpError { quoted, .. } => Some(quoted),
        _ => None,
    };
    let forth = match error {
        Some(_) => apply_quoted(&mut frame, &view, outer, quoted),
        None => apply(&mut frame, &view, outer),
    };
    prop_assert_eq!(&frame[view.end()..], &original[view.end()..]);
    prop_assert_eq!(
        &frame[..view.network_offset()],
        &original[..view.network_offset()]
    );
    if forth.is_err() {
        prop_assert_eq!(&frame[..], original);
        return Ok(false);
    }

    let there = dissect(link, &frame);
    prop_assert!(there.is_ok(), "{:?}", there);
    let there = there.expect("just checked");
    prop_assert_eq!(verify(&frame, &there), before);
    for (wanted, found) in [
        (outer.source, (there.source(), ports(there.transport()).0)),
        (
            outer.destination,
            (there.destination(), ports(there.transport()).1),
        ),
    ] {
        if let Some(Endpoint { address, port }) = wanted {
            prop_assert_eq!(address, found.0);
            prop_assert!(port.is_none_or(|port| port == found.1));
        }
    }

    let (source, destination) = ports(view.transport());
    let outer = inverse(
        outer,
        (view.source(), source),
        (view.destination(), destination),
    );
    let back = match error {
        Some(quote) => {
            let (source, destination) = quoted_ports(quote.transport());
            let (source, destination) =
                ((quote.source(), source), (quote.destination(), destination));
            apply_quoted(
                &mut frame,
                &there,
                &outer,
                &inverse(quoted, source, destination),
            )
        }
        None => apply(&mut frame, &there, &outer),
    };
    prop_assert_eq!(back, Ok(()));
    prop_assert_eq!(&frame[..], original);
    Ok(true)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_translation_is_what_the_new_endpoints_would_have_sent(
        shape in shape(),
        [source, destination, new_source, new_destination] in endpoints(),
    ) {
        // An ICMP query carries only the source port, as its identifier.
        let has_ports = shape.transport < 7;
        let is_query = matches!(shape.transport, 5 | 6);
        let mut frame = shape.build(source, destination).frame();
        let view = dissect(Link::Ethernet, &frame).unwrap();
        let edit = Edit {
            source: Some(target(new_source, has_ports)),
            destination: Some(target(new_destination, has_ports && !is_query)),
            hop_limit: HopLimit::Keep,
        };
        apply(&mut frame, &view, &edit).unwrap();
        prop_assert_eq!(frame, shape.build(new_source, new_destination).frame());
    }

    #[test]
    fn a_translation_is_undone_and_keeps_right_right_and_wrong_wrong(
        frame in frame(),
        choice in any::<u8>(),
        [a, b, c, d] in endpoints(),
    ) {
        examine(Link::Ethernet, &frame, &edit(choice & 0xf, [a, b]), &edit(choice >> 4, [c, d]))?;
    }

    #[test]
    fn a_hop_less_keeps_right_right_and_wrong_wrong(mut frame in frame()) {
        if let Ok(view) = dissect(Link::Ethernet, &frame) {
            let before = verify(&frame, &view);
            let edit = Edit { hop_limit: HopLimit::Decrement, ..Edit::default() };
            let done = apply(&mut frame, &view, &edit);
            let there = dissect(Link::Ethernet, &frame).unwrap();
            prop_assert_eq!(verify(&frame, &there), before);
            prop_assert_eq!(done.is_ok(), view.hop_limit() > 1);
            prop_assert_eq!(there.hop_limit(), view.hop_limit() - u8::from(done.is_ok()));
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..160),
        version in prop_oneof![Just(0x45u8), Just(0x46), Just(0x60), any::<u8>()],
        protocol in prop_oneof![Just(1u8), Just(6), Just(17), Just(44), Just(58), any::<u8>()],
        choice in any::<u8>(),
        [a, b, c, d] in endpoints(),
    ) {
        let (outer, quoted) = (edit(choice & 0xf, [a, b]), edit(choice >> 4, [c, d]));
        for link in LINKS {
            examine(link, &bytes, &outer, &quoted)?;
        }
        // The same with a plausible start, so that not all is refused at the first byte.
        let mut bytes = bytes;
        if bytes.len() > 9 {
            bytes[0] = version;
            bytes[if version >> 4 == 4 { 9 } else { 6 }] = protocol;
            examine(Link::RawIp, &bytes, &outer, &quoted)?;
        }
    }
}

/// The generated frames are not all refused: the properties above have something to bite on.
#[test]
fn most_generated_frames_are_translated() {
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut runner = TestRunner::deterministic();
    let (mut done, mut errors, mut fragments) = (0, 0, 0);
    for _ in 0..2000 {
        let frame = frame().new_tree(&mut runner).unwrap().current();
        let Ok(view) = dissect(Link::Ethernet, &frame) else {
            continue;
        };
        errors += u32::from(matches!(view.transport(), Transport::IcmpError { .. }));
        fragments += u32::from(view.fragment().is_some());
        let own = Edit {
            source: Some(Endpoint {
                address: view.source(),
                port: None,
            }),
            ..Edit::default()
        };
        done += u32::from(examine(Link::Ethernet, &frame, &own, &Edit::default()).unwrap());
    }
    assert!(
        done > 1000 && errors > 300 && fragments > 150,
        "{done} {errors} {fragments}"
    );
}
