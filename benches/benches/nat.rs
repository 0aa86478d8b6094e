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
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use natshard::{Engine, EngineConfig, Lease};
use natshard_cli::bench::frames::{ACK, Frame, SYN, Transport, frame, inside, outside, source};
use natshard_nat::packet::Link;
use natshard_nat::{
    Ingress, NatConfig, NatDefaultAllocator, NatFunction, NatPool, NatSessionManager as _, Peering,
    SessionTable, SourceRule, Tick, Verdict, VpcId,
};

const BURST: usize = 32;
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

/// To be written into, as a NIC would.
const EMPTY: Frame = [0; size_of::<Frame>()];
const INSIDE: Ingress = ingress(1);
const OUTSIDE: Ingress = ingress(2);

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

/// What a packet of flow number `flow` is: odd ones are TCP.
fn transport(flow: u32, flags: u8) -> Transport {
    match flow % 2 {
        0 => Transport::Udp,
        _ => Transport::Tcp(flags),
    }
}

/// A packet of a flow from inside.
fn question(flow: u32, flags: u8) -> Frame {
    frame(transport(flow, flags), inside(flow), outside(flow))
}

/// The answer to a translated packet of a flow.
fn answer(flow: u32, translated: &Frame, flags: u8) -> Frame {
    frame(transport(flow, flags), outside(flow), source(translated))
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
    let mut nat = function(SessionTable::preallocated(flows as usize));
    let mut known = Vec::with_capacity(flows as usize);
    for first in (0..flows).step_by(BURST) {
        let range = first..flows.min(first + BURST as u32);
        let question_in = |flow| (question(flow, SYN), INSIDE);
        let mut frames: Vec<_> = range.clone().map(question_in).collect();
        burst(&mut nat, 1, &mut frames, Manner::OneByOne);
        let translated = || range.clone().zip(&frames);
        let mut answers: Vec<_> = translated()
            .map(|(flow, (frame, _))| (answer(flow, frame, SYN | ACK), OUTSIDE))
            .collect();
        burst(&mut nat, 1, &mut answers, Manner::OneByOne);
        let both = |(flow, (frame, _)): (u32, &(Frame, _))| {
            [question(flow, ACK), answer(flow, frame, ACK)]
        };
        known.extend(translated().map(both));
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
                    let mut frames = [(EMPTY, INSIDE); BURST];
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
            let mut nat = function(SessionTable::preallocated(2 * flows as usize));
            let (mut flow, mut clock) = (0, 0);
            // So many milliseconds, in 1/1024, that a lifetime holds as many flows as wanted.
            let step = LIFETIME * 1024 * BURST as u64 / u64::from(flows);
            let mut run = |packets: u64| {
                let mut elapsed = Duration::ZERO;
                let mut frames = [(EMPTY, INSIDE); BURST];
                for _ in 0..packets.div_ceil(BURST as u64) {
                    for slot in &mut frames {
                        // Hosts in no order, an endpoint again when its session is long gone.
                        flow = (flow + 40_501) % (4 * flows);
                        *slot = (frame(Transport::Udp, inside(flow), outside(flow)), INSIDE);
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
