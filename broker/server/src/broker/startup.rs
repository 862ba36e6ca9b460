//! What a broker is at before it serves: whoever starts it can ask from another thread (Kafka's `BrokerState` and the progress of
//! its `LogManager`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use forebay_broker_log::Recovery;

use crate::metrics;

/// How far the start of a broker is. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Startup {
    pub(crate) recovery: Arc<Recovery>,
    /// Logs are being opened.
    loading: Arc<AtomicBool>,
    /// `log.dirs`, once it is known.
    directory: Arc<std::sync::OnceLock<String>>,
}

impl Startup {
    /// Logs are opened from now on.
    pub(crate) fn load(&self, directory: &std::path::Path) {
        let _known = self.directory.set(directory.display().to_string());
        self.loading.store(true, Ordering::Relaxed);
    }

    /// The directory whose logs are opened.
    pub(crate) fn directory(&self) -> &str {
        self.directory.get().map_or("", String::as_str)
    }

    /// What there is to tell before the broker serves, in Prometheus' text form: [`crate::Handle::metrics`] tells of it afterwards.
    #[must_use]
    pub fn metrics(&self) -> String {
        let state = if self.loading.load(Ordering::Relaxed) {
            metrics::BrokerState::Recovery
        } else {
            metrics::BrokerState::Starting
        };
        metrics::before_serving(state, self)
    }
}
