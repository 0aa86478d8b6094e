//! What the function costs in memory: nothing per packet, and so much per session.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use natshard::{Engine, EngineConfig};
use natshard_nat::packet::Link;
use natshard_nat::{
    AllocationError, Behaviour, Ingress, NatAllocator, NatAllocatorBurst, NatConfig,
    NatDefaultAllocator, NatFunction, NatPool, NatRequest, NatSessionManager as _, Peering,
    PoolIndex, Pooling, Reason, SessionTable, SourceRule, SourceTarget, Tick, UnreservedPort,
    Verdict, VpcId,
};

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
}

fn count(bytes: i64) {
    // A thread that is ending has no counters any more, and needs none.
    let _ = BYTES.try_with(|total| total.set(total.get() + bytes));
    if bytes > 0 {
        let _ = ALLOCATIONS.try_with(|total| total.set(total.get() + 1));
    }
}

// SAFETY: every call is passed on to the system allocator as it is; the counters do not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: the caller's promises are the system allocator's requirements.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: the pointer came from `System.alloc` with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

const INSIDE: Ingress = Ingress {
    link: Link::RawIp,
    vpc: VpcId::new(1),
    token: 0,
};
const OUTSIDE: Ingress = Ingress {
    link: Link::RawIp,
    vpc: VpcId::new(2),
    token: 0,
};

fn config() -> NatConfig {
    NatConfig::builder()
        .pool(
            NatPool::new("public")
                .prefix("203.0.113.0/28".parse().unwrap())
                .prefix("2001:db8:cafe::/112".parse().unwrap()),
        )
        .peering(
            Peering::new("internet", INSIDE.vpc, OUTSIDE.vpc)
                .source(SourceRule::new("10.0.0.0/8".parse().unwrap(), "public"))
                .source(SourceRule::new("fd00::/8".parse().unwrap(), "public"))
                .behaviour(Behaviour {
                    pooling: Pooling::Arbitrary,
                    ..Behaviour::default()
                }),
        )
        .build()
        .unwrap()
}

type Function = NatFunction<NatDefaultAllocator, SessionTable<natshard::Lease>>;

fn function(sessions: usize) -> Function {
    let config = config();
    let engine = EngineConfig::new(1).hold_down(Duration::from_secs(1));
    let engine = config
        .pools()
        .iter()
        .fold(engine, |engine, pool| engine.pool(pool.to_engine()));
    let engine = Engine::new(engine).unwrap();
    let allocator = NatDefaultAllocator::new(&engine, 0).unwrap();
    NatFunction::new(config, allocator, SessionTable::preallocated(sessions))
}

/// An allocator that costs no memory, with leases the size of the engine's.
struct Counter {
    next: u32,
}

struct CounterBurst<'a> {
    next: &'a mut u32,
    config: &'a NatConfig,
}

#[derive(Debug)]
#[expect(dead_code, reason = "it only takes up room")]
struct Sized16(NonZeroU64, NonZeroU64);

impl NatAllocator for Counter {
    type Lease = Sized16;
    type Burst<'a> = CounterBurst<'a>;

    fn burst<'a>(&'a mut self, _: Tick, config: &'a Arc<NatConfig>) -> CounterBurst<'a> {
        CounterBurst {
            next: &mut self.next,
            config,
        }
    }

    fn idle(&mut self, _: Tick) {}
}

impl NatAllocatorBurst for CounterBurst<'_> {
    type Lease = Sized16;

    fn config(&self) -> &NatConfig {
        self.config
    }

    fn lease(
        &mut self,
        _: PoolIndex,
        request: &NatRequest,
    ) -> Result<SourceTarget<Sized16>, AllocationError> {
        let (address, port) = (*self.next / 60_000, 1024 + (*self.next % 60_000) as u16);
        *self.next += 1;
        Ok(SourceTarget {
            lease: Sized16(NonZeroU64::MIN, NonZeroU64::MIN),
            address: match request.tuple.source {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(0xcb00_7100 + address)),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(PUBLIC6 + u128::from(address))),
            },
            port: UnreservedPort::within(request.tuple.protocol, port, 1024, u16::MAX)?,
        })
    }

    fn release(&mut self, _: Sized16, _: Reason) {}
}

/// A UDP packet of 60 bytes without link header.
fn udp(source: (Ipv4Addr, u16), destination: (Ipv4Addr, u16)) -> [u8; 60] {
    let mut packet = [0; 60];
    packet[..4].copy_from_slice(&[0x45, 0, 0, 60]);
    packet[8..10].copy_from_slice(&[64, 17]);
    packet[12..16].copy_from_slice(&source.0.octets());
    packet[16..20].copy_from_slice(&destination.0.octets());
    packet[20..22].copy_from_slice(&source.1.to_be_bytes());
    packet[22..24].copy_from_slice(&destination.1.to_be_bytes());
    packet[24..26].copy_from_slice(&40u16.to_be_bytes());
    packet
}

const PUBLIC6: u128 = 0x2001_0db8_cafe << 80;

/// The same over IPv6, of flow number `flow`: 100 flows to a host.
fn first6(flow: u32) -> [u8; 60] {
    let mut packet = [0; 60];
    packet[0] = 0x60;
    packet[4..8].copy_from_slice(&[0, 20, 17, 64]);
    let host = 0xfd << 120 | u128::from(flow / 100 + 1);
    packet[8..24].copy_from_slice(&host.to_be_bytes());
    packet[24..40].copy_from_slice(&(0x2001_0db8_u128 << 96 | 1).to_be_bytes());
    packet[40..42].copy_from_slice(&(1000 + (flow % 100) as u16).to_be_bytes());
    packet[42..46].copy_from_slice(&[0, 53, 0, 20]);
    packet[46..48].copy_from_slice(&[0x12, 0x34]);
    packet
}

const REMOTE: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 1), 53);

/// The first packet of flow number `flow`: 100 flows to a host.
fn first(flow: u32) -> [u8; 60] {
    let host = Ipv4Addr::from_bits(0x0a00_0001 + flow / 100);
    udp((host, 1000 + (flow % 100) as u16), REMOTE)
}

/// The answer to a translated packet.
fn answer(translated: &[u8; 60]) -> [u8; 60] {
    let address = Ipv4Addr::from_bits(u32::from_be_bytes(translated[12..16].try_into().unwrap()));
    let port = u16::from_be_bytes(translated[20..22].try_into().unwrap());
    udp(REMOTE, (address, port))
}

/// Processes packets in bursts of 32 at that time.
fn run<A: NatAllocator>(
    nat: &mut NatFunction<A, SessionTable<A::Lease>>,
    now: u64,
    ingress: Ingress,
    packets: &mut [[u8; 60]],
) {
    let mut sink = ();
    for packets in packets.chunks_mut(32) {
        let mut burst = nat.burst(Tick::from_millis(now), &mut sink);
        for packet in packets {
            let verdict = burst.process(packet, ingress);
            assert!(matches!(verdict, Verdict::Translated { .. }), "{verdict:?}");
        }
    }
}

#[test]
fn i7_packets_of_established_sessions_allocate_nothing() {
    let mut nat = function(10_000);
    let mut packets: Vec<_> = (0..2000).map(first).collect();
    run(&mut nat, 1000, INSIDE, &mut packets);
    let mut answers: Vec<_> = packets.iter().map(answer).collect();
    let (sent, answered) = ((0..2000).map(first).collect::<Vec<_>>(), answers.clone());
    let before = ALLOCATIONS.get();
    for round in 0..100 {
        packets.copy_from_slice(&sent);
        answers.copy_from_slice(&answered);
        run(&mut nat, 2000 + round * 1000, INSIDE, &mut packets);
        run(&mut nat, 2500 + round * 1000, OUTSIDE, &mut answers);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "in 400,000 packets");
    assert_eq!(nat.sessions().len(), 2000);
}

#[test]
fn i7_batches_of_established_sessions_allocate_nothing() {
    let mut nat = function(10_000);
    let mut packets: Vec<_> = (0..2000).map(first).collect();
    run(&mut nat, 1000, INSIDE, &mut packets);
    let answers: Vec<_> = packets.iter().map(answer).collect();
    let sent: Vec<_> = (0..2000).map(first).collect();
    let mut verdicts = Vec::with_capacity(32);
    let mut translated = 0;
    let before = ALLOCATIONS.get();
    for round in 0..100 {
        for (packets, ingress) in [(&sent, INSIDE), (&answers, OUTSIDE)] {
            for packets in packets.chunks_exact(16) {
                let mut frames: [[u8; 60]; 16] = packets.try_into().expect("sixteen");
                let mut batch = frames.each_mut().map(|frame| (&mut frame[..], ingress));
                let now = Tick::from_millis(2000 + round * 1000);
                nat.burst(now, &mut ())
                    .process_batch(&mut batch, &mut verdicts);
                translated += verdicts
                    .iter()
                    .filter(|it| matches!(it, Verdict::Translated { .. }))
                    .count();
                verdicts.clear();
            }
        }
    }
    assert_eq!(ALLOCATIONS.get() - before, 0, "in 400,000 packets");
    assert_eq!(translated, 400_000);
}

#[test]
fn sessions_that_come_and_go_allocate_next_to_nothing() {
    let mut nat = function(20_000);
    let mut flow = 0;
    let mut round = |nat: &mut Function, now: u64| {
        let mut packets: [_; 500] = std::array::from_fn(|_| {
            flow = (flow + 1) % 1_000_000;
            first(flow)
        });
        run(nat, now, INSIDE, &mut packets);
        nat.idle(Tick::from_millis(now + 5000), &mut ());
    };
    // A session lives 300 s: after a while as many end as begin.
    for step in 0..60 {
        round(&mut nat, step * 10_000);
    }
    let before = ALLOCATIONS.get();
    for step in 60..260 {
        round(&mut nat, step * 10_000);
    }
    let allocations = ALLOCATIONS.get() - before;
    assert!(
        allocations < 1000,
        "{allocations} allocations for 100,000 sessions"
    );
    assert!(nat.sessions().len() < 20_000);
}

/// What each session of a full, preallocated table costs, with everything around it.
fn cost_of_each(packet: fn(u32) -> [u8; 60]) -> f64 {
    let sessions = (1 << 16) * 7 / 8;
    let mut packets: Vec<_> = (0..sessions as u32).map(packet).collect();
    let before = BYTES.get();
    let table = SessionTable::preallocated(sessions);
    let mut nat = NatFunction::new(config(), Counter { next: 0 }, table);
    run(&mut nat, 1000, INSIDE, &mut packets);
    assert_eq!(nat.sessions().len(), sessions);
    assert!(nat.sessions().is_full());
    let cost = BYTES.get() - before;
    let each = cost as f64 / sessions as f64;
    println!("{each:.1} bytes per session");
    each
}

#[test]
fn a_session_costs_less_than_160_bytes() {
    let each = cost_of_each(first);
    assert!(each < 160.0, "{each:.1} bytes per session");
}

#[test]
fn an_ipv6_session_costs_less_than_256_bytes() {
    let each = cost_of_each(first6);
    assert!(
        (160.0..256.0).contains(&each),
        "{each:.1} bytes per session"
    );
}

/// Sessions and indices grow in chunks, and the indices by half as much again, a bucket at a time:
/// there is no moment in which a table costs twice what it holds.
#[test]
fn a_session_of_a_growing_table_costs_160_bytes_on_the_average() {
    let before = BYTES.get();
    let table = SessionTable::new(usize::MAX);
    let mut nat = NatFunction::new(config(), Counter { next: 0 }, table);
    let (mut all, mut most) = (Vec::new(), 0.0_f64);
    for start in (0..320_000).step_by(2_000) {
        let mut packets: [_; 2_000] = std::array::from_fn(|at| first(start + at as u32));
        run(&mut nat, 1000, INSIDE, &mut packets);
        if start >= 100_000 {
            let each = (BYTES.get() - before) as f64 / nat.sessions().len() as f64;
            all.push(each);
            most = most.max(each);
        }
    }
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    println!("{mean:.1} bytes per session, {most:.1} at most");
    assert!(mean < 160.0, "{mean:.1} bytes per session");
    assert!(most < 172.0, "{most:.1} bytes per session at most");
}
