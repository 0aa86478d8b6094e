//! How a peering translates, in the words of RFC 4787, RFC 5382, RFC 5508 and RFC 8512.

use std::fmt;

use super::timeouts::Timeouts;

/// What a mapping is for (RFC 4787 section 4.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Mapping {
    /// One mapping per inside endpoint, whomever it talks to (REQ-1).
    #[default]
    EndpointIndependent,
    /// One mapping per inside endpoint and remote endpoint.
    AddressAndPortDependent,
}

/// Who may send to a mapping from outside (RFC 4787 section 5).
///
/// REQ-8 recommends the first where transparency matters most and the second where a more
/// stringent behaviour does. The second is the default here: the hosts behind a shared gateway
/// did not ask to be reachable by everybody.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Filtering {
    /// Everybody.
    EndpointIndependent,
    /// Addresses the inside endpoint has a session with.
    #[default]
    AddressDependent,
    /// Only the other ends of its sessions.
    AddressAndPortDependent,
}

/// Whether the mappings of one host share a public address (RFC 4787 section 4.1, REQ-2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Pooling {
    /// They do as long as that address has ports; then another one is taken rather than the
    /// session refused.
    #[default]
    Paired,
    /// Each takes what comes.
    Arbitrary,
}

/// Whether the port of the inside endpoint has a say in the public one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum PortPolicy {
    /// None: unpredictable, as RFC 6056 and RFC 7857 section 9 want it.
    #[default]
    Random,
    /// Even stays even and odd stays odd where that can be had (RFC 4787 REQ-4).
    Parity,
    /// The same port where it can be had, else one near it of the same parity.
    Preserve,
}

/// What a TCP segment that belongs to no session and is no SYN does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum TcpPickup {
    /// From inside it makes a session: connections survive a restart of the NAT.
    #[default]
    Loose,
    /// It is dropped.
    Strict,
}

/// The behaviour of one peering.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Behaviour {
    /// What a mapping is for.
    pub mapping: Mapping,
    /// Who may send to it.
    pub filtering: Filtering,
    /// Whether the mappings of a host share an address.
    pub pooling: Pooling,
    /// Whether the inside port has a say in the public one.
    pub port_policy: PortPolicy,
    /// Whether inside hosts reach each other by their public tuples (RFC 4787 REQ-9).
    pub hairpinning: bool,
    /// Whether inbound packets keep a UDP or ICMP session alive (RFC 4787 REQ-6 c). Outbound
    /// packets always do.
    pub inbound_refresh: bool,
    /// What a TCP segment from the middle of a connection does.
    pub tcp_pickup: TcpPickup,
    /// How long sessions live.
    pub timeouts: Timeouts,
}

impl Default for Behaviour {
    fn default() -> Self {
        Behaviour {
            mapping: Mapping::default(),
            filtering: Filtering::default(),
            pooling: Pooling::default(),
            port_policy: PortPolicy::default(),
            hairpinning: true,
            inbound_refresh: false,
            tcp_pickup: TcpPickup::default(),
            timeouts: Timeouts::default(),
        }
    }
}

macro_rules! words {
    ($($name:ident { $($variant:ident = $text:literal),+ $(,)? })+) => {$(
        impl $name {
            /// Every choice.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];

            /// The word for it in configuration files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $($name::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    )+};
}

words! {
    Mapping {
        EndpointIndependent = "endpoint-independent",
        AddressAndPortDependent = "address-and-port-dependent",
    }
    Filtering {
        EndpointIndependent = "endpoint-independent",
        AddressDependent = "address-dependent",
        AddressAndPortDependent = "address-and-port-dependent",
    }
    Pooling { Paired = "paired", Arbitrary = "arbitrary" }
    PortPolicy { Random = "random", Parity = "parity", Preserve = "preserve" }
    TcpPickup { Loose = "loose", Strict = "strict" }
}
