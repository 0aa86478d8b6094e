//! Sans-IO NAT function.

pub mod packet;

mod allocator;
mod config;
mod event;
mod function;
mod port;
mod reason;
pub mod session;
mod stats;
mod steer;
mod tuple;
mod verdict;

pub use allocator::{
    AllocationError, AllocationResult, DestinationTarget, EngineBurst, NatAllocator,
    NatAllocatorBurst, NatDefaultAllocator, NatRequest, ReferenceAllocator, ReferenceBurst,
    ReferenceLease, SourceTarget,
};
pub use config::{
    Behaviour, ConfigStore, DestinationRule, Filtering, FragmentLimits, Mapping, NatConfig,
    NatConfigBuilder, NatConfigError, NatConfigFault, NatPool, Peering, PeeringIndex, PoolIndex,
    Pooling, PortPolicy, Route, Selection, SourceRule, TcpPickup, Timeouts, Withdrawn,
};
pub use event::{Event, MappingInfo, ReleasedFrame, SessionInfo, Sink};
pub use function::{Ingress, NatBurst, NatFunction};
pub use natshard::{AllocError, Protocol, Reason, Tick};
pub use port::{NatPort, PortError, UnreservedPort};
pub use reason::{DropReason, EndReason, UntouchedReason};
pub use session::{NatSession, NatSessionManager, SessionTable};
pub use stats::NatStats;
pub use steer::{Steer, Steerer};
pub use tuple::{NatTuple, VpcId};
pub use verdict::{Direction, Verdict};

#[cfg(test)]
mod tests;
