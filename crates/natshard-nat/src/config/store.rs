//! The current configuration, shared by the functions of all shards.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arc_swap::cache::Cache;

use super::NatConfig;

/// A handle on the current configuration. Clones share it: what one publishes, every function
/// built from a clone sees at the beginning of its next burst, without a lock.
#[derive(Clone, Debug)]
pub struct ConfigStore {
    current: Arc<ArcSwap<NatConfig>>,
}

impl ConfigStore {
    /// A store that begins with `config`.
    #[must_use]
    pub fn new(config: NatConfig) -> Self {
        ConfigStore {
            current: Arc::new(ArcSwap::from_pointee(config)),
        }
    }

    /// Makes `config` the current one. Sessions made under an older one are looked at again when
    /// their next packet comes, or by the housekeeping of bursts: kept, if the new configuration
    /// gives them the same mapping, else ended or drained by
    /// [`NatConfigBuilder::withdrawn`](super::NatConfigBuilder::withdrawn).
    pub fn publish(&self, config: NatConfig) {
        self.current.store(Arc::new(config));
    }

    /// The current configuration.
    #[must_use]
    pub fn load(&self) -> Arc<NatConfig> {
        self.current.load_full()
    }

    pub(crate) fn cache(&self) -> ConfigCache {
        Cache::new(Arc::clone(&self.current))
    }
}

impl From<NatConfig> for ConfigStore {
    fn from(config: NatConfig) -> Self {
        ConfigStore::new(config)
    }
}

/// One function's view of the store: a pointer comparison per burst.
pub(crate) type ConfigCache = Cache<Arc<ArcSwap<NatConfig>>, Arc<NatConfig>>;
