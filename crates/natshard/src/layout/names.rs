//! Names that keep their numbers under all configurations of an engine.

use crate::config::EngineConfig;
use crate::config_error::{ConfigError, ConfigFault};
use crate::fair::{self, Seats};
use crate::id::PoolId;
use crate::protocol::Protocol;

/// Names that keep their numbers under all configurations.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(super) pools: Vec<String>,
    pub(super) realms: Vec<String>,
    pub(super) seats: Seats,
}

impl Names {
    /// Whether the numbers suffice for everything this configuration adds to what there was.
    pub(crate) fn check(&self, config: &EngineConfig, spaces: usize) -> Result<(), ConfigError> {
        let windows = config
            .pools
            .iter()
            .map(|pool| pool.prefixes.len())
            .sum::<usize>();
        let asked = [
            (
                "pools over the life of the engine",
                self.pools.len() + config.pools.len(),
            ),
            (
                "realms over the life of the engine",
                self.realms.len() + config.pools.len(),
            ),
            (
                "address windows over the life of the engine",
                spaces + Protocol::ALL.len() * windows,
            ),
        ];
        let limit = usize::from(u16::MAX);
        let asked = asked.map(|(what, count)| (what, count, limit));
        let sharing = config.pools.iter().filter(|pool| !pool.tenants.is_empty());
        let tenants = sharing.filter_map(|pool| {
            let place = self.pools.iter().position(|known| *known == pool.name)?;
            let count = self.seats.count_with(PoolId(place as u16), &pool.tenants);
            let what = "tenants of one pool over the life of the engine";
            Some((what, count, fair::check::MAX_TENANTS))
        });
        let over = asked.into_iter().chain(tenants);
        let faults: Vec<_> = over
            .filter(|&(_, count, limit)| count > limit)
            .map(|(what, count, limit)| ConfigFault::TooMany { what, count, limit })
            .collect();
        if faults.is_empty() {
            Ok(())
        } else {
            Err(ConfigError { faults })
        }
    }
}

/// The number of a name, which has one from here on.
pub(super) fn number(names: &mut Vec<String>, name: &str) -> u16 {
    let found = names.iter().position(|known| known == name);
    found.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    }) as u16
}

#[cfg(test)]
mod tests;
