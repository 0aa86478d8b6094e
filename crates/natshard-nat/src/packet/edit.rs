//! From a [`View`] and an [`Edit`] to the translated bytes.

use std::net::IpAddr;

use super::{Family, View};

/// One end of a flow, as it shall read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// Address, of the packet's family.
    pub address: IpAddr,
    /// Port, or ICMP query identifier. `None` leaves it as it is, which is the only choice where
    /// the packet has none (a later fragment, another protocol).
    pub port: Option<u16>,
}

/// What becomes of the TTL or hop limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HopLimit {
    /// Leave it.
    #[default]
    Keep,
    /// One hop less, as a router does.
    Decrement,
}

/// A translation of one packet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Edit {
    /// New source, if it changes.
    pub source: Option<Endpoint>,
    /// New destination, if it changes.
    pub destination: Option<Endpoint>,
    /// TTL or hop limit.
    pub hop_limit: HopLimit,
}

/// Why an edit was refused. The frame is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EditError {
    /// The new address is of the other IP version.
    #[error("{address} cannot stand in an {family:?} packet")]
    WrongFamily {
        /// The address asked for.
        address: IpAddr,
        /// The packet's family.
        family: Family,
    },
    /// A port was given for a packet that carries none.
    #[error("the packet carries no port or identifier to set")]
    NoPort,
    /// Source and destination of an ICMP query were given different identifiers; it has only one.
    #[error("an ICMP query has one identifier, not both {source_port} and {destination_port}")]
    TwoIdentifiers {
        /// Identifier given with the source.
        source_port: u16,
        /// Identifier given with the destination.
        destination_port: u16,
    },
    /// The hop limit would reach zero: the packet ends here.
    #[error("the hop limit is used up")]
    HopLimitExceeded,
    /// The protocol's own checksum or signature covers the addresses in a way that is not known
    /// here, so changing them would break the packet.
    #[error("addresses of IP protocol {0} cannot be translated")]
    UnsupportedProtocol(u8),
    /// `apply_quoted` on a packet that is not an ICMP error.
    #[error("the packet quotes no other packet")]
    NotAnError,
    /// The frame is not the one the view was taken from.
    #[error("the frame is shorter than its view")]
    StaleView,
}

/// Rewrites the frame that `view` was taken from. Afterwards the view is stale.
///
/// For an ICMP query the port of either endpoint is the identifier. For an ICMP error only the
/// outer header is edited; see [`apply_quoted`].
///
/// # Errors
/// [`EditError`]; nothing has been written then.
pub fn apply(frame: &mut [u8], view: &View, edit: &Edit) -> Result<(), EditError> {
    let _ = (frame, view, edit);
    todo!()
}

/// Rewrites an ICMP error: its own header by `outer`, the packet it quotes by `quoted` ([RFC 5508
/// section 4]), and the quoted IP checksum, the quoted transport checksum as far as it is quoted,
/// and the ICMP checksum accordingly.
///
/// `outer` must name no ports; the hop limit of `quoted` is history and must be kept.
///
/// # Errors
/// [`EditError`]; nothing has been written then.
///
/// [RFC 5508 section 4]: https://www.rfc-editor.org/rfc/rfc5508#section-4
pub fn apply_quoted(
    frame: &mut [u8],
    view: &View,
    outer: &Edit,
    quoted: &Edit,
) -> Result<(), EditError> {
    let _ = (frame, view, outer, quoted);
    todo!()
}

impl View {
    /// Sets the source address and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_source(&mut self, frame: &mut [u8], address: IpAddr) -> Result<(), EditError> {
        let _ = (frame, address);
        todo!()
    }

    /// Sets the destination address and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_destination(&mut self, frame: &mut [u8], address: IpAddr) -> Result<(), EditError> {
        let _ = (frame, address);
        todo!()
    }

    /// Sets the source port, or the identifier of an ICMP query, and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_source_port(&mut self, frame: &mut [u8], port: u16) -> Result<(), EditError> {
        let _ = (frame, port);
        todo!()
    }

    /// Sets the destination port, or the identifier of an ICMP query, and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_destination_port(&mut self, frame: &mut [u8], port: u16) -> Result<(), EditError> {
        let _ = (frame, port);
        todo!()
    }
}
