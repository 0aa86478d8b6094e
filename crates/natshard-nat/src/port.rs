//! What a packet carries and what a pool gives: two types, so that they cannot be mixed up.

use std::fmt;

use natshard::Protocol;
use thiserror::Error;

/// A port as a packet carries it, or the identifier of an ICMP query: every value can be met on
/// the wire, 0 and the well-known ports included, and must come back as it was.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct NatPort(u16);

impl NatPort {
    /// A port or identifier.
    #[must_use]
    pub const fn new(port: u16) -> Self {
        NatPort(port)
    }

    /// The number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// Whether the port is one of 0 to 1023, the class that RFC 4787 REQ-3 a) speaks of.
    #[must_use]
    pub const fn is_well_known(self) -> bool {
        self.0 < UnreservedPort::FIRST
    }
}

impl From<u16> for NatPort {
    fn from(port: u16) -> Self {
        NatPort(port)
    }
}

impl From<UnreservedPort> for NatPort {
    fn from(port: UnreservedPort) -> Self {
        NatPort(port.0)
    }
}

impl fmt::Display for NatPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A port as a pool gives it out.
///
/// [`new`](Self::new) refuses the well-known ports; a pool whose port range says that they are to
/// be given out passes that range to [`within`](Self::within). There is no other way to make one,
/// so a well-known port in here was asked for by somebody's configuration.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnreservedPort(u16);

impl UnreservedPort {
    /// The first port that is not well-known (RFC 6335 section 6).
    pub const FIRST: u16 = 1024;

    /// A port outside the well-known ones.
    ///
    /// # Errors
    /// [`PortError::WellKnown`] below 1024.
    pub const fn new(port: u16) -> Result<Self, PortError> {
        if port < Self::FIRST {
            Err(PortError::WellKnown(port))
        } else {
            Ok(UnreservedPort(port))
        }
    }

    /// A port or identifier from a pool that gives out `first` to `last` for `protocol`.
    ///
    /// # Errors
    /// [`PortError::OutsideRange`] if the pool's range does not hold it, [`PortError::Zero`] for
    /// port 0 of TCP or UDP, which cannot be a source port that answers are sent to.
    pub const fn within(
        protocol: Protocol,
        port: u16,
        first: u16,
        last: u16,
    ) -> Result<Self, PortError> {
        if port == 0 && !matches!(protocol, Protocol::Icmp) {
            return Err(PortError::Zero(protocol));
        }
        if port < first || port > last {
            return Err(PortError::OutsideRange { port, first, last });
        }
        Ok(UnreservedPort(port))
    }

    /// The number.
    #[must_use]
    pub const fn as_u16(self) -> u16 {
        self.0
    }
}

impl fmt::Display for UnreservedPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a number cannot be a port given out by a pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum PortError {
    /// A port below 1024 that no pool's range was named for.
    #[error("port {0} is well-known and is given out only where a pool's range says so")]
    WellKnown(u16),
    /// Port 0 of TCP or UDP.
    #[error("{0} port 0 cannot be given out")]
    Zero(Protocol),
    /// A port outside the pool's range.
    #[error("port {port} is outside the pool's range {first}-{last}")]
    OutsideRange {
        /// The port.
        port: u16,
        /// The first port of the range.
        first: u16,
        /// The last port of the range.
        last: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_ports_are_representable_but_not_given_out_unless_the_pool_says_so() {
        assert!(NatPort::new(53).is_well_known());
        assert_eq!(UnreservedPort::new(1023), Err(PortError::WellKnown(1023)));
        assert_eq!(
            UnreservedPort::new(1024).map(UnreservedPort::as_u16),
            Ok(1024)
        );
        let privileged = UnreservedPort::within(Protocol::Udp, 600, 1, 1023).unwrap();
        assert_eq!(NatPort::from(privileged), NatPort::new(600));
        assert!(UnreservedPort::within(Protocol::Udp, 600, 1024, 65535).is_err());
    }

    #[test]
    fn identifier_zero_is_one_like_any_other_and_port_zero_is_not() {
        assert!(UnreservedPort::within(Protocol::Icmp, 0, 0, 65535).is_ok());
        assert_eq!(
            UnreservedPort::within(Protocol::Tcp, 0, 0, 65535),
            Err(PortError::Zero(Protocol::Tcp))
        );
    }
}
