//! The short way against the long one: the same packets through three functions, one of which sees
//! every packet the long way, one takes them one by one and one in batches. Verdicts, frames,
//! events and counters must be the same, in the same order.

use std::net::{IpAddr, SocketAddr};

use natshard::Lease;
use proptest::prelude::*;

use super::flags::{ACK, FIN, RST, SYN};
use super::*;
use crate::packet::{HopLimit, PlainPacket};
use crate::session::{
    Admitted, FlowKey, Half, Hint, MappingId, Moment, NewLease, NewSession, Newcomer, Removed,
    SessionId, TableSession, TcpState, Travel,
};

/// A table that is watched: it passes on what a manager must have, and the short way if wanted.
struct Watched {
    table: SessionTable<Lease>,
    short: bool,
    travelled: u64,
    admitted: u64,
}

impl Watched {
    fn new(short: bool) -> Self {
        Watched {
            table: SessionTable::new(40),
            short,
            travelled: 0,
            admitted: 0,
        }
    }
}

impl NatSessionManager<Lease> for Watched {
    type Session = TableSession;

    fn hint(&self, vpc: VpcId, packet: &PlainPacket) -> Hint {
        match self.short {
            true => self.table.hint(vpc, packet),
            false => Hint::NONE,
        }
    }
    fn fetch(&self, hint: &Hint) {
        if self.short {
            self.table.fetch(hint);
        }
    }
    fn approach(&self, vpc: VpcId, packet: &PlainPacket, hint: &mut Hint) {
        if self.short {
            self.table.approach(vpc, packet, hint);
        }
    }
    fn travel(
        &mut self,
        vpc: VpcId,
        packet: &PlainPacket,
        hint: &Hint,
        moment: &Moment<'_>,
    ) -> Travel {
        if !self.short {
            return Travel::Closer;
        }
        let travel = self.table.travel(vpc, packet, hint, moment);
        self.travelled += u64::from(matches!(travel, Travel::Along(_)));
        travel
    }
    fn newcomer(
        &self,
        vpcs: [VpcId; 2],
        endpoint_independent: bool,
        packet: &PlainPacket,
        hint: &Hint,
    ) -> Option<Newcomer> {
        assert!(self.short);
        self.table
            .newcomer(vpcs, endpoint_independent, packet, hint)
    }
    fn pair(&self, newcomer: &Newcomer, packet: &PlainPacket) -> Option<IpAddr> {
        self.table.pair(newcomer, packet)
    }
    fn admit(
        &mut self,
        newcomer: &Newcomer,
        packet: &PlainPacket,
        new: NewLease<Lease>,
        moment: &Moment<'_>,
    ) -> Result<Admitted, Lease> {
        let admitted = self.table.admit(newcomer, packet, new, moment)?;
        self.admitted += 1;
        self.travelled += u64::from(admitted.passage.is_some());
        Ok(admitted)
    }
    fn len(&self) -> usize {
        self.table.len()
    }
    fn mappings(&self) -> usize {
        self.table.mappings()
    }
    fn is_full(&self) -> bool {
        self.table.is_full()
    }
    fn find(&self, key: &FlowKey) -> Option<(SessionId, Half)> {
        self.table.find(key)
    }
    fn session(&self, id: SessionId) -> TableSession {
        self.table.session(id)
    }
    fn mapping_of_inside(
        &self,
        inside_vpc: VpcId,
        outside_vpc: VpcId,
        protocol: Protocol,
        inside: SocketAddr,
    ) -> Option<MappingId> {
        self.table
            .mapping_of_inside(inside_vpc, outside_vpc, protocol, inside)
    }
    fn mapping_of_public(
        &self,
        vpc: VpcId,
        protocol: Protocol,
        public: SocketAddr,
    ) -> Option<MappingId> {
        self.table.mapping_of_public(vpc, protocol, public)
    }
    fn mapping(&self, id: MappingId) -> MappingInfo {
        self.table.mapping(id)
    }
    fn admits(&self, mapping: MappingId, remote: SocketAddr, filtering: Filtering) -> bool {
        self.table.admits(mapping, remote, filtering)
    }
    fn paired_address(&self, inside: VpcId, outside: VpcId, host: IpAddr) -> Option<IpAddr> {
        self.table.paired_address(inside, outside, host)
    }
    fn insert(&mut self, session: NewSession<Lease>) -> SessionId {
        self.table.insert(session)
    }
    fn refresh(&mut self, id: SessionId, tcp: TcpState, deadline: Tick) {
        self.table.refresh(id, tcp, deadline);
    }
    fn checked(&mut self, id: SessionId, generation: u32, peering: PeeringIndex) {
        self.table.checked(id, generation, peering);
    }
    fn withdraw(&mut self, mapping: MappingId) {
        self.table.withdraw(mapping);
    }
    fn remove(&mut self, id: SessionId, reason: EndReason) -> Removed<Lease> {
        self.table.remove(id, reason)
    }
    fn expired(&mut self, now: Tick, budget: &mut usize) -> Option<SessionId> {
        self.table.expired(now, budget)
    }
    fn unchecked(&mut self, generation: u32, budget: &mut usize) -> Option<SessionId> {
        self.table.unchecked(generation, budget)
    }
}

/// One packet.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inside: u8,
    port: u8,
    remote: u8,
    v6: bool,
    /// 0 and 1: UDP, without checksum in the second; then TCP with these flags; at last an echo
    /// request.
    kind: u8,
    hop_limit: u8,
    vlans: u8,
    /// 0: options or an extension header; 1: a fragment; 2: one byte is another.
    oddity: u8,
    at: u16,
    checksum: Option<bool>,
    raw: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// From inside.
    Out(Shape),
    /// From outside to what an earlier packet became, from the remote that it went to or another.
    In(Shape, usize),
    /// To a public tuple from inside.
    Hairpin(Shape, usize),
    Pass(u32),
    Behave(u8),
    /// The packets so far make a burst.
    Burst,
}

fn shape() -> impl Strategy<Value = Shape> {
    (
        (0..4u8, 0..3u8, 0..6u8, prop::bool::weighted(0.3), 0..9u8),
        prop_oneof![8 => Just(64u8), 1 => 0..3u8],
        prop_oneof![4 => Just(0u8), 1 => 1..4u8],
        prop_oneof![12 => Just(9u8), 1 => 0..3u8],
        any::<u16>(),
        prop_oneof![4 => Just(None), 1 => any::<bool>().prop_map(Some)],
        any::<bool>(),
    )
        .prop_map(
            |((inside, port, remote, v6, kind), hop_limit, vlans, oddity, at, checksum, raw)| {
                Shape {
                    inside,
                    port,
                    remote,
                    v6,
                    kind,
                    hop_limit,
                    vlans,
                    oddity,
                    at,
                    checksum,
                    raw,
                }
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => shape().prop_map(Step::Out),
        10 => (shape(), any::<usize>()).prop_map(|(shape, which)| Step::In(shape, which)),
        1 => (shape(), any::<usize>()).prop_map(|(shape, which)| Step::Hairpin(shape, which)),
        2 => (0u32..400_000).prop_map(Step::Pass),
        1 => any::<u8>().prop_map(Step::Behave),
        3 => Just(Step::Burst),
    ]
}

impl Shape {
    fn inside(&self) -> SocketAddr {
        let port = 1000 + u16::from(self.port);
        match self.v6 {
            true => SocketAddr::new(ip(&format!("fd00::{}", self.inside + 1)), port),
            false => SocketAddr::new(ip(&format!("10.0.0.{}", self.inside + 1)), port),
        }
    }

    fn remote(&self) -> SocketAddr {
        // The last one is what a destination rule translates, or what it becomes.
        let address = match (self.v6, self.remote) {
            (true, host) => format!("2001:db8::{}", host + 1),
            (false, 4) => "192.0.2.5".to_owned(),
            (false, 5) => "198.18.0.5".to_owned(),
            (false, host) => format!("198.51.100.{}", host + 1),
        };
        SocketAddr::new(ip(&address), if self.port == 0 { 53 } else { 443 })
    }

    fn frame(&self, source: SocketAddr, destination: SocketAddr) -> Vec<u8> {
        let mut build = match self.kind {
            0 => Build::udp_between(source, destination),
            1 => Build::udp_between(source, destination).checksum(0),
            8 => {
                let [from, to] = [source, destination].map(|end| end.ip().to_string());
                Build::echo_request(&from, &to, source.port(), 1)
            }
            kind => Build::tcp_between(source, destination)
                .flags([SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST][usize::from(kind - 2)]),
        };
        if let (2..=7, Some(checksum)) = (self.kind, self.checksum) {
            build = build.checksum(if checksum { 0xffff } else { 0 });
        }
        if self.oddity == 0 && source.is_ipv6() {
            build = build.extension(60, &[0, 0, 1, 4, 0, 0, 0, 0]);
        } else if self.oddity == 0 {
            build = build.options(&[1, 1, 148, 4, 0, 0]);
        }
        for vlan in 0..self.vlans {
            build = build.vlan(vlan.into());
        }
        let build = build.payload(&[7; 40]).hop_limit(self.hop_limit);
        let mut frame = match self.oddity {
            1 => build.fragments(32).swap_remove(usize::from(self.at % 2)),
            _ if self.raw => build.packet(),
            _ => build.frame(),
        };
        if self.oddity == 2 {
            let at = usize::from(self.at >> 8) % frame.len();
            frame[at] = self.at as u8;
        }
        frame
    }

    fn ingress(&self, vpc: VpcId) -> Ingress {
        let raw = self.raw && self.oddity != 1;
        Ingress {
            link: if raw { Link::RawIp } else { Link::Ethernet },
            vpc,
            token: 0,
        }
    }
}

fn behave(bits: u8) -> NatConfig {
    let behaviour = Behaviour {
        mapping: Mapping::ALL[usize::from(bits & 1)],
        filtering: Filtering::ALL[usize::from(bits >> 1) % 3],
        inbound_refresh: bits & 8 != 0,
        pooling: Pooling::ALL[usize::from(bits >> 5) % 2],
        // Parity draws lots that differ from function to function.
        port_policy: [PortPolicy::Random, PortPolicy::Preserve][usize::from(bits >> 6) % 2],
        timeouts: Timeouts {
            udp_well_known: vec![(53, Duration::from_secs(20 + u64::from(bits)))],
            ..Timeouts::default()
        },
        ..Behaviour::default()
    };
    let pool = NatPool::new("public")
        .realm("wan")
        .prefix(net("203.0.113.0/30"))
        .prefix(net("2001:db8:cafe::/126"));
    NatConfig::builder()
        .pool(pool)
        .peering(
            Peering::new("a", TENANT_A, WORLD)
                .source(SourceRule::new(net("10.0.0.0/8"), "public"))
                .source(SourceRule::new(net("fd00::/8"), "public"))
                .destination(DestinationRule::new(
                    net("192.0.2.0/24"),
                    net("198.18.0.0/24"),
                ))
                .behaviour(behaviour),
        )
        .hop_limit(match bits & 16 {
            0 => HopLimit::Keep,
            _ => HopLimit::Decrement,
        })
        .build()
        .expect("a configuration")
}

struct Lane {
    nat: NatFunction<NatDefaultAllocator, Watched>,
    store: ConfigStore,
    log: Log,
}

impl Lane {
    fn new(short: bool) -> Self {
        let config = behave(2);
        let allocator = NatDefaultAllocator::make(&config, Duration::from_secs(30));
        let store = ConfigStore::new(config);
        Lane {
            nat: NatFunction::new(store.clone(), allocator, Watched::new(short)),
            store,
            log: Log::default(),
        }
    }

    fn burst(
        &mut self,
        now: u64,
        batch: bool,
        packets: &[(Vec<u8>, Ingress)],
    ) -> Vec<(Verdict, Vec<u8>)> {
        let mut packets = packets.to_vec();
        let mut burst = self.nat.burst(Tick::from_millis(now), &mut self.log);
        let mut verdicts = Vec::new();
        if batch {
            let mut frames: Vec<_> = packets
                .iter_mut()
                .map(|(frame, ingress)| (frame.as_mut_slice(), *ingress))
                .collect();
            burst.process_batch(&mut frames, &mut verdicts);
        } else {
            let process = |(frame, ingress): &mut (Vec<u8>, _)| burst.process(frame, *ingress);
            verdicts.extend(packets.iter_mut().map(process));
        }
        drop(burst);
        verdicts
            .into_iter()
            .zip(packets.into_iter().map(|(frame, _)| frame))
            .collect()
    }
}

/// Runs the steps; how many packets took the short way, and how many sessions were made on it.
fn run(steps: &[Step]) -> [u64; 2] {
    let [mut long, mut short, mut batch] = [false, true, true].map(Lane::new);
    let (mut now, mut pending) = (1_000_000, Vec::new());
    // Where translated packets have gone: public and remote endpoint.
    let mut seen: Vec<[SocketAddr; 2]> = Vec::new();
    for step in steps.iter().chain([&Step::Burst]) {
        match step {
            Step::Out(shape) => {
                let frame = shape.frame(shape.inside(), shape.remote());
                pending.push((frame, shape.ingress(TENANT_A)));
            }
            Step::In(shape, which) if !seen.is_empty() => {
                let [public, remote] = seen[which % seen.len()];
                let remote = match which >> 32 & 7 {
                    0 => SocketAddr::new(remote.ip(), 9999),
                    _ => remote,
                };
                pending.push((shape.frame(remote, public), shape.ingress(WORLD)));
            }
            Step::Hairpin(shape, which) if !seen.is_empty() => {
                let [public, _] = seen[which % seen.len()];
                let shape = Shape {
                    v6: public.is_ipv6(),
                    ..*shape
                };
                pending.push((shape.frame(shape.inside(), public), shape.ingress(TENANT_A)));
            }
            Step::In(..) | Step::Hairpin(..) => {}
            Step::Pass(millis) => now += u64::from(*millis),
            Step::Behave(bits) => {
                long.store.publish(behave(*bits));
                short.store.publish(behave(*bits));
                batch.store.publish(behave(*bits));
            }
            Step::Burst => {
                let results = long.burst(now, false, &pending);
                assert_eq!(short.burst(now, false, &pending), results);
                assert_eq!(batch.burst(now, true, &pending), results);
                for ((verdict, frame), (_, ingress)) in results.iter().zip(&pending) {
                    let outbound = matches!(
                        verdict,
                        Verdict::Translated {
                            direction: Direction::Outbound,
                            ..
                        }
                    );
                    let view = dissect(ingress.link, frame);
                    if let (true, Ok(view)) = (outbound, view)
                        && !matches!(view.transport(), Transport::LaterFragment { .. })
                    {
                        let (source, destination) = ports(&view);
                        seen.push([
                            SocketAddr::new(view.source(), source),
                            SocketAddr::new(view.destination(), destination),
                        ]);
                    }
                }
                seen.drain(..seen.len().saturating_sub(12));
                pending.clear();
                assert_eq!(short.log.events, long.log.events);
                assert_eq!(batch.log.events, long.log.events);
                assert_eq!(short.log.frames, long.log.frames);
                assert_eq!(batch.log.frames, long.log.frames);
                assert_eq!(short.nat.stats(), long.nat.stats());
                assert_eq!(batch.nat.stats(), long.nat.stats());
                let show = |lane: &Lane| {
                    let sessions: Vec<_> = lane.nat.sessions().table.iter().collect();
                    format!("{sessions:?}")
                };
                assert_eq!(show(&short), show(&long));
                assert_eq!(show(&batch), show(&long));
            }
        }
    }
    let counts = |lane: &Lane| [lane.nat.sessions().travelled, lane.nat.sessions().admitted];
    assert_eq!(counts(&long), [0; 2]);
    // Whether a stranger is known for one depends on the table's secret.
    assert_eq!(counts(&batch)[0], counts(&short)[0]);
    counts(&short)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_short_way_and_batches_give_what_the_long_way_gives(
        steps in prop::collection::vec(step(), 1..200),
    ) {
        run(&steps);
    }
}

/// That the property above is not kept by never going the short way.
#[test]
fn packets_of_established_sessions_go_the_short_way() {
    let shape = |kind, v6| Shape {
        inside: 0,
        port: 1,
        remote: 0,
        v6,
        kind,
        hop_limit: 64,
        vlans: 1,
        oddity: 9,
        at: 0,
        checksum: None,
        raw: false,
    };
    for v6 in [false, true] {
        for (first, then) in [(0, 0), (2, 4)] {
            let out = Step::Out(shape(first, v6));
            let steps = [
                out,
                Step::Burst,
                Step::In(shape(then, v6), 1 << 32),
                Step::Out(shape(then, v6)),
            ];
            // The first packet too, which makes its session there.
            assert_eq!(run(&steps), [3, 1], "{first} {v6}");
        }
    }
}
