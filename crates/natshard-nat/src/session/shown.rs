//! Mappings and sessions as they are shown to others.

use std::fmt;
use std::net::SocketAddr;

use natshard::Tick;

use super::entry::{End, Ends, Kind};
use super::{MappingId, NatSession, TcpState};
use crate::addr::Addr;
use crate::config::PeeringIndex;
use crate::event::{MappingInfo, SessionInfo};

impl Ends {
    pub(super) const fn of(info: &MappingInfo) -> Self {
        Ends {
            vpcs: [info.inside_vpc, info.outside_vpc],
            kind: Kind::of(info.protocol, info.inside.is_ipv6()),
            inside: Addr::of(info.inside.ip()),
            inside_port: info.inside.port(),
            public: Addr::of(info.public.ip()),
            public_port: info.public.port(),
        }
    }

    pub(super) const fn info(&self) -> MappingInfo {
        let [inside, public] = self.tuples();
        MappingInfo {
            inside_vpc: self.vpcs[0],
            outside_vpc: self.vpcs[1],
            protocol: self.kind.protocol(),
            inside,
            public,
        }
    }
}

#[inline]
pub(super) fn info_of(ends: &Ends, remote: End, remote_outside: End) -> SessionInfo {
    let v6 = ends.kind.is_v6();
    let end = |(address, port): End| SocketAddr::new(address.ip(v6), port);
    SessionInfo {
        mapping: ends.info(),
        remote: end(remote),
        remote_outside: end(remote_outside),
    }
}

/// A session of a [`SessionTable`](super::SessionTable), as it was when it was asked for.
#[derive(Clone, Copy)]
pub struct TableSession {
    pub(super) ends: Ends,
    pub(super) remote: End,
    pub(super) remote_outside: End,
    pub(super) deadline: Tick,
    pub(super) mapping: MappingId,
    pub(super) generation: u32,
    pub(super) peering: PeeringIndex,
    pub(super) tcp: TcpState,
    pub(super) hairpin: bool,
}

impl NatSession for TableSession {
    #[inline]
    fn info(&self) -> SessionInfo {
        info_of(&self.ends, self.remote, self.remote_outside)
    }

    fn mapping(&self) -> MappingId {
        self.mapping
    }

    fn deadline(&self) -> Tick {
        self.deadline
    }

    fn tcp(&self) -> TcpState {
        self.tcp
    }

    fn generation(&self) -> u32 {
        self.generation
    }

    fn peering(&self) -> PeeringIndex {
        self.peering
    }

    fn is_hairpin(&self) -> bool {
        self.hairpin
    }
}

impl fmt::Debug for TableSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableSession")
            .field("info", &self.info())
            .field("deadline", &self.deadline)
            .field("tcp", &self.tcp)
            .finish_non_exhaustive()
    }
}
