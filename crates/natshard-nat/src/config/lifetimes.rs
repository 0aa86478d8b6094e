//! The timeouts of a peering as packets want them.

use std::time::Duration;

use natshard::Protocol;

use super::behaviour::Behaviour;

/// [`Timeouts`](super::Timeouts) in milliseconds.
#[derive(Clone, Debug)]
pub(crate) struct Lifetimes {
    /// Of packets of established sessions, by protocol, from inside and from outside; zero where
    /// they do not prolong the session.
    plain: [[u64; 2]; 2],
    pub(crate) tcp_established: u64,
    pub(crate) tcp_transitory: u64,
    /// Whether some UDP ports have a timeout of their own.
    pub(crate) has_well_known: bool,
    udp: u64,
    udp_well_known: Box<[(u16, u64)]>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Lifetimes {
    pub(crate) fn new(behaviour: &Behaviour) -> Self {
        let timeouts = &behaviour.timeouts;
        let well_known = timeouts.udp_well_known.iter();
        let (tcp, udp) = (millis(timeouts.tcp_established), millis(timeouts.udp));
        let inbound = if behaviour.inbound_refresh { udp } else { 0 };
        Lifetimes {
            plain: [[tcp, tcp], [udp, inbound]],
            tcp_established: tcp,
            tcp_transitory: millis(timeouts.tcp_transitory),
            has_well_known: !timeouts.udp_well_known.is_empty(),
            udp,
            udp_well_known: well_known.map(|(port, it)| (*port, millis(*it))).collect(),
        }
    }

    /// Of a packet of an established session; of UDP, to a port without a timeout of its own.
    #[inline(always)]
    pub(crate) const fn of_plain(&self, protocol: Protocol, from_outside: bool) -> u64 {
        let by_side = &self.plain[!matches!(protocol, Protocol::Tcp) as usize];
        by_side[from_outside as usize]
    }

    /// Of a UDP session to that remote port.
    pub(crate) fn of_udp(&self, remote_port: u16) -> u64 {
        let mut well_known = self.udp_well_known.iter();
        match well_known.find(|(port, _)| *port == remote_port) {
            Some((_, lifetime)) => *lifetime,
            None => self.udp,
        }
    }
}
