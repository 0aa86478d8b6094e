//! Requests for sets of consecutive ports (RFC 7753).

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::find::Give;
use super::{Effort, Outcome, Place, Search, Wish};
use crate::block::PORTS;
use crate::error::AllocError;
use crate::layout::{Layout, PoolLayout};
use crate::request::{Family, Parity, Request, Strictness};
use crate::shard::purpose;
use crate::worker::{Purpose, Work};

impl Work<'_> {
    /// Leases the longest run of a number of ports in `counts`, which begins with one; says how
    /// many it has.
    pub(crate) fn allocate_set(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        counts: RangeInclusive<usize>,
        give: Give<'_>,
    ) -> Result<usize, AllocError> {
        let (least, most) = (*counts.start(), (*counts.end()).min(PORTS));
        if least > most {
            return Err(AllocError::SetTooLarge);
        }
        let wish = Wish {
            most,
            least,
            parity: request.parity,
            place: Place::Anywhere,
        };
        self.check_family(pool, request)?;
        if let Some((address, strictness)) = request.address {
            match self.set_at(layout, pool, request, address, wish, give) {
                Err(_) if strictness == Strictness::Preferred => {
                    self.count_departed(true);
                }
                had => return had,
            }
        }
        let search = Search::pool(pool, purpose(request), wish);
        self.set_in(search, request.near_port, AllocError::PoolFull, give)
    }

    /// A set of one address.
    fn set_at(
        &mut self,
        layout: &Arc<Layout>,
        pool: &PoolLayout,
        request: &Request,
        address: IpAddr,
        wish: Wish,
        give: Give<'_>,
    ) -> Result<usize, AllocError> {
        let of = Family::of(address);
        if request.family.is_some_and(|family| family != of) {
            return Err(AllocError::NoSuchFamily);
        }
        let (page, class) = self.page_of(layout, pool, request.protocol, address)?;
        let purpose = Purpose {
            family: None,
            ..purpose(request)
        };
        let search = Search::address(pool, purpose, wish, page, class);
        self.set_in(search, request.near_port, AllocError::AddressFull, give)
    }

    fn set_in(
        &mut self,
        mut search: Search<'_>,
        near: Option<u16>,
        full: AllocError,
        give: Give<'_>,
    ) -> Result<usize, AllocError> {
        let wish = search.wish;
        if let Some(near) = near {
            let place = search.class_of(near);
            let parity = wish.parity.or(Some(Parity::of(near)));
            let there = wish.parity.is_none_or(|parity| parity == Parity::of(near));
            let there = there.then_some((wish.parity, Place::At(near)));
            for (parity, place) in there.into_iter().chain([(parity, place)]) {
                search.wish_for(Wish {
                    parity,
                    place,
                    ..wish
                });
                if let Outcome::Had(count) = self.find_run(&mut search, Effort::Little, give) {
                    return Ok(count);
                }
            }
            self.count_departed(true);
            search.wish_for(wish);
        }
        match self.find_run(&mut search, Effort::All, give) {
            Outcome::Had(count) => Ok(count),
            Outcome::NoRun => Err(AllocError::NoContiguous),
            Outcome::Full => Err(full),
        }
    }
}
