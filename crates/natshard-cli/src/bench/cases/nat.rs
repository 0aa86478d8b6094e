//! *new flow* and *established packet*, through the NAT function.

use std::hint::black_box;
use std::net::Ipv4Addr;

use natshard::{Engine, EngineConfig};
use natshard_nat::packet::Link;
use natshard_nat::{
    Ingress, NatConfig, NatDefaultAllocator, NatFunction, NatPool, NatSessionManager as _, Peering,
    SessionTable, SourceRule, Tick, Verdict, VpcId,
};

use crate::bench::case::{Case, Contestant, Settings, Worker};
use crate::bench::frames::{ACK, Frame, SYN, Transport, frame, inside, outside, source};
use crate::bench::pools::{BURST, Rest, Time, prefix};

const ADDRESSES: u32 = 32;
const INSIDE: Ingress = Ingress {
    link: Link::Ethernet,
    vpc: VpcId::new(1),
    token: 0,
};
const OUTSIDE: Ingress = Ingress {
    link: Link::Ethernet,
    vpc: VpcId::new(2),
    token: 0,
};
const HARNESS: &str = "harness only";
/// Flows, and a stride that visits each of them once before any again.
const SIZES: [(&str, u32, u32); 4] = [
    ("1 thousand flows", FEW, 617),
    ("10 thousand flows", 10_000, 6_183),
    ("100 thousand flows", 100_000, 61_803),
    ("1 million flows", MANY, 618_033),
];
const FEW: u32 = 1_000;
const MANY: u32 = 1_000_000;

type Function = NatFunction<NatDefaultAllocator, SessionTable<natshard::Lease>>;

pub fn cases(settings: Settings) -> Vec<Case> {
    let sizes = if settings.quick {
        &SIZES[..1]
    } else {
        &SIZES[..]
    };
    let switches = format!(
        "Ethernet frames of 60 bytes in bursts of {BURST}, 1 ms of engine time each, handed over one \
         by one (`process`) or as a batch (`process_batch`); {ADDRESSES} addresses, hold-down 120 s, \
         random port order; the default behaviour of a peering; a table that was made for so many \
         sessions; events are not consumed; 64 flows to a host"
    );
    vec![
        Case {
            name: "established packet",
            about:
                "an operation translates a packet of a flow that has a session; the flows in an \
                    order that looks random"
                    .into(),
            switches: switches.clone(),
            baseline: HARNESS,
            baseline_setting: None,
            build: Box::new(move || {
                let each = sizes.iter().flat_map(|&(name, flows, stride)| {
                    let ends = flows == FEW || flows == MANY;
                    use Manner::{Batch, OneByOne};
                    let kinds = [
                        ("natshard-nat, UDP outbound", Kind::UdpOut, OneByOne, true),
                        (
                            "natshard-nat, UDP outbound, batch",
                            Kind::UdpOut,
                            Batch,
                            true,
                        ),
                        ("natshard-nat, TCP inbound", Kind::TcpIn, OneByOne, ends),
                        ("natshard-nat, TCP inbound, batch", Kind::TcpIn, Batch, ends),
                        (
                            "natshard-nat, TCP outbound",
                            Kind::TcpOut,
                            OneByOne,
                            flows == FEW,
                        ),
                        (HARNESS, Kind::Harness, OneByOne, true),
                    ];
                    let kinds = kinds.into_iter().filter(|it| it.3);
                    kinds.map(move |(what, kind, manner, _)| {
                        let worker = Established::new(flows, stride, kind, manner);
                        Contestant::alone(what, worker).at(name)
                    })
                });
                each.collect()
            }),
        },
        Case {
            name: "new flow",
            about: "an operation is the first packet of a flow: it makes a session and a lease, \
                    and is translated; beginning with an empty table that has room for all \
                    (RFC 9693, test phase 1)"
                .into(),
            switches,
            baseline: HARNESS,
            baseline_setting: None,
            build: Box::new(move || {
                let each = sizes.iter().flat_map(|&(name, flows, stride)| {
                    use Manner::{Batch, OneByOne};
                    let (udp, syn) = (Some(Transport::Udp), Some(Transport::Tcp(SYN)));
                    let kinds = [
                        ("natshard-nat, UDP", udp, OneByOne, true),
                        ("natshard-nat, UDP, batch", udp, Batch, true),
                        ("natshard-nat, TCP", syn, OneByOne, flows == FEW),
                        (HARNESS, None, OneByOne, true),
                    ];
                    let kinds = kinds.into_iter().filter(|it| it.3);
                    kinds.map(move |(what, transport, manner, _)| {
                        let worker = NewFlows::new(flows, stride, transport, manner);
                        Contestant::alone(what, worker).at(name)
                    })
                });
                each.collect()
            }),
        },
    ]
}

fn function(sessions: u32) -> Function {
    let config = NatConfig::builder()
        .pool(NatPool::new("public").prefix(prefix(ADDRESSES)))
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
        .hold_down(Rest::DEFAULT.hold_down);
    let pools = config.pools().iter();
    let engine = pools.fold(engine, |engine, pool| engine.pool(pool.to_engine()));
    let engine = Engine::new(engine).expect("a sound configuration");
    let allocator = NatDefaultAllocator::new(&engine, 0).expect("nobody has it");
    let table = SessionTable::preallocated(sessions as usize);
    NatFunction::new(config, allocator, table)
}

/// A function with so many sessions, and no room for more.
pub fn filled(flows: u32) -> impl Sized {
    let mut nat = function(flows);
    let mut time = Time::new(1);
    for start in (0..flows).step_by(BURST as usize) {
        let burst = start..(start + BURST as u32).min(flows);
        let frame = |flow| frame(Transport::Udp, inside(flow), outside(flow));
        let mut frames: Vec<_> = burst.map(frame).collect();
        let others = one_by_one(&mut nat, time.tick(), &mut frames, INSIDE);
        assert_eq!(others, 0, "every packet is translated");
    }
    nat
}

/// Every flow once, then again.
#[derive(Clone, Copy)]
struct Order {
    at: u32,
    flows: u32,
    stride: u32,
}

impl Order {
    #[inline]
    fn next(&mut self) -> u32 {
        self.at += self.stride;
        if self.at >= self.flows {
            self.at -= self.flows;
        }
        self.at
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    UdpOut,
    TcpIn,
    TcpOut,
    Harness,
}

/// How the frames of a burst are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    OneByOne,
    Batch,
}

pub struct Established {
    nat: Function,
    kind: Kind,
    hand: Hand,
    order: Order,
    time: Time,
    /// The public endpoint of each flow.
    public: Vec<(Ipv4Addr, u16)>,
    frames: Vec<Frame>,
}

impl Established {
    pub fn new(flows: u32, stride: u32, kind: Kind, manner: Manner) -> Self {
        let order = Order {
            at: 0,
            flows,
            stride,
        };
        let mut established = Established {
            nat: function(if kind == Kind::Harness { 1 } else { flows }),
            kind,
            hand: Hand::new(manner),
            order,
            time: Time::new(1),
            public: vec![(Ipv4Addr::UNSPECIFIED, 0); flows as usize],
            frames: vec![[0; 60]; BURST as usize],
        };
        if kind != Kind::Harness {
            established.establish(flows);
        }
        established
    }

    /// The first packets of every flow, by the burst, as they will be later.
    fn establish(&mut self, flows: u32) {
        let is_tcp = self.kind != Kind::UdpOut;
        let first = match is_tcp {
            true => Transport::Tcp(SYN),
            false => Transport::Udp,
        };
        for start in (0..flows).step_by(BURST as usize) {
            let burst = start..(start + BURST as u32).min(flows);
            let out = |flow| frame(first, inside(flow), outside(flow));
            let sent = self.send(burst.clone().map(out), INSIDE);
            for (flow, frame) in burst.clone().zip(&sent) {
                self.public[flow as usize] = source(frame);
            }
            if is_tcp {
                let answer = |(flow, frame): (u32, &Frame)| {
                    self::frame(Transport::Tcp(SYN | ACK), outside(flow), source(frame))
                };
                let answers: Vec<_> = burst.clone().zip(&sent).map(answer).collect();
                self.send(answers.into_iter(), OUTSIDE);
                let ack = |flow| frame(Transport::Tcp(ACK), inside(flow), outside(flow));
                self.send(burst.map(ack), INSIDE);
            }
        }
    }

    /// What became of the frames.
    fn send(&mut self, frames: impl Iterator<Item = Frame>, ingress: Ingress) -> Vec<Frame> {
        let mut frames: Vec<_> = frames.collect();
        let others = one_by_one(&mut self.nat, self.time.tick(), &mut frames, ingress);
        assert_eq!(others, 0, "every packet is translated");
        frames
    }

    #[inline]
    fn frame(&mut self) -> Frame {
        let flow = self.order.next();
        match self.kind {
            Kind::UdpOut | Kind::Harness => frame(Transport::Udp, inside(flow), outside(flow)),
            Kind::TcpOut => frame(Transport::Tcp(ACK), inside(flow), outside(flow)),
            Kind::TcpIn => {
                let public = self.public[flow as usize];
                frame(Transport::Tcp(ACK), outside(flow), public)
            }
        }
    }
}

impl Worker for Established {
    fn run(&mut self, operations: u64) -> u64 {
        let ingress = match self.kind {
            Kind::TcpIn => OUTSIDE,
            _ => INSIDE,
        };
        let mut refused = 0;
        for _ in 0..operations / BURST {
            for at in 0..self.frames.len() {
                self.frames[at] = self.frame();
            }
            let now = self.time.tick();
            if self.kind == Kind::Harness {
                black_box((&mut self.frames, now));
                continue;
            }
            refused += self
                .hand
                .over(&mut self.nat, now, &mut self.frames, ingress);
        }
        refused
    }
}

/// Hands frames over, and says how many were not translated.
struct Hand {
    manner: Manner,
    /// As a worker has them: made once.
    verdicts: Vec<Verdict>,
}

impl Hand {
    fn new(manner: Manner) -> Self {
        Hand {
            manner,
            verdicts: Vec::with_capacity(BURST as usize),
        }
    }

    /// What is less than a burst is handed over one by one.
    fn over(&mut self, nat: &mut Function, now: Tick, frames: &mut [Frame], from: Ingress) -> u64 {
        let whole = <&mut [Frame; BURST as usize]>::try_from(&mut *frames);
        let (Manner::Batch, Ok(frames)) = (self.manner, whole) else {
            return one_by_one(nat, now, frames, from);
        };
        let mut batch = frames.each_mut().map(|frame| (&mut frame[..], from));
        self.verdicts.clear();
        nat.burst(now, &mut ())
            .process_batch(black_box(&mut batch), &mut self.verdicts);
        self.verdicts.iter().filter(|it| is_other(it)).count() as u64
    }
}

fn one_by_one(nat: &mut Function, now: Tick, frames: &mut [Frame], ingress: Ingress) -> u64 {
    let mut sink = ();
    let mut burst = nat.burst(now, &mut sink);
    let verdicts = frames
        .iter_mut()
        .map(|frame| burst.process(black_box(frame), ingress));
    verdicts.filter(is_other).count() as u64
}

fn is_other(verdict: &Verdict) -> bool {
    !matches!(verdict, Verdict::Translated { .. })
}

pub struct NewFlows {
    nat: Function,
    hand: Hand,
    transport: Option<Transport>,
    order: Order,
    time: Time,
    frames: Vec<Frame>,
}

impl NewFlows {
    pub fn new(flows: u32, stride: u32, transport: Option<Transport>, manner: Manner) -> Self {
        NewFlows {
            hand: Hand::new(manner),
            nat: function(transport.map_or(1, |_| flows)),
            transport,
            order: Order {
                at: 0,
                flows,
                stride,
            },
            time: Time::new(1),
            frames: vec![[0; 60]; BURST as usize],
        }
    }
}

impl Worker for NewFlows {
    fn prepare(&mut self) {
        self.nat.shutdown(self.time.tick(), &mut ());
        assert_eq!(self.nat.sessions().len(), 0);
        self.time.pass(Rest::DEFAULT);
    }

    fn run(&mut self, operations: u64) -> u64 {
        let mut refused = 0;
        let kind = self.transport.unwrap_or(Transport::Udp);
        let mut left = operations as usize;
        while left > 0 {
            let count = left.min(self.frames.len());
            for at in 0..count {
                let flow = self.order.next();
                self.frames[at] = frame(kind, inside(flow), outside(flow));
            }
            let now = self.time.tick();
            match self.transport {
                Some(_) => {
                    let frames = &mut self.frames[..count];
                    refused += self.hand.over(&mut self.nat, now, frames, INSIDE);
                }
                None => {
                    black_box(&mut self.frames);
                }
            }
            left -= count;
        }
        refused
    }

    fn fixed(&self) -> Option<u64> {
        Some(self.order.flows.into())
    }
}
