//! Every step, and the judgement of what the engine answers.

use std::net::{IpAddr, SocketAddr};

use natshard::{AllocError, Lease, Protocol, RawLease, Reason, Request, Strictness, Tick};

use crate::shapes::shapes;
use crate::steps::{How, Step, Wish};
use crate::world::{Cell, HOLD, Held, SLICE, World, config, quarter};

impl World {
    pub(crate) fn address(&self, at: usize) -> IpAddr {
        let addresses = self.addresses();
        addresses[at % addresses.len()]
    }

    pub(crate) fn drain(&mut self) {
        self.reader.drain(&mut self.books);
        assert_eq!(self.books.contradictions(), []);
        assert_eq!(self.books.events_lost(), 0);
    }

    pub(crate) fn bound(&self, subscriber: u64) -> Option<IpAddr> {
        self.books
            .pools()
            .find_map(|(_, books)| books.address(subscriber))
    }

    pub(crate) fn allocate(
        &mut self,
        shard: usize,
        subscriber: u64,
        protocol: Protocol,
        wish: Wish,
    ) -> bool {
        let mut request =
            Request::new(self.engine.pool("pool").unwrap(), protocol).subscriber(subscriber);
        match wish {
            Wish::None => {}
            Wish::Port(port) => request = request.near_port(port),
            Wish::Address(at, strictness) => {
                request = request.address(self.address(at), strictness)
            }
        }
        // Who holds nothing may have lost his pairing by then.
        let holds = self.account(subscriber) != [(0, 0); 3];
        let paired = self.bound(subscriber).filter(|_| holds);
        let shard = shard % self.shards.len();
        let mut had = self.shards[shard]
            .burst(Tick::from_millis(self.now))
            .allocate(&request);
        if had.as_ref().is_err_and(|error| error.is_exhaustion()) && self.shards.len() > 1 {
            // What others hold unissued comes back when they have nothing to do.
            for other in &mut self.shards {
                other.idle(Tick::from_millis(self.now));
            }
            had = self.shards[shard]
                .burst(Tick::from_millis(self.now))
                .allocate(&request);
        }
        self.drain();
        let allowed = self.limit_allows(subscriber, protocol);
        match had {
            Ok(lease) => {
                assert!(allowed, "beyond the limit");
                self.granted(lease, subscriber, protocol, wish, paired);
                true
            }
            Err(error) => {
                *self.refusals.entry(error.name()).or_default() += 1;
                match error {
                    AllocError::SubscriberMissing => {
                        let map = self.map.as_ref().unwrap();
                        assert!(subscriber >= map.subscribers());
                    }
                    AllocError::SubscriberQuota if !allowed => {}
                    AllocError::SubscriberQuota
                    | AllocError::PoolFull
                    | AllocError::AddressFull => {
                        assert!(allowed, "{error:?}, and at its limit");
                        let missed = self.missed(subscriber, protocol, wish, paired);
                        assert_eq!(missed, None, "{error:?} at {}", self.now);
                        let quota = error == AllocError::SubscriberQuota;
                        assert!(!quota || self.kind > 0);
                    }
                    // An address of a wish that is wholly excluded, or of another shape.
                    error => panic!("{error:?}"),
                }
                false
            }
        }
    }

    pub(crate) fn granted(
        &mut self,
        lease: Lease,
        subscriber: u64,
        protocol: Protocol,
        wish: Wish,
        paired: Option<IpAddr>,
    ) {
        let tuple = (lease.protocol(), lease.addr());
        let (_, public) = tuple;
        assert_eq!(lease.protocol(), protocol);
        assert!(self.is_given(tuple), "{public} is not the pool's");
        assert!(
            self.is_at_rest(&tuple),
            "{public}: {:?} at {}",
            self.cells.get(&tuple),
            self.now
        );
        if let Wish::Address(at, Strictness::Strict) = wish {
            assert_eq!(public.ip(), self.address(at));
        }
        let policies = self.policies();
        let in_range = self
            .map
            .as_ref()
            .and_then(|map| map.range(subscriber, protocol));
        let in_range =
            in_range.is_some_and(|(at, range)| at == public.ip() && range.contains(&public.port()));
        assert!(in_range || self.map.is_none() || policies.port_blocks.is_some());
        if policies.port_blocks.is_some() && !in_range {
            let owner = self
                .books
                .pools()
                .find_map(|(_, books)| books.holder(protocol, public));
            assert_eq!(owner, Some(subscriber), "{public}");
        }
        let bound = matches!(wish, Wish::Address(..)) || self.map.is_some();
        if let Some(strictness) = policies.pairing.filter(|_| !bound) {
            let now = self.bound(subscriber);
            assert!(now.is_some(), "not paired");
            let stays = paired.is_some_and(|at| self.pool.contains(at));
            assert!(!stays || now == paired, "moved from {paired:?} to {now:?}");
            assert!(strictness == Strictness::Preferred || now == Some(public.ip()));
        }
        self.cells.insert(tuple, Cell::Leased);
        self.held.push(Held {
            lease,
            tuple,
            subscriber: Some(subscriber),
        });
    }

    pub(crate) fn reserve(&mut self, shard: usize, address: usize, port: u16) {
        let public = SocketAddr::new(self.address(address), port);
        let tuple = (Protocol::Tcp, public);
        let pool = self.engine.pool("pool").unwrap();
        let shard = shard % self.shards.len();
        if self.kind == 0 {
            for other in &mut self.shards {
                other.idle(Tick::from_millis(self.now));
            }
        }
        let mut burst = self.shards[shard].burst(Tick::from_millis(self.now));
        let had = burst.reserve(pool, Protocol::Tcp, public);
        drop(burst);
        self.drain();
        let mut books = self.books.pools();
        let owner = books.find_map(|(_, books)| books.holder(Protocol::Tcp, public));
        let reservable = match self.kind {
            0 => self.is_given(tuple),
            _ => self.is_dynamic(tuple) && self.policies().port_blocks.is_some(),
        };
        match had {
            Ok(lease) => {
                assert!(reservable && self.is_at_rest(&tuple));
                assert_eq!(owner, None, "{public}");
                self.cells.insert(tuple, Cell::Leased);
                self.held.push(Held {
                    lease,
                    tuple,
                    subscriber: None,
                });
            }
            Err(AllocError::Excluded) => assert!(!reservable, "{public}"),
            Err(AllocError::InUse) => {
                assert!(
                    !self.is_at_rest(&tuple) || owner.is_some(),
                    "{public} could be had"
                );
            }
            Err(error) => panic!("{error:?}"),
        }
    }

    pub(crate) fn release(&mut self, shard: usize, pick: usize, how: How) {
        if self.held.is_empty() {
            return;
        }
        let held = self.held.swap_remove(pick % self.held.len());
        let shard = shard % self.shards.len();
        let mut burst = self.shards[shard].burst(Tick::from_millis(self.now));
        match how {
            How::Ended => burst.release(held.lease),
            How::Unused => burst.release_with(held.lease, Reason::Unused),
            How::Drop => drop(held.lease),
            How::Raw => {
                let raw: RawLease = held.lease.into_raw();
                burst.release_raw(raw).unwrap();
                assert!(burst.release_raw(raw).is_err());
            }
        }
        drop(burst);
        if matches!(how, How::Unused) {
            self.cells.remove(&held.tuple);
            self.unused.insert(quarter(held.tuple), self.slice());
        } else {
            let cell = Cell::Resting(self.slice(), held.subscriber);
            self.cells.insert(held.tuple, cell);
        }
    }

    pub(crate) fn apply(&mut self, step: &Step) {
        match *step {
            Step::Allocate {
                shard,
                who,
                protocol,
                count,
                wish,
            } => {
                let subscriber = self.subscriber(who);
                for _ in 0..count {
                    if !self.allocate(shard, subscriber, Protocol::ALL[protocol], wish) {
                        break;
                    }
                }
            }
            Step::Reserve {
                shard,
                address,
                port,
            } => self.reserve(shard, address, port),
            Step::Release { shard, pick, how } => self.release(shard, pick, how),
            Step::ReleaseMany { shard, keep } => {
                while self.held.len() > keep {
                    let pick = self.now as usize ^ self.held.len().wrapping_mul(0x9e37_79b9);
                    self.release(shard, pick, How::Ended);
                }
            }
            Step::Idle { shard } => {
                let shard = shard % self.shards.len();
                self.shards[shard].idle(Tick::from_millis(self.now));
            }
            Step::Forward { slices, millis } => self.now += slices * SLICE + millis,
            Step::Jump { far } => {
                self.now += [2 * HOLD, 127 * SLICE, 65_535 * SLICE + 3 * SLICE, 1 << 40][far];
            }
            Step::Reconfigure { shape } => {
                let shapes = shapes(self.kind);
                let pool = shapes[shape % shapes.len()].clone();
                self.map = pool.deterministic_map();
                let config = config(&pool, self.shards.len());
                self.pool = pool;
                self.engine.reconfigure(config).unwrap();
            }
        }
        // The engine's time is that of the latest burst.
        drop(self.shards[0].burst(Tick::from_millis(self.now)));
    }
}
