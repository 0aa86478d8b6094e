//! New lines of the table.

use natshard::Tick;

use super::TcpState;
use super::entry::{
    End, Ends, Listing, Mapping, NONE, Outcome, Pair, REDIRECT, Redirect, Session, Wide,
};
use super::table::SessionTable;
use crate::config::PeeringIndex;
use crate::packet::Replacement;

impl<L> SessionTable<L> {
    #[inline(always)]
    pub(super) fn mapping_with(
        &mut self,
        ends: &Ends,
        lease: Option<L>,
        endpoint_independent: bool,
    ) -> Mapping<L> {
        let (mut inside, public) = (ends.inside.low(), ends.public.low());
        if ends.kind.is_v6() {
            inside = self.pairs.insert(Pair {
                inside: ends.inside,
                public: ends.public,
            });
        }
        Mapping {
            inside,
            public,
            vpcs: ends.vpcs,
            inside_port: ends.inside_port,
            public_port: ends.public_port,
            sessions: 0,
            first: NONE,
            kind: ends.kind,
            listing: match endpoint_independent {
                true => Listing::ByBoth,
                false => Listing::ByPublic,
            },
            outcome: Outcome::Unused,
            crowded: false,
            lease,
        }
    }

    /// Makes the line of a session of that mapping, peering and generation, towards a remote
    /// endpoint as the inside addresses it and as it is addressed outside, and has the wheel ask for
    /// it; no packet finds it yet.
    #[inline(always)]
    pub(super) fn insert_session(
        &mut self,
        ends: &Ends,
        [remote, outside]: [End; 2],
        flags: u8,
        (mapping, peering, generation, deadline): (u32, PeeringIndex, u32, Tick),
    ) -> u32 {
        let mut addresses = [ends.inside.low(), remote.0.low(), ends.public.low()];
        if ends.kind.is_v6() {
            addresses[0] = self.wides.insert(Wide {
                addresses: [ends.inside, remote.0, ends.public],
            });
        }
        if flags & REDIRECT != 0 {
            addresses[1] = self.redirects.insert(Redirect {
                remote: remote.0,
                outside: outside.0,
                outside_port: outside.1,
            });
        }
        let index = self.sessions.next();
        let armed = self.wheel.insert(index, deadline);
        self.sessions.insert(Session {
            addresses,
            vpcs: ends.vpcs,
            ports: [ends.inside_port, remote.1, ends.public_port],
            address_delta: Replacement::delta(ends.inside, ends.public),
            peer_next: index,
            deadline,
            mapping,
            generation,
            peering,
            armed,
            peer_prev: index,
            kind: ends.kind,
            flags,
            tcp: TcpState::NEW,
        });
        self.join_peers(index, mapping);
        index
    }
}
