//! The short way through the packet layer against the long one: what it takes for plain reads as
//! its view does, and is rewritten to the same bytes.

use std::net::SocketAddr;

use natshard::Protocol;
use proptest::prelude::*;

use crate::addr::Addr;
use crate::packet::plain::{End, Replacement};
use crate::packet::testing::Build;
use crate::packet::*;

const LINKS: [Link; 5] = [
    Link::Ethernet,
    Link::RawIp,
    Link::LinuxCooked,
    Link::LinuxCooked2,
    Link::Loopback,
];

/// A frame that is nearly plain: built, and then perhaps a byte is another, or the end is missing.
fn frame() -> impl Strategy<Value = (Link, Vec<u8>)> {
    let built = (
        (any::<bool>(), any::<bool>(), 0..4usize, 0..10u8),
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..8),
        any::<(u8, u16)>(),
        prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        prop::option::weighted(0.2, any::<prop::sample::Index>()),
        0..6usize,
    )
        .prop_map(
            |((tcp, v6, vlans, oddity), payload, trailer, (hops, checksum), flip, cut, link)| {
                let [source, destination] = match v6 {
                    false => ["10.0.0.1:40000", "203.0.113.9:443"],
                    true => ["[fd00::1]:40000", "[2001:db8::9]:443"],
                };
                let mut build = match tcp {
                    true => Build::tcp(source, destination),
                    false => Build::udp(source, destination),
                };
                build = match (oddity, v6) {
                    (0, false) => build.options(&[1, 1, 148, 4, 0, 0]),
                    (0, true) => build.extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]),
                    (2, _) => build.checksum(checksum),
                    (3, _) => build.checksum(0),
                    (4, _) => build.checksum(0xffff),
                    _ => build,
                };
                for vlan in 0..vlans {
                    build = build.vlan(vlan as u16);
                }
                if oddity == 1 {
                    build = build.pppoe(7);
                }
                let build = build.payload(&payload).trailer(&trailer).hop_limit(hops);
                let (link, mut frame) = match link {
                    0 => (Link::RawIp, build.packet()),
                    link => (LINKS[link % 3], build.frame()),
                };
                if let Some((at, byte)) = flip {
                    let at = at.index(frame.len());
                    frame[at] = byte;
                }
                if let Some(at) = cut {
                    frame.truncate(at.index(frame.len()));
                }
                (link, frame)
            },
        );
    let arbitrary = (0..5usize, prop::collection::vec(any::<u8>(), 0..80))
        .prop_map(|(link, bytes)| (LINKS[link], bytes));
    prop_oneof![9 => built, 1 => arbitrary]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn what_is_plain_reads_as_its_view_does_and_is_rewritten_to_the_same_bytes(
        (link, frame) in frame(),
        address in any::<[u64; 2]>(),
        port in prop_oneof![Just(0), Just(0xffff), any::<u16>()],
        (source, decrement) in any::<(bool, bool)>(),
    ) {
        let Some(plain) = PlainPacket::of(link, &frame) else {
            return Ok(());
        };
        let view = dissect(link, &frame).expect("what is plain is sound");
        prop_assert_eq!(plain.view(&frame), Some(view));
        let (protocol, ports, flags) = match view.transport() {
            Transport::Tcp { source, destination, flags } => {
                (Protocol::Tcp, [source, destination], flags)
            }
            Transport::Udp { source, destination, .. } => {
                (Protocol::Udp, [source, destination], TcpFlags(0))
            }
            other => panic!("{other:?} is not plain"),
        };
        prop_assert_eq!(plain.protocol, protocol);
        prop_assert_eq!([plain.ports >> 16, plain.ports & 0xffff], ports.map(u32::from));
        prop_assert_eq!(plain.flags, flags);
        prop_assert_eq!(plain.hop_limit, view.hop_limit());
        prop_assert_eq!(plain.v6, view.source().is_ipv6());
        prop_assert_eq!(plain.source.ip(plain.v6), view.source());
        prop_assert_eq!(plain.destination.ip(plain.v6), view.destination());

        let address = match plain.v6 {
            true => Addr(address),
            false => Addr::v4(address[0] as u32),
        };
        let hop_limit = match decrement && plain.hop_limit > 1 {
            true => HopLimit::Decrement,
            false => HopLimit::Keep,
        };
        let end = Some(Endpoint { address: address.ip(plain.v6), port: Some(port) });
        let edit = Edit {
            source: end.filter(|_| source),
            destination: end.filter(|_| !source),
            hop_limit,
        };
        let (mut long, mut short) = (frame.clone(), frame);
        apply(&mut long, &view, &edit).expect("both have ports");
        let old = if source { plain.source } else { plain.destination };
        let replacement = Replacement {
            end: if source { End::Source } else { End::Destination },
            address,
            port,
            address_delta: Replacement::delta(old, address),
        };
        plain.replace(&mut short, &replacement, hop_limit);
        prop_assert_eq!(&long, &short);

        // And back, by the difference that was noted.
        let back = Replacement {
            address: old,
            port: ports[usize::from(!source)],
            address_delta: Replacement::reversed(replacement.address_delta),
            ..replacement
        };
        let again = PlainPacket::of(link, &short).expect("still plain");
        again.replace(&mut short, &back, HopLimit::Keep);
        let view = dissect(link, &long).expect("still sound");
        let end = Some(Endpoint { address: old.ip(plain.v6), port: Some(back.port) });
        let edit = Edit {
            source: end.filter(|_| source),
            destination: end.filter(|_| !source),
            hop_limit: HopLimit::Keep,
        };
        apply(&mut long, &view, &edit).expect("both have ports");
        prop_assert_eq!(long, short);
    }
}

#[test]
fn ordinary_packets_are_plain() {
    let ends = |v6| -> [SocketAddr; 2] {
        match v6 {
            false => ["10.0.0.1:40000", "203.0.113.9:443"],
            true => ["[fd00::1]:40000", "[2001:db8::9]:443"],
        }
        .map(|end| end.parse().unwrap())
    };
    for v6 in [false, true] {
        let [source, destination] = ends(v6);
        for build in [
            Build::tcp_between(source, destination),
            Build::udp_between(source, destination).payload(b"data"),
        ] {
            assert!(PlainPacket::of(Link::RawIp, &build.packet()).is_some());
            let tagged = [
                build.clone(),
                build.clone().vlan(1),
                build.clone().vlan(1).vlan(2),
            ];
            for build in tagged {
                assert!(PlainPacket::of(Link::Ethernet, &build.trailer(&[0; 6]).frame()).is_some());
            }
        }
    }
}
