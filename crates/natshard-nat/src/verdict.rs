//! What became of a packet.

use crate::reason::{DropReason, UntouchedReason};
use crate::tuple::VpcId;

/// Which way a translated packet went.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From inside to outside: the source was translated.
    Outbound,
    /// From outside to inside: the destination was translated back.
    Inbound,
    /// From one inside endpoint to the public tuple of another (RFC 4787 REQ-9): both were.
    Hairpin,
}

impl Direction {
    /// Every direction, in counter order.
    pub const ALL: [Direction; 3] = [Self::Outbound, Self::Inbound, Self::Hairpin];

    /// Stable name, for counters and JSON keys.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Outbound => "outbound",
            Self::Inbound => "inbound",
            Self::Hairpin => "hairpin",
        }
    }

    /// Position in [`ALL`](Self::ALL).
    #[must_use]
    pub const fn as_index(self) -> usize {
        self as usize
    }
}

/// What became of a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum Verdict {
    /// Rewritten in place: send it on.
    Translated {
        /// Which way it went.
        direction: Direction,
        /// The VPC it must be sent to. Where several function instances share the pools, an
        /// outbound packet may be for a public tuple that another instance owns (a hairpin across
        /// shards): [`NatConfig::public_pool`](crate::NatConfig::public_pool) of `to` and the new
        /// destination tells, and [`Steerer`](crate::Steerer) where it goes
        /// next, as a packet from `to`.
        to: VpcId,
    },
    /// Not a byte was changed: treat it as if there were no NAT.
    Untouched(UntouchedReason),
    /// It must not be sent on.
    Dropped(DropReason),
    /// A fragment that came before the one with the ports. A copy is kept, and comes out of
    /// [`Sink::frame`](crate::Sink::frame), with the final verdict, in this burst or a later one.
    Held,
}
