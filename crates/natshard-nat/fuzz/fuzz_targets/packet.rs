//! The packet layer on arbitrary bytes: dissection, editing and verification must not panic, and a
//! translation that is accepted must be undone to the last byte by its inverse, with every checksum
//! verdict unchanged in between.
//!
//! Run in `crates/natshard-nat` with `cargo install cargo-fuzz` done:
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run packet -- -max_total_time=300`

#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use natshard_nat::packet::checksum::verify;
use natshard_nat::packet::{
    Edit, Endpoint, Family, HopLimit, Link, QuotedTransport, Transport, View, apply, apply_quoted,
    dissect,
};

/// Input: link type, choices for the outer and the quoted packet, four endpoints, the frame.
const HEAD: usize = 3 + 4 * 18;

const LINKS: [Link; 5] = [
    Link::Ethernet,
    Link::RawIp,
    Link::LinuxCooked,
    Link::LinuxCooked2,
    Link::Loopback,
];

fuzz_target!(|input: &[u8]| {
    let Some((head, original)) = input.split_at_checked(HEAD) else {
        return;
    };
    let link = LINKS[usize::from(head[0]) % LINKS.len()];
    let Ok(view) = dissect(link, original) else {
        return;
    };
    assert!(view.network_offset() < view.transport_offset());
    assert!(view.transport_offset() <= view.end() && view.end() <= original.len());
    let endpoints: Vec<&[u8]> = head[3..].chunks(18).collect();
    let outer = edit(head[1], view.family(), &endpoints[..2]);
    let quoted = edit(head[2], view.family(), &endpoints[2..]);

    let before = verify(original, &view);
    let mut frame = original.to_vec();
    let done = write(&mut frame, &view, &outer, &quoted);
    assert_eq!(
        frame[..view.network_offset()],
        original[..view.network_offset()]
    );
    assert_eq!(frame[view.end()..], original[view.end()..]);
    if !done {
        assert_eq!(frame, original);
        return;
    }

    let there = dissect(link, &frame).expect("a translated frame is as good as the original");
    assert_eq!(verify(&frame, &there), before);
    if outer.hop_limit == HopLimit::Decrement {
        assert_eq!(there.hop_limit(), view.hop_limit() - 1);
        return;
    }
    let (back, back_quoted) = inverse(&view, &outer, &quoted);
    assert!(write(&mut frame, &there, &back, &back_quoted));
    assert_eq!(frame, original);
});

fn write(frame: &mut [u8], view: &View, outer: &Edit, quoted: &Edit) -> bool {
    match view.transport() {
        Transport::IcmpError { .. } => apply_quoted(frame, view, outer, quoted),
        _ => apply(frame, view, outer),
    }
    .is_ok()
}

fn edit(choice: u8, family: Family, endpoints: &[&[u8]]) -> Edit {
    let endpoint = |bytes: &[u8], with_port: bool| {
        let (address, port) = bytes.split_at(16);
        let v4 = (family == Family::V4) != (choice & 0x20 != 0 && choice & 0x40 != 0);
        let address = if v4 {
            IpAddr::from(*address.first_chunk::<4>().expect("16 bytes"))
        } else {
            IpAddr::from(*address.first_chunk::<16>().expect("16 bytes"))
        };
        Endpoint {
            address,
            port: with_port.then(|| u16::from_be_bytes([port[0], port[1]])),
        }
    };
    Edit {
        source: (choice & 1 != 0).then(|| endpoint(endpoints[0], choice & 4 != 0)),
        destination: (choice & 2 != 0).then(|| endpoint(endpoints[1], choice & 8 != 0)),
        hop_limit: if choice & 0x10 != 0 {
            HopLimit::Decrement
        } else {
            HopLimit::Keep
        },
    }
}

fn inverse(view: &View, outer: &Edit, quoted: &Edit) -> (Edit, Edit) {
    let back = |edit: &Edit, source: (IpAddr, u16), destination: (IpAddr, u16)| {
        let end = |(address, port), endpoint: Endpoint| Endpoint {
            address,
            port: endpoint.port.map(|_| port),
        };
        Edit {
            source: edit.source.map(|endpoint| end(source, endpoint)),
            destination: edit.destination.map(|endpoint| end(destination, endpoint)),
            hop_limit: HopLimit::Keep,
        }
    };
    let (source, destination) = match view.transport() {
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
        Transport::IcmpError { quoted: quote, .. } => {
            let (source, destination) = match quote.transport() {
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
            };
            return (
                back(outer, (view.source(), 0), (view.destination(), 0)),
                back(
                    quoted,
                    (quote.source(), source),
                    (quote.destination(), destination),
                ),
            );
        }
        _ => (0, 0),
    };
    (
        back(
            outer,
            (view.source(), source),
            (view.destination(), destination),
        ),
        Edit::default(),
    )
}
