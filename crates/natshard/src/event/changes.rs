//! Changes of the configuration, pool by pool (RFC 7422 section 3).

use std::collections::HashMap;

use super::{EventKind, PoolChange};
use crate::config::PoolConfig;
use crate::ground::Ground;
use crate::id::PoolId;
use crate::layout::Layout;

/// The pools whose configuration is another than before, each with the number of its event.
pub(crate) struct Changes(Vec<(u64, PoolId, PoolChange)>);

impl Changes {
    /// Draws the numbers, before anybody can work by the new configuration: whatever that allows
    /// is told under a larger one.
    pub(crate) fn number(ground: &Ground, before: &Layout, after: &Layout) -> Self {
        let Some(events) = &ground.events else {
            return Changes(Vec::new());
        };
        let by_name = |layout: &Layout| -> HashMap<String, PoolConfig> {
            let pools = layout.config.pools.iter();
            pools
                .map(|pool| (pool.name.clone(), pool.clone()))
                .collect()
        };
        let (old, new) = (by_name(before), by_name(after));
        let kept = after.pools().filter_map(|pool| {
            let change = match old.get(&pool.name) {
                None => PoolChange::Added,
                Some(old) if Some(old) == new.get(&pool.name) => return None,
                Some(_) => PoolChange::Changed,
            };
            Some((pool.id, change))
        });
        let gone = before.pools().filter(|pool| !new.contains_key(&pool.name));
        let gone = gone.map(|pool| (pool.id, PoolChange::Removed));
        let all = kept.chain(gone);
        Changes(
            all.map(|(pool, change)| (events.draw(), pool, change))
                .collect(),
        )
    }

    /// Tells them, once the new configuration is in force.
    pub(crate) fn tell(&self, ground: &Ground) {
        let Some(events) = &ground.events else { return };
        for &(sequence, pool, change) in &self.0 {
            let kind = EventKind::PoolConfigured { change };
            events.tell(None, sequence, ground.clock.now(), pool, kind);
        }
    }
}
