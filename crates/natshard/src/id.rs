//! Newtypes for every index that crosses a module boundary.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $repr:ty, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub(crate) $repr);

        impl $name {
            /// The position behind the name, for use as an array index.
            #[must_use]
            pub const fn as_index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A pool of one engine; stable per name across every reconfiguration.
    PoolId, u16, "pool"
);
id!(
    /// An address realm (RFC 2663): the domain in which a public tuple is unique.
    RealmId, u16, "realm"
);
id!(
    /// One worker's private half of the engine.
    ShardId, u8, "shard"
);
