//! A ledger that is told of a NAT's faults finds each of them.

use std::net::Ipv4Addr;

use natshard::Engine;
use natshard_nat::packet::Endpoint;
use natshard_nat::packet::{Edit, apply};

use super::*;
use crate::replay::plan::Plan;
use crate::replay::survey::Survey;
use crate::verify::tenure::Judgement;

const RAW: u16 = 101;

fn context() -> Context {
    let plan = Plan::without_configuration(1, Some(1), 1, &Survey::default()).unwrap();
    let engine = Engine::new(plan.engine.clone()).unwrap();
    Context::new(plan, engine, 1, false, 0)
}

/// A UDP packet without a checksum from 10.0.0.`host`:4000 to 198.18.0.1:53.
fn request(host: u8) -> Vec<u8> {
    let mut packet = vec![
        0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 198, 18, 0, 1, 0x0f, 0xa0, 0, 53,
        0, 12, 0, 0, b'a', b'b', b'c', b'd',
    ];
    let sum: u32 = packet[..20]
        .chunks(2)
        .map(|it| u32::from(u16::from_be_bytes([it[0], it[1]])))
        .sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet
}

/// The same as the outside sees it.
fn translated(host: u8, port: u16) -> Vec<u8> {
    let mut packet = request(host);
    let view = dissect(Link::RawIp, &packet).unwrap();
    let edit = Edit {
        source: Some(Endpoint {
            address: Ipv4Addr::new(203, 0, 113, 9).into(),
            port: Some(port),
        }),
        ..Edit::default()
    };
    apply(&mut packet, &view, &edit).unwrap();
    packet
}

fn pending(frame: &[u8], is_current: bool) -> Pending {
    Pending {
        place: (1, 0),
        at: 0,
        wire_len: frame.len() as u32,
        linktype: RAW,
        view: dissect(Link::RawIp, frame).unwrap(),
        is_current,
    }
}

const OUT: Verdict = Verdict::Translated {
    direction: Direction::Outbound,
    to: VpcId::new(1),
};
const IN: Verdict = Verdict::Translated {
    direction: Direction::Inbound,
    to: VpcId::new(0),
};

fn send(ledger: &mut Ledger<'_>, host: u8, port: u16) {
    let before = request(host);
    let after = translated(host, port);
    let pending = pending(&before, true);
    ledger.settle_out(&pending, Link::RawIp, &before, &after, OUT);
}

fn judge(ledger: Ledger<'_>) -> Judgement {
    Tenures::judge(vec![ledger.tenures], 120_000)
}

#[test]
fn a_nat_that_does_right_is_not_accused() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    send(&mut ledger, 1, 5000);
    send(&mut ledger, 2, 5001);
    send(&mut ledger, 1, 5000);
    let reply = request(1);
    ledger.settle_in(&pending(&reply, true), &reply, &[], &reply, IN);
    assert_eq!(ledger.counts.translated(), 4);
    assert_eq!(ledger.findings.round_trips, 1);
    assert!(ledger.findings.pass());
    assert_eq!(ledger.tenures.alive(), 2);
    assert_eq!(judge(ledger), Judgement::default());
}

#[test]
fn a_reply_with_one_wrong_byte_is_a_mismatch() {
    let context = context();
    let reply = request(1);
    for at in 0..reply.len() {
        let mut ledger = Ledger::new(&context);
        let mut wrong = reply.clone();
        wrong[at] ^= 1;
        ledger.settle_in(&pending(&reply, true), &reply, &[], &wrong, IN);
        assert_eq!(ledger.findings.round_trip_mismatches, 1, "byte {at}");
        assert_eq!(ledger.findings.round_trips, 0);
    }
}

#[test]
fn a_reply_to_a_tuple_that_was_given_away_since_is_a_drop_and_no_mismatch() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    let (mine, yours) = (request(1), request(2));
    ledger.settle_in(&pending(&mine, false), &mine, &[], &yours, IN);
    assert_eq!(ledger.findings.round_trip_mismatches, 0);
    assert_eq!(ledger.counts.dropped["mapping_gone"], 1);
}

#[test]
fn a_forgotten_checksum_is_found_on_the_way_out() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    let before = request(1);
    let mut after = translated(1, 5000);
    after[10] ^= 1;
    ledger.settle_out(&pending(&before, true), Link::RawIp, &before, &after, OUT);
    assert_eq!(ledger.findings.bad_checksums, 1);
}

#[test]
fn a_byte_changed_beside_the_source_is_found() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    let before = request(1);
    let mut after = translated(1, 5000);
    after[30] ^= 1;
    ledger.settle_out(&pending(&before, true), Link::RawIp, &before, &after, OUT);
    assert_eq!(ledger.findings.stray_changes, 1);
}

#[test]
fn a_tuple_given_to_two_hosts_is_found() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    send(&mut ledger, 1, 5000);
    send(&mut ledger, 2, 5000);
    send(&mut ledger, 1, 5000);
    assert_eq!(judge(ledger).duplicates, 1);
}

fn released(ledger: &mut Ledger<'_>, at: u64, reason: Reason) {
    let public = SocketAddr::new(Ipv4Addr::new(203, 0, 113, 9).into(), 5000);
    let inside = SocketAddr::new(Ipv4Addr::new(10, 0, 0, 1).into(), 4000);
    let mapping = MappingInfo {
        inside_vpc: VpcId::new(0),
        outside_vpc: VpcId::new(1),
        protocol: Protocol::Udp,
        inside,
        public,
    };
    ledger.ended(Tick::from_millis(at), &mapping, reason);
}

#[test]
fn a_port_that_did_not_rest_is_found() {
    for (rest, reason, unrested) in [
        (119_999, Reason::Ended, 1),
        (120_000, Reason::Ended, 0),
        (0, Reason::Unused, 0),
        // The pools do not say that ports of closed connections need no rest.
        (0, Reason::Closed, 1),
    ] {
        let context = context();
        let mut ledger = Ledger::new(&context);
        send(&mut ledger, 1, 5000);
        ledger.at(Tick::from_millis(1000));
        released(&mut ledger, 1000, reason);
        assert_eq!(ledger.tenures.alive(), 0);
        ledger.at(Tick::from_millis(1000 + rest));
        send(&mut ledger, 2, 5000);
        assert_eq!(judge(ledger).unrested, unrested, "{rest} ms, {reason:?}");
    }
}

#[test]
fn a_reply_that_the_engine_would_steer_elsewhere_is_found() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    // The frames show a flow, and the engine knows nothing of its tuple.
    send(&mut ledger, 1, 5000);
    let mut reply = request(1);
    reply.copy_within(12..16, 28);
    reply.copy_within(16..20, 12);
    reply.copy_within(28..32, 16);
    reply[20..24].copy_from_slice(&[0, 53, 0x0f, 0xa0]);
    let view = dissect(Link::RawIp, &reply).unwrap();
    let route = ledger.route(&view).unwrap();
    assert!(ledger.is_current(&route, &view));
    assert_eq!(ledger.is_steered_to(&route, 0), Steered::Nowhere);
}

#[test]
fn what_was_held_for_ever_is_counted() {
    let context = context();
    let mut ledger = Ledger::new(&context);
    let frame = request(1);
    ledger.hold(7, pending(&frame, true), &frame, None);
    ledger.abandon();
    assert_eq!(ledger.counts.dropped["held_for_ever"], 1);
}
