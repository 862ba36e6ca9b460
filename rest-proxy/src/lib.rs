//! The REST proxy: produce and consume over HTTP as Confluent's proxy, version 2, does; version 3 will stand beside it.
//! Reaches Kafka through the client only, ours or another cluster.

mod config;
mod embedded;
mod error;
mod instances;
mod service;
mod v2;

pub use config::{Config, config_def};
pub use service::{Error, Service};
