//! From a [`View`] and an [`Edit`] to the translated bytes.

use std::net::IpAddr;

use super::checksum::{Delta, Zero};
use super::layout::{Layout, Ports};
use super::{Family, Transport, View};

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
    #[error("{address} cannot stand in an IP{} packet", if matches!(family, Family::V4) { "v4" } else { "v6" })]
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
    /// The hop limit of a quoted packet is history.
    #[error("the hop limit of a quoted packet cannot be changed")]
    QuotedHopLimit,
    /// The protocol's own checksum or signature may cover the addresses in a way that is not known
    /// here, so changing them may break the packet.
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
/// Undone exactly by an edit that puts the old endpoints back, whatever the checksums were; see
/// [`checksum`](super::checksum).
///
/// # Errors
/// [`EditError`]; nothing has been written then.
pub fn apply(frame: &mut [u8], view: &View, edit: &Edit) -> Result<(), EditError> {
    if frame.len() < view.end {
        return Err(EditError::StaleView);
    }
    let layout = Layout::of(view);
    check(edit, &layout)?;
    check_hop_limit(edit, view)?;
    write(frame, edit, &layout, Delta::default());
    Ok(())
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
    if frame.len() < view.end {
        return Err(EditError::StaleView);
    }
    let Transport::IcmpError { quoted: quote, .. } = view.transport else {
        return Err(EditError::NotAnError);
    };
    let outside = Layout::of(view);
    let inside = Layout::of_quoted(&quote);
    check(outer, &outside)?;
    check_hop_limit(outer, view)?;
    check(quoted, &inside)?;
    if quoted.hop_limit != HopLimit::Keep {
        return Err(EditError::QuotedHopLimit);
    }
    let delta = write(frame, quoted, &inside, Delta::default());
    write(frame, outer, &outside, delta);
    Ok(())
}

/// Refuses an edit that `layout` has no place for.
fn check(edit: &Edit, layout: &Layout) -> Result<(), EditError> {
    for endpoint in [edit.source, edit.destination].into_iter().flatten() {
        let Endpoint { address, port } = endpoint;
        if Family::of(address) != layout.family {
            return Err(EditError::WrongFamily {
                address,
                family: layout.family,
            });
        }
        if let Some(protocol) = layout.unsupported {
            return Err(EditError::UnsupportedProtocol(protocol));
        }
        if port.is_some() && matches!(layout.ports, Ports::None) {
            return Err(EditError::NoPort);
        }
    }
    if let (Ports::Identifier { .. }, Some(source_port), Some(destination_port)) = (
        layout.ports,
        edit.source.and_then(|endpoint| endpoint.port),
        edit.destination.and_then(|endpoint| endpoint.port),
    ) && source_port != destination_port
    {
        return Err(EditError::TwoIdentifiers {
            source_port,
            destination_port,
        });
    }
    Ok(())
}

fn check_hop_limit(edit: &Edit, view: &View) -> Result<(), EditError> {
    if edit.hop_limit == HopLimit::Decrement && view.hop_limit <= 1 {
        return Err(EditError::HopLimitExceeded);
    }
    Ok(())
}

/// Carries out a checked edit. `payload` is what has changed inside the transport payload. Returns
/// the difference that all changed words, checksums among them, make to an enclosing checksum.
fn write(frame: &mut [u8], edit: &Edit, layout: &Layout, payload: Delta) -> Delta {
    let zero_before = layout.checksum.map(|checksum| layout.zero(frame, checksum));

    let mut addresses = Delta::default();
    let mut ports = Delta::default();
    let (source_at, destination_at) = layout.addresses();
    let (source_port_at, destination_port_at) = layout.port_offsets();
    for (endpoint, address_at, port_at) in [
        (edit.source, source_at, source_port_at),
        (edit.destination, destination_at, destination_port_at),
    ] {
        let Some(Endpoint { address, port }) = endpoint else {
            continue;
        };
        match address {
            IpAddr::V4(address) => put(frame, address_at, &address.octets(), &mut addresses),
            IpAddr::V6(address) => put(frame, address_at, &address.octets(), &mut addresses),
        }
        if let (Some(port), Some(at)) = (port, port_at) {
            put(frame, at, &port.to_be_bytes(), &mut ports);
        }
    }

    let mut header = addresses;
    if edit.hop_limit == HopLimit::Decrement {
        let (at, word_at) = layout.hop_limit();
        let mut word = [frame[word_at], frame[word_at + 1]];
        word[at - word_at] -= 1;
        put(frame, word_at, &word, &mut header);
    }
    let mut all = header;
    if let Some(at) = layout.header_checksum() {
        let old = word(frame, at);
        let new = header.update(old, Zero::Plus, Zero::Plus);
        put(frame, at, &new.to_be_bytes(), &mut all);
    }

    let mut transport = ports;
    transport.add(payload);
    all.add(transport);
    if let (Some(checksum), Some(before)) = (layout.checksum, zero_before) {
        if checksum.covers_addresses {
            transport.add(addresses);
        }
        let old = word(frame, checksum.at);
        let new = transport.update(old, before, layout.zero(frame, checksum));
        put(frame, checksum.at, &new.to_be_bytes(), &mut all);
    }
    all
}

fn word(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// Overwrites whole 16-bit words and notes the difference.
fn put(frame: &mut [u8], at: usize, new: &[u8], delta: &mut Delta) {
    let old = &mut frame[at..at + new.len()];
    for (old, new) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
        delta.replace(
            u16::from_be_bytes([old[0], old[1]]),
            u16::from_be_bytes([new[0], new[1]]),
        );
    }
    old.copy_from_slice(new);
}

impl View {
    /// Sets the source address and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_source(&mut self, frame: &mut [u8], address: IpAddr) -> Result<(), EditError> {
        self.rewrite(frame, Side::Source, address, None)?;
        self.source = address;
        Ok(())
    }

    /// Sets the destination address and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_destination(&mut self, frame: &mut [u8], address: IpAddr) -> Result<(), EditError> {
        self.rewrite(frame, Side::Destination, address, None)?;
        self.destination = address;
        Ok(())
    }

    /// Sets the source port, or the identifier of an ICMP query, and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_source_port(&mut self, frame: &mut [u8], port: u16) -> Result<(), EditError> {
        self.rewrite(frame, Side::Source, self.source, Some(port))?;
        if let Transport::Tcp { source, .. }
        | Transport::Udp { source, .. }
        | Transport::IcmpQuery {
            identifier: source, ..
        } = &mut self.transport
        {
            *source = port;
        }
        Ok(())
    }

    /// Sets the destination port, or the identifier of an ICMP query, and keeps this view in step.
    ///
    /// # Errors
    /// As [`apply`].
    pub fn set_destination_port(&mut self, frame: &mut [u8], port: u16) -> Result<(), EditError> {
        self.rewrite(frame, Side::Destination, self.destination, Some(port))?;
        if let Transport::Tcp { destination, .. }
        | Transport::Udp { destination, .. }
        | Transport::IcmpQuery {
            identifier: destination,
            ..
        } = &mut self.transport
        {
            *destination = port;
        }
        Ok(())
    }

    fn rewrite(
        &self,
        frame: &mut [u8],
        side: Side,
        address: IpAddr,
        port: Option<u16>,
    ) -> Result<(), EditError> {
        let mut edit = Edit::default();
        let endpoint = match side {
            Side::Source => &mut edit.source,
            Side::Destination => &mut edit.destination,
        };
        *endpoint = Some(Endpoint { address, port });
        apply(frame, self, &edit)
    }
}

/// Which of its two endpoints a packet is changed at.
#[derive(Clone, Copy)]
enum Side {
    Source,
    Destination,
}
