//! Requests for sets of consecutive ports (RFC 7753).

use std::net::IpAddr;
use std::sync::Arc;

use super::{Effort, Outcome, Place, Search, Sought};
use crate::block::PORTS;
use crate::error::AllocError;
use crate::fair::{Books, DeterministicMap, Leasing};
use crate::hints::Hint;
use crate::layout::{Layout, PoolLayout};
use crate::lease::{CHARGED, Lease};
use crate::page::Page;
use crate::region::Region;
use crate::request::{Family, Parity, Request, Strictness};
use crate::worker::Work;

/// A set that is asked for, and where its leases go.
pub(crate) struct Set<'r> {
    pub(crate) layout: &'r Arc<Layout>,
    pub(crate) pool: &'r PoolLayout,
    pub(crate) request: &'r Request,
    /// At least one and at most `most`.
    pub(crate) least: usize,
    /// At most a block.
    pub(crate) most: usize,
    pub(crate) into: &'r mut Vec<Lease>,
    /// Where the set begins in `into`.
    first: usize,
}

impl<'r> Set<'r> {
    /// A set of `least` to `most` ports, the first of them at least one.
    pub(crate) fn new(
        layout: &'r Arc<Layout>,
        pool: &'r PoolLayout,
        request: &'r Request,
        (least, most): (usize, usize),
        into: &'r mut Vec<Lease>,
    ) -> Result<Self, AllocError> {
        let most = most.min(PORTS);
        if least > most {
            return Err(AllocError::SetTooLarge);
        }
        into.reserve(most);
        Ok(Set {
            layout,
            pool,
            request,
            least,
            most,
            first: into.len(),
            into,
        })
    }

    /// The run that is looked for, wherever it is.
    fn sought(&self) -> Sought {
        Sought {
            most: self.most,
            least: self.least,
            parity: self.request.parity,
            place: Place::Anywhere,
        }
    }

    /// What comes nearest to the port suggested: a run from there on, then one of its parity and
    /// class.
    fn near(&self, search: &Search<'_>) -> [Option<Sought>; 2] {
        let sought = self.sought();
        let Some(port) = self.request.near_port else {
            return [None; 2];
        };
        let parity = Parity::of(port);
        let exact = Sought {
            place: Place::At(port),
            ..sought
        };
        let close = Sought {
            parity: sought.parity.or(Some(parity)),
            place: search.class_of(port),
            ..sought
        };
        let possible = sought.parity.is_none_or(|own| own == parity);
        [possible.then_some(exact), Some(close)]
    }

    /// All wishes, the strongest first, and whether a set by it departs from what was asked.
    pub(crate) fn wishes(&self, work: &Work<'_>) -> [Option<(Sought, bool)>; 3] {
        let search = Search::pool(self.pool, work.purpose(self.request), self.sought());
        let [exact, close] = self.near(&search);
        let last = (self.sought(), close.is_some());
        let kept = |sought: Option<Sought>| sought.map(|sought| (sought, false));
        [kept(exact), kept(close), Some(last)]
    }

    /// Changes the leases that were had.
    fn each(&mut self, mut change: impl FnMut(Lease) -> Lease) {
        // Each goes out at the end and comes back in at its place: within the capacity.
        for place in self.first..self.into.len() {
            let lease = change(self.into.swap_remove(place));
            self.into.push(lease);
            let last = self.into.len() - 1;
            self.into.swap(place, last);
        }
    }
}

impl Leasing for Set<'_> {
    fn request(&self) -> &Request {
        self.request
    }

    fn ports(&self) -> (u16, u16) {
        (self.least as u16, self.most as u16)
    }

    fn narrow(&mut self, most: u16) {
        self.most = most.into();
    }

    fn lease_in_range(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        ranges: &DeterministicMap,
    ) -> Result<(), AllocError> {
        work.set_in_range(self, ranges, books.subscriber())
    }

    fn lease_there(
        &mut self,
        work: &mut Work<'_>,
        books: &Books<'_>,
        address: Option<IpAddr>,
    ) -> Result<(), AllocError> {
        match (self.pool.policy.blocks, address) {
            (Some(blocks), _) => work.set_in_blocks(self, books, blocks, address),
            (None, Some(address)) => work.set_at(self, address),
            (None, None) => work.set_anywhere(self),
        }
    }

    fn had(&self) -> u16 {
        (self.into.len() - self.first) as u16
    }

    fn page(&self) -> Option<&Page> {
        self.into.get(self.first).map(Lease::page)
    }

    fn charge_to(&mut self, account: u32) {
        self.each(|lease| lease.noted(CHARGED, account));
    }

    fn undo(&mut self, work: &mut Work<'_>) {
        for lease in self.into.drain(self.first..) {
            work.release_unused(lease);
        }
    }
}

impl Work<'_> {
    /// Leases a set, and tells of each lease where leases are told.
    pub(crate) fn allocate_set(&mut self, set: &mut Set<'_>) -> Result<(), AllocError> {
        self.check_family(set.pool, set.request)?;
        match set.request.subscriber {
            Some(subscriber) if set.pool.policy.keeps_books() => {
                self.lease_for(set.layout, set.pool, set, subscriber)?;
            }
            _ if set.pool.policy.is_exclusive() => return Err(AllocError::SubscriberMissing),
            _ => self.set_shared(set)?,
        }
        let (pool, asked) = (set.request.pool, set.request.subscriber);
        set.each(|lease| self.told(pool, asked, lease));
        Ok(())
    }

    /// Of ports that are anybody's.
    fn set_shared(&mut self, set: &mut Set<'_>) -> Result<(), AllocError> {
        if let Some((address, strictness)) = set.request.address {
            match self.set_at(set, address) {
                Err(_) if strictness == Strictness::Preferred => {
                    self.count_departed(true);
                }
                had => return had,
            }
        }
        self.set_anywhere(set)
    }

    /// A set of one address.
    fn set_at(&mut self, set: &mut Set<'_>, address: IpAddr) -> Result<(), AllocError> {
        let (layout, pool, request) = (set.layout, set.pool, set.request);
        let of = Family::of(address);
        if request.family.is_some_and(|family| family != of) {
            return Err(AllocError::NoSuchFamily);
        }
        let (page, class) = self.page_of(layout, pool, request.protocol, address)?;
        let purpose = self.purpose(request);
        let search = Search::address(pool, purpose, set.sought(), page, class);
        let had = self.set_in(set, search, AllocError::AddressFull);
        had.map_err(|error| {
            let free = |region: &Arc<Region>| !page.hinted(Hint::FREE, &region.blocks).is_empty();
            if class.regions.iter().any(free) {
                self.reason(pool, request.protocol, error)
            } else {
                error
            }
        })
    }

    /// A set of any address.
    fn set_anywhere(&mut self, set: &mut Set<'_>) -> Result<(), AllocError> {
        let (pool, request) = (set.pool, set.request);
        let search = Search::pool(pool, self.purpose(request), set.sought());
        let had = self.set_in(set, search, AllocError::PoolFull);
        had.map_err(|error| self.reason(pool, request.protocol, error))
    }

    fn set_in(
        &mut self,
        set: &mut Set<'_>,
        mut search: Search<'_>,
        full: AllocError,
    ) -> Result<(), AllocError> {
        let (near, sought) = (set.near(&search), set.sought());
        let give = &mut |lease| set.into.push(lease);
        for wish in near.into_iter().flatten() {
            search.seek(wish);
            if let Outcome::Had(_) = self.find_run(&mut search, Effort::Little, give) {
                return Ok(());
            }
        }
        search.seek(sought);
        self.count_departed(near[1].is_some());
        match self.find_run(&mut search, Effort::All, give) {
            Outcome::Had(_) => Ok(()),
            Outcome::NoRun | Outcome::Never => Err(AllocError::NoContiguous),
            Outcome::Full => Err(full),
        }
    }
}
