//! One space of ports, and the demand for it: TCP ports, UDP ports and ICMP identifiers are
//! leased apart, and each needs addresses of its own accord.

use std::ops::RangeInclusive;

use natshard::Protocol;

use super::args::PlanArgs;
use super::demand::Demand;
use crate::exit::Coded;

/// What the NAT allows a subscriber, and what an address has.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rules {
    /// Ports of a block, where subscribers have blocks of their own.
    pub(crate) block_size: Option<u64>,
    /// The most ports of a subscriber, blocks counted whole.
    pub(crate) limit: Option<u64>,
    ports: RangeInclusive<u16>,
    identifiers: RangeInclusive<u16>,
}

impl Rules {
    /// Those of the command line.
    ///
    /// # Errors
    /// When a block is not a power of two.
    pub(crate) fn of(args: &PlanArgs) -> Result<Self, Coded> {
        let block_size = args.block_size.map(u64::from);
        if let Some(size) = block_size.filter(|it| !it.is_power_of_two()) {
            let below = 1 << size.ilog2();
            return Err(Coded::usage(format!(
                "--block-size {size}: blocks are aligned, so their size is a power of two; take \
                 {below} or {}",
                2 * below
            )));
        }
        let blocks = block_size.zip(args.max_blocks);
        let blocks = blocks.map(|(size, most)| size * u64::from(most));
        let ports = args.max_ports.map(u64::from);
        Ok(Rules {
            block_size,
            limit: blocks.into_iter().chain(ports).min(),
            ports: args.usable_ports.clone(),
            identifiers: args.identifiers.clone(),
        })
    }

    /// The ports of an address, or the identifiers.
    pub(crate) fn range(&self, which: Option<Protocol>) -> &RangeInclusive<u16> {
        match which {
            Some(Protocol::Icmp) => &self.identifiers,
            _ => &self.ports,
        }
    }
}

/// A space of ports with the demand for it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Space {
    /// The protocol; `None` for whichever needs most.
    pub(crate) which: Option<Protocol>,
    /// Ports that an active subscriber has leased.
    pub(crate) leased: Demand,
    /// Ports that it has leased or resting.
    pub(crate) taken: Demand,
    /// Of them, those that the limit of the subscriber allows.
    pub(crate) allowed: Demand,
    /// What is asked of the addresses: those ports, or the blocks that hold them.
    pub(crate) units: Demand,
    /// Ports of an address.
    pub(crate) ports: u64,
    /// Units of an address.
    pub(crate) capacity: u64,
    /// The share of the ports that the limit of the subscriber refuses.
    pub(crate) refused_by_limit: f64,
}

impl Space {
    /// The space of a protocol under those rules.
    ///
    /// # Errors
    /// When an address has no room for anything, or nothing is asked of it.
    pub(crate) fn new(
        which: Option<Protocol>,
        leased: Demand,
        taken: Demand,
        rules: &Rules,
    ) -> Result<Self, Coded> {
        let range = rules.range(which);
        let (first, end) = (u64::from(*range.start()), u64::from(*range.end()) + 1);
        let ports = end - first;
        let size = rules.block_size.unwrap_or(1);
        let capacity = (end / size).saturating_sub(first.div_ceil(size));
        if capacity == 0 {
            return Err(Coded::usage(format!(
                "there is no aligned block of {size} ports between {first} and {}: widen the \
                 range or take smaller blocks",
                end - 1
            )));
        }
        let limit = rules.limit.unwrap_or(u64::MAX);
        let allowed = taken.limited(limit);
        let units = allowed.in_blocks(size);
        if units.mean() <= 0.0 {
            return Err(Coded::usage(
                "nobody asks for a port: there is nothing to plan",
            ));
        }
        Ok(Space {
            refused_by_limit: taken.refused_by_limit(limit),
            which,
            leased,
            taken,
            allowed,
            units,
            ports,
            capacity,
        })
    }
}
