//! How long sessions live without traffic.

use std::time::Duration;

/// Idle timeouts. A zero is refused by [`NatConfig`](super::NatConfig); values below what an RFC
/// demands are taken and listed by [`Timeouts::below_rfc`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// UDP: 300 s; RFC 4787 REQ-5 demands at least 120 s.
    pub udp: Duration,
    /// UDP sessions to single well-known ports (0 to 1023), which RFC 4787 REQ-5 a) lets be
    /// shorter; none by default.
    pub udp_well_known: Vec<(u16, Duration)>,
    /// TCP connections established or half closed: 2 h 4 min (RFC 5382 REQ-5).
    pub tcp_established: Duration,
    /// TCP connections that are opening, closed both ways or reset: 4 min (RFC 5382 REQ-5,
    /// RFC 7857 section 2.2).
    pub tcp_transitory: Duration,
    /// ICMP queries: 60 s (RFC 5508 REQ-2).
    pub icmp: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            udp: Duration::from_secs(300),
            udp_well_known: Vec::new(),
            tcp_established: Duration::from_secs(7440),
            tcp_transitory: Duration::from_secs(240),
            icmp: Duration::from_secs(60),
        }
    }
}

impl Timeouts {
    /// The least that the RFCs allow: name of the field, its least value, where that is said.
    pub const RFC_MINIMUM: [(&'static str, Duration, &'static str); 4] = [
        ("udp", Duration::from_secs(120), "RFC 4787 REQ-5"),
        (
            "tcp_established",
            Duration::from_secs(7440),
            "RFC 5382 REQ-5",
        ),
        ("tcp_transitory", Duration::from_secs(240), "RFC 5382 REQ-5"),
        ("icmp", Duration::from_secs(60), "RFC 5508 REQ-2"),
    ];

    /// The entries of [`RFC_MINIMUM`](Self::RFC_MINIMUM) that these timeouts stay below.
    pub fn below_rfc(
        &self,
    ) -> impl Iterator<Item = (&'static str, Duration, &'static str)> + use<'_> {
        let given = [
            self.udp,
            self.tcp_established,
            self.tcp_transitory,
            self.icmp,
        ];
        Self::RFC_MINIMUM
            .into_iter()
            .zip(given)
            .filter(|((_, least, _), given)| given < least)
            .map(|(minimum, _)| minimum)
    }

    /// The timeout of a UDP session to that remote port.
    #[must_use]
    pub fn of_udp(&self, remote_port: u16) -> Duration {
        self.udp_well_known
            .iter()
            .find(|(port, _)| *port == remote_port)
            .map_or(self.udp, |(_, timeout)| *timeout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_meet_every_rfc_minimum_and_shorter_ones_are_named() {
        let mut timeouts = Timeouts::default();
        assert_eq!(timeouts.below_rfc().count(), 0);
        timeouts.udp = Duration::from_secs(30);
        assert_eq!(
            timeouts
                .below_rfc()
                .map(|(name, ..)| name)
                .collect::<Vec<_>>(),
            ["udp"]
        );
    }

    #[test]
    fn a_well_known_udp_port_may_have_a_timeout_of_its_own() {
        let timeouts = Timeouts {
            udp_well_known: vec![(53, Duration::from_secs(20))],
            ..Timeouts::default()
        };
        assert_eq!(timeouts.of_udp(53), Duration::from_secs(20));
        assert_eq!(timeouts.of_udp(54), timeouts.udp);
    }
}
