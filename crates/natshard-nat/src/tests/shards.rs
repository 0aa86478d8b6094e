//! Several function instances over one engine.

use natshard::ShardId;

use super::*;
use crate::packet::testing::Build;

/// Instances over one engine, and the dispatcher in front of them.
struct Shards {
    engine: Engine,
    config: NatConfig,
    steerer: Steerer,
    instances: Vec<NatFunction<NatDefaultAllocator, SessionTable<natshard::Lease>>>,
}

impl Shards {
    fn new(count: usize, config: NatConfig) -> Self {
        let engine = EngineConfig::new(count).hold_down(Duration::ZERO);
        let engine = config
            .pools()
            .iter()
            .fold(engine, |engine, pool| engine.pool(pool.to_engine()));
        let engine = Engine::new(engine).expect("an engine");
        let instances = (0..count)
            .map(|index| {
                let allocator = NatDefaultAllocator::new(&engine, index).expect("a shard");
                NatFunction::new(config.clone(), allocator, SessionTable::new(10_000))
            })
            .collect();
        Shards {
            engine,
            config,
            steerer: Steerer::new(),
            instances,
        }
    }

    fn instance_for(&self, frame: &[u8], vpc: VpcId) -> Option<usize> {
        let view = dissect(Link::Ethernet, frame).expect("a packet");
        match self.steerer.steer(&self.config, &view, vpc) {
            Steer::Host(number) | Steer::Datagram(number) => {
                Some((number % self.instances.len() as u64) as usize)
            }
            Steer::Owner {
                pool,
                protocol,
                public,
            } => {
                let realm = self.engine.realm(self.config.pool(pool).realm_name())?;
                self.engine
                    .owner(realm, protocol, public)
                    .map(ShardId::as_index)
            }
        }
    }

    /// Sends a frame through, from instance to instance if it must be.
    fn give(&mut self, from: VpcId, frame: &[u8]) -> Option<Out> {
        let (mut bytes, mut vpc) = (frame.to_vec(), from);
        for _ in 0..2 {
            let instance = self.instance_for(&bytes, vpc)?;
            let mut sink = ();
            let mut burst = self.instances[instance].burst(Tick::from_millis(1), &mut sink);
            let ingress = Ingress {
                link: Link::Ethernet,
                vpc,
                token: 0,
            };
            let verdict = burst.process(&mut bytes, ingress);
            drop(burst);
            let out = Out {
                verdict,
                frame: bytes.clone(),
            };
            match verdict {
                Verdict::Translated { to, .. }
                    if self
                        .config
                        .public_pool(to, out.view().destination())
                        .is_some() =>
                {
                    vpc = to;
                }
                _ => return Some(out),
            }
        }
        panic!("the frame goes in circles");
    }

    fn check(&self) {
        let mut publics = HashSet::new();
        for instance in &self.instances {
            let own: HashSet<_> = instance
                .sessions()
                .iter()
                .map(|session| session.info().mapping)
                .map(|mapping| (mapping.protocol, mapping.public))
                .collect();
            for public in own {
                assert!(publics.insert(public), "{public:?} in two instances");
            }
        }
        assert_eq!(self.engine.census().total.leased, publics.len() as u64);
    }
}

/// A function is made in one place and handed to the thread of its shard.
#[test]
fn an_instance_can_be_sent_to_its_thread() {
    fn send<T: Send>() {}
    send::<NatFunction<NatDefaultAllocator, SessionTable<natshard::Lease>>>();
    send::<ConfigStore>();
    send::<Steerer>();
}

/// I1 and the books, with a thread per instance.
#[test]
fn threads_share_a_pool_to_its_last_port() {
    let with = config_with(|pool| pool.ports(2000..=2999), |_| ());
    let mut shards = Shards::new(2, with);
    let translated: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (shards.instances.iter_mut().enumerate())
            .map(|(index, instance)| {
                scope.spawn(move || {
                    let mut sink = ();
                    for flow in 0..4000u32 {
                        let host = format!("10.{index}.{}.{}", flow / 200, flow % 200 + 1);
                        let sent = Build::udp(&format!("{host}:5000"), "198.51.100.1:53");
                        let ingress = Ingress {
                            link: Link::Ethernet,
                            vpc: TENANT_A,
                            token: 0,
                        };
                        let mut burst = instance.burst(Tick::from_millis(1), &mut sink);
                        let _ = burst.process(&mut sent.frame(), ingress);
                    }
                    instance.idle(Tick::from_millis(2), &mut sink);
                    instance.stats().translated(Direction::Outbound)
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .sum()
    });
    assert_eq!(
        translated,
        4 * 1000,
        "every port of the four addresses, and none twice"
    );
    shards.check();
}

#[test]
fn replies_and_errors_find_the_instance_that_has_the_session() {
    let mut shards = Shards::new(4, config(|_| ()));
    for host in 1..=60 {
        let inside = format!("10.0.0.{host}:5000");
        let sent = Build::udp(&inside, "198.51.100.1:53").payload(b"question");
        let out = shards.give(TENANT_A, &sent.frame()).unwrap();
        let public = out.source();
        let reply = Build::udp("198.51.100.1:53", &public.to_string()).payload(b"answer");
        let back = shards.give(WORLD, &reply.frame()).unwrap();
        assert_eq!(back.destination(), inside.parse().unwrap());
        let error = Build::icmp_error(
            "192.0.2.9",
            &public.ip().to_string(),
            3,
            1,
            &out.frame[14..],
        );
        let back = shards.give(WORLD, &error.frame()).unwrap();
        assert_eq!(back.direction(), Some(Direction::Inbound));
        // An inside router's error about the reply finds the host's instance too.
        let error = Build::icmp_error("10.255.0.1", "198.51.100.1", 11, 0, &{
            Build::udp("198.51.100.1:53", &inside).packet()
        });
        let out = shards.give(TENANT_A, &error.frame()).unwrap();
        assert_eq!(out.translated().source(), public.ip());
    }
    shards.check();
    let used = shards
        .instances
        .iter()
        .filter(|instance| !instance.sessions().is_empty());
    assert!(used.count() > 1, "the hosts must be spread");
}

#[test]
fn hairpins_cross_from_instance_to_instance() {
    let with = config(|behaviour| behaviour.filtering = Filtering::EndpointIndependent);
    let mut shards = Shards::new(4, with);
    let hosts: Vec<String> = (1..=12).map(|host| format!("10.0.0.{host}:5000")).collect();
    let publics: Vec<SocketAddr> = hosts
        .iter()
        .map(|host| {
            let sent = Build::udp(host, "198.51.100.1:53").frame();
            shards.give(TENANT_A, &sent).unwrap().source()
        })
        .collect();
    let mut crossed = 0;
    for (from, source) in hosts.iter().zip(&publics) {
        for (to, destination) in hosts.iter().zip(&publics) {
            if from == to {
                continue;
            }
            let sent = Build::udp(from, &destination.to_string())
                .payload(b"hello")
                .frame();
            let out = shards.give(TENANT_A, &sent).unwrap();
            crossed += usize::from(out.direction() == Some(Direction::Inbound));
            assert_eq!(
                (out.source(), out.destination()),
                (*source, to.parse().unwrap())
            );
        }
    }
    assert!(crossed > 20, "{crossed}");
    // An error about a packet that crossed crosses back.
    let sent = Build::udp(&hosts[0], &publics[1].to_string()).payload(b"hello");
    let got = shards.give(TENANT_A, &sent.frame()).unwrap().frame[14..].to_vec();
    let error = Build::icmp_error("10.0.0.2", &publics[0].ip().to_string(), 3, 3, &got);
    let out = shards.give(TENANT_A, &error.frame()).unwrap();
    let plain = Build::icmp_error(
        &publics[1].ip().to_string(),
        "10.0.0.1",
        3,
        3,
        &sent.packet(),
    )
    .frame();
    assert_eq!(out.frame, plain);
    // Nobody's tuple: nothing is leased for a packet that leads nowhere.
    let leased = shards.engine.census().total.leased;
    let free = (2000..).map(|port| SocketAddr::new(publics[0].ip(), port));
    let free = free
        .into_iter()
        // Nor in a hand: the shard whose hand it is in is asked before it is known.
        .find(|public| {
            let block = |of: &SocketAddr| (of.ip(), of.port() / 256);
            publics.iter().all(|other| block(other) != block(public))
        })
        .unwrap();
    let sent = Build::udp("10.0.9.9:1", &free.to_string()).frame();
    let out = shards.give(TENANT_A, &sent).unwrap();
    assert_eq!(out.dropped(), Some(DropReason::NoMapping));
    assert_eq!(shards.engine.census().total.leased, leased);
    shards.check();
}

#[test]
fn all_fragments_of_a_datagram_bear_one_number() {
    let shards = Shards::new(2, config(|_| ()));
    let numbers = |id| -> HashSet<Option<u64>> {
        let datagram = Build::udp("198.51.100.1:53", "203.0.113.1:5000").id(id);
        (datagram.payload(&[0; 300]).fragments(64).iter())
            .map(|frame| {
                let view = dissect(Link::Ethernet, frame).expect("a packet");
                if view.fragment().is_some_and(|fragment| !fragment.is_first()) {
                    let steer = shards.steerer.steer(&shards.config, &view, WORLD);
                    let number = shards.steerer.datagram(&view, WORLD).unwrap();
                    assert_eq!(steer, Steer::Datagram(number));
                }
                shards.steerer.datagram(&view, WORLD)
            })
            .collect()
    };
    assert_eq!(numbers(1).len(), 1);
    assert_ne!(numbers(1), numbers(2));
    let whole = Build::udp("198.51.100.1:53", "203.0.113.1:5000").frame();
    let view = dissect(Link::Ethernet, &whole).expect("a packet");
    assert_eq!(shards.steerer.datagram(&view, WORLD), None);
}

#[test]
fn f18_one_instance_gets_ports_that_others_do_not_use() {
    let with = config_with(
        |pool| {
            pool.ports(2000..=2999)
                .exclude_addresses(net("203.0.113.0/31"))
        },
        |_| (),
    );
    let mut shards = Shards::new(2, with);
    let mut sink = ();
    // All 2000 ports of the two addresses left, through one of two instances.
    for flow in 0..2000u32 {
        let source = format!("10.0.{}.{}:5000", flow / 200, flow % 200 + 1);
        let mut frame = Build::udp(&source, "198.51.100.1:53").frame();
        let mut burst = shards.instances[0].burst(Tick::from_millis(1), &mut sink);
        let verdict = burst.process(
            &mut frame,
            Ingress {
                link: Link::Ethernet,
                vpc: TENANT_A,
                token: 0,
            },
        );
        assert!(
            matches!(verdict, Verdict::Translated { .. }),
            "{flow}: {verdict:?}"
        );
    }
    shards.check();
}
