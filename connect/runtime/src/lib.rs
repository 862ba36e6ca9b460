//! The Connect worker: connectors and their tasks, run from configurations in a compacted topic and steered over Kafka
//! Connect's REST API. It reaches Kafka through the client only, ours or another cluster, and knows no connector: the table
//! of plugins is given to it.
//!
//! The way of a change: a request is validated and decided by the `Herder`, which writes records to the config topic; the
//! reader of that topic applies them to the cluster's configuration; what then has to run or stop is decided by a pure
//! function and done by the `Worker`, one supervised task of the runtime for each connector and each connector task.

mod config;
mod connector_config;
mod converter;
mod group;
mod guarantees;
mod herder;
mod loggers;
mod metrics;
mod outage;
mod provider;
mod rest;
mod service;
mod store;
#[cfg(test)]
mod testing;
mod validate;
mod worker;

pub use config::{Config, config_def};
pub use herder::Metrics;
pub use loggers::ProcessLoggers;
pub use provider::{redact, resolve_worker};
pub use service::{ConnectorError, Error, NewConnector, Service};
pub use store::Error as StorageError;
