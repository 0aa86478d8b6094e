//! Who counts as what in a pool that shares its blocks out: everybody else, control traffic, and
//! the tenants it names.

use std::collections::HashMap;

use crate::config::PoolConfig;
use crate::event::Holder;
use crate::fair::policy::{TenantShare, Threshold};
use crate::fair::quota::ClassNumber;
use crate::id::PoolId;
use crate::request::Request;

/// Requests with no tenant, or one that the pool does not name.
pub(crate) const OTHERS: ClassNumber = 0;
/// Control traffic, where the pool has headroom.
const CONTROL: ClassNumber = 1;
/// The first tenant.
const FIRST_TENANT: usize = 2;

/// On whose behalf a request is, as its pool counts it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct Claimant {
    pub(crate) class: ClassNumber,
    /// A number for pool and class, stable for the life of the engine; zero for everybody else.
    pub(crate) seat: u32,
}

impl Claimant {
    pub(crate) const OTHERS: Claimant = Claimant {
        class: OTHERS,
        seat: 0,
    };
}

/// The classes and seats there ever were.
#[derive(Debug, Default)]
pub(crate) struct Seats {
    /// By pool: its tenants, in the order of their classes.
    tenants: HashMap<PoolId, Vec<u32>>,
    seats: HashMap<(PoolId, ClassNumber), u32>,
}

impl Seats {
    /// How many tenants a pool would have had with these.
    pub(crate) fn count_with(&self, pool: PoolId, shares: &[TenantShare]) -> usize {
        let known = self.tenants.get(&pool).map_or(&[][..], Vec::as_slice);
        let fresh = shares.iter().filter(|share| !known.contains(&share.tenant));
        known.len() + fresh.count()
    }

    fn seat(&mut self, pool: PoolId, class: ClassNumber) -> Claimant {
        let next = self.seats.len() as u32 + 1;
        let seat = *self.seats.entry((pool, class)).or_insert(next);
        Claimant { class, seat }
    }

    fn tenant(&mut self, pool: PoolId, tenant: u32) -> Claimant {
        let known = self.tenants.entry(pool).or_default();
        let place = known.iter().position(|&other| other == tenant);
        let place = place.unwrap_or_else(|| {
            known.push(tenant);
            known.len() - 1
        });
        self.seat(pool, (FIRST_TENANT + place) as ClassNumber)
    }
}

/// How a pool shares its blocks out, as a layout has it.
#[derive(Clone, Debug)]
pub(crate) struct Sharing {
    /// By tenant.
    tenants: Vec<(TenantShare, Claimant)>,
    control: Option<(u32, Claimant)>,
    pub(crate) threshold: Option<Threshold>,
    /// Tenants that an earlier configuration named: what is theirs goes to everybody else.
    former: Vec<(u32, ClassNumber)>,
    /// How many blocks there are, by protocol.
    pub(crate) blocks: [u64; 3],
}

impl Sharing {
    /// `None` for a pool that does not count its blocks.
    pub(crate) fn of(pool: &PoolConfig, id: PoolId, seats: &mut Seats) -> Option<Self> {
        if pool.tenants.is_empty() && pool.headroom == 0 && pool.threshold.is_none() {
            return None;
        }
        let mut tenants: Vec<_> = pool
            .tenants
            .iter()
            .map(|&share| (share, seats.tenant(id, share.tenant)))
            .collect();
        tenants.sort_unstable_by_key(|(share, _)| share.tenant);
        let known = seats.tenants.get(&id).map_or(&[][..], Vec::as_slice);
        let former = known.iter().enumerate().filter_map(|(place, &tenant)| {
            let named = tenants.iter().any(|(share, _)| share.tenant == tenant);
            (!named).then_some((tenant, (FIRST_TENANT + place) as ClassNumber))
        });
        let former = former.collect();
        let control = (pool.headroom > 0).then(|| (pool.headroom, seats.seat(id, CONTROL)));
        Some(Sharing {
            tenants,
            control,
            threshold: pool.threshold,
            former,
            blocks: [0; 3],
        })
    }

    /// On whose behalf a request is.
    pub(crate) fn claimant(&self, request: &Request) -> Claimant {
        if request.control
            && let Some((_, control)) = self.control
        {
            return control;
        }
        let Some(tenant) = request.tenant else {
            return Claimant::OTHERS;
        };
        let place = self
            .tenants
            .binary_search_by_key(&tenant, |(share, _)| share.tenant);
        place.map_or(Claimant::OTHERS, |place| self.tenants[place].1)
    }

    /// The classes it names, each with its holder, minimum and maximum.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (ClassNumber, Holder, u32, u32)> {
        let others = (OTHERS, Holder::Others, 0, u32::MAX);
        let control = self.control.iter();
        let control = control.map(|(least, one)| (one.class, Holder::Control, *least, u32::MAX));
        let tenants = self.tenants.iter().map(|(share, claimant)| {
            let holder = Holder::Tenant(share.tenant);
            (claimant.class, holder, share.minimum, share.maximum)
        });
        [others].into_iter().chain(control).chain(tenants)
    }

    /// Classes that it does not name, and an earlier configuration did.
    pub(crate) fn former(&self) -> impl Iterator<Item = (ClassNumber, Holder)> {
        let control = self.control.is_none().then_some((CONTROL, Holder::Control));
        let tenants = self.former.iter();
        let tenants = tenants.map(|&(tenant, class)| (class, Holder::Tenant(tenant)));
        control.into_iter().chain(tenants)
    }

    /// Whether it names a class.
    pub(crate) fn names(&self, class: ClassNumber) -> bool {
        self.classes().any(|(named, ..)| named == class)
    }

    /// Whose a class is.
    pub(crate) fn holder(&self, class: ClassNumber) -> Holder {
        let named = self.classes().map(|(named, holder, ..)| (named, holder));
        let mut all = named.chain(self.former());
        all.find(|&(known, _)| known == class)
            .map_or(Holder::Others, |(_, holder)| holder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Protocol;

    const POOL: PoolId = PoolId(3);

    fn sharing(seats: &mut Seats, tenants: &[u32], headroom: u32) -> Sharing {
        let pool = tenants.iter().fold(PoolConfig::new("p"), |pool, &tenant| {
            pool.tenant(TenantShare::new(tenant).minimum(tenant).maximum(99))
        });
        Sharing::of(&pool.headroom(headroom), POOL, seats).unwrap()
    }

    #[test]
    fn a_tenant_keeps_its_class_and_seat_for_the_life_of_the_engine() {
        let mut seats = Seats::default();
        let request = Request::new(POOL, Protocol::Tcp);
        let first = sharing(&mut seats, &[7, 5], 0);
        let (seven, five) = (
            first.claimant(&request.tenant(7)),
            first.claimant(&request.tenant(5)),
        );
        assert_ne!(seven, five);
        assert_eq!(first.claimant(&request.tenant(6)), Claimant::OTHERS);
        assert_eq!(first.claimant(&request), Claimant::OTHERS);

        let second = sharing(&mut seats, &[5, 6], 0);
        assert_eq!(second.claimant(&request.tenant(5)), five);
        assert_eq!(second.claimant(&request.tenant(7)), Claimant::OTHERS);
        let six = second.claimant(&request.tenant(6));
        assert!(six != seven && six != five);
        assert!(!second.names(seven.class));
        assert_eq!(second.holder(seven.class), Holder::Tenant(7));
        assert_eq!(second.holder(six.class), Holder::Tenant(6));

        let third = sharing(&mut seats, &[7], 0);
        assert_eq!(third.claimant(&request.tenant(7)), seven);
        // Another pool's tenant of the same number sits elsewhere.
        let pool = PoolConfig::new("q").tenant(TenantShare::new(7));
        let other = Sharing::of(&pool, PoolId(4), &mut seats).unwrap();
        assert_ne!(other.claimant(&request.tenant(7)).seat, seven.seat);
        assert_eq!(
            seats.count_with(POOL, &[TenantShare::new(7), TenantShare::new(8)]),
            4
        );
    }

    #[test]
    fn control_traffic_has_a_class_where_there_is_headroom() {
        let mut seats = Seats::default();
        let request = Request::new(POOL, Protocol::Tcp).tenant(5).control();
        let without = sharing(&mut seats, &[5], 0);
        let tenant = without.claimant(&request);
        assert_eq!(without.holder(tenant.class), Holder::Tenant(5));
        let with = sharing(&mut seats, &[5], 2);
        let control = with.claimant(&request);
        assert_eq!(with.holder(control.class), Holder::Control);
        assert!(with.names(control.class) && !without.names(control.class));
        let classes: Vec<_> = with.classes().collect();
        assert_eq!(
            classes,
            [
                (OTHERS, Holder::Others, 0, u32::MAX),
                (control.class, Holder::Control, 2, u32::MAX),
                (tenant.class, Holder::Tenant(5), 5, 99),
            ]
        );
    }
}
