//! The room that joins log, partition, coordinator and controller behind Kafka's protocol: listeners, router, one handler for each
//! API, timers. It moves bytes and decides nothing.
//!
//! A request's way: `network::acceptor` -> `network::connection` (frames, order, bounds) -> `router` (the table of APIs) ->
//! `handlers::<api>`. From there
//!
//! - records go to `replicas::replica::writer`, the single writer of a partition, on an `io_pool` thread; acknowledgements and the
//!   wake-up of waiting fetches are what `forebay-broker-partition` says;
//! - topics, configurations and producer ids go to `metadata`, the driver of `forebay-broker-controller` over
//!   `__cluster_metadata-0`, which publishes each new image to `replicas` before it answers;
//! - groups go to `groups`, the driver of one `forebay-broker-coordinator` for each partition of `__consumer_offsets`, whose records
//!   take the same way as a producer's; transactions go to `transactions`, for those of `__transaction_state`; what all kinds of coordinators need of a driver is in `coordinators`.
//!
//! `broker` starts and stops all of it, `upkeep` does what is done now and then. No async worker waits for a disk: appends, syncs,
//! cold reads and everything about the metadata log run on the threads of `io_pool`.

mod abandoned;
mod authorized_operations;
mod broker;
mod call;
mod cleaner;
mod clock;
mod config;
mod coordinators;
mod core;
mod dynamic;
mod error_code;
mod groups;
mod handlers;
mod io_pool;
mod listener_view;
mod loggers;
mod metadata;
mod metrics;
pub mod network;
mod producer_ids;
mod quotas;
mod random;
mod replicas;
mod router;
mod shutdown;
mod transaction_markers;
mod transactions;
mod upkeep;
mod verification;

pub use broker::{Broker, Error, Handle, OpenListener, Options, Startup};
pub use call::{ANONYMOUS, CallContext, Origin, Reply};
pub use config::{
    BrokerConfig, Error as ConfigError, MetadataLogConfig, NetworkConfig, QuotaConfig, TransactionLogConfig,
    UpkeepConfig, definition,
};
pub use loggers::{LogLevel, LogLevels, Loggers, UnknownLevel};
pub use metadata::{Error as MetadataError, LoadError, SnapshotError};
pub use router::Router;

/// Checks that are shared with the fuzz targets know the crate by its name.
#[cfg(test)]
extern crate self as forebay_broker_server;

#[cfg(test)]
mod tests;
