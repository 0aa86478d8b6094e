//! Verification from scratch. Shares no code with the incremental path, so that each checks the
//! other.

use crate::packet::View;

/// What one checksum field was found to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// It fits the bytes it covers.
    Right,
    /// It does not.
    Wrong,
    /// There is none: IPv6 header, UDP without checksum, protocols that have none or whose
    /// checksum is not known here.
    Absent,
    /// The bytes it covers are not all there: cut by the capture, or in other fragments.
    Unverifiable,
}

/// The checksums of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ChecksumState {
    /// IPv4 header checksum.
    pub ip: Verdict,
    /// TCP, UDP, ICMP or ICMPv6 checksum.
    pub transport: Verdict,
    /// IPv4 header checksum of the packet that an ICMP error quotes; absent where nothing is
    /// quoted.
    pub quoted_ip: Verdict,
    /// Transport checksum of the packet that an ICMP error quotes.
    pub quoted_transport: Verdict,
}

/// Computes every checksum of the frame that `view` was taken from.
#[must_use]
pub fn verify(frame: &[u8], view: &View) -> ChecksumState {
    let _ = (frame, view);
    todo!()
}
