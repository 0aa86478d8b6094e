//! Link types.

/// The link layer in front of the IP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Link {
    /// Ethernet II, with any stack of VLAN tags and PPPoE sessions.
    Ethernet,
    /// No link header: the frame starts with the IP version nibble.
    RawIp,
    /// Linux cooked capture (`LINKTYPE_LINUX_SLL`).
    LinuxCooked,
    /// Linux cooked capture, version 2 (`LINKTYPE_LINUX_SLL2`).
    LinuxCooked2,
    /// BSD loopback: a four-byte address family in either byte order.
    Loopback,
}

impl Link {
    /// The link type of a `LINKTYPE_*` value from a pcap or pcapng file; `None` where frames of
    /// that type are not understood.
    #[must_use]
    pub const fn from_pcap(linktype: u32) -> Option<Self> {
        match linktype {
            1 => Some(Self::Ethernet),
            // 12 and 14 are DLT_RAW as older BSD tools wrote it; 228 and 229 promise one version,
            // which the version nibble repeats.
            12 | 14 | 101 | 228 | 229 => Some(Self::RawIp),
            113 => Some(Self::LinuxCooked),
            276 => Some(Self::LinuxCooked2),
            0 | 108 => Some(Self::Loopback),
            _ => None,
        }
    }
}
