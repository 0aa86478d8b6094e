//! What the file says about subscribers and tenants, every value with its place.

use ipnet::IpNet;
use natshard::{PortBlocks, Strictness, SubscriberLimit, Threshold};

use crate::config::diagnostic::{At, Span};

/// The policies of a pool.
#[derive(Debug, Default)]
pub(crate) struct FairModel {
    /// `port-quota`.
    pub(crate) quota: Option<At<SubscriberLimit>>,
    /// `port-set`.
    pub(crate) port_set: Option<At<PortBlocks>>,
    /// `pairing`.
    pub(crate) pairing: Option<At<Strictness>>,
    /// `deterministic`.
    pub(crate) deterministic: Option<DeterministicModel>,
    /// `subscriber-mask-v6`.
    pub(crate) mask_v6: Option<At<u8>>,
    /// `[[external-ip-address-pool.tenant]]`.
    pub(crate) tenants: Vec<TenantModel>,
    /// `headroom`.
    pub(crate) headroom: Option<At<u32>>,
    /// `notify-pool-usage`.
    pub(crate) usage: Option<At<Threshold>>,
}

impl FairModel {
    /// Whether books of subscribers are kept.
    pub(crate) fn keeps_subscribers(&self) -> bool {
        self.quota.is_some()
            || self.port_set.is_some()
            || self.pairing.is_some()
            || self.deterministic.is_some()
    }

    /// Whether blocks are shared out.
    pub(crate) fn keeps_tenants(&self) -> bool {
        !self.tenants.is_empty() || self.headroom.as_ref().is_some_and(|it| it.value > 0)
    }
}

/// `deterministic`.
#[derive(Debug)]
pub(crate) struct DeterministicModel {
    /// All of it.
    pub(crate) span: Span,
    /// Whose hosts are numbered, in order.
    pub(crate) inside: Vec<At<IpNet>>,
    /// The ports of each.
    pub(crate) ports: At<u16>,
}

/// A tenant's share of a pool.
#[derive(Debug)]
pub(crate) struct TenantModel {
    /// Its number.
    pub(crate) id: At<u32>,
    /// What people call it.
    pub(crate) name: Option<At<String>>,
    /// Blocks guaranteed to it.
    pub(crate) minimum: Option<At<u32>>,
    /// The most blocks it may have.
    pub(crate) maximum: Option<At<u32>>,
}

/// A tenant as a peering names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TenantRef {
    /// By its number.
    Id(u32),
    /// By its name.
    Name(String),
}

/// Which part of its pools a peering, or a rule of it, may take from.
#[derive(Clone, Debug, Default)]
pub(crate) struct ShareModel {
    /// `tenant`.
    pub(crate) tenant: Option<At<TenantRef>>,
    /// `control`.
    pub(crate) control: Option<At<bool>>,
}
