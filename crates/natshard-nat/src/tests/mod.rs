//! What the function promises, shown with packets. Every test runs over both allocators.

mod both;
mod config_changes;
mod express;
mod fair;
mod faults;
mod filtering;
mod fragments;
mod hairpin;
mod icmp;
mod mapping;
mod passing;
mod properties;
mod shards;
mod tcp;
mod timers;

use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use natshard::{Engine, EngineConfig};

use crate::packet::checksum::{self, verify};
use crate::packet::testing::Build;
use crate::packet::{Link, Transport, View, dissect};
use crate::session::SessionTable;
use crate::*;

/// Short names for TCP flags.
pub(crate) mod flags {
    use crate::packet::TcpFlags;

    pub(crate) const FIN: u8 = TcpFlags::FIN;
    pub(crate) const SYN: u8 = TcpFlags::SYN;
    pub(crate) const RST: u8 = TcpFlags::RST;
    pub(crate) const ACK: u8 = TcpFlags::ACK;
}

/// Two tenants with the same prefix, a third VPC, and the world outside.
pub(crate) const TENANT_A: VpcId = VpcId::new(1);
pub(crate) const TENANT_B: VpcId = VpcId::new(2);
pub(crate) const WORLD: VpcId = VpcId::new(100);

/// An allocator that tests can make.
pub(crate) trait Make: NatAllocator + Sized {
    fn make(config: &NatConfig, hold_down: Duration) -> Self;

    /// Leases out at this moment, by the allocator's own books.
    fn leased(&self) -> u64;

    /// Tells the allocator of changed pools, as far as it does not read them by itself.
    fn reconfigure(&self, config: &NatConfig, hold_down: Duration);
}

impl Make for ReferenceAllocator {
    fn make(_: &NatConfig, hold_down: Duration) -> Self {
        ReferenceAllocator::new(hold_down)
    }

    fn leased(&self) -> u64 {
        ReferenceAllocator::leased(self) as u64
    }

    fn reconfigure(&self, _: &NatConfig, _: Duration) {}
}

impl Make for NatDefaultAllocator {
    fn make(config: &NatConfig, hold_down: Duration) -> Self {
        let engine = Engine::new(engine_config(config, hold_down)).expect("an engine");
        NatDefaultAllocator::new(&engine, 0).expect("shard 0")
    }

    fn leased(&self) -> u64 {
        let census = self.engine().census();
        assert!(census.total.balances(), "{}", census.total);
        assert_eq!(census.contradictions, 0);
        census.total.leased + census.draining.leased
    }

    fn reconfigure(&self, config: &NatConfig, hold_down: Duration) {
        self.engine()
            .reconfigure(engine_config(config, hold_down))
            .expect("a reconfiguration");
    }
}

fn engine_config(config: &NatConfig, hold_down: Duration) -> EngineConfig {
    let engine = EngineConfig::new(1).hold_down(hold_down).seed(7);
    config
        .pools()
        .iter()
        .fold(engine, |engine, pool| engine.pool(pool.to_engine()))
}

/// A function with a clock, a notebook, and helpers that say what a packet does.
pub(crate) struct Lab<A: Make> {
    pub(crate) nat: NatFunction<A, SessionTable<A::Lease>>,
    store: ConfigStore,
    hold_down: Duration,
    pub(crate) now: u64,
    pub(crate) log: Log,
    token: u64,
}

#[derive(Default)]
pub(crate) struct Log {
    pub(crate) events: Vec<Event>,
    /// Frames that had been held: token, verdict, bytes.
    pub(crate) frames: Vec<(u64, Verdict, Vec<u8>)>,
}

impl Sink for Log {
    fn event(&mut self, event: &Event) {
        self.events.push(*event);
    }

    fn frame(&mut self, frame: ReleasedFrame<'_>) {
        self.frames
            .push((frame.token, frame.verdict, frame.bytes.to_vec()));
    }
}

/// What came out of the function.
pub(crate) struct Out {
    pub(crate) verdict: Verdict,
    pub(crate) frame: Vec<u8>,
}

impl Out {
    pub(crate) fn view(&self) -> View {
        dissect(Link::Ethernet, &self.frame).expect("a packet")
    }

    /// Source endpoint of a translated packet; the identifier is the port of an ICMP query.
    pub(crate) fn source(&self) -> SocketAddr {
        let view = self.translated();
        SocketAddr::new(view.source(), ports(&view).0)
    }

    pub(crate) fn destination(&self) -> SocketAddr {
        let view = self.translated();
        SocketAddr::new(view.destination(), ports(&view).1)
    }

    pub(crate) fn translated(&self) -> View {
        assert!(
            matches!(self.verdict, Verdict::Translated { .. }),
            "{:?}",
            self.verdict
        );
        self.view()
    }

    pub(crate) fn direction(&self) -> Option<Direction> {
        match self.verdict {
            Verdict::Translated { direction, .. } => Some(direction),
            _ => None,
        }
    }

    pub(crate) fn dropped(&self) -> Option<DropReason> {
        match self.verdict {
            Verdict::Dropped(reason) => Some(reason),
            _ => None,
        }
    }

    pub(crate) fn untouched(&self) -> Option<UntouchedReason> {
        match self.verdict {
            Verdict::Untouched(reason) => Some(reason),
            _ => None,
        }
    }
}

pub(crate) fn ports(view: &View) -> (u16, u16) {
    match view.transport() {
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
        other => panic!("no ports in {other:?}"),
    }
}

impl<A: Make> Lab<A> {
    pub(crate) fn new(config: NatConfig) -> Self {
        Self::sized(config, Duration::from_secs(120), 10_000)
    }

    pub(crate) fn sized(config: NatConfig, hold_down: Duration, sessions: usize) -> Self {
        let allocator = A::make(&config, hold_down);
        let store = ConfigStore::new(config);
        Lab {
            nat: NatFunction::new(store.clone(), allocator, SessionTable::new(sessions)),
            store,
            hold_down,
            now: 1_000_000,
            log: Log::default(),
            token: 0,
        }
    }

    /// Changes the configuration, the allocator's first.
    pub(crate) fn publish(&self, config: NatConfig) {
        self.nat.allocator().reconfigure(&config, self.hold_down);
        self.store.publish(config);
    }

    /// Hands a frame in.
    pub(crate) fn give(&mut self, from: VpcId, frame: &[u8]) -> Out {
        self.token += 1;
        let mut bytes = frame.to_vec();
        let ingress = Ingress {
            link: Link::Ethernet,
            vpc: from,
            token: self.token,
        };
        let verdict = self
            .nat
            .burst(Tick::from_millis(self.now), &mut self.log)
            .process(&mut bytes, ingress);
        if !matches!(verdict, Verdict::Translated { .. }) {
            assert_eq!(
                bytes, frame,
                "only a translated frame may change ({verdict:?})"
            );
        } else {
            assert_checksums(frame, &bytes);
        }
        self.check();
        Out {
            verdict,
            frame: bytes,
        }
    }

    pub(crate) fn send(&mut self, from: VpcId, build: &Build) -> Out {
        self.give(from, &build.frame())
    }

    /// UDP from inside; the public endpoint.
    pub(crate) fn udp_out(&mut self, from: VpcId, source: &str, remote: &str) -> SocketAddr {
        self.send(from, &Build::udp(source, remote).payload(b"out"))
            .source()
    }

    /// UDP from the world.
    pub(crate) fn udp_in(&mut self, remote: &str, public: SocketAddr) -> Out {
        self.send(
            WORLD,
            &Build::udp(remote, &public.to_string()).payload(b"in"),
        )
    }

    /// A TCP segment from inside.
    pub(crate) fn tcp_out(&mut self, source: &str, remote: &str, flags: u8) -> Out {
        self.send(TENANT_A, &Build::tcp(source, remote).flags(flags))
    }

    /// A TCP segment from the world.
    pub(crate) fn tcp_in(&mut self, remote: &str, public: SocketAddr, flags: u8) -> Out {
        self.send(WORLD, &Build::tcp(remote, &public.to_string()).flags(flags))
    }

    pub(crate) fn pass(&mut self, seconds: u64) {
        self.now += seconds * 1000;
    }

    /// A burst without packets: housekeeping alone.
    pub(crate) fn tick(&mut self) {
        let burst = self.nat.burst(Tick::from_millis(self.now), &mut self.log);
        drop(burst);
        self.check();
    }

    pub(crate) fn idle(&mut self) {
        self.nat.idle(Tick::from_millis(self.now), &mut self.log);
        self.check();
    }

    pub(crate) fn sessions(&self) -> usize {
        self.nat.sessions().len()
    }

    pub(crate) fn mappings(&self) -> usize {
        self.nat.sessions().mappings()
    }

    /// The books: leases are what mappings hold, counters are sums, sessions are distinct.
    pub(crate) fn check(&self) {
        let stats = self.nat.stats();
        let leases = stats.leases_allocated - stats.leases_released;
        assert_eq!(
            leases,
            self.nat.allocator().leased(),
            "leases by stats and by allocator"
        );
        let ended: u64 = stats.sessions_ended.iter().sum();
        assert_eq!(stats.sessions_created - ended, self.sessions() as u64);
        let verdicts: u64 = stats.translated.iter().sum::<u64>()
            + stats.untouched.iter().sum::<u64>()
            + stats.dropped.iter().sum::<u64>();
        assert_eq!(stats.packets, verdicts + stats.held);
        let mut publics = HashSet::new();
        let mut answers = HashSet::new();
        for session in self.nat.sessions().iter() {
            let info = session.info();
            let mapping = info.mapping;
            if mapping.public != mapping.inside {
                publics.insert((mapping.outside_vpc, mapping.protocol, mapping.public));
            }
            let answer = (
                mapping.outside_vpc,
                mapping.protocol,
                mapping.public,
                info.remote_outside,
            );
            assert!(
                answers.insert(answer),
                "two sessions get the same answers: {answer:?}"
            );
        }
        assert_eq!(
            publics.len() as u64,
            leases,
            "one lease per public tuple in use"
        );
    }
}

/// Checksums that were right are right, those that were wrong are wrong.
pub(crate) fn assert_checksums(before: &[u8], after: &[u8]) {
    let of = |frame: &[u8]| verify(frame, &dissect(Link::Ethernet, frame).expect("a packet"));
    let (before, after): (checksum::ChecksumState, _) = (of(before), of(after));
    assert_eq!(before, after);
}

pub(crate) fn net(text: &str) -> ipnet::IpNet {
    text.parse().expect("a prefix")
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// One pool of four IPv4 addresses and an IPv6 prefix; two tenants with the same private
/// prefixes behind it.
pub(crate) fn config_with(
    pool: impl FnOnce(NatPool) -> NatPool,
    behaviour: impl FnOnce(&mut Behaviour),
) -> NatConfig {
    let mut with = Behaviour::default();
    behaviour(&mut with);
    let base = NatPool::new("public")
        .realm("wan")
        .prefix(net("203.0.113.0/30"))
        .prefix(net("2001:db8:cafe::/126"));
    let peering = |name: &str, vpc| {
        Peering::new(name, vpc, WORLD)
            .source(SourceRule::new(net("10.0.0.0/8"), "public"))
            .source(SourceRule::new(net("fd00::/8"), "public"))
            .behaviour(with.clone())
    };
    NatConfig::builder()
        .pool(pool(base))
        .peering(peering("a", TENANT_A))
        .peering(peering("b", TENANT_B))
        .build()
        .expect("a configuration")
}

pub(crate) fn config(behaviour: impl FnOnce(&mut Behaviour)) -> NatConfig {
    config_with(|pool| pool, behaviour)
}
