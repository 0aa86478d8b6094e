//! Why something was refused (I12).

use thiserror::Error;

/// Why no lease was given.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[repr(u8)]
#[non_exhaustive]
pub enum AllocError {
    /// No port of the pool was leasable: every one is leased, resting, excluded or in the hands
    /// of another shard until its next burst.
    #[error("every port of the pool is in use or resting")]
    PoolFull,
    /// No port of the one address asked for was leasable; other addresses were not tried.
    #[error("every port of the requested address is in use or resting")]
    AddressFull,
    /// The tuple is leased, resting, or lies unissued with a shard that has yet to run a burst.
    #[error("the tuple is in use or resting")]
    InUse,
    /// The tuple lies in the pool's prefixes, yet in none of its port ranges.
    #[error("the port is excluded from the pool")]
    Excluded,
    /// The address was taken out of the pool and is being drained.
    #[error("the address was taken out of the pool and is draining")]
    Draining,
    /// The address is in no prefix of the pool.
    #[error("the address is outside the pool's prefixes")]
    OutsidePool,
    /// The pool has no address of the family asked for, or the address that the request is bound
    /// to (by itself, or by its subscriber) is of the other one.
    #[error("there is no address of the requested family to be had")]
    NoSuchFamily,
    /// The pool is not part of the current configuration.
    #[error("the pool is not in the current configuration")]
    NoSuchPool,
    /// The subscriber holds as many ports or port blocks as the pool allows it, those that rest
    /// included (RFC 6888 REQ-4).
    #[error("the subscriber has reached its limit of ports or port blocks")]
    SubscriberQuota,
    /// The tenant is at its maximum, or what is left is guaranteed to others.
    #[error("the tenant has reached its share of the pool")]
    TenantQuota,
    /// The pool serves subscribers only, and the request names none, or one that its
    /// deterministic ranges do not reach.
    #[error("the pool serves subscribers only, and the request names none it has")]
    SubscriberMissing,
    /// There is no room for the books of one more subscriber.
    #[error("the table of subscribers is full")]
    SubscribersFull,
    /// Ports were left, but no block had so many consecutive ones that begin with the parity
    /// asked for, or none of the pool's blocks ever can.
    #[error("no block has so many consecutive ports of that parity left")]
    NoContiguous,
    /// A set of more than 256 consecutive ports was asked for: sets lie within a block.
    #[error("a set of consecutive ports has at most 256")]
    SetTooLarge,
}

impl AllocError {
    /// Every reason, in counter order.
    pub const ALL: [AllocError; 14] = [
        AllocError::PoolFull,
        AllocError::AddressFull,
        AllocError::InUse,
        AllocError::Excluded,
        AllocError::Draining,
        AllocError::OutsidePool,
        AllocError::NoSuchFamily,
        AllocError::NoSuchPool,
        AllocError::SubscriberQuota,
        AllocError::TenantQuota,
        AllocError::SubscriberMissing,
        AllocError::SubscribersFull,
        AllocError::NoContiguous,
        AllocError::SetTooLarge,
    ];

    /// Whether the pool's or the address's ports ran out, as opposed to a limit of who asked, or
    /// to a request that can never be met as it stands.
    #[must_use]
    pub const fn is_exhaustion(self) -> bool {
        matches!(self, AllocError::PoolFull | AllocError::AddressFull)
    }

    /// A short, stable name for counters and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            AllocError::PoolFull => "pool_full",
            AllocError::AddressFull => "address_full",
            AllocError::InUse => "in_use",
            AllocError::Excluded => "excluded",
            AllocError::Draining => "draining",
            AllocError::OutsidePool => "outside_pool",
            AllocError::NoSuchFamily => "no_such_family",
            AllocError::NoSuchPool => "no_such_pool",
            AllocError::SubscriberQuota => "subscriber_quota",
            AllocError::TenantQuota => "tenant_quota",
            AllocError::SubscriberMissing => "subscriber_missing",
            AllocError::SubscribersFull => "subscribers_full",
            AllocError::NoContiguous => "no_contiguous",
            AllocError::SetTooLarge => "set_too_large",
        }
    }
}

/// Why a raw token was not accepted; nothing was changed (I6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The token is of another engine, or was never a token.
    #[error("the token is not of this engine")]
    Foreign,
    /// The lease was released before, and its port may have been leased to somebody else since.
    #[error("the lease was released before")]
    Stale,
}

/// Why a shard could not be had.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum ShardError {
    /// Somebody holds the shard.
    #[error("shard {0} is taken; drop it before taking it again")]
    Taken(usize),
    /// The engine has fewer shards.
    #[error("there is no shard {asked}: the engine was configured with {shards}")]
    OutOfRange {
        /// The index asked for.
        asked: usize,
        /// How many shards there are.
        shards: usize,
    },
}
