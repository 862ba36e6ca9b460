//! What handlers share: the configuration and the rooms below.

use crate::config::BrokerConfig;
use crate::shutdown::Shutdown;

/// The broker behind the router.
#[derive(Debug)]
pub(crate) struct Core {
    /// What it was told to be.
    pub(crate) config: BrokerConfig,
    /// Seen by everything that waits.
    pub(crate) shutdown: Shutdown,
}
