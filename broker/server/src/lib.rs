//! The broker's listeners, router, handlers and timers: moves bytes, decides nothing.

mod authorized_operations;
mod broker;
mod clock;
mod config;
mod core;
mod error_code;
mod groups;
mod handlers;
mod io_pool;
mod metadata;
mod metrics;
pub mod network;
mod producer_ids;
mod random;
mod replicas;
mod router;
mod shutdown;
mod upkeep;

pub use broker::{Broker, Error, Handle, OpenListener, Options};
pub use config::{BrokerConfig, Error as ConfigError, NetworkConfig, UpkeepConfig, definition};
pub use metadata::{Error as MetadataError, LoadError};
pub use router::{ANONYMOUS, CallContext, Origin, Reply, Router};

#[cfg(test)]
mod tests;
