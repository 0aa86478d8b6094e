//! What the engine is measured against. Each does less than the engine does: none lets ports rest
//! by the clock, none says why it refuses, and only some are exact at exhaustion.

mod blocks;
mod gateway;
mod locked;
mod nothing;
mod probing;
mod shared;

pub use blocks::LocalBlocks;
pub use gateway::Gateway;
pub use locked::{LockedBitmap, LockedQueue};
pub use nothing::{Counter, Harness};
pub use probing::Probing;
pub use shared::{Queue, ShardedSlab};

/// The ports of one address from 1024 on.
pub const PORTS_PER_ADDRESS: u32 = 64_512;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::fmt::Debug;
    use std::hash::Hash;

    use super::*;
    use crate::bench::window::Ports;

    /// Every port once, then a refusal; what is given back can be had again.
    fn is_exact<P: Ports, K: Hash + Eq + Debug>(
        mut ports: P,
        all: usize,
        key: impl Fn(&P::Lease) -> K,
    ) {
        let mut leases: Vec<_> = std::iter::from_fn(|| ports.lease()).collect();
        let keys: HashSet<_> = leases.iter().map(&key).collect();
        assert_eq!((leases.len(), keys.len()), (all, all));
        let again: HashSet<_> = (0..700)
            .map(|_| leases.swap_remove(leases.len() / 2))
            .map(|it| {
                let key = key(&it);
                ports.give_back(it);
                key
            })
            .collect();
        assert_eq!(again.len(), 700);
        let had: HashSet<_> = std::iter::from_fn(|| ports.lease())
            .map(|it| key(&it))
            .collect();
        assert_eq!(had, again);
    }

    #[test]
    fn references_give_every_port_once() {
        let count = 2 * PORTS_PER_ADDRESS;
        let all = count as usize;
        is_exact(LocalBlocks::new(count), all, |it| *it);
        is_exact(LockedQueue::new(count), all, |it| *it);
        is_exact(LockedBitmap::new(count), all, |it| *it);
        is_exact(Queue::new(count), all, |it| *it);
    }

    #[test]
    fn probing_refuses_although_there_is_room() {
        let mut probing = Probing::new(PORTS_PER_ADDRESS, 10);
        let leases = probing.fill();
        assert_eq!(leases.len() as u32, PORTS_PER_ADDRESS);
        for port in leases.into_iter().filter(|it| it % 20 == 0) {
            probing.give_back(port);
        }
        let refused = (0..3_000).filter(|_| {
            let lease = probing.lease();
            let refused = lease.is_none();
            lease.into_iter().for_each(|it| probing.give_back(it));
            refused
        });
        // 0.95 to the tenth is 0.6.
        let part = refused.count() as f64 / 3_000.0;
        assert!((0.55..0.65).contains(&part), "{part}");
    }

    #[test]
    fn the_gateways_design_gives_every_port_once_and_only_empty_blocks_again() {
        let mut gateway = Gateway::new(2);
        let leases = gateway.fill();
        let keys: HashSet<_> = leases
            .iter()
            .map(|it| (it.address(), it.number()))
            .collect();
        let all = 2 * PORTS_PER_ADDRESS as usize;
        assert_eq!((leases.len(), keys.len()), (all, all));
        // One port of each block stays: holes everywhere, and next to nothing can be had.
        let mut kept = HashSet::new();
        let (kept, free): (Vec<_>, Vec<_>) = leases
            .into_iter()
            .partition(|it| kept.insert((it.address(), it.number() / 256)));
        let holes = free.len();
        drop(free);
        let had = gateway.fill();
        // What is left of the current block of either address.
        assert!(had.len() <= 510, "{} of {holes}", had.len());
        drop((kept, had));
        assert_eq!(gateway.fill().len(), all);
    }
}
