//! The schema registry: subjects, versions and identifiers over the `_schemas` topic, served as Confluent's REST API. It
//! reaches Kafka through the client only, ours or another cluster.
//!
//! A request decides on the current state which records to write, writes them, and is answered once the reader of the
//! topic has applied them: what is answered is what a restart will find.

mod config;
mod decide;
mod error;
mod record;
mod registry;
mod rest;
mod service;
mod state;
mod topic;

pub use config::{Config, config_def};
pub use service::{Error, Service};
