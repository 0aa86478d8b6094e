//! The NAT function in bursts of 32 frames, in the steady state.
//!
//! - *established*: packets of sessions that exist, UDP and TCP by turns, both directions, flows in
//!   random order;
//! - *new flow*: each packet makes a session with a mapping and a lease, time moving on so that as
//!   many sessions end as begin.
//!
//! Only the bursts are timed: frames are written into 32 buffers before each one, as a NIC would.
//! Two looks at the clock per burst are in the figures, about 1 ns per packet. Tables are filled
//! before criterion's own warm-up.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use natshard::{Engine, EngineConfig, Lease};
use natshard_nat::packet::Link;
use natshard_nat::{
    Ingress, NatConfig, NatDefaultAllocator, NatFunction, NatPool, NatSessionManager as _, Peering,
    SessionTable, SourceRule, Tick, Verdict, VpcId,
};

const BURST: usize = 32;
const LENGTH: usize = 64;
/// Flows of one inside host.
const PER_HOST: u32 = 64;
/// The UDP timeout of the default behaviour.
const LIFETIME: u64 = 300_000;
const SIZES: [u32; 2] = [1_000, 1_000_000];

const fn ingress(vpc: u32) -> Ingress {
    Ingress {
        link: Link::Ethernet,
        vpc: VpcId::new(vpc),
        token: 0,
    }
}

const INSIDE: Ingress = ingress(1);
const OUTSIDE: Ingress = ingress(2);

type Frame = [u8; LENGTH];
type Function = NatFunction<NatDefaultAllocator, SessionTable<Lease>>;

/// A function whose pool has four million tuples per protocol.
fn function(table: SessionTable<Lease>) -> Function {
    let config = NatConfig::builder()
        .pool(NatPool::new("public").prefix("203.0.113.0/26".parse().expect("a prefix")))
        .peering(
            Peering::new("internet", INSIDE.vpc, OUTSIDE.vpc).source(SourceRule::new(
                "10.0.0.0/8".parse().expect("a prefix"),
                "public",
            )),
        )
        .build()
        .expect("a sound configuration");
    let engine = EngineConfig::new(1)
        .seed(1)
        .hold_down(Duration::from_secs(1));
    let engine = config
        .pools()
        .iter()
        .fold(engine, |engine, pool| engine.pool(pool.to_engine()));
    let engine = Engine::new(engine).expect("a sound configuration");
    let allocator = NatDefaultAllocator::new(&engine, 0).expect("nobody has it");
    NatFunction::new(config, allocator, table)
}

/// A generator of flow numbers; splitmix64.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (((z >> 32) * u64::from(limit)) >> 32) as u32
    }
}

/// One end of a flow.
#[derive(Clone, Copy)]
struct End(Ipv4Addr, u16);

/// Ends of flow number `flow`: odd ones are TCP.
fn ends(flow: u32) -> (End, End) {
    let host = Ipv4Addr::from_bits(0x0a00_0001 + flow / PER_HOST);
    let remote = Ipv4Addr::from_bits(0xc633_0000 | (flow.wrapping_mul(2_654_435_761) >> 16));
    (
        End(host, 10_000 + (flow % PER_HOST) as u16),
        End(remote, 443),
    )
}

const SYN: u8 = 2;
const ACK: u8 = 16;

/// An Ethernet frame of 64 bytes. Checksums are whatever they are: the function only updates them.
fn frame(tcp: Option<u8>, from: End, to: End) -> Frame {
    let mut frame = [0; LENGTH];
    frame[12..14].copy_from_slice(&[8, 0]);
    frame[14..18].copy_from_slice(&[0x45, 0, 0, 50]);
    frame[22..24].copy_from_slice(&[64, if tcp.is_some() { 6 } else { 17 }]);
    frame[24..26].copy_from_slice(&[0x12, 0x34]);
    frame[26..30].copy_from_slice(&from.0.octets());
    frame[30..34].copy_from_slice(&to.0.octets());
    frame[34..36].copy_from_slice(&from.1.to_be_bytes());
    frame[36..38].copy_from_slice(&to.1.to_be_bytes());
    match tcp {
        Some(flags) => {
            frame[46..48].copy_from_slice(&[0x50, flags]);
            frame[50..52].copy_from_slice(&[0x56, 0x78]);
        }
        None => {
            frame[38..40].copy_from_slice(&[0, 30]);
            frame[40..42].copy_from_slice(&[0x56, 0x78]);
        }
    }
    frame
}

/// The answer to a translated frame.
fn answer(translated: &Frame, flags: u8) -> Frame {
    let end = |address: usize, port: usize| {
        let octets: [u8; 4] = translated[address..address + 4].try_into().expect("four");
        End(
            octets.into(),
            u16::from_be_bytes([translated[port], translated[port + 1]]),
        )
    };
    let tcp = (translated[23] == 6).then_some(flags);
    frame(tcp, end(30, 36), end(26, 34))
}

/// How a burst's frames are handed over.
#[derive(Clone, Copy)]
enum Manner {
    OneByOne,
    Batch,
}

impl Manner {
    const ALL: [Manner; 2] = [Manner::OneByOne, Manner::Batch];

    const fn name(self) -> &'static str {
        match self {
            Manner::OneByOne => "process",
            Manner::Batch => "process_batch",
        }
    }
}

/// Times one burst; every frame must be translated.
fn burst(
    nat: &mut Function,
    now: u64,
    frames: &mut [(Frame, Ingress)],
    manner: Manner,
) -> Duration {
    let mut good = 0;
    let mut sink = ();
    let is_good = |verdict: &Verdict| matches!(verdict, Verdict::Translated { .. });
    // As a worker has them: made once.
    let mut verdicts = Vec::with_capacity(BURST);
    let mut batch: Vec<_> = frames
        .iter_mut()
        .map(|(frame, ingress)| (&mut frame[..], *ingress))
        .collect();
    let started = Instant::now();
    let mut burst = nat.burst(Tick::from_millis(now), &mut sink);
    match manner {
        Manner::OneByOne => {
            for (frame, ingress) in batch.iter_mut() {
                let verdict = burst.process(black_box(frame), *ingress);
                good += usize::from(is_good(&verdict));
            }
        }
        Manner::Batch => {
            burst.process_batch(black_box(&mut batch), &mut verdicts);
            good = verdicts.iter().filter(|verdict| is_good(verdict)).count();
        }
    }
    drop(burst);
    let elapsed = started.elapsed();
    assert_eq!(good, frames.len());
    elapsed
}

/// A table with so many flows in it, and the packets that belong to them: as they come from inside
/// and from outside.
fn filled(flows: u32) -> (Function, Vec<[Frame; 2]>) {
    let mut nat = function(SessionTable::new(flows as usize));
    let mut known = Vec::with_capacity(flows as usize);
    for first in (0..flows).step_by(BURST) {
        let range = first..flows.min(first + BURST as u32);
        let tcp = |flow: u32, flags| (flow % 2 == 1).then_some(flags);
        let mut frames: Vec<_> = range
            .clone()
            .map(|flow| (frame(tcp(flow, SYN), ends(flow).0, ends(flow).1), INSIDE))
            .collect();
        burst(&mut nat, 1, &mut frames, Manner::OneByOne);
        let mut answers: Vec<_> = frames
            .iter()
            .map(|(frame, _)| (answer(frame, SYN | ACK), OUTSIDE))
            .collect();
        burst(&mut nat, 1, &mut answers, Manner::OneByOne);
        known.extend(range.zip(&frames).map(|(flow, (translated, _))| {
            [
                frame(tcp(flow, ACK), ends(flow).0, ends(flow).1),
                answer(translated, ACK),
            ]
        }));
    }
    assert_eq!(nat.sessions().len(), flows as usize);
    (nat, known)
}

fn established(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("established");
    group.throughput(Throughput::Elements(1));
    for flows in SIZES {
        // Filled for the first case that is wanted.
        let mut state = None;
        let mut random = Random(7);
        let mut now = 2;
        for manner in Manner::ALL {
            group.bench_function(BenchmarkId::new(manner.name(), flows), |bencher| {
                let (nat, known) = state.get_or_insert_with(|| filled(flows));
                bencher.iter_custom(|packets| {
                    let mut elapsed = Duration::ZERO;
                    let mut frames = [([0; LENGTH], INSIDE); BURST];
                    for _ in 0..packets.div_ceil(BURST as u64) {
                        for (index, slot) in frames.iter_mut().enumerate() {
                            let both = &known[random.below(flows) as usize];
                            *slot = match index % 2 {
                                0 => (both[0], INSIDE),
                                _ => (both[1], OUTSIDE),
                            };
                        }
                        // Time passes too slowly for a session to expire.
                        now += u64::from(random.below(64) == 0);
                        elapsed += burst(nat, now, &mut frames, manner);
                    }
                    elapsed
                });
                assert_eq!(nat.sessions().len(), flows as usize);
            });
        }
    }
    group.finish();
}

fn new_flow(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("new flow");
    group.throughput(Throughput::Elements(1));
    for flows in SIZES {
        for manner in Manner::ALL {
            let mut nat = function(SessionTable::new(2 * flows as usize));
            let (mut flow, mut clock) = (0, 0);
            // So many milliseconds, in 1/1024, that a lifetime holds as many flows as wanted.
            let step = LIFETIME * 1024 * BURST as u64 / u64::from(flows);
            let mut run = |packets: u64| {
                let mut elapsed = Duration::ZERO;
                let mut frames = [([0; LENGTH], INSIDE); BURST];
                for _ in 0..packets.div_ceil(BURST as u64) {
                    for slot in &mut frames {
                        // Hosts in no order, an endpoint again when its session is long gone.
                        flow = (flow + 40_501) % (4 * flows);
                        let (inside, remote) = ends(flow);
                        *slot = (frame(None, inside, remote), INSIDE);
                    }
                    clock += step;
                    elapsed += burst(&mut nat, clock / 1024, &mut frames, manner);
                }
                elapsed
            };
            let mut is_steady = false;
            group.bench_function(BenchmarkId::new(manner.name(), flows), |bencher| {
                if !std::mem::replace(&mut is_steady, true) {
                    run(3 * u64::from(flows));
                }
                bencher.iter_custom(&mut run);
            });
            let sessions = if is_steady {
                nat.sessions().len()
            } else {
                flows as usize
            };
            let wanted = flows as usize * 9 / 10..=flows as usize * 11 / 10;
            assert!(wanted.contains(&sessions), "{sessions} sessions");
        }
    }
    group.finish();
}

criterion_group!(benches, established, new_flow);
criterion_main!(benches);
