//! What a shard tells of its leases and refusals.

use crate::error::AllocError;
use crate::event::EventKind;
use crate::id::PoolId;
use crate::lease::Lease;
use crate::request::Request;
use crate::worker::Work;

impl Work<'_> {
    /// Tells an event about something that has happened.
    pub(crate) fn tell(&self, pool: PoolId, kind: EventKind) {
        if let Some(events) = &self.inner.ground.events {
            self.tell_as(events.draw(), pool, kind);
        }
    }

    /// Tells, once, that there is no room for a further subscriber's books.
    #[cold]
    fn tell_subscribers(&self, pool: PoolId) {
        let ground = &self.inner.ground;
        let Some(events) = ground.events.as_ref() else {
            return;
        };
        if ground.accounts.tell_full_once() {
            let kind = EventKind::SubscribersExceeded {
                limit: ground.accounts.most(),
            };
            let shard = Some(self.id().as_index());
            if !events.tell(shard, events.draw(), ground.clock.now(), pool, kind) {
                // There will be no second occasion: whoever is refused next tells it.
                ground.accounts.untell_full();
            }
        }
    }

    /// Tells an event under a number drawn for it.
    pub(crate) fn tell_as(&self, sequence: u64, pool: PoolId, kind: EventKind) {
        let ground = &self.inner.ground;
        if let Some(events) = &ground.events {
            let shard = Some(self.id().as_index());
            events.tell(shard, sequence, ground.clock.now(), pool, kind);
        }
    }

    /// Tells of a lease, where leases are told, and has its release told as well. `asked` is who
    /// asked for it, which is known even where no books are kept.
    pub(crate) fn told(&mut self, pool: PoolId, asked: Option<u64>, lease: Lease) -> Lease {
        if self.worker.alarms.is_any() {
            let address = lease.page().address;
            self.worker.alarms.clear(pool, lease.protocol(), address);
        }
        if !self.worker.tells_leases {
            return lease;
        }
        let account = lease.account();
        let books = account.and_then(|account| self.inner.ground.books(account, self.pin));
        let kind = EventKind::PortAssigned {
            protocol: lease.protocol(),
            public: lease.addr(),
            subscriber: books.map(|books| books.subscriber()).or(asked),
        };
        self.tell(pool, kind);
        lease.told(pool)
    }

    /// Counts a refusal, and tells of it if something is exhausted.
    pub(crate) fn refused(&mut self, request: &Request, error: AllocError) {
        self.count_refusal(request.pool, error);
        let Some(events) = &self.inner.ground.events else {
            return;
        };
        let (pool, protocol) = (request.pool, request.protocol);
        let address = match error {
            AllocError::PoolFull => None,
            AllocError::AddressFull => match self.bound_to(request) {
                Some(address) => Some(address),
                None => return,
            },
            AllocError::TenantQuota => return self.tell_short(request),
            AllocError::SubscribersFull => return self.tell_subscribers(pool),
            _ => return,
        };
        let now = self.inner.ground.clock.now();
        let key = (pool, protocol, address);
        if self.worker.alarms.raise(key, now, events.interval) {
            let kind = match address {
                None => EventKind::AddressesExhausted { protocol },
                Some(address) => EventKind::PortsExhausted { protocol, address },
            };
            self.tell(pool, kind);
        }
    }

    /// The address a request is bound to, by itself or by its subscriber's pairing.
    fn bound_to(&self, request: &Request) -> Option<std::net::IpAddr> {
        if let Some((address, _)) = request.address {
            return Some(address);
        }
        let ground = &self.inner.ground;
        let account = ground.accounts.find(request.pool.0, request.subscriber?)?;
        let paired = ground.books(account, self.pin)?.pairing()?;
        Some(self.inner.address_of(self.layout, paired))
    }
}
