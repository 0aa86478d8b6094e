//! Why a packet was not translated, why a session ended: each with a name and a counter.

use std::fmt;

use crate::packet::Skip;

/// Declares an enum of reasons with `ALL`, `name()`, `as_index()` and `Display`.
macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        #[non_exhaustive]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every reason, in counter order.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// How many reasons there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Stable `snake_case` name, for counters and JSON keys.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// Position in [`ALL`](Self::ALL).
            #[must_use]
            pub const fn as_index(self) -> usize {
                self as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// Why a packet passes as it is.
    UntouchedReason {
        /// The frame carries something else than IPv4 or IPv6.
        NotIp = "not_ip",
        /// No peering of the packet's VPC leads to its destination.
        NoPeering = "no_peering",
        /// The destination lies in the private prefixes of the VPC the packet comes from.
        Local = "local",
        /// The peering has no pool for the packet's source and no rule for its destination.
        NoPool = "no_pool",
        /// Source or destination is multicast, broadcast, unspecified, loopback or link-local.
        NotUnicast = "not_unicast",
        /// An IP protocol that has no ports this NAT knows of: GRE, ESP, SCTP, ...
        Protocol = "protocol",
        /// ICMP that is neither a query nor an error: redirect, router and neighbour discovery, ...
        IcmpOther = "icmp_other",
    }
}

reasons! {
    /// Why a packet must not pass.
    DropReason {
        /// The frame ends inside the link header.
        TruncatedLink = "truncated_link",
        /// The packet ends inside the IP header.
        TruncatedIp = "truncated_ip",
        /// The packet ends inside the transport header.
        TruncatedTransport = "truncated_transport",
        /// The IP version is neither 4 nor 6, or not what the link promised.
        BadIpVersion = "bad_ip_version",
        /// The IPv4 header length is below 20.
        BadHeaderLength = "bad_header_length",
        /// The IPv4 total length is below the header length.
        BadTotalLength = "bad_total_length",
        /// The TCP or UDP length contradicts the IP length.
        BadTransportLength = "bad_transport_length",
        /// An ICMP error whose quoted packet is missing or malformed.
        BadQuote = "bad_quote",
        /// Source-routed and not at its last hop.
        SourceRouted = "source_routed",
        /// More IPv6 extension headers than are walked.
        TooManyExtensions = "too_many_extensions",
        /// Malformed in another way.
        Malformed = "malformed",
        /// An outside packet to a public address of ours that no mapping owns.
        NoMapping = "no_mapping",
        /// There is a mapping, and its filtering behaviour keeps this remote out (RFC 4787 REQ-8).
        Filtered = "filtered",
        /// Answers of the inside endpoint to this source would not leave the way the packet came in:
        /// a spoofed private source address, for instance.
        NoWayBack = "no_way_back",
        /// A TCP segment that is not a SYN and belongs to no session, where pickup is strict.
        NotSyn = "not_syn",
        /// A TCP segment with impossible flags (SYN with FIN or RST) that belongs to no session.
        BadTcpFlags = "bad_tcp_flags",
        /// The peering's pool had no port to lease.
        PoolExhausted = "pool_exhausted",
        /// The subscriber holds as many ports or port blocks as it may (RFC 6888 REQ-4).
        SubscriberQuota = "subscriber_quota",
        /// The tenant holds as many blocks of the pool as it may, or the rest is guaranteed to
        /// others.
        TenantQuota = "tenant_quota",
        /// The allocator refused for another reason than exhaustion or a limit.
        AllocationRefused = "allocation_refused",
        /// Another session already has packets that read the same, so answers could not be told
        /// apart.
        TupleInUse = "tuple_in_use",
        /// The session table is full; no live session is overwritten.
        SessionTableFull = "session_table_full",
        /// An ICMP error that quotes no packet of a session (RFC 5508 REQ-4 a, REQ-5 a).
        IcmpErrorUnmatched = "icmp_error_unmatched",
        /// An inside packet to a public address of ours where hairpinning is off.
        HairpinOff = "hairpin_off",
        /// The hop limit is used up; answering is the gateway's business.
        TtlExceeded = "ttl_exceeded",
        /// Too many fragments are held, or too many bytes of them.
        FragmentTableFull = "fragment_table_full",
        /// The fragment with the ports did not arrive in time.
        FragmentTimeout = "fragment_timeout",
        /// The first fragment of the datagram was dropped.
        FragmentOfDropped = "fragment_of_dropped",
        /// The packet could not be rewritten.
        Rewrite = "rewrite",
    }
}

impl DropReason {
    /// What a frame is dropped for that cannot be dissected; `None` where it is not IP at all.
    pub(crate) const fn of_skip(skip: Skip) -> Option<Self> {
        Some(match skip {
            Skip::NotIp(_) => return None,
            Skip::TruncatedLink => Self::TruncatedLink,
            Skip::TruncatedIp => Self::TruncatedIp,
            Skip::TruncatedTransport => Self::TruncatedTransport,
            Skip::BadIpVersion(_) => Self::BadIpVersion,
            Skip::BadHeaderLength => Self::BadHeaderLength,
            Skip::BadTotalLength => Self::BadTotalLength,
            Skip::BadTransportLength => Self::BadTransportLength,
            Skip::BadQuote => Self::BadQuote,
            Skip::SourceRouted => Self::SourceRouted,
            Skip::TooManyExtensions => Self::TooManyExtensions,
        })
    }
}

reasons! {
    /// Why a session ended.
    EndReason {
        /// Its timer ran out.
        Expired = "expired",
        /// TCP: both ends had sent FIN, and the transitory timer ran out.
        Closed = "closed",
        /// The configuration no longer translates the flow, or not this way.
        Reconfigured = "reconfigured",
        /// Its first packet could not be sent on.
        Unused = "unused",
        /// The function was shut down.
        Shutdown = "shutdown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_snake_case_and_indices_are_positions() {
        let mut seen = HashSet::new();
        for (index, reason) in DropReason::ALL.iter().enumerate() {
            assert_eq!(reason.as_index(), index);
            assert!(seen.insert(reason.name()));
            assert!(
                reason
                    .name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_')
            );
        }
        for (index, reason) in UntouchedReason::ALL.iter().enumerate() {
            assert_eq!(reason.as_index(), index);
            assert!(
                seen.insert(reason.name()),
                "{reason} is a drop reason as well"
            );
        }
    }
}
